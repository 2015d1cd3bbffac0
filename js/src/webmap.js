// The map widget. Model: scene, values (bytes); picked, selected, dark; map_height. Python faces: workbench/views/webmap.py.
import { Control, LatLngBounds, Map as LeafletMap, control } from "leaflet/dist/leaflet-src.esm.js";
import leafletCss from "leaflet/dist/leaflet.css";
import { panel, words } from "./chrome.js";
import { button, icon, isDark, make, onScheme, paintScheme, tell, tooltip, whenSized } from "./dom.js";
import { find, idOf } from "./find.js";
import { cellNumber, colour, corner, prepare } from "./layers.js";
import css from "./map.css";
import { Labels, areaNames, emphasise, paint, streetNames } from "./paint.js";
import { Surface, view, worldX, worldY } from "./surface.js";
import { read } from "./wire.js";

const FIT = "M3 9V3h6v2H5v4zM15 3h6v6h-2V5h-4zM3 15h2v4h4v2H3zM19 15h2v6h-6v-2h4zM9 9h6v6H9z";

class Chart {
  constructor(model, box, frame) {
    Object.assign(this, { model, box, frame, layers: [], scene: null, dark: false, over: [], shown: {}, legend: null });
    this.map = new LeafletMap(frame, { attributionControl: false, zoomControl: false, zoomSnap: 0.25, wheelPxPerZoomLevel: 90, wheelDebounceTime: 30, minZoom: 3, maxZoom: 19.5, doubleClickZoom: true, keyboard: true });
    this.map.setView([0, 0], 3, { animate: false });
    frame.setAttribute("role", "application"); frame.setAttribute("aria-label", "Map. Arrow keys move it, plus and minus zoom.");
    this.ground = new Surface((g, v) => this.paintGround(g, v), { order: 1 }).addTo(this.map);
    this.data = new Surface((g, v) => this.paintData(g, v), { order: 2 }).addTo(this.map);
    this.hot = new Surface((g, v) => this.paintHot(g, v), { order: 3 }).addTo(this.map);
    this.controls();
    this.tip = tooltip(box);
    this.map.on("mousemove", e => this.hover(e)).on("mouseout movestart", () => this.leave()).on("click", e => this.click(e));
    this.draw();
  }

  controls() {
    const zoom = control.zoom({ position: "topleft", zoomInTitle: "Zoom in", zoomOutTitle: "Zoom out" }).addTo(this.map);
    const home = new Control({ position: "topleft" });
    home.onAdd = () => { const b = button(icon(FIT, "currentColor", 16), "Show everything", () => this.fit(true)); b.addEventListener("dblclick", e => e.stopPropagation()); return make("div", "leaflet-bar", b); };
    home.addTo(this.map);
    control.scale({ position: "bottomleft", maxWidth: 130 }).addTo(this.map);
    return zoom;
  }

  /** A new scene from Python: everything is replaced, the view fitted when the place is another one. */
  draw() {
    const packet = read(this.model.get("scene"));
    if (!packet) return;
    const hidden = new Set(this.layers.filter(l => !l.visible).map(l => `${l.base}|${l.name}`));
    this.scene = packet.head; this.layers = prepare(packet); this.over = [];
    for (const layer of this.layers) layer.visible = !hidden.has(`${layer.base}|${layer.name}`);
    this.scheme(false);
    this.recolour(false);
    this.box.querySelector(".wb-empty")?.remove();
    if (!this.scene.bounds) this.box.append(make("div", "wb-empty", "Nothing to show on the map."));
    const bounds = JSON.stringify(this.scene.bounds);
    if (bounds !== this.fitted) { this.fitted = bounds; this.fit(false); }
    this.select(false); this.redraw();
  }

  recolour(paintNow = true) {
    const packet = read(this.model.get("values"));
    if (!packet || packet.head.edition !== this.scene?.edition) return;
    for (const part of packet.head.layers) {
      const layer = this.layers.find(l => !l.base && l.name === part.name);
      if (layer) { colour(layer, part.scale, packet.array(part.values)); layer.tips = part.tips; }
    }
    this.legendAgain();
    if (paintNow) { this.data.later(); this.hot.later(); }
  }

  fit(animate) {
    const b = this.scene?.bounds;
    if (!b) return;
    const [west, south, east, north] = b, bounds = new LatLngBounds([south, west], [north, east]), side = this.legend?.open && this.box.clientWidth > 640 ? this.legend.offsetWidth + 12 : 0;
    this.map.fitBounds(bounds, { paddingTopLeft: [24, 24], paddingBottomRight: [24 + (side > this.box.clientWidth / 3 ? 0 : side), 24], maxZoom: 16.5, animate });
  }

  scheme(paintNow = true) {
    this.dark = isDark(this.model);
    if (!this.scene) return;
    const { theme } = this.scene;
    this.colours = { ...theme[this.dark ? "dark" : "light"], font: theme.font, dark: this.dark };
    paintScheme(this.box, theme[this.dark ? "dark" : "light"], theme.font);
    this.legendAgain();
    if (paintNow) this.redraw();
  }

  legendAgain() {
    const open = this.legend ? this.legend.open : this.box.clientWidth > 560;
    const next = panel(this.layers, this.scene, this.colours, open, () => this.redraw());
    if (this.legend) this.legend.replaceWith(next); else this.box.append(next);
    this.legend = next;
    next.hidden = !this.layers.length;
  }

  redraw() { this.ground.redraw(); this.data.redraw(); this.hot.redraw(); }

  paintGround(g, v) {
    if (!this.scene) return;
    const kinds = this.scene.theme.kinds, base = this.layers.filter(l => l.base && l.visible);
    const depth = { water: 0, river: 0, street: 1, bridge: 2, beat: 3 };
    const order = base.map((layer, k) => ({ layer, k })).sort((a, b) => (depth[a.layer.role] ?? 4) - (depth[b.layer.role] ?? 4) || a.k - b.k);
    for (const { layer } of order) if (!quiet(layer)) paint(g, v, this.colours, layer, kinds);
  }

  paintData(g, v) {
    if (!this.scene) return;
    const labels = new Labels(), depth = { cells: 0, areas: 1, wedges: 2, lines: 3, points: 4 }, kinds = this.scene.theme.kinds;
    const order = this.layers.filter(l => !l.base && l.visible).map((layer, k) => ({ layer, k })).sort((a, b) => depth[a.layer.type] - depth[b.layer.type] || a.k - b.k);
    const paintAll = wanted => order.forEach(({ layer }) => wanted(layer.type) && paint(g, v, this.colours, layer, kinds)), fill = t => t === "cells" || t === "areas";
    const beats = this.layers.filter(l => l.visible && quiet(l));   // outlines and names of beats lie above what is coloured, below what is pointed at
    paintAll(fill);
    for (const layer of beats) paint(g, v, this.colours, layer, kinds);
    for (const layer of [...order.map(o => o.layer).filter(l => l.type === "areas"), ...beats]) areaNames(g, v, this.colours, layer, labels);
    for (const layer of this.layers) if (layer.visible && layer.base && layer.role === "street") streetNames(g, v, this.colours, layer, labels);
    paintAll(t => !fill(t));
  }

  paintHot(g, v) {
    if (!this.scene) return;
    const kinds = this.scene.theme.kinds;
    const chosen = (this.chosen ?? []).filter(f => f.layer.visible), small = f => f.layer.type === "points";
    for (const { layer, i } of chosen.filter(f => !small(f))) emphasise(g, v, this.colours, layer, i, kinds, true);
    if (chosen.some(f => ["lines", "areas", "wedges"].includes(f.layer.type))) for (const layer of this.layers) if (layer.visible && !layer.base && layer.type === "points") paint(g, v, this.colours, layer, kinds);
    for (const { layer, i } of chosen.filter(small)) emphasise(g, v, this.colours, layer, i, kinds, true);
    const top = this.over[0];
    if (top && !this.chosen?.some(f => f.layer === top.layer && f.i === top.i)) emphasise(g, v, this.colours, top.layer, top.i, kinds, false);
  }

  // --- pointer ---

  at(e) { const v = view(this.map, this.map.containerPointToLayerPoint([0, 0])), size = this.map.getSize(); return find(this.layers, { ...v, w: size.x, h: size.y }, e.containerPoint.x, e.containerPoint.y); }

  hover(e) {
    if (this.map._animatingZoom || this.map.dragging?.moving()) return;
    const over = this.at(e), changed = over[0]?.layer !== this.over[0]?.layer || over[0]?.i !== this.over[0]?.i;
    this.over = over;
    this.frame.classList.toggle("wb-hit", over.length > 0 && idOf(over[0]) !== "");
    if (over.length) this.tip.show(words(over), e.containerPoint.x, e.containerPoint.y); else this.tip.hide();
    if (changed) this.hot.later();
  }

  leave() { this.tip.hide(); if (this.over.length) { this.over = []; this.hot.later(); } }

  click(e) {
    const ids = this.at(e).map(idOf).filter(Boolean), last = this.model.get("picked"), next = ids.length ? ids[(ids.indexOf(last) + 1) % ids.length] : "";
    tell(this.model, "picked", next);
    this.select(false); this.hot.later(); this.data.later();
  }

  // --- what is chosen ---

  select(move = true) {
    const wanted = new Set([...(this.model.get("selected") ?? [])].map(String)), picked = this.model.get("picked");
    this.chosen = [];
    for (const layer of this.layers.filter(l => !l.base)) {
      layer.faded = false;
      for (let i = 0; i < layer.n; i++) {
        const full = idOf({ layer, i });
        if (!full) continue;
        const asked = wanted.has(full) || wanted.has(full.slice(layer.name.length + 1)), chosen = asked || full === picked;
        if (chosen) this.chosen.push({ layer, i });
        if (asked && layer.type !== "cells" && layer.type !== "areas") layer.faded = true;
      }
    }
    if (move) { this.follow(); this.data.later(); this.hot.later(); }
  }

  /** Brings what Python chose into view when none of it can be seen. */
  follow() {
    if (!this.chosen.length) return;
    const places = this.chosen.map(({ layer, i }) => middle(layer, i)), b = this.map.getBounds();
    const seen = ([x, y]) => x > worldX(b.getWest()) && x < worldX(b.getEast()) && y < worldY(b.getSouth()) && y > worldY(b.getNorth());
    if (places.some(seen)) return;
    const lat = y => Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180 / Math.PI, points = places.map(([x, y]) => [lat(y), x * 360 - 180]);
    if (points.length === 1) this.map.panTo(points[0]); else this.map.fitBounds(points, { padding: [40, 40], maxZoom: 16 });
  }

  resize() { this.map.invalidateSize({ pan: false }); }
  remove() { this.map.remove(); this.layers = []; this.scene = this.chosen = null; this.over = []; }
}

const quiet = layer => layer.base && layer.type === "areas" && layer.role !== "water" && layer.role !== "river";

function middle(layer, i) {
  if (layer.type === "points") return [layer.x[i], layer.y[i]];
  if (layer.type === "cells") { const cell = cellNumber(layer, i), column = cell % layer.nx; return corner(layer, column + 0.5, (cell - column) / layer.nx + 0.5); }
  if (layer.type === "areas") return [layer.anchor[i].x, layer.anchor[i].y];
  const j = (layer.starts[i] + layer.starts[i + 1]) >> 1;
  return [layer.x[j], layer.y[j]];
}

function render({ model, el }) {
  const style = make("style", "", leafletCss + css), frame = make("div"), box = make("div", "wb-map", frame);
  box.style.height = `${model.get("map_height")}px`;
  el.append(style, box);
  let chart = null;
  const stops = [whenSized(frame.parentElement, () => { chart = new Chart(model, box, frame); box.chart = chart; }, () => chart.resize()), onScheme(() => chart && isDark(model) !== chart.dark && chart.scheme())];
  const events = {
    scene: () => chart?.draw(), values: () => chart?.recolour(), selected: () => chart?.select(), dark: () => chart?.scheme(),
    picked: () => { chart?.select(false); chart?.data.later(); chart?.hot.later(); }, map_height: () => { box.style.height = `${model.get("map_height")}px`; },
  };
  for (const [name, act] of Object.entries(events)) model.on(`change:${name}`, act);
  return () => {
    for (const [name, act] of Object.entries(events)) model.off(`change:${name}`, act);
    stops.forEach(stop => stop());
    chart?.remove(); chart = box.chart = null; box.remove(); style.remove();
  };
}

export default { render };

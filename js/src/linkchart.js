// The link chart widget. Model: scene (bytes), selected, expand, dark, chart_height. Python faces: workbench/views/linkchart.py.
import cytoscape from "cytoscape";
import fcose from "cytoscape-fcose";
import { button, icon, isDark, make, onScheme, paintScheme, tell, tooltip, whenSized } from "./dom.js";
import css from "./chart.css";
import { read } from "./wire.js";

cytoscape.use(fcose);

const FIT = "M3 9V3h6v2H5v4zM15 3h6v6h-2V5h-4zM3 15h2v4h4v2H3zM19 15h2v6h-6v-2h4zM9 9h6v6H9z";
const AGAIN = "M12 4a8 8 0 1 1-7.400 5h2.200A6 6 0 1 0 12 6v3.500L7 5l5-4.500z";
const MANY = 600;   // above this many elements the chart is drawn plainer while it moves

const picture = path => "data:image/svg+xml;utf8," + encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 40 40" width="80" height="80"><path fill="#fff" fill-rule="evenodd" d="${path}"/></svg>`);

/** Runs something with a seeded Math.random, so that the same graph always lies the same way. */
function seeded(act) {
  const real = Math.random;
  let s = 0x2f6e2b1;
  Math.random = () => { s = (s + 0x6d2b79f5) | 0; let t = Math.imul(s ^ (s >>> 15), 1 | s); t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t; return ((t ^ (t >>> 14)) >>> 0) / 4294967296; };
  try { return act(); } finally { Math.random = real; }
}

class Chart {
  constructor(model, box, stage) {
    Object.assign(this, { model, box, stage, scene: null, off: new Set(), quiet: false });
    this.cy = cytoscape({ container: stage, minZoom: 0.08, maxZoom: 4, boxSelectionEnabled: true, selectionType: "single" });
    this.tip = tooltip(box);
    this.tools = make("div", "wb-tools", button("+", "Zoom in", () => this.zoom(1.3)), button("\u2212", "Zoom out", () => this.zoom(1 / 1.3)),
      button(icon(FIT, "currentColor", 16), "Show everything", () => this.fit()), button(icon(AGAIN, "currentColor", 16), "Arrange again", () => this.arrange(true)));
    this.hint = make("div", "wb-hint", "Click to select, Shift-drag to select many, double-click to expand");
    box.append(this.tools, this.hint);
    this.listen();
    this.draw();
  }

  listen() {
    const { cy } = this;
    cy.on("select unselect", () => this.chose());
    cy.on("dbltap", "node", e => {
      tell(this.model, "expand", e.target.id());
    });
    cy.on("mouseover", "node, edge", e => { e.target.addClass("over"); this.stage.style.cursor = "pointer"; });
    cy.on("mouseout", "node, edge", e => { e.target.removeClass("over"); this.stage.style.cursor = ""; this.tip.hide(); });
    cy.on("mousemove", "node, edge", e => this.tip.show(e.target.data("tip"), e.renderedPosition.x, e.renderedPosition.y));
    cy.on("pan zoom grab", () => this.tip.hide());
    cy.on("zoom", () => this.legible());
    this.box.addEventListener("keydown", this.keys = e => {
      const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[e.key];
      if (step) cy.panBy({ x: step[0], y: step[1] });
      else if (e.key === "+" || e.key === "=") this.zoom(1.3);
      else if (e.key === "-") this.zoom(1 / 1.3);
      else if (e.key === "0") this.fit();
      else if (e.key === "Escape") cy.elements().unselect();
      else return;
      e.preventDefault();
    });
  }

  /** Keeps names readable when the whole of a large chart is shown: as the chart shrinks, its letters shrink less. */
  legible() {
    const { cy } = this, grow = Math.min(2.2, Math.max(1, 0.85 / cy.zoom()));
    if (cy.nodes().length > MANY || Math.abs(grow - (this.grown || 1)) < 0.08) return;
    this.grown = grow;
    cy.batch(() => { for (const n of cy.nodes()) if (grow > 1) n.style("font-size", (n.data("centre") ? 14 : 13) * grow); else n.removeStyle("font-size"); });
  }

  zoom(factor) { this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: { x: this.box.clientWidth / 2, y: this.box.clientHeight / 2 } }); }
  fit() { this.cy.resize(); this.cy.fit(this.cy.elements(":visible"), 46); if (this.cy.zoom() > 1.5) { this.cy.zoom(1.5); this.cy.center(); } }

  /** A new graph from Python. What was there before keeps its place; the rest finds one around it. */
  draw() {
    const packet = read(this.model.get("scene"));
    if (!packet) return;
    this.scene = packet.head;
    const { cy } = this, before = new Map(cy.nodes().map(n => [n.id(), { ...n.position() }]));
    this.quiet = true;
    cy.batch(() => {
      cy.elements().remove();
      cy.add(this.scene.nodes.map(data => ({ group: "nodes", data, position: { x: 0, y: 0, ...before.get(data.id) } })));
      cy.add(this.scene.edges.map(data => ({ group: "edges", data })));
    });
    this.scheme();
    this.arrange(false, before);
    this.quiet = false;
    this.legend(); this.hide(); this.select();
    this.box.querySelector(".wb-empty")?.remove();
    if (!cy.nodes().length) this.box.append(make("div", "wb-empty", "No links to show."));
    this.hint.hidden = !cy.nodes().length;
  }

  arrange(afresh, before = new Map()) {
    const { cy } = this, kept = afresh ? [] : cy.nodes().filter(n => before.has(n.id()));
    if (!cy.nodes().length) return;
    this.grown = 1;
    cy.nodes().removeStyle("font-size");
    const some = kept.length > 0 && kept.length >= cy.nodes().length * 0.2;
    if (!some || kept.length < cy.nodes().length) {
      if (some) for (const n of cy.nodes()) if (!before.has(n.id())) this.near(n, before);
      const many = cy.elements().length > 2 * MANY;
      seeded(() => cy.layout({
        name: "fcose", animate: false, fit: false, randomize: !some, quality: many ? "draft" : "proof", nodeDimensionsIncludeLabels: true, packComponents: true, nodeSeparation: 110,
        idealEdgeLength: e => 92 + Math.min(50, (e.data("label") || "").length * 2), nodeRepulsion: () => 7000, gravity: 0.35, numIter: many ? 800 : 2500, tile: true, tilingPaddingVertical: 30, tilingPaddingHorizontal: 40,
        ...(some ? { fixedNodeConstraint: [...kept].map(n => ({ nodeId: n.id(), position: { ...before.get(n.id()) } })) } : {}),
      }).run());
      if (some) this.settle(kept, before); else this.turn();
    }
    this.fit();
  }

  /** Puts what was there back exactly where it lay (the layout may shift the whole), and the new beside it. */
  settle(kept, before) {
    const [shiftX, shiftY] = ["x", "y"].map(k => kept.reduce((s, n) => s + n.position(k) - before.get(n.id())[k], 0) / kept.length);
    this.cy.nodes().positions(n => before.has(n.id()) ? { ...before.get(n.id()) } : { x: n.position("x") - shiftX, y: n.position("y") - shiftY });
  }

  /** Turns a fresh layout so that it fills the frame best, about its own middle; labels stay level. */
  turn() {
    const nodes = this.cy.nodes(), at = nodes.map(n => ({ ...n.position() })), wide = this.box.clientWidth - 220, tall = this.box.clientHeight - 92;
    let best = { scale: 0, angle: 0 };
    const turned = (p, a) => ({ x: p.x * Math.cos(a) - p.y * Math.sin(a), y: p.x * Math.sin(a) + p.y * Math.cos(a) });
    for (let k = 0; k < 36; k++) {
      const angle = k * Math.PI / 36, points = at.map(p => turned(p, angle)), xs = points.map(p => p.x), ys = points.map(p => p.y);
      const scale = Math.min(wide / (Math.max(...xs) - Math.min(...xs) + 130), tall / (Math.max(...ys) - Math.min(...ys) + 70));
      if (scale > best.scale * 1.01) best = { scale, angle };
    }
    const points = at.map(p => turned(p, best.angle)), x = points.reduce((s, p) => s + p.x, 0) / points.length, y = points.reduce((s, p) => s + p.y, 0) / points.length;
    nodes.positions((n, i) => ({ x: points[i].x - x, y: points[i].y - y }));
  }

  /** A first place for a new node: beside a neighbour that has one, turned by its order so that new ones do not lie on each other. */
  near(node, before) {
    const friend = node.neighborhood("node").filter(n => before.has(n.id()))[0], at = friend ? before.get(friend.id()) : { x: 0, y: 0 };
    const turn = 2.399963 * this.cy.nodes().indexOf(node), r = 90 + 10 * (this.cy.nodes().indexOf(node) % 7);
    node.position({ x: at.x + r * Math.cos(turn), y: at.y + r * Math.sin(turn) });
  }

  // --- looks ---

  scheme() {
    this.dark = isDark(this.model);
    if (!this.scene) return;
    const { theme } = this.scene, c = theme[this.dark ? "dark" : "light"], kinds = theme.kinds;
    this.colours = c;
    paintScheme(this.box, c, theme.font);
    for (const look of Object.values(kinds)) look.picture ??= picture(look.icon);
    const many = this.cy.elements().length > MANY, labelled = this.cy.edges().length <= 60;
    const top = Math.max(1, ...this.scene.edges.map(e => e.weight));
    const label = { "font-family": theme.font, "text-background-color": c.canvas, "text-background-opacity": 0.85, "text-background-padding": 1.5, "text-background-shape": "roundrectangle" };
    this.cy.style([
      { selector: "node", style: { ...label, width: 40, height: 40, "background-color": n => kinds[n.data("kind")].colour, "background-image": n => kinds[n.data("kind")].picture, "background-fit": "cover",
        "border-width": 2, "border-color": c.halo, label: "data(label)", "font-size": 13, color: c.node_text, "text-valign": "bottom", "text-margin-y": 5, "text-wrap": "wrap", "text-max-width": 150, "min-zoomed-font-size": 6 } },
      { selector: "node[?centre]", style: { width: 56, height: 56, "font-size": 14, "font-weight": 700, "border-width": 3, "border-color": c.accent } },
      { selector: "edge", style: { ...label, width: e => 1.2 + 4.3 * Math.sqrt(Math.max(0, e.data("weight")) / top) * (top > 1 ? 1 : 0.25), "line-color": c.edge, "curve-style": many ? "haystack" : "bezier", "control-point-step-size": 46,
        label: labelled ? "data(label)" : "", "font-size": 11, color: c.edge_text, "text-rotation": "autorotate", "min-zoomed-font-size": 7, "target-arrow-color": c.edge } },
      { selector: "edge[?directed]", style: { "target-arrow-shape": "triangle", "arrow-scale": 0.9 } },
      { selector: ".faded", style: { opacity: 0.22 } },
      { selector: ".off", style: { display: "none" } },
      { selector: "edge.over, edge.beside", style: { "line-color": c.link, label: "data(label)", color: c.ink, "target-arrow-color": c.link } },
      { selector: "node.over", style: { "overlay-color": c.accent, "overlay-opacity": 0.14, "overlay-padding": 5 } },
      { selector: "node:selected", style: { "border-width": 4, "border-color": c.accent, "underlay-color": c.accent, "underlay-opacity": 0.22, "underlay-padding": 8, "underlay-shape": "ellipse" } },
      { selector: "edge:selected", style: { "line-color": c.accent, label: "data(label)", color: c.ink, "target-arrow-color": c.accent, "z-index": 9 } },
    ]);
  }

  legend() {
    this.kinds?.remove();
    const counts = new Map();
    for (const n of this.scene.nodes) counts.set(n.kind, (counts.get(n.kind) ?? 0) + 1);
    this.kinds = make("div", "wb-kinds");
    this.kinds.setAttribute("role", "group"); this.kinds.setAttribute("aria-label", "Kinds: click to hide or show");
    for (const [kind, look] of Object.entries(this.scene.theme.kinds)) {
      if (!counts.has(kind)) continue;
      const disc = make("b", "", icon(look.icon, "#fff", 12)), row = make("button", "wb-kind", disc, make("span", "", look.word), make("i", "", counts.get(kind).toLocaleString("en-US")));
      row.type = "button"; row.title = "Hide or show"; disc.style.background = look.colour;
      row.setAttribute("aria-pressed", String(!this.off.has(kind)));
      row.addEventListener("click", () => { this.off.has(kind) ? this.off.delete(kind) : this.off.add(kind); row.setAttribute("aria-pressed", String(!this.off.has(kind))); this.hide(); });
      this.kinds.append(row);
    }
    if (counts.size) this.box.append(this.kinds);
  }

  hide() { this.cy.batch(() => this.cy.nodes().forEach(n => void n.toggleClass("off", this.off.has(n.data("kind"))))); }

  // --- what is chosen ---

  chose() {
    this.fade();
    if (this.quiet || this.waiting) return;
    this.waiting = true;   // a box selection fires once an element: tell Python once
    queueMicrotask(() => {
      this.waiting = false;
      if (this.cy.destroyed()) return;
      const ids = this.cy.$(":selected").map(x => x.id()).sort();
      if (JSON.stringify(ids) !== JSON.stringify([...(this.model.get("selected") ?? [])].sort())) { this.model.set("selected", ids); this.model.save_changes(); }
    });
  }

  select() {
    const wanted = new Set(this.model.get("selected") ?? []), { cy } = this;
    if (this.waiting) return;
    this.quiet = true;
    cy.batch(() => cy.elements().forEach(x => { wanted.has(x.id()) !== x.selected() && (wanted.has(x.id()) ? x.select() : x.unselect()); }));
    this.quiet = false;
    this.fade();
    const chosen = cy.$(":selected"), view = cy.extent();
    if (chosen.length && !chosen.some(x => { const b = x.boundingBox(); return b.x2 > view.x1 && b.x1 < view.x2 && b.y2 > view.y1 && b.y1 < view.y2; })) cy.center(chosen);
  }

  /** What is chosen and its neighbours stay bright, the rest steps back. */
  fade() {
    const { cy } = this, chosen = cy.$(":selected");
    cy.batch(() => {
      cy.elements().removeClass("faded beside");
      if (!chosen.length) return;
      const near = chosen.closedNeighborhood().union(chosen.edges().connectedNodes());
      cy.elements().difference(near).addClass("faded");
      chosen.nodes().connectedEdges().addClass("beside");
    });
  }

  resize() { this.cy.resize(); }
  remove() { this.box.removeEventListener("keydown", this.keys); this.cy.destroy(); this.scene = null; }
}

function render({ model, el }) {
  const style = make("style", "", css), stage = make("div", "wb-stage"), box = make("div", "wb-chart", stage);
  box.style.height = `${model.get("chart_height")}px`;
  box.tabIndex = 0; box.setAttribute("role", "application");
  box.setAttribute("aria-label", "Link chart. Arrow keys move it, plus and minus zoom, 0 shows everything, Escape clears the selection.");
  el.append(style, box);
  let chart = null;
  const stops = [whenSized(box, () => { chart = box.chart = new Chart(model, box, stage); }, () => chart.resize()), onScheme(() => chart && isDark(model) !== chart.dark && chart.scheme())];
  const events = { scene: () => chart?.draw(), selected: () => chart?.select(), dark: () => chart?.scheme(), chart_height: () => { box.style.height = `${model.get("chart_height")}px`; } };
  for (const [name, act] of Object.entries(events)) model.on(`change:${name}`, act);
  return () => {
    for (const [name, act] of Object.entries(events)) model.off(`change:${name}`, act);
    stops.forEach(stop => stop());
    chart?.remove(); chart = box.chart = null; box.remove(); style.remove();
  };
}

export default { render };

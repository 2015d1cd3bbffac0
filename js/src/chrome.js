// What stands around the map: the panel that is layer control and legend in one, and the words of tooltips. Text nodes only, never markup.
import { icon, make } from "./dom.js";
import { lineStyle, shades } from "./paint.js";

const LINE_WORD = { street: "street", river: "river", bridge: "bridge", track: "track", link: "link" };

export function panel(layers, scene, colours, open, toggled) {
  const box = make("details", "wb-panel", make("summary", "", "Layers"));
  box.open = open;
  for (const layer of layers.filter(l => !l.base)) box.append(entry(layer, scene, colours, toggled));
  const under = layers.filter(l => l.base);
  if (under.length) box.append(make("div", "wb-base", ...under.map(l => check(l, toggled))));
  return box;
}

function check(layer, toggled, row) {
  const input = make("input");
  input.type = "checkbox"; input.checked = layer.visible;
  input.addEventListener("change", () => { layer.visible = input.checked; row?.classList.toggle("wb-off", !input.checked); toggled(layer); });
  return make("label", "", input, make("span", "", layer.name));
}

function entry(layer, scene, colours, toggled) {
  const row = make("div", "wb-layer"), keys = make("div", "wb-keys");
  row.append(check(layer, toggled, row), keys);
  row.classList.toggle("wb-off", !layer.visible);
  if (layer.note) keys.append(make("div", "wb-note", layer.note));
  if (layer.missing) keys.append(make("div", "wb-note", `${layer.missing.toLocaleString("en-US")} without a position`));
  if (layer.scale) {
    if (layer.scale.unit) keys.append(make("div", "wb-unit", layer.scale.unit));
    const { alphas, labels } = layer.scale, fill = shades(layer.scale, colours);
    for (let k = fill.length - 1; k >= 0; k--) if (labels[k]) keys.append(key(swatch(fill[k], alphas[k]), labels[k]));
    if (layer.n_marked) keys.append(key(framed(colours.mark), layer.n_marked === 1 ? "marked cell" : `${layer.n_marked.toLocaleString("en-US")} marked cells`));
  } else if (layer.type === "points") {
    for (const [k, name] of layer.kinds.entries()) keys.append(key(disc(scene.theme.kinds[name]), `${scene.theme.kinds[name].word} (${count(layer, k)})`));
  } else if (layer.type === "lines") {
    const bar = make("i"); bar.style.cssText = `height:${layer.role === "track" ? 4 : 2.5}px;border-radius:2px;background:${lineStyle({ zoom: 13, metre: 0 }, colours, layer.role).line[0]}`;
    keys.append(key(bar, LINE_WORD[layer.role] ?? layer.role));
  } else keys.append(key(framed(layer.type === "wedges" ? colours.wedge : colours.area), layer.type === "wedges" ? "field of view" : layer.role));
  return row;
}

const key = (sample, text) => make("div", "wb-key", sample, make("span", "", text));
const count = (layer, k) => layer.kind.reduce((n, v) => n + (v === k), 0).toLocaleString("en-US");

function swatch(colour, alpha) { const s = make("i"); s.style.background = colour; s.style.opacity = Math.max(alpha, 0.25); return s; }
function framed(colour) { const s = make("i"); s.style.border = `2px solid ${colour}`; return s; }
function disc(look) { const s = make("b"); s.style.background = look.colour; s.append(icon(look.icon, "#fff", 11)); return s; }

const round = v => (v === 0 ? "0" : Math.abs(v) >= 100 ? Math.round(v).toLocaleString("en-US") : String(+v.toPrecision(3)));

/** The words of a tooltip: the feature's own text, else its value with its unit, else its id. */
export function words(found) {
  const { layer, i } = found[0];
  const own = layer.tips[i] || (layer.values?.length ? `${round(layer.values[i])} ${layer.scale.unit}`.trim() : layer.labels?.[i] || layer.ids?.[i] || "");
  const same = found.filter(f => layer.type === "points" && Math.abs(layer.x[f.i] - layer.x[i]) < 1e-9 && Math.abs(layer.y[f.i] - layer.y[i]) < 1e-9).length;
  return same > 1 ? `${own}\n${same - 1} more here: click again for the next` : own;
}

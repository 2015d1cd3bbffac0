// Paints prepared layers on a canvas. `v` is the view (surface.js), `c` the colours of the scheme, `kinds` the looks of kinds.
import { cellNumber, corner } from "./layers.js";

/** The colours of a scale's classes on this page. */
export const shades = (scale, c) => (c.dark ? scale.dark : scale.colours);

export function paint(g, v, c, layer, kinds) {
  g.save(); g.lineJoin = "round"; g.lineCap = "round";
  PAINT[layer.type](g, v, c, layer, kinds);
  g.restore();
}

const px = (v, x) => x * v.size - v.ox, py = (v, y) => y * v.size - v.oy;
const seen = (v, layer, i) => px(v, layer.box[4 * i]) < v.w + 20 && px(v, layer.box[4 * i + 2]) > -20 && py(v, layer.box[4 * i + 1]) < v.h + 20 && py(v, layer.box[4 * i + 3]) > -20;

/** Adds path i to the current path. */
function trace(g, v, layer, i, close) {
  const from = layer.starts[i], to = layer.starts[i + 1];
  for (let j = from; j < to; j++) j === from ? g.moveTo(px(v, layer.x[j]), py(v, layer.y[j])) : g.lineTo(px(v, layer.x[j]), py(v, layer.y[j]));
  if (close) g.closePath();
}

const PAINT = { cells, points, lines, areas, wedges };

// --- cells ---

function cells(g, v, c, layer) {
  if (layer.image) image(g, v, c, layer); else squares(g, v, c, layer);
  if (layer.n_marked) {
    for (const [colour, width] of [[c.halo, 4.5], [c.mark, 2.2]]) {
      g.strokeStyle = colour; g.lineWidth = width; g.lineCap = "square"; g.beginPath();
      for (let i = 0; i < layer.marked.n; i++) if (seen(v, layer.marked, i)) trace(g, v, layer.marked, i);
      g.stroke();
    }
  }
}

/** Pixel edges of columns and rows, rounded, so that neighbours meet without a seam. */
function edges(v, layer) {
  const xs = new Int32Array(layer.nx + 1), ys = new Int32Array(layer.ny + 1), k = v.sharp;
  for (let i = 0; i <= layer.nx; i++) xs[i] = Math.round(px(v, corner(layer, i, 0)[0]) * k);
  for (let j = 0; j <= layer.ny; j++) ys[j] = Math.round(py(v, corner(layer, 0, j)[1]) * k);
  return { xs, ys };
}

function squares(g, v, c, layer) {
  const { scale, classes, nx } = layer, fills = shades(scale, c), edge = layer.upright ? edges(v, layer) : null;
  for (let k = 0; k < fills.length; k++) {
    g.fillStyle = fills[k]; g.globalAlpha = scale.alphas[k]; g.beginPath();
    if (edge) g.setTransform(1, 0, 0, 1, 0, 0);
    for (let i = 0; i < layer.n; i++) {
      if (classes[i] !== k) continue;
      const cell = cellNumber(layer, i), column = cell % nx, row = (cell - column) / nx;
      if (edge) g.rect(edge.xs[column], edge.ys[row + 1], edge.xs[column + 1] - edge.xs[column], edge.ys[row] - edge.ys[row + 1]);
      else quad(g, v, layer, column, row);
    }
    g.fill();
    if (edge) g.setTransform(v.sharp, 0, 0, v.sharp, 0, 0);
  }
  g.globalAlpha = 1;
}

export function quad(g, v, layer, column, row) {
  [[0, 0], [1, 0], [1, 1], [0, 1]].forEach(([a, b], k) => {
    const [x, y] = corner(layer, column + a, row + b);
    k ? g.lineTo(px(v, x), py(v, y)) : g.moveTo(px(v, x), py(v, y));
  });
  g.closePath();
}

/** Many cells: one pixel each in a picture made once for its values, laid over the grid strip by strip. */
function image(g, v, c, layer) {
  const { nx, ny, m } = layer;
  if (!layer.picture || layer.pictured !== c.dark) {
    layer.pictured = c.dark;
    layer.picture = document.createElement("canvas"); layer.picture.width = nx; layer.picture.height = ny;
    const brush = layer.picture.getContext("2d"), pixels = brush.createImageData(nx, ny);
    const colours = shades(layer.scale, c).map((h, k) => [1, 3, 5].map(p => parseInt(h.slice(p, p + 2), 16)).concat(Math.round(layer.scale.alphas[k] * 255)));
    for (let i = 0; i < layer.n; i++) {
      if (layer.classes[i] === 255) continue;
      const cell = cellNumber(layer, i), column = cell % nx, row = (cell - column) / nx;
      pixels.data.set(colours[layer.classes[i]], 4 * ((ny - 1 - row) * nx + column));
    }
    brush.putImageData(pixels, 0, 0);
  }
  g.imageSmoothingEnabled = false;
  if (!layer.upright) {
    const [[ax, ay], [bx, by], [dx, dy]] = [corner(layer, 0, ny), corner(layer, nx, ny), corner(layer, 0, 0)].map(([x, y]) => [px(v, x), py(v, y)]);
    g.transform((bx - ax) / nx, (by - ay) / nx, (dx - ax) / ny, (dy - ay) / ny, ax, ay);
    g.drawImage(layer.picture, 0, 0);
    return;
  }
  g.setTransform(1, 0, 0, 1, 0, 0);
  const { xs, ys } = edges(v, layer), step = Math.max(1, Math.ceil(ny / (m - 1)));
  for (let row = 0; row < ny; row += step) {
    const top = Math.min(ny, row + step);
    g.drawImage(layer.picture, 0, ny - top, nx, top - row, xs[0], ys[top], xs[nx] - xs[0], ys[row] - ys[top]);
  }
}

// --- points ---

export function isLarge(v, layer) {
  if (layer.numbers.length) return true;
  let count = 0;
  for (let i = 0; i < layer.n; i++) {
    const x = px(v, layer.x[i]), y = py(v, layer.y[i]);
    if (x > 0 && y > 0 && x < v.w && y < v.h && ++count > 220) return false;
  }
  return v.zoom >= 13 || layer.n <= 60;
}

export const radius = (layer, i, large) => (large ? 9.5 : 4) * layer.size[i];

function points(g, v, c, layer, kinds) {
  const large = isLarge(v, layer), order = Array.from({ length: layer.n }, (_, i) => i);
  if (layer.size.length) order.sort((a, b) => layer.size[b] - layer.size[a] || b - a);
  g.globalAlpha = layer.faded ? 0.3 : 1;
  for (const i of order) point(g, v, c, layer, i, kinds, large);
}

export function point(g, v, c, layer, i, kinds, large, grow = 1) {
  const x = px(v, layer.x[i]), y = py(v, layer.y[i]), r = radius(layer, i, large) * grow;
  if (x < -30 || y < -30 || x > v.w + 30 || y > v.h + 30) return;
  const look = kinds[layer.kinds[layer.kind[i]]];
  g.beginPath(); g.arc(x, y, r + (large ? 1.6 : 1), 0, 2 * Math.PI); g.fillStyle = c.halo; g.fill();
  g.beginPath(); g.arc(x, y, r, 0, 2 * Math.PI); g.fillStyle = look.colour; g.fill();
  if (!large) return;
  g.fillStyle = "#fff";
  if (layer.numbers.length) {
    g.font = `700 ${Math.round(r * (layer.numbers[i] > 99 ? 0.85 : 1.1))}px ${c.font}`; g.textAlign = "center"; g.textBaseline = "middle";
    g.fillText(String(layer.numbers[i]), x, y + 0.5);
  } else {
    const k = r * 1.28 / 24;
    g.save(); g.translate(x - 12 * k, y - 12 * k); g.scale(k, k); g.fill(look.shape ??= new Path2D(look.icon), "evenodd"); g.restore();
  }
}

// --- lines ---

export function lineStyle(v, c, role) {
  const z = v.zoom, grow = (low, high) => low + (high - low) * Math.max(0, Math.min(1, (z - 11) / 6));
  switch (role) {
    case "street": return { casing: z >= 14 ? [c.street, grow(1, 9)] : null, line: [z >= 14 ? c.street_fill : c.street, z >= 14 ? grow(0.5, 7) : grow(0.45, 2)] };
    case "river": return { casing: [c.water_edge, Math.max(4.5, 120 * v.metre) + 1.6], line: [c.water, Math.max(4.5, 120 * v.metre)] };
    case "bridge": return { casing: [c.bridge, grow(4, 13)], line: [c.street_fill, grow(2, 10)], cap: "butt" };
    case "track": return { casing: [c.halo, 6], line: [c.track, 3] };
    default: return { casing: [c.halo, 3.6], line: [c.link, 1.8] };
  }
}

function lines(g, v, c, layer) {
  const style = lineStyle(v, c, layer.role);
  g.globalAlpha = layer.faded ? 0.3 : 1; if (style.cap) g.lineCap = style.cap;
  const bands = new Map();   // one stroke for all paths of the same width
  for (let i = 0; i < layer.n; i++) if (seen(v, layer, i)) {
    const w = width(layer, i); bands.has(w) ? bands.get(w).push(i) : bands.set(w, [i]);
  }
  const widths = [...bands.keys()].sort((a, b) => a - b);
  for (const part of ["casing", "line"]) for (const w of widths) {
    if (!style[part]) continue;
    g.strokeStyle = style[part][0] === c.street && w > 1.2 ? c.street_major : style[part][0]; g.lineWidth = style[part][1] * w; g.beginPath();
    for (const i of bands.get(w)) trace(g, v, layer, i);
    g.stroke();
  }
  if (layer.arrows) for (const i of [...bands.values()].flat()) arrows(g, v, layer, i, style.line[0], style.line[1] * width(layer, i));
}

/** Width of path i against the usual, in steps of a quarter so that equal ones share a stroke. */
export function width(layer, i) {
  if (!layer.weights.length) return 1;
  layer.top ??= layer.weights.reduce((a, b) => Math.max(a, b), 0) || 1;
  return Math.round(4 * (0.75 + 1.5 * Math.sqrt(Math.max(0, layer.weights[i]) / layer.top))) / 4;
}

export function arrows(g, v, layer, i, colour, w) {
  const gap = 90, reach = 5 + 1.6 * w;
  let carried = gap / 2;
  g.fillStyle = colour;
  for (let j = layer.starts[i] + 1; j < layer.starts[i + 1]; j++) {
    const x0 = px(v, layer.x[j - 1]), y0 = py(v, layer.y[j - 1]), x1 = px(v, layer.x[j]), y1 = py(v, layer.y[j]), length = Math.hypot(x1 - x0, y1 - y0);
    const turn = Math.atan2(y1 - y0, x1 - x0);
    let at = gap - carried;
    if (length > 24 && at > length) { at = length / 2; carried = -length / 2; }   // every longer leg shows its direction at least once
    for (; at <= length; at += gap) {
      const x = x0 + (x1 - x0) * at / length, y = y0 + (y1 - y0) * at / length;
      g.save(); g.translate(x, y); g.rotate(turn); g.beginPath(); g.moveTo(reach, 0); g.lineTo(-reach * 0.7, -reach * 0.75); g.lineTo(-reach * 0.35, 0); g.lineTo(-reach * 0.7, reach * 0.75);
      g.closePath(); g.fill(); g.restore();
    }
    carried = (carried + length) % gap;
  }
}

/** The part of a straight piece that lies on the canvas: its length, middle and turn; null when none does. */
function visible(v, x0, y0, x1, y1) {
  let from = 0, to = 1;
  for (const [p, d, size] of [[x0, x1 - x0, v.w], [y0, y1 - y0, v.h]]) {
    if (!d) { if (p < 0 || p > size) return null; continue; }
    const a = -p / d, b = (size - p) / d;
    from = Math.max(from, Math.min(a, b)); to = Math.min(to, Math.max(a, b));
  }
  const dx = x1 - x0, dy = y1 - y0, at = (from + to) / 2;
  return to > from ? { length: Math.hypot(dx, dy) * (to - from), x: x0 + dx * at, y: y0 + dy * at, turn: Math.atan2(dy, dx) } : null;
}

/** Street names along their longest straight piece, each name once where it fits. */
export function streetNames(g, v, c, layer, labels) {
  if (v.zoom < 14.75 || !layer.tips.length) return;
  g.font = `500 11px ${c.font}`; g.textAlign = "center"; g.textBaseline = "middle";
  const done = new Map();
  for (let i = 0; i < layer.n; i++) {
    if (!seen(v, layer, i)) continue;
    const text = layer.tips[i].split("\n", 1)[0];
    if (!text) continue;
    let best = null;
    for (let j = layer.starts[i] + 1; j < layer.starts[i + 1]; j++) {
      const part = visible(v, px(v, layer.x[j - 1]), py(v, layer.y[j - 1]), px(v, layer.x[j]), py(v, layer.y[j]));
      if (part && part.length > (best?.length ?? 0)) best = part;
    }
    const w = g.measureText(text).width;
    if (!best || best.length < w * 0.8 || (done.get(text) ?? []).some(([x, y]) => Math.hypot(x - best.x, y - best.y) < 320)) continue;
    const turn = Math.abs(best.turn) > Math.PI / 2 ? best.turn + Math.PI : best.turn, bw = Math.abs(Math.cos(turn)) * w + 12, bh = Math.abs(Math.sin(turn)) * w + 12;
    if (!labels.claim(best.x - bw / 2, best.y - bh / 2, bw, bh)) continue;
    done.set(text, [...(done.get(text) ?? []), [best.x, best.y]]);
    g.save(); g.translate(best.x, best.y); g.rotate(turn); halo(g, c, text, 0, 0, c.muted); g.restore();
  }
}

// --- areas and wedges ---

/** Width of the edge of tiles and of ribbons (pieces of street), which have their fill's colour. */
const EDGES = { tile: 0.3, ribbon: 2.5 };

function areas(g, v, c, layer) {
  const beat = layer.role === "beat", water = layer.role === "water" || layer.role === "river";
  for (let i = 0; i < layer.n; i++) {
    g.beginPath();
    for (let r = layer.parts[i]; r < layer.parts[i + 1]; r++) if (seen(v, layer, r)) trace(g, v, layer, r, true);
    if (water) { g.fillStyle = c.water; g.fill("evenodd"); g.strokeStyle = c.water_edge; g.lineWidth = 1; g.stroke(); continue; }
    const k = layer.classes?.[i];
    if (layer.scale && k !== 255) { g.globalAlpha = layer.scale.alphas[k] * 0.85; g.fillStyle = shades(layer.scale, c)[k]; g.fill("evenodd"); }
    else if (!beat && !layer.scale) { g.globalAlpha = 0.08; g.fillStyle = c.area; g.fill("evenodd"); }
    g.globalAlpha = 1;
    if (beat && !layer.scale) { g.setLineDash([6, 3, 1.5, 3]); g.strokeStyle = c.beat; g.lineWidth = v.zoom >= 13 ? 1.4 : 1; }
    else if (layer.scale && EDGES[layer.role]) {
      if (k === 255) continue;
      g.globalAlpha = layer.scale.alphas[k] * 0.85; g.strokeStyle = shades(layer.scale, c)[k]; g.lineWidth = EDGES[layer.role];
    } else { g.strokeStyle = c.area; g.lineWidth = beat ? 1 : 2; }
    g.stroke(); g.globalAlpha = 1;
  }
  g.setLineDash([]);
}

/** Names of areas, painted above everything else of the base, where they fit and do not collide. */
export function areaNames(g, v, c, layer, labels) {
  if (layer.role === "water" || layer.role === "river") return;
  g.font = `600 ${v.zoom >= 14 ? 13 : 11}px ${c.font}`; g.textAlign = "center"; g.textBaseline = "middle";
  for (let i = 0; i < layer.n; i++) {
    const text = layer.labels[i], w = text ? g.measureText(text).width : 0, x = px(v, layer.anchor[i].x), y = py(v, layer.anchor[i].y);
    if (!w || layer.anchor[i].w * v.size < w * 1.1 || !labels.claim(x - w / 2 - 3, y - 8, w + 6, 16)) continue;
    halo(g, c, text, x, y, layer.role === "beat" ? c.beat_label : c.ink);
  }
}

function halo(g, c, text, x, y, colour) {
  g.lineJoin = "round"; g.lineWidth = 3; g.strokeStyle = c.land; g.globalAlpha = 0.85; g.strokeText(text, x, y);
  g.globalAlpha = 1; g.fillStyle = colour; g.fillText(text, x, y);
}

function wedges(g, v, c, layer) {
  for (let i = 0; i < layer.n; i++) {
    if (!seen(v, layer, i)) continue;
    g.beginPath(); trace(g, v, layer, i, true);
    g.globalAlpha = layer.faded ? 0.07 : 0.2; g.fillStyle = c.wedge; g.fill();
    g.globalAlpha = layer.faded ? 0.3 : 0.9; g.strokeStyle = c.wedge; g.lineWidth = 1.5; g.stroke();
  }
  g.globalAlpha = 1;
}

// --- what is emphasised ---

/** Feature i of a layer once more, so that it cannot be overlooked; `strong` for chosen, else for under the pointer. */
export function emphasise(g, v, c, layer, i, kinds, strong) {
  g.save(); g.lineJoin = "round"; g.lineCap = "round";
  if (layer.type === "points") {
    const large = isLarge(v, layer), r = radius(layer, i, large) * 1.15, x = px(v, layer.x[i]), y = py(v, layer.y[i]);
    if (strong) { g.beginPath(); g.arc(x, y, r + 6.5, 0, 2 * Math.PI); g.strokeStyle = c.halo; g.lineWidth = 6; g.stroke(); g.strokeStyle = c.accent; g.lineWidth = 3; g.stroke(); }
    point(g, v, c, layer, i, kinds, large, 1.15);
  } else {
    g.beginPath();
    if (layer.type === "cells") { const cell = cellNumber(layer, i), column = cell % layer.nx; quad(g, v, layer, column, (cell - column) / layer.nx); }
    else if (layer.type === "areas") for (let r = layer.parts[i]; r < layer.parts[i + 1]; r++) trace(g, v, layer, r, true);
    else trace(g, v, layer, i, layer.type === "wedges");
    const line = layer.type === "lines" ? lineStyle(v, c, layer.role).line[1] * width(layer, i) : 0;
    g.strokeStyle = c.halo; g.lineWidth = line + (strong ? 7 : 4.5); g.stroke();
    g.strokeStyle = strong ? c.accent : c.ink; g.lineWidth = line + (strong ? 3.5 : 2); g.stroke();
    if (line && layer.arrows) arrows(g, v, layer, i, c.accent, line + 2);
  }
  g.restore();
}

/** Keeps labels from covering each other. */
export class Labels {
  taken = [];
  claim(x, y, w, h) {
    if (this.taken.some(([a, b, c, d]) => x < a + c && x + w > a && y < b + d && y + h > b)) return false;
    this.taken.push([x, y, w, h]);
    return true;
  }
}

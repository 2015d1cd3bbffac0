// What lies under the pointer: the topmost layer that can answer, and its features there.
import { cellAt, cellNumber, inside } from "./layers.js";
import { isLarge, radius, width } from "./paint.js";

const RANK = { points: 0, lines: 1, wedges: 2, areas: 3, cells: 4 };   // small things lie above large ones

/** [{layer, i}, ...] at a place given in pixels of view `v`; all of one layer, nearest first. */
export function find(layers, v, x, y) {
  const order = layers.map((layer, k) => ({ layer, k })).filter(({ layer }) => layer.visible && !layer.base).sort((a, b) => RANK[a.layer.type] - RANK[b.layer.type] || b.k - a.k);
  for (const { layer } of order) {
    const found = FIND[layer.type](layer, v, x, y);
    if (found.length) return found.map(i => ({ layer, i }));
  }
  return [];
}

/** "<layer>|<feature id>", or "" for what cannot be picked. */
export function idOf({ layer, i }) {
  if (layer.still) return "";
  const id = layer.type === "cells" ? cellNumber(layer, i) : layer.ids[i];
  return id === undefined || id === "" ? "" : `${layer.name}|${id}`;
}

const FIND = {
  points(layer, v, x, y) {
    const large = isLarge(v, layer), out = [];
    for (let i = 0; i < layer.n; i++) {
      const d = Math.hypot(layer.x[i] * v.size - v.ox - x, layer.y[i] * v.size - v.oy - y);
      if (d <= radius(layer, i, large) + 2.5) out.push([d, i]);
    }
    return out.sort((a, b) => a[0] - b[0]).map(o => o[1]);
  },
  lines(layer, v, x, y) {
    let best = -1, near = 6;
    for (let i = 0; i < layer.n; i++) for (let j = layer.starts[i] + 1; j < layer.starts[i + 1]; j++) {
      const ax = layer.x[j - 1] * v.size - v.ox, ay = layer.y[j - 1] * v.size - v.oy, dx = layer.x[j] * v.size - v.ox - ax, dy = layer.y[j] * v.size - v.oy - ay;
      const t = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1))), d = Math.hypot(ax + t * dx - x, ay + t * dy - y) - width(layer, i);
      if (d < near) { near = d; best = i; }
    }
    return best < 0 ? [] : [best];
  },
  wedges: within, areas: within,
  cells(layer, v, x, y) {
    const i = cellAt(layer, (x + v.ox) / v.size, (y + v.oy) / v.size);
    return i < 0 || (layer.classes[i] === 255 && !layer.tips[i]) ? [] : [i];
  },
};

function within(layer, v, x, y) {
  const out = [];
  for (let i = layer.n - 1; i >= 0; i--) if (inside(layer, i, (x + v.ox) / v.size, (y + v.oy) / v.size)) out.push(i);
  return out;
}

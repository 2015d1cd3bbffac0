// Turns the head and arrays of a scene into layers that can be painted and asked "what is here?".
import { worldX, worldY } from "./surface.js";

export function prepare(packet) {
  return packet.head.layers.map(head => ({ ...BUILD[head.type](head, packet.array), visible: true }));
}

function world(head, array) {
  const lon = array(head.lon), lat = array(head.lat), x = new Float64Array(lon.length), y = new Float64Array(lat.length);
  for (let i = 0; i < x.length; i++) { x[i] = worldX(lon[i]); y[i] = worldY(lat[i]); }
  return { x, y };
}

function paths(head, array) {
  const out = { ...world(head, array), starts: array(head.starts) };
  const n = out.starts.length - 1;
  out.box = new Float64Array(4 * n);
  for (let i = 0; i < n; i++) {
    let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
    for (let j = out.starts[i]; j < out.starts[i + 1]; j++) {
      x0 = Math.min(x0, out.x[j]); x1 = Math.max(x1, out.x[j]); y0 = Math.min(y0, out.y[j]); y1 = Math.max(y1, out.y[j]);
    }
    out.box.set([x0, y0, x1, y1], 4 * i);
  }
  return { ...out, n };
}

const BUILD = {
  cells(head, array) {
    const lattice = array(head.lattice), m = Math.round(Math.sqrt(lattice.length / 2)), x = new Float64Array(m * m), y = new Float64Array(m * m);
    for (let i = 0; i < m * m; i++) { x[i] = worldX(lattice[2 * i]); y[i] = worldY(lattice[2 * i + 1]); }
    const layer = { ...head, m, x, y, cells: head.cells ? array(head.cells) : null, marked: paths(head.marked, array) };
    layer.n = layer.cells ? layer.cells.length : head.nx * head.ny;
    layer.place = new Map();
    if (layer.cells) layer.cells.forEach((cell, i) => layer.place.set(cell, i));
    layer.upright = isUpright(layer);
    return colour(layer, head.scale, array(head.values));
  },
  points: (head, array) => ({ ...head, ...world(head, array), kind: array(head.kind), size: array(head.size), numbers: array(head.numbers), n: head.ids.length }),
  lines: (head, array) => ({ ...head, ...paths(head, array), weights: array(head.weights) }),
  wedges: (head, array) => ({ ...head, ...paths(head, array) }),
  areas(head, array) {
    const layer = { ...head, ...paths(head, array), parts: array(head.parts) };
    layer.rings = layer.n; layer.n = layer.parts.length - 1;
    layer.anchor = Array.from({ length: layer.n }, (_, i) => anchor(layer, i));
    return head.scale ? colour(layer, head.scale, array(head.values)) : layer;
  },
};

/** Gives a layer its values and the class of each; 255 is not painted. */
export function colour(layer, scale, values) {
  layer.scale = scale; layer.values = values; layer.picture = null;
  const classes = layer.classes = new Uint8Array(values.length), { breaks, floor } = scale;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (!Number.isFinite(v) || (floor && v <= 0)) { classes[i] = 255; continue; }
    let c = 0;
    while (c < breaks.length && v >= breaks[c]) c++;
    classes[i] = c;
  }
  return layer;
}

// --- cells: every place on the grid is found between the points of a coarse lattice ---

function isUpright({ m, x, y, nx, ny }) {
  const tiny = Math.min(Math.abs(x[m - 1] - x[0]) / nx, Math.abs(y[m * (m - 1)] - y[0]) / ny) / 20;
  for (let i = 0; i < m; i++) if (Math.abs(x[i * m] - x[0]) > tiny || Math.abs(y[i] - y[0]) > tiny) return false;
  return true;
}

/** World position of a grid corner (column, row counted from the south-west, fractions allowed). */
export function corner(layer, column, row) {
  const { m, x, y } = layer, u = column / layer.nx * (m - 1), v = row / layer.ny * (m - 1);
  const i = Math.max(0, Math.min(m - 2, Math.floor(u))), j = Math.max(0, Math.min(m - 2, Math.floor(v))), a = u - i, b = v - j, k = j * m + i;
  const at = z => (z[k] * (1 - a) + z[k + 1] * a) * (1 - b) + (z[k + m] * (1 - a) + z[k + m + 1] * a) * b;
  return [at(x), at(y)];
}

/** Index of the drawn cell at a world position, or -1. Two Newton steps on the lattice. */
export function cellAt(layer, wx, wy) {
  let column = layer.nx / 2, row = layer.ny / 2;
  for (let k = 0; k < 4; k++) {
    const [x, y] = corner(layer, column, row), [xc, yc] = corner(layer, column + 0.5, row), [xr, yr] = corner(layer, column, row + 0.5);
    const a = (xc - x) * 2, b = (xr - x) * 2, c = (yc - y) * 2, d = (yr - y) * 2, det = a * d - b * c;
    column = Math.max(-2, Math.min(layer.nx + 2, column + (d * (wx - x) - b * (wy - y)) / det));
    row = Math.max(-2, Math.min(layer.ny + 2, row + (a * (wy - y) - c * (wx - x)) / det));
  }
  const i = Math.floor(column), j = Math.floor(row);
  if (!(i >= 0 && j >= 0 && i < layer.nx && j < layer.ny)) return -1;
  const cell = j * layer.nx + i;
  return layer.cells ? layer.place.get(cell) ?? -1 : cell;
}

export const cellNumber = (layer, i) => (layer.cells ? layer.cells[i] : i);

// --- areas ---

/** Whether a world position lies in area i (even-odd over its rings). */
export function inside(layer, i, wx, wy) {
  let odd = false;
  for (let r = layer.parts ? layer.parts[i] : i; r < (layer.parts ? layer.parts[i + 1] : i + 1); r++) {
    const [x0, y0, x1, y1] = layer.box.subarray(4 * r, 4 * r + 4);
    if (wx < x0 || wx > x1 || wy < y0 || wy > y1) continue;
    for (let j = layer.starts[r], k = layer.starts[r + 1] - 1; j < layer.starts[r + 1]; k = j++) {
      const ya = layer.y[j], yb = layer.y[k];
      if ((ya > wy) !== (yb > wy) && wx < (layer.x[k] - layer.x[j]) * (wy - ya) / (yb - ya) + layer.x[j]) odd = !odd;
    }
  }
  return odd;
}

/** A place well inside area i for its label: the best of a small grid of candidates by distance to the edge. */
function anchor(layer, i) {
  const a = layer.parts[i], b = layer.parts[i + 1];
  let box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let r = a; r < b; r++) { const q = layer.box.subarray(4 * r, 4 * r + 4); box = [Math.min(box[0], q[0]), Math.min(box[1], q[1]), Math.max(box[2], q[2]), Math.max(box[3], q[3])]; }
  let best = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], far = -1;
  for (let u = 1; u < 8; u++) for (let v = 1; v < 8; v++) {
    const x = box[0] + (box[2] - box[0]) * u / 8, y = box[1] + (box[3] - box[1]) * v / 8;
    if (!inside(layer, i, x, y)) continue;
    let near = Infinity;
    for (let j = layer.starts[a]; j < layer.starts[b]; j++) near = Math.min(near, (layer.x[j] - x) ** 2 + (layer.y[j] - y) ** 2);
    if (near > far) { far = near; best = [x, y]; }
  }
  return { x: best[0], y: best[1], w: box[2] - box[0] };
}

// A canvas that Leaflet moves and zooms; what is on it is painted by one function.
import { DomUtil, Renderer } from "leaflet/dist/leaflet-src.esm.js";

export const Surface = Renderer.extend({
  initialize(paint, options) {
    this._layers = {};
    Renderer.prototype.initialize.call(this, { padding: 0.15, ...options });
    this._paint = paint;
  },
  _initContainer() {
    this._container = document.createElement("canvas");
    this._container.style.pointerEvents = "none";
    this._container.style.zIndex = this.options.order;
  },
  _destroyContainer() {
    cancelAnimationFrame(this._frame);
    this._container.width = this._container.height = 0;
    this._container.remove();
    this._container = null;
  },
  _update() {
    if (this._map._animatingZoom && this._bounds) return;
    Renderer.prototype._update.call(this);
    const size = this._bounds.getSize(), canvas = this._container, sharp = this._sharp = Math.min(3, window.devicePixelRatio || 1);
    DomUtil.setPosition(canvas, this._bounds.min);
    const w = Math.round(size.x * sharp), h = Math.round(size.y * sharp);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; canvas.style.width = size.x + "px"; canvas.style.height = size.y + "px"; }
    this.redraw();
  },
  /** Paint now. */
  redraw() {
    cancelAnimationFrame(this._frame); this._frame = 0;
    if (!this._map || !this._container) return;
    const g = this._container.getContext("2d");
    g.setTransform(1, 0, 0, 1, 0, 0); g.clearRect(0, 0, this._container.width, this._container.height);
    g.setTransform(this._sharp, 0, 0, this._sharp, 0, 0);
    const size = this._bounds.getSize();
    this._paint(g, { ...view(this._map, this._bounds.min), w: size.x, h: size.y, sharp: this._sharp });
  },
  /** Paint with the next frame, however often asked. */
  later() { if (!this._frame) this._frame = requestAnimationFrame(() => this.redraw()); },
});

/** How world coordinates (0..1, Mercator) become pixels from a corner given in layer points. */
export function view(map, corner) {
  const zoom = map.getZoom(), origin = map.getPixelOrigin(), size = 256 * 2 ** zoom, lat = map.getCenter().lat;
  return { zoom, size, ox: origin.x + corner.x, oy: origin.y + corner.y, metre: size / (40075016.7 * Math.cos(lat * Math.PI / 180)) };
}

export const worldX = lon => (lon + 180) / 360;
export const worldY = lat => 0.5 - Math.log(Math.tan(Math.PI / 4 + lat * Math.PI / 360)) / (2 * Math.PI);

// Reads the packets that workbench/views/scene.py writes: "WBS1", head length, JSON head, arrays.
const TYPES = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u1: Uint8Array, u4: Uint32Array };

/** A copy of the bytes, aligned, from whatever the host hands over (DataView, typed array, ArrayBuffer). */
function buffer(value) {
  if (!value) return null;
  if (value instanceof ArrayBuffer) return value;
  return value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength);
}

/** {head, array(ref)} of a packet, or null when there is none yet. */
export function read(value) {
  const bytes = buffer(value);
  if (!bytes || bytes.byteLength < 8) return null;
  const length = new DataView(bytes).getUint32(4, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
  return { head, array: ref => new TYPES[ref[0]](bytes, 8 + length + ref[1], ref[2]) };
}

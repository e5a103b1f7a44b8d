/* Grey pictures of 16 bits, which a canvas would round to 8. PNG (ISO/IEC 15948), not interlaced. */

const SIGNATURE = 8;
const HEADER = 8; // length and type, before a chunk's data
const CHECKSUM = 4;
const PIXEL = 2; // bytes

/**
 * Decode a 16-bit grey PNG.
 *
 * @param {string} base64 the file.
 * @returns {Promise<{width: number, height: number, values: Uint16Array}>}
 */
export async function grey16(base64) {
  const file = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(file.buffer);
  const data = [];
  let size;
  for (let at = SIGNATURE; at < file.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...file.subarray(at + 4, at + HEADER));
    const start = at + HEADER;
    if (type === "IHDR") size = [view.getUint32(start), view.getUint32(start + 4)];
    if (type === "IDAT") data.push(file.subarray(start, start + length));
    at = start + length + CHECKSUM;
  }
  const inflated = new Blob(data).stream().pipeThrough(new DecompressionStream("deflate"));
  const [width, height] = size;
  const values = unfiltered(new Uint8Array(await new Response(inflated).arrayBuffer()), width, height);
  return { width, height, values };
}

/** Undo the filter that each row begins with: it predicts a byte from those before and above. */
function unfiltered(bytes, width, height) {
  const stride = width * PIXEL;
  const values = new Uint16Array(width * height);
  let above = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const start = y * (stride + 1);
    const filter = bytes[start];
    const row = bytes.subarray(start + 1, start + 1 + stride);
    for (let i = 0; i < stride; i++) {
      const left = i < PIXEL ? 0 : row[i - PIXEL];
      const corner = i < PIXEL ? 0 : above[i - PIXEL];
      row[i] += [0, left, above[i], (left + above[i]) >> 1, paeth(left, above[i], corner)][filter];
    }
    for (let x = 0; x < width; x++) values[y * width + x] = (row[2 * x] << 8) | row[2 * x + 1];
    above = row;
  }
  return values;
}

function paeth(left, above, corner) {
  const [a, b, c] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs);
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

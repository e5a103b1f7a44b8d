/* Where the number of each region goes: inside of it, clear of the others. */

const SIDE = 256; // of the map that places are sought on
const STRETCH = 3; // labels are wide: a row counts as many columns

/**
 * A place for each region's label, small regions first.
 *
 * @param {Uint16Array} labels row by row.
 * @param {number} width
 * @param {number} height
 * @param {[number, number]} box width and height of a label, as shares of the picture's.
 * @returns {Map<number, {x: number, y: number, roomy: boolean}>} centres, as shares of the
 *   picture's sides, and whether the label fits there and keeps clear of the others.
 */
export function placeLabels(labels, width, height, box) {
  const scale = Math.min(1, SIDE / Math.max(width, height));
  const w = Math.max(1, Math.round(width * scale));
  const h = Math.max(1, Math.round(height * scale));
  const coarse = new Uint16Array(w * h);
  for (let y = 0; y < h; y++) {
    const row = Math.floor(((y + 0.5) * height) / h) * width;
    for (let x = 0; x < w; x++) coarse[y * w + x] = labels[row + Math.floor(((x + 0.5) * width) / w)];
  }
  const depth = interiorDepth(coarse, w, h);
  const members = new Map();
  coarse.forEach((label, i) => {
    if (!members.has(label)) members.set(label, []);
    members.get(label).push(i);
  });
  const taken = [];
  const places = new Map();
  for (const [label, pixels] of [...members].sort((a, b) => a[1].length - b[1].length)) {
    const clear = (i) =>
      taken.every(
        ([x, y]) =>
          Math.abs((i % w) - x) >= box[0] * w || Math.abs(Math.floor(i / w) - y) >= box[1] * h,
      );
    const open = pixels.filter(clear);
    const best = deepest(open.length ? open : pixels, depth, w);
    const [x, y] = [best % w, Math.floor(best / w)];
    taken.push([x, y]);
    const roomy = open.length > 0 && depth[best] >= (box[0] * w) / 2;
    places.set(label, { x: (x + 0.5) / w, y: (y + 0.5) / h, roomy });
  }
  return places;
}

/** The middle one of the pixels that are about as deep as any: wide regions are so along a line. */
function deepest(pixels, depth, width) {
  const most = pixels.reduce((deep, i) => Math.max(deep, depth[i]), 0);
  const deep = pixels.filter((i) => depth[i] >= 0.95 * most);
  const mean = (of) => deep.reduce((sum, i) => sum + of(i), 0) / deep.length;
  const [x, y] = [mean((i) => i % width), mean((i) => Math.floor(i / width))];
  const far = (i) => Math.abs((i % width) - x) + Math.abs(Math.floor(i / width) - y);
  return deep.reduce((a, b) => (far(b) < far(a) ? b : a));
}

/** How far each pixel is from the next region or the frame, about, by two passes of a chamfer. */
function interiorDepth(labels, width, height) {
  const steps = [[-1, 0, 1], [0, -1, STRETCH], [-1, -1, STRETCH + 0.5], [1, -1, STRETCH + 0.5]];
  const depth = new Float32Array(labels.length).fill(Infinity);
  const relax = (x, y, sign) => {
    const i = y * width + x;
    for (const [dx, dy, cost] of steps) {
      const [nx, ny] = [x + sign * dx, y + sign * dy];
      const outside = nx < 0 || ny < 0 || nx >= width || ny >= height;
      const j = ny * width + nx;
      const from = outside || labels[j] !== labels[i] ? 0 : depth[j];
      depth[i] = Math.min(depth[i], from + cost);
    }
  };
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) relax(x, y, 1);
  for (let y = height - 1; y >= 0; y--) for (let x = width - 1; x >= 0; x--) relax(x, y, -1);
  return depth;
}

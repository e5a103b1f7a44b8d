/* Outlines of regions that fit together: neighbours share every border point.

   A ring is traced along pixel edges, cut where three or more regions meet, and each piece is
   simplified on its own (Douglas-Peucker, 1973), in the same direction from either side. */

const TOLERANCE = 0.75; // of a pixel: just enough to turn the stairs of a diagonal into a line
const SHORTEST = 9; // pieces of fewer points stay as they are
export const UNITS = 10; // of a path, in a pixel

/**
 * Trace the outlines of every region of a label map.
 *
 * @param {Uint16Array} labels row by row.
 * @param {number} width
 * @param {number} height
 * @param {number} tolerance pixels by which a line may stray.
 * @returns {{shapes: Map<number, string>, borders: string}} SVG path data in tenths of a pixel.
 */
export function traceOutlines(labels, width, height, tolerance = TOLERANCE) {
  const stride = width + 1;
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? -1 : labels[y * width + x]);
  const cuts = junctions(at, width, height);
  const pieces = new Map();
  const shapes = new Map();
  for (const [label, edges] of edgesByRegion(at, width, height)) {
    const rings = ringsOf(edges).map((ring) =>
      cut(ring, cuts).flatMap((piece) => simplified(piece, stride, tolerance, pieces).slice(0, -1)),
    );
    shapes.set(label, rings.map((ring) => path(ring, stride, true)).join(""));
  }
  const inner = [...pieces.values()].filter((piece) => !onFrame(piece.edge, stride, height));
  return { shapes, borders: inner.map(({ line }) => path(line, stride, false)).join("") };
}

/** The lattice points where more than two border edges meet, and the picture's corners. */
function junctions(at, width, height) {
  const found = new Set([0, width, height * (width + 1), (height + 1) * (width + 1) - 1]);
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const [a, b, c, d] = [at(x - 1, y - 1), at(x, y - 1), at(x - 1, y), at(x, y)];
      if ((a !== b) + (c !== d) + (a !== c) + (b !== d) > 2) found.add(y * (width + 1) + x);
    }
  }
  return found;
}

/** For each region its edges, from lattice point to the points after it, region on the right. */
function edgesByRegion(at, width, height) {
  const regions = new Map();
  const add = (label, start, end) => {
    if (!regions.has(label)) regions.set(label, new Map());
    const edges = regions.get(label);
    if (edges.has(start)) edges.get(start).push(end);
    else edges.set(start, [end]);
  };
  const stride = width + 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const label = at(x, y);
      const corner = y * stride + x;
      if (at(x, y - 1) !== label) add(label, corner, corner + 1);
      if (at(x + 1, y) !== label) add(label, corner + 1, corner + stride + 1);
      if (at(x, y + 1) !== label) add(label, corner + stride + 1, corner + stride);
      if (at(x - 1, y) !== label) add(label, corner + stride, corner);
    }
  }
  return regions;
}

function ringsOf(edges) {
  const rings = [];
  for (const first of edges.keys()) {
    while (edges.get(first).length) {
      const ring = [];
      let point = first;
      while (edges.get(point).length) {
        ring.push(point);
        point = edges.get(point).pop();
      }
      rings.push(ring);
    }
  }
  return rings;
}

/** A ring's pieces between junctions, overlapping in their ends; one closed piece if it has none. */
function cut(ring, junctions) {
  const cuts = ring.flatMap((point, i) => (junctions.has(point) ? [i] : []));
  if (!cuts.length) cuts.push(ring.indexOf(ring.reduce((a, b) => Math.min(a, b))));
  const turned = [...ring.slice(cuts[0]), ...ring.slice(0, cuts[0]), ring[cuts[0]]];
  const bounds = [...cuts.map((i) => i - cuts[0]), ring.length];
  return bounds.slice(0, -1).map((start, i) => turned.slice(start, bounds[i + 1] + 1));
}

function simplified(piece, stride, tolerance, known) {
  const n = piece.length;
  const forward = piece[0] !== piece[n - 1] ? piece[0] < piece[n - 1] : piece[1] < piece[n - 2];
  const line = forward ? piece : piece.toReversed();
  const key = `${line[0]} ${line[1]}`; // an edge lies in one piece only
  if (!known.has(key)) {
    const short = tolerance <= 0 || n < SHORTEST;
    known.set(key, {
      line: short ? line : douglasPeucker(line, stride, tolerance),
      edge: [line[0], line[1]],
    });
  }
  const found = known.get(key).line;
  return forward ? found : found.toReversed();
}

function douglasPeucker(line, stride, tolerance) {
  const keep = new Uint8Array(line.length);
  keep[0] = keep[line.length - 1] = 1;
  const open = [[0, line.length - 1]];
  while (open.length) {
    const [start, end] = open.pop();
    const [x0, y0] = point(line[start], stride);
    const [x1, y1] = point(line[end], stride);
    const length = Math.hypot(x1 - x0, y1 - y0);
    let furthest = -1;
    let most = tolerance;
    for (let i = start + 1; i < end; i++) {
      const [x, y] = point(line[i], stride);
      const along = length ? ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length ** 2 : 0;
      const t = Math.min(1, Math.max(0, along));
      const distance = Math.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0));
      if (distance > most) [furthest, most] = [i, distance];
    }
    if (furthest < 0) continue;
    keep[furthest] = 1;
    open.push([start, furthest], [furthest, end]);
  }
  return line.filter((_, i) => keep[i]);
}

function point(lattice, stride) {
  return [lattice % stride, Math.floor(lattice / stride)];
}

function onFrame([first, second], stride, height) {
  const [x0, y0] = point(first, stride);
  const [x1, y1] = point(second, stride);
  return (x0 === x1 && (x0 === 0 || x0 === stride - 1)) || (y0 === y1 && (y0 === 0 || y0 === height));
}

function path(line, stride, closed) {
  const [[x0, y0], ...rest] = line.map((lattice) => point(lattice, stride).map((v) => v * UNITS));
  return `M${x0} ${y0}L${rest.map(([x, y]) => `${x} ${y}`).join(" ")}${closed ? "z" : ""}`;
}

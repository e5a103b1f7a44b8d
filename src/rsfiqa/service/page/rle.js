/* Masks as COCO's compressed run-length encoding, to a label map. */

const FIRST = 48; // the character that stands for 0

/**
 * The runs of a mask, outside and inside in turn, down the columns from left to right.
 *
 * A character holds five bits of a number, lowest first, and whether more follow; the last one's
 * highest bit is the sign. From the fourth on, a run is told as its difference to the last but one.
 *
 * @param {string} counts
 * @returns {number[]}
 */
export function runsOf(counts) {
  const runs = [];
  for (let at = 0; at < counts.length; ) {
    let value = 0;
    let scale = 1; // no shifts: they would wrap at 32 bits
    let bits;
    do {
      bits = counts.charCodeAt(at++) - FIRST;
      value += (bits & 31) * scale;
      scale *= 32;
    } while (bits & 32);
    if (bits & 16) value -= scale;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

/**
 * The label map of regions at a size of choice, by nearest neighbour.
 *
 * @param {{size: [number, number], counts: string}[]} masks of all regions, which cover the picture.
 * @param {number} width no more than the masks'.
 * @param {number} height likewise.
 * @returns {Uint16Array} the region of each pixel, row by row.
 */
export function labelMap(masks, width, height) {
  const [fullHeight, fullWidth] = masks[0].size;
  const columns = firstAtOrAfter(fullWidth, width);
  const rows = firstAtOrAfter(fullHeight, height);
  const labels = new Uint16Array(width * height);
  masks.forEach(({ counts }, label) => {
    let end = 0;
    runsOf(counts).forEach((run, i) => {
      const start = end;
      end += run;
      if (i % 2 === 0) return;
      const last = Math.ceil(end / fullHeight);
      for (let x = Math.floor(start / fullHeight); x < last; x++) {
        if (columns[x] === columns[x + 1]) continue; // no sample lies in this column
        const top = rows[Math.max(0, start - x * fullHeight)];
        const bottom = rows[Math.min(fullHeight, end - x * fullHeight)];
        for (let column = columns[x]; column < columns[x + 1]; column++) {
          for (let row = top; row < bottom; row++) labels[row * width + column] = label;
        }
      }
    });
  });
  return labels;
}

/** For every position in full, the first sample whose centre lies in it or behind it. */
function firstAtOrAfter(full, samples) {
  const first = new Int32Array(full + 1).fill(samples);
  for (let i = samples - 1; i >= 0; i--) first[Math.floor(((i + 0.5) * full) / samples)] = i;
  for (let at = full - 1; at >= 0; at--) first[at] = Math.min(first[at], first[at + 1]);
  return first;
}

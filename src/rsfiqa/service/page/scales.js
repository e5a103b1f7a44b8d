/* The colour scales of rsfiqa/report/palette.py, which says why they are these: for every number on
   0..1 a colour, interpolated between anchors in OKLab (B. Ottosson, 2020). */

const TO_LMS = [
  [0.4122214708, 0.5363325363, 0.0514459929],
  [0.2119034982, 0.6806995451, 0.1073969566],
  [0.0883024619, 0.2817188376, 0.6299787005],
];
const FROM_LMS = [
  [4.0767416621, -3.3077115913, 0.2309699292],
  [-1.2684380046, 2.6097574011, -0.3413193965],
  [-0.0041960863, -0.7034186147, 1.707614701],
];
const TO_LAB = [
  [0.2104542553, 0.793617785, -0.0040720468],
  [1.9779984951, -2.428592205, 0.4505937099],
  [0.0259040371, 0.7827717662, -0.808675766],
];
const FROM_LAB = [
  [1, 0.3963377774, 0.2158037573],
  [1, -0.1055613458, -0.0638541728],
  [1, -0.0894841775, -1.291485548],
];
const STEPS = 256;

class ColorScale {
  /** @param {string[]} anchors as "#rrggbb", evenly spaced from 0 to 1. */
  constructor(anchors) {
    const lab = anchors.map((anchor) => toLab(bytesOf(anchor)));
    /** @type {number[][]} the scale in 256 steps, red, green and blue of 0..255. */
    this.table = Array.from({ length: STEPS }, (_, i) => {
      const at = (i / (STEPS - 1)) * (lab.length - 1);
      const before = Math.min(lab.length - 2, Math.floor(at));
      const t = at - before;
      return toBytes(lab[before].map((value, c) => value * (1 - t) + lab[before + 1][c] * t));
    });
  }

  /** The colour of a number on 0..1; numbers outside get the end colours. */
  color(value) {
    return this.table[Math.round(Math.min(1, Math.max(0, value)) * (STEPS - 1))];
  }

  hex(value) {
    return `#${this.color(value).map((v) => v.toString(16).padStart(2, "0")).join("")}`;
  }

  /** Near-black or white: whichever contrasts more with the colour of a number. */
  ink(value) {
    const [r, g, b] = this.color(value).map(toLinear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#141416" : "#ffffff";
  }

  /** The scale from left to right in CSS. */
  gradient(stops = 17) {
    const colors = Array.from({ length: stops }, (_, i) => this.hex(i / (stops - 1)));
    return `linear-gradient(90deg, ${colors.join(", ")})`;
  }
}

function times(matrix, vector) {
  return matrix.map((row) => row.reduce((sum, value, i) => sum + value * vector[i], 0));
}

function bytesOf(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function toLab(bytes) {
  return times(TO_LAB, times(TO_LMS, bytes.map(toLinear)).map(Math.cbrt));
}

function toBytes(lab) {
  const linear = times(FROM_LMS, times(FROM_LAB, lab).map((value) => value ** 3));
  return linear.map((value) => {
    const v = Math.min(1, Math.max(0, value));
    return Math.round(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
  });
}

function toLinear(byte) {
  const v = byte / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}

/** Scores: 0 (bad) at 0, 100 (excellent) at 1. */
export const QUALITY = new ColorScale(["#842709", "#de7529", "#f2e4c9", "#5ea5d2", "#0c4a8e"]);

/** Attention: none at 0, the most at 1. */
export const HEAT = new ColorScale([
  "#0d0620", "#54136b", "#a72a68", "#e8553f", "#fba238", "#fcf4ae",
]);

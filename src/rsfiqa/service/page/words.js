/* Numbers in words, as the report and the printed lines say them. */

export const LEVELS = ["excellent", "good", "fair", "poor", "bad"];

/** What the dimensions are called; all so that 5 is best. */
export const DIMENSIONS = {
  color: "Colour",
  noise: "Noise",
  artifact: "Artifacts",
  blur: "Sharpness",
  overall: "Overall",
};

/** The level of a score on 0..100. */
export function levelOfScore(score) {
  return LEVELS[4 - Math.min(4, Math.max(0, Math.floor(score / 20)))];
}

/** The level nearest to a rating on 1..5. */
export function levelOfRating(value) {
  return LEVELS[[4.5, 3.5, 2.5, 1.5].filter((edge) => value < edge).length];
}

/** A score as text, never rounded over the edge of its level. */
export function scoreText(score, digits = 0) {
  return textWithin(levelOfScore, score, digits);
}

/** A rating as text, never rounded over the edge of its level. */
export function ratingText(value) {
  return textWithin(levelOfRating, value, 1);
}

function textWithin(levelOf, value, digits) {
  const rounded = Number(value.toFixed(digits));
  const over = levelOf(rounded) !== levelOf(value);
  return (over ? rounded - 10 ** -digits : rounded).toFixed(digits);
}

/** How sure a rating is: "good 78 %, fair 20 %"; nothing where only its mean is known. */
export function probabilitiesText(levels) {
  if (!levels) return null;
  return LEVELS.flatMap((level, i) =>
    levels[i] >= 0.05 ? [`${level} ${(100 * levels[i]).toFixed(0)} %`] : [],
  ).join(", ");
}

/** Numbers rounded so that what is shown adds up to the shown total: largest remainder method. */
export function apportion(values, total, digits) {
  const units = values.map((value) => value * 10 ** digits);
  const shown = units.map((value) => Math.floor(value + 1e-9));
  let missing = Math.round(total * 10 ** digits) - shown.reduce((a, b) => a + b, 0);
  const order = units.map((_, i) => i).sort((a, b) => shown[a] - units[a] - (shown[b] - units[b]));
  for (const i of order) if (missing-- > 0) shown[i] += 1;
  return shown.map((value) => (value / 10 ** digits).toFixed(digits));
}

export function capitalized(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** A number of bytes as people say it: "2.4 MB". */
export function bytesText(bytes) {
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return `${Number((bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0))} MB`;
}

/** What a region is called in a sentence: what it shows, or its number. */
export function regionName(region) {
  return region.description ? `“${region.description}”` : `region ${region.id}`;
}

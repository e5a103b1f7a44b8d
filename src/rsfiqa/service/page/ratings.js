/* Ratings as bars with words and numbers. */

import { h } from "./elements.js";
import { QUALITY } from "./scales.js";
import { DIMENSIONS, levelOfRating, probabilitiesText, ratingText } from "./words.js";

const SCALE = "1 (bad) to 5 (excellent)";

/**
 * A list of ratings.
 *
 * @param {object} values 1..5 by dimension.
 * @param {object | undefined} levels probabilities of the five levels by dimension, where known.
 * @param {string} of what they are of: "of the picture".
 */
export function ratingList(values, levels, of) {
  const items = Object.entries(DIMENSIONS).map(([dimension, name]) => {
    const value = values[dimension];
    return h(
      "li.rating",
      { title: probabilitiesText(levels?.[dimension]) },
      h("span.rating-name", {}, name),
      " ",
      bar((value - 1) / 4),
      " ",
      h("span.rating-value", {}, h("b", {}, ratingText(value)), ` ${levelOfRating(value)}`),
    );
  });
  return h("ul.ratings", { "aria-label": `Ratings ${of}, ${SCALE}` }, items);
}

/** A bar for a share of 0..1, in the colour of its quality. */
export function bar(share) {
  const style = { width: `${(100 * share).toFixed(1)}%`, background: QUALITY.hex(share) };
  return h("span.bar", { "aria-hidden": "true" }, h("span", { style }));
}

/** A small square in the colour of a score on 0..100. */
export function swatch(score) {
  return h("span.swatch", { style: { background: QUALITY.hex(score / 100) } });
}

/** The score on its colour, with its level. */
export function badge(score, text, level) {
  const style = { background: QUALITY.hex(score / 100), color: QUALITY.ink(score / 100) };
  return h("p.badge", { style }, h("b", {}, text), h("span", {}, level));
}

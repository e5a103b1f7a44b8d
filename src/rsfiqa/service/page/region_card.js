/* What is told of the region under the pointer, the finger or the keyboard. */

import { h } from "./elements.js";
import { badge, ratingList } from "./ratings.js";
import { regionName, scoreText } from "./words.js";

const HINT = "Point at a region, touch it, or move through the regions with Tab and the arrow keys.";
const UNREAD = "Nobody read this region; its score comes from its pixels.";

/** The card's content where no region is chosen; `pin` chooses one. */
export function hintCard(answer, pin) {
  const worst = worstRegion(answer);
  const show = h(
    "button",
    { type: "button", on: { click: () => pin(String(worst.id)) } },
    "Show the worst region",
  );
  return [h("p.hint", {}, HINT), answer.regions.length > 1 && h("p", {}, show)];
}

/** The card's content for a region. */
export function regionCard(region) {
  return [
    h(
      "header",
      {},
      badge(region.score, scoreText(region.score, 1), region.level),
      h(
        "div",
        {},
        h(region.reading === "failed" ? "h3.unread" : "h3", {}, region.sentence),
        h("p.facts", {}, `Region ${region.id}; ${sharesText(region)}`),
      ),
    ),
    region.ratings && ratingList(region.ratings, region.levels, `of ${regionName(region)}`),
    region.reading === "absent" && h("p.said", {}, UNREAD),
  ];
}

/** What is told of a region at once, for who cannot see it. */
export function regionLabel(region) {
  const score = `Score ${scoreText(region.score, 1)}, ${region.level}; ${sharesText(region)}`;
  return `Region ${region.id}. ${region.sentence} ${score}`;
}

export function worstRegion(answer) {
  return answer.regions.reduce((worst, region) => (region.score < worst.score ? region : worst));
}

function sharesText(region) {
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const points = (region.weight * region.score).toFixed(1);
  return `${percent(region.area)} of the picture, ${percent(region.weight)} of the weight: ${points} points`;
}

/* What is told of the region under the pointer, the finger or the keyboard. */

import { h } from "./elements.js";
import { badge, ratingList } from "./ratings.js";
import { capitalized, regionName, scoreText } from "./words.js";

const HINT = "Point at a region, touch it, or move through the regions with Tab and the arrow keys.";

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
        h("h3", {}, region.description ? capitalized(region.description) : `Region ${region.id}`),
        h("p.facts", {}, `${region.description ? `Region ${region.id}; ` : ""}${sharesText(region)}`),
      ),
    ),
    region.ratings
      ? ratingList(region.ratings, region.levels, `of ${regionName(region)}`)
      : h(region.reading === "failed" ? "p.said.unread" : "p.said", {}, unreadText(region)),
  ];
}

/** A region in one sentence, for who cannot see it. */
export function regionLabel(region) {
  const shows = region.description ? `, ${region.description}` : "";
  const text = `Region ${region.id}${shows}: score ${scoreText(region.score, 1)}, ${region.level}; `;
  return text + sharesText(region) + (region.reading === "failed" ? `; ${unreadText(region)}` : "");
}

export function worstRegion(answer) {
  return answer.regions.reduce((worst, region) => (region.score < worst.score ? region : worst));
}

function sharesText(region) {
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const points = (region.weight * region.score).toFixed(1);
  return `${percent(region.area)} of the picture, ${percent(region.weight)} of the weight: ${points} points`;
}

function unreadText(region) {
  if (region.reading !== "failed") return "Nobody read this region; its score comes from its pixels.";
  return `It could not be read: ${region.reading_reason ?? "no reason is known"}`;
}

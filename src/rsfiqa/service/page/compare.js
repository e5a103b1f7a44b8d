/* Two pictures side by side, and how they differ in words and numbers. */

import { h } from "./elements.js";
import { setLayer, switchesOf } from "./picture_view.js";
import { worstRegion } from "./region_card.js";
import { DIMENSIONS, levelOfRating, ratingText, regionName, scoreText } from "./words.js";

const SAME_SCORE = 1; // point
const SAME_RATING = 0.1; // of a level

/**
 * What differs between two answers.
 *
 * @param {{name: string, answer: object}} a
 * @param {{name: string, answer: object}} b
 * @returns {{sentences: string[], rows: {name: string, texts: [string, string], difference: string}[]}}
 */
export function differences(a, b) {
  const [first, second] = [a.answer, b.answer];
  const rows = [
    {
      name: "Score",
      texts: [first, second].map((it) => `${scoreText(it.score, 1)} ${it.level}`),
      difference: changeText(second.score - first.score, SAME_SCORE),
    },
  ];
  if (first.ratings && second.ratings) {
    for (const [dimension, name] of Object.entries(DIMENSIONS)) {
      const values = [first.ratings[dimension], second.ratings[dimension]];
      rows.push({
        name,
        texts: values.map((value) => `${ratingText(value)} ${levelOfRating(value)}`),
        difference: changeText(values[1] - values[0], SAME_RATING),
      });
    }
  }
  const worst = [worstRegion(first), worstRegion(second)];
  rows.push({
    name: "Worst region",
    texts: worst.map(worstText),
    difference: changeText(worst[1].score - worst[0].score, SAME_SCORE),
  });
  return { sentences: [scoreSentence(a, b), ratingSentence(a, b)].filter(Boolean), rows };
}

/** The section about two pictures that are done, around their articles. */
export function comparison([a, b], views, close) {
  const { sentences, rows } = differences(a, b);
  setLayer(views[1], switchesOf(views[0]));
  for (const [view, other] of [views, views.toReversed()]) {
    view.addEventListener("layer", (event) => {
      if (view.parentElement === other.parentElement) setLayer(other, event.detail);
    });
  }
  return h(
    "section.comparison",
    { "aria-labelledby": "comparison-title" },
    h(
      "header",
      {},
      h("h2", { id: "comparison-title", tabindex: -1 }, "Side by side"),
      h("button", { type: "button", on: { click: close } }, "End comparison"),
    ),
    sentences.map((sentence) => h("p.summary", {}, sentence)),
    table(rows, [a, b]),
    h("div.pair", {}, views),
  );
}

function table(rows, pictures) {
  return h(
    "table.differences",
    {},
    h("caption.unseen", {}, "Differences"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("td"),
        pictures.map(({ name }) => h("th", { scope: "col" }, h("bdi", {}, name))),
        h("th", { scope: "col" }, "Difference"),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map(({ name, texts, difference }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, name),
          texts.map((text) => h("td", {}, text)),
          h("td", {}, difference),
        ),
      ),
    ),
  );
}

function changeText(change, same) {
  if (Math.abs(change) < same) return "about the same";
  return `${change > 0 ? "+" : "−"}${Math.abs(change).toFixed(1)} ${change > 0 ? "better" : "worse"}`;
}

function worstText(region) {
  const weight = (100 * region.weight).toFixed(0);
  return `${regionName(region)}: ${scoreText(region.score, 1)} ${region.level}, ${weight} % of the weight`;
}

function scoreSentence(a, b) {
  const gap = b.answer.score - a.answer.score;
  const [better, worse] = gap >= 0 ? [b, a] : [a, b];
  const [high, low] = [better, worse].map(({ answer }) => scoreText(answer.score, 1));
  if (Math.abs(gap) < SAME_SCORE) {
    return `The two score about the same: ${scoreText(a.answer.score, 1)} and ${scoreText(b.answer.score, 1)}.`;
  }
  const text = `${better.name} is better by ${Math.abs(gap).toFixed(1)} points (${high} against ${low}).`;
  const [above, below] = [better.answer.interval, worse.answer.interval];
  const overlap = above && below && above[0] <= below[1];
  return overlap ? `${text} Their 90 % intervals overlap: people may rank them the other way.` : text;
}

function ratingSentence(a, b) {
  const [first, second] = [a.answer.ratings, b.answer.ratings];
  if (!first || !second) return null;
  const changes = Object.keys(DIMENSIONS)
    .filter((dimension) => dimension !== "overall")
    .map((dimension) => ({ dimension, change: second[dimension] - first[dimension] }))
    .filter(({ change }) => Math.abs(change) >= SAME_RATING)
    .sort((x, y) => Math.abs(y.change) - Math.abs(x.change));
  if (!changes.length) return "Their ratings are about the same.";
  const parts = changes.slice(0, 2).map(({ dimension, change }) => {
    const winner = change > 0 ? b : a;
    const [high, low] = [first, second].map((r) => r[dimension]).sort((x, y) => y - x);
    const name = DIMENSIONS[dimension].toLowerCase();
    return `${name} (${ratingText(high)} against ${ratingText(low)}, better in ${winner.name})`;
  });
  return `Their ratings differ most in ${parts.join(" and ")}.`;
}

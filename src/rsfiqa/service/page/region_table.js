/* All regions as a table: the same in numbers, heaviest first. */

import { h } from "./elements.js";
import { bar, ratingList, swatch } from "./ratings.js";
import { makeSortable } from "./tables.js";
import { apportion, regionName, scoreText } from "./words.js";

const CAPTION =
  "Regions, heaviest first: contribution = weight × score; the contributions add up to the picture’s score.";

/** The table of an answer's regions. */
export function regionTable(answer) {
  const { regions } = answer;
  const areas = apportion(regions.map((region) => 100 * region.area), 100, 1);
  const weights = apportion(regions.map((region) => 100 * region.weight), 100, 1);
  const parts = apportion(regions.map((region) => region.weight * region.score), answer.score, 2);
  const column = (name, sort) => h("th", { scope: "col", "aria-sort": sort }, name);
  const table = h(
    "table",
    {},
    h("caption", {}, CAPTION),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        column("Region"),
        column("Score"),
        column("Area %"),
        column("Weight %", "descending"),
        column("Contrib."),
      ),
    ),
    regions
      .map((region, i) => ({ region, i }))
      .sort((a, b) => b.region.weight - a.region.weight || a.i - b.i)
      .map(({ region, i }) => body(region, areas[i], weights[i], parts[i])),
    h(
      "tfoot",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "row" }, "Picture"),
        [scoreText(answer.score, 1), "100.0", "100.0", answer.score.toFixed(2)].map((text) =>
          h("td", {}, text),
        ),
      ),
    ),
  );
  makeSortable(table);
  return table;
}

function body(region, area, weight, part) {
  return h(
    "tbody",
    { "data-region": region.id },
    h(
      "tr",
      {},
      h("th", { scope: "row" }, swatch(region.score), String(region.id)),
      h("td", {}, bar(region.score / 100), scoreText(region.score, 1)),
      [area, weight, part].map((text) => h("td", {}, text)),
    ),
    region.reading !== "absent" && h("tr.detail", {}, h("td", { colspan: 5 }, detail(region))),
  );
}

function detail(region) {
  if (region.reading === "failed") return h("p.said.unread", {}, region.sentence);
  return [
    h("p.said", {}, region.sentence),
    ratingList(region.ratings, region.levels, `of ${regionName(region)}`),
  ];
}

/* A picture with its regions over it: the same elements that the report is made of. */

import { h, s } from "./elements.js";
import { traceOutlines, UNITS } from "./outlines.js";
import { placeLabels } from "./places.js";
import { regionLabel } from "./region_card.js";
import { labelMap } from "./rle.js";
import { QUALITY } from "./scales.js";
import { DIMENSIONS, levelOfRating, levelOfScore, ratingText, scoreText } from "./words.js";

const SIDE = 800; // pixels of the map that outlines are drawn on
const SMALL = 256; // pictures below are shown pixel by pixel
const TAG = [62 / SIDE, 18 / SIDE];

/**
 * The figure of an assessed picture.
 *
 * @param {object} answer of the API, with masks.
 * @param {string} url of the picture.
 * @param {string} anchor what the ids of its elements start with.
 * @returns {HTMLElement}
 */
export function canvasOf(answer, url, anchor) {
  const scale = Math.min(1, SIDE / Math.max(answer.width, answer.height));
  const width = Math.max(1, Math.round(answer.width * scale));
  const height = Math.max(1, Math.round(answer.height * scale));
  const labels = labelMap(answer.regions.map((region) => region.mask), width, height);
  const small = Math.max(answer.width, answer.height) < SMALL;
  const outlines = traceOutlines(labels, width, height, small ? 0 : undefined);
  const shown = answer.regions.filter((region) => outlines.shapes.has(region.id));
  const alt = `${answer.image}, ${scoreText(answer.score)} of 100`;
  return h(
    small ? "figure.canvas.pixels" : "figure.canvas",
    { style: { "--w": answer.width, "--h": answer.height } },
    h("img.photo", { src: url, alt }),
    h("canvas.attention", {
      role: "img",
      "aria-label": `Heat map over ${answer.image}: where its score comes from`,
    }),
    s(
      "svg",
      {
        viewBox: `0 0 ${width * UNITS} ${height * UNITS}`,
        preserveAspectRatio: "none",
        role: "group",
        "aria-label": "Regions of the picture",
      },
      definitions(outlines, anchor),
      layersOf(shown, anchor),
      s("use.edge.dark", { href: `#${anchor}-borders` }),
      s("use.edge.light", { href: `#${anchor}-borders` }),
      s("g.regions", {}, shown.map((region) => regionUse(region, anchor))),
      s("use.spot"),
    ),
    h("div.tags", { "aria-hidden": "true" }, tagsOf(answer, labels, width, height)),
  );
}

function definitions({ shapes, borders }, anchor) {
  const line = { "vector-effect": "non-scaling-stroke" };
  const hatch = (level, size, stroke, d) =>
    s(
      "pattern",
      { id: `${anchor}-${level}`, width: size, height: size, patternUnits: "userSpaceOnUse" },
      s("path.hatch", { "stroke-width": stroke, d }),
    );
  return s(
    "defs",
    {},
    [...shapes].map(([id, d]) =>
      s("path", { id: `${anchor}-r${id}`, "fill-rule": "evenodd", d, ...line }),
    ),
    s("path", { id: `${anchor}-borders`, d: borders, ...line }),
    hatch("poor", 130, 16, "M0 130L130 0"),
    hatch("bad", 80, 14, "M0 80L80 0M0 0L80 80"),
  );
}

/** A group of coloured regions for the scores and for each dimension that was rated. */
function layersOf(regions, anchor) {
  const layer = (name, value, share, levelOf) =>
    s(
      `g.tints.${name}`,
      {},
      regions.flatMap((region) => {
        const number = value(region);
        if (number === undefined) return [];
        const href = `#${anchor}-r${region.id}`;
        const level = levelOf(number);
        const hatched = ["poor", "bad"].includes(level);
        return [
          s("use", { href, fill: QUALITY.hex(share(number)) }),
          hatched && s("use.hatched", { href, fill: `url(#${anchor}-${level})` }),
        ];
      }),
    );
  const rated = regions.some((region) => region.ratings);
  return [
    layer("quality", (region) => region.score, (score) => score / 100, levelOfScore),
    ...(rated ? Object.keys(DIMENSIONS) : []).map((dimension) =>
      layer(dimension, (region) => region.ratings?.[dimension], (v) => (v - 1) / 4, levelOfRating),
    ),
  ];
}

function regionUse(region, anchor) {
  return s("use.region", {
    href: `#${anchor}-r${region.id}`,
    "data-region": region.id,
    tabindex: 0,
    role: "button",
    "aria-label": regionLabel(region),
  });
}

function tagsOf(answer, labels, width, height) {
  // Labels are as many pixels high whatever the picture's shape is.
  const box = [(TAG[0] * SIDE) / width, (TAG[1] * SIDE) / height];
  const number = (classes, share, text) =>
    h(`i.${classes}`, { style: { background: QUALITY.hex(share), color: QUALITY.ink(share) } }, text);
  return [...placeLabels(labels, width, height, box)].map(([id, place]) => {
    const { score, ratings } = answer.regions[id];
    return h(
      place.roomy ? "span.tag" : "span.tag.small",
      { "data-region": id, style: { left: `${100 * place.x}%`, top: `${100 * place.y}%` } },
      h("b", {}, String(id)),
      number("scored", score / 100, scoreText(score)),
      Object.entries(ratings ?? {}).map(([dimension, value]) =>
        number(`rated.${dimension}`, (value - 1) / 4, ratingText(value)),
      ),
    );
  });
}

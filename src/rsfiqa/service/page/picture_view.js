/* One assessed picture: its head, its layers, what is told of its regions, its table. */

import { drawAttention } from "./attention.js";
import { canvasOf } from "./canvas.js";
import { saveJson, saveOverlay, saveReport } from "./downloads.js";
import { h } from "./elements.js";
import { badge, ratingList } from "./ratings.js";
import { hintCard, regionCard } from "./region_card.js";
import { regionTable } from "./region_table.js";
import { linkRegions } from "./regions.js";
import { count, DIMENSIONS, scoreText } from "./words.js";

/**
 * The article about a picture that is done.
 *
 * @param {import("./work.js").Picture} picture
 * @returns {HTMLElement} sends "layer" when its switches change; see `setLayer`.
 */
export function pictureView(picture) {
  const { answer } = picture;
  const anchor = `p${picture.number}`;
  const figure = canvasOf(answer, picture.url, anchor);
  const card = h("section.region-card", { "aria-label": "The region chosen" });
  const ends = h("span", {}, "most");
  const view = h(
    "article.picture",
    { id: anchor, "aria-labelledby": `${anchor}-title` },
    head(picture, anchor),
    h("p.summary", {}, answer.summary),
    answer.notes && h("ul.notes", {}, answer.notes.map((note) => h("li", {}, note))),
    answer.ratings && ratingList(answer.ratings, undefined, "of the picture"),
    h(
      "div.columns",
      {},
      h("div.view", {}, controls(answer, anchor), figure, legends(ends)),
      h(
        "div.numbers",
        {},
        card,
        h("details", { open: true }, h("summary", {}, "All regions"), regionTable(answer)),
      ),
    ),
  );

  const pin = linkRegions(view, (region) => {
    const told = region && answer.regions[Number(region.dataset.region)];
    card.replaceChildren(...(told ? regionCard(told) : hintCard(answer, pin)).filter(Boolean));
    // Never smaller again: what lies below would move away from under the pointer.
    card.style.setProperty("min-height", `${card.offsetHeight}px`);
  });
  card.replaceChildren(...hintCard(answer, pin).filter(Boolean));
  view.addEventListener("change", (event) => {
    if (event.target.value === "attention") showAttention();
    view.dispatchEvent(new CustomEvent("layer", { detail: switchesOf(view), bubbles: true }));
  });
  figure.querySelector(".photo").addEventListener("error", () => {
    figure.querySelector(".photo").hidden = true;
    figure.before(
      h("p.notes", {}, "This browser does not show pictures of this kind; its regions follow without it."),
    );
    setLayer(view, { layer: "quality", borders: true });
  });

  let drawn = false;
  async function showAttention() {
    if (drawn) return;
    drawn = true;
    const most = await drawAttention(figure.querySelector(".attention"), answer.maps.attention);
    ends.textContent = `${most.toFixed(1)} or more`;
  }
  return view;
}

/** Which layer is shown, and whether borders are. */
export function switchesOf(view) {
  return {
    layer: view.querySelector(".segments input:checked").value,
    borders: view.querySelector("input[value=borders]").checked,
  };
}

/** Show a layer; one that the picture does not have leaves it as it is. */
export function setLayer(view, { layer, borders }) {
  view.querySelector("input[value=borders]").checked = borders;
  const input = view.querySelector(`.segments input[value=${layer}]`);
  if (!input || input.checked) return;
  input.checked = true;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function head(picture, anchor) {
  const { answer } = picture;
  return h(
    "header.picture-head",
    {},
    badge(answer.score, scoreText(answer.score, 1), answer.level),
    h(
      "div.titles",
      {},
      h("h2", { id: `${anchor}-title`, tabindex: -1 }, h("bdi", {}, picture.name)),
      h("p.facts", {}, facts(answer)),
    ),
    h(
      "div.actions",
      { role: "group", "aria-label": "Download" },
      h("button", { type: "button", on: { click: () => saveJson(picture) } }, "JSON"),
      download("Overlay", (view, signal) => {
        const { layer } = switchesOf(view);
        return saveOverlay(picture, ["attention", "quality"].includes(layer) ? layer : "regions", signal);
      }),
      download("Report", (_, signal) => saveReport(picture, signal)),
    ),
  );
}

/** A button whose file the server has to make first; a second click gives up. */
function download(name, save) {
  const told = h("span.told", { role: "status" });
  let running = null;
  const click = async () => {
    if (running) {
      running.abort();
      return;
    }
    running = new AbortController();
    button.setAttribute("aria-busy", "true");
    told.textContent = "";
    try {
      await save(button.closest(".picture"), running.signal);
    } catch (error) {
      if (!running.signal.aborted) told.textContent = error.message;
    } finally {
      running = null;
      button.removeAttribute("aria-busy");
    }
  };
  const button = h("button", { type: "button", on: { click } }, name);
  return [button, told];
}

function facts(answer) {
  const failed = answer.regions.filter((region) => region.reading === "failed").length;
  let text = `${answer.width} × ${answer.height} pixels, ${count(answer.regions.length, "region")}`;
  if (failed) text += `, ${failed} of them could not be read`;
  if (answer.interval) {
    const [low, high] = answer.interval.map((value) => value.toFixed(0));
    text += `; 90 % interval of the score ${low} to ${high}`;
  }
  return text;
}

function controls(answer, anchor) {
  const layers = { photo: "Photo", quality: "Score", attention: "Attention" };
  if (answer.ratings) Object.assign(layers, DIMENSIONS);
  return h(
    "div.controls",
    {},
    h(
      "fieldset.segments",
      {},
      h("legend", {}, "Show"),
      Object.entries(layers).map(([value, name]) =>
        h(
          "label",
          {},
          h("input", { type: "radio", name: `${anchor}-layer`, value, checked: value === "photo" }),
          h("span", {}, name),
        ),
      ),
    ),
    h(
      "label.check",
      {},
      h("input", { type: "checkbox", value: "borders", checked: true }),
      " Borders and numbers",
    ),
  );
}

function legends(ends) {
  const spans = (texts) => texts.map((text) => h("span", {}, text));
  return [
    h(
      "div.legend.quality-legend",
      {
        role: "img",
        "aria-label":
          "Colour scale of scores and ratings: orange is bad, sand is fair, blue is excellent. " +
          "Poor regions are hatched, bad ones cross-hatched.",
      },
      h("div.words", {}, spans(["bad", "poor", "fair", "good", "excellent"])),
      h("div.ticks.scored", {}, spans(["0", "20", "40", "60", "80", "100"])),
      h("div.ticks.rated", {}, spans(["1", "2", "3", "4", "5"])),
      h("p.key", {}, "Poor regions are hatched, bad ones cross-hatched; regions that were not read stay grey."),
    ),
    h(
      "div.legend.attention-legend",
      { role: "img", "aria-label": "Colour scale of attention: dark is none, pale yellow is most." },
      h("div.words"),
      h("div.ticks", {}, h("span", {}, "0"), h("span", {}, "share of the score, relative to area (1 = even)"), ends),
    ),
  ];
}

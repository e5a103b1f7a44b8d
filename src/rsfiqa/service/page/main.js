/* The page of `rsfiqa serve`. */

import { listenForPictures } from "./intake.js";
import { models, showKey } from "./requests.js";
import { HEAT, QUALITY } from "./scales.js";
import { Stage } from "./stage.js";
import { Tray } from "./tray.js";
import { bytesText, capitalized, scoreText } from "./words.js";
import { Work } from "./work.js";

const find = (selector) => document.querySelector(selector);
const root = document.documentElement;
root.style.setProperty("--quality-scale", QUALITY.gradient());
root.style.setProperty("--attention-scale", HEAT.gradient());

const work = new Work();
const stage = new Stage(find("#stage"), work, (pictures) => tray.mark(pictures));
const tray = new Tray(find("#tray ol"), work, (picture) => {
  stage.show(picture);
  find("#stage h2").focus({ preventScroll: true });
  find("#stage").scrollIntoView({ block: "nearest" });
});

listenForPictures(find("#zone"), find("#choose"), (files, folders) => {
  for (const file of files) work.add(file);
  for (const name of folders) work.refuse(name, `${name} is a folder; drop the pictures in it.`);
});

work.addEventListener("change", ({ detail: picture }) => {
  root.classList.add("started");
  if (picture.state === "done") {
    const { score, level } = picture.answer;
    announce(`${picture.name}: ${scoreText(score, 1)}, ${level}.`);
    if (!stage.shown.length) stage.show(picture);
  }
  if (picture.state === "failed") announce(`${picture.name}: ${picture.sentence}`);
  if (picture.wantsKey) askForKey();
});

function announce(text) {
  find("#status").textContent = text;
}

// Theme
const theme = find("#theme");
theme.value = root.dataset.theme ?? "system";
theme.addEventListener("change", () => {
  if (theme.value === "system") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
  try {
    localStorage.setItem("rsfiqa-theme", theme.value);
  } catch {
    // Storage is forbidden here: it lasts as long as the page.
  }
});

// Reading
const reads = find("#reads");
reads.addEventListener("change", () => {
  work.reads = reads.checked;
});

// Key
const keyForm = find("#key");
function askForKey() {
  if (!keyForm.hidden) return;
  keyForm.hidden = false;
  keyForm.querySelector("input").focus();
}
keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  showKey(keyForm.querySelector("input").value);
  keyForm.hidden = true;
  introduce();
  for (const picture of work.pictures) if (picture.wantsKey) work.retry(picture);
});

/** Say what assesses here, and within which limits. */
async function introduce() {
  try {
    const { models: [model], limits } = await models();
    work.limits = limits;
    const megapixels = Math.round(limits.max_pixels / 1e6);
    find("#limits").textContent =
      `Each up to ${bytesText(limits.max_bytes)} and ${megapixels || "under 1"} megapixel${megapixels === 1 ? "" : "s"}.`;
    find("#model").textContent =
      `rsfiqa ${model.version}: segmenter ${model.segmenter}, reader ${model.reader}, scorer ${model.scorer}.`;
    reads.closest("label").hidden = !model.reads;
  } catch (error) {
    if (error.wantsKey) askForKey();
    else find("#limits").textContent = capitalized(error.message);
  }
}
introduce();

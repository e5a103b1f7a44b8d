/* The list of pictures: how far each one is, and what can be done about it. */

import { h } from "./elements.js";
import { bar } from "./ratings.js";
import { scoreText } from "./words.js";

const THUMBNAIL = 320; // pixels along its long side

/** The card of each picture in a list; `onShow` is called when one that is done is chosen. */
export class Tray {
  #cards = new Map();

  constructor(list, work, onShow) {
    this.list = list;
    this.work = work;
    this.onShow = onShow;
    work.addEventListener("change", (event) => this.#update(event.detail));
    work.addEventListener("remove", (event) => this.#remove(event.detail));
    setInterval(() => this.#tick(), 1000);
  }

  /** Mark the cards of the pictures that are shown. */
  mark(pictures) {
    for (const [picture, { card }] of this.#cards) {
      const shown = pictures.includes(picture);
      card.classList.toggle("shown", shown);
      const button = card.querySelector(".open");
      if (shown) button?.setAttribute("aria-current", "true");
      else button?.removeAttribute("aria-current");
    }
  }

  #update(picture) {
    if (!this.#cards.has(picture)) this.#cards.set(picture, this.#add(picture));
    const parts = this.#cards.get(picture);
    const { card, says } = parts;
    if (card.dataset.state === picture.state && picture.active) {
      this.#say(picture, says);
      return;
    }
    const focused = card.contains(document.activeElement);
    card.dataset.state = picture.state;
    card.querySelector(".state").replaceChildren(...this.#state(picture, says).filter(Boolean));
    const open = card.querySelector(".open");
    open.disabled = picture.state !== "done";
    this.#say(picture, says);
    if (focused && !card.contains(document.activeElement)) card.querySelector("button:enabled")?.focus();
  }

  #add(picture) {
    const thumbnail = h("canvas.thumbnail", { width: 4, height: 3, "aria-hidden": "true" });
    drawThumbnail(thumbnail, picture.file);
    const open = h(
      "button.open",
      { type: "button", on: { click: () => this.onShow(picture) } },
      thumbnail,
      h("span.card-name", {}, h("bdi", { title: picture.name }, picture.name)),
    );
    const card = h("li.card", {}, open, h("div.state"));
    this.list.append(card);
    return { card, says: h("span.says") };
  }

  #remove(picture) {
    const card = this.#cards.get(picture)?.card;
    const next = card?.nextElementSibling ?? card?.previousElementSibling;
    const focused = card?.contains(document.activeElement);
    card?.remove();
    this.#cards.delete(picture);
    if (focused) (next?.querySelector("button:enabled") ?? document.querySelector("#choose")).focus();
  }

  #state(picture, says) {
    const { work } = this;
    const button = (text, act) =>
      h(
        "button.small",
        { type: "button", "aria-label": `${text}: ${picture.name}`, on: { click: () => act.call(work, picture) } },
        text,
      );
    if (picture.active) {
      const progress = h("progress", { max: 1, "aria-label": `Progress of ${picture.name}` });
      return [progress, says, button("Cancel", work.cancel)];
    }
    if (picture.state === "done") {
      const { score, level } = picture.answer;
      const text = h("span.card-score", {}, h("b", {}, scoreText(score, 1)), ` ${level}`);
      return [bar(score / 100), text, button("Remove", work.remove)];
    }
    const sentence = picture.state === "failed" ? picture.sentence : "Cancelled.";
    const again = picture.state === "cancelled" || picture.again;
    return [
      h("p.trouble", {}, sentence),
      again && button("Try again", work.retry),
      button("Remove", work.remove),
    ];
  }

  #say(picture, says) {
    const seconds = Math.floor((Date.now() - picture.since) / 1000);
    const left = Math.max(1, Math.ceil((picture.until - Date.now()) / 1000));
    const texts = {
      waiting: "waiting",
      sending: `sending ${Math.floor(100 * picture.sent)} %`,
      assessing: seconds ? `assessing, ${seconds} s` : "assessing",
      busy: `The server is busy; asking again in ${left} s.`,
    };
    says.textContent = texts[picture.state] ?? "";
    const progress = this.#cards.get(picture)?.card.querySelector("progress");
    if (progress && picture.state === "sending") progress.value = picture.sent;
    else progress?.removeAttribute("value");
  }

  #tick() {
    for (const [picture, { says }] of this.#cards) if (picture.active) this.#say(picture, says);
  }
}

async function drawThumbnail(canvas, file) {
  try {
    const whole = await createImageBitmap(file, { resizeWidth: THUMBNAIL, resizeQuality: "medium" });
    canvas.width = whole.width;
    canvas.height = whole.height;
    canvas.getContext("2d").drawImage(whole, 0, 0);
    whole.close();
  } catch {
    canvas.classList.add("none"); // not a picture, or none that this browser knows
  }
}

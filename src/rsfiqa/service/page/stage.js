/* What is shown below the list: one picture, or two side by side. */

import { comparison } from "./compare.js";
import { h } from "./elements.js";
import { pictureView } from "./picture_view.js";

/** The place where pictures are shown; `onChange` is told which ones are. */
export class Stage {
  #views = new Map();
  shown = [];

  constructor(place, work, onChange) {
    this.place = place;
    this.work = work;
    this.onChange = onChange;
    work.addEventListener("remove", (event) => this.#forget(event.detail));
    work.addEventListener("change", (event) => {
      if (event.detail.state === "done") this.#offer();
    });
  }

  /** Show a picture that is done, or two. */
  show(...pictures) {
    this.shown = pictures;
    const views = pictures.map((picture) => this.#view(picture));
    for (const view of views) view.querySelector("details").open = views.length === 1;
    if (pictures.length < 2) this.place.replaceChildren(...views);
    else this.place.replaceChildren(comparison(pictures, views, () => this.#end()));
    this.#offer();
    this.onChange(pictures);
  }

  #end() {
    const [first] = this.shown;
    this.show(first);
    this.#view(first).querySelector("h2").focus();
  }

  #view(picture) {
    if (!this.#views.has(picture)) this.#views.set(picture, pictureView(picture));
    return this.#views.get(picture);
  }

  #forget(picture) {
    this.#views.delete(picture);
    if (this.shown.includes(picture)) {
      const left = this.shown.filter((other) => other !== picture);
      const done = this.work.pictures.filter((other) => other.state === "done");
      this.show(...(left.length ? left : done.slice(-1)));
    } else this.#offer();
  }

  /** Offer the other pictures to compare the one shown with. */
  #offer() {
    for (const view of this.#views.values()) view.querySelector(".compare")?.remove();
    const [picture] = this.shown;
    const others = this.work.pictures.filter((p) => p.state === "done" && p !== picture);
    if (this.shown.length !== 1 || !others.length) return;
    const choose = (event) => {
      const other = others.find(({ number }) => String(number) === event.target.value);
      this.show(picture, other);
      this.place.querySelector("#comparison-title").focus();
    };
    const select = h(
      "select",
      { on: { change: choose } },
      h("option", { value: "" }, "…"),
      others.map(({ number, name }) => h("option", { value: number }, name)),
    );
    const label = h("label.compare", {}, "Compare with ", select);
    this.#view(picture).querySelector(".actions").before(label);
  }
}

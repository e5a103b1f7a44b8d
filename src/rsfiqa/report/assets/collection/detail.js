/* The enlarged view of one picture, and going on from there to the next. */

const dialog = document.getElementById("detail");

/**
 * Open a picture among others.
 *
 * @param {object[]} among those that the arrow keys go through.
 * @param {number} at which of them.
 */
export function openDetail(among, at) {
  const picture = among[at];
  const go = (step) => {
    const next = at + step;
    if (next >= 0 && next < among.length) openDetail(among, next);
  };
  dialog.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    go(step);
  };
  dialog.replaceChildren(
    make(
      "header",
      {},
      badge(picture),
      make("h2", { id: "detail-title", tabindex: -1 }, make("bdi", {}, picture.name)),
      picture.overlay ? regionsSwitch() : null,
      make("nav", { "aria-label": "Pictures" },
        make("button", { type: "button", disabled: at === 0, click: () => go(-1) }, "←", hidden("The one before")),
        make("span", { class: "quiet" }, `${(at + 1).toLocaleString("en")} of ${among.length.toLocaleString("en")}`),
        make("button", { type: "button", disabled: at === among.length - 1, click: () => go(1) }, "→", hidden("The next")),
        make("button", { type: "button", click: () => dialog.close() }, "Close"),
      ),
    ),
    make("div", { class: "detail-columns" }, enlarged(picture), make("div", {}, ...told(picture))),
  );
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("h2").focus();
}

/** The picture itself, where it was found; its thumbnail until it is there, or where it cannot be shown. */
function enlarged(picture) {
  const frame = thumbnail(picture);
  frame.classList.add("enlarged");
  if (picture.href) {
    const whole = make("img", { src: picture.href, alt: picture.name, class: "whole" });
    whole.addEventListener("error", () => whole.remove()); // a format that browsers do not show
    frame.querySelector("img:not(.overlay), .none").after(whole);
  }
  return frame;
}

function regionsSwitch() {
  const box = make("input", {
    type: "checkbox",
    checked: document.body.dataset.show === "regions",
    change: () => showThumbnails(box.checked ? "regions" : "photo"),
  });
  return make("label", { class: "check" }, box, "Regions");
}

function told(picture) {
  const facts = [`${picture.width} × ${picture.height} pixels`, counted(picture.regions, "region")];
  if (picture.unread) facts.push(`${picture.unread} of them could not be read`);
  if (picture.interval) facts.push(`90 % interval of the score ${picture.interval.map((end) => end.toFixed(0)).join(" to ")}`);
  if (words.sources.length > 1) facts.push(words.sources[picture.source]);
  return [
    picture.summary ? make("p", { class: "summary" }, picture.summary) : null,
    picture.familiar === false && !picture.summary ? make("p", {}, "Unlike the training pictures.") : null,
    picture.problems.length
      ? make("ul", { class: "found" }, ...picture.problems.map((problem) => make("li", {}, problemText(problem))))
      : null,
    picture.ratings ? make("ul", { class: "ratings" }, ...picture.ratings.map(ratingItem)) : null,
    make("p", { class: "quiet" }, facts.join(", ")),
    picture.href ? make("p", {}, make("a", { href: picture.href, target: "_blank", rel: "noopener" }, "Open the picture")) : null,
  ].filter((part) => part !== null);
}

function ratingItem(value, dimension) {
  const share = shareOfRating(value);
  const color = onScale(words.colors, share);
  return make(
    "li",
    { class: "rating" },
    make("span", { class: "rating-name" }, words.dimensions[dimension]),
    make("span", { class: "bar", "aria-hidden": "true" }, make("span", { style: { width: `${100 * share}%`, background: color } })),
    make("span", {}, make("b", {}, value.toFixed(1)), ` ${words.levels[levelOfRating(value)]}`),
  );
}

function hidden(text) {
  return make("span", { class: "unseen" }, text);
}

dialog?.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // the backdrop
});

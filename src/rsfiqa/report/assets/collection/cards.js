/* A picture as a small card, and its parts that the enlarged view has, too. */

/** The picture's thumbnail with its regions over it, as far as there are files of them. */
export function thumbnail(picture) {
  const frame = make("span", { class: "frame", style: { "--w": picture.width, "--h": picture.height } });
  if (picture.thumb) frame.append(make("img", { src: picture.thumb, alt: "", loading: "lazy", decoding: "async" }));
  else frame.append(make("span", { class: "none" }, "no thumbnail"));
  if (picture.overlay) frame.append(make("img", { class: "overlay", src: picture.overlay, alt: "", loading: "lazy", decoding: "async" }));
  return frame;
}

/** A score, or a rating, as a coloured field with its word. */
export function badge(picture) {
  const share = quality(picture);
  if (share < 0) return make("span", { class: "verdict none" }, "not read");
  const scored = picture.score !== null;
  const number = (scored ? picture.score : picture.ratings[OVERALL]).toFixed(1);
  const level = words.levels[scored ? levelOfScore(picture.score) : levelOfRating(picture.ratings[OVERALL])];
  const style = { background: onScale(words.colors, share), color: onScale(words.inks, share) };
  return make("span", { class: "verdict", style }, make("b", {}, number), ` ${level}`);
}

/** A problem in a line: "badly blurred, 31 %: dog, sky". */
export function problemText(problem) {
  const shown = problem.shown.length ? `: ${problem.shown.join(", ")}` : "";
  return `${words.faults[problem.dimension][problem.degree - 1]}, ${problem.area} %${shown}`;
}

function remarks(picture) {
  const lines = [];
  if (picture.familiar === false) lines.push("unfamiliar");
  if (picture.interval) lines.push(`${picture.interval[0].toFixed(0)} to ${picture.interval[1].toFixed(0)}`);
  return lines.join(", ");
}

/**
 * The card, an item of a list.
 *
 * @param {object} picture
 * @param {() => void} open what a click on it does.
 * @param {number} [dimension] whose problem is told, if it has one there; else its worst.
 */
export function cardOf(picture, open, dimension) {
  const problem = picture.problems.find((one) => one.dimension === dimension) ?? picture.problems[0];
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "card", title: picture.name, "data-picture": picture.index, click: open },
      thumbnail(picture),
      make("span", { class: "card-head" }, badge(picture), make("span", { class: "quiet" }, remarks(picture))),
      make("bdi", { class: "name" }, picture.name.split(/[\\/]/).pop()),
      make("span", { class: "trouble-line" }, problem ? problemText(problem) : picture.ratings ? "no problem found" : ""),
    ),
  );
}

/* Which pictures are wanted, and in which order: plain functions of what the form says. */

/** The orders, by name: what they are called, and which picture comes first. Missing numbers go last. */
const ORDERS = {
  worst: ["worst first", rising(quality)],
  best: ["best first", falling(quality)],
  widest: ["least certain first", falling((picture) => picture.spread ?? -1)],
  given: ["as in the results", () => 0],
  name: ["by path", (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)],
  ...Object.fromEntries(
    words.dimensions.map((name, i) => [
      `rated-${i}`,
      [`worst ${name.toLowerCase()} first`, rising((picture) => (picture.ratings ? picture.ratings[i] : -1))],
    ]),
  ),
};

/** What "rated" is compared by: the levels that are meant, counted from the best. */
const RATED = {
  bad: ["bad", (level) => level === 4],
  poor: ["poor or worse", (level) => level >= 3],
  fair: ["fair or worse", (level) => level >= 2],
  good: ["good or better", (level) => level <= 1],
  excellent: ["excellent", (level) => level === 0],
};

function rising(value) {
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    return x < 0 || y < 0 ? y - x : x - y;
  };
}

function falling(value) {
  return (a, b) => value(b) - value(a);
}

/** The pictures that are wanted, in the order that is wanted. */
export function chosen(wanted) {
  const tests = [];
  const number = (text) => (text.trim() === "" ? null : Number(text));
  const [low, high] = [number(wanted.low), number(wanted.high)];
  if (low !== null) tests.push((p) => p.score !== null && p.score >= low);
  if (high !== null) tests.push((p) => p.score !== null && p.score <= high);
  if (wanted.levels.length) tests.push((p) => p.score !== null && wanted.levels.includes(words.levels[levelOfScore(p.score)]));
  if (wanted.rated !== "") {
    const [, test] = RATED[wanted.at] ?? RATED.poor;
    tests.push((p) => p.ratings && test(levelOfRating(p.ratings[wanted.rated])));
  }
  if (wanted.problem === "none") tests.push((p) => p.ratings && !p.problems.length);
  else if (wanted.problem !== "") {
    const any = wanted.problem === "any";
    tests.push((p) =>
      p.problems.some((one) => (any || one.dimension === Number(wanted.problem)) && one.degree >= Number(wanted.degree)),
    );
  }
  if (wanted.familiar) tests.push((p) => p.familiar === (wanted.familiar === "yes"));
  if (wanted.source !== "") tests.push((p) => p.source === Number(wanted.source));
  for (const part of wanted.text.toLowerCase().split(/\s+/).filter(Boolean)) tests.push((p) => p.text.includes(part));
  const [, order] = ORDERS[wanted.sort] ?? ORDERS.worst;
  return pictures.filter((picture) => tests.every((test) => test(picture))).sort(order);
}

/* The pictures, as rsfiqa/report/collection/rows.py wrote them into the page. */

const words = JSON.parse(document.getElementById("words").textContent);

/** One object a picture, in the order of the results. */
const pictures = JSON.parse(document.getElementById("rows").textContent).map(
  ([name, href, thumb, overlay, width, height, score, interval, familiar, ratings, problems, contents, summary, source, regions, unread], index) => ({
    index,
    name,
    href,
    thumb: thumb && `${words.files}${thumb}.jpg`,
    overlay: overlay && `${words.files}${overlay}.png`,
    width,
    height,
    score,
    interval,
    spread: interval && interval[1] - interval[0],
    familiar,
    ratings,
    problems: problems.map(([dimension, degree, area, shown]) => ({ dimension, degree, area, shown })),
    text: `${name} ${contents}`.toLowerCase(),
    summary,
    source,
    regions,
    unread,
  }),
);

const OVERALL = words.dimensions.length - 1;

/** Quality on 0..1: of the score, or where there is none of the overall rating; -1 without both. */
export function quality(picture) {
  if (picture.score !== null) return picture.score / 100;
  return picture.ratings ? shareOfRating(picture.ratings[OVERALL]) : -1;
}

export function shareOfRating(rating) {
  return (rating - 1) / 4;
}

/** The level of a score on 0..100: its number in words.levels, which begins with the best. */
export function levelOfScore(score) {
  return 4 - Math.min(4, Math.max(0, Math.floor(score / 20)));
}

/** The level nearest to a rating on 1..5, likewise. */
export function levelOfRating(rating) {
  return [4.5, 3.5, 2.5, 1.5].filter((edge) => rating < edge).length;
}

/** A colour of the quality scale, or the ink that shows on it, for a number on 0..1. */
export function onScale(colors, share) {
  return colors[Math.round(Math.min(1, Math.max(0, share)) * (colors.length - 1))];
}

/* The report's own start. Without a script the page still shows everything: layers switch in CSS
   alone, and each region carries its numbers as a title. */

for (const picture of document.querySelectorAll(".picture")) {
  const readout = picture.querySelector(".readout");
  const hint = readout.textContent;
  linkRegions(picture, (region) => {
    readout.textContent = region ? region.getAttribute("aria-label") : hint;
  });
}
document.querySelectorAll(".numbers table").forEach(makeSortable);

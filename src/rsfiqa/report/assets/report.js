"use strict";

/* Links the regions in a picture with the rows of its table. Without this script the page still
   shows everything: layers switch in CSS alone, and each region carries its numbers as a title. */

function linkRegions(picture) {
  const figure = picture.querySelector(".canvas");
  const regions = [...picture.querySelectorAll(".region")];
  const rows = [...picture.querySelectorAll("tbody[data-region]")];
  const spot = picture.querySelector(".spot");
  const readout = picture.querySelector(".readout");
  const hint = readout.textContent;
  let pinned = null;

  function show(id) {
    figure.classList.toggle("active", id !== null);
    for (const element of picture.querySelectorAll("[data-region]")) {
      element.classList.toggle("on", element.dataset.region === id);
    }
    const region = regions.find((element) => element.dataset.region === id);
    // A copy on top: the outline of the region itself lies under its neighbours.
    spot.setAttribute("href", region ? region.getAttribute("href") : "");
    readout.textContent = region ? region.getAttribute("aria-label") : hint;
  }

  function pin(id) {
    pinned = pinned === id ? null : id;
    show(pinned);
  }

  for (const element of [...regions, ...rows]) {
    const id = element.dataset.region;
    element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(id));
    element.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(pinned));
    element.addEventListener("click", () => pin(id));
  }

  // One stop of the Tab key for the picture; the arrow keys move on from there.
  function focusRegion(index) {
    regions.forEach((element, i) => element.setAttribute("tabindex", i === index ? "0" : "-1"));
    regions[index].focus();
  }
  regions.forEach((region, index) => {
    region.querySelector("title").remove(); // the line under the picture says the same
    region.setAttribute("tabindex", index === 0 ? "0" : "-1");
    region.addEventListener("focus", () => show(region.dataset.region));
    region.addEventListener("blur", () => show(pinned));
    region.addEventListener("keydown", (event) => {
      const last = regions.length - 1;
      const targets = {
        ArrowRight: index === last ? 0 : index + 1,
        ArrowDown: index === last ? 0 : index + 1,
        ArrowLeft: index === 0 ? last : index - 1,
        ArrowUp: index === 0 ? last : index - 1,
        Home: 0,
        End: last,
      };
      if (event.key in targets) focusRegion(targets[event.key]);
      else if (event.key === "Enter" || event.key === " ") pin(region.dataset.region);
      else if (event.key === "Escape") { pinned = null; region.blur(); }
      else return;
      event.preventDefault();
    });
  });
}

function makeSortable(table) {
  const headings = [...table.querySelectorAll("thead th")];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (body) => parseFloat(body.rows[0].cells[column].textContent);
      [...table.querySelectorAll("tbody")]
        .sort((a, b) => (ascending ? value(a) - value(b) : value(b) - value(a)))
        .forEach((body) => table.insertBefore(body, table.tFoot));
    });
  });
}

document.querySelectorAll(".picture").forEach(linkRegions);
document.querySelectorAll(".numbers table").forEach(makeSortable);

/* Moving through the regions of a picture by pointer, touch and keyboard. */

/**
 * Link the regions in a picture with the rows of its table.
 *
 * @param {Element} picture holds `.canvas`, `.spot`, and by data-region `.region`, `.tag`, `tbody`.
 * @param {(region: Element | null) => void} tell called with the region to tell of, or none.
 * @returns {(id: string) => void} pins a region, as a click on it does.
 */
export function linkRegions(picture, tell) {
  const figure = picture.querySelector(".canvas");
  const regions = [...picture.querySelectorAll(".region")];
  const rows = [...picture.querySelectorAll("tbody[data-region]")];
  const spot = picture.querySelector(".spot");
  let pinned = null;

  function show(id) {
    figure.classList.toggle("active", id !== null);
    for (const element of picture.querySelectorAll("[data-region]")) {
      element.classList.toggle("on", element.dataset.region === id);
    }
    const region = regions.find((element) => element.dataset.region === id) ?? null;
    // A copy on top: the outline of the region itself lies under its neighbours.
    spot.setAttribute("href", region ? region.getAttribute("href") : "");
    tell(region);
  }

  function pin(id) {
    pinned = pinned === id ? null : id;
    for (const region of regions) {
      region.setAttribute("aria-pressed", String(region.dataset.region === pinned));
    }
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
    region.querySelector("title")?.remove(); // what is told says the same
    region.setAttribute("tabindex", index === 0 ? "0" : "-1");
    region.setAttribute("aria-pressed", "false");
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
      else if (event.key === "Escape") pin(null); // the focus stays where it is
      else return;
      event.preventDefault();
    });
  });
  return pin;
}

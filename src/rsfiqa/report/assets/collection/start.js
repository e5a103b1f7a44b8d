/* The page's start: strips of the pictures to look at first, and charts that lead to pictures. */

const STRIP = 16;

const STRIPS = [
  ["Worst", { sort: "worst" }, (picture) => quality(picture) >= 0],
  ["Best", { sort: "best" }, (picture) => quality(picture) >= 0],
  ["Least certain", { sort: "widest" }, (picture) => picture.interval],
  ["Unfamiliar", { sort: "worst", familiar: "no" }, (picture) => picture.familiar === false],
];

function strip([title, choice, belongs]) {
  const all = chosen({ text: "", low: "", high: "", rated: "", problem: "", familiar: "", source: "", levels: [], ...choice });
  const first = all.filter(belongs).slice(0, STRIP);
  if (!first.length) return null;
  return make(
    "section",
    { class: "strip", "aria-label": title },
    make("header", {}, make("h2", {}, title), make("button", { type: "button", class: "link", click: () => choose(choice) }, "all in this order")),
    make("ol", { class: "cards" }, ...first.map((picture, i) => cardOf(picture, () => openDetail(first, i)))),
  );
}

/** Let a part of a chart choose pictures, by pointer and keyboard. */
function leadsTo(element, label, choice) {
  const button = make("button", { type: "button", class: "link", title: `Show these pictures`, click: () => choose(choice) }, ...element.childNodes);
  button.setAttribute("aria-label", label);
  element.replaceChildren(button);
}

function startCharts() {
  for (const bin of document.querySelectorAll(".bin")) {
    // By pointer only: the levels and the score's two fields do the same by keyboard.
    const { low, high } = bin.dataset;
    const end = high === "100" ? high : String((Number(high) - 0.1).toFixed(1));
    bin.addEventListener("click", () => choose({ low, high: end }));
  }
  for (const row of document.querySelectorAll("tr[data-level]")) {
    const { level } = row.dataset;
    leadsTo(row.cells[0], `${level}: show these pictures`, { levels: [level] });
  }
  for (const row of document.querySelectorAll("tr[data-rated]")) {
    const name = row.cells[0].textContent;
    leadsTo(row.cells[0], `${name}: show the worst first`, { sort: `rated-${row.dataset.rated}` });
  }
  for (const row of document.querySelectorAll("tr[data-problem]")) {
    const { problem } = row.dataset;
    leadsTo(row.cells[0], `${row.cells[0].textContent}: show these pictures`, { problem });
    for (const content of row.querySelectorAll(".content")) {
      leadsTo(content, `${content.textContent}: show these pictures`, { problem, text: content.dataset.content });
    }
  }
}

const theme = document.getElementById("theme");
theme.closest("label").hidden = false;
theme.addEventListener("change", () => {
  document.documentElement.dataset.theme = theme.value;
});

if (pictures.length) {
  startCharts();
  startBrowsing();
  showThumbnails("regions");
  if (pictures.length > STRIP) {
    document.getElementById("strips").append(...STRIPS.map(strip).filter((part) => part !== null));
  }
  choose(fromAddress(), { scroll: location.hash.length > 1 });
  addEventListener("hashchange", () => choose(fromAddress(), { scroll: false }));
}

/* The form, the pages of cards it leads to, and the same in the page's address. */

const PAGE = 120;
const form = document.getElementById("choice");
const byId = (id) => document.getElementById(id);
const FIELDS = ["text", "sort", "low", "high", "rated", "at", "problem", "degree", "familiar", "source"];
const DEFAULTS = { sort: "worst", at: "poor", degree: "1" };

let shown = [];
let page = 0;

/** What the form says. */
function wanted() {
  const choice = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value]));
  choice.levels = [...form.querySelectorAll("[name=level]:checked")].map((box) => box.value);
  return choice;
}

/** Set what is given and leave the rest as the form has it by default, then show it. */
export function choose(choice, { scroll = true } = {}) {
  for (const name of FIELDS) form.elements[name].value = choice[name] ?? DEFAULTS[name] ?? "";
  for (const box of form.querySelectorAll("[name=level]")) box.checked = (choice.levels ?? []).includes(box.value);
  apply(Number(choice.page ?? 1) - 1);
  if (scroll) document.querySelector(".browse").scrollIntoView();
}

function apply(at = 0) {
  const choice = wanted();
  shown = chosen(choice);
  showPage(at);
  const all = pictures.length;
  byId("told").textContent = shown.length === all ? counted(all, "picture") : `${shown.length.toLocaleString("en")} of ${counted(all, "picture")}`;
  const filters = FIELDS.filter((name) => !["sort", "text", "at", "degree"].includes(name) && choice[name] !== "").length + (choice.levels.length ? 1 : 0);
  byId("active").textContent = filters ? `(${filters})` : "";
}

function showPage(at) {
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  page = Math.min(pages - 1, Math.max(0, at || 0));
  const start = page * PAGE;
  const asked = Number(form.elements.problem.value || NaN); // NaN, too, for "any" and "none"
  const cards = shown
    .slice(start, start + PAGE)
    .map((picture, i) => cardOf(picture, () => openDetail(shown, start + i), asked));
  byId("cards").replaceChildren(...cards);
  document.querySelector(".pager").hidden = pages === 1;
  byId("page").textContent = `Page ${page + 1} of ${pages}`;
  byId("before").disabled = page === 0;
  byId("after").disabled = page === pages - 1;
  keepAddress();
}

/** The choice as the address's end, so that a view can be kept, sent and gone back to. */
function keepAddress() {
  const choice = wanted();
  const parts = new URLSearchParams();
  for (const name of FIELDS) if (choice[name] !== (DEFAULTS[name] ?? "")) parts.set(name, choice[name]);
  if (choice.levels.length) parts.set("levels", choice.levels.join(","));
  if (page) parts.set("page", page + 1);
  history.replaceState(null, "", `#${parts}`);
}

export function fromAddress() {
  const parts = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  return { ...parts, levels: parts.levels?.split(",") };
}

/** Show plain photos, or the regions over them: here and in the enlarged view. */
export function showThumbnails(what) {
  document.body.dataset.show = form.elements.show.value = what;
}

function options(name, pairs) {
  form.elements[name].append(...pairs.map(([value, text]) => make("option", { value }, text)));
}

/** Fill the form with what there is to choose from, and listen to it. */
export function startBrowsing() {
  const orders = Object.entries(ORDERS).filter(
    ([name]) => (words.read || !name.startsWith("rated-")) && (name !== "widest" || pictures.some((p) => p.interval)),
  );
  options("sort", orders.map(([name, [text]]) => [name, text]));
  options("rated", [["", "any"], ...words.dimensions.map((name, i) => [i, name])]);
  options("at", Object.entries(RATED).map(([name, [text]]) => [name, text]));
  options("problem", [["", "all pictures"], ["any", "any problem"], ["none", "no problem found"], ...words.faults.map((texts, i) => [i, texts[1]])]);
  options("degree", [[1, "slightly or worse"], [2, "clearly or worse"], [3, "badly"]]);
  options("source", [["", "all"], ...words.sources.map((name, i) => [i, name])]);
  byId("levels").append(
    ...words.levels.map((level) => make("label", {}, make("input", { type: "checkbox", name: "level", value: level }), ` ${level}`)),
  );
  const has = { scored: words.scored, rated: words.read, several: words.sources.length > 1 };
  for (const [name, is] of Object.entries(has)) {
    for (const field of form.querySelectorAll(`.${name}`)) field.hidden = !is;
  }
  const view = form.elements.show;
  if (!pictures.some((picture) => picture.overlay)) view[0].closest("fieldset").hidden = true;
  form.addEventListener("change", (event) => {
    if (event.target.name === "show") showThumbnails(event.target.value);
    else apply();
  });
  let typing;
  form.addEventListener("input", (event) => {
    if (!["text", "low", "high"].includes(event.target.name)) return;
    clearTimeout(typing);
    typing = setTimeout(apply, 150);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    choose({ sort: form.elements.sort.value }, { scroll: false });
  });
  for (const [id, step] of [["before", -1], ["after", 1]]) {
    byId(id).addEventListener("click", () => {
      showPage(page + step);
      document.querySelector(".browse").scrollIntoView();
      byId("cards").querySelector("button")?.focus({ preventScroll: true });
    });
  }
  byId("cards").addEventListener("keydown", moveAmongCards);
  form.hidden = false;
  if (matchMedia("(min-width: 900px)").matches) byId("more").open = true;
}

/** The arrow keys go from card to card, up and down by rows. */
function moveAmongCards(event) {
  const cards = [...byId("cards").querySelectorAll(".card")];
  const at = cards.indexOf(event.target);
  if (at < 0) return;
  const tops = cards.map((card) => card.getBoundingClientRect().top);
  const columns = tops.filter((top) => top === tops[0]).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const to = event.key === "Home" ? 0 : event.key === "End" ? cards.length - 1 : step ? at + step : null;
  if (to === null) return;
  event.preventDefault();
  cards[to]?.focus();
}

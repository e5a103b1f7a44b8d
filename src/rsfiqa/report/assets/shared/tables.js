/* Tables that sort by a click on a heading. */

/** Give the headings of a table buttons that sort its bodies by the first number of a column. */
export function makeSortable(table) {
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

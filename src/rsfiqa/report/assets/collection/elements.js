/* Making elements. Text only ever becomes text: nothing here takes markup. */

/**
 * An element with attributes and children.
 *
 * @param {string} name
 * @param {Record<string, unknown>} attributes those that are null or false are left out; true is an
 *   attribute without a value; functions listen to the event of that name; style is an object.
 * @param {...(Node | string | null)} children
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A count as people write it: "10,000 pictures". */
export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

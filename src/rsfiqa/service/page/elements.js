/* Making elements. Text goes in as text nodes and never as markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element.
 *
 * @param {string} tag its name, with classes behind dots: "p.facts".
 * @param {object} properties attributes; and `on`, listeners by event; `style`, which goes through
 *   the object model because the policy of the page forbids style attributes.
 * @param {...(Node | string | null | undefined | false)} children what is no node becomes text.
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  return filled(document.createElement(name), classes, properties, children);
}

/** An SVG element, as `h` makes an HTML element. */
export function s(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  return filled(document.createElementNS(SVG, name), classes, properties, children);
}

function filled(element, classes, { on = {}, style = {}, ...attributes }, children) {
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, String(value));
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.flat().filter((child) => child || child === 0));
  return element;
}

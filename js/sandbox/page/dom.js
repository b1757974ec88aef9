/** Small helpers: elements are found or made, and text is only ever text. */

/** @param {string} selector @param {ParentNode} [within] @returns {any} the element, which has to be there */
export function find(selector, within = document) {
  const found = within.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Writes only what differs: nothing is drawn, or read out, twice. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether somebody looks at a part of the page: it has the focus, or a narrow screen shows nothing else. @param {HTMLElement} part */
export function isLookedAt(part) {
  const isAlone = NARROW.matches && part.offsetParent !== null;
  return document.hasFocus() && (isAlone || part.contains(document.activeElement));
}

/** Where `page.css` shows one part at a time. */
const NARROW = matchMedia('(max-width: 759px)');

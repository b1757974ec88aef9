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

/**
 * A list that is given all of its rows each time, and changes what has changed: a row that stays in its place keeps the focus.
 * @template {{ id: string }} Item
 * @param {HTMLElement} list
 * @param {(item: Item) => { element: HTMLElement, update: (item: Item) => void }} draw
 */
export function createRows(list, draw) {
  /** @type {Map<string, ReturnType<typeof draw>>} */
  const drawn = new Map();

  return {
    /** @param {string} id */
    has: (id) => drawn.has(id),

    /** @param {Item[]} items in their order */
    show(items) {
      const ids = new Set(items.map(({ id }) => id));
      for (const [id, { element }] of drawn) {
        if (ids.has(id)) continue;
        element.remove();
        drawn.delete(id);
      }
      for (const [index, item] of items.entries()) {
        const row = drawn.get(item.id) ?? draw(item);
        drawn.set(item.id, row);
        if (list.children[index] !== row.element) list.insertBefore(row.element, list.children[index] ?? null);
        row.update(item);
      }
    },
  };
}

/** Calls `see` when somebody may have begun to look at a part of the page. @param {HTMLElement} part @param {() => void} see */
export function whenLookedAt(part, see) {
  for (const name of ['focusin', 'pointerdown']) part.addEventListener(name, () => setTimeout(see));
  addEventListener('focus', see);
}

/** Whether somebody looks at a part of the page: it has the focus, or a narrow screen shows nothing else. @param {HTMLElement} part */
export function isLookedAt(part) {
  const isAlone = NARROW.matches && part.offsetParent !== null;
  return document.hasFocus() && (isAlone || part.contains(document.activeElement));
}

/** Hours and minutes, as the visitor's country writes them. */
export const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
/** Where `page.css` shows one part at a time. */
const NARROW = matchMedia('(max-width: 759px)');

/** How far a message is, as a mark beside its time. */

import { make, write } from './dom.js';

/** @typedef {'sending' | 'sent' | 'delivered' | 'read' | 'failed'} State */

export function createTick() {
  const path = document.createElementNS(SVG, 'path');
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 20 12');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(path);
  const word = make('span', { class: 'unseen' });
  const element = make('span', { class: 'tick' }, word);
  element.prepend(svg);

  return {
    element,
    /** @param {State} state */
    show(state) {
      if (element.dataset.state === state) return;
      element.dataset.state = state;
      path.setAttribute('d', SHAPES[state]);
      write(word, `, ${state}`);
    },
  };
}

const SVG = 'http://www.w3.org/2000/svg';
const CIRCLE = 'M17.6 6a4.6 4.6 0 1 1-9.2 0 4.6 4.6 0 0 1 9.2 0z';
const TWO = 'm2.5 6.4 3 3 6-7M9.6 8.3l1.1 1.1 6-7';
/** @type {Record<State, string>} */
const SHAPES = {
  sending: `${CIRCLE}M13 3.4V6l1.8 1.2`,
  sent: 'm7.5 6.4 3 3 6-7',
  delivered: TWO,
  // By its colour, and by its word.
  read: TWO,
  failed: `${CIRCLE}M13 3.4v3M13 8.4v.2`,
};

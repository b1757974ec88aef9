/**
 * The messages of one chat, as both sides show them. It is given all of them each time, and changes what has changed.
 */

import { CLOCK, createRows, find, make, write } from './dom.js';
import { createTick } from './tick.js';

/** @import { State } from './tick.js' */

/**
 * @typedef {object} Line
 * @property {string} id
 * @property {'visitor' | 'agent'} author
 * @property {string} name who that is
 * @property {boolean} own written on this side: it has ticks
 * @property {string} body
 * @property {string[]} attachments
 * @property {number} at
 * @property {State} [state]
 * @property {string} [reason] why it failed
 */

/** @param {HTMLElement} thread the part that scrolls, with a list in it */
export function createThread(thread) {
  const list = find('ol', thread);
  const empty = find('.empty', thread);
  const rows = createRows(list, draw);

  return {
    /** @param {Line[]} lines in their order */
    show(lines) {
      const wasAtEnd = thread.scrollHeight - thread.scrollTop - thread.clientHeight < NEAR;
      const last = lines.at(-1);
      const hasNewOwn = last?.own && !rows.has(last.id);
      rows.show(lines);
      empty.hidden = lines.length > 0;
      if (wasAtEnd || hasNewOwn) thread.scrollTop = thread.scrollHeight;
    },
  };
}

/** @param {Line} line */
function draw({ author, name, own, body, attachments, at }) {
  const words = make('p', { class: 'words', dir: 'auto' }, body.length > LONG ? `${cut(body)}…` : body);
  const time = make('time', { datetime: new Date(at).toISOString() }, CLOCK.format(at));
  const meta = make('p', { class: 'meta' }, make('span', { class: 'unseen' }, `${name}, `), time);
  const element = make(
    'li',
    { class: 'message', 'data-author': author, 'data-side': own ? 'own' : 'other' },
    words,
    meta,
  );
  if (body.length > LONG) words.after(more(words, body));
  for (const url of attachments) words.after(make('p', { class: 'attachment' }, url));

  const tick = createTick();
  const reason = make('p', { class: 'reason', hidden: '' });
  if (own) meta.append(tick.element);
  element.append(reason);

  return {
    element,
    /** @param {Line} line */
    update({ state, reason: words }) {
      if (!state) return;
      tick.show(state);
      reason.hidden = state !== 'failed';
      write(reason, state === 'failed' ? `Not sent: ${words || 'no reason was given'}` : '');
    },
  };
}

/** Shows the rest of a long message. @param {HTMLElement} words @param {string} body */
function more(words, body) {
  const button = make('button', { type: 'button', class: 'more' }, `Show all ${COUNT.format(body.length)} characters`);
  button.addEventListener('click', () => {
    words.tabIndex = -1;
    words.focus();
    words.textContent = body;
    button.remove();
  });
  return button;
}

/** The beginning of it, never half a surrogate pair. @param {string} body */
const cut = (body) => body.slice(0, LONG).replace(/[\uD800-\uDBFF]$/, '');

const COUNT = new Intl.NumberFormat();
const LONG = 700;
const NEAR = 60;

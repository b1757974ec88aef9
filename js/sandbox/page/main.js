/** Joins the three parts of the page: the visitor's chat, GHL's inbox, and the strip of calls. */

import { find, write } from './dom.js';
import { createInbox } from './inbox.js';
import { observe } from './observe.js';
import { listen, locationId, locationNow } from './sandbox.js';
import { createStrip } from './strip.js';
import { createVisitor } from './visitor.js';

const strip = createStrip();
const inbox = createInbox((unread) => badge('inbox', unread));
const visitor = createVisitor((unread) => badge('visitor', unread));

observe(strip.showCall);

listen(
  (news) => {
    if ('call' in news) strip.showCall(news.call);
    else strip.showPlugs(news.plugs);
    inbox.refresh();
  },
  async (isUp) => {
    strip.showLink(isUp);
    // Another demo took the place of the one this page is of.
    if (isUp && (await locationNow()) !== locationId) location.reload();
  },
);

// On a narrow screen one part is shown at a time.
for (const button of document.querySelectorAll('.views button')) {
  button.addEventListener('click', () => {
    const { view } = /** @type {HTMLElement} */ (button).dataset;
    document.body.dataset.view = view;
    inbox.see();
    visitor.see();
    for (const other of document.querySelectorAll('.views button')) {
      other.setAttribute('aria-pressed', String(other === button));
    }
  });
}

/** @param {'inbox' | 'visitor'} view @param {number} unread */
function badge(view, unread) {
  write(find(`.views [data-view=${view}] .badge`), unread ? `${unread}` : '');
}

/** The agent's side: GHL's inbox, with its contacts and the chat that is open. */

import { createComposer } from './composer.js';
import { CLOCK, createRows, find, isLookedAt, make, whenLookedAt, write } from './dom.js';
import * as sandbox from './sandbox.js';
import { createThread } from './thread.js';

/** @import { InboxContact, InboxMessage } from '../ghl/inbox.js' */
/** @import { Line } from './thread.js' */

/** @param {(unread: number) => void} onUnread */
export function createInbox(onUnread) {
  const pane = find('#inbox');
  const talk = find('.talk', pane);
  const thread = createThread(find('.thread', talk));
  const composer = createComposer(find('form', talk), (text) => {
    sandbox.reply(openId, text);
  });
  const list = createContacts(find('.contacts', pane), (id) => {
    openId = id;
    refresh();
    find('textarea', talk).focus();
  });
  let openId = '';
  /** @type {InboxContact[]} */
  let contacts = [];
  let agent = '';
  let asking = false;
  let askAgain = false;

  /** Asks the sandbox how things are; what comes meanwhile is asked for after that. */
  async function refresh() {
    askAgain = asking;
    if (asking) return;
    asking = true;
    try {
      const asked = openId;
      const { location, messages, ...found } = await sandbox.inbox(openId);
      ({ contacts, agent } = found);
      write(find('#inbox-location'), location);
      if (!openId && contacts.length) {
        openId = contacts[0].id;
        askAgain = true;
      }
      show(asked === openId ? messages : []);
    } catch {
      // The sandbox is away; when it is back, `listen` says so.
    }
    asking = false;
    if (askAgain) refresh();
  }

  /** @param {InboxMessage[]} messages */
  function show(messages) {
    const contact = contacts.find(({ id }) => id === openId);
    list.show(contacts, openId);
    composer.enable(Boolean(contact));
    write(find('#contact-name'), contact?.name ?? 'No chat is open');
    write(find('#contact-email'), contact?.email ?? '');
    thread.show(messages.map((message) => lineOf(message, contact?.name ?? '', agent)));
    onUnread(contacts.reduce((sum, { unread }) => sum + unread, 0));
    see();
  }

  /** The open chat was read, if the agent is here. */
  function see() {
    const contact = contacts.find(({ id }) => id === openId);
    if (!contact?.unread || !isLookedAt(talk)) return;
    contact.unread = 0;
    sandbox.read(openId).then(refresh, () => {});
  }

  whenLookedAt(talk, see);
  return { refresh, see };
}

/** @param {HTMLElement} nav @param {(id: string) => void} choose */
function createContacts(nav, choose) {
  const list = find('ul', nav);
  const empty = find('.empty', nav);
  let openId = '';
  const rows = createRows(list, draw);

  return {
    /** @param {InboxContact[]} contacts @param {string} open the id of the one that is open */
    show(contacts, open) {
      openId = open;
      empty.hidden = contacts.length > 0;
      rows.show(contacts);
    },
  };

  /** @param {InboxContact} contact */
  function draw({ id }) {
    const [name, time] = [make('span', { class: 'name', dir: 'auto' }), make('time')];
    const [last, badge] = [make('span', { class: 'last', dir: 'auto' }), make('span', { class: 'badge' })];
    const button = make('button', { type: 'button', class: 'contact' }, name, time, last, badge);
    button.addEventListener('click', () => choose(id));
    return {
      element: make('li', {}, button),
      /** @param {InboxContact} contact */
      update(contact) {
        const { unread, lastBody, lastDirection } = contact;
        button.setAttribute('aria-current', String(id === openId));
        write(name, contact.name);
        write(time, CLOCK.format(new Date(contact.at)));
        write(last, `${lastDirection === 'outbound' ? 'You: ' : ''}${lastBody}`);
        write(badge, unread ? `${unread}` : '');
        badge.title = `${unread} unread`;
      },
    };
  }
}

/** @param {InboxMessage} message @param {string} contact @param {string} agent @returns {Line} */
function lineOf({ id, direction, source, body, attachments, status, error, dateAdded }, contact, agent) {
  const isVisitor = direction === 'inbound';
  const own = !isVisitor && source === 'app';
  return {
    id,
    author: isVisitor ? 'visitor' : 'agent',
    name: isVisitor ? contact : own ? agent : 'vCX',
    own,
    body,
    attachments,
    at: Date.parse(dateAdded),
    state: own ? (STATES[status] ?? 'sent') : undefined,
    reason: error?.message,
  };
}

/** GHL's words for how far an agent's message is. @type {Record<string, Line['state']>} */
const STATES = { pending: 'sent', delivered: 'delivered', read: 'read', failed: 'failed' };

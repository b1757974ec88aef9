/** The visitor's side: a chat as vCX's frontend would have it, built on the module. */

import { connect } from 'vcx-ghl';
import { createComposer } from './composer.js';
import { find, isLookedAt, whenLookedAt, write } from './dom.js';
import { MINA, stranger } from './people.js';
import { locationId, worker } from './sandbox.js';
import { createThread } from './thread.js';

/** @import { Client } from 'vcx-ghl' */
/** @import { Person } from './people.js' */
/** @import { Line } from './thread.js' */

/** @param {(unread: number) => void} onUnread */
export function createVisitor(onUnread) {
  const pane = find('#visitor');
  const link = find('#visitor-link');
  const thread = createThread(find('.thread', pane));
  /** @type {Client} */
  let client;
  /** @type {Map<string, Line>} */
  const lines = new Map();
  /** The agent's messages that the visitor has not seen. @type {Set<string>} */
  const unread = new Set();

  createComposer(find('form', pane), (text) => say(text));
  find('#visitor-new').addEventListener('click', () => {
    sessionStorage.removeItem(UNSENT);
    open(stranger(remembered()));
    find('textarea', pane).focus();
  });
  open(remembered());

  /** @param {Person} person */
  function open(person) {
    client?.close();
    lines.clear();
    unread.clear();
    remember(person);
    write(find('#visitor-name'), person.name);
    client = connect({ url: worker, session: () => signIn(person), after: 0 });
    client.on('message', ({ messageId, fromUser, body, timestamp, attachments }) => {
      if (!fromUser) unread.add(messageId);
      add({ id: messageId, body, at: timestamp, attachments, own: fromUser, state: fromUser ? 'sent' : undefined });
      see();
    });
    client.on('status', ({ messageId, status, reason }) => {
      if (status === 'read') unread.delete(messageId);
      const line = lines.get(messageId);
      if (line?.own) Object.assign(line, { state: status, reason });
      show();
    });
    client.on('reset', () => {
      for (const [id, { state }] of lines) if (state !== 'sending') lines.delete(id);
      unread.clear();
      show();
    });
    client.on('connection', showLink);
    showLink(client.connection);
    // What a reload has interrupted: the same id makes it the same message.
    for (const { id, body } of JSON.parse(sessionStorage.getItem(UNSENT) ?? '[]')) say(body, id);
    show();
  }

  /** @param {string} body @param {string} [id] */
  function say(body, id) {
    const { messageId, timestamp } = client.send(body, { messageId: id });
    add({ id: messageId, body, at: timestamp, attachments: [], own: true, state: 'sending' });
  }

  /** @param {Omit<Line, 'author' | 'name'>} line */
  function add(line) {
    lines.set(line.id, { ...line, author: line.own ? 'visitor' : 'agent', name: line.own ? 'You' : 'Agent' });
    show();
  }

  function show() {
    const all = [...lines.values()].sort((a, b) => a.at - b.at);
    thread.show(all);
    onUnread(unread.size);
    const unsent = all.filter(({ state }) => state === 'sending').map(({ id, body }) => ({ id, body }));
    sessionStorage.setItem(UNSENT, JSON.stringify(unsent));
  }

  /** @param {Client['connection']} connection */
  function showLink({ state }) {
    link.dataset.state = state;
    write(find('.word', link), { open: 'online', connecting: 'connecting…', closed: 'closed' }[state]);
  }

  /** What is shown was seen, if the visitor is here. */
  function see() {
    if (!isLookedAt(pane)) return;
    for (const messageId of unread) client.markRead(messageId);
    unread.clear();
    onUnread(0);
  }

  whenLookedAt(pane, see);
  return { see };
}

/** What vCX's backend does for a visitor who is logged in. @param {Person} person @returns {Promise<string>} */
async function signIn(person) {
  const { number, ...visitor } = person;
  const response = await fetch('/session', { method: 'POST', body: JSON.stringify(visitor) });
  if (!response.ok) throw new Error(`vCX gives no session: ${response.status}`);
  return (await response.json()).token;
}

/** @returns {Person} */
function remembered() {
  const known = localStorage.getItem(KEY);
  return known ? JSON.parse(known) : MINA;
}

/** @param {Person} person */
const remember = (person) => localStorage.setItem(KEY, JSON.stringify(person));

/** Another sandbox knows nobody of this one. */
const KEY = `vcx-ghl visitor of ${locationId}`;
/** Of this tab alone. */
const UNSENT = `${KEY}: not sent yet`;

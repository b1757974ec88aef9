/**
 * The visitor's side of a chat, for browsers, and for Node with a WebSocket: what happens comes as events, what is said goes out in
 * order.
 *
 * Each event is shown once: it has an id, the ids grow, and after a break the stream goes on after the last one. It is acknowledged
 * when the application has it, so that an agent's message is "delivered" in GHL when it really is. A message is sent under an id
 * that makes it harmless to send it again.
 */

import { Connection } from './client/connection.js';
import { Inbox } from './client/inbox.js';
import { Outbox } from './client/outbox.js';
import { SessionSource } from './client/session.js';
import { VcxGhlError } from './npm/error.js';

/** @import { ConnectionState } from './client/connection.js' */
/** @import { Session } from './client/session.js' */

/**
 * @typedef {object} ConnectOptions
 * @property {string | URL} url the Worker's
 * @property {Session} session the visitor's session, which the backend makes with `createSession`; a function is asked for a fresh
 *   one at each connect, and when one is refused
 * @property {number} [after] the stream begins after the event of this id; 0: with all that the Worker still has. Default: now
 * @property {any} [WebSocket] where the platform has none, as in Node 20: that of the package `ws`
 */

/**
 * sending → sent: the Worker has it, it cannot be lost → delivered: it is in GHL → read: the agent has opened the conversation.
 * Or failed.
 * @typedef {'sending' | 'sent' | 'delivered' | 'read' | 'failed'} MessageStatus
 */

/**
 * A message of the visitor's; `status` is kept up to date.
 * @typedef {object} OwnMessage
 * @property {string} messageId
 * @property {string} body
 * @property {string[]} attachments
 * @property {number} timestamp milliseconds
 * @property {MessageStatus} status
 * @property {string} [code] why it failed, as a stable word
 * @property {string} [reason] why it failed, in words
 */

/**
 * Somebody wrote: an agent, or (`fromUser`) the visitor in another tab.
 * @typedef {object} ChatMessage
 * @property {'message'} type
 * @property {number} id
 * @property {string} locationId
 * @property {string} clientId
 * @property {string} vcxConversationId
 * @property {string} messageId
 * @property {boolean} fromUser
 * @property {string} body
 * @property {number} timestamp milliseconds
 * @property {string[]} attachments
 * @property {string} [userId] the GHL user
 */
/**
 * How far a message is.
 * @typedef {object} StatusChange
 * @property {'status'} type
 * @property {string} messageId
 * @property {MessageStatus} status
 * @property {string} [code]
 * @property {string} [reason]
 */
/**
 * Whether there is a connection: `connecting` as long as one is sought, `closed` when none is any more.
 * @typedef {object} ConnectionChange
 * @property {'connection'} type
 * @property {ConnectionState} state
 * @property {number} [code] with which the last one was closed
 * @property {string} [reason]
 */
/**
 * How many messages of the conversation no agent has read.
 * @typedef {object} ConversationChange
 * @property {'conversation'} type
 * @property {number} id
 * @property {number} unreadCount
 * @property {number} timestamp milliseconds
 */
/**
 * The stream has a gap. Forget the messages that are shown, but for those that are still being sent: what the Worker has kept
 * follows, and what came before is in the application's own history.
 * @typedef {object} Reset
 * @property {'reset'} type
 * @property {number} id
 */
/** @typedef {ChatMessage | StatusChange | ConnectionChange | ConversationChange | Reset} ClientEvent */

/**
 * Connects a visitor to the chat.
 * @param {ConnectOptions} options
 */
export function connect(options) {
  return new Client(options);
}

/** @implements {AsyncIterable<ClientEvent>} */
export class Client {
  /** The last that was heard of the connection. @type {ConnectionChange} */
  connection = { type: 'connection', state: 'connecting' };
  #connection;
  #inbox;
  #outbox;
  #session;
  #isClosed = false;

  /** The id of the newest event. @type {number | undefined} */
  #last;
  /** Up to where the Worker knows that the application has everything. */
  #acked = 0;
  /** How many frames came since. */
  #unacked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #ackSoon;
  /** @type {() => void} */
  #goOn = () => {};

  /** The visitor's messages by id, and the ids of the agents'. @type {Map<string, OwnMessage | null>} */
  #messages = new Map();
  /**
   * The messages that GHL had, by the stream, when no agent had read them. The answer to a push says it, too, but not when: what
   * the stream still has to tell may have been before.
   * @type {Set<string>}
   */
  #unread = new Set();
  #now = 0;

  /** @param {ConnectOptions} options */
  constructor({ url, session, after, WebSocket = globalThis.WebSocket }) {
    if (!WebSocket) throw new VcxGhlError('no_websocket', 'there is no WebSocket here: pass the option WebSocket');
    const base = new URL(url, globalThis.location?.href).href.replace(/\/$/, '');
    this.#last = after;
    this.#session = new SessionSource(session);
    this.#inbox = new Inbox(() => this.#taken());
    this.#outbox = new Outbox(base, this.#session);
    this.#connection = new Connection({
      url: () => `${base.replace(/^http/, 'ws')}/events${this.#last === undefined ? '' : `?after=${this.#last}`}`,
      protocols: async () => {
        await this.#room();
        return ['vcx-ghl.v1', `bearer.${await this.#session.ask()}`];
      },
      hear: (data) => this.#hear(JSON.parse(data)),
      tell: (state, code, reason) => {
        this.connection = { type: 'connection', state, code, reason };
        this.#push(this.connection);
        if (state !== 'open') return;
        this.#outbox.wake();
        this.#taken();
      },
      isFixed: this.#session.isFixed,
      WebSocket,
    });
    for (const [target, name] of WAKERS) target?.addEventListener(name, this.#wake);
  }

  /**
   * Says something: as soon as there is a network, and in order. Never throws for what goes wrong on the way: the status tells.
   * @param {string} body
   * @param {object} [options]
   * @param {string} [options.messageId] the application's own; what has failed can be tried again under the same
   * @param {string[]} [options.attachments] public https URLs
   * @returns {OwnMessage}
   */
  send(body, { messageId = newId(), attachments = [] } = {}) {
    if (this.#isClosed) throw closed();
    const known = this.#messages.get(messageId);
    if (known && known.status !== 'failed') return known;
    this.#now = Math.max(Date.now(), this.#now + 1);
    const said = { messageId, body, attachments, timestamp: known?.timestamp ?? this.#now };
    const message = Object.assign(known ?? {}, said, SENDING);
    this.#remember(messageId, message);
    // Not before the caller has the message.
    queueMicrotask(() => this.#push({ type: 'status', messageId, status: 'sending' }));
    this.#outbox.post('push-message', said).then(
      (answer) => this.#advance(messageId, answer.status === 'sent' ? 'delivered' : 'sent'),
      (error) => this.#advance(messageId, 'failed', error.code, error.detail),
    );
    return message;
  }

  /**
   * Tells the agents that the visitor has seen a message of theirs.
   * @param {string} messageId
   * @returns {Promise<void>} rejects when that is refused
   */
  markRead(messageId) {
    if (this.#isClosed) throw closed();
    const done = this.#outbox.post('message-status', { messageId, status: 'read' }).then(() => {});
    // One who does not wait for it need not catch it either.
    done.catch(() => {});
    return done;
  }

  /**
   * Listens to one type of event. Messages that came before anybody did are not lost: they come first.
   * @template {ClientEvent['type']} Type
   * @param {Type} type
   * @param {(event: Extract<ClientEvent, { type: Type }>) => void} listener
   * @returns {() => void} ends it
   */
  on(type, listener) {
    return this.#inbox.on(type, listener);
  }

  /** All events: `for await (const event of client)`. Ends when the client is closed. */
  [Symbol.asyncIterator]() {
    return this.#inbox.read();
  }

  /** Ends the connection and the iterators. What is still being sent has failed then, for all that is known here. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const [target, name] of WAKERS) target?.removeEventListener(name, this.#wake);
    clearTimeout(this.#ackSoon);
    this.#acknowledge();
    this.#connection.close(1000);
    this.#outbox.close(closed());
    // What has failed now is told in this turn's microtasks.
    setTimeout(() => this.#inbox.end(), 0);
  }

  /** @param {any} frame */
  #hear({ type, id, ...frame }) {
    if (type === 'ready' || type === 'reset') {
      this.#begun(type, id);
      return true;
    }
    if (!(id > (this.#last ?? 0))) return false;
    this.#last = id;
    this.#unacked += 1;
    if (type === 'message.created') this.#created({ ...frame, type: 'message', id });
    if (type === 'message.status') {
      if (frame.status === 'delivered') this.#unread.add(frame.messageId);
      this.#advance(frame.messageId, frame.status, frame.code, frame.reason);
    }
    if (type === 'conversation.updated') {
      const { unreadCount, timestamp } = frame;
      this.#push({ type: 'conversation', id, unreadCount, timestamp });
      if (unreadCount === 0) this.#read();
    }
    this.#taken();
    return false;
  }

  /** A connection stands at an id. @param {'ready' | 'reset'} type @param {number} id */
  #begun(type, id) {
    if (type === 'reset') {
      for (const [messageId, message] of this.#messages) {
        if (message?.status !== 'sending') this.#messages.delete(messageId);
      }
      this.#last = id;
      this.#push({ type, id });
    }
    // What was acknowledged on the connection before may not have arrived.
    this.#acked = this.#last === undefined || type === 'reset' ? id : 0;
    this.#last ??= id;
  }

  /** @param {ChatMessage} event */
  #created(event) {
    const { messageId, body, attachments, timestamp, fromUser } = event;
    if (this.#messages.has(messageId)) {
      if (fromUser) this.#advance(messageId, 'sent');
      return;
    }
    this.#remember(messageId, fromUser ? { messageId, body, attachments, timestamp, status: 'sent' } : null);
    this.#push(event);
  }

  #read() {
    for (const messageId of this.#unread) {
      if (this.#messages.get(messageId)?.status === 'delivered') this.#advance(messageId, 'read');
    }
    this.#unread.clear();
  }

  /**
   * A message got further; never back.
   * @param {string} messageId
   * @param {MessageStatus} status
   * @param {string} [code]
   * @param {string} [reason]
   */
  #advance(messageId, status, code, reason) {
    const message = this.#messages.get(messageId);
    if (message) {
      if (PROGRESS.indexOf(status) <= PROGRESS.indexOf(message.status)) return;
      Object.assign(message, { status, code, reason });
    }
    this.#push({ type: 'status', messageId, status, code, reason });
  }

  /** @param {string} messageId @param {OwnMessage | null} message */
  #remember(messageId, message) {
    this.#messages.set(messageId, message);
    const [[oldest, old]] = this.#messages;
    if (this.#messages.size <= MEMORY || old?.status === 'sending') return;
    this.#messages.delete(oldest);
    this.#unread.delete(oldest);
  }

  /** @param {ClientEvent} event */
  #push(event) {
    const at = 'id' in event ? event.id : (this.#last ?? 0) + 1;
    this.#inbox.push({ event, at });
  }

  /** Up to where the application has everything. */
  get #shown() {
    return Math.min(this.#last ?? 0, this.#inbox.shown);
  }

  /** The application may have taken something. */
  #taken() {
    if (this.#inbox.backlog < ROOM) this.#goOn();
    if (this.#shown <= this.#acked || this.connection.state !== 'open') return;
    if (this.#unacked >= ACK_EVERY) this.#acknowledge();
    else this.#ackSoon ??= setTimeout(() => this.#acknowledge(), ACK_AFTER_MS);
  }

  #acknowledge() {
    clearTimeout(this.#ackSoon);
    this.#ackSoon = undefined;
    if (this.connection.state !== 'open' || this.#shown <= this.#acked) return;
    this.#unacked = 0;
    this.#acked = this.#shown;
    this.#connection.send(JSON.stringify({ ack: this.#acked }));
  }

  /** Each connection brings up to a window of events: not before most of the last ones are taken. */
  async #room() {
    while (this.#inbox.backlog >= ROOM) await new Promise((resolve) => (this.#goOn = () => resolve(undefined)));
  }

  #wake = () => {
    if (globalThis.document?.visibilityState === 'hidden') return;
    this.#outbox.wake();
    this.#connection.wake();
  };
}

/** `randomUUID` is there on https and localhost only. */
function newId() {
  return crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
}

const closed = () => new VcxGhlError('client_closed', 'the client was closed');

/** @type {{ status: MessageStatus, code?: string, reason?: string }} */
const SENDING = { status: 'sending', code: undefined, reason: undefined };
/** A message can be delivered after it had failed: an admin has had the dead letter sent again. */
const PROGRESS = ['sending', 'sent', 'failed', 'delivered', 'read'];
/** The Worker keeps no more of a conversation. */
const MEMORY = 1_000;
/** The Worker has 100 unacknowledged events out at most. */
const ACK_EVERY = 50;
const ACK_AFTER_MS = 50;
const ROOM = 50;
/** @type {[EventTarget | undefined, string][]} */
const WAKERS = [
  [globalThis.document, 'visibilitychange'],
  [globalThis.window, 'online'],
  [globalThis.window, 'offline'],
  [globalThis.window, 'pageshow'],
];

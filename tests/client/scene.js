/**
 * A client in simulated time: its sockets and its calls end here, and the clock moves when a test says so.
 */

import { setImmediate } from 'node:timers/promises';
import { connect } from '../../js/client.js';

/** @import { TestContext } from 'node:test' */
/** @import { ClientEvent, ConnectOptions } from '../../js/client.js' */

/** @typedef {{ route: string, token: string, body: any, answer: (status: number, body?: unknown, headers?: Record<string, string>) => Promise<void>, drop: () => Promise<void> }} Call */

/**
 * @param {TestContext} t
 * @param {Partial<ConnectOptions>} [options]
 */
export async function openScene(t, options) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_700_000_000_000 });
  // The middle of each jitter.
  t.mock.method(Math, 'random', () => 0.5);
  /** @type {FakeSocket[]} */
  const sockets = [];
  /** @type {Call[]} */
  const calls = [];
  t.mock.method(globalThis, 'fetch', (/** @type {string} */ url, /** @type {any} */ init) => take(calls, url, init));
  let asked = 0;
  const client = connect({
    url: 'https://sync.example/',
    session: () => `session-${++asked}`,
    WebSocket: class extends FakeSocket {
      /** @param {string} url @param {string[]} protocols */
      constructor(url, protocols) {
        super(url, protocols);
        sockets.push(this);
      }
    },
    ...options,
  });
  t.after(() => client.close());
  // The library's pause before the first connection is none, by a timer.
  t.mock.timers.tick(1);
  await settle();
  return {
    client,
    sockets,
    calls,
    /** The newest connection. */
    get socket() {
      return /** @type {FakeSocket} */ (sockets.at(-1));
    },
    /** The newest call. */
    get call() {
      return /** @type {Call} */ (calls.at(-1));
    },
    /** Lets time pass. @param {number} ms */
    async pass(ms) {
      t.mock.timers.tick(ms);
      await settle();
    },
  };
}

/** Until everything that can happen now has. */
export async function settle() {
  for (let turn = 0; turn < 5; turn++) await setImmediate();
}

/**
 * Takes down what listeners hear.
 * @param {import('../../js/client.js').Client} client
 * @param {...ClientEvent['type']} types
 */
export function record(client, ...types) {
  /** @type {any[]} */
  const heard = [];
  for (const type of types) client.on(type, (event) => heard.push(event));
  return heard;
}

/** The other end of a connection. */
export class FakeSocket extends EventTarget {
  readyState = 0;
  /** @type {string[]} */
  sent = [];

  /** @param {string} url @param {string[]} protocols */
  constructor(url, protocols) {
    super();
    this.url = url;
    this.protocols = protocols;
  }

  /** @param {string} text */
  send(text) {
    this.sent.push(text);
  }

  close() {
    this.readyState = 3;
  }

  /** It is let in, and stands at an id. @param {number} id @param {'ready' | 'reset'} [type] */
  async ready(id, type = 'ready') {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
    await this.hear({ type, id }, 'pong');
  }

  /** @param {...(object | string)} frames */
  async hear(...frames) {
    for (const frame of frames) {
      const data = typeof frame === 'string' ? frame : JSON.stringify(frame);
      this.dispatchEvent(new MessageEvent('message', { data }));
    }
    await settle();
  }

  /** The other end closes it, or (1006) nobody does. @param {number} [code] @param {string} [reason] */
  async drop(code = 1006, reason = '') {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason }));
    await settle();
  }

  /** It is never let in. */
  async refuse() {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('error'), { error: new Error('refused') }));
    await settle();
  }

  /** What was acknowledged on it. */
  get acks() {
    return this.sent.filter((text) => text !== 'ping').map((text) => JSON.parse(text).ack);
  }
}

/** @param {Call[]} calls @param {string} url @param {any} init @returns {Promise<Response>} */
function take(calls, url, { headers, body, signal }) {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    calls.push({
      route: new URL(url).pathname,
      token: headers.authorization.replace('Bearer ', ''),
      body: JSON.parse(body),
      async answer(status, answer = {}, more = {}) {
        resolve(Response.json(answer, { status, headers: more }));
        await settle();
      },
      async drop() {
        reject(new TypeError('fetch failed'));
        await settle();
      },
    });
  });
}

/** An agent's message. @param {number} id @param {object} [more] */
export const agentSaid = (id, more) => ({
  type: 'message.created',
  id,
  locationId: 'loc',
  clientId: 'mina',
  vcxConversationId: 'chat',
  messageId: `agent-${id}`,
  fromUser: false,
  body: `Words ${id}`,
  timestamp: 1_700_000_000_000 + id,
  attachments: [],
  ...more,
});

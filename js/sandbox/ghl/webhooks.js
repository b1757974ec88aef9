/**
 * Sends webhooks and Delivery posts: compact JSON, Ed25519 over its bytes in `X-GHL-Signature` (FACTS §4.7), tried again
 * until a 2xx (FACTS §4.8).
 */

import { sign } from 'node:crypto';

/** @import { KeyObject } from 'node:crypto' */
/** @import { Client } from '../http.js' */
/** @import { Traffic } from '../traffic.js' */
/** @import { Options } from './options.js' */

/**
 * @typedef {object} Posting
 * @property {string} kind for the traffic: `delivery`, the event's type, or `raw`
 * @property {string} url '' posts nothing
 * @property {unknown} body
 * @property {Buffer} [bytes] sent in place of `body`, as they are
 * @property {KeyObject} [signedWith] another private key than GHL's
 * @property {string | null} [header] the literal signature header; null leaves it out
 * @property {boolean} [retry] default true
 */

/** @typedef {{ status: number, body: string, error?: string }} Outcome status 0: no answer */
/** @typedef {{ first: Promise<Outcome>, done: Promise<Outcome> }} Sent after the first attempt, after the last */

/**
 * @param {{ options: Options, client: Client, traffic: Traffic, privateKey: KeyObject }} ghl
 */
export function createWebhooks({ options, client, traffic, privateKey }) {
  /** @type {Map<NodeJS.Timeout, () => void>} retries to come, and how to give them up */
  const timers = new Map();
  /** @type {Set<() => void>} */
  const idlers = new Set();
  let open = 0;
  let closed = false;

  function finished() {
    open -= 1;
    if (open > 0) return;
    for (const idle of [...idlers]) idle();
    idlers.clear();
  }

  /** @param {Posting} posting @returns {Sent} */
  function send(posting) {
    if (!posting.url || closed) {
      const nothing = Promise.resolve(NOT_SENT);
      return { first: nothing, done: nothing };
    }
    open += 1;
    const bytes = posting.bytes ?? Buffer.from(JSON.stringify(posting.body));
    const first = attempt(posting, bytes, 1);
    const done = first.then((outcome) => again(posting, bytes, 1, outcome)).finally(finished);
    return { first, done };
  }

  /** @param {Posting} posting @param {Buffer} bytes @param {number} number @returns {Promise<Outcome>} */
  async function attempt({ kind, url, body, signedWith, header }, bytes, number) {
    const signature = header === undefined ? sign(null, bytes, signedWith ?? privateKey).toString('base64') : header;
    const path = pathOf(url);
    const requestBody = body ?? bytes.toString('utf8');
    const part = { to: /** @type {const} */ ('worker'), method: 'POST', path, requestBody };
    const entry = traffic.open({ ...part, kind, attempt: number });
    const reply = await client.call(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'vcx-ghl-sandbox',
        ...(signature === null ? {} : { 'x-ghl-signature': signature }),
      },
      bytes,
      timeoutMs: options.retry.timeoutMs,
    });
    traffic.close(entry, reply.status, parsed(reply.text), reply.error);
    return { status: reply.status, body: reply.text, error: reply.error };
  }

  /**
   * @param {Posting} posting @param {Buffer} bytes @param {number} number @param {Outcome} outcome
   * @returns {Promise<Outcome>}
   */
  async function again(posting, bytes, number, outcome) {
    const { max, baseMs, maxMs } = options.retry;
    const taken = outcome.status >= 200 && outcome.status < 300;
    if (taken || posting.retry === false || number > max || closed) return outcome;
    const ceiling = Math.min(maxMs, baseMs * 2 ** (number - 1));
    await pause(ceiling * (0.5 + Math.random() / 2));
    if (closed) return outcome;
    return again(posting, bytes, number + 1, await attempt(posting, bytes, number + 1));
  }

  /** @param {number} ms @returns {Promise<void>} */
  function pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        resolve();
      }, ms);
      timer.unref();
      timers.set(timer, resolve);
    });
  }

  return {
    send,

    /** Runs it after the call at hand is answered. @param {() => void} job */
    later(job) {
      open += 1;
      setImmediate(() => {
        try {
          if (!closed) job();
        } finally {
          finished();
        }
      });
    },

    /** Resolves when nothing is being sent and no retry is to come. @returns {Promise<void>} */
    settled() {
      return open ? new Promise((resolve) => idlers.add(resolve)) : Promise.resolve();
    },

    close() {
      closed = true;
      for (const [timer, giveUp] of timers) {
        clearTimeout(timer);
        giveUp();
      }
      timers.clear();
    },
  };
}

/** @typedef {ReturnType<typeof createWebhooks>} Webhooks */

/** @type {Outcome} */
export const NOT_SENT = { status: 0, body: '', error: 'no URL is set' };

/** @param {string} url */
function pathOf(url) {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/** @param {string} text @returns {unknown} */
export function parsed(text) {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

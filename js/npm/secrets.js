/**
 * What needs a secret, and so a backend: sessions for browsers, and events from the Worker.
 */

import { bytesOf, json, load, run } from './functions.js';

/** @import { RawBody } from './functions.js' */
/** @import { VcxEvent } from './types.js' */

/**
 * Whom a browser may speak for.
 * @typedef {object} SessionAsk
 * @property {string} secret SESSION_SECRET; the first of several signs
 * @property {string} locationId
 * @property {string} clientId
 * @property {string} vcxConversationId
 * @property {string | null} [name]
 * @property {string | null} [email] verified ones only: it decides in whose conversation the chat ends up
 * @property {string | null} [phone] verified ones only
 * @property {number} [expiresIn] seconds, at most a day; default: an hour
 */

/**
 * A session for a visitor's browser: what `connect` takes.
 * @param {SessionAsk} ask
 * @returns {Promise<string>}
 */
export async function createSession({ secret, ...ask }) {
  await load();
  return run('createSession', json(ask), `${secret ?? ''}`, Date.now());
}

/** @typedef {Headers | Iterable<[string, string]> | Record<string, string | string[] | undefined>} AnyHeaders */

/**
 * Checks that an event is the Worker's, and reads it. An event may come more than once, always with the same `webhookId`.
 * @param {AnyHeaders} headers of the request
 * @param {RawBody} rawBody
 * @param {string} secret VCX_WEBHOOK_SECRET
 * @returns {Promise<VcxEvent & { webhookId: string }>}
 * @throws {VcxGhlError} if it is not
 */
export async function verifyEvent(headers, rawBody, secret) {
  const bytes = bytesOf(rawBody, 'verifyEvent');
  await load();
  const pairs = pairsOf(headers);
  run('verifyEvent', json(pairs), bytes, `${secret ?? ''}`, Date.now());
  const [, webhookId] = pairs.find(([name]) => name.toLowerCase() === 'webhook-id') ?? [];
  return { ...JSON.parse(new TextDecoder().decode(bytes)), webhookId };
}

/** @param {AnyHeaders} headers @returns {[string, string][]} */
function pairsOf(headers) {
  const entries = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
  return entries.flatMap(([name, value]) =>
    [value ?? []].flat().map((one) => /** @type {[string, string]} */ ([name, one])),
  );
}

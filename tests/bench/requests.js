/** The messages of a benchmark: who writes in which conversation, as requests that are prepared once and used by all rivals. */

import { sign } from 'node:crypto';
import { join } from 'node:path';
import { prepare } from './load.js';

/** @import { Bench } from './bench.js' */
/** @import { Requests } from './load.js' */

/**
 * Conversations over locations. `conversations` may be more than are written in.
 * @typedef {{ locations: number, conversations: number }} World
 */

/** The usual: a thousand conversations, in one location or over twenty. @type {World} */
export const ONE = { locations: 1, conversations: 1_000 };
/** @type {World} */
export const TWENTY = { locations: 20, conversations: 1_000 };

/** A conversation, and what the stand-in calls its contact. @param {World} world @param {number} n */
export function chat({ locations, conversations }, n) {
  const id = `${n % conversations}`;
  return {
    locationId: location(n % locations),
    clientId: `client-${id}`,
    vcxConversationId: `chat-${id}`,
    contactId: `con-client-${id}`,
    name: `Visitor-${id}`,
    email: `client-${id}@example.com`,
  };
}

/** @param {number} n */
export const location = (n) => `location-${n}`;

/** A visitor's message. @param {World} world @param {number} n @param {string} [mark] begins its id */
export function push(world, n, mark = 'message-') {
  const { contactId: _, ...who } = chat(world, n);
  const body = `This is what I wanted to ask, and it is question number ${n}: when is it open?`;
  return { ...who, fromUser: true, body, timestamp: Date.now(), messageId: `${mark}${n}` };
}

/** An agent's answer, as GHL posts it to the Delivery URL. @param {World} world @param {number} n @param {string} [mark] begins its id */
export function reply(world, n, mark = 'reply-') {
  const { locationId, contactId } = chat(world, n);
  const message = `This is the answer number ${n}: we are open from nine to five.`;
  const rest = { type: 'SMS', phone: '', message, attachments: [], userId: 'user-1' };
  return { contactId, locationId, messageId: `${mark}${n}`, ...rest };
}

/** @param {Bench} bench @param {object} body */
export const pushRequest = ({ secrets }, body) => ({
  path: '/push-message',
  headers: { 'content-type': 'application/json', authorization: `Bearer ${secrets.apiKey}` },
  body: JSON.stringify(body),
});

/** Signed as GHL signs. @param {Bench} bench @param {object} body */
export function webhookRequest({ secrets }, body) {
  const text = JSON.stringify(body);
  const signature = sign(null, Buffer.from(text), secrets.privateKey).toString('base64');
  return {
    path: '/webhook',
    headers: { 'content-type': 'application/json', 'x-ghl-signature': signature },
    body: text,
  };
}

/** Enough messages for one measurement. @param {Bench} bench @param {World} world */
export const pushes = (bench, world) =>
  requests(bench, `push-${world.locations}-${world.conversations}`, (bench.options.seconds + 2) * 5_000, (n) =>
    pushRequest(bench, push(world, n)),
  );

/** Enough for where it is about many, more than which the last turn may send. @param {Bench} bench */
export const manyPushes = (bench) =>
  requests(bench, 'many', bench.options.messages + (bench.options.seconds + 1) * 5_000, (n) =>
    pushRequest(bench, push(ONE, n)),
  );

/**
 * So many requests, made on the first asking.
 * @param {Bench} bench @param {string} name @param {number} length @param {(n: number) => import('./load.js').Prepared} make
 * @returns {Requests}
 */
export function requests(bench, name, length, make) {
  const known = bench.prepared.get(name);
  if (known && known.length >= length) return known;
  const made = prepare(
    join(bench.fast, `${name}.requests`),
    Array.from({ length }, (_, n) => make(n)),
  );
  bench.prepared.set(name, made);
  return made;
}

/**
 * The Worker's own checks, mapping and verification, from the Worker's own WebAssembly. It is fetched when it is needed, and not
 * before.
 */

import { wasm } from '#wasm';
import { VcxGhlError } from './error.js';

/** @import * as Core from '../../pkg/vcx_ghl.js' */
/** @import { ContactAsk, ConversationUpdated, GhlMessage, MessageCreated, NormalPush, Push, StatusAsk } from './types.js' */

/**
 * Where the WebAssembly is: its URL, the answer to a request for it, its bytes, or the compiled module.
 * @typedef {string | URL | Request | Response | BufferSource | WebAssembly.Module} Source
 */
/** @typedef {string | Uint8Array | ArrayBuffer} RawBody a body as it came, before anything has parsed it */

/** @type {typeof Core | undefined} */
let core;
/** @type {Promise<void> | undefined} */
let loading;

/**
 * Loads the WebAssembly: after this, the functions work. Loads it once, however often it is called.
 * @param {Source | Promise<Source>} [source] where it is, if a bundler has put it elsewhere
 * @returns {Promise<void>}
 */
export function load(source) {
  loading ??= start(source).catch((cause) => {
    loading = undefined;
    const why = cause instanceof Error ? cause.message : cause;
    throw new VcxGhlError('not_loadable', `the WebAssembly cannot be loaded: ${why}`, { retryable: true, cause });
  });
  return loading;
}

/** @param {Source | Promise<Source>} [source] */
async function start(source) {
  const glue = await import('../../pkg/vcx_ghl.js');
  await glue.default({ module_or_path: await (source ?? wasm()) });
  core = glue;
}

/**
 * A push as the Worker would take it: checked, complete, and under the id that it gets there.
 * @param {Push} push
 * @returns {NormalPush}
 * @throws {VcxGhlError} names what is wrong in `errors`
 */
export function normalizePush(push) {
  return JSON.parse(run('normalizePush', json(push)));
}

/**
 * What `upsertContact` takes, as the Worker would take it.
 * @param {ContactAsk} ask
 * @returns {ContactAsk}
 * @throws {VcxGhlError} names what is wrong in `errors`
 */
export function normalizeContact(ask) {
  return JSON.parse(run('normalizeContact', json(ask)));
}

/**
 * What `setMessageStatus` takes, as the Worker would take it.
 * @param {StatusAsk} ask
 * @returns {StatusAsk}
 * @throws {VcxGhlError} names what is wrong in `errors`
 */
export function normalizeStatus(ask) {
  return JSON.parse(run('normalizeStatus', json(ask)));
}

/**
 * The body with which the Worker tells GHL of a push.
 * @param {Push} push
 * @param {{ providerId: string, contactId: string, conversationId?: string }} context our conversation provider, and GHL's contact
 * @returns {GhlMessage}
 */
export function toGhl(push, context) {
  return JSON.parse(run('toGhl', json(push), json(context), Date.now()));
}

/**
 * What a webhook of GHL means to vCX's chat, or why it means nothing.
 *
 * `copy`: it is an `OutboundMessage`, of which GHL sends one for every message: for those that vCX pushed (their id is among the
 * `ghlMessageId`s) and for those that came to the Delivery URL already (under the same `messageId`). The Worker drops those.
 * @param {string | object} webhook as it came, or parsed
 * @param {{ providerId: string, clientId?: string, vcxConversationId?: string }} context our conversation provider, and the chat of
 *   the webhook's contact; what is dropped needs no chat
 * @returns {{ event: MessageCreated | ConversationUpdated, copy?: true, dropped?: undefined } |
 *   { event?: undefined, dropped: string }}
 */
export function toVcx(webhook, context) {
  const text = typeof webhook === 'string' ? webhook : json(webhook);
  return JSON.parse(run('toVcx', text, json(context), Date.now()));
}

/**
 * Checks that GHL signed a webhook.
 * @param {RawBody} rawBody
 * @param {string | null | undefined} signature the header `X-GHL-Signature`
 * @param {string} [keys] as in GHL_PUBLIC_KEYS; default: GHL's own
 * @returns {any} the webhook, parsed
 * @throws {VcxGhlError} if GHL did not
 */
export function verifyGhlWebhook(rawBody, signature, keys) {
  const bytes = bytesOf(rawBody, 'verifyGhlWebhook');
  run('verifyGhlWebhook', bytes, signature ?? undefined, keys);
  return JSON.parse(new TextDecoder().decode(bytes));
}

/**
 * @template {keyof typeof Core} Name
 * @param {Name} name
 * @param {Parameters<Extract<typeof Core[Name], (...args: any) => any>>} args
 * @returns {ReturnType<Extract<typeof Core[Name], (...args: any) => any>>}
 */
export function run(name, ...args) {
  if (!core) throw new VcxGhlError('not_loaded', `${name}() works after \`await load()\``);
  try {
    return /** @type {any} */ (core[name])(...args);
  } catch (thrown) {
    if (typeof thrown !== 'string') throw thrown;
    const { code, detail, errors } = JSON.parse(thrown);
    throw new VcxGhlError(code, detail, { errors });
  }
}

/** @param {unknown} value what has no JSON is refused as what is no object */
export const json = (value) => JSON.stringify(value) ?? 'null';

/** @param {RawBody} rawBody @param {string} name of the function */
export function bytesOf(rawBody, name) {
  if (typeof rawBody === 'string') return new TextEncoder().encode(rawBody);
  if (rawBody instanceof Uint8Array) return rawBody;
  if (rawBody instanceof ArrayBuffer) return new Uint8Array(rawBody);
  throw new VcxGhlError(
    'not_raw',
    `${name}() needs the body as it came, as a string or bytes: parsed, it has no signature`,
  );
}

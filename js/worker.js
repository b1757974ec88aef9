/**
 * The Worker: takes a request to the core's edge, does the steps it asks for, gives back its response.
 */

import { BODY_LIMIT, internal, proceed, ready, recover, route, unavailable } from './core.js';
import { askObject, log } from './location.js';
import { send } from './send.js';

export { Location } from './location.js';

export default {
  /**
   * @param {Request} request
   * @param {any} env the bindings and settings of wrangler.toml
   */
  async fetch(request, env) {
    const began = Date.now();
    let response;
    try {
      ready(env);
      response = await steps(request, env);
    } catch (error) {
      recover(error);
      log('error', 'request_failed', error);
      ready(env);
      response = internal();
    }
    const { method, url } = request;
    const line = { level: 'info', event: 'request', at: began, method, path: new URL(url).pathname };
    console.log(JSON.stringify({ ...line, status: response.status, ms: Date.now() - began }));
    const { status, headers, body } = response;
    const isEmpty = method === 'HEAD' || (body === '' && status !== 200);
    return new Response(isEmpty ? null : body, { status, headers });
  },
};

/**
 * @param {Request} request
 * @param {any} env
 */
async function steps(request, env) {
  const body = await read(request, BODY_LIMIT);
  let step = route(request, body, Date.now());
  for (;;) {
    const [[name, value]] = /** @type {[string, any][]} */ (Object.entries(step));
    switch (name) {
      case 'respond':
        if (value.log) console.log(value.log);
        return value.response;
      case 'ask': {
        const outcome = await askObject(env, value.object, value.ask, ASK_TIMEOUT_MS);
        if (!value.then) return outcome.answered ?? unavailable();
        step = proceed(value.then, { outcome: { outcome } }, Date.now());
        break;
      }
      case 'fetch': {
        const outcome = await send(value.request, value.timeoutMs);
        step = proceed(value.then, { outcome: { outcome } }, Date.now());
        break;
      }
      case 'list': {
        const page = await env.KV.list({ prefix: value.prefix, cursor: value.cursor ?? undefined, limit: PAGE });
        const keys = page.keys.map((/** @type {any} */ { name, metadata }) => ({ name, metadata: metadata ?? null }));
        const cursor = page.list_complete ? null : page.cursor;
        step = proceed(value.then, { page: { keys, cursor } }, Date.now());
        break;
      }
      default:
        throw new Error(`the core asks for something unknown: ${name}`);
    }
  }
}

/**
 * The body's bytes; undefined when there are more than `limit`. Those are read all the same: who still sends when the answer
 * comes may never see it.
 * @param {Request} request
 * @param {number} limit
 */
async function read(request, limit) {
  if (!request.body) return new Uint8Array();
  const chunks = [];
  let length = 0;
  for await (const chunk of request.body) {
    length += chunk.byteLength;
    if (length <= limit) chunks.push(chunk);
  }
  if (length > limit) return undefined;
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** An object answers after 10 s at the latest. */
const ASK_TIMEOUT_MS = 20_000;
const PAGE = 100;

/**
 * The Worker: takes a request to the core's edge, does the steps it asks for, gives back its response.
 */

import { BODY_LIMIT, brokenAnswer, decide, goOn, headersFor, ready, recover, unavailableAnswer } from './core.js';
import { askObject, listenTo, log } from './location.js';
import { send } from './send.js';

export { Location } from './location.js';

export default {
  /**
   * @param {Request} request
   * @param {any} env the bindings and settings of wrangler.toml
   */
  async fetch(request, env) {
    const began = Date.now();
    /** @type {Record<string, string>} */
    const about = {};
    let response;
    try {
      ready(env);
      response = await steps(request, env, about);
    } catch (error) {
      recover(error);
      log('error', 'request_failed', error);
      ready(env);
      response = brokenAnswer();
    }
    const { status, headers, body, webSocket } = response;
    const { method, url } = request;
    const line = { level: levelOf(status), event: 'request', at: began, method, path: pathOf(url), ...about };
    console.log(JSON.stringify({ ...line, status, ...codeOf(response), ms: Date.now() - began }));
    const isEmpty = method === 'HEAD' || (body === '' && status !== 200);
    const shared = request.headers.has('origin') ? headersFor(request) : {};
    return new Response(isEmpty ? null : body, { status, headers: { ...headers, ...shared }, webSocket });
  },
};

/**
 * @param {Request} request
 * @param {any} env
 * @param {Record<string, string>} about is told whose object was asked
 */
async function steps(request, env, about) {
  const body = await read(request, BODY_LIMIT);
  let step = decide(request, body, Date.now());
  for (;;) {
    const [[name, value]] = /** @type {[string, any][]} */ (Object.entries(step));
    switch (name) {
      case 'respond':
        if (value.log) console.log(value.log);
        return value.response;
      case 'ask': {
        Object.assign(about, ownerOf(value.object));
        const outcome = await askObject(env, value.object, JSON.stringify(value.ask), ASK_TIMEOUT_MS);
        if (!value.then) return outcome.answered ?? unavailableAnswer();
        step = goOn(value.then, { outcome: { outcome } }, Date.now());
        break;
      }
      case 'listen':
        Object.assign(about, ownerOf(value.object));
        return await listenTo(env, value.object, JSON.stringify(value.ask)).catch(unavailableAnswer);
      case 'fetch': {
        const outcome = await send(value.request, value.timeoutMs);
        step = goOn(value.then, { outcome: { outcome } }, Date.now());
        break;
      }
      case 'list': {
        const page = await env.KV.list({ prefix: value.prefix, cursor: value.cursor ?? undefined, limit: PAGE });
        const keys = page.keys.map((/** @type {any} */ { name, metadata }) => ({ name, metadata: metadata ?? null }));
        const cursor = page.list_complete ? null : page.cursor;
        step = goOn(value.then, { page: { keys, cursor } }, Date.now());
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

/** Whose object it is, for the log. @param {string} object */
function ownerOf(object) {
  const [kind, id] = object.split(/:(.*)/s);
  return { [`${kind}Id`]: id };
}

/** @param {number} status */
const levelOf = (status) => (status >= 500 ? 'error' : status >= 400 ? 'warn' : 'info');

/** Never the query: it can hold a code or a state. @param {string} url */
const pathOf = (url) => new URL(url).pathname.slice(0, PATH);

/**
 * The stable word of what is wrong.
 * @param {{ headers: Record<string, string>, body: string }} response
 */
function codeOf({ headers, body }) {
  return headers['content-type'] === 'application/problem+json' ? { code: JSON.parse(body).code } : {};
}

/** An object answers after 10 s at the latest. */
const ASK_TIMEOUT_MS = 20_000;
const PAGE = 100;
/** Characters of a path in the log: whoever asks chooses it. */
const PATH = 200;

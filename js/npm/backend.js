/**
 * The Worker's routes for vCX's backend. A call that can be repeated safely is, as the Worker's answers ask for it.
 */

import { inTime } from '../in-time.js';
import { VcxGhlError } from './error.js';

/** @import { ContactAsk, ListedLocation, LocationHealth, NotConfigured, Push, Pushed, StatusAsk, Up } from './types.js' */

/**
 * @typedef {object} BackendOptions
 * @property {string | URL} url the Worker's
 * @property {string} apiKey one of VCX_API_KEY
 * @property {number} [retries] how often a call is repeated at most; default 4
 * @property {typeof globalThis.fetch} [fetch] instead of the platform's
 */

/** @typedef {{ signal?: AbortSignal }} CallOptions */

/**
 * A client of the Worker.
 * @param {BackendOptions} options
 */
export function createClient(options) {
  return new Backend(options);
}

export class Backend {
  #url;
  #apiKey;
  #retries;
  #fetch;

  /** @param {BackendOptions} options */
  constructor({ url, apiKey, retries = 4, fetch = (...args) => globalThis.fetch(...args) }) {
    this.#url = `${url}`.replace(/\/$/, '');
    this.#apiKey = apiKey;
    this.#retries = retries;
    this.#fetch = fetch;
  }

  /**
   * A message for GHL. A repeat, here or by the caller, has no second effect: it has a `messageId`, or the Worker derives one.
   * @param {Push} push
   * @param {CallOptions} [options]
   * @returns {Promise<Pushed>}
   */
  pushMessage(push, options) {
    return this.#call('POST', '/push-message', push, options);
  }

  /**
   * Finds, creates or updates a visitor's contact.
   * @param {ContactAsk} ask
   * @param {CallOptions} [options]
   * @returns {Promise<{ contactId: string }>}
   */
  upsertContact(ask, options) {
    return this.#call('POST', '/contact', ask, options);
  }

  /**
   * Tells GHL how far an agent's message got.
   * @param {StatusAsk} ask
   * @param {CallOptions} [options]
   * @returns {Promise<{ messageId: string, status: StatusAsk['status'] }>} how far it is
   */
  setMessageStatus(ask, options) {
    return this.#call('POST', '/message-status', ask, options);
  }

  /**
   * The directory, page by page as it is read.
   * @param {CallOptions} [options]
   * @returns {AsyncGenerator<ListedLocation, void, void>}
   */
  async *locations(options) {
    for (let query = ''; ; ) {
      const { locations, cursor } = await this.#call('GET', `/locations${query}`, undefined, options);
      yield* locations;
      if (!cursor) return;
      query = `?cursor=${encodeURIComponent(cursor)}`;
    }
  }

  /**
   * A location's health.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<LocationHealth>}
   */
  location(id, options) {
    return this.#call('GET', `/locations/${encodeURIComponent(id)}`, undefined, options);
  }

  /**
   * Sends dead letters again.
   * @param {string} id the location's
   * @param {number[]} [ids] the letters'; default: all
   * @param {CallOptions} [options]
   * @returns {Promise<{ replayed: number }>}
   */
  replay(id, ids, options) {
    const path = `/locations/${encodeURIComponent(id)}/replay`;
    return this.#call('POST', path, ids && { ids }, { ...options, once: true });
  }

  /**
   * Whether the Worker is up, or what it lacks.
   * @param {CallOptions} [options]
   * @returns {Promise<Up | NotConfigured>}
   */
  async health(options) {
    const { answer } = await this.#ask('GET', '/health', undefined, options?.signal);
    if (answer?.status === 'up' || answer?.status === 'not_configured') return answer;
    throw new VcxGhlError('unreachable', `${this.#url}/health is not the Worker's`, { retryable: true });
  }

  /**
   * Where an admin connects a location.
   * @param {string} [ref] vCX's account; comes back in `location.connected`
   */
  installUrl(ref) {
    return `${this.#url}/install${ref === undefined ? '' : `?ref=${encodeURIComponent(ref)}`}`;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} body
   * @param {CallOptions & { once?: boolean }} [options] `once`: only what had no effect for certain is repeated
   * @returns {Promise<any>}
   */
  async #call(method, path, body, { signal, once = false } = {}) {
    for (let tries = 0; ; tries++) {
      try {
        return answerOf(await this.#ask(method, path, body, signal));
      } catch (thrown) {
        const { retryable, status = 0, after = 0 } = /** @type {Refused} */ (thrown);
        const again = once ? status === 429 || status === 503 : retryable;
        if (!again || tries >= this.#retries) throw thrown;
        await pause(after + Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** tries), signal);
      }
    }
  }

  /** @param {string} method @param {string} path @param {unknown} body @param {AbortSignal} [signal] */
  async #ask(method, path, body, signal) {
    try {
      return await inTime(ANSWER_MS, async (late) => {
        const response = await this.#fetch(this.#url + path, {
          method,
          headers: { authorization: `Bearer ${this.#apiKey}`, ...(body !== undefined && JSON_TYPE) },
          body: body === undefined ? undefined : JSON.stringify(body),
          signal: signal ? AbortSignal.any([signal, late]) : late,
        });
        return { response, answer: await response.json().catch(() => null) };
      });
    } catch (cause) {
      signal?.throwIfAborted();
      const why = cause instanceof Error ? cause.message : cause;
      throw new VcxGhlError('unreachable', `the Worker could not be reached: ${why}`, { retryable: true, cause });
    }
  }
}

/** @typedef {VcxGhlError & { after?: number }} Refused */

/**
 * The answer; thrown, if it is a refusal.
 * @param {{ response: Response, answer: any }} asked
 */
function answerOf({ response: { ok, status, headers }, answer }) {
  if (ok && answer) return answer;
  // A success without JSON is not the Worker's.
  const retryable = ok || status === 429 || (status >= 500 && answer?.code !== 'not_configured');
  const { code = `http_${status}`, detail = `the answer was ${status}`, errors = [], messageId } = answer ?? {};
  const error = new VcxGhlError(code, detail || answer.title, { status, retryable, errors, messageId });
  throw Object.assign(error, { after: Number(headers.get('retry-after')) * 1_000 || 0 });
}

/** @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

const JSON_TYPE = { 'content-type': 'application/json' };
/** The Worker answers after 20 s at the latest. */
const ANSWER_MS = 30_000;
const FIRST_MS = 500;
const LONGEST_MS = 30_000;

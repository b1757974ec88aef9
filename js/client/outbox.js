/**
 * What the application says: one call at a time, in order, each repeated until it is answered for good. It is in memory only.
 */

import { VcxGhlError } from '../npm/error.js';

/** @import { SessionSource } from './session.js' */

/**
 * @typedef {object} Job
 * @property {string} route
 * @property {object} body
 * @property {(answer: any) => void} resolve
 * @property {(error: VcxGhlError) => void} reject
 */

export class Outbox {
  /** Ends a pause, but for one that the Worker has asked for. @type {() => void} */
  wake = () => {};
  #url;
  #session;
  /** @type {Job[]} */
  #jobs = [];
  #isClosed = false;
  #call = new AbortController();

  /**
   * @param {string} url
   * @param {SessionSource} session
   */
  constructor(url, session) {
    this.#url = url;
    this.#session = session;
  }

  /**
   * @param {string} route
   * @param {object} body
   * @returns {Promise<any>} the answer; rejects when it is refused for good
   */
  post(route, body) {
    return new Promise((resolve, reject) => {
      if (this.#jobs.push({ route, body, resolve, reject }) === 1) void this.#work();
    });
  }

  /** @param {VcxGhlError} error what whoever still waits is told */
  close(error) {
    this.#isClosed = true;
    for (const { reject } of this.#jobs.splice(0)) reject(error);
    this.#call.abort();
    this.wake();
  }

  async #work() {
    for (let tries = 0; this.#jobs.length; ) {
      const { route, body, resolve, reject } = this.#jobs[0];
      try {
        resolve(await this.#try(route, body));
      } catch (thrown) {
        const error = /** @type {Refused} */ (thrown);
        if (error.retryable && !this.#isClosed) {
          await this.#pause(error.after, Math.random() * Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries++));
          continue;
        }
        reject(error);
      }
      tries = 0;
      this.#jobs.shift();
    }
  }

  /** @param {string} route @param {object} body */
  async #try(route, body) {
    const { newest, isFixed } = this.#session;
    const first = await this.#send(route, body, newest ?? (await this.#session.ask()));
    const again = first.status === 401 && !isFixed;
    const { status, ok, answer, after } = again ? await this.#send(route, body, await this.#session.ask()) : first;
    if (ok && answer) return answer;
    // A success without JSON is not the Worker's.
    const retryable = ok || again || status >= 500 || [408, 425, 429].includes(status);
    const detail = answer?.detail ?? answer?.title ?? `the Worker answered ${status}`;
    throw Object.assign(new VcxGhlError(answer?.code ?? `http_${status}`, detail, { status, retryable }), { after });
  }

  /** @param {string} route @param {object} body @param {string} token */
  async #send(route, body, token) {
    this.#call = new AbortController();
    const timer = setTimeout(() => this.#call.abort(), ANSWER_MS);
    try {
      const response = await fetch(`${this.#url}/${route}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: this.#call.signal,
      });
      const { status, ok, headers } = response;
      const answer = await response.json().catch(() => null);
      return { status, ok, answer, after: Number(headers.get('retry-after')) * 1_000 || 0 };
    } catch (cause) {
      throw new VcxGhlError('unreachable', 'the Worker could not be reached', { retryable: true, cause });
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {number} [least] as the Worker has asked @param {number} more */
  #pause(least = 0, more = 0) {
    const end = Date.now() + least;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, least + more);
      this.wake = () => {
        if (Date.now() < end && !this.#isClosed) return;
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }
}

/** @typedef {VcxGhlError & { after?: number }} Refused */

/** The Worker answers after 20 s at the latest. */
const ANSWER_MS = 30_000;
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 30_000;

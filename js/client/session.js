/**
 * Where sessions come from: the one that the application gave, or its function.
 */

import { VcxGhlError } from '../npm/error.js';

/** @typedef {string | (() => string | Promise<string>)} Session */

export class SessionSource {
  /** The last that was asked for. @type {string | undefined} */
  newest;
  #session;
  /** @type {Promise<string> | undefined} */
  #asking;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
  }

  /** Whether asking again brings the same. */
  get isFixed() {
    return typeof this.#session === 'string';
  }

  /** A fresh one; who asks meanwhile gets the same. */
  ask() {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask() {
    try {
      const session = typeof this.#session === 'function' ? await this.#session() : this.#session;
      if (typeof session !== 'string') throw new TypeError('it gave no string');
      this.newest = session;
      return session;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : cause;
      throw new VcxGhlError('no_session', `session(): ${why}`, { retryable: true, cause });
    }
  }
}

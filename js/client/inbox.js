/**
 * What has happened, on its way to the application: to listeners at once, to iterators when they ask, and to whoever comes first
 * as long as nobody listens. It knows up to where the application has everything.
 */

/** @import { ClientEvent } from '../client.js' */

/** @typedef {{ event: ClientEvent, at: number }} Entry an event and its place in the stream */
/** @typedef {{ entries: Entry[], wake: () => void }} Reader one iteration: what waits for it, and what it waits for */

export class Inbox {
  /** @type {Map<string, Set<(event: any) => void>>} */
  #listeners = new Map();
  /** @type {Set<Reader>} */
  #readers = new Set();
  /** @type {Entry[]} */
  #held = [];
  #taken;
  #isEnded = false;

  /** @param {() => void} taken called whenever the application has taken something */
  constructor(taken) {
    this.#taken = taken;
  }

  /** @param {Entry} entry */
  push(entry) {
    const { event } = entry;
    if (isLasting(entry) && !this.#readers.size && !this.#listens()) this.#held.push(entry);
    else this.#tell(event);
    for (const { entries, wake } of this.#readers) {
      entries.push(entry);
      wake();
    }
  }

  /** How many events wait for the application. */
  get backlog() {
    return Math.max(...this.#queues().map(({ length }) => length));
  }

  /** The place before the first event that waits for the application. */
  get shown() {
    return Math.min(...this.#queues().map(([first]) => (first ? first.at - 1 : Number.POSITIVE_INFINITY)));
  }

  /**
   * @param {string} type
   * @param {(event: any) => void} listener
   * @returns {() => void}
   */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    // Not within the caller's own statement.
    queueMicrotask(() => {
      if (!this.#listens()) return;
      for (const { event } of this.#held.splice(0)) this.#tell(event);
      this.#taken();
    });
    return () => void listeners.delete(listener);
  }

  /** @returns {AsyncGenerator<ClientEvent, void, void>} */
  async *read() {
    /** @type {Reader} */
    const reader = { entries: this.#held.splice(0), wake: () => {} };
    const { entries } = reader;
    this.#readers.add(reader);
    try {
      for (;;) {
        const entry = entries.shift();
        if (entry) {
          this.#taken();
          yield entry.event;
        } else if (this.#isEnded) return;
        else await new Promise((resolve) => (reader.wake = () => resolve(undefined)));
      }
    } finally {
      this.#readers.delete(reader);
      // Whoever comes next begins where this one has left off.
      if (!this.#readers.size && !this.#listens()) this.#held = entries.filter(isLasting);
      this.#taken();
    }
  }

  /** Ends the iterations, once they have given what they have. */
  end() {
    this.#isEnded = true;
    for (const { wake } of this.#readers) wake();
  }

  #queues() {
    return [this.#held, ...[...this.#readers].map(({ entries }) => entries)];
  }

  #listens() {
    return Boolean(this.#listeners.get('message')?.size);
  }

  /** @param {ClientEvent} event */
  #tell(event) {
    for (const listener of this.#listeners.get(event.type) ?? []) {
      try {
        listener(event);
      } catch (error) {
        // The listener's own mistake: it is reported, and the others hear all the same.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** What the application must not miss, however late it begins to listen. @param {Entry} entry */
const isLasting = ({ event: { type } }) => type === 'message' || type === 'reset';

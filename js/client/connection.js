/**
 * One WebSocket to the Worker, made anew whenever it breaks: by the library with its growing, jittered pauses; by us at once when
 * there is reason to believe that it will work now.
 */

import ReconnectingWebSocket from 'partysocket/ws';

/** @typedef {'connecting' | 'open' | 'closed'} ConnectionState */

/**
 * @typedef {object} ConnectionOptions
 * @property {() => string} url asked at each connect
 * @property {() => Promise<string[]>} protocols asked at each connect
 * @property {(data: string) => boolean} hear takes a frame, and says whether it shows that the Worker has let us in
 * @property {(state: ConnectionState, code?: number, reason?: string) => void} tell
 * @property {boolean} isFixed whether the session cannot be another one next time
 * @property {any} [WebSocket]
 */

export class Connection {
  /** @type {ConnectionState} */
  state = 'connecting';
  #options;
  /** @type {ReconnectingWebSocket | undefined} */
  #socket;
  #openedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pulse;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
    this.#open();
  }

  /** @param {string} text dropped when there is no connection */
  send(text) {
    this.#socket?.send(text);
  }

  /** Something has changed: is the connection alive, or can there be one now? */
  wake() {
    if (this.state === 'open') this.#ping();
    else if (this.#socket && this.#socket.readyState > CONNECTED) this.#open();
  }

  /** @param {number} code @param {string} [reason] */
  close(code, reason) {
    this.#drop();
    this.#become('closed', code, reason);
  }

  #open() {
    this.#drop();
    const { url, protocols, WebSocket } = this.#options;
    const socket = new ReconnectingWebSocket(url, protocols, {
      WebSocket,
      connectionTimeout: CONNECT_MS,
      // What is said on a connection makes no sense on the next.
      maxEnqueuedMessages: 0,
      // The library reads these before each pause: there is the jitter.
      get minReconnectionDelay() {
        return FIRST_PAUSE_MS * (0.5 + Math.random());
      },
      get maxReconnectionDelay() {
        return LAST_PAUSE_MS * (0.5 + Math.random());
      },
      reconnectionDelayGrowFactor: 1.7,
    });
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    socket.onerror = ({ message }) => this.#become('connecting', undefined, message);
    this.#socket = socket;
    this.#become('connecting');
  }

  /** Ends a socket without hearing of it. */
  #drop() {
    clearTimeout(this.#pulse);
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = this.#socket.onerror = null;
    this.#socket.close();
    this.#socket = undefined;
  }

  /** @param {string} data */
  #hear(data) {
    clearTimeout(this.#pulse);
    this.#pulse = setTimeout(() => this.#ping(), QUIET_MS);
    if (data === 'pong' || !this.#options.hear(data)) return;
    this.#openedAt = Date.now();
    this.#become('open');
    // One from which nothing ever came is not ended by workerd when it closes it: not for half a minute.
    this.#ping();
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    clearTimeout(this.#pulse);
    if (code === FORBIDDEN || (code === EXPIRED && this.#options.isFixed)) return this.close(code, reason);
    const wasOpen = this.state === 'open';
    this.#become('connecting', code, reason);
    // Not if the next one was over at once, too: with a wrong clock on either side that would never end.
    if (code === EXPIRED && wasOpen && Date.now() - this.#openedAt > LASTING_MS) this.#open();
  }

  /** @param {ConnectionState} state @param {number} [code] @param {string} [reason] */
  #become(state, code, reason) {
    if (this.state === 'closed' || (this.state === state && !reason)) return;
    this.state = state;
    this.#options.tell(state, code, reason);
  }

  #ping() {
    clearTimeout(this.#pulse);
    this.send('ping');
    this.#pulse = setTimeout(() => this.#open(), PONG_MS);
  }
}

/** The close codes that say more than that it broke. */
const EXPIRED = 4401;
const FORBIDDEN = 4403;
/** `WebSocket.OPEN` */
const CONNECTED = 1;
const CONNECT_MS = 10_000;
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 30_000;
const LASTING_MS = 5_000;
/** After so long without a word it is asked whether the other end is still there. */
const QUIET_MS = 30_000;
const PONG_MS = 5_000;

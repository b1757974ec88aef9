/**
 * The Durable Object of one GHL location: feeds the core what happened, does what it says. It knows nothing about chats,
 * tokens or retries.
 *
 * Each turn of the core is one transaction. What it puts out leaves this object only once the transaction is on disk: the
 * platform's output gate sees to that.
 */

import { DurableObject } from 'cloudflare:workers';
import { brokenAnswer, handle, ready, recover } from './core.js';
import { send } from './send.js';

/** @import { Answer } from './core.js' */
/** @typedef {Record<string, any>} Output of the core: `{ name: { … } }` */

export class Location extends DurableObject {
  /** Who waits for an answer. @type {Map<string, (response: any) => void>} */
  #callers = new Map();
  /** Until when. A timer that is left keeps this object awake, and no more than 10,000 may run. @type {Map<string, any>} */
  #holds = new Map();
  /** @type {number | null} */
  #alarmAt = null;
  #budget = CALLS_PER_EVENT;
  #asked = 0;
  #self = crypto.randomUUID();
  #database;

  /**
   * @param {DurableObjectState} ctx
   * @param {any} env
   */
  constructor(ctx, env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    this.#database = {
      /** @type {(statement: string, args: string) => string | undefined} JSON both, see src/wasm.rs */
      query: (statement, args) => {
        const rows = [...sql.exec(statement, ...JSON.parse(args)).raw()];
        return rows.length ? JSON.stringify(rows) : undefined;
      },
      /** @type {(statement: string, args: string) => void} */
      run: (statement, args) => void sql.exec(statement, ...JSON.parse(args)),
    };
    // Browsers send it to learn whether their connection is still there. It does not wake this object.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
    ctx.blockConcurrencyWhile(async () => {
      this.#alarmAt = await ctx.storage.getAlarm();
      await this.#feed(STARTED);
    });
  }

  /**
   * Asks the location something.
   * @param {string} object this object's name
   * @param {string} ask JSON
   * @returns {Promise<Answer>}
   */
  ask(object, ask) {
    this.#budget = CALLS_PER_EVENT;
    const caller = `${this.#self}:${++this.#asked}`;
    return new Promise((resolve) => {
      this.#callers.set(caller, resolve);
      void this.#feed(`{"asked":{"caller":"${caller}","object":${JSON.stringify(object)},"ask":${ask}}}`, caller);
    });
  }

  /**
   * Asks the location something that is answered with a WebSocket: only a request can be.
   * @param {Request} request
   */
  async fetch(request) {
    const { object, ask } = JSON.parse(new URL(request.url).searchParams.get(ASKED) ?? '');
    const { body, ...init } = await this.ask(object, ask);
    return new Response(body || null, init);
  }

  /**
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} message
   */
  webSocketMessage(socket, message) {
    this.#about(socket, 'heard', { text: typeof message === 'string' ? message : null });
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   * @param {string} _reason
   * @param {boolean} wasClean
   */
  webSocketClose(socket, code, _reason, wasClean) {
    this.#about(socket, 'closed');
    // Otherwise the connection is kept until this object sleeps.
    if (wasClean) attempt(() => socket.close(code === NO_CODE ? undefined : code));
  }

  /** @param {WebSocket} socket */
  webSocketError(socket) {
    this.#about(socket, 'closed');
  }

  /** Never throws: after seven throws the platform would forget the alarm. */
  async alarm() {
    this.#alarmAt = null;
    this.#budget = CALLS_PER_EVENT;
    await this.#feed(WAKE);
  }

  /**
   * One input, fed until the core takes it.
   * @param {string} input JSON
   * @param {string} [caller] who waits for what becomes of it
   */
  async #feed(input, caller) {
    /** @type {Record<string, string | null>} */
    const recalled = {};
    try {
      for (;;) {
        const turn = this.#turn(input, recalled);
        if (turn.outputs) return this.#perform(turn.outputs);
        for (const key of turn.recall) recalled[key] ??= await this.env.KV.get(key);
      }
    } catch (error) {
      this.#broken(caller, error);
    }
  }

  /**
   * @param {string} input
   * @param {Record<string, string | null>} recalled
   * @returns {{ outputs: Output[], recall?: undefined } | { outputs?: undefined, recall: string[] }}
   */
  #turn(input, recalled) {
    try {
      return { outputs: this.transact(input, recalled) };
    } catch (error) {
      const recall = /** @type {any} */ (error)?.recall;
      if (recall) return { recall };
      recover(error);
      log('error', 'turn_failed', error);
      return { outputs: this.transact(`{"trapped":{"input":${input}}}`, {}) };
    }
  }

  /**
   * One turn of the core in a transaction: all of it, or nothing.
   * @protected
   * @param {string} input
   * @param {Record<string, string | null>} recalled
   * @returns {Output[]}
   */
  transact(input, recalled) {
    ready(this.env);
    const database = /** @type {any} */ (this.#database);
    const [known, now, budget] = [JSON.stringify(recalled), Date.now(), Math.max(0, this.#budget)];
    return JSON.parse(this.ctx.storage.transactionSync(() => handle(database, input, known, now, budget)));
  }

  /**
   * Not even the turn that takes note of a failure got through: what waits on disk is tried again soon.
   * @param {string | undefined} caller
   * @param {unknown} error
   */
  #broken(caller, error) {
    recover(error);
    log('error', 'turn_broken', error);
    if (caller) this.#answer(caller, brokenAnswer());
    this.#wake(Date.now() + SAFETY_MS);
  }

  /** @param {Output[]} outputs */
  #perform(outputs) {
    for (const output of outputs) {
      const [[name, value]] = Object.entries(output);
      switch (name) {
        case 'call':
          void this.#call(value);
          break;
        case 'tell':
          void this.#tell(value);
          break;
        case 'answer':
          this.#answer(value.caller, value.response);
          break;
        case 'accept':
          this.#accept(value);
          break;
        case 'send':
          this.#send(value);
          break;
        case 'close':
          this.#close(value);
          break;
        case 'publish':
          for (const socket of this.ctx.getWebSockets(value.tag)) this.#about(socket, 'flush');
          break;
        case 'hold':
          this.#hold(value);
          break;
        case 'wake':
          this.#wake(value.at);
          break;
        case 'mirror':
          void this.#mirror(value);
          break;
        case 'log':
          console.log(value.line);
          break;
        default:
          throw new Error(`the core put out something unknown: ${name}`);
      }
    }
  }

  /** @param {Record<string, any>} output */
  async #call({ call, attempt, request, timeoutMs }) {
    this.#budget -= 1;
    const outcome = await send(request, timeoutMs);
    await this.#feed(JSON.stringify({ answered: { call, attempt, outcome } }));
  }

  /** @param {Record<string, any>} output */
  async #tell({ call, attempt, object, ask, timeoutMs }) {
    this.#budget -= 1;
    const outcome = await askObject(this.env, object, JSON.stringify(ask), timeoutMs);
    await this.#feed(JSON.stringify({ answered: { call, attempt, outcome } }));
  }

  /**
   * @param {string} caller
   * @param {any} response
   */
  #answer(caller, response) {
    this.#callers.get(caller)?.(response);
    this.#callers.delete(caller);
    clearTimeout(this.#holds.get(caller));
    this.#holds.delete(caller);
  }

  /**
   * A turn about a socket that is with us still.
   * @param {WebSocket} socket
   * @param {string} name
   * @param {Record<string, unknown>} [more]
   */
  #about(socket, name, more) {
    const cursor = socket.deserializeAttachment();
    if (cursor) void this.#feed(JSON.stringify({ [name]: { cursor, ...more } }));
  }

  /** @param {Record<string, any>} output */
  #accept({ caller, response, tags, cursor, frames }) {
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.ctx.acceptWebSocket(ours, tags);
    ours.serializeAttachment(cursor);
    for (const frame of frames) ours.send(frame);
    this.#answer(caller, { ...response, webSocket: theirs });
  }

  /** @param {Record<string, any>} output */
  #send({ socket: tag, cursor, frames }) {
    this.#with(tag, (socket) => {
      socket.serializeAttachment(cursor);
      for (const frame of frames) socket.send(frame);
    });
  }

  /** @param {Record<string, any>} output */
  #close({ socket: tag, code, reason }) {
    this.#with(tag, (socket) => {
      socket.serializeAttachment(null);
      socket.close(code, reason);
    });
  }

  /**
   * Does something to a socket. That it is broken, or gone, concerns nobody else.
   * @param {string} tag
   * @param {(socket: WebSocket) => void} action
   */
  #with(tag, action) {
    for (const socket of this.ctx.getWebSockets(tag)) attempt(() => action(socket));
  }

  /** @param {Record<string, any>} output */
  #hold({ caller, item, millis }) {
    if (!this.#callers.has(caller)) return;
    const timer = setTimeout(() => {
      if (this.#callers.has(caller)) void this.#feed(JSON.stringify({ waited: { caller, item } }));
    }, millis);
    this.#holds.set(caller, timer);
  }

  /** @param {number} at */
  #wake(at) {
    if (this.#alarmAt !== null && this.#alarmAt <= at) return;
    this.#alarmAt = at;
    void this.ctx.storage.setAlarm(at);
  }

  /** @param {Record<string, any>} output */
  async #mirror({ key, value, rev, listed }) {
    let ok = true;
    try {
      await this.env.KV.put(key, value, listed ? { metadata: JSON.parse(value) } : {});
    } catch (error) {
      ok = false;
      log('warn', 'kv_refused', error);
    }
    await this.#feed(JSON.stringify({ mirrored: { key, rev, ok } }));
  }
}

/**
 * Does something to a socket that may be broken.
 * @param {() => void} action
 */
function attempt(action) {
  try {
    action();
  } catch (error) {
    log('warn', 'socket_broken', error);
  }
}

/**
 * Asks a location's object, and waits for so long at most.
 * @param {any} env
 * @param {string} object
 * @param {string} ask JSON
 * @param {number} timeoutMs
 * @returns {Promise<any>} an outcome
 */
export async function askObject(env, object, ask, timeoutMs) {
  /** @type {any} */
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve('timedOut'), timeoutMs);
  });
  try {
    const answer = env.LOCATION.get(env.LOCATION.idFromName(object)).ask(object, ask);
    return await Promise.race([answer.then((/** @type {any} */ response) => ({ answered: response })), late]);
  } catch (error) {
    return { dropped: { message: error instanceof Error ? error.message : String(error) } };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks a location's object for a WebSocket.
 * @param {any} env
 * @param {string} object
 * @param {string} ask JSON
 * @returns {Promise<{ status: number, headers: Record<string, string>, body: string, webSocket: WebSocket | null }>}
 */
export async function listenTo(env, object, ask) {
  const url = new URL('https://location/');
  url.searchParams.set(ASKED, JSON.stringify({ object, ask }));
  const stub = env.LOCATION.get(env.LOCATION.idFromName(object));
  /** @type {Response} */
  const response = await stub.fetch(url, { headers: { upgrade: 'websocket' } });
  const { status, webSocket } = response;
  return { status, headers: Object.fromEntries(response.headers), body: await response.text(), webSocket };
}

/**
 * @param {string} level
 * @param {string} event
 * @param {unknown} error
 */
export function log(level, event, error) {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  console.log(JSON.stringify({ level, event, at: Date.now(), message }));
}

const STARTED = '"started"';
const WAKE = '"wake"';
/** The platform allows 1,000 in one event; half of it leaves room for KV and for other objects. */
const CALLS_PER_EVENT = 500;
const SAFETY_MS = 15_000;
/** What a close frame without a code is reported as (RFC 6455 §7.4.1). */
const NO_CODE = 1005;
/** The parameter that holds what a request asks. */
const ASKED = 'asked';

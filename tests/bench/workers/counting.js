/**
 * The built Worker, with everything counted that Cloudflare bills: put beside the build as another entry. `GET /_counts` gives
 * the numbers so far.
 */

// @ts-expect-error the build's, beside which this one is put
import worker, { Location as Built } from './worker.js';

/** @typedef {{ n: number, rowsRead: number, rowsWritten: number }} Statement */

const nothing = () => ({
  made: 0,
  asks: 0,
  turns: 0,
  statements: 0,
  rowsRead: 0,
  rowsWritten: 0,
  alarmsSet: 0,
  alarmsRun: 0,
  /** When its alarm goes off; 0 when none is set. */
  alarmAt: 0,
  /** When it last did something. */
  lastAt: 0,
  /** @type {Record<string, Statement>} */
  byStatement: {},
});
/** By object, which is made anew each time that it has been idle for a while. @type {Record<string, ReturnType<typeof nothing>>} */
const objects = {};
/** The timers that run, and how long they take: an object that has one is billed until it goes off. @type {Map<unknown, Timer>} */
const timers = new Map();
/** @typedef {{ n: number, ms: number }} Timer */
let started = 0;

const { setTimeout, clearTimeout } = globalThis;
globalThis.setTimeout = /** @type {any} */ (
  (/** @type {() => void} */ then, /** @type {number} */ ms = 0) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      then();
    }, ms);
    timers.set(timer, { n: ++started, ms });
    return timer;
  }
);
globalThis.clearTimeout = (timer) => {
  timers.delete(timer);
  clearTimeout(timer);
};
// It is a timer that nobody can end.
const { timeout } = AbortSignal;
AbortSignal.timeout = (ms) => {
  const mark = {};
  timers.set(mark, { n: ++started, ms });
  setTimeout(() => timers.delete(mark), ms);
  return timeout.call(AbortSignal, ms);
};

export default {
  /** @param {Request} request @param {any} env @param {any} context */
  async fetch(request, env, context) {
    if (new URL(request.url).pathname !== '/_counts') return worker.fetch(request, env, context);
    const names = new URL(request.url).searchParams.getAll('object');
    const asked = names.map((name) => [name, objects[env.LOCATION.idFromName(name)]]);
    const running = { started, timers: [...timers.values()] };
    return Response.json({ now: Date.now(), ...running, objects: Object.fromEntries(asked) });
  },
};

export class Location extends Built {
  /** @param {any} ctx @param {any} env */
  constructor(ctx, env) {
    objects[ctx.id] ??= nothing();
    const counts = objects[ctx.id];
    counts.made += 1;
    const { storage } = ctx;
    const exec = storage.sql.exec.bind(storage.sql);
    storage.sql.exec = (/** @type {string} */ statement, /** @type {unknown[]} */ ...args) => {
      const cursor = exec(statement, ...args);
      const rows = [...cursor.raw()];
      const { rowsRead, rowsWritten } = cursor;
      note(counts, rowsRead, rowsWritten);
      counts.statements += 1;
      const name = statement.replace(/\s+/g, ' ').trim().slice(0, 70);
      counts.byStatement[name] ??= { n: 0, rowsRead: 0, rowsWritten: 0 };
      counts.byStatement[name].n += 1;
      note(counts.byStatement[name], rowsRead, rowsWritten);
      return { raw: () => rows };
    };
    const setAlarm = storage.setAlarm.bind(storage);
    storage.setAlarm = (/** @type {number} */ at) => {
      counts.alarmsSet += 1;
      counts.alarmAt = at;
      return setAlarm(at);
    };
    super(ctx, env);
  }

  get counts() {
    return objects[/** @type {any} */ (this).ctx.id];
  }

  /** @param {string} object @param {any} ask */
  ask(object, ask) {
    this.counts.asks += 1;
    return super.ask(object, ask);
  }

  async alarm() {
    this.counts.alarmsRun += 1;
    this.counts.alarmAt = 0;
    return super.alarm();
  }

  /** @param {any[]} args */
  transact(...args) {
    this.counts.turns += 1;
    this.counts.lastAt = Date.now();
    return super.transact(...args);
  }
}

/** @param {Statement | ReturnType<typeof nothing>} to @param {number} rowsRead @param {number} rowsWritten */
function note(to, rowsRead, rowsWritten) {
  to.rowsRead += rowsRead;
  to.rowsWritten += rowsWritten;
}

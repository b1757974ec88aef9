/**
 * The built Worker with code that traps. A message with `trap.<inputs>.<times>.<word>` in its id or text traps in turns of
 * those inputs (`asked`, `answered`, `wake`, `trapped`, joined by `+`; the answers are those to its own calls), that often
 * each: half way, when the turn has written it to the outbox, with the core's own frames on the stack. A conversation with such
 * a name traps in turns about its live clients' sockets (`flush`, `heard`), when the turn reads what there is to tell.
 */

// @ts-expect-error
import unreachable from './unreachable.wasm';
// @ts-expect-error the build's, beside which this one is put
import worker, { Location as Built } from './worker.js';

export default worker;

/** What `trap()` does is `unreachable`, as a panic is in a release build. */
const { trap } = /** @type {any} */ (new WebAssembly.Instance(unreachable).exports);

export class Location extends Built {
  #input = '';
  /** @type {string | undefined} */
  #call;
  /** @type {Map<string, number>} */
  #trapped = new Map();

  /** @param {any} ctx @param {any} env */
  constructor(ctx, env) {
    const { sql } = ctx.storage;
    const exec = sql.exec.bind(sql);
    sql.exec = (/** @type {string} */ statement, /** @type {unknown[]} */ ...args) => {
      const cursor = exec(statement, ...args);
      if (!this.#traps(statement, args)) return cursor;
      cursor.toArray();
      return { raw: () => [ROW] };
    };
    super(ctx, env);
  }

  /** @param {any} input @param {any} recalled */
  transact(input, recalled) {
    this.#input = typeof input === 'string' ? input : Object.keys(input)[0];
    this.#call = input.answered?.call;
    return super.transact(input, recalled);
  }

  /** @param {string} statement @param {unknown[]} args */
  #traps(statement, args) {
    const writes = /^\s*(?:INSERT INTO|UPDATE) outbox\b/.test(statement) && /^(?:out|in):/.test(String(args[0]));
    const tells = /^SELECT id, \w+ FROM feed\b/.test(statement);
    if (!writes && !tells) return false;
    const [mark, inputs, times] = /\btrap\.([a-z+]+)\.(\d+)\.\w+/.exec(args.join(' ')) ?? [];
    if (!inputs?.split('+').includes(this.#input)) return false;
    if (this.#call && this.#call !== `item:${args.at(-1)}`) return false;
    const count = (this.#trapped.get(`${this.#input} ${mark}`) ?? 0) + 1;
    this.#trapped.set(`${this.#input} ${mark}`, count);
    return count <= Number(times);
  }
}

/** A row that traps where the core reads it. */
const ROW = { [Symbol.iterator]: () => trap() };

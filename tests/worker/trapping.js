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
  /** @type {(statement: string, ...args: unknown[]) => any} */
  #exec;

  /** @param {any} ctx @param {any} env */
  constructor(ctx, env) {
    const { sql } = ctx.storage;
    const exec = sql.exec.bind(sql);
    sql.exec = (/** @type {string} */ statement, /** @type {unknown[]} */ ...args) => {
      const cursor = exec(statement, ...args);
      if (!this.#traps(statement, args)) return cursor;
      cursor.toArray();
      throw BROKEN;
    };
    super(ctx, env);
    this.#exec = exec;
  }

  /** @param {string} text @param {any} recalled */
  transact(text, recalled) {
    const input = JSON.parse(text);
    this.#input = typeof input === 'string' ? input : Object.keys(input)[0];
    this.#call = input.answered?.call;
    return super.transact(text, recalled);
  }

  /** @param {string} statement @param {unknown[]} args */
  #traps(statement, args) {
    const writes = /^(?:INSERT INTO|UPDATE) outbox\b.*\bseq\b/s.test(statement);
    const tells = /^SELECT id, \w+ FROM feed\b/.test(statement);
    if (!writes && !tells) return false;
    // A change need not say again what the item is.
    const [about] = writes ? this.#exec(ITEM, args.at(-1)).raw() : [args];
    if (writes && !/^(?:out|in):/.test(about?.[0])) return false;
    const [mark, inputs, times] = /\btrap\.([a-z+]+)\.(\d+)\.\w+/.exec(about.join(' ')) ?? [];
    if (!inputs?.split('+').includes(this.#input)) return false;
    if (this.#call && this.#call !== `item:${args.at(-1)}`) return false;
    const count = (this.#trapped.get(`${this.#input} ${mark}`) ?? 0) + 1;
    this.#trapped.set(`${this.#input} ${mark}`, count);
    return count <= Number(times);
  }
}

const ITEM = 'SELECT key, work FROM outbox WHERE seq = ?';
/** An error that traps where the core reads what it says. */
const BROKEN = Object.defineProperty(new Error(), 'message', { get: () => trap() });

/** The SQL of the store does on a Durable Object what it does natively (tests/store.rs): the same vectors. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { Miniflare } from 'miniflare';

/** @typedef {{ sql: string, args: unknown[], rows?: unknown[][], error?: string }} Vector */

/** @type {Vector[]} */
const vectors = JSON.parse(readFileSync(new URL('../vectors/sql.json', import.meta.url), 'utf8'));

/** An object that runs statements, each as the Worker does, and says what came of them. */
const script = `
  import { DurableObject } from 'cloudflare:workers';

  export class Database extends DurableObject {
    async fetch(request) {
      const statements = await request.json();
      return Response.json(statements.map(({ sql, args }) => {
        try {
          return { rows: [...this.ctx.storage.sql.exec(sql, ...args).raw()] };
        } catch (error) {
          return { error: error.message };
        }
      }));
    }
  }

  export default {
    fetch: (request, { DATABASE }) => DATABASE.get(DATABASE.idFromName(new URL(request.url).pathname)).fetch(request),
  };
`;
const miniflare = new Miniflare({
  modules: true,
  script,
  compatibilityDate: '2026-04-26',
  durableObjects: { DATABASE: { className: 'Database', useSQLite: true } },
});
after(() => miniflare.dispose());

/** @param {string} object @param {{ sql: string, args: unknown[] }[]} statements @returns {Promise<any[]>} */
async function run(object, statements) {
  const url = new URL(object, await miniflare.ready);
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(statements) });
  assert.equal(response.status, 200);
  return /** @type {any} */ (await response.json());
}

describe('on a Durable Object', () => {
  it('each statement returns what it returns natively', async () => {
    const outcomes = await run('vectors', vectors);
    assert.equal(outcomes.length, vectors.length);
    for (const [n, { sql, args, rows, error }] of vectors.entries()) {
      const outcome = outcomes[n];
      const where = `vector ${n}: ${sql} ${JSON.stringify(args)}: ${outcome.error ?? ''}`;
      if (error) assert.ok(outcome.error?.includes(error), where);
      else assert.deepEqual(outcome.rows, rows, where);
    }
  });

  it('every statement that src/store.rs holds can be prepared', async () => {
    const source = readFileSync(new URL('../../src/store.rs', import.meta.url), 'utf8').replace(/^\s*\/\/.*$/gm, '');
    const literals = [...source.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map(([, text]) => text);
    const statements = literals.filter((text) =>
      /^\s*(?:SELECT|INSERT INTO|INSERT OR|UPDATE|DELETE|CREATE)\s/.test(text),
    );
    const schema = statements.filter((sql) => sql.startsWith('CREATE'));
    const others = statements.filter((sql) => !sql.startsWith('CREATE'));
    assert.ok(schema.length > 10 && others.length > 40, `${schema.length} + ${others.length} statements`);
    const made = await run(
      'prepared',
      schema.map((sql) => ({ sql, args: [] })),
    );
    assert.deepEqual(
      made.filter(({ error }) => error),
      [],
    );
    const explained = others.map((sql) => {
      const numbered = /\?\d/.test(sql);
      return { sql: `EXPLAIN ${sql}`, args: Array(numbered ? 1 : sql.split('?').length - 1).fill(null) };
    });
    const outcomes = await run('prepared', explained);
    outcomes.forEach(({ error }, n) => {
      assert.equal(error, undefined, others[n]);
    });
  });
});

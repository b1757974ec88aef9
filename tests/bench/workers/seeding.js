/**
 * Multiplies what a location's database holds about one conversation: a Worker with the same Durable Object class and key as
 * the product, started on the product's state while that is down. It knows nothing of the schema but which tables hold a
 * conversation's rows, and which number in their texts is the conversation's.
 */

// @ts-expect-error workerd's own
import { DurableObject } from 'cloudflare:workers';

export default {
  /** @param {Request} request @param {any} env */
  async fetch(request, env) {
    const { object, ...rest } = await request.json();
    return Response.json(await env.LOCATION.get(env.LOCATION.idFromName(object)).multiply(rest));
  },
};

export class Location extends DurableObject {
  /**
   * Copies the rows whose first column ends in `number`, once for each number of a range, with every `-number` in their texts
   * replaced.
   * @param {{ tables: string[], number: number, from: number, to: number }} what
   */
  async multiply({ tables, number, from, to }) {
    const { sql } = /** @type {any} */ (this).ctx.storage;
    for (const table of tables) {
      const [{ name: id }] = sql.exec(`SELECT name FROM pragma_table_info('${table}')`).toArray();
      const row = sql.exec(`SELECT * FROM ${table} WHERE ${id} LIKE '%-${number}'`).one();
      const texts = Object.values(row).map((value) =>
        typeof value === 'string' ? `replace(?, '-${number}', '-' || n)` : '?',
      );
      sql.exec(
        `WITH RECURSIVE numbers(n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${to})
         INSERT INTO ${table}(${Object.keys(row).join(', ')}) SELECT ${texts.join(', ')} FROM numbers`,
        ...Object.values(row),
      );
    }
    return { databaseSize: sql.databaseSize };
  }
}

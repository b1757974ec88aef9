/**
 * What a month costs on Cloudflare: what messages make happen, as counted, times what Cloudflare asks for it. No measurement of
 * its own.
 */

import { readFileSync } from 'node:fs';
import { whole } from '../report.js';
import { COPY, ECHO, FIRST, PUSH, REPLY, UNREAD, written } from './counts.js';

/** @import { Count } from './counts.js' */
/** @import { Figure } from './index.js' */

/** @typedef {{ included: number, perMillion: number }} Price */
/** @type {{ read: string, sources: string[], plan: number, lines: Record<string, Price> }} */
const PRICES = JSON.parse(readFileSync(new URL('../prices.json', import.meta.url), 'utf8'));

/** @type {Figure<null>} */
export const month = {
  name: 'month',
  steps: () => 0,
  run: async () => null,

  report(_, { counts, webhook }) {
    if (!counts) return { tables: [] };
    const cpu = webhook?.mapped['vcx-ghl'].cpu.median ?? DEFAULT_CPU;
    const bills = MONTHS.map((messages) => billOf(amounts(counts.kinds, messages, cpu)));
    const lines = Object.keys(PRICES.lines).map((line) => [line, ...bills.map(({ parts }) => dollars(parts[line]))]);
    return {
      tables: [
        {
          title: 'A month on Cloudflare',
          head: ['messages a month', ...MONTHS.map((messages) => `${whole(messages / 1e6)} million`)],
          rows: [
            ['the plan', ...MONTHS.map(() => dollars(PRICES.plan))],
            ...lines,
            ['**together**', ...bills.map(({ sum }) => `**${dollars(sum)}**`)],
          ],
          note: NOTE,
        },
      ],
    };
  },
};

/** @param {Record<string, Count>} kinds @param {number} messages @param {number} cpu microseconds @returns {Record<string, number>} */
function amounts(kinds, messages, cpu) {
  /** @type {Record<string, number>} */
  const all = Object.fromEntries(Object.keys(PRICES.lines).map((line) => [line, 0]));
  let heldSeconds = 0;
  for (const [kind, share] of Object.entries(MIX)) {
    const times = messages * share;
    const { worker, calls, heldMs } = kinds[kind];
    const waits = Object.entries(calls).reduce((sum, [label, n]) => (label.startsWith('KV') ? sum : sum + n), 0);
    all['Worker requests'] += times;
    all['Worker CPU, ms'] += (times * cpu) / 1_000;
    all['Durable Object requests'] += times * (worker.asks + worker.alarmsRun);
    all['rows read'] += times * worker.rowsRead;
    all['rows written'] += times * written(worker);
    all['KV reads'] += times * (calls['KV get'] ?? 0);
    all['KV writes'] += times * (calls['KV put'] ?? 0);
    heldSeconds += times * (waits * CALL_SECONDS + heldMs / 1_000);
  }
  all['Durable Object duration, GB-s'] = GIGABYTES * overlapping(heldSeconds, messages / PER_LOCATION);
  return all;
}

/**
 * For how long some object is held, when each is held at random times: what overlaps counts once.
 * @param {number} seconds in all @param {number} objects
 */
function overlapping(seconds, objects) {
  const busy = seconds / objects / MONTH_SECONDS;
  return objects * MONTH_SECONDS * (1 - Math.exp(-busy));
}

/** @param {Record<string, number>} amounts */
function billOf(amounts) {
  const parts = Object.fromEntries(
    Object.entries(PRICES.lines).map(([line, { included, perMillion }]) => [
      line,
      (Math.max(0, amounts[line] - included) / 1e6) * perMillion,
    ]),
  );
  return { parts, sum: PRICES.plan + Object.values(parts).reduce((sum, part) => sum + part, 0) };
}

/** @param {number} amount */
const dollars = (amount) =>
  `$${amount >= 100 ? whole(amount) : amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;

const MONTHS = [1e6, 10e6, 100e6];
/**
 * Ten messages in a conversation, five each way; GHL tells of each of the visitor's by a webhook and by an unread count, and of
 * each of the agent's by a second webhook.
 * @type {Record<string, number>}
 */
const MIX = { [FIRST]: 0.1, [PUSH]: 0.4, [ECHO]: 0.5, [UNREAD]: 0.5, [REPLY]: 0.5, [COPY]: 0.5 };
const PER_LOCATION = 10_000;
/** What a call to GHL or vCX takes in life. */
const CALL_SECONDS = 0.3;
const GIGABYTES = 0.128;
const MONTH_SECONDS = 30 * 86_400;
/** When none was measured. */
const DEFAULT_CPU = 1_000;
const NOTE =
  `Prices of ${PRICES.read} (${PRICES.sources.join(', ')}), what the plan includes taken off. A message is a visitor’s or an ` +
  `agent’s; half and half, ten in a conversation, ${whole(PER_LOCATION)} a month in a location, none close to another; each ` +
  `of the visitor’s comes back as two webhooks of GHL, each of the agent’s comes as two. A call is taken to last ${CALL_SECONDS} s. ` +
  'Counts are those above; processor time is that of the whole of workerd here. Storage is not in it.';

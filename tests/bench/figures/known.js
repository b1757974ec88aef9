/** Whether a message costs more when many conversations are known. */

import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../../scripts/run.mjs';
import { rounds, summary, underLoad } from '../bench.js';
import { seeded, startOurs } from '../contenders.js';
import { atMost, loadTable, whole } from '../report.js';
import { location, ONE, push, pushRequest, requests } from '../requests.js';
import { startWorkerd } from '../workerd.js';

/** @import { Bench, Summaries } from '../bench.js' */
/** @import { Figure } from './index.js' */

/** @type {Figure<Summaries>} */
export const known = {
  name: 'known',
  steps: ({ rounds }) => KNOWN.length * (1 + rounds),

  async run(bench) {
    /** @type {Map<string, () => Promise<any>>} */
    const turns = new Map();
    for (const conversations of KNOWN) {
      const title = `${whole(conversations)} known conversations`;
      bench.progress.step(`making ${title}`);
      const state = await multiplied(bench, conversations);
      const world = { locations: 1, conversations };
      // All over them, not only the first.
      const stride = conversations / 1_000 + 1;
      const most = (bench.options.seconds + 2) * 5_000;
      const sent = requests(bench, `known-${conversations}`, most, (n) => {
        const { messageId: _, ...message } = push(world, n * stride);
        return pushRequest(bench, { ...message, messageId: `message-${n}` });
      });
      turns.set(title, async () => {
        bench.progress.step(title);
        const copy = join(bench.fast, `state-${bench.next()}`);
        cpSync(state, copy, { recursive: true });
        const running = await startOurs(bench, copy);
        const measured = await underLoad(bench, running, sent);
        await running.close();
        return measured;
      });
    }
    const results = await rounds(bench, turns);
    for (const conversations of KNOWN.slice(1)) rmSync(folder(bench, conversations), { recursive: true });
    return Object.fromEntries([...results].map(([title, all]) => [title, summary(all)]));
  },

  report(results) {
    const costs = Object.values(results).map(({ cpu }) => cpu.median);
    const times = /** @type {number} */ (costs.at(-1)) / costs[0];
    return {
      tables: [loadTable('Messages when many conversations are known', results)],
      claims: [atMost('processor time of a message with 1,000,000 known conversations, against 1,000', times, 1.2)],
    };
  },
};

/** A state that knows so many conversations. @param {Bench} bench @param {number} conversations */
async function multiplied(bench, conversations) {
  if (conversations === ONE.conversations) return seeded(bench, ONE);
  const state = folder(bench, conversations);
  cpSync(await seeded(bench, ONE), state, { recursive: true });
  const running = await startWorkerd({
    modules: [SEEDING],
    object: { binding: 'LOCATION', className: 'Location' },
    state,
  });
  for (let from = ONE.conversations; from < conversations; from += AT_ONCE) {
    const to = Math.min(from + AT_ONCE, conversations);
    const body = JSON.stringify({ object: `location:${location(0)}`, tables: TABLES, number: 999, from, to });
    const response = await fetch(running.url, { method: 'POST', body });
    if (!response.ok) throw new Problem('the conversations could not be multiplied', await response.text());
  }
  await running.close();
  return state;
}

/** @param {Bench} bench @param {number} conversations */
const folder = ({ fast }, conversations) => join(fast, `known-${conversations}`);

const KNOWN = [1_000, 100_000, 1_000_000];
/** Those that hold a row for each conversation. */
const TABLES = ['client', 'chat', 'contact'];
const AT_ONCE = 50_000;
const SEEDING = fileURLToPath(new URL('../workers/seeding.js', import.meta.url));

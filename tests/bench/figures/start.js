/** From the start of the process to its first answer. */

import { join } from 'node:path';
import { Problem } from '../../../scripts/run.mjs';
import { spread } from '../bench.js';
import { nothing, ours, startOurs } from '../contenders.js';
import { atMost, ranged } from '../report.js';
import { ONE } from '../requests.js';

/** @import { Spread } from '../bench.js' */
/** @import { Running } from '../workerd.js' */
/** @import { Figure } from './index.js' */

/** @type {Figure<Record<string, Spread>>} */
export const start = {
  name: 'start',
  steps: () => 1,

  async run(bench) {
    bench.progress.step('process start to first answer');
    const starts = {
      [ours.title]: () => startOurs(bench, join(bench.fast, `state-${bench.next()}`)),
      [nothing.title]: () => nothing.start(bench, { world: ONE }),
    };
    /** @type {Record<string, number[]>} */
    const took = { [ours.title]: [], [nothing.title]: [] };
    for (let n = 0; n < TIMES; n += 1) for (const name in starts) took[name].push(await first(starts[name]));
    return Object.fromEntries(Object.entries(took).map(([name, all]) => [name, spread(all)]));
  },

  report(results) {
    const times = results[ours.title].median / results[nothing.title].median;
    return {
      tables: [
        {
          title: 'Process start to first answer',
          head: ['', 'milliseconds'],
          rows: Object.entries(results).map(([name, spread]) => [name, ranged(spread)]),
        },
      ],
      claims: [atMost('process start to first answer, against an empty Worker', times, 1.3)],
    };
  },
};

/** @param {() => Promise<Running>} start */
async function first(start) {
  const began = performance.now();
  const running = await start();
  const { status } = await fetch(`${running.url}/health`);
  const took = performance.now() - began;
  if (status !== 200) throw new Problem(`the first answer was ${status}`);
  await running.close();
  return took;
}

const TIMES = 15;

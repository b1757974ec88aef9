/** What workerd's memory is after a hundred thousand messages, and whether it still grows. */

import { ours } from '../contenders.js';
import { load } from '../load.js';
import { ownMemory } from '../process.js';
import { digits, whole } from '../report.js';
import { manyPushes, ONE } from '../requests.js';

/** @import { Figure } from './index.js' */

/** @type {Figure<{ messages: number, bytes: number }[]>} */
export const memory = {
  name: 'memory',
  steps: () => SLICES,

  async run(bench) {
    const { seconds, connections, messages: many } = bench.options;
    const messages = manyPushes(bench);
    const running = await ours.start(bench, { world: ONE });
    const seen = [];
    let from = 0;
    let good = 0;
    for (let slice = 0; slice < SLICES; slice += 1) {
      bench.progress.step(`${whole(good)} messages`);
      while (good < ((slice + 1) * many) / SLICES) {
        const loaded = await load(running.url, messages, { seconds, connections, from });
        good += loaded.good;
        from += loaded.good + 2 * connections;
      }
      seen.push({ messages: good, bytes: ownMemory(running.pid) });
    }
    await running.close();
    return seen;
  },

  report(seen) {
    const [first, last] = [seen[0], /** @type {typeof seen[0]} */ (seen.at(-1))];
    const growth = (last.bytes - first.bytes) / (last.messages - first.messages);
    return {
      tables: [
        {
          title: 'Memory of workerd with vcx-ghl',
          head: ['messages', 'memory'],
          rows: seen.map(({ messages, bytes }) => [whole(messages), `${digits(bytes / 2 ** 20)} MB`]),
          note: `From the first line to the last, ${whole(growth)} bytes for each message.`,
        },
      ],
    };
  },
};

const SLICES = 5;

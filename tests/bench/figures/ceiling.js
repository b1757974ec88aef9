/** What the stand-in and the load tool do with nobody between them: more than any contender needs, or nothing else is true. */

import { load, tool } from '../load.js';
import { processorTime } from '../process.js';
import { whole } from '../report.js';
import { ONE, push, requests } from '../requests.js';

/** @import { Figure } from './index.js' */

/** @type {Figure<{ perSecond: number, cpu: number }>} */
export const ceiling = {
  name: 'ceiling',
  steps: () => 1,

  async run(bench) {
    const { standin, options } = bench;
    const { seconds, connections } = options;
    bench.progress.step('the stand-in alone');
    const sent = requests(bench, 'ceiling', 5_000, (n) => ({
      path: '/conversations/messages/inbound',
      headers: { 'content-type': 'application/json', authorization: 'Bearer x', version: '2021-04-15' },
      body: JSON.stringify({ ...push(ONE, n), contactId: 'con-client-1', altId: `ceiling-${n}`, message: 'text' }),
    }));
    const before = processorTime(standin.pid);
    const { good, seconds: took } = await load(standin.ghl, sent, { seconds, connections, again: true });
    return { perSecond: good / took, cpu: ((processorTime(standin.pid) - before) / good) * 1e6 };
  },

  report: ({ perSecond, cpu }) => ({
    tables: [
      {
        title: 'The GHL stand-in alone',
        head: ['', 'calls a second', 'processor time'],
        rows: [[`straight from ${tool()}`, whole(perSecond), `${whole(cpu)} µs`]],
        note: 'Where it was busy for more than four fifths of a measurement, its row says so.',
      },
    ],
  }),
};

/** One conversation alone, one message at a time: nothing but the way there and back. */

import { compare } from '../bench.js';
import { express, hono, ours } from '../contenders.js';
import { loadTable } from '../report.js';
import { ONE, push, pushRequest, requests } from '../requests.js';

/** @import { Summaries } from '../bench.js' */
/** @import { Figure } from './index.js' */

/** @type {Figure<Summaries>} */
export const lane = {
  name: 'lane',
  steps: ({ rounds }) => rounds * CONTENDERS.length,
  run(bench) {
    const alone = { locations: 1, conversations: 1 };
    const most = (bench.options.seconds + 2) * 3_000;
    const sent = requests(bench, 'lane', most, (n) => pushRequest(bench, push(alone, n)));
    return compare(bench, CONTENDERS, { world: ONE }, sent, { connections: 1 });
  },
  report: (result) => ({
    tables: [loadTable('One conversation alone, one message after the other', result, NOTE)],
  }),
};

const CONTENDERS = [ours, hono, express];
const NOTE = 'A conversation keeps its order, so that its messages wait for each other; others do not wait for them.';

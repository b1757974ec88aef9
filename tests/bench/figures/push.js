/** A visitor's message on its way to GHL: how many a second, how long until it is answered, and what it costs. */

import { compare } from '../bench.js';
import {
  express,
  expressRemembers,
  hono,
  honoRemembers,
  nothing,
  ours,
  twoRows,
  twoRowsAndACall,
} from '../contenders.js';
import { atLeast, loadTable, ratio } from '../report.js';
import { ONE, pushes, TWENTY } from '../requests.js';

/** @import { Summaries } from '../bench.js' */
/** @import { Figure } from './index.js' */

/** @type {Figure<{ one: Summaries, twenty: Summaries, disk: Summaries }>} */
export const push = {
  name: 'push',
  steps: ({ rounds }) => rounds * (2 * RIVALS.length + ON_DISK.length) + BESIDE.length,

  async run(bench) {
    const one = await compare(bench, RIVALS, { world: ONE }, pushes(bench, ONE));
    const once = { ...bench, options: { ...bench.options, rounds: 1 } };
    Object.assign(one, await compare(once, BESIDE, { world: ONE }, pushes(bench, ONE)));
    const twenty = await compare(bench, RIVALS, { world: TWENTY }, pushes(bench, TWENTY));
    const disk = await compare(bench, ON_DISK, { world: ONE, folder: bench.disk }, pushes(bench, ONE));
    return { one, twenty, disk };
  },

  report: ({ one, twenty, disk }) => ({
    tables: [
      loadTable('A visitor’s message to GHL: one location, state in memory', one, NOTE),
      loadTable('The same, over twenty locations', twenty),
      loadTable('The same, one location, state on disk', disk),
    ],
    claims: [
      atLeast('push over twenty locations, against Hono + GHL SDK', ratio(twenty, ours, hono), 2),
      atLeast('push over twenty locations, against Express', ratio(twenty, ours, express), 3),
      atLeast('push over one location, against Hono + GHL SDK', ratio(one, ours, hono), 1.5),
      atLeast('push over one location, against Express', ratio(one, ours, express), 2),
      atLeast('push, state on disk, against Express', ratio(disk, ours, express), 1),
    ],
    bars: { 'push, one location': one, 'push, twenty locations': twenty, 'push, on disk': disk },
  }),
};

const RIVALS = [ours, hono, express];
/** What one round tells enough of. */
const BESIDE = [honoRemembers, expressRemembers, nothing, twoRows, twoRowsAndACall];
const ON_DISK = [ours, express, twoRows];
const NOTE =
  'The last three are the floor that the platform sets: no Worker that does this work can be faster. ' +
  '“Contacts in memory”: the rival with a map of contacts, which spares it the upsert, and loses what a restart loses.';

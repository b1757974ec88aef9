/** The figures, in the order in which they are measured and shown. */

import { backlog } from './backlog.js';
import { ceiling } from './ceiling.js';
import { counts } from './counts.js';
import { known } from './known.js';
import { lane } from './lane.js';
import { latency } from './latency.js';
import { memory } from './memory.js';
import { micro } from './micro.js';
import { month } from './month.js';
import { push } from './push.js';
import { size } from './size.js';
import { start } from './start.js';
import { webhook } from './webhook.js';

/** @import { Bench, Options, Summaries } from '../bench.js' */
/** @import { Claim, Table } from '../report.js' */

/**
 * @typedef {{ tables: Table[], claims?: Claim[], bars?: Record<string, Summaries> }} Report
 */

/**
 * What is measured is data, kept as JSON; what it says is made of that data alone.
 * @template [Result=any]
 * @typedef {object} Figure
 * @property {string} name
 * @property {(options: Options) => number} steps how often it calls `progress.step`
 * @property {(bench: Bench) => Promise<Result>} run
 * @property {(result: Result, all: Record<string, any>) => Report} report
 */

/** @type {Figure[]} */
export const FIGURES = [
  ceiling,
  push,
  webhook,
  lane,
  latency,
  known,
  memory,
  backlog,
  start,
  size,
  micro,
  counts,
  month,
];

/** What a benchmark stands on: the stand-in, the builds, folders for states, and the one way in which load is measured. */

import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecrets } from '../../js/sandbox/secrets.js';
import { must, root, tool } from '../../scripts/run.mjs';
import { endAll } from './children.js';
import { nothing, twoRows, twoRowsAndACall } from './contenders.js';
import { load } from './load.js';
import { processorTime } from './process.js';
import { between, startStandin } from './standin.js';

/** @import { Contender, Where } from './contenders.js' */
/** @import { LoadOptions, Requests } from './load.js' */
/** @import { Counts } from './standin.js' */
/** @import { Running } from './workerd.js' */

/**
 * @typedef {{ rounds: number, seconds: number, connections: number, messages: number, dist?: string }} Options messages: where many
 *   are sent
 * @typedef {Awaited<ReturnType<typeof openBench>>} Bench
 *
 * @typedef {object} Measured
 * @property {number} perSecond messages that were done, not only accepted
 * @property {number} p50 milliseconds to the answer
 * @property {number} p99
 * @property {number} cpu microseconds of the process for each message
 * @property {Counts} calls in all
 * @property {number} good messages
 * @property {number} standinBusy the part of a core that the stand-in used
 *
 * @typedef {Partial<LoadOptions> & { done?: string, unless?: RegExp }} More `done`: the call to the stand-in with which a message is
 *   done; `unless`: trouble that is to be logged
 * @typedef {{ median: number, min: number, max: number }} Spread
 * @typedef {{ perSecond: Spread, p50: Spread, p99: Spread, cpu: Spread, calls: Counts, standinBusy: number }} Summary calls: for
 *   each message
 * @typedef {Record<string, Summary>} Summaries by contender
 */

/**
 * @param {Options} options
 * @param {{ step: (label: string) => void }} progress
 */
export async function openBench(options, progress) {
  const fast = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vcx-ghl-bench-'));
  mkdirSync(join(root, '.state'), { recursive: true });
  const disk = mkdtempSync(join(root, '.state/bench-'));
  const clean = () => [fast, disk].forEach((folder) => void rmSync(folder, { recursive: true, force: true }));
  process.once('exit', clean);
  const standin = await startStandin();
  let count = 0;
  return {
    options,
    progress,
    standin,
    secrets: createSecrets('bench'),
    /** Memory, and a disk. */
    fast,
    disk,
    dist: options.dist ?? join(root, 'dist'),
    hono: await bundleHono(fast),
    /** @type {Map<string, Requests>} */
    prepared: new Map(),
    next: () => ++count,
    /** After a figure that failed: nothing of it is left. */
    async reset() {
      await endAll();
      await standin.be('well');
      await standin.forgive();
    },
    async close() {
      await standin.close();
      clean();
    },
  };
}

/**
 * A contender under load: started, warmed up, measured until all that it accepted is done.
 * @param {Bench} bench
 * @param {Contender} contender
 * @param {Where} where
 * @param {Requests} requests
 * @param {More} [more]
 * @returns {Promise<Measured>}
 */
export async function measure(bench, contender, where, requests, more) {
  bench.progress.step(contender.title);
  const running = await contender.start(bench, where);
  const measured = await underLoad(bench, running, requests, more);
  await running.close(more?.unless);
  return measured;
}

/**
 * @param {Bench} bench
 * @param {Running} running
 * @param {Requests} requests
 * @param {More} [more]
 * @returns {Promise<Measured>}
 */
export async function underLoad(bench, { url, pid }, requests, more = {}) {
  const { standin, options } = bench;
  const asked = { ...options, ...more };
  const { connections, done: label } = asked;
  const made = async () => (label ? ((await standin.counts())[label] ?? 0) : 0);
  let already = await made();
  const warm = await load(url, requests, { ...asked, seconds: WARM_UP });
  if (label) await standin.called(label, already + warm.good);
  await standin.quiet(QUIET);

  already = await made();
  const before = { calls: await standin.counts(), cpu: processorTime(pid), standin: processorTime(standin.pid) };
  const from = asked.again ? 0 : warm.good + 2 * connections;
  const began = performance.now();
  const loaded = await load(url, requests, { ...asked, from });
  const ended = performance.now();
  if (label) await standin.called(label, already + loaded.good);
  const done = Math.max(ended, await standin.quiet(QUIET));
  const cpu = processorTime(pid) - before.cpu;
  const standinBusy = (processorTime(standin.pid) - before.standin) / ((done - began) / 1_000);
  const late = (done - ended) / 1_000;
  return {
    perSecond: loaded.good / (loaded.seconds + late),
    p50: loaded.p50,
    p99: loaded.p99,
    cpu: (cpu / loaded.good) * 1e6,
    calls: between(before.calls, await standin.counts()),
    good: loaded.good,
    standinBusy,
  };
}

/** Contenders in turn, under the same load. @param {Bench} bench @param {Contender[]} contenders @param {Where} where @param {Requests} requests @param {More} [more] @returns {Promise<Summaries>} */
export async function compare(bench, contenders, where, requests, more) {
  const turns = contenders.map((contender) => {
    const again = FLOORS.includes(contender);
    const turn = () => measure(bench, contender, where, requests, { again, ...more });
    return /** @type {const} */ ([contender.title, turn]);
  });
  const results = await rounds(bench, new Map(turns));
  return Object.fromEntries([...results].map(([title, all]) => [title, summary(all)]));
}

/** Turns one after the other, for as many rounds as were asked for. @template Key, T @param {Bench} bench @param {Map<Key, () => Promise<T>>} turns @returns {Promise<Map<Key, T[]>>} */
export async function rounds(bench, turns) {
  /** @type {Map<Key, T[]>} */
  const results = new Map([...turns.keys()].map((key) => [key, []]));
  for (let round = 0; round < bench.options.rounds; round += 1) {
    for (const [key, turn] of turns) results.get(key)?.push(await turn());
  }
  return results;
}

/** @param {Measured[]} rounds @returns {Summary} */
export function summary(rounds) {
  const all = (/** @type {'perSecond' | 'p50' | 'p99' | 'cpu'} */ name) => spread(rounds.map((one) => one[name]));
  const good = rounds.reduce((sum, one) => sum + one.good, 0);
  /** @type {Counts} */
  const calls = {};
  for (const one of rounds) for (const [label, n] of Object.entries(one.calls)) calls[label] = (calls[label] ?? 0) + n;
  for (const label in calls) calls[label] = Math.round((calls[label] / good) * 1_000) / 1_000;
  const standinBusy = Math.max(...rounds.map((one) => one.standinBusy));
  return { perSecond: all('perSecond'), p50: all('p50'), p99: all('p99'), cpu: all('cpu'), calls, standinBusy };
}

/** @param {number[]} values @returns {Spread} */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return { median: middle, min: sorted[0], max: /** @type {number} */ (sorted.at(-1)) };
}

/** As any Worker is bundled. @param {string} fast */
async function bundleHono(fast) {
  const out = join(fast, 'hono');
  const [node, wrangler] = tool('wrangler');
  const config = join(root, 'tests/bench/rivals/wrangler.toml');
  await must(
    'wrangler bundles the rival',
    node,
    [wrangler, 'deploy', '--dry-run', '--config', config, '--outdir', out],
    {
      env: { CI: 'true' },
    },
  );
  return out;
}

/** They are faster than requests are prepared for. */
const FLOORS = [nothing, twoRows, twoRowsAndACall];
const WARM_UP = 1;
/** Nothing called for so many milliseconds means that nothing is left to do. */
const QUIET = 300;

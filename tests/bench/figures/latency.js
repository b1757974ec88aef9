/** From one side to the other: a visitor's message until it is at GHL, an agent's answer until it is at vCX. */

import { Agent, request } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { Problem } from '../../../scripts/run.mjs';
import { spread } from '../bench.js';
import { express, hono, ours } from '../contenders.js';
import { digits } from '../report.js';
import { ONE, push, pushRequest, reply, webhookRequest } from '../requests.js';
import { TIMED } from '../standin.js';

/** @import { Bench } from '../bench.js' */
/** @import { Prepared } from '../load.js' */
/** @import { Running } from '../workerd.js' */
/** @import { Figure } from './index.js' */

/** Milliseconds. @typedef {{ p50: number, p99: number }} Late */
/** @typedef {{ toGhl: Late, toVcx: Late }} Both */

/** @type {Figure<Record<string, Both>>} */
export const latency = {
  name: 'latency',
  steps: () => CONTENDERS.length,

  async run(bench) {
    /** @type {Record<string, Both>} */
    const results = {};
    for (const contender of CONTENDERS) {
      bench.progress.step(contender.title);
      const running = await contender.start(bench, { world: ONE });
      const mark = `${TIMED}${bench.next()}-`;
      const toGhl = await late(bench, running, mark, (n) => pushRequest(bench, push(ONE, n, mark)));
      const toVcx = await late(bench, running, `${mark}r`, (n) => webhookRequest(bench, reply(ONE, n, `${mark}r`)));
      await running.close();
      results[contender.title] = { toGhl, toVcx };
    }
    return results;
  },

  report: (results) => ({
    tables: [
      {
        title: `From one side to the other, at ${PER_SECOND} messages a second`,
        head: ['', 'visitor → GHL p50', 'p99', 'agent → vCX p50', 'p99'],
        rows: Object.entries(results).map(([title, { toGhl, toVcx }]) => [
          title,
          ...[toGhl.p50, toGhl.p99, toVcx.p50, toVcx.p99].map((ms) => `${digits(ms)} ms`),
        ]),
      },
    ],
  }),
};

/**
 * Sends at a steady rate, whether or not what went before is answered.
 * @param {Bench} bench @param {Running} running @param {string} mark @param {(n: number) => Prepared} make @returns {Promise<Late>}
 */
async function late(bench, { url }, mark, make) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const prepared = Array.from({ length: bench.options.seconds * PER_SECOND }, (_, n) => make(n));
  const began = performance.now();
  const sent = prepared.map(async (one, n) => {
    await setTimeout((n / PER_SECOND) * 1_000 - (performance.now() - began));
    return post(agent, url, one);
  });
  const times = await Promise.all(sent);
  await bench.standin.quiet(500);
  agent.destroy();
  const arrivals = await bench.standin.arrivals(prepared.map((_, n) => `${mark}${n}`));
  const ms = arrivals.map((arrived, n) => (arrived - times[n]) / 1e6).sort((a, b) => a - b);
  if (ms.some(Number.isNaN)) throw new Problem('a message did not arrive');
  return { p50: spread(ms).median, p99: ms[Math.ceil(ms.length * 0.99) - 1] };
}

/** When it was sent, in nanoseconds of the machine's monotonic clock. @param {Agent} agent @param {string} url @param {Prepared} one @returns {Promise<number>} */
function post(agent, url, { path, headers, body }) {
  return new Promise((resolve, reject) => {
    const began = Number(process.hrtime.bigint());
    const sent = request(url + path, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      if (response.statusCode !== 200) reject(new Problem(`${path} answered ${response.statusCode}`));
      else response.on('end', () => resolve(began));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const CONTENDERS = [ours, hono, express];
const PER_SECOND = 50;

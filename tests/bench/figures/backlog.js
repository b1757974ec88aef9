/**
 * A hundred thousand messages that waited: GHL does not know the tokens any more, vCX goes on pushing, an admin connects the
 * location again.
 */

import { setTimeout } from 'node:timers/promises';
import { Problem } from '../../../scripts/run.mjs';
import { connect, ours } from '../contenders.js';
import { load } from '../load.js';
import { ownMemory, processorTime } from '../process.js';
import { digits, whole } from '../report.js';
import { location, manyPushes, ONE, push, pushRequest } from '../requests.js';
import { INBOUND } from '../standin.js';

/** @import { Bench } from '../bench.js' */
/** @import { Running } from '../workerd.js' */
/** @import { Figure } from './index.js' */

/**
 * @typedef {{ messages: number, perSecond: number, cpu: number, bytes: number }} Part cpu: microseconds for each
 * @type {Figure<{ queued: Part, drained: Part }>}
 */
export const backlog = {
  name: 'backlog',
  steps: () => 2,

  async run(bench) {
    const { standin, options } = bench;
    const { seconds, connections, messages: many } = options;
    const messages = manyPushes(bench);
    const running = await ours.start(bench, { world: ONE });

    bench.progress.step(`${whole(many)} messages wait`);
    await standin.be('lost');
    await disconnected(bench, running);
    const queueing = watch(running);
    let [good, from] = [0, 0];
    while (good < many) {
      const loaded = await load(running.url, messages, { seconds, connections, from, expected: 202 });
      good += loaded.good;
      from += loaded.good + 2 * connections;
    }
    const waiting = await depth(bench, running);
    const queued = queueing(waiting);

    bench.progress.step('they are sent');
    await standin.be('well');
    const before = (await standin.counts())[INBOUND];
    const draining = watch(running);
    await connect(running, ONE);
    await standin.called(INBOUND, before + waiting);
    const drained = draining(waiting);
    await standin.quiet(500);
    const sent = (await standin.counts())[INBOUND] - before;
    const { queue, deadLetters } = await health(bench, running);
    await running.close();
    if (sent !== waiting || queue.depth > 0 || deadLetters.length > 0) {
      throw new Problem(
        `${waiting} messages waited, ${sent} were sent, ${queue.depth} wait, ${deadLetters.length} are dead`,
      );
    }
    return { queued, drained };
  },

  report: ({ queued, drained }) => ({
    tables: [
      {
        title: 'Messages that had to wait until their location was connected again',
        head: ['', 'messages', 'per second', 'processor time', 'memory of workerd then'],
        rows: Object.entries({ taken: queued, sent: drained }).map(([what, part]) => [
          what,
          whole(part.messages),
          whole(part.perSecond),
          `${whole(part.cpu)} µs`,
          `${digits(part.bytes / 2 ** 20)} MB`,
        ]),
        note: 'Each was sent once, as the stand-in counted.',
      },
    ],
  }),
};

/** One push, after which nothing can be sent until an admin connects the location. @param {Bench} bench @param {Running} running */
async function disconnected(bench, running) {
  const { path, headers, body } = pushRequest(bench, push(ONE, 0, 'last-'));
  await fetch(running.url + path, { method: 'POST', headers, body });
  const { state } = await health(bench, running);
  if (state !== 'needs_reconnect') throw new Problem(`the location is ${state}, and not disconnected`);
}

/** How many wait, once the last of them are taken. @param {Bench} bench @param {Running} running @returns {Promise<number>} */
async function depth(bench, running) {
  for (let before = -1; ; ) {
    const { queue } = await health(bench, running);
    if (queue.depth === before) return before;
    before = queue.depth;
    await setTimeout(200);
  }
}

/** @param {Running} running @returns {(messages: number) => Part} */
function watch({ pid }) {
  const [began, cpu] = [performance.now(), processorTime(pid)];
  return (messages) => ({
    messages,
    perSecond: messages / ((performance.now() - began) / 1_000),
    cpu: ((processorTime(pid) - cpu) / messages) * 1e6,
    bytes: ownMemory(pid),
  });
}

/** @param {Bench} bench @param {Running} running @returns {Promise<any>} */
async function health({ secrets }, { url }) {
  const headers = { authorization: `Bearer ${secrets.apiKey}` };
  return (await fetch(`${url}/locations/${location(0)}`, { headers })).json();
}

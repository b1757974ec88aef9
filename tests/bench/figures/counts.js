/**
 * What one message makes happen, counted: calls, rows, alarms, timers. One message of a kind in a location of its own, before
 * and after which nothing happens there, so that each number is exact: the object is made for it, goes, and is made again for
 * its alarm. It is also where the rivals are held to doing the same.
 */

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../../scripts/run.mjs';
import { express, hono, ours, seeded, startOurs } from '../contenders.js';
import { atMost, callsOf, digits, toGhl, whole } from '../report.js';
import { chat, location, ONE, push, pushRequest, reply, TWENTY, webhookRequest } from '../requests.js';
import { between } from '../standin.js';

/** @import { Bench } from '../bench.js' */
/** @import { Prepared } from '../load.js' */
/** @import { World } from '../requests.js' */
/** @import { Counts } from '../standin.js' */
/** @import { Running } from '../workerd.js' */
/** @import { Figure } from './index.js' */

/**
 * @typedef {Record<'made' | 'asks' | 'turns' | 'statements' | 'rowsRead' | 'rowsWritten' | 'alarmsSet' | 'alarmsRun', number>} Numbers its
 *   alarm's among them
 * @typedef {{ n: number, rowsRead: number, rowsWritten: number }} Statement
 * @typedef {object} Count
 * @property {Numbers} worker
 * @property {Counts} calls
 * @property {number} heldMs the longest timer that still runs when all is done
 * @property {Record<string, Statement>} byStatement
 */

/** @type {Figure<{ kinds: Record<string, Count>, rivals: Record<string, Counts> }>} */
export const counts = {
  name: 'counts',
  steps: () => 3,

  async run(bench) {
    bench.progress.step('one message of each kind');
    const kinds = await countKinds(bench);
    /** @type {Record<string, Counts>} */
    const rivals = {};
    for (const rival of [hono, express]) {
      bench.progress.step(rival.title);
      rivals[rival.title] = await countRival(bench, await rival.start(bench, { world: ONE }));
    }
    return { kinds, rivals };
  },

  report: ({ kinds, rivals }) => ({
    tables: [
      {
        title: `What one message makes ${ours.title} do`,
        head: ['', 'calls', 'turns', 'statements', 'rows read', 'rows written', 'alarms', 'kept awake for'],
        rows: Object.entries(kinds).map(([kind, { worker, calls, heldMs }]) => [
          kind,
          callsOf(calls),
          whole(worker.turns),
          whole(worker.statements),
          whole(worker.rowsRead),
          whole(written(worker)),
          whole(worker.alarmsRun),
          `${digits(heldMs / 1_000)} s`,
        ]),
        note: NOTE,
      },
      {
        title: 'What a push and an agent’s answer make the rivals call',
        head: ['', 'calls'],
        rows: Object.entries(rivals).map(([rival, calls]) => [rival, wordsOf(calls)]),
      },
    ],
    claims: [atMost('GHL calls for a message in a known conversation', toGhl(kinds[PUSH].calls), 1, 'calls')],
  }),
};

/** As Cloudflare bills it: an alarm that is set is a row. @param {Numbers} worker */
export const written = ({ rowsWritten, alarmsSet }) => rowsWritten + alarmsSet;

/** @param {Bench} bench @returns {Promise<Record<string, Count>>} */
async function countKinds(bench) {
  const state = join(bench.fast, `state-${bench.next()}`);
  cpSync(await seeded(bench, TWENTY), state, { recursive: true });
  const running = await startOurs(bench, state, { around: [COUNTING] });
  const kinds = Object.entries(KINDS);
  for (const [at, [, { make, before = make }]] of kinds.entries()) await send(running, before(bench, TWENTY, at));
  const before = await settled(bench, running);

  /** @type {{ calls: Counts, heldMs: number }[]} */
  const seen = [];
  for (const [at, [, { make, before }]] of kinds.entries()) {
    const earlier = await bench.standin.counts();
    const { started } = await numbers(running);
    await send(running, make(bench, TWENTY, before ? at : at + TWENTY.locations));
    await bench.standin.quiet(300);
    const { timers } = await numbers(running);
    const own = timers.filter((/** @type {any} */ { n }) => n > started);
    const heldMs = Math.max(0, ...own.map((/** @type {any} */ { ms }) => ms));
    seen.push({ calls: between(earlier, await bench.standin.counts()), heldMs });
  }
  const after = await settled(bench, running);
  await running.close();
  return Object.fromEntries(
    kinds.map(([kind], at) => {
      const object = `location:${location(at)}`;
      return [kind, { ...difference(before[object], after[object]), ...seen[at] }];
    }),
  );
}

/** What a push and an answer make a rival call, and whether it answers with what we answer with. @param {Bench} bench @param {Running} running */
async function countRival(bench, running) {
  const before = await bench.standin.counts();
  const pushed = await send(running, KINDS[PUSH].make(bench, ONE, 1));
  const missing = ANSWER.filter((name) => !pushed[name]);
  if (missing.length) throw new Problem(`a rival answers a push without ${missing}`);
  await send(running, KINDS[REPLY].make(bench, ONE, 1));
  const calls = between(before, await bench.standin.counts());
  await running.close();
  return calls;
}

/** Waits until nothing is called, no timer runs, no alarm is near and the objects are gone. @param {Bench} bench @param {Running} running */
async function settled({ standin }, running) {
  for (;;) {
    await standin.quiet(300);
    const { now, timers, objects } = await numbers(running);
    const isIdle = (/** @type {any} */ { alarmAt, lastAt }) =>
      now - lastAt > IDLE_MS && (alarmAt === 0 || alarmAt - now > 120_000);
    if (timers.length === 0 && Object.values(objects).every(isIdle)) return objects;
    await setTimeout(500);
  }
}

/** @param {Running} running @param {Prepared} request @returns {Promise<any>} */
async function send({ url }, { path, headers, body }) {
  const response = await fetch(url + path, { method: 'POST', headers, body });
  const text = await response.text();
  if (response.status !== 200) throw new Problem(`${path} answered ${response.status}`, text);
  return JSON.parse(text);
}

/** @param {Running} running @returns {Promise<any>} */
async function numbers({ url }) {
  const objects = Object.keys(KINDS).map((_, at) => `object=location:${location(at)}`);
  return (await fetch(`${url}/_counts?${objects.join('&')}`)).json();
}

/** @param {any} before @param {any} after */
function difference({ byStatement: earlier, ...before }, { byStatement: later, ...after }) {
  /** @type {[string, Statement][]} */
  const statements = Object.keys(later).map((name) => [name, less(later[name], earlier[name])]);
  const made = statements.filter(([, { n }]) => n > 0).sort(([, a], [, b]) => b.n - a.n);
  return { worker: /** @type {Numbers} */ (less(after, before)), byStatement: Object.fromEntries(made) };
}

/** @param {any} a @param {any} [b] @returns {any} */
const less = (a, b = {}) => Object.fromEntries(Object.keys(a).map((name) => [name, a[name] - (b[name] ?? 0)]));

/** @param {Counts} calls */
const wordsOf = (calls) =>
  Object.entries(calls)
    .map(([label, n]) => (n === 1 ? label : `${n} × ${label}`))
    .join(', ');

export const FIRST = 'a visitor’s first message';
export const PUSH = 'a visitor’s message';
export const ECHO = 'its InboundMessage webhook';
export const REPLY = 'an agent’s answer';
export const COPY = 'its OutboundMessage webhook';
export const UNREAD = 'a ConversationUnreadUpdate webhook';

/** @typedef {(bench: Bench, world: World, n: number) => Prepared} Make */
/** `before`: what it is the copy of. @type {Record<string, { make: Make, before?: Make }>} */
const KINDS = {
  [FIRST]: {
    make: (bench, { locations }, n) => pushRequest(bench, push({ locations, conversations: 1e9 }, n + 2_000_000)),
  },
  [PUSH]: { make: (bench, world, n) => pushRequest(bench, push(world, n, 'counted-')) },
  [ECHO]: {
    make: (bench, world, n) => webhookRequest(bench, event(bench, world, 'InboundMessage', n, `msgcounted-${n}`)),
  },
  [REPLY]: { make: (bench, world, n) => webhookRequest(bench, reply(world, n, 'counted-')) },
  [COPY]: {
    before: (bench, world, n) => webhookRequest(bench, reply(world, n, 'counted-')),
    make: (bench, world, n) => webhookRequest(bench, event(bench, world, 'OutboundMessage', n, `counted-${n}`)),
  },
  [UNREAD]: {
    make: (bench, world, n) => {
      const { contactId, ...about } = event(bench, world, 'ConversationUnreadUpdate', n, '');
      return webhookRequest(bench, { ...about, contactId, id: contactId.replace('con', 'cnv'), unreadCount: n });
    },
  },
};

/** An app event on our channel. @param {Bench} bench @param {World} world @param {string} type @param {number} n @param {string} messageId */
function event({ secrets }, world, type, n, messageId) {
  const { locationId, contactId } = chat(world, n);
  const about = { direction: type === 'InboundMessage' ? 'inbound' : 'outbound', messageType: 'Custom', body: 'text' };
  const ours = { conversationProviderId: secrets.providerId, appId: secrets.clientId.split('-')[0] };
  return { type, locationId, contactId, messageId, webhookId: `${type}-${n}`, ...about, ...ours };
}

/** Longer than an object is kept that does nothing. */
const IDLE_MS = 12_000;
const ANSWER = ['status', 'messageId', 'contactId', 'conversationId', 'ghlMessageId'];
const COUNTING = fileURLToPath(new URL('../workers/counting.js', import.meta.url));
const NOTE =
  'Rows written are what Cloudflare bills: rows of indexes, deletions and alarms that are set count. Kept awake: by timers that ' +
  'still run when all is done; for that time, too, Cloudflare bills. An object that is busy anyway reads and writes less.';

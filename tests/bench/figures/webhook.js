/** GHL's webhooks: an agent's answer on its way to vCX and its status back, and those that are to have no effect. */

import { compare, measure, rounds, summary } from '../bench.js';
import { express, hono, ours } from '../contenders.js';
import { atLeast, atMost, loadTable, ratio } from '../report.js';
import { ONE, reply, requests, webhookRequest } from '../requests.js';
import { STATUS } from '../standin.js';

/** @import { Bench, More, Summaries } from '../bench.js' */
/** @import { Figure } from './index.js' */
/** @import { Prepared } from '../load.js' */

/** @type {Figure<{ mapped: Summaries, kinds: Summaries }>} */
export const webhook = {
  name: 'webhook',
  steps: ({ rounds }) => rounds * (3 + Object.keys(KINDS).length),

  async run(bench) {
    const sent = (/** @type {Kind} */ { name, make }) => requests(bench, name, most(bench), (n) => make(bench, n));
    const mapped = await compare(bench, [ours, hono, express], { world: ONE }, sent(MAPPED), { done: STATUS });
    const turns = Object.entries(KINDS).map(([title, kind]) => {
      const { name: _, make: __, ...more } = kind;
      const turn = () => measure(bench, ours, { world: ONE }, sent(kind), more);
      return /** @type {const} */ ([title, turn]);
    });
    const results = await rounds(bench, new Map(turns));
    return { mapped, kinds: Object.fromEntries([...results].map(([title, all]) => [title, summary(all)])) };
  },

  report({ mapped, kinds }) {
    const cost = (/** @type {string} */ kind) => kinds[kind].cpu.median / mapped[ours.title].cpu.median;
    return {
      tables: [
        loadTable('An agent’s answer: webhook, event to vCX, status at GHL', mapped, NOTE),
        loadTable('Webhooks without such an effect, ours alone', kinds),
      ],
      claims: [
        atLeast('webhook to vCX and status, against Hono + GHL SDK', ratio(mapped, ours, hono), 1),
        atLeast('webhook to vCX and status, against Express', ratio(mapped, ours, express), 1),
        ...CHEAP.map((kind) => atMost(`processor time of ${kind}, against a mapped one`, cost(kind), 0.5)),
      ],
      bars: { webhook: mapped },
    };
  },
};

/** @param {Bench} bench */
const most = ({ options }) => (options.seconds + 2) * 5_000;

/** @typedef {More & { name: string, make: (bench: Bench, n: number) => Prepared }} Kind */

/** @type {Kind} */
const MAPPED = { name: 'webhook-mapped', make: (bench, n) => webhookRequest(bench, reply(ONE, n)) };

/** @type {Record<string, Kind>} */
const KINDS = {
  // The few hundred first of them take effect, once.
  'a duplicate': {
    name: 'webhook-duplicate',
    make: (bench, n) => webhookRequest(bench, reply(ONE, n % 100)),
    again: true,
  },
  'one of another channel': {
    name: 'webhook-ignored',
    make: (bench, n) => {
      const { message, type: _, phone: __, ...rest } = reply(ONE, n);
      const event = { type: 'OutboundMessage', messageType: 'SMS', direction: 'outbound', body: message };
      return webhookRequest(bench, { ...event, ...rest, webhookId: `ignored-${n}` });
    },
  },
  'a badly signed one': {
    name: 'webhook-forged',
    make: (bench, n) => {
      const { headers, ...rest } = webhookRequest(bench, reply(ONE, n));
      const another = webhookRequest(bench, reply(ONE, n + 1)).headers;
      return { ...rest, headers: { ...headers, 'x-ghl-signature': another['x-ghl-signature'] } };
    },
    expected: 401,
  },
  'one for a contact without a chat': {
    name: 'webhook-unmapped',
    make: (bench, n) => webhookRequest(bench, { ...reply(ONE, n), contactId: `con-stranger-${n}` }),
    // Each is a dead letter, and GHL is told.
    done: STATUS,
    unless: /"code":"no_chat"/,
  },
};
const CHEAP = ['a duplicate', 'one of another channel', 'a badly signed one'];
const NOTE =
  'A second counts when the status is at GHL, not when the webhook was accepted. All make the same two calls; only vcx-ghl ' +
  'verifies the signature, stores the message, knows it when it comes again, and signs the event.';

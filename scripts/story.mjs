// What the demo shows: four steps, each believed only when the sandbox has recorded the calls that make it true.

import { setTimeout as pause } from 'node:timers/promises';
import { isBad, parties } from '../js/sandbox/call.js';
import { MINA } from '../js/sandbox/page/people.js';
import { Problem } from './run.mjs';
import { answerOf, isCall, nameOf, quote, tell } from './transcript.mjs';

/** @import { Sandbox } from '../js/sandbox/index.js' */
/** @import { Entry } from '../js/sandbox/traffic.js' */
/** @import { Pen } from './transcript.mjs' */

/**
 * @typedef {(call: string) => Entry} Recorded the recorded call of that name; only those that a step `needs` can be asked for
 * @typedef {object} Step
 * @property {string} title
 * @property {string[]} needs the calls without which it did not happen
 * @property {(sandbox: Sandbox, recorded: Recorded) => Promise<unknown> | undefined} act what a person does
 * @property {(sandbox: Sandbox, recorded: Recorded) => string} shows what came of it, read from the record; a `Problem` if that
 *   is not what it should be
 */

const VISITOR = { name: MINA.name, email: MINA.email };
const QUESTION = 'Hello! Is there a free slot on Friday morning?';
const ANSWER = 'Hi Mina! Friday at ten is free. See you then?';
export const CHAT = { clientId: MINA.clientId, vcxConversationId: MINA.vcxConversationId };

/** @type {Step[]} */
const STORY = [
  {
    title: 'An admin installs the app',
    needs: [
      'GET /install',
      'GET /auth/callback',
      'POST /oauth/token',
      'POST /events location.connected',
      'POST /locations/*/customFields',
    ],
    act: ({ ghl, walkInstall }) => walkInstall({ locationId: ghl.locationId }),
    shows({ ghl }, recorded) {
      const { locationId } = body(recorded('POST /events location.connected'));
      const name = ghl.state.locations.get(locationId)?.name;
      expect(locationId === ghl.locationId, `vCX was told of the location ${locationId}, not ${ghl.locationId}`);
      return `vCX was told that ${name} is connected`;
    },
  },
  {
    title: 'A visitor writes',
    needs: [
      'POST /push-message',
      'POST /webhook ContactCreate',
      'POST /conversations/messages/inbound',
      'POST /webhook InboundMessage',
      'POST /contacts/*/tags',
      'POST /webhook ContactTagUpdate',
    ],
    act: ({ ghl, vcx }) =>
      vcx.push({
        locationId: ghl.locationId,
        ...CHAT,
        fromUser: true,
        body: QUESTION,
        timestamp: Date.now(),
        ...VISITOR,
      }),
    shows({ ghl }, recorded) {
      const { messageId } = answer(recorded('POST /conversations/messages/inbound'));
      const message = ghl.state.messages.get(messageId);
      const contact = ghl.state.contacts.get(message?.contactId ?? '');
      const who = [contact?.firstName, contact?.lastName].filter(Boolean).join(' ');
      expect(message?.body === QUESTION, `GHL’s inbox has ${quote(message?.body ?? '')} instead`);
      expect(message?.direction === 'inbound', 'GHL’s inbox has it as if an agent had written it');
      expect(who === VISITOR.name, `GHL’s inbox has it under “${who}”`);
      return `GHL’s inbox has it, under ${who}`;
    },
  },
  {
    title: 'An agent answers',
    needs: ['POST /webhook delivery', 'POST /events message.created', 'POST /webhook OutboundMessage'],
    act: ({ ghl }, recorded) => {
      const { contactId } = body(recorded('POST /conversations/messages/inbound'));
      return ghl.agentReplies({ contactId, message: ANSWER });
    },
    shows({ vcx }, recorded) {
      const event = body(recorded('POST /events message.created'));
      const taken = vcx.deliveries.find(({ body }) => body.messageId === event.messageId);
      expect(event.body === ANSWER, `vCX got ${quote(event.body ?? '')} instead`);
      expect(event.vcxConversationId === CHAT.vcxConversationId, `vCX got it for the chat ${event.vcxConversationId}`);
      expect(taken?.verified, `vCX could not verify it: ${taken?.reason}`);
      return `vCX has it, in ${VISITOR.name}’s chat; its signature is right`;
    },
  },
  {
    title: 'GHL shows it as delivered',
    needs: ['PUT /conversations/messages/*/status'],
    act: () => undefined,
    shows({ ghl }, recorded) {
      const { messageId } = body(recorded('POST /webhook delivery'));
      const status = ghl.state.messages.get(messageId)?.status;
      expect(status === 'delivered', `GHL shows it as ${status}`);
      return `The agent sees it as ${status}`;
    },
  },
];

/**
 * Plays the story and prints the calls that were made on the way. A `Problem` names the step that failed, and why.
 * @param {Sandbox} sandbox
 * @param {{ pen: Pen, print: (text: string) => void, limitMs?: number }} options `limitMs`: for one step
 * @returns {Promise<number>} how many calls there were
 */
export async function play(sandbox, { pen, print, limitMs = 12_000 }) {
  /** @type {Set<number>} */
  const told = new Set();
  for (const [index, step] of STORY.entries()) {
    print(`\n${pen.bold(`${index + 1}  ${step.title}`)}\n`);
    const later = STORY.slice(index + 1).flatMap(({ needs }) => needs);
    /** The calls of this step: all that were not told before and that no later step waits for. */
    const calls = () =>
      sandbox.traffic.filter((entry) => entry.n && !told.has(entry.n) && !later.some((name) => isCall(entry, name)));

    const failed = await perform(step, sandbox, calls, limitMs);
    for (const entry of calls()) {
      told.add(entry.n);
      print(tell(entry, pen));
    }
    try {
      if (failed) throw new Problem(failed);
      print(`\n ${pen.green('✓')} ${pen.green(step.shows(sandbox, recordedIn(sandbox)))}`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      throw new Problem(`Step ${index + 1}, “${step.title}”, failed:\n${error.message}.`);
    }
  }
  return told.size;
}

/**
 * Lets a person act and waits for what has to follow.
 * @param {Step} step
 * @param {Sandbox} sandbox
 * @param {() => Entry[]} calls of this step, so far
 * @param {number} limitMs
 * @returns {Promise<string | undefined>} why it failed
 */
async function perform(step, sandbox, calls, limitMs) {
  const missing = () => step.needs.filter((name) => !calls().some((entry) => isDone(entry) && isCall(entry, name)));
  let thrown = '';
  const acting = (async () => step.act(sandbox, recordedIn(sandbox)))().catch((error) => {
    thrown = String(error.message);
  });
  const limit = { timeoutMs: limitMs };
  const over = sandbox.waitFor(() => calls().some(isBad) || missing().length === 0, limit).then(noop, noop);
  await Promise.race([over, acting.then(() => (thrown ? undefined : over))]);
  const failing = calls().some(isBad) || missing().length > 0;
  const patience = pause(failing ? FAILING_MS : limitMs, undefined, { ref: false });
  await Promise.race([settle(sandbox, calls, acting).catch(noop), patience]);

  // What the Worker's own calls met is the cause of what the Worker then answered.
  const refused = calls().filter(isBad);
  const cause = refused.find(({ to }) => to !== 'worker') ?? refused[0];
  if (cause) return refusal(cause);
  if (thrown) return thrown;
  const open = calls().filter((entry) => !isDone(entry));
  if (open.length) return `${these(open)} not answered in time: ${open.map(nameOf).join(', ')}`;
  const absent = missing();
  if (absent.length) return `${these(absent)} not made within ${limitMs / 1000} s: ${absent.join(', ')}`;
}

/** @param {unknown[]} calls */
const these = ({ length }) => (length === 1 ? 'this call was' : 'these calls were');

/**
 * Waits for what a step set off: the answers to those who called, GHL's webhooks, and what the Worker does after it answered.
 * @param {Sandbox} sandbox
 * @param {() => Entry[]} calls
 * @param {Promise<unknown>} acting
 */
async function settle(sandbox, calls, acting) {
  await acting;
  const bad = () => calls().some(isBad);
  for (let known = -1; known !== calls().length && !bad(); ) {
    known = calls().length;
    await Promise.race([sandbox.ghl.settled(), sandbox.waitFor(bad)]);
    await pause(QUIET_MS, undefined, { ref: false });
  }
  await sandbox.waitFor(() => calls().every(isDone));
}

/** @param {Entry} entry */
function refusal(entry) {
  const [from, to] = parties(entry).map((name) => ARTICLES[name] ?? name);
  const did = entry.status ? `answered ${entry.status} to` : 'gave no answer to';
  const said = answerOf(entry);
  return `${to.replace(/^the/, 'The')} ${did} ${from}’s ${nameOf(entry)}${said && `: ${quote(said, 200)}`}`;
}

/** @param {Sandbox} sandbox @returns {Recorded} */
const recordedIn = (sandbox) => (name) => {
  const entry = sandbox.traffic.find((entry) => isCall(entry, name));
  if (!entry) throw new Problem(`this call was not made: ${name}`);
  return entry;
};

/** @param {unknown} fact @param {string} otherwise */
function expect(fact, otherwise) {
  if (!fact) throw new Problem(otherwise);
}

/** @param {Entry} entry @returns {Record<string, any>} */
const body = ({ requestBody }) => /** @type {any} */ (requestBody) ?? {};
/** @param {Entry} entry @returns {Record<string, any>} */
const answer = ({ responseBody }) => /** @type {any} */ (responseBody) ?? {};
/** @param {Entry} entry */
const isDone = ({ status }) => status !== null;
/** @type {Record<string, string>} */
const ARTICLES = { Worker: 'the Worker', Browser: 'the browser' };
const noop = () => {};
const FAILING_MS = 2_000;
const QUIET_MS = 100;

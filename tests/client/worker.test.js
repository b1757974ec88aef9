/** The client and the Worker, over real connections that break. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { connect, createSession } from '../../js/npm/index.js';
import { startStage, until } from '../worker/stage.js';
import { heard } from './heard.js';

/** @type {Awaited<ReturnType<typeof startStage>>} */
let stage;
/** @type {string} */
let locationId;

before(async () => {
  // Without a backend a message is delivered when a client has shown it, and not before.
  stage = await startStage({ vars: { VCX_WEBHOOK_URL: undefined, VCX_WEBHOOK_SECRET: undefined } });
  locationId = await stage.connect();
});
after(() => stage.close());

describe('an agent’s message', () => {
  it('is delivered when the application has it, and not before', async (t) => {
    const { chat, sockets, agentSays, statusOf } = await visitor(t);
    const came = once(sockets[0], 'message');
    const id = await agentSays('Hello');
    await came;
    // Meanwhile an acknowledgement would have arrived.
    const { messageId } = chat.send('Something else');
    await heard(chat, 'status', (event) => event.messageId === messageId && event.status === 'delivered');
    assert.equal(statusOf(id), 'pending');
    const { value } = await chat[Symbol.asyncIterator]().next();
    assert.equal(value?.type === 'message' && value.body, 'Hello');
    await reached(() => statusOf(id) === 'delivered');
  });

  it('is read when the application says so', async (t) => {
    const { chat, agentSays, statusOf } = await visitor(t);
    const shown = heard(chat, 'message');
    const id = await agentSays('Hello');
    await shown;
    await chat.markRead(id);
    await reached(() => statusOf(id) === 'read');
  });

  it('is delivered even when its acknowledgement was lost with the connection', async (t) => {
    const { chat, sockets, agentSays, statusOf } = await visitor(t);
    const shown = heard(chat, 'message');
    const stop = chat.on('message', () => sockets.at(-1)?.terminate());
    const id = await agentSays('Hello');
    await shown;
    stop();
    assert.equal(statusOf(id), 'pending');
    chat.on('message', () => assert.fail('it is shown twice'));
    await reached(() => statusOf(id) === 'delivered');
  });

  it('that came while there was no connection is shown after it, once', async (t) => {
    const { chat, sockets, agentSays } = await visitor(t);
    /** @type {string[]} */
    const shown = [];
    chat.on('message', ({ body }) => shown.push(body));
    const first = heard(chat, 'message');
    await agentSays('one');
    await first;
    for (const body of ['two', 'three']) {
      const lost = heard(chat, 'connection', ({ state }) => state === 'connecting');
      sockets.at(-1)?.terminate();
      await lost;
      const came = heard(chat, 'message', (message) => message.body === body);
      await agentSays(body);
      await came;
    }
    assert.deepEqual(shown, ['one', 'two', 'three']);
  });
});

describe('a stream', () => {
  it('that begins with all there is has what was said before', async (t) => {
    const { chat, session, agentSays } = await visitor(t);
    const shown = heard(chat, 'message');
    await agentSays('before');
    await shown;
    const later = open(t, { session, after: 0 });
    const bodies = [];
    for await (const event of later.chat) {
      if (event.type === 'message') bodies.push(event.body);
      if (bodies.length === 2) break;
    }
    assert.deepEqual(bodies, ['Hello', 'before']);
  });

  it('that would have a gap begins with a reset, and what there is', async (t) => {
    const { session } = await visitor(t);
    const { chat } = open(t, { session, after: 1 });
    const events = [];
    for await (const event of chat) {
      if (event.type !== 'connection') events.push(event.type === 'message' ? event.body : event.type);
      if (events.length === 2) break;
    }
    assert.deepEqual(events, ['reset', 'Hello']);
  });

  it('goes on under a new session when the old one is over', async (t) => {
    let asked = 0;
    const { chat, agentSays } = await visitor(t, (make) => () => {
      asked += 1;
      return make(asked === 1 ? 3 : 60);
    });
    const lost = await heard(chat, 'connection', ({ state }) => state === 'connecting');
    assert.deepEqual([lost.code, lost.reason], [4401, 'the session has expired']);
    await heard(chat, 'connection', ({ state }) => state === 'open');
    assert.equal(asked, 2);
    const shown = heard(chat, 'message');
    await agentSays('Still there?');
    assert.equal((await shown).body, 'Still there?');
  });

  it('waits for an application that is slow, and gives it everything in order', async (t) => {
    const { chat, agentSays, statusOf } = await visitor(t);
    const slow = heard(chat, 'connection', ({ code }) => code === 4408, 30_000);
    /** @type {string[]} */
    const ids = [];
    const all = Array.from({ length: 120 }, (_, n) => `Number ${n}`);
    for (const body of all) ids.push(await agentSays(body));
    await slow;
    const bodies = [];
    for await (const event of chat) {
      if (event.type === 'message') bodies.push(event.body);
      if (bodies.length === all.length) break;
    }
    assert.deepEqual(bodies, all);
    await reached(() => ids.every((id) => statusOf(id) === 'delivered'), 30_000);
  });
});

describe('a visitor’s messages', () => {
  it('are in GHL once and in order, although each answer is lost', async (t) => {
    const { chat, inbox } = await visitor(t);
    const { fetch } = globalThis;
    let lost = 0;
    t.mock.method(globalThis, 'fetch', async (/** @type {Parameters<typeof fetch>} */ ...args) => {
      const response = await fetch(...args);
      if (lost++ % 2) return response;
      throw new TypeError('the connection broke before the answer');
    });
    const bodies = ['one', 'two', 'three'];
    const messages = bodies.map((body) => chat.send(body));
    const isDone = () => lost === 6 && messages.every(({ status }) => status === 'delivered');
    await until(async () => isDone(), 'each message sent twice', 10_000);
    assert.deepEqual(inbox(), ['Hello', ...bodies]);
  });
});

/**
 * A visitor who has said hello, with a connection.
 * @param {import('node:test').TestContext} t
 * @param {(make: (expiresIn: number) => Promise<string>) => () => Promise<string>} [sessions]
 */
async function visitor(t, sessions = (make) => () => make(60)) {
  const name = `visitor-${++visitors}`;
  const ids = { locationId, clientId: name, vcxConversationId: `chat-${name}` };
  const { body } = await stage.push(locationId, name);
  const secret = stage.sandbox.workerVars().SESSION_SECRET;
  const session = sessions((expiresIn) => createSession({ secret, ...ids, expiresIn }));
  const opened = open(t, { session });
  await heard(opened.chat, 'connection', ({ state }) => state === 'open');
  const { contactId } = body;
  return {
    ...opened,
    session,
    /** @param {string} message */
    agentSays: async (message) => (await stage.ghl.agentReplies({ contactId, message })).messageId,
    /** @param {string} id */
    statusOf: (id) => stage.ghl.state.messages.get(id)?.status,
    inbox: () =>
      stage
        .inbox(locationId)
        .filter((message) => message.contactId === contactId)
        .map((message) => message.body),
  };
}

let visitors = 0;

/**
 * @param {import('node:test').TestContext} t
 * @param {{ session: () => Promise<string>, after?: number }} options
 */
function open(t, options) {
  /** @type {WebSocket[]} */
  const sockets = [];
  class Recorded extends WebSocket {
    /** @param {string} url @param {string[]} protocols */
    constructor(url, protocols) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  const chat = connect({ url: stage.url, WebSocket: Recorded, ...options });
  t.after(() => chat.close());
  return { chat, sockets };
}

/** Until something is so at GHL. @param {() => boolean} check @param {number} [timeoutMs] */
const reached = (check, timeoutMs = 10_000) => stage.sandbox.waitFor(check, { what: `${check}`, timeoutMs });

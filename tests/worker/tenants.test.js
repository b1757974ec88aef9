/**
 * The wall between two locations, in the built Worker: whatever B's session, or the key with B's name, says of A's ids has no
 * effect in A and tells nothing of A. Beside each stands the same with A's own name, which does.
 *
 * VCX_API_KEY is one key for all locations: with it a location is named, not proven, and A's ids mean nothing in B.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import WebSocket from 'ws';
import { startStage, until } from './stage.js';

const SECRET = 'the secret that signs the sessions of tenants';
const stage = await startStage({ vars: { SESSION_SECRET: SECRET } });
const { ghl, vcx, url } = stage;
after(() => stage.close());

/** A location with a chat, an agent's message in it, and a dead letter. @param {string} name */
async function settled(name) {
  const id = await stage.connect();
  const client = `client-${name}`;
  const chat = `chat-${client}`;
  const pushed = await stage.push(id, client, { body: `${name}'s words`, name, messageId: `push-${name}` });
  const { contactId, conversationId } = pushed.body;
  const agent = await ghl.agentReplies({ contactId, message: `${name}'s agent` });
  await stage.event(({ messageId }) => messageId === agent.messageId);
  // An agent writes to a contact that never was in a vCX chat: a dead letter.
  await ghl.sendWebhook({
    locationId: id,
    contactId: `nobody-${name}`,
    messageId: `lost-${name}`,
    type: 'SMS',
    message: 'x',
  });
  await until(async () => (await stage.health(id)).deadLetters.length === 1, 'the dead letter');
  const [{ id: deadLetter }] = (await stage.health(id)).deadLetters;
  return {
    id,
    client,
    chat,
    contactId,
    conversationId,
    agentMessage: agent.messageId,
    deadLetter,
    pushed: `push-${name}`,
  };
}

const a = await settled('Alma');
const b = await settled('Bert');

/** @param {{ loc: string, sub: string, conv: string }} who */
function session(who) {
  const now = Math.floor(Date.now() / 1000);
  const jwt = new SignJWT({ aud: 'vcx-ghl', ...who, iat: now, exp: now + 600 }).setProtectedHeader({ alg: 'HS256' });
  return jwt.sign(new TextEncoder().encode(SECRET));
}

/** Who asks. @type {Record<string, string>} */
const bearers = {
  key: vcx.apiKey,
  a: await session({ loc: a.id, sub: a.client, conv: a.chat }),
  b: await session({ loc: b.id, sub: b.client, conv: b.chat }),
  // B's backend signed somebody in under the names of A's visitor and chat.
  bAsA: await session({ loc: b.id, sub: a.client, conv: a.chat }),
};

/** @param {string} who @param {string} method @param {string} path @param {unknown} [body] */
async function ask(who, method, path, body) {
  const headers = { authorization: `Bearer ${bearers[who]}`, 'content-type': 'application/json' };
  const response = await fetch(url + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, text, body: /** @type {any} */ (JSON.parse(text)) };
}

/** All that A has: what GHL shows of it, and its health but for the hours. */
async function stateOfA() {
  // A's own affairs come to an end first: statuses and tags go to GHL, and GHL tells of each message. What stays is the status
  // of the lost one, of which GHL never heard.
  await until(async () => (await stage.health(a.id)).queue.depth <= 1, 'a queue at rest', 20_000);
  await ghl.settled();
  const { traffic, rate, token, lastError, queue, ...health } = await stage.health(a.id);
  const messages = stage.inbox(a.id).map(({ id, body, status }) => ({ id, body, status }));
  const contacts = [...ghl.state.contacts.values()].filter(({ locationId }) => locationId === a.id);
  return structuredClone({
    health,
    messages,
    contacts,
    unread: vcx.events.filter(({ body }) => body.locationId === a.id).length,
  });
}

let n = 0;
/** @param {Record<string, unknown>} [more] */
const words = (more) => {
  n += 1;
  return { body: `words ${n}`, timestamp: Date.now(), messageId: `new-${n}`, ...more };
};
const namesOf = (/** @type {typeof a} */ { id, client, chat }) => ({
  locationId: id,
  clientId: client,
  vcxConversationId: chat,
});
const read = { messageId: a.agentMessage, status: 'read' };
const dead = { ids: [a.deadLetter] };

/**
 * @typedef {[who: string, method: string, path: string, body: () => unknown, status: number]} Act
 * @type {[what: string, withB: Act, withA: Act][]}
 */
const TABLE = [
  ...Object.entries({ ...namesOf(a) }).map(
    ([name, value]) =>
      /** @type {[string, Act, Act]} */ ([
        `a session pushes, with the ${name}`,
        ['b', 'POST', '/push-message', () => words({ [name]: value }), 403],
        ['a', 'POST', '/push-message', () => words({ [name]: value }), 200],
      ]),
  ),
  [
    'a session pushes into a chat of the same name',
    ['bAsA', 'POST', '/push-message', () => words(), 200],
    ['a', 'POST', '/push-message', () => words(), 200],
  ],
  [
    'a session pushes with a known messageId',
    ['b', 'POST', '/push-message', () => words({ messageId: a.pushed }), 200],
    ['a', 'POST', '/push-message', () => words({ messageId: a.pushed }), 409],
  ],
  [
    'a session tells a status',
    ['b', 'POST', '/message-status', () => read, 404],
    ['a', 'POST', '/message-status', () => read, 200],
  ],
  [
    'a session tells a status, in a chat of the same name',
    ['bAsA', 'POST', '/message-status', () => read, 404],
    ['a', 'POST', '/message-status', () => read, 200],
  ],
  [
    'a session tells a status, with the location',
    ['b', 'POST', '/message-status', () => ({ ...read, locationId: a.id }), 403],
    ['a', 'POST', '/message-status', () => ({ ...read, locationId: a.id }), 200],
  ],
  [
    'a session asks for a contact',
    ['b', 'POST', '/contact', () => ({ locationId: a.id, clientId: a.client, name: 'B' }), 401],
    ['key', 'POST', '/contact', () => ({ locationId: a.id, clientId: a.client, name: 'Alma A' }), 200],
  ],
  [
    'a session asks for health',
    ['b', 'GET', `/locations/${a.id}`, () => undefined, 401],
    ['key', 'GET', `/locations/${a.id}`, () => undefined, 200],
  ],
  [
    'a session replays',
    ['b', 'POST', `/locations/${a.id}/replay`, () => dead, 401],
    ['key', 'POST', `/locations/${a.id}/replay`, () => dead, 200],
  ],
  [
    'a session lists the locations',
    ['b', 'GET', '/locations', () => undefined, 401],
    ['key', 'GET', '/locations', () => undefined, 200],
  ],
  [
    "the key pushes for B, with all of A's ids",
    [
      'key',
      'POST',
      '/push-message',
      () => ({ ...words({ messageId: a.agentMessage, fromUser: true }), ...namesOf(a), locationId: b.id }),
      200,
    ],
    ['key', 'POST', '/push-message', () => ({ ...words({ fromUser: true }), ...namesOf(a) }), 200],
  ],
  [
    "the key asks for a contact of B, with A's client",
    ['key', 'POST', '/contact', () => ({ locationId: b.id, clientId: a.client, name: 'B' }), 200],
    ['key', 'POST', '/contact', () => ({ locationId: a.id, clientId: a.client, name: 'Alma B' }), 200],
  ],
  [
    "the key tells a status in B of A's message",
    ['key', 'POST', '/message-status', () => ({ ...read, locationId: b.id }), 404],
    ['key', 'POST', '/message-status', () => ({ ...read, locationId: a.id }), 200],
  ],
  [
    "the key asks for B's health",
    ['key', 'GET', `/locations/${b.id}`, () => undefined, 200],
    ['key', 'GET', `/locations/${a.id}`, () => undefined, 200],
  ],
];

describe("with B's name nothing of A is reached, with A's it is", () => {
  const secrets = [a.contactId, a.conversationId, a.id, "Alma's"];
  for (const [what, withB, withA] of TABLE) {
    it(what, async () => {
      const before = await stateOfA();
      const [who, method, path, body, status] = withB;
      const refused = await ask(who, method, path, body());
      assert.equal(refused.status, status, refused.text);
      for (const secret of secrets) assert.ok(!refused.text.includes(secret), refused.text);
      assert.deepEqual(await stateOfA(), before);

      const [as, withMethod, at, of, expected] = withA;
      const taken = await ask(as, withMethod, at, of());
      assert.equal(taken.status, expected, taken.text);
    });
  }

  it("a dead letter's id replays nothing elsewhere", async () => {
    assert.notEqual(a.deadLetter, undefined);
    const { body } = await ask('key', 'POST', `/locations/${b.id}/replay`, { ids: [a.deadLetter + 1_000] });
    assert.deepEqual(body, { replayed: 0 });
  });
});

describe("GHL, with B's name and A's ids", () => {
  /** @type {[string, (location: string) => Record<string, unknown>][]} */
  const posts = [
    [
      "an agent's message to A's contact",
      (locationId) => ({ locationId, contactId: a.contactId, messageId: 'x1', type: 'SMS', message: 'for Alma' }),
    ],
    [
      'unread',
      (locationId) => ghl.event('ConversationUnreadUpdate', { locationId, id: a.conversationId, unreadCount: 7 }),
    ],
    [
      'a merge',
      (locationId) =>
        ghl.event('ConversationUpdate', { locationId, oldConversationId: a.conversationId, newConversationId: 'x' }),
    ],
    ['a deletion', (locationId) => ghl.event('ContactDelete', { locationId, id: a.contactId })],
  ];
  for (const [what, post] of posts) {
    it(`changes nothing in A: ${what}`, async () => {
      const before = await stateOfA();
      const [{ status }] = await ghl.sendWebhook(post(b.id));
      assert.equal(status, 200);
      // The next push of A goes the same way as before, and its answers come.
      assert.deepEqual(await stateOfA(), before);
      const quiet = stage.watch();
      const push = await ask('a', 'POST', '/push-message', words());
      assert.deepEqual([push.body.contactId, push.body.conversationId], [a.contactId, a.conversationId]);
      // GHL never heard of the lost messages, whose statuses come when they come.
      const calls = quiet().filter((call) => !call.includes('lost-'));
      assert.deepEqual(calls, ['POST /conversations/messages/inbound']);
    });
  }

  it("reaches A with A's", async () => {
    await ghl.sendWebhook(posts[0][1](a.id));
    const { body } = await stage.event(({ messageId }) => messageId === 'x1');
    assert.deepEqual([body.locationId, body.clientId, body.body], [a.id, a.client, 'for Alma']);
  });
});

describe('a live listener', () => {
  it('of B hears nothing of A, in a chat of the same name either', async () => {
    /** @type {Record<string, any[]>} */
    const heard = {};
    const sockets = await Promise.all(
      ['a', 'b', 'bAsA'].map(async (who) => {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/events?after=0`, [
          'vcx-ghl.v1',
          `bearer.${bearers[who]}`,
        ]);
        heard[who] = [];
        socket.on('message', (data) => heard[who].push(JSON.parse(String(data))));
        await once(socket, 'open');
        return socket;
      }),
    );
    await ghl.sendWebhook({
      locationId: a.id,
      contactId: a.contactId,
      messageId: 'x2',
      type: 'SMS',
      message: 'live for Alma',
    });
    await ghl.sendWebhook({
      locationId: b.id,
      contactId: b.contactId,
      messageId: 'x3',
      type: 'SMS',
      message: 'live for Bert',
    });
    const has = (/** @type {string} */ who, /** @type {string} */ id) =>
      heard[who].some(({ messageId }) => messageId === id);
    await until(async () => has('a', 'x2') && has('b', 'x3'), 'both');
    // The chat of the same name has its own, which came in order: what is not there by now, never was.
    const own = await ask('bAsA', 'POST', '/push-message', words());
    await until(async () => has('bAsA', own.body.messageId), 'its own');
    for (const who of ['b', 'bAsA']) {
      const places = new Set(heard[who].flatMap(({ locationId }) => locationId ?? []));
      assert.deepEqual([...places], [b.id], who);
      assert.ok(!/Alma's|for Alma/.test(JSON.stringify(heard[who])), who);
    }
    for (const socket of sockets) socket.close();
  });
});

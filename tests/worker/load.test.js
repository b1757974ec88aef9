/**
 * The Worker under load, and while GHL's rate limit holds it back. Short here; `LONG=1` takes the minute that each is about.
 */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { message, startStage } from './stage.js';

/** @typedef {{ locationId: string, altId?: string, body?: string, direction: string }} Message in GHL */

const SECONDS = process.env.LONG ? 60 : 6;

describe('GHL refuses with 429', () => {
  /** @type {Awaited<ReturnType<typeof startStage>>} */
  let stage;
  before(async () => {
    stage = await startStage();
  });
  after(() => stage.close());

  it(`for ${SECONDS} s, while a hundred messages go both ways: none is lost, none doubled, the order is kept`, async () => {
    const { ghl, vcx, sandbox } = stage;
    const id = await stage.connect();
    const chats = ['ann', 'bob', 'cem', 'dee', 'eva'];
    const contacts = await Promise.all(chats.map(async (chat) => (await stage.push(id, chat)).body.contactId));
    ghl.limits.max = 10_000;
    const fault = ghl.fail({ match: { path: /^\/(conversations|contacts)/ }, times: null, status: 429 });
    setTimeout(() => fault.remove(), SECONDS * 1_000);

    const statuses = [];
    for (let n = 0; n < 10; n += 1) {
      for (const chat of chats) {
        const pushed = stage.push(id, chat, { body: `${chat} ${n}`, timestamp: Date.now() });
        statuses.push(pushed.then(({ status }) => status));
      }
      // GHL itself is not limited: its agents answer meanwhile.
      for (const [at, contactId] of contacts.entries()) {
        await ghl.agentReplies({ contactId, locationId: id, message: `to ${chats[at]} ${n}` });
      }
    }
    for (const status of await Promise.all(statuses)) assert.ok([200, 202].includes(status), `answered ${status}`);

    /** @param {string} chat */
    const written = (chat) => Array.from({ length: 10 }, (_, n) => `${chat} ${n}`);
    const inGhl = (/** @type {string} */ chat) =>
      stage
        .inbox(id)
        .flatMap(({ body, direction }) => (direction === 'inbound' && body?.startsWith(`${chat} `) ? body : []));
    const atVcx = (/** @type {string} */ chat) =>
      vcx.events.flatMap(({ body }) => (body.body?.startsWith(`to ${chat} `) ? body.body.slice(3) : []));
    await sandbox.waitFor(() => chats.every((chat) => inGhl(chat).length >= 10 && atVcx(chat).length >= 10), {
      what: 'a hundred messages',
      timeoutMs: (SECONDS + 60) * 1_000,
    });
    for (const chat of chats) {
      assert.deepEqual(inGhl(chat), written(chat));
      assert.deepEqual(atVcx(chat), written(chat));
    }
    const delivered = () => [...ghl.state.messages.values()].filter(({ status }) => status === 'delivered').length;
    await sandbox.waitFor(() => delivered() >= 50, { what: 'all replies delivered', timeoutMs: 60_000 });
    assert.deepEqual((await stage.health(id)).deadLetters, []);
  });
});

describe('GHL stores a message and answers 500', () => {
  /** @type {Awaited<ReturnType<typeof startStage>>} */
  let stage;
  before(async () => {
    stage = await startStage();
  });
  after(() => stage.close());

  it('and it is looked up, not sent again', async () => {
    const { ghl } = stage;
    const id = await stage.connect();
    await stage.push(id, 'ann');
    await stage.sandbox.waitFor(({ path, status }) => path.endsWith('/tags') && status === 201, { what: 'the tag' });
    const calls = stage.watch();
    ghl.fail({ match: { path: '/conversations/messages/inbound' }, status: 500, when: 'after' });
    const { status, body } = await stage.push(id, 'ann', { body: 'once' });
    assert.deepEqual([status, body.status], [200, 'sent']);
    assert.deepEqual(
      stage
        .inbox(id)
        .filter((message) => message.body === 'once')
        .map((message) => message.id),
      [body.ghlMessageId],
    );
    assert.deepEqual(calls(), ['POST /conversations/messages/inbound', 'GET /conversations/{id}/messages']);
  });
});

describe('128 connections at once', () => {
  /** @type {Awaited<ReturnType<typeof startStage>>} */
  let stage;
  before(async () => {
    stage = await startStage({ sandbox: { emitMessageWebhooks: false, emitContactWebhooks: false } });
  });
  after(() => stage.close());

  it(`for ${SECONDS} s: no error, and every push is in GHL exactly once`, async () => {
    const { ghl, sandbox, url } = stage;
    const id = await stage.connect();
    Object.assign(ghl.limits, { max: 1_000_000, daily: 1_000_000_000 });
    const headers = { authorization: `Bearer ${sandbox.vcx.apiKey}`, 'content-type': 'application/json' };
    const end = Date.now() + SECONDS * 1_000;
    /** @type {string[]} */
    const pushed = [];
    /** @type {Map<number, number>} */
    const statuses = new Map();
    const connection = async (/** @type {number} */ lane) => {
      while (Date.now() < end) {
        const messageId = randomUUID();
        pushed.push(messageId);
        const body = JSON.stringify(message(id, `client-${lane}`, { messageId }));
        const response = await fetch(`${url}/push-message`, { method: 'POST', headers, body });
        await response.arrayBuffer();
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 128 }, (_, lane) => connection(lane)));
    assert.deepEqual(
      [...statuses.keys()].filter((status) => ![200, 202].includes(status)),
      [],
      `${[...statuses]}`,
    );
    assert.ok(pushed.length > 128, 'each connection got through more than once');

    await sandbox.waitFor(() => ghl.state.messages.size >= pushed.length, { what: 'all messages', timeoutMs: 30_000 });
    const found = [...ghl.state.messages.values()].map(({ altId }) => altId).sort();
    assert.deepEqual(found, pushed.sort());
  });
});

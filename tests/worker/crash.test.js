/**
 * What is left after a crash is what was on disk: workerd killed, the code trapping half way through a turn, an object's
 * database gone.
 */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startStage, until } from './stage.js';
import { trapping } from './traps.js';

/** @import { Stage } from './stage.js' */

const INBOUND = '/conversations/messages/inbound';
const MINUTE = 60_000;
/** `npm run soak` takes more. */
const TRAPS = process.env.LONG ? 5_000 : 1_000;

/** The texts that GHL has of a location's chats, in their order. @param {Stage} stage @param {string} id */
const texts = (stage, id) => stage.inbox(id).map(({ body }) => body);

/** Nothing is left to do. @param {Stage} stage @param {string} id */
const idle = (stage, id) => async () => (await stage.health(id)).queue.depth === 0;

describe('a crash', { concurrency: true }, () => {
  describe('Started: workerd is killed', { concurrency: true }, () => {
    it('while calls are under way: what was on its way arrives once, in order, without any client', async (t) => {
      const stage = await startStage();
      t.after(() => stage.close());
      const { ghl, vcx, sandbox } = stage;
      const id = await stage.connect();
      const { body: mina } = await stage.push(id, 'mina', { body: 'first of mina' });
      await stage.push(id, 'paul', { body: 'first of paul' });

      // GHL takes the one and is not heard any more; the other never gets there. Behind each, another message waits.
      ghl.fail({ match: { path: INBOUND, body: { message: 'taken' } }, answerDelayMs: MINUTE });
      ghl.fail({ match: { path: INBOUND, body: { message: 'not taken' } }, delayMs: MINUTE, drop: 'before' });
      // vCX takes the event and is not heard any more.
      vcx.fail({ match: { body: { body: 'an answer' } }, answerDelayMs: MINUTE });
      const pushes = ['taken', 'behind taken'].map((body) => stage.push(id, 'mina', { body }));
      pushes.push(...['not taken', 'behind not taken'].map((body) => stage.push(id, 'paul', { body })));
      const { messageId } = await ghl.agentReplies({ contactId: mina.contactId, message: 'an answer' });
      await sandbox.waitFor(() => texts(stage, id).includes('taken'));
      await sandbox.waitFor(
        ({ path, requestBody }) => path === INBOUND && /** @type {any} */ (requestBody).message === 'not taken',
      );
      await stage.event((event) => event.messageId === messageId);

      await stage.kill();
      for (const { status } of await Promise.all(pushes)) assert.equal(status, 0, 'nobody was answered');
      await stage.restart();

      const all = ['first of mina', 'first of paul', 'taken', 'behind taken', 'not taken', 'behind not taken'];
      await sandbox.waitFor(() => all.every((text) => texts(stage, id).includes(text)), {
        what: 'all messages',
        timeoutMs: 60_000,
      });
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', { what: 'delivered' });
      await until(idle(stage, id), 'an empty queue');
      assert.deepEqual(
        [...stage.inbox(id)]
          .map(({ body }) => body)
          .filter((body) => body !== 'an answer')
          .sort(),
        all.sort(),
      );
      const order = texts(stage, id);
      assert.ok(order.indexOf('taken') < order.indexOf('behind taken'));
      assert.ok(order.indexOf('not taken') < order.indexOf('behind not taken'));
      // At least once at vCX, and once by its webhook-id.
      const taken = vcx.events.filter(({ body }) => body.messageId === messageId);
      const attempts = vcx.deliveries.filter(({ body }) => body.messageId === messageId);
      assert.equal(taken.length, 1);
      assert.ok(attempts.length >= 2 && attempts.every(({ verified }) => verified));
      assert.equal((await stage.health(id)).health, 'ok');
    });

    it('three times in the middle of traffic both ways: nothing is lost, doubled or out of order', async (t) => {
      const stage = await startStage({ sandbox: { retry: { max: 60, baseMs: 200, maxMs: 400, timeoutMs: 10_000 } } });
      t.after(() => stage.close());
      const { ghl, vcx } = stage;
      ghl.limits.max = 10_000;
      const id = await stage.connect();
      const clients = ['a', 'b', 'c', 'd'];
      /** @type {string[]} */
      const contacts = [];
      for (const client of clients)
        contacts.push((await stage.push(id, client, { body: `${client} hello` })).body.contactId);
      let over = false;
      /** @type {string[]} */
      const answers = [];

      // vCX repeats a push until it is answered; each chat waits for the answer before it goes on.
      const said = clients.map(() => 0);
      const visitors = clients.map(async (client, at) => {
        while (!over) {
          const n = said[at] + 1;
          const push = { body: `${client} ${n}`, messageId: `${client}-${n}`, timestamp: Date.now() };
          await until(async () => [200, 202].includes((await stage.push(id, client, push)).status), push.body, 30_000);
          said[at] = n;
        }
      });
      const agents = contacts.map(async (contactId, at) => {
        for (let n = 1; !over; n += 1) {
          const { messageId } = await ghl.agentReplies({ contactId, message: `to ${clients[at]} ${n}` });
          answers.push(messageId);
          await setTimeout(150);
        }
      });
      // Whoever speaks has got through so often, and goes on while the Worker dies.
      const all = (/** @type {number} */ round) =>
        until(async () => said.every((n) => n >= 2 * round) && answers.length >= 6 * round, `round ${round}`, 30_000);
      try {
        for (const round of [1, 2, 3]) {
          await all(round);
          await stage.kill();
          await stage.restart();
        }
        await all(4);
      } finally {
        over = true;
      }
      await Promise.all([...visitors, ...agents]);
      await ghl.settled();
      await until(idle(stage, id), 'an empty queue', 90_000);

      clients.forEach((client, at) => {
        const expected = [`${client} hello`, ...Array.from({ length: said[at] }, (_, n) => `${client} ${n + 1}`)];
        const inbound = stage
          .inbox(id)
          .filter(({ body, direction }) => direction === 'inbound' && body.startsWith(`${client} `));
        assert.deepEqual(
          inbound.map(({ body }) => body),
          expected,
        );
        const heard = vcx.events
          .map(({ body }) => body)
          .filter(({ type, clientId }) => type === 'message.created' && clientId === client);
        const answered = stage.inbox(id).filter(({ body }) => body.startsWith(`to ${client} `));
        assert.deepEqual(heard.map(({ messageId }) => messageId).sort(), answered.map(({ id }) => id).sort());
      });
      assert.deepEqual((await stage.health(id)).deadLetters, []);
      for (const { status } of answers.map((each) => ghl.state.messages.get(each) ?? { status: '' })) {
        assert.equal(status, 'delivered');
      }
    });
  });

  describe('Trapped: the code traps half way through a turn', { concurrency: true }, async () => {
    const stage = await startStage({ modules: trapping });
    after(() => stage.close());
    const { ghl, sandbox, vcx, logs } = stage;
    const traps = () => logs.filter(({ message }) => message === 'RuntimeError: unreachable').length;

    it('of a push: it is answered, nothing of the turn is kept, and a repeat is taken', async () => {
      const id = await stage.connect();
      await until(idle(stage, id), 'an empty queue');
      const push = { messageId: 'trap.asked.1.a', timestamp: 1 };
      const { status, body } = await stage.push(id, 'mina', push);
      assert.deepEqual([status, body.code], [500, 'internal']);
      const { queue, deadLetters, lastError } = await stage.health(id);
      assert.deepEqual([queue.depth, deadLetters, lastError], [0, [], null]);
      assert.deepEqual(
        [...ghl.state.contacts.values()].filter(({ locationId }) => locationId === id),
        [],
      );
      assert.equal((await stage.push(id, 'mina', push)).status, 200);
      assert.deepEqual(texts(stage, id), ['Hello']);
      await until(async () => traps() > 0, 'the log of a real one');
    });

    it('of the same push three times: a dead letter, and others go on', async () => {
      const id = await stage.connect();
      const push = { messageId: 'trap.asked.99.b' };
      for (const n of [1, 2, 3, 4]) {
        assert.equal((await stage.push(id, 'mina', push)).status, 500, `time ${n}`);
        assert.equal((await stage.health(id)).deadLetters.length, n < 3 ? 0 : 1);
        assert.equal((await stage.push(id, 'mina')).status, 200);
      }
      const [{ code, messageId }] = (await stage.health(id)).deadLetters;
      assert.deepEqual([code, messageId], ['trapped', push.messageId]);
    });

    it('of different pushes without an id, once each: none of them is a dead letter', async () => {
      const id = await stage.connect();
      for (const n of [1, 2, 3, 4]) {
        const push = { messageId: undefined, body: `trap.asked.1.c${n}`, timestamp: n };
        assert.equal((await stage.push(id, 'mina', push)).status, 500);
        assert.equal((await stage.push(id, 'mina', push)).status, 200);
      }
      assert.deepEqual((await stage.health(id)).deadLetters, []);
    });

    it('of the same webhook three times: a dead letter that GHL hears of and that can be replayed', async () => {
      const id = await stage.connect();
      const { body: pushed } = await stage.push(id, 'mina');
      const { messageId } = await ghl.agentReplies({ contactId: pushed.contactId, message: 'trap.asked.3.d' });
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'failed', { what: 'failed' });
      const answers = () =>
        sandbox.traffic
          .filter(
            ({ kind, requestBody }) => kind === 'delivery' && /** @type {any} */ (requestBody)?.messageId === messageId,
          )
          .map(({ status }) => status);
      // GHL may know the status before it has the answer.
      await sandbox.waitFor(() => answers().length >= 3, { what: 'the third answer' });
      assert.deepEqual(answers(), [500, 500, 200]);
      const [dead] = (await stage.health(id)).deadLetters;
      assert.deepEqual([dead.code, dead.direction, dead.messageId], ['trapped', 'toVcx', messageId]);

      assert.deepEqual((await vcx.call('POST', `/locations/${id}/replay`)).body, { replayed: 1 });
      const { body } = await stage.event((event) => event.messageId === messageId);
      assert.deepEqual([body.body, body.clientId], ['trap.asked.3.d', 'mina']);
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', { what: 'delivered' });
    });

    it('over the answer of GHL: the message is looked for, and sent once', async () => {
      const id = await stage.connect();
      const { status } = await stage.push(id, 'mina', { messageId: 'trap.answered.1.d' });
      assert.equal(status, 200);
      assert.equal(stage.inbox(id).length, 1);
      const sends = sandbox.traffic.filter(
        ({ path, requestBody }) => path === INBOUND && /** @type {any} */ (requestBody).altId === 'trap.answered.1.d',
      );
      assert.equal(sends.length, 1);
    });

    it('over an item three times: a dead letter that vCX hears of, and the rest of its chat goes on', async () => {
      const id = await stage.connect();
      await stage.push(id, 'mina', { body: 'before' });
      const messageId = 'trap.answered.99.e';
      const trapped = stage.push(id, 'mina', { messageId, body: 'read badly' });
      const behind = stage.push(id, 'mina', { body: 'behind' });
      const other = await stage.push(id, 'paul', { body: 'another chat' });
      assert.equal(other.status, 200);
      const { status, body } = await trapped;
      assert.deepEqual([status, body.code], [422, 'rejected']);
      const { body: failed } = await stage.event((event) => event.locationId === id && event.type === 'message.failed');
      assert.deepEqual([failed.messageId, failed.code], [messageId, 'trapped']);
      await behind;
      await until(idle(stage, id), 'an empty queue');
      assert.deepEqual(texts(stage, id).sort(), ['another chat', 'before', 'behind', 'read badly']);
      const { deadLetters } = await stage.health(id);
      assert.deepEqual(
        deadLetters.map((/** @type {any} */ dead) => [dead.messageId, dead.code]),
        [[messageId, 'trapped']],
      );
    });

    it('of the alarm, over one item: it is set again, and the third time the item is out of its way', async () => {
      const id = await stage.connect();
      await stage.push(id, 'mina', { body: 'before' });
      ghl.fail({ match: { path: INBOUND, body: { message: 'trapped' } }, status: 403 });
      const { status, body } = await stage.push(id, 'mina', { messageId: 'trap.wake.99.f', body: 'trapped' });
      assert.deepEqual([status, body.code], [422, 'rejected']);
      const others = await Promise.all(
        ['paul', 'mina'].map((client) => stage.push(id, client, { body: `of ${client}` })),
      );
      assert.deepEqual(
        others.map(({ status }) => status),
        [200, 200],
      );
      const { deadLetters } = await stage.health(id);
      assert.deepEqual(
        deadLetters.map((/** @type {any} */ dead) => dead.code),
        ['trapped'],
      );
      assert.deepEqual(texts(stage, id).sort(), ['before', 'of mina', 'of paul']);
    });

    it('of the alarm, and so does the turn that takes note of it: it is set again, and work goes on by itself', async () => {
      const id = await stage.connect();
      const { contactId } = (await stage.push(id, 'mina')).body;
      // So that nobody waits whose waiting would wake the object: an agent's message, put off once.
      const text = 'trap.wake+trapped.1.g';
      vcx.fail({ match: { body: { body: text } }, status: 500 });
      const { messageId } = await ghl.agentReplies({ contactId, message: text, events: [] });
      await stage.event((event) => event.messageId === messageId, 'the message', 30_000);
      assert.ok(logs.some(({ event }) => event === 'turn_broken'));
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', { what: 'delivered' });
      assert.deepEqual((await stage.health(id)).deadLetters, []);
    });

    it(`${TRAPS} times over: the next requests are fine`, async () => {
      const id = await stage.connect();
      const before = traps();
      let next = 0;
      const caller = async () => {
        for (let n = next++; n < TRAPS; n = next++) {
          const { status } = await stage.push(id, `client-${n}`, {
            messageId: `trap.asked.1.${n}`,
            body: 'x'.repeat(5_000),
          });
          assert.equal(status, 500);
        }
      };
      await Promise.all([1, 2, 3, 4].map(caller));
      await until(async () => traps() - before >= TRAPS, 'the log of them all', TRAPS * 20);
      assert.equal((await stage.push(id, 'mina')).status, 200);
      const { contactId } = (await stage.push(id, 'mina')).body;
      const { messageId } = await ghl.agentReplies({ contactId, message: 'Still there?' });
      await stage.event((event) => event.messageId === messageId);
      assert.equal(vcx.deliveries.filter(({ verified }) => !verified).length, 0);
    });
  });

  describe('an object whose database was deleted', { concurrency: true }, () => {
    it('is restored from KV: push, reply and refresh work again', async (t) => {
      const stage = await startStage();
      t.after(() => stage.close());
      const { ghl, sandbox, vcx } = stage;
      const id = await stage.connect();
      const { body: before } = await stage.push(id, 'mina');
      const { body: other } = await stage.push(id, 'paul');
      const chats = [`conv:${id}:chat-mina`, `conv:${id}:chat-paul`];
      const conversations = [before, other].map(({ conversationId }) => `ghl:${id}:${conversationId}`);
      for (const key of [`token:${id}`, `location:${id}`, ...chats, ...conversations]) {
        await until(() => inKv(stage, key), `${key} in KV`);
      }
      await lose(stage);

      // A reply names the contact only.
      const { messageId } = await ghl.agentReplies({ contactId: other.contactId, message: 'Still there, Paul?' });
      const { body: event } = await stage.event((event) => event.messageId === messageId);
      assert.deepEqual([event.clientId, event.vcxConversationId], ['paul', 'chat-paul']);
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', { what: 'delivered' });

      const { body: pushed } = await stage.push(id, 'mina', { body: 'Again' });
      assert.deepEqual([pushed.contactId, pushed.conversationId], [before.contactId, before.conversationId]);
      assert.equal([...ghl.state.contacts.values()].filter(({ locationId }) => locationId === id).length, 2);

      const old = await inKv(stage, `token:${id}`);
      assert.doesNotMatch(old, /eyJ/, 'they are sealed');
      ghl.expireAccessTokens(id);
      assert.equal((await stage.push(id, 'mina', { body: 'Refreshed' })).status, 200);
      const health = await stage.health(id);
      assert.deepEqual([health.health, health.state, health.via], ['ok', 'connected', 'marketplace']);
      // A new client is searched for as ever.
      assert.equal((await stage.push(id, 'new here')).status, 200);

      // The new tokens are in KV, too.
      await until(async () => (await inKv(stage, `token:${id}`)) !== old, 'the new tokens in KV');
      await lose(stage);
      assert.equal((await stage.push(id, 'mina', { body: 'Once more' })).status, 200);
      assert.equal(refreshes(stage), 1);
      assert.equal(vcx.events.filter(({ body }) => body.messageId === messageId).length, 1);
    });

    it('does not come back when it was uninstalled', async (t) => {
      const stage = await startStage();
      t.after(() => stage.close());
      const { ghl, vcx } = stage;
      const id = await stage.connect();
      await stage.push(id, 'mina');
      ghl.uninstall({ locationId: id });
      await stage.event((event) => event.type === 'location.disconnected');
      await until(async () => (await inKv(stage, `token:${id}`)).includes('"gone":true'), 'the tombstone');
      await until(async () => (await inKv(stage, `location:${id}`)).includes('"uninstalled"'), 'the directory');
      await lose(stage);

      const quiet = stage.watch();
      const push = await stage.push(id, 'mina');
      assert.deepEqual([push.status, push.body.code], [409, 'location_disconnected']);
      assert.equal((await vcx.call('GET', `/locations/${id}`)).status, 409);
      const reply = { locationId: id, contactId: 'c', messageId: 'm', type: 'SMS', message: 'Hi', attachments: [] };
      assert.deepEqual(
        (await ghl.sendWebhook(reply)).map(({ status }) => status),
        [200],
      );
      assert.deepEqual(quiet(), []);

      // Until it is installed again.
      await ghl.install({ locationId: id, visit: true });
      assert.equal((await stage.push(id, 'mina')).status, 200);
    });
  });
});

/** What KV holds; '' when nothing. @param {Stage} stage @param {string} key */
async function inKv(stage, key) {
  const kv = await stage.worker.miniflare.getKVNamespace('KV');
  return String((await kv.get(key)) ?? '');
}

/** Deletes the databases of all objects, and nothing else. @param {Stage} stage */
async function lose(stage) {
  await stage.kill();
  rmSync(join(stage.state, 'do'), { recursive: true });
  await stage.restart();
}

/** How often tokens were refreshed. @param {Stage} stage */
const refreshes = ({ sandbox }) =>
  sandbox.traffic.filter(
    ({ path, requestBody }) =>
      path === '/oauth/token' && /** @type {any} */ (requestBody).grant_type === 'refresh_token',
  ).length;

/** The live end in workerd: browsers that listen over real connections, some of them badly. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { listen, sessionOf, words } from './live.js';
import { startStage, until } from './stage.js';
import { trapping } from './traps.js';

/** @import { ModuleDefinition } from 'miniflare' */
/** @import { Live } from './live.js' */

const LIVE_ONLY = { VCX_WEBHOOK_URL: undefined, VCX_WEBHOOK_SECRET: undefined };
const PAGE = 'https://chat.example';

describe('the live end', { concurrency: true }, () => {
  describe('clients', { concurrency: true }, async () => {
    const stage = await startStage({ vars: { VCX_ALLOWED_ORIGINS: PAGE } });
    after(() => stage.close());
    const { ghl, sandbox, vcx } = stage;
    // What GHL allows in ten seconds is not what this is about.
    ghl.limits.max = 10_000;

    it('hear both sides and how far each message is, in every tab, each event once', async () => {
      const id = await stage.connect();
      const token = sessionOf(stage, id, 'mina');
      const tabs = await Promise.all([listen(stage, token, { origin: PAGE }), listen(stage, token)]);
      assert.equal(tabs[0].socket.protocol, 'vcx-ghl.v1');
      const messageId = randomUUID();
      const { body: pushed } = await stage.push(id, 'mina', { messageId, body: 'Is anybody there?' });
      for (const tab of tabs) {
        const { fromUser, clientId, vcxConversationId, ...said } = await tab.message('Is anybody there?');
        assert.deepEqual(
          [said.messageId, fromUser, clientId, vcxConversationId],
          [messageId, true, 'mina', 'chat-mina'],
        );
        await tab.status(messageId, 'delivered');
      }
      const reply = await ghl.agentReplies({ contactId: pushed.contactId, message: 'Yes' });
      for (const tab of tabs) {
        const said = await tab.message('Yes');
        assert.deepEqual([said.messageId, said.fromUser], [reply.messageId, false]);
        await tab.status(reply.messageId, 'delivered');
      }
      await ghl.agentReads({ contactId: pushed.contactId });
      for (const tab of tabs) {
        await tab.until((all) => all.find(({ type }) => type === 'conversation.updated'), 'the unread count');
        const ids = tab.frames.map((frame) => frame.id);
        assert.deepEqual(ids, [...new Set(ids)].sort());
        assert.deepEqual(words(tab.frames), [
          'ready',
          'Is anybody there?',
          'delivered',
          'Yes',
          'delivered',
          '0 unread',
        ]);
      }
      // vCX's backend got the same words for it.
      const { body: event } = await stage.event((each) => each.messageId === reply.messageId);
      const { id: _, ...told } = await tabs[0].message('Yes');
      assert.deepEqual(told, event);
      await Promise.all(tabs.map((tab) => tab.leave()));
    });

    it('that lose their connection go on where they were: nothing is missed and nothing comes twice', async () => {
      const id = await stage.connect();
      const token = sessionOf(stage, id, 'mina');
      let tab = await listen(stage, token, { after: 0 });
      const { body: pushed } = await stage.push(id, 'mina', { body: 'one' });
      await tab.status(pushed.messageId, 'delivered');
      const heard = words(tab.frames.slice(1));
      let { last } = tab;
      for (const round of [1, 2, 3]) {
        // As a train goes into a tunnel: no closing handshake, and something happens meanwhile.
        tab.socket.terminate();
        const text = `while away ${round}`;
        const { messageId } = await ghl.agentReplies({ contactId: pushed.contactId, message: text });
        await stage.event((each) => each.messageId === messageId);
        tab = await listen(stage, token, { after: last });
        await tab.status(messageId, 'delivered');
        assert.deepEqual(tab.frames[0], { type: 'ready', id: last });
        heard.push(...words(tab.frames.slice(1)));
        ({ last } = tab);
      }
      const rounds = [1, 2, 3].flatMap((round) => [`while away ${round}`, 'delivered']);
      assert.deepEqual(heard, ['one', 'delivered', ...rounds]);
      await tab.leave();
    });

    it('whose last event cannot be continued are reset, and get what is kept', async () => {
      const id = await stage.connect();
      const token = sessionOf(stage, id, 'mina');
      const { body } = await stage.push(id, 'mina', { body: 'kept' });
      const tab = await listen(stage, token, { after: Date.now() + 60_000 });
      await tab.status(body.messageId, 'delivered');
      assert.deepEqual(words(tab.frames), ['reset', 'kept', 'delivered']);
      assert.equal(tab.frames[0].id, tab.frames[1].id - 1);
      await tab.leave();
    });

    it('hear nothing of other conversations and locations', async () => {
      const [id, other] = [await stage.connect(), await stage.connect()];
      const same = { vcxConversationId: 'chat-mina' };
      const quiet = await Promise.all([
        listen(stage, sessionOf(stage, id, 'paul'), { after: 0 }),
        listen(stage, sessionOf(stage, id, 'mina', { conversation: 'chat-mina ' }), { after: 0 }),
        listen(stage, sessionOf(stage, other, 'mina'), { after: 0 }),
      ]);
      const loud = await listen(stage, sessionOf(stage, id, 'mina'), { after: 0 });
      const { body } = await stage.push(id, 'mina', { ...same, body: 'of mina' });
      const { messageId } = await ghl.agentReplies({ contactId: body.contactId, message: 'for mina' });
      await loud.status(messageId, 'delivered');
      // What was to come to them would have come before this.
      await Promise.all(quiet.map((tab) => tab.ping()));
      for (const tab of quiet) assert.deepEqual(words(tab.frames), ['ready']);
      await Promise.all([...quiet, loud].map((tab) => tab.leave()));
    });

    it('that acknowledge nothing are sent away after a hundred events, and come back to the rest', async () => {
      const id = await stage.connect();
      const token = sessionOf(stage, id, 'mina');
      const [slow, good] = [await listen(stage, token), await listen(stage, token)];
      good.socket.on('message', () => good.ack());
      const statuses = [];
      for (let n = 0; n < 101; n += 1) statuses.push((await stage.push(id, 'mina', { body: `word ${n}` })).status);
      assert.ok(
        statuses.every((status) => status === 200 || status === 202),
        `${statuses}`,
      );
      const { code, reason } = await slow.end();
      assert.deepEqual([code, reason], [4408, 'more than 100 events are not acknowledged']);
      assert.equal(slow.frames.length, 101);
      await good.message('word 100');
      assert.equal(good.closed, undefined);

      const back = await listen(stage, token, { after: slow.last });
      back.socket.on('message', () => back.ack());
      await back.message('word 100');
      const { frames } = back;
      assert.deepEqual(frames[0], { type: 'ready', id: slow.last });
      const texts = [...slow.frames, ...frames].flatMap(({ body }) => body ?? []);
      assert.deepEqual(
        texts,
        Array.from({ length: 101 }, (_, n) => `word ${n}`),
      );
      await Promise.all([good.leave(), back.leave()]);
    });

    it('that come back to more than a hundred get them as they acknowledge', async () => {
      const id = await stage.connect();
      const token = sessionOf(stage, id, 'mina');
      for (let n = 0; n < 70; n += 1) await stage.push(id, 'mina', { body: `word ${n}` });
      await until(async () => stage.inbox(id).length === 70, 'all of it in GHL', 30_000);
      const tab = await listen(stage, token, { after: 0 });
      await tab.until((all) => all.length === 101, 'a hundred events');
      await tab.ping();
      assert.equal(tab.frames.length, 101, 'no more than that');
      tab.ack();
      await tab.until((all) => all.length === 141, 'the rest');
      assert.deepEqual(
        tab.frames.flatMap(({ body }) => body ?? []),
        Array.from({ length: 70 }, (_, n) => `word ${n}`),
      );
      await tab.leave();
    });

    it('are sent away when their session ends', async () => {
      const id = await stage.connect();
      const tab = await listen(stage, sessionOf(stage, id, 'mina', { lastsMs: 3_000 }));
      const other = await listen(stage, sessionOf(stage, id, 'mina'));
      assert.deepEqual(await tab.end(), { code: 4401, reason: 'the session has expired' });
      const { body } = await stage.push(id, 'mina', { body: 'goes on' });
      await other.status(body.messageId, 'delivered');
      await other.leave();
    });

    it('are sent away when they say anything but an acknowledgement', async () => {
      const id = await stage.connect();
      for (const frame of ['hello', Buffer.from('{"ack":1}'), 'x'.repeat(100_000)]) {
        const tab = await listen(stage, sessionOf(stage, id, 'mina'));
        tab.socket.send(frame);
        const { code, reason } = await tab.end();
        assert.deepEqual([code, reason], [1008, 'the frames to send are {"ack": id} and ping']);
      }
    });

    it('are sent away when the app is uninstalled, and let in when it is back', async () => {
      const id = await stage.connect();
      const token = sessionOf(stage, id, 'mina');
      const tab = await listen(stage, token);
      ghl.uninstall({ locationId: id });
      assert.deepEqual(await tab.end(), { code: 4403, reason: 'the app was uninstalled' });
      await assert.rejects(listen(stage, token), (/** @type {any} */ { status, problem }) => {
        assert.deepEqual([status, problem.code], [409, 'location_disconnected']);
        return true;
      });
      await ghl.install({ locationId: id, visit: true });
      await (await listen(stage, token)).leave();
    });

    it('are told why they may not listen', async () => {
      const id = await stage.connect();
      const good = sessionOf(stage, id, 'mina');
      const secret = 'another secret of at least 32 bytes';
      for (const [token, options, status, code] of /** @type {const} */ ([
        [good, { origin: 'https://evil.example' }, 403, 'origin_not_allowed'],
        [sessionOf(stage, id, 'mina', { secret }), {}, 401, 'unauthorized'],
        [sessionOf(stage, id, 'mina', { lastsMs: -1_000 }), {}, 401, 'unauthorized'],
        ['', { protocols: ['vcx-ghl.v1'] }, 401, 'unauthorized'],
        ['', { protocols: [`bearer.${await good}`] }, 400, 'invalid_fields'],
        [good, { after: -1 }, 400, 'invalid_fields'],
        [sessionOf(stage, 'not-ours', 'mina'), {}, 404, 'unknown_location'],
      ])) {
        const attempt = listen(stage, token, /** @type {any} */ (options));
        await assert.rejects(attempt, (/** @type {any} */ refused) => {
          assert.deepEqual([refused.status, refused.problem.code], [status, code], JSON.stringify(options));
          assert.equal(refused.headers['content-type'], 'application/problem+json');
          return true;
        });
      }
      const plain = await fetch(`${stage.url}/events`);
      assert.equal(plain.status, 426);
      assert.equal(/** @type {any} */ (await plain.json()).code, 'upgrade_required');
    });

    it('with the longest ids there are hear everything', async () => {
      const id = await stage.connect();
      const [clientId, conversation] = ['💬'.repeat(75), '💬'.repeat(128)];
      const tab = await listen(stage, sessionOf(stage, id, clientId, { conversation }));
      const { body } = await stage.push(id, clientId, { vcxConversationId: conversation, email: null });
      await tab.status(body.messageId, 'delivered');
      tab.ack();
      await tab.ping();
      assert.equal(tab.closed, undefined);
      await tab.leave();
    });

    it('that are a thousand, some deaf and some dead, hold up nobody: vCX gets all its events', async () => {
      const id = await stage.connect();
      const chats = Array.from({ length: 10 }, (_, n) => `visitor-${n}`);
      const contacts = await Promise.all(
        chats.map(async (chat) => (await stage.push(id, chat, { body: `first of ${chat}` })).body.contactId),
      );
      /** @type {Live[]} */
      const tabs = [];
      for (let batch = 0; batch < 20; batch += 1) {
        const fifty = Array.from({ length: 50 }, (_, n) => {
          // One in ten listens where something happens, the others where nothing does.
          const client = n % 10 === 0 ? chats[(n / 10 + batch) % 10] : `idle-${batch}-${n}`;
          return listen(stage, sessionOf(stage, id, client));
        });
        tabs.push(...(await Promise.all(fifty)));
      }
      assert.equal(tabs.length, 1_000);
      const inTraffic = tabs.filter((_, n) => n % 10 === 0);
      // Of those, one in five never reads, one in five is gone without a word, the others are as they should be.
      const deaf = inTraffic.filter((_, n) => n % 5 === 0);
      const dead = inTraffic.filter((_, n) => n % 5 === 1);
      const good = inTraffic.filter((_, n) => n % 5 > 1);
      for (const tab of deaf) tab.socket.pause();
      for (const tab of dead) tab.socket.terminate();

      const long = 'x'.repeat(20_000);
      /** @type {string[]} */
      const said = [];
      const answers = [];
      for (let round = 0; round < 5; round += 1) {
        const pushes = chats.map((chat) => stage.push(id, chat, { body: `${round} ${long}` }));
        for (const contactId of contacts) {
          const { messageId } = await ghl.agentReplies({ contactId, message: `answer ${round}` });
          said.push(messageId);
        }
        answers.push(...(await Promise.all(pushes)));
      }
      for (const { status } of answers) assert.ok([200, 202].includes(status), `${status}`);
      await sandbox.waitFor(() => said.every((each) => vcx.events.some(({ body }) => body.messageId === each)), {
        what: 'every event at vCX',
        timeoutMs: 60_000,
      });
      for (const tab of good) {
        await tab.until((all) => all.filter(({ userId }) => userId).length === 5, 'five answers', 30_000);
        assert.equal(tab.closed, undefined);
        assert.deepEqual(
          tab.frames.filter(({ userId }) => userId).map(({ body }) => body),
          [0, 1, 2, 3, 4].map((round) => `answer ${round}`),
        );
      }
      const idle = tabs.filter((_, n) => n % 10 !== 0);
      for (const tab of idle) assert.deepEqual(words(tab.frames), ['ready']);
      for (const tab of tabs) tab.socket.terminate();
      assert.deepEqual((await stage.health(id)).deadLetters, []);
      assert.deepEqual(
        stage.logs.filter(({ level, event }) => level === 'error' && event !== 'request'),
        [],
      );
    });
  });

  describe('clients where vCX has no backend that takes events', { concurrency: true }, () => {
    it('take an agent’s message by their acknowledgement: pending before, delivered at GHL after', async (t) => {
      const stage = await startStage({ vars: LIVE_ONLY });
      t.after(() => stage.close());
      const { ghl, sandbox } = stage;
      const id = await stage.connect();
      const { body } = await stage.push(id, 'mina');
      const { messageId } = await ghl.agentReplies({ contactId: body.contactId, message: 'Hi' });
      const tab = await listen(stage, sessionOf(stage, id, 'mina'), { after: 0 });
      await tab.message('Hi');
      assert.equal(ghl.state.messages.get(messageId)?.status, 'pending');
      tab.ack();
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', {
        what: 'delivered at GHL',
      });
      await tab.status(messageId, 'delivered');
      await tab.leave();
    });

    it('lose nothing when workerd is killed and comes back', async (t) => {
      const stage = await startStage({ vars: LIVE_ONLY });
      t.after(() => stage.close());
      const { ghl, sandbox } = stage;
      const id = await stage.connect();
      const token = sessionOf(stage, id, 'mina');
      const tab = await listen(stage, token);
      const { body } = await stage.push(id, 'mina', { body: 'before' });
      await tab.status(body.messageId, 'delivered');
      const { messageId } = await ghl.agentReplies({ contactId: body.contactId, message: 'answered' });
      await tab.message('answered');
      const { last } = tab;
      await stage.kill();
      assert.equal((await tab.end()).code, 1006);
      await stage.restart();
      await ghl.agentReplies({ contactId: body.contactId, message: 'after' });
      const back = await listen(stage, token, { after: last });
      await back.message('after');
      assert.deepEqual(words(back.frames), ['ready', 'after']);
      // What was told before the crash can still be acknowledged after it.
      const again = await listen(stage, token, { after: 0 });
      await again.message('after');
      again.ack();
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', {
        what: 'delivered at GHL',
      });
      await Promise.all([back.leave(), again.leave()]);
    });

    it('stay connected while the object sleeps and is constructed anew', async (t) => {
      const stage = await startStage({ vars: LIVE_ONLY, modules: around('watching.js') });
      t.after(() => stage.close());
      const { ghl, sandbox, logs } = stage;
      const id = await stage.connect();
      const { body } = await stage.push(id, 'mina');
      const tab = await listen(stage, sessionOf(stage, id, 'mina'), { after: 0 });
      const { messageId } = await ghl.agentReplies({ contactId: body.contactId, message: 'Hi' });
      await tab.message('Hi');
      const constructed = () => logs.filter(({ event }) => event === 'constructed').length;
      const before = constructed();
      // workerd puts it to sleep after ten seconds in which nothing happens; its alarm wakes it.
      await until(async () => constructed() > before, 'an object that has slept', 60_000);
      await tab.ping();
      tab.ack();
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', {
        what: 'delivered at GHL',
      });
      await tab.status(messageId, 'delivered');
      assert.deepEqual(words(tab.frames).slice(-2), ['Hi', 'delivered']);
      await tab.leave();
    });
  });

  it('a socket that is closed is no more trouble: not one turn about it', async (t) => {
    const stage = await startStage({ modules: around('watching.js') });
    t.after(() => stage.close());
    const id = await stage.connect();
    const token = sessionOf(stage, id, 'mina');
    const turns = () => {
      const inputs = stage.logs.flatMap(({ event, input }) => (event === 'turn' ? input : []));
      return ['heard', 'flush', 'closed'].map((name) => inputs.filter((input) => input === name).length);
    };
    // One that the Worker closes: the platform says so later, and that is no news.
    const rude = await listen(stage, token);
    rude.socket.send('hello');
    await rude.end();
    await stage.push(id, 'mina', { body: 'nobody there' });
    assert.deepEqual(turns(), [1, 0, 0]);
    // One that goes by itself, and one that is cut off.
    const [polite, cut] = [await listen(stage, token), await listen(stage, token)];
    await polite.leave();
    cut.socket.terminate();
    await until(async () => turns()[2] === 2, 'both to be gone');
    await stage.push(id, 'mina', { body: 'nobody there either' });
    assert.deepEqual(turns(), [1, 0, 2]);
  });

  it('what throws concerns nobody else: a socket its own chat and other sockets, an object the Worker', async (t) => {
    const stage = await startStage({ modules: around('throwing.js') });
    t.after(() => stage.close());
    const { ghl, logs } = stage;
    const id = await stage.connect();
    const conversation = 'throw.chat';
    const bad = await listen(stage, sessionOf(stage, id, 'mina', { conversation }));
    const good = await listen(stage, sessionOf(stage, id, 'paul'));
    const { status, body } = await stage.push(id, 'mina', { vcxConversationId: conversation });
    assert.equal(status, 200);
    const { messageId } = await ghl.agentReplies({ contactId: body.contactId, message: 'Hi' });
    await stage.event((event) => event.messageId === messageId);
    const { body: other } = await stage.push(id, 'paul', { body: 'Hello' });
    await good.status(other.messageId, 'delivered');
    await bad.ping();
    assert.deepEqual(words(bad.frames), ['ready']);
    const threw = logs.filter(({ event }) => event === 'socket_broken');
    assert.ok(threw.length > 0 && threw.every(({ message }) => message === 'TypeError: the socket throws'));
    assert.deepEqual(
      logs.filter(({ level }) => level === 'error'),
      [],
    );
    await Promise.all([bad.leave(), good.leave()]);

    const down = listen(stage, sessionOf(stage, id, 'mina', { conversation: 'down.chat' }));
    await assert.rejects(down, (/** @type {any} */ { status, problem }) => {
      assert.deepEqual([status, problem.code], [503, 'unavailable']);
      return true;
    });
  });

  describe('the code traps over a socket', async () => {
    const stage = await startStage({ modules: trapping });
    after(() => stage.close());

    for (const input of ['flush', 'heard']) {
      it(`(${input}): that one is closed, and the rest goes on`, async () => {
        const id = await stage.connect();
        const conversation = `trap.${input}.1.x`;
        const token = sessionOf(stage, id, 'mina', { conversation });
        const [first, second] = [await listen(stage, token), await listen(stage, token)];
        const pushed = stage.push(id, 'mina', { vcxConversationId: conversation, body: 'Hello' });
        if (input === 'heard') {
          await first.message('Hello');
          first.ack();
        }
        const { code } = await Promise.race([first, second].map((tab) => tab.end()));
        assert.equal(code, 1011);
        const { status, body } = await pushed;
        assert.equal(status, 200);
        const left = first.closed ? second : first;
        await left.status(body.messageId, 'delivered');
        assert.equal(left.closed, undefined);
        const back = await listen(stage, token, { after: 0 });
        await back.status(body.messageId, 'delivered');
        assert.deepEqual(words(back.frames), ['ready', 'Hello', 'delivered']);
        await Promise.all([left.leave(), back.leave()]);
      });
    }
  });
});

/** A module of these tests around the build. @param {string} name @returns {ModuleDefinition[]} */
function around(name) {
  const path = join(import.meta.dirname, '../../dist', name);
  return [{ type: 'ESModule', path, contents: readFileSync(new URL(name, import.meta.url), 'utf8') }];
}

/** What the visitor says: in order, once, and with a state that is true. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openScene, record, settle } from './scene.js';

const SENT = { status: 'sent', messageId: 'm' };
const QUEUED = { status: 'queued', messageId: 'm' };

describe('a message', () => {
  it('goes from sending over sent and delivered to read', async (t) => {
    const scene = await openScene(t);
    const states = record(scene.client, 'status');
    await scene.socket.ready(10);
    const message = scene.client.send('Hello', { attachments: ['https://files.example/a.png'] });
    const { messageId, timestamp } = message;
    assert.equal(message.status, 'sending');
    assert.match(messageId, /^[\da-f]{8}-/);
    await settle();
    const { route, token, body } = scene.call;
    assert.deepEqual([route, token], ['/push-message', 'session-1']);
    assert.deepEqual(body, { messageId, body: 'Hello', attachments: ['https://files.example/a.png'], timestamp });
    await scene.call.answer(202, QUEUED);
    assert.equal(message.status, 'sent');
    await scene.socket.hear({ type: 'message.status', id: 11, messageId, status: 'delivered' });
    assert.equal(message.status, 'delivered');
    await scene.socket.hear({ type: 'conversation.updated', id: 12, unreadCount: 1, timestamp: 1 });
    assert.equal(message.status, 'delivered');
    await scene.socket.hear({ type: 'conversation.updated', id: 13, unreadCount: 0, timestamp: 1 });
    assert.equal(message.status, 'read');
    assert.deepEqual(
      states.map(({ messageId: id, status }) => [id === messageId, status]),
      ['sending', 'sent', 'delivered', 'read'].map((status) => [true, status]),
    );
  });

  it('is not read by what happened before it: a stream that starts over tells of that later', async (t) => {
    const scene = await openScene(t, { after: 0 });
    const message = scene.client.send('Hello');
    const { messageId } = message;
    await settle();
    await scene.call.answer(200, SENT);
    assert.equal(message.status, 'delivered');
    await scene.socket.ready(13);
    const read = { type: 'conversation.updated', unreadCount: 0, timestamp: 1 };
    await scene.socket.hear({ ...read, id: 10 });
    assert.equal(message.status, 'delivered');
    await scene.socket.hear({
      type: 'message.created',
      id: 11,
      messageId,
      fromUser: true,
      body: 'Hello',
      attachments: [],
    });
    await scene.socket.hear({ ...read, id: 12 });
    assert.equal(message.status, 'delivered', 'GHL did not have it yet');
    await scene.socket.hear({ type: 'message.status', id: 13, messageId, status: 'delivered' });
    await scene.socket.hear({ ...read, id: 14 });
    assert.equal(message.status, 'read');
  });

  it('is delivered at once when GHL has it at once', async (t) => {
    const scene = await openScene(t);
    const message = scene.client.send('Hello');
    await settle();
    await scene.call.answer(200, SENT);
    assert.equal(message.status, 'delivered');
  });

  it('never goes back: the stream may be faster than the answer', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    const states = record(scene.client, 'status');
    const { messageId } = scene.client.send('Hello');
    await settle();
    await scene.socket.hear({ type: 'message.status', id: 11, messageId, status: 'delivered' });
    await scene.call.answer(202, QUEUED);
    assert.deepEqual(
      states.map(({ status }) => status),
      ['sending', 'delivered'],
    );
  });

  it('that GHL refuses later has failed, with the reason', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    const message = scene.client.send('Hello');
    await settle();
    await scene.call.answer(202, QUEUED);
    const { messageId } = message;
    await scene.socket.hear({
      type: 'message.status',
      id: 11,
      messageId,
      status: 'failed',
      code: 'refused',
      reason: 'No',
    });
    assert.deepEqual([message.status, message.code, message.reason], ['failed', 'refused', 'No']);
  });

  it('that had failed is delivered when an admin has had it sent again', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    const message = scene.client.send('Hello');
    await settle();
    await scene.call.answer(422, { code: 'rejected', detail: 'No' });
    const { messageId } = message;
    await scene.socket.hear({ type: 'message.status', id: 11, messageId, status: 'delivered' });
    assert.deepEqual([message.status, message.code, message.reason], ['delivered', undefined, undefined]);
  });

  it('has the application’s id where it gives one, and the same again is the same message', async (t) => {
    const scene = await openScene(t);
    const message = scene.client.send('Hello', { messageId: 'm-1' });
    assert.equal(scene.client.send('Hello', { messageId: 'm-1' }), message);
    await settle();
    await scene.call.answer(200, SENT);
    assert.equal(scene.client.send('Hello', { messageId: 'm-1' }), message);
    await settle();
    assert.deepEqual(
      scene.calls.map(({ body }) => body.messageId),
      ['m-1'],
    );
  });

  it('that has failed can be tried again under its id', async (t) => {
    const scene = await openScene(t);
    const message = scene.client.send('Hello', { messageId: 'm-1' });
    await settle();
    await scene.call.answer(409, { code: 'location_disconnected', detail: 'uninstalled' });
    assert.equal(message.status, 'failed');
    assert.equal(scene.client.send('Hello', { messageId: 'm-1' }), message);
    assert.deepEqual([message.status, message.reason], ['sending', undefined]);
    await settle();
    assert.deepEqual(scene.calls[0].body, scene.calls[1].body);
    await scene.call.answer(200, SENT);
    assert.equal(message.status, 'delivered');
  });
});

describe('the queue', () => {
  it('sends one after the other, and never two at once', async (t) => {
    const scene = await openScene(t);
    for (const body of ['one', 'two', 'three']) scene.client.send(body);
    await settle();
    const said = () => scene.calls.map(({ body }) => body.body);
    assert.deepEqual(said(), ['one']);
    await scene.call.answer(202, QUEUED);
    assert.deepEqual(said(), ['one', 'two']);
    await scene.call.answer(200, SENT);
    assert.deepEqual(said(), ['one', 'two', 'three']);
    const times = scene.calls.map(({ body }) => body.timestamp);
    assert.deepEqual(times, [times[0], times[0] + 1, times[0] + 2], 'in one millisecond, and in order all the same');
  });

  it('waits out a network that is gone, and repeats under the same id', async (t) => {
    const scene = await openScene(t);
    const [first, second] = [scene.client.send('one'), scene.client.send('two')];
    await settle();
    for (const tries of [1, 2, 3]) {
      await scene.call.drop();
      await scene.pass(LONGEST_PAUSE);
      assert.equal(scene.calls.length, tries + 1);
    }
    assert.equal(new Set(scene.calls.map(({ body }) => body.messageId)).size, 1);
    assert.equal(first.status, 'sending');
    await scene.call.answer(200, SENT);
    await scene.call.answer(200, SENT);
    assert.deepEqual([first.status, second.status], ['delivered', 'delivered']);
  });

  it('pauses longer and longer', async (t) => {
    const scene = await openScene(t);
    scene.client.send('Hello');
    await settle();
    // Half of 1, 2, 4, 8, 16 s, then of 30 s.
    for (const pause of [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
      await scene.call.drop();
      const before = scene.calls.length;
      await scene.pass(pause - 1);
      assert.equal(scene.calls.length, before, `sooner than ${pause} ms`);
      await scene.pass(1);
      assert.equal(scene.calls.length, before + 1, `not after ${pause} ms`);
    }
  });

  it('pauses shortly again after it has gone on', async (t) => {
    const scene = await openScene(t);
    for (const body of ['one', 'two']) scene.client.send(body);
    await settle();
    for (let tries = 0; tries < 6; tries++) {
      await scene.call.drop();
      await scene.pass(LONGEST_PAUSE);
    }
    await scene.call.answer(200, SENT);
    const { length } = scene.calls;
    await scene.call.drop();
    await scene.pass(500);
    assert.equal(scene.calls.length, length + 1);
  });

  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    it(`repeats after ${status}, and not before Retry-After`, async (t) => {
      const scene = await openScene(t);
      const message = scene.client.send('Hello');
      await settle();
      await scene.call.answer(status, { code: 'unavailable', detail: 'Not now' }, { 'retry-after': '7' });
      assert.equal(message.status, 'sending');
      await scene.pass(6_999);
      assert.equal(scene.calls.length, 1);
      await scene.pass(1 + LONGEST_PAUSE);
      assert.equal(scene.calls.length, 2);
    });
  }

  for (const status of [400, 403, 404, 409, 413, 422]) {
    it(`gives a message up after ${status}, says why, and goes on`, async (t) => {
      const scene = await openScene(t);
      const [refused, next] = [scene.client.send('one'), scene.client.send('two')];
      const states = record(scene.client, 'status');
      await settle();
      await scene.call.answer(status, { code: 'some_code', detail: 'This is why' });
      assert.deepEqual([refused.status, refused.code, refused.reason], ['failed', 'some_code', 'This is why']);
      const { messageId } = refused;
      assert.deepEqual(states.at(-1), {
        type: 'status',
        messageId,
        status: 'failed',
        code: 'some_code',
        reason: 'This is why',
      });
      await scene.call.answer(200, SENT);
      assert.deepEqual([scene.calls.length, next.status], [2, 'delivered']);
    });
  }

  it('does not take somebody else’s 200 for the Worker’s', async (t) => {
    const scene = await openScene(t);
    t.mock.method(globalThis, 'fetch', async () => new Response('<h1>Hotel network</h1>'), { times: 1 });
    const message = scene.client.send('Hello');
    await settle();
    assert.equal(message.status, 'sending');
    await scene.pass(LONGEST_PAUSE);
    await scene.call.answer(200, SENT);
    assert.equal(message.status, 'delivered');
  });

  it('gives up a call that is never answered, and repeats it', async (t) => {
    const scene = await openScene(t);
    scene.client.send('Hello');
    await settle();
    await scene.pass(30_000);
    await scene.pass(LONGEST_PAUSE);
    assert.equal(scene.calls.length, 2);
  });

  it('goes on at once when a connection shows that there is a network', async (t) => {
    const scene = await openScene(t);
    scene.client.send('Hello');
    await settle();
    for (let tries = 0; tries < 6; tries++) {
      await scene.call.drop();
      await scene.pass(LONGEST_PAUSE);
    }
    await scene.call.drop();
    const { length } = scene.calls;
    await scene.socket.ready(10);
    assert.equal(scene.calls.length, length + 1);
  });

  it('but not while the Worker has asked to wait', async (t) => {
    const scene = await openScene(t);
    scene.client.send('Hello');
    await settle();
    await scene.call.answer(429, {}, { 'retry-after': '60' });
    await scene.socket.ready(10);
    assert.equal(scene.calls.length, 1);
  });
});

describe('a session', () => {
  it('that is refused is replaced, once, and the message goes out', async (t) => {
    const scene = await openScene(t);
    const message = scene.client.send('Hello');
    await settle();
    await scene.call.answer(401, { code: 'unauthorized', detail: 'the session has expired' });
    assert.deepEqual(
      scene.calls.map(({ token }) => token),
      ['session-1', 'session-2'],
    );
    await scene.call.answer(200, SENT);
    assert.equal(message.status, 'delivered');
    scene.client.send('Next');
    await settle();
    assert.equal(scene.call.token, 'session-2');
  });

  it('that is refused again and again is asked for with growing pauses', async (t) => {
    const scene = await openScene(t);
    scene.client.send('Hello');
    await settle();
    await scene.call.answer(401);
    await scene.call.answer(401);
    assert.equal(scene.calls.length, 2, 'no third time at once');
    await scene.pass(500);
    assert.equal(scene.calls.length, 3);
  });

  it('that the function cannot get is asked for again', async (t) => {
    let down = true;
    const session = () => {
      if (down) throw new Error('our backend is down');
      return 'session';
    };
    const scene = await openScene(t, { session });
    const message = scene.client.send('Hello');
    await settle();
    assert.deepEqual(scene.client.connection, {
      type: 'connection',
      state: 'connecting',
      code: undefined,
      reason: 'session(): our backend is down',
    });
    down = false;
    await scene.pass(LONGEST_PAUSE);
    await scene.call.answer(200, SENT);
    assert.equal(message.status, 'delivered');
    await scene.socket.ready(1);
    assert.equal(scene.client.connection.state, 'open');
  });

  it('that the function does not give is asked for again', async (t) => {
    /** @type {any[]} */
    const given = [undefined, { token: 'an object' }, 'a session'];
    const scene = await openScene(t, { session: () => given.shift() });
    assert.equal(scene.client.connection.reason, 'session(): it gave no string');
    await scene.pass(LONGEST_PAUSE);
    await scene.pass(LONGEST_PAUSE);
    assert.equal(scene.socket.protocols[1], 'bearer.a session');
    assert.equal(scene.sockets.length, 1);
  });

  it('is asked for once by all who need one at the same time', async (t) => {
    let asked = 0;
    /** @type {(session: string) => void} */
    let give = () => {};
    const session = () => {
      asked += 1;
      return new Promise((/** @type {(session: string) => void} */ resolve) => {
        give = resolve;
      });
    };
    const scene = await openScene(t, { session });
    scene.client.send('Hello');
    await settle();
    give('the session');
    await settle();
    assert.deepEqual([asked, scene.call.token, scene.socket.protocols[1]], [1, 'the session', 'bearer.the session']);
  });

  it('that is a text and refused cannot be replaced: the message has failed', async (t) => {
    const scene = await openScene(t, { session: 'fixed' });
    const message = scene.client.send('Hello');
    await settle();
    await scene.call.answer(401, { code: 'unauthorized', detail: 'the session has expired' });
    assert.equal(scene.calls.length, 1);
    assert.deepEqual([message.status, message.reason], ['failed', 'the session has expired']);
  });
});

describe('markRead', () => {
  it('tells the Worker, after what was said before it', async (t) => {
    const scene = await openScene(t);
    scene.client.send('Hello');
    const done = scene.client.markRead('agent-1');
    await settle();
    await scene.call.answer(200, SENT);
    const { route, body } = scene.call;
    assert.deepEqual([route, body], ['/message-status', { messageId: 'agent-1', status: 'read' }]);
    await scene.call.answer(200, { messageId: 'agent-1', status: 'read' });
    assert.equal(await done, undefined);
  });

  it('rejects when it is refused, and nobody has to catch that', async (t) => {
    const scene = await openScene(t);
    const done = scene.client.markRead('nonsense');
    await settle();
    await scene.call.answer(404, { code: 'unknown_message', detail: 'message nonsense never went to vCX from here' });
    await assert.rejects(done, { code: 'unknown_message', status: 404, retryable: false });
  });
});

describe('close', () => {
  it('fails what is still being sent, and says so before the iteration ends', async (t) => {
    const scene = await openScene(t);
    const messages = [scene.client.send('one'), scene.client.send('two')];
    await settle();
    /** @type {any[]} */
    const events = [];
    const iteration = (async () => {
      for await (const event of scene.client) events.push(event);
    })();
    await settle();
    scene.client.close();
    await scene.pass(1);
    await iteration;
    assert.deepEqual(
      messages.map(({ status, code }) => [status, code]),
      [
        ['failed', 'client_closed'],
        ['failed', 'client_closed'],
      ],
    );
    assert.deepEqual(
      events.map(({ type, ...event }) => [type, event.state ?? event.status]),
      [
        ['connection', 'closed'],
        ['status', 'failed'],
        ['status', 'failed'],
      ],
    );
    assert.throws(() => scene.client.send('three'), { code: 'client_closed' });
    await scene.pass(10 * LONGEST_PAUSE);
    assert.equal(scene.calls.length, 1, 'nothing is sent afterwards');
    assert.equal(scene.sockets.length, 1, 'nor connected');
  });
});

const LONGEST_PAUSE = 45_000;

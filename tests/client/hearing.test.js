/** What the visitor hears: everything, once, in order; and what the Worker is told about it. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { agentSaid, openScene, record, settle } from './scene.js';

describe('a connection', () => {
  it('speaks vcx-ghl.v1, with a session of its own, from now on', async (t) => {
    const scene = await openScene(t);
    const { url, protocols } = scene.socket;
    assert.equal(url, 'wss://sync.example/events');
    assert.deepEqual(protocols, ['vcx-ghl.v1', 'bearer.session-1']);
  });

  it('begins after a given event', async (t) => {
    const scene = await openScene(t, { after: 0 });
    assert.equal(scene.socket.url, 'wss://sync.example/events?after=0');
  });

  it('tells how it is: connecting, open, connecting, open, closed', async (t) => {
    const scene = await openScene(t);
    assert.equal(scene.client.connection.state, 'connecting');
    const heard = record(scene.client, 'connection');
    await scene.socket.ready(10);
    await scene.socket.drop(1012, 'restart');
    await scene.pass(PAUSE);
    await scene.socket.ready(10);
    scene.client.close();
    assert.deepEqual(
      heard.map(({ state, code, reason }) => [state, code, reason]),
      [
        ['open', undefined, undefined],
        ['connecting', 1012, 'restart'],
        ['open', undefined, undefined],
        ['closed', 1000, undefined],
      ],
    );
    assert.equal(scene.client.connection, heard[3]);
  });

  it('that breaks is sought again with growing pauses, a fresh session each', async (t) => {
    const scene = await openScene(t);
    // 1 s, then 1.7 times as long each, 30 s at most.
    for (const pause of [1_000, 1_700, 2_890, 4_913, 8_352, 14_198, 24_137, 30_000, 30_000]) {
      const { length } = scene.sockets;
      await scene.socket.refuse();
      await scene.pass(pause - 10);
      assert.equal(scene.sockets.length, length, `sooner than ${pause} ms`);
      await scene.pass(20);
      assert.equal(scene.sockets.length, length + 1, `not after ${pause} ms`);
    }
    assert.equal(scene.socket.protocols[1], `bearer.session-${scene.sockets.length}`);
  });

  it('is not sought again by all clients at the same time', async (t) => {
    const scene = await openScene(t);
    for (const [chance, pause] of [
      [0, 500],
      [0.9, 1_400],
    ]) {
      await scene.socket.ready(10);
      await scene.pass(6_000);
      t.mock.method(Math, 'random', () => chance);
      const { length } = scene.sockets;
      await scene.socket.drop();
      await scene.pass(pause - 1);
      assert.equal(scene.sockets.length, length, `sooner than ${pause} ms`);
      await scene.pass(1);
      assert.equal(scene.sockets.length, length + 1, `not after ${pause} ms`);
    }
  });

  it('goes on after the last event that came', async (t) => {
    const scene = await openScene(t);
    record(scene.client, 'message');
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11), agentSaid(12));
    await scene.socket.drop();
    await scene.pass(PAUSE);
    assert.equal(scene.socket.url, 'wss://sync.example/events?after=12');
  });

  it('goes on from where it began if nothing came', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    await scene.socket.drop();
    await scene.pass(PAUSE);
    assert.equal(scene.socket.url, 'wss://sync.example/events?after=10');
  });

  it('is asked every 30 s whether it is alive, and replaced when it does not say so', async (t) => {
    const scene = await openScene(t);
    const first = scene.socket;
    await first.ready(10);
    assert.deepEqual(first.sent, ['ping'], 'at the beginning, too');
    await scene.pass(4_000);
    await first.hear('pong');
    await scene.pass(29_999);
    assert.deepEqual(first.sent, ['ping']);
    await scene.pass(1);
    assert.deepEqual(first.sent, ['ping', 'ping']);
    assert.equal(scene.sockets.length, 1);
    await scene.pass(5_000);
    await scene.pass(1);
    assert.equal(scene.sockets.length, 2);
    assert.equal(first.readyState, 3);
    assert.equal(scene.client.connection.state, 'connecting');
  });

  it('whose session has expired is made anew at once', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    await scene.pass(6_000);
    await scene.socket.drop(4401, 'the session has expired');
    await scene.pass(1);
    assert.equal(scene.sockets.length, 2);
    assert.equal(scene.socket.protocols[1], 'bearer.session-2');
  });

  it('but not at once again if that one is over at once, too', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    await scene.socket.drop(4401, 'the session has expired');
    await scene.pass(400);
    assert.equal(scene.sockets.length, 1);
    await scene.pass(PAUSE);
    assert.equal(scene.sockets.length, 2);
  });

  for (const [what, code, options] of /** @type {const} */ ([
    ['that is forbidden', 4403, {}],
    ['whose session has expired and cannot be another', 4401, { session: 'fixed' }],
  ])) {
    it(`${what} is not sought again, and why is told`, async (t) => {
      const scene = await openScene(t, options);
      await scene.socket.ready(10);
      await scene.pass(6_000);
      await scene.socket.drop(code, 'This is why');
      await scene.pass(60_000);
      assert.equal(scene.sockets.length, 1);
      assert.deepEqual(scene.client.connection, { type: 'connection', state: 'closed', code, reason: 'This is why' });
    });
  }

  it('needs a WebSocket', () => {
    const { WebSocket } = globalThis;
    // @ts-expect-error what Node 20 is like
    delete globalThis.WebSocket;
    const options = { url: 'https://sync.example', session: 'x' };
    return import('../../js/client.js').then(({ connect }) => {
      try {
        assert.throws(() => connect(options), { code: 'no_websocket' });
      } finally {
        if (WebSocket) globalThis.WebSocket = WebSocket;
      }
    });
  });
});

describe('an event', () => {
  it('is told once, however often it comes', async (t) => {
    const scene = await openScene(t);
    const heard = record(scene.client, 'message');
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11), agentSaid(12), agentSaid(12), agentSaid(11));
    await scene.socket.hear(agentSaid(13, { messageId: 'agent-12' }), agentSaid(14));
    assert.deepEqual(
      heard.map(({ id }) => id),
      [11, 12, 14],
    );
    assert.deepEqual(heard[0], { ...agentSaid(11), type: 'message' });
  });

  it('is told once, though nothing but its id shows that it came before', async (t) => {
    const scene = await openScene(t);
    const heard = record(scene.client, 'conversation', 'status');
    await scene.socket.ready(10);
    const [update, status] = [
      { type: 'conversation.updated', id: 11, unreadCount: 3, timestamp: 1 },
      { type: 'message.status', id: 12, messageId: 'agent-1', status: 'delivered' },
    ];
    await scene.socket.hear(update, status, update, status);
    assert.deepEqual(
      heard.map(({ type }) => type),
      ['conversation', 'status'],
    );
    await scene.socket.drop();
    await scene.pass(PAUSE);
    assert.equal(scene.socket.url, 'wss://sync.example/events?after=12', 'and the stream does not go back');
  });

  it('of this tab’s own message is no message, and one of another tab’s is', async (t) => {
    const scene = await openScene(t);
    const heard = record(scene.client, 'message', 'status');
    await scene.socket.ready(10);
    const { messageId } = scene.client.send('Mine');
    await settle();
    await scene.socket.hear(agentSaid(11, { messageId, fromUser: true, body: 'Mine' }));
    await scene.socket.hear(agentSaid(12, { messageId: 'theirs', fromUser: true, body: 'Theirs' }));
    await scene.socket.hear({ type: 'message.status', id: 13, messageId: 'theirs', status: 'delivered' });
    await scene.socket.hear({ type: 'conversation.updated', id: 14, unreadCount: 0, timestamp: 1 });
    assert.deepEqual(
      heard.map(({ type, messageId: id, status }) => [type, id, status]),
      [
        ['status', messageId, 'sending'],
        ['status', messageId, 'sent'],
        ['message', 'theirs', undefined],
        ['status', 'theirs', 'delivered'],
        ['status', 'theirs', 'read'],
      ],
    );
  });

  it('of a kind that is not known yet is passed over', async (t) => {
    const scene = await openScene(t);
    const heard = record(scene.client, 'message');
    await scene.socket.ready(10);
    await scene.socket.hear({ type: 'typing', id: 11 }, { type: 'notice' }, agentSaid(12));
    assert.deepEqual(
      heard.map(({ id }) => id),
      [12],
    );
    await scene.socket.drop();
    await scene.pass(PAUSE);
    assert.equal(scene.socket.url, 'wss://sync.example/events?after=12');
  });

  it('that came before anybody listens waits for the first who does', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11), agentSaid(12));
    const heard = record(scene.client, 'message');
    assert.deepEqual(heard, [], 'not within on() itself');
    await settle();
    await scene.socket.hear(agentSaid(13));
    assert.deepEqual(
      heard.map(({ id }) => id),
      [11, 12, 13],
    );
  });

  it('reaches all listeners, even when one of them throws', async (t) => {
    const scene = await openScene(t);
    /** @type {unknown[]} */
    const thrown = [];
    t.mock.method(globalThis, 'queueMicrotask', (/** @type {() => void} */ task) => {
      Promise.resolve()
        .then(task)
        .catch((error) => thrown.push(error.message));
    });
    scene.client.on('message', () => {
      throw new Error('a mistake of the application');
    });
    const heard = record(scene.client, 'message');
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11));
    assert.equal(heard.length, 1);
    assert.deepEqual(thrown, ['a mistake of the application']);
  });

  it('is no longer told to whoever has stopped listening', async (t) => {
    const scene = await openScene(t);
    /** @type {number[]} */
    const heard = [];
    const stop = scene.client.on('message', ({ id }) => heard.push(id));
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11));
    stop();
    await scene.socket.hear(agentSaid(12));
    assert.deepEqual(heard, [11]);
    scene.client.on('message', ({ id }) => heard.push(id));
    await settle();
    assert.deepEqual(heard, [11, 12], 'it has waited');
  });
});

describe('an iteration', () => {
  it('gives all events in order, to each its own', async (t) => {
    const scene = await openScene(t);
    const [first, second] = [scene.client[Symbol.asyncIterator](), scene.client[Symbol.asyncIterator]()];
    const pending = [first.next(), second.next()];
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11), agentSaid(12));
    for (const [index, iterator] of [first, second].entries()) {
      const events = [await pending[index], await iterator.next(), await iterator.next()];
      assert.deepEqual(
        events.map(({ value, done }) => [done, value && 'id' in value ? value.id : value?.type]),
        [
          [false, 'connection'],
          [false, 11],
          [false, 12],
        ],
      );
    }
  });

  it('that was broken off goes on with the next, without a gap', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11), agentSaid(12), agentSaid(13));
    const heard = [];
    for await (const event of scene.client) {
      if (event.type === 'message') heard.push(event.id);
      if (heard.length === 2) break;
    }
    await scene.socket.hear(agentSaid(14));
    for await (const event of scene.client) {
      if (event.type === 'message') heard.push(event.id);
      if (heard.length === 4) break;
    }
    assert.deepEqual(heard, [11, 12, 13, 14]);
  });

  it('of a client that is closed has an end', async (t) => {
    const scene = await openScene(t);
    const next = scene.client[Symbol.asyncIterator]().next();
    scene.client.close();
    assert.equal((await next).value?.type, 'connection');
    await scene.pass(1);
    for await (const event of scene.client) assert.fail(event.type);
  });
});

describe('a reset', () => {
  it('is told, and what the Worker has kept comes again, own messages too', async (t) => {
    const scene = await openScene(t);
    const heard = record(scene.client, 'message', 'reset');
    await scene.socket.ready(100);
    const sent = scene.client.send('sent');
    await settle();
    await scene.call.answer(202, { status: 'queued', messageId: sent.messageId });
    const sending = scene.client.send('sending');
    await scene.socket.hear(agentSaid(101));
    await scene.socket.drop();
    await scene.pass(PAUSE);
    assert.equal(scene.socket.url, 'wss://sync.example/events?after=101');
    await scene.socket.ready(50, 'reset');
    await scene.socket.hear(
      agentSaid(51, { messageId: sent.messageId, fromUser: true, body: 'sent' }),
      agentSaid(52, { messageId: 'agent-101' }),
      agentSaid(53, { messageId: sending.messageId, fromUser: true, body: 'sending' }),
    );
    assert.deepEqual(
      heard.map(({ type, id }) => [type, id]),
      [
        ['message', 101],
        ['reset', 50],
        ['message', 51],
        ['message', 52],
      ],
    );
    assert.equal(sending.status, 'sent', 'it is shown, so it is not shown again');
    await scene.socket.drop();
    await scene.pass(PAUSE);
    assert.equal(scene.socket.url, 'wss://sync.example/events?after=53');
  });

  it('that nobody has heard yet waits, too', async (t) => {
    const scene = await openScene(t, { after: 5 });
    await scene.socket.ready(50, 'reset');
    await scene.socket.hear(agentSaid(51));
    const heard = record(scene.client, 'reset', 'message');
    await settle();
    assert.deepEqual(
      heard.map(({ type, id }) => [type, id]),
      [
        ['reset', 50],
        ['message', 51],
      ],
    );
  });
});

describe('an acknowledgement', () => {
  it('is sent soon after the events are told, one for all', async (t) => {
    const scene = await openScene(t);
    record(scene.client, 'message');
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11), agentSaid(12), agentSaid(13));
    assert.deepEqual(scene.socket.acks, []);
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [13]);
    await scene.pass(1_000);
    assert.deepEqual(scene.socket.acks, [13], 'and none without events');
  });

  it('is sent at once after fifty', async (t) => {
    const scene = await openScene(t);
    record(scene.client, 'message');
    await scene.socket.ready(10);
    await scene.socket.hear(...Array.from({ length: 120 }, (_, n) => agentSaid(11 + n)));
    assert.deepEqual(scene.socket.acks, [60, 110]);
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [60, 110, 130]);
  });

  it('is not sent for what nobody has heard', async (t) => {
    const scene = await openScene(t);
    record(scene.client, 'status', 'connection');
    await scene.socket.ready(10);
    await scene.socket.hear({ type: 'message.status', id: 11, messageId: 'm', status: 'delivered' });
    await scene.socket.hear(agentSaid(12), agentSaid(13));
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [11]);
    record(scene.client, 'message');
    await settle();
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [11, 13]);
  });

  it('follows the slowest iteration', async (t) => {
    const scene = await openScene(t);
    const [fast, slow] = [scene.client[Symbol.asyncIterator](), scene.client[Symbol.asyncIterator]()];
    const connections = [fast.next(), slow.next()];
    await scene.socket.ready(10);
    await Promise.all(connections);
    await scene.socket.hear(agentSaid(11), agentSaid(12), agentSaid(13));
    await fast.next();
    await fast.next();
    await fast.next();
    await slow.next();
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [11]);
    await slow.next();
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [11, 12]);
    await slow.return();
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [11, 12, 13]);
  });

  it('that may have been lost with its connection is repeated on the next', async (t) => {
    const scene = await openScene(t);
    record(scene.client, 'message');
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11));
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [11]);
    await scene.socket.drop();
    await scene.pass(PAUSE);
    await scene.socket.ready(11);
    await scene.pass(50);
    assert.deepEqual(scene.socket.acks, [11]);
  });

  it('is sent for what was told before the end', async (t) => {
    const scene = await openScene(t);
    record(scene.client, 'message');
    await scene.socket.ready(10);
    await scene.socket.hear(agentSaid(11));
    scene.client.close();
    assert.deepEqual(scene.socket.acks, [11]);
  });
});

describe('an application that is slow', () => {
  it('has no more than a window of events before it: the next connection waits', async (t) => {
    const scene = await openScene(t);
    const iterator = scene.client[Symbol.asyncIterator]();
    const connection = iterator.next();
    await scene.socket.ready(10);
    await connection;
    await scene.socket.hear(...Array.from({ length: 100 }, (_, n) => agentSaid(11 + n)));
    await scene.socket.drop(4408, 'more than 100 events are not acknowledged');
    await scene.pass(60_000);
    assert.equal(scene.sockets.length, 1, 'there is no room for more');
    // The change of the connection is an event, too.
    for (let taken = 0; taken < 52; taken++) await iterator.next();
    await settle();
    assert.equal(scene.sockets.length, 2);
    assert.equal(scene.socket.url, 'wss://sync.example/events?after=110');
  });
});

const PAUSE = 5_000;

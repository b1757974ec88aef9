/** The backend's client: each route as the Worker takes it, repeats where they are safe and are asked for, errors that say all. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createClient, VcxGhlError } from '../../js/npm/index.js';
import { settle } from './scene.js';

/** @typedef {[status: number, body?: unknown, headers?: Record<string, string>] | Error} Reply */

describe('each route', () => {
  const push = { locationId: 'l', clientId: 'c', vcxConversationId: 'v', fromUser: true, body: 'Hi', timestamp: 1 };
  const contact = { locationId: 'l', clientId: 'c', email: 'mina@example.com' };
  const status = { locationId: 'l', messageId: 'm', status: /** @type {const} */ ('read') };
  /** @type {[string, (client: ReturnType<typeof createClient>) => Promise<unknown>, unknown][]} */
  const routes = [
    ['POST /push-message', (client) => client.pushMessage(push), push],
    ['POST /contact', (client) => client.upsertContact(contact), contact],
    ['POST /message-status', (client) => client.setMessageStatus(status), status],
    ['GET /locations/l%2F1', (client) => client.location('l/1'), undefined],
    ['POST /locations/l/replay', (client) => client.replay('l', [3, 4]), { ids: [3, 4] }],
    ['POST /locations/l/replay', (client) => client.replay('l'), undefined],
  ];
  for (const [route, use, body] of routes) {
    it(`is asked with the key: ${route}`, async (t) => {
      const { client, calls } = open(t, [[200, { some: 'answer' }]]);
      assert.deepEqual(await use(client), { some: 'answer' });
      assert.deepEqual(calls, [{ route, body, key: 'Bearer the-key' }]);
    });
  }

  it('is asked page by page: GET /locations', async (t) => {
    const [first, second, third] = ['a', 'b', 'c'].map((locationId) => ({ locationId }));
    const { client, calls } = open(t, [
      [200, { locations: [first, second], cursor: 'next&page' }],
      [200, { locations: [third], cursor: null }],
    ]);
    const seen = [];
    for await (const { locationId } of client.locations()) seen.push(locationId);
    assert.deepEqual(seen, ['a', 'b', 'c']);
    assert.deepEqual(
      calls.map(({ route }) => route),
      ['GET /locations', 'GET /locations?cursor=next%26page'],
    );
  });

  it('is asked whether it is up: GET /health, where 503 is an answer', async (t) => {
    const answer = {
      status: 'not_configured',
      version: '1',
      missing: ['SEAL_KEYS'],
      problems: ['SEAL_KEYS is missing'],
    };
    const { client, calls } = open(t, [[503, answer], [502], new TypeError('fetch failed')]);
    assert.deepEqual(await client.health(), answer);
    await assert.rejects(client.health(), { code: 'unreachable' });
    await assert.rejects(client.health(), { name: 'VcxGhlError', code: 'unreachable', retryable: true });
    assert.equal(calls.length, 3, 'it is not repeated');
  });

  it('has a link for the admin', (t) => {
    const { client } = open(t, []);
    assert.equal(client.installUrl(), 'https://sync.example/install');
    assert.equal(client.installUrl('acme & co'), 'https://sync.example/install?ref=acme%20%26%20co');
  });
});

describe('a call', () => {
  for (const [what, reply] of /** @type {[string, Reply][]} */ ([
    ['429', [429, { code: 'too_many_requests' }]],
    ['500 internal', [500, { code: 'internal' }]],
    ['502', [502]],
    ['503', [503, { code: 'unavailable' }]],
    ['504', [504]],
    ['200 that is not the Worker’s', [200]],
    ['no answer', new TypeError('fetch failed')],
  ])) {
    it(`is repeated after ${what}`, async (t) => {
      const { client, calls } = open(t, [reply, [200, { ok: true }]]);
      const answer = client.location('l');
      await settle();
      assert.equal(calls.length, 1);
      await pass(t, 250);
      assert.deepEqual(await answer, { ok: true });
    });
  }

  for (const [status, code] of /** @type {const} */ ([
    [400, 'invalid_fields'],
    [401, 'unauthorized'],
    [404, 'unknown_location'],
    [409, 'message_id_conflict'],
    [413, 'too_large'],
    [422, 'rejected'],
    [500, 'not_configured'],
  ])) {
    it(`is not repeated after ${status} ${code}`, async (t) => {
      const { client, calls } = open(t, [[status, { code, detail: 'This is why' }]]);
      await assert.rejects(client.location('l'), { code, status, detail: 'This is why', retryable: false });
      assert.equal(calls.length, 1);
    });
  }

  it('is repeated after growing pauses, four times at most', async (t) => {
    const { client, calls } = open(t, Array(5).fill([503, { code: 'unavailable', detail: 'Not now' }]));
    const answer = client.location('l');
    answer.catch(() => {});
    // Half of 500, 1000, 2000, 4000 ms.
    for (const ms of [250, 500, 1_000, 2_000]) {
      await settle();
      const { length } = calls;
      await pass(t, ms - 1);
      assert.equal(calls.length, length, `sooner than ${ms} ms`);
      await pass(t, 1);
      assert.equal(calls.length, length + 1, `not after ${ms} ms`);
    }
    await assert.rejects(answer, { code: 'unavailable', status: 503, retryable: true });
    assert.equal(calls.length, 5);
  });

  it('waits as long as Retry-After says', async (t) => {
    const { client, calls } = open(t, [
      [429, {}, { 'retry-after': '20' }],
      [200, {}],
    ]);
    const answer = client.location('l');
    await settle();
    await pass(t, 20_000);
    assert.equal(calls.length, 1);
    await pass(t, 250);
    assert.deepEqual(await answer, {});
  });

  it('that replays is repeated only when it had no effect', async (t) => {
    const { client, calls } = open(t, [[503, {}], [200, { replayed: 2 }], [502]]);
    const answer = client.replay('l');
    await settle();
    await pass(t, 250);
    assert.deepEqual(await answer, { replayed: 2 });
    await assert.rejects(client.replay('l'), { status: 502, retryable: true });
    assert.equal(calls.length, 3);
  });

  it('ends when its caller does not want it any more', async (t) => {
    const { client, calls } = open(t, [[503]]);
    const controller = new AbortController();
    const answer = client.location('l', { signal: controller.signal });
    answer.catch(() => {});
    await settle();
    controller.abort(new Error('enough'));
    await assert.rejects(answer, { message: 'enough' });
    await pass(t, 60_000);
    assert.equal(calls.length, 1);
  });

  it('ends at once when it is under way then', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let calls = 0;
    const client = createClient({
      url: 'https://sync.example',
      apiKey: 'key',
      fetch: (_, init) => {
        calls += 1;
        const { signal } = /** @type {{ signal: AbortSignal }} */ (init);
        return new Promise((__, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
    });
    const controller = new AbortController();
    const answer = client.location('l', { signal: controller.signal });
    answer.catch(() => {});
    await settle();
    controller.abort(new Error('enough'));
    await assert.rejects(answer, { message: 'enough' });
    assert.equal(calls, 1);
  });

  it('that is refused says all that the Worker says', async (t) => {
    const errors = [{ field: 'attachments[2]', message: 'must be a public https URL' }];
    const { client } = open(t, [[400, { code: 'invalid_fields', detail: 'missing or wrong: attachments[2]', errors }]]);
    await assert.rejects(client.location('l'), (error) => {
      assert.ok(error instanceof VcxGhlError && error instanceof Error);
      assert.deepEqual(
        [error.name, error.message, error.errors],
        ['VcxGhlError', 'missing or wrong: attachments[2]', errors],
      );
      return true;
    });
  });
});

/**
 * A client, and the other end of its calls.
 * @param {import('node:test').TestContext} t
 * @param {Reply[]} replies
 */
function open(t, replies) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.mock.method(Math, 'random', () => 0.5);
  /** @type {{ route: string, body: unknown, key: string }[]} */
  const calls = [];
  const client = createClient({
    url: 'https://sync.example/',
    apiKey: 'the-key',
    async fetch(url, init) {
      const { method, body, headers } = /** @type {any} */ (init);
      const route = `${method} ${`${url}`.replace('https://sync.example', '')}`;
      calls.push({ route, body: body && JSON.parse(body), key: headers.authorization });
      const reply = replies[calls.length - 1];
      if (reply instanceof Error) throw reply;
      const [status, answer, more] = reply;
      return new Response(answer ? JSON.stringify(answer) : '', { status, headers: more });
    },
  });
  return { client, calls };
}

/** @param {import('node:test').TestContext} t @param {number} ms */
async function pass(t, ms) {
  t.mock.timers.tick(ms);
  await settle();
}

/** What is too long, too deep or leads to somebody's own network is refused in words, and stores nothing. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { message, startStage } from './stage.js';

const stage = await startStage({
  modules: [
    {
      type: 'ESModule',
      path: join(import.meta.dirname, '../../dist/fetching.js'),
      contents: readFileSync(new URL('fetching.js', import.meta.url), 'utf8'),
    },
  ],
});
const { ghl, vcx, url, logs } = stage;
after(() => stage.close());
const location = await stage.connect();
const { body: pushed } = await stage.push(location, 'somebody');
const known = stage.inbox(location).length;

/**
 * As it is written: `fetch` would not send such headers and paths.
 * @param {string} path
 * @param {{ method?: string, headers?: Record<string, string>, body?: string }} [what]
 * @returns {Promise<{ status?: number, body: any }>}
 */
function ask(path, { method = 'GET', headers, body } = {}) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, method, headers }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () => {
        const isJson = /json/.test(response.headers['content-type'] ?? '');
        resolve({ status: response.statusCode, body: isJson ? JSON.parse(text) : text });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const key = { authorization: `Bearer ${vcx.apiKey}`, 'content-type': 'application/json' };

describe('a header', () => {
  for (const name of ['authorization', 'cookie', 'x-ghl-signature', 'origin']) {
    it(`of absurd length is 431: ${name}`, async () => {
      for (const [method, path] of [
        ['POST', '/push-message'],
        ['POST', '/webhook'],
        ['GET', '/auth/callback'],
        ['GET', '/health'],
      ]) {
        for (const length of [16_385, 60_000]) {
          const headers = { ...key, [name]: 'x'.repeat(length) };
          const { status, body } = await ask(path, { method, headers, body: method === 'POST' ? '{}' : undefined });
          assert.deepEqual([status, body.code], [431, 'header_too_large'], `${path} ${length}`);
          assert.match(body.detail.toLowerCase(), new RegExp(`^the header ${name} is over 16 kb`));
        }
      }
    });
  }

  it('of absurd length is 431 where a socket is asked for', async () => {
    const upgrade = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    const headers = { ...upgrade, 'sec-websocket-protocol': `vcx-ghl.v1, bearer.${'x'.repeat(16_384)}` };
    const { status, body } = await ask('/events', { headers });
    assert.deepEqual([status, body.code], [431, 'header_too_large']);
  });

  it('that nobody reads may be long', async () => {
    const headers = { 'x-other': 'x'.repeat(20_000) };
    assert.equal((await ask('/health', { headers })).status, 200);
  });
});

describe('a URL', () => {
  it('over 8 KB is 414, in its path or its query', async () => {
    for (const length of [8_192, 30_000]) {
      const long = 'x.'.repeat(length / 2);
      for (const path of [
        `/${long}`,
        `/locations/${long}`,
        `/locations?cursor=${long}`,
        `/install?ref=${long}`,
        `/health?${long}`,
      ]) {
        const { status, body } = await ask(path, { headers: key });
        assert.deepEqual([status, body.code], [414, 'url_too_long'], path.slice(0, 20));
      }
    }
  });

  it('that is shorter is looked at', async () => {
    const long = 'x.'.repeat(4_000);
    const answers = await Promise.all(
      [`/${long}`, `/locations/${long}`, `/install?ref=${long}`].map((path) => ask(path, { headers: key })),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [404, 404, 400],
    );
  });
});

describe('a body', () => {
  /** @param {string} name @param {number} depth */
  const nested = (name, depth) =>
    JSON.stringify(message(location, 'somebody')).replace(
      /}$/,
      `,"${name}":${'[{"a":'.repeat(depth)}1${'}]'.repeat(depth)}}`,
    );

  it('that is nested too deeply is 400, in fields that we know and in others', async () => {
    for (const name of ['attachments', 'unknown', 'body']) {
      for (const depth of [64, 10_000]) {
        const { status, body } = await ask('/push-message', {
          method: 'POST',
          headers: key,
          body: nested(name, depth),
        });
        assert.deepEqual([status, body.code], [400, 'malformed_json']);
        assert.match(body.detail, /recursion limit/);
      }
    }
    assert.equal(
      (await ask('/push-message', { method: 'POST', headers: key, body: nested('unknown', 50) })).status,
      200,
    );
  });

  it('of GHL that is nested too deeply is taken and has no effect', async () => {
    const delivery = {
      contactId: pushed.contactId,
      locationId: location,
      messageId: 'deep',
      type: 'SMS',
      message: 'Hi',
    };
    const [{ status }] = await ghl.sendWebhook({ ...delivery, x: JSON.parse('['.repeat(1_000) + ']'.repeat(1_000)) });
    assert.equal(status, 200);
    assert.ok(logs.some(({ event }) => event === 'webhook_unreadable'));
  });

  it('has a hundred attachments at most', async () => {
    const attachments = Array.from({ length: 101 }, (_, n) => `https://cdn.example/${n}.png`);
    const over = await stage.push(location, 'somebody', { attachments });
    assert.deepEqual([over.status, over.body.errors], [400, [{ field: 'attachments', message: 'are over 100' }]]);
    const most = await stage.push(location, 'somebody', { attachments: attachments.slice(1) });
    assert.equal(most.status, 200);
    assert.deepEqual(stage.inbox(location).at(-1)?.attachments, attachments.slice(1));
  });
});

describe('an attachment', () => {
  const PRIVATE = [
    'http://cdn.example/a.png',
    'https://user:word@cdn.example/a.png',
    'https://cdn.example@127.0.0.1/a.png',
    'https://localhost/a.png',
    'https://printer.local/a.png',
    'https://metadata.google.internal/computeMetadata/v1/',
    'https://127.0.0.1/a.png',
    'https://127.1/a.png',
    'https://2130706433/a.png',
    'https://0x7f000001/a.png',
    'https://0177.0.0.1/a.png',
    'https://10.0.0.1/a.png',
    'https://100.64.0.1/a.png',
    'https://169.254.169.254/latest/meta-data/',
    'https://172.16.0.1/a.png',
    'https://192.168.0.1/a.png',
    'https://224.0.0.1/a.png',
    'https://[::1]/a.png',
    'https://[::ffff:10.0.0.1]/a.png',
    'https://[fd00::1]/a.png',
    'https://[fe80::1]/a.png',
    'https://１２７.0.0.1/a.png',
    'https:\\\\127.0.0.1\\a.png',
  ];

  it('in a push that is not at a public https URL is a 400 that names it', async () => {
    const before = stage.inbox(location).length;
    for (const attachment of PRIVATE) {
      const { status, body } = await stage.push(location, 'somebody', {
        attachments: ['https://cdn.example/a.png', attachment],
      });
      assert.deepEqual(
        [status, body.errors],
        [400, [{ field: 'attachments[1]', message: 'must be a public https URL' }]],
        attachment,
      );
    }
    assert.equal(stage.inbox(location).length, before);
  });

  it('from GHL that is not at one is left out, and the log says how many', async () => {
    const { contactId } = pushed;
    const attachments = [...PRIVATE, 'https://cdn.example/b.png'];
    const { messageId } = await ghl.agentReplies({ contactId, message: 'Look', attachments });
    const { body } = await stage.event((event) => event.messageId === messageId);
    assert.deepEqual([body.body, body.attachments], ['Look', ['https://cdn.example/b.png']]);
    const line = logs.find(({ event }) => event === 'attachments_left_out');
    assert.deepEqual([line?.messageId, line?.attachments], [messageId, PRIVATE.length]);
  });

  it('is never fetched here: nobody is asked but GHL and vCX', async () => {
    const { contactId } = pushed;
    const attachments = ['https://cdn.example/c.png', 'https://93.184.216.34/d.png'];
    const said = 'See https://elsewhere.example/ and <img src="https://elsewhere.example/e.png">';
    assert.equal((await stage.push(location, 'somebody', { body: said, attachments })).status, 200);
    const { messageId } = await ghl.agentReplies({ contactId, message: said, attachments });
    await stage.event((event) => event.messageId === messageId);
    await stage.sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', {
      what: 'its status',
    });
    const origins = [vcx.origin, new URL(stage.sandbox.workerVars().GHL_API_URL).origin];
    assert.deepEqual((await ask('/fetched')).body.sort(), origins.sort());
  });
});

it('and nothing of what was refused is stored', async () => {
  const taken = logs.filter(
    ({ event, path, status }) => event === 'request' && path === '/push-message' && status === 200,
  );
  assert.equal(stage.inbox(location).filter(({ direction }) => direction === 'inbound').length, taken.length);
  assert.ok(taken.length > known);
});

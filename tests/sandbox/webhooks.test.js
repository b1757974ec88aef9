/** The webhooks and Delivery posts the sandbox sends, and installing. */

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { connected, installLink, isSigned, start, work } from './stage.js';

const INBOUND = '/conversations/messages/inbound';

describe('webhooks', () => {
  it('are signed over their bytes, compact', async () => {
    const sandbox = await start();
    const worker = await work(sandbox);
    const { contactId, log } = await connected(sandbox);
    await log({ message: 'ünï ☃ <>&"' });
    await sandbox.ghl.agentReplies({ contactId, message: 'We are on it' });
    await sandbox.ghl.settled();
    const kinds = worker.webhooks().map(({ body }) => body.type);
    assert.deepEqual(kinds, ['ContactCreate', 'InboundMessage', 'SMS', 'OutboundMessage']);
    for (const got of worker.webhooks()) {
      assert.ok(isSigned(sandbox, got));
      assert.equal(got.bytes.toString(), JSON.stringify(got.body));
      assert.equal(got.headers['x-wh-signature'], undefined);
    }
    const raw = Buffer.from(sandbox.ghl.publicKeyBase64, 'base64');
    assert.equal(raw.length, 32);
  });

  it('are tried again until a 2xx, with the same webhookId', async () => {
    const sandbox = await start();
    const answers = [500, 302, 429, 200];
    const worker = await work(sandbox, () => answers.shift() ?? 200);
    await sandbox.ghl.emit('INSTALL', { locationId: sandbox.ghl.locationId });
    await sandbox.ghl.settled();
    const got = worker.webhooks();
    assert.equal(got.length, 4);
    assert.equal(new Set(got.map(({ bytes }) => bytes.toString())).size, 1);
    const attempts = sandbox.traffic.filter(({ kind }) => kind === 'INSTALL').map(({ attempt }) => attempt);
    assert.deepEqual(attempts, [1, 2, 3, 4]);
  });

  it('are given up after 12 retries', async () => {
    const sandbox = await start();
    const worker = await work(sandbox, () => 500);
    await sandbox.ghl.emit('INSTALL', { locationId: sandbox.ghl.locationId });
    await sandbox.ghl.settled();
    assert.equal(worker.webhooks().length, 13);
  });

  it('are tried again when there was no answer in time', async () => {
    const sandbox = await start({ retry: { max: 12, baseMs: 1, maxMs: 5, timeoutMs: 50 } });
    let first = true;
    const never = new Promise(() => {});
    const worker = await work(sandbox, async () => {
      if (first) {
        first = false;
        await never;
      }
      return 200;
    });
    await sandbox.ghl.emit('INSTALL', { locationId: sandbox.ghl.locationId });
    await sandbox.ghl.settled();
    assert.ok(worker.webhooks().length >= 2);
    assert.match(String(sandbox.traffic[0].error), /no answer within 50 ms/);
  });

  it('come twice on demand, in any order against the Delivery post', async () => {
    const sandbox = await start();
    const worker = await work(sandbox);
    const { contactId } = await connected(sandbox);
    worker.got.length = 0;
    const { messageId, posts } = await sandbox.ghl.agentReplies({ contactId, message: 'x', order: 'before', times: 2 });
    assert.deepEqual(
      posts.map(({ kind, status }) => [kind, status]),
      [
        ['OutboundMessage', 200],
        ['OutboundMessage', 200],
        ['delivery', 200],
        ['delivery', 200],
      ],
    );
    const bodies = worker.got.map(({ body }) => body);
    assert.ok(bodies.every((body) => body.messageId === messageId));
    assert.equal(bodies[0].webhookId, bodies[1].webhookId);
    const together = await sandbox.ghl.agentReplies({ contactId, message: 'x', order: 'together' });
    assert.equal(together.posts.length, 2);
    const backstop = await sandbox.ghl.agentReplies({ contactId, message: 'x', delivery: false });
    assert.deepEqual(
      backstop.posts.map(({ kind }) => kind),
      ['OutboundMessage'],
    );
    const alone = await sandbox.ghl.agentReplies({ contactId, message: 'x', events: [] });
    assert.deepEqual(
      alone.posts.map(({ kind }) => kind),
      ['delivery'],
    );
  });

  it('may come before the answer to the call that caused them', async () => {
    const sandbox = await start();
    await work(sandbox);
    const { api, contactId, log } = await connected(sandbox);
    const order = () => {
      const [last, other] = sandbox.traffic.slice(-2);
      return [last.kind ?? last.path, other.kind ?? other.path];
    };
    /** @type {string[]} */
    const ended = [];
    sandbox.onTraffic(({ status, kind, path }) => {
      if (status !== null) ended.push(kind ?? path);
    });
    sandbox.ghl.options.deliveryBeforeResponse = true;
    sandbox.ghl.options.emitMessageWebhooks = false;
    const sent = { type: 'Custom', contactId, conversationProviderId: sandbox.ghl.providerId, status: 'pending' };
    await api('POST', '/conversations/messages', sent);
    assert.deepEqual(ended.splice(0), ['delivery', '/conversations/messages']);
    assert.deepEqual(order(), ['/conversations/messages', 'delivery']);

    Object.assign(sandbox.ghl.options, { webhooksBeforeResponse: true, emitMessageWebhooks: true });
    await log();
    assert.deepEqual(ended.splice(0), ['InboundMessage', INBOUND]);
    sandbox.ghl.options.webhooksBeforeResponse = false;
    await log();
    await sandbox.ghl.settled();
    assert.deepEqual(ended.splice(0), [INBOUND, 'InboundMessage']);
  });

  it('may be forged, unsigned, or anything at all', async () => {
    const sandbox = await start();
    const worker = await work(sandbox, (got) => (isSigned(sandbox, got) ? 200 : 401));
    const { privateKey } = generateKeyPairSync('ed25519');
    const { ghl } = sandbox;
    assert.equal((await ghl.sendWebhook({ type: 'X' }))[0].status, 200);
    assert.equal((await ghl.sendWebhook('not json  ', { times: 2 })).length, 2);
    assert.equal((await ghl.sendWebhook({ type: 'X' }, { signedWith: privateKey }))[0].status, 401);
    assert.equal((await ghl.sendWebhook({ type: 'X' }, { header: 'N/A' }))[0].status, 401);
    assert.equal((await ghl.sendWebhook({ type: 'X' }, { header: null }))[0].status, 401);
    assert.equal(worker.got.at(-1)?.headers['x-ghl-signature'], undefined);
    assert.equal(worker.webhooks().length, 6, 'no retries unless asked for');
  });

  it('the Delivery post has the variants that are seen', async () => {
    const sandbox = await start({ deliveryType: 'Custom', deliveryWebhookId: true, retryDelivery: false });
    const worker = await work(sandbox, ({ body }) => (body.webhookId && body.type === 'Custom' ? 500 : 200));
    const { contactId } = await connected(sandbox);
    const attachments = ['https://example.com/a.png'];
    const { posts } = await sandbox.ghl.agentReplies({ contactId, attachments, events: [] });
    await sandbox.ghl.settled();
    assert.deepEqual([posts.length, posts[0].status], [1, 500]);
    const deliveries = worker.webhooks().filter(({ body }) => body.type === 'Custom');
    assert.equal(deliveries.length, 1);
    assert.deepEqual([deliveries[0].body.message, deliveries[0].body.attachments], ['', attachments]);
  });

  it('an agent may read, which may fire an event on messages, too', async () => {
    const sandbox = await start({ emitUnreadWebhooks: true });
    const worker = await work(sandbox);
    const { contactId, log } = await connected(sandbox);
    await log();
    await sandbox.ghl.settled();
    await sandbox.ghl.agentReads({ contactId });
    const unread = worker.webhooks().filter(({ body }) => body.type === 'ConversationUnreadUpdate');
    assert.deepEqual(
      unread.map(({ body }) => body.unreadCount),
      [1, 0],
    );
  });
});

describe('installing', () => {
  it('walks from the Worker over the page to the callback, with the cookie', async () => {
    const sandbox = await start();
    const worker = await work(sandbox);
    const { status, location } = await sandbox.walkInstall({ locationId: sandbox.ghl.locationId, ref: 'acc 1' });
    assert.equal(status, 200);
    assert.match(location, /\/auth\/callback\?code=[0-9a-f]{40}&state=signed-state$/);
    const [install, callback] = worker.got.filter(({ method }) => method === 'GET');
    assert.equal(install.url, '/install?ref=acc%201');
    assert.equal(callback.headers.cookie, 'state=s1');
    await sandbox.ghl.settled();
    assert.deepEqual(
      worker.webhooks().map(({ body }) => [body.type, body.locationId]),
      [['INSTALL', sandbox.ghl.locationId]],
    );
  });

  it('the page lists what there is to choose, and says what is wrong with a link', async () => {
    const sandbox = await start({ redirectUri: 'https://w.example.com/cb' });
    const page = await (await fetch(installLink(sandbox))).text();
    for (const { id } of sandbox.ghl.state.locations.values()) assert.ok(page.includes(id));
    const link = /href="([^"]+location_id[^"]+)"/.exec(page)?.[1].replaceAll('&#38;', '&');
    const chosen = await fetch(new URL(String(link), sandbox.ghl.url), { redirect: 'manual' });
    assert.equal(chosen.status, 302);
    assert.match(chosen.headers.get('location') ?? '', /^https:\/\/w\.example\.com\/cb\?code=/);

    /** @param {Record<string, string>} query */
    const wrong = async (query) => (await fetch(installLink(sandbox, query))).text();
    assert.match(await wrong({ redirect_uri: 'https://evil.example.com' }), /error\.redirecturi/);
    assert.match(await wrong({ client_id: 'nobody' }), /error\.noclient/);
    sandbox.ghl.options.requireVersionId = true;
    assert.match(await wrong({}), /error\.noversionid/);
    assert.doesNotMatch(await wrong({ version_id: 'v' }), /error\./);
  });

  it('state may not come back, and a user may say no', async () => {
    const sandbox = await start({ redirectUri: 'https://w.example.com/cb', echoState: false });
    /** @param {Record<string, string>} query */
    const target = async (query) =>
      (await fetch(installLink(sandbox, query), { redirect: 'manual' })).headers.get('location') ?? '';
    const approved = await target({ location_id: sandbox.ghl.locationId, approve: '1' });
    assert.doesNotMatch(approved, /state/);
    assert.equal(await target({ deny: '1' }), 'https://w.example.com/cb?error=access_denied');
  });

  it('an agency that installs for the future gets INSTALL for a new location', async () => {
    const sandbox = await start();
    const worker = await work(sandbox);
    const { companyId } = sandbox.ghl;
    await sandbox.walkInstall({ companyId, future: true });
    const { id } = sandbox.ghl.addLocation({ companyId, name: 'Acme New' });
    await sandbox.ghl.settled();
    const installs = worker.webhooks().map(({ body }) => [body.type, body.locationId, Boolean(body.userId)]);
    const old = [...sandbox.ghl.state.locations.keys()].slice(0, 2);
    assert.deepEqual(installs, [
      ['INSTALL', undefined, true],
      ['INSTALL', old[0], true],
      ['INSTALL', old[1], true],
      ['INSTALL', id, false],
    ]);
  });

  it('from the marketplace, without a state', async () => {
    const sandbox = await start();
    const worker = await work(sandbox);
    const { status } = await sandbox.ghl.install({ locationId: sandbox.ghl.locationId, visit: true });
    assert.equal(status, 200);
    assert.match(worker.got.find(({ method }) => method === 'GET')?.url ?? '', /^\/auth\/callback\?code=[0-9a-f]+$/);
  });
});

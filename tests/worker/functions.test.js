/** The functions of the npm package say what the Worker does: the same bodies for GHL, the same events for vCX. */

import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { Webhook } from 'standardwebhooks';
import {
  createClient,
  createSession,
  load,
  normalizePush,
  toGhl,
  toVcx,
  verifyEvent,
  verifyGhlWebhook,
} from '../../js/npm/index.js';
import { message, startStage } from './stage.js';

/** @type {Awaited<ReturnType<typeof startStage>>} */
let stage;
/** @type {string} */
let locationId;
/** @type {string} */
let providerId;

before(async () => {
  await load();
  stage = await startStage();
  locationId = await stage.connect();
  providerId = stage.sandbox.workerVars().GHL_PROVIDER_ID;
});
after(() => stage.close());

describe('toGhl is what the Worker sends', () => {
  for (const [what, more] of Object.entries({
    'a visitor’s words': { body: 'Is anyone there? 🙂' },
    'a bot’s': { fromUser: false, body: 'I am a bot' },
    'attachments alone': { body: '', attachments: ['https://files.example/a.png', 'https://files.example/b.pdf'] },
    'without an id': { messageId: undefined, body: 'No id' },
    'from the past': { timestamp: 1_700_000_000_000, body: 'Old' },
  })) {
    it(what, async () => {
      const clientId = `mina-${randomBytes(4).toString('hex')}`;
      const push = /** @type {import('../../js/npm/index.js').Push} */ (message(locationId, clientId, more));
      const { body } = await stage.vcx.push({ ...push });
      const { contactId, conversationId, messageId } = body;
      assert.equal(messageId, normalizePush(push).messageId);
      const call = stage.sandbox.traffic.findLast(({ path }) => path === '/conversations/messages/inbound');
      assert.deepEqual(call?.requestBody, toGhl(push, { providerId, contactId, conversationId }));
    });
  }
});

describe('toVcx is what the Worker makes of a webhook', () => {
  it('of an agent’s words, and of the copy of them', async (t) => {
    const ids = { clientId: 'otto', vcxConversationId: 'chat-otto' };
    const { body } = await stage.push(locationId, 'otto');
    const { contactId } = body;
    const { messageId } = await stage.ghl.agentReplies({
      contactId,
      message: 'Here I am',
      attachments: ['https://files.example/c.png'],
    });
    const { body: created } = await stage.event((event) => event.messageId === messageId);
    const webhook = (/** @type {string} */ kind) =>
      /** @type {object} */ (stage.sandbox.traffic.findLast((entry) => entry.kind === kind)?.requestBody);
    // A Delivery-URL post has no date: they were written when they came.
    t.mock.timers.enable({ apis: ['Date'], now: created.timestamp });
    assert.deepEqual(toVcx(webhook('delivery'), { providerId, ...ids }), { event: created });
    const copy = toVcx(webhook('OutboundMessage'), { providerId, ...ids });
    assert.deepEqual(
      { ...copy, event: { ...copy.event, timestamp: created.timestamp } },
      { event: created, copy: true },
    );
  });
});

describe('verifyGhlWebhook', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const keys = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64');
  const body = '{"type":"INSTALL"}';
  const signature = sign(
    null,
    Buffer.from(body),
    createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' })),
  ).toString('base64');

  it('gives the webhook that GHL has signed, from text and from bytes', () => {
    assert.deepEqual(verifyGhlWebhook(body, signature, keys), { type: 'INSTALL' });
    assert.deepEqual(verifyGhlWebhook(Buffer.from(body), signature, keys), { type: 'INSTALL' });
    assert.deepEqual(verifyGhlWebhook(new TextEncoder().encode(body).buffer, signature, keys), { type: 'INSTALL' });
  });

  it('refuses another body, another key, and no signature', () => {
    assert.throws(() => verifyGhlWebhook(`${body} `, signature, keys), { code: 'signature_wrong' });
    assert.throws(() => verifyGhlWebhook(body, signature), { code: 'signature_wrong' });
    assert.throws(() => verifyGhlWebhook(body, null, keys), { code: 'signature_absent' });
    // A body that somebody has parsed already.
    assert.throws(() => verifyGhlWebhook(JSON.parse(body), signature, keys), { code: 'not_raw' });
  });
});

describe('verifyEvent', () => {
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const event = { type: 'location.disconnected', locationId: 'l', reason: 'uninstalled', timestamp: 1 };
  const body = JSON.stringify(event);
  const at = new Date();
  const headers = {
    'webhook-id': 'evt_1',
    'webhook-timestamp': `${Math.floor(at.getTime() / 1000)}`,
    'webhook-signature': new Webhook(secret).sign('evt_1', at, body),
  };

  for (const [what, given] of Object.entries({
    'an object': headers,
    'an object with capitals': { 'Webhook-Id': 'evt_1', ...headers, 'webhook-id': undefined },
    Headers: new Headers(headers),
    pairs: Object.entries(headers),
  })) {
    it(`takes headers as ${what}`, async () => {
      assert.deepEqual(await verifyEvent(given, body, secret), { ...event, webhookId: 'evt_1' });
    });
  }

  it('refuses what is forged, or sent twice the headers', async () => {
    await assert.rejects(verifyEvent(headers, `${body} `, secret), { code: 'event_wrong_signature' });
    const doubled = { ...headers, 'webhook-id': ['evt_1', 'evt_2'] };
    await assert.rejects(verifyEvent(doubled, body, secret), { code: 'event_doubled_header' });
    await assert.rejects(verifyEvent(headers, body, ''), { code: 'key_missing' });
  });
});

describe('createSession and createClient', () => {
  it('are taken by the Worker', async () => {
    const { SESSION_SECRET, VCX_API_KEY } = stage.sandbox.workerVars();
    const ids = { locationId, clientId: 'nora', vcxConversationId: 'chat-nora' };
    const session = await createSession({ secret: SESSION_SECRET, ...ids, name: 'Nora', email: 'nora@example.com' });
    const browser = createClient({ url: stage.url, apiKey: session });
    const said = await browser.pushMessage(
      /** @type {any} */ ({ body: 'By session', timestamp: Date.now(), messageId: 'n-1' }),
    );
    assert.equal(said.status, 'sent');

    const backend = createClient({ url: stage.url, apiKey: VCX_API_KEY });
    const again = { ...ids, fromUser: true, body: 'By session', timestamp: Date.now(), messageId: 'n-1' };
    assert.deepEqual(await backend.pushMessage(again), said);
    assert.equal(
      (await backend.upsertContact({ ...ids, name: 'Nora Roberts' })).contactId,
      said.status === 'sent' && said.contactId,
    );
    const seen = [];
    for await (const location of backend.locations()) seen.push(location.locationId);
    assert.deepEqual(seen, [locationId]);
    const { health, deadLetters } = await backend.location(locationId);
    assert.deepEqual([health, deadLetters], ['ok', []]);
    assert.deepEqual(await backend.replay(locationId), { replayed: 0 });
    assert.equal((await backend.health()).status, 'up');
    await assert.rejects(backend.setMessageStatus({ locationId, messageId: 'nonsense', status: 'read' }), {
      code: 'unknown_message',
      status: 404,
      retryable: false,
    });
    await assert.rejects(backend.pushMessage({ ...again, body: 'Other words' }), {
      code: 'message_id_conflict',
      status: 409,
    });
    const wrong = /** @type {any} */ ({ ...again, clientId: 7, timestamp: 'now' });
    await assert.rejects(backend.pushMessage(wrong), (/** @type {any} */ error) => {
      assert.deepEqual(
        error.errors.map((/** @type {any} */ { field }) => field),
        ['clientId', 'timestamp'],
      );
      return true;
    });
    const stranger = createClient({ url: stage.url, apiKey: 'another' });
    await assert.rejects(stranger.location(locationId), { code: 'unauthorized', status: 401 });
  });
});

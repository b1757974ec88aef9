/** The sync from the first installation to the last status, as vCX, GHL and an admin see it. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { freePort } from '../../scripts/workerd.mjs';
import { startStage, until } from './stage.js';

/** What vCX's webhook URL was sent, byte for byte; handed on to the sandbox's vCX. @type {{ headers: Record<string, string>, body: string }[]} */
const posted = [];
const recorder = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  const headers = /** @type {Record<string, string>} */ (request.headers);
  posted.push({ headers, body });
  const webhook = Object.entries(headers).filter(([name]) => name.startsWith('webhook-'));
  const reply = await fetch(stage.vcx.url, { method: 'POST', headers: Object.fromEntries(webhook), body });
  response.writeHead(reply.status).end();
});
const recorderPort = await freePort();
recorder.listen(recorderPort, '127.0.0.1');

const stage = await startStage({ vars: { VCX_WEBHOOK_URL: `http://127.0.0.1:${recorderPort}/ghl-events` } });
const { ghl, vcx, sandbox, url } = stage;
after(async () => {
  await stage.close();
  recorder.closeAllConnections();
  recorder.close();
});

const INBOUND = 'POST /conversations/messages/inbound';

describe('an admin installs the app', () => {
  it('from /install over the chooser of GHL to the callback, and vCX gets its ref back', async () => {
    const { locationId } = ghl;
    const install = await fetch(`${url}/install?ref=account%2042`, { redirect: 'manual' });
    assert.equal(install.status, 302);
    const chooser = new URL(install.headers.get('location') ?? '');
    assert.equal(chooser.origin + chooser.pathname, ghl.installUrl);
    const { state, scope, ...query } = Object.fromEntries(chooser.searchParams);
    const redirect_uri = `${url}/auth/callback`;
    assert.deepEqual(query, { response_type: 'code', client_id: ghl.clientId, redirect_uri });
    assert.match(scope, /^contacts\.readonly .*oauth\.write$/);
    const cookie = install.headers.get('set-cookie') ?? '';
    assert.match(cookie, /; HttpOnly; Secure; SameSite=Lax$/);
    assert.ok(cookie.includes(state));

    const { status, text, location } = await sandbox.walkInstall({ locationId, ref: 'account 42' });
    assert.equal(status, 200);
    assert.ok(new URL(location).searchParams.get('state'), 'GHL handed the state back');
    assert.match(text, new RegExp(`<h1>Connected</h1>.*Location ${locationId}`));
    const { body } = await stage.event((event) => event.type === 'location.connected');
    const { timestamp, ...connected } = body;
    const { companyId } = ghl;
    assert.deepEqual(connected, {
      type: 'location.connected',
      locationId,
      companyId,
      via: 'install',
      ref: 'account 42',
    });
    assert.ok(Math.abs(Date.now() - timestamp) < 10_000);
  });

  it('and GHL does not hand the state back: the cookie shows that it began here', async () => {
    const { id } = ghl.addLocation();
    ghl.options.echoState = false;
    const { status, location } = await sandbox.walkInstall({ locationId: id, ref: 'by cookie' });
    ghl.options.echoState = true;
    assert.deepEqual([status, new URL(location).searchParams.get('state')], [200, null]);
    const { body } = await stage.event((event) => event.type === 'location.connected' && event.locationId === id);
    assert.deepEqual([body.via, body.ref], ['install', 'by cookie']);
  });

  it('from the marketplace, with neither: via says so', async () => {
    const { id } = ghl.addLocation();
    const { status } = await ghl.install({ locationId: id, visit: true });
    assert.equal(status, 200);
    const { body } = await stage.event((event) => event.type === 'location.connected' && event.locationId === id);
    assert.deepEqual([body.via, body.ref], ['marketplace', undefined]);
    const { state, via, ref, health } = await stage.health(id);
    assert.deepEqual({ state, via, ref, health }, { state: 'connected', via: 'marketplace', ref: null, health: 'ok' });
  });

  it('and the location is the one of the token, whatever the query says', async () => {
    const { id } = ghl.addLocation();
    const { id: other } = ghl.addLocation();
    const { callbackUrl } = await ghl.install({ locationId: id });
    const page = await fetch(`${callbackUrl}&locationId=${other}&location_id=${other}`);
    assert.match(await page.text(), new RegExp(`Location ${id}`));
    assert.equal((await stage.health(id)).state, 'connected');
    assert.equal((await vcx.call('GET', `/locations/${other}`)).status, 404);
  });
});

describe('a visitor writes', () => {
  it('first: at most four calls to GHL, then one a message', async () => {
    const id = await stage.connect();
    const first = stage.watch();
    const pushed = await stage.push(id, 'mina', { name: 'Mina Kim', timestamp: 1_700_000_000_000, messageId: 'm1' });
    const [{ id: ghlMessageId, contactId, conversationId }] = stage.inbox(id);
    assert.equal(pushed.status, 200);
    assert.deepEqual(pushed.body, { status: 'sent', messageId: 'm1', contactId, conversationId, ghlMessageId });
    await sandbox.waitFor(({ path, status }) => path === `/contacts/${contactId}/tags` && status === 201);
    const upsert = ['POST /contacts/search', 'POST /contacts/upsert', 'POST /conversations/', INBOUND];
    assert.deepEqual(first(), [...upsert, 'POST /contacts/{id}/tags']);

    const later = stage.watch();
    for (const n of [2, 3, 4]) await stage.push(id, 'mina', { name: 'Mina Kim', body: `Message ${n}` });
    const agent = await stage.push(id, 'mina', { name: 'Mina Kim', fromUser: false, body: 'Our bot' });
    assert.equal(agent.status, 200);
    assert.deepEqual(later(), Array(4).fill(INBOUND));

    const inbox = stage.inbox(id);
    assert.deepEqual(
      inbox.map(({ body, direction }) => [body, direction]),
      [
        ['Hello', 'inbound'],
        ['Message 2', 'inbound'],
        ['Message 3', 'inbound'],
        ['Message 4', 'inbound'],
        ['Our bot', 'outbound'],
      ],
    );
    assert.deepEqual([inbox[0].altId, inbox[0].dateAdded], ['m1', '2023-11-14T22:13:20.000Z']);
    const contact = ghl.state.contacts.get(contactId);
    const { firstName, lastName, email, source, tags } = contact ?? {};
    assert.deepEqual(
      { firstName, lastName, email, source, tags },
      { firstName: 'Mina', lastName: 'Kim', email: 'mina@example.com', source: 'vCX', tags: ['vCX'] },
    );
  });

  it('without e-mail and phone: gets a contact by name, found again by the client id', async () => {
    const id = await stage.connect();
    const first = stage.watch();
    const anonymous = { name: undefined, email: undefined };
    const { body } = await stage.push(id, 'nobody-knows', anonymous);
    await sandbox.waitFor(
      ({ path, status }) => path.endsWith('/tags') && path.includes(body.contactId) && status === 201,
    );
    const create = ['POST /contacts/search', 'POST /contacts/', 'POST /conversations/', INBOUND];
    assert.deepEqual(first(), [...create, 'POST /contacts/{id}/tags']);
    const contact = ghl.state.contacts.get(body.contactId);
    assert.deepEqual([contact?.email, contact?.phone], [null, null]);
    assert.deepEqual(
      contact?.customFields.map(({ value }) => value),
      ['nobody-knows'],
    );

    const second = await stage.push(id, 'nobody-knows', { ...anonymous, vcxConversationId: 'another chat' });
    assert.equal(second.body.contactId, body.contactId);
  });

  it('for the first time, and three messages at once: one contact, one conversation, in order', async () => {
    const id = await stage.connect();
    const pushes = [1, 2, 3].map((n) => stage.push(id, 'hasty', { body: `${n}`, vcxConversationId: `chat ${n}` }));
    const answers = await Promise.all(pushes);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
    for (const of of ['contactId', 'conversationId'])
      assert.equal(new Set(answers.map(({ body }) => body[of])).size, 1);
    assert.equal([...ghl.state.contacts.values()].filter(({ locationId }) => locationId === id).length, 1);
    const dates = stage.inbox(id).map(({ dateAdded }) => Date.parse(dateAdded));
    assert.ok(dates[0] < dates[1] && dates[1] < dates[2], `${dates}`);
  });

  it('and a repeat of the same push has no second effect', async () => {
    const id = await stage.connect();
    const push = { messageId: 'same', timestamp: 1 };
    const [first, ...repeats] = await Promise.all([1, 2, 3, 4, 5].map(() => stage.push(id, 'twice', push)));
    assert.equal(first.status, 200);
    for (const { status } of repeats) assert.ok(status === 200 || status === 202, `${status}`);
    const again = await stage.push(id, 'twice', push);
    assert.deepEqual([again.status, again.body], [200, first.body]);
    assert.equal(stage.inbox(id).length, 1);
    const other = await stage.push(id, 'twice', { ...push, body: 'Other words' });
    assert.deepEqual([other.status, other.body.code], [409, 'message_id_conflict']);
  });

  it('by the curl line of the user’s own document, with the key added', async () => {
    const id = await stage.connect();
    const data = JSON.stringify({
      locationId: id,
      clientId: 'client_123',
      vcxConversationId: 'vcx_conv_456',
      fromUser: true,
      body: 'Hello from vCX',
      timestamp: Date.now(),
    });
    const { stdout } = await promisify(execFile)('curl', [
      ...['-sS', '-X', 'POST', `${url}/push-message`],
      ...['-H', 'Content-Type: application/json', '-H', `Authorization: Bearer ${vcx.apiKey}`],
      ...['-d', data],
    ]);
    const { status, messageId } = JSON.parse(stdout);
    assert.equal(status, 'sent');
    assert.match(messageId, /^vcx_[0-9a-f]{32}$/);
    assert.deepEqual(
      stage.inbox(id).map(({ body, direction, altId }) => [body, direction, altId]),
      [['Hello from vCX', 'inbound', messageId]],
    );
  });
});

describe('an agent answers', () => {
  it('over the Delivery URL: vCX gets a signed event, then GHL says delivered', async () => {
    const id = await stage.connect();
    const { body: pushed } = await stage.push(id, 'mina');
    const { contactId } = pushed;
    const attachments = ['https://example.com/a.png'];
    vcx.fail({ match: { body: { type: 'message.created' } }, delayMs: 300 });
    const { messageId, posts } = await ghl.agentReplies({ contactId, message: 'Hi <Mina> & "co" 😀', attachments });
    assert.deepEqual(
      posts.map(({ status }) => status),
      [200, 200],
    );
    assert.equal(ghl.state.messages.get(messageId)?.status, 'pending', 'until vCX took it');
    const { body, webhookId } = await stage.event((event) => event.messageId === messageId);
    const { timestamp, ...event } = body;
    assert.deepEqual(event, {
      type: 'message.created',
      locationId: id,
      clientId: 'mina',
      vcxConversationId: 'chat-mina',
      messageId,
      fromUser: false,
      body: 'Hi <Mina> & "co" 😀',
      attachments,
      userId: ghl.state.messages.get(messageId)?.userId,
    });
    assert.ok(Math.abs(Date.now() - timestamp) < 10_000);
    await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', { what: 'delivered' });

    const raw = posted.find(({ headers }) => headers['webhook-id'] === webhookId);
    assert.ok(raw);
    assert.match(webhookId, /^evt_[0-9a-f]{32}$/);
    assert.deepEqual(new Webhook(vcx.webhookSecret).verify(raw.body, raw.headers), body);
    assert.throws(() => new Webhook(vcx.webhookSecret).verify(`${raw.body} `, raw.headers));
  });

  it('and copies of it, in whatever order and number, are one event', async () => {
    const id = await stage.connect();
    const { body: pushed } = await stage.push(id, 'mina');
    const { contactId } = pushed;
    /** @type {string[]} */
    const ids = [];
    for (const order of /** @type {const} */ (['before', 'after', 'together'])) {
      const { messageId, posts } = await ghl.agentReplies({ contactId, message: order, order, times: 3 });
      assert.deepEqual(
        posts.map(({ status }) => status),
        Array(6).fill(200),
      );
      ids.push(messageId);
    }
    await sandbox.waitFor(() => ids.every((each) => ghl.state.messages.get(each)?.status === 'delivered'));
    const events = vcx.deliveries.filter(({ body }) => body.locationId === id && body.type === 'message.created');
    assert.deepEqual(
      events.map(({ body }) => body.messageId),
      ids,
    );
  });

  it('and the same webhook 131 times, 20 at a time, is one event, and so is its message under other webhook ids', async () => {
    const id = await stage.connect();
    const { contactId } = (await stage.push(id, 'mina')).body;
    const { messageId } = await ghl.agentReplies({ contactId, message: 'Once', delivery: false, events: [] });
    const delivery = { contactId, locationId: id, messageId, type: 'SMS', message: 'Once', attachments: [] };
    const others = [1, 2, 3].map((n) => ({ ...delivery, webhookId: `other-${n}` }));
    const webhooks = [...Array(131).fill(delivery), ...others];
    while (webhooks.length) {
      const sent = webhooks.splice(0, 20).map((webhook) => ghl.sendWebhook(webhook));
      for (const [{ status }] of await Promise.all(sent)) assert.equal(status, 200);
    }
    await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', { what: 'delivered' });
    const events = vcx.deliveries.filter(({ body }) => body.locationId === id && body.type === 'message.created');
    assert.equal(events.length, 1);
    const statuses = sandbox.traffic.filter(({ path }) => path === `/conversations/messages/${messageId}/status`);
    assert.equal(statuses.length, 1);
  });

  it('somebody without a vCX chat: GHL shows why it failed', async () => {
    const id = await stage.connect();
    await stage.push(id, 'mina');
    const { access_token } = ghl.issueTokens({ locationId: id });
    const created = await fetch(`${ghl.url}/contacts/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${access_token}`, version: '2021-07-28', 'content-type': 'application/json' },
      body: JSON.stringify({ locationId: id, name: 'Walk In' }),
    });
    const { contact } = /** @type {any} */ (await created.json());
    const { messageId } = await ghl.agentReplies({ contactId: contact.id, message: 'Anybody?' });
    await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'failed', { what: 'failed' });
    assert.match(JSON.stringify(ghl.state.messages.get(messageId)?.error), /this contact has no vCX chat/);
    const { deadLetters } = await stage.health(id);
    assert.deepEqual(
      deadLetters.map((/** @type {any} */ dead) => [dead.direction, dead.messageId, dead.code]),
      [['toVcx', messageId, 'no_chat']],
    );
  });

  it('on another channel: answered, counted, and nothing else', async () => {
    const id = await stage.connect();
    const { body: pushed } = await stage.push(id, 'mina');
    await ghl.settled();
    const { ignored } = await stage.health(id);
    const { contactId } = pushed;
    for (const type of ['SMS', 'Email', 'InternalComment']) await ghl.agentReplies({ contactId, type, message: type });
    assert.equal((await stage.health(id)).ignored, ignored + 3);
    const { messageId } = await ghl.agentReplies({ contactId, message: 'ours' });
    await stage.event((event) => event.messageId === messageId);
    const events = vcx.events.filter(({ body }) => body.locationId === id && body.type === 'message.created');
    assert.equal(events.length, 1);
  });

  it('and opens the chat: conversation.updated', async () => {
    const id = await stage.connect();
    const { body: pushed } = await stage.push(id, 'mina');
    await ghl.agentReads({ contactId: pushed.contactId });
    const { body } = await stage.event((event) => event.locationId === id && event.type === 'conversation.updated');
    const { timestamp, ...event } = body;
    const chat = { locationId: id, clientId: 'mina', vcxConversationId: 'chat-mina' };
    assert.deepEqual(event, { type: 'conversation.updated', ...chat, unreadCount: 0 });
  });

  it('by the event names of the user’s own document', async () => {
    const id = await stage.connect();
    const { body: pushed } = await stage.push(id, 'mina');
    const { conversationId } = pushed;
    const incoming = { type: 'message.incoming', locationId: id, conversationId, message: 'As the guide says' };
    const nested = {
      event: 'message.incoming',
      data: { locationId: id, conversationId, body: 'Nested', messageId: 'n1' },
    };
    const updated = { type: 'conversation.updated', locationId: id, conversationId, unreadCount: 7 };
    for (const webhook of [incoming, nested, updated]) {
      const outcomes = await ghl.sendWebhook(webhook, { times: 2 });
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        [200, 200],
      );
    }
    await stage.event((event) => event.locationId === id && event.unreadCount === 7, 'conversation.updated');
    const here = vcx.events
      .map(({ body }) => body)
      .filter(({ type, locationId }) => locationId === id && type !== 'location.connected');
    assert.deepEqual(
      here.map(({ type, body, vcxConversationId }) => [type, body, vcxConversationId]),
      [
        ['message.created', 'As the guide says', 'chat-mina'],
        ['message.created', 'Nested', 'chat-mina'],
        ['conversation.updated', undefined, 'chat-mina'],
      ],
    );
  });
});

describe('vCX', () => {
  it('says that an agent’s message was read: the status at GHL only moves forward', async () => {
    const id = await stage.connect();
    const { body: pushed } = await stage.push(id, 'mina');
    const { messageId } = await ghl.agentReplies({ contactId: pushed.contactId, message: 'Hi' });
    await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', { what: 'delivered' });
    /** @param {string} status @param {string} [of] */
    const say = (status, of = messageId) =>
      vcx.call('POST', '/message-status', { locationId: id, messageId: of, status });
    assert.deepEqual((await say('read')).body, { messageId, status: 'read' });
    await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'read', { what: 'read' });
    const still = stage.watch();
    assert.deepEqual((await say('delivered')).body, { messageId, status: 'read' });
    const unknown = await say('read', 'never-seen');
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'unknown_message']);
    assert.deepEqual(still(), []);
  });

  it('asks for a contact, before and after there is one', async () => {
    const id = await stage.connect();
    /** @param {Record<string, unknown>} details */
    const ask = (details) => vcx.call('POST', '/contact', { locationId: id, clientId: 'early', ...details });
    const made = await ask({ name: 'Early Bird', phone: '+15550100777' });
    assert.equal(made.status, 200);
    const { contactId } = made.body;
    assert.equal(ghl.state.contacts.get(contactId)?.phone, '+15550100777');
    assert.deepEqual((await ask({ name: 'Early Bird' })).body, { contactId });
    assert.deepEqual((await ask({ email: 'early@example.com' })).body, { contactId });
    assert.equal(ghl.state.contacts.get(contactId)?.email, 'early@example.com');
    const pushed = await stage.push(id, 'early', { email: 'early@example.com' });
    assert.equal(pushed.body.contactId, contactId);
    assert.equal([...ghl.state.contacts.values()].filter((contact) => contact.locationId === id).length, 1);
  });

  it('hears what GHL refuses for good, and replays it once that is mended', async () => {
    const id = await stage.connect();
    await stage.push(id, 'mina');
    ghl.fail({ match: { path: '/conversations/messages/inbound' }, status: 422, body: { message: ['too purple'] } });
    const refused = await stage.push(id, 'mina', { messageId: 'purple', body: 'Purple' });
    assert.deepEqual([refused.status, refused.body.code, refused.body.messageId], [422, 'rejected', 'purple']);
    assert.match(refused.body.detail, /too purple/);
    const { body: failed } = await stage.event((event) => event.type === 'message.failed' && event.locationId === id);
    const { messageId, direction, code, reason, clientId } = failed;
    assert.deepEqual([messageId, direction, code, clientId], ['purple', 'toGhl', 'refused', 'mina']);
    assert.match(reason, /too purple/);
    const { health, deadLetters } = await stage.health(id);
    assert.equal(health, 'degraded');
    assert.deepEqual(
      deadLetters.map((/** @type {any} */ dead) => dead.messageId),
      ['purple'],
    );

    const replay = `/locations/${id}/replay`;
    assert.deepEqual((await vcx.call('POST', replay, { ids: [-1] })).body, { replayed: 0 });
    assert.deepEqual((await vcx.call('POST', replay, { ids: [deadLetters[0].id] })).body, { replayed: 1 });
    await sandbox.waitFor(() => stage.inbox(id).some(({ altId }) => altId === 'purple'), { what: 'the replay' });
    assert.deepEqual((await vcx.call('POST', replay)).body, { replayed: 0 });
    assert.equal((await stage.health(id)).health, 'ok');
    assert.equal(stage.inbox(id).length, 2);
  });

  it('needs its key for all but the routes that others call', async () => {
    const id = await stage.connect();
    const routes = [
      ['POST', '/push-message'],
      ['POST', '/contact'],
      ['POST', '/message-status'],
      ['GET', '/locations'],
      ['GET', `/locations/${id}`],
      ['POST', `/locations/${id}/replay`],
    ];
    for (const [method, path] of routes) {
      for (const authorization of ['', 'Bearer wrong', `Basic ${vcx.apiKey}`]) {
        const { status, body } = await vcx.call(method, path, method === 'POST' ? {} : undefined, { authorization });
        assert.deepEqual([status, body.code], [401, 'unauthorized'], `${method} ${path} with ${authorization}`);
      }
    }
    assert.equal((await fetch(`${url}/health`)).status, 200);
    const openapi = await fetch(`${url}/openapi.json`);
    assert.equal(/** @type {any} */ (await openapi.json()).openapi, '3.1.0');
  });
});

describe('an agency', () => {
  for (const status of /** @type {const} */ ([200, 201])) {
    it(`installs: its token is exchanged for one of each approved location, answered with ${status}`, async () => {
      const company = ghl.addCompany();
      const ids = [1, 2, 3].map(() => ghl.addLocation({ companyId: company.id }).id);
      ghl.options.locationTokenStatus = status;
      const { text } = await sandbox.walkInstall({ companyId: company.id, ref: 'agency account' });
      assert.match(text, new RegExp(`<h1>Connected</h1>.*Agency ${company.id}`));
      for (const id of ids) {
        const { body } = await stage.event((event) => event.type === 'location.connected' && event.locationId === id);
        assert.deepEqual([body.companyId, body.via, body.ref], [company.id, 'company', 'agency account']);
      }
      const pushed = await stage.push(ids[2], 'mina');
      assert.equal(pushed.status, 200);
      assert.equal(stage.inbox(ids[2]).length, 1);
    });
  }

  it('with more locations than a page, and a token that lists none: they are read page by page', async () => {
    const company = ghl.addCompany();
    const ids = Array.from({ length: 103 }, () => ghl.addLocation({ companyId: company.id }).id);
    ghl.options.approvedLocations = false;
    const { max } = ghl.limits;
    ghl.limits.max = 1_000;
    await sandbox.walkInstall({ companyId: company.id });
    const all = new Set(ids);
    const connected = () =>
      vcx.events.filter(({ type, body }) => type === 'location.connected' && all.has(body.locationId));
    await sandbox.waitFor(() => connected().length === ids.length, { what: '103 locations', timeoutMs: 30_000 });
    ghl.options.approvedLocations = true;
    ghl.limits.max = max;
    const pages = sandbox.traffic.filter(({ path }) => path.startsWith('/oauth/installedLocations'));
    assert.deepEqual(
      pages.filter(({ path }) => path.includes(company.id)).map(({ path }) => path.match(/skip=(\d+)/)?.[1]),
      ['0', '100'],
    );

    /** @type {any[]} */
    const directory = [];
    let cursor = '';
    let read = 0;
    do {
      const { body } = await vcx.call('GET', `/locations${cursor && `?cursor=${encodeURIComponent(cursor)}`}`);
      directory.push(...body.locations);
      cursor = body.cursor ?? '';
      read += 1;
    } while (cursor);
    assert.ok(read >= 2, 'the directory is paged');
    const listed = directory.filter(({ companyId }) => companyId === company.id);
    assert.deepEqual(listed.map(({ locationId }) => locationId).sort(), ids.sort());
    for (const { state, via } of listed) assert.deepEqual([state, via], ['connected', 'company']);
  });

  it('that installed for future locations, too, gets them by INSTALL, and loses them all by one UNINSTALL', async () => {
    const company = ghl.addCompany();
    const first = ghl.addLocation({ companyId: company.id });
    await sandbox.walkInstall({ companyId: company.id, future: true });
    await stage.event((event) => event.type === 'location.connected' && event.locationId === first.id);
    const { id: later } = ghl.addLocation({ companyId: company.id });
    const { body } = await stage.event((event) => event.type === 'location.connected' && event.locationId === later);
    assert.equal(body.via, 'company');
    assert.equal((await stage.push(later, 'mina')).status, 200);

    ghl.uninstall({ companyId: company.id });
    for (const id of [first.id, later]) {
      await stage.event((event) => event.type === 'location.disconnected' && event.locationId === id);
      const { status, body: problem } = await stage.push(id, 'mina');
      assert.deepEqual([status, problem.code], [409, 'location_disconnected']);
    }
  });
});

describe('UNINSTALL', () => {
  it('ends the connection: vCX hears it, a push is refused, the directory says so', async () => {
    const id = await stage.connect();
    await stage.push(id, 'mina');
    ghl.uninstall({ locationId: id });
    const { body } = await stage.event((event) => event.type === 'location.disconnected' && event.locationId === id);
    assert.match(body.reason, /uninstalled/);
    const refused = await stage.push(id, 'mina');
    assert.deepEqual([refused.status, refused.body.code], [409, 'location_disconnected']);
    const { state, health, reasons } = await stage.health(id);
    assert.deepEqual([state, health, reasons], ['uninstalled', 'down', ['the app was uninstalled']]);
    await until(async () => (await entry(id))?.state === 'uninstalled', 'the directory');

    await ghl.install({ locationId: id, visit: true });
    assert.equal((await stage.push(id, 'mina', { body: 'Back again' })).status, 200);
    assert.deepEqual(
      stage.inbox(id).map(({ body }) => body),
      ['Hello', 'Back again'],
    );
  });

  it('of an earlier connection is ignored: GHL repeats old webhooks', async () => {
    const id = await stage.connect();
    const old = {
      ...ghl.event('UNINSTALL', { locationId: id }),
      timestamp: new Date(Date.now() - 3_600_000).toISOString(),
    };
    assert.deepEqual(
      (await ghl.sendWebhook(old)).map(({ status }) => status),
      [200],
    );
    assert.equal((await stage.health(id)).state, 'connected');
    assert.equal((await stage.push(id, 'mina')).status, 200);
  });
});

/** A location's entry in the directory. @param {string} locationId */
async function entry(locationId) {
  let cursor = '';
  do {
    const { body } = await vcx.call('GET', `/locations${cursor && `?cursor=${encodeURIComponent(cursor)}`}`);
    const found = body.locations.find((/** @type {any} */ each) => each.locationId === locationId);
    if (found) return found;
    cursor = body.cursor ?? '';
  } while (cursor);
  return undefined;
}

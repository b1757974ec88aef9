/** Bad input gets a clear answer and loses nothing. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { message, startStage, until } from './stage.js';

const stage = await startStage();
const { ghl, vcx, url } = stage;
after(() => stage.close());
const location = await stage.connect();
await stage.push(location, 'somebody');

/**
 * A body, byte for byte, with vCX's key.
 * @param {string} path
 * @param {BodyInit} body
 */
async function post(path, body) {
  const headers = { authorization: `Bearer ${vcx.apiKey}`, 'content-type': 'application/json' };
  const request = /** @type {RequestInit} */ ({ method: 'POST', headers, body, duplex: 'half' });
  const response = await fetch(url + path, request);
  return { status: response.status, headers: response.headers, body: /** @type {any} */ (await response.json()) };
}

/** The names of the fields that an answer complains about. @param {{ body: any }} answer @returns {string[]} */
const fields = ({ body }) => (body.errors ?? []).map((/** @type {any} */ error) => error.field).sort();

describe('a body that is not JSON', () => {
  const bodies = {
    'is empty': '',
    'is cut off': '{"locationId":"a"',
    'is HTML': '<html></html>',
    'is a list': '[]',
    'is a number': '7',
    'is null': 'null',
    'is not UTF-8': Buffer.from('{"locationId":"\xff\xfe"}', 'latin1'),
    'is too deep': `{"body":${'['.repeat(5_000)}${']'.repeat(5_000)}}`,
  };
  for (const [what, body] of Object.entries(bodies)) {
    it(`because it ${what}: 400, problem+json, and a sentence`, async () => {
      for (const path of ['/push-message', '/contact', '/message-status']) {
        const answer = await post(path, body);
        assert.equal(answer.status, 400);
        assert.equal(answer.headers.get('content-type'), 'application/problem+json');
        const { type, title, status, code, detail } = answer.body;
        assert.deepEqual([type, status, code], ['urn:vcx-ghl:error:malformed_json', 400, 'malformed_json']);
        assert.ok(title.length > 10 && detail.length > 10);
      }
    });
  }

  it('is a 400 for a replay, too, unless there is none', async () => {
    const replay = `/locations/${location}/replay`;
    assert.equal((await post(replay, 'x')).body.code, 'malformed_json');
    assert.deepEqual(fields(await post(replay, '{"ids":"all"}')), ['ids']);
    assert.deepEqual((await post(replay, '')).body, { replayed: 0 });
    assert.deepEqual((await post(replay, '{}')).body, { replayed: 0 });
  });
});

describe('fields that are missing or wrong are named, all in one answer', () => {
  it('of a push: missing', async () => {
    const answer = await post('/push-message', '{}');
    assert.deepEqual([answer.status, answer.body.code], [400, 'invalid_fields']);
    const missing = ['body', 'clientId', 'fromUser', 'locationId', 'timestamp', 'vcxConversationId'];
    assert.deepEqual(fields(answer), missing);
    for (const field of missing) assert.ok(answer.body.detail.includes(field), field);
  });

  it('of a push: wrong', async () => {
    const wrong = {
      locationId: 7,
      clientId: 'c'.repeat(76),
      vcxConversationId: 'a\u0000b',
      fromUser: 'yes',
      body: {},
      timestamp: '1700000000000',
      messageId: 'm'.repeat(129),
      name: [],
      email: false,
      phone: 5,
      attachments: ['https://example.com/a.png', 'http://example.com/b.png', 'javascript:alert(1)', 3],
    };
    const answer = await post('/push-message', JSON.stringify(wrong));
    assert.equal(answer.status, 400);
    const names = Object.keys(wrong).filter((name) => name !== 'attachments');
    assert.deepEqual(fields(answer), [...names, 'attachments[1]', 'attachments[2]', 'attachments[3]'].sort());
  });

  it('of /contact and /message-status', async () => {
    assert.deepEqual(fields(await post('/contact', '{"clientId":""}')), ['clientId', 'locationId']);
    const status = { locationId: location, messageId: 'm', status: 'seen', error: 1 };
    assert.deepEqual(fields(await post('/message-status', JSON.stringify(status))), ['error', 'status']);
    assert.deepEqual(fields(await post('/message-status', '{}')), ['locationId', 'messageId', 'status']);
  });

  it('and nothing of it reaches GHL', async () => {
    const quiet = stage.watch();
    const before = stage.inbox(location).length;
    for (const name of ['clientId', 'vcxConversationId', 'fromUser', 'body', 'timestamp']) {
      assert.deepEqual(fields(await stage.push(location, 'somebody', { [name]: undefined })), [name]);
    }
    assert.deepEqual([quiet(), stage.inbox(location).length], [[], before]);
  });
});

describe('a location that is not connected', () => {
  it('is 404 unknown_location on every route of vCX', async () => {
    const { id } = ghl.addLocation();
    for (const locationId of [id, 'nowhere', '../../token:x', 'ü 😀']) {
      const push = await stage.push(locationId, 'c');
      const contact = await vcx.call('POST', '/contact', { locationId, clientId: 'c' });
      const status = await vcx.call('POST', '/message-status', { locationId, messageId: 'm', status: 'read' });
      const health = await vcx.call('GET', `/locations/${encodeURIComponent(locationId)}`);
      const replay = await vcx.call('POST', `/locations/${encodeURIComponent(locationId)}/replay`);
      for (const answer of [push, contact, status, health, replay]) {
        assert.deepEqual([answer.status, answer.body.code], [404, 'unknown_location']);
      }
    }
  });

  it('is 200 without effect for a webhook', async () => {
    const { id } = ghl.addLocation();
    const reply = { locationId: id, contactId: 'c', messageId: 'm', type: 'SMS', message: 'Hi', attachments: [] };
    const events = vcx.events.length;
    for (const body of [
      reply,
      ghl.event('UNINSTALL', { locationId: id }),
      ghl.event('ContactDelete', { locationId: id, id: 'c' }),
    ]) {
      assert.deepEqual(
        (await ghl.sendWebhook(body)).map(({ status }) => status),
        [200],
      );
    }
    assert.equal(vcx.events.length, events);
    assert.equal((await vcx.call('GET', `/locations/${id}`)).status, 404);
  });
});

describe('sizes', () => {
  it('a body over 256 KB is 413, whether its length is announced or not', async () => {
    const limit = 256 * 1024;
    for (const path of ['/push-message', '/contact', '/message-status']) {
      const answer = await post(path, ' '.repeat(limit + 1));
      assert.deepEqual([answer.status, answer.body.code], [413, 'too_large']);
    }
    const chunks = new ReadableStream({
      start(controller) {
        for (let n = 0; n < 5; n += 1) controller.enqueue(new Uint8Array(60_000).fill(32));
        controller.close();
      },
    });
    assert.equal((await post('/push-message', chunks)).status, 413);
    assert.equal((await post('/push-message', Buffer.alloc(20_000_000, ' '))).status, 413);
    // As large as it may be, it is looked at.
    assert.equal((await post('/push-message', ' '.repeat(limit))).body.code, 'malformed_json');
  });

  it('a text over 64 KB is 413', async () => {
    for (const body of ['x'.repeat(65_537), '😀'.repeat(16_385)]) {
      const answer = await stage.push(location, 'somebody', { body });
      assert.deepEqual([answer.status, answer.body.code], [413, 'too_large']);
    }
  });

  it('a text of 64 KB arrives byte for byte, both ways: emoji, RTL, markup, form feeds and all', async () => {
    const odd =
      '😀👩‍👩‍👧‍👦 שלום עולם مرحبا \u202e <b>&amp;"\'</b> \f\v\b\0\u0001\u007f\u2028\u2029\ufeff\\n\r\n\t {{y}} %00 \u{10ffff}';
    const unit = Buffer.byteLength(odd);
    const body = odd.repeat(Math.floor(65_536 / unit)) + 'é'.repeat(1) + 'x'.repeat((65_536 % unit) - 2);
    assert.equal(Buffer.byteLength(body), 65_536);
    const pushed = await stage.push(location, 'somebody', { body });
    assert.equal(pushed.status, 200);
    assert.ok(stage.inbox(location).at(-1)?.body === body);

    const { messageId } = await ghl.agentReplies({ contactId: pushed.body.contactId, message: body });
    const event = await stage.event((event) => event.messageId === messageId);
    assert.ok(event.body.body === body);
  });
});

describe('an empty text', () => {
  it('with attachments is a message', async () => {
    const attachments = ['https://example.com/1.png', 'https://example.com/%F0%9F%98%80.png?a=1&b=<2>'];
    for (const body of ['', undefined]) {
      const { status } = await stage.push(location, 'somebody', { body, attachments });
      assert.equal(status, 200);
      const { body: text, attachments: urls } = stage.inbox(location).at(-1) ?? {};
      assert.deepEqual([text, urls], ['', attachments]);
    }
  });

  it('without is a 400 that says so', async () => {
    for (const attachments of [undefined, []]) {
      const answer = await stage.push(location, 'somebody', { body: '', attachments });
      assert.deepEqual([answer.status, fields(answer)], [400, ['body']]);
      assert.match(answer.body.errors[0].message, /empty/);
    }
  });
});

describe('a timestamp', () => {
  it('of long ago is kept; GHL shows what comes later after what came before', async () => {
    const id = await stage.connect();
    for (const timestamp of [1_000, 500, 0]) assert.equal((await stage.push(id, 'old', { timestamp })).status, 200);
    assert.deepEqual(
      stage.inbox(id).map(({ dateAdded }) => Date.parse(dateAdded)),
      [1_000, 1_001, 1_002],
    );
  });

  it('of the future is now', async () => {
    const id = await stage.connect();
    for (const timestamp of [Date.now() + 86_400_000, 8.64e15]) {
      const began = Date.now();
      assert.equal((await stage.push(id, 'early', { timestamp })).status, 200);
      const shown = Date.parse(stage.inbox(id).at(-1)?.dateAdded ?? '');
      assert.ok(shown >= began - 10 && shown <= Date.now() + 10, `${shown - began} ms off`);
    }
  });

  it('that is none is a 400', async () => {
    for (const timestamp of [-1, 8.64e15 + 2, 0.5, '0', null, true]) {
      assert.deepEqual(fields(await stage.push(location, 'somebody', { timestamp })), ['timestamp'], `${timestamp}`);
    }
    const huge = JSON.stringify(message(location, 'somebody')).replace(/"timestamp":\d+/, '"timestamp":1e400');
    assert.equal((await post('/push-message', huge)).status, 400);
  });
});

describe('half a surrogate pair', () => {
  it('from vCX is a 400', async () => {
    for (const body of ['\ud83d', 'cut \ud83d off', '\ude00', '\ude00\ud83d']) {
      const answer = await post('/push-message', JSON.stringify(message(location, 'somebody', { body })));
      assert.equal(answer.status, 400, JSON.stringify(body));
      assert.ok(answer.body.detail);
    }
  });

  it('from GHL, which cuts texts anywhere, loses nothing but itself', async () => {
    const { body: pushed } = await stage.push(location, 'somebody');
    const { contactId } = pushed;
    const { messageId } = await ghl.agentReplies({ contactId, message: 'Cut in the middle of \ud83d' });
    const { body } = await stage.event((event) => event.messageId === messageId);
    assert.equal(body.body, 'Cut in the middle of \ufffd');
  });
});

describe('the callback', () => {
  /** @param {string} query @param {string} [cookie] */
  async function visit(query, cookie) {
    const response = await fetch(`${url}/auth/callback${query}`, { headers: cookie ? { cookie } : {} });
    assert.match(response.headers.get('content-type') ?? '', /^text\/html/);
    assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    return { status: response.status, text: await response.text() };
  }

  /** A code for a location that is not connected yet. */
  async function code() {
    const { id } = ghl.addLocation();
    const { code } = await ghl.install({ locationId: id });
    return { id, code };
  }

  /** What /install sends an admin off with. */
  async function begin() {
    const install = await fetch(`${url}/install`, { redirect: 'manual' });
    const state = new URL(install.headers.get('location') ?? '').searchParams.get('state') ?? '';
    return { state, cookie: (install.headers.get('set-cookie') ?? '').split(';')[0] };
  }

  /** Nothing came of it. @param {{ id: string, code: string }} granted @param {{ status: number, text: string }} page @param {RegExp} says */
  async function refused(granted, page, says) {
    assert.equal(page.status, 400);
    assert.match(page.text, says);
    assert.equal((await vcx.call('GET', `/locations/${granted.id}`)).status, 404);
    // The code is still good: nobody used it up.
    assert.equal((await visit(`?code=${granted.code}`)).status, 200);
  }

  it('without a code says what to do', async () => {
    for (const query of ['', '?code=', '?locationId=x']) {
      const page = await visit(query);
      assert.equal(page.status, 400);
      assert.match(page.text, /sent no code\. Start the installation again/);
    }
    const denied = await visit('?error=access_denied&error_description=%3Cb%3Eno%3C/b%3E');
    assert.equal(denied.status, 400);
    assert.match(denied.text, /&lt;b&gt;no&lt;\/b&gt;/);
    assert.doesNotMatch(denied.text, /<b>/);
  });

  it('with a used code says so, and the connection stays', async () => {
    const granted = await code();
    assert.equal((await visit(`?code=${granted.code}`)).status, 200);
    for (const used of [granted.code, 'never-given', '<script>']) {
      const page = await visit(`?code=${encodeURIComponent(used)}`);
      assert.equal(page.status, 400);
      assert.match(page.text, /Authorization code not found.*may be connected already/);
      assert.doesNotMatch(page.text, /<script>/);
    }
    assert.equal((await stage.health(granted.id)).state, 'connected');
  });

  it('with a state that was tampered with connects nothing', async () => {
    const { state, cookie } = await begin();
    const [payload, tag] = [state.slice(0, state.lastIndexOf('.')), state.slice(state.lastIndexOf('.') + 1)];
    const forged = createHmac('sha256', 'not our secret').update(payload).digest('base64url');
    const flipped = payload.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
    for (const wrong of [`${flipped}.${tag}`, `${payload}.${forged}`, payload, `${payload}.`, `${state}x`, 'x', '..']) {
      const granted = await code();
      const page = await visit(`?code=${granted.code}&state=${encodeURIComponent(wrong)}`, cookie);
      await refused(granted, page, /This link is not ours/);
    }
  });

  it('with a state over ten minutes old connects nothing', async () => {
    const { state } = await begin();
    const now = Date.now();
    const late = aged(state, now - 600_001);
    const granted = await code();
    await refused(granted, await visit(`?code=${granted.code}&state=${late}`), /This link is too old/);
    const fresh = await code();
    assert.equal((await visit(`?code=${fresh.code}&state=${aged(state, now - 590_000)}`)).status, 200);
    assert.equal((await stage.health(fresh.id)).via, 'install');
  });

  it('with an expired or forged cookie alone counts as a marketplace installation', async () => {
    const { state } = await begin();
    for (const old of [aged(state, Date.now() - 600_001), `${state}x`]) {
      const granted = await code();
      assert.equal((await visit(`?code=${granted.code}`, `vcx_ghl_state=${old}`)).status, 200);
      assert.equal((await stage.health(granted.id)).via, 'marketplace');
    }
  });

  it('and GHL answers the code with HTML, nothing, or no tokens: 502, nothing connected', async () => {
    for (const fault of [
      { status: 200, body: '<html>' },
      { status: 200, body: '' },
      { status: 200, body: { ok: 1 } },
      { status: 503 },
    ]) {
      const granted = await code();
      ghl.fail({ match: { path: '/oauth/token' }, ...fault });
      const page = await visit(`?code=${granted.code}`);
      assert.equal(page.status, 502);
      assert.match(page.text, /Nothing was connected/);
      assert.equal((await vcx.call('GET', `/locations/${granted.id}`)).status, 404);
    }
  });

  /** The state that an admin has who waited. @param {string} state @param {number} issuedAt */
  function aged(state, issuedAt) {
    const payload = `${state.split('.')[0]}.${issuedAt}`;
    const key = createHmac('sha256', ghl.clientSecret).update('vcx-ghl oauth state v1').digest();
    return `${payload}.${createHmac('sha256', key).update(payload).digest('base64url')}`;
  }
});

describe('missing settings', () => {
  it('are all named: by /health, and by every other route', async () => {
    const missing = [
      'GHL_CLIENT_ID',
      'GHL_CLIENT_SECRET',
      'GHL_PROVIDER_ID',
      'GHL_REDIRECT_URI',
      'SEAL_KEYS',
      'VCX_API_KEY',
    ];
    const vars = Object.fromEntries(missing.map((name) => [name, undefined]));
    const bare = await startStage({ vars: { ...vars, VCX_WEBHOOK_SECRET: undefined, VCX_WEBHOOK_URL: 'ftp://x' } });
    try {
      const health = await fetch(`${bare.url}/health`);
      const body = /** @type {any} */ (await health.json());
      assert.equal(health.status, 503);
      assert.deepEqual(body.missing.sort(), [...missing, 'VCX_WEBHOOK_SECRET', 'VCX_WEBHOOK_URL'].sort());
      const others = ['/install', '/auth/callback?code=x', '/locations', '/openapi.json'].map((path) => ['GET', path]);
      const posts = ['/push-message', '/contact', '/message-status', '/webhook'].map((path) => ['POST', path]);
      for (const [method, path] of [...others, ...posts]) {
        const response = await fetch(bare.url + path, {
          method,
          redirect: 'manual',
          body: method === 'POST' ? '{}' : undefined,
        });
        const problem = /** @type {any} */ (await response.json());
        assert.deepEqual([response.status, problem.code], [500, 'not_configured'], path);
        for (const name of missing) assert.ok(problem.detail.includes(name), `${path} names ${name}`);
      }
    } finally {
      await bare.close();
    }
  });
});

describe('routes', () => {
  it('that do not exist are 404, other methods 405', async () => {
    for (const path of ['/', '/nothing', '/push-message/x', '/locations/a/b', '/%00']) {
      assert.equal((await vcx.call('GET', path)).status, 404, path);
    }
    for (const [method, path] of [
      ['GET', '/push-message'],
      ['PUT', '/contact'],
      ['POST', '/health'],
      ['DELETE', `/locations/${location}`],
    ]) {
      const { status, body } = await vcx.call(method, path);
      assert.deepEqual([status, body.code], [405, 'method_not_allowed'], `${method} ${path}`);
    }
  });
});

describe('a webhook', () => {
  it('that is unsigned or badly signed is 401, without detail', async () => {
    const body = ghl.event('UNINSTALL', { locationId: location });
    for (const header of [null, '', 'N/A', 'AAAA', Buffer.alloc(64).toString('base64')]) {
      const [outcome] = await ghl.sendWebhook(body, { header });
      const { code, detail } = JSON.parse(outcome.body);
      assert.deepEqual([outcome.status, code, detail], [401, 'unauthorized', undefined]);
    }
    assert.equal((await stage.health(location)).state, 'connected');
  });

  it('of another app, or about no location, is 200 without effect', async () => {
    const foreign = { ...ghl.event('UNINSTALL', { locationId: location }), appId: 'f'.repeat(24) };
    for (const body of [foreign, { type: 'UNINSTALL' }, 'not json', '[]', '""', '']) {
      assert.deepEqual(
        (await ghl.sendWebhook(body)).map(({ status }) => status),
        [200],
      );
    }
    assert.equal((await stage.health(location)).state, 'connected');
    const words = stage.logs.filter(({ event }) => event?.startsWith('webhook_'));
    assert.ok(
      words.some(({ event, bytes, sha256 }) => event === 'webhook_unreadable' && bytes === 8 && sha256.length === 64),
    );
  });

  it('that cannot be understood is kept as a dead letter', async () => {
    const id = await stage.connect();
    const odd = {
      locationId: id,
      type: 'OutboundMessage',
      conversationProviderId: ghl.providerId,
      messageType: 'Custom',
    };
    assert.deepEqual(
      (await ghl.sendWebhook(odd)).map(({ status }) => status),
      [200],
    );
    const { deadLetters } = await stage.health(id);
    assert.deepEqual(
      deadLetters.map((/** @type {any} */ dead) => dead.code),
      ['unintelligible'],
    );
  });
});

describe('GHL answers oddly, and nothing is lost or doubled:', { concurrency: true }, () => {
  /** What a 2xx may hold instead of an answer. @type {Record<string, unknown>} */
  const odd = { HTML: '<html>Just a moment</html>', 'an empty body': '', 'another object': { ok: true } };

  /** A text is in GHL once, and nothing is left to do. @param {string} id @param {string} text */
  async function arrives(id, text) {
    await until(async () => stage.inbox(id).some(({ body }) => body === text), `“${text}” in GHL`, 40_000);
    await until(async () => (await stage.health(id)).queue.depth === 0, 'an empty queue', 40_000);
    assert.equal(stage.inbox(id).filter(({ body }) => body === text).length, 1);
    assert.deepEqual((await stage.health(id)).deadLetters, []);
  }

  for (const [what, body] of Object.entries(odd)) {
    for (const when of /** @type {const} */ (['before', 'after'])) {
      it(`a message is answered 2xx with ${what}, ${when} it was stored`, async () => {
        const id = await stage.connect();
        const text = `${what} ${when}`;
        const path = '/conversations/messages/inbound';
        ghl.fail({ match: { path, body: { message: text } }, status: 201, body, when });
        const answer = await stage.push(id, 'c', { body: text });
        assert.equal(answer.status, 200);
        await arrives(id, text);
      });
    }

    it(`the look for a message is answered 2xx with ${what}: that is no “not there”`, async () => {
      const id = await stage.connect();
      const { body: pushed } = await stage.push(id, 'c');
      const text = `looked for, ${what}`;
      ghl.fail({
        match: { path: '/conversations/messages/inbound', body: { message: text } },
        status: 500,
        when: 'after',
      });
      const looks = ghl.fail({ match: { path: `/conversations/${pushed.conversationId}/messages` }, times: 3, body });
      assert.ok((await stage.push(id, 'c', { body: text })).status <= 202);
      await arrives(id, text);
      assert.equal(looks.left, 0);
    });

    it(`the contact search is answered 2xx with ${what}: there is no second contact`, async () => {
      const id = await stage.connect();
      const field = [...ghl.state.customFields.values()].find(({ locationId }) => locationId === id);
      const { access_token } = ghl.issueTokens({ locationId: id });
      const clientId = `known-${what.replace(' ', '-')}`;
      const customFields = [{ id: field?.id, field_value: clientId }];
      const headers = {
        authorization: `Bearer ${access_token}`,
        version: '2021-07-28',
        'content-type': 'application/json',
      };
      const contact = JSON.stringify({ locationId: id, name: 'Known', customFields });
      await fetch(`${ghl.url}/contacts/`, { method: 'POST', headers, body: contact });
      const search = ghl.fail({ match: { path: '/contacts/search', body: { locationId: id } }, body });
      const answer = await stage.push(id, clientId, { email: undefined });
      assert.deepEqual([answer.status, search.left], [200, 0]);
      assert.equal([...ghl.state.contacts.values()].filter(({ locationId }) => locationId === id).length, 1);
    });

    it(`the custom fields are listed as ${what}: the one that is there is found later`, async () => {
      const { id } = ghl.addLocation();
      const { access_token } = ghl.issueTokens({ locationId: id });
      const path = `/locations/${id}/customFields`;
      const headers = {
        authorization: `Bearer ${access_token}`,
        version: '2021-07-28',
        'content-type': 'application/json',
      };
      const field = JSON.stringify({ name: 'vCX Client Id', dataType: 'TEXT', model: 'contact' });
      assert.equal((await fetch(ghl.url + path, { method: 'POST', headers, body: field })).status, 201);
      const list = ghl.fail({ match: { path, method: 'GET' }, body });
      await ghl.install({ locationId: id, visit: true });
      const { body: pushed } = await stage.push(id, 'c');
      assert.equal(list.left, 0);
      assert.deepEqual(
        ghl.state.contacts.get(pushed.contactId)?.customFields.map(({ value }) => value),
        ['c'],
      );
      assert.equal([...ghl.state.customFields.values()].filter(({ locationId }) => locationId === id).length, 1);
    });
  }

  it('a message is answered 500, since the provider id is wrong: the reason names it', async () => {
    const id = await stage.connect();
    const { body: pushed } = await stage.push(id, 'c');
    const fault = ghl.fail({
      match: { path: '/conversations/messages/inbound', body: { contactId: pushed.contactId } },
      times: null,
      status: 500,
    });
    void stage.push(id, 'c', { body: 'No such provider' });
    const { contactId } = pushed;
    await stage.sandbox.waitFor(
      ({ status, requestBody }) => status === 500 && /** @type {any} */ (requestBody)?.contactId === contactId,
    );
    await until(async () => (await stage.health(id)).lastError, 'the note of it');
    const { status, body } = await stage.push(id, 'c', { body: 'Behind it' });
    assert.deepEqual([status, body.status], [202, 'queued']);
    assert.ok(body.reason.includes(`GHL_PROVIDER_ID ${ghl.providerId}`), body.reason);
    fault.remove();
    await until(async () => stage.inbox(id).length === 3, 'both', 30_000);
  });

  it('a message is answered with a page of a firewall, 403 and 503', async () => {
    const id = await stage.connect();
    for (const status of [403, 503]) {
      const text = `page with ${status}`;
      ghl.fail({ match: { path: '/conversations/messages/inbound', body: { message: text } }, status, body: '<html>' });
      assert.equal((await stage.push(id, 'c', { body: text })).status, 200);
      await arrives(id, text);
    }
  });
});

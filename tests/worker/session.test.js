/** A browser's way in: sessions that npm jose signs, pages that may ask, the pace, and what a session does not open. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { generateKeyPair, jwtVerify, SignJWT, UnsecuredJWT } from 'jose';
import { message, startStage } from './stage.js';

const SECRET = 'the secret that signs the sessions of this test';
const OLDER = 'the secret that signed the sessions before it';
const PAGE = 'https://chat.example';
const ROUTES = ['/push-message', '/message-status'];

const stage = await startStage({
  vars: { SESSION_SECRET: `${SECRET}, ${OLDER}`, VCX_ALLOWED_ORIGINS: `http://localhost:5173, ${PAGE}` },
});
const { ghl, vcx, url } = stage;
after(() => stage.close());
const location = await stage.connect();
await stage.push(location, 'mina');

/** The claims of a session of Mina's. @param {Record<string, unknown>} [more] */
function claims(more) {
  const now = Math.floor(Date.now() / 1000);
  return { aud: 'vcx-ghl', loc: location, sub: 'mina', conv: 'chat-mina', iat: now, exp: now + 3_600, ...more };
}

/** @param {Record<string, unknown>} [more] @param {string} [secret] @param {string} [alg] */
const session = (more, secret = SECRET, alg = 'HS256') =>
  new SignJWT(claims(more)).setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret));

/**
 * What a page sends, byte for byte, and what it may read of the answer.
 * @param {string} path
 * @param {string} bearer
 * @param {BodyInit | Record<string, unknown>} body
 * @param {{ origin?: string, method?: string, headers?: Record<string, string> }} [more]
 */
async function post(path, bearer, body, { origin, method = 'POST', headers: extra } = {}) {
  const headers = { ...extra, authorization: `Bearer ${bearer}`, ...(origin !== undefined && { origin }) };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(url + path, { method, headers, body: method === 'OPTIONS' ? undefined : text });
  const answer = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: /** @type {any} */ (answer && JSON.parse(answer)),
    page: response.headers.get('access-control-allow-origin'),
  };
}

/** @param {string} text @param {Record<string, unknown>} [more] */
const words = (text, more) => ({ body: text, timestamp: Date.now(), messageId: randomUUID(), ...more });

describe('a session that jose signed', () => {
  it('pushes into its own chat, with the e-mail of its claims', async () => {
    const visitor = { sub: 'jo', conv: 'chat-jo', name: 'Jo Doe', email: 'jo@example.com' };
    const said = words('Hello', { email: 'somebody-else@example.com', name: 'Somebody Else' });
    const { status, body } = await post('/push-message', await session(visitor), said);
    assert.deepEqual([status, body.status], [200, 'sent']);
    const { email, firstName, lastName } = ghl.state.contacts.get(body.contactId) ?? {};
    assert.deepEqual([email, firstName, lastName], ['jo@example.com', 'Jo', 'Doe']);
    const { altId, direction, body: text } = stage.inbox(location).at(-1) ?? {};
    assert.deepEqual([altId, direction, text], [said.messageId, 'inbound', 'Hello']);
  });

  it('may have a list as its audience, and the secret before the last', async () => {
    for (const token of [await session({ aud: ['a', 'vcx-ghl'] }), await session({}, OLDER)]) {
      assert.equal((await post('/push-message', token, words('Hello'))).status, 200);
    }
  });

  it("reads its own chat's messages, and no others", async () => {
    const contactOf = async (/** @type {string} */ client) => (await stage.push(location, client)).body.contactId;
    const [own, foreign] = [await contactOf('mina'), await contactOf('neighbour')];
    const [mine, other] = [
      await ghl.agentReplies({ contactId: own, message: 'For Mina' }),
      await ghl.agentReplies({ contactId: foreign, message: 'For another' }),
    ];
    await stage.event(({ messageId }) => messageId === other.messageId);
    const read = (/** @type {string} */ messageId) => ({ messageId, status: 'read' });
    const token = await session();
    const answers = await Promise.all(
      [mine.messageId, other.messageId, 'nowhere'].map((id) => post('/message-status', token, read(id))),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 404, 404],
    );
    const [, hidden, unknown] = answers.map(({ body }) => body);
    assert.equal(hidden.detail.replace(other.messageId, '?'), unknown.detail.replace('nowhere', '?'));
    await stage.sandbox.waitFor(() => ghl.state.messages.get(mine.messageId)?.status === 'read', { what: 'read' });
    assert.notEqual(ghl.state.messages.get(other.messageId)?.status, 'read');
  });

  it('says nothing for others: 403, and nothing is stored', async () => {
    const token = await session();
    const before = stage.inbox(location).length;
    for (const change of [
      { locationId: 'elsewhere' },
      { clientId: 'neighbour' },
      { vcxConversationId: 'chat-neighbour' },
      { fromUser: false },
    ]) {
      const { status, body } = await post('/push-message', token, words('Hello', change));
      assert.deepEqual([status, body.code], [403, 'forbidden']);
      assert.deepEqual(body.errors, [{ field: Object.keys(change)[0], message: "is not the session's" }]);
    }
    assert.equal(stage.inbox(location).length, before);
  });

  it('opens nothing else', async () => {
    const token = await session();
    for (const path of ['/contact', `/locations/${location}/replay`]) {
      const { status, page } = await post(path, token, { locationId: location, clientId: 'mina' }, { origin: PAGE });
      assert.deepEqual([status, page], [401, null], path);
    }
    const headers = { authorization: `Bearer ${token}` };
    for (const path of ['/locations', `/locations/${location}`])
      assert.equal((await fetch(url + path, { headers })).status, 401);
  });
});

describe('a token that is not good is 401, and stores nothing', async () => {
  const now = Math.floor(Date.now() / 1000);
  const { privateKey } = await generateKeyPair('EdDSA');
  const good = await session();
  const [head, , tag] = good.split('.');
  const altered = Buffer.from(JSON.stringify(claims({ sub: 'neighbour' }))).toString('base64url');
  /** @type {Record<string, string>} */
  const tokens = {
    'unsigned: alg none': new UnsecuredJWT(claims()).encode(),
    'signed by HS512': await session({}, SECRET + SECRET, 'HS512'),
    'signed by Ed25519': await new SignJWT(claims()).setProtectedHeader({ alg: 'EdDSA' }).sign(privateKey),
    'signed with another secret': await session({}, 'a secret that nobody told the Worker'),
    altered: `${head}.${altered}.${tag}`,
    expired: await session({ iat: now - 7_200, exp: now - 3_600 }),
    'from the future': await session({ iat: now + 600 }),
    'for two days': await session({ exp: now + 172_800 }),
    'for another audience': await session({ aud: 'vcx' }),
    'without an audience': await session({ aud: undefined }),
    'without a location': await session({ loc: undefined }),
    'without a client': await session({ sub: undefined }),
    'without a conversation': await session({ conv: undefined }),
    'of a client with a long id': await session({ sub: 'c'.repeat(76) }),
    'with crit': await new SignJWT(claims())
      .setProtectedHeader({ alg: 'HS256', crit: ['x'], x: 1 })
      .sign(new TextEncoder().encode(SECRET), { crit: { x: false } }),
    'over 8 KB': await session({ more: 'x'.repeat(8_192) }),
    'no token': 'hello',
    'not there': '',
  };
  for (const [what, token] of Object.entries(tokens)) {
    it(what, async () => {
      const before = stage.inbox(location).length;
      for (const path of ROUTES) {
        const { status, headers, body, page } = await post(path, token, words('Hello'), { origin: PAGE });
        assert.deepEqual(
          [status, body.code, headers.get('www-authenticate'), page],
          [401, 'unauthorized', 'Bearer', PAGE],
        );
      }
      assert.equal(stage.inbox(location).length, before);
    });
  }
});

describe('the tokens that src/session.rs signs', () => {
  /** @type {any} */
  const { secret, sign } = JSON.parse(readFileSync(new URL('../vectors/session.json', import.meta.url), 'utf8'));
  const key = new TextEncoder().encode(secret.split(', ')[0]);
  for (const { name, session, token } of sign) {
    it(`are taken by jose: ${name}`, async () => {
      const currentDate = new Date(session.issuedAt);
      const { payload, protectedHeader } = await jwtVerify(token, key, {
        algorithms: ['HS256'],
        audience: 'vcx-ghl',
        currentDate,
      });
      assert.deepEqual(protectedHeader, { alg: 'HS256', typ: 'JWT' });
      const { locationId: loc, clientId: sub, conversation: conv, issuedAt, expiresAt, ...details } = session;
      const times = { iat: Math.floor(issuedAt / 1000), exp: Math.floor(expiresAt / 1000) };
      assert.deepEqual(payload, { aud: 'vcx-ghl', loc, sub, conv, ...times, ...details });
    });
  }
});

describe('a page', () => {
  it('of an allowed origin asks first, and is told what it may send', async () => {
    for (const path of ROUTES) {
      const ask = {
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      };
      const { status, headers, page } = await post(path, '', '', { method: 'OPTIONS', origin: PAGE, headers: ask });
      const told = ['allow-methods', 'allow-headers', 'max-age'].map((name) => headers.get(`access-control-${name}`));
      assert.deepEqual([status, page, ...told], [204, PAGE, 'POST', 'authorization, content-type', '7200']);
      assert.equal(headers.get('vary'), 'Origin');
    }
  });

  it('of another is told nothing', async () => {
    for (const origin of ['https://evil.example', 'null', `${PAGE}.evil.example`]) {
      for (const path of ROUTES) {
        const preflight = await post(path, '', '', { method: 'OPTIONS', origin });
        const names = [...preflight.headers.keys()].filter((name) => name.startsWith('access-control-'));
        assert.deepEqual([preflight.status, names], [403, []]);
      }
    }
    assert.equal((await post('/contact', '', '', { method: 'OPTIONS', origin: PAGE })).status, 405);
  });

  it('of another is refused with a good session, and nothing is stored', async () => {
    const token = await session();
    const before = stage.inbox(location).length;
    const quiet = stage.watch();
    for (const path of ROUTES) {
      const { status, body, page, headers } = await post(path, token, words('Hello'), {
        origin: 'https://evil.example',
      });
      assert.deepEqual([status, body.code, page, headers.get('vary')], [403, 'origin_not_allowed', null, 'Origin']);
    }
    assert.deepEqual([stage.inbox(location).length, quiet()], [before, []]);
  });

  it('reads every answer, whoever gives it', async () => {
    const token = await session({ sub: 'page', conv: 'chat-page' });
    const stranger = await session({ loc: 'nowhere' });
    const said = words('Hello');
    /** @type {[number, ReturnType<typeof post>][]} */
    const asked = [
      [200, post('/push-message', token, said, { origin: PAGE })],
      [400, post('/push-message', token, '{', { origin: PAGE })],
      [400, post('/message-status', token, {}, { origin: PAGE })],
      [401, post('/push-message', 'nobody', said, { origin: PAGE })],
      [403, post('/push-message', token, words('Hello', { clientId: 'mina' }), { origin: PAGE })],
      [404, post('/push-message', stranger, said, { origin: PAGE })],
      [405, post('/push-message', token, '{}', { origin: PAGE, method: 'PUT' })],
      [413, post('/push-message', token, words('x'.repeat(65_537)), { origin: PAGE })],
      [413, post('/push-message', token, 'x'.repeat(262_145), { origin: PAGE })],
      [431, post('/push-message', 'x'.repeat(16_384), said, { origin: PAGE })],
    ];
    for (const [expected, answering] of asked) {
      const { status, headers, page } = await answering;
      const exposed = headers.get('access-control-expose-headers');
      assert.deepEqual([status, page, headers.get('vary'), exposed], [expected, PAGE, 'Origin', 'Retry-After']);
    }
  });

  it('need not be there: a program has no origin, and the key works as before', async () => {
    const push = message(location, 'mina');
    const origins = [undefined, PAGE, 'https://evil.example'];
    for (const origin of origins) {
      const answer = await post('/push-message', vcx.apiKey, { ...push, messageId: randomUUID() }, { origin });
      assert.deepEqual([answer.status, answer.page], [200, origin === PAGE ? PAGE : null]);
    }
    assert.equal((await post('/push-message', await session(), words('Hello'))).status, 200);
  });
});

describe('a browser that pushes faster than anybody writes', () => {
  it('is told when to go on after 30 messages, and nothing beyond is stored', async () => {
    const token = await session({ sub: 'fast', conv: 'chat-fast' });
    const all = Array.from({ length: 30 }, (_, n) => words(`Line ${n}`));
    const taken = [];
    for (const one of all) taken.push((await post('/push-message', token, one, { origin: PAGE })).status);
    assert.deepEqual(new Set(taken), new Set([200]));

    const over = words('One more');
    const { status, body, headers, page } = await post('/push-message', token, over, { origin: PAGE });
    assert.deepEqual([status, body.code, page], [429, 'too_many_requests', PAGE]);
    const wait = Number(headers.get('retry-after'));
    assert.ok(wait > 0 && wait <= 60, `${wait} s`);
    assert.equal(stage.inbox(location).filter(({ altId }) => altId === over.messageId).length, 0);

    // What is there is answered; other chats, and the backend, go on.
    assert.equal((await post('/push-message', token, all[0])).body.status, 'sent');
    assert.equal(
      (await post('/push-message', await session({ sub: 'slow', conv: 'chat-slow' }), words('Hi'))).status,
      200,
    );
    assert.equal((await stage.push(location, 'fast')).status, 200);
    assert.equal((await post('/push-message', token, over)).status, 429);
  });
});

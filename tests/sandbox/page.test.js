/** What the page of the sandbox stands on: its files, the agent's inbox, what goes on as it happens, and the plugs. */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, it } from 'node:test';
import { connected, start, work } from './stage.js';

/** @import { Sandbox } from '../../js/sandbox/index.js' */

describe('the page', () => {
  it('comes with a policy that lets in nothing but its own, and names where it may call', async () => {
    const sandbox = await start({ workerUrl: 'http://127.0.0.1:8787' });
    const reply = await fetch(sandbox.pageUrl);
    assert.match(await reply.text(), new RegExp(`data-ghl="${sandbox.ghl.url}" data-worker="http://127.0.0.1:8787"`));
    const policy = reply.headers.get('content-security-policy') ?? '';
    assert.match(policy, /^default-src 'none'; script-src 'self' 'sha256-[^']+'; style-src 'self';/);
    assert.ok(
      policy.includes(`connect-src 'self' ${sandbox.ghl.url} http://127.0.0.1:8787 ws://127.0.0.1:8787;`),
      policy,
    );
    assert.match(policy, /require-trusted-types-for 'script'; trusted-types 'none'$/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    assert.ok(sandbox.traffic.length === 0, 'it is no call that anybody wants to see');
  });

  it('has its own files, and nobody else’s', async () => {
    const { vcx } = await start();
    for (const [path, type] of [
      ['/main.js', 'text/javascript; charset=utf-8'],
      ['/page.css', 'text/css; charset=utf-8'],
      ['/icon.svg', 'image/svg+xml'],
    ]) {
      const reply = await fetch(vcx.origin + path);
      assert.deepEqual([reply.status, reply.headers.get('content-type')], [200, type], path);
    }
    // fetch() would tidy up these paths.
    for (const path of ['/../index.js', '/pkg/../js/worker.js', '/%2e%2e/index.js', '/nothing.js', '/index.html']) {
      assert.equal(await statusOf(vcx.origin, path), 404, path);
    }
  });

  it('its origin is one that the Worker is told to let in', async () => {
    const sandbox = await start({ workerUrl: 'http://127.0.0.1:8787' });
    assert.equal(`${sandbox.workerVars().VCX_ALLOWED_ORIGINS}/`, sandbox.pageUrl);
  });
});

describe('the inbox', () => {
  it('shows the contacts, the last to write first, and the messages of one', async () => {
    const sandbox = await start();
    const { log, api, contactId, locationId } = await connected(sandbox);
    const other = await api('POST', '/contacts/', { locationId, firstName: 'Noor', email: 'noor@example.com' });
    await log();
    const { location, agent, contacts, messages } = await lever(sandbox, `/inbox?contactId=${contactId}`);
    assert.deepEqual([location, agent], ['Acme Dental', 'Ann Agent']);
    assert.deepEqual(
      contacts.map((/** @type {any} */ { id, name, unread, lastBody }) => [id, name, unread, lastBody]),
      [
        [contactId, 'Mina Kim', 1, 'Hello'],
        [other.body.contact.id, 'Noor', 0, ''],
      ],
    );
    assert.deepEqual(
      messages.map((/** @type {any} */ { direction, body }) => [direction, body]),
      [['inbound', 'Hello']],
    );
    assert.deepEqual((await lever(sandbox, '/inbox')).messages, []);
    assert.match((await lever(sandbox, '/inbox?locationId=nowhere')).error, /there is no location nowhere/);
  });
});

describe('the stream', () => {
  it('tells of each call as it begins and as it ends, without what it carried', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    const news = await listen(sandbox);
    await news.until(({ plugs }) => plugs);
    await log();
    const name = '/conversations/messages/inbound';
    const began = await news.until(({ call }) => call?.path === name && call.status === null);
    const { call } = await news.until(({ call }) => call?.n === began.call.n && call.status === 200);
    assert.deepEqual([call.from, call.to, call.method, call.bad], ['Worker', 'GHL', 'POST', false]);
    assert.doesNotMatch(news.text(), /Hello/);
    news.close();
  });

  it('begins with the last calls, for who opens the page later', async () => {
    const sandbox = await start();
    await connected(sandbox);
    const news = await listen(sandbox);
    const { call } = await news.until(({ call }) => call?.path === '/contacts/');
    assert.equal(call.status, 201);
    news.close();
  });
});

describe('a plug', () => {
  it('of GHL, pulled, leaves nothing but 503; put back, all is as before', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    assert.deepEqual(await lever(sandbox, '/plug', { name: 'ghl', in: false }), { ghl: false, vcx: true, token: true });
    await lever(sandbox, '/plug', { name: 'ghl', in: false });
    for (const _ of 'ab') assert.equal((await log()).status, 503);
    assert.deepEqual(await lever(sandbox, '/plug', { name: 'ghl', in: true }), { ghl: true, vcx: true, token: true });
    assert.equal((await log()).status, 200);
  });

  it('of vCX is vCX’s alone', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    sandbox.plugs.set('vcx', false);
    assert.equal((await fetch(sandbox.vcx.url, { method: 'POST', body: '{}' })).status, 503);
    assert.equal((await log()).status, 200);
    sandbox.plugs.set('vcx', true);
    assert.equal((await fetch(sandbox.vcx.url, { method: 'POST', body: '{}' })).status, 401);
  });

  it('of the token: GHL takes none, and gives no other', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    const refresh = () => fetch(`${sandbox.ghl.url}/oauth/token`, { method: 'POST', headers: { version: 'v3' } });
    sandbox.plugs.set('token', false);
    const refused = await log();
    assert.deepEqual([refused.status, refused.body.message], [401, 'Invalid token: access token is invalid']);
    assert.equal((await refresh()).status, 503);
    sandbox.plugs.set('token', true);
    assert.equal((await log()).status, 200);
    assert.notEqual((await refresh()).status, 503);
  });

  it('is heard of on the stream, and comes back with all the other faults', async () => {
    const sandbox = await start();
    const news = await listen(sandbox);
    await news.until(({ plugs }) => plugs?.ghl === true);
    sandbox.plugs.set('ghl', false);
    await news.until(({ plugs }) => plugs?.ghl === false);
    await lever(sandbox, '/clear', {});
    await news.until(({ plugs }) => plugs?.ghl === true);
    assert.match((await lever(sandbox, '/plug', { name: 'gas', in: true })).error, /no plug gas, only ghl, vcx, token/);
    news.close();
  });
});

describe('how the location is', () => {
  it('is asked for with vCX’s key, and is no part of the traffic', async () => {
    const sandbox = await start();
    const worker = await work(sandbox);
    const heard = sandbox.waitFor(({ n, kind, path }) => n === 0 && kind === 'page' && path.startsWith('/locations/'));
    // The stand-in answers no JSON.
    assert.equal(await lever(sandbox, '/health'), `GET /locations/${sandbox.ghl.locationId}`);
    assert.match(worker.got[0].headers.authorization ?? '', /^Bearer vcx_/);
    await heard;
    assert.deepEqual(sandbox.traffic, []);
  });

  it('says why, when there is no Worker', async () => {
    const sandbox = await start({ workerUrl: 'http://127.0.0.1:9' });
    assert.match((await lever(sandbox, '/health')).error, /ECONNREFUSED/);
  });
});

/** @param {Sandbox} sandbox @param {string} path @param {unknown} [body] @returns {Promise<any>} */
async function lever({ ghl }, path, body) {
  const init = body && { method: 'POST', body: JSON.stringify(body) };
  return (await fetch(`${ghl.url}/_sandbox${path}`, init || {})).json();
}

/** @param {string} origin @param {string} path as it is @returns {Promise<number | undefined>} */
function statusOf(origin, path) {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const asking = request({ hostname, port, path }, (reply) => {
      reply.resume();
      resolve(reply.statusCode);
    });
    asking.on('error', reject);
    asking.end();
  });
}

/** The stream, and what was heard on it. @param {Sandbox} sandbox */
async function listen({ ghl }) {
  const giveUp = new AbortController();
  const { body, headers } = await fetch(`${ghl.url}/_sandbox/stream`, { signal: giveUp.signal });
  assert.equal(headers.get('content-type'), 'text/event-stream');
  assert.equal(headers.get('access-control-allow-origin'), '*');
  const parts = /** @type {ReadableStream<any>} */ (body).pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  let looked = 0;

  return {
    text: () => text,
    close: () => giveUp.abort(),
    /** The next that is so. @param {(news: any) => unknown} isIt @returns {Promise<any>} */
    async until(isIt) {
      for (;;) {
        const all = text.split('\n\n').slice(0, -1);
        for (const one of all.slice(looked)) {
          looked += 1;
          if (!one.startsWith('data: ')) continue;
          const news = JSON.parse(one.slice('data: '.length));
          if (isIt(news)) return news;
        }
        const { value, done } = await parts.read();
        assert.ok(!done, `the stream has ended: ${text}`);
        text += value;
      }
    },
  };
}

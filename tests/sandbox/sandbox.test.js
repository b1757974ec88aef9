/** Faults, waiting and the traffic. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connected, start, work } from './stage.js';

/** @import { Sandbox } from '../../js/sandbox/index.js' */

const INBOUND = '/conversations/messages/inbound';

/** @param {Sandbox} sandbox */
const messages = ({ ghl }) => [...ghl.state.messages.values()];

describe('faults', () => {
  it('a dropped call before it took effect leaves nothing behind', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    sandbox.ghl.fail({ match: { method: 'POST', path: INBOUND }, drop: 'before' });
    await assert.rejects(log());
    assert.equal(messages(sandbox).length, 0);
    assert.equal((await log()).status, 200);
  });

  it('a dropped call after it took effect is stored, and the caller does not know', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    sandbox.ghl.fail({ match: { path: INBOUND }, drop: 'after' });
    await assert.rejects(log());
    assert.equal(messages(sandbox).length, 1);
    const entry = await sandbox.waitFor(({ path, status }) => path === INBOUND && status === 0);
    assert.equal(entry.fault, 'drop after');
  });

  it('any status, with any body, before or after it took effect', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    sandbox.ghl.fail({ match: { path: INBOUND }, status: 502, body: '<h1>Bad Gateway</h1>' });
    sandbox.ghl.fail({ match: { path: INBOUND }, status: 503, when: 'after', headers: { 'Retry-After': '7' } });
    sandbox.ghl.fail({ match: { path: INBOUND }, status: 200, body: { success: true } });
    sandbox.ghl.fail({ match: { path: INBOUND }, status: 200, body: '' });

    const html = await log();
    assert.deepEqual([html.status, html.text], [502, '<h1>Bad Gateway</h1>']);
    assert.match(html.headers.get('content-type') ?? '', /html/);
    assert.equal(messages(sandbox).length, 0);

    const stored = await log();
    assert.deepEqual([stored.status, stored.headers.get('retry-after')], [503, '7']);
    assert.equal(messages(sandbox).length, 1);

    assert.deepEqual((await log()).body, { success: true });
    assert.equal((await log()).text, '');
    assert.equal(messages(sandbox).length, 1);
  });

  it('times, skip, remove and clear', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    const handle = sandbox.ghl.fail({ match: { path: /inbound$/ }, status: 500, times: 2, skip: 1 });
    const statuses = [];
    for (let i = 0; i < 4; i += 1) statuses.push((await log()).status);
    assert.deepEqual(statuses, [200, 500, 500, 200]);
    assert.deepEqual([handle.used, handle.left], [2, 0]);

    const always = sandbox.ghl.fail({ status: 500, times: null });
    assert.equal((await log()).status, 500);
    assert.equal((await log()).status, 500);
    always.remove();
    assert.equal((await log()).status, 200);
    sandbox.ghl.fail({ status: 500, times: null });
    sandbox.ghl.clearFaults();
    assert.equal((await log()).status, 200);
  });

  it('a delayed call takes effect late, although the caller gave up', async () => {
    const sandbox = await start();
    const { contactId, accessToken } = await connected(sandbox);
    sandbox.ghl.fail({ match: { path: INBOUND }, delayMs: 200 });
    const body = { type: 'Custom', contactId, conversationProviderId: sandbox.ghl.providerId };
    const giveUp = new AbortController();
    const call = fetch(sandbox.ghl.url + INBOUND, {
      method: 'POST',
      headers: { authorization: `Bearer ${accessToken}`, version: '2021-04-15', 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: giveUp.signal,
    });
    call.catch(() => {});
    await sandbox.waitFor(({ path }) => path === INBOUND);
    giveUp.abort();
    await assert.rejects(call);
    assert.equal(messages(sandbox).length, 0);
    await sandbox.waitFor(() => messages(sandbox).length === 1, { what: 'the late message' });
  });

  it('one grant of the token call, by its form', async () => {
    const sandbox = await start();
    const { clientId, clientSecret, url, locationId } = sandbox.ghl;
    const { refresh_token } = sandbox.ghl.issueTokens({ locationId });
    const { code } = await sandbox.ghl.install({ locationId });
    sandbox.ghl.fail({ match: { path: '/oauth/token', body: { grant_type: 'refresh_token' } }, status: 500 });
    /** @param {Record<string, string>} form */
    const token = async (form) => {
      const body = new URLSearchParams({ client_id: clientId, client_secret: clientSecret, ...form });
      return (await fetch(`${url}/oauth/token`, { method: 'POST', body })).status;
    };
    assert.equal(await token({ grant_type: 'authorization_code', code }), 200);
    assert.equal(await token({ grant_type: 'refresh_token', refresh_token }), 500);
    assert.equal(await token({ grant_type: 'refresh_token', refresh_token }), 200);
  });
});

describe('waiting', () => {
  it('finds what is past, and what is to come', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    const created = await sandbox.waitFor(({ path }) => path === '/contacts/');
    assert.equal(created.status, 201);
    const waiting = sandbox.waitFor(({ path, status }) => path === INBOUND && status === 200);
    await log();
    assert.equal((await waiting).status, 200);
    const later = sandbox.waitFor(({ path, status }) => path === INBOUND && status === 200, {
      after: (await waiting).n,
      timeoutMs: 20,
      what: 'a second message',
    });
    await assert.rejects(
      later,
      /^Error: waited 20 ms for a second message; it did not happen\. The last calls were:\n.*inbound 200/s,
    );
  });

  it('looks at the sandbox, too, and gives what was found', async () => {
    const sandbox = await start();
    const contact = sandbox.waitFor((_, { ghl }) => [...ghl.state.contacts.values()][0]);
    const { contactId } = await connected(sandbox);
    assert.equal((await contact).id, contactId);
    const paused = sandbox.waitFor((_, { ghl }) => ghl.state.locations.get(ghl.locationId)?.active === false);
    sandbox.ghl.pauseLocation(sandbox.ghl.locationId);
    await paused;
  });

  it('passes on what the predicate throws, and ends with the sandbox', async () => {
    const sandbox = await start();
    const wrong = sandbox.waitFor(() => {
      throw new TypeError('oops');
    });
    await assert.rejects(wrong, /oops/);
    const waiting = sandbox.waitFor(() => false, { what: 'nothing' });
    const rejected = assert.rejects(waiting, /closed while waiting/);
    await sandbox.close();
    await rejected;
  });
});

describe('the traffic', () => {
  it('holds no token, secret, code or signature', async () => {
    const sandbox = await start();
    await work(sandbox);
    const { ghl, vcx } = sandbox;
    const { location } = await sandbox.walkInstall({ locationId: ghl.locationId });
    const code = String(new URL(location).searchParams.get('code'));
    const client = { client_id: ghl.clientId, client_secret: ghl.clientSecret };
    /** @param {Record<string, string>} form @returns {Promise<any>} */
    const token = async (form) => {
      const body = new URLSearchParams({ ...client, ...form });
      return (await fetch(`${ghl.url}/oauth/token`, { method: 'POST', body })).json();
    };
    const first = await token({ grant_type: 'authorization_code', code });
    const second = await token({ grant_type: 'refresh_token', refresh_token: first.refresh_token });
    const { log } = await connected(sandbox);
    await log();
    const reconnect = { clientKey: ghl.clientId, clientSecret: ghl.clientSecret, locationId: ghl.locationId };
    const { authorizationCode } = /** @type {any} */ (
      await (
        await fetch(`${ghl.url}/oauth/reconnect`, {
          method: 'POST',
          headers: { version: '2021-07-28', 'content-type': 'application/json' },
          body: JSON.stringify(reconnect),
        })
      ).json()
    );
    await vcx.push({ body: 'hi' });
    await ghl.settled();
    const text = JSON.stringify(sandbox.traffic);
    const secrets = [first, second].flatMap(({ access_token, refresh_token }) => [access_token, refresh_token]);
    secrets.push(code, authorizationCode, ghl.clientSecret, vcx.apiKey, vcx.webhookSecret, 'signed-state');
    for (const secret of secrets) {
      assert.ok(secret);
      assert.ok(!text.includes(secret), `${secret.slice(0, 12)}… is in the traffic`);
    }
    assert.ok(text.includes('[redacted]'));
    assert.doesNotMatch(text, /Bearer eyJ|x-ghl-signature/i);
  });

  it('keeps the order in which calls began, and what was said', async () => {
    const sandbox = await start();
    const { log } = await connected(sandbox);
    sandbox.ghl.fail({ match: { path: INBOUND }, answerDelayMs: 30 });
    const slow = log({ message: 'slow' });
    await sandbox.waitFor(({ path }) => path === INBOUND);
    await log({ message: 'quick' });
    await slow;
    const [one, two] = sandbox.traffic.filter(({ path }) => path === INBOUND);
    const said = [one, two].map(({ requestBody }) => /** @type {any} */ (requestBody).message);
    assert.deepEqual(said, ['slow', 'quick']);
    assert.equal(two.n, one.n + 1);
    assert.ok(one.ms > two.ms);
    assert.equal(/** @type {any} */ (one.responseBody).message, 'slow');
  });

  it('is bounded', async () => {
    const sandbox = await start({ trafficLimit: 10 });
    const { log } = await connected(sandbox);
    for (let i = 0; i < 30; i += 1) await log();
    assert.ok(sandbox.traffic.length <= 11);
    assert.equal(sandbox.traffic.at(-1)?.n, 31);
  });
});

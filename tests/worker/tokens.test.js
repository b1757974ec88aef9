/** The connection to GHL stays: one refresh at a time, and what can heal without a person heals. */

import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { startStage, until } from './stage.js';

/** @import { Stage } from './stage.js' */
/** @import { Entry } from '../../js/sandbox/traffic.js' */

const INBOUND = '/conversations/messages/inbound';

describe('tokens', { concurrency: true }, () => {
  describe('of a location', { concurrency: 1 }, async () => {
    const stage = await startStage();
    const { ghl, vcx, sandbox } = stage;
    after(() => stage.close());
    ghl.limits.max = 10_000;

    it('have expired: 20 pushes at once are one refresh, and 20 messages', async () => {
      const id = await stage.connect();
      const clients = Array.from({ length: 20 }, (_, n) => `client-${n}`);
      await Promise.all(clients.map((client) => stage.push(id, client)));
      ghl.expireAccessTokens(id);
      const calls = since(stage);
      const pushed = await Promise.all(clients.map((client) => stage.push(id, client, { body: 'Again' })));
      assert.deepEqual(
        pushed.map(({ status }) => status),
        clients.map(() => 200),
      );
      assert.equal(calls('refresh_token').length, 1);
      const again = stage.inbox(id).filter(({ body }) => body === 'Again');
      assert.equal(new Set(again.map(({ contactId }) => contactId)).size, 20);
      assert.equal(again.length, 20);
    });

    it('are refreshed before they expire, without any client', async () => {
      // A minute before, or halfway when they live for less than two.
      ghl.options.expiresIn = 4;
      const calls = since(stage);
      const id = await stage.connect();
      ghl.options.expiresIn = 86_399;
      const { token } = await stage.health(id);
      await sandbox.waitFor(() => calls('refresh_token').some(({ status }) => status === 200), { what: 'a refresh' });
      assert.ok(calls('refresh_token')[0].at < token.expiresAt);
      await until(async () => (await stage.health(id)).token.expiresAt > token.expiresAt + 80_000_000, 'new tokens');
      assert.equal((await stage.push(id, 'mina')).status, 200);
      assert.equal(calls('refresh_token').length, 1);
    });

    it('were rotated, and the answer was lost: the old refresh token brings the same pair', async () => {
      for (const fault of [
        { drop: /** @type {const} */ ('after') },
        { status: 200, body: '<html>', when: /** @type {const} */ ('after') },
        { status: 502, when: /** @type {const} */ ('after') },
      ]) {
        const id = await stage.connect();
        await stage.push(id, 'mina');
        ghl.expireAccessTokens(id);
        ghl.fail({ match: { path: '/oauth/token', body: { grant_type: 'refresh_token' } }, ...fault });
        const calls = since(stage);
        assert.equal((await stage.push(id, 'mina', { body: 'Again' })).status, 200);
        assert.deepEqual([calls('refresh_token').length, calls('/oauth/reconnect').length], [2, 0]);
        assert.equal((await stage.health(id)).health, 'ok');
      }
    });

    it('are refused for another reason: no refresh', async () => {
      const id = await stage.connect();
      await stage.push(id, 'mina');
      const calls = since(stage);
      const words = ['The token is not authorized for this scope.', 'version header was not found.'];
      for (const message of words) {
        ghl.fail({ match: { path: INBOUND, body: { message } }, status: 401, body: { statusCode: 401, message } });
        assert.equal((await stage.push(id, 'mina', { body: message })).status, 200);
      }
      assert.deepEqual(calls('refresh_token'), []);
      assert.equal(stage.inbox(id).length, 3);
    });

    it('are refused for ever as expired: one refresh, then a state that says so', async () => {
      const id = await stage.connect();
      const { contactId } = (await stage.push(id, 'mina')).body;
      const calls = since(stage);
      const body = { statusCode: 401, message: 'Invalid token: access token is invalid', error: 'Unauthorized' };
      const fault = ghl.fail({ match: { path: INBOUND, body: { contactId } }, times: null, status: 401, body });
      const pushed = ['one', 'two'].map((text) => stage.push(id, 'mina', { body: text }));
      await stage.event((event) => event.type === 'location.disconnected' && event.locationId === id);
      assert.equal(calls('refresh_token').length, 1);
      const { state, health, reasons } = await stage.health(id);
      assert.deepEqual([state, health], ['needs_reconnect', 'down']);
      assert.match(reasons.join(), /refuses the tokens that it issues/);

      fault.remove();
      await sandbox.walkInstall({ locationId: id });
      // Whoever still waited is told so; whoever came too late for that was told to.
      for (const { status } of await Promise.all(pushed)) assert.ok(status === 200 || status === 202, `${status}`);
      await sandbox.waitFor(() => stage.inbox(id).length === 3, { what: 'what had waited' });
      assert.deepEqual(
        stage.inbox(id).map((message) => message.body),
        ['Hello', 'one', 'two'],
      );
    });

    it('cannot be refreshed (invalid_grant): /oauth/reconnect heals it, once, and nobody is bothered', async () => {
      const id = await stage.connect();
      await stage.push(id, 'mina');
      ghl.expireAccessTokens(id);
      ghl.revokeRefreshTokens(id);
      const calls = since(stage);
      const pushed = await Promise.all(['one', 'two'].map((text) => stage.push(id, 'mina', { body: text })));
      for (const { status } of pushed) assert.ok(status === 200 || status === 202, `${status}`);
      await sandbox.waitFor(() => stage.inbox(id).length === 3, { what: 'the messages' });
      assert.deepEqual([calls('refresh_token').length, calls('/oauth/reconnect').length], [1, 1]);
      assert.equal(calls('authorization_code').length, 1);
      assert.equal((await stage.health(id)).health, 'ok');
      assert.equal(
        vcx.events.filter(({ type, body }) => type === 'location.disconnected' && body.locationId === id).length,
        0,
      );
    });

    it('cannot be refreshed, and GHL does not reconnect: it waits for an admin, visibly, and nothing is lost', async () => {
      const id = await stage.connect();
      await stage.push(id, 'mina');
      ghl.options.reconnect = false;
      ghl.expireAccessTokens(id);
      ghl.revokeRefreshTokens(id);
      const calls = since(stage);
      const first = stage.push(id, 'mina', { body: 'one' });
      const { body } = await stage.event((event) => event.type === 'location.disconnected' && event.locationId === id);
      assert.match(body.reason, /an admin has to open \/install/);
      const second = await stage.push(id, 'mina', { body: 'two' });
      assert.deepEqual([second.status, second.body.status], [202, 'queued']);
      assert.match(second.body.reason, /an admin has to connect the location again/);
      const { state, health, reasons, queue } = await stage.health(id);
      assert.deepEqual([state, health, queue.depth], ['needs_reconnect', 'down', 2]);
      assert.match(reasons.join(), /an admin has to open \/install/);
      assert.deepEqual([calls('refresh_token').length, calls('/oauth/reconnect').length], [1, 1]);
      // An agent's answer needs no token to reach vCX; its status waits, too.
      const { contactId } = stage.inbox(id)[0];
      const { messageId } = await ghl.agentReplies({ contactId, message: 'Still here' });
      await stage.event((event) => event.messageId === messageId);

      ghl.options.reconnect = true;
      await sandbox.walkInstall({ locationId: id });
      assert.equal((await first).status, 200);
      await sandbox.waitFor(() => stage.inbox(id).length === 4, { what: 'what had waited' });
      const inbound = stage.inbox(id).filter(({ direction }) => direction === 'inbound');
      assert.deepEqual(
        inbound.map((message) => message.body),
        ['Hello', 'one', 'two'],
      );
      await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', { what: 'delivered' });
      await until(async () => (await stage.health(id)).health === 'ok', 'health');
    });

    it('right after a message are refused for its status (403): not yet, says GHL, and means it; no refresh', async () => {
      const id = await stage.connect();
      const { body: pushed } = await stage.push(id, 'mina');
      ghl.statusNotYetMs = 3_000;
      const calls = since(stage);
      const { messageId } = await ghl.agentReplies({ contactId: pushed.contactId, message: 'Hi' });
      const delivered = () => ghl.state.messages.get(messageId)?.status === 'delivered';
      await sandbox.waitFor(delivered, { what: 'delivered', timeoutMs: 20_000 });
      ghl.statusNotYetMs = 0;
      const statuses = calls(`/conversations/messages/${messageId}/status`).map(({ status }) => status);
      assert.ok(statuses.length >= 2 && statuses.at(-1) === 200 && statuses[0] === 403, `${statuses}`);
      assert.deepEqual(calls('refresh_token'), []);
    });
  });

  it('of an agency’s location cannot be refreshed: the agency’s token brings new ones', async (t) => {
    const stage = await startStage();
    t.after(() => stage.close());
    const { ghl, sandbox } = stage;
    const { companyId, locationId: id } = ghl;
    await sandbox.walkInstall({ companyId });
    await stage.event((event) => event.type === 'location.connected' && event.locationId === id);
    await stage.push(id, 'mina');
    ghl.expireAccessTokens(id);
    ghl.revokeRefreshTokens(id);
    // The agency's have expired, too, and are refreshed on the way.
    ghl.expireAccessTokens(companyId);
    const calls = since(stage);
    const { status } = await stage.push(id, 'mina', { body: 'Again' });
    assert.ok(status === 200 || status === 202, `${status}`);
    await sandbox.waitFor(() => stage.inbox(id).length === 2, { what: 'the message' });
    assert.deepEqual([calls('/oauth/reconnect').length, calls('refresh_token').length], [0, 2]);
    const minted = calls('/oauth/locationToken').map((entry) => entry.status);
    assert.deepEqual(minted, [401, 201]);
    await until(async () => (await stage.health(id)).health === 'ok', 'health');
  });

  it('of a location that is not active are kept: it pauses, says so, and goes on by itself when it is active again', async (t) => {
    const stage = await startStage();
    t.after(() => stage.close());
    const { ghl, sandbox } = stage;
    const id = await stage.connect();
    await stage.push(id, 'mina');
    ghl.pauseLocation(id);
    ghl.expireAccessTokens(id);
    const calls = since(stage);
    const first = await stage.push(id, 'mina', { body: 'one' });
    const second = await stage.push(id, 'mina', { body: 'two' });
    for (const { status, body } of [first, second]) {
      assert.deepEqual([status, body.status], [202, 'queued']);
      assert.match(body.reason, /not active/);
    }
    const { state, health, reasons } = await stage.health(id);
    assert.deepEqual([state, health], ['paused', 'down']);
    assert.match(reasons.join(), /paused or unpaid/);
    assert.equal(calls('refresh_token').length, 1);

    ghl.resumeLocation(id);
    // The first probe comes between half a minute and a minute after.
    await sandbox.waitFor(() => stage.inbox(id).length === 3, { what: 'what had waited', timeoutMs: 70_000 });
    assert.deepEqual(
      stage.inbox(id).map((message) => message.body),
      ['Hello', 'one', 'two'],
    );
    assert.deepEqual([calls('refresh_token').length, calls('/oauth/reconnect').length], [2, 0]);
    assert.equal((await stage.health(id)).state, 'connected');
  });
});

/**
 * The calls to GHL from here on, by path or `grant_type`.
 * @param {Stage} stage
 * @returns {(what: string) => Entry[]}
 */
function since({ sandbox }) {
  const { n } = sandbox.traffic.at(-1) ?? { n: 0 };
  return (what) =>
    sandbox.traffic.filter(({ n: at, to, path, requestBody }) => {
      const { grant_type } = /** @type {any} */ (requestBody ?? {});
      return at > n && to === 'ghl' && (path === what || (path === '/oauth/token' && grant_type === what));
    });
}

/** The vCX half, the levers over HTTP, and the command. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { startSandbox } from '../../js/sandbox/index.js';
import { connected, start, work } from './stage.js';

/** @import { Sandbox } from '../../js/sandbox/index.js' */

describe('the vCX half', () => {
  /**
   * @param {Sandbox} sandbox
   * @param {{ id?: string, secret?: string, at?: number, body?: string, signature?: string }} [how]
   */
  async function post({ vcx }, { id = 'evt_1', secret = vcx.webhookSecret, at = Date.now(), body, signature } = {}) {
    const timestamp = String(Math.floor(at / 1000));
    const text = body ?? JSON.stringify({ type: 'message.created', body: 'hi' });
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
    const good = `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${text}`).digest('base64')}`;
    const reply = await fetch(vcx.url, {
      method: 'POST',
      headers: { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature ?? good },
      body: text,
    });
    return reply.status;
  }
  const other = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

  it('takes a signed event once', async () => {
    const sandbox = await start();
    assert.equal(await post(sandbox), 200);
    assert.equal(await post(sandbox), 200);
    assert.equal(sandbox.vcx.events.length, 1);
    assert.deepEqual(
      sandbox.vcx.deliveries.map(({ repeated }) => repeated),
      [false, true],
    );
    const [{ webhookId, type, body }] = sandbox.vcx.events;
    assert.deepEqual([webhookId, type, body.body], ['evt_1', 'message.created', 'hi']);
  });

  it('refuses what is not signed by its secret, or too old, or too new', async () => {
    const sandbox = await start();
    assert.equal(await post(sandbox, { secret: other }), 401);
    assert.equal(await post(sandbox, { signature: 'v1,AAAA' }), 401);
    assert.equal(await post(sandbox, { signature: 'v2,AAAA' }), 401);
    assert.equal(await post(sandbox, { at: Date.now() - 301_000 }), 401);
    assert.equal(await post(sandbox, { at: Date.now() + 301_000 }), 401);
    assert.equal(sandbox.vcx.events.length, 0);
    assert.equal(sandbox.vcx.deliveries.length, 5);
    assert.match(String(sandbox.vcx.deliveries[3].reason), /5 minutes/);
    const unsigned = await fetch(sandbox.vcx.url, { method: 'POST', body: '{}' });
    assert.equal(unsigned.status, 401);
  });

  it('takes any of several secrets and signatures', async () => {
    const sandbox = await start({ webhookSecret: `whsec_AAAA,${other}` });
    assert.equal(await post(sandbox, { secret: other }), 200);
    assert.equal(await post(sandbox, { id: 'evt_2', secret: 'whsec_AAAA' }), 200);
  });

  it('fails on demand, before or after it took the event', async () => {
    const sandbox = await start();
    sandbox.vcx.fail({ status: 503 });
    sandbox.vcx.fail({ drop: 'after' });
    assert.equal(await post(sandbox), 503);
    assert.equal(sandbox.vcx.events.length, 0);
    await assert.rejects(post(sandbox));
    assert.equal(sandbox.vcx.events.length, 1);
    assert.equal(await post(sandbox), 200);
    assert.equal(sandbox.vcx.events.length, 1);
  });

  it('calls the Worker with its key', async () => {
    const sandbox = await start({ apiKey: 'new-key,old-key' });
    const worker = await work(sandbox);
    const { status } = await sandbox.vcx.push({ clientId: 'c1', body: 'hi' });
    assert.equal(status, 200);
    const [push] = worker.got;
    assert.deepEqual([push.url, push.headers.authorization], ['/push-message', 'Bearer new-key']);
    assert.deepEqual(push.body, { clientId: 'c1', body: 'hi' });
    const [entry] = sandbox.traffic;
    assert.deepEqual([entry.to, entry.kind, entry.status], ['worker', 'vcx', 200]);
  });
});

describe('the control API', () => {
  /** @param {Sandbox} sandbox @param {string} path @param {unknown} [body] @returns {Promise<any>} */
  async function lever({ ghl }, path, body) {
    const init = body && { method: 'POST', body: JSON.stringify(body) };
    const reply = await fetch(`${ghl.url}/_sandbox${path}`, init || {});
    assert.equal(reply.headers.get('access-control-allow-origin'), '*');
    return { status: reply.status, ...(await reply.json()) };
  }

  it('does over HTTP what the API does', async () => {
    const sandbox = await start();
    const worker = await work(sandbox);
    const { contactId, locationId, api, log } = await connected(sandbox);
    const about = await lever(sandbox, '');
    assert.equal(about.ghl, sandbox.ghl.url);
    assert.ok(about.levers.length > 15);

    const reply = await lever(sandbox, '/reply', { contactId, message: 'hi' });
    assert.equal(reply.posts.length, 2);
    const { messages: stored } = await lever(sandbox, '/state');
    assert.deepEqual([stored[0].id, stored[0].status], [reply.messageId, 'pending']);

    await lever(sandbox, '/fail', { match: { pathPattern: 'inbound$' }, status: 503, times: null });
    assert.equal((await log()).status, 503);
    await lever(sandbox, '/clear', {});
    assert.equal((await log()).status, 200);

    await lever(sandbox, '/options', { searchLagMs: 5, limits: { max: 50 } });
    assert.deepEqual([sandbox.ghl.searchLagMs, sandbox.ghl.limits.max], [5, 50]);
    assert.equal((await lever(sandbox, '/options', { serchLagMs: 5 })).error, 'there is no option serchLagMs');

    await lever(sandbox, '/expire', { locationId });
    assert.equal((await api('GET', `/contacts/${contactId}`)).status, 401);
    await lever(sandbox, '/pause', { locationId });
    assert.equal(sandbox.ghl.state.locations.get(locationId)?.active, false);
    await lever(sandbox, '/resume', { locationId });
    assert.equal(sandbox.ghl.state.locations.get(locationId)?.active, true);

    await lever(sandbox, '/webhook', { body: { type: 'X' }, header: 'N/A' });
    assert.equal(worker.got.at(-1)?.headers['x-ghl-signature'], 'N/A');
    assert.equal((await lever(sandbox, '/walk', { locationId })).status, 200);
    assert.equal((await lever(sandbox, '/install', { locationId })).status, 200);
    assert.equal((await lever(sandbox, '/push', { body: 'x' })).status, 200);
    assert.ok((await lever(sandbox, '/locations', { name: 'New' })).id);
    assert.deepEqual((await lever(sandbox, '/events')).events, []);
    await lever(sandbox, '/uninstall', { locationId });
    assert.equal((await lever(sandbox, '/reply', { contactId: 'x' })).error, 'there is no contact x');
    assert.equal((await lever(sandbox, '/nonsense')).status, 404);
    assert.ok(sandbox.traffic.every(({ path }) => !path.includes('_sandbox')));
  });

  it('hands the traffic on as it comes', async () => {
    const sandbox = await start();
    const waiting = lever(sandbox, '/traffic?after=0&wait=5000');
    await connected(sandbox);
    const { traffic } = await waiting;
    assert.equal(traffic[0].path, '/contacts/');
    assert.deepEqual((await lever(sandbox, '/traffic?after=99')).traffic, []);
  });

  it('lets a browser in, here and nowhere else', async () => {
    const { ghl } = await start();
    const preflight = await fetch(`${ghl.url}/_sandbox/reply`, { method: 'OPTIONS' });
    assert.equal(preflight.status, 204);
    assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /POST/);
    const api = await fetch(`${ghl.url}/locations/x`, { method: 'OPTIONS' });
    assert.equal(api.headers.get('access-control-allow-origin'), null);
  });
});

describe('pointing a Worker at it', () => {
  it('the settings have the names of the Worker', async () => {
    const sandbox = await start({ workerUrl: 'http://127.0.0.1:8787/' });
    const vars = sandbox.workerVars();
    assert.equal(vars.GHL_REDIRECT_URI, 'http://127.0.0.1:8787/auth/callback');
    assert.equal(sandbox.ghl.options.deliveryUrl, 'http://127.0.0.1:8787/webhook');
    assert.match(vars.GHL_CLIENT_ID, /^[0-9a-f]{24}-\w{8}$/);
    assert.match(vars.SEAL_KEYS, /^dev:[\w+/]{43}=$/);
    assert.equal(Buffer.from(vars.SESSION_SECRET, 'base64').length, 32);
    assert.match(vars.VCX_WEBHOOK_SECRET, /^whsec_/);
  });

  it('an option that does not exist is an error', async () => {
    const typo = /** @type {any} */ ({ serchLagMs: 5 });
    await assert.rejects(startSandbox(typo), /there is no option serchLagMs/);
  });

  it('the same seed gives the same settings, but never the same ids', async () => {
    const [one, two] = [await start({ seed: 'a' }), await start({ seed: 'a' })];
    for (const name of ['GHL_CLIENT_ID', 'GHL_CLIENT_SECRET', 'GHL_PUBLIC_KEYS', 'VCX_API_KEY', 'SEAL_KEYS']) {
      assert.equal(one.workerVars()[name], two.workerVars()[name], name);
    }
    assert.notEqual(one.ghl.locationId, two.ghl.locationId);
  });

  it('the command explains itself', async () => {
    const cli = new URL('../../js/sandbox/cli.js', import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [cli, '--help']);
    for (const flag of ['--worker', '--ghl-port', '--vcx-port', '--seed', '--set']) assert.ok(stdout.includes(flag));
    const wrong = promisify(execFile)(process.execPath, [cli, '--nonsense']);
    await assert.rejects(wrong, (/** @type {any} */ error) => error.code === 2 && error.stderr.includes('--worker'));
  });

  it('the command prints how to point a Worker at it, and stops on SIGTERM', async () => {
    const cli = new URL('../../js/sandbox/cli.js', import.meta.url).pathname;
    const flags = ['--ghl-port', '0', '--vcx-port', '0', '--set', 'searchLagMs=9'];
    const child = execFile(process.execPath, [cli, ...flags]);
    let out = '';
    await new Promise((resolve, reject) => {
      child.stdout?.on('data', (chunk) => {
        out += chunk;
        if (out.includes('/_sandbox/walk')) resolve(undefined);
      });
      child.once('exit', () => reject(new Error(`it ended: ${out}`)));
    });
    assert.match(out, /npx wrangler dev --port 8787 \\\n {2}--var 'GHL_CLIENT_ID:/);
    const url = /^levers +(\S+)$/m.exec(out)?.[1];
    const options = /** @type {any} */ (await (await fetch(`${url}/options`)).json());
    assert.equal(options.searchLagMs, 9);
    child.removeAllListeners('exit');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    assert.equal(await ended, 0);
  });
});

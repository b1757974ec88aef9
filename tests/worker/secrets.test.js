/** Secrets: who may sign what, and how each key is changed for another without anything getting lost. */

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { describe, it } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { publicKeyOf } from '../../js/sandbox/secrets.js';
import { startStage, until } from './stage.js';

/** @import { Stage } from './stage.js' */

describe('secrets', { concurrency: true }, () => {
  it('one signature of GHL’s, under its own name, lets a webhook in, and nothing else does', async (t) => {
    const [today, next] = [pair(), pair()];
    const stage = await startStage({ vars: { GHL_PUBLIC_KEYS: `${today.base64}, ${next.base64}` } });
    t.after(() => stage.close());
    const { id } = stage.ghl.addLocation();
    // Not compact, as nobody would write it again: what is verified are the bytes.
    const body = ` { "type" : "UNINSTALL",\n"locationId":"${id}", "note":"\\u00fc ü" }`;
    const good = today.sign(body);
    /** @type {[string, Record<string, string | string[]>, number][]} */
    const cases = [
      ['signed', { 'x-ghl-signature': good }, 200],
      ['signed with the next key, as while GHL rotates', { 'x-ghl-signature': next.sign(body) }, 200],
      ['signed, the name in capitals', { 'X-GHL-SIGNATURE': good }, 200],
      ['unsigned', {}, 401],
      ['signed twice', { 'x-ghl-signature': [good, good] }, 401],
      ['signed badly and well', { 'x-ghl-signature': ['N/A', good] }, 401],
      ['not signed, says GHL', { 'x-ghl-signature': 'N/A' }, 401],
      ['signed with an empty header', { 'x-ghl-signature': '' }, 401],
      ['signed by a stranger', { 'x-ghl-signature': pair().sign(body) }, 401],
      ['signed, but for another body', { 'x-ghl-signature': today.sign(JSON.stringify(JSON.parse(body))) }, 401],
      ['signed under the old name', { 'x-wh-signature': good }, 401],
      [
        'signed under the old name, and not under the new one',
        { 'x-ghl-signature': 'N/A', 'x-wh-signature': good },
        401,
      ],
      ['with the API key instead', { authorization: `Bearer ${stage.vcx.apiKey}` }, 401],
    ];
    const refusals = new Set();
    for (const [what, headers, status] of cases) {
      const answer = await post(`${stage.url}/webhook`, body, headers);
      assert.equal(answer.status, status, what);
      if (status === 401) refusals.add(answer.body);
    }
    assert.equal(refusals.size, 1, 'whoever tries learns nothing');
  });

  it('VCX_WEBHOOK_SECRET rotates: whoever knows either of two takes an event', async (t) => {
    const secrets = [1, 2].map(() => `whsec_${randomBytes(32).toString('base64')}`);
    /** @type {{ headers: any, body: string }[]} */
    const posted = [];
    const vcx = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request.setEncoding('utf8')) body += chunk;
      posted.push({ headers: request.headers, body });
      response.end();
    });
    vcx.listen(0, '127.0.0.1');
    await once(vcx, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (vcx.address());
    const url = `http://127.0.0.1:${port}/`;
    const stage = await startStage({ vars: { VCX_WEBHOOK_URL: url, VCX_WEBHOOK_SECRET: secrets.join(', ') } });
    t.after(async () => {
      await stage.close();
      vcx.closeAllConnections();
      vcx.close();
    });
    await stage.connect();
    await until(async () => posted.length > 0, 'an event');
    for (const { headers, body } of posted) {
      for (const secret of secrets) assert.deepEqual(new Webhook(secret).verify(body, headers), JSON.parse(body));
      const stranger = new Webhook(randomBytes(32).toString('base64'));
      assert.throws(() => stranger.verify(body, headers), /No matching signature/);
    }
  });

  it('SEAL_KEYS rotate: each record is sealed anew, the old key can go, and one that is missing loses nothing', async (t) => {
    const stage = await startStage();
    t.after(() => stage.close());
    const { SEAL_KEYS: old } = stage.sandbox.workerVars();
    const [next, third] = ['next', 'third'].map((id) => `${id}:${randomBytes(32).toString('base64')}`);
    const id = await stage.connect();
    await stage.push(id, 'mina');
    assert.equal(await sealedWith(stage, id), 'dev');

    // A new key in front; whatever wakes the object up seals anew.
    await redeploy(stage, `${next},${old}`);
    await stage.health(id);
    await until(async () => (await sealedWith(stage, id)) === 'next', 'a record under the new key');
    assert.ok(stage.logs.some(({ event, was, is }) => event === 'tokens_resealed' && was === 'dev' && is === 'next'));

    // The old one goes.
    await redeploy(stage, next);
    const calls = stage.watch();
    assert.equal((await stage.push(id, 'mina', { body: 'Under the new key' })).status, 200);
    assert.deepEqual(calls(), ['POST /conversations/messages/inbound']);

    // One that is needed is missing.
    await redeploy(stage, third);
    const quiet = stage.watch();
    const { status, body } = await stage.push(id, 'mina', { body: 'Without any' });
    assert.deepEqual([status, body.status], [202, 'queued']);
    assert.match(body.reason, /SEAL_KEYS/);
    const { health, reasons } = await stage.health(id);
    assert.equal(health, 'down');
    assert.match(reasons[0], /needs the key "next", which SEAL_KEYS does not hold/);
    assert.ok(
      stage.logs.some(({ event, level, key }) => event === 'tokens_do_not_open' && level === 'error' && key === 'next'),
    );
    assert.equal(await sealedWith(stage, id), 'next');

    // Or wrong altogether.
    await redeploy(stage, 'oops');
    const refused = /** @type {any} */ (await (await fetch(`${stage.url}/health`)).json());
    assert.deepEqual(refused.missing, ['SEAL_KEYS']);
    assert.equal((await stage.push(id, 'mina')).body.code, 'not_configured');
    assert.deepEqual(quiet(), []);

    await redeploy(stage, `${third},${next}`);
    assert.equal((await stage.health(id)).state, 'connected');
    await until(async () => stage.inbox(id).length === 3, 'what had waited');
    assert.equal((await stage.health(id)).health, 'ok');
    await until(async () => (await sealedWith(stage, id)) === 'third', 'a record under the newest key');
  });
});

/** The Worker as it is after `wrangler secret put SEAL_KEYS`. @param {Stage} stage @param {string} keys */
async function redeploy(stage, keys) {
  await stage.worker.close();
  await stage.restart({ SEAL_KEYS: keys });
}

/** The id of the key that KV's record of a location's tokens names. @param {Stage} stage @param {string} id */
async function sealedWith(stage, id) {
  const kv = await stage.worker.miniflare.getKVNamespace('KV');
  const record = /** @type {any} */ (await kv.get(`token:${id}`, 'json'));
  return record.sealed.split('.')[1];
}

/** A key pair such as GHL's. */
function pair() {
  const { privateKey } = generateKeyPairSync('ed25519');
  return {
    ...publicKeyOf(privateKey),
    /** @param {string} body */
    sign: (body) => sign(null, Buffer.from(body), privateKey).toString('base64'),
  };
}

/**
 * A request with headers as they are: `fetch` would not send one twice.
 * @param {string} url
 * @param {string} body
 * @param {Record<string, string | string[]>} headers
 */
async function post(url, body, headers) {
  const sent = request(url, { method: 'POST', headers });
  sent.end(body);
  const [response] = await once(sent, 'response');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode, body: text };
}

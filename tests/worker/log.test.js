/**
 * The Worker's log: a line for each request, and nothing private in any. Each stage of this folder holds its log against that
 * when it closes; here it is shown that it would notice.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { message, root, startStage, until } from './stage.js';

/** @import { Line } from './stage.js' */

const document = JSON.parse(readFileSync(new URL('../../src/openapi.json', import.meta.url), 'utf8'));
const METHODS = new Set(['get', 'post', 'put', 'patch', 'delete']);
const operations = Object.entries(document.paths).flatMap(([template, item]) =>
  Object.entries(item)
    .filter(([method]) => METHODS.has(method))
    .map(([method, operation]) => ({ method: method.toUpperCase(), template, operation })),
);

describe('each request leaves a line', async () => {
  // No webhooks of GHL's in between.
  const stage = await startStage({ sandbox: { emitMessageWebhooks: false, emitContactWebhooks: false } });
  const { url, vcx } = stage;
  after(() => stage.close());

  /** The line of the one request to this path. @param {string} path @param {string} [method] @returns {Promise<Line>} */
  async function lineOf(path, method = 'GET') {
    const lines = () =>
      stage.logs.filter((line) => line.event === 'request' && line.path === path && line.method === method);
    await until(async () => lines().length > 0, `the line of ${method} ${path}`);
    assert.equal(lines().length, 1);
    return lines()[0];
  }

  for (const { method, template, operation } of operations) {
    it(`${method} ${template}`, async () => {
      const path = template.replaceAll(/\{\w+\}/g, `loc-${method}`);
      const began = Date.now();
      const response = await fetch(url + path, {
        method,
        headers: operation.security ? { authorization: `Bearer ${vcx.apiKey}` } : {},
        body: method === 'POST' ? '{"no":"thing"}' : undefined,
        redirect: 'manual',
      });
      const body = await response.text();
      const { at, ms, ...line } = await lineOf(path, method);
      const { status } = response;
      const { code } = response.headers.get('content-type') === 'application/problem+json' ? JSON.parse(body) : {};
      assert.deepEqual(line, {
        level: status >= 500 ? 'error' : status >= 400 ? 'warn' : 'info',
        event: 'request',
        method,
        path,
        ...(code === 'unknown_location' && { locationId: `loc-${method}` }),
        status,
        ...(code && { code }),
      });
      assert.ok(at >= began && at <= Date.now() && ms >= 0 && ms <= Date.now() - began, `${at} ${ms}`);
    });
  }

  it('that says whose it was, and how it was answered', async () => {
    const id = await stage.connect();
    stage.logs.length = 0;
    const { status } = await stage.push(id, 'mina');
    const line = await lineOf('/push-message', 'POST');
    assert.deepEqual([line.level, line.status, line.locationId, line.code], ['info', status, id, undefined]);
  });

  it('without the query, and not at any length', async () => {
    await fetch(`${url}/nothing/${'x'.repeat(1_000)}?code=a-code`);
    const { path } = await lineOf(`/nothing/${'x'.repeat(191)}`);
    assert.equal(path.length, 200);
  });

  it('and what goes well leaves no other', async () => {
    const id = await stage.connect();
    await stage.push(id, 'mina');
    await stage.sandbox.waitFor(({ path, status }) => path.endsWith('/tags') && status === 201, { what: 'the tag' });
    stage.logs.length = 0;
    for (let n = 0; n < 5; n += 1) await stage.push(id, 'mina', { body: `again ${n}` });
    await until(async () => stage.logs.length >= 5, 'the lines');
    assert.deepEqual(
      stage.logs.map(({ event }) => event),
      Array(5).fill('request'),
    );
  });
});

it('nobody else logs requests: the platform would with their queries', () => {
  const wrangler = readFileSync(join(root, 'wrangler.toml'), 'utf8');
  assert.match(wrangler, /^\[observability\.logs\]\nenabled = true\ninvocation_logs = false$/m);
});

describe('a line with something private', () => {
  it('is noticed when the stage closes, whatever it was', async () => {
    const contents = readFileSync(new URL('leaking.js', import.meta.url), 'utf8');
    const stage = await startStage({
      modules: [{ type: 'ESModule', path: join(root, 'dist/leaking.js'), contents }],
    });
    const { url, vcx, ghl } = stage;
    const id = await stage.connect();
    const contactId = (await stage.push(id, 'mina', { phone: '+15550100123' })).body.contactId;

    const leaks = {
      'the key of vCX': vcx.apiKey,
      'a text': 'something that a visitor wrote',
      'an e-mail address': 'mina.kim@example.org',
      'a phone number': '+15550100987',
      'a line that is no JSON': 'no JSON at all',
      'a line without a time': 'a line without a time',
    };
    const [key, text, email, phone, words, timeless] = Object.values(leaks);
    const push = (/** @type {string} */ leak, /** @type {Record<string, unknown>} */ more) =>
      vcx.call('POST', '/push-message', message(id, 'mina', more), { 'x-leak': leak });
    await push('authorization', {});
    await push('body', { body: text });
    await push('email', { email });
    await push('phone', { phone });
    await fetch(`${url}/health`, { headers: { 'x-leak': 'text' } });
    await fetch(`${url}/health`, { headers: { 'x-leak': 'timeless' } });
    await ghl.agentReplies({ contactId, locationId: id, message: 'leak the signature' });
    await push('calls', {});

    const error = await stage.close().then(
      () => assert.fail('nothing was noticed'),
      (/** @type {Error} */ error) => error,
    );
    const said = error.message;
    for (const leak of [key, text, email, phone, words, timeless]) assert.ok(said.includes(leak), `${leak}: ${said}`);
    // The shape alone tells of those.
    assert.match(said, /a secret [\w+/]{80,}.*x-ghl-signature/);
    assert.match(said, /a bearer Bearer eyJ.*services/);
    assert.match(said, /an e-mail address mina\.kim@example\.org/);
    assert.match(said, /a phone number \+15550100987/);
  });
});

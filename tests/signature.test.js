/**
 * Events as vCX's backend verifies them: with our own `verifyEvent` and with npm `standardwebhooks`, case by case. Where the two
 * differ, the vector says so and why.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { verifyEvent } from 'vcx-ghl';

/** @typedef {{ name: string, secrets: string, headers: Record<string, string>, body: string, now: number, expect: string, library?: string, why?: string }} VerifyCase */
/** @typedef {{ name: string, secrets: string, id: string, timestamp: number, body: string, signature: string }} SignCase */

const path = new URL('vectors/signature.json', import.meta.url);
const { webhooks } = JSON.parse(readFileSync(path, 'utf8'));

describe('an event', () => {
  for (const { name, secrets, id, timestamp, body, signature } of /** @type {SignCase[]} */ (webhooks.sign)) {
    it(`that we sign is taken by whoever knows any one of the secrets: ${name}`, () => {
      const headers = { 'webhook-id': id, 'webhook-timestamp': `${timestamp}`, 'webhook-signature': signature };
      for (const secret of secrets.split(',')) {
        assert.equal(library(secret, { headers, body, now: timestamp * 1_000 }), 'accepts');
      }
    });
  }

  for (const { name, library: says, why, expect, ...event } of /** @type {VerifyCase[]} */ (webhooks.verify)) {
    const ours = expect === 'ok' ? 'accepts' : 'refuses';
    it(`is judged ${says ? `otherwise by the library, since ${why}` : 'as the library does'}: ${name}`, async () => {
      assert.equal(await verified(event), expect);
      assert.notEqual(says, ours, 'a case in which both agree needs no reason');
      const each = event.secrets.split(',').map((secret) => library(secret, event));
      assert.equal(each.includes('accepts') ? 'accepts' : 'refuses', says ?? ours);
    });
  }
});

/** @typedef {Pick<VerifyCase, 'headers' | 'body' | 'now'>} Received */

/**
 * What our own function says at a time: `ok`, or the code.
 * @param {Received & { secrets: string }} event
 */
async function verified({ secrets, headers, body, now }) {
  return at(now, () =>
    verifyEvent(headers, body, secrets).then(
      ({ webhookId }) => (webhookId ? 'ok' : 'no id'),
      ({ code }) => code,
    ),
  );
}

/**
 * What the library says at a time, with one secret.
 * @param {string} secret
 * @param {Received} event
 */
function library(secret, { headers, body, now }) {
  return at(now, () => {
    try {
      new Webhook(secret.trim()).verify(body, headers, { jsonParse: false });
      return 'accepts';
    } catch (error) {
      assert.equal(/** @type {Error} */ (error).name, 'WebhookVerificationError');
      return 'refuses';
    }
  });
}

/**
 * Neither can be told the time in another way.
 * @template T
 * @param {number} now
 * @param {() => T} run
 * @returns {T}
 */
function at(now, run) {
  const clock = Date.now;
  const back = () => {
    Date.now = clock;
  };
  Date.now = () => now;
  const result = run();
  if (result instanceof Promise) return /** @type {T} */ (result.finally(back));
  back();
  return result;
}

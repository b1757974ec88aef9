/**
 * What is deployed: the WASM exports what the host calls and nothing else, and none of the ways in which tests break the sync
 * on purpose is in it.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const wasm = readFileSync(new URL('../pkg/vcx_ghl_bg.wasm', import.meta.url));
const bindings = readFileSync(new URL('../pkg/vcx_ghl.d.ts', import.meta.url), 'utf8');

test('the module exports the seam, and no more', () => {
  const exported = [...bindings.matchAll(/^export function (\w+)/gm)].map(([, name]) => name).sort();
  const own = exported.filter((name) => !name.startsWith('__wbg') && name !== 'initSync');
  assert.deepEqual(own, [
    'bodyLimit',
    'configure',
    'createSession',
    'handle',
    'internal',
    'normalizeContact',
    'normalizePush',
    'normalizeStatus',
    'proceed',
    'route',
    'settingNames',
    'sharedWith',
    'toGhl',
    'toVcx',
    'unavailable',
    'verifyEvent',
    'verifyGhlWebhook',
  ]);
});

test('nothing in it can be sabotaged', () => {
  assert.ok(wasm.includes('INSERT INTO outbox'), 'this is the core');
  for (const word of ['sabotage', 'Sabotage', 'simulator', 'ForgetPushes']) {
    assert.ok(!wasm.includes(word), `the WASM holds “${word}”`);
  }
});

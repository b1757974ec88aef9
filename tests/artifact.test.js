/**
 * What is deployed: the WASM exports what the host calls and nothing else, and none of the ways in which tests break the sync
 * on purpose is in it.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

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

/**
 * What is uploaded, in KiB after gzip. The aim is 120 for the WASM and 150 for all of it; until then it does not grow.
 * The browser's client has its own bound in tests/package/contents.test.js.
 */
test('the WASM and the whole Worker are no larger than their bounds', () => {
  const dist = new URL('../dist/', import.meta.url);
  const files = readdirSync(dist).filter((file) => /\.(?:wasm|js)$/.test(file));
  const sizes = files.map((file) => ({
    file,
    kib: gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length / 1024,
  }));
  const ofWasm = sizes.find(({ file }) => file.endsWith('.wasm'));
  assert.ok(ofWasm && sizes.length > 1, files.join(' '));
  const all = sizes.reduce((sum, { kib }) => sum + kib, 0);
  assert.ok(ofWasm.kib <= 275, `the WASM has ${ofWasm.kib} KiB`);
  assert.ok(all <= 284, `the Worker has ${all} KiB`);
});

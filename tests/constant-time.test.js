/**
 * Secrets are compared in constant time: the built WASM takes the same steps whatever a wrong key has in common with the right
 * one. No clock is asked. Binaryen puts a call to the outside at every function, loop, load and store, and what is compared is the
 * order of those.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as core from '../pkg/vcx_ghl.js';
import { tool } from '../scripts/run.mjs';

const KEYS = ['the-first-key', 'and-the-other'];
const ORIGIN = 'https://sync.example';
const NOW = 1_760_000_000_000;
const SETTINGS = {
  GHL_CLIENT_ID: 'app-1',
  GHL_CLIENT_SECRET: 'secret',
  GHL_PROVIDER_ID: 'provider',
  GHL_REDIRECT_URI: `${ORIGIN}/auth/callback`,
  VCX_API_KEY: KEYS.join(','),
  SESSION_SECRET: 'x'.repeat(32),
  SEAL_KEYS: `k1:${Buffer.alloc(32).toString('base64')}`,
};

describe('in constant time', () => {
  const steps = traced();

  it('the API key is compared: how much of it is right does not show', () => {
    const [right] = KEYS;
    const wrong = [
      'x'.repeat(right.length),
      `${right.slice(0, -1)}x`,
      `x${right.slice(1)}`,
      // Its SHA-256 begins as the right one's does.
      lookalike(right),
    ];
    for (const key of wrong) assert.equal(key.length, right.length);
    const refused = wrong.map((key) => steps(() => get('/locations/loc-1', { authorization: `Bearer ${key}` })));
    assert.deepEqual(new Set(refused.map(({ answer }) => answer.respond?.response.status)), new Set([401]));
    same(refused);
  });

  it('the API key is compared with all of them: which one is right does not show', () => {
    const taken = KEYS.map((key) => steps(() => get('/locations/loc-1', { authorization: `Bearer ${key}` })));
    assert.deepEqual(new Set(taken.map(({ answer }) => answer.ask?.ask)), new Set(['health']));
    same(taken);
  });

  it('a state’s signature is compared', () => {
    const { respond } = get('/install');
    const state = new URL(respond.response.headers.location).searchParams.get('state') ?? '';
    const path = '/auth/callback?code=c&state=';
    assert.ok(get(path + state).fetch, 'the right one is taken');
    const refused = forgeries(state).map((text) => steps(() => get(path + text)));
    assert.deepEqual(new Set(refused.map(({ answer }) => answer.respond?.response.status)), new Set([400]));
    same(refused);
  });

  it('a session’s signature is compared', () => {
    const ask = { locationId: 'loc-1', clientId: 'client-1', vcxConversationId: 'chat-1' };
    const session = core.createSession(JSON.stringify(ask), SETTINGS.SESSION_SECRET, NOW);
    const push = (/** @type {string} */ bearer) => () => post('/push-message', { authorization: `Bearer ${bearer}` });
    assert.equal(push(session)().respond.response.status, 400, 'the right one is taken, the empty body is not');
    const refused = forgeries(session).map((bearer) => steps(push(bearer)));
    assert.deepEqual(new Set(refused.map(({ answer }) => answer.respond?.response.status)), new Set([401]));
    same(refused);
  });

  it('shows what is not: a location’s id', () => {
    const authorization = `Bearer ${KEYS[0]}`;
    const asked = ['abcdef', '%61bcd'].map((id) => steps(() => get(`/locations/${id}`, { authorization })));
    assert.throws(() => same(asked), /steps/);
  });
});

/**
 * What the core decides about a request.
 * @param {string} path
 * @param {Record<string, string>} [headers]
 * @returns {any}
 */
function get(path, headers) {
  return JSON.parse(core.route(new Request(ORIGIN + path, { headers }), new Uint8Array(), NOW));
}

/** @param {string} path @param {Record<string, string>} headers @returns {any} */
function post(path, headers) {
  return JSON.parse(core.route(new Request(ORIGIN + path, { method: 'POST', headers }), new Uint8Array(), NOW));
}

/** The same with other tags, wrong here and there. @param {string} signed */
function forgeries(signed) {
  const at = signed.lastIndexOf('.') + 1;
  const tag = Buffer.from(signed.slice(at), 'base64url');
  return [0, 1, 15, 30, 31].map((byte) => {
    const altered = Buffer.from(tag);
    altered[byte] ^= 1;
    return signed.slice(0, at) + altered.toString('base64url');
  });
}

/** @param {{ steps: number, digest: string }[]} runs */
function same(runs) {
  for (const { steps, digest } of runs) {
    assert.ok(steps > 1_000, `${steps} steps are too few to be all`);
    assert.deepEqual([steps, digest], [runs[0].steps, runs[0].digest], 'other steps');
  }
}

/**
 * The build, every step of it told; and what runs something in an instance as good as new, so that memory looks the same each time.
 * @returns {(run: () => any) => { steps: number, digest: string, answer: any }}
 */
function traced() {
  const folder = mkdtempSync(join(tmpdir(), 'vcx-ghl-'));
  const [node, wasmOpt] = tool('wasm-opt');
  const [built, telling] = [
    fileURLToPath(new URL('../pkg/vcx_ghl_bg.wasm', import.meta.url)),
    join(folder, 'telling.wasm'),
  ];
  execFileSync(node, [wasmOpt, built, '--log-execution', '--instrument-memory', '-o', telling]);
  const module = new WebAssembly.Module(readFileSync(telling));
  rmSync(folder, { recursive: true });

  /** @type {string[]} */
  let told = [];
  /** @param {string} what @param {number} id */
  const tell = (what, id) => told.push(`${what} ${id}`);
  const Instance = WebAssembly.Instance;
  // The glue makes its instances by itself: what it imports is amended on the way.
  WebAssembly.Instance = class extends Instance {
    /** @param {WebAssembly.Module} module @param {WebAssembly.Imports} [imports] */
    constructor(module, imports = {}) {
      super(module, withTelling(module, imports, tell));
    }
  };
  core.initSync({ module });
  core.configure(JSON.stringify(SETTINGS));
  return (run) => {
    core.__wbg_reset_state();
    core.configure(JSON.stringify(SETTINGS));
    told = [];
    const answer = run();
    return { steps: told.length, digest: createHash('sha256').update(told.join()).digest('hex'), answer };
  };
}

/**
 * @param {WebAssembly.Module} module
 * @param {WebAssembly.Imports} imports
 * @param {(what: string, id: number) => void} tell
 */
function withTelling(module, imports, tell) {
  /** @type {Record<string, Record<string, any>>} */
  const all = Object.fromEntries(Object.entries(imports).map(([name, members]) => [name, { ...members }]));
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    all[from] ??= {};
    // Addresses and values go through unseen: it is the order that must not differ.
    if (/^(log_execution|load_ptr|store_ptr)$/.test(name)) {
      all[from][name] = (/** @type {[number, number, number, number]} */ ...[id, , , address]) => {
        tell(name, id);
        return address;
      };
    } else if (/^(load|store)_val_|^memory_grow_/.test(name)) {
      all[from][name] = (/** @type {number} */ _id, /** @type {unknown} */ value) => value;
    }
  }
  return all;
}

/** Another key of the same length, whose digest begins with the same two bytes. @param {string} key */
function lookalike(key) {
  const start = (/** @type {string} */ text) => createHash('sha256').update(text).digest().readUInt16BE();
  for (let n = 0; ; n += 1) {
    const other = `${n}`.padStart(key.length, 'z');
    if (start(other) === start(key)) return other;
  }
}

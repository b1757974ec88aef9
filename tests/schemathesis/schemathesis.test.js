/**
 * Schemathesis against the built Worker, by the Worker's own /openapi.json: whatever it makes of that document, right or wrong, the
 * answers are as described. Then against a Worker whose answers are spoilt, to see that it notices.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { createSecrets } from '../../js/sandbox/secrets.js';
import { NoPython, pythonTools } from '../../scripts/python.mjs';
import { startStage } from '../worker/stage.js';
import { openDoor } from './door.js';

/** @import { Answer } from './door.js' */

const tools = await pythonTools().catch((error) => {
  if (error instanceof NoPython) return error.message;
  throw error;
});
const skip = typeof tools === 'string' ? tools : false;

const document = JSON.parse(readFileSync(new URL('../../src/openapi.json', import.meta.url), 'utf8'));
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const DONE = [
  'POST /push-message 200',
  'POST /contact 200',
  'POST /message-status 200',
  'POST /webhook 200',
  'GET /install 302',
  'GET /locations 200',
  'GET /locations/{id} 200',
  'POST /locations/{id}/replay 200',
];

describe('Schemathesis', { skip }, async () => {
  if (skip) return;
  const seed = randomUUID();
  const { privateKey: key } = createSecrets(seed);
  const stage = await startStage({ sandbox: { seed, emitMessageWebhooks: false, emitContactWebhooks: false } });
  after(() => stage.close());
  const { ghl, url, vcx } = stage;
  Object.assign(ghl.limits, { max: 1_000_000, daily: 1_000_000_000 });
  const locationId = await stage.connect();
  const { contactId } = (await stage.push(locationId, 'mina')).body;
  const ids = { locationId, messageId: (await ghl.agentReplies({ contactId, message: 'Good day' })).messageId };

  it('finds nothing wrong with the Worker, at any of its routes', async () => {
    const door = await openDoor({ url, ids, key });
    try {
      const { code, output } = await schemathesis(door.url, ['--max-examples', '20']);
      assert.equal(code, 0, output);
      const statuses = [...door.seen.keys()];
      for (const [path, item] of Object.entries(document.paths)) {
        for (const method of METHODS.filter((method) => item[method])) {
          const route = `${method.toUpperCase()} ${path}`;
          assert.ok(
            statuses.some((seen) => seen.startsWith(`${route} `)),
            `${route} was not asked`,
          );
        }
      }
      // It got past the first check of each.
      for (const done of DONE) assert.ok(statuses.includes(done), `no ${done} among ${statuses}`);
    } finally {
      await door.close();
    }
  });

  /** @type {[string, RegExp, (answer: Answer) => Answer][]} */
  const spoilt = [
    ['a fault of the Worker', /Server error/, (answer) => ({ ...answer, status: 500 })],
    ['a status that is not described', /Undocumented status code/, (answer) => ({ ...answer, status: 206 })],
    [
      'a media type that is not described',
      /Undocumented Content-Type/,
      (answer) => ({ ...answer, headers: { ...answer.headers, 'content-type': 'text/plain' } }),
    ],
    [
      'a body that is not as described',
      /Response violates schema/,
      (answer) => ({ ...answer, body: Buffer.from('{"replayed":"some"}') }),
    ],
  ];
  for (const [what, words, change] of spoilt) {
    it(`would find ${what}`, async () => {
      const route = 'POST /locations/{id}/replay';
      const door = await openDoor({
        url,
        ids,
        key,
        spoil: (at, answer) => (at === route && answer.status === 200 ? change(answer) : answer),
      });
      try {
        const only = ['--include-path', '/locations/{id}/replay', '--phases', 'fuzzing', '--mode', 'positive'];
        const { code, output } = await schemathesis(door.url, ['--max-examples', '5', ...only]);
        assert.equal(code, 1, output);
        assert.match(output, words);
      } finally {
        await door.close();
      }
    });
  }

  /**
   * @param {string} door
   * @param {string[]} args
   * @returns {Promise<{ code: number, output: string }>}
   */
  async function schemathesis(door, args) {
    if (typeof tools === 'string') throw new Error(tools);
    const config = join(import.meta.dirname, 'schemathesis.toml');
    // It leaves what it found in the folder it is started in.
    const cwd = mkdtempSync(join(tmpdir(), 'schemathesis-'));
    const command = ['--config-file', config, 'run', `${door}/openapi.json`, '--url', door, '--no-color'];
    try {
      return await new Promise((resolve) => {
        execFile(
          tools('schemathesis'),
          [...command, '--header', `Authorization: Bearer ${vcx.apiKey}`, ...args],
          { cwd, timeout: 120_000, maxBuffer: 64 * 1024 * 1024, env: { ...process.env, PYTHONIOENCODING: 'utf-8' } },
          (error, stdout, stderr) =>
            resolve({ code: error ? Number(error.code ?? -1) : 0, output: short(stdout + stderr) }),
        );
      });
    } finally {
      rmSync(cwd, { recursive: true, force: true });
    }
  }
});

/** What it tells, without the long bodies. @param {string} output */
const short = (output) => output.replace(/.{600,}/g, (line) => `${line.slice(0, 500)}…`);

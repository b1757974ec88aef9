/**
 * The README's examples, word for word: each `curl` is run against the Worker and has to succeed, each route and each setting
 * has to be there.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startStage } from './worker/stage.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const blocks = [...readme.matchAll(/^```sh\n(.*?)^```/gms)]
  .map(([, text]) => text)
  .filter((text) => /^curl /m.test(text));

const SRC = new URL('../src', import.meta.url);
/** How Rust and JavaScript name a line. */
const EVENTS = [
  /\.log\(\s*"\w+",\s*"(\w+)"/g,
  /\.log_call\("(\w+)"/g,
  /"event": "(\w+)"/g,
  /without_effect\("(\w+)"\)/g,
  /let event = if is_letter \{ "(\w+)"/g,
  /is_letter \{ "\w+" \} else \{ "(\w+)" \}/g,
  /\blog\('\w+', '(\w+)'/g,
  /event: '(\w+)'/g,
];

/** @type {Awaited<ReturnType<typeof startStage>>} */
let stage;
/** @type {Record<string, string>} */
let env;

before(async () => {
  stage = await startStage();
  const { sandbox, worker } = stage;
  const { locationId } = sandbox.ghl;
  await sandbox.walkInstall({ locationId });
  env = { WORKER: worker.url, KEY: sandbox.vcx.apiKey, LOCATION: locationId };
});
after(() => stage.close());

test('the first example pushes a message that is in GHL', async () => {
  const { stdout } = await shell(blocks[0]);
  const answer = JSON.parse(stdout);
  assert.equal(answer.status, 'sent');
  assert.equal(answer.messageId, 'm-1');
  const { messageId } = await stage.sandbox.ghl.agentReplies({ contactId: answer.contactId, message: 'Yes, I am' });
  await stage.sandbox.waitFor(() => stage.sandbox.vcx.events.some(({ body }) => body.messageId === messageId), {
    what: 'the answer at vCX',
  });
  env.MESSAGE = messageId;
});

for (const block of blocks.slice(1)) {
  test(`this example works: ${block.match(/"\$WORKER([^"$]*)/)?.[1]}`, async () => {
    await shell(block);
  });
}

test('every route has an example or is named as somebody else’s', () => {
  const { paths } = JSON.parse(readFileSync(new URL('../src/openapi.json', import.meta.url), 'utf8'));
  const missing = Object.keys(paths).filter((path) => !readme.includes(`\`${path}`) && !readme.includes(` ${path}`));
  assert.deepEqual(missing, []);
});

test('every line of the log is explained, and no other', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.rs'));
  const sources = [...files.map((file) => `../src/${file}`), '../js/worker.js', '../js/location.js'];
  const logged = sources.flatMap((file) => {
    const [code] = readFileSync(new URL(file, import.meta.url), 'utf8').split('#[cfg(test)]');
    return EVENTS.flatMap((event) => [...code.matchAll(event)].map(([, name]) => name));
  });
  const [, table] = readme.match(/^## The log\n(.*?)^## /ms) ?? [];
  const rows = [...table.matchAll(/^\| (`.*?`) \|/gm)].map(([, first]) => first);
  const explained = rows.flatMap((row) => [...row.matchAll(/`(\w+)`/g)].map(([, name]) => name));
  assert.deepEqual(explained.filter((name) => name !== 'event').sort(), [...new Set(logged)].sort());
});

test('every setting that is read is explained', () => {
  const source = readFileSync(new URL('../src/settings.rs', import.meta.url), 'utf8');
  const read = new Set([...source.matchAll(/(?:required|optional|or)\("([A-Z_]+)"/g)].map(([, name]) => name));
  assert.ok(read.size >= 13, `found only ${[...read]}`);
  assert.deepEqual(
    [...read].filter((name) => !readme.includes(`\`${name}\``)),
    [],
  );
});

/**
 * Runs an example in bash; `curl` fails on any status that is not 2xx or 3xx.
 * @param {string} text
 */
function shell(text) {
  const script = `set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n${text}`;
  return promisify(execFile)('bash', ['-c', script], { env: { ...process.env, ...env } });
}

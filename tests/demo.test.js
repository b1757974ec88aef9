/**
 * The demo, as a newcomer runs it: green when all is well, and red, with a sentence that says where, for every single call of
 * its transcript that is broken on purpose.
 */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { startSandbox } from '../js/sandbox/index.js';
import { opener } from '../scripts/open.mjs';
import { play } from '../scripts/story.mjs';
import { createPen } from '../scripts/transcript.mjs';
import { freePort } from '../scripts/workerd.mjs';

const demo = fileURLToPath(new URL('../scripts/demo.mjs', import.meta.url));
const green = await run('--once');
const calls = green.stdout.split('\n').flatMap((text) => parse(text) ?? []);

test('the transcript tells the whole story in four steps', () => {
  assert.equal(green.code, 0, green.all);
  assert.equal(green.stderr, '');
  const headings = green.stdout.match(/^\d {2}.*$/gm);
  assert.deepEqual(headings, [
    '1  An admin installs the app',
    '2  A visitor writes',
    '3  An agent answers',
    '4  GHL shows it as delivered',
  ]);
  assert.equal(green.stdout.match(/^ ✓ /gm)?.length, 4);
  assert.match(green.stdout, new RegExp(`^${calls.length} calls recorded, none refused, in [\\d.]+ s\\.$`, 'm'));

  const told = calls.map(({ from, to, name }) => `${from} → ${to} ${name}`);
  for (const call of [
    'Browser → Worker GET /install',
    'Browser → GHL GET /v2/oauth/chooselocation?…',
    'Browser → Worker GET /auth/callback?…',
    'Worker → GHL POST /oauth/token',
    'Worker → vCX POST /events location.connected',
    'vCX → Worker POST /push-message',
    'Worker → GHL POST /conversations/messages/inbound',
    'GHL → Worker POST /webhook delivery',
    'Worker → vCX POST /events message.created',
  ]) {
    assert.equal(told.filter((name) => name === call).length, 1, `${call}, once`);
  }
  assert.match(told.at(-1) ?? '', /^Worker → GHL PUT \/conversations\/messages\/.*\/status$/);
});

test('what the visitor and the agent write is seen on both sides', () => {
  assert.equal(green.stdout.match(/^ +“Hello! Is there a free slot on Friday morning\?”$/gm)?.length, 2);
  assert.equal(green.stdout.match(/^ +“Hi Mina! Friday at ten is free\. See you then\?”$/gm)?.length, 2);
});

test('the transcript fits 80 columns and holds neither secrets nor colours', () => {
  const wide = green.stdout.split('\n').filter((text) => [...text].length > 80);
  assert.deepEqual(wide, []);
  assert.doesNotMatch(green.stdout, /redacted|bearer|whsec_|vcx_|eyJ|secret/i);
  assert.equal(green.stdout, stripVTControlCharacters(green.stdout));
});

describe('one call broken on purpose', { concurrency: 3 }, () => {
  for (const name of new Set(calls.map(({ name }) => name))) {
    test(`fails the demo: ${name}`, async () => {
      const broken = await run('--once', '--break', name);
      assert.equal(broken.code, 1, broken.all);
      const [, title, why] = broken.stderr.match(/^Step \d, “(.*)”, failed:\n(.*)$/m) ?? [];
      assert.equal(title, stepOf(name), broken.stderr);
      const { from, to } = calls.find((call) => call.name === name) ?? { from: '', to: '' };
      const [caller, called] = [from, to].map((who) => ARTICLES[who] ?? who);
      const sentence = `${called} answered 422 to ${caller}’s ${name}: “refused on purpose (--break)”.`;
      assert.equal(withoutIds(why), withoutIds(sentence.replace(/^the/, 'The')));
      assert.match(broken.stdout, new RegExp(`^ ✗ ${from} +→ ${to} .* 422 `, 'm'));
      assert.doesNotMatch(broken.stdout, /calls recorded, none refused/);
    });
  }
});

test('a break that hits nothing is a failure, too', async () => {
  const { code, stderr } = await run('--once', '--break', 'POST /nobody/calls/this');
  assert.equal(code, 1);
  assert.equal(stderr, '\n--break: the demo makes no call "POST /nobody/calls/this".\n');
});

test('a call that is never made fails its step within the limit', async () => {
  const { lines, error } = await playAgainst((url, sandbox) => {
    return url.startsWith('/install') ? [302, `${sandbox.ghl.installUrl}${chooser(sandbox)}`] : [200];
  });
  assert.equal(
    error?.message,
    'Step 1, “An admin installs the app”, failed:\n' +
      'these calls were not made within 0.5 s: ' +
      'POST /oauth/token, POST /events location.connected, POST /locations/*/customFields.',
  );
  assert.equal(lines.filter((text) => text.includes('✓')).length, 0);
});

test('a Worker that does not redirect, or is not there, fails the first step', async () => {
  const idle = await playAgainst(() => [200]);
  assert.match(idle.error?.message ?? '', /^Step 1, .*\nGET \/install answered 200 and no redirect: /);
  const absent = await playAgainst(() => undefined);
  assert.match(
    absent.error?.message ?? '',
    /^Step 1, .*\nThe Worker gave no answer to the browser’s GET \/install: “.+”\.$/,
  );
});

test('a taken port is said in a sentence', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const { code, stderr } = await run('--port', `${port}`);
  server.close();
  assert.equal(code, 1);
  assert.match(
    stderr,
    new RegExp(`^\nPort ${port} is taken by another program\\. Choose others: npm run demo -- --port \\d`),
  );
});

test('the last thing that it says is where the page is', async () => {
  const port = await freePort();
  const child = spawn(process.execPath, [demo, '--no-build', '--port', `${port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  try {
    await until(() => text.includes('What is called from here on'));
    const [, url] = text.match(/\nNext: open this page.*\n\n {2}(\S+)\n\nWhat is called from here on\n/) ?? [];
    const page = await (await fetch(url)).text();
    assert.match(page, /<title>vcx-ghl: both sides of a chat<\/title>/);
    assert.match(page, new RegExp(`data-worker="http://127.0.0.1:${port}"`));
  } finally {
    child.kill('SIGINT');
    await once(child, 'exit');
  }
});

test('it opens the page by itself on a desktop, and nowhere else', () => {
  const url = 'http://127.0.0.1:8789/';
  const here = { platform: 'linux', env: { DISPLAY: ':0' }, isTTY: true };
  assert.deepEqual(opener(url, here), ['xdg-open', url]);
  assert.deepEqual(opener(url, { ...here, env: { WAYLAND_DISPLAY: 'wayland-0' } }), ['xdg-open', url]);
  assert.deepEqual(opener(url, { ...here, platform: 'darwin', env: {} }), ['open', url]);
  assert.deepEqual(opener(url, { ...here, platform: 'win32', env: {} }), ['cmd', '/c', 'start', '', url]);
  assert.equal(opener(url, { ...here, isTTY: false }), undefined, 'through a pipe');
  assert.equal(opener(url, { ...here, env: {} }), undefined, 'without a display');
  assert.equal(opener(url, { ...here, env: { DISPLAY: ':0', CI: 'true' } }), undefined, 'in CI');
  assert.equal(opener(url, { ...here, env: { DISPLAY: ':10', SSH_CONNECTION: '::1' } }), undefined, 'from afar');
});

test('an option that does not exist shows those that do', async () => {
  const { code, stderr } = await run('--twice');
  assert.equal(code, 1);
  assert.match(stderr, /--once .*Unknown option '--twice'/s);
});

test('it stays up: its curl lines work, what they cause is told, Ctrl-C ends it', { timeout: 30_000 }, async () => {
  const port = await freePort();
  const child = spawn(process.execPath, [demo, '--no-build', '--port', `${port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  try {
    await until(() => text.includes('What is called from here on'));
    const commands = text.split('\n\n').filter((block) => block.startsWith('curl'));
    assert.equal(commands.length, 3);
    const said = [];
    for (const command of commands) said.push((await promisify(execFile)('sh', ['-c', command])).stdout);
    const [push, reply, health] = said.map((answer) => JSON.parse(answer));
    assert.equal(push.status, 'sent');
    assert.equal(reply.posts[0].status, 200);
    assert.equal(health.health, 'ok');
    // The page asks all the time; that would drown what a person does.
    const [, ghl] = text.match(/^ {2}GHL +(\S+)$/m) ?? [];
    assert.equal((await (await fetch(`${ghl}/_sandbox/health`)).json()).health, 'ok');

    const later = () => text.slice(text.indexOf('What is called from here on'));
    await until(() => /PUT .*\/status/.test(later()) && /GET .*\/locations/.test(later()));
    const told = later()
      .split('\n')
      .flatMap((line) => parse(line) ?? []);
    assert.deepEqual(
      told.map(({ from, to, name }) => `${from} → ${to} ${name.replace(/[^/]*…[^/]*/g, '{id}')}`).sort(),
      [
        'GHL → Worker POST /webhook InboundMessage',
        'GHL → Worker POST /webhook OutboundMessage',
        'GHL → Worker POST /webhook delivery',
        'Worker → GHL POST /conversations/messages/inbound',
        'Worker → GHL PUT /conversations/messages/{id}/status',
        'Worker → vCX POST /events message.created',
        'You → Worker GET /locations/{id}',
        'You → Worker POST /push-message',
      ],
    );
    assert.match(later(), /“Yes, see you then!”/);
    assert.match(later(), /“Great\. Bring your insurance card, please\.”/);

    child.kill('SIGINT');
    assert.deepEqual(await exited, [0, null]);
    assert.match(text, /\nStopped\.\n$/);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/health`));
    assert.deepEqual(
      readdirSync(tmpdir()).filter((name) => name.startsWith(`vcx-ghl-demo-${child.pid}-`)),
      [],
    );
  } finally {
    child.kill('SIGKILL');
  }
});

/** The demo, to its end, on the build that there is. @param {string[]} args */
async function run(...args) {
  const options = { timeout: 60_000, env: { ...process.env, NO_COLOR: '1' } };
  /** @type {{ stdout: string, stderr: string, code: number }} */
  const { stdout, stderr, code } = await promisify(execFile)(
    process.execPath,
    [demo, '--no-build', ...args],
    options,
  ).then(
    (output) => ({ ...output, code: 0 }),
    (error) => error,
  );
  return { code, stdout, stderr, all: `${stdout}\n${stderr}` };
}

/**
 * The story told to something that is no Worker.
 * @param {(url: string, sandbox: Awaited<ReturnType<typeof startSandbox>>) => [number, string?] | undefined} answer
 */
async function playAgainst(answer) {
  const sandbox = await startSandbox();
  const server = createServer((request, response) => {
    const [status, location] = answer(request.url ?? '', sandbox) ?? [];
    if (!status) return request.socket.destroy();
    response.writeHead(status, location ? { location } : {}).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  sandbox.workerUrl = `http://127.0.0.1:${port}`;
  /** @type {string[]} */
  const lines = [];
  const pen = createPen(process.stdout);
  const error = await play(sandbox, { pen, print: (text) => lines.push(text), limitMs: 500 }).then(
    () => undefined,
    (/** @type {Error} */ error) => error,
  );
  await sandbox.close();
  server.closeAllConnections();
  server.close();
  return { lines, error };
}

/** @param {Awaited<ReturnType<typeof startSandbox>>} sandbox */
function chooser({ ghl, workerUrl }) {
  const query = { response_type: 'code', client_id: ghl.clientId, redirect_uri: `${workerUrl}/auth/callback` };
  return `?${new URLSearchParams(query)}`;
}

/** A line of the transcript. @param {string} text @returns {{ from: string, to: string, name: string } | undefined} */
function parse(text) {
  const [, from, to, method, path, note] =
    text.match(/^ . (\w+) +→ (\w+) +([A-Z]+) +(\/\S*)(?: {2}(\S+))? +(?:\d+|–) +<?\d+ ms$/) ?? [];
  return from ? { from, to, name: [method, path, note].filter(Boolean).join(' ') } : undefined;
}

/** The heading that a call is under. @param {string} name */
function stepOf(name) {
  let title = '';
  for (const text of green.stdout.split('\n')) {
    title = text.match(/^\d {2}(.*)$/)?.[1] ?? title;
    if (parse(text)?.name === name) return title;
  }
}

/** @type {Record<string, string>} */
const ARTICLES = { Worker: 'the Worker', Browser: 'the browser' };

/** Ids differ from run to run. @param {string} [text] */
const withoutIds = (text = '') => text.replace(/[^/]*…\w{4}(?=\/)/g, '{id}');

/** @param {() => boolean} fact */
async function until(fact) {
  for (let tries = 0; !fact(); tries += 1) {
    assert.ok(tries < 200, 'waited 10 s in vain');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The package in Node: the README's backend, the functions before and after loading, and `require`. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { WebSocket } from 'ws';
import { freePort } from '../../scripts/workerd.mjs';
import { heard } from '../client/heard.js';
import { startStage } from '../worker/stage.js';
import { example, freshProject, run } from './project.js';

const LATE = `
import { load, normalizePush, toGhl, verifyGhlWebhook } from 'vcx-ghl';
const push = { locationId: 'l', clientId: 'c', vcxConversationId: 'v', fromUser: true, body: 'Hi', timestamp: 1 };
const context = { providerId: 'p', contactId: 'con' };
const attempt = (work) => { try { return work(); } catch (error) { return error; } };
const before = attempt(() => toGhl(push, context));
await Promise.all([load(), load()]);
const wrong = attempt(() => normalizePush({ ...push, locationId: '', clientId: 7 }));
console.log(JSON.stringify({
  before: \`\${before.code}: \${before.detail}\`,
  after: toGhl(push, context).direction,
  wrong: wrong.errors.map(({ field }) => field),
  forged: attempt(() => verifyGhlWebhook('{}', 'A'.repeat(86) + '==')).code,
}));
`;
const SANDBOX = `
import { startSandbox } from 'vcx-ghl/sandbox';
const sandbox = await startSandbox();
console.log(sandbox.ghl.url);
await sandbox.close();
`;

/** @type {string} */
let project;
/** @type {{ after: (fn: () => void) => void }} */
const suite = { after: (fn) => process.once('exit', fn) };

before(async () => {
  project = await freshProject(suite, {
    'backend.js': example('backend.js'),
    'late.js': LATE,
    'require.cjs': "const { VcxGhlError } = require('vcx-ghl');\nconsole.log(typeof VcxGhlError);\n",
    'sandbox.js': SANDBOX,
  });
});

describe('the README’s backend', () => {
  it('signs sessions, takes events, and asks for a location', async (t) => {
    const port = await freePort();
    const stage = await startStage({ vars: { VCX_WEBHOOK_URL: `http://127.0.0.1:${port}/ghl-events` } });
    t.after(() => stage.close());
    const { sandbox, ghl, vcx } = stage;
    const { locationId } = ghl;
    await sandbox.walkInstall({ locationId });
    const { SESSION_SECRET, VCX_WEBHOOK_SECRET } = sandbox.workerVars();
    const env = {
      ...process.env,
      ...{ WORKER: stage.url, LOCATION: locationId, PORT: `${port}`, VCX_API_KEY: vcx.apiKey },
      ...{ VCX_WEBHOOK_SECRET, SESSION_SECRET },
    };
    const backend = spawn(process.execPath, ['backend.js'], {
      cwd: project,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(async () => {
      if (backend.kill()) await once(backend, 'exit');
    });
    /** @type {AsyncIterator<string>} */
    const lines = createInterface({ input: backend.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'the location is ok');

    const session = await (await fetch(`http://127.0.0.1:${port}/chat-session`, { method: 'POST' })).text();
    /** @type {typeof import('../../js/npm/index.js')} */
    const { connect } = await import(pathToFileURL(join(project, 'node_modules/vcx-ghl/js/npm/index.js')).href);
    const chat = connect({ url: stage.url, session, WebSocket });
    t.after(() => chat.close());
    const delivered = heard(chat, 'status', ({ status }) => status === 'delivered');
    const answered = heard(chat, 'message', ({ fromUser }) => !fromUser);
    const { messageId } = chat.send('Is anyone there?');
    assert.equal((await delivered).messageId, messageId);
    const [contact] = ghl.state.contacts.values();
    await ghl.agentReplies({ contactId: contact.id, message: 'Yes, I am' });
    assert.equal((await answered).body, 'Yes, I am');
    assert.match((await lines.next()).value, /^evt_[\da-f]{32} chat-7: Yes, I am$/);

    const forged = await fetch(`http://127.0.0.1:${port}/ghl-events`, { method: 'POST', body: '{}' });
    assert.deepEqual([forged.status, await forged.text()], [401, 'event_missing_header']);
  });
});

describe('the functions', () => {
  it('say before they are loaded that they are not, and work afterwards', async () => {
    const { stdout } = await run(project, process.execPath, 'late.js');
    assert.deepEqual(JSON.parse(stdout), {
      before: 'not_loaded: toGhl() works after `await load()`',
      after: 'inbound',
      wrong: ['locationId', 'clientId'],
      forged: 'signature_wrong',
    });
  });
});

describe('the sandbox', () => {
  it('starts from the package', async () => {
    const { stdout } = await run(project, process.execPath, 'sandbox.js');
    assert.match(stdout, /^http:\/\/127\.0\.0\.1:\d+$/m);
  });

  it('has a command, too', async () => {
    const { stdout } = await run(project, process.execPath, 'node_modules/.bin/vcx-ghl-sandbox', '--help');
    assert.match(stdout, /^vcx-ghl-sandbox: a GoHighLevel/);
  });
});

describe('require', () => {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const works = major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);

  it(works ? 'works in this Node' : 'says what to do instead', async () => {
    const required = run(project, process.execPath, 'require.cjs');
    if (works) assert.equal((await required).stdout.trim(), 'function');
    else await assert.rejects(required, /Error: vcx-ghl is an ES module/);
  });

  it('of an older Node is told what to do instead', async () => {
    const required = run(project, process.execPath, '--no-experimental-require-module', 'require.cjs');
    await assert.rejects(required, /Error: vcx-ghl is an ES module, .* use `import`, or `await import\("vcx-ghl"\)`/);
  });
});

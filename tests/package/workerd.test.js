/** The package in workerd: the README's Worker with the sync in it, and the functions beside it. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { startSandbox } from '../../js/sandbox/index.js';
import { freePort, startWorker } from '../../scripts/workerd.mjs';
import { message } from '../worker/stage.js';
import { example, freshProject, runTool } from './project.js';

it('the README’s Worker has the sync in it, and its own route beside it', async (t) => {
  const dist = await bundled(t, { 'worker.js': example('worker.js'), 'wrangler.toml': example('wrangler.toml') });
  const port = await freePort();
  const sandbox = await startSandbox({ workerUrl: `http://127.0.0.1:${port}` });
  const worker = await startWorker({ vars: sandbox.workerVars(), dist, port });
  t.after(async () => {
    await worker.close();
    await sandbox.close();
  });
  assert.equal(await (await fetch(`${worker.url}/mine`)).text(), 'Mine');
  const { ghl, vcx } = sandbox;
  const { locationId } = ghl;
  assert.equal((await sandbox.walkInstall({ locationId })).status, 200);
  const pushed = await vcx.push(message(locationId, 'mina', { body: 'From a mounted sync' }));
  assert.deepEqual([pushed.status, pushed.body.status], [200, 'sent']);
  await ghl.agentReplies({ contactId: pushed.body.contactId, message: 'And back' });
  await sandbox.waitFor(() => vcx.events.some(({ body }) => body.body === 'And back'), { what: 'the answer' });
});

it('the functions work in a Worker, beside the sync that has the same WebAssembly', async (t) => {
  const dist = await bundled(t, { 'worker.js': FUNCTIONS, 'wrangler.toml': example('wrangler.toml') });
  const worker = await startWorker({ vars: {}, dist });
  t.after(() => worker.close());
  assert.deepEqual(await (await fetch(worker.url)).json(), {
    before: 'not_loaded',
    after: 'inbound',
    session: 3,
    forged: 'event_missing_header',
  });
  assert.equal((await fetch(`${worker.url}/health`)).status, 503, 'the sync lacks its settings');
});

const FUNCTIONS = `
import { createSession, load, toGhl, verifyEvent } from 'vcx-ghl';
import sync, { Location } from 'vcx-ghl/worker';
export { Location };
const ids = { locationId: 'l', clientId: 'c', vcxConversationId: 'v' };
const push = { ...ids, fromUser: true, body: 'Hi', timestamp: 1 };
const context = { providerId: 'p', contactId: 'con' };
const codeOf = (error) => error.code;
let before = 'loaded';
try { toGhl(push, context); } catch (error) { before = error.code; }
export default {
  async fetch(request, env) {
    if (request.url.endsWith('/health')) return sync.fetch(request, env);
    await load();
    const session = await createSession({ secret: 's'.repeat(32), ...ids });
    return Response.json({
      before,
      after: toGhl(push, context).direction,
      session: session.split('.').length,
      forged: await verifyEvent(request.headers, '{}', 'whsec_' + btoa('s'.repeat(24))).catch(codeOf),
    });
  },
};
`;

/**
 * A project as wrangler would upload it.
 * @param {import('node:test').TestContext} t
 * @param {Record<string, string>} files
 */
async function bundled(t, files) {
  const project = await freshProject(t, files);
  await runTool(project, 'wrangler/bin/wrangler.js', 'deploy', '--dry-run', '--outdir', 'dist');
  return join(project, 'dist');
}

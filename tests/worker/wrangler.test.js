/** `wrangler dev --var …` alone points the Worker at any other GHL and vCX. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { startSandbox } from '../../js/sandbox/index.js';
import { freePort } from '../../scripts/workerd.mjs';
import { message, root, until } from './stage.js';

it('wrangler dev, with nothing but --var, connects a GHL and a vCX and carries messages both ways', async (t) => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const state = mkdtempSync(join(tmpdir(), 'vcx-ghl-'));
  const sandbox = await startSandbox({ workerUrl: url });
  const vars = Object.entries(sandbox.workerVars()).flatMap(([name, value]) => ['--var', `${name}:${value}`]);
  const wrangler = spawn(
    process.execPath,
    [
      ...[join(root, 'node_modules/wrangler/bin/wrangler.js'), 'dev', '--ip', '127.0.0.1', '--port', `${port}`],
      ...[
        '--inspector-port',
        `${await freePort()}`,
        '--persist-to',
        state,
        '--show-interactive-dev-session=false',
        ...vars,
      ],
    ],
    {
      cwd: root,
      env: { ...process.env, CI: 'true', WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG_PATH: state },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that its workerd ends with it.
      detached: true,
    },
  );
  let output = '';
  for (const stream of [wrangler.stdout, wrangler.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  t.after(async () => {
    if (wrangler.pid && wrangler.exitCode === null) {
      const ended = once(wrangler, 'exit');
      process.kill(-wrangler.pid, 'SIGKILL');
      await ended;
    }
    await sandbox.close();
    rmSync(state, { recursive: true, force: true, maxRetries: 5 });
  });

  const up = () =>
    fetch(`${url}/health`).then(
      ({ status }) => status === 200,
      () => false,
    );
  await until(async () => wrangler.exitCode !== null || (await up()), 'wrangler dev', 300_000);
  assert.equal(wrangler.exitCode, null, output);

  const { ghl, vcx } = sandbox;
  const { locationId } = ghl;
  assert.equal((await sandbox.walkInstall({ locationId })).status, 200);
  const pushed = await vcx.push(message(locationId, 'mina', { body: 'Over wrangler' }));
  assert.equal(pushed.status, 200, output);
  const again = await vcx.push(message(locationId, 'mina', { body: 'And again' }));
  assert.equal(again.body.contactId, pushed.body.contactId);
  assert.deepEqual(
    [...ghl.state.messages.values()].map(({ body }) => body),
    ['Over wrangler', 'And again'],
  );
  const { messageId } = await ghl.agentReplies({ contactId: pushed.body.contactId, message: 'Back' });
  const what = { what: 'delivered', timeoutMs: 15_000 };
  await sandbox.waitFor(() => ghl.state.messages.get(messageId)?.status === 'delivered', what);
  assert.deepEqual(
    vcx.events.map(({ body }) => [body.type, body.body]),
    [
      ['location.connected', undefined],
      ['message.created', 'Back'],
    ],
  );
});

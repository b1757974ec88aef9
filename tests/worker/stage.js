/**
 * The built Worker in workerd, beside the sandbox.
 */

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Miniflare } from 'miniflare';
import { startSandbox } from '../../js/sandbox/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Starts dist/ (what `wrangler deploy` uploads) in workerd.
 * @param {object} options
 * @param {Record<string, string>} options.vars the Worker's settings
 * @param {string} [options.state] a folder that outlives the Worker
 * @param {string} [options.dist] another build
 * @param {(line: Record<string, any>) => void} [options.onLog] what it logs
 * @param {number} [options.port]
 */
export async function startWorker({ vars, state, dist = join(root, 'dist'), onLog, port = 0 }) {
  const files = readdirSync(dist).filter((file) => /\.(js|wasm)$/.test(file));
  const modules = files
    .sort((a, b) => Number(b.endsWith('.js')) - Number(a.endsWith('.js')))
    .map((file) => ({
      type: /** @type {const} */ (file.endsWith('.js') ? 'ESModule' : 'CompiledWasm'),
      path: join(dist, file),
    }));
  const [, compatibilityDate] =
    readFileSync(join(root, 'wrangler.toml'), 'utf8').match(/^compatibility_date = "(.*)"$/m) ?? [];
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    port,
    modules,
    modulesRoot: dist,
    compatibilityDate,
    kvNamespaces: ['KV'],
    durableObjects: { LOCATION: { className: 'Location', useSQLite: true } },
    bindings: vars,
    handleRuntimeStdio(stdout, stderr) {
      stdout.setEncoding('utf8').on('data', (text) => lines(text, onLog));
      stderr.setEncoding('utf8').on('data', (text) => lines(text, onLog));
    },
    ...(state && { kvPersist: join(state, 'kv'), durableObjectsPersist: join(state, 'do') }),
  });
  const url = (await miniflare.ready).origin;
  return { url, miniflare, close: () => miniflare.dispose() };
}

/**
 * A Worker and a sandbox that know each other.
 * @param {{ sandbox?: Parameters<typeof startSandbox>[0], vars?: Record<string, string>, state?: string }} [options]
 */
export async function startStage({ sandbox: sandboxOptions, vars, state } = {}) {
  const port = await freePort();
  const sandbox = await startSandbox({ workerUrl: `http://127.0.0.1:${port}`, ...sandboxOptions });
  /** @type {Record<string, any>[]} */
  const logs = [];
  const worker = await startWorker({
    vars: { ...sandbox.workerVars(), ...vars },
    state,
    onLog: (line) => logs.push(line),
    port,
  });
  return {
    sandbox,
    worker,
    logs,
    async close() {
      await worker.close();
      await sandbox.close();
    },
  };
}

/** A port that nobody listens on: the sandbox has to know the Worker's before the Worker starts. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * @param {string} text
 * @param {((line: Record<string, any>) => void) | undefined} onLog
 */
function lines(text, onLog) {
  for (const line of text.split('\n').filter((line) => line.trim())) {
    try {
      onLog?.(JSON.parse(line));
    } catch {
      onLog?.({ level: 'text', text: line });
    }
  }
}

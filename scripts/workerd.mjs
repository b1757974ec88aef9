// The built Worker in workerd, Cloudflare's own runtime: for the demo and for tests.

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Miniflare } from 'miniflare';
import { root } from './run.mjs';

/** @import { Readable } from 'node:stream' */
/** @import { ModuleDefinition } from 'miniflare' */

/** @typedef {Record<string, any>} Line one line of the Worker's log */

/**
 * Starts dist/ (what `wrangler deploy` uploads), with a KV and a SQLite of its own.
 * @param {object} options
 * @param {Record<string, string>} options.vars the Worker's settings
 * @param {string} [options.state] a folder that outlives the Worker
 * @param {string} [options.dist] another build
 * @param {ModuleDefinition[]} [options.modules] put around the build: the first is the entry
 * @param {(line: Line) => void} [options.onLog] what it logs
 * @param {number} [options.port]
 */
export async function startWorker({ vars, state, dist = join(root, 'dist'), modules = [], onLog, port = 0 }) {
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    port,
    modules: [...modules, ...modulesOf(dist)],
    modulesRoot: dist,
    compatibilityDate,
    kvNamespaces: ['KV'],
    durableObjects: { LOCATION: { className: 'Location', useSQLite: true } },
    bindings: vars,
    handleRuntimeStdio(/** @type {Readable[]} */ ...outputs) {
      for (const output of outputs) listen(output, onLog);
    },
    ...(state && { kvPersist: join(state, 'kv'), durableObjectsPersist: join(state, 'do') }),
  });
  const { origin: url } = await miniflare.ready.catch(async (error) => {
    await miniflare.dispose();
    throw error;
  });
  return { url, miniflare, close: () => miniflare.dispose() };
}

/**
 * A port that nobody listens on: the sandbox has to know the Worker's before the Worker starts. It is below those that the system
 * gives to outgoing connections, which could take it meanwhile, and each process has some of its own.
 */
export async function freePort() {
  for (;;) {
    const port = 20_000 + ((process.pid * 10 + tried++) % 12_000);
    const server = createServer();
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

let tried = 0;

/** @param {string} dist @returns {ModuleDefinition[]} */
function modulesOf(dist) {
  return readdirSync(dist)
    .filter((file) => /\.(js|wasm)$/.test(file))
    .sort((a, b) => Number(b.endsWith('.js')) - Number(a.endsWith('.js')))
    .map((file) => ({ type: file.endsWith('.js') ? 'ESModule' : 'CompiledWasm', path: join(dist, file) }));
}

/** @param {Readable} output @param {((line: Line) => void) | undefined} onLog */
function listen(output, onLog) {
  let rest = '';
  output.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.filter((line) => line.trim())) onLog?.(parse(line));
  });
}

/** @param {string} line @returns {Line} */
function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return { level: 'text', text: line };
  }
}

const [, compatibilityDate] =
  readFileSync(join(root, 'wrangler.toml'), 'utf8').match(/^compatibility_date = "(.*)"$/m) ?? [];

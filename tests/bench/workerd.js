/**
 * Raw workerd, with nothing around it: no Miniflare, no `wrangler dev`, which cost many times what a Worker does.
 */

import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
// @ts-expect-error it has no types
import workerd from 'workerd';
import { Problem, root } from '../../scripts/run.mjs';
import { adopt } from './children.js';

/** @import { Readable } from 'node:stream' */

/**
 * @typedef {object} Worker
 * @property {string[]} modules files; the first is the entry
 * @property {Record<string, string>} [vars]
 * @property {string[]} [flags] compatibility flags
 * @property {{ binding: string, className: string }} [object] a Durable Object class
 * @property {string} [kv] the URL of a KV namespace, for the binding `KV`
 * @property {string} [state] the folder of its databases
 *
 * @typedef {object} Running
 * @property {string} url
 * @property {number} pid
 * @property {(unless?: RegExp) => Promise<void>} close fails when trouble was logged, unless it was this
 */

/**
 * Starts a Worker and resolves when it listens. What it logs goes to a file; lines that tell of trouble make `close` fail.
 * @param {Worker} worker
 * @param {string[]} [options] of workerd
 * @returns {Promise<Running>}
 */
export async function startWorkerd(worker, options = []) {
  const folder = mkdtempSync(join(tmpdir(), 'vcx-ghl-workerd-'));
  const log = join(worker.state ?? folder, 'workerd.log');
  if (worker.state) mkdirSync(worker.state, { recursive: true });
  for (const file of worker.modules) cpSync(file, join(folder, basename(file)));
  writeFileSync(join(folder, 'config.capnp'), configOf(worker));

  const out = openSync(log, 'w');
  const child = spawn(
    workerd.default,
    ['serve', '--experimental', '--control-fd=3', ...options, join(folder, 'config.capnp')],
    { stdio: ['ignore', out, out, 'pipe'] },
  );
  const ended = adopt(child);
  const port = await Promise.race([
    listening(/** @type {Readable} */ (child.stdio[3])),
    ended.then(() => {
      throw new Problem('workerd did not start', readFileSync(log, 'utf8'));
    }),
  ]);
  return {
    url: `http://127.0.0.1:${port}`,
    pid: /** @type {number} */ (child.pid),
    async close(unless) {
      child.kill('SIGTERM');
      await ended;
      const lines = readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => isTrouble(line) && !unless?.test(line));
      rmSync(folder, { recursive: true });
      if (lines.length > 0) throw new Problem('the Worker logged errors', lines.slice(0, 20).join('\n'));
    },
  };
}

/** The modules of a build, its entry first. @param {string} folder */
export function modulesOf(folder) {
  const files = readdirSync(folder).filter((file) => /\.(js|wasm)$/.test(file));
  return files.sort((a, b) => Number(b.endsWith('.js')) - Number(a.endsWith('.js'))).map((file) => join(folder, file));
}

/** @param {Readable} control @returns {Promise<number>} */
async function listening(control) {
  for await (const line of createInterface(control)) {
    const said = JSON.parse(line);
    if (said.event === 'listen') return said.port;
  }
  return new Promise(() => {});
}

/** An error, or a call that came to nothing though nobody refused it. @param {string} line */
function isTrouble(line) {
  return /"level":"error"|"error":"(?:timed_out|dropped)"|\bError: |^workerd\/.*(?:error|exception)/.test(line);
}

/** @param {Worker} worker */
function configOf({ modules, vars = {}, flags = [], object, kv, state }) {
  const text = JSON.stringify;
  const bindings = Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`);
  const services = [
    '(name = "main", worker = .main)',
    '(name = "internet", network = (allow = ["public", "private"]))',
  ];
  if (object) bindings.push(`(name = ${text(object.binding)}, durableObjectNamespace = ${text(object.className)})`);
  if (kv) {
    bindings.push('(name = "KV", kvNamespace = "kv")');
    services.push(`(name = "kv", external = (address = ${text(new URL(kv).host)}, http = ()))`);
  }
  if (state) services.push(`(name = "disk", disk = (path = ${text(state)}, writable = true))`);
  const kinds = modules.map((file) => {
    const name = basename(file);
    return `(name = ${text(name)}, ${name.endsWith('.wasm') ? 'wasm' : 'esModule'} = embed ${text(name)})`;
  });
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [${services.join(', ')}],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const main :Workerd.Worker = (
  modules = [${kinds.join(', ')}],
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = [${flags.map((flag) => text(flag)).join(', ')}],
  bindings = [${bindings.join(', ')}],
  ${object ? `durableObjectNamespaces = [(className = ${text(object.className)}, uniqueKey = "bench", enableSql = true)],` : ''}
  ${state ? 'durableObjectStorage = (localDisk = "disk"),' : ''}
);
`;
}

/** That of the Worker that is measured, for all of them. */
export const [, compatibilityDate] = /** @type {RegExpMatchArray} */ (
  readFileSync(join(root, 'wrangler.toml'), 'utf8').match(/^compatibility_date = "(.*)"$/m)
);

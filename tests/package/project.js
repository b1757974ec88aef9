/**
 * The package as npm packs it, installed into fresh projects.
 */

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** @type {Promise<string> | undefined} */
let packed;

/** The tarball, made once. */
export function tarball() {
  packed ??= pack();
  return packed;
}

async function pack() {
  const folder = mkdtempSync(join(tmpdir(), 'vcx-ghl-pack-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  // What `prepack` makes, the build that these tests need has made: here several files pack at the same time.
  await npm(root, 'pack', '--ignore-scripts', '--pack-destination', folder);
  return join(folder, readdirSync(folder)[0]);
}

/**
 * A project that has nothing but the package and these files.
 * @param {import('node:test').TestContext | { after: (fn: () => void) => void }} t
 * @param {Record<string, string>} [files]
 * @param {Record<string, unknown>} [manifest] beside what each has
 */
export async function freshProject(t, files = {}, manifest = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'vcx-ghl-project-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const all = {
    'package.json': JSON.stringify({ name: 'fresh', private: true, type: 'module', ...manifest }),
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  await npm(folder, 'install', '--prefer-offline', '--no-audit', '--no-fund', await tarball());
  return folder;
}

/** An example of the README, word for word. @param {string} name as its first line says */
export function example(name) {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [, text] = readme.match(new RegExp(`^\`\`\`\\w+\\n([^\\n]* ${name}\\n.*?)^\`\`\``, 'ms')) ?? [];
  if (!text) throw new Error(`the README has no example called ${name}`);
  return text;
}

/**
 * Runs a program of this repository in a project. Rejects with its output.
 * @param {string} cwd
 * @param {string} bin its file in node_modules
 * @param {...string} args
 */
export const runTool = (cwd, bin, ...args) => run(cwd, process.execPath, join(root, 'node_modules', bin), ...args);

/** @param {string} cwd @param {string} command @param {...string} args */
export async function run(cwd, command, ...args) {
  try {
    return await promisify(execFile)(command, args, { cwd, env: { ...process.env, NO_COLOR: '1' } });
  } catch (error) {
    const { message, stdout, stderr } = /** @type {any} */ (error);
    throw new Error(`${message}\n${stdout}\n${stderr}`);
  }
}

/** @param {string} cwd @param {...string} args */
function npm(cwd, ...args) {
  const { npm_execpath } = process.env;
  return npm_execpath ? run(cwd, process.execPath, npm_execpath, ...args) : run(cwd, 'npm', ...args);
}

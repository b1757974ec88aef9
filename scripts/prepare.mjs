// What a build needs on the machine: says in a sentence what is missing, installs what it may install itself.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, Problem, root, run, say, seconds } from './run.mjs';

/** @param {{ lint?: boolean }} [options] `lint`: rustfmt and clippy too */
export async function prepare({ lint = false } = {}) {
  node();
  await rust(lint);
  await compiler();
  await packages();
}

function node() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 3))
    throw new Problem(`Node 20.3 or newer is needed, this is ${process.versions.node}: https://nodejs.org`);
}

/** @param {boolean} lint */
async function rust(lint) {
  const version = await run('Rust', 'rustc', ['--version']);
  if (version.code !== 0)
    throw new Problem(
      'Rust is missing: install it from https://rustup.rs and run this again.',
      version.code === 127 ? '' : version.output,
    );
  const here = version.stdout.match(/\d+\.\d+/)?.[0] ?? '0.0';
  if (older(here, rustVersion))
    throw new Problem(`Rust ${rustVersion} or newer is needed, this is ${here}: run \`rustup update\`.`);

  const sysroot = (await must('Rust', 'rustc', ['--print', 'sysroot'])).stdout.trim();
  if (!existsSync(join(sysroot, 'lib/rustlib/wasm32-unknown-unknown')))
    await rustup('target', 'wasm32-unknown-unknown');
  if (!lint) return;
  for (const [component, name] of [
    ['clippy', 'clippy'],
    ['fmt', 'rustfmt'],
  ]) {
    if ((await run(name, 'cargo', [component, '--version'])).code !== 0) await rustup('component', name);
  }
}

/** @param {'target' | 'component'} kind @param {string} name */
async function rustup(kind, name) {
  const { code, output, seconds: took } = await run(`rustup ${kind} add ${name}`, 'rustup', [kind, 'add', name]);
  if (code !== 0)
    throw new Problem(`Rust lacks the ${kind} ${name}, and \`rustup ${kind} add ${name}\` did not work.`, output);
  say(`  ✓ rustup ${kind} add ${name} (${seconds(took)})`);
}

async function compiler() {
  // On Windows rustc finds and reports its own linker.
  if (process.platform === 'win32') return;
  const cc = process.env.CC ?? 'cc';
  if ((await run('C compiler', cc, ['--version'])).code !== 0) {
    const how =
      process.platform === 'darwin'
        ? 'xcode-select --install'
        : 'apt-get install build-essential, or your system’s like';
    throw new Problem(`A C compiler is missing (\`${cc}\`): ${how}.`);
  }
}

async function packages() {
  if (installed()) return;
  // No package's own code runs while it is installed: none of them needs it.
  const [command, args] = npm('ci', '--ignore-scripts', '--no-audit', '--no-fund');
  const { seconds: took } = await must('npm ci', command, args);
  say(`  ✓ npm ci (${seconds(took)})`);
}

/**
 * npm is a script on Windows; under `npm run` its path is known on every system.
 * @param {string[]} args
 * @returns {[string, string[]]}
 */
export function npm(...args) {
  const { npm_execpath: script } = process.env;
  return script ? [process.execPath, [script, ...args]] : ['npm', args];
}

/** Whether node_modules is what package-lock.json says; optional packages are for other systems when absent. */
function installed() {
  const hidden = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(hidden)) return false;
  const here = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { optional, integrity }]) =>
      path === '' || here[path]?.integrity === integrity || (optional && !here[path]),
  );
}

/** @param {string} a @param {string} b */
function older(a, b) {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number));
  return x[0] < y[0] || (x[0] === y[0] && x[1] < y[1]);
}

const rustVersion = readFileSync(join(root, 'Cargo.toml'), 'utf8').match(/^rust-version = "([\d.]+)"/m)?.[1] ?? '1.85';

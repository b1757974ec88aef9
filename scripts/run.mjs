// What the build and the tests share: running a program while showing that it is alive, and knowing what is up to date.
// Node's own modules only: this runs before anything is installed.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Something the reader has to do or to know, said in a sentence; shown without a stack. */
export class Problem extends Error {
  /** @param {string} message @param {string} [output] */
  constructor(message, output = '') {
    super(message);
    this.output = output;
  }
}

/**
 * Runs a program to its end. A terminal sees a spinner, anything else a line every ten seconds.
 *
 * @typedef {{ code: number, stdout: string, output: string, seconds: number }} Ran
 * @param {string} label
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, cwd?: string, minutes?: number }} [options]
 * @returns {Promise<Ran>}
 */
export function run(label, command, args, { env = {}, cwd = root, minutes = 30 } = {}) {
  const started = Date.now();
  return new Promise((resolve) => {
    // A group of its own, so that what it leaves running can be ended with it.
    const child = spawn(command, args, {
      cwd,
      env: { ...environment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: posix,
    });
    running.add(child);
    let stdout = '';
    let output = '';
    let line = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      output += text;
      line = lastLine(text) ?? line;
    });
    const stopProgress = progress(label, started, () => line);
    const limit = setTimeout(() => {
      output += `\nstopped after ${minutes} minutes`;
      kill(child);
    }, minutes * 60_000);

    let done = false;
    /** @type {NodeJS.Timeout | undefined} */
    let grace;
    /** @param {number} code */
    const finish = (code) => {
      if (done) return;
      done = true;
      clearTimeout(limit);
      clearTimeout(grace);
      stopProgress();
      kill(child);
      running.delete(child);
      resolve({ code, stdout, output: stripVTControlCharacters(output), seconds: (Date.now() - started) / 1000 });
    };
    child.on('error', (error) => {
      output += error.message;
      finish(127);
    });
    child.on('close', (code) => finish(code ?? 1));
    // A grandchild that outlives its parent keeps the pipes open; it does not keep us.
    child.on('exit', (code) => {
      grace = setTimeout(finish, 1000, code ?? 1);
    });
  });
}

/** As `run`, and anything but success is a `Problem`. @type {typeof run} */
export async function must(label, command, args, options) {
  const ran = await run(label, command, args, options);
  if (ran.code !== 0) throw new Problem(`${label}: failed (${[command, ...args].join(' ')})`, ran.output);
  return ran;
}

/** The command line of a tool that npm installed, run by this very Node. @param {keyof typeof bins} name @returns {[string, string]} */
export const tool = (name) => [process.execPath, join(root, 'node_modules', bins[name])];

/** @param {string} text */
export const say = (text) => console.log(text);

/** @param {number} n */
export const seconds = (n) => (n < 100 ? `${n.toFixed(1)} s` : `${Math.floor(n / 60)} min ${Math.round(n % 60)} s`);

/** Runs `main` as a program: a `Problem` is told, not thrown. @param {() => Promise<number | void>} main */
export async function program(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.output) console.error(error.output.trimEnd());
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  }
}

/** A hash over texts, and over files when they are there. @param {{ texts?: string[], files?: string[] }} what */
export function hash({ texts = [], files = [] }) {
  const sum = createHash('sha256');
  for (const text of texts) sum.update(`${text.length}:${text}`);
  for (const file of files) sum.update(`${file}:`).update(existsSync(file) ? readFileSync(file) : 'missing');
  return sum.digest('hex');
}

/**
 * Makes `outputs` unless the stamp beside them says that they came from just these inputs and are untouched since.
 *
 * @param {string} stamp
 * @param {string} inputs a hash
 * @param {() => string[]} outputs
 * @param {() => Promise<void>} make
 * @returns {Promise<boolean>} whether there was anything to do
 */
export async function unlessFresh(stamp, inputs, outputs, make) {
  const state = () => {
    const files = outputs();
    return `${inputs} ${files.length} ${hash({ files })}\n`;
  };
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state()) return false;
  await make();
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, state());
  return true;
}

/** @param {string} label @param {number} started @param {() => string} detail */
function progress(label, started, detail) {
  const terminal = process.stdout.isTTY && !process.env.CI;
  let turn = 0;
  const timer = setInterval(
    () => {
      const line = `  ${terminal ? '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'[turn++ % 10] : '…'} ${label}: ${Math.round((Date.now() - started) / 1000)} s  ${detail()}`;
      if (terminal) process.stdout.write(`\r\x1b[2K${line.slice(0, (process.stdout.columns || 80) - 1)}`);
      else say(line.slice(0, 120).trimEnd());
    },
    terminal ? 120 : 10_000,
  );
  return () => {
    clearInterval(timer);
    if (terminal) process.stdout.write('\r\x1b[2K');
  };
}

/** @param {string} text */
const lastLine = (text) =>
  stripVTControlCharacters(text)
    .split(/[\r\n]/)
    .findLast((line) => line.trim())
    ?.trim();

/** rustup's own folder counts even when a shell that was open before it does not know it yet. */
function environment() {
  const cargo = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin');
  const path = process.env.PATH ?? '';
  return {
    ...process.env,
    PATH: path.split(delimiter).includes(cargo) ? path : `${path}${delimiter}${cargo}`,
  };
}

/** @param {import('node:child_process').ChildProcess} child */
function kill(child) {
  try {
    if (posix && child.pid) process.kill(-child.pid, 'SIGKILL');
    else child.kill('SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

const bins = {
  biome: '@biomejs/biome/bin/biome',
  tsc: 'typescript/bin/tsc',
  'wasm-opt': 'binaryen/bin/wasm-opt',
  wrangler: 'wrangler/bin/wrangler.js',
};
const posix = process.platform !== 'win32';
/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => {
    for (const child of running) kill(child);
    process.exit(130);
  });
}

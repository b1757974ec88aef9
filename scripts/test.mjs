// Every check there is, each on its own: one that fails does not stop the rest.
//
//     npm test                        all of them
//     npm test -- --only worker       those with `worker` in their name, and what they need

import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { build, buildHelper } from './build.mjs';
import { dependencies, sources } from './dependencies.mjs';
import { prepare } from './prepare.mjs';
import { Problem, program, root, run, say, seconds, tool } from './run.mjs';

/**
 * What a check found; `output` is for the reader when something failed, `notes` are for the reader in any case.
 * @typedef {{ passed: number, failed: number, skipped: string[], notes?: string[], output: string }} Result
 * @typedef {{ name: string, needs?: string, check: (name: string) => Promise<Result> }} Step
 */

/** @type {Step[]} */
const STEPS = [
  { name: 'format rust', check: (name) => one(name, 'cargo', ['fmt', '--all', '--check']) },
  { name: 'format and lint js', check: (name) => one(name, ...npm('biome', 'check', '--error-on-warnings')) },
  { name: 'pure core', check: pureCore },
  { name: 'sources', check: sources },
  { name: 'dependencies', check: dependencies },
  { name: 'clippy native', check: (name) => one(name, 'cargo', [...CLIPPY, '--all-targets', ...DENY]) },
  { name: 'clippy wasm', check: (name) => one(name, 'cargo', [...CLIPPY, ...WASM_TESTS, '--lib', ...DENY]) },
  {
    name: 'rust docs',
    check: (name) =>
      one(name, 'cargo', ['doc', '--locked', '--no-deps', '--document-private-items'], { RUSTDOCFLAGS: '-D warnings' }),
  },
  { name: 'rust tests', check: (name) => cargoTest(name, []) },
  { name: 'build', check: builds },
  { name: 'wasm tests', check: wasmTests },
  { name: 'types', needs: 'build', check: (name) => one(name, ...npm('tsc', '--pretty', 'false')) },
  {
    name: 'types worker',
    needs: 'build',
    check: (name) => one(name, ...npm('tsc', '--pretty', 'false', '--project', 'tsconfig.worker.json')),
  },
  ...nodeTests(),
];

/** @returns {Promise<number>} the exit code */
async function main() {
  const { only = [] } = parseArgs({ options: { only: { type: 'string', multiple: true } } }).values;
  const chosen = STEPS.filter(({ name }) => only.length === 0 || only.some((part) => name.includes(part)));
  if (chosen.length === 0)
    throw new Problem(`No check is called that. There are: ${STEPS.map(({ name }) => name).join(', ')}`);
  const steps = STEPS.filter((step) => chosen.includes(step) || chosen.some(({ needs }) => needs === step.name));

  await prepare({ lint: true });
  /** @type {Map<string, Result>} */
  const results = new Map();
  for (const { name, needs, check } of steps) {
    const started = Date.now();
    const result =
      needs && results.get(needs)?.failed
        ? failure(`not run, because \`${needs}\` failed`)
        : await attempt(name, check);
    results.set(name, result);
    tell(name, result, (Date.now() - started) / 1000);
  }
  return summary(results);
}

/** One line for a step. @param {string} name @param {Result} result @param {number} took */
function tell(name, { passed, failed, skipped }, took) {
  const counts = [
    `${passed} passed`,
    ...(failed ? [`${failed} failed`] : []),
    ...(skipped.length ? [`${skipped.length} skipped`] : []),
  ];
  say(`${failed ? '✗' : '✓'} ${name.padEnd(20)} ${counts.join(', ').padEnd(28)} ${seconds(took)}`);
}

/** What failed, what was skipped, and the closing line. @param {Map<string, Result>} results @returns {number} the exit code */
function summary(results) {
  let [passed, failed, skipped] = [0, 0, 0];
  for (const [name, result] of results) {
    passed += result.passed;
    failed += result.failed;
    skipped += result.skipped.length;
    if (result.failed) say(`\n━━ ${name}\n${result.output.trimEnd()}`);
  }
  const notes = [...results].flatMap(([name, result]) => (result.notes ?? []).map((note) => `NOTE ${name}: ${note}`));
  if (notes.length) say(`\n${notes.join('\n')}`);
  if (skipped) say('');
  for (const [name, result] of results) for (const what of result.skipped) say(`SKIPPED ${name}: ${what}`);
  if (skipped && process.env.CI === 'true') {
    say('Under CI nothing may be skipped: those count as failed.');
    [failed, skipped] = [failed + skipped, 0];
  }
  say(`\n${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

/** @param {string} name @param {Step['check']} check @returns {Promise<Result>} */
async function attempt(name, check) {
  try {
    return await check(name);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return failure(`${error.output}\n${error.message}`);
  }
}

/**
 * A program that either succeeds or does not.
 * @param {string} name @param {string} command @param {string[]} args @param {Record<string, string>} [env] @returns {Promise<Result>}
 */
async function one(name, command, args, env) {
  const { code, output } = await run(name, command, args, { env });
  return code === 0 ? success : failure(output.replace(NOISE, ''));
}

/** @param {string} name @param {string[]} args @returns {Promise<Result>} */
async function cargoTest(name, args) {
  const { code, output } = await run(name, 'cargo', ['test', '--locked', '--no-fail-fast', ...args], {
    env: { CARGO_TERM_COLOR: 'never' },
  });
  const totals = [...output.matchAll(/^test result: .*? (\d+) passed; (\d+) failed;/gm)];
  const skipped = [...output.matchAll(/^test (.+) \.\.\. ignored(?:, (.*))?$/gm)].map(([, name, why]) =>
    why ? `${name} (${why})` : name,
  );
  return counted(code, sum(totals, 1), sum(totals, 2), skipped, output);
}

/** @param {string} name */
async function wasmTests(name) {
  const runner = JSON.stringify([await buildHelper(), 'test']);
  return cargoTest(name, [...WASM_TESTS, '--config', `target.${WASM}.runner=${runner}`]);
}

/** A step per folder of tests/, named for it. @returns {Step[]} */
function nodeTests() {
  /** @type {Map<string, string[]>} */
  const folders = new Map();
  const files = readdirSync(join(root, 'tests'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.test.js'),
  );
  for (const file of files.sort()) {
    const folder = file.includes(sep) ? file.split(sep)[0] : 'js';
    folders.set(folder, [...(folders.get(folder) ?? []), join('tests', file)]);
  }
  return [...folders].map(([folder, paths]) => ({
    name: `${folder} tests`,
    needs: folder === 'sandbox' ? undefined : 'build',
    check: async (name) => {
      const { code, output } = await run(
        name,
        process.execPath,
        ['--test', '--test-concurrency=3', '--test-reporter=spec', ...paths],
        {
          env: { NO_COLOR: '1' },
          minutes: 10,
        },
      );
      /** @param {string} what */
      const total = (what) => sum([...output.matchAll(new RegExp(`^ℹ ${what} (\\d+)$`, 'gm'))], 1);
      const lines = output.matchAll(/^\s*(?:﹣|[✔✖](?=.*# TODO)) (.+?)(?: \([\d.]+ms\))? # ?(.*)$/gm);
      const skipped = [...lines].map(([, name, why]) => `${name} (${why})`);
      return counted(code, total('pass'), total('fail') + total('cancelled'), skipped, output);
    },
  }));
}

async function builds() {
  await build();
  return success;
}

/**
 * No clock, entropy, network or JavaScript in src/ but in wasm.rs, and no unsafe code anywhere. clippy.toml bans what the compiler
 * can see, this the rest.
 */
async function pureCore() {
  if (!/^\[lints\.rust\]\n(?:.+\n)*unsafe_code = "forbid"$/m.test(readFileSync(join(root, 'Cargo.toml'), 'utf8')))
    return failure('Cargo.toml does not say unsafe_code = "forbid" under [lints.rust].');
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.rs') && file !== 'wasm.rs',
  );
  const found = files.flatMap((file) => {
    const [code] = readFileSync(join(root, 'src', file), 'utf8').split(/^#\[cfg\(test\)\]$/m);
    return code
      .split('\n')
      .map((line, index) => ({ line: line.replace(/\/\/.*/, ''), at: `src/${file}:${index + 1}` }))
      .filter(({ line }) => IMPURE.test(line))
      .map(({ line, at }) => `${at}: ${line.trim()}`);
  });
  return found.length ? failure(`Only src/wasm.rs may name these:\n${found.join('\n')}`) : success;
}

/**
 * A program that counts: one that fails without saying where has one failure all the same, one that ran nothing has failed.
 * @param {number} code @param {number} passed @param {number} failed @param {string[]} skipped @param {string} output @returns {Result}
 */
function counted(code, passed, failed, skipped, output) {
  const unsaid = failed === 0 && (code !== 0 || passed + skipped.length === 0);
  return { passed, failed: unsaid ? 1 : failed, skipped, output: output.replace(NOISE, '') || 'no test ran' };
}

/** @type {Result} */
const success = { passed: 1, failed: 0, skipped: [], output: '' };

/** @param {string} output @returns {Result} */
const failure = (output) => ({ passed: 0, failed: 1, skipped: [], output });

/** @param {RegExpMatchArray[]} matches @param {number} group */
const sum = (matches, group) => matches.reduce((total, match) => total + Number(match[group]), 0);

/** @param {Parameters<typeof tool>[0]} name @param {string[]} args @returns {[string, string[]]} */
function npm(name, ...args) {
  const [node, script] = tool(name);
  return [node, [script, ...args]];
}

const WASM = 'wasm32-unknown-unknown';
// The test files that make sense in WASM; the others need SQLite or a process.
const WASM_TESTS = ['--target', WASM, ...['wasm', 'signature', 'seal', 'session'].flatMap((name) => ['--test', name])];
const CLIPPY = ['clippy', '--locked'];
const DENY = ['--', '-D', 'warnings'];
// What a reader of a failure need not see.
const NOISE = /^(?: +(?:Compiling|Checking|Downloading|Downloaded|Documenting) .*|test .* \.\.\. ok|\s*✔ .*)\n/gm;
const IMPURE =
  /\b(?:std::(?:\{[^}]*\b)?(?:time(?!::(?:UNIX_EPOCH|\{Duration, UNIX_EPOCH\});)|env|fs|net|thread|process)|SystemTime|Instant|elapsed|now_utc|now_local|getrandom|js_sys|web_sys|(?:serde_)?wasm_bindgen|rand::|tokio)\b/;

await program(main);

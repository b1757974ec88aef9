/**
 * Where the time of a message goes: our Worker under load, with V8's profiler on and the names of the Rust functions kept. The
 * profile is kept too, for a browser's developer tools to open.
 */

import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { WebSocket } from 'ws';
import { buildHelper, GENERATE, OPTIMIZE } from '../../scripts/build.mjs';
import { must, Problem, root, say, tool } from '../../scripts/run.mjs';
import { openBench } from './bench.js';
import { seeded, startOurs } from './contenders.js';
import { load } from './load.js';
import { digits, markdown } from './report.js';
import { ONE, pushes, reply, requests, webhookRequest } from './requests.js';

/** @import { Bench, Options } from './bench.js' */
/** @import { Requests } from './load.js' */

/**
 * @typedef {{ functionName: string, url: string, lineNumber: number }} Frame
 * @typedef {{ nodes: { id: number, callFrame: Frame }[], samples: number[], timeDeltas: number[] }} Profile
 */

/** @param {string} kind @param {Options} options */
export async function profile(kind, options) {
  const make = LOADS[kind];
  if (!make) throw new Problem(`--profile takes one of ${Object.keys(LOADS).join(', ')}`);
  const bench = await openBench(options, { step() {} });
  bench.dist = await named(bench);
  const state = join(bench.fast, 'state');
  cpSync(await seeded(bench, ONE), state, { recursive: true });
  const port = 20_000 + (process.pid % 10_000);
  const running = await startOurs(bench, state, { options: [`--inspector-addr=127.0.0.1:${port}`] });
  const sent = make(bench);
  const { seconds, connections } = options;
  const { good } = await load(running.url, sent, { seconds: 1, connections });
  const stop = await startProfiler(port);
  await load(running.url, sent, { seconds, connections, from: good + 2 * connections });
  const found = await stop();
  await running.close();
  await bench.close();
  const file = join(root, 'tests/bench/results', `${kind}.cpuprofile`);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, JSON.stringify(found));
  say(tables(found).map(markdown).join('\n\n'));
  say(`\nThe profile is in ${relative(root, file)}.`);
}

/** @type {Record<string, (bench: Bench) => Requests>} */
const LOADS = {
  push: (bench) => pushes(bench, ONE),
  webhook: (bench) =>
    requests(bench, 'webhook', (bench.options.seconds + 2) * 5_000, (n) => webhookRequest(bench, reply(ONE, n))),
};

/** The build with the names of functions in its WASM. @param {Bench} bench @returns {Promise<string>} its folder */
async function named({ dist, fast }) {
  const { stdout } = await must('crate to WASM', 'cargo', [
    ...['build', '--locked', '--release', '--lib', '--target', 'wasm32-unknown-unknown', '--message-format', 'json'],
  ]);
  const input = stdout.match(/"([^"]*\/vcx_ghl\.wasm)"/)?.[1];
  if (!input) throw new Problem('cargo built no vcx_ghl.wasm', stdout);
  const out = join(fast, 'named');
  await must('wasm-bindgen', await buildHelper(), ['generate', input, ...GENERATE, '--out-dir', out]);
  cpSync(dist, join(out, 'dist'), { recursive: true });
  const wasm = readdirSync(dist).find((file) => file.endsWith('.wasm')) ?? '';
  const [node, wasmOpt] = tool('wasm-opt');
  const [from, to] = [join(out, 'vcx_ghl_bg.wasm'), join(out, 'dist', wasm)];
  await must('wasm-opt', node, [wasmOpt, ...OPTIMIZE, '-g', from, '-o', to]);
  return join(out, 'dist');
}

/** @param {number} port of the inspector @returns {Promise<() => Promise<Profile>>} */
async function startProfiler(port) {
  const [{ webSocketDebuggerUrl }] = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const socket = new WebSocket(webSocketDebuggerUrl);
  await new Promise((resolve) => socket.once('open', resolve));
  /** @type {Map<number, (result: any) => void>} */
  const waiting = new Map();
  socket.on('message', (text) => {
    const { id, result } = JSON.parse(text.toString());
    waiting.get(id)?.(result);
  });
  let asked = 0;
  /** @param {string} method @param {object} [params] @returns {Promise<any>} */
  const ask = (method, params = {}) =>
    new Promise((resolve) => {
      waiting.set(++asked, resolve);
      socket.send(JSON.stringify({ id: asked, method, params }));
    });
  await ask('Profiler.enable');
  await ask('Profiler.setSamplingInterval', { interval: 200 });
  await ask('Profiler.start');
  return async () => {
    const { profile } = await ask('Profiler.stop');
    socket.close();
    return profile;
  };
}

/** @param {Profile} profile */
function tables({ nodes, samples, timeDeltas }) {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  /** @type {Map<string, number>} */
  const functions = new Map();
  /** @type {Map<string, number>} */
  const places = new Map();
  let all = 0;
  for (const [n, id] of samples.entries()) {
    const frame = /** @type {Frame} */ (frames.get(id));
    if (frame.functionName === '(idle)') continue;
    const [took, name] = [timeDeltas[n], nameOf(frame)];
    functions.set(name, (functions.get(name) ?? 0) + took);
    const [place] = /** @type {[string, unknown]} */ (PLACES.find(([, is]) => is(frame)));
    places.set(place, (places.get(place) ?? 0) + took);
    all += took;
  }
  /** @param {string} title @param {Map<string, number>} parts @param {number} most */
  const table = (title, parts, most) => ({
    title,
    head: ['', 'of the time'],
    rows: [...parts]
      .sort(([, a], [, b]) => b - a)
      .slice(0, most)
      .map(([name, took]) => [name, `${digits((took / all) * 100)} %`]),
  });
  return [table('Where', places, 20), table('In which function itself', functions, 40)];
}

/** @param {Frame} frame */
function nameOf({ functionName, url, lineNumber }) {
  const name =
    functionName
      .replace(/::h[0-9a-f]{16}$/, '')
      .replaceAll('|', '¦')
      .slice(0, 90) || 'anonymous';
  return url.endsWith('.js') ? `${name} (${url.split('/').pop()}:${lineNumber + 1})` : name;
}

/** The first that fits. @type {[string, (frame: Frame) => boolean][]} */
const PLACES = [
  ['WASM: serde and JSON', ({ functionName }) => /serde|json|vcx_ghl::wire/.test(functionName)],
  ['WASM: cryptography', ({ functionName }) => /chacha|poly1305|sha2|25519|hmac/.test(functionName)],
  ['WASM: the allocator', ({ functionName }) => /dlmalloc|__wbindgen_(?:malloc|free)/.test(functionName)],
  ['WASM: the rest', ({ url }) => url.includes('wasm')],
  ['the border to WASM', ({ functionName }) => /js-to-wasm|wasm-to-js|ToWasm|FromWasm/.test(functionName)],
  ['SQLite and its transactions', ({ functionName, url }) => url === '' && SQL.test(functionName)],
  ['collecting garbage', ({ functionName }) => functionName === '(garbage collector)'],
  ['workerd, outside JavaScript', ({ functionName }) => functionName === '(program)'],
  ['workerd’s other functions', ({ url }) => url === ''],
  ['JavaScript of the Worker, wasm-bindgen’s among it', () => true],
];
const SQL = /^(?:exec|raw|next|transactionSync|setAlarm)$/;

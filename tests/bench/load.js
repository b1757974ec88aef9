/**
 * The load: prepared requests, each sent once, over so many connections, for so long. By wrk where it is installed, which
 * costs next to nothing itself; else by autocannon, which costs a good part of a core.
 */

import { execFile, execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { Problem } from '../../scripts/run.mjs';

/**
 * @typedef {{ path: string, headers: Record<string, string>, body: string }} Prepared
 * @typedef {{ file: string, length: number }} Requests
 * @typedef {{ good: number, seconds: number, p50: number, p99: number }} Loaded answered as they should be; milliseconds
 * @typedef {Loaded & { bad: number, dry: number, broken: number, sample: string }} Raw
 */

/** Writes requests for `load`. @param {string} file @param {Iterable<Prepared>} requests @returns {Requests} */
export function prepare(file, requests) {
  const parts = [];
  for (const { path, headers, body } of requests) {
    const all = { host: 'bench', 'content-length': `${Buffer.byteLength(body)}`, ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    const bytes = Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
    parts.push(Buffer.from(`${bytes.length}\n`), bytes);
  }
  writeFileSync(file, Buffer.concat(parts));
  return { file, length: parts.length / 2 };
}

/**
 * @typedef {object} LoadOptions
 * @property {number} seconds
 * @property {number} connections
 * @property {number} [from] so many requests are left out
 * @property {number} [expected] the status that counts as success
 * @property {boolean} [again] start over when all requests are sent
 * @property {'wrk' | 'autocannon'} [by]
 */

/**
 * Anything but the expected answer is a failure of the whole benchmark: a figure over errors says nothing.
 * @param {string} url
 * @param {Requests} requests
 * @param {LoadOptions} options
 * @returns {Promise<Loaded>}
 */
export async function load(url, requests, options) {
  const { expected = 200, by = tool() } = options;
  const send = by === 'wrk' ? byWrk : byAutocannon;
  const raw = await send(url, requests, { from: 0, again: false, ...options, by, expected });
  const { bad, dry, broken, sample, ...loaded } = raw;
  if (bad > 0) throw new Problem(`${bad} of ${bad + loaded.good} answers were not ${expected}`, sample);
  if (broken > 0) throw new Problem(`${broken} connections broke or were not answered in time`);
  if (dry > 0) throw new Problem(`the ${requests.length} prepared requests did not suffice`);
  if (loaded.good === 0) throw new Problem('nothing was answered');
  return loaded;
}

/** @param {string} url @param {Requests} requests @param {Required<LoadOptions>} options @returns {Promise<Raw>} */
async function byWrk(url, { file }, { seconds, connections, from, expected, again }) {
  const result = `${file}.result`;
  const script = `${file}.lua`;
  writeFileSync(script, `${readFileSync(LUA, 'utf8')}\nwrk.result = ${JSON.stringify(result)}\n`);
  const wrk = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '25s', '-s', script, url];
  await promisify(execFile)('wrk', [...wrk, '--', file, `${from}`, `${expected}`, `${again}`]);
  const [first, ...rest] = readFileSync(result, 'utf8').split('\n');
  return { ...JSON.parse(first), sample: rest.join('\n') };
}

/** @param {string} url @param {Requests} requests @param {Required<LoadOptions>} options @returns {Promise<Raw>} */
async function byAutocannon(url, { file }, { seconds, connections, from, expected, again }) {
  const prepared = read(file);
  const raw = { good: 0, bad: 0, dry: 0, sample: '' };
  let at = from;
  const { latency, errors, timeouts, duration } = await autocannon({
    url,
    connections,
    duration: seconds,
    timeout: 25,
    requests: [
      {
        setupRequest(request) {
          if (at === prepared.length) [at, raw.dry] = [0, raw.dry + Number(!again)];
          return { ...request, ...prepared[at++] };
        },
        onResponse(status, body) {
          if (status === expected) raw.good += 1;
          else Object.assign(raw, { bad: raw.bad + 1, sample: `${status} ${body.slice(0, 300)}` });
        },
      },
    ],
  });
  return { ...raw, seconds: duration, p50: latency.p50, p99: latency.p99, broken: errors + timeouts };
}

/** @param {string} file */
function read(file) {
  const bytes = readFileSync(file);
  const requests = [];
  for (let at = 0; at < bytes.length; ) {
    const start = bytes.indexOf('\n', at) + 1;
    const end = start + Number(bytes.toString('latin1', at, start - 1));
    const [head, body] = bytes.toString('utf8', start, end).split('\r\n\r\n');
    const [first, ...lines] = head.split('\r\n');
    const [method, path] = /** @type {['POST', string]} */ (first.split(' '));
    // autocannon writes the first two itself.
    const headers = Object.fromEntries(lines.slice(2).map((line) => line.split(': ')));
    requests.push({ method, path, headers, body });
    at = end;
  }
  return requests;
}

/** @returns {'wrk' | 'autocannon'} */
export function tool() {
  if (found) return found;
  try {
    execFileSync('wrk', ['-v'], { stdio: 'ignore' });
    found = 'wrk';
  } catch (error) {
    // `wrk -v` prints its version and exits with 1.
    found = /** @type {any} */ (error).status === 1 ? 'wrk' : 'autocannon';
  }
  return found;
}

/** @type {'wrk' | 'autocannon' | undefined} */
let found;
const LUA = fileURLToPath(new URL('wrk.lua', import.meta.url));

/** HMAC, Ed25519 and the mapping of a message in WASM, against the same in JavaScript; both in workerd. */

import { sign } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publicKeyOf } from '../../../js/sandbox/secrets.js';
import { buildHelper, OPTIMIZE } from '../../../scripts/build.mjs';
import { must, Problem, tool } from '../../../scripts/run.mjs';
import { rounds, spread } from '../bench.js';
import { processorTime } from '../process.js';
import { atMost, digits } from '../report.js';
import { ONE, push } from '../requests.js';
import { startWorkerd } from '../workerd.js';

/** @import { Bench, Spread } from '../bench.js' */
/** @import { Running } from '../workerd.js' */
/** @import { Figure } from './index.js' */

/** Microseconds. @type {Figure<Record<string, { wasm: Spread, js: Spread }>>} */
export const micro = {
  name: 'micro',
  steps: () => 1,

  async run(bench) {
    bench.progress.step('building, then WASM against JavaScript');
    const modules = await build(bench);
    const running = await startWorkerd({ modules: [MICRO, ...modules] });
    const message = JSON.stringify(push(ONE, 1));
    const { privateKey } = bench.secrets;
    const input = {
      secret: 'a secret of thirty-two bytes, or so',
      ghlKey: publicKeyOf(privateKey).base64,
      signature: sign(null, Buffer.from(message), privateKey).toString('base64'),
      push: message,
    };
    /** @type {Record<string, { wasm: Spread, js: Spread }>} */
    const results = {};
    for (const [what, title] of Object.entries(WHAT)) {
      const same = await Promise.all(BOTH.map((by) => work(running, { ...input, what: `${what} ${by}`, times: 1 })));
      if (same[0] !== same[1]) throw new Problem(`${title} is not the same in both`, same.join('\n'));
      const turns = BOTH.map(
        (by) => /** @type {const} */ ([by, () => cost(running, { ...input, what: `${what} ${by}` })]),
      );
      const [wasm, js] = [...(await rounds(bench, new Map(turns))).values()].map(spread);
      results[title] = { wasm, js };
    }
    await running.close();
    return results;
  },

  report(results) {
    const ratio = (/** @type {string} */ title) => results[title].wasm.median / results[title].js.median;
    return {
      tables: [
        {
          title: 'In WASM and in JavaScript, in workerd',
          head: ['', 'WASM', 'JavaScript', 'ratio'],
          rows: Object.entries(results).map(([title, { wasm, js }]) => [
            title,
            `${digits(wasm.median)} µs`,
            `${digits(js.median)} µs`,
            `${digits(ratio(title))} ×`,
          ]),
          note: 'HMAC and Ed25519 in JavaScript are WebCrypto’s.',
        },
      ],
      claims: [
        atMost('HMAC in WASM against WebCrypto', ratio(WHAT.hmac), 1.3),
        atMost('mapping a message in WASM against JavaScript', ratio(WHAT.mapping), 1.3),
      ],
    };
  },
};

/** Microseconds for one. @param {Running} running @param {Record<string, unknown>} input */
async function cost(running, input) {
  let times = 2_000;
  for (;;) {
    const before = processorTime(running.pid);
    await work(running, { ...input, times });
    const took = processorTime(running.pid) - before;
    if (took >= ENOUGH) return (took / times) * 1e6;
    times = Math.ceil(times * Math.min(10, (ENOUGH / Math.max(took, 0.01)) * 1.2));
  }
}

/** @param {Running} running @param {Record<string, unknown>} input */
async function work({ url }, input) {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(input) });
  if (!response.ok) throw new Problem('the work failed', await response.text());
  return response.text();
}

/** The crate tests/bench/wasm, built just as the product is. @param {Bench} bench @returns {Promise<string[]>} its modules */
async function build({ fast }) {
  const target = 'wasm32-unknown-unknown';
  const { stdout } = await must('the parts to WASM', 'cargo', [
    ...['build', '--locked', '--release', '--lib', '--package', 'vcx-ghl-bench'],
    ...['--target', target, '--message-format', 'json'],
  ]);
  const input = stdout.match(/"([^"]*vcx_ghl_bench\.wasm)"/)?.[1];
  if (!input) throw new Problem('cargo built no vcx_ghl_bench.wasm', stdout);
  const out = join(fast, 'micro');
  const generate = ['--target', 'web', '--out-name', 'vcx_ghl_bench', '--omit-default-module-path', '--out-dir', out];
  await must('wasm-bindgen', await buildHelper(), ['generate', input, ...generate]);
  const [script, wasm] = ['vcx_ghl_bench.js', 'vcx_ghl_bench_bg.wasm'].map((name) => join(out, name));
  const [node, wasmOpt] = tool('wasm-opt');
  await must('wasm-opt', node, [wasmOpt, ...OPTIMIZE, wasm, '-o', wasm]);
  return [script, wasm];
}

const WHAT = {
  hmac: 'HMAC-SHA256 of an event',
  ed25519: 'Ed25519, verifying a webhook',
  mapping: 'a push’s bytes to the bytes for GHL',
};
const BOTH = ['wasm', 'js'];
/** Seconds of work that are measured well. */
const ENOUGH = 0.5;
const MICRO = fileURLToPath(new URL('../workers/micro.js', import.meta.url));

/** What is uploaded, and what a browser loads. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from '../../../scripts/run.mjs';
import { atMost, digits } from '../report.js';
import { modulesOf } from '../workerd.js';

/** @import { Figure } from './index.js' */

/** Bytes. @typedef {{ raw: number, gzip: number }} Size */

/** @type {Figure<Record<string, Size>>} */
export const size = {
  name: 'size',
  steps: () => 1,

  async run(bench) {
    bench.progress.step('what is uploaded');
    const files = modulesOf(bench.dist);
    return {
      // Another build is of the Worker alone.
      ...(!bench.options.dist && { [CLIENT]: sizeOf([join(root, 'pkg/client.js')]) }),
      WASM: sizeOf(files.filter((file) => file.endsWith('.wasm'))),
      'the whole Worker': sizeOf(files),
      'the Worker with Hono and the GHL SDK': sizeOf(modulesOf(bench.hono)),
    };
  },

  report: (sizes) => ({
    tables: [
      {
        title: 'Size of what is uploaded, and of what a browser loads',
        head: ['', 'gzip', 'raw'],
        rows: Object.entries(sizes).map(([name, { gzip, raw }]) => [name, kibibytes(gzip), kibibytes(raw)]),
      },
    ],
    claims: [
      atMost('WASM, gzip', sizes.WASM.gzip / 1_024, 120, 'KiB'),
      atMost('the whole Worker, gzip', sizes['the whole Worker'].gzip / 1_024, 150, 'KiB'),
      ...(sizes[CLIENT] ? [atMost(`${CLIENT}, gzip`, sizes[CLIENT].gzip / 1_024, 6, 'KiB')] : []),
    ],
  }),
};

const CLIENT = 'the browser’s client without WASM';

/** @param {string[]} files @returns {Size} */
function sizeOf(files) {
  const contents = files.map((file) => readFileSync(file));
  const sum = (/** @type {Buffer[]} */ all) => all.reduce((bytes, one) => bytes + one.length, 0);
  return { raw: sum(contents), gzip: sum(contents.map((content) => gzipSync(content, { level: 9 }))) };
}

/** @param {number} bytes */
const kibibytes = (bytes) => `${digits(bytes / 1_024)} KiB`;

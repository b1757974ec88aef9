/** What makes the built Worker trap: trapping.js, as modules to put around the build. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** @import { ModuleDefinition } from 'miniflare' */

const dist = join(import.meta.dirname, '../../dist');

/** A module whose export `trap` is the instruction `unreachable`. */
const UNREACHABLE = Buffer.from(
  '0061736d01000000' + '010401600000' + '03020100' + '0708010474726170' + '0000' + '0a05010300000b',
  'hex',
);

/** @type {ModuleDefinition[]} */
export const trapping = [
  {
    type: 'ESModule',
    path: join(dist, 'trapping.js'),
    contents: readFileSync(new URL('trapping.js', import.meta.url), 'utf8'),
  },
  { type: 'CompiledWasm', path: join(dist, 'unreachable.wasm'), contents: UNREACHABLE },
];

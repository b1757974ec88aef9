/** The WebAssembly for Node, Deno and Bun: a file of this package. */

import { readFile } from 'node:fs/promises';

export const wasm = () => readFile(new URL('../../pkg/vcx_ghl_bg.wasm', import.meta.url));

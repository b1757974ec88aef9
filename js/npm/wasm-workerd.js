/** The WebAssembly for Workers, which compile it when they are deployed and not later. */

import module from '../../pkg/vcx_ghl_bg.wasm';

export const wasm = async () => module;

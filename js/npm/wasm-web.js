/** The WebAssembly for browsers: a file beside this one. Bundlers know the expression. */

export const wasm = async () => new URL('../../pkg/vcx_ghl_bg.wasm', import.meta.url);

/**
 * The WebAssembly instance: loaded once, set up once, and put back to its beginning after a trap.
 * It holds no state of the sync, so that nothing is lost then.
 */

import {
  __wbg_reset_state,
  bodyLimit,
  configure,
  handle,
  initSync,
  internal,
  proceed,
  route,
  settingNames,
  sharedWith,
  unavailable,
} from '../pkg/vcx_ghl.js';
import module from '../pkg/vcx_ghl_bg.wasm';

initSync({ module });

export { handle, internal, proceed, route, sharedWith, unavailable };

/** The largest request body that the core looks at, in bytes. */
export const BODY_LIMIT = bodyLimit();

const NAMES = settingNames();

let configured = false;

/**
 * Hands the settings to the core, unless it has them: in one isolate they never change.
 * @param {Record<string, unknown>} env
 */
export function ready(env) {
  if (configured) return;
  const values = Object.fromEntries(
    NAMES.map((name) => [name, env[name]]).filter(([, value]) => typeof value === 'string'),
  );
  configure(values);
  configured = true;
}

/**
 * After a trap the stack pointer and whatever was half done are where the trap left them: start over.
 * @param {unknown} error what a call of the core threw
 * @returns whether it was a trap
 */
export function recover(error) {
  const trapped = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
  if (trapped) {
    __wbg_reset_state();
    configured = false;
  }
  return trapped;
}

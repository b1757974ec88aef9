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

export { handle };

/** @typedef {{ status: number, headers: Record<string, string>, body: string, webSocket?: WebSocket | null }} Answer */
/** @typedef {Record<string, any>} Step what the edge is to do: `{ name: { … } }` */

/**
 * Decides about a request.
 * @param {Request} request
 * @param {Uint8Array | undefined} body undefined when it is over the limit
 * @param {number} now
 * @returns {Step}
 */
export const decide = (request, body, now) => JSON.parse(route(request, body, now));

/**
 * Goes on with what a step brought.
 * @param {unknown} then as the step said
 * @param {unknown} brought
 * @param {number} now
 * @returns {Step}
 */
export const goOn = (then, brought, now) => JSON.parse(proceed(JSON.stringify(then), JSON.stringify(brought), now));

/**
 * The headers that the answer to a page's request needs, beside its own.
 * @param {Request} request
 * @returns {Record<string, string>}
 */
export const headersFor = (request) => JSON.parse(sharedWith(request));

/** The response for when the code has a fault. @returns {Answer} */
export const brokenAnswer = () => JSON.parse(internal());

/** The response for when an object cannot be reached. @returns {Answer} */
export const unavailableAnswer = () => JSON.parse(unavailable());

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
  configure(JSON.stringify(values));
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

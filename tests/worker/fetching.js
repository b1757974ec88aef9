/**
 * The built Worker, and a list of whom it asked anything: `GET /fetched` gives the origins.
 */

// @ts-expect-error the build's, beside which this one is put
import worker from './worker.js';

// @ts-expect-error
export { Location } from './worker.js';

const { fetch } = globalThis;
/** @type {Set<string>} */
const asked = new Set();
globalThis.fetch = (input, init) => {
  asked.add(new URL(input instanceof Request ? input.url : input).origin);
  return fetch(input, init);
};

export default {
  /** @param {Request} request @param {any} env @param {any} context */
  fetch(request, env, context) {
    if (new URL(request.url).pathname === '/fetched') return Response.json([...asked]);
    return worker.fetch(request, env, context);
  },
};

/**
 * The built Worker with lines in its log that must not be there: those that the header `x-leak` names.
 */

// @ts-expect-error the build's, beside which this one is put
import worker, { Location } from './worker.js';

export { Location };

export default {
  /** @param {Request} request @param {any} env @param {any} context */
  async fetch(request, env, context) {
    const leak = request.headers.get('x-leak');
    const body = request.method === 'POST' ? await request.clone().text() : '{}';
    const signature = request.headers.get('x-ghl-signature');
    if (signature) log({ 'x-ghl-signature': signature });
    if (leak === 'authorization') log({ [leak]: request.headers.get(leak) });
    if (leak === 'text') console.log('no JSON at all');
    if (leak === 'timeless') console.log(JSON.stringify({ level: 'info', event: 'a line without a time' }));
    if (leak && /body|email|phone/.test(leak)) log({ [leak]: JSON.parse(body)[leak] });
    calls ||= leak === 'calls';
    return worker.fetch(request, env, context);
  },
};

let calls = false;
const { fetch } = globalThis;
globalThis.fetch = (url, init) => {
  const { authorization } = /** @type {Record<string, string>} */ (init?.headers ?? {});
  if (calls && authorization) log({ services: 'GHL', authorization });
  return fetch(url, init);
};

/** @param {Record<string, unknown>} fields */
function log(fields) {
  console.log(JSON.stringify({ level: 'info', event: 'leak', at: Date.now(), ...fields }));
}

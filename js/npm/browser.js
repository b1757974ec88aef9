/**
 * `import … from 'vcx-ghl'`: in a browser, what needs no secret. The rest is there by name, to say so.
 */

import { VcxGhlError } from './error.js';

export * from './everywhere.js';

/** @param {string} name @returns {() => never} */
const notHere = (name) => () => {
  throw new VcxGhlError('backend_only', `${name}() needs a secret, and a browser keeps none: call it in the backend`);
};

export const createClient = /* @__PURE__ */ notHere('createClient');
export const createSession = /* @__PURE__ */ notHere('createSession');
export const verifyEvent = /* @__PURE__ */ notHere('verifyEvent');

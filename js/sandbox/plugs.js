/**
 * Three plugs for a person to pull and to put back. What they cut off fails until then, and has to heal by itself after that.
 */

import { invalidToken } from './ghl/errors.js';

/** @import { FaultSpec, FaultHandle } from './faults.js' */

/** @typedef {keyof typeof PLUGS} Plug */

/**
 * @param {Record<'ghl' | 'vcx', { fail: (spec: FaultSpec) => FaultHandle }>} servers
 * @param {() => void} changed called after each change
 */
export function createPlugs(servers, changed) {
  /** @type {Map<string, FaultHandle[]>} those that are pulled, and how to put them back */
  const pulled = new Map();

  return {
    /** Which of them are in. */
    state: () => Object.fromEntries(Object.keys(PLUGS).map((name) => [name, !pulled.has(name)])),

    /** @param {string} name @param {boolean} isIn */
    set(name, isIn) {
      if (!Object.hasOwn(PLUGS, name))
        throw new Error(`there is no plug ${name}, only ${Object.keys(PLUGS).join(', ')}`);
      if (typeof isIn !== 'boolean') throw new Error(`whether ${name} is in is true or false`);
      const faults = pulled.get(name);
      if (isIn) {
        for (const fault of faults ?? []) fault.remove();
        pulled.delete(name);
      } else if (!faults) {
        const cuts = PLUGS[/** @type {Plug} */ (name)];
        pulled.set(
          name,
          cuts.map(([server, spec]) => servers[server].fail({ ...spec, times: null })),
        );
      }
      changed();
    },

    /** Their faults are gone already. */
    forget() {
      pulled.clear();
      changed();
    },
  };
}

/** @typedef {ReturnType<typeof createPlugs>} Plugs */

const unavailable = { status: 503, body: { statusCode: 503, message: 'Service Unavailable: the plug is pulled' } };

/** @type {Record<'ghl' | 'vcx' | 'token', ['ghl' | 'vcx', FaultSpec][]>} */
const PLUGS = {
  // GHL answers nothing but 503.
  ghl: [['ghl', unavailable]],
  // So does vCX's backend.
  vcx: [['vcx', unavailable]],
  // GHL takes no access token, and gives no other.
  token: [
    ['ghl', { ...unavailable, match: { pathPattern: '^/oauth/' } }],
    ['ghl', { status: 401, body: invalidToken().body, match: { pathPattern: '^/(?!oauth/|v2/)' } }],
  ],
};

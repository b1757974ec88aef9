/**
 * A GHL and a vCX to develop against, for those who have no GHL account. The GHL behaves like the live one, quirks
 * included; the vCX checks what the Worker sends it. See README for how to use it by hand; here is how tests do:
 *
 *     const sandbox = await startSandbox();
 *     // start a Worker with the settings of sandbox.workerVars(), then:
 *     sandbox.workerUrl = 'http://127.0.0.1:8787';
 *     await sandbox.walkInstall({ locationId: sandbox.ghl.locationId });
 *     await sandbox.vcx.push({ locationId: sandbox.ghl.locationId, clientId: 'c1', … });
 *     await sandbox.waitFor((_, { vcx }) => vcx.events.length === 1, { what: 'the event' });
 *     await sandbox.close();
 */

import { randomUUID } from 'node:crypto';
import { createControl } from './control.js';
import { startGhl } from './ghl/index.js';
import { defaultOptions } from './ghl/options.js';
import { createClient } from './http.js';
import { createPage } from './page.js';
import { createPlugs } from './plugs.js';
import { createSecrets } from './secrets.js';
import { createTraffic } from './traffic.js';
import { startVcx } from './vcx.js';
import { walkInstall } from './walk.js';

export { line } from './traffic.js';

/** @import { Options } from './ghl/options.js' */
/** @import { Entry, WaitOptions } from './traffic.js' */
/** @import { SandboxGhl } from './ghl/index.js' */
/** @import { Plugs } from './plugs.js' */
/** @import { Vcx } from './vcx.js' */
/** @import { Walk, Walked } from './walk.js' */

/**
 * @typedef {object} StartOptions
 * @property {string} [host] default 127.0.0.1
 * @property {number} [ghlPort] default 0, a free one
 * @property {number} [vcxPort] default 0
 * @property {string} [seed] secrets, ids of the app and key pair follow from it; default: chance
 * @property {string} [clientId]
 * @property {string} [clientSecret]
 * @property {string} [providerId]
 * @property {string} [webhookSecret] of events to vCX, `whsec_…`
 * @property {string} [apiKey] vCX's key for the Worker
 * @property {string} [workerUrl] sets redirectUri, deliveryUrl and webhookUrl, where those are not given
 * @property {number} [locations] how many to begin with, default 2
 * @property {number} [trafficLimit] entries kept, default 20000
 * @property {() => number} [now] the clock, milliseconds; expiry, lag, limits and dates go by it
 */

/**
 * @typedef {object} Sandbox
 * @property {SandboxGhl} ghl
 * @property {Vcx} vcx
 * @property {Entry[]} traffic every call and webhook, in the order they began
 * @property {(listener: (entry: Entry) => void) => () => void} onTraffic hears of each as it begins and as it ends
 * @property {WaitFor} waitFor
 * @property {Plugs} plugs
 * @property {string} pageUrl a page to play both sides on
 * @property {string} workerUrl set it when the Worker is up: it sets redirectUri, deliveryUrl and webhookUrl
 * @property {() => Record<string, string>} workerVars the settings that point a Worker at this sandbox, by name
 * @property {(where: Walk) => Promise<Walked>} walkInstall installs as an admin does: from the Worker's /install over
 *   GHL's page to the Worker's callback
 * @property {() => Promise<void>} close
 */

/**
 * Resolves when the predicate is true: for an entry of the traffic (past ones included), for the sandbox as a whole, or
 * for both. Gives the entry, or what the predicate found. Rejects with a sentence that ends in the last calls.
 * @typedef {<Found>(predicate: (entry: Entry, sandbox: Sandbox) => Found, options?: WaitOptions) =>
 *   Promise<Found extends boolean ? Entry : NonNullable<Found>>} WaitFor
 */

/**
 * Starts both servers.
 * @param {StartOptions & Partial<Options>} [options]
 * @returns {Promise<Sandbox>}
 */
export async function startSandbox(options = {}) {
  const {
    host = '127.0.0.1',
    ghlPort = 0,
    vcxPort = 0,
    seed = randomUUID(),
    clientId,
    clientSecret,
    providerId,
    webhookSecret,
    apiKey,
    workerUrl = '',
    locations = 2,
    trafficLimit,
    now = Date.now,
    ...behaviour
  } = options;
  for (const name of Object.keys(behaviour)) {
    if (!Object.hasOwn(defaultOptions(), name)) throw new Error(`there is no option ${name}`);
  }
  const derived = createSecrets(seed);
  const secrets = {
    ...derived,
    clientId: clientId ?? derived.clientId,
    clientSecret: clientSecret ?? derived.clientSecret,
    providerId: providerId ?? derived.providerId,
    webhookSecret: webhookSecret ?? derived.webhookSecret,
    apiKey: apiKey ?? derived.apiKey,
  };
  const traffic = createTraffic({ now, limit: trafficLimit });
  const client = createClient();
  let worker = '';

  const control = createControl(() => sandbox);
  const ghl = await startGhl({
    host,
    port: ghlPort,
    now,
    secrets,
    traffic,
    client,
    locations,
    options: behaviour,
    control,
  });
  const vcx = await startVcx({
    host,
    port: vcxPort,
    now,
    traffic,
    client,
    webhookSecret: secrets.webhookSecret,
    apiKey: secrets.apiKey,
    sessionSecret: secrets.sessionSecret,
    locationId: ghl.locationId,
    workerUrl: () => worker,
    control: createPage(() => sandbox),
  });

  /** @type {Sandbox} */
  const sandbox = {
    ghl,
    vcx,
    traffic: traffic.entries,
    onTraffic: traffic.on,
    waitFor: (predicate, how) => traffic.waitFor(sandbox, predicate, how),
    plugs: createPlugs({ ghl, vcx }, traffic.changed),
    pageUrl: `${vcx.origin}/`,
    get workerUrl() {
      return worker;
    },
    set workerUrl(url) {
      pointAt(url);
    },
    workerVars,
    walkInstall: (where) => walkInstall({ ...where, workerUrl: worker, client, traffic }),

    async close() {
      traffic.abandon();
      ghl.stop();
      await Promise.all([ghl.close(), vcx.close()]);
      client.close();
    },
  };
  pointAt(workerUrl);
  return sandbox;

  /** @param {string} url */
  function pointAt(url) {
    worker = url.replace(/\/$/, '');
    if (!worker) return;
    ghl.options.redirectUri = options.redirectUri ?? `${worker}/auth/callback`;
    ghl.options.deliveryUrl = options.deliveryUrl ?? `${worker}/webhook`;
    ghl.options.webhookUrl = options.webhookUrl ?? `${worker}/webhook`;
  }

  /** @returns {Record<string, string>} */
  function workerVars() {
    return {
      GHL_CLIENT_ID: secrets.clientId,
      GHL_CLIENT_SECRET: secrets.clientSecret,
      GHL_PROVIDER_ID: secrets.providerId,
      GHL_REDIRECT_URI: ghl.options.redirectUri,
      GHL_API_URL: ghl.url,
      GHL_INSTALL_URL: ghl.installUrl,
      GHL_PUBLIC_KEYS: ghl.publicKeyBase64,
      VCX_WEBHOOK_URL: vcx.url,
      VCX_WEBHOOK_SECRET: secrets.webhookSecret,
      VCX_API_KEY: secrets.apiKey,
      SESSION_SECRET: secrets.sessionSecret,
      VCX_ALLOWED_ORIGINS: vcx.origin,
      SEAL_KEYS: secrets.sealKey,
    };
  }
}

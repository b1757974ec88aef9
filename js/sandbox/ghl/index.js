/**
 * The GHL half: starts its server and gives tests and the control API their levers.
 */

import { createFaults } from '../faults.js';
import { serve } from '../http.js';
import { publicKeyOf } from '../secrets.js';
import { agentReads, agentReplies } from './agent.js';
import { emit, event } from './events.js';
import { inbox } from './inbox.js';
import { approve, installInNewLocation, uninstall } from './install.js';
import { createGhlHandler } from './server.js';
import { createWorld } from './world.js';

/** @import { KeyObject } from 'node:crypto' */
/** @import { Answer, Client, Request } from '../http.js' */
/** @import { FaultSpec } from '../faults.js' */
/** @import { Secrets } from '../secrets.js' */
/** @import { Traffic } from '../traffic.js' */
/** @import { Reply } from './agent.js' */
/** @import { Approval } from './install.js' */
/** @import { Options } from './options.js' */
/** @import { App, Company, Location } from './state.js' */
/** @import { Outcome } from './webhooks.js' */

/**
 * @typedef {object} RawWebhook
 * @property {KeyObject} [signedWith] another private key
 * @property {string | null} [header] the literal `X-GHL-Signature`; null leaves it out
 * @property {number} [times] default 1
 * @property {boolean} [retry] default false: a test wants the answer
 * @property {string} [url] default the app's webhook URL
 */

/**
 * @param {object} parts
 * @param {string} parts.host
 * @param {number} parts.port
 * @param {() => number} parts.now
 * @param {Secrets} parts.secrets
 * @param {Traffic} parts.traffic
 * @param {Client} parts.client
 * @param {number} parts.locations
 * @param {Partial<Options>} parts.options
 * @param {(request: Request) => Answer | Promise<Answer> | undefined} parts.control
 */
export async function startGhl({ host, port, now, secrets, traffic, client, locations, options, control }) {
  const world = createWorld({ now, secrets, client, traffic, options });
  const faults = createFaults();
  const { clientId, clientSecret, providerId } = secrets;
  const app = world.addApp({ clientId, clientSecret, providerId });
  const company = world.addCompany({ name: 'Acme Agency' });
  const first = Array.from({ length: locations }, (_, i) =>
    world.addLocation({ companyId: company.id, name: NAMES[i] ?? `Acme ${i + 1}` }),
  );
  const handle = createGhlHandler(world);
  const server = await serve({ host, port, to: 'ghl', traffic, faults, handle, control });
  const publicKey = publicKeyOf(secrets.privateKey);

  return {
    url: server.url,
    /** The page that GHL_INSTALL_URL names. */
    installUrl: `${server.url}/v2/oauth/chooselocation`,
    publicKeyPem: publicKey.pem,
    /** The raw 32 bytes. */
    publicKeyBase64: publicKey.base64,
    clientId,
    clientSecret,
    providerId,
    appId: world.appId,
    companyId: company.id,
    /** The first location; '' when started with none. */
    locationId: first[0]?.id ?? '',
    state: world.state,
    /** How it behaves; every one may be changed at any time. */
    options: world.options,
    limits: world.options.limits,
    /** Forgets what was called so far. */
    resetLimits: () => world.limits.reset(),

    get searchLagMs() {
      return world.options.searchLagMs;
    },
    set searchLagMs(ms) {
      world.options.searchLagMs = ms;
    },
    get statusNotYetMs() {
      return world.options.statusNotYetMs;
    },
    set statusNotYetMs(ms) {
      world.options.statusNotYetMs = ms;
    },

    /** @param {Partial<Company>} [added] */
    addCompany: (added) => world.addCompany(added),

    /** @param {Partial<Omit<Location, 'settings'>> & Partial<Location['settings']>} [added] */
    addLocation(added) {
      const location = world.addLocation(added);
      installInNewLocation(world, location.companyId, location.id);
      return location;
    },

    /** Another marketplace app, with a provider of its own. @param {Partial<App>} [added] */
    addApp: (added) => world.addApp(added),

    /** @param {Reply} reply */
    agentReplies: (reply) => agentReplies(world, reply),

    /** @param {{ locationId?: string, contactId: string }} where */
    agentReads: (where) => agentReads(world, where),

    /** What an agent sees. @param {string} locationId @param {string | null} [contactId] */
    inbox: (locationId, contactId = null) => inbox(world, locationId, contactId),

    /**
     * Installs from the marketplace: nobody brings a `state`. With `visit`, the browser is sent to the redirect URI.
     * @param {Approval & { visit?: boolean }} approval
     */
    async install({ visit, ...approval }) {
      const redirectUri = approval.redirectUri ?? world.options.redirectUri;
      if (visit && !redirectUri) throw new Error('there is no redirect URI to visit: set workerUrl');
      const { code, userId, companyId, locationId } = approve(world, app, { ...approval, redirectUri });
      const callbackUrl = redirectUri ? `${redirectUri}?code=${code}` : '';
      const reply = visit ? await client.call(callbackUrl) : undefined;
      return { code, callbackUrl, userId, companyId, locationId, status: reply?.status, text: reply?.text };
    },

    /** @param {{ locationId?: string, companyId?: string, webhook?: boolean }} what */
    uninstall(what) {
      uninstall(world, what);
      traffic.changed();
    },

    /**
     * A token pair without the walk; the app counts as installed.
     * @param {{ locationId?: string, companyId?: string, scope?: string, clientId?: string }} what
     */
    issueTokens({ clientId: other, ...what }) {
      const owner = world.state.apps.get(other ?? clientId) ?? app;
      const { code, ...granted } = approve(world, owner, { ...what, webhook: false });
      world.codes.delete(code);
      return world.tokens.issue(granted);
    },

    /** @param {string} resource location or company id */
    expireAccessTokens: (resource) => world.tokens.expireAccess(resource),
    /** @param {string} resource location or company id */
    revokeRefreshTokens: (resource) => world.tokens.revokeRefresh(resource),
    /**
     * Paused or unpaid: refreshes are refused (FACTS §1.7).
     * @param {string} resource location or company id
     */
    pauseLocation: (resource) => setActive(resource, false),
    /** @param {string} resource location or company id */
    resumeLocation: (resource) => setActive(resource, true),

    /**
     * Posts an app webhook with its envelope.
     * @param {string} type
     * @param {Record<string, unknown>} fields
     */
    emit: (type, fields) => emit(world, type, fields)?.first,
    /** An app webhook's body. @param {string} type @param {Record<string, unknown>} fields */
    event: (type, fields) => event(world, type, fields),

    /**
     * Posts any body, as it is, to the webhook URL; resolves with what each was answered.
     * @param {unknown} body JSON; a string or Buffer is sent byte for byte
     * @param {RawWebhook} [how]
     * @returns {Promise<Outcome[]>}
     */
    async sendWebhook(body, { times = 1, retry = false, url = world.options.webhookUrl, ...how } = {}) {
      const raw = typeof body === 'string' || Buffer.isBuffer(body);
      const bytes = raw ? Buffer.from(body) : undefined;
      const posting = { kind: 'raw', url, body: raw ? undefined : body, bytes, retry, ...how };
      const sent = Array.from({ length: times }, () => world.webhooks.send(posting));
      return Promise.all(sent.map(({ first: outcome }) => outcome));
    },

    /** Resolves when no webhook is under way and no retry is to come. */
    settled: () => world.webhooks.settled(),

    /** @param {FaultSpec} spec */
    fail: (spec) => faults.fail(spec),
    clearFaults: () => faults.clear(),

    /** No more webhooks. */
    stop: () => world.webhooks.close(),
    close: server.close,
  };

  /** @param {string} resource @param {boolean} active */
  function setActive(resource, active) {
    const found = world.state.locations.get(resource) ?? world.state.companies.get(resource);
    if (!found) throw new Error(`there is no location or company ${resource}`);
    found.active = active;
    traffic.changed();
  }
}

/** @typedef {Awaited<ReturnType<typeof startGhl>>} SandboxGhl */

const NAMES = ['Acme Dental', 'Acme Plumbing'];

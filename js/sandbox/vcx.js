/**
 * A small vCX backend: it takes our events at one URL, checks their Standard Webhooks signature with its own code, and
 * keeps what arrived; it signs in visitors; and it calls the Worker as vCX does.
 */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createFaults } from './faults.js';
import { parsed } from './ghl/webhooks.js';
import { serve } from './http.js';

/** @import { Answer, Client, Request } from './http.js' */
/** @import { FaultSpec } from './faults.js' */
/** @import { Traffic } from './traffic.js' */

/** @typedef {{ webhookId: string, at: number, type: string, body: Record<string, any> }} VcxEvent */
/**
 * One attempt of the Worker to deliver an event.
 * @typedef {object} VcxDelivery
 * @property {number} at
 * @property {string} webhookId
 * @property {number} timestamp seconds, as signed
 * @property {boolean} verified
 * @property {string} [reason] why not
 * @property {boolean} repeated its `webhook-id` was taken before
 * @property {any} body
 */

/**
 * @param {object} options
 * @param {string} options.host
 * @param {number} options.port
 * @param {() => number} options.now
 * @param {Traffic} options.traffic
 * @param {Client} options.client
 * @param {string} options.webhookSecret `whsec_…`, comma separated while rotating
 * @param {string} options.apiKey
 * @param {string} options.sessionSecret
 * @param {string} options.locationId where its visitors chat
 * @param {() => string} options.workerUrl
 * @param {(request: Request) => Promise<Answer> | undefined} options.control answers what is neither recorded nor made to fail
 */
export async function startVcx(options) {
  const { host, port, now, traffic, client, webhookSecret, apiKey, workerUrl, control } = options;
  const faults = createFaults();
  const keys = webhookSecret.split(',').map((secret) => {
    return Buffer.from(secret.trim().replace(/^whsec_/, ''), 'base64');
  });
  /** @type {VcxEvent[]} */
  const events = [];
  /** @type {VcxDelivery[]} */
  const deliveries = [];
  const seen = new Set();

  /** @param {Request} request @returns {Answer | Promise<Answer>} */
  function handle(request) {
    const { method, path } = request;
    if (method === 'GET' && path === EVENTS_PATH) {
      return { status: 200, body: { events, deliveries: deliveries.length } };
    }
    if (method === 'POST' && path === SESSION_PATH) return openSession(request.body);
    if (method !== 'POST' || path !== EVENTS_PATH) {
      return { status: 404, body: { message: `vCX has no ${method} ${path}` } };
    }
    const webhookId = String(request.headers['webhook-id'] ?? '');
    const reason = refusal(request, keys, now());
    const repeated = seen.has(webhookId);
    const body = /** @type {Record<string, any>} */ (request.body);
    const timestamp = Number(request.headers['webhook-timestamp'] ?? 0);
    deliveries.push({ at: now(), webhookId, timestamp, verified: !reason, reason, repeated, body });
    if (reason) return { status: 401, body: { message: reason } };
    if (!repeated) {
      seen.add(webhookId);
      events.push({ webhookId, at: now(), type: body?.type, body });
    }
    return { status: 200, body: { ok: true } };
  }

  /** A session for a visitor who is logged in here: this vCX believes whoever asks. @param {any} visitor @returns {Promise<Answer>} */
  async function openSession(visitor) {
    // Not before it is asked for: the sandbox runs where nothing is built yet, too.
    const { createSession } = await import('../npm/index.js');
    const { sessionSecret: secret, locationId } = options;
    return createSession({ ...visitor, secret, locationId }).then(
      (token) => ({ status: 200, body: { token } }),
      (error) => ({ status: 400, body: { message: error.message } }),
    );
  }

  const server = await serve({ host, port, to: 'vcx', traffic, faults, handle, control });

  /**
   * Calls the Worker with vCX's key; recorded in the traffic.
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Record<string, string>} [headers] beside, or instead of, the key
   */
  async function call(method, path, body, headers = {}) {
    if (!workerUrl()) throw new Error('the sandbox does not know the Worker: set workerUrl');
    const entry = traffic.open({ to: 'worker', method, path, requestBody: body, kind: 'vcx' });
    const reply = await client.call(workerUrl() + path, {
      method,
      headers: {
        authorization: `Bearer ${apiKey.split(',')[0]}`,
        'content-type': 'application/json',
        ...headers,
      },
      bytes: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
    });
    const answer = /** @type {any} */ (parsed(reply.text));
    traffic.close(entry, reply.status, answer, reply.error);
    return { status: reply.status, body: answer, headers: reply.headers, error: reply.error };
  }

  /** How a location is, as the Worker says. Not recorded: a page asks all the time. @param {string} locationId */
  async function health(locationId) {
    const part = { to: /** @type {const} */ ('worker'), method: 'GET', path: `/locations/${locationId}` };
    const headers = { authorization: `Bearer ${apiKey.split(',')[0]}` };
    const reply = await client.call(workerUrl() + part.path, { headers, timeoutMs: 5_000 });
    traffic.mention({ ...part, status: reply.status, kind: 'page' });
    return reply.status === 200 ? parsed(reply.text) : { error: reply.error ?? reply.text };
  }

  return {
    /** Where the Worker sends events: its VCX_WEBHOOK_URL. */
    url: server.url + EVENTS_PATH,
    origin: server.url,
    webhookSecret,
    apiKey,
    events,
    deliveries,
    call,
    health,
    /**
     * A visitor's (or, with `fromUser: false`, a vCX agent's) message.
     * @param {Record<string, unknown>} message
     */
    push: (message) => call('POST', '/push-message', message),
    /** @param {FaultSpec} spec */
    fail: (spec) => faults.fail(spec),
    clearFaults: () => faults.clear(),
    close: server.close,
  };
}

/** @typedef {Awaited<ReturnType<typeof startVcx>>} Vcx */

const EVENTS_PATH = '/events';
const SESSION_PATH = '/session';
const TOLERANCE_S = 5 * 60;

/**
 * Standard Webhooks: HMAC-SHA-256 over `id.timestamp.body`; any of the signatures may fit any of the secrets.
 * @param {Request} request
 * @param {Buffer[]} keys
 * @param {number} now
 * @returns {string | undefined} why it is refused
 */
function refusal({ headers, raw, body }, keys, now) {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (!id || !timestamp || !signatures) return 'a webhook-… header is missing';
  if (!/^\d+$/.test(String(timestamp))) return 'webhook-timestamp is no number of seconds';
  if (Math.abs(now / 1000 - Number(timestamp)) > TOLERANCE_S) {
    return 'webhook-timestamp is more than 5 minutes off';
  }
  const given = String(signatures)
    .split(' ')
    .filter((signature) => signature.startsWith('v1,'))
    .map((signature) => Buffer.from(signature.slice(3), 'base64'));
  const good = keys.some((key) => {
    const hmac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(raw).digest();
    return given.some((bytes) => bytes.length === hmac.length && timingSafeEqual(bytes, hmac));
  });
  if (!good) return 'no signature fits';
  return typeof body === 'object' && body !== null ? undefined : 'the body is no JSON object';
}

/**
 * The sandbox's levers over HTTP, at `/_sandbox/…` of the GHL server, for browser pages and other languages. Open to any
 * origin: it is a toy on this machine and holds no secret.
 */

import { Refusal } from './ghl/errors.js';
import { watch } from './watch.js';

/** @import { Answer, Request } from './http.js' */
/** @import { Sandbox } from './index.js' */

/**
 * @typedef {object} Lever
 * @property {string} what one line, listed at `GET /_sandbox`
 * @property {(sandbox: Sandbox, body: any, query: URLSearchParams) => unknown} pull its result is the answer's JSON
 */

/**
 * @param {() => Sandbox} sandbox
 * @returns {(request: Request) => Promise<Answer> | undefined}
 */
export function createControl(sandbox) {
  return (request) => {
    const { path } = request;
    if (path !== ROOT && !path.startsWith(`${ROOT}/`)) return undefined;
    return answer(sandbox(), request);
  };
}

/** @param {Sandbox} sandbox @param {Request} request @returns {Promise<Answer>} */
async function answer(sandbox, { method, path, body, query, malformed }) {
  if (method === 'OPTIONS') return { status: 204, headers: CORS };
  if (method === 'GET' && path === STREAM) {
    const answer = watch(sandbox);
    return { ...answer, headers: { ...answer.headers, ...CORS } };
  }
  const lever = LEVERS[`${method} ${path}`];
  if (!lever) return reply(404, { error: `no ${method} ${path}; GET ${ROOT} lists what there is` });
  if (malformed) return reply(400, { error: malformed });
  try {
    return reply(200, (await lever.pull(sandbox, body ?? {}, query)) ?? { ok: true });
  } catch (error) {
    if (error instanceof Refusal) return reply(error.status, error.body);
    return reply(400, { error: error instanceof Error ? error.message : String(error) });
  }
}

const ROOT = '/_sandbox';
const STREAM = `${ROOT}/stream`;
const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, DELETE, OPTIONS',
  'access-control-allow-headers': '*',
};

/** @param {number} status @param {unknown} body @returns {Answer} */
function reply(status, body) {
  return { status, headers: CORS, body };
}

/** @type {Record<string, Lever>} */
const LEVERS = {
  'GET /_sandbox': {
    what: 'this list, and where everything is',
    pull: ({ ghl, vcx, workerUrl }) => ({
      ghl: ghl.url,
      installUrl: ghl.installUrl,
      vcx: vcx.url,
      workerUrl,
      clientId: ghl.clientId,
      providerId: ghl.providerId,
      locationId: ghl.locationId,
      publicKey: ghl.publicKeyBase64,
      levers: [
        ...Object.entries(LEVERS).map(([name, { what }]) => `${name}: ${what}`),
        `GET ${STREAM}: server-sent events: each call, and where the plugs are`,
      ],
    }),
  },
  'GET /_sandbox/traffic': {
    what: '?after=n&wait=ms: the entries after n, waiting for the first if there is none',
    async pull(sandbox, _, query) {
      const after = Number(query.get('after') ?? 0);
      const timeoutMs = Math.min(30_000, Number(query.get('wait') ?? 0));
      const later = () => sandbox.traffic.filter((entry) => entry.n > after);
      if (!later().length && timeoutMs) {
        await sandbox.waitFor((entry) => entry.n > after, { timeoutMs }).catch(() => {});
      }
      return { traffic: later() };
    },
  },
  'GET /_sandbox/inbox': {
    what: '?locationId=…&contactId=…: what an agent sees: contacts, and the messages of one',
    pull: ({ ghl }, _, query) => ghl.inbox(query.get('locationId') ?? ghl.locationId, query.get('contactId')),
  },
  'GET /_sandbox/health': {
    what: '?locationId=…: how the location is, as the Worker says',
    pull: ({ ghl, vcx }, _, query) => vcx.health(query.get('locationId') ?? ghl.locationId),
  },
  'GET /_sandbox/state': {
    what: 'companies, locations, users, contacts, conversations, messages, customFields, installations',
    pull({ ghl: { state } }) {
      const { apps, ...rest } = state;
      return Object.fromEntries(Object.entries(rest).map(([name, values]) => [name, [...values.values()]]));
    },
  },
  'GET /_sandbox/events': {
    what: 'what vCX took (events) and every attempt (deliveries)',
    pull: ({ vcx: { events, deliveries } }) => ({ events, deliveries }),
  },
  'GET /_sandbox/options': { what: 'how GHL behaves', pull: ({ ghl }) => ghl.options },
  'POST /_sandbox/options': {
    what: 'changes it: any of the options, `limits` and `retry` field by field',
    pull({ ghl: { options } }, { limits, retry, ...changes }) {
      for (const name of Object.keys(changes)) {
        if (!Object.hasOwn(options, name)) throw new Error(`there is no option ${name}`);
      }
      Object.assign(options.limits, limits);
      Object.assign(options.retry, retry);
      Object.assign(options, changes);
      return options;
    },
  },
  'POST /_sandbox/worker': {
    what: '{url}: the Worker',
    pull(sandbox, { url }) {
      sandbox.workerUrl = url;
    },
  },
  'POST /_sandbox/reply': {
    what: '{contactId, message, attachments?, type?, events?, order?, times?}: an agent answers',
    pull: ({ ghl }, body) => ghl.agentReplies(body),
  },
  'POST /_sandbox/read': {
    what: '{contactId}: an agent opens the conversation',
    pull: ({ ghl }, body) => ghl.agentReads(body),
  },
  'POST /_sandbox/push': {
    what: 'a visitor writes: the body of /push-message, sent with the key',
    pull: ({ vcx }, body) => vcx.push(body),
  },
  'POST /_sandbox/webhook': {
    what: '{body, header?, times?}: any signed webhook, or one with that header',
    pull: ({ ghl }, { body, signedWith, ...how }) => ghl.sendWebhook(body, how),
  },
  'POST /_sandbox/walk': {
    what: '{locationId | companyId, ref?}: installs by the Worker’s /install',
    async pull(sandbox, body) {
      const { status, text } = await sandbox.walkInstall(body);
      return { status, text };
    },
  },
  'POST /_sandbox/install': {
    what: '{locationId | companyId}: installs from the marketplace and visits the callback',
    async pull({ ghl }, body) {
      const { code, callbackUrl, ...rest } = await ghl.install({ visit: true, ...body });
      return rest;
    },
  },
  'POST /_sandbox/uninstall': {
    what: '{locationId | companyId}',
    pull: ({ ghl }, body) => ghl.uninstall(body),
  },
  'POST /_sandbox/expire': {
    what: '{locationId}: its access tokens are expired',
    pull: ({ ghl }, { locationId, companyId }) => ghl.expireAccessTokens(locationId ?? companyId),
  },
  'POST /_sandbox/revoke': {
    what: '{locationId}: its refresh tokens are invalid',
    pull: ({ ghl }, { locationId, companyId }) => ghl.revokeRefreshTokens(locationId ?? companyId),
  },
  'POST /_sandbox/pause': {
    what: '{locationId}: it is not active',
    pull: ({ ghl }, { locationId, companyId }) => ghl.pauseLocation(locationId ?? companyId),
  },
  'POST /_sandbox/resume': {
    what: '{locationId}: it is active again',
    pull: ({ ghl }, { locationId, companyId }) => ghl.resumeLocation(locationId ?? companyId),
  },
  'POST /_sandbox/locations': {
    what: '{name?, companyId?, allowDuplicateContact?}: a new location',
    pull: ({ ghl }, body) => ghl.addLocation(body),
  },
  'POST /_sandbox/companies': {
    what: '{name?}: a new agency',
    pull: ({ ghl }, body) => ghl.addCompany(body),
  },
  'POST /_sandbox/fail': {
    what: '{server?: ghl|vcx, match: {method, path | pathPattern, body}, times, status, body, drop, delayMs, …}',
    pull(sandbox, { server = 'ghl', ...spec }) {
      if (server !== 'ghl' && server !== 'vcx') throw new Error('server must be ghl or vcx');
      sandbox[/** @type {'ghl' | 'vcx'} */ (server)].fail(spec);
    },
  },
  'POST /_sandbox/clear': {
    what: 'no more faults, on both servers',
    pull({ ghl, vcx, plugs }) {
      ghl.clearFaults();
      vcx.clearFaults();
      plugs.forget();
    },
  },
  'POST /_sandbox/plug': {
    what: '{name: ghl|vcx|token, in: true|false}: puts a plug in, or pulls it: GHL, vCX’s backend, the Worker’s token',
    pull({ plugs }, { name, in: isIn }) {
      plugs.set(name, isIn);
      return plugs.state();
    },
  },
};

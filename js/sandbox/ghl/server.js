/**
 * The routes of this GHL and the gate before them: version, token, class, scope, rate limit, validation, tenant.
 */

import * as contacts from './contacts.js';
import * as conversations from './conversations.js';
import { badRequest, invalidToken, notFound, otherTenant, Refusal, unauthorized, unprocessable } from './errors.js';
import { chooseLocation } from './install.js';
import * as locations from './locations.js';
import * as messages from './messages.js';
import * as oauth from './oauth.js';
import { bodies, queries } from './schemas.js';
import { problems } from './validate.js';

/** @import { Answer, Request } from '../http.js' */
/** @import { Access } from './tokens.js' */
/** @import { Sent } from './webhooks.js' */
/** @import { Ghl } from './world.js' */

/**
 * A call that passed the gate.
 * @typedef {object} Call
 * @property {Request} request
 * @property {Record<string, string>} params of the path
 * @property {URLSearchParams} query
 * @property {Record<string, unknown>} body valid by the route's schema
 * @property {Access} access the token's rights
 * @property {(() => Sent | undefined)[]} before webhooks that go out, and are answered, before the call is
 * @property {(() => Sent | undefined)[]} after webhooks that go out once it is
 */

/**
 * @typedef {object} Route
 * @property {string} [scope] '' needs no token at all
 * @property {('Location' | 'Company')[]} classes of tokens it takes
 * @property {string} [removedInV3] the path that v3 has instead
 * @property {boolean} [noVersion] takes calls without a Version header
 * @property {(ghl: Ghl, call: Call) => Answer} handle
 */

/** @param {Ghl} ghl @returns {(request: Request) => Answer | Promise<Answer>} */
export function createGhlHandler(ghl) {
  return (request) => {
    const { method, path } = request;
    if (method === 'GET' && INSTALL_PAGES.has(path)) {
      try {
        return chooseLocation(ghl, request);
      } catch (error) {
        return refused(error);
      }
    }
    const found = match(method, path);
    if (!found) return notFound(`Cannot ${method} ${path}`).answer();
    /** @type {import('node:http').OutgoingHttpHeaders} */
    const rate = {};
    /** @type {Call['after']} */
    const after = [];
    /** @type {Call['after']} */
    const before = [];
    /** @type {Answer} */
    let answer;
    try {
      const call = gate(ghl, found, request, rate);
      answer = found.route.handle(ghl, { ...call, before, after });
    } catch (error) {
      answer = refused(error);
    }
    answer.headers = { ...rate, ...answer.headers };
    if (ghl.options.webhooksBeforeResponse) before.push(...after.splice(0));
    if (after.length) ghl.webhooks.later(() => after.forEach((send) => void send()));
    if (!before.length) return answer;
    const done = answer;
    return Promise.all(before.map((send) => send()?.first)).then(() => done);
  };
}

const INSTALL_PAGES = new Set(['/v2/oauth/chooselocation', '/oauth/chooselocation']);

const LOCATION = /** @type {('Location' | 'Company')[]} */ (['Location']);
const COMPANY = /** @type {('Location' | 'Company')[]} */ (['Company']);
const BOTH = /** @type {('Location' | 'Company')[]} */ (['Location', 'Company']);

/**
 * @param {Route['handle']} handle
 * @param {string} scope
 * @param {Route['classes']} [classes]
 * @returns {Route}
 */
const route = (handle, scope, classes = LOCATION) => ({ handle, scope, classes });

/** A trailing slash counts: `/contacts` is a 404 (FACTS §2.1, §3.1). @type {Record<string, Route>} */
const ROUTES = {
  'POST /oauth/token': { ...route(oauth.token, '', []), noVersion: true },
  'POST /oauth/locationToken': {
    ...route(oauth.locationToken, 'oauth.write', COMPANY),
    removedInV3: '/oauth/location-token',
  },
  'GET /oauth/installedLocations': {
    ...route(oauth.installedLocations, 'oauth.readonly', COMPANY),
    removedInV3: '/oauth/installed-locations',
  },
  'POST /oauth/reconnect': route(oauth.reconnect, '', []),
  'POST /contacts/': route(contacts.create, 'contacts.write'),
  'POST /contacts/upsert': route(contacts.upsert, 'contacts.write'),
  'POST /contacts/search': route(contacts.search, 'contacts.readonly'),
  'GET /contacts/search/duplicate': route(contacts.searchDuplicate, 'contacts.readonly'),
  'GET /contacts/{contactId}': route(contacts.get, 'contacts.readonly'),
  'PUT /contacts/{contactId}': route(contacts.update, 'contacts.write'),
  'DELETE /contacts/{contactId}': route(contacts.remove, 'contacts.write'),
  'POST /contacts/{contactId}/tags': route(contacts.addTags, 'contacts.write'),
  'DELETE /contacts/{contactId}/tags': route(contacts.removeTags, 'contacts.write'),
  'GET /locations/{locationId}': route(locations.get, 'locations.readonly', BOTH),
  'GET /locations/{locationId}/customFields': route(locations.customFields, 'locations/customFields.readonly'),
  'POST /locations/{locationId}/customFields': route(locations.createCustomField, 'locations/customFields.write'),
  'POST /conversations/': route(conversations.create, 'conversations.write'),
  'GET /conversations/search': route(conversations.search, 'conversations.readonly'),
  'GET /conversations/{conversationId}': route(conversations.get, 'conversations.readonly'),
  'PUT /conversations/{conversationId}': route(conversations.update, 'conversations.write'),
  'DELETE /conversations/{conversationId}': route(conversations.remove, 'conversations.write'),
  'GET /conversations/{conversationId}/messages': route(messages.list, 'conversations/message.readonly'),
  'POST /conversations/messages': route(messages.send, 'conversations/message.write'),
  'POST /conversations/messages/inbound': route(messages.log, 'conversations/message.write'),
  'PUT /conversations/messages/{messageId}/status': route(messages.setStatus, 'conversations/message.write'),
  'GET /conversations/messages/{id}': route(messages.get, 'conversations/message.readonly'),
};

/** Method and path of each call this GHL takes. */
export const routes = Object.keys(ROUTES);

/** @typedef {{ route: Route, name: string, params: Record<string, string> }} Found */

const PATTERNS = Object.entries(ROUTES)
  .filter(([name]) => name.includes('{'))
  .map(([name, found]) => {
    const names = [...name.matchAll(/\{(\w+)\}/g)].map(([, param]) => param);
    const pattern = new RegExp(`^${name.replace(/\{\w+\}/g, '([^/]+)')}$`);
    return { name, names, pattern, route: found };
  });

/** @param {string} method @param {string} path @returns {Found | undefined} */
function match(method, path) {
  const key = `${method} ${path}`;
  if (Object.hasOwn(ROUTES, key)) return { route: ROUTES[key], name: key, params: {} };
  for (const { name, names, pattern, route: found } of PATTERNS) {
    const values = pattern.exec(key);
    if (!values) continue;
    const params = Object.fromEntries(names.map((param, i) => [param, decode(values[i + 1])]));
    return { route: found, name, params };
  }
  return undefined;
}

/**
 * @param {Ghl} ghl
 * @param {Found} found
 * @param {Request} request
 * @param {import('node:http').OutgoingHttpHeaders} rate filled as soon as the resource is known
 * @returns {Omit<Call, 'before' | 'after'>}
 */
function gate(ghl, { route: { scope, classes, removedInV3, noVersion }, name, params }, request, rate) {
  const version = request.headers.version;
  if (!version && !noVersion) throw unauthorized('version header was not found.');
  if (version && !VERSIONS.has(String(version))) {
    // Measured as 401 `version header is invalid`, too (FACTS §1.0).
    throw badRequest(`Invalid API version segment '${version}' at position 0`);
  }
  const access = /** @type {Access} */ (scope ? ghl.tokens.find(request.headers.authorization) : {});
  if (!access) throw invalidToken();
  // After the token: without one, both versions were measured to answer 401 (FACTS §1.0).
  if (version === 'v3' && removedInV3) {
    throw badRequest(
      `Endpoint ${request.path} not available in API version v3. This endpoint was removed in version v3. Please use a version before v3.`,
      { error: 'Bad Request' },
    );
  }
  if (scope) {
    const { refused: tooMany, headers } = ghl.limits.count(
      `${access.clientId} ${access.locationId ?? access.companyId}`,
    );
    Object.assign(rate, headers);
    if (tooMany) throw new Refusal(429, { statusCode: 429, message: 'Too Many Requests' });
    if (!classes.includes(access.authClass)) {
      throw unauthorized(
        access.authClass === 'Company'
          ? "Token's user type mismatch!"
          : 'This authClass type is not allowed to access this scope. Please reach out to the Integrations team to update the IAM config.',
      );
    }
    if (!access.scopes.has(scope)) {
      throw unauthorized('The token is not authorized for this scope.');
    }
  }
  if (request.malformed) throw badRequest(request.malformed, { error: 'Bad Request' });
  const body = /** @type {Record<string, unknown>} */ (request.body ?? {});
  // The OAuth calls have words of their own (FACTS §1.7).
  if (scope) validate(name, body, request.query);
  if (scope) tenant(ghl, access, [params.locationId, body.locationId, request.query.get('locationId')], name);
  return { request, params, query: request.query, body, access };
}

const VERSIONS = new Set(['v3', '2023-02-21', '2021-07-28', '2021-04-15', 'legacy', '2021-01-01']);

/** @param {string} name @param {Record<string, unknown>} body @param {URLSearchParams} query */
function validate(name, body, query) {
  const found = bodies[name] ? problems(bodies[name], body) : [];
  if (queries[name]) {
    found.push(...problems(queries[name], Object.fromEntries(query), { ignoreUnknown: true }));
  }
  if (!found.length) return;
  // A string, and these words, when only that is missing (FACTS §5).
  const [first] = found;
  const noLocation = found.length === 1 && first === 'locationId should not be empty';
  throw unprocessable(noLocation ? "LocationId can't be undefined" : found);
}

/** @param {Ghl} ghl @param {Access} access @param {unknown[]} named locations @param {string} name */
function tenant(ghl, access, named, name) {
  for (const locationId of named) {
    if (locationId === undefined || locationId === null) continue;
    if (access.authClass === 'Company') {
      // The OAuth calls look for themselves.
      if (name.includes('/oauth/')) continue;
      if (ghl.state.locations.get(String(locationId))?.companyId === access.companyId) continue;
    } else if (locationId === access.locationId) continue;
    throw otherTenant();
  }
}

/** @param {unknown} error @returns {Answer} */
function refused(error) {
  if (error instanceof Refusal) return error.answer();
  throw error;
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

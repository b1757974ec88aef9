/**
 * The OAuth calls (FACTS §1.2-1.7).
 */

import { randomUUID } from 'node:crypto';
import { badRequest, forbidden, notFound, Refusal } from './errors.js';
import { grant } from './install.js';

/** @import { Answer } from '../http.js' */
/** @import { Call } from './server.js' */
/** @import { App } from './state.js' */
/** @import { Holder } from './tokens.js' */
/** @import { Ghl } from './world.js' */

/**
 * `POST /oauth/token`: form or JSON, no Authorization.
 * @param {Ghl} ghl
 * @param {Call} call
 * @returns {Answer}
 */
export function token(ghl, { body }) {
  const { client_id, client_secret, grant_type, code, refresh_token, redirect_uri } = body;
  if (!grant_type) throw badRequest('Missing parameter: grantType');
  if (grant_type !== 'authorization_code' && grant_type !== 'refresh_token') {
    throw badRequest('Invalid parameter: grantType');
  }
  if (!client_id) throw badRequest('Missing parameter: clientId');
  if (!client_secret) throw badRequest('Missing parameter: clientSecret');

  if (grant_type === 'refresh_token') {
    const app = knownApp(ghl, client_id, client_secret);
    if (!refresh_token) throw badRequest('Missing parameter: refreshToken');
    const check = (/** @type {Holder} */ holder) => mustBeActive(ghl, holder);
    return { status: 200, body: ghl.tokens.refresh(String(refresh_token), app.clientId, check) };
  }

  if (!code) throw badRequest('Missing parameter: code');
  // Measured: the code is looked at before the client's credentials (FACTS §1.7).
  const granted = ghl.codes.get(String(code));
  if (!granted || ghl.now() >= granted.expiresAt) throw codeNotFound();
  const app = knownApp(ghl, client_id, client_secret);
  if (granted.clientId !== app.clientId) throw codeNotFound();
  if (redirect_uri && granted.redirectUri && redirect_uri !== granted.redirectUri) {
    throw badRequest('Invalid grant: redirect URI is invalid');
  }
  mustBeActive(ghl, granted);
  ghl.codes.delete(String(code));
  return { status: 200, body: ghl.tokens.issue(granted) };
}

/**
 * `POST /oauth/locationToken`, with a Company token. Documented with 200, measured with 201 (FACTS §1.4).
 * @param {Ghl} ghl @param {Call} call @returns {Answer}
 */
export function locationToken(ghl, { body, access }) {
  const { companyId, locationId } = body;
  if (companyId !== access.companyId) throw forbidden('The token does not have access to this company.');
  const location = ghl.state.locations.get(String(locationId));
  if (!location || location.companyId !== companyId) {
    throw forbidden('The token does not have access to this location.');
  }
  const installation = ghl.state.installations.get(`${access.clientId} ${location.id}`);
  if (!installation) throw badRequest('The app is not installed in this location');
  /** @type {Holder} */
  const holder = {
    clientId: access.clientId,
    authClass: 'Location',
    companyId: location.companyId,
    locationId: location.id,
    userId: access.userId,
    scope: installation.scope,
  };
  mustBeActive(ghl, holder);
  const { expiresIn } = ghl.options;
  // One second more than the other call says: 86400 (FACTS §1.2).
  const reply = ghl.tokens.issue(holder, { expiresIn: expiresIn + 1 });
  const appId = access.clientId.split('-')[0];
  return {
    status: ghl.options.locationTokenStatus,
    body: { ...reply, appId, versionId: appId },
  };
}

/** `GET /oauth/installedLocations` (FACTS §1.5). @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function installedLocations(ghl, { query, access }) {
  if (query.get('companyId') !== access.companyId) {
    throw forbidden('The token does not have access to this company.');
  }
  if (query.get('appId') !== access.clientId.split('-')[0]) throw badRequest('App not found');
  const skip = Number(query.get('skip') ?? '0');
  const limit = Number(query.get('limit') ?? '20');
  const wanted = query.get('isInstalled');
  const words = query.get('query')?.toLowerCase();
  const only = query.get('locationId');
  const found = [];
  for (const location of ghl.state.locations.values()) {
    if (location.companyId !== access.companyId) continue;
    const installation = ghl.state.installations.get(`${access.clientId} ${location.id}`);
    // Without the filter, only what is installed is listed.
    if ((wanted ?? 'true') !== String(installation !== undefined)) continue;
    if (words && !location.name.toLowerCase().includes(words)) continue;
    if (only && only !== location.id) continue;
    found.push({
      _id: location.id,
      name: location.name,
      address: '1 Main St',
      isInstalled: installation !== undefined,
      versionId: access.clientId.split('-')[0],
      ...(installation ? { installedAt: installation.installedAt } : {}),
    });
  }
  const company = ghl.state.companyInstallations.get(`${access.clientId} ${access.companyId}`);
  return {
    status: 200,
    body: {
      locations: found.slice(skip, skip + limit),
      count: found.length,
      installToFutureLocations: company?.installToFutureLocations ?? false,
    },
  };
}

/**
 * `POST /oauth/reconnect`: a new code for an app that lost its tokens (FACTS §1.6).
 * @param {Ghl} ghl
 * @param {Call} call
 * @returns {Answer}
 */
export function reconnect(ghl, { body, request }) {
  if (!ghl.options.reconnect) throw notFound(`Cannot POST ${request.path}`);
  const app = knownApp(ghl, body.clientKey, body.clientSecret);
  const { locationId, companyId } = body;
  const { installations, companyInstallations, locations } = ghl.state;
  const location = locations.get(String(locationId));
  const installation = locationId
    ? installations.get(`${app.clientId} ${locationId}`)
    : companyInstallations.get(`${app.clientId} ${companyId}`);
  if (!installation || (locationId && !location)) throw badRequest('App is not installed');
  const company = location?.companyId ?? String(companyId);
  const { code, expiresAt } = grant(ghl, app, {
    companyId: company,
    locationId: location?.id,
    scope: installation.scope,
    redirectUri: '',
  });
  return {
    status: 200,
    body: {
      authorizationCode: code,
      expiresAt: new Date(expiresAt).toISOString(),
      traceId: randomUUID(),
    },
  };
}

/**
 * The same refresh token works again later: it is not used up (FACTS §1.7).
 * @param {Ghl} ghl
 * @param {Pick<Holder, 'companyId' | 'locationId'>} holder
 */
function mustBeActive(ghl, { companyId, locationId }) {
  const company = ghl.state.companies.get(companyId);
  const location = locationId ? ghl.state.locations.get(locationId) : undefined;
  if (company?.active === false || location?.active === false) {
    throw badRequest('Location is not active');
  }
}

/** @param {Ghl} ghl @param {unknown} clientId @param {unknown} clientSecret @returns {App} */
function knownApp(ghl, clientId, clientSecret) {
  const app = ghl.state.apps.get(String(clientId));
  if (!app || app.clientSecret !== clientSecret) {
    throw badRequest('Invalid client: client credentials are invalid');
  }
  return app;
}

function codeNotFound() {
  return new Refusal(401, {
    error: 'UnAuthorized!',
    error_description: 'Authorization code not found',
  });
}

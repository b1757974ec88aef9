/**
 * The install page (FACTS §1.1), and installing and uninstalling as an admin does it in GHL.
 */

import { randomBytes } from 'node:crypto';
import { Refusal } from './errors.js';
import { emit } from './events.js';

/** @import { Answer, Request } from '../http.js' */
/** @import { App } from './state.js' */
/** @import { Ghl, Grant } from './world.js' */

/**
 * `GET /v2/oauth/chooselocation`: a page to choose on; with `location_id=…&approve=1` (or `company_id=…`, or `deny=1`)
 * the choice is made at once, for tests and `curl`.
 * @param {Ghl} ghl
 * @param {Request} request
 * @returns {Answer}
 */
export function chooseLocation(ghl, { query, url }) {
  const app = ghl.state.apps.get(query.get('client_id') ?? '');
  const redirectUri = query.get('redirect_uri') ?? ghl.options.redirectUri;
  const registered = ghl.options.redirectUri;
  if (!app) return page(400, 'error.noclient', '<p>No app has this client_id.</p>');
  if (ghl.options.requireVersionId && !query.get('version_id')) {
    return page(400, 'error.noversionid', '<p>The link names no version_id.</p>');
  }
  if (query.get('response_type') !== 'code') {
    return page(400, 'error.responsetype', '<p>response_type must be code.</p>');
  }
  if (!redirectUri || (registered && redirectUri !== registered)) {
    return page(400, 'error.redirecturi', `<p>${escapeHtml(redirectUri)} is not registered.</p>`);
  }

  if (query.get('deny') === '1') return redirect({ error: 'access_denied' });
  const locationId = query.get('location_id') ?? undefined;
  const companyId = query.get('company_id') ?? undefined;
  if (query.get('approve') !== '1' || (!locationId && !companyId)) return choices(ghl, url);
  const scope = query.get('scope') || app.scope;
  const future = query.get('future') === '1';
  const { code } = approve(ghl, app, { locationId, companyId, scope, redirectUri, future });
  return redirect({ code });

  /** @param {Record<string, string>} answer @returns {Answer} */
  function redirect(answer) {
    const target = new URL(redirectUri);
    for (const [name, value] of Object.entries(answer)) target.searchParams.set(name, value);
    const state = query.get('state');
    if (state !== null && ghl.options.echoState) target.searchParams.set('state', state);
    return { status: 302, headers: { location: target.href }, text: '' };
  }
}

/**
 * @typedef {object} Approval
 * @property {string} [locationId] a sub-account's user installs: a Location token
 * @property {string} [companyId] an agency's user installs: a Company token
 * @property {string[]} [locationIds] of a company: only these; default all
 * @property {string} [scope]
 * @property {string} [redirectUri]
 * @property {boolean} [future] of a company: its later locations, too
 * @property {boolean} [webhook] default true: tell the app by INSTALL
 */

/**
 * Installs the app and makes the code its callback gets.
 * @param {Ghl} ghl
 * @param {App} app
 * @param {Approval} approval
 */
export function approve(ghl, app, approval) {
  const { locationId, companyId, scope = app.scope, redirectUri = '', future = false } = approval;
  const location = locationId ? ghl.state.locations.get(locationId) : undefined;
  const company = ghl.state.companies.get(companyId ?? location?.companyId ?? '');
  if (!company || (locationId && !location)) {
    throw new Refusal(404, { statusCode: 404, message: 'No such location or company' });
  }
  /** @type {string[]} */
  const locations = location ? [location.id] : (approval.locationIds ?? locationsOf(ghl, company.id));
  const installedAt = new Date(ghl.now()).toISOString();
  for (const id of locations) {
    const installation = { clientId: app.clientId, locationId: id, scope, installedAt };
    ghl.state.installations.set(`${app.clientId} ${id}`, installation);
  }
  if (!location) {
    const { clientId } = app;
    const installation = { clientId, companyId: company.id, scope, installToFutureLocations: future };
    ghl.state.companyInstallations.set(`${clientId} ${company.id}`, installation);
  }
  const granted = grant(ghl, app, {
    companyId: company.id,
    locationId: location?.id,
    scope,
    redirectUri,
    ...(location ? {} : { approvedLocations: locations, installToFutureLocations: future }),
  });
  if (approval.webhook !== false && app.clientId === ghl.clientId) {
    ghl.webhooks.later(() => {
      if (!location) emit(ghl, 'INSTALL', installEvent(ghl, company.id, undefined, granted.userId));
      for (const id of locations) {
        emit(ghl, 'INSTALL', installEvent(ghl, company.id, id, granted.userId));
      }
    });
  }
  return granted;
}

/**
 * An authorization code.
 * @param {Ghl} ghl
 * @param {App} app
 * @param {Pick<Grant, 'companyId' | 'locationId' | 'scope' | 'redirectUri' | 'approvedLocations'> & { installToFutureLocations?: boolean }} what
 */
export function grant(ghl, app, what) {
  const code = randomBytes(20).toString('hex');
  const { companyId, locationId } = what;
  const user = [...ghl.state.users.values()].find(
    (candidate) => candidate.companyId === companyId && candidate.locationId === locationId,
  );
  const expiresAt = ghl.now() + ghl.options.codeTtlMs;
  /** @type {Grant} */
  const granted = {
    clientId: app.clientId,
    authClass: locationId ? 'Location' : 'Company',
    userId: user?.id ?? ghl.id('usr'),
    expiresAt,
    ...what,
  };
  ghl.codes.set(code, granted);
  return { code, ...granted };
}

/**
 * Removes the app from a location, or from a company and all its locations. A company's UNINSTALL names only the
 * company (FACTS §4.5).
 * @param {Ghl} ghl
 * @param {{ locationId?: string, companyId?: string, webhook?: boolean }} what
 */
export function uninstall(ghl, { locationId, companyId, webhook = true }) {
  const { clientId } = ghl;
  const locations = locationId ? [locationId] : locationsOf(ghl, companyId ?? '');
  for (const id of locations) {
    ghl.state.installations.delete(`${clientId} ${id}`);
    ghl.tokens.forget(id, clientId);
  }
  if (companyId && !locationId) {
    ghl.state.companyInstallations.delete(`${clientId} ${companyId}`);
    ghl.tokens.forget(companyId, clientId);
  }
  if (webhook) {
    const where = locationId ? { locationId } : { companyId };
    ghl.webhooks.later(() => emit(ghl, 'UNINSTALL', where));
  }
}

/**
 * A company that installed for its future locations, too, gets the app in a new one. `userId` may be missing then
 * (FACTS §4.5).
 * @param {Ghl} ghl @param {string} companyId @param {string} locationId
 */
export function installInNewLocation(ghl, companyId, locationId) {
  const { clientId } = ghl;
  const company = ghl.state.companyInstallations.get(`${clientId} ${companyId}`);
  if (!company?.installToFutureLocations) return;
  const installedAt = new Date(ghl.now()).toISOString();
  const installation = { clientId, locationId, scope: company.scope, installedAt };
  ghl.state.installations.set(`${clientId} ${locationId}`, installation);
  ghl.webhooks.later(() => emit(ghl, 'INSTALL', installEvent(ghl, companyId, locationId, undefined)));
}

/**
 * @param {Ghl} ghl
 * @param {string} companyId
 * @param {string | undefined} locationId
 * @param {string | undefined} userId
 */
function installEvent(ghl, companyId, locationId, userId) {
  return {
    installType: locationId ? 'Location' : 'Company',
    ...(locationId ? { locationId } : {}),
    companyId,
    ...(userId ? { userId } : {}),
    companyName: ghl.state.companies.get(companyId)?.name,
    isWhitelabelCompany: false,
    whitelabelDetails: {},
    trial: {},
  };
}

/** @param {Ghl} ghl @param {string} companyId */
function locationsOf(ghl, companyId) {
  return [...ghl.state.locations.values()]
    .filter((location) => location.companyId === companyId)
    .map((location) => location.id);
}

/** @param {Ghl} ghl @param {string} url @returns {Answer} */
function choices(ghl, url) {
  /** @param {string} query @param {string} label */
  const link = (query, label) =>
    `<li><a href="${escapeHtml(`${url}&${query}&approve=1`)}">${escapeHtml(label)}</a></li>`;
  const locations = [...ghl.state.locations.values()].map(({ id, name }) =>
    link(`location_id=${id}`, `${name} (${id})`),
  );
  const companies = [...ghl.state.companies.values()].map(({ id, name }) =>
    link(`company_id=${id}`, `all of ${name} (${id}), as an agency`),
  );
  const deny = `<p><a href="${escapeHtml(`${url}&deny=1`)}">Deny</a></p>`;
  const list = `<ul>${locations.join('')}</ul><ul>${companies.join('')}</ul>${deny}`;
  return page(200, 'Choose a location', list);
}

/** @param {number} status @param {string} title @param {string} body @returns {Answer} */
function page(status, title, body) {
  const head = `<!doctype html><meta charset="utf-8"><title>${title}</title>`;
  return { status, text: `${head}<h1>${title}</h1>${body}\n` };
}

/** @param {string} text */
function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * Everything one sandboxed GHL is made of, handed to each of its parts.
 */

import { createIds } from '../secrets.js';
import { createLimits } from './limits.js';
import { DEFAULT_SCOPES, defaultOptions } from './options.js';
import { createIndexes, createLocationIndex, createState } from './state.js';
import { createTokens } from './tokens.js';
import { createWebhooks } from './webhooks.js';

/** @import { Client } from '../http.js' */
/** @import { Secrets } from '../secrets.js' */
/** @import { Traffic } from '../traffic.js' */
/** @import { Options } from './options.js' */
/** @import { App, Company, Location } from './state.js' */

/**
 * @param {{ now: () => number, secrets: Secrets, client: Client, traffic: Traffic, options: Partial<Options> }} parts
 */
export function createWorld({ now, secrets, client, traffic, options: given }) {
  const defaults = defaultOptions();
  /** @type {Options} */
  const options = {
    ...defaults,
    ...given,
    retry: { ...defaults.retry, ...given.retry },
    limits: { ...defaults.limits, ...given.limits },
  };
  const state = createState();
  const index = createIndexes();
  const id = createIds();
  const webhooks = createWebhooks({ options, client, traffic, privateKey: secrets.privateKey });
  const ghl = {
    now,
    id,
    options,
    state,
    index,
    traffic,
    webhooks,
    secrets,
    clientId: secrets.clientId,
    appId: secrets.clientId.split('-')[0],
    tokens: createTokens({ now, options }),
    limits: createLimits({ options, now }),
    /** @type {Map<string, Grant>} authorization codes not exchanged yet */
    codes: new Map(),
    /** Counts messages, to order those of the same date. */
    seq: 0,
    addApp,
    addCompany,
    addLocation,
  };

  /** @param {Partial<App>} [app] @returns {App} */
  function addApp(app = {}) {
    const clientId = app.clientId ?? `${id('app').toLowerCase()}-other000`;
    const clientSecret = app.clientSecret ?? `${id('secret')}`;
    const providerId = app.providerId ?? id('prov').toLowerCase();
    const added = { clientId, clientSecret, providerId, scope: app.scope ?? DEFAULT_SCOPES };
    state.apps.set(clientId, added);
    index.providers.set(providerId, added);
    return added;
  }

  /** @param {Partial<Company>} [company] @returns {Company} */
  function addCompany(company = {}) {
    const added = { id: id('cmp'), name: 'Acme Agency', active: true, ...company };
    state.companies.set(added.id, added);
    const userId = id('usr');
    state.users.set(userId, { id: userId, companyId: added.id, name: 'Ada Admin' });
    return added;
  }

  /**
   * @param {Partial<Omit<Location, 'settings'>> & Partial<Location['settings']>} [location]
   * @returns {Location}
   */
  function addLocation({ allowDuplicateContact, contactUniqueIdentifiers, ...location } = {}) {
    const companyId = location.companyId ?? state.companies.keys().next().value ?? addCompany().id;
    /** @type {Location} */
    const added = {
      id: id('loc'),
      name: 'Acme Dental',
      active: true,
      ...location,
      companyId,
      settings: {
        allowDuplicateContact: allowDuplicateContact ?? false,
        // E-mail first is the default order (FACTS §2.2).
        contactUniqueIdentifiers: contactUniqueIdentifiers ?? ['email', 'phone'],
      },
    };
    state.locations.set(added.id, added);
    index.locations.set(added.id, createLocationIndex());
    const userId = id('usr');
    state.users.set(userId, { id: userId, companyId, locationId: added.id, name: 'Ann Agent' });
    return added;
  }

  return ghl;
}

/** @typedef {ReturnType<typeof createWorld>} Ghl */

/**
 * What an authorization code stands for.
 * @typedef {object} Grant
 * @property {string} clientId
 * @property {string} redirectUri
 * @property {'Location' | 'Company'} authClass
 * @property {string} companyId
 * @property {string} [locationId]
 * @property {string} userId
 * @property {string} scope
 * @property {string[]} [approvedLocations]
 * @property {boolean} [installToFutureLocations]
 * @property {number} expiresAt
 */

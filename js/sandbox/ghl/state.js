/**
 * What this GHL knows. Plain objects in Maps by id, to be read by tests; the indexes beside them keep every call
 * cheap however many contacts and messages there are.
 */

import { createSearchIndex } from './search.js';

/** @import { SearchIndex } from './search.js' */

/** @typedef {{ id: string, name: string, active: boolean }} Company `active: false` is paused or unpaid */
/**
 * @typedef {object} Location
 * @property {string} id
 * @property {string} companyId
 * @property {string} name
 * @property {boolean} active
 * @property {{ allowDuplicateContact: boolean, contactUniqueIdentifiers: ('email' | 'phone')[] }} settings
 */
/** @typedef {{ id: string, companyId: string, locationId?: string, name: string }} User */
/**
 * Never changed in place: a write stores a new object, so the search index may keep the old one.
 * @typedef {object} Contact
 * @property {string} id
 * @property {string} locationId
 * @property {string | null} firstName
 * @property {string | null} lastName
 * @property {string | null} email
 * @property {string | null} phone
 * @property {string[]} tags
 * @property {{ id: string, value: unknown }[]} customFields
 * @property {string} [source]
 * @property {string} type
 * @property {boolean} dnd
 * @property {string} dateAdded ISO
 * @property {string} dateUpdated ISO
 * @property {Record<string, unknown>} rest address, website and the other fields, as they were written
 */
/**
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} locationId
 * @property {string} contactId
 * @property {string} dateAdded
 * @property {string} dateUpdated
 * @property {boolean} deleted
 * @property {boolean} inbox
 * @property {boolean} starred
 * @property {number} unreadCount
 * @property {string} lastMessageDate
 * @property {string} lastMessageBody
 * @property {string} lastMessageType
 * @property {'inbound' | 'outbound'} [lastMessageDirection]
 */
/**
 * @typedef {object} Message
 * @property {string} id
 * @property {number} seq order of arrival, which decides between equal dates
 * @property {string} locationId
 * @property {string} contactId
 * @property {string} conversationId
 * @property {string} channel the `type` of the call: Custom, SMS, …
 * @property {string} messageType TYPE_…
 * @property {number} type
 * @property {'inbound' | 'outbound'} direction
 * @property {string} body
 * @property {string[]} attachments
 * @property {string} status
 * @property {{ code?: string, type?: string, message?: string }} [error]
 * @property {string} dateAdded ISO, the `date` it was given
 * @property {number} storedAt milliseconds, when it was really stored
 * @property {'api' | 'app'} source
 * @property {string} [altId]
 * @property {string} [userId]
 * @property {string} [conversationProviderId]
 */
/**
 * @typedef {object} CustomField
 * @property {string} id
 * @property {string} locationId
 * @property {string} name
 * @property {string} fieldKey
 * @property {string} placeholder
 * @property {string} dataType
 * @property {number} position
 * @property {'contact' | 'opportunity'} model
 * @property {string[]} picklistOptions
 */
/** @typedef {{ clientId: string, clientSecret: string, providerId: string, scope: string }} App */
/** @typedef {{ clientId: string, locationId: string, scope: string, installedAt: string }} Installation */
/**
 * @typedef {object} CompanyInstallation
 * @property {string} clientId
 * @property {string} companyId
 * @property {string} scope
 * @property {boolean} installToFutureLocations
 */

/** @typedef {ReturnType<typeof createState>} State */

export function createState() {
  return {
    /** @type {Map<string, Company>} */
    companies: new Map(),
    /** @type {Map<string, Location>} */
    locations: new Map(),
    /** @type {Map<string, User>} */
    users: new Map(),
    /** @type {Map<string, Contact>} */
    contacts: new Map(),
    /** @type {Map<string, Conversation>} */
    conversations: new Map(),
    /** @type {Map<string, Message>} */
    messages: new Map(),
    /** @type {Map<string, CustomField>} */
    customFields: new Map(),
    /** @type {Map<string, App>} by client id */
    apps: new Map(),
    /** @type {Map<string, Installation>} by client id and location id, a space between */
    installations: new Map(),
    /** @type {Map<string, CompanyInstallation>} by client id and company id, a space between */
    companyInstallations: new Map(),
  };
}

/** @typedef {ReturnType<typeof createIndexes>} Indexes */

export function createIndexes() {
  return {
    /** @type {Map<string, LocationIndex>} by location id */
    locations: new Map(),
    /** @type {Map<string, string>} contact id → its one conversation (FACTS §3.1) */
    conversationOf: new Map(),
    /** @type {Map<string, Message[]>} conversation id → its messages, oldest first */
    threads: new Map(),
    /** @type {Map<string, App>} provider id → the app that owns it */
    providers: new Map(),
  };
}

/**
 * @typedef {object} LocationIndex
 * @property {Map<string, Set<string>>} email lower-case e-mail → contact ids
 * @property {Map<string, Set<string>>} phone → contact ids
 * @property {Set<string>} conversations ids
 * @property {SearchIndex} search what `POST /contacts/search` sees, a little late
 */

/** @returns {LocationIndex} */
export function createLocationIndex() {
  return {
    email: new Map(),
    phone: new Map(),
    conversations: new Set(),
    search: createSearchIndex(),
  };
}

/** @param {Map<string, Set<string>>} index @param {string} key @param {string} id */
export function addTo(index, key, id) {
  const ids = index.get(key);
  if (ids) ids.add(id);
  else index.set(key, new Set([id]));
}

/** @param {Map<string, Set<string>>} index @param {string} key @param {string} id */
export function removeFrom(index, key, id) {
  const ids = index.get(key);
  if (ids?.delete(id) && !ids.size) index.delete(key);
}

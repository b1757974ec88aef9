/**
 * Contacts (FACTS §2). A write stores a new object and keeps the indexes of its location right.
 */

import { randomUUID } from 'node:crypto';
import { badRequest, otherTenant, unknownId, unprocessable } from './errors.js';
import { contactEvent, emit } from './events.js';
import { addTo, removeFrom } from './state.js';

/** @import { Answer } from '../http.js' */
/** @import { Call } from './server.js' */
/** @import { Contact, Location, LocationIndex } from './state.js' */
/** @import { Query } from './search.js' */
/** @import { Ghl } from './world.js' */

/** `POST /contacts/` (FACTS §2.1). @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function create(ghl, call) {
  const { location, index } = locationOf(ghl, call);
  const fields = fieldsOf(ghl, location.id, call.body);
  if (!location.settings.allowDuplicateContact) refuseDuplicate(ghl, location, index, fields);
  const contact = store(ghl, undefined, blank(ghl, location.id), fields, call);
  return { status: 201, body: { contact: view(contact), traceId: randomUUID() } };
}

/** `POST /contacts/upsert` (FACTS §2.2). @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function upsert(ghl, call) {
  const { location, index } = locationOf(ghl, call);
  const { createNewIfDuplicateAllowed, ...body } = call.body;
  const fields = fieldsOf(ghl, location.id, body);
  const always = createNewIfDuplicateAllowed === true && location.settings.allowDuplicateContact;
  const match = always ? undefined : matching(location, index, fields);
  const known = match && ghl.state.contacts.get(match.contactId);
  if (known) {
    // The field of lower rank that belongs to somebody else is dropped, without an error (FACTS §2.2).
    for (const field of location.settings.contactUniqueIdentifiers) {
      if (field !== match.field && ownedByOther(index, field, fields, known.id)) delete fields[field];
    }
  }
  const contact = store(ghl, known, known ?? blank(ghl, location.id), fields, call);
  const answer = { new: !known, contact: fullView(contact), traceId: randomUUID() };
  return { status: 200, body: answer };
}

/** `GET /contacts/{contactId}`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function get(ghl, call) {
  return { status: 200, body: { contact: fullView(contactOf(ghl, call)), traceId: randomUUID() } };
}

/** `PUT /contacts/{contactId}` (FACTS §2.5). @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function update(ghl, call) {
  const known = contactOf(ghl, call);
  const { location, index } = ofLocation(ghl, known.locationId);
  const fields = fieldsOf(ghl, location.id, call.body);
  if (!location.settings.allowDuplicateContact) {
    refuseDuplicate(ghl, location, index, fields, known.id);
  }
  const contact = store(ghl, known, known, fields, call);
  // GHL's spelling.
  const body = { succeded: true, contact: fullView(contact), traceId: randomUUID() };
  return { status: 200, body };
}

/** `DELETE /contacts/{contactId}`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function remove(ghl, call) {
  const contact = contactOf(ghl, call);
  const { index } = ofLocation(ghl, contact.locationId);
  unindex(index, contact);
  ghl.state.contacts.delete(contact.id);
  index.search.wrote(ghl.now(), contact.id, undefined);
  const conversationId = ghl.index.conversationOf.get(contact.id);
  if (conversationId) {
    ghl.index.conversationOf.delete(contact.id);
    ghl.state.conversations.delete(conversationId);
    index.conversations.delete(conversationId);
  }
  if (ghl.options.emitContactWebhooks) {
    call.after.push(() => emit(ghl, 'ContactDelete', contactEvent(contact)));
  }
  return { status: 200, body: { succeded: true, traceId: randomUUID() } };
}

/** `POST /contacts/{contactId}/tags` (FACTS §2.5). @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function addTags(ghl, call) {
  const known = contactOf(ghl, call);
  const tags = tagsOf(call.body.tags);
  const tagsAdded = tags.filter((tag) => !known.tags.includes(tag));
  const contact = tag(ghl, known, [...known.tags, ...tagsAdded], call);
  const body = { tags: contact.tags, tagsAdded, traceId: randomUUID() };
  return { status: 201, body };
}

/** `DELETE /contacts/{contactId}/tags`, with a body. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function removeTags(ghl, call) {
  const known = contactOf(ghl, call);
  const tags = tagsOf(call.body.tags);
  const tagsRemoved = known.tags.filter((tag) => tags.includes(tag));
  const left = known.tags.filter((tag) => !tags.includes(tag));
  const contact = tag(ghl, known, left, call);
  const body = { tags: contact.tags, tagsRemoved, traceId: randomUUID() };
  return { status: 200, body };
}

/** `POST /contacts/search` (FACTS §2.4). @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function search(ghl, call) {
  const { index } = locationOf(ghl, call);
  const until = ghl.now() - ghl.options.searchLagMs;
  const query = /** @type {Query} */ (/** @type {unknown} */ (call.body));
  const { contacts, total } = index.search.search(query, until);
  const views = contacts.map(({ searchAfter, ...contact }) => ({
    ...fullView(contact),
    additionalEmails: [],
    additionalPhones: [],
    searchAfter,
  }));
  return { status: 200, body: { contacts: views, total, traceId: randomUUID() } };
}

/** `GET /contacts/search/duplicate` (FACTS §2.3). @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function searchDuplicate(ghl, call) {
  const { location, index } = ofLocation(ghl, call.query.get('locationId') ?? '');
  const email = call.query.get('email');
  const phone = call.query.get('number');
  const match = matching(location, index, { email, phone });
  const contact = match && ghl.state.contacts.get(match.contactId);
  return { status: 200, body: { contact: contact ? fullView(contact) : null, traceId: randomUUID() } };
}

/** @param {Ghl} ghl @param {string} locationId */
function ofLocation(ghl, locationId) {
  const location = /** @type {Location} */ (ghl.state.locations.get(locationId));
  const index = /** @type {LocationIndex} */ (ghl.index.locations.get(locationId));
  return { location, index };
}

/** The gate has seen that it is the token's location. @param {Ghl} ghl @param {Call} call */
function locationOf(ghl, call) {
  return ofLocation(ghl, String(call.body.locationId));
}

/** @param {Ghl} ghl @param {Call} call @returns {Contact} */
function contactOf(ghl, call) {
  const contact = ghl.state.contacts.get(call.params.contactId);
  if (!contact) throw unknownId('Contact', call.params.contactId);
  if (contact.locationId !== call.access.locationId) throw otherTenant();
  return contact;
}

/**
 * @typedef {object} Fields what a body writes; what is left out stays
 * @property {string | null} [firstName]
 * @property {string | null} [lastName]
 * @property {string | null} [email]
 * @property {string | null} [phone]
 * @property {string[]} [tags] replaces all (FACTS §2.2)
 * @property {{ id: string, value: unknown }[]} [customFields]
 * @property {string} [source]
 * @property {boolean} [dnd]
 * @property {Record<string, unknown>} [rest]
 */

/** @param {Ghl} ghl @param {string} locationId @param {Record<string, unknown>} body @returns {Fields} */
function fieldsOf(ghl, locationId, body) {
  // `gender` is documented and ignored (FACTS §2.1).
  const { locationId: _, gender: __, name, ...given } = body;
  /** @type {Record<string, unknown>} */
  const fields = {};
  /** @type {Record<string, unknown>} */
  const rest = {};
  for (const [key, value] of Object.entries(given)) {
    if (key === 'customFields') fields.customFields = customFieldsOf(ghl, locationId, value);
    else if (key === 'tags') fields.tags = tagsOf(value);
    else if (OWN.has(key)) fields[key] = value === '' ? null : value;
    else rest[key] = value;
  }
  if (typeof name === 'string' && given.firstName === undefined && given.lastName === undefined) {
    const [first, ...others] = name.trim().split(/\s+/);
    fields.firstName = first || null;
    fields.lastName = others.join(' ') || null;
  }
  if (Object.keys(rest).length) fields.rest = rest;
  return fields;
}

const OWN = new Set(['firstName', 'lastName', 'email', 'phone', 'source', 'dnd']);

/** @param {unknown} tags @returns {string[]} */
function tagsOf(tags) {
  return [...new Set(/** @type {string[]} */ (tags ?? []))];
}

/**
 * Written `field_value`, by id or key (FACTS §2.6); read `value`.
 * @param {Ghl} ghl
 * @param {string} locationId
 * @param {unknown} written
 */
function customFieldsOf(ghl, locationId, written) {
  const list = /** @type {{ id?: string, key?: string, field_value?: unknown }[]} */ (written ?? []);
  return list.map(({ id, key, field_value }) => {
    const field = id ? ghl.state.customFields.get(id) : fieldByKey(ghl, locationId, key ?? '');
    if (!field || field.locationId !== locationId) {
      throw unprocessable([`customFields: no field has the id ${id ?? key}`]);
    }
    return { id: field.id, value: field_value };
  });
}

/** @param {Ghl} ghl @param {string} locationId @param {string} key with or without `contact.` */
function fieldByKey(ghl, locationId, key) {
  const fieldKey = key.startsWith('contact.') ? key : `contact.${key}`;
  return [...ghl.state.customFields.values()].find(
    (field) => field.locationId === locationId && field.fieldKey === fieldKey,
  );
}

/** @param {Ghl} ghl @param {string} locationId @returns {Contact} */
function blank(ghl, locationId) {
  const dateAdded = new Date(ghl.now()).toISOString();
  return {
    id: ghl.id('con'),
    locationId,
    firstName: null,
    lastName: null,
    email: null,
    phone: null,
    tags: [],
    customFields: [],
    type: 'lead',
    dnd: false,
    dateAdded,
    dateUpdated: dateAdded,
    rest: {},
  };
}

/**
 * @param {Ghl} ghl
 * @param {Contact | undefined} old
 * @param {Contact} base
 * @param {Fields} fields
 * @param {Call} call
 */
function store(ghl, old, base, { customFields = [], rest, ...fields }, call) {
  const written = new Set(customFields.map(({ id }) => id));
  /** @type {Contact} */
  const contact = {
    ...base,
    ...fields,
    customFields: [...base.customFields.filter(({ id }) => !written.has(id)), ...customFields],
    rest: rest ? { ...base.rest, ...rest } : base.rest,
    dateUpdated: new Date(ghl.now()).toISOString(),
  };
  put(ghl, old, contact);
  if (ghl.options.emitContactWebhooks) {
    const type = old ? 'ContactUpdate' : 'ContactCreate';
    call.after.push(() => emit(ghl, type, contactEvent(contact)));
  }
  return contact;
}

/** @param {Ghl} ghl @param {Contact} known @param {string[]} tags @param {Call} call */
function tag(ghl, known, tags, call) {
  const contact = { ...known, tags, dateUpdated: new Date(ghl.now()).toISOString() };
  put(ghl, known, contact);
  if (ghl.options.emitContactWebhooks) {
    call.after.push(() => emit(ghl, 'ContactTagUpdate', contactEvent(contact)));
  }
  return contact;
}

/** @param {Ghl} ghl @param {Contact | undefined} old @param {Contact} contact */
function put(ghl, old, contact) {
  const { index } = ofLocation(ghl, contact.locationId);
  if (old) unindex(index, old);
  if (contact.email) addTo(index.email, contact.email.toLowerCase(), contact.id);
  if (contact.phone) addTo(index.phone, contact.phone, contact.id);
  ghl.state.contacts.set(contact.id, contact);
  index.search.wrote(ghl.now(), contact.id, contact);
}

/** @param {LocationIndex} index @param {Contact} contact */
function unindex(index, contact) {
  if (contact.email) removeFrom(index.email, contact.email.toLowerCase(), contact.id);
  if (contact.phone) removeFrom(index.phone, contact.phone, contact.id);
}

/**
 * By e-mail and phone in the location's order (FACTS §2.2).
 * @param {Location} location
 * @param {LocationIndex} index
 * @param {Fields} fields
 */
function matching(location, index, fields) {
  for (const field of location.settings.contactUniqueIdentifiers) {
    const ids = owners(index, field, fields);
    const contactId = ids?.values().next().value;
    if (contactId) return { field, contactId };
  }
  return undefined;
}

/** @param {LocationIndex} index @param {'email' | 'phone'} field @param {Fields} fields */
function owners(index, field, fields) {
  const value = fields[field];
  if (!value) return undefined;
  return field === 'email' ? index.email.get(value.toLowerCase()) : index.phone.get(value);
}

/** @param {LocationIndex} index @param {'email' | 'phone'} field @param {Fields} fields @param {string} id */
function ownedByOther(index, field, fields, id) {
  const ids = owners(index, field, fields);
  return ids !== undefined && !ids.has(id);
}

/**
 * @param {Ghl} ghl
 * @param {Location} location
 * @param {LocationIndex} index
 * @param {Fields} fields
 * @param {string} [self]
 */
function refuseDuplicate(ghl, location, index, fields, self) {
  for (const field of location.settings.contactUniqueIdentifiers) {
    const ids = owners(index, field, fields);
    const other = ids && [...ids].find((id) => id !== self);
    if (!other) continue;
    const contact = ghl.state.contacts.get(other);
    const contactName = [contact?.firstName, contact?.lastName].filter(Boolean).join(' ');
    throw badRequest('This location does not allow duplicated contacts.', {
      meta: { contactId: other, contactName, matchingField: field },
    });
  }
}

/** What create answers. @param {Contact} contact */
function view({ rest, ...contact }) {
  const full = [contact.firstName, contact.lastName].filter(Boolean).join(' ');
  return {
    ...contact,
    ...rest,
    firstNameLowerCase: contact.firstName?.toLowerCase() ?? null,
    lastNameLowerCase: contact.lastName?.toLowerCase() ?? null,
    fullNameLowerCase: full.toLowerCase() || null,
    emailLowerCase: contact.email?.toLowerCase() ?? null,
    deleted: false,
  };
}

/** What all others answer: `name` is here only (FACTS §2.2). @param {Contact} contact */
function fullView(contact) {
  const name = [contact.firstName, contact.lastName].filter(Boolean).join(' ');
  return { ...view(contact), name: name || null };
}

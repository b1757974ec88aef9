/**
 * `POST /contacts/search` (FACTS §2.4): its own index, a little behind the writes, as the live one is.
 */

import { unprocessable } from './errors.js';

/** @import { Contact } from './state.js' */

/** @typedef {ReturnType<typeof createSearchIndex>} SearchIndex */

/**
 * @typedef {object} Query
 * @property {number} [page]
 * @property {number} pageLimit
 * @property {unknown[]} [searchAfter]
 * @property {unknown[]} [filters]
 * @property {{ field: string, direction: 'asc' | 'desc' }[]} [sort]
 * @property {string} [query]
 */

export function createSearchIndex() {
  /** @type {{ at: number, id: string, contact: Contact | undefined }[]} written, not yet found */
  let late = [];
  /** @type {Map<string, Contact>} */
  const contacts = new Map();
  /** @type {Map<string, Set<string>>} field and value → contact ids, for `eq` */
  const byValue = new Map();

  /** @param {number} until */
  function catchUp(until) {
    let done = 0;
    while (done < late.length && late[done].at <= until) {
      const { id, contact } = late[done];
      done += 1;
      const old = contacts.get(id);
      for (const key of old ? keysOf(old) : []) {
        const ids = byValue.get(key);
        if (ids?.delete(id) && !ids.size) byValue.delete(key);
      }
      if (!contact) contacts.delete(id);
      else {
        contacts.set(id, contact);
        for (const key of keysOf(contact)) {
          const ids = byValue.get(key);
          if (ids) ids.add(id);
          else byValue.set(key, new Set([id]));
        }
      }
    }
    if (done) late = late.slice(done);
  }

  return {
    /** @param {number} at @param {string} id @param {Contact | undefined} contact undefined: deleted */
    wrote(at, id, contact) {
      late.push({ at, id, contact });
    },

    /**
     * @param {Query} query
     * @param {number} until writes after this are not found yet
     * @returns {{ contacts: (Contact & { searchAfter: unknown[] })[], total: number }}
     */
    search(query, until) {
      catchUp(until);
      const filter = parseGroup({ group: 'AND', filters: query.filters ?? [] });
      const needle = query.query?.toLowerCase();
      if (needle && needle.length > 75) throw unprocessable(['query must be at most 75 characters']);
      const sort = parseSort(query.sort);

      const found = [];
      for (const contact of candidates(filter)) {
        if (!filter.test(contact)) continue;
        if (needle && !SEARCHABLE.some((field) => contains(readField(contact, field), needle))) continue;
        found.push({ ...contact, searchAfter: sort.key(contact) });
      }
      found.sort((a, b) => sort.compare(a.searchAfter, b.searchAfter));
      return { contacts: page(found, query, sort.compare), total: found.length };
    },
  };

  /**
   * An equality on an indexed field that must hold spares the walk over all contacts.
   * @param {Filter} filter
   */
  function candidates(filter) {
    if (filter.key === undefined) return contacts.values();
    const ids = byValue.get(filter.key) ?? new Set();
    return [...ids].map((id) => /** @type {Contact} */ (contacts.get(id)));
  }
}

const SEARCHABLE = ['contactName', 'email', 'phone', 'companyName'];

/**
 * @template {{ searchAfter: unknown[] }} Found
 * @param {Found[]} found
 * @param {Query} query
 * @param {(a: unknown[], b: unknown[]) => number} compare
 */
function page(found, { page: number, pageLimit, searchAfter }, compare) {
  if (pageLimit < 1 || pageLimit > 500) throw unprocessable(['pageLimit must be between 1 and 500']);
  if (searchAfter) {
    if (number !== undefined) throw unprocessable(['page must be left out with searchAfter']);
    const start = found.findIndex((contact) => compare(contact.searchAfter, searchAfter) > 0);
    return start < 0 ? [] : found.slice(start, start + pageLimit);
  }
  const end = (number ?? 1) * pageLimit;
  if (end > 10_000) throw unprocessable(['page reaches the first 10000 records only']);
  return found.slice(end - pageLimit, end);
}

/** @param {Query['sort']} sort */
function parseSort(sort) {
  const orders = sort?.length ? sort : [{ field: 'dateAdded', direction: 'desc' }];
  if (orders.length > 2) throw unprocessable(['sort must contain no more than 2 elements']);
  for (const { field } of orders) {
    if (!SORTABLE.has(field)) throw unprocessable([`sort field ${field} is not supported`]);
  }
  const signs = [...orders.map(({ direction }) => (direction === 'asc' ? 1 : -1)), 1];
  return {
    /** @param {Contact} contact @returns {unknown[]} */
    key: (contact) => [
      ...orders.map(({ field }) => {
        const value = readField(contact, field);
        return field.startsWith('date') ? Date.parse(String(value)) : (value ?? '');
      }),
      contact.id,
    ],
    /** @param {unknown[]} a @param {unknown[]} b */
    compare: (a, b) => {
      for (const [i, sign] of signs.entries()) {
        const [x, y] = [/** @type {any} */ (a[i]), /** @type {any} */ (b[i])];
        if (x !== y) return x < y ? -sign : sign;
      }
      return 0;
    },
  };
}

const SORTABLE = new Set([
  'firstNameLowerCase',
  'lastNameLowerCase',
  'businessName',
  'dateAdded',
  'dateUpdated',
  'email',
  'dnd',
  'source',
]);

/** @typedef {{ test: (contact: Contact) => boolean, key?: string }} Filter `key`: its entry in the index */

/** @param {unknown} raw @returns {Filter} */
function parseFilter(raw) {
  const filter = /** @type {Record<string, unknown>} */ (raw ?? {});
  return filter.group !== undefined ? parseGroup(filter) : parseCondition(filter);
}

/** @param {Record<string, unknown>} group @returns {Filter} */
function parseGroup({ group, filters }) {
  if (group !== 'AND' && group !== 'OR') throw unprocessable(['group must be AND or OR']);
  if (!Array.isArray(filters)) throw unprocessable(['filters must be an array']);
  const parts = filters.map(parseFilter);
  if (group === 'AND') {
    const key = parts.find((part) => part.key !== undefined)?.key;
    return { key, test: (contact) => parts.every((part) => part.test(contact)) };
  }
  const only = parts.length === 1 ? parts[0].key : undefined;
  return { key: only, test: (contact) => parts.some((part) => part.test(contact)) };
}

/** @param {Record<string, unknown>} condition @returns {Filter} */
function parseCondition({ field, operator, value }) {
  if (typeof field !== 'string') throw unprocessable(['filters.field must be a string']);
  const custom = field.startsWith('customFields.');
  if (!custom && !FIELDS.has(field)) throw unprocessable([`filter field ${field} is not supported`]);
  if (typeof operator !== 'string' || !OPERATORS.has(operator)) {
    throw unprocessable([`filter operator ${operator} is not supported`]);
  }
  if (typeof value === 'string' && value.length > 75) {
    throw unprocessable([`filter value of ${field} must be at most 75 characters`]);
  }
  if (NO_CONTAINS.has(field) && operator.endsWith('contains')) {
    throw unprocessable([`filter operator ${operator} is not supported for ${field}`]);
  }
  const wanted = normal(field, value);
  /** @param {unknown} actual */
  const equals = (actual) => (Array.isArray(actual) ? actual.includes(wanted) : normal(field, actual) === wanted);
  /** @param {Contact} contact */
  const actual = (contact) => readField(contact, field);
  switch (operator) {
    case 'eq':
      return {
        key: custom || INDEXED.has(field) ? keyOf(field, wanted) : undefined,
        test: (contact) => equals(actual(contact)),
      };
    case 'not_eq':
      return { test: (contact) => !equals(actual(contact)) };
    case 'contains':
      return { test: (contact) => contains(actual(contact), String(value).toLowerCase()) };
    case 'not_contains':
      return { test: (contact) => !contains(actual(contact), String(value).toLowerCase()) };
    case 'exists':
      return { test: (contact) => !isEmpty(actual(contact)) };
    case 'not_exists':
      return { test: (contact) => isEmpty(actual(contact)) };
    default: {
      const { gt, gte, lt, lte } = /** @type {Record<string, any>} */ (value ?? {});
      return {
        test: (contact) => {
          const number = toNumber(actual(contact));
          return (
            (gt === undefined || number > toNumber(gt)) &&
            (gte === undefined || number >= toNumber(gte)) &&
            (lt === undefined || number < toNumber(lt)) &&
            (lte === undefined || number <= toNumber(lte))
          );
        },
      };
    }
  }
}

const OPERATORS = new Set(['eq', 'not_eq', 'contains', 'not_contains', 'exists', 'not_exists', 'range']);
const NO_CONTAINS = new Set(['email', 'website', 'id']);
const INDEXED = new Set(['id', 'email', 'phone']);
const FIELDS = new Set(
  (
    'id contactName firstNameLowerCase lastNameLowerCase email website phone tags source type dnd ' +
    'assignedTo followers address city state postalCode country timezone companyName businessName ' +
    'validEmail isValidWhatsapp activeWorkflows finishedWorkflows dateAdded dateUpdated ' +
    'dateOfBirth lastAppointment lastEmailClickedDate lastEmailOpenedDate'
  ).split(' '),
);

/** @param {Contact} contact */
function keysOf(contact) {
  const keys = contact.customFields.map(({ id, value }) => keyOf(`customFields.${id}`, value));
  for (const field of INDEXED) {
    const value = readField(contact, field);
    if (!isEmpty(value)) keys.push(keyOf(field, normal(field, value)));
  }
  return keys;
}

/** @param {string} field @param {unknown} value */
function keyOf(field, value) {
  return `${field}\n${value}`;
}

/** @param {string} field @param {unknown} value */
function normal(field, value) {
  return field === 'email' && typeof value === 'string' ? value.toLowerCase() : value;
}

/** @param {Contact} contact @param {string} field @returns {unknown} */
function readField(contact, field) {
  if (field.startsWith('customFields.')) {
    const id = field.slice('customFields.'.length);
    return contact.customFields.find((custom) => custom.id === id)?.value;
  }
  switch (field) {
    case 'contactName':
      return [contact.firstName, contact.lastName].filter(Boolean).join(' ').toLowerCase();
    case 'firstNameLowerCase':
      return contact.firstName?.toLowerCase();
    case 'lastNameLowerCase':
      return contact.lastName?.toLowerCase();
    case 'email':
      return contact.email?.toLowerCase();
    case 'address':
      return contact.rest.address1;
    default:
      return /** @type {Record<string, unknown>} */ (contact)[field] ?? contact.rest[field];
  }
}

/** @param {unknown} actual @param {string} needle lower case */
function contains(actual, needle) {
  const values = Array.isArray(actual) ? actual : [actual];
  return values.some((value) => value != null && String(value).toLowerCase().includes(needle));
}

/** @param {unknown} value */
function isEmpty(value) {
  return value === undefined || value === null || value === '';
}

/** @param {unknown} value */
function toNumber(value) {
  if (typeof value === 'number') return value;
  const number = Number(value);
  return Number.isNaN(number) ? Date.parse(String(value)) : number;
}

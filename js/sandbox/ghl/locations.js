/**
 * A location's settings and its custom fields (FACTS §2.2, §2.6).
 */

import { randomUUID } from 'node:crypto';
import { badRequest } from './errors.js';

/** @import { Answer } from '../http.js' */
/** @import { Call } from './server.js' */
/** @import { CustomField, Location } from './state.js' */
/** @import { Ghl } from './world.js' */

/** `GET /locations/{locationId}`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function get(ghl, { params }) {
  const location = /** @type {Location} */ (ghl.state.locations.get(params.locationId));
  const { id, companyId, name, settings } = location;
  return {
    status: 200,
    body: {
      location: {
        id,
        companyId,
        name,
        country: 'US',
        timezone: 'America/Chicago',
        settings: {
          allowDuplicateContact: settings.allowDuplicateContact,
          allowDuplicateOpportunity: false,
          allowFacebookNameMerge: false,
          disableContactTimezone: false,
        },
      },
      traceId: randomUUID(),
    },
  };
}

/** `GET /locations/{locationId}/customFields`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function customFields(ghl, { params, query }) {
  const model = query.get('model') ?? 'contact';
  const found = [...ghl.state.customFields.values()].filter(
    (field) => field.locationId === params.locationId && (model === 'all' || field.model === model),
  );
  return { status: 200, body: { customFields: found, traceId: randomUUID() } };
}

/** `POST /locations/{locationId}/customFields`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function createCustomField(ghl, { params, body }) {
  const { locationId } = params;
  const { name, dataType, placeholder = '', position = 0, model = 'contact' } = body;
  const word = String(name).trim().toLowerCase();
  const fieldKey = `${model}.${word.replace(/[^a-z0-9]+/g, '_')}`;
  for (const field of ghl.state.customFields.values()) {
    if (field.locationId === locationId && field.fieldKey === fieldKey) {
      throw badRequest(`A custom field with the key ${fieldKey} already exists`);
    }
  }
  const id = ghl.id('cf');
  const field = /** @type {CustomField} */ ({
    id,
    locationId,
    name,
    fieldKey,
    placeholder,
    dataType,
    position,
    model,
    picklistOptions: [],
  });
  ghl.state.customFields.set(id, field);
  return { status: 201, body: { customField: field, traceId: randomUUID() } };
}

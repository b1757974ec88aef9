/**
 * GHL's validation: the messages of class-validator, all of them at once, and no key it does not know (FACTS §3.3, §5).
 */

/** @import { Schema } from './schemas.js' */

/**
 * @param {Schema} schema
 * @param {unknown} value
 * @param {{ ignoreUnknown?: boolean }} [options]
 * @returns {string[]} what is wrong, in GHL's words
 */
export function problems(schema, value, { ignoreUnknown = false } = {}) {
  /** @type {string[]} */
  const found = [];
  checkObject(schema, value ?? {}, '', ignoreUnknown, found);
  return found;
}

/**
 * @param {Schema} schema
 * @param {unknown} value
 * @param {string} prefix
 * @param {boolean} ignoreUnknown
 * @param {string[]} found
 */
function checkObject(schema, value, prefix, ignoreUnknown, found) {
  const properties = schema.properties;
  if (!properties) return;
  const object = /** @type {Record<string, unknown>} */ (value);
  for (const key of Object.keys(object)) {
    const known = Object.hasOwn(properties, key);
    if (known) check(properties[key], object[key], prefix + key, found);
    else if (!ignoreUnknown) found.push(`${prefix}property ${key} should not exist`);
  }
  for (const key of schema.required ?? []) {
    const missing = object[key] === undefined || object[key] === null || object[key] === '';
    if (missing) found.push(`${prefix}${key} should not be empty`);
  }
}

/** @param {Schema} schema @param {unknown} value @param {string} name @param {string[]} found */
function check(schema, value, name, found) {
  if (value === undefined || !schema.type) return;
  // class-validator's @IsOptional lets null pass wherever a field may be left out.
  if (value === null) return;
  switch (schema.type) {
    case 'string':
      if (typeof value !== 'string') found.push(`${name} must be a string`);
      else if (schema.enum && !isOneOf(value, schema)) {
        found.push(`${name} must be a valid enum value`);
      } else if (schema.format === 'date-time' && !isIsoDate(value)) {
        found.push(`${name} must be a valid ISO 8601 date string`);
      }
      return;
    case 'number':
      if (typeof value !== 'number' || !Number.isFinite(value)) {
        found.push(`${name} must be a number conforming to the specified constraints`);
      }
      return;
    case 'boolean':
      if (typeof value !== 'boolean') found.push(`${name} must be a boolean value`);
      return;
    case 'array':
      if (!Array.isArray(value)) {
        found.push(`${name} must be an array`);
        return;
      }
      if (schema.items?.type === 'string') {
        if (value.some((item) => typeof item !== 'string')) {
          found.push(`each value in ${name} must be a string`);
        }
        return;
      }
      for (const [i, item] of value.entries()) {
        if (schema.items) check(schema.items, item, `${name}.${i}`, found);
      }
      return;
    case 'object':
      if (typeof value !== 'object' || Array.isArray(value)) {
        found.push(`${name} must be an object`);
      } else checkObject(schema, value, `${name}.`, false, found);
  }
}

/** @param {string} value @param {Schema} schema */
function isOneOf(value, schema) {
  const values = schema.csv ? value.split(',') : [value];
  return values.every((part) => schema.enum?.includes(part));
}

/** @param {string} value */
function isIsoDate(value) {
  return /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/.test(value)
    ? !Number.isNaN(Date.parse(value))
    : false;
}

/**
 * GHL's refusals, word for word where a source has the words (FACTS §1.7, §5). The shapes differ on purpose: the
 * live ones do.
 */

import { randomUUID } from 'node:crypto';

/** @import { Answer } from '../http.js' */

export class Refusal extends Error {
  /** @param {number} status @param {Record<string, unknown>} body */
  constructor(status, body) {
    super(String(body.message ?? body.error_description ?? status));
    this.status = status;
    this.body = body;
  }

  /** @returns {Answer} */
  answer() {
    return { status: this.status, body: this.body };
  }
}

/** @param {string} message @param {Record<string, unknown>} [more] */
export function badRequest(message, more = {}) {
  return new Refusal(400, { statusCode: 400, message, ...more });
}

/** @param {string} message */
export function unauthorized(message) {
  return new Refusal(401, { statusCode: 401, message, error: 'Unauthorized' });
}

/** @param {string} message */
export function forbidden(message) {
  return new Refusal(403, { statusCode: 403, message, error: 'Forbidden' });
}

/** The shape is not sure (FACTS §5). @param {string} message */
export function notFound(message) {
  return new Refusal(404, { statusCode: 404, message, error: 'Not Found' });
}

/** `message` is a list in most cases and a string in some (FACTS §5). @param {string | string[]} message */
export function unprocessable(message) {
  const traceId = randomUUID();
  return new Refusal(422, { statusCode: 422, message, error: 'Unprocessable Entity', traceId });
}

export const invalidToken = () => unauthorized('Invalid token: access token is invalid');
export const otherTenant = () => forbidden('The token does not have access to this location.');
export const serverError = () => new Refusal(500, { statusCode: 500, message: 'Internal server error' });

/** @param {'Contact' | 'Conversation' | 'Message' | 'Location'} what @param {string} id */
export function unknownId(what, id) {
  return notFound(`${what} with id ${id} not found`);
}

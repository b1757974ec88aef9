/**
 * What goes wrong in this package, or what the Worker answers instead of a success.
 */

export class VcxGhlError extends Error {
  name = 'VcxGhlError';
  /** The answer's HTTP status, if there was an answer. @type {number | undefined} */
  status;
  /** Whether the same again may succeed. */
  retryable = false;
  /** The wrong fields, by name. @type {{ field: string, message: string }[]} */
  errors = [];
  /** The message that it is about, where the Worker says so. @type {string | undefined} */
  messageId;

  /**
   * @param {string} code a stable word: the Worker's (see /openapi.json), or one of this package's
   * @param {string} detail a sentence; it is the message, too
   * @param {Partial<Pick<VcxGhlError, 'status' | 'retryable' | 'errors' | 'messageId' | 'cause'>>} [more]
   */
  constructor(code, detail, more) {
    super(detail);
    this.code = code;
    this.detail = detail;
    Object.assign(this, more);
  }
}

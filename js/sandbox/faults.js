/**
 * Faults on demand: the next calls that match are delayed, dropped, or answered with something else, before or after
 * they took effect. "After" is the nasty one: it is stored, and the caller does not know.
 */

/** @import { Answer, Request } from './http.js' */

/**
 * @typedef {object} Match which calls; what is left out matches all
 * @property {string} [method]
 * @property {string | RegExp} [path] a string is the whole path, without the query
 * @property {string} [pathPattern] a regular expression as text, for the HTTP control API
 * @property {Record<string, unknown>} [body] top-level fields that must be equal
 */

/**
 * @typedef {object} FaultSpec
 * @property {Match} [match]
 * @property {number | null} [times] how many calls; default 1; null (or Infinity): until removed
 * @property {number} [skip] let that many matching calls pass first
 * @property {number} [delayMs] wait before the call takes effect
 * @property {number} [answerDelayMs] wait after it took effect, before the answer
 * @property {'before' | 'after'} [drop] cut the connection, before or after it took effect
 * @property {number} [status] answer this instead
 * @property {unknown} [body] with this body: a string is sent as it stands (HTML, or '' for nothing), else JSON
 * @property {Record<string, string>} [headers]
 * @property {'before' | 'after'} [when] whether `status` comes before the call takes effect (default) or after
 */

/**
 * @typedef {object} Effect
 * @property {string} name for the traffic
 * @property {number} [delayMs]
 * @property {number} [answerDelayMs]
 * @property {'before' | 'after'} [drop]
 * @property {Answer} [answer]
 * @property {'before' | 'after'} when
 */

/** @typedef {{ readonly used: number, readonly left: number, remove: () => void }} FaultHandle */

export function createFaults() {
  /** @type {{ spec: FaultSpec, effect: Effect, left: number, skip: number, used: number, pattern?: RegExp }[]} */
  let faults = [];

  return {
    /** @param {FaultSpec} spec @returns {FaultHandle} */
    fail(spec) {
      const path = spec.match?.pathPattern ?? spec.match?.path;
      const pattern = spec.match?.pathPattern ? new RegExp(spec.match.pathPattern) : undefined;
      const fault = {
        spec,
        effect: effectOf(spec),
        left: spec.times === null ? Number.POSITIVE_INFINITY : (spec.times ?? 1),
        skip: spec.skip ?? 0,
        used: 0,
        pattern: path instanceof RegExp ? path : pattern,
      };
      faults.push(fault);
      return {
        get used() {
          return fault.used;
        },
        get left() {
          return fault.left;
        },
        remove() {
          faults = faults.filter((other) => other !== fault);
        },
      };
    },

    /** @param {Request} request @returns {Effect | undefined} */
    take(request) {
      if (!faults.length) return undefined;
      for (const fault of faults) {
        if (fault.left <= 0 || !matches(fault.spec.match, fault.pattern, request)) continue;
        if (fault.skip > 0) {
          fault.skip -= 1;
          continue;
        }
        fault.left -= 1;
        fault.used += 1;
        if (fault.left <= 0) faults = faults.filter((other) => other !== fault);
        return fault.effect;
      }
      return undefined;
    },

    clear() {
      faults = [];
    },
  };
}

/** @typedef {ReturnType<typeof createFaults>} Faults */

/** @param {FaultSpec} spec @returns {Effect} */
function effectOf(spec) {
  const { delayMs, answerDelayMs, drop, status, body, headers, when = 'before' } = spec;
  const words = [];
  if (delayMs) words.push(`delay ${delayMs} ms`);
  if (drop) words.push(`drop ${drop}`);
  /** @type {Answer | undefined} */
  let answer;
  if (status !== undefined || body !== undefined) {
    answer = { status: status ?? 200, headers };
    if (typeof body === 'string') answer.text = body;
    else if (body !== undefined) answer.body = body;
    else answer.body = { statusCode: answer.status, message: 'a fault of the sandbox' };
    words.push(`status ${answer.status}${when === 'after' ? ' after' : ''}`);
  }
  if (answerDelayMs) words.push(`answer delay ${answerDelayMs} ms`);
  return { name: words.join(', ') || 'nothing', delayMs, answerDelayMs, drop, answer, when };
}

/** @param {Match | undefined} match @param {RegExp | undefined} pattern @param {Request} request */
function matches(match, pattern, request) {
  if (!match) return true;
  if (match.method && match.method.toUpperCase() !== request.method) return false;
  if (pattern && !pattern.test(request.path)) return false;
  if (!pattern && match.path !== undefined && match.path !== request.path) return false;
  if (!match.body) return true;
  const body = /** @type {Record<string, unknown>} */ (request.body ?? {});
  return Object.entries(match.body).every(([key, value]) => body[key] === value);
}

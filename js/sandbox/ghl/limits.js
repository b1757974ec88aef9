/**
 * Rate limits (FACTS §5): per app and resource (location or company), a burst window and a day, told in every answer's
 * headers. What a real 429 looks like is not known, so its body is ours.
 */

/** @import { OutgoingHttpHeaders } from 'node:http' */
/** @import { Options } from './options.js' */

/** @typedef {{ windowEnds: number, used: number, dayEnds: number, usedToday: number }} Bucket */

/** @param {{ options: Options, now: () => number }} ghl */
export function createLimits({ options, now }) {
  /** @type {Map<string, Bucket>} */
  const buckets = new Map();

  /**
   * Counts one call.
   * @param {string} resource
   * @returns {{ refused: boolean, headers: OutgoingHttpHeaders }}
   */
  function count(resource) {
    const { max, intervalMs, daily, retryAfter } = options.limits;
    const time = now();
    let bucket = buckets.get(resource);
    if (!bucket) {
      bucket = { windowEnds: 0, used: 0, dayEnds: 0, usedToday: 0 };
      buckets.set(resource, bucket);
    }
    if (time >= bucket.windowEnds) {
      bucket.windowEnds = time + intervalMs;
      bucket.used = 0;
    }
    if (time >= bucket.dayEnds) {
      bucket.dayEnds = time + DAY_MS;
      bucket.usedToday = 0;
    }
    const refused = bucket.used >= max || bucket.usedToday >= daily;
    if (!refused) {
      bucket.used += 1;
      bucket.usedToday += 1;
    }
    /** @type {OutgoingHttpHeaders} */
    const headers = {
      'X-RateLimit-Limit-Daily': String(daily),
      'X-RateLimit-Daily-Remaining': String(Math.max(0, daily - bucket.usedToday)),
      'X-RateLimit-Interval-Milliseconds': String(intervalMs),
      'X-RateLimit-Max': String(max),
      'X-RateLimit-Remaining': String(Math.max(0, max - bucket.used)),
    };
    if (refused && retryAfter) {
      const ends = bucket.usedToday >= daily ? bucket.dayEnds : bucket.windowEnds;
      headers['Retry-After'] = String(Math.ceil((ends - time) / 1000));
    }
    return { refused, headers };
  }

  return { count, reset: () => buckets.clear() };
}

/** @typedef {ReturnType<typeof createLimits>} Limits */

const DAY_MS = 86_400_000;

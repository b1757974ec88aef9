/**
 * Every call the sandbox took and every webhook it sent, in the order they began. Tests wait on it and the demo's
 * transcript is made of it, so it must be safe to print: tokens, secrets, codes and signatures never get in.
 */

/**
 * @typedef {object} Entry
 * @property {number} n counts from 1; 0 is not kept
 * @property {number} at milliseconds, when it began
 * @property {'ghl' | 'vcx' | 'worker' | ''} to who was called
 * @property {string} method
 * @property {string} path with the query
 * @property {number | null} status null while unanswered, 0 when there never was an answer
 * @property {unknown} requestBody
 * @property {unknown} responseBody
 * @property {number} ms
 * @property {string} [fault] the fault that hit it
 * @property {string} [kind] of calls to the Worker: `delivery`, an app webhook's type, `raw` (sendWebhook), `vcx` (vCX
 *   called it), `browser` (an admin's, in walkInstall) or `page` (the page asked how the location is)
 * @property {number} [attempt] of a webhook, from 1
 * @property {string} [error] why there was no answer
 */

/**
 * @typedef {object} WaitOptions
 * @property {number} [timeoutMs] default 5000
 * @property {string} [what] ends the sentence "waited 5000 ms for …"
 * @property {number} [after] ignore entries up to this number
 */

/**
 * @param {{ now: () => number, limit?: number }} options `limit`: how many entries are kept
 */
export function createTraffic({ now, limit = 20_000 }) {
  /** @type {Entry[]} */
  const entries = [];
  /** @type {Set<(entry: Entry) => void>} */
  const listeners = new Set();
  /** @type {Set<(reason: Error) => void>} */
  const waiting = new Set();
  /** @type {WeakMap<Entry, number>} */
  const began = new WeakMap();
  let count = 0;

  /** @param {Entry} entry */
  function tell(entry) {
    for (const listener of [...listeners]) listener(entry);
  }

  return {
    entries,

    /**
     * @param {Pick<Entry, 'to' | 'method' | 'path' | 'requestBody'> & Partial<Entry>} part
     * @returns {Entry}
     */
    open(part) {
      count += 1;
      /** @type {Entry} */
      const entry = {
        status: null,
        responseBody: undefined,
        ms: 0,
        ...part,
        n: count,
        at: now(),
        path: redactUrl(part.path),
        requestBody: redact(part.requestBody, secretKeys(part.path)),
      };
      began.set(entry, performance.now());
      entries.push(entry);
      if (entries.length > limit * 1.1) entries.splice(0, entries.length - limit);
      tell(entry);
      return entry;
    },

    /** @param {Entry} entry @param {number} status @param {unknown} responseBody @param {string} [error] */
    close(entry, status, responseBody, error) {
      entry.status = status;
      entry.responseBody = redact(responseBody, secretKeys(entry.path));
      entry.ms = Math.round((performance.now() - (began.get(entry) ?? 0)) * 10) / 10;
      if (error) entry.error = error;
      tell(entry);
    },

    /** Something changed that is no call: a test may be waiting for it. */
    changed() {
      if (listeners.size) tell(blank(now()));
    },

    /** A call that is not worth keeping; who listens hears of it, without a number. @param {Partial<Entry>} part */
    mention(part) {
      if (listeners.size) tell({ ...blank(now()), ...part });
    },

    /**
     * Looks at every entry there is and every one to come, until the predicate is true. It may look at the entry, at
     * the second argument (the sandbox), or at both; before any traffic it gets a blank entry (`n: 0`).
     * @template Context, Found
     * @param {Context} context
     * @param {(entry: Entry, context: Context) => Found} predicate
     * @param {WaitOptions} [options]
     * @returns {Promise<Found extends boolean ? Entry : NonNullable<Found>>} the entry, or what the predicate returned if that
     *   is more than `true`
     */
    waitFor(context, predicate, { timeoutMs = 5000, what = 'something', after = 0 } = {}) {
      return new Promise((resolve, reject) => {
        /** @param {() => void} settle */
        function done(settle) {
          clearTimeout(timer);
          listeners.delete(look);
          waiting.delete(give);
          settle();
        }
        /** @param {Error} reason */
        function give(reason) {
          done(() => reject(reason));
        }
        /** @param {Entry} entry */
        function look(entry) {
          if (entry.n && entry.n <= after) return false;
          try {
            const found = predicate(entry, context);
            if (!found) return false;
            done(() => resolve(/** @type {any} */ (found === true ? entry : found)));
          } catch (error) {
            done(() => reject(error));
          }
          return true;
        }
        const timer = setTimeout(() => {
          give(new Error(`waited ${timeoutMs} ms for ${what}; it did not happen.${tail(entries)}`));
        }, timeoutMs);
        waiting.add(give);
        listeners.add(look);
        if (look(blank(now()))) return;
        for (const entry of [...entries]) if (look(entry)) return;
      });
    },

    abandon() {
      for (const give of [...waiting]) give(new Error('the sandbox was closed while waiting'));
    },

    /** @param {(entry: Entry) => void} listener @returns {() => void} stops listening */
    on(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** @typedef {ReturnType<typeof createTraffic>} Traffic */

/**
 * One line for people.
 * @param {Entry} entry
 */
export function line(entry) {
  const { n, to, method, path, status, ms, kind, attempt, fault, error } = entry;
  const extra = [kind, attempt && attempt > 1 ? `attempt ${attempt}` : '', fault ? `fault: ${fault}` : '', error ?? ''];
  const note = extra.filter(Boolean).join(', ');
  const outcome = status === null ? '…' : status === 0 ? 'no answer' : `${status} (${ms} ms)`;
  return `${String(n).padStart(4)} → ${to.padEnd(6)} ${method} ${path} ${outcome}${note && ` [${note}]`}`;
}

/** @param {number} at @returns {Entry} */
function blank(at) {
  const nothing = { requestBody: undefined, responseBody: undefined };
  return { n: 0, at, to: '', method: '', path: '', status: 0, ms: 0, ...nothing };
}

/** @param {Entry[]} entries */
function tail(entries) {
  if (!entries.length) return ' There was no traffic at all.';
  return ` The last calls were:\n${entries.slice(-6).map(line).join('\n')}`;
}

const SECRETS = new Set([
  'access_token',
  'accessToken',
  'refresh_token',
  'refreshToken',
  'refreshTokenId',
  'client_secret',
  'clientSecret',
  'authorizationCode',
  'authorization',
  'token',
]);
// `code` is a secret in OAuth and an error's name everywhere else.
const OAUTH_SECRETS = new Set([...SECRETS, 'code']);

/** @param {string} path */
function secretKeys(path) {
  return path.startsWith('/oauth/') ? OAUTH_SECRETS : SECRETS;
}

/**
 * The same value without its secrets; the value itself when it had none.
 * @param {unknown} value
 * @param {Set<string>} keys
 * @returns {unknown}
 */
function redact(value, keys) {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  /** @type {any} */
  let copy;
  for (const [key, child] of Object.entries(value)) {
    const clean =
      keys.has(key) && typeof child === 'string'
        ? '[redacted]'
        : typeof child === 'object'
          ? redact(child, keys)
          : child;
    if (clean === child) continue;
    copy ??= Array.isArray(value) ? [...value] : { ...value };
    copy[key] = clean;
  }
  return copy ?? value;
}

/** Pages and other bodies that are not JSON. @param {string} text */
function redactText(text) {
  const short = text.length > 4000 ? `${text.slice(0, 4000)}…` : text;
  return redactUrl(short).replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, '[redacted]');
}

/** @param {string} url */
function redactUrl(url) {
  if (!url.includes('=')) return url;
  const secret = /\b((?:code|state|token|access_token|refresh_token|client_secret)=)[^&"'\s]+/g;
  return url.replace(secret, '$1[redacted]');
}

/**
 * How a recorded call is called: who made it to whom, its path in short, and what tells it apart from others of that path.
 */

/** @import { Entry } from './traffic.js' */

/** Who called whom. @param {Pick<Entry, 'to' | 'kind' | 'path'>} entry @returns {[string, string]} */
export function parties({ to, kind, path }) {
  if (to === 'worker') return [CALLERS[kind ?? ''] ?? 'GHL', 'Worker'];
  if (to === 'vcx') return [path === '/session' ? 'Browser' : 'Worker', 'vCX'];
  return [path.startsWith('/v2/oauth/') ? 'Browser' : 'Worker', 'GHL'];
}

/** The path without its query, with long ids shortened. @param {Pick<Entry, 'path'>} entry */
export function shortPath({ path }) {
  return path
    .split('?')[0]
    .replace(/(?<=\/)[^/]*\d[^/]*/g, (id) => (id.length > 12 ? `${id.slice(0, 3)}…${id.slice(-4)}` : id));
}

/** A webhook's kind, an event's type; '' where the path says it all. @param {Pick<Entry, 'to' | 'kind' | 'requestBody'>} entry */
export function noteOf({ to, kind, requestBody }) {
  if (to === 'worker') return kind && !(kind in CALLERS) ? kind : '';
  const { type } = /** @type {Record<string, any>} */ (requestBody ?? {});
  return to === 'vcx' && typeof type === 'string' ? type : '';
}

/** No answer, or a refusal; a call under way is neither good nor bad. @param {Pick<Entry, 'status'>} entry */
export const isBad = ({ status }) => status !== null && (status < 200 || status >= 400);

/** @type {Record<string, string>} by the kind of a call to the Worker; all others are GHL's webhooks */
const CALLERS = { browser: 'Browser', vcx: 'vCX', page: 'vCX', you: 'You' };

/**
 * Walks the install flow as an admin's browser does, cookies included.
 */

/** @import { Client, Reply } from './http.js' */
/** @import { Traffic } from './traffic.js' */

/**
 * @typedef {object} Walk
 * @property {string} [locationId] choose this location
 * @property {string} [companyId] or this agency, with all its locations
 * @property {boolean} [future] of an agency: its later locations, too
 * @property {boolean} [deny] refuse instead
 * @property {string} [ref] vCX's account, for `/install?ref=`
 */

/**
 * @typedef {object} Walked
 * @property {number} status of the Worker's callback
 * @property {string} text its page
 * @property {string} location where GHL sent the browser; holds the code
 */

/**
 * @param {Walk & { workerUrl: string, client: Client, traffic: Traffic }} walk
 * @returns {Promise<Walked>}
 */
export async function walkInstall({ locationId, companyId, future, deny, ref, workerUrl, client, traffic }) {
  if (!workerUrl) throw new Error('the sandbox does not know the Worker: set workerUrl');
  const start = `/install${ref ? `?ref=${encodeURIComponent(ref)}` : ''}`;
  const install = await browse(workerUrl + start);
  const chooser = new URL(redirected(install, `GET ${start}`));
  if (deny) chooser.searchParams.set('deny', '1');
  else {
    if (locationId) chooser.searchParams.set('location_id', locationId);
    if (companyId) chooser.searchParams.set('company_id', companyId);
    if (future) chooser.searchParams.set('future', '1');
    chooser.searchParams.set('approve', '1');
  }
  // GHL's own server records this one.
  const chosen = await client.call(chooser.href);
  const location = redirected(chosen, 'GHL’s install page');
  const cookies = (install.headers['set-cookie'] ?? []).map((cookie) => cookie.split(';')[0]);
  const callback = await browse(location, cookies.length ? { cookie: cookies.join('; ') } : {});
  return { status: callback.status, text: callback.text, location };

  /** @param {string} url @param {Record<string, string>} [headers] */
  async function browse(url, headers = {}) {
    const { pathname, search } = new URL(url);
    const part = { to: /** @type {const} */ ('worker'), method: 'GET', path: pathname + search };
    const entry = traffic.open({ ...part, requestBody: undefined, kind: 'browser' });
    const reply = await client.call(url, { headers });
    traffic.close(entry, reply.status, reply.text || undefined, reply.error);
    return reply;
  }
}

/** @param {Reply} reply @param {string} what */
function redirected(reply, what) {
  const { location } = reply.headers;
  if (reply.status >= 300 && reply.status < 400 && location) return location;
  const said = reply.error ?? reply.text.slice(0, 300);
  throw new Error(`${what} answered ${reply.status} and no redirect: ${said}`);
}

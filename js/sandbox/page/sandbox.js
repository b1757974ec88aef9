/** The sandbox's levers, as this page uses them. */

/** @import { News } from '../watch.js' */
/** @import { Inbox } from '../ghl/inbox.js' */

const { ghl = '', worker = '', location: locationId = '' } = document.documentElement.dataset;

export { locationId, worker };

/** @param {string} [contactId] @returns {Promise<Inbox>} */
export const inbox = (contactId = '') => lever(`/inbox?${new URLSearchParams({ locationId, contactId })}`);

/** How the location is: what `GET /locations/{id}` of the Worker says, or `{ error }`. @returns {Promise<any>} */
export const health = () => lever(`/health?${new URLSearchParams({ locationId })}`);

/** @param {string} contactId @param {string} message */
export const reply = (contactId, message) => lever('/reply', { contactId, message });

/** @param {string} contactId */
export const read = (contactId) => lever('/read', { contactId });

/** @param {string} name @param {boolean} isIn */
export const plug = (name, isIn) => lever('/plug', { name, in: isIn });

/**
 * What goes on, as it happens; connects again by itself.
 * @param {(news: News) => void} onNews
 * @param {(isUp: boolean) => void} onLink
 */
export function listen(onNews, onLink) {
  const source = new EventSource(`${ghl}/_sandbox/stream`);
  source.onmessage = ({ data }) => onNews(JSON.parse(data));
  source.onopen = () => onLink(true);
  source.onerror = () => onLink(false);
}

/** The location of the sandbox that is there now: another one may have taken the place of the first. @returns {Promise<string>} */
export const locationNow = async () => (await lever('')).locationId;

/** @param {string} path @param {unknown} [body] */
async function lever(path, body) {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`${ghl}/_sandbox${path}`, init);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? answer.message);
  return answer;
}

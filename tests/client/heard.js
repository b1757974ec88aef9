/**
 * For tests with a real Worker: waits for what a client hears.
 */

/** @import { Client, ClientEvent } from '../../js/client.js' */

/**
 * The next event that fits.
 * @template {ClientEvent['type']} Type
 * @param {Client} client
 * @param {Type} type
 * @param {(event: Extract<ClientEvent, { type: Type }>) => boolean} [fits]
 * @param {number} [timeoutMs]
 * @returns {Promise<Extract<ClientEvent, { type: Type }>>}
 */
export function heard(client, type, fits = () => true, timeoutMs = 10_000) {
  return new Promise((resolve, reject) => {
    const stop = client.on(type, (event) => {
      if (!fits(event)) return;
      clearTimeout(timer);
      stop();
      resolve(event);
    });
    const timer = setTimeout(() => {
      stop();
      reject(new Error(`no ${type} fits within ${timeoutMs} ms: ${fits}`));
    }, timeoutMs);
  });
}

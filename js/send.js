/**
 * One HTTP call, as the core describes it.
 */

import { inTime } from './in-time.js';

/**
 * Sends a request and says what became of it. A redirect is not followed: it is an answer.
 * @param {{ method: string, url: string, headers: Record<string, string>, body?: string | null }} request
 * @param {number} timeoutMs for the whole answer, body included
 * @returns {Promise<string | Record<string, any>>} an outcome
 */
export async function send({ method, url, headers, body }, timeoutMs) {
  try {
    return await inTime(timeoutMs, async (signal) => {
      const response = await fetch(url, { method, headers, body: body ?? null, redirect: 'manual', signal });
      return {
        answered: {
          status: response.status,
          headers: Object.fromEntries(response.headers),
          body: await response.text(),
        },
      };
    });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: '', message: String(error) };
    return name === 'TimeoutError' ? 'timedOut' : { dropped: { message } };
  }
}

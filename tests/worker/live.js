/**
 * A live client over a real connection: the protocol as it is on the wire, without the client that the package brings.
 */

import { SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { misfitOf } from './contract.js';

/** @import { Stage } from './stage.js' */

/** @typedef {Record<string, any>} Frame */
/** @typedef {Awaited<ReturnType<typeof listen>>} Live */

/**
 * A visitor's session, as any backend can sign it.
 * @param {Stage} stage
 * @param {string} locationId
 * @param {string} clientId
 * @param {{ conversation?: string, lastsMs?: number, secret?: string }} [options]
 */
export function sessionOf({ sandbox }, locationId, clientId, { conversation, lastsMs = HOUR, secret } = {}) {
  const { SESSION_SECRET } = sandbox.workerVars();
  const expires = (Date.now() + lastsMs) / 1_000;
  return new SignJWT({ loc: locationId, conv: conversation ?? `chat-${clientId}` })
    .setProtectedHeader({ alg: 'HS256' })
    .setAudience('vcx-ghl')
    .setSubject(clientId)
    .setIssuedAt(expires - HOUR / 1_000)
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(secret ?? SESSION_SECRET));
}

/**
 * Connects, and rejects with status and problem when the Worker refuses.
 * @param {Stage} stage
 * @param {string | Promise<string>} session
 * @param {{ after?: number, origin?: string, protocols?: string[] }} [options]
 */
export async function listen(stage, session, { after, origin, protocols } = {}) {
  const url = `${stage.url.replace('http', 'ws')}/events${after === undefined ? '' : `?after=${after}`}`;
  const socket = new WebSocket(url, protocols ?? ['vcx-ghl.v1', `bearer.${await session}`], {
    origin,
    perMessageDeflate: false,
  });
  /** @type {Frame[]} */
  const frames = [];
  /** @type {Set<() => void>} */
  const waiters = new Set();
  /** @type {{ code: number, reason: string } | undefined} */
  let closed;
  let pongs = 0;
  socket.on('message', (data) => {
    if (`${data}` === 'pong') {
      pongs += 1;
    } else {
      const frame = JSON.parse(`${data}`);
      const misfit = misfitOf('Frame', frame);
      if (misfit) throw new Error(misfit);
      const newest = frames.at(-1)?.id ?? -1;
      if (frame.id <= newest) throw new Error(`${data} comes late or twice, after ${newest}`);
      frames.push(frame);
    }
    for (const look of waiters) look();
  });
  socket.on('close', (code, reason) => {
    closed = { code, reason: `${reason}` };
    for (const look of waiters) look();
  });
  socket.on('error', () => {});
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', async (request, response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      const { statusCode: status, headers } = response;
      reject(
        Object.assign(new Error(`${status}`), {
          status,
          headers,
          problem: JSON.parse(Buffer.concat(chunks).toString()),
        }),
      );
      request.destroy();
    });
  });
  // Of a client that has never said anything workerd does not end the connection when it has closed the socket.
  socket.send('ping');

  return {
    socket,
    frames,
    get closed() {
      return closed;
    },

    /** The id of the newest event. */
    get last() {
      return frames.at(-1)?.id;
    },

    /** Everything so far has been shown. */
    ack() {
      socket.send(JSON.stringify({ ack: this.last }));
    },

    /**
     * What `look` finds, once it does.
     * @template Found
     * @param {(frames: Frame[]) => Found} look
     * @param {string} what
     * @param {number} [timeoutMs]
     * @returns {Promise<NonNullable<Found>>}
     */
    until(look, what, timeoutMs = 10_000) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiters.delete(check);
          reject(
            new Error(`waited ${timeoutMs} ms for ${what}, but got ${JSON.stringify(closed ?? frames.slice(-5))}`),
          );
        }, timeoutMs);
        const check = () => {
          const found = look(frames);
          if (!found) return;
          clearTimeout(timer);
          waiters.delete(check);
          resolve(/** @type {any} */ (found));
        };
        waiters.add(check);
        check();
      });
    },

    /** The event of a message with this text. @param {string} body */
    message(body) {
      return this.until((all) => all.find((frame) => frame.body === body), `the message ${body}`);
    },

    /** The event that a message got so far. @param {string} messageId @param {string} status */
    status(messageId, status) {
      const matches = (/** @type {Frame} */ frame) => frame.messageId === messageId && frame.status === status;
      return this.until((all) => all.find(matches), `${messageId} ${status}`);
    },

    /** Waits for what is on its way to it, without waking anybody. */
    ping() {
      const before = pongs;
      socket.send('ping');
      return this.until(() => pongs > before, 'a pong');
    },

    /** Code and reason of the end. @param {number} [timeoutMs] */
    end(timeoutMs) {
      return this.until(() => closed, 'the end', timeoutMs);
    },

    /** Goes, politely. */
    async leave() {
      if (closed) return;
      socket.close();
      await this.end(8_000);
    },
  };
}

/** Frames in a few words each. @param {Frame[]} frames */
export const words = (frames) =>
  frames.map(
    ({ type, body, status, unreadCount }) =>
      body ?? status ?? (unreadCount === undefined ? type : `${unreadCount} unread`),
  );

const HOUR = 3_600_000;

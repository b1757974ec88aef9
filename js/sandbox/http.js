/**
 * The little HTTP that both halves of the sandbox share: a server whose every call is recorded and can be made to
 * fail, and a client for the webhooks. `node:http` on both sides, because it is the cheapest thing under load.
 */

import { createServer, Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';

/** @import { IncomingMessage, ServerResponse, OutgoingHttpHeaders } from 'node:http' */
/** @import { Faults } from './faults.js' */
/** @import { Traffic } from './traffic.js' */

/**
 * @typedef {object} Request
 * @property {string} method
 * @property {string} path without the query
 * @property {string} url path and query
 * @property {URLSearchParams} query
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {Buffer} raw the bytes, for signatures
 * @property {unknown} body parsed JSON or form; undefined when there is none or it does not parse
 * @property {string} [malformed] what was wrong with the JSON
 */

/**
 * What a handler answers: `body` is sent as JSON, `text` as it stands, `stream` part by part, none of them as an empty body.
 * @typedef {object} Answer
 * @property {number} status
 * @property {OutgoingHttpHeaders} [headers]
 * @property {unknown} [body]
 * @property {string} [text]
 * @property {(send: (part: string) => void) => () => void} [stream] starts to send, and gives what is to be done when the other
 *   side has hung up
 */

/**
 * @typedef {object} ServeOptions
 * @property {string} host
 * @property {number} port 0 takes a free one
 * @property {'ghl' | 'vcx'} to the name in the traffic
 * @property {Traffic} traffic
 * @property {Faults} faults
 * @property {(request: Request) => Answer | Promise<Answer>} handle
 * @property {(request: Request) => Answer | Promise<Answer> | undefined} [control] answers what is neither recorded nor
 *   made to fail
 */

/** @typedef {{ url: string, close: () => Promise<void> }} Server */

/**
 * @param {ServeOptions} options
 * @returns {Promise<Server>}
 */
export async function serve({ host, port, to, traffic, faults, handle, control }) {
  const closing = new AbortController();

  /** @param {IncomingMessage} incoming @param {ServerResponse} outgoing */
  async function onRequest(incoming, outgoing) {
    const request = await readRequest(incoming);
    const controlled = control?.(request);
    if (controlled) return write(outgoing, await controlled);

    const { method, url, body } = request;
    const entry = traffic.open({ to, method, path: url, requestBody: body ?? text(request.raw) });
    const fault = faults.take(request);
    if (fault) entry.fault = fault.name;

    if (fault?.delayMs) await wait(fault.delayMs, undefined, { signal: closing.signal });
    if (fault?.drop === 'before') return drop();
    const handled = !fault?.answer || fault.when === 'after' ? await safely(request) : undefined;
    const answer = fault?.answer ?? handled ?? { status: 500 };
    if (fault?.answerDelayMs) {
      await wait(fault.answerDelayMs, undefined, { signal: closing.signal });
    }
    if (fault?.drop === 'after') return drop();
    // Recorded before it is written: whoever has the answer in hand finds it in the traffic.
    traffic.close(entry, answer.status, answer.body ?? answer.text);
    write(outgoing, answer);

    function drop() {
      traffic.close(entry, 0, undefined);
      incoming.socket.destroy();
    }
  }

  /**
   * A bug of the sandbox is a 500 that says so, in the traffic, too.
   * @param {Request} request
   * @returns {Promise<Answer>}
   */
  async function safely(request) {
    try {
      return await handle(request);
    } catch (error) {
      const message = `sandbox: ${error instanceof Error ? error.stack : error}`;
      return { status: 500, body: { statusCode: 500, message } };
    }
  }

  const server = createServer((incoming, outgoing) => {
    onRequest(incoming, outgoing).catch(() => {
      // The other side hung up, or the sandbox is closing.
      incoming.socket.destroy();
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(undefined));
  });
  const address = server.address();
  const bound = typeof address === 'object' && address ? address.port : port;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    close() {
      closing.abort();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** @typedef {{ status: number, text: string, headers: import('node:http').IncomingHttpHeaders, error?: string }} Reply */

/**
 * One client for everything the sandbox sends, with kept-alive connections.
 */
export function createClient() {
  // An idle connection is let go before the other side may: workerd does after 5 s, and a call on it then has no answer.
  const options = { keepAlive: true, maxSockets: 64, timeout: 3_000 };
  const agents = { http: new HttpAgent(options), https: new HttpsAgent(options) };

  /**
   * Never throws: a call that got no answer has status 0 and says why. Redirects are not followed.
   * @param {string} url
   * @param {{ method?: string, headers?: OutgoingHttpHeaders, bytes?: Buffer, timeoutMs?: number }} [options]
   * @returns {Promise<Reply>}
   */
  function call(url, { method = 'GET', headers = {}, bytes, timeoutMs = 30_000 } = {}) {
    return new Promise((resolve) => {
      /** @param {string} error */
      const failed = (error) => resolve({ status: 0, text: '', headers: {}, error });
      const secure = url.startsWith('https:');
      const options = {
        method,
        headers: bytes ? { ...headers, 'content-length': bytes.length } : headers,
        agent: secure ? agents.https : agents.http,
        timeout: timeoutMs,
      };
      /** @param {IncomingMessage} incoming */
      const answered = (incoming) => {
        readBytes(incoming).then(
          (body) => {
            clearTimeout(timer);
            const { statusCode = 0, headers: answerHeaders } = incoming;
            resolve({ status: statusCode, text: body.toString('utf8'), headers: answerHeaders });
          },
          (error) => failed(String(error?.message ?? error)),
        );
      };
      let outgoing;
      try {
        outgoing = secure ? httpsRequest(url, options, answered) : httpRequest(url, options, answered);
      } catch (error) {
        return failed(error instanceof Error ? error.message : String(error));
      }
      // The socket's own time-out only sees silence; a webhook's limit is on the whole call.
      const timer = setTimeout(() => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      outgoing.on('error', (error) => {
        clearTimeout(timer);
        failed(error.message);
      });
      outgoing.end(bytes);
    });
  }

  function close() {
    agents.http.destroy();
    agents.https.destroy();
  }

  return { call, close };
}

/** @typedef {ReturnType<typeof createClient>} Client */

/** @param {IncomingMessage} incoming @returns {Promise<Request>} */
async function readRequest(incoming) {
  const raw = await readBytes(incoming);
  const url = incoming.url ?? '/';
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
  const { method = 'GET', headers } = incoming;
  /** @type {Request} */
  const request = { method, path, url, query, headers, raw, body: undefined };
  if (!raw.length) return request;
  if (headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
    request.body = Object.fromEntries(new URLSearchParams(raw.toString('utf8')));
    return request;
  }
  try {
    request.body = JSON.parse(raw.toString('utf8'));
  } catch (error) {
    request.malformed = error instanceof Error ? error.message : String(error);
  }
  return request;
}

/** @param {IncomingMessage} incoming @returns {Promise<Buffer>} */
function readBytes(incoming) {
  return new Promise((resolve, reject) => {
    /** @type {Buffer[]} */
    const chunks = [];
    incoming.on('data', (chunk) => chunks.push(chunk));
    incoming.on('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
    incoming.on('error', reject);
    incoming.on('aborted', () => reject(new Error('the other side hung up')));
  });
}

/** @param {ServerResponse} outgoing @param {Answer} answer */
function write(outgoing, { status, headers = {}, body, text: plain, stream }) {
  if (stream) {
    outgoing.writeHead(status, headers);
    outgoing.flushHeaders();
    outgoing.once(
      'close',
      stream((part) => outgoing.write(part)),
    );
  } else if (body !== undefined) {
    const bytes = Buffer.from(JSON.stringify(body));
    outgoing.writeHead(status, {
      'content-type': 'application/json; charset=utf-8',
      ...headers,
      'content-length': bytes.length,
    });
    outgoing.end(bytes);
  } else {
    const bytes = Buffer.from(plain ?? '');
    const type = plain ? { 'content-type': 'text/html; charset=utf-8' } : {};
    const length = status === 204 || status === 304 ? {} : { 'content-length': bytes.length };
    outgoing.writeHead(status, { ...type, ...headers, ...length });
    outgoing.end(bytes);
  }
}

/** @param {Buffer} raw */
function text(raw) {
  return raw.length ? raw.toString('utf8') : undefined;
}

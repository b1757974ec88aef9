/**
 * Stands between Schemathesis and the Worker and puts in what no generator can make up: the ids of a connected location and of
 * an agent's message, and GHL's signature. Notes what was asked and how it was answered.
 */

import { sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, Agent as HttpAgent, request as httpRequest } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** @import { KeyObject } from 'node:crypto' */
/** @import { IncomingMessage, ServerResponse } from 'node:http' */

/** @typedef {{ status: number, headers: Record<string, string | string[] | undefined>, body: Buffer }} Answer */

/**
 * @param {object} options
 * @param {string} options.url the Worker's
 * @param {{ locationId: string, messageId: string }} options.ids
 * @param {KeyObject} options.key signs webhooks
 * @param {(path: string, answer: Answer) => Answer} [options.spoil] changes answers
 */
export async function openDoor({ url, ids, key, spoil = (_, answer) => answer }) {
  const agent = new HttpAgent({ keepAlive: true });
  /** How often each route was answered with each status. @type {Map<string, number>} */
  const seen = new Map();
  let count = 0;

  /** @param {IncomingMessage} incoming @param {ServerResponse} outgoing */
  async function pass(incoming, outgoing) {
    count += 1;
    // Every fourth stays as it was made up.
    const known = count % 4 !== 0;
    const { method = 'GET', headers } = incoming;
    const path = known ? placedInPath(incoming.url ?? '/') : incoming.url;
    const made = await buffer(incoming);
    const body = known ? placed(made, path === '/message-status' ? ids : { locationId: ids.locationId }) : made;
    const isSigned = known && headers['x-ghl-signature'] !== undefined;
    const signed = isSigned ? { 'x-ghl-signature': sign(null, body, key).toString('base64') } : {};
    // Without `accept-encoding`: what is squeezed cannot be spoilt.
    const rest = without(headers, ['host', 'content-length', 'transfer-encoding', 'accept-encoding']);
    const asked = httpRequest(url, { method, path, agent, headers: { ...rest, ...signed, ...lengthOf(body) } });
    asked.end(body);
    const [response] = /** @type {[IncomingMessage]} */ (await once(asked, 'response'));
    const route = `${method} ${(path ?? '').split('?')[0].replace(/^(\/locations\/)[^/]+/, '$1{id}')}`;
    const answer = spoil(route, {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: await buffer(response),
    });
    const what = `${route} ${answer.status}`;
    seen.set(what, (seen.get(what) ?? 0) + 1);
    const answered = without(answer.headers, ['transfer-encoding', 'content-length']);
    outgoing.writeHead(answer.status, { ...answered, ...lengthOf(answer.body) });
    outgoing.end(answer.body);
  }

  /** @param {string} path */
  function placedInPath(path) {
    return path.replace(/^(\/locations\/)([^/?]+)/, (all, start, id) =>
      isId(decoded(id)) ? start + ids.locationId : all,
    );
  }

  /** @param {Buffer} bytes @param {Record<string, string>} ids */
  function placed(bytes, ids) {
    let value;
    try {
      value = JSON.parse(bytes.toString());
    } catch {
      return bytes;
    }
    if (typeof value !== 'object' || value === null) return bytes;
    const changes = Object.entries(ids).filter(([name]) => isId(value[name]));
    return changes.length ? Buffer.from(JSON.stringify({ ...value, ...Object.fromEntries(changes) })) : bytes;
  }

  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing).catch((error) => outgoing.destroy(error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    async close() {
      agent.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** @param {Record<string, string | string[] | undefined>} headers @param {string[]} names */
const without = (headers, names) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)));

/** @param {Buffer} body */
const lengthOf = (body) => (body.length ? { 'content-length': body.length } : {});

/** A wrong id stays wrong. @param {unknown} value */
const isId = (value) => typeof value === 'string' && value !== '' && [...value].length <= 128 && !/\p{Cc}/u.test(value);

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

/**
 * What the tests of the sandbox stand on: a sandbox for one test, and a stand-in for the Worker that keeps what it is
 * sent and answers what the test says.
 */

import { createPublicKey, verify } from 'node:crypto';
import { createServer } from 'node:http';
import { afterEach } from 'node:test';
import { startSandbox } from '../../js/sandbox/index.js';

/** @import { AddressInfo } from 'node:net' */
/** @import { Sandbox } from '../../js/sandbox/index.js' */

/** @type {(() => unknown)[]} */
let cleanups = [];
afterEach(async () => {
  for (const clean of cleanups.reverse()) await clean();
  cleanups = [];
});

/** A sandbox that is closed after the test. @param {Parameters<typeof startSandbox>[0]} [options] */
export async function start(options) {
  const sandbox = await startSandbox({ retry: { max: 12, baseMs: 1, maxMs: 5, timeoutMs: 1000 }, ...options });
  cleanups.push(() => sandbox.close());
  return sandbox;
}

/** @typedef {{ method: string, url: string, headers: import('node:http').IncomingHttpHeaders, bytes: Buffer, body: any }} Got */

/**
 * The sandbox's Worker, closed after the test, too.
 * @param {Sandbox} sandbox
 * @param {(got: Got) => number | Promise<number>} [answer] the status of webhooks
 */
export async function work(sandbox, answer = () => 200) {
  /** @type {Got[]} */
  const got = [];
  const server = createServer((request, response) => {
    /** @type {Buffer[]} */
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      const { method = '', url = '', headers } = request;
      const bytes = Buffer.concat(chunks);
      const one = { method, url, headers, bytes, body: parse(bytes.toString()) };
      got.push(one);
      if (url.startsWith('/install')) {
        const cookie = { 'set-cookie': 'state=s1; HttpOnly', location: installLink(sandbox) };
        response.writeHead(302, cookie).end();
      } else response.writeHead(await answer(one)).end(`${method} ${url}`);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {AddressInfo} */ (server.address());
  sandbox.workerUrl = `http://127.0.0.1:${port}`;
  return { got, webhooks: () => got.filter(({ url }) => url === '/webhook') };
}

/** @param {Sandbox} sandbox @param {Record<string, string>} [more] */
export function installLink({ ghl }, more = {}) {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: ghl.clientId,
    redirect_uri: ghl.options.redirectUri,
    scope: 'contacts.readonly contacts.write',
    state: 'signed-state',
    ...more,
  });
  return `${ghl.installUrl}?${query}`;
}

/** Whether GHL's key signed the very bytes. @param {Sandbox} sandbox @param {Got} got */
export function isSigned({ ghl }, { headers, bytes }) {
  const signature = Buffer.from(String(headers['x-ghl-signature'] ?? ''), 'base64');
  return verify(null, bytes, createPublicKey(ghl.publicKeyPem), signature);
}

/**
 * A location with the app and one contact, and a client of GHL's API for it.
 * @param {Sandbox} sandbox
 */
export async function connected({ ghl }) {
  const { locationId } = ghl;
  const { access_token } = ghl.issueTokens({ locationId });
  /** @param {string} method @param {string} path @param {unknown} [body] */
  async function api(method, path, body) {
    const reply = await fetch(ghl.url + path, {
      method,
      headers: {
        authorization: `Bearer ${access_token}`,
        version: '2021-07-28',
        'content-type': 'application/json',
      },
      body: JSON.stringify(body),
    });
    const text = await reply.text();
    return { status: reply.status, headers: reply.headers, text, body: parse(text) };
  }
  const { body } = await api('POST', '/contacts/', { locationId, name: 'Mina Kim', phone: '+15550100123' });
  const contactId = /** @type {string} */ (body.contact.id);
  const message = {
    type: 'Custom',
    contactId,
    conversationProviderId: ghl.providerId,
    message: 'Hello',
    direction: 'inbound',
  };
  await ghl.settled();
  /** @param {Record<string, unknown>} [more] */
  const log = (more) => api('POST', '/conversations/messages/inbound', { ...message, ...more });
  return { api, log, contactId, locationId, accessToken: access_token };
}

/** @param {string} text @returns {any} */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

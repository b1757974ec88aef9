/**
 * A GHL, a vCX backend and a KV namespace to measure against: they take every call, answer at once, and keep nothing but
 * counts. It is a process of its own, spoken to over IPC (`startStandin`), so that its work is nobody else's.
 *
 * It is not the sandbox: that one checks what it is sent and remembers it, and is too slow to measure anything with.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../scripts/run.mjs';

/** @import { IncomingMessage, ServerResponse } from 'node:http' */
/** @import { AddressInfo } from 'node:net' */

/**
 * @typedef {Record<string, number>} Counts calls by `METHOD /path`, ids left out; `refused` counts those that were not as they
 *   should be
 * @typedef {'well' | 'lost'} Mood `lost`: GHL does not know this app's tokens any more
 * @typedef {Awaited<ReturnType<typeof startStandin>>} Standin
 */

export async function startStandin() {
  const child = fork(fileURLToPath(import.meta.url), ['serve'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  /** @type {Map<number, (result: any) => void>} */
  const waiting = new Map();
  let asked = 0;
  child.on('message', (/** @type {any} */ { n, result }) => {
    waiting.get(n)?.(result);
    waiting.delete(n);
  });
  /** @param {string} op @param {unknown} [arg] @returns {Promise<any>} */
  const ask = (op, arg) =>
    new Promise((resolve) => {
      waiting.set(++asked, resolve);
      child.send({ n: asked, op, arg });
    });
  /** @type {{ ghl: string, vcx: string, kv: string }} */
  const urls = await ask('start');
  return {
    ...urls,
    pid: /** @type {number} */ (child.pid),
    /** @returns {Promise<Counts>} */
    counts: () => ask('counts'),
    /** @param {Mood} mood @returns {Promise<void>} */
    be: (mood) => ask('be', mood),
    /** Forgives what was not as it should be. @returns {Promise<void>} */
    forgive: () => ask('forgive'),
    /** Waits until there were so many calls of a kind. @param {string} label @param {number} n */
    async called(label, n) {
      const began = performance.now();
      for (;;) {
        const { [label]: made = 0 } = await ask('counts');
        if (made >= n) return;
        if (performance.now() - began > PATIENCE) throw new Problem(`${label} was called ${made} times, not ${n}`);
        await setTimeout(10);
      }
    },
    /** When these messages arrived, in nanoseconds of the machine's monotonic clock. @param {string[]} ids @returns {Promise<number[]>} */
    arrivals: (ids) => ask('arrivals', ids),
    /**
     * Waits until nothing has been called for so many milliseconds, and says when the last call was. A call that was not as it
     * should be fails the benchmark.
     * @param {number} forMs
     */
    async quiet(forMs) {
      let total = -1;
      let last = performance.now();
      while (performance.now() - last < forMs) {
        const { refused = 0, ...counts } = await ask('counts');
        if (refused > 0)
          throw new Problem(`${refused} calls were not as GHL takes them`, JSON.stringify(counts, null, 2));
        const calls = Object.values(counts).reduce((sum, n) => sum + n, 0);
        if (calls !== total) [total, last] = [calls, performance.now()];
        await setTimeout(20);
      }
      return last;
    },
    async close() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}

/** The call with which a push is done, and a webhook. */
export const INBOUND = 'POST /conversations/messages/inbound';
export const STATUS = 'PUT /conversations/messages/:id/status';

/** Messages whose id begins so are timed. */
export const TIMED = 'timed-';

/** What was called between two counts. @param {Counts} before @param {Counts} after @returns {Counts} */
export function between(before, after) {
  const more = Object.entries(after).map(([label, n]) => /** @type {const} */ ([label, n - (before[label] ?? 0)]));
  return Object.fromEntries(more.filter(([, n]) => n > 0));
}

/** @type {Counts} */
const counts = {};
/** @type {Map<string, number>} */
const arrivals = new Map();
/** @type {Map<string, { value: string, metadata?: string }>} */
const kv = new Map();
/** @type {Mood} */
let mood = 'well';

/** @type {Record<string, (arg: any) => unknown>} */
const OPS = {
  start: async () => ({ ghl: await listen(ghl), vcx: await listen(vcx), kv: await listen(namespace) }),
  counts: () => counts,
  be: (asked) => {
    mood = asked;
  },
  forgive: () => {
    delete counts.refused;
  },
  arrivals: (ids) => ids.map((/** @type {string} */ id) => arrivals.get(id)),
};

/** @param {(request: IncomingMessage, body: string, response: ServerResponse) => void} answer */
async function listen(answer) {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => answer(request, body, response));
  });
  Object.assign(server, { keepAliveTimeout: 600_000, requestTimeout: 0, headersTimeout: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`;
}

/** @param {IncomingMessage} request @param {string} body @param {ServerResponse} response */
function ghl({ method = '', url = '', headers }, body, response) {
  const path = url.split('?', 1)[0];
  if (path === '/oauth/token') return give(response, 'POST /oauth/token', ...token(new URLSearchParams(body)));
  const label = `${method} ${labelOf(path)}`;
  if (path === '/oauth/reconnect') return give(response, label, 400, { statusCode: 400, message: 'not possible' });
  if (!headers.authorization?.startsWith('Bearer ') || !headers.version) {
    counts.refused = (counts.refused ?? 0) + 1;
    return give(response, label, 401, { statusCode: 401, message: 'version header was not found.' });
  }
  if (mood === 'lost') {
    return give(response, label, 401, { statusCode: 401, message: 'Invalid token: access token is invalid' });
  }
  const answer = ROUTES[label];
  if (!answer) {
    counts.refused = (counts.refused ?? 0) + 1;
    return give(response, label, 404, { statusCode: 404, message: `no such route: ${label}` });
  }
  give(response, label, 200, answer(body && JSON.parse(body), path.split('/')));
}

/** What the calls of this benchmark are answered with: the fields that GHL's answers have and clients read. @type {Record<string, (body: any, path: string[]) => object>} */
const ROUTES = {
  [INBOUND]: ({ contactId, conversationId, message, altId }) => {
    note(altId);
    return {
      success: true,
      conversationId: conversationId ?? conversationOf(contactId),
      messageId: `msg${altId}`,
      message,
      contactId: contactId,
      dateAdded: new Date().toISOString(),
      emailMessageId: null,
      traceId: TRACE,
    };
  },
  [STATUS]: (_, path) => ({
    conversationId: 'cnv',
    messageId: path[3],
    msg: 'Message status updated.',
    traceId: TRACE,
  }),
  'POST /contacts/search': () => ({ contacts: [], total: 0, traceId: TRACE }),
  'POST /contacts/upsert': (contact) => ({ new: true, contact: contactOf(contact), traceId: TRACE }),
  'POST /contacts/': (contact) => ({ contact: contactOf(contact), traceId: TRACE }),
  'GET /contacts/:id': (_, path) => ({ contact: { id: path[2], customFields: [] }, traceId: TRACE }),
  'PUT /contacts/:id': (contact, path) => ({ succeded: true, contact: { ...contact, id: path[2] }, traceId: TRACE }),
  'POST /contacts/:id/tags': ({ tags }) => ({ tags, traceId: TRACE }),
  'POST /conversations/': ({ contactId }) => ({
    success: true,
    conversation: { id: conversationOf(contactId), contactId },
    traceId: TRACE,
  }),
  'GET /locations/:id/customFields': () => ({ customFields: [], traceId: TRACE }),
  'POST /locations/:id/customFields': ({ name }, path) => ({
    customField: { id: `cf${path[2]}`, name, fieldKey: 'contact.vcx_client_id' },
    traceId: TRACE,
  }),
};

/** The location is the one that the code, or the refresh token, is made of. @param {URLSearchParams} form @returns {[number, object]} */
function token(form) {
  const refresh = form.get('refresh_token');
  if (refresh && mood === 'lost') {
    return [400, { statusCode: 400, message: 'Invalid grant: refresh token is invalid' }];
  }
  const locationId = form.get('code') ?? refresh?.split('.')[1];
  const about = { scope: 'contacts.write conversations.write', userType: 'Location', locationId, userId: 'usr' };
  const secret = 'x'.repeat(700);
  return [
    200,
    {
      access_token: `${secret}.${locationId}`,
      refresh_token: `${secret}.${locationId}`,
      token_type: 'Bearer',
      expires_in: 86399,
      ...about,
    },
  ];
}

/** @param {{ email?: string, name?: string, source?: string, customFields?: unknown[] }} contact */
function contactOf(contact) {
  return { ...contact, id: `con-${contact.email?.split('@')[0]}`, dateAdded: new Date().toISOString() };
}

/** @param {string} contactId */
const conversationOf = (contactId) => contactId?.replace('con-', 'cnv-');

/** @param {IncomingMessage} _ @param {string} body @param {ServerResponse} response */
function vcx(_, body, response) {
  const { messageId } = JSON.parse(body);
  note(messageId);
  give(response, 'POST vCX', 200, {});
}

/** KV as workerd asks for it: one key a path, its metadata in a header. @param {IncomingMessage} request @param {string} body @param {ServerResponse} response */
function namespace({ method = '', url = '', headers }, body, response) {
  const key = decodeURIComponent(url.slice(1).split('?', 1)[0]);
  count(`KV ${method.toLowerCase()}`);
  if (method === 'PUT') {
    kv.set(key, { value: body, metadata: headers['cf-kv-metadata']?.toString() });
    return response.end();
  }
  const found = kv.get(key);
  if (!found) return response.writeHead(404).end();
  response.writeHead(200, found.metadata ? { 'cf-kv-metadata': found.metadata } : {}).end(found.value);
}

/** @param {ServerResponse} response @param {string} label @param {number} status @param {object} body */
function give(response, label, status, body) {
  count(label);
  const text = JSON.stringify(body);
  response.writeHead(status, { ...HEADERS, 'content-length': Buffer.byteLength(text) }).end(text);
}

/** @param {string} [id] */
function note(id) {
  if (id?.startsWith(TIMED)) arrivals.set(id, Number(process.hrtime.bigint()));
}

/** @param {string} label */
function count(label) {
  counts[label] = (counts[label] ?? 0) + 1;
}

/** A path with its ids left out. @param {string} path */
function labelOf(path) {
  const known = labels.get(path);
  if (known) return known;
  const label = path
    .replace(/^\/conversations\/messages\/[^/]+\/status$/, '/conversations/messages/:id/status')
    .replace(/^\/(contacts)\/(?!search$|upsert$)[^/]+/, '/$1/:id')
    .replace(/^\/locations\/[^/]+/, '/locations/:id');
  if (!label.includes(':id')) labels.set(path, label);
  return label;
}

/** @type {Map<string, string>} */
const labels = new Map();
/** Milliseconds in which what was accepted is done. */
const PATIENCE = 600_000;
const TRACE = '5b0e0f8e-7b2c-4d0e-9f16-0d5a6c1f2b33';
/** A limit that nobody comes near. */
const HEADERS = {
  'content-type': 'application/json; charset=utf-8',
  'x-ratelimit-limit-daily': '1000000000',
  'x-ratelimit-daily-remaining': '999999999',
  'x-ratelimit-interval-milliseconds': '10000',
  'x-ratelimit-max': '10000000',
  'x-ratelimit-remaining': '9999999',
};

if (process.argv[2] === 'serve' && process.send) {
  process.on('message', async (/** @type {any} */ { n, op, arg }) => process.send?.({ n, result: await OPS[op](arg) }));
  // Whoever started it is gone.
  process.on('disconnect', () => process.exit());
}

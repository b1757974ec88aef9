// What js/send.js makes of a call, and that it leaves nothing running: in a Durable Object each timer that is left keeps the object
// awake, and 10,000 are too many.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, describe, it } from 'node:test';
import { send } from '../js/send.js';

describe('a call', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/silent') return;
    if (request.url === '/broken') return void request.socket.destroy();
    if (request.url === '/half') return void response.writeHead(200, { 'content-length': '9' }).write('half');
    response.writeHead(request.url === '/moved' ? 302 : 200, { location: '/elsewhere' }).end('here');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  /** The timers of ours that were started and neither ran nor were cleared. @param {string} path @param {number} timeoutMs */
  async function call(path, timeoutMs) {
    const { setTimeout, clearTimeout } = globalThis;
    const running = new Set();
    /** @type {any} */ (globalThis).setTimeout = (/** @type {() => void} */ act, /** @type {number} */ ms) => {
      const timer = setTimeout(() => {
        running.delete(timer);
        act();
      }, ms);
      if (ms === timeoutMs) running.add(timer);
      return timer;
    };
    /** @type {any} */ (globalThis).clearTimeout = (/** @type {any} */ timer) => {
      running.delete(timer);
      clearTimeout(timer);
    };
    const { timeout } = AbortSignal;
    let signals = 0;
    AbortSignal.timeout = (ms) => {
      signals += 1;
      return timeout.call(AbortSignal, ms);
    };
    try {
      const url = `http://127.0.0.1:${port}${path}`;
      const outcome = await send({ method: 'GET', url, headers: {} }, timeoutMs);
      return { outcome, left: running.size + signals };
    } finally {
      Object.assign(globalThis, { setTimeout, clearTimeout });
      AbortSignal.timeout = timeout;
    }
  }

  it('brings the answer, and a redirect is one', async () => {
    for (const [path, status] of /** @type {const} */ ([
      ['/', 200],
      ['/moved', 302],
    ])) {
      const { outcome, left } = await call(path, 7_001);
      const { answered } = /** @type {any} */ (outcome);
      assert.deepEqual([answered.status, answered.body, answered.headers.location], [status, 'here', '/elsewhere']);
      assert.equal(left, 0, path);
    }
  });

  it('that is not answered whole in time has timed out', async () => {
    for (const path of ['/silent', '/half']) {
      assert.deepEqual(await call(path, 101), { outcome: 'timedOut', left: 0 }, path);
    }
  });

  it('that breaks is dropped', async () => {
    const { outcome, left } = await call('/broken', 7_001);
    assert.equal(typeof (/** @type {any} */ (outcome).dropped.message), 'string');
    assert.equal(left, 0);
  });
});

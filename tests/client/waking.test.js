/** A page that comes back: its network is there again, or somebody looks at it. Nothing waits for a pause to end then. */

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

const window = new EventTarget();
const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
// Before the client is loaded: as in a browser, where they are there first.
Object.assign(globalThis, { window, document });
const { openScene, settle } = await import('./scene.js');

describe('a page', () => {
  it('whose network is back connects at once', async (t) => {
    const scene = await openScene(t);
    for (let tries = 0; tries < 6; tries++) {
      await scene.socket.refuse();
      await scene.pass(60_000);
    }
    await scene.socket.refuse();
    const { length } = scene.sockets;
    await wake(scene, window, 'online');
    assert.equal(scene.sockets.length, length + 1);
    await wake(scene, window, 'online');
    assert.equal(scene.sockets.length, length + 1, 'and leaves a connection that is being made alone');
  });

  it('whose network is back sends at once', async (t) => {
    const scene = await openScene(t);
    scene.client.send('Hello');
    await settle();
    for (let tries = 0; tries < 6; tries++) {
      await scene.call.drop();
      await scene.pass(60_000);
    }
    await scene.call.drop();
    const { length } = scene.calls;
    await wake(scene, window, 'online');
    assert.equal(scene.calls.length, length + 1);
  });

  for (const [what, target, name] of /** @type {const} */ ([
    ['that is looked at again', document, 'visibilitychange'],
    ['that comes out of the browser’s cache', window, 'pageshow'],
    ['whose network is gone', window, 'offline'],
  ])) {
    it(`${what} finds out in 5 s whether its connection is still there`, async (t) => {
      const scene = await openScene(t);
      await scene.socket.ready(10);
      await wake(scene, target, name);
      assert.deepEqual(scene.socket.sent, ['ping', 'ping']);
      await scene.pass(5_000);
      await scene.pass(1);
      assert.equal(scene.sockets.length, 2);
    });
  }

  it('that is hidden stays quiet', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    document.visibilityState = 'hidden';
    await wake(scene, document, 'visibilitychange');
    document.visibilityState = 'visible';
    assert.deepEqual(scene.socket.sent, ['ping']);
  });

  it('is let alone when the client is closed', async (t) => {
    const scene = await openScene(t);
    await scene.socket.ready(10);
    assert.equal(getEventListeners(window, 'online').length, 1);
    scene.client.close();
    assert.equal(getEventListeners(window, 'online').length, 0);
    await wake(scene, window, 'online');
    assert.deepEqual([scene.sockets.length, scene.socket.sent], [1, ['ping']]);
  });
});

/**
 * @param {Awaited<ReturnType<typeof openScene>>} scene
 * @param {EventTarget} target
 * @param {string} name
 */
async function wake(scene, target, name) {
  target.dispatchEvent(new Event(name));
  // The library opens a connection by a timer that lasts no time.
  await scene.pass(1);
}

/** The README's frontend, word for word, in a real browser: however it was built, in two tabs, and through broken networks. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { load, normalizePush } from '../../js/npm/index.js';
import { missing, openBrowser } from './chromium.js';
import { openSite, TOOLS } from './site.js';

/** @import { Page } from 'playwright-core' */

const skip = missing;

describe('the README’s frontend', { skip }, () => {
  for (const tool of Object.keys(TOOLS)) {
    it(`carries words both ways, by ${tool}`, async (t) => {
      const { origin, stage, hosts } = await openSite(t, tool);
      const browser = await openBrowser(t, hosts);
      const page = await open(await browser.newPage(), origin);
      await say(page, 'Is anyone there?');
      await line(page, 'I: Is anyone there?', 'delivered').waitFor();
      const messageId = await reply(stage, 'Yes, I am');
      await line(page, 'Agent: Yes, I am').waitFor();
      await stage.sandbox.waitFor(() => stage.ghl.state.messages.get(messageId)?.status === 'read', { what: 'read' });
      assert.deepEqual(await texts(page), ['I: Is anyone there?', 'Agent: Yes, I am']);
    });
  }
});

describe('a visitor', { skip }, () => {
  it('sees the same in two tabs, and nothing twice', async (t) => {
    const { origin, stage, hosts } = await openSite(t, 'esbuild');
    const browser = await openBrowser(t, hosts);
    const [one, two] = [await open(await browser.newPage(), origin), await open(await browser.newPage(), origin)];
    await say(one, 'From the first');
    await line(two, 'I: From the first', 'delivered').waitFor();
    await say(two, 'From the second');
    await line(one, 'I: From the second', 'delivered').waitFor();
    await reply(stage, 'To both');
    for (const page of [one, two]) {
      await line(page, 'Agent: To both').waitFor();
      assert.deepEqual(await texts(page), ['I: From the first', 'I: From the second', 'Agent: To both']);
    }
    assert.equal(stage.inbox(stage.ghl.locationId).length, 3);
  });

  it('writes without a network, and it goes out in order when there is one', async (t) => {
    const { origin, stage, hosts } = await openSite(t, 'esbuild');
    const browser = await openBrowser(t, hosts);
    const page = await open(await browser.newPage(), origin);
    await say(page, 'Before');
    await line(page, 'I: Before', 'delivered').waitFor();
    await browser.setOffline(true);
    await say(page, 'One');
    await say(page, 'Two');
    await line(page, 'I: Two', 'sending').waitFor();
    await reply(stage, 'Meanwhile');
    await browser.setOffline(false);
    await line(page, 'I: Two', 'delivered').waitFor();
    await line(page, 'Agent: Meanwhile').waitFor();
    assert.deepEqual((await texts(page)).sort(), ['Agent: Meanwhile', 'I: Before', 'I: One', 'I: Two']);
    const inbound = stage.inbox(stage.ghl.locationId).filter(({ direction }) => direction === 'inbound');
    assert.deepEqual(
      inbound.map(({ body }) => body),
      ['Before', 'One', 'Two'],
    );
  });

  it('misses nothing when the Worker goes down, and sees nothing twice', async (t) => {
    const { origin, stage, hosts } = await openSite(t, 'esbuild');
    const browser = await openBrowser(t, hosts);
    const page = await open(await browser.newPage(), origin);
    await say(page, 'Before');
    await line(page, 'I: Before', 'delivered').waitFor();
    await stage.kill();
    await say(page, 'While it is down');
    await line(page, 'I: While it is down', 'sending').waitFor();
    await stage.restart();
    await reply(stage, 'It is up again');
    await line(page, 'I: While it is down', 'delivered').waitFor();
    await line(page, 'Agent: It is up again').waitFor();
    assert.deepEqual((await texts(page)).sort(), ['Agent: It is up again', 'I: Before', 'I: While it is down']);
    assert.equal(stage.inbox(stage.ghl.locationId).length, 3);
  });
});

describe('the functions', { skip }, () => {
  const push = { locationId: 'l', clientId: 'c', vcxConversationId: 'v', fromUser: true, body: 'Hi', timestamp: 1 };
  const check = `
    const push = ${JSON.stringify(push)};
    const attempt = async (work) => { try { return await work(); } catch ({ code }) { return code; } };
    const before = await attempt(() => normalizePush(push));
    await load(source);
    const { messageId } = normalizePush(push);
    document.title = JSON.stringify({ before, messageId, session: await attempt(() => createSession({})) });
  `;
  const imports = "import { createSession, load, normalizePush } from 'vcx-ghl';\n";

  for (const [tool, chat] of [
    ['a plain <script type="module">', `${imports} let source;`],
    ['Vite', `${imports} let source;`],
    ['esbuild', `${imports} import source from 'vcx-ghl/pkg/vcx_ghl_bg.wasm';`],
  ]) {
    it(`are loaded when they are needed, by ${tool}`, async (t) => {
      const { origin, hosts } = await openSite(t, tool, { 'chat.js': chat + check });
      const browser = await openBrowser(t, hosts);
      const page = await browser.newPage();
      /** @type {string[]} */
      const loaded = [];
      page.on('request', (request) => loaded.push(new URL(request.url()).pathname));
      await page.goto(origin);
      await page.waitForFunction(() => document.title.startsWith('{'));
      await load();
      const { messageId } = normalizePush(push);
      assert.deepEqual(JSON.parse(await page.title()), { before: 'not_loaded', messageId, session: 'backend_only' });
      assert.equal(loaded.filter((path) => path.endsWith('.wasm')).length, 1, `${loaded}`);
    });
  }
});

/** The page, with its connection up. @param {Page} page @param {string} origin */
async function open(page, origin) {
  page.on('pageerror', (error) => assert.fail(error));
  const socket = page.waitForEvent('websocket');
  await page.goto(origin);
  await (await socket).waitForEvent('framereceived');
  return page;
}

/** @param {Page} page @param {string} text */
async function say(page, text) {
  await page.locator('input').fill(text);
  await page.locator('button').click();
}

/** @param {Page} page @param {string} text @param {string} [status] */
const line = (page, text, status) => page.locator(status ? `li[data-status="${status}"]` : 'li', { hasText: text });

/** @param {Page} page */
const texts = (page) => page.locator('li').allTextContents();

/** An agent answers, in GHL. @param {Awaited<ReturnType<typeof openSite>>['stage']} stage @param {string} message */
async function reply({ ghl }, message) {
  const [contact] = ghl.state.contacts.values();
  const { messageId } = await ghl.agentReplies({ contactId: contact.id, message });
  return messageId;
}

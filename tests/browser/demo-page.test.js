/**
 * The page of the demo, in a real browser: a newcomer's way from `npm run demo` to a chat that works, plugs pulled and put back,
 * and all of it without a mouse.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { missing } from './chromium.js';
import { PATIENCE_MS, picture, sides, startBrowser, startDemo } from './demo.js';

/** @import { Page } from 'playwright-core' */

/** @type {Awaited<ReturnType<typeof startDemo>>} */
let demo;
/** @type {Awaited<ReturnType<typeof startBrowser>>} */
let browser;
/** @type {Page} */
let page;

describe('the page of the demo', { skip: missing, timeout: 300_000 }, () => {
  before(async () => {
    demo = await startDemo();
    browser = await startBrowser();
    page = await browser.open(demo.url);
  });
  after(async () => {
    await browser?.close();
    await demo?.close();
  });

  // A test that fails half way leaves nothing unplugged for the others.
  afterEach(async () => {
    for (const name of /** @type {const} */ (['GHL', 'vCX', 'Token'])) {
      const plug = sides(page).plug(name);
      if ((await plug.getAttribute('aria-checked')) === 'false') await plug.click();
    }
  });

  test('opens on the chat that the story has begun, on both sides', async () => {
    const { visitor, agent, health } = sides(page);
    for (const { message } of [visitor, agent]) {
      await message('Hello! Is there a free slot on Friday morning?').waitFor();
      await message('Hi Mina! Friday at ten is free. See you then?').waitFor();
    }
    await visitor.is('Hello! Is there a free slot on Friday morning?', 'delivered');
    await agent.is('Hi Mina! Friday at ten is free. See you then?', 'delivered');
    await health.getByText('ok', { exact: true }).waitFor();
  });

  test('what the visitor writes crosses, and is read when the agent looks', async () => {
    const { visitor, agent, calls } = sides(page);
    await visitor.say('Yes, see you then!');
    await agent.message('Yes, see you then!').waitFor();
    await visitor.is('Yes, see you then!', 'delivered');
    await agent.contact(/Mina Kim.*Yes, see you then!.*2/s).waitFor();
    await calls('Browser → Worker').filter({ hasText: 'POST /push-message' }).first().waitFor();
    await calls('POST /conversations/messages/inbound').first().waitFor();
    await agent.field.focus();
    await visitor.is('Yes, see you then!', 'read');
    await agent.contact(/Yes, see you then!$/).waitFor();
  });

  test('what the agent answers crosses, and is read when the visitor looks', async () => {
    const { visitor, agent } = sides(page);
    await agent.say('Bring your insurance card, please.');
    await visitor.message('Bring your insurance card, please.').waitFor();
    await agent.is('Bring your insurance card, please.', 'delivered');
    await visitor.field.focus();
    await agent.is('Bring your insurance card, please.', 'read');
  });

  test('a reload keeps the chat, with its order and its ticks', async () => {
    const { visitor } = sides(page);
    const words = () => visitor.messages.locator('.words').allTextContents();
    const before = await words();
    await page.reload();
    await visitor.message('Bring your insurance card, please.').waitFor();
    await visitor.is('Yes, see you then!', 'read');
    assert.deepEqual(await words(), before);
    assert.equal(before.length, 4);
  });

  test('a second tab shows what the first one says', async () => {
    const other = await page.context().newPage();
    await other.goto(demo.url);
    await sides(other).visitor.message('Bring your insurance card, please.').waitFor();
    await sides(other).visitor.say('From the other tab');
    const { visitor } = sides(page);
    await visitor.is('From the other tab', 'delivered');
    assert.equal(await visitor.message('From the other tab').getAttribute('data-side'), 'own');
    await other.close();
  });

  test('a new visitor is a new contact, with the first words', async () => {
    const person = await browser.open(demo.url);
    const { visitor, agent } = sides(person);
    await person.getByRole('button', { name: 'New visitor' }).click();
    const name = await person.locator('#visitor-name').textContent();
    assert.equal(await visitor.messages.count(), 0);
    await visitor.say('Good morning');
    await agent.contact(new RegExp(`${name}.*Good morning.*1`, 's')).click();
    await visitor.is('Good morning', 'read');
    await agent.say('Good morning to you');
    await visitor.message('Good morning to you').waitFor();
    assert.equal(await sides(page).visitor.message('Good morning to you').count(), 0, 'Mina is told nothing of it');
    await person.reload();
    await visitor.message('Good morning to you').waitFor();
    await person.context().close();
  });

  test('GHL unplugged: the message waits, safe; plugged in again: it arrives', async () => {
    const { visitor, agent, plug, story, calls } = sides(page);
    await plug('GHL').click();
    await visitor.say('Are you there?');
    await calls('POST /conversations/messages/inbound').filter({ hasText: '503' }).first().waitFor();
    await visitor.is('Are you there?', 'sent');
    await story
      .filter({ hasText: /GHL answers nothing\. \d\squeued; next try in\s\d+\ss\./ })
      .waitFor({ timeout: PATIENCE_MS });
    await picture(page, 'unplugged-ghl');
    assert.equal(await agent.message('Are you there?').count(), 0);
    await plug('GHL').click();
    await visitor.is('Are you there?', 'delivered');
    assert.equal(await agent.message('Are you there?').count(), 1);
    await calm();
  });

  test('vCX unplugged: the visitor has the answer all the same, and vCX gets it when it is back', async () => {
    const { visitor, agent, plug, story, calls } = sides(page);
    await plug('vCX').click();
    await agent.say('Yes, I am.');
    await visitor.message('Yes, I am.').waitFor();
    await calls('POST /events').filter({ hasText: '503' }).first().waitFor();
    await agent.is('Yes, I am.', 'delivered');
    await story.filter({ hasText: /vCX’s backend answers nothing\. \d\squeued; / }).waitFor({ timeout: PATIENCE_MS });
    await plug('vCX').click();
    await calm();
    const [last] = await calls('POST /events message.created').allTextContents();
    assert.match(last, /200/);
  });

  test('token refused: down, and says so; accepted again: it heals by itself', async () => {
    const { visitor, agent, plug, story, health, calls } = sides(page);
    await plug('Token').click();
    await visitor.say('One more question');
    await health.getByText('down', { exact: true }).waitFor({ timeout: PATIENCE_MS });
    await calls('POST /oauth/token').filter({ hasText: '503' }).first().waitFor();
    await story.filter({ hasText: /GHL refuses the Worker’s token\. \d\squeued; / }).waitFor({ timeout: PATIENCE_MS });
    await visitor.is('One more question', 'sent');
    await plug('Token').click();
    await visitor.is('One more question', 'delivered');
    await agent.message('One more question').waitFor();
    await calm();
  });

  test('what is still being sent survives a reload', async () => {
    const { visitor, plug } = sides(page);
    // Without its backend a visitor gets no session, and without a session nothing is sent.
    await plug('vCX').click();
    await page.reload();
    await visitor.say('Sent before the reload');
    await visitor.is('Sent before the reload', 'sending');
    await page.reload();
    await visitor.is('Sent before the reload', 'sending');
    await plug('vCX').click();
    await visitor.is('Sent before the reload', 'delivered');
    assert.equal(await visitor.message('Sent before the reload').count(), 1);
    await calm();
  });

  test('a message that is too long is failed, with words', async () => {
    const { visitor } = sides(page);
    await visitor.say('x'.repeat(65_537));
    const failed = visitor.messages.last();
    await failed.locator('.tick[data-state=failed]').waitFor();
    assert.match((await failed.locator('.reason').textContent()) ?? '', /^Not sent: .*64 KB|65,?536/);
  });

  test('all of it works without a mouse', async () => {
    const person = await browser.open(demo.url);
    const { visitor, agent, plug } = sides(person);
    await visitor.messages.first().waitFor();
    const stops = [];
    while (stops.at(-1)?.name !== 'Calls, newest first' && stops.length < 30) {
      await person.keyboard.press('Tab');
      stops.push(await person.evaluate(describeFocus));
    }
    assert.deepEqual(
      stops.map(({ name }) => name).filter((name) => !name.startsWith('Contact')),
      [
        'New visitor',
        'The visitor’s chat',
        'Message from the visitor',
        'Send',
        'The open chat in GHL',
        'Answer from the agent',
        'Send',
        'GHL',
        'vCX',
        'Token',
        'Calls, newest first',
      ],
    );
    assert.deepEqual(
      stops.filter(({ ring }) => !ring).map(({ name }) => name),
      [],
      'each shows that it has the focus',
    );

    await visitor.field.focus();
    await person.keyboard.type('Two');
    await person.keyboard.press('Shift+Enter');
    await person.keyboard.type('lines');
    await person.keyboard.press('Enter');
    await agent.message('Two\nlines').waitFor();
    await plug('GHL').focus();
    await person.keyboard.press('Space');
    await person.locator('[data-plug=ghl][aria-checked=false]').waitFor();
    await person.keyboard.press('Enter');
    await person.locator('[data-plug=ghl][aria-checked=true]').waitFor();
    await person.context().close();
    await calm();
  });

  test('text is text: HTML, long words, 64 KB, emoji, right to left', async () => {
    const { visitor, agent } = sides(page);
    const texts = [
      '<img src=x onerror="document.title=1">&amp;',
      `${'Donaudampfschiff'.repeat(40)}`,
      '👩🏽‍🚀 🎉 ok',
      'שלום, מתי אתם פתוחים?',
    ];
    for (const text of texts) {
      await visitor.say(text);
      await agent.message(text).waitFor();
    }
    const long = 'word '.repeat(13_107).trim();
    await visitor.say(long);
    const more = agent.messages.last().getByRole('button', { name: /Show all 65,534 characters/ });
    await more.click();
    assert.equal(await agent.messages.last().locator('.words').textContent(), long);
    for (const part of ['#visitor .thread', '#inbox .thread']) {
      const sideways = await page.locator(part).evaluate((thread) => thread.scrollWidth - thread.clientWidth);
      assert.equal(sideways, 0, part);
    }
    const direction = await agent
      .message(texts[3])
      .locator('.words')
      .evaluate((words) => getComputedStyle(words).direction);
    assert.equal(direction, 'rtl');
    await picture(page, 'texts');
  });

  test('no error and no violation of the page’s policy was seen by the browser', () => {
    // What was refused on purpose, the browser reports as well.
    const expected = /\/session\)$|status of 413/;
    assert.deepEqual(
      browser.complaints.filter((text) => !expected.test(text)),
      [],
    );
  });
});

/** Waits until nothing is queued any more, and all is well. */
async function calm() {
  const { story, health } = sides(page);
  await story.filter({ hasText: 'Everything gets through.' }).waitFor({ timeout: PATIENCE_MS });
  await health.getByText('ok', { exact: true }).waitFor();
}

/** Runs in the page: the name of what has the focus, and whether one sees that it has it. */
function describeFocus() {
  const element = /** @type {HTMLElement} */ (document.activeElement);
  const label =
    /** @type {any} */ (element).labels?.[0]?.textContent ?? element.ariaLabel ?? element.textContent?.trim() ?? '';
  const name = element.matches('.contact') ? `Contact ${label}` : label;
  return { name, ring: getComputedStyle(element).outlineStyle !== 'none' };
}

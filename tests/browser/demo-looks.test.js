/**
 * How the page of the demo looks, on a phone and on a desk, in light and in dark: measured, and held against the rules of
 * accessibility that a program can check.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { missing } from './chromium.js';
import { picture, sides, startBrowser, startDemo } from './demo.js';

/** @import { Page } from 'playwright-core' */

/** @type {Awaited<ReturnType<typeof startDemo>>} */
let demo;
/** @type {Awaited<ReturnType<typeof startBrowser>>} */
let browser;

const SCREENS = [
  [360, 640],
  [414, 896],
  [768, 1024],
  [1024, 768],
  [1440, 900],
];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

describe('the looks of the page', { skip: missing, timeout: 300_000 }, () => {
  before(async () => {
    demo = await startDemo();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await demo?.close();
  });

  for (const [width, height] of SCREENS) {
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      test(`at ${width} × ${height}, ${colorScheme}: nothing overlaps, sticks out, moves, or is hard to perceive`, async () => {
        const person = await browser.open(demo.url, { viewport: { width, height }, colorScheme });
        const { visitor, agent } = sides(person);
        const tabs = person.getByRole('navigation', { name: 'Show' }).getByRole('button');
        const views = (await tabs.first().isVisible()) ? await tabs.all() : [undefined];
        assert.equal(views.length, width < 760 ? 3 : 1);
        await sides(person).health.getByText('ok', { exact: true }).waitFor();
        await visitor.messages.first().waitFor({ state: 'attached' });
        await agent.messages.first().waitFor({ state: 'attached' });
        for (const [index, view] of views.entries()) {
          await view?.click();
          assert.deepEqual(await person.evaluate(misplaced), [], `view ${index + 1}`);
          assert.deepEqual(await accessibilityOf(person), [], `view ${index + 1}`);
          await picture(person, `${width}-${colorScheme}-${index + 1}`);
        }
        await views[0]?.click();
        const places = () => person.evaluate(boxes);
        const before = await places();
        const words = `Seen at ${width}, ${colorScheme}`;
        await visitor.say(words);
        await visitor.is(words, 'delivered');
        assert.deepEqual(await places(), before, 'nothing moves when a message comes');
        await person.context().close();
      });
    }
  }
});

/** What axe finds. @param {Page} page */
async function accessibilityOf(page) {
  // The policy lets no script in but the page's own; this way it needs none.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    /** @type {any} */ (globalThis).axe.run(document, { resultTypes: ['violations'] }),
  );
  return violations.map(
    (/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ { html }) => html).join(' ')}`,
  );
}

/** Runs in the page: where everything is that should stay where it is. */
function boxes() {
  return [
    ...document.querySelectorAll(
      'header, .thread, .composer, .controls, .calls, .contacts, button[role=switch], .health',
    ),
  ]
    .filter((element) => element.checkVisibility())
    .map((element) => {
      const { x, y, width, height } = element.getBoundingClientRect();
      return [element.className || element.id || element.textContent, x, y, width, height].join(' ');
    });
}

/** Runs in the page: what is wider than the screen, outside of it, or over something else that it is no part of. */
function misplaced() {
  const wrong = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) wrong.push(`it scrolls sideways: ${root.scrollWidth} > ${root.clientWidth}`);
  if (root.scrollHeight > root.clientHeight) wrong.push(`it scrolls down: ${root.scrollHeight} > ${root.clientHeight}`);
  const solid = [
    ...document.querySelectorAll('h1, h2, h3, button, textarea, .who, .link, .health, .story, .thread, .calls, .about'),
  ]
    .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.matches('.unseen'))
    // What is inside of a part that scrolls may be anywhere in it.
    .filter((element) => !element.parentElement?.closest('.thread, .calls, .contacts'))
    .map((element) => ({ element, box: element.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 0 && box.height > 0);
  const nameOf = (/** @type {Element} */ element) => element.id || element.className || element.textContent;
  for (const { element, box } of solid) {
    if (box.left < 0 || box.top < 0 || box.right > innerWidth + 0.5 || box.bottom > innerHeight + 0.5)
      wrong.push(`${nameOf(element)} sticks out`);
    for (const other of solid) {
      if (other.element === element || other.element.contains(element) || element.contains(other.element)) continue;
      const width = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
      const height = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
      if (width > 0.5 && height > 0.5) wrong.push(`${nameOf(element)} is over ${nameOf(other.element)}`);
    }
  }
  return wrong;
}

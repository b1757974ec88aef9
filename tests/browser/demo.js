/**
 * What the tests of the page stand on: the demo as a newcomer starts it, a browser, and the few things that a person does on the
 * page.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { freePort } from '../../scripts/workerd.mjs';
import { FLAGS, PROGRAM } from './chromium.js';

/** @import { Page } from 'playwright-core' */

/** `npm run demo`, up to the point where it stays up. @returns {Promise<{ url: string, text: () => string, close: () => Promise<void> }>} */
export async function startDemo() {
  const demo = fileURLToPath(new URL('../../scripts/demo.mjs', import.meta.url));
  const child = spawn(process.execPath, [demo, '--no-build', '--no-open', '--port', `${await freePort()}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  const exited = once(child, 'exit');
  let text = '';
  await new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      if (text.includes('What is called from here on')) resolve(undefined);
    });
    exited.then(() => reject(new Error(`the demo has ended:\n${text}`)));
  });
  const url = /^Next: open this page.*\n\n {2}(\S+)$/m.exec(text)?.[1] ?? '';
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/, text);
  return {
    url,
    text: () => text,
    async close() {
      child.kill('SIGINT');
      await exited;
    },
  };
}

/** A browser of its own, whose every complaint is kept. */
export async function startBrowser() {
  const browser = await chromium.launch({ executablePath: PROGRAM, args: FLAGS });
  /** @type {string[]} */
  const complaints = [];

  return {
    /** What any page wrote to its console as an error, threw, or was kept from doing by its policy. */
    complaints,

    /**
     * The page, opened by somebody who has never been here.
     * @param {string} url
     * @param {import('playwright-core').BrowserContextOptions} [options]
     */
    async open(url, options) {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        reducedMotion: 'reduce',
        ...options,
      });
      await context.addInitScript(() => {
        addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
          console.error(`policy: ${violatedDirective} ${blockedURI}`);
        });
      });
      context.on('console', (message) => {
        if (message.type() === 'error') complaints.push(`${message.text()} (${message.location().url})`);
      });
      context.on('weberror', (error) => complaints.push(String(error.error())));
      context.setDefaultTimeout(30_000);
      const page = await context.newPage();
      await page.goto(url);
      return page;
    },

    close: () => browser.close(),
  };
}

/** What there is on the page, and what one does there. @param {Page} page */
export function sides(page) {
  const visitor = page.locator('#visitor');
  const inbox = page.locator('#inbox');
  return {
    visitor: side(visitor, 'Message from the visitor'),
    agent: {
      ...side(inbox.locator('.talk'), 'Answer from the agent'),
      /** @param {string | RegExp} name */
      contact: (name) => inbox.getByRole('navigation').getByRole('button', { name }),
    },
    /** @param {'GHL' | 'vCX' | 'Token'} name */
    plug: (name) => page.getByRole('switch', { name, exact: true }),
    story: page.locator('#story'),
    health: page.locator('#health'),
    /** The calls of a name, newest first: `POST /events message.created`. @param {string | RegExp} name */
    calls: (name) => page.locator('#calls li').filter({ hasText: name }),
  };
}

/** @param {import('playwright-core').Locator} part @param {string} label */
function side(part, label) {
  const field = part.getByLabel(label);
  /** The message with these words. @param {string} words */
  const message = (words) => part.locator('.message').filter({ has: part.page().getByText(words, { exact: true }) });
  return {
    field,
    message,
    messages: part.locator('.message'),
    /**
     * Waits until the message with these words is so far.
     * @param {string} words
     * @param {'sending' | 'sent' | 'delivered' | 'read' | 'failed'} state
     */
    is: (words, state) => message(words).locator(`.tick[data-state=${state}]`).waitFor({ timeout: PATIENCE_MS }),
    /** @param {string} words */
    async say(words) {
      await field.fill(words);
      await field.press('Enter');
    },
  };
}

/** Leaves a picture for whoever wants to look at what the tests saw. @param {Page} page @param {string} name */
export async function picture(page, name) {
  await page.screenshot({ path: join(tmpdir(), 'vcx-ghl-demo-page', `${name}.png`) });
}

/** What was put off is tried again after some seconds; after a while of trying, after 45 s at most, and then in its turn. */
export const PATIENCE_MS = 150_000;

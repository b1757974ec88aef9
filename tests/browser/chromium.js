/**
 * A real browser: Chromium as Debian has it.
 */

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const PROGRAM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Why there is none, if there is none: for the option `skip` of a test. */
export const missing = existsSync(PROGRAM) ? false : `there is no ${PROGRAM}: apt-get install chromium`;

/**
 * A browser that has never been used before, with one window.
 * @param {import('node:test').TestContext} t
 * @param {Record<string, string>} [hosts] what `host:port` in a URL stands for
 */
export async function openBrowser(t, hosts = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'vcx-ghl-chromium-'));
  const rules = Object.entries(hosts).map(([from, to]) => `MAP ${from} ${to}`);
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: PROGRAM,
    headless: true,
    args: [...FLAGS, ...(rules.length ? [`--host-resolver-rules=${rules.join(',')}`] : [])],
  });
  browser.setDefaultTimeout(15_000);
  t.after(async () => {
    await browser.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return browser;
}

export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

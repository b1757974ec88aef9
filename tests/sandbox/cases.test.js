/** GHL's behaviour, case by case: see the `_readme` of tests/ghl-cases.json. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { runCase, startReceiver } from './cases.js';

/** @type {{ cases: import('./cases.js').Case[] }} */
const { cases } = JSON.parse(readFileSync(new URL('../ghl-cases.json', import.meta.url), 'utf8'));

describe('the GHL of the sandbox', () => {
  /** @type {Awaited<ReturnType<typeof startReceiver>>} */
  let receiver;
  before(async () => {
    receiver = await startReceiver();
  });
  after(() => receiver.close());

  it('cites FACTS for every case', () => {
    for (const { name, facts } of cases) assert.match(facts, /^§\d/, name);
    assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length, 'a name is used twice');
  });

  for (const story of cases) it(`${story.name} (${story.facts})`, () => runCase(story, receiver.url));
});

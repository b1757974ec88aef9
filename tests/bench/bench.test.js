/**
 * What the benchmark rests on: it does not measure errors, its stand-in takes only what GHL would, its bill is right, and what
 * it writes goes where it belongs.
 */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { COPY, ECHO, FIRST, PUSH, REPLY, UNREAD } from './figures/counts.js';
import { month } from './figures/month.js';
import { load, prepare, tool } from './load.js';
import { startStandin } from './standin.js';
import { startWorkerd } from './workerd.js';
import { writeReadme } from './write.js';

/** @import { AddressInfo } from 'node:net' */

const folder = mkdtempSync(join(tmpdir(), 'vcx-ghl-bench-test-'));
after(() => rmSync(folder, { recursive: true }));

const prepared = prepare(
  join(folder, 'requests'),
  Array.from({ length: 100_000 }, (_, n) => ({ path: `/?n=${n}`, headers: { 'x-of': 'it' }, body: `{"n":${n}}` })),
);

// The one that is used here, and the one that is always there.
for (const by of new Set([tool(), /** @type {const} */ ('autocannon')])) {
  describe(`load by ${by}`, () => {
    it('sends each prepared request once, and counts its answers', async (t) => {
      /** @type {string[]} */
      const got = [];
      const url = await serve(t, ({ url, headers }, body) => {
        got.push(body);
        assert.equal(headers['x-of'], 'it');
        assert.equal(url, `/?n=${JSON.parse(body).n}`);
        return 200;
      });
      const { good, p50, p99 } = await load(url, prepared, { seconds: 1, connections: 2, from: 10, by });
      assert.ok(good > 0 && good <= got.length, `${good} of ${got.length}`);
      assert.equal(new Set(got).size, got.length);
      assert.ok(Math.min(...got.map((body) => JSON.parse(body).n)) >= 10);
      assert.ok(p50 <= p99);
    });

    it('fails when one answer is not the expected one, be it a 202', async (t) => {
      let n = 0;
      const url = await serve(t, () => (++n === 50 ? 202 : 200));
      await assert.rejects(load(url, prepared, { seconds: 1, connections: 2, by }), /1 of \d+ answers were not 200/);
    });

    it('fails when there are not enough requests', async (t) => {
      const url = await serve(t, () => 200);
      const few = { seconds: 1, connections: 2, from: prepared.length - 20, by };
      await assert.rejects(load(url, prepared, few), /prepared requests did not suffice/);
    });
  });
}

describe('the stand-in', () => {
  it('counts calls by route, and fails whoever calls GHL as GHL does not take it', async (t) => {
    const standin = await startStandin();
    t.after(() => standin.close());
    const headers = { authorization: 'Bearer x', version: '2021-04-15' };
    const url = `${standin.ghl}/conversations/messages/msg1/status`;
    assert.equal((await fetch(url, { method: 'PUT', headers, body: '{"status":"delivered"}' })).status, 200);
    assert.deepEqual(await standin.counts(), { 'PUT /conversations/messages/:id/status': 1 });
    await standin.quiet(20);
    for (const lacking of ['authorization', 'version']) {
      const rest = Object.entries(headers).filter(([name]) => name !== lacking);
      assert.equal((await fetch(url, { method: 'PUT', headers: rest, body: '{}' })).status, 401, lacking);
    }
    assert.equal((await fetch(`${standin.ghl}/nowhere`, { headers })).status, 404);
    await assert.rejects(standin.quiet(20), /3 calls were not as GHL takes them/);
  });
});

it('a Worker that logs an error cannot be closed as if nothing had been', async () => {
  const module = join(folder, 'worker.js');
  const line = JSON.stringify({ level: 'error', event: 'dead_letter' });
  writeFileSync(module, `export default { fetch() { console.log('${line}'); return new Response('ok'); } };`);
  for (const unless of [undefined, /"dead_letter"/]) {
    const running = await startWorkerd({ modules: [module] });
    assert.equal(await (await fetch(running.url)).text(), 'ok');
    if (unless) await running.close(unless);
    else await assert.rejects(running.close(), /the Worker logged errors/);
  }
});

it('a month is billed as Cloudflare bills it', () => {
  const [table] = month.report(null, { counts: { kinds: KINDS } }).tables;
  const bill = Object.fromEntries(table.rows.map(([line, , , hundred]) => [line, hundred]));
  assert.equal(bill['Worker requests'], '$72.00', '(250 M - 10 M) × 0.30');
  assert.equal(bill['Durable Object requests'], '$74.85', '(500 M - 1 M) × 0.15');
  assert.equal(bill['rows written'], '$450', '(500 M - 50 M) × 1.00');
  // 325 M s in 10,000 objects of 2.592 M s each: 0.0125 of the time, less what overlaps.
  const busy = 1 - Math.exp(-325e6 / 10_000 / 2.592e6);
  const gigabytes = 0.128 * busy * 10_000 * 2.592e6;
  assert.equal(bill['Durable Object duration, GB-s'], `$${Math.round(((gigabytes - 400e3) / 1e6) * 12.5)}`);
});

describe('README.md', () => {
  const readme = join(folder, 'README.md');
  const marks = ['<!-- bench: written by npm run bench -- --write -->', '<!-- /bench -->'];
  mkdirSync(join(folder, 'tests/bench/results'), { recursive: true });

  it('gets ratios, tables, bill, picture and the machine between its marks, and stays as it is elsewhere', () => {
    for (const before of ['', 'old figures\n']) {
      writeFileSync(readme, `# Project\n\n${marks[0]}\n${before}${marks[1]}\n\n## Licence\n`);
      writeReadme(RUN, folder);
      const text = readFileSync(readme, 'utf8');
      assert.ok(
        text.startsWith(`# Project\n\n${marks[0]}\nMeasured on 2026-11-24, in 9 min: a machine with 2 cores. With `),
        text,
      );
      assert.ok(text.endsWith(`\n${marks[1]}\n\n## Licence\n`), text);
      assert.doesNotMatch(text, /old figures/);
      assert.match(text, /\| push over one location, against Hono \+ GHL SDK +\| +1\.50 × \| +≥ 1\.5 × \| +✓ \|/);
      assert.match(text, /\| push over one location, against Express +\| +3\.00 × \| +≥ 2 × \| +✓ \|/);
      assert.match(
        text,
        /\| processor time of a duplicate, against a mapped one +\| +1\.00 × \| +≤ 0\.5 × \| ✗ missed \|/,
      );
      assert.match(text, /\| vcx-ghl +\| 30 \(29–31\) \|/);
      assert.match(text, /\| \*\*together\*\* /);
      const [, picture] = text.match(/!\[.*\]\((.*)\)/) ?? [];
      const svg = readFileSync(join(folder, picture), 'utf8');
      assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
      for (const words of ['vcx-ghl', 'Hono + GHL SDK', 'Express', '3.0 ×', '2.0 ×', '1.0 ×', 'webhook']) {
        assert.ok(svg.includes(words), words);
      }
    }
  });

  it('is not written without its marks, nor of a part of the figures', () => {
    writeFileSync(readme, '# Project\n');
    assert.throws(() => writeReadme(RUN, folder), /README.md lacks the marks/);
    const part = { ...RUN, results: { push: RUN.results.push } };
    assert.throws(() => writeReadme(part, folder), /README.md needs the figures webhook, month as well/);
    assert.equal(readFileSync(readme, 'utf8'), '# Project\n');
  });
});

/**
 * One request to an object, one row, and an alarm that is set and goes off, for each of the kinds, of which there are 2.5 a
 * message; one call that is waited for, and a second of a timer.
 * @type {any}
 */
const KIND = {
  worker: { asks: 1, turns: 2, statements: 9, rowsRead: 9, rowsWritten: 1, alarmsSet: 1, alarmsRun: 1 },
  calls: { 'POST x': 1 },
  heldMs: 1_000,
};
const NAMES = [FIRST, PUSH, ECHO, REPLY, COPY, UNREAD];
const KINDS = Object.fromEntries(NAMES.map((name) => [name, KIND]));

/** @type {import('./write.js').Run} */
const RUN = {
  at: '2026-11-24T12:00:00.000Z',
  machine: 'a machine with 2 cores',
  versions: { Node: '20' },
  took: '9 min',
  options: { rounds: 3, seconds: 3, connections: 32, messages: 100 },
  results: {
    push: { one: three(), twenty: three(), disk: three() },
    webhook: {
      mapped: three(),
      kinds: { 'a duplicate': some(1), 'one of another channel': some(1), 'a badly signed one': some(1) },
    },
    counts: { kinds: KINDS, rivals: {} },
    month: null,
  },
};

function three() {
  return { 'vcx-ghl': some(30), 'Hono + GHL SDK': some(20), Express: some(10) };
}

/** @param {number} n */
function some(n) {
  const spread = { median: n, min: n - 1, max: n + 1 };
  return { perSecond: spread, p50: spread, p99: spread, cpu: { median: 5, min: 5, max: 5 }, calls: {}, standinBusy: 0 };
}

/** @param {import('node:test').TestContext} t @param {(request: import('node:http').IncomingMessage, body: string) => number} answer */
async function serve(t, answer) {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    response.writeHead(answer(request, body)).end('{}');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  t.after(() => server.close());
  return `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`;
}

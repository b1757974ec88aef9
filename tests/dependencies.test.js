/** The checks of `npm test` over what we build on, with something in it that they are to find. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { auditFindings, crates, lockFaults, sourceFaults } from '../scripts/dependencies.mjs';
import { NoPython, pythonTools } from '../scripts/python.mjs';

const skip = await pythonTools().then(
  () => false,
  (error) => {
    if (error instanceof NoPython) return error.message;
    throw error;
  },
);
const folder = mkdtempSync(join(tmpdir(), 'vcx-ghl-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const deny = readFileSync(new URL('../deny.toml', import.meta.url), 'utf8');

/** What cargo-deny finds by another deny.toml. @param {string} name @param {[string | RegExp, string]} change @param {Record<string, string>} [env] */
function found(name, change, env) {
  const config = join(folder, `${name}.toml`);
  const changed = deny.replace(...change);
  assert.notEqual(changed, deny);
  writeFileSync(config, changed);
  return crates(name, { config, env });
}

describe('of a crate that is shipped', { skip }, () => {
  it('a licence that deny.toml does not have is found', async () => {
    const { failed } = await found('licence', ['"BSD-3-Clause", ', '']);
    assert.match(failed.join(), /what is shipped:[\s\S]*license is not explicitly allowed/);
  });

  it('a build script that nobody has looked at is found', async () => {
    const { failed } = await found('script', ['"serde_json",', '']);
    assert.match(failed.join(), /crate 'serde_json = [\d.]+' has a build script/);
  });

  it('another registry than crates.io is found', async () => {
    const { failed } = await found('registry', ['[sources]', '[sources]\nallow-registry = []']);
    assert.match(failed.join(), /what is shipped:[\s\S]*source-not-allowed/);
  });

  it('an advisory is found; of a tool’s crate it is told', async () => {
    assert.deepEqual(await advised('serde_json'), { failed: 1, notes: 1 });
    assert.deepEqual(await advised('proptest'), { failed: 0, notes: 1 });
  });

  it('that nobody can be asked for advisories is told, and no failure', async () => {
    const { failed, notes = [] } = await found('unreachable', database('unreachable'), GIT);
    assert.deepEqual([failed, notes.length], [[], 1]);
    assert.match(notes[0], /not to be had/);
  });

  /** Something is known against a crate. @param {string} crate */
  async function advised(crate) {
    const name = `advisory-${crate}`;
    const home = join(folder, name);
    mkdirSync(join(home, 'crates', crate), { recursive: true });
    const head = `[advisory]\nid = "RUSTSEC-2026-0001"\npackage = "${crate}"\ndate = "2026-01-01"\n\n[versions]\npatched = []`;
    const text = `\`\`\`toml\n${head}\n\`\`\`\n\n# It is wrong\n\nIn words.\n`;
    writeFileSync(join(home, 'crates', crate, 'RUSTSEC-2026-0001.md'), text);
    const me = ['-c', 'user.name=test', '-c', 'user.email=test@test.example'];
    for (const args of [
      ['init', '--quiet', '--initial-branch=main', '.'],
      ['add', '.'],
      ['commit', '--quiet', '--message', 'One'],
    ])
      execFileSync('git', [...me, ...args], { cwd: home });
    const { failed, notes = [] } = await found(name, database(name), GIT);
    for (const found of [...failed, ...notes]) assert.match(found, /It is wrong/);
    return { failed: failed.length, notes: notes.length };
  }

  /** @param {string} name @returns {[string, string]} */
  function database(name) {
    const [path, url] = [join(folder, 'databases'), `https://advisories.test/${name}`];
    return ['yanked = "deny"', `db-path = "${path}"\ndb-urls = ["${url}"]`];
  }

  /** A database must have a host; git finds it in our folder all the same. */
  const GIT = {
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `url.${pathToFileURL(folder)}/.insteadOf`,
    GIT_CONFIG_VALUE_0: 'https://advisories.test/',
  };
});

describe('of an npm package', () => {
  const good = { integrity: 'sha512-abc', license: 'MIT' };

  it('another source, an unknown content and a licence of what is shipped are found', () => {
    const faults = lockFaults({
      packages: {
        '': { license: 'none' },
        'node_modules/good': good,
        'node_modules/same': { ...good, resolved: 'https://registry.npmjs.org/same/-/same-1.0.0.tgz' },
        'node_modules/tool': { ...good, license: 'GPL-3.0', dev: true },
        'node_modules/elsewhere': { ...good, resolved: 'git+ssh://git@example.test/elsewhere.git' },
        'node_modules/unknown': { ...good, integrity: undefined },
        'node_modules/shipped': { ...good, license: 'GPL-3.0' },
      },
    });
    assert.deepEqual(faults, [
      'node_modules/elsewhere comes from git+ssh://git@example.test/elsewhere.git',
      'node_modules/unknown has no SHA-512',
      'node_modules/shipped is under GPL-3.0',
    ]);
  });

  it('what npm audit says is found, and that it said nothing', () => {
    const vulnerabilities = { ws: { name: 'ws', severity: 'high', range: '<9' } };
    assert.deepEqual(auditFindings(JSON.stringify({ auditReportVersion: 2, vulnerabilities })), ['ws <9: high']);
    assert.deepEqual(auditFindings(JSON.stringify({ auditReportVersion: 2, vulnerabilities: {} })), []);
    assert.equal(auditFindings(JSON.stringify({ message: '405 Method Not Allowed' })), undefined);
    assert.equal(auditFindings(''), undefined);
  });
});

describe('while packages are installed', () => {
  it('none of their own code runs, of npm’s and of PyPI’s', () => {
    const text = (/** @type {string} */ file) => readFileSync(new URL(`../scripts/${file}`, import.meta.url), 'utf8');
    assert.match(text('prepare.mjs'), /npm\('ci', '--ignore-scripts',/);
    assert.match(text('python.mjs'), /'--require-hashes', '--only-binary', ':all:'/);
  });
});

describe('of our own sources', () => {
  it('unsafe code, another place to take things from, and a crate that allows the one are found', () => {
    const faults = sourceFaults([
      { file: 'src/a.rs', text: '// unsafe only in words\nlet x = unsafe { y };\n' },
      { file: 'src/b.rs', text: '/// See <https://docs.rs/serde>.\nconst URL: &str = "https://ghl.example";\n' },
      {
        file: 'scripts/c.mjs',
        text: "say('http://127.0.0.1:1 https://rustup.rs');\nfetch('https://cdn.elsewhere.org/x');\n",
      },
      { file: 'build.rs', text: 'Command::new("git clone x")' },
      { file: 'tools/d/Cargo.toml', text: '[package]\nname = "d"\n' },
    ]);
    assert.deepEqual(faults, [
      'src/a.rs:2: let x = unsafe { y };',
      'scripts/c.mjs:2: https://cdn.elsewhere.org',
      'build.rs:1: git clone',
      'tools/d/Cargo.toml does not forbid unsafe code',
    ]);
  });
});

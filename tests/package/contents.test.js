/** What npm packs: what is needed, and nothing else; without a complaint of those who look at packages. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { freshProject, root, run, runTool, tarball } from './project.js';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

describe('the tarball', () => {
  it('holds the sources, what is built, the types, and the papers', async () => {
    const { stdout } = await run(root, 'tar', '-tzf', await tarball());
    const files = stdout
      .trim()
      .split('\n')
      .map((file) => file.replace(/^package\//, ''));
    const kinds = [
      /^(package\.json|README\.md|LICENSE-(MIT|APACHE))$/,
      /^js\/(npm\/|client\/)?[\w-]+\.(js|cjs|d\.cts)$/,
      /^js\/sandbox\/([\w-]+\/)*[\w-]+\.(js|html|css|svg)$/,
      /^pkg\/(README\.md|client\.js(\.LICENSE\.txt)?|vcx_ghl(_bg\.wasm)?\.d\.ts|vcx_ghl\.js|vcx_ghl_bg\.wasm)$/,
      /^types\/([\w-]+\/)*[\w-]+\.d\.ts$/,
    ];
    assert.deepEqual(
      files.filter((file) => !kinds.some((kind) => kind.test(file))),
      [],
    );
    for (const kind of kinds)
      assert.ok(
        files.some((file) => kind.test(file)),
        `there is no ${kind}`,
      );
  });

  it('has every file that its exports and its imports name', async (t) => {
    const project = await freshProject(t);
    const base = join(project, 'node_modules/vcx-ghl');
    const { exports, imports, main, types, typesVersions, bin } = manifest;
    const named = JSON.stringify({ exports, imports, main, types, typesVersions, bin }).match(
      /"(\.?\/?(?:js|pkg|types)\/[^"*]+)"/g,
    );
    assert.ok(named && named.length > 20);
    for (const name of named) readFileSync(join(base, JSON.parse(name)));
  });

  it('is built whenever it is packed', () => {
    assert.equal(manifest.scripts.prepack, 'node scripts/build.mjs --package');
  });

  it('needs nothing but the library for WebSockets', () => {
    assert.deepEqual(Object.keys(manifest.dependencies), ['partysocket']);
  });
});

describe('nothing is found by', () => {
  it('publint', async () => {
    const { stdout } = await runTool(root, 'publint/src/cli.js', 'run', '--strict', await tarball());
    assert.match(stdout, /All good!/);
  });

  it('@arethetypeswrong/cli', async () => {
    const { stdout } = await runTool(root, '@arethetypeswrong/cli/dist/index.js', '--format', 'json', await tarball());
    const { analysis, problems } = JSON.parse(stdout);
    assert.ok(analysis.entrypoints['./sandbox'], 'it has looked');
    assert.deepEqual(problems ?? {}, {});
  });
});

describe('the browser’s client is at most 6 KiB, compressed', () => {
  it('as one file', async (t) => {
    const project = await freshProject(t);
    assertSmall(readFileSync(join(project, 'node_modules/vcx-ghl/pkg/client.js')));
  });

  it('in a bundle', async (t) => {
    const project = await freshProject(t, {
      'main.js': "import { connect } from 'vcx-ghl';\nconnect(globalThis.options);\n",
    });
    const { outputFiles, metafile } = await build({
      ...{ entryPoints: [join(project, 'main.js')], bundle: true, minify: true, format: 'esm', target: 'es2022' },
      ...{ write: false, metafile: true, logLevel: 'silent' },
    });
    assertSmall(outputFiles[0].contents);
    const used = Object.entries(Object.values(metafile.outputs)[0].inputs).filter(
      ([, { bytesInOutput }]) => bytesInOutput,
    );
    const foreign = used
      .map(([path]) => path)
      .filter((path) => !/(vcx-ghl\/js\/(client|npm\/error)|partysocket|main\.js)/.test(path));
    assert.deepEqual(foreign, [], 'what is not used is left out');
  });
});

/** @param {Uint8Array} bytes */
function assertSmall(bytes) {
  const { length } = gzipSync(bytes, { level: 9 });
  assert.ok(length <= 6 * 1024, `it is ${length} bytes`);
}

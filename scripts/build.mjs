// Builds what is deployed: src/ into pkg/ (WASM and its JavaScript), then js/worker.js and pkg/ into dist/ (the Worker); and what
// the npm package has beside its sources: pkg/client.js (the browser's module in one file) and types/. Does only what changed.
//
//     node scripts/build.mjs [--wasm-only | --package] [--features a,b] [--out DIR]
//
// --wasm-only   pkg/ alone; this is what wrangler runs before it bundles
// --package     pkg/ and types/: what `npm pack` packs
// --features    features of the crate
// --out         where pkg/ and dist/ go instead of here

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { prepare } from './prepare.mjs';
import { hash, must, Problem, program, root, say, seconds, tool, unlessFresh } from './run.mjs';

/**
 * @typedef {{ features?: string, out?: string }} Flavour
 * @typedef {{ raw: number, gzip: number }} Size
 */

/** Everything: pkg/, types/ and dist/. @param {Flavour} [flavour] @returns {Promise<{ wasm: Size, worker: Size }>} */
export async function build(flavour = {}) {
  const wasm = await buildWasm(flavour);
  // The package is packed from here alone.
  if (!flavour.out) await buildPackage();
  const worker = await buildWorker(flavour);
  return { wasm, worker };
}

/** pkg/: the crate as WASM, and what makes it a JavaScript module. @param {Flavour} [flavour] */
export async function buildWasm({ features = '', out = root } = {}) {
  const helper = await buildHelper();
  const compiled = await cargo('crate to WASM', [
    ...['build', '--locked', '--release', '--lib', '--target', 'wasm32-unknown-unknown'],
    // Cargo gives both flavours the same file name: in one folder they would rebuild each other.
    ...(features ? ['--features', features, '--target-dir', join(resolve(out), 'target')] : []),
  ]);
  const input = compiled.files.find((file) => file.endsWith('.wasm'));
  if (!input) throw new Problem('cargo built no .wasm file', compiled.output);

  const pkg = join(resolve(out), 'pkg');
  const names = ['vcx_ghl.js', 'vcx_ghl.d.ts', 'vcx_ghl_bg.wasm', 'vcx_ghl_bg.wasm.d.ts'];
  const [node, wasmOpt] = tool('wasm-opt');
  const inputs = hash({ texts: [...GENERATE, ...OPTIMIZE], files: [input, helper, join(root, 'package-lock.json')] });
  await unlessFresh(
    join(pkg, '.stamp'),
    inputs,
    () => names.map((name) => join(pkg, name)),
    async () => {
      // Made aside and moved in whole: `wrangler dev` may be watching, or another build running.
      const aside = join(pkg, `.new-${process.pid}`);
      rmSync(aside, { recursive: true, force: true });
      mkdirSync(aside, { recursive: true });
      const generated = await must('wasm-bindgen', helper, ['generate', input, ...GENERATE, '--out-dir', aside]);
      const wasm = join(aside, 'vcx_ghl_bg.wasm');
      const optimized = await must('wasm-opt', node, [wasmOpt, ...OPTIMIZE, wasm, '-o', wasm]);
      // A bundler gives the module itself, not its exports.
      writeFileSync(`${wasm}.d.ts`, 'declare const module: WebAssembly.Module;\nexport default module;\n');
      for (const name of names) renameSync(join(aside, name), join(pkg, name));
      rmSync(aside, { recursive: true });
      say(`  ✓ wasm-bindgen, wasm-opt (${seconds(generated.seconds + optimized.seconds)})`);
    },
  );
  return report('WASM', [join(pkg, 'vcx_ghl_bg.wasm')]);
}

/** What npm packs that is not in git: the browser's module in one file, for pages without a bundler, and the types. */
export async function buildPackage() {
  const js = join(root, 'js');
  const configs = ['tsconfig.json', 'tsconfig.worker.json', 'tsconfig.types.json', 'tsconfig.types.worker.json'];
  const client = join(root, 'pkg/client.js');
  const licence = `${client}.LICENSE.txt`;
  const types = join(root, 'types');
  const inputs = hash({
    files: [
      ...list(js),
      fileURLToPath(import.meta.url),
      ...[...configs, 'package.json', 'package-lock.json', 'pkg/vcx_ghl.d.ts'].map((name) => join(root, name)),
    ],
  });
  const outputs = () => [client, licence, ...list(types)];
  await unlessFresh(join(root, 'pkg/.stamp-package'), inputs, outputs, async () => {
    const aside = join(root, 'pkg', `.new-${process.pid}`);
    rmSync(aside, { recursive: true, force: true });
    const started = Date.now();
    await bundleClient(join(aside, 'client.js'));
    for (const config of configs.slice(2)) {
      const [node, tsc] = tool('tsc');
      const out = ['--outDir', join(aside, 'types'), '--pretty', 'false'];
      await must(`tsc --project ${config}`, node, [tsc, '--project', config, ...out]);
    }
    if (existsSync(types)) renameSync(types, join(aside, 'old'));
    renameSync(join(aside, 'types'), types);
    renameSync(join(aside, 'client.js'), client);
    cpSync(join(root, 'node_modules/partysocket/LICENSE.txt'), licence);
    rmSync(aside, { recursive: true });
    say(`  ✓ esbuild, tsc (${seconds((Date.now() - started) / 1000)})`);
  });
  return report('Client', [client]);
}

/** js/npm/browser.js and what it imports, but for the WASM and its JavaScript, which are beside it. @param {string} outfile */
async function bundleClient(outfile) {
  const { build: bundle } = await import('esbuild');
  await bundle({
    entryPoints: [join(root, 'js/npm/browser.js')],
    outfile,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    // Of the library: its log, its test for Node, the length of its private names.
    drop: ['console'],
    define: { process: 'undefined' },
    mangleProps: /^_/,
    banner: {
      js: `/* vcx-ghl ${manifest.version}, ${manifest.license}; with partysocket, MIT: client.js.LICENSE.txt */`,
    },
    plugins: [
      {
        name: 'beside',
        setup({ onLoad, onResolve }) {
          onResolve({ filter: /pkg\/vcx_ghl\.js$/ }, () => ({ path: './vcx_ghl.js', external: true }));
          onLoad({ filter: /wasm-web\.js$/ }, ({ path }) => ({
            contents: readFileSync(path, 'utf8').replace('../../pkg/', './'),
          }));
        },
      },
    ],
  });
}

/** dist/: the very files that `wrangler deploy` uploads. @param {Flavour} [flavour] */
export async function buildWorker({ out = root } = {}) {
  const base = resolve(out);
  const dist = join(base, 'dist');
  const js = join(root, 'js');
  const sources = list(js).filter((file) => !file.startsWith(join(js, 'sandbox')));
  const config = join(root, 'wrangler.toml');
  const inputs = hash({
    files: [
      ...sources,
      config,
      join(root, 'package-lock.json'),
      join(base, 'pkg/vcx_ghl.js'),
      join(base, 'pkg/vcx_ghl_bg.wasm'),
    ],
  });
  const outputs = () => list(dist).filter((file) => !file.endsWith('.stamp'));
  await unlessFresh(join(dist, '.stamp'), inputs, outputs, async () => {
    const aside = `${dist}-${process.pid}`;
    if (base !== root) stage(base, config);
    const [node, wrangler] = tool('wrangler');
    const { seconds: took } = await must(
      'wrangler bundles the Worker',
      node,
      [wrangler, 'deploy', '--dry-run', '--outdir', aside],
      {
        cwd: base,
        env: { CI: 'true' },
      },
    );
    rmSync(dist, { recursive: true, force: true });
    renameSync(aside, dist);
    say(`  ✓ wrangler deploy --dry-run (${seconds(took)})`);
  });
  return report(
    'Worker',
    outputs().filter((file) => /\.(js|wasm)$/.test(file)),
  );
}

/** The generator and test runner of wasm-bindgen, from Cargo.lock. @returns {Promise<string>} its path */
export async function buildHelper() {
  const { executable, output } = await cargo('wasm-bindgen helper', [
    'build',
    '--locked',
    '--package',
    'vcx-ghl-wasm-tool',
  ]);
  if (!executable) throw new Problem('cargo built no helper', output);
  return executable;
}

/** A copy of what wrangler reads, around another pkg/, without the command that would build this one. @param {string} base @param {string} config */
function stage(base, config) {
  cpSync(join(root, 'js'), join(base, 'js'), { recursive: true });
  writeFileSync(join(base, 'wrangler.toml'), readFileSync(config, 'utf8').replace(/^\[build\]\n(?:.*=.*\n)*/m, ''));
}

/** @param {string} label @param {string[]} args */
async function cargo(label, args) {
  const ran = await must(label, 'cargo', [
    ...args,
    '--message-format',
    'json-render-diagnostics',
    '--config',
    'future-incompat-report.frequency="never"',
  ]);
  const artifacts = ran.stdout
    .split('\n')
    .filter((line) => line.startsWith('{"reason":"compiler-artifact"'))
    .map((line) => JSON.parse(line));
  const last = artifacts.at(-1) ?? { filenames: [], executable: null };
  if (artifacts.some((artifact) => !artifact.fresh)) say(`  ✓ ${label} (${seconds(ran.seconds)})`);
  return {
    files: /** @type {string[]} */ (last.filenames),
    executable: /** @type {string | null} */ (last.executable),
    output: ran.output,
  };
}

/** Every file in a folder, sorted. @param {string} folder */
function list(folder) {
  if (!existsSync(folder)) return [];
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
  return paths.filter((path) => statSync(path).isFile()).sort();
}

/** @param {string} name @param {string[]} files @returns {Size} */
function report(name, files) {
  const contents = files.map((file) => readFileSync(file));
  const raw = contents.reduce((sum, bytes) => sum + bytes.length, 0);
  const gzip = contents.reduce((sum, bytes) => sum + gzipSync(bytes, { level: 9 }).length, 0);
  say(
    `  ${name}: ${kibibytes(raw)}, ${kibibytes(gzip)} gzip  ${files.map((file) => relative(process.cwd(), file)).join(' ')}`,
  );
  return { raw, gzip };
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** @param {number} bytes */
const kibibytes = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;

export const GENERATE = [
  '--target',
  'web',
  '--out-name',
  'vcx_ghl',
  '--omit-default-module-path',
  '--experimental-reset-state-function',
];
// The features are those that rustc switches on for this target; every browser and workerd have had them since 2023.
export const OPTIMIZE = [
  '-O3',
  ...['bulk-memory', 'multivalue', 'mutable-globals', 'nontrapping-float-to-int', 'reference-types', 'sign-ext'].map(
    (name) => `--enable-${name}`,
  ),
];

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await program(async () => {
    const { values } = parseArgs({
      options: {
        'wasm-only': { type: 'boolean' },
        package: { type: 'boolean' },
        features: { type: 'string' },
        out: { type: 'string' },
      },
    });
    await prepare();
    if (values.package) {
      await buildWasm();
      await buildPackage();
    } else await (values['wasm-only'] ? buildWasm(values) : build(values));
  });
}

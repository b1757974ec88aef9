// Measures this project against its rivals, prints tables, keeps the figures as JSON.
//
//     npm run bench                                                  everything
//     npm run bench -- --only push,webhook --rounds 1 --seconds 2    a quick look
//     npm run bench -- --write                                       everything, and into README.md
//     npm run bench -- --write --from tests/bench/results/full.json  the same, of figures that are there already
//     npm run bench -- --profile push                                where the time goes; also webhook
//
// --only         some figures, by name
// --rounds       how often each contender has its turn
// --seconds      how long it is under load in a turn
// --connections  how many requests are under way at once
// --messages     how many there are where it is about many
// --dist         another build of the Worker, to compare two

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { prepare } from './prepare.mjs';
import { Problem, program, root, say, seconds } from './run.mjs';

/** @import { Options } from '../tests/bench/bench.js' */
/** @import { Figure } from '../tests/bench/figures/index.js' */
/** @import { Run } from '../tests/bench/write.js' */

await program(async () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      connections: { type: 'string', default: '32' },
      messages: { type: 'string', default: '100000' },
      dist: { type: 'string' },
      write: { type: 'boolean', default: false },
      from: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  await prepare();
  // Only now is there what npm installs.
  const { FIGURES } = await import('../tests/bench/figures/index.js');
  const { textOf, writeReadme } = await import('../tests/bench/write.js');
  const options = {
    rounds: number('rounds', values.rounds),
    seconds: number('seconds', values.seconds),
    connections: number('connections', values.connections),
    messages: number('messages', values.messages),
    dist: values.dist && resolve(values.dist),
  };
  if (values.profile) {
    if (options.dist) throw new Problem('--profile is of this tree, not of another build');
    await build();
    const { profile } = await import('../tests/bench/profile.js');
    await profile(values.profile, options);
    return 0;
  }
  const names = values.only?.split(',') ?? FIGURES.map(({ name }) => name);
  const figures = FIGURES.filter(({ name }) => names.includes(name));
  if (figures.length < names.length) {
    throw new Problem(`--only takes some of ${FIGURES.map(({ name }) => name).join(', ')}`);
  }
  const { run, failed } = values.from
    ? { run: /** @type {Run} */ (JSON.parse(readFileSync(values.from, 'utf8'))), failed: [] }
    : await measure(figures, options, values.only ? 'part' : 'full');
  say(textOf(run));
  for (const { name, why } of failed) say(`✗ ${name}: ${why}\n`);
  if (failed.length) throw new Problem(`Not measured: ${failed.map(({ name }) => name).join(', ')}`);
  if (values.write) writeReadme(run);
});

/** @param {Figure[]} figures @param {Options} options @param {string} name of the file */
async function measure(figures, options, name) {
  const { openBench } = await import('../tests/bench/bench.js');
  const { tool } = await import('../tests/bench/load.js');
  const { machine, needLinux } = await import('../tests/bench/process.js');
  const { openProgress } = await import('../tests/bench/progress.js');
  const { versions } = await import('../tests/bench/versions.js');
  needLinux();
  if (tool() !== 'wrk') say('wrk is not installed: autocannon makes the load, and takes a good part of a core for it.');
  if (!options.dist) await build();
  const began = Date.now();
  const progress = openProgress(figures.reduce((sum, figure) => sum + figure.steps(options), 0));
  const bench = await openBench(options, progress);
  /** @type {Record<string, any>} */
  const results = {};
  /** @type {{ name: string, why: string }[]} */
  const failed = [];
  for (const figure of figures) {
    progress.figure(figure.name);
    try {
      results[figure.name] = await figure.run(bench);
    } catch (error) {
      // One figure that cannot be measured does not take the others with it.
      const why =
        error instanceof Problem ? `${error.message}\n${error.output}` : String(/** @type {any} */ (error).stack);
      failed.push({ name: figure.name, why });
      await bench.reset();
    }
  }
  progress.stop();
  await bench.close();
  const { dist, ...kept } = options;
  const took = seconds((Date.now() - began) / 1_000);
  const at = new Date().toISOString();
  const run = { at, machine: machine(), versions: versions(dist), took, options: kept, results };
  const file = join(root, 'tests/bench/results', `${name}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(run, null, 2)}\n`);
  say(`\nThe figures are in ${relative(root, file)}.\n`);
  return { run, failed };
}

/** @param {string} name @param {string} text */
function number(name, text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Problem(`--${name} takes a whole number from 1 on`);
  return value;
}

// What takes long: the simulator with any number of seeds, then the tests in workerd that `npm test` shortens, at full length.
//
//     npm run soak -- --seeds 20000
//     npm run soak -- --seeds 1 --from 17 --tell     what happened in one seed, line by line; no more than that

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { build } from './build.mjs';
import { prepare } from './prepare.mjs';
import { program, root, say } from './run.mjs';

const LONG = ['tests/worker/load.test.js', 'tests/worker/crash.test.js'];

await program(async () => {
  await prepare();
  const asked = process.argv.slice(2);
  const simulator = ['run', '--locked', '--quiet', '--profile', 'soak', '--example', 'soak', '--', ...asked];
  const simulated = await attended('cargo', simulator);
  if (simulated !== 0 || asked.includes('--tell')) return simulated;
  await build();
  say('\nIn workerd, at full length');
  return attended(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...LONG], { LONG: '1' });
});

/**
 * A program that shows its own progress.
 * @param {string} command @param {string[]} args @param {Record<string, string>} [env] @returns {Promise<number>} its exit code
 */
async function attended(command, args, env) {
  const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  const [code] = await once(child, 'exit');
  return code ?? 1;
}

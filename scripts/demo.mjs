// `npm run demo`: builds everything, starts the Worker and the sandbox, plays one chat and stays up to be tried.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startSandbox } from '../js/sandbox/index.js';
import { breakCall } from './breaking.mjs';
import { build } from './build.mjs';
import { guide, live } from './live.mjs';
import { openInBrowser } from './open.mjs';
import { prepare } from './prepare.mjs';
import { Problem, program, root, say } from './run.mjs';
import { play } from './story.mjs';
import { createPen, logged } from './transcript.mjs';

// GHL's own schedule is slower still; here a refused webhook should be seen once, not five times.
const retry = { max: 12, baseMs: 5_000, maxMs: 60_000, timeoutMs: 10_000 };

const HELP = `npm run demo -- [options]

Builds the Worker, starts it in workerd beside a GHL and a vCX to develop against, connects a location, lets a
visitor write and an agent answer, and prints the calls that were made. Then it stays up, with a page on which
you play both sides.

  --once          end after the transcript; the exit code is 0 only if every step did what it should
  --break <call>  refuse one call, to see what a failure looks like; a line of the transcript, such as
                  "POST /conversations/messages/inbound" or "POST /webhook INSTALL"
  --port <n>      the Worker's port; GHL and vCX take the two after it (default 8787; with --once any free ones)
  --no-build      take dist/ as it is
  --no-open       do not open the page in a browser
  --help          this
`;

/** @returns {Promise<number | void>} the exit code */
async function main() {
  const options = readOptions();
  if (options.help) return say(HELP);
  const pen = createPen(process.stdout);
  say(`${pen.bold('vcx-ghl')}: a chat in vCX, answered from GoHighLevel`);

  if (!options.build) {
    if (!existsSync(join(root, 'dist/worker.js')))
      throw new Problem('There is no Worker in dist/: run `npm run build`.');
  } else {
    say('\nBuilding (the first time takes a few minutes)');
    await prepare();
    await build();
  }

  const stage = await open(options);
  const stopped = untilStopped();
  try {
    const began = performance.now();
    const calls = await Promise.race([stopped, play(stage.sandbox, { pen, print: say }).catch(withLog(stage.logs))]);
    if (calls === undefined) return 130;
    if (options.break && !stage.broken?.used) throw new Problem(`--break: the demo makes no call "${options.break}".`);
    say(`\n${calls} calls recorded, none refused, in ${((performance.now() - began) / 1000).toFixed(1)} s.`);
    if (options.once) return;

    say(guide(stage.sandbox, pen));
    live(stage, pen, say);
    if (options.open) openInBrowser(stage.sandbox.pageUrl);
    await stopped;
    say('\nStopped.');
  } finally {
    await stage.close();
  }
}

/** @typedef {Awaited<ReturnType<typeof open>>} Stage */

/** The sandbox and the Worker, knowing each other. @param {ReturnType<typeof readOptions>} options */
async function open({ port: first, break: broken }) {
  // Only now: before the build it may not be installed.
  const { freePort, startWorker } = await import('./workerd.mjs');
  const ports = first ? [first, first + 1, first + 2] : [await freePort(), 0, 0];
  for (const port of ports) await free(port);
  const [port, ghlPort, vcxPort] = ports;

  const state = mkdtempSync(join(tmpdir(), `vcx-ghl-demo-${process.pid}-`));
  const forget = () => rmSync(state, { recursive: true, force: true });
  process.once('exit', forget);

  const sandbox = await startSandbox({ ghlPort, vcxPort, workerUrl: `http://127.0.0.1:${port}`, retry });
  const breaking = broken ? breakCall(broken, sandbox) : undefined;
  const workerPort = breaking ? await freePort() : port;
  const closeGate = await breaking?.openGate({ port, workerPort });
  /** @type {import('./workerd.mjs').Line[]} */
  const logs = [];
  /** @type {Set<(line: import('./workerd.mjs').Line) => void>} */
  const listeners = new Set();
  const worker = await startWorker({
    vars: sandbox.workerVars(),
    state,
    port: workerPort,
    onLog(line) {
      logs.push(line);
      for (const listener of listeners) listener(line);
    },
  }).catch(async (error) => {
    closeGate?.();
    await sandbox.close();
    const said = logs.map(({ text, ...line }) => text ?? JSON.stringify(line)).join('\n');
    throw new Problem('workerd did not start the Worker in dist/; what it said is above.', said || error.message);
  });

  return {
    sandbox,
    logs,
    /** @param {(line: import('./workerd.mjs').Line) => void} listener */
    onLog: (listener) => listeners.add(listener),
    broken: breaking,
    async close() {
      closeGate?.();
      await worker.close();
      await sandbox.close();
      forget();
    },
  };
}

/** Resolves at the first Ctrl-C; the second one ends at once. @returns {Promise<undefined>} */
function untilStopped() {
  return new Promise((resolve) => {
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
      // Miniflare and run.mjs would end the process before anything could be put away.
      process.removeAllListeners(signal);
      process.once(signal, () => resolve(undefined));
    }
  });
}

/** Puts what the Worker had to say beside what went wrong. @param {import('./workerd.mjs').Line[]} logs */
function withLog(logs) {
  return (/** @type {unknown} */ error) => {
    const lines = logs.filter(({ level }) => level !== 'info').slice(-5);
    if (!(error instanceof Problem) || !lines.length) throw error;
    throw new Problem(
      `${error.message}\n\nThe Worker’s log says:\n${lines.map((line) => `  ${logged(line)}`).join('\n')}`,
    );
  };
}

/** @param {number} port */
async function free(port) {
  const server = createServer();
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(undefined));
  }).catch((error) => {
    const why = error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.message})`;
    throw new Problem(`Port ${port} ${why}. Choose others: npm run demo -- --port 9000 takes 9000, 9001 and 9002.`);
  });
  await new Promise((resolve) => server.close(resolve));
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        break: { type: 'string' },
        port: { type: 'string' },
        'no-build': { type: 'boolean', default: false },
        'no-open': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const port = values.port === undefined ? (values.once ? 0 : 8787) : Number(values.port);
    if (!Number.isInteger(port) || port < 0 || port > 65_533)
      throw new Error(`--port is a number up to 65533, not ${values.port}`);
    if (values.break && !/^[A-Z]+ \/\S*( \S+)?$/.test(values.break)) {
      throw new Error(`--break takes a line of the transcript, not "${values.break}"`);
    }
    return { ...values, port, build: !values['no-build'], open: !values['no-open'] };
  } catch (error) {
    throw new Problem(`${HELP}\n${error instanceof Error ? error.message : error}`);
  }
}

await program(main);

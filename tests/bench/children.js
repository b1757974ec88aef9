/** The processes that a benchmark starts, none of which outlives it. */

import { once } from 'node:events';

/** @import { ChildProcess } from 'node:child_process' */

/** @type {Map<ChildProcess, Promise<unknown>>} */
const running = new Map();

/** @param {ChildProcess} child @returns {Promise<unknown>} when it has ended */
export function adopt(child) {
  const ended = once(child, 'exit').finally(() => running.delete(child));
  running.set(child, ended);
  return ended;
}

/** Ends what a figure that failed has left running. */
export async function endAll() {
  for (const child of running.keys()) child.kill('SIGKILL');
  await Promise.all(running.values());
}

process.once('exit', () => {
  for (const child of running.keys()) child.kill('SIGKILL');
});

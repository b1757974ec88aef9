/** Who is measured: how each is started, and what it has to be told before it is ready. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publicKeyOf } from '../../js/sandbox/secrets.js';
import { Problem } from '../../scripts/run.mjs';
import { adopt } from './children.js';
import { chat, location, push, pushRequest } from './requests.js';
import { modulesOf, startWorkerd } from './workerd.js';

/** @import { Bench } from './bench.js' */
/** @import { World } from './requests.js' */
/** @import { Running } from './workerd.js' */

/**
 * @typedef {object} Where
 * @property {World} world whose conversations it knows when it is ready
 * @property {string} [folder] for its state; the fast one when absent
 *
 * @typedef {object} Contender
 * @property {string} title
 * @property {(bench: Bench, where: Where) => Promise<Running>} start
 */

/** This project, in raw workerd. @type {Contender} */
export const ours = {
  title: 'vcx-ghl',
  async start(bench, { world, folder = bench.fast }) {
    const state = join(folder, `state-${bench.next()}`);
    cpSync(await seeded(bench, world), state, { recursive: true });
    const running = await startOurs(bench, state);
    // As warm as the rivals are after their first messages.
    await introduce(bench, running, world, 'second-');
    return running;
  },
};

/** @type {Contender} */
export const hono = { title: 'Hono + GHL SDK', start: (bench, where) => startHono(bench, where, {}) };

/** @type {Contender} */
export const honoRemembers = {
  title: 'Hono + GHL SDK, contacts in memory',
  start: (bench, where) => startHono(bench, where, { REMEMBER: '1' }),
};

/** @type {Contender} */
export const express = { title: 'Express', start: (bench, where) => startExpress(bench, where, {}) };

/** @type {Contender} */
export const expressRemembers = {
  title: 'Express, contacts in memory',
  start: (bench, where) => startExpress(bench, where, { REMEMBER: '1' }),
};

/** @type {Contender} */
export const nothing = { title: 'an empty Worker', start: () => startFloor() };

/** @type {Contender} */
export const twoRows = {
  title: 'a Durable Object that inserts two rows',
  start: (bench, { folder = bench.fast }) => startFloor(join(folder, `state-${bench.next()}`)),
};

/** @type {Contender} */
export const twoRowsAndACall = {
  title: 'one that inserts, calls GHL, and deletes',
  start(bench, { folder = bench.fast }) {
    return startFloor(join(folder, `state-${bench.next()}`), { GHL_API_URL: bench.standin.ghl });
  },
};

/**
 * Our Worker on a state.
 * @param {Bench} bench @param {string} state
 * @param {{ around?: string[], vars?: Record<string, string>, options?: string[] }} [more] `around`: modules put before the build
 */
export async function startOurs(bench, state, { around = [], vars, options } = {}) {
  const modules = [...around, ...modulesOf(bench.dist)];
  const running = await startWorkerd(
    {
      modules,
      vars: { ...settings(bench), ...vars },
      object: { binding: 'LOCATION', className: 'Location' },
      kv: bench.standin.kv,
      state,
    },
    options,
  );
  return {
    ...running,
    /** Ends it, and keeps its state. */
    keep: running.close,
    /** @param {RegExp} [unless] */
    async close(unless) {
      await running.close(unless);
      rmSync(state, { recursive: true });
    },
  };
}

/**
 * A state in which the locations are connected and every conversation of a world has had its first message; made on the
 * first asking, by the Worker itself.
 * @param {Bench} bench @param {World} world @returns {Promise<string>} its folder
 */
export async function seeded(bench, world) {
  const state = join(bench.fast, `seed-${world.locations}-${world.conversations}`);
  if (existsSync(state)) return state;
  const running = await startOurs(bench, state);
  await connect(running, world);
  await introduce(bench, running, world);
  await bench.standin.quiet(1_000);
  await running.keep();
  return state;
}

/** Installs the app in each location: the stand-in's code names it. @param {Running} running @param {World} world */
export async function connect({ url }, { locations }) {
  for (let n = 0; n < locations; n += 1) {
    const { status } = await fetch(`${url}/auth/callback?code=${location(n)}`);
    if (status !== 200) throw new Problem(`/auth/callback answered ${status}`);
  }
}

/** The first message of each conversation, or another. @param {Bench} bench @param {Running} running @param {World} world @param {string} [mark] begins its id */
export async function introduce(bench, { url }, world, mark = 'first-') {
  let n = 0;
  const caller = async () => {
    for (let at = n++; at < world.conversations; at = n++) {
      const { path, headers, body } = pushRequest(bench, push(world, at, mark));
      const response = await fetch(url + path, { method: 'POST', headers, body });
      const text = await response.text();
      if (response.status !== 200) throw new Problem(`a first message was answered ${response.status}`, text);
      const { contactId } = JSON.parse(text);
      if (contactId !== chat(world, at).contactId) throw new Problem(`a first message got the contact ${contactId}`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, caller));
}

/** @param {Bench} bench @param {Where} where @param {Record<string, string>} more @returns {Promise<Running>} */
async function startHono(bench, { world }, more) {
  const vars = { ...settings(bench), ACCESS_TOKEN: 'x'.repeat(700), ...more };
  const running = await startWorkerd({ modules: modulesOf(bench.hono), vars, flags: ['nodejs_compat'] });
  await introduce(bench, running, world);
  return running;
}

/** @param {Bench} bench @param {Where} where @param {Record<string, string>} more @returns {Promise<Running>} */
async function startExpress(bench, { world }, more) {
  const env = { ...process.env, NODE_ENV: 'production', ...settings(bench), ...more };
  const child = fork(EXPRESS, { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const ended = adopt(child);
  const [{ port }] = await Promise.race([
    once(child, 'message'),
    ended.then(() => {
      throw new Problem('the Express server did not start');
    }),
  ]);
  const running = {
    url: `http://127.0.0.1:${port}`,
    pid: /** @type {number} */ (child.pid),
    async close() {
      child.kill();
      await ended;
    },
  };
  await connect(running, world);
  await introduce(bench, running, world);
  return running;
}

/** @param {string} [state] @param {Record<string, string>} [vars] @returns {Promise<Running>} */
async function startFloor(state, vars) {
  const object = state ? { binding: 'ROWS', className: 'Rows' } : undefined;
  const running = await startWorkerd({ modules: [FLOOR], vars, object, state });
  const close = async () => {
    await running.close();
    if (state) rmSync(state, { recursive: true });
  };
  return { ...running, close };
}

/** The settings of this project, which the rivals read theirs from. @param {Bench} bench @returns {Record<string, string>} */
const settings = ({ secrets, standin }) => ({
  GHL_CLIENT_ID: secrets.clientId,
  GHL_CLIENT_SECRET: secrets.clientSecret,
  GHL_PROVIDER_ID: secrets.providerId,
  GHL_REDIRECT_URI: 'http://127.0.0.1/auth/callback',
  GHL_API_URL: standin.ghl,
  GHL_PUBLIC_KEYS: publicKeyOf(secrets.privateKey).base64,
  VCX_WEBHOOK_URL: `${standin.vcx}/events`,
  VCX_WEBHOOK_SECRET: secrets.webhookSecret,
  VCX_API_KEY: secrets.apiKey,
  SEAL_KEYS: secrets.sealKey,
});

const EXPRESS = fileURLToPath(new URL('rivals/express.js', import.meta.url));
const FLOOR = fileURLToPath(new URL('workers/floor.js', import.meta.url));

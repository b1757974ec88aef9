/**
 * The built Worker in workerd, beside the sandbox.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startSandbox } from '../../js/sandbox/index.js';
import { freePort, startWorker } from '../../scripts/workerd.mjs';
import { holdAgainstContract } from './contract.js';
import { watchLog } from './private.js';

/** @import { ModuleDefinition } from 'miniflare' */
/** @import { Entry } from '../../js/sandbox/traffic.js' */

/** @typedef {Record<string, any>} Line one line of the Worker's log */

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** @typedef {Awaited<ReturnType<typeof startStage>>} Stage */

/**
 * A Worker and a sandbox that know each other.
 * @param {object} [options]
 * @param {Parameters<typeof startSandbox>[0]} [options.sandbox]
 * @param {Record<string, string | undefined>} [options.vars] beside, or instead of, the sandbox's; undefined leaves one out
 * @param {ModuleDefinition[]} [options.modules] put around the build: the first is the entry
 */
export async function startStage({ sandbox: sandboxOptions, vars, modules } = {}) {
  const port = await freePort();
  const sandbox = await startSandbox({ workerUrl: `http://127.0.0.1:${port}`, ...sandboxOptions });
  const misfits = holdAgainstContract(sandbox);
  const state = mkdtempSync(join(tmpdir(), 'vcx-ghl-'));
  const settings = /** @type {Record<string, string>} */ (
    Object.fromEntries(Object.entries({ ...sandbox.workerVars(), ...vars }).filter(([, value]) => value !== undefined))
  );
  const watch = watchLog(settings, sandbox);
  /** @type {Line[]} */
  const logs = [];
  const start = () =>
    startWorker({
      vars: settings,
      state,
      modules,
      onLog: (line) => {
        logs.push(line);
        watch.line(line);
      },
      port,
    });
  let worker = await start();
  const { ghl, vcx } = sandbox;

  /** Lines come in order: when that of a last request is here, all are. */
  async function lastLine() {
    const path = `/${randomUUID()}`;
    await fetch(worker.url + path);
    await until(async () => logs.some((line) => line.path === path), 'the last line of the log');
  }

  return {
    sandbox,
    ghl,
    vcx,
    /** The Worker's folder. */
    state,
    logs,
    url: worker.url,
    get worker() {
      return worker;
    },

    /** A location of its own, with the app in it and the custom field set up. */
    async connect() {
      const { id } = ghl.addLocation();
      await ghl.install({ locationId: id, visit: true });
      await sandbox.waitFor(isSetUp(id), { what: 'the custom field' });
      return id;
    },

    /**
     * A visitor's message, and what the Worker answered.
     * @param {string} locationId
     * @param {string} clientId
     * @param {Record<string, unknown>} [more]
     */
    push: (locationId, clientId, more) => vcx.push(message(locationId, clientId, more)),

    /** `GET /locations/{id}`. @param {string} locationId */
    async health(locationId) {
      return (await vcx.call('GET', `/locations/${locationId}`)).body;
    },

    /** The calls to GHL from here on, `METHOD /path`, ids left out. */
    watch() {
      const { n } = sandbox.traffic.at(-1) ?? { n: 0 };
      return () => sandbox.traffic.filter((entry) => entry.n > n && entry.to === 'ghl').map(call);
    },

    /** What GHL has of a chat, oldest first. @param {string} locationId */
    inbox: (locationId) => [...ghl.state.messages.values()].filter((message) => message.locationId === locationId),

    /**
     * The event with which vCX took a message, or another.
     * @param {(event: Record<string, any>) => boolean} matches
     * @param {string} [what]
     * @param {number} [timeoutMs]
     */
    event: (matches, what = 'the event', timeoutMs = 5_000) =>
      sandbox.waitFor(() => vcx.events.find(({ body }) => matches(body)), { what, timeoutMs }),

    /** Ends workerd as a power cut does. */
    async kill() {
      const pid = pidOf(port);
      process.kill(pid, 'SIGKILL');
      await worker.close();
      return pid;
    },
    /** A new workerd on the same state. @param {Record<string, string>} [vars] settings that are others now */
    async restart(vars) {
      Object.assign(settings, vars);
      worker = await start();
    },

    /**
     * Ends all of it, and says whether anything on the wire was not what /openapi.json describes, and whether anything in the
     * log was private.
     */
    async close() {
      try {
        await lastLine();
      } finally {
        await worker.close();
        await sandbox.close();
        rmSync(state, { recursive: true, force: true });
      }
      assert.deepEqual(misfits, []);
      assert.deepEqual(watch.wrong(), []);
    },
  };
}

/**
 * Asks until the answer is yes: for what no event tells of.
 * @param {() => Promise<unknown>} check
 * @param {string} what
 * @param {number} [timeoutMs]
 */
export async function until(check, what, timeoutMs = 5_000) {
  const end = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}; it did not happen`);
    await setTimeout(50);
  }
}

/**
 * A visitor's message as vCX pushes it.
 * @param {string} locationId
 * @param {string} clientId
 * @param {Record<string, unknown>} [more]
 */
export function message(locationId, clientId, more) {
  return {
    locationId,
    clientId,
    vcxConversationId: `chat-${clientId}`,
    fromUser: true,
    body: 'Hello',
    timestamp: Date.now(),
    messageId: randomUUID(),
    email: `${clientId}@example.com`,
    ...more,
  };
}

/** @param {Entry} entry */
const call = ({ method, path }) => `${method} ${path.split('?')[0].replace(/\b(?:con|cnv|msg|loc)\w{15,}/, '{id}')}`;

/** @param {string} locationId @returns {(entry: Entry) => boolean} */
const isSetUp =
  (locationId) =>
  ({ method, path, status }) =>
    method === 'POST' && path === `/locations/${locationId}/customFields` && status === 201;

/** @param {number} port */
function pidOf(port) {
  const mark = `entry=127.0.0.1:${port}`;
  for (const { pid, args } of processes()) if (args.includes(mark)) return pid;
  throw new Error(`no workerd listens on ${port}`);
}

/** A bare Linux has no `ps`, and a Mac no /proc. @returns {{ pid: number, args: string }[]} */
function processes() {
  if (!existsSync('/proc/self/cmdline')) {
    const list = execFileSync('ps', ['-A', '-ww', '-o', 'pid=,args='], { encoding: 'utf8' });
    return list.split('\n').map((args) => ({ pid: Number.parseInt(args, 10), args }));
  }
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? [{ pid: Number(pid), args: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

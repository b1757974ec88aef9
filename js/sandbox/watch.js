/**
 * What goes on, as server-sent events for a page: each call as it begins and as it ends, and word that something else changed.
 */

import { isBad, noteOf, parties, shortPath } from './call.js';

/** @import { Answer } from './http.js' */
/** @import { Sandbox } from './index.js' */
/** @import { Entry } from './traffic.js' */

/**
 * A call without what it carried: that may be long.
 * @typedef {Pick<Entry, 'at' | 'method' | 'status' | 'ms'> &
 *   { n: number | string, from: string, to: string, path: string, note: string, bad: boolean }} Call
 */
/** @typedef {{ call: Call } | { plugs: Record<string, boolean> }} News */

/** @param {Sandbox} sandbox @returns {Answer} */
export function watch(sandbox) {
  return {
    status: 200,
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
    stream(send) {
      /** @param {News} news */
      const tell = (news) => send(`data: ${JSON.stringify(news)}\n\n`);
      // Those who lost the connection ask again soon.
      send('retry: 1000\n\n');
      for (const entry of sandbox.traffic.slice(-PAST)) tell({ call: brief(entry) });
      tell({ plugs: sandbox.plugs.state() });
      return sandbox.onTraffic((entry) => {
        if (entry.n) tell({ call: brief(entry) });
        else if (!entry.kind) tell({ plugs: sandbox.plugs.state() });
      });
    },
  };
}

/** @param {Entry} entry @returns {Call} */
function brief(entry) {
  const { n, at, method, status, ms } = entry;
  const [from, to] = parties(entry);
  return { n, at, from, to, method, path: shortPath(entry), note: noteOf(entry), status, ms, bad: isBad(entry) };
}

const PAST = 60;

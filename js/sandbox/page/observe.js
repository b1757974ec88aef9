/** The calls that this page itself makes to the Worker: the sandbox has no part in them, and cannot tell of them. */

import { worker } from './sandbox.js';

/** @import { Call } from '../watch.js' */

/** @param {(call: Call) => void} onCall hears of each once it is answered */
export function observe(onCall) {
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { name, startTime, duration, responseStatus: status } = /** @type {PerformanceResourceTiming} */ (entry);
      // Some browsers do not say what the answer was.
      if (status === undefined || !name.startsWith(worker)) continue;
      const at = Math.round(performance.timeOrigin + startTime);
      const call = { n: `page ${startTime}`, at, from: 'Browser', to: 'Worker', method: 'POST', note: '' };
      const isBad = status < 200 || status >= 400;
      onCall({ ...call, path: new URL(name).pathname, status, ms: duration, bad: isBad });
    }
  });
  observer.observe({ type: 'resource', buffered: true });
}

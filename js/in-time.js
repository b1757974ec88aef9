/**
 * A limit for what may take too long.
 */

/**
 * Does something that ends early, with a `TimeoutError`, when the time is over. The timer is gone when it is done: that of
 * `AbortSignal.timeout` would stay, and keep a Durable Object awake, which may have 10,000 of them at most.
 * @template Result
 * @param {number} ms
 * @param {(signal: AbortSignal) => Promise<Result>} act
 * @returns {Promise<Result>}
 */
export async function inTime(ms, act) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new DOMException('no answer in time', 'TimeoutError')), ms);
  try {
    return await act(late.signal);
  } finally {
    clearTimeout(timer);
  }
}

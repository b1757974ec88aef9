/** The strip below: how the location is, three plugs to pull, and the calls, newest first. */

import { find, make, write } from './dom.js';
import * as sandbox from './sandbox.js';

/** @import { Call } from '../watch.js' */

export function createStrip() {
  const list = find('#calls');
  const lamp = find('#health');
  const story = find('#story');
  const switches = /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll('[data-plug]')]);
  /** Newest first, as they are drawn. @type {{ n: Call['n'], at: number, row: HTMLElement }[]} */
  const drawn = [];
  /** Which plugs are in. @type {Record<string, boolean>} */
  let plugs = {};
  /** @type {any} */
  let health;
  let isUp = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let soon;

  for (const one of switches) {
    one.addEventListener('click', async () => {
      const name = one.dataset.plug ?? '';
      showPlugs(await sandbox.plug(name, one.getAttribute('aria-checked') !== 'true'));
    });
  }

  /** @param {Record<string, boolean>} state */
  function showPlugs(state) {
    plugs = state;
    for (const one of switches) {
      one.setAttribute('aria-checked', String(plugs[one.dataset.plug ?? '']));
      // Before it was known where the plug is, nobody could know what a click would do.
      one.disabled = false;
    }
    askSoon();
    tell();
  }

  /** @param {Call} call */
  function showCall(call) {
    const row = drawn.find(({ n }) => n === call.n)?.row ?? draw(call);
    const { from, to, method, path, note, status, ms, bad } = call;
    row.dataset.bad = String(bad);
    write(find('.way', row), `${from} → ${to}`);
    write(find('.what', row), [method, path, note].filter(Boolean).join(' '));
    write(find('.status', row), status === null ? '…' : status === 0 ? 'none' : `${status}`);
    write(find('.ms', row), status === null ? '' : `${Math.round(ms)} ms`);
    askSoon();
  }

  /** @param {Call} call */
  function draw({ n, at }) {
    const row = make('li', {}, ...['way', 'what', 'status', 'ms'].map((name) => make('span', { class: name })));
    // Some are told of only when they are over.
    const older = drawn.findIndex((other) => other.at <= at);
    const place = older < 0 ? drawn.length : older;
    list.insertBefore(row, list.children[place] ?? null);
    drawn.splice(place, 0, { n, at, row });
    for (const { row: oldest } of drawn.splice(ROWS)) oldest.remove();
    return row;
  }

  function askSoon(delay = SOON_MS) {
    clearTimeout(soon);
    soon = setTimeout(ask, delay);
  }

  async function ask() {
    clearTimeout(soon);
    health = await sandbox.health().catch((error) => ({ error: error.message }));
    tell();
    const isQuiet = health.health === 'ok' && !health.queue.depth && Object.values(plugs).every(Boolean);
    if (!isQuiet && !document.hidden) askSoon(AGAIN_MS);
  }

  function tell() {
    const word = !isUp || health?.error ? 'down' : (health?.health ?? '…');
    lamp.dataset.state = word;
    write(find('.word', lamp), word);
    // What counts down is not read out each second.
    write(find('.queue', story), isUp ? queueOf(health) : '');
    write(find('[role=status]', story), isUp ? storyOf(health, plugs) : ENDED);
  }

  document.addEventListener('visibilitychange', () => askSoon(0));
  return {
    showCall,
    showPlugs,
    /** Whether the sandbox is there. @param {boolean} up */
    showLink(up) {
      isUp = up;
      tell();
    },
  };
}

/** What goes on, in a sentence. @param {any} health @param {Record<string, boolean>} plugs */
function storyOf(health, plugs) {
  if (!health) return '';
  if (health.error) return `The Worker does not answer: ${health.error}`;
  const out = Object.keys(OUT).filter((name) => plugs[name] === false);
  const { depth } = health.queue ?? {};
  if (out.length && depth) return out.map((name) => OUT[name]).join(' ');
  if (out.length) return `${out.map((name) => OUT[name]).join(' ')} Write something: it will wait, and get through.`;
  if (depth) return '';
  return health.reasons?.[0] ?? 'Everything gets through. Pull a plug, write, and put it back.';
}

/** How much waits, and for how long yet. @param {any} health */
function queueOf(health) {
  const { depth, nextTryAt } = health?.queue ?? {};
  if (!depth) return '';
  if (!nextTryAt) return `${depth}\u00a0queued.`;
  const seconds = Math.ceil((nextTryAt - Date.now()) / 1000);
  return `${depth}\u00a0queued; ${seconds > 0 ? `next try in\u00a0${seconds}\u00a0s` : 'trying now'}.`;
}

/** @type {Record<string, string>} */
const OUT = {
  ghl: 'GHL answers nothing.',
  vcx: 'vCX’s backend answers nothing.',
  token: 'GHL refuses the Worker’s token.',
};
const ENDED = 'The demo has ended: start it again, and this page goes on.';
const ROWS = 100;
const SOON_MS = 200;
const AGAIN_MS = 1_000;

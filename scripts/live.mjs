// What the demo says while it stays up: what there is to try, and what goes on.

import { CHAT } from './story.mjs';
import { clip, tell } from './transcript.mjs';

/** @import { Entry } from '../js/sandbox/traffic.js' */
/** @import { Sandbox } from '../js/sandbox/index.js' */
/** @import { Stage } from './demo.mjs' */
/** @import { Pen } from './transcript.mjs' */

/** @param {Sandbox} sandbox @param {Pen} pen */
export function guide({ ghl, vcx, workerUrl }, pen) {
  const { locationId } = ghl;
  const [{ id: contactId }] = ghl.state.contacts.values();
  const message = { locationId, ...CHAT, fromUser: true, body: 'Yes, see you then!' };
  const reply = { contactId, message: 'Great. Bring your insurance card, please.' };
  // A new time on each run, so that it is a new message and not a repeat of the last.
  const timed = `${JSON.stringify(message).slice(0, -1)},"timestamp":'$(date +%s000)'}`;
  return `
${pen.bold('It stays up now. Ctrl-C ends it.')}

  Worker  ${workerUrl}
  GHL     ${ghl.url}
  vCX     ${vcx.origin}

${pen.bold('Write as the visitor')}, as vCX’s backend does:

curl -X POST ${workerUrl}/push-message \\
  -H 'Authorization: Bearer ${vcx.apiKey}' \\
  -H 'Content-Type: application/json' \\
  -d '${timed}'

${pen.bold('Answer as the agent:')}

curl -X POST ${ghl.url}/_sandbox/reply \\
  -H 'Content-Type: application/json' \\
  -d '${JSON.stringify(reply)}'

${pen.bold('Look')} at

  GHL’s inbox            ${ghl.url}/_sandbox/state
  what vCX received      ${ghl.url}/_sandbox/events
  all levers of the GHL  ${ghl.url}/_sandbox
  installing by hand     ${workerUrl}/install
  every route            ${workerUrl}/openapi.json
  how the location is    curl -H 'Authorization: Bearer ${vcx.apiKey}' \\
                           ${workerUrl}/locations/${locationId}

For the README’s examples:

export WORKER=${workerUrl} LOCATION=${locationId} \\
  KEY=${vcx.apiKey}

${pen.bold('What goes on from here:')}
`;
}

/**
 * Prints every call as it is answered. Calls to the Worker that the sandbox did not make are known from the Worker's log.
 * @param {Pick<Stage, 'sandbox' | 'onLog'>} stage
 * @param {Pen} pen
 * @param {(text: string) => void} print
 */
export function live({ sandbox, onLog }, pen, print) {
  const began = Date.now();
  let last = began;
  /** @type {string[]} */
  const recorded = [];

  /** @param {string} text */
  function show(text) {
    if (Date.now() - last > BREATH_MS) print('');
    last = Date.now();
    print(text);
  }

  sandbox.onTraffic((entry) => {
    if (!entry.n || entry.status === null) return;
    if (entry.to === 'worker') recorded.push(keyOf(entry));
    show(tell(entry, pen));
  });
  onLog((line) => {
    if (line.level !== 'info')
      return show(`   ${pen.red('Worker’s log:')} ${clip(line.text ?? JSON.stringify(line), 500)}`);
    if (line.event !== 'request' || line.at < began) return;
    // The Worker may be quicker with its log than with its answer.
    setTimeout(() => {
      const index = recorded.indexOf(keyOf(/** @type {any} */ (line)));
      if (index >= 0) recorded.splice(index, 1);
      else show(tell(/** @type {any} */ ({ ...line, to: 'worker', kind: 'you' }), pen));
    }, LATE_MS);
  });
}

/** @param {Pick<Entry, 'method' | 'path' | 'status'>} call */
const keyOf = ({ method, path, status }) => `${method} ${path.split('?')[0]} ${status}`;

const BREATH_MS = 2_000;
const LATE_MS = 150;

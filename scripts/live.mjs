// What the demo says while it stays up: what there is to try, and what goes on.

import { CHAT } from './story.mjs';
import { logged, tell } from './transcript.mjs';

/** @import { Entry } from '../js/sandbox/traffic.js' */
/** @import { Sandbox } from '../js/sandbox/index.js' */
/** @import { Stage } from './demo.mjs' */
/** @import { Pen } from './transcript.mjs' */

/** @param {Sandbox} sandbox @param {Pen} pen */
export function guide({ ghl, vcx, workerUrl, pageUrl }, pen) {
  const { locationId } = ghl;
  const [{ id: contactId }] = ghl.state.contacts.values();
  const message = { locationId, ...CHAT, fromUser: true, body: 'Yes, see you then!' };
  const reply = { contactId, message: 'Great. Bring your insurance card, please.' };
  // The time is of the moment that the line is run: with the same time it would be a repeat, not another message.
  const timed = `${JSON.stringify(message).slice(0, -1)},"timestamp":'$(date +%s000)'}`;
  return `
${pen.bold('Everything stays up now; Ctrl-C ends it.')}

  Worker  ${workerUrl}
  GHL     ${ghl.url}
  vCX     ${vcx.origin}

${pen.bold('Write as the visitor')}

curl -X POST ${workerUrl}/push-message \\
  -H 'Authorization: Bearer ${vcx.apiKey}' \\
  -H 'Content-Type: application/json' \\
  -d '${broken(timed, 'vcxConversationId', 'timestamp')}'

${pen.bold('Answer as the agent')}

curl -X POST ${ghl.url}/_sandbox/reply \\
  -H 'Content-Type: application/json' \\
  -d '${broken(JSON.stringify(reply), 'message')}'

${pen.bold('Ask how the location is')}

curl ${workerUrl}/locations/${locationId} \\
  -H 'Authorization: Bearer ${vcx.apiKey}'

${pen.bold('Look')}

  GHL’s inbox                  ${ghl.url}/_sandbox/state
  what vCX received            ${ghl.url}/_sandbox/events
  what else the GHL can do     ${ghl.url}/_sandbox
  the install, in a browser    ${workerUrl}/install
  every route of the Worker    ${workerUrl}/openapi.json

${pen.bold('For the examples in the README')}

export WORKER=${workerUrl} LOCATION=${locationId}
export KEY=${vcx.apiKey}

${pen.bold('Next: open this page, and play the visitor and the agent')}

  ${pen.cyan(pageUrl)}

${pen.bold('What is called from here on')}
`;
}

/** With a new line before some of the fields. @param {string} json @param {string[]} fields */
const broken = (json, ...fields) =>
  fields.reduce((text, field) => text.replace(`,"${field}"`, `,\n       "${field}"`), json);

/**
 * Prints the calls as they are answered, in the order they were made. Those to the Worker that the sandbox did not make are
 * known from the Worker's log.
 * @param {Pick<Stage, 'sandbox' | 'onLog'>} stage
 * @param {Pen} pen
 * @param {(text: string) => void} print
 */
export function live({ sandbox, onLog }, pen, print) {
  const began = Date.now();
  let last = began;
  /** @type {Entry[]} */
  let recorded = [];
  /** @type {Entry[]} */
  let requests = [];
  /** @type {NodeJS.Timeout | undefined} */
  let timer;

  sandbox.onTraffic((entry) => {
    if (!(entry.n || entry.kind === 'page') || entry.status === null) return;
    recorded.push(entry);
    wait();
  });
  onLog((line) => {
    if (line.event !== 'request') return line.level !== 'info' && print(`   ${pen.red(logged(line))}`);
    if (line.at < began || line.method === 'OPTIONS') return;
    requests.push(/** @type {any} */ ({ ...line, n: 0, to: 'worker', kind: 'you' }));
    wait();
  });

  function wait() {
    clearTimeout(timer);
    timer = setTimeout(show, QUIET_MS);
  }

  function show() {
    const known = recorded.filter(({ to }) => to === 'worker').map(keyOf);
    const others = requests.filter((request) => {
      const index = known.indexOf(keyOf(request));
      if (index >= 0) known.splice(index, 1);
      return index < 0;
    });
    const calls = [...others, ...recorded.filter(({ n }) => n)].sort((a, b) => a.at - b.at || a.n - b.n);
    [recorded, requests] = [[], []];
    if (!calls.length) return;
    if (Date.now() - last > BREATH_MS) print('');
    last = Date.now();
    for (const entry of calls) print(tell(entry, pen));
  }
}

/** @param {Entry} call */
const keyOf = ({ method, path, status }) => `${method} ${path.split('?')[0]} ${status}`;

const QUIET_MS = 250;
const BREATH_MS = 2_000;

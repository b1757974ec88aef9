#!/usr/bin/env node
/**
 * The sandbox by itself: prints where it listens and how to point a Worker at it, then every call.
 */

import { parseArgs } from 'node:util';
import { startSandbox } from './index.js';
import { line } from './traffic.js';

/** @import { Sandbox } from './index.js' */

const HELP = `vcx-ghl-sandbox: a GoHighLevel and a vCX to develop against.

  --worker <url>      the Worker's URL               (default http://127.0.0.1:8787)
  --host <name>       where to listen                (default 127.0.0.1)
  --ghl-port <n>      GHL's port                     (default 8790)
  --vcx-port <n>      vCX's port                     (default 8791)
  --seed <text>       secrets and keys follow from it; the same seed fits the same Worker
  --locations <n>     locations to begin with        (default 2)
  --set <name=value>  any option of the GHL, may be repeated: --set searchLagMs=3000
  --quiet             do not print the calls
  --help              this

While it runs, GET <ghl>/_sandbox lists its levers over HTTP: replies of agents, faults, pauses, state. On the page
at <vcx>/ one plays both sides: a visitor, and an agent in GHL’s inbox.
`;

await main();

async function main() {
  const { values } = readArguments();
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const sandbox = await startSandbox({
    host: values.host,
    ghlPort: Number(values['ghl-port']),
    vcxPort: Number(values['vcx-port']),
    seed: values.seed,
    locations: Number(values.locations),
    workerUrl: values.worker,
    ...Object.fromEntries((values.set ?? []).map(option)),
  });
  process.stdout.write(`${welcome(sandbox)}\n`);
  if (!values.quiet) {
    sandbox.onTraffic((entry) => {
      if (entry.n && entry.status !== null) process.stdout.write(`${line(entry)}\n`);
    });
  }
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => sandbox.close().then(() => process.exit(0)));
  }
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        worker: { type: 'string', default: 'http://127.0.0.1:8787' },
        host: { type: 'string', default: '127.0.0.1' },
        'ghl-port': { type: 'string', default: '8790' },
        'vcx-port': { type: 'string', default: '8791' },
        seed: { type: 'string', default: 'vcx-ghl sandbox' },
        locations: { type: 'string', default: '2' },
        set: { type: 'string', multiple: true },
        quiet: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
    process.exit(2);
  }
}

/** @param {string} setting @returns {[string, unknown]} */
function option(setting) {
  const mark = setting.indexOf('=');
  const [name, value] = [setting.slice(0, mark), setting.slice(mark + 1)];
  try {
    return [name, JSON.parse(value)];
  } catch {
    return [name, value];
  }
}

/** @param {Sandbox} sandbox */
function welcome({ ghl, vcx, workerUrl, workerVars, pageUrl }) {
  const vars = Object.entries(workerVars()).map(([name, value]) => `  --var '${name}:${value}'`);
  const locations = [...ghl.state.locations.values()].map(({ id, name }) => `  ${id}  ${name}`);
  return `GHL        ${ghl.url}
vCX        ${vcx.url}
levers     ${ghl.url}/_sandbox
page       ${pageUrl}
Worker     ${workerUrl}

locations
${locations.join('\n')}

Point a Worker at it:

npx wrangler dev --port ${new URL(workerUrl).port || 80} \\
${vars.join(' \\\n')}

Then install the app: open ${workerUrl}/install, or

curl -X POST ${ghl.url}/_sandbox/walk -H 'content-type: application/json' \\
  -d '{"locationId":"${ghl.locationId}"}'
`;
}

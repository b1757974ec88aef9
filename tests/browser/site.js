/**
 * A site as a customer of vCX has it: the README's frontend as somebody's tools have built it, the README's backend, and the Worker.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { build } from 'esbuild';
import { freePort } from '../../scripts/workerd.mjs';
import { example, freshProject, runTool } from '../package/project.js';
import { startStage } from '../worker/stage.js';

/** @import { IncomingMessage, ServerResponse } from 'node:http' */
/** @import { TestContext } from 'node:test' */

const HTML = `<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<script type="importmap">{ "imports": { "vcx-ghl": "/node_modules/vcx-ghl/pkg/client.js" } }</script>
<ul id="messages"></ul>
<form><input name="text"><button>Send</button></form>
<script type="module" src="/chat.js"></script>
`;

/** How a page gets its module. @type {Record<string, (project: string) => Promise<string>>} gives the folder that is served */
export const TOOLS = {
  async 'a plain <script type="module">'(project) {
    return project;
  },
  async Vite(project) {
    await runTool(project, 'vite/bin/vite.js', 'build');
    return join(project, 'dist');
  },
  async esbuild(project) {
    await build({
      ...{ absWorkingDir: project, entryPoints: ['chat.js'], outdir: 'dist', logLevel: 'error' },
      ...{ bundle: true, minify: true, format: 'esm', loader: { '.wasm': 'file' } },
    });
    copyFileSync(join(project, 'index.html'), join(project, 'dist/index.html'));
    return join(project, 'dist');
  },
};

/**
 * @param {TestContext} t
 * @param {string} tool one of TOOLS
 * @param {Record<string, string>} [files] beside, or instead of, the usual
 */
export async function openSite(t, tool, files) {
  const project = await freshProject(t, {
    'index.html': tool.includes('plain') ? HTML : HTML.replace(/.*importmap.*\n/, ''),
    'chat.js': example('chat.js'),
    'backend.js': example('backend.js'),
    ...files,
  });
  const folder = await TOOLS[tool](project);
  const [page, backend] = [await freePort(), await freePort()];
  const origin = `http://127.0.0.1:${page}`;
  const events = `http://127.0.0.1:${backend}/ghl-events`;
  const stage = await startStage({ vars: { VCX_ALLOWED_ORIGINS: origin, VCX_WEBHOOK_URL: events } });
  t.after(() => stage.close());
  const { locationId } = stage.ghl;
  await stage.sandbox.walkInstall({ locationId });
  await startBackend(t, project, backend, stage);
  const server = createServer((request, response) => void answer(folder, backend, request, response));
  server.listen(page, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin, stage, hosts: { 'localhost:8787': new URL(stage.url).host } };
}

/**
 * @param {TestContext} t
 * @param {string} project
 * @param {number} port
 * @param {Awaited<ReturnType<typeof startStage>>} stage
 */
async function startBackend(t, project, port, { url, ghl, vcx, sandbox }) {
  const { SESSION_SECRET, VCX_WEBHOOK_SECRET } = sandbox.workerVars();
  const backend = spawn(process.execPath, ['backend.js'], {
    cwd: project,
    env: {
      ...process.env,
      ...{ WORKER: url, LOCATION: ghl.locationId, PORT: `${port}`, VCX_API_KEY: vcx.apiKey },
      ...{ SESSION_SECRET, VCX_WEBHOOK_SECRET },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(async () => {
    if (backend.kill()) await once(backend, 'exit');
  });
  // Its first line comes once it listens.
  await once(backend.stdout, 'data');
}

/**
 * A file of the folder; what is posted is the backend's.
 * @param {string} folder
 * @param {number} backend
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
async function answer(folder, backend, { method, url = '/' }, response) {
  const path = normalize(new URL(url, 'http://localhost').pathname);
  if (method === 'POST') {
    const { status, text } = await fetch(`http://127.0.0.1:${backend}${path}`, { method }).then(
      async (reply) => ({ status: reply.status, text: await reply.text() }),
      () => ({ status: 502, text: '' }),
    );
    response.writeHead(status).end(text);
    return;
  }
  try {
    const file = path === '/' ? '/index.html' : path;
    const bytes = await readFile(join(folder, file));
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

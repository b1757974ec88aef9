/**
 * Serves the page on which one can play both sides: a visitor's chat, and GHL's inbox. Its files are in `page/`; the chat in it is
 * the module that vCX's frontend imports, as it is.
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @import { Answer, Request } from './http.js' */
/** @import { Sandbox } from './index.js' */

/**
 * @param {() => Sandbox} sandbox
 * @returns {(request: Request) => Promise<Answer> | undefined}
 */
export function createPage(sandbox) {
  return ({ method, path }) => {
    if (method !== 'GET') return undefined;
    if (path === '/') return document(sandbox());
    const file = fileOf(path);
    return file ? serve(file) : undefined;
  };
}

/** @param {Sandbox} sandbox @returns {Promise<Answer>} */
async function document({ ghl, workerUrl }) {
  const html = (await readFile(join(PAGE, 'index.html'), 'utf8'))
    .replace('{{ghl}}', ghl.url)
    .replace('{{worker}}', workerUrl)
    .replace('{{location}}', ghl.locationId);
  const [, imports] = html.match(/<script type="importmap">(.*?)<\/script>/s) ?? [];
  const policy = [
    "default-src 'none'",
    `script-src 'self' 'sha256-${createHash('sha256').update(imports).digest('base64')}'`,
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${ghl.url} ${workerUrl} ${workerUrl.replace(/^http/, 'ws')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // What people write cannot become HTML: there is no way to make any.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ];
  return {
    status: 200,
    headers: { ...HEADERS, 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy.join('; ') },
    text: html,
  };
}

/** @param {string} file @returns {Promise<Answer>} */
async function serve(file) {
  try {
    const text = await readFile(file, 'utf8');
    return { status: 200, headers: { ...HEADERS, 'content-type': TYPES[extname(file)] }, text };
  } catch {
    return { status: 404, headers: HEADERS, text: 'There is no such file. Was everything built?' };
  }
}

/** The file behind a path, if it is one that the page may have. @param {string} path @returns {string | undefined} */
function fileOf(path) {
  const [root, folder] = path.startsWith('/pkg/') ? ['/pkg/', PKG] : ['/', PAGE];
  const file = join(folder, path.slice(root.length));
  return extname(file) in TYPES && !relative(folder, file).startsWith('..') ? file : undefined;
}

const PAGE = fileURLToPath(new URL('page/', import.meta.url));
const PKG = fileURLToPath(new URL('../../pkg/', import.meta.url));
const HEADERS = { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' };
/** @type {Record<string, string>} */
const TYPES = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

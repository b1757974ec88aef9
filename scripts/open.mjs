// Opens the page in a browser, where there is a desktop to do it on.

import { spawn } from 'node:child_process';

/** @param {string} url @returns {boolean} whether it was tried */
export function openInBrowser(url) {
  const command = opener(url, { platform: process.platform, env: process.env, isTTY: process.stdout.isTTY });
  if (!command) return false;
  const [name, ...args] = command;
  const child = spawn(name, args, { stdio: 'ignore', detached: true });
  // The address is printed as well: whoever has no such program opens it by hand.
  child.on('error', () => {});
  child.unref();
  return true;
}

/**
 * What to run; undefined where nobody would see it: in CI, through a pipe, from afar, without a display.
 * @param {string} url
 * @param {{ platform: string, env: Record<string, string | undefined>, isTTY: boolean }} here
 * @returns {string[] | undefined}
 */
export function opener(url, { platform, env, isTTY }) {
  if (!isTTY || env.CI || env.SSH_CONNECTION) return undefined;
  if (platform === 'darwin') return ['open', url];
  if (platform === 'win32') return ['cmd', '/c', 'start', '', url];
  return env.DISPLAY || env.WAYLAND_DISPLAY ? ['xdg-open', url] : undefined;
}

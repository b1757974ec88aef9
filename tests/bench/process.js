/** What a process costs, as Linux counts it. */

import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { Problem } from '../../scripts/run.mjs';

/** The processor time that a process has used, in seconds. @param {number} pid */
export function processorTime(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** The memory that is its own, in bytes: neither files nor what it shares. @param {number} pid */
export function ownMemory(pid) {
  const [, kilobytes] = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^RssAnon:\s+(\d+) kB$/m) ?? [];
  return Number(kilobytes) * 1024;
}

/** A sentence about where this runs. */
export function machine() {
  const [{ model }] = cpus();
  const system = readFileSync('/etc/os-release', 'utf8').match(/^PRETTY_NAME="?(.*?)"?$/m)?.[1] ?? 'Linux';
  return `${model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, ${system}, Linux ${release()}`;
}

export function needLinux() {
  if (process.platform !== 'linux') throw new Problem('npm run bench needs Linux: it reads /proc');
}

/** USER_HZ, which is 100 wherever Linux runs today. */
const TICKS = 100;

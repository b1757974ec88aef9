/** Figures as tables, and as claims: ratios of one run, each beside the bound that it is to keep. */

import { markdownTable } from 'markdown-table';

/** @import { Spread, Summaries } from './bench.js' */
/** @import { Contender } from './contenders.js' */
/** @import { Counts } from './standin.js' */

/**
 * @typedef {{ title: string, head: string[], rows: string[][], note?: string }} Table
 * @typedef {{ what: string, measured: string, bound: string, ok: boolean }} Claim
 */

/** @param {string} title @param {Summaries} summaries @param {string} [note] @returns {Table} */
export function loadTable(title, summaries, note) {
  const head = ['', 'per second', 'p50', 'p99', 'processor time', 'calls for each'];
  const rows = Object.entries(summaries).map(([name, { perSecond, p50, p99, cpu, calls, standinBusy }]) => [
    name + (standinBusy > BUSY ? ' (the stand-in was the limit)' : ''),
    ranged(perSecond),
    `${digits(p50.median)} ms`,
    `${digits(p99.median)} ms`,
    `${whole(cpu.median)} µs`,
    callsOf(calls),
  ]);
  return { title, head, rows, note };
}

/** How many times as many a second. @param {Summaries} summaries @param {Contender} one @param {Contender} other */
export const ratio = (summaries, one, other) =>
  summaries[one.title].perSecond.median / summaries[other.title].perSecond.median;

/** @param {string} what @param {number} measured @param {number} bound @returns {Claim} */
export const atLeast = (what, measured, bound) => ({
  what,
  measured: `${measured.toFixed(2)} ×`,
  bound: `≥ ${bound} ×`,
  ok: measured >= bound,
});

/** @param {string} what @param {number} measured @param {number} bound @param {string} [unit] @returns {Claim} */
export const atMost = (what, measured, bound, unit = '×') => ({
  what,
  measured: `${unit === '×' ? measured.toFixed(2) : digits(measured)} ${unit}`,
  bound: `≤ ${bound} ${unit}`,
  ok: measured <= bound,
});

/** @param {Claim[]} claims @returns {Table} */
export const claimTable = (claims) => ({
  title: 'Ratios and bounds',
  head: ['', 'measured', 'bound', ''],
  rows: claims.map(({ what, measured, bound, ok }) => [what, measured, bound, ok ? '✓' : '✗ missed']),
});

/** @param {Table} table */
export function markdown({ title, head, rows, note }) {
  const align = head.map((_, column) => (column === 0 || rows.some((row) => /^[a-z]/.test(row[column])) ? 'l' : 'r'));
  const text = markdownTable([head, ...rows], { align, stringLength: (cell) => [...cell].length });
  return [`**${title}**`, text, ...(note ? [note] : [])].join('\n\n');
}

/** The middle, and how far the rounds were apart. @param {Spread} spread */
export const ranged = ({ median, min, max }) =>
  min === max ? whole(median) : `${whole(median)} (${whole(min)}–${whole(max)})`;

/** @param {number} n */
export const whole = (n) => Math.round(n).toLocaleString('en-US');

/** Three digits that mean something. @param {number} n */
export const digits = (n) => (n >= 100 ? whole(n) : Number(n.toPrecision(n >= 10 ? 3 : 2)).toString());

/** Who was called, and how often. @param {Counts} calls */
export function callsOf(calls) {
  const parts = { GHL: toGhl(calls), vCX: calledOf(calls, /^POST vCX/), KV: calledOf(calls, /^KV /) };
  const said = Object.entries(parts).filter(([, n]) => n >= 0.01);
  return said.map(([who, n]) => `${digits(n)} ${who}`).join(', ') || 'none';
}

/** @param {Counts} calls */
export const toGhl = (calls) => calledOf(calls, /^(?!KV |POST vCX)/);

/** @param {Counts} calls @param {RegExp} who */
const calledOf = (calls, who) =>
  Object.entries(calls).reduce((sum, [label, n]) => (who.test(label) ? sum + n : sum), 0);

/** The part of a core from which on the stand-in, not the contender, decides. */
const BUSY = 0.8;

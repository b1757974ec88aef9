/** A run as text: for the terminal, and for README.md between its marks. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Problem, root } from '../../scripts/run.mjs';
import { FIGURES } from './figures/index.js';
import { plot } from './plot.js';
import { claimTable, markdown } from './report.js';

/** @import { Claim, Table } from './report.js' */

/**
 * @typedef {object} Run what results/ keeps
 * @property {string} at
 * @property {string} machine
 * @property {Record<string, string>} versions
 * @property {string} took
 * @property {{ rounds: number, seconds: number, connections: number, messages: number }} options
 * @property {Record<string, any>} results by figure
 */

/** @param {Run} run */
export function reportOf(run) {
  const { results } = run;
  const reports = FIGURES.filter(({ name }) => name in results).map(({ name, report }) => ({
    name,
    ...report(results[name], results),
  }));
  return {
    where: whereOf(run),
    claims: reports.flatMap(({ claims = [] }) => claims),
    /** By figure. @type {Record<string, Table[]>} */
    tables: Object.fromEntries(reports.map(({ name, tables }) => [name, tables])),
    bars: Object.assign({}, ...reports.map(({ bars = {} }) => bars)),
  };
}

/** Everything. @param {Run} run */
export function textOf(run) {
  const { where, claims, tables } = reportOf(run);
  return [where, ...ratios(claims), ...Object.values(tables).flat().map(markdown)].join('\n\n');
}

/** The essence into README.md, everything and the picture beside the figures. @param {Run} run @param {string} [into] this project's folder, or another like it */
export function writeReadme(run, into = root) {
  const { where, claims, tables, bars } = reportOf(run);
  const missing = ESSENCE.filter((name) => !tables[name]);
  if (missing.length) throw new Problem(`README.md needs the figures ${missing.join(', ')} as well`);
  const parts = [
    where,
    `![How many messages a second, against Express](${PICTURE})`,
    ...ratios(claims),
    ...ESSENCE.flatMap((name) => tables[name]).map(markdown),
    `Everything that was measured: [${DETAILS}](${DETAILS}).`,
  ];
  const readme = join(into, 'README.md');
  const before = readFileSync(readme, 'utf8');
  writeFileSync(readme, between(before, `\n${parts.join('\n\n')}\n`));
  writeFileSync(join(into, PICTURE), plot(bars));
  writeFileSync(join(into, DETAILS), `# What npm run bench measured\n\n${textOf(run)}\n`);
}

/** A text with what is between the marks replaced. @param {string} text @param {string} by */
function between(text, by) {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Problem(`README.md lacks the marks ${BEGIN} and ${END}`);
  return text.slice(0, from + BEGIN.length) + by + text.slice(to);
}

/** @param {Claim[]} claims */
const ratios = (claims) => (claims.length ? [markdown(claimTable(claims))] : []);

/** @param {Run} run */
function whereOf({ at, machine, versions, took, options }) {
  const { rounds, seconds, connections } = options;
  const turns = `${rounds} ${rounds === 1 ? 'round' : 'rounds'} in turn, ${seconds} s each, ${connections} connections`;
  const with_ = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `Measured on ${at.slice(0, 10)}, in ${took}: ${machine}. With ${with_.join(', ')}; ${turns}.`;
}

/** The figures that README.md shows. */
const ESSENCE = ['push', 'webhook', 'month'];
const BEGIN = '<!-- bench: written by npm run bench -- --write -->';
const END = '<!-- /bench -->';
const PICTURE = 'tests/bench/results/full.svg';
const DETAILS = 'tests/bench/results/full.md';

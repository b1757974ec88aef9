// Recorded calls as lines to read, 80 columns wide. Knows nothing of what should have happened.

import { stripVTControlCharacters } from 'node:util';
import { isBad, noteOf, parties, shortPath } from '../js/sandbox/call.js';

/** @import { Entry } from '../js/sandbox/traffic.js' */

/** @typedef {ReturnType<typeof createPen>} Pen */

/** Colours for a terminal that wants them (NO_COLOR, TERM), plain text for everything else. @param {NodeJS.WriteStream} stream */
export function createPen(stream) {
  const colours = stream.isTTY && stream.hasColors();
  /** @param {number} open @param {number} close */
  const style = (open, close) => (/** @type {string} */ text) =>
    colours ? `\x1b[${open}m${text}\x1b[${close}m` : text;
  return { bold: style(1, 22), dim: style(2, 22), red: style(31, 39), green: style(32, 39), cyan: style(36, 39) };
}

/** A call, the words that it carried and, when it was refused, what was said. @param {Entry} entry @param {Pen} pen @returns {string} */
export function tell(entry, pen) {
  const bad = isBad(entry);
  const [from, to] = parties(entry);
  const { method, status, ms } = entry;
  const [path, note] = [pathOf(entry), noteOf(entry)];
  const room = CALL - path.length - 2;
  const call =
    path + (note.length <= room ? `  ${pen.dim(note)}${' '.repeat(room - note.length)}` : ' '.repeat(room + 2));
  const outcome = status === null ? '  …' : status === 0 ? '  –' : String(status).padStart(3);
  const lines = [
    ` ${bad ? pen.red('✗') : ' '} ${from.padEnd(7)} ${pen.dim('→')} ${to.padEnd(6)}  ${pen.dim(method.padEnd(4))} ${call}` +
      ` ${(bad ? pen.red : pen.green)(outcome)} ${pen.dim(`${(ms < 1 ? '<1' : String(Math.round(ms))).padStart(5)} ms`)}`,
  ];
  const words = wordsOf(entry);
  if (words) lines.push(INDENT + pen.cyan(quote(words)));
  const said = bad ? answerOf(entry) : '';
  if (said) lines.push(INDENT + pen.red(clip(said)));
  return lines.join('\n');
}

/** A line of the Worker's log. @param {Record<string, any>} line */
export function logged({ text, level, event, at, locationId, ...rest }) {
  if (text) return clip(text, 500);
  const details = Object.entries(rest).map(([name, value]) => `${name}: ${value}`);
  return clip(`${level} ${event} (${details.join(', ')})`, 500);
}

/** A call's name: `POST /conversations/messages/inbound`, or `POST /webhook INSTALL`. @param {Entry} entry */
export const nameOf = (entry) => [entry.method, pathOf(entry), noteOf(entry)].filter(Boolean).join(' ');

/**
 * Whether a call is the one of that name. A `*` stands for any part of a path, and so does a shortened id; without the last word
 * every webhook or event is meant.
 * @param {Pick<Entry, 'method' | 'path'> & Partial<Entry>} entry
 * @param {string} name
 */
export function isCall(entry, name) {
  const [method, path, note] = name.split(' ');
  const [here, there] = [entry.path, path].map((text) => text.split('?')[0].split('/'));
  return (
    entry.method === method &&
    here.length === there.length &&
    there.every((part, index) => /[*…]/.test(part) || part === here[index]) &&
    (!note || note === noteOf(/** @type {Entry} */ (entry)))
  );
}

/** What a refused call was answered, in its own words. @param {Entry} entry @returns {string} */
export function answerOf({ status, responseBody, error }) {
  if (status === 0) return error ?? 'the connection was cut';
  if (typeof responseBody === 'string' && responseBody.startsWith('<')) {
    const page = responseBody.match(/<main\b.*<\/main>/s)?.[0] ?? responseBody;
    return page.replace(/<[^>]*>/g, ' ').trim();
  }
  const body = /** @type {any} */ (typeof responseBody === 'string' ? parsed(responseBody) : responseBody);
  const said = body?.message ?? body?.detail ?? body?.error_description ?? body?.error ?? body?.title ?? body ?? '';
  return typeof said === 'string' ? said : JSON.stringify(said);
}

/** On one line, in quotation marks. @param {string} text @param {number} [width] */
export const quote = (text, width = WIDTH - INDENT.length) => `“${clip(text, width - 2)}”`;

/** @param {string} text @param {number} [width] */
export function clip(text, width = WIDTH - INDENT.length) {
  const characters = [...stripVTControlCharacters(text).replace(/\s+/g, ' ').trim()];
  return characters.length > width ? `${characters.slice(0, width - 1).join('')}…` : characters.join('');
}

/** What a person wrote, where a call is the one that carries it; GHL's echoes of it are not. @param {Entry} entry @returns {string} */
function wordsOf({ to, path, kind, requestBody }) {
  const { type, message, body } = /** @type {Record<string, any>} */ (requestBody ?? {});
  const words =
    (to === 'ghl' && path === '/conversations/messages/inbound') || kind === 'delivery'
      ? message
      : path === '/push-message' || (to === 'vcx' && type === 'message.created')
        ? body
        : '';
  return typeof words === 'string' ? words : '';
}

/** The path, with ids and query shortened. @param {Entry} entry */
function pathOf(entry) {
  const short = shortPath(entry);
  return clip(short, CALL) + (entry.path.includes('?') && short.length < CALL - 2 ? '?…' : '');
}

/** @param {string} text @returns {unknown} */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const WIDTH = 80;
const INDENT = ' '.repeat(26);
const CALL = WIDTH - INDENT.length - ' 200 12345 ms'.length;

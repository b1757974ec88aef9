/**
 * Holds the Worker's log against what must never be in it: secrets, tokens, signatures, texts, addresses. What can be told by
 * its shape is; the settings' secrets and the texts are known one by one, from the settings and from what goes over the wire.
 */

/** @import { Line } from '../../scripts/workerd.mjs' */
/** @import { Sandbox } from '../../js/sandbox/index.js' */

/**
 * @param {Record<string, string>} settings the Worker's; they may become others
 * @param {Sandbox} sandbox
 */
export function watchLog(settings, sandbox) {
  const secrets = () =>
    Object.entries(settings).flatMap(([name, value]) => (PUBLIC.has(name) ? [] : [value, ...value.split(/[,:_]/)]));
  const known = new Set(secrets());
  /** @type {Set<string>} */
  const lines = new Set();
  const stopListening = sandbox.onTraffic(({ requestBody, responseBody }) => {
    learn(requestBody);
    learn(responseBody);
  });
  const hear = (/** @type {string} */ body) => learn(parsed(body));
  hearers.add(hear);

  /** The texts in a body: all of it when it is no JSON. @param {unknown} body */
  function learn(body) {
    const left = [{ value: body, isPrivate: true }];
    for (let next = left.pop(); next; next = left.pop()) {
      const { value, isPrivate } = next;
      if (typeof value === 'string' && isPrivate) known.add(value);
      if (typeof value !== 'object' || value === null) continue;
      for (const [name, member] of Object.entries(value)) {
        left.push({ value: member, isPrivate: Array.isArray(value) ? isPrivate : NAMES.has(name) });
      }
    }
  }

  return {
    /** @param {Line} line */
    line({ at, ms, ...rest }) {
      // Lines that differ in their times alone are looked at once.
      const timed = Number.isInteger(at) && (rest.event !== 'request' || Number.isInteger(ms));
      lines.add(JSON.stringify(timed ? rest : { ...rest, at: at ?? null }));
    },

    /** What is wrong with the lines so far: each as a sentence. */
    wrong() {
      stopListening();
      hearers.delete(hear);
      // What is shorter, or a plain word, could be anybody's.
      const texts = [...known, ...secrets()]
        .filter((text) => text.length >= 5 && !/^[a-z]+$/.test(text))
        .map((text) => JSON.stringify(text).slice(1, -1));
      return [...lines].flatMap((line) => {
        const { level, event, at, path, ...rest } = JSON.parse(line);
        // A path has whatever form its caller gave it.
        const shaped = JSON.stringify({ event, ...rest }).replace(HASH, '#');
        const found = [
          ...(LEVELS.has(level) && event && at === undefined ? [] : ['no level, event or time']),
          ...texts.filter((text) => line.includes(text)),
          ...SHAPES.flatMap(({ name, shape }) => (shaped.match(shape) ?? []).map((text) => `${name} ${text}`)),
        ];
        return found.map((what) => `${what}: ${line}`);
      });
    },
  };
}

/** Who is told of the bodies that this process sends by `fetch`. @type {Set<(body: string) => void>} */
const hearers = new Set();
const { fetch } = globalThis;
globalThis.fetch = (input, init) => {
  if (typeof init?.body === 'string') for (const hear of hearers) hear(init.body);
  return fetch(input, init);
};

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const LEVELS = new Set(['info', 'warn', 'error']);
const PUBLIC = new Set([
  'GHL_CLIENT_ID',
  'GHL_REDIRECT_URI',
  'GHL_PROVIDER_ID',
  'GHL_VERSION_ID',
  'GHL_SCOPES',
  'GHL_API_URL',
  'GHL_INSTALL_URL',
  'GHL_PUBLIC_KEYS',
  'VCX_WEBHOOK_URL',
  'VCX_ALLOWED_ORIGINS',
]);
/** Members that hold texts or addresses, in vCX's and in GHL's words. */
const NAMES = new Set([
  'attachments',
  'body',
  'email',
  'error_description',
  'firstName',
  'html',
  'lastMessageBody',
  'lastName',
  'message',
  'name',
  'phone',
  'reason',
  'text',
]);
const HASH = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g;
const SHAPES = [
  // A token, a signature, a key, a state: longer than any id, and of all kinds of characters.
  { name: 'a secret', shape: /(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?=[\w+/-]*\d)[\w+/-]{40,}/g },
  { name: 'a bearer', shape: /\bBearer\s+\S+/gi },
  { name: 'an e-mail address', shape: /[^\s"/:]+@[^\s"/:]+/g },
  { name: 'a phone number', shape: /\+\d[\d ()-]{6,}/g },
];

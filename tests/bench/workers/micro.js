/**
 * Parts of the core in WASM and the same in JavaScript, as often as asked for. A Worker's clock stands still while it works,
 * so that whoever asks measures.
 */

// @ts-expect-error generated beside this file
import { Core, initSync } from './vcx_ghl_bench.js';
// @ts-expect-error
import module from './vcx_ghl_bench_bg.wasm';

initSync({ module });

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export default {
  /** @param {Request} request */
  async fetch(request) {
    const { what, times, secret, ghlKey, signature, push } = await request.json();
    const body = encoder.encode(push);
    const core = new Core(encoder.encode(secret), ghlKey);
    const algorithm = { name: 'HMAC', hash: 'SHA-256' };
    const mac = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['sign']);
    const raw = Uint8Array.from(atob(ghlKey), (c) => c.charCodeAt(0));
    const key = await crypto.subtle.importKey('raw', raw, 'Ed25519', false, ['verify']);

    /** @type {Record<string, () => any>} */
    const works = {
      'hmac wasm': () => core.hmac(body),
      'hmac js': async () => new Uint8Array(await crypto.subtle.sign('HMAC', mac, body)),
      'ed25519 wasm': () => core.ed25519(signature, body),
      'ed25519 js': () => {
        const bytes = Uint8Array.from(atob(signature), (c) => c.charCodeAt(0));
        return crypto.subtle.verify('Ed25519', key, bytes, body);
      },
      'mapping wasm': () => core.toGhl(body, PROVIDER, CONTACT),
      'mapping js': () => toGhl(body),
    };
    const work = works[what];
    const isAsync = work() instanceof Promise;
    let result;
    if (isAsync) for (let n = 0; n < times; n += 1) result = await work();
    else for (let n = 0; n < times; n += 1) result = work();
    return Response.json(result instanceof Uint8Array ? decoder.decode(result) : result);
  },
};

/** As src/vcx.rs parses and src/map.rs maps, and no more. @param {Uint8Array} bytes */
function toGhl(bytes) {
  const push = JSON.parse(decoder.decode(bytes));
  /** @type {string[]} */
  const wrong = [];
  for (const [name, most] of IDS) if (!isId(push[name], most)) wrong.push(name);
  for (const name of DETAILS) if (push[name] && !isId(push[name], 256)) wrong.push(name);
  if (typeof push.fromUser !== 'boolean') wrong.push('fromUser');
  if (typeof push.body !== 'string' || encoder.encode(push.body).length > 65_536) wrong.push('body');
  if (!Number.isInteger(push.timestamp) || push.timestamp < 0 || push.timestamp > 8.64e15) wrong.push('timestamp');
  if (wrong.length) throw new Error(`missing or wrong: ${wrong}`);
  const message = {
    type: 'Custom',
    contactId: CONTACT,
    conversationProviderId: PROVIDER,
    message: push.body,
    altId: push.messageId,
    direction: push.fromUser ? 'inbound' : 'outbound',
    date: new Date(push.timestamp).toISOString(),
  };
  return encoder.encode(JSON.stringify(message));
}

/** @param {unknown} id @param {number} most */
const isId = (id, most) => typeof id === 'string' && id !== '' && [...id].length <= most && !/\p{Cc}/u.test(id);

const IDS = /** @type {const} */ ([
  ['locationId', 128],
  ['clientId', 75],
  ['vcxConversationId', 128],
  ['messageId', 128],
]);
const DETAILS = ['name', 'email', 'phone'];
const PROVIDER = '66aa11bb22cc33dd44ee55ff';
const CONTACT = 'conA1B2C3D4E5F6G7H8i';

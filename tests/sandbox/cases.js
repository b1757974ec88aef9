/**
 * Runs one case of tests/ghl-cases.json against the sandbox; the file's `_readme` is its language.
 */

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { startSandbox } from '../../js/sandbox/index.js';

/** @import { AddressInfo } from 'node:net' */
/** @import { Sandbox } from '../../js/sandbox/index.js' */

/**
 * @typedef {object} Step
 * @property {StepRequest} [request]
 * @property {{ status: number, headers?: Record<string, any>, body?: any, empty?: boolean }} [answer]
 * @property {number} [times]
 * @property {number} [advanceMs]
 * @property {Record<string, any>} [do]
 * @property {Record<string, string>} [save]
 * @property {{ to: 'delivery' | 'webhook', body: any }[]} [sends]
 */
/**
 * @typedef {object} StepRequest
 * @property {string} method
 * @property {string} path
 * @property {string} [token]
 * @property {string | null} [version]
 * @property {Record<string, string>} [headers]
 * @property {unknown} [body]
 * @property {Record<string, string>} [form]
 * @property {string} [raw]
 */
/** @typedef {{ name: string, facts: string, given?: Record<string, any>, steps: Step[] }} Case */

/** Answers every webhook with 200. */
export async function startReceiver() {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.end());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** @param {Case} story @param {string} receiver URL of the one that takes webhooks */
export async function runCase({ given = {}, steps }, receiver) {
  let clock = Date.parse('2026-10-08T09:00:00.000Z');
  const sandbox = await startSandbox({ now: () => clock, redirectUri: REDIRECT_URI });
  try {
    const scene = await arrange(sandbox, given, receiver);
    for (const [i, step] of steps.entries()) {
      if (step.advanceMs !== undefined) {
        clock += step.advanceMs;
        continue;
      }
      const before = sandbox.traffic.length;
      const where = `step ${i + 1}`;
      for (let n = 0; n < (step.times ?? 1); n += 1) {
        const result = step.request
          ? await ask(sandbox, scene, step.request, /** @type {any} */ (step.answer), where)
          : await act(sandbox, scene, step.do ?? {});
        for (const [name, path] of Object.entries(step.save ?? {})) {
          scene.vars[name] = path.split('.').reduce((value, key) => value?.[key], result);
        }
      }
      if (!step.sends) continue;
      await sandbox.ghl.settled();
      const sent = sandbox.traffic.slice(before).filter(({ to }) => to === 'worker');
      const posts = sent.map(({ path, requestBody }) => ({ to: path.slice(1), body: requestBody }));
      checkSends(posts, fill(step.sends, scene.vars), where);
    }
  } finally {
    await sandbox.close();
  }
}

/** @typedef {{ vars: Record<string, any>, tokens: Record<string, string> }} Scene */

/**
 * @param {Sandbox} sandbox
 * @param {Record<string, any>} given
 * @param {string} receiver
 * @returns {Promise<Scene>}
 */
async function arrange(sandbox, given, receiver) {
  const { ghl } = sandbox;
  const [location, other] = [...ghl.state.locations.values()];
  const foreign = ghl.addLocation({ companyId: ghl.addCompany().id });
  const otherApp = ghl.addApp();
  Object.assign(location.settings, given.location);

  /** @param {{ locationId?: string, companyId?: string, clientId?: string, scope?: string }} what */
  const token = (what) => ghl.issueTokens(what).access_token;
  const company = token({ companyId: ghl.companyId });
  const expired = token({ locationId: location.id });
  ghl.expireAccessTokens(location.id);
  /** @type {Scene} */
  const scene = {
    vars: {
      locationId: location.id,
      otherLocationId: other.id,
      foreignLocationId: foreign.id,
      companyId: ghl.companyId,
      clientId: ghl.clientId,
      clientSecret: ghl.clientSecret,
      appId: ghl.appId,
      providerId: ghl.providerId,
      otherProviderId: otherApp.providerId,
      redirectUri: REDIRECT_URI,
    },
    tokens: {
      company,
      expired,
      location: token({ locationId: location.id }),
      otherLocation: token({ locationId: other.id }),
      otherApp: token({ locationId: location.id, clientId: otherApp.clientId }),
      garbage: 'eyJhbGciOiJSUzI1NiJ9.e30.bm90aGluZw',
    },
  };
  const { vars } = scene;
  const { limits = {}, ...options } = given.options ?? {};

  /** @param {string} path @param {Record<string, unknown>} body @returns {Promise<any>} */
  async function make(path, body) {
    const { status, body: made } = await call(sandbox, scene, { method: 'POST', path, body });
    assert.ok(status < 300, `given: POST ${path} answered ${status} ${JSON.stringify(made)}`);
    return made;
  }
  for (const [name, field] of Object.entries(given.customFields ?? {})) {
    const body = { name: field, dataType: 'TEXT', model: 'contact' };
    vars[name] = (await make(`/locations/${location.id}/customFields`, body)).customField.id;
  }
  for (const [name, contact] of Object.entries(given.contacts ?? {})) {
    const body = { locationId: location.id, ...contact };
    vars[name] = (await make('/contacts/', body)).contact.id;
  }
  for (const [name, contact] of Object.entries(given.conversations ?? {})) {
    const body = { locationId: location.id, contactId: vars[contact] };
    vars[name] = (await make('/conversations/', body)).conversation.id;
  }
  for (const [name, { contact, ...message }] of Object.entries(given.messages ?? {})) {
    const ours = { type: 'Custom', conversationProviderId: ghl.providerId };
    const body = { ...ours, contactId: vars[contact], ...message };
    vars[name] = (await make('/conversations/messages/inbound', body)).messageId;
  }
  if (given.scope) scene.tokens.location = token({ locationId: location.id, scope: given.scope });
  if (given.code) {
    const where = given.code === 'company' ? { companyId: ghl.companyId } : { locationId: location.id };
    vars.code = (await ghl.install({ ...where, webhook: false })).code;
  }
  await ghl.settled();
  ghl.resetLimits();
  Object.assign(ghl.options, options);
  Object.assign(ghl.limits, limits);
  if (given.webhooks) {
    ghl.options.webhookUrl = `${receiver}/webhook`;
    ghl.options.deliveryUrl = `${receiver}/delivery`;
  }
  return scene;
}

/** @param {Sandbox} sandbox @param {Scene} scene @param {StepRequest} request */
async function call(sandbox, { vars, tokens }, request) {
  const { method, path, token = 'location', version, headers, body, form, raw } = fill(request, vars);
  const usual = path.includes('/conversations') ? '2021-04-15' : '2021-07-28';
  const sent = form ? new URLSearchParams(form) : (raw ?? (body && JSON.stringify(body)));
  const reply = await fetch(sandbox.ghl.url + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(version === null ? {} : { Version: version ?? usual }),
      ...(token === 'none' ? {} : { Authorization: `Bearer ${tokens[token]}` }),
      ...(sent && !form ? { 'Content-Type': 'application/json' } : {}),
      ...headers,
    },
    body: sent,
  });
  const text = await reply.text();
  const { status, headers: answered } = reply;
  return { status, headers: answered, text, body: text ? JSON.parse(text) : undefined };
}

/**
 * @param {Sandbox} sandbox
 * @param {Scene} scene
 * @param {StepRequest} request
 * @param {NonNullable<Step['answer']>} expected
 * @param {string} where
 */
async function ask(sandbox, scene, request, expected, where) {
  const answer = await call(sandbox, scene, request);
  const place = `${where}, ${request.method} ${request.path}`;
  const { status, headers = {}, body, empty } = fill(expected, scene.vars);
  assert.equal(answer.status, status, `${place}: answered ${answer.text}`);
  for (const [name, value] of Object.entries(headers)) {
    const actual = answer.headers.get(name) ?? undefined;
    const wrong = mismatch(actual, value, name);
    assert.equal(wrong, undefined, `${place}: ${wrong}`);
  }
  if (empty) assert.equal(answer.text, '', `${place}: the body is not empty`);
  if (body !== undefined) {
    const wrong = mismatch(answer.body, body, 'body');
    assert.equal(wrong, undefined, `${place}: ${wrong}; answered ${answer.text}`);
  }
  return answer.body;
}

/**
 * @param {Sandbox} sandbox
 * @param {Scene} scene
 * @param {Record<string, any>} action
 * @returns {Promise<any>}
 */
async function act({ ghl }, { vars }, action) {
  const [[name, what]] = Object.entries(action);
  const { locationId, companyId } = vars;
  const where = what === 'company' ? { companyId } : { locationId };
  const id = what === 'company' ? companyId : locationId;
  switch (name) {
    case 'pause':
      return ghl.pauseLocation(id);
    case 'resume':
      return ghl.resumeLocation(id);
    case 'expireAccessTokens':
      return ghl.expireAccessTokens(id);
    case 'revokeRefreshTokens':
      return ghl.revokeRefreshTokens(id);
    case 'install':
      return ghl.install(where);
    case 'uninstall':
      return ghl.uninstall(where);
    case 'agentReplies': {
      const { contact, ...reply } = fill(what, vars);
      return ghl.agentReplies({ contactId: contact, ...reply });
    }
    default:
      throw new Error(`no such thing to do: ${name}`);
  }
}

/**
 * @param {{ to: string, body: unknown }[]} posts
 * @param {{ to: string, body: any }[]} expected
 * @param {string} where
 */
function checkSends(posts, expected, where) {
  const left = [...posts];
  const seen = JSON.stringify(posts);
  for (const { to, body } of expected) {
    const found = left.findIndex((post) => post.to === to && !mismatch(post.body, body, ''));
    assert.ok(found >= 0, `${where}: no ${to} post fits ${JSON.stringify(body)}; posted ${seen}`);
    left.splice(found, 1);
  }
  assert.deepEqual(left, [], `${where}: posted more than expected`);
}

/**
 * @param {any} actual @param {any} expected @param {string} path
 * @returns {string | undefined} the first difference
 */
export function mismatch(actual, expected, path) {
  const differs = `${path} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`;
  if (typeof expected !== 'object' || expected === null) return actual === expected ? undefined : differs;
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) return differs;
    return expected.map((item, i) => mismatch(actual[i], item, `${path}.${i}`)).find(Boolean);
  }
  const [key] = Object.keys(expected);
  const wanted = expected[key];
  switch (key) {
    case '$absent':
      return actual === undefined ? undefined : `${path} is there: ${JSON.stringify(actual)}`;
    case '$type':
      return (Array.isArray(actual) ? 'array' : typeof actual) === wanted ? undefined : differs;
    case '$startsWith':
      return String(actual).startsWith(wanted) ? undefined : differs;
    case '$contains':
      return String(actual).includes(wanted) ? undefined : differs;
    case '$length':
      return Array.isArray(actual) && actual.length === wanted ? undefined : differs;
    case '$not':
      return actual !== undefined && actual !== wanted ? undefined : differs;
  }
  if (typeof actual !== 'object' || actual === null) return differs;
  return Object.entries(expected)
    .map(([name, value]) => mismatch(actual[name], value, `${path}.${name}`))
    .find(Boolean);
}

/** Puts the variables in. @param {any} value @param {Record<string, any>} vars @returns {any} */
function fill(value, vars) {
  if (typeof value === 'string') {
    const whole = /^\{\{(\w+)\}\}$/.exec(value);
    if (whole) return known(whole[1]);
    return value.replace(/\{\{(\w+)\}\}/g, (_, name) => known(name));
  }
  if (Array.isArray(value)) return value.map((item) => fill(item, vars));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, child]) => [fill(name, vars), fill(child, vars)]);
  return Object.fromEntries(entries);

  /** @param {string} name */
  function known(name) {
    assert.ok(Object.hasOwn(vars, name), `there is no {{${name}}}`);
    return vars[name];
  }
}

const REDIRECT_URI = 'https://worker.example.com/auth/callback';

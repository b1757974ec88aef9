/** The types, as a TypeScript project meets them; and that they say what the OpenAPI document says. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { example, freshProject, root, runTool } from './project.js';

const RIGHT = `
import { connect, createClient, createSession, load, toVcx, verifyEvent, VcxGhlError } from 'vcx-ghl';
import type { ChatMessage, ClientEvent, LocationHealth, OwnMessage, Push, VcxEvent } from 'vcx-ghl';
import { startSandbox } from 'vcx-ghl/sandbox';

const client = connect({ url: new URL('https://sync.example'), session: async () => 'token', after: 0 });
const message: OwnMessage = client.send('Hello', { attachments: ['https://files.example/a.png'] });
const stop: () => void = client.on('message', (event) => { const said: ChatMessage = event; return said.fromUser; });
client.on('status', ({ status, reason }) => { const words: string | undefined = reason; return [status === 'read', words]; });
client.on('connection', ({ state }) => state === 'open');
for await (const event of client) tell(event);

function tell(event: ClientEvent): string {
  switch (event.type) {
    case 'message': return event.body;
    case 'status': return event.status;
    case 'connection': return event.state;
    case 'conversation': return String(event.unreadCount);
    case 'reset': return String(event.id);
  }
}

const api = createClient({ url: 'https://sync.example', apiKey: 'key' });
const push: Push = { locationId: 'l', clientId: 'c', vcxConversationId: 'v', fromUser: true, body: 'Hi', timestamp: 1 };
const pushed = await api.pushMessage(push, { signal: AbortSignal.timeout(1) });
const where: string | null = pushed.status === 'sent' ? pushed.conversationId : pushed.reason ?? null;
for await (const { locationId } of api.locations()) { const health: LocationHealth = await api.location(locationId); health.queue.depth; }
const session: string = await createSession({ secret: 's', locationId: 'l', clientId: 'c', vcxConversationId: 'v', expiresIn: 60 });

const event = await verifyEvent(new Headers(), new Uint8Array(), 'whsec_');
const id: string = event.webhookId;
function answer(event: VcxEvent): string {
  switch (event.type) {
    case 'message.created': return event.body;
    case 'conversation.updated': return String(event.unreadCount);
    case 'message.failed': return event.reason;
    case 'location.connected': return event.ref ?? event.via;
    case 'location.disconnected': return event.reason;
  }
}
await load(new URL('https://sync.example/vcx_ghl_bg.wasm'));
const mapped = toVcx('{}', { providerId: 'p' });
const words: string = mapped.dropped ?? answer(mapped.event);
const error = new VcxGhlError('code', 'detail', { status: 400 });
const fields: string[] = error.errors.map(({ field }) => field);
const sandbox = await startSandbox();
const url: string = sandbox.ghl.url;
export { fields, id, message, session, stop, url, where, words };
`;

/** Each line must not pass. */
const WRONG = `
import { connect, createClient, toGhl, verifyEvent } from 'vcx-ghl';
const client = connect({ url: 'https://sync.example', session: 'x' });
connect({ url: 'https://sync.example' });
client.on('messages', () => {});
client.on('reset', ({ body }) => body);
client.send(7);
createClient({ url: 'https://sync.example' });
toGhl({ locationId: 'l' }, { providerId: 'p', contactId: 'c' });
(await verifyEvent({}, '', '')).unreadCount;
`;

describe('a TypeScript project', () => {
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    it(`finds the types, with moduleResolution ${moduleResolution}`, async (t) => {
      const project = await freshProject(t, {
        'right.ts': RIGHT,
        'tsconfig.json': config({ module, moduleResolution }),
      });
      await runTool(project, 'typescript/bin/tsc');
    });
  }

  it('is told of what is wrong', async (t) => {
    const project = await freshProject(t, { 'wrong.ts': WRONG, 'tsconfig.json': config({}) });
    const { message } = await runTool(project, 'typescript/bin/tsc', '--pretty', 'false').then(
      () => assert.fail('it passes'),
      (error) => error,
    );
    const lines = [...message.matchAll(/^wrong\.ts\((\d+),/gm)].map(([, line]) => Number(line));
    assert.deepEqual([...new Set(lines)], [4, 5, 6, 7, 8, 9, 10], message);
  });

  it('can check the README’s JavaScript', async (t) => {
    const files = { 'chat.js': example('chat.js'), 'backend.js': example('backend.js') };
    const project = await freshProject(t, {
      ...files,
      'tsconfig.json': config({ allowJs: true, checkJs: true, strict: false }),
    });
    await runTool(project, 'typescript/bin/tsc');
  });
});

describe('the types say what the OpenAPI document says', () => {
  const { components, paths, webhooks } = JSON.parse(readFileSync(join(root, 'src/openapi.json'), 'utf8'));
  const source = readFileSync(join(root, 'js/npm/types.js'), 'utf8');
  /** @param {string} path @param {string} [status] */
  const answer = (path, status = '200') =>
    Object.values(paths[path])[0].responses[status].content['application/json'].schema;
  /** @param {string} path */
  const asked = (path) => paths[path].post.requestBody.content['application/json'].schema;
  const { Health, Push, Queued, Sent } = components.schemas;

  for (const [name, schema] of Object.entries({
    Push,
    Sent,
    Queued,
    ContactAsk: asked('/contact'),
    StatusAsk: asked('/message-status'),
    ListedLocation: answer('/locations').properties.locations.items,
    LocationHealth: Health,
    DeadLetter: Health.properties.deadLetters.items,
    LastError: Health.properties.lastError,
    MessageCreated: event('message.created'),
    ConversationUpdated: event('conversation.updated'),
    MessageFailed: event('message.failed'),
    LocationConnected: event('location.connected'),
    LocationDisconnected: event('location.disconnected'),
  })) {
    it(`of ${name}`, () => {
      const [, block] =
        source.match(new RegExp(` \\* @typedef \\{object\\} ${name}\\n((?: \\* @property .*\\n)+)`)) ?? [];
      assert.ok(block, 'there is no such type');
      const fields = [...block.matchAll(/@property \{(.*)\} (\[?)(\w+)/g)];
      assert.deepEqual(fields.map(([, , , field]) => field).sort(), Object.keys(schema.properties).sort());
      const needed = fields.filter(([, , optional]) => !optional).map(([, , , field]) => field);
      assert.deepEqual(needed.sort(), [...schema.required].sort());
      for (const [, type, , field] of fields) {
        const { properties, required } = resolved(schema.properties[field]);
        const inner = [...type.matchAll(/[{,] (\w+): /g)].map(([, word]) => word);
        if (type.startsWith('{'))
          assert.deepEqual([inner.sort(), inner], [Object.keys(properties).sort(), [...required].sort()]);
      }
    });
  }

  for (const [name, schema] of Object.entries({
    State: components.schemas.State,
    Via: components.schemas.Via,
    Direction: components.schemas.Direction,
  })) {
    it(`of ${name}`, () => {
      const [, union] = source.match(new RegExp(`@typedef \\{(.*)\\} ${name} \\*/`)) ?? [];
      assert.deepEqual([...union.matchAll(/'(\w+)'/g)].map(([, word]) => word).sort(), [...schema.enum].sort());
    });
  }

  /** @param {string} name */
  function event(name) {
    return webhooks[name].post.requestBody.content['application/json'].schema;
  }

  /** @param {any} schema */
  function resolved(schema) {
    return schema.$ref ? components.schemas[schema.$ref.split('/').at(-1)] : schema;
  }
});

/** @param {Record<string, unknown>} options */
function config(options) {
  const types = { typeRoots: [join(root, 'node_modules/@types')], types: ['node'] };
  const usual = {
    strict: true,
    noEmit: true,
    target: 'es2023',
    lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable'],
  };
  return JSON.stringify({
    compilerOptions: { module: 'nodenext', ...usual, ...types, ...options },
    include: ['*.ts', '*.js'],
  });
}

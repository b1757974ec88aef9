/**
 * The OpenAPI document against the specification, and against the Rust sources that it describes: what is written down
 * twice has to say the same.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';

const SRC = new URL('../src/', import.meta.url);
/** @param {string} path */
const source = (path) => readFileSync(new URL(path, SRC), 'utf8');

const text = source('openapi.json');
/** @type {any} */
const document = JSON.parse(text);
const edge = source('edge.rs');
const error = source('error.rs');
const vcx = source('vcx.rs');
// Strict: an unknown keyword is an error, but for those of the document itself.
const ajv = new Ajv2020({ strictTypes: false }).addVocabulary(Object.keys(document)).addSchema(document, 'document');

/** @type {{ name: string, path: string, operation: any }[]} */
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([method]) => method !== 'parameters')
    .map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, path, operation })),
);

describe('the OpenAPI document', () => {
  it('is OpenAPI 3.1, and its references lead somewhere', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    assert.deepEqual({ valid, errors }, { valid: true, errors: undefined });
    assert.equal(document.openapi, '3.1.0');
  });

  it('has schemas that are JSON Schema 2020-12, without a misspelt keyword', () => {
    const found = schemas(document);
    assert.ok(found.length > 100);
    for (const pointer of found) ajv.compile({ $ref: `document${pointer}` });
  });

  it('uses every component', () => {
    for (const [kind, components] of Object.entries(document.components)) {
      if (kind === 'securitySchemes') continue;
      for (const name of Object.keys(components)) {
        assert.ok(text.includes(`"#/components/${kind}/${name}"`), `nothing refers to ${kind}/${name}`);
      }
    }
  });

  it('has a place for the version, and loses nothing without its white space', () => {
    const stripped = JSON.stringify(document);
    assert.equal(stripped.split('{{version}}').length, 2);
    assert.equal(document.info.version, '{{version}}');
    // Outside its strings there is nothing but white space to lose, and no key comes twice.
    assert.equal(stripped.length, text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1').length);
  });
});

describe('the routes', () => {
  const methods = arms(edge, 'allow');
  const keys = arms(edge, 'needs_key');
  const routes = [...body(edge, 'of').matchAll(/\[("[^\]]*)\]\s*=>[^,]*?\bSelf::(\w+)/g)].map(
    ([, pattern, variant]) => {
      const segments = pattern.split(',').map((segment) => segment.match(/"(.*)"/)?.[1] ?? '{id}');
      const name = `${methods.get(variant)} /${segments.join('/')}`;
      return { name, variant, needsKey: keys.get(variant) === 'true' };
    },
  );

  it('are described, and no others', () => {
    assert.equal(routes.length, methods.size);
    assert.deepEqual(operations.map(({ name }) => name).sort(), routes.map(({ name }) => name).sort());
  });

  it('ask for the key where the edge does, and nothing else does', () => {
    const described = operations.filter(({ operation }) => operation.security).map(({ name }) => name);
    const real = routes.filter(({ needsKey }) => needsKey).map(({ name }) => name);
    assert.deepEqual(described.sort(), real.sort());
    assert.equal(document.security, undefined, 'the webhooks would need it too');
  });

  it('take a session where the edge does', () => {
    const described = operations.filter(({ operation }) =>
      operation.security?.some((/** @type {any} */ one) => one.session),
    );
    const [, real] = body(edge, 'takes_sessions').match(/matches!\(self, (.*)\)/) ?? [];
    const variants = real.split('|').map((variant) => variant.trim().replace('Self::', ''));
    assert.deepEqual(
      described.map(({ name }) => name).sort(),
      routes
        .filter(({ variant }) => variants.includes(variant))
        .map(({ name }) => name)
        .sort(),
    );
    for (const { operation, name } of described) assert.ok(operation.responses[403], name);
  });

  it('say what all of their kind can answer', () => {
    for (const { name, operation } of operations) {
      const { responses, security, requestBody } = operation;
      const needed = ['405', '414', '431', '500', ...(security ? ['401'] : []), ...(requestBody ? ['413'] : [])];
      assert.deepEqual(
        needed.filter((status) => !responses[status]),
        [],
        name,
      );
    }
  });
});

describe('the error codes', () => {
  const words = arms(error, 'as_str');
  const statuses = arms(error, 'status');
  const problem = document.components.schemas.Problem.properties.code.enum;

  it('are those of error.rs', () => {
    assert.equal(words.size, statuses.size);
    assert.deepEqual([...problem].sort(), [...words.values()].sort());
  });

  it('are answered with their status, each of them somewhere', () => {
    const status = new Map([...words].map(([variant, word]) => [word, statuses.get(variant)]));
    const seen = new Set();
    for (const { name, operation } of operations) {
      for (const [at, response] of Object.entries(operation.responses)) {
        const { schema } = resolved(response).content?.['application/problem+json'] ?? {};
        if (!schema) continue;
        const { code } = schema.properties;
        for (const word of code.enum ?? [code.const]) {
          assert.equal(status.get(word), at, `${word}, for ${name}`);
          seen.add(word);
        }
      }
    }
    assert.deepEqual([...seen].sort(), [...problem].sort());
  });

  it('of dead letters are those that the code gives', () => {
    const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.rs'));
    const given = files.flatMap((file) =>
      [...source(file).matchAll(/\bReason::new\(\s*"(\w+)"/g)].map(([, code]) => code),
    );
    const dead = new Set(given.filter((code) => !SET_UP_ONLY.includes(code)));
    assert.deepEqual([...document.components.schemas.DeadCode.enum].sort(), [...dead].sort());
  });
});

describe('the events to vCX', () => {
  const variants = vcx.matchAll(/#\[serde\(rename = "(\w+\.\w+)"\)\]\s*\w+ \{([^}]*)\}/g);
  /** @type {Map<string, string>} */
  const events = new Map([...variants].map(([, name, fields]) => [name, fields]));

  it('are those of vcx.rs', () => {
    assert.equal(events.size, arms(vcx, 'name').size);
    assert.deepEqual(Object.keys(document.webhooks).sort(), [...events.keys()].sort());
  });

  for (const [name, fields] of events) {
    it(`have the fields of vcx.rs: ${name}`, () => {
      const { schema } = document.webhooks[name].post.requestBody.content['application/json'];
      const real = [...fields.matchAll(/((?:#\[serde\([^\]]*\)\]\s*)?)(\w+): (?:Option<)?[\w<>]+,/g)].map(
        ([, attribute, field]) => ({
          field: attribute.match(/rename = "(\w+)"/)?.[1] ?? camelCase(field),
          optional: attribute.includes('skip_serializing_if'),
        }),
      );
      assert.deepEqual(Object.keys(schema.properties), ['type', ...real.map(({ field }) => field)]);
      const required = real.filter(({ optional }) => !optional).map(({ field }) => field);
      assert.deepEqual(schema.required, ['type', ...required]);
      assert.equal(schema.properties.type.const, name);
    });
  }

  it('come with the headers of Standard Webhooks', () => {
    for (const item of Object.values(document.webhooks)) {
      const headers = item.parameters.map((/** @type {any} */ parameter) => resolved(parameter).name);
      assert.deepEqual(headers, ['webhook-id', 'webhook-timestamp', 'webhook-signature']);
    }
  });
});

describe('the limits', () => {
  const { schemas } = document.components;

  it('are the constants of vcx.rs', () => {
    const { attachments, body, messageId } = schemas.Push.properties;
    const { schema: status } = document.paths['/message-status'].post.requestBody.content['application/json'];
    assert.deepEqual(
      {
        ID: schemas.Id.maxLength,
        CLIENT_ID: schemas.ClientId.maxLength,
        DETAIL: schemas.Detail.maxLength,
        ERROR: status.properties.error.maxLength,
        TEXT: body.maxLength,
        URL: attachments.items.maxLength,
        ATTACHMENTS: attachments.maxItems,
        LATEST: schemas.Time.maximum,
      },
      constants(vcx + source('public_url.rs')),
    );
    assert.equal(messageId.maxLength, schemas.Id.maxLength);
  });

  it('are the states of token.rs', () => {
    assert.deepEqual([...schemas.State.enum].sort(), [...new Set(arms(source('token.rs'), 'name').values())].sort());
  });

  it('let pass what vCX pushes, and nothing that would be refused', () => {
    const accepts = ajv.compile({ $ref: 'document#/components/schemas/Push' });
    const push = {
      locationId: 'l',
      clientId: 'c',
      vcxConversationId: 'v',
      fromUser: true,
      body: 'Hello',
      timestamp: 1_700_000_000_000,
    };
    const url = 'https://files.example/a.png';
    for (const change of [
      {},
      { messageId: null, name: '', email: null, attachments: null },
      { body: '', attachments: [url] },
      { body: undefined, attachments: [url, 'https://files.locals.example:8443/?a=1#b', 'https://a.locals'] },
      { clientId: '🙂'.repeat(75), unknown: 1 },
      { timestamp: 0 },
    ]) {
      assert.ok(accepts({ ...push, ...change }), JSON.stringify(change));
    }
    for (const change of [
      { locationId: undefined },
      { clientId: 'c'.repeat(76) },
      { vcxConversationId: 'a\nb' },
      { messageId: '' },
      { fromUser: 'true' },
      { body: '' },
      { body: undefined, attachments: [] },
      { timestamp: 1.5 },
      { timestamp: 8.64e15 + 1 },
      { attachments: ['http://files.example/a.png'] },
      { attachments: ['https://localhost/a.png'] },
      { attachments: ['https://metadata.google.internal/'] },
      { attachments: ['https://127.0.0.1/a.png'] },
      { attachments: ['https://user@files.example/a.png'] },
      { attachments: Array(101).fill(url) },
    ]) {
      const body = JSON.parse(JSON.stringify({ ...push, ...change }));
      assert.ok(!accepts(body), JSON.stringify(change));
    }
  });
});

/** Where schemas are. @param {any} value @param {string} [at] @returns {string[]} JSON pointers */
function schemas(value, at = '#') {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const pointer = `${at}/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`;
    if (key === 'schema') return [pointer];
    if (pointer === '#/components/schemas') return inside(inner, pointer);
    return schemas(inner, pointer);
  });
}

/** A schema's own schemas too, so that a failure names the smallest. @param {any} map @param {string} at @returns {string[]} */
function inside(map, at) {
  return Object.entries(map).flatMap(([name, schema]) => [
    `${at}/${name}`,
    ...inside(schema.properties ?? {}, `${at}/${name}/properties`),
  ]);
}

/** @param {any} value */
function resolved(value) {
  if (!value.$ref) return value;
  return value.$ref
    .slice(2)
    .split('/')
    .reduce((/** @type {any} */ inner, /** @type {string} */ key) => inner[key], document);
}

/** The text of a Rust function. @param {string} rust @param {string} name */
function body(rust, name) {
  const [, found] = rust.match(new RegExp(`^    (?:pub )?fn ${name}\\((.*?)^    }$`, 'ms')) ?? [];
  assert.ok(found, `there is no fn ${name}`);
  return found;
}

/** A match over an enum that gives a literal for each variant. @param {string} rust @param {string} name of its function */
function arms(rust, name) {
  const pattern = /((?:\|?\s*Self::\w+(?:\([^)]*\)|\s*\{[^}]*\})?\s*)+)=>\s*\{?\s*(?:"([^"]*)"|(\w+))/g;
  const found = [...body(rust, name).matchAll(pattern)].flatMap(([, variants, string, word]) =>
    [...variants.matchAll(/Self::(\w+)/g)].map(([, variant]) => /** @type {const} */ ([variant, string ?? word])),
  );
  assert.ok(found.length > 1, `fn ${name} has no match that can be read`);
  return new Map(found);
}

/** The numbers of a file. @param {string} rust */
function constants(rust) {
  const found = rust.matchAll(/^(?:pub )?const (\w+): (?:usize|i64) = ([\d_ *]+);/gm);
  /** @param {string} product */
  const number = (product) =>
    product.split('*').reduce((total, factor) => total * Number(factor.replaceAll('_', '')), 1);
  return Object.fromEntries([...found].map(([, name, product]) => [name, number(product)]));
}

/** @param {string} name */
function camelCase(name) {
  return name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
}

/** Reasons of set-up work, which leaves no dead letter. */
const SET_UP_ONLY = ['object_failed'];

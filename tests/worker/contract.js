/**
 * Holds what goes over the wire against the OpenAPI document: each answer of the Worker, and each event for vCX.
 */

import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';

/** @import { Entry } from '../../js/sandbox/traffic.js' */
/** @import { Sandbox } from '../../js/sandbox/index.js' */

/** @type {any} */
const document = JSON.parse(readFileSync(new URL('../../src/openapi.json', import.meta.url), 'utf8'));
const ajv = new Ajv2020({ strict: false }).addSchema(document, 'document');
const routes = Object.entries(document.paths).map(([path, item]) => {
  return { path, item, pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`) };
});

/**
 * @param {Sandbox} sandbox
 * @returns {string[]} what did not fit, as it is found
 */
export function holdAgainstContract(sandbox) {
  /** @type {string[]} */
  const misfits = [];
  sandbox.onTraffic((entry) => {
    const { method, path, status } = entry;
    if (!status) return;
    const wrong = entry.to === 'worker' ? answer(entry) : entry.to === 'vcx' ? event(entry) : undefined;
    if (wrong) misfits.push(`${method} ${path} ${status}: ${wrong}`);
  });
  return misfits;
}

/** @param {Entry} entry */
function answer({ method, path, status, responseBody }) {
  const at = path.split('?')[0];
  const route = routes.find(({ pattern }) => pattern.test(at));
  const { code } = /** @type {any} */ (responseBody ?? {});
  if (!route) return status === 404 && code === 'not_found' ? undefined : 'is no route';
  const name = method.toLowerCase();
  if (!route.item[name]) return status === 405 ? undefined : 'is no route';
  const pointer = `/paths/${escaped(route.path)}/${name}/responses/${status}`;
  const response = route.item[name].responses[`${status}`];
  if (!response) return 'is not described';
  const where = response.$ref?.slice(1) ?? pointer;
  const { content = {} } = response.$ref ? find(where) : response;
  const [[type, media] = ['', undefined]] = Object.entries(content);
  return media?.schema && misfit(`${where}/content/${escaped(type)}/schema`, responseBody);
}

/** @param {Entry} entry */
function event({ requestBody }) {
  const { type } = /** @type {any} */ (requestBody ?? {});
  if (!document.webhooks[type]) return `there is no event ${type}`;
  return misfit(`/webhooks/${type}/post/requestBody/content/application~1json/schema`, requestBody);
}

/** What is wrong about a value, by a schema of the document. @param {string} name @param {unknown} value */
export const misfitOf = (name, value) => misfit(`/components/schemas/${name}`, value);

/** @param {string} pointer @param {unknown} value */
function misfit(pointer, value) {
  const validate = ajv.getSchema(`document#${pointer}`);
  if (!validate) return `no schema is at ${pointer}`;
  return validate(value) ? undefined : `${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)}`;
}

/** @param {string} pointer */
const find = (pointer) =>
  pointer
    .slice(1)
    .split('/')
    .reduce((value, name) => value[name.replaceAll('~1', '/')], document);

/** @param {string} name */
const escaped = (name) =>
  name.replaceAll('~', '~0').replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D');

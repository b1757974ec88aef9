/**
 * The built Worker, whose objects say in the log when they are constructed, and what each turn is about.
 */

// @ts-expect-error the build's, beside which this one is put
import worker, { Location as Built } from './worker.js';

export default worker;

export class Location extends Built {
  /** @param {any} ctx @param {any} env */
  constructor(ctx, env) {
    super(ctx, env);
    say('constructed', {});
  }

  /** @param {string} text @param {any} recalled */
  transact(text, recalled) {
    const input = JSON.parse(text);
    say('turn', { input: typeof input === 'string' ? input : Object.keys(input)[0] });
    return super.transact(text, recalled);
  }
}

/** @param {string} event @param {Record<string, unknown>} fields */
const say = (event, fields) => console.log(JSON.stringify({ level: 'info', event, at: Date.now(), ...fields }));

/**
 * Ids, keys and secrets of one sandbox. Secrets and the key pair follow from a seed, so that a sandbox restarted with
 * the same seed still fits the Worker that was pointed at it; ids never repeat, because the Worker remembers them for
 * 30 days.
 */

import { createHash, createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';

/**
 * GHL's ids are 20 letters and digits; the prefix tells a reader what they name.
 * @returns {(prefix: string) => string}
 */
export function createIds() {
  const salt = randomBytes(8).toString('hex').slice(0, 9).toUpperCase();
  let count = 0;
  return (prefix) => {
    count += 1;
    return (
      prefix +
      salt +
      count
        .toString(36)
        .toUpperCase()
        .padStart(17 - salt.length, '0')
    );
  };
}

/** @param {string} seed */
export function createSecrets(seed) {
  /** @param {string} name */
  const derive = (name) => createHash('sha256').update(`${seed}\n${name}`).digest();
  const key = derive('webhook key');
  return {
    // PKCS #8 of an Ed25519 key is this prefix and the 32 bytes (RFC 8410).
    privateKey: createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), key]),
      format: 'der',
      type: 'pkcs8',
    }),
    // `<24 hex app id>-<8 characters>` (FACTS §1.1)
    clientId: `${derive('app').toString('hex').slice(0, 24)}-m${derive('client').toString('hex').slice(0, 7)}`,
    clientSecret: uuid(derive('client secret')),
    providerId: derive('provider').toString('hex').slice(0, 24),
    webhookSecret: `whsec_${derive('vcx webhook').toString('base64')}`,
    apiKey: `vcx_${derive('vcx api').toString('base64url')}`,
    sessionSecret: derive('sessions').toString('base64'),
    sealKey: `dev:${derive('seal').toString('base64')}`,
  };
}

/** @typedef {ReturnType<typeof createSecrets>} Secrets */

/** @param {import('node:crypto').KeyObject} privateKey */
export function publicKeyOf(privateKey) {
  const key = createPublicKey(privateKey);
  const der = key.export({ format: 'der', type: 'spki' });
  return {
    pem: key.export({ format: 'pem', type: 'spki' }).toString(),
    base64: der.subarray(-32).toString('base64'),
  };
}

/** @param {Buffer} bytes */
function uuid(bytes) {
  const hex = bytes.toString('hex');
  return [8, 12, 16, 20, 32].map((end, i) => hex.slice([0, 8, 12, 16, 20][i], end)).join('-');
}

/**
 * What `import … from 'vcx-ghl'` has in a browser and in a backend alike.
 */

export { Client, connect } from '../client.js';
export { VcxGhlError } from './error.js';
export {
  load,
  normalizeContact,
  normalizePush,
  normalizeStatus,
  toGhl,
  toVcx,
  verifyGhlWebhook,
} from './functions.js';

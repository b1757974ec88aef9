/**
 * `import … from 'vcx-ghl'`: in a backend, all of it.
 */

export { Backend, createClient } from './backend.js';
export * from './everywhere.js';
export { createSession, verifyEvent } from './secrets.js';

/** @typedef {import('../client.js').ChatMessage} ChatMessage */
/** @typedef {import('../client.js').ClientEvent} ClientEvent */
/** @typedef {import('../client.js').ConnectOptions} ConnectOptions */
/** @typedef {import('../client.js').ConnectionChange} ConnectionChange */
/** @typedef {import('../client.js').ConversationChange} ConversationChange */
/** @typedef {import('../client.js').MessageStatus} MessageStatus */
/** @typedef {import('../client.js').OwnMessage} OwnMessage */
/** @typedef {import('../client.js').Reset} Reset */
/** @typedef {import('../client.js').StatusChange} StatusChange */
/** @typedef {import('./backend.js').BackendOptions} BackendOptions */
/** @typedef {import('./functions.js').RawBody} RawBody */
/** @typedef {import('./functions.js').Source} Source */
/** @typedef {import('./secrets.js').AnyHeaders} AnyHeaders */
/** @typedef {import('./secrets.js').SessionAsk} SessionAsk */
/** @typedef {import('./types.js').ContactAsk} ContactAsk */
/** @typedef {import('./types.js').ConversationUpdated} ConversationUpdated */
/** @typedef {import('./types.js').DeadLetter} DeadLetter */
/** @typedef {import('./types.js').Direction} Direction */
/** @typedef {import('./types.js').GhlMessage} GhlMessage */
/** @typedef {import('./types.js').LastError} LastError */
/** @typedef {import('./types.js').ListedLocation} ListedLocation */
/** @typedef {import('./types.js').LocationConnected} LocationConnected */
/** @typedef {import('./types.js').LocationDisconnected} LocationDisconnected */
/** @typedef {import('./types.js').LocationHealth} LocationHealth */
/** @typedef {import('./types.js').MessageCreated} MessageCreated */
/** @typedef {import('./types.js').MessageFailed} MessageFailed */
/** @typedef {import('./types.js').NormalPush} NormalPush */
/** @typedef {import('./types.js').NotConfigured} NotConfigured */
/** @typedef {import('./types.js').Push} Push */
/** @typedef {import('./types.js').Pushed} Pushed */
/** @typedef {import('./types.js').Queued} Queued */
/** @typedef {import('./types.js').Sent} Sent */
/** @typedef {import('./types.js').State} State */
/** @typedef {import('./types.js').StatusAsk} StatusAsk */
/** @typedef {import('./types.js').Up} Up */
/** @typedef {import('./types.js').VcxEvent} VcxEvent */
/** @typedef {import('./types.js').Via} Via */

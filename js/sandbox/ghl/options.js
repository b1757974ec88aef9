/**
 * How this GHL behaves where the live one is unsure, slow or configurable. All of it may be changed while it runs.
 */

/**
 * @typedef {object} Options
 * @property {string} redirectUri the registered one; '' takes any
 * @property {string} deliveryUrl the provider's Delivery URL; '' sends nothing
 * @property {string} webhookUrl where app webhooks go; '' sends nothing
 * @property {boolean} echoState whether the chooser hands `state` back (FACTS §1.1: unsure)
 * @property {boolean} requireVersionId the chooser shows `error.noversionid` without `version_id` (FACTS §1.1)
 * @property {number} expiresIn seconds an access token lives
 * @property {number} codeTtlMs how long a code may be exchanged (FACTS §1.1: about 15 min)
 * @property {number} graceMs how long a used refresh token gives the same new pair (FACTS §1.3)
 * @property {200 | 201} locationTokenStatus 201 is measured, 200 is documented (FACTS §1.4)
 * @property {boolean} reconnect whether `/oauth/reconnect` still works (FACTS §1.6: unsure)
 * @property {boolean} approvedLocations whether Company tokens list them (FACTS §1.2: may)
 * @property {number} searchLagMs how far contact search is behind (FACTS §2.4: a few seconds live)
 * @property {'refuse' | 'return'} conversationExists what creating a second one does (FACTS §9.8: open)
 * @property {number} statusNotYetMs how long a new message's status cannot be set (FACTS §3.5: 5-10 s live)
 * @property {401 | 403} statusNotYetStatus
 * @property {boolean} webhooksBeforeResponse app webhooks of a call go out, and are answered, before the call is
 * @property {boolean} deliveryBeforeResponse so does the Delivery post of a sent message (FACTS §3.4)
 * @property {boolean} emitMessageWebhooks logged and sent messages fire Inbound/OutboundMessage (FACTS §3.2: likely)
 * @property {boolean} emitContactWebhooks writes of contacts fire Contact*
 * @property {boolean} emitUnreadWebhooks messages fire ConversationUnreadUpdate; reading and PUT always do
 * @property {'SMS' | 'Custom'} deliveryType the `type` of Delivery posts (FACTS §4.4: both are seen)
 * @property {boolean} deliveryWebhookId Delivery posts carry `webhookId` and `timestamp` (FACTS §4.4: may)
 * @property {boolean} retryDelivery a failed Delivery post is tried again, too (FACTS §4.8: undocumented)
 * @property {{ max: number, baseMs: number, maxMs: number, timeoutMs: number }} retry of webhooks; live GHL takes
 *   seconds to minutes
 * @property {{ max: number, intervalMs: number, daily: number, retryAfter: boolean }} limits
 */

/** @returns {Options} */
export function defaultOptions() {
  return {
    redirectUri: '',
    deliveryUrl: '',
    webhookUrl: '',
    echoState: true,
    requireVersionId: false,
    expiresIn: 86_399,
    codeTtlMs: 15 * 60_000,
    graceMs: 30_000,
    locationTokenStatus: 201,
    reconnect: true,
    approvedLocations: true,
    searchLagMs: 0,
    conversationExists: 'refuse',
    statusNotYetMs: 0,
    statusNotYetStatus: 403,
    webhooksBeforeResponse: false,
    deliveryBeforeResponse: false,
    emitMessageWebhooks: true,
    emitContactWebhooks: true,
    emitUnreadWebhooks: false,
    deliveryType: 'SMS',
    deliveryWebhookId: false,
    retryDelivery: true,
    retry: { max: 12, baseMs: 200, maxMs: 60_000, timeoutMs: 10_000 },
    limits: { max: 100, intervalMs: 10_000, daily: 200_000, retryAfter: false },
  };
}

/** CONTRACT's default of GHL_SCOPES. */
export const DEFAULT_SCOPES = [
  'contacts.readonly',
  'contacts.write',
  'conversations.readonly',
  'conversations.write',
  'conversations/message.readonly',
  'conversations/message.write',
  'locations.readonly',
  'locations/customFields.readonly',
  'locations/customFields.write',
  'oauth.readonly',
  'oauth.write',
].join(' ');

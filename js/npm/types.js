/**
 * What goes to the Worker and comes from it, as `GET /openapi.json` describes it.
 */

/**
 * A message for GHL: the visitor's, or (`fromUser: false`) vCX's own agent's or bot's.
 * @typedef {object} Push
 * @property {string} locationId
 * @property {string} clientId vCX's id of the visitor
 * @property {string} vcxConversationId
 * @property {boolean} fromUser
 * @property {string | null} [body] absent only where there are attachments
 * @property {number} timestamp milliseconds
 * @property {string | null} [messageId] without it, one is derived from conversation, direction, timestamp, body and attachments
 * @property {string | null} [name]
 * @property {string | null} [email] verified ones only: it decides in whose conversation the chat ends up
 * @property {string | null} [phone] verified ones only
 * @property {string[] | null} [attachments] public https URLs
 */

/**
 * A push that is complete and correct.
 * @typedef {object} NormalPush
 * @property {string} locationId
 * @property {string} clientId
 * @property {string} vcxConversationId
 * @property {boolean} fromUser
 * @property {string} body
 * @property {number} timestamp
 * @property {string} messageId
 * @property {string} [name]
 * @property {string} [email]
 * @property {string} [phone]
 * @property {string[]} attachments
 */

/** @typedef {Sent | Queued} Pushed */
/**
 * It is in GHL.
 * @typedef {object} Sent
 * @property {'sent'} status
 * @property {string} messageId
 * @property {string} contactId
 * @property {string | null} conversationId GHL's
 * @property {string} ghlMessageId
 */
/**
 * It is stored, and will be in GHL.
 * @typedef {object} Queued
 * @property {'queued'} status
 * @property {string} messageId
 * @property {string} [reason] what it waits for
 */

/**
 * The details of a visitor.
 * @typedef {object} ContactAsk
 * @property {string} locationId
 * @property {string} clientId
 * @property {string | null} [name]
 * @property {string | null} [email]
 * @property {string | null} [phone]
 */

/**
 * How far an agent's message got.
 * @typedef {object} StatusAsk
 * @property {string} locationId
 * @property {string} messageId that of the event `message.created`
 * @property {'delivered' | 'read' | 'failed'} status
 * @property {string | null} [error] why it failed, for the agent
 */

/** @typedef {'connected' | 'refreshing' | 'paused' | 'needs_reconnect' | 'uninstalled'} State */
/** @typedef {'install' | 'marketplace' | 'company'} Via */
/** @typedef {'toGhl' | 'toVcx'} Direction */

/**
 * A location in the directory.
 * @typedef {object} ListedLocation
 * @property {string} locationId
 * @property {string | null} companyId
 * @property {State} state
 * @property {Via} via
 * @property {string | null} ref
 */

/**
 * A location, and how it is. Times are milliseconds.
 * @typedef {object} LocationHealth
 * @property {string} locationId
 * @property {string | null} companyId
 * @property {State} state
 * @property {Via} via
 * @property {string | null} ref
 * @property {'ok' | 'degraded' | 'down'} health
 * @property {string[]} reasons in words
 * @property {{ expiresAt: number, refreshedAt: number }} token
 * @property {{ lastWebhookAt: number | null, lastToGhlAt: number | null, lastToVcxAt: number | null }} traffic
 * @property {{ depth: number, oldestAt: number | null, nextTryAt: number | null }} queue
 * @property {{ max: number, intervalMs: number, remaining: number | null, dailyRemaining: number | null }} rate
 * @property {DeadLetter[]} deadLetters
 * @property {LastError | null} lastError
 * @property {number} ignored
 */
/**
 * A message that was given up.
 * @typedef {object} DeadLetter
 * @property {number} id for the replay
 * @property {Direction} direction
 * @property {string | null} messageId
 * @property {string} reason in words
 * @property {string} code
 * @property {number} at
 */
/**
 * The last call that failed.
 * @typedef {object} LastError
 * @property {number} at
 * @property {string} call
 * @property {number | null} status
 * @property {string} message
 * @property {string | null} traceId
 */

/** @typedef {{ status: 'up', version: string }} Up */
/** @typedef {{ status: 'not_configured', version: string, missing: string[], problems: string[] }} NotConfigured */

/** @typedef {MessageCreated | ConversationUpdated | MessageFailed | LocationConnected | LocationDisconnected} VcxEvent */
/**
 * An agent wrote.
 * @typedef {object} MessageCreated
 * @property {'message.created'} type
 * @property {string} locationId
 * @property {string} clientId
 * @property {string} vcxConversationId
 * @property {string} messageId GHL's
 * @property {false} fromUser
 * @property {string} body
 * @property {number} timestamp
 * @property {string[]} attachments
 * @property {string} [userId] the GHL user
 */
/**
 * Messages were read, or are not read yet.
 * @typedef {object} ConversationUpdated
 * @property {'conversation.updated'} type
 * @property {string} locationId
 * @property {string} clientId
 * @property {string} vcxConversationId
 * @property {number} unreadCount
 * @property {number} timestamp
 */
/**
 * A message was given up.
 * @typedef {object} MessageFailed
 * @property {'message.failed'} type
 * @property {string} locationId
 * @property {string} [clientId]
 * @property {string} [vcxConversationId]
 * @property {string} messageId the writer's
 * @property {Direction} direction
 * @property {string} code
 * @property {string} reason in words
 * @property {number} timestamp
 */
/**
 * A location was connected.
 * @typedef {object} LocationConnected
 * @property {'location.connected'} type
 * @property {string} locationId
 * @property {string} [companyId]
 * @property {Via} via
 * @property {string} [ref] as given to /install
 * @property {number} timestamp
 */
/**
 * A location was uninstalled, or needs an admin.
 * @typedef {object} LocationDisconnected
 * @property {'location.disconnected'} type
 * @property {string} locationId
 * @property {string} reason in words
 * @property {number} timestamp
 */

/**
 * The body with which GHL is told of a message.
 * @typedef {object} GhlMessage
 * @property {'Custom'} type
 * @property {string} contactId
 * @property {string} [conversationId]
 * @property {string} conversationProviderId
 * @property {string} [message]
 * @property {string[]} [attachments]
 * @property {string} altId vCX's id of the message
 * @property {'inbound' | 'outbound'} direction
 * @property {string} date ISO 8601
 */

export {};

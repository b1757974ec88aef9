/**
 * The bodies of app webhooks and Delivery posts (FACTS §4.2-4.5), and who gets them: an app hears of a location it is
 * installed in, when it has the scope (FACTS §1.9).
 */

import { randomUUID } from 'node:crypto';

/** @import { Ghl } from './world.js' */
/** @import { Posting, Sent } from './webhooks.js' */
/** @import { Contact, Conversation, Message } from './state.js' */

/** @typedef {Record<string, unknown> & { locationId?: string, companyId?: string }} Fields */

/**
 * Posts an app webhook, unless the app is not to hear of it.
 * @param {Ghl} ghl
 * @param {string} type
 * @param {Fields} fields
 * @returns {Sent | undefined}
 */
export function emit(ghl, type, fields) {
  return emitTimes(ghl, type, fields, 1)[0];
}

/**
 * The same event, `webhookId` included, several times: delivery is at least once (FACTS §4.8).
 * @param {Ghl} ghl
 * @param {string} type
 * @param {Fields} fields
 * @param {number} times
 * @returns {Sent[]}
 */
export function emitTimes(ghl, type, fields, times) {
  if (!listens(ghl, type, fields.locationId)) return [];
  const posting = { kind: type, url: ghl.options.webhookUrl, body: event(ghl, type, fields) };
  return Array.from({ length: times }, () => ghl.webhooks.send(posting));
}

/**
 * An event with its envelope.
 * @param {Ghl} ghl
 * @param {string} type
 * @param {Record<string, unknown>} fields
 */
export function event(ghl, type, fields) {
  return {
    type,
    ...fields,
    appId: ghl.appId,
    versionId: ghl.appId,
    timestamp: new Date(ghl.now()).toISOString(),
    webhookId: randomUUID(),
  };
}

/** @param {Message} message */
export function messageEvent(message) {
  const type = message.direction === 'inbound' ? 'InboundMessage' : 'OutboundMessage';
  const fields = {
    locationId: message.locationId,
    attachments: message.attachments,
    // Attachment-only messages have no body (FACTS §3.8); `altId` is in no sample (FACTS §4.3).
    ...(message.body ? { body: message.body } : {}),
    contactId: message.contactId,
    contentType: 'text/plain',
    conversationId: message.conversationId,
    dateAdded: message.dateAdded,
    direction: message.direction,
    messageType: message.channel,
    messageTypeId: message.type,
    messageTypeString: message.messageType,
    messageId: message.id,
    status: message.status,
    ...(message.userId ? { userId: message.userId } : {}),
    ...(message.direction === 'outbound' ? { source: message.source } : {}),
    ...(message.conversationProviderId ? { conversationProviderId: message.conversationProviderId } : {}),
  };
  return { type, fields };
}

/** @param {Conversation} conversation */
export function unreadEvent(conversation) {
  const { locationId, id, contactId, unreadCount, inbox, starred, deleted } = conversation;
  return { locationId, id, contactId, unreadCount, inbox, starred, deleted };
}

/** @param {Contact} contact */
export function contactEvent(contact) {
  const name = [contact.firstName, contact.lastName].filter(Boolean).join(' ');
  const { address1, city, companyName, country, dateOfBirth, postalCode, state, website, assignedTo } = contact.rest;
  return {
    locationId: contact.locationId,
    id: contact.id,
    ...given({ address1, city, companyName, country, dateOfBirth, postalCode, state, website }),
    ...given({ name, email: contact.email, phone: contact.phone, source: contact.source }),
    ...given({ firstName: contact.firstName, lastName: contact.lastName, assignedTo }),
    tags: contact.tags,
    dnd: contact.dnd,
    attachments: [],
    dateAdded: contact.dateAdded,
    customFields: contact.customFields,
  };
}

/**
 * ProviderOutboundMessage. It has no event name (`type` is the channel) and neither conversation nor provider id
 * (FACTS §4.4).
 * @param {Ghl} ghl
 * @param {Message} message
 * @returns {Posting}
 */
export function delivery(ghl, message) {
  const contact = ghl.state.contacts.get(message.contactId);
  const envelope = {
    timestamp: new Date(ghl.now()).toISOString(),
    webhookId: randomUUID(),
  };
  return {
    kind: 'delivery',
    url: ghl.options.deliveryUrl,
    retry: ghl.options.retryDelivery,
    body: {
      contactId: message.contactId,
      locationId: message.locationId,
      messageId: message.id,
      type: ghl.options.deliveryType,
      ...given({ phone: contact?.phone }),
      message: message.body,
      attachments: message.attachments,
      ...given({ userId: message.userId }),
      ...(ghl.options.deliveryWebhookId ? envelope : {}),
    },
  };
}

/** @param {Ghl} ghl @param {string} type @param {string | undefined} locationId */
function listens(ghl, type, locationId) {
  if (!ghl.options.webhookUrl) return false;
  const scope = SCOPES[type];
  if (!scope || !locationId) return true;
  const installation = ghl.state.installations.get(`${ghl.clientId} ${locationId}`);
  return installation?.scope.split(' ').includes(scope) ?? false;
}

/** @type {Record<string, string>} */
const SCOPES = {
  ContactCreate: 'contacts.readonly',
  ContactUpdate: 'contacts.readonly',
  ContactDelete: 'contacts.readonly',
  ContactTagUpdate: 'contacts.readonly',
  ConversationUnreadUpdate: 'conversations.readonly',
  InboundMessage: 'conversations/message.readonly',
  OutboundMessage: 'conversations/message.readonly',
};

/** Only the fields that have a value. @param {Record<string, unknown>} fields */
function given(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value != null));
}

/**
 * Messages (FACTS §3.3-3.6): logging them, sending them through a provider, their status, and reading them back.
 */

import { randomUUID } from 'node:crypto';
import { contactFor, conversationFor, conversationOf } from './conversations.js';
import { badRequest, forbidden, otherTenant, Refusal, serverError, unknownId, unprocessable } from './errors.js';
import { delivery, emit, messageEvent, unreadEvent } from './events.js';

/** @import { Answer } from '../http.js' */
/** @import { Call } from './server.js' */
/** @import { Contact, Conversation, Message } from './state.js' */
/** @import { Ghl } from './world.js' */

/**
 * `POST /conversations/messages/inbound`: logs a message, delivers nothing (FACTS §3.2, §3.3).
 * @param {Ghl} ghl @param {Call} call @returns {Answer}
 */
export function log(ghl, call) {
  const { body, access } = call;
  const type = String(body.type);
  const providerId = /** @type {string | undefined} */ (body.conversationProviderId);
  if (!body.contactId && !body.conversationId) {
    throw unprocessable(['contactId should not be empty']);
  }
  // GH#70: a success by its status, and nothing was stored (FACTS §3.3).
  if (type === 'Custom' && !providerId) return { status: 201 };
  if (type === 'Call' && !providerId) throw badRequest('No conversationProviderId passed in body');
  if (providerId) {
    // GH#6: not a 4xx (FACTS §3.3).
    if (ghl.index.providers.get(providerId)?.clientId !== access.clientId) throw serverError();
    // The guide says SMS, the live API wants Custom (FACTS §3.3).
    if (type !== 'Custom') throw badRequest('Incorrect conversationProviderId/type');
  }
  const { contact, conversation } = addressee(ghl, call);
  const message = store(ghl, conversation, {
    channel: type,
    ...typeOf(type),
    // The default that surprises everybody (FACTS §3.3).
    direction: body.direction === 'inbound' ? 'inbound' : 'outbound',
    body: text(body),
    attachments: /** @type {string[]} */ (body.attachments ?? []),
    status: 'delivered',
    date: /** @type {string | undefined} */ (body.date),
    source: 'api',
    altId: /** @type {string | undefined} */ (body.altId),
    conversationProviderId: providerId,
  });
  announce(ghl, call, conversation, message);
  return {
    status: 200,
    body: {
      success: true,
      conversationId: conversation.id,
      messageId: message.id,
      message: message.body,
      contactId: contact.id,
      dateAdded: message.dateAdded,
      emailMessageId: null,
      traceId: randomUUID(),
    },
  };
}

/**
 * `POST /conversations/messages`: sends; with a provider, through its Delivery URL (FACTS §3.4).
 * @param {Ghl} ghl @param {Call} call @returns {Answer}
 */
export function send(ghl, call) {
  const { body, access } = call;
  const channel = String(body.type);
  const providerId = /** @type {string | undefined} */ (body.conversationProviderId);
  const contact = contactFor(ghl, String(body.contactId), access.locationId);
  if (channel === 'Custom' && !providerId) {
    throw badRequest('No conversationProviderId passed in body');
  }
  if (providerId && ghl.index.providers.get(providerId)?.clientId !== access.clientId) {
    throw serverError();
  }
  const conversation = conversationFor(ghl, contact);
  // With a provider, SMS is taken here though not for logging, and has a type of its own (FACTS §3.4).
  const type = providerId && channel === 'SMS' ? 'ProviderSMS' : channel;
  const message = store(ghl, conversation, {
    channel,
    ...typeOf(type),
    direction: 'outbound',
    body: text(body),
    attachments: /** @type {string[]} */ (body.attachments ?? []),
    status: String(body.status),
    source: 'api',
    userId: /** @type {string | undefined} */ (body.userId),
    conversationProviderId: providerId,
  });
  if (providerId && access.clientId === ghl.clientId) {
    const post = () => ghl.webhooks.send(delivery(ghl, message));
    if (ghl.options.deliveryBeforeResponse) call.before.push(post);
    else call.after.push(post);
  }
  announce(ghl, call, conversation, message);
  return { status: 200, body: { ...receipt(message), msg: 'Message queued successfully.' } };
}

/**
 * `PUT /conversations/messages/{messageId}/status` (FACTS §3.5).
 * @param {Ghl} ghl
 * @param {Call} call
 * @returns {Answer}
 */
export function setStatus(ghl, { params, body, access }) {
  const message = messageOf(ghl, params.messageId, access.locationId);
  const { statusNotYetMs, statusNotYetStatus } = ghl.options;
  const tooEarly = ghl.now() - message.storedAt < statusNotYetMs;
  if (!message.conversationProviderId || tooEarly) {
    const words = 'No conversation provider found for this message';
    // "Not yet", not a bad token: 401 once, a 403 since 2025-06 (FACTS §3.5).
    throw tooEarly && statusNotYetStatus === 401
      ? new Refusal(401, { statusCode: 401, message: words })
      : forbidden(words);
  }
  const { conversationProviderId } = message;
  if (ghl.index.providers.get(conversationProviderId)?.clientId !== access.clientId) {
    throw forbidden(`You don't have access to the conversationProvider with id ${conversationProviderId}`);
  }
  message.status = String(body.status);
  if (body.error) message.error = /** @type {Message['error']} */ (body.error);
  return { status: 200, body: receipt(message) };
}

/**
 * `GET /conversations/{conversationId}/messages`: newest first, nested although documented flat (FACTS §3.6).
 * @param {Ghl} ghl @param {Call} call @returns {Answer}
 */
export function list(ghl, { params, query, access }) {
  const conversation = conversationOf(ghl, params.conversationId, access.locationId);
  const thread = ghl.index.threads.get(conversation.id) ?? [];
  const limit = Math.min(100, Number(query.get('limit') ?? '20') || 20);
  const types = query.get('type')?.split(',');
  const last = query.get('lastMessageId');
  const from = last ? ghl.state.messages.get(last) : undefined;
  if (last && from?.conversationId !== conversation.id) throw unknownId('Message', last);
  /** @type {Message[]} */
  const messages = [];
  let i = from ? place(thread, from) - 1 : thread.length - 1;
  for (; i >= 0 && messages.length < limit; i -= 1) {
    if (!types || types.includes(thread[i].messageType)) messages.push(thread[i]);
  }
  return {
    status: 200,
    body: {
      messages: {
        lastMessageId: messages.at(-1)?.id ?? null,
        nextPage: i >= 0,
        messages: messages.map(view),
      },
      traceId: randomUUID(),
    },
  };
}

/**
 * `GET /conversations/messages/{id}`: nested, too (FACTS §3.6).
 * @param {Ghl} ghl
 * @param {Call} call
 * @returns {Answer}
 */
export function get(ghl, { params, access }) {
  const message = messageOf(ghl, params.id, access.locationId);
  return { status: 200, body: { message: view(message), traceId: randomUUID() } };
}

/**
 * @typedef {object} NewMessage
 * @property {string} channel
 * @property {string} messageType
 * @property {number} type
 * @property {'inbound' | 'outbound'} direction
 * @property {string} body
 * @property {string[]} attachments
 * @property {string} status
 * @property {'api' | 'app'} source
 * @property {string} [date] ISO; default now
 * @property {string} [altId]
 * @property {string} [userId]
 * @property {string} [conversationProviderId]
 */

/**
 * @param {Ghl} ghl
 * @param {Conversation} conversation
 * @param {NewMessage} message
 * @returns {Message}
 */
export function store(ghl, conversation, { date, ...given }) {
  const storedAt = ghl.now();
  ghl.seq += 1;
  /** @type {Message} */
  const message = {
    id: ghl.id('msg'),
    seq: ghl.seq,
    locationId: conversation.locationId,
    contactId: conversation.contactId,
    conversationId: conversation.id,
    ...given,
    dateAdded: new Date(date ?? storedAt).toISOString(),
    storedAt,
  };
  ghl.state.messages.set(message.id, message);
  const thread = ghl.index.threads.get(conversation.id) ?? [];
  thread.splice(place(thread, message), 0, message);
  if (message.direction === 'inbound') conversation.unreadCount += 1;
  if (thread.at(-1) === message) {
    conversation.lastMessageDate = message.dateAdded;
    conversation.lastMessageBody = message.body;
    conversation.lastMessageType = message.messageType;
    conversation.lastMessageDirection = message.direction;
  }
  conversation.dateUpdated = new Date(storedAt).toISOString();
  return message;
}

/** @param {string} channel the `type` of the call, or ProviderSMS */
export function typeOf(channel) {
  const [messageType, type] = TYPES[channel] ?? [`TYPE_${channel.toUpperCase()}`, 0];
  return { messageType, type };
}

/** What the message is called, and by which number (FACTS §3.6). @type {Record<string, [string, number]>} */
const TYPES = {
  Custom: ['TYPE_CUSTOM_PROVIDER_SMS', 22],
  ProviderSMS: ['TYPE_CUSTOM_SMS', 20],
  Call: ['TYPE_CALL', 1],
  SMS: ['TYPE_SMS', 2],
  Email: ['TYPE_EMAIL', 3],
  WebChat: ['TYPE_WEBCHAT', 5],
  Campaign_Call: ['TYPE_CAMPAIGN_CALL', 8],
  Campaign_VoiceMail: ['TYPE_CAMPAIGN_VOICEMAIL', 10],
  FB: ['TYPE_FACEBOOK', 11],
  GMB: ['TYPE_GMB', 15],
  IG: ['TYPE_INSTAGRAM', 18],
  WhatsApp: ['TYPE_WHATSAPP', 19],
  IVR_Call: ['TYPE_IVR_CALL', 24],
  Live_Chat: ['TYPE_LIVE_CHAT', 29],
  InternalComment: ['TYPE_INTERNAL_COMMENT', 37],
};

/** A mail's text is in `html`. @param {Record<string, unknown>} body */
function text({ message, html }) {
  return String(message ?? html ?? '');
}

/** @param {Ghl} ghl @param {Call} call @returns {{ contact: Contact, conversation: Conversation }} */
function addressee(ghl, { body, access }) {
  if (body.conversationId) {
    const conversation = conversationOf(ghl, String(body.conversationId), access.locationId);
    return { conversation, contact: contactFor(ghl, conversation.contactId, access.locationId) };
  }
  const contact = contactFor(ghl, String(body.contactId), access.locationId);
  return { contact, conversation: conversationFor(ghl, contact) };
}

/** @param {Ghl} ghl @param {Call} call @param {Conversation} conversation @param {Message} message */
function announce(ghl, call, conversation, message) {
  const { emitMessageWebhooks, emitUnreadWebhooks } = ghl.options;
  if (emitMessageWebhooks) {
    const { type, fields } = messageEvent(message);
    call.after.push(() => emit(ghl, type, fields));
  }
  if (emitUnreadWebhooks && message.direction === 'inbound') {
    call.after.push(() => emit(ghl, 'ConversationUnreadUpdate', unreadEvent(conversation)));
  }
}

/** @param {Ghl} ghl @param {string} id @param {string | undefined} locationId */
function messageOf(ghl, id, locationId) {
  const message = ghl.state.messages.get(id);
  if (!message) throw unknownId('Message', id);
  if (message.locationId !== locationId) throw otherTenant();
  return message;
}

/**
 * Where it is, or belongs, among those sorted by date and arrival.
 * @param {Message[]} thread
 * @param {Message} message
 */
function place(thread, message) {
  let low = 0;
  let high = thread.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = thread[middle];
    const earlier =
      other.dateAdded < message.dateAdded || (other.dateAdded === message.dateAdded && other.seq < message.seq);
    if (earlier) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {Message} message */
function receipt({ conversationId, id, status }) {
  return { conversationId, messageId: id, status, traceId: randomUUID() };
}

/** `altId` is returned, though in no document (FACTS §3.6). @param {Message} message */
function view({ seq, storedAt, channel, ...message }) {
  return { ...message, contentType: 'text/plain' };
}

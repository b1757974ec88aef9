/**
 * Conversations: one per contact (FACTS §3.1).
 */

import { randomUUID } from 'node:crypto';
import { badRequest, otherTenant, unknownId } from './errors.js';
import { emit, unreadEvent } from './events.js';

/** @import { Answer } from '../http.js' */
/** @import { Call } from './server.js' */
/** @import { Contact, Conversation, LocationIndex } from './state.js' */
/** @import { Ghl } from './world.js' */

/** `POST /conversations/`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function create(ghl, { body, access }) {
  const contact = contactFor(ghl, String(body.contactId), access.locationId);
  const conversationId = ghl.index.conversationOf.get(contact.id);
  if (conversationId && ghl.options.conversationExists === 'refuse') {
    throw badRequest('Conversation already exists', { conversationId });
  }
  const { id, dateAdded, dateUpdated, deleted, contactId, locationId, lastMessageDate } = conversationFor(ghl, contact);
  return {
    status: 201,
    body: {
      success: true,
      conversation: { id, dateAdded, dateUpdated, deleted, contactId, locationId, lastMessageDate },
      traceId: randomUUID(),
    },
  };
}

/** `GET /conversations/search`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function search(ghl, { query, access }) {
  const limit = Math.min(100, Number(query.get('limit') ?? '20') || 20);
  const contactId = query.get('contactId');
  const id = query.get('id');
  const index = /** @type {LocationIndex} */ (ghl.index.locations.get(access.locationId ?? ''));
  /** @type {Iterable<string | undefined>} */
  const candidates = contactId ? [ghl.index.conversationOf.get(contactId)] : id ? [id] : index.conversations;
  /** @type {Conversation[]} */
  const found = [];
  for (const candidate of candidates) {
    const conversation = ghl.state.conversations.get(candidate ?? '');
    if (conversation?.locationId === access.locationId && conversation && wanted(conversation, query)) {
      found.push(conversation);
    }
  }
  const sign = query.get('sort') === 'asc' ? 1 : -1;
  found.sort((a, b) => (a.lastMessageDate < b.lastMessageDate ? -sign : sign));
  const conversations = found.slice(0, limit).map((conversation) => summary(ghl, conversation));
  return { status: 200, body: { conversations, total: found.length, traceId: randomUUID() } };
}

/** `GET /conversations/{conversationId}`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function get(ghl, call) {
  const conversation = conversationOf(ghl, call.params.conversationId, call.access.locationId);
  const { id, contactId, locationId, deleted, inbox, unreadCount, starred } = conversation;
  // Here `type` is a number, 1 for phone (FACTS §3.1).
  const body = { id, contactId, locationId, deleted, inbox, type: 1, unreadCount, starred };
  return { status: 200, body: { ...body, traceId: randomUUID() } };
}

/** `PUT /conversations/{conversationId}`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function update(ghl, call) {
  const conversation = conversationOf(ghl, call.params.conversationId, call.access.locationId);
  const { unreadCount, starred } = call.body;
  if (typeof starred === 'boolean') conversation.starred = starred;
  if (typeof unreadCount === 'number') {
    conversation.unreadCount = unreadCount;
    call.after.push(() => emit(ghl, 'ConversationUnreadUpdate', unreadEvent(conversation)));
  }
  conversation.dateUpdated = new Date(ghl.now()).toISOString();
  const body = { success: true, conversation: summary(ghl, conversation), traceId: randomUUID() };
  return { status: 200, body };
}

/** `DELETE /conversations/{conversationId}`. @param {Ghl} ghl @param {Call} call @returns {Answer} */
export function remove(ghl, call) {
  const conversation = conversationOf(ghl, call.params.conversationId, call.access.locationId);
  ghl.state.conversations.delete(conversation.id);
  ghl.index.conversationOf.delete(conversation.contactId);
  ghl.index.locations.get(conversation.locationId)?.conversations.delete(conversation.id);
  return { status: 200, body: { success: true, traceId: randomUUID() } };
}

/**
 * The contact's one conversation, made if there is none.
 * @param {Ghl} ghl
 * @param {Contact} contact
 * @returns {Conversation}
 */
export function conversationFor(ghl, contact) {
  const known = ghl.state.conversations.get(ghl.index.conversationOf.get(contact.id) ?? '');
  if (known) return known;
  const date = new Date(ghl.now()).toISOString();
  /** @type {Conversation} */
  const conversation = {
    id: ghl.id('cnv'),
    locationId: contact.locationId,
    contactId: contact.id,
    dateAdded: date,
    dateUpdated: date,
    deleted: false,
    inbox: true,
    starred: false,
    unreadCount: 0,
    lastMessageDate: date,
    lastMessageBody: '',
    lastMessageType: 'TYPE_PHONE',
  };
  ghl.state.conversations.set(conversation.id, conversation);
  ghl.index.conversationOf.set(contact.id, conversation.id);
  ghl.index.threads.set(conversation.id, []);
  ghl.index.locations.get(contact.locationId)?.conversations.add(conversation.id);
  return conversation;
}

/**
 * @param {Ghl} ghl
 * @param {string} id
 * @param {string | undefined} locationId the token's
 * @returns {Contact}
 */
export function contactFor(ghl, id, locationId) {
  const contact = ghl.state.contacts.get(id);
  if (!contact) throw unknownId('Contact', id);
  if (contact.locationId !== locationId) throw otherTenant();
  return contact;
}

/**
 * @param {Ghl} ghl
 * @param {string} id
 * @param {string | undefined} locationId the token's
 * @returns {Conversation}
 */
export function conversationOf(ghl, id, locationId) {
  const conversation = ghl.state.conversations.get(id);
  if (!conversation) throw unknownId('Conversation', id);
  if (conversation.locationId !== locationId) throw otherTenant();
  return conversation;
}

/** @param {Conversation} conversation @param {URLSearchParams} query */
function wanted(conversation, query) {
  const status = query.get('status');
  const type = query.get('lastMessageType');
  const direction = query.get('lastMessageDirection');
  const id = query.get('id');
  const before = Number(query.get('startAfterDate') ?? Number.POSITIVE_INFINITY);
  const { unreadCount, starred } = conversation;
  if (id && id !== conversation.id) return false;
  if (status === 'unread' && unreadCount === 0) return false;
  if (status === 'read' && unreadCount > 0) return false;
  if (status === 'starred' && !starred) return false;
  if (type && !type.split(',').includes(conversation.lastMessageType)) return false;
  if (direction && direction !== conversation.lastMessageDirection) return false;
  return query.get('sort') === 'asc' || Date.parse(conversation.lastMessageDate) < before;
}

/** @param {Ghl} ghl @param {Conversation} conversation */
function summary(ghl, conversation) {
  const { id, contactId, locationId, unreadCount } = conversation;
  const { lastMessageBody, lastMessageType, lastMessageDirection, lastMessageDate } = conversation;
  const contact = ghl.state.contacts.get(contactId);
  const name = [contact?.firstName, contact?.lastName].filter(Boolean).join(' ');
  return {
    id,
    contactId,
    locationId,
    lastMessageBody,
    lastMessageType,
    lastMessageDirection,
    lastMessageDate: Date.parse(lastMessageDate),
    type: 'TYPE_PHONE',
    unreadCount,
    fullName: name,
    contactName: name,
    email: contact?.email ?? null,
    phone: contact?.phone ?? null,
  };
}

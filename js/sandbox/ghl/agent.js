/**
 * What people do in GHL's own pages: an agent answers through our provider, reads, or writes on another channel.
 */

import { conversationFor } from './conversations.js';
import { delivery, emit, emitTimes, messageEvent, unreadEvent } from './events.js';
import { store, typeOf } from './messages.js';
import { NOT_SENT } from './webhooks.js';

/** @import { Contact } from './state.js' */
/** @import { Outcome, Sent } from './webhooks.js' */
/** @import { Ghl } from './world.js' */

/**
 * @typedef {object} Reply
 * @property {string} [locationId] default: the contact's
 * @property {string} contactId
 * @property {string} [message]
 * @property {string[]} [attachments] URLs
 * @property {string} [userId] default: the location's agent
 * @property {string} [type] default `Custom`, our provider; any other channel (`SMS`, `InternalComment`) has no provider
 *   and no Delivery post
 * @property {boolean} [delivery] default true: post to the Delivery URL
 * @property {string[]} [events] app webhooks to send, default `['OutboundMessage']`
 * @property {'before' | 'after' | 'together'} [order] of the app webhooks against the Delivery post, default after
 * @property {number} [times] how often each is posted, default 1
 * @property {boolean} [retry] of the Delivery post; default as the option says
 */

/**
 * @typedef {object} Replied
 * @property {string} messageId
 * @property {string} conversationId
 * @property {{ kind: string, status: number, body: string, error?: string }[]} posts the first attempt of each
 */

/**
 * The message is in the inbox, `pending`, before anything is posted. Resolves when the first attempt of each post was
 * answered; retries go on.
 * @param {Ghl} ghl
 * @param {Reply} reply
 * @returns {Promise<Replied>}
 */
export async function agentReplies(ghl, reply) {
  const contact = contactOf(ghl, reply);
  const { type = 'Custom', times = 1, order = 'after', events = ['OutboundMessage'] } = reply;
  const ours = type === 'Custom';
  const conversation = conversationFor(ghl, contact);
  const message = store(ghl, conversation, {
    channel: type,
    ...typeOf(type),
    direction: 'outbound',
    body: reply.message ?? '',
    attachments: reply.attachments ?? [],
    status: ours ? 'pending' : 'delivered',
    source: 'app',
    userId: reply.userId ?? agentOf(ghl, contact.locationId),
    ...(ours ? { conversationProviderId: ghl.secrets.providerId } : {}),
  });
  if (ghl.options.emitUnreadWebhooks && conversation.unreadCount) agentReads(ghl, reply);

  /** @returns {Kinded[]} */
  const deliver = () => {
    if (!ours || reply.delivery === false) return [];
    const posting = delivery(ghl, message);
    const retry = reply.retry ?? posting.retry;
    return Array.from({ length: times }, () => {
      return { kind: 'delivery', sent: ghl.webhooks.send({ ...posting, retry }) };
    });
  };
  /** @returns {Kinded[]} */
  const announce = () => {
    const { fields } = messageEvent(message);
    return events.flatMap((kind) => {
      return emitTimes(ghl, kind, fields, times).map((sent) => ({ kind, sent }));
    });
  };

  const steps = order === 'before' ? [announce, deliver] : [deliver, announce];
  /** @type {Replied['posts']} */
  const posts = [];
  /** @type {Promise<void>[]} */
  const together = [];
  for (const step of steps) {
    const answered = collect(step(), posts);
    if (order === 'together') together.push(answered);
    else await answered;
  }
  await Promise.all(together);
  return { messageId: message.id, conversationId: conversation.id, posts };
}

/**
 * An agent opens the conversation: nothing is unread any more.
 * @param {Ghl} ghl
 * @param {{ locationId?: string, contactId: string }} where
 * @returns {Promise<Outcome | undefined>} the answer to ConversationUnreadUpdate
 */
export async function agentReads(ghl, where) {
  const conversation = conversationFor(ghl, contactOf(ghl, where));
  conversation.unreadCount = 0;
  return emit(ghl, 'ConversationUnreadUpdate', unreadEvent(conversation))?.first;
}

/** @typedef {{ kind: string, sent: Sent }} Kinded */

/** @param {Kinded[]} sends @param {Replied['posts']} posts */
async function collect(sends, posts) {
  for (const { kind, sent } of sends) {
    const outcome = await sent.first;
    if (outcome !== NOT_SENT) posts.push({ kind, ...outcome });
  }
}

/** @param {Ghl} ghl @param {{ locationId?: string, contactId: string }} where @returns {Contact} */
function contactOf(ghl, { locationId, contactId }) {
  const contact = ghl.state.contacts.get(contactId);
  if (!contact) throw new Error(`there is no contact ${contactId}`);
  if (locationId && contact.locationId !== locationId) {
    throw new Error(`the contact ${contactId} is of the location ${contact.locationId}`);
  }
  return contact;
}

/** @param {Ghl} ghl @param {string} locationId */
function agentOf(ghl, locationId) {
  for (const user of ghl.state.users.values()) if (user.locationId === locationId) return user.id;
  return undefined;
}

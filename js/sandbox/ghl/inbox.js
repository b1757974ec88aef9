/**
 * What an agent sees of a location: its contacts with what was said last, and the messages of one of them.
 */

/** @import { Contact, Message } from './state.js' */
/** @import { Ghl } from './world.js' */

/**
 * @typedef {object} InboxContact
 * @property {string} id
 * @property {string} name
 * @property {string | null} email
 * @property {string[]} tags
 * @property {number} unread
 * @property {string} lastBody the beginning of it; '' before the first message
 * @property {'inbound' | 'outbound'} [lastDirection]
 * @property {string} at ISO
 */
/** @typedef {Pick<Message, 'id' | 'direction' | 'source' | 'body' | 'attachments' | 'status' | 'error' | 'dateAdded'>} InboxMessage */
/** @typedef {{ location: string, agent: string, contacts: InboxContact[], messages: InboxMessage[] }} Inbox */

/**
 * @param {Ghl} ghl
 * @param {string} locationId
 * @param {string | null} contactId whose messages are wanted, oldest first
 * @returns {Inbox}
 */
export function inbox(ghl, locationId, contactId) {
  const location = ghl.state.locations.get(locationId);
  if (!location) throw new Error(`there is no location ${locationId}`);
  const agent = [...ghl.state.users.values()].find((user) => user.locationId === locationId);
  const contacts = [...ghl.state.contacts.values()]
    .filter((contact) => contact.locationId === locationId)
    .map((contact) => view(ghl, contact))
    .sort((a, b) => (a.at < b.at ? 1 : -1))
    .slice(0, CONTACTS);
  const thread = ghl.index.threads.get(ghl.index.conversationOf.get(contactId ?? '') ?? '') ?? [];
  const messages = thread
    .slice(-MESSAGES)
    .map(({ id, direction, source, body, attachments, status, error, dateAdded }) => {
      return { id, direction, source, body, attachments, status, error, dateAdded };
    });
  return { location: location.name, agent: agent?.name ?? '', contacts, messages };
}

/** @param {Ghl} ghl @param {Contact} contact @returns {InboxContact} */
function view(ghl, { id, firstName, lastName, email, tags, dateAdded }) {
  const conversation = ghl.state.conversations.get(ghl.index.conversationOf.get(id) ?? '');
  return {
    id,
    name: [firstName, lastName].filter(Boolean).join(' ') || 'Without a name',
    email,
    tags,
    unread: conversation?.unreadCount ?? 0,
    lastBody: (conversation?.lastMessageBody ?? '').slice(0, 120),
    lastDirection: conversation?.lastMessageDirection,
    at: conversation?.lastMessageDate ?? dateAdded,
  };
}

/** A page need not hold more. */
const CONTACTS = 100;
const MESSAGES = 500;

/**
 * A rival: one Node process with Express and axios, everything it knows in maps. Installation, refreshes a minute before a
 * token expires, contacts; a push makes sure of the contact and of the conversation and adds the message; a webhook is looked
 * up by its contact and forwarded to vCX, and its status set at GHL.
 *
 * What it does not do: ask who calls; verify GHL's signature; remember anything after a restart; know a message or webhook
 * that comes twice; send again what failed; keep the order of a chat; sign what it sends to vCX; refresh once when two ask.
 */

import { once } from 'node:events';
import axios from 'axios';
import express from 'express';

/** @import { AddressInfo } from 'node:net' */

const { env } = process;
const { GHL_API_URL, GHL_CLIENT_ID, GHL_CLIENT_SECRET, GHL_PROVIDER_ID, GHL_REDIRECT_URI, VCX_WEBHOOK_URL } =
  /** @type {Record<string, string>} */ (env);

/** @typedef {{ accessToken: string, refreshToken: string, expiresAt: number }} Tokens */
/** @typedef {{ locationId: string, clientId: string, vcxConversationId: string, contactId: string, conversationId: string }} Chat */

/** By location. @type {Map<string, Tokens>} */
const tokens = new Map();
/** By vCX conversation. @type {Map<string, Chat>} */
const chats = new Map();
/** By GHL contact. @type {Map<string, Chat>} */
const chatsOfContact = new Map();

const app = express();
app.use(express.json());

app.get('/install', (_, response) => {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: GHL_CLIENT_ID,
    redirect_uri: GHL_REDIRECT_URI,
    scope: 'contacts.readonly contacts.write conversations.readonly conversations.write conversations/message.write',
  });
  response.redirect(`https://marketplace.gohighlevel.com/oauth/chooselocation?${query}`);
});

app.get('/auth/callback', async (request, response) => {
  const { data } = await axios.post(
    `${GHL_API_URL}/oauth/token`,
    new URLSearchParams({ ...CLIENT, grant_type: 'authorization_code', code: String(request.query.code) }),
  );
  keep(data.locationId, data);
  response.send('connected');
});

app.post('/contact', async (request, response) => {
  response.json({ contactId: await ensureContact(request.body) });
});

app.post('/push-message', async (request, response) => {
  const { locationId, vcxConversationId, fromUser, body, timestamp, messageId, attachments } = request.body;
  const known = env.REMEMBER && chats.get(vcxConversationId)?.contactId;
  const contactId = known || (await ensureContact(request.body));
  const conversationId = await ensureConversation(request.body, contactId);
  const { data } = await call(locationId, '2021-04-15', 'POST', '/conversations/messages/inbound', {
    type: 'Custom',
    contactId,
    conversationId,
    conversationProviderId: GHL_PROVIDER_ID,
    message: body,
    attachments,
    altId: messageId,
    direction: fromUser ? 'inbound' : 'outbound',
    date: new Date(timestamp).toISOString(),
  });
  response.json({ status: 'sent', messageId, contactId, conversationId, ghlMessageId: data.messageId });
});

app.post('/webhook', async (request, response) => {
  const { locationId, contactId, messageId, message, attachments, userId } = request.body;
  const chat = chatsOfContact.get(contactId);
  if (chat) {
    const { clientId, vcxConversationId } = chat;
    await axios.post(VCX_WEBHOOK_URL, {
      type: 'message.created',
      locationId,
      clientId,
      vcxConversationId,
      messageId,
      fromUser: false,
      body: message,
      timestamp: Date.now(),
      attachments,
      userId,
    });
    const path = `/conversations/messages/${messageId}/status`;
    await call(locationId, '2021-04-15', 'PUT', path, { status: 'delivered' });
  }
  response.json({ received: true });
});

/** @param {Record<string, any>} push @returns {Promise<string>} */
async function ensureContact({ locationId, name, email, phone }) {
  const contact = { locationId, name, email, phone, source: 'vCX' };
  const { data } = await call(locationId, '2021-07-28', 'POST', '/contacts/upsert', contact);
  return data.contact.id;
}

/** @param {Record<string, any>} push @param {string} contactId */
async function ensureConversation({ locationId, clientId, vcxConversationId }, contactId) {
  const known = chats.get(vcxConversationId);
  if (known) return known.conversationId;
  const { data } = await call(locationId, '2021-04-15', 'POST', '/conversations/', { locationId, contactId });
  const chat = { locationId, clientId, vcxConversationId, contactId, conversationId: data.conversation.id };
  chats.set(vcxConversationId, chat);
  chatsOfContact.set(contactId, chat);
  return chat.conversationId;
}

/** @param {string} locationId @param {string} version @param {string} method @param {string} path @param {object} data */
async function call(locationId, version, method, path, data) {
  const headers = { Authorization: `Bearer ${await accessToken(locationId)}`, Version: version };
  return axios.request({ method, url: GHL_API_URL + path, data, headers });
}

/** @param {string} locationId */
async function accessToken(locationId) {
  const known = tokens.get(locationId);
  if (!known) throw new Error(`location ${locationId} is not connected`);
  if (known.expiresAt - Date.now() > 60_000) return known.accessToken;
  const form = { ...CLIENT, grant_type: 'refresh_token', refresh_token: known.refreshToken };
  const { data } = await axios.post(`${GHL_API_URL}/oauth/token`, new URLSearchParams(form));
  return keep(locationId, data).accessToken;
}

/** @param {string} locationId @param {Record<string, any>} data */
function keep(locationId, { access_token, refresh_token, expires_in }) {
  const fresh = { accessToken: access_token, refreshToken: refresh_token, expiresAt: Date.now() + expires_in * 1000 };
  tokens.set(locationId, fresh);
  return fresh;
}

const CLIENT = { client_id: GHL_CLIENT_ID, client_secret: GHL_CLIENT_SECRET, redirect_uri: GHL_REDIRECT_URI };

const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.({ port: /** @type {AddressInfo} */ (server.address()).port });

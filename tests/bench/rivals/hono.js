/**
 * A rival: what one writes in an afternoon with Hono and GHL's own SDK. A push is an upsert of the contact and the message;
 * a webhook is looked up, forwarded to vCX, and its status set at GHL.
 *
 * What it does not do: ask who calls; verify GHL's signature; keep anything on disk, tokens and map included (they are in
 * the isolate's memory, which on Cloudflare is not there for long, nor one for all); know a message or webhook that comes
 * twice; send again what failed; keep the order of a chat; sign what it sends to vCX.
 */

import { HighLevel, MemorySessionStorage } from '@gohighlevel/api-client';
import { Hono } from 'hono';

/** @typedef {Record<string, string>} Env */

const app = new Hono();

/** vCX's conversation of a contact. @type {Map<string, { clientId: string, vcxConversationId: string }>} */
const chats = new Map();
/** The contact of a client; used when REMEMBER is set, which spares the upsert. @type {Map<string, string>} */
const contacts = new Map();
/** @type {HighLevel | undefined} */
let client;

app.post('/push-message', async (context) => {
  const env = /** @type {Env} */ (context.env);
  const push = await context.req.json();
  const { locationId, clientId, vcxConversationId, messageId } = push;
  const ghl = await sdk(env, locationId);
  const contactId = (env.REMEMBER && contacts.get(clientId)) || (await upsert(ghl, push));
  chats.set(contactId, { clientId, vcxConversationId });
  if (env.REMEMBER) contacts.set(clientId, contactId);
  const logged = await ghl.conversations.addAnInboundMessage(
    /** @type {any} */ ({
      type: 'Custom',
      contactId,
      conversationProviderId: env.GHL_PROVIDER_ID,
      message: push.body,
      attachments: push.attachments,
      altId: messageId,
      direction: push.fromUser ? 'inbound' : 'outbound',
      date: new Date(push.timestamp).toISOString(),
    }),
    { headers: { locationId } },
  );
  const { conversationId, messageId: ghlMessageId } = logged;
  return context.json({ status: 'sent', messageId, contactId, conversationId, ghlMessageId });
});

app.post('/webhook', async (context) => {
  const env = /** @type {Env} */ (context.env);
  const { locationId, contactId, messageId, message, attachments, userId } = await context.req.json();
  const chat = chats.get(contactId);
  if (!chat) return context.json({ received: true });
  await fetch(env.VCX_WEBHOOK_URL, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      type: 'message.created',
      locationId,
      ...chat,
      messageId,
      fromUser: false,
      body: message,
      timestamp: Date.now(),
      attachments,
      userId,
    }),
  });
  const ghl = await sdk(env, locationId);
  await ghl.conversations.updateMessageStatus({ messageId }, /** @type {any} */ ({ status: 'delivered' }), {
    headers: { locationId },
  });
  return context.json({ received: true });
});

/** @param {HighLevel} ghl @param {Record<string, any>} push @returns {Promise<string>} */
async function upsert(ghl, { locationId, name, email, phone }) {
  const { contact } = await ghl.contacts.upsertContact(
    /** @type {any} */ ({ locationId, name, email, phone, source: 'vCX' }),
  );
  return /** @type {string} */ (contact?.id);
}

/** The SDK, with the tokens of a location: an installation's result, put there as the callback would. @param {Env} env @param {string} locationId */
async function sdk(env, locationId) {
  if (!client) {
    const sessionStorage = new MemorySessionStorage();
    client = new HighLevel({ clientId: env.GHL_CLIENT_ID, clientSecret: env.GHL_CLIENT_SECRET, sessionStorage });
    client.getHttpClient().defaults.baseURL = env.GHL_API_URL;
  }
  const sessions = client.getSessionStorage();
  if (!(await sessions.getAccessToken(locationId))) {
    const [access_token, refresh_token] = [env.ACCESS_TOKEN, env.ACCESS_TOKEN];
    await sessions.setSession(
      locationId,
      /** @type {any} */ ({ access_token, refresh_token, expires_in: 86399, userType: 'Location', locationId }),
    );
  }
  return client;
}

export default app;

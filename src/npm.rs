//! What the npm package hands to vCX's own code: the Worker's checks, mapping and signatures as
//! functions, so that a backend that verifies or maps by itself cannot differ from the Worker.
//!
//! JSON comes in and goes out as text. Nothing here is stored, sent or remembered; what the Worker
//! decides by what it remembers (repeats, copies, order) is not here.

use crate::error::{FieldError, Problem};
use crate::ghl::webhook::{Event as Heard, Webhook, Words};
use crate::ghl::{Details, InboxMessage};
use crate::location::id_of;
use crate::location::work::Message;
use crate::map;
use crate::secret::KeyError;
use crate::session::{LIFETIME_MS, Session, SessionKeys};
use crate::signature::{EventRefused, GhlKeys, WebhookRefused, WebhookSecrets, digest_of, hex};
use crate::store::Chat;
use crate::vcx::{CLIENT_ID, ContactAsk, Fields, ID, Push, StatusAsk, object};
use crate::wire;
use serde_json::{Map, Value, json};

/// Why a function did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable word.
    pub code: &'static str,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// The fields that are wrong.
    pub errors: Vec<FieldError>,
}

impl Refusal {
    /// The refusal as it is thrown.
    pub fn json(&self) -> String {
        wire::text(&json!({ "code": self.code, "detail": self.detail, "errors": self.errors }))
    }

    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    fn of_secret(name: &str, error: &KeyError) -> Self {
        Self::new(error.code(), format!("{name}: {error}"))
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code.as_str(),
            detail: problem.detail,
            errors: problem.errors,
        }
    }
}

impl From<WebhookRefused> for Refusal {
    fn from(refused: WebhookRefused) -> Self {
        Self::new(refused.code(), refused.to_string())
    }
}

impl From<EventRefused> for Refusal {
    fn from(refused: EventRefused) -> Self {
        Self::new(refused.code(), refused.to_string())
    }
}

/// A push as the Worker reads it, under the id that it gives it.
pub fn normalize_push(push: &str) -> Result<String, Refusal> {
    let push = Push::parse(push.as_bytes())?;
    let mut normal = json!({
        "locationId": push.location_id,
        "clientId": push.client_id,
        "vcxConversationId": push.vcx_conversation_id,
        "fromUser": push.from_user,
        "body": push.body,
        "timestamp": push.timestamp,
        "messageId": id_of(&push),
        "attachments": push.attachments,
    });
    add_details(&mut normal, &push.details);
    Ok(wire::text(&normal))
}

/// What `POST /contact` takes, as the Worker reads it.
pub fn normalize_contact(ask: &str) -> Result<String, Refusal> {
    let ask = ContactAsk::parse(ask.as_bytes())?;
    let mut normal = json!({ "locationId": ask.location_id, "clientId": ask.client_id });
    add_details(&mut normal, &ask.details);
    Ok(wire::text(&normal))
}

/// What `POST /message-status` takes, as the Worker reads it.
pub fn normalize_status(ask: &str) -> Result<String, Refusal> {
    let ask = StatusAsk::parse(ask.as_bytes())?;
    let mut normal = json!({
        "locationId": ask.location_id,
        "messageId": ask.message_id,
        "status": ask.status.as_str(),
    });
    if let Some(error) = ask.error {
        normal["error"] = json!(error);
    }
    Ok(wire::text(&normal))
}

/// The body with which GHL is told of a push. The context is `{providerId, contactId,
/// conversationId?}`. GHL shows by date, so none is later than `now`.
pub fn to_ghl(push: &str, context: &str, now: i64) -> Result<String, Refusal> {
    let push = Push::parse(push.as_bytes())?;
    let context = object(context.as_bytes())?;
    let mut fields = Fields::new(&context);
    let provider_id = fields.id("providerId", ID);
    let contact_id = fields.id("contactId", ID);
    let conversation_id = fields.optional("conversationId", ID);
    fields.finish(())?;
    let message = Message {
        message_id: id_of(&push),
        client_id: push.client_id,
        chat_id: push.vcx_conversation_id,
        from_user: push.from_user,
        body: push.body,
        attachments: push.attachments,
        date: push.timestamp.min(now),
        maps: false,
    };
    let message = InboxMessage {
        contact_id: &contact_id,
        conversation_id: conversation_id.as_deref(),
        ..map::to_ghl(&message, &provider_id)
    };
    Ok(serde_json::to_string(&message).unwrap_or_default())
}

/// What a verified webhook of GHL is to vCX: `{event}`, or `{dropped}` with the reason. The context
/// is `{providerId, clientId, vcxConversationId}`: our provider, and the chat that the webhook's
/// contact has; what is dropped needs none.
///
/// An `OutboundMessage` is `{event, copy: true}`: GHL sends one for each message of our own, too,
/// and for each that came as a Delivery-URL post, under the same `messageId`.
pub fn to_vcx(webhook: &str, context: &str, now: i64) -> Result<String, Refusal> {
    let context = object(context.as_bytes())?;
    let mut fields = Fields::new(&context);
    let provider_id = fields.id("providerId", ID);
    let hash = hex(&digest_of(webhook.as_bytes()));
    let webhook = Webhook::read(webhook, &hash, &provider_id)
        .ok_or_else(|| Refusal::new("malformed_json", "the webhook is not a JSON object"))?;
    let dropped = |why: &str| Ok(wire::text(&json!({ "dropped": why })));
    let event = match webhook.event {
        Heard::Reply(words) | Heard::Incoming(words) => Found::Message(words, false),
        Heard::Outbound(words) => Found::Message(words, true),
        Heard::Unread { unread_count, .. } => Found::Unread(unread_count),
        Heard::Merged { .. } => return dropped("a conversation that goes on under another id"),
        Heard::ContactDeleted { .. } => return dropped("a contact that was deleted"),
        Heard::Installed => return dropped("the app was installed"),
        Heard::Uninstalled => return dropped("the app was uninstalled"),
        Heard::Ignored { why } => return dropped(&why),
        Heard::Unintelligible { why, .. } => return Err(Refusal::new("unintelligible", why)),
    };
    let chat = Chat {
        client_id: fields.id("clientId", CLIENT_ID),
        id: fields.id("vcxConversationId", ID),
        lane: String::new(),
        heard_at: 0,
    };
    fields.finish(())?;
    let Some(location_id) = webhook.location_id else {
        return Err(Refusal::new("unintelligible", "no locationId"));
    };
    let mapped = match event {
        Found::Message(words, is_copy) => {
            let id = words.id(&webhook.key);
            let event = map::to_vcx(&words, &location_id, &chat, &id, now);
            match is_copy {
                true => json!({ "event": event, "copy": true }),
                false => json!({ "event": event }),
            }
        }
        Found::Unread(unread_count) => {
            let at = webhook.sent_at.unwrap_or(now);
            json!({ "event": map::unread_to_vcx(unread_count, &location_id, &chat, at) })
        }
    };
    Ok(wire::text(&mapped))
}

/// What in a webhook is for a chat; of a message also whether it may be a copy.
enum Found {
    Message(Words, bool),
    Unread(i64),
}

/// Whether GHL signed this very body; `keys` as in `GHL_PUBLIC_KEYS`, by default GHL's own.
pub fn verify_ghl_webhook(
    body: &[u8],
    signature: Option<&str>,
    keys: Option<&str>,
) -> Result<(), Refusal> {
    let keys = match keys {
        Some(keys) => {
            GhlKeys::parse(keys).map_err(|error| Refusal::of_secret("GHL_PUBLIC_KEYS", &error))?
        }
        None => GhlKeys::published(),
    };
    Ok(keys.verify(signature, body)?)
}

/// Whether the Worker signed this very event; `headers` is a list of names and values, `secret` is
/// `VCX_WEBHOOK_SECRET`.
pub fn verify_event(headers: &str, body: &[u8], secret: &str, now: i64) -> Result<(), Refusal> {
    let secrets = WebhookSecrets::of_receiver(secret)
        .map_err(|error| Refusal::of_secret("VCX_WEBHOOK_SECRET", &error))?;
    let headers: Vec<Vec<String>> = wire::parse(headers)
        .map_err(|_| Refusal::new("invalid_fields", "the headers are not names and values"))?;
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|pair| match pair.as_slice() {
            [name, value] => Some((name.as_str(), value.as_str())),
            _ => None,
        })
        .collect();
    Ok(secrets.verify(&headers, body, now)?)
}

/// A browser's session. `ask` is `{locationId, clientId, vcxConversationId, name?, email?, phone?,
/// expiresIn?}`, the last in seconds; `secret` is `SESSION_SECRET`.
pub fn create_session(ask: &str, secret: &str, now: i64) -> Result<String, Refusal> {
    let keys =
        SessionKeys::parse(secret).map_err(|error| Refusal::of_secret("SESSION_SECRET", &error))?;
    let ask = object(ask.as_bytes())?;
    let mut fields = Fields::new(&ask);
    let (location_id, client_id) = (
        fields.id("locationId", ID),
        fields.id("clientId", CLIENT_ID),
    );
    let conversation = fields.id("vcxConversationId", ID);
    let details = fields.details();
    let expires_in = lifetime(&ask);
    if expires_in.is_none() {
        let message = format!("must be a whole number of seconds, from 1 to {LONGEST_S}");
        fields.wrong("expiresIn", message);
    }
    let issued_at = now.div_euclid(1_000) * 1_000;
    let session = fields.finish(Session {
        location_id,
        client_id,
        conversation,
        details,
        issued_at,
        expires_at: issued_at + expires_in.unwrap_or_default() * 1_000,
    })?;
    Ok(keys.sign(&session))
}

fn lifetime(ask: &Map<String, Value>) -> Option<i64> {
    match ask.get("expiresIn") {
        None | Some(Value::Null) => Some(USUAL_S),
        Some(value) => value.as_i64().filter(|s| (1..=LONGEST_S).contains(s)),
    }
}

fn add_details(normal: &mut Value, details: &Details) {
    for (name, value) in details.named() {
        if let Some(value) = value {
            normal[name] = json!(value);
        }
    }
}

const USUAL_S: i64 = 3_600;
const LONGEST_S: i64 = LIFETIME_MS / 1_000;

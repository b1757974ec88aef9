//! What GHL's webhooks say, once their signature is verified: app events and Delivery-URL posts,
//! told apart by shape (FACTS §4.2, §4.4).

use super::answer::{json, text};
use crate::public_url::is_public;
use crate::wire::{self, choice, record};
use serde_json::Value;
use std::time::UNIX_EPOCH;

/// A webhook for a location or an agency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The location it is about.
    pub location_id: Option<String>,
    /// The agency it is about.
    pub company_id: Option<String>,
    /// The app it was sent for, when it says so.
    pub app_id: Option<String>,
    /// What a repeat of it has in common with it.
    pub key: Key,
    /// When GHL sent it, in milliseconds, when it says so.
    pub sent_at: Option<i64>,
    /// What happened.
    pub event: Event,
}

/// What a repeated webhook is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// `webhookId`, the same on each automatic retry (FACTS §4.2).
    WebhookId(String),
    /// `messageId`, where there is no `webhookId`.
    MessageId(String),
    /// SHA-256 of the raw body, where there is neither.
    Body(String),
}

impl Key {
    /// The key as text.
    pub fn text(&self) -> String {
        match self {
            Self::WebhookId(id) => format!("w:{id}"),
            Self::MessageId(id) => format!("m:{id}"),
            Self::Body(hash) => format!("b:{hash}"),
        }
    }
}

/// What happened in GHL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An agent's message for the visitor: a Delivery-URL post.
    Reply(Words),
    /// `OutboundMessage`: perhaps a copy of our own message, perhaps the backstop of a reply.
    Outbound(Words),
    /// `message.incoming` of the user's own document.
    Incoming(Words),
    /// `ConversationUnreadUpdate`, or `conversation.updated` of the user's own document.
    Unread {
        /// The conversation.
        conversation_id: String,
        /// Its contact, when it says so.
        contact_id: Option<String>,
        /// Unread messages.
        unread_count: i64,
    },
    /// `ConversationUpdate`: a conversation went on under another id.
    Merged {
        /// The old id.
        old: String,
        /// The new id.
        new: String,
        /// The contact.
        contact_id: Option<String>,
    },
    /// `ContactDelete`.
    ContactDeleted {
        /// The contact.
        contact_id: String,
    },
    /// `INSTALL`.
    Installed,
    /// `UNINSTALL`.
    Uninstalled,
    /// Nothing that the sync acts on.
    Ignored {
        /// Why, for the log.
        why: String,
    },
    /// Something that ought to be understood and is not.
    Unintelligible {
        /// What is wrong, in words.
        why: String,
        /// The raw body, for the dead letter.
        raw: String,
    },
}

/// A message in GHL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The contact; a `message.incoming` may name only the conversation.
    pub contact_id: Option<String>,
    /// The conversation; a Delivery post does not name it.
    pub conversation_id: Option<String>,
    /// GHL's id of the message; a `message.incoming` may lack it.
    pub message_id: Option<String>,
    /// The text, possibly empty when there are attachments.
    pub body: String,
    /// URLs.
    pub attachments: Vec<String>,
    /// Attachments that are not here, because their URLs are none that may be passed on.
    pub left_out: u32,
    /// The GHL user at the keyboard, not the assignee (FACTS §4.4).
    pub user_id: Option<String>,
    /// When it was written, in milliseconds, when it says so.
    pub at: Option<i64>,
}

impl Words {
    /// The id of the message: GHL's, or one that is made from the webhook's key.
    pub fn id(&self, key: &Key) -> String {
        let (Key::WebhookId(made) | Key::MessageId(made) | Key::Body(made)) = key;
        let own = self.message_id.clone();
        own.unwrap_or_else(|| format!("{UNNAMED}{made}"))
    }

    /// Whether nothing is left that could be shown.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty() && self.attachments.is_empty()
    }
}

impl Webhook {
    /// Reads a verified body; `hash` is the SHA-256 of its bytes in hex. `provider_id`: ours.
    pub fn read(raw: &str, hash: &str, provider_id: &str) -> Option<Self> {
        let body = json(raw)?;
        if !body.is_object() {
            return None;
        }
        // The guide reads `body.data`; real bodies are flat (FACTS §4.2).
        let flat = ["/contactId", "/conversationId", "/messageId", "/id"];
        let nested = body["data"].is_object() && text(&body, &flat).is_none();
        let fields = if nested { &body["data"] } else { &body };
        let either = |name: &str| {
            let path = format!("/{name}");
            text(fields, &[&path])
                .or_else(|| text(&body, &[&path]))
                .map(str::to_owned)
        };
        let message_id = either("messageId");
        let key = match (either("webhookId"), &message_id) {
            (Some(id), _) => Key::WebhookId(id),
            (None, Some(id)) => Key::MessageId(id.clone()),
            (None, None) => Key::Body(hash.to_owned()),
        };
        let kind = either("type").or_else(|| either("event"));
        let event = match event(fields, kind.as_deref(), provider_id) {
            Ok(event) => event,
            Err(why) => Event::Unintelligible {
                why,
                raw: raw.to_owned(),
            },
        };
        Some(Self {
            location_id: either("locationId"),
            company_id: either("companyId"),
            app_id: app_id(&body, fields),
            key,
            sent_at: either("timestamp").as_deref().and_then(millis),
            event,
        })
    }
}

/// What is there and is no text is no app of ours either.
fn app_id(body: &Value, fields: &Value) -> Option<String> {
    [&fields["appId"], &body["appId"]]
        .into_iter()
        .find_map(|value| match value {
            Value::Null => None,
            Value::String(id) => Some(id.clone()).filter(|id| !id.is_empty()),
            other => Some(wire::text(other)),
        })
}

fn event(fields: &Value, kind: Option<&str>, provider_id: &str) -> Result<Event, String> {
    let provider = text(fields, &["/conversationProviderId"]);
    let ours = provider == Some(provider_id);
    match kind {
        Some("INSTALL") => Ok(Event::Installed),
        Some("UNINSTALL") => Ok(Event::Uninstalled),
        Some("OutboundMessage") => match channel(fields) {
            Channel::Internal => Ok(ignored("an internal comment or an activity")),
            Channel::Other if !ours => Ok(ignored("another channel")),
            Channel::Other if text(fields, &["/status"]) == Some("failed") => {
                Ok(ignored("a failed send"))
            }
            Channel::Other => Ok(Event::Outbound(words(fields, true, true)?)),
        },
        Some("InboundMessage") => Ok(ignored(if ours {
            "our own message"
        } else {
            "another channel"
        })),
        Some("message.incoming") => Ok(Event::Incoming(words(fields, false, false)?)),
        Some("conversation.updated" | "ConversationUnreadUpdate") => {
            let id = text(fields, &["/conversationId", "/id"]);
            Ok(Event::Unread {
                conversation_id: id.ok_or("no id or conversationId")?.to_owned(),
                contact_id: text(fields, &["/contactId"]).map(str::to_owned),
                unread_count: fields["unreadCount"].as_i64().unwrap_or(0).max(0),
            })
        }
        Some("ConversationUpdate") => {
            match (
                text(fields, &["/oldConversationId"]),
                text(fields, &["/newConversationId"]),
            ) {
                (Some(old), Some(new)) => Ok(Event::Merged {
                    old: old.to_owned(),
                    new: new.to_owned(),
                    contact_id: text(fields, &["/contactId"]).map(str::to_owned),
                }),
                (None | Some(_), _) => Ok(ignored("ConversationUpdate without a merge")),
            }
        }
        Some("ContactDelete") => {
            let id = text(fields, &["/id", "/contactId"]).ok_or("no id")?;
            Ok(Event::ContactDeleted {
                contact_id: id.to_owned(),
            })
        }
        Some(kind) if kind.len() > CHANNEL_NAME || !looks_like_delivery(fields) => {
            Ok(ignored(kind))
        }
        None if !looks_like_delivery(fields) => {
            Err("no type, and not a Delivery-URL post".to_owned())
        }
        Some(_) | None if provider.is_some() && !ours => Ok(ignored("another provider")),
        Some(_) | None => match channel(fields) {
            Channel::Internal => Ok(ignored("an internal comment or an activity")),
            Channel::Other => Ok(Event::Reply(words(fields, true, true)?)),
        },
    }
}

/// A Delivery-URL post has no event name; its `type` is the channel (FACTS §4.4). App events
/// that we do not know carry other fields.
fn looks_like_delivery(fields: &Value) -> bool {
    let has = |name: &str| !fields[name].is_null();
    has("messageId") && (has("message") || has("attachments") || has("html")) && !has("messageType")
}

enum Channel {
    Internal,
    Other,
}

fn channel(fields: &Value) -> Channel {
    let names = ["/messageType", "/messageTypeString", "/type"];
    let internal = names
        .iter()
        .filter_map(|path| text(fields, &[path]))
        .any(|name| {
            name.starts_with("TYPE_ACTIVITY_")
                || name == "InternalComment"
                || name == "TYPE_INTERNAL_COMMENT"
        });
    if internal {
        Channel::Internal
    } else {
        Channel::Other
    }
}

fn words(fields: &Value, need_contact: bool, need_message: bool) -> Result<Words, String> {
    let owned = |paths: &[&str]| text(fields, paths).map(str::to_owned);
    let named: Vec<&str> = match &fields["attachments"] {
        Value::Array(list) => list.iter().filter_map(attachment).collect(),
        Value::String(url) if !url.is_empty() => vec![url],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Vec::new()
        }
    };
    let public = named.iter().filter(|url| is_public(url));
    let attachments: Vec<String> = public.map(|url| (*url).to_owned()).collect();
    let words = Words {
        contact_id: owned(&["/contactId"]),
        conversation_id: owned(&["/conversationId"]),
        message_id: owned(&["/messageId"]),
        body: owned(&["/message", "/body", "/message/body", "/html"]).unwrap_or_default(),
        left_out: (named.len() - attachments.len()) as u32,
        attachments,
        user_id: owned(&["/userId"]),
        at: text(fields, &["/dateAdded", "/timestamp"])
            .and_then(millis)
            .or_else(|| fields["timestamp"].as_i64()),
    };
    if need_message && words.message_id.is_none() {
        return Err("no messageId".into());
    }
    if words.contact_id.is_none() && (need_contact || words.conversation_id.is_none()) {
        return Err("neither contactId nor conversationId".into());
    }
    if words.body.is_empty() && named.is_empty() {
        return Err("neither text nor attachments".into());
    }
    Ok(words)
}

fn attachment(value: &Value) -> Option<&str> {
    value
        .as_str()
        .or_else(|| value["url"].as_str())
        .filter(|url| !url.is_empty())
}

fn ignored(why: &str) -> Event {
    Event::Ignored {
        why: why.chars().take(CHANNEL_NAME).collect(),
    }
}

/// ISO 8601 (or milliseconds as text) to milliseconds.
pub fn millis(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let zone = text
        .char_indices()
        .skip(DATE)
        .find(|(_, sign)| "+-".contains(*sign));
    let (local, zone) = text.split_at(zone.map_or(text.len(), |(at, _)| at));
    let at = humantime::parse_rfc3339_weak(local).ok()?;
    let since = at.duration_since(UNIX_EPOCH).ok()?.as_millis();
    Some(i64::try_from(since).ok()? - east(zone)?)
}

/// How far east of Greenwich `+02:00` or `-0330` is, in milliseconds.
fn east(zone: &str) -> Option<i64> {
    let Some((sign, clock)) = zone.split_at_checked(1) else {
        return Some(0);
    };
    let (hours, minutes) = clock.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    Some(minutes * if sign == "-" { -60_000 } else { 60_000 })
}

/// The id of a message that GHL gave none begins with this: GHL knows no status of it.
pub const UNNAMED: &str = "unnamed_";
/// The length of `2024-06-30`, whose hyphens are no signs.
const DATE: usize = 10;
const CHANNEL_NAME: usize = 60;

record!(Webhook {
    location_id,
    company_id,
    app_id,
    key,
    sent_at,
    event
});
choice!(Key {
    "webhookId" WebhookId (inner),
    "messageId" MessageId (inner),
    "body" Body (inner),
});
choice!(Event {
    "reply" Reply (inner),
    "outbound" Outbound (inner),
    "incoming" Incoming (inner),
    "unread" Unread { conversation_id, contact_id, unread_count },
    "merged" Merged { old, new, contact_id },
    "contactDeleted" ContactDeleted { contact_id },
    "installed" Installed,
    "uninstalled" Uninstalled,
    "ignored" Ignored { why },
    "unintelligible" Unintelligible { why, raw },
});
record!(Words {
    contact_id,
    conversation_id,
    message_id,
    body,
    attachments,
    left_out,
    user_id,
    at
});

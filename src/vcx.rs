//! vCX's wire: what its backend sends us, parsed once into what cannot be wrong, and the events
//! it gets from us. The names in bodies are vCX's own.

use crate::error::{Code, FieldError, Problem};
use crate::ghl::Details;
use crate::public_url::is_public;
use crate::session::Session;
use crate::wire::{choice, record};
use serde::Serialize;
use serde_json::{Map, Value};
use std::mem::discriminant;

/// `POST /push-message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// GHL's location.
    pub location_id: String,
    /// The visitor.
    pub client_id: String,
    /// The visitor's chat.
    pub vcx_conversation_id: String,
    /// Whether the visitor wrote it, or vCX's agent or bot.
    pub from_user: bool,
    /// The text.
    pub body: String,
    /// When it was written, in milliseconds.
    pub timestamp: i64,
    /// vCX's id of the message, when it gave one.
    pub message_id: Option<String>,
    /// Who the visitor is.
    pub details: Details,
    /// URLs.
    pub attachments: Vec<String>,
    /// Whether a browser sent it, with a session.
    pub by_session: bool,
}

/// `POST /contact`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactAsk {
    /// GHL's location.
    pub location_id: String,
    /// The visitor.
    pub client_id: String,
    /// Who the visitor is.
    pub details: Details,
}

/// `POST /message-status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusAsk {
    /// GHL's location.
    pub location_id: String,
    /// GHL's id of an agent's message.
    pub message_id: String,
    /// How far it got.
    pub status: Status,
    /// Why it failed.
    pub error: Option<String>,
    /// The only chat whose messages it may be about, when a session's browser sent it.
    pub only_chat: Option<String>,
}

/// How far an agent's message got. The order is the order of progress: a failure can still turn
/// into a delivery (by replay), a delivery is never taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// vCX has not taken it yet.
    Pending,
    /// It could not be shown.
    Failed,
    /// vCX has it.
    Delivered,
    /// The visitor has seen it.
    Read,
}

impl Status {
    /// GHL's word for it (FACTS §3.5).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }
}

/// An event for vCX's backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Event {
    /// An agent wrote.
    #[serde(rename = "message.created")]
    MessageCreated {
        /// The location.
        location_id: String,
        /// The visitor.
        client_id: String,
        /// The visitor's chat.
        vcx_conversation_id: String,
        /// GHL's id.
        message_id: String,
        /// Always false: the visitor did not write it.
        from_user: bool,
        /// The text.
        body: String,
        /// Milliseconds.
        timestamp: i64,
        /// URLs.
        attachments: Vec<String>,
        /// The GHL user.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
    },
    /// The unread count changed.
    #[serde(rename = "conversation.updated")]
    ConversationUpdated {
        /// The location.
        location_id: String,
        /// The visitor.
        client_id: String,
        /// The visitor's chat.
        vcx_conversation_id: String,
        /// Unread messages.
        unread_count: i64,
        /// Milliseconds.
        timestamp: i64,
    },
    /// A message became a dead letter.
    #[serde(rename = "message.failed")]
    MessageFailed {
        /// The location.
        location_id: String,
        /// The visitor, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The chat, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        vcx_conversation_id: Option<String>,
        /// The writer's id.
        message_id: String,
        /// `toGhl` or `toVcx`.
        direction: Direction,
        /// A stable word.
        code: String,
        /// A sentence.
        reason: String,
        /// Milliseconds.
        timestamp: i64,
    },
    /// A location was connected.
    #[serde(rename = "location.connected")]
    LocationConnected {
        /// The location.
        location_id: String,
        /// Its agency.
        #[serde(skip_serializing_if = "Option::is_none")]
        company_id: Option<String>,
        /// `install`, `marketplace` or `company`.
        via: String,
        /// vCX's account, when the installation began at `/install?ref=`.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// Milliseconds.
        timestamp: i64,
    },
    /// A location was uninstalled, or needs an admin.
    #[serde(rename = "location.disconnected")]
    LocationDisconnected {
        /// The location.
        location_id: String,
        /// A sentence.
        reason: String,
        /// Milliseconds.
        timestamp: i64,
    },
}

impl Event {
    /// The event as it is sent.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The event's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MessageCreated { .. } => "message.created",
            Self::ConversationUpdated { .. } => "conversation.updated",
            Self::MessageFailed { .. } => "message.failed",
            Self::LocationConnected { .. } => "location.connected",
            Self::LocationDisconnected { .. } => "location.disconnected",
        }
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// From vCX to GHL.
    ToGhl,
    /// From GHL to vCX.
    ToVcx,
}

impl Push {
    /// Parses a body.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        Self::read(&object(body)?, false)
    }

    /// Parses a browser's body: what the session says is not for the browser to say.
    pub fn parse_by(session: &Session, body: &[u8]) -> Result<Self, Problem> {
        let mut object = object(body)?;
        let owned = [
            ("locationId", session.location_id.as_str().into()),
            ("clientId", session.client_id.as_str().into()),
            ("vcxConversationId", session.conversation.as_str().into()),
            ("fromUser", true.into()),
        ];
        own(&mut object, &owned)?;
        for (name, claim) in session.details.named() {
            object.insert(name.into(), claim.as_deref().into());
        }
        Self::read(&object, true)
    }

    fn read(object: &Map<String, Value>, by_session: bool) -> Result<Self, Problem> {
        let mut fields = Fields::new(object);
        let push = Self {
            location_id: fields.id("locationId", ID),
            client_id: fields.id("clientId", CLIENT_ID),
            vcx_conversation_id: fields.id("vcxConversationId", ID),
            from_user: fields.boolean("fromUser"),
            body: fields.body(),
            timestamp: fields.timestamp(),
            message_id: fields.optional("messageId", ID),
            details: fields.details(),
            attachments: fields.attachments(),
            by_session,
        };
        if push.body.len() > TEXT {
            return Err(Problem::new(Code::TooLarge, "body is over 64 KB of UTF-8"));
        }
        if push.body.is_empty() && push.attachments.is_empty() && !fields.is_wrong("body") {
            fields.wrong("body", "is empty, and there are no attachments");
        }
        fields.finish(push)
    }
}

impl ContactAsk {
    /// Parses a body.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let object = object(body)?;
        let mut fields = Fields::new(&object);
        let ask = Self {
            location_id: fields.id("locationId", ID),
            client_id: fields.id("clientId", CLIENT_ID),
            details: fields.details(),
        };
        fields.finish(ask)
    }
}

impl StatusAsk {
    /// Parses a body.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        Self::read(&object(body)?, None)
    }

    /// Parses a browser's body.
    pub fn parse_by(session: &Session, body: &[u8]) -> Result<Self, Problem> {
        let mut object = object(body)?;
        let owned = [("locationId", session.location_id.as_str().into())];
        own(&mut object, &owned)?;
        Self::read(&object, Some(session.conversation.clone()))
    }

    fn read(object: &Map<String, Value>, only_chat: Option<String>) -> Result<Self, Problem> {
        let mut fields = Fields::new(object);
        let status = match fields.object.get("status").and_then(Value::as_str) {
            Some("delivered") => Status::Delivered,
            Some("read") => Status::Read,
            Some("failed") => Status::Failed,
            Some(_) | None => {
                fields.wrong("status", "must be one of delivered, read, failed");
                Status::Pending
            }
        };
        let ask = Self {
            location_id: fields.id("locationId", ID),
            message_id: fields.id("messageId", ID),
            status,
            error: fields.optional("error", ERROR),
            only_chat,
        };
        fields.finish(ask)
    }
}

/// Parses the body of a replay: the dead letters to replay, all of them when it names none.
pub fn replay_ids(body: &[u8]) -> Result<Option<Vec<i64>>, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let object = object(body)?;
    let mut fields = Fields::new(&object);
    let ids = match object.get("ids") {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) => {
            let ids = list.iter().map(|id| match id {
                Value::Number(number) => number.as_i64(),
                Value::String(text) => text.parse().ok(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            });
            let ids: Option<Vec<i64>> = ids.collect();
            if ids.is_none() {
                fields.wrong("ids", "must be a list of dead letters' ids");
            }
            ids
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            fields.wrong("ids", "must be a list of dead letters' ids");
            None
        }
    };
    fields.finish(ids)
}

/// Whether an id has a form that we accept.
pub fn is_id(id: &str, most: usize) -> bool {
    !id.is_empty() && id.chars().count() <= most && !id.chars().any(char::is_control)
}

/// A body that is a JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let malformed = |detail: String| Problem::new(Code::MalformedJson, detail);
    let text = std::str::from_utf8(body)
        .map_err(|error| malformed(format!("the body is not UTF-8: {error}")))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed("the body is JSON, but not an object".into())),
        Err(error) => Err(malformed(format!("the body is not JSON: {error}"))),
    }
}

/// Fills in what a session owns; a body that says otherwise is refused. What is of another type
/// altogether is left to be called wrong.
fn own(object: &mut Map<String, Value>, owned: &[(&str, Value)]) -> Result<(), Problem> {
    let mut errors = Vec::new();
    for (name, value) in owned {
        match object.get(*name) {
            None | Some(Value::Null) => {
                object.insert((*name).to_owned(), value.clone());
            }
            Some(said) if said != value && discriminant(said) == discriminant(value) => {
                errors.push(FieldError {
                    field: (*name).to_owned(),
                    message: "is not the session's".into(),
                });
            }
            Some(_) => {}
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::naming(
        Code::Forbidden,
        "not the session's",
        errors,
    ))
}

/// What a sentence says of fields that cannot be used.
pub(crate) const MISSING_OR_WRONG: &str = "missing or wrong";

/// Reads fields and collects what is wrong with them, so that one answer names all.
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(object: &'a Map<String, Value>) -> Self {
        Self {
            object,
            errors: Vec::new(),
        }
    }

    pub(crate) fn wrong(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    fn is_wrong(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    pub(crate) fn finish<T>(self, value: T) -> Result<T, Problem> {
        if self.errors.is_empty() {
            return Ok(value);
        }
        Err(Problem::naming(
            Code::InvalidFields,
            MISSING_OR_WRONG,
            self.errors,
        ))
    }

    pub(crate) fn id(&mut self, name: &str, most: usize) -> String {
        let value = self.optional(name, most);
        if value.is_none() && !self.is_wrong(name) {
            self.wrong(name, "is missing");
        }
        value.unwrap_or_default()
    }

    pub(crate) fn optional(&mut self, name: &str, most: usize) -> Option<String> {
        match self.object.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if is_id(text, most) => Some(text.clone()),
            Some(Value::String(text)) if text.is_empty() => {
                self.wrong(name, "is empty");
                None
            }
            Some(Value::String(text)) if text.chars().count() > most => {
                self.wrong(name, format!("is over {most} characters"));
                None
            }
            Some(Value::String(_)) => {
                self.wrong(name, "has control characters");
                None
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.wrong(name, "must be a string");
                None
            }
        }
    }

    /// Forms send empty strings for what was not filled in.
    fn blank_or(&mut self, name: &str, most: usize) -> Option<String> {
        match self.object.get(name) {
            Some(Value::String(text)) if text.trim().is_empty() => None,
            Some(_) | None => self.optional(name, most),
        }
    }

    pub(crate) fn details(&mut self) -> Details {
        Details {
            name: self.blank_or("name", DETAIL),
            email: self.blank_or("email", DETAIL),
            phone: self.blank_or("phone", DETAIL),
        }
    }

    fn boolean(&mut self, name: &str) -> bool {
        match self.object.get(name) {
            Some(Value::Bool(value)) => *value,
            None | Some(Value::Null) => {
                self.wrong(name, "is missing");
                false
            }
            Some(Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                self.wrong(name, "must be true or false");
                false
            }
        }
    }

    fn body(&mut self) -> String {
        match self.object.get("body") {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => {
                if !self.object.contains_key("attachments") {
                    self.wrong("body", "is missing");
                }
                String::new()
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.wrong("body", "must be a string");
                String::new()
            }
        }
    }

    fn timestamp(&mut self) -> i64 {
        let value = self.object.get("timestamp");
        let number = match value {
            Some(Value::Number(number)) => number.as_i64().or_else(|| {
                let float = number.as_f64()?;
                (float.fract() == 0.0 && float.abs() <= LATEST as f64).then_some(float as i64)
            }),
            Some(
                Value::Null
                | Value::Bool(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_),
            )
            | None => None,
        };
        match number {
            Some(millis) if (0..=LATEST).contains(&millis) => millis,
            Some(_) => {
                self.wrong("timestamp", "must be between 0 and 8.64e15");
                0
            }
            None if value.is_none_or(Value::is_null) => {
                self.wrong("timestamp", "is missing");
                0
            }
            None => {
                self.wrong("timestamp", "must be a whole number of milliseconds");
                0
            }
        }
    }

    fn attachments(&mut self) -> Vec<String> {
        let list = match self.object.get("attachments") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                self.wrong("attachments", "must be a list of URLs");
                return Vec::new();
            }
        };
        if list.len() > ATTACHMENTS {
            self.wrong("attachments", format!("are over {ATTACHMENTS}"));
            return Vec::new();
        }
        let mut urls = Vec::with_capacity(list.len());
        for (at, value) in list.iter().enumerate() {
            match value.as_str() {
                Some(url) if is_public(url) => urls.push(url.to_owned()),
                Some(_) | None => {
                    self.wrong(format!("attachments[{at}]"), "must be a public https URL");
                }
            }
        }
        urls
    }
}

/// Characters in most ids.
pub const ID: usize = 128;
/// Characters in a `clientId`: GHL's search takes no longer value (FACTS §2.4).
pub const CLIENT_ID: usize = 75;
/// Characters in a name, an e-mail address, a phone number.
pub const DETAIL: usize = 256;
const ERROR: usize = 1_000;
const TEXT: usize = 64 * 1024;
const ATTACHMENTS: usize = 100;
/// The latest time that JavaScript's `Date` can hold.
const LATEST: i64 = 8_640_000_000_000_000;

record!(Push {
    location_id,
    client_id,
    vcx_conversation_id,
    from_user,
    body,
    timestamp,
    message_id,
    details,
    attachments,
    by_session
});
record!(ContactAsk {
    location_id,
    client_id,
    details
});
record!(StatusAsk {
    location_id,
    message_id,
    status,
    error,
    only_chat
});
choice!(Status {
    "pending" Pending,
    "failed" Failed,
    "delivered" Delivered,
    "read" Read,
});
choice!(Direction {
    "toGhl" ToGhl,
    "toVcx" ToVcx,
});

//! What a GHL knows, as plain values.

use serde_json::Value;
use std::collections::BTreeMap;

pub struct App {
    pub client_id: String,
    pub client_secret: String,
    pub provider_id: String,
    pub scope: String,
}

pub struct Company {
    /// False: paused or unpaid.
    pub active: bool,
}

pub struct Location {
    pub company_id: String,
    pub active: bool,
    pub allow_duplicates: bool,
    /// `email` and `phone`, the first one first.
    pub unique: Vec<String>,
    /// Contacts written, which the search does not find yet.
    pub late: Vec<(i64, String, Option<Contact>)>,
    /// Contacts as the search finds them.
    pub found: BTreeMap<String, Contact>,
}

pub struct Installation {
    pub scope: String,
    pub installed_at: i64,
}

#[derive(Clone, Debug)]
pub struct Contact {
    pub id: String,
    pub location_id: String,
    /// Everything but tags and custom fields, as it was written.
    pub fields: BTreeMap<String, Value>,
    pub tags: Vec<String>,
    /// Field id and value.
    pub custom: Vec<(String, Value)>,
    pub added_at: i64,
    pub updated_at: i64,
}

#[derive(Clone, Debug)]
pub struct Conversation {
    pub id: String,
    pub location_id: String,
    pub contact_id: String,
    pub added_at: i64,
    pub starred: bool,
    pub unread: i64,
    /// Ids of its messages, oldest first.
    pub thread: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub location_id: String,
    pub contact_id: String,
    pub conversation_id: String,
    /// The `type` of the call: Custom, SMS, …
    pub channel: String,
    pub message_type: String,
    pub type_number: i64,
    pub direction: Direction,
    pub body: String,
    pub attachments: Value,
    pub status: String,
    pub error: Option<Value>,
    /// The `date` it was given.
    pub date: i64,
    /// When it was really stored.
    pub stored_at: i64,
    pub source: &'static str,
    pub alt_id: Option<String>,
    pub user_id: Option<String>,
    pub provider_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

pub struct CustomField {
    pub id: String,
    pub location_id: String,
    pub name: String,
    pub key: String,
    pub data_type: String,
    pub model: String,
}

/// One app's use of one resource.
#[derive(Default)]
pub struct Limits {
    pub window_ends: i64,
    pub used: i64,
    pub day_ends: i64,
    pub used_today: i64,
}

impl Contact {
    /// A field's text; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// First and last name.
    pub fn name(&self) -> String {
        format!("{} {}", self.text("firstName"), self.text("lastName"))
            .trim()
            .to_owned()
    }

    /// A custom field's value.
    pub fn custom(&self, id: &str) -> Option<&Value> {
        let found = self.custom.iter().find(|(field, _)| field == id);
        found.map(|(_, value)| value)
    }
}

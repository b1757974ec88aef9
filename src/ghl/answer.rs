//! What GHL's answers mean: taken, refused, or unclear; and the fields we read from them.
//!
//! Read leniently: flat and nested, `message` as a string or a list, both cases of names.

use crate::http::{Outcome, Response};
use crate::secret::masked;
use serde_json::Value;
use std::time::UNIX_EPOCH;

/// The meaning of an answer, before anybody looks at its body's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx; the body as JSON, or null.
    Taken(Value),
    /// Refused for good: repeating it cannot help.
    Refused {
        /// The status.
        status: u16,
        /// GHL's words.
        why: String,
        /// The body as JSON, or null.
        body: Value,
    },
    /// 429: nothing was done, and nothing else should be tried before `after`.
    TooMany {
        /// What `Retry-After` says, in milliseconds.
        after: Option<i64>,
    },
    /// The access token has expired.
    Expired {
        /// GHL's words.
        why: String,
    },
    /// `Location is not active`: paused or unpaid.
    NotActive,
    /// Nothing was done, for a reason that may pass (a scope, a redirect, 408).
    Failed {
        /// The status.
        status: u16,
        /// GHL's words.
        why: String,
        /// What `Retry-After` says, in milliseconds.
        after: Option<i64>,
    },
    /// It may or may not have been done.
    Unclear {
        /// Whether GHL itself never answered (timeout, drop, 502, 504): then it may still be
        /// at work for half a minute.
        silent: bool,
        /// What happened, in words.
        why: String,
        /// What `Retry-After` says, in milliseconds.
        after: Option<i64>,
    },
}

impl Verdict {
    /// Judges the outcome of a call to GHL.
    pub fn of(outcome: &Outcome, now: i64) -> Self {
        let response = match outcome {
            Outcome::Answered(response) => response,
            Outcome::TimedOut | Outcome::Dropped { .. } => {
                return Self::Unclear {
                    silent: true,
                    why: outcome.words(),
                    after: None,
                };
            }
        };
        let body = json(&response.body).unwrap_or(Value::Null);
        let after = retry_after(response, now);
        let why = words(&body).unwrap_or_else(|| match response.body.trim().is_empty() {
            true => format!("status {}, no body", response.status),
            false => format!("status {}, a body that is not JSON", response.status),
        });
        match response.status {
            200..=299 => Self::Taken(body),
            400 | 404 | 413 | 422 if why.contains(NOT_ACTIVE) => Self::NotActive,
            status @ (400 | 404 | 413 | 422) => Self::Refused { status, why, body },
            401 if expired(&why) => Self::Expired { why },
            429 => Self::TooMany { after },
            502 | 504 => Self::Unclear {
                silent: true,
                why,
                after,
            },
            500..=599 => Self::Unclear {
                silent: false,
                why,
                after,
            },
            status => Self::Failed { status, why, after },
        }
    }
}

/// Which 401 means that the token has expired: every one that is not about scope, class, `Version`
/// or the provider, which a refresh would not change (FACTS §5).
fn expired(why: &str) -> bool {
    let why = why.to_ascii_lowercase();
    !NOT_EXPIRED.iter().any(|word| why.contains(word))
}

/// GHL's words in an error body: `message` (a string or a list), else `error_description`,
/// else `error` (FACTS §1.7). What they quote of ours is masked.
pub fn words(body: &Value) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(list) => {
            let parts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        }
        Value::Object(inner) => inner
            .get("message")
            .and_then(Value::as_str)
            .map(str::to_owned),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => None,
    };
    ["message", "error_description", "error", "msg"]
        .iter()
        .find_map(|name| text(&body[*name]))
        .map(|words| masked(&words).chars().take(WORDS).collect())
}

/// JSON from GHL. Half a surrogate pair, which is what JavaScript writes of a text that was cut
/// inside an emoji, becomes U+FFFD: no reader of JSON in Rust takes it.
pub fn json(text: &str) -> Option<Value> {
    let read = |text: &str| serde_json::from_str(text).ok();
    read(text).or_else(|| read(&mended(text)))
}

fn mended(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let pair = (escaped(escape), escape.get(6..).and_then(escaped));
        let length = match pair {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(_), _) => 6,
            (None, _) => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        let (escape, after) = escape.split_at(length);
        let is_half = length == 6 && matches!(pair.0, Some(0xD800..=0xDFFF));
        mended.push_str(if is_half { "\\ufffd" } else { escape });
        rest = after;
    }
    mended + rest
}

/// The number in a `\uXXXX` that the text begins with.
fn escaped(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// `Retry-After` in milliseconds from now: seconds, or an HTTP date (RFC 9110 §10.2.3).
pub fn retry_after(response: &Response, now: i64) -> Option<i64> {
    let value = response.headers.get("retry-after")?.trim();
    if let Ok(seconds) = value.parse::<i64>() {
        return Some(seconds.clamp(0, 86_400) * 1_000);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let at = i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    Some((at - now).clamp(0, 86_400_000))
}

/// The text at the first of several paths that has one.
pub fn text<'a>(body: &'a Value, paths: &[&str]) -> Option<&'a str> {
    paths
        .iter()
        .find_map(|path| body.pointer(path)?.as_str().filter(|text| !text.is_empty()))
}

/// The ids in the answer to a logged message.
pub fn logged(body: &Value) -> Option<(&str, Option<&str>)> {
    let message_id = text(body, &["/messageId", "/message/id", "/message/messageId"])?;
    Some((
        message_id,
        text(body, &["/conversationId", "/message/conversationId"]),
    ))
}

/// The contact in an answer that holds one, flat or nested.
pub fn contact(body: &Value) -> &Value {
    if body["contact"].is_object() {
        &body["contact"]
    } else {
        body
    }
}

/// The contact that a duplicate refusal names (FACTS §2.1).
pub fn duplicate_of(body: &Value) -> Option<&str> {
    text(body, &["/meta/contactId"])
}

/// The value of a contact's custom field.
pub fn field_value<'a>(contact: &'a Value, field_id: &str) -> Option<&'a str> {
    let fields = contact["customFields"].as_array()?;
    let field = fields.iter().find(|field| field["id"] == field_id)?;
    text(
        field,
        &["/value", "/field_value", "/fieldValue", "/fieldValueString"],
    )
}

/// The messages of a page, and whether there may be more.
pub fn messages(body: &Value) -> (&[Value], bool) {
    let nested = &body["messages"]["messages"];
    let list = nested.as_array().or_else(|| body["messages"].as_array());
    let next = body
        .pointer("/messages/nextPage")
        .or_else(|| body.pointer("/nextPage"));
    let list = list.map_or(&[][..], Vec::as_slice);
    (
        list,
        next.and_then(Value::as_bool).unwrap_or(!list.is_empty()),
    )
}

const NOT_ACTIVE: &str = "Location is not active";
const NOT_EXPIRED: [&str; 6] = [
    "scope",
    "version",
    "type mismatch",
    "authclass",
    "provider",
    "access to this location",
];
const WORDS: usize = 300;

//! What must not be in the log: gathered from all that a story says, is sent and is answered.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Secrets and private texts, as they turn up.
#[derive(Default)]
pub struct Private {
    texts: BTreeSet<String>,
    /// Ids may be logged, even when somebody has written the same as a text.
    ids: BTreeSet<String>,
}

impl Private {
    /// The settings that are secrets, and their parts.
    pub fn learn_settings(&mut self, settings: &BTreeMap<String, String>) {
        for (name, value) in settings {
            if !PUBLIC.contains(&name.as_str()) {
                let parts = value.split([',', ':', '_']).map(str::to_owned);
                // A seal key's id is none: each record shows it.
                let is_id = |part: &String| name == "SEAL_KEYS" && part.len() <= 16;
                self.texts.extend(parts.filter(|part| !is_id(part)));
                self.learn(value);
            }
        }
    }

    /// A secret or a private text.
    pub fn learn(&mut self, text: &str) {
        // A shorter one could be anybody's word.
        if text.chars().count() >= 5 {
            self.texts.insert(text.to_owned());
        }
    }

    /// The private members of a JSON text; of a form its values; of anything else all of it.
    pub fn learn_body(&mut self, text: &str) {
        match serde_json::from_str(text) {
            Ok(value) => self.learn_members(&value),
            Err(_) if text.contains('=') => {
                let values = super::pairs(text).into_iter();
                // Only of OAuth's forms is `code` a secret; elsewhere it is an error's name.
                let private =
                    values.filter(|(name, _)| name == "code" || NAMES.contains(&name.as_str()));
                private.for_each(|(_, value)| self.learn(&value));
            }
            Err(_) => self.learn(text),
        }
    }

    /// The members with a private name, at any depth.
    pub fn learn_members(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                // A webhook's key is an id or a hash, whatever it is the key of.
                for (name, member) in members.iter().filter(|(name, _)| *name != "key") {
                    match member {
                        _ if NAMES.contains(&name.as_str()) => self.learn_strings(member),
                        Value::String(id) if name.ends_with("Id") => {
                            self.ids.insert(id.clone());
                        }
                        _ => self.learn_members(member),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| self.learn_members(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn learn_strings(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.learn(text),
            Value::Array(list) => list.iter().for_each(|value| self.learn_strings(value)),
            Value::Object(_) => self.learn_members(value),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A line of the log: JSON with level, event and time, and nothing private in it.
    pub fn check(&self, line: &str) -> Value {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(
            matches!(value["level"].as_str(), Some("info" | "warn" | "error"))
                && value["event"].is_string()
                && value["at"].is_i64(),
            "a line without level, event and time: {line}"
        );
        // As it would be written inside a JSON text.
        for text in &self.texts {
            let written = Value::from(text.as_str()).to_string();
            let written = written.trim_matches('"');
            let is_in_an_id = || self.ids.iter().any(|id| id.contains(text));
            assert!(
                !line.contains(written) || is_in_an_id(),
                "{written} is in the log: {line}"
            );
        }
        value
    }
}

const PUBLIC: [&str; 10] = [
    "GHL_CLIENT_ID",
    "GHL_REDIRECT_URI",
    "GHL_PROVIDER_ID",
    "GHL_VERSION_ID",
    "GHL_SCOPES",
    "GHL_API_URL",
    "GHL_INSTALL_URL",
    "GHL_PUBLIC_KEYS",
    "VCX_WEBHOOK_URL",
    "VCX_ALLOWED_ORIGINS",
];
/// Members that hold secrets, texts or addresses, in vCX's, GHL's and our own words.
const NAMES: [&str; 23] = [
    "access",
    "access_token",
    "attachments",
    "authorizationCode",
    "body",
    "client_secret",
    "clientSecret",
    "email",
    "error_description",
    "firstName",
    "html",
    "lastName",
    "message",
    "name",
    "phone",
    "raw",
    "reason",
    "refresh",
    "refresh_token",
    "refreshToken",
    "state",
    "text",
    "why",
];

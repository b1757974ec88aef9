//! Events to vCX: signed, and verified as their receiver does, by
//! [Standard Webhooks 1.0.0](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
//!
//! Where the standard's libraries differ from each other, or take what nobody sends, the stricter
//! reading is meant; `tests/signature.test.js` lists each case.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{MacKey, digest, hex};
use crate::secret::{KeyError, KeyFault, decode_key, read_keys};

/// The secrets of `VCX_WEBHOOK_SECRET`, by which vCX knows our events.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<MacKey>);

impl WebhookSecrets {
    /// Reads `whsec_` + base64 of at least 24 bytes (the standard's minimum), comma separated while
    /// rotating.
    ///
    /// # Errors
    /// [`KeyError`] for the first entry that is wrong.
    pub fn parse(setting: &str) -> Result<WebhookSecrets, KeyError> {
        read_keys(setting, prefixed).map(WebhookSecrets)
    }

    /// The same as the receiver may hold them: without the prefix, too, as the standard's libraries
    /// allow.
    ///
    /// # Errors
    /// [`KeyError`] for the first entry that is wrong.
    pub fn of_receiver(setting: &str) -> Result<WebhookSecrets, KeyError> {
        read_keys(setting, prefixed_or_bare).map(WebhookSecrets)
    }

    /// The `webhook-signature` of an event: one `v1,<base64>` per secret, separated by spaces.
    /// `timestamp_s` is its `webhook-timestamp`, in seconds; `id` must not hold a dot.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let timestamp = timestamp_s.to_string();
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        let sign = |key: &MacKey| format!("v1,{}", STANDARD.encode(key.sign(&signed)));
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }

    /// Checks an event by its headers and its raw body: one good `v1` signature by one of the secrets
    /// is enough, other versions are passed over, and it may be five minutes from `now` either way.
    ///
    /// `headers` may hold others, in any order; the case of their names does not count.
    ///
    /// # Errors
    /// [`EventRefused`].
    pub fn verify(
        &self,
        headers: &[(&str, &str)],
        body: &[u8],
        now: i64,
    ) -> Result<(), EventRefused> {
        let id = the_only(headers, "webhook-id")?;
        let timestamp = the_only(headers, "webhook-timestamp")?;
        let signatures = the_only(headers, "webhook-signature")?;
        let sent = seconds(timestamp).ok_or(EventRefused::BadTimestamp)?;
        // In whole seconds, as the header is: a receiver's clock has no better ones.
        let now = now.div_euclid(1_000);
        if sent < now.saturating_sub(TOLERANCE_S) {
            return Err(EventRefused::TooOld);
        }
        if sent > now.saturating_add(TOLERANCE_S) {
            return Err(EventRefused::TooNew);
        }
        let mut tags = signatures
            .split(' ')
            .filter_map(|one| one.strip_prefix("v1,"))
            .peekable();
        if tags.peek().is_none() {
            return Err(EventRefused::NoSignature);
        }
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        let good = tags
            .filter_map(|tag| STANDARD.decode(tag).ok())
            .any(|tag| self.0.iter().any(|key| key.verify(&signed, &tag)));
        match good {
            true => Ok(()),
            false => Err(EventRefused::WrongSignature),
        }
    }
}

/// Why an event that claims to be ours is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventRefused {
    /// The header of this name is absent or empty.
    MissingHeader(&'static str),
    /// The header of this name is there more than once: which one anybody else goes by is a guess.
    DoubledHeader(&'static str),
    /// `webhook-timestamp` is not a number of seconds.
    BadTimestamp,
    /// It is more than five minutes ago.
    TooOld,
    /// It is more than five minutes ahead.
    TooNew,
    /// `webhook-signature` offers nothing of version `v1`.
    NoSignature,
    /// No secret made any of the signatures.
    WrongSignature,
}

impl EventRefused {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            EventRefused::MissingHeader(_) => "event_missing_header",
            EventRefused::DoubledHeader(_) => "event_doubled_header",
            EventRefused::BadTimestamp => "event_bad_timestamp",
            EventRefused::TooOld => "event_too_old",
            EventRefused::TooNew => "event_too_new",
            EventRefused::NoSignature => "event_no_signature",
            EventRefused::WrongSignature => "event_wrong_signature",
        }
    }
}

impl fmt::Display for EventRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EventRefused::MissingHeader(name) => return write!(f, "the event has no {name}"),
            EventRefused::DoubledHeader(name) => {
                return write!(f, "the event has more than one {name}");
            }
            EventRefused::BadTimestamp => "webhook-timestamp is not a number of seconds",
            EventRefused::TooOld => "webhook-timestamp is more than five minutes ago",
            EventRefused::TooNew => "webhook-timestamp is more than five minutes ahead",
            EventRefused::NoSignature => "webhook-signature holds no v1 signature",
            EventRefused::WrongSignature => {
                "webhook-signature was made over another event, or not with VCX_WEBHOOK_SECRET"
            }
        })
    }
}

impl std::error::Error for EventRefused {}

/// The `webhook-id` of an event to vCX: always the same for the same location, type and key.
pub fn event_id(location: &str, r#type: &str, key: &str) -> String {
    let digest = digest(&[location.as_bytes(), r#type.as_bytes(), key.as_bytes()]);
    format!("evt_{}", hex(&digest[..16]))
}

/// The value of the header of this name.
fn the_only<'a>(headers: &[(&str, &'a str)], name: &'static str) -> Result<&'a str, EventRefused> {
    let mut values = headers
        .iter()
        .filter(|(given, value)| given.eq_ignore_ascii_case(name) && !value.is_empty())
        .map(|(_, value)| *value);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(EventRefused::MissingHeader(name)),
        (Some(_), Some(_)) => Err(EventRefused::DoubledHeader(name)),
    }
}

/// Digits only, for what is verified is the text: `parse` alone would take `+5` too.
fn seconds(text: &str) -> Option<i64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn prefixed(text: &str) -> Result<MacKey, KeyFault> {
    mac_key(text.strip_prefix(PREFIX).ok_or(KeyFault::NoPrefix)?)
}

fn prefixed_or_bare(text: &str) -> Result<MacKey, KeyFault> {
    match text.strip_prefix(PREFIX) {
        Some(base64) => mac_key(base64),
        // Another prefix, such as that of an asymmetric key, is not base64 of anything.
        None if text.contains('_') => Err(KeyFault::NoPrefix),
        None => mac_key(text),
    }
}

fn mac_key(base64: &str) -> Result<MacKey, KeyFault> {
    let key = decode_key(base64)?;
    match key.len() {
        0..24 => Err(KeyFault::WrongLength {
            found: key.len(),
            wanted: "at least 24",
        }),
        _ => Ok(MacKey::new(&key)),
    }
}

const PREFIX: &str = "whsec_";
const TOLERANCE_S: i64 = 5 * 60;

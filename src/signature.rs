//! Who sent this: GHL's webhooks (Ed25519), events to vCX (Standard Webhooks, HMAC-SHA256) and the
//! OAuth `state`; and the ids that are digests.
//!
//! Bytes are verified as they came, before anything in them is parsed. `now` is an argument, in
//! milliseconds. A GHL webhook that is sent again verifies again, because GHL signs nothing but the
//! body: keeping it from having a second effect is the job of whoever remembers `webhookId`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::secret::{KeyError, KeyFault, Secret, decode_key, read_keys};

/// The Ed25519 keys GHL may sign webhooks with: one, or several while GHL rotates (FACTS §4.7).
#[derive(Clone, Debug)]
pub struct GhlKeys(Vec<VerifyingKey>);

impl GhlKeys {
    /// Reads `GHL_PUBLIC_KEYS`: comma separated, each a PEM `PUBLIC KEY` (RFC 8410; its line breaks
    /// real, written `\n`, or lost) or the base64 of its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] for the first entry that is wrong; a key of small order is.
    pub fn parse(setting: &str) -> Result<GhlKeys, KeyError> {
        read_keys(setting, ghl_key).map(GhlKeys)
    }

    /// The key in GHL's webhook guide (FACTS §4.7).
    pub fn published() -> GhlKeys {
        GhlKeys(
            VerifyingKey::from_bytes(&GHL_PUBLISHED)
                .into_iter()
                .collect(),
        )
    }

    /// Checks `X-GHL-Signature` over the raw body.
    ///
    /// This is RFC 8032 §5.1.7 without the cofactor, as WebCrypto and OpenSSL do it. Dalek's
    /// `verify_strict` would cost a tenth more, to refuse keys and nonces of small order as well.
    /// Such keys would let strangers in and are refused once, in `parse`; such nonces only give
    /// GHL's own key a second signature for a message, and nothing here goes by the signature.
    ///
    /// # Errors
    /// [`WebhookRefused`]; the reason belongs in our log, not in the answer.
    pub fn verify(&self, header: Option<&str>, body: &[u8]) -> Result<(), WebhookRefused> {
        let header = match header {
            None => return Err(WebhookRefused::Absent),
            Some("") => return Err(WebhookRefused::Empty),
            Some("N/A") => return Err(WebhookRefused::NotApplicable),
            Some(header) if header.contains(',') => return Err(WebhookRefused::Doubled),
            Some(header) => header,
        };
        let signature = STANDARD
            .decode(header)
            .map_err(|_| WebhookRefused::NotBase64)?;
        let signature =
            Signature::from_slice(&signature).map_err(|_| WebhookRefused::WrongLength)?;
        match self
            .0
            .iter()
            .any(|key| key.verify(body, &signature).is_ok())
        {
            true => Ok(()),
            false => Err(WebhookRefused::WrongSignature),
        }
    }
}

/// Why a webhook that claims to be GHL's is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookRefused {
    /// No `X-GHL-Signature`.
    Absent,
    /// An empty one.
    Empty,
    /// The literal `N/A`, which GHL writes where it has no signature.
    NotApplicable,
    /// Several, which HTTP joins with commas: which one a proxy looked at is anybody's guess.
    Doubled,
    /// Not padded standard base64.
    NotBase64,
    /// Base64, but not of 64 bytes.
    WrongLength,
    /// No accepted key made this signature over this body.
    WrongSignature,
}

impl WebhookRefused {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            WebhookRefused::Absent => "signature_absent",
            WebhookRefused::Empty => "signature_empty",
            WebhookRefused::NotApplicable => "signature_not_applicable",
            WebhookRefused::Doubled => "signature_doubled",
            WebhookRefused::NotBase64 => "signature_not_base64",
            WebhookRefused::WrongLength => "signature_wrong_length",
            WebhookRefused::WrongSignature => "signature_wrong",
        }
    }
}

impl fmt::Display for WebhookRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WebhookRefused::Absent => "the webhook has no X-GHL-Signature",
            WebhookRefused::Empty => "X-GHL-Signature is empty",
            WebhookRefused::NotApplicable => "X-GHL-Signature is N/A: GHL did not sign the webhook",
            WebhookRefused::Doubled => "there is more than one X-GHL-Signature",
            WebhookRefused::NotBase64 => "X-GHL-Signature is not base64",
            WebhookRefused::WrongLength => "X-GHL-Signature does not hold 64 bytes",
            WebhookRefused::WrongSignature => {
                "X-GHL-Signature was made over another body, or with a key not in GHL_PUBLIC_KEYS"
            }
        })
    }
}

impl std::error::Error for WebhookRefused {}

/// The secrets of `VCX_WEBHOOK_SECRET`, by which vCX knows our events
/// ([Standard Webhooks 1.0.0](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)).
#[derive(Clone)]
pub struct WebhookSecrets(Vec<MacKey>);

impl WebhookSecrets {
    /// Reads `whsec_` + base64 of at least 24 bytes (the standard's minimum), comma separated while
    /// rotating.
    ///
    /// # Errors
    /// [`KeyError`] for the first entry that is wrong.
    pub fn parse(setting: &str) -> Result<WebhookSecrets, KeyError> {
        read_keys(setting, webhook_secret).map(WebhookSecrets)
    }

    /// The `webhook-signature` of an event: one `v1,<base64>` per secret, separated by spaces.
    /// `timestamp_s` is its `webhook-timestamp`, in seconds; `id` must not hold a dot.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let timestamp = timestamp_s.to_string();
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        let sign = |key: &MacKey| format!("v1,{}", STANDARD.encode(key.sign(&signed)));
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }

    /// Checks an event's three headers, as its receiver does: one good `v1` signature by one of the
    /// secrets is enough, other versions are passed over, and `timestamp` may be five minutes from
    /// `now` either way.
    ///
    /// # Errors
    /// [`EventRefused`].
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signature: &str,
        body: &[u8],
        now: i64,
    ) -> Result<(), EventRefused> {
        let sent = seconds(timestamp)
            .ok_or(EventRefused::BadTimestamp)?
            .saturating_mul(1000);
        if sent < now.saturating_sub(EVENT_TOLERANCE_MS) {
            return Err(EventRefused::TooOld);
        }
        if sent > now.saturating_add(EVENT_TOLERANCE_MS) {
            return Err(EventRefused::TooNew);
        }
        let mut tags = signature
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

/// What an install carries through GHL's chooser and back (RFC 6749 §10.12): no secret, but ours and
/// fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthState {
    /// vCX's account, as given to `/install?ref=`.
    pub ref_: Option<String>,
    /// Fresh entropy, which makes every state unlike every other.
    pub nonce: [u8; 16],
    /// When the install began, in milliseconds.
    pub issued_at: i64,
}

/// The `state` parameter for `state`: `<base64url JSON>.<base64url HMAC-SHA256>`, fit for a URL and a
/// cookie as it is. `key` is the app's client secret, from which the signing key is derived.
pub fn sign_state(key: &Secret, state: &OAuthState) -> String {
    let wire = StateWire {
        ref_: state.ref_.clone(),
        nonce: URL_SAFE_NO_PAD.encode(state.nonce),
        iat: state.issued_at,
    };
    let Ok(json) = serde_json::to_vec(&wire) else {
        unreachable!("two strings and a number always serialize")
    };
    let payload = URL_SAFE_NO_PAD.encode(json);
    let tag = URL_SAFE_NO_PAD.encode(state_key(key).sign(&[payload.as_bytes()]));
    format!("{payload}.{tag}")
}

/// The state that [`sign_state`] put into `token` less than ten minutes from `now`.
///
/// # Errors
/// [`StateError`]; the way on is to start the install again.
pub fn verify_state(key: &Secret, token: &str, now: i64) -> Result<OAuthState, StateError> {
    let (payload, tag) = token.split_once('.').ok_or(StateError::Malformed)?;
    let tag = URL_SAFE_NO_PAD
        .decode(tag)
        .map_err(|_| StateError::Malformed)?;
    if !state_key(key).verify(&[payload.as_bytes()], &tag) {
        return Err(StateError::Forged);
    }
    let state = parse_state(payload).ok_or(StateError::Malformed)?;
    // In both directions: a state from the future was dated by a wrong clock, and would live longer.
    match now.abs_diff(state.issued_at) < STATE_LIFETIME_MS {
        true => Ok(state),
        false => Err(StateError::Expired),
    }
}

/// Why a `state` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// It does not have the form of ours.
    Malformed,
    /// It was not signed with our client secret, or was altered.
    Forged,
    /// It is ten minutes old or older.
    Expired,
}

impl StateError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            StateError::Malformed => "state_malformed",
            StateError::Forged => "state_forged",
            StateError::Expired => "state_expired",
        }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateError::Malformed => "the state is none of ours; start the install again",
            StateError::Forged => "the state was not signed by this app; start the install again",
            StateError::Expired => "the install took more than ten minutes; start it again",
        })
    }
}

impl std::error::Error for StateError {}

/// An HMAC-SHA256 key (RFC 2104), with its padded blocks already hashed.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// A key of any length.
    pub fn new(key: &[u8]) -> MacKey {
        let Ok(mac) = Hmac::new_from_slice(key) else {
            unreachable!("HMAC takes a key of any length")
        };
        MacKey(mac)
    }

    /// The tag over the concatenated `parts`.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `tag` is the whole tag over the concatenated `parts`; constant time in its content.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.over(parts).verify_slice(tag).is_ok()
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

/// The `webhook-id` of an event to vCX: always the same for the same location, type and key.
pub fn event_id(location: &str, r#type: &str, key: &str) -> String {
    let digest = digest(&[location.as_bytes(), r#type.as_bytes(), key.as_bytes()]);
    format!("evt_{}", hex(&digest[..16]))
}

/// SHA-256 over `parts`, each after its length in 8 bytes, most significant first, so that no two
/// lists of parts run together.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 of bytes as they are (FIPS 180-4).
pub fn digest_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn ghl_key(text: &str) -> Result<VerifyingKey, KeyFault> {
    let (armoured, base64) = match text.starts_with(ARMOUR) {
        true => (true, unarmour(text).ok_or(KeyFault::NotEd25519)?),
        false => (false, text.to_owned()),
    };
    let bytes = decode_key(&base64)?;
    let raw = match bytes.strip_prefix(&SPKI_ED25519) {
        Some(raw) => raw,
        None if armoured => return Err(KeyFault::NotEd25519),
        None => &bytes,
    };
    let raw: &[u8; 32] = raw.try_into().map_err(|_| KeyFault::WrongLength {
        found: raw.len(),
        wanted: "32",
    })?;
    let key = VerifyingKey::from_bytes(raw).map_err(|_| KeyFault::NotEd25519)?;
    match key.is_weak() {
        true => Err(KeyFault::WeakKey),
        false => Ok(key),
    }
}

/// The base64 inside a PEM `PUBLIC KEY`, whatever has become of its line breaks.
fn unarmour(pem: &str) -> Option<String> {
    let pem = pem.replace("\\r", "").replace("\\n", "\n");
    let base64 = pem.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    Some(base64.split_whitespace().collect())
}

fn webhook_secret(text: &str) -> Result<MacKey, KeyFault> {
    let key = decode_key(text.strip_prefix("whsec_").ok_or(KeyFault::NoPrefix)?)?;
    match key.len() {
        0..24 => Err(KeyFault::WrongLength {
            found: key.len(),
            wanted: "at least 24",
        }),
        _ => Ok(MacKey::new(&key)),
    }
}

/// Digits only, for what is verified is the text: `parse` alone would take `+5` too.
fn seconds(text: &str) -> Option<i64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A key for this use alone, so that no other use of the client secret makes a state.
fn state_key(client_secret: &Secret) -> MacKey {
    let client_secret = MacKey::new(client_secret.expose().as_bytes());
    MacKey::new(&client_secret.sign(&[b"vcx-ghl oauth state v1"]))
}

fn parse_state(payload: &str) -> Option<OAuthState> {
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let wire: StateWire = serde_json::from_slice(&json).ok()?;
    let nonce = URL_SAFE_NO_PAD.decode(wire.nonce).ok()?.try_into().ok()?;
    Some(OAuthState {
        ref_: wire.ref_,
        nonce,
        issued_at: wire.iat,
    })
}

#[derive(Serialize, Deserialize)]
struct StateWire {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    ref_: Option<String>,
    nonce: String,
    iat: i64,
}

const EVENT_TOLERANCE_MS: i64 = 5 * 60 * 1000;
const STATE_LIFETIME_MS: u64 = 10 * 60 * 1000;
const GHL_PUBLISHED: [u8; 32] = [
    0x8b, 0x61, 0xd1, 0xd6, 0xca, 0xcb, 0xe2, 0x8d, 0x7c, 0x3b, 0xc0, 0x51, 0x6b, 0xb8, 0x15, 0x25,
    0x8e, 0xc6, 0xed, 0xbb, 0xa9, 0x6c, 0xdd, 0xc7, 0xf4, 0x0c, 0x09, 0xac, 0x70, 0x83, 0x88, 0xe8,
];
const ARMOUR: &str = "-----";
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// What precedes the 32 bytes in the DER of every Ed25519 public key (RFC 8410 §4). Not read with
/// dalek's `pem` feature: its five crates would take 5 of the Worker's 120 KB, and insist on line
/// breaks, which environment variables lose.
const SPKI_ED25519: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

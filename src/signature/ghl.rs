//! GHL's webhooks: Ed25519 over the raw body.
//!
//! GHL signs nothing but the body, neither a time nor an address: a webhook that is sent again
//! verifies again, however late. There is no window, because GHL's own late repeats (by hand, for 30
//! days) would not fit into any; keeping a repeat from having a second effect is the job of whoever
//! remembers `webhookId`. The older header, `X-WH-Signature` (RSA), is not looked at: a way in that
//! is weaker than the other would be the way in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Verifier, VerifyingKey};

use crate::secret::{KeyError, KeyFault, decode_key, read_keys};

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

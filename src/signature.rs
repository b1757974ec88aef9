//! Who sent this: GHL's webhooks ([`GhlKeys`]), events to vCX ([`WebhookSecrets`]) and the OAuth
//! `state` ([`OAuthState`]); and the HMAC and the digests below them.
//!
//! Bytes are verified as they came, before anything in them is parsed. `now` is an argument, in
//! milliseconds.

mod events;
mod ghl;
mod state;

pub use events::{EventRefused, WebhookSecrets, event_id};
pub use ghl::{GhlKeys, WebhookRefused};
pub use state::{OAuthState, StateError, sign_state, verify_state};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

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

//! Tokens at rest: XChaCha20-Poly1305 with the location as associated data, so that a record copied
//! to another location does not open there.
//!
//! A record is text, `v1.<key id>.<base64url nonce>.<base64url ciphertext and tag>`, and names the
//! key that opens it, so keys rotate by putting a new one in front. A nonce of 24 bytes is long
//! enough to be drawn at random for every record (draft-irtf-cfrg-xchacha-03). Neither the length
//! of a record nor that an old one was put back is hidden or noticed here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};

use crate::secret::{KeyError, KeyFault, decode_key, read_keys};

/// The keys of `SEAL_KEYS`: the first seals, all open.
#[derive(Clone)]
pub struct SealKeys {
    newest: SealKey,
    older: Vec<SealKey>,
}

impl SealKeys {
    /// Reads `id:base64-of-32-bytes`, comma separated, newest first; an id is 1 to 16 letters,
    /// digits, `-` or `_`.
    ///
    /// # Errors
    /// [`KeyError`] for the first entry that is wrong.
    pub fn parse(setting: &str) -> Result<SealKeys, KeyError> {
        let mut ids: Vec<String> = Vec::new();
        let mut keys = read_keys(setting, |text| {
            let key = SealKey::parse(text)?;
            if ids.contains(&key.id) {
                return Err(KeyFault::RepeatedId(key.id));
            }
            ids.push(key.id.clone());
            Ok(key)
        })?;
        let newest = keys.remove(0);
        Ok(SealKeys {
            newest,
            older: keys,
        })
    }

    /// Seals `plaintext` for the location `associated` with the newest key.
    ///
    /// `nonce` must be fresh entropy: two records under one nonce give both away.
    pub fn seal(&self, plaintext: &[u8], associated: &str, nonce: [u8; 24]) -> String {
        let payload = Payload {
            msg: plaintext,
            aad: associated.as_bytes(),
        };
        let Ok(ciphertext) = self.newest.cipher.encrypt(&nonce.into(), payload) else {
            unreachable!("only a plaintext over 256 GB is refused, more than memory holds")
        };
        let (nonce, ciphertext) = (
            URL_SAFE_NO_PAD.encode(nonce),
            URL_SAFE_NO_PAD.encode(ciphertext),
        );
        format!("{VERSION}.{}.{nonce}.{ciphertext}", self.newest.id)
    }

    /// The plaintext of a record that was sealed for the location `associated`.
    ///
    /// # Errors
    /// [`SealError`]; trying again does not help, another `SEAL_KEYS` may.
    pub fn open(&self, record: &str, associated: &str) -> Result<Vec<u8>, SealError> {
        let record = Record::parse(record).ok_or(SealError::Malformed)?;
        let key = std::iter::once(&self.newest)
            .chain(&self.older)
            .find(|key| key.id == record.key)
            .ok_or_else(|| SealError::UnknownKey(record.key.to_owned()))?;
        let payload = Payload {
            msg: &record.ciphertext,
            aad: associated.as_bytes(),
        };
        key.cipher
            .decrypt(&record.nonce.into(), payload)
            .map_err(|_| SealError::Refused)
    }

    /// Whether `record` names the key that seals today; if not, it is time to seal it anew. Does not
    /// open it.
    pub fn is_newest(&self, record: &str) -> bool {
        key_id(record) == Some(&self.newest.id)
    }
}

/// The id of the key that a record names.
pub fn key_id(record: &str) -> Option<&str> {
    let (version, rest) = record.split_once('.')?;
    let (id, _) = rest.split_once('.')?;
    (version == VERSION && is_id(id)).then_some(id)
}

/// Why a record does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealError {
    /// It does not have the form of a record, or is of a version that this code does not know.
    Malformed,
    /// It names a key, here by its id, that `SEAL_KEYS` does not hold.
    UnknownKey(String),
    /// The key of that id does not open it for this location.
    Refused,
}

impl SealError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SealError::Malformed => "seal_malformed",
            SealError::UnknownKey(_) => "seal_unknown_key",
            SealError::Refused => "seal_refused",
        }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::Malformed => {
                f.write_str("the sealed record is not v1.<key id>.<nonce>.<ciphertext>")
            }
            SealError::UnknownKey(id) => {
                write!(
                    f,
                    "the sealed record needs the key {id:?}, which SEAL_KEYS does not hold"
                )
            }
            SealError::Refused => f.write_str(
                "the sealed record does not open: it was altered, moved from another location, or \
                 sealed with another key of the same id",
            ),
        }
    }
}

impl std::error::Error for SealError {}

#[derive(Clone)]
struct SealKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

impl SealKey {
    fn parse(text: &str) -> Result<SealKey, KeyFault> {
        let (id, key) = text.split_once(':').ok_or(KeyFault::NoId)?;
        if !is_id(id) {
            return Err(KeyFault::BadId);
        }
        let key: [u8; 32] =
            decode_key(key)?
                .try_into()
                .map_err(|key: Vec<u8>| KeyFault::WrongLength {
                    found: key.len(),
                    wanted: "32",
                })?;
        Ok(SealKey {
            id: id.to_owned(),
            cipher: XChaCha20Poly1305::new(&key.into()),
        })
    }
}

/// A record's parts, before any key has been tried.
struct Record<'a> {
    key: &'a str,
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

impl<'a> Record<'a> {
    fn parse(text: &'a str) -> Option<Record<'a>> {
        let parts: Vec<&str> = text.split('.').collect();
        let [VERSION, key, nonce, ciphertext] = parts[..] else {
            return None;
        };
        let nonce = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let ciphertext = URL_SAFE_NO_PAD.decode(ciphertext).ok()?;
        (is_id(key) && ciphertext.len() >= TAG_BYTES).then_some(Record {
            key,
            nonce,
            ciphertext,
        })
    }
}

/// Too short for a key of 32 bytes, in base64 or hex, to be taken for an id and shown.
fn is_id(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

const VERSION: &str = "v1";
const TAG_BYTES: usize = 16;

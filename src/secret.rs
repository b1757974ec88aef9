//! Values that must not be seen, and what can be wrong with a setting that holds keys.
//!
//! Nothing here prints, compares with `==` or serializes a secret. It is not a vault either: memory
//! is not wiped, because every secret arrives as a JavaScript string that nobody can wipe.

use std::fmt;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// A text that reaches the outside only through [`Secret::expose`].
///
/// ```
/// # use vcx_ghl::secret::Secret;
/// assert_eq!(format!("{:?}", Secret::new("refresh-token")), "Secret(..)");
/// ```
///
/// Nor is there a `==`, which would take the longer the more is right:
///
/// ```compile_fail,E0369
/// # use vcx_ghl::secret::Secret;
/// let _ = Secret::new("mine") == Secret::new("yours");
/// ```
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself; every use is a place to look at in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Words from outside, without what may be a secret in them: URLs, and whatever is longer than GHL's
/// ids and has a digit in it, as codes, tokens and keys do.
///
/// ```
/// # use vcx_ghl::secret::masked;
/// let words = "redirect_uri https://a.test/cb does not fit code=5b3f7a9c2d1e4f60a8b7c6d5e4f3a2b1";
/// assert_eq!(masked(words), "redirect_uri … does not fit code=…");
/// ```
pub fn masked(words: &str) -> String {
    let mut masked = String::with_capacity(words.len());
    let is_gap = |c: char| c.is_whitespace() || "\"'`<>()[]{},;".contains(c);
    for word in words.split_inclusive(is_gap) {
        let end = word.trim_end_matches(is_gap).len();
        let (word, gap) = word.split_at(end);
        if word.contains("://") || word.contains("%3A%2F%2F") {
            masked.push('…');
        } else {
            for part in word.split_inclusive(['/', '?', '&', '=', ':']) {
                let is_long = part.len() > ID_BYTES && part.bytes().any(|b| b.is_ascii_digit());
                masked.push_str(if is_long { "…" } else { part });
            }
        }
        masked.push_str(gap);
    }
    masked
}

/// The bearer keys that are accepted: one, or several while rotating. Holds only their digests.
#[derive(Clone)]
pub struct Keyring(Vec<[u8; 32]>);

impl Keyring {
    /// Reads a comma separated setting such as `VCX_API_KEY`; blanks around a key and empty entries
    /// do not count.
    pub fn parse(setting: &str) -> Keyring {
        Keyring(entries(setting).map(|(_, key)| sha256(key)).collect())
    }

    /// Whether there is no key at all, in which case nobody gets in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `presented` is one of the keys. How long this takes tells how long `presented` is and
    /// how many keys there are, never which one matched or how much of it.
    pub fn accepts(&self, presented: &str) -> bool {
        let presented = sha256(presented);
        self.0
            .iter()
            .fold(Choice::from(0), |found, key| found | key.ct_eq(&presented))
            .into()
    }
}

/// Why a setting that holds keys cannot be used. Names the entry and never shows key material; which
/// setting it is, the caller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// The entry's place in the comma separated list, counted from 1; 0 when there is none.
    pub entry: usize,
    /// What is wrong with it.
    pub fault: KeyFault,
}

/// What is wrong with one key of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// The setting holds no key.
    Missing,
    /// A seal key without `id:` in front.
    NoId,
    /// A seal key whose id is not 1 to 16 letters, digits, `-` or `_`.
    BadId,
    /// A seal key whose id an earlier entry has.
    RepeatedId(String),
    /// A webhook secret that does not start with `whsec_`.
    NoPrefix,
    /// Text that is not base64.
    NotBase64,
    /// Base64 of too few or too many bytes.
    WrongLength {
        /// How many bytes there are.
        found: usize,
        /// How many belong there, in words.
        wanted: &'static str,
    },
    /// PEM, DER or bytes that are no Ed25519 public key.
    NotEd25519,
    /// An Ed25519 public key of small order, under which anybody can sign.
    WeakKey,
}

impl KeyError {
    /// The stable code, for example `key_not_base64`.
    pub fn code(&self) -> &'static str {
        match self.fault {
            KeyFault::Missing => "key_missing",
            KeyFault::NoId => "key_no_id",
            KeyFault::BadId => "key_bad_id",
            KeyFault::RepeatedId(_) => "key_repeated_id",
            KeyFault::NoPrefix => "key_no_prefix",
            KeyFault::NotBase64 => "key_not_base64",
            KeyFault::WrongLength { .. } => "key_wrong_length",
            KeyFault::NotEd25519 => "key_not_ed25519",
            KeyFault::WeakKey => "key_weak",
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fault != KeyFault::Missing {
            write!(f, "entry {} ", self.entry)?;
        }
        match &self.fault {
            KeyFault::Missing => f.write_str("it holds no key"),
            KeyFault::NoId => f.write_str("has no id, write it as id:base64"),
            KeyFault::BadId => f.write_str("has an id that is not 1 to 16 letters, digits, - or _"),
            KeyFault::RepeatedId(id) => {
                write!(f, "has the id {id:?}, which an earlier entry has too")
            }
            KeyFault::NoPrefix => f.write_str("does not start with whsec_"),
            KeyFault::NotBase64 => f.write_str("is not base64"),
            KeyFault::WrongLength { found, wanted } => {
                write!(f, "holds {found} bytes where {wanted} belong")
            }
            KeyFault::NotEd25519 => f.write_str("is not an Ed25519 public key"),
            KeyFault::WeakKey => {
                f.write_str("is an Ed25519 key of small order, under which anybody can sign")
            }
        }
    }
}

impl std::error::Error for KeyError {}

/// Reads each entry of a comma separated setting with `read`; blanks around an entry do not count, an
/// empty one is passed over but keeps its number.
pub(crate) fn read_keys<T>(
    setting: &str,
    mut read: impl FnMut(&str) -> Result<T, KeyFault>,
) -> Result<Vec<T>, KeyError> {
    let keys = entries(setting)
        .map(|(entry, text)| read(text).map_err(|fault| KeyError { entry, fault }))
        .collect::<Result<Vec<T>, KeyError>>()?;
    match keys.is_empty() {
        true => Err(KeyError {
            entry: 0,
            fault: KeyFault::Missing,
        }),
        false => Ok(keys),
    }
}

/// Key material from base64 as people paste it: either alphabet, padded or not.
pub(crate) fn decode_key(text: &str) -> Result<Vec<u8>, KeyFault> {
    STANDARD_LENIENT
        .decode(text)
        .or_else(|_| URL_SAFE_LENIENT.decode(text))
        .map_err(|_| KeyFault::NotBase64)
}

fn entries(setting: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(setting.split(',').map(str::trim))
        .filter(|(_, entry)| !entry.is_empty())
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// GHL's ids have 20 or 24 characters.
const ID_BYTES: usize = 24;
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE_LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

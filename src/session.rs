//! Browser sessions: who a browser speaks for, in a token that vCX's backend signs and the browser
//! carries (a JWT, RFC 7519, signed with HS256, RFC 7518 §3.2).
//!
//! One key signs and verifies, so nothing in a token chooses how it is verified (RFC 8725 §3.1):
//! its bytes must have an HMAC-SHA256 by one of `SESSION_SECRET` before anything in it is read.
//! There is no list of tokens that were taken back; one ends when it expires, or with its key.

use crate::wire;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::ghl::Details;
use crate::secret::{KeyError, KeyFault, read_keys};
use crate::signature::MacKey;
use crate::vcx::{self, CLIENT_ID, DETAIL, ID, is_id};

/// What a browser may speak for: one visitor in one chat of one location, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// GHL's location: the claim `loc`.
    pub location_id: String,
    /// The visitor: `sub`.
    pub client_id: String,
    /// vCX's conversation: `conv`.
    pub conversation: String,
    /// The visitor's `name`, `email` and `phone`.
    pub details: Details,
    /// `iat`, in milliseconds.
    pub issued_at: i64,
    /// `exp`, in milliseconds: from then on it is nobody's.
    pub expires_at: i64,
}

/// The keys of `SESSION_SECRET`: the first signs, all verify.
#[derive(Clone)]
pub struct SessionKeys {
    newest: MacKey,
    older: Vec<MacKey>,
}

impl SessionKeys {
    /// Reads the comma separated setting. An entry's own bytes are the key, 32 at least (RFC 7518
    /// §3.2): nothing in it is decoded.
    ///
    /// # Errors
    /// [`KeyError`] for the first entry that is wrong.
    pub fn parse(setting: &str) -> Result<SessionKeys, KeyError> {
        let mut keys = read_keys(setting, |text| match text.len() {
            0..KEY_BYTES => Err(KeyFault::WrongLength {
                found: text.len(),
                wanted: "at least 32",
            }),
            _ => Ok(MacKey::new(text.as_bytes())),
        })?;
        let newest = keys.remove(0);
        Ok(SessionKeys {
            newest,
            older: keys,
        })
    }

    /// The session that a token stands for at `now`, in milliseconds.
    ///
    /// `iat` (and `nbf`, if there is one) may be 30 s ahead, for a clock of the signer's that is;
    /// `exp` is taken at its word.
    ///
    /// # Errors
    /// [`Refused`]; the way on is a new token.
    pub fn verify(&self, token: &str, now: i64) -> Result<Session, Refused> {
        if token.len() > TOKEN {
            return Err(Refused::TooLong);
        }
        let (signed, tag) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::Malformed)?;
        let tag = URL_SAFE_NO_PAD
            .decode(tag)
            .map_err(|_| Refused::Malformed)?;
        let mut keys = std::iter::once(&self.newest).chain(&self.older);
        if !keys.any(|key| key.verify(&[signed.as_bytes()], &tag)) {
            return Err(Refused::WrongSignature);
        }
        let header = object(header)?;
        if header.get("alg").and_then(Value::as_str) != Some(ALGORITHM) {
            return Err(Refused::WrongAlgorithm);
        }
        // It lists what must be understood, and nothing is (RFC 7515 §4.1.11).
        if header.contains_key("crit") {
            return Err(Refused::Critical);
        }
        session(&object(payload)?, now)
    }

    /// The token of a session, whose times it holds in whole seconds.
    pub fn sign(&self, session: &Session) -> String {
        let mut claims = json!({
            "aud": AUDIENCE,
            "loc": session.location_id,
            "sub": session.client_id,
            "conv": session.conversation,
            "iat": session.issued_at.div_euclid(1000),
            "exp": session.expires_at.div_euclid(1000),
        });
        for (name, value) in session.details.named() {
            if let Some(value) = value {
                claims[name] = json!(value);
            }
        }
        let header = URL_SAFE_NO_PAD.encode(wire::text(&json!({ "alg": ALGORITHM, "typ": "JWT" })));
        let payload = URL_SAFE_NO_PAD.encode(wire::text(&claims));
        let signed = format!("{header}.{payload}");
        let tag = URL_SAFE_NO_PAD.encode(self.newest.sign(&[signed.as_bytes()]));
        format!("{signed}.{tag}")
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is over 8 KB.
    TooLong,
    /// It is not three parts of base64url with JSON objects in the first two.
    Malformed,
    /// No key made its signature.
    WrongSignature,
    /// It says that it was signed otherwise than with HS256.
    WrongAlgorithm,
    /// Its header has `crit`.
    Critical,
    /// Its audience is another.
    WrongAudience,
    /// This claim is missing, or not what it must be.
    WrongClaim(&'static str),
    /// It is meant for later.
    TooNew,
    /// It is over.
    Expired,
    /// It would be good for more than 24 h.
    TooLasting,
}

impl Refused {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Refused::TooLong => "session_too_long",
            Refused::Malformed => "session_malformed",
            Refused::WrongSignature => "session_wrong_signature",
            Refused::WrongAlgorithm => "session_wrong_algorithm",
            Refused::Critical => "session_critical",
            Refused::WrongAudience => "session_wrong_audience",
            Refused::WrongClaim(_) => "session_wrong_claim",
            Refused::TooNew => "session_too_new",
            Refused::Expired => "session_expired",
            Refused::TooLasting => "session_too_lasting",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::TooLong => "the session is over 8 KB",
            Refused::Malformed => "the session is not a signed JWT",
            Refused::WrongSignature => {
                "the session was altered, or not signed with SESSION_SECRET by HS256"
            }
            Refused::WrongAlgorithm => "the session's alg is not HS256",
            Refused::Critical => "the session's header has crit, and nothing critical is known",
            Refused::WrongAudience => "the session's aud is not vcx-ghl",
            Refused::WrongClaim(name) => {
                return write!(f, "the session's claim {name} is missing or wrong");
            }
            Refused::TooNew => "the session is not good yet: its iat or nbf is in the future",
            Refused::Expired => "the session has expired",
            Refused::TooLasting => "the session is good for more than 24 hours",
        })
    }
}

impl std::error::Error for Refused {}

fn object(part: &str) -> Result<Map<String, Value>, Refused> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Refused::Malformed)?;
    vcx::object(&bytes).map_err(|_| Refused::Malformed)
}

fn session(claims: &Map<String, Value>, now: i64) -> Result<Session, Refused> {
    let is_ours = |audience: &Value| audience.as_str() == Some(AUDIENCE);
    let heard = claims.get("aud").is_some_and(|audience| match audience {
        Value::Array(list) => list.iter().any(is_ours),
        one => is_ours(one),
    });
    if !heard {
        return Err(Refused::WrongAudience);
    }
    let id = |name: &'static str, most: usize| {
        let id = claims.get(name).and_then(Value::as_str);
        id.filter(|id| is_id(id, most))
            .map(str::to_owned)
            .ok_or(Refused::WrongClaim(name))
    };
    let detail = |name: &'static str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(_) => id(name, DETAIL).map(Some),
    };
    let time = |name: &'static str| {
        let seconds = claims.get(name).and_then(Value::as_f64);
        seconds
            .filter(|seconds| (0.0..=LATEST).contains(seconds))
            .map(|seconds| (seconds * 1000.0) as i64)
            .ok_or(Refused::WrongClaim(name))
    };
    let session = Session {
        location_id: id("loc", ID)?,
        client_id: id("sub", CLIENT_ID)?,
        conversation: id("conv", ID)?,
        details: Details {
            name: detail("name")?,
            email: detail("email")?,
            phone: detail("phone")?,
        },
        issued_at: time("iat")?,
        expires_at: time("exp")?,
    };
    let not_before = match claims.contains_key("nbf") {
        true => time("nbf")?,
        false => session.issued_at,
    };
    if session.issued_at.max(not_before) > now.saturating_add(LEEWAY_MS) {
        return Err(Refused::TooNew);
    }
    if session.expires_at <= now {
        return Err(Refused::Expired);
    }
    if session.expires_at - session.issued_at > LIFETIME_MS {
        return Err(Refused::TooLasting);
    }
    Ok(session)
}

const ALGORITHM: &str = "HS256";
const AUDIENCE: &str = "vcx-ghl";
const KEY_BYTES: usize = 32;
/// Three details and three ids at their longest fit twice.
const TOKEN: usize = 8 * 1024;
const LEEWAY_MS: i64 = 30_000;
/// The longest that one may be good for.
pub(crate) const LIFETIME_MS: i64 = 24 * 3_600_000;
/// The latest time that JavaScript's `Date` can hold, in seconds.
const LATEST: f64 = 8.64e12;

//! The OAuth `state`: what an install carries through GHL's chooser and back (RFC 6749 §10.12).
//! No secret, but ours and fresh.
//!
//! `<nonce>.<issued at, ms>[.<ref>].<HMAC-SHA256 of what is before it>`, the nonce, the ref and the
//! tag in base64url: fit for a URL and a cookie as it is.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::MacKey;
use crate::secret::Secret;

/// What a state says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthState {
    /// vCX's account, as given to `/install?ref=`.
    pub ref_: Option<String>,
    /// Fresh entropy, which makes every state unlike every other.
    pub nonce: [u8; 16],
    /// When the install began, in milliseconds.
    pub issued_at: i64,
}

/// The `state` parameter for `state`. `key` is the app's client secret, from which the signing key
/// is derived.
pub fn sign_state(key: &Secret, state: &OAuthState) -> String {
    let nonce = URL_SAFE_NO_PAD.encode(state.nonce);
    let mut payload = format!("{nonce}.{}", state.issued_at);
    if let Some(reference) = &state.ref_ {
        payload.push('.');
        URL_SAFE_NO_PAD.encode_string(reference, &mut payload);
    }
    let tag = URL_SAFE_NO_PAD.encode(state_key(key).sign(&[payload.as_bytes()]));
    format!("{payload}.{tag}")
}

/// The state that [`sign_state`] put into `token` less than ten minutes from `now`.
///
/// # Errors
/// [`StateError`]; the way on is to start the install again.
pub fn verify_state(key: &Secret, token: &str, now: i64) -> Result<OAuthState, StateError> {
    let (payload, tag) = token.rsplit_once('.').ok_or(StateError::Malformed)?;
    let tag = URL_SAFE_NO_PAD
        .decode(tag)
        .map_err(|_| StateError::Malformed)?;
    if !state_key(key).verify(&[payload.as_bytes()], &tag) {
        return Err(StateError::Forged);
    }
    let state = parse(payload).ok_or(StateError::Malformed)?;
    // In both directions: a state from the future was dated by a wrong clock, and would live longer.
    match now.abs_diff(state.issued_at) < LIFETIME_MS {
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

fn parse(payload: &str) -> Option<OAuthState> {
    let mut fields = payload.split('.');
    let nonce = decode(fields.next()?)?.try_into().ok()?;
    let issued_at = fields.next()?.parse().ok()?;
    let ref_ = match fields.next() {
        Some(text) => Some(String::from_utf8(decode(text)?).ok()?),
        None => None,
    };
    let state = OAuthState {
        ref_,
        nonce,
        issued_at,
    };
    fields.next().is_none().then_some(state)
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(base64).ok()
}

/// A key for this use alone, so that no other use of the client secret makes a state.
fn state_key(client_secret: &Secret) -> MacKey {
    let client_secret = MacKey::new(client_secret.expose().as_bytes());
    MacKey::new(&client_secret.sign(&[b"vcx-ghl oauth state v1"]))
}

const LIFETIME_MS: u64 = 10 * 60 * 1000;

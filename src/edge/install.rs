//! Connecting a location: off to GHL's chooser, and back with a code.
//!
//! GHL does not promise to bring `state` back, and an installation from its marketplace never
//! has one (FACTS §1.1): absent is fine, wrong is not. Which location is connected, only GHL's
//! token reply says.

use super::page::{Page, page};
use super::{Step, Then, respond};
use crate::error::{Code, FieldError, Problem};
use crate::ghl;
use crate::ghl::answer::Verdict;
use crate::ghl::tokens::{Grant, Owner};
use crate::http::{Outcome, Response};
use crate::location::{Ask, object_of, object_of_company};
use crate::secret::masked;
use crate::settings::Settings;
use crate::signature::{OAuthState, StateError, sign_state, verify_state};
use crate::vcx::is_id;
use crate::wire;
use serde_json::json;
use std::collections::BTreeMap;

/// `GET /install`.
pub fn start(
    settings: &Settings,
    query: &BTreeMap<String, String>,
    now: i64,
    entropy: &mut dyn FnMut(&mut [u8]),
) -> Result<Step, Problem> {
    let reference = query.get("ref").filter(|text| !text.is_empty());
    if reference.is_some_and(|text| !is_id(text, REFERENCE)) {
        let detail = "ref is over 128 characters, or has control characters";
        let mut problem = Problem::new(Code::InvalidFields, detail);
        problem.errors.push(FieldError {
            field: "ref".into(),
            message: detail.into(),
        });
        return Err(problem);
    }
    let mut nonce = [0; 16];
    entropy(&mut nonce);
    let state = OAuthState {
        ref_: reference.cloned(),
        nonce,
        issued_at: now,
    };
    let state = sign_state(&settings.client_secret, &state);
    let response = Response {
        status: 302,
        headers: BTreeMap::new(),
        body: String::new(),
    }
    .header("location", ghl::install_url(settings, &state))
    .header("set-cookie", cookie(&state, 600))
    .header("cache-control", "no-store");
    Ok(respond(response))
}

/// `GET /auth/callback`.
pub fn callback(
    settings: &Settings,
    query: &BTreeMap<String, String>,
    cookies: Option<&str>,
    now: i64,
) -> Step {
    let verify = |state: &str| verify_state(&settings.client_secret, state, now);
    let cookie = cookies.and_then(our_cookie);
    let state = match query.get("state").filter(|state| !state.is_empty()) {
        // Ours, but not of the installation that this browser began: somebody else's, slipped to it.
        Some(state) if cookie.is_some_and(|cookie| cookie != state) => {
            return failed(400, &Page::WRONG_STATE, None, now);
        }
        Some(state) => match verify(state) {
            Ok(state) => Some(state),
            Err(StateError::Expired) => return failed(400, &Page::EXPIRED, None, now),
            Err(StateError::Malformed | StateError::Forged) => {
                return failed(400, &Page::WRONG_STATE, None, now);
            }
        },
        None => cookie.and_then(|state| verify(state).ok()),
    };
    let via = match state {
        Some(_) => "install",
        None => "marketplace",
    };
    let reference = state.and_then(|state| state.ref_);
    if let Some(error) = query.get("error") {
        let words = masked(query.get("error_description").unwrap_or(error));
        return failed_for(400, &Page::DENIED, Some(&words), reference.as_deref(), now);
    }
    let Some(code) = query.get("code").filter(|code| !code.is_empty()) else {
        return failed_for(400, &Page::NO_CODE, None, reference.as_deref(), now);
    };
    Step::Fetch {
        request: ghl::exchange_code(settings, code),
        timeout_ms: EXCHANGE_TIMEOUT,
        then: Then::Exchanged {
            via: via.into(),
            reference,
            code: code.clone(),
        },
    }
}

/// GHL's answer to the code.
pub fn exchanged(
    outcome: &Outcome,
    via: &str,
    reference: Option<String>,
    code: &str,
    now: i64,
) -> Step {
    let fail = |status, text: &Page, detail: Option<&str>| {
        // GHL may quote the code, which is good still if GHL was not the one to use it up.
        let detail = detail.map(|words| words.replace(code, "…"));
        failed_for(status, text, detail.as_deref(), reference.as_deref(), now)
    };
    let body = match Verdict::of(outcome, now) {
        Verdict::Taken(body) => body,
        Verdict::Unclear { why, .. } => return fail(502, &Page::NO_ANSWER, Some(&why)),
        Verdict::TooMany { .. } => return fail(502, &Page::NO_ANSWER, None),
        other => return fail(400, &Page::CODE_REFUSED, Some(&other.words())),
    };
    let grant = match Grant::read(&body) {
        Ok(grant) => grant,
        Err(why) => return fail(502, &Page::ODD_ANSWER, Some(&why)),
    };
    let (object, what) = match &grant.owner {
        Owner::Location { location_id, .. } => {
            (object_of(location_id), format!("Location {location_id}"))
        }
        Owner::Company { company_id, .. } => (
            object_of_company(company_id),
            format!("Agency {company_id}, with the locations it has chosen"),
        ),
    };
    let ask = Ask::Connect {
        grant,
        via: via.to_owned(),
        reference,
    };
    Step::Ask {
        object,
        ask,
        then: Some(Then::Connected { what }),
    }
}

/// The object's answer to the tokens.
pub fn connected(outcome: &Outcome, what: &str, now: i64) -> Step {
    match outcome {
        Outcome::Answered(response) if response.ok() => {
            respond(clear_cookie(page(200, &Page::CONNECTED, Some(what), None)))
        }
        Outcome::Answered(_) | Outcome::TimedOut | Outcome::Dropped { .. } => {
            failed(503, &Page::NOT_STORED, None, now)
        }
    }
}

fn failed(status: u16, text: &Page, detail: Option<&str>, now: i64) -> Step {
    failed_for(status, text, detail, None, now)
}

/// The page has the words; the log has the code alone, since GHL's words come from outside.
fn failed_for(
    status: u16,
    text: &Page,
    detail: Option<&str>,
    reference: Option<&str>,
    now: i64,
) -> Step {
    let log = json!({ "level": "warn", "event": "install_failed", "at": now, "code": text.code });
    Step::Respond {
        response: clear_cookie(page(status, text, detail, reference)),
        log: Some(wire::text(&log)),
    }
}

fn clear_cookie(response: Response) -> Response {
    response.header("set-cookie", cookie("", 0))
}

fn cookie(value: &str, max_age: u32) -> String {
    format!(
        "{COOKIE}={value}; Path=/auth/callback; Max-Age={max_age}; HttpOnly; Secure; SameSite=Lax"
    )
}

fn our_cookie(cookies: &str) -> Option<&str> {
    let pairs = cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(|(name, value)| *name == COOKIE && !value.is_empty())
        .map(|(_, value)| value)
        .next()
}

const COOKIE: &str = "vcx_ghl_state";
const REFERENCE: usize = 128;
const EXCHANGE_TIMEOUT: i64 = 15_000;

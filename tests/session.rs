//! Browser sessions against tokens that others made: npm jose and node:crypto
//! (`vectors/session.json`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde::Deserialize;
use vcx_ghl::ghl::Details;
use vcx_ghl::session::{Refused, Session, SessionKeys};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_session_is_let_in_only_whole_in_time_and_with_a_good_signature() {
    let Vectors { secret, verify, .. } = vectors();
    let keys = SessionKeys::parse(&secret).unwrap();
    let mut seen = [0, 0];
    for case in verify {
        let outcome = keys.verify(&case.token, case.now);
        let code = outcome.as_ref().map_or_else(|error| error.code(), |_| "ok");
        assert_eq!(code, case.expect, "{}", case.name);
        if let Some(sentence) = case.sentence {
            let said = outcome.as_ref().unwrap_err().to_string();
            assert_eq!(said, sentence, "{}", case.name);
        }
        seen[usize::from(outcome.is_ok())] += 1;
        assert_eq!(
            outcome.ok(),
            case.session.map(Session::from),
            "{}",
            case.name
        );
    }
    assert!(seen[0] > 70 && seen[1] > 13, "{seen:?}");
}

/// What a browser carries, it can also change.
#[test]
fn a_token_with_any_character_changed_is_refused() {
    let keys = SessionKeys::parse(&vectors().secret).unwrap();
    let good = keys.sign(&session());
    assert_eq!(keys.verify(&good, NOW), Ok(session()));
    for at in 0..good.len() {
        for other in ["A", "B", "-", ".", "=", "é"] {
            if &good[at..=at] == other {
                continue;
            }
            let mut token = good.clone();
            token.replace_range(at..=at, other);
            assert!(keys.verify(&token, NOW).is_err(), "{at} {other}");
        }
        assert!(keys.verify(&good[..at], NOW).is_err(), "cut at {at}");
    }
}

#[test]
fn signing_makes_the_tokens_that_jose_verifies() {
    let Vectors { secret, sign, .. } = vectors();
    let keys = SessionKeys::parse(&secret).unwrap();
    for case in sign {
        let session = Session::from(case.session);
        assert_eq!(keys.sign(&session), case.token, "{}", case.name);
        let whole = |millis: i64| millis / 1_000 * 1_000;
        let read = Session {
            issued_at: whole(session.issued_at),
            expires_at: whole(session.expires_at),
            ..session
        };
        assert_eq!(keys.verify(&case.token, NOW), Ok(read), "{}", case.name);
    }
}

#[test]
fn the_first_secret_signs_and_all_verify_while_rotating() {
    let [old, new] = ["o".repeat(32), "n".repeat(32)];
    let parse = |setting: &str| SessionKeys::parse(setting).unwrap();
    let (before, rotating, after) = (parse(&old), parse(&format!(" {new} , {old},")), parse(&new));

    let early = before.sign(&session());
    assert_eq!(rotating.verify(&early, NOW), Ok(session()));
    assert_eq!(after.verify(&early, NOW), Err(Refused::WrongSignature));

    let late = rotating.sign(&session());
    assert_eq!(after.verify(&late, NOW), Ok(session()));
    assert_eq!(before.verify(&late, NOW), Err(Refused::WrongSignature));
}

#[test]
fn a_secret_of_less_than_32_bytes_is_named_and_not_shown() {
    let refused = |setting: &str| SessionKeys::parse(setting).err().unwrap().to_string();
    let good = "g".repeat(32);
    assert_eq!(
        refused(&format!("{good},{}", "s".repeat(31))),
        "entry 2 holds 31 bytes where at least 32 belong"
    );
    assert_eq!(refused(" , "), "it holds no key");
    // Its bytes are the key: 16 characters can be 32 bytes.
    assert!(SessionKeys::parse(&"é".repeat(16)).is_ok());
}

fn session() -> Session {
    Session {
        location_id: "loc-1".into(),
        client_id: "client-1".into(),
        conversation: "chat-1".into(),
        details: Details {
            name: Some("Mina Kim".into()),
            ..Details::default()
        },
        issued_at: NOW,
        expires_at: NOW + 86_400_000,
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/session.json")).unwrap()
}

#[derive(Deserialize)]
struct Vectors {
    secret: String,
    verify: Vec<Verify>,
    sign: Vec<Sign>,
}

#[derive(Deserialize)]
struct Verify {
    name: String,
    token: String,
    now: i64,
    expect: String,
    sentence: Option<String>,
    session: Option<Claims>,
}

#[derive(Deserialize)]
struct Sign {
    name: String,
    session: Claims,
    token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    location_id: String,
    client_id: String,
    conversation: String,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    issued_at: i64,
    expires_at: i64,
}

impl From<Claims> for Session {
    fn from(claims: Claims) -> Session {
        Session {
            location_id: claims.location_id,
            client_id: claims.client_id,
            conversation: claims.conversation,
            details: Details {
                name: claims.name,
                email: claims.email,
                phone: claims.phone,
            },
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
        }
    }
}

const NOW: i64 = 1_791_450_000_000;

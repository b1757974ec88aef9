//! The parsers, one by one.

use super::contract;
use super::strategies::{any_json, body, cases, changed, changes, nearly, text};
use crate::support::{DAY, SESSION_SECRET, START};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use vcx_ghl::error::{Code, Problem};
use vcx_ghl::ghl::answer::{self, Verdict};
use vcx_ghl::ghl::tokens::Grant;
use vcx_ghl::ghl::webhook::{Webhook, millis};
use vcx_ghl::http::{self, Outcome, Response};
use vcx_ghl::map::iso;
use vcx_ghl::seal::SealKeys;
use vcx_ghl::secret::Keyring;
use vcx_ghl::session::{Session, SessionKeys};
use vcx_ghl::settings::{NAMES, Settings};
use vcx_ghl::signature::{GhlKeys, MacKey, WebhookSecrets, verify_state};
use vcx_ghl::vcx::{self, ContactAsk, Push, StatusAsk, is_id, replay_ids};
use vcx_ghl::wire::{self, Wire};

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_push_is_within_all_limits_or_refused_by_name(body in body(push())) {
        match Push::parse(&body) {
            Ok(push) => {
                prop_assert!(is_id(&push.location_id, vcx::ID) && is_id(&push.vcx_conversation_id, vcx::ID));
                prop_assert!(is_id(&push.client_id, vcx::CLIENT_ID));
                prop_assert!(push.message_id.iter().all(|id| is_id(id, vcx::ID)));
                prop_assert!((0..=8_640_000_000_000_000).contains(&push.timestamp));
                prop_assert!(push.body.len() <= 65_536);
                prop_assert!(!push.body.is_empty() || !push.attachments.is_empty());
                prop_assert!(push.attachments.iter().all(|url| url.starts_with("https://") && url.len() > 8));
                prop_assert_eq!(Push::parse(printed(&push).to_string().as_bytes()), Ok(push));
            }
            Err(problem) => refused("/push-message", &problem),
        }
    }

    #[test]
    fn a_contact_is_within_all_limits_or_refused_by_name(body in body(contact())) {
        match ContactAsk::parse(&body) {
            Ok(ask) => {
                prop_assert!(is_id(&ask.client_id, vcx::CLIENT_ID));
                for detail in [&ask.details.name, &ask.details.email, &ask.details.phone].into_iter().flatten() {
                    prop_assert!(is_id(detail, 256) && !detail.trim().is_empty());
                }
                let mut printed = json!({ "locationId": ask.location_id, "clientId": ask.client_id });
                details(&mut printed, &wire::value(&ask.details));
                prop_assert_eq!(ContactAsk::parse(printed.to_string().as_bytes()), Ok(ask));
            }
            Err(problem) => refused("/contact", &problem),
        }
    }

    #[test]
    fn a_status_is_one_of_three_or_refused_by_name(body in body(status())) {
        match StatusAsk::parse(&body) {
            Ok(ask) => {
                prop_assert!(ask.status != vcx::Status::Pending);
                let printed = json!({
                    "locationId": ask.location_id, "messageId": ask.message_id,
                    "status": ask.status.as_str(), "error": ask.error,
                });
                prop_assert_eq!(StatusAsk::parse(printed.to_string().as_bytes()), Ok(ask));
            }
            Err(problem) => refused("/message-status", &problem),
        }
    }

    #[test]
    fn the_ids_of_a_replay_are_numbers_or_refused(body in body(json!({ "ids": [1, "2", 3] }))) {
        match replay_ids(&body) {
            Ok(ids) => {
                let printed = ids.as_ref().map_or(String::new(), |ids| json!({ "ids": ids }).to_string());
                prop_assert_eq!(replay_ids(printed.as_bytes()), Ok(ids));
            }
            Err(problem) => refused("/locations/loc-1/replay", &problem),
        }
    }

    #[test]
    fn a_webhook_is_read_or_has_nothing_to_say(body in select(webhooks()).prop_flat_map(body)) {
        let text = String::from_utf8_lossy(&body);
        if let Some(webhook) = Webhook::read(&text, "hash", "provider-1") {
            prop_assert!(webhook.key.text().len() > 2);
            same(&webhook);
        }
    }

    #[test]
    fn tokens_are_read_or_it_is_said_what_is_missing(reply in select(grants()).prop_flat_map(nearly)) {
        match Grant::read(&reply) {
            Ok(grant) => {
                prop_assert!(!grant.tokens.access.is_empty());
                prop_assert!((1..=366 * 86_400_000).contains(&grant.expires_in));
                same(&grant);
            }
            Err(why) => prop_assert!(why.starts_with("GHL's token reply has no "), "{}", why),
        }
    }

    #[test]
    fn every_answer_of_ghl_has_a_meaning(response in response(), now in 0..8_640_000_000_000_000i64) {
        let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
        let after = answer::retry_after(&response, now);
        prop_assert!(after.is_none_or(|after| (0..=86_400_000).contains(&after)));
        prop_assert!(answer::words(&body).is_none_or(|words| words.chars().count() <= 300));
        let status = response.status;
        let verdict = Verdict::of(&Outcome::Answered(response), now);
        prop_assert_eq!(matches!(verdict, Verdict::Taken(_)), (200..300).contains(&status));
        // What is not understood at all is at least not believed.
        let _ = (answer::logged(&body), answer::contact(&body), answer::duplicate_of(&body), answer::messages(&body));
        let _ = answer::field_value(&body, "field-1");
    }

    #[test]
    fn a_text_that_was_cut_inside_an_emoji_is_json_all_the_same(units in vec(any::<u16>(), 0..12), around in "[ a-z]{0,3}") {
        let escapes: String = units.iter().map(|unit| format!("{around}\\u{unit:04x}")).collect();
        let read = answer::json(&format!("[\"{escapes}\"]"));
        prop_assert!(read.is_some(), "{}", escapes);
    }

    #[test]
    fn settings_are_whole_or_each_wrong_one_is_named_and_none_is_shown(
        changes in btree_map(select(&NAMES[..]), text(), 0..5),
        missing in vec(select(&NAMES[..]), 0..3),
    ) {
        let mut values = crate::support::settings(&[]);
        values.extend(changes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        values.retain(|name, _| !missing.contains(&name.as_str()));
        if let Err(wrong) = Settings::parse(&values) {
            prop_assert!(!wrong.is_empty());
            for sentence in wrong {
                let name = sentence.split(' ').next().unwrap_or_default();
                prop_assert!(NAMES.contains(&name), "{}", sentence);
                let value = values.get(name).map_or("", String::as_str);
                prop_assert!(value.len() < 17 || !sentence.contains(value), "{}", sentence);
            }
        }
    }

    #[test]
    fn keys_are_keys_or_refused(setting in keys()) {
        let _ = (GhlKeys::parse(&setting), WebhookSecrets::parse(&setting), SealKeys::parse(&setting));
        let _ = SessionKeys::parse(&setting);
        let ring = Keyring::parse(&setting);
        let entries = setting.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        for entry in entries {
            prop_assert!(ring.accepts(entry));
        }
        let longer = setting.clone() + ",";
        prop_assert!(!ring.accepts("") && !ring.accepts(&longer));
    }

    #[test]
    fn nothing_opens_that_was_not_sealed(record in sealed(), place in text()) {
        prop_assert!(seal_keys().open(&record, &place).is_err());
        let _ = seal_keys().is_newest(&record);
    }

    #[test]
    fn nothing_is_signed_that_was_not(
        header in prop_oneof![text(), "[A-Za-z0-9+/]{86}==", "v1,[A-Za-z0-9+/]{43}="],
        id in text(),
        time in prop_oneof![text(), Just("1791450000".to_owned())],
        body: Vec<u8>,
    ) {
        let settings = Settings::parse(&crate::support::settings(&[])).unwrap();
        prop_assert!(settings.ghl_keys.verify(Some(&header), &body).is_err());
        let secrets = settings.webhook_secrets.unwrap();
        let headers = [("webhook-id", &*id), ("webhook-timestamp", &*time), ("webhook-signature", &*header)];
        prop_assert!(secrets.verify(&headers, &body, START).is_err());
        prop_assert!(verify_state(&settings.client_secret, &header, START).is_err());
    }

    #[test]
    fn a_session_is_within_all_limits_or_nobody_s(claims in nearly(claims()), header in nearly(json!({ "alg": "HS256" }))) {
        match session_keys().verify(&token(&header, &claims), START) {
            Ok(session) => {
                prop_assert!(is_id(&session.location_id, vcx::ID) && is_id(&session.conversation, vcx::ID));
                prop_assert!(is_id(&session.client_id, vcx::CLIENT_ID));
                prop_assert!(session.expires_at > START && session.expires_at - session.issued_at <= DAY);
                // As it is printed: in whole seconds.
                let (issued_at, expires_at) = (session.issued_at / 1000 * 1000, session.expires_at / 1000 * 1000);
                let whole = Session { issued_at, expires_at, ..session };
                if expires_at > START {
                    prop_assert_eq!(session_keys().verify(&session_keys().sign(&whole), START), Ok(whole));
                }
            }
            Err(refused) => prop_assert!(!refused.to_string().is_empty()),
        }
    }

    #[test]
    fn no_token_is_a_session_that_was_not_signed(token in prop_oneof![text(), "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,60}){0,3}"]) {
        prop_assert!(session_keys().verify(&token, START).is_err());
    }

    #[test]
    fn a_browser_speaks_for_its_session_alone(body in body(push())) {
        let session = session_keys().verify(&token(&json!({ "alg": "HS256" }), &claims()), START).unwrap();
        match Push::parse_by(&session, &body) {
            Ok(push) => {
                prop_assert!(push.from_user && push.location_id == "loc-1" && push.client_id == "client-1");
                prop_assert_eq!(push.vcx_conversation_id, "chat-1");
                prop_assert_eq!(&push.details, &session.details);
            }
            Err(problem) => refused("/push-message", &problem),
        }
        if let Err(problem) = StatusAsk::parse_by(&session, &body) {
            refused("/message-status", &problem);
        }
    }

    #[test]
    fn a_path_has_no_query(url in prop_oneof![text(), "https?://[a-z.:0-9]{0,8}[/a-z?#%.]{0,12}"]) {
        let path = http::path(&url);
        prop_assert!(!path.contains(['?', '#']));
    }

    #[test]
    fn a_time_that_is_printed_is_read(at in 0..=LAST_OF_FOUR_DIGITS, odd in text(), other: i64) {
        prop_assert_eq!(millis(&iso(at)), Some(at), "{}", iso(at));
        let _ = (millis(&odd), iso(other));
    }
}

/// 9999-12-31T23:59:59.999Z: what is sent is never later than now.
const LAST_OF_FOUR_DIGITS: i64 = 253_402_300_799_999;

/// What is refused is answered with what the document has, and says which fields are wrong.
#[track_caller]
fn refused(path: &str, problem: &Problem) {
    contract::check("POST", path, &problem.response());
    assert!(
        problem.code != Code::InvalidFields || !problem.errors.is_empty(),
        "{problem:?}"
    );
}

/// What is printed reads as what it was.
#[track_caller]
fn same<T: Wire + PartialEq + Debug>(value: &T) {
    assert_eq!(T::read(wire::value(value)).as_ref(), Ok(value));
    assert_eq!(wire::parse::<T>(&wire::text(value)).as_ref(), Ok(value));
}

/// A push as vCX writes it.
fn printed(push: &Push) -> Value {
    let mut printed = json!({
        "locationId": push.location_id, "clientId": push.client_id, "vcxConversationId": push.vcx_conversation_id,
        "fromUser": push.from_user, "body": push.body, "timestamp": push.timestamp, "messageId": push.message_id,
        "attachments": push.attachments,
    });
    details(&mut printed, &wire::value(&push.details));
    printed
}

fn details(printed: &mut Value, details: &Value) {
    let members = details.as_object().unwrap().clone();
    printed.as_object_mut().unwrap().extend(members);
}

pub fn push() -> Value {
    json!({
        "locationId": "loc-1", "clientId": "client-1", "vcxConversationId": "chat-1", "fromUser": true,
        "body": "Good morning", "timestamp": 1_791_450_000_000i64, "messageId": "m1", "name": "Mina Kim",
        "email": "mina@example.com", "phone": "+15550100123", "attachments": ["https://files.example/a.png"],
    })
}

pub fn contact() -> Value {
    json!({
        "locationId": "loc-1", "clientId": "client-1", "name": "Mina Kim", "email": "mina@example.com",
        "phone": "+15550100123",
    })
}

pub fn status() -> Value {
    json!({ "locationId": "loc-1", "messageId": "agent-1", "status": "read", "error": "no screen" })
}

/// A webhook of each kind, as GHL sends it.
pub fn webhooks() -> Vec<Value> {
    let envelope = json!({
        "locationId": "loc-1", "appId": "app1", "versionId": "app1", "timestamp": "2026-10-08T09:00:00.000Z",
        "webhookId": "webhook-1",
    });
    let events = [
        crate::support::outbound("con-client-1", "agent-1", "Good day"),
        json!({ "type": "InboundMessage", "messageId": "ghl-m1", "contactId": "con-client-1", "body": "Hello" }),
        json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1", "unreadCount": 3 }),
        json!({ "type": "ConversationUpdate", "oldConversationId": "cnv-1", "newConversationId": "cnv-2" }),
        json!({ "type": "ContactDelete", "id": "con-client-1" }),
        json!({ "type": "INSTALL", "companyId": "company-1", "installType": "Location" }),
        json!({ "type": "UNINSTALL", "companyId": "company-1" }),
        json!({
            "type": "message.incoming",
            "data": { "conversationId": "cnv-client-1", "message": { "body": "nested" } },
        }),
    ];
    let mut all = vec![crate::support::delivery(
        "con-client-1",
        "agent-1",
        "Good day",
    )];
    for event in events {
        let mut body = envelope.clone();
        crate::support::merge(&mut body, event);
        all.push(body);
    }
    all
}

/// What a session says.
pub fn claims() -> Value {
    json!({
        "aud": "vcx-ghl", "loc": "loc-1", "sub": "client-1", "conv": "chat-1", "iat": START / 1000,
        "exp": START / 1000 + 3_600, "name": "Mina Kim", "email": "mina@example.com",
    })
}

/// A JWT by the key of sessions, whatever it says.
pub fn token(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let tag = MacKey::new(SESSION_SECRET.as_bytes()).sign(&[signed.as_bytes()]);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn session_keys() -> SessionKeys {
    SessionKeys::parse(SESSION_SECRET).unwrap()
}

/// Token replies of both classes.
pub fn grants() -> Vec<Value> {
    let mut company = crate::support::company_grant("company-1", "access-1", "refresh-1");
    company["approvedLocations"] = json!(["loc-1", "loc-2"]);
    vec![
        crate::support::grant("loc-1", "access-1", "refresh-1"),
        company,
    ]
}

pub fn response() -> impl Strategy<Value = Response> {
    let headers = btree_map(
        select(
            &[
                "retry-after",
                "x-ratelimit-max",
                "x-ratelimit-interval-milliseconds",
                "x-ratelimit-remaining",
            ][..],
        )
        .prop_map(str::to_owned),
        prop_oneof![
            text(),
            "[0-9]{1,20}",
            Just("Thu, 08 Oct 2026 09:00:05 GMT".to_owned())
        ],
        0..3,
    );
    let status = prop_oneof![
        select(&[200u16, 201, 400, 401, 403, 404, 422, 429, 500, 502, 503][..]),
        any::<u16>()
    ];
    let body = prop_oneof![
        any_json().prop_map(|value| value.to_string()),
        nearly(crate::support::refusal(400, "Location is not active"))
            .prop_map(|value| value.to_string()),
        text(),
    ];
    (status, headers, body).prop_map(|(status, headers, body)| Response {
        status,
        headers,
        body,
    })
}

fn keys() -> impl Strategy<Value = String> {
    let good: Vec<String> = crate::support::settings(&[]).into_values().collect();
    let entry = prop_oneof![
        select(good),
        text(),
        "(k1:|whsec_)?[A-Za-z0-9+/_-]{42,44}=?"
    ];
    vec(entry, 1..4).prop_map(|entries| entries.join(","))
}

fn sealed() -> impl Strategy<Value = String> {
    let record = seal_keys().seal(b"tokens", "loc-1", [5; 24]);
    let parts: Vec<String> = record.split('.').map(str::to_owned).collect();
    changes().prop_map(move |changes| {
        let parts = changed(json!(parts), &changes);
        let parts = parts.as_array().map_or(&[][..], Vec::as_slice);
        let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
        parts.join(".")
    })
}

fn seal_keys() -> SealKeys {
    let values: BTreeMap<String, String> = crate::support::settings(&[]);
    SealKeys::parse(&values["SEAL_KEYS"]).unwrap()
}

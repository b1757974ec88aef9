//! The functions of the npm package: what they take, what they refuse and how they say so.
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use serde_json::{Value, json};
use vcx_ghl::npm::{
    Refusal, create_session, normalize_contact, normalize_push, normalize_status, to_ghl, to_vcx,
    verify_event, verify_ghl_webhook,
};
use vcx_ghl::session::SessionKeys;
use vcx_ghl::signature::WebhookSecrets;

#[test]
fn a_push_is_completed_and_what_is_blank_is_left_out() {
    let given = push(json!({ "email": " ", "name": "Mina", "messageId": null, "more": 1 }));
    let normal = value(normalize_push(&given));
    let id = normal["messageId"].as_str().unwrap();
    assert!(id.starts_with("vcx_") && id.len() == 36, "{id}");
    let wanted = json!({
        "locationId": "loc", "clientId": "mina", "vcxConversationId": "chat", "fromUser": true,
        "body": "Hi", "timestamp": NOW, "messageId": id, "name": "Mina", "attachments": [],
    });
    assert_eq!(normal, wanted);
    assert_eq!(value(normalize_push(&normal.to_string())), wanted);
}

#[test]
fn each_wrong_field_of_a_push_is_named() {
    let given = push(json!({ "clientId": 7, "attachments": ["https://a.example/b", "x"] }));
    let refusal = normalize_push(&given).unwrap_err();
    assert_eq!(
        serde_json::from_str::<Value>(&refusal.json()).unwrap(),
        json!({
            "code": "invalid_fields",
            "detail": "missing or wrong: clientId, attachments[1]",
            "errors": [
                { "field": "clientId", "message": "must be a string" },
                { "field": "attachments[1]", "message": "must be a public https URL" },
            ],
        })
    );
    assert_eq!(code(normalize_push("null")), "malformed_json");
}

#[test]
fn contacts_and_statuses_are_read_as_the_worker_reads_them() {
    let contact =
        json!({ "locationId": "loc", "clientId": "mina", "email": "m@a.example", "phone": "" });
    assert_eq!(
        value(normalize_contact(&contact.to_string())),
        json!({ "locationId": "loc", "clientId": "mina", "email": "m@a.example" })
    );
    let long = json!({ "locationId": "loc", "clientId": "c".repeat(76) });
    let refusal = normalize_contact(&long.to_string()).unwrap_err();
    assert_eq!(refusal.errors[0].message, "is over 75 characters");

    let status =
        json!({ "locationId": "loc", "messageId": "m", "status": "failed", "error": "gone" });
    assert_eq!(value(normalize_status(&status.to_string())), status);
    let pending = json!({ "locationId": "loc", "messageId": "m", "status": "pending" });
    let refusal = normalize_status(&pending.to_string()).unwrap_err();
    assert_eq!(refusal.errors[0].field, "status");
}

#[test]
fn ghl_is_told_no_date_in_the_future() {
    let context = json!({ "providerId": "prov", "contactId": "con" }).to_string();
    let body = value(to_ghl(
        &push(json!({ "messageId": "m" })),
        &context,
        NOW - 1_500,
    ));
    assert_eq!(
        body,
        json!({
            "type": "Custom", "contactId": "con", "conversationProviderId": "prov", "message": "Hi",
            "altId": "m", "direction": "inbound", "date": "2023-11-14T22:13:18.500Z",
        })
    );
    let refusal = to_ghl(&push(json!({})), "{}", NOW).unwrap_err();
    assert_eq!(refusal.detail, "missing or wrong: providerId, contactId");
}

#[test]
fn a_reply_is_an_event_and_a_copy_is_called_one() {
    let reply = webhook(json!({ "type": "Custom", "messageId": "g1" }));
    let mapped = value(to_vcx(&reply, &context(), NOW));
    assert_eq!(
        mapped,
        json!({ "event": {
            "type": "message.created", "locationId": "loc", "clientId": "mina",
            "vcxConversationId": "chat", "messageId": "g1", "fromUser": false, "body": "Hello",
            "timestamp": NOW, "attachments": [],
        }})
    );
    let copy = webhook(json!({
        "type": "OutboundMessage", "messageId": "g1", "conversationProviderId": "prov",
    }));
    let mapped = value(to_vcx(&copy, &context(), NOW));
    assert_eq!(mapped["copy"], true);
    assert_eq!(mapped["event"]["messageId"], "g1");
}

#[test]
fn unread_counts_are_events_and_messages_without_an_id_get_one() {
    let unread =
        webhook(json!({ "type": "ConversationUnreadUpdate", "id": "c", "unreadCount": 2 }));
    let mapped = value(to_vcx(&unread, &context(), NOW));
    assert_eq!(mapped["event"]["type"], "conversation.updated");
    assert_eq!(mapped["event"]["unreadCount"], 2);

    let incoming = webhook(json!({ "type": "message.incoming", "webhookId": "w1" }));
    let mapped = value(to_vcx(&incoming, &context(), NOW));
    assert_eq!(mapped["event"]["messageId"], "unnamed_w1");
}

#[test]
fn what_is_not_for_the_chat_is_dropped_with_the_reason_and_needs_no_chat() {
    let provider = json!({ "providerId": "prov" }).to_string();
    for (kind, why) in [
        (json!({ "type": "InboundMessage" }), "another channel"),
        (
            json!({ "type": "InboundMessage", "conversationProviderId": "prov" }),
            "our own message",
        ),
        (
            json!({ "type": "OutboundMessage", "messageType": "SMS" }),
            "another channel",
        ),
        (json!({ "type": "INSTALL" }), "the app was installed"),
        (json!({ "type": "UNINSTALL" }), "the app was uninstalled"),
        (
            json!({ "type": "ContactDelete", "id": "con" }),
            "a contact that was deleted",
        ),
        (json!({ "type": "AppointmentCreate" }), "AppointmentCreate"),
    ] {
        let mapped = value(to_vcx(&webhook(kind), &provider, NOW));
        assert_eq!(mapped, json!({ "dropped": why }));
    }
    let reply = webhook(json!({ "type": "Custom", "messageId": "g1" }));
    let refusal = to_vcx(&reply, &provider, NOW).unwrap_err();
    assert_eq!(
        refusal.detail,
        "missing or wrong: clientId, vcxConversationId"
    );
}

#[test]
fn what_cannot_be_understood_is_refused_with_the_reason() {
    let nobody =
        json!({ "type": "Custom", "messageId": "g1", "contactId": "con", "message": "Hi" });
    for (webhook, code, detail) in [
        (
            "[]".to_owned(),
            "malformed_json",
            "the webhook is not a JSON object",
        ),
        (nobody.to_string(), "unintelligible", "no locationId"),
        (
            webhook(json!({ "type": "Custom", "messageId": "g1", "contactId": null })),
            "unintelligible",
            "neither contactId nor conversationId",
        ),
    ] {
        let refusal = to_vcx(&webhook, &context(), NOW).unwrap_err();
        assert_eq!((refusal.code, refusal.detail.as_str()), (code, detail));
    }
}

#[test]
fn webhooks_are_verified_with_ghls_key_or_the_given_ones() {
    assert_eq!(
        code(verify_ghl_webhook(b"{}", None, None)),
        "signature_absent"
    );
    let zeros = format!("{}==", "A".repeat(86));
    assert_eq!(
        code(verify_ghl_webhook(b"{}", Some(&zeros), None)),
        "signature_wrong"
    );
    let refusal = verify_ghl_webhook(b"{}", Some(&zeros), Some("no key")).unwrap_err();
    assert!(
        refusal.detail.starts_with("GHL_PUBLIC_KEYS: entry 1 "),
        "{}",
        refusal.detail
    );
}

#[test]
fn an_event_is_verified_as_the_worker_signs_it() {
    let secret = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
    let seconds = (NOW / 1_000).to_string();
    let signature = WebhookSecrets::parse(secret)
        .unwrap()
        .sign("evt_1", NOW / 1_000, b"{}");
    let headers = json!([
        ["Webhook-Id", "evt_1"],
        ["webhook-timestamp", seconds],
        ["webhook-signature", signature],
    ])
    .to_string();
    assert_eq!(verify_event(&headers, b"{}", secret, NOW), Ok(()));
    assert_eq!(
        code(verify_event(&headers, b"{ }", secret, NOW)),
        "event_wrong_signature"
    );
    assert_eq!(
        code(verify_event(&headers, b"{}", secret, NOW + 301_000)),
        "event_too_old"
    );
    assert_eq!(
        code(verify_event("[]", b"{}", secret, NOW)),
        "event_missing_header"
    );
    assert_eq!(
        code(verify_event("{}", b"{}", secret, NOW)),
        "invalid_fields"
    );
    let refusal = verify_event(&headers, b"{}", "", NOW).unwrap_err();
    assert_eq!(refusal.detail, "VCX_WEBHOOK_SECRET: it holds no key");
}

#[test]
fn a_session_is_one_that_the_worker_takes() {
    let ask = json!({
        "locationId": "loc", "clientId": "mina", "vcxConversationId": "chat", "email": "m@a.example",
        "expiresIn": 60,
    });
    let token = create_session(&ask.to_string(), SECRET, NOW).unwrap();
    let keys = SessionKeys::parse(SECRET).unwrap();
    let session = keys.verify(&token, NOW + 59_000).unwrap();
    assert_eq!(session.conversation, "chat");
    assert_eq!(session.details.email.as_deref(), Some("m@a.example"));
    assert!(keys.verify(&token, NOW + 60_000).is_err());
}

#[test]
fn a_session_lasts_an_hour_and_never_more_than_a_day() {
    let ask = |expires_in: Value| {
        let ask = json!({
            "locationId": "loc", "clientId": "mina", "vcxConversationId": "chat",
            "expiresIn": expires_in,
        });
        create_session(&ask.to_string(), SECRET, NOW)
    };
    let keys = SessionKeys::parse(SECRET).unwrap();
    let lasts = |token: String| keys.verify(&token, NOW).unwrap().expires_at - NOW;
    assert_eq!(lasts(ask(Value::Null).unwrap()), 3_600_000);
    assert_eq!(lasts(ask(json!(86_400)).unwrap()), 86_400_000);
    for wrong in [json!(0), json!(86_401), json!(1.5), json!("60")] {
        let refusal = ask(wrong).unwrap_err();
        assert_eq!(refusal.detail, "missing or wrong: expiresIn");
        assert_eq!(
            refusal.errors[0].message,
            "must be a whole number of seconds, from 1 to 86400"
        );
    }
    let refusal = create_session("{}", "short", NOW).unwrap_err();
    assert_eq!(refusal.code, "key_wrong_length");
}

fn push(change: Value) -> String {
    let push = json!({
        "locationId": "loc", "clientId": "mina", "vcxConversationId": "chat", "fromUser": true,
        "body": "Hi", "timestamp": NOW,
    });
    changed(push, change)
}

fn webhook(change: Value) -> String {
    let webhook = json!({
        "locationId": "loc", "contactId": "con", "message": "Hello",
        "dateAdded": "2023-11-14T22:13:20.000Z",
    });
    changed(webhook, change)
}

fn changed(mut value: Value, change: Value) -> String {
    for (name, to) in change.as_object().unwrap() {
        value[name] = to.clone();
    }
    value.to_string()
}

fn context() -> String {
    json!({ "providerId": "prov", "clientId": "mina", "vcxConversationId": "chat" }).to_string()
}

fn value(outcome: Result<String, Refusal>) -> Value {
    serde_json::from_str(&outcome.unwrap()).unwrap()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> &'static str {
    outcome.unwrap_err().code
}

const NOW: i64 = 1_700_000_000_000;
const SECRET: &str = "a secret of thirty-two bytes or more";

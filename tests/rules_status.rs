//! RULES, "Status".
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::*;

const EVENT: &str = "vCX message.created";
const STATUS: &str = "PUT /conversations/messages/agent-1/status";

#[test]
fn a_message_is_pending_until_vcx_has_answered_2xx_and_then_delivered() {
    for status in [200, 201, 204] {
        let mut w = World::chatting();
        w.reply("agent-1", "Hi");
        let event = w.only_call(EVENT);
        w.answer(&event, 503, json!(null));
        w.advance(SECOND);
        assert_eq!(
            w.under_way(),
            [EVENT],
            "pending is what GHL begins with: no call"
        );
        let event = w.only_call(EVENT);
        w.answer(&event, status, json!(null));
        assert_eq!(w.take(STATUS).json(), json!({ "status": "delivered" }));
    }
}

#[test]
fn without_a_webhook_url_a_message_stays_pending_and_fails_after_a_day() {
    let mut w = World::chatting_with(&[("VCX_WEBHOOK_URL", ""), ("VCX_WEBHOOK_SECRET", "")]);
    w.reply("agent-1", "Hi");
    w.reply("agent-2", "Anybody there?");
    assert_eq!(w.pass(DAY - 1), ["POST /oauth/token"]);
    w.advance(1);
    let calls = w.settle_calls();
    assert_eq!(
        calls.iter().map(Call::label).collect::<Vec<_>>(),
        [STATUS, "PUT /conversations/messages/agent-2/status"]
    );
    assert_eq!(calls[0].json()["status"], "failed");
    let words = calls[0].json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(words.contains("VCX_WEBHOOK_URL"), "{words}");
    assert_eq!(w.health()["deadLetters"][0]["messageId"], "agent-1");
}

#[test]
fn a_message_is_read_when_vcx_says_so() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.settle();
    let said = status(&mut w, "agent-1", "read");
    assert_eq!(w.status(&said), 200);
    assert_eq!(
        w.body(&said),
        json!({ "messageId": "agent-1", "status": "read" })
    );
    assert_eq!(w.take(STATUS).json(), json!({ "status": "read" }));
}

#[test]
fn a_message_is_failed_with_words_when_it_is_a_dead_letter() {
    for refusal in [400, 413, 422] {
        let mut w = World::chatting();
        w.reply("agent-1", "Hi");
        let event = w.only_call(EVENT);
        w.answer(&event, refusal, json!({ "error": "no such chat" }));
        let call = w.take(STATUS);
        assert_eq!(call.json()["status"], "failed");
        let error = &call.json()["error"];
        let words = error["message"].as_str().unwrap();
        assert!(words.contains(&refusal.to_string()), "{words}");
        assert!(
            error["code"].is_string() && error["type"].is_string(),
            "GHL demands all three"
        );
        assert_eq!(w.health()["deadLetters"][0]["messageId"], "agent-1");
    }
}

#[test]
fn vcx_says_that_it_failed_before_it_was_delivered() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    let call = w.only_call(EVENT);
    let said = w.post(
        "/message-status",
        &json!({
            "locationId": LOCATION, "messageId": "agent-1", "status": "failed",
            "error": "the visitor has left",
        }),
    );
    assert_eq!(w.body(&said)["status"], "failed");
    let put = w.take(STATUS);
    assert_eq!(put.json()["error"]["message"], "the visitor has left");
    w.answer(&call, 200, json!(null));
    assert_eq!(w.take(STATUS).json()["status"], "delivered");
}

#[test]
fn a_status_never_goes_backwards() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.settle();
    for (word, furthest, calls) in [
        ("failed", "delivered", 0),
        ("delivered", "delivered", 0),
        ("read", "read", 1),
        ("read", "read", 0),
        ("delivered", "read", 0),
        ("failed", "read", 0),
    ] {
        let said = status(&mut w, "agent-1", word);
        assert_eq!(w.status(&said), 200);
        assert_eq!(w.body(&said)["status"], furthest, "after {word}");
        assert_eq!(w.settle().len(), calls, "{word}");
    }
}

#[test]
fn a_dead_letter_that_is_replayed_turns_failed_into_delivered() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    let event = w.only_call(EVENT);
    w.answer(&event, 422, json!(null));
    assert_eq!(w.settle(), [STATUS, "vCX message.failed"]);
    let replayed = w.post("/locations/loc-1/replay", &json!({}));
    assert_eq!(w.body(&replayed), json!({ "replayed": 1 }));
    let again = w.only_call(EVENT);
    assert_eq!(again.header("webhook-id"), event.header("webhook-id"));
    assert_eq!(again.json(), event.json());
    w.answer(&again, 200, json!(null));
    assert_eq!(w.take(STATUS).json()["status"], "delivered");
    assert_eq!(w.health()["deadLetters"], json!([]));
}

#[test]
fn a_message_that_never_went_to_vcx_has_no_status() {
    let mut w = World::chatting();
    for id in ["agent-9", "m1", "ghl-m1"] {
        let said = status(&mut w, id, "read");
        assert_eq!(w.status(&said), 404);
        assert_eq!(w.body(&said)["code"], "unknown_message");
    }
}

#[test]
fn a_message_s_status_is_one_slot_that_holds_the_furthest() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.take(EVENT);
    let delivered = w.only_call(STATUS);
    assert_eq!(delivered.json()["status"], "delivered");
    status(&mut w, "agent-1", "read");
    assert_eq!(w.under_way(), [STATUS], "one call at a time");
    w.answer(&delivered, 200, json!(null));
    assert_eq!(w.take(STATUS).json()["status"], "read");
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn a_status_that_was_overtaken_is_not_sent() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.take(EVENT);
    let delivered = w.only_call(STATUS);
    w.answer(&delivered, 500, json!(null));
    status(&mut w, "agent-1", "read");
    let calls = w.wait_for(STATUS, MINUTE);
    assert_eq!(calls.json()["status"], "read");
    w.take(STATUS);
    w.advance(HOUR);
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn a_status_that_fails_holds_nothing_up_and_is_tried_again() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.take(EVENT);
    let call = w.only_call(STATUS);
    w.drop_call(&call);
    w.reply("agent-2", "Still there?");
    assert_eq!(
        w.settle(),
        [EVENT, "PUT /conversations/messages/agent-2/status"]
    );
    w.push("Yes");
    assert_eq!(w.settle(), [SEND]);
    w.wait_for(STATUS, MINUTE);
}

#[test]
fn a_status_call_that_was_lost_with_the_object_is_made_again() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.take(EVENT);
    w.only_call(STATUS);
    w.crash();
    w.wait_for(STATUS, MINUTE);
    w.take(STATUS);
    w.advance(HOUR);
    assert_eq!(w.under_way(), NOTHING);
}

/// GHL does not show a new message to this call at once (FACTS §3.5).
#[test]
fn a_401_or_403_within_sixty_seconds_of_the_message_means_not_yet_and_never_a_refresh() {
    for (code, words) in [
        (401, "No conversation provider found for this message"),
        (403, "No conversation provider found for this message"),
        (401, "Invalid token: access token is invalid"),
        (404, "Message not found"),
    ] {
        let mut w = World::chatting();
        w.reply("agent-1", "Hi");
        w.take(EVENT);
        let since = w.now;
        let mut tries = 0;
        while w.now < since + 20 * SECOND {
            let call = w.wait_for(STATUS, MINUTE);
            w.answer(&call, code, refusal(code, words));
            assert_eq!(w.under_way(), NOTHING, "no refresh");
            w.advance_to_next(MINUTE);
            tries += 1;
        }
        assert!(tries >= 3, "{tries} tries in 20 s");
        w.wait_for(STATUS, MINUTE);
        w.take(STATUS);
        assert_eq!(w.health()["state"], "connected");
        assert_eq!(w.health()["deadLetters"], json!([]));
    }
}

#[test]
fn after_sixty_seconds_an_expired_token_is_refreshed() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.settle();
    w.advance(2 * MINUTE);
    status(&mut w, "agent-1", "read");
    let call = w.only_call(STATUS);
    w.answer(
        &call,
        401,
        refusal(401, "Invalid token: access token is invalid"),
    );
    w.take("POST /oauth/token");
    let call = w.only_call(STATUS);
    assert_eq!(call.header("authorization"), "Bearer access-2");
}

/// That GHL does not want a status is no reason to bother anybody: the message is with vCX.
#[test]
fn after_sixty_seconds_a_refused_status_is_given_up_and_health_says_why() {
    for code in [403, 404, 422] {
        let mut w = World::chatting();
        w.reply("agent-1", "Hi");
        w.settle();
        w.advance(2 * MINUTE);
        status(&mut w, "agent-1", "read");
        let call = w.only_call(STATUS);
        w.answer(&call, code, refusal(code, "not yours"));
        w.advance(HOUR);
        assert_eq!(w.under_way(), NOTHING);
        let error = w.health()["lastError"].clone();
        assert_eq!(error["call"], "PUT /conversations/messages/{id}/status");
        assert_eq!(error["status"], code);
        assert!(error["message"].as_str().unwrap().contains("not yours"));
    }
}

fn status(w: &mut World, id: &str, word: &str) -> Caller {
    let body: Value = json!({ "locationId": LOCATION, "messageId": id, "status": word });
    w.post("/message-status", &body)
}

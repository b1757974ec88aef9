//! RULES, "Budget".
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::json;
use support::*;
use vcx_ghl::http::Response;

#[test]
fn before_the_first_answer_the_limit_is_a_hundred_calls_in_ten_seconds() {
    let mut w = World::connected();
    assert_eq!(w.health()["rate"]["max"], 100);
    assert_eq!(w.health()["rate"]["intervalMs"], 10_000);
    let sent = crowd(&mut w, 60, |call| call_answer(call, &[]));
    // Five calls for each of sixty visitors.
    assert_eq!(sent.len(), 300);
    never_more_than(&sent, 100, 10 * SECOND);
    let took = sent[299] - sent[0];
    assert!(took <= 33 * SECOND, "and no slower than it must be: {took}");
}

#[test]
fn the_limit_is_the_last_one_that_ghl_has_named() {
    let mut w = World::connected();
    let headers = [
        ("x-ratelimit-max", "10"),
        ("x-ratelimit-interval-milliseconds", "5000"),
        ("x-ratelimit-remaining", "7"),
        ("x-ratelimit-daily-remaining", "199000"),
    ];
    w.push("Hello");
    let call = w.only_call("POST /contacts/search");
    let answer = call_answer(&call, &headers);
    w.answer_with(&call, answer);
    let rate = w.health()["rate"].clone();
    assert_eq!(
        (&rate["max"], &rate["intervalMs"]),
        (&json!(10), &json!(5_000))
    );
    assert_eq!(rate["remaining"], 7);
    w.settle();
    w.advance(MINUTE);
    let sent = crowd(&mut w, 8, |call| call_answer(call, &headers));
    never_more_than(&sent, 10, 5 * SECOND);

    // GHL gives more: it is used.
    let more = [
        ("x-ratelimit-max", "1000"),
        ("x-ratelimit-interval-milliseconds", "5000"),
    ];
    let sent = crowd(&mut w, 30, |call| call_answer(call, &more));
    assert!(sent[149] - sent[0] < 10 * SECOND);
    assert_eq!(w.health()["rate"]["max"], 1_000);
}

#[test]
fn nothing_is_sent_when_ghl_says_that_nothing_remains() {
    let mut w = World::chatting();
    w.push("one");
    let call = w.only_call(SEND);
    let answer = call_answer(&call, &[("x-ratelimit-remaining", "0")]);
    w.answer_with(&call, answer);
    let since = w.now;
    let push = w.push("two");
    assert_eq!(w.under_way(), NOTHING);
    w.wait_for(SEND, MINUTE);
    assert_eq!(w.now - since, 10 * SECOND);
    w.settle();
    assert_eq!(w.body(&push)["status"], "queued");
}

#[test]
fn the_daily_remainder_is_kept() {
    let mut w = World::chatting();
    w.push("one");
    let call = w.only_call(SEND);
    let answer = call_answer(&call, &[("x-ratelimit-daily-remaining", "0")]);
    w.answer_with(&call, answer);
    assert_eq!(w.health()["rate"]["dailyRemaining"], 0);
    w.push("two");
    w.reply("agent-1", "Hi");
    assert_eq!(w.settle(), ["vCX message.created"], "vCX is not GHL");
    w.advance(10 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
    // When GHL's day ends is not documented: one call now and then finds out.
    let mut probes = 0;
    for _ in 0..3 {
        w.advance_to_next(HOUR);
        while let Some(call) = w.calls.first().cloned() {
            let answer =
                Response::json(429, &json!(null)).header("x-ratelimit-daily-remaining", "0");
            w.answer_with(&call, answer);
            probes += 1;
        }
    }
    assert!((1..=6).contains(&probes), "{probes} probes");
    let until = w.now + HOUR;
    while w.calls.is_empty() && w.now < until {
        w.advance_to_next(until - w.now);
    }
    while let Some(call) = w.calls.first().cloned() {
        let answer = call_answer(&call, &[("x-ratelimit-daily-remaining", "200000")]);
        w.answer_with(&call, answer);
    }
    let again = w.push_with("two", json!({ "messageId": "m3" }));
    assert_eq!(w.status(&again), 200);
}

/// Nearly used up: what we send ourselves counts before GHL says so.
#[test]
fn the_daily_remainder_is_counted_down() {
    let mut w = World::chatting();
    w.push("one");
    let call = w.only_call(SEND);
    let answer = call_answer(&call, &[("x-ratelimit-daily-remaining", "1")]);
    w.answer_with(&call, answer);
    for n in 2..4 {
        let client = format!("client-{n}");
        w.push_with(
            "hello",
            json!({ "clientId": client, "vcxConversationId": client }),
        );
    }
    assert_eq!(w.calls.len(), 1, "one is left: {:?}", w.under_way());
}

#[test]
fn a_429_without_retry_after_waits_an_interval() {
    let mut w = World::chatting();
    w.push("one");
    let call = w.only_call(SEND);
    w.answer(&call, 429, json!(null));
    let since = w.now;
    w.wait_for(SEND, MINUTE);
    assert!(
        (10_000..10_500).contains(&(w.now - since)),
        "{}",
        w.now - since
    );
    assert_eq!(w.health()["deadLetters"], json!([]));
}

#[test]
fn a_429_is_not_the_message_s_failure_however_often() {
    let mut w = World::chatting();
    let push = w.push("one");
    for _ in 0..200 {
        let call = w.wait_for(SEND, MINUTE);
        w.answer(&call, 429, json!(null));
    }
    assert_eq!(w.status(&push), 202);
    w.wait_for(SEND, MINUTE);
    w.take(SEND);
    let again = w.push_with("one", json!({ "messageId": "m2" }));
    assert_eq!(w.status(&again), 200);
}

#[test]
fn a_refresh_goes_however_little_remains() {
    let mut w = World::chatting();
    w.push("one");
    let call = w.only_call(SEND);
    let answer = call_answer(&call, &[("x-ratelimit-daily-remaining", "0")]);
    w.answer_with(&call, answer);
    w.wait_for("POST /oauth/token", DAY);
}

#[test]
fn live_messages_go_before_replays_and_set_up_calls() {
    let mut w = World::chatting();
    w.push("refused at first");
    let call = w.only_call(SEND);
    w.answer(&call, 422, json!(null));
    w.settle();
    // One call in ten seconds from here on.
    w.push_with(
        "new",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2" }),
    );
    let headers = [("x-ratelimit-max", "1")];
    for label in [
        "POST /contacts/search",
        "POST /contacts/",
        "POST /conversations/",
        SEND,
    ] {
        let call = w.wait_for(label, MINUTE);
        let answer = call_answer(&call, &headers);
        w.answer_with(&call, answer);
    }
    assert_eq!(w.under_way(), NOTHING, "the tag has to wait for the rate");
    w.post("/locations/loc-1/replay", &json!({}));
    for n in 0..3 {
        let more = json!({ "clientId": "client-2", "vcxConversationId": "chat-2" });
        w.push_with(&format!("live {n}"), more);
    }
    let mut order = Vec::new();
    while order.len() < 5 {
        w.advance_to_next(MINUTE);
        while let Some(call) = w.calls.first().cloned() {
            order.push(match call.label().as_str() {
                SEND => call.json()["message"].as_str().unwrap().to_owned(),
                other => other.to_owned(),
            });
            let answer = call_answer(&call, &headers);
            w.answer_with(&call, answer);
        }
    }
    assert_eq!(order[..3], ["live 0", "live 1", "live 2"]);
    order[3..].sort();
    assert_eq!(
        order[3..],
        ["POST /contacts/con-client-2/tags", "refused at first"]
    );
}

#[test]
fn a_status_goes_before_messages() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.settle();
    w.push("one");
    let call = w.only_call(SEND);
    let answer = call_answer(&call, &[("x-ratelimit-max", "1")]);
    w.answer_with(&call, answer);
    w.push("two");
    let said = json!({ "locationId": LOCATION, "messageId": "agent-1", "status": "read" });
    w.post("/message-status", &said);
    w.advance_to_next(MINUTE);
    while w.calls.is_empty() {
        w.advance_to_next(MINUTE);
    }
    assert_eq!(
        w.under_way(),
        ["PUT /conversations/messages/agent-1/status"]
    );
}

/// Visitors whom GHL does not know yet write all at once; says when each call was sent.
fn crowd(w: &mut World, size: usize, answer: impl Fn(&Call) -> Response) -> Vec<i64> {
    let first = w.number("SELECT count(*) FROM client");
    for n in 0..size {
        let client = format!("visitor-{first}-{n}");
        w.push_with(
            "hello",
            json!({ "clientId": client, "vcxConversationId": client }),
        );
    }
    let mut sent = Vec::new();
    let until = w.now + HOUR;
    while w.number("SELECT count(*) FROM outbox WHERE open = 1") > 0 {
        while let Some(call) = w.calls.first().cloned() {
            sent.push(call.sent_at);
            w.answer_with(&call, answer(&call));
        }
        assert!(w.now < until, "it takes for ever");
        w.advance_to_next(MINUTE);
    }
    sent
}

fn never_more_than(sent: &[i64], max: usize, interval: i64) {
    for window in sent.windows(max + 1) {
        let took = window[max] - window[0];
        assert!(took >= interval, "{} calls within {took} ms", max + 1);
    }
}

/// The usual answer, with headers.
fn call_answer(call: &Call, headers: &[(&str, &str)]) -> Response {
    let mut answer = usual_answer(call);
    for (name, value) in headers {
        answer = answer.header(name, *value);
    }
    answer
}

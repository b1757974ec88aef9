//! What the log tells the engineer on call, and what it never tells anybody. Every other story
//! checks the second as well: `World` looks at each line.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{DAY, LOCATION, MINUTE, SECOND, SEND, START, World, refusal};
use vcx_ghl::edge::Incoming;
use vcx_ghl::http::Response;
use vcx_ghl::location::Output;

#[test]
fn what_goes_well_leaves_no_line() {
    let mut w = World::chatting();
    for n in 0..20 {
        w.push(&format!("message number {n}"));
        w.settle();
        w.reply(&format!("agent-{n}"), &format!("answer number {n}"));
        w.settle();
        w.advance(10 * SECOND);
    }
    assert_eq!(w.log, Vec::<Value>::new());
}

#[test]
fn a_failed_call_leaves_whose_it_was_its_status_its_duration_and_ghl_s_trace_id() {
    let mut w = World::chatting();
    w.push("private words");
    let call = w.only_call(SEND);
    w.advance(1_234);
    w.answer(&call, 500, refusal(500, "private words are wrong"));
    let line = json!({
        "level": "warn", "event": "call_failed", "at": START + 1_234, "locationId": LOCATION,
        "call": SEND, "status": 500, "ms": 1_234, "traceId": "trace-1",
        "item": item_of(&call.name), "key": "out:m2",
    });
    assert_eq!(w.log, [line]);
}

#[test]
fn a_call_without_an_answer_leaves_why() {
    let mut w = World::chatting();
    w.push("private words");
    w.advance(200);
    w.drop_call(&w.only_call(SEND));
    assert_eq!(w.log[0]["error"], "dropped");
    assert_eq!(
        (&w.log[0]["ms"], &w.log[0]["status"]),
        (&json!(200), &json!(null))
    );

    let mut w = World::chatting();
    w.push("private words");
    w.advance(MINUTE);
    assert_eq!(w.log[0]["error"], "timed_out");
    assert_eq!(w.log[0]["ms"], 15_000);
}

#[test]
fn a_trace_id_that_is_no_id_stays_out() {
    let mut w = World::chatting();
    w.push("private words");
    let call = w.only_call(SEND);
    let odd = json!({ "message": "no", "traceId": "private\nwords" });
    w.answer(&call, 500, odd);
    assert_eq!(w.log[0]["traceId"], Value::Null);
}

#[test]
fn a_slow_call_leaves_a_line_although_it_went_well() {
    let mut w = World::chatting();
    for (wait, event) in [(4_999, None), (5_000, Some("call_slow"))] {
        w.push("private words");
        w.advance(wait);
        w.take(SEND);
        assert_eq!(
            w.log.first().map(|line| &line["event"]),
            event.map(Value::from).as_ref()
        );
    }
    assert_eq!(w.log[0]["ms"], 5_000);
    assert_eq!(
        (&w.log[0]["call"], &w.log[0]["status"]),
        (&json!(SEND), &json!(200))
    );
}

#[test]
fn the_rate_limit_leaves_a_line() {
    let mut w = World::chatting();
    w.push("private words");
    let call = w.only_call(SEND);
    let answer = Response::json(429, &refusal(429, "Too many")).header("retry-after", "2");
    w.answer_with(&call, answer);
    assert_eq!(w.logged("rate_limited")[0]["status"], 429);
    assert_eq!(w.log.len(), 1);
}

#[test]
fn a_failed_refresh_leaves_its_duration() {
    let mut w = World::connected();
    w.advance(DAY - MINUTE - SECOND);
    let call = w.wait_for("POST /oauth/token", 2 * MINUTE);
    let sent_at = call.sent_at;
    w.advance(700);
    w.answer(&call, 500, refusal(500, "no"));
    let line = w.logged("call_failed")[0];
    assert_eq!(
        (&line["call"], &line["ms"]),
        (&json!("POST /oauth/token"), &json!(w.now - sent_at))
    );
    let states = w.logged("connection");
    assert_eq!(
        (&states[0]["was"], &states[0]["is"]),
        (&json!("connected"), &json!("refreshing"))
    );
}

#[test]
fn a_dead_letter_leaves_its_code_and_the_writer_s_id() {
    let mut w = World::chatting();
    w.push("private words");
    let call = w.only_call(SEND);
    w.answer(&call, 422, refusal(422, "mina@example.com has opted out"));
    let line = w.logged("dead_letter")[0];
    assert_eq!(line["level"], "error");
    assert_eq!(
        (&line["key"], &line["code"], &line["item"]),
        (
            &json!("out:m2"),
            &json!("refused"),
            &json!(item_of(&call.name))
        )
    );
}

#[test]
fn a_webhook_that_is_refused_leaves_why_when_and_how_large_it_was() {
    let mut w = World::connected();
    let body = br#"{"locationId":"loc-1","message":"private words"}"#;
    for (signature, code) in [
        (None, "signature_absent"),
        (Some("AAAA"), "signature_wrong_length"),
    ] {
        w.http(&Incoming {
            method: "POST",
            url: "https://sync.test/webhook",
            signature,
            body: Some(body),
            ..Incoming::default()
        });
        let line = w.log.pop().unwrap();
        assert_eq!(
            (&line["event"], &line["code"], &line["at"]),
            (&json!("webhook_refused"), &json!(code), &json!(START))
        );
    }
    w.webhook_text(r#"{"message":"private words"}"#);
    let line = w.log.pop().unwrap();
    assert_eq!(
        (&line["event"], &line["bytes"], &line["at"]),
        (
            &json!("webhook_without_location"),
            &json!(27),
            &json!(START)
        )
    );
}

#[test]
fn an_installation_that_fails_leaves_a_code() {
    let mut w = World::connected();
    for (query, code) in [
        ("", "no_code"),
        ("?error=access_denied", "access_denied"),
        ("?code=private-code&state=forged", "link_wrong"),
    ] {
        w.http(&Incoming {
            method: "GET",
            url: &format!("https://sync.test/auth/callback{query}"),
            body: Some(b""),
            ..Incoming::default()
        });
        let line = w.log.pop().unwrap();
        assert_eq!(
            (&line["event"], &line["code"]),
            (&json!("install_failed"), &json!(code))
        );
    }
}

#[test]
#[should_panic(expected = "private words is in the log")]
fn a_text_that_gets_into_a_line_is_noticed() {
    let mut w = World::chatting();
    w.push("private words");
    plant(&mut w, "private words");
}

#[test]
#[should_panic(expected = "access-1 is in the log")]
fn a_token_that_gets_into_a_line_is_noticed() {
    plant(&mut World::chatting(), "access-1");
}

#[test]
#[should_panic(expected = "client-secret is in the log")]
fn a_setting_that_gets_into_a_line_is_noticed() {
    plant(&mut World::connected(), "client-secret");
}

#[test]
#[should_panic(expected = "a line without level, event and time")]
fn a_line_without_a_time_is_noticed() {
    let line = json!({ "level": "info", "event": "planted" }).to_string();
    World::new().perform(vec![Output::Log { line }]);
}

fn plant(w: &mut World, text: &str) {
    let line = json!({ "level": "info", "event": "planted", "at": w.now, "what": [text] });
    w.perform(vec![Output::Log {
        line: line.to_string(),
    }]);
}

/// The number of the item that a call is for.
fn item_of(call: &str) -> i64 {
    call.trim_start_matches("item:").parse().unwrap()
}

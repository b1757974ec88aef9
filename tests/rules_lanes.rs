//! RULES, "Lanes and retries".
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use std::ops::Range;
use support::*;
use vcx_ghl::http::Response;

const EVENT: &str = "vCX message.created";
const FAILED: &str = "vCX message.failed";
const FIND: &str = "GET /conversations/search";

/// Clients whose chats are in GHL.
fn each_is_known(w: &mut World, clients: Range<u32>) {
    for n in clients {
        each_says(w, n..n + 1, "hello");
        w.settle();
    }
}

fn each_says(w: &mut World, clients: Range<u32>, text: &str) {
    for n in clients {
        let client = format!("client-{n}");
        let chat = json!({ "clientId": client, "vcxConversationId": client });
        w.push_with(text, chat);
    }
}

// Lanes.

#[test]
fn to_ghl_a_client_s_messages_go_one_after_the_other() {
    let mut w = World::chatting();
    for text in ["one", "two", "three"] {
        w.push(text);
    }
    for text in ["one", "two", "three"] {
        let call = w.only_call(SEND);
        assert_eq!(call.json()["message"], text);
        w.take(SEND);
    }
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn to_ghl_clients_do_not_hold_each_other_up() {
    let mut w = World::chatting();
    w.push_with(
        "hello",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2" }),
    );
    w.settle();
    w.push("one");
    let stuck = w.only_call(SEND);
    w.push_with(
        "two",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2" }),
    );
    assert_eq!(w.under_way(), [SEND, SEND]);
    let other = w.calls[1].clone();
    assert_eq!(other.json()["message"], "two");
    w.answer(&stuck, 500, json!(null));
    w.answer(
        &other,
        200,
        json!({ "messageId": "x", "conversationId": "cnv-client-2" }),
    );
    assert_eq!(w.health()["queue"]["depth"], 1);
}

#[test]
fn to_vcx_a_contact_s_messages_go_one_after_the_other_and_contacts_side_by_side() {
    let mut w = World::chatting();
    w.push_with(
        "hello",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2" }),
    );
    w.settle();
    w.reply("agent-1", "one");
    w.reply("agent-2", "two");
    w.webhook(&delivery("con-client-2", "agent-3", "three"));
    assert_eq!(w.under_way(), [EVENT, EVENT]);
    let bodies: Vec<Value> = w
        .calls
        .iter()
        .map(|call| call.json()["body"].clone())
        .collect();
    assert_eq!(bodies, ["one", "three"]);
    let first = w.calls[0].clone();
    w.answer(&first, 503, json!(null));
    assert_eq!(w.under_way(), [EVENT], "the second waits for the first");
    w.advance(SECOND);
    let bodies: Vec<Value> = w
        .calls
        .iter()
        .map(|call| call.json()["body"].clone())
        .collect();
    assert_eq!(bodies, ["three", "one"]);
}

#[test]
fn an_unread_count_stays_in_order_with_its_contact_s_messages() {
    let mut w = World::chatting();
    w.reply("agent-1", "one");
    w.app_event(
        json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1", "unreadCount": 0 }),
    );
    assert_eq!(w.under_way(), [EVENT]);
    assert_eq!(
        w.settle(),
        [
            EVENT,
            "PUT /conversations/messages/agent-1/status",
            "vCX conversation.updated"
        ]
    );
}

#[test]
fn location_events_have_their_own_lane() {
    let mut w = World::new();
    w.connect();
    let connected = w.call("vCX location.connected");
    w.answer(&connected, 500, json!(null));
    w.settle();
    w.push("hello");
    w.settle();
    w.advance(100);
    w.reply("agent-1", "Hi");
    assert_eq!(w.under_way(), [EVENT]);
    w.settle();
    w.wait_for("vCX location.connected", MINUTE);
}

#[test]
fn no_more_than_five_calls_are_under_way_one_of_them_kept_for_statuses_and_refreshes() {
    let mut w = World::chatting();
    each_is_known(&mut w, 2..12);
    w.reply("agent-1", "Hi");
    w.take(EVENT);
    w.take("PUT /conversations/messages/agent-1/status");
    each_says(&mut w, 2..12, "again");
    assert_eq!(w.under_way(), [SEND, SEND, SEND, SEND]);
    let said = json!({ "locationId": LOCATION, "messageId": "agent-1", "status": "read" });
    w.post("/message-status", &said);
    assert_eq!(w.calls.len(), 5);
    assert_eq!(
        w.calls[4].label(),
        "PUT /conversations/messages/agent-1/status"
    );
    // The oldest lane first.
    let order: Vec<Value> = w
        .settle_calls()
        .iter()
        .filter(|call| call.label() == SEND)
        .map(|call| call.json()["contactId"].clone())
        .collect();
    let expected: Vec<String> = (2..12).map(|n| format!("con-client-{n}")).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_refresh_keeps_its_place_among_the_five_when_an_uninstall_makes_it_useless() {
    let mut w = World::chatting();
    each_is_known(&mut w, 2..6);
    w.reply("agent-1", "Hi");
    w.take(EVENT);
    each_says(&mut w, 2..6, "again");
    let status = "PUT /conversations/messages/agent-1/status";
    assert_eq!(w.under_way(), [status, SEND, SEND, SEND, SEND]);
    let first = w.calls[1].clone();
    w.answer(
        &first,
        401,
        refusal(401, "Invalid token: access token is invalid"),
    );
    let refresh = "POST /oauth/token";
    assert_eq!(w.under_way(), [status, SEND, SEND, SEND, refresh]);
    w.advance(1_000);
    w.app_event(json!({ "type": "UNINSTALL" }));
    assert_eq!(w.under_way(), [status, SEND, SEND, SEND, refresh]);
    let refresh = w.call(refresh);
    w.answer(&refresh, 400, json!({ "error": "invalid_grant" }));
    w.call("vCX location.disconnected");
}

#[test]
fn a_slow_vcx_leaves_room_for_ghl() {
    let mut w = World::chatting();
    each_is_known(&mut w, 2..8);
    for n in 2..8 {
        w.webhook(&delivery(
            &format!("con-client-{n}"),
            &format!("agent-{n}"),
            "Hi",
        ));
    }
    assert!(w.under_way().iter().all(|label| label == EVENT));
    let push = w.push("urgent");
    assert!(
        w.under_way().contains(&SEND.to_owned()),
        "{:?}",
        w.under_way()
    );
    w.take(SEND);
    assert_eq!(w.status(&push), 200);
}

#[test]
fn the_budget_of_one_wake_up_is_kept() {
    let mut w = World::chatting();
    each_is_known(&mut w, 2..6);
    w.advance(HOUR);
    w.budget = 0;
    w.turn(push_input(&w, "client-2"));
    w.turn(push_input(&w, "client-3"));
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.wake, Some(w.now), "and woken again at once");
    w.budget = 1;
    w.wake = None;
    w.turn(vcx_ghl::location::Input::Wake);
    assert_eq!(w.under_way(), [SEND]);
    assert_eq!(w.wake, Some(w.now));
}

// Answers to a push.

#[test]
fn a_push_that_ghl_does_not_take_within_ten_seconds_is_queued() {
    let mut w = World::chatting();
    let push = w.push("Hello");
    w.advance(9_999);
    assert!(w.waits(&push));
    w.advance(1);
    assert_eq!(w.status(&push), 202);
    assert_eq!(
        w.body(&push),
        json!({ "status": "queued", "messageId": "m2" })
    );
    w.take(SEND);
    let again = w.push_with("Hello", json!({ "messageId": "m2" }));
    assert_eq!(
        w.status(&again),
        200,
        "a repeat is answered with today's state"
    );
    assert_eq!(w.under_way(), NOTHING, "and has no other effect");
}

#[test]
fn a_push_whose_lane_waits_is_queued_at_once_with_the_reason() {
    let mut w = World::chatting();
    w.push("one");
    let call = w.only_call(SEND);
    w.answer(
        &call,
        403,
        refusal(403, "The token does not have access to this location."),
    );
    let second = w.push("two");
    assert_eq!(w.status(&second), 202);
    let reason = w.body(&second)["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("does not have access to this location"),
        "{reason}"
    );
}

#[test]
fn a_push_behind_a_message_that_is_under_way_waits_with_it() {
    let mut w = World::chatting();
    let first = w.push("one");
    let second = w.push("two");
    assert!(w.waits(&first) && w.waits(&second));
    w.settle();
    assert_eq!((w.status(&first), w.status(&second)), (200, 200));
}

#[test]
fn a_message_id_used_for_another_message_is_a_conflict() {
    let mut w = World::chatting();
    for change in [
        json!({ "body": "other words" }),
        json!({ "clientId": "client-2" }),
        json!({ "vcxConversationId": "chat-2" }),
        json!({ "fromUser": false }),
        json!({ "attachments": ["https://cdn.test/a.png"] }),
    ] {
        let mut more = json!({ "messageId": "m1" });
        merge(&mut more, change.clone());
        let push = w.push_with("the first words", more);
        assert_eq!(w.status(&push), 409, "{change}");
        assert_eq!(w.body(&push)["code"], "message_id_conflict");
    }
    let same = json!({ "messageId": "m1", "timestamp": 5, "name": "Mina" });
    let push = w.push_with("the first words", same);
    assert_eq!(
        w.status(&push),
        200,
        "what is compared is who, where and what"
    );
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn a_push_without_a_message_id_is_known_again_by_what_it_says() {
    let mut w = World::chatting();
    let mut ids = Vec::new();
    let anonymous = json!({ "messageId": null, "timestamp": START });
    for change in [
        json!({}),
        json!({}),
        json!({ "timestamp": START - 1 }),
        json!({ "body": "Bye" }),
        json!({ "fromUser": false }),
        json!({ "attachments": ["https://cdn.test/a.png"] }),
        json!({ "vcxConversationId": "chat-2" }),
    ] {
        let mut more = anonymous.clone();
        merge(&mut more, change);
        let push = w.push_with("Hi", more);
        w.settle();
        assert_eq!(w.status(&push), 200);
        ids.push(w.body(&push)["messageId"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids[0], ids[1]);
    ids.remove(0);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

// Retries.

#[test]
fn the_head_is_retried_with_exponential_back_off_and_full_jitter_from_one_second_to_ten_minutes() {
    let waits = |dice: u8| {
        let mut w = World::chatting();
        w.dice = Some(dice);
        w.reply("agent-1", "Hi");
        let mut waits = Vec::new();
        for _ in 0..13 {
            let call = w.only_call(EVENT);
            w.answer(&call, 500, json!(null));
            let since = w.now;
            w.wait_for(EVENT, HOUR);
            waits.push((w.now - since) / SECOND);
        }
        waits
    };
    assert_eq!(
        waits(0xff),
        [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]
    );
    assert_eq!(waits(0), [1; 13], "full jitter: anything down to the least");
}

#[test]
fn those_behind_the_head_wait_for_it() {
    let mut w = World::chatting();
    w.push("one");
    let call = w.only_call(SEND);
    w.answer(&call, 403, json!(null));
    let second = w.push("two");
    assert_eq!(w.status(&second), 202);
    assert_eq!(w.under_way(), NOTHING);
    let call = w.wait_for(SEND, MINUTE);
    assert_eq!(call.json()["message"], "one");
    w.take(SEND);
    assert_eq!(w.only_call(SEND).json()["message"], "two");
}

#[test]
fn retry_after_is_honoured() {
    for (header, millis) in [
        ("30", 30 * SECOND),
        ("Thu, 08 Oct 2026 09:02:00 GMT", 2 * MINUTE),
    ] {
        // By GHL, for one message.
        let mut w = World::chatting();
        w.push("Hello");
        let call = w.only_call(SEND);
        let refused = Response::json(403, &json!(null)).header("retry-after", header);
        w.answer_with(&call, refused);
        let since = w.now;
        w.wait_for(SEND, HOUR);
        assert_eq!(w.now - since, millis, "{header}");

        // By vCX.
        let mut w = World::chatting();
        w.reply("agent-1", "Hi");
        let call = w.only_call(EVENT);
        w.answer_with(
            &call,
            Response::json(503, &json!(null)).header("retry-after", header),
        );
        let since = w.now;
        w.wait_for(EVENT, HOUR);
        assert_eq!(w.now - since, millis, "{header}");
    }
}

#[test]
fn retry_after_puts_a_look_off_as_well() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer_with(
        &call,
        Response::json(503, &json!(null)).header("retry-after", "20"),
    );
    w.wait_for(LOOK, HOUR);
    assert_eq!(w.now, START + 20 * SECOND);
}

#[test]
fn a_429_is_honoured_by_the_whole_location_and_is_nobody_s_failure() {
    let mut w = World::chatting();
    w.push_with(
        "hello",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2" }),
    );
    w.settle();
    w.advance(MINUTE);
    let since = w.now;
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer_with(
        &call,
        Response::json(429, &json!(null)).header("retry-after", "7"),
    );
    w.push_with(
        "hello",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2" }),
    );
    w.advance(6_999);
    assert_eq!(w.under_way(), NOTHING);
    w.advance(501);
    assert_eq!(w.under_way(), [SEND, SEND]);
    assert!(w.now - since >= 7 * SECOND);
}

#[test]
fn whatever_else_vcx_answers_is_tried_again() {
    for status in [301, 302, 401, 403, 404, 408, 409, 410, 429, 500, 503] {
        let mut w = World::chatting();
        w.reply("agent-1", "Hi");
        let call = w.only_call(EVENT);
        w.answer(&call, status, json!(null));
        assert_eq!(w.under_way(), NOTHING, "{status}");
        w.advance(SECOND);
        assert_eq!(w.under_way(), [EVENT], "{status}");
        assert_eq!(w.health()["deadLetters"], json!([]));
    }
}

#[test]
fn a_redirect_is_a_failure() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer_with(
        &call,
        Response::json(302, &json!(null)).header("location", "https://evil.test"),
    );
    assert_eq!(w.under_way(), NOTHING);
    w.wait_for(SEND, MINUTE);
}

#[test]
fn a_permanent_refusal_is_a_dead_letter_and_the_lane_goes_on() {
    let mut w = World::chatting();
    let one = w.push("one");
    let two = w.push("two");
    let call = w.only_call(SEND);
    w.answer(&call, 422, refusal(422, "message too long"));
    assert_eq!(w.status(&one), 422);
    w.settle();
    assert_eq!(w.status(&two), 200);

    w.reply("agent-1", "one");
    w.reply("agent-2", "two");
    let call = w.only_call(EVENT);
    w.answer(&call, 400, json!(null));
    let made = w.settle();
    assert!(made.contains(&EVENT.to_owned()), "{made:?}");
    assert!(made.contains(&"PUT /conversations/messages/agent-2/status".to_owned()));
}

#[test]
fn a_day_of_trying_is_a_dead_letter_with_the_last_reason() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.reply("agent-2", "Hello?");
    let since = w.now;
    loop {
        match w.calls.first().cloned() {
            Some(call) if call.label() == EVENT && call.json()["messageId"] == "agent-1" => {
                w.answer(&call, 503, json!(null));
            }
            Some(call) if call.label() == "POST /oauth/token" => drop(w.take("POST /oauth/token")),
            Some(_) => break,
            None => w.advance_to_next(DAY),
        }
    }
    let waited = w.now - since;
    assert!((DAY..DAY + 11 * MINUTE).contains(&waited), "{waited}");
    let status = w.call("PUT /conversations/messages/agent-1/status");
    assert_eq!(status.json()["status"], "failed");
    assert!(
        status.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("503")
    );
    let next = w.call(EVENT);
    assert_eq!(next.json()["messageId"], "agent-2", "the lane goes on");
    w.settle();
    let dead = w.health()["deadLetters"].clone();
    assert_eq!(dead[0]["code"], "vcx_failed");
    assert_eq!(dead.as_array().unwrap().len(), 1);
}

/// A day while connected: what GHL cannot be asked for is nobody's try.
#[test]
fn time_without_a_connection_does_not_count_as_trying() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 403, json!(null));
    w.advance(900);
    w.push_with(
        "to pause",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2" }),
    );
    let call = w.call("POST /contacts/search");
    w.answer(&call, 400, refusal(400, "Location is not active"));
    assert_eq!(w.health()["state"], "paused");
    let until = w.now + 5 * DAY;
    while w.now < until {
        w.advance_to_next(until - w.now);
        for call in w.calls.clone() {
            assert_eq!(call.label(), "POST /oauth/token");
            w.answer(&call, 400, refusal(400, "Location is not active"));
        }
    }
    let probe = w.wait_for("POST /oauth/token", 2 * HOUR);
    w.answer(&probe, 200, grant(LOCATION, "access-2", "refresh-2"));
    let call = w.call(SEND);
    w.answer(&call, 403, json!(null));
    assert_eq!(w.health()["deadLetters"], json!([]));
    w.wait_for(SEND, 11 * MINUTE);
}

#[test]
fn work_parked_by_a_pause_or_a_disconnect_keeps_thirty_days() {
    for paused in [true, false] {
        let mut w = World::chatting();
        w.pass(MINUTE);
        w.push("Hello");
        let call = w.only_call(SEND);
        let again = |w: &mut World, call: &Call| match (paused, call.label().as_str()) {
            (_, FAILED | "vCX location.disconnected") => drop(w.take(&call.label())),
            (true, _) => w.answer(call, 400, refusal(400, "Location is not active")),
            (false, _) => panic!("{} while uninstalled", call.label()),
        };
        match paused {
            true => again(&mut w, &call),
            false => {
                // Never sent: the refusal shows the token to be at its end.
                w.answer(
                    &call,
                    401,
                    refusal(401, "Invalid token: access token is invalid"),
                );
                w.call("POST /oauth/token");
                w.advance(10);
                w.app_event(json!({ "type": "UNINSTALL" }));
                w.calls.retain(|call| call.label() != "POST /oauth/token");
            }
        }
        let until = w.now + 29 * DAY;
        let run = |w: &mut World, until: i64| {
            while w.now < until {
                while let Some(call) = w.calls.first().cloned() {
                    again(w, &call);
                }
                w.advance_to_next(until - w.now);
            }
        };
        run(&mut w, until);
        let repeat = w.push_with("Hello", json!({ "messageId": "m2" }));
        let status = w.status(&repeat);
        assert_eq!(status, if paused { 202 } else { 409 });
        assert_eq!(
            w.number("SELECT count(*) FROM outbox WHERE key = 'out:m2' AND open"),
            1
        );
        run(&mut w, until + 3 * DAY);
        assert_eq!(
            w.number("SELECT count(*) FROM outbox WHERE key = 'out:m2' AND open"),
            0
        );
        let dead = w.health()["deadLetters"].clone();
        assert_eq!(dead[0]["messageId"], "m2", "paused: {paused}");
        assert!(dead[0]["reason"].as_str().unwrap().contains("30 days"));
    }
}

#[test]
fn work_that_was_parked_goes_on_when_the_connection_is_back() {
    let mut w = World::chatting();
    w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
    w.settle();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 400, refusal(400, "Location is not active"));
    let queued = w.push("are you there?");
    assert_eq!(w.status(&queued), 202);
    assert!(
        w.body(&queued)["reason"]
            .as_str()
            .unwrap()
            .contains("not active")
    );
    w.advance(10);
    w.connect_with(grant(LOCATION, "access-9", "refresh-9"));
    let call = w.call(SEND);
    assert_eq!(call.header("authorization"), "Bearer access-9");
    let made = w.settle();
    assert_eq!(made.iter().filter(|label| *label == SEND).count(), 2);
}

#[test]
fn an_answer_that_comes_after_an_uninstall_still_counts() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    let push = w.push("Hello");
    let call = w.only_call(SEND);
    w.app_event(json!({ "type": "UNINSTALL" }));
    w.answer(
        &call,
        200,
        json!({ "messageId": "ghl-m2", "conversationId": "cnv-client-1" }),
    );
    assert_eq!(w.status(&push), 200);
}

#[test]
fn what_waits_for_more_than_a_minute_is_seen_in_health_with_why() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    let refused = Response::json(403, &refusal(403, "not this one"));
    w.answer_with(&call, refused.header("retry-after", "3600"));
    w.advance(59 * SECOND);
    assert_eq!(w.health()["health"], "ok");
    assert_eq!(
        w.health()["queue"],
        json!({ "depth": 1, "oldestAt": START, "nextTryAt": START + 3_600 * SECOND })
    );
    w.advance(2 * SECOND);
    let health = w.health();
    assert_eq!(health["health"], "degraded");
    let reasons = health["reasons"].to_string();
    assert!(reasons.contains("61 s"), "{reasons}");
    assert!(reasons.contains("not this one"), "{reasons}");
}

// After an unclear result.

#[test]
fn after_an_unclear_result_it_looks_2_5_12_and_30_seconds_after_the_send() {
    for silent in [false, true] {
        let mut w = World::chatting();
        w.push("Hello");
        let call = w.only_call(SEND);
        let sent = w.now;
        match silent {
            true => w.drop_call(&call),
            false => w.answer(&call, 502, json!(null)),
        }
        let mut looks = Vec::new();
        for _ in 0..4 {
            let look = w.wait_for(LOOK, MINUTE);
            assert_eq!(look.query("limit").as_deref(), Some("100"));
            looks.push(w.now - sent);
            w.answer(&look, 200, page(json!([]), false));
        }
        assert_eq!(looks, [2_000, 5_000, 12_000, 30_000]);
        assert_eq!(w.under_way(), NOTHING);
        w.wait_for(SEND, 2 * SECOND);
    }
}

#[test]
fn what_is_found_is_sent_and_not_sent_again() {
    let mut w = World::chatting();
    let push = w.push("Hello");
    let call = w.only_call(SEND);
    w.drop_call(&call);
    let look = w.wait_for(LOOK, MINUTE);
    w.answer(&look, 200, page(json!([]), false));
    let look = w.wait_for(LOOK, MINUTE);
    w.answer(&look, 200, page(json!([mine("m2", "inbound")]), false));
    assert_eq!(w.status(&push), 200);
    assert_eq!(
        w.body(&push),
        json!({
            "status": "sent", "messageId": "m2", "contactId": "con-client-1",
            "conversationId": "cnv-client-1", "ghlMessageId": "ghl-m2",
        })
    );
    w.advance(HOUR);
    assert_eq!(w.under_way(), NOTHING);
    // Its copy is known as ours.
    w.app_event(outbound("con-client-1", "ghl-m2", "Hello"));
    w.advance(2 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn not_found_is_believed_thirty_seconds_after_a_call_that_was_never_answered() {
    for how in ["timeout", "drop", "502", "504"] {
        let mut w = World::chatting();
        w.push("Hello");
        let call = w.only_call(SEND);
        let sent = w.now;
        match how {
            "timeout" => w.advance(15 * SECOND),
            "drop" => w.drop_call(&call),
            status => w.answer(&call, status.parse().unwrap(), json!(null)),
        }
        let mut last_look = 0;
        while !w.under_way().contains(&SEND.to_owned()) {
            if let Some(look) = w.calls.first().cloned() {
                last_look = w.now - sent;
                w.answer(&look, 200, page(json!([]), false));
            }
            w.advance_to_next(MINUTE);
        }
        assert_eq!(last_look, 30 * SECOND, "{how}");
        let again = w.only_call(SEND);
        assert_eq!(
            again.json(),
            call.json(),
            "the same message, its date included"
        );
    }
}

#[test]
fn not_found_is_believed_five_seconds_after_another_5xx() {
    for status in [500, 501, 503, 520] {
        let mut w = World::chatting();
        w.push("Hello");
        let call = w.only_call(SEND);
        w.answer(&call, status, json!(null));
        let mut looks = Vec::new();
        while !w.under_way().contains(&SEND.to_owned()) {
            if let Some(look) = w.calls.first().cloned() {
                looks.push(w.now - START);
                w.answer(&look, 200, page(json!([]), false));
            }
            w.advance_to_next(MINUTE);
        }
        assert_eq!(looks, [2_000, 5_000], "{status}");
    }
}

/// What was sent, was not answered in time and was not found, is sent again; and looked for anew.
#[test]
fn each_send_has_its_own_looks() {
    let mut w = World::chatting();
    w.push("Hello");
    for _ in 0..3 {
        let call = w.wait_for(SEND, MINUTE);
        let sent = w.now;
        w.answer(&call, 500, json!(null));
        for at in [2_000, 5_000] {
            let look = w.wait_for(LOOK, MINUTE);
            assert_eq!(w.now - sent, at);
            w.answer(&look, 200, page(json!([]), false));
        }
    }
    w.wait_for(SEND, MINUTE);
}

#[test]
fn the_timeout_makes_up_for_the_looks_that_it_missed() {
    let mut w = World::chatting();
    w.push("Hello");
    assert_eq!(w.only_call(SEND).timeout_ms, 15 * SECOND);
    w.advance(15 * SECOND);
    w.only_call(LOOK);
    let look = w.take_look(json!([]));
    assert_eq!(look, 15 * SECOND);
    w.wait_for(LOOK, MINUTE);
    assert_eq!(w.now - START, 30 * SECOND);
}

#[test]
fn a_look_that_fails_says_nothing() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 500, json!(null));
    let until = w.now + 10 * MINUTE;
    let mut looks = 0;
    while w.now < until {
        for look in w.calls.clone() {
            assert_eq!(look.label(), LOOK, "never sent without a look that worked");
            w.answer(&look, 503, json!(null));
            looks += 1;
        }
        w.advance_to_next(until - w.now);
    }
    assert!(looks > 4);
}

#[test]
fn a_message_in_an_unknown_conversation_is_looked_for_by_its_contact() {
    let mut w = World::connected();
    w.push("Hello");
    w.take("POST /contacts/search");
    w.take("POST /contacts/");
    let call = w.call("POST /conversations/");
    w.answer(&call, 400, refusal(400, "not now"));
    let call = w.only_call(SEND);
    w.drop_call(&call);
    let find = w.wait_for(FIND, MINUTE);
    assert_eq!(w.now - START, 2 * SECOND);
    assert_eq!(find.query("locationId").as_deref(), Some(LOCATION));
    assert_eq!(find.query("contactId").as_deref(), Some("con-client-1"));
    w.answer(&find, 200, json!({ "conversations": [], "total": 0 }));
    let find = w.wait_for(FIND, MINUTE);
    assert_eq!(w.now - START, 5 * SECOND);
    let found = json!([
        { "id": "cnv-x", "contactId": "con-x" },
        { "id": "cnv-client-1", "contactId": "con-client-1" },
    ]);
    w.answer(&find, 200, json!({ "conversations": found, "total": 2 }));
    let look = w.only_call(LOOK);
    w.answer(&look, 200, page(json!([mine("m1", "inbound")]), false));
    let again = w.push_with("Hello", json!({ "messageId": "m1" }));
    assert_eq!(w.body(&again)["conversationId"], "cnv-client-1");
    w.settle();
    w.push("Next");
    assert_eq!(w.only_call(SEND).json()["conversationId"], "cnv-client-1");
}

#[test]
fn a_look_pages_back_past_the_message_s_own_date() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    let push = w.push_with("Hello", json!({ "timestamp": START + 30 * SECOND }));
    let call = w.only_call(SEND);
    w.drop_call(&call);
    let look = w.wait_for(LOOK, MINUTE);
    assert_eq!(look.query("lastMessageId"), None);
    let newer: Vec<Value> = (0..100)
        .map(|n| other(&format!("new-{n}"), "2026-10-08T09:00:50.000Z"))
        .collect();
    w.answer(&look, 200, page(json!(newer), true));
    let look = w.only_call(LOOK);
    assert_eq!(look.query("lastMessageId").as_deref(), Some("new-99"));
    let same = other("same", "2026-10-08T09:00:30.000Z");
    w.answer(&look, 200, page(json!([same]), true));
    let look = w.only_call(LOOK);
    assert_eq!(look.query("lastMessageId").as_deref(), Some("same"));
    let mut found = mine("m2", "inbound");
    merge(
        &mut found,
        json!({ "dateAdded": "2026-10-08T09:00:30.000Z" }),
    );
    w.answer(&look, 200, page(json!([found]), true));
    assert_eq!(w.status(&push), 200);
}

#[test]
fn a_look_stops_at_what_is_older_than_the_message() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    w.push("Hello");
    let call = w.only_call(SEND);
    w.drop_call(&call);
    let look = w.wait_for(LOOK, MINUTE);
    let older = other("old", "2026-10-08T08:00:00.000Z");
    w.answer(&look, 200, page(json!([older]), true));
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn a_look_compares_alt_id_and_direction() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 500, json!(null));
    let look = w.wait_for(LOOK, MINUTE);
    let alike = json!([
        mine("m2", "outbound"),
        mine("m3", "inbound"),
        other("x", "2026-10-08T09:00:00.000Z")
    ]);
    w.answer(&look, 200, page(alike, false));
    let look = w.wait_for(LOOK, MINUTE);
    w.answer(&look, 200, page(json!([mine("m2", "outbound")]), false));
    w.wait_for(SEND, MINUTE);
}

/// GHL goes on with a conversation under another id, with all that is in it.
#[test]
fn a_conversation_that_is_not_there_any_more_is_looked_for_by_its_contact() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.drop_call(&call);
    let look = w.wait_for(LOOK, MINUTE);
    w.answer(&look, 404, refusal(404, "Conversation not found"));
    let search = w.wait_for("GET /conversations/search", MINUTE);
    assert_eq!(search.query("contactId").unwrap(), "con-client-1");
    let found = json!({ "conversations": [{ "id": "cnv-merged", "contactId": "con-client-1" }] });
    w.answer(&search, 200, found);
    let look = w.only_call("GET /conversations/cnv-merged/messages");
    w.answer(&look, 200, page(json!([mine("m2", "inbound")]), false));
    w.advance(HOUR);
    assert_eq!(w.under_way(), NOTHING, "it is there: it is not sent again");
}

/// The host came back with the answer after the message had been given up for unclear.
#[test]
fn a_late_answer_is_evidence_that_the_message_is_there() {
    for look_under_way in [false, true] {
        let mut w = World::chatting();
        let push = w.push("Hello");
        let call = w.only_call(SEND);
        // The object came up anew, and the answer reached it all the same.
        w.calls.clear();
        w.feed(vcx_ghl::location::Input::Started);
        if look_under_way {
            w.wait_for(LOOK, MINUTE);
        }
        let body = json!({ "messageId": "ghl-m2", "conversationId": "cnv-client-1" });
        w.answer(&call, 200, body);
        assert_eq!(
            w.body(&push)["ghlMessageId"],
            "ghl-m2",
            "look under way: {look_under_way}"
        );
        if look_under_way {
            w.take_look(json!([]));
        }
        w.advance(HOUR);
        assert_eq!(w.under_way(), NOTHING);
    }
}

/// It was looked for too early, since the clock had jumped: it is not sent again all the same.
#[test]
fn a_late_answer_is_evidence_even_after_a_look_that_was_believed() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.calls.clear();
    w.now += 40 * SECOND;
    let look = w.wait_for(LOOK, MINUTE);
    w.answer(&look, 200, page(json!([]), false));
    assert_eq!(w.under_way(), NOTHING, "it waits to be sent again");
    let body = json!({ "messageId": "ghl-m2", "conversationId": "cnv-client-1" });
    w.answer(&call, 200, body);
    w.advance(HOUR);
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["queue"]["depth"], 0);
}

#[test]
fn a_late_refusal_is_no_evidence() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.calls.clear();
    w.feed(vcx_ghl::location::Input::Started);
    w.answer(&call, 400, refusal(400, "no"));
    assert_eq!(w.health()["deadLetters"], json!([]));
    w.wait_for(LOOK, MINUTE);
}

// Dead letters.

#[test]
fn a_dead_letter_to_ghl_tells_vcx() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 422, refusal(422, "message too long"));
    assert_eq!(
        w.take(FAILED).json(),
        json!({
            "type": "message.failed",
            "locationId": LOCATION,
            "clientId": "client-1",
            "vcxConversationId": "chat-1",
            "messageId": "m2",
            "direction": "toGhl",
            "code": "refused",
            "reason": "GHL refused it for good with 422: message too long",
            "timestamp": START,
        })
    );
}

#[test]
fn a_dead_letter_to_vcx_tells_both_ghl_and_vcx() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    let call = w.only_call(EVENT);
    w.answer(&call, 422, json!(null));
    let status = w.take("PUT /conversations/messages/agent-1/status");
    assert_eq!(status.json()["status"], "failed");
    let failed = w.take(FAILED);
    assert_eq!(failed.json()["messageId"], "agent-1");
    assert_eq!(failed.json()["direction"], "toVcx");
    assert_eq!(failed.json()["code"], "refused");
}

#[test]
fn that_an_event_was_refused_is_no_event() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 422, json!(null));
    let failed = w.only_call(FAILED);
    w.answer(&failed, 400, json!(null));
    assert_eq!(w.under_way(), NOTHING);
    w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
    let unread = w.only_call("vCX conversation.updated");
    w.answer(&unread, 422, json!(null));
    w.advance(DAY / 2);
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["deadLetters"].as_array().unwrap().len(), 3);
}

#[test]
fn a_repeated_push_of_a_dead_letter_is_answered_with_why() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.answer(&call, 422, refusal(422, "message too long"));
    w.settle();
    let again = w.push_with("Hello", json!({ "messageId": "m2" }));
    assert_eq!(w.status(&again), 422);
    assert!(
        w.body(&again)["detail"]
            .as_str()
            .unwrap()
            .contains("message too long")
    );
    assert_eq!(w.under_way(), NOTHING);
}

// Replay.

#[test]
fn a_replay_keeps_order_date_and_ids_and_goes_behind_what_is_queued() {
    let mut w = World::chatting();
    let mut dates = Vec::new();
    for text in ["one", "two"] {
        w.advance(MINUTE);
        w.push(text);
        let call = w.only_call(SEND);
        dates.push(call.json()["date"].clone());
        w.answer(&call, 422, json!(null));
        w.settle();
    }
    w.advance(MINUTE);
    w.push("three");
    w.push("four");
    let replayed = w.post("/locations/loc-1/replay", &json!({}));
    assert_eq!(w.body(&replayed), json!({ "replayed": 2 }));
    let calls = w.settle_calls();
    let texts: Vec<Value> = calls
        .iter()
        .map(|call| call.json()["message"].clone())
        .collect();
    assert_eq!(texts, ["three", "four", "one", "two"]);
    assert_eq!(calls[2].json()["date"], dates[0]);
    assert_eq!(calls[3].json()["date"], dates[1]);
    assert_eq!(calls[2].json()["altId"], "m2");
    assert_eq!(w.health()["deadLetters"], json!([]));
}

#[test]
fn a_replay_takes_only_the_dead_letters_it_names() {
    let mut w = World::chatting();
    for text in ["one", "two", "three"] {
        w.push(text);
        let call = w.only_call(SEND);
        w.answer(&call, 422, json!(null));
        w.settle();
    }
    let dead = w.health()["deadLetters"].clone();
    let ids = json!({ "ids": [dead[1]["id"], 999_999] });
    let replayed = w.post("/locations/loc-1/replay", &ids);
    assert_eq!(w.body(&replayed), json!({ "replayed": 1 }));
    assert_eq!(w.take(SEND).json()["message"], "two");
    assert_eq!(w.health()["deadLetters"].as_array().unwrap().len(), 2);
}

#[test]
fn a_message_that_was_replayed_is_remembered_like_any_other() {
    let mut w = World::chatting();
    w.push_with("Hello", json!({ "fromUser": false }));
    let call = w.only_call(SEND);
    w.answer(&call, 422, json!(null));
    w.settle();
    w.post("/locations/loc-1/replay", &json!({}));
    assert_eq!(w.settle(), [SEND]);
    // A repeat has no second effect, and the copy of it is ours.
    let again = w.push_with("Hello", json!({ "messageId": "m2", "fromUser": false }));
    assert_eq!(w.status(&again), 200);
    assert_eq!(w.body(&again)["ghlMessageId"], "ghl-m2");
    w.app_event(outbound("con-client-1", "ghl-m2", "Hello"));
    w.advance(2 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn a_replay_that_dies_again_is_a_dead_letter_again_and_is_told_again() {
    let mut w = World::chatting();
    w.push("Hello");
    for _ in 0..3 {
        let call = w.only_call(SEND);
        w.answer(&call, 422, json!(null));
        assert_eq!(w.settle(), [FAILED]);
        assert_eq!(w.health()["deadLetters"][0]["messageId"], "m2");
        w.advance(MINUTE);
        let replayed = w.post("/locations/loc-1/replay", &json!({}));
        assert_eq!(w.body(&replayed), json!({ "replayed": 1 }));
    }
}

/// It died in doubt: it may be there after all.
#[test]
fn a_replay_of_a_message_in_doubt_looks_first() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.drop_call(&call);
    let until = w.now + 25 * HOUR;
    while w.now < until && !w.under_way().contains(&FAILED.to_owned()) {
        for call in w.calls.clone() {
            match call.label().as_str() {
                LOOK => w.answer(&call, 500, json!(null)),
                "POST /oauth/token" => drop(w.take("POST /oauth/token")),
                FAILED => {}
                other => panic!("{other}"),
            }
        }
        if !w.under_way().contains(&FAILED.to_owned()) {
            w.advance_to_next(until - w.now);
        }
    }
    w.take(FAILED);
    w.post("/locations/loc-1/replay", &json!({}));
    let look = w.only_call(LOOK);
    w.answer(&look, 200, page(json!([mine("m2", "inbound")]), false));
    w.advance(HOUR);
    assert_eq!(w.under_way(), NOTHING);
    let again = w.push_with("Hello", json!({ "messageId": "m2" }));
    assert_eq!(w.body(&again)["ghlMessageId"], "ghl-m2");
}

#[test]
fn what_cannot_be_replayed_stays() {
    let mut w = World::chatting();
    w.app_event(json!({ "type": "ContactDelete" }));
    let replayed = w.post("/locations/loc-1/replay", &json!({}));
    assert_eq!(w.body(&replayed)["replayed"], 0);
    assert_eq!(w.health()["deadLetters"].as_array().unwrap().len(), 1);
}

fn mine(alt_id: &str, direction: &str) -> Value {
    json!({
        "id": format!("ghl-{alt_id}"), "altId": alt_id, "direction": direction, "body": "Hello",
        "dateAdded": "2026-10-08T09:00:00.000Z",
    })
}

fn other(id: &str, date: &str) -> Value {
    json!({ "id": id, "direction": "inbound", "body": "Hello", "dateAdded": date })
}

fn push_input(w: &World, client: &str) -> vcx_ghl::location::Input {
    let push = json!({
        "locationId": LOCATION, "clientId": client, "vcxConversationId": client,
        "fromUser": true, "body": "again", "timestamp": w.now, "messageId": format!("x-{client}"),
    });
    vcx_ghl::location::Input::Asked {
        caller: format!("x-{client}"),
        object: w.object.clone(),
        ask: vcx_ghl::location::Ask::Push {
            push: vcx_ghl::vcx::Push::parse(push.to_string().as_bytes()).unwrap(),
        },
    }
}

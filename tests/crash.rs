//! What a crash leaves: `Started`, answers to older attempts, `Trapped`, one item a turn.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::*;
use vcx_ghl::http::{Outcome, Response};
use vcx_ghl::location::{Ask, Input, Output};

const EVENT: &str = "vCX message.created";
const STATUS: &str = "PUT /conversations/messages/agent-1/status";
const FAILED: &str = "vCX message.failed";

// Started.

#[test]
fn started_makes_a_message_that_was_under_way_unclear() {
    for found in [true, false] {
        let mut w = World::chatting();
        w.push("Hello");
        w.only_call(SEND);
        w.advance(500);
        w.crash();
        assert_eq!(w.under_way(), NOTHING, "looked for before it is sent again");
        let look = w.wait_for(LOOK, 3 * SECOND);
        let mine = json!([{ "id": "ghl-m2", "altId": "m2", "direction": "inbound" }]);
        w.answer(
            &look,
            200,
            page(if found { mine } else { json!([]) }, false),
        );
        let rest = if found { w.pass(HOUR) } else { Vec::new() };
        assert_eq!(rest, NOTHING);
        if !found {
            for _ in 0..3 {
                let look = w.wait_for(LOOK, 30 * SECOND);
                w.answer(&look, 200, page(json!([]), false));
            }
            assert_eq!(
                w.now - START,
                30 * SECOND,
                "as after any call that was never answered"
            );
            w.wait_for(SEND, 2 * SECOND);
        }
        let again = w.push_with("Hello", json!({ "messageId": "m2" }));
        assert_eq!(w.status(&again), if found { 200 } else { 202 });
    }
}

#[test]
fn started_sends_an_event_again_under_the_same_id() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    let first = w.only_call(EVENT);
    w.crash();
    let second = w.wait_for(EVENT, MINUTE);
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(second.json(), first.json());
    w.take(EVENT);
    assert_eq!(w.settle(), [STATUS]);
}

#[test]
fn started_waits_for_the_search_after_a_creation_that_was_under_way() {
    let mut w = World::connected();
    w.push("Hello");
    w.take("POST /contacts/search");
    w.only_call("POST /contacts/");
    w.crash();
    w.wait_for("POST /contacts/search", MINUTE);
    assert_eq!(w.now - START, 10 * SECOND);
}

#[test]
fn started_hands_a_value_to_kv_again() {
    let mut w = World::chatting();
    w.kv_works = false;
    w.push_with("elsewhere", json!({ "vcxConversationId": "chat-2" }));
    w.settle();
    assert_eq!(w.kv("conv:loc-1:chat-2"), Value::Null);
    w.kv_works = true;
    w.crash();
    w.pass(MINUTE);
    assert_eq!(w.kv("conv:loc-1:chat-2")["contactId"], "con-client-1");
}

#[test]
fn a_crash_at_every_call_of_a_first_message_loses_and_doubles_nothing() {
    for crash_at in 0..7 {
        let mut w = World::connected();
        w.push("Hello");
        let mut stored = 0;
        let mut made = 0;
        let until = w.now + HOUR;
        let mut n = 0;
        while w.now < until {
            while let Some(call) = w.calls.first().cloned() {
                let label = call.label();
                let found = (label == LOOK && stored == 1)
                    .then(|| json!([{ "id": "ghl-m1", "altId": "m1", "direction": "inbound" }]));
                stored += usize::from(label == SEND);
                made += usize::from(label == "POST /contacts/");
                n += 1;
                if n == crash_at + 1 {
                    w.advance(10);
                    w.crash();
                    continue;
                }
                match label.as_str() {
                    LOOK => w.answer(&call, 200, page(found.unwrap_or(json!([])), false)),
                    "POST /contacts/search" if made > 0 => {
                        let contact = json!({
                            "id": "con-client-1", "source": "vCX",
                            "customFields": [{ "id": "field-1", "value": "client-1" }],
                        });
                        w.answer(&call, 200, json!({ "contacts": [contact], "total": 1 }));
                    }
                    _ => w.answer_with(&call, usual_answer(&call)),
                }
            }
            w.advance_to_next(until - w.now);
        }
        assert_eq!((stored, made), (1, 1), "crashed at call {crash_at}");
        let again = w.push_with("Hello", json!({ "messageId": "m1" }));
        assert_eq!(w.status(&again), 200);
    }
}

#[test]
fn started_in_an_empty_object_does_nothing() {
    let mut w = World::new();
    assert_eq!(w.handle(&Input::Started), Ok(Vec::new()));
    assert_eq!(w.handle(&Input::Wake), Ok(Vec::new()));
    assert_eq!(w.number("SELECT count(*) FROM sqlite_master"), 0);
}

/// Whoever waits when the object goes down asks again, and is answered with today's state.
#[test]
fn a_caller_that_was_lost_with_the_object_asks_again() {
    let mut w = World::chatting();
    let push = w.push("Hello");
    w.crash();
    assert!(w.waits(&push));
    let again = w.push_with("Hello", json!({ "messageId": "m2" }));
    assert_eq!(w.status(&again), 202);

    let mut w = World::connected();
    w.post(
        "/contact",
        &json!({ "locationId": LOCATION, "clientId": "client-9" }),
    );
    w.crash();
    let again = w.post(
        "/contact",
        &json!({ "locationId": LOCATION, "clientId": "client-9" }),
    );
    assert!(w.waits(&again));
    w.pass(MINUTE);
    assert_eq!(w.body(&again)["contactId"], "con-client-9");
}

// The safety alarm.

#[test]
fn whatever_is_left_to_do_sets_an_alarm_within_fifteen_seconds_in_the_same_turn() {
    let mut w = World::chatting();
    w.advance(HOUR);
    w.wake = None;
    w.push("Hello");
    assert!(
        w.wake.is_some_and(|at| at <= w.now + 15 * SECOND),
        "{:?}",
        w.wake
    );
    w.settle();
    w.wake = None;
    w.reply("agent-1", "Hi");
    assert!(
        w.wake.is_some_and(|at| at <= w.now + 15 * SECOND),
        "{:?}",
        w.wake
    );
    w.take(EVENT);
    w.wake = None;
    let call = w.only_call(STATUS);
    w.answer(&call, 500, json!(null));
    assert!(
        w.wake.is_some_and(|at| at <= w.now + 15 * SECOND),
        "{:?}",
        w.wake
    );
}

/// The object fell over between the commit and the call: no output was ever performed.
#[test]
fn outputs_that_never_left_are_made_up_for_by_the_alarm() {
    let mut w = World::chatting();
    let push = ask_push(&w, "m9", "Hello");
    let outputs = w.handle(&push).unwrap();
    let wake = outputs.iter().find_map(|output| match output {
        Output::Wake { at } => Some(*at),
        _ => None,
    });
    w.wake = wake;
    w.turn(Input::Started);
    w.wait_for(LOOK, MINUTE);
}

#[test]
fn a_call_that_the_host_forgot_counts_as_never_answered() {
    let mut w = World::chatting();
    w.push("Hello");
    w.calls.clear();
    w.wait_for(LOOK, 20 * SECOND);
    assert_eq!(w.now - START, 17 * SECOND);
}

// Answers to older attempts.

#[test]
fn an_answer_to_an_older_attempt_does_not_end_the_newer_one() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    let first = w.only_call(EVENT);
    w.calls.clear();
    w.turn(Input::Started);
    let second = w.wait_for(EVENT, MINUTE);
    assert!(second.attempt > first.attempt);
    w.answer(&first, 422, json!(null));
    assert_eq!(w.under_way(), [EVENT], "the newer call decides");
    w.take(EVENT);
    assert_eq!(w.settle(), [STATUS]);
    assert_eq!(w.health()["deadLetters"], json!([]));
}

#[test]
fn an_answer_to_an_item_that_is_gone_is_nobody_s() {
    let mut w = World::connected();
    w.push("Hello");
    w.take("POST /contacts/search");
    w.take("POST /contacts/");
    w.take("POST /conversations/");
    w.take(SEND);
    let tag = w.call("POST /contacts/con-client-1/tags");
    w.take("POST /contacts/con-client-1/tags");
    // Its number may be another's by now.
    w.push("Again");
    let send = w.only_call(SEND);
    w.answer(&tag, 201, json!({ "tags": [], "messageId": "not-yours" }));
    assert_eq!(w.under_way(), [SEND]);
    w.answer(
        &send,
        200,
        json!({ "messageId": "ghl-m2", "conversationId": "cnv-client-1" }),
    );
    let again = w.push_with("Again", json!({ "messageId": "m2" }));
    assert_eq!(w.body(&again)["ghlMessageId"], "ghl-m2");
}

// Trapped.

#[test]
fn a_push_that_traps_is_answered_500_and_is_safe_to_repeat() {
    let mut w = World::chatting();
    w.db.poison = Some("deadly");
    let push = w.push("deadly words");
    assert_eq!(w.status(&push), 500);
    assert_eq!(w.body(&push)["code"], "internal");
    assert_eq!(
        w.number("SELECT count(*) FROM outbox WHERE key = 'out:m2'"),
        0
    );
    assert_eq!(w.logged("trapped").len(), 1);
    assert_eq!(w.logged("trapped")[0]["input"], "asked");
    w.db.poison = None;
    let push = w.push_with("deadly words", json!({ "messageId": "m2" }));
    w.settle();
    assert_eq!(w.status(&push), 200);
}

#[test]
fn the_third_trap_over_a_push_makes_it_a_dead_letter() {
    let mut w = World::chatting();
    for n in 1..=4 {
        let push = ask_push(&w, "m9", "deadly words");
        w.trap(push);
        let dead = w.health()["deadLetters"].as_array().unwrap().len();
        assert_eq!(dead, usize::from(n >= 3), "after {n} traps");
    }
    let dead = w.health()["deadLetters"][0].clone();
    assert_eq!(dead["code"], "trapped");
    assert!(
        dead["reason"].as_str().unwrap().contains("three times"),
        "{dead}"
    );
}

#[test]
fn pushes_without_ids_are_told_apart_when_they_trap() {
    let mut w = World::chatting();
    for text in ["one", "two", "three", "four"] {
        let mut push = ask_push(&w, "x", text);
        let Input::Asked {
            ask: Ask::Push { push },
            ..
        } = &mut push
        else {
            panic!()
        };
        push.message_id = None;
        let input = Input::Asked {
            caller: text.into(),
            object: w.object.clone(),
            ask: Ask::Push { push: push.clone() },
        };
        w.trap(input);
    }
    assert_eq!(w.health()["deadLetters"], json!([]), "each trapped once");
}

#[test]
fn a_webhook_that_traps_is_repeated_by_ghl_and_the_third_time_taken_as_a_dead_letter() {
    let mut w = World::chatting();
    let statuses: Vec<u16> = (0..3)
        .map(|_| {
            let webhook = ask_webhook(&mut w);
            let caller = Caller(match &webhook {
                Input::Asked { caller, .. } => caller.clone(),
                _ => panic!(),
            });
            w.trap(webhook);
            w.status(&caller)
        })
        .collect();
    assert_eq!(statuses, [500, 500, 200]);
    assert_eq!(w.health()["deadLetters"][0]["code"], "trapped");
}

#[test]
fn health_and_connect_that_trap_are_told_so() {
    let mut w = World::chatting();
    for ask in [Ask::Health, Ask::Replay { ids: None }] {
        let caller = format!("{ask:?}");
        let object = w.object.clone();
        w.trap(Input::Asked {
            caller: caller.clone(),
            object,
            ask,
        });
        assert_eq!(w.status(&Caller(caller)), 500);
    }
}

#[test]
fn a_trap_over_ghl_s_answer_leaves_the_message_in_doubt() {
    let mut w = World::chatting();
    w.push("Hello");
    let call = w.only_call(SEND);
    w.calls.clear();
    w.trap(answered(&call, 200, json!({ "messageId": "ghl-m2" })));
    let look = w.wait_for(LOOK, 3 * SECOND);
    let mine = json!([{ "id": "ghl-m2", "altId": "m2", "direction": "inbound" }]);
    w.answer(&look, 200, page(mine, false));
    assert_eq!(w.pass(HOUR), NOTHING);
    let again = w.push_with("Hello", json!({ "messageId": "m2" }));
    assert_eq!(w.status(&again), 200);
}

/// The search sees a contact that was made ten seconds ago.
#[test]
fn a_trap_over_the_answer_to_a_creation_searches_before_it_creates_again() {
    let mut w = World::connected();
    w.push("Hello");
    w.take("POST /contacts/search");
    let create = w.only_call("POST /contacts/");
    w.calls.clear();
    w.trap(answered(
        &create,
        201,
        json!({ "contact": { "id": "con-client-1" } }),
    ));
    w.advance(9 * SECOND);
    assert_eq!(w.under_way(), NOTHING);
    w.wait_for("POST /contacts/search", 5 * SECOND);
}

#[test]
fn the_third_trap_over_one_item_makes_it_a_dead_letter_and_its_lane_goes_on() {
    let mut w = World::chatting();
    w.reply("agent-1", "deadly");
    w.reply("agent-2", "harmless");
    for _ in 0..3 {
        let call = w.wait_for(EVENT, MINUTE);
        assert_eq!(call.json()["messageId"], "agent-1");
        w.calls.clear();
        w.trap(answered(&call, 200, json!({})));
    }
    w.advance(SECOND);
    let made = w.settle_calls();
    let events: Vec<Value> = made
        .iter()
        .filter(|call| call.label() == EVENT)
        .map(|call| call.json()["messageId"].clone())
        .collect();
    assert_eq!(events, ["agent-2"]);
    let failed = made.iter().find(|call| call.label() == STATUS).unwrap();
    assert_eq!(failed.json()["status"], "failed");
    assert!(made.iter().any(|call| call.label() == FAILED));
    assert_eq!(w.health()["deadLetters"][0]["code"], "trapped");
}

#[test]
fn a_lost_call_that_traps_is_the_one_that_is_taken_out_of_the_way() {
    let mut w = World::chatting();
    w.push("deadly");
    let send = w.only_call(SEND);
    w.reply("agent-1", "harmless");
    let event = w.call(EVENT);
    for round in 0..3 {
        // The host does not come back with the call; the event has become ready meanwhile.
        w.calls.retain(|call| call.label() == EVENT);
        w.now += MINUTE;
        if round == 0 {
            w.turn(answered(&event, 503, json!({})));
            w.calls.clear();
        }
        w.trap(Input::Wake);
        w.advance(2 * SECOND);
    }
    let dead = w.health()["deadLetters"].clone();
    assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
    assert_eq!(dead[0]["code"], "trapped");
    assert_eq!(dead[0]["messageId"], send.json()["altId"]);

    // It may be in GHL: a replay looks first.
    w.post("/locations/loc-1/replay", &json!({}));
    assert!(
        w.under_way().contains(&LOOK.to_owned()),
        "{:?}",
        w.under_way()
    );
    assert!(!w.under_way().contains(&SEND.to_owned()));
}

#[test]
fn a_trap_over_a_token_s_answer_is_a_lost_answer() {
    let mut w = World::chatting();
    w.advance(86_399 * SECOND - MINUTE);
    let call = w.only_call("POST /oauth/token");
    w.calls.clear();
    w.trap(answered(&call, 200, json!({})));
    w.advance(SECOND);
    let again = w.only_call("POST /oauth/token");
    assert_eq!(again.form("refresh_token").as_deref(), Some("refresh-1"));
}

#[test]
fn a_trap_over_kv_s_answer_tries_that_value_again() {
    let mut w = World::chatting();
    w.kv_works = false;
    w.push_with("elsewhere", json!({ "vcxConversationId": "chat-2" }));
    w.settle();
    let (key, doc) = w.mirrored.last().cloned().unwrap();
    let rev = doc["rev"].as_i64().unwrap();
    w.kv_works = true;
    w.trap(Input::Mirrored {
        key: key.clone(),
        rev,
        ok: true,
    });
    w.pass(MINUTE);
    assert_eq!(w.kv(&key)["rev"], rev);
}

#[test]
fn traps_over_the_rest_are_noted_and_work_goes_on() {
    let mut w = World::chatting();
    w.push("Hello");
    w.settle();
    w.trap(Input::Started);
    w.trap(Input::Waited {
        caller: "caller-3".into(),
        item: 3,
    });
    w.trap(Input::Trapped {
        input: Box::new(Input::Wake),
    });
    w.trap(Input::Wake);
    w.advance(2 * SECOND);
    let push = w.push("And now?");
    w.pass(2 * SECOND);
    assert_eq!(w.status(&push), 200);
}

// One item a turn.

#[test]
fn after_a_trap_one_item_is_started_a_turn_until_all_have_been() {
    let mut w = World::chatting();
    for n in 2..5 {
        let client = format!("client-{n}");
        w.push_with(
            "hello",
            json!({ "clientId": client, "vcxConversationId": client }),
        );
        w.settle();
    }
    w.trap(Input::Started);
    for n in 2..5 {
        let input = {
            let mut input = ask_push(&w, &format!("x{n}"), "again");
            let Input::Asked {
                caller,
                ask: Ask::Push { push },
                ..
            } = &mut input
            else {
                panic!()
            };
            *caller = format!("x{n}");
            push.client_id = format!("client-{n}");
            push.vcx_conversation_id = format!("client-{n}");
            input
        };
        w.turn(input);
    }
    assert_eq!(w.under_way(), NOTHING, "accepted, not started");
    assert_eq!(w.wake, Some(w.now));
    for n in 1..=3 {
        w.wake = None;
        w.turn(Input::Wake);
        assert_eq!(w.calls.len(), n);
        assert_eq!(w.wake, Some(w.now));
    }
    w.wake = None;
    w.turn(Input::Wake);
    w.push("all at once again");
    assert_eq!(w.calls.len(), 4);
}

/// The alarm traps whenever one item is about to leave. It is found out and taken out of the way;
/// nobody else is kept from leaving for long.
#[test]
fn an_item_that_brings_each_alarm_down_is_found_and_buried_and_the_others_go_on() {
    let mut w = World::chatting();
    for n in 2..6 {
        let client = format!("client-{n}");
        w.push_with(
            "hello",
            json!({ "clientId": client, "vcxConversationId": client }),
        );
        w.settle();
    }
    let mut texts = Vec::new();
    w.push("deadly words");
    w.calls.clear();
    w.turn(Input::Started);
    w.db.poison = Some("deadly");
    for n in 2..6 {
        let client = format!("client-{n}");
        w.push_with(
            "harmless",
            json!({ "clientId": client, "vcxConversationId": client }),
        );
    }
    let until = w.now + 10 * MINUTE;
    while w.now < until {
        while let Some(call) = w.calls.first().cloned() {
            if call.label() == SEND {
                texts.push(call.json()["message"].as_str().unwrap().to_owned());
            }
            w.answer_with(&call, usual_answer(&call));
        }
        w.advance_to_next(until - w.now);
    }
    assert_eq!(texts, ["harmless"; 4]);
    assert!((3..100).contains(&w.traps), "{} traps", w.traps);
    w.db.poison = None;
}

/// A version of this code that can read it may have written it: it must not stop the others.
#[test]
fn an_item_that_cannot_be_read_is_buried_and_the_others_go_on() {
    let other = json!({ "clientId": "client-2", "vcxConversationId": "chat-2" });
    for (column, stage) in [
        ("work", "live"),
        ("step", "live"),
        ("work", "flight"),
        ("step", "flight"),
    ] {
        let mut w = World::chatting();
        w.push_with("hello", other.clone());
        w.settle();
        w.push("never to be read");
        w.calls.clear();
        let sql = format!(
            "UPDATE outbox SET {column} = '{{\"new', stage = ?1, due = ?2 WHERE key = 'out:m3'"
        );
        let changed = w.db.connection.execute(&sql, (stage, w.now)).unwrap();
        assert_eq!(changed, 1);
        w.turn(Input::Started);
        let push = w.push_with("harmless", other.clone());
        assert!(w.settle().contains(&SEND.to_owned()));
        assert_eq!(w.status(&push), 200);
        w.pass(HOUR);
        let dead = w.health()["deadLetters"][0].clone();
        assert_eq!(dead["code"], "unintelligible", "{column} in {stage}");
        assert_eq!(w.number("SELECT count(*) FROM outbox WHERE open = 1"), 0);
    }
}

#[test]
fn a_fault_of_the_database_leaves_nothing_behind() {
    let mut w = World::chatting();
    let before = w.dump();
    let push = ask_push(&w, "m9", "deadly words");
    w.db.poison = Some("deadly");
    assert!(w.handle(&push).is_err());
    assert_eq!(w.dump(), before);
}

#[test]
fn a_schema_of_a_newer_code_is_refused() {
    let mut w = World::chatting();
    w.db.connection
        .execute("UPDATE location SET schema = 99", [])
        .unwrap();
    let refused = w.handle(&Input::Wake);
    assert!(
        refused
            .unwrap_err()
            .contains("its schema 99 is newer than this code's")
    );
}

fn ask_push(w: &World, id: &str, text: &str) -> Input {
    let push = json!({
        "locationId": LOCATION, "clientId": "client-1", "vcxConversationId": "chat-1",
        "fromUser": true, "body": text, "timestamp": w.now, "messageId": id,
    });
    let push = vcx_ghl::vcx::Push::parse(push.to_string().as_bytes()).unwrap();
    Input::Asked {
        caller: format!("nobody-{}", w.traps),
        object: w.object.clone(),
        ask: Ask::Push { push },
    }
}

fn ask_webhook(w: &mut World) -> Input {
    let body = delivery("con-client-1", "agent-1", "deadly").to_string();
    let webhook = vcx_ghl::ghl::webhook::Webhook::read(&body, "hash", PROVIDER).unwrap();
    let caller = format!("ghl-{}", w.traps);
    Input::Asked {
        caller,
        object: w.object.clone(),
        ask: Ask::Webhook { webhook },
    }
}

fn answered(call: &Call, status: u16, body: Value) -> Input {
    let outcome = Outcome::Answered(Response::json(status, &body));
    Input::Answered {
        call: call.name.clone(),
        attempt: call.attempt,
        outcome,
    }
}

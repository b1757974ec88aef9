//! The live end: what browsers that listen are told, what they acknowledge, and when they are
//! sent away.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::live::Live;
use support::*;
use vcx_ghl::edge::Incoming;
use vcx_ghl::error::Code;
use vcx_ghl::location::{Ask, Input, Listen, Output};
use vcx_ghl::session::Session;
use vcx_ghl::store::NEVER;

const EVENT: &str = "vCX message.created";
const STATUS: &str = "PUT /conversations/messages/agent-1/status";
/// Settings without a backend that takes events.
const LIVE_ONLY: [(&str, &str); 3] = [
    ("SESSION_SECRET", SESSION_SECRET),
    ("VCX_WEBHOOK_URL", ""),
    ("VCX_WEBHOOK_SECRET", ""),
];

// What they are told.

#[test]
fn the_visitor_s_words_the_agent_s_and_how_far_they_are_come_as_they_happen() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    assert_eq!(w.heard(&tab), ["ready"]);
    w.push("Is anybody there?");
    assert_eq!(w.heard(&tab), ["visitor: Is anybody there?"]);
    w.settle();
    assert_eq!(w.heard(&tab), ["m2 delivered"]);
    w.reply("agent-1", "Yes, I am");
    assert_eq!(w.heard(&tab), ["agent: Yes, I am"]);
    w.settle();
    assert_eq!(w.heard(&tab), ["agent-1 delivered"]);
    w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
    assert_eq!(w.heard(&tab), ["0 unread"]);
    status(&mut w, "agent-1", "read");
    assert_eq!(w.heard(&tab), ["agent-1 read"]);
}

#[test]
fn an_event_has_the_fields_that_vcx_s_backend_knows_and_an_id() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    let ready = w.told(&tab);
    assert_eq!(ready[0], json!({ "type": "ready", "id": w.newest(&tab) }));
    w.advance(SECOND);
    let written = w.now - MINUTE;
    w.push_with(
        "Look",
        json!({ "timestamp": written, "attachments": ["https://x.example/cat.png"] }),
    );
    let created = w.told(&tab).remove(0);
    assert_eq!(
        created,
        json!({
            "id": w.now, "type": "message.created", "clientId": "client-1",
            "vcxConversationId": "chat-1", "messageId": "m2", "fromUser": true, "body": "Look",
            "timestamp": written, "attachments": ["https://x.example/cat.png"],
        })
    );
    w.settle();
    assert_eq!(
        w.told(&tab).remove(0),
        json!({
            "id": w.now + 1, "type": "message.status", "vcxConversationId": "chat-1",
            "messageId": "m2", "status": "delivered", "timestamp": w.now,
        })
    );
    w.reply("agent-1", "A cat!");
    let event = w.only_call(EVENT).json();
    let mut told = w.told(&tab).remove(0);
    assert_eq!(told["userId"], "user-1");
    merge(
        &mut told,
        json!({ "id": null, "locationId": event["locationId"] }),
    );
    assert_eq!(told, event);
    let unread = json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" });
    w.app_event(unread);
    let mut told = w.told(&tab).remove(0);
    assert_eq!(told["unreadCount"], 0);
    w.settle();
    merge(&mut told, json!({ "id": null }));
    let names = [
        "clientId",
        "timestamp",
        "type",
        "unreadCount",
        "vcxConversationId",
    ];
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(keys, names);
}

#[test]
fn what_vcx_s_own_agents_and_bots_write_is_shown_too() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.push_with("I am a bot", json!({ "fromUser": false }));
    assert_eq!(w.heard(&tab), ["ready", "agent: I am a bot"]);
}

#[test]
fn a_push_that_is_repeated_or_refused_at_once_is_no_news() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.push_with("Hello", json!({ "messageId": "m9" }));
    w.settle();
    assert_eq!(w.heard(&tab), ["ready", "visitor: Hello", "m9 delivered"]);
    let again = w.push_with("Hello", json!({ "messageId": "m9" }));
    assert_eq!(w.status(&again), 200);
    let other = w.push_with("Something else", json!({ "messageId": "m9" }));
    assert_eq!(w.status(&other), 409);
    w.reply("agent-1", "Hi");
    w.reply("agent-1", "Hi");
    w.app_event(outbound("con-client-1", "agent-1", "Hi"));
    w.pass(HOUR);
    assert_eq!(w.heard(&tab), ["agent: Hi", "agent-1 delivered"]);
}

#[test]
fn a_push_that_ghl_refuses_has_failed_and_a_replay_delivers_it() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.push("Hello");
    let send = w.only_call(SEND);
    w.answer(&send, 422, refusal(422, "no thank you"));
    let told = w.told(&tab);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[2]["status"], "failed");
    assert_eq!(told[2]["code"], "refused");
    let reason = told[2]["reason"].as_str().unwrap();
    assert!(reason.contains("no thank you"), "{reason}");
    w.settle();
    w.post("/locations/loc-1/replay", &json!({}));
    w.settle();
    assert_eq!(w.heard(&tab), ["m2 delivered"], "and it is not shown again");
}

#[test]
fn an_agent_s_message_that_vcx_refuses_has_failed_and_a_replay_does_not_show_it_again() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    let event = w.only_call(EVENT);
    w.answer(&event, 422, json!(null));
    let told = w.told(&tab);
    assert_eq!(told[1]["messageId"], "agent-1");
    assert_eq!(
        (&told[2]["status"], &told[2]["code"]),
        (&json!("failed"), &json!("refused"))
    );
    w.settle();
    w.post("/locations/loc-1/replay", &json!({}));
    w.settle();
    assert_eq!(w.heard(&tab), ["agent-1 delivered"]);
}

#[test]
fn a_status_that_does_not_move_forward_is_no_news() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    w.settle();
    w.heard(&tab);
    for word in ["delivered", "failed"] {
        status(&mut w, "agent-1", word);
    }
    assert_eq!(w.heard(&tab), [""; 0]);
    status(&mut w, "agent-1", "read");
    status(&mut w, "agent-1", "read");
    assert_eq!(w.heard(&tab), ["agent-1 read"]);
}

/// Whoever could not see a message is not told that it has failed.
#[test]
fn a_message_that_the_loop_brake_stops_is_shown_when_it_is_replayed() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    let mut n = 0;
    while w.logged("loop_brake").is_empty() {
        n += 1;
        w.push("I am out of office");
        w.settle();
        w.heard(&tab);
        w.ack_all(&tab);
        w.reply(&format!("agent-{n}"), "So am I");
        w.pass(SECOND);
        assert!(n < 100);
    }
    let stopped = format!("agent-{n}");
    let told = w.told(&tab);
    assert!(
        told.iter()
            .all(|event| event["messageId"] != json!(stopped)),
        "{told:?}"
    );
    w.post("/locations/loc-1/replay", &json!({}));
    w.settle();
    let told = w.heard(&tab);
    assert_eq!(told, ["agent: So am I", &format!("{stopped} delivered")]);
}

#[test]
fn an_agent_s_message_for_an_unknown_contact_is_shown_once_its_chat_is_known() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.webhook(&delivery("con-other", "agent-1", "Hi"));
    assert_eq!(w.heard(&tab), ["ready"]);
    let read = w.only_call("GET /contacts/con-other");
    w.answer(
        &read,
        200,
        json!({ "contact": { "id": "con-other", "customFields": [
            { "id": "field-1", "value": "client-1" } ] } }),
    );
    assert_eq!(w.heard(&tab), ["agent: Hi"]);
    w.settle();
    assert_eq!(w.heard(&tab), ["agent-1 delivered"]);
}

#[test]
fn nobody_hears_of_another_conversation() {
    let mut w = World::chatting_with(&BROWSERS);
    let others = [
        ("client-1", "chat-2"),
        ("client-2", "chat-3"),
        ("client-2", "chat-1 "),
    ];
    let ours = w.listen(Some(0));
    let theirs: Vec<Live> = others
        .iter()
        .map(|(client, chat)| {
            let session = of(&w, client, chat);
            w.listen_as(&session, Some(0))
        })
        .collect();
    w.heard(&ours);
    w.push("Mine");
    w.reply("agent-1", "Yours");
    w.settle();
    w.push_with(
        "Another's",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-3" }),
    );
    w.settle();
    w.webhook(&delivery("con-client-2", "agent-2", "For another"));
    w.settle();
    assert_eq!(
        w.heard(&ours),
        [
            "visitor: Mine",
            "agent: Yours",
            "m2 delivered",
            "agent-1 delivered"
        ]
    );
    assert_eq!(w.heard(&theirs[0]), ["ready"]);
    assert_eq!(
        w.heard(&theirs[1]),
        [
            "ready",
            "visitor: Another's",
            "m3 delivered",
            "agent: For another",
            "agent-2 delivered"
        ]
    );
    assert_eq!(w.heard(&theirs[2]), ["ready"]);
    // Nor is anybody of another conversation looked at.
    let looks = [&ours, &theirs[0], &theirs[1], &theirs[2]].map(|tab| w.flushes(tab));
    assert_eq!(looks, [4, 0, 4, 0]);
}

#[test]
fn a_chat_s_events_go_on_when_its_contact_is_merged_forgotten_or_its_visitor_logs_in() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.app_event(json!({
        "type": "ConversationUpdate", "oldConversationId": "cnv-client-1",
        "newConversationId": "cnv-9", "contactId": "con-9",
    }));
    w.webhook(&delivery("con-9", "agent-1", "After the merge"));
    w.settle();
    let merged = w.heard(&tab);
    assert_eq!(merged[1..], ["agent: After the merge", "agent-1 delivered"]);
    w.app_event(json!({ "type": "ContactDelete", "id": "con-9" }));
    w.push_with("Still here", json!({ "clientId": "user-1" }));
    w.settle();
    let told = w.told(&tab);
    assert_eq!(told[0]["clientId"], "user-1");
    assert_eq!(told[1]["status"], "delivered");
}

// Those that come back.

#[test]
fn whoever_was_away_misses_nothing_and_hears_nothing_twice() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.push("one");
    w.settle();
    assert_eq!(w.heard(&tab), ["ready", "visitor: one", "m2 delivered"]);
    let last = w.newest(&tab);
    w.leave(&tab);
    w.reply("agent-1", "two");
    w.settle();
    w.advance(HOUR);
    w.push("three");
    let tab = w.listen(Some(last));
    assert_eq!(
        w.heard(&tab),
        ["ready", "agent: two", "agent-1 delivered", "visitor: three"]
    );
    w.settle();
    assert_eq!(w.heard(&tab), ["m3 delivered"]);
    let again = w.listen(Some(w.newest(&tab)));
    assert_eq!(
        w.told(&again),
        [json!({ "type": "ready", "id": w.newest(&tab) })]
    );
}

#[test]
fn without_after_only_what_is_new_comes_and_what_follows_goes_on_from_there() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    let at = w.newest(&tab);
    w.leave(&tab);
    w.push("while nobody listened");
    let tab = w.listen(Some(at));
    assert_eq!(w.heard(&tab), ["ready", "visitor: while nobody listened"]);
    let fresh = w.listen(None);
    assert_eq!(
        w.told(&fresh),
        [json!({ "type": "ready", "id": w.newest(&tab) })]
    );
}

#[test]
fn the_first_to_listen_at_all_stands_before_whatever_happens_next() {
    let mut w = World::connected_with(&BROWSERS);
    w.push("in the same millisecond, before");
    w.db.run("DELETE FROM feed", &[]).unwrap();
    let tab = w.listen(None);
    let at = w.newest(&tab);
    assert!(at > 0, "0 would be all that is kept");
    w.push("in the same millisecond, after");
    assert_eq!(
        w.heard(&tab),
        ["ready", "visitor: in the same millisecond, after"]
    );
    let back = w.listen(Some(at));
    assert_eq!(
        w.heard(&back),
        ["ready", "visitor: in the same millisecond, after"]
    );
}

#[test]
fn after_0_is_everything_that_is_kept_and_never_a_reset() {
    let mut w = World::chatting_with(&BROWSERS);
    w.pass(6 * DAY);
    w.push("of today");
    w.settle();
    let all = [
        "ready",
        "visitor: the first words",
        "m1 delivered",
        "visitor: of today",
    ];
    let tab = w.listen(Some(0));
    assert_eq!(w.heard(&tab)[..4], all);
    w.pass(DAY + SECOND);
    let tab = w.listen(Some(0));
    assert_eq!(w.told(&tab)[0], json!({ "type": "ready", "id": 0 }));
    let tab = w.listen(Some(0));
    assert_eq!(
        w.heard(&tab),
        ["ready", "visitor: of today", "m2 delivered"]
    );
}

#[test]
fn whoever_was_away_for_over_seven_days_is_reset() {
    let mut w = World::chatting_with(&BROWSERS);
    let at = newest(&mut w);
    w.pass(2 * DAY);
    w.push("on the third day");
    w.settle();
    w.advance(5 * DAY + SECOND);
    let back = w.listen(Some(at));
    let told = w.told(&back);
    assert_eq!(told[0]["type"], "reset");
    assert_eq!(told[1]["body"], "on the third day");
    assert_eq!(
        told[0]["id"].as_i64().unwrap() + 1,
        told[1]["id"].as_i64().unwrap()
    );
    // From there on it is complete.
    let back = w.listen(told[0]["id"].as_i64());
    assert_eq!(
        w.heard(&back),
        ["ready", "visitor: on the third day", "m2 delivered"]
    );
}

#[test]
fn whoever_was_away_for_seven_days_less_a_moment_is_not() {
    let mut w = World::chatting_with(&BROWSERS);
    let at = newest(&mut w);
    w.advance(7 * DAY - (w.now - at));
    let back = w.listen(Some(at));
    assert_eq!(w.heard(&back), ["ready"]);
    w.advance(1);
    let back = w.listen(Some(at));
    assert_eq!(w.heard(&back), ["reset"]);
}

#[test]
fn whoever_is_reset_where_nothing_is_kept_goes_on_from_now() {
    let mut w = World::chatting_with(&BROWSERS);
    let at = newest(&mut w);
    w.advance(30 * DAY);
    let back = w.listen(Some(at));
    let told = w.told(&back);
    assert_eq!(told[0]["type"], "reset");
    w.advance(DAY);
    let session = w.session();
    let back = w.listen_as(&session, told[0]["id"].as_i64());
    assert_eq!(w.heard(&back), ["ready"]);
    w.push("again");
    assert_eq!(w.heard(&back), ["visitor: again"]);
}

#[test]
fn whoever_is_over_a_thousand_events_behind_is_reset_and_gets_the_newest_thousand() {
    let mut w = World::chatting_with(&BROWSERS);
    let at = newest(&mut w);
    let first = at + 1_000;
    w.advance(HOUR);
    for n in 0..1_000 {
        let body = json!({ "type": "message.status", "messageId": n, "status": "delivered", "locationId": LOCATION });
        let sql = "INSERT INTO feed(id, conversation, body) VALUES (?, 'chat-1', ?)";
        w.db.connection
            .execute(sql, (first + n, body.to_string()))
            .unwrap();
    }
    let back = w.listen(Some(at));
    assert_eq!(
        w.told(&back)[0],
        json!({ "type": "reset", "id": first - 1 })
    );
    // One that lacks the very newest thousand lacks nothing.
    let back = w.listen(Some(first - 1));
    assert_eq!(
        w.told(&back)[0],
        json!({ "type": "ready", "id": first - 1 })
    );
    let all = w.listen(Some(0));
    let mut heard = Vec::new();
    loop {
        let told = w.told(&all);
        if told.is_empty() {
            break;
        }
        assert!(told.len() <= 101);
        heard.extend(told.iter().filter_map(|event| event["messageId"].as_i64()));
        w.ack_all(&all);
    }
    assert_eq!(heard, (0..1_000).collect::<Vec<_>>());
    assert_eq!(w.closed(&all), None);
}

#[test]
fn an_id_from_the_future_is_reset() {
    let mut w = World::chatting_with(&BROWSERS);
    let at = newest(&mut w);
    let back = w.listen(Some(at + 1));
    assert_eq!(w.heard(&back)[0], "reset");
    assert_eq!(w.heard(&back).len(), 0);
    let back = w.listen(Some(at));
    assert_eq!(w.heard(&back), ["ready"]);
}

#[test]
fn whoever_knows_a_database_that_is_gone_is_reset_and_its_ids_go_on() {
    let mut before = World::chatting_with(&BROWSERS);
    let tab = before.listen(Some(0));
    before.push("the last that it knows");
    let last = before.newest(&tab);
    for first in ["listen", "push"] {
        let mut w = World::with(&BROWSERS);
        w.kv = before.kv.clone();
        w.now = before.now + SECOND;
        if first == "push" {
            w.push_with("I am back", json!({ "messageId": "m9" }));
        }
        let back = w.listen(Some(last));
        let told = w.told(&back);
        assert_eq!(told[0]["type"], "reset");
        if first == "push" {
            assert_eq!(told[1]["body"], "I am back");
            assert!(told[1]["id"].as_i64().unwrap() > last, "ids grow");
        }
        let back = w.listen(told[0]["id"].as_i64());
        assert_eq!(w.told(&back)[0]["type"], "ready");
    }
}

#[test]
fn ids_grow_when_the_clock_goes_back() {
    let mut w = World::chatting_with(&BROWSERS);
    w.advance(DAY);
    w.push("tomorrow");
    w.settle();
    let at = newest(&mut w);
    w.now -= DAY;
    let tab = w.listen(None);
    w.push("today");
    let told = w.told(&tab);
    assert_eq!(told[1]["id"], json!(at + 1));
    let back = w.listen(Some(at));
    assert_eq!(w.heard(&back), ["ready", "visitor: today"]);
}

#[test]
fn ids_grow_when_the_clock_goes_back_where_it_was_quiet_for_long() {
    let mut w = World::chatting_with(&BROWSERS);
    w.pass(8 * DAY);
    let tab = w.listen(None);
    let at = w.newest(&tab);
    assert!(w.now - at < DAY, "whoever comes back to it is not reset");
    w.now -= HOUR;
    w.push("today");
    let told = w.told(&tab);
    assert_eq!(told[1]["id"], json!(at + 1));
}

/// `SESSION_SECRET` may be set late, and unset for a while.
#[test]
fn nothing_is_kept_without_a_session_secret_and_whoever_was_there_before_is_reset() {
    let mut w = World::chatting_with(&BROWSERS);
    let at = newest(&mut w);
    let rows = w.number("SELECT count(*) FROM feed");
    let with_sessions = std::mem::replace(&mut w.configured, World::new().configured);
    w.push("unheard");
    w.reply("agent-1", "Unheard too");
    w.settle();
    assert_eq!(w.number("SELECT count(*) FROM feed"), rows);
    w.configured = with_sessions;
    w.advance(MINUTE);
    w.push("heard");
    let back = w.listen(Some(at));
    assert_eq!(w.heard(&back), ["reset", "visitor: heard"]);
}

#[test]
fn a_location_without_sessions_keeps_nothing_at_all() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
    w.settle();
    assert_eq!(w.number("SELECT count(*) FROM feed"), 0);
}

// What is kept.

#[test]
fn old_events_go_by_themselves_though_nothing_happens_any_more() {
    let mut w = World::chatting_with(&BROWSERS);
    assert_eq!(w.number("SELECT count(*) FROM feed"), 2);
    w.pass(7 * DAY);
    assert_eq!(w.number("SELECT count(*) FROM feed"), 2);
    w.pass(HOUR + MINUTE);
    assert_eq!(w.number("SELECT count(*) FROM feed"), 0);
}

#[test]
fn a_conversation_keeps_little_more_than_a_thousand() {
    let mut w = World::chatting_with(&BROWSERS);
    w.push_with(
        "of another",
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2" }),
    );
    events(&mut w, 1_500, |w| w.advance(16));
    let ours = w.number("SELECT count(*) FROM feed WHERE conversation = 'chat-1'");
    assert!((1_000..1_400).contains(&ours), "{ours}");
    let others = w.number("SELECT count(*) FROM feed WHERE conversation = 'chat-2'");
    assert_eq!(others, 2);
    let oldest = w.listen(Some(0));
    w.told(&oldest);
    let kept = w.number("SELECT count(*) FROM feed WHERE conversation = 'chat-1'");
    assert!(kept >= 1_000);
}

/// The first push makes a chat; each later one that nobody listens to costs as little as can be.
#[test]
fn with_nobody_listening_an_event_costs_one_statement_and_one_row() {
    let statements = |settings: &[(&str, &str)]| {
        let mut w = World::chatting_with(settings);
        // Not one of those that look whether there is too much.
        w.advance(64 - w.now % 64 + 1);
        w.db.records = true;
        w.push("Hello");
        let accepted = w.db.statements.borrow().len();
        w.settle();
        w.reply("agent-1", "Hi");
        let sqls: Vec<&str> = w.db.statements.borrow().iter().map(|one| one.sql).collect();
        (accepted, sqls)
    };
    let (without, _) = statements(&[]);
    let (with, all) = statements(&BROWSERS);
    assert_eq!(with, without + 1);
    let about_feed: Vec<&&str> = all.iter().filter(|sql| sql.contains("feed")).collect();
    assert_eq!(about_feed.len(), 3, "{about_feed:?}");
    assert!(
        about_feed
            .iter()
            .all(|sql| sql.starts_with("INSERT INTO feed"))
    );
    assert!(!all.iter().any(|sql| sql.contains("listener")));
}

#[test]
fn a_database_of_the_schema_before_gets_what_it_lacks() {
    let mut w = World::chatting_with(&BROWSERS);
    w.db.connection
        .execute_batch(
            "DROP TABLE feed; DROP TABLE listener; UPDATE location SET schema = 1;
             ALTER TABLE chat DROP COLUMN pace; ALTER TABLE chat DROP COLUMN pace_from;",
        )
        .unwrap();
    let tab = w.listen(None);
    let session = w.session();
    let pushed = w.browse(
        &session,
        "/push-message",
        &json!({ "body": "Hello", "timestamp": w.now }),
    );
    w.settle();
    assert_eq!(w.status(&pushed), 200);
    assert_eq!(w.heard(&tab)[1], "visitor: Hello");
    assert_eq!(w.number("SELECT schema FROM location"), 2);
}

// Acknowledgements.

#[test]
fn a_client_that_acknowledges_nothing_gets_a_hundred_events_and_is_sent_away_at_the_next() {
    let mut w = World::chatting_with(&BROWSERS);
    let slow = w.listen(None);
    let good = w.listen(None);
    events(&mut w, 100, |w| {
        w.told(&good);
        w.ack_all(&good);
    });
    assert_eq!(w.told(&slow).len(), 101);
    assert_eq!(w.closed(&slow), None);
    events(&mut w, 1, |_| {});
    let (code, reason) = w.closed(&slow).unwrap();
    assert_eq!(
        (code, reason),
        (4408, "more than 100 events are not acknowledged")
    );
    assert_eq!(w.told(&slow), [json!(null); 0]);
    assert_eq!(w.closed(&good), None);
    assert_eq!(w.told(&good).len(), 1, "it does not disturb others");
    assert_eq!(w.number("SELECT count(*) FROM listener"), 1);
    // It lost nothing.
    let back = w.listen(Some(w.newest(&slow)));
    assert_eq!(w.told(&back).len(), 2);
}

#[test]
fn an_acknowledgement_is_for_all_that_came_before_it() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    events(&mut w, 100, |_| {});
    let middle = w.told(&tab)[60]["id"].as_i64().unwrap();
    w.ack(&tab, middle);
    events(&mut w, 60, |_| {});
    assert_eq!(w.closed(&tab), None);
    assert_eq!(w.cursor(&tab).unwrap().out, 100);
    events(&mut w, 1, |_| {});
    assert_eq!(w.closed(&tab).unwrap().0, 4408);
}

#[test]
fn whoever_catches_up_gets_a_hundred_at_a_time_as_it_acknowledges_them() {
    let mut w = World::chatting_with(&BROWSERS);
    let at = newest(&mut w);
    events(&mut w, 250, |_| {});
    let tab = w.listen(Some(at));
    let first = w.told(&tab);
    assert_eq!(first.len(), 101);
    // What happens meanwhile waits its turn.
    events(&mut w, 1, |_| {});
    assert_eq!(w.told(&tab).len(), 0);
    assert_eq!(w.closed(&tab), None);
    w.ack(&tab, first[30]["id"].as_i64().unwrap());
    assert_eq!(w.told(&tab).len(), 30);
    w.ack_all(&tab);
    assert_eq!(w.told(&tab).len(), 100);
    w.ack_all(&tab);
    let last = w.told(&tab);
    assert_eq!(last.len(), 21);
    assert_eq!(last[20]["id"], json!(newest(&mut w)));
    // Now it must keep up.
    events(&mut w, 80, |_| {});
    assert_eq!(w.closed(&tab).unwrap().0, 4408);
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_counts_for_what_was() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    let at = newest(&mut w);
    events(&mut w, 100, |_| {});
    w.reply("agent-1", "Hi");
    let tab = w.listen(Some(at));
    w.told(&tab);
    w.ack(&tab, NEVER);
    assert_eq!(w.heard(&tab), ["agent: Hi"]);
    assert_eq!(w.settle(), NOTHING, "it was not shown yet");
    w.ack_all(&tab);
    assert_eq!(w.settle(), [STATUS]);
}

#[test]
fn an_acknowledgement_that_says_nothing_new_has_no_effect() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    w.settle();
    w.told(&tab);
    for id in [w.newest(&tab), w.newest(&tab), 5, 0] {
        w.ack(&tab, id);
        assert_eq!(w.closed(&tab), None);
        assert_eq!(w.told(&tab).len(), 0);
        assert_eq!(w.settle(), NOTHING);
    }
}

#[test]
fn anything_but_an_acknowledgement_is_a_breach_of_the_protocol() {
    let frames = [
        Some("hello"),
        Some(""),
        Some("[]"),
        Some("7"),
        Some("{}"),
        Some("{\"ack\":\"7\"}"),
        Some("{\"ack\":-1}"),
        Some("{\"ack\":1.5}"),
        Some("{\"ack\":9007199254740992}"),
        Some("{\"ack\":7"),
        None,
    ];
    for frame in frames {
        let mut w = World::chatting_with(&BROWSERS);
        let tab = w.listen(None);
        w.says(&tab, frame);
        let (code, reason) = w.closed(&tab).unwrap();
        assert_eq!(code, 1008, "{frame:?}");
        assert!(reason.contains("{\"ack\": id}"), "{reason}");
        assert_eq!(w.number("SELECT count(*) FROM listener"), 0);
    }
}

// An agent's message that a live client acknowledges.

#[test]
fn without_a_webhook_url_an_acknowledgement_makes_a_message_delivered_at_ghl() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    w.reply("agent-2", "Anybody there?");
    w.pass(HOUR - MINUTE);
    assert_eq!(w.under_way(), NOTHING, "pending until then");
    let told = w.told(&tab);
    w.ack(&tab, told[1]["id"].as_i64().unwrap());
    assert_eq!(w.under_way(), [STATUS]);
    assert_eq!(w.take(STATUS).json(), json!({ "status": "delivered" }));
    assert_eq!(w.heard(&tab), ["agent-1 delivered"]);
    w.ack_all(&tab);
    assert_eq!(w.settle(), ["PUT /conversations/messages/agent-2/status"]);
    w.pass(2 * DAY);
    assert_eq!(w.health()["deadLetters"], json!([]));
    assert_eq!(w.health()["queue"]["depth"], 0);
    assert!(w.health()["traffic"]["lastToVcxAt"].is_i64());
}

#[test]
fn an_acknowledgement_that_was_lost_with_its_connection_can_be_given_on_the_next() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    w.reply("agent-2", "Anybody there?");
    let told = w.told(&tab);
    let (first, second) = (&told[1]["id"], &told[2]["id"]);
    w.leave(&tab);
    let back = w.listen(second.as_i64());
    w.ack(&back, first.as_i64().unwrap());
    // The other, with which the application is slow, is not under way on this connection.
    assert_eq!(w.heard(&back), ["ready", "agent-1 delivered"]);
    assert_eq!(w.cursor(&back).unwrap().out, 1);
    assert_eq!(w.settle(), ["PUT /conversations/messages/agent-1/status"]);
    w.reply("agent-3", "Hello?");
    w.ack_all(&back);
    assert_eq!(
        w.settle(),
        [
            "PUT /conversations/messages/agent-2/status",
            "PUT /conversations/messages/agent-3/status"
        ]
    );
}

#[test]
fn whoever_listens_from_now_on_acknowledges_nothing_from_before() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    w.reply("agent-1", "Hi");
    let tab = w.listen(None);
    w.reply("agent-2", "Anybody there?");
    w.ack_all(&tab);
    assert_eq!(w.settle(), ["PUT /conversations/messages/agent-2/status"]);
}

#[test]
fn without_a_webhook_url_what_nobody_acknowledges_fails_after_a_day_with_words() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    w.reply("agent-1", "Hi");
    w.pass(DAY - 1);
    assert_eq!(w.health()["deadLetters"], json!([]));
    w.advance(1);
    let put = w.take(STATUS).json();
    assert_eq!(put["status"], "failed");
    let words = put["error"]["message"].as_str().unwrap();
    assert!(words.contains("no live client took it"), "{words}");
    // Who comes later shows it all the same.
    let tab = w.listen(Some(0));
    let told = w.told(&tab);
    let failed = told.last().unwrap();
    assert_eq!(
        (&failed["status"], &failed["code"]),
        (&json!("failed"), &json!("not_taken"))
    );
    w.ack_all(&tab);
    assert_eq!(w.take(STATUS).json()["status"], "delivered");
    assert_eq!(w.health()["deadLetters"], json!([]));
}

#[test]
fn without_a_webhook_url_a_replay_waits_for_another_day() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    w.reply("agent-1", "Hi");
    w.pass(DAY);
    assert_eq!(w.health()["deadLetters"][0]["messageId"], "agent-1");
    w.pass(10 * HOUR);
    w.post("/locations/loc-1/replay", &json!({}));
    w.pass(DAY - 1);
    assert_eq!(w.health()["deadLetters"], json!([]));
    let tab = w.listen(Some(0));
    w.ack_all(&tab);
    assert_eq!(w.take(STATUS).json()["status"], "delivered");
    w.pass(DAY);
    assert_eq!(w.health()["deadLetters"], json!([]));
}

#[test]
fn without_a_webhook_url_a_status_of_vcx_s_is_an_acknowledgement_too() {
    for word in ["delivered", "read"] {
        let mut w = World::chatting_with(&LIVE_ONLY);
        w.reply("agent-1", "Hi");
        status(&mut w, "agent-1", word);
        assert_eq!(w.take(STATUS).json(), json!({ "status": word }));
        let open = "SELECT count(*) FROM outbox WHERE key = 'in:agent-1' AND open = 1";
        assert_eq!(w.number(open), 0);
        assert_eq!(
            w.pass(2 * DAY)
                .iter()
                .filter(|call| *call == STATUS)
                .count(),
            0
        );
        assert_eq!(w.health()["deadLetters"], json!([]));
    }
}

#[test]
fn with_a_webhook_url_an_acknowledgement_makes_it_delivered_and_vcx_is_told_all_the_same() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    let event = w.only_call(EVENT);
    w.told(&tab);
    w.ack_all(&tab);
    assert_eq!(w.take(STATUS).json(), json!({ "status": "delivered" }));
    assert_eq!(w.heard(&tab), ["agent-1 delivered"]);
    w.answer(&event, 503, json!(null));
    assert_eq!(w.pass(MINUTE), [EVENT], "once more, and no second status");
    // Nor does it go back, should vCX refuse it.
    w.reply("agent-2", "Hi");
    let event = w.only_call(EVENT);
    w.ack_all(&tab);
    w.take("PUT /conversations/messages/agent-2/status");
    w.answer(&event, 422, json!(null));
    assert_eq!(w.settle(), ["vCX message.failed"]);
    assert_eq!(w.health()["deadLetters"][0]["messageId"], "agent-2");
}

#[test]
fn two_tabs_acknowledge_and_ghl_hears_of_it_once() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    let tabs = [w.listen(None), w.listen(None)];
    w.reply("agent-1", "Hi");
    for tab in &tabs {
        assert_eq!(w.heard(tab), ["ready", "agent: Hi"]);
    }
    let id = w.newest(&tabs[0]);
    w.ack(&tabs[0], id);
    assert_eq!(w.settle(), [STATUS]);
    w.ack(&tabs[1], id);
    assert_eq!(w.settle(), NOTHING);
    for tab in &tabs {
        assert_eq!(w.heard(tab), ["agent-1 delivered"]);
    }
}

#[test]
fn an_acknowledgement_while_ghl_cannot_be_called_is_told_when_it_can() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    w.told(&tab);
    w.push("Hello");
    let send = w.only_call(SEND);
    w.answer(&send, 429, json!(null));
    w.ack_all(&tab);
    w.wait_for(STATUS, MINUTE);
    w.take(STATUS);
}

// Those that are sent away.

#[test]
fn a_socket_ends_with_its_session() {
    let mut w = World::chatting_with(&BROWSERS);
    // Nothing else wakes the object by then.
    w.pass(HOUR);
    let short = Session {
        expires_at: w.now + MINUTE,
        ..w.session()
    };
    let tab = w.listen_as(&short, None);
    let other = w.listen(None);
    w.advance(MINUTE - 1);
    assert_eq!(w.closed(&tab), None);
    w.advance(1);
    assert_eq!(w.closed(&tab), Some((4401, "the session has expired")));
    assert_eq!(w.closed(&other), None);
    w.push("too late for the one");
    assert_eq!(w.heard(&tab), ["ready"]);
    assert_eq!(w.heard(&other), ["ready", "visitor: too late for the one"]);
    w.pass(HOUR);
    assert_eq!(w.closed(&other).unwrap().0, 4401);
    assert_eq!(w.number("SELECT count(*) FROM listener"), 0);
}

#[test]
fn a_socket_whose_session_is_over_is_told_nothing_though_the_alarm_is_late() {
    let mut w = World::chatting_with(&BROWSERS);
    let short = Session {
        expires_at: w.now + MINUTE,
        ..w.session()
    };
    let tab = w.listen_as(&short, None);
    w.now += MINUTE;
    w.turn(Input::Asked {
        caller: "a".into(),
        object: w.object.clone(),
        ask: push_of(&w),
    });
    assert_eq!(w.heard(&tab), ["ready"]);
    assert_eq!(w.closed(&tab), Some((4401, "the session has expired")));
}

#[test]
fn whoever_leaves_leaves_nothing_behind() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    assert_eq!(w.number("SELECT count(*) FROM listener"), 1);
    w.leave(&tab);
    assert_eq!(w.number("SELECT count(*) FROM listener"), 0);
    w.push("nobody there");
    assert_eq!(w.heard(&tab), ["ready"]);
}

#[test]
fn an_uninstalled_location_sends_everybody_away_and_tells_nothing_more() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.push("on its way");
    let send = w.only_call(SEND);
    let at = newest(&mut w);
    w.advance(SECOND);
    w.app_event(json!({ "type": "UNINSTALL" }));
    assert_eq!(w.closed(&tab), Some((4403, "the app was uninstalled")));
    assert_eq!(w.number("SELECT count(*) FROM listener"), 0);
    w.answer_with(&send, usual_answer(&send));
    assert_eq!(newest_in(&w), at);
    let session = w.session();
    let refused = w.shake_hands(&session, "");
    assert_eq!(w.status(&refused), 409);
    assert_eq!(
        w.body(&refused)["code"],
        Code::LocationDisconnected.as_str()
    );

    // Once it is back, whoever was there before has a gap.
    w.advance(SECOND);
    w.connect_with(grant(LOCATION, "access-5", "refresh-5"));
    w.settle();
    let back = w.listen(Some(at));
    assert_eq!(w.heard(&back)[0], "reset");
}

#[test]
fn an_agency_s_uninstall_sends_everybody_away() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.advance(SECOND);
    w.ask(Ask::Leave { at: w.now });
    assert_eq!(w.closed(&tab).unwrap().0, 4403);
}

#[test]
fn a_location_that_needs_an_admin_keeps_its_live_clients() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.advance(DAY);
    let session = w.session();
    w.leave(&tab);
    let tab = w.listen_as(&session, None);
    while let Some(call) = w.calls.first().cloned() {
        w.answer(&call, 400, json!({ "error": "invalid_grant", "message": "Invalid grant: refresh token is invalid" }));
    }
    assert_eq!(w.health()["health"], "down");
    w.push("hold on");
    assert_eq!(w.heard(&tab), ["ready", "visitor: hold on"]);
}

// Who may listen.

#[test]
fn a_location_that_is_not_ours_is_404_and_writes_nothing() {
    let mut w = World::with(&BROWSERS);
    let session = w.session();
    let refused = w.shake_hands(&session, "");
    assert_eq!(w.status(&refused), 404);
    assert_eq!(w.body(&refused)["code"], "unknown_location");
    assert_eq!(w.dump(), [""; 0]);
    assert_eq!(w.wake, None);
}

#[test]
fn what_is_wrong_about_a_handshake_is_said() {
    let w = World::chatting_with(&BROWSERS);
    let token = w.token(&w.session());
    let good = format!("vcx-ghl.v1, bearer.{token}");
    let expired = Session {
        issued_at: w.now - HOUR,
        expires_at: w.now,
        ..w.session()
    };
    let expired = format!("vcx-ghl.v1,bearer.{}", w.token(&expired));
    let forged = format!("vcx-ghl.v1, bearer.{token}x");
    let alone = format!("bearer.{token}");
    let page = Some("https://chat.example");
    for (upgrade, protocols, origin, query, wanted) in [
        (Some("websocket"), good.as_str(), None, "", Ok(None)),
        (Some("WebSocket"), &good, page, "?after=0", Ok(Some(0))),
        (Some("websocket"), &good, None, "?after=17", Ok(Some(17))),
        (None, &good, page, "", Err((426, "upgrade_required", ""))),
        (
            Some("h2c"),
            &good,
            page,
            "",
            Err((426, "upgrade_required", "")),
        ),
        (
            Some("websocket"),
            &good,
            Some("https://evil.example"),
            "",
            Err((403, "origin_not_allowed", "")),
        ),
        (
            Some("websocket"),
            "",
            page,
            "",
            Err((401, "unauthorized", "bearer.")),
        ),
        (
            Some("websocket"),
            "vcx-ghl.v1",
            page,
            "",
            Err((401, "unauthorized", "bearer.")),
        ),
        (
            Some("websocket"),
            &forged,
            page,
            "",
            Err((401, "unauthorized", "altered")),
        ),
        (
            Some("websocket"),
            &expired,
            page,
            "",
            Err((401, "unauthorized", "expired")),
        ),
        (
            Some("websocket"),
            &alone,
            page,
            "",
            Err((400, "invalid_fields", "Sec-WebSocket-Protocol")),
        ),
        (
            Some("websocket"),
            &good,
            page,
            "?after=",
            Err((400, "invalid_fields", "after")),
        ),
        (
            Some("websocket"),
            &good,
            page,
            "?after=-1",
            Err((400, "invalid_fields", "after")),
        ),
        (
            Some("websocket"),
            &good,
            page,
            "?after=1.5",
            Err((400, "invalid_fields", "after")),
        ),
        (
            Some("websocket"),
            &good,
            page,
            "?after=9007199254740992",
            Err((400, "invalid_fields", "after")),
        ),
    ] {
        let found = handshake(&w, upgrade, protocols, origin, query);
        match (found, wanted) {
            (Ok(listen), Ok(after)) => {
                assert_eq!(
                    listen,
                    Listen {
                        conversation: "chat-1".into(),
                        expires_at: w.now + HOUR,
                        after
                    }
                );
            }
            (Err((status, problem)), Err((wanted, code, words))) => {
                assert_eq!((status, problem["code"].as_str().unwrap()), (wanted, code));
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.contains(words), "{detail}");
            }
            (found, wanted) => panic!("{protocols} {query}: {found:?} instead of {wanted:?}"),
        }
    }
}

#[test]
fn without_a_session_secret_nobody_may_listen() {
    let signer = World::with(&BROWSERS);
    let protocols = format!("vcx-ghl.v1, bearer.{}", signer.token(&signer.session()));
    let w = World::chatting();
    let (status, problem) = handshake(&w, Some("websocket"), &protocols, None, "").unwrap_err();
    assert_eq!(status, 401);
    assert_eq!(
        problem["detail"],
        "there are no sessions: SESSION_SECRET is unset"
    );
}

#[test]
fn a_session_listens_in_its_own_location_alone() {
    let w = World::chatting_with(&BROWSERS);
    let other = Session {
        location_id: "loc-2".into(),
        ..w.session()
    };
    let protocols = format!("vcx-ghl.v1, bearer.{}", w.token(&other));
    let (object, _) = step(&w, Some("websocket"), &protocols, None, "").unwrap();
    assert_eq!(object, "location:loc-2");
}

// Nothing waits for a live client.

#[test]
fn a_socket_that_is_broken_disturbs_nothing_and_nobody() {
    let mut w = World::chatting_with(&BROWSERS);
    let broken = w.listen(None);
    let good = w.listen(None);
    w.break_socket(&broken);
    let push = w.push("Hello");
    w.reply("agent-1", "Hi");
    w.settle();
    assert_eq!(w.status(&push), 200);
    assert_eq!(
        w.heard(&good),
        [
            "ready",
            "visitor: Hello",
            "agent: Hi",
            "m2 delivered",
            "agent-1 delivered"
        ]
    );
    assert_eq!(w.heard(&broken), ["ready"]);
}

#[test]
fn a_turn_about_a_socket_starts_nothing_and_asks_kv_nothing() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    w.told(&tab);
    let cursor = w.cursor(&tab).unwrap().clone();
    w.push("waits to be sent");
    w.calls.clear();
    let heard = Input::Heard {
        cursor: cursor.clone(),
        text: Some(json!({ "ack": cursor.sent }).to_string()),
    };
    for input in [
        heard,
        Input::Flush {
            cursor: cursor.clone(),
        },
        Input::Closed { cursor },
    ] {
        for output in w.handle(&input).unwrap() {
            assert!(
                matches!(
                    output,
                    Output::Send { .. } | Output::Publish { .. } | Output::Wake { .. }
                ),
                "{output:?}"
            );
        }
    }
}

#[test]
fn a_trap_over_a_socket_closes_that_one_and_the_rest_goes_on() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    let tab = w.listen(None);
    let other = w.listen(None);
    w.reply("agent-1", "Hi");
    w.told(&tab);
    w.told(&other);
    w.db.poison = Some("status:agent-1");
    w.ack_all(&tab);
    assert_eq!(
        w.closed(&tab),
        Some((1011, "an error of our own; nothing is lost"))
    );
    assert_eq!(w.closed(&other), None);
    assert_eq!(w.traps, 1);
    assert_eq!(w.number("SELECT count(*) FROM listener"), 1);
    w.db.poison = None;
    w.push("Hello");
    w.settle();
    assert_eq!(w.heard(&other), ["visitor: Hello", "m2 delivered"]);
    // Nothing of the turn was kept; who comes back acknowledges it again.
    let back = w.listen(Some(0));
    w.ack_all(&back);
    assert_eq!(w.take(STATUS).json()["status"], "delivered");
}

#[test]
fn a_trap_in_telling_one_socket_is_not_another_s() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    let other = w.listen(None);
    let cursor = w.cursor(&tab).unwrap().clone();
    w.push("Hello");
    w.trap(Input::Flush { cursor });
    assert_eq!(w.closed(&tab).unwrap().0, 1011);
    assert_eq!(w.closed(&other), None);
    assert_eq!(w.settle(), [SEND]);
    assert_eq!(w.heard(&other), ["ready", "visitor: Hello", "m2 delivered"]);
    let cursor = w.cursor(&other).unwrap().clone();
    w.trap(Input::Closed { cursor });
    assert_eq!(w.number("SELECT count(*) FROM listener"), 0);
}

#[test]
fn a_trap_over_a_handshake_is_answered_and_leaves_nothing() {
    let mut w = World::chatting_with(&BROWSERS);
    let object = w.object.clone();
    w.trap(Input::Asked {
        caller: "caller-x".into(),
        object,
        ask: Ask::Listen {
            listen: Listen {
                conversation: "chat-1".into(),
                expires_at: w.now + HOUR,
                after: None,
            },
        },
    });
    assert_eq!(w.status(&Caller("caller-x".into())), 500);
    assert_eq!(w.number("SELECT count(*) FROM listener"), 0);
}

#[test]
fn a_turn_that_traps_tells_nothing() {
    let mut w = World::chatting_with(&BROWSERS);
    let tab = w.listen(None);
    w.db.poison = Some("poisoned");
    let push = w.push("poisoned");
    assert_eq!(w.status(&push), 500);
    assert_eq!(w.heard(&tab), ["ready"]);
    w.db.poison = None;
    w.push("sound");
    assert_eq!(w.heard(&tab), ["visitor: sound"]);
}

#[test]
fn an_object_that_slept_goes_on_where_each_socket_stood() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    w.hibernate();
    w.reply("agent-2", "Still there?");
    assert_eq!(w.heard(&tab), ["ready", "agent: Hi", "agent: Still there?"]);
    w.hibernate();
    w.ack_all(&tab);
    assert_eq!(
        w.settle(),
        [STATUS, "PUT /conversations/messages/agent-2/status"]
    );
    w.hibernate();
    w.advance(HOUR);
    assert_eq!(w.closed(&tab).unwrap().0, 4401);
}

#[test]
fn an_object_that_went_down_with_its_sockets_has_lost_nothing() {
    let mut w = World::chatting_with(&LIVE_ONLY);
    let tab = w.listen(None);
    w.reply("agent-1", "Hi");
    let last = w.newest(&tab);
    w.crash();
    assert_eq!(w.closed(&tab).unwrap().0, 1006);
    w.reply("agent-2", "Still there?");
    let back = w.listen(Some(last));
    assert_eq!(w.heard(&back), ["ready", "agent: Still there?"]);
    // What nobody closed is forgotten when its session is over.
    assert_eq!(w.number("SELECT count(*) FROM listener"), 2);
    w.pass(HOUR);
    assert_eq!(w.number("SELECT count(*) FROM listener"), 0);
}

#[test]
fn the_longest_ids_fit_into_what_the_platform_keeps_with_a_socket() {
    let mut w = World::chatting_with(&BROWSERS);
    let chat = "💬".repeat(128);
    let session = of(&w, &"💬".repeat(75), &chat);
    let tab = w.listen_as(&session, Some(0));
    w.push_with(
        "Hello",
        json!({ "clientId": session.client_id, "vcxConversationId": chat }),
    );
    assert_eq!(w.heard(&tab), ["ready", "visitor: Hello"]);
    w.ack_all(&tab);
    assert_eq!(w.closed(&tab), None);
}

/// `n` events in `chat-1`, and what is to be done after each.
fn events(w: &mut World, n: usize, mut each: impl FnMut(&mut World)) {
    for _ in 0..n {
        w.advance(1);
        w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
        w.settle();
        each(w);
    }
}

/// The newest event of the location.
fn newest(w: &mut World) -> i64 {
    let session = of(w, "client-9", "chat-9");
    let listener = w.listen_as(&session, None);
    let at = w.newest(&listener);
    w.leave(&listener);
    at
}

fn newest_in(w: &World) -> i64 {
    w.number("SELECT max(id) FROM feed")
}

fn of(w: &World, client: &str, chat: &str) -> Session {
    Session {
        client_id: client.into(),
        conversation: chat.into(),
        ..w.session()
    }
}

fn status(w: &mut World, id: &str, word: &str) {
    let body: Value = json!({ "locationId": LOCATION, "messageId": id, "status": word });
    let said = w.post("/message-status", &body);
    assert_eq!(w.status(&said), 200);
}

fn push_of(w: &World) -> Ask {
    let body = json!({
        "locationId": LOCATION, "clientId": "client-1", "vcxConversationId": "chat-1",
        "fromUser": true, "body": "late", "timestamp": w.now,
    });
    Ask::Push {
        push: vcx_ghl::vcx::Push::parse(body.to_string().as_bytes()).unwrap(),
    }
}

type Refusal = (u16, Value);

fn handshake(
    w: &World,
    upgrade: Option<&str>,
    protocols: &str,
    origin: Option<&str>,
    query: &str,
) -> Result<Listen, Refusal> {
    step(w, upgrade, protocols, origin, query).map(|(_, listen)| listen)
}

fn step(
    w: &World,
    upgrade: Option<&str>,
    protocols: &str,
    origin: Option<&str>,
    query: &str,
) -> Result<(String, Listen), Refusal> {
    use vcx_ghl::edge::{Step, route};
    let incoming = Incoming {
        method: "GET",
        url: &format!("https://sync.test/events{query}"),
        upgrade,
        protocols: Some(protocols),
        origin,
        body: Some(b""),
        ..Incoming::default()
    };
    match route(&incoming, &w.configured, w.now, &mut |_| {}) {
        Step::Listen {
            object,
            ask: Ask::Listen { listen },
        } => Ok((object, listen)),
        Step::Respond { response, log: _ } => {
            let body = serde_json::from_str(&response.body).unwrap();
            Err((response.status, body))
        }
        other => panic!("{other:?}"),
    }
}

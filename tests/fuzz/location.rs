//! A location that is asked anything, answered anything, in any order: nothing brings it down, every caller is answered as
//! the document says, and afterwards it works.

use super::contract;
use super::parsers::{contact, grants, push, response, status, webhooks};
use super::strategies::{Change, cases, changed, changes, nearly, text};
use super::wire::stored;
use crate::support::{
    BROWSERS, Call, Caller, LOCATION, MINUTE, SEND, START, World, delivery, settings, sign,
    usual_answer,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use vcx_ghl::edge::{self, Incoming, Step};
use vcx_ghl::ghl::tokens::{Grant, Owner};
use vcx_ghl::http::{Outcome, Response};
use vcx_ghl::location::{Ask, Input, object_of, object_of_company};
use vcx_ghl::session::Session;
use vcx_ghl::settings::Settings;

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn whatever_happens_it_goes_on(acts in vec(act(), 1..40), of in select(&OBJECTS[..])) {
        let mut w = match of {
            "a location with a chat" => World::chatting_with(&BROWSERS),
            "a location" => World::with(&BROWSERS),
            _ => World::of(&object_of_company(COMPANY), &BROWSERS),
        };
        let mut waiting = Vec::new();
        for act in &acts {
            play(&mut w, act, &mut waiting);
            hear(&w, &mut waiting);
        }
        // No one waits for longer than this.
        w.advance(MINUTE);
        hear(&w, &mut waiting);
        prop_assert!(waiting.is_empty(), "never answered: {:?}", waiting);
    }

    #[test]
    fn after_whatever_happened_messages_go_both_ways(acts in vec(act(), 1..20)) {
        let mut w = World::chatting_with(&BROWSERS);
        for act in &acts {
            play(&mut w, act, &mut Vec::new());
        }
        // An admin connects it (again), and time passes in which all is well.
        let mut made = Vec::new();
        w.connect();
        for hour in 0..30 {
            if hour == 26 {
                w.push_with("afterwards", json!({ "vcxConversationId": "chat-new", "clientId": "client-new", "messageId": "m-new" }));
            }
            for _ in 0..60 {
                made.extend(all_well(&mut w));
                w.advance(MINUTE);
            }
        }
        let sent = |call: &Call| call.label() == SEND && call.json()["message"] == "afterwards";
        prop_assert_eq!(made.iter().filter(|call| sent(call)).count(), 1);
        w.webhook(&delivery("con-client-new", "agent-new", "and back"));
        let back = all_well(&mut w);
        prop_assert!(back.iter().any(|call| call.label() == "vCX message.created"), "{:?}", back);
    }

    #[test]
    fn what_another_version_has_stored_is_refused_without_a_panic(
        document in select(stored()).prop_flat_map(|(of, value)| (Just(of), nearly(value))),
        odd in changes(),
    ) {
        let mut w = World::chatting_with(&BROWSERS);
        w.reply("agent-1", "Good day");
        w.push("on its way");
        let (of, value) = document;
        // No version could have: JavaScript does not count so far.
        prop_assume!(!counts_too_far(&value));
        let sql = match of {
            "location" => "UPDATE location SET doc = ?",
            "pulse" => "UPDATE pulse SET doc = ?",
            "work" => "UPDATE outbox SET work = ? WHERE stage = 'flight'",
            _ => "UPDATE outbox SET step = ? WHERE stage = 'flight'",
        };
        w.db.connection.execute(sql, [value.to_string()]).unwrap();
        let calls = w.calls.clone();
        for call in calls {
            let body = changed(usual_body(&call), &odd).to_string();
            let outcome = Outcome::Answered(Response::text(200, "application/json", body));
            let _ = w.handle(&Input::Answered { call: call.name, attempt: call.attempt, outcome });
        }
        let _ = w.handle(&Input::Wake);
        let ask = Ask::Health;
        let _ = w.handle(&Input::Asked { caller: "caller".into(), object: w.object.clone(), ask });
    }
}

fn counts_too_far(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_none_or(|number| number.abs() > 4e15),
        Value::Array(list) => list.iter().any(counts_too_far),
        Value::Object(members) => members.values().any(counts_too_far),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// One thing that happens.
#[allow(clippy::large_enum_variant, reason = "a handful at a time")]
#[derive(Clone, Debug)]
enum Act {
    Post(&'static str, Value),
    Get(&'static str),
    /// A browser posts.
    Browse(&'static str, Value),
    /// A browser listens, in one of three chats.
    Listen(u8, Option<i64>),
    /// One that listens says something; none is no text.
    Say(Index, Option<String>),
    /// One that listens goes, or is gone without a word.
    Leave(Index, bool),
    Webhook(Value),
    Connect(Value),
    Ask(Ask),
    Answer(Index, How),
    /// An answer to a call that nobody made, or to an older attempt.
    Stray(String, i64, Response),
    Pass(i64),
    Crash,
    Kv(bool),
}

/// How a call ends.
#[derive(Clone, Debug)]
enum How {
    Well,
    /// 2xx, and a body that is nearly right.
    Nearly(Vec<(Index, Change)>),
    With(Response),
    TimedOut,
    Dropped,
}

fn act() -> impl Strategy<Value = Act> {
    let how = prop_oneof![
        6 => Just(How::Well),
        4 => changes().prop_map(How::Nearly),
        4 => response().prop_map(How::With),
        1 => Just(How::TimedOut),
        1 => Just(How::Dropped),
    ];
    let push = (nearly(push()), "m[0-9]", "client-[12]", "chat-[123]");
    let push = push.prop_map(|(mut push, message, client, chat)| {
        // Ids that come again, so that pushes have to do with each other.
        for (name, value) in [
            ("messageId", message),
            ("clientId", client),
            ("vcxConversationId", chat),
        ] {
            if push[name].is_string() {
                push[name] = value.into();
            }
        }
        Act::Post("/push-message", push)
    });
    let replay = json!({ "ids": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] });
    prop_oneof![
        6 => push,
        2 => nearly(contact()).prop_map(|body| Act::Post("/contact", body)),
        2 => nearly(status()).prop_map(|body| Act::Post("/message-status", body)),
        1 => nearly(replay).prop_map(|body| Act::Post("/locations/loc-1/replay", body)),
        1 => Just(Act::Get("/locations/loc-1")),
        2 => nearly(json!({ "body": "from a page", "timestamp": START, "messageId": "m3" }))
            .prop_map(|body| Act::Browse("/push-message", body)),
        1 => nearly(status()).prop_map(|body| Act::Browse("/message-status", body)),
        2 => (0..3u8, prop::option::of(prop_oneof![0..9i64, any::<i64>()])).prop_map(|(chat, after)| Act::Listen(chat, after)),
        2 => (any::<Index>(), said()).prop_map(|(at, text)| Act::Say(at, text)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(at, says_so)| Act::Leave(at, says_so)),
        5 => select(webhooks()).prop_flat_map(nearly).prop_map(Act::Webhook),
        1 => select(grants()).prop_flat_map(nearly).prop_map(Act::Connect),
        1 => among_us().prop_map(Act::Ask),
        14 => (any::<Index>(), how).prop_map(|(at, how)| Act::Answer(at, how)),
        1 => (prop_oneof!["item:[0-9]{1,2}", "token:(refresh|probe|reconnect|exchange|mint)", text()], 0..9i64, response())
            .prop_map(|(call, attempt, response)| Act::Stray(call, attempt, response)),
        4 => prop_oneof![0..3_000i64, 0..100_000i64, 0..90_000_000i64].prop_map(Act::Pass),
        1 => Just(Act::Crash),
        1 => any::<bool>().prop_map(Act::Kv),
    ]
}

/// What a live client says.
fn said() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        4 => prop_oneof![0..40i64, any::<i64>()].prop_map(|id| Some(json!({ "ack": id }).to_string())),
        2 => nearly(json!({ "ack": 3 })).prop_map(|value| Some(value.to_string())),
        1 => text().prop_map(Some),
        1 => Just(None),
    ]
}

/// What objects tell each other.
fn among_us() -> impl Strategy<Value = Ask> {
    prop_oneof![
        text().prop_map(|location_id| Ask::Register { location_id }),
        text().prop_map(|location_id| Ask::Mint { location_id }),
        text().prop_map(|why| Ask::MintRefused { why }),
        (0..2_000_000_000_000i64).prop_map(|at| Ask::Leave { at }),
    ]
}

type Waiting = Vec<(Caller, &'static str, &'static str)>;

fn play(w: &mut World, act: &Act, waiting: &mut Waiting) {
    let is_location = w.object == object_of(LOCATION);
    match act {
        // What is about another location, or for an agency, goes to another object.
        Act::Post(path, body) => {
            let elsewhere = body["locationId"].is_string() && body["locationId"] != LOCATION;
            if is_location && !elsewhere {
                let caller = w.post(path, body);
                waiting.push((caller, "POST", path));
            }
        }
        Act::Get(path) => {
            if is_location {
                let caller = w.get(path);
                waiting.push((caller, "GET", path));
            }
        }
        Act::Browse(path, body) => {
            if is_location {
                let caller = w.browse(&w.session(), path, body);
                waiting.push((caller, "POST", path));
            }
        }
        Act::Listen(chat, after) => {
            if is_location {
                let session = Session {
                    conversation: format!("chat-{}", chat + 1),
                    ..w.session()
                };
                let query = after.map_or(String::new(), |id| format!("?after={id}"));
                let caller = w.shake_hands(&session, &query);
                waiting.push((caller, "GET", "/events"));
            }
        }
        Act::Say(at, text) => {
            if let Some(live) = w.any_live(|n| at.index(n)) {
                w.says(&live, text.as_deref());
            }
        }
        Act::Leave(at, says_so) => {
            if let Some(live) = w.any_live(|n| at.index(n)) {
                match says_so {
                    true => w.leave(&live),
                    false => w.break_socket(&live),
                }
            }
        }
        Act::Webhook(body) => {
            if is_for(&w.object, body) {
                let caller = w.webhook(body);
                waiting.push((caller, "POST", "/webhook"));
            }
        }
        Act::Connect(reply) => {
            if let Ok(grant) = Grant::read(reply)
                && is_owner(&w.object, &grant.owner)
            {
                let (via, reference) = ("install".into(), None);
                w.ask(Ask::Connect {
                    grant,
                    via,
                    reference,
                });
            }
        }
        Act::Ask(ask) => drop(w.ask(ask.clone())),
        Act::Answer(at, how) => {
            if !w.calls.is_empty() {
                let call = w.calls[at.index(w.calls.len())].clone();
                w.end(&call, outcome(&call, how));
            }
        }
        Act::Stray(call, attempt, response) => w.feed(Input::Answered {
            call: call.clone(),
            attempt: *attempt,
            outcome: Outcome::Answered(response.clone()),
        }),
        Act::Pass(millis) => w.advance(*millis),
        Act::Crash => {
            // Who waited is gone with the connection.
            waiting.clear();
            w.crash();
        }
        Act::Kv(works) => w.kv_works = *works,
    }
}

fn is_owner(object: &str, owner: &Owner) -> bool {
    match owner {
        Owner::Location { location_id, .. } => object == object_of(location_id),
        Owner::Company { company_id, .. } => object == object_of_company(company_id),
    }
}

/// Whether the edge would hand a webhook to this very object.
fn is_for(object: &str, body: &Value) -> bool {
    let body = body.to_string();
    let signature = sign(&body);
    let incoming = Incoming {
        method: "POST",
        url: "https://sync.test/webhook",
        signature: Some(&signature),
        body: Some(body.as_bytes()),
        ..Incoming::default()
    };
    let configured = Settings::parse(&settings(&[]));
    match edge::route(&incoming, &configured, START, &mut |bytes| bytes.fill(7)) {
        Step::Ask { object: other, .. } => other == object,
        Step::Respond { .. } | Step::Listen { .. } | Step::Fetch { .. } | Step::List { .. } => {
            false
        }
    }
}

/// Whoever was answered by now was answered as the document says.
fn hear(w: &World, waiting: &mut Waiting) {
    waiting.retain(|(caller, method, path)| match w.answer_to(caller) {
        Some(response) => {
            contract::check(method, path, response);
            false
        }
        None => true,
    });
}

fn outcome(call: &Call, how: &How) -> Outcome {
    match how {
        How::Well => Outcome::Answered(well(call)),
        How::Nearly(changes) => {
            let body = changed(usual_body(call), changes).to_string();
            Outcome::Answered(Response::text(200, "application/json", body))
        }
        How::With(response) => Outcome::Answered(response.clone()),
        How::TimedOut => Outcome::TimedOut,
        How::Dropped => Outcome::Dropped {
            message: "connection reset".into(),
        },
    }
}

/// A healthy GHL and a healthy vCX answer everything. Says what was asked of them.
fn all_well(w: &mut World) -> Vec<Call> {
    let mut made = Vec::new();
    while let Some(call) = w.calls.first().cloned() {
        w.answer_with(&call, well(&call));
        made.push(call);
        assert!(made.len() < 1_000, "it never settles");
    }
    made
}

/// What a healthy other side answers; more than stories need, since here anything is asked.
fn well(call: &Call) -> Response {
    let label = call.label();
    let path: Vec<&str> = label.split('/').collect();
    let body = match path.as_slice() {
        ["GET ", "contacts", id] => json!({ "contact": { "id": id, "customFields": [] } }),
        ["GET ", "conversations", "search"] => json!({ "conversations": [], "total": 0 }),
        ["GET ", "conversations", _, "messages"] => crate::support::page(json!([]), false),
        ["POST ", "locations", _, "customFields"] => json!({ "customField": { "id": "field-1" } }),
        ["GET ", "locations", id] => json!({ "location": { "id": id } }),
        ["GET ", "oauth", "installedLocations"] => json!({ "locations": [], "count": 0 }),
        ["POST ", "oauth", "reconnect"] => json!({ "authorizationCode": "code-1" }),
        ["POST ", "oauth", "token"] | ["POST ", "oauth", "locationToken"] => {
            crate::support::grant(LOCATION, "access-9", "refresh-9")
        }
        _ => return usual_answer(call),
    };
    Response::json(200, &body)
}

fn usual_body(call: &Call) -> Value {
    serde_json::from_str(&well(call).body).unwrap_or_default()
}

const OBJECTS: [&str; 3] = ["a location with a chat", "a location", "an agency"];
const COMPANY: &str = "company-1";

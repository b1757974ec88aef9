//! The wall between two locations: whatever B's session, or the key with B's name, says of A's ids
//! has no effect in A and tells nothing of A. Beside each row stands the same act with A's own name,
//! which does have one.
//!
//! `VCX_API_KEY` is one key for all locations, as it is one vCX backend that serves them all: with it
//! a location is named, not proven. What is tested for it is that A's ids mean nothing in B.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::*;
use vcx_ghl::edge::{Incoming, Step, route};
use vcx_ghl::http::Response;
use vcx_ghl::location::PROTOCOL;
use vcx_ghl::session::Session;

/// Who does something, and what.
#[derive(Clone)]
struct Act {
    who: Who,
    method: &'static str,
    path: String,
    body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// A browser of A's chat.
    A,
    /// A browser of B's chat.
    B,
    /// A browser that B's backend signed in as A's visitor, in a chat with the name of A's.
    BAsA,
    /// The backend.
    Key,
    /// GHL.
    Ghl,
}

#[test]
fn nothing_of_a_is_reached_with_b_s_name() {
    let mut rows = 0;
    for (what, with_b, answer, with_a, control) in table(&Town::new()) {
        let mut town = Town::new();
        let before = town.a.dump();
        let response = town.play(&with_b);
        assert_eq!(response.status, answer, "{what}: {}", response.body);
        assert_eq!(town.a.dump(), before, "{what}: it changed something in A");
        for secret in ["Alma", "con-a-client-1", "cnv-a-client-1", "access-1"] {
            assert!(!response.body.contains(secret), "{what}: {}", response.body);
        }

        let mut town = Town::new();
        let before = town.a.dump();
        let response = town.play(&with_a);
        assert_eq!(response.status, control, "{what}: {}", response.body);
        // What changes nothing shows something: health, a taken id, a socket.
        let shows = response.body.contains("loc-1") || [101, 409].contains(&response.status);
        assert!(
            shows || town.a.dump() != before,
            "{what}: the control has no effect"
        );
        rows += 1;
    }
    assert!(rows > 20, "{rows}");
}

/// A row: what is tried, with B's name and the answer, with A's and the answer.
type Row = (&'static str, Act, u16, Act, u16);

fn table(town: &Town) -> Vec<Row> {
    use Who::{A, B, BAsA, Ghl, Key};
    let words = |id: &str| json!({ "body": "Hello", "timestamp": START, "messageId": id });
    let with = |mut body: Value, more: Value| {
        merge(&mut body, more);
        body
    };
    let names = |location: &str| json!({ "locationId": location, "clientId": "client-1", "vcxConversationId": "chat-1", "fromUser": true });
    let read = json!({ "messageId": "g1", "status": "read" });
    let dead = json!({ "ids": [town.dead_letter] });
    let post = |who, path: &str, body: &Value| Act {
        who,
        method: "POST",
        path: path.into(),
        body: body.clone(),
    };
    let get = |who, path: &str| Act {
        who,
        method: "GET",
        path: path.into(),
        body: Value::Null,
    };
    let agent = |location: &str| {
        with(
            delivery("con-a-client-1", "g9", "Alma's words"),
            json!({ "locationId": location }),
        )
    };
    let event = |location: &str, event: Value| {
        with(
            json!({ "locationId": location, "appId": "app1", "webhookId": "w1" }),
            event,
        )
    };
    let unread = |location| {
        event(
            location,
            json!({ "type": "ConversationUnreadUpdate", "conversationId": "cnv-a-client-1", "unreadCount": 3 }),
        )
    };
    let deleted = |location| {
        event(
            location,
            json!({ "type": "ContactDelete", "id": "con-a-client-1" }),
        )
    };
    let merged = |location| {
        event(
            location,
            json!({
                "type": "ConversationUpdate", "oldConversationId": "cnv-a-client-1", "newConversationId": "cnv-x",
            }),
        )
    };
    let left = |location| {
        event(
            location,
            json!({ "type": "UNINSTALL", "timestamp": vcx_ghl::map::iso(START + DAY) }),
        )
    };
    let copy = |location| {
        with(
            outbound("con-a-client-1", "g8", "Alma's words"),
            event(location, json!({})),
        )
    };
    let incoming = |location| {
        event(
            location,
            json!({
                "type": "message.incoming", "conversationId": "cnv-a-client-1", "message": "Alma's words", "messageId": "g7",
            }),
        )
    };

    vec![
        // A session.
        (
            "push, naming the location",
            post(
                B,
                "/push-message",
                &with(words("x"), json!({ "locationId": "loc-1" })),
            ),
            403,
            post(
                A,
                "/push-message",
                &with(words("x"), json!({ "locationId": "loc-1" })),
            ),
            200,
        ),
        (
            "push, naming the conversation",
            post(
                B,
                "/push-message",
                &with(words("x"), json!({ "vcxConversationId": "chat-1" })),
            ),
            403,
            post(
                A,
                "/push-message",
                &with(words("x"), json!({ "vcxConversationId": "chat-1" })),
            ),
            200,
        ),
        (
            "push, naming the client",
            post(
                B,
                "/push-message",
                &with(words("x"), json!({ "clientId": "client-1" })),
            ),
            403,
            post(
                A,
                "/push-message",
                &with(words("x"), json!({ "clientId": "client-1" })),
            ),
            200,
        ),
        (
            "push, naming all",
            post(B, "/push-message", &with(words("x"), names("loc-1"))),
            403,
            post(A, "/push-message", &with(words("x"), names("loc-1"))),
            200,
        ),
        (
            "push into a chat of the same name",
            post(BAsA, "/push-message", &words("x")),
            200,
            post(A, "/push-message", &words("x")),
            200,
        ),
        (
            "push with a known messageId",
            post(B, "/push-message", &words("m1")),
            200,
            post(A, "/push-message", &words("m1")),
            409,
        ),
        (
            "status of an agent's message",
            post(B, "/message-status", &read),
            404,
            post(A, "/message-status", &read),
            200,
        ),
        (
            "status, in a chat of the same name",
            post(BAsA, "/message-status", &read),
            404,
            post(A, "/message-status", &read),
            200,
        ),
        (
            "status, naming the location",
            post(
                B,
                "/message-status",
                &with(read.clone(), json!({ "locationId": "loc-1" })),
            ),
            403,
            post(
                A,
                "/message-status",
                &with(read.clone(), json!({ "locationId": "loc-1" })),
            ),
            200,
        ),
        (
            "listen to a chat of the same name",
            get(BAsA, "/events?after=0"),
            101,
            get(A, "/events?after=0"),
            101,
        ),
        (
            "the backend's routes: contact",
            post(
                B,
                "/contact",
                &json!({ "locationId": "loc-1", "clientId": "client-1", "name": "B" }),
            ),
            401,
            post(
                Key,
                "/contact",
                &json!({ "locationId": "loc-1", "clientId": "client-1", "name": "B" }),
            ),
            200,
        ),
        (
            "the backend's routes: health",
            get(B, "/locations/loc-1"),
            401,
            get(Key, "/locations/loc-1"),
            200,
        ),
        (
            "the backend's routes: replay",
            post(B, "/locations/loc-1/replay", &dead),
            401,
            post(Key, "/locations/loc-1/replay", &dead),
            200,
        ),
        // The key, with B's name and A's ids.
        (
            "push of A's client",
            post(Key, "/push-message", &with(words("m1"), names("loc-2"))),
            200,
            post(Key, "/push-message", &with(words("m2"), names("loc-1"))),
            200,
        ),
        (
            "contact of A's client",
            post(
                Key,
                "/contact",
                &json!({ "locationId": "loc-2", "clientId": "client-1", "name": "B" }),
            ),
            200,
            post(
                Key,
                "/contact",
                &json!({ "locationId": "loc-1", "clientId": "client-1", "name": "B" }),
            ),
            200,
        ),
        (
            "status of A's message",
            post(
                Key,
                "/message-status",
                &with(read.clone(), json!({ "locationId": "loc-2" })),
            ),
            404,
            post(
                Key,
                "/message-status",
                &with(read.clone(), json!({ "locationId": "loc-1" })),
            ),
            200,
        ),
        (
            "replay of A's dead letter",
            post(Key, "/locations/loc-2/replay", &dead),
            200,
            post(Key, "/locations/loc-1/replay", &dead),
            200,
        ),
        (
            "health of B",
            get(Key, "/locations/loc-2"),
            200,
            get(Key, "/locations/loc-1"),
            200,
        ),
        // GHL, with B's name and A's ids: 2xx, for it is GHL.
        (
            "an agent's message to A's contact",
            post(Ghl, "/webhook", &agent("loc-2")),
            200,
            post(Ghl, "/webhook", &agent("loc-1")),
            200,
        ),
        (
            "a copy of an agent's message",
            post(Ghl, "/webhook", &copy("loc-2")),
            200,
            post(Ghl, "/webhook", &copy("loc-1")),
            200,
        ),
        (
            "message.incoming in A's conversation",
            post(Ghl, "/webhook", &incoming("loc-2")),
            200,
            post(Ghl, "/webhook", &incoming("loc-1")),
            200,
        ),
        (
            "unread in A's conversation",
            post(Ghl, "/webhook", &unread("loc-2")),
            200,
            post(Ghl, "/webhook", &unread("loc-1")),
            200,
        ),
        (
            "A's contact deleted",
            post(Ghl, "/webhook", &deleted("loc-2")),
            200,
            post(Ghl, "/webhook", &deleted("loc-1")),
            200,
        ),
        (
            "A's conversation merged",
            post(Ghl, "/webhook", &merged("loc-2")),
            200,
            post(Ghl, "/webhook", &merged("loc-1")),
            200,
        ),
        (
            "the app uninstalled",
            post(Ghl, "/webhook", &left("loc-2")),
            200,
            post(Ghl, "/webhook", &left("loc-1")),
            200,
        ),
    ]
}

/// What B gets when it replays A's dead letter, and what is left of the letter.
#[test]
fn a_dead_letter_is_replayed_by_its_own_location_only() {
    let mut town = Town::new();
    let replay = |location: &str, town: &Town| Act {
        who: Who::Key,
        method: "POST",
        path: format!("/locations/{location}/replay"),
        body: json!({ "ids": [town.dead_letter] }),
    };
    let act = replay("loc-2", &town);
    assert_eq!(town.play(&act).body, r#"{"replayed":0}"#);
    let act = replay("loc-1", &town);
    assert_eq!(town.play(&act).body, r#"{"replayed":1}"#);
}

/// Two chats of one name, in two locations, are two chats for a live listener as well.
#[test]
fn a_listener_hears_its_own_location_only() {
    let mut town = Town::new();
    for who in [Who::A, Who::BAsA] {
        let listen = Act {
            who,
            method: "GET",
            path: "/events".into(),
            body: Value::Null,
        };
        assert_eq!(town.play(&listen).status, 101);
    }
    let agent = Act {
        who: Who::Ghl,
        method: "POST",
        path: "/webhook".into(),
        body: {
            let mut body = delivery("con-a-client-1", "g9", "Alma's words");
            merge(&mut body, json!({ "locationId": "loc-1" }));
            body
        },
    };
    town.play(&agent);
    let heard = |world: &World| {
        world
            .sockets
            .iter()
            .map(|socket| json!(socket.frames).to_string())
            .collect::<String>()
    };
    assert!(
        heard(&town.a).contains("Alma's words"),
        "{}",
        heard(&town.a)
    );
    assert!(
        !heard(&town.b).contains("Alma's words"),
        "{}",
        heard(&town.b)
    );
}

/// Two locations with a chat each, behind one edge.
struct Town {
    a: World,
    b: World,
    dead_letter: i64,
}

impl Town {
    fn new() -> Self {
        let mut a = chatting("loc-1", "access-1", "client-1", "chat-1", "Alma");
        let b = chatting("loc-2", "access-2", "client-2", "chat-2", "Bert");
        agent_writes(&mut a, "loc-1", "client-1", "g0");
        let event = a.call("vCX message.created");
        a.answer(&event, 400, Value::Null);
        settle(&mut a);
        let health = a.get("/locations/loc-1");
        let dead_letter = a.body(&health)["deadLetters"][0]["id"].as_i64().unwrap();
        Self { a, b, dead_letter }
    }

    /// Somebody does something, and both sides' GHL answers all that comes of it.
    fn play(&mut self, act: &Act) -> Response {
        let session = |location: &str, n: u8| Session {
            location_id: location.into(),
            client_id: format!("client-{n}"),
            conversation: format!("chat-{n}"),
            ..self.a.session()
        };
        let session = match act.who {
            Who::A => Some(session("loc-1", 1)),
            Who::B => Some(session("loc-2", 2)),
            Who::BAsA => Some(session("loc-2", 1)),
            Who::Key | Who::Ghl => None,
        };
        let token = session.map(|session| self.a.token(&session));
        let body = match &act.body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let url = format!("https://sync.test{}", act.path);
        let bearer = format!("Bearer {}", token.as_deref().unwrap_or(API_KEY));
        let protocols = token.map(|token| format!("{PROTOCOL}, bearer.{token}"));
        let signature = sign(&body);
        let incoming = Incoming {
            method: act.method,
            url: &url,
            authorization: (act.who != Who::Ghl).then_some(bearer.as_str()),
            signature: (act.who == Who::Ghl).then_some(signature.as_str()),
            upgrade: protocols.is_some().then_some("websocket"),
            protocols: protocols.as_deref(),
            body: Some(body.as_bytes()),
            ..Incoming::default()
        };
        let (object, ask) = match route(&incoming, &self.a.configured, self.a.now, &mut |_| ()) {
            Step::Respond { response, .. } => return response,
            Step::Ask {
                object,
                ask,
                then: None,
            }
            | Step::Listen { object, ask } => (object, ask),
            other => panic!("the edge wants something else: {other:?}"),
        };
        let world = match object.as_str() {
            "location:loc-1" => &mut self.a,
            "location:loc-2" => &mut self.b,
            other => panic!("there is no {other}"),
        };
        let caller = world.ask(ask);
        settle(world);
        world.advance(2 * MINUTE);
        settle(world);
        world.answer_to(&caller).unwrap().clone()
    }
}

fn chatting(location: &str, access: &str, client: &str, chat: &str, name: &str) -> World {
    let mut w = World::of(&format!("location:{location}"), &BROWSERS);
    w.connect_with(grant(
        location,
        access,
        &access.replace("access", "refresh"),
    ));
    settle(&mut w);
    let id = client.replace("client-", "m");
    w.push_with(
        &format!("{name}'s words"),
        json!({ "locationId": location, "clientId": client, "vcxConversationId": chat, "name": name, "messageId": id }),
    );
    settle(&mut w);
    agent_writes(&mut w, location, client, &client.replace("client-", "g"));
    settle(&mut w);
    w
}

fn agent_writes(w: &mut World, location: &str, client: &str, id: &str) {
    let contact = match location {
        "loc-1" => format!("con-a-{client}"),
        _ => format!("con-b-{client}"),
    };
    let mut body = delivery(&contact, id, &format!("An answer of {location}"));
    merge(&mut body, json!({ "locationId": location }));
    w.webhook(&body);
}

/// GHL answers, with ids of its own for each location; it knows no contact by its id. Each call bears the location's own token
/// and names no other location.
fn settle(w: &mut World) {
    let (mark, own, other) = match w.object.as_str() {
        "location:loc-1" => ("a", "Bearer access-1", "loc-2"),
        _ => ("b", "Bearer access-2", "loc-1"),
    };
    while let Some(call) = w.calls.first().cloned() {
        let label = call.label();
        if !label.starts_with("vCX ") {
            assert_eq!(call.header("authorization"), own, "{label}");
        }
        let request = call.request();
        let said = format!(
            "{} {}",
            request.url,
            request.body.as_deref().unwrap_or_default()
        );
        assert!(!said.contains(other), "{said}");
        match label.starts_with("GET /contacts/") {
            true => w.answer(&call, 404, refusal(404, "Contact not found")),
            false => {
                let mut answer = usual_answer(&call);
                answer.body = answer
                    .body
                    .replace("\"con-client", &format!("\"con-{mark}-client"));
                w.answer_with(&call, answer);
            }
        }
    }
}

//! What a browser may do with its session, and from which pages.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::*;
use vcx_ghl::edge::{Incoming, Step, route, shared_with};
use vcx_ghl::ghl::Details;
use vcx_ghl::http::Response;
use vcx_ghl::session::Session;
use vcx_ghl::settings::Settings;

const PAGE: &str = "https://chat.example";
const ROUTES: [&str; 2] = ["/push-message", "/message-status"];

// The words are the browser's, all else is the session's.

#[test]
fn a_browser_says_its_words_and_the_session_says_whose_they_are() {
    let mut w = World::connected_with(&BROWSERS);
    let mina = Session {
        details: Details {
            name: Some("Mina Kim".into()),
            email: Some("mina@example.com".into()),
            phone: None,
        },
        ..w.session()
    };
    let caller = w.browse(&mina, "/push-message", &words(&w, "Hello", "b1"));
    let calls = w.settle_calls();
    assert_eq!(w.body(&caller)["status"], "sent");

    let upsert = calls
        .iter()
        .find(|call| call.label() == "POST /contacts/upsert")
        .unwrap();
    assert_eq!(upsert.json()["email"], "mina@example.com");
    assert_eq!(upsert.json()["name"], "Mina Kim");
    let message = calls
        .iter()
        .find(|call| call.label().ends_with("/messages/inbound"))
        .unwrap();
    assert_eq!(message.json()["direction"], "inbound");
    assert_eq!(message.json()["altId"], "b1");
    assert_eq!(
        w.db.run("SELECT chat_id, client_id FROM chat", &[])
            .unwrap()
            .len(),
        1
    );
    assert_eq!(w.kv("conv:loc-1:chat-1")["clientId"], "client-1");
}

/// They decide in whose inbox the chat ends up, so only a signature may say them.
#[test]
fn name_email_and_phone_of_the_body_are_passed_over() {
    for claimed in [None, Some("mina@example.com")] {
        let mut w = World::connected_with(&BROWSERS);
        let session = Session {
            details: Details {
                email: claimed.map(str::to_owned),
                ..Details::default()
            },
            ..w.session()
        };
        let mut body = words(&w, "Hello", "b1");
        merge(
            &mut body,
            json!({ "email": "boss@example.com", "phone": "+15550109999", "name": ["not even text"] }),
        );
        let caller = w.browse(&session, "/push-message", &body);
        let calls = w.settle_calls();
        assert_eq!(w.status(&caller), 200);
        for call in &calls {
            let text = format!("{}{:?}", call.request().url, call.request().body);
            for said in ["boss", "5550109999", "not even"] {
                assert!(!text.contains(said), "{text}");
            }
        }
        let told = calls.iter().any(|call| {
            let body = call.request().body.as_deref().unwrap_or_default();
            body.contains("mina@example.com")
        });
        assert_eq!(told, claimed.is_some());
    }
}

#[test]
fn what_the_session_says_may_be_said_again() {
    let mut w = World::connected_with(&BROWSERS);
    let mut body = words(&w, "Hello", "b1");
    merge(
        &mut body,
        json!({
            "locationId": LOCATION, "clientId": "client-1", "vcxConversationId": "chat-1", "fromUser": true,
        }),
    );
    let caller = w.browse(&w.session(), "/push-message", &body);
    w.settle();
    assert_eq!(w.status(&caller), 200);
}

#[test]
fn what_the_session_does_not_say_is_403_and_nothing_is_stored() {
    let mut w = World::chatting_with(&BROWSERS);
    let before = w.dump();
    let all = json!({
        "locationId": "loc-2", "clientId": "client-2", "vcxConversationId": "chat-2", "fromUser": false,
    });
    let each = all
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| json!({ name: value }));
    for change in each.chain([all.clone()]) {
        let mut body = words(&w, "Hello", "b1");
        merge(&mut body, change.clone());
        let caller = w.browse(&w.session(), "/push-message", &body);
        assert_eq!(code(&w, &caller), (403, "forbidden".into()), "{change}");
        let body = w.body(&caller);
        let named: BTreeSet<&str> = fields(&body).into_iter().collect();
        let names = change.as_object().unwrap().keys().map(String::as_str);
        assert_eq!(named, names.collect());
    }
    let status = json!({ "locationId": "loc-2", "messageId": "g1", "status": "read" });
    let caller = w.browse(&w.session(), "/message-status", &status);
    assert_eq!(code(&w, &caller), (403, "forbidden".into()));
    assert_eq!((w.dump(), w.under_way()), (before, vec![]));
}

#[test]
fn wrong_fields_of_a_browser_are_named_like_any_other() {
    let mut w = World::connected_with(&BROWSERS);
    let body = json!({
        "locationId": 7, "fromUser": "yes", "body": 5, "timestamp": "now", "messageId": "",
        "attachments": ["http://example.com/a.png"],
    });
    let caller = w.browse(&w.session(), "/push-message", &body);
    assert_eq!(code(&w, &caller), (400, "invalid_fields".into()));
    let names = [
        "locationId",
        "fromUser",
        "body",
        "timestamp",
        "messageId",
        "attachments[0]",
    ];
    assert_eq!(fields(&w.body(&caller)), names);

    let caller = w.browse(&w.session(), "/message-status", &json!({}));
    assert_eq!(fields(&w.body(&caller)), ["status", "messageId"]);
}

/// A browser without an id of its own gets one, as a backend does.
#[test]
fn a_repeat_without_an_id_is_known_again() {
    let mut w = World::connected_with(&BROWSERS);
    let body = json!({ "body": "Hello", "timestamp": w.now });
    let first = w.browse(&w.session(), "/push-message", &body);
    w.settle();
    let again = w.browse(&w.session(), "/push-message", &body);
    assert_eq!(w.settle(), [""; 0]);
    assert_eq!(w.body(&first), w.body(&again));
}

// Statuses.

#[test]
fn a_browser_tells_the_status_of_its_own_chat_s_messages_only() {
    let mut w = World::chatting_with(&BROWSERS);
    let other =
        json!({ "clientId": "client-2", "vcxConversationId": "chat-2", "messageId": "other" });
    w.push_with("Hi", other);
    w.settle();
    w.reply("g1", "For chat-1");
    w.webhook(&delivery("con-client-2", "g2", "For chat-2"));
    w.settle();

    let session = w.session();
    let read = |id: &str| json!({ "messageId": id, "status": "read" });
    let own = w.browse(&session, "/message-status", &read("g1"));
    assert_eq!(
        (w.status(&own), &w.body(&own)["status"]),
        (200, &json!("read"))
    );
    assert_eq!(w.settle(), ["PUT /conversations/messages/g1/status"]);

    let before = w.dump();
    let foreign = w.browse(&session, "/message-status", &read("g2"));
    let unknown = w.browse(&session, "/message-status", &read("g3"));
    let pushed = w.browse(&session, "/message-status", &read("m1"));
    for caller in [&foreign, &unknown, &pushed] {
        assert_eq!(code(&w, caller), (404, "unknown_message".into()));
    }
    let same = |caller, id| w.body(caller).to_string().replace(id, "?");
    assert_eq!(same(&foreign, "g2"), same(&unknown, "g3"));
    assert_eq!((w.dump(), w.settle()), (before, vec![]));

    // The backend is not held to a chat.
    let status = json!({ "locationId": LOCATION, "messageId": "g2", "status": "read" });
    let backend = w.post("/message-status", &status);
    assert_eq!(w.status(&backend), 200);
}

#[test]
fn a_message_that_vcx_has_not_taken_yet_has_its_chat_already() {
    let mut w = World::chatting_with(&BROWSERS);
    w.reply("g1", "Hello");
    let session = w.session();
    let stranger = Session {
        conversation: "chat-2".into(),
        ..session.clone()
    };
    let read = json!({ "messageId": "g1", "status": "read" });
    let foreign = w.browse(&stranger, "/message-status", &read);
    let own = w.browse(&session, "/message-status", &read);
    assert_eq!((w.status(&foreign), w.status(&own)), (404, 200));
}

#[test]
fn a_message_whose_chat_was_found_late_has_its_chat_too() {
    let mut w = World::chatting_with(&BROWSERS);
    // Somebody made a second contact for the same client in GHL, and an agent writes there.
    w.webhook(&delivery("con-9", "g9", "Hello"));
    let call = w.call("GET /contacts/con-9");
    let field = json!({ "id": "field-1", "value": "client-1" });
    w.answer(
        &call,
        200,
        json!({ "contact": { "id": "con-9", "customFields": [field] } }),
    );
    w.settle();
    let read = json!({ "messageId": "g9", "status": "read" });
    let own = w.browse(&w.session(), "/message-status", &read);
    assert_eq!(w.status(&own), 200);
}

#[test]
fn a_message_that_the_loop_brake_held_back_has_its_chat_when_it_is_replayed() {
    let mut w = World::chatting_with(&BROWSERS);
    let held = (0..100).find(|n| {
        w.advance(SECOND);
        w.reply(&format!("agent-{n}"), "Did you mean: hello?");
        let braked = !w.settle().contains(&"vCX message.created".to_owned());
        w.advance(SECOND);
        w.push_with("Did you mean: hello?", json!({ "fromUser": false }));
        w.settle();
        braked
    });
    let id = format!("agent-{}", held.unwrap());
    w.advance(HOUR);
    w.post("/locations/loc-1/replay", &json!({}));
    assert!(w.settle().contains(&"vCX message.created".to_owned()));
    let read = json!({ "messageId": id, "status": "read" });
    let own = w.browse(&w.session(), "/message-status", &read);
    assert_eq!(w.status(&own), 200);
}

// Who gets in.

#[test]
fn a_bearer_that_is_neither_a_key_nor_a_good_session_is_401() {
    let mut w = World::chatting_with(&BROWSERS);
    let before = w.dump();
    let session = w.session();
    let expired = Session {
        issued_at: w.now - HOUR,
        expires_at: w.now,
        ..session.clone()
    };
    let strange = World::with(&[("SESSION_SECRET", "another secret that is not one of ours")]);
    let neither = "neither one of VCX_API_KEY nor a session";
    let cases = [
        ("vcx-key2".to_owned(), neither),
        (String::new(), neither),
        (strange.token(&session), neither),
        (format!("{}x", w.token(&session)), neither),
        (w.token(&expired), "the session has expired"),
        (
            w.token(&Session {
                location_id: String::new(),
                ..session.clone()
            }),
            "claim loc",
        ),
        (
            w.token(&Session {
                expires_at: w.now + 2 * DAY,
                ..session.clone()
            }),
            "24 hours",
        ),
    ];
    for (bearer, why) in &cases {
        for path in ROUTES {
            let caller = w.bear(bearer, path, None, &words(&w, "Hello", "b1"));
            assert_eq!(code(&w, &caller), (401, "unauthorized".into()), "{bearer}");
            let detail = w.body(&caller)["detail"].to_string();
            assert!(detail.contains(why), "{detail}");
            assert_eq!(
                w.answer_to(&caller).unwrap().headers["www-authenticate"],
                "Bearer"
            );
        }
    }
    assert_eq!((w.dump(), w.under_way()), (before, vec![]));
}

#[test]
fn a_session_opens_no_other_route() {
    let w = World::connected_with(&BROWSERS);
    let token = format!("Bearer {}", w.token(&w.session()));
    for (method, path) in [
        ("POST", "/contact"),
        ("GET", "/locations"),
        ("GET", "/locations/loc-1"),
        ("POST", "/locations/loc-1/replay"),
    ] {
        let ask = |authorization| {
            let url = format!("https://sync.test{path}");
            let body = json!({ "locationId": LOCATION, "clientId": "client-1" }).to_string();
            let incoming = Incoming {
                method,
                url: &url,
                authorization: Some(authorization),
                body: Some(body.as_bytes()),
                ..Incoming::default()
            };
            route(&incoming, &w.configured, w.now, &mut |_| ())
        };
        assert_eq!(answer(&ask(&token)).status, 401, "{path}");
        let by_key = ask("Bearer vcx-key");
        assert!(!matches!(by_key, Step::Respond { .. }), "{path} {by_key:?}");
    }
}

#[test]
fn without_a_session_secret_there_are_no_sessions() {
    let signer = World::with(&BROWSERS);
    let mut w = World::connected_with(&[("VCX_ALLOWED_ORIGINS", PAGE)]);
    let bearer = signer.token(&w.session());
    let caller = w.bear(
        &bearer,
        "/push-message",
        Some(PAGE),
        &words(&w, "Hello", "b1"),
    );
    assert_eq!(code(&w, &caller), (401, "unauthorized".into()));
    assert_eq!(
        w.body(&caller)["detail"],
        "the API key is not one of VCX_API_KEY"
    );
}

#[test]
fn the_api_key_works_as_before() {
    let mut w = World::chatting_with(&BROWSERS);
    let push = |id: &str| {
        json!({
            "locationId": LOCATION, "clientId": "client-1", "vcxConversationId": "chat-1",
            "fromUser": false, "body": "Hello", "timestamp": START, "messageId": id,
        })
    };
    // What a backend sends as Origin is its own affair.
    for (id, origin) in [
        ("k1", None),
        ("k2", Some(PAGE)),
        ("k3", Some("https://evil.example")),
    ] {
        let caller = w.bear(API_KEY, "/push-message", origin, &push(id));
        w.settle();
        assert_eq!(w.status(&caller), 200, "{origin:?}");
    }
    let incomplete = w.bear(API_KEY, "/push-message", None, &words(&w, "Hello", "k4"));
    let missing = ["locationId", "clientId", "vcxConversationId", "fromUser"];
    assert_eq!(fields(&w.body(&incomplete)), missing);
}

#[test]
fn a_session_of_a_location_that_is_not_connected_is_404_like_any_other() {
    let mut w = World::with(&BROWSERS);
    let caller = w.browse(&w.session(), "/push-message", &words(&w, "Hello", "b1"));
    assert_eq!(code(&w, &caller), (404, "unknown_location".into()));
}

// Pages.

#[test]
fn a_session_from_a_foreign_page_is_403_before_anything_is_stored() {
    let mut w = World::chatting_with(&BROWSERS);
    let token = w.token(&w.session());
    let before = w.dump();
    for origin in [
        "https://evil.example",
        "https://chat.example.evil.example",
        "https://chat.example:8443",
        "http://chat.example",
        "https://CHAT.example",
        "https://chat.example/",
        "https://chat.example, https://evil.example",
        "null",
        "*",
        "",
    ] {
        for path in ROUTES {
            let caller = w.bear(&token, path, Some(origin), &words(&w, "Hello", "b1"));
            assert_eq!(
                code(&w, &caller),
                (403, "origin_not_allowed".into()),
                "{origin}"
            );
        }
    }
    assert_eq!((w.dump(), w.under_way()), (before, vec![]));

    // A program sends no Origin; an allowed page sends its own.
    for (id, origin) in [
        ("b1", None),
        ("b2", Some(PAGE)),
        ("b3", Some("http://localhost:5173")),
    ] {
        let caller = w.bear(&token, "/push-message", origin, &words(&w, "Hello", id));
        w.settle();
        assert_eq!(w.status(&caller), 200, "{origin:?}");
    }
}

#[test]
fn without_allowed_origins_no_page_gets_in() {
    let mut w = World::chatting_with(&[("SESSION_SECRET", SESSION_SECRET)]);
    let token = w.token(&w.session());
    let body = words(&w, "Hello", "b1");
    let page = w.bear(&token, "/push-message", Some(PAGE), &body);
    assert_eq!(code(&w, &page), (403, "origin_not_allowed".into()));
    let program = w.bear(&token, "/push-message", None, &body);
    w.settle();
    assert_eq!(w.status(&program), 200);
}

#[test]
fn a_preflight_is_answered_for_two_routes_and_allowed_pages() {
    for path in ROUTES {
        let step = preflight(path, Some(PAGE));
        let response = answer(&step);
        assert_eq!((response.status, response.body.as_str()), (204, ""));
        let expected = [
            (
                "access-control-allow-headers",
                "authorization, content-type",
            ),
            ("access-control-allow-methods", "POST"),
            ("access-control-max-age", "7200"),
        ];
        assert_eq!(response.headers, expected.map(owned).into());

        let foreign = preflight(path, Some("https://evil.example"));
        assert_eq!(answer(&foreign).status, 403);
        assert!(answer(&foreign).body.contains("origin_not_allowed"));
        let nobody = preflight(path, None);
        assert_eq!(answer(&nobody).status, 405, "that is no preflight");
    }
    for path in [
        "/contact",
        "/webhook",
        "/locations",
        "/locations/loc-1/replay",
        "/install",
        "/health",
    ] {
        assert_eq!(answer(&preflight(path, Some(PAGE))).status, 405, "{path}");
    }
}

/// Whatever the answer is, made here, by the object or by the host.
#[test]
fn answers_on_two_routes_can_be_read_by_allowed_pages_and_by_no_others() {
    let w = World::with(&BROWSERS);
    let shared = |path: &str, origin| {
        let url = format!("https://sync.test{path}");
        shared_with(&url, origin, &w.configured)
    };
    let readable = [
        ("access-control-allow-origin", PAGE),
        ("access-control-expose-headers", "Retry-After"),
        ("vary", "Origin"),
    ];
    for path in ["/push-message", "/message-status", "/push-message?x=1"] {
        assert_eq!(shared(path, Some(PAGE)), readable.map(owned).into());
        let foreign = shared(path, Some("https://evil.example"));
        assert_eq!(foreign, [("vary", "Origin")].map(owned).into());
        assert!(shared(path, None).is_empty());
    }
    for path in ["/contact", "/locations", "/health", "/nowhere", "/webhook"] {
        assert!(shared(path, Some(PAGE)).is_empty(), "{path}");
    }
    let unset = Settings::parse(&Default::default());
    assert!(shared_with("https://sync.test/push-message", Some(PAGE), &unset).is_empty());
}

// The pace.

#[test]
fn a_browser_pushes_30_messages_a_minute_and_is_told_when_to_go_on() {
    let mut w = World::chatting_with(&BROWSERS);
    let session = w.session();
    let mut said = Vec::new();
    for n in 0..30 {
        let body = words(&w, &format!("Line {n}"), &format!("b{n}"));
        let caller = w.browse(&session, "/push-message", &body);
        w.settle();
        assert_eq!(w.status(&caller), 200, "{n}");
        said.push(body);
        w.advance(500);
    }

    let before = w.dump();
    let over = words(&w, "One more", "b30");
    let caller = w.browse(&session, "/push-message", &over);
    assert_eq!(code(&w, &caller), (429, "too_many_requests".into()));
    assert_eq!(w.answer_to(&caller).unwrap().headers["retry-after"], "45");
    assert_eq!(
        (w.dump(), w.under_way()),
        (before, vec![]),
        "nothing is stored"
    );

    // What is stored already is answered, and counts no more.
    for body in &said {
        let caller = w.browse(&session, "/push-message", body);
        assert_eq!(w.body(&caller)["status"], "sent");
    }
    // Other chats have a pace of their own, and the backend has none.
    let neighbour = Session {
        client_id: "client-2".into(),
        conversation: "chat-2".into(),
        ..session.clone()
    };
    let other = w.browse(&neighbour, "/push-message", &words(&w, "Hi", "n1"));
    w.settle();
    assert_eq!(w.status(&other), 200);
    for n in 0..40 {
        let caller = w.push_with(&format!("From the backend {n}"), json!({}));
        w.settle();
        assert_eq!(w.status(&caller), 200);
    }

    w.advance(44_999);
    let early = w.browse(&session, "/push-message", &over);
    assert_eq!(w.answer_to(&early).unwrap().headers["retry-after"], "1");
    w.advance(1);
    let in_time = w.browse(&session, "/push-message", &over);
    w.settle();
    assert_eq!(w.body(&in_time)["status"], "sent");
}

#[test]
fn the_pace_of_a_new_chat_begins_with_its_first_message() {
    let mut w = World::connected_with(&BROWSERS);
    let session = w.session();
    for n in 0..30 {
        let body = words(&w, &format!("Line {n}"), &format!("b{n}"));
        w.browse(&session, "/push-message", &body);
    }
    let over = w.browse(&session, "/push-message", &words(&w, "One more", "b30"));
    assert_eq!(w.status(&over), 429);
    // A second tab, or a second session, is the same chat.
    let later = Session {
        expires_at: w.now + 2 * HOUR,
        ..session
    };
    let over = w.browse(&later, "/push-message", &words(&w, "One more", "b31"));
    assert_eq!(w.status(&over), 429);
}

#[test]
fn a_refused_push_does_not_count() {
    let mut w = World::chatting_with(&BROWSERS);
    let session = w.session();
    for n in 0..40 {
        let mut body = words(&w, "", &format!("b{n}"));
        let empty = w.browse(&session, "/push-message", &body);
        assert_eq!(w.status(&empty), 400);
        merge(&mut body, json!({ "body": "Hello", "messageId": "m1" }));
        let taken = w.browse(&session, "/push-message", &body);
        assert_eq!(code(&w, &taken), (409, "message_id_conflict".into()));
    }
    let good = w.browse(&session, "/push-message", &words(&w, "Hello", "b1"));
    w.settle();
    assert_eq!(w.status(&good), 200);
}

// Sizes.

#[test]
fn urls_and_headers_of_absurd_length_are_refused_before_they_are_read() {
    let configured = Settings::parse(&settings(&BROWSERS));
    let ask = |incoming: Incoming<'_>| {
        let step = route(&incoming, &configured, START, &mut |bytes| bytes.fill(3));
        let response = answer(&step);
        let body: Value = serde_json::from_str(&response.body).unwrap();
        (
            response.status,
            body["code"].clone(),
            body["detail"].clone(),
        )
    };
    let long = "x".repeat(16 * 1024 + 1);
    let fits = "x".repeat(16 * 1024);
    for (path, method) in [
        ("/push-message", "POST"),
        ("/webhook", "POST"),
        ("/auth/callback", "GET"),
        ("/x", "GET"),
    ] {
        let url = format!("https://sync.test{path}");
        let plain = Incoming {
            method,
            url: &url,
            body: Some(b"{}"),
            ..Incoming::default()
        };
        for (name, with) in [
            (
                "Authorization",
                Incoming {
                    authorization: Some(&long),
                    ..plain
                },
            ),
            (
                "X-GHL-Signature",
                Incoming {
                    signature: Some(&long),
                    ..plain
                },
            ),
            (
                "Cookie",
                Incoming {
                    cookie: Some(&long),
                    ..plain
                },
            ),
            (
                "Origin",
                Incoming {
                    origin: Some(&long),
                    ..plain
                },
            ),
        ] {
            let detail = format!("the header {name} is over 16 KB");
            assert_eq!(
                ask(with),
                (431, json!("header_too_large"), json!(detail)),
                "{path}"
            );
        }
        for url in [
            format!("https://sync.test{path}?{}", "q".repeat(8 * 1024)),
            format!("https://sync.test/{}", "p".repeat(8 * 1024)),
        ] {
            let url_too_long = (414, json!("url_too_long"), json!("the URL is over 8 KB"));
            assert_eq!(ask(Incoming { url: &url, ..plain }), url_too_long);
        }
    }
    let fitting = Incoming {
        method: "POST",
        url: "https://sync.test/push-message",
        authorization: Some(&fits),
        body: Some(b"{}"),
        ..Incoming::default()
    };
    assert_eq!(ask(fitting).0, 401);
}

// Settings.

#[test]
fn a_wrong_session_secret_is_named() {
    for (wrong, why) in [
        (
            "hunter2hunter2",
            "SESSION_SECRET is wrong: entry 1 holds 14 bytes where at least 32 belong",
        ),
        (",", "SESSION_SECRET is wrong: it holds no key"),
    ] {
        let configured = Settings::parse(&settings(&[("SESSION_SECRET", wrong)]));
        assert_eq!(configured.err().unwrap(), [why]);
    }
    assert!(
        Settings::parse(&settings(&BROWSERS))
            .ok()
            .unwrap()
            .session_keys
            .is_some()
    );
    assert!(
        Settings::parse(&settings(&[]))
            .ok()
            .unwrap()
            .session_keys
            .is_none()
    );
}

#[test]
fn origins_are_written_as_browsers_send_them() {
    for wrong in [
        "*",
        "null",
        "chat.example",
        "//chat.example",
        "https://",
        "https://chat.example/",
        "https://chat.example/path",
        "https://chat.example?x",
        "https://user@chat.example",
        "https://Chat.example",
        "HTTPS://chat.example",
        "https://chat.example:443",
        "http://chat.example:80",
        "https://chat.example:0443",
        "https://chat.example:99999",
        "https://chat.example:",
        "https://*.chat.example",
        "https://chät.example",
        "https://chat.example https://other.example",
        "://chat.example",
    ] {
        let both = format!("https://fine.example, {wrong}");
        let configured = Settings::parse(&settings(&[("VCX_ALLOWED_ORIGINS", &both)]));
        let problems = configured
            .err()
            .unwrap_or_else(|| panic!("{wrong} is fine?"));
        assert_eq!(problems.len(), 1);
        let begins = "VCX_ALLOWED_ORIGINS is wrong: entry 2 is not an origin";
        assert!(problems[0].starts_with(begins), "{problems:?}");
    }
    let fine = [
        "https://chat.example",
        "http://localhost:5173",
        "https://chat.example:8443",
        "http://127.0.0.1",
        "http://[::1]:8080",
        "https://xn--bcher-kva.example",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
    ];
    let text = format!(" {} ,", fine.join(" , "));
    let settings = Settings::parse(&settings(&[("VCX_ALLOWED_ORIGINS", &text)]))
        .ok()
        .unwrap();
    assert_eq!(settings.allowed_origins, fine);
}

// Helpers.

/// A browser's push: its words, and no more.
fn words(w: &World, text: &str, id: &str) -> Value {
    json!({ "body": text, "timestamp": w.now, "messageId": id })
}

fn preflight(path: &str, origin: Option<&str>) -> Step {
    let url = format!("https://sync.test{path}");
    let incoming = Incoming {
        method: "OPTIONS",
        url: &url,
        origin,
        body: Some(b""),
        ..Incoming::default()
    };
    route(
        &incoming,
        &Settings::parse(&settings(&BROWSERS)),
        START,
        &mut |_| (),
    )
}

fn answer(step: &Step) -> &Response {
    match step {
        Step::Respond { response, .. } => response,
        other => panic!("no answer: {other:?}"),
    }
}

fn code(w: &World, caller: &Caller) -> (u16, String) {
    let body = w.body(caller);
    (w.status(caller), body["code"].as_str().unwrap().to_owned())
}

/// The names of the fields that an answer complains about.
fn fields(body: &Value) -> Vec<&str> {
    let errors = body["errors"].as_array().map_or(&[][..], Vec::as_slice);
    errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

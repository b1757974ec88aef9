//! What the stateless Worker decides: every route, and every error of CONTRACT.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::*;
use vcx_ghl::edge::{self, Brought, Configured, Incoming, Listed, Step, Then};
use vcx_ghl::http::{Outcome, Response};
use vcx_ghl::location::Ask;
use vcx_ghl::settings::Settings;
use vcx_ghl::signature::verify_state;

/// As long as GHL's.
const CODE: &str = "5b3f7a9c2d1e4f60a8b7c6d5e4f3a2b10c9d8e7f";
const ROUTES: [(&str, &str); 12] = [
    ("GET", "/install"),
    ("GET", "/auth/callback"),
    ("POST", "/contact"),
    ("POST", "/push-message"),
    ("POST", "/message-status"),
    ("POST", "/webhook"),
    ("GET", "/events"),
    ("GET", "/locations"),
    ("GET", "/locations/loc-1"),
    ("POST", "/locations/loc-1/replay"),
    ("GET", "/health"),
    ("GET", "/openapi.json"),
];
const BACKEND: [(&str, &str); 6] = [
    ("POST", "/contact"),
    ("POST", "/push-message"),
    ("POST", "/message-status"),
    ("GET", "/locations"),
    ("GET", "/locations/loc-1"),
    ("POST", "/locations/loc-1/replay"),
];

/// The body, headers and meaning of the five fields and one that the document's `curl` sends; the
/// key is all that is new.
#[test]
fn the_user_document_s_own_curl_plus_the_header() {
    let mut w = World::connected();
    let body = r#"{
        "locationId": "loc-1",
        "clientId": "client_123",
        "vcxConversationId": "conv_456",
        "fromUser": true,
        "body": "Hello from vCX",
        "timestamp": 1710000000000
    }"#;
    let caller = w.http(&Incoming {
        method: "POST",
        url: "https://sync.test/push-message",
        authorization: Some("Bearer vcx-key"),
        body: Some(body.as_bytes()),
        ..Incoming::default()
    });
    w.settle();
    assert_eq!(w.status(&caller), 200);
    assert_eq!(w.body(&caller)["status"], "sent");
}

// Routes and methods.

#[test]
fn an_unknown_route_is_404() {
    for path in [
        "/",
        "/push",
        "/push-message/x",
        "/auth",
        "/locations/loc-1/x",
        "/LOCATIONS",
        "/events2",
    ] {
        let problem = problem(&authorized("GET", path, b""));
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (404, "not_found"),
            "{path}"
        );
    }
    let long = format!("/locations/{}", "x".repeat(129));
    assert_eq!(problem(&authorized("GET", &long, b"")).code, "not_found");
    assert_eq!(
        problem(&authorized("GET", "/locations/a%00b", b"")).code,
        "not_found"
    );
}

#[test]
fn a_wrong_method_is_405_and_names_the_right_one() {
    for (method, path) in ROUTES {
        for other in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            if other == method {
                continue;
            }
            let step = authorized(other, path, b"{}");
            let problem = problem(&step);
            assert_eq!(
                (problem.status, problem.code.as_str()),
                (405, "method_not_allowed"),
                "{path}"
            );
            assert!(problem.detail.contains(method), "{}", problem.detail);
            assert_eq!(response(&step).headers["allow"], method);
        }
    }
}

#[test]
fn a_location_s_id_is_read_from_the_path_as_it_was_written() {
    for (segment, id) in [
        ("loc-1", "loc-1"),
        ("a%2Fb", "a/b"),
        ("a+b", "a+b"),
        ("%C3%A9", "é"),
    ] {
        let Step::Ask {
            object,
            ask,
            then: None,
        } = authorized("GET", &format!("/locations/{segment}?x=1"), b"")
        else {
            panic!()
        };
        assert_eq!((object, ask), (format!("location:{id}"), Ask::Health));
    }
}

#[test]
fn the_description_names_every_route_and_the_version() {
    let step = anonymous("GET", "/openapi.json", b"");
    let document: Value = serde_json::from_str(&response(&step).body).unwrap();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let ours = ROUTES.map(|(_, path)| path.replace("loc-1", "{id}"));
    assert_eq!(described, ours.iter().cloned().collect());
    for (method, path) in ROUTES {
        let path = path.replace("loc-1", "{id}");
        assert!(
            document["paths"][&path][method.to_lowercase()].is_object(),
            "{method} {path}"
        );
    }
}

#[test]
fn errors_are_problem_json() {
    let step = authorized("POST", "/push-message", b"{}");
    let response = response(&step);
    assert_eq!(response.headers["content-type"], "application/problem+json");
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body["type"], "urn:vcx-ghl:error:invalid_fields");
    assert_eq!(body["title"], "Fields are missing or wrong");
    assert_eq!(body["status"], 400);
    assert_eq!(body["code"], "invalid_fields");
    assert!(body["detail"].is_string());
}

// Who may ask.

#[test]
fn backend_routes_want_the_key() {
    for (method, path) in BACKEND {
        for authorization in [
            None,
            Some(""),
            Some("Bearer"),
            Some("vcx-key"),
            Some("Basic vcx-key"),
        ] {
            let step = route(&Incoming {
                authorization,
                ..incoming(method, path, b"{}")
            });
            let problem = problem(&step);
            assert_eq!(
                (problem.status, problem.code.as_str()),
                (401, "unauthorized"),
                "{path}"
            );
            assert!(
                problem.detail.contains("Authorization: Bearer"),
                "{}",
                problem.detail
            );
            assert_eq!(response(&step).headers["www-authenticate"], "Bearer");
        }
        for wrong in [
            "Bearer other",
            "Bearer vcx-key2",
            "Bearer ",
            "Bearer VCX-KEY",
        ] {
            let authorization = Some(wrong);
            let step = route(&Incoming {
                authorization,
                ..incoming(method, path, b"{}")
            });
            let problem = problem(&step);
            assert_eq!(problem.status, 401);
            assert!(
                !problem.detail.contains("other"),
                "what was tried is not repeated"
            );
        }
    }
}

#[test]
fn while_rotating_each_key_is_accepted() {
    let configured = Settings::parse(&settings(&[("VCX_API_KEY", "new-key, vcx-key")]));
    for key in ["Bearer new-key", "bearer vcx-key", "BEARER  vcx-key"] {
        let authorization = Some(key);
        let incoming = Incoming {
            authorization,
            ..incoming("GET", "/locations/loc-1", b"")
        };
        assert!(
            matches!(route_with(&incoming, &configured), Step::Ask { .. }),
            "{key}"
        );
    }
}

#[test]
fn an_unauthorized_body_is_not_even_looked_at() {
    let step = anonymous("POST", "/push-message", b"not json");
    assert_eq!(problem(&step).code, "unauthorized");
    let none = Incoming {
        body: None,
        ..incoming("POST", "/push-message", b"")
    };
    assert_eq!(problem(&route(&none)).code, "unauthorized");
}

// Bodies.

#[test]
fn malformed_json_is_400() {
    let bodies: [&[u8]; 10] = [
        b"",
        b" ",
        b"{",
        b"hello",
        b"[]",
        b"null",
        b"\"text\"",
        b"{\"body\": \"\xff\"}",
        b"{\"body\": \"\\ud800\"}",
        b"{\"body\": \"\\udc00 alone\"}",
    ];
    for path in ["/push-message", "/contact", "/message-status"] {
        for body in bodies {
            let problem = problem(&authorized("POST", path, body));
            assert_eq!(
                (problem.status, problem.code.as_str()),
                (400, "malformed_json"),
                "{body:?}"
            );
            assert!(
                problem.detail.starts_with("the body is"),
                "{}",
                problem.detail
            );
        }
    }
    assert_eq!(
        problem(&authorized("POST", "/locations/loc-1/replay", b"[1]")).code,
        "malformed_json"
    );
}

#[test]
fn json_that_is_nested_too_deep_is_400() {
    let deep = format!("{{\"body\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let problem = problem(&authorized("POST", "/push-message", deep.as_bytes()));
    assert_eq!(problem.code, "malformed_json");
}

#[test]
fn each_missing_field_is_named() {
    let step = authorized("POST", "/push-message", b"{}");
    let expected = [
        "body",
        "clientId",
        "fromUser",
        "locationId",
        "timestamp",
        "vcxConversationId",
    ];
    assert_eq!(fields(&step), expected);
    let detail = problem(&step).detail;
    for field in expected {
        assert!(detail.contains(field), "{detail}");
    }
    assert_eq!(
        fields(&authorized("POST", "/contact", b"{}")),
        ["clientId", "locationId"]
    );
    let step = authorized("POST", "/message-status", b"{}");
    assert_eq!(fields(&step), ["locationId", "messageId", "status"]);
}

#[test]
fn each_wrong_field_of_a_push_is_named() {
    let long = "x".repeat(129);
    let cases = [
        ("locationId", json!(7)),
        ("locationId", json!("")),
        ("locationId", json!(long)),
        ("locationId", json!("a\u{0}b")),
        ("locationId", json!("a\nb")),
        ("clientId", json!("x".repeat(76))),
        ("clientId", json!("")),
        ("clientId", json!(["a"])),
        ("clientId", json!("\u{7f}")),
        ("vcxConversationId", json!(long)),
        ("vcxConversationId", json!(null)),
        ("fromUser", json!("true")),
        ("fromUser", json!(1)),
        ("fromUser", json!(null)),
        ("body", json!(5)),
        ("body", json!(null)),
        ("body", json!("")),
        ("timestamp", json!("1710000000000")),
        ("timestamp", json!(1.5)),
        ("timestamp", json!(-1)),
        ("timestamp", json!(8_640_000_000_000_001_i64)),
        ("timestamp", json!(1e300)),
        ("timestamp", json!(null)),
        ("messageId", json!("")),
        ("messageId", json!(long)),
        ("messageId", json!(7)),
        ("name", json!(5)),
        ("name", json!("x".repeat(257))),
        ("email", json!({})),
        ("phone", json!(15_550_100_123_i64)),
        ("attachments", json!("https://cdn.test/a.png")),
        ("attachments", json!({ "0": "https://cdn.test/a.png" })),
        ("attachments", json!(vec!["https://cdn.test/a.png"; 101])),
        ("attachments[0]", json!(["http://cdn.test/a.png"])),
        ("attachments[1]", json!(["https://cdn.test/a.png", 7])),
        (
            "attachments[2]",
            json!(["https://a.test", "https://b.test", "https://a b.test/"]),
        ),
        ("attachments[0]", json!(["javascript:alert(1)"])),
        ("attachments[0]", json!(["https:///nowhere"])),
        (
            "attachments[0]",
            json!([format!("https://cdn.test/{}", "x".repeat(2_048))]),
        ),
    ];
    for (field, wrong) in cases {
        let mut push = push();
        let name = field.split('[').next().unwrap();
        push.as_object_mut()
            .unwrap()
            .insert(name.to_owned(), wrong.clone());
        let step = authorized("POST", "/push-message", push.to_string().as_bytes());
        assert_eq!(fields(&step), [field], "{wrong}");
        assert_eq!(problem(&step).code, "invalid_fields");
    }
}

#[test]
fn several_wrong_fields_are_all_named_in_one_answer() {
    let mut push = push();
    merge(
        &mut push,
        json!({ "clientId": 7, "timestamp": "now", "attachments": [1, "ftp://x"] }),
    );
    let step = authorized("POST", "/push-message", push.to_string().as_bytes());
    assert_eq!(
        fields(&step),
        ["attachments[0]", "attachments[1]", "clientId", "timestamp"]
    );
}

#[test]
fn each_wrong_field_of_the_other_routes_is_named() {
    for (path, body, field) in [
        (
            "/contact",
            json!({ "locationId": "l", "clientId": "x".repeat(76) }),
            "clientId",
        ),
        (
            "/contact",
            json!({ "locationId": "l", "clientId": "c", "email": 5 }),
            "email",
        ),
        (
            "/message-status",
            json!({ "locationId": "l", "messageId": "m", "status": "sent" }),
            "status",
        ),
        (
            "/message-status",
            json!({ "locationId": "l", "messageId": "m", "status": "pending" }),
            "status",
        ),
        (
            "/message-status",
            json!({ "locationId": "l", "messageId": "m", "status": "failed", "error": 5 }),
            "error",
        ),
        ("/locations/loc-1/replay", json!({ "ids": "all" }), "ids"),
        ("/locations/loc-1/replay", json!({ "ids": [1, "x"] }), "ids"),
        ("/locations/loc-1/replay", json!({ "ids": [1.5] }), "ids"),
    ] {
        let step = authorized("POST", path, body.to_string().as_bytes());
        assert_eq!(fields(&step), [field], "{body}");
    }
}

#[test]
fn what_is_just_within_the_limits_is_accepted() {
    let longest = "ü".repeat(128);
    let accepted = [
        json!({ "clientId": "é".repeat(75) }),
        json!({ "locationId": longest, "vcxConversationId": longest, "messageId": longest }),
        json!({ "timestamp": 0 }),
        json!({ "timestamp": 8_640_000_000_000_000_i64 }),
        json!({ "timestamp": 1.71e12 }),
        json!({ "body": "x".repeat(64 * 1024) }),
        json!({ "body": "", "attachments": ["https://cdn.test/a.png"] }),
        json!({ "body": null, "attachments": ["https://cdn.test/a.png"] }),
        json!({ "attachments": [] }),
        json!({ "attachments": null }),
        json!({ "name": "", "email": " ", "phone": null }),
        json!({ "brandNew": { "deep": [] } }),
    ];
    for change in accepted {
        let mut push = push();
        for (name, value) in change.as_object().unwrap() {
            push.as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone());
        }
        let step = authorized("POST", "/push-message", push.to_string().as_bytes());
        assert!(
            matches!(
                step,
                Step::Ask {
                    ask: Ask::Push { .. },
                    ..
                }
            ),
            "{change}: {step:?}"
        );
    }
}

#[test]
fn too_large_is_413() {
    let over = Incoming {
        body: None,
        ..with_key("POST", "/push-message", b"")
    };
    let problem_over = problem(&route(&over));
    assert_eq!(
        (problem_over.status, problem_over.code.as_str()),
        (413, "too_large")
    );
    // Counted in bytes of UTF-8, not in characters.
    for text in ["x".repeat(64 * 1024 + 1), "é".repeat(32 * 1024 + 1)] {
        let mut push = push();
        merge(&mut push, json!({ "body": text }));
        let step = authorized("POST", "/push-message", push.to_string().as_bytes());
        assert_eq!(problem(&step).code, "too_large");
    }
    let webhook = Incoming {
        body: None,
        ..incoming("POST", "/webhook", b"")
    };
    assert_eq!(problem(&route(&webhook)).code, "too_large");
}

#[test]
fn a_replay_without_a_body_means_all() {
    let bodies: [(&[u8], Option<Vec<i64>>); 5] = [
        (b"", None),
        (b" \n", None),
        (b"{}", None),
        (b"{\"ids\": [3, \"4\"]}", Some(vec![3, 4])),
        (b"{\"ids\": []}", Some(vec![])),
    ];
    for (body, expected) in bodies {
        let step = authorized("POST", "/locations/loc-1/replay", body);
        let Step::Ask {
            ask: Ask::Replay { ids },
            ..
        } = step
        else {
            panic!("{step:?}")
        };
        assert_eq!(ids, expected);
    }
}

// Settings.

#[test]
fn health_says_up_and_the_version() {
    let step = anonymous("GET", "/health", b"");
    assert_eq!(response(&step).status, 200);
    let body: Value = serde_json::from_str(&response(&step).body).unwrap();
    assert_eq!(
        body,
        json!({ "status": "up", "version": env!("CARGO_PKG_VERSION") })
    );
}

#[test]
fn missing_settings_are_all_named() {
    let configured = Settings::parse(&Default::default());
    let step = route_with(&incoming("GET", "/health", b""), &configured);
    assert_eq!(response(&step).status, 503);
    let body: Value = serde_json::from_str(&response(&step).body).unwrap();
    let names = json!([
        "GHL_CLIENT_ID",
        "GHL_CLIENT_SECRET",
        "GHL_REDIRECT_URI",
        "GHL_PROVIDER_ID",
        "VCX_API_KEY",
        "SEAL_KEYS",
    ]);
    assert_eq!(body["missing"], names);
    for (method, path) in ROUTES.into_iter().filter(|(_, path)| *path != "/health") {
        let step = route_with(&with_key(method, path, b"{}"), &configured);
        let problem = problem(&step);
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (500, "not_configured"),
            "{path}"
        );
        assert!(
            problem.detail.contains("SEAL_KEYS is missing"),
            "{}",
            problem.detail
        );
        assert_eq!(fields(&step).len(), 6);
    }
}

#[test]
fn a_wrong_setting_is_named_and_its_value_is_not_shown() {
    for (name, wrong) in [
        ("SEAL_KEYS", "hunter2hunter2"),
        ("VCX_WEBHOOK_SECRET", "hunter2hunter2"),
        ("VCX_WEBHOOK_SECRET", "whsec_aHVudGVyMg=="),
        ("GHL_PUBLIC_KEYS", "hunter2hunter2"),
        ("VCX_WEBHOOK_URL", "hunter2.test"),
        ("GHL_API_URL", "ftp://hunter2.test"),
        ("GHL_REDIRECT_URI", "hunter2"),
        ("GHL_INSTALL_URL", "hunter2"),
    ] {
        let configured = Settings::parse(&settings(&[(name, wrong)]));
        let Err(problems) = &configured else {
            panic!("{name} {wrong} is fine?")
        };
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(name), "{problems:?}");
        assert!(!problems[0].contains("hunter2"), "{problems:?}");
        let step = route_with(&incoming("GET", "/health", b""), &configured);
        let body: Value = serde_json::from_str(&response(&step).body).unwrap();
        assert_eq!(body["missing"], json!([name]));
    }
    let no_secret = Settings::parse(&settings(&[("VCX_WEBHOOK_SECRET", "")]));
    assert_eq!(no_secret.err().unwrap(), ["VCX_WEBHOOK_SECRET is missing"]);
}

// Webhooks.

#[test]
fn an_unsigned_or_badly_signed_webhook_is_401_without_detail() {
    let body = delivery("con-1", "m", "Hi").to_string();
    let other = sign("another body");
    let doubled = format!("{0}, {0}", sign(&body));
    for (signature, code) in [
        (None, "signature_absent"),
        (Some(""), "signature_empty"),
        (Some("N/A"), "signature_not_applicable"),
        (Some("not base64!"), "signature_not_base64"),
        (Some("AAAA"), "signature_wrong_length"),
        (Some(other.as_str()), "signature_wrong"),
        (Some(doubled.as_str()), "signature_doubled"),
    ] {
        let step = route(&Incoming {
            signature,
            ..incoming("POST", "/webhook", body.as_bytes())
        });
        let Step::Respond {
            response,
            log: Some(log),
        } = step
        else {
            panic!("{step:?}")
        };
        assert_eq!(response.status, 401);
        assert!(!response.body.contains("ignature"), "{}", response.body);
        let log: Value = serde_json::from_str(&log).unwrap();
        assert_eq!(
            (&log["event"], &log["code"]),
            (&json!("webhook_refused"), &json!(code))
        );
    }
}

/// What nobody has signed is not even looked at, so that only GHL can hand our parser anything.
#[test]
fn a_webhook_is_verified_before_it_is_read() {
    let unsigned = |body: &[u8]| response(&anonymous("POST", "/webhook", body)).clone();
    let wrong = sign("another body");
    let badly = |body: &[u8]| {
        let signature = Some(wrong.as_str());
        let incoming = incoming("POST", "/webhook", body);
        response(&route(&Incoming {
            signature,
            ..incoming
        }))
        .clone()
    };
    let deep = "[".repeat(100_000);
    let foreign = delivery("con-1", "m", "Hi")
        .to_string()
        .replace("loc-1", "loc-2");
    let bodies: [&[u8]; 6] = [
        b"",
        b"not json",
        b"\xff",
        b"null",
        deep.as_bytes(),
        foreign.as_bytes(),
    ];
    let expected = unsigned(b"{}");
    assert_eq!(expected.status, 401);
    for body in bodies {
        assert_eq!(unsigned(body), expected);
        assert_eq!(badly(body), expected);
    }
}

#[test]
fn while_ghl_rotates_each_of_its_keys_is_accepted_until_it_is_taken_away() {
    let next = "TZYPR9JaClkwxjXJqbZIX1Ge3L6y4SsJHlsx8hz2Uzo=";
    let body = delivery("con-1", "m", "Hi").to_string();
    let signature = sign(&body);
    let incoming = Incoming {
        signature: Some(signature.as_str()),
        ..incoming("POST", "/webhook", body.as_bytes())
    };
    let today = settings(&[])["GHL_PUBLIC_KEYS"].clone();
    for (keys, is_taken) in [
        (format!("{next},{today}"), true),
        (format!("{today}, {next}"), true),
        (next.to_owned(), false),
    ] {
        let configured = Settings::parse(&settings(&[("GHL_PUBLIC_KEYS", &keys)]));
        let step = route_with(&incoming, &configured);
        assert_eq!(matches!(step, Step::Ask { .. }), is_taken, "{keys}");
    }
}

#[test]
fn one_changed_byte_is_a_bad_signature() {
    let body = delivery("con-1", "m", "Hi").to_string();
    let signature = sign(&body);
    let signature = Some(signature.as_str());
    let changed = body.replace("Hi", "Ho");
    let step = route(&Incoming {
        signature,
        ..incoming("POST", "/webhook", changed.as_bytes())
    });
    assert_eq!(response(&step).status, 401);
    let step = route(&Incoming {
        signature,
        ..incoming("POST", "/webhook", body.as_bytes())
    });
    assert!(matches!(step, Step::Ask { .. }));
}

#[test]
fn the_api_key_is_no_signature() {
    let body = delivery("con-1", "m", "Hi").to_string();
    let step = authorized("POST", "/webhook", body.as_bytes());
    assert_eq!(response(&step).status, 401);
}

#[test]
fn a_signed_webhook_goes_to_the_object_it_is_about() {
    let location = json!({ "locationId": "loc-1" });
    for (body, object) in [
        (delivery("con-1", "m", "Hi"), "location:loc-1"),
        (
            json!({ "type": "UNINSTALL", "locationId": "loc-1", "appId": "app1" }),
            "location:loc-1",
        ),
        (
            json!({ "type": "UNINSTALL", "companyId": "company-1" }),
            "company:company-1",
        ),
        (
            json!({ "type": "INSTALL", "locationId": "loc-1", "companyId": "company-1" }),
            "company:company-1",
        ),
        (
            json!({ "type": "INSTALL", "locationId": "loc-1" }),
            "location:loc-1",
        ),
        (
            json!({ "type": "SomethingNew", "locationId": "loc-1" }),
            "location:loc-1",
        ),
        (
            json!({ "type": "message.incoming", "data": location }),
            "location:loc-1",
        ),
    ] {
        let step = signed(&body.to_string());
        let Step::Ask {
            object: asked,
            ask: Ask::Webhook { .. },
            then: None,
        } = step
        else {
            panic!("{body}: {step:?}")
        };
        assert_eq!(asked, object, "{body}");
    }
}

#[test]
fn a_signed_webhook_of_another_app_has_no_effect() {
    let bodies = [
        json!({ "type": "UNINSTALL", "locationId": LOCATION }),
        json!({ "type": "UNINSTALL", "companyId": "company-1" }),
        json!({ "type": "INSTALL", "locationId": LOCATION, "companyId": "company-1" }),
        json!({ "type": "ContactDelete", "locationId": LOCATION, "id": "con-1" }),
        json!({ "type": "message.incoming", "data": { "locationId": LOCATION } }),
        delivery("con-1", "m", "Hi"),
    ];
    let apps = [
        json!("app2"),
        json!("app1-key1"),
        json!("APP1"),
        json!(" app1"),
        json!(7),
        json!(["app1"]),
        json!({ "app1": true }),
        json!(false),
    ];
    for body in bodies {
        for app in &apps {
            let mut body = body.clone();
            merge(&mut body, json!({ "appId": app }));
            without_effect(&body.to_string(), "webhook_of_another_app");
        }
    }
    let mut ours = delivery("con-1", "m", "Hi");
    merge(&mut ours, json!({ "appId": "app1" }));
    assert!(matches!(signed(&ours.to_string()), Step::Ask { .. }));
}

#[test]
fn a_signed_body_that_names_no_location_is_one_log_line_with_hash_and_size() {
    let long = "x".repeat(129);
    for body in [
        json!({ "type": "OutboundMessage", "contactId": "con-1" }),
        json!({ "type": "INSTALL" }),
        json!({ "type": "SomethingNew", "companyId": "company-1" }),
        json!({ "type": "OutboundMessage", "locationId": long }),
        json!({ "type": "OutboundMessage", "locationId": "a\u{1}b" }),
        json!({ "type": "OutboundMessage", "locationId": "" }),
        json!({ "type": "OutboundMessage", "locationId": 7 }),
    ] {
        without_effect(&body.to_string(), "webhook_without_location");
    }
    for body in ["", "not json", "[]", "null", "7"] {
        without_effect(body, "webhook_unreadable");
    }
}

fn without_effect(body: &str, event: &str) {
    let Step::Respond {
        response,
        log: Some(log),
    } = signed(body)
    else {
        panic!("{body}")
    };
    assert_eq!(response.status, 200);
    let log: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(log["event"], event, "{body}");
    assert_eq!(log["bytes"], body.len());
    let hash = vcx_ghl::signature::hex(&vcx_ghl::signature::digest_of(body.as_bytes()));
    assert_eq!(log["sha256"], hash);
}

// Installing.

#[test]
fn install_sends_the_admin_to_ghl_s_chooser_with_a_signed_state() {
    let step = anonymous("GET", "/install?ref=acme%20%26%20co", b"");
    let response = response(&step);
    assert_eq!(response.status, 302);
    assert_eq!(response.headers["cache-control"], "no-store");
    let (page, query) = response.headers["location"].split_once('?').unwrap();
    assert_eq!(
        page,
        "https://marketplace.gohighlevel.com/v2/oauth/chooselocation"
    );
    let query = pairs(query);
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["client_id"], "app1-key1");
    assert_eq!(query["redirect_uri"], "https://sync.test/auth/callback");
    assert!(query["scope"].contains("conversations/message.write"));
    assert!(!query.contains_key("version_id"));
    let secret = &Settings::parse(&settings(&[])).ok().unwrap().client_secret;
    let state = verify_state(secret, &query["state"], START).unwrap();
    assert_eq!(state.ref_.as_deref(), Some("acme & co"));

    let cookie = &response.headers["set-cookie"];
    assert!(
        cookie.starts_with(&format!("vcx_ghl_state={};", query["state"])),
        "{cookie}"
    );
    for part in [
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Path=/auth/callback",
        "Max-Age=600",
    ] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
}

#[test]
fn install_carries_the_version_of_a_private_app_and_the_scopes_that_are_set() {
    let configured = Settings::parse(&settings(&[
        ("GHL_VERSION_ID", "version-1"),
        ("GHL_SCOPES", "contacts.readonly oauth.write"),
        ("GHL_INSTALL_URL", "https://white.label/chooser?brand=x"),
    ]));
    let step = route_with(&incoming("GET", "/install", b""), &configured);
    let url = &response(&step).headers["location"];
    let (page, query) = url.split_once('?').unwrap();
    assert_eq!(page, "https://white.label/chooser");
    let query = pairs(query);
    assert_eq!(query["brand"], "x");
    assert_eq!(query["version_id"], "version-1");
    assert_eq!(query["scope"], "contacts.readonly oauth.write");
}

#[test]
fn a_ref_is_at_most_128_characters() {
    let fits = format!("/install?ref={}", "a".repeat(128));
    assert_eq!(response(&anonymous("GET", &fits, b"")).status, 302);
    for long in [
        format!("/install?ref={}", "a".repeat(129)),
        "/install?ref=a%0Ab".to_owned(),
    ] {
        let step = anonymous("GET", &long, b"");
        assert_eq!(problem(&step).status, 400);
        assert_eq!(fields(&step), ["ref"]);
    }
}

#[test]
fn two_installations_have_two_states() {
    let mut w = World::new();
    let mut state = || {
        let install = w.http(&incoming("GET", "/install", b""));
        let location = w.answer_to(&install).unwrap().headers["location"].clone();
        pairs(location.split_once('?').unwrap().1)["state"].clone()
    };
    assert_ne!(state(), state());
}

#[test]
fn a_callback_exchanges_the_code() {
    let state = a_state();
    let url = format!("/auth/callback?code={CODE}&state={state}");
    let step = anonymous("GET", &url, b"");
    let Step::Fetch {
        request,
        timeout_ms,
        then,
    } = step
    else {
        panic!("{step:?}")
    };
    assert_eq!(request.label(), "POST /oauth/token");
    let form = pairs(request.body.as_deref().unwrap());
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code"], CODE);
    assert_eq!(form["client_id"], "app1-key1");
    assert_eq!(form["client_secret"], "client-secret");
    assert_eq!(form["redirect_uri"], "https://sync.test/auth/callback");
    assert!((5_000..=30_000).contains(&timeout_ms));
    assert_eq!(then, exchanged("install", Some("acme")));
}

#[test]
fn a_cookie_will_do_where_ghl_does_not_bring_the_state_back() {
    let cookie = format!("theme=dark; vcx_ghl_state={}; x=y", a_state());
    let with_cookie = |cookie: &str, url: &str| {
        let step = route(&Incoming {
            cookie: Some(cookie),
            ..incoming("GET", url, b"")
        });
        match step {
            Step::Fetch { then, .. } => then,
            other => panic!("{other:?}"),
        }
    };
    let then = with_cookie(&cookie, &format!("/auth/callback?code={CODE}"));
    assert_eq!(then, exchanged("install", Some("acme")));
    let then = with_cookie(&cookie, &format!("/auth/callback?code={CODE}&state="));
    assert_eq!(then, exchanged("install", Some("acme")));
    // A cookie that does not verify is as good as none.
    let then = with_cookie(
        "vcx_ghl_state=forged.state",
        &format!("/auth/callback?code={CODE}"),
    );
    assert_eq!(then, exchanged("marketplace", None));
}

#[test]
fn without_state_and_cookie_it_is_a_marketplace_installation() {
    let step = anonymous("GET", &format!("/auth/callback?code={CODE}"), b"");
    let Step::Fetch { then, .. } = step else {
        panic!("{step:?}")
    };
    assert_eq!(then, exchanged("marketplace", None));
}

#[test]
fn a_state_that_is_present_and_wrong_is_refused_whatever_the_cookie_says() {
    let good = a_state();
    let cookie = format!("vcx_ghl_state={good}");
    let tampered = format!("{}x", good);
    let swapped: String = good.chars().rev().collect();
    for state in ["x", tampered.as_str(), swapped.as_str()] {
        let url = format!("/auth/callback?code=c&state={state}");
        let cookie = Some(cookie.as_str());
        let step = route(&Incoming {
            cookie,
            ..incoming("GET", &url, b"")
        });
        let page = page_of(&step, 400);
        assert!(page.contains("This link is not ours"), "{page}");
    }
    // One that another installation's secret made is forged too.
    let other = Settings::parse(&settings(&[("GHL_CLIENT_SECRET", "another")]));
    let url = format!("/auth/callback?code=c&state={good}");
    let step = route_with(&incoming("GET", &url, b""), &other);
    assert!(page_of(&step, 400).contains("This link is not ours"));
}

#[test]
fn a_state_that_is_too_old_is_refused() {
    let url = format!("/auth/callback?code=c&state={}", a_state());
    let configured = Settings::parse(&settings(&[]));
    let at = |now| edge::route(&incoming("GET", &url, b""), &configured, now, &mut |_| {});
    assert!(matches!(at(START + 10 * MINUTE - 1), Step::Fetch { .. }));
    assert!(page_of(&at(START + 10 * MINUTE), 400).contains("This link is too old"));
}

#[test]
fn a_callback_without_a_code_says_so() {
    for url in [
        "/auth/callback",
        "/auth/callback?code=",
        "/auth/callback?locationId=loc-1",
    ] {
        let page = page_of(&anonymous("GET", url, b""), 400);
        assert!(page.contains("GoHighLevel sent no code"), "{page}");
    }
}

#[test]
fn a_denial_is_shown_and_escaped() {
    let url =
        "/auth/callback?error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E";
    let page = page_of(&anonymous("GET", url, b""), 400);
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
}

#[test]
fn a_code_that_was_used_is_said_to_be() {
    let body =
        json!({ "error": "UnAuthorized!", "error_description": "Authorization code not found" });
    let page = page_of(&after_exchange(answered(401, body)), 400);
    assert!(page.contains("Authorization code not found"), "{page}");
    for status in [400, 403, 404, 422] {
        page_of(
            &after_exchange(answered(status, refusal(status, "no"))),
            400,
        );
    }
}

#[test]
fn a_ghl_that_does_not_answer_or_answers_oddly_is_said_to() {
    let silent = [
        Outcome::TimedOut,
        Outcome::Dropped {
            message: "connection <reset>".into(),
        },
        answered(500, json!(null)),
        answered(503, json!(null)),
        answered(429, json!(null)),
    ];
    for outcome in silent {
        let page = page_of(&after_exchange(outcome), 502);
        assert!(page.contains("GoHighLevel does not answer"), "{page}");
        assert!(!page.contains("<reset>"));
    }
    let html = Outcome::Answered(Response::text(
        200,
        "text/html",
        "<html>sign in</html>".into(),
    ));
    let empty = Outcome::Answered(Response::text(200, "text/plain", String::new()));
    let mut no_location = grant("loc-1", "access-1", "refresh-1");
    merge(&mut no_location, json!({ "locationId": null }));
    let mut no_token = grant("loc-1", "access-1", "refresh-1");
    merge(&mut no_token, json!({ "access_token": null }));
    for outcome in [
        html,
        empty,
        answered(200, no_location),
        answered(200, no_token),
    ] {
        let page = page_of(&after_exchange(outcome), 502);
        assert!(page.contains("GoHighLevel answered oddly"), "{page}");
    }
}

#[test]
fn the_location_comes_from_the_token_reply_and_never_from_the_query() {
    let step = anonymous("GET", "/auth/callback?code=c&locationId=loc-victim", b"");
    let Step::Fetch { then, .. } = step else {
        panic!("{step:?}")
    };
    let reply = grant("loc-1", "access-1", "refresh-1");
    let step = proceed(&then, answered(200, reply));
    let Step::Ask {
        object,
        ask: Ask::Connect { via, reference, .. },
        then,
    } = step
    else {
        panic!("{step:?}")
    };
    assert_eq!(object, "location:loc-1");
    assert_eq!((via.as_str(), reference), ("marketplace", None));

    let page = page_of(&proceed(&then.unwrap(), answered(200, json!({}))), 200);
    assert!(page.contains("Location loc-1"), "{page}");
    assert!(page.contains("Connected"), "{page}");
}

#[test]
fn an_agency_s_token_goes_to_the_agency_s_object() {
    let reply = company_grant("company-1", "access-1", "refresh-1");
    let step = after_exchange(answered(201, reply));
    let Step::Ask {
        object,
        ask: Ask::Connect { via, reference, .. },
        then,
    } = step
    else {
        panic!("{step:?}")
    };
    assert_eq!(object, "company:company-1");
    assert_eq!(
        (via.as_str(), reference.as_deref()),
        ("install", Some("acme"))
    );
    let page = page_of(&proceed(&then.unwrap(), answered(200, json!({}))), 200);
    assert!(page.contains("Agency company-1"), "{page}");
}

#[test]
fn what_could_not_be_stored_is_not_connected() {
    let then = Then::Connected {
        what: "Location loc-1".into(),
    };
    for outcome in [
        Outcome::TimedOut,
        answered(500, json!({})),
        answered(404, json!({})),
    ] {
        let page = page_of(&proceed(&then, outcome), 503);
        assert!(page.contains("could not be stored"), "{page}");
    }
}

#[test]
fn pages_are_safe_to_show_and_end_the_cookie() {
    let then = Then::Connected {
        what: "Location <b>&\"'".into(),
    };
    let step = proceed(&then, answered(200, json!({})));
    let response = response(&step);
    assert!(response.body.contains("Location &lt;b&gt;&amp;&quot;&#39;"));
    let headers = &response.headers;
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert!(
        headers["content-security-policy"].starts_with("default-src 'none'; style-src 'sha256-")
    );
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers["set-cookie"].starts_with("vcx_ghl_state=; "));
    assert!(headers["set-cookie"].contains("Max-Age=0"));
}

/// From the admin's click to the tokens in the object.
#[test]
fn an_installation_from_beginning_to_end() {
    let mut w = World::new();
    let install = w.http(&incoming("GET", "/install?ref=acme", b""));
    let location = w.answer_to(&install).unwrap().headers["location"].clone();
    let state = pairs(location.split_once('?').unwrap().1)["state"].clone();
    w.advance(MINUTE);
    let url = format!("/auth/callback?code=code-1&state={state}");
    let step = edge::route(
        &incoming("GET", &url, b""),
        &w.configured,
        w.now,
        &mut |_| {},
    );
    let Step::Fetch { then, .. } = step else {
        panic!("{step:?}")
    };
    let outcome = answered(200, grant(LOCATION, "access-1", "refresh-1"));
    let step = w.proceed(&then, &Brought::Outcome { outcome });
    let Step::Ask {
        ask,
        then: Some(then),
        ..
    } = step
    else {
        panic!("{step:?}")
    };
    let connected = w.ask(ask);
    let outcome = Outcome::Answered(w.answer_to(&connected).unwrap().clone());
    page_of(&w.proceed(&then, &Brought::Outcome { outcome }), 200);
    let event = w.take("vCX location.connected");
    assert_eq!(
        event.json(),
        json!({
            "type": "location.connected", "locationId": LOCATION, "via": "install", "ref": "acme",
            "timestamp": w.now,
        })
    );
    assert_eq!(w.kv("location:loc-1")["state"], "connected");
}

// The directory.

#[test]
fn the_directory_is_kv_s_list_page_by_page() {
    let step = authorized("GET", "/locations?cursor=abc%3D", b"");
    let Step::List {
        prefix,
        cursor,
        then,
    } = step
    else {
        panic!("{step:?}")
    };
    assert_eq!(
        (prefix.as_str(), cursor.as_deref()),
        ("location:", Some("abc="))
    );
    let metadata = json!({
        "companyId": "company-1", "state": "connected", "via": "install", "ref": "acme", "rev": 7,
    });
    let keys = vec![
        Listed {
            name: "location:loc-1".into(),
            metadata,
        },
        Listed {
            name: "location:loc-2".into(),
            metadata: Value::Null,
        },
    ];
    let brought = Brought::Page {
        keys,
        cursor: Some("next".into()),
    };
    let step = edge::proceed(&then, &brought, START);
    let body: Value = serde_json::from_str(&response(&step).body).unwrap();
    assert_eq!(
        body,
        json!({
            "locations": [
                {
                    "locationId": "loc-1", "companyId": "company-1", "state": "connected",
                    "via": "install", "ref": "acme",
                },
                {
                    "locationId": "loc-2", "companyId": null, "state": null, "via": null,
                    "ref": null,
                },
            ],
            "cursor": "next",
        })
    );
    let Step::List { cursor: None, .. } = authorized("GET", "/locations", b"") else {
        panic!()
    };
}

#[test]
fn a_host_that_brings_something_else_is_an_error_of_our_own() {
    let page = Brought::Page {
        keys: Vec::new(),
        cursor: None,
    };
    let outcome = Brought::Outcome {
        outcome: Outcome::TimedOut,
    };
    for (then, brought) in [
        (Then::Listed, &outcome),
        (exchanged("install", None), &page),
        (
            Then::Connected {
                what: String::new(),
            },
            &page,
        ),
    ] {
        let step = edge::proceed(&then, brought, START);
        assert_eq!(problem(&step).code, "internal");
    }
}

// Health, as far as its answer's shape goes.

#[test]
fn a_location_s_health_has_all_of_its_members() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.settle();
    let health = w.health();
    let mut expected = json!({
        "locationId": LOCATION,
        "companyId": null,
        "state": "connected",
        "via": "install",
        "ref": "acme",
        "health": "ok",
        "reasons": [],
        "token": { "expiresAt": START + 86_399_000, "refreshedAt": START },
        "traffic": { "lastWebhookAt": START, "lastToGhlAt": START, "lastToVcxAt": START },
        "queue": { "depth": 0, "oldestAt": null, "nextTryAt": null },
        "rate": { "max": 100, "intervalMs": 10_000, "remaining": null, "dailyRemaining": null },
        "deadLetters": [],
        "lastError": null,
        "ignored": 0,
    });
    // Null and absent are one thing to whoever reads it.
    for value in [&mut expected, &mut health.clone()] {
        strip(value);
    }
    let mut health = health;
    strip(&mut health);
    assert_eq!(health, expected);
}

fn strip(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(strip);
    }
}

// Helpers.

fn push() -> Value {
    json!({
        "locationId": "loc-1", "clientId": "client-1", "vcxConversationId": "chat-1",
        "fromUser": true, "body": "Hello", "timestamp": START,
    })
}

fn incoming<'a>(method: &'a str, url: &'a str, body: &'a [u8]) -> Incoming<'a> {
    Incoming {
        method,
        url,
        body: Some(body),
        ..Incoming::default()
    }
}

fn with_key<'a>(method: &'a str, url: &'a str, body: &'a [u8]) -> Incoming<'a> {
    Incoming {
        authorization: Some("Bearer vcx-key"),
        ..incoming(method, url, body)
    }
}

fn anonymous(method: &str, path: &str, body: &[u8]) -> Step {
    let url = format!("https://sync.test{path}");
    route(&incoming(method, &url, body))
}

fn authorized(method: &str, path: &str, body: &[u8]) -> Step {
    let url = format!("https://sync.test{path}");
    route(&with_key(method, &url, body))
}

fn signed(body: &str) -> Step {
    let signature = sign(body);
    let signature = Some(signature.as_str());
    route(&Incoming {
        signature,
        ..incoming("POST", "/webhook", body.as_bytes())
    })
}

fn route(incoming: &Incoming<'_>) -> Step {
    route_with(incoming, &Settings::parse(&settings(&[])))
}

fn route_with(incoming: &Incoming<'_>, configured: &Configured) -> Step {
    edge::route(incoming, configured, START, &mut |bytes| bytes.fill(3))
}

fn proceed(then: &Then, outcome: Outcome) -> Step {
    edge::proceed(then, &Brought::Outcome { outcome }, START)
}

fn after_exchange(outcome: Outcome) -> Step {
    proceed(&exchanged("install", Some("acme")), outcome)
}

fn exchanged(via: &str, reference: Option<&str>) -> Then {
    Then::Exchanged {
        via: via.into(),
        reference: reference.map(str::to_owned),
        code: CODE.into(),
    }
}

fn answered(status: u16, body: Value) -> Outcome {
    Outcome::Answered(Response::json(status, &body))
}

/// A state as `/install?ref=acme` makes it.
fn a_state() -> String {
    let step = anonymous("GET", "/install?ref=acme", b"");
    let url = &response(&step).headers["location"];
    pairs(url.split_once('?').unwrap().1)["state"].clone()
}

fn response(step: &Step) -> &Response {
    match step {
        Step::Respond { response, .. } => response,
        other => panic!("no answer: {other:?}"),
    }
}

fn page_of(step: &Step, status: u16) -> String {
    let response = response(step);
    assert_eq!(response.status, status, "{}", response.body);
    assert!(response.headers["content-type"].starts_with("text/html"));
    response.body.clone()
}

struct Shown {
    status: u16,
    code: String,
    detail: String,
}

fn problem(step: &Step) -> Shown {
    let response = response(step);
    assert_eq!(response.headers["content-type"], "application/problem+json");
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body["status"], response.status);
    Shown {
        status: response.status,
        code: body["code"].as_str().unwrap().to_owned(),
        detail: body["detail"].as_str().unwrap().to_owned(),
    }
}

/// The names of the fields that are complained about.
fn fields(step: &Step) -> Vec<String> {
    let body: Value = serde_json::from_str(&response(step).body).unwrap();
    let errors = body["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names: Vec<String> = errors
        .iter()
        .map(|error| {
            assert!(!error["message"].as_str().unwrap().is_empty());
            error["field"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    names
}

//! RULES, "To GHL".
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::*;
use vcx_ghl::http::Response;

/// The whole way there and back: a visitor's first words, the next ones, an agent's answer.
#[test]
fn a_chat_runs_both_ways() {
    let mut w = World::new();
    let connected = w.connect();
    assert_eq!(w.status(&connected), 200);
    w.take("vCX location.connected");
    w.take("GET /locations/loc-1/customFields");
    assert_eq!(w.under_way(), NOTHING);

    let first = w.push("Hello, is anyone there?");
    assert!(w.waits(&first), "until GHL has it");
    w.take("POST /contacts/search");
    w.take("POST /contacts/");
    w.take("POST /conversations/");
    let call = w.take(SEND);
    assert_eq!(call.json()["message"], "Hello, is anyone there?");
    assert_eq!(w.status(&first), 200);
    assert_eq!(
        w.body(&first),
        json!({
            "status": "sent",
            "messageId": "m1",
            "contactId": "con-client-1",
            "conversationId": "cnv-client-1",
            "ghlMessageId": "ghl-m1",
        })
    );
    w.take("POST /contacts/con-client-1/tags");
    assert_eq!(w.under_way(), NOTHING);

    w.advance(20 * SECOND);
    let second = w.push("I have a question");
    assert_eq!(w.settle(), [SEND]);
    assert_eq!(w.status(&second), 200);

    w.advance(20 * SECOND);
    let reply = w.reply("agent-1", "Happy to help!");
    assert_eq!(w.status(&reply), 200);
    let event = w.only_call("vCX message.created");
    assert_eq!(
        event.json(),
        json!({
            "type": "message.created",
            "locationId": LOCATION,
            "clientId": "client-1",
            "vcxConversationId": "chat-1",
            "messageId": "agent-1",
            "fromUser": false,
            "body": "Happy to help!",
            "timestamp": w.now,
            "attachments": [],
            "userId": "user-1",
        })
    );
    w.answer(&event, 204, json!(null));
    let status = w.take("PUT /conversations/messages/agent-1/status");
    assert_eq!(status.json(), json!({ "status": "delivered" }));
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn a_message_is_logged_as_custom_inbound_with_provider_direction_alt_id_and_date() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    w.push("Hello");
    assert_eq!(
        w.take(SEND).json(),
        json!({
            "type": "Custom",
            "contactId": "con-client-1",
            "conversationId": "cnv-client-1",
            "conversationProviderId": PROVIDER,
            "message": "Hello",
            "altId": "m2",
            "direction": "inbound",
            "date": "2026-10-08T09:01:00.000Z",
        })
    );
}

#[test]
fn what_vcx_s_agent_or_bot_wrote_is_logged_as_outbound() {
    let mut w = World::chatting();
    w.push_with("I am a bot", json!({ "fromUser": false }));
    let call = w.take(SEND);
    assert_eq!(call.json()["direction"], "outbound");
    assert_eq!(call.json()["type"], "Custom");
}

/// `POST /conversations/messages` would hand the message to the Delivery URL, that is, to us. The
/// harness refuses that call in every story; here is each kind of message once.
#[test]
fn messages_are_never_sent_by_the_sending_endpoint() {
    let mut w = World::chatting();
    for (from_user, attachments) in [(true, json!([])), (false, json!(["https://a.test/1.png"]))] {
        let more = json!({ "fromUser": from_user, "attachments": attachments });
        w.push_with("words", more);
        assert_eq!(w.settle(), [SEND]);
    }
}

#[test]
fn attachments_go_as_urls_and_an_empty_text_is_left_out() {
    let mut w = World::chatting();
    let urls = json!(["https://cdn.test/a.png", "https://cdn.test/b%20c.pdf?x=1"]);
    w.push_with("", json!({ "attachments": urls }));
    let call = w.take(SEND);
    assert_eq!(call.json()["attachments"], urls);
    assert_eq!(call.json().get("message"), None);
}

#[test]
fn a_text_arrives_byte_for_byte() {
    let mut w = World::chatting();
    let kinds = "🧑‍🚀 עברית العربية <b>&amp;\"'</b> \u{c}\u{0}\u{7f}\r\n\t\\ \u{2028}\u{feff}";
    let long = "ß".repeat(32 * 1024);
    for text in [kinds, " leading and trailing ", long.as_str()] {
        w.push(text);
        assert_eq!(w.take(SEND).json()["message"], text);
    }
}

#[test]
fn in_a_chat_we_know_a_message_is_one_call() {
    let mut w = World::chatting();
    for _ in 0..3 {
        w.push("once more");
        assert_eq!(w.settle(), [SEND]);
    }
}

#[test]
fn the_first_message_of_a_client_takes_a_search_a_creation_a_conversation_and_the_message() {
    let mut w = World::connected();
    w.push("Hello");
    assert_eq!(
        w.settle(),
        [
            "POST /contacts/search",
            "POST /contacts/",
            "POST /conversations/",
            SEND,
            "POST /contacts/con-client-1/tags",
        ]
    );
}

#[test]
fn the_first_message_of_a_client_with_an_email_takes_an_upsert_instead() {
    let mut w = World::connected();
    w.push_with("Hello", json!({ "email": "mina@example.com" }));
    assert_eq!(
        w.settle(),
        [
            "POST /contacts/search",
            "POST /contacts/upsert",
            "POST /conversations/",
            SEND,
            "POST /contacts/con-client-1/tags",
        ]
    );
}

#[test]
fn a_conversation_that_cannot_be_made_is_made_by_the_message() {
    for answer in [
        (
            400,
            json!({ "statusCode": 400, "message": "Conversation already exists" }),
        ),
        (201, json!({ "success": true })),
    ] {
        let mut w = World::connected();
        let push = w.push("Hello");
        w.take("POST /contacts/search");
        w.take("POST /contacts/");
        let call = w.call("POST /conversations/");
        w.answer(&call, answer.0, answer.1);
        let call = w.take(SEND);
        assert_eq!(call.json().get("conversationId"), None);
        assert_eq!(w.body(&push)["conversationId"], "cnv-client-1");
        w.settle();

        w.push("And now it is known");
        let call = w.only_call(SEND);
        assert_eq!(call.json()["conversationId"], "cnv-client-1");
    }
}

#[test]
fn the_custom_field_is_set_up_once_for_a_location() {
    let mut w = World::new();
    w.connect();
    w.take("vCX location.connected");
    let call = w.call("GET /locations/loc-1/customFields");
    assert_eq!(call.query("model").as_deref(), Some("contact"));
    w.answer(&call, 200, json!({ "customFields": [] }));
    let call = w.call("POST /locations/loc-1/customFields");
    assert_eq!(call.json()["name"], "vCX Client Id");
    assert_eq!(call.json()["dataType"], "TEXT");
    assert_eq!(call.json()["model"], "contact");
    let field = json!({ "id": "field-9", "fieldKey": "contact.vcx_client_id" });
    w.answer(&call, 201, json!({ "customField": field }));

    for client in ["client-1", "client-2"] {
        w.push_with(
            "Hello",
            json!({ "clientId": client, "vcxConversationId": client }),
        );
        let search = w.call("POST /contacts/search");
        assert_eq!(
            search.json()["filters"][0]["filters"][0]["field"],
            "customFields.field-9"
        );
        let made = w.settle();
        assert!(
            !made.iter().any(|label| label.contains("customFields")),
            "{made:?}"
        );
    }
}

#[test]
fn a_message_waits_for_the_custom_field_and_goes_on_without_one_that_ghl_refuses() {
    let mut w = World::new();
    w.connect();
    w.take("vCX location.connected");
    let push = w.push("Hello");
    let call = w.only_call("GET /locations/loc-1/customFields");
    w.answer(
        &call,
        401,
        refusal(401, "The token is not authorized for this scope."),
    );
    assert_eq!(
        w.under_way(),
        ["POST /contacts/"],
        "there is nothing to search by"
    );
    let call = w.take("POST /contacts/");
    assert_eq!(call.json().get("customFields"), None);
    w.settle();
    assert_eq!(w.status(&push), 200);
    let health = w.health();
    assert_eq!(health["health"], "degraded");
    let reasons = health["reasons"].to_string();
    assert!(
        reasons.contains("The token is not authorized for this scope."),
        "{reasons}"
    );
}

#[test]
fn a_custom_field_that_cannot_be_had_for_now_is_tried_again_before_the_message() {
    let mut w = World::new();
    w.connect();
    w.take("vCX location.connected");
    w.push("Hello");
    for _ in 0..4 {
        let call = w.wait_for("GET /locations/loc-1/customFields", HOUR);
        w.answer(&call, 500, json!(null));
        assert_eq!(w.under_way(), NOTHING);
    }
    w.wait_for("GET /locations/loc-1/customFields", HOUR);
    let made = w.settle();
    assert_eq!(
        made[..2],
        ["GET /locations/loc-1/customFields", "POST /contacts/search"]
    );
}

/// GHL may never let us list fields: then the visitor's words still end somewhere visible.
#[test]
fn a_message_does_not_wait_for_the_custom_field_for_ever() {
    let mut w = World::new();
    w.connect();
    w.take("vCX location.connected");
    w.push("Hello");
    let until = w.now + 3 * DAY;
    while w.now < until {
        if let Some(call) = w.calls.first().cloned() {
            match call.label().as_str() {
                "POST /oauth/token" => drop(w.take("POST /oauth/token")),
                "GET /locations/loc-1/customFields" => w.answer(&call, 500, json!(null)),
                other => panic!("{other}"),
            }
        }
        w.advance_to_next(DAY);
        if w.under_way()
            .iter()
            .any(|label| label.starts_with("POST /contacts"))
        {
            return;
        }
    }
    dump(&w);
    panic!("the message is stuck: {}", w.health());
}

#[test]
fn the_date_is_the_timestamp() {
    let mut w = World::chatting();
    w.advance(HOUR);
    w.push_with("written offline", json!({ "timestamp": START + 90_250 }));
    assert_eq!(w.take(SEND).json()["date"], "2026-10-08T09:01:30.250Z");
}

#[test]
fn the_date_is_not_later_than_now() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    w.push_with("from the future", json!({ "timestamp": START + DAY }));
    assert_eq!(w.take(SEND).json()["date"], "2026-10-08T09:01:00.000Z");
    w.push_with(
        "from the last day of JavaScript",
        json!({ "timestamp": 8_640_000_000_000_000_i64 }),
    );
    assert_eq!(w.take(SEND).json()["date"], "2026-10-08T09:01:00.001Z");
}

#[test]
fn the_date_is_raised_to_the_lane_s_previous_date_and_a_millisecond() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    w.push("now");
    assert_eq!(w.take(SEND).json()["date"], "2026-10-08T09:01:00.000Z");
    for (timestamp, date) in [(0, "001Z"), (START, "002Z"), (START + MINUTE, "003Z")] {
        w.push_with("earlier", json!({ "timestamp": timestamp }));
        assert_eq!(
            w.take(SEND).json()["date"],
            format!("2026-10-08T09:01:00.{date}")
        );
    }
    // Another client's lane has its own.
    let other = json!({ "clientId": "client-2", "vcxConversationId": "chat-2", "timestamp": 0 });
    w.push_with("in another lane", other);
    let made = w.settle_calls();
    let call = made.iter().find(|call| call.label() == SEND).unwrap();
    assert_eq!(call.json()["date"], "1970-01-01T00:00:00.000Z");
}

#[test]
fn a_2xx_without_a_message_id_is_a_failure_that_names_the_provider_id() {
    for response in [
        Response {
            status: 201,
            headers: Default::default(),
            body: String::new(),
        },
        Response::json(200, &json!({ "success": true })),
        Response::text(200, "text/html", "<html>maintenance</html>".into()),
    ] {
        let mut w = World::chatting();
        let push = w.push("Hello");
        let call = w.call(SEND);
        w.answer_with(&call, response);
        assert!(w.waits(&push));
        // It is looked for, since GHL claims to have it; then it is sent again.
        let mut again = 0;
        let until = w.now + 9 * SECOND;
        while w.now < until {
            w.advance_to_next(until - w.now);
            for call in w.calls.clone() {
                match call.label().as_str() {
                    LOOK => w.answer(&call, 200, page(json!([]), false)),
                    SEND => {
                        again += 1;
                        w.answer(&call, 200, json!({ "success": true }));
                    }
                    other => panic!("{other}"),
                }
            }
        }
        assert_eq!(again, 1);
        w.advance(2 * SECOND);
        assert_eq!(w.status(&push), 202);
        let reason = w.body(&push)["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("messageId"), "{reason}");
        assert!(reason.contains("GHL_PROVIDER_ID provider-1"), "{reason}");
    }
}

#[test]
fn a_500_that_lasts_names_the_provider_id() {
    let mut w = World::chatting();
    w.push("Hello");
    let failed = outlast(&mut w, 2 * DAY, |w, call| match call.label().as_str() {
        SEND => w.answer(call, 500, refusal(500, "Internal server error")),
        LOOK => w.answer(call, 200, page(json!([]), false)),
        other => panic!("{other}"),
    });
    assert_eq!(failed["messageId"], "m2");
    assert_eq!(failed["direction"], "toGhl");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("Internal server error"), "{reason}");
    assert!(reason.contains("GHL_PROVIDER_ID provider-1"), "{reason}");
    assert_eq!(w.health()["deadLetters"][0]["messageId"], "m2");
}

#[test]
fn a_400_404_413_or_422_is_permanent() {
    for status in [400, 404, 413, 422] {
        let mut w = World::chatting();
        let push = w.push("Hello");
        let call = w.call(SEND);
        w.answer(
            &call,
            status,
            refusal(status, "attachments must be an array"),
        );
        assert_eq!(w.status(&push), 422);
        let body = w.body(&push);
        assert_eq!(body["code"], "rejected");
        assert_eq!(body["messageId"], "m2");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains("attachments must be an array"), "{detail}");
        assert_eq!(w.settle(), ["vCX message.failed"]);
        w.advance(DAY);
        assert_eq!(w.under_way(), NOTHING);
        assert_eq!(w.health()["deadLetters"][0]["code"], "refused");
    }
}

/// The kind of provider and the `type` do not fit: that names a conversation, and is no mapping.
#[test]
fn a_400_about_the_provider_is_permanent() {
    let mut w = World::chatting();
    let push = w.push("Hello");
    let call = w.call(SEND);
    w.answer(
        &call,
        400,
        refusal(400, "Incorrect conversationProviderId/type"),
    );
    assert_eq!(w.status(&push), 422);
}

#[test]
fn a_400_or_404_that_names_the_mapping_forgets_it_and_resolves_anew() {
    for (status, words) in [
        (400, "Contact not found"),
        (404, "Contact with id con-client-1 not found"),
        (404, "Conversation not found"),
        (400, "The conversation was deleted"),
    ] {
        let mut w = World::chatting();
        w.advance(MINUTE);
        let push = w.push("Hello");
        let call = w.call(SEND);
        w.answer(&call, status, refusal(status, words));
        w.take("POST /contacts/search");
        let call = w.call("POST /contacts/");
        w.answer(&call, 201, json!({ "contact": { "id": "con-new" } }));
        w.take("POST /conversations/");
        let call = w.take(SEND);
        assert_eq!(call.json()["contactId"], "con-new");
        assert_eq!(call.json()["conversationId"], "cnv-new");
        assert_eq!(w.body(&push)["contactId"], "con-new");
        assert_eq!(w.settle(), ["POST /contacts/con-new/tags"]);

        // The new mapping is whole: KV knows, an answer finds its way, the next message is one
        // call.
        w.webhook(&delivery("con-new", "agent-1", "Hi"));
        let event = w.only_call("vCX message.created");
        assert_eq!(event.json()["vcxConversationId"], "chat-1");
        assert_eq!(w.kv("conv:loc-1:chat-1")["contactId"], "con-new");
        assert_eq!(w.kv("ghl:loc-1:cnv-new")["vcxConversationId"], "chat-1");
        w.settle();
        w.push("Again");
        assert_eq!(w.settle(), [SEND]);
    }
}

#[test]
fn a_mapping_is_forgotten_only_once_for_a_message() {
    let mut w = World::chatting();
    let push = w.push("Hello");
    let call = w.call(SEND);
    w.answer(&call, 404, refusal(404, "Contact not found"));
    w.take("POST /contacts/search");
    w.take("POST /contacts/");
    w.take("POST /conversations/");
    let call = w.call(SEND);
    w.answer(&call, 404, refusal(404, "Contact not found"));
    assert_eq!(w.status(&push), 422);
    assert_eq!(w.settle(), ["vCX message.failed"]);
}

/// Answers what comes by `answer`, vCX as usual, until vCX is told that a message failed.
fn outlast(w: &mut World, at_most: i64, answer: impl Fn(&mut World, &Call)) -> Value {
    let until = w.now + at_most;
    loop {
        while let Some(call) = w.calls.first().cloned() {
            match call.label().as_str() {
                "vCX message.failed" => return call.json(),
                "POST /oauth/token" => drop(w.take("POST /oauth/token")),
                _ => answer(w, &call),
            }
        }
        assert!(w.now < until, "it never failed: {}", w.health());
        w.advance_to_next(until - w.now);
    }
}

fn dump(w: &World) {
    let mut st =
        w.db.connection
            .prepare("SELECT seq,key,lane,class,stage,due,tries,since,step FROM outbox")
            .unwrap();
    let mut rows = st.query([]).unwrap();
    while let Some(r) = rows.next().unwrap() {
        let v: Vec<String> = (0..9)
            .map(|i| format!("{:?}", r.get_ref(i).unwrap()))
            .collect();
        println!("{}", v.join(" | "));
    }
}

//! RULES, "To GHL".
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::json;
use support::*;

/// The whole way there and back: a visitor's first words, the next ones, an agent's answer.
#[test]
fn a_chat_runs_both_ways() {
    let mut w = World::new();
    let connected = w.connect();
    assert_eq!(w.status(&connected), 200);
    w.take("vCX location.connected");
    w.take("GET /locations/loc-1/customFields");
    assert_eq!(w.under_way(), [""; 0]);

    let first = w.push("Hello, is anyone there?");
    assert!(w.waits(&first), "until GHL has it");
    w.take("POST /contacts/search");
    w.take("POST /contacts/");
    w.take("POST /conversations/");
    let call = w.take("POST /conversations/messages/inbound");
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
    assert_eq!(w.under_way(), [""; 0]);

    w.advance(20 * SECOND);
    let second = w.push("I have a question");
    assert_eq!(w.settle(), ["POST /conversations/messages/inbound"]);
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
    assert_eq!(w.under_way(), [""; 0]);
}

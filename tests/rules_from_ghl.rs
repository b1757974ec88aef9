//! RULES, "From GHL".
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::json;
use support::*;
use vcx_ghl::signature::WebhookSecrets;

const EVENT: &str = "vCX message.created";

// Only our channel reaches vCX.

#[test]
fn a_delivery_post_reaches_vcx_signed() {
    let mut w = World::chatting();
    w.advance(MINUTE);
    let mut post = delivery("con-client-1", "agent-1", "Look at this");
    merge(
        &mut post,
        json!({ "attachments": ["https://cdn.test/a.png", { "url": "https://b.test/" }] }),
    );
    let answered = w.webhook(&post);
    assert_eq!(w.status(&answered), 200);
    let event = w.only_call(EVENT);
    assert_eq!(event.request().url, "https://vcx.test/events");
    assert_eq!(event.json()["body"], "Look at this");
    assert_eq!(
        event.json()["attachments"],
        json!(["https://cdn.test/a.png", "https://b.test/"])
    );
    verify_signed(&w, &event);
}

/// Standard Webhooks: the id stays, timestamp and signature are made anew for each attempt.
#[test]
fn an_event_keeps_its_id_and_is_signed_anew_at_each_attempt() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    let first = w.only_call(EVENT);
    verify_signed(&w, &first);
    w.answer(&first, 503, json!(null));
    let second = w.wait_for(EVENT, MINUTE);
    verify_signed(&w, &second);
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(
        first.header("webhook-id"),
        vcx_ghl::signature::event_id(LOCATION, "message.created", "agent-1")
    );
    assert_ne!(
        second.header("webhook-timestamp"),
        first.header("webhook-timestamp")
    );
    assert_ne!(
        second.header("webhook-signature"),
        first.header("webhook-signature")
    );
    assert_eq!(second.json(), first.json());
}

#[test]
fn an_event_has_one_signature_for_each_secret() {
    let secrets = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut w = World::chatting_with(&[("VCX_WEBHOOK_SECRET", secrets)]);
    w.reply("agent-1", "Hi");
    let event = w.only_call(EVENT);
    assert_eq!(event.header("webhook-signature").split(' ').count(), 2);
    // Whoever has only either of them takes it.
    for secret in secrets.split(',') {
        let receiver = WebhookSecrets::of_receiver(secret).ok().unwrap();
        verify_by(&receiver, &event, w.now);
    }
}

#[test]
fn message_incoming_of_the_user_s_document_reaches_vcx() {
    let by_conversation = json!({
        "type": "message.incoming", "conversationId": "cnv-client-1", "message": "Hi",
        "messageId": "agent-1",
    });
    let by_contact = json!({
        "type": "message.incoming", "conversationId": "cnv-x", "contactId": "con-client-1",
        "body": "Hi", "messageId": "agent-1",
    });
    let nested = json!({
        "event": "message.incoming",
        "data": { "conversationId": "cnv-client-1", "body": "Hi", "messageId": "agent-1" },
    });
    for incoming in [by_conversation, by_contact, nested] {
        let mut w = World::chatting();
        w.app_event(incoming);
        let event = w.only_call(EVENT);
        assert_eq!(event.json()["body"], "Hi");
        assert_eq!(event.json()["messageId"], "agent-1");
        assert_eq!(event.json()["vcxConversationId"], "chat-1");
    }
}

#[test]
fn message_incoming_without_a_message_id_gets_one() {
    let mut w = World::chatting();
    w.webhook(&json!({
        "type": "message.incoming", "locationId": LOCATION, "conversationId": "cnv-client-1",
        "message": "Hi",
    }));
    let event = w.take(EVENT);
    assert!(!event.json()["messageId"].as_str().unwrap().is_empty());
}

#[test]
fn message_incoming_for_a_conversation_we_do_not_know_is_a_dead_letter() {
    let mut w = World::chatting();
    let answered = w.app_event(json!({
        "type": "message.incoming", "conversationId": "cnv-stranger", "message": "Hi",
        "messageId": "agent-1",
    }));
    assert_eq!(w.status(&answered), 200);
    let dead = &w.health()["deadLetters"][0];
    assert_eq!(dead["messageId"], "agent-1");
    assert_eq!(dead["reason"], "this contact has no vCX chat");
}

#[test]
fn any_other_channel_is_taken_counted_and_ignored() {
    let mut w = World::chatting();
    let others = [
        json!({ "type": "InboundMessage", "messageType": "SMS", "direction": "inbound" }),
        json!({ "type": "InboundMessage", "messageType": "Custom", "conversationProviderId": PROVIDER }),
        json!({ "type": "OutboundMessage", "messageType": "SMS", "source": "workflow" }),
        json!({ "type": "OutboundMessage", "messageType": "Email", "source": "campaign" }),
        json!({ "type": "OutboundMessage", "messageType": "CALL" }),
        json!({ "type": "OutboundMessage", "messageType": "Custom", "conversationProviderId": "other" }),
        json!({ "type": "ContactUpdate", "id": "con-client-1", "name": "Somebody" }),
        json!({ "type": "ContactCreate", "id": "con-client-1" }),
        json!({ "type": "LocationUpdate" }),
        json!({ "type": "OpportunityCreate", "id": "opp-1", "contactId": "con-client-1" }),
    ];
    for (n, other) in others.into_iter().enumerate() {
        let mut body = json!({
            "contactId": "con-client-1", "conversationId": "cnv-client-1", "body": "psst",
            "messageId": format!("foreign-{n}"),
        });
        merge(&mut body, other.clone());
        let answered = w.app_event(body);
        assert_eq!(w.status(&answered), 200);
        assert_eq!(w.under_way(), NOTHING, "{other}");
        assert_eq!(w.health()["ignored"], n + 1, "{other}");
    }
    w.advance(2 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["deadLetters"], json!([]));
}

/// GHL signs every app's Delivery-URL posts with one key, and an app may enter any URL.
#[test]
fn a_delivery_post_of_another_app_s_provider_has_no_effect() {
    let mut w = World::chatting();
    for kind in [json!("SMS"), json!("Custom"), json!(null)] {
        let mut body = delivery("con-client-1", "foreign-1", "Give me your password");
        merge(
            &mut body,
            json!({ "type": kind, "conversationProviderId": "provider-2" }),
        );
        let answered = w.webhook(&body);
        assert_eq!(w.status(&answered), 200);
        assert_eq!(w.under_way(), NOTHING, "{kind}");
    }
    let mut ours = delivery("con-client-1", "agent-1", "Hi");
    merge(
        &mut ours,
        json!({ "type": null, "conversationProviderId": PROVIDER }),
    );
    w.webhook(&ours);
    w.only_call(EVENT);
}

#[test]
fn internal_comments_and_activities_never_leave() {
    let mut w = World::chatting();
    let kinds = [
        json!({ "messageType": "InternalComment" }),
        json!({ "messageTypeString": "TYPE_INTERNAL_COMMENT" }),
        json!({ "messageType": "TYPE_ACTIVITY_OPPORTUNITY" }),
        json!({ "messageTypeString": "TYPE_ACTIVITY_EMPLOYEE_ACTION_LOG" }),
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        // Even with our provider's id on it.
        let mut event = outbound(
            "con-client-1",
            &format!("secret-{n}"),
            "he is a difficult one",
        );
        merge(&mut event, kind);
        w.app_event(event);
    }
    let mut post = delivery("con-client-1", "secret-9", "he is a difficult one");
    merge(&mut post, json!({ "type": "InternalComment" }));
    w.webhook(&post);
    w.advance(10 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["ignored"], 5);
}

#[test]
fn a_failed_send_is_no_message() {
    let mut w = World::chatting();
    let mut event = outbound("con-client-1", "agent-1", "Hi");
    merge(&mut event, json!({ "status": "failed" }));
    w.app_event(event);
    w.advance(2 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
}

// A Delivery post and an OutboundMessage of one message.

#[test]
fn delivery_then_outbound_message_is_one_event() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.app_event(outbound("con-client-1", "agent-1", "Hi"));
    assert_eq!(
        w.settle(),
        [EVENT, "PUT /conversations/messages/agent-1/status"]
    );
    w.app_event(outbound("con-client-1", "agent-1", "Hi"));
    w.advance(10 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn outbound_message_then_delivery_is_one_event() {
    let mut w = World::chatting();
    w.app_event(outbound("con-client-1", "agent-1", "Hi"));
    assert_eq!(w.under_way(), NOTHING);
    w.advance(2 * SECOND);
    w.reply("agent-1", "Hi");
    assert_eq!(
        w.settle(),
        [EVENT, "PUT /conversations/messages/agent-1/status"]
    );
    w.advance(10 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
}

/// Our own message comes back: GHL may be faster with its webhook than with its answer.
#[test]
fn the_outbound_message_of_our_own_call_is_dropped_before_and_after_its_answer() {
    let mut w = World::chatting();
    w.push_with("I am a bot", json!({ "fromUser": false }));
    let call = w.only_call(SEND);
    w.app_event(outbound("con-client-1", "ghl-m2", "I am a bot"));
    w.advance(SECOND);
    w.answer(
        &call,
        200,
        json!({ "messageId": "ghl-m2", "conversationId": "cnv-client-1" }),
    );
    w.app_event(outbound("con-client-1", "ghl-m2", "I am a bot"));
    w.advance(10 * MINUTE);
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn an_outbound_message_without_a_delivery_post_is_delivered_after_sixty_seconds() {
    let mut w = World::chatting();
    w.app_event(outbound("con-client-1", "agent-1", "Hi"));
    w.advance(59_999);
    assert_eq!(w.under_way(), NOTHING);
    w.advance(1);
    let event = w.only_call(EVENT);
    assert_eq!(event.json()["messageId"], "agent-1");
    assert_eq!(event.json()["body"], "Hi");
    assert_eq!(
        w.settle(),
        [EVENT, "PUT /conversations/messages/agent-1/status"]
    );
    // The Delivery post at last.
    w.reply("agent-1", "Hi");
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn an_outbound_message_is_held_until_no_call_for_its_contact_is_unclear() {
    let mut w = World::chatting();
    w.push_with("I am a bot", json!({ "fromUser": false }));
    let call = w.only_call(SEND);
    w.drop_call(&call);
    w.app_event(outbound("con-client-1", "ghl-m2", "I am a bot"));
    // Looks that fail keep the call unclear.
    let until = w.now + 3 * MINUTE;
    while w.now < until {
        w.advance_to_next(until - w.now);
        for call in w.calls.clone() {
            assert_eq!(
                call.label(),
                LOOK,
                "the visitor would read his own bot twice"
            );
            w.answer(&call, 500, json!(null));
        }
    }
    let look = w.wait_for(LOOK, 10 * MINUTE);
    let mine = json!({ "id": "ghl-m2", "altId": "m2", "direction": "outbound", "dateAdded": "2026-10-08T09:00:00.000Z" });
    w.answer(&look, 200, page(json!([mine]), false));
    w.advance(10 * MINUTE);
    assert_eq!(w.under_way(), NOTHING, "it was ours");
}

#[test]
fn only_an_event_queued_for_vcx_takes_the_dedupe_key() {
    let mut w = World::chatting();
    // An ignored webhook with the same messageId takes nothing.
    let mut foreign = outbound("con-client-1", "agent-1", "Hi");
    merge(&mut foreign, json!({ "conversationProviderId": "other" }));
    w.app_event(foreign);
    // A held one takes nothing either.
    w.app_event(outbound("con-client-1", "agent-1", "Hi"));
    w.reply("agent-1", "Hi");
    assert_eq!(w.under_way(), [EVENT]);
}

// Dedupe.

#[test]
fn a_webhook_is_known_again_by_its_webhook_id() {
    let mut w = World::chatting();
    let event =
        json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1", "unreadCount": 1 });
    let body = w.envelope(event);
    w.webhook(&body);
    let mut restamped = body.clone();
    merge(
        &mut restamped,
        json!({ "timestamp": "2026-10-08T10:00:00.000Z" }),
    );
    for repeat in [&body, &restamped] {
        let answered = w.webhook(repeat);
        assert_eq!(w.status(&answered), 200);
    }
    assert_eq!(w.settle(), ["vCX conversation.updated"]);
    w.webhook(&body);
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn a_delivery_post_is_known_again_by_its_message_id() {
    let mut w = World::chatting();
    w.reply("agent-1", "Hi");
    w.reply("agent-1", "Hi");
    w.settle();
    w.advance(29 * DAY);
    w.settle();
    w.reply("agent-1", "Hi");
    assert_eq!(w.under_way(), NOTHING, "for thirty days");
    w.reply("agent-2", "Hi");
    assert_eq!(
        w.under_way(),
        [EVENT],
        "the same words again are another message"
    );
}

/// GHL resends by hand what failed up to thirty days ago, as it was: there is no window into which
/// it would not fit.
#[test]
fn a_webhook_dated_29_days_ago_is_taken_once() {
    let mut w = World::chatting();
    let dated = vcx_ghl::map::iso(w.now);
    let event =
        json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1", "unreadCount": 1 });
    let unread = w.envelope(event);
    let mut delivered = delivery("con-client-1", "agent-1", "Hi");
    merge(
        &mut delivered,
        json!({ "webhookId": "webhook-d", "timestamp": dated }),
    );
    let uninstall = w.envelope(json!({ "type": "UNINSTALL" }));
    w.advance(29 * DAY);
    w.settle();
    for _ in 0..2 {
        for body in [&unread, &delivered] {
            let answered = w.webhook(body);
            assert_eq!(w.status(&answered), 200);
        }
    }
    let made = w.settle();
    let times = |label: &str| made.iter().filter(|made| *made == label).count();
    assert_eq!(
        (times("vCX conversation.updated"), times(EVENT)),
        (1, 1),
        "{made:?}"
    );
    // Only for an uninstallation does age count: it was before the connection that there is.
    w.webhook(&uninstall);
    assert_ne!(w.health()["state"], "uninstalled");
}

#[test]
fn what_has_no_id_is_known_again_by_its_body_for_ten_minutes() {
    let mut w = World::chatting();
    let body = json!({
        "type": "conversation.updated", "locationId": LOCATION, "conversationId": "cnv-client-1",
        "unreadCount": 4,
    });
    w.webhook(&body);
    let first = w.take("vCX conversation.updated");
    w.advance(10 * MINUTE - 1);
    w.webhook(&body);
    assert_eq!(w.under_way(), NOTHING);
    w.advance(1);
    w.webhook(&body);
    let second = w.only_call("vCX conversation.updated");
    assert_ne!(
        second.header("webhook-id"),
        first.header("webhook-id"),
        "it is four once more"
    );
}

#[test]
fn ids_are_kept_for_thirty_days_and_then_go() {
    let mut w = World::chatting();
    let body = w.envelope(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
    w.webhook(&body);
    w.settle();
    for _ in 0..29 {
        w.advance(DAY);
        w.settle();
    }
    w.webhook(&body);
    assert_eq!(w.settle(), NOTHING);
    assert!(w.number("SELECT count(*) FROM seen") > 0);
    for _ in 0..2 {
        w.advance(DAY);
        w.settle();
    }
    assert_eq!(w.number("SELECT count(*) FROM seen"), 0);
    assert_eq!(w.number("SELECT count(*) FROM outbox"), 0);
}

// Which chat.

#[test]
fn a_reply_goes_to_the_chat_that_the_visitor_last_wrote_in() {
    let mut w = World::chatting();
    let mut reply = 0;
    let mut answered_in = |w: &mut World| {
        reply += 1;
        w.reply(&format!("agent-{reply}"), &format!("answer {reply}"));
        let event = w.take(EVENT);
        w.settle();
        event.json()["vcxConversationId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(answered_in(&mut w), "chat-1");
    w.push_with("elsewhere", json!({ "vcxConversationId": "chat-2" }));
    assert_eq!(
        answered_in(&mut w),
        "chat-2",
        "accepted, not sent, is what counts"
    );
    w.settle();
    w.push_with("back again", json!({ "vcxConversationId": "chat-1" }));
    w.settle();
    assert_eq!(answered_in(&mut w), "chat-1");
    // What vCX's own people write moves nothing.
    w.push_with(
        "a bot",
        json!({ "vcxConversationId": "chat-2", "fromUser": false }),
    );
    w.push_with(
        "a bot",
        json!({ "vcxConversationId": "chat-3", "fromUser": false }),
    );
    w.settle();
    assert_eq!(answered_in(&mut w), "chat-1");
}

/// All of it was accepted before GHL knew the visitor.
#[test]
fn a_reply_goes_to_the_chat_last_written_in_before_the_contact_was_known() {
    let stories: [(&[(&str, bool)], &str); 5] = [
        (&[("chat-1", true), ("chat-2", true)], "chat-2"),
        (
            &[("chat-1", true), ("chat-2", true), ("chat-1", true)],
            "chat-1",
        ),
        (&[("chat-1", true), ("chat-2", false)], "chat-1"),
        (&[("chat-1", false), ("chat-2", true)], "chat-2"),
        (
            &[("chat-2", true), ("chat-1", true), ("chat-2", false)],
            "chat-1",
        ),
    ];
    for (story, expected) in stories {
        let mut w = World::connected();
        for (chat, from_user) in story {
            let more = json!({ "vcxConversationId": chat, "fromUser": from_user });
            w.push_with("words", more);
        }
        w.settle();
        w.reply("agent-1", "Hi");
        let event = w.only_call(EVENT);
        assert_eq!(event.json()["vcxConversationId"], expected, "{story:?}");
    }
}

/// The first chat's message made the contact known; then the visitor went on in the first while
/// the second's was still waiting.
#[test]
fn a_message_that_waited_does_not_take_the_replies_from_a_later_one() {
    let mut w = World::connected();
    w.push("one");
    w.push_with("two", json!({ "vcxConversationId": "chat-2" }));
    w.take("POST /contacts/search");
    w.take("POST /contacts/");
    w.take("POST /conversations/");
    w.take(SEND);
    assert_eq!(w.under_way(), [SEND, "POST /contacts/con-client-1/tags"]);
    w.push("three");
    w.settle();
    w.reply("agent-1", "Hi");
    assert_eq!(w.only_call(EVENT).json()["vcxConversationId"], "chat-1");
}

/// Two clients, one person: an upsert by e-mail found the contact of the other.
#[test]
fn a_reply_to_a_contact_that_two_clients_share_goes_where_it_was_last_written() {
    let mut w = World::chatting();
    let second = json!({
        "clientId": "client-2", "vcxConversationId": "chat-2", "email": "mina@example.com",
    });
    w.push_with("from my phone", second.clone());
    w.take("POST /contacts/search");
    let upsert = w.only_call("POST /contacts/upsert");
    let found = json!({ "new": false, "contact": { "id": "con-client-1" } });
    w.answer(&upsert, 200, found);
    w.settle();
    w.reply("agent-1", "Hi");
    assert_eq!(
        w.take(EVENT).json()["vcxConversationId"],
        "chat-2",
        "the later one"
    );
    w.settle();
    w.push("back at my desk");
    w.reply("agent-2", "Hi");
    let event = w.call(EVENT);
    assert_eq!(event.json()["vcxConversationId"], "chat-1");
    assert_eq!(event.json()["clientId"], "client-1");
    w.settle();
    w.push_with("and on my phone again", second);
    w.reply("agent-3", "Hi");
    assert_eq!(w.call(EVENT).json()["vcxConversationId"], "chat-2");
}

/// A workflow answers a first message faster than GHL answers us.
#[test]
fn a_reply_that_comes_before_the_answer_to_the_first_message_finds_its_chat() {
    let mut w = World::connected();
    w.push("Hello");
    w.take("POST /contacts/search");
    w.take("POST /contacts/");
    w.take("POST /conversations/");
    w.only_call(SEND);
    w.reply("agent-1", "Thanks, we will be with you in a minute");
    assert_eq!(w.under_way(), [SEND, EVENT]);
    assert_eq!(w.call(EVENT).json()["vcxConversationId"], "chat-1");
    w.settle();
    w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
    assert_eq!(w.under_way(), ["vCX conversation.updated"]);
}

// Contacts we do not know.

#[test]
fn a_reply_to_a_stranger_reads_the_contact_once_and_maps_it_if_it_carries_our_client_id() {
    let mut w = World::chatting();
    w.webhook(&delivery("con-copy", "agent-1", "Hi"));
    let read = w.only_call("GET /contacts/con-copy");
    let carries =
        json!([{ "id": "field-0", "value": "44" }, { "id": "field-1", "value": "client-1" }]);
    w.answer(
        &read,
        200,
        json!({ "contact": { "id": "con-copy", "customFields": carries } }),
    );
    let event = w.only_call(EVENT);
    assert_eq!(event.json()["clientId"], "client-1");
    assert_eq!(event.json()["vcxConversationId"], "chat-1");
    assert_eq!(
        w.settle(),
        [EVENT, "PUT /conversations/messages/agent-1/status"]
    );
    w.webhook(&delivery("con-copy", "agent-2", "Are you there?"));
    assert_eq!(w.under_way(), [EVENT], "it is known now");
}

#[test]
fn a_reply_to_a_contact_without_a_chat_fails_with_words() {
    let nobody = json!({ "contact": { "id": "con-x", "customFields": [] } });
    let unheard_of = json!({ "contact": { "id": "con-x", "customFields": [
        { "id": "field-1", "value": "client-9" },
    ]}});
    let stories = [
        (200, nobody),
        (200, unheard_of),
        (404, refusal(404, "Contact not found")),
        (400, refusal(400, "Contact not found")),
    ];
    for (status, body) in stories {
        let mut w = World::chatting();
        w.webhook(&delivery("con-x", "agent-1", "Hi"));
        let read = w.only_call("GET /contacts/con-x");
        w.answer(&read, status, body);
        let call = w.only_call("PUT /conversations/messages/agent-1/status");
        assert_eq!(call.json()["status"], "failed");
        assert_eq!(
            call.json()["error"]["message"],
            "this contact has no vCX chat"
        );
        w.settle();
        let dead = w.health()["deadLetters"].clone();
        assert_eq!(dead[0]["messageId"], "agent-1");
        assert_eq!(dead[0]["direction"], "toVcx");
    }
}

#[test]
fn a_stranger_s_contact_that_cannot_be_read_now_is_read_later() {
    let mut w = World::chatting();
    w.webhook(&delivery("con-x", "agent-1", "Hi"));
    let read = w.only_call("GET /contacts/con-x");
    w.answer(&read, 500, json!(null));
    assert_eq!(w.under_way(), NOTHING);
    w.wait_for("GET /contacts/con-x", MINUTE);
}

// Unread counts.

#[test]
fn unread_counts_become_conversation_updated() {
    for event in [
        json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1", "unreadCount": 3 }),
        json!({ "type": "ConversationUnreadUpdate", "conversationId": "cnv-client-1", "unreadCount": 3 }),
        json!({ "type": "conversation.updated", "id": "cnv-client-1", "unreadCount": 3 }),
        json!({ "type": "conversation.updated", "conversationId": "cnv-client-1", "unreadCount": 3 }),
        json!({ "event": "conversation.updated", "data": { "conversationId": "cnv-client-1", "unreadCount": 3 } }),
        json!({ "type": "ConversationUnreadUpdate", "id": "cnv-unseen", "contactId": "con-client-1", "unreadCount": 3 }),
    ] {
        let mut w = World::chatting();
        w.advance(MINUTE);
        let text = event.to_string();
        w.app_event(event);
        assert_eq!(w.under_way(), ["vCX conversation.updated"], "{text}");
        assert_eq!(
            w.take("vCX conversation.updated").json(),
            json!({
                "type": "conversation.updated",
                "locationId": LOCATION,
                "clientId": "client-1",
                "vcxConversationId": "chat-1",
                "unreadCount": 3,
                "timestamp": w.now,
            })
        );
        assert_eq!(w.under_way(), NOTHING, "an unread count has no status");
    }
}

#[test]
fn an_unread_count_of_a_stranger_is_ignored() {
    let mut w = World::chatting();
    w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-x", "contactId": "con-x" }));
    assert_eq!(w.under_way(), NOTHING);
    assert_eq!(w.health()["ignored"], 1);
}

// Bodies.

#[test]
fn unknown_fields_are_ignored() {
    let mut w = World::chatting();
    let mut post = delivery("con-client-1", "agent-1", "Hi");
    merge(
        &mut post,
        json!({ "brandNew": { "deep": [1, null] }, "phone": 17, "replyToAltId": "m1", "userId": null }),
    );
    w.webhook(&post);
    assert_eq!(w.only_call(EVENT).json().get("userId"), None);
}

#[test]
fn nested_and_flat_replies_are_both_read() {
    for nested in [true, false] {
        let mut w = World::connected();
        w.push("Hello");
        w.take("POST /contacts/search");
        let create = w.call("POST /contacts/");
        let contact = json!({ "id": "con-client-1" });
        w.answer(
            &create,
            201,
            if nested {
                json!({ "contact": contact })
            } else {
                contact
            },
        );
        let call = w.call("POST /conversations/");
        let conversation = json!({ "id": "cnv-client-1" });
        let body = if nested {
            json!({ "conversation": conversation })
        } else {
            conversation
        };
        w.answer(&call, 201, body);
        let call = w.call(SEND);
        assert_eq!(call.json()["conversationId"], "cnv-client-1");
        w.drop_call(&call);
        let look = w.wait_for(LOOK, 3 * SECOND);
        let mine = json!([{ "id": "ghl-m1", "altId": "m1", "direction": "inbound" }]);
        let flat = json!({ "messages": mine, "nextPage": false });
        w.answer(&look, 200, if nested { page(mine, false) } else { flat });
        let again = w.push_with("Hello", json!({ "messageId": "m1" }));
        assert_eq!(w.body(&again)["ghlMessageId"], "ghl-m1");
    }
}

#[test]
fn an_event_that_cannot_be_understood_is_a_dead_letter_and_no_refusal() {
    for event in [
        json!({ "type": "message.incoming", "message": "for whom?" }),
        json!({ "type": "ConversationUnreadUpdate" }),
        json!({ "type": "ContactDelete" }),
        json!({ "contactId": "con-client-1", "message": "without an id" }),
        json!({ "type": "OutboundMessage", "messageType": "Custom", "conversationProviderId": PROVIDER }),
    ] {
        let mut w = World::chatting();
        let text = event.to_string();
        let answered = w.app_event(event);
        assert_eq!(w.status(&answered), 200);
        let health = w.health();
        assert_eq!(health["deadLetters"][0]["code"], "unintelligible", "{text}");
        assert_eq!(health["deadLetters"].as_array().unwrap().len(), 1);
        assert_eq!(health["health"], "degraded");
        assert_eq!(w.under_way(), NOTHING);
    }
}

#[test]
fn a_delivery_post_without_text_and_attachments_is_a_dead_letter() {
    let mut w = World::chatting();
    w.reply("agent-1", "");
    assert_eq!(w.health()["deadLetters"][0]["code"], "unintelligible");
    let mut post = delivery("con-client-1", "agent-2", "");
    merge(
        &mut post,
        json!({ "attachments": ["https://cdn.test/a.png"] }),
    );
    w.webhook(&post);
    assert_eq!(w.take(EVENT).json()["body"], "");
}

// The loop brake.

/// vCX's bot repeats what the agent's side says, GHL's workflow what the bot says.
#[test]
fn two_echoes_are_stopped_and_it_says_so() {
    let mut w = World::chatting();
    let mut passed = 0;
    for n in 0..100 {
        w.advance(SECOND);
        w.reply(&format!("agent-{n}"), "Did you mean: hello?");
        if w.settle().is_empty() {
            break;
        }
        w.advance(SECOND);
        w.push_with("Did you mean: hello?", json!({ "fromUser": false }));
        if w.settle().is_empty() {
            break;
        }
        passed += 1;
    }
    assert!((3..=20).contains(&passed), "{passed} rounds passed");
    assert!(!w.logged("loop_brake").is_empty());
    let words = w.health()["lastError"]["message"].to_string();
    assert!(
        words.contains("answering each other with the same texts"),
        "{words}"
    );
}

/// Two machines that always say the same two things to each other.
#[test]
fn two_parrots_are_stopped_and_it_says_so() {
    let mut w = World::chatting();
    let mut passed = 0;
    for n in 0..100 {
        w.advance(SECOND);
        w.reply(&format!("agent-{n}"), "We are away until Monday.");
        w.settle();
        w.advance(SECOND);
        w.push_with("Please hold the line.", json!({ "fromUser": false }));
        w.settle();
        if !w.logged("loop_brake").is_empty() {
            break;
        }
        passed += 1;
    }
    assert!((3..=30).contains(&passed), "{passed} rounds passed");
}

/// A loop is one although others run beside it in the same chat.
#[test]
fn several_loops_at_a_time_are_stopped() {
    let mut w = World::chatting();
    let texts = ["Did you mean: hello?", "We are away.", "Your ticket is 17."];
    let mut passed = 0;
    for n in 0..100 {
        for (k, text) in texts.iter().enumerate() {
            w.advance(300);
            w.reply(&format!("agent-{n}-{k}"), text);
            w.settle();
        }
        for text in texts {
            w.advance(300);
            w.push_with(text, json!({ "fromUser": false }));
            w.settle();
        }
        if !w.logged("loop_brake").is_empty() {
            break;
        }
        passed += 1;
    }
    assert!((3..=30).contains(&passed), "{passed} rounds passed");
}

#[test]
fn people_who_repeat_themselves_are_not_stopped() {
    let mut w = World::chatting();
    for n in 0..30 {
        w.advance(40 * SECOND);
        let push = w.push("ok");
        assert_eq!(w.settle(), [SEND]);
        assert_eq!(w.status(&push), 200);
        if n % 3 == 0 {
            w.advance(40 * SECOND);
            w.reply(&format!("agent-{n}"), "ok");
            assert!(w.settle().contains(&EVENT.to_owned()));
        }
    }
    assert_eq!(w.logged("loop_brake").len(), 0);
    // A visitor who hammers away is nobody's loop either.
    for _ in 0..30 {
        w.push("hello???");
        assert_eq!(w.settle(), [SEND]);
    }
}

#[test]
fn the_brake_lets_go_when_something_else_is_said() {
    let mut w = World::chatting();
    for n in 0..40 {
        w.advance(SECOND);
        w.reply(&format!("agent-{n}"), "Same to you");
        w.settle();
        w.push_with("Same to you", json!({ "fromUser": false }));
        w.settle();
    }
    assert!(!w.logged("loop_brake").is_empty());
    w.push("A person, at last");
    assert_eq!(w.settle(), [SEND]);
    w.reply("agent-x", "How can I help?");
    assert!(w.settle().contains(&EVENT.to_owned()));
}

#[test]
fn half_a_surrogate_pair_costs_no_message_more_than_itself() {
    let read = |text: &str| vcx_ghl::ghl::answer::json(text);
    let cases = [
        (r#""cut \ud83d""#, "cut \u{fffd}"),
        (r#""\ud83d\ud83d\ude00\ude00""#, "\u{fffd}\u{1f600}\u{fffd}"),
        (r#""\ud83d\n\\ud83d\"é""#, "\u{fffd}\n\\ud83d\"é"),
        (r#""\ude00\u00e9\uD83D""#, "\u{fffd}é\u{fffd}"),
    ];
    for (given, meant) in cases {
        assert_eq!(read(given), Some(json!(meant)), "{given}");
    }
    for odd in [
        r#""\ud83d"#,
        r#""\ud8"#,
        r#""\é""#,
        "\\",
        r#""\u+12f\ud83d""#,
    ] {
        assert_eq!(read(odd), None, "{odd}");
    }
}

fn verify_signed(w: &World, event: &Call) {
    verify_by(w.settings().webhook_secrets.as_ref().unwrap(), event, w.now);
}

fn verify_by(secrets: &WebhookSecrets, event: &Call, now: i64) {
    let request = event.request();
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let body = request.body.as_deref().unwrap().as_bytes();
    assert_eq!(secrets.verify(&headers, body, now), Ok(()));
}

#[test]
fn a_time_of_ghl_is_read_with_a_zone_an_offset_or_neither() {
    for (text, millis) in [
        ("2024-06-30T12:00:00.123Z", Some(1_719_748_800_123)),
        ("2024-06-30T12:00:00Z", Some(1_719_748_800_000)),
        ("2024-06-30T12:00:00.123456Z", Some(1_719_748_800_123)),
        ("2024-06-30T12:00:00.000", Some(1_719_748_800_000)),
        ("2024-06-30T14:00:00+02:00", Some(1_719_748_800_000)),
        ("2024-06-30T08:30:00.5-0330", Some(1_719_748_800_500)),
        ("1719748800123", Some(1_719_748_800_123)),
        ("2024-06-30", None),
        ("2024-13-30T12:00:00Z", None),
        ("2024-06-30T12:00:00+2", None),
        ("2024-06-30T12:00:00+é0:00", None),
        ("1969-12-31T23:59:59Z", None),
        ("soon", None),
        ("", None),
    ] {
        assert_eq!(vcx_ghl::ghl::webhook::millis(text), millis, "{text}");
    }
}

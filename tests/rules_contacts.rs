//! RULES, "Contacts".
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::*;
use vcx_ghl::edge::Incoming;

const SEARCH: &str = "POST /contacts/search";
const CREATE: &str = "POST /contacts/";
const UPSERT: &str = "POST /contacts/upsert";
const CONVERSATION: &str = "POST /conversations/";
const TAG: &str = "POST /contacts/con-client-1/tags";
const PUT: &str = "PUT /contacts/con-client-1";

#[test]
fn our_own_map_comes_first() {
    let mut w = World::chatting();
    w.push_with("In another chat", json!({ "vcxConversationId": "chat-2" }));
    assert_eq!(w.settle(), [SEND]);
    w.crash();
    w.push_with("And in a third", json!({ "vcxConversationId": "chat-3" }));
    assert_eq!(w.settle(), [SEND]);
}

#[test]
fn an_unknown_client_is_searched_by_the_custom_field() {
    let mut w = World::connected();
    w.push("Hello");
    let search = w.only_call(SEARCH);
    assert_eq!(
        search.json(),
        json!({
            "locationId": LOCATION,
            "pageLimit": 20,
            "page": 1,
            "filters": [{ "group": "AND", "filters": [
                { "field": "customFields.field-1", "operator": "eq", "value": "client-1" },
            ]}],
        })
    );
    w.answer(
        &search,
        200,
        json!({ "contacts": [found("con-old", "client-1")], "total": 1 }),
    );
    w.take(CONVERSATION);
    assert_eq!(w.take(SEND).json()["contactId"], "con-old");
    assert_eq!(
        w.under_way(),
        NOTHING,
        "a contact that others made gets no tag"
    );
}

#[test]
fn the_search_turns_pages_and_believes_only_the_client_s_own_id() {
    let mut w = World::connected();
    w.push("Hello");
    // A field that GHL does not filter by brings everybody.
    let others: Vec<Value> = (0..20)
        .map(|n| found(&format!("con-{n}"), &format!("client-{}", n + 10)))
        .collect();
    let search = w.only_call(SEARCH);
    w.answer(&search, 200, json!({ "contacts": others, "total": 23 }));
    let search = w.only_call(SEARCH);
    assert_eq!(search.json()["page"], 2);
    let rest = json!([found("con-20", "client-30"), found("con-mine", "client-1")]);
    w.answer(&search, 200, json!({ "contacts": rest, "total": 22 }));
    w.take(CONVERSATION);
    assert_eq!(w.take(SEND).json()["contactId"], "con-mine");
}

#[test]
fn a_short_page_without_the_client_ends_the_search() {
    let mut w = World::connected();
    w.push("Hello");
    let search = w.only_call(SEARCH);
    w.answer(
        &search,
        200,
        json!({ "contacts": [found("con-x", "client-9")], "total": 1 }),
    );
    assert_eq!(w.under_way(), [CREATE]);
}

#[test]
fn a_visitor_with_an_email_or_a_phone_is_upserted() {
    for details in [
        json!({ "email": "mina@example.com" }),
        json!({ "phone": "+15550100123" }),
        json!({ "name": "Mina Kim", "email": "mina@example.com", "phone": "+15550100123" }),
    ] {
        let mut w = World::connected();
        w.push_with("Hello", details.clone());
        w.take(SEARCH);
        let mut expected = json!({
            "name": "vCX visitor client-1",
            "locationId": LOCATION,
            "source": "vCX",
            "customFields": [{ "id": "field-1", "field_value": "client-1" }],
        });
        merge(&mut expected, details);
        let upsert = w.only_call(UPSERT);
        assert_eq!(
            upsert.json(),
            expected,
            "and no tags: an upsert replaces them all"
        );
    }
}

#[test]
fn a_visitor_with_neither_is_created_by_name_and_never_with_an_invented_email() {
    let mut w = World::connected();
    w.push_with(
        "Hello",
        json!({ "name": "Mina Kim", "email": "", "phone": " " }),
    );
    w.take(SEARCH);
    assert_eq!(
        w.only_call(CREATE).json(),
        json!({
            "name": "Mina Kim",
            "locationId": LOCATION,
            "source": "vCX",
            "customFields": [{ "id": "field-1", "field_value": "client-1" }],
        })
    );
}

#[test]
fn the_tag_is_added_after_the_message_by_a_call_of_its_own() {
    let mut w = World::connected();
    w.push("Hello");
    w.take(SEARCH);
    w.take(CREATE);
    w.take(CONVERSATION);
    assert_eq!(w.under_way(), [SEND], "the message first");
    w.take(SEND);
    let tag = w.only_call(TAG);
    assert_eq!(tag.json(), json!({ "tags": ["vCX"] }));
    w.answer(&tag, 500, json!(null));
    w.wait_for(TAG, MINUTE);
    w.take(TAG);
    w.push("Again");
    assert_eq!(w.settle(), [SEND], "once is enough");
}

#[test]
fn only_a_contact_that_we_created_gets_the_tag() {
    // Matched by an upsert.
    let mut w = World::connected();
    w.push_with("Hello", json!({ "email": "mina@example.com" }));
    w.take(SEARCH);
    let upsert = w.only_call(UPSERT);
    w.answer(
        &upsert,
        200,
        json!({ "new": false, "contact": { "id": "con-client-1" } }),
    );
    assert_eq!(w.settle(), [CONVERSATION, SEND]);

    // Named by the refusal of a duplicate.
    let mut w = World::connected();
    w.push("Hello");
    w.take(SEARCH);
    let create = w.only_call(CREATE);
    let mut duplicate = refusal(400, "This location does not allow duplicated contacts.");
    merge(
        &mut duplicate,
        json!({ "meta": { "contactId": "con-there", "matchingField": "phone" } }),
    );
    w.answer(&create, 400, duplicate);
    assert_eq!(w.settle(), [CONVERSATION, SEND]);
    w.push("Again");
    assert_eq!(w.take(SEND).json()["contactId"], "con-there");
}

#[test]
fn an_email_that_ghl_refuses_does_not_stop_the_message() {
    let mut w = World::connected();
    let push = w.push_with(
        "Hello",
        json!({ "name": "Mina", "email": "not an address" }),
    );
    w.take(SEARCH);
    let upsert = w.only_call(UPSERT);
    w.answer(&upsert, 422, refusal(422, "email must be an email"));
    // A 422 may have made it all the same: it is searched for first.
    assert_eq!(w.under_way(), NOTHING);
    w.wait_for(SEARCH, 11 * SECOND);
    w.take(SEARCH);
    let create = w.only_call(CREATE);
    assert_eq!(create.json()["name"], "Mina");
    assert_eq!(create.json().get("email"), None);
    w.settle();
    assert_eq!(w.status(&push), 202, "it took longer than a caller waits");
    let again = w.push_with("Hello", json!({ "messageId": "m1" }));
    assert_eq!(w.status(&again), 200);
}

#[test]
fn a_contact_that_ghl_refuses_for_good_is_a_dead_letter() {
    let mut w = World::connected();
    let push = w.push("Hello");
    w.take(SEARCH);
    let create = w.only_call(CREATE);
    w.answer(&create, 400, refusal(400, "name is not allowed"));
    w.wait_for(SEARCH, 11 * SECOND);
    w.take(SEARCH);
    let create = w.only_call(CREATE);
    w.answer(&create, 400, refusal(400, "name is not allowed"));
    let failed = w.only_call("vCX message.failed");
    assert_eq!(failed.json()["code"], "contact_refused");
    assert!(
        failed.json()["reason"]
            .as_str()
            .unwrap()
            .contains("name is not allowed")
    );
    assert_eq!(w.status(&push), 202);
}

/// Whose chat an answer reaches is decided by e-mail and phone: whoever has no API key says
/// nothing.
#[test]
fn email_and_phone_come_from_the_backend_only() {
    let mut w = World::connected();
    let body = json!({
        "locationId": LOCATION, "clientId": "client-1", "vcxConversationId": "chat-1",
        "fromUser": true, "body": "Hello", "timestamp": START, "email": "boss@example.com",
    });
    let body = body.to_string();
    let stranger = w.http(&Incoming {
        method: "POST",
        url: "https://sync.test/push-message",
        body: Some(body.as_bytes()),
        ..Incoming::default()
    });
    assert_eq!(w.status(&stranger), 401);
    assert_eq!(w.under_way(), NOTHING);
}

#[test]
fn changed_details_are_one_update_after_the_message() {
    let mut w = World::chatting();
    w.push_with(
        "I am Mina",
        json!({ "name": "Mina Kim", "email": "mina@example.com" }),
    );
    w.take(SEND);
    let update = w.only_call(PUT);
    assert_eq!(
        update.json(),
        json!({
            "name": "Mina Kim",
            "email": "mina@example.com",
            "customFields": [{ "id": "field-1", "field_value": "client-1" }],
        }),
        "GHL refuses a locationId here, and tags would replace"
    );
    w.settle();
    // What was said stays said, and what is left out is not taken back.
    w.push_with("as I said", json!({ "name": "Mina Kim" }));
    assert_eq!(w.settle(), [SEND]);
    w.push_with("call me", json!({ "phone": "+15550100123" }));
    w.take(SEND);
    let update = w.take(PUT);
    assert_eq!(update.json()["phone"], "+15550100123");
    assert_eq!(update.json()["email"], "mina@example.com");
    w.push("and that is all");
    assert_eq!(w.settle(), [SEND]);
}

#[test]
fn an_update_that_fails_is_tried_again_and_holds_no_message_up() {
    let mut w = World::chatting();
    w.push_with("I am Mina", json!({ "name": "Mina Kim" }));
    w.take(SEND);
    let update = w.only_call(PUT);
    w.answer(&update, 500, json!(null));
    let next = w.push("still here");
    w.take(SEND);
    assert_eq!(w.status(&next), 200);
    w.wait_for(PUT, MINUTE);
    w.take(PUT);
    w.push("done");
    assert_eq!(w.settle(), [SEND]);
}

#[test]
fn details_that_change_while_an_update_is_under_way_follow_it() {
    let mut w = World::chatting();
    w.push_with("I am Mina", json!({ "name": "Mina" }));
    w.take(SEND);
    let update = w.only_call(PUT);
    assert_eq!(update.json()["name"], "Mina");
    w.push_with("I am Mina Kim", json!({ "name": "Mina Kim" }));
    w.take(SEND);
    w.answer(&update, 200, json!({ "succeded": true }));
    let update = w.only_call(PUT);
    assert_eq!(update.json()["name"], "Mina Kim");
}

#[test]
fn details_that_change_while_the_contact_is_made_follow_it() {
    let mut w = World::connected();
    w.push_with("Hello", json!({ "email": "mina@example.com" }));
    w.take(SEARCH);
    let upsert = w.only_call(UPSERT);
    w.push_with("I am Mina", json!({ "name": "Mina Kim" }));
    let made = json!({ "new": true, "contact": { "id": "con-client-1" } });
    w.answer(&upsert, 200, made);
    let made = w.settle_calls();
    let update = made.iter().find(|call| call.label() == PUT);
    let update = update.unwrap_or_else(|| panic!("GHL never learns the name: {made:?}"));
    assert_eq!(update.json()["name"], "Mina Kim");
}

#[test]
fn a_contact_that_was_found_is_told_only_what_differs() {
    let mut w = World::connected();
    let details = json!({ "name": "Mina Kim", "email": "Mina@Example.com" });
    w.push_with("Hello", details);
    let search = w.only_call(SEARCH);
    let mut contact = found("con-client-1", "client-1");
    merge(
        &mut contact,
        json!({
            "firstNameLowerCase": "mina", "lastNameLowerCase": "kim", "email": "mina@example.com",
        }),
    );
    w.answer(&search, 200, json!({ "contacts": [contact], "total": 1 }));
    assert_eq!(
        w.settle(),
        [CONVERSATION, SEND],
        "spelling is no difference"
    );

    w.push_with("My new address", json!({ "email": "kim@example.com" }));
    assert_eq!(w.settle(), [SEND, PUT]);
}

#[test]
fn contact_updates_at_once() {
    let mut w = World::chatting();
    let ask =
        json!({ "locationId": LOCATION, "clientId": "client-1", "email": "mina@example.com" });
    let asked = w.post("/contact", &ask);
    let update = w.only_call(PUT);
    assert_eq!(update.json()["email"], "mina@example.com");
    assert!(w.waits(&asked));
    w.take(PUT);
    assert_eq!(w.status(&asked), 200);
    assert_eq!(w.body(&asked), json!({ "contactId": "con-client-1" }));

    let again = w.post("/contact", &ask);
    assert_eq!(w.body(&again), json!({ "contactId": "con-client-1" }));
    assert_eq!(w.under_way(), NOTHING, "there was nothing to tell");
}

#[test]
fn contact_makes_an_unknown_client_s_contact() {
    let mut w = World::connected();
    let ask =
        json!({ "locationId": LOCATION, "clientId": "client-1", "email": "mina@example.com" });
    let asked = w.post("/contact", &ask);
    assert_eq!(w.settle(), [SEARCH, UPSERT, TAG]);
    assert_eq!(w.body(&asked), json!({ "contactId": "con-client-1" }));
    w.push("Hello");
    assert_eq!(w.settle(), [CONVERSATION, SEND]);
}

#[test]
fn contact_is_answered_503_with_retry_after_when_ghl_takes_longer_than_ten_seconds() {
    let mut w = World::connected();
    let ask = json!({ "locationId": LOCATION, "clientId": "client-1" });
    let asked = w.post("/contact", &ask);
    w.advance(9_999);
    assert!(w.waits(&asked));
    w.advance(1);
    assert_eq!(w.status(&asked), 503);
    assert!(
        w.answer_to(&asked)
            .unwrap()
            .headers
            .contains_key("retry-after")
    );
    assert_eq!(w.body(&asked)["code"], "unavailable");
    // It was not in vain.
    w.take(SEARCH);
    w.take(CREATE);
    let again = w.post("/contact", &ask);
    assert_eq!(w.body(&again), json!({ "contactId": "con-client-1" }));
}

#[test]
fn a_visitor_who_logs_in_keeps_the_contact_and_the_new_id_becomes_its_alias() {
    let mut w = World::chatting();
    w.push_with("I have logged in", json!({ "clientId": "user-7" }));
    let call = w.only_call(SEND);
    assert_eq!(call.json()["contactId"], "con-client-1");
    w.settle();

    // Answers name the visitor as vCX names him now.
    w.reply("agent-1", "Welcome back");
    let event = w.only_call("vCX message.created");
    assert_eq!(event.json()["clientId"], "user-7");
    assert_eq!(event.json()["vcxConversationId"], "chat-1");
    w.settle();
    assert_eq!(w.kv("conv:loc-1:chat-1")["clientId"], "user-7");

    // A new chat of either name has the same contact, and the same lane.
    for (client, chat) in [("user-7", "chat-2"), ("client-1", "chat-3")] {
        w.push_with(
            "Elsewhere",
            json!({ "clientId": client, "vcxConversationId": chat }),
        );
        assert_eq!(w.take(SEND).json()["contactId"], "con-client-1");
    }
    w.push_with(
        "one",
        json!({ "clientId": "user-7", "vcxConversationId": "chat-2" }),
    );
    w.push_with(
        "two",
        json!({ "clientId": "client-1", "vcxConversationId": "chat-3" }),
    );
    assert_eq!(w.under_way(), [SEND], "one after the other");
    let asked = w.post(
        "/contact",
        &json!({ "locationId": LOCATION, "clientId": "user-7" }),
    );
    assert_eq!(w.body(&asked)["contactId"], "con-client-1");
}

#[test]
fn a_visitor_who_logs_in_as_somebody_known_keeps_the_chat_s_contact() {
    let mut w = World::chatting();
    w.push_with(
        "at home",
        json!({ "clientId": "user-7", "vcxConversationId": "chat-7" }),
    );
    w.settle();
    w.push_with("I have logged in", json!({ "clientId": "user-7" }));
    assert_eq!(w.take(SEND).json()["contactId"], "con-client-1");
    w.push_with(
        "at home",
        json!({ "clientId": "user-7", "vcxConversationId": "chat-7" }),
    );
    assert_eq!(w.take(SEND).json()["contactId"], "con-user-7");
}

#[test]
fn after_an_unclear_creation_it_waits_ten_seconds_searches_and_then_creates() {
    for unclear in [None, Some(500), Some(502), Some(503)] {
        let mut w = World::connected();
        w.push("Hello");
        w.take(SEARCH);
        let create = w.only_call(CREATE);
        let since = w.now;
        match unclear {
            None => w.drop_call(&create),
            Some(status) => w.answer(&create, status, json!(null)),
        }
        assert_eq!(w.under_way(), NOTHING);
        w.wait_for(SEARCH, MINUTE);
        assert_eq!(w.now - since, 10 * SECOND);
        w.take(SEARCH);
        assert_eq!(w.settle(), [CREATE, CONVERSATION, SEND, TAG]);
    }
}

#[test]
fn a_contact_that_an_unclear_creation_did_make_is_used_and_tagged() {
    let mut w = World::connected();
    w.push("Hello");
    w.take(SEARCH);
    let create = w.only_call(CREATE);
    w.drop_call(&create);
    let search = w.wait_for(SEARCH, MINUTE);
    let mut contact = found("con-client-1", "client-1");
    merge(&mut contact, json!({ "source": "vCX" }));
    w.answer(&search, 200, json!({ "contacts": [contact], "total": 1 }));
    assert_eq!(w.settle(), [CONVERSATION, SEND, TAG]);
}

#[test]
fn a_creation_that_was_not_answered_in_time_is_unclear() {
    let mut w = World::connected();
    w.push("Hello");
    w.take(SEARCH);
    w.only_call(CREATE);
    w.advance(15 * SECOND);
    assert_eq!(w.under_way(), NOTHING);
    w.wait_for(SEARCH, MINUTE);
    assert_eq!(w.now, START + 25 * SECOND);
}

#[test]
fn contact_delete_forgets() {
    let mut w = World::chatting();
    w.app_event(json!({ "type": "ContactDelete", "id": "con-client-1" }));
    w.push("Hello");
    w.take(SEARCH);
    let create = w.only_call(CREATE);
    w.answer(&create, 201, json!({ "contact": { "id": "con-new" } }));
    assert_eq!(
        w.settle(),
        [CONVERSATION, SEND, "POST /contacts/con-new/tags"]
    );

    w.webhook(&delivery("con-new", "agent-1", "Hi"));
    let event = w.only_call("vCX message.created");
    assert_eq!(event.json()["vcxConversationId"], "chat-1");
    assert_eq!(w.kv("conv:loc-1:chat-1")["contactId"], "con-new");
}

#[test]
fn contact_delete_of_a_stranger_changes_nothing() {
    let mut w = World::chatting();
    w.app_event(json!({ "type": "ContactDelete", "id": "con-stranger" }));
    w.push("Hello");
    assert_eq!(w.settle(), [SEND]);
}

#[test]
fn a_merged_conversation_is_re_keyed() {
    let mut w = World::chatting();
    w.app_event(json!({
        "type": "ConversationUpdate", "oldConversationId": "cnv-client-1",
        "newConversationId": "cnv-merged", "contactId": "con-client-1",
    }));
    w.push("Hello");
    let call = w.only_call(SEND);
    assert_eq!(call.json()["conversationId"], "cnv-merged");
    w.answer(
        &call,
        200,
        json!({ "messageId": "ghl-m2", "conversationId": "cnv-merged" }),
    );
    w.app_event(
        json!({ "type": "ConversationUnreadUpdate", "id": "cnv-merged", "unreadCount": 2 }),
    );
    let event = w.only_call("vCX conversation.updated");
    assert_eq!(event.json()["vcxConversationId"], "chat-1");
    assert_eq!(w.kv("ghl:loc-1:cnv-merged")["contactId"], "con-client-1");
    assert_eq!(w.kv("conv:loc-1:chat-1")["conversationId"], "cnv-merged");
}

#[test]
fn a_conversation_that_was_merged_into_another_contact_s_moves_its_clients() {
    let mut w = World::chatting();
    w.app_event(json!({
        "type": "ConversationUpdate", "oldConversationId": "cnv-client-1",
        "newConversationId": "cnv-other", "contactId": "con-other",
    }));
    w.push("Hello");
    let call = w.only_call(SEND);
    assert_eq!(call.json()["contactId"], "con-other");
    assert_eq!(call.json()["conversationId"], "cnv-other");
    w.answer(
        &call,
        200,
        json!({ "messageId": "ghl-m2", "conversationId": "cnv-other" }),
    );
    w.webhook(&delivery("con-other", "agent-1", "Hi"));
    let event = w.only_call("vCX message.created");
    assert_eq!(event.json()["vcxConversationId"], "chat-1");
}

#[test]
fn a_merge_into_a_contact_that_has_chats_of_its_own_keeps_the_latest_in_front() {
    for first_is_later in [false, true] {
        let mut w = World::chatting();
        w.advance(MINUTE);
        let other = json!({ "clientId": "client-2", "vcxConversationId": "chat-2" });
        w.push_with("hello", other);
        w.settle();
        if first_is_later {
            w.advance(MINUTE);
            w.push_with("elsewhere", json!({ "vcxConversationId": "chat-3" }));
            w.settle();
        }
        w.app_event(json!({
            "type": "ConversationUpdate", "oldConversationId": "cnv-client-1",
            "newConversationId": "cnv-client-2", "contactId": "con-client-2",
        }));
        w.webhook(&delivery("con-client-2", "agent-1", "Hi"));
        let event = w.only_call("vCX message.created");
        let expected = if first_is_later { "chat-3" } else { "chat-2" };
        assert_eq!(event.json()["vcxConversationId"], expected);
        w.settle();
        w.push("Hello");
        assert_eq!(w.only_call(SEND).json()["contactId"], "con-client-2");
    }
}

/// A contact as a search shows it.
fn found(id: &str, client: &str) -> Value {
    json!({
        "id": id,
        "customFields": [{ "id": "field-1", "value": client }],
        "tags": ["vip"],
        "dateAdded": "2026-01-01T00:00:00.000Z",
    })
}

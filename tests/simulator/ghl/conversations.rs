//! Conversations: one for each contact (FACTS §3.1).

use super::contacts::contact_of;
use super::server::Call;
use super::state::Conversation;
use super::{Answer, Answered, Ghl};
use serde_json::{Value, json};
use vcx_ghl::map::iso;

/// `POST /conversations/`.
pub fn create(ghl: &mut Ghl, call: &Call) -> Answered {
    let contact_id = call.body["contactId"].as_str().unwrap_or_default();
    let contact = contact_of(ghl, contact_id, &call.location())?;
    if let Some(known) = ghl
        .conversation_of(&contact.id)
        .filter(|_| ghl.options.refuse_conversation)
    {
        let message = "Conversation already exists";
        let body = json!({ "statusCode": 400, "message": message, "conversationId": known });
        return Err(Answer::new(400, body));
    }
    let id = ghl.conversation_for(&contact.id);
    let conversation = &ghl.conversations[&id];
    let date = iso(conversation.added_at);
    let body = json!({
        "success": true,
        "conversation": {
            "id": id, "contactId": contact.id, "locationId": contact.location_id, "deleted": false,
            "dateAdded": date, "dateUpdated": date, "lastMessageDate": date,
        },
        "traceId": "trace",
    });
    Ok(Answer::new(201, body))
}

/// `GET /conversations/search`.
pub fn search(ghl: &mut Ghl, call: &Call) -> Answered {
    let query = |name: &str| call.query.get(name).map(String::as_str);
    let location_id = call.location();
    let is_wanted = |conversation: &&Conversation| {
        let of_contact = query("contactId").is_none_or(|id| id == conversation.contact_id);
        let by_id = query("id").is_none_or(|id| id == conversation.id);
        let by_status = match query("status") {
            Some("unread") => conversation.unread > 0,
            Some("read") => conversation.unread == 0,
            Some("starred") => conversation.starred,
            Some(_) | None => true,
        };
        conversation.location_id == location_id && of_contact && by_id && by_status
    };
    let found: Vec<Value> = ghl
        .conversations
        .values()
        .filter(is_wanted)
        .map(|conversation| summary(ghl, conversation))
        .collect();
    let limit = query("limit")
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let page: Vec<&Value> = found.iter().take(limit).collect();
    let body = json!({ "conversations": page, "total": found.len(), "traceId": "trace" });
    Ok(Answer::new(200, body))
}

/// `GET /conversations/{conversationId}`. Here `type` is a number, 1 for phone.
pub fn get(ghl: &mut Ghl, call: &Call) -> Answered {
    let conversation = of_location(ghl, &call.id, &call.location())?;
    let body = json!({
        "id": conversation.id, "contactId": conversation.contact_id,
        "locationId": conversation.location_id, "deleted": false, "inbox": true, "type": 1,
        "unreadCount": conversation.unread, "starred": conversation.starred, "traceId": "trace",
    });
    Ok(Answer::new(200, body))
}

/// `PUT /conversations/{conversationId}`.
pub fn update(ghl: &mut Ghl, call: &Call) -> Answered {
    of_location(ghl, &call.id, &call.location())?;
    let Some(conversation) = ghl.conversations.get_mut(&call.id) else {
        return Err(Answer::unknown("Conversation", &call.id));
    };
    conversation.starred = call.body["starred"]
        .as_bool()
        .unwrap_or(conversation.starred);
    if let Some(unread) = call.body["unreadCount"].as_i64() {
        conversation.unread = unread;
        ghl.emit_unread(&call.id);
    }
    Ok(Answer::new(
        200,
        json!({ "success": true, "traceId": "trace" }),
    ))
}

/// `DELETE /conversations/{conversationId}`.
pub fn remove(ghl: &mut Ghl, call: &Call) -> Answered {
    of_location(ghl, &call.id, &call.location())?;
    ghl.conversations.remove(&call.id);
    Ok(Answer::new(
        200,
        json!({ "success": true, "traceId": "trace" }),
    ))
}

/// A conversation of the token's location.
pub fn of_location(ghl: &Ghl, id: &str, location_id: &str) -> Result<Conversation, Answer> {
    match ghl.conversations.get(id) {
        None => Err(Answer::unknown("Conversation", id)),
        Some(found) if found.location_id != location_id => Err(Answer::other_tenant()),
        Some(found) => Ok(found.clone()),
    }
}

impl Ghl {
    /// The contact's conversation, if it has one.
    pub fn conversation_of(&self, contact_id: &str) -> Option<String> {
        let mut all = self.conversations.values();
        all.find(|conversation| conversation.contact_id == contact_id)
            .map(|found| found.id.clone())
    }

    /// A conversation goes on under another id (FACTS §4.5).
    pub fn merge_conversation(&mut self, old: &str) {
        let Some(mut conversation) = self.conversations.remove(old) else {
            return;
        };
        let id = self.id("cnv");
        conversation.id = id.clone();
        for message in &conversation.thread {
            if let Some(message) = self.messages.get_mut(message) {
                message.conversation_id = id.clone();
            }
        }
        let fields = json!({
            "locationId": conversation.location_id, "contactId": conversation.contact_id,
            "oldConversationId": old, "newConversationId": id,
        });
        self.conversations.insert(id, conversation);
        self.emit("ConversationUpdate", fields);
    }

    /// The contact's conversation, made if there is none.
    pub fn conversation_for(&mut self, contact_id: &str) -> String {
        if let Some(id) = self.conversation_of(contact_id) {
            return id;
        }
        let id = self.id("cnv");
        let conversation = Conversation {
            id: id.clone(),
            location_id: self.contacts[contact_id].location_id.clone(),
            contact_id: contact_id.to_owned(),
            added_at: self.now,
            starred: false,
            unread: 0,
            thread: Vec::new(),
        };
        self.conversations.insert(id.clone(), conversation);
        id
    }
}

fn summary(ghl: &Ghl, conversation: &Conversation) -> Value {
    let contact = ghl.contacts.get(&conversation.contact_id);
    let name = contact.map(|contact| contact.name());
    let text = |field: &str| contact.and_then(|contact| contact.fields.get(field));
    json!({
        "id": conversation.id, "contactId": conversation.contact_id,
        "locationId": conversation.location_id, "type": "TYPE_PHONE",
        "unreadCount": conversation.unread, "fullName": name, "contactName": name,
        "email": text("email"), "phone": text("phone"),
    })
}

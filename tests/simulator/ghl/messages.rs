//! Messages (FACTS §3.3-3.6): logging them, sending them through a provider, their status, and
//! reading them back.

use super::contacts::contact_of;
use super::conversations::of_location;
use super::server::Call;
use super::state::{Direction, Message};
use super::{Answer, Answered, Ghl};
use serde_json::{Value, json};
use vcx_ghl::ghl::webhook::millis;
use vcx_ghl::map::iso;

/// `POST /conversations/messages/inbound`: logs a message, delivers nothing (FACTS §3.2, §3.3).
pub fn log(ghl: &mut Ghl, call: &Call) -> Answered {
    let text = |name: &str| call.body[name].as_str();
    let kind = text("type").unwrap_or_default();
    if text("contactId").is_none() && text("conversationId").is_none() {
        return Err(Answer::unprocessable(&[
            "contactId should not be empty".into()
        ]));
    }
    match (kind, text("conversationProviderId")) {
        // A success by its status, and nothing was stored (FACTS §3.3, GH#70).
        ("Custom", None) => {
            return Ok(Answer {
                status: 201,
                body: None,
            });
        }
        ("Call", None) => {
            return Err(Answer::bad_request(
                "No conversationProviderId passed in body",
            ));
        }
        (_, None) => {}
        (_, Some(provider)) => {
            if !owns(ghl, call, provider) {
                return Err(Answer::server_error());
            }
            if kind != "Custom" {
                return Err(Answer::bad_request("Incorrect conversationProviderId/type"));
            }
        }
    }
    let location_id = call.location();
    let conversation_id = match text("conversationId") {
        Some(id) => of_location(ghl, id, &location_id)?.id,
        None => {
            let contact = contact_of(ghl, text("contactId").unwrap_or_default(), &location_id)?;
            ghl.conversation_for(&contact.id)
        }
    };
    // The default that surprises everybody.
    let direction = match text("direction") {
        Some("inbound") => Direction::Inbound,
        _ => Direction::Outbound,
    };
    let message = ghl.store(
        &conversation_id,
        Message {
            direction,
            date: text("date").and_then(millis).unwrap_or(ghl.now),
            alt_id: text("altId").map(str::to_owned),
            provider_id: text("conversationProviderId").map(str::to_owned),
            ..Message::new(kind, &call.body)
        },
    );
    ghl.announce(&message);
    let body = json!({
        "success": true, "conversationId": conversation_id, "messageId": message.id,
        "message": message.body, "contactId": message.contact_id, "dateAdded": iso(message.date),
        "emailMessageId": null, "traceId": "trace",
    });
    Ok(Answer::new(200, body))
}

/// `POST /conversations/messages`: sends; with our provider, through its Delivery URL (FACTS §3.4).
pub fn send(ghl: &mut Ghl, call: &Call) -> Answered {
    let text = |name: &str| call.body[name].as_str();
    let (kind, provider) = (
        text("type").unwrap_or_default(),
        text("conversationProviderId"),
    );
    let contact = contact_of(ghl, text("contactId").unwrap_or_default(), &call.location())?;
    if kind == "Custom" && provider.is_none() {
        return Err(Answer::bad_request(
            "No conversationProviderId passed in body",
        ));
    }
    if provider.is_some_and(|provider| !owns(ghl, call, provider)) {
        return Err(Answer::server_error());
    }
    let conversation_id = ghl.conversation_for(&contact.id);
    // With a provider, SMS is taken here though not for logging, and has a type of its own.
    let named = if provider.is_some() && kind == "SMS" {
        "ProviderSMS"
    } else {
        kind
    };
    let message = ghl.store(
        &conversation_id,
        Message {
            channel: kind.to_owned(),
            status: text("status").unwrap_or_default().to_owned(),
            date: ghl.now,
            provider_id: provider.map(str::to_owned),
            ..Message::new(named, &call.body)
        },
    );
    if provider == Some(ghl.provider_id.as_str()) {
        ghl.deliver(&message);
    }
    ghl.announce(&message);
    Ok(Answer::new(200, receipt(&message)))
}

/// `PUT /conversations/messages/{messageId}/status` (FACTS §3.5).
pub fn set_status(ghl: &mut Ghl, call: &Call) -> Answered {
    let message = message_of(ghl, &call.id, &call.location())?;
    let too_early = ghl.now - message.stored_at < ghl.options.status_not_yet;
    let Some(provider) = message.provider_id.as_deref().filter(|_| !too_early) else {
        // "Not yet", not a bad token: 401 once, a 403 since 2025-06.
        let words = "No conversation provider found for this message";
        return Err(match (too_early, ghl.options.status_not_yet_status) {
            (true, 401) => Answer::new(401, json!({ "statusCode": 401, "message": words })),
            _ => Answer::forbidden(words),
        });
    };
    if !owns(ghl, call, provider) {
        let words = format!("You don't have access to the conversationProvider with id {provider}");
        return Err(Answer::forbidden(&words));
    }
    let Some(message) = ghl.messages.get_mut(&call.id) else {
        return Err(Answer::unknown("Message", &call.id));
    };
    message.status = call.body["status"].as_str().unwrap_or_default().to_owned();
    if call.body["error"].is_object() {
        message.error = Some(call.body["error"].clone());
    }
    Ok(Answer::new(200, receipt(message)))
}

/// `GET /conversations/{conversationId}/messages`: newest first, nested although documented flat.
pub fn list(ghl: &mut Ghl, call: &Call) -> Answered {
    let conversation = of_location(ghl, &call.id, &call.location())?;
    let query = |name: &str| call.query.get(name).map(String::as_str);
    let limit = query("limit")
        .and_then(|text| text.parse().ok())
        .unwrap_or(20)
        .min(100);
    let end = match query("lastMessageId") {
        None => conversation.thread.len(),
        Some(last) => match conversation.thread.iter().position(|id| id == last) {
            Some(at) => at,
            None => return Err(Answer::unknown("Message", last)),
        },
    };
    let is_wanted = |message: &&Message| {
        query("type").is_none_or(|types| types.split(',').any(|name| name == message.message_type))
    };
    let all: Vec<&Message> = conversation.thread[..end]
        .iter()
        .rev()
        .filter_map(|id| ghl.messages.get(id))
        .filter(is_wanted)
        .collect();
    let page = &all[..all.len().min(limit)];
    let body = json!({
        "messages": {
            "lastMessageId": page.last().map(|message| &message.id),
            "nextPage": all.len() > page.len(),
            "messages": page.iter().map(|message| view(message)).collect::<Vec<Value>>(),
        },
        "traceId": "trace",
    });
    Ok(Answer::new(200, body))
}

/// `GET /conversations/messages/{id}`: nested, too.
pub fn get(ghl: &mut Ghl, call: &Call) -> Answered {
    let message = message_of(ghl, &call.id, &call.location())?;
    Ok(Answer::new(
        200,
        json!({ "message": view(&message), "traceId": "trace" }),
    ))
}

impl Ghl {
    /// A GHL user writes: through our provider (`Custom`), or on another channel.
    pub fn agent_replies(
        &mut self,
        now: i64,
        contact_id: &str,
        kind: &str,
        text: &str,
        attachments: Value,
    ) -> Message {
        self.now = now;
        let ours = kind == "Custom";
        let conversation_id = self.conversation_for(contact_id);
        let body = json!({ "message": text, "attachments": attachments });
        let message = self.store(
            &conversation_id,
            Message {
                status: if ours { "pending" } else { "delivered" }.into(),
                date: now,
                source: "app",
                user_id: Some("usr1".into()),
                provider_id: ours.then(|| self.provider_id.clone()),
                ..Message::new(kind, &body)
            },
        );
        if ours {
            self.deliver(&message);
        }
        self.announce(&message);
        message
    }

    fn store(&mut self, conversation_id: &str, message: Message) -> Message {
        let id = self.id("msg");
        let now = self.now;
        let conversation = self.conversations.get_mut(conversation_id).unwrap();
        let message = Message {
            id: id.clone(),
            location_id: conversation.location_id.clone(),
            contact_id: conversation.contact_id.clone(),
            conversation_id: conversation_id.to_owned(),
            stored_at: now,
            ..message
        };
        // Sorted by date; those of one date by arrival.
        let place = conversation
            .thread
            .partition_point(|other| self.messages[other].date <= message.date);
        conversation.thread.insert(place, id.clone());
        conversation.unread += i64::from(message.direction == Direction::Inbound);
        self.messages.insert(id, message.clone());
        message
    }
}

impl Message {
    fn new(kind: &str, body: &Value) -> Self {
        let (message_type, type_number) = type_of(kind);
        let text = body["message"].as_str().or_else(|| body["html"].as_str());
        Self {
            id: String::new(),
            location_id: String::new(),
            contact_id: String::new(),
            conversation_id: String::new(),
            channel: kind.to_owned(),
            message_type,
            type_number,
            direction: Direction::Outbound,
            body: text.unwrap_or_default().to_owned(),
            attachments: match &body["attachments"] {
                Value::Array(list) => json!(list),
                _ => json!([]),
            },
            status: "delivered".into(),
            error: None,
            date: 0,
            stored_at: 0,
            source: "api",
            alt_id: None,
            user_id: None,
            provider_id: None,
        }
    }
}

/// Whether the provider is of the token's app.
fn owns(ghl: &Ghl, call: &Call, provider: &str) -> bool {
    let client_id = call
        .access
        .as_ref()
        .map(|access| access.holder.client_id.as_str());
    let app = ghl.apps.values().find(|app| app.provider_id == provider);
    app.is_some_and(|app| Some(app.client_id.as_str()) == client_id)
}

fn message_of(ghl: &Ghl, id: &str, location_id: &str) -> Result<Message, Answer> {
    match ghl.messages.get(id) {
        None => Err(Answer::unknown("Message", id)),
        Some(message) if message.location_id != location_id => Err(Answer::other_tenant()),
        Some(message) => Ok(message.clone()),
    }
}

/// What a message of a channel is called, and by which number (FACTS §3.6).
fn type_of(kind: &str) -> (String, i64) {
    let (name, number) = match kind {
        "Custom" => ("TYPE_CUSTOM_PROVIDER_SMS", 22),
        "ProviderSMS" => ("TYPE_CUSTOM_SMS", 20),
        "SMS" => ("TYPE_SMS", 2),
        "Email" => ("TYPE_EMAIL", 3),
        "InternalComment" => ("TYPE_INTERNAL_COMMENT", 37),
        other => return (format!("TYPE_{}", other.to_uppercase()), 0),
    };
    (name.to_owned(), number)
}

fn receipt(message: &Message) -> Value {
    json!({
        "conversationId": message.conversation_id, "messageId": message.id,
        "status": message.status, "traceId": "trace",
    })
}

/// `altId` is returned, though in no document (FACTS §3.6).
fn view(message: &Message) -> Value {
    let mut view = json!({
        "id": message.id, "type": message.type_number, "messageType": message.message_type,
        "locationId": message.location_id, "contactId": message.contact_id,
        "conversationId": message.conversation_id, "dateAdded": iso(message.date),
        "direction": message.direction.as_str(), "contentType": "text/plain",
        "body": message.body, "status": message.status, "attachments": message.attachments,
        "source": message.source,
    });
    let more = [
        ("error", message.error.clone()),
        ("altId", message.alt_id.as_ref().map(|text| json!(text))),
        ("userId", message.user_id.as_ref().map(|text| json!(text))),
        (
            "conversationProviderId",
            message.provider_id.as_ref().map(|text| json!(text)),
        ),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            view[name] = value;
        }
    }
    view
}

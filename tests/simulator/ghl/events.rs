//! The bodies of app webhooks and Delivery posts (FACTS §4.2-4.5), and who gets them: an app hears
//! of a location that it is installed in, when it has the scope (FACTS §1.9).

use super::Ghl;
use super::state::{Direction, Message};
use serde_json::{Value, json};
use vcx_ghl::map::iso;

/// Something that GHL posts to us.
#[derive(Clone, Debug)]
pub struct Post {
    pub to: To,
    pub body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The provider's Delivery URL.
    Delivery,
    /// The app's webhook URL.
    Webhook,
}

impl Ghl {
    /// Posts an app event, unless the app is not to hear of it.
    pub fn emit(&mut self, kind: &str, fields: Value) {
        let location_id = fields["locationId"].as_str().unwrap_or_default().to_owned();
        let scope = SCOPES
            .iter()
            .find(|(name, _)| *name == kind)
            .map(|(_, scope)| *scope);
        if let Some(scope) = scope {
            let key = (self.client_id.clone(), location_id);
            let installation = self.installations.get(&key);
            let listens =
                installation.is_some_and(|found| found.scope.split(' ').any(|one| one == scope));
            if !listens {
                return;
            }
        }
        let post = self.app_event(kind, fields, To::Webhook);
        self.posts.push(post);
    }

    /// `InboundMessage` or `OutboundMessage`.
    pub fn announce(&mut self, message: &Message) {
        let kind = match message.direction {
            Direction::Inbound => "InboundMessage",
            Direction::Outbound => "OutboundMessage",
        };
        self.emit(kind, message_fields(message));
        if self.options.unread_webhooks && message.direction == Direction::Inbound {
            self.emit_unread(&message.conversation_id);
        }
    }

    /// `ConversationUnreadUpdate`.
    pub fn emit_unread(&mut self, conversation_id: &str) {
        let Some(conversation) = self.conversations.get(conversation_id) else {
            return;
        };
        let fields = json!({
            "locationId": conversation.location_id, "id": conversation.id,
            "contactId": conversation.contact_id, "unreadCount": conversation.unread,
            "inbox": true, "starred": conversation.starred, "deleted": false,
        });
        self.emit("ConversationUnreadUpdate", fields);
    }

    /// The Delivery post. It has no event name (`type` is the channel) and neither conversation
    /// nor provider id (FACTS §4.4).
    pub fn deliver(&mut self, message: &Message) {
        let mut body = json!({
            "contactId": message.contact_id, "locationId": message.location_id,
            "messageId": message.id, "type": self.options.delivery_type,
            "message": message.body, "attachments": message.attachments,
        });
        let phone = self
            .contacts
            .get(&message.contact_id)
            .map(|contact| contact.text("phone"));
        if let Some(phone) = phone.filter(|phone| !phone.is_empty()) {
            body["phone"] = json!(phone);
        }
        if let Some(user_id) = &message.user_id {
            body["userId"] = json!(user_id);
        }
        if self.options.delivery_webhook_id {
            body["timestamp"] = json!(iso(self.now));
            body["webhookId"] = json!(self.id("whk"));
        }
        self.posts.push(Post {
            to: To::Delivery,
            body,
        });
    }

    /// An event with its envelope.
    pub fn app_event(&mut self, kind: &str, fields: Value, to: To) -> Post {
        let mut body = fields;
        body["type"] = json!(kind);
        body["appId"] = json!(self.app_id());
        body["versionId"] = json!(self.app_id());
        body["timestamp"] = json!(iso(self.now));
        body["webhookId"] = json!(self.id("whk"));
        Post { to, body }
    }
}

fn message_fields(message: &Message) -> Value {
    let mut fields = json!({
        "locationId": message.location_id, "attachments": message.attachments,
        "contactId": message.contact_id, "contentType": "text/plain",
        "conversationId": message.conversation_id, "dateAdded": iso(message.date),
        "direction": message.direction.as_str(), "messageType": message.channel,
        "messageTypeId": message.type_number, "messageTypeString": message.message_type,
        "messageId": message.id, "status": message.status,
    });
    // Attachment-only messages have no body; `altId` is in no sample (FACTS §3.8, §4.3).
    if !message.body.is_empty() {
        fields["body"] = json!(message.body);
    }
    if message.direction == Direction::Outbound {
        fields["source"] = json!(message.source);
    }
    if let Some(user_id) = &message.user_id {
        fields["userId"] = json!(user_id);
    }
    if let Some(provider_id) = &message.provider_id {
        fields["conversationProviderId"] = json!(provider_id);
    }
    fields
}

const SCOPES: [(&str, &str); 7] = [
    ("ContactCreate", "contacts.readonly"),
    ("ContactUpdate", "contacts.readonly"),
    ("ContactDelete", "contacts.readonly"),
    ("ContactTagUpdate", "contacts.readonly"),
    ("ConversationUnreadUpdate", "conversations.readonly"),
    ("InboundMessage", "conversations/message.readonly"),
    ("OutboundMessage", "conversations/message.readonly"),
];

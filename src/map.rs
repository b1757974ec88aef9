//! A message in vCX's words and in GHL's, side by side, and what is dropped on the way.
//!
//! | From | Dropped | Why |
//! | --- | --- | --- |
//! | GHL | any channel but ours | vCX shows one channel |
//! | GHL | `InboundMessage` on our channel | it is the visitor's message that we put there |
//! | GHL | `OutboundMessage` whose id GHL gave to a message of ours | it is our own copy |
//! | GHL | `OutboundMessage` whose Delivery post came too | it is the same message |
//! | GHL | `InternalComment`, `TYPE_ACTIVITY_*` | staff only |
//! | both | a text that keeps coming back from the other side | the loop brake |

use crate::ghl::InboxMessage;
use crate::ghl::webhook::Words;
use crate::location::work::Message;
use crate::store::Chat;
use crate::vcx::Event;
use std::time::{Duration, UNIX_EPOCH};

/// vCX's message for GHL's inbox; the contact is filled in by whoever knows it.
pub fn to_ghl<'a>(message: &'a Message, provider_id: &'a str) -> InboxMessage<'a> {
    InboxMessage {
        kind: "Custom",
        contact_id: "",
        conversation_id: None,
        conversation_provider_id: provider_id,
        message: &message.body,
        attachments: &message.attachments,
        alt_id: &message.message_id,
        direction: direction(message.from_user),
        date: iso(message.date),
    }
}

/// GHL's message for vCX's chat.
pub fn to_vcx(words: &Words, location_id: &str, chat: &Chat, id: &str, now: i64) -> Event {
    Event::MessageCreated {
        location_id: location_id.to_owned(),
        client_id: chat.client_id.clone(),
        vcx_conversation_id: chat.id.clone(),
        message_id: id.to_owned(),
        from_user: false,
        body: words.body.clone(),
        timestamp: words.at.unwrap_or(now),
        attachments: words.attachments.clone(),
        user_id: words.user_id.clone(),
    }
}

/// How many messages of a chat no agent has read, for vCX.
pub fn unread_to_vcx(unread_count: i64, location_id: &str, chat: &Chat, at: i64) -> Event {
    Event::ConversationUpdated {
        location_id: location_id.to_owned(),
        client_id: chat.client_id.clone(),
        vcx_conversation_id: chat.id.clone(),
        unread_count,
        timestamp: at,
    }
}

/// GHL's word for who wrote it: `outbound` is the business's side.
pub fn direction(from_user: bool) -> &'static str {
    if from_user { "inbound" } else { "outbound" }
}

/// Milliseconds as ISO 8601, the way JavaScript writes it; within the years 1970 to 9999.
pub fn iso(millis: i64) -> String {
    let millis = millis.clamp(0, LAST_MILLI).unsigned_abs();
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
}

/// The last one of the year 9999.
const LAST_MILLI: i64 = 253_402_300_799_999;

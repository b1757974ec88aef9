//! An object without a database: whether its location is ours after all, by KV; and what KV
//! knows that a restored object does not.

use super::mirror::{chat_key, conversation_key, token_key};
use super::turn::{Kind, Stop, Turn};
use super::{Ask, COMPANY, Input, LOCATION, contact, from_ghl, unknown};
use crate::ghl::Details;
use crate::store::{Chat, Client, Contact, Made};
use crate::token::Lifecycle;
use serde_json::Value;

impl Turn<'_> {
    /// Makes the tables if the input founds a location or KV knows it; whether there are tables
    /// now. The object of a location that is not ours reads KV and writes nothing.
    pub fn found_or_restored(&mut self, input: &Input) -> Result<bool, Stop> {
        let (caller, object, ask) = match input {
            Input::Asked {
                caller,
                object,
                ask,
            } => (caller, object, ask),
            Input::Trapped { input } => {
                if let Input::Asked { caller, .. } = &**input {
                    self.answer_internal(caller);
                }
                return Ok(false);
            }
            Input::Started
            | Input::Waited { .. }
            | Input::Answered { .. }
            | Input::Mirrored { .. }
            | Input::Heard { .. }
            | Input::Flush { .. }
            | Input::Closed { .. }
            | Input::Wake => return Ok(false),
        };
        let (kind, id) = match (object.strip_prefix(COMPANY), object.strip_prefix(LOCATION)) {
            (Some(id), _) => (Kind::Company, id),
            (None, Some(id)) => (Kind::Location, id),
            (None, None) => (Kind::Location, object.as_str()),
        };
        self.location.kind = kind;
        self.location.id = id.to_owned();
        let held = self.recall(&token_key(kind, id))?;
        let record: Value = held
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let sealed = record["sealed"].as_str();
        let members = record["members"].as_array().map_or(&[][..], Vec::as_slice);
        let founds = matches!(ask, Ask::Connect { .. } | Ask::Register { .. });
        if !founds && sealed.is_none() && members.is_empty() {
            let gone = record["gone"] == true;
            let response = match ask {
                Ask::Webhook { .. } | Ask::Leave { .. } => from_ghl::taken(),
                _ if gone => contact::disconnected(id),
                _ => unknown(id),
            };
            self.answer(caller, response);
            return Ok(false);
        }
        self.db.create()?;
        self.location.restored = !record.is_null();
        self.location.rev = record["rev"].as_i64().unwrap_or_default();
        for location_id in members.iter().filter_map(Value::as_str) {
            self.db.add_member(location_id)?;
        }
        if founds {
            return Ok(true);
        }
        let text = |name: &str| record[name].as_str().map(str::to_owned);
        let number = |name: &str| record[name].as_i64().unwrap_or_default();
        if sealed.is_some() {
            self.sealed = sealed.map(str::to_owned);
            self.location.lifecycle = Lifecycle::Fresh;
        }
        self.location.company_id = text("companyId");
        self.location.via = text("via").unwrap_or_default();
        self.location.reference = text("ref");
        self.location.connected_at = number("connectedAt");
        self.location.expires_at = number("expiresAt");
        self.location.refreshed_at = number("refreshedAt");
        self.log("warn", "restored_from_kv", serde_json::json!({}));
        Ok(true)
    }

    /// Takes over from KV where a chat is, if the object was restored and does not know it.
    pub fn restore_chat(&mut self, chat_id: &str) -> Result<(), Stop> {
        if !self.location.restored || self.db.chat(chat_id)?.is_some() {
            return Ok(());
        }
        let key = chat_key(&self.location.id, chat_id);
        let Some(record) = self
            .recall(&key)?
            .and_then(|text| serde_json::from_str(text).ok())
        else {
            return Ok(());
        };
        let record: Value = record;
        let text = |name: &str| record[name].as_str().map(str::to_owned);
        let (Some(client_id), Some(contact_id)) = (text("clientId"), text("contactId")) else {
            return Ok(());
        };
        let mut client = self.client_of(&client_id)?;
        if client.contact_id.is_none() {
            client = Client {
                contact_id: Some(contact_id.clone()),
                made: Made::Elsewhere,
                sent: Details::default(),
                ..client
            };
            self.db.put_client(&client)?;
        }
        let heard_at = self.now;
        let chat = Chat {
            id: chat_id.to_owned(),
            client_id,
            lane: client.id,
            heard_at,
        };
        self.db.put_chat(&chat)?;
        if self.db.contact(&contact_id)?.is_none() {
            self.db.put_contact(&Contact {
                id: contact_id,
                conversation_id: text("conversationId"),
                chat_id: Some(chat_id.to_owned()),
            })?;
        }
        Ok(())
    }

    /// The same by GHL's conversation.
    pub fn restore_conversation(&mut self, id: &str) -> Result<Option<Contact>, Stop> {
        if !self.location.restored {
            return Ok(None);
        }
        let key = conversation_key(&self.location.id, id);
        let Some(text) = self.recall(&key)? else {
            return Ok(None);
        };
        let record: Value = serde_json::from_str(text).unwrap_or_default();
        let Some(chat_id) = record["vcxConversationId"].as_str() else {
            return Ok(None);
        };
        self.restore_chat(chat_id)?;
        Ok(self.db.contact_of_conversation(id)?)
    }
}

//! What GHL sends: seen once, sorted by what it means, stored.

use super::connection::Connected;
use super::from_vcx::Side;
use super::outbox::Reason;
use super::turn::{LastError, Stop, Turn, text};
use super::work::Work;
use crate::ghl::webhook::{Event, Key, UNNAMED, Webhook, Words};
use crate::http::Response;
use crate::map;
use crate::store::{Chat, Contact, Item, Stage};
use serde_json::json;

impl Turn<'_> {
    /// `POST /webhook`, verified and parsed.
    pub fn webhook(&mut self, caller: &str, webhook: &Webhook) -> Result<(), Stop> {
        self.answer(caller, taken());
        if self.location.lifecycle.is_gone() && self.connected_as() == Connected::Location {
            return Ok(());
        }
        self.pulse.last_webhook_at = Some(self.now);
        if let Event::Ignored { .. } = webhook.event {
            self.pulse.ignored += 1;
            return Ok(());
        }
        if self.was_seen(&webhook.key)? {
            return Ok(());
        }
        match &webhook.key {
            Key::WebhookId(_) | Key::MessageId(_) => self.take_event(webhook)?,
            // What has no id may well happen again: the ids that are made for it differ then.
            Key::Body(hash) => self.take_event(&Webhook {
                key: Key::Body(format!("{hash}-{}", self.now)),
                ..webhook.clone()
            })?,
        }
        match &webhook.key {
            // The outbox remembers messages by their id.
            Key::MessageId(_) if webhook.event.is_message() => Ok(()),
            key => Ok(self.db.see(&key.text(), self.now)?),
        }
    }

    fn was_seen(&self, key: &Key) -> Result<bool, Stop> {
        let seen_at = self.db.seen(&key.text())?;
        let keep = match key {
            Key::WebhookId(_) | Key::MessageId(_) => i64::MAX,
            Key::Body(_) => BODY_MEMORY,
        };
        Ok(seen_at.is_some_and(|at| self.now.saturating_sub(at) < keep))
    }

    fn take_event(&mut self, webhook: &Webhook) -> Result<(), Stop> {
        match &webhook.event {
            Event::Reply(words) => self.reply(words),
            Event::Outbound(words) => self.outbound(words),
            Event::Incoming(words) => self.incoming(words, &webhook.key),
            Event::Unread {
                conversation_id,
                contact_id,
                unread_count,
            } => self.unread(
                webhook,
                conversation_id,
                contact_id.as_deref(),
                *unread_count,
            ),
            Event::Merged {
                old,
                new,
                contact_id,
            } => self.merged(old, new, contact_id.as_deref()),
            Event::ContactDeleted { contact_id } => Ok(self.db.forget_contact(contact_id)?),
            Event::Installed => self.installed(webhook),
            Event::Uninstalled => self.uninstalled(webhook.sent_at.unwrap_or(self.now)),
            Event::Ignored { .. } => Ok(()),
            Event::Unintelligible { why, raw } => {
                let work = text(&Work::Unintelligible { raw: raw.clone() });
                self.bury(
                    &webhook.key.text(),
                    work,
                    Reason::new("unintelligible", why.clone()),
                )
            }
        }
    }

    /// A Delivery-URL post: an agent's message.
    fn reply(&mut self, words: &Words) -> Result<(), Stop> {
        let (Some(contact_id), Some(id)) = (&words.contact_id, &words.message_id) else {
            return Ok(());
        };
        if self.db.has_key(&format!("in:{id}"))? {
            return Ok(());
        }
        if let Some(held) = self.db.item_by_key(&format!("held:{id}"))? {
            self.db.remove(held.seq)?;
        }
        self.deliver(words, contact_id, id)
    }

    /// Queues an agent's message for vCX.
    pub fn deliver(&mut self, words: &Words, contact_id: &str, id: &str) -> Result<(), Stop> {
        let key = format!("in:{id}");
        if words.left_out > 0 {
            let fields = json!({ "messageId": id, "attachments": words.left_out });
            self.log("warn", "attachments_left_out", fields);
        }
        if words.is_empty() {
            let words = words.clone();
            return self.bury(&key, text(&Work::Reply { words }), nothing_left());
        }
        let lane = vcx_lane(contact_id);
        let Some(chat) = self.chat_of_contact(contact_id)? else {
            let work = text(&Work::Reply {
                words: words.clone(),
            });
            let mut item = Item::new(key, lane, Stage::Live, work, self.now);
            item.contact_id = Some(contact_id.to_owned());
            self.enqueue(item)?;
            return Ok(());
        };
        let mut client = self.client_of(&chat.lane)?;
        let braked = self.brake(&mut client, &words.body, Side::Heard);
        self.db.put_client(&client)?;
        let event = map::to_vcx(words, &self.location.id, &chat, id, self.now);
        let work = Work::event(id, &event);
        if braked {
            self.log(
                "error",
                "loop_brake",
                json!({ "side": "ghl", "messageId": id }),
            );
            let why = "vCX and GHL keep answering each other with the same texts";
            self.note_brake(why);
            let mut item = Item::new(key.clone(), key, Stage::Event, text(&work), self.now);
            item.conversation_id = Some(chat.id);
            item.seq = self.db.add(&item)?;
            return self.give_up(item, Reason::new("loop_brake", why));
        }
        let mut item = Item::new(key, lane, Stage::Event, text(&work), self.now);
        item.contact_id = Some(contact_id.to_owned());
        item.conversation_id = Some(chat.id);
        self.show_reply(&item, &work)?;
        self.enqueue(item)?;
        Ok(())
    }

    /// `OutboundMessage` on our channel: a copy of our own message, a copy of a Delivery post,
    /// or, should neither turn up, an agent's message whose Delivery post got lost.
    fn outbound(&mut self, words: &Words) -> Result<(), Stop> {
        let Some(id) = &words.message_id else {
            return Ok(());
        };
        let key = format!("held:{id}");
        if self.db.is_ours(id)? || self.db.has_key(&format!("in:{id}"))? || self.db.has_key(&key)? {
            return Ok(());
        }
        let work = text(&Work::Held {
            words: words.clone(),
        });
        let lane = key.clone();
        let mut item = Item::new(key, lane, Stage::Event, work, self.now);
        item.stage = Stage::Held;
        item.due = Some(self.now + HOLD);
        item.contact_id.clone_from(&words.contact_id);
        self.db.add(&item)?;
        self.wake_at(self.now + HOLD);
        Ok(())
    }

    /// Decides about held messages whose time has come.
    pub fn release_held(&mut self) -> Result<(), Stop> {
        for seq in self.db.held(self.now)? {
            let Some(mut item) = self.db.item(seq)? else {
                continue;
            };
            let Ok(Work::Held { words }) = item.work() else {
                self.give_up_unreadable(item)?;
                continue;
            };
            let (Some(contact_id), Some(id)) = (&words.contact_id, &words.message_id) else {
                self.db.remove(seq)?;
                continue;
            };
            if self.db.is_ours(id)? || self.db.has_key(&format!("in:{id}"))? {
                self.db.remove(seq)?;
            } else if self.unclear_for(contact_id)? {
                item.due = Some(self.now + HOLD_MORE);
                self.db.put(&item);
            } else {
                self.db.remove(seq)?;
                self.deliver(&words, contact_id, id)?;
            }
        }
        Ok(())
    }

    /// Whether a message of ours may be in GHL for this contact without our knowing its id.
    fn unclear_for(&self, contact_id: &str) -> Result<bool, Stop> {
        for client_id in self.db.lanes_of_contact(contact_id)? {
            if self.db.lane_unclear(&super::contact::lane(&client_id))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `message.incoming` of the user's own document.
    fn incoming(&mut self, words: &Words, key: &Key) -> Result<(), Stop> {
        let contact = match (&words.contact_id, &words.conversation_id) {
            (Some(id), _) => Some(id.clone()),
            (None, Some(id)) => self.contact_of_conversation(id)?.map(|contact| contact.id),
            (None, None) => None,
        };
        let id = words.id(key);
        let in_key = format!("in:{id}");
        if self.db.has_key(&in_key)? || self.db.is_ours(&id)? {
            return Ok(());
        }
        match contact {
            Some(contact_id) => {
                let words = Words {
                    contact_id: Some(contact_id.clone()),
                    ..words.clone()
                };
                self.deliver(&words, &contact_id, &id)
            }
            None => {
                let work = text(&Work::Held {
                    words: words.clone(),
                });
                // Its Delivery post may still come, and name the contact.
                let key = format!("{UNMAPPED}{id}");
                self.bury(&key, work, Reason::new("no_chat", NO_CHAT))
            }
        }
    }

    /// A `message.incoming` that had no chat: perhaps it has one now. Says whether.
    pub fn incoming_again(&mut self, item: &Item, words: &Words) -> Result<bool, Stop> {
        self.db.remove(item.seq)?;
        let id = item.message_id();
        let bare = id.strip_prefix(UNNAMED).unwrap_or(id);
        self.incoming(words, &Key::Body(bare.to_owned()))?;
        Ok(!self.db.has_key(&item.key)?)
    }

    fn unread(
        &mut self,
        webhook: &Webhook,
        conversation_id: &str,
        contact_id: Option<&str>,
        unread_count: i64,
    ) -> Result<(), Stop> {
        let contact_id = match self.contact_of_conversation(conversation_id)? {
            Some(contact) => Some(contact.id),
            None => contact_id.map(str::to_owned),
        };
        let chat = match &contact_id {
            Some(id) => self.chat_of_contact(id)?,
            None => None,
        };
        let (Some(contact_id), Some(chat)) = (contact_id, chat) else {
            self.pulse.ignored += 1;
            return Ok(());
        };
        let key = webhook.key.text();
        let at = webhook.sent_at.unwrap_or(self.now);
        let event = map::unread_to_vcx(unread_count, &self.location.id, &chat, at);
        self.show_update(&chat.id, &event)?;
        self.announce(&format!("unread:{key}"), vcx_lane(&contact_id), &key, event)
    }

    fn merged(&mut self, old: &str, new: &str, contact_id: Option<&str>) -> Result<(), Stop> {
        let Some(mut contact) = self.db.contact_of_conversation(old)? else {
            return Ok(());
        };
        contact.conversation_id = Some(new.to_owned());
        self.db.put_contact(&contact)?;
        let moved_to = contact_id.filter(|id| *id != contact.id);
        if let Some(new_contact) = moved_to {
            self.move_contact(&contact, new_contact)?;
            contact.id = new_contact.to_owned();
        }
        if let Some(chat) = self.chat_of_contact(&contact.id)? {
            self.mirror_chat(&chat.id, &chat.client_id, &contact)?;
        }
        Ok(())
    }

    /// A merge went into another contact: its clients follow, and of both contacts' chats the one
    /// that was written in last gets the replies.
    fn move_contact(&mut self, from: &Contact, to: &str) -> Result<(), Stop> {
        let chats = [self.leading_chat(&from.id)?, self.leading_chat(to)?];
        let leader = chats.into_iter().flatten().max_by_key(|chat| chat.heard_at);
        for client_id in self.db.lanes_of_contact(&from.id)? {
            if let Some(mut client) = self.db.client(&client_id)? {
                client.contact_id = Some(to.to_owned());
                self.db.put_client(&client)?;
            }
        }
        self.db.forget_contact(&from.id)?;
        Ok(self.db.put_contact(&Contact {
            id: to.to_owned(),
            conversation_id: from.conversation_id.clone(),
            chat_id: leader.map(|chat| chat.id),
        })?)
    }

    fn installed(&mut self, webhook: &Webhook) -> Result<(), Stop> {
        let Some(location_id) = &webhook.location_id else {
            return Ok(());
        };
        match self.connected_as() {
            Connected::Company => self.mint_for(location_id),
            // The tokens come by the callback, or from the agency.
            Connected::Location => Ok(()),
        }
    }

    /// The chat that a contact's replies go to, also while its first message is on its way.
    pub fn chat_of_contact(&self, contact_id: &str) -> Result<Option<Chat>, Stop> {
        if let Some(chat) = self.leading_chat(contact_id)? {
            return Ok(Some(chat));
        }
        for client_id in self.db.lanes_of_contact(contact_id)? {
            if let Some(chat) = self.db.latest_chat(&client_id)? {
                return Ok(Some(chat));
            }
        }
        Ok(None)
    }

    /// The chat that a contact's replies go to since a message of it arrived.
    pub fn leading_chat(&self, contact_id: &str) -> Result<Option<Chat>, Stop> {
        let Some(contact) = self.db.contact(contact_id)? else {
            return Ok(None);
        };
        match contact.chat_id {
            Some(chat_id) => Ok(self.db.chat(&chat_id)?),
            None => Ok(None),
        }
    }

    fn contact_of_conversation(&mut self, id: &str) -> Result<Option<Contact>, Stop> {
        if let Some(contact) = self.db.contact_of_conversation(id)? {
            return Ok(Some(contact));
        }
        self.restore_conversation(id)
    }

    /// Health shows that the loop brake tripped.
    pub fn note_brake(&mut self, why: &str) {
        self.pulse.last_error = Some(LastError {
            at: self.now,
            call: "loop brake".into(),
            status: None,
            message: why.to_owned(),
            trace_id: None,
        });
    }
}

impl Event {
    /// Whether it carries a message.
    fn is_message(&self) -> bool {
        matches!(self, Self::Reply(_) | Self::Outbound(_) | Self::Incoming(_))
    }
}

/// The lane of a contact's messages to vCX.
pub(super) fn vcx_lane(contact_id: &str) -> String {
    format!("vcx:{contact_id}")
}

/// The answer to a webhook.
pub(super) fn taken() -> Response {
    Response::json(200, &json!({ "received": true }))
}

/// Why an agent's message fails that had nothing in it but attachments that are not passed on.
pub(super) fn nothing_left() -> Reason {
    Reason::new(
        "no_public_url",
        "its attachments are not at public https URLs",
    )
}

/// The key of a message whose conversation nobody knows begins with this.
const UNMAPPED: &str = "unmapped:";
/// Why an agent's message to somebody without a vCX chat fails.
pub(super) const NO_CHAT: &str = "this contact has no vCX chat";
/// A body without any id is known again for this long.
const BODY_MEMORY: i64 = 600_000;
const HOLD: i64 = 60_000;
const HOLD_MORE: i64 = 5_000;

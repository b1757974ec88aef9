//! An event on its way to vCX, and the contact of an agent's message that we do not know yet.

use super::from_ghl::{NO_CHAT, nothing_left, vcx_lane};
use super::message::conversation_of;
use super::outbox::{PATIENCE, Reason};
use super::turn::{Field, Stop, Turn, text};
use super::work::{self, CallKind, Step, Work};
use crate::ghl;
use crate::ghl::answer::{Verdict, contact, field_value, retry_after};
use crate::ghl::webhook::Words;
use crate::http::{Outcome, Request};
use crate::map;
use crate::signature::event_id;
use crate::store::{Chat, Contact, Item, Stage};
use crate::vcx::{Event, Status};

impl Turn<'_> {
    /// Queues an event for vCX. `item_key` is what a repeat has in common, `id_key` what the
    /// event's id is made from.
    pub fn announce(
        &mut self,
        item_key: &str,
        lane: String,
        id_key: &str,
        event: Event,
    ) -> Result<(), Stop> {
        let work = text(&Work::event(id_key, &event));
        let item = Item::new(item_key.to_owned(), lane, Stage::Event, work, self.now);
        self.enqueue_once(item)
    }

    pub fn start_event(&mut self, item: Item, event: work::Event) -> Result<(), Stop> {
        let Some(url) = self.settings.webhook_url.clone() else {
            // Only a live client can take it, and says so by itself.
            let since = item.since.unwrap_or(item.accepted_at);
            if self.now - since < PATIENCE {
                return self.ready_at(item, &Step::default(), since + PATIENCE);
            }
            if event.message.is_none() {
                // Nobody listens, and nobody misses what no agent wrote.
                return self.finish(item);
            }
            let why = "no VCX_WEBHOOK_URL is set, and no live client took it within a day";
            return self.give_up(item, Reason::new("not_taken", why));
        };
        let id = event_id(&self.location.id, &event.name, &event.key);
        let timestamp = self.now / 1_000;
        let mut request = Request::new("POST", url)
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp.to_string())
            .json(event.body);
        if let (Some(secrets), Some(body)) = (&self.settings.webhook_secrets, &request.body) {
            let signature = secrets.sign(&id, timestamp, body.as_bytes());
            request = request.header("webhook-signature", signature);
        }
        self.launch(item, &Step::default(), CallKind::Event, request)
    }

    pub fn event_answered(
        &mut self,
        item: Item,
        step: &Step,
        outcome: &Outcome,
    ) -> Result<(), Stop> {
        let words = outcome.words();
        let (status, after) = match outcome {
            Outcome::Answered(response) => (Some(response.status), retry_after(response, self.now)),
            Outcome::TimedOut | Outcome::Dropped { .. } => (None, None),
        };
        if !matches!(status, Some(200..=299)) {
            let trail = item.trail(self.now);
            self.note_error(CallKind::Event.word(), outcome, &words, trail);
        }
        match status {
            Some(200..=299) => {
                self.pulse.last_to_vcx_at = Some(self.now);
                if let Work::Event(event) = item.work()?
                    && event.message.is_some()
                {
                    self.set_status(&item, Status::Delivered, None)?;
                }
                self.finish(item)
            }
            Some(400 | 413 | 422) => {
                let words = format!("vCX refused the event for good: {words}");
                self.give_up(item, Reason::new("refused", words))
            }
            Some(_) | None => {
                let words = format!("vCX did not take the event: {words}");
                self.put_off(item, step, Reason::new("vcx_failed", words), after)
            }
        }
    }

    /// An agent's message to a contact that we do not know: perhaps it carries our client id.
    pub fn start_reply(&mut self, mut item: Item, step: Step, words: &Words) -> Result<(), Stop> {
        if words.is_empty() {
            return self.give_up(item, nothing_left());
        }
        let contact_id = words.contact_id.clone().unwrap_or_default();
        if let Some(chat) = self.chat_of_contact(&contact_id)? {
            // A push has made it known meanwhile.
            return self.reply_to(item, words, &chat);
        }
        let request = if self.location.restored && !step.searched {
            let request = ghl::find_conversation(self.settings, &self.location.id, &contact_id);
            (CallKind::FindConversation, request)
        } else {
            (
                CallKind::ReadContact,
                ghl::read_contact(self.settings, &contact_id),
            )
        };
        item.contact_id = Some(contact_id);
        self.launch(item, &step, request.0, request.1)
    }

    /// The conversation of an unknown contact: KV may know its chat.
    pub fn reply_found(
        &mut self,
        item: Item,
        mut step: Step,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        let Work::Reply { words } = item.work()? else {
            return Ok(());
        };
        let contact_id = words.contact_id.clone().unwrap_or_default();
        step.searched = true;
        match verdict {
            Verdict::Taken(body) => {
                if let Some(id) = conversation_of(&body, &contact_id) {
                    self.restore_conversation(id)?;
                }
                self.ready_at(item, &step, self.now)
            }
            Verdict::Refused { .. } => self.ready_at(item, &step, self.now),
            other => {
                let reason = Reason::new("ghl_failed", other.words());
                let after = other.after();
                step.searched = false;
                self.put_off(item, &step, reason, after)
            }
        }
    }

    /// The contact itself: is it a vCX client's?
    pub fn reader_answered(
        &mut self,
        item: Item,
        step: Step,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        let Work::Reply { words } = item.work()? else {
            return Ok(());
        };
        let body = match verdict {
            Verdict::Taken(body) => body,
            Verdict::Refused { .. } => {
                return self.give_up(item, Reason::new("no_chat", NO_CHAT));
            }
            other => {
                return self.try_again(item, &step, &other);
            }
        };
        let field_id = match &self.location.field {
            Field::Known { id } => id.clone(),
            Field::Unknown | Field::Unavailable { .. } => String::new(),
        };
        let client_id = field_value(contact(&body), &field_id).map(str::to_owned);
        let chat = match client_id {
            Some(client_id) => self.latest_chat(&client_id)?,
            None => None,
        };
        let Some(chat) = chat else {
            return self.give_up(item, Reason::new("no_chat", NO_CHAT));
        };
        let contact_id = words.contact_id.clone().unwrap_or_default();
        self.db.put_contact(&Contact {
            id: contact_id,
            conversation_id: None,
            chat_id: Some(chat.id.clone()),
        })?;
        self.reply_to(item, &words, &chat)
    }

    /// The chat that the visitor last wrote in, as far as the client's contact knows it.
    fn latest_chat(&mut self, client_id: &str) -> Result<Option<Chat>, Stop> {
        let client = self.client_of(client_id)?;
        if let Some(contact_id) = &client.contact_id
            && let Some(chat) = self.chat_of_contact(contact_id)?
        {
            return Ok(Some(chat));
        }
        Ok(self.db.latest_chat(&client.id)?)
    }

    fn reply_to(&mut self, mut item: Item, words: &Words, chat: &Chat) -> Result<(), Stop> {
        let id = item.message_id().to_owned();
        let event = map::to_vcx(words, &self.location.id, chat, &id, self.now);
        let work = Work::event(&id, &event);
        item.set_work(&work);
        item.conversation_id = Some(chat.id.clone());
        self.show_reply(&item, &work)?;
        item.class = Stage::Event;
        item.tries = 0;
        item.since = None;
        let at = match self.settings.webhook_url {
            Some(_) => self.now,
            None => item.accepted_at + PATIENCE,
        };
        self.ready_at(item, &Step::default(), at)
    }

    /// Tells vCX that the location was connected.
    pub fn announce_connected(&mut self) -> Result<(), Stop> {
        let event = Event::LocationConnected {
            location_id: self.location.id.clone(),
            company_id: self.location.company_id.clone(),
            via: self.location.via.clone(),
            reference: self.location.reference.clone(),
            timestamp: self.now,
        };
        let key = self.now.to_string();
        self.announce(
            &format!("connected:{key}"),
            LOCATION_LANE.into(),
            &key,
            event,
        )
    }

    /// Tells vCX that the location was disconnected.
    pub fn announce_disconnected(&mut self, reason: &str) -> Result<(), Stop> {
        let event = Event::LocationDisconnected {
            location_id: self.location.id.clone(),
            reason: reason.to_owned(),
            timestamp: self.now,
        };
        let key = self.now.to_string();
        self.announce(
            &format!("disconnected:{key}"),
            LOCATION_LANE.into(),
            &key,
            event,
        )
    }

    /// Tells vCX that a message became a dead letter.
    pub fn announce_failed(&mut self, item: &Item, event: Event) -> Result<(), Stop> {
        // Once for each time it dies: a replay that dies again is told again.
        let key = format!("{}:{}", item.key, self.now);
        let lane = match &item.contact_id {
            Some(contact_id) => vcx_lane(contact_id),
            None => LOCATION_LANE.into(),
        };
        self.announce(&format!("failed:{key}"), lane, &key, event)
    }
}

const LOCATION_LANE: &str = "location";

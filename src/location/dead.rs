//! Dead letters: told to whoever wrote them, shown by health, replayed on request.

use super::outbox::Reason;
use super::turn::{Stop, Turn};
use super::work::{self, Step, Work};
use crate::error::{Code, Problem};
use crate::http::Response;
use crate::store::{Item, Stage};
use crate::vcx::{Direction, Event, Status};
use serde_json::{Value, json};

impl Turn<'_> {
    /// Tells the writer that a message will not arrive.
    pub fn tell_writer(&mut self, item: &Item, work: &Work, reason: &Reason) -> Result<(), Stop> {
        match work {
            Work::Message(message) => {
                let event = Event::MessageFailed {
                    location_id: self.location.id.clone(),
                    client_id: Some(message.client_id.clone()),
                    vcx_conversation_id: Some(message.chat_id.clone()),
                    message_id: message.message_id.clone(),
                    direction: Direction::ToGhl,
                    code: reason.code.into(),
                    reason: reason.words.clone(),
                    timestamp: self.now,
                };
                let (chat_id, id) = (&message.chat_id, &message.message_id);
                self.show_status(chat_id, id, Status::Failed, Some(reason))?;
                self.announce_failed(item, event)
            }
            Work::Event(work::Event {
                message: Some(message),
                ..
            }) => {
                let event = Event::MessageFailed {
                    location_id: self.location.id.clone(),
                    client_id: Some(message.client_id.clone()),
                    vcx_conversation_id: Some(message.chat_id.clone()),
                    message_id: message.message_id.clone(),
                    direction: Direction::ToVcx,
                    code: reason.code.into(),
                    reason: reason.words.clone(),
                    timestamp: self.now,
                };
                self.set_status(item, Status::Failed, Some(reason))?;
                self.announce_failed(item, event)
            }
            Work::Reply { words } | Work::Held { words } => {
                if words.message_id.is_some() {
                    self.set_status(item, Status::Failed, Some(reason))?;
                }
                Ok(())
            }
            // No recursion: that an event did not arrive is no event. Set-up work and statuses
            // have no writer.
            Work::Event(_)
            | Work::Contact
            | Work::Status { .. }
            | Work::Tag { .. }
            | Work::Details
            | Work::Field
            | Work::Mint { .. }
            | Work::List { .. }
            | Work::Grant { .. }
            | Work::Tell { .. }
            | Work::Unintelligible { .. } => Ok(()),
        }
    }

    /// Adds something as a dead letter at once.
    pub fn bury(&mut self, key: &str, work: String, reason: Reason) -> Result<(), Stop> {
        if self.db.has_key(key)? {
            return Ok(());
        }
        let mut item = Item::new(key.to_owned(), key.to_owned(), Stage::Event, work, self.now);
        item.seq = self.db.add(&item)?;
        self.give_up(item, reason)
    }

    /// `POST /locations/{id}/replay`.
    pub fn replay(&mut self, caller: &str, ids: Option<&[i64]>) -> Result<(), Stop> {
        let mut replayed = 0;
        for item in self.db.dead()? {
            let wanted = ids.is_none_or(|ids| ids.contains(&item.seq));
            if wanted && self.revive(item)? {
                replayed += 1;
            }
        }
        self.answer(
            caller,
            Response::json(200, &json!({ "replayed": replayed })),
        );
        Ok(())
    }

    /// Puts a dead letter behind everything that is queued. Some cannot be: what was not
    /// understood, and what has no chat to go to.
    fn revive(&mut self, mut item: Item) -> Result<bool, Stop> {
        let work = item.work()?;
        let class = match &work {
            Work::Held { words } => return self.incoming_again(&item, words),
            // Behind live messages; a doubt that it died with is looked up first.
            Work::Message(_) => Stage::Upkeep,
            Work::Event(_) => Stage::Event,
            Work::Reply { .. } => Stage::Live,
            Work::Contact
            | Work::Status { .. }
            | Work::Tag { .. }
            | Work::Details
            | Work::Field
            | Work::Mint { .. }
            | Work::List { .. }
            | Work::Grant { .. }
            | Work::Tell { .. }
            | Work::Unintelligible { .. } => return Ok(false),
        };
        let doubt = item.step()?.doubt;
        item.seq = self.db.move_to_end(item.seq)?;
        item.set_step(&Step {
            doubt,
            ..Step::default()
        });
        item.class = class;
        if item.is_braked() {
            self.show_reply(&item, &work)?;
        }
        (item.tries, item.since) = (0, None);
        if class == Stage::Event && self.settings.webhook_url.is_none() {
            // It waits for a live client for another day.
            item.since = Some(self.now);
        }
        (item.code, item.reason) = (None, None);
        if self.db.lane_head(&item.lane)?.is_some() {
            (item.stage, item.due) = (Stage::Behind, None);
        } else {
            (item.stage, item.due) = (class, Some(self.now));
        }
        self.db.put(&item);
        Ok(true)
    }

    /// A dead letter as health shows it.
    pub fn dead_letter(&self, item: &Item) -> Value {
        let (direction, message_id) = match item.work() {
            Ok(Work::Message(message)) => (Direction::ToGhl, Some(message.message_id)),
            Ok(Work::Event(event)) => {
                let id = event.message.map(|message| message.message_id);
                (Direction::ToVcx, id)
            }
            Ok(Work::Reply { words } | Work::Held { words }) => {
                (Direction::ToVcx, words.message_id)
            }
            // A push over which the code trapped, if it was one.
            Ok(_) | Err(_) => match item.key.strip_prefix("trapped:out:") {
                Some(id) => (Direction::ToGhl, Some(id.to_owned())),
                None => (Direction::ToVcx, None),
            },
        };
        json!({
            "id": item.seq,
            "direction": direction,
            "messageId": message_id,
            "reason": item.reason,
            "code": item.code,
            "at": item.accepted_at,
        })
    }

    /// Answers that the code has a fault.
    pub fn answer_internal(&mut self, caller: &str) {
        let detail = "an error of our own; nothing was stored, it is safe to repeat";
        self.answer(caller, Problem::new(Code::Internal, detail).response());
    }
}

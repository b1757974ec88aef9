//! A message on its way to GHL: the one call, and the look before it is made again.

use super::contact::{Target, lane_client};
use super::outbox::Reason;
use super::turn::{Stop, Turn};
use super::work::{CallKind, Message, Step};
use crate::ghl::answer::{Verdict, logged, messages, text};
use crate::ghl::webhook::millis;
use crate::ghl::{self, InboxMessage};
use crate::http::Response;
use crate::map;
use crate::store::Item;
use crate::vcx::Status;
use serde_json::{Value, json};

impl Turn<'_> {
    pub fn start_message(
        &mut self,
        mut item: Item,
        mut step: Step,
        message: &Message,
    ) -> Result<(), Stop> {
        if step.doubt.is_some() {
            return self.look(item, step);
        }
        let Target {
            contact_id,
            conversation_id,
        } = match self.resolve(&mut item, &mut step, Some(message))? {
            Some(target) => target,
            None => return Ok(()),
        };
        let request = ghl::log_message(
            self.settings,
            &InboxMessage {
                contact_id: &contact_id,
                conversation_id: conversation_id.as_deref(),
                ..map::to_ghl(message, &self.settings.provider_id)
            },
        );
        item.contact_id = Some(contact_id);
        item.conversation_id = conversation_id;
        self.launch(item, &step, CallKind::Send, request)
    }

    pub fn send_answered(
        &mut self,
        mut item: Item,
        mut step: Step,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        let super::work::Work::Message(message) = item.work()? else {
            return Ok(());
        };
        let contact_id = item.contact_id.clone().unwrap_or_default();
        match verdict {
            Verdict::Taken(body) => match logged(&body) {
                Some((id, conversation)) => {
                    self.sent(item, &message, &contact_id, id, conversation)
                }
                // GHL answers 2xx and stores nothing when it does not like the provider
                // (FACTS §7.3); that nothing was stored is looked up all the same.
                None => {
                    let words = format!("GHL took it without a messageId; {}", self.provider());
                    let step = step.doubting(&item, false);
                    self.doubt(item, &step, words, None)
                }
            },
            Verdict::Unclear { silent, why, after } => {
                let words = match silent {
                    true => why,
                    false => format!("GHL answered {why}; if that lasts, {}", self.provider()),
                };
                let step = step.doubting(&item, silent);
                self.doubt(item, &step, words, after)
            }
            Verdict::Refused {
                status: 400 | 404,
                why,
                ..
            } if step.forgot.is_none() && names_mapping(&why) => {
                self.db.forget_contact(&contact_id)?;
                step = Step {
                    forgot: Some(contact_id),
                    ..Step::default()
                };
                item.sent_at = None;
                (item.contact_id, item.conversation_id) = (None, None);
                self.ready_at(item, &step, self.now)
            }
            Verdict::Refused { status, why, .. } => {
                item.sent_at = None;
                let words = format!("GHL refused it for good with {status}: {why}");
                self.give_up(item, Reason::new("refused", words))
            }
            other => {
                item.sent_at = None;
                let after = other.after();
                self.put_off(item, &step, Reason::new("ghl_failed", other.words()), after)
            }
        }
    }

    /// The message is in GHL.
    pub fn sent(
        &mut self,
        mut item: Item,
        message: &Message,
        contact_id: &str,
        ghl_id: &str,
        conversation_id: Option<&str>,
    ) -> Result<(), Stop> {
        self.pulse.last_to_ghl_at = Some(self.now);
        let known = item.conversation_id.take();
        item.conversation_id = conversation_id.map(str::to_owned).or(known);
        item.contact_id = Some(contact_id.to_owned());
        item.ghl_id = Some(ghl_id.to_owned());
        self.map_chat(message, contact_id, item.conversation_id.as_deref())?;
        self.settle_contact(&item.lane)?;
        let (chat_id, id) = (&message.chat_id, &message.message_id);
        self.show_status(chat_id, id, Status::Delivered, None)?;
        if let Some(caller) = item.caller.take() {
            self.answer(&caller, sent_response(&item));
        }
        self.finish(item)
    }

    /// It may or may not be in GHL: look before it is sent again.
    pub fn doubt(
        &mut self,
        mut item: Item,
        step: &Step,
        words: String,
        after: Option<i64>,
    ) -> Result<(), Stop> {
        let sent_at = item.sent_at.unwrap_or(self.now);
        item.code = Some("ghl_unclear".into());
        item.reason = Some(words);
        item.tries += 1;
        let at = first_look(sent_at, self.now).max(self.now + after.unwrap_or(0));
        self.ready_at(item, step, at)
    }

    fn look(&mut self, item: Item, mut step: Step) -> Result<(), Stop> {
        let client = self.client_of(lane_client(&item.lane))?;
        let Some(doubt) = &mut step.doubt else {
            return Ok(());
        };
        if doubt.before.is_none() {
            doubt.look_at = self.now;
        }
        let request = match &doubt.conversation_id {
            Some(id) => {
                let request = ghl::list_messages(self.settings, id, doubt.before.as_deref());
                (CallKind::Look, request)
            }
            None => {
                // A merge may have moved it to another contact.
                if let Some(contact_id) = client.contact_id {
                    doubt.contact_id = contact_id;
                }
                let id = &self.location.id;
                let request = ghl::find_conversation(self.settings, id, &doubt.contact_id);
                (CallKind::FindConversation, request)
            }
        };
        self.launch(item, &step, request.0, request.1)
    }

    pub fn look_answered(
        &mut self,
        mut item: Item,
        mut step: Step,
        kind: CallKind,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        let super::work::Work::Message(message) = item.work()? else {
            return self.reply_found(item, step, verdict);
        };
        let Some(mut doubt) = step.doubt.take() else {
            return Ok(());
        };
        let body = match verdict {
            Verdict::Taken(body) => body,
            // The conversation is gone, or goes on under another id with all that was in it: its
            // contact tells.
            Verdict::Refused {
                status: 404, why, ..
            } if kind == CallKind::Look => {
                (doubt.conversation_id, doubt.before) = (None, None);
                step.doubt = Some(doubt);
                let reason = Reason::new("ghl_unclear", format!("GHL answered 404: {why}"));
                return self.put_off(item, &step, reason, None);
            }
            Verdict::Refused { status: 404, .. } => Value::Null,
            other => {
                let reason = Reason::new("ghl_unclear", other.words());
                let after = other.after();
                step.doubt = Some(doubt);
                return self.put_off(item, &step, reason, after);
            }
        };
        if kind == CallKind::FindConversation {
            if let Some(id) = conversation_of(&body, &doubt.contact_id) {
                doubt.conversation_id = Some(id.to_owned());
                step.doubt = Some(doubt);
                return self.look(item, step);
            }
        } else {
            let (list, more) = messages(&body);
            let direction = map::direction(message.from_user);
            let mine = list.iter().find(|found| {
                found["altId"] == json!(message.message_id)
                    && found["direction"] == json!(direction)
            });
            if let Some(id) = mine.and_then(|found| text(found, &["/id", "/messageId"])) {
                let (id, contact) = (id.to_owned(), doubt.contact_id.clone());
                let conversation = doubt.conversation_id.clone();
                return self.sent(item, &message, &contact, &id, conversation.as_deref());
            }
            let oldest = list.last();
            let date = oldest.and_then(|found| millis(text(found, &["/dateAdded"])?));
            let last_id = oldest.and_then(|found| text(found, &["/id"]));
            if more
                && date.is_none_or(|date| date >= message.date)
                && last_id != doubt.before.as_deref()
            {
                doubt.before = last_id.map(str::to_owned);
                step.doubt = Some(doubt);
                return self.ready_at(item, &step, self.now);
            }
        }
        let sent_at = item.sent_at.unwrap_or(self.now);
        let believed_after = if doubt.silent { SILENT } else { ANSWERED };
        if doubt.look_at >= sent_at + believed_after {
            // It is not there, and by now it would be.
            item.sent_at = None;
            let reason = Reason::new("ghl_unclear", item.reason.clone().unwrap_or_default());
            item.tries -= 1;
            return self.put_off(item, &step, reason, None);
        }
        doubt.before = None;
        step.doubt = Some(doubt);
        self.ready_at(item, &step, next_look(sent_at, self.now))
    }

    /// What to check when GHL takes messages and does not store them.
    fn provider(&self) -> String {
        format!(
            "check that GHL_PROVIDER_ID {} is this app's conversation provider",
            self.settings.provider_id
        )
    }

    /// A caller has waited for its time.
    pub fn waited(&mut self, caller: &str, seq: i64) -> Result<(), Stop> {
        let Some(mut item) = self.db.item(seq)? else {
            return Ok(());
        };
        if item.caller.as_deref() != Some(caller) {
            return Ok(());
        }
        item.caller = None;
        self.db.put(&item);
        let reason = self.parked().or(item.reason.clone());
        self.answer_later(caller, &item, reason.as_deref())
    }

    /// Answers that an item is here, and not done.
    pub fn answer_later(
        &mut self,
        caller: &str,
        item: &Item,
        reason: Option<&str>,
    ) -> Result<(), Stop> {
        let response = match item.work()? {
            super::work::Work::Contact => contact_later(reason.map(str::to_owned)),
            _ => queued_response(item, reason),
        };
        self.answer(caller, response);
        Ok(())
    }
}

impl Verdict {
    /// GHL's words, or what happened instead of an answer.
    pub fn words(&self) -> String {
        match self {
            Self::Taken(_) => "taken".into(),
            Self::Refused { status, why, .. } | Self::Failed { status, why, .. } => {
                format!("GHL answered {status}: {why}")
            }
            Self::TooMany { .. } => "GHL's rate limit".into(),
            Self::Expired { why } => format!("GHL answered 401: {why}"),
            Self::NotActive => "GHL says the location is not active".into(),
            Self::Unclear { why, .. } => why.clone(),
        }
    }

    /// What `Retry-After` said.
    pub fn after(&self) -> Option<i64> {
        match self {
            Self::TooMany { after } | Self::Failed { after, .. } | Self::Unclear { after, .. } => {
                *after
            }
            Self::Taken(_) | Self::Refused { .. } | Self::Expired { .. } | Self::NotActive => None,
        }
    }
}

/// The answer for a message that GHL has.
pub(super) fn sent_response(item: &Item) -> Response {
    Response::json(
        200,
        &json!({
            "status": "sent",
            "messageId": item.message_id(),
            "contactId": item.contact_id,
            "conversationId": item.conversation_id,
            "ghlMessageId": item.ghl_id,
        }),
    )
}

/// The answer for a message that we have and GHL has not.
pub(super) fn queued_response(item: &Item, reason: Option<&str>) -> Response {
    let mut body = json!({ "status": "queued", "messageId": item.message_id() });
    if let Some(reason) = reason {
        body["reason"] = json!(reason);
    }
    Response::json(202, &body)
}

fn contact_later(reason: Option<String>) -> Response {
    let why = reason.unwrap_or_else(|| "GHL has not answered yet".into());
    crate::error::Problem::new(crate::error::Code::Unavailable, why).response()
}

/// Whether a refusal is about the contact or the conversation, not about the message.
fn names_mapping(why: &str) -> bool {
    let why = why.to_ascii_lowercase();
    (why.contains("contact") || why.contains("conversation")) && !why.contains("provider")
}

/// A contact's conversation in the answer of a search.
pub(super) fn conversation_of<'a>(body: &'a Value, contact_id: &str) -> Option<&'a str> {
    let list = body["conversations"].as_array()?;
    let found = list.iter().find(|found| found["contactId"] == contact_id)?;
    text(found, &["/id"])
}

/// The first look after a send; what the schedule missed while the call was out is made up for.
fn first_look(sent_at: i64, now: i64) -> i64 {
    now.max(sent_at + LOOKS[0])
}

/// The look after one that found nothing.
fn next_look(sent_at: i64, now: i64) -> i64 {
    let later = LOOKS
        .iter()
        .map(|after| sent_at + after)
        .find(|at| *at > now);
    later.unwrap_or(now + LOOKS[0])
}

/// When a message that may be in GHL is looked for, after it was sent.
const LOOKS: [i64; 4] = [2_000, 5_000, 12_000, 30_000];
/// "Not found" is believed this long after a call that was never answered.
const SILENT: i64 = 30_000;
/// ... and this long after one that was answered with a 5xx.
const ANSWERED: i64 = 5_000;

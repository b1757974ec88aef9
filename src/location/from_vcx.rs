//! What vCX sends: accepted once, stored, answered.

use super::contact::{HOLD, lane};
use super::message::{queued_response, sent_response};
use super::outbox::Reason;
use super::turn::{Stop, Turn, text};
use super::work::{Message, Work};
use crate::error::{Code, Problem};
use crate::http::Response;
use crate::map::direction;
use crate::signature::{digest, hex};
use crate::store::{Chat, Client, Contact, Head, Item, Stage};
use crate::vcx::{Push, Status, StatusAsk};
use serde_json::json;

impl Turn<'_> {
    /// `POST /push-message`.
    pub fn push(&mut self, caller: &str, push: &Push) -> Result<(), Stop> {
        if !self.accepts(caller) {
            return Ok(());
        }
        let message_id = id_of(push);
        let key = format!("out:{message_id}");
        let fingerprint = fingerprint(push);
        if let Some(item) = self.db.item_by_key(&key)? {
            return self.pushed_again(caller, &item, &fingerprint);
        }
        let pace = match push.by_session {
            true => Some(self.pace_of(&push.vcx_conversation_id)?),
            false => None,
        };
        if let Some(Pace { until, pushes }) = pace
            && pushes >= PUSHES
        {
            let detail = format!("a browser may push {PUSHES} messages a minute into a chat");
            let wait = (until - self.now + 999) / 1_000;
            let response = Problem::new(Code::TooManyRequests, detail).response();
            self.answer(caller, response.header("retry-after", wait.to_string()));
            return Ok(());
        }
        self.restore_chat(&push.vcx_conversation_id)?;
        let (chat, mut client, maps) = self.chat_of(push)?;
        if let Some(Pace { until, pushes }) = pace {
            self.db.put_pace(&chat.id, until - MINUTE, pushes + 1)?;
        }
        if self.brake(&mut client, &push.body, Side::Said) {
            return self.push_braked(caller, &client, &message_id);
        }
        // GHL shows by date: never in the future, never before what came earlier.
        let date = push.timestamp.min(self.now).max(client.last_date + 1);
        client.last_date = date;
        client.wanted.absorb(&push.details);
        self.db.put_client(&client)?;

        let message = Message {
            message_id,
            client_id: push.client_id.clone(),
            chat_id: chat.id,
            from_user: push.from_user,
            body: push.body.clone(),
            attachments: push.attachments.clone(),
            date,
            maps,
        };
        self.show_push(push, &message)?;
        let work = text(&Work::Message(message));
        let mut item = Item::new(key, lane(&client.id), Stage::Live, work, self.now);
        item.digest = Some(fingerprint);
        let ahead = self.db.lane_head(&item.lane)?;
        let waits = self.parked().or_else(|| match &ahead {
            Some(head) => self.stuck(head),
            None => self.rate_limited(HOLD),
        });
        match waits {
            Some(reason) => {
                self.answer(caller, queued_response(&item, Some(&reason)));
                self.enqueue_behind(item, ahead.as_ref())?;
            }
            None => {
                item.caller = Some(caller.to_owned());
                let seq = self.enqueue_behind(item, ahead.as_ref())?;
                self.hold(caller, seq);
            }
        }
        Ok(())
    }

    /// How many messages a chat's browser has pushed in the minute that it is in. It begins with
    /// a push: whoever has used it up gets all of the next one.
    fn pace_of(&self, chat_id: &str) -> Result<Pace, Stop> {
        let known = self.db.pace(chat_id)?;
        let (from, pushes) = known
            .filter(|(from, _)| self.now - from < MINUTE)
            .unwrap_or((self.now, 0));
        Ok(Pace {
            until: from + MINUTE,
            pushes,
        })
    }

    /// A repeat is answered with how things are today, and changes nothing.
    fn pushed_again(&mut self, caller: &str, item: &Item, print: &str) -> Result<(), Stop> {
        let response = if item.digest.as_deref() != Some(print) {
            let detail = format!(
                "messageId {} was used for another message",
                item.message_id()
            );
            Problem::new(Code::MessageIdConflict, detail).response()
        } else {
            match item.stage {
                Stage::Done => sent_response(item),
                Stage::Dead => {
                    let reason = item.reason.clone().unwrap_or_default();
                    Problem::new(Code::Rejected, reason)
                        .with("messageId", item.message_id())
                        .response()
                }
                _ => {
                    let parked = self.parked();
                    queued_response(item, parked.as_deref().or(item.reason.as_deref()))
                }
            }
        };
        self.answer(caller, response);
        Ok(())
    }

    /// The chat, the client whose contact it uses, and whether that is news to KV.
    fn chat_of(&mut self, push: &Push) -> Result<(Chat, Client, bool), Stop> {
        let known = self.db.chat(&push.vcx_conversation_id)?;
        let is_news = known
            .as_ref()
            .is_none_or(|chat| chat.client_id != push.client_id);
        let chat = match known {
            Some(mut chat) => {
                if chat.client_id != push.client_id {
                    // The visitor logged in: the chat keeps its contact.
                    self.alias(&push.client_id, &chat.lane)?;
                    chat.client_id.clone_from(&push.client_id);
                    self.db.put_chat(&chat)?;
                }
                chat
            }
            None => {
                let owner = self.client_of(&push.client_id)?;
                let chat = Chat {
                    id: push.vcx_conversation_id.clone(),
                    client_id: push.client_id.clone(),
                    lane: owner.id,
                    heard_at: 0,
                };
                self.db.put_chat(&chat)?;
                chat
            }
        };
        let client = self.client_of(&chat.lane)?;
        let mut maps = is_news;
        match &client.contact_id {
            Some(contact_id) => maps |= self.lead(contact_id, &chat, push.from_user)?,
            // Once the contact is known, what was accepted last decides.
            None if push.from_user => self.hear(&chat, self.db.latest_chat(&chat.lane)?)?,
            None => {}
        }
        Ok((chat, client, maps))
    }

    /// Makes a chat the one that replies to a contact go to, if the visitor writes in it. Says
    /// whether that changed something.
    fn lead(&mut self, contact_id: &str, chat: &Chat, from_user: bool) -> Result<bool, Stop> {
        let contact = self.db.contact(contact_id)?;
        let mut contact = contact.unwrap_or_else(|| Contact {
            id: contact_id.to_owned(),
            conversation_id: None,
            chat_id: None,
        });
        let leads = contact.chat_id.as_deref() == Some(&chat.id);
        if leads || (contact.chat_id.is_some() && !from_user) {
            return Ok(false);
        }
        self.hear(chat, self.leading_chat(contact_id)?)?;
        contact.chat_id = Some(chat.id.clone());
        self.db.put_contact(&contact)?;
        Ok(true)
    }

    /// Notes that the visitor writes in a chat now, and no longer in another.
    fn hear(&self, chat: &Chat, other: Option<Chat>) -> Result<(), Stop> {
        let heard_at = other.map_or(self.now, |other| self.now.max(other.heard_at + 1));
        let chat = Chat {
            heard_at,
            ..chat.clone()
        };
        Ok(self.db.put_chat(&chat)?)
    }

    /// A client that was never heard of becomes another name for one that was.
    fn alias(&mut self, client_id: &str, lane: &str) -> Result<(), Stop> {
        if client_id != lane && self.db.client(client_id)?.is_none() {
            self.db.put_client(&Client::new(client_id, lane))?;
        }
        Ok(())
    }

    /// Notes what a delivered message shows: where the contact's chat and conversation are.
    pub fn map_chat(
        &mut self,
        message: &Message,
        contact_id: &str,
        conversation_id: Option<&str>,
    ) -> Result<(), Stop> {
        let Some(mut contact) = self.db.contact(contact_id)? else {
            return Ok(());
        };
        let maps = message.maps || contact.chat_id.is_none();
        let leader = match maps {
            true => self.new_leader(message, &contact)?,
            false => None,
        };
        let leads = leader.is_some();
        if leads {
            contact.chat_id = leader;
        }
        let moved =
            conversation_id.is_some() && contact.conversation_id.as_deref() != conversation_id;
        if moved {
            contact.conversation_id = conversation_id.map(str::to_owned);
        }
        if leads || moved {
            self.db.put_contact(&contact)?;
        }
        if maps || moved {
            self.mirror_chat(&message.chat_id, &message.client_id, &contact)?;
        }
        Ok(())
    }

    /// The chat that a contact's replies go to from now on, if a message has made the contact known
    /// to its client: the one that the visitor wrote in last, here or as another client.
    fn new_leader(&self, message: &Message, contact: &Contact) -> Result<Option<String>, Stop> {
        let Some(chat) = self.db.chat(&message.chat_id)? else {
            return Ok(None);
        };
        let latest = self.db.latest_chat(&chat.lane)?;
        let latest = latest.filter(|latest| latest.heard_at > 0).unwrap_or(chat);
        match self.leading_chat(&contact.id)? {
            Some(leader) if leader.lane == latest.lane => Ok(None),
            Some(leader) if leader.heard_at > latest.heard_at => Ok(None),
            Some(_) | None => Ok(Some(latest.id)),
        }
    }

    /// Why a new message behind this one cannot be at GHL soon; none if it can.
    fn stuck(&self, head: &Head) -> Option<String> {
        let waits = match head.stage {
            Stage::Live | Stage::Event | Stage::Status | Stage::Upkeep => {
                head.due.is_some_and(|due| due > self.now)
            }
            Stage::Field => {
                return Some("the custom field for vCX's client ids is being set up".into());
            }
            Stage::Flight | Stage::Behind | Stage::Held | Stage::Done | Stage::Dead => false,
        };
        if !waits {
            return self.rate_limited(RATE_PATIENCE);
        }
        let reason = self
            .db
            .item(head.seq)
            .ok()
            .flatten()
            .and_then(|item| item.reason);
        Some(reason.unwrap_or_else(|| "an earlier message of the chat is still on its way".into()))
    }

    /// Why nothing can go for longer than `patience`, if GHL's limit holds everything back.
    fn rate_limited(&self, patience: i64) -> Option<String> {
        let free = self.pulse.rate.free_at(self.now);
        (free > self.now + patience).then(|| "GHL's rate limit is used up for now".into())
    }

    /// `POST /message-status`.
    pub fn status_asked(&mut self, caller: &str, ask: &StatusAsk) -> Result<(), Stop> {
        if !self.accepts(caller) {
            return Ok(());
        }
        let is_meant = |item: &Item| {
            let chat = ask.only_chat.as_ref();
            chat.is_none_or(|chat| item.conversation_id.as_ref() == Some(chat))
        };
        let item = self.db.item_by_key(&format!("in:{}", ask.message_id))?;
        // Of another chat's messages a browser learns no more than of those that are not there.
        let Some(item) = item.filter(is_meant) else {
            let detail = format!("message {} never went to vCX from here", ask.message_id);
            self.answer(
                caller,
                Problem::new(Code::UnknownMessage, detail).response(),
            );
            return Ok(());
        };
        let reason = (ask.status == Status::Failed).then(|| {
            let words = ask.error.as_deref().unwrap_or("vCX could not show it");
            Reason {
                code: "not_shown",
                words: words.to_owned(),
            }
        });
        let status = self.set_status(&item, ask.status, reason.as_ref())?;
        let body = json!({ "messageId": ask.message_id, "status": Status::as_str(status) });
        self.answer(caller, Response::json(200, &body));
        if ask.status >= Status::Delivered {
            self.settle_live(item)?;
        }
        Ok(())
    }

    /// Whether two sides went on with the same texts too long and too fast to be people: the loop
    /// brake. Only an answer counts, so that nobody is stopped for repeating himself, and what is
    /// new counts against it. Several loops at a time in one chat are one.
    pub fn brake(&mut self, client: &mut Client, body: &str, side: Side) -> bool {
        let hash = hex(&digest(&[body.as_bytes()])[..8]);
        let (mine, theirs) = match side {
            Side::Said => (&mut client.said, &mut client.heard),
            Side::Heard => (&mut client.heard, &mut client.said),
        };
        let is_known = |texts: &Option<String>| {
            let texts = texts.as_deref().unwrap_or_default();
            texts
                .trim_start_matches(ANSWERED)
                .split(' ')
                .any(|text| text == hash)
        };
        let repeats = is_known(mine) || is_known(theirs);
        let unanswered = theirs.take_if(|texts| !texts.starts_with(ANSWERED));
        let answers = unanswered.is_some();
        if let Some(texts) = unanswered {
            *theirs = Some(format!("{ANSWERED}{texts}"));
        }
        let before = mine.take().unwrap_or_default();
        let before = before.trim_start_matches(ANSWERED).split(' ');
        let texts: Vec<&str> = [hash.as_str()]
            .into_iter()
            .chain(before)
            .take(TEXTS)
            .collect();
        *mine = Some(texts.join(" ").trim_end().to_owned());
        let fast = self.now - client.echo_at < ECHO_PAUSE;
        match (repeats, answers) {
            (false, _) => client.echoes = (client.echoes - 1).max(0),
            (true, false) => {}
            (true, true) => {
                client.echoes = if fast { client.echoes + 1 } else { 1 };
                client.echo_at = self.now;
            }
        }
        repeats && fast && client.echoes > ECHOES
    }

    fn push_braked(&mut self, caller: &str, client: &Client, id: &str) -> Result<(), Stop> {
        self.db.put_client(client)?;
        self.log(
            "error",
            "loop_brake",
            json!({ "side": "vcx", "messageId": id }),
        );
        let detail = "vCX and GHL keep answering each other with the same texts, so this one is not \
                      passed on; find the bot or workflow that repeats itself";
        self.note_brake(detail);
        let problem = Problem::new(Code::Rejected, detail).with("messageId", id);
        self.answer(caller, problem.response());
        Ok(())
    }
}

/// A minute of a chat's browser.
#[derive(Clone, Copy)]
struct Pace {
    /// When it ends.
    until: i64,
    /// Messages pushed in it.
    pushes: i64,
}

/// Which side a text came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// vCX said it.
    Said,
    /// vCX is to hear it.
    Heard,
}

/// The id of a message; a derived one if vCX gave none.
pub fn id_of(push: &Push) -> String {
    if let Some(id) = &push.message_id {
        return id.clone();
    }
    let attachments = text(&push.attachments);
    let timestamp = push.timestamp.to_string();
    let hash = digest(&[
        push.vcx_conversation_id.as_bytes(),
        direction(push.from_user).as_bytes(),
        timestamp.as_bytes(),
        push.body.as_bytes(),
        attachments.as_bytes(),
    ]);
    format!("vcx_{}", hex(&hash[..16]))
}

/// What a repeat must have in common with the message.
fn fingerprint(push: &Push) -> String {
    let attachments = text(&push.attachments);
    let hash = digest(&[
        push.client_id.as_bytes(),
        push.vcx_conversation_id.as_bytes(),
        direction(push.from_user).as_bytes(),
        push.body.as_bytes(),
        attachments.as_bytes(),
    ]);
    hex(&hash[..16])
}

/// A rate limit that holds a chat back for longer than this makes its next message wait.
const RATE_PATIENCE: i64 = 1_000;
/// Begins the hashes of a side's latest texts, newest first, when the other side has answered.
const ANSWERED: &str = ".";
/// Messages that a browser may push into its chat in a minute: more than a person writes.
const PUSHES: i64 = 30;
const MINUTE: i64 = 60_000;
/// Texts of a side that are remembered.
const TEXTS: usize = 16;
/// Answers in a row, each soon after the one before, that trip the brake.
const ECHOES: i64 = 10;
const ECHO_PAUSE: i64 = 60_000;

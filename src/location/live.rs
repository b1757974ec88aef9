//! The live end: what browsers that listen to a conversation are told, as it happens, and what
//! they acknowledge. What they are told is on disk, for those that come back after a while; where
//! each socket stands is with the socket.
//!
//! Nothing waits for a live client: an event is written in the turn that it tells of, and each
//! socket is fed in a turn of its own.

use super::Output;
use super::outbox::Reason;
use super::turn::{Stop, Turn, text};
use super::work::{Message, Work};
use crate::http::Response;
use crate::signature::{digest, hex};
use crate::store::{Item, NEVER, Stage};
use crate::vcx::{Event, Push, Status};
use crate::wire::record;
use serde_json::{Value, json};

/// What a live client listens to, as its session allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// vCX's conversation.
    pub conversation: String,
    /// When the session ends, in milliseconds.
    pub expires_at: i64,
    /// The last event it knows; 0 if it wants all that are kept, none if only what is new.
    pub after: Option<i64>,
}

/// Where a socket stands. The host keeps it with the socket and does not look inside; the platform
/// gives it 2 KB, two for each character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The socket's own tag.
    pub socket: String,
    /// vCX's conversation.
    pub conversation: String,
    /// When the session ends, in milliseconds.
    pub expires_at: i64,
    /// The last event that it was told.
    pub sent: i64,
    /// The last event that it has acknowledged.
    pub acked: i64,
    /// Where it began.
    pub began: i64,
    /// How many are between them.
    pub out: i64,
    /// Whether it has been told everything: from then on it must keep up.
    pub caught_up: bool,
}

impl Turn<'_> {
    /// `GET /events`, its session verified.
    pub fn listen(&mut self, caller: &str, listen: &Listen) -> Result<(), Stop> {
        if !self.accepts(caller) {
            return Ok(());
        }
        let newest = self.newest_event()?;
        let mut from = newest;
        let (kind, at) = match listen.after {
            None => ("ready", newest),
            Some(after) => {
                from = self.oldest_event(&listen.conversation)?;
                if after == 0 || (from..=newest.max(self.now)).contains(&after) {
                    from = from.max(after);
                    ("ready", after)
                } else {
                    let first = self.db.events_after(&listen.conversation, from, 1)?;
                    from = first.first().map_or(newest.max(from), |(id, _)| id - 1);
                    ("reset", from)
                }
            }
        };
        let resumes = listen.after.is_some() && kind == "ready";
        let random: [u8; 16] = self.random();
        let mut cursor = Cursor {
            socket: hex(&random),
            conversation: listen.conversation.clone(),
            expires_at: listen.expires_at,
            sent: from,
            // What it acknowledged on the socket before may have been lost with that.
            acked: if resumes { 0 } else { from },
            began: from,
            out: 0,
            caught_up: false,
        };
        let mut frames = vec![text(&json!({ "type": kind, "id": at }))];
        frames.extend(self.next_frames(&mut cursor)?.unwrap_or_default());
        self.db.add_listener(&cursor.socket, cursor.expires_at)?;
        self.wake_at(cursor.expires_at);
        self.out.push(Output::Accept {
            caller: caller.to_owned(),
            response: Response {
                status: 101,
                headers: [("sec-websocket-protocol".into(), PROTOCOL.into())].into(),
                body: String::new(),
            },
            tags: vec![
                cursor.socket.clone(),
                tag(&self.location.id, &cursor.conversation),
            ],
            cursor,
            frames,
        });
        Ok(())
    }

    /// A frame from a live client: an acknowledgement.
    pub fn heard(&mut self, mut cursor: Cursor, text: Option<&str>) -> Result<(), Stop> {
        let Some(ack) = text.and_then(acknowledged) else {
            let words = "the frames to send are {\"ack\": id} and ping";
            return self.hang_up(&cursor, PROTOCOL_BREACH, words);
        };
        let ack = ack.min(cursor.sent);
        if ack > cursor.acked {
            let mut out = 0;
            let (acked, sent) = (cursor.acked, cursor.sent);
            for (id, message) in self.db.events_between(&cursor.conversation, acked, sent)? {
                match message {
                    Some(message_id) if id <= ack => self.taken_live(&message_id)?,
                    Some(_) | None => {}
                }
                out += i64::from(id > ack.max(cursor.began));
            }
            (cursor.acked, cursor.out) = (ack, out);
        }
        self.flush(cursor)
    }

    /// Tells a live client what it may be told now.
    pub fn flush(&mut self, mut cursor: Cursor) -> Result<(), Stop> {
        if cursor.expires_at <= self.now {
            return self.hang_up(&cursor, EXPIRED, SESSION_OVER);
        }
        let Some(frames) = self.next_frames(&mut cursor)? else {
            let words = format!("more than {WINDOW} events are not acknowledged");
            return self.hang_up(&cursor, TOO_SLOW, &words);
        };
        self.out.push(Output::Send {
            socket: cursor.socket.clone(),
            cursor,
            frames,
        });
        Ok(())
    }

    /// A live client's socket is closed.
    pub fn closed(&mut self, cursor: &Cursor) -> Result<(), Stop> {
        Ok(self.db.remove_listener(&cursor.socket, cursor.expires_at)?)
    }

    /// The code trapped over a socket: that one is closed, and its client comes back.
    pub fn trapped_live(&mut self, cursor: &Cursor) -> Result<(), Stop> {
        self.hang_up(cursor, FAULT, "an error of our own; nothing is lost")
    }

    /// Closes the sockets whose sessions are over, and lets old events go.
    pub fn tend_live(&mut self) -> Result<(), Stop> {
        for socket in self.db.expired_listeners(self.now)? {
            self.close_socket(socket, EXPIRED, SESSION_OVER);
        }
        Ok(self.db.trim_events(self.now - MEMORY)?)
    }

    /// Nobody may listen here any more.
    pub fn close_all(&mut self, why: &str) -> Result<(), Stop> {
        for socket in self.db.expired_listeners(NEVER)? {
            self.close_socket(socket, GONE, why);
        }
        Ok(())
    }

    /// Tells a chat's live clients of a message that was accepted for GHL: other tabs show it.
    pub fn show_push(&mut self, push: &Push, message: &Message) -> Result<(), Stop> {
        if !self.feeds() {
            return Ok(());
        }
        let event = Event::MessageCreated {
            location_id: self.location.id.clone(),
            client_id: message.client_id.clone(),
            vcx_conversation_id: message.chat_id.clone(),
            message_id: message.message_id.clone(),
            from_user: message.from_user,
            body: message.body.clone(),
            timestamp: push.timestamp,
            attachments: message.attachments.clone(),
            user_id: None,
        };
        self.publish(&message.chat_id, None, &event.json())
    }

    /// Tells its chat's live clients of an agent's message that is queued for vCX.
    pub fn show_reply(&mut self, item: &Item, work: &Work) -> Result<(), Stop> {
        let (Some(chat_id), Work::Event(event)) = (&item.conversation_id, work) else {
            return Ok(());
        };
        if !self.feeds() {
            return Ok(());
        }
        self.publish(chat_id, Some(item.message_id()), &event.body)
    }

    /// Tells a chat's live clients of an event that is about the chat itself.
    pub fn show_update(&mut self, chat_id: &str, event: &Event) -> Result<(), Stop> {
        if !self.feeds() {
            return Ok(());
        }
        self.publish(chat_id, None, &event.json())
    }

    /// Tells its chat's live clients how far an agent's message is that they were shown.
    pub fn show_reply_status(
        &mut self,
        item: &Item,
        status: Status,
        reason: Option<&Reason>,
    ) -> Result<(), Stop> {
        match &item.conversation_id {
            Some(chat_id) if !item.is_braked() => {
                self.show_status(chat_id, item.message_id(), status, reason)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Tells a chat's live clients how far a message is.
    pub fn show_status(
        &mut self,
        chat_id: &str,
        message_id: &str,
        status: Status,
        reason: Option<&Reason>,
    ) -> Result<(), Stop> {
        if !self.feeds() {
            return Ok(());
        }
        let mut event = json!({
            "type": "message.status",
            "locationId": self.location.id,
            "vcxConversationId": chat_id,
            "messageId": message_id,
            "status": status.as_str(),
            "timestamp": self.now,
        });
        if let Some(Reason { code, words }) = reason {
            event["code"] = json!(code);
            event["reason"] = json!(words);
        }
        self.publish(chat_id, None, &text(&event))
    }

    /// For who knows that it [`feeds`](Self::feeds).
    fn publish(
        &mut self,
        chat_id: &str,
        agent_message: Option<&str>,
        body: &str,
    ) -> Result<(), Stop> {
        let least = self
            .now
            .max(self.fed_since() + 1)
            .max(self.location.fed_mark + 1);
        let id = self.db.add_event(least, chat_id, agent_message, body)?;
        if id % TRIM_EVERY == 0 {
            self.db.trim_conversation(chat_id)?;
        }
        self.news.insert(tag(&self.location.id, chat_id));
        Ok(())
    }

    /// Whether what there is to tell is kept. If it is not, whoever comes back to an event from
    /// before has a gap.
    fn feeds(&mut self) -> bool {
        let feeds = self.settings.session_keys.is_some() && !self.location.lifecycle.is_gone();
        if !feeds {
            self.location.fed_since = None;
        }
        feeds
    }

    /// A live client has shown an agent's message.
    fn taken_live(&mut self, message_id: &str) -> Result<(), Stop> {
        let Some(item) = self.db.item_by_key(&format!("in:{message_id}"))? else {
            return Ok(());
        };
        self.set_status(&item, Status::Delivered, None)?;
        self.wake_at(self.now);
        self.settle_live(item)
    }

    /// A message that waited for a live client alone waits no more. vCX's backend, if there is
    /// one, is told all the same.
    pub fn settle_live(&mut self, item: Item) -> Result<(), Stop> {
        let waits = item.stage != Stage::Done && matches!(item.work(), Ok(Work::Event(_)));
        if self.settings.webhook_url.is_some() || !waits {
            return Ok(());
        }
        self.pulse.last_to_vcx_at = Some(self.now);
        self.finish(item)
    }

    /// What a socket may be told now; none if it has fallen too far behind.
    fn next_frames(&mut self, cursor: &mut Cursor) -> Result<Option<Vec<String>>, Stop> {
        let room = WINDOW - cursor.out;
        let mut events = self
            .db
            .events_after(&cursor.conversation, cursor.sent, room + 1)?;
        let is_all = events.len() as i64 <= room;
        if cursor.caught_up && !is_all {
            return Ok(None);
        }
        cursor.caught_up = is_all;
        events.truncate(room as usize);
        if let Some((id, _)) = events.last() {
            cursor.sent = *id;
        }
        cursor.out += events.len() as i64;
        Ok(Some(events.iter().map(frame).collect()))
    }

    /// The newest event's id. Where nothing has happened for long it is one that none will have:
    /// whoever comes back to it is to find that it still has not.
    fn newest_event(&mut self) -> Result<i64, Stop> {
        let newest = self.db.newest_event()?.unwrap_or_default();
        let newest = newest.max(self.fed_since()).max(self.location.fed_mark);
        if newest >= self.now - QUIET {
            return Ok(newest);
        }
        self.location.fed_mark = self.now - 1;
        Ok(self.location.fed_mark)
    }

    /// What comes after this id is complete, for a conversation.
    fn oldest_event(&mut self, conversation: &str) -> Result<i64, Stop> {
        let kept = self.db.oldest_kept(conversation)?.map_or(0, |id| id - 1);
        Ok(kept.max(self.now - MEMORY).max(self.fed_since()))
    }

    /// Since when every event was kept.
    fn fed_since(&mut self) -> i64 {
        *self.location.fed_since.get_or_insert(self.now - 1)
    }

    fn hang_up(&mut self, cursor: &Cursor, code: u16, reason: &str) -> Result<(), Stop> {
        self.closed(cursor)?;
        self.close_socket(cursor.socket.clone(), code, reason);
        Ok(())
    }

    fn close_socket(&mut self, socket: String, code: u16, reason: &str) {
        let reason = reason.to_owned();
        self.out.push(Output::Close {
            socket,
            code,
            reason,
        });
    }
}

impl Item {
    /// Whether it is an agent's message that the loop brake keeps from everybody.
    pub fn is_braked(&self) -> bool {
        self.code.as_deref() == Some("loop_brake")
    }
}

/// The id in an acknowledgement.
fn acknowledged(text: &str) -> Option<i64> {
    let frame: Value = serde_json::from_str(text).ok()?;
    frame["ack"].as_i64().filter(|id| (0..=NEVER).contains(id))
}

/// An event as it is sent: its JSON, with its id in front.
fn frame((id, body): &(i64, String)) -> String {
    format!("{{\"id\":{id},{}", body.trim_start_matches('{'))
}

/// The tag of a conversation's sockets: a hash, since the platform's tags are short and shown.
fn tag(location_id: &str, conversation: &str) -> String {
    hex(&digest(&[location_id.as_bytes(), conversation.as_bytes()]))
}

/// The subprotocol that is spoken.
pub const PROTOCOL: &str = "vcx-ghl.v1";
/// Events that may be under way to a client without its acknowledgement.
const WINDOW: i64 = 100;
/// How long events are kept.
const MEMORY: i64 = 7 * 86_400_000;
/// A location without news for so long is quiet.
const QUIET: i64 = 86_400_000;
/// One event in so many looks whether its conversation has too many.
const TRIM_EVERY: i64 = 64;
const SESSION_OVER: &str = "the session has expired";
/// What RFC 6455 §7.4.1 has for it.
const PROTOCOL_BREACH: u16 = 1008;
const FAULT: u16 = 1011;
/// Our own: as HTTP's.
const EXPIRED: u16 = 4401;
const GONE: u16 = 4403;
const TOO_SLOW: u16 = 4408;

record!(Listen {
    conversation,
    expires_at,
    after
});
record!(Cursor {
    socket,
    conversation,
    expires_at,
    sent,
    acked,
    began,
    out,
    caught_up
});

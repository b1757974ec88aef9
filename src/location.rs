//! The transition function of a location: what happened goes in, what to do comes out, and
//! everything in between is in the database.
//!
//! The host runs each call in a transaction and holds the outputs back until it is on disk. No
//! state lives here between two calls. An agency's Company token lives in an object of the same
//! kind (`company`).

mod company;
mod connection;
mod contact;
mod dead;
mod dispatch;
mod event;
mod from_ghl;
mod from_vcx;
mod health;
mod live;
mod message;
mod mirror;
mod outbox;
mod rate;
mod restore;
mod status;
mod trap;
mod turn;
mod upkeep;
pub mod work;

pub use from_vcx::id_of;
pub use live::{Cursor, Listen, PROTOCOL};
pub use mirror::DIRECTORY;
pub use rate::Rate;
pub use turn::{Field, Kind, LastError, Location, Pulse};

use crate::error::{Code, Fault, Problem};
use crate::ghl::tokens::Grant;
use crate::ghl::webhook::Webhook;
use crate::http::{Outcome, Request, Response};
use crate::settings::Settings;
use crate::store::{Sql, Store};
use crate::vcx::{ContactAsk, Push, StatusAsk};
use crate::wire::choice;
use std::collections::BTreeMap;
use turn::{Recall, Stop, Turn};

/// What happened.
#[allow(
    clippy::large_enum_variant,
    reason = "there are a handful at a time, and each is moved once"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The object was constructed: whatever was under way before is unclear.
    Started,
    /// Somebody asks, and waits for an answer under `caller`.
    Asked {
        /// Who, unique for all time.
        caller: String,
        /// The object's name, as [`object_of`] makes it.
        object: String,
        /// What.
        ask: Ask,
    },
    /// A caller has waited until the time that [`Output::Hold`] named.
    Waited {
        /// Who.
        caller: String,
        /// For which item.
        item: i64,
    },
    /// A call came to an end.
    Answered {
        /// Which.
        call: String,
        /// Which attempt of it.
        attempt: i64,
        /// How.
        outcome: Outcome,
    },
    /// KV took a value, or did not.
    Mirrored {
        /// The key.
        key: String,
        /// The value's revision.
        rev: i64,
        /// Whether.
        ok: bool,
    },
    /// A live client's socket brought a frame.
    Heard {
        /// What is known of the socket.
        cursor: Cursor,
        /// The frame, if it is text.
        text: Option<String>,
    },
    /// There may be news for a live client.
    Flush {
        /// What is known of the socket.
        cursor: Cursor,
    },
    /// A live client's socket is closed.
    Closed {
        /// What was known of the socket.
        cursor: Cursor,
    },
    /// The time that [`Output::Wake`] named has come, or it is as good as any.
    Wake,
    /// The code trapped over an input; nothing of it was kept.
    Trapped {
        /// The input.
        input: Box<Input>,
    },
}

/// What is asked of a location.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// `POST /push-message`.
    Push {
        /// The parsed body.
        push: Push,
    },
    /// `POST /contact`.
    Contact {
        /// The parsed body.
        ask: ContactAsk,
    },
    /// `POST /message-status`.
    Status {
        /// The parsed body.
        ask: StatusAsk,
    },
    /// `POST /webhook`.
    Webhook {
        /// The parsed, verified body.
        webhook: Webhook,
    },
    /// New tokens, from an installation or an agency.
    Connect {
        /// The tokens.
        grant: Grant,
        /// `install`, `marketplace` or `company`.
        via: String,
        /// vCX's account.
        reference: Option<String>,
    },
    /// `GET /events`: a live client, its session verified. Answered by [`Output::Accept`].
    Listen {
        /// What it listens to.
        listen: Listen,
    },
    /// `GET /locations/{id}`.
    Health,
    /// `POST /locations/{id}/replay`.
    Replay {
        /// Dead letters; all when absent.
        ids: Option<Vec<i64>>,
    },
    /// To an agency's object: this location belongs to you.
    Register {
        /// The location.
        location_id: String,
    },
    /// To an agency's object: give this location tokens, by a later [`Ask::Connect`].
    Mint {
        /// The location.
        location_id: String,
    },
    /// To a location: its agency could not give it tokens.
    MintRefused {
        /// Why.
        why: String,
    },
    /// To a location: its agency uninstalled the app.
    Leave {
        /// When, in milliseconds.
        at: i64,
    },
}

/// What to do.
#[allow(
    clippy::large_enum_variant,
    reason = "there are a handful at a time, and each is moved once"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this, and feed back [`Input::Answered`].
    Call {
        /// Its name.
        call: String,
        /// Its attempt.
        attempt: i64,
        /// The request.
        request: Request,
        /// When to give it up.
        timeout_ms: i64,
    },
    /// Ask another object, and feed back [`Input::Answered`].
    Tell {
        /// Its name.
        call: String,
        /// Its attempt.
        attempt: i64,
        /// The other object.
        object: String,
        /// What to ask.
        ask: Ask,
        /// When to give it up.
        timeout_ms: i64,
    },
    /// Give this to a caller that waits; one that does not wait any more is no error.
    Answer {
        /// Who.
        caller: String,
        /// The response.
        response: Response,
    },
    /// Give a caller a socket: one that has these tags, says these frames first, and keeps the
    /// cursor for all that is fed about it.
    Accept {
        /// Who.
        caller: String,
        /// The answer that it comes with.
        response: Response,
        /// The socket's own tag, and its conversation's.
        tags: Vec<String>,
        /// What is known of it.
        cursor: Cursor,
        /// JSON, each.
        frames: Vec<String>,
    },
    /// Say these frames to a socket, and keep its new cursor.
    Send {
        /// The socket's own tag.
        socket: String,
        /// What is known of it now.
        cursor: Cursor,
        /// JSON, each.
        frames: Vec<String>,
    },
    /// Close a socket; nothing is to be fed about it any more.
    Close {
        /// The socket's own tag.
        socket: String,
        /// RFC 6455 §7.4, or ours.
        code: u16,
        /// A sentence.
        reason: String,
    },
    /// Feed [`Input::Flush`] for each socket that has this tag.
    Publish {
        /// A conversation's.
        tag: String,
    },
    /// Let a caller wait, and feed [`Input::Waited`] when it has for `millis`.
    Hold {
        /// Who.
        caller: String,
        /// For which item.
        item: i64,
        /// How long.
        millis: i64,
    },
    /// Feed [`Input::Wake`] at this time, or earlier.
    Wake {
        /// Milliseconds since 1970.
        at: i64,
    },
    /// Write this to KV, and feed back [`Input::Mirrored`].
    Mirror {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Its revision.
        rev: i64,
        /// Whether the value belongs into the key's metadata as well, for listings.
        listed: bool,
    },
    /// Write this line to the log: JSON, no secrets, no texts, no addresses.
    Log {
        /// The line.
        line: String,
    },
}

/// What the host brings to one call of [`handle`], beside the database.
pub struct Feed<'a> {
    /// What happened.
    pub input: &'a Input,
    /// What KV holds under the keys that an earlier try of this input asked for.
    pub recalled: &'a BTreeMap<String, Option<String>>,
    /// Milliseconds since 1970.
    pub now: i64,
    /// Calls that may still be begun before the next wake-up.
    pub budget: u32,
}

/// Why a call of [`handle`] is to be rolled back.
#[derive(Debug, PartialEq, Eq)]
pub enum Rollback {
    /// Read these keys of KV, and feed the same input again with what they hold.
    Recall(Vec<String>),
    /// The database refused a statement, or holds what this code cannot read.
    Fault(Fault),
}

/// Takes what happened, changes the database, says what to do.
pub fn handle(
    sql: &dyn Sql,
    settings: &Settings,
    feed: &Feed<'_>,
    entropy: &mut dyn FnMut(&mut [u8]),
) -> Result<Vec<Output>, Rollback> {
    run(sql, settings, feed, entropy).map_err(|stop| match stop {
        Stop::Recall(Recall(keys)) => Rollback::Recall(keys),
        Stop::Fault(fault) => Rollback::Fault(fault),
    })
}

fn run(
    sql: &dyn Sql,
    settings: &Settings,
    feed: &Feed<'_>,
    entropy: &mut dyn FnMut(&mut [u8]),
) -> Result<Vec<Output>, Stop> {
    let store = Store::new(sql);
    let found = store.location()?;
    let known = found.is_some();
    let mut turn = Turn::open(store, settings, feed, entropy, found)?;
    if !known && !turn.found_or_restored(feed.input)? {
        return Ok(turn.out);
    }
    if !feed.input.is_live() {
        turn.reseal()?;
    }
    turn.take(feed.input)?;
    if feed.input.is_live() {
        // What a socket brings must not depend on what else is to be done, nor wait for KV.
    } else if !turn.pulse.careful || matches!(feed.input, Input::Wake) {
        turn.dispatch()?;
    } else {
        turn.wake_at(feed.now);
    }
    turn.close()
}

impl Input {
    /// Whether it is about a live client's socket.
    fn is_live(&self) -> bool {
        match self {
            Self::Heard { .. } | Self::Flush { .. } | Self::Closed { .. } => true,
            Self::Trapped { input } => input.is_live(),
            Self::Started
            | Self::Asked { .. }
            | Self::Waited { .. }
            | Self::Answered { .. }
            | Self::Mirrored { .. }
            | Self::Wake => false,
        }
    }
}

impl Turn<'_> {
    fn take(&mut self, input: &Input) -> Result<(), Stop> {
        match input {
            Input::Started => self.started(),
            Input::Asked {
                caller,
                ask,
                object: _,
            } => self.asked(caller, ask),
            Input::Waited { caller, item } => self.waited(caller, *item),
            Input::Answered {
                call,
                attempt,
                outcome,
            } => self.answered(call, *attempt, outcome),
            Input::Mirrored { key, rev, ok } => self.mirrored(key, *rev, *ok),
            Input::Heard { cursor, text } => self.heard(cursor.clone(), text.as_deref()),
            Input::Flush { cursor } => self.flush(cursor.clone()),
            Input::Closed { cursor } => self.closed(cursor),
            Input::Wake => self.woken(),
            Input::Trapped { input } => self.trapped(input),
        }
    }

    fn asked(&mut self, caller: &str, ask: &Ask) -> Result<(), Stop> {
        match ask {
            Ask::Push { push } => self.push(caller, push),
            Ask::Contact { ask } => self.contact_asked(caller, ask),
            Ask::Status { ask } => self.status_asked(caller, ask),
            Ask::Webhook { webhook } => self.webhook(caller, webhook),
            Ask::Connect {
                grant,
                via,
                reference,
            } => {
                self.connect(grant, via, reference.as_deref())?;
                self.answer(
                    caller,
                    Response::json(200, &serde_json::json!({"connected": true})),
                );
                Ok(())
            }
            Ask::Listen { listen } => self.listen(caller, listen),
            Ask::Health => self.health(caller),
            Ask::Replay { ids } => self.replay(caller, ids.as_deref()),
            Ask::Register { location_id } => self.register(caller, location_id),
            Ask::Mint { location_id } => self.mint(caller, location_id),
            Ask::MintRefused { why } => self.mint_refused(caller, why),
            Ask::Leave { at } => self.leave(caller, *at),
        }
    }
}

/// The name of a location's object.
pub fn object_of(location_id: &str) -> String {
    format!("{LOCATION}{location_id}")
}

/// The name of an agency's object.
pub fn object_of_company(company_id: &str) -> String {
    format!("{COMPANY}{company_id}")
}

/// The answer for a location that is not ours.
fn unknown(location_id: &str) -> Response {
    let detail = format!("location {location_id} is not connected: install the app there first");
    Problem::new(Code::UnknownLocation, detail).response()
}

const LOCATION: &str = "location:";
const COMPANY: &str = "company:";

choice!(Input {
    "started" Started,
    "asked" Asked { caller, object, ask },
    "waited" Waited { caller, item },
    "answered" Answered { call, attempt, outcome },
    "mirrored" Mirrored { key, rev, ok },
    "heard" Heard { cursor, text },
    "flush" Flush { cursor },
    "closed" Closed { cursor },
    "wake" Wake,
    "trapped" Trapped { input },
});
choice!(Ask {
    "push" Push { push },
    "contact" Contact { ask },
    "status" Status { ask },
    "webhook" Webhook { webhook },
    "connect" Connect { grant, via, reference },
    "listen" Listen { listen },
    "health" Health,
    "replay" Replay { ids },
    "register" Register { location_id },
    "mint" Mint { location_id },
    "mintRefused" MintRefused { why },
    "leave" Leave { at },
});
choice!(Output {
    "call" Call { call, attempt, request, timeout_ms },
    "tell" Tell { call, attempt, object, ask, timeout_ms },
    "answer" Answer { caller, response },
    "accept" Accept { caller, response, tags, cursor, frames },
    "send" Send { socket, cursor, frames },
    "close" Close { socket, code, reason },
    "publish" Publish { tag },
    "hold" Hold { caller, item, millis },
    "wake" Wake { at },
    "mirror" Mirror { key, value, rev, listed },
    "log" Log { line },
});

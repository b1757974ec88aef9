//! The rows of the tables, as values.

use super::{Cell, Value};
use crate::error::Fault;
use crate::ghl::Details;
use crate::wire::{self, Wire};

/// One row, read from left to right.
pub struct Row(std::vec::IntoIter<Cell>);

impl Row {
    /// The row of these cells.
    pub fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    /// An integer; NULL is 0.
    pub fn int(&mut self) -> i64 {
        self.maybe_int().unwrap_or_default()
    }

    /// An integer or NULL.
    pub fn maybe_int(&mut self) -> Option<i64> {
        match self.0.next() {
            Some(Cell::Int(value)) => Some(value),
            Some(Cell::Text(_) | Cell::Null) | None => None,
        }
    }

    /// Text; NULL is empty.
    pub fn text(&mut self) -> String {
        self.maybe_text().unwrap_or_default()
    }

    /// Text or NULL.
    pub fn maybe_text(&mut self) -> Option<String> {
        match self.0.next() {
            Some(Cell::Text(value)) => Some(value),
            Some(Cell::Int(_) | Cell::Null) | None => None,
        }
    }

    fn json<T: Wire>(&mut self) -> Result<T, Fault> {
        parse(&self.text())
    }
}

/// A vCX client.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// vCX's id.
    pub id: String,
    /// The client whose lane and contact it shares: itself, unless it is an alias.
    pub lane: String,
    /// GHL's contact.
    pub contact_id: Option<String>,
    /// Whether we created the contact, and whether it was tagged.
    pub made: Made,
    /// What GHL was last told.
    pub sent: Details,
    /// What vCX last told us.
    pub wanted: Details,
    /// The `date` of its last message; -1 before the first.
    pub last_date: i64,
    /// Hashes of the latest texts to GHL, for the loop brake.
    pub said: Option<String>,
    /// Hashes of the latest texts to vCX.
    pub heard: Option<String>,
    /// How often in a row a text came back from the other side.
    pub echoes: i64,
    /// When it last did.
    pub echo_at: i64,
}

/// Who made a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Not we.
    Elsewhere,
    /// We did, and it is to be tagged.
    Untagged,
    /// We did, and it is tagged.
    Tagged,
}

impl From<Made> for i64 {
    fn from(made: Made) -> Self {
        match made {
            Made::Elsewhere => 0,
            Made::Untagged => 1,
            Made::Tagged => 2,
        }
    }
}

impl Client {
    /// A client that was never heard of.
    pub fn new(id: &str, lane: &str) -> Self {
        Self {
            id: id.to_owned(),
            lane: lane.to_owned(),
            contact_id: None,
            made: Made::Elsewhere,
            sent: Details::default(),
            wanted: Details::default(),
            last_date: -1,
            said: None,
            heard: None,
            echoes: 0,
            echo_at: 0,
        }
    }

    /// Whether it has the lane and the contact that it had.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.id, &self.lane, &self.contact_id) == (&other.id, &other.lane, &other.contact_id)
    }

    /// First what it is known by, then what was said.
    pub(super) fn bind(&self) -> Vec<Value<'_>> {
        vec![
            (&self.id).into(),
            (&self.lane).into(),
            self.contact_id.as_ref().into(),
            i64::from(self.made).into(),
            json(&self.sent).into(),
            json(&self.wanted).into(),
            self.last_date.into(),
            self.said.as_ref().into(),
            self.heard.as_ref().into(),
            self.echoes.into(),
            self.echo_at.into(),
        ]
    }

    pub(super) fn read(mut row: Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.text(),
            lane: row.text(),
            contact_id: row.maybe_text(),
            made: match row.int() {
                1 => Made::Untagged,
                2 => Made::Tagged,
                _ => Made::Elsewhere,
            },
            sent: row.json()?,
            wanted: row.json()?,
            last_date: row.int(),
            said: row.maybe_text(),
            heard: row.maybe_text(),
            echoes: row.int(),
            echo_at: row.int(),
        })
    }
}

/// A vCX conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// vCX's id.
    pub id: String,
    /// Its client, as vCX last named it.
    pub client_id: String,
    /// The client whose lane and contact it uses.
    pub lane: String,
    /// When it last became the chat that its contact's replies go to.
    pub heard_at: i64,
}

impl Chat {
    pub(super) fn read(mut row: Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.text(),
            client_id: row.text(),
            lane: row.text(),
            heard_at: row.int(),
        })
    }
}

/// A GHL contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// GHL's id.
    pub id: String,
    /// Its one conversation.
    pub conversation_id: Option<String>,
    /// The chat that replies go to.
    pub chat_id: Option<String>,
}

impl Contact {
    pub(super) fn read(mut row: Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.text(),
            conversation_id: row.maybe_text(),
            chat_id: row.maybe_text(),
        })
    }
}

/// Where an item is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Ready: a status for GHL.
    Status,
    /// Ready: a message for GHL.
    Live,
    /// Ready: an event for vCX.
    Event,
    /// Ready: whatever may wait for the others.
    Upkeep,
    /// With the host.
    Flight,
    /// Waiting to see whether it is somebody's copy.
    Held,
    /// Waiting for the custom field.
    Field,
    /// Waiting for its lane.
    Behind,
    /// Over.
    Done,
    /// Given up, until it is replayed.
    Dead,
}

impl Stage {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Live => "live",
            Self::Event => "event",
            Self::Upkeep => "upkeep",
            Self::Flight => "flight",
            Self::Held => "held",
            Self::Field => "field",
            Self::Behind => "behind",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }

    fn of(word: &str) -> Result<Self, Fault> {
        match word {
            "status" => Ok(Self::Status),
            "live" => Ok(Self::Live),
            "event" => Ok(Self::Event),
            "upkeep" => Ok(Self::Upkeep),
            "flight" => Ok(Self::Flight),
            "held" => Ok(Self::Held),
            "field" => Ok(Self::Field),
            "behind" => Ok(Self::Behind),
            "done" => Ok(Self::Done),
            "dead" => Ok(Self::Dead),
            other => Err(Fault(format!("an item in the unknown stage {other}"))),
        }
    }
}

/// One thing to be sent, and later its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its number: the order of acceptance.
    pub seq: i64,
    /// What a repeat of it has in common with it.
    pub key: String,
    /// What it must stay in order with.
    pub lane: String,
    /// The stage it is ready in.
    pub class: Stage,
    /// Where it is.
    pub stage: Stage,
    /// When something is next to happen to it.
    pub due: Option<i64>,
    /// When it was accepted.
    pub accepted_at: i64,
    /// When it was first tried; time without a connection is added.
    pub since: Option<i64>,
    /// Tries that came to nothing.
    pub tries: i64,
    /// The number of its latest call.
    pub attempt: i64,
    /// When the call was sent that may have had an effect and is not clear yet.
    pub sent_at: Option<i64>,
    /// How far it is, as JSON.
    pub step: Option<String>,
    /// What is to be done, as JSON; gone when it is over.
    pub work: Option<String>,
    /// What a repeat is compared with.
    pub digest: Option<String>,
    /// Who waits for it.
    pub caller: Option<String>,
    /// GHL's id of the message.
    pub ghl_id: Option<String>,
    /// Its contact.
    pub contact_id: Option<String>,
    /// Its conversation: GHL's of a message for GHL, vCX's of an agent's message.
    pub conversation_id: Option<String>,
    /// Why it failed last, as a stable word.
    pub code: Option<String>,
    /// Why it failed last, as a sentence.
    pub reason: Option<String>,
}

impl Item {
    /// A new item.
    pub fn new(key: String, lane: String, class: Stage, work: String, now: i64) -> Self {
        Self {
            seq: 0,
            key,
            lane,
            class,
            stage: class,
            due: Some(now),
            accepted_at: now,
            since: None,
            tries: 0,
            attempt: 0,
            sent_at: None,
            step: None,
            work: Some(work),
            digest: None,
            caller: None,
            ghl_id: None,
            contact_id: None,
            conversation_id: None,
            code: None,
            reason: None,
        }
    }

    /// Whether it differs from another state of it in nothing but where it is on its way.
    pub(super) fn only_hopped(&self, other: &Self) -> bool {
        self.is_same(other)
            && self.is_open() == other.is_open()
            && (&self.work, &self.ghl_id) == (&other.work, &other.ghl_id)
    }

    /// Whether it is still the same thing to be sent.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.key, &self.lane, self.class) == (&other.key, &other.lane, other.class)
            && (self.accepted_at, &self.digest) == (other.accepted_at, &other.digest)
    }

    fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Done | Stage::Dead)
    }

    /// First what makes it what it is, then what comes of it, then where it is on its way.
    pub(super) fn bind(&self) -> Vec<Value<'_>> {
        vec![
            (&self.key).into(),
            (&self.lane).into(),
            self.class.as_str().into(),
            self.accepted_at.into(),
            self.digest.as_ref().into(),
            i64::from(self.is_open()).into(),
            self.work.as_ref().into(),
            self.ghl_id.as_ref().into(),
            self.stage.as_str().into(),
            self.due.into(),
            self.since.into(),
            self.tries.into(),
            self.attempt.into(),
            self.sent_at.into(),
            self.step.as_ref().into(),
            self.caller.as_ref().into(),
            self.contact_id.as_ref().into(),
            self.conversation_id.as_ref().into(),
            self.code.as_ref().into(),
            self.reason.as_ref().into(),
        ]
    }

    pub(super) fn read(mut row: Row) -> Result<Self, Fault> {
        let seq = row.int();
        let (key, lane) = (row.text(), row.text());
        let class = Stage::of(&row.text())?;
        let (accepted_at, digest) = (row.int(), row.maybe_text());
        row.int();
        let (work, ghl_id) = (row.maybe_text(), row.maybe_text());
        let stage = Stage::of(&row.text())?;
        Ok(Self {
            seq,
            key,
            lane,
            class,
            accepted_at,
            digest,
            work,
            ghl_id,
            stage,
            due: row.maybe_int(),
            since: row.maybe_int(),
            tries: row.int(),
            attempt: row.int(),
            sent_at: row.maybe_int(),
            step: row.maybe_text(),
            caller: row.maybe_text(),
            contact_id: row.maybe_text(),
            conversation_id: row.maybe_text(),
            code: row.maybe_text(),
            reason: row.maybe_text(),
        })
    }
}

/// The little of an item that its lane needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub seq: i64,
    /// The stage it is ready in.
    pub class: Stage,
    /// Where it is.
    pub stage: Stage,
    /// When something is next to happen to it.
    pub due: Option<i64>,
}

impl Head {
    pub(super) fn read(mut row: Row) -> Result<Self, Fault> {
        Ok(Self {
            seq: row.int(),
            class: Stage::of(&row.text())?,
            stage: Stage::of(&row.text())?,
            due: row.maybe_int(),
        })
    }
}

/// The first few items of each stage that has a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// Them, each stage in the order of time.
    pub heads: Vec<Head>,
}

impl Board {
    pub(super) fn read(rows: Vec<Vec<Cell>>) -> Self {
        let heads = rows.into_iter().filter_map(|cells| {
            let mut row = Row::new(cells);
            let stage = Stage::of(&row.text()).ok()?;
            let class = Stage::of(&row.text()).ok()?;
            Some(Head {
                stage,
                class,
                seq: row.int(),
                due: row.maybe_int(),
            })
        });
        Self {
            heads: heads.collect(),
        }
    }

    /// Those of one stage.
    pub fn of(&self, stage: Stage) -> impl Iterator<Item = &Head> {
        self.heads.iter().filter(move |head| head.stage == stage)
    }
}

/// A value for KV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// KV's key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Its revision.
    pub rev: i64,
    /// When to try.
    pub due: i64,
    /// Tries that came to nothing.
    pub tries: i64,
    /// When it was handed to KV, if it is there now.
    pub sent_at: Option<i64>,
}

impl Mirror {
    pub(super) fn read(mut row: Row) -> Result<Self, Fault> {
        Ok(Self {
            key: row.text(),
            value: row.text(),
            rev: row.int(),
            due: row.int(),
            tries: row.int(),
            sent_at: row.maybe_int(),
        })
    }
}

/// A value as JSON.
pub fn json(value: &impl Wire) -> String {
    wire::text(value)
}

fn parse<T: Wire>(text: &str) -> Result<T, Fault> {
    wire::parse(text).map_err(|error| Fault(format!("a stored value: {error}")))
}

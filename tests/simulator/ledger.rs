//! What is owed, what has arrived, and what must not happen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a run is checked against, and the first thing that was wrong.
#[derive(Default)]
pub struct Ledger {
    pub violation: Option<Violation>,
    /// What was pushed, by location and id.
    pub pushes: BTreeMap<(String, String), Owed>,
    /// What GHL's agents wrote, by GHL's id.
    pub replies: BTreeMap<String, Reply>,
    /// Object, lane and place in the order of acceptance, by object and key of the item.
    accepted: BTreeMap<(String, String), (String, u64)>,
    /// The place of the latest that has arrived, by object and lane.
    arrived: BTreeMap<(String, String), (u64, i64)>,
    /// Keys of what was a dead letter once, by object: its place in the order is another.
    pub replayed: BTreeSet<(String, String)>,
    /// Refresh tokens whose successors are on disk.
    pub old_tokens: BTreeSet<String>,
    /// Events whose 2xx is on disk.
    pub done_events: BTreeSet<String>,
    /// When calls were sent that count for GHL's limit, by object.
    pub sent: BTreeMap<String, VecDeque<i64>>,
    /// Limit and interval that an object was told last.
    pub limits: BTreeMap<String, (usize, i64)>,
    /// When clocks jumped, by object.
    jumps: BTreeMap<String, i64>,
    /// How far each message's status got at GHL.
    pub statuses: BTreeMap<String, usize>,
    /// Contacts in which a visitor's messages were, by location and contact.
    pub contacts: BTreeMap<(String, String), BTreeSet<usize>>,
    /// Calls to GHL by label, where nothing goes wrong.
    pub calls: BTreeMap<String, u64>,
    count: u64,
}

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub seed: u64,
    pub rule: Rule,
    pub what: String,
    /// Milliseconds since the run began.
    pub at: i64,
}

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What was acknowledged reaches the other side, or is a visible dead letter.
    Lost,
    /// ... once.
    Doubled,
    /// ... in the order of acceptance.
    Order,
    /// ... as it was written, and to whom.
    Mixed,
    /// What is ours, or not for vCX, does not come back.
    Echo,
    /// Two sides that answer each other with the same words are stopped.
    Loop,
    /// One refresh at a time.
    Refresh,
    /// No refresh with a token that was replaced.
    OldToken,
    /// Never more calls than GHL's limit.
    Rate,
    /// No more calls under way than the platform has room for.
    Slots,
    /// One call for a message.
    Calls,
    /// A status never goes back.
    Status,
    /// Nobody waits for ever.
    Caller,
    /// Every queue is empty in the end.
    Stuck,
    /// Events are signed.
    Signature,
    /// Answers are true.
    Answer,
    /// KV has the latest values in the end.
    Kv,
    /// A client has one contact.
    Contacts,
    /// The code does not fail by itself.
    Fault,
    /// The log can be sorted, and has nothing private.
    Log,
}

/// A message from vCX.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    pub visitor: usize,
    pub body: String,
    pub direction: &'static str,
    /// We said 2xx.
    pub promised: bool,
    /// We said 422.
    pub rejected: bool,
    /// GHL's ids of it, the oldest first.
    pub stored: Vec<String>,
    /// Calls that were to put it into GHL.
    pub sends: u32,
    /// Something went wrong with one of them.
    pub tainted: bool,
    /// GHL's answer is on disk.
    pub done: bool,
    /// GHL refuses it for good.
    pub poison: bool,
}

/// A message from GHL.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub location: String,
    pub contact: String,
    pub body: String,
    /// A post about it reached the location while the app was installed there: without it, it has
    /// no effect.
    pub accepted: bool,
    /// GHL got a 2xx for such a post.
    pub promised: bool,
    /// How often vCX took it, under different `webhook-id`s.
    pub taken: u32,
}

/// A call under way, as far as checks care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flight {
    /// A message, by location and id.
    Send(String, String),
    /// An event, by `webhook-id`.
    Event(String),
    /// A refresh, by its token.
    Refresh(String),
    Tell,
    Other,
}

impl Ledger {
    /// An item of this key was added to an object's outbox.
    pub fn accept(&mut self, object: &str, key: String, lane: String) {
        self.count += 1;
        let entry = self.accepted.entry((object.to_owned(), key));
        entry.or_insert((lane, self.count));
    }

    /// What was under way in a life that is over.
    pub fn lost(&mut self, flights: impl Iterator<Item = Flight>) {
        for flight in flights {
            if let Flight::Send(location, id) = flight
                && let Some(owed) = self.pushes.get_mut(&(location, id))
            {
                owed.tainted = true;
            }
        }
    }

    /// An object's clock has jumped.
    pub fn jumped(&mut self, object: &str, now: i64) {
        self.jumps.insert(object.to_owned(), now);
    }

    /// Whether an object's clock jumped within `millis`.
    pub fn has_jumped(&self, object: &str, now: i64, millis: i64) -> bool {
        self.jumps.get(object).is_some_and(|at| now - at <= millis)
    }

    /// An item has arrived; what is out of order about that. `date`: what it is sorted by.
    pub fn arrive(&mut self, object: &str, key: &str, date: i64) -> Option<String> {
        let id = (object.to_owned(), key.to_owned());
        let (lane, place) = self.accepted.get(&id)?.clone();
        if self.replayed.contains(&id) {
            return None;
        }
        let last = self
            .arrived
            .entry((object.to_owned(), lane))
            .or_insert((0, i64::MIN));
        let wrong = match (place < last.0, date < last.1) {
            (true, _) => Some(format!("{key} arrives after one that was accepted later")),
            (false, true) => Some(format!("{key} has an earlier date than one before it")),
            (false, false) => None,
        };
        *last = (place.max(last.0), date.max(last.1));
        wrong
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            seed,
            rule,
            what,
            at,
        } = self;
        write!(
            f,
            "seed {seed}, after {}.{:03} s: {rule:?}: {what}",
            at / 1_000,
            at % 1_000
        )
    }
}

//! One turn: what the transition function works with while it handles one input.

use super::{Feed, Output, Rate};
use crate::error::Fault;
use crate::ghl::tokens::Tokens;
use crate::http::Response;
use crate::settings::Settings;
use crate::store::Store;
use crate::token::{self, Lifecycle};
use crate::wire::{self, Wire, choice, record};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the turn is about and what it has to say so far.
pub(super) struct Turn<'a> {
    pub db: Store<'a>,
    pub settings: &'a Settings,
    pub now: i64,
    pub budget: u32,
    pub location: Location,
    /// The sealed tokens.
    pub sealed: Option<String>,
    /// The tokens, once they were needed.
    pub opened: Option<Tokens>,
    pub pulse: Pulse,
    pub out: Vec<Output>,
    /// The tags of conversations that have news for live clients.
    pub news: BTreeSet<String>,
    entropy: &'a mut dyn FnMut(&mut [u8]),
    recalled: &'a BTreeMap<String, Option<String>>,
    wake: Option<i64>,
    before: Option<(Location, Option<String>, Pulse)>,
}

/// What is known about a location (or an agency).
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    /// GHL's id of the location, or of the agency.
    pub id: String,
    /// Which of them.
    pub kind: Kind,
    /// The location's agency.
    pub company_id: Option<String>,
    /// How it was connected: `install`, `marketplace` or `company`.
    pub via: String,
    /// vCX's account.
    pub reference: Option<String>,
    /// Since when, in milliseconds.
    pub connected_at: i64,
    /// Where its tokens are in their life.
    pub lifecycle: Lifecycle,
    /// When the access token expires.
    pub expires_at: i64,
    /// When it was issued.
    pub refreshed_at: i64,
    /// How many there were.
    pub generation: u32,
    /// Whether GHL has taken this one yet.
    pub proven: bool,
    /// Whether it was issued because GHL had called the one before expired.
    pub suspect: bool,
    /// Which of its agency's grants it took last: one that is handed over again has no effect.
    pub granted: Option<String>,
    /// Whether vCX was told that the location is disconnected.
    pub told_down: bool,
    /// The number of the latest call about tokens.
    pub token_attempt: i64,
    /// The number of the one that was sent last.
    pub token_call: i64,
    /// Until when that one may be under way, whatever has become of the connection meanwhile.
    pub token_call_until: Option<i64>,
    /// Since when GHL cannot be called.
    pub parked_since: Option<i64>,
    /// The custom field that holds vCX's client ids.
    pub field: Field,
    /// Whether it was restored from KV, which then may know chats that the tables do not.
    pub restored: bool,
    /// The revision of the latest value for KV.
    pub rev: i64,
    /// Since when every event is kept for live clients; none while none are.
    pub fed_since: Option<i64>,
    /// No event that is to come has an id up to this one.
    pub fed_mark: i64,
}

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A location.
    Location,
    /// An agency.
    Company,
}

/// The custom field's set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Not looked for yet.
    Unknown,
    /// There.
    Known {
        /// GHL's id.
        id: String,
    },
    /// GHL does not let us have it; contacts are found by our own map alone.
    Unavailable {
        /// Why.
        why: String,
    },
}

/// What changes with the traffic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pulse {
    /// GHL's limit, and what we used of it.
    pub rate: Rate,
    /// The last webhook that was ours.
    pub last_webhook_at: Option<i64>,
    /// The last message that GHL took.
    pub last_to_ghl_at: Option<i64>,
    /// The last event that vCX took.
    pub last_to_vcx_at: Option<i64>,
    /// Webhooks of no concern to us.
    pub ignored: u64,
    /// The last call that failed.
    pub last_error: Option<LastError>,
    /// After a trap: one item a turn, so that the next trap shows which one it was.
    pub careful: bool,
    /// Calls begun for items. Their attempts are numbered by it, since the number of an item that
    /// was taken out is given to another: an answer to the one is never one to the other.
    pub calls: i64,
    /// When old rows were last deleted.
    pub trimmed_at: i64,
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: i64,
    /// Method and path.
    pub call: String,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// GHL's or vCX's words.
    pub message: String,
    /// GHL's trace id.
    pub trace_id: Option<String>,
}

/// Why a turn is not finished.
#[derive(Debug)]
pub(super) enum Stop {
    Recall(Recall),
    Fault(Fault),
}

/// Keys of KV that the turn needs.
#[derive(Debug)]
pub(super) struct Recall(pub Vec<String>);

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<'a> Turn<'a> {
    pub fn open(
        db: Store<'a>,
        settings: &'a Settings,
        feed: &Feed<'a>,
        entropy: &'a mut dyn FnMut(&mut [u8]),
        found: Option<(String, Option<String>, String)>,
    ) -> Result<Self, Fault> {
        let is_known = found.is_some();
        let (location, sealed, pulse) = match found {
            Some((doc, sealed, pulse)) => (parse(&doc)?, sealed, parse(&pulse)?),
            None => (Location::empty(), None, Pulse::default()),
        };
        let before = is_known.then(|| (location.clone(), sealed.clone(), pulse.clone()));
        Ok(Self {
            db,
            settings,
            now: feed.now,
            budget: feed.budget,
            location,
            sealed,
            opened: None,
            pulse,
            out: Vec::new(),
            news: BTreeSet::new(),
            entropy,
            recalled: feed.recalled,
            wake: None,
            before,
        })
    }

    /// Writes what changed and hands out what is to be done.
    pub fn close(mut self) -> Result<Vec<Output>, Stop> {
        self.db.flush()?;
        let before = self.before.as_ref();
        let is_kept = |(location, sealed, _): &(Location, _, _)| {
            (location, sealed) == (&self.location, &self.sealed)
        };
        if !before.is_some_and(is_kept) {
            self.db
                .put_location(&text(&self.location), self.sealed.as_deref())?;
        }
        if before.is_none_or(|(_, _, pulse)| self.pulse != *pulse) {
            self.db.put_pulse(&text(&self.pulse))?;
        }
        if let Some(at) = self.wake {
            self.out.push(Output::Wake {
                at: at.max(self.now),
            });
        }
        let news = self.news.into_iter();
        self.out.extend(news.map(|tag| Output::Publish { tag }));
        Ok(self.out)
    }

    pub fn answer(&mut self, caller: &str, response: Response) {
        self.out.push(Output::Answer {
            caller: caller.to_owned(),
            response,
        });
    }

    /// Asks to be woken no later than `at`.
    pub fn wake_at(&mut self, at: i64) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }

    /// What KV holds under a key; asks for it, by starting over, if that is not known yet.
    pub fn recall(&self, key: &str) -> Result<Option<&'a str>, Stop> {
        match self.recalled.get(key) {
            Some(value) => Ok(value.as_deref()),
            None => {
                let mut keys: Vec<String> = self.recalled.keys().cloned().collect();
                keys.push(key.to_owned());
                Err(Stop::Recall(Recall(keys)))
            }
        }
    }

    pub fn log(&mut self, level: &str, event: &str, mut fields: Value) {
        fields["level"] = json!(level);
        fields["event"] = json!(event);
        fields["at"] = json!(self.now);
        fields[self.location.kind.word()] = json!(self.location.id);
        self.out.push(Output::Log {
            line: text(&fields),
        });
    }

    /// A random number from 0 to 1.
    pub fn jitter(&mut self) -> f64 {
        f64::from(u32::from_le_bytes(self.random())) / f64::from(u32::MAX)
    }

    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.entropy)(&mut bytes);
        bytes
    }
}

impl Location {
    /// When the access token is to be refreshed.
    pub fn refresh_at(&self) -> i64 {
        token::refresh_at(self.refreshed_at, self.expires_at)
    }

    /// GHL has taken the access token: whatever it said of the one before is over.
    pub fn prove(&mut self) {
        (self.proven, self.suspect) = (true, false);
    }

    fn empty() -> Self {
        Self {
            id: String::new(),
            kind: Kind::Location,
            company_id: None,
            via: String::new(),
            reference: None,
            connected_at: 0,
            lifecycle: Lifecycle::Gone { since: 0 },
            expires_at: 0,
            refreshed_at: 0,
            generation: 0,
            proven: false,
            suspect: false,
            granted: None,
            told_down: false,
            token_attempt: 0,
            token_call: 0,
            token_call_until: None,
            parked_since: None,
            field: Field::Unknown,
            restored: false,
            rev: 0,
            fed_since: None,
            fed_mark: 0,
        }
    }
}

impl Kind {
    /// The word for logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Location => "locationId",
            Self::Company => "companyId",
        }
    }
}

pub(super) fn text(value: &impl Wire) -> String {
    wire::text(value)
}

pub(super) fn parse<T: Wire>(text: &str) -> Result<T, Fault> {
    wire::parse(text).map_err(|error| Fault(format!("a stored document: {error}")))
}

record!(Location {
    id,
    kind,
    company_id,
    via,
    reference,
    connected_at,
    lifecycle,
    expires_at,
    refreshed_at,
    generation,
    proven,
    suspect,
    granted,
    told_down,
    token_attempt,
    token_call,
    token_call_until,
    parked_since,
    field,
    restored,
    rev,
    fed_since,
    fed_mark
});
choice!(Kind {
    "location" Location,
    "company" Company,
});
choice!(Field {
    "unknown" Unknown,
    "known" Known { id },
    "unavailable" Unavailable { why },
});
record!(Pulse {
    rate,
    last_webhook_at,
    last_to_ghl_at,
    last_to_vcx_at,
    ignored,
    last_error,
    careful,
    calls,
    trimmed_at
});
record!(LastError {
    at,
    call,
    status,
    message,
    trace_id
});

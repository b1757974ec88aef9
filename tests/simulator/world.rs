//! The whole of a run: time, everybody in it, and what is on its way between them.

use super::dice::Dice;
use super::ghl::Ghl;
use super::host::Object;
use super::kv::Kv;
use super::ledger::{Ledger, Rule, Violation};
use super::network::{Fate, Sender};
use super::people::{Act, People};
use super::plan::{Fault, Plan};
use super::tally::Tally;
use super::vcx::Vcx;
use super::visits::{Visit, Waiter};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use std::collections::{BTreeMap, BinaryHeap};
use vcx_ghl::edge::Configured;
use vcx_ghl::http::{Outcome, Request};
use vcx_ghl::location::Input;
use vcx_ghl::settings::Settings;

/// A run while it is under way.
pub struct World {
    pub now: i64,
    pub plan: Plan,
    /// What goes wrong, and how long things take.
    pub dice: Dice,
    /// What people do.
    pub whims: Dice,
    /// Random bytes of the code under test.
    pub entropy: Dice,
    pub settings: Configured,
    pub key: SigningKey,
    pub objects: BTreeMap<String, Object>,
    pub ghl: Ghl,
    pub vcx: Vcx,
    pub kv: Kv,
    pub people: People,
    pub ledger: Ledger,
    pub tally: Tally,
    pub waiters: BTreeMap<u64, Waiter>,
    /// Nothing goes wrong any more.
    pub is_over: bool,
    trace: Option<Vec<String>>,
    queue: BinaryHeap<Entry>,
    /// Events that are not alarms.
    busy: usize,
    count: u64,
}

/// Something that happens at a time.
#[derive(Debug)]
pub enum Event {
    /// Somebody does something.
    Act(Act),
    /// A request reaches our edge.
    Visit(Box<Visit>),
    /// A request of ours reaches the other side.
    Arrive(Box<(Sender, Request, Fate)>),
    /// A request of ours ends.
    Return(Sender, Box<Outcome>),
    /// Somebody has waited for an object long enough.
    GaveUp(u64),
    /// One object asks another.
    Told(Box<(String, vcx_ghl::location::Ask, Waiter, i64)>),
    /// A caller has been held long enough.
    Held {
        object: String,
        life: u64,
        caller: String,
        item: i64,
    },
    /// The platform wakes an object.
    Alarm { object: String, at: i64 },
    /// KV has answered.
    Recalled {
        object: String,
        life: u64,
        input: Box<Input>,
        recalled: BTreeMap<String, Option<String>>,
    },
    /// A value reaches KV.
    Put {
        object: String,
        life: u64,
        key: String,
        value: String,
        rev: i64,
    },
    /// KV has taken it, or not.
    Mirrored {
        object: String,
        life: u64,
        key: String,
        rev: i64,
        ok: bool,
    },
}

impl World {
    pub fn new(plan: Plan, traced: bool) -> Self {
        let mut dice = Dice::new(plan.seed ^ 0x5eed);
        let key = SigningKey::from_bytes(&[42; 32]);
        let mut ghl = Ghl::new(START, CLIENT_ID, "client-secret", PROVIDER);
        ghl.options = plan.ghl.clone();
        let people = People::gather(&plan, &mut ghl, &mut dice.fork());
        let mut world = Self {
            now: START,
            whims: dice.fork(),
            entropy: dice.fork(),
            dice,
            settings: Settings::parse(&settings(&key)),
            key,
            objects: BTreeMap::new(),
            ghl,
            vcx: Vcx::default(),
            kv: Kv::default(),
            people,
            ledger: Ledger::default(),
            tally: Tally::default(),
            waiters: BTreeMap::new(),
            is_over: false,
            trace: traced.then(Vec::new),
            queue: BinaryHeap::new(),
            busy: 0,
            count: 0,
            plan,
        };
        world.schedule_everything();
        world
    }

    /// Lets time run until everybody has said everything and every queue is empty.
    pub fn run(&mut self) {
        while self.ledger.violation.is_none() {
            if self.busy == 0 && self.is_over && self.is_idle() && !self.replay_at_last() {
                return self.settle_up();
            }
            let Some(Entry { at, event, .. }) = self.queue.pop() else {
                return self.violate(Rule::Stuck, "nothing will ever happen again".into());
            };
            if !matches!(event, Event::Alarm { .. }) {
                self.busy -= 1;
            }
            self.now = self.now.max(at);
            self.tally.events += 1;
            if self.now > self.people.ends_at + PATIENCE {
                let open = self.what_is_open();
                return self.violate(Rule::Stuck, format!("a month later there is still {open}"));
            }
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act(act) => self.act(act),
            Event::Visit(visit) => self.visited(*visit),
            Event::Arrive(letter) => self.arrived(letter.0, &letter.1, letter.2),
            Event::Return(sender, outcome) => self.returned(sender, *outcome),
            Event::GaveUp(waiter) => self.gave_up(waiter),
            Event::Told(told) => {
                let (object, ask, waiter, millis) = *told;
                self.ask(&object, ask, waiter, millis);
            }
            Event::Held {
                object,
                life,
                caller,
                item,
            } => self.held(&object, life, caller, item),
            Event::Alarm { object, at } => self.alarm(&object, at),
            Event::Recalled {
                object,
                life,
                input,
                recalled,
            } => {
                if self.lives(&object, life) {
                    self.feed(&object, *input, recalled);
                }
            }
            Event::Put {
                object,
                life,
                key,
                value,
                rev,
            } => self.put(object, life, key, value, rev),
            Event::Mirrored {
                object,
                life,
                key,
                rev,
                ok,
            } => {
                if self.lives(&object, life) {
                    self.feed(&object, Input::Mirrored { key, rev, ok }, BTreeMap::new());
                }
            }
        }
    }

    /// Makes something happen later.
    pub fn at(&mut self, at: i64, event: Event) {
        if !matches!(event, Event::Alarm { .. }) {
            self.busy += 1;
        }
        self.count += 1;
        self.queue.push(Entry {
            at: at.max(self.now),
            n: self.count,
            event,
        });
    }

    /// A number that nothing else has.
    pub fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Whether something goes wrong now.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = !self.is_over && self.dice.chance(self.plan.rate(fault));
        if strikes {
            self.tally.fault(fault);
        }
        strikes
    }

    /// A line for whoever replays this run.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let after = self.now - START;
            let line = line();
            trace.push(format!("{:>9}.{:03} {line}", after / 1_000, after % 1_000));
        }
    }

    /// What happened, line by line.
    pub fn trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// Something happened that must not.
    pub fn violate(&mut self, rule: Rule, what: String) {
        self.say(|| format!("!! {rule:?}: {what}"));
        if self.ledger.violation.is_none() {
            let (seed, at) = (self.plan.seed, self.now - START);
            self.ledger.violation = Some(Violation {
                seed,
                rule,
                what,
                at,
            });
        }
    }

    /// The time by an object's own clock.
    pub fn clock(&self, object: &str) -> i64 {
        self.now + self.objects.get(object).map_or(0, |object| object.skew)
    }
}

#[derive(Debug)]
struct Entry {
    at: i64,
    n: u64,
    event: Event,
}

// The earliest is the greatest, as the heap wants it.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.n).cmp(&(self.at, self.n))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.n == other.n
    }
}

impl Eq for Entry {}

fn settings(key: &SigningKey) -> BTreeMap<String, String> {
    let seal = format!("k1:{}", STANDARD.encode([7; 32]));
    let public = STANDARD.encode(key.verifying_key().to_bytes());
    let values = [
        ("GHL_CLIENT_ID", CLIENT_ID),
        ("GHL_CLIENT_SECRET", "client-secret"),
        ("GHL_REDIRECT_URI", "https://sync.test/auth/callback"),
        ("GHL_PROVIDER_ID", PROVIDER),
        ("GHL_API_URL", GHL_URL),
        ("GHL_PUBLIC_KEYS", &public),
        ("VCX_WEBHOOK_URL", VCX_URL),
        (
            "VCX_WEBHOOK_SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        ("VCX_API_KEY", API_KEY),
        ("SEAL_KEYS", &seal),
    ];
    values
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// 2026-10-08T09:00:00.000Z.
pub const START: i64 = 1_791_450_000_000;
pub const API_KEY: &str = "vcx-key";
pub const GHL_URL: &str = "https://ghl.test";
pub const VCX_URL: &str = "https://vcx.test/events";
const CLIENT_ID: &str = "app1-key1";
pub const PROVIDER: &str = "provider-1";
/// How long it may take until all is done once nothing goes wrong any more: parked work keeps 30
/// days, and GHL repeats its webhooks for as long.
const PATIENCE: i64 = 40 * 86_400_000;

//! The host: what `js/location.js` does, in simulated time. One input is one transaction; outputs
//! leave once it is on disk; a crash leaves the database as it was committed, and nothing else.

use super::brief::{brief, brief_output};
use super::disk::{Disk, INJECTED};
use super::ledger::{Flight, Rule};
use super::network::Sender;
use super::plan::Fault;
use super::sabotage::Sabotage;
use super::visits::Waiter;
use super::world::{Event, World};
use std::collections::BTreeMap;
use vcx_ghl::error::{Code, Problem};
use vcx_ghl::http::{Outcome, Response};
use vcx_ghl::location::{Ask, Feed, Input, Output, Rollback, handle};

/// A Durable Object.
pub struct Object {
    pub disk: Disk,
    /// When the platform is to wake it, by its own clock.
    pub alarm: Option<i64>,
    /// What is lost in a crash.
    pub life: Option<Life>,
    /// How far its clock is ahead.
    pub skew: i64,
    lives: u64,
    /// The first tokens it had, for a sabotage.
    tokens: Option<String>,
}

/// An object's memory.
pub struct Life {
    pub id: u64,
    pub callers: BTreeMap<String, u64>,
    pub flights: BTreeMap<(String, i64), Flight>,
    asked: u64,
    budget: u32,
}

type Recalled = BTreeMap<String, Option<String>>;

impl World {
    /// Asks an object something, for `millis` at most.
    pub fn ask(&mut self, name: &str, ask: Ask, waiter: Waiter, millis: i64) {
        let id = self.number();
        self.waiters.insert(id, waiter);
        self.at(self.now + millis, Event::GaveUp(id));
        let life = self.alive(name);
        life.budget = CALLS_PER_EVENT;
        life.asked += 1;
        let caller = format!("{}:{}", life.id, life.asked);
        life.callers.insert(caller.clone(), id);
        let object = name.to_owned();
        self.feed(
            name,
            Input::Asked {
                caller,
                object,
                ask,
            },
            Recalled::new(),
        );
    }

    /// Whether an object lives the life that something belongs to.
    pub fn lives(&self, name: &str, life: u64) -> bool {
        let object = self
            .objects
            .get(name)
            .and_then(|object| object.life.as_ref());
        object.is_some_and(|alive| alive.id == life)
    }

    /// A caller has been held long enough.
    pub fn held(&mut self, name: &str, life: u64, caller: String, item: i64) {
        let object = self
            .objects
            .get(name)
            .and_then(|object| object.life.as_ref());
        let waits =
            object.is_some_and(|alive| alive.id == life && alive.callers.contains_key(&caller));
        if waits {
            self.feed(name, Input::Waited { caller, item }, Recalled::new());
        }
    }

    /// The platform wakes an object.
    pub fn alarm(&mut self, name: &str, at: i64) {
        let Some(object) = self.objects.get(name) else {
            return;
        };
        if object.alarm != Some(at) {
            return;
        }
        let early = at - self.clock(name);
        if early > 0 {
            // Its clock jumped back.
            self.at(
                self.now + early,
                Event::Alarm {
                    object: name.to_owned(),
                    at,
                },
            );
            return;
        }
        if self.strikes(Fault::AlarmLate) {
            let late = self.dice.about(1_000, 120_000);
            self.at(
                self.now + late,
                Event::Alarm {
                    object: name.to_owned(),
                    at,
                },
            );
            return;
        }
        if let Some(object) = self.objects.get_mut(name) {
            object.alarm = None;
        }
        self.alive(name).budget = CALLS_PER_EVENT;
        self.feed(name, Input::Wake, Recalled::new());
        // An alarm that did not come to its end is tried again by the platform.
        if self
            .objects
            .get(name)
            .is_none_or(|object| object.life.is_none())
        {
            self.wake(name, self.clock(name) + 2_000);
        }
    }

    /// The object's memory; if it has none, it is constructed.
    fn alive(&mut self, name: &str) -> &mut Life {
        let idle = self
            .objects
            .get(name)
            .and_then(|object| object.life.as_ref())
            .is_some_and(|life| life.flights.is_empty() && life.callers.is_empty());
        if idle && self.strikes(Fault::Evicted) {
            self.objects
                .entry(name.to_owned())
                .and_modify(|object| object.life = None);
        }
        let sabotage = self.plan.sabotage;
        let object = self
            .objects
            .entry(name.to_owned())
            .or_insert_with(|| Object {
                disk: Disk::new(sabotage),
                alarm: None,
                life: None,
                skew: 0,
                lives: 0,
                tokens: None,
            });
        if object.life.is_none() {
            object.lives += 1;
            object.life = Some(Life {
                id: object.lives,
                callers: BTreeMap::new(),
                flights: BTreeMap::new(),
                asked: 0,
                budget: CALLS_PER_EVENT,
            });
            self.say(|| format!("{name} is constructed"));
            self.feed(name, Input::Started, Recalled::new());
        }
        // It may have crashed at its very start.
        if self.objects[name].life.is_none() {
            return self.alive(name);
        }
        self.objects.get_mut(name).unwrap().life.as_mut().unwrap()
    }

    /// One input, fed until the core takes it.
    pub fn feed(&mut self, name: &str, input: Input, recalled: Recalled) {
        if self.ledger.violation.is_some() {
            return;
        }
        if self.strikes(Fault::CrashBefore) {
            return self.crash(name);
        }
        match self.transact(name, &input, &recalled) {
            Ok(outputs) => self.committed(name, &input, outputs),
            Err(Rollback::Recall(keys)) => {
                let life = self.life_of(name);
                let recalled = keys
                    .into_iter()
                    .map(|key| (key.clone(), self.kv_get(&key)))
                    .collect();
                let (object, input) = (name.to_owned(), Box::new(input));
                self.at(
                    self.now + 30,
                    Event::Recalled {
                        object,
                        life,
                        input,
                        recalled,
                    },
                );
            }
            Err(Rollback::Fault(fault)) => {
                if !fault.0.contains(INJECTED) {
                    return self.violate(Rule::Fault, format!("{fault} at {}", brief(&input)));
                }
                self.fell(name, &input);
                let trapped = Input::Trapped {
                    input: Box::new(input.clone()),
                };
                match self.transact(name, &trapped, &Recalled::new()) {
                    Ok(outputs) => self.committed(name, &trapped, outputs),
                    Err(_) => self.broken(name, &input),
                }
            }
        }
    }

    fn transact(
        &mut self,
        name: &str,
        input: &Input,
        recalled: &Recalled,
    ) -> Result<Vec<Output>, Rollback> {
        self.tally.turns += 1;
        let now = self.clock(name);
        let fails_in = self
            .strikes(Fault::Trap)
            .then(|| self.dice.between(0, 12) as u32);
        let is_dropped = self.plan.sabotage == Some(Sabotage::DropCommits)
            && !self.is_over
            && matches!(
                input,
                Input::Asked {
                    ask: Ask::Push { .. },
                    ..
                } | Input::Answered { .. }
            )
            && self.dice.chance(0.05);
        let Ok(settings) = &self.settings else {
            panic!("the settings are wrong")
        };
        let object = self.objects.get_mut(name).unwrap();
        let budget = object
            .life
            .as_ref()
            .map_or(CALLS_PER_EVENT, |life| life.budget);
        let entropy = &mut self.entropy;
        object.disk.begin();
        object.disk.fails_in.set(fails_in);
        let feed = Feed {
            input,
            recalled,
            now,
            budget,
        };
        let outcome = handle(&object.disk, settings, &feed, &mut |bytes| {
            entropy.fill(bytes)
        });
        let added = object.disk.end(outcome.is_ok() && !is_dropped);
        for (key, lane) in added {
            self.ledger.accept(name, key, lane);
        }
        self.say(|| {
            let came = match &outcome {
                Ok(outputs) => outputs
                    .iter()
                    .map(brief_output)
                    .collect::<Vec<_>>()
                    .join(", "),
                Err(rollback) => format!("{rollback:?}"),
            };
            format!("{name} {} -> {came}", brief(input))
        });
        if outcome.is_ok() {
            self.sabotage(name);
        }
        outcome
    }

    /// The turn is on disk: what it has put out is done.
    fn committed(&mut self, name: &str, input: &Input, outputs: Vec<Output>) {
        if let Input::Answered {
            call,
            attempt,
            outcome,
        } = input
        {
            self.landed(name, call, *attempt, outcome);
        }
        if let Input::Asked {
            ask: Ask::Webhook { webhook },
            ..
        } = input
        {
            self.took_webhook(name, webhook);
        }
        let crashes = self.strikes(Fault::CrashAfterCommit);
        for output in outputs {
            // The alarm is set in the same turn, and so is on disk with it.
            if !crashes || matches!(output, Output::Wake { .. }) {
                self.perform(name, output);
            }
        }
        if crashes || self.strikes(Fault::CrashAfterOutputs) {
            self.crash(name);
        }
    }

    fn perform(&mut self, name: &str, output: Output) {
        if self
            .objects
            .get(name)
            .is_none_or(|object| object.life.is_none())
        {
            return;
        }
        match output {
            Output::Call {
                call,
                attempt,
                request,
                timeout_ms,
            } => {
                let life = self.spend(name);
                let sender = Sender::Object {
                    object: name.to_owned(),
                    life,
                    call,
                    attempt,
                };
                self.launch(sender, request, timeout_ms);
            }
            Output::Tell {
                call,
                attempt,
                object,
                ask,
                timeout_ms,
            } => {
                let life = self.spend(name);
                let waiter = Waiter::Tell {
                    object: name.to_owned(),
                    life,
                    call: call.clone(),
                    attempt,
                };
                self.took_off(name, call, attempt, Flight::Tell);
                self.at(
                    self.now + 5,
                    Event::Told(Box::new((object, ask, waiter, timeout_ms))),
                );
            }
            Output::Answer { caller, response } => self.answer(name, &caller, response),
            Output::Accept { .. }
            | Output::Send { .. }
            | Output::Close { .. }
            | Output::Publish { .. } => panic!("nobody listens here"),
            Output::Hold {
                caller,
                item,
                millis,
            } => {
                let (object, life) = (name.to_owned(), self.life_of(name));
                self.at(
                    self.now + millis,
                    Event::Held {
                        object,
                        life,
                        caller,
                        item,
                    },
                );
            }
            Output::Wake { at } => self.wake(name, at),
            Output::Mirror {
                key,
                value,
                rev,
                listed: _,
            } => {
                let life = self.life_of(name);
                self.kv_put(name, life, key, value, rev);
            }
            Output::Log { line } => self.logged(&line),
        }
    }

    fn answer(&mut self, name: &str, caller: &str, response: Response) {
        let life = self
            .objects
            .get_mut(name)
            .and_then(|object| object.life.as_mut());
        if let Some(waiter) = life.and_then(|life| life.callers.remove(caller)) {
            self.resolve(waiter, Outcome::Answered(response));
        }
    }

    /// Not even the turn that takes note of a failure got through.
    fn broken(&mut self, name: &str, input: &Input) {
        if let Input::Asked { caller, .. } = input {
            let response = Problem::new(Code::Internal, "nothing was stored").response();
            self.answer(name, caller, response);
        }
        self.wake(name, self.clock(name) + 15_000);
    }

    fn wake(&mut self, name: &str, at: i64) {
        let now = self.clock(name);
        let Some(object) = self.objects.get_mut(name) else {
            return;
        };
        if object.alarm.is_some_and(|alarm| alarm <= at) {
            return;
        }
        object.alarm = Some(at);
        let due = self.now + (at - now).max(0);
        self.at(
            due,
            Event::Alarm {
                object: name.to_owned(),
                at,
            },
        );
    }

    /// The object's clock jumps.
    pub fn jump(&mut self, name: &str, by: i64) {
        let Some(object) = self.objects.get_mut(name) else {
            return;
        };
        // Beyond five minutes vCX would not take our signatures.
        let by = (object.skew + by).clamp(-SKEW, SKEW) - object.skew;
        object.skew += by;
        self.ledger.jumped(name, self.now);
        self.say(|| format!("the clock of {name} jumps by {by} ms"));
        if let Some(at) = self.objects[name].alarm {
            let due = self.now + (at - self.clock(name)).max(0);
            self.at(
                due,
                Event::Alarm {
                    object: name.to_owned(),
                    at,
                },
            );
        }
    }

    /// All that is in memory is gone.
    pub fn crash(&mut self, name: &str) {
        let life = self
            .objects
            .get_mut(name)
            .and_then(|object| object.life.take());
        let Some(life) = life else { return };
        self.tally.crashes += 1;
        self.say(|| format!("{name} goes down"));
        self.ledger.lost(life.flights.into_values());
        for waiter in life.callers.into_values() {
            let message = "the object went down".into();
            self.resolve(waiter, Outcome::Dropped { message });
        }
    }

    pub fn life_of(&self, name: &str) -> u64 {
        self.objects
            .get(name)
            .and_then(|object| object.life.as_ref())
            .map_or(0, |life| life.id)
    }

    fn spend(&mut self, name: &str) -> u64 {
        let life = self
            .objects
            .get_mut(name)
            .and_then(|object| object.life.as_mut());
        life.map_or(0, |life| {
            life.budget = life.budget.saturating_sub(1);
            life.id
        })
    }

    fn sabotage(&mut self, name: &str) {
        let Some(sabotage) = self.plan.sabotage.filter(|_| !self.is_over) else {
            return;
        };
        let object = self.objects.get_mut(name).unwrap();
        if object.disk.number("SELECT count(*) FROM sqlite_schema") == 0 {
            return;
        }
        for statement in sabotage.after_turn() {
            object.disk.plain(statement);
        }
        if sabotage == Sabotage::OldTokens {
            let tokens = object
                .disk
                .texts("SELECT tokens FROM location")
                .into_iter()
                .next();
            if object.tokens.is_none() {
                object.tokens = tokens;
            } else if let Some(old) = &object.tokens {
                object
                    .disk
                    .plain(&format!("UPDATE location SET tokens = '{old}'"));
            }
        }
    }
}

const SKEW: i64 = 240_000;
/// The platform allows 1,000 in one event.
const CALLS_PER_EVENT: u32 = 500;

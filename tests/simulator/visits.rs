//! Whoever comes to our edge (`js/worker.js`): vCX's backend, GHL with its webhooks, an admin.

use super::ledger::Rule;
use super::network::Sender;
use super::plan::Fault;
use super::world::{API_KEY, Event, World};
use std::collections::BTreeMap;
use vcx_ghl::edge::{self, Brought, Incoming, Step, Then};
use vcx_ghl::error::{Code, Problem};
use vcx_ghl::http::{Outcome, Response};
use vcx_ghl::location::Input;

/// Who comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// vCX with a message, by its place among all.
    Push(usize),
    /// GHL with a webhook, by its place among all.
    Webhook(usize),
    /// An admin who installs the app for this location or agency.
    Admin(String),
    /// Anybody else, whose answer nobody keeps.
    Other(&'static str),
}

/// A request to our edge.
#[derive(Debug)]
pub struct Visit {
    pub from: From,
    pub method: &'static str,
    pub path: String,
    pub signature: Option<String>,
    pub body: String,
    /// The answer gets lost.
    unanswered: bool,
}

/// Who waits for an object.
#[derive(Debug)]
pub enum Waiter {
    /// The edge, for somebody.
    Edge {
        from: From,
        then: Option<Then>,
        unanswered: bool,
    },
    /// Another object.
    Tell {
        object: String,
        life: u64,
        call: String,
        attempt: i64,
    },
}

impl World {
    /// Somebody sends a request.
    pub fn visit(
        &mut self,
        from: From,
        method: &'static str,
        path: &str,
        body: String,
        signature: Option<String>,
    ) {
        if self.strikes(Fault::VisitLost) {
            let patience = self.dice.between(100, 30_000);
            return self.at(
                self.now + patience,
                Event::Act(super::people::Act::Heard(from, None)),
            );
        }
        let unanswered = self.strikes(Fault::VisitUnanswered);
        let path = path.to_owned();
        let lag = self.dice.about(5, 200);
        let visit = Visit {
            from,
            method,
            path,
            signature,
            body,
            unanswered,
        };
        self.at(self.now + lag, Event::Visit(Box::new(visit)));
    }

    /// It reaches the edge.
    pub fn visited(&mut self, visit: Visit) {
        let bearer = format!("Bearer {API_KEY}");
        let url = format!("https://sync.test{}", visit.path);
        let incoming = Incoming {
            method: visit.method,
            url: &url,
            authorization: Some(&bearer),
            signature: visit.signature.as_deref(),
            body: Some(visit.body.as_bytes()),
            ..Incoming::default()
        };
        let entropy = &mut self.entropy;
        let step = edge::route(&incoming, &self.settings, self.now, &mut |bytes| {
            entropy.fill(bytes)
        });
        self.step(visit.from, step, visit.unanswered);
    }

    fn step(&mut self, from: From, step: Step, unanswered: bool) {
        match step {
            Step::Respond { response, log: _ } => self.respond(from, response, unanswered),
            Step::Ask { object, ask, then } => {
                let waiter = Waiter::Edge {
                    from,
                    then,
                    unanswered,
                };
                self.ask(&object, ask, waiter, ASK_TIMEOUT);
            }
            Step::Listen { .. } => panic!("nobody listens here"),
            Step::Fetch {
                request,
                timeout_ms,
                then,
            } => {
                self.launch(Sender::Edge { from, then }, request, timeout_ms);
            }
            Step::List { then, .. } => {
                let brought = Brought::Page {
                    keys: Vec::new(),
                    cursor: None,
                };
                let step = edge::proceed(&then, &brought, self.now);
                self.step(from, step, unanswered);
            }
        }
    }

    /// The edge goes on with an outcome.
    pub fn proceed(&mut self, from: From, then: &Then, outcome: Outcome) {
        let step = edge::proceed(then, &Brought::Outcome { outcome }, self.now);
        self.step(from, step, false);
    }

    /// An object has answered, or will not.
    pub fn resolve(&mut self, waiter: u64, outcome: Outcome) {
        match self.waiters.remove(&waiter) {
            None => {}
            Some(Waiter::Tell {
                object,
                life,
                call,
                attempt,
            }) => {
                let sender = Sender::Object {
                    object,
                    life,
                    call,
                    attempt,
                };
                self.at(self.now + 5, Event::Return(sender, Box::new(outcome)));
            }
            Some(Waiter::Edge {
                from,
                then: Some(then),
                ..
            }) => self.proceed(from, &then, outcome),
            Some(Waiter::Edge {
                from,
                then: None,
                unanswered,
            }) => {
                let response = match outcome {
                    Outcome::Answered(response) => response,
                    Outcome::TimedOut | Outcome::Dropped { .. } => {
                        Problem::new(Code::Unavailable, "the location did not answer in time")
                            .response()
                    }
                };
                self.respond(from, response, unanswered);
            }
        }
    }

    /// Somebody's time is up.
    pub fn gave_up(&mut self, waiter: u64) {
        let Some(waits) = self.waiters.get(&waiter) else {
            return;
        };
        if let (Waiter::Edge { .. }, false) = (waits, self.may_stall()) {
            let what = format!("{waits:?} was never answered");
            return self.violate(Rule::Caller, what);
        }
        self.resolve(waiter, Outcome::TimedOut);
    }

    /// A caller of an object may be forgotten only by a fault of its disk.
    fn may_stall(&self) -> bool {
        self.plan.rate(Fault::Trap) > 0.0
    }

    fn respond(&mut self, from: From, response: Response, unanswered: bool) {
        let lag = self.dice.about(5, 200);
        let heard = if unanswered { None } else { Some(response) };
        self.at(
            self.now + lag,
            Event::Act(super::people::Act::Heard(from, heard)),
        );
    }

    /// Somebody asks for a location's health, and gets it at once.
    pub fn health(&mut self, location: &str) -> serde_json::Value {
        // Not by the event queue: it is the simulator itself that looks.
        let object = vcx_ghl::location::object_of(location);
        let input = Input::Asked {
            caller: "simulator".into(),
            object: object.clone(),
            ask: vcx_ghl::location::Ask::Health,
        };
        self.peek(&object, &input).unwrap_or_default()
    }

    fn peek(&mut self, name: &str, input: &Input) -> Option<serde_json::Value> {
        let Ok(settings) = &self.settings else {
            return None;
        };
        let object = self.objects.get(name)?;
        let recalled = BTreeMap::new();
        let feed = vcx_ghl::location::Feed {
            input,
            recalled: &recalled,
            now: self.clock(name),
            budget: 0,
        };
        object.disk.begin();
        let mut entropy = self.entropy.clone();
        let outcome = vcx_ghl::location::handle(&object.disk, settings, &feed, &mut |bytes| {
            entropy.fill(bytes)
        });
        object.disk.end(false);
        outcome.ok()?.into_iter().find_map(|output| match output {
            vcx_ghl::location::Output::Answer { response, .. } => {
                serde_json::from_str(&response.body).ok()
            }
            _ => None,
        })
    }
}

/// The edge waits for an object for so long.
const ASK_TIMEOUT: i64 = 20_000;

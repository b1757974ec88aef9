//! Calls on their way to GHL and vCX and back: how long that takes, and what goes wrong.

use super::ledger::Flight;
use super::plan::Fault;
use super::visits::From;
use super::world::{Event, GHL_URL, VCX_URL, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vcx_ghl::edge::Then;
use vcx_ghl::http::{Outcome, Request, Response};
use vcx_ghl::location::Input;

/// Who called.
#[derive(Clone, Debug)]
pub enum Sender {
    /// An object, in one of its lives.
    Object {
        object: String,
        life: u64,
        call: String,
        attempt: i64,
    },
    /// The edge, on behalf of somebody.
    Edge { from: From, then: Then },
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub struct Fate {
    pub fault: Option<Fault>,
    /// When it arrives, if it does.
    arrives: Option<i64>,
    /// How it ends, if not with the other side's answer.
    instead: Option<(i64, Outcome)>,
    /// When its time is up.
    deadline: i64,
}

impl World {
    /// A call leaves.
    pub fn launch(&mut self, sender: Sender, request: Request, timeout: i64) {
        let deadline = self.now + timeout;
        let fate = self.fate(&request, deadline);
        self.begun(&sender, &request, &fate);
        if let Some((at, outcome)) = &fate.instead {
            self.at(
                *at,
                Event::Return(sender.clone(), Box::new(outcome.clone())),
            );
        }
        if let Some(at) = fate.arrives {
            self.at(at, Event::Arrive(Box::new((sender, request, fate))));
        }
    }

    /// A call arrives.
    pub fn arrived(&mut self, sender: Sender, request: &Request, fate: Fate) {
        let response = if request.url.starts_with(VCX_URL) {
            self.tally.vcx_calls += 1;
            self.vcx_answers(request)
        } else {
            self.tally.ghl_calls += 1;
            self.ghl_answers(&sender, request)
        };
        self.say(|| {
            let said: String = response.body.chars().take(200).collect();
            format!("    {request:?} is answered {} {said}", response.status)
        });
        if fate.instead.is_some() {
            return;
        }
        let (response, lag) = match fate.fault {
            Some(Fault::GarbledSuccess) if response.ok() => {
                let half = response
                    .body
                    .chars()
                    .take(response.body.chars().count() / 2)
                    .collect();
                (
                    Response {
                        body: half,
                        ..response
                    },
                    self.latency(),
                )
            }
            Some(Fault::RefusedAfter) if response.ok() => {
                (refusal(422, "email must be an email"), self.latency())
            }
            Some(Fault::Slow) => (response, self.dice.between(2_000, 16_000)),
            Some(_) | None => (response, self.latency()),
        };
        let (at, outcome) = match self.now + lag {
            at if at <= fate.deadline => (at, Outcome::Answered(response)),
            _ => (fate.deadline, Outcome::TimedOut),
        };
        self.at(at, Event::Return(sender, Box::new(outcome)));
    }

    /// A call ends.
    pub fn returned(&mut self, sender: Sender, outcome: Outcome) {
        match sender {
            Sender::Object {
                object,
                life,
                call,
                attempt,
            } => {
                if self.lives(&object, life) {
                    self.feed(
                        &object,
                        Input::Answered {
                            call,
                            attempt,
                            outcome,
                        },
                        BTreeMap::new(),
                    );
                }
            }
            Sender::Edge { from, then } => self.proceed(from, &then, outcome),
        }
    }

    /// A call of an object's is under way.
    pub fn took_off(&mut self, object: &str, call: String, attempt: i64, flight: Flight) {
        let life = self
            .objects
            .get_mut(object)
            .and_then(|object| object.life.as_mut());
        if let Some(life) = life {
            life.flights.insert((call, attempt), flight);
        }
    }

    fn fate(&mut self, request: &Request, deadline: i64) -> Fate {
        let (out, back) = (self.latency(), self.latency());
        let arrives = Some(self.now + out);
        let end = self.now + out + back;
        let fault = self.draw_fault(request);
        let dropped = || Outcome::Dropped {
            message: "connection reset".into(),
        };
        let (arrives, instead) = match fault {
            None => (arrives, None),
            Some(fault) => match fault {
                Fault::DroppedBefore => (None, Some((end, dropped()))),
                Fault::DroppedAfter => (arrives, Some((end, dropped()))),
                Fault::TimedOutBefore => (None, Some((deadline, Outcome::TimedOut))),
                Fault::TimedOutAfter => (arrives, Some((deadline, Outcome::TimedOut))),
                Fault::StoredLate => {
                    let at = self.now + self.dice.between(1_000, 29_900);
                    let ends = match self.dice.chance(0.5) {
                        true => (deadline, Outcome::TimedOut),
                        false => (end, dropped()),
                    };
                    (Some(at), Some(ends))
                }
                Fault::ErrorBefore => (None, Some((end, self.error(&[500, 503])))),
                Fault::ErrorAfter => (arrives, Some((end, self.error(&[500, 503])))),
                Fault::SilentBefore => (None, Some((end, self.error(&[502, 504])))),
                Fault::SilentAfter => (arrives, Some((end, self.error(&[502, 504])))),
                Fault::TooMany | Fault::TooManyWithTime => {
                    let mut response = refusal(429, "Too Many Requests");
                    if fault == Fault::TooManyWithTime {
                        let seconds = self.dice.between(1, 60).to_string();
                        response = response.header("retry-after", seconds);
                    }
                    (None, Some((end, Outcome::Answered(response))))
                }
                Fault::Expired => {
                    let response = refusal(401, "Invalid token: access token is invalid");
                    (None, Some((end, Outcome::Answered(response))))
                }
                Fault::WrongScope => {
                    let words = *self.dice.pick(&[
                        "The token is not authorized for this scope.",
                        "version header was not found.",
                        "Token's user type mismatch!",
                    ]);
                    (None, Some((end, Outcome::Answered(refusal(401, words)))))
                }
                Fault::Redirect => {
                    let response = Response::text(302, "text/html", String::new());
                    let response = response.header("location", "https://elsewhere.test/");
                    (None, Some((end, Outcome::Answered(response))))
                }
                Fault::EmptySuccess => {
                    let response = Response::text(201, "text/plain", String::new());
                    (None, Some((end, Outcome::Answered(response))))
                }
                Fault::GhlDown | Fault::VcxDown => match self.dice.chance(0.5) {
                    true => (None, Some((end, dropped()))),
                    false => (None, Some((end, self.error(&[500, 502, 503])))),
                },
                _ => (arrives, None),
            },
        };
        let instead = instead.map(|(at, outcome): (i64, Outcome)| (at.min(deadline), outcome));
        Fate {
            fault,
            arrives,
            instead,
            deadline,
        }
    }

    fn draw_fault(&mut self, request: &Request) -> Option<Fault> {
        let is_vcx = request.url.starts_with(VCX_URL);
        let down = if is_vcx {
            Fault::VcxDown
        } else {
            Fault::GhlDown
        };
        if self.people.is_down(down) {
            self.tally.fault(down);
            return Some(down);
        }
        let label = request.label();
        let of_token = label.starts_with("POST /oauth/");
        let kinds: &[&[Fault]] = match label.as_str() {
            _ if is_vcx => &[
                ANYWHERE,
                &[Fault::TooMany, Fault::TooManyWithTime, Fault::WrongScope],
            ],
            "POST /conversations/messages/inbound" => &[
                ANYWHERE,
                OF_GHL,
                &[
                    Fault::StoredLate,
                    Fault::EmptySuccess,
                    Fault::GarbledSuccess,
                ],
            ],
            "POST /contacts/" | "POST /contacts/upsert" => &[
                ANYWHERE,
                OF_GHL,
                &[Fault::RefusedAfter, Fault::GarbledSuccess],
            ],
            _ if of_token => &[ANYWHERE, &[Fault::TooMany, Fault::GarbledSuccess]],
            _ => &[ANYWHERE, OF_GHL],
        };
        kinds
            .iter()
            .copied()
            .flatten()
            .copied()
            .find(|fault| self.strikes(*fault))
    }

    fn latency(&mut self) -> i64 {
        self.dice.about(10, 400)
    }

    fn error(&mut self, statuses: &[u16]) -> Outcome {
        let status = *self.dice.pick(statuses);
        Outcome::Answered(refusal(status, "Internal server error"))
    }

    /// GHL answers, and posts what there is to post.
    fn ghl_answers(&mut self, sender: &Sender, request: &Request) -> Response {
        if self.people.refuses(request) {
            return refusal(422, "message must be shorter");
        }
        let response = match self.plan.pause_refuses_calls && self.people.is_paused(request) {
            true => refusal(400, "Location is not active"),
            false => self.ghl.answer(self.now, request),
        };
        let response = self.sabotaged(request, response);
        self.observe_ghl(sender, request, &response);
        self.post_all();
        response
    }

    fn sabotaged(&self, request: &Request, response: Response) -> Response {
        let is_look = request.method == "GET" && request.url.contains("/messages?");
        match self.plan.sabotage {
            Some(super::sabotage::Sabotage::BlindLook) if is_look => {
                let body = json!({ "messages": { "messages": [], "nextPage": false } });
                Response {
                    body: body.to_string(),
                    ..response
                }
            }
            Some(_) | None => response,
        }
    }
}

impl Sender {
    /// The object, and the life that the call belongs to.
    pub fn object(&self) -> Option<(&str, u64)> {
        match self {
            Self::Object { object, life, .. } => Some((object, *life)),
            Self::Edge { .. } => None,
        }
    }
}

/// The JSON of a request's body; null when there is none.
pub fn json_of(request: &Request) -> Value {
    serde_json::from_str(request.body.as_deref().unwrap_or("null")).unwrap_or_default()
}

/// Whether a request goes to GHL's API with a token, and so counts for its limit.
pub fn counts(request: &Request) -> bool {
    request.url.starts_with(GHL_URL) && request.headers.contains_key("authorization")
}

fn refusal(status: u16, message: &str) -> Response {
    let body = json!({ "statusCode": status, "message": message, "traceId": "trace" });
    Response::json(status, &body)
}

const ANYWHERE: &[Fault] = &[
    Fault::DroppedBefore,
    Fault::DroppedAfter,
    Fault::TimedOutBefore,
    Fault::TimedOutAfter,
    Fault::ErrorBefore,
    Fault::ErrorAfter,
    Fault::SilentBefore,
    Fault::SilentAfter,
    Fault::Redirect,
    Fault::Slow,
];

const OF_GHL: &[Fault] = &[
    Fault::TooMany,
    Fault::TooManyWithTime,
    Fault::Expired,
    Fault::WrongScope,
];

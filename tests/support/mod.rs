//! A location, and everything around it that a script plays: vCX, GHL, the host, KV and time.
//!
//! `World` does with outputs what the host does, in simulated time. What reaches the outside waits
//! in `calls` until a script answers it, or its time is up. In every story it also checks what must
//! hold in all of them: at most five calls under way, none begun twice, each caller answered once,
//! the right `Version` and a token on each request to GHL, no secret in the log, no lower revision
//! over a higher one in KV, no turn after turn without time passing, and that inputs and outputs
//! survive the way to JavaScript and back.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod db;
mod ghl;
pub mod live;
mod log;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use db::Db;
use ed25519_dalek::{Signer, SigningKey};
use log::Private;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vcx_ghl::edge::{self, Brought, Configured, Incoming, Step, Then};
use vcx_ghl::ghl::Details;
use vcx_ghl::http::{self, Outcome, Request, Response};
use vcx_ghl::location::{Ask, Feed, Input, Output, Rollback, handle, object_of};
use vcx_ghl::session::Session;
use vcx_ghl::settings::Settings;
use vcx_ghl::wire::{self, Wire};

/// Where most stories play.
pub const LOCATION: &str = "loc-1";
/// 2026-10-08T09:00:00.000Z.
pub const START: i64 = 1_791_450_000_000;
pub const API_KEY: &str = "vcx-key";
pub const PROVIDER: &str = "provider-1";
pub const SESSION_SECRET: &str = "a secret that signs the sessions of tests";
/// Settings that let browsers in.
pub const BROWSERS: [(&str, &str); 2] = [
    ("SESSION_SECRET", SESSION_SECRET),
    (
        "VCX_ALLOWED_ORIGINS",
        "https://chat.example, http://localhost:5173",
    ),
];
pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// One object, its database, and what is around it.
pub struct World {
    pub db: Db,
    pub configured: Configured,
    pub object: String,
    pub now: i64,
    /// What is with the other side.
    pub calls: Vec<Call>,
    /// What KV holds.
    pub kv: BTreeMap<String, String>,
    /// What was written to KV, in order.
    pub mirrored: Vec<(String, Value)>,
    /// Whether KV takes values by itself.
    pub kv_works: bool,
    /// What was logged.
    pub log: Vec<Value>,
    /// When the object is to be woken.
    pub wake: Option<i64>,
    /// How often the code trapped.
    pub traps: u32,
    /// Calls that may be begun in one turn.
    pub budget: u32,
    /// Live clients' sockets, in the order in which they came.
    pub sockets: Vec<live::Socket>,
    /// Every random byte, where a story needs to know it: 0xff is the longest back-off.
    pub dice: Option<u8>,
    answers: BTreeMap<String, Response>,
    holds: Vec<(i64, String, i64)>,
    begun: BTreeSet<(String, i64)>,
    private: Private,
    entropy: u64,
    callers: u32,
    pushes: u32,
    webhooks: u32,
}

/// Something that is with the other side: a request, or a word to another object.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: String,
    pub attempt: i64,
    pub what: What,
    pub sent_at: i64,
    pub timeout_ms: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Request(Request),
    Tell { object: String, ask: Box<Ask> },
}

/// Somebody who asked something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub String);

// The cast.

impl World {
    /// The object of a location that nobody has connected.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The same, with other settings; an empty value takes one away.
    pub fn with(changes: &[(&str, &str)]) -> Self {
        Self::of(&object_of(LOCATION), changes)
    }

    /// Any object.
    pub fn of(object: &str, changes: &[(&str, &str)]) -> Self {
        let settings = settings(changes);
        let mut private = Private::default();
        private.learn_settings(&settings);
        Self {
            db: Db::new(),
            configured: Settings::parse(&settings),
            object: object.to_owned(),
            now: START,
            calls: Vec::new(),
            kv: BTreeMap::new(),
            mirrored: Vec::new(),
            kv_works: true,
            log: Vec::new(),
            wake: None,
            traps: 0,
            budget: 500,
            sockets: Vec::new(),
            dice: None,
            answers: BTreeMap::new(),
            holds: Vec::new(),
            begun: BTreeSet::new(),
            private,
            entropy: 7,
            callers: 0,
            pushes: 0,
            webhooks: 0,
        }
    }

    /// A location that is connected, set up, and has told vCX so.
    pub fn connected() -> Self {
        Self::connected_with(&[])
    }

    /// The same, with other settings.
    pub fn connected_with(changes: &[(&str, &str)]) -> Self {
        let mut w = Self::with(changes);
        w.connect();
        w.settle();
        w.log.clear();
        w.mirrored.clear();
        w
    }

    /// A connected location with a chat that GHL knows: `client-1`, `chat-1`, `con-client-1`.
    pub fn chatting() -> Self {
        Self::chatting_with(&[])
    }

    /// The same, with other settings.
    pub fn chatting_with(changes: &[(&str, &str)]) -> Self {
        let mut w = Self::connected_with(changes);
        w.push("the first words");
        w.settle();
        w.log.clear();
        w.mirrored.clear();
        w
    }

    pub fn settings(&self) -> &Settings {
        self.configured.as_ref().unwrap()
    }

    // What others do.

    /// Tokens of an installation reach the location.
    pub fn connect(&mut self) -> Caller {
        self.connect_with(grant(LOCATION, "access-1", "refresh-1"))
    }

    /// A token reply reaches the object, as the callback hands it over.
    pub fn connect_with(&mut self, reply: Value) -> Caller {
        let grant = vcx_ghl::ghl::tokens::Grant::read(&reply).unwrap();
        self.ask(Ask::Connect {
            grant,
            via: "install".into(),
            reference: Some("acme".into()),
        })
    }

    /// The visitor of `chat-1` writes.
    pub fn push(&mut self, body: &str) -> Caller {
        self.push_with(body, json!({}))
    }

    /// The same, with other or more fields; null takes one away.
    pub fn push_with(&mut self, body: &str, changes: Value) -> Caller {
        self.pushes += 1;
        let mut push = json!({
            "locationId": LOCATION,
            "clientId": "client-1",
            "vcxConversationId": "chat-1",
            "fromUser": true,
            "body": body,
            "timestamp": self.now,
            "messageId": format!("m{}", self.pushes),
        });
        merge(&mut push, changes);
        self.post("/push-message", &push)
    }

    /// vCX's backend posts something.
    pub fn post(&mut self, path: &str, body: &Value) -> Caller {
        let bearer = format!("Bearer {API_KEY}");
        let body = body.to_string();
        self.http(&Incoming {
            method: "POST",
            url: &format!("https://sync.test{path}"),
            authorization: Some(&bearer),
            body: Some(body.as_bytes()),
            ..Incoming::default()
        })
    }

    /// A session of `client-1` in `chat-1`, for an hour.
    pub fn session(&self) -> Session {
        Session {
            location_id: LOCATION.into(),
            client_id: "client-1".into(),
            conversation: "chat-1".into(),
            details: Details::default(),
            issued_at: self.now,
            expires_at: self.now + HOUR,
        }
    }

    /// A session's token, signed with this world's secret.
    pub fn token(&self, session: &Session) -> String {
        self.settings().session_keys.as_ref().unwrap().sign(session)
    }

    /// A browser with a session posts something, from no page in particular.
    pub fn browse(&mut self, session: &Session, path: &str, body: &Value) -> Caller {
        let token = self.token(session);
        self.bear(&token, path, None, body)
    }

    /// Whoever bears a token posts something, perhaps from a page.
    pub fn bear(&mut self, bearer: &str, path: &str, origin: Option<&str>, body: &Value) -> Caller {
        let bearer = format!("Bearer {bearer}");
        let body = body.to_string();
        self.http(&Incoming {
            method: "POST",
            url: &format!("https://sync.test{path}"),
            authorization: Some(&bearer),
            origin,
            body: Some(body.as_bytes()),
            ..Incoming::default()
        })
    }

    /// vCX's backend gets something.
    pub fn get(&mut self, path: &str) -> Caller {
        let bearer = format!("Bearer {API_KEY}");
        self.http(&Incoming {
            method: "GET",
            url: &format!("https://sync.test{path}"),
            authorization: Some(&bearer),
            body: Some(b""),
            ..Incoming::default()
        })
    }

    /// What health says right now.
    pub fn health(&mut self) -> Value {
        let caller = self.get(&format!("/locations/{LOCATION}"));
        self.body(&caller)
    }

    /// GHL sends a webhook, signed.
    pub fn webhook(&mut self, body: &Value) -> Caller {
        self.webhook_text(&body.to_string())
    }

    /// The same, byte for byte.
    pub fn webhook_text(&mut self, body: &str) -> Caller {
        let signature = sign(body);
        self.http(&Incoming {
            method: "POST",
            url: "https://sync.test/webhook",
            signature: Some(&signature),
            body: Some(body.as_bytes()),
            ..Incoming::default()
        })
    }

    /// An app event with GHL's envelope.
    pub fn app_event(&mut self, event: Value) -> Caller {
        let body = self.envelope(event);
        self.webhook(&body)
    }

    /// An app event's body.
    pub fn envelope(&mut self, event: Value) -> Value {
        self.webhooks += 1;
        let mut body = json!({
            "locationId": LOCATION,
            "appId": "app1",
            "versionId": "app1",
            "timestamp": vcx_ghl::map::iso(self.now),
            "webhookId": format!("webhook-{}", self.webhooks),
        });
        merge(&mut body, event);
        body
    }

    /// An agent answers `client-1`: GHL posts to the Delivery URL.
    pub fn reply(&mut self, id: &str, text: &str) -> Caller {
        self.webhook(&delivery("con-client-1", id, text))
    }

    /// A request goes by the edge to the object.
    pub fn http(&mut self, incoming: &Incoming<'_>) -> Caller {
        let headers = [
            incoming.authorization,
            incoming.signature,
            incoming.cookie,
            incoming
                .protocols
                .and_then(|list| list.split_once("bearer."))
                .map(|(_, token)| token),
        ];
        for secret in headers.into_iter().flatten() {
            self.private.learn(secret.trim_start_matches("Bearer "));
        }
        if let Some(body) = incoming.body {
            self.private.learn_body(&String::from_utf8_lossy(body));
        }
        let mut random = Random(&mut self.entropy, self.dice);
        let step = edge::route(incoming, &self.configured, self.now, &mut |bytes| {
            random.fill(bytes)
        });
        match step {
            Step::Respond { response, log } => {
                self.log.extend(log.map(|line| self.private.check(&line)));
                self.callers += 1;
                let caller = format!("caller-{}", self.callers);
                self.answers.insert(caller.clone(), response);
                Caller(caller)
            }
            Step::Ask {
                object,
                ask,
                then: None,
            } => {
                assert_eq!(object, self.object, "the edge asks another object");
                self.ask(ask)
            }
            Step::Listen { object, ask } => {
                assert_eq!(object, self.object, "the edge asks another object");
                self.ask(ask)
            }
            other => panic!("the edge wants something else: {other:?}"),
        }
    }

    /// Something is asked of the object.
    pub fn ask(&mut self, ask: Ask) -> Caller {
        self.private.learn_members(&wire::value(&ask));
        self.callers += 1;
        let caller = format!("caller-{}", self.callers);
        self.feed(Input::Asked {
            caller: caller.clone(),
            object: self.object.clone(),
            ask,
        });
        Caller(caller)
    }

    // What came of it.

    /// What a caller was answered, if anything yet.
    pub fn answer_to(&self, caller: &Caller) -> Option<&Response> {
        self.answers.get(&caller.0)
    }

    /// Whether a caller still waits.
    pub fn waits(&self, caller: &Caller) -> bool {
        !self.answers.contains_key(&caller.0)
    }

    /// The status a caller was answered with.
    pub fn status(&self, caller: &Caller) -> u16 {
        self.answers
            .get(&caller.0)
            .unwrap_or_else(|| panic!("{caller:?} still waits"))
            .status
    }

    /// The body a caller was answered with.
    pub fn body(&self, caller: &Caller) -> Value {
        let answer = self
            .answers
            .get(&caller.0)
            .unwrap_or_else(|| panic!("{caller:?} still waits"));
        serde_json::from_str(&answer.body).unwrap()
    }

    /// What is with the other side, in words.
    pub fn under_way(&self) -> Vec<String> {
        self.calls.iter().map(Call::label).collect()
    }

    /// The one call under way with this label.
    pub fn call(&self, label: &str) -> Call {
        let mut found = self.calls.iter().filter(|call| call.label() == label);
        let Some(call) = found.next() else {
            panic!("no {label} under way, but {:?}", self.under_way());
        };
        assert!(found.next().is_none(), "more than one {label} under way");
        call.clone()
    }

    /// The one call under way, which has this label.
    pub fn only_call(&self, label: &str) -> Call {
        assert_eq!(self.under_way(), [label]);
        self.calls[0].clone()
    }

    /// GHL (or vCX) answers.
    pub fn answer(&mut self, call: &Call, status: u16, body: Value) {
        self.answer_with(call, Response::json(status, &body));
    }

    /// The same, with headers or a body that is no JSON.
    pub fn answer_with(&mut self, call: &Call, response: Response) {
        self.end(call, Outcome::Answered(response));
    }

    /// The connection drops.
    pub fn drop_call(&mut self, call: &Call) {
        self.end(
            call,
            Outcome::Dropped {
                message: "connection reset".into(),
            },
        );
    }

    /// A call ends, however.
    pub fn end(&mut self, call: &Call, outcome: Outcome) {
        if let Outcome::Answered(response) = &outcome {
            self.private.learn_body(&response.body);
        }
        let (name, attempt) = (call.name.clone(), call.attempt);
        self.calls
            .retain(|other| (&other.name, other.attempt) != (&name, attempt));
        self.feed(Input::Answered {
            call: name,
            attempt,
            outcome,
        });
    }

    /// The one call under way with this label is answered as a healthy GHL (or vCX) would.
    pub fn take(&mut self, label: &str) -> Call {
        let call = self.call(label);
        self.answer_with(&call, ghl::answer(&call));
        call
    }

    /// The look that is under way finds these messages; says how long after [`START`].
    pub fn take_look(&mut self, messages: Value) -> i64 {
        let look = self.only_call(LOOK);
        self.answer(&look, 200, page(messages, false));
        self.now - START
    }

    /// A healthy GHL and a healthy vCX answer everything until nothing is under way. Says what
    /// was asked of them.
    pub fn settle(&mut self) -> Vec<String> {
        self.settle_calls().iter().map(Call::label).collect()
    }

    /// The same, with the calls themselves.
    pub fn settle_calls(&mut self) -> Vec<Call> {
        let mut made = Vec::new();
        while let Some(call) = self.calls.first().cloned() {
            self.answer_with(&call, ghl::answer(&call));
            made.push(call);
            assert!(made.len() < 1_000, "it never settles");
        }
        made
    }

    // Time.

    /// Time passes: waiting callers, wake-ups and time-outs come when they come.
    pub fn advance(&mut self, millis: i64) {
        let until = self.now + millis;
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.run_due();
        }
        self.now = until;
    }

    /// Time passes, and a healthy GHL and a healthy vCX answer everything at once. Says what was
    /// asked of them.
    pub fn pass(&mut self, millis: i64) -> Vec<String> {
        let until = self.now + millis;
        let mut made = self.settle();
        while self.next_at().is_some_and(|at| at <= until) {
            self.advance_to_next(until - self.now);
            made.extend(self.settle());
        }
        self.advance(until - self.now);
        made
    }

    /// Time passes until the next thing happens by itself, but no longer than `at_most`.
    pub fn advance_to_next(&mut self, at_most: i64) {
        let at = self.next_at().unwrap_or(i64::MAX).min(self.now + at_most);
        self.advance(at - self.now);
    }

    /// Time passes until a call with this label is under way, but no longer than `at_most`.
    pub fn wait_for(&mut self, label: &str, at_most: i64) -> Call {
        let until = self.now + at_most;
        while !self.calls.iter().any(|call| call.label() == label) && self.now < until {
            self.advance_to_next(until - self.now);
        }
        self.call(label)
    }

    fn next_at(&self) -> Option<i64> {
        let holds = self.holds.iter().map(|(at, ..)| *at);
        let timeouts = self.calls.iter().map(|call| call.sent_at + call.timeout_ms);
        holds.chain(timeouts).chain(self.wake).min()
    }

    fn run_due(&mut self) {
        let mut rounds = 0;
        loop {
            if let Some(at) = self.holds.iter().position(|(at, ..)| *at <= self.now) {
                let (_, caller, item) = self.holds.remove(at);
                self.turn(Input::Waited { caller, item });
            } else if let Some(call) = self
                .calls
                .iter()
                .find(|call| call.sent_at + call.timeout_ms <= self.now)
                .cloned()
            {
                self.calls.retain(|other| *other != call);
                let (call, attempt) = (call.name, call.attempt);
                self.turn(Input::Answered {
                    call,
                    attempt,
                    outcome: Outcome::TimedOut,
                });
            } else if self.wake.is_some_and(|at| at <= self.now) {
                self.wake = None;
                self.turn(Input::Wake);
            } else {
                return;
            }
            rounds += 1;
            assert!(rounds < 1_000, "it is busy without time passing");
        }
    }

    // The host.

    /// One input, and whatever is due right after it.
    pub fn feed(&mut self, input: Input) {
        self.turn(input);
        self.run_due();
    }

    /// The object goes down with all that is in memory, and comes up again.
    pub fn crash(&mut self) {
        self.calls.clear();
        self.holds.clear();
        self.lose_sockets();
        self.feed(Input::Started);
    }

    /// One input and nothing else.
    pub fn turn(&mut self, input: Input) {
        match self.handle(&input) {
            Ok(outputs) => self.perform(outputs),
            Err(_) if self.db.poison.is_some() => self.trap(input),
            Err(fault) => panic!("{fault}: {input:?}"),
        }
    }

    /// The code trapped over an input: nothing of it was kept, and the host says so.
    pub fn trap(&mut self, input: Input) {
        self.traps += 1;
        let trapped = Input::Trapped {
            input: Box::new(input),
        };
        match self.handle(&trapped) {
            Ok(outputs) => self.perform(outputs),
            // Not even that: what waits on disk is tried again soon.
            Err(_) => self.wake = Some(self.wake.unwrap_or(i64::MAX).min(self.now + 15 * SECOND)),
        }
    }

    /// One call of the transition function, in its transaction.
    pub fn handle(&mut self, input: &Input) -> Result<Vec<Output>, String> {
        // As they cross to JavaScript and back.
        let input = Input::read(wire::value(input)).unwrap();
        let settings = self.configured.as_ref().unwrap();
        let mut recalled = BTreeMap::new();
        loop {
            let before = self.entropy;
            let mut random = Random(&mut self.entropy, self.dice);
            self.db.connection.execute_batch("SAVEPOINT turn").unwrap();
            let feed = Feed {
                input: &input,
                recalled: &recalled,
                now: self.now,
                budget: self.budget,
            };
            let outcome = handle(&self.db, settings, &feed, &mut |bytes| random.fill(bytes));
            let end = match outcome {
                Ok(_) => "RELEASE turn",
                Err(_) => "ROLLBACK TO turn; RELEASE turn",
            };
            self.db.connection.execute_batch(end).unwrap();
            match outcome {
                Ok(outputs) => return Ok(outputs),
                Err(Rollback::Recall(keys)) => {
                    assert!(
                        keys.len() > recalled.len(),
                        "it asks for the same keys again"
                    );
                    recalled = keys
                        .into_iter()
                        .map(|key| (key.clone(), self.kv.get(&key).cloned()))
                        .collect();
                    self.entropy = before;
                }
                Err(Rollback::Fault(fault)) => return Err(fault.to_string()),
            }
        }
    }

    /// Does what the host does with outputs.
    pub fn perform(&mut self, outputs: Vec<Output>) {
        let mut mirrors = Vec::new();
        for output in outputs {
            assert_eq!(Output::read(wire::value(&output)).unwrap(), output);
            match output {
                Output::Call {
                    call,
                    attempt,
                    request,
                    timeout_ms,
                } => {
                    check_request(&request);
                    let secrets = ["authorization", "webhook-signature"];
                    for secret in secrets.iter().filter_map(|name| request.headers.get(*name)) {
                        self.private.learn(secret.trim_start_matches("Bearer "));
                    }
                    self.private
                        .learn_body(request.body.as_deref().unwrap_or_default());
                    self.begin(call, attempt, What::Request(request), timeout_ms);
                }
                Output::Tell {
                    call,
                    attempt,
                    object,
                    ask,
                    timeout_ms,
                } => {
                    self.begin(
                        call,
                        attempt,
                        What::Tell {
                            object,
                            ask: Box::new(ask),
                        },
                        timeout_ms,
                    );
                }
                Output::Answer { caller, response } => {
                    self.holds.retain(|(_, held, _)| *held != caller);
                    let twice = self.answers.insert(caller.clone(), response);
                    assert_eq!(twice, None, "{caller} was answered twice");
                }
                Output::Accept {
                    caller,
                    response,
                    tags,
                    cursor,
                    frames,
                } => {
                    self.accept(&response, tags, cursor, frames);
                    let twice = self.answers.insert(caller.clone(), response);
                    assert_eq!(twice, None, "{caller} was answered twice");
                }
                Output::Send {
                    socket,
                    cursor,
                    frames,
                } => self.send(&socket, cursor, frames),
                Output::Close {
                    socket,
                    code,
                    reason,
                } => self.close(&socket, code, reason),
                Output::Publish { tag } => self.publish(&tag),
                Output::Hold {
                    caller,
                    item,
                    millis,
                } => {
                    self.holds.push((self.now + millis, caller, item));
                }
                Output::Wake { at } => {
                    self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
                }
                Output::Mirror {
                    key,
                    value,
                    rev,
                    listed,
                } => {
                    assert_eq!(listed, key.starts_with("location:"));
                    mirrors.push((key, value, rev));
                }
                Output::Log { line } => self.log.push(self.private.check(&line)),
            }
        }
        for (key, value, rev) in mirrors {
            let doc: Value = serde_json::from_str(&value).unwrap();
            assert_eq!(doc["rev"], rev, "every value has its revision");
            if self.kv_works {
                let held = self.kv.insert(key.clone(), value);
                let held = held.map(|held| serde_json::from_str::<Value>(&held).unwrap());
                assert!(
                    held.is_none_or(|held| held["rev"].as_i64() < Some(rev)),
                    "{key} goes back"
                );
            }
            self.mirrored.push((key.clone(), doc));
            self.turn(Input::Mirrored {
                key,
                rev,
                ok: self.kv_works,
            });
        }
        assert!(
            self.calls.len() <= 5,
            "the platform has no room: {:?}",
            self.under_way()
        );
    }

    fn begin(&mut self, name: String, attempt: i64, what: What, timeout_ms: i64) {
        assert!(
            self.begun.insert((name.clone(), attempt)),
            "{name} {attempt} was begun before"
        );
        assert!(
            (1..=60_000).contains(&timeout_ms),
            "no call outlives a minute"
        );
        self.calls.push(Call {
            name,
            attempt,
            what,
            sent_at: self.now,
            timeout_ms,
        });
    }

    /// The lines of the log with this event.
    pub fn logged(&self, event: &str) -> Vec<&Value> {
        self.log
            .iter()
            .filter(|line| line["event"] == event)
            .collect()
    }

    /// What KV holds under a key.
    pub fn kv(&self, key: &str) -> Value {
        self.kv
            .get(key)
            .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    /// All that is in the database.
    pub fn dump(&self) -> Vec<String> {
        let connection = &self.db.connection;
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
        let mut tables = connection.prepare(sql).unwrap();
        let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let mut lines = Vec::new();
        for name in names.map(Result::unwrap) {
            let mut rows = connection
                .prepare(&format!("SELECT * FROM {name}"))
                .unwrap();
            let columns = rows.column_count();
            let mut rows = rows.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let cells: Vec<_> = (0..columns).map(|at| row.get_ref(at).unwrap()).collect();
                lines.push(format!("{name} {cells:?}"));
            }
        }
        lines
    }

    /// One number out of the database.
    pub fn number(&self, sql: &str) -> i64 {
        self.db
            .connection
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    }

    /// The edge goes on with what a step brought.
    pub fn proceed(&self, then: &Then, brought: &Brought) -> Step {
        edge::proceed(then, brought, self.now)
    }
}

impl Call {
    /// The request, if it is one.
    pub fn request(&self) -> &Request {
        match &self.what {
            What::Request(request) => request,
            What::Tell { .. } => panic!("{} is no request", self.label()),
        }
    }

    /// Its body.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.request().body.as_deref().unwrap_or("null")).unwrap()
    }

    /// A field of its form.
    pub fn form(&self, name: &str) -> Option<String> {
        pairs(self.request().body.as_deref().unwrap_or_default()).remove(name)
    }

    /// A parameter of its query.
    pub fn query(&self, name: &str) -> Option<String> {
        pairs(
            self.request()
                .url
                .split_once('?')
                .map_or("", |(_, query)| query),
        )
        .remove(name)
    }

    /// A header, by its lower-case name.
    pub fn header(&self, name: &str) -> &str {
        self.request().headers.get(name).map_or("", String::as_str)
    }

    /// Method and path at GHL; `vCX` and the event at vCX; `tell`, the object and the question.
    pub fn label(&self) -> String {
        match &self.what {
            What::Request(request) if request.url.starts_with(VCX_URL) => {
                let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
                format!("vCX {}", body["type"].as_str().unwrap())
            }
            What::Request(request) => request.label(),
            What::Tell { object, ask } => {
                let ask = wire::value(ask);
                let name = ask.as_object().and_then(|ask| ask.keys().next());
                let name = name.map_or_else(|| ask.as_str().unwrap(), String::as_str);
                format!("tell {object} {name}")
            }
        }
    }

    /// What another object is asked.
    pub fn told(&self) -> (&str, &Ask) {
        match &self.what {
            What::Tell { object, ask } => (object, ask.as_ref()),
            What::Request(_) => panic!("{} is no word to an object", self.label()),
        }
    }
}

/// What a healthy GHL (or vCX) answers.
pub fn usual_answer(call: &Call) -> Response {
    ghl::answer(call)
}

/// Settings as an engineer would give them, with changes; an empty value takes one away.
pub fn settings(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let seal = format!("k1:{}", STANDARD.encode([7; 32]));
    let ghl = STANDARD.encode(ghl_key().verifying_key().to_bytes());
    let mut values: BTreeMap<String, String> = [
        ("GHL_CLIENT_ID", "app1-key1"),
        ("GHL_CLIENT_SECRET", "client-secret"),
        ("GHL_REDIRECT_URI", "https://sync.test/auth/callback"),
        ("GHL_PROVIDER_ID", PROVIDER),
        ("GHL_API_URL", GHL_URL),
        ("GHL_PUBLIC_KEYS", ghl.as_str()),
        ("VCX_WEBHOOK_URL", VCX_URL),
        (
            "VCX_WEBHOOK_SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        ("VCX_API_KEY", API_KEY),
        ("SEAL_KEYS", seal.as_str()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    for (name, value) in changes {
        match *value {
            "" => values.remove(*name),
            value => values.insert((*name).to_owned(), value.to_owned()),
        };
    }
    values
}

/// GHL's token reply for a location.
pub fn grant(location: &str, access: &str, refresh: &str) -> Value {
    json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": 86_399,
        "refresh_token": refresh,
        "scope": "contacts.readonly",
        "userType": "Location",
        "locationId": location,
        "userId": "user-1",
    })
}

/// GHL's token reply for an agency.
pub fn company_grant(company: &str, access: &str, refresh: &str) -> Value {
    json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": 86_399,
        "refresh_token": refresh,
        "userType": "Company",
        "companyId": company,
        "isBulkInstallation": true,
        "userId": "user-1",
    })
}

/// A Delivery-URL post.
pub fn delivery(contact: &str, id: &str, text: &str) -> Value {
    json!({
        "contactId": contact,
        "locationId": LOCATION,
        "messageId": id,
        "type": "SMS",
        "phone": "",
        "message": text,
        "attachments": [],
        "userId": "user-1",
    })
}

/// GHL's `OutboundMessage` on our channel, without its envelope.
pub fn outbound(contact: &str, id: &str, text: &str) -> Value {
    json!({
        "type": "OutboundMessage",
        "body": text,
        "contactId": contact,
        "conversationId": contact.replace("con-", "cnv-"),
        "contentType": "text/plain",
        "direction": "outbound",
        "messageType": "Custom",
        "messageTypeString": "TYPE_CUSTOM_PROVIDER_SMS",
        "messageId": id,
        "status": "delivered",
        "source": "app",
        "userId": "user-1",
        "conversationProviderId": PROVIDER,
    })
}

/// A page of a conversation's messages, nested as GHL really does it, newest first.
pub fn page(messages: Value, more: bool) -> Value {
    let last = messages
        .as_array()
        .unwrap()
        .last()
        .map(|message| message["id"].clone());
    json!({
        "messages": { "lastMessageId": last, "nextPage": more, "messages": messages },
        "traceId": "trace-1",
    })
}

/// A refusal as GHL words it.
pub fn refusal(status: u16, message: &str) -> Value {
    json!({ "statusCode": status, "message": message, "traceId": "trace-1" })
}

/// GHL's signature over a body.
pub fn sign(body: &str) -> String {
    STANDARD.encode(ghl_key().sign(body.as_bytes()).to_bytes())
}

/// Puts the members of `changes` into `value`; null takes one away.
pub fn merge(value: &mut Value, changes: Value) {
    let object = value.as_object_mut().unwrap();
    for (name, change) in changes.as_object().unwrap() {
        match change {
            Value::Null => object.remove(name),
            change => object.insert(name.clone(), change.clone()),
        };
    }
}

fn ghl_key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

pub fn pairs(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// What every request to GHL must have.
fn check_request(request: &Request) {
    if request.url.starts_with(VCX_URL) {
        return;
    }
    assert!(
        request.url.starts_with(GHL_URL),
        "{} goes elsewhere",
        request.url
    );
    let path = http::path(&request.url);
    let version = if path.starts_with("/conversations") {
        "2021-04-15"
    } else {
        "2021-07-28"
    };
    assert_eq!(request.headers["version"], version, "{path}");
    assert_ne!(
        request.label(),
        "POST /conversations/messages",
        "it would send, not log"
    );
    let needs_token = !["/oauth/token", "/oauth/reconnect"].contains(&path);
    assert_eq!(
        request.headers.contains_key("authorization"),
        needs_token,
        "{path}"
    );
}

/// Random bytes, the same on every run.
struct Random<'a>(&'a mut u64, Option<u8>);

impl Random<'_> {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            // SplitMix64.
            *self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = self.1.unwrap_or((z >> 56) as u8);
        }
    }
}

/// The label of the call that puts a message into the inbox.
pub const SEND: &str = "POST /conversations/messages/inbound";
/// The label of the look for a message in `client-1`'s conversation.
pub const LOOK: &str = "GET /conversations/cnv-client-1/messages";
/// Nothing under way.
pub const NOTHING: [&str; 0] = [];
const GHL_URL: &str = "https://ghl.test";
const VCX_URL: &str = "https://vcx.test/events";

//! The checks that are made while a run goes on.

use super::ledger::{Flight, Rule};
use super::network::{Fate, Sender, counts, json_of};
use super::sabotage::Sabotage;
use super::world::{VCX_URL, World};
use serde_json::Value;
use vcx_ghl::ghl::webhook::{Event, Webhook, millis};
use vcx_ghl::http::{Outcome, Request, Response};
use vcx_ghl::location::{Input, object_of};

impl World {
    /// A call leaves an object.
    pub fn begun(&mut self, sender: &Sender, request: &Request, fate: &Fate) {
        let Sender::Object {
            object,
            call,
            attempt,
            ..
        } = sender
        else {
            return;
        };
        let object = object.clone();
        let label = request.label();
        let flight = match label.as_str() {
            _ if request.url.starts_with(VCX_URL) => {
                let id = request
                    .headers
                    .get("webhook-id")
                    .cloned()
                    .unwrap_or_default();
                if self.ledger.done_events.contains(&id) {
                    self.violate(
                        Rule::Doubled,
                        format!("event {id} is sent again although vCX took it"),
                    );
                }
                Flight::Event(id)
            }
            SEND => self.sends(&object, request, fate),
            "POST /oauth/token" => self.refreshes(&object, request),
            _ => Flight::Other,
        };
        if request.method == "GET" && label.ends_with("/messages") {
            self.tally.looks += 1;
        }
        if counts(request) {
            self.counts_for_limit(&object);
        }
        self.took_off(&object, call.clone(), *attempt, flight);
        let life = self
            .objects
            .get(&object)
            .and_then(|object| object.life.as_ref());
        let under_way = life.map_or(0, |life| life.flights.len());
        // A clock that jumps gives calls up that are still under way.
        if under_way > SLOTS && !self.ledger.has_jumped(&object, self.now, 60_000) {
            self.violate(
                Rule::Slots,
                format!("{object} has {under_way} calls under way"),
            );
        }
    }

    /// A call is back, and what it brought is on disk.
    pub fn landed(&mut self, object: &str, call: &str, attempt: i64, outcome: &Outcome) {
        let life = self
            .objects
            .get_mut(object)
            .and_then(|object| object.life.as_mut());
        let flight = life.and_then(|life| life.flights.remove(&(call.to_owned(), attempt)));
        let Some(flight) = flight else { return };
        let response = match outcome {
            Outcome::Answered(response) => Some(response),
            Outcome::TimedOut | Outcome::Dropped { .. } => None,
        };
        if let Some(limit) = response.and_then(limit_of) {
            self.ledger.limits.insert(object.to_owned(), limit);
        }
        let ok = response.is_some_and(Response::ok);
        match flight {
            Flight::Send(location, id) => {
                if let Some(owed) = self.ledger.pushes.get_mut(&(location, id)) {
                    let taken = response
                        .is_some_and(|response| ok && response.body.contains("\"messageId\""));
                    owed.done |=
                        taken && serde_json::from_str::<Value>(&response.unwrap().body).is_ok();
                    owed.tainted |= !owed.done;
                }
            }
            // A clock that jumps has given the call up before.
            Flight::Event(id) if ok && !self.ledger.has_jumped(object, self.now, 60_000) => {
                self.ledger.done_events.insert(id);
            }
            Flight::Refresh(token) if ok => {
                let grant = serde_json::from_str::<Value>(&response.unwrap().body);
                if grant.is_ok() {
                    self.ledger.old_tokens.insert(token);
                }
            }
            Flight::Event(_) | Flight::Refresh(_) | Flight::Tell | Flight::Other => {}
        }
    }

    /// A webhook's turn is on disk.
    pub fn took_webhook(&mut self, object: &str, webhook: &Webhook) {
        let (Event::Reply(words) | Event::Outbound(words)) = &webhook.event else {
            return;
        };
        let disk = self.objects.get(object).map(|object| &object.disk);
        let connected =
            "SELECT count(*) FROM location WHERE instr(doc, '\"lifecycle\":{\"gone\"') = 0";
        let is_connected = disk.is_some_and(|disk| disk.number(connected) > 0);
        let id = words.message_id.clone().unwrap_or_default();
        if let Some(reply) = self.ledger.replies.get_mut(&id) {
            reply.accepted |= is_connected;
        }
    }

    /// A call is back, and the code has trapped over it.
    pub fn fell(&mut self, object: &str, input: &Input) {
        let Input::Answered { call, attempt, .. } = input else {
            return;
        };
        let life = self
            .objects
            .get_mut(object)
            .and_then(|object| object.life.as_mut());
        let flight = life.and_then(|life| life.flights.remove(&(call.clone(), *attempt)));
        self.ledger.lost(flight.into_iter());
    }

    fn sends(&mut self, object: &str, request: &Request, fate: &Fate) -> Flight {
        let body = json_of(request);
        let id = body["altId"].as_str().unwrap_or_default().to_owned();
        let location = object.trim_start_matches("location:").to_owned();
        let key = (location.clone(), id.clone());
        let Some(owed) = self.ledger.pushes.get_mut(&key) else {
            self.violate(
                Rule::Mixed,
                format!("{object} sends {id}, which nobody wrote there"),
            );
            return Flight::Send(location, id);
        };
        owed.sends += 1;
        let (again, clean, done) = (owed.sends > 1, !owed.tainted, owed.done);
        owed.tainted |= fate.fault.is_some();
        self.tally.retries += u64::from(again);
        if done {
            self.violate(
                Rule::Doubled,
                format!("{id} is sent again although GHL took it"),
            );
        } else if again && clean {
            self.violate(
                Rule::Calls,
                format!("{id} is sent again although nothing went wrong"),
            );
        }
        Flight::Send(location, id)
    }

    fn refreshes(&mut self, object: &str, request: &Request) -> Flight {
        let form = form_urlencoded::parse(request.body.as_deref().unwrap_or_default().as_bytes());
        let token = form.into_owned().find(|(name, _)| name == "refresh_token");
        let Some((_, token)) = token else {
            return Flight::Other;
        };
        self.tally.refreshes += 1;
        let life = self
            .objects
            .get(object)
            .and_then(|object| object.life.as_ref());
        let is_refresh = |flight: &Flight| matches!(flight, Flight::Refresh(_));
        if life.is_some_and(|life| life.flights.values().any(is_refresh)) {
            self.violate(Rule::Refresh, format!("{object} refreshes twice at a time"));
        }
        if self.ledger.old_tokens.contains(&token) {
            self.violate(
                Rule::OldToken,
                format!("{object} refreshes with {token}, which was replaced"),
            );
        }
        Flight::Refresh(token)
    }

    fn counts_for_limit(&mut self, object: &str) {
        let (now, ledger) = (self.now, &mut self.ledger);
        let (max, interval) = ledger.limits.get(object).copied().unwrap_or((100, 10_000));
        let sent = ledger.sent.entry(object.to_owned()).or_default();
        sent.push_back(now);
        while sent.front().is_some_and(|at| *at <= now - interval) {
            sent.pop_front();
        }
        let count = sent.len();
        if count > max && !ledger.has_jumped(object, now, interval * 2) {
            self.violate(
                Rule::Rate,
                format!("{object} makes {count} calls within {interval} ms"),
            );
        }
    }

    /// GHL has answered a call.
    pub fn observe_ghl(&mut self, sender: &Sender, request: &Request, response: &Response) {
        let Some((object, _)) = sender.object() else {
            return;
        };
        let object = object.to_owned();
        let label = request.label();
        if self.plan.is_calm() && response.status != 429 {
            *self.ledger.calls.entry(general(&label)).or_default() += 1;
        }
        if label == SEND && !response.ok() {
            let id = json_of(request)["altId"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let key = (object.trim_start_matches("location:").to_owned(), id);
            if let Some(owed) = self.ledger.pushes.get_mut(&key) {
                owed.tainted = true;
            }
        }
        if !response.ok() {
            return;
        }
        let answer: Value = serde_json::from_str(&response.body).unwrap_or_default();
        if label == SEND {
            self.stored(&object, &json_of(request), &answer);
        } else if label.ends_with("/status") {
            self.status_set(request);
        }
    }

    /// A message is in GHL.
    fn stored(&mut self, object: &str, body: &Value, answer: &Value) {
        let Some(ghl_id) = answer["messageId"].as_str() else {
            return;
        };
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let id = text("altId");
        let Some(message) = self.ghl.messages.get(ghl_id).cloned() else {
            return;
        };
        let key = (message.location_id.clone(), id.clone());
        let Some(owed) = self.ledger.pushes.get_mut(&key) else {
            return self.violate(
                Rule::Mixed,
                format!("{id} is in {}, where nobody wrote it", key.0),
            );
        };
        if (owed.body.as_str(), owed.direction) != (&text("message"), &text("direction")) {
            let what = format!("{id} says {body}, not what was written");
            return self.violate(Rule::Mixed, what);
        }
        let before = owed.stored.clone();
        owed.stored.push(ghl_id.to_owned());
        let contact = (message.location_id.clone(), message.contact_id.clone());
        self.ledger
            .contacts
            .entry(contact)
            .or_default()
            .insert(owed.visitor);
        // What was deleted with its contact is not there twice.
        let is_there = |old: &String| {
            let old = self.ghl.messages.get(old);
            old.is_some_and(|old| self.ghl.conversations.contains_key(&old.conversation_id))
        };
        if before.iter().any(is_there) {
            return self.violate(
                Rule::Doubled,
                format!("{id} is in GHL as {before:?} and as {ghl_id}"),
            );
        }
        if !before.is_empty() {
            return;
        }
        let date = millis(&text("date")).unwrap_or_default();
        if let Some(wrong) = self.ledger.arrive(object, &format!("out:{id}"), date) {
            self.violate(Rule::Order, format!("at GHL {wrong}"));
        }
    }

    fn status_set(&mut self, request: &Request) {
        let id = request
            .url
            .split('/')
            .rev()
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let word = json_of(request)["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let rank = STATUSES
            .iter()
            .position(|status| *status == word)
            .unwrap_or_default();
        let before = self
            .ledger
            .statuses
            .insert(id.clone(), rank)
            .unwrap_or_default();
        if rank < before {
            let what = format!("{id} was {}, and is {word} now", STATUSES[before]);
            self.violate(Rule::Status, what);
        }
    }

    /// vCX takes an event that it has not seen before.
    pub fn observe_event(&mut self, body: &Value) {
        if body["type"] != "message.created" {
            return;
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (id, location) = (text("messageId"), text("locationId"));
        let ours = self
            .ghl
            .messages
            .get(&id)
            .is_some_and(|message| message.source == "api");
        if ours {
            return self.violate(Rule::Echo, format!("vCX gets its own message {id} back"));
        }
        let Some(reply) = self.ledger.replies.get_mut(&id) else {
            return self.violate(Rule::Echo, format!("vCX gets {body}, which is not for it"));
        };
        reply.taken += 1;
        let reply = reply.clone();
        if reply.taken > 1 {
            return self.violate(
                Rule::Doubled,
                format!("vCX gets {id} under {} ids", reply.taken),
            );
        }
        if (&reply.location, &reply.body) != (&location, &text("body")) {
            return self.violate(Rule::Mixed, format!("vCX gets {body} for {reply:?}"));
        }
        let chat = text("vcxConversationId");
        let visitor = self.people.visitor_of(&location, &chat);
        let contact = (location.clone(), reply.contact.clone());
        let owners = self.ledger.contacts.get(&contact);
        let is_owner = |visitor: usize| {
            owners.is_some_and(|owners| owners.contains(&visitor))
                || self
                    .people
                    .is_known_as(visitor, self.ghl.contacts.get(&reply.contact))
        };
        if !visitor.is_some_and(is_owner) {
            let what = format!("{id} of contact {} goes to chat {chat}", reply.contact);
            return self.violate(Rule::Mixed, what);
        }
        let object = object_of(&location);
        if let Some(wrong) = self.ledger.arrive(&object, &format!("in:{id}"), 0) {
            self.violate(Rule::Order, format!("at vCX {wrong}"));
        }
    }

    /// A line that the code logs: what anybody may read, and an engineer can sort.
    pub fn logged(&mut self, line: &str) {
        let line = match self.plan.sabotage {
            Some(Sabotage::Talk) => line.replacen('{', "{\"said\":\"words no. 1\",", 1),
            Some(_) | None => line.to_owned(),
        };
        let fields: Value = serde_json::from_str(&line).unwrap_or_default();
        let sortable = fields["level"].is_string() && fields["event"].is_string();
        if !sortable || !fields["at"].is_i64() {
            self.violate(Rule::Log, format!("no level, event or time: {line}"));
        }
        if let Some(word) = PRIVATE.iter().find(|word| line.contains(**word)) {
            self.violate(Rule::Log, format!("{word} is in {line}"));
        }
    }
}

fn limit_of(response: &Response) -> Option<(usize, i64)> {
    let number = |name: &str| response.headers.get(name)?.parse::<i64>().ok();
    let max = usize::try_from(number("x-ratelimit-max")?).ok()?;
    Some((max, number("x-ratelimit-interval-milliseconds")?))
}

/// A label without ids.
fn general(label: &str) -> String {
    let is_id = |part: &str| part.len() > 6 && part.chars().any(|c| c.is_ascii_digit());
    let parts = label
        .split('/')
        .map(|part| if is_id(part) { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

pub const SEND: &str = "POST /conversations/messages/inbound";
const STATUSES: [&str; 4] = ["pending", "failed", "delivered", "read"];
/// How secrets, texts, names and addresses begin here.
const PRIVATE: [&str; 9] = [
    "access-",
    "refresh-",
    "client-secret",
    "whsec_",
    "@example.com",
    "+1555",
    "words no. ",
    "Visitor ",
    "Stranger ",
];
/// The platform allows six, and KV needs one.
const SLOTS: usize = 5;

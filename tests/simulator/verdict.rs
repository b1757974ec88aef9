//! The end of a run: whether everything is done, and whether it was done right.

use super::ledger::Rule;
use super::world::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vcx_ghl::location::object_of;

impl World {
    /// Whether no object has anything left to do.
    pub fn is_idle(&self) -> bool {
        self.what_is_open().is_empty()
    }

    /// What is left to do, in words.
    pub fn what_is_open(&self) -> String {
        let mut open = Vec::new();
        for (name, object) in &self.objects {
            let keys = object.disk.texts("SELECT key || ' ' || stage || ' ' || coalesce(reason, '') FROM outbox WHERE open = 1 LIMIT 5");
            let mirror = object.disk.number("SELECT count(*) FROM mirror");
            if !keys.is_empty() || mirror > 0 {
                open.push(format!("{name}: {keys:?}, {mirror} for KV"));
            }
        }
        open.join("; ")
    }

    /// In half of the runs an operator replays all dead letters when all is over.
    pub fn replay_at_last(&mut self) -> bool {
        if self.people.replayed_at_last || !self.plan.seed.is_multiple_of(2) {
            return false;
        }
        self.people.replayed_at_last = true;
        for location in self.people.locations.clone() {
            self.replay(&location);
        }
        true
    }

    /// The last checks.
    pub fn settle_up(&mut self) {
        let mut dead: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for location in self.people.locations.clone() {
            let health = self.health(&location);
            for letter in health["deadLetters"].as_array().into_iter().flatten() {
                let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
                *self.tally.dead_letters.entry(text("code")).or_default() += 1;
                if text("reason").is_empty() {
                    self.violate(
                        Rule::Lost,
                        format!("a dead letter without a reason: {letter}"),
                    );
                }
                dead.entry(location.clone())
                    .or_default()
                    .insert(text("messageId"));
            }
            let raw = self.objects.get(&object_of(&location)).map(|object| {
                object
                    .disk
                    .texts("SELECT key FROM outbox WHERE stage = 'dead' AND key LIKE 'trapped:%'")
            });
            dead.entry(location)
                .or_default()
                .extend(raw.unwrap_or_default());
        }
        self.settle_pushes(&dead);
        self.settle_replies(&dead);
        self.settle_kv();
        if self.plan.is_calm() && !self.plan.echo {
            self.settle_calls();
        }
        self.settle_contacts();
        self.tally.runs = 1;
    }

    fn settle_pushes(&mut self, dead: &BTreeMap<String, BTreeSet<String>>) {
        let mut wrong = Vec::new();
        for ((location, id), owed) in &self.ledger.pushes {
            let is_dead = dead.get(location).is_some_and(|ids| ids.contains(id));
            if owed.promised && owed.stored.is_empty() && !is_dead {
                wrong.push(format!(
                    "{id} was promised, and is neither in GHL nor a dead letter"
                ));
            }
            if self.plan.is_calm() && owed.promised && owed.sends != 1 && !owed.tainted {
                wrong.push(format!("{id} took {} calls", owed.sends));
            }
        }
        if let Some(what) = wrong.into_iter().next() {
            self.violate(Rule::Lost, what);
        }
    }

    fn settle_replies(&mut self, dead: &BTreeMap<String, BTreeSet<String>>) {
        let mut wrong = Vec::new();
        for (id, reply) in &self.ledger.replies {
            let letters = dead.get(&reply.location);
            let is_dead = letters.is_some_and(|ids| {
                ids.iter()
                    .any(|letter| letter == id || letter.starts_with("trapped:"))
            });
            if reply.promised && reply.taken == 0 && !is_dead {
                wrong.push(format!(
                    "{id} was taken from GHL, and is neither at vCX nor a dead letter"
                ));
            }
        }
        if let Some(what) = wrong.into_iter().next() {
            self.violate(Rule::Lost, what);
        }
    }

    fn settle_kv(&mut self) {
        let mut wrong = Vec::new();
        for (key, rev) in &self.kv.wanted {
            let last: Value = self
                .kv
                .last(key)
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            if last["rev"].as_i64() != Some(*rev) {
                wrong.push(format!("KV holds {last} under {key}, not revision {rev}"));
            }
        }
        if let Some(what) = wrong.into_iter().next() {
            self.violate(Rule::Kv, what);
        }
    }

    /// Where nothing goes wrong, nothing is called that need not be.
    fn settle_calls(&mut self) {
        let calls = self.ledger.calls.clone();
        let count = |label: &str| calls.get(label).copied().unwrap_or_default();
        let pushed = self
            .ledger
            .pushes
            .values()
            .filter(|owed| !owed.stored.is_empty())
            .count() as u64;
        let clients: u64 = self
            .people
            .visitors
            .iter()
            .map(|visitor| visitor.clients.len() as u64)
            .sum();
        let replies = self.ledger.replies.len() as u64;
        let locations = self.people.locations.len() as u64;
        let bounds = [
            ("POST /conversations/messages/inbound", pushed),
            ("GET /conversations/{}/messages", 0),
            ("GET /conversations/search", 0),
            ("POST /contacts/search", clients),
            ("POST /conversations/", clients),
            ("POST /contacts/{}/tags", clients),
            ("GET /locations/{}/customFields", locations),
            ("POST /locations/{}/customFields", locations),
            // Delivered, read, failed; and "not yet" for a while.
            ("PUT /conversations/messages/{}/status", replies * 12),
        ];
        for (label, most) in bounds {
            if count(label) > most {
                let what = format!("{} calls of {label}, {most} would have done", count(label));
                return self.violate(Rule::Calls, what);
            }
        }
    }

    /// A client has one contact, unless people delete them, or GHL answers what it did not do.
    fn settle_contacts(&mut self) {
        use super::plan::Fault;
        let exempt = [
            Fault::ContactDeleted,
            Fault::ClockJump,
            Fault::Uninstalled,
            Fault::WrongScope,
            Fault::Poison,
            Fault::Merged,
        ];
        if exempt.iter().any(|fault| self.plan.rate(*fault) > 0.0) {
            return;
        }
        let mut seen = BTreeMap::new();
        for contact in self.ghl.contacts.values() {
            for (_, value) in &contact.custom {
                let client = value.as_str().unwrap_or_default().to_owned();
                if let Some(other) = seen.insert(
                    (contact.location_id.clone(), client.clone()),
                    contact.id.clone(),
                ) {
                    let what = format!("{client} has the contacts {other} and {}", contact.id);
                    return self.violate(Rule::Contacts, what);
                }
            }
        }
    }
}

//! Workers KV: no compare-and-set, a minute behind at worst, and one write a second for a key.

use super::plan::Fault;
use super::world::{Event, World};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Kv {
    /// Each key's values, oldest first, with when they were written.
    values: BTreeMap<String, Vec<(i64, String)>>,
    /// The highest revision that was to be written.
    pub wanted: BTreeMap<String, i64>,
}

impl Kv {
    fn get(&self, key: &str, until: i64) -> Option<String> {
        let written = self.values.get(key)?.iter().rev();
        written
            .into_iter()
            .find(|(at, _)| *at <= until)
            .map(|(_, value)| value.clone())
    }

    /// What a key holds at last.
    pub fn last(&self, key: &str) -> Option<&str> {
        self.values
            .get(key)?
            .last()
            .map(|(_, value)| value.as_str())
    }
}

impl World {
    /// What an object reads under a key.
    pub fn kv_get(&mut self, key: &str) -> Option<String> {
        let behind = if self.strikes(Fault::KvStale) {
            self.dice.between(0, 60_000)
        } else {
            0
        };
        self.kv.get(key, self.now - behind)
    }

    /// A value is handed to KV.
    pub fn kv_put(&mut self, object: &str, life: u64, key: String, value: String, rev: i64) {
        let wanted = self.kv.wanted.entry(key.clone()).or_default();
        *wanted = rev.max(*wanted);
        let object = object.to_owned();
        self.at(
            self.now + LATENCY,
            Event::Put {
                object,
                life,
                key,
                value,
                rev,
            },
        );
    }

    /// It gets there.
    pub fn put(&mut self, object: String, life: u64, key: String, value: String, rev: i64) {
        let now = self.now;
        let ok = !self.strikes(Fault::KvRefused);
        if ok {
            let values = self.kv.values.entry(key.clone()).or_default();
            values.push((now, value));
            if values.len() > 8 {
                values.remove(0);
            }
        }
        self.at(
            now + LATENCY,
            Event::Mirrored {
                object,
                life,
                key,
                rev,
                ok,
            },
        );
    }
}

const LATENCY: i64 = 20;

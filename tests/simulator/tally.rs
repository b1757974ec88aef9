//! What a run (or many) was made of.

use super::plan::Fault;
use std::collections::BTreeMap;

/// Counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub runs: u64,
    pub events: u64,
    pub turns: u64,
    pub pushes: u64,
    pub replies: u64,
    pub faults: BTreeMap<Fault, u64>,
    pub crashes: u64,
    pub ghl_calls: u64,
    pub vcx_calls: u64,
    /// Messages sent again.
    pub retries: u64,
    pub looks: u64,
    pub refreshes: u64,
    pub webhooks: u64,
    pub dead_letters: BTreeMap<String, u64>,
}

impl Tally {
    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.runs, other.runs),
            (&mut self.events, other.events),
            (&mut self.turns, other.turns),
            (&mut self.pushes, other.pushes),
            (&mut self.replies, other.replies),
            (&mut self.crashes, other.crashes),
            (&mut self.ghl_calls, other.ghl_calls),
            (&mut self.vcx_calls, other.vcx_calls),
            (&mut self.retries, other.retries),
            (&mut self.looks, other.looks),
            (&mut self.refreshes, other.refreshes),
            (&mut self.webhooks, other.webhooks),
        ] {
            *mine += theirs;
        }
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        for (code, count) in &other.dead_letters {
            *self.dead_letters.entry(code.clone()).or_default() += count;
        }
    }

    pub fn messages(&self) -> u64 {
        self.pushes + self.replies
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:>12} runs", self.runs)?;
        writeln!(
            f,
            "{:>12} messages: {} from vCX, {} from GHL",
            self.messages(),
            self.pushes,
            self.replies
        )?;
        writeln!(
            f,
            "{:>12} calls to GHL, {} to vCX, {} webhooks",
            self.ghl_calls, self.vcx_calls, self.webhooks
        )?;
        writeln!(f, "{:>12} turns of the core", self.turns)?;
        writeln!(
            f,
            "{:>12} messages sent again, {} look-ups, {} refreshes",
            self.retries, self.looks, self.refreshes
        )?;
        writeln!(f, "{:>12} crashes", self.crashes)?;
        let faults: u64 = self.faults.values().sum();
        writeln!(f, "{faults:>12} faults")?;
        for (fault, count) in &self.faults {
            writeln!(f, "{count:>16}  {fault:?}")?;
        }
        let dead: u64 = self.dead_letters.values().sum();
        writeln!(f, "{dead:>12} dead letters")?;
        for (code, count) in &self.dead_letters {
            writeln!(f, "{count:>16}  {code}")?;
        }
        Ok(())
    }
}

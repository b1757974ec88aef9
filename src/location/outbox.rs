//! The life of an item: it joins its lane, it is tried, it succeeds, is put off or is given up,
//! and the next of its lane goes on. Nothing here knows what an item says.

use super::turn::{LastError, Stop, Turn};
use super::work::{Step, Work};
use crate::error::{Code, Problem};
use crate::ghl::answer::Verdict;
use crate::http::{Outcome, Response};
use crate::store::{Head, Item, Stage};
use crate::token::Lifecycle;
use crate::vcx::{ID, is_id};
use serde_json::{Value, json};

/// Why an item is put off or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    /// A stable word.
    pub code: &'static str,
    /// A sentence for whoever can fix it.
    pub words: String,
}

impl Reason {
    pub fn new(code: &'static str, words: impl Into<String>) -> Self {
        Self {
            code,
            words: words.into(),
        }
    }
}

impl Turn<'_> {
    /// Adds an item to the end of its lane, and returns its number.
    pub fn enqueue(&mut self, item: Item) -> Result<i64, Stop> {
        let ahead = self.db.lane_head(&item.lane)?;
        self.enqueue_behind(item, ahead.as_ref())
    }

    /// The same for who knows the head of the lane.
    pub fn enqueue_behind(&mut self, mut item: Item, ahead: Option<&Head>) -> Result<i64, Stop> {
        if ahead.is_some() {
            item.stage = Stage::Behind;
            item.due = None;
        } else if item.class == Stage::Event && self.settings.webhook_url.is_none() {
            // Only a live client can take it.
            item.due = Some(item.accepted_at + PATIENCE);
        }
        Ok(self.db.add(&item)?)
    }

    /// Adds an item unless one of its key is there.
    pub fn enqueue_once(&mut self, item: Item) -> Result<(), Stop> {
        if !self.db.has_key(&item.key)? {
            self.enqueue(item)?;
        }
        Ok(())
    }

    /// The item is over, well.
    pub fn finish(&mut self, mut item: Item) -> Result<(), Stop> {
        // A replayed message is of that class too, and is to be remembered.
        if item.class == Stage::Upkeep && item.work()?.is_set_up() {
            self.db.remove(item.seq)?;
        } else {
            item.stage = Stage::Done;
            item.due = None;
            item.step = None;
            item.work = None;
            item.sent_at = None;
            item.caller = None;
            (item.code, item.reason) = (None, None);
            self.db.put(&item);
        }
        self.next_of(&item.lane)
    }

    /// The item is to be tried again: after a back-off that grows with each try, or after what
    /// the other side asked for, whichever is later. After a day of trying it is given up.
    pub fn put_off(
        &mut self,
        mut item: Item,
        step: &Step,
        reason: Reason,
        after: Option<i64>,
    ) -> Result<(), Stop> {
        let since = *item.since.get_or_insert(self.now);
        if self.now - since >= PATIENCE {
            item.set_step(step);
            return self.give_up(item, reason);
        }
        let wait = backoff(item.tries, self.jitter()).max(after.unwrap_or(0));
        item.tries += 1;
        item.code = Some(reason.code.into());
        item.reason = Some(reason.words);
        self.ready_at(item, step, self.now + wait)
    }

    /// GHL did not do it, for a reason that may pass.
    pub fn try_again(&mut self, item: Item, step: &Step, verdict: &Verdict) -> Result<(), Stop> {
        let reason = Reason::new("ghl_failed", verdict.words());
        self.put_off(item, step, reason, verdict.after())
    }

    /// The item goes on at a time of its own.
    pub fn ready_at(&mut self, mut item: Item, step: &Step, at: i64) -> Result<(), Stop> {
        let mut step = step.clone();
        step.call = None;
        item.set_step(&step);
        item.stage = item.class;
        item.due = Some(at);
        self.db.put(&item);
        Ok(())
    }

    /// The item is over, badly: a dead letter, and those behind it go on.
    pub fn give_up(&mut self, mut item: Item, reason: Reason) -> Result<(), Stop> {
        if item.class == Stage::Status {
            return self.finish(item);
        }
        item.stage = Stage::Dead;
        item.due = None;
        item.code = Some(reason.code.into());
        item.reason = Some(reason.words.clone());
        let caller = item.caller.take();
        let work = item.work()?;
        // A contact that was asked for has no words in it that could get lost.
        let is_letter = !work.is_set_up() && work != Work::Contact;
        if is_letter {
            self.db.put(&item);
        } else {
            self.db.remove(item.seq)?;
        }
        let event = if is_letter { "dead_letter" } else { "given_up" };
        self.log(
            "error",
            event,
            json!({ "item": item.seq, "key": item.key, "code": reason.code }),
        );
        if let Some(caller) = caller {
            let problem = match work {
                Work::Contact => Problem::new(Code::Rejected, reason.words.clone()),
                _ => Problem::new(Code::Rejected, reason.words.clone())
                    .with("messageId", item.message_id()),
            };
            self.answer(&caller, problem.response());
        }
        self.tell_writer(&item, &work, &reason)?;
        self.next_of(&item.lane)
    }

    /// Makes the next of a lane ready.
    pub fn next_of(&mut self, lane: &str) -> Result<(), Stop> {
        let Some(head) = self.db.lane_head(lane)? else {
            return Ok(());
        };
        if head.stage != Stage::Behind {
            return Ok(());
        }
        let mut due = self.now;
        if head.class == Stage::Event && self.settings.webhook_url.is_none() {
            let accepted = self
                .db
                .item(head.seq)?
                .map_or(self.now, |item| item.accepted_at);
            due = due.max(accepted + PATIENCE);
        }
        Ok(self.db.promote(lane, due)?)
    }

    /// Remembers a failed call for the page that health shows, and logs it. The other side's words
    /// are for health alone: they may quote what was sent.
    pub fn note_error(&mut self, call: &str, outcome: &Outcome, words: &str, trail: Value) {
        self.log_call("call_failed", call, outcome, trail);
        let (status, trace_id) = match outcome {
            Outcome::Answered(response) => (Some(response.status), trace_of(response)),
            Outcome::TimedOut | Outcome::Dropped { .. } => (None, None),
        };
        self.pulse.last_error = Some(LastError {
            at: self.now,
            call: call.to_owned(),
            status,
            message: words.to_owned(),
            trace_id,
        });
    }

    /// Logs a call that somebody should know of: calls that go well and fast leave no line.
    pub fn log_call(&mut self, event: &str, call: &str, outcome: &Outcome, mut trail: Value) {
        trail["call"] = json!(call);
        match outcome {
            Outcome::Answered(response) => {
                trail["status"] = json!(response.status);
                if let Some(id) = trace_of(response).filter(|id| is_id(id, ID)) {
                    trail["traceId"] = json!(id);
                }
            }
            Outcome::TimedOut => trail["error"] = json!("timed_out"),
            Outcome::Dropped { .. } => trail["error"] = json!("dropped"),
        }
        self.log("warn", event, trail);
    }

    /// Whether messages can go to GHL now, as far as the connection is concerned.
    pub fn connected(&self) -> bool {
        self.location.lifecycle.usable()
    }

    /// Why nothing will go to GHL for a while, in words for vCX. A refresh is no such reason
    /// before it has failed: it takes a second.
    pub fn parked(&mut self) -> Option<String> {
        use Lifecycle as L;
        if self.shut().is_some() {
            let words = "the location's tokens do not open with SEAL_KEYS; sent when they do";
            return Some(words.into());
        }
        let words = match &self.location.lifecycle {
            L::Fresh | L::Minting { .. } | L::Reconnecting { .. } => return None,
            L::Due { tries: 0, .. } => return None,
            L::Refreshing {
                tries: 0,
                paused: None,
                ..
            } => return None,
            L::Due { .. } | L::Refreshing { paused: None, .. } => {
                "GHL does not answer the token refresh; sent when it does"
            }
            L::Refreshing { .. } | L::Paused(_) => {
                "GHL says the location is not active; sent when it is again"
            }
            L::NeedsReconnect { .. } => "an admin has to connect the location again",
            L::Gone { .. } => "the app was uninstalled",
        };
        Some(words.into())
    }
}

impl Item {
    /// What the log says of its call: whose it was, and how long it took.
    pub fn trail(&self, now: i64) -> Value {
        json!({ "item": self.seq, "key": self.key, "ms": self.took(now) })
    }

    /// The writer's id of the message, from the key.
    pub fn message_id(&self) -> &str {
        self.key
            .split_once(':')
            .map_or(self.key.as_str(), |(_, id)| id)
    }
}

fn trace_of(response: &Response) -> Option<String> {
    let body: Value = serde_json::from_str(&response.body).ok()?;
    body["traceId"].as_str().map(str::to_owned)
}

/// Exponential, full jitter, never under the least.
fn backoff(tries: i64, jitter: f64) -> i64 {
    let full = LEAST.saturating_mul(1 << tries.clamp(0, 20)).min(MOST);
    LEAST.max((full as f64 * jitter) as i64)
}

/// How long an item is tried while connected.
pub(super) const PATIENCE: i64 = 86_400_000;
const LEAST: i64 = 1_000;
const MOST: i64 = 600_000;

//! The status of an agent's message at GHL: one slot a message, the furthest status wins.

use super::outbox::Reason;
use super::turn::{Stop, Turn, text};
use super::work::{CallKind, Step, Work};
use crate::ghl;
use crate::ghl::answer::Verdict;
use crate::ghl::webhook::UNNAMED;
use crate::store::{Item, Stage};
use crate::vcx::Status;

impl Turn<'_> {
    /// Moves the status of an agent's message forward, with the reason why it failed; a step back
    /// has no effect. Returns where it is.
    pub fn set_status(
        &mut self,
        of: &Item,
        status: Status,
        reason: Option<&Reason>,
    ) -> Result<Status, Stop> {
        let message_id = of.message_id();
        if message_id.starts_with(UNNAMED) {
            return Ok(status);
        }
        let key = format!("status:{message_id}");
        let work = text(&Work::Status {
            message_id: message_id.into(),
            status,
            why: reason.map_or_else(String::new, |reason| reason.words.clone()),
            of: of.accepted_at,
        });
        let Some(mut item) = self.db.item_by_key(&key)? else {
            let lane = key.clone();
            let mut item = Item::new(key, lane, Stage::Status, work, self.now);
            item.digest = Some(status.as_str().into());
            self.enqueue(item)?;
            self.show_reply_status(of, status, reason)?;
            return Ok(status);
        };
        let furthest = item
            .digest
            .as_deref()
            .and_then(Status::of)
            .unwrap_or(Status::Pending);
        if status <= furthest {
            return Ok(furthest);
        }
        item.digest = Some(status.as_str().into());
        item.work = Some(work);
        if matches!(item.stage, Stage::Done | Stage::Dead) {
            item.stage = Stage::Status;
            item.due = Some(self.now);
            (item.tries, item.since, item.step) = (0, None, None);
        }
        self.db.put(&item);
        self.show_reply_status(of, status, reason)?;
        Ok(status)
    }

    pub fn start_status(
        &mut self,
        mut item: Item,
        message_id: &str,
        status: Status,
        why: &str,
    ) -> Result<(), Stop> {
        // Noted as what is under way: a further status may come before the answer does.
        item.conversation_id = Some(status.as_str().into());
        let request = ghl::set_status(self.settings, message_id, status.as_str(), why);
        self.launch(item, &Step::default(), CallKind::Status, request)
    }

    pub fn status_answered(
        &mut self,
        mut item: Item,
        step: Step,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        let Work::Status { of, .. } = item.work()? else {
            return Ok(());
        };
        let is_young = self.now - of < NOT_YET;
        let refused = match &verdict {
            Verdict::Taken(_) => {
                let under_way = item.conversation_id.take();
                if under_way == item.digest {
                    return self.finish(item);
                }
                item.tries = 0;
                return self.ready_at(item, &Step::default(), self.now);
            }
            Verdict::Expired { .. } if !is_young => {
                self.refused_token(step.generation)?;
                return self.ready_at(item, &step, self.now);
            }
            Verdict::Failed {
                status: 401 | 403, ..
            } => !is_young,
            Verdict::Refused { status: 404, .. } => !is_young,
            Verdict::Refused { .. } => true,
            Verdict::Expired { .. }
            | Verdict::TooMany { .. }
            | Verdict::NotActive
            | Verdict::Failed { .. }
            | Verdict::Unclear { .. } => false,
        };
        let words = verdict.words();
        if refused {
            // The message itself is with vCX; that GHL does not show it is in `lastError`.
            return self.finish(item);
        }
        self.put_off(
            item,
            &step,
            Reason::new("ghl_failed", words),
            verdict.after(),
        )
    }
}

impl Status {
    /// The status of a word.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "pending" => Some(Self::Pending),
            "failed" => Some(Self::Failed),
            "delivered" => Some(Self::Delivered),
            "read" => Some(Self::Read),
            _ => None,
        }
    }
}

/// Right after a message GHL may refuse its status with 401 or 403: "not yet" (FACTS §3.5).
const NOT_YET: i64 = 60_000;

//! After a crash: what was under way is unclear, and what brings the code down three times is
//! taken out of its way.

use super::from_vcx::id_of;
use super::outbox::Reason;
use super::turn::{Stop, Turn, text};
use super::work::{CallKind, Work, called_item};
use super::{Ask, Input, from_ghl};
use crate::error::{Code, Problem};
use crate::ghl::webhook::Event;
use crate::http::Outcome;
use crate::store::{Item, NEVER, Stage};
use serde_json::json;

impl Turn<'_> {
    /// The object was constructed: no call of before will be answered.
    pub fn started(&mut self) -> Result<(), Stop> {
        self.lost_flights(NEVER)?;
        self.lose_token_call()?;
        self.db.mirror_all_again()?;
        self.note_waiting()
    }

    /// A wake-up: the time of something has come.
    pub fn woken(&mut self) -> Result<(), Stop> {
        self.lost_flights(self.now)?;
        self.release_held()?;
        self.release_field_waiters()?;
        self.tend_live()?;
        self.note_waiting()?;
        self.trim()
    }

    /// Each wake-up looks when the next of those has waited long enough; who joins them says so.
    fn note_waiting(&mut self) -> Result<(), Stop> {
        if let Some(at) = self.db.next_waiting()? {
            self.wake_at(at);
        }
        Ok(())
    }

    /// Calls that the host will not come back with count as never answered.
    fn lost_flights(&mut self, until: i64) -> Result<(), Stop> {
        // After a trap one a turn, so that the next trap shows which one it was.
        let most = if self.pulse.careful { 1 } else { usize::MAX };
        for seq in self.db.overdue_flights(until)?.into_iter().take(most) {
            let Some(item) = self.db.item(seq)? else {
                continue;
            };
            match (item.step(), item.work()) {
                (Ok(_), Ok(_)) => self.land(item, &Outcome::TimedOut)?,
                _ => self.give_up_unreadable(item)?,
            }
        }
        Ok(())
    }

    /// The code trapped over an input. Nothing of that turn was kept.
    pub fn trapped(&mut self, input: &Input) -> Result<(), Stop> {
        // What a socket brings starts nothing: the next trap is another's.
        self.pulse.careful |= !input.is_live();
        self.log("error", "trapped", json!({ "input": input.name() }));
        match input {
            Input::Asked { caller, ask, .. } => self.trapped_asking(caller, ask),
            Input::Answered {
                call,
                attempt: _,
                outcome: _,
            } => match called_item(call) {
                Some(seq) => self.trapped_item(seq),
                None => self.lose_token_call(),
            },
            Input::Wake => {
                let overdue = self.db.overdue_flights(self.now)?.into_iter().next();
                let suspect = match overdue {
                    Some(seq) => Some(seq),
                    None => self.suspect()?,
                };
                suspect.map_or(Ok(()), |seq| self.trapped_item(seq))
            }
            Input::Mirrored { key, .. } => Ok(self.db.mirror_refused(key, self.now + PAUSE)?),
            Input::Heard { cursor, .. } | Input::Flush { cursor } | Input::Closed { cursor } => {
                self.trapped_live(cursor)
            }
            Input::Started | Input::Waited { .. } | Input::Trapped { .. } => Ok(()),
        }
    }

    /// An ask is told to be repeated; the third time it is kept as a dead letter.
    fn trapped_asking(&mut self, caller: &str, ask: &Ask) -> Result<(), Stop> {
        let (key, buried_as, work) = match ask {
            Ask::Push { push } => {
                let key = format!("out:{}", id_of(push));
                let work = Work::Unintelligible { raw: text(push) };
                (key.clone(), format!("trapped:{key}"), work)
            }
            Ask::Webhook { webhook } => {
                let key = webhook.key.text();
                if let Event::Reply(words) = &webhook.event
                    && let Some(id) = &words.message_id
                {
                    // It can be replayed, and GHL shows the agent that it failed.
                    let words = words.clone();
                    (key, format!("in:{id}"), Work::Reply { words })
                } else {
                    let raw = text(webhook);
                    (
                        key.clone(),
                        format!("trapped:{key}"),
                        Work::Unintelligible { raw },
                    )
                }
            }
            Ask::Contact { .. }
            | Ask::Status { .. }
            | Ask::Connect { .. }
            | Ask::Listen { .. }
            | Ask::Health
            | Ask::Replay { .. }
            | Ask::Register { .. }
            | Ask::Mint { .. }
            | Ask::MintRefused { .. }
            | Ask::Leave { .. } => {
                self.answer_internal(caller);
                return Ok(());
            }
        };
        if self.db.count_trap(&key, self.now)? < TRAPS {
            self.answer_internal(caller);
            return Ok(());
        }
        let reason = Reason::new("trapped", "the code failed over it three times");
        self.bury(&buried_as, text(&work), reason)?;
        match ask {
            Ask::Webhook { .. } => self.answer(caller, from_ghl::taken()),
            _ => {
                let detail = "the code failed over this message three times; it is kept, as a \
                              dead letter, for whoever mends the code";
                self.answer(caller, Problem::new(Code::Internal, detail).response());
            }
        }
        Ok(())
    }

    fn trapped_item(&mut self, seq: i64) -> Result<(), Stop> {
        let Some(mut item) = self.db.item(seq)? else {
            return Ok(());
        };
        let step = item.step().unwrap_or_default();
        let is_sent = item.stage == Stage::Flight && step.call == Some(CallKind::Send);
        let key = format!("item:{}", item.key);
        if self.db.count_trap(&key, self.now)? >= TRAPS {
            if is_sent {
                // A replay has to look first.
                item.set_step(&step.doubting(&item, true));
            }
            let reason = Reason::new("trapped", "the code failed over it three times");
            return self.give_up_unread(item, reason);
        }
        if is_sent {
            // Its answer is lost: it may be in GHL.
            let step = step.doubting(&item, true);
            return self.doubt(item, &step, "the answer was lost".into(), None);
        }
        let creates = matches!(step.call, Some(CallKind::Create | CallKind::Upsert));
        if item.stage == Stage::Flight && creates {
            let reason = Reason::new("ghl_unclear", "the answer was lost");
            return self.search_again(item, step, reason);
        }
        item.stage = item.class;
        item.due = Some(self.now + PAUSE);
        self.db.put(&item);
        Ok(())
    }

    /// Gives up an item that another version of this code has written.
    pub fn give_up_unreadable(&mut self, item: Item) -> Result<(), Stop> {
        let words = "what was stored cannot be read by this version of the code";
        self.give_up_unread(item, Reason::new("unintelligible", words))
    }

    /// Gives an item up without looking into it any more than health does.
    pub fn give_up_unread(&mut self, mut item: Item, reason: Reason) -> Result<(), Stop> {
        let Some(raw) = item.work.clone() else {
            return Ok(());
        };
        if item.step().is_err() {
            item.step = None;
        }
        if item.work().is_err() {
            item.set_work(&Work::Unintelligible { raw });
        }
        self.give_up(item, reason)
    }
}

impl Input {
    fn name(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Asked { .. } => "asked",
            Self::Waited { .. } => "waited",
            Self::Answered { .. } => "answered",
            Self::Mirrored { .. } => "mirrored",
            Self::Heard { .. } => "heard",
            Self::Flush { .. } => "flush",
            Self::Closed { .. } => "closed",
            Self::Wake => "wake",
            Self::Trapped { .. } => "trapped",
        }
    }
}

const TRAPS: i64 = 3;
const PAUSE: i64 = 1_000;

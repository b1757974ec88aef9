//! What goes next: the slots, the limits, and the way of every answer back to its item.

use super::Output;
use super::outbox::PATIENCE;
use super::turn::{Stop, Turn};
use super::work::{CallKind, Step, Work, called_item, item_call};
use crate::error::Fault;
use crate::ghl::answer::{Verdict, contact, logged};
use crate::http::{Outcome, Request};
use crate::store::{Board, Head, Item, Stage};
use crate::token::{Event as TokenEvent, Lifecycle};
use serde_json::Value;

impl Turn<'_> {
    /// Starts what may start now, and notes when to look again.
    pub fn dispatch(&mut self) -> Result<(), Stop> {
        self.tick_tokens()?;
        loop {
            let board = self.db.board()?;
            let ready = self.ready(&board);
            let before = (self.out.len(), ready.len());
            let mut local = false;
            let mut slots = Slots::of(&board, self.tokens_in_flight());
            for head in &ready {
                if self.budget == 0 {
                    self.wake_at(self.now);
                    break;
                }
                if !slots.allow(head.class) || !self.gate(head)? {
                    continue;
                }
                let calls = self.calls();
                self.start(head.seq)?;
                if self.calls() > calls {
                    slots.take(head.class);
                } else {
                    local = true;
                }
                if self.pulse.careful {
                    self.wake_at(self.now);
                    return Ok(());
                }
            }
            self.note_times(&board);
            // More may be ready than the board shows, of what there is room for still.
            let more = READY
                .iter()
                .any(|stage| slots.allow(*stage) && board.of(*stage).count() >= BOARD_STAGE)
                && self.out.len() > before.0;
            if !(local || more) {
                break;
            }
        }
        if self.pulse.careful {
            self.pulse.careful = false;
            self.wake_at(self.now);
        }
        self.mirror_next()
    }

    /// The item that a turn in careful mode would start: the culprit, if that turn trapped.
    pub fn suspect(&mut self) -> Result<Option<i64>, Stop> {
        let board = self.db.board()?;
        let slots = Slots::of(&board, self.tokens_in_flight());
        for head in self.ready(&board) {
            if slots.allow(head.class) && self.gate(&head)? {
                return Ok(Some(head.seq));
            }
        }
        Ok(None)
    }

    /// Hands an item's request to the host.
    pub fn launch(
        &mut self,
        mut item: Item,
        step: &Step,
        kind: CallKind,
        request: Request,
    ) -> Result<(), Stop> {
        let request = if kind.is_to_ghl() {
            self.pulse.rate.take(self.now);
            let bearer = format!("Bearer {}", self.tokens()?.access);
            request.header("authorization", bearer)
        } else {
            request
        };
        let attempt = self.board_flight(&mut item, step, kind)?;
        self.out.push(Output::Call {
            call: item_call(item.seq),
            attempt,
            request,
            timeout_ms: TIMEOUT,
        });
        Ok(())
    }

    /// Hands an item's word to another object to the host.
    pub fn launch_tell(
        &mut self,
        mut item: Item,
        object: String,
        ask: super::Ask,
    ) -> Result<(), Stop> {
        let attempt = self.board_flight(&mut item, &Step::default(), CallKind::Tell)?;
        let call = item_call(item.seq);
        self.out.push(Output::Tell {
            call,
            attempt,
            object,
            ask,
            timeout_ms: TIMEOUT,
        });
        Ok(())
    }

    fn board_flight(&mut self, item: &mut Item, step: &Step, kind: CallKind) -> Result<i64, Stop> {
        let mut step = step.clone();
        step.call = Some(kind);
        step.generation = self.location.generation;
        item.set_step(&step);
        self.pulse.calls += 1;
        item.attempt = self.pulse.calls;
        item.since.get_or_insert(self.now);
        item.stage = Stage::Flight;
        item.due = Some(self.now + LOST);
        if kind == CallKind::Send {
            item.sent_at = Some(self.now);
        }
        self.db.put(item);
        self.budget = self.budget.saturating_sub(1);
        self.wake_at(self.now + SAFETY);
        Ok(item.attempt)
    }

    /// A call came back.
    pub fn answered(&mut self, call: &str, attempt: i64, outcome: &Outcome) -> Result<(), Stop> {
        let Some(seq) = called_item(call) else {
            return self.token_answered(call, attempt, outcome);
        };
        let Some(item) = self.db.item(seq)? else {
            return Ok(());
        };
        if item.stage != Stage::Flight || item.attempt != attempt {
            return self.late(item, outcome);
        }
        self.land(item, outcome)
    }

    /// Takes the outcome of an item's call to those who know what it means.
    pub fn land(&mut self, item: Item, outcome: &Outcome) -> Result<(), Stop> {
        let step = item.step()?;
        let Some(kind) = step.call else {
            return Err(Fault(format!("item {} is in flight without a call", item.seq)).into());
        };
        let went_well = matches!(outcome, Outcome::Answered(response) if response.ok());
        if went_well && item.took(self.now) >= SLOW {
            self.log_call("call_slow", kind.word(), outcome, item.trail(self.now));
        }
        match kind {
            CallKind::Event => return self.event_answered(item, &step, outcome),
            CallKind::Tell => return self.tell_answered(item, &step, outcome),
            _ => {}
        }
        if let Outcome::Answered(response) = outcome {
            self.pulse.rate.learn(response, self.now);
        }
        let verdict = match Verdict::of(outcome, self.now) {
            Verdict::Taken(body) if !kind.is_answered_by(&body) => Verdict::Unclear {
                silent: false,
                why: "GHL answered 2xx without what it was asked for".into(),
                after: None,
            },
            verdict => verdict,
        };
        match &verdict {
            Verdict::Taken(_) if step.generation == self.location.generation => {
                self.location.prove();
            }
            Verdict::TooMany { after } => {
                let jitter = self.jitter();
                self.pulse.rate.refused(*after, self.now, jitter);
                self.log_call("rate_limited", kind.word(), outcome, item.trail(self.now));
                return self.again(item, &step);
            }
            Verdict::NotActive => {
                self.token_event(TokenEvent::NotActive)?;
                return self.again(item, &step);
            }
            Verdict::Expired { why } if kind != CallKind::Status => {
                self.note_error(kind.word(), outcome, why, item.trail(self.now));
                self.refused_token(step.generation)?;
                return self.again(item, &step);
            }
            _ => {}
        }
        if !matches!(verdict, Verdict::Taken(_)) {
            let words = verdict.words();
            self.note_error(kind.word(), outcome, &words, item.trail(self.now));
        }
        match kind {
            CallKind::Search
            | CallKind::Create
            | CallKind::Upsert
            | CallKind::Conversation
            | CallKind::Update => self.contact_answered(item, step, kind, verdict),
            CallKind::Send => self.send_answered(item, step, verdict),
            CallKind::FindConversation | CallKind::Look => {
                self.look_answered(item, step, kind, verdict)
            }
            CallKind::ReadContact => self.reader_answered(item, step, verdict),
            CallKind::Status => self.status_answered(item, step, verdict),
            CallKind::Tag | CallKind::ListFields | CallKind::CreateField => {
                self.upkeep_answered(item, step, kind, verdict)
            }
            CallKind::Mint | CallKind::List => self.company_answered(item, step, kind, verdict),
            CallKind::Event | CallKind::Tell => Ok(()),
        }
    }

    /// The call had no effect and is to be made again as soon as it may: it is not a failure of
    /// the item's.
    fn again(&mut self, mut item: Item, step: &Step) -> Result<(), Stop> {
        if step.doubt.is_none() {
            item.sent_at = None;
        }
        if let Some(why) = self.parked()
            && let Some(caller) = item.caller.take()
        {
            // It will not be soon.
            self.answer_later(&caller, &item, Some(&why))?;
        }
        self.ready_at(item, step, self.now)
    }

    /// An answer to an older attempt is evidence, no more: that a message is in GHL.
    fn late(&mut self, item: Item, outcome: &Outcome) -> Result<(), Stop> {
        let Verdict::Taken(body) = Verdict::of(outcome, self.now) else {
            return Ok(());
        };
        let step = item.step()?;
        // Of a look that is under way no more is needed; of another send, its answer. One that was
        // not found waits to be sent again, and is looked for no more.
        let is_unclear = step.doubt.is_some() || item.code.as_deref() == Some("ghl_unclear");
        let looked_for = is_unclear && step.call != Some(CallKind::Send);
        if !looked_for || matches!(item.stage, Stage::Done | Stage::Dead) {
            return Ok(());
        }
        match (item.work()?, logged(&body), item.contact_id.clone()) {
            (Work::Message(message), Some((id, conversation)), Some(contact)) => {
                self.sent(item, &message, &contact, id, conversation)
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, seq: i64) -> Result<(), Stop> {
        let Some(item) = self.db.item(seq)? else {
            return Ok(());
        };
        let (Ok(step), Ok(work)) = (item.step(), item.work()) else {
            return self.give_up_unreadable(item);
        };
        match work {
            Work::Message(message) => self.start_message(item, step, &message),
            Work::Contact => self.start_contact(item, step),
            Work::Event(event) => self.start_event(item, event),
            Work::Reply { words } => self.start_reply(item, step, &words),
            Work::Status {
                message_id,
                status,
                why,
                of: _,
            } => self.start_status(item, &message_id, status, &why),
            Work::Tag { contact_id } => self.start_tag(item, &contact_id),
            Work::Details => self.start_details(item, step),
            Work::Field => self.start_field(item),
            Work::Mint { location_id } => self.start_mint(item, &location_id),
            Work::List { skip } => self.start_list(item, skip),
            Work::Grant {
                location_id,
                sealed,
            } => self.start_grant(item, &location_id, &sealed),
            Work::Tell { object, ask } => self.launch_tell(item, object, *ask),
            Work::Held { .. } | Work::Unintelligible { .. } => {
                Err(Fault(format!("item {seq} cannot be started")).into())
            }
        }
    }

    /// What is ready now: statuses first, then messages and events by age, then the rest.
    fn ready(&self, board: &Board) -> Vec<Head> {
        let due = |head: &&Head| head.due.is_some_and(|due| due <= self.now);
        let mut ready: Vec<Head> = board.of(Stage::Status).filter(due).cloned().collect();
        let mut messages: Vec<Head> = board
            .of(Stage::Live)
            .chain(board.of(Stage::Event))
            .filter(due)
            .cloned()
            .collect();
        messages.sort_unstable_by_key(|head| (head.due, head.seq));
        ready.append(&mut messages);
        ready.extend(board.of(Stage::Upkeep).filter(due).cloned());
        ready
    }

    /// Whether the other side may be called for this item now.
    fn gate(&mut self, head: &Head) -> Result<bool, Stop> {
        if head.class == Stage::Event {
            return Ok(true);
        }
        let closed_until = if !self.can_call_ghl() {
            // What is parked does not stay for ever (`trim`), whether or not the connection heals.
            self.wake_at(self.now + PATIENCE);
            None
        } else {
            let free = self.pulse.rate.free_at(self.now);
            if free <= self.now {
                return Ok(true);
            }
            self.wake_at(free);
            Some(free)
        };
        let for_a_moment = matches!(self.location.lifecycle, Lifecycle::Refreshing { .. });
        if head.class != Stage::Upkeep || for_a_moment {
            return Ok(false);
        }
        // A word to another object needs no GHL; what does need it makes room for such words.
        let Some(mut item) = self.db.item(head.seq)? else {
            return Ok(false);
        };
        let work = item.work();
        if matches!(work, Ok(Work::Tell { .. } | Work::Grant { .. }) | Err(_)) {
            return Ok(true);
        }
        item.due = Some(closed_until.unwrap_or(self.now + UPKEEP_PAUSE));
        self.db.put(&item);
        Ok(false)
    }

    fn note_times(&mut self, board: &Board) {
        for head in &board.heads {
            let Some(due) = head.due else { continue };
            if head.stage == Stage::Flight {
                self.wake_at(due.min(self.now + SAFETY));
            } else if due > self.now {
                self.wake_at(due);
            }
        }
    }

    fn calls(&self) -> usize {
        let is_call = |out: &&Output| matches!(out, Output::Call { .. } | Output::Tell { .. });
        self.out.iter().filter(is_call).count()
    }
}

/// The calls that a location may have under way: five, of which one is kept for refreshes and
/// statuses, and one more for GHL while vCX is slow.
struct Slots {
    all: usize,
    messages: usize,
    events: usize,
}

impl Slots {
    fn of(board: &Board, token_calls: usize) -> Self {
        let flights = |class: Stage| board.of(Stage::Flight).filter(move |h| h.class == class);
        let statuses = flights(Stage::Status).count();
        let all = board.of(Stage::Flight).count();
        Self {
            all: all + token_calls,
            messages: all - statuses,
            events: flights(Stage::Event).count(),
        }
    }

    fn allow(&self, class: Stage) -> bool {
        match class {
            Stage::Status => self.all < CALLS,
            Stage::Event => {
                self.all < CALLS && self.messages < CALLS - 1 && self.events < CALLS - 2
            }
            _ => self.all < CALLS && self.messages < CALLS - 1,
        }
    }

    fn take(&mut self, class: Stage) {
        self.all += 1;
        self.messages += usize::from(class != Stage::Status);
        self.events += usize::from(class == Stage::Event);
    }
}

impl Item {
    /// How long its call has been under way.
    pub fn took(&self, now: i64) -> i64 {
        self.due.map_or(0, |due| now - (due - LOST))
    }
}

impl CallKind {
    fn is_to_ghl(self) -> bool {
        !matches!(self, Self::Event | Self::Tell)
    }

    /// Whether a 2xx holds what was asked for: a page of some proxy's, say, is no empty list.
    fn is_answered_by(self, body: &Value) -> bool {
        let list = |path| body.pointer(path).is_some_and(Value::is_array);
        match self {
            Self::Search => list("/contacts"),
            Self::FindConversation => list("/conversations"),
            Self::Look => list("/messages/messages") || list("/messages"),
            Self::ReadContact => contact(body)["id"].is_string(),
            Self::ListFields => list("/customFields"),
            Self::List => list("/locations"),
            Self::Create
            | Self::Upsert
            | Self::Conversation
            | Self::Send
            | Self::Update
            | Self::Tag
            | Self::CreateField
            | Self::Status
            | Self::Event
            | Self::Mint
            | Self::Tell => true,
        }
    }

    /// Method and path, for health and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Search => "POST /contacts/search",
            Self::Create => "POST /contacts/",
            Self::Upsert => "POST /contacts/upsert",
            Self::Conversation => "POST /conversations/",
            Self::Send => "POST /conversations/messages/inbound",
            Self::FindConversation => "GET /conversations/search",
            Self::Look => "GET /conversations/{id}/messages",
            Self::Update => "PUT /contacts/{id}",
            Self::ReadContact => "GET /contacts/{id}",
            Self::Tag => "POST /contacts/{id}/tags",
            Self::ListFields => "GET /locations/{id}/customFields",
            Self::CreateField => "POST /locations/{id}/customFields",
            Self::Status => "PUT /conversations/messages/{id}/status",
            Self::Event => "POST VCX_WEBHOOK_URL",
            Self::Mint => "POST /oauth/locationToken",
            Self::List => "GET /oauth/installedLocations",
            Self::Tell => "another location's object",
        }
    }
}

/// Calls under way at once: the platform allows six, and KV needs one.
const CALLS: usize = 5;
/// Rows of one ready stage on a full board.
const BOARD_STAGE: usize = 6;
const READY: [Stage; 4] = [Stage::Status, Stage::Live, Stage::Event, Stage::Upkeep];
/// The host gives a call up after this time.
pub(super) const TIMEOUT: i64 = 15_000;
/// A call that the host never came back with is unclear after this time.
const LOST: i64 = TIMEOUT + 2_000;
/// A call that takes this long is worth a line in the log.
const SLOW: i64 = 5_000;
/// While something is under way, the object is woken at least this often.
const SAFETY: i64 = 15_000;
const UPKEEP_PAUSE: i64 = 30_000;

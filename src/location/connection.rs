//! The connection to GHL: performs what the token lifecycle asks for, and tells it what came of
//! it.

use super::contact::disconnected;
use super::from_ghl::taken;
use super::outbox::Reason;
use super::turn::{Field, Kind, LastError, Stop, Turn, text};
use super::work::{CallKind, Step, Work};
use super::{Ask, Output, object_of_company};
use crate::error::Fault;
use crate::ghl;
use crate::ghl::answer::{Verdict, text as text_at};
use crate::ghl::tokens::{Grant, Owner, Tokens};
use crate::http::{Outcome, Request, Response};
use crate::seal::key_id;
use crate::signature::{digest, hex};
use crate::store::{Item, Stage};
use crate::token::{Action, Event, Lifecycle, Lost, REFRESH_TIMEOUT};
use crate::wire;
use serde_json::json;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connected {
    Location,
    Company,
}

impl Turn<'_> {
    pub fn connected_as(&self) -> Connected {
        match self.location.kind {
            Kind::Location => Connected::Location,
            Kind::Company => Connected::Company,
        }
    }

    /// The tokens, opened.
    pub fn tokens(&mut self) -> Result<Tokens, Stop> {
        if let Some(tokens) = &self.opened {
            return Ok(tokens.clone());
        }
        let tokens = self.open_tokens().map_err(Fault)?;
        self.opened = Some(tokens.clone());
        Ok(tokens)
    }

    fn open_tokens(&self) -> Result<Tokens, String> {
        let sealed = self.sealed.as_deref().ok_or("there are no tokens")?;
        let bytes = self
            .settings
            .seal_keys
            .open(sealed, &self.location.id)
            .map_err(|error| format!("the stored tokens do not open with SEAL_KEYS: {error}"))?;
        wire::read(&bytes).map_err(|_| "the stored tokens are not readable".into())
    }

    /// Seals the tokens with the newest of `SEAL_KEYS` if an older one has, so that it can go. In
    /// whatever turn comes first: new keys come with a new instance, which begins with one.
    pub fn reseal(&mut self) -> Result<(), Stop> {
        let keys = &self.settings.seal_keys;
        let is_old = |sealed: &&String| !keys.is_newest(sealed);
        let Some(old) = self.sealed.as_ref().filter(is_old).cloned() else {
            return Ok(());
        };
        // Without its key it is kept as it is, and health says so.
        let Ok(tokens) = self.tokens() else {
            return Ok(());
        };
        self.seal(&tokens);
        let now = self.sealed.as_deref().and_then(key_id);
        let fields = json!({ "was": key_id(&old), "is": now });
        self.log("info", "tokens_resealed", fields);
        self.mirror_tokens()
    }

    fn seal(&mut self, tokens: &Tokens) {
        let (plain, nonce) = (text(tokens), self.random());
        let id = &self.location.id;
        let sealed = self.settings.seal_keys.seal(plain.as_bytes(), id, nonce);
        self.sealed = Some(sealed);
    }

    /// Whether GHL may be called: the connection is good, and its tokens open.
    pub fn can_call_ghl(&mut self) -> bool {
        if !self.connected() {
            return false;
        }
        match self.tokens() {
            Ok(_) => true,
            Err(_) => {
                self.note_shut();
                false
            }
        }
    }

    /// Why the tokens do not open, if there are any and they do not.
    pub fn shut(&mut self) -> Option<String> {
        let is_shut = self.sealed.is_some() && self.tokens().is_err();
        is_shut.then(|| self.open_tokens().err())?
    }

    /// They may open soon: with the next instance, which may have other `SEAL_KEYS`.
    pub fn note_shut(&mut self) {
        let message = self.open_tokens().err().unwrap_or_default();
        self.wake_at(self.now + SHUT_PAUSE);
        let last = self.pulse.last_error.as_ref();
        if last.is_some_and(|error| error.message == message) {
            return;
        }
        let key = self.sealed.as_deref().and_then(key_id);
        self.log("error", "tokens_do_not_open", json!({ "key": key }));
        self.pulse.last_error = Some(LastError {
            at: self.now,
            call: "opening the stored tokens".to_owned(),
            status: None,
            message,
            trace_id: None,
        });
    }

    /// Refreshes and heals when it is time to.
    pub fn tick_tokens(&mut self) -> Result<(), Stop> {
        let next = self
            .location
            .lifecycle
            .next_tick(self.location.refresh_at());
        if next.is_some_and(|at| at <= self.now) {
            self.token_event(Event::Tick)?;
        }
        match self
            .location
            .lifecycle
            .next_tick(self.location.refresh_at())
        {
            Some(at) => self.wake_at(at),
            // Nobody calls with them any more, and yet they must not need a key for ever.
            None if self.sealed.is_some() => self.wake_at(self.now + RESEAL_EVERY),
            None => {}
        }
        Ok(())
    }

    /// How many calls about tokens are under way: one takes its slot even when nobody waits for
    /// its answer any more, as after an uninstall.
    pub fn tokens_in_flight(&self) -> usize {
        let until = self.location.token_call_until;
        usize::from(until.is_some_and(|until| until > self.now))
    }

    /// A call was refused because its access token, of this generation, has expired.
    pub fn refused_token(&mut self, generation: u32) -> Result<(), Stop> {
        if generation != self.location.generation {
            return Ok(());
        }
        let again = self.location.suspect && !self.location.proven;
        self.location.suspect = true;
        self.token_event(if again {
            Event::ExpiredAgain
        } else {
            Event::Expired
        })
    }

    /// Tells the lifecycle, and does what it asks for.
    pub fn token_event(&mut self, event: Event) -> Result<(), Stop> {
        let was = self.location.lifecycle.clone();
        let jitter = self.jitter();
        let (is, action) = was
            .clone()
            .step(event, self.location.refresh_at(), self.now, jitter);
        self.location.lifecycle = is.clone();
        if was.usable() != is.usable() {
            match (is.usable(), self.location.parked_since.take()) {
                (true, Some(since)) => self.db.forgive(self.now - since)?,
                (true, None) => {}
                (false, _) => self.location.parked_since = Some(self.now),
            }
        }
        if was.name() != is.name() {
            let was = match self.location.generation {
                0 | 1 if is.usable() => "new",
                _ => was.name(),
            };
            self.log("info", "connection", json!({ "was": was, "is": is.name() }));
            if !matches!(is.name(), "refreshing") {
                self.mirror_location()?;
            }
        }
        match &is {
            Lifecycle::NeedsReconnect { why, .. } if !self.location.told_down => {
                let why = match why {
                    Lost::InvalidGrant => "GHL does not know the refresh token any more",
                    Lost::TokenRefused => "GHL refuses the tokens that it issues",
                };
                self.tell_down(&format!("{why}: an admin has to open /install again"))?;
            }
            Lifecycle::Fresh if self.location.told_down => {
                self.location.told_down = false;
                if self.location.kind == Kind::Location {
                    self.announce_connected()?;
                }
            }
            _ => {}
        }
        self.perform(action)
    }

    fn tell_down(&mut self, why: &str) -> Result<(), Stop> {
        self.location.told_down = true;
        if self.location.kind == Kind::Location {
            self.announce_disconnected(why)?;
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) -> Result<(), Stop> {
        match action {
            Action::None => Ok(()),
            Action::Refresh => {
                let tokens = match self.tokens() {
                    Ok(tokens) => tokens,
                    Err(_) => {
                        self.note_shut();
                        return self.token_event(Event::RefreshFailed);
                    }
                };
                let class = match self.location.kind {
                    Kind::Location => "Location",
                    Kind::Company => "Company",
                };
                let request = ghl::refresh(self.settings, &tokens.refresh, class);
                self.token_call(REFRESH, request, REFRESH_TIMEOUT);
                Ok(())
            }
            Action::Mint => {
                let company = self.location.company_id.clone().unwrap_or_default();
                let ask = Ask::Mint {
                    location_id: self.location.id.clone(),
                };
                let attempt = self.token_call_sent(super::dispatch::TIMEOUT);
                self.out.push(Output::Tell {
                    call: MINT.into(),
                    attempt,
                    object: object_of_company(&company),
                    ask,
                    timeout_ms: super::dispatch::TIMEOUT,
                });
                Ok(())
            }
            Action::Reconnect => {
                let owner = match self.location.kind {
                    Kind::Location => "locationId",
                    Kind::Company => "companyId",
                };
                let request = ghl::reconnect(self.settings, owner, &self.location.id);
                self.token_call(RECONNECT, request, super::dispatch::TIMEOUT);
                Ok(())
            }
            Action::Probe => {
                if let Ok(tokens) = self.tokens() {
                    self.pulse.rate.take(self.now);
                    let id = &self.location.id;
                    let request = match self.location.kind {
                        Kind::Location => ghl::read_location(self.settings, id),
                        Kind::Company => ghl::installed_locations(self.settings, id, 0),
                    };
                    let request =
                        request.header("authorization", format!("Bearer {}", tokens.access));
                    self.token_call(PROBE, request, super::dispatch::TIMEOUT);
                }
                Ok(())
            }
        }
    }

    fn token_call(&mut self, call: &str, request: Request, timeout_ms: i64) {
        let attempt = self.token_call_sent(timeout_ms);
        self.out.push(Output::Call {
            call: call.to_owned(),
            attempt,
            request,
            timeout_ms,
        });
    }

    fn token_call_sent(&mut self, timeout_ms: i64) -> i64 {
        self.location.token_attempt += 1;
        self.location.token_call = self.location.token_attempt;
        self.location.token_call_until = Some(self.now + timeout_ms);
        self.location.token_attempt
    }

    /// A call about tokens came back. An answer to an older one is not even evidence: within
    /// GHL's grace the newer one brings the same pair.
    pub fn token_answered(
        &mut self,
        call: &str,
        attempt: i64,
        outcome: &Outcome,
    ) -> Result<(), Stop> {
        if attempt == self.location.token_call {
            self.location.token_call_until = None;
        }
        if attempt != self.location.token_attempt {
            return Ok(());
        }
        let verdict = Verdict::of(outcome, self.now);
        let trail = match self.location.lifecycle.sent_at() {
            Some(sent_at) => json!({ "ms": self.now - sent_at }),
            None => json!({}),
        };
        if !matches!(verdict, Verdict::Taken(_)) {
            let words = verdict.words();
            self.note_error(label(call), outcome, &words, trail.clone());
        }
        match (call, verdict) {
            (REFRESH | EXCHANGE, Verdict::Taken(body)) => match Grant::read(&body) {
                Ok(grant) => self.renew(&grant),
                Err(why) => {
                    self.note_error(label(call), outcome, &why, trail);
                    let lost = call == REFRESH;
                    self.token_event(if lost {
                        Event::RefreshLost
                    } else {
                        Event::ReconnectRefused
                    })
                }
            },
            (REFRESH, Verdict::NotActive) => self.token_event(Event::NotActive),
            (REFRESH, Verdict::Unclear { .. }) => self.token_event(Event::RefreshLost),
            (REFRESH, verdict) if is_invalid_grant(&verdict) => {
                let company = self.location.company_id.is_some();
                let company = company && self.location.kind == Kind::Location;
                self.token_event(Event::InvalidGrant { company })
            }
            (REFRESH, _) => self.token_event(Event::RefreshFailed),
            (RECONNECT, Verdict::Taken(body)) => {
                match text_at(&body, &["/authorizationCode", "/code"]) {
                    Some(code) => {
                        let request = ghl::exchange_code(self.settings, code);
                        self.token_call(EXCHANGE, request, super::dispatch::TIMEOUT);
                        Ok(())
                    }
                    None => self.token_event(Event::ReconnectRefused),
                }
            }
            (RECONNECT | EXCHANGE, Verdict::Unclear { .. } | Verdict::TooMany { .. }) => {
                self.token_event(Event::ReconnectLost)
            }
            (RECONNECT | EXCHANGE, _) => self.token_event(Event::ReconnectRefused),
            (PROBE, Verdict::Taken(_)) => {
                self.location.prove();
                self.token_event(Event::ProbeTaken)
            }
            (PROBE, _) => self.token_event(Event::ProbeRefused),
            // The tokens follow by a word of its own.
            (MINT, Verdict::Taken(_)) => Ok(()),
            (MINT, _) => self.token_event(Event::MintRefused),
            (_, _) => Ok(()),
        }
    }

    /// Whatever a call about tokens brings that is still under way, it is out of date.
    fn forget_token_calls(&mut self) {
        self.location.token_attempt += 1;
    }

    /// The object was constructed anew: the call about tokens that was under way is lost.
    pub fn lose_token_call(&mut self) -> Result<(), Stop> {
        self.location.token_call_until = None;
        match self.location.lifecycle {
            Lifecycle::Refreshing { .. } => self.token_event(Event::RefreshLost),
            Lifecycle::Reconnecting { .. } => self.token_event(Event::ReconnectLost),
            _ => Ok(()),
        }
    }

    /// New tokens for the connection as it is.
    fn renew(&mut self, grant: &Grant) -> Result<(), Stop> {
        let mut tokens = grant.tokens.clone();
        if tokens.refresh.is_empty() {
            tokens.refresh = self.tokens().map(|old| old.refresh).unwrap_or_default();
        }
        self.seal(&tokens);
        self.opened = Some(tokens);
        self.location.expires_at = self.now + grant.expires_in;
        self.location.refreshed_at = self.now;
        self.location.generation += 1;
        self.location.proven = false;
        self.token_event(Event::Renewed)?;
        self.mirror_tokens()
    }

    /// Tokens from an installation or an agency.
    pub fn connect(
        &mut self,
        grant: &Grant,
        via: &str,
        reference: Option<&str>,
    ) -> Result<(), Stop> {
        if via == BY_COMPANY {
            // The agency's object hands it over until it knows that it arrived; meanwhile the
            // location may have refreshed, and these tokens are dead.
            let print = hex(&digest(&[grant.tokens.access.as_bytes()])[..8]);
            if self.location.granted.as_deref() == Some(&print) {
                return Ok(());
            }
            self.location.granted = Some(print);
        }
        // For a location that is connected, or was asked for, they are no news: an agency's
        // installation brings them by its list and by INSTALL.
        let is_asked_for = matches!(self.location.lifecycle, Lifecycle::Minting { .. });
        let heals = via == BY_COMPANY && (is_asked_for || self.connected());
        self.location.suspect = false;
        self.forget_token_calls();
        match &grant.owner {
            Owner::Location { company_id, .. } => {
                if company_id.is_some() {
                    self.location.company_id.clone_from(company_id);
                }
            }
            Owner::Company { company_id, .. } => {
                self.location.company_id = Some(company_id.clone());
            }
        }
        if heals {
            return self.renew(grant);
        }
        self.location.via = via.to_owned();
        if reference.is_some() {
            self.location.reference = reference.map(str::to_owned);
        }
        self.location.connected_at = self.now;
        self.location.told_down = false;
        self.renew(grant)?;
        self.mirror_location()?;
        match &grant.owner {
            Owner::Location { .. } => {
                self.announce_connected()?;
                self.set_up_again()?;
                self.register_with_company()
            }
            Owner::Company { approved, .. } if approved.is_empty() => self.list_locations(),
            Owner::Company { approved, .. } => approved
                .clone()
                .iter()
                .try_for_each(|location_id| self.mint_for(location_id)),
        }
    }

    /// A new connection may have scopes that the last one lacked.
    fn set_up_again(&mut self) -> Result<(), Stop> {
        if matches!(self.location.field, Field::Known { .. }) {
            return Ok(());
        }
        self.location.field = Field::Unknown;
        self.set_up_field(Stage::Upkeep)
    }

    fn register_with_company(&mut self) -> Result<(), Stop> {
        let Some(company) = self.location.company_id.clone() else {
            return Ok(());
        };
        let ask = Box::new(Ask::Register {
            location_id: self.location.id.clone(),
        });
        self.tell(
            format!("register:{company}"),
            object_of_company(&company),
            ask,
        )
    }

    /// Queues a word for another object.
    pub fn tell(&mut self, key: String, object: String, ask: Box<Ask>) -> Result<(), Stop> {
        if let Some(old) = self.db.item_by_key(&key)? {
            self.db.remove(old.seq)?;
        }
        let work = text(&Work::Tell { object, ask });
        let item = Item::new(key.clone(), key, Stage::Upkeep, work, self.now);
        self.enqueue(item)?;
        Ok(())
    }

    pub fn tell_answered(
        &mut self,
        item: Item,
        step: &Step,
        outcome: &Outcome,
    ) -> Result<(), Stop> {
        match outcome {
            Outcome::Answered(response) if response.status < 500 => self.finish(item),
            other => {
                let words = other.words();
                self.put_off(item, step, Reason::new("object_failed", words), None)
            }
        }
    }

    /// `UNINSTALL`: acts only if it is younger than the connection, since GHL repeats old ones.
    pub fn uninstalled(&mut self, at: i64) -> Result<(), Stop> {
        // An agency's object may know its locations without ever having had tokens.
        let is_agency = self.connected_as() == Connected::Company;
        let is_over = self.location.lifecycle.is_gone() && !is_agency;
        if at <= self.location.connected_at || is_over {
            return Ok(());
        }
        if is_agency {
            for location_id in self.db.members()? {
                let object = super::object_of(&location_id);
                self.tell(
                    format!("leave:{location_id}"),
                    object,
                    Box::new(Ask::Leave { at }),
                )?;
            }
        } else {
            let why = "the app was uninstalled";
            self.tell_down(why)?;
            self.close_all(why)?;
        }
        self.sealed = None;
        self.opened = None;
        self.forget_token_calls();
        self.token_event(Event::Uninstalled)?;
        self.mirror_tokens()?;
        self.mirror_location()
    }

    /// The agency uninstalled the app.
    pub fn leave(&mut self, caller: &str, at: i64) -> Result<(), Stop> {
        self.uninstalled(at)?;
        self.answer(caller, taken());
        Ok(())
    }

    /// The agency could not mint.
    pub fn mint_refused(&mut self, caller: &str, why: &str) -> Result<(), Stop> {
        if self.location.lifecycle.is_gone() {
            self.answer(caller, disconnected(&self.location.id));
            return Ok(());
        }
        self.log("warn", "mint_refused", json!({}));
        self.pulse.last_error = Some(LastError {
            at: self.now,
            call: CallKind::Mint.word().to_owned(),
            status: None,
            message: why.to_owned(),
            trace_id: None,
        });
        self.token_event(Event::MintRefused)?;
        self.answer(caller, Response::json(200, &json!({ "received": true })));
        Ok(())
    }
}

fn is_invalid_grant(verdict: &Verdict) -> bool {
    let (Verdict::Refused { why, .. } | Verdict::Expired { why }) = verdict else {
        return false;
    };
    let why = why.to_ascii_lowercase();
    why.contains("invalid grant")
        || why.contains("invalid_grant")
        || why.contains("refresh token is invalid")
}

fn label(call: &str) -> &'static str {
    match call {
        RECONNECT => "POST /oauth/reconnect",
        PROBE => "GET /locations/{id}",
        MINT => "the agency's object",
        _ => "POST /oauth/token",
    }
}

/// How a location is connected by its agency.
pub(super) const BY_COMPANY: &str = "company";
const REFRESH: &str = "token:refresh";
const RECONNECT: &str = "token:reconnect";
const EXCHANGE: &str = "token:exchange";
const PROBE: &str = "token:probe";
const MINT: &str = "token:mint";
const SHUT_PAUSE: i64 = 60_000;
const RESEAL_EVERY: i64 = 86_400_000;

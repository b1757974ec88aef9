//! The life of a location's (or an agency's) tokens, as a state machine.
//!
//! It decides when to refresh, how to heal and when to give up; it never sees a token. The
//! location performs what it asks for and tells it what came of it. FACTS §1.3, §1.6, §1.7.

use crate::wire::{choice, record};

/// Where the tokens are in their life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Usable until a minute before they expire.
    Fresh,
    /// To be refreshed at `at`; nothing is sent to GHL before that has succeeded.
    Due {
        /// When the first refresh of this round was sent, if any was.
        first_sent: Option<i64>,
        /// Refreshes of this round that came to nothing.
        tries: u32,
        /// When to send the next.
        at: i64,
    },
    /// One refresh is under way.
    Refreshing {
        /// When the first refresh of this round was sent.
        first_sent: i64,
        /// Refreshes of this round that came to nothing.
        tries: u32,
        /// When this one was sent.
        sent_at: i64,
        /// Set when this one probes whether a paused location is active again.
        paused: Option<Pause>,
    },
    /// GHL says `Location is not active`: the tokens stay good, and are probed.
    Paused(Pause),
    /// The refresh token is dead; the company's object was asked for new tokens.
    Minting {
        /// When it was asked.
        sent_at: i64,
    },
    /// The refresh token is dead; `/oauth/reconnect` was asked for a code, or the code is being
    /// exchanged.
    Reconnecting {
        /// When the call was sent.
        sent_at: i64,
        /// Earlier tries whose answers never came.
        probes: u32,
    },
    /// Only an admin's new installation helps, or GHL taking the access token back.
    NeedsReconnect {
        /// Since when.
        since: i64,
        /// Why.
        why: Lost,
        /// When to try again by ourselves; none if only an admin helps.
        probe_at: Option<i64>,
        /// Tries so far.
        probes: u32,
    },
    /// The app was uninstalled.
    Gone {
        /// Since when.
        since: i64,
    },
}

/// A pause and its probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: i64,
    /// Probes so far.
    pub probes: u32,
    /// When to probe next.
    pub at: i64,
}

/// Why a connection cannot heal by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// GHL does not know the refresh token any more, and gave no other.
    InvalidGrant,
    /// GHL refuses an access token that it has just issued.
    TokenRefused,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed.
    Tick,
    /// A call was refused because the current access token has expired.
    Expired,
    /// The same, for a token that a refresh after such a refusal has just brought.
    ExpiredAgain,
    /// New tokens are stored: by refresh, mint, reconnect or installation.
    Renewed,
    /// The refresh was not answered: GHL may have rotated.
    RefreshLost,
    /// The refresh failed in a way that may pass (5xx, 429, an unreadable answer).
    RefreshFailed,
    /// `invalid_grant`: the refresh token is dead. `company`: an agency is known that may mint.
    InvalidGrant {
        /// Whether the location belongs to a known agency.
        company: bool,
    },
    /// `Location is not active`.
    NotActive,
    /// The company's object has no tokens, or could not mint.
    MintRefused,
    /// `/oauth/reconnect` gave no code, or the code no tokens.
    ReconnectRefused,
    /// `/oauth/reconnect`, or the exchange of its code, was not answered.
    ReconnectLost,
    /// A probe was answered: GHL takes the access token.
    ProbeTaken,
    /// A probe was refused or lost.
    ProbeRefused,
    /// The app was uninstalled.
    Uninstalled,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Send the refresh.
    Refresh,
    /// Ask the company's object for tokens.
    Mint,
    /// Ask `/oauth/reconnect` for a code.
    Reconnect,
    /// Read the location, to see whether the access token is taken.
    Probe,
}

impl Lifecycle {
    /// The state after `event`, and what to do. `refresh_at`: see [`refresh_at`]. `jitter`:
    /// 0 to 1, random.
    pub fn step(self, event: Event, refresh_at: i64, now: i64, jitter: f64) -> (Self, Action) {
        use Event as E;
        use Lifecycle as L;
        match (self, event) {
            // What ends every other state.
            (_, E::Renewed) => (L::Fresh, Action::None),
            (L::Gone { since }, _) => (L::Gone { since }, Action::None),
            (_, E::Uninstalled) => (L::Gone { since: now }, Action::None),

            (L::Fresh, E::Tick) if now >= refresh_at => refresh(None, 0, None, now),
            (L::Fresh, E::Expired) => refresh(None, 0, None, now),
            (L::Fresh, E::ExpiredAgain) => (lost(Lost::TokenRefused, now, jitter), Action::None),
            (L::Fresh, E::NotActive) => (L::Paused(pause(None, now, jitter)), Action::None),

            (
                L::Due {
                    first_sent,
                    tries,
                    at,
                },
                E::Tick,
            ) if now >= at => refresh(first_sent, tries, None, now),

            (
                L::Refreshing {
                    sent_at,
                    first_sent,
                    tries,
                    paused,
                },
                E::Tick,
            ) if now >= sent_at + REFRESH_LOST => (
                after_failure(first_sent, tries, paused, true, now, jitter),
                Action::None,
            ),
            (
                L::Refreshing {
                    first_sent,
                    tries,
                    paused,
                    ..
                },
                E::RefreshLost,
            ) => (
                after_failure(first_sent, tries, paused, true, now, jitter),
                Action::None,
            ),
            (
                L::Refreshing {
                    first_sent,
                    tries,
                    paused,
                    ..
                },
                E::RefreshFailed,
            ) => (
                after_failure(first_sent, tries, paused, false, now, jitter),
                Action::None,
            ),
            (L::Refreshing { paused, .. }, E::NotActive) => {
                (L::Paused(pause(paused, now, jitter)), Action::None)
            }
            (L::Refreshing { .. }, E::InvalidGrant { company: true }) => {
                (L::Minting { sent_at: now }, Action::Mint)
            }
            (L::Refreshing { .. }, E::InvalidGrant { company: false }) => (
                L::Reconnecting {
                    sent_at: now,
                    probes: 0,
                },
                Action::Reconnect,
            ),

            (L::Paused(pause), E::Tick) if now >= pause.at => refresh(None, 0, Some(pause), now),

            (L::Minting { .. }, E::MintRefused) => (
                L::Reconnecting {
                    sent_at: now,
                    probes: 0,
                },
                Action::Reconnect,
            ),
            (L::Minting { sent_at }, E::Tick) if now >= sent_at + MINT_LOST => (
                L::Reconnecting {
                    sent_at: now,
                    probes: 0,
                },
                Action::Reconnect,
            ),
            (L::Reconnecting { .. }, E::ReconnectRefused) => {
                (lost(Lost::InvalidGrant, now, jitter), Action::None)
            }
            (L::Reconnecting { probes, .. }, E::ReconnectLost) => {
                (unanswered(probes, now, jitter), Action::None)
            }
            (L::Reconnecting { sent_at, probes }, E::Tick) if now >= sent_at + RECONNECT_LOST => {
                (unanswered(probes, now, jitter), Action::None)
            }

            (
                L::NeedsReconnect {
                    since,
                    why,
                    probe_at: Some(at),
                    probes,
                },
                E::Tick,
            ) if now >= at => match why {
                Lost::InvalidGrant => {
                    let probes = probes + 1;
                    (
                        L::Reconnecting {
                            sent_at: now,
                            probes,
                        },
                        Action::Reconnect,
                    )
                }
                Lost::TokenRefused => {
                    let probe_at = Some(now + PROBE_LOST + spread(PROBE, probes, jitter));
                    let probes = probes + 1;
                    (
                        L::NeedsReconnect {
                            since,
                            why,
                            probe_at,
                            probes,
                        },
                        Action::Probe,
                    )
                }
            },
            (
                L::NeedsReconnect {
                    why: Lost::TokenRefused,
                    ..
                },
                E::ProbeTaken,
            ) => (L::Fresh, Action::None),

            // Everything else is late news: a token that was replaced meanwhile, an answer to a
            // call that was given up.
            (
                state,
                E::Tick
                | E::Expired
                | E::ExpiredAgain
                | E::RefreshLost
                | E::RefreshFailed
                | E::InvalidGrant { .. }
                | E::NotActive
                | E::MintRefused
                | E::ReconnectRefused
                | E::ReconnectLost
                | E::ProbeTaken
                | E::ProbeRefused,
            ) => (state, Action::None),
        }
    }

    /// Whether GHL may be called with the access token.
    pub fn usable(&self) -> bool {
        matches!(self, Self::Fresh)
    }

    /// Whether the app was uninstalled.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// When the call that is under way was sent.
    pub fn sent_at(&self) -> Option<i64> {
        match self {
            Self::Refreshing { sent_at, .. }
            | Self::Minting { sent_at }
            | Self::Reconnecting { sent_at, .. } => Some(*sent_at),
            Self::Fresh
            | Self::Due { .. }
            | Self::Paused(_)
            | Self::NeedsReconnect { .. }
            | Self::Gone { .. } => None,
        }
    }

    /// When [`Event::Tick`] next changes something.
    pub fn next_tick(&self, refresh_at: i64) -> Option<i64> {
        match self {
            Self::Fresh => Some(refresh_at),
            Self::Due { at, .. } => Some(*at),
            Self::Refreshing { sent_at, .. } => Some(sent_at + REFRESH_LOST),
            Self::Paused(pause) => Some(pause.at),
            Self::Minting { sent_at } => Some(sent_at + MINT_LOST),
            Self::Reconnecting { sent_at, .. } => Some(sent_at + RECONNECT_LOST),
            Self::NeedsReconnect { probe_at, .. } => *probe_at,
            Self::Gone { .. } => None,
        }
    }

    /// The state's name, as `/locations/{id}` shows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fresh => "connected",
            Self::Due { .. }
            | Self::Refreshing { paused: None, .. }
            | Self::Minting { .. }
            | Self::Reconnecting { .. } => "refreshing",
            Self::Refreshing {
                paused: Some(_), ..
            }
            | Self::Paused(_) => "paused",
            Self::NeedsReconnect { .. } => "needs_reconnect",
            Self::Gone { .. } => "uninstalled",
        }
    }
}

fn refresh(
    first_sent: Option<i64>,
    tries: u32,
    paused: Option<Pause>,
    now: i64,
) -> (Lifecycle, Action) {
    let first_sent = first_sent.unwrap_or(now);
    (
        Lifecycle::Refreshing {
            first_sent,
            tries,
            sent_at: now,
            paused,
        },
        Action::Refresh,
    )
}

/// A lost answer is asked for again at once while GHL's grace lasts: the same old token then
/// brings the same new pair (FACTS §1.3).
fn after_failure(
    first_sent: i64,
    tries: u32,
    paused: Option<Pause>,
    lost: bool,
    now: i64,
    jitter: f64,
) -> Lifecycle {
    if let (Some(before), false) = (paused, lost) {
        return Lifecycle::Paused(pause(Some(before), now, jitter));
    }
    let in_grace = lost && tries + 1 < GRACE_TRIES && now < first_sent + GRACE;
    let at = if in_grace {
        now
    } else {
        now + spread(RETRY, tries, jitter)
    };
    Lifecycle::Due {
        first_sent: Some(first_sent),
        tries: tries + 1,
        at,
    }
}

fn pause(before: Option<Pause>, now: i64, jitter: f64) -> Pause {
    let probes = before.map_or(0, |pause| pause.probes + 1);
    let since = before.map_or(now, |pause| pause.since);
    Pause {
        since,
        probes,
        at: now + spread(PROBE, probes, jitter),
    }
}

fn lost(why: Lost, now: i64, jitter: f64) -> Lifecycle {
    let probe_at = match why {
        Lost::TokenRefused => Some(now + spread(PROBE, 0, jitter)),
        Lost::InvalidGrant => None,
    };
    Lifecycle::NeedsReconnect {
        since: now,
        why,
        probe_at,
        probes: 0,
    }
}

/// GHL did not say that reconnecting is impossible: it is tried again, ever more rarely.
fn unanswered(probes: u32, now: i64, jitter: f64) -> Lifecycle {
    let probe_at = Some(now + spread(PROBE, probes, jitter));
    Lifecycle::NeedsReconnect {
        since: now,
        why: Lost::InvalidGrant,
        probe_at,
        probes,
    }
}

/// Exponential growth between two bounds; between half and all of it, so that it does grow.
fn spread((least, most): (i64, i64), tries: u32, jitter: f64) -> i64 {
    let full = least.saturating_mul(1 << tries.min(20)).min(most);
    full / 2 + (full as f64 / 2.0 * jitter) as i64
}

/// When an access token is to be refreshed: a minute before it expires; halfway, if it lives for
/// less than two.
pub fn refresh_at(refreshed_at: i64, expires_at: i64) -> i64 {
    let half = (expires_at - refreshed_at) / 2;
    expires_at - REFRESH_AHEAD.min(half.max(0))
}

const REFRESH_AHEAD: i64 = 60_000;
/// The host ends a refresh after this time, so that three fit into the grace.
pub const REFRESH_TIMEOUT: i64 = 8_000;
/// A refresh that the host never came back with counts as lost after this time.
const REFRESH_LOST: i64 = 9_500;
const MINT_LOST: i64 = 120_000;
const RECONNECT_LOST: i64 = 40_000;
const PROBE_LOST: i64 = 20_000;
/// GHL answers the same old refresh token with the same new pair for 30 s (FACTS §1.3).
const GRACE: i64 = 30_000;
const GRACE_TRIES: u32 = 3;
const RETRY: (i64, i64) = (2_000, 600_000);
const PROBE: (i64, i64) = (60_000, 3_600_000);

choice!(Lifecycle {
    "fresh" Fresh,
    "due" Due { first_sent, tries, at },
    "refreshing" Refreshing { first_sent, tries, sent_at, paused },
    "paused" Paused (inner),
    "minting" Minting { sent_at },
    "reconnecting" Reconnecting { sent_at, probes },
    "needsReconnect" NeedsReconnect { since, why, probe_at, probes },
    "gone" Gone { since },
});
record!(Pause { since, probes, at });
choice!(Lost {
    "invalidGrant" InvalidGrant,
    "tokenRefused" TokenRefused,
});

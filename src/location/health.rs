//! What `GET /locations/{id}` says: computed when it is asked for, from real traffic.

use super::turn::{Field, LastError, Stop, Turn};
use crate::http::Response;
use crate::token::{Lifecycle, Lost};
use serde_json::{Value, json};

impl Turn<'_> {
    /// Answers with the location's health.
    pub fn health(&mut self, caller: &str) -> Result<(), Stop> {
        let (depth, oldest_at) = self.db.depth()?;
        let next_try_at = self.next_try()?;
        let dead: Vec<Value> = self
            .db
            .dead()?
            .iter()
            .map(|item| self.dead_letter(item))
            .collect();
        let down = self.down();
        let mut degraded = self.degraded(oldest_at);
        if self
            .db
            .next_mirror()?
            .is_some_and(|next| next.tries > KV_TRIES)
        {
            degraded
                .push("Workers KV refuses what is to be written there; it is tried again".into());
        }
        if !dead.is_empty() {
            degraded.push(format!("{} dead letters wait to be replayed", dead.len()));
        }
        let health = match (down.is_empty(), degraded.is_empty()) {
            (false, _) => "down",
            (true, false) => "degraded",
            (true, true) => "ok",
        };
        let reasons: Vec<String> = down.into_iter().chain(degraded).collect();
        let (location, pulse) = (&self.location, &self.pulse);
        let body = json!({
            "locationId": location.id,
            "companyId": location.company_id,
            "state": location.lifecycle.name(),
            "via": location.via,
            "ref": location.reference,
            "health": health,
            "reasons": reasons,
            "token": { "expiresAt": location.expires_at, "refreshedAt": location.refreshed_at },
            "traffic": {
                "lastWebhookAt": pulse.last_webhook_at,
                "lastToGhlAt": pulse.last_to_ghl_at,
                "lastToVcxAt": pulse.last_to_vcx_at,
            },
            "queue": { "depth": depth, "oldestAt": oldest_at, "nextTryAt": next_try_at },
            "rate": {
                "max": pulse.rate.max,
                "intervalMs": pulse.rate.interval_ms,
                "remaining": pulse.rate.remaining,
                "dailyRemaining": pulse.rate.daily_remaining,
            },
            "deadLetters": dead,
            "lastError": pulse.last_error.as_ref().map(last_error),
            "ignored": pulse.ignored,
        });
        self.answer(caller, Response::json(200, &body));
        Ok(())
    }

    /// When what waits is tried next: a message, or what stands before all of those for GHL.
    fn next_try(&self) -> Result<Option<i64>, Stop> {
        let connected = self.connected();
        let healing = match connected {
            true => None,
            false => self
                .location
                .lifecycle
                .next_tick(self.location.refresh_at()),
        };
        let due = self.db.next_due(!connected)?;
        Ok(due.into_iter().chain(healing).min())
    }

    /// Why nothing gets through.
    fn down(&mut self) -> Vec<String> {
        let mut reasons: Vec<String> = self.shut().into_iter().collect();
        match &self.location.lifecycle {
            Lifecycle::Fresh | Lifecycle::Due { tries: 0, .. } => {}
            Lifecycle::Refreshing {
                tries: 0,
                paused: None,
                ..
            } => {}
            // It was not even asked.
            Lifecycle::Due { .. } if !reasons.is_empty() => {}
            Lifecycle::Due { .. } | Lifecycle::Refreshing { paused: None, .. } => {
                reasons.push("GHL does not answer the token refresh; it is tried again".into());
            }
            Lifecycle::Refreshing { .. } | Lifecycle::Paused(_) => {
                reasons.push(
                    "GHL says the location is not active: it is paused or unpaid there; \
                     what is queued is sent when it is active again"
                        .into(),
                );
            }
            Lifecycle::Minting { .. } | Lifecycle::Reconnecting { .. } => {
                reasons.push("the refresh token was lost; new tokens are being asked for".into());
            }
            Lifecycle::NeedsReconnect {
                why: Lost::InvalidGrant,
                ..
            } => {
                reasons.push(
                    "GHL does not know the refresh token any more: an admin has to open /install"
                        .into(),
                );
            }
            Lifecycle::NeedsReconnect {
                why: Lost::TokenRefused,
                ..
            } => {
                reasons.push(
                    "GHL refuses the tokens that it issues: if that does not pass, an admin has \
                     to open /install"
                        .into(),
                );
            }
            Lifecycle::Gone { .. } => reasons.push("the app was uninstalled".into()),
        }
        reasons
    }

    /// What gets through late, or only in part.
    fn degraded(&self, oldest_at: Option<i64>) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(waited) = oldest_at.map(|at| self.now - at).filter(|ms| *ms > LATE) {
            let last = self.pulse.last_error.as_ref();
            let last = last.map_or(String::new(), |error| {
                format!("; the last failure: {}: {}", error.call, error.message)
            });
            reasons.push(format!(
                "a message has waited for {} s{last}",
                waited / 1_000
            ));
        }
        if let Field::Unavailable { why } = &self.location.field {
            reasons.push(format!(
                "the custom field for vCX's client id cannot be set up ({why}): contacts made \
                 before are found by e-mail and phone only"
            ));
        }
        reasons
    }
}

fn last_error(error: &LastError) -> Value {
    json!({
        "at": error.at,
        "call": error.call,
        "status": error.status,
        "message": error.message,
        "traceId": error.trace_id,
    })
}

/// KV may refuse now and then: one write a second for a key.
const KV_TRIES: i64 = 3;
/// A message that has waited longer than this is late.
const LATE: i64 = 60_000;

//! Access and refresh tokens: one day and one year, the refresh token single use, with a grace in
//! which its reuse gives the same new pair (FACTS §1.3).

use super::Ghl;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Who a token is for.
#[derive(Clone, Debug)]
pub struct Holder {
    pub client_id: String,
    pub company_id: String,
    /// None for an agency's token.
    pub location_id: Option<String>,
    pub scope: String,
    /// Of an agency: the locations that the admin chose.
    pub approved: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Access {
    pub holder: Holder,
    pub scopes: BTreeSet<String>,
    pub expires_at: i64,
}

#[derive(Clone, Debug)]
pub struct Refresh {
    pub holder: Holder,
    pub expires_at: i64,
    pub revoked: bool,
    /// When it was used first, and what that gave.
    pub used: Option<(i64, Value)>,
}

#[derive(Default)]
pub struct Tokens {
    accesses: BTreeMap<String, Access>,
    refreshes: BTreeMap<String, Refresh>,
    count: u64,
}

impl Holder {
    /// The location, or the agency.
    pub fn resource(&self) -> &str {
        self.location_id.as_deref().unwrap_or(&self.company_id)
    }
}

impl Tokens {
    /// A new pair, as `/oauth/token` answers it (FACTS §1.2).
    pub fn issue(&mut self, now: i64, holder: &Holder, expires_in: i64, approved: bool) -> Value {
        self.count += 1;
        let (n, resource) = (self.count, holder.resource());
        let (access, refresh) = (
            format!("access-{resource}-{n}"),
            format!("refresh-{resource}-{n}"),
        );
        self.accesses.insert(
            access.clone(),
            Access {
                holder: holder.clone(),
                scopes: Ghl::scopes(&holder.scope),
                expires_at: now + expires_in * 1_000,
            },
        );
        self.refreshes.insert(
            refresh.clone(),
            Refresh {
                holder: holder.clone(),
                expires_at: now + YEAR,
                revoked: false,
                used: None,
            },
        );
        let is_company = holder.location_id.is_none();
        let mut reply = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "refresh_token": refresh,
            "scope": holder.scope,
            "userType": if is_company { "Company" } else { "Location" },
            "companyId": holder.company_id,
            "userId": "usr1",
            "isBulkInstallation": is_company,
            "traceId": "trace",
        });
        match &holder.location_id {
            Some(location_id) => reply["locationId"] = json!(location_id),
            None if approved && !holder.approved.is_empty() => {
                reply["approvedLocations"] = json!(holder.approved);
            }
            None => {}
        }
        reply
    }

    pub fn access(&self, now: i64, authorization: Option<&str>) -> Option<&Access> {
        let token = authorization?.strip_prefix("Bearer ")?;
        self.accesses
            .get(token)
            .filter(|access| now < access.expires_at)
    }

    pub fn refresh(&self, token: &str) -> Option<&Refresh> {
        self.refreshes.get(token)
    }

    pub fn use_up(&mut self, now: i64, token: &str, reply: &Value) {
        if let Some(refresh) = self.refreshes.get_mut(token) {
            refresh.used = Some((now, reply.clone()));
        }
    }

    pub fn expire_access(&mut self, now: i64, resource: &str) {
        for access in self.accesses.values_mut() {
            if access.holder.resource() == resource {
                access.expires_at = access.expires_at.min(now);
            }
        }
    }

    /// Grace included.
    pub fn revoke_refresh(&mut self, resource: &str) {
        for refresh in self.refreshes.values_mut() {
            refresh.revoked |= refresh.holder.resource() == resource;
        }
    }

    /// The app was uninstalled.
    pub fn forget(&mut self, resource: &str, client_id: &str) {
        let is_other =
            |holder: &Holder| holder.resource() != resource || holder.client_id != client_id;
        self.accesses.retain(|_, access| is_other(&access.holder));
        self.refreshes
            .retain(|_, refresh| is_other(&refresh.holder));
    }
}

const YEAR: i64 = 365 * 86_400_000;

//! GHL's token replies, of both classes and in both cases of names (FACTS §1.2, §1.4).

use crate::wire::{choice, record};
use serde_json::Value;

/// Tokens as GHL gave them.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token, single use. A location's exchange may lack it in old versions.
    pub refresh: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// Whose tokens they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A location's.
    Location {
        /// The location.
        location_id: String,
        /// Its agency.
        company_id: Option<String>,
    },
    /// An agency's: to be exchanged for each of its locations.
    Company {
        /// The agency.
        company_id: String,
        /// The locations that the admin approved; empty when GHL does not say.
        approved: Vec<String>,
    },
}

/// A token reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whose.
    pub owner: Owner,
    /// The tokens.
    pub tokens: Tokens,
    /// Life of the access token in milliseconds.
    pub expires_in: i64,
}

impl Grant {
    /// Reads a reply. The error says what is missing.
    pub fn read(body: &Value) -> Result<Self, String> {
        let text = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| body[*name].as_str())
                .filter(|text| !text.is_empty())
        };
        let need = |names: [&str; 2]| {
            text(names)
                .map(str::to_owned)
                .ok_or(format!("GHL's token reply has no {}", names[0]))
        };
        let access = need(["access_token", "accessToken"])?;
        let refresh = text(["refresh_token", "refreshToken"])
            .unwrap_or_default()
            .to_owned();
        let seconds = ["expires_in", "expiresIn"]
            .iter()
            .find_map(|name| {
                let value = &body[*name];
                value.as_f64().or_else(|| value.as_str()?.parse().ok())
            })
            .filter(|seconds| *seconds > 0.0)
            .unwrap_or(DAY_SECONDS);
        let company_id = text(["companyId", "company_id"]).map(str::to_owned);
        let location_id = text(["locationId", "location_id"]).map(str::to_owned);
        let is_company = text(["userType", "user_type"]) == Some("Company");
        let owner = match (is_company, location_id, company_id) {
            (false, Some(location_id), company_id) => Owner::Location {
                location_id,
                company_id,
            },
            (_, _, Some(company_id)) => Owner::Company {
                company_id,
                approved: strings(&body["approvedLocations"]),
            },
            (true, _, None) => return Err("GHL's token reply has no companyId".into()),
            (false, None, None) => return Err("GHL's token reply has no locationId".into()),
        };
        let expires_in = (seconds.min(YEAR_SECONDS) * 1_000.0) as i64;
        Ok(Self {
            owner,
            tokens: Tokens { access, refresh },
            expires_in,
        })
    }
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

const DAY_SECONDS: f64 = 86_399.0;
const YEAR_SECONDS: f64 = 366.0 * 86_400.0;

record!(Tokens { access, refresh });
choice!(Owner {
    "location" Location { location_id, company_id },
    "company" Company { company_id, approved },
});
record!(Grant {
    owner,
    tokens,
    expires_in
});

//! The OAuth calls (FACTS §1.2-1.7), and installing and uninstalling as an admin does it.

use super::server::Call;
use super::state::{App, Installation};
use super::tokens::Holder;
use super::{Answer, Answered, Ghl};
use serde_json::{Value, json};
use vcx_ghl::map::iso;

/// `POST /oauth/token`.
pub fn token(ghl: &mut Ghl, call: &Call) -> Answered {
    let text = |name: &str| call.body[name].as_str().unwrap_or_default().to_owned();
    let need = |name: &str, word: &str| match text(name) {
        found if found.is_empty() => {
            Err(Answer::bad_request(&format!("Missing parameter: {word}")))
        }
        found => Ok(found),
    };
    let grant_type = need("grant_type", "grantType")?;
    if !["authorization_code", "refresh_token"].contains(&grant_type.as_str()) {
        return Err(Answer::bad_request("Invalid parameter: grantType"));
    }
    need("client_id", "clientId")?;
    need("client_secret", "clientSecret")?;
    let app = |ghl: &Ghl| {
        known_app(ghl, &text("client_id"), &text("client_secret")).map(|app| app.client_id.clone())
    };
    if grant_type == "refresh_token" {
        let client_id = app(ghl)?;
        let token = need("refresh_token", "refreshToken")?;
        return refresh(ghl, &client_id, &token);
    }
    let code = need("code", "code")?;
    // The code is looked at before the client's credentials (FACTS §1.7).
    let (holder, redirect_uri, expires_at) = ghl.codes.get(&code).cloned().ok_or_else(no_code)?;
    if ghl.now >= expires_at {
        return Err(no_code());
    }
    if holder.client_id != app(ghl)? {
        return Err(no_code());
    }
    let given = text("redirect_uri");
    if !given.is_empty() && !redirect_uri.is_empty() && given != redirect_uri {
        return Err(Answer::bad_request(
            "Invalid grant: redirect URI is invalid",
        ));
    }
    must_be_active(ghl, &holder)?;
    ghl.codes.remove(&code);
    Ok(Answer::new(200, issue(ghl, &holder, EXPIRES_IN)))
}

fn refresh(ghl: &mut Ghl, client_id: &str, token: &str) -> Answered {
    let invalid = || Answer::bad_request("Invalid grant: refresh token is invalid");
    let found = ghl.tokens.refresh(token).cloned().ok_or_else(invalid)?;
    if found.holder.client_id != client_id || found.revoked || ghl.now >= found.expires_at {
        return Err(invalid());
    }
    if let Some((used_at, reply)) = found.used {
        return match ghl.now - used_at <= GRACE {
            true => Ok(Answer::new(200, reply)),
            false => Err(invalid()),
        };
    }
    must_be_active(ghl, &found.holder)?;
    let reply = issue(ghl, &found.holder, EXPIRES_IN);
    ghl.tokens.use_up(ghl.now, token, &reply);
    Ok(Answer::new(200, reply))
}

/// `POST /oauth/locationToken` (FACTS §1.4).
pub fn location_token(ghl: &mut Ghl, call: &Call) -> Answered {
    let holder = &call
        .access
        .as_ref()
        .ok_or_else(Answer::server_error)?
        .holder;
    if call.body["companyId"] != json!(holder.company_id) {
        return Err(Answer::forbidden(
            "The token does not have access to this company.",
        ));
    }
    let location_id = call.body["locationId"].as_str().unwrap_or_default();
    let location = ghl.locations.get(location_id);
    if location.is_none_or(|location| location.company_id != holder.company_id) {
        return Err(Answer::other_tenant());
    }
    let key = (holder.client_id.clone(), location_id.to_owned());
    let Some(installation) = ghl.installations.get(&key) else {
        return Err(Answer::bad_request(
            "The app is not installed in this location",
        ));
    };
    let holder = Holder {
        location_id: Some(location_id.to_owned()),
        scope: installation.scope.clone(),
        approved: Vec::new(),
        ..holder.clone()
    };
    must_be_active(ghl, &holder)?;
    // One second more than the other call says (FACTS §1.2).
    let mut reply = issue(ghl, &holder, EXPIRES_IN + 1);
    reply["appId"] = json!(ghl.app_id());
    Ok(Answer::new(ghl.options.location_token_status, reply))
}

/// `GET /oauth/installedLocations` (FACTS §1.5).
pub fn installed(ghl: &mut Ghl, call: &Call) -> Answered {
    let holder = &call
        .access
        .as_ref()
        .ok_or_else(Answer::server_error)?
        .holder;
    let query = |name: &str| call.query.get(name).map_or("", String::as_str);
    if query("companyId") != holder.company_id {
        return Err(Answer::forbidden(
            "The token does not have access to this company.",
        ));
    }
    if query("appId") != ghl.app_id() {
        return Err(Answer::bad_request("App not found"));
    }
    let number = |name: &str, default: usize| query(name).parse().unwrap_or(default);
    let wanted = query("isInstalled") != "false";
    let mine = ghl.locations.iter().filter(|(id, location)| {
        location.company_id == holder.company_id
            && ghl.is_installed(&holder.client_id, id) == wanted
    });
    let found: Vec<Value> = mine
        .map(|(id, _)| {
            let installation = ghl
                .installations
                .get(&(holder.client_id.clone(), id.clone()));
            let installed_at = installation.map(|found| iso(found.installed_at));
            json!({ "_id": id, "name": "Acme", "isInstalled": wanted, "installedAt": installed_at })
        })
        .collect();
    let page: Vec<&Value> = found
        .iter()
        .skip(number("skip", 0))
        .take(number("limit", 20))
        .collect();
    let body =
        json!({ "locations": page, "count": found.len(), "installToFutureLocations": false });
    Ok(Answer::new(200, body))
}

/// `POST /oauth/reconnect` (FACTS §1.6).
pub fn reconnect(ghl: &mut Ghl, call: &Call) -> Answered {
    if !ghl.options.reconnect {
        return Err(Answer::not_found("Cannot POST /oauth/reconnect"));
    }
    let text = |name: &str| call.body[name].as_str().unwrap_or_default();
    let client_id = known_app(ghl, text("clientKey"), text("clientSecret"))?
        .client_id
        .clone();
    let location_id = call.body["locationId"].as_str().map(str::to_owned);
    let resource = location_id
        .as_deref()
        .unwrap_or(text("companyId"))
        .to_owned();
    let Some(installation) = ghl
        .installations
        .get(&(client_id.clone(), resource.clone()))
    else {
        return Err(Answer::bad_request("App is not installed"));
    };
    let company_id = match &location_id {
        Some(id) => ghl
            .locations
            .get(id)
            .map_or(String::new(), |found| found.company_id.clone()),
        None => resource,
    };
    let scope = installation.scope.clone();
    let holder = Holder {
        client_id,
        company_id,
        location_id,
        scope,
        approved: Vec::new(),
    };
    let code = grant(ghl, holder, "");
    let expires_at = iso(ghl.now + CODE_LIFE);
    let body = json!({ "authorizationCode": code, "expiresAt": expires_at, "traceId": "trace" });
    Ok(Answer::new(200, body))
}

impl Ghl {
    /// An admin installs the app in a location, or in an agency and all its locations; the code
    /// that its callback gets.
    pub fn install(&mut self, now: i64, resource: &str) -> String {
        self.now = now;
        let client_id = self.client_id.clone();
        let scope = self.apps[&client_id].scope.clone();
        let holder = self.approve(&client_id, resource, &scope);
        let redirect_uri = self.options.redirect_uri.clone();
        for location_id in holder.location_id.iter().chain(&holder.approved) {
            let fields = json!({
                "installType": "Location", "locationId": location_id,
                "companyId": holder.company_id, "companyName": "Acme Agency",
                "isWhitelabelCompany": false, "whitelabelDetails": {}, "trial": {},
            });
            self.emit("INSTALL", fields);
        }
        grant(self, holder, &redirect_uri)
    }

    /// Counts the app as installed; who its tokens are for.
    pub fn approve(&mut self, client_id: &str, resource: &str, scope: &str) -> Holder {
        let installed_at = self.now;
        let location_id = self
            .locations
            .contains_key(resource)
            .then(|| resource.to_owned());
        let company_id = match &location_id {
            Some(id) => self.locations[id].company_id.clone(),
            None => resource.to_owned(),
        };
        let approved: Vec<String> = match &location_id {
            Some(_) => Vec::new(),
            None => self.locations_of(resource),
        };
        for id in approved.iter().map(String::as_str).chain([resource]) {
            let installation = Installation {
                scope: scope.to_owned(),
                installed_at,
            };
            self.installations
                .insert((client_id.to_owned(), id.to_owned()), installation);
        }
        Holder {
            client_id: client_id.into(),
            company_id,
            location_id,
            scope: scope.into(),
            approved,
        }
    }

    /// A token pair without the walk.
    pub fn issue(&mut self, client_id: &str, resource: &str, scope: &str) -> Value {
        let holder = self.approve(client_id, resource, scope);
        issue(self, &holder, EXPIRES_IN)
    }

    /// Removes the app from a location, or from an agency and all its locations. An agency's
    /// UNINSTALL names only the agency (FACTS §4.5).
    pub fn uninstall(&mut self, now: i64, resource: &str) {
        self.now = now;
        let client_id = self.client_id.clone();
        let is_location = self.locations.contains_key(resource);
        let mut gone = vec![resource.to_owned()];
        if !is_location {
            gone.extend(self.locations_of(resource));
        }
        for id in gone {
            self.installations.remove(&(client_id.clone(), id.clone()));
            self.tokens.forget(&id, &client_id);
        }
        let name = if is_location {
            "locationId"
        } else {
            "companyId"
        };
        let mut fields = json!({});
        fields[name] = json!(resource);
        self.emit("UNINSTALL", fields);
    }

    fn locations_of(&self, company_id: &str) -> Vec<String> {
        let mine = self
            .locations
            .iter()
            .filter(|(_, location)| location.company_id == company_id);
        mine.map(|(id, _)| id.clone()).collect()
    }
}

fn grant(ghl: &mut Ghl, holder: Holder, redirect_uri: &str) -> String {
    let code = ghl.id("code");
    let expires_at = ghl.now + CODE_LIFE;
    ghl.codes
        .insert(code.clone(), (holder, redirect_uri.to_owned(), expires_at));
    code
}

fn issue(ghl: &mut Ghl, holder: &Holder, expires_in: i64) -> Value {
    ghl.tokens
        .issue(ghl.now, holder, expires_in, ghl.options.approved_locations)
}

/// The same refresh token works again later: it is not used up (FACTS §1.7).
fn must_be_active(ghl: &Ghl, holder: &Holder) -> Result<(), Answer> {
    let company = ghl
        .companies
        .get(&holder.company_id)
        .is_none_or(|company| company.active);
    let location = holder
        .location_id
        .as_ref()
        .and_then(|id| ghl.locations.get(id));
    match company && location.is_none_or(|location| location.active) {
        true => Ok(()),
        false => Err(Answer::bad_request("Location is not active")),
    }
}

fn known_app<'a>(ghl: &'a Ghl, client_id: &str, client_secret: &str) -> Result<&'a App, Answer> {
    let app = ghl
        .apps
        .get(client_id)
        .filter(|app| app.client_secret == client_secret);
    app.ok_or_else(|| Answer::bad_request("Invalid client: client credentials are invalid"))
}

fn no_code() -> Answer {
    let words = "Authorization code not found";
    Answer::new(
        401,
        json!({ "error": "UnAuthorized!", "error_description": words }),
    )
}

const EXPIRES_IN: i64 = 86_399;
const CODE_LIFE: i64 = 15 * 60_000;
const GRACE: i64 = 30_000;

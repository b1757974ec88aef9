//! Runs one case of `tests/ghl-cases.json` against the simulated GHL; the file's `_readme` is its
//! language.

use super::ghl::{Ghl, Post, SCOPES, To};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vcx_ghl::http::{Request, Response};

/// What differs from what a case says; none when it passes.
pub fn run(case: &Value) -> Result<(), String> {
    let mut scene = Scene::arrange(&case["given"])?;
    for (n, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        scene
            .step(step)
            .map_err(|why| format!("step {}: {why}", n + 1))?;
    }
    Ok(())
}

struct Scene {
    ghl: Ghl,
    now: i64,
    vars: BTreeMap<String, Value>,
    tokens: BTreeMap<String, String>,
}

impl Scene {
    fn arrange(given: &Value) -> Result<Self, String> {
        let mut ghl = Ghl::new(START, CLIENT, "secret", "provider");
        ghl.add_app(OTHER_CLIENT, "other-secret", "other-provider");
        let company = ghl.add_company();
        let location = ghl.add_location(&company);
        let other = ghl.add_location(&company);
        let foreign_company = ghl.add_company();
        let foreign = ghl.add_location(&foreign_company);
        let settings = ghl.locations.get_mut(&location).ok_or("no location")?;
        settings.allow_duplicates = given["location"]["allowDuplicateContact"] == true;
        if let Some(list) = given["location"]["contactUniqueIdentifiers"].as_array() {
            settings.unique = list
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
        }
        let mut token = |client: &str, resource: &str| {
            let reply = ghl.issue(client, resource, SCOPES);
            reply["access_token"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let company_token = token(CLIENT, &company);
        let expired = token(CLIENT, &location);
        let mut tokens = BTreeMap::from([
            ("company".to_owned(), company_token),
            ("otherLocation".to_owned(), token(CLIENT, &other)),
            ("otherApp".to_owned(), token(OTHER_CLIENT, &location)),
            ("garbage".to_owned(), "nonsense".to_owned()),
        ]);
        ghl.tokens.expire_access(START, &location);
        // The other app's token is of the same location.
        let other_app = ghl.issue(OTHER_CLIENT, &location, SCOPES);
        tokens.insert("otherApp".into(), text(&other_app["access_token"]));
        let fresh = ghl.issue(CLIENT, &location, SCOPES);
        tokens.insert("location".into(), text(&fresh["access_token"]));
        tokens.insert("expired".into(), expired);
        let vars = [
            ("locationId", location.as_str()),
            ("otherLocationId", &other),
            ("foreignLocationId", &foreign),
            ("companyId", &company),
            ("clientId", CLIENT),
            ("clientSecret", "secret"),
            ("appId", "app1"),
            ("providerId", "provider"),
            ("otherProviderId", "other-provider"),
            ("redirectUri", "https://sync.test/auth/callback"),
        ];
        let vars = vars
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let mut scene = Self {
            ghl,
            now: START,
            vars,
            tokens,
        };
        scene.make_all(given)?;
        if let Some(scope) = given["scope"].as_str() {
            let reply = scene.ghl.issue(CLIENT, &location, scope);
            scene
                .tokens
                .insert("location".into(), text(&reply["access_token"]));
        }
        if let Some(what) = given["code"].as_str() {
            let resource = if what == "company" {
                &company
            } else {
                &location
            };
            let code = scene.ghl.install(START, resource);
            scene.vars.insert("code".into(), json!(code));
        }
        scene.ghl.posts();
        scene.ghl.reset_limits();
        scene.set_options(&given["options"]);
        Ok(scene)
    }

    fn make_all(&mut self, given: &Value) -> Result<(), String> {
        let location = self.vars["locationId"].clone();
        let fields_path = format!("/locations/{}/customFields", text(&location));
        for (name, field) in object(&given["customFields"]) {
            let body = json!({ "name": field, "dataType": "TEXT", "model": "contact" });
            self.make(name, &fields_path, body, "/customField/id")?;
        }
        for (name, contact) in object(&given["contacts"]) {
            let mut body = contact.clone();
            body["locationId"] = location.clone();
            self.make(name, "/contacts/", body, "/contact/id")?;
        }
        for (name, contact) in object(&given["conversations"]) {
            let contact = self.vars[contact.as_str().unwrap_or_default()].clone();
            let body = json!({ "locationId": location, "contactId": contact });
            self.make(name, "/conversations/", body, "/conversation/id")?;
        }
        for (name, message) in object(&given["messages"]) {
            let mut body = message.clone();
            let contact = body["contact"].take();
            body.as_object_mut().ok_or("no object")?.remove("contact");
            body["contactId"] = self.vars[contact.as_str().unwrap_or_default()].clone();
            body["type"] = json!("Custom");
            body["conversationProviderId"] = self.vars["providerId"].clone();
            self.make(name, "/conversations/messages/inbound", body, "/messageId")?;
        }
        Ok(())
    }

    fn make(&mut self, name: &str, path: &str, body: Value, id: &str) -> Result<(), String> {
        let response = self.ask(&json!({ "method": "POST", "path": path, "body": body }));
        let made: Value = serde_json::from_str(&response.body).unwrap_or_default();
        let id = made
            .pointer(id)
            .ok_or_else(|| format!("given {name}: {}", response.body))?;
        self.vars.insert(name.to_owned(), id.clone());
        Ok(())
    }

    fn set_options(&mut self, given: &Value) {
        let options = &mut self.ghl.options;
        let number = |value: &Value, default: i64| value.as_i64().unwrap_or(default);
        options.search_lag = number(&given["searchLagMs"], 0);
        options.refuse_conversation = given["conversationExists"] != "return";
        options.status_not_yet = number(&given["statusNotYetMs"], 0);
        options.status_not_yet_status = number(&given["statusNotYetStatus"], 403) as u16;
        options.location_token_status = number(&given["locationTokenStatus"], 201) as u16;
        options.reconnect = given["reconnect"] != false;
        let limits = &given["limits"];
        options.max = number(&limits["max"], 100);
        options.interval = number(&limits["intervalMs"], 10_000);
        options.daily = number(&limits["daily"], 200_000);
        options.retry_after = limits["retryAfter"] == true;
    }

    fn step(&mut self, step: &Value) -> Result<(), String> {
        if let Some(millis) = step["advanceMs"].as_i64() {
            self.now += millis;
            return Ok(());
        }
        self.ghl.posts();
        for _ in 0..step["times"].as_u64().unwrap_or(1) {
            let result = if step["request"].is_object() {
                self.asked(step)?
            } else {
                self.act(&step["do"])?
            };
            for (name, path) in object(&step["save"]) {
                let pointer = format!("/{}", text(path).replace('.', "/"));
                let value = result.pointer(&pointer).cloned().unwrap_or_default();
                self.vars.insert(name.clone(), value);
            }
        }
        let posts = self.ghl.posts();
        match &step["sends"] {
            Value::Array(expected) => check_sends(posts, &self.fill(&json!(expected))?),
            _ => Ok(()),
        }
    }

    fn asked(&mut self, step: &Value) -> Result<Value, String> {
        let request = self.fill(&step["request"])?;
        let response = self.ask(&request);
        let expected = self.fill(&step["answer"])?;
        let said = &response.body;
        if expected["status"] != json!(response.status) {
            return Err(format!("answered {} {said}", response.status));
        }
        for (name, value) in object(&expected["headers"]) {
            let actual = response.headers.get(&name.to_lowercase());
            let actual = actual.map(|text| json!(text));
            differs(actual.as_ref(), value, name).map_or(Ok(()), Err)?;
        }
        if expected["empty"] == true && !said.is_empty() {
            return Err(format!("the body is not empty: {said}"));
        }
        let body: Value = serde_json::from_str(said).unwrap_or_default();
        if !expected["body"].is_null() {
            let wrong = differs(Some(&body), &expected["body"], "body");
            wrong.map_or(Ok(()), |wrong| Err(format!("{wrong}; answered {said}")))?;
        }
        Ok(body)
    }

    fn ask(&mut self, ask: &Value) -> Response {
        let path = text(&ask["path"]);
        let mut request = Request::new(&text(&ask["method"]), format!("https://ghl.test{path}"));
        let usual = if path.contains("/conversations") {
            "2021-04-15"
        } else {
            "2021-07-28"
        };
        match &ask["version"] {
            Value::String(version) => request = request.header("version", version),
            Value::Null if ask.get("version").is_some() => {}
            _ => request = request.header("version", usual),
        }
        let token = ask["token"].as_str().unwrap_or("location");
        if token != "none" {
            request = request.header("authorization", format!("Bearer {}", self.tokens[token]));
        }
        if let Some(raw) = ask["raw"].as_str() {
            request = request.json(raw.to_owned());
        } else if ask["form"].is_object() {
            let fields: Vec<(&str, &str)> = object(&ask["form"])
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
                .collect();
            request = request.form(&fields);
        } else if !ask["body"].is_null() {
            request = request.json(ask["body"].to_string());
        }
        for (name, value) in object(&ask["headers"]) {
            request = request.header(&name.to_lowercase(), text(value));
        }
        self.ghl.answer(self.now, &request)
    }

    fn act(&mut self, action: &Value) -> Result<Value, String> {
        let action = self.fill(action)?;
        let (name, what) = object(&action).next().ok_or("nothing to do")?;
        let resource = match what.as_str() {
            Some("company") => text(&self.vars["companyId"]),
            Some(_) | None => text(&self.vars["locationId"]),
        };
        let now = self.now;
        match name.as_str() {
            "pause" => self.ghl.set_active(&resource, false),
            "resume" => self.ghl.set_active(&resource, true),
            "expireAccessTokens" => self.ghl.tokens.expire_access(now, &resource),
            "revokeRefreshTokens" => self.ghl.tokens.revoke_refresh(&resource),
            "install" => {
                self.ghl.install(now, &resource);
            }
            "uninstall" => self.ghl.uninstall(now, &resource),
            "agentReplies" => {
                let kind = what["type"].as_str().unwrap_or("Custom").to_owned();
                let attachments = what["attachments"].clone();
                let (contact, words) = (text(&what["contact"]), text(&what["message"]));
                let message = self
                    .ghl
                    .agent_replies(now, &contact, &kind, &words, attachments);
                return Ok(
                    json!({ "messageId": message.id, "conversationId": message.conversation_id }),
                );
            }
            other => return Err(format!("no such thing to do: {other}")),
        }
        Ok(Value::Null)
    }

    /// Puts the variables in.
    fn fill(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => self.fill_text(text)?,
            Value::Array(list) => list
                .iter()
                .map(|item| self.fill(item))
                .collect::<Result<_, _>>()?,
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| Ok((text(&self.fill_text(name)?), self.fill(value)?)))
                .collect::<Result<_, String>>()?,
            other => other.clone(),
        })
    }

    fn fill_text(&self, whole: &str) -> Result<Value, String> {
        let known = |name: &str| {
            self.vars
                .get(name)
                .ok_or_else(|| format!("there is no {{{{{name}}}}}"))
        };
        if let Some(name) = whole
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
            && !name.contains('{')
        {
            return known(name).cloned();
        }
        let mut filled = String::new();
        let mut rest = whole;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or("no end of {{")?;
            filled.push_str(before);
            filled.push_str(&text(known(name)?));
            rest = after;
        }
        Ok(json!(filled + rest))
    }
}

fn check_sends(mut posts: Vec<Post>, expected: &Value) -> Result<(), String> {
    let seen = format!("posted {posts:?}");
    for wanted in expected.as_array().into_iter().flatten() {
        let to = if wanted["to"] == "delivery" {
            To::Delivery
        } else {
            To::Webhook
        };
        let fits =
            |post: &Post| post.to == to && differs(Some(&post.body), &wanted["body"], "").is_none();
        match posts.iter().position(fits) {
            Some(at) => posts.remove(at),
            None => return Err(format!("no post fits {wanted}; {seen}")),
        };
    }
    match posts.is_empty() {
        true => Ok(()),
        false => Err(format!("posted more than expected: {posts:?}")),
    }
}

/// The first difference.
fn differs(actual: Option<&Value>, expected: &Value, path: &str) -> Option<String> {
    let wrong = || {
        Some(format!(
            "{path} is {}, not {expected}",
            actual.unwrap_or(&Value::Null)
        ))
    };
    let is = |fits: bool| if fits { None } else { wrong() };
    let value = actual.unwrap_or(&Value::Null);
    let (name, wanted) = match expected {
        Value::Object(fields) => match fields.iter().next() {
            Some((name, wanted)) => (name.as_str(), wanted),
            None => ("", &Value::Null),
        },
        // GHL's list of what is wrong with a body: JSON objects have no order here.
        Value::Array(list) if path == "body.message" => {
            let actual = value.as_array().map_or(&[][..], Vec::as_slice);
            return is(actual.len() == list.len() && list.iter().all(|one| actual.contains(one)));
        }
        Value::Array(list) => {
            let actual = value.as_array().map_or(&[][..], Vec::as_slice);
            if !value.is_array() || actual.len() != list.len() {
                return wrong();
            }
            let mut pairs = actual.iter().zip(list).enumerate();
            return pairs.find_map(|(n, (actual, expected))| {
                differs(Some(actual), expected, &format!("{path}.{n}"))
            });
        }
        plain => return is(actual == Some(plain)),
    };
    let starts = |with: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.starts_with(with.as_str().unwrap_or("\0")))
    };
    let contains = |part: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.contains(part.as_str().unwrap_or("\0")))
    };
    match name {
        "$absent" => is(actual.is_none()),
        "$type" => is(actual.is_some() && type_name(value) == wanted.as_str().unwrap_or_default()),
        "$startsWith" => is(starts(wanted)),
        "$contains" => is(contains(wanted)),
        "$length" => is(value.as_array().map(|list| json!(list.len())).as_ref() == Some(wanted)),
        "$not" => is(actual.is_some() && value != wanted),
        _ => object(expected).find_map(|(name, expected)| {
            differs(value.get(name), expected, &format!("{path}.{name}"))
        }),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Object(_) => "object",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    }
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

const CLIENT: &str = "app1-key1";
const OTHER_CLIENT: &str = "other-key2";
/// 2026-10-08T09:00:00.000Z.
const START: i64 = 1_791_450_000_000;

//! The routes and the gate before them: version, token, class, scope, rate limit, validation,
//! tenant, in this order.

use super::state::Limits;
use super::tokens::Access;
use super::{Answer, Answered, Ghl, contacts, conversations, messages, oauth, schema, search};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vcx_ghl::http::{Request, Response, path};

/// A call that passed the gate.
pub struct Call {
    /// What stands at the route's `{}`, unescaped.
    pub id: String,
    pub query: BTreeMap<String, String>,
    pub body: Value,
    /// None on routes without a token.
    pub access: Option<Access>,
}

pub fn answer(ghl: &mut Ghl, request: &Request) -> Response {
    let mut headers = Vec::new();
    let answer = match gate(ghl, request, &mut headers) {
        Ok((handle, call)) => handle(ghl, &call).unwrap_or_else(|refusal| refusal),
        Err(refusal) => refusal,
    };
    let mut response = match answer.body {
        Some(body) => Response::json(answer.status, &body),
        None => Response {
            status: answer.status,
            headers: BTreeMap::new(),
            body: String::new(),
        },
    };
    response.headers.extend(headers);
    response
}

type Handler = fn(&mut Ghl, &Call) -> Answered;
type Headers = Vec<(String, String)>;

fn gate(
    ghl: &mut Ghl,
    request: &Request,
    headers: &mut Headers,
) -> Result<(Handler, Call), Answer> {
    let full = path(&request.url);
    let Some((route, id)) = find(&request.method, full) else {
        return Err(Answer::not_found(&format!(
            "Cannot {} {full}",
            request.method
        )));
    };
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    let version = header("version");
    match version {
        None if route.name != "POST /oauth/token" => {
            return Err(Answer::unauthorized("version header was not found."));
        }
        Some(version) if !VERSIONS.contains(&version) => {
            let words = format!("Invalid API version segment '{version}' at position 0");
            return Err(Answer::bad_request(&words));
        }
        Some(_) | None => {}
    }
    let access = match route.scope {
        "" => None,
        _ => match ghl.tokens.access(ghl.now, header("authorization")) {
            Some(access) => Some(access.clone()),
            None => {
                return Err(Answer::unauthorized(
                    "Invalid token: access token is invalid",
                ));
            }
        },
    };
    if version == Some("v3") && REMOVED.contains(&route.name) {
        let message = format!(
            "Endpoint {full} not available in API version v3. This endpoint was \
            removed in version v3. Please use a version before v3."
        );
        let body = json!({ "statusCode": 400, "message": message, "error": "Bad Request" });
        return Err(Answer::new(400, body));
    }
    if let Some(access) = &access {
        count(ghl, access, headers)?;
        may(route, access)?;
    }
    let query = pairs(request.url.split_once('?').map_or("", |(_, query)| query));
    let body = read_body(request)?;
    if let Some(access) = &access {
        let found = schema::problems(route.name, &body, &query);
        match found.as_slice() {
            [] => {}
            [only] if only == "locationId should not be empty" => {
                let words = "LocationId can't be undefined";
                let body = json!({ "statusCode": 422, "message": words });
                return Err(Answer::new(422, body));
            }
            _ => return Err(Answer::unprocessable(&found)),
        }
        let in_path = full.starts_with("/locations/").then_some(id.as_str());
        let named = [
            in_path,
            body["locationId"].as_str(),
            query.get("locationId").map(String::as_str),
        ];
        tenant(ghl, access, route, &named)?;
    }
    Ok((
        route.handle,
        Call {
            id,
            query,
            body,
            access,
        },
    ))
}

/// Counts a call, and tells the limits (FACTS §5).
fn count(ghl: &mut Ghl, access: &Access, headers: &mut Headers) -> Result<(), Answer> {
    let options = &ghl.options;
    let key = format!("{} {}", access.holder.client_id, access.holder.resource());
    let Limits {
        window_ends,
        used,
        day_ends,
        used_today,
    } = ghl.buckets.entry(key).or_default();
    if ghl.now >= *window_ends {
        (*window_ends, *used) = (ghl.now + options.interval, 0);
    }
    if ghl.now >= *day_ends {
        (*day_ends, *used_today) = (ghl.now + DAY, 0);
    }
    let refused = *used >= options.max || *used_today >= options.daily;
    if !refused {
        *used += 1;
        *used_today += 1;
    }
    let mut tell = |name: &str, value: i64| headers.push((name.to_owned(), value.to_string()));
    tell("x-ratelimit-limit-daily", options.daily);
    tell(
        "x-ratelimit-daily-remaining",
        (options.daily - *used_today).max(0),
    );
    tell("x-ratelimit-interval-milliseconds", options.interval);
    tell("x-ratelimit-max", options.max);
    tell("x-ratelimit-remaining", (options.max - *used).max(0));
    if !refused {
        return Ok(());
    }
    if options.retry_after {
        let ends = if *used_today >= options.daily {
            *day_ends
        } else {
            *window_ends
        };
        tell("retry-after", (ends - ghl.now + 999) / 1_000);
    }
    Err(Answer::new(
        429,
        json!({ "statusCode": 429, "message": "Too Many Requests" }),
    ))
}

fn may(route: &Route, access: &Access) -> Result<(), Answer> {
    let is_company = access.holder.location_id.is_none();
    match (route.class, is_company) {
        (Class::Location, true) => {
            return Err(Answer::unauthorized("Token's user type mismatch!"));
        }
        (Class::Company, false) => {
            let words = "This authClass type is not allowed to access this scope. Please reach \
                out to the Integrations team to update the IAM config.";
            return Err(Answer::unauthorized(words));
        }
        (Class::Location, false) | (Class::Company, true) | (Class::Both, _) => {}
    }
    match access.scopes.contains(route.scope) {
        true => Ok(()),
        false => Err(Answer::unauthorized(
            "The token is not authorized for this scope.",
        )),
    }
}

fn tenant(ghl: &Ghl, access: &Access, route: &Route, named: &[Option<&str>]) -> Result<(), Answer> {
    for location_id in named.iter().flatten() {
        let is_mine = match &access.holder.location_id {
            Some(mine) => mine == location_id,
            // The OAuth calls look for themselves.
            None => {
                let location = ghl.locations.get(*location_id);
                route.name.contains("/oauth/")
                    || location.is_some_and(|found| found.company_id == access.holder.company_id)
            }
        };
        if !is_mine {
            return Err(Answer::other_tenant());
        }
    }
    Ok(())
}

fn read_body(request: &Request) -> Result<Value, Answer> {
    let Some(text) = request.body.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(json!({}));
    };
    let kind = request
        .headers
        .get("content-type")
        .map_or("", String::as_str);
    if kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(json!(pairs(text)));
    }
    serde_json::from_str(text).map_err(|error| {
        let message = format!("{error} in JSON");
        Answer::new(
            400,
            json!({ "statusCode": 400, "message": message, "error": "Bad Request" }),
        )
    })
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

struct Route {
    /// Method and path, with `{}` for one segment.
    name: &'static str,
    /// Empty: it needs no token.
    scope: &'static str,
    class: Class,
    handle: Handler,
}

#[derive(Clone, Copy)]
enum Class {
    Location,
    Company,
    Both,
}

/// The route, and what stands at its `{}`.
fn find(method: &str, path: &str) -> Option<(&'static Route, String)> {
    let exact = ROUTES
        .iter()
        .find(|route| route.name.split_once(' ') == Some((method, path)));
    if let Some(route) = exact {
        return Some((route, String::new()));
    }
    ROUTES.iter().find_map(|route| {
        let (its_method, pattern) = route.name.split_once(' ')?;
        let (before, after) = pattern.split_once("{}")?;
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        let fits = its_method == method && !id.is_empty() && !id.contains('/');
        fits.then(|| (route, unescape(id)))
    })
}

fn unescape(segment: &str) -> String {
    let pairs = form_urlencoded::parse(segment.as_bytes());
    let (id, _) = pairs.into_owned().next().unwrap_or_default();
    id
}

const fn route(name: &'static str, scope: &'static str, class: Class, handle: Handler) -> Route {
    Route {
        name,
        scope,
        class,
        handle,
    }
}

use Class::{Both, Company, Location};

const ROUTES: &[Route] = &[
    route("POST /oauth/token", "", Both, oauth::token),
    route("POST /oauth/reconnect", "", Both, oauth::reconnect),
    route(
        "POST /oauth/locationToken",
        "oauth.write",
        Company,
        oauth::location_token,
    ),
    route(
        "GET /oauth/installedLocations",
        "oauth.readonly",
        Company,
        oauth::installed,
    ),
    route(
        "POST /contacts/",
        "contacts.write",
        Location,
        contacts::create,
    ),
    route(
        "POST /contacts/upsert",
        "contacts.write",
        Location,
        contacts::upsert,
    ),
    route(
        "POST /contacts/search",
        "contacts.readonly",
        Location,
        search::search,
    ),
    route(
        "GET /contacts/search/duplicate",
        "contacts.readonly",
        Location,
        contacts::duplicate,
    ),
    route(
        "GET /contacts/{}",
        "contacts.readonly",
        Location,
        contacts::get,
    ),
    route(
        "PUT /contacts/{}",
        "contacts.write",
        Location,
        contacts::update,
    ),
    route(
        "DELETE /contacts/{}",
        "contacts.write",
        Location,
        contacts::remove,
    ),
    route(
        "POST /contacts/{}/tags",
        "contacts.write",
        Location,
        contacts::add_tags,
    ),
    route(
        "DELETE /contacts/{}/tags",
        "contacts.write",
        Location,
        contacts::remove_tags,
    ),
    route(
        "GET /locations/{}",
        "locations.readonly",
        Both,
        contacts::location,
    ),
    route(
        "GET /locations/{}/customFields",
        "locations/customFields.readonly",
        Location,
        contacts::fields,
    ),
    route(
        "POST /locations/{}/customFields",
        "locations/customFields.write",
        Location,
        contacts::create_field,
    ),
    route(
        "POST /conversations/",
        "conversations.write",
        Location,
        conversations::create,
    ),
    route(
        "GET /conversations/search",
        "conversations.readonly",
        Location,
        conversations::search,
    ),
    route(
        "POST /conversations/messages",
        "conversations/message.write",
        Location,
        messages::send,
    ),
    route(
        "POST /conversations/messages/inbound",
        "conversations/message.write",
        Location,
        messages::log,
    ),
    route(
        "PUT /conversations/messages/{}/status",
        "conversations/message.write",
        Location,
        messages::set_status,
    ),
    route(
        "GET /conversations/messages/{}",
        "conversations/message.readonly",
        Location,
        messages::get,
    ),
    route(
        "GET /conversations/{}/messages",
        "conversations/message.readonly",
        Location,
        messages::list,
    ),
    route(
        "GET /conversations/{}",
        "conversations.readonly",
        Location,
        conversations::get,
    ),
    route(
        "PUT /conversations/{}",
        "conversations.write",
        Location,
        conversations::update,
    ),
    route(
        "DELETE /conversations/{}",
        "conversations.write",
        Location,
        conversations::remove,
    ),
];

const REMOVED: [&str; 2] = ["POST /oauth/locationToken", "GET /oauth/installedLocations"];
const VERSIONS: [&str; 6] = [
    "v3",
    "2023-02-21",
    "2021-07-28",
    "2021-04-15",
    "legacy",
    "2021-01-01",
];
const DAY: i64 = 86_400_000;

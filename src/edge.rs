//! What the stateless Worker decides: who may ask, what the request says, which location it
//! concerns. It holds nothing between two requests; where it needs an answer first, it says what
//! to do and how to go on ([`Then`]).

mod events;
mod install;
mod page;

use crate::error::{Code, Problem};
use crate::ghl::webhook::{Event, Webhook};
use crate::http::{Outcome, Request, Response};
use crate::location::{Ask, object_of, object_of_company};
use crate::session::{Refused, Session};
use crate::settings::Settings;
use crate::signature::{digest_of, hex};
use crate::vcx::{self, ContactAsk, Push, StatusAsk};
use crate::wire::{self, choice, record};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A request, as far as the edge looks at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Incoming<'a> {
    /// Method, in capitals.
    pub method: &'a str,
    /// The URL.
    pub url: &'a str,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `X-GHL-Signature`.
    pub signature: Option<&'a str>,
    /// `Cookie`.
    pub cookie: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Upgrade`.
    pub upgrade: Option<&'a str>,
    /// `Sec-WebSocket-Protocol`.
    pub protocols: Option<&'a str>,
    /// The body; none when it is over [`BODY_LIMIT`].
    pub body: Option<&'a [u8]>,
}

/// What the host is to do.
#[allow(
    clippy::large_enum_variant,
    reason = "there are a handful at a time, and each is moved once"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Answer.
    Respond {
        /// With this.
        response: Response,
        /// Write this line to the log.
        log: Option<String>,
    },
    /// Ask an object; its answer is the answer, unless `then` says how to go on.
    Ask {
        /// The object's name.
        object: String,
        /// What to ask.
        ask: Ask,
        /// How to go on.
        then: Option<Then>,
    },
    /// Ask an object in a request that asks for a WebSocket; its answer is the answer, and brings
    /// the socket unless it refuses.
    Listen {
        /// The object's name.
        object: String,
        /// What to ask.
        ask: Ask,
    },
    /// Send a request, and go on with its outcome.
    Fetch {
        /// The request.
        request: Request,
        /// When to give it up.
        timeout_ms: i64,
        /// How to go on.
        then: Then,
    },
    /// List KV's keys with their metadata, and go on with them.
    List {
        /// The keys begin with this.
        prefix: String,
        /// Where the page before ended.
        cursor: Option<String>,
        /// How to go on.
        then: Then,
    },
}

/// How to go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// The code was exchanged.
    Exchanged {
        /// `install` or `marketplace`.
        via: String,
        /// vCX's account.
        reference: Option<String>,
        /// The code, so that no page shows it.
        code: String,
    },
    /// The tokens were handed to their object.
    Connected {
        /// What the page says is connected.
        what: String,
    },
    /// The directory was listed.
    Listed,
}

/// What a step brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Brought {
    /// The outcome of a request, or an object's answer.
    Outcome {
        /// It.
        outcome: Outcome,
    },
    /// A page of KV's keys.
    Page {
        /// Names and metadata.
        keys: Vec<Listed>,
        /// Where it ends, unless it is the last.
        cursor: Option<String>,
    },
}

/// A key of KV.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its metadata.
    pub metadata: Value,
}

/// The settings, or what is missing or wrong about them.
pub type Configured = Result<Settings, Vec<String>>;

/// Decides about a request.
pub fn route(
    incoming: &Incoming<'_>,
    configured: &Configured,
    now: i64,
    entropy: &mut dyn FnMut(&mut [u8]),
) -> Step {
    match decide(incoming, configured, now, entropy) {
        Ok(step) => step,
        Err(problem) => respond(problem.response()),
    }
}

/// The headers that every answer to a request from a page needs, so that pages of an allowed
/// origin may read it: <https://fetch.spec.whatwg.org/#http-cors-protocol>. Cookies play no part,
/// so there is no `Access-Control-Allow-Credentials`.
pub fn shared_with(
    url: &str,
    origin: Option<&str>,
    configured: &Configured,
) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let takes_sessions =
        Route::of(crate::http::path(url)).is_ok_and(|route| route.takes_sessions());
    let (true, Some(origin), Ok(settings)) = (takes_sessions, origin, configured) else {
        return headers;
    };
    headers.insert("vary".to_owned(), "Origin".to_owned());
    if settings.allows(Some(origin)) {
        headers.insert("access-control-allow-origin".to_owned(), origin.to_owned());
        headers.insert(
            "access-control-expose-headers".to_owned(),
            "Retry-After".to_owned(),
        );
    }
    headers
}

/// Goes on with what a step brought.
pub fn proceed(then: &Then, brought: &Brought, now: i64) -> Step {
    match (then, brought) {
        (
            Then::Exchanged {
                via,
                reference,
                code,
            },
            Brought::Outcome { outcome },
        ) => install::exchanged(outcome, via, reference.clone(), code, now),
        (Then::Connected { what }, Brought::Outcome { outcome }) => {
            install::connected(outcome, what, now)
        }
        (Then::Listed, Brought::Page { keys, cursor }) => directory(keys, cursor.as_deref()),
        (Then::Exchanged { .. } | Then::Connected { .. }, Brought::Page { .. })
        | (Then::Listed, Brought::Outcome { .. }) => {
            let detail = "the host brought something else than was asked for";
            respond(Problem::new(Code::Internal, detail).response())
        }
    }
}

fn decide(
    incoming: &Incoming<'_>,
    configured: &Configured,
    now: i64,
    entropy: &mut dyn FnMut(&mut [u8]),
) -> Result<Step, Problem> {
    bounded(incoming)?;
    let (path, query) = split(incoming.url);
    let route = Route::of(path)?;
    if route == Route::Health {
        route.allow(incoming.method)?;
        return Ok(respond(health(configured)));
    }
    let settings = match configured {
        Ok(settings) => settings,
        Err(wrong) => {
            let mut problem = Problem::new(Code::NotConfigured, wrong.join("; "));
            problem.errors = setting_errors(wrong);
            return Err(problem);
        }
    };
    if let ("OPTIONS", true, Some(origin)) =
        (incoming.method, route.takes_sessions(), incoming.origin)
    {
        return preflight(settings, origin);
    }
    route.allow(incoming.method)?;
    let session = match route.needs_key() {
        true => authorize(incoming, settings, &route, now)?,
        false => None,
    };
    let body = || {
        incoming
            .body
            .ok_or_else(|| Problem::new(Code::TooLarge, "the body is over 256 KB"))
    };
    let ask = |location_id: &str, ask: Ask| Step::Ask {
        object: object_of(location_id),
        ask,
        then: None,
    };
    match route {
        Route::Health => Ok(respond(health(configured))),
        Route::OpenApi => {
            let document = OPENAPI.replace("{{version}}", VERSION);
            Ok(respond(Response::text(200, "application/json", document)))
        }
        Route::Install => install::start(settings, &query, now, entropy),
        Route::Callback => Ok(install::callback(settings, &query, incoming.cookie, now)),
        Route::Push => {
            let push = match &session {
                Some(session) => Push::parse_by(session, body()?)?,
                None => Push::parse(body()?)?,
            };
            Ok(ask(&push.location_id.clone(), Ask::Push { push }))
        }
        Route::Contact => {
            let parsed = ContactAsk::parse(body()?)?;
            Ok(ask(
                &parsed.location_id.clone(),
                Ask::Contact { ask: parsed },
            ))
        }
        Route::MessageStatus => {
            let parsed = match &session {
                Some(session) => StatusAsk::parse_by(session, body()?)?,
                None => StatusAsk::parse(body()?)?,
            };
            Ok(ask(
                &parsed.location_id.clone(),
                Ask::Status { ask: parsed },
            ))
        }
        Route::Events => events::listen(settings, incoming, &query, now),
        Route::Webhook => webhook(settings, incoming.signature, body()?, now),
        Route::Locations => Ok(Step::List {
            prefix: crate::location::DIRECTORY.into(),
            cursor: query.get("cursor").cloned(),
            then: Then::Listed,
        }),
        Route::Location(id) => Ok(ask(&id, Ask::Health)),
        Route::Replay(id) => {
            let ids = vcx::replay_ids(body()?)?;
            Ok(ask(&id, Ask::Replay { ids }))
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    Health,
    OpenApi,
    Install,
    Callback,
    Push,
    Contact,
    MessageStatus,
    Webhook,
    Events,
    Locations,
    Location(String),
    Replay(String),
}

impl Route {
    fn of(path: &str) -> Result<Self, Problem> {
        let id = |segment: &str| {
            let id = decode(segment);
            vcx::is_id(&id, vcx::ID).then_some(id)
        };
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let route = match segments.as_slice() {
            ["health"] => Some(Self::Health),
            ["openapi.json"] => Some(Self::OpenApi),
            ["install"] => Some(Self::Install),
            ["auth", "callback"] => Some(Self::Callback),
            ["push-message"] => Some(Self::Push),
            ["contact"] => Some(Self::Contact),
            ["message-status"] => Some(Self::MessageStatus),
            ["webhook"] => Some(Self::Webhook),
            ["events"] => Some(Self::Events),
            ["locations"] => Some(Self::Locations),
            ["locations", segment] => id(segment).map(Self::Location),
            ["locations", segment, "replay"] => id(segment).map(Self::Replay),
            _ => None,
        };
        route.ok_or_else(|| Problem::new(Code::NotFound, "no such route; see GET /openapi.json"))
    }

    fn allow(&self, method: &str) -> Result<(), Problem> {
        let allowed = match self {
            Self::Health
            | Self::OpenApi
            | Self::Install
            | Self::Callback
            | Self::Events
            | Self::Locations
            | Self::Location(_) => "GET",
            Self::Push | Self::Contact | Self::MessageStatus | Self::Webhook | Self::Replay(_) => {
                "POST"
            }
        };
        // Monitors ask with HEAD; for the callback that would use the code up.
        let by_head = method == "HEAD" && matches!(self, Self::Health | Self::OpenApi);
        if method == allowed || by_head {
            return Ok(());
        }
        let detail = format!("this route takes {allowed}");
        let mut problem = Problem::new(Code::MethodNotAllowed, detail);
        problem.headers.push(("allow", allowed));
        Err(problem)
    }

    fn needs_key(&self) -> bool {
        match self {
            Self::Push
            | Self::Contact
            | Self::MessageStatus
            | Self::Locations
            | Self::Location(_)
            | Self::Replay(_) => true,
            Self::Health
            | Self::OpenApi
            | Self::Install
            | Self::Callback
            | Self::Events
            | Self::Webhook => false,
        }
    }

    /// Whether a session does as well as a key.
    fn takes_sessions(&self) -> bool {
        matches!(self, Self::Push | Self::MessageStatus)
    }
}

/// Nothing of ours is that long, and whoever sends it is told so before anything reads it.
fn bounded(incoming: &Incoming<'_>) -> Result<(), Problem> {
    if incoming.url.len() > URL_LIMIT {
        return Err(Problem::new(Code::UrlTooLong, "the URL is over 8 KB"));
    }
    for (name, value) in [
        ("Authorization", incoming.authorization),
        ("X-GHL-Signature", incoming.signature),
        ("Cookie", incoming.cookie),
        ("Origin", incoming.origin),
        ("Sec-WebSocket-Protocol", incoming.protocols),
    ] {
        if value.is_some_and(|value| value.len() > HEADER_LIMIT) {
            let detail = format!("the header {name} is over 16 KB");
            return Err(Problem::new(Code::HeaderTooLarge, detail));
        }
    }
    Ok(())
}

/// What a browser asks before it lets a page send.
fn preflight(settings: &Settings, origin: &str) -> Result<Step, Problem> {
    if !settings.allows(Some(origin)) {
        return Err(foreign());
    }
    let headers = [
        ("access-control-allow-methods", "POST"),
        (
            "access-control-allow-headers",
            "authorization, content-type",
        ),
        ("access-control-max-age", PREFLIGHT_S),
    ];
    Ok(respond(Response {
        status: 204,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: String::new(),
    }))
}

/// Lets vCX's backend in by its key, and a browser by the session that is returned.
fn authorize(
    incoming: &Incoming<'_>,
    settings: &Settings,
    route: &Route,
    now: i64,
) -> Result<Option<Session>, Problem> {
    let presented = incoming.authorization.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let unauthorized = |detail: String| Err(Problem::new(Code::Unauthorized, detail));
    let Some(bearer) = presented else {
        return unauthorized("the header Authorization: Bearer <VCX_API_KEY> is missing".into());
    };
    if settings.api_keys.accepts(bearer) {
        return Ok(None);
    }
    let keys = settings.session_keys.as_ref();
    match keys
        .filter(|_| route.takes_sessions())
        .map(|keys| keys.verify(bearer, now))
    {
        Some(Ok(session)) if settings.allows(incoming.origin) => Ok(Some(session)),
        Some(Ok(_)) => Err(foreign()),
        Some(Err(Refused::TooLong | Refused::Malformed | Refused::WrongSignature)) => unauthorized(
            "the bearer is neither one of VCX_API_KEY nor a session signed with SESSION_SECRET"
                .into(),
        ),
        Some(Err(refused)) => unauthorized(refused.to_string()),
        None => unauthorized("the API key is not one of VCX_API_KEY".into()),
    }
}

fn foreign() -> Problem {
    Problem::new(
        Code::OriginNotAllowed,
        "the page's origin is not one of VCX_ALLOWED_ORIGINS",
    )
}

/// A webhook: its signature first, over the very bytes, then what it says.
fn webhook(
    settings: &Settings,
    signature: Option<&str>,
    body: &[u8],
    now: i64,
) -> Result<Step, Problem> {
    if let Err(refused) = settings.ghl_keys.verify(signature, body) {
        let log = json!({
            "level": "warn", "event": "webhook_refused", "at": now, "code": refused.code(),
        });
        // Without detail: whoever tries signatures learns nothing from the answer.
        let response = Problem::new(Code::Unauthorized, "").response();
        return Ok(Step::Respond {
            response,
            log: Some(wire::text(&log)),
        });
    }
    let hash = hex(&digest_of(body));
    let text = String::from_utf8_lossy(body);
    let webhook = Webhook::read(&text, &hash, &settings.provider_id);
    let without_effect = |event: &str| {
        let log = json!({
            "level": "warn", "event": event, "at": now, "sha256": hash, "bytes": body.len(),
        });
        let response = Response::json(200, &json!({ "received": true }));
        Ok(Step::Respond {
            response,
            log: Some(wire::text(&log)),
        })
    };
    let Some(webhook) = webhook else {
        return without_effect("webhook_unreadable");
    };
    if webhook
        .app_id
        .as_deref()
        .is_some_and(|id| id != settings.app_id())
    {
        return without_effect("webhook_of_another_app");
    }
    let is_id = |id: &&str| vcx::is_id(id, vcx::ID);
    let location = webhook.location_id.as_deref().filter(is_id);
    let company = webhook.company_id.as_deref().filter(is_id);
    let object = match (&webhook.event, location, company) {
        // Only the agency's token can make the location's.
        (Event::Installed, _, Some(company)) => object_of_company(company),
        (_, Some(location), _) => object_of(location),
        (Event::Uninstalled, None, Some(company)) => object_of_company(company),
        (_, None, _) => return without_effect("webhook_without_location"),
    };
    Ok(Step::Ask {
        object,
        ask: Ask::Webhook { webhook },
        then: None,
    })
}

fn health(configured: &Configured) -> Response {
    match configured {
        Ok(_) => Response::json(200, &json!({ "status": "up", "version": VERSION })),
        Err(wrong) => {
            let missing: Vec<&str> = wrong.iter().map(|text| name_of(text)).collect();
            let body = json!({
                "status": "not_configured", "version": VERSION, "missing": missing,
                "problems": wrong,
            });
            Response::json(503, &body)
        }
    }
}

fn setting_errors(wrong: &[String]) -> Vec<crate::error::FieldError> {
    let error = |text: &String| crate::error::FieldError {
        field: name_of(text).to_owned(),
        message: text.clone(),
    };
    wrong.iter().map(error).collect()
}

fn name_of(sentence: &str) -> &str {
    sentence.split(' ').next().unwrap_or(sentence)
}

fn directory(keys: &[Listed], cursor: Option<&str>) -> Step {
    let entry = |key: &Listed| {
        let id = key
            .name
            .strip_prefix(crate::location::DIRECTORY)
            .unwrap_or(&key.name);
        json!({
            "locationId": id,
            "companyId": key.metadata["companyId"],
            "state": key.metadata["state"],
            "via": key.metadata["via"],
            "ref": key.metadata["ref"],
        })
    };
    let locations: Vec<Value> = keys.iter().map(entry).collect();
    respond(Response::json(
        200,
        &json!({ "locations": locations, "cursor": cursor }),
    ))
}

fn respond(response: Response) -> Step {
    Step::Respond {
        response,
        log: None,
    }
}

/// Path and query of a URL.
fn split(url: &str) -> (&str, BTreeMap<String, String>) {
    let path = crate::http::path(url);
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or(query);
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        parameters.insert(name.into_owned(), value.into_owned());
    }
    (path, parameters)
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// Bodies over this size are refused.
pub const BODY_LIMIT: usize = 256 * 1024;
/// An authorization code and a state are the longest that any of our URLs holds.
const URL_LIMIT: usize = 8 * 1024;
/// A session at its longest fits twice.
const HEADER_LIMIT: usize = 16 * 1024;
/// For how long a browser need not ask again: the longest that Chromium keeps.
const PREFLIGHT_S: &str = "7200";
/// The package's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
const OPENAPI: &str = include_str!("openapi.json");

choice!(Step {
    "respond" Respond { response, log },
    "ask" Ask { object, ask, then },
    "listen" Listen { object, ask },
    "fetch" Fetch { request, timeout_ms, then },
    "list" List { prefix, cursor, then },
});
choice!(Then {
    "exchanged" Exchanged { via, reference, code },
    "connected" Connected { what },
    "listed" Listed,
});
choice!(Brought {
    "outcome" Outcome { outcome },
    "page" Page { keys, cursor },
});
record!(Listed { name, metadata });

//! A GHL in memory, with its quirks (FACTS.md): it answers requests, and what it posts because of
//! them it hands over with [`Ghl::posts`]. It knows no faults: those are the network's.
//!
//! It passes the same case file as the sandbox in JavaScript, `tests/ghl-cases.json`.

mod contacts;
mod conversations;
mod events;
mod messages;
mod oauth;
mod schema;
mod search;
mod server;
mod state;
mod tokens;

pub use events::{Post, To};
pub use state::{Contact, Message};
pub use tokens::Holder;

use serde_json::{Value, json};
use state::{App, Company, Conversation, CustomField, Installation, Limits, Location};
use std::collections::{BTreeMap, BTreeSet};
use tokens::Tokens;
use vcx_ghl::http::{Request, Response};

/// Everything that one GHL knows.
pub struct Ghl {
    pub now: i64,
    pub options: Options,
    pub client_id: String,
    pub provider_id: String,
    pub apps: BTreeMap<String, App>,
    pub companies: BTreeMap<String, Company>,
    pub locations: BTreeMap<String, Location>,
    pub contacts: BTreeMap<String, Contact>,
    pub conversations: BTreeMap<String, Conversation>,
    pub messages: BTreeMap<String, Message>,
    pub fields: Vec<CustomField>,
    pub tokens: Tokens,
    installations: BTreeMap<(String, String), Installation>,
    buckets: BTreeMap<String, Limits>,
    codes: BTreeMap<String, (Holder, String, i64)>,
    posts: Vec<Post>,
    ids: u64,
}

/// How it behaves where the live one is unsure, slow or configurable, as in the sandbox.
#[derive(Clone, Debug)]
pub struct Options {
    pub redirect_uri: String,
    pub search_lag: i64,
    /// Whether creating a second conversation is refused; else it gives the first.
    pub refuse_conversation: bool,
    pub status_not_yet: i64,
    pub status_not_yet_status: u16,
    pub location_token_status: u16,
    pub reconnect: bool,
    pub approved_locations: bool,
    pub max: i64,
    pub interval: i64,
    pub daily: i64,
    pub retry_after: bool,
    /// The `type` of Delivery posts: `SMS` or `Custom`.
    pub delivery_type: &'static str,
    pub delivery_webhook_id: bool,
    pub unread_webhooks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            redirect_uri: "https://sync.test/auth/callback".into(),
            search_lag: 0,
            refuse_conversation: true,
            status_not_yet: 0,
            status_not_yet_status: 403,
            location_token_status: 201,
            reconnect: true,
            approved_locations: true,
            max: 100,
            interval: 10_000,
            daily: 200_000,
            retry_after: false,
            delivery_type: "SMS",
            delivery_webhook_id: false,
            unread_webhooks: false,
        }
    }
}

/// What a call is answered with; as an error, a refusal.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// None: no body at all.
    pub body: Option<Value>,
}

type Answered = Result<Answer, Answer>;

impl Ghl {
    /// An empty GHL with one app.
    pub fn new(now: i64, client_id: &str, client_secret: &str, provider_id: &str) -> Self {
        let mut ghl = Self {
            now,
            options: Options::default(),
            client_id: client_id.into(),
            provider_id: provider_id.into(),
            apps: BTreeMap::new(),
            companies: BTreeMap::new(),
            locations: BTreeMap::new(),
            contacts: BTreeMap::new(),
            conversations: BTreeMap::new(),
            messages: BTreeMap::new(),
            fields: Vec::new(),
            tokens: Tokens::default(),
            installations: BTreeMap::new(),
            buckets: BTreeMap::new(),
            codes: BTreeMap::new(),
            posts: Vec::new(),
            ids: 0,
        };
        ghl.add_app(client_id, client_secret, provider_id);
        ghl
    }

    /// Answers a request.
    pub fn answer(&mut self, now: i64, request: &Request) -> Response {
        self.now = now;
        server::answer(self, request)
    }

    /// What it posts because of what happened since the last time.
    pub fn posts(&mut self) -> Vec<Post> {
        std::mem::take(&mut self.posts)
    }

    /// Forgets what was called so far.
    pub fn reset_limits(&mut self) {
        self.buckets.clear();
    }

    pub fn add_app(&mut self, client_id: &str, client_secret: &str, provider_id: &str) {
        let app = App {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            provider_id: provider_id.into(),
            scope: SCOPES.into(),
        };
        self.apps.insert(client_id.into(), app);
    }

    pub fn add_company(&mut self) -> String {
        let id = self.id("cmp");
        self.companies.insert(id.clone(), Company { active: true });
        id
    }

    pub fn add_location(&mut self, company_id: &str) -> String {
        let id = self.id("loc");
        let location = Location {
            company_id: company_id.into(),
            active: true,
            allow_duplicates: false,
            unique: vec!["email".into(), "phone".into()],
            late: Vec::new(),
            found: BTreeMap::new(),
        };
        self.locations.insert(id.clone(), location);
        id
    }

    /// A location's or an agency's pause, and its end.
    pub fn set_active(&mut self, resource: &str, active: bool) {
        if let Some(location) = self.locations.get_mut(resource) {
            location.active = active;
        }
        if let Some(company) = self.companies.get_mut(resource) {
            company.active = active;
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        format!("{prefix}{:06}", self.ids)
    }

    fn is_installed(&self, client_id: &str, location_id: &str) -> bool {
        self.installations
            .contains_key(&(client_id.to_owned(), location_id.to_owned()))
    }

    fn app_id(&self) -> &str {
        self.client_id.split('-').next().unwrap_or_default()
    }

    fn scopes(text: &str) -> BTreeSet<String> {
        text.split(' ').map(str::to_owned).collect()
    }
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Some(body),
        }
    }

    fn bad_request(message: &str) -> Self {
        Self::new(400, json!({ "statusCode": 400, "message": message }))
    }

    fn unauthorized(message: &str) -> Self {
        let error = "Unauthorized";
        Self::new(
            401,
            json!({ "statusCode": 401, "message": message, "error": error }),
        )
    }

    fn forbidden(message: &str) -> Self {
        let error = "Forbidden";
        Self::new(
            403,
            json!({ "statusCode": 403, "message": message, "error": error }),
        )
    }

    fn other_tenant() -> Self {
        Self::forbidden("The token does not have access to this location.")
    }

    fn not_found(message: &str) -> Self {
        let error = "Not Found";
        Self::new(
            404,
            json!({ "statusCode": 404, "message": message, "error": error }),
        )
    }

    fn unknown(what: &str, id: &str) -> Self {
        Self::not_found(&format!("{what} with id {id} not found"))
    }

    fn unprocessable(messages: &[String]) -> Self {
        let body = json!({
            "statusCode": 422, "message": messages, "error": "Unprocessable Entity",
            "traceId": "trace",
        });
        Self::new(422, body)
    }

    fn server_error() -> Self {
        let body = json!({ "statusCode": 500, "message": "Internal server error" });
        Self::new(500, body)
    }
}

/// CONTRACT's default of GHL_SCOPES.
pub const SCOPES: &str = "contacts.readonly contacts.write conversations.readonly \
    conversations.write conversations/message.readonly conversations/message.write \
    locations.readonly locations/customFields.readonly locations/customFields.write \
    oauth.readonly oauth.write";

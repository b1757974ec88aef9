//! GHL's wire: the calls we make, as requests, and what its answers mean.
//!
//! Not here: when to call, and what a webhook says ([`webhook`]). The facts are FACTS.md's; the
//! official specification is wrong in places, named where it matters.

pub mod answer;
pub mod tokens;
pub mod webhook;

use crate::http::Request;
use crate::settings::Settings;
use crate::wire::{self, record};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};

/// Who a visitor is, as far as the backend told us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Full name.
    pub name: Option<String>,
    /// E-mail, verified by the backend.
    pub email: Option<String>,
    /// Phone, verified by the backend.
    pub phone: Option<String>,
}

impl Details {
    /// They, under the names that they have in JSON.
    pub fn named(&self) -> [(&'static str, &Option<String>); 3] {
        [
            ("name", &self.name),
            ("email", &self.email),
            ("phone", &self.phone),
        ]
    }

    /// Takes over what `newer` says, keeps the rest.
    pub fn absorb(&mut self, newer: &Self) {
        for (mine, theirs) in [
            (&mut self.name, &newer.name),
            (&mut self.email, &newer.email),
            (&mut self.phone, &newer.phone),
        ] {
            if theirs.is_some() {
                mine.clone_from(theirs);
            }
        }
    }
}

/// A contact's custom field for vCX's client id: its id here, and its value.
#[derive(Clone, Copy, Debug)]
pub struct ClientField<'a> {
    /// GHL's id of the field.
    pub id: &'a str,
    /// vCX's client id.
    pub client_id: &'a str,
}

/// A message for GHL's inbox.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InboxMessage<'a> {
    /// Always `Custom` for our provider: the guide's `SMS` is refused (FACTS §3.3).
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The contact.
    pub contact_id: &'a str,
    /// Its conversation, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<&'a str>,
    /// Our provider: without it GHL answers 201 and stores nothing (FACTS §7.3).
    pub conversation_provider_id: &'a str,
    /// Text; absent when there are only attachments.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub message: &'a str,
    /// Public URLs.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub attachments: &'a [String],
    /// vCX's message id. GHL does not deduplicate by it, but returns it (FACTS §3.9).
    pub alt_id: &'a str,
    /// `inbound` or `outbound`. GHL's default would be `outbound`.
    pub direction: &'static str,
    /// ISO 8601.
    pub date: String,
}

/// `POST /conversations/messages/inbound`: puts a message into the inbox, sends nothing.
pub fn log_message(settings: &Settings, message: &InboxMessage<'_>) -> Request {
    let body = serde_json::to_string(message).unwrap_or_default();
    conversations(settings, "POST", "/conversations/messages/inbound").json(body)
}

/// `PUT /conversations/messages/{id}/status`.
pub fn set_status(settings: &Settings, message_id: &str, status: &str, why: &str) -> Request {
    let mut body = json!({ "status": status });
    if status == "failed" {
        // The spec demands all three members (FACTS §3.5).
        body["error"] = json!({ "code": "1", "type": "vcx", "message": why });
    }
    let path = format!("/conversations/messages/{}/status", escape(message_id));
    conversations(settings, "PUT", &path).json(wire::text(&body))
}

/// `POST /conversations/`. The slash matters (FACTS §7.31).
pub fn create_conversation(settings: &Settings, location: &str, contact_id: &str) -> Request {
    let body = json!({ "locationId": location, "contactId": contact_id });
    conversations(settings, "POST", "/conversations/").json(wire::text(&body))
}

/// `GET /conversations/search` for one contact.
pub fn find_conversation(settings: &Settings, location: &str, contact_id: &str) -> Request {
    let query = query(&[
        ("locationId", location),
        ("contactId", contact_id),
        ("limit", "20"),
    ]);
    conversations(settings, "GET", &format!("/conversations/search?{query}"))
}

/// `GET /conversations/{id}/messages`, newest first; `before`: the last id of the page before.
pub fn list_messages(settings: &Settings, conversation: &str, before: Option<&str>) -> Request {
    let mut pairs = vec![("limit", "100")];
    pairs.extend(before.map(|id| ("lastMessageId", id)));
    let path = format!(
        "/conversations/{}/messages?{}",
        escape(conversation),
        query(&pairs)
    );
    conversations(settings, "GET", &path)
}

/// `POST /contacts/search` by the custom field that holds vCX's client id (FACTS §2.4).
pub fn search_contacts(
    settings: &Settings,
    location: &str,
    field: ClientField<'_>,
    page: u32,
) -> Request {
    let body = json!({
        "locationId": location,
        "pageLimit": SEARCH_PAGE,
        "page": page,
        "filters": [{ "group": "AND", "filters": [{
            "field": format!("customFields.{}", field.id),
            "operator": "eq",
            "value": field.client_id,
        }]}],
    });
    contacts(settings, "POST", "/contacts/search").json(wire::text(&body))
}

/// `POST /contacts/upsert`: for a visitor with an e-mail or a phone.
pub fn upsert_contact(
    settings: &Settings,
    location: &str,
    details: &Details,
    field: Option<ClientField<'_>>,
) -> Request {
    let body = contact_body(Some(location), details, field);
    contacts(settings, "POST", "/contacts/upsert").json(wire::text(&body))
}

/// `POST /contacts/`: for a visitor with neither, whom an upsert could not match.
pub fn create_contact(
    settings: &Settings,
    location: &str,
    details: &Details,
    field: Option<ClientField<'_>>,
) -> Request {
    let body = contact_body(Some(location), details, field);
    contacts(settings, "POST", "/contacts/").json(wire::text(&body))
}

/// `PUT /contacts/{id}`. It refuses a `locationId` (FACTS §2.5).
pub fn update_contact(
    settings: &Settings,
    contact_id: &str,
    details: &Details,
    field: Option<ClientField<'_>>,
) -> Request {
    let body = contact_body(None, details, field);
    contacts(
        settings,
        "PUT",
        &format!("/contacts/{}", escape(contact_id)),
    )
    .json(wire::text(&body))
}

/// `GET /contacts/{id}`.
pub fn read_contact(settings: &Settings, contact_id: &str) -> Request {
    contacts(
        settings,
        "GET",
        &format!("/contacts/{}", escape(contact_id)),
    )
}

/// `POST /contacts/{id}/tags`: adds; upsert and PUT would replace all tags (FACTS §2.2).
pub fn add_tag(settings: &Settings, contact_id: &str) -> Request {
    let path = format!("/contacts/{}/tags", escape(contact_id));
    contacts(settings, "POST", &path).json(wire::text(&json!({ "tags": [TAG] })))
}

/// `GET /locations/{id}`: the cheapest call that shows whether a token is taken.
pub fn read_location(settings: &Settings, location: &str) -> Request {
    contacts(settings, "GET", &format!("/locations/{}", escape(location)))
}

/// `GET /locations/{id}/customFields`.
pub fn list_fields(settings: &Settings, location: &str) -> Request {
    let path = format!("/locations/{}/customFields?model=contact", escape(location));
    contacts(settings, "GET", &path)
}

/// `POST /locations/{id}/customFields`: the field for vCX's client id (FACTS §2.6).
pub fn create_field(settings: &Settings, location: &str) -> Request {
    let body = json!({
        "name": FIELD_NAME, "dataType": "TEXT", "placeholder": "", "position": 0,
        "model": "contact",
    });
    let path = format!("/locations/{}/customFields", escape(location));
    contacts(settings, "POST", &path).json(wire::text(&body))
}

/// `POST /oauth/token` with an authorization code.
pub fn exchange_code(settings: &Settings, code: &str) -> Request {
    token(settings).form(&[
        ("client_id", &settings.client_id),
        ("client_secret", settings.client_secret.expose()),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &settings.redirect_uri),
    ])
}

/// `POST /oauth/token` with a refresh token; `user_type`: `Location` or `Company`.
pub fn refresh(settings: &Settings, refresh_token: &str, user_type: &str) -> Request {
    token(settings).form(&[
        ("client_id", &settings.client_id),
        ("client_secret", settings.client_secret.expose()),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
        ("user_type", user_type),
        ("redirect_uri", &settings.redirect_uri),
    ])
}

/// `POST /oauth/reconnect`: a code for tokens that were lost (FACTS §1.6). `owner`: `locationId` or
/// `companyId`.
pub fn reconnect(settings: &Settings, owner: &str, id: &str) -> Request {
    let mut body = json!({
        "clientKey": settings.client_id,
        "clientSecret": settings.client_secret.expose(),
    });
    body[owner] = json!(id);
    let url = format!("{}/oauth/reconnect", settings.api_url);
    Request::new("POST", url)
        .header("version", VERSION)
        .json(wire::text(&body))
}

/// `POST /oauth/locationToken` with a Company token (FACTS §1.4).
pub fn location_token(settings: &Settings, company: &str, location: &str) -> Request {
    let body = json!({ "companyId": company, "locationId": location });
    contacts(settings, "POST", "/oauth/locationToken").json(wire::text(&body))
}

/// `GET /oauth/installedLocations` with a Company token, one page (FACTS §1.5).
pub fn installed_locations(settings: &Settings, company: &str, skip: u32) -> Request {
    let skip = skip.to_string();
    let limit = INSTALLED_PAGE.to_string();
    let query = query(&[
        ("companyId", company),
        ("appId", settings.app_id()),
        ("isInstalled", "true"),
        ("skip", &skip),
        ("limit", &limit),
    ]);
    contacts(
        settings,
        "GET",
        &format!("/oauth/installedLocations?{query}"),
    )
}

/// The page an admin chooses a location on (FACTS §1.1).
pub fn install_url(settings: &Settings, state: &str) -> String {
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", settings.redirect_uri.as_str()),
        ("scope", settings.scopes.as_str()),
    ];
    pairs.extend(settings.version_id.as_deref().map(|id| ("version_id", id)));
    pairs.push(("state", state));
    let joint = if settings.install_url.contains('?') {
        '&'
    } else {
        '?'
    };
    format!("{}{joint}{}", settings.install_url, query(&pairs))
}

fn contact_body(
    location: Option<&str>,
    details: &Details,
    field: Option<ClientField<'_>>,
) -> Value {
    let mut body = wire::value(details);
    if let Some(location) = location {
        body["locationId"] = json!(location);
        body["source"] = json!(SOURCE);
    }
    if let Some(field) = field {
        // Written as `field_value`, read as `value` (FACTS §2.1).
        body["customFields"] = json!([{ "id": field.id, "field_value": field.client_id }]);
    }
    body
}

fn contacts(settings: &Settings, method: &str, path: &str) -> Request {
    api(settings, method, path, VERSION)
}

fn conversations(settings: &Settings, method: &str, path: &str) -> Request {
    api(settings, method, path, CONVERSATIONS_VERSION)
}

fn api(settings: &Settings, method: &str, path: &str, version: &str) -> Request {
    Request::new(method, format!("{}{path}", settings.api_url))
        .header("accept", "application/json")
        .header("version", version)
}

fn token(settings: &Settings) -> Request {
    Request::new("POST", format!("{}/oauth/token", settings.api_url))
        .header("accept", "application/json")
        .header("version", VERSION)
}

fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    query.finish()
}

/// An id as one segment of a path.
fn escape(id: &str) -> String {
    utf8_percent_encode(id, RESERVED).to_string()
}

/// All but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The tag of contacts that we made.
pub const TAG: &str = "vCX";
/// The `source` of contacts that we made.
pub const SOURCE: &str = "vCX";
/// The custom field's name in GHL, and its key.
pub const FIELD_NAME: &str = "vCX Client Id";
/// See [`FIELD_NAME`].
pub const FIELD_KEY: &str = "contact.vcx_client_id";
/// Contacts in one page of a search.
pub const SEARCH_PAGE: usize = 20;
/// Locations in one page of a listing.
pub const INSTALLED_PAGE: u32 = 100;
/// OAuth, contacts and locations (FACTS §1.0).
const VERSION: &str = "2021-07-28";
/// Conversations (FACTS §1.0).
const CONVERSATIONS_VERSION: &str = "2021-04-15";

record!(Details { name, email, phone });

//! Errors: one enum of stable codes, and the one map from code to HTTP answer.

use crate::http::Response;
use crate::wire;
use serde::Serialize;
use serde_json::json;

/// What went wrong, as callers see it in `code`. Codes never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The body is not JSON, or not an object.
    MalformedJson,
    /// Fields are missing or wrong; each is named in `errors`.
    InvalidFields,
    /// No key, or not one of ours.
    Unauthorized,
    /// A session may not do that: it is for another visitor, chat or location.
    Forbidden,
    /// A session came from a page of an origin that is not allowed.
    OriginNotAllowed,
    /// No such route.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The location was never connected.
    UnknownLocation,
    /// The message was never delivered to vCX.
    UnknownMessage,
    /// The app was uninstalled from the location.
    LocationDisconnected,
    /// The id was used before for something else.
    MessageIdConflict,
    /// The body is over 256 KB, or the text over 64 KB.
    TooLarge,
    /// The URL is longer than any of ours.
    UrlTooLong,
    /// A header is longer than any that is of use here.
    HeaderTooLarge,
    /// A browser sends faster than a person writes. Nothing was stored; safe to repeat later.
    TooManyRequests,
    /// The route is a WebSocket, and was asked as if it were none.
    UpgradeRequired,
    /// GHL refused it for good.
    Rejected,
    /// It could not be stored, or not done in time. Safe to repeat.
    Unavailable,
    /// Our own fault; nothing was stored. Safe to repeat.
    Internal,
    /// Settings are missing or wrong; each is named.
    NotConfigured,
}

impl Code {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::MalformedJson | Self::InvalidFields => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::OriginNotAllowed => 403,
            Self::NotFound | Self::UnknownLocation | Self::UnknownMessage => 404,
            Self::MethodNotAllowed => 405,
            Self::LocationDisconnected | Self::MessageIdConflict => 409,
            Self::TooLarge => 413,
            Self::UrlTooLong => 414,
            Self::Rejected => 422,
            Self::UpgradeRequired => 426,
            Self::TooManyRequests => 429,
            Self::HeaderTooLarge => 431,
            Self::Internal | Self::NotConfigured => 500,
            Self::Unavailable => 503,
        }
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::InvalidFields => "invalid_fields",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnknownLocation => "unknown_location",
            Self::UnknownMessage => "unknown_message",
            Self::LocationDisconnected => "location_disconnected",
            Self::MessageIdConflict => "message_id_conflict",
            Self::TooLarge => "too_large",
            Self::UrlTooLong => "url_too_long",
            Self::HeaderTooLarge => "header_too_large",
            Self::TooManyRequests => "too_many_requests",
            Self::UpgradeRequired => "upgrade_required",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::NotConfigured => "not_configured",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::MalformedJson => "The body is not a JSON object",
            Self::InvalidFields => "Fields are missing or wrong",
            Self::Unauthorized => "Not authorized",
            Self::Forbidden => "The session is for something else",
            Self::OriginNotAllowed => "Pages of this origin may not do that",
            Self::NotFound => "There is no such route",
            Self::MethodNotAllowed => "The route does not take this method",
            Self::UnknownLocation => "The location is not connected",
            Self::UnknownMessage => "No such message went to vCX",
            Self::LocationDisconnected => "The app was uninstalled from the location",
            Self::MessageIdConflict => "The messageId was used for another message",
            Self::TooLarge => "Too large",
            Self::UrlTooLong => "The URL is too long",
            Self::HeaderTooLarge => "A header is too long",
            Self::TooManyRequests => "Too many messages in too short a time",
            Self::UpgradeRequired => "The route is a WebSocket",
            Self::Rejected => "GHL refused it for good",
            Self::Unavailable => "Not now, repeat it",
            Self::Internal => "An error of our own",
            Self::NotConfigured => "Settings are missing or wrong",
        }
    }
}

/// An error as it is told to a caller: RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// What exactly was wrong, in a sentence.
    pub detail: String,
    /// The fields that were wrong, with what is wrong about each.
    pub errors: Vec<FieldError>,
    /// Members beyond RFC 9457's.
    pub extra: Vec<(&'static str, String)>,
    /// Headers that its answer needs.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// A wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Its name, with an index inside arrays: `attachments[2]`.
    pub field: String,
    /// What is wrong about it.
    pub message: String,
}

impl Problem {
    /// An error with its sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extra: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// An error about fields: the sentence names them after `what`.
    pub fn naming(code: Code, what: &str, errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let mut problem = Self::new(code, format!("{what}: {}", names.join(", ")));
        problem.errors = errors;
        problem
    }

    /// The error with one more member.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((name, value.into()));
        self
    }

    /// The HTTP answer.
    pub fn response(&self) -> Response {
        let mut body = json!({
            "type": format!("urn:vcx-ghl:error:{}", self.code.as_str()),
            "title": self.code.title(),
            "status": self.code.status(),
            "code": self.code.as_str(),
        });
        if !self.detail.is_empty() {
            body["detail"] = json!(self.detail);
        }
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        for (name, value) in &self.extra {
            body[*name] = json!(value);
        }
        let mut response = Response::text(
            self.code.status(),
            "application/problem+json",
            wire::text(&body),
        );
        for (name, value) in &self.headers {
            response = response.header(name, *value);
        }
        match self.code {
            Code::Unauthorized => response.header("www-authenticate", "Bearer"),
            Code::Unavailable => response.header("retry-after", "1"),
            _ => response,
        }
    }
}

/// A statement that the database refused: the turn is rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the database refused a statement: {}", self.0)
    }
}

impl std::error::Error for Fault {}

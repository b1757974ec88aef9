//! HTTP as plain values: what the host is asked to send and what it brings back.
//!
//! Not a client: nothing here performs anything.

use crate::secret::masked;
use crate::wire::{self, choice, record};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A request for the host to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Method, in capitals.
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// Header names (lower case) and values.
    pub headers: BTreeMap<String, String>,
    /// Body, if any.
    pub body: Option<String>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, url: String) -> Self {
        Self {
            method: method.into(),
            url,
            headers: BTreeMap::new(),
            body: None,
        }
    }

    /// The request with one more header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The request with a JSON body.
    pub fn json(mut self, body: String) -> Self {
        self.body = Some(body);
        self.header("content-type", "application/json")
    }

    /// The request with a form body (RFC 1866 §8.2.1).
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        self.body = Some(form.finish());
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// Method and path, for logs: queries and headers can hold secrets.
    pub fn label(&self) -> String {
        format!("{} {}", self.method, path(&self.url))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

/// The path of an absolute URL, without its query.
pub fn path(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(url, |at| &url[at + 3..]);
    let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    path.split(['?', '#']).next().unwrap_or(path)
}

/// Host and port of a URL's authority. The host of an IPv6 address keeps its brackets.
pub fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

/// The IPv6 address in a host's brackets, as it is written.
pub fn in_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// A response for the host to give to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header names (lower case) and values.
    pub headers: BTreeMap<String, String>,
    /// Body, possibly empty.
    pub body: String,
}

impl Response {
    /// A JSON response.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", wire::text(body))
    }

    /// A response of any media type. It is what it says it is, and for whoever asked alone: it is
    /// not sniffed, and no cache keeps it.
    pub fn text(status: u16, media_type: &str, body: String) -> Self {
        let response = Self {
            status,
            headers: BTreeMap::new(),
            body,
        };
        response
            .header("content-type", media_type)
            .header("x-content-type-options", "nosniff")
            .header("cache-control", "no-store")
    }

    /// The response with one more header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Whether the status is 2xx.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side answered.
    Answered(Response),
    /// It did not within the time given: whether it acted is unknown.
    TimedOut,
    /// The connection failed: whether it acted is unknown.
    Dropped {
        /// What the platform said.
        message: String,
    },
}

impl Outcome {
    /// A few words for a person: the status, or what happened instead.
    pub fn words(&self) -> String {
        match self {
            Self::Answered(response) => format!("status {}", response.status),
            Self::TimedOut => "no answer in time".into(),
            Self::Dropped { message } => format!("connection failed: {}", masked(message)),
        }
    }
}

record!(Request {
    method,
    url,
    headers,
    body
});
record!(Response {
    status,
    headers,
    body
});
choice!(Outcome {
    "answered" Answered (inner),
    "timedOut" TimedOut,
    "dropped" Dropped { message },
});

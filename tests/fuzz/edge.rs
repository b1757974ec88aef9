//! The whole edge: any request at all is answered as the document says, or handed to the object that it is about.

use super::contract;
use super::parsers::{claims, contact, push, response, status, token, webhooks};
use super::strategies::{any_json, body, cases, nearly, text};
use super::wire::{broughts, thens};
use crate::support::{API_KEY, BROWSERS, START, settings, sign};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use vcx_ghl::edge::{self, Brought, Configured, Incoming, Step, Then};
use vcx_ghl::http::{Outcome, path};
use vcx_ghl::location::Ask;
use vcx_ghl::settings::Settings;
use vcx_ghl::wire::{self, Wire};

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn any_request_is_answered_as_described_or_handed_on(request in request()) {
        answered_or_handed_on(&request, &Settings::parse(&settings(&BROWSERS)))?;
    }

    #[test]
    fn without_settings_too(request in request(), missing in select(&["SEAL_KEYS", "VCX_API_KEY", "GHL_CLIENT_ID"][..])) {
        answered_or_handed_on(&request, &Settings::parse(&settings(&[BROWSERS[0], BROWSERS[1], (missing, "")])))?;
    }

    #[test]
    fn whatever_a_step_brings_it_goes_on(
        then in select(thens()).prop_flat_map(nearly),
        brought in brought(),
    ) {
        let (Ok(then), Ok(brought)) = (Then::read(then), Brought::read(brought)) else {
            return Ok(());
        };
        let path = match then {
            Then::Exchanged { .. } | Then::Connected { .. } => "/auth/callback",
            Then::Listed => "/locations",
        };
        match edge::proceed(&then, &brought, START) {
            Step::Respond { response, log } => {
                contract::check("GET", path, &response);
                logged(log)?;
            }
            Step::Ask { object, then, .. } => {
                prop_assert!(object.starts_with("location:") || object.starts_with("company:"));
                let is_connected = matches!(then, Some(Then::Connected { .. }));
                prop_assert!(is_connected);
            }
            step @ (Step::Listen { .. } | Step::Fetch { .. } | Step::List { .. }) => {
                prop_assert!(false, "{:?}", step);
            }
        }
    }
}

/// A request, as a host would hand it over.
#[derive(Clone, Debug)]
pub struct Asked {
    method: String,
    url: String,
    authorization: Option<String>,
    signature: Option<String>,
    cookie: Option<String>,
    origin: Option<String>,
    upgrade: Option<String>,
    protocols: Option<String>,
    body: Option<Vec<u8>>,
}

impl Asked {
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming {
            method: &self.method,
            url: &self.url,
            authorization: self.authorization.as_deref(),
            signature: self.signature.as_deref(),
            cookie: self.cookie.as_deref(),
            origin: self.origin.as_deref(),
            upgrade: self.upgrade.as_deref(),
            protocols: self.protocols.as_deref(),
            body: self.body.as_deref(),
        }
    }
}

fn answered_or_handed_on(asked: &Asked, configured: &Configured) -> Result<(), TestCaseError> {
    let incoming = asked.incoming();
    let step = edge::route(&incoming, configured, START, &mut |bytes| bytes.fill(7));
    prop_assert_eq!(Step::read(wire::value(&step)), Ok(step.clone()));
    match step {
        Step::Respond { response, log } => {
            contract::check(incoming.method, path(incoming.url), &response);
            logged(log)?;
            let shared = edge::shared_with(incoming.url, incoming.origin, configured);
            let allowed = shared
                .get("access-control-allow-origin")
                .map(String::as_str);
            prop_assert!(
                allowed.is_none()
                    || (allowed == incoming.origin && BROWSERS[1].1.contains(allowed.unwrap()))
            );
        }
        Step::Listen { object, ask } => {
            let id = object.strip_prefix("location:");
            prop_assert!(id.is_some_and(|id| vcx_ghl::vcx::is_id(id, vcx_ghl::vcx::ID)));
            let listens = matches!(ask, Ask::Listen { .. });
            prop_assert!(listens);
        }
        Step::Ask { object, then, .. } => {
            let id = object
                .strip_prefix("location:")
                .or(object.strip_prefix("company:"));
            prop_assert!(id.is_some_and(|id| vcx_ghl::vcx::is_id(id, vcx_ghl::vcx::ID)));
            prop_assert_eq!(then, None);
        }
        Step::Fetch { request, .. } => prop_assert_eq!(request.label(), "POST /oauth/token"),
        Step::List { prefix, then, .. } => {
            prop_assert_eq!((prefix.as_str(), then), ("location:", Then::Listed));
        }
    }
    Ok(())
}

fn logged(line: Option<String>) -> Result<(), TestCaseError> {
    if let Some(line) = line {
        let line: Value = serde_json::from_str(&line).unwrap();
        prop_assert!(line["level"].is_string() && line["event"].is_string() && line["at"] == START);
    }
    Ok(())
}

fn request() -> impl Strategy<Value = Asked> {
    let method = prop_oneof![
        4 => Just("POST".to_owned()),
        4 => Just("GET".to_owned()),
        1 => select(&["HEAD", "PUT", "OPTIONS", "DELETE", "PATCH"][..]).prop_map(str::to_owned),
        1 => text(),
    ];
    let session = || {
        (nearly(json!({ "alg": "HS256" })), nearly(claims()))
            .prop_map(|(header, claims)| token(&header, &claims))
    };
    let authorization = prop_oneof![
        6 => Just(Some(format!("Bearer {API_KEY}"))),
        3 => session().prop_map(|token| Some(format!("Bearer {token}"))),
        1 => Just(Some(format!("bearer  {API_KEY} "))),
        1 => option::of(text()),
    ];
    let origin = prop_oneof![
        4 => Just(None),
        4 => Just(Some("https://chat.example".to_owned())),
        1 => option::of(text()),
    ];
    let protocols = prop_oneof![
        3 => session().prop_map(|token| Some(format!("vcx-ghl.v1, bearer.{token}"))),
        1 => "[a-z., 1-]{0,40}".prop_map(Some),
        1 => option::of(text()),
    ];
    let upgrade = prop_oneof![
        4 => Just(Some("websocket".to_owned())),
        1 => option::of(text()),
    ];
    let browser = (origin, upgrade, protocols);
    let cookie = option::of(prop_oneof![
        "(vcx_ghl_state=[a-zA-Z0-9._-]{0,60}; ?)?[a-z=;, ]{0,20}",
        text(),
    ]);
    let url =
        (target(), query()).prop_map(|(path, query)| format!("https://sync.test{path}{query}"));
    let posted = prop_oneof![
        3 => body(push()),
        1 => body(contact()),
        1 => body(status()),
        3 => select(webhooks()).prop_flat_map(body),
    ];
    let sent = (posted, 0..10u8).prop_flat_map(|(body, signed)| {
        let signature = match signed {
            0 => option::of(text()).boxed(),
            _ => Just(Some(sign(&String::from_utf8_lossy(&body)))).boxed(),
        };
        (Just(body), signature)
    });
    let too_large = prop::bool::weighted(0.02);
    (method, url, authorization, cookie, browser, sent, too_large).prop_map(
        |(method, url, authorization, cookie, browser, (body, signature), too_large)| Asked {
            method,
            url,
            authorization,
            signature,
            cookie,
            origin: browser.0,
            upgrade: browser.1,
            protocols: browser.2,
            body: (!too_large).then_some(body),
        },
    )
}

fn target() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        select(
            &[
                "locations",
                "replay",
                "auth",
                "loc-1",
                "..",
                "",
                "%00",
                "%ff",
                "%2e%2e"
            ][..]
        )
        .prop_map(str::to_owned),
        "[a-zA-Z0-9%._~-]{1,20}",
    ];
    let anywhere = vec(segment.clone(), 0..5).prop_map(|parts| format!("/{}", parts.join("/")));
    let location = segment.clone().prop_map(|id| format!("/locations/{id}"));
    let replay = segment.prop_map(|id| format!("/locations/{id}/replay"));
    prop_oneof![
        6 => select(ROUTES).prop_map(str::to_owned),
        1 => anywhere,
        2 => location,
        2 => replay,
    ]
}

fn query() -> impl Strategy<Value = String> {
    let name = select(
        &[
            "ref",
            "code",
            "state",
            "error",
            "error_description",
            "cursor",
            "locationId",
            "x",
        ][..],
    );
    let value = prop_oneof![
        "[a-zA-Z0-9%+._~-]{0,30}",
        text().prop_map(|text| encoded(&text))
    ];
    let pair = (name, value).prop_map(|(name, value)| format!("{name}={value}"));
    prop_oneof![
        1 => Just(String::new()),
        3 => vec(pair, 1..4).prop_map(|pairs| format!("?{}", pairs.join("&"))),
        1 => "[?#][a-zA-Z0-9%&=#?]{0,30}",
    ]
}

/// As a browser writes it in a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn brought() -> impl Strategy<Value = Value> {
    let outcome = prop_oneof![
        response().prop_map(Outcome::Answered),
        Just(Outcome::TimedOut),
        text().prop_map(|message| Outcome::Dropped { message }),
    ];
    prop_oneof![
        3 => select(broughts()).prop_flat_map(nearly),
        2 => outcome.prop_map(|outcome| wire::value(&Brought::Outcome { outcome })),
        1 => any_json(),
    ]
}

const ROUTES: &[&str] = &[
    "/install",
    "/auth/callback",
    "/push-message",
    "/contact",
    "/message-status",
    "/webhook",
    "/events",
    "/events",
    "/locations",
    "/locations/loc-1",
    "/locations/loc-1/replay",
    "/health",
    "/openapi.json",
];

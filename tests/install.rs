//! Installing, as somebody would attack it: states that are forged or somebody else's, redirects,
//! codes that leak, strings that want to be more than text.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::*;
use vcx_ghl::edge::{self, Brought, Configured, Incoming, Step, Then};
use vcx_ghl::http::{Outcome, Response};
use vcx_ghl::settings::Settings;

/// As long as GHL's.
const CODE: &str = "5b3f7a9c2d1e4f60a8b7c6d5e4f3a2b10c9d8e7f";
const CALLBACK: &str = "https://sync.test/auth/callback";
/// A refresh token as GHL's are.
const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsb2MtMSJ9.4Hb3f0p9rTqk2m8W_x6cZy1uVn5sJdLe7aGoBiQh";
const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</p></main><a href=javascript:alert(1)>here</a>",
    "&lt;b&gt; &#60;script&#62;",
    "javascript:alert(1)",
    "//evil.test/%0d%0aset-cookie:x=y",
    "{{7*7}}${7*7}<!--",
];

// Whose installation it is.

/// An attacker begins an installation, chooses a location of theirs, and lets somebody else's browser
/// come back with it.
#[test]
fn a_state_of_another_installation_than_the_cookie_s_is_refused() {
    let (theirs, mine) = (state_of("attacker", 1), state_of("acme", 2));
    let mine = format!("theme=dark; vcx_ghl_state={mine}");
    let step = come_back(&format!("code={CODE}&state={theirs}"), Some(&mine));
    assert!(page_of(&step, 400).contains("This link is not ours"));

    // It is not the cookie's validity that counts, but whether it is the same.
    for cookie in ["vcx_ghl_state=x", "vcx_ghl_state=x; vcx_ghl_state=y"] {
        let step = come_back(&format!("code={CODE}&state={theirs}"), Some(cookie));
        assert!(page_of(&step, 400).contains("This link is not ours"));
    }
    let own = format!("vcx_ghl_state={theirs}");
    for cookie in [
        None,
        Some(own.as_str()),
        Some("vcx_ghl_state="),
        Some("other=x"),
    ] {
        let step = come_back(&format!("code={CODE}&state={theirs}"), cookie);
        assert_eq!(
            exchanging(&step),
            ("install", Some("attacker")),
            "{cookie:?}"
        );
    }
}

#[test]
fn of_two_states_none_is_taken_unless_the_one_that_counts_verifies() {
    let good = state_of("acme", 1);
    for query in [
        format!("code={CODE}&state={good}&state=x"),
        format!("code={CODE}&state={good}&state=%20"),
    ] {
        page_of(&come_back(&query, None), 400);
    }
}

#[test]
fn the_callback_ends_the_cookie_however_it_ends() {
    let state = state_of("acme", 1);
    let begun = response(&get("/install", None)).headers["set-cookie"].clone();
    let no_tokens = || exchange(answered(200, json!({})));
    let stored = |outcome| {
        let what = "Location loc-1".to_owned();
        proceed(&Then::Connected { what }, outcome)
    };
    let late = edge::route(
        &incoming(&format!("{CALLBACK}?code=c&state={state}"), None),
        &configured(),
        START + 10 * MINUTE,
        &mut |_| {},
    );
    let ends = [
        stored(answered(200, json!({}))),
        stored(Outcome::TimedOut),
        come_back("", None),
        come_back("error=access_denied", None),
        come_back("code=c&state=x", None),
        come_back(&format!("code=c&state={state}"), Some("vcx_ghl_state=x")),
        late,
        no_tokens(),
        exchange(answered(401, refusal(401, "no"))),
        exchange(answered(429, json!(null))),
        exchange(Outcome::TimedOut),
    ];
    for end in &ends {
        let response = response(end);
        // Only with the same name, path and attributes does it replace the one that was set.
        let set = begun.split_once("; Path=").unwrap().1;
        let cleared = set.replace("Max-Age=600", "Max-Age=0");
        assert_eq!(
            response.headers["set-cookie"],
            format!("vcx_ghl_state=; Path={cleared}"),
            "{}",
            response.body
        );
    }
    let pages: BTreeSet<&str> = ends.iter().map(|end| response(end).body.as_str()).collect();
    assert!(pages.len() >= 9, "these are not the same few pages again");
}

#[test]
fn the_state_lives_in_a_cookie_that_scripts_and_other_sites_do_not_get() {
    let cookie = response(&get("/install?ref=acme", None)).headers["set-cookie"].clone();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("vcx_ghl_state=") && !pair.contains(['"', ',', ' ', '\\']));
    let attributes: BTreeSet<&str> = attributes.split("; ").collect();
    let expected = [
        "HttpOnly",
        "Max-Age=600",
        "Path=/auth/callback",
        "SameSite=Lax",
        "Secure",
    ];
    assert_eq!(attributes, expected.into());
}

// Where it leads.

/// Nothing from a query decides where the browser goes.
#[test]
fn nobody_is_sent_anywhere_but_to_ghl_s_chooser() {
    let chooser = "https://marketplace.gohighlevel.com/v2/oauth/chooselocation?";
    let expected = [
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
    ];
    for word in HOSTILE
        .into_iter()
        .chain(["https://evil.test/", "\u{202e}acme", "a&state=x#y"])
    {
        let word = escaped(word);
        for query in [
            format!("ref={word}"),
            format!("ref=a&redirect_uri={word}&client_id={word}&state={word}&scope={word}"),
            format!("redirect={word}&next={word}&url={word}&return_to={word}&location={word}"),
        ] {
            let step = get(&format!("/install?{query}"), None);
            let response = response(&step);
            assert_eq!(response.status, 302, "{}", response.body);
            let location = &response.headers["location"];
            let query = location.strip_prefix(chooser).unwrap();
            assert!(query.bytes().all(|b| b.is_ascii_graphic()), "{location}");
            let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect();
            let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, expected, "each once: {location}");
            let value = |name: &str| &pairs.iter().find(|(other, _)| other == name).unwrap().1;
            assert_eq!(value("redirect_uri"), CALLBACK);
            assert_eq!(value("client_id"), "app1-key1");
            for (name, header) in &response.headers {
                assert!(!header.contains(['\r', '\n']), "{name}: {header}");
            }
        }
        // The callback never redirects, whatever it is called with.
        for name in [
            "redirect",
            "redirect_uri",
            "next",
            "ref",
            "error",
            "state",
            "code",
        ] {
            let step = come_back(&format!("{name}={word}"), None);
            if let Step::Respond { response, .. } = &step {
                assert!(!response.headers.contains_key("location"), "{name}={word}");
                assert_ne!(response.status / 100, 3);
            }
        }
    }
}

#[test]
fn a_ref_with_control_characters_is_refused() {
    for word in [
        "a%0d%0aLocation:%20https://evil.test",
        "a%0ab",
        "%00",
        "a%7f",
    ] {
        let step = get(&format!("/install?ref={word}"), None);
        assert_eq!(response(&step).status, 400, "{word}");
        assert!(!response(&step).headers.contains_key("location"));
    }
}

// What leaks.

/// GHL's words may quote what we sent. Nobody else is to read it: pages are shown around.
#[test]
fn neither_code_nor_redirect_uri_nor_a_secret_is_on_a_page_or_in_the_log() {
    let secret = "0b9f7a52-8f5e-4c3c-9d0c-7f2a1e6b4d11";
    let quotes = [
        format!("Authorization code {CODE} not found"),
        format!("redirect_uri {CALLBACK} does not match"),
        "redirect_uri=https%3A%2F%2Fsync.test%2Fauth%2Fcallback is wrong".to_owned(),
        format!("client_secret '{secret}' is wrong"),
        format!("refresh_token=\"{JWT}\" (and code={CODE}&redirect_uri={CALLBACK}) are wrong"),
    ];
    let mut shown = Vec::new();
    for quote in &quotes {
        for (status, body) in [
            (400, json!({ "message": quote })),
            (
                401,
                json!({ "error": "invalid", "error_description": quote }),
            ),
            (403, json!({ "message": [quote, "again"] })),
            (422, json!({ "error": { "message": quote } })),
            (500, json!({ "message": quote })),
        ] {
            shown.push(exchange(answered(status, body)));
        }
        shown.push(exchange(Outcome::Dropped {
            message: quote.clone(),
        }));
        let error = format!("error=invalid_request&error_description={}", escaped(quote));
        shown.push(come_back(&format!("{error}&code={CODE}"), None));
    }
    // A short code is not shown either, since it is known.
    let then = Then::Exchanged {
        via: "install".into(),
        reference: None,
        code: "open-sesame".into(),
    };
    let words = refusal(400, "no such code: open-sesame");
    shown.push(proceed(&then, answered(400, words)));
    for step in &shown {
        let Step::Respond { response, log } = step else {
            panic!("{step:?}")
        };
        let all = format!("{response:?} {log:?}");
        for secret in [
            CODE,
            CALLBACK,
            "sync.test",
            secret,
            JWT,
            "open-sesame",
            "client-secret",
        ] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
    }
    let page = page_of(&shown[0], 400);
    assert!(
        page.contains("Authorization code … not found"),
        "what is no secret stays: {page}"
    );
}

/// The same for what health says of a location.
#[test]
fn no_token_that_ghl_quotes_is_in_health_or_the_log() {
    let mut w = World::new();
    let access = format!("{JWT}.access");
    w.connect_with(grant(LOCATION, &access, JWT));
    w.settle();
    w.push("Hello");
    w.settle();
    w.push("Hello again");
    let call = w.only_call(SEND);
    w.answer(
        &call,
        422,
        refusal(422, &format!("Bearer {access} may not do that")),
    );
    assert!(!w.health().to_string().contains(JWT));
    w.settle();
    w.advance(86_399 * SECOND - MINUTE);
    let refresh = w.only_call("POST /oauth/token");
    let quote = format!("the token {JWT} for {CALLBACK} is odd");
    w.answer(&refresh, 403, refusal(403, &quote));
    let health = w.health();
    let message = health["lastError"]["message"].as_str().unwrap();
    assert!(message.ends_with("the token … for … is odd"), "{message}");
    for text in w
        .dump()
        .iter()
        .map(String::as_str)
        .chain([health.to_string().as_str()])
    {
        assert!(!text.contains(JWT), "{text}");
    }
}

// What is shown.

/// Hostile strings, through each way in, change nothing of a page but its text.
#[test]
fn nothing_from_outside_is_more_than_text_on_a_page() {
    let pages = |word: &str| -> Vec<Step> {
        let reference = Some(word.to_owned()).filter(|word| word.len() <= 128);
        let then = Then::Exchanged {
            via: "install".into(),
            reference: reference.clone(),
            code: CODE.into(),
        };
        let said = |status, body| proceed(&then, answered(status, body));
        let by_query = escaped(word);
        let state = state_of(word, 1);
        vec![
            come_back(&format!("error={by_query}"), None),
            come_back(&format!("error=x&error_description={by_query}"), None),
            come_back(
                &format!("error=x&error_description={by_query}&state={state}"),
                None,
            ),
            come_back(&format!("state={state}"), None),
            come_back(&format!("code={by_query}&state={by_query}"), Some(word)),
            said(400, json!({ "message": word })),
            said(400, json!({ "message": [word, word] })),
            said(401, json!({ "error": word, "error_description": word })),
            said(200, json!({ "access_token": word })),
            proceed(
                &then,
                Outcome::Dropped {
                    message: word.to_owned(),
                },
            ),
            connected(&format!("Location {word}")),
            connected(&format!("Agency {word}, with the locations it has chosen")),
        ]
    };
    let plain: Vec<String> = pages("plain").iter().map(page).collect();
    for word in HOSTILE {
        for (step, plain) in pages(word).iter().zip(&plain) {
            assert_eq!(tags(&page(step)), tags(plain), "{word}: {}", page(step));
        }
    }
    // And the words are there.
    let page = page(&pages(HOSTILE[0])[0]);
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
}

/// Ids that GHL names reach the page by its token reply.
#[test]
fn an_id_from_ghl_s_token_reply_is_text_too() {
    for word in HOSTILE {
        for reply in [
            grant(word, "access-1", "refresh-1"),
            company_grant(word, "a-1", "r-1"),
        ] {
            let Step::Ask {
                then: Some(then), ..
            } = exchange(answered(200, reply))
            else {
                panic!("{word}")
            };
            let page = page_of(&proceed(&then, answered(200, json!({}))), 200);
            assert_eq!(
                tags(&page),
                tags(&page_of(&connected("plain"), 200)),
                "{page}"
            );
        }
    }
}

/// What a browser is told about a page, and about everything else.
#[test]
fn pages_carry_the_headers_that_keep_them_to_themselves() {
    for step in [connected("Location loc-1"), come_back("", None)] {
        let headers = &response(&step).headers;
        let policy: Vec<&str> = headers["content-security-policy"].split("; ").collect();
        let (style, rest): (Vec<&str>, Vec<&str>) = policy
            .into_iter()
            .partition(|part| part.starts_with("style-src"));
        assert_eq!(
            rest,
            [
                "default-src 'none'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'"
            ]
        );
        assert_eq!(
            style,
            [format!("style-src 'sha256-{}'", style_hash(&page(&step)))]
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(
            headers["referrer-policy"], "no-referrer",
            "the URL holds the code"
        );
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    }
}

#[test]
fn answers_that_are_no_pages_are_neither_sniffed_nor_kept() {
    let mut w = World::chatting();
    let mut answers = vec![
        response(&get("/health", None)).clone(),
        response(&get("/openapi.json", None)).clone(),
        response(&get("/nothing", None)).clone(),
        response(&get("/locations", None)).clone(),
        response(&get("/install?ref=%00", None)).clone(),
    ];
    for caller in [
        w.get("/locations/loc-1"),
        w.push(""),
        w.reply("agent-1", "Hi"),
    ] {
        answers.push(w.answer_to(&caller).unwrap().clone());
    }
    for answer in answers {
        assert_eq!(
            answer.headers["x-content-type-options"], "nosniff",
            "{}",
            answer.body
        );
        assert_eq!(
            answer.headers["cache-control"], "no-store",
            "{}",
            answer.body
        );
        assert!(answer.headers["content-type"].ends_with("json"));
    }
}

// Helpers.

fn configured() -> Configured {
    Settings::parse(&settings(&[]))
}

fn incoming<'a>(url: &'a str, cookie: Option<&'a str>) -> Incoming<'a> {
    Incoming {
        method: "GET",
        url,
        cookie,
        body: Some(b""),
        ..Incoming::default()
    }
}

fn get(path: &str, cookie: Option<&str>) -> Step {
    get_with(path, cookie, 3)
}

fn get_with(path: &str, cookie: Option<&str>, random: u8) -> Step {
    let url = format!("https://sync.test{path}");
    edge::route(
        &incoming(&url, cookie),
        &configured(),
        START,
        &mut |bytes| {
            bytes.fill(random);
        },
    )
}

/// GHL sends the browser back.
fn come_back(query: &str, cookie: Option<&str>) -> Step {
    get(&format!("/auth/callback?{query}"), cookie)
}

/// What an installation for this account is sent off with.
fn state_of(reference: &str, random: u8) -> String {
    let step = get_with(
        &format!("/install?ref={}", escaped(reference)),
        None,
        random,
    );
    let url = &response(&step).headers["location"];
    pairs(url.split_once('?').unwrap().1)["state"].clone()
}

/// By which way, and for whose account, a code is exchanged.
fn exchanging(step: &Step) -> (&str, Option<&str>) {
    match step {
        Step::Fetch {
            then: Then::Exchanged { via, reference, .. },
            ..
        } => (via, reference.as_deref()),
        other => panic!("no exchange: {other:?}"),
    }
}

fn exchange(outcome: Outcome) -> Step {
    let then = Then::Exchanged {
        via: "install".into(),
        reference: Some("acme".into()),
        code: CODE.into(),
    };
    proceed(&then, outcome)
}

fn connected(what: &str) -> Step {
    proceed(
        &Then::Connected { what: what.into() },
        answered(200, json!({})),
    )
}

fn proceed(then: &Then, outcome: Outcome) -> Step {
    edge::proceed(then, &Brought::Outcome { outcome }, START)
}

fn answered(status: u16, body: Value) -> Outcome {
    Outcome::Answered(Response::json(status, &body))
}

fn response(step: &Step) -> &Response {
    match step {
        Step::Respond { response, .. } => response,
        other => panic!("no answer: {other:?}"),
    }
}

fn page(step: &Step) -> String {
    let response = response(step);
    assert!(response.headers["content-type"].starts_with("text/html"));
    response.body.clone()
}

fn page_of(step: &Step, status: u16) -> String {
    assert_eq!(response(step).status, status, "{}", response(step).body);
    page(step)
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A page without its texts: the tags as they are, but for the account in the link to another try.
fn tags(page: &str) -> Vec<String> {
    let tags = page.split('<').skip(1).map(|rest| {
        let (tag, _) = rest.split_once('>').unwrap_or((rest, ""));
        match tag.strip_prefix("a href=\"/install?ref=") {
            Some(reference) => {
                let reference = reference.strip_suffix('"').unwrap();
                let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"%+*-._".contains(&b);
                assert!(reference.bytes().all(is_plain), "{reference}");
                "a href".to_owned()
            }
            None => tag.to_owned(),
        }
    });
    tags.collect()
}

fn style_hash(page: &str) -> String {
    use base64::Engine;
    let (_, rest) = page.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = vcx_ghl::signature::digest_of(style.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash)
}

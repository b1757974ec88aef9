//! Attachments: which URLs are passed on, and that nobody here fetches one.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use std::net::{Ipv4Addr, Ipv6Addr};
use support::*;
use url::{Host, Url};
use vcx_ghl::public_url::is_public;

const EVENT: &str = "vCX message.created";

const PUBLIC: &[&str] = &[
    "https://cdn.example/a.png",
    "https://cdn.example",
    "https://cdn.example?a=1",
    "https://cdn.example#part",
    "https://cdn.example./a.png",
    "HTTPS://CDN.Example/A.png",
    "https://a.b.c.d.example/%F0%9F%98%80.png?a=1&b=<2>#c",
    "https://cdn.example/päth/会.png",
    "https://cdn.example/@someone/a:b.png",
    "https://cdn.example/?u=http://127.0.0.1/&at=me@localhost",
    "https://cdn.example:443/a.png",
    "https://cdn.example:8443/a.png",
    "https://xn--bcher-kva.example/a.png",
    "https://storage.googleapis.com/a_b/c.png",
    "https://my_bucket.s3.example/a.png",
    "https://10.example/a.png",
    "https://127.0.0.1.example/a.png",
    "https://localhost.example/a.png",
    "https://locals.example/a.png",
    "https://93.184.216.34/a.png",
    "https://172.32.0.1/a.png",
    "https://100.128.0.1:8443/a.png",
    "https://[2606:4700:4700::1111]/a.png",
    "https://[2a00:1450:4001:81b::200e]:8443/a.png",
];

const PRIVATE: &[&str] = &[
    // Not https, or not a URL.
    "",
    "cdn.example/a.png",
    "//cdn.example/a.png",
    "/a.png",
    "http://cdn.example/a.png",
    "ftp://cdn.example/a.png",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/html,hello",
    "blob:https://cdn.example/1",
    "https:cdn.example/a.png",
    "https:/cdn.example/a.png",
    "https:///cdn.example/a.png",
    "https:\\\\cdn.example\\a.png",
    "https://",
    "https:///",
    "https://?",
    "xhttps://cdn.example/",
    " https://cdn.example/",
    "https ://cdn.example/",
    // A host that is not what it seems.
    "https://user@cdn.example/",
    "https://user:word@cdn.example/",
    "https://@cdn.example/",
    "https://:@cdn.example/",
    "https://cdn.example@127.0.0.1/",
    "https://127.0.0.1\\@cdn.example/",
    "https://127.0.0.1\\.cdn.example/",
    "https://cdn.example\\@127.0.0.1/",
    "https://cdn.example\t/a.png",
    "https://cdn.exa\nmple/a.png",
    "https://cdn.example/a b.png",
    "https://cdn.example/a\\b.png",
    "https://cdn.example/?a\\b",
    "https://cdn.example/a\u{a0}b.png",
    "https://cdn.example/a\u{0}.png",
    "https://cdn%2eexample/",
    "https://%31%32%37.0.0.1/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://ⓛocalhost.example/",
    "https://bücher.example/",
    "https://cdn.example:/",
    "https://cdn.example:0/",
    "https://cdn.example:99999/",
    "https://cdn.example:+443/",
    "https://cdn.example:4 43/",
    "https://cdn.example:https/",
    "https://cdn..example/",
    "https://.example/",
    "https://cdn.example../",
    "https://[cdn.example]/",
    "https://[::1",
    "https://::1]/",
    "https://cdn.exa[mple/",
    "https://cdn.exa^mple/",
    "https://cdn.exa|mple/",
    "https://cdn.exa*mple/",
    // Names that only a network of its own knows.
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://localhost:8443/",
    "https://a.localhost/",
    "https://intranet/",
    "https://printer.local/",
    "https://printer.LOCAL./",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://internal/",
    "https://a.localdomain/",
    "https://router.lan/",
    "https://nas.home/",
    "https://nas.home.arpa/",
    "https://home.arpa/",
    "https://mail.corp/",
    "https://wiki.intranet/",
    "https://db.private/",
    // IPv4, plainly.
    "https://0.0.0.0/",
    "https://0.1.2.3/",
    "https://10.0.0.1/",
    "https://100.64.0.1/",
    "https://100.127.255.255/",
    "https://127.0.0.1/",
    "https://127.255.255.254/",
    "https://169.254.169.254/latest/meta-data/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.0.0.8/",
    "https://192.168.1.1/",
    "https://198.18.0.1/",
    "https://198.19.255.255/",
    "https://224.0.0.1/",
    "https://239.255.255.250/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://127.0.0.1./",
    // IPv4, in spellings that the URL standard reads.
    "https://2130706433/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0x7f000001/",
    "https://0x7F.1/",
    "https://0x7f.0.0.0x1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://1.2.3.0x/",
    "https://1.2.3.4.5/",
    "https://256.256.256.256/",
    "https://cdn.1/",
    // IPv6.
    "https://[::]/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:1::1]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
];

// What is a public URL.

#[test]
fn urls_that_everybody_reads_alike_and_reaches_are_passed_on() {
    for url in PUBLIC {
        assert!(is_public(url), "{url}");
        assert!(leads_outside(url), "{url}");
    }
}

#[test]
fn all_others_are_not() {
    for url in PRIVATE {
        assert!(!is_public(url), "{url:?}");
    }
    for url in [
        "https://[fe80::1%25eth0]/",
        "https://[fec0::1]/",
        "https://[fc00::1]/",
    ] {
        assert!(!is_public(url), "{url:?}");
    }
}

#[test]
fn lengths_are_bounded() {
    let url = |path: usize| format!("https://cdn.example/{}", "p".repeat(path - 20));
    assert!(is_public(&url(2_048)));
    assert!(!is_public(&url(2_049)));
    let host = |label: usize| format!("https://{}.example/", "h".repeat(label));
    assert!(is_public(&host(63)));
    assert!(!is_public(&host(64)));
    let labels = format!("https://{}example/", "h.".repeat(124));
    assert!(!is_public(&labels), "255 characters");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever is passed on, a parser of the URL standard finds the same host in it, and no way in.
    #[test]
    fn what_is_passed_on_leads_outside_for_a_real_parser_too(url in any_url()) {
        if is_public(&url) {
            prop_assert!(leads_outside(&url), "{url:?}");
        }
    }

    /// ... and it is not that nothing is passed on.
    #[test]
    fn plain_public_urls_are_passed_on(
        name in "[a-z][a-z0-9-]{0,20}[a-z0-9]",
        tail in "(/[a-zA-Z0-9._~!$&'()*+,;=:@%-]{0,20}){0,3}(\\?[a-z=&/?]{0,10})?(#[a-z]{0,5})?",
    ) {
        let url = format!("https://{name}.example{tail}");
        prop_assert!(is_public(&url), "{url:?}");
        prop_assert!(leads_outside(&url), "{url:?}");
    }
}

// Pushes.

#[test]
fn a_push_with_such_an_attachment_is_refused_and_names_it() {
    let mut w = World::chatting();
    let before = w.dump();
    for url in PRIVATE {
        let attachments = json!(["https://cdn.example/a.png", url]);
        let caller = w.push_with("Look", json!({ "attachments": attachments }));
        assert_eq!(w.status(&caller), 400, "{url}");
        let body = w.body(&caller);
        assert_eq!(body["code"], "invalid_fields");
        assert_eq!(
            body["errors"],
            json!([{ "field": "attachments[1]", "message": "must be a public https URL" }])
        );
        assert!(
            url.len() < 8 || !body.to_string().contains(url),
            "not quoted: {body}"
        );
    }
    assert_eq!((w.dump(), w.under_way()), (before, vec![]));
}

#[test]
fn a_hundred_attachments_pass_as_they_were_written_and_one_more_does_not() {
    let mut w = World::chatting();
    let urls: Vec<&str> = PUBLIC.iter().copied().cycle().take(100).collect();
    w.push_with("Look", json!({ "attachments": urls }));
    let call = w.take("POST /conversations/messages/inbound");
    assert_eq!(call.json()["attachments"], json!(urls));

    let over: Vec<&str> = PUBLIC.iter().copied().cycle().take(101).collect();
    let caller = w.push_with("Look", json!({ "attachments": over }));
    assert_eq!(w.status(&caller), 400);
    assert_eq!(w.body(&caller)["errors"][0]["field"], "attachments");
}

// Agents' messages.

#[test]
fn an_agent_s_attachment_that_is_not_public_is_left_out_and_the_log_says_so() {
    let mut w = World::chatting();
    let mut post = delivery("con-client-1", "agent-1", "Look at these");
    let urls = [
        "https://cdn.example/a.png",
        "http://cdn.example/b.png",
        "https://192.168.1.1/secret.png",
        "https://cdn.example/c.png",
    ];
    merge(&mut post, json!({ "attachments": urls }));
    w.webhook(&post);
    let event = w.take(EVENT).json();
    assert_eq!(event["body"], "Look at these");
    assert_eq!(event["attachments"], json!([urls[0], urls[3]]));

    let lines = w.logged("attachments_left_out");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["attachments"], 2);
    assert_eq!(lines[0]["messageId"], "agent-1");
    assert!(!lines[0].to_string().contains("http"), "{}", lines[0]);
}

/// GHL's agent is told, in GHL; the visitor's chat has no empty bubble.
#[test]
fn an_agent_s_message_of_nothing_else_fails_and_the_agent_sees_why() {
    let mut w = World::chatting();
    let mut post = delivery("con-client-1", "agent-1", "");
    merge(
        &mut post,
        json!({ "attachments": ["https://localhost/a.png"] }),
    );
    w.webhook(&post);
    let call = w.take("PUT /conversations/messages/agent-1/status");
    assert_eq!(call.json()["status"], "failed");
    assert!(
        call.json()["error"]
            .to_string()
            .contains("not at public https URLs")
    );
    assert_eq!(w.settle(), [""; 0], "vCX gets nothing");

    let letter = &w.health()["deadLetters"][0];
    assert_eq!(
        (&letter["code"], &letter["messageId"]),
        (&json!("no_public_url"), &json!("agent-1"))
    );

    // A replay does not help, and sends nothing empty.
    w.post("/locations/loc-1/replay", &json!({}));
    assert_eq!(w.settle(), [""; 0]);
    assert_eq!(w.health()["deadLetters"][0]["code"], "no_public_url");

    // The same message again has no second effect.
    w.webhook(&post);
    assert_eq!(w.settle(), [""; 0]);
}

#[test]
fn the_backstop_of_a_delivery_leaves_them_out_too() {
    let mut w = World::chatting();
    let mut copy = outbound("con-client-1", "agent-1", "Look");
    merge(
        &mut copy,
        json!({ "attachments": ["https://10.0.0.1/a.png", "https://cdn.example/a.png"] }),
    );
    w.app_event(copy);
    w.advance(MINUTE);
    let event = w.take(EVENT).json();
    assert_eq!(event["attachments"], json!(["https://cdn.example/a.png"]));
    assert_eq!(w.logged("attachments_left_out").len(), 1);
}

/// Every request goes to GHL's API or to vCX's webhook, whatever a message says.
#[test]
fn nobody_here_fetches_what_a_message_names() {
    let mut w = World::connected_with(&BROWSERS);
    let urls = json!({ "attachments": PUBLIC });
    w.push_with("See https://cdn.example/in-the-text", urls.clone());
    let mut calls = w.settle_calls();
    let mut post = delivery(
        "con-client-1",
        "agent-1",
        "See https://cdn.example/in-the-text",
    );
    merge(&mut post, urls);
    w.webhook(&post);
    calls.extend(w.settle_calls());
    assert!(calls.len() > 5, "{calls:?}");
    for call in calls {
        let url = &call.request().url;
        assert!(
            url.starts_with("https://ghl.test/") || url == "https://vcx.test/events",
            "{url}"
        );
    }
}

// A real parser.

/// By the crate `url`, which implements the URL standard, and by what std knows of addresses.
fn leads_outside(url: &str) -> bool {
    let Ok(parsed) = Url::parse(url) else {
        // It checks what Punycode stands for. We do not; then it leads nowhere.
        return url.to_ascii_lowercase().contains("xn--");
    };
    let local = [
        "localhost",
        "local",
        "internal",
        "localdomain",
        "lan",
        "home",
        "corp",
        "intranet",
        "private",
    ];
    let host = match parsed.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let last = name.rsplit('.').next().unwrap();
            name.contains('.')
                && !local.contains(&last)
                && !format!(".{name}").ends_with(".home.arpa")
        }
        Some(Host::Ipv4(address)) => outside_v4(address),
        Some(Host::Ipv6(address)) => outside_v6(address),
        None => false,
    };
    let bare = parsed.username().is_empty() && parsed.password().is_none();
    parsed.scheme() == "https" && bare && host
}

fn outside_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    !(a == 0
        || shared
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_unspecified())
}

fn outside_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    let holds_v4 = address.to_ipv4().is_some() || matches!(first, 0x0064 | 0x2002);
    !(holds_v4
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || (first & 0xfe00) == 0xfc00
        || (first & 0xffc0) == 0xfe80)
}

/// URLs, mostly of hosts that somebody tries to hide, and with something odd in about half of them.
fn any_url() -> impl Strategy<Value = String> {
    let scheme = select(vec![
        "https://",
        "https://",
        "https://",
        "HTTPS://",
        "http://",
        "https:/",
        "https:\\\\",
    ]);
    let user = select(vec!["", "", "", "", "user@", "a:b@", "@"]);
    let port = select(vec!["", "", "", ":443", ":8443", ":", ":0", ":070000"]);
    let tail = select(vec![
        "",
        "/",
        "/a.png",
        "?a",
        "#a",
        "\\a",
        "/@127.0.0.1",
        "@127.0.0.1/",
    ]);
    let odd = prop_oneof![
        3 => Just(None),
        2 => (any::<prop::sample::Index>(), any_char()).prop_map(Some),
    ];
    (scheme, user, any_host(), port, tail, odd).prop_map(|(scheme, user, host, port, tail, odd)| {
        let mut url: Vec<char> = format!("{scheme}{user}{host}{port}{tail}")
            .chars()
            .collect();
        if let Some((at, odd)) = odd {
            url.insert(at.index(url.len() + 1), odd);
        }
        url.into_iter().collect()
    })
}

fn any_char() -> impl Strategy<Value = char> {
    prop_oneof![
        select("/\\?#@:.%[]|^ \t\r\n\0-_0x1aA".chars().collect::<Vec<_>>()),
        select(
            "。．｡１ⓛ\u{ad}\u{200b}\u{feff}İß\u{a0}"
                .chars()
                .collect::<Vec<_>>()
        ),
        any::<char>(),
    ]
}

fn any_host() -> impl Strategy<Value = String> {
    let label = "[a-z0-9_-]{1,8}|xn--[a-z0-9-]{1,8}|localhost|0x[0-9a-f]{0,8}|[0-9]{1,10}";
    let names = prop::collection::vec(label, 1..5).prop_map(|labels| labels.join("."));
    let suffix = select(vec![
        "",
        ".",
        ".example",
        ".local",
        ".internal",
        ".localhost",
        ".lan",
        ".home.arpa",
        ".1",
    ]);
    prop_oneof![
        (names, suffix).prop_map(|(name, suffix)| format!("{name}{suffix}")),
        any_v4(),
        any_v6(),
    ]
}

/// One of the many ways to write an IPv4 address, mostly of a private one.
fn any_v4() -> impl Strategy<Value = String> {
    let network = select(vec![
        [0, 0],
        [10, 0],
        [100, 64],
        [127, 0],
        [169, 254],
        [172, 16],
        [192, 168],
        [224, 0],
        [255, 255],
        [93, 184],
    ]);
    (
        network,
        any::<[u8; 2]>(),
        any::<[u8; 4]>(),
        1usize..=4,
        any::<bool>(),
    )
        .prop_map(|([a, b], [c, d], radix, parts, dot)| {
            let address = u32::from_be_bytes([a, b, c, d]);
            // The last part holds what is left of the address.
            let mut written: Vec<String> = (0..parts)
                .map(|at| match at + 1 == parts {
                    true => u64::from(address) & ((1u64 << (8 * (5 - parts))) - 1),
                    false => u64::from(address.to_be_bytes()[at]),
                })
                .zip(radix)
                .map(|(number, radix)| match radix % 4 {
                    0 => format!("{number:#x}"),
                    1 => format!("0{number:o}"),
                    _ => number.to_string(),
                })
                .collect();
            if dot {
                written.push(String::new());
            }
            written.join(".")
        })
}

fn any_v6() -> impl Strategy<Value = String> {
    let first = select(vec![
        0u16, 0, 0x64, 0xfc00, 0xfd12, 0xfe80, 0xfec0, 0xff02, 0x2001, 0x2002, 0x2606,
    ]);
    let middle = select(vec![0u16, 0xffff, 0xff9b, 0x7f00]);
    (
        first,
        prop::collection::vec(middle, 5),
        any::<[u8; 4]>(),
        any::<bool>(),
    )
        .prop_map(|(first, middle, [a, b, c, d], dotted)| {
            let [g, h] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
            let address = Ipv6Addr::new(
                first, middle[0], middle[1], middle[2], middle[3], middle[4], g, h,
            );
            if dotted {
                let head: Vec<String> = address.segments()[..6]
                    .iter()
                    .map(|part| format!("{part:x}"))
                    .collect();
                return format!("[{}:{a}.{b}.{c}.{d}]", head.join(":"));
            }
            format!("[{address}]")
        })
}

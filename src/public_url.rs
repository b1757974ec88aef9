//! Which URLs may be passed on to those who fetch them: vCX's page and GHL do, from networks of
//! their own; we never do.
//!
//! Not a parser of the URL standard (<https://url.spec.whatwg.org>), whose tables for international
//! names are larger than all else here: it takes what every parser reads alike and refuses the
//! rest. Where a name leads is for the resolver of whoever fetches: a public name that resolves to
//! a private address is beyond what can be seen here.

use crate::http::{host_and_port, in_brackets};
use core::net::{Ipv4Addr, Ipv6Addr};

/// Whether a URL is https, says nothing before the host, and the host is none that only its own
/// network knows.
pub fn is_public(url: &str) -> bool {
    // A backslash is a slash to some; blanks and line breaks are nothing to some.
    let odd = |c: char| c == '\\' || c.is_whitespace() || c.is_control();
    if url.len() > URL || url.contains(odd) {
        return false;
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = host_and_port(authority);
    let is_port = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    scheme.eq_ignore_ascii_case("https") && port.is_none_or(is_port) && is_public_host(host)
}

fn is_public_host(host: &str) -> bool {
    if let Some(address) = in_brackets(host) {
        return address.parse().is_ok_and(|address| is_public_v6(&address));
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    // An `@` is none of these, and no `%`, behind which anything can hide.
    let is_label = |label: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(known)
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return false;
    }
    let Some((name, last)) = host.rsplit_once('.') else {
        // Without a dot it is a machine next door, or an IPv4 address as one number.
        return false;
    };
    // What ends in a number is an IPv4 address: with one number each, not octal, not hexadecimal,
    // it is taken at its word.
    if is_number(last) {
        return host.parse().is_ok_and(|address| is_public_v4(&address));
    }
    let is_home = last == "arpa" && (name == "home" || name.ends_with(".home"));
    !LOCAL.contains(&last) && !is_home
}

/// <https://url.spec.whatwg.org/#ends-in-a-number-checker>; the label is in lower case.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x");
    label.bytes().all(|b| b.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_public_v4(address: &Ipv4Addr) -> bool {
    let address = u32::from(*address);
    let within = |(network, bits): &([u8; 4], u32)| {
        (address ^ u32::from_be_bytes(*network)) >> (32 - bits) == 0
    };
    !NOT_PUBLIC.iter().any(within)
}

/// What is given out to networks (RFC 4291 §2.4), but for what holds an IPv4 address: Teredo
/// (RFC 4380) and 6to4 (RFC 3056). Mapped and translated ones are not in there.
fn is_public_v6(address: &Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, 0, ..] | [0x2002, ..] => false,
        [first, ..] => first >> 13 == 1,
    }
}

/// The longest that is passed on, in bytes.
const URL: usize = 2_048;
/// Names that the public DNS does not know (RFC 6761, RFC 6762, ICANN's `internal`), and those that
/// networks use as if it did not.
const LOCAL: [&str; 9] = [
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
/// IANA's special-purpose registry, as far as it is not global: this network, private, shared
/// (carriers' NAT), loopback, link-local, protocols, benchmarks; then multicast and all above.
const NOT_PUBLIC: [([u8; 4], u32); 10] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([224, 0, 0, 0], 3),
];

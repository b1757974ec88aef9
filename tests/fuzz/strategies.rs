//! What is put in: texts and JSON with odd corners, and changes that leave a good value nearly good.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{FileFailurePersistence, RngSeed};
use serde_json::{Map, Value, json};

/// So many cases, unless `PROPTEST_CASES` says otherwise.
pub fn cases(usual: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => asked.cases,
            None => usual,
        },
        rng_seed: match asked.rng_seed {
            RngSeed::Random => RngSeed::Fixed(1),
            seed @ RngSeed::Fixed(_) => seed,
        },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/fuzz/failed.txt",
        ))),
        ..asked
    }
}

/// Any text, the odd ones more often than chance would have it.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9_-]{1,12}",
        2 => "\\PC{0,20}",
        1 => any::<String>(),
        4 => select(ODD).prop_map(str::to_owned),
        2 => (select(&["x", "é", "😀", "\u{0}", "\\", "\""][..]), 70..300usize)
            .prop_map(|(part, times)| part.repeat(times)),
    ]
}

/// Any JSON.
pub fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Those that serde_json reads as they were printed.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        select(NUMBERS).prop_map(Value::from),
        select(LARGE).prop_map(Value::from),
        (-3..100i64).prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => number,
        3 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let member = (name(), inner.clone());
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            vec(member, 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A good value after a few changes, often none.
pub fn nearly(good: Value) -> impl Strategy<Value = Value> {
    changes().prop_map(move |changes| changed(good.clone(), &changes))
}

/// A body that is nearly the JSON it should be: changed as a value, or damaged as bytes; or anything else.
pub fn body(good: Value) -> impl Strategy<Value = Vec<u8>> {
    let value = nearly(good).prop_map(|value| value.to_string().into_bytes());
    let value = value.boxed();
    prop_oneof![
        8 => value.clone(),
        3 => (value, any::<Index>(), any::<u8>(), 0..3u8).prop_map(damaged),
        1 => any_json().prop_map(|value| value.to_string().into_bytes()),
        1 => any::<Vec<u8>>(),
        1 => select(&["[", "{\"a\":", "\"\\ud800", "1e9", "\u{feff}{}"][..])
            .prop_map(|part| part.repeat(3_000).into_bytes()),
    ]
}

/// Changes to a value, to be made with [`changed`].
pub fn changes() -> impl Strategy<Value = Vec<(Index, Change)>> {
    let change = prop_oneof![
        3 => any_json().prop_map(Change::Replace),
        3 => text().prop_map(|text| Change::Replace(text.into())),
        2 => Just(Change::Remove),
        1 => Just(Change::Capitals),
        1 => Just(Change::Wrap),
        2 => (name(), any_json()).prop_map(|(name, value)| Change::Add(name, value)),
    ];
    prop_oneof![
        2 => Just(Vec::new()),
        6 => vec((any::<Index>(), change), 1..4),
    ]
}

/// A change at some place of a value.
#[derive(Clone, Debug)]
pub enum Change {
    /// Another value stands there.
    Replace(Value),
    /// It is not there.
    Remove,
    /// Its name is in capitals.
    Capitals,
    /// It is in a list.
    Wrap,
    /// Something else is there as well.
    Add(String, Value),
}

/// The value with its changes.
pub fn changed(mut value: Value, changes: &[(Index, Change)]) -> Value {
    for (at, change) in changes {
        let mut places = Vec::new();
        collect(&value, String::new(), &mut places);
        let place = at.get(&places);
        let Some((parent, name)) = place.rsplit_once('/') else {
            value = match change {
                Change::Replace(other) => other.clone(),
                Change::Wrap => json!([value]),
                Change::Add(name, other) => added(value, name, other),
                Change::Remove | Change::Capitals => Value::Null,
            };
            continue;
        };
        let name = name.replace("~1", "/").replace("~0", "~");
        match value.pointer_mut(parent).unwrap() {
            Value::Object(map) => change_member(map, &name, change),
            Value::Array(list) => change_element(list, name.parse().unwrap(), change),
            other => unreachable!("{other} has no members"),
        }
    }
    value
}

fn change_member(map: &mut Map<String, Value>, name: &str, change: &Change) {
    let old = map.remove(name).unwrap_or_default();
    match change {
        Change::Replace(value) => map.insert(name.to_owned(), value.clone()),
        Change::Remove => None,
        Change::Capitals => map.insert(name.to_uppercase(), old),
        Change::Wrap => map.insert(name.to_owned(), json!([old])),
        Change::Add(other, value) => map.insert(name.to_owned(), added(old, other, value)),
    };
}

fn change_element(list: &mut Vec<Value>, at: usize, change: &Change) {
    let old = list.remove(at);
    match change {
        Change::Replace(value) => list.insert(at, value.clone()),
        Change::Remove | Change::Capitals => {}
        Change::Wrap => list.insert(at, json!([old])),
        Change::Add(name, value) => list.insert(at, added(old, name, value)),
    }
}

fn added(mut value: Value, name: &str, other: &Value) -> Value {
    match &mut value {
        Value::Object(map) => drop(map.insert(name.to_owned(), other.clone())),
        Value::Array(list) => list.push(other.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    value
}

/// Where something stands in a value, as JSON Pointers.
fn collect(value: &Value, here: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, member) in map {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(member, format!("{here}/{name}"), places);
            }
        }
        Value::Array(list) => {
            for (at, element) in list.iter().enumerate() {
                collect(element, format!("{here}/{at}"), places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    places.push(here);
}

fn damaged((mut bytes, at, byte, how): (Vec<u8>, Index, u8, u8)) -> Vec<u8> {
    if bytes.is_empty() {
        return bytes;
    }
    let at = at.index(bytes.len());
    match how {
        0 => bytes.truncate(at),
        1 => bytes[at] = byte,
        _ => bytes.insert(at, byte),
    }
    bytes
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(MEMBERS).prop_map(str::to_owned),
        1 => text(),
    ]
}

const ODD: &[&str] = &[
    "",
    " ",
    "null",
    "0",
    "-1",
    "9223372036854775807",
    "1e999",
    "1969-12-31T23:59:59.999Z",
    "2026-10-08T09:00:00Z",
    "+275760-09-13T00:00:00.000Z",
    "https://files.example/a.png",
    "https://",
    "http://[::1]:0/",
    "javascript:alert(1)",
    "<script>alert(1)</script>",
    "'; DROP TABLE outbox; --",
    "../../etc/passwd",
    "%00%ff%",
    "a:b:c",
    "\u{feff}",
    "\u{202e}abc",
    "\r\nset-cookie: a=b",
    "e\u{301}\u{301}\u{301}",
];
const NUMBERS: &[f64] = &[0.5, -0.0, 1e300, -1e300, 1e-300];
/// One more than a double can count, and than a `Date` can hold.
const LARGE: &[i64] = &[9_007_199_254_740_993, 8_640_000_000_000_001];
const MEMBERS: &[&str] = &[
    "id",
    "data",
    "type",
    "event",
    "contact",
    "conversation",
    "messages",
    "contacts",
    "locations",
    "status",
    "error",
    "message",
    "body",
    "text",
    "attachments",
    "meta",
    "customFields",
    "value",
    "nextPage",
    "webhookId",
    "appId",
    "locationId",
    "companyId",
    "contactId",
    "conversationId",
    "messageId",
    "timestamp",
    "dateAdded",
    "traceId",
];

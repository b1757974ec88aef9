//! What crosses to the host and what lies in the database: values that are nearly right are read as something that stays what
//! it is, or are refused.

use super::parsers::{contact, grants, push, status, webhooks};
use super::strategies::{cases, nearly};
use crate::support::World;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::fmt::Debug;
use vcx_ghl::edge::{Brought, Step, Then};
use vcx_ghl::ghl::tokens::Grant;
use vcx_ghl::ghl::webhook::Webhook;
use vcx_ghl::location::work::{Step as ItemStep, Work};
use vcx_ghl::location::{Ask, Input, Listen, Location, Output, Pulse};
use vcx_ghl::vcx::{ContactAsk, Push, StatusAsk};
use vcx_ghl::wire::{self, Wire};

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn an_input_stays_what_it_is(value in select(inputs()).prop_flat_map(nearly)) {
        stays::<Input>(value)?;
    }

    #[test]
    fn an_output_stays_what_it_is(value in select(outputs()).prop_flat_map(nearly)) {
        stays::<Output>(value)?;
    }

    #[test]
    fn a_step_stays_what_it_is(value in select(steps()).prop_flat_map(nearly)) {
        stays::<Step>(value)?;
    }

    #[test]
    fn what_a_step_brought_stays_what_it_is(
        then in select(thens()).prop_flat_map(nearly),
        brought in select(broughts()).prop_flat_map(nearly),
    ) {
        stays::<Then>(then)?;
        stays::<Brought>(brought)?;
    }

    #[test]
    fn a_stored_document_stays_what_it_is(document in select(stored()).prop_flat_map(|(of, value)| (Just(of), nearly(value)))) {
        match document {
            ("location", value) => stays::<Location>(value)?,
            ("pulse", value) => stays::<Pulse>(value)?,
            ("work", value) => stays::<Work>(value)?,
            ("step", value) => stays::<ItemStep>(value)?,
            (other, _) => panic!("{other}"),
        }
    }
}

fn stays<T: Wire + PartialEq + Debug>(value: Value) -> Result<(), TestCaseError> {
    if let Ok(read) = T::read(value) {
        let printed = wire::text(&read);
        prop_assert_eq!(T::read(wire::value(&read)), Ok(read));
        prop_assert_eq!(
            wire::parse::<T>(&printed).map(|read| wire::text(&read)),
            Ok(printed)
        );
    }
    Ok(())
}

/// The good ones are good: else the changes would change nothing that matters.
#[test]
fn the_values_that_are_changed_are_right_before() {
    for value in inputs() {
        assert_eq!(
            Input::read(value.clone()).map(|read| wire::value(&read)),
            Ok(value)
        );
    }
    for value in outputs() {
        assert_eq!(
            Output::read(value.clone()).map(|read| wire::value(&read)),
            Ok(value)
        );
    }
    for value in steps() {
        assert_eq!(
            Step::read(value.clone()).map(|read| wire::value(&read)),
            Ok(value)
        );
    }
    for value in thens() {
        assert_eq!(
            Then::read(value.clone()).map(|read| wire::value(&read)),
            Ok(value)
        );
    }
    for value in broughts() {
        assert_eq!(
            Brought::read(value.clone()).map(|read| wire::value(&read)),
            Ok(value)
        );
    }
    let kinds: Vec<&str> = stored().into_iter().map(|(kind, _)| kind).collect();
    for kind in ["location", "pulse", "work", "step"] {
        assert!(kinds.contains(&kind), "no {kind} in {kinds:?}");
    }
}

/// An ask of each kind.
pub fn asks() -> Vec<Ask> {
    let text = |value: Value| value.to_string().into_bytes();
    let mut asks = vec![
        Ask::Push {
            push: Push::parse(&text(push())).unwrap(),
        },
        Ask::Contact {
            ask: ContactAsk::parse(&text(contact())).unwrap(),
        },
        Ask::Status {
            ask: StatusAsk::parse(&text(status())).unwrap(),
        },
        Ask::Health,
        Ask::Listen {
            listen: Listen {
                conversation: "chat-1".into(),
                expires_at: 1_791_453_600_000,
                after: Some(3),
            },
        },
        Ask::Replay { ids: None },
        Ask::Replay {
            ids: Some(vec![1, 2, 3]),
        },
        Ask::Register {
            location_id: "loc-1".into(),
        },
        Ask::Mint {
            location_id: "loc-1".into(),
        },
        Ask::MintRefused {
            why: "not installed".into(),
        },
        Ask::Leave {
            at: 1_791_450_000_000,
        },
    ];
    for webhook in webhooks() {
        let webhook = Webhook::read(&webhook.to_string(), "hash", "provider-1").unwrap();
        asks.push(Ask::Webhook { webhook });
    }
    for grant in grants() {
        asks.push(Ask::Connect {
            grant: Grant::read(&grant).unwrap(),
            via: "install".into(),
            reference: Some("acme".into()),
        });
    }
    asks
}

fn inputs() -> Vec<Value> {
    let asked = |ask: Ask| Input::Asked {
        caller: "caller-1".into(),
        object: "location:loc-1".into(),
        ask,
    };
    let mut inputs: Vec<Value> = asks()
        .into_iter()
        .map(|ask| wire::value(&asked(ask)))
        .collect();
    let trapped = Input::Trapped {
        input: Box::new(asked(Ask::Health)),
    };
    inputs.extend([
        json!("started"),
        json!("wake"),
        json!({ "waited": { "caller": "caller-1", "item": 3 } }),
        json!({ "answered": { "call": "item:3", "attempt": 2, "outcome": answered() } }),
        json!({ "answered": { "call": "token:refresh", "attempt": 2, "outcome": "timedOut" } }),
        json!({ "answered": { "call": "item:3", "attempt": 2, "outcome": { "dropped": { "message": "reset" } } } }),
        json!({ "heard": { "cursor": cursor(), "text": "{\"ack\":3}" } }),
        json!({ "flush": { "cursor": cursor() } }),
        json!({ "closed": { "cursor": cursor() } }),
        json!({ "mirrored": { "key": "token:loc-1", "rev": 3, "ok": true } }),
        wire::value(&trapped),
    ]);
    inputs
}

fn outputs() -> Vec<Value> {
    let ask = wire::value(&Ask::Register {
        location_id: "loc-1".into(),
    });
    vec![
        json!({ "call": { "call": "item:3", "attempt": 2, "request": request(), "timeoutMs": 15_000 } }),
        json!({ "tell": {
            "call": "item:3", "attempt": 2, "object": "company:c", "ask": ask, "timeoutMs": 15_000,
        } }),
        json!({ "answer": { "caller": "caller-1", "response": response() } }),
        json!({ "accept": {
            "caller": "caller-1", "response": response(), "tags": ["s1", "c1"], "cursor": cursor(), "frames": ["{}"],
        } }),
        json!({ "send": { "socket": "s1", "cursor": cursor(), "frames": ["{}"] } }),
        json!({ "close": { "socket": "s1", "code": 4408, "reason": "too far behind" } }),
        json!({ "publish": { "tag": "c1" } }),
        json!({ "hold": { "caller": "caller-1", "item": 3, "millis": 10_000 } }),
        json!({ "wake": { "at": 1_791_450_000_000i64 } }),
        json!({ "mirror": { "key": "token:loc-1", "value": "{}", "rev": 3, "listed": false } }),
        json!({ "log": { "line": "{}" } }),
    ]
}

fn steps() -> Vec<Value> {
    let then = thens().remove(0);
    vec![
        json!({ "respond": { "response": response(), "log": "{}" } }),
        json!({ "ask": { "object": "location:loc-1", "ask": "health", "then": then } }),
        json!({ "listen": { "object": "location:loc-1", "ask": "health" } }),
        json!({ "fetch": { "request": request(), "timeoutMs": 15_000, "then": then } }),
        json!({ "list": { "prefix": "location:", "cursor": "abc", "then": "listed" } }),
    ]
}

pub fn thens() -> Vec<Value> {
    vec![
        json!({ "exchanged": { "via": "install", "reference": "acme", "code": "a-code" } }),
        json!({ "connected": { "what": "Location loc-1" } }),
        json!("listed"),
    ]
}

pub fn broughts() -> Vec<Value> {
    let metadata =
        json!({ "companyId": "c", "state": "connected", "via": "install", "ref": "acme" });
    let grant =
        json!({ "answered": { "status": 200, "headers": {}, "body": grants()[0].to_string() } });
    vec![
        json!({ "outcome": { "outcome": grant } }),
        json!({ "outcome": { "outcome": answered() } }),
        json!({ "page": { "keys": [{ "name": "location:loc-1", "metadata": metadata }], "cursor": "abc" } }),
    ]
}

fn cursor() -> Value {
    json!({
        "socket": "s1", "conversation": "chat-1", "began": 1_791_450_000_000i64, "expiresAt": 1_791_453_600_000i64, "sent": 5, "acked": 3, "began": 0, "out": 2,
        "caughtUp": true,
    })
}

fn answered() -> Value {
    json!({ "answered": response() })
}

fn response() -> Value {
    json!({ "status": 200, "headers": { "content-type": "application/json" }, "body": "{}" })
}

fn request() -> Value {
    json!({ "method": "POST", "url": "https://ghl.test/", "headers": { "version": "2021-07-28" }, "body": "{}" })
}

/// What lies in the database in the middle of a story, and what kind of document it is.
pub fn stored() -> Vec<(&'static str, Value)> {
    let mut w = World::chatting();
    w.reply("agent-1", "Good day");
    w.push("a push with an unclear result");
    let call = w.call(crate::support::SEND);
    w.drop_call(&call);
    w.push("one behind it");
    let columns = [
        ("location", "SELECT doc FROM location"),
        ("pulse", "SELECT doc FROM pulse"),
        ("work", "SELECT work FROM outbox WHERE work IS NOT NULL"),
        ("step", "SELECT step FROM outbox WHERE step IS NOT NULL"),
    ];
    let mut found = Vec::new();
    for (kind, sql) in columns {
        let mut statement = w.db.connection.prepare(sql).unwrap();
        let documents = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap();
        found.extend(documents.map(|text| (kind, serde_json::from_str(&text.unwrap()).unwrap())));
    }
    found
}

//! What a turn has at hand (`src/store/near.rs`) is never seen from outside: many questions and
//! changes in one turn do what they would do in a turn each.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::START;
use support::db::Db;
use vcx_ghl::store::{Chat, Client, Contact, Head, Item, Made, Stage, Store, Value};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_turn_does_what_many_do(steps in vec((0..STEPS.len(), 0_i64..5, 0_usize..5), 1..40)) {
        let (many, one) = (database(), database());
        let turn = Store::new(&one);
        for (step, a, b) in &steps {
            let (_, does) = STEPS[*step];
            let own = Store::new(&many);
            let expected = does(&own, *a, *b);
            own.flush().unwrap();
            prop_assert_eq!(does(&turn, *a, *b), expected, "{:?}", names(&steps));
        }
        turn.flush().unwrap();
        prop_assert_eq!(contents(&one), contents(&many), "{:?}", names(&steps));
    }
}

/// Five items of three lanes, four clients, four contacts.
fn database() -> Db {
    let db = Db::new();
    let store = Store::new(&db);
    store.create().unwrap();
    for n in 0..5 {
        add(&store, n, n as usize);
    }
    for n in 0..4 {
        client(&store, n, 0);
        contact(&store, n, 0);
        chat(&store, n, 0);
    }
    store.flush().unwrap();
    db
}

/// What is done to a store with a number and a choice, and what it answers.
type Step = (&'static str, fn(&Store<'_>, i64, usize) -> String);

/// Named twice: what is to come more often.
const STEPS: [Step; 36] = [
    ("add", add),
    ("change", change),
    ("change", change),
    ("change unread", |store, seq, how| {
        let found = store.item(seq).unwrap();
        // It changes items in the database, so that nothing is at hand after it.
        store.promote("nowhere", START).unwrap();
        if let Some(mut item) = found.clone() {
            CHANGES[how](&mut item);
            store.put(&item);
        }
        show(found)
    }),
    ("remove", |store, seq, _| {
        // Never the newest: its number would be given out again.
        show(store.remove(seq))
    }),
    ("item", |store, seq, _| show(store.item(seq))),
    ("item_by_key", |store, n, _| {
        show(store.item_by_key(&key(n)))
    }),
    ("has_key", |store, n, _| show(store.has_key(&key(n)))),
    ("is_ours", |store, n, _| {
        show(store.is_ours(&format!("ghl-{n}")))
    }),
    ("lane_head", |store, n, _| show(store.lane_head(&lane(n)))),
    ("lane_unclear", |store, n, _| {
        show(store.lane_unclear(&lane(n)))
    }),
    ("promote", |store, n, _| {
        show(store.promote(&lane(n), START + n))
    }),
    ("move_to_end", |store, seq, _| {
        match store.item(seq).unwrap() {
            Some(_) => show(store.move_to_end(seq)),
            None => String::new(),
        }
    }),
    ("board", |store, _, _| {
        let mut heads: Vec<Head> = store.board().unwrap().heads;
        heads.sort_by_key(|head| head.seq);
        show(heads)
    }),
    ("next_waiting", |store, _, _| show(store.next_waiting())),
    ("next_field_waiter", |store, _, _| {
        show(store.next_field_waiter())
    }),
    ("held", |store, n, _| show(store.held(START + n))),
    ("overdue_flights", |store, n, _| {
        show(store.overdue_flights(START + n))
    }),
    ("release_field", |store, n, _| {
        show(store.release_field(START + n))
    }),
    ("forgive", |store, n, _| show(store.forgive(n))),
    ("parked_before", |store, n, _| {
        show(store.parked_before(START + n))
    }),
    ("depth", |store, _, _| show(store.depth())),
    ("next_due", |store, n, _| show(store.next_due(n > 2))),
    ("dead", |store, _, _| show(store.dead())),
    ("trim", |store, n, _| show(store.trim(START + n - 2))),
    ("put_client", client),
    ("put_client", client),
    ("client", |store, n, _| show(store.client(&name(n)))),
    ("lanes_of_contact", |store, n, _| {
        show(store.lanes_of_contact(&name(n)))
    }),
    ("forget_contact", |store, n, _| {
        show(store.forget_contact(&name(n)))
    }),
    ("put_contact", contact),
    ("contact", |store, n, _| show(store.contact(&name(n)))),
    ("contact_of_conversation", |store, n, _| {
        show(store.contact_of_conversation(&name(n)))
    }),
    ("put_chat", chat),
    ("chat", |store, n, _| show(store.chat(&name(n)))),
    ("latest_chat", |store, n, _| {
        show(store.latest_chat(&name(n)))
    }),
];

/// What becomes of an item.
const CHANGES: [fn(&mut Item); 5] = [
    |item| {
        (item.stage, item.due) = (Stage::Flight, Some(START + 3));
        (item.attempt, item.sent_at) = (item.attempt + 1, Some(START));
        (item.since, item.step) = (Some(START), Some("{}".into()));
    },
    |item| {
        (item.stage, item.due, item.work) = (Stage::Done, None, None);
        item.ghl_id = Some(format!("ghl-{}", item.seq % 5));
    },
    |item| {
        (item.stage, item.due, item.code) = (Stage::Dead, None, Some("refused".into()));
    },
    |item| (item.stage, item.due) = (Stage::Behind, None),
    |item| {
        (item.stage, item.due) = (item.class, Some(START + 1));
        item.digest = Some(format!("digest-{}", item.tries));
        item.tries += 1;
    },
];

fn change(store: &Store<'_>, seq: i64, how: usize) -> String {
    let found = store.item(seq).unwrap();
    if let Some(mut item) = found.clone() {
        CHANGES[how](&mut item);
        store.put(&item);
    }
    show(found)
}

/// Adds an item, under the first of two keys that is free.
fn add(store: &Store<'_>, n: i64, choice: usize) -> String {
    let free = [n, n + 5]
        .into_iter()
        .find(|n| !store.has_key(&key(*n)).unwrap());
    show(free.map(|n| store.add(&an_item(n, choice))))
}

fn an_item(n: i64, choice: usize) -> Item {
    let class = [Stage::Live, Stage::Event, Stage::Status, Stage::Upkeep][choice % 4];
    let mut item = Item::new(key(n), lane(n), class, "{}".into(), START + n);
    item.due = Some(START + n);
    match choice {
        3 => item.stage = Stage::Held,
        4 => item.stage = Stage::Field,
        _ => {}
    }
    item
}

fn client(store: &Store<'_>, n: i64, choice: usize) -> String {
    let found = store.client(&name(n)).unwrap();
    let mut client = found
        .clone()
        .unwrap_or_else(|| Client::new(&name(n), &name(n)));
    match choice {
        0 => client.contact_id = Some(name(n)),
        1 => client.contact_id = None,
        2 => client.lane = name(0),
        3 => client.last_date += 1,
        _ => (client.made, client.said) = (Made::Tagged, Some("0f".into())),
    }
    store.put_client(&client).unwrap();
    show(found)
}

fn contact(store: &Store<'_>, n: i64, choice: usize) -> String {
    let found = store.contact(&name(n)).unwrap();
    let contact = Contact {
        id: name(n),
        conversation_id: (choice != 1).then(|| format!("{}-{choice}", name(n))),
        chat_id: (choice != 2).then(|| name(0)),
    };
    store.put_contact(&contact).unwrap();
    show(found)
}

fn chat(store: &Store<'_>, n: i64, choice: usize) -> String {
    let found = store.chat(&name(n)).unwrap();
    let chat = Chat {
        id: name(n),
        client_id: name(n),
        lane: name(if choice == 1 { 0 } else { n }),
        // No two alike: which of them would be the latest is not said.
        heard_at: 10 * choice as i64 + n,
    };
    store.put_chat(&chat).unwrap();
    show(found)
}

fn key(n: i64) -> String {
    format!("out:{n}")
}

fn lane(n: i64) -> String {
    format!("ghl:{}", n % 3)
}

fn name(n: i64) -> String {
    format!("name-{n}")
}

fn show(answer: impl std::fmt::Debug) -> String {
    format!("{answer:?}")
}

/// Every row of every table that a turn keeps at hand.
fn contents(db: &Db) -> Vec<String> {
    ["outbox ORDER BY seq", "client", "chat", "contact"]
        .map(|table| {
            let none: [Value<'_>; 0] = [];
            format!(
                "{:?}",
                db.run(&format!("SELECT * FROM {table}"), &none).unwrap()
            )
        })
        .to_vec()
}

fn names(steps: &[(usize, i64, usize)]) -> Vec<String> {
    let name = |(step, a, b): &(usize, i64, usize)| format!("{}({a}, {b})", STEPS[*step].0);
    steps.iter().map(name).collect()
}

//! The database: each statement of `store.rs` with what it is given and what it returns, as
//! vectors that run on both engines (`vectors/sql.json`); and that no statement's cost grows with
//! the number of chats.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::db::{Db, Statement};
use support::*;
use vcx_ghl::ghl::Details;
use vcx_ghl::store::{self, Cell, Chat, Client, Contact, Item, Made, Sql, Stage, Store};

/// After a change of the SQL: `BLESS=1 cargo test --test store`.
#[test]
fn every_statement_does_what_the_vectors_say() {
    let statements = walk();
    let vectors: Vec<Value> = statements.iter().map(vector).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/sql.json");
    if std::env::var("BLESS").is_ok() {
        let lines: Vec<String> = vectors.iter().map(Value::to_string).collect();
        std::fs::write(path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    let kept: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (ours, kept) in vectors.iter().zip(&kept) {
        assert_eq!(ours, kept);
    }
    assert_eq!(vectors.len(), kept.len());
}

#[test]
fn the_vectors_hold_every_statement_of_the_store() {
    let run: BTreeSet<&str> = walk().iter().map(|statement| statement.sql).collect();
    let source = include_str!("../src/store.rs");
    let mut found = 0;
    for literal in source.split('"') {
        let word = literal.trim_start().split(' ').next().unwrap_or_default();
        let is_sql = ["CREATE", "SELECT", "INSERT", "UPDATE", "DELETE"].contains(&word);
        if is_sql && literal != "INSERT returned no row" {
            // A line that ends in a backslash goes on without its break and its blanks.
            assert!(!literal.contains("\\\n"), "{literal}");
            // A Durable Object prepares a statement each time that begins with a blank.
            assert_eq!(literal.trim_start(), literal);
            assert!(run.contains(literal), "no vector holds {literal}");
            found += 1;
        }
    }
    assert!(found > 60, "{found} statements");
}

/// A message costs its statements above all: no row is read twice in a turn, none is written twice,
/// and an item that goes out in the turn that accepts it is written once.
#[test]
fn a_turn_asks_for_nothing_twice() {
    let mut w = World::chatting();
    w.advance(20 * SECOND);
    w.settle();
    w.db.records = true;

    w.push("hello");
    turn_of(&w, 10);
    w.take("POST /conversations/messages/inbound");
    turn_of(&w, 8);

    w.reply("agent-1", "an answer");
    turn_of(&w, 12);
    w.take("vCX message.created");
    turn_of(&w, 9);
    w.take("PUT /conversations/messages/agent-1/status");
    turn_of(&w, 6);
}

/// Whoever is known is written without the columns that have an index: it would be a row more.
#[test]
fn a_known_client_is_written_as_one_row() {
    let mut w = World::chatting();
    w.db.records = true;
    w.push("hello");
    let statements = w.db.statements.take();
    let written = |begins: &str| {
        let asked = statements.iter();
        asked.filter(|asked| asked.sql.starts_with(begins)).count()
    };
    assert_eq!(written("INSERT INTO client"), 0);
    assert_eq!(written("UPDATE client"), 1);
}

/// What one turn has asked for, which was no more than `most` statements.
fn turn_of(w: &World, most: usize) {
    let asked = w.db.statements.take();
    assert!(!asked.is_empty());
    assert!(
        asked.len() <= most,
        "{} statements: {asked:#?}",
        asked.len()
    );
    for (at, statement) in asked.iter().enumerate() {
        let same =
            |other: &&Statement| (other.sql, &other.args) == (statement.sql, &statement.args);
        assert_eq!(asked[..at].iter().find(same), None);
    }
}

/// What each push, webhook, answer and wake-up does, however many chats there are. `EXPLAIN QUERY
/// PLAN` says SCAN where SQLite would read a whole table or a whole index.
#[test]
fn no_statement_of_a_turn_scans_what_grows() {
    let mut w = World::with(&BROWSERS);
    w.db.records = true;
    w.connect();
    w.settle();
    let tab = w.listen(Some(0));
    let words = json!({ "body": "hello", "timestamp": w.now });
    w.browse(&w.session(), "/push-message", &words);
    w.settle();
    for n in 0..3 {
        let client = format!("client-{n}");
        w.push_with(
            "hello",
            json!({ "clientId": client, "vcxConversationId": client, "email": "mina@example.com" }),
        );
        w.settle();
        let contact = format!("con-{client}");
        w.webhook(&delivery(&contact, &format!("agent-{n}"), "Hi"));
        w.settle();
        w.app_event(outbound(&contact, &format!("ours-{n}"), "Hi"));
    }
    w.push_with(
        "logged in",
        json!({ "clientId": "user-1", "vcxConversationId": "client-1" }),
    );
    w.push("unclear");
    w.crash();
    w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
    w.app_event(json!({ "type": "ContactDelete", "id": "con-client-2" }));
    w.app_event(json!({ "type": "ContactDelete" }));
    w.ack_all(&tab);
    w.advance(2 * HOUR);
    w.post("/locations/loc-1/replay", &json!({}));
    w.health();
    let since = w.newest(&tab);
    let tab = w.listen(Some(since));
    while w.number("SELECT count(*) FROM feed WHERE id % 64 = 0") == 0 {
        w.advance(1);
        w.app_event(json!({ "type": "ConversationUnreadUpdate", "id": "cnv-client-1" }));
    }
    w.leave(&tab);
    w.app_event(json!({ "type": "UNINSTALL" }));
    w.advance(2 * HOUR);
    let statements = w.db.statements.borrow().clone();
    let run: BTreeSet<&str> = statements.iter().map(|statement| statement.sql).collect();
    assert!(run.len() > 40, "{} statements", run.len());
    for sql in run {
        for line in plan(&w.db, sql) {
            let scans = line.strip_prefix("SCAN ").unwrap_or_default();
            let table = scans.split(' ').next().unwrap_or_default();
            // One row; what KV does not have yet; traps, which are few; rows of a subquery.
            let small = [
                "",
                "l",
                "p",
                "mirror",
                "trap",
                "CONSTANT",
                "(subquery-1)",
                "(subquery-2)",
            ];
            let bounded = table.starts_with("(subquery") || sql.contains("LIMIT 500");
            assert!(
                small.contains(&table) || bounded || is_partial(&line),
                "{line}: {sql}"
            );
        }
    }
}

/// A partial index holds only what waits, is held or is dead.
fn is_partial(line: &str) -> bool {
    ["outbox_lane", "outbox_dead"]
        .iter()
        .any(|index| line.contains(index))
}

#[test]
fn an_empty_object_has_no_location_and_writes_nothing_by_being_asked() {
    let db = Db::new();
    assert_eq!(Store::new(&db).location(), Ok(None));
    let tables: i64 = db
        .connection
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 0);
}

#[test]
fn a_statement_that_fails_leaves_its_transaction_usable() {
    let db = Db::new();
    db.connection.execute_batch("BEGIN").unwrap();
    assert_eq!(Store::new(&db).location(), Ok(None));
    Store::new(&db).create().unwrap();
    Store::new(&db).put_location("{}", None).unwrap();
    Store::new(&db).put_pulse("{}").unwrap();
    db.connection.execute_batch("COMMIT").unwrap();
    assert!(Store::new(&db).location().unwrap().is_some());
}

#[test]
fn numbers_are_bound_as_real_and_stored_as_integers() {
    let db = Db::new();
    let store = Store::new(&db);
    store.create().unwrap();
    let largest = store::NEVER;
    let mut item = an_item("k", "lane", largest);
    item.seq = add(&db, &item);
    assert_eq!(Store::new(&db).item(item.seq).unwrap(), Some(item));
    let kind: String = db
        .connection
        .query_row(
            "SELECT typeof(due) || typeof(seq) || typeof(tries) FROM outbox",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(kind, "integerintegerinteger");
    let rows = db.query("SELECT 1", &[]).unwrap();
    assert_eq!(rows, [[Cell::Int(1)]]);
}

#[test]
fn a_strict_table_takes_no_fraction() {
    let db = Db::new();
    Store::new(&db).create().unwrap();
    let error = db
        .connection
        .execute("INSERT INTO seen(key, at) VALUES ('k', 1.5)", []);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("REAL value in INTEGER column")
    );
}

/// A turn that adds an item.
fn add(db: &Db, item: &Item) -> i64 {
    let store = Store::new(db);
    let seq = store.add(item).unwrap();
    store.flush().unwrap();
    seq
}

/// A turn that reads an item and changes it.
fn put(db: &Db, item: &Item) {
    let store = Store::new(db);
    store.item(item.seq).unwrap();
    store.put(item);
    store.flush().unwrap();
}

/// One of everything, each in a turn of its own.
fn walk() -> Vec<Statement> {
    let mut db = Db::new();
    db.records = true;
    let store = || Store::new(&db);
    let now = START;

    // An empty object, then the tables.
    assert_eq!(store().location().unwrap(), None);
    store().create().unwrap();
    assert_eq!(store().location().unwrap(), None);
    store()
        .put_location("{\"id\":\"loc-1\"}", Some("v1.k1.sealed"))
        .unwrap();
    store().put_pulse("{}").unwrap();
    store().put_pulse("{\"ignored\":1}").unwrap();
    store()
        .put_location("{\"id\":\"loc-1\",\"rev\":2}", None)
        .unwrap();
    let (doc, tokens, pulse) = store().location().unwrap().unwrap();
    assert_eq!(
        (doc.as_str(), tokens, pulse.as_str()),
        ("{\"id\":\"loc-1\",\"rev\":2}", None, "{\"ignored\":1}")
    );

    // Clients, chats, contacts.
    assert_eq!(store().client("client-1").unwrap(), None);
    let mut client = Client::new("client-1", "client-1");
    store().put_client(&client).unwrap();
    client.contact_id = Some("con-1".into());
    client.made = Made::Untagged;
    client.wanted = Details {
        name: Some("Mina \"🧑‍🚀\" Kim".into()),
        email: None,
        phone: None,
    };
    client.last_date = now;
    client.said = Some("0f0f".into());
    store().put_client(&client).unwrap();
    assert_eq!(store().client("client-1").unwrap(), Some(client.clone()));
    client.last_date = now + 1;
    {
        let turn = store();
        turn.client("client-1").unwrap();
        turn.put_client(&client).unwrap();
    }
    assert_eq!(store().client("client-1").unwrap(), Some(client.clone()));
    let alias = Client {
        contact_id: Some("con-1".into()),
        ..Client::new("user-7", "client-1")
    };
    store().put_client(&alias).unwrap();
    assert_eq!(
        store().lanes_of_contact("con-1").unwrap(),
        ["client-1", "user-7"]
    );

    assert_eq!(store().chat("chat-1").unwrap(), None);
    let mut chat = Chat {
        id: "chat-1".into(),
        client_id: "client-1".into(),
        lane: "client-1".into(),
        heard_at: 0,
    };
    store().put_chat(&chat).unwrap();
    let later = Chat {
        id: "chat-2".into(),
        heard_at: now,
        ..chat.clone()
    };
    store().put_chat(&later).unwrap();
    assert_eq!(store().latest_chat("client-1").unwrap(), Some(later));
    assert_eq!(store().pace("chat-1").unwrap(), Some((0, 0)));
    assert_eq!(store().pace("nowhere").unwrap(), None);
    store().put_pace("chat-1", now, 1).unwrap();
    chat.heard_at = now + 1;
    store().put_chat(&chat).unwrap();
    assert_eq!(store().pace("chat-1").unwrap(), Some((now, 1)));
    assert_eq!(store().chat("chat-1").unwrap(), Some(chat.clone()));
    assert_eq!(store().latest_chat("client-1").unwrap(), Some(chat));
    assert_eq!(store().latest_chat("nobody").unwrap(), None);

    assert_eq!(store().contact("con-1").unwrap(), None);
    let mut contact = Contact {
        id: "con-1".into(),
        conversation_id: None,
        chat_id: None,
    };
    store().put_contact(&contact).unwrap();
    assert_eq!(store().contact_of_conversation("cnv-1").unwrap(), None);
    contact.conversation_id = Some("cnv-1".into());
    contact.chat_id = Some("chat-1".into());
    store().put_contact(&contact).unwrap();
    assert_eq!(store().contact("con-1").unwrap().as_ref(), Some(&contact));
    assert_eq!(
        store().contact_of_conversation("cnv-1").unwrap(),
        Some(contact)
    );
    store().forget_contact("con-1").unwrap();
    assert_eq!(store().contact("con-1").unwrap(), None);
    let forgotten = store().client("client-1").unwrap().unwrap();
    assert_eq!(
        (forgotten.contact_id, forgotten.sent),
        (None, Details::default())
    );

    // The outbox: a lane of two, and one of each stage.
    assert_eq!(store().lane_head("ghl:client-1").unwrap(), None);
    let mut first = an_item("out:m1", "ghl:client-1", now);
    first.seq = add(&db, &first);
    let mut second = an_item("out:m2", "ghl:client-1", now);
    (second.stage, second.due) = (Stage::Behind, None);
    second.seq = add(&db, &second);
    assert_eq!((first.seq, second.seq), (1, 2));
    assert_eq!(store().lane_head("ghl:client-1").unwrap().unwrap().seq, 1);
    assert_eq!(
        store().item_by_key("out:m1").unwrap().as_ref(),
        Some(&first)
    );
    assert_eq!(store().item_by_key("out:m9").unwrap(), None);
    assert!(store().has_key("out:m2").unwrap() && !store().has_key("out:m9").unwrap());
    assert!(!store().lane_unclear("ghl:client-1").unwrap());
    first.stage = Stage::Flight;
    first.due = Some(now + 17_000);
    first.attempt = 1;
    first.since = Some(now);
    first.sent_at = Some(now);
    first.step = Some("{\"call\":\"send\"}".into());
    put(&db, &first);
    assert_eq!(store().item(1).unwrap().as_ref(), Some(&first));
    assert!(store().lane_unclear("ghl:client-1").unwrap());
    store().promote("ghl:client-1", now).unwrap();
    assert_eq!(
        store().item(2).unwrap().unwrap().stage,
        Stage::Behind,
        "the head is another"
    );
    for (key, stage, due) in [
        ("status:a", Stage::Status, now),
        ("in:b", Stage::Event, now + 5),
        ("tag:c", Stage::Upkeep, now),
        ("held:d", Stage::Held, now + 60_000),
        ("contact:e", Stage::Field, now + 120_000),
    ] {
        let mut item = an_item(key, key, due);
        item.stage = stage;
        item.class = match stage {
            Stage::Held => Stage::Event,
            Stage::Field => Stage::Live,
            stage => stage,
        };
        add(&db, &item);
    }
    assert_eq!(store().board().unwrap().heads.len(), 4);
    assert_eq!(store().next_waiting().unwrap(), Some(now + 60_000));
    assert_eq!(store().next_field_waiter().unwrap(), Some(now + 120_000));
    assert_eq!(store().held(now).unwrap(), [0; 0]);
    assert_eq!(store().held(now + 60_000).unwrap(), [6]);
    assert_eq!(store().overdue_flights(now).unwrap(), [0; 0]);
    assert_eq!(store().overdue_flights(store::NEVER).unwrap(), [1]);
    store().release_field(now).unwrap();
    assert_eq!(store().item(7).unwrap().unwrap().stage, Stage::Live);
    assert_eq!(store().next_field_waiter().unwrap(), None);
    store().forgive(1_000).unwrap();
    assert_eq!(store().item(1).unwrap().unwrap().since, Some(now + 1_000));
    assert_eq!(store().parked_before(now + 1).unwrap(), [2, 3, 5, 7]);
    assert_eq!(store().depth().unwrap(), (5, Some(now)));
    assert_eq!(store().next_due(false).unwrap(), Some(now));
    assert_eq!(
        store().next_due(true).unwrap(),
        Some(now + 5),
        "of the event"
    );

    // The first is done, the second dies and is replayed.
    assert!(!store().is_ours("ghl-1").unwrap());
    first.stage = Stage::Done;
    (first.due, first.work, first.step, first.sent_at) = (None, None, None, None);
    first.ghl_id = Some("ghl-1".into());
    put(&db, &first);
    assert!(store().is_ours("ghl-1").unwrap());
    store().promote("ghl:client-1", now + 1).unwrap();
    let mut second = store().item(2).unwrap().unwrap();
    assert_eq!((second.stage, second.due), (Stage::Live, Some(now + 1)));
    (second.stage, second.due) = (Stage::Dead, None);
    (second.code, second.reason) = (Some("refused".into()), Some("422: ß < 𝄞".into()));
    put(&db, &second);
    assert_eq!(store().dead().unwrap(), [second]);
    assert_eq!(store().lane_head("ghl:client-1").unwrap(), None);
    assert_eq!(store().move_to_end(2).unwrap(), 8);
    store().remove(5).unwrap();
    assert_eq!(store().item(5).unwrap(), None);

    let mut moved = store().item(8).unwrap().unwrap();
    moved.class = Stage::Upkeep;
    put(&db, &moved);
    assert_eq!(store().item(8).unwrap(), Some(moved));

    // What was seen, and traps.
    assert_eq!(store().seen("w:1").unwrap(), None);
    store().see("w:1", now).unwrap();
    store().see("w:1", now + 1).unwrap();
    assert_eq!(store().seen("w:1").unwrap(), Some(now + 1));
    assert_eq!(store().count_trap("item:x", now).unwrap(), 1);
    assert_eq!(store().count_trap("item:x", now).unwrap(), 2);

    // KV's copy.
    assert_eq!(store().next_mirror().unwrap(), None);
    store()
        .put_mirror("token:loc-1", "{\"rev\":1}", 1, now)
        .unwrap();
    store()
        .put_mirror("token:loc-1", "{\"rev\":2}", 2, now)
        .unwrap();
    store()
        .put_mirror("location:loc-1", "{\"rev\":3}", 3, now + 1)
        .unwrap();
    assert_eq!(store().next_mirror().unwrap().unwrap().key, "token:loc-1");
    store().mirror_sent("token:loc-1", now).unwrap();
    assert_eq!(store().next_mirror().unwrap().unwrap().sent_at, Some(now));
    store().mirror_all_again().unwrap();
    store().mirror_taken("token:loc-1", 1).unwrap();
    assert_eq!(
        store().next_mirror().unwrap().unwrap().rev,
        2,
        "a newer one stays"
    );
    store().mirror_refused("token:loc-1", now + 5_000).unwrap();
    assert_eq!(
        store().next_mirror().unwrap().unwrap().key,
        "location:loc-1"
    );
    store().mirror_taken("token:loc-1", 2).unwrap();
    store().mirror_taken("location:loc-1", 3).unwrap();
    assert_eq!(store().next_mirror().unwrap(), None);

    // An agency's locations.
    store().add_member("loc-2").unwrap();
    store().add_member("loc-1").unwrap();
    store().add_member("loc-2").unwrap();
    assert_eq!(store().members().unwrap(), ["loc-1", "loc-2"]);

    // What live clients are told.
    assert_eq!(store().newest_event().unwrap(), None);
    assert_eq!(store().next_waiting().unwrap(), Some(now + 60_000));
    let emoji = "{\"body\":\"🧑‍🚀 \\u0000\"}";
    assert_eq!(store().add_event(now, "chat-1", None, emoji).unwrap(), now);
    let second = store().add_event(now, "chat-1", Some("agent-1"), "{}");
    assert_eq!(second.unwrap(), now + 1, "one more than the newest");
    assert_eq!(
        store().add_event(now - 5, "chat-2", None, "{}").unwrap(),
        now + 2
    );
    assert_eq!(
        store().add_event(now + 9, "chat-1", None, "{}").unwrap(),
        now + 9
    );
    assert_eq!(store().newest_event().unwrap(), Some(now + 9));
    assert_eq!(
        store().events_after("chat-1", 0, 2).unwrap(),
        [(now, emoji.to_owned()), (now + 1, "{}".to_owned())]
    );
    assert_eq!(store().events_after("chat-1", now + 9, 2).unwrap(), []);
    assert_eq!(
        store().events_between("chat-1", now, now + 9).unwrap(),
        [(now + 1, Some("agent-1".to_owned())), (now + 9, None)]
    );
    assert_eq!(store().oldest_kept("chat-1").unwrap(), None);
    store().trim_conversation("chat-1").unwrap();
    assert_eq!(store().events_after("chat-1", 0, 9).unwrap().len(), 3);
    store().add_listener("socket-1", now + 20).unwrap();
    store().add_listener("socket-2", now + 20).unwrap();
    store().add_listener("socket-3", now + 30).unwrap();
    assert_eq!(store().next_waiting().unwrap(), Some(now + 20));
    store().remove_listener("socket-2", now + 20).unwrap();
    assert_eq!(store().expired_listeners(now + 19).unwrap(), [""; 0]);
    assert_eq!(store().expired_listeners(now + 20).unwrap(), ["socket-1"]);
    assert_eq!(
        store().expired_listeners(store::NEVER).unwrap(),
        ["socket-3"]
    );
    let held = store().item(6).unwrap().unwrap();
    store().remove(held.seq).unwrap();
    assert_eq!(
        store().next_waiting().unwrap(),
        Some(now + 7 * DAY + HOUR),
        "an hour's events at a time"
    );
    store().trim_events(now + 2).unwrap();
    assert_eq!(store().events_after("chat-1", 0, 9).unwrap().len(), 1);

    // Thirty days later; dead letters are kept longer.
    assert_eq!(store().trim(now), Ok(false));
    assert!(store().has_key("out:m1").unwrap());
    assert_eq!(store().trim(now + 10), Ok(false));
    assert!(!store().has_key("out:m1").unwrap());
    assert_eq!(store().dead().unwrap().len(), 1);
    assert_eq!(store().trim(now + 10 + 30 * DAY), Ok(false));
    assert_eq!(store().dead().unwrap(), []);

    // A database of the schema before.
    for statement in [
        "DROP TABLE feed",
        "DROP TABLE listener",
        "ALTER TABLE chat DROP COLUMN pace",
        "ALTER TABLE chat DROP COLUMN pace_from",
        "UPDATE location SET schema = 1",
    ] {
        db.query(statement, &[]).unwrap();
    }
    assert!(store().location().unwrap().is_some());
    assert_eq!(store().newest_event().unwrap(), None);
    assert!(store().location().unwrap().is_some(), "once is enough");

    db.statements.borrow().clone()
}

fn an_item(key: &str, lane: &str, due: i64) -> Item {
    let mut item = Item::new(
        key.into(),
        lane.into(),
        Stage::Live,
        "{\"message\":{\"body\":\"<>&\\\"' 🧑‍🚀 \\u000c\"}}".into(),
        START,
    );
    item.due = Some(due);
    item
}

fn vector(statement: &Statement) -> Value {
    let cell = |cell: &Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Int(value) => json!(value),
        Cell::Text(text) => json!(text),
    };
    let args: Vec<Value> = statement
        .args
        .iter()
        .map(|value| match value {
            store::Value::Null => Value::Null,
            store::Value::Int(value) => json!(value),
            store::Value::Text(text) => json!(text),
        })
        .collect();
    match &statement.outcome {
        Ok(rows) => {
            let rows: Vec<Vec<Value>> = rows
                .iter()
                .map(|row| row.iter().map(cell).collect())
                .collect();
            json!({ "sql": statement.sql, "args": args, "rows": rows })
        }
        // Engines word the rest of it differently.
        Err(error) => {
            assert!(error.contains("no such table"), "{error}");
            json!({ "sql": statement.sql, "args": args, "error": "no such table" })
        }
    }
}

fn plan(db: &Db, sql: &str) -> Vec<String> {
    let mut explain = match db.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) {
        Ok(explain) => explain,
        // The tables are there by now.
        Err(_) if sql.starts_with("CREATE") => return Vec::new(),
        Err(error) => panic!("{error}: {sql}"),
    };
    let count = explain.parameter_count();
    let nothing = vec![rusqlite::types::Value::Null; count];
    let lines = explain
        .query_map(rusqlite::params_from_iter(nothing), |row| {
            row.get::<_, String>(3)
        })
        .unwrap();
    lines.map(Result::unwrap).collect()
}

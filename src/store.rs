//! A location's database: the schema, and every SQL statement.
//!
//! The same statements run on a Durable Object's SQLite and on rusqlite. A Durable Object binds
//! every number as REAL, so tables are STRICT, ids are TEXT and integers stay below 2^53.
//!
//! | Table | Written by | Trimmed |
//! | --- | --- | --- |
//! | `location` | connecting, the token lifecycle | never, one row |
//! | `pulse` | every turn that talked to anybody | never, one row |
//! | `client` | pushes, contact resolution | `ContactDelete` empties its contact |
//! | `chat` | the first push of a conversation; each push of a browser counts in it | never |
//! | `contact` | contact resolution, webhooks that re-key | `ContactDelete` |
//! | `outbox` | everything that must be sent, and its result | 30 days after it was accepted; dead letters 60 |
//! | `seen` | webhooks that took effect | after 30 days |
//! | `mirror` | what KV is to hold and does not yet | when KV took it |
//! | `trap` | items that brought the code down | with `seen` |
//! | `member` | an agency's locations, in the agency's own object | never |
//! | `feed` | what live clients are told, while there is a `SESSION_SECRET` | after 7 days; over 1,000 of a conversation |
//! | `listener` | each socket that is open | when it closes, or its session ends |

mod near;
mod rows;

pub use rows::{Board, Chat, Client, Contact, Head, Item, Made, Mirror, Stage};

use crate::error::Fault;
use near::{Near, Stored};
use std::borrow::Cow;
use std::cell::RefCell;

/// The database, as little of it as the store needs.
pub trait Sql {
    /// Runs one statement and returns its rows.
    fn query(&self, sql: &'static str, args: &[Value<'_>]) -> Result<Vec<Vec<Cell>>, Fault>;

    /// Runs one statement that returns none.
    fn run(&self, sql: &'static str, args: &[Value<'_>]) -> Result<(), Fault> {
        self.query(sql, args).map(|_| ())
    }
}

/// A value to bind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// An integer below 2^53.
    Int(i64),
    /// Text.
    Text(Cow<'a, str>),
}

/// A value read.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer; both engines may hand it over as a float.
    Int(i64),
    /// Text.
    Text(String),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The tables of one object, for one turn. Items are written when something that depends on them is
/// asked for, and by [`Store::flush`].
pub struct Store<'a> {
    sql: &'a dyn Sql,
    near: RefCell<Near>,
}

macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$(Value::from($value)),*] };
}

impl<'a> Store<'a> {
    /// The store on a database.
    pub fn new(sql: &'a dyn Sql) -> Self {
        Self {
            sql,
            near: RefCell::default(),
        }
    }

    /// Makes the tables. Only a connection or a restore calls it: the object of a location that
    /// is not ours stays empty.
    pub fn create(&self) -> Result<(), Fault> {
        for statement in SCHEMA.iter().chain(&LIVE_SCHEMA) {
            self.run(statement, &[])?;
        }
        Ok(())
    }

    /// The location's document, its sealed tokens and its pulse; none in an empty object.
    pub fn location(&self) -> Result<Option<(String, Option<String>, String)>, Fault> {
        let rows = match self.sql.query(
            "SELECT l.schema, l.doc, l.tokens, p.doc, (SELECT max(seq) FROM outbox),
                EXISTS(SELECT 1 FROM mirror)
             FROM location l, pulse p",
            &[],
        ) {
            Ok(rows) => rows,
            Err(fault) if fault.0.contains("no such table") => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let mut row = rows::Row::new(row);
        let schema = row.int();
        if schema > SCHEMA_VERSION {
            return Err(Fault(format!(
                "its schema {schema} is newer than this code's"
            )));
        }
        if schema < SCHEMA_VERSION {
            for statement in UPGRADE.iter().chain(&LIVE_SCHEMA) {
                self.run(statement, &[])?;
            }
        }
        let found = (row.text(), row.maybe_text(), row.text());
        let mut near = self.near.borrow_mut();
        near.next_seq = Some(row.int() + 1);
        near.mirrors = Some(row.int() > 0);
        Ok(Some(found))
    }

    /// Writes the location's document and sealed tokens.
    pub fn put_location(&self, doc: &str, tokens: Option<&str>) -> Result<(), Fault> {
        self.run(
            "INSERT INTO location(one, schema, doc, tokens) VALUES (1, ?, ?, ?)
             ON CONFLICT(one) DO UPDATE SET doc = excluded.doc, tokens = excluded.tokens",
            args![SCHEMA_VERSION, doc, tokens],
        )
    }

    /// Writes the pulse.
    pub fn put_pulse(&self, doc: &str) -> Result<(), Fault> {
        self.run(
            "INSERT INTO pulse(one, doc) VALUES (1, ?)
             ON CONFLICT(one) DO UPDATE SET doc = excluded.doc",
            args![doc],
        )
    }

    // Clients, chats and contacts.

    /// A client by its id.
    pub fn client(&self, client_id: &str) -> Result<Option<Client>, Fault> {
        self.at_hand(
            |near| &mut near.client,
            |client| client.id == client_id,
            "SELECT client_id, lane, contact_id, made, sent, wanted, last_date, said, heard,
                    echoes, echo_at
             FROM client WHERE client_id = ?",
            args![client_id],
            Client::read,
        )
    }

    /// Writes a client.
    pub fn put_client(&self, client: &Client) -> Result<(), Fault> {
        let known = self.near.borrow_mut().client.replace(client.clone());
        if known.as_ref() == Some(client) {
            return Ok(());
        }
        let mut values = client.bind();
        if known.is_none_or(|known| !client.is_same(&known)) {
            return self.run(PUT_CLIENT, &values);
        }
        values.drain(..SAME_CLIENT);
        values.push((&client.id).into());
        self.run(PUT_CLIENT_REST, &values)
    }

    /// Forgets which contact clients have: GHL does not know it any more.
    pub fn forget_contact(&self, contact_id: &str) -> Result<(), Fault> {
        let mut near = self.near.borrow_mut();
        (near.client, near.contact) = (None, None);
        self.run(
            "UPDATE client SET contact_id = NULL, sent = '{}' WHERE contact_id = ?",
            args![contact_id],
        )?;
        self.run(
            "DELETE FROM contact WHERE contact_id = ?",
            args![contact_id],
        )
    }

    /// A chat by vCX's conversation id.
    pub fn chat(&self, chat_id: &str) -> Result<Option<Chat>, Fault> {
        self.at_hand(
            |near| &mut near.chat,
            |chat| chat.id == chat_id,
            "SELECT chat_id, client_id, lane, heard_at FROM chat WHERE chat_id = ?",
            args![chat_id],
            Chat::read,
        )
    }

    /// Writes a chat.
    pub fn put_chat(&self, chat: &Chat) -> Result<(), Fault> {
        self.near.borrow_mut().chat = Some(chat.clone());
        self.run(
            "INSERT INTO chat(chat_id, client_id, lane, heard_at) VALUES (?, ?, ?, ?)
             ON CONFLICT(chat_id) DO UPDATE SET client_id = excluded.client_id,
                lane = excluded.lane, heard_at = excluded.heard_at",
            args![&chat.id, &chat.client_id, &chat.lane, chat.heard_at],
        )
    }

    /// When the minute began in which a chat's browser pushed last, and how often it has since.
    pub fn pace(&self, chat_id: &str) -> Result<Option<(i64, i64)>, Fault> {
        self.one(
            "SELECT pace_from, pace FROM chat WHERE chat_id = ?",
            args![chat_id],
            |mut row| Ok((row.int(), row.int())),
        )
    }

    /// Writes them.
    pub fn put_pace(&self, chat_id: &str, from: i64, pushes: i64) -> Result<(), Fault> {
        self.run(
            "UPDATE chat SET pace_from = ?, pace = ? WHERE chat_id = ?",
            args![from, pushes, chat_id],
        )
    }

    /// The chat of a client that was heard of last.
    pub fn latest_chat(&self, lane: &str) -> Result<Option<Chat>, Fault> {
        self.one(
            "SELECT chat_id, client_id, lane, heard_at FROM chat WHERE lane = ? ORDER BY heard_at DESC LIMIT 1",
            args![lane],
            Chat::read,
        )
    }

    /// A contact by GHL's id.
    pub fn contact(&self, contact_id: &str) -> Result<Option<Contact>, Fault> {
        self.at_hand(
            |near| &mut near.contact,
            |contact| contact.id == contact_id,
            "SELECT contact_id, conversation_id, chat_id FROM contact WHERE contact_id = ?",
            args![contact_id],
            Contact::read,
        )
    }

    /// A contact by GHL's conversation: there is one conversation per contact.
    pub fn contact_of_conversation(&self, id: &str) -> Result<Option<Contact>, Fault> {
        self.one(
            "SELECT contact_id, conversation_id, chat_id FROM contact WHERE conversation_id = ?",
            args![id],
            Contact::read,
        )
    }

    /// Writes a contact.
    pub fn put_contact(&self, contact: &Contact) -> Result<(), Fault> {
        self.near.borrow_mut().contact = Some(contact.clone());
        self.run(
            "INSERT INTO contact(contact_id, conversation_id, chat_id) VALUES (?, ?, ?)
             ON CONFLICT(contact_id) DO UPDATE SET conversation_id = excluded.conversation_id,
                chat_id = excluded.chat_id",
            args![
                &contact.id,
                contact.conversation_id.as_ref(),
                contact.chat_id.as_ref()
            ],
        )
    }

    /// The clients that share a contact.
    pub fn lanes_of_contact(&self, contact_id: &str) -> Result<Vec<String>, Fault> {
        self.texts(
            "SELECT client_id FROM client WHERE contact_id = ?",
            args![contact_id],
        )
    }

    // The outbox.

    /// Adds an item and returns its number.
    pub fn add(&self, item: &Item) -> Result<i64, Fault> {
        let known = self.near.borrow().next_seq;
        let seq = match known {
            Some(seq) => seq,
            None => {
                let newest = self.one("SELECT max(seq) FROM outbox", &[], |mut row| Ok(row.int()));
                newest?.unwrap_or_default() + 1
            }
        };
        let mut near = self.near.borrow_mut();
        near.next_seq = Some(seq + 1);
        near.add(Item {
            seq,
            ..item.clone()
        });
        Ok(seq)
    }

    /// Writes an item.
    pub fn put(&self, item: &Item) {
        self.near.borrow_mut().put(item);
    }

    /// Writes the items that are still to be written.
    pub fn flush(&self) -> Result<(), Fault> {
        self.flush_those(|_| true)
    }

    fn flush_lane(&self, lane: &str) -> Result<(), Fault> {
        self.flush_those(|kept| kept.item.lane == lane)
    }

    fn flush_those(&self, is_meant: impl Fn(&near::Kept) -> bool) -> Result<(), Fault> {
        for kept in self.near.borrow_mut().due(is_meant) {
            let item = &kept.item;
            let mut values = item.bind();
            let statement = match &kept.stored {
                Stored::New => ADD,
                Stored::As(stored) if item.only_hopped(stored) => {
                    values.drain(..HOP);
                    PUT_HOP
                }
                Stored::As(stored) if item.is_same(stored) => {
                    values.drain(..SAME);
                    PUT_REST
                }
                Stored::As(_) | Stored::Unread => PUT,
            };
            values.push(Value::Int(item.seq));
            self.run(statement, &values)?;
            kept.stored = Stored::As(Box::new(item.clone()));
        }
        Ok(())
    }

    /// For what changes items in the database itself: none is at hand any more.
    fn flush_and_forget(&self) -> Result<(), Fault> {
        self.flush()?;
        self.near.borrow_mut().forget();
        Ok(())
    }

    /// An item by its number.
    pub fn item(&self, seq: i64) -> Result<Option<Item>, Fault> {
        let near = self.near.borrow().item(|item| item.seq == seq).cloned();
        if near.is_some() {
            return Ok(near);
        }
        self.note(self.one(
            "SELECT seq, key, lane, class, accepted_at, digest, open, work, ghl_id, stage, due,
                since, tries, attempt, sent_at, step, caller, contact_id, conversation_id, code,
                reason
             FROM outbox WHERE seq = ?",
            args![seq],
            Item::read,
        ))
    }

    /// An item by its key.
    pub fn item_by_key(&self, key: &str) -> Result<Option<Item>, Fault> {
        let near = self.near.borrow().item(|item| item.key == key).cloned();
        if near.is_some() {
            return Ok(near);
        }
        self.note(self.one(
            "SELECT seq, key, lane, class, accepted_at, digest, open, work, ghl_id, stage, due,
                since, tries, attempt, sent_at, step, caller, contact_id, conversation_id, code,
                reason
             FROM outbox WHERE key = ?",
            args![key],
            Item::read,
        ))
    }

    fn note(&self, found: Result<Option<Item>, Fault>) -> Result<Option<Item>, Fault> {
        if let Ok(Some(item)) = &found {
            self.near.borrow_mut().read(item);
        }
        found
    }

    /// Whether a key was used.
    pub fn has_key(&self, key: &str) -> Result<bool, Fault> {
        let is_near = self.near.borrow().item(|item| item.key == key).is_some();
        Ok(is_near || self.any("SELECT 1 FROM outbox WHERE key = ?", args![key])?)
    }

    /// Whether GHL gave this id to a message of ours.
    pub fn is_ours(&self, ghl_id: &str) -> Result<bool, Fault> {
        self.flush()?;
        self.any(
            "SELECT 1 FROM outbox WHERE ghl_id = ? AND ghl_id IS NOT NULL",
            args![ghl_id],
        )
    }

    /// Takes an item out.
    pub fn remove(&self, seq: i64) -> Result<(), Fault> {
        if !self.near.borrow_mut().remove(seq) {
            return Ok(());
        }
        self.run("DELETE FROM outbox WHERE seq = ?", args![seq])
    }

    /// The first open item of a lane.
    pub fn lane_head(&self, lane: &str) -> Result<Option<Head>, Fault> {
        self.flush_lane(lane)?;
        self.one(
            "SELECT seq, class, stage, due FROM outbox WHERE lane = ? AND open = 1
             ORDER BY seq LIMIT 1",
            args![lane],
            Head::read,
        )
    }

    /// Whether a send of a lane is under way or unclear.
    pub fn lane_unclear(&self, lane: &str) -> Result<bool, Fault> {
        self.flush_lane(lane)?;
        self.any(
            "SELECT 1 FROM outbox WHERE lane = ? AND open = 1 AND sent_at IS NOT NULL LIMIT 1",
            args![lane],
        )
    }

    /// Makes the next item of a lane ready.
    pub fn promote(&self, lane: &str, now: i64) -> Result<(), Fault> {
        self.flush_and_forget()?;
        self.run(
            "UPDATE outbox SET stage = class, due = ?
             WHERE seq = (SELECT seq FROM outbox WHERE lane = ? AND open = 1 ORDER BY seq LIMIT 1)
               AND stage = 'behind'",
            args![now, lane],
        )
    }

    /// Moves an item to the end of everything, for a replay.
    pub fn move_to_end(&self, seq: i64) -> Result<i64, Fault> {
        self.flush_and_forget()?;
        let rows = self.sql.query(
            "UPDATE outbox SET seq = (SELECT max(seq) + 1 FROM outbox) WHERE seq = ?
             RETURNING seq",
            args![seq],
        )?;
        let seq = rows
            .into_iter()
            .next()
            .map_or(seq, |row| rows::Row::new(row).int());
        self.near.borrow_mut().next_seq = None;
        Ok(seq)
    }

    /// What is ready, under way and next, in one look.
    pub fn board(&self) -> Result<Board, Fault> {
        // What is new need not be written first: most of it goes out in this turn.
        self.flush_those(|kept| kept.stored != Stored::New)?;
        let mut board = Board::read(self.sql.query(BOARD, &[])?);
        self.near.borrow().onto(&mut board);
        Ok(board)
    }

    /// When the first of those that wait for something else than a slot has waited long enough:
    /// a session ends, what is kept for live clients is old (an hour later: it goes in batches).
    pub fn next_waiting(&self) -> Result<Option<i64>, Fault> {
        self.flush()?;
        let first = self.one(
            "SELECT min(due) FROM (
                SELECT min(due) AS due FROM outbox WHERE stage = 'held' AND due IS NOT NULL
                UNION ALL
                SELECT min(due) FROM outbox WHERE stage = 'field' AND due IS NOT NULL
                UNION ALL SELECT min(expires) FROM listener
                UNION ALL SELECT min(id) + 608400000 FROM feed)",
            &[],
            |mut row| Ok(row.maybe_int()),
        )?;
        Ok(first.flatten())
    }

    /// When the first of those that wait for the custom field has waited long enough.
    pub fn next_field_waiter(&self) -> Result<Option<i64>, Fault> {
        self.flush()?;
        let first = self.one(
            "SELECT min(due) FROM outbox WHERE stage = 'field' AND due IS NOT NULL",
            &[],
            |mut row| Ok(row.maybe_int()),
        )?;
        Ok(first.flatten())
    }

    /// The held messages whose time has come.
    pub fn held(&self, now: i64) -> Result<Vec<i64>, Fault> {
        self.flush()?;
        self.numbers(
            "SELECT seq FROM outbox WHERE stage = 'held' AND due IS NOT NULL AND due <= ?
             ORDER BY due LIMIT 100",
            args![now],
        )
    }

    /// The calls that the host never came back with.
    pub fn overdue_flights(&self, now: i64) -> Result<Vec<i64>, Fault> {
        self.flush()?;
        self.numbers(
            "SELECT seq FROM outbox WHERE stage = 'flight' AND due IS NOT NULL AND due <= ?
             ORDER BY due",
            args![now],
        )
    }

    /// Lets the items go on that wait for the custom field.
    pub fn release_field(&self, now: i64) -> Result<(), Fault> {
        self.flush_and_forget()?;
        self.run(
            "UPDATE outbox SET stage = class, due = ? WHERE stage = 'field' AND due IS NOT NULL",
            args![now],
        )
    }

    /// Forgives the time during which GHL could not be called, to all that has been tried.
    pub fn forgive(&self, millis: i64) -> Result<(), Fault> {
        self.flush_and_forget()?;
        self.run(
            "UPDATE outbox SET since = since + ?
             WHERE due IS NOT NULL AND stage IN ('live', 'status', 'upkeep', 'field', 'flight')
               AND class <> 'event' AND since IS NOT NULL",
            args![millis],
        )
    }

    /// Items of a class whose turn has come and that were accepted before `before`, for expiry
    /// while parked.
    pub fn parked_before(&self, before: i64) -> Result<Vec<i64>, Fault> {
        self.flush()?;
        self.numbers(
            "SELECT seq FROM outbox
             WHERE open = 1 AND stage <> 'flight' AND class <> 'event' AND accepted_at < ?
             ORDER BY +seq LIMIT 100", // The plus: by the index of what is open.
            args![before],
        )
    }

    /// Number of open items and the acceptance of the oldest.
    pub fn depth(&self) -> Result<(i64, Option<i64>), Fault> {
        self.flush()?;
        let rows = self.sql.query(
            "SELECT count(*), min(accepted_at) FROM outbox
             WHERE open = 1 AND stage <> 'held' AND key <> 'field'
               AND (class <> 'upkeep' OR key LIKE 'out:%')",
            &[],
        )?;
        let Some(row) = rows.into_iter().next() else {
            return Ok((0, None));
        };
        let mut row = rows::Row::new(row);
        Ok((row.int(), row.maybe_int()))
    }

    /// When the first of them is due that waits for nothing but the time; `events`: of those for
    /// vCX alone.
    pub fn next_due(&self, events: bool) -> Result<Option<i64>, Fault> {
        self.flush()?;
        let due = self.one(
            "SELECT min(due) FROM outbox
             WHERE open = 1 AND stage = class AND key <> 'field'
               AND (class <> 'upkeep' OR key LIKE 'out:%') AND (class = 'event' OR ? = 0)",
            args![i64::from(events)],
            |mut row| Ok(row.maybe_int()),
        )?;
        Ok(due.flatten())
    }

    /// The dead letters, oldest first.
    pub fn dead(&self) -> Result<Vec<Item>, Fault> {
        self.flush()?;
        self.all(
            "SELECT seq, key, lane, class, accepted_at, digest, open, work, ghl_id, stage, due,
                since, tries, attempt, sent_at, step, caller, contact_id, conversation_id, code,
                reason
             FROM outbox WHERE stage = 'dead' ORDER BY seq LIMIT 1000",
            &[],
            Item::read,
        )
    }

    // What was seen.

    /// When a webhook's key was seen.
    pub fn seen(&self, key: &str) -> Result<Option<i64>, Fault> {
        self.one(
            "SELECT at FROM seen WHERE key = ?",
            args![key],
            |mut row| Ok(row.int()),
        )
    }

    /// Marks a webhook's key as seen.
    pub fn see(&self, key: &str, at: i64) -> Result<(), Fault> {
        self.run(
            "INSERT INTO seen(key, at) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET at = excluded.at",
            args![key, at],
        )
    }

    /// Counts a trap and returns how many there were.
    pub fn count_trap(&self, key: &str, at: i64) -> Result<i64, Fault> {
        let rows = self.sql.query(
            "INSERT INTO trap(key, n, at) VALUES (?, 1, ?)
             ON CONFLICT(key) DO UPDATE SET n = n + 1, at = excluded.at RETURNING n",
            args![key, at],
        )?;
        Ok(rows
            .into_iter()
            .next()
            .map_or(1, |row| rows::Row::new(row).int()))
    }

    // KV's copy.

    /// Notes that KV is to hold a value.
    pub fn put_mirror(&self, key: &str, value: &str, rev: i64, now: i64) -> Result<(), Fault> {
        self.near.borrow_mut().mirrors = Some(true);
        self.run(
            "INSERT INTO mirror(key, value, rev, due, tries, sent_at) VALUES (?, ?, ?, ?, 0, NULL)
             ON CONFLICT(key) DO UPDATE SET value = excluded.value, rev = excluded.rev",
            args![key, value, rev, now],
        )
    }

    /// The next value for KV; one is under way at a time.
    pub fn next_mirror(&self) -> Result<Option<Mirror>, Fault> {
        if self.near.borrow().mirrors == Some(false) {
            return Ok(None);
        }
        self.one(
            "SELECT key, value, rev, due, tries, sent_at FROM mirror
             ORDER BY sent_at IS NULL, due LIMIT 1",
            &[],
            Mirror::read,
        )
    }

    /// Notes that a value was handed to KV.
    pub fn mirror_sent(&self, key: &str, now: i64) -> Result<(), Fault> {
        self.run(
            "UPDATE mirror SET sent_at = ? WHERE key = ?",
            args![now, key],
        )
    }

    /// Nothing is with KV any more: the object that handed it over is gone.
    pub fn mirror_all_again(&self) -> Result<(), Fault> {
        self.run(
            "UPDATE mirror SET sent_at = NULL WHERE sent_at IS NOT NULL",
            &[],
        )
    }

    /// KV took a value; a newer one stays.
    pub fn mirror_taken(&self, key: &str, rev: i64) -> Result<(), Fault> {
        self.run(
            "DELETE FROM mirror WHERE key = ? AND rev <= ?",
            args![key, rev],
        )?;
        self.run(
            "UPDATE mirror SET sent_at = NULL, tries = 0 WHERE key = ?",
            args![key],
        )
    }

    /// KV did not take a value.
    pub fn mirror_refused(&self, key: &str, due: i64) -> Result<(), Fault> {
        self.run(
            "UPDATE mirror SET sent_at = NULL, tries = tries + 1, due = ? WHERE key = ?",
            args![due, key],
        )
    }

    // What live clients are told.

    /// Adds an event and returns its id: `least`, or one more than the newest. `agent_message` is
    /// GHL's id, when an agent wrote.
    pub fn add_event(
        &self,
        least: i64,
        conversation: &str,
        agent_message: Option<&str>,
        body: &str,
    ) -> Result<i64, Fault> {
        let rows = self.sql.query(
            "INSERT INTO feed(id, conversation, agent_message, body)
             VALUES (max(?, coalesce((SELECT max(id) FROM feed), 0) + 1), ?, ?, ?) RETURNING id",
            args![least, conversation, agent_message, body],
        )?;
        let row = rows
            .into_iter()
            .next()
            .ok_or_else(|| Fault("INSERT returned no row".into()))?;
        Ok(rows::Row::new(row).int())
    }

    /// A conversation's events after an id, oldest first: ids and bodies.
    pub fn events_after(
        &self,
        conversation: &str,
        after: i64,
        most: i64,
    ) -> Result<Vec<(i64, String)>, Fault> {
        self.all(
            "SELECT id, body FROM feed WHERE conversation = ? AND id > ? ORDER BY id LIMIT ?",
            args![conversation, after, most],
            |mut row| Ok((row.int(), row.text())),
        )
    }

    /// The ids of a conversation's events after one and up to another, with the ids of agents'
    /// messages.
    pub fn events_between(
        &self,
        conversation: &str,
        after: i64,
        to: i64,
    ) -> Result<Vec<(i64, Option<String>)>, Fault> {
        self.all(
            "SELECT id, agent_message FROM feed
             WHERE conversation = ? AND id > ? AND id <= ? ORDER BY id",
            args![conversation, after, to],
            |mut row| Ok((row.int(), row.maybe_text())),
        )
    }

    /// The newest event's id.
    pub fn newest_event(&self) -> Result<Option<i64>, Fault> {
        let newest = self.one("SELECT max(id) FROM feed", &[], |mut row| {
            Ok(row.maybe_int())
        })?;
        Ok(newest.flatten())
    }

    /// The oldest event of a conversation that is still given out, if there are as many as are
    /// kept.
    pub fn oldest_kept(&self, conversation: &str) -> Result<Option<i64>, Fault> {
        self.one(
            "SELECT id FROM feed WHERE conversation = ? ORDER BY id DESC LIMIT 1 OFFSET 999",
            args![conversation],
            |mut row| Ok(row.int()),
        )
    }

    /// Deletes a conversation's events that are more than are kept.
    pub fn trim_conversation(&self, conversation: &str) -> Result<(), Fault> {
        self.run(
            "DELETE FROM feed WHERE id IN (
                SELECT id FROM feed WHERE conversation = ? ORDER BY id DESC LIMIT -1 OFFSET 1000)",
            args![conversation],
        )
    }

    /// Deletes some of the events before an id.
    pub fn trim_events(&self, before: i64) -> Result<(), Fault> {
        self.run(
            "DELETE FROM feed WHERE id IN (SELECT id FROM feed WHERE id < ? ORDER BY id LIMIT 500)",
            args![before],
        )
    }

    /// Notes that a socket is open, and until when it may be.
    pub fn add_listener(&self, socket: &str, expires: i64) -> Result<(), Fault> {
        self.run(
            "INSERT INTO listener(expires, socket) VALUES (?, ?)",
            args![expires, socket],
        )
    }

    /// A socket is closed.
    pub fn remove_listener(&self, socket: &str, expires: i64) -> Result<(), Fault> {
        self.run(
            "DELETE FROM listener WHERE expires = ? AND socket = ?",
            args![expires, socket],
        )
    }

    /// Takes out the sockets whose time is over.
    pub fn expired_listeners(&self, now: i64) -> Result<Vec<String>, Fault> {
        self.texts(
            "DELETE FROM listener WHERE expires <= ? RETURNING socket",
            args![now],
        )
    }

    // An agency's locations.

    /// Adds a location to an agency; whether that is news.
    pub fn add_member(&self, location_id: &str) -> Result<bool, Fault> {
        self.any(
            "INSERT OR IGNORE INTO member(location_id) VALUES (?) RETURNING 1",
            args![location_id],
        )
    }

    /// An agency's locations.
    pub fn members(&self) -> Result<Vec<String>, Fault> {
        self.texts("SELECT location_id FROM member ORDER BY location_id", &[])
    }

    /// Deletes some of what is older than `before`; whether there may be more.
    pub fn trim(&self, before: i64) -> Result<bool, Fault> {
        self.flush_and_forget()?;
        let mut more = false;
        for statement in TRIM {
            let rows = self.sql.query(statement, args![before])?;
            more |= rows.len() as i64 >= TRIM_ROWS;
        }
        Ok(more)
    }

    /// A row that is read once in a turn: it stays at hand in its slot.
    fn at_hand<T: Clone>(
        &self,
        slot: impl Fn(&mut Near) -> &mut Option<T>,
        is_it: impl Fn(&T) -> bool,
        sql: &'static str,
        args: &[Value<'_>],
        read: impl Fn(rows::Row) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let near = slot(&mut self.near.borrow_mut())
            .as_ref()
            .filter(|row| is_it(row))
            .cloned();
        if near.is_some() {
            return Ok(near);
        }
        let found = self.one(sql, args, read)?;
        slot(&mut self.near.borrow_mut()).clone_from(&found);
        Ok(found)
    }

    fn run(&self, sql: &'static str, args: &[Value<'_>]) -> Result<(), Fault> {
        self.sql.run(sql, args)
    }

    fn any(&self, sql: &'static str, args: &[Value<'_>]) -> Result<bool, Fault> {
        Ok(!self.sql.query(sql, args)?.is_empty())
    }

    fn one<T>(
        &self,
        sql: &'static str,
        args: &[Value<'_>],
        read: impl Fn(rows::Row) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let rows = self.sql.query(sql, args)?;
        rows.into_iter()
            .next()
            .map(|row| read(rows::Row::new(row)))
            .transpose()
    }

    fn all<T>(
        &self,
        sql: &'static str,
        args: &[Value<'_>],
        read: impl Fn(rows::Row) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let rows = self.sql.query(sql, args)?;
        rows.into_iter()
            .map(|row| read(rows::Row::new(row)))
            .collect()
    }

    fn texts(&self, sql: &'static str, args: &[Value<'_>]) -> Result<Vec<String>, Fault> {
        self.all(sql, args, |mut row| Ok(row.text()))
    }

    fn numbers(&self, sql: &'static str, args: &[Value<'_>]) -> Result<Vec<i64>, Fault> {
        self.all(sql, args, |mut row| Ok(row.int()))
    }
}

const PUT_CLIENT: &str =
    "INSERT INTO client(client_id, lane, contact_id, made, sent, wanted, last_date, said, heard,
        echoes, echo_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT(client_id) DO UPDATE SET lane = excluded.lane, contact_id = excluded.contact_id,
        made = excluded.made, sent = excluded.sent, wanted = excluded.wanted,
        last_date = excluded.last_date, said = excluded.said, heard = excluded.heard,
        echoes = excluded.echoes, echo_at = excluded.echo_at";

/// [`PUT_CLIENT`] for one that is there, and has the same contact. An index is written for each of
/// its columns that a statement names, whether or not it changes, and rows written are what an
/// object costs most.
const PUT_CLIENT_REST: &str = "UPDATE client SET made = ?, sent = ?, wanted = ?, last_date = ?,
        said = ?, heard = ?, echoes = ?, echo_at = ?
    WHERE client_id = ?";
/// The columns that it leaves out.
const SAME_CLIENT: usize = 3;

const ADD: &str = "INSERT INTO outbox(key, lane, class, accepted_at, digest, open, work, ghl_id,
        stage, due, since, tries, attempt, sent_at, step, caller, contact_id, conversation_id,
        code, reason, seq)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const PUT: &str = "UPDATE outbox SET key = ?, lane = ?, class = ?, accepted_at = ?, digest = ?,
        open = ?, work = ?, ghl_id = ?, stage = ?, due = ?, since = ?, tries = ?, attempt = ?,
        sent_at = ?, step = ?, caller = ?, contact_id = ?, conversation_id = ?, code = ?,
        reason = ?
    WHERE seq = ?";

/// [`PUT`] for an item that is still what it was, as [`PUT_CLIENT_REST`].
const PUT_REST: &str = "UPDATE outbox SET open = ?, work = ?, ghl_id = ?, stage = ?, due = ?,
        since = ?, tries = ?, attempt = ?, sent_at = ?, step = ?, caller = ?, contact_id = ?,
        conversation_id = ?, code = ?, reason = ?
    WHERE seq = ?";
/// The columns that it leaves out.
const SAME: usize = 5;

/// The same for one that is not over, and has not begun again.
const PUT_HOP: &str = "UPDATE outbox SET stage = ?, due = ?, since = ?, tries = ?, attempt = ?,
        sent_at = ?, step = ?, caller = ?, contact_id = ?, conversation_id = ?, code = ?,
        reason = ?
    WHERE seq = ?";
const HOP: usize = 8;

/// Later than any time: the largest integer that a Durable Object binds exactly.
pub const NEVER: i64 = (1 << 53) - 1;
const SCHEMA_VERSION: i64 = 2;
/// Rows that one trim takes from one table; [`TRIM`] has the same number in its text.
const TRIM_ROWS: i64 = 500;

const SCHEMA: [&str; 17] = [
    "CREATE TABLE location (
        one INTEGER PRIMARY KEY CHECK (one = 1), schema INTEGER NOT NULL, doc TEXT NOT NULL,
        tokens TEXT) STRICT",
    "CREATE TABLE pulse (one INTEGER PRIMARY KEY CHECK (one = 1), doc TEXT NOT NULL) STRICT",
    // `lane`: the client whose lane this one shares; its own id unless it is an alias.
    // `made`: 1 when we created the contact, 2 when it was tagged as well. `said`, `heard`,
    // `echoes`, `echo_at`: the loop brake.
    "CREATE TABLE client (
        client_id TEXT PRIMARY KEY, lane TEXT NOT NULL, contact_id TEXT, made INTEGER NOT NULL,
        sent TEXT NOT NULL, wanted TEXT NOT NULL, last_date INTEGER NOT NULL, said TEXT,
        heard TEXT, echoes INTEGER NOT NULL, echo_at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE INDEX client_contact ON client(contact_id) WHERE contact_id IS NOT NULL",
    // `heard_at`: when it last became the chat that its contact's replies go to. `pace_from`,
    // `pace`: pushes of browsers since the minute began.
    "CREATE TABLE chat (
        chat_id TEXT PRIMARY KEY, client_id TEXT NOT NULL, lane TEXT NOT NULL,
        heard_at INTEGER NOT NULL, pace_from INTEGER NOT NULL DEFAULT 0,
        pace INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID",
    "CREATE INDEX chat_lane ON chat(lane, heard_at)",
    // `chat_id`: the chat with the latest accepted push of the visitor, where replies go.
    "CREATE TABLE contact (
        contact_id TEXT PRIMARY KEY, conversation_id TEXT, chat_id TEXT) STRICT, WITHOUT ROWID",
    "CREATE INDEX contact_conversation ON contact(conversation_id)
        WHERE conversation_id IS NOT NULL",
    // `stage`: `status`, `live`, `event`, `upkeep` are ready from `due` on; `flight` is with the
    // host until `due`; `held` and `field` wait; `behind` waits for its lane; `done` and `dead`
    // are over. `class` is the stage it is ready in.
    "CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, lane TEXT NOT NULL,
        class TEXT NOT NULL, stage TEXT NOT NULL, due INTEGER, open INTEGER NOT NULL,
        accepted_at INTEGER NOT NULL, since INTEGER, tries INTEGER NOT NULL,
        attempt INTEGER NOT NULL, sent_at INTEGER, step TEXT, work TEXT, digest TEXT,
        caller TEXT, ghl_id TEXT, contact_id TEXT, conversation_id TEXT, code TEXT, reason TEXT)
        STRICT",
    "CREATE INDEX outbox_lane ON outbox(lane, seq) WHERE open = 1",
    "CREATE INDEX outbox_due ON outbox(stage, due) WHERE due IS NOT NULL",
    "CREATE INDEX outbox_ghl ON outbox(ghl_id) WHERE ghl_id IS NOT NULL",
    "CREATE INDEX outbox_dead ON outbox(seq) WHERE stage = 'dead'",
    "CREATE TABLE seen (n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, at INTEGER NOT NULL)
        STRICT",
    "CREATE TABLE trap (key TEXT PRIMARY KEY, n INTEGER NOT NULL, at INTEGER NOT NULL)
        STRICT, WITHOUT ROWID",
    "CREATE TABLE mirror (
        key TEXT PRIMARY KEY, value TEXT NOT NULL, rev INTEGER NOT NULL, due INTEGER NOT NULL,
        tries INTEGER NOT NULL, sent_at INTEGER) STRICT, WITHOUT ROWID",
    "CREATE TABLE member (location_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
];

const LIVE_SCHEMA: [&str; 3] = [
    // `id`: about when, in milliseconds, and growing; as the row's own number it is the second
    // column of the index, too. `agent_message`: GHL's id, when it is an
    // agent's message. `body`: JSON without the id.
    "CREATE TABLE feed (
        id INTEGER PRIMARY KEY, conversation TEXT NOT NULL, agent_message TEXT,
        body TEXT NOT NULL) STRICT",
    "CREATE INDEX feed_conversation ON feed(conversation)",
    "CREATE TABLE listener (
        expires INTEGER NOT NULL, socket TEXT NOT NULL, PRIMARY KEY (expires, socket))
        STRICT, WITHOUT ROWID",
];

/// What makes the tables of schema 1 those of schema 2, beside [`LIVE_SCHEMA`].
const UPGRADE: [&str; 3] = [
    "ALTER TABLE chat ADD COLUMN pace_from INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE chat ADD COLUMN pace INTEGER NOT NULL DEFAULT 0",
    "UPDATE location SET schema = 2",
];

/// For each stage that is ready the first few by time, and what is with the host. A Durable Object
/// allows five terms in a compound SELECT, and prepares a statement anew each time that begins with
/// a blank: then this one takes 310 µs, not 10.
const BOARD: &str = "SELECT stage, class, seq, due FROM (
        SELECT stage, class, seq, due FROM outbox
        WHERE stage = 'flight' AND due IS NOT NULL ORDER BY due LIMIT 16)
    UNION ALL SELECT * FROM (SELECT stage, class, seq, due FROM outbox
        WHERE stage = 'status' AND due IS NOT NULL ORDER BY due LIMIT 6)
    UNION ALL SELECT * FROM (SELECT stage, class, seq, due FROM outbox
        WHERE stage = 'live' AND due IS NOT NULL ORDER BY due LIMIT 6)
    UNION ALL SELECT * FROM (SELECT stage, class, seq, due FROM outbox
        WHERE stage = 'event' AND due IS NOT NULL ORDER BY due LIMIT 6)
    UNION ALL SELECT * FROM (SELECT stage, class, seq, due FROM outbox
        WHERE stage = 'upkeep' AND due IS NOT NULL ORDER BY due LIMIT 6)";

const TRIM: [&str; 3] = [
    "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox ORDER BY seq LIMIT 500)
        AND open = 0 AND accepted_at < CASE stage WHEN 'dead' THEN ?1 - 2592000000 ELSE ?1 END
        RETURNING 1",
    "DELETE FROM seen WHERE n IN (SELECT n FROM seen ORDER BY n LIMIT 500) AND at < ? RETURNING 1",
    "DELETE FROM trap WHERE at < ? RETURNING 1",
];

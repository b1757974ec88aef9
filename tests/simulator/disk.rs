//! An object's database: rusqlite as a Durable Object's, where statements can be made to fail, and
//! what a turn accepted can be seen.

#[path = "../support/db.rs"]
mod db;

use super::sabotage::Sabotage;
use db::Db;
use std::cell::{Cell as Shared, RefCell};
use vcx_ghl::error::Fault;
use vcx_ghl::store::{Cell, Sql, Value};

pub struct Disk {
    db: Db,
    pub sabotage: Option<Sabotage>,
    /// The statement that fails, counted from now.
    pub fails_in: Shared<Option<u32>>,
    /// Key and lane of the items that the open transaction has added.
    added: RefCell<Vec<(String, String)>>,
}

impl Disk {
    pub fn new(sabotage: Option<Sabotage>) -> Self {
        let db = Db::new();
        db.connection.set_prepared_statement_cache_capacity(256);
        Self {
            db,
            sabotage,
            fails_in: Shared::new(None),
            added: RefCell::new(Vec::new()),
        }
    }

    pub fn begin(&self) {
        self.added.borrow_mut().clear();
        self.plain("BEGIN");
    }

    /// Ends the transaction; what it has added, if it is kept.
    pub fn end(&self, keep: bool) -> Vec<(String, String)> {
        self.fails_in.set(None);
        self.plain(if keep { "COMMIT" } else { "ROLLBACK" });
        match keep {
            true => self.added.take(),
            false => Vec::new(),
        }
    }

    /// A statement of the simulator's own.
    pub fn plain(&self, sql: &str) -> Vec<Vec<Cell>> {
        self.db
            .run(sql, &[])
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same, where there may be no tables yet.
    pub fn try_plain(&self, sql: &str) -> Vec<Vec<Cell>> {
        self.db.run(sql, &[]).unwrap_or_default()
    }

    /// The first number of a query; 0 where there are no tables yet.
    pub fn number(&self, sql: &str) -> i64 {
        match self.try_plain(sql).first().and_then(|row| row.first()) {
            Some(Cell::Int(number)) => *number,
            Some(Cell::Text(_) | Cell::Null) | None => 0,
        }
    }

    /// The texts of a query's first column.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.try_plain(sql).into_iter();
        rows.filter_map(|row| match row.into_iter().next() {
            Some(Cell::Text(text)) => Some(text),
            Some(Cell::Int(_) | Cell::Null) | None => None,
        })
        .collect()
    }
}

impl Sql for Disk {
    fn query(&self, sql: &'static str, args: &[Value<'_>]) -> Result<Vec<Vec<Cell>>, Fault> {
        if let Some(left) = self.fails_in.get() {
            self.fails_in.set(left.checked_sub(1));
            if left == 0 {
                return Err(Fault(INJECTED.into()));
            }
        }
        if self.sabotage.is_some_and(|sabotage| sabotage.hides(sql)) {
            return Ok(Vec::new());
        }
        let rows = self
            .db
            .run(sql, args)
            .map_err(|error| Fault(error.to_string()))?;
        if let (true, [Value::Text(key), Value::Text(lane), ..]) = (sql.starts_with(ADD), args) {
            self.added
                .borrow_mut()
                .push((key.to_string(), lane.to_string()));
        }
        Ok(rows)
    }
}

/// What a statement that was made to fail says.
pub const INJECTED: &str = "the simulator's disk failed";
const ADD: &str = "INSERT INTO outbox(";

//! rusqlite as a Durable Object's database: every number is bound as REAL.

use rusqlite::types::{Value as Bound, ValueRef};
use rusqlite::{Connection, params_from_iter};
use std::cell::RefCell;
use vcx_ghl::error::Fault;
use vcx_ghl::store::{Cell, Sql, Value};

/// The database, and what was asked of it.
pub struct Db {
    pub connection: Connection,
    pub statements: RefCell<Vec<Statement>>,
    /// Whether statements are kept in `statements`.
    pub records: bool,
    /// Writing this text to the outbox brings the code down.
    pub poison: Option<&'static str>,
}

/// A statement that was run.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub sql: &'static str,
    pub args: Vec<Value<'static>>,
    pub outcome: Result<Vec<Vec<Cell>>, String>,
}

impl Db {
    pub fn new() -> Self {
        Self {
            connection: Connection::open_in_memory().unwrap(),
            statements: RefCell::new(Vec::new()),
            records: false,
            poison: None,
        }
    }

    pub fn run(&self, sql: &str, args: &[Value<'_>]) -> rusqlite::Result<Vec<Vec<Cell>>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let bound = args.iter().map(|value| match value {
            Value::Null => Bound::Null,
            Value::Int(value) => {
                assert!(value.abs() < 1 << 53, "{value} does not fit a REAL: {sql}");
                Bound::Real(*value as f64)
            }
            Value::Text(text) => Bound::Text(text.to_string()),
        });
        let mut rows = statement.query(params_from_iter(bound))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(
                (0..columns)
                    .map(|at| cell(row.get_ref(at).unwrap()))
                    .collect(),
            );
        }
        Ok(found)
    }

    fn is_poisoned(&self, sql: &str, args: &[Value<'_>], poison: &str) -> bool {
        let holds = |value: &Value<'_>| matches!(value, Value::Text(text) if text.contains(poison));
        let adds = sql.starts_with("INSERT INTO outbox");
        let puts = sql.starts_with("UPDATE outbox SET") && sql.ends_with("WHERE seq = ?");
        // A change need not say again what the item is.
        let is_about = |seq: &Value<'_>| {
            let item = "SELECT key || coalesce(work, '') FROM outbox WHERE seq = ?";
            let rows = self.run(item, std::slice::from_ref(seq)).unwrap();
            matches!(rows.concat().first(), Some(Cell::Text(text)) if text.contains(poison))
        };
        (adds || puts) && (args.iter().any(holds) || args.last().is_some_and(is_about))
    }
}

impl Sql for Db {
    fn query(&self, sql: &'static str, args: &[Value<'_>]) -> Result<Vec<Vec<Cell>>, Fault> {
        let outcome = self.run(sql, args).map_err(|error| error.to_string());
        if self.records {
            self.statements.borrow_mut().push(Statement {
                sql,
                args: args.iter().map(owned).collect(),
                outcome: outcome.clone(),
            });
        }
        match self.poison {
            Some(poison) if self.is_poisoned(sql, args, poison) => Err(Fault("poisoned".into())),
            Some(_) | None => outcome.map_err(Fault),
        }
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Int(value) => Value::Int(*value),
        Value::Text(text) => Value::Text(text.to_string().into()),
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => {
            assert!(value.abs() < 1 << 53, "JavaScript cannot hold {value}");
            Cell::Int(value)
        }
        ValueRef::Real(value) => {
            assert_eq!(value.fract(), 0.0, "no column holds fractions");
            Cell::Int(value as i64)
        }
        ValueRef::Text(text) => Cell::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(_) => panic!("no column holds a blob"),
    }
}

//! The only module that knows JavaScript: values in, values out, errors as exceptions.

use crate::edge::{self, BODY_LIMIT, Brought, Configured, Incoming, Then};
use crate::error::{Code, Fault, Problem};
use crate::location::{self, Feed, Input, Rollback};
use crate::npm::{self, Refusal};
use crate::settings::{NAMES, Settings};
use crate::store::{Cell, Sql, Value};
use crate::wire::{self, Wire};
use js_sys::{Error, JsString, Object, Reflect};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The host's database: it runs a statement with a list of values, and `query` returns the
    /// rows, or nothing when there are none. Values and rows are JSON: one string is cheaper to
    /// hand over than each cell of its own.
    pub type Database;

    #[wasm_bindgen(method, catch)]
    fn query(this: &Database, sql: &JsString, args: &str) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn run(this: &Database, sql: &JsString, args: &str) -> Result<(), JsValue>;
}

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Configured>>> = const { RefCell::new(None) };
    /// The statements as JavaScript's strings, by where they lie: each is handed over once.
    static STATEMENTS: RefCell<Vec<(&str, JsString)>> = const { RefCell::new(Vec::new()) };
}

/// The names of the settings that [`configure`] reads.
#[wasm_bindgen(js_name = settingNames)]
pub fn setting_names() -> Vec<String> {
    NAMES.iter().map(|name| (*name).to_owned()).collect()
}

/// The largest body that [`route`] wants to see, in bytes.
#[wasm_bindgen(js_name = bodyLimit)]
pub fn body_limit() -> usize {
    BODY_LIMIT
}

/// Takes the settings: a JSON object of strings. To be called once in each instance, and again after
/// a trap.
#[wasm_bindgen]
pub fn configure(values: &str) -> Result<(), JsValue> {
    let values: BTreeMap<String, String> = parse(values)?;
    let configured = Settings::parse(&values);
    SETTINGS.with(|settings| *settings.borrow_mut() = Some(Rc::new(configured)));
    Ok(())
}

/// Decides about a request; `body` is undefined when it is over the limit.
#[wasm_bindgen]
pub fn route(
    request: &web_sys::Request,
    body: Option<Vec<u8>>,
    now: f64,
) -> Result<String, JsValue> {
    let headers = request.headers();
    let header = |name: &str| headers.get(name).ok().flatten();
    let (method, url) = (request.method(), request.url());
    let (authorization, signature, cookie, origin) = (
        header("authorization"),
        header("x-ghl-signature"),
        header("cookie"),
        header("origin"),
    );
    let upgrade = header("upgrade");
    let protocols = upgrade
        .as_ref()
        .and_then(|_| header("sec-websocket-protocol"));
    let incoming = Incoming {
        method: &method,
        url: &url,
        authorization: authorization.as_deref(),
        signature: signature.as_deref(),
        cookie: cookie.as_deref(),
        origin: origin.as_deref(),
        upgrade: upgrade.as_deref(),
        protocols: protocols.as_deref(),
        body: body.as_deref(),
    };
    let step = edge::route(&incoming, &*configured()?, now as i64, &mut entropy);
    Ok(wire::text(&step))
}

/// The headers that the answer to a page's request needs, beside its own.
#[wasm_bindgen(js_name = sharedWith)]
pub fn shared_with(request: &web_sys::Request) -> Result<String, JsValue> {
    let origin = request.headers().get("origin").ok().flatten();
    Ok(wire::text(&edge::shared_with(
        &request.url(),
        origin.as_deref(),
        &*configured()?,
    )))
}

/// Goes on with what a step brought.
#[wasm_bindgen]
pub fn proceed(then: &str, brought: &str, now: f64) -> Result<String, JsValue> {
    let then: Then = parse(then)?;
    let brought: Brought = parse(brought)?;
    Ok(wire::text(&edge::proceed(&then, &brought, now as i64)))
}

/// One turn of a location. Throws `{ recall: [key, …] }` when it needs to know what KV holds:
/// the transaction is to be rolled back, and the same input fed again with the values.
#[wasm_bindgen]
pub fn handle(
    database: &Database,
    input: &str,
    recalled: &str,
    now: f64,
    budget: u32,
) -> Result<String, JsValue> {
    let input: Input = parse(input)?;
    let recalled: BTreeMap<String, Option<String>> = parse(recalled)?;
    let configured = configured()?;
    let settings = match &*configured {
        Ok(settings) => settings,
        Err(wrong) => return Err(Error::new(&wrong.join("; ")).into()),
    };
    let feed = Feed {
        input: &input,
        recalled: &recalled,
        now: now as i64,
        budget,
    };
    let sql = HostSql(database);
    match location::handle(&sql, settings, &feed, &mut entropy) {
        Ok(outputs) => Ok(wire::text(&outputs)),
        Err(Rollback::Recall(keys)) => {
            let recall = Object::new();
            let keys = serde_wasm_bindgen::to_value(&keys)?;
            Reflect::set(&recall, &"recall".into(), &keys)?;
            Err(recall.into())
        }
        Err(Rollback::Fault(fault)) => Err(Error::new(&fault.to_string()).into()),
    }
}

/// The response for when an object cannot be reached.
#[wasm_bindgen]
pub fn unavailable() -> String {
    wire::text(
        &Problem::new(
            Code::Unavailable,
            "the location did not answer in time; it is safe to repeat",
        )
        .response(),
    )
}

/// The response for when the code has a fault.
#[wasm_bindgen]
pub fn internal() -> String {
    wire::text(&Problem::new(Code::Internal, "nothing was stored; it is safe to repeat").response())
}

/// [`npm::normalize_push`]
#[wasm_bindgen(js_name = normalizePush)]
pub fn normalize_push(push: &str) -> Result<String, JsValue> {
    npm::normalize_push(push).map_err(thrown)
}

/// [`npm::normalize_contact`]
#[wasm_bindgen(js_name = normalizeContact)]
pub fn normalize_contact(ask: &str) -> Result<String, JsValue> {
    npm::normalize_contact(ask).map_err(thrown)
}

/// [`npm::normalize_status`]
#[wasm_bindgen(js_name = normalizeStatus)]
pub fn normalize_status(ask: &str) -> Result<String, JsValue> {
    npm::normalize_status(ask).map_err(thrown)
}

/// [`npm::to_ghl`]
#[wasm_bindgen(js_name = toGhl)]
pub fn to_ghl(push: &str, context: &str, now: f64) -> Result<String, JsValue> {
    npm::to_ghl(push, context, now as i64).map_err(thrown)
}

/// [`npm::to_vcx`]
#[wasm_bindgen(js_name = toVcx)]
pub fn to_vcx(webhook: &str, context: &str, now: f64) -> Result<String, JsValue> {
    npm::to_vcx(webhook, context, now as i64).map_err(thrown)
}

/// [`npm::verify_ghl_webhook`]
#[wasm_bindgen(js_name = verifyGhlWebhook)]
pub fn verify_ghl_webhook(
    body: &[u8],
    signature: Option<String>,
    keys: Option<String>,
) -> Result<(), JsValue> {
    npm::verify_ghl_webhook(body, signature.as_deref(), keys.as_deref()).map_err(thrown)
}

/// [`npm::verify_event`]
#[wasm_bindgen(js_name = verifyEvent)]
pub fn verify_event(headers: &str, body: &[u8], secret: &str, now: f64) -> Result<(), JsValue> {
    npm::verify_event(headers, body, secret, now as i64).map_err(thrown)
}

/// [`npm::create_session`]
#[wasm_bindgen(js_name = createSession)]
pub fn create_session(ask: &str, secret: &str, now: f64) -> Result<String, JsValue> {
    npm::create_session(ask, secret, now as i64).map_err(thrown)
}

/// A refusal as JSON; the package makes an error of it.
fn thrown(refusal: Refusal) -> JsValue {
    refusal.json().into()
}

struct HostSql<'a>(&'a Database);

impl Sql for HostSql<'_> {
    fn query(&self, sql: &'static str, args: &[Value<'_>]) -> Result<Vec<Vec<Cell>>, Fault> {
        let rows = self.0.query(&statement(sql), &bound(args)).map_err(fault)?;
        let Some(rows) = rows else {
            return Ok(Vec::new());
        };
        let rows: Vec<Vec<Json>> = wire::parse(&rows).map_err(|error| Fault(error.to_string()))?;
        let cells = |row: Vec<Json>| row.into_iter().map(cell).collect();
        Ok(rows.into_iter().map(cells).collect())
    }

    fn run(&self, sql: &'static str, args: &[Value<'_>]) -> Result<(), Fault> {
        self.0.run(&statement(sql), &bound(args)).map_err(fault)
    }
}

/// A statement as JavaScript's string.
fn statement(sql: &'static str) -> JsString {
    STATEMENTS.with(|known| {
        let mut known = known.borrow_mut();
        let found = known.iter().find(|(known, _)| std::ptr::eq(*known, sql));
        if let Some((_, text)) = found {
            return text.clone();
        }
        let text = JsString::from(sql);
        known.push((sql, text.clone()));
        text
    })
}

/// Values as a JSON list.
fn bound(args: &[Value<'_>]) -> String {
    serde_json::to_string(args).unwrap_or_default()
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

fn cell(value: Json) -> Cell {
    match value {
        Json::String(text) => Cell::Text(text),
        // The host hands every number over as a float.
        Json::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64))
            .map_or(Cell::Null, Cell::Int),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => Cell::Null,
    }
}

fn fault(error: JsValue) -> Fault {
    Fault(message(&error))
}

fn message(error: &JsValue) -> String {
    match error.dyn_ref::<Error>() {
        Some(error) => String::from(error.message()),
        None => "the database threw something that is no error".into(),
    }
}

fn configured() -> Result<Rc<Configured>, JsValue> {
    SETTINGS
        .with(|settings| settings.borrow().clone())
        .ok_or_else(|| Error::new("configure() was not called").into())
}

/// What the host wrote.
fn parse<T: Wire>(text: &str) -> Result<T, JsValue> {
    wire::parse(text).map_err(|error| Error::new(&error.to_string()).into())
}

/// The platform's random numbers.
fn entropy(bytes: &mut [u8]) {
    // It fails only where there is no `crypto`, and no such platform runs this.
    if getrandom::fill(bytes).is_err() {
        wasm_bindgen::throw_str("the platform gives no random numbers");
    }
}

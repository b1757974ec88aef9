//! The only module that knows JavaScript: values in, values out, errors as exceptions.

use crate::edge::{self, BODY_LIMIT, Brought, Configured, Incoming, Then};
use crate::error::{Code, Fault, Problem};
use crate::location::{self, Feed, Input, Rollback};
use crate::npm::{self, Refusal};
use crate::settings::{NAMES, Settings};
use crate::store::{Cell, Sql, Value};
use crate::wire::{self, Wire};
use js_sys::{Array, Error, JSON, Object, Reflect};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The host's database: `exec(sql, args)` returns rows of values.
    pub type Database;

    #[wasm_bindgen(method, catch)]
    fn exec(this: &Database, sql: &str, args: Array) -> Result<Array, JsValue>;
}

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Configured>>> = const { RefCell::new(None) };
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

/// Takes the settings: an object of strings. To be called once in each instance, and again after
/// a trap.
#[wasm_bindgen]
pub fn configure(values: JsValue) -> Result<(), JsValue> {
    let values: BTreeMap<String, String> = from_js(values)?;
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
) -> Result<JsValue, JsValue> {
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
    to_js(&step)
}

/// The headers that the answer to a page's request needs, beside its own.
#[wasm_bindgen(js_name = sharedWith)]
pub fn shared_with(request: &web_sys::Request) -> Result<JsValue, JsValue> {
    let origin = request.headers().get("origin").ok().flatten();
    to_js(&edge::shared_with(
        &request.url(),
        origin.as_deref(),
        &*configured()?,
    ))
}

/// Goes on with what a step brought.
#[wasm_bindgen]
pub fn proceed(then: JsValue, brought: JsValue, now: f64) -> Result<JsValue, JsValue> {
    let then: Then = from_js(then)?;
    let brought: Brought = from_js(brought)?;
    to_js(&edge::proceed(&then, &brought, now as i64))
}

/// One turn of a location. Throws `{ recall: [key, …] }` when it needs to know what KV holds:
/// the transaction is to be rolled back, and the same input fed again with the values.
#[wasm_bindgen]
pub fn handle(
    database: &Database,
    input: JsValue,
    recalled: JsValue,
    now: f64,
    budget: u32,
) -> Result<JsValue, JsValue> {
    let input: Input = from_js(input)?;
    let recalled: BTreeMap<String, Option<String>> = from_js(recalled)?;
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
        Ok(outputs) => to_js(&outputs),
        Err(Rollback::Recall(keys)) => {
            let recall = Object::new();
            Reflect::set(&recall, &"recall".into(), &to_js(&keys)?)?;
            Err(recall.into())
        }
        Err(Rollback::Fault(fault)) => Err(Error::new(&fault.to_string()).into()),
    }
}

/// The response for when an object cannot be reached.
#[wasm_bindgen]
pub fn unavailable() -> Result<JsValue, JsValue> {
    to_js(
        &Problem::new(
            Code::Unavailable,
            "the location did not answer in time; it is safe to repeat",
        )
        .response(),
    )
}

/// The response for when the code has a fault.
#[wasm_bindgen]
pub fn internal() -> Result<JsValue, JsValue> {
    to_js(&Problem::new(Code::Internal, "nothing was stored; it is safe to repeat").response())
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
    fn exec(&self, sql: &'static str, args: &[Value<'_>]) -> Result<Vec<Vec<Cell>>, Fault> {
        let bound = Array::new_with_length(args.len() as u32);
        for (at, value) in args.iter().enumerate() {
            bound.set(
                at as u32,
                match value {
                    Value::Null => JsValue::NULL,
                    Value::Int(value) => JsValue::from_f64(*value as f64),
                    Value::Text(value) => JsValue::from_str(value),
                },
            );
        }
        let rows = self
            .0
            .exec(sql, bound)
            .map_err(|error| Fault(message(&error)))?;
        Ok(rows
            .iter()
            .map(|row| Array::from(&row).iter().map(cell).collect())
            .collect())
    }
}

fn cell(value: JsValue) -> Cell {
    if let Some(number) = value.as_f64() {
        Cell::Int(number as i64)
    } else if let Some(text) = value.as_string() {
        Cell::Text(text)
    } else {
        Cell::Null
    }
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

/// A value of ours as JavaScript's.
fn to_js(value: &impl Wire) -> Result<JsValue, JsValue> {
    Ok(value
        .write()
        .serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
}

/// JavaScript's value as ours.
fn from_js<T: Wire>(value: JsValue) -> Result<T, JsValue> {
    // As text: one call of the host for the whole value, and no second reader in the WASM.
    let text = String::from(JSON::stringify(&value)?);
    wire::parse(&text).map_err(|error| Error::new(&error.to_string()).into())
}

/// The platform's random numbers.
fn entropy(bytes: &mut [u8]) {
    // It fails only where there is no `crypto`, and no such platform runs this.
    if getrandom::fill(bytes).is_err() {
        wasm_bindgen::throw_str("the platform gives no random numbers");
    }
}

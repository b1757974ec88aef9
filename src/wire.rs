//! What crosses the boundary to the host and what lies in the database, as JSON.
//!
//! Small on purpose: code that serde derives for these types, once for JavaScript's values and
//! once for JSON text, is four times the size of everything else here together. A record is an
//! object of its fields' names in camelCase, a choice is `{ "name": { … } }`, or its name alone. What is absent
//! reads as nothing, zero or false, so that a field can be added.

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A type that can be written as JSON and read back.
pub trait Wire {
    /// Writes it.
    fn write(&self, out: &mut Vec<u8>);

    /// Whether it is left out where it is a field.
    fn is_nothing(&self) -> bool {
        false
    }

    /// Reads a value.
    fn read(value: Value) -> Result<Self, Unreadable>
    where
        Self: Sized;
}

/// What could not be read: the type, or the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cannot be read", self.0)
    }
}

impl std::error::Error for Unreadable {}

/// A type as JSON text.
pub fn text(value: &dyn Wire) -> String {
    let mut out = Vec::new();
    value.write(&mut out);
    // It is UTF-8: everything in it was.
    String::from_utf8(out).unwrap_or_default()
}

/// A type as a JSON value.
pub fn value(value: &dyn Wire) -> Value {
    serde_json::from_str(&text(value)).unwrap_or_default()
}

/// A type from JSON text.
pub fn parse<T: Wire>(text: &str) -> Result<T, Unreadable> {
    T::read(serde_json::from_str(text).map_err(|_| Unreadable("JSON"))?)
}

/// A type from the bytes of JSON text.
pub fn read<T: Wire>(bytes: &[u8]) -> Result<T, Unreadable> {
    parse(std::str::from_utf8(bytes).map_err(|_| Unreadable("text"))?)
}

/// Makes a struct a record of the fields that are named.
macro_rules! record {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::wire::Wire for $type {
            fn write(&self, out: &mut Vec<u8>) {
                $crate::wire::fields(out, &[$(($crate::wire::name!($field), &self.$field)),*]);
            }

            fn read(value: serde_json::Value) -> Result<Self, $crate::wire::Unreadable> {
                let mut map = $crate::wire::object(value, stringify!($type))?;
                Ok(Self {
                    $($field: $crate::wire::take(&mut map, $crate::wire::name!($field))?),*
                })
            }
        }
    };
}

/// Makes an enum a choice: for each variant its name on the wire, and its fields.
macro_rules! choice {
    ($type:ident { $(
        $name:literal $variant:ident
        $({ $($field:ident),* $(,)? })? $(($inner:ident))?
    ),* $(,)? }) => {
        impl $crate::wire::Wire for $type {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(($inner))? => {
                        choice!(@write out $name $({ $($field),* })? $(($inner))?)
                    }),*
                }
            }

            fn read(value: serde_json::Value) -> Result<Self, $crate::wire::Unreadable> {
                let (name, value) = $crate::wire::chosen(value, stringify!($type))?;
                match name.as_str() {
                    $($name => {
                        choice!(@read value $variant $({ $($field),* })? $(($inner))?)
                    })*
                    _ => Err($crate::wire::Unreadable(stringify!($type))),
                }
            }
        }
    };
    (@write $out:ident $name:literal) => { $crate::wire::json($out, $name) };
    (@write $out:ident $name:literal ($inner:ident)) => {
        $crate::wire::tagged($out, $name, $inner)
    };
    (@write $out:ident $name:literal { $($field:ident),* $(,)? }) => {
        $crate::wire::tagged_fields($out, $name, &[$(($crate::wire::name!($field), $field)),*])
    };
    (@read $value:ident $variant:ident) => {{
        drop($value);
        Ok(Self::$variant)
    }};
    (@read $value:ident $variant:ident ($inner:ident)) => {
        Ok(Self::$variant($crate::wire::Wire::read($value)?))
    };
    (@read $value:ident $variant:ident { $($field:ident),* $(,)? }) => {{
        let mut map = $crate::wire::object($value, stringify!($variant))?;
        Ok(Self::$variant {
            $($field: $crate::wire::take(&mut map, $crate::wire::name!($field))?),*
        })
    }};
}

/// A field's name as JavaScript writes it.
macro_rules! name {
    ($field:ident) => {{
        const CAMEL: $crate::wire::Camel = $crate::wire::Camel::of(stringify!($field));
        const NAME: &str = CAMEL.as_str();
        NAME
    }};
}

pub(crate) use {choice, name, record};

/// A name in camelCase, made while this is compiled.
pub(crate) struct Camel {
    bytes: [u8; 32],
    len: usize,
}

impl Camel {
    pub const fn of(name: &str) -> Self {
        let name = name.as_bytes();
        let (mut bytes, mut len, mut at) = ([0; 32], 0, 0);
        while at < name.len() {
            if name[at] == b'_' {
                at += 1;
                bytes[len] = name[at].to_ascii_uppercase();
            } else {
                bytes[len] = name[at];
            }
            (len, at) = (len + 1, at + 1);
        }
        Self { bytes, len }
    }

    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(name) => name,
            Err(_) => panic!("a field's name is ASCII"),
        }
    }
}

/// A field, and its name.
type Field<'a> = (&'static str, &'a dyn Wire);

/// Writes an object of fields, without those that are nothing.
pub(crate) fn fields(out: &mut Vec<u8>, list: &[Field<'_>]) {
    let mut before = b'{';
    for (name, value) in list.iter().filter(|(_, value)| !value.is_nothing()) {
        out.push(before);
        json(out, name);
        out.push(b':');
        value.write(out);
        before = b',';
    }
    if before == b'{' {
        out.push(before);
    }
    out.push(b'}');
}

/// Writes a variant's name, and what it holds.
pub(crate) fn tagged(out: &mut Vec<u8>, name: &'static str, value: &dyn Wire) {
    fields(out, &[(name, value)]);
}

/// The same for a variant of fields.
pub(crate) fn tagged_fields(out: &mut Vec<u8>, name: &'static str, list: &[Field<'_>]) {
    out.push(b'{');
    json(out, name);
    out.push(b':');
    fields(out, list);
    out.push(b'}');
}

/// Writes a list.
fn list(out: &mut Vec<u8>, values: &mut dyn Iterator<Item = &dyn Wire>) {
    out.push(b'[');
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        value.write(out);
    }
    out.push(b']');
}

/// Writes what serde knows.
pub(crate) fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Only a map whose keys are no texts could fail, and there is none.
    let _ = serde_json::to_writer(out, value);
}

pub(crate) fn object(value: Value, what: &'static str) -> Result<Map<String, Value>, Unreadable> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Unreadable(what))
        }
    }
}

pub(crate) fn chosen(value: Value, what: &'static str) -> Result<(String, Value), Unreadable> {
    match value {
        Value::String(name) => Ok((name, Value::Null)),
        Value::Object(map) if map.len() == 1 => map.into_iter().next().ok_or(Unreadable(what)),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err(Unreadable(what))
        }
    }
}

pub(crate) fn take<T: Wire>(
    map: &mut Map<String, Value>,
    name: &'static str,
) -> Result<T, Unreadable> {
    T::read(map.remove(name).unwrap_or_default()).map_err(|_| Unreadable(name))
}

impl Wire for String {
    fn write(&self, out: &mut Vec<u8>) {
        json(out, self.as_str());
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        match value {
            Value::String(text) => Ok(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => Err(Unreadable("text")),
        }
    }
}

impl Wire for bool {
    fn write(&self, out: &mut Vec<u8>) {
        json(out, self);
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        match value {
            Value::Bool(value) => Ok(value),
            Value::Null => Ok(false),
            Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                Err(Unreadable("a truth"))
            }
        }
    }
}

impl Wire for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        json(out, self);
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        match &value {
            Value::Null => Ok(0),
            Value::Number(number) => number
                .as_i64()
                .or_else(|| number.as_f64().map(|float| float as i64))
                .ok_or(Unreadable("a number")),
            Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                Err(Unreadable("a number"))
            }
        }
    }
}

macro_rules! narrow {
    ($($type:ident),*) => {$(
        impl Wire for $type {
            fn write(&self, out: &mut Vec<u8>) {
                json(out, self);
            }

            fn read(value: Value) -> Result<Self, Unreadable> {
                $type::try_from(i64::read(value)?).map_err(|_| Unreadable("a number"))
            }
        }
    )*};
}
narrow!(u16, u32, u64);

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => json(out, &()),
        }
    }

    fn is_nothing(&self) -> bool {
        self.as_ref().is_none_or(Wire::is_nothing)
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        if value.is_null() {
            Ok(None)
        } else {
            T::read(value).map(Some)
        }
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }

    fn is_nothing(&self) -> bool {
        (**self).is_nothing()
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        T::read(value).map(Box::new)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        list(out, &mut self.iter().map(|value| value as &dyn Wire));
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        match value {
            Value::Array(list) => list.into_iter().map(T::read).collect(),
            Value::Null => Ok(Self::new()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                Err(Unreadable("a list"))
            }
        }
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, (name, value)) in self.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            name.write(out);
            out.push(b':');
            value.write(out);
        }
        out.push(b'}');
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        let mut read = BTreeMap::new();
        for (name, value) in object(value, "an object")? {
            read.insert(name, T::read(value)?);
        }
        Ok(read)
    }
}

impl Wire for Value {
    fn write(&self, out: &mut Vec<u8>) {
        json(out, self);
    }

    fn is_nothing(&self) -> bool {
        self.is_null()
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        Ok(value)
    }
}

impl<const N: usize> Wire for [i64; N] {
    fn write(&self, out: &mut Vec<u8>) {
        list(out, &mut self.iter().map(|value| value as &dyn Wire));
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        Self::try_from(Vec::read(value)?).map_err(|_| Unreadable("a list"))
    }
}

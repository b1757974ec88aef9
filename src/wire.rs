//! What crosses the boundary to the host and what lies in the database, as JSON values.
//!
//! Small on purpose: code that serde derives for these types, once for JavaScript's values and
//! once for JSON text, is four times the size of everything else here together. A record is an
//! object of its fields' names in camelCase, a choice is `{ "name": { … } }`, or its name alone. What is absent
//! reads as nothing, zero or false, so that a field can be added.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A type that can be written as a JSON value and read back.
pub trait Wire: Sized {
    /// The value.
    fn write(&self) -> Value;

    /// Reads a value.
    fn read(value: Value) -> Result<Self, Unreadable>;
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
pub fn text(value: &impl Wire) -> String {
    value.write().to_string()
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
            fn write(&self) -> serde_json::Value {
                $crate::wire::fields([$((stringify!($field), self.$field.write())),*])
            }

            fn read(value: serde_json::Value) -> Result<Self, $crate::wire::Unreadable> {
                let mut map = $crate::wire::object(value, stringify!($type))?;
                Ok(Self { $($field: $crate::wire::take(&mut map, stringify!($field))?),* })
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
            fn write(&self) -> serde_json::Value {
                match self {
                    $(Self::$variant $({ $($field),* })? $(($inner))? => {
                        choice!(@write $name $({ $($field),* })? $(($inner))?)
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
    (@write $name:literal) => { serde_json::Value::from($name) };
    (@write $name:literal ($inner:ident)) => { $crate::wire::tagged($name, $inner.write()) };
    (@write $name:literal { $($field:ident),* $(,)? }) => {
        $crate::wire::tagged(
            $name,
            $crate::wire::fields([$((stringify!($field), $field.write())),*]),
        )
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
        Ok(Self::$variant { $($field: $crate::wire::take(&mut map, stringify!($field))?),* })
    }};
}

pub(crate) use {choice, record};

/// An object of fields; those that are null are left out.
pub(crate) fn fields<const N: usize>(list: [(&'static str, Value); N]) -> Value {
    collect(&mut list.into_iter())
}

fn collect(list: &mut dyn Iterator<Item = (&'static str, Value)>) -> Value {
    // One by one: collecting would sort first, and the code for that is large.
    let mut map = Map::new();
    for (name, value) in list.filter(|(_, value)| !value.is_null()) {
        map.insert(camel(name), value);
    }
    Value::Object(map)
}

/// A variant's name, and what it holds.
pub(crate) fn tagged(name: &'static str, value: Value) -> Value {
    collect(&mut std::iter::once((name, value)))
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
    T::read(map.remove(&camel(name)).unwrap_or_default()).map_err(|_| Unreadable(name))
}

/// A field's name as JavaScript writes it.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

impl Wire for String {
    fn write(&self) -> Value {
        Value::String(self.clone())
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
    fn write(&self) -> Value {
        Value::Bool(*self)
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
    fn write(&self) -> Value {
        Value::from(*self)
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
            fn write(&self) -> Value {
                Value::from(*self)
            }

            fn read(value: Value) -> Result<Self, Unreadable> {
                $type::try_from(i64::read(value)?).map_err(|_| Unreadable("a number"))
            }
        }
    )*};
}
narrow!(u16, u32, u64);

impl<T: Wire> Wire for Option<T> {
    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, Wire::write)
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
    fn write(&self) -> Value {
        (**self).write()
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        T::read(value).map(Box::new)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self) -> Value {
        Value::Array(self.iter().map(Wire::write).collect())
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
    fn write(&self) -> Value {
        let mut map = Map::new();
        for (name, value) in self {
            map.insert(name.clone(), value.write());
        }
        Value::Object(map)
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
    fn write(&self) -> Value {
        self.clone()
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        Ok(value)
    }
}

impl<const N: usize> Wire for [i64; N] {
    fn write(&self) -> Value {
        Value::from(self.as_slice())
    }

    fn read(value: Value) -> Result<Self, Unreadable> {
        Self::try_from(Vec::read(value)?).map_err(|_| Unreadable("a list"))
    }
}

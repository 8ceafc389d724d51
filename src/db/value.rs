//! The closed set of column types, each knowing its way in and out of both engines.

use std::{fmt, str::FromStr};

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::{
    Arguments, Row as _,
    postgres::{PgArguments, PgRow},
};
use uuid::Uuid;

use crate::error::{Error, Result};

/// A value on its way into a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, of a type: PostgreSQL wants to know which.
    Null(Type),
    /// A truth value.
    Bool(bool),
    /// A whole number: `bigint` on PostgreSQL.
    I64(i64),
    /// A number with a fraction.
    F64(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A UUID: text on SQLite.
    Uuid(Uuid),
    /// A moment: text in PostgreSQL's UTC spelling on SQLite.
    Timestamp(Timestamp),
    /// A day: `YYYY-MM-DD` on SQLite.
    Date(NaiveDate),
    /// A JSON text: `jsonb` on PostgreSQL.
    Json(String),
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are those of Value")]
pub enum Type {
    Bool,
    I64,
    F64,
    Text,
    Bytes,
    Uuid,
    Timestamp,
    Date,
    Json,
}

impl Value {
    pub(super) fn add_to(&self, arguments: &mut PgArguments) -> Result<()> {
        match self {
            Self::Null(Type::Bool) => arguments.add(None::<bool>),
            Self::Null(Type::I64) => arguments.add(None::<i64>),
            Self::Null(Type::F64) => arguments.add(None::<f64>),
            Self::Null(Type::Text) => arguments.add(None::<String>),
            Self::Null(Type::Bytes) => arguments.add(None::<Vec<u8>>),
            Self::Null(Type::Uuid) => arguments.add(None::<Uuid>),
            Self::Null(Type::Timestamp) => arguments.add(None::<DateTime<Utc>>),
            Self::Null(Type::Date) => arguments.add(None::<NaiveDate>),
            Self::Null(Type::Json) => arguments.add(None::<sqlx::types::Json<serde_json::Value>>),
            Self::Bool(value) => arguments.add(value),
            Self::I64(value) => arguments.add(value),
            Self::F64(value) => arguments.add(value),
            Self::Text(value) => arguments.add(value.as_str()),
            Self::Bytes(value) => arguments.add(value.as_slice()),
            Self::Uuid(value) => arguments.add(value),
            Self::Timestamp(value) => arguments.add(value.0),
            Self::Date(value) => arguments.add(value),
            Self::Json(value) => {
                let raw: &serde_json::value::RawValue = serde_json::from_str(value)?;
                arguments.add(sqlx::types::Json(raw))
            }
        }
        .map_err(Error::Internal)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null(_) => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Bool(value) => ToSqlOutput::from(*value),
            Self::I64(value) => ToSqlOutput::from(*value),
            Self::F64(value) => ToSqlOutput::from(*value),
            Self::Text(value) | Self::Json(value) => ToSqlOutput::from(value.as_str()),
            Self::Bytes(value) => ToSqlOutput::from(value.as_slice()),
            Self::Uuid(value) => ToSqlOutput::from(value.to_string()),
            Self::Timestamp(value) => ToSqlOutput::from(value.sql_text()),
            Self::Date(value) => ToSqlOutput::from(value.to_string()),
        })
    }
}

/// A Rust type that a column can hold.
pub trait Column: Sized {
    /// The column type, for a NULL on its way in.
    const TYPE: Type;
    /// Reads a value that SQLite holds.
    fn from_sqlite(value: ValueRef<'_>) -> Result<Self>;
    /// Reads a value that PostgreSQL sent.
    fn from_postgres(row: &PgRow, index: usize) -> Result<Self>;
}

fn wrong_type(wanted: &str, found: ValueRef<'_>) -> Error {
    Error::internal(format!("a column holds {:?} where {wanted} was expected", found.data_type()))
}

fn text<'v>(wanted: &str, value: ValueRef<'v>) -> Result<&'v str> {
    value.as_str().map_err(|_| wrong_type(wanted, value))
}

macro_rules! column {
    ($type:ty, $kind:ident, $wire:ty, |$value:ident| $read:expr, |$sent:ident| $convert:expr) => {
        impl Column for $type {
            const TYPE: Type = Type::$kind;

            fn from_sqlite($value: ValueRef<'_>) -> Result<Self> {
                $read
            }

            fn from_postgres(row: &PgRow, index: usize) -> Result<Self> {
                let $sent: $wire = row.try_get(index).map_err(Error::internal)?;
                Ok($convert)
            }
        }

        impl Column for Option<$type> {
            const TYPE: Type = Type::$kind;

            fn from_sqlite(value: ValueRef<'_>) -> Result<Self> {
                match value {
                    ValueRef::Null => Ok(None),
                    value => <$type>::from_sqlite(value).map(Some),
                }
            }

            fn from_postgres(row: &PgRow, index: usize) -> Result<Self> {
                let sent: Option<$wire> = row.try_get(index).map_err(Error::internal)?;
                Ok(sent.map(|$sent| $convert))
            }
        }

        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                value.map_or(Value::Null(Type::$kind), Value::from)
            }
        }
    };
}

column!(bool, Bool, bool, |v| v.as_i64().map(|n| n != 0).map_err(|_| wrong_type("bool", v)), |s| s);
column!(i64, I64, i64, |v| v.as_i64().map_err(|_| wrong_type("integer", v)), |s| s);
column!(
    f64,
    F64,
    f64,
    |v| match v {
        #[expect(clippy::cast_precision_loss, reason = "SQLite may hold a whole number where a fraction is allowed")]
        ValueRef::Integer(n) => Ok(n as f64),
        v => v.as_f64().map_err(|_| wrong_type("number", v)),
    },
    |s| s
);
column!(String, Text, String, |v| text("text", v).map(str::to_owned), |s| s);
column!(Vec<u8>, Bytes, Vec<u8>, |v| v.as_blob().map(<[u8]>::to_vec).map_err(|_| wrong_type("bytes", v)), |s| s);
column!(Uuid, Uuid, Uuid, |v| Uuid::parse_str(text("uuid", v)?).map_err(Error::internal), |s| s);
column!(Timestamp, Timestamp, DateTime<Utc>, |v| text("timestamp", v)?.parse(), |s| Timestamp(s));
column!(NaiveDate, Date, NaiveDate, |v| text("date", v)?.parse().map_err(Error::internal), |s| s);
column!(Json, Json, sqlx::types::Json<serde_json::Value>, |v| Ok(Json(serde_json::from_str(text("json", v)?)?)), |s| Json(s.0));

macro_rules! into_value {
    ($($type:ty => |$value:ident| $make:expr),+ $(,)?) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $make
            }
        })+
    };
}

into_value! {
    bool => |v| Value::Bool(v),
    i64 => |v| Value::I64(v),
    i32 => |v| Value::I64(i64::from(v)),
    u32 => |v| Value::I64(i64::from(v)),
    f64 => |v| Value::F64(v),
    String => |v| Value::Text(v),
    &String => |v| Value::Text(v.clone()),
    &str => |v| Value::Text(v.to_owned()),
    Vec<u8> => |v| Value::Bytes(v),
    &[u8] => |v| Value::Bytes(v.to_vec()),
    Uuid => |v| Value::Uuid(v),
    &Uuid => |v| Value::Uuid(*v),
    Timestamp => |v| Value::Timestamp(v),
    NaiveDate => |v| Value::Date(v),
    Json => |v| Value::Json(v.0.to_string()),
    &Json => |v| Value::Json(v.0.to_string()),
    serde_json::Value => |v| Value::Json(v.to_string()),
    &serde_json::Value => |v| Value::Json(v.to_string()),
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        value.map_or(Value::Null(Type::Text), Value::from)
    }
}

/// A JSON value in a column: `jsonb` on PostgreSQL, text on SQLite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub serde_json::Value);

/// A moment in UTC, to the microsecond, as PostgreSQL keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// From microseconds since 1970; out of range becomes 1970.
    pub fn from_micros(micros: i64) -> Self {
        Self(DateTime::from_timestamp_micros(micros).unwrap_or_default())
    }

    /// From seconds since 1970; out of range becomes 1970.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(DateTime::from_timestamp(seconds, 0).unwrap_or_default())
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// The same moment as chrono has it.
    pub fn date_time(self) -> DateTime<Utc> {
        self.0
    }

    /// This moment moved by a number of seconds, which may be negative.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_micros(self.micros().saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// PostgreSQL's own spelling in UTC, zeros trimmed: `2024-01-02T03:04:05.6+00:00`. It sorts as text.
    pub fn sql_text(self) -> String {
        let mut text = self.0.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
        let keep = text.trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(keep);
        text.push_str("+00:00");
        text
    }

    /// RFC 3339 with a `Z`, zeros trimmed: `2024-01-02T03:04:05.6Z`, as the auth wire spells it.
    pub fn rfc3339(self) -> String {
        let mut text = self.sql_text();
        text.truncate(text.len() - "+00:00".len());
        text.push('Z');
        text
    }

    /// RFC 3339 with milliseconds and a `Z`: `2024-01-02T03:04:05.600Z`, as the storage wire spells it.
    pub fn rfc3339_millis(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed =
            DateTime::parse_from_rfc3339(text).map_err(|_| Error::invalid("timestamp", format!("\"{text}\" is not an RFC 3339 timestamp")))?;
        Ok(Self::from_micros(parsed.timestamp_micros()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sql_text_sorts_as_time_and_reads_back(a in 0_i64..4_000_000_000_000_000, b in 0_i64..4_000_000_000_000_000) {
            let (first, second) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
            prop_assert_eq!(first.sql_text().cmp(&second.sql_text()), a.cmp(&b));
            prop_assert_eq!(first.sql_text().parse::<Timestamp>().unwrap(), first);
        }
    }
}

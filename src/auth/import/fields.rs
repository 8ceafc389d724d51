//! What stands in a record, whether the file had it as JSON or as text.

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{auth::model::Metadata, db::Timestamp};

/// A reading: what is there, or why it can't be read.
pub(super) type Read<T> = Result<T, String>;

/// A record's fields.
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    /// Whether the record has this field at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The first of these fields that is not empty.
    pub(super) fn any(&self, names: &[&str]) -> Option<&Value> {
        names.iter().filter_map(|name| self.0.get(*name)).find(|value| !is_empty(value))
    }

    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        self.any(names).and_then(text_of)
    }

    /// A UUID, if it is one.
    pub(super) fn uuid(&self, names: &[&str]) -> Option<Uuid> {
        self.text(names).as_deref().and_then(uuid_of)
    }

    pub(super) fn flag(&self, names: &[&str]) -> bool {
        match self.any(names) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Number(number)) => number.as_i64() == Some(1),
            Some(Value::String(text)) => ["t", "true", "1", "yes"].contains(&text.to_ascii_lowercase().as_str()),
            _ => false,
        }
    }

    pub(super) fn moment(&self, names: &[&str]) -> Read<Option<Timestamp>> {
        self.any(names).map(|value| moment_of(value).ok_or_else(|| format!("{} is no moment in time", names[0]))).transpose()
    }

    /// An object, also where it is written as text.
    pub(super) fn object(&self, names: &[&str]) -> Read<Metadata> {
        let wrong = || format!("{} is no JSON object", names[0]);
        match self.any(names) {
            None => Ok(Metadata::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }

    /// A list of objects, also where it is written as text; none where there is none.
    pub(super) fn list(&self, names: &[&str]) -> Read<Vec<Self>> {
        let wrong = || format!("{} is no list of JSON objects", names[0]);
        let list = match self.any(names) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list.clone(),
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        list.into_iter().map(|value| if let Value::Object(map) = value { Ok(Self(map)) } else { Err(wrong()) }).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        // What exports write for nothing in a cell.
        Value::String(text) => text.is_empty() || text == "NULL" || text == "null",
        _ => false,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        // MongoDB's way to write an id.
        Value::Object(map) => map.get("$oid").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    }
}

fn uuid_of(text: &str) -> Option<Uuid> {
    let id: Uuid = (text.len() == 36).then(|| text.parse().ok()).flatten()?;
    (!id.is_nil() && !id.is_max()).then_some(id)
}

/// Seconds or milliseconds since 1970, or a date in one of the spellings of PostgreSQL, SQLite and RFC 3339.
fn moment_of(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => since_1970(number.as_i64()?),
        Value::Object(map) => moment_of(map.get("$date").or_else(|| map.get("$numberLong"))?),
        Value::String(text) => text.parse().ok().map_or_else(|| moment_of_text(text.trim()), since_1970),
        _ => None,
    }
}

fn since_1970(number: i64) -> Option<Timestamp> {
    // A number of seconds this large would be in the year 5138.
    let micros = if number.abs() < 100_000_000_000 { number.checked_mul(1_000_000)? } else { number.checked_mul(1000)? };
    (0..253_402_300_800_000_000).contains(&micros).then(|| Timestamp::from_micros(micros))
}

fn moment_of_text(text: &str) -> Option<Timestamp> {
    let text = text.replacen(' ', "T", 1);
    let text = text.strip_suffix("+00").map_or_else(|| text.clone(), |start| format!("{start}Z"));
    let micros = DateTime::parse_from_rfc3339(&text)
        .map(|moment| moment.timestamp_micros())
        .or_else(|_| NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").map(|moment| moment.and_utc().timestamp_micros()))
        .ok()?;
    (0..253_402_300_800_000_000).contains(&micros).then(|| Timestamp::from_micros(micros))
}

//! Values typed, once, before any SQL: with PostgreSQL's words for what can't be, on both engines.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    db::{Timestamp, Type, Value},
    records::error::{RestError, RestResult},
};

/// A value as a body has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Of a JSON body.
    Json(Json),
    /// Of a CSV body; nothing for `NULL`.
    Text(Option<String>),
}

impl Cell {
    /// The value for a column of that type.
    pub(crate) fn typed(self, kind: Type) -> RestResult<Value> {
        match self {
            Self::Text(None) | Self::Json(Json::Null) => Ok(Value::Null(kind)),
            Self::Text(Some(text)) => parse_value(kind, &text),
            Self::Json(value) => typed_json(kind, value),
        }
    }
}

fn typed_json(kind: Type, value: Json) -> RestResult<Value> {
    match (kind, value) {
        (Type::Json, value) => json_value(&value),
        (Type::Bool, Json::Bool(value)) => Ok(Value::Bool(value)),
        (Type::I64, Json::Number(number)) if number.is_i64() => Ok(Value::I64(number.as_i64().unwrap_or_default())),
        (_, Json::String(text)) => parse_value(kind, &text),
        (_, other) => parse_value(kind, &other.to_string()),
    }
}

fn json_value(value: &Json) -> RestResult<Value> {
    let text = value.to_string();
    if text.contains("\\u0000") { Err(no_nul()) } else { Ok(Value::Json(text)) }
}

fn no_nul() -> RestError {
    RestError::new("22P05", "unsupported Unicode escape sequence").details("\\u0000 cannot be converted to text.")
}

/// What a type is called in refusals.
pub(super) fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "boolean",
        Type::I64 => "bigint",
        Type::F64 => "double precision",
        Type::Text => "text",
        Type::Bytes => "bytea",
        Type::Uuid => "uuid",
        Type::Timestamp => "timestamp with time zone",
        Type::Date => "date",
        Type::Json => "json",
    }
}

/// Reads a value of that type.
pub(crate) fn parse_value(kind: Type, text: &str) -> RestResult<Value> {
    if text.contains('\0') {
        return Err(no_nul());
    }
    let wrong = |code| RestError::new(code, format!("invalid input syntax for type {}: \"{}\"", type_name(kind), shown(text)));
    match kind {
        Type::Text => Ok(Value::Text(text.to_owned())),
        Type::Bool => truth(text.trim()).map(Value::Bool).ok_or_else(|| wrong("22P02")),
        Type::I64 => whole(text.trim(), wrong),
        Type::F64 => text.trim().parse().map(Value::F64).map_err(|_| wrong("22P02")),
        Type::Uuid => Uuid::parse_str(text.trim()).map(Value::Uuid).map_err(|_| wrong("22P02")),
        Type::Date => day(text.trim()).map(Value::Date).map_err(|code| match code {
            "22008" => out_of_range(text),
            code => wrong(code),
        }),
        Type::Timestamp => moment(text.trim()).map(Value::Timestamp).map_err(|code| match code {
            "22008" => out_of_range(text),
            code => wrong(code),
        }),
        Type::Json => json_value(&serde_json::from_str(text).map_err(|_| wrong("22P02"))?),
        Type::Bytes => Err(wrong("22P02")),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

fn out_of_range(text: &str) -> RestError {
    RestError::new("22008", format!("date/time field value out of range: \"{}\"", shown(text)))
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn whole(text: &str, wrong: impl Fn(&'static str) -> RestError) -> RestResult<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("22P02"));
    }
    text.parse().map(Value::I64).map_err(|_| RestError::new("22003", format!("value \"{}\" is out of range for type bigint", shown(text))))
}

/// `YYYY-MM-DD`, or the day that a timestamp begins with. Years are those that sort as text.
fn day(text: &str) -> Result<NaiveDate, &'static str> {
    let text = text.split(['T', ' ']).next().unwrap_or_default();
    let bytes = text.as_bytes();
    let shaped =
        bytes.len() == 10 && bytes.iter().enumerate().all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() });
    if !shaped {
        return Err("22007");
    }
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) if !text.starts_with("0000") => Ok(day),
        _ => Err("22008"),
    }
}

fn moment(text: &str) -> Result<Timestamp, &'static str> {
    let named = text.replacen(' ', "T", 1);
    if let Ok(moment) = DateTime::parse_from_rfc3339(&named) {
        return Ok(Timestamp::from_micros(moment.timestamp_micros()));
    }
    // `+00` without minutes, as PostgreSQL itself prints it; then without any zone, which means UTC.
    if let Ok(moment) = DateTime::parse_from_str(&named, "%Y-%m-%dT%H:%M:%S%.f%#z") {
        return Ok(Timestamp::from_micros(moment.timestamp_micros()));
    }
    if let Ok(moment) = NaiveDateTime::parse_from_str(&named, "%Y-%m-%dT%H:%M:%S%.f") {
        return Ok(Timestamp::from_micros(moment.and_utc().timestamp_micros()));
    }
    let midnight = day(text)?.and_hms_opt(0, 0, 0).ok_or("22008")?;
    if text.len() > 10 { Err("22007") } else { Ok(Timestamp::from_micros(midnight.and_utc().timestamp_micros())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_refused_in_postgresqls_words() {
        for (kind, text, code, message) in [
            (Type::I64, "abc", "22P02", "invalid input syntax for type bigint: \"abc\""),
            (Type::I64, "9223372036854775808", "22003", "value \"9223372036854775808\" is out of range for type bigint"),
            (Type::Uuid, "1", "22P02", "invalid input syntax for type uuid: \"1\""),
            (Type::Date, "2024-02-30", "22008", "date/time field value out of range: \"2024-02-30\""),
            (Type::Date, "soon", "22007", "invalid input syntax for type date: \"soon\""),
            (Type::Timestamp, "soon", "22007", "invalid input syntax for type timestamp with time zone: \"soon\""),
        ] {
            let error = parse_value(kind, text).unwrap_err();
            assert_eq!((error.code.as_ref(), error.message.as_str()), (code, message));
        }
    }

    #[test]
    fn moments_are_read_in_every_usual_spelling() {
        let wanted = Value::Timestamp("2024-01-02T03:04:05.6Z".parse().unwrap());
        for text in ["2024-01-02T03:04:05.6Z", "2024-01-02 03:04:05.6+00", "2024-01-02T05:04:05.6+02:00", "2024-01-02T03:04:05.6"] {
            assert_eq!(parse_value(Type::Timestamp, text).unwrap(), wanted, "{text}");
        }
    }
}

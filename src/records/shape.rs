//! The shape of an answer: which media type was asked for, and rows put into it.

use serde_json::{Map, Value as Json};

use super::{
    error::{RestError, RestResult},
    execute::not_single,
};

/// What an answer is to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The kind of body.
    pub kind: Kind,
    /// Whether members that are null are left out.
    pub without_nulls: bool,
}

/// The kinds of body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An array of rows.
    Array,
    /// One row.
    Object,
    /// A header line and one line for each row.
    Csv,
    /// A line of JSON for each row.
    Ndjson,
}

impl Kind {
    /// Whether rows are sent as they are read, however many there are.
    pub(super) fn is_stream(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson)
    }
}

impl Shape {
    /// The first of the accepted media types that can be made.
    pub(super) fn of(accept: &str) -> RestResult<Self> {
        let accept = if accept.trim().is_empty() { "*/*" } else { accept };
        let found = accept.split(',').find_map(|range| Self::of_range(&range.to_ascii_lowercase()));
        found.ok_or_else(|| RestError::new("PGRST107", format!("None of these media types are available: {accept}")))
    }

    fn of_range(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let kind = match parts.next()? {
            "*/*" | "application/*" | "application/json" | "application/vnd.pgrst.array" | "application/vnd.pgrst.array+json" => Kind::Array,
            "application/vnd.pgrst.object" | "application/vnd.pgrst.object+json" => Kind::Object,
            "text/csv" => Kind::Csv,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Kind::Ndjson,
            _ => return None,
        };
        Some(Self { kind, without_nulls: parts.any(|parameter| parameter == "nulls=stripped") && kind != Kind::Csv })
    }

    /// The type of the body.
    pub(super) fn content_type(self) -> &'static str {
        match (self.kind, self.without_nulls) {
            (Kind::Array, false) => "application/json; charset=utf-8",
            (Kind::Array, true) => "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
            (Kind::Object, false) => "application/vnd.pgrst.object+json; charset=utf-8",
            (Kind::Object, true) => "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8",
            (Kind::Csv, _) => "text/csv; charset=utf-8",
            (Kind::Ndjson, _) => "application/x-ndjson",
        }
    }

    /// The body: rows are JSON texts already.
    pub(super) fn body(self, rows: Vec<String>, keys: &[String]) -> RestResult<String> {
        let mut rows = if self.without_nulls { rows.iter().map(|row| stripped(row)).collect::<RestResult<Vec<_>>>()? } else { rows };
        match self.kind {
            Kind::Array => Ok(joined(&rows)),
            Kind::Object if rows.len() == 1 => Ok(rows.remove(0)),
            Kind::Object => Err(not_single(rows.len())),
            Kind::Csv => csv(&rows, keys, true),
            Kind::Ndjson => Ok(lines(&rows)),
        }
    }

    /// A piece of a body that is sent as it is read: these rows, after others unless they are the `first`.
    pub(super) fn piece(self, rows: Vec<String>, keys: &[String], first: bool) -> RestResult<String> {
        if self.kind == Kind::Csv { csv(&rows, keys, first) } else { self.body(rows, keys) }
    }
}

fn joined(rows: &[String]) -> String {
    let mut body = String::with_capacity(rows.iter().map(|row| row.len() + 2).sum::<usize>() + 2);
    body.push('[');
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            body.push_str(", \n ");
        }
        body.push_str(row);
    }
    body.push(']');
    body
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> RestError {
    crate::error::Error::internal(error).into()
}

fn stripped(row: &str) -> RestResult<String> {
    let mut row: Json = serde_json::from_str(row).map_err(internal)?;
    strip(&mut row);
    Ok(row.to_string())
}

fn strip(value: &mut Json) {
    match value {
        Json::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(strip);
        }
        Json::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn lines(rows: &[String]) -> String {
    let mut body = String::with_capacity(rows.iter().map(|row| row.len() + 1).sum());
    for row in rows {
        body.push_str(row);
        body.push('\n');
    }
    body
}

fn csv(rows: &[String], keys: &[String], header: bool) -> RestResult<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if header {
        writer.write_record(keys).map_err(internal)?;
    }
    for row in rows {
        let row: Map<String, Json> = serde_json::from_str(row).map_err(internal)?;
        writer.write_record(keys.iter().map(|key| field(row.get(key)))).map_err(internal)?;
    }
    let bytes = writer.into_inner().map_err(|error| internal(error.into_error()))?;
    String::from_utf8(bytes).map_err(internal)
}

fn field(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_is_understood() {
        assert_eq!(Shape::of("").unwrap().kind, Kind::Array);
        assert_eq!(Shape::of("application/vnd.pgrst.object+json").unwrap().kind, Kind::Object);
        assert!(Shape::of("application/vnd.pgrst.array+json;nulls=stripped").unwrap().without_nulls);
        assert_eq!(Shape::of("image/png, text/csv").unwrap().kind, Kind::Csv);
        assert_eq!(Shape::of("image/png").unwrap_err().code, "PGRST107");
    }

    #[test]
    fn rows_are_put_together() {
        let shape = |kind, without_nulls| Shape { kind, without_nulls };
        let rows = || vec![r#"{"a":1,"b":null}"#.to_owned(), r#"{"a":"x,y","b":{"c":null}}"#.to_owned()];
        let array: Json = serde_json::from_str(&shape(Kind::Array, false).body(rows(), &[]).unwrap()).unwrap();
        assert_eq!(array.as_array().unwrap().len(), 2);
        assert_eq!(shape(Kind::Array, true).body(rows(), &[]).unwrap(), "[{\"a\":1}, \n {\"a\":\"x,y\",\"b\":{}}]");
        assert_eq!(shape(Kind::Csv, false).body(rows(), &["a".to_owned(), "b".to_owned()]).unwrap(), "a,b\n1,\n\"x,y\",\"{\"\"c\"\":null}\"\n");
        assert_eq!(shape(Kind::Ndjson, false).body(rows(), &[]).unwrap().lines().collect::<Vec<_>>(), rows());
        assert_eq!(shape(Kind::Csv, false).piece(rows(), &["a".to_owned()], false).unwrap(), "1\n\"x,y\"\n");
        assert_eq!(shape(Kind::Object, false).body(rows(), &[]).unwrap_err().code, "PGRST116");
    }
}

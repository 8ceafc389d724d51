//! Rows as a request brings them: JSON or CSV.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use super::{
    error::{RestError, RestResult},
    resolve::{Body, Cell},
};

/// Reads rows. With `columns`, those keys alone are read; without, every row must have the same ones.
pub(super) fn read(content_type: &str, bytes: &[u8], columns: Option<&[String]>) -> RestResult<Body> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/csv" => read_csv(bytes, columns),
        "application/x-www-form-urlencoded" => read_form(bytes, columns),
        "" | "application/json" | "application/octet-stream" | "text/plain" => read_json(bytes, columns),
        other if other.ends_with("+json") => read_json(bytes, columns),
        other => Err(RestError::new("PGRST102", format!("Content-Type not acceptable: {other}"))),
    }
}

/// A form is one row of texts. `curl -d '{…}'` calls JSON a form, so what reads as JSON is taken as such.
fn read_form(bytes: &[u8], columns: Option<&[String]>) -> RestResult<Body> {
    if bytes.is_empty() || matches!(bytes.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'[')) {
        return read_json(bytes, columns);
    }
    let fields: Map<String, Json> = url::form_urlencoded::parse(bytes).map(|(key, value)| (key.into_owned(), value.into())).collect();
    let keys: Vec<String> = columns.map_or_else(|| fields.keys().cloned().collect(), <[String]>::to_vec);
    Ok(of_columns(&keys, vec![fields]))
}

/// Whether a body is a JSON array.
pub(super) fn is_array(content_type: &str, bytes: &[u8]) -> bool {
    !content_type.starts_with("text/csv") && bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Reads rows of which each says what of it changes: a key that a row lacks is left as it is.
pub(super) fn read_changes(bytes: &[u8], columns: Option<&[String]>) -> RestResult<Body> {
    let rows = json_rows(bytes)?;
    let Some(columns) = columns else {
        let mut met = HashSet::new();
        let keys: Vec<String> = rows.iter().flat_map(Map::keys).filter(|key| met.insert(key.as_str())).cloned().collect();
        return Ok(of_columns(&keys, rows));
    };
    Ok(of_columns(columns, rows))
}

fn read_json(bytes: &[u8], columns: Option<&[String]>) -> RestResult<Body> {
    let rows = json_rows(bytes)?;
    match columns {
        Some(columns) => Ok(of_columns(columns, rows)),
        None => of_same_keys(rows),
    }
}

fn json_rows(bytes: &[u8]) -> RestResult<Vec<Map<String, Json>>> {
    let text = if bytes.is_empty() { b"{}" } else { bytes };
    let parsed: Json =
        serde_json::from_slice(text).map_err(|error| RestError::new("PGRST102", "Empty or invalid json").details(error.to_string()))?;
    match parsed {
        Json::Object(row) => Ok(vec![row]),
        Json::Array(items) => items.into_iter().map(object).collect(),
        _ => Err(not_rows()),
    }
}

fn object(item: Json) -> RestResult<Map<String, Json>> {
    if let Json::Object(row) = item { Ok(row) } else { Err(not_rows()) }
}

fn not_rows() -> RestError {
    RestError::new("PGRST102", "Empty or invalid json").details("Expecting an object or an array of objects")
}

fn of_columns(columns: &[String], rows: Vec<Map<String, Json>>) -> Body {
    let cells = |mut row: Map<String, Json>| columns.iter().map(|key| row.remove(key).map(Cell::Json)).collect();
    Body { keys: columns.to_vec(), rows: rows.into_iter().map(cells).collect() }
}

fn of_same_keys(rows: Vec<Map<String, Json>>) -> RestResult<Body> {
    let keys: Vec<String> = rows.first().map(|row| row.keys().cloned().collect()).unwrap_or_default();
    if rows.iter().any(|row| row.len() != keys.len() || !keys.iter().all(|key| row.contains_key(key))) {
        return Err(RestError::new("PGRST102", "All object keys must match"));
    }
    Ok(of_columns(&keys, rows))
}

fn read_csv(bytes: &[u8], columns: Option<&[String]>) -> RestResult<Body> {
    let wrong = |error: csv::Error| RestError::new("PGRST102", "Empty or invalid csv").details(error.to_string());
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let header: Vec<String> = reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| match error.kind() {
            csv::ErrorKind::UnequalLengths { .. } => RestError::new("PGRST102", "All lines must have same number of fields"),
            _ => wrong(error),
        })?;
        rows.push(record.iter().map(|field| Some(Cell::Text((field != "NULL").then(|| field.to_owned())))).collect::<Vec<_>>());
    }
    let Some(columns) = columns else { return Ok(Body { keys: header, rows }) };
    let place: HashMap<&str, usize> = header.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let pick = |row: Vec<Option<Cell>>| columns.iter().map(|name| place.get(name.as_str()).and_then(|&place| row[place].clone())).collect();
    Ok(Body { keys: columns.to_vec(), rows: rows.into_iter().map(pick).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> RestResult<Body> {
        read("application/json", text.as_bytes(), None)
    }

    #[test]
    fn rows_must_have_the_same_keys() {
        assert_eq!(json(r#"[{"a":1},{"a":2,"b":3}]"#).unwrap_err().message, "All object keys must match");
        let columns = ["a".to_owned(), "b".to_owned()];
        let body = read("application/json", br#"[{"a":1},{"b":3,"c":4}]"#, Some(&columns)).unwrap();
        assert_eq!(body.rows, [vec![Some(Cell::Json(1.into())), None], vec![None, Some(Cell::Json(3.into()))]]);
        assert_eq!(json("[]").unwrap(), Body::default());
        for wrong in ["[1]", "1", "{", "[[]]"] {
            assert_eq!(json(wrong).unwrap_err().code, "PGRST102", "{wrong}");
        }
    }

    #[test]
    fn forms_are_read() {
        let form = |text: &str| read("application/x-www-form-urlencoded", text.as_bytes(), None).unwrap();
        assert_eq!(form("a=x+y&b=%E6%9D%8E"), json(r#"{"a":"x y","b":"李"}"#).unwrap());
        assert_eq!(form(r#"{"a":1}"#), json(r#"{"a":1}"#).unwrap());
    }

    #[test]
    fn csv_is_read() {
        let body = read("text/csv; charset=utf-8", "a,b\n1,NULL\n\"x, y\",\n".as_bytes(), None).unwrap();
        let text = |text: &str| Some(Cell::Text(Some(text.to_owned())));
        assert_eq!(body.rows, [vec![text("1"), Some(Cell::Text(None))], vec![text("x, y"), text("")]]);
        assert_eq!(read("text/csv", b"a,b\n1\n", None).unwrap_err().message, "All lines must have same number of fields");
    }
}

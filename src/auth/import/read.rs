//! Files as records, one at a time: JSON in a list, JSON lines, CSV with a header, and the `COPY` blocks of a plain `pg_dump`.
//!
//! However long a file is, one record of it is held at a time.

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A record, or why there is none.
pub(super) struct Item {
    /// The line at which it ends, from 1.
    pub(super) line: u64,
    /// The table it is of, where the file says so: `users`.
    pub(super) table: Option<String>,
    pub(super) fields: std::result::Result<Map<String, Value>, String>,
}

/// Names under which products wrap their list of users.
const LISTS: [&str; 2] = ["users", "items"];

/// Hands every record of a file to `take`, until it says that it wants no more.
pub(super) fn read_file(path: &Path, take: &mut dyn FnMut(Item) -> bool) -> Result<()> {
    let unreadable = |error: std::io::Error| Error::invalid("import", format!("{} can't be read: {error}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    match form_of(path, reader.fill_buf().map_err(unreadable)?) {
        Form::Json => read_json(reader, take),
        Form::Dump => read_dump(reader, take).map_err(unreadable),
        Form::Csv => read_csv(reader, take),
    }
}

enum Form {
    Json,
    Dump,
    Csv,
}

fn form_of(path: &Path, start: &[u8]) -> Form {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let is_dump = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql"));
    match start.first() {
        Some(b'{' | b'[') => Form::Json,
        _ if is_dump || start.starts_with(b"--") || start.starts_with(b"COPY ") => Form::Dump,
        _ => Form::Csv,
    }
}

/// Counts lines as they are read; the parser reads byte by byte.
struct Lines<R> {
    inner: R,
    line: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.line.set(self.line.get() + memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64);
        Ok(read)
    }
}

/// One list, one object that has the list in it, or one object after the other.
fn read_json(mut reader: impl BufRead, take: &mut dyn FnMut(Item) -> bool) -> Result<()> {
    if reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    let line = std::rc::Rc::new(std::cell::Cell::new(1));
    let mut parser = serde_json::Deserializer::from_reader(Lines { inner: reader, line: std::rc::Rc::clone(&line) });
    let mut goes_on = true;
    // At the end of the file there is nothing but white space.
    while goes_on && parser.end().is_err() {
        let records = Records { line: &line, take, goes_on: &mut goes_on };
        if let Err(error) = records.deserialize(&mut parser) {
            // What follows broken JSON can't be told apart from it.
            let why = if goes_on { format!("this is no JSON: {error}") } else { return Ok(()) };
            take(Item { line: line.get(), table: None, fields: Err(why) });
            return Ok(());
        }
    }
    Ok(())
}

/// Records wherever they stand in a value.
struct Records<'t> {
    line: &'t std::cell::Cell<u64>,
    take: &'t mut dyn FnMut(Item) -> bool,
    goes_on: &'t mut bool,
}

impl Records<'_> {
    fn give<E: serde::de::Error>(&mut self, fields: std::result::Result<Map<String, Value>, String>) -> std::result::Result<(), E> {
        *self.goes_on = (self.take)(Item { line: self.line.get(), table: None, fields });
        if *self.goes_on { Ok(()) } else { Err(E::custom("nobody wants more")) }
    }
}

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects, or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> std::result::Result<(), A::Error> {
        while let Some(value) = list.next_element::<Value>()? {
            match value {
                // A realm in a list of realms, as Keycloak writes all of them together.
                Value::Object(mut fields) if fields.get("users").is_some_and(Value::is_array) => {
                    for user in fields.remove("users").and_then(|users| users.as_array().cloned()).unwrap_or_default() {
                        self.give(user.as_object().cloned().ok_or_else(|| "it is no object".to_owned()))?;
                    }
                }
                Value::Object(fields) => self.give(Ok(fields))?,
                _ => self.give(Err("it is no object".to_owned()))?,
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> std::result::Result<(), A::Error> {
        let mut fields = Map::new();
        let mut is_wrapper = false;
        while let Some(name) = object.next_key::<String>()? {
            if LISTS.contains(&name.as_str()) {
                is_wrapper = true;
                object.next_value_seed(Records { line: self.line, take: &mut *self.take, goes_on: &mut *self.goes_on })?;
                fields.clear();
            } else if is_wrapper {
                object.next_value::<IgnoredAny>()?;
            } else {
                fields.insert(name, object.next_value()?);
            }
        }
        if is_wrapper { Ok(()) } else { self.give(Ok(fields)) }
    }

    fn visit_unit<E: serde::de::Error>(self) -> std::result::Result<(), E> {
        Ok(())
    }
}

fn read_csv(reader: impl Read, take: &mut dyn FnMut(Item) -> bool) -> Result<()> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let wrong = |error: csv::Error| Error::invalid("import", error.to_string());
    let header: Vec<String> = csv.headers().map_err(wrong)?.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
    let mut record = csv::StringRecord::new();
    loop {
        let item = match csv.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                let fields = if record.len() == header.len() {
                    Ok(header.iter().cloned().zip(record.iter().map(Value::from)).collect())
                } else {
                    Err(format!("{} fields where {} belong", record.len(), header.len()))
                };
                Item { line, table: None, fields }
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let is_over = error.is_io_error();
                let goes_on = take(Item { line, table: None, fields: Err(error.to_string()) });
                if is_over || !goes_on {
                    return Ok(());
                }
                continue;
            }
        };
        if !take(item) {
            return Ok(());
        }
    }
}

/// `COPY auth.users (id, …) FROM stdin;`, rows of fields between tabs, `\.`
fn read_dump(reader: impl BufRead, take: &mut dyn FnMut(Item) -> bool) -> std::io::Result<()> {
    let mut block: Option<(String, Vec<String>)> = None;
    for (number, line) in reader.split(b'\n').enumerate() {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\r');
        match &block {
            None => block = copy_of(text),
            Some(_) if text == "\\." => block = None,
            Some((table, columns)) => {
                let values: Vec<Value> = text.split('\t').map(copied).collect();
                let fields = if values.len() == columns.len() {
                    Ok(columns.iter().cloned().zip(values).collect())
                } else {
                    Err(format!("{} fields where {} belong", values.len(), columns.len()))
                };
                if !take(Item { line: number as u64 + 1, table: Some(table.clone()), fields }) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// The table, if it is one of `auth`, and its columns.
fn copy_of(line: &str) -> Option<(String, Vec<String>)> {
    let rest = line.strip_prefix("COPY ")?.strip_suffix(" FROM stdin;")?;
    let (table, columns) = rest.split_once(" (")?;
    let (schema, table) = table.split_once('.').unwrap_or(("auth", table));
    let plain = |name: &str| name.trim().trim_matches('"').to_owned();
    // Rows of other schemas are read over as if they were no rows.
    let table = if plain(schema) == "auth" { plain(table) } else { String::new() };
    Some((table, columns.strip_suffix(')')?.split(',').map(plain).collect()))
}

/// A field as `COPY` writes it.
fn copied(text: &str) -> Value {
    if text == "\\N" {
        return Value::Null;
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('b') => plain.push('\u{8}'),
            Some('f') => plain.push('\u{c}'),
            Some('v') => plain.push('\u{b}'),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain.into()
}

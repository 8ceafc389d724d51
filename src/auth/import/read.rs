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

/// Hands every record of a file to `take`, until it says that it wants no more. `list` is the name under which the product wraps its list
/// of users, if it does.
pub(super) fn read_file(path: &Path, list: Option<&str>, take: &mut dyn FnMut(Item) -> bool) -> Result<()> {
    let unreadable = |error: std::io::Error| Error::invalid("import", format!("{} can't be read: {error}", path.display()));
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(unreadable)?);
    match form_of(path, reader.fill_buf().map_err(unreadable)?) {
        Form::Archive => {
            let why = format!("{} has pg_dump's own form; make a plain one of it: pg_restore --file dump.sql {0}", path.display());
            Err(Error::invalid("import", why))
        }
        Form::Json => read_json(reader, list, take),
        Form::Dump => read_dump(reader, take).map_err(unreadable),
        Form::Csv => read_csv(reader, take),
    }
}

enum Form {
    /// What `pg_dump` writes for `pg_restore` alone.
    Archive,
    Json,
    Dump,
    Csv,
}

fn form_of(path: &Path, start: &[u8]) -> Form {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let is_dump = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql"));
    match start.first() {
        Some(b'{' | b'[') => Form::Json,
        _ if start.starts_with(b"PGDMP") => Form::Archive,
        _ if is_dump || start.starts_with(b"--") || start.starts_with(b"SET ") || start.starts_with(b"COPY ") => Form::Dump,
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
fn read_json(mut reader: impl BufRead, list: Option<&str>, take: &mut dyn FnMut(Item) -> bool) -> Result<()> {
    if reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    if begins_with_a_record(reader.fill_buf()?, list) {
        return read_json_lines(reader, take);
    }
    let line = std::rc::Rc::new(std::cell::Cell::new(1));
    let mut parser = serde_json::Deserializer::from_reader(Lines { inner: reader, line: std::rc::Rc::clone(&line) });
    let mut goes_on = true;
    // At the end of the file there is nothing but white space.
    while goes_on && parser.end().is_err() {
        let records = Records { line: &line, list, take: &mut *take, goes_on: &mut goes_on };
        if let Err(error) = records.deserialize(&mut parser) {
            // What follows broken JSON can't be told apart from it.
            let why = if goes_on { format!("this is no JSON: {error}") } else { return Ok(()) };
            take(Item { line: line.get(), table: None, fields: Err(why) });
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the first line is a whole record, so that the others are, too.
fn begins_with_a_record(start: &[u8], list: Option<&str>) -> bool {
    let start = start.trim_ascii_start();
    let line = start.split(|byte| *byte == b'\n').next().filter(|line| line.len() < start.len());
    let record: Option<Map<String, Value>> = line.and_then(|line| serde_json::from_slice(line).ok());
    record.is_some_and(|record| !list.is_some_and(|list| record.contains_key(list)))
}

/// A record a line: what is wrong with one has no bearing on the next.
fn read_json_lines(reader: impl BufRead, take: &mut dyn FnMut(Item) -> bool) -> Result<()> {
    for (number, line) in reader.split(b'\n').enumerate() {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let told = |error: serde_json::Error| format!("this is no JSON object: {}", error.to_string().replace(" at line 1 column", " at column"));
        if !take(Item { line: number as u64 + 1, table: None, fields: serde_json::from_slice(&line).map_err(told) }) {
            break;
        }
    }
    Ok(())
}

/// Records wherever they stand in a value.
struct Records<'t> {
    line: &'t std::cell::Cell<u64>,
    list: Option<&'t str>,
    take: &'t mut dyn FnMut(Item) -> bool,
    goes_on: &'t mut bool,
}

impl Records<'_> {
    /// The same for what is inside.
    fn inside(&mut self) -> Records<'_> {
        Records { line: self.line, list: self.list, take: &mut *self.take, goes_on: &mut *self.goes_on }
    }

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
        while list.next_element_seed(self.inside())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> std::result::Result<(), A::Error> {
        let mut fields = Map::new();
        let mut is_wrapper = false;
        while let Some(name) = object.next_key::<String>()? {
            // A record may have things that it calls so; then it is somebody already.
            if self.list == Some(name.as_str()) && (name == "users" || !fields.contains_key("id")) {
                is_wrapper = true;
                object.next_value_seed(self.inside())?;
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

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> std::result::Result<(), E> {
        self.give(Err("it is no object".to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(mut self, _: i64) -> std::result::Result<(), E> {
        self.give(Err("it is no object".to_owned()))
    }

    fn visit_u64<E: serde::de::Error>(mut self, _: u64) -> std::result::Result<(), E> {
        self.give(Err("it is no object".to_owned()))
    }

    fn visit_f64<E: serde::de::Error>(mut self, _: f64) -> std::result::Result<(), E> {
        self.give(Err("it is no object".to_owned()))
    }

    fn visit_str<E: serde::de::Error>(mut self, _: &str) -> std::result::Result<(), E> {
        self.give(Err("it is no object".to_owned()))
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
    let mut is_told = false;
    for (number, line) in reader.split(b'\n').enumerate() {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\r');
        match &block {
            None if is_insert(text) => {
                let why = "rows that are written as INSERT are not read; dump them as COPY: supabase db dump --data-only --use-copy, or pg_dump \
                           without --inserts";
                if !is_told && !take(Item { line: number as u64 + 1, table: None, fields: Err(why.to_owned()) }) {
                    return Ok(());
                }
                is_told = true;
            }
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

/// Whether a line begins a row of `auth` in the form that is not read.
fn is_insert(line: &str) -> bool {
    line.strip_prefix("INSERT INTO").is_some_and(|table| table.trim_start().replace('"', "").starts_with("auth."))
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

//! Lines of CSV or NDJSON, some at a time: what is in memory does not depend on how many there are.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Map, Value as Json};

use super::Refused;
use crate::records::{
    error::{RestError, RestResult},
    resolve::{Body, Cell},
};

/// Lines in one statement, at the most.
pub(super) const SOME: usize = 1000;
/// Bytes of them, at the most: what is read after it begins the next.
const HEAVY: usize = 4 << 20;
/// Bytes of one line, at the most.
const LONGEST: usize = 1 << 20;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header, then a row a line; an empty field says nothing, `NULL` that there is nothing.
    Csv,
    /// An object a line.
    Ndjson,
}

/// Some lines with the same keys.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The rows.
    pub body: Body,
    /// The number of each row's line, from 1.
    pub lines: Vec<u64>,
    /// Lines that are no rows.
    pub refused: Vec<Refused>,
    /// Bytes that were read for them.
    pub bytes: u64,
}

/// Reads lines.
pub(super) struct Lines<R: Read> {
    source: Source<R>,
    columns: Option<Vec<String>>,
}

enum Source<R: Read> {
    Csv { reader: csv::Reader<Metered<R>>, header: Vec<String>, meter: Meter },
    Ndjson { reader: BufReader<R>, number: u64, next: Option<(Map<String, Json>, usize)> },
}

impl<R: Read> Lines<R> {
    /// The lines of a text; with `columns`, these keys of them alone.
    pub(super) fn new(format: Format, text: R, columns: Option<Vec<String>>) -> RestResult<Self> {
        let source = match format {
            Format::Ndjson => Source::Ndjson { reader: BufReader::new(text), number: 0, next: None },
            Format::Csv => {
                let meter = Meter::default();
                let text = Metered { text, meter: Arc::clone(&meter) };
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
                let header = reader.headers().map_err(|error| broken(1, &error))?.iter().map(str::to_owned).collect();
                Source::Csv { reader, header, meter }
            }
        };
        Ok(Self { source, columns })
    }

    /// The next lines; none at the end.
    pub(super) fn next_chunk(&mut self) -> RestResult<Option<Chunk>> {
        let mut chunk = match &mut self.source {
            Source::Csv { reader, header, meter } => csv_chunk(reader, header, meter)?,
            Source::Ndjson { reader, number, next } => ndjson_chunk(reader, number, next)?,
        };
        if let Some(columns) = &self.columns {
            let places: Vec<Option<usize>> = columns.iter().map(|name| chunk.body.keys.iter().position(|key| key == name)).collect();
            for row in &mut chunk.body.rows {
                *row = places.iter().map(|place| place.and_then(|place| row[place].take())).collect();
            }
            chunk.body.keys.clone_from(columns);
        }
        Ok((!chunk.lines.is_empty() || !chunk.refused.is_empty()).then_some(chunk))
    }
}

fn csv_chunk<R: Read>(reader: &mut csv::Reader<Metered<R>>, header: &[String], meter: &Meter) -> RestResult<Chunk> {
    let mut chunk = Chunk { body: Body { keys: header.to_vec(), rows: Vec::new() }, ..Chunk::default() };
    let mut record = csv::StringRecord::new();
    let start = reader.position().byte();
    while chunk.lines.len() + chunk.refused.len() < SOME && reader.position().byte() - start < HEAVY as u64 {
        meter.store(0, Ordering::Relaxed);
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                if record.len() == header.len() {
                    chunk.lines.push(line);
                    chunk.body.rows.push(record.iter().map(cell).collect());
                } else {
                    let error = RestError::new("PGRST102", "All lines must have same number of fields").details(format!(
                        "{} fields where {} belong",
                        record.len(),
                        header.len()
                    ));
                    chunk.refused.push(Refused::new(line, &error));
                }
            }
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => chunk.refused.push(Refused::new(line, &not_utf8())),
            Err(error) => return Err(broken(line, &error)),
        }
    }
    chunk.bytes = reader.position().byte() - start;
    Ok(chunk)
}

/// An empty field says nothing, as in the CSV that a GET answers; `NULL` says that there is nothing.
fn cell(field: &str) -> Option<Cell> {
    match field {
        "" => None,
        "NULL" => Some(Cell::Text(None)),
        text => Some(Cell::Text(Some(text.to_owned()))),
    }
}

fn ndjson_chunk<R: Read>(reader: &mut BufReader<R>, number: &mut u64, next: &mut Option<(Map<String, Json>, usize)>) -> RestResult<Chunk> {
    let mut chunk = Chunk::default();
    let mut bytes = 0;
    while chunk.lines.len() + chunk.refused.len() < SOME && bytes < HEAVY {
        let (row, length) = if let Some(kept) = next.take() {
            kept
        } else {
            let mut text = Vec::new();
            *number += 1;
            let length = reader.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut text).map_err(|error| broken(*number, &error))?;
            if length == 0 {
                break;
            }
            if length > LONGEST {
                return Err(broken(*number, &too_long()));
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match parsed(&text) {
                Ok(row) => (row, length),
                Err(error) => {
                    chunk.refused.push(Refused::new(*number, &error));
                    bytes += length;
                    continue;
                }
            }
        };
        // Rows with other keys are another statement's: what a row does not say must not be written in its name.
        if chunk.lines.is_empty() {
            chunk.body.keys = row.keys().cloned().collect();
        } else if row.len() != chunk.body.keys.len() || !chunk.body.keys.iter().all(|key| row.contains_key(key)) {
            *next = Some((row, length));
            break;
        }
        bytes += length;
        let mut row = row;
        chunk.lines.push(*number);
        chunk.body.rows.push(chunk.body.keys.iter().map(|key| row.remove(key).map(Cell::Json)).collect());
    }
    chunk.bytes = bytes as u64;
    Ok(chunk)
}

fn parsed(text: &[u8]) -> RestResult<Map<String, Json>> {
    let text = std::str::from_utf8(text).map_err(|_| not_utf8())?;
    match serde_json::from_str(text) {
        Ok(Json::Object(row)) => Ok(row),
        Ok(_) => Err(RestError::new("PGRST102", "Empty or invalid json").details("Expecting an object in every line")),
        Err(error) => Err(RestError::new("PGRST102", "Empty or invalid json").details(error.to_string())),
    }
}

fn not_utf8() -> RestError {
    RestError::new("22021", "invalid byte sequence for encoding \"UTF8\"")
}

/// The refusal of a text behind which nothing can be read.
fn broken(line: u64, why: &dyn std::fmt::Display) -> RestError {
    RestError::new("PGRST102", format!("line {line} can't be read")).details(why.to_string())
}

fn too_long() -> io::Error {
    io::Error::other(format!("a line may have at most {LONGEST} bytes"))
}

/// Bytes since the last record began.
type Meter = Arc<AtomicUsize>;

/// A text of which no record may be too long: an open quote would take all that follows for one.
struct Metered<R> {
    text: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.meter.load(Ordering::Relaxed) > LONGEST {
            return Err(too_long());
        }
        let length = self.text.read(buffer)?;
        self.meter.fetch_add(length, Ordering::Relaxed);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunks(format: Format, text: &[u8], columns: Option<&[&str]>) -> RestResult<Vec<Chunk>> {
        let columns = columns.map(|names| names.iter().map(ToString::to_string).collect());
        let mut lines = Lines::new(format, text, columns)?;
        let mut all = Vec::new();
        while let Some(chunk) = lines.next_chunk()? {
            all.push(chunk);
        }
        Ok(all)
    }

    #[test]
    fn rows_with_other_keys_begin_anew() {
        let text = b"{\"a\":1}\n\n{\"a\":2}\nx\n{\"b\":1,\"a\":3}\n{\"a\":4,\"b\":2}\n[1]";
        let found = chunks(Format::Ndjson, text, None).unwrap();
        let short: Vec<_> = found.iter().map(|chunk| (chunk.body.keys.concat(), chunk.lines.clone(), chunk.refused.len())).collect();
        assert_eq!(short, [("a".to_owned(), vec![1, 3], 1), ("ba".to_owned(), vec![5, 6], 1)]);
        assert_eq!(found[1].body.rows[1], [Some(Cell::Json(2.into())), Some(Cell::Json(4.into()))]);
    }

    #[test]
    fn csv_lines_are_counted_and_chosen() {
        let found = chunks(Format::Csv, "a,b\n1,\"x\ny\"\n2\n3,NULL\n".as_bytes(), Some(&["b", "c"])).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].lines[..], found[0].refused[0].line), (&[2, 5][..], 4));
        assert_eq!(found[0].body.rows, [vec![Some(Cell::Text(Some("x\ny".into()))), None], vec![Some(Cell::Text(None)), None]]);
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let open = format!("a\n\"{}", "x".repeat(LONGEST * 2));
        assert_eq!(chunks(Format::Csv, open.as_bytes(), None).unwrap_err().code, "PGRST102");
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(LONGEST));
        assert_eq!(chunks(Format::Ndjson, long.as_bytes(), None).unwrap_err().message, "line 1 can't be read");
        let many = "1\n".repeat(SOME * 2 + 5);
        assert_eq!(chunks(Format::Csv, format!("a\n{many}").as_bytes(), None).unwrap().len(), 3);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\PC\n\"]{0,80}|[{}:\"a1,\n]{0,80}", csv in any::<bool>()) {
            let _ = chunks(if csv { Format::Csv } else { Format::Ndjson }, text.as_bytes(), None);
        }
    }
}

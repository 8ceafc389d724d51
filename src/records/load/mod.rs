//! Many rows at once: CSV or NDJSON of any size, read as it comes, so that memory does not depend on how much it is.
//!
//! In one transaction ([`Mode::All`]) the lines are looked through before it begins, and either all are loaded or none. In batches a line
//! that can't be used is reported with its number and loses nothing else. Rights, types and rules are those of a POST; what differs is
//! that a row may lack keys that others have, and then has the defaults.
//!
//! `lines.rs` knows the formats, `source.rs` where the text comes from.

mod lines;
mod source;

use std::{
    collections::VecDeque,
    fs::File,
    io::{Read, Seek as _},
    sync::Arc,
};

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

pub use self::lines::Format;
use self::{
    lines::{Chunk, Lines},
    source::{Arriving, set_aside},
};
use super::{
    answer::Answer,
    catalog::{Catalog, Table},
    error::{RestError, RestResult},
    execute::{self, Context},
    parse::{Missing, Prefer, QueryString, Resolution},
    plan::Insert,
    resolve::{Resolver, Upsert},
    rights::Asker,
    sql,
};
use crate::{app::App, db::Tx, error::Error};

/// Refused lines that are told of, at the most; all are counted.
const TOLD: usize = 1000;
/// Rows after which PostgreSQL is told to count anew.
const MANY: u64 = 5_000;

/// Whether lines stand or fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// All of them, or none.
    All,
    /// Each for itself; many are written together as long as all of them can be.
    Batches,
}

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The line, from 1; of CSV, the header is line 1.
    pub line: u64,
    /// What is wrong with it, as a POST of it alone would be told.
    pub why: Json,
}

impl Refused {
    fn new(line: u64, error: &RestError) -> Self {
        Self { line, why: error.body() }
    }
}

/// What a load did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Lines that were read.
    pub lines: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Rows that were made.
    pub made: u64,
    /// Rows that were there and were changed.
    pub changed: u64,
    /// Rows that were there and were left as they are.
    pub kept: u64,
    /// Lines that could not be used.
    pub refused_lines: u64,
    /// The first of them.
    pub refused: Vec<Refused>,
}

impl Loaded {
    fn refuse(&mut self, mut refused: Vec<Refused>) {
        refused.sort_by_key(|line| line.line);
        for line in refused {
            self.refused_lines += 1;
            if self.refused.len() < TOLD {
                self.refused.push(line);
            }
        }
    }

    /// Counts lines, and takes those that are no rows.
    fn read(&mut self, chunk: &mut Chunk) -> Vec<Refused> {
        self.lines += (chunk.lines.len() + chunk.refused.len()) as u64;
        self.bytes += chunk.bytes;
        std::mem::take(&mut chunk.refused)
    }

    fn write(&mut self, rows: usize, touched: &[(uuid::Uuid, i64)]) {
        let made = touched.iter().filter(|(_, version)| *version == 1).count();
        self.made += made as u64;
        self.changed += (touched.len() - made) as u64;
        self.kept += (rows - touched.len()) as u64;
    }

    fn as_json(&self) -> Json {
        let with_line = |refused: &Refused| {
            let mut why = refused.why.clone();
            why["line"] = json!(refused.line);
            why
        };
        json!({
            "lines": self.lines,
            "made": self.made,
            "changed": self.changed,
            "kept": self.kept,
            "refused_lines": self.refused_lines,
            "refused": self.refused.iter().map(with_line).collect::<Vec<_>>(),
        })
    }
}

/// A load, ready to be run.
#[derive(Clone)]
pub(super) struct Load {
    pub catalog: Arc<Catalog>,
    pub table: Arc<Table>,
    pub asker: Asker,
    /// What the field `custom` of employees has to be.
    pub custom_schema: Option<serde_json::Value>,
    pub query: QueryString,
    pub upsert: Upsert,
    pub mode: Mode,
    pub format: Format,
    pub context: Context,
}

/// What a request says of a load.
pub(super) struct Wanted {
    pub query: QueryString,
    pub upsert: Upsert,
    pub mode: Mode,
    pub format: Format,
    pub applied: Option<String>,
}

impl Wanted {
    /// Reads the parameters and headers of a request.
    pub(super) fn parse(query: &str, headers: &HeaderMap) -> RestResult<Self> {
        for name in ["idempotency-key", "if-match"] {
            if headers.contains_key(name) {
                return Err(RestError::new("PGRST100", format!("{name} can't be used with a load"))
                    .hint("A load with Prefer: resolution=ignore-duplicates can be repeated."));
            }
        }
        let (query, given) = QueryString::parse(query, &["mode"])?;
        if query.select.is_some() || !query.filters.is_empty() || !query.orders.is_empty() {
            return Err(RestError::new("PGRST100", "a load takes the parameters mode, columns and on_conflict"));
        }
        let mode = match given.last().map(|(_, mode)| mode.as_str()) {
            None | Some("all") => Mode::All,
            Some("batches") => Mode::Batches,
            Some(other) => return Err(RestError::new("PGRST100", format!("mode should be \"all\" or \"batches\", not \"{other}\""))),
        };
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let format = match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "text/csv" => Format::Csv,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Format::Ndjson,
            other => {
                return Err(
                    RestError::new("PGRST102", format!("Content-Type not acceptable: {other}")).hint("Send text/csv or application/x-ndjson.")
                );
            }
        };
        let prefer = Prefer::parse(headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()))?;
        let upsert = Upsert { resolution: prefer.resolution, missing: prefer.missing.unwrap_or(Missing::Default) };
        let applied = Prefer { resolution: prefer.resolution, missing: prefer.missing, handling: prefer.handling, ..Prefer::default() }.applied(true);
        Ok(Self { query, upsert, mode, format, applied })
    }
}

/// Whoever may make no row of the table need not send any.
pub(super) fn allowed(resolver: &Resolver<'_>, table: &Arc<Table>) -> RestResult<()> {
    let nothing = Upsert { resolution: None, missing: Missing::Default };
    resolver.insert(table, &QueryString::default(), super::resolve::Body::default(), nothing).map(drop)
}

impl Load {
    /// Loads a body, and answers what was done.
    pub(super) async fn run(self, app: &App, body: Body, applied: Option<&str>) -> RestResult<Answer> {
        let loaded = self.take(app, Arriving::new(body), |_| ()).await?;
        let status = if loaded.refused_lines == 0 { StatusCode::CREATED } else { StatusCode::MULTI_STATUS };
        let mut answer = Answer::new(status, loaded.as_json().to_string());
        answer.header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        if let Some(applied) = applied {
            answer.header(header::HeaderName::from_static("preference-applied"), applied);
        }
        Ok(answer)
    }

    /// Loads a text, telling `progress` how far it is.
    pub(super) async fn take(self, app: &App, text: impl Read + Send + 'static, progress: impl FnMut(&Loaded) + Send) -> RestResult<Loaded> {
        let loaded = match self.mode {
            Mode::All => self.clone().all(app, text).await,
            Mode::Batches => self.clone().batches(app, text, progress).await,
        }?;
        if loaded.made + loaded.changed >= MANY {
            let table = Arc::clone(&self.table);
            app.db.write(move |tx| async move { sql::count_rows_of(&tx, &table.name, table.searchable).await }).await?;
        }
        Ok(loaded)
    }

    fn plan(&self, app: &App, body: super::resolve::Body) -> RestResult<Insert> {
        let resolver = Resolver {
            catalog: &self.catalog,
            asker: &self.asker,
            tenant: self.context.tenant.number(),
            now: self.context.now,
            aggregates: false,
            key: &app.master_key,
            custom_schema: self.custom_schema.as_ref(),
            max_rows: app.config.records.max_rows,
        };
        resolver.insert(&self.table, &self.query, body, self.upsert)
    }

    /// Plans the rows, in as few statements as they can be written by. What can't be planned is refused line by line.
    fn plans(&self, app: &App, chunk: Chunk, refused: &mut Vec<Refused>) -> Vec<(Insert, Vec<u64>)> {
        let mut plans = Vec::new();
        let mut waiting = VecDeque::from([(chunk.body, chunk.lines)]);
        while let Some((mut body, mut lines)) = waiting.pop_front() {
            if lines.is_empty() {
                continue;
            }
            match self.plan(app, body.clone()) {
                Ok(plan) => plans.push((plan, lines)),
                Err(error) if lines.len() == 1 => refused.push(Refused::new(lines[0], &error)),
                Err(_) => {
                    let half = lines.len() / 2;
                    let rest = super::resolve::Body { keys: body.keys.clone(), rows: body.rows.split_off(half) };
                    let rest_lines = lines.split_off(half);
                    waiting.push_front((rest, rest_lines));
                    waiting.push_front((body, lines));
                }
            }
        }
        plans
    }

    async fn batches(self, app: &App, text: impl Read + Send + 'static, mut progress: impl FnMut(&Loaded) + Send) -> RestResult<Loaded> {
        let (sender, mut chunks) = mpsc::channel(1);
        let (format, columns) = (self.format, self.query.columns.clone());
        let reader = tokio::task::spawn_blocking(move || -> RestResult<()> {
            let mut lines = Lines::new(format, text, columns)?;
            while let Some(chunk) = lines.next_chunk()? {
                // Whoever waited for the lines has given up.
                if sender.blocking_send(chunk).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let mut loaded = Loaded::default();
        while let Some(mut chunk) = chunks.recv().await {
            let mut refused = loaded.read(&mut chunk);
            for (plan, lines) in self.plans(app, chunk, &mut refused) {
                self.batch(app, plan, lines, &mut loaded, &mut refused).await.map_err(|error| broken_off(error, &loaded))?;
            }
            loaded.refuse(refused);
            progress(&loaded);
        }
        reader.await.map_err(Error::from)?.map_err(|error| broken_off(error, &loaded))?;
        Ok(loaded)
    }

    /// Writes rows together, or in halves where one of them is refused.
    async fn batch(&self, app: &App, plan: Insert, lines: Vec<u64>, loaded: &mut Loaded, refused: &mut Vec<Refused>) -> RestResult<()> {
        let mut waiting = VecDeque::from([(plan, lines)]);
        while let Some((mut plan, mut lines)) = waiting.pop_front() {
            let (context, attempt) = (self.context.clone(), plan.clone());
            match app.db.write(move |tx| async move { Ok(execute::insert(&tx, &context, &attempt).await?) }).await.map_err(RestError::from) {
                Ok(touched) => loaded.write(lines.len(), &touched),
                // What is not the lines' fault is not cured by parting them.
                Err(error) if error.status.is_server_error() => return Err(error),
                Err(error) if lines.len() == 1 => refused.push(Refused::new(lines[0], &error)),
                Err(_) => {
                    let half = lines.len() / 2;
                    let rest = Insert { rows: plan.rows.split_off(half), ..plan.clone() };
                    let rest_lines = lines.split_off(half);
                    waiting.push_front((rest, rest_lines));
                    waiting.push_front((plan, lines));
                }
            }
        }
        Ok(())
    }

    /// The text is put into a file first: a transaction must not wait for who sends it.
    async fn all(self, app: &App, text: impl Read + Send + 'static) -> RestResult<Loaded> {
        let (load, own) = (self.clone(), app.clone());
        let looked_through = tokio::task::spawn_blocking(move || -> RestResult<(File, Loaded)> {
            let mut file = set_aside(text, &own.config.data_dir).map_err(Error::from)?;
            let loaded = load.look_through(&own, &file)?;
            file.rewind().map_err(Error::from)?;
            Ok((file, loaded))
        });
        let (file, mut loaded) = looked_through.await.map_err(Error::from)??;
        if loaded.refused_lines > 0 {
            return Err(nothing_loaded(&loaded));
        }
        let own = app.clone();
        let written = app.db.write(move |tx| async move { Ok(self.write_all(&own, &tx, file).await?) }).await?;
        (loaded.made, loaded.changed, loaded.kept) = (written.made, written.changed, written.kept);
        Ok(loaded)
    }

    fn look_through(&self, app: &App, file: &File) -> RestResult<Loaded> {
        let mut loaded = Loaded::default();
        let mut lines = Lines::new(self.format, file, self.query.columns.clone())?;
        while let Some(mut chunk) = lines.next_chunk()? {
            let mut refused = loaded.read(&mut chunk);
            self.plans(app, chunk, &mut refused);
            loaded.refuse(refused);
        }
        Ok(loaded)
    }

    async fn write_all(&self, app: &App, tx: &Tx, file: File) -> RestResult<Loaded> {
        let mut loaded = Loaded::default();
        let mut lines = Lines::new(self.format, file, self.query.columns.clone())?;
        while let Some(chunk) = lines.next_chunk()? {
            for (plan, lines) in self.plans(app, chunk, &mut Vec::new()) {
                let touched = execute::insert(tx, &self.context, &plan).await.map_err(|error| in_lines(error, &lines))?;
                loaded.write(lines.len(), &touched);
            }
        }
        Ok(loaded)
    }
}

/// The refusal of a load whose lines can't all be used.
fn nothing_loaded(loaded: &Loaded) -> RestError {
    let mut error = RestError::new("PGRST102", format!("{} lines can't be used", loaded.refused_lines));
    error.details = Some(loaded.as_json());
    error.hint("Nothing was loaded. Correct them, or load the others by mode=batches.")
}

/// Where the database refused one of these lines.
fn in_lines(error: RestError, lines: &[u64]) -> RestError {
    match (lines.first(), lines.last()) {
        (Some(first), Some(last)) if !error.status.is_server_error() => error.hint(format!("Nothing was loaded. It is in lines {first} to {last}.")),
        _ => error,
    }
}

/// The refusal of the rest of a load: what was read before is kept.
fn broken_off(error: RestError, loaded: &Loaded) -> RestError {
    let hint = format!(
        "The load ended after {} lines: {} rows were made, {} changed. With Prefer: resolution=ignore-duplicates it can be repeated.",
        loaded.lines, loaded.made, loaded.changed
    );
    error.hint(hint)
}

/// Loads a text into a table of a tenant, with all rights, in batches. What is there already is left as it is or, with `merge`, changed.
pub async fn load_rows(
    app: &App,
    tenant: &str,
    (table, format): (&str, Format),
    (key, merge): (&[String], bool),
    text: impl Read + Send + 'static,
    progress: impl FnMut(&Loaded) + Send,
) -> crate::error::Result<Loaded> {
    let tenant = app.tenants.active(tenant).await?;
    let catalog = Arc::clone(Catalog::built_in());
    let table = catalog.table(table).cloned().ok_or_else(|| Error::not_found(format!("the table \"{table}\"")))?;
    let query = QueryString { on_conflict: Some(key.to_vec()), ..QueryString::default() };
    let resolution = Some(if merge { Resolution::Merge } else { Resolution::Ignore });
    // Rows that were not there before need no history.
    let author = merge.then(super::history::Author::here);
    let context = Context { tenant: tenant.id, now: app.clock.now(), author, key: Arc::clone(&app.master_key) };
    let upsert = Upsert { resolution, missing: Missing::Default };
    let custom_schema = tenant.settings.records.custom_schema.clone();
    let load = Load { catalog, table, asker: Asker::service(), custom_schema, query, upsert, mode: Mode::Batches, format, context };
    load.take(app, text, progress).await.map_err(told)
}

/// A refusal for who uses the command line.
fn told(error: RestError) -> Error {
    if error.status.is_server_error() { error.into() } else { Error::invalid("rows", error.to_string()) }
}

//! From a request to its plan, and from what came of it to its answer: the same for a request that comes alone and for one of a batch.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::{
    answer::Answer,
    body,
    catalog::Table,
    error::{RestError, RestResult},
    execute::{self, Context, Wishes, Write, Written},
    function::{Arguments, Function},
    parse::{Count, Door, IfMatch, Missing, Prefer, QueryString, Resolution, Return, TxEnd},
    plan::{Output, Read},
    resolve::{Resolver, Upsert, bad_range, has_key, names_one_row},
    shape::{Kind, Shape},
    zone::LocalTime,
};
use crate::{
    db::{Conn, Db, Tx},
    error::Error,
    tenants::TenantId,
};

/// Rows that one request changes each in its own way, at the most: others wait until they are done.
const CHANGES: usize = 1000;

/// What a request says.
pub(super) struct Ask<'r> {
    /// The method.
    pub method: &'r Method,
    /// The table.
    pub table: &'r str,
    /// Where it came in.
    pub door: Door,
    /// The query string.
    pub query: &'r str,
    /// The headers.
    pub headers: &'r HeaderMap,
    /// The body.
    pub body: &'r [u8],
    /// Whether a write answers its rows when nothing is said of it.
    pub shows_rows: bool,
    /// Whether a write may be undone after it is answered.
    pub may_roll_back: bool,
}

/// What is to be done for it.
pub(super) enum Job {
    /// Rows are read.
    Read(Box<ReadJob>),
    /// Rows are written.
    Write(Box<WriteJob>),
}

/// Rows to be read, and how they are answered.
pub(super) struct ReadJob {
    read: Read,
    form: Form,
    /// HEAD wants no rows.
    head: bool,
    location: String,
    /// The query of the next page, without its cursor; none where that is not in a URL.
    next: Option<String>,
    /// Whether rows are sent page by page as they are read.
    is_paged: bool,
}

/// Rows to be written, and how that is answered.
pub(super) struct WriteJob {
    write: Write,
    wishes: Wishes,
    form: Form,
    table: Arc<Table>,
    method: Method,
    /// Whether the caller may know the versions of what it wrote.
    tells_version: bool,
}

/// The form of an answer.
struct Form {
    prefer: Prefer,
    shape: Shape,
    keys: Vec<String>,
    /// The clock that moments are shown by, when one was asked for.
    local: Option<LocalTime>,
}

impl Ask<'_> {
    /// Finds out what is to be done.
    pub(super) fn plan(&self, resolver: &Resolver<'_>) -> RestResult<Job> {
        self.check_profile()?;
        let function = if self.door == Door::Function { Some(Function::find(self.table)?) } else { None };
        let table = match function {
            Some(function) => Arc::clone(function.table()),
            None => resolver.table(self.table)?,
        };
        let (mut query, given) = QueryString::parse(self.query, &self.arguments(function))?;
        if self.door == Door::Query && *self.method == Method::POST {
            query.add_body(self.content_type(), self.body)?;
        }
        let mut prefer = Prefer::parse(self.every("prefer"))?;
        if self.shows_rows {
            prefer.returning = prefer.returning.or(Some(Return::Representation));
        }
        if !self.may_roll_back {
            prefer.tx = None;
        }
        let shape = Shape::of(&self.every("accept").collect::<Vec<_>>().join(","))?;
        let asked = Asked { ask: self, resolver, table, query, prefer, shape };
        match (self.method, self.door) {
            (&Method::GET | &Method::HEAD, Door::Table) | (&Method::POST, Door::Query) => asked.read(None),
            (&Method::GET | &Method::HEAD, Door::Search) => asked.search(given),
            (&Method::GET | &Method::HEAD | &Method::POST, Door::Function) => asked.call(function, given),
            (method, Door::Function) => Err(RestError::new("PGRST101", format!("Cannot use the {method} method on RPC"))),
            (&Method::POST, Door::Table) => asked.post(),
            (&Method::PUT, Door::Table) => asked.put(),
            (&Method::PATCH, Door::Table) => asked.patch(),
            (&Method::DELETE, Door::Table) => asked.delete(),
            (method, _) => Err(RestError::new("PGRST117", format!("Unsupported HTTP method: {method}"))),
        }
    }

    /// The names of parameters that are no filters.
    fn arguments(&self, function: Option<&Function>) -> Vec<&'static str> {
        match (self.door, function) {
            (Door::Search, _) => vec!["q"],
            (_, Some(function)) if *self.method != Method::POST => function.arguments.iter().map(|argument| argument.name).collect(),
            _ => Vec::new(),
        }
    }

    fn content_type(&self) -> &str {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn every(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// There is one schema; clients name it all the same.
    fn check_profile(&self) -> RestResult<()> {
        let name = if matches!(*self.method, Method::GET | Method::HEAD) { "accept-profile" } else { "content-profile" };
        match self.headers.get(name).map(|value| value.to_str().unwrap_or_default()) {
            None | Some("" | "public") => Ok(()),
            Some(other) => Err(RestError::new("PGRST106", format!("Invalid schema: {other}")).hint("Only the following schemas are exposed: public")),
        }
    }
}

/// A request that was read.
struct Asked<'r> {
    ask: &'r Ask<'r>,
    resolver: &'r Resolver<'r>,
    table: Arc<Table>,
    query: QueryString,
    prefer: Prefer,
    shape: Shape,
}

impl Asked<'_> {
    fn search(mut self, given: Vec<(String, String)>) -> RestResult<Job> {
        self.query.search = given.into_iter().last().map(|(_, text)| text);
        self.read(None)
    }

    fn call(mut self, function: Option<&Function>, given: Vec<(String, String)>) -> RestResult<Job> {
        let Some(function) = function else { return self.read(None) };
        self.resolver.may_read(&self.table)?;
        if *self.ask.method != Method::POST && function.only_writes() {
            return Err(RestError::new("25006", "cannot execute INSERT in a read-only transaction").hint("Call the function by POST."));
        }
        let arguments = function.arguments(self.ask.method, given, self.ask.body)?;
        if *self.ask.method == Method::POST
            && let Some(write) = function.write(self.resolver, &arguments)?
        {
            self.prefer.returning = Some(Return::Representation);
            if let Write::Reveal(plan) = &write {
                let keys = [self.table.primary_key.clone(), vec![plan.column.name.clone()]].concat();
                return self.reveal(write, keys);
            }
            return self.write(write);
        }
        self.read(Some((function, arguments)))
    }

    fn read(self, call: Option<(&Function, Arguments)>) -> RestResult<Job> {
        let is_stream = self.shape.kind.is_stream() && *self.ask.method != Method::HEAD;
        let mut read = match call {
            None => self.resolver.read(&self.table, &self.query, is_stream)?,
            Some((function, arguments)) => function.read(self.resolver, &arguments, &self.query, is_stream)?,
        };
        if *self.ask.method == Method::GET {
            within_range(&mut read, self.ask.headers, self.resolver.max_rows)?;
        }
        // What can't be paged by key is read at once, and bounded as other answers are.
        let is_paged = is_stream && read.offset == 0 && (read.keyset.is_some() || self.resolver.page_by_key(&mut read, &self.query).is_ok());
        if is_stream && !is_paged {
            let most = self.resolver.max_rows;
            read.limit = Some(read.limit.unwrap_or(most).min(most));
        }
        let may_be_one = self.shape.kind == Kind::Object || read.limit == Some(1) || names_one_row(&self.table, &self.query);
        if may_be_one && !read.is_grouped() {
            read.version = self.resolver.version(&self.table).ok();
        }
        let head = *self.ask.method == Method::HEAD && self.shape.kind != Kind::Object;
        let room = if self.ask.door == Door::Function { "rpc/" } else { "" };
        let mut keys = keys(&read);
        if read.shows_cursor {
            keys.push("_cursor".to_owned());
        }
        let location = format!("/{room}{}{}{}", self.ask.table, if self.ask.query.is_empty() { "" } else { "?" }, self.ask.query);
        let local = self.prefer.timezone.map(|zone| LocalTime::new(zone, &read.output));
        let form = Form { prefer: self.prefer, shape: self.shape, keys, local };
        let next = if self.ask.door == Door::Table { Some(without_cursor(self.ask.query)) } else { None };
        Ok(Job::Read(Box::new(ReadJob { read, form, head, location, next, is_paged })))
    }

    fn post(self) -> RestResult<Job> {
        if self.if_match()?.is_some() {
            return Err(RestError::new("PGRST100", "If-Match can't be used with POST").hint("Change a row that is there by PATCH."));
        }
        let upsert = Upsert { resolution: self.prefer.resolution, missing: self.prefer.missing.unwrap_or(Missing::Null) };
        let rows = self.rows()?;
        let plan = self.resolver.insert(&self.table, &self.query, rows, upsert)?;
        self.write(Write::Insert(plan))
    }

    fn put(self) -> RestResult<Job> {
        if self.if_match()?.is_some() {
            return Err(RestError::new("PGRST100", "If-Match can't be used with PUT").hint("Change a row that is there by PATCH."));
        }
        let rows = self.rows()?;
        let plan = self.resolver.put(&self.table, &self.query, rows, self.prefer.missing.unwrap_or(Missing::Null))?;
        self.write(Write::Insert(plan))
    }

    /// An object changes the rows that the filters name; an array changes each row that one of its objects names by its key.
    fn patch(self) -> RestResult<Job> {
        let if_match = self.if_match()?;
        if body::is_array(self.ask.content_type(), self.ask.body) {
            let rows = body::read_changes(self.ask.body, self.query.columns.as_deref())?;
            // One row without its key is the row that the filters name, as on PostgREST.
            if rows.rows.len() > 1 || has_key(&self.table, &self.query, &rows.keys) {
                if if_match.is_some() {
                    return Err(RestError::new("PGRST100", "If-Match can't be used with many rows").hint("Give each row its version."));
                }
                if rows.rows.len() > CHANGES {
                    return Err(
                        RestError::new("PGRST413", format!("at most {CHANGES} rows can be changed at a time")).hint("Send fewer rows at a time.")
                    );
                }
                let plans = self.resolver.update_each(&self.table, &self.query, rows)?;
                return self.write(Write::UpdateEach(plans));
            }
        }
        let row = self.rows()?;
        let plan = self.resolver.update(&self.table, &self.query, row, if_match)?;
        self.write(Write::Update(plan))
    }

    fn delete(self) -> RestResult<Job> {
        let plan = self.resolver.delete(&self.table, &self.query, self.if_match()?)?;
        self.write(Write::Delete(plan))
    }

    fn if_match(&self) -> RestResult<Option<IfMatch>> {
        IfMatch::parse(self.ask.every("if-match"))
    }

    fn rows(&self) -> RestResult<super::resolve::Body> {
        body::read(self.ask.content_type(), self.ask.body, self.query.columns.as_deref())
    }

    fn write(self, write: Write) -> RestResult<Job> {
        let representation = match self.prefer.returning {
            Some(Return::Representation) => Some(self.resolver.representation(&self.table, &self.query)?),
            _ => None,
        };
        let keys = representation.as_ref().map(keys).unwrap_or_default();
        let representation_output = representation.as_ref().map(|read| read.output.clone());
        let single = self.shape.kind == Kind::Object && representation.is_some();
        let max_affected = self.prefer.max_affected.filter(|_| !matches!(write, Write::Insert(_)));
        let wishes = Wishes { representation, single, max_affected };
        let tells_version = self.resolver.version(&self.table).is_ok_and(|version| version.mask.is_none());
        let local = self.prefer.timezone.zip(representation_output).map(|(zone, output)| LocalTime::new(zone, &output));
        let form = Form { prefer: self.prefer, shape: self.shape, keys, local };
        let method = self.ask.method.clone();
        Ok(Job::Write(Box::new(WriteJob { write, wishes, form, table: self.table, method, tells_version })))
    }
}

impl Asked<'_> {
    /// Numbers are answered as they are: whatever else a row has is to be read from its table.
    fn reveal(self, write: Write, keys: Vec<String>) -> RestResult<Job> {
        if self.query.select.is_some() || !self.query.filters.is_empty() || !self.query.orders.is_empty() {
            return Err(RestError::new("PGRST127", "Feature not implemented").details("Numbers are answered as they are"));
        }
        let wishes = Wishes { representation: None, single: false, max_affected: None };
        let form = Form { prefer: self.prefer, shape: self.shape, keys, local: None };
        Ok(Job::Write(Box::new(WriteJob { write, wishes, form, table: self.table, method: Method::POST, tells_version: false })))
    }
}

fn keys(read: &Read) -> Vec<String> {
    read.output.iter().map(|member| Output::key(member).to_owned()).collect()
}

/// `Range: 0-49` narrows the page that `limit` and `offset` gave.
fn within_range(read: &mut Read, headers: &HeaderMap, most: i64) -> RestResult<()> {
    let is_rows = headers.get("range-unit").is_none_or(|unit| unit == "items");
    let Some(range) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()).filter(|_| is_rows) else { return Ok(()) };
    let Some((from, to)) = range.strip_prefix("items=").unwrap_or(range).split_once('-') else { return Ok(()) };
    let (Ok(from), to) = (from.trim().parse::<i64>(), to.trim().parse::<i64>().ok()) else { return Ok(()) };
    if from < 0 || to.is_some_and(|to| to < from) {
        return Err(bad_range("The lower boundary must be lower than or equal to the upper boundary in the Range header."));
    }
    read.offset = read.offset.max(from);
    if let Some(to) = to {
        let rows = to.saturating_sub(read.offset).saturating_add(1).max(0);
        read.limit = Some(read.limit.unwrap_or(most).min(rows));
    }
    Ok(())
}

impl ReadJob {
    /// Whether the answer is sent as it is read.
    pub(super) fn is_paged(&self) -> bool {
        self.is_paged
    }

    /// The rows on their way to a file, page by page.
    pub(super) fn export(self, db: Db, tenant: TenantId) -> Export {
        let left = self.read.limit.unwrap_or(i64::MAX);
        Export { db, tenant, read: self.read, form: self.form, left, rows: 0, is_first: true, is_done: false }
    }

    /// Reads the first rows, and the others as they are sent. What goes wrong before the first can be told; after that the answer breaks off.
    pub(super) async fn stream(self, db: Db, tenant: TenantId) -> RestResult<Response> {
        let mut answer = self.form.answer(StatusCode::OK, String::new(), false);
        let total = match self.form.prefer.count {
            None => None,
            counted => {
                let nothing = Read { limit: Some(0), ..self.read.clone() };
                execute::read(&db.read().await?, tenant, &nothing, counted, false).await?.total
            }
        };
        answer.header(header::CONTENT_RANGE, &content_range(0, 0, total));
        answer.header(header::CONTENT_LOCATION, &self.location);
        answer.header(header::VARY, "Accept, Prefer, Range");
        let mut export = self.export(db, tenant);
        let first = export.next().await?.unwrap_or_default();
        let rest = stream::try_unfold(export, |mut export| async move {
            let piece = export.next().await.map_err(Error::from)?;
            Ok::<_, Error>(piece.map(|piece| (piece, export)))
        });
        let mut response = answer.into_response();
        *response.body_mut() = Body::from_stream(stream::once(async { Ok(first) }).chain(rest));
        Ok(response)
    }

    /// Reads the rows and answers them.
    pub(super) async fn run(&self, conn: &Conn, tenant: TenantId) -> RestResult<Answer> {
        let read = &self.read;
        let found = execute::read(conn, tenant, read, self.form.prefer.count, !self.head).await?;
        let shown = match found.total {
            Some(total) if self.head => (total - read.offset).clamp(0, read.limit.unwrap_or(i64::MAX)),
            _ => i64::try_from(found.rows.len()).unwrap_or(i64::MAX),
        };
        if let Some(total) = found.total.filter(|total| read.offset > *total) {
            return Err(bad_range(format!("An offset of {} was requested, but there are only {total} rows.", read.offset)));
        }
        let whole = found.total.is_none_or(|total| total == 0 || (read.offset == 0 && shown >= total));
        let body = if self.head { String::new() } else { self.form.body(found.rows)? };
        let mut answer = self.form.answer(if whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT }, body, false);
        // After a cursor nobody knows how many rows were before it.
        let range_of = if read.after.is_some() { 0 } else { shown };
        answer.header(header::CONTENT_RANGE, &content_range(read.offset, range_of, found.total));
        if let (Some(keyset), Some(last)) = (&read.keyset, &found.last)
            && read.limit == Some(shown)
        {
            let cursor = keyset.cursor(last);
            answer.header(HeaderName::from_static("next-cursor"), &cursor);
            if let Some(query) = &self.next {
                answer.header(header::LINK, &format!("<?{query}after=cursor.{cursor}>; rel=\"next\""));
            }
        }
        answer.header(header::CONTENT_LOCATION, &self.location);
        answer.header(header::VARY, "Accept, Prefer, Range");
        if let Some(version) = found.version {
            answer.version(version);
        }
        Ok(answer)
    }
}

/// A query string with room for another cursor.
fn without_cursor(query: &str) -> String {
    let others = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("after=cursor."));
    others.flat_map(|part| [part, "&"]).collect()
}

/// Rows in one page of an answer that is sent as it is read.
const PAGE: i64 = 1000;

/// Rows on their way out, page by page: each page is a read of its own, so that neither rows nor a connection are held for a slow reader.
/// A row that is there throughout comes exactly once.
pub(super) struct Export {
    db: Db,
    tenant: TenantId,
    read: Read,
    form: Form,
    /// How many rows may still come.
    left: i64,
    /// How many rows have come.
    rows: u64,
    is_first: bool,
    is_done: bool,
}

impl Export {
    /// How many rows there are in all.
    pub(super) async fn total(&self) -> RestResult<i64> {
        let nothing = Read { limit: Some(0), ..self.read.clone() };
        Ok(execute::read(&self.db.read().await?, self.tenant, &nothing, Some(Count::Exact), false).await?.total.unwrap_or_default())
    }

    /// How many rows have come.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows, as text; none at the end.
    pub(super) async fn next(&mut self) -> RestResult<Option<String>> {
        if self.is_done {
            return Ok(None);
        }
        let page = self.left.min(PAGE);
        self.read.limit = Some(page);
        let found = execute::read(&self.db.read().await?, self.tenant, &self.read, None, true).await?;
        let count = i64::try_from(found.rows.len()).unwrap_or(i64::MAX);
        self.left -= count;
        self.rows += found.rows.len() as u64;
        self.is_done = count < page || self.left == 0;
        if let (Some(keyset), Some(last)) = (&self.read.keyset, &found.last) {
            self.read.after = Some(keyset.after(last)?);
        }
        let piece = self.form.shape.piece(self.form.local(found.rows)?, &self.form.keys, self.is_first)?;
        self.is_first = false;
        Ok(Some(piece))
    }
}

fn content_range(offset: i64, shown: i64, total: Option<i64>) -> String {
    let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    if shown > 0 { format!("{offset}-{}/{total}", offset + shown - 1) } else { format!("*/{total}") }
}

impl WriteJob {
    /// Writes the rows and answers what was done.
    pub(super) async fn run(&self, tx: &Tx, context: &Context) -> RestResult<Answer> {
        let written = execute::write(tx, context, &self.write, &self.wishes).await?;
        self.answer(written)
    }

    /// Whether what is written is to be undone once it is answered.
    pub(super) fn rolls_back(&self) -> bool {
        self.form.prefer.tx == Some(TxEnd::Rollback)
    }

    fn answer(&self, written: Written) -> RestResult<Answer> {
        let total = if self.form.prefer.count.is_some() { written.touched.len().to_string() } else { "*".to_owned() };
        let (status, range) = match self.write {
            Write::Undelete(_) => (StatusCode::OK, format!("0-0/{total}")),
            Write::Reveal(_) => (StatusCode::OK, content_range(0, i64::try_from(written.touched.len()).unwrap_or(i64::MAX), None)),
            Write::Insert(_) if self.method == Method::PUT => {
                (if written.made_any { StatusCode::CREATED } else { StatusCode::NO_CONTENT }, format!("*/{total}"))
            }
            Write::Insert(_) => {
                let all_updated = self.form.prefer.resolution == Some(Resolution::Merge) && !written.made_any && !written.touched.is_empty();
                (if all_updated { StatusCode::OK } else { StatusCode::CREATED }, format!("*/{total}"))
            }
            Write::Update(_) | Write::UpdateEach(_) if !written.touched.is_empty() => {
                (StatusCode::NO_CONTENT, format!("0-{}/{total}", written.touched.len() - 1))
            }
            _ => (StatusCode::NO_CONTENT, format!("*/{total}")),
        };
        let mut answer = if let Some(rows) = written.rows {
            let status = if status == StatusCode::NO_CONTENT { StatusCode::OK } else { status };
            self.form.answer(status, self.form.body(rows)?, true)
        } else {
            let mut answer = self.form.answer(status, String::new(), true);
            answer.headers.remove(header::CONTENT_TYPE);
            answer
        };
        if let [(id, version)] = written.touched[..] {
            if self.form.prefer.returning == Some(Return::HeadersOnly) && self.method == Method::POST {
                let key = self.table.primary_key.first().map_or("id", String::as_str);
                answer.header(header::LOCATION, &format!("/{}?{key}=eq.{id}", self.table.name));
            }
            if self.tells_version && !matches!(self.write, Write::Delete(_)) {
                answer.version(version);
            }
        }
        answer.header(header::CONTENT_RANGE, &range);
        Ok(answer)
    }
}

impl Form {
    fn body(&self, rows: Vec<String>) -> RestResult<String> {
        self.shape.body(self.local(rows)?, &self.keys)
    }

    fn local(&self, rows: Vec<String>) -> RestResult<Vec<String>> {
        match &self.local {
            Some(local) => rows.into_iter().map(|row| local.moved(row)).collect(),
            None => Ok(rows),
        }
    }

    fn answer(&self, status: StatusCode, body: String, of_write: bool) -> Answer {
        let mut answer = Answer::new(status, body);
        answer.header(header::CONTENT_TYPE, self.shape.content_type());
        if let Some(applied) = self.prefer.applied(of_write) {
            answer.header(HeaderName::from_static("preference-applied"), &applied);
        }
        answer
    }
}

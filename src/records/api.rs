//! `/rest/v1`: one handler for each method, for every table of the catalog.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequestParts, Path, Request, State},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use utoipa_axum::router::OpenApiRouter;

use super::{
    body,
    catalog::{Catalog, Table},
    document,
    error::{RestError, RestResult},
    execute::{self, Wishes, Write, Written},
    parse::{Door, Missing, Prefer, QueryString, Resolution, Return},
    plan::{Output, Read},
    resolve::{MAX_ROWS, Resolver, Upsert, bad_range},
    rights::Asker,
    shape::{Kind, Shape},
};
use crate::{
    app::App,
    auth::{Caller, Principal},
    error::Error,
    http::{body as http_body, report},
};

/// The routes of this room, and what the document says of them: a path of its own for every table.
pub fn router() -> OpenApiRouter<App> {
    let mut router = OpenApiRouter::new();
    for table in Catalog::built_in().tables() {
        router = router.routes(document::routes(table, methods(&table.name)));
        if table.searchable {
            router = router.routes(document::search_route(table, search_method(&table.name)));
        }
    }
    // Tables that are not there get the wire's own refusal.
    router.route("/rest/v1/{table}", axum::routing::any(unknown_table))
}

fn methods(table: &str) -> MethodRouter<App> {
    let name: Arc<str> = table.into();
    let handle = move |State(app): State<App>, request: Request| answer(app, Arc::clone(&name), Door::Table, request);
    axum::routing::any(handle)
}

fn search_method(table: &str) -> MethodRouter<App> {
    let name: Arc<str> = table.into();
    axum::routing::get(move |State(app): State<App>, request: Request| answer(app, Arc::clone(&name), Door::Search, request))
}

async fn unknown_table(State(app): State<App>, Path(table): Path<String>, request: Request) -> Response {
    answer(app, table.into(), Door::Table, request).await
}

/// Any request: the caller first, so that nothing is said to whom nothing may be said.
async fn answer(app: App, table: Arc<str>, door: Door, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return options();
    }
    let caller = match Caller::from_request_parts(&mut parts, &app).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    serve(&app, &caller, &table, door, &parts, body).await.unwrap_or_else(IntoResponse::into_response)
}

fn options() -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("OPTIONS,GET,HEAD,POST,PATCH,DELETE"));
    response
}

/// A request that was understood.
struct Asked<'r> {
    app: &'r App,
    caller: &'r Caller,
    resolver: Resolver<'r>,
    table: Arc<Table>,
    query: QueryString,
    prefer: Prefer,
    shape: Shape,
    parts: &'r Parts,
}

async fn serve(app: &App, caller: &Caller, table: &str, door: Door, parts: &Parts, body: Body) -> RestResult<Response> {
    check_profile(parts)?;
    let asker = Asker::of(&caller.principal);
    let resolver = Resolver { catalog: Catalog::built_in(), asker: &asker, tenant: caller.tenant.id.number(), now: app.clock.now() };
    let table = resolver.table(table)?;
    let query = QueryString::parse(parts.uri.query().unwrap_or_default(), door)?;
    let prefer = Prefer::parse(parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()))?;
    let shape = Shape::of(&all_of(&parts.headers, "accept"))?;
    let request = Asked { app, caller, resolver, table, query, prefer, shape, parts };
    match (&parts.method, door) {
        (&Method::GET | &Method::HEAD, _) => get(request).await,
        (&Method::POST, Door::Table) => post(request, body).await,
        (&Method::PATCH, Door::Table) => patch(request, body).await,
        (&Method::DELETE, Door::Table) => delete(request).await,
        (method, _) => Err(RestError::new("PGRST117", format!("Unsupported HTTP method: {method}"))),
    }
}

/// There is one schema; clients name it all the same.
fn check_profile(parts: &Parts) -> RestResult<()> {
    let name = if matches!(parts.method, Method::GET | Method::HEAD) { "accept-profile" } else { "content-profile" };
    match parts.headers.get(name).map(|value| value.to_str().unwrap_or_default()) {
        None | Some("" | "public") => Ok(()),
        Some(other) => Err(RestError::new("PGRST106", format!("Invalid schema: {other}")).hint("Only the following schemas are exposed: public")),
    }
}

fn all_of(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

impl Asker {
    /// Who asks, as far as rights go.
    pub fn of(principal: &Principal) -> Self {
        match principal {
            Principal::Anon => Self::Anonymous,
            Principal::Service => Self::Service,
            Principal::Key(key) => Self::Key(key.scopes.to_string().split([' ', ',']).map(str::to_owned).collect()),
            Principal::User(user) => Self::User { roles: user.roles.iter().map(str::to_owned).collect(), employee: user.employee_id },
        }
    }
}

async fn get(asked: Asked<'_>) -> RestResult<Response> {
    let mut read = asked.resolver.read(&asked.table, &asked.query)?;
    if asked.parts.method == Method::GET {
        within_range(&mut read, &asked.parts.headers)?;
    }
    // HEAD wants no rows, but it says how many there are.
    let head = asked.parts.method == Method::HEAD && asked.shape.kind != Kind::Object;
    let counted = asked.prefer.count.is_some();
    let found = execute::read(&asked.app.db, asked.caller.tenant.id, &read, counted, !head).await?;
    let shown = match found.total {
        Some(total) if head => (total - read.offset).clamp(0, read.limit.unwrap_or(MAX_ROWS)),
        _ => i64::try_from(found.rows.len()).unwrap_or(i64::MAX),
    };
    if let Some(total) = found.total.filter(|total| read.offset > *total) {
        return Err(bad_range(format!("An offset of {} was requested, but there are only {total} rows.", read.offset)));
    }
    let whole = found.total.is_none_or(|total| total == 0 || (read.offset == 0 && shown >= total));
    let body = if head { String::new() } else { asked.shape.body(found.rows, &keys(&read))? };
    let mut response = asked.response(if whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT }, body, false);
    insert(&mut response, header::CONTENT_RANGE, &content_range(read.offset, shown, found.total));
    if let Some(location) = asked.parts.uri.path_and_query() {
        insert(&mut response, header::CONTENT_LOCATION, location.as_str().trim_start_matches("/rest/v1"));
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept, Prefer, Range"));
    Ok(response)
}

fn content_range(offset: i64, shown: i64, total: Option<i64>) -> String {
    let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    if shown > 0 { format!("{offset}-{}/{total}", offset + shown - 1) } else { format!("*/{total}") }
}

/// `Range: 0-49` narrows the page that `limit` and `offset` gave.
fn within_range(read: &mut Read, headers: &HeaderMap) -> RestResult<()> {
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
        read.limit = Some(read.limit.unwrap_or(MAX_ROWS).min(rows));
    }
    Ok(())
}

async fn post(asked: Asked<'_>, body: Body) -> RestResult<Response> {
    let upsert = Upsert { resolution: asked.prefer.resolution, missing: asked.prefer.missing.unwrap_or(Missing::Null) };
    let rows = asked.body(body).await?;
    let plan = asked.resolver.insert(&asked.table, &asked.query, rows, upsert)?;
    let written = asked.write(Write::Insert(plan)).await?;
    let all_updated = asked.prefer.resolution == Some(Resolution::Merge) && !written.made_any && !written.ids.is_empty();
    let status = if all_updated { StatusCode::OK } else { StatusCode::CREATED };
    let range = format!("*/{}", asked.counted(&written));
    asked.written(status, written, &range)
}

async fn patch(asked: Asked<'_>, body: Body) -> RestResult<Response> {
    let rows = asked.body(body).await?;
    let plan = asked.resolver.update(&asked.table, &asked.query, rows)?;
    let written = asked.write(Write::Update(plan)).await?;
    let total = asked.counted(&written);
    let range = if written.ids.is_empty() { format!("*/{total}") } else { format!("0-{}/{total}", written.ids.len() - 1) };
    asked.written(StatusCode::NO_CONTENT, written, &range)
}

async fn delete(asked: Asked<'_>) -> RestResult<Response> {
    let plan = asked.resolver.delete(&asked.table, &asked.query)?;
    let written = asked.write(Write::Delete(plan)).await?;
    let range = format!("*/{}", asked.counted(&written));
    asked.written(StatusCode::NO_CONTENT, written, &range)
}

impl Asked<'_> {
    async fn body(&self, body: Body) -> RestResult<super::resolve::Body> {
        let limit = self.app.config.http.max_json_bytes;
        let bytes = http_body::read_bytes(body, limit).await.map_err(|error| match error {
            http_body::BodyError::TooLarge { .. } => RestError::new("PGRST413", error.to_string()).hint("Send fewer rows at a time."),
            _ => RestError::new("PGRST102", error.to_string()),
        })?;
        let content_type = self.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        body::read(content_type, &bytes, self.query.columns.as_deref())
    }

    fn returns(&self) -> Return {
        self.prefer.returning.unwrap_or(Return::Minimal)
    }

    async fn write(&self, write: Write) -> RestResult<Written> {
        let representation = match self.returns() {
            Return::Representation => Some(self.resolver.representation(&self.table, &self.query)?),
            _ => None,
        };
        let single = self.shape.kind == Kind::Object && representation.is_some();
        let max_affected = self.prefer.max_affected.filter(|_| !matches!(write, Write::Insert(_)));
        let wishes = Wishes { representation, single, max_affected };
        execute::write(&self.app.db, self.caller.tenant.id, self.resolver.now, write, wishes).await
    }

    fn counted(&self, written: &Written) -> String {
        if self.prefer.count.is_some() { written.ids.len().to_string() } else { "*".to_owned() }
    }

    fn written(&self, status: StatusCode, written: Written, range: &str) -> RestResult<Response> {
        let mut response = if let Some(rows) = written.rows {
            let status = if status == StatusCode::NO_CONTENT { StatusCode::OK } else { status };
            let read = self.resolver.representation(&self.table, &self.query)?;
            self.response(status, self.shape.body(rows, &keys(&read))?, true)
        } else {
            let mut response = self.response(status, String::new(), true);
            response.headers_mut().remove(header::CONTENT_TYPE);
            response
        };
        if let (Return::HeadersOnly, [id], true) = (self.returns(), &written.ids[..], self.parts.method == Method::POST) {
            let key = self.table.primary_key.first().map_or("id", String::as_str);
            insert(&mut response, header::LOCATION, &format!("/{}?{key}=eq.{id}", self.table.name));
        }
        insert(&mut response, header::CONTENT_RANGE, range);
        Ok(response)
    }

    fn response(&self, status: StatusCode, body: String, of_write: bool) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.shape.content_type()));
        if let Some(applied) = self.prefer.applied(of_write) {
            insert(&mut response, header::HeaderName::from_static("preference-applied"), &applied);
        }
        response
    }
}

fn keys(read: &Read) -> Vec<&str> {
    read.output.iter().map(Output::key).collect()
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            let request = report(&Error::internal(cause.clone()));
            let named = Self { cause: None, ..self }.hint(format!("The request is known to the log as {request}."));
            return named.into_response();
        }
        let mut response = Response::new(Body::from(self.body().to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        insert(&mut response, header::HeaderName::from_static("proxy-status"), &format!("PostgREST; error={}", self.code));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::RANGE_NOT_SATISFIABLE {
            response.headers_mut().insert(header::CONTENT_RANGE, HeaderValue::from_static("*/*"));
        }
        response
    }
}

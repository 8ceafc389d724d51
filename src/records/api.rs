//! `/rest/v1`: one handler for each method, for every table of the catalog.

use std::{future::Future, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, Path, Request, State},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use utoipa_axum::router::OpenApiRouter;

use super::{
    answer::Answer,
    batch::Batch,
    catalog::Catalog,
    document,
    error::{RestError, RestResult},
    execute::Context,
    function::{FUNCTIONS, Function},
    history::Author,
    idempotency::Once,
    job::{Ask, Job},
    load::{self, Load, Wanted},
    parse::Door,
    policy,
    resolve::Resolver,
    rights::Asker,
    scim,
};
use crate::{
    app::App,
    auth::Caller,
    db::Tx,
    error::Error,
    http::{body as http_body, report},
};

/// The routes of this room, and what the document says of them: a path of its own for every table.
pub fn router() -> OpenApiRouter<App> {
    let mut router = policy::router().merge(scim::router());
    for table in Catalog::built_in().tables() {
        router = router.routes(document::routes(table, methods(&table.name)));
        router = router.routes(document::query_route(table, query_method(&table.name)));
        if !table.read_only {
            router = router.routes(document::load_route(table, load_method(&table.name)));
        }
        if table.searchable {
            router = router.routes(document::search_route(table, search_method(&table.name)));
        }
    }
    router = router.routes(document::batch_route(axum::routing::any(batch)));
    for function in FUNCTIONS {
        router = router.routes(document::function_route(function, axum::routing::any(call)));
    }
    router = router.route("/rest/v1/rpc/{function}", axum::routing::any(unknown_function));
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

fn query_method(table: &str) -> MethodRouter<App> {
    let name: Arc<str> = table.into();
    axum::routing::any(move |State(app): State<App>, request: Request| answer(app, Arc::clone(&name), Door::Query, request))
}

fn load_method(table: &str) -> MethodRouter<App> {
    let name: Arc<str> = table.into();
    axum::routing::any(move |State(app): State<App>, request: Request| answer(app, Arc::clone(&name), Door::Load, request))
}

async fn call(State(app): State<App>, request: Request) -> Response {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default().into();
    answer(app, name, Door::Function, request).await
}

async fn unknown_function(State(app): State<App>, Path(function): Path<String>, request: Request) -> Response {
    answer(app, function.into(), Door::Function, request).await
}

async fn unknown_table(State(app): State<App>, Path(table): Path<String>, request: Request) -> Response {
    answer(app, table.into(), Door::Table, request).await
}

async fn batch(State(app): State<App>, request: Request) -> Response {
    answer(app, "_batch".into(), Door::Batch, request).await
}

/// Any request: the caller first, so that nothing is said to whom nothing may be said.
async fn answer(app: App, table: Arc<str>, door: Door, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return options(door);
    }
    let caller = match Caller::from_request_parts(&mut parts, &app).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    serve(&app, &caller, &table, door, &parts, body).await.unwrap_or_else(IntoResponse::into_response)
}

fn options(door: Door) -> Response {
    let mut response = Response::new(Body::empty());
    let allowed = match door {
        Door::Table => "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE",
        Door::Function => "OPTIONS,GET,HEAD,POST",
        Door::Search => "OPTIONS,GET,HEAD",
        Door::Query | Door::Batch | Door::Load => "OPTIONS,POST",
    };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn serve(app: &App, caller: &Caller, table: &str, door: Door, parts: &Parts, body: Body) -> RestResult<Response> {
    let context = Context { tenant: caller.tenant.id, now: app.clock.now(), author: Some(Author::here()), key: Arc::clone(&app.master_key) };
    let settings = &caller.tenant.settings.records;
    let asker = Asker::of(&caller.principal, settings);
    if door == Door::Batch {
        if parts.method != Method::POST {
            return Err(RestError::new("PGRST117", format!("Unsupported HTTP method: {}", parts.method)));
        }
        let body = read_body(app, body).await?;
        let batch = Batch::parse(asker, settings, app.config.records.max_rows, &body)?;
        let (clock, place) = (app.clock.clone(), context.clone());
        let once = once(app, caller, parts, &body)?;
        let run = move |tx: Arc<Tx>| async move { batch.run(&tx, &place, &clock).await };
        return Ok(write(app, context, once, false, run).await?.into_response());
    }
    let resolver = Resolver {
        catalog: Catalog::built_in(),
        asker: &asker,
        tenant: context.tenant.number(),
        now: context.now,
        aggregates: settings.aggregates,
        key: &app.master_key,
        custom_schema: settings.custom_schema.as_ref(),
        max_rows: app.config.records.max_rows,
    };
    // Whoever may not touch the table need not send its rows first.
    match door {
        Door::Function if !asker.is_anonymous() => resolver.may_read(Function::find(table)?.table())?,
        _ => drop(resolver.table(table)?),
    }
    if door == Door::Load {
        if parts.method != Method::POST {
            return Err(RestError::new("PGRST117", format!("Unsupported HTTP method: {}", parts.method)));
        }
        let (catalog, table) = (Arc::clone(Catalog::built_in()), resolver.table(table)?);
        load::allowed(&resolver, &table)?;
        let Wanted { query, upsert, mode, format, applied } = Wanted::parse(parts.uri.query().unwrap_or_default(), &parts.headers)?;
        let custom_schema = settings.custom_schema.clone();
        let load = Load { catalog, table, asker: asker.clone(), custom_schema, query, upsert, mode, format, context };
        return Ok(load.run(app, body, applied.as_deref()).await?.into_response());
    }
    let body = read_body(app, body).await?;
    let query = parts.uri.query().unwrap_or_default();
    let ask =
        Ask { method: &parts.method, table, door, query, headers: &parts.headers, body: &body, shows_rows: false, may_roll_back: settings.rollback };
    match ask.plan(&resolver)? {
        Job::Read(job) if job.is_paged() => job.stream(app.db.clone(), context.tenant).await,
        Job::Read(job) => Ok(job.run(&app.db.read().await?, context.tenant).await?.into_response()),
        Job::Write(job) => {
            let once = once(app, caller, parts, &body)?;
            let (place, rolls_back) = (context.clone(), job.rolls_back());
            let run = move |tx: Arc<Tx>| async move { job.run(&tx, &place).await };
            Ok(write(app, context, once, rolls_back, run).await?.into_response())
        }
    }
}

async fn read_body(app: &App, body: Body) -> RestResult<Bytes> {
    let limit = app.config.http.max_json_bytes;
    http_body::read_bytes(body, limit).await.map_err(|error| match error {
        http_body::BodyError::TooLarge { .. } => RestError::new("PGRST413", error.to_string()).hint("Send fewer rows at a time."),
        _ => RestError::new("PGRST102", error.to_string()),
    })
}

fn once(app: &App, caller: &Caller, parts: &Parts, body: &[u8]) -> RestResult<Option<Once>> {
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |target| target.as_str());
    Once::of(app, caller, (&parts.method, target, &parts.headers, body))
}

/// What was answered and is undone all the same. It leaves the transaction the way a refusal does.
#[derive(Debug, thiserror::Error)]
#[error("undone, as was asked for")]
struct Undone(Answer);

/// Does a write in one transaction; once, if it has a key.
async fn write<F, Fut>(app: &App, context: Context, once: Option<Once>, rolls_back: bool, run: F) -> RestResult<Answer>
where
    F: FnOnce(Arc<Tx>) -> Fut + Send + 'static,
    Fut: Future<Output = RestResult<Answer>> + Send + 'static,
{
    let operation = async move |tx: Arc<Tx>| -> RestResult<Answer> {
        let Some(once) = once else { return run(tx).await };
        if let Some(earlier) = once.earlier(&tx, context.tenant, context.now).await? {
            return Ok(earlier);
        }
        let answer = run(Arc::clone(&tx)).await?;
        once.keep(&tx, context.tenant, &answer).await?;
        Ok(answer)
    };
    let ended = app.db.write(move |tx| async move {
        let answer = operation(Arc::new(tx)).await?;
        if rolls_back { Err(Error::internal(Undone(answer))) } else { Ok(answer) }
    });
    match ended.await {
        Err(Error::Internal(source)) => source.downcast::<Undone>().map_or_else(|source| Err(Error::Internal(source).into()), |undone| Ok(undone.0)),
        other => Ok(other?),
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            let request = report(&Error::internal(cause.clone()));
            let named = Self { cause: None, ..self }.hint(format!("The request is known to the log as {request}."));
            return named.into_response();
        }
        let mut answer = Answer::new(self.status, self.body().to_string());
        answer.header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        answer.header(header::HeaderName::from_static("proxy-status"), &format!("PostgREST; error={}", self.code));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.header(header::RETRY_AFTER, "1");
        }
        if self.status == StatusCode::RANGE_NOT_SATISFIABLE {
            answer.header(header::CONTENT_RANGE, "*/*");
        }
        if let Some(version) = self.version {
            answer.version(version.get());
        }
        answer.into_response()
    }
}

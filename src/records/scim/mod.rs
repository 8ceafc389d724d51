//! SCIM 2.0 at `/scim/v2` (RFC 7643, 7644): a directory's joiners and leavers become employees.
//!
//! Users are employees, groups are `employee_groups`. A resource is made of rows ([`user`], [`group`]), a change is made on it as JSON
//! ([`patch`]), and what it then says is written back through the plans that every write of records is, with their checks and history. Who is
//! deactivated is suspended; who is deleted is terminated, gone for the directory, and stays in the books. Only keys come in: secret ones,
//! and function keys with the scopes `scim:read` and `scim:write`, which open nothing else.

mod discovery;
mod error;
mod filter;
mod group;
mod patch;
mod user;

use std::{future::Future, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, Path, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use serde_json::{Map, Value as Json, json};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::error::{CONTENT_TYPE, ScimError};
use super::{
    catalog::{Catalog, Table},
    execute::{self, Context, Wishes, Write},
    history::Author,
    parse::{IfMatch, Missing, QueryString, Resolution},
    plan::{Expr, Order, OrderBy, Read, Scalar},
    resolve::{Body as Rows, Cell, Resolver, Upsert},
    rights::Asker,
};
use crate::{
    app::App,
    auth::{Caller, Principal},
    db::{Conn, Tx},
    error::Error,
    http::body as http_body,
    tenants::Action,
};

/// The routes of a directory.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_scim_users, create_scim_user))
        .routes(routes!(get_scim_user, replace_scim_user, update_scim_user, delete_scim_user))
        .routes(routes!(list_scim_groups, create_scim_group))
        .routes(routes!(get_scim_group, replace_scim_group, update_scim_group, delete_scim_group))
        .routes(routes!(get_scim_config))
        .routes(routes!(list_scim_resource_types))
        .routes(routes!(get_scim_resource_type))
        .routes(routes!(list_scim_schemas))
        .routes(routes!(get_scim_schema))
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Group,
}

/// The tenant that a request is about, and how.
#[derive(Clone)]
struct Place {
    context: Context,
    /// Where its resources are.
    base: String,
    custom_schema: Option<Json>,
    max_rows: i64,
    asker: Asker,
}

impl Place {
    async fn enter(app: &App, parts: &mut Parts, action: Action) -> Result<Self, ScimError> {
        let refused = |refusal: Response| ScimError::new(refusal.status(), "a secret key of the tenant is asked for, as a bearer token");
        let caller = Caller::from_request_parts(parts, app).await.map_err(refused)?;
        let may = match &caller.principal {
            Principal::Service => true,
            Principal::Key(key) => key.scopes.allow("scim", action),
            Principal::Anon | Principal::User(_) => false,
        };
        if !may {
            return Err(ScimError::new(StatusCode::FORBIDDEN, "the key has not the scope for it: scim:read, scim:write"));
        }
        let issuer = &caller.tenant.issuer;
        Ok(Self {
            context: Context { tenant: caller.tenant.id, now: app.clock.now(), author: Some(Author::here()), key: Arc::clone(&app.master_key) },
            base: format!("{}/scim/v2", issuer.strip_suffix("/auth/v1").unwrap_or(issuer)),
            custom_schema: caller.tenant.settings.records.custom_schema.clone(),
            max_rows: app.config.records.max_rows,
            asker: Asker::service(),
        })
    }

    fn resolver(&self) -> Resolver<'_> {
        Resolver {
            catalog: Catalog::built_in(),
            asker: &self.asker,
            tenant: self.context.tenant.number(),
            now: self.context.now,
            aggregates: false,
            key: &self.context.key,
            custom_schema: self.custom_schema.as_ref(),
            max_rows: self.max_rows,
        }
    }

    fn table(name: &str) -> Result<&'static Arc<Table>, ScimError> {
        Catalog::built_in().table(name).ok_or_else(|| Error::internal(format!("the catalog has no {name}")).into())
    }

    /// Rows that fit, a page of them or all, and how many there are.
    async fn rows(&self, conn: &Conn, table: &str, query: &QueryString, fits: Expr, page: Option<(i64, i64)>) -> Result<(Vec<Json>, i64), ScimError> {
        let table = Self::table(table)?;
        let mut read: Read = self.resolver().read(table, query, page.is_none())?;
        read.filter = read.filter.and(fits);
        let by_id = table.column("id").map(|id| Order { by: OrderBy::Value(Scalar::column(id)), descending: false, nulls_first: false });
        read.order = by_id.into_iter().collect();
        let counted = page.map(|(offset, limit)| {
            (read.offset, read.limit) = (offset, Some(limit));
            super::parse::Count::Exact
        });
        let found = execute::read(conn, self.context.tenant, &read, counted, true).await?;
        let rows = found.rows.iter().map(|row| serde_json::from_str(row).map_err(Error::from)).collect::<Result<Vec<Json>, _>>()?;
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        Ok((rows, found.total.unwrap_or(count)))
    }

    /// Makes a row, or, when that is asked for, changes the one with its key.
    async fn insert(&self, tx: &Tx, table: &str, row: Map<String, Json>, merge: bool) -> Result<Uuid, ScimError> {
        let body = rows_of([row]);
        let upsert = Upsert { resolution: merge.then_some(Resolution::Merge), missing: Missing::Default };
        let plan = self.resolver().insert(Self::table(table)?, &QueryString::default(), body, upsert)?;
        let made = execute::insert(tx, &self.context, &plan).await?;
        made.first().map(|(id, _)| *id).ok_or_else(|| Error::internal("a row was not made").into())
    }

    /// Changes a row, in the version that was asked for.
    async fn update(&self, tx: &Tx, table: &str, id: Uuid, row: Map<String, Json>, if_match: Option<IfMatch>) -> Result<(), ScimError> {
        let (query, _) = QueryString::parse(&format!("id=eq.{id}"), &[])?;
        let plan = self.resolver().update(Self::table(table)?, &query, rows_of([row]), if_match)?;
        execute::write(tx, &self.context, &Write::Update(plan), &NO_WISHES).await?;
        Ok(())
    }

    /// Removes rows, in the version that was asked for.
    async fn delete(&self, tx: &Tx, table: &str, query: &str, if_match: Option<IfMatch>) -> Result<usize, ScimError> {
        let (query, _) = QueryString::parse(query, &[])?;
        let plan = self.resolver().delete(Self::table(table)?, &query, if_match)?;
        Ok(execute::write(tx, &self.context, &Write::Delete(plan), &NO_WISHES).await?.touched.len())
    }
}

const NO_WISHES: Wishes = Wishes { representation: None, single: false, max_affected: None };

fn rows_of(rows: impl IntoIterator<Item = Map<String, Json>>) -> Rows {
    let mut keys: Vec<String> = Vec::new();
    let rows: Vec<Map<String, Json>> = rows.into_iter().collect();
    for key in rows.iter().flat_map(Map::keys) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    let cells = |row: &Map<String, Json>| keys.iter().map(|key| row.get(key).cloned().map(Cell::Json)).collect();
    let rows = rows.iter().map(cells).collect();
    Rows { keys, rows }
}

/// What a list is asked for.
struct Page {
    filter: Option<filter::Filter>,
    start: i64,
    count: i64,
    wanted: Wanted,
}

/// The attributes that are asked for.
#[derive(Default)]
struct Wanted {
    only: Vec<String>,
    without: Vec<String>,
}

impl Page {
    fn parse(query: &str) -> Result<Self, ScimError> {
        let mut page = Self { filter: None, start: 1, count: discovery::MOST, wanted: Wanted::default() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let number = || value.parse::<i64>().map_err(|_| ScimError::value(format!("{name} is a number, not \"{value}\"")));
            match name.to_ascii_lowercase().as_str() {
                "filter" => page.filter = Some(filter::Filter::parse(&value)?),
                // What is less than the first is the first.
                "startindex" => page.start = number()?.max(1),
                "count" => page.count = number()?.clamp(0, discovery::MOST),
                "attributes" => page.wanted.only = names(&value),
                "excludedattributes" => page.wanted.without = names(&value),
                _ => {}
            }
        }
        Ok(page)
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect()
}

impl Wanted {
    /// Whether an attribute is asked for, by its name or by one of its parts.
    fn has(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let is_of = |asked: &String| *asked == name || asked.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['.', ':']));
        (self.only.is_empty() || self.only.iter().any(is_of)) && !self.without.contains(&name)
    }

    fn of(&self, mut resource: Map<String, Json>) -> Map<String, Json> {
        resource.retain(|name, _| matches!(name.as_str(), "schemas" | "id") || self.has(name));
        resource
    }
}

fn answer(status: StatusCode, body: &Json) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    for (name, member) in [(header::ETAG, "version"), (header::LOCATION, "location")] {
        if let Some(value) = body["meta"][member].as_str().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

fn list(resources: &[Json], total: i64, start: i64) -> Json {
    json!({ "schemas": [discovery::LIST], "totalResults": total, "startIndex": start, "itemsPerPage": resources.len(), "Resources": resources })
}

fn id_of(text: &str) -> Result<Uuid, ScimError> {
    text.parse().map_err(|_| ScimError::missing(text))
}

async fn read_body(app: &App, body: Body) -> Result<Map<String, Json>, ScimError> {
    let bytes = http_body::read_bytes(body, app.config.http.max_json_bytes).await;
    let bytes = bytes.map_err(|error| match error {
        http_body::BodyError::TooLarge { .. } => ScimError::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        error => ScimError::syntax(error.to_string()),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| ScimError::syntax(format!("the body should be a JSON object: {error}")))
}

fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, ScimError> {
    Ok(IfMatch::parse(headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok()))?)
}

impl Kind {
    async fn find(self, place: &Place, conn: &Conn, id: Uuid, wanted: &Wanted) -> Result<Map<String, Json>, ScimError> {
        match self {
            Self::User => place.user(conn, id).await.map(|row| user::shown(&row, &place.base)),
            Self::Group => place.group(conn, id, wanted.has("members")).await,
        }
    }

    async fn list(self, app: &App, request: Request) -> Result<Response, ScimError> {
        let (mut parts, _) = request.into_parts();
        let place = Place::enter(app, &mut parts, Action::Read).await?;
        let page = Page::parse(parts.uri.query().unwrap_or_default())?;
        let conn = app.db.read().await?;
        let (resources, total) = match self {
            Self::User => place.users(&conn, &page).await?,
            Self::Group => place.groups(&conn, &page).await?,
        };
        let resources: Vec<Json> = resources.into_iter().map(|resource| Json::Object(page.wanted.of(resource))).collect();
        Ok(answer(StatusCode::OK, &list(&resources, total, page.start)))
    }

    async fn get(self, app: &App, id: &str, request: Request) -> Result<Response, ScimError> {
        let (mut parts, _) = request.into_parts();
        let place = Place::enter(app, &mut parts, Action::Read).await?;
        let wanted = Page::parse(parts.uri.query().unwrap_or_default())?.wanted;
        let resource = self.find(&place, &app.db.read().await?, id_of(id)?, &wanted).await?;
        let response = answer(StatusCode::OK, &Json::Object(resource.clone()));
        let known = parts.headers.get(header::IF_NONE_MATCH);
        if known.is_some() && known == response.headers().get(header::ETAG) {
            return Ok(StatusCode::NOT_MODIFIED.into_response());
        }
        let (parts, _) = response.into_parts();
        Ok(Response::from_parts(parts, Body::from(Json::Object(wanted.of(resource)).to_string())))
    }

    async fn create(self, app: &App, request: Request) -> Result<Response, ScimError> {
        let (mut parts, body) = request.into_parts();
        let place = Place::enter(app, &mut parts, Action::Write).await?;
        let resource = read_body(app, body).await?;
        let made = in_transaction(app, move |tx: Arc<Tx>| async move {
            let id = match self {
                Self::User => place.create_user(&tx, &resource).await?,
                Self::Group => place.write_group(&tx, None, &resource, None).await?,
            };
            self.find(&place, &tx, id, &Wanted::default()).await
        });
        Ok(answer(StatusCode::CREATED, &Json::Object(made.await?)))
    }

    /// A change replaces the whole resource, or makes the changes that a list of them says.
    async fn write(self, app: &App, id: &str, request: Request, patches: bool) -> Result<Response, ScimError> {
        let (mut parts, body) = request.into_parts();
        let place = Place::enter(app, &mut parts, Action::Write).await?;
        let (id, if_match) = (id_of(id)?, if_match(&parts.headers)?);
        let said = read_body(app, body).await?;
        let written = in_transaction(app, move |tx: Arc<Tx>| async move {
            let mut resource = self.find(&place, &tx, id, &Wanted::default()).await?;
            if patches {
                patch::apply(&mut resource, &Json::Object(said))?;
            } else {
                resource = said;
            }
            match self {
                Self::User => place.change_user(&tx, id, &resource, if_match).await?,
                Self::Group => drop(place.write_group(&tx, Some(id), &resource, if_match).await?),
            }
            self.find(&place, &tx, id, &Wanted::default()).await
        });
        let written = written.await?;
        // Directories change groups member by member and don't look at the answer, which may be long.
        if patches && self == Self::Group {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        Ok(answer(StatusCode::OK, &Json::Object(written)))
    }

    async fn delete(self, app: &App, id: &str, request: Request) -> Result<Response, ScimError> {
        let (mut parts, _) = request.into_parts();
        let place = Place::enter(app, &mut parts, Action::Write).await?;
        let (id, if_match) = (id_of(id)?, if_match(&parts.headers)?);
        let gone = in_transaction(app, move |tx: Arc<Tx>| async move {
            match self {
                Self::User => place.remove_user(&tx, id, if_match).await,
                Self::Group => {
                    place.group(&tx, id, false).await?;
                    place.delete(&tx, "employee_groups", &format!("id=eq.{id}"), if_match).await.map(drop)
                }
            }
        });
        gone.await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}

async fn in_transaction<T, F, Fut>(app: &App, run: F) -> Result<T, ScimError>
where
    T: Send + 'static,
    F: FnOnce(Arc<Tx>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, ScimError>> + Send + 'static,
{
    Ok(app.db.write(move |tx| async move { run(Arc::new(tx)).await.map_err(Error::internal) }).await?)
}

fn done(outcome: Result<Response, ScimError>) -> Response {
    outcome.unwrap_or_else(IntoResponse::into_response)
}

/// The users that fit a filter, in the order of their ids.
#[utoipa::path(get, path = "/scim/v2/Users", tag = "scim", params(
    ("filter" = Option<String>, Query, description = "`userName eq \"bea@example.com\"`"), ("startIndex" = Option<i64>, Query), ("count" = Option<i64>, Query),
    ("attributes" = Option<String>, Query), ("excludedAttributes" = Option<String>, Query)), security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 400, body = Object), (status = 401, body = Object), (status = 403, body = Object)))]
async fn list_scim_users(State(app): State<App>, request: Request) -> Response {
    done(Kind::User.list(&app, request).await)
}

/// Makes an employee of a user.
#[utoipa::path(post, path = "/scim/v2/Users", tag = "scim", request_body = Object, security(("apikey" = [])), responses(
    (status = 201, body = Object), (status = 400, body = Object), (status = 401, body = Object), (status = 403, body = Object), (status = 409, body = Object)))]
async fn create_scim_user(State(app): State<App>, request: Request) -> Response {
    done(Kind::User.create(&app, request).await)
}

/// One user.
#[utoipa::path(get, path = "/scim/v2/Users/{id}", tag = "scim", params(("id" = Uuid, Path)), security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 304), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object)))]
async fn get_scim_user(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    done(Kind::User.get(&app, &id, request).await)
}

/// Replaces what a directory says of a user.
#[utoipa::path(put, path = "/scim/v2/Users/{id}", tag = "scim", params(("id" = Uuid, Path)), request_body = Object, security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 400, body = Object), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object), (status = 409, body = Object), (status = 412, body = Object)))]
async fn replace_scim_user(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    done(Kind::User.write(&app, &id, request, false).await)
}

/// Changes a user. `active` false suspends the employee.
#[utoipa::path(patch, path = "/scim/v2/Users/{id}", tag = "scim", params(("id" = Uuid, Path)), request_body = Object, security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 400, body = Object), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object), (status = 409, body = Object), (status = 412, body = Object)))]
async fn update_scim_user(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    done(Kind::User.write(&app, &id, request, true).await)
}

/// Terminates the employee, who is gone for the directory and stays in the books.
#[utoipa::path(delete, path = "/scim/v2/Users/{id}", tag = "scim", params(("id" = Uuid, Path)), security(("apikey" = [])), responses(
    (status = 204), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object), (status = 412, body = Object)))]
async fn delete_scim_user(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    done(Kind::User.delete(&app, &id, request).await)
}

/// The groups that fit a filter, in the order of their ids.
#[utoipa::path(get, path = "/scim/v2/Groups", tag = "scim", params(
    ("filter" = Option<String>, Query, description = "`displayName eq \"Drivers\"`"), ("startIndex" = Option<i64>, Query), ("count" = Option<i64>, Query),
    ("attributes" = Option<String>, Query), ("excludedAttributes" = Option<String>, Query)), security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 400, body = Object), (status = 401, body = Object), (status = 403, body = Object)))]
async fn list_scim_groups(State(app): State<App>, request: Request) -> Response {
    done(Kind::Group.list(&app, request).await)
}

/// Makes a group.
#[utoipa::path(post, path = "/scim/v2/Groups", tag = "scim", request_body = Object, security(("apikey" = [])), responses(
    (status = 201, body = Object), (status = 400, body = Object), (status = 401, body = Object), (status = 403, body = Object), (status = 409, body = Object)))]
async fn create_scim_group(State(app): State<App>, request: Request) -> Response {
    done(Kind::Group.create(&app, request).await)
}

/// One group.
#[utoipa::path(get, path = "/scim/v2/Groups/{id}", tag = "scim", params(("id" = Uuid, Path)), security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 304), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object)))]
async fn get_scim_group(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    done(Kind::Group.get(&app, &id, request).await)
}

/// Replaces a group and who is in it.
#[utoipa::path(put, path = "/scim/v2/Groups/{id}", tag = "scim", params(("id" = Uuid, Path)), request_body = Object, security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 400, body = Object), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object), (status = 409, body = Object), (status = 412, body = Object)))]
async fn replace_scim_group(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    done(Kind::Group.write(&app, &id, request, false).await)
}

/// Changes a group: its name, who comes and who goes.
#[utoipa::path(patch, path = "/scim/v2/Groups/{id}", tag = "scim", params(("id" = Uuid, Path)), request_body = Object, security(("apikey" = [])), responses(
    (status = 204), (status = 400, body = Object), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object), (status = 409, body = Object), (status = 412, body = Object)))]
async fn update_scim_group(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    done(Kind::Group.write(&app, &id, request, true).await)
}

/// Removes a group; who was in it stays.
#[utoipa::path(delete, path = "/scim/v2/Groups/{id}", tag = "scim", params(("id" = Uuid, Path)), security(("apikey" = [])), responses(
    (status = 204), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object), (status = 412, body = Object)))]
async fn delete_scim_group(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    done(Kind::Group.delete(&app, &id, request).await)
}

async fn describe(app: &App, request: Request, what: impl FnOnce(&str) -> Option<Json>) -> Response {
    let (mut parts, _) = request.into_parts();
    match Place::enter(app, &mut parts, Action::Read).await {
        Ok(place) => done(what(&place.base).map(|body| answer(StatusCode::OK, &body)).ok_or_else(|| ScimError::missing(parts.uri.path()))),
        Err(refusal) => refusal.into_response(),
    }
}

/// What this server offers to a directory.
#[utoipa::path(get, path = "/scim/v2/ServiceProviderConfig", tag = "scim", security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 401, body = Object), (status = 403, body = Object)))]
async fn get_scim_config(State(app): State<App>, request: Request) -> Response {
    describe(&app, request, |base| Some(discovery::config(base))).await
}

fn whole_list(resources: &[Json]) -> Json {
    let total = i64::try_from(resources.len()).unwrap_or(i64::MAX);
    list(resources, total, 1)
}

/// The kinds of resources.
#[utoipa::path(get, path = "/scim/v2/ResourceTypes", tag = "scim", security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 401, body = Object), (status = 403, body = Object)))]
async fn list_scim_resource_types(State(app): State<App>, request: Request) -> Response {
    describe(&app, request, |base| Some(whole_list(&discovery::resource_types(base)))).await
}

/// One kind of resource.
#[utoipa::path(get, path = "/scim/v2/ResourceTypes/{name}", tag = "scim", params(("name" = String, Path)), security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object)))]
async fn get_scim_resource_type(State(app): State<App>, Path(name): Path<String>, request: Request) -> Response {
    describe(&app, request, |base| discovery::resource_types(base).into_iter().find(|kind| kind["id"] == name.as_str())).await
}

/// The attributes that resources have.
#[utoipa::path(get, path = "/scim/v2/Schemas", tag = "scim", security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 401, body = Object), (status = 403, body = Object)))]
async fn list_scim_schemas(State(app): State<App>, request: Request) -> Response {
    describe(&app, request, |base| Some(whole_list(&discovery::schemas(base)))).await
}

/// The attributes of one schema.
#[utoipa::path(get, path = "/scim/v2/Schemas/{urn}", tag = "scim", params(("urn" = String, Path)), security(("apikey" = [])), responses(
    (status = 200, body = Object), (status = 401, body = Object), (status = 403, body = Object), (status = 404, body = Object)))]
async fn get_scim_schema(State(app): State<App>, Path(urn): Path<String>, request: Request) -> Response {
    describe(&app, request, |base| discovery::schemas(base).into_iter().find(|schema| schema["id"] == urn.as_str())).await
}

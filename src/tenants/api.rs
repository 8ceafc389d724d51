//! `/admin/v1`: what the command line does, over HTTP, for whoever holds the operator key.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    audit, inbox,
    key::KeyKind,
    manage::{self, KeyRequest, SigningKeyImport, TenantChange},
    model::{Reference, TenantStatus},
    operator::Operator,
    settings::TenantSettings,
    sql::{KeyRow, SigningKeyRow, TenantRow},
};
use crate::{
    app::App,
    db::Timestamp,
    error::Error,
    http::{Problem, body},
};

/// The routes of the operator.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_tenants, create_tenant))
        .routes(routes!(get_tenant, update_tenant, delete_tenant))
        .routes(routes!(get_settings, update_settings))
        .routes(routes!(list_keys, create_key))
        .routes(routes!(revoke_key))
        .routes(routes!(list_signing_keys))
        .routes(routes!(remove_signing_key))
        .routes(routes!(rotate_signing_key))
        .routes(routes!(import_signing_key))
        .merge(audit::router())
        .merge(inbox::router())
}

/// A tenant as an operator sees it.
#[derive(Serialize, ToSchema)]
struct TenantView {
    /// Its name in URLs; never used again, not even after it is deleted.
    #[serde(rename = "ref")]
    reference: String,
    /// A name for people.
    name: String,
    status: TenantStatus,
    /// A domain of its own.
    domain: Option<String>,
    settings: TenantSettings,
    /// Where its tokens say they come from.
    issuer: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl TenantView {
    fn new(app: &App, row: TenantRow) -> Result<Json<Self>, Problem> {
        let status = row.status.parse()?;
        let settings: TenantSettings = serde_json::from_value(row.settings.0).map_err(Error::from)?;
        let issuer = app.tenants.issuer(&row.reference, row.domain.as_deref());
        Ok(Json(Self {
            reference: row.reference,
            name: row.name,
            status,
            domain: row.domain,
            settings: settings.shown(),
            issuer,
            created_at: row.created_at,
        }))
    }
}

/// Which tenants to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TenantPage {
    /// Only tenants whose name sorts after this one.
    #[serde(default)]
    after: String,
    /// How many, 1 to 1,000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Some tenants, in the order of their names.
#[derive(Serialize, ToSchema)]
struct TenantList {
    tenants: Vec<TenantView>,
    /// What `after` takes for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[utoipa::path(get, path = "/admin/v1/tenants", tag = "admin", params(TenantPage), security(("operator" = [])), responses(
    (status = 200, body = TenantList), (status = 401, body = Problem), (status = 422, body = Problem)))]
async fn list_tenants(
    _: Operator,
    State(app): State<App>,
    page: Result<Query<TenantPage>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<TenantList>, Problem> {
    let Query(page) = page.map_err(|error| Error::invalid("query", error.body_text()))?;
    let limit = page.limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(Error::invalid("limit", format!("{limit} is out of range; take 1 to 1000")).into());
    }
    let rows = manage::list_tenants(&app.db, &page.after, limit).await?;
    let next = (i64::try_from(rows.len()).is_ok_and(|count| count == limit)).then(|| rows.last().map(|row| row.reference.clone())).flatten();
    let tenants = rows.into_iter().map(|row| TenantView::new(&app, row).map(|Json(view)| view)).collect::<Result<_, _>>()?;
    Ok(Json(TenantList { tenants, next }))
}

/// A tenant to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    /// 2 to 40 of a-z, 0-9 and inner "-".
    #[serde(rename = "ref")]
    reference: String,
    /// A name for people; the reference when absent.
    name: Option<String>,
    /// A domain of its own.
    domain: Option<String>,
    #[serde(default)]
    settings: TenantSettings,
}

#[utoipa::path(post, path = "/admin/v1/tenants", tag = "admin", request_body = NewTenant, security(("operator" = [])), responses(
    (status = 201, body = TenantView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_tenant(_: Operator, State(app): State<App>, request: Request) -> Result<(StatusCode, Json<TenantView>), Problem> {
    let new: NewTenant = read(&app, request).await?;
    let reference: Reference = new.reference.parse()?;
    let name = new.name.as_deref().unwrap_or(reference.as_str());
    let row = manage::create_tenant(&app, &reference, name, new.domain.as_deref(), new.settings).await?;
    Ok((StatusCode::CREATED, TenantView::new(&app, row)?))
}

#[utoipa::path(get, path = "/admin/v1/tenants/{ref}", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 200, body = TenantView), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get_tenant(_: Operator, State(app): State<App>, Path(reference): Path<String>) -> Result<Json<TenantView>, Problem> {
    TenantView::new(&app, manage::get_tenant(&app, &reference).await?)
}

#[utoipa::path(patch, path = "/admin/v1/tenants/{ref}", tag = "admin", params(("ref" = String, Path)), request_body = TenantChange, security(("operator" = [])), responses(
    (status = 200, body = TenantView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn update_tenant(_: Operator, State(app): State<App>, Path(reference): Path<String>, request: Request) -> Result<Json<TenantView>, Problem> {
    let change: TenantChange = read(&app, request).await?;
    TenantView::new(&app, manage::update_tenant(&app, &reference, change).await?)
}

/// What a tenant has chosen; secrets are shown as `[set]`.
#[utoipa::path(get, path = "/admin/v1/tenants/{ref}/settings", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 200, body = TenantSettings), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get_settings(_: Operator, State(app): State<App>, Path(reference): Path<String>) -> Result<Json<TenantSettings>, Problem> {
    shown_settings(manage::get_tenant(&app, &reference).await?)
}

/// Changes some settings of a tenant, as RFC 7396 merges: what is not named stays, `null` is the default again.
#[utoipa::path(patch, path = "/admin/v1/tenants/{ref}/settings", tag = "admin", params(("ref" = String, Path)), request_body = TenantSettings, security(("operator" = [])), responses(
    (status = 200, body = TenantSettings), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn update_settings(
    _: Operator,
    State(app): State<App>,
    Path(reference): Path<String>,
    request: Request,
) -> Result<Json<TenantSettings>, Problem> {
    let change = TenantChange { settings: Some(read(&app, request).await?), ..TenantChange::default() };
    shown_settings(manage::update_tenant(&app, &reference, change).await?)
}

fn shown_settings(row: TenantRow) -> Result<Json<TenantSettings>, Problem> {
    let settings: TenantSettings = serde_json::from_value(row.settings.0).map_err(Error::from)?;
    Ok(Json(settings.shown()))
}

#[utoipa::path(delete, path = "/admin/v1/tenants/{ref}", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn delete_tenant(_: Operator, State(app): State<App>, Path(reference): Path<String>) -> Result<StatusCode, Problem> {
    manage::delete_tenant(&app, &reference).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(get, path = "/admin/v1/tenants/{ref}/keys", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 200, body = Vec<KeyRow>), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn list_keys(_: Operator, State(app): State<App>, Path(reference): Path<String>) -> Result<Json<Vec<KeyRow>>, Problem> {
    Ok(Json(manage::list_keys(&app, &reference).await?))
}

/// An API key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewApiKey {
    /// `publishable` or `secret`.
    #[schema(pattern = "^(publishable|secret)$")]
    kind: String,
    /// What to call it.
    name: Option<String>,
    /// What a secret key may do, as `employees:read`; none means all of the tenant.
    #[serde(default)]
    scopes: Vec<String>,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// An API key just made. This is the only time its text is shown.
#[derive(Serialize, ToSchema)]
struct MadeKey {
    id: Uuid,
    /// The whole key.
    key: String,
}

#[utoipa::path(post, path = "/admin/v1/tenants/{ref}/keys", tag = "admin", params(("ref" = String, Path)), request_body = NewApiKey, security(("operator" = [])), responses(
    (status = 201, body = MadeKey), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn create_key(
    _: Operator,
    State(app): State<App>,
    Path(reference): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<MadeKey>), Problem> {
    let new: NewApiKey = read(&app, request).await?;
    let kind = match new.kind.as_str() {
        "publishable" => KeyKind::Publishable,
        "secret" => KeyKind::Secret,
        other => return Err(Error::invalid("kind", format!("\"{other}\" is no kind of key; take publishable or secret")).into()),
    };
    let name = new.name.unwrap_or_else(|| new.kind.clone());
    let request = KeyRequest { kind, name, scopes: new.scopes.join(" ").parse()?, expires_at: new.expires_at };
    let (id, key) = manage::create_key(&app, &reference, request).await?;
    Ok((StatusCode::CREATED, Json(MadeKey { id, key: key.reveal().to_owned() })))
}

#[utoipa::path(delete, path = "/admin/v1/tenants/{ref}/keys/{id}", tag = "admin", params(("ref" = String, Path), ("id" = Uuid, Path)), security(("operator" = [])), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn revoke_key(_: Operator, State(app): State<App>, Path((reference, id)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    let id = id.parse().map_err(|_| Error::not_found(format!("key {id}")))?;
    manage::revoke_key(&app, &reference, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A signing key just made or taken over.
#[derive(Serialize, ToSchema)]
struct MadeSigningKey {
    /// The `kid` in the header of the tokens it signs.
    kid: String,
}

#[utoipa::path(post, path = "/admin/v1/tenants/{ref}/signing-keys/rotate", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 201, body = MadeSigningKey), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn rotate_signing_key(
    _: Operator,
    State(app): State<App>,
    Path(reference): Path<String>,
) -> Result<(StatusCode, Json<MadeSigningKey>), Problem> {
    let kid = manage::rotate_signing_key(&app, &reference).await?;
    Ok((StatusCode::CREATED, Json(MadeSigningKey { kid })))
}

/// The signing keys of a tenant, without what is secret of them.
#[utoipa::path(get, path = "/admin/v1/tenants/{ref}/signing-keys", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 200, body = Vec<SigningKeyRow>), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn list_signing_keys(_: Operator, State(app): State<App>, Path(reference): Path<String>) -> Result<Json<Vec<SigningKeyRow>>, Problem> {
    Ok(Json(manage::list_signing_keys(&app, &reference).await?))
}

/// Takes a signing key away: what it signed is believed no longer. The one that signs now has to be replaced first.
#[utoipa::path(delete, path = "/admin/v1/tenants/{ref}/signing-keys/{kid}", tag = "admin", params(("ref" = String, Path), ("kid" = String, Path)), security(("operator" = [])), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove_signing_key(_: Operator, State(app): State<App>, Path((reference, kid)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    manage::remove_signing_key(&app, &reference, &kid).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A signing key from elsewhere, or several.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImportedSigningKey {
    key: SigningKeyImport,
    /// Whether new tokens are signed with it; otherwise it only checks tokens. Of several, the one that is meant to sign does
    /// (`"key_ops": ["sign"]`).
    #[serde(default)]
    sign: bool,
}

/// Signing keys just taken over.
#[derive(Serialize, ToSchema)]
struct ImportedSigningKeys {
    /// The `kid` of each, as tokens name it in their header.
    kids: Vec<String>,
}

#[utoipa::path(post, path = "/admin/v1/tenants/{ref}/signing-keys/import", tag = "admin", params(("ref" = String, Path)), request_body = ImportedSigningKey, security(("operator" = [])), responses(
    (status = 201, body = ImportedSigningKeys), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn import_signing_key(
    _: Operator,
    State(app): State<App>,
    Path(reference): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<ImportedSigningKeys>), Problem> {
    let import: ImportedSigningKey = read(&app, request).await?;
    let kids = manage::import_signing_keys(&app, &reference, &import.key, import.sign).await?;
    Ok((StatusCode::CREATED, Json(ImportedSigningKeys { kids })))
}

async fn read<T: serde::de::DeserializeOwned>(app: &App, request: Request<Body>) -> Result<T, Problem> {
    Ok(body::read_json(request, app.config.http.max_json_bytes).await?)
}

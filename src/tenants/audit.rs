//! A tenant's audit log, for the operator.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{operator::Operator, sql};
use crate::{
    app::App,
    audit::{self, Entry},
    error::Error,
    http::Problem,
};

/// The routes of the audit log.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit_entries))
}

/// Which entries to show.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditPage {
    /// Only what has this name, as `settings_modified` or `login`.
    action: Option<String>,
    /// Only entries before the one with this id.
    before: Option<Uuid>,
    /// How many, 1 to 1,000; 100 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Entries, newest first.
#[derive(Serialize, ToSchema)]
struct AuditList {
    entries: Vec<Entry>,
    /// What `before` takes for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// What happened in a tenant, and to it. Of a deleted tenant there is one entry: that it was deleted.
#[utoipa::path(get, path = "/admin/v1/tenants/{ref}/audit", tag = "admin", operation_id = "list_tenant_audit_entries",
    params(("ref" = String, Path), AuditPage), security(("operator" = [])), responses(
    (status = 200, body = AuditList), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_audit_entries(
    _: Operator,
    State(app): State<App>,
    Path(reference): Path<String>,
    asked: Result<Query<AuditPage>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<AuditList>, Problem> {
    let Query(asked) = asked.map_err(|error| Error::invalid("query", error.body_text()))?;
    let limit = asked.limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(Error::invalid("limit", format!("{limit} is out of range; take 1 to 1000")).into());
    }
    let conn = app.db.read().await?;
    let tenant = sql::find_tenant_by_reference(&conn, &reference).await?.ok_or_else(|| Error::not_found(format!("tenant \"{reference}\"")))?;
    let entries = audit::entries(&conn, tenant.id, asked.action.as_deref(), asked.before, limit).await?;
    let next = i64::try_from(entries.len()).is_ok_and(|count| count == limit).then(|| entries.last().map(|entry| entry.id)).flatten();
    Ok(Json(AuditList { entries, next }))
}

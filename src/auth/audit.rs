//! The tenant's audit log, for its admins, in upstream's shape.
//!
//! Who did something is kept as an id; what the user is called is looked up now, so that an erased user leaves no name and no address.

use axum::{
    Json,
    extract::{OriginalUri, Query, State, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    admin::{dress_page, number, pattern},
    caller::AuditReader,
    error::{AuthError, AuthFailures},
    sql::audit::{AuditFilter, NamedEntry, count_audit, page_of_audit},
};
use crate::{app::App, db::Timestamp};

/// Entries on a page at most.
const MOST_PER_PAGE: i64 = 1000;

/// Which entries are shown.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditListing {
    /// `author:x`, `action:x` or `type:x`: entries with `x` in the name of who did it, in what was done, or in the kind of event.
    #[param(value_type = Option<String>, example = "action:login")]
    query: String,
    /// The page, from 1.
    #[param(value_type = Option<u32>, minimum = 1)]
    page: String,
    /// Entries on a page, 1 to 1,000; 50 if nothing else is said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    per_page: String,
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditEntry {
    /// The entry's id.
    id: Uuid,
    payload: AuditPayload,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From which address; empty when it is not known.
    ip_address: String,
}

/// What happened, and who did it.
#[derive(Serialize, ToSchema)]
struct AuditPayload {
    /// The user or key that did it; the nil UUID when it was neither.
    actor_id: Uuid,
    /// The name that the user has given itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_name: Option<String>,
    /// The user's phone number or mail address as of now, empty when the user is gone; else what did it: `service_role`, `key`, `operator`, …
    actor_username: String,
    /// Whether the user signs in through its organisation.
    actor_via_sso: bool,
    /// What happened.
    #[schema(example = "login")]
    action: String,
    /// What kind of event it is.
    #[schema(example = "account")]
    log_type: String,
    /// In which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What else is known of it; `user_id` is whom it happened to.
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    #[serde(skip_serializing_if = "Map::is_empty")]
    traits: Map<String, Value>,
}

impl AuditEntry {
    fn new(row: NamedEntry) -> Self {
        let is_user = row.actor_kind == "user";
        let name = row.phone.filter(|phone| !phone.is_empty()).or(row.email).unwrap_or_default();
        let mut traits = match row.traits.0 {
            Value::Object(traits) => traits,
            _ => Map::new(),
        };
        if let Some(subject) = row.subject_id {
            traits.insert("user_id".to_owned(), subject.to_string().into());
        }
        let payload = AuditPayload {
            actor_id: row.actor_id.unwrap_or_default(),
            actor_name: row.full_name,
            actor_username: if is_user { name } else { row.actor_kind },
            actor_via_sso: row.is_sso_user.unwrap_or_default(),
            action: row.action,
            log_type: row.log_type,
            request_id: row.request_id,
            traits,
        };
        Self { id: row.id, payload, created_at: row.created_at, ip_address: row.ip.unwrap_or_default() }
    }
}

/// Lists what happened, newest first.
#[utoipa::path(get, path = "/auth/v1/admin/audit", tag = "auth", params(AuditListing),
    responses((status = 200, body = Vec<AuditEntry>, description = "A page of the log", headers(
        ("X-Total-Count" = i64, description = "How many entries there are on all pages"),
        ("Link" = String, description = "The next and the last page"))), AuthFailures),
    security(("apikey" = [])))]
pub(super) async fn list_audit_entries(
    State(app): State<App>,
    AuditReader(tenant): AuditReader,
    OriginalUri(uri): OriginalUri,
    asked: Result<Query<AuditListing>, QueryRejection>,
) -> Result<Response, AuthError> {
    let Query(asked) = asked.map_err(|error| AuthError::validation(error.body_text()))?;
    let page = number("page", &asked.page)?.unwrap_or(1);
    let per_page = number("per_page", &asked.per_page)?.unwrap_or(50).min(MOST_PER_PAGE);
    let filter = read_filter(&asked.query)?;
    let conn = app.db.read().await?;
    let total = count_audit(&conn, tenant.id, &filter).await?;
    let rows = page_of_audit(&conn, tenant.id, &filter, per_page, (page - 1).saturating_mul(per_page)).await?;
    let entries: Vec<AuditEntry> = rows.into_iter().map(AuditEntry::new).collect();
    Ok(dress_page(Json(entries).into_response(), &uri, page, per_page, total))
}

fn read_filter(query: &str) -> Result<AuditFilter, AuthError> {
    if query.is_empty() {
        return Ok(AuditFilter::default());
    }
    match query.split_once(':') {
        Some(("author", text)) => Ok(AuditFilter { author: pattern(text), ..AuditFilter::default() }),
        Some(("action", text)) => Ok(AuditFilter { action: pattern(text), ..AuditFilter::default() }),
        Some(("type", text)) => Ok(AuditFilter { log_type: pattern(text), ..AuditFilter::default() }),
        _ => Err(AuthError::validation(format!("Invalid query scope: {query}"))),
    }
}

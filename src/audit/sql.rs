//! Every statement about the audit log.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Event;
use crate::{
    db::{Conn, Json, TenantId, Timestamp, Tx},
    error::Result,
    row_type,
};

row_type! {
    /// An entry of the audit log.
    #[derive(Clone, Debug, Serialize, ToSchema)]
    pub struct Entry {
        /// The entry's id; the order of ids is the order of events.
        pub id: Uuid,
        /// When it happened.
        #[schema(value_type = String, format = DateTime)]
        pub created_at: Timestamp,
        /// Who did it: `user`, `key`, `service_role`, `operator`, `anonymous` or `system`.
        pub actor_kind: String,
        /// The user or key that did it.
        pub actor_id: Option<Uuid>,
        /// What happened.
        #[schema(example = "login")]
        pub action: String,
        /// What kind of event it is.
        #[schema(example = "account")]
        pub log_type: String,
        /// The user that it happened to.
        pub subject_id: Option<Uuid>,
        /// From which address.
        pub ip: Option<String>,
        /// In which request, as `X-Request-Id` named it.
        pub request_id: Option<String>,
        /// What else is known of it.
        #[schema(value_type = HashMap<String, serde_json::Value>)]
        pub traits: Json,
    }
}

pub(super) async fn insert(tx: &Tx, tenant: TenantId, now: Timestamp, event: &Event) -> Result<()> {
    let origin = &event.origin;
    tx.query(
        "INSERT INTO audit_log (tenant_id, id, actor_kind, actor_id, action, log_type, subject_id, ip, request_id, traits, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(tenant)
    .bind(Uuid::now_v7())
    .bind(origin.actor.kind.as_str())
    .bind(origin.actor.id)
    .bind(event.action.as_str())
    .bind(event.action.log_type())
    .bind(event.subject)
    .bind(origin.ip.as_deref())
    .bind(origin.request.as_deref())
    .bind(Json(event.traits.clone().into()))
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// The newest entries of a tenant's log, before the entry `before`; only of `action`, if one is named.
pub async fn entries(conn: &Conn, tenant: TenantId, action: Option<&str>, before: Option<Uuid>, limit: i64) -> Result<Vec<Entry>> {
    conn.query(
        "SELECT id, created_at, actor_kind, actor_id, action, log_type, subject_id, ip, request_id, traits FROM audit_log \
         WHERE tenant_id = $1 AND id < $2 AND (CAST($3 AS text) IS NULL OR action = $3) ORDER BY id DESC LIMIT $4",
    )
    .bind(tenant)
    .bind(before.unwrap_or(Uuid::max()))
    .bind(action)
    .bind(limit)
    .heavy()
    .fetch_all()
    .await
}

/// Removes a deleted tenant's log.
pub async fn delete_rows_of(conn: &Conn, tenant: TenantId) -> Result<()> {
    conn.query("DELETE FROM audit_log WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

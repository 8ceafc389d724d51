//! Every statement about sessions as their users see them.

use uuid::Uuid;

use crate::{
    auth::sessions::SessionEntry,
    db::{Conn, Timestamp, Tx},
    error::Result,
    tenants::TenantId,
};

/// The sessions of a user, newest first.
pub(in crate::auth) async fn sessions_of(conn: &Conn, tenant: TenantId, user: Uuid) -> Result<Vec<SessionEntry>> {
    conn.query(
        "SELECT id, created_at, refreshed_at, not_after, user_agent, ip, aal FROM sessions WHERE tenant_id = $1 AND user_id = $2 \
         ORDER BY created_at DESC, id DESC",
    )
    .bind(tenant)
    .bind(user)
    .fetch_all()
    .await
}

/// Ends a session, if it is this user's; false when it is not there.
pub(in crate::auth) async fn delete_session_of(tx: &Tx, tenant: TenantId, user: Uuid, id: Uuid) -> Result<bool> {
    let deleted =
        tx.query("DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND id = $3").bind(tenant).bind(user).bind(id).execute().await?;
    Ok(deleted == 1)
}

/// Whether a user has begun another session since this one.
pub(in crate::auth) async fn has_newer_session(conn: &Conn, tenant: TenantId, user: Uuid, id: Uuid, created_at: Timestamp) -> Result<bool> {
    let newer: Option<(Uuid,)> = conn
        .query("SELECT id FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND (created_at > $4 OR (created_at = $4 AND id > $3)) LIMIT 1")
        .bind(tenant)
        .bind(user)
        .bind(id)
        .bind(created_at)
        .fetch_optional()
        .await?;
    Ok(newer.is_some())
}

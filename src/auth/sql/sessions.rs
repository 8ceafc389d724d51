//! Every statement about sessions as their users see them.

use uuid::Uuid;

use crate::{
    auth::{sessions::SessionEntry, sweep::Over},
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

/// Sessions that are over.
pub(in crate::auth) async fn ended_sessions(conn: &Conn, tenant: TenantId, over: &Over, most: i64) -> Result<Vec<Uuid>> {
    let ended: Vec<(Uuid,)> = conn
        .query(
            "SELECT s.id FROM sessions s WHERE s.tenant_id = $1 AND (s.not_after <= $2 OR s.created_at <= $3 \
             OR coalesce(s.refreshed_at, s.created_at) <= $4 \
             OR (s.aal = 'aal1' AND s.created_at <= $5 AND EXISTS (SELECT 1 FROM factors f \
             WHERE f.tenant_id = s.tenant_id AND f.user_id = s.user_id AND f.status = 'verified')) \
             OR EXISTS (SELECT 1 FROM sessions n WHERE n.tenant_id = s.tenant_id AND n.user_id = s.user_id \
             AND n.created_at > s.created_at AND n.created_at <= $6)) LIMIT $7",
        )
        .bind(tenant)
        .bind(over.moment)
        .bind(over.begun)
        .bind(over.used)
        .bind(over.begun_low)
        .bind(over.superseded)
        .bind(most)
        .heavy()
        .fetch_all()
        .await?;
    Ok(ended.into_iter().map(|(id,)| id).collect())
}

//! Every statement about what was asked to be sent, and about where users signed in before.

use uuid::Uuid;

use crate::{
    db::{Conn, Timestamp, Tx},
    error::Result,
    tenants::TenantId,
};

/// Notes that something of a kind is asked for, unless that was so after `since`; then it is false.
pub(in crate::auth) async fn request(tx: &Tx, tenant: TenantId, now: Timestamp, kind: &str, address: &[u8], since: Timestamp) -> Result<bool> {
    let noted = tx
        .query(
            "INSERT INTO message_requests (tenant_id, kind, address_hash, requested_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (tenant_id, kind, address_hash) DO UPDATE SET requested_at = $4 WHERE message_requests.requested_at <= $5",
        )
        .bind(tenant)
        .bind(kind)
        .bind(address)
        .bind(now)
        .bind(since)
        .execute()
        .await?;
    Ok(noted == 1)
}

/// Notes that something of a kind happened, whenever it did before.
pub(in crate::auth) async fn note_request(tx: &Tx, tenant: TenantId, now: Timestamp, kind: &str, address: &[u8]) -> Result<()> {
    request(tx, tenant, now, kind, address, now).await.map(drop)
}

/// When something of a kind was asked for last.
pub(in crate::auth) async fn requested_at(conn: &Conn, tenant: TenantId, kind: &str, address: &[u8]) -> Result<Option<Timestamp>> {
    let found: Option<(Timestamp,)> = conn
        .query("SELECT requested_at FROM message_requests WHERE tenant_id = $1 AND kind = $2 AND address_hash = $3")
        .bind(tenant)
        .bind(kind)
        .bind(address)
        .fetch_optional()
        .await?;
    Ok(found.map(|(at,)| at))
}

/// Removes what was asked for before a moment, in all tenants.
pub(in crate::auth) async fn delete_requests_before(tx: &Tx, moment: Timestamp) -> Result<()> {
    tx.query("DELETE FROM message_requests WHERE requested_at < $1").bind(moment).execute().await?;
    Ok(())
}

/// Removes what a deleted tenant was asked for.
pub(in crate::auth) async fn delete_requests_of(conn: &Conn, tenant: TenantId) -> Result<()> {
    conn.query("DELETE FROM message_requests WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

/// Notes where a user signs in from. True when it is somewhere new for one who was known elsewhere.
pub(in crate::auth) async fn note_device(tx: &Tx, tenant: TenantId, now: Timestamp, user: Uuid, fingerprint: &[u8]) -> Result<bool> {
    let (known, this): (i64, i64) = tx
        .query("SELECT count(*), count(CASE WHEN fingerprint = $3 THEN 1 END) FROM known_devices WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant)
        .bind(user)
        .bind(fingerprint)
        .fetch_one()
        .await?;
    tx.query(
        "INSERT INTO known_devices (tenant_id, user_id, fingerprint, last_seen_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant_id, user_id, fingerprint) DO UPDATE SET last_seen_at = $4",
    )
    .bind(tenant)
    .bind(user)
    .bind(fingerprint)
    .bind(now)
    .execute()
    .await?;
    Ok(known > 0 && this == 0)
}

/// Forgets where nobody signed in from since a moment, in all tenants.
pub(in crate::auth) async fn forget_devices_before(tx: &Tx, moment: Timestamp) -> Result<()> {
    tx.query("DELETE FROM known_devices WHERE last_seen_at < $1").bind(moment).execute().await?;
    Ok(())
}

/// Forgets where a user signed in from.
pub(in crate::auth) async fn forget_devices_of(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM known_devices WHERE tenant_id = $1 AND user_id = $2").bind(tenant).bind(user).execute().await?;
    Ok(())
}

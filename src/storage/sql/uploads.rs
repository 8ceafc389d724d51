//! Uploads in many requests.
//!
//! Every statement that changes how far an upload is names the lease it is changed under and the offset it had: who has lost the lease, or
//! comes twice, changes nothing.

use uuid::Uuid;

use super::discard_blob;
use crate::{
    db::{Conn, Json, Timestamp},
    error::Result,
    row_type,
    tenants::TenantId,
};

row_type! {
    /// An upload as it is stored.
    #[derive(Clone, Debug)]
    pub(in crate::storage) struct Upload {
        pub(in crate::storage) id: Uuid,
        pub(in crate::storage) bucket_id: String,
        pub(in crate::storage) name: String,
        pub(in crate::storage) creator: String,
        pub(in crate::storage) upsert: bool,
        pub(in crate::storage) length: Option<i64>,
        pub(in crate::storage) received: i64,
        pub(in crate::storage) told: String,
        pub(in crate::storage) content_type: String,
        pub(in crate::storage) cache_control: String,
        pub(in crate::storage) user_metadata: Option<Json>,
        pub(in crate::storage) finished_at: Option<Timestamp>,
        pub(in crate::storage) expires_at: Timestamp,
    }
}

/// Bytes of an upload that are durable.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Part {
    pub(in crate::storage) start: i64,
    pub(in crate::storage) size: i64,
    pub(in crate::storage) blob: Uuid,
}

/// The right to write to an upload, from an offset on.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Lease {
    pub(in crate::storage) tenant: TenantId,
    pub(in crate::storage) upload: Uuid,
    pub(in crate::storage) id: Uuid,
    /// How many bytes the upload has.
    pub(in crate::storage) received: i64,
}

pub(in crate::storage) async fn insert(conn: &Conn, tenant: TenantId, now: Timestamp, upload: &Upload) -> Result<()> {
    conn.query(
        "INSERT INTO uploads (tenant_id, id, bucket_id, name, creator, upsert, length, received, told, content_type, cache_control,
             user_metadata, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11, $12, $13)",
    )
    .bind(tenant)
    .bind(upload.id)
    .bind(&upload.bucket_id)
    .bind(&upload.name)
    .bind(&upload.creator)
    .bind(upload.upsert)
    .bind(upload.length)
    .bind(&upload.told)
    .bind(&upload.content_type)
    .bind(&upload.cache_control)
    .bind(upload.user_metadata.clone())
    .bind(now)
    .bind(upload.expires_at)
    .execute()
    .await?;
    Ok(())
}

pub(in crate::storage) async fn find(conn: &Conn, tenant: TenantId, id: Uuid) -> Result<Option<Upload>> {
    conn.query(
        "SELECT id, bucket_id, name, creator, upsert, length, received, told, content_type, cache_control, user_metadata, finished_at,
             expires_at
         FROM uploads WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional()
    .await
}

/// Takes the lease, if nobody has it of whom there is news, and the upload is where the writer believes it is.
pub(in crate::storage) async fn take_lease(conn: &Conn, now: Timestamp, lease: Lease, until: Timestamp) -> Result<bool> {
    let taken = conn
        .query(
            "UPDATE uploads SET lease = $4, lease_until = $5
             WHERE tenant_id = $1 AND id = $2 AND received = $3 AND finished_at IS NULL AND (lease IS NULL OR lease_until <= $6)",
        )
        .bind(lease.tenant)
        .bind(lease.upload)
        .bind(lease.received)
        .bind(lease.id)
        .bind(until)
        .bind(now)
        .execute()
        .await?;
    Ok(taken == 1)
}

/// Gives news of who has the lease; false when it is another's by now. Nobody can take it until the transaction ends.
pub(in crate::storage) async fn keep_lease(conn: &Conn, lease: Lease, until: Timestamp) -> Result<bool> {
    let kept = conn
        .query("UPDATE uploads SET lease_until = $5 WHERE tenant_id = $1 AND id = $2 AND received = $3 AND lease = $4 AND finished_at IS NULL")
        .bind(lease.tenant)
        .bind(lease.upload)
        .bind(lease.received)
        .bind(lease.id)
        .bind(until)
        .execute()
        .await?;
    Ok(kept == 1)
}

/// Gives the lease back.
pub(in crate::storage) async fn leave(conn: &Conn, lease: Lease) -> Result<()> {
    conn.query("UPDATE uploads SET lease = NULL, lease_until = NULL WHERE tenant_id = $1 AND id = $2 AND lease = $3")
        .bind(lease.tenant)
        .bind(lease.upload)
        .bind(lease.id)
        .execute()
        .await?;
    Ok(())
}

/// Moves the offset over a part, and says how long the upload will be and live.
pub(in crate::storage) async fn add_part(
    conn: &Conn,
    lease: Lease,
    part: Part,
    length: Option<i64>,
    until: Timestamp,
    expires_at: Timestamp,
) -> Result<bool> {
    let moved = conn
        .query(
            "UPDATE uploads SET received = $5, length = coalesce($6, length), lease_until = $7, expires_at = $8
             WHERE tenant_id = $1 AND id = $2 AND received = $3 AND lease = $4 AND finished_at IS NULL",
        )
        .bind(lease.tenant)
        .bind(lease.upload)
        .bind(part.start)
        .bind(lease.id)
        .bind(part.start + part.size)
        .bind(length)
        .bind(until)
        .bind(expires_at)
        .execute()
        .await?;
    if moved == 0 {
        return Ok(false);
    }
    conn.query("INSERT INTO upload_parts (tenant_id, upload_id, start, size, blob_id) VALUES ($1, $2, $3, $4, $5)")
        .bind(lease.tenant)
        .bind(lease.upload)
        .bind(part.start)
        .bind(part.size)
        .bind(part.blob)
        .execute()
        .await?;
    Ok(true)
}

/// The parts of an upload, in their order.
pub(in crate::storage) async fn parts(conn: &Conn, tenant: TenantId, upload: Uuid) -> Result<Vec<Part>> {
    let rows: Vec<(i64, i64, Uuid)> = conn
        .query("SELECT start, size, blob_id FROM upload_parts WHERE tenant_id = $1 AND upload_id = $2 ORDER BY start")
        .bind(tenant)
        .bind(upload)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(start, size, blob)| Part { start, size, blob }).collect())
}

/// Ends an upload whose object is there.
pub(in crate::storage) async fn finish(conn: &Conn, now: Timestamp, lease: Lease, length: i64) -> Result<()> {
    discard_parts(conn, lease.tenant, now, lease.upload).await?;
    conn.query(
        "UPDATE uploads SET received = $3, length = $3, finished_at = $4, lease = NULL, lease_until = NULL
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(lease.tenant)
    .bind(lease.upload)
    .bind(length)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Removes an upload; its bytes are the sweeper's.
pub(in crate::storage) async fn remove(conn: &Conn, tenant: TenantId, now: Timestamp, upload: Uuid) -> Result<bool> {
    // Whoever writes to it has lost it from here on, and adds no part while these are gathered.
    conn.query("UPDATE uploads SET lease = NULL, lease_until = NULL WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(upload).execute().await?;
    discard_parts(conn, tenant, now, upload).await?;
    let removed = conn.query("DELETE FROM uploads WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(upload).execute().await?;
    Ok(removed == 1)
}

async fn discard_parts(conn: &Conn, tenant: TenantId, now: Timestamp, upload: Uuid) -> Result<()> {
    for part in parts(conn, tenant, upload).await? {
        discard_blob(conn, tenant, now, part.blob).await?;
    }
    conn.query("DELETE FROM upload_parts WHERE tenant_id = $1 AND upload_id = $2").bind(tenant).bind(upload).execute().await?;
    Ok(())
}

/// Uploads whose time was over before `deadline`, of all tenants.
pub(in crate::storage) async fn expired(conn: &Conn, deadline: Timestamp, limit: i64) -> Result<Vec<(TenantId, Uuid)>> {
    conn.query("SELECT tenant_id, id FROM uploads WHERE expires_at < $1 ORDER BY expires_at LIMIT $2").bind(deadline).bind(limit).fetch_all().await
}

/// Removes the uploads of a deleted tenant.
pub(in crate::storage) async fn delete_rows_of(conn: &Conn, tenant: TenantId, now: Timestamp) -> Result<()> {
    conn.query(
        "INSERT INTO loose_blobs (tenant_id, blob_id, state, since) SELECT tenant_id, blob_id, 'garbage', $2 FROM upload_parts \
         WHERE tenant_id = $1 ON CONFLICT (tenant_id, blob_id) DO UPDATE SET state = 'garbage', since = excluded.since",
    )
    .bind(tenant)
    .bind(now)
    .execute()
    .await?;
    conn.query("DELETE FROM upload_parts WHERE tenant_id = $1").bind(tenant).execute().await?;
    conn.query("DELETE FROM uploads WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

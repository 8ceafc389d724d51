//! Work on all objects below a prefix, and how far it is.

use uuid::Uuid;

use crate::{
    db::{Conn, Timestamp, Tx},
    error::Result,
    row_type,
    storage::{
        model::Object,
        sql::{Destination, usage},
    },
    tenants::TenantId,
};

row_type! {
    /// A task as it is stored.
    #[derive(Clone, Debug)]
    pub(in crate::storage) struct Task {
        pub(in crate::storage) id: Uuid,
        pub(in crate::storage) kind: String,
        pub(in crate::storage) bucket_id: String,
        pub(in crate::storage) prefix: String,
        pub(in crate::storage) to_bucket_id: String,
        pub(in crate::storage) to_prefix: String,
        pub(in crate::storage) creator: String,
        pub(in crate::storage) status: String,
        pub(in crate::storage) total: Option<i64>,
        pub(in crate::storage) done: i64,
        pub(in crate::storage) skipped: i64,
        pub(in crate::storage) last_name: String,
        pub(in crate::storage) error: Option<String>,
        pub(in crate::storage) created_at: Timestamp,
        pub(in crate::storage) updated_at: Timestamp,
    }
}

pub(in crate::storage) async fn insert(conn: &Conn, tenant: TenantId, task: &Task) -> Result<()> {
    conn.query(
        "INSERT INTO storage_tasks (tenant_id, id, kind, bucket_id, prefix, to_bucket_id, to_prefix, creator, status, total, done, skipped,
             last_name, error, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(tenant)
    .bind(task.id)
    .bind(&task.kind)
    .bind(&task.bucket_id)
    .bind(&task.prefix)
    .bind(&task.to_bucket_id)
    .bind(&task.to_prefix)
    .bind(&task.creator)
    .bind(&task.status)
    .bind(task.total)
    .bind(task.done)
    .bind(task.skipped)
    .bind(&task.last_name)
    .bind(task.error.clone())
    .bind(task.created_at)
    .bind(task.updated_at)
    .execute()
    .await?;
    Ok(())
}

pub(in crate::storage) async fn find(conn: &Conn, tenant: TenantId, id: Uuid) -> Result<Option<Task>> {
    conn.query(
        "SELECT id, kind, bucket_id, prefix, to_bucket_id, to_prefix, creator, status, total, done, skipped, last_name, error, created_at,
             updated_at
         FROM storage_tasks WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional()
    .await
}

/// The task, for whoever works on it: on `PostgreSQL` nobody else does until the transaction ends; SQLite has one writer.
pub(in crate::storage) async fn lock(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<Option<Task>> {
    let sql = tx.pick(
        "SELECT id, kind, bucket_id, prefix, to_bucket_id, to_prefix, creator, status, total, done, skipped, last_name, error, created_at, \
             updated_at
         FROM storage_tasks WHERE tenant_id = $1 AND id = $2",
        "SELECT id, kind, bucket_id, prefix, to_bucket_id, to_prefix, creator, status, total, done, skipped, last_name, error, created_at, \
             updated_at
         FROM storage_tasks WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
    );
    tx.query(sql).bind(tenant).bind(id).fetch_optional().await
}

/// Writes down how far a task is.
pub(in crate::storage) async fn advance(conn: &Conn, tenant: TenantId, task: &Task) -> Result<()> {
    conn.query(
        "UPDATE storage_tasks SET status = $3, total = $4, done = $5, skipped = $6, last_name = $7, error = $8, updated_at = $9
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(task.id)
    .bind(&task.status)
    .bind(task.total)
    .bind(task.done)
    .bind(task.skipped)
    .bind(&task.last_name)
    .bind(task.error.clone())
    .bind(task.updated_at)
    .execute()
    .await?;
    Ok(())
}

/// Renames an object that still has the blob it had when it was looked at, unless the name is taken.
pub(in crate::storage) async fn move_if_free(
    conn: &Conn,
    tenant: TenantId,
    now: Timestamp,
    bucket: &str,
    seen: &Object,
    to: Destination<'_>,
) -> Result<bool> {
    usage::lock(conn, tenant).await?;
    let moved = conn
        .query(
            "UPDATE objects SET bucket_id = $5, name = $6, updated_at = $7
             WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 AND blob_id = $4
                 AND NOT EXISTS (SELECT 1 FROM objects AS there WHERE there.tenant_id = $1 AND there.bucket_id = $5 AND there.name = $6)",
        )
        .bind(tenant)
        .bind(bucket)
        .bind(&seen.name)
        .bind(seen.blob_id)
        .bind(to.bucket)
        .bind(to.name)
        .bind(now)
        .execute()
        .await?;
    if moved == 1 {
        usage::count_move(conn, tenant, bucket, to.bucket, seen.size).await?;
    }
    Ok(moved == 1)
}

/// Forgets the tasks that ended before `deadline`.
pub(in crate::storage) async fn forget(conn: &Conn, deadline: Timestamp) -> Result<u64> {
    conn.query("DELETE FROM storage_tasks WHERE status IN ('done', 'failed') AND updated_at < $1").bind(deadline).execute().await
}

//! What objects were before they were replaced or removed.

use uuid::Uuid;

use super::{
    discard_blob, push_beginning, push_bucket,
    usage::{self, Change},
};
use crate::{
    db::{Conn, FromRow, Row, SqlBuf, Timestamp},
    error::Result,
    storage::{model::Object, rules::Filter},
    tenants::TenantId,
};

/// An object as it was.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Version {
    pub(in crate::storage) object: Object,
    /// When it was replaced, or removed.
    pub(in crate::storage) ended_at: Timestamp,
    pub(in crate::storage) removed: bool,
}

impl FromRow for Version {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { ended_at: row.get(13)?, removed: row.get(14)?, object: Object::from_row(row)? })
    }
}

/// Keeps what an object was. It counts as much as it did before.
pub(in crate::storage) async fn keep(conn: &Conn, tenant: TenantId, now: Timestamp, bucket: &str, object: &Object, removed: bool) -> Result<()> {
    conn.query(
        "INSERT INTO object_versions (tenant_id, bucket_id, name, id, blob_id, owner_id, size, sha256, content_type, cache_control,
             robots_tag, user_metadata, created_at, updated_at, found_type, ended_at, removed)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(tenant)
    .bind(bucket)
    .bind(&object.name)
    .bind(object.id)
    .bind(object.blob_id)
    .bind(object.owner_id.clone())
    .bind(object.size)
    .bind(object.sha256.as_slice())
    .bind(&object.content_type)
    .bind(&object.cache_control)
    .bind(object.robots_tag.clone())
    .bind(object.user_metadata.clone())
    .bind(object.created_at)
    .bind(object.updated_at)
    .bind(object.found_type.clone())
    .bind(now)
    .bind(removed)
    .execute()
    .await?;
    usage::count(conn, tenant, bucket, object, Change::Comes).await
}

/// What an object was, the last first: of two that ended at once the one that was removed.
pub(in crate::storage) async fn of_object(conn: &Conn, tenant: TenantId, bucket: &str, name: &str, limit: i64) -> Result<Vec<Version>> {
    conn.query(
        "SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at, updated_at,
             found_type, ended_at, removed
         FROM object_versions WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 ORDER BY ended_at DESC, removed DESC, blob_id LIMIT $4",
    )
    .bind(tenant)
    .bind(bucket)
    .bind(name)
    .bind(limit)
    .fetch_all()
    .await
}

/// One version of an object.
pub(in crate::storage) async fn find(conn: &Conn, tenant: TenantId, bucket: &str, name: &str, version: Uuid) -> Result<Option<Version>> {
    conn.query(
        "SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at, updated_at,
             found_type, ended_at, removed
         FROM object_versions WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 AND blob_id = $4",
    )
    .bind(tenant)
    .bind(bucket)
    .bind(name)
    .bind(version)
    .fetch_optional()
    .await
}

/// Objects that were removed and not made again, by name, after the name and version that a page ended with.
pub(in crate::storage) async fn removed(
    conn: &Conn,
    tenant: TenantId,
    (bucket, prefix): (&str, &str),
    filter: &Filter,
    after: Option<(&str, Uuid)>,
    limit: i64,
) -> Result<Vec<Version>> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push(
        "SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at, updated_at,
             found_type, ended_at, removed
         FROM object_versions WHERE ",
    );
    push_bucket(&mut sql, tenant, bucket, filter);
    sql.push(" AND removed AND NOT EXISTS (SELECT 1 FROM objects AS there WHERE there.tenant_id = object_versions.tenant_id")
        .push(" AND there.bucket_id = object_versions.bucket_id AND there.name = object_versions.name)");
    if !prefix.is_empty() {
        sql.push(" AND ");
        push_beginning(&mut sql, prefix);
    }
    if let Some((name, version)) = after {
        sql.push(" AND (name, blob_id) > (").push_value(name).push(", ").push_value(version).push(")");
    }
    sql.push(" ORDER BY name, blob_id LIMIT ").push_value(limit);
    conn.query_built(sql).heavy().fetch_all().await
}

/// Takes a version away from those that are kept; what becomes of its bytes is the caller's. False when it is gone.
pub(in crate::storage) async fn take(conn: &Conn, tenant: TenantId, bucket: &str, object: &Object) -> Result<bool> {
    let taken = conn
        .query("DELETE FROM object_versions WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 AND blob_id = $4")
        .bind(tenant)
        .bind(bucket)
        .bind(&object.name)
        .bind(object.blob_id)
        .execute()
        .await?;
    if taken == 1 {
        usage::count(conn, tenant, bucket, object, Change::Goes).await?;
    }
    Ok(taken == 1)
}

/// Removes a version for good.
pub(in crate::storage) async fn discard(conn: &Conn, tenant: TenantId, now: Timestamp, bucket: &str, object: &Object) -> Result<bool> {
    usage::lock(conn, tenant).await?;
    let taken = take(conn, tenant, bucket, object).await?;
    if taken {
        discard_blob(conn, tenant, now, object.blob_id).await?;
    }
    Ok(taken)
}

/// Versions that ended before `deadline`.
pub(in crate::storage) async fn ended(conn: &Conn, tenant: TenantId, bucket: &str, deadline: Timestamp, limit: i64) -> Result<Vec<Version>> {
    conn.query(
        "SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at, updated_at,
             found_type, ended_at, removed
         FROM object_versions WHERE tenant_id = $1 AND bucket_id = $2 AND ended_at < $3 ORDER BY ended_at LIMIT $4",
    )
    .bind(tenant)
    .bind(bucket)
    .bind(deadline)
    .bind(limit)
    .fetch_all()
    .await
}

/// Versions of which there are `most` later ones.
pub(in crate::storage) async fn surplus(conn: &Conn, tenant: TenantId, bucket: &str, most: i64, limit: i64) -> Result<Vec<Version>> {
    conn.query(
        "SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at, updated_at,
             found_type, ended_at, removed
         FROM (SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at,
                   updated_at, found_type, ended_at, removed, row_number() OVER (PARTITION BY name ORDER BY ended_at DESC, removed DESC, blob_id) AS place
               FROM object_versions WHERE tenant_id = $1 AND bucket_id = $2) AS placed
         WHERE place > $3 LIMIT $4",
    )
    .bind(tenant)
    .bind(bucket)
    .bind(most)
    .bind(limit)
    .heavy()
    .fetch_all()
    .await
}

/// Objects below a prefix that have not changed since `deadline`, by name.
pub(in crate::storage) async fn unchanged(
    conn: &Conn,
    tenant: TenantId,
    (bucket, prefix): (&str, &str),
    deadline: Timestamp,
    limit: i64,
) -> Result<Vec<(String,)>> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT name FROM objects WHERE ");
    push_bucket(&mut sql, tenant, bucket, &Filter::All);
    sql.push(" AND updated_at < ").push_value(deadline).push(" AND ");
    push_beginning(&mut sql, prefix);
    sql.push(" ORDER BY name LIMIT ").push_value(limit);
    conn.query_built(sql).heavy().fetch_all().await
}

/// Leaves the versions of a bucket to the sweeper.
pub(in crate::storage) async fn discard_all(conn: &Conn, tenant: TenantId, now: Timestamp, bucket: &str) -> Result<()> {
    conn.query(
        "INSERT INTO loose_blobs (tenant_id, blob_id, state, since) SELECT tenant_id, blob_id, 'garbage', $2 FROM object_versions
         WHERE tenant_id = $1 AND bucket_id = $3
         ON CONFLICT (tenant_id, blob_id) DO UPDATE SET state = 'garbage', since = excluded.since",
    )
    .bind(tenant)
    .bind(now)
    .bind(bucket)
    .execute()
    .await?;
    let gone: Vec<(Option<String>, i64, i64)> = conn
        .query(
            "SELECT owner_id, CAST(sum(size) AS bigint), count(*) FROM object_versions WHERE tenant_id = $1 AND bucket_id = $2
             GROUP BY owner_id",
        )
        .bind(tenant)
        .bind(bucket)
        .fetch_all()
        .await?;
    for (owner, bytes, objects) in gone {
        usage::count_all(conn, tenant, bucket, owner.as_deref(), (-bytes, -objects)).await?;
    }
    conn.query("DELETE FROM object_versions WHERE tenant_id = $1 AND bucket_id = $2").bind(tenant).bind(bucket).execute().await?;
    Ok(())
}

/// Removes the versions of a deleted tenant.
pub(in crate::storage) async fn delete_rows_of(conn: &Conn, tenant: TenantId, now: Timestamp) -> Result<()> {
    conn.query(
        "INSERT INTO loose_blobs (tenant_id, blob_id, state, since) SELECT tenant_id, blob_id, 'garbage', $2 FROM object_versions
         WHERE tenant_id = $1
         ON CONFLICT (tenant_id, blob_id) DO UPDATE SET state = 'garbage', since = excluded.since",
    )
    .bind(tenant)
    .bind(now)
    .execute()
    .await?;
    conn.query("DELETE FROM object_versions WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

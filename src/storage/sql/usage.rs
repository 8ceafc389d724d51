//! How many bytes and files a tenant, its buckets and its users have.
//!
//! Who changes files of a tenant takes its turn by [`lock`] first: what is counted then stays as it is until the transaction ends, so that
//! uploads side by side can't pass a quota together.

use crate::{db::Conn, error::Result, row_type, storage::model::Object, tenants::TenantId};

row_type! {
    /// What somebody has.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(in crate::storage) struct Usage {
        pub(in crate::storage) name: String,
        pub(in crate::storage) bytes: i64,
        pub(in crate::storage) objects: i64,
    }
}

/// Waits until nobody else changes files of the tenant.
pub(in crate::storage) async fn lock(conn: &Conn, tenant: TenantId) -> Result<()> {
    conn.query(
        "INSERT INTO storage_usage (tenant_id, kind, name, bytes, objects) VALUES ($1, 'tenant', '', 0, 0)
         ON CONFLICT (tenant_id, kind, name) DO UPDATE SET bytes = storage_usage.bytes",
    )
    .bind(tenant)
    .execute()
    .await?;
    Ok(())
}

/// A file that comes or goes.
#[derive(Clone, Copy)]
pub(in crate::storage) enum Change {
    Comes,
    Goes,
}

/// Counts one file of a bucket. The caller has taken its turn.
pub(in crate::storage) async fn count(conn: &Conn, tenant: TenantId, bucket: &str, object: &Object, change: Change) -> Result<()> {
    let (bytes, objects) = match change {
        Change::Comes => (object.size, 1),
        Change::Goes => (-object.size, -1),
    };
    count_all(conn, tenant, bucket, object.owner_id.as_deref(), (bytes, objects)).await
}

/// Counts files of one owner in a bucket: how many bytes and files more, or less, there are.
pub(in crate::storage) async fn count_all(conn: &Conn, tenant: TenantId, bucket: &str, owner: Option<&str>, more: (i64, i64)) -> Result<()> {
    for (kind, name) in [("tenant", ""), ("bucket", bucket), ("user", owner.unwrap_or_default())] {
        add(conn, tenant, (kind, name), more).await?;
    }
    Ok(())
}

/// Counts a file that goes from one bucket to another.
pub(in crate::storage) async fn count_move(conn: &Conn, tenant: TenantId, from: &str, to: &str, size: i64) -> Result<()> {
    if from != to {
        add(conn, tenant, ("bucket", from), (-size, -1)).await?;
        add(conn, tenant, ("bucket", to), (size, 1)).await?;
    }
    Ok(())
}

pub(super) async fn add(conn: &Conn, tenant: TenantId, (kind, name): (&str, &str), (bytes, objects): (i64, i64)) -> Result<()> {
    conn.query(
        "INSERT INTO storage_usage (tenant_id, kind, name, bytes, objects) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, kind, name) DO UPDATE
             SET bytes = storage_usage.bytes + excluded.bytes, objects = storage_usage.objects + excluded.objects",
    )
    .bind(tenant)
    .bind(kind)
    .bind(name)
    .bind(bytes)
    .bind(objects)
    .execute()
    .await?;
    Ok(())
}

/// What one of them has.
pub(in crate::storage) async fn find(conn: &Conn, tenant: TenantId, kind: &str, name: &str) -> Result<Usage> {
    let found = conn
        .query("SELECT name, bytes, objects FROM storage_usage WHERE tenant_id = $1 AND kind = $2 AND name = $3")
        .bind(tenant)
        .bind(kind)
        .bind(name)
        .fetch_optional()
        .await?;
    Ok(found.unwrap_or_else(|| Usage { name: name.to_owned(), bytes: 0, objects: 0 }))
}

/// The largest of a kind.
pub(in crate::storage) async fn largest(conn: &Conn, tenant: TenantId, kind: &str, limit: i64) -> Result<Vec<Usage>> {
    conn.query(
        "SELECT name, bytes, objects FROM storage_usage WHERE tenant_id = $1 AND kind = $2 AND objects > 0
         ORDER BY bytes DESC, name LIMIT $3",
    )
    .bind(tenant)
    .bind(kind)
    .bind(limit)
    .fetch_all()
    .await
}

/// Forgets a bucket that is gone.
pub(in crate::storage) async fn forget_bucket(conn: &Conn, tenant: TenantId, bucket: &str) -> Result<()> {
    conn.query("DELETE FROM storage_usage WHERE tenant_id = $1 AND kind = 'bucket' AND name = $2").bind(tenant).bind(bucket).execute().await?;
    Ok(())
}

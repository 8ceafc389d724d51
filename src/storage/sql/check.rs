//! What the database says there is, to be compared with what is there.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::usage::{self, Change};
use crate::{
    db::{Conn, Tx},
    error::Result,
    row_type,
    storage::model::Object,
    tenants::TenantId,
};

row_type! {
    /// A row that names a blob.
    #[derive(Clone, Debug)]
    pub(in crate::storage) struct Named {
        pub(in crate::storage) bucket_id: String,
        pub(in crate::storage) name: String,
        pub(in crate::storage) blob_id: Uuid,
        pub(in crate::storage) size: i64,
        pub(in crate::storage) sha256: Vec<u8>,
    }
}

/// The next objects of a tenant.
pub(in crate::storage) async fn objects(conn: &Conn, tenant: TenantId, after: (&str, &str), limit: i64) -> Result<Vec<Named>> {
    conn.query(
        "SELECT bucket_id, name, blob_id, size, sha256 FROM objects WHERE tenant_id = $1 AND (bucket_id, name) > ($2, $3)
         ORDER BY bucket_id, name LIMIT $4",
    )
    .bind(tenant)
    .bind(after.0)
    .bind(after.1)
    .bind(limit)
    .heavy()
    .fetch_all()
    .await
}

/// The next versions that a tenant keeps.
pub(in crate::storage) async fn versions(conn: &Conn, tenant: TenantId, after: (&str, &str, Uuid), limit: i64) -> Result<Vec<Named>> {
    conn.query(
        "SELECT bucket_id, name, blob_id, size, sha256 FROM object_versions
         WHERE tenant_id = $1 AND (bucket_id, name, blob_id) > ($2, $3, $4)
         ORDER BY bucket_id, name, blob_id LIMIT $5",
    )
    .bind(tenant)
    .bind(after.0)
    .bind(after.1)
    .bind(after.2)
    .bind(limit)
    .heavy()
    .fetch_all()
    .await
}

/// The parts of a tenant's uploads that are under way: the upload, the blob, its size.
pub(in crate::storage) async fn parts(conn: &Conn, tenant: TenantId) -> Result<Vec<(Uuid, Uuid, i64)>> {
    conn.query("SELECT upload_id, blob_id, size FROM upload_parts WHERE tenant_id = $1").bind(tenant).heavy().fetch_all().await
}

/// The blobs of a tenant that belong to uploads under way, or to the sweeper.
pub(in crate::storage) async fn loose(conn: &Conn, tenant: TenantId) -> Result<Vec<(Uuid,)>> {
    conn.query("SELECT blob_id FROM loose_blobs WHERE tenant_id = $1").bind(tenant).heavy().fetch_all().await
}

/// Every blob that a row of a tenant names, read in one statement.
pub(in crate::storage) async fn named(conn: &Conn, tenant: TenantId) -> Result<Vec<(Uuid,)>> {
    conn.query(
        "SELECT blob_id FROM loose_blobs WHERE tenant_id = $1 UNION ALL SELECT blob_id FROM upload_parts WHERE tenant_id = $1
         UNION ALL SELECT blob_id FROM objects WHERE tenant_id = $1 UNION ALL SELECT blob_id FROM object_versions WHERE tenant_id = $1",
    )
    .bind(tenant)
    .heavy()
    .fetch_all()
    .await
}

/// Removes an object whose bytes are gone. False when it is another's bytes by now.
pub(in crate::storage) async fn drop_object(tx: &Tx, tenant: TenantId, bucket: &str, object: &Object) -> Result<bool> {
    usage::lock(tx, tenant).await?;
    let dropped = tx
        .query("DELETE FROM objects WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 AND blob_id = $4")
        .bind(tenant)
        .bind(bucket)
        .bind(&object.name)
        .bind(object.blob_id)
        .execute()
        .await?;
    if dropped == 1 {
        usage::count(tx, tenant, bucket, object, Change::Goes).await?;
    }
    Ok(dropped == 1)
}

/// Says of an object what its bytes are.
pub(in crate::storage) async fn correct_object(tx: &Tx, tenant: TenantId, bucket: &str, object: &Object, size: i64, sha256: &[u8]) -> Result<bool> {
    usage::lock(tx, tenant).await?;
    let corrected = tx
        .query("UPDATE objects SET size = $5, sha256 = $6 WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 AND blob_id = $4")
        .bind(tenant)
        .bind(bucket)
        .bind(&object.name)
        .bind(object.blob_id)
        .bind(size)
        .bind(sha256)
        .execute()
        .await?;
    if corrected == 1 {
        usage::count_all(tx, tenant, bucket, object.owner_id.as_deref(), (size - object.size, 0)).await?;
    }
    Ok(corrected == 1)
}

/// Says of a version what its bytes are.
pub(in crate::storage) async fn correct_version(tx: &Tx, tenant: TenantId, bucket: &str, object: &Object, size: i64, sha256: &[u8]) -> Result<bool> {
    usage::lock(tx, tenant).await?;
    let corrected = tx
        .query("UPDATE object_versions SET size = $5, sha256 = $6 WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 AND blob_id = $4")
        .bind(tenant)
        .bind(bucket)
        .bind(&object.name)
        .bind(object.blob_id)
        .bind(size)
        .bind(sha256)
        .execute()
        .await?;
    if corrected == 1 {
        usage::count_all(tx, tenant, bucket, object.owner_id.as_deref(), (size - object.size, 0)).await?;
    }
    Ok(corrected == 1)
}

/// Bytes and files, by `tenant`, `bucket` or `user` and their names.
pub(in crate::storage) type Counts = BTreeMap<(String, String), (i64, i64)>;

/// What there is of a tenant, added up.
pub(in crate::storage) async fn sums(conn: &Conn, tenant: TenantId) -> Result<Counts> {
    let parts: Vec<(String, Option<String>, i64, i64)> = conn
        .query(
            "SELECT bucket_id, owner_id, CAST(sum(size) AS bigint), count(*) FROM (
                 SELECT bucket_id, owner_id, size FROM objects WHERE tenant_id = $1
                 UNION ALL SELECT bucket_id, owner_id, size FROM object_versions WHERE tenant_id = $1
             ) AS files GROUP BY bucket_id, owner_id",
        )
        .bind(tenant)
        .heavy()
        .fetch_all()
        .await?;
    let mut sums = Counts::new();
    for (bucket, owner, bytes, objects) in parts {
        for (kind, name) in [("tenant", String::new()), ("bucket", bucket), ("user", owner.unwrap_or_default())] {
            let sum = sums.entry((kind.to_owned(), name)).or_default();
            *sum = (sum.0 + bytes, sum.1 + objects);
        }
    }
    Ok(sums)
}

/// What is counted of a tenant.
pub(in crate::storage) async fn counts(conn: &Conn, tenant: TenantId) -> Result<Counts> {
    let rows: Vec<(String, String, i64, i64)> = conn
        .query("SELECT kind, name, bytes, objects FROM storage_usage WHERE tenant_id = $1 AND (bytes <> 0 OR objects <> 0)")
        .bind(tenant)
        .heavy()
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(kind, name, bytes, objects)| ((kind, name), (bytes, objects))).collect())
}

/// Counts a tenant's files anew.
pub(in crate::storage) async fn recount(tx: &Tx, tenant: TenantId) -> Result<()> {
    usage::lock(tx, tenant).await?;
    let sums = sums(tx, tenant).await?;
    tx.query("UPDATE storage_usage SET bytes = 0, objects = 0 WHERE tenant_id = $1").bind(tenant).execute().await?;
    for ((kind, name), sum) in sums {
        usage::add(tx, tenant, (&kind, &name), sum).await?;
    }
    Ok(())
}

//! The statements of storage.

use uuid::Uuid;

pub(super) mod check;
pub(super) mod pages;
pub(super) mod tasks;
pub(super) mod uploads;
pub(super) mod usage;
pub(super) mod versions;

use self::usage::Change;
use super::{
    model::{Bucket, MimePattern, Object},
    rules::{Filter, Fit, NameFit},
};
use crate::{
    db::{Conn, Dialect, Json, SqlBuf, Timestamp, glob_regex},
    error::Result,
    row_type,
    tenants::TenantId,
};

// Buckets

pub(super) async fn find_bucket(conn: &Conn, tenant: TenantId, id: &str) -> Result<Option<Bucket>> {
    conn.query(
        "SELECT id, public, file_size_limit, allowed_mime_types, owner_id, created_at, updated_at, quota_bytes, versioning,
             lifecycle
         FROM buckets
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional()
    .await
}

/// All buckets of a tenant; those who have many page through them.
pub(super) async fn list_buckets(conn: &Conn, tenant: TenantId) -> Result<Vec<Bucket>> {
    conn.query(
        "SELECT id, public, file_size_limit, allowed_mime_types, owner_id, created_at, updated_at, quota_bytes, versioning,
             lifecycle
         FROM buckets
         WHERE tenant_id = $1 ORDER BY id",
    )
    .bind(tenant)
    .fetch_all()
    .await
}

/// False when the name is taken.
pub(super) async fn insert_bucket(conn: &Conn, tenant: TenantId, bucket: &Bucket) -> Result<bool> {
    let inserted = conn
        .query(
            "INSERT INTO buckets (tenant_id, id, public, file_size_limit, allowed_mime_types, owner_id, created_at, updated_at, quota_bytes,
                 versioning, lifecycle)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(&bucket.id)
        .bind(bucket.public)
        .bind(bucket.file_size_limit)
        .bind(bucket.allowed_mime_types.clone())
        .bind(bucket.owner_id.clone())
        .bind(bucket.created_at)
        .bind(bucket.updated_at)
        .bind(bucket.quota_bytes)
        .bind(bucket.versioning)
        .bind(bucket.lifecycle.clone())
        .execute()
        .await?;
    Ok(inserted == 1)
}

pub(super) async fn update_bucket(conn: &Conn, tenant: TenantId, bucket: &Bucket) -> Result<bool> {
    let updated = conn
        .query(
            "UPDATE buckets SET public = $3, file_size_limit = $4, allowed_mime_types = $5, updated_at = $6, quota_bytes = $7,
                 versioning = $8, lifecycle = $9
             WHERE tenant_id = $1 AND id = $2",
        )
        .bind(tenant)
        .bind(&bucket.id)
        .bind(bucket.public)
        .bind(bucket.file_size_limit)
        .bind(bucket.allowed_mime_types.clone())
        .bind(bucket.updated_at)
        .bind(bucket.quota_bytes)
        .bind(bucket.versioning)
        .bind(bucket.lifecycle.clone())
        .execute()
        .await?;
    Ok(updated == 1)
}

/// Fails on the foreign key when objects are in it; what they were before goes with it.
pub(super) async fn delete_bucket(conn: &Conn, tenant: TenantId, now: Timestamp, id: &str) -> Result<bool> {
    usage::lock(conn, tenant).await?;
    versions::discard_all(conn, tenant, now, id).await?;
    let deleted = conn.query("DELETE FROM buckets WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).execute().await?;
    usage::forget_bucket(conn, tenant, id).await?;
    Ok(deleted == 1)
}

// Objects

pub(super) async fn find_object(conn: &Conn, tenant: TenantId, bucket: &str, name: &str) -> Result<Option<Object>> {
    conn.query(
        "SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at, updated_at,
             found_type
         FROM objects WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3",
    )
    .bind(tenant)
    .bind(bucket)
    .bind(name)
    .fetch_optional()
    .await
}

/// False when the name is taken.
pub(super) async fn insert_object(conn: &Conn, tenant: TenantId, bucket: &str, object: &Object) -> Result<bool> {
    usage::lock(conn, tenant).await?;
    let inserted = conn
        .query(
            "INSERT INTO objects (tenant_id, bucket_id, name, id, blob_id, owner_id, size, sha256, content_type, cache_control,
                 robots_tag, user_metadata, created_at, updated_at, found_type)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING",
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
        .execute()
        .await?;
    if inserted == 1 {
        usage::count(conn, tenant, bucket, object, Change::Comes).await?;
    }
    Ok(inserted == 1)
}

/// Gives an object new content and attributes, if it still has the blob it had when it was looked at. A key that is nobody's leaves the
/// object with its owner.
pub(super) async fn replace_object(conn: &Conn, tenant: TenantId, bucket: &str, object: &Object, seen: &Object) -> Result<bool> {
    usage::lock(conn, tenant).await?;
    let updated = conn
        .query(
            "UPDATE objects SET blob_id = $5, owner_id = coalesce($6, owner_id), size = $7, sha256 = $8, content_type = $9, cache_control = $10,
                 robots_tag = $11, user_metadata = $12, updated_at = $13, found_type = $14
             WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 AND blob_id = $4",
        )
        .bind(tenant)
        .bind(bucket)
        .bind(&object.name)
        .bind(seen.blob_id)
        .bind(object.blob_id)
        .bind(object.owner_id.clone())
        .bind(object.size)
        .bind(object.sha256.as_slice())
        .bind(&object.content_type)
        .bind(&object.cache_control)
        .bind(object.robots_tag.clone())
        .bind(object.user_metadata.clone())
        .bind(object.updated_at)
        .bind(object.found_type.clone())
        .execute()
        .await?;
    if updated == 1 {
        usage::count(conn, tenant, bucket, seen, Change::Goes).await?;
        let owner_id = object.owner_id.clone().or_else(|| seen.owner_id.clone());
        usage::count(conn, tenant, bucket, &Object { owner_id, ..object.clone() }, Change::Comes).await?;
    }
    Ok(updated == 1)
}

/// Where an object is to go.
pub(super) struct Destination<'a> {
    pub(super) bucket: &'a str,
    pub(super) name: &'a str,
}

/// Renames an object, if it still has the blob it had when it was looked at. A taken name breaks the primary key.
pub(super) async fn move_object(conn: &Conn, tenant: TenantId, now: Timestamp, bucket: &str, seen: &Object, to: Destination<'_>) -> Result<bool> {
    usage::lock(conn, tenant).await?;
    let updated = conn
        .query(
            "UPDATE objects SET bucket_id = $5, name = $6, updated_at = $7
             WHERE tenant_id = $1 AND bucket_id = $2 AND name = $3 AND blob_id = $4",
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
    if updated == 1 {
        usage::count_move(conn, tenant, bucket, to.bucket, seen.size).await?;
    }
    Ok(updated == 1)
}

/// The objects of these names that the filter lets through.
pub(super) async fn find_objects(conn: &Conn, tenant: TenantId, bucket: &str, names: &[String], filter: &Filter) -> Result<Vec<Object>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push(
        "SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at, updated_at,
             found_type
         FROM objects WHERE ",
    );
    push_named(&mut sql, tenant, bucket, names, filter);
    conn.query_built(sql).fetch_all().await
}

/// Removes the objects of these names that the filter lets through; their blobs are garbage, unless the bucket keeps versions.
pub(super) async fn delete_objects(
    conn: &Conn,
    tenant: TenantId,
    now: Timestamp,
    bucket: &str,
    names: &[String],
    filter: &Filter,
) -> Result<Vec<Object>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    usage::lock(conn, tenant).await?;
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("DELETE FROM objects WHERE ");
    push_named(&mut sql, tenant, bucket, names, filter);
    sql.push(
        " RETURNING name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at,
             updated_at, found_type",
    );
    let deleted: Vec<Object> = conn.query_built(sql).fetch_all().await?;
    for object in &deleted {
        usage::count(conn, tenant, bucket, object, Change::Goes).await?;
    }
    let keeps = find_bucket(conn, tenant, bucket).await?.is_some_and(|bucket| bucket.versioning);
    if keeps {
        for object in &deleted {
            versions::keep(conn, tenant, now, bucket, object, true).await?;
        }
    } else {
        discard_blobs(conn, tenant, now, &deleted).await?;
    }
    Ok(deleted)
}

/// Keeps what an object was before it was replaced, or leaves it to the sweeper, as its bucket says.
pub(super) async fn retire(conn: &Conn, tenant: TenantId, now: Timestamp, bucket: &Bucket, old: &Object) -> Result<()> {
    if bucket.versioning {
        versions::keep(conn, tenant, now, &bucket.id, old, false).await
    } else {
        discard_blob(conn, tenant, now, old.blob_id).await
    }
}

fn push_named(sql: &mut SqlBuf, tenant: TenantId, bucket: &str, names: &[String], filter: &Filter) {
    push_bucket(sql, tenant, bucket, filter);
    sql.push(" AND name IN (").push_list(", ", names, |sql, name| {
        sql.push_value(name);
    });
    sql.push(")");
}

/// The objects of one bucket that a filter lets through.
fn push_bucket(sql: &mut SqlBuf, tenant: TenantId, bucket: &str, filter: &Filter) {
    sql.push("tenant_id = ").push_value(tenant).push(" AND bucket_id = ").push_value(bucket);
    let Filter::Any(fits) = filter else { return };
    if fits.is_empty() {
        sql.push(" AND 1 = 0");
        return;
    }
    sql.push(" AND (").push_list(" OR ", fits, push_fit);
    sql.push(")");
}

fn push_fit(sql: &mut SqlBuf, fit: &Fit) {
    sql.push("(1 = 1");
    if let Some(owner) = &fit.owner {
        sql.push(" AND owner_id = ").push_value(owner);
    }
    match &fit.name {
        None => {}
        Some(NameFit::Is(name)) => {
            sql.push(" AND name = ").push_value(name);
        }
        Some(NameFit::Under(prefix)) => {
            sql.push(" AND ");
            push_beginning(sql, prefix);
        }
        Some(NameFit::Like { beginning, pattern }) => {
            sql.push(" AND ");
            push_beginning(sql, beginning);
            // SQLite has no regular expressions, and its GLOB has no slashes.
            match sql.dialect() {
                Dialect::Sqlite => sql.push(" AND fits(").push_value(pattern).push(", name)"),
                Dialect::Postgres => sql.push(" AND name ~ ").push_value(glob_regex(pattern)),
            };
        }
    }
    if !fit.mime.is_empty() {
        sql.push(" AND (").push_list(" OR ", &fit.mime, push_mime);
        sql.push(")");
    }
    if let Some(most) = fit.max_size {
        sql.push(" AND size <= ").push_value(most);
    }
    for (key, value) in &fit.user_metadata {
        sql.push(" AND user_metadata -> ").push_value(key).push(" = ").push_value(Json(value.as_str().into()));
    }
    sql.push(")");
}

/// The stored type has parameters, or none.
fn push_mime(sql: &mut SqlBuf, pattern: &MimePattern) {
    let wanted = pattern.as_str().to_ascii_lowercase();
    let start = |sql: &mut SqlBuf, text: &str| {
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
        sql.push("substr(lower(content_type), 1, ").push_number(length).push(") = ").push_value(text);
    };
    if let Some(beginning) = wanted.strip_suffix('*') {
        start(sql, beginning);
    } else {
        sql.push("lower(content_type) = ").push_value(wanted.as_str()).push(" OR ");
        start(sql, &format!("{wanted};"));
        sql.push(" OR ");
        start(sql, &format!("{wanted} "));
    }
}

/// Names that begin like this: a range, as names sort by bytes.
fn push_beginning(sql: &mut SqlBuf, beginning: &str) {
    sql.push("(name >= ").push_value(beginning);
    if let Some(end) = end_of_prefix(beginning) {
        sql.push(" AND name < ").push_value(end);
    }
    sql.push(")");
}

/// The first text after all that begin like this; UTF-8 sorts as its characters do.
pub(super) fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut rest: Vec<char> = prefix.chars().collect();
    while let Some(last) = rest.pop() {
        // The surrogates are no characters, and stepping over them is what a range does.
        if let Some(next) = (last..=char::MAX).nth(1) {
            rest.push(next);
            return Some(rest.into_iter().collect());
        }
    }
    None
}

// Listing a folder

/// A page of one folder.
pub(super) struct Folder<'a> {
    pub(super) tenant: TenantId,
    pub(super) bucket: &'a str,
    /// Empty, or ending in a slash.
    pub(super) prefix: &'a str,
    /// Lower case; entries begin with it.
    pub(super) search: &'a str,
    pub(super) filter: &'a Filter,
    pub(super) column: SortColumn,
    pub(super) descending: bool,
}

#[derive(Clone, Copy)]
pub(super) enum SortColumn {
    Name,
    CreatedAt,
    UpdatedAt,
}

row_type! {
    /// A file in a folder.
    pub(super) struct FileEntry {
        pub(super) name: String,
        pub(super) id: Uuid,
        pub(super) created_at: Timestamp,
        pub(super) updated_at: Timestamp,
        pub(super) size: i64,
        pub(super) sha256: Vec<u8>,
        pub(super) content_type: String,
        pub(super) cache_control: String,
    }
}

/// The names of the folders in a folder.
pub(super) async fn list_folders(conn: &Conn, folder: &Folder<'_>, limit: i64, offset: i64) -> Result<Vec<(String,)>> {
    let mut sql = SqlBuf::new(conn.dialect());
    push_folders(&mut sql, folder);
    sql.push(" ORDER BY entry").push(direction(folder)).push(" LIMIT ").push_value(limit).push(" OFFSET ").push_value(offset);
    conn.query_built(sql).fetch_all().await
}

pub(super) async fn count_folders(conn: &Conn, folder: &Folder<'_>) -> Result<i64> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT count(*) FROM (");
    push_folders(&mut sql, folder);
    sql.push(") AS folders");
    let (count,) = conn.query_built(sql).fetch_one::<(i64,)>().await?;
    Ok(count)
}

/// The files in a folder.
pub(super) async fn list_files(conn: &Conn, folder: &Folder<'_>, limit: i64, offset: i64) -> Result<Vec<FileEntry>> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT rest, id, created_at, updated_at, size, sha256, content_type, cache_control FROM (SELECT ");
    push_rest(&mut sql, folder);
    sql.push(" AS rest, id, created_at, updated_at, size, sha256, content_type, cache_control FROM objects WHERE ");
    push_folder(&mut sql, folder);
    sql.push(") AS inside WHERE ").push(slash(conn.dialect())).push(" = 0");
    push_search(&mut sql, folder);
    sql.push(match folder.column {
        SortColumn::Name => " ORDER BY ",
        SortColumn::CreatedAt if folder.descending => " ORDER BY created_at DESC, ",
        SortColumn::CreatedAt => " ORDER BY created_at, ",
        SortColumn::UpdatedAt if folder.descending => " ORDER BY updated_at DESC, ",
        SortColumn::UpdatedAt => " ORDER BY updated_at, ",
    });
    sql.push("rest").push(direction(folder)).push(" LIMIT ").push_value(limit).push(" OFFSET ").push_value(offset);
    conn.query_built(sql).fetch_all().await
}

fn direction(folder: &Folder<'_>) -> &'static str {
    if folder.descending { " DESC" } else { "" }
}

fn push_folders(sql: &mut SqlBuf, folder: &Folder<'_>) {
    let slash = slash(sql.dialect());
    sql.push("SELECT DISTINCT substr(rest, 1, ").push(slash).push(" - 1) AS entry FROM (SELECT ");
    push_rest(sql, folder);
    sql.push(" AS rest FROM objects WHERE ");
    push_folder(sql, folder);
    sql.push(") AS inside WHERE ").push(slash).push(" > 0");
    push_search(sql, folder);
}

/// The name without the folder's own.
fn push_rest(sql: &mut SqlBuf, folder: &Folder<'_>) {
    let length = i64::try_from(folder.prefix.chars().count()).unwrap_or(i64::MAX - 1);
    sql.push("substr(name, ").push_number(length + 1).push(")");
}

/// Where the first slash is; the engines have no word in common for it.
fn slash(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "instr(rest, '/')",
        Dialect::Postgres => "strpos(rest, '/')",
    }
}

fn push_folder(sql: &mut SqlBuf, folder: &Folder<'_>) {
    push_bucket(sql, folder.tenant, folder.bucket, folder.filter);
    if !folder.prefix.is_empty() {
        sql.push(" AND ");
        push_beginning(sql, folder.prefix);
    }
}

/// Both engines fold ASCII here: names are in the collation "C" on `PostgreSQL`.
fn push_search(sql: &mut SqlBuf, folder: &Folder<'_>) {
    if !folder.search.is_empty() {
        let length = i64::try_from(folder.search.chars().count()).unwrap_or(i64::MAX);
        sql.push(" AND substr(lower(rest), 1, ").push_number(length).push(") = ").push_value(folder.search);
    }
}

// Blobs that no object names

/// Notes a blob before its bytes may stay.
pub(super) async fn begin_upload(conn: &Conn, tenant: TenantId, now: Timestamp, blob: Uuid) -> Result<()> {
    conn.query("INSERT INTO loose_blobs (tenant_id, blob_id, state, since) VALUES ($1, $2, 'uploading', $3)")
        .bind(tenant)
        .bind(blob)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Takes the note back, as a row names the blob from now on. False when the sweeper was there first.
pub(super) async fn finish_upload(conn: &Conn, tenant: TenantId, blob: Uuid) -> Result<bool> {
    let deleted =
        conn.query("DELETE FROM loose_blobs WHERE tenant_id = $1 AND blob_id = $2 AND state = 'uploading'").bind(tenant).bind(blob).execute().await?;
    Ok(deleted == 1)
}

/// Notes a blob for the sweeper.
pub(super) async fn discard_blob(conn: &Conn, tenant: TenantId, now: Timestamp, blob: Uuid) -> Result<()> {
    conn.query(
        "INSERT INTO loose_blobs (tenant_id, blob_id, state, since) VALUES ($1, $2, 'garbage', $3)
         ON CONFLICT (tenant_id, blob_id) DO UPDATE SET state = 'garbage', since = excluded.since",
    )
    .bind(tenant)
    .bind(blob)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Leaves a blob to the sweeper unless a row may name it: when a commit failed, it is not always known whether it did.
pub(super) async fn abandon_upload(conn: &Conn, tenant: TenantId, now: Timestamp, blob: Uuid) -> Result<()> {
    conn.query("UPDATE loose_blobs SET state = 'garbage', since = $3 WHERE tenant_id = $1 AND blob_id = $2 AND state = 'uploading'")
        .bind(tenant)
        .bind(blob)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

async fn discard_blobs(conn: &Conn, tenant: TenantId, now: Timestamp, objects: &[Object]) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("INSERT INTO loose_blobs (tenant_id, blob_id, state, since) VALUES ").push_list(", ", objects, |sql, object| {
        sql.push("(").push_value(tenant).push(", ").push_value(object.blob_id).push(", 'garbage', ").push_value(now).push(")");
    });
    conn.query_built(sql).execute().await?;
    Ok(())
}

/// Takes what an upload left to be garbage when it began before `deadline`: it can't finish any more.
pub(super) async fn expire_uploads(conn: &Conn, deadline: Timestamp) -> Result<u64> {
    conn.query("UPDATE loose_blobs SET state = 'garbage' WHERE state = 'uploading' AND since < $1").bind(deadline).execute().await
}

/// Garbage from before `deadline`, of all tenants.
pub(super) async fn list_garbage(conn: &Conn, deadline: Timestamp, limit: i64) -> Result<Vec<(TenantId, Uuid)>> {
    conn.query("SELECT tenant_id, blob_id FROM loose_blobs WHERE state = 'garbage' AND since < $1 ORDER BY since LIMIT $2")
        .bind(deadline)
        .bind(limit)
        .fetch_all()
        .await
}

/// Forgets garbage whose bytes are gone.
pub(super) async fn forget_garbage(conn: &Conn, tenant: TenantId, blob: Uuid) -> Result<()> {
    conn.query("DELETE FROM loose_blobs WHERE tenant_id = $1 AND blob_id = $2 AND state = 'garbage'").bind(tenant).bind(blob).execute().await?;
    Ok(())
}

/// Removes a deleted tenant's buckets and objects; the sweeper finds their bytes.
pub async fn delete_rows_of(conn: &Conn, tenant: TenantId, now: Timestamp) -> Result<()> {
    conn.query(
        "INSERT INTO loose_blobs (tenant_id, blob_id, state, since) SELECT tenant_id, blob_id, 'garbage', $2 FROM objects WHERE tenant_id = $1 \
         ON CONFLICT (tenant_id, blob_id) DO UPDATE SET state = 'garbage', since = excluded.since",
    )
    .bind(tenant)
    .bind(now)
    .execute()
    .await?;
    uploads::delete_rows_of(conn, tenant, now).await?;
    conn.query("DELETE FROM storage_tasks WHERE tenant_id = $1").bind(tenant).execute().await?;
    versions::delete_rows_of(conn, tenant, now).await?;
    conn.query("DELETE FROM storage_usage WHERE tenant_id = $1").bind(tenant).execute().await?;
    conn.query("DELETE FROM objects WHERE tenant_id = $1").bind(tenant).execute().await?;
    conn.query("DELETE FROM buckets WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

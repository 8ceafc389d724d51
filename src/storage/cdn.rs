//! Purging what caches have of an object.
//!
//! This server keeps no copies but the pictures that it made, each of one version of its source: a purge of an object removes those of it,
//! on this node. For the rest it finds nothing to remove. What it answers is worth something all the same: from here on a cache that asks, as
//! entity tags make it do, gets the object as it is.

use axum::{Json, extract::State};

use super::{
    buckets::Done,
    error::{Code, ErrorBody, StorageError},
    extract::{BucketPath, ObjectPath},
    sql,
};
use crate::{
    app::App,
    auth::{Caller, Principal},
    blobs::BlobId,
};

const DONE: Json<Done> = Json(Done { message: "success" });

fn only_service(caller: &Caller) -> Result<(), StorageError> {
    if matches!(caller.principal, Principal::Service) { Ok(()) } else { Err(StorageError::new(Code::InvalidRole, "Access denied: Invalid role")) }
}

/// Purges what caches have of the tenant's objects.
#[utoipa::path(delete, path = "/storage/v1/cdn", tag = "storage", security(("apikey" = [])), responses(
    (status = 200, body = Done), (status = 403, body = ErrorBody)))]
pub(super) async fn purge_all(caller: Caller) -> Result<Json<Done>, StorageError> {
    only_service(&caller)?;
    Ok(DONE)
}

/// Purges what caches have of a bucket's objects.
#[utoipa::path(delete, path = "/storage/v1/cdn/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    security(("apikey" = [])), responses((status = 200, body = Done), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn purge_bucket(caller: Caller, State(app): State<App>, BucketPath(bucket): BucketPath) -> Result<Json<Done>, StorageError> {
    only_service(&caller)?;
    sql::find_bucket(&app.db.read().await?, caller.tenant.id, bucket.as_str()).await?.ok_or_else(StorageError::no_bucket)?;
    Ok(DONE)
}

/// Purges what caches have of an object, which may be gone already.
#[utoipa::path(delete, path = "/storage/v1/cdn/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes")),
    security(("apikey" = [])), responses((status = 200, body = Done), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn purge_object(caller: Caller, State(app): State<App>, path: ObjectPath) -> Result<Json<Done>, StorageError> {
    only_service(&caller)?;
    let (tenant, bucket) = (caller.tenant.id, path.bucket.as_str());
    let conn = app.db.read().await?;
    sql::find_bucket(&conn, tenant, bucket).await?.ok_or_else(StorageError::no_bucket)?;
    if let Some(object) = sql::find_object(&conn, tenant, bucket, path.key.as_str()).await? {
        drop(conn);
        app.images.forget(vec![BlobId::from(object.blob_id)]).await;
    }
    Ok(DONE)
}

//! What objects were before they were replaced or removed, in buckets that keep it (`versioning`).
//!
//! A version is the row that an object had, with its bytes where they are: keeping one copies nothing, and neither does bringing it back.
//! Versions count for quotas as the objects that they were.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    buckets::Done,
    error::{Code, ErrorBody, StorageError},
    extract::{Asked, BucketPath, JsonBody, ObjectPath},
    model::{Bucket, Object, beginning},
    rules::{self, Action, Subject},
    sql::{
        self, usage,
        versions::{self, Version},
    },
    upload::{Uploaded, may_write},
};
use crate::{
    app::App,
    auth::Caller,
    db::{Timestamp, Tx},
    error::{Error, Result as GroundResult},
    tenants::TenantId,
};

/// Versions in one answer.
const MOST: i64 = 1000;

/// What an object was.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionView {
    name: String,
    /// By which it is named.
    version: Uuid,
    size: i64,
    content_type: String,
    etag: String,
    /// When it was uploaded.
    #[schema(format = DateTime)]
    last_modified: String,
    /// When it was replaced, or removed.
    #[schema(format = DateTime)]
    ended_at: String,
    /// Whether the object was removed then.
    removed: bool,
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        let Version { object, ended_at, removed } = version;
        Self {
            version: object.blob_id,
            size: object.size,
            etag: object.etag(),
            last_modified: object.updated_at.rfc3339_millis(),
            ended_at: ended_at.rfc3339_millis(),
            removed,
            name: object.name,
            content_type: object.content_type,
        }
    }
}

fn no_version() -> StorageError {
    StorageError::new(Code::NoSuchKey, "there is no such version")
}

/// What an object was before, the last version first: 1,000 at the most.
#[utoipa::path(get, path = "/storage/v1/version/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = Vec<VersionView>), (status = 400, body = ErrorBody)))]
pub(super) async fn list_versions(caller: Caller, State(app): State<App>, path: ObjectPath) -> Result<Json<Vec<VersionView>>, StorageError> {
    let conn = app.db.read().await?;
    let (tenant, bucket) = (caller.tenant.id, path.bucket.as_str());
    sql::find_bucket(&conn, tenant, bucket).await?.ok_or_else(StorageError::no_bucket)?;
    let rights = rules::rights(&caller, bucket);
    if rights.filter(Action::Get).is_nothing() {
        return Err(StorageError::denied(Action::Get.as_str()));
    }
    let mut versions = versions::of_object(&conn, tenant, bucket, path.key.as_str(), MOST).await?;
    versions.retain(|version| rights.allow(Action::Get, &Subject::from(&version.object)));
    Ok(Json(versions.into_iter().map(VersionView::from).collect()))
}

/// Which removed objects to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RemovedPage {
    /// What their names begin with.
    prefix: Option<String>,
    /// The name and the version that the page before ended with.
    after: Option<String>,
    after_version: Option<Uuid>,
    /// 1 to 1,000; 100 when absent.
    limit: Option<i64>,
}

/// The objects of a bucket that were removed and can be brought back, by name.
#[utoipa::path(get, path = "/storage/v1/version/{bucket}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), RemovedPage),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = Vec<VersionView>), (status = 400, body = ErrorBody)))]
pub(super) async fn list_removed(
    caller: Caller,
    State(app): State<App>,
    BucketPath(bucket): BucketPath,
    Asked(page): Asked<RemovedPage>,
) -> Result<Json<Vec<VersionView>>, StorageError> {
    let conn = app.db.read().await?;
    sql::find_bucket(&conn, caller.tenant.id, bucket.as_str()).await?.ok_or_else(StorageError::no_bucket)?;
    let filter = rules::rights(&caller, bucket.as_str()).filter(Action::List);
    if filter.is_nothing() {
        return Err(StorageError::denied(Action::List.as_str()));
    }
    let limit = page.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(StorageError::invalid(format!("querystring/limit must be 1 to {MOST}")));
    }
    let prefix = beginning("prefix", page.prefix.as_deref().unwrap_or_default())?;
    let after = page.after.as_deref().map(|name| beginning("after", name)).transpose()?;
    let after = after.as_deref().map(|name| (name, page.after_version.unwrap_or(Uuid::max())));
    let removed = versions::removed(&conn, caller.tenant.id, (bucket.as_str(), &prefix), &filter, after, limit).await?;
    Ok(Json(removed.into_iter().map(VersionView::from).collect()))
}

/// Which version is to be brought back.
#[derive(Deserialize, ToSchema)]
pub(super) struct RestoreRequest {
    /// The last one when absent.
    version: Option<Uuid>,
}

/// Makes an object what it was before, or brings back one that was removed. What it is now becomes a version itself.
#[utoipa::path(post, path = "/storage/v1/version/{bucket}/{*key}", tag = "storage", request_body = RestoreRequest,
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = Uploaded), (status = 400, body = ErrorBody)))]
pub(super) async fn restore_version(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
    JsonBody(asked): JsonBody<RestoreRequest>,
) -> Result<Json<Uploaded>, StorageError> {
    let now = app.clock.now();
    let key = format!("{}/{}", path.bucket.as_str(), path.key);
    let restored = app.db.write(move |tx| async move { restore(&tx, &caller, now, &path, asked.version).await }).await;
    Ok(Json(Uploaded { id: restored??, key }))
}

async fn restore(tx: &Tx, caller: &Caller, now: Timestamp, path: &ObjectPath, wanted: Option<Uuid>) -> GroundResult<Result<Uuid, StorageError>> {
    let (tenant, name) = (caller.tenant.id, path.key.as_str());
    usage::lock(tx, tenant).await?;
    let Some(bucket) = sql::find_bucket(tx, tenant, path.bucket.as_str()).await? else { return Ok(Err(StorageError::no_bucket())) };
    let rights = rules::rights(caller, &bucket.id);
    let version = match wanted {
        Some(version) => versions::find(tx, tenant, &bucket.id, name, version).await?,
        None => versions::of_object(tx, tenant, &bucket.id, name, 1).await?.pop(),
    };
    let Some(version) = version.filter(|version| rights.allow(Action::Get, &Subject::from(&version.object))) else { return Ok(Err(no_version())) };
    let there = sql::find_object(tx, tenant, &bucket.id, name).await?;
    let allowed = may_write(&rights, &Subject::from(&version.object), there.as_ref(), true).and_then(|()| bucket.takes_object(&version.object));
    if let Err(refusal) = allowed {
        return Ok(Err(refusal));
    }
    versions::take(tx, tenant, &bucket.id, &version.object).await?;
    bring_back(tx, tenant, now, &bucket, version.object, there).await.map(Ok)
}

async fn bring_back(tx: &Tx, tenant: TenantId, now: Timestamp, bucket: &Bucket, version: Object, there: Option<Object>) -> GroundResult<Uuid> {
    // An object that was removed took its signed URLs with it, so that it comes back as another one.
    let id = there.as_ref().map_or_else(Uuid::new_v4, |there| there.id);
    let object = Object { id, updated_at: now, ..version };
    let written = match &there {
        None => sql::insert_object(tx, tenant, &bucket.id, &object).await?,
        Some(there) => sql::replace_object(tx, tenant, &bucket.id, &object, there).await?,
    };
    if !written {
        return Err(Error::internal("an object changed while the files of its tenant were locked"));
    }
    if let Some(there) = there {
        sql::retire(tx, tenant, now, bucket, &there).await?;
    }
    Ok(id)
}

/// Which version is to be removed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct VersionNamed {
    version: Uuid,
}

/// Removes a version for good.
#[utoipa::path(delete, path = "/storage/v1/version/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes"), VersionNamed),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = Done), (status = 400, body = ErrorBody)))]
pub(super) async fn delete_version(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
    named: Result<Asked<VersionNamed>, StorageError>,
) -> Result<Json<Done>, StorageError> {
    let (tenant, now) = (caller.tenant.id, app.clock.now());
    let rights = rules::rights(&caller, path.bucket.as_str());
    if rights.filter(Action::Delete).is_nothing() {
        return Err(StorageError::denied(Action::Delete.as_str()));
    }
    let Asked(named) = named?;
    let version = versions::find(&app.db.read().await?, tenant, path.bucket.as_str(), path.key.as_str(), named.version).await?;
    let version = version.filter(|version| rights.allow(Action::Get, &Subject::from(&version.object))).ok_or_else(no_version)?;
    if !rights.allow(Action::Delete, &Subject::from(&version.object)) {
        return Err(StorageError::denied(Action::Delete.as_str()));
    }
    let bucket = path.bucket.as_str().to_owned();
    let removed = app.db.write(move |tx| async move { versions::discard(&tx, tenant, now, &bucket, &version.object).await }).await?;
    if removed { Ok(Json(Done { message: "Successfully deleted" })) } else { Err(no_version()) }
}

/// The version of an object that a download names, in its place.
pub(super) async fn read(app: &App, caller: &Caller, path: &ObjectPath, version: Uuid) -> Result<Object, StorageError> {
    let found = versions::find(&app.db.read().await?, caller.tenant.id, path.bucket.as_str(), path.key.as_str(), version).await?;
    let rights = rules::rights(caller, path.bucket.as_str());
    let found = found.filter(|version| rights.allow(Action::Get, &Subject::from(&version.object)));
    found.map(|version| version.object).ok_or_else(no_version)
}

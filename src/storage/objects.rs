//! Telling about objects, removing, moving and copying them.

use std::borrow::Cow;

use axum::{Json, extract::State, http::HeaderMap};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    buckets::Done,
    download::{find, find_public},
    error::{ErrorBody, StorageError},
    extract::{BucketPath, JsonBody, ObjectPath},
    list::EntryMetadata,
    model::{BucketName, ContentType, Object, ObjectKey},
    quota,
    rules::{self, Action, Subject},
    sql::{self, Destination},
    upload::{Attributes, Writing, give_up, may_write, metadata_header, note, wants_upsert},
};
use crate::{
    app::App,
    auth::{Caller, CurrentTenant},
    blobs::{BlobId, Stored},
    error::{ConstraintKind, Error},
};

/// Names in one request.
const MOST_NAMES: usize = 1000;

/// What is known of an object.
#[derive(Serialize, ToSchema)]
pub(super) struct ObjectInfo {
    id: Uuid,
    name: String,
    /// Changes with the content.
    version: Uuid,
    bucket_id: String,
    size: i64,
    content_type: String,
    cache_control: String,
    etag: String,
    /// What the uploader noted; an empty object when that is nothing.
    #[schema(value_type = Object)]
    metadata: serde_json::Value,
    #[schema(format = DateTime)]
    last_modified: String,
    #[schema(format = DateTime)]
    created_at: String,
}

impl ObjectInfo {
    fn new(bucket: &BucketName, object: Object) -> Json<Self> {
        Json(Self {
            id: object.id,
            version: object.blob_id,
            bucket_id: bucket.as_str().to_owned(),
            size: object.size,
            etag: object.etag(),
            metadata: object.user_metadata.map_or_else(|| serde_json::json!({}), |json| json.0),
            last_modified: object.updated_at.rfc3339_millis(),
            created_at: object.created_at.rfc3339_millis(),
            name: object.name,
            content_type: object.content_type,
            cache_control: object.cache_control,
        })
    }
}

#[utoipa::path(get, path = "/storage/v1/object/info/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = ObjectInfo), (status = 400, body = ErrorBody)))]
pub(super) async fn get_object_info(caller: Caller, State(app): State<App>, path: ObjectPath) -> Result<Json<ObjectInfo>, StorageError> {
    let (_, object) = find(&app, &caller, Action::Get, &path, true).await?;
    Ok(ObjectInfo::new(&path.bucket, object))
}

#[utoipa::path(get, path = "/storage/v1/object/info/authenticated/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = ObjectInfo), (status = 400, body = ErrorBody)))]
pub(super) async fn get_authenticated_object_info(
    caller: Caller,
    State(app): State<App>,
    path: ObjectPath,
) -> Result<Json<ObjectInfo>, StorageError> {
    let (_, object) = find(&app, &caller, Action::Get, &path, false).await?;
    Ok(ObjectInfo::new(&path.bucket, object))
}

#[utoipa::path(get, path = "/storage/v1/object/info/public/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes")),
    security(()), responses((status = 200, body = ObjectInfo), (status = 400, body = ErrorBody)))]
pub(super) async fn get_public_object_info(
    CurrentTenant(tenant): CurrentTenant,
    State(app): State<App>,
    path: ObjectPath,
) -> Result<Json<ObjectInfo>, StorageError> {
    let object = find_public(&app, &tenant, &path).await?;
    Ok(ObjectInfo::new(&path.bucket, object))
}

/// An object as it was.
#[derive(Serialize, ToSchema)]
pub(super) struct ObjectRow {
    name: String,
    bucket_id: String,
    owner: String,
    owner_id: String,
    version: Uuid,
    id: Uuid,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_accessed_at: String,
    metadata: EntryMetadata,
    user_metadata: Option<serde_json::Value>,
}

impl ObjectRow {
    fn new(bucket: &str, object: Object) -> Self {
        let owner = object.owner_id.clone().unwrap_or_default();
        let updated_at = object.updated_at.rfc3339_millis();
        let metadata = EntryMetadata::new(object.etag(), object.size, &object.content_type, &object.cache_control, updated_at.clone());
        Self {
            name: object.name,
            bucket_id: bucket.to_owned(),
            owner: owner.clone(),
            owner_id: owner,
            version: object.blob_id,
            id: object.id,
            last_accessed_at: updated_at.clone(),
            updated_at,
            created_at: object.created_at.rfc3339_millis(),
            metadata,
            user_metadata: object.user_metadata.map(|json| json.0),
        }
    }
}

/// Removes one object.
#[utoipa::path(delete, path = "/storage/v1/object/{bucket}/{*key}", tag = "storage",
    params(("bucket" = String, Path, description = "The bucket"), ("key" = String, Path, description = "The object's key, with its slashes")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = Done), (status = 400, body = ErrorBody)))]
pub(super) async fn delete_object(caller: Caller, State(app): State<App>, path: ObjectPath) -> Result<Json<Done>, StorageError> {
    let rights = rules::rights(&caller, path.bucket.as_str());
    if rights.filter(Action::Delete).is_nothing() {
        return Err(StorageError::denied(Action::Delete.as_str()));
    }
    let removed = remove(&app, &caller, &path.bucket, vec![path.key.as_str().to_owned()]).await?;
    if removed.is_empty() {
        // Told apart only for who may see the object.
        find(&app, &caller, Action::Get, &path, false).await?;
        return Err(StorageError::denied(Action::Delete.as_str()));
    }
    Ok(Json(Done { message: "Successfully deleted" }))
}

/// The names of objects to be removed.
#[derive(Deserialize, ToSchema)]
pub(super) struct RemoveRequest {
    /// Whole keys, 1,000 at the most; they are not prefixes.
    prefixes: Vec<String>,
}

/// Removes objects by name, and tells which of them were there for the caller.
#[utoipa::path(delete, path = "/storage/v1/object/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    request_body = RemoveRequest, security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = Vec<ObjectRow>), (status = 400, body = ErrorBody)))]
pub(super) async fn delete_objects(
    caller: Caller,
    State(app): State<App>,
    BucketPath(bucket): BucketPath,
    JsonBody(asked): JsonBody<RemoveRequest>,
) -> Result<Json<Vec<ObjectRow>>, StorageError> {
    check_count("prefixes", &asked.prefixes)?;
    let removed = remove(&app, &caller, &bucket, asked.prefixes).await?;
    Ok(Json(removed.into_iter().map(|object| ObjectRow::new(bucket.as_str(), object)).collect()))
}

pub(super) fn check_count(field: &str, names: &[String]) -> Result<(), StorageError> {
    if (1..=MOST_NAMES).contains(&names.len()) {
        Ok(())
    } else {
        Err(StorageError::invalid(format!("body/{field} must have 1 to {MOST_NAMES} items")))
    }
}

async fn remove(app: &App, caller: &Caller, bucket: &BucketName, names: Vec<String>) -> Result<Vec<Object>, StorageError> {
    let filter = rules::rights(caller, bucket.as_str()).filter(Action::Delete);
    if filter.is_nothing() {
        return Ok(Vec::new());
    }
    // What is no key is the name of nothing.
    let names: Vec<String> = names.iter().filter_map(|name| ObjectKey::read(name).ok()).map(|key| key.as_str().to_owned()).collect();
    let (tenant, now, bucket) = (caller.tenant.id, app.clock.now(), bucket.as_str().to_owned());
    Ok(app.db.write(move |tx| async move { sql::delete_objects(&tx, tenant, now, &bucket, &names, &filter).await }).await?)
}

/// What is to go where.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MoveRequest {
    bucket_id: String,
    source_key: String,
    /// The same bucket when absent.
    destination_bucket: Option<String>,
    destination_key: String,
}

/// The two ends of a move or a copy.
struct Way {
    from: ObjectPath,
    to: ObjectPath,
}

impl Way {
    fn read(bucket: &str, source: &str, to_bucket: Option<&str>, target: &str) -> Result<Self, StorageError> {
        let from = ObjectPath { bucket: BucketName::read(bucket)?, key: ObjectKey::read(source)? };
        let to = ObjectPath { bucket: BucketName::read(to_bucket.unwrap_or(bucket))?, key: ObjectKey::read(target)? };
        Ok(Self { from, to })
    }

    /// The object at the start, and whether the place at the end takes it.
    async fn check(&self, app: &App, caller: &Caller) -> Result<Object, StorageError> {
        let (_, object) = find(app, caller, Action::Get, &self.from, false).await?;
        let conn = app.db.read().await?;
        let bucket = sql::find_bucket(&conn, caller.tenant.id, self.to.bucket.as_str()).await?.ok_or_else(StorageError::no_bucket)?;
        if self.from.bucket != self.to.bucket {
            bucket.takes_object(&object)?;
            if object.length() > bucket.size_limit(app.config.storage.max_upload_bytes) {
                return Err(StorageError::too_large());
            }
        }
        Ok(object)
    }
}

/// Gives an object another name, or another bucket. Its bytes stay where they are.
#[utoipa::path(post, path = "/storage/v1/object/move", tag = "storage", request_body = MoveRequest, security(("apikey" = []), ("user" = [])),
    responses((status = 200, body = Done), (status = 400, body = ErrorBody)))]
pub(super) async fn move_object(caller: Caller, State(app): State<App>, JsonBody(asked): JsonBody<MoveRequest>) -> Result<Json<Done>, StorageError> {
    let way = Way::read(&asked.bucket_id, &asked.source_key, asked.destination_bucket.as_deref(), &asked.destination_key)?;
    let object = way.check(&app, &caller).await?;
    if !rules::rights(&caller, way.from.bucket.as_str()).allow(Action::Update, &Subject::from(&object)) {
        return Err(StorageError::refused_row(Action::Update.as_str()));
    }
    let moved = Subject { name: way.to.key.as_str(), ..Subject::from(&object) };
    if !rules::rights(&caller, way.to.bucket.as_str()).allow(Action::Insert, &moved) {
        return Err(StorageError::refused_row(Action::Insert.as_str()));
    }
    let (tenant, now) = (caller.tenant.id, app.clock.now());
    let moved = app
        .db
        .write(move |tx| async move {
            let to = Destination { bucket: way.to.bucket.as_str(), name: way.to.key.as_str() };
            if let Err(refusal) = quota::check_move(&tx, tenant, way.from.bucket.as_str(), to.bucket, &object).await? {
                return Ok(Err(refusal));
            }
            sql::move_object(&tx, tenant, now, way.from.bucket.as_str(), &object, to).await.map(Ok)
        })
        .await;
    match moved {
        Ok(Ok(true)) => Ok(Json(Done { message: "Successfully moved" })),
        Ok(Ok(false)) => Err(StorageError::no_object()),
        Ok(Err(refusal)) => Err(refusal),
        Err(Error::Constraint(constraint)) if constraint.kind == ConstraintKind::Unique => Err(StorageError::object_exists()),
        Err(error) => Err(StorageError::or_no_bucket(error)),
    }
}

/// What is to be copied where.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CopyRequest {
    bucket_id: String,
    source_key: String,
    /// The same bucket when absent.
    destination_bucket: Option<String>,
    destination_key: String,
    /// What is to be different.
    metadata: Option<CopyMetadata>,
    /// Whether the copy keeps the user's metadata; it does when absent.
    copy_metadata: Option<bool>,
}

/// What is to be different about a copy.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CopyMetadata {
    cache_control: Option<String>,
    mimetype: Option<String>,
}

/// A copy that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Copied {
    #[serde(rename = "Id")]
    id: Uuid,
    /// `bucket/key`
    #[serde(rename = "Key")]
    key: String,
    #[serde(flatten)]
    row: ObjectRow,
}

/// Makes a second object of the same content.
#[utoipa::path(post, path = "/storage/v1/object/copy", tag = "storage", request_body = CopyRequest, security(("apikey" = []), ("user" = [])),
    params(("x-upsert" = Option<bool>, Header, description = "Replace an object that is there"),
        ("x-metadata" = Option<String>, Header, description = "The user's metadata of the copy: a JSON object in base64")),
    responses((status = 200, body = Copied), (status = 400, body = ErrorBody)))]
pub(super) async fn copy_object(
    caller: Caller,
    State(app): State<App>,
    headers: HeaderMap,
    JsonBody(asked): JsonBody<CopyRequest>,
) -> Result<Json<Copied>, StorageError> {
    let way = Way::read(&asked.bucket_id, &asked.source_key, asked.destination_bucket.as_deref(), &asked.destination_key)?;
    let object = way.check(&app, &caller).await?;
    let rights = rules::rights(&caller, way.to.bucket.as_str());
    let upsert = wants_upsert(&headers);
    let tenant = caller.tenant.id;
    let there = sql::find_object(&app.db.read().await?, tenant, way.to.bucket.as_str(), way.to.key.as_str()).await?;
    let attributes = copied_attributes(&object, &asked, &headers)?;
    let new = rights.new_subject(way.to.key.as_str(), Some(attributes.content(Some(object.size))));
    may_write(&rights, &new, there.as_ref(), upsert)?;

    let bucket = way.to.bucket.as_str().to_owned();
    let writing = Writing { app: app.clone(), tenant, bucket, key: way.to.key, rights, upsert };
    let blob = BlobId::random();
    note(&app, tenant, blob).await?;
    if !app.blobs.copy(BlobId::from(object.blob_id), blob).await? {
        give_up(&app, tenant, blob).await;
        return Err(StorageError::missing_bytes());
    }
    let sha256 = object.sha256.as_slice().try_into().map_err(|_| Error::internal("a stored SHA-256 has not 32 bytes"))?;
    let id = writing.commit(blob, Stored { size: object.length(), sha256, kind: object.found_type.clone().map(Cow::Owned) }, attributes).await?;
    let (bucket, key) = (&writing.bucket, writing.key.as_str());
    let copy = sql::find_object(&app.db.read().await?, tenant, bucket, key).await?.ok_or_else(StorageError::no_object)?;
    Ok(Json(Copied { id, key: format!("{bucket}/{key}"), row: ObjectRow::new(bucket, copy) }))
}

/// What is not named stays as it is with the original.
fn copied_attributes(object: &Object, asked: &CopyRequest, headers: &HeaderMap) -> Result<Attributes, StorageError> {
    let changed = asked.metadata.as_ref();
    let own_metadata = headers.get("x-metadata").and_then(|value| value.to_str().ok()).map(metadata_header).transpose()?;
    let kept_metadata = object.user_metadata.clone().filter(|_| asked.copy_metadata.unwrap_or(true));
    let is_header = |text: &&str| text.len() <= 255 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let cache_control = changed.and_then(|metadata| metadata.cache_control.as_deref()).filter(is_header);
    Ok(Attributes {
        content_type: ContentType::read(Some(changed.and_then(|metadata| metadata.mimetype.as_deref()).unwrap_or(&object.content_type))),
        cache_control: cache_control.unwrap_or(&object.cache_control).to_owned(),
        robots_tag: object.robots_tag.clone(),
        user_metadata: own_metadata.or(kept_metadata),
    })
}

//! Making, reading, changing, emptying and removing buckets.

use axum::{Json, extract::State, http::HeaderMap};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    error::{Code, ErrorBody, StorageError},
    extract::{Asked, BucketPath, JsonBody},
    lifecycle::Lifecycle,
    model::{Bucket, BucketName, MimePattern, SizeLimit},
    rules::{self, BucketAction},
    sql, tasks,
};
use crate::{app::App, auth::Caller, db, error::Error};

/// A bucket.
#[derive(Serialize, ToSchema)]
pub(super) struct BucketView {
    id: String,
    name: String,
    /// The user who made it, or empty.
    owner: String,
    public: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// The most bytes of a file.
    file_size_limit: Option<i64>,
    /// The types that it takes; null means all.
    #[schema(value_type = Option<Vec<String>>)]
    allowed_mime_types: Option<serde_json::Value>,
    /// The most bytes of all its files together; absent where there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<i64>,
    /// Whether what its objects were before is kept; absent where it is not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    versioning: bool,
    /// What is removed by itself; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Lifecycle>)]
    lifecycle: Option<serde_json::Value>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<Bucket> for BucketView {
    fn from(bucket: Bucket) -> Self {
        Self {
            name: bucket.id.clone(),
            id: bucket.id,
            owner: bucket.owner_id.unwrap_or_default(),
            public: bucket.public,
            kind: None,
            file_size_limit: bucket.file_size_limit,
            allowed_mime_types: bucket.allowed_mime_types.map(|json| json.0),
            quota_bytes: bucket.quota_bytes,
            versioning: bucket.versioning,
            lifecycle: bucket.lifecycle.map(|json| json.0),
            created_at: bucket.created_at.rfc3339_millis(),
            updated_at: bucket.updated_at.rfc3339_millis(),
        }
    }
}

/// What was done.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    #[schema(example = "Successfully deleted")]
    pub(super) message: &'static str,
}

/// A bucket to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewBucket {
    name: Option<String>,
    /// The same as the name.
    id: Option<String>,
    #[serde(default)]
    public: Option<bool>,
    /// The most bytes of a file: a number, or a text like "20MB".
    file_size_limit: Option<SizeLimit>,
    /// `type/subtype`, `type/*` or `*`.
    allowed_mime_types: Option<Vec<MimePattern>>,
    /// The most bytes of all its files together: a number, or a text like "20GB".
    quota_bytes: Option<SizeLimit>,
    /// Whether what its objects were is kept when they are replaced or removed.
    #[serde(default)]
    versioning: Option<bool>,
    /// What is removed by itself.
    lifecycle: Option<Lifecycle>,
    /// Only `STANDARD` is served.
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The name of a bucket that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Named {
    name: String,
}

#[utoipa::path(post, path = "/storage/v1/bucket", tag = "storage", request_body = NewBucket, security(("apikey" = []), ("user" = [])), responses(
    (status = 200, body = Named), (status = 400, body = ErrorBody)))]
pub(super) async fn create_bucket(caller: Caller, State(app): State<App>, JsonBody(new): JsonBody<NewBucket>) -> Result<Json<Named>, StorageError> {
    let name = new.name.or(new.id).ok_or_else(|| StorageError::invalid("body must have required property 'name'"))?;
    let name = BucketName::read(&name)?;
    if new.kind.is_some_and(|kind| kind != "STANDARD") {
        return Err(StorageError::invalid("only buckets of the type STANDARD are served"));
    }
    let owner_id = rules::owner_of_new(&caller);
    if !rules::may(&caller, BucketAction::Create, name.as_str(), owner_id.as_deref()) {
        return Err(StorageError::refused_row(BucketAction::Create.as_str()));
    }
    let now = app.clock.now();
    let bucket = Bucket {
        id: name.as_str().to_owned(),
        public: new.public.unwrap_or_default(),
        file_size_limit: new.file_size_limit.map(|limit| limit.0),
        allowed_mime_types: mime_column(new.allowed_mime_types),
        owner_id,
        created_at: now,
        updated_at: now,
        quota_bytes: new.quota_bytes.map(|limit| limit.0),
        versioning: new.versioning.unwrap_or_default(),
        lifecycle: lifecycle_column(new.lifecycle)?,
    };
    check(&app, &caller, &bucket)?;
    let tenant = caller.tenant.id;
    if !app.db.write(move |tx| async move { sql::insert_bucket(&tx, tenant, &bucket).await }).await? {
        return Err(StorageError::bucket_exists());
    }
    Ok(Json(Named { name: name.as_str().to_owned() }))
}

fn lifecycle_column(lifecycle: Option<Lifecycle>) -> Result<Option<db::Json>, StorageError> {
    let lifecycle = lifecycle.filter(|lifecycle| *lifecycle != Lifecycle::default());
    lifecycle.as_ref().map_or(Ok(()), Lifecycle::check)?;
    Ok(lifecycle.map(|lifecycle| db::Json(json!(lifecycle))))
}

fn mime_column(patterns: Option<Vec<MimePattern>>) -> Option<db::Json> {
    patterns.filter(|patterns| !patterns.is_empty()).map(|patterns| db::Json(json!(patterns)))
}

/// What no bucket may be, whoever asks.
fn check(app: &App, caller: &Caller, bucket: &Bucket) -> Result<(), StorageError> {
    let most = i64::try_from(app.config.storage.max_upload_bytes).unwrap_or(i64::MAX);
    if bucket.file_size_limit.is_some_and(|limit| limit > most) {
        return Err(StorageError::too_large());
    }
    if bucket.public && rules::is_sealed(caller, &bucket.id) {
        let message = format!("the bucket \"{}\" is sealed by the tenant's settings and can't be public", bucket.id);
        return Err(StorageError::new(Code::AccessDenied, message));
    }
    Ok(())
}

/// Which buckets to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct BucketPage {
    limit: Option<usize>,
    offset: Option<usize>,
    /// `id`, `name`, `created_at` or `updated_at`.
    sort_column: Option<String>,
    /// `asc` or `desc`.
    sort_order: Option<String>,
    /// Only buckets whose name has this in it.
    search: Option<String>,
}

#[utoipa::path(get, path = "/storage/v1/bucket", tag = "storage", params(BucketPage), security(("apikey" = []), ("user" = [])), responses(
    (status = 200, body = Vec<BucketView>), (status = 400, body = ErrorBody)))]
pub(super) async fn list_buckets(
    caller: Caller,
    State(app): State<App>,
    headers: HeaderMap,
    Asked(page): Asked<BucketPage>,
) -> Result<Json<Vec<BucketView>>, StorageError> {
    let mut buckets = sql::list_buckets(&app.db.read().await?, caller.tenant.id).await?;
    buckets.retain(|bucket| rules::may_with(&caller, BucketAction::Read, bucket));
    if let Some(search) = page.search.filter(|search| !search.is_empty()).map(|search| search.to_lowercase()) {
        buckets.retain(|bucket| bucket.id.to_lowercase().contains(&search));
    }
    let descending = match page.sort_order.as_deref() {
        None | Some("" | "asc") => false,
        Some("desc") => true,
        Some(other) => return Err(StorageError::invalid(format!("\"{other}\" is no order; write asc or desc"))),
    };
    match page.sort_column.as_deref() {
        None | Some("id" | "name") => {}
        Some("created_at") => buckets.sort_by_key(|bucket| bucket.created_at),
        Some("updated_at") => buckets.sort_by_key(|bucket| bucket.updated_at),
        Some(other) => return Err(StorageError::invalid(format!("\"{other}\" is no column to sort by"))),
    }
    if descending {
        buckets.reverse();
    }
    let kind = knows_types(&headers).then_some("STANDARD");
    let page = buckets.into_iter().skip(page.offset.unwrap_or(0)).take(page.limit.unwrap_or(usize::MAX));
    Ok(Json(page.map(|bucket| BucketView { kind, ..bucket.into() }).collect()))
}

/// supabase-py before 2.18 and storage3 before 0.12.1 refuse a bucket with a type.
fn knows_types(headers: &HeaderMap) -> bool {
    let told = ["x-client-info", "user-agent"].into_iter().filter_map(|name| headers.get(name)?.to_str().ok());
    !told.into_iter().any(|agent| is_older(agent, "supabase-py/", &[2, 18]) || is_older(agent, "storage3/", &[0, 12, 1]))
}

fn is_older(agent: &str, product: &str, than: &[u32]) -> bool {
    let Some((_, version)) = agent.split_once(product) else { return false };
    let version = version.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let version: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    !version.is_empty() && version.as_slice() < than
}

#[utoipa::path(get, path = "/storage/v1/bucket/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = BucketView), (status = 400, body = ErrorBody)))]
pub(super) async fn get_bucket(caller: Caller, State(app): State<App>, BucketPath(name): BucketPath) -> Result<Json<BucketView>, StorageError> {
    visible(&app, &caller, &name).await.map(|bucket| Json(bucket.into()))
}

async fn visible(app: &App, caller: &Caller, name: &BucketName) -> Result<Bucket, StorageError> {
    let bucket = sql::find_bucket(&app.db.read().await?, caller.tenant.id, name.as_str()).await?;
    bucket.filter(|bucket| rules::may_with(caller, BucketAction::Read, bucket)).ok_or_else(StorageError::no_bucket)
}

/// What is to be different about a bucket; what is left out stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct BucketChange {
    public: Option<bool>,
    /// Null lifts the limit.
    #[serde(default)]
    #[schema(value_type = Option<SizeLimit>)]
    file_size_limit: Change<SizeLimit>,
    /// Null takes all types.
    #[serde(default)]
    #[schema(value_type = Option<Vec<MimePattern>>)]
    allowed_mime_types: Change<Vec<MimePattern>>,
    /// Null lifts the limit of all files together.
    #[serde(default)]
    #[schema(value_type = Option<SizeLimit>)]
    quota_bytes: Change<SizeLimit>,
    /// Whether what its objects were is kept when they are replaced or removed. Turned off, what is kept stays.
    versioning: Option<bool>,
    /// Null removes nothing by itself.
    #[serde(default)]
    #[schema(value_type = Option<Lifecycle>)]
    lifecycle: Change<Lifecycle>,
}

/// A field of a change: null is not the same as absent.
#[derive(Default)]
enum Change<T> {
    #[default]
    Stay,
    Become(Option<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Become)
    }
}

#[utoipa::path(put, path = "/storage/v1/bucket/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    request_body = BucketChange, security(("apikey" = []), ("user" = [])), responses((status = 200, body = Done), (status = 400, body = ErrorBody)))]
pub(super) async fn update_bucket(
    caller: Caller,
    State(app): State<App>,
    BucketPath(name): BucketPath,
    JsonBody(change): JsonBody<BucketChange>,
) -> Result<Json<Done>, StorageError> {
    let mut bucket = managed(&app, &caller, &name, BucketAction::Update).await?;
    if let BucketChange {
        public: None,
        file_size_limit: Change::Stay,
        allowed_mime_types: Change::Stay,
        quota_bytes: Change::Stay,
        versioning: None,
        lifecycle: Change::Stay,
    } = change
    {
        return Err(StorageError::invalid(
            "body must have at least one of public, file_size_limit, allowed_mime_types, quota_bytes, versioning, lifecycle",
        ));
    }
    if let Some(public) = change.public {
        bucket.public = public;
    }
    if let Change::Become(limit) = change.file_size_limit {
        bucket.file_size_limit = limit.map(|limit| limit.0);
    }
    if let Change::Become(patterns) = change.allowed_mime_types {
        bucket.allowed_mime_types = mime_column(patterns);
    }
    if let Change::Become(limit) = change.quota_bytes {
        bucket.quota_bytes = limit.map(|limit| limit.0);
    }
    if let Some(versioning) = change.versioning {
        bucket.versioning = versioning;
    }
    if let Change::Become(lifecycle) = change.lifecycle {
        bucket.lifecycle = lifecycle_column(lifecycle)?;
    }
    bucket.updated_at = app.clock.now();
    check(&app, &caller, &bucket)?;
    let tenant = caller.tenant.id;
    if !app.db.write(move |tx| async move { sql::update_bucket(&tx, tenant, &bucket).await }).await? {
        return Err(StorageError::no_bucket());
    }
    Ok(Json(Done { message: "Successfully updated" }))
}

/// A bucket that the caller may change; hidden from who may not even see it.
async fn managed(app: &App, caller: &Caller, name: &BucketName, action: BucketAction) -> Result<Bucket, StorageError> {
    let bucket = visible(app, caller, name).await?;
    if rules::may_with(caller, action, &bucket) { Ok(bucket) } else { Err(StorageError::denied(action.as_str())) }
}

#[utoipa::path(delete, path = "/storage/v1/bucket/{bucket}", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    security(("apikey" = []), ("user" = [])), responses((status = 200, body = Done), (status = 400, body = ErrorBody)))]
pub(super) async fn delete_bucket(caller: Caller, State(app): State<App>, BucketPath(name): BucketPath) -> Result<Json<Done>, StorageError> {
    managed(&app, &caller, &name, BucketAction::Delete).await?;
    let (tenant, now) = (caller.tenant.id, app.clock.now());
    let deleted = app.db.write(move |tx| async move { sql::delete_bucket(&tx, tenant, now, name.as_str()).await }).await;
    match deleted {
        Ok(true) => Ok(Json(Done { message: "Successfully deleted" })),
        Ok(false) => Err(StorageError::no_bucket()),
        Err(Error::Constraint(_)) => Err(StorageError::new(Code::ResourceNotEmpty, "The bucket you tried to delete is not empty")),
        Err(error) => Err(error.into()),
    }
}

/// Removes every object of a bucket: thousands at once, and of more than that the rest soon after.
#[utoipa::path(post, path = "/storage/v1/bucket/{bucket}/empty", tag = "storage", params(("bucket" = String, Path, description = "The bucket")),
    security(("apikey" = []), ("user" = [])), responses(
    (status = 200, body = Done), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn empty_bucket(caller: Caller, State(app): State<App>, BucketPath(name): BucketPath) -> Result<Json<Done>, StorageError> {
    let bucket = sql::find_bucket(&app.db.read().await?, caller.tenant.id, name.as_str()).await?;
    if !rules::may(&caller, BucketAction::Delete, name.as_str(), bucket.as_ref().and_then(|bucket| bucket.owner_id.as_deref())) {
        return Err(StorageError::new(Code::InvalidRole, "Access denied: Invalid role"));
    }
    bucket.ok_or_else(StorageError::no_bucket)?;
    tasks::empty_bucket(&app, &caller, &name).await?;
    Ok(Json(Done { message: "Empty bucket has been queued. Completion may take up to an hour." }))
}

//! How much of everything a tenant has, for the operator.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::sql::{self, usage};
use crate::{
    app::App,
    http::Problem,
    tenants::{Operator, get_tenant},
};

/// Users in one answer.
const MOST_USERS: i64 = 100;

/// How much a tenant has stored.
#[derive(Serialize, ToSchema)]
pub(super) struct StorageUsage {
    /// Bytes of all files.
    bytes: i64,
    /// How many files.
    objects: i64,
    /// The largest first.
    buckets: Vec<BucketUsage>,
    /// The 100 that have most.
    users: Vec<UserUsage>,
}

/// How much a bucket has.
#[derive(Serialize, ToSchema)]
struct BucketUsage {
    id: String,
    bytes: i64,
    objects: i64,
    /// The most bytes it may have, if there is a limit.
    quota_bytes: Option<i64>,
}

/// How much a user has.
#[derive(Serialize, ToSchema)]
struct UserUsage {
    /// Null stands for the files that are nobody's: those that keys have made.
    id: Option<String>,
    bytes: i64,
    objects: i64,
}

#[utoipa::path(get, path = "/admin/v1/tenants/{ref}/storage", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 200, body = StorageUsage), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn get_storage_usage(_: Operator, State(app): State<App>, Path(reference): Path<String>) -> Result<Json<StorageUsage>, Problem> {
    let tenant = get_tenant(&app, &reference).await?.id;
    let conn = app.db.read().await?;
    let all = usage::find(&conn, tenant, "tenant", "").await?;
    let mut buckets = Vec::new();
    for bucket in sql::list_buckets(&conn, tenant).await? {
        let used = usage::find(&conn, tenant, "bucket", &bucket.id).await?;
        buckets.push(BucketUsage { id: bucket.id, bytes: used.bytes, objects: used.objects, quota_bytes: bucket.quota_bytes });
    }
    buckets.sort_by_key(|bucket| std::cmp::Reverse(bucket.bytes));
    let users = usage::largest(&conn, tenant, "user", MOST_USERS).await?;
    let users = users.into_iter().map(|user| UserUsage { id: Some(user.name).filter(|id| !id.is_empty()), bytes: user.bytes, objects: user.objects });
    Ok(Json(StorageUsage { bytes: all.bytes, objects: all.objects, buckets, users: users.collect() }))
}

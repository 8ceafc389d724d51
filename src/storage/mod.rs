//! Buckets and the objects in them, on the wire of Supabase Storage (`/storage/v1`).
//!
//! Rules: what no rule allows is denied (`rules.rs`); what a caller may not see looks as if it were not there; an object's row is
//! written after its bytes are durable, so that no row is ever without them; bytes without a row have a note in `loose_blobs`, by which
//! [`sweep`] finds them. One key is one text, in one spelling; what could be read in two ways is refused (`model.rs`).
//!
//! Start with `upload.rs`, then `download.rs`; uploads that are resumed have a place of their own in `resumable`.

mod buckets;
mod cdn;
mod check;
mod digest;
mod download;
mod error;
mod explain;
mod extract;
mod images;
mod lifecycle;
mod list;
mod list_v2;
mod model;
mod objects;
mod quota;
mod range;
mod resumable;
mod rules;
mod sign;
mod sniff;
mod sql;
mod sweep;
mod tasks;
mod upload;
mod upload_url;
mod usage;
mod versions;

use axum::{Json, routing::post};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    check::{CheckOptions, CheckReport, Problem as CheckProblem, ProblemKind, check},
    images::Images,
    lifecycle::{LIFECYCLE_EVERY, apply_lifecycles, keep_lifecycles},
    sql::delete_rows_of,
    sweep::{SWEEP_EVERY, keep_swept, sweep},
    tasks::Work as PrefixWork,
};
use crate::{app::App, auth::Caller};

/// The routes of storage.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_storage_status))
        .routes(routes!(get_storage_version))
        .routes(routes!(get_storage_health))
        .routes(routes!(buckets::create_bucket, buckets::list_buckets))
        .routes(routes!(buckets::get_bucket, buckets::update_bucket, buckets::delete_bucket))
        .routes(routes!(buckets::empty_bucket))
        .routes(routes!(list::list_objects))
        .routes(routes!(list_v2::list_page))
        .routes(routes!(tasks::delete_prefix))
        .routes(routes!(tasks::move_prefix))
        .routes(routes!(tasks::get_task))
        .routes(routes!(objects::move_object))
        .routes(routes!(objects::copy_object))
        .routes(routes!(objects::delete_objects))
        .routes(routes!(upload::upload_object, upload::update_object, download::get_object, objects::delete_object))
        .routes(routes!(download::get_authenticated_object))
        .routes(routes!(download::get_public_object))
        .route(extract::PUBLIC_OBJECTS, post(upload::upload_object).put(upload::update_object).delete(objects::delete_object))
        .routes(routes!(objects::get_object_info))
        .routes(routes!(objects::get_authenticated_object_info))
        .routes(routes!(objects::get_public_object_info))
        .merge(resumable::router())
        .merge(images::router())
        .routes(routes!(upload_url::sign_upload, upload_url::upload_by_url))
        .routes(routes!(explain::list_rules))
        .routes(routes!(explain::explain))
        .routes(routes!(cdn::purge_all))
        .routes(routes!(cdn::purge_bucket))
        .routes(routes!(cdn::purge_object))
        .routes(routes!(sign::sign_objects))
        .routes(routes!(usage::get_storage_usage))
        .routes(routes!(versions::list_removed))
        .routes(routes!(versions::list_versions, versions::restore_version, versions::delete_version))
        .routes(routes!(sign::sign_object, sign::get_signed_object))
}

/// Says that storage is there.
#[utoipa::path(get, path = "/storage/v1/status", tag = "storage", security(()), responses((status = 200)))]
async fn get_storage_status() {}

/// Whether storage can serve who is asking.
#[utoipa::path(get, path = "/storage/v1/health", tag = "storage", security(("apikey" = []), ("user" = [])), responses((status = 200, body = Health)))]
async fn get_storage_health(_: Caller) -> Json<Health> {
    // Who was recognised has been looked up in the database.
    Json(Health { healthy: true })
}

/// How storage is.
#[derive(Serialize, ToSchema)]
struct Health {
    healthy: bool,
}

/// The version of this server.
#[utoipa::path(get, path = "/storage/v1/version", tag = "storage", security(()), responses((status = 200, content_type = "text/plain", body = String)))]
async fn get_storage_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

//! Uploads that survive anything: TUS 1.0.0 with the extensions creation, creation-with-upload, creation-defer-length, termination,
//! expiration and checksum.
//!
//! A body is cut into segments. Each is a blob of its own that is durable before the row says so, so an offset only ever claims bytes that
//! outlive the process (`append.rs`). Who writes has a lease with an id of its own and gives news of itself with every segment; a writer
//! of whom there is no news loses it to the next. No byte of the loser counts: each change of the row names the lease and the offset it is
//! made under. With its last byte an upload becomes an object, in one transaction with the offset that says so (`finish.rs`).
//!
//! What happens to an upload is told to who began it, and to secret keys; for everybody else it is not there. `Location` comes from the
//! settings and never from the request. `/sign` is the same for who has the token of a signed upload URL instead of a key.
//!
//! Start with `create.rs`, then `append.rs`.

mod append;
mod checksum;
mod create;
mod error;
mod finish;
mod incoming;
mod manage;
mod request;

use axum::routing::{patch, post};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::App;

/// The routes of resumable uploads.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create_upload, manage::get_abilities))
        .routes(routes!(append::append_to_upload, manage::get_offset, manage::remove_upload, manage::override_method))
        .route("/storage/v1/upload/resumable/", post(create::create_upload).options(manage::get_abilities))
        .route(request::SIGNED, post(create::create_upload).options(manage::get_abilities))
        .route(
            request::SIGNED_ONE,
            patch(append::append_to_upload).head(manage::get_offset).delete(manage::remove_upload).post(manage::override_method),
        )
        .route("/storage/v1/upload/resumable/sign/", post(create::create_upload).options(manage::get_abilities))
}

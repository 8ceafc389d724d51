//! Pictures in other sizes and formats, made when they are asked for.
//!
//! Who may read an object may have it as a picture; a signed URL says by itself what is made of it. Making one is bounded: how large the
//! source may be, how many pixels it may have (asked of its head, before room is made for them), how many are made at a time and how many
//! may wait (`pool.rs`). What was made lies in a directory of this node (`cache.rs`), by the version of its source, so that it is never old.
//! SVG passes as it is, in its cage.
//!
//! Start with `door.rs`; what can be asked for is in `transform.rs`, how it is done in `picture.rs`.

mod cache;
mod door;
mod picture;
mod pool;
mod transform;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::transform::Transform;
use self::{cache::Cache, pool::Pool};
use crate::{app::App, blobs::BlobId, config::Config};

/// The routes of pictures.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(door::render_public_image))
        .routes(routes!(door::render_authenticated_image))
        .routes(routes!(door::render_signed_image))
}

/// What makes pictures, and those that it made.
pub struct Images {
    pool: Pool,
    cache: Cache,
    max_source_bytes: u64,
    max_pixels: u64,
}

impl Images {
    /// As the settings say. Threads start and directories are made with the first picture.
    pub fn new(config: &Config) -> Self {
        let images = &config.images;
        Self {
            pool: Pool::new(images.threads),
            cache: Cache::new(config.data_dir.join("cache/images"), images.cache_bytes),
            max_source_bytes: images.max_source_bytes,
            max_pixels: images.max_pixels,
        }
    }

    /// Forgets what was made of these blobs.
    pub(super) async fn forget(&self, blobs: Vec<BlobId>) {
        self.cache.forget(blobs).await;
    }

    /// Keeps what was made within its bounds.
    pub(super) async fn tidy(&self) {
        self.cache.tidy().await;
    }
}

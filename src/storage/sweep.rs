//! Removing the bytes that no object names.

use std::time::Duration;

use super::sql;
use crate::{app::App, blobs::BlobId, db::Timestamp, error::Result};

/// The longest that an upload may take. A note that is older belongs to nobody any more.
const LONGEST_UPLOAD: Duration = Duration::from_hours(24);
/// How long garbage stays: who has read a row just before it changed may still open its bytes.
const GRACE: Duration = Duration::from_mins(1);
/// How long it can be asked how a task ended.
const TASKS_KEPT: Duration = Duration::from_hours(7 * 24);
/// How long it can be told that a resumable upload is over, and not that there was none.
const EXPIRED_KEPT: Duration = Duration::from_hours(1);
/// Blobs removed at a time.
const BATCH: i64 = 500;

/// How often it is done.
pub const SWEEP_EVERY: Duration = Duration::from_mins(5);

/// Sweeps, and says what was found.
pub async fn keep_swept(app: App) -> Result<()> {
    let blobs = sweep(&app).await?;
    app.images.tidy().await;
    if blobs > 0 {
        tracing::info!(blobs, "removed bytes that no object names");
    }
    Ok(())
}

/// Removes what uploads that failed, and objects that were replaced or removed, have left. Tells how many blobs there were.
///
/// It may run on several nodes at once. The bytes go first and the note after them, so that a
/// crash in between only leaves a note.
pub async fn sweep(app: &App) -> Result<u64> {
    let now = app.clock.now();
    let before = |age: Duration| now.plus_seconds(-i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    app.blobs.sweep_staging(LONGEST_UPLOAD).await?;
    let deadline = before(LONGEST_UPLOAD);
    let forgotten = before(TASKS_KEPT);
    let expire = move |tx: crate::db::Tx| async move {
        sql::expire_uploads(&tx, deadline).await?;
        sql::tasks::forget(&tx, forgotten).await
    };
    app.db.write(expire).await?;
    end_resumable(app, before(EXPIRED_KEPT)).await?;
    let mut swept = 0;
    loop {
        let garbage = sql::list_garbage(&app.db.read().await?, before(GRACE), BATCH).await?;
        if garbage.is_empty() {
            return Ok(swept);
        }
        let blobs: Vec<BlobId> = garbage.iter().map(|(_, blob)| BlobId::from(*blob)).collect();
        app.images.forget(blobs.clone()).await;
        app.blobs.delete(blobs).await?;
        swept += garbage.len() as u64;
        let forget = move |tx: crate::db::Tx| async move {
            for (tenant, blob) in garbage {
                sql::forget_garbage(&tx, tenant, blob).await?;
            }
            Ok(())
        };
        app.db.write(forget).await?;
    }
}

/// Removes resumable uploads whose time is over; their bytes become garbage.
async fn end_resumable(app: &App, deadline: Timestamp) -> Result<()> {
    loop {
        let expired = sql::uploads::expired(&app.db.read().await?, deadline, BATCH).await?;
        if expired.is_empty() {
            return Ok(());
        }
        for (tenant, upload) in expired {
            let now = app.clock.now();
            app.db.write(move |tx| async move { sql::uploads::remove(&tx, tenant, now, upload).await }).await?;
        }
    }
}

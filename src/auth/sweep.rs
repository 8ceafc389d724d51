//! Lets go of what is over: tokens, and the memory of what was asked for and by whom.

use std::time::Duration;

use super::sql::{limits, messages, one_time_tokens};
use crate::{app::App, error::Result};

/// How often it is looked for.
pub const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// Seconds for which it is remembered that something was asked for: longer than any pause between two askings.
const REMEMBERED: i64 = 2 * 3600;

/// Seconds after which a browser that nobody signed in from is a new one again.
const KNOWN: i64 = 400 * 86_400;

/// Seconds for which a count is kept after it is empty, and a wrong guess after it was made.
const COUNTED: i64 = 2 * 3600;

/// Seconds for which it is remembered where a user came in from.
const CAME_FROM: i64 = 180 * 86_400;

/// Removes what is over, in all tenants.
pub async fn keep_swept(app: App) -> Result<()> {
    let now = app.clock.now();
    app.db
        .write(move |tx| async move {
            one_time_tokens::delete_expired(&tx, now).await?;
            messages::delete_requests_before(&tx, now.plus_seconds(-REMEMBERED)).await?;
            messages::forget_devices_before(&tx, now.plus_seconds(-KNOWN)).await?;
            limits::forget_counts(&tx, now.plus_seconds(-COUNTED).micros()).await?;
            limits::forget_networks_before(&tx, now.plus_seconds(-CAME_FROM)).await
        })
        .await
}

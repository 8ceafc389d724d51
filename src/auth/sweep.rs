//! Lets go of what is over: sessions, tokens, flows, challenges, and the memory of what was asked for.
//!
//! Nothing is believed because it is there: each is looked at for its end when it is used. What is over is kept for a while, so that who is late
//! is told so.

use std::time::Duration;

use super::sql::{self, flow_states, limits, messages, one_time_tokens};
use crate::{
    app::App,
    db::Timestamp,
    error::Result,
    tenants::{SessionSettings, Tenant, list_tenants},
};

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

/// Seconds for which a session, a flow or a challenge is kept that is over.
const KEPT: i64 = 86_400;

/// Sessions removed in one transaction at most, and tenants looked at in one go.
const AT_A_TIME: i64 = 500;

/// Removes what is over, in all tenants.
pub async fn keep_swept(app: App) -> Result<()> {
    let now = app.clock.now();
    app.db
        .write(move |tx| async move {
            one_time_tokens::delete_expired(&tx, now).await?;
            flow_states::delete_ended_before(&tx, now.plus_seconds(-KEPT)).await?;
            sql::delete_challenges_before(&tx, now.plus_seconds(-KEPT)).await?;
            sql::delete_passkey_challenges_before(&tx, now.plus_seconds(-KEPT)).await?;
            messages::delete_requests_before(&tx, now.plus_seconds(-REMEMBERED)).await?;
            messages::forget_devices_before(&tx, now.plus_seconds(-KNOWN)).await?;
            limits::forget_counts(&tx, now.plus_seconds(-COUNTED).micros()).await?;
            limits::forget_networks_before(&tx, now.plus_seconds(-CAME_FROM)).await
        })
        .await?;
    let mut after = String::new();
    loop {
        let tenants = list_tenants(&app.db, &after, AT_A_TIME).await?;
        let Some(last) = tenants.last() else { return Ok(()) };
        after.clone_from(&last.reference);
        for row in &tenants {
            // Whose settings can't be seen has nobody who signs in.
            if let Some(tenant) = app.tenants.active_by_id(row.id).await? {
                sweep_sessions(&app, &tenant, now).await?;
            }
        }
    }
}

async fn sweep_sessions(app: &App, tenant: &Tenant, now: Timestamp) -> Result<()> {
    let (id, over) = (tenant.id, Over::since(&tenant.settings.sessions, now.plus_seconds(-KEPT)));
    loop {
        let ended = sql::ended_sessions(&app.db.read().await?, id, &over, AT_A_TIME).await?;
        let is_all = i64::try_from(ended.len()).is_ok_and(|count| count < AT_A_TIME);
        app.db
            .write(move |tx| async move {
                for session in ended {
                    sql::delete_session(&tx, id, session).await?;
                }
                Ok(())
            })
            .await?;
        if is_all {
            return Ok(());
        }
    }
}

/// By what it is seen that a session was over at a moment. What a tenant does not limit is `None`, which nothing is before.
pub(super) struct Over {
    /// Sessions end that were to end before.
    pub(super) moment: Timestamp,
    /// Sessions that began before.
    pub(super) begun: Option<Timestamp>,
    /// Sessions that were used last before.
    pub(super) used: Option<Timestamp>,
    /// Sessions without their user's second factor that began before.
    pub(super) begun_low: Option<Timestamp>,
    /// Sessions whose users have begun another before.
    pub(super) superseded: Option<Timestamp>,
}

impl Over {
    fn since(settings: &SessionSettings, moment: Timestamp) -> Self {
        let before = |seconds: u32| (seconds != 0).then(|| moment.plus_seconds(-i64::from(seconds)));
        Self {
            moment,
            begun: before(settings.timebox_seconds),
            used: before(settings.inactivity_seconds),
            begun_low: before(settings.low_aal_seconds),
            superseded: settings.single_per_user.then_some(moment),
        }
    }
}

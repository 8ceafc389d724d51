//! When a session ends by itself: what the tenant chose, and what was fixed when it began.

use super::{error::AuthCode, error::AuthError, factors::RAISED, model::SessionRow, sql};
use crate::{
    db::{Conn, Timestamp},
    error::Result,
    tenants::{SessionSettings, TenantId},
};

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its time is over.
    Over,
    /// It was not used for too long.
    Inactive,
    /// Its user has a second factor, and did not use it in time.
    LowAal,
    /// The user has signed in again, and may have one session only.
    Superseded,
}

impl End {
    /// The answer to who would refresh it.
    pub(super) fn refusal(self) -> AuthError {
        let message = match self {
            Self::Over => "Invalid Refresh Token: Session Expired",
            Self::Inactive => "Invalid Refresh Token: Session Expired (Inactivity)",
            Self::LowAal => "Invalid Refresh Token: Session Expired (Low AAL: User Needs MFA Verification)",
            Self::Superseded => "Invalid Refresh Token: Session Expired (Revoked by Newer Login)",
        };
        AuthError::bad_request(AuthCode::SessionExpired, message)
    }
}

/// Why a session is over, if it is. Asks the database only for what the tenant's settings depend on.
pub(super) async fn end_of(conn: &Conn, tenant: TenantId, settings: &SessionSettings, now: Timestamp, session: &SessionRow) -> Result<Option<End>> {
    if settings.single_per_user && sql::has_newer_session(conn, tenant, session.user_id, session.id, session.created_at).await? {
        return Ok(Some(End::Superseded));
    }
    if is_over(settings, now, session.created_at, session.not_after) {
        return Ok(Some(End::Over));
    }
    let last_used = session.refreshed_at.unwrap_or(session.created_at);
    if has_passed(settings.inactivity_seconds, now, last_used) {
        return Ok(Some(End::Inactive));
    }
    let is_low = session.aal != RAISED && has_passed(settings.low_aal_seconds, now, session.created_at);
    if is_low && sql::has_verified_factor(conn, tenant, session.user_id).await? {
        return Ok(Some(End::LowAal));
    }
    Ok(None)
}

/// Whether a session's time is over, whatever it was used for.
pub(super) fn is_over(settings: &SessionSettings, now: Timestamp, created_at: Timestamp, not_after: Option<Timestamp>) -> bool {
    not_after.is_some_and(|end| end <= now) || has_passed(settings.timebox_seconds, now, created_at)
}

fn has_passed(seconds: u32, now: Timestamp, since: Timestamp) -> bool {
    seconds != 0 && since.plus_seconds(i64::from(seconds)) <= now
}

/// When an access token of a session ends, in seconds since 1970: not after its session.
pub(super) fn expiry(settings: &SessionSettings, now: Timestamp, session: &SessionRow, has_factor: bool) -> i64 {
    let after = |seconds: u32| (seconds != 0).then(|| session.created_at.plus_seconds(i64::from(seconds)));
    let is_low = has_factor && session.aal != RAISED;
    let ends = [session.not_after, after(settings.timebox_seconds), after(settings.low_aal_seconds).filter(|_| is_low)];
    let usual = now.plus_seconds(i64::from(settings.access_token_seconds));
    let end = ends.into_iter().flatten().fold(usual, Timestamp::min);
    // Clients take a session that ends at once for none at all.
    end.seconds().max(now.seconds() + 1)
}

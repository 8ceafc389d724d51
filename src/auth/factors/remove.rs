//! A user gives up a factor.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    RAISED, about, insufficient, is_left_with_a_factor, load,
    model::{FactorRow, FactorType},
    not_found, refuse_anonymous,
    verify::lower_sessions,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    auth::{
        caller::CurrentUser,
        error::{AuthCode, AuthError, AuthFailures},
        model::UserRow,
        notice::{Notice, Teller},
        sql,
    },
    db::{Timestamp, Tx},
    error::Result as DbResult,
    tenants::{Tenant, TenantId},
};

/// The factor that is gone.
#[derive(Serialize, ToSchema)]
pub(in crate::auth) struct RemovedFactor {
    /// Its id.
    pub(super) id: Uuid,
}

/// Gives up a factor. The sessions that it raised fall to `aal1`.
#[utoipa::path(delete, path = "/auth/v1/factors/{factor_id}", tag = "auth", params(("factor_id" = Uuid, Path)),
    responses((status = 200, body = RemovedFactor, description = "It is gone"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn delete_factor(
    State(app): State<App>,
    current: CurrentUser,
    Path(id): Path<String>,
) -> Result<Json<RemovedFactor>, AuthError> {
    refuse_anonymous(&current.user)?;
    let factor = load(&app, &current, &id).await?;
    if factor.kind() == FactorType::RecoveryCode {
        let message = "Recovery codes cannot be unenrolled with this endpoint, use DELETE /factors/recovery-codes";
        return Err(AuthError::unprocessable(AuthCode::ValidationFailed, message));
    }
    let (tenant, is_raised) = (std::sync::Arc::clone(&current.tenant), current.user.aal == RAISED);
    let (id, teller) = (factor.id, Teller::of(&app, &tenant));
    let (now, unenrolled) = (app.clock.now(), about(Event::new(Action::FactorUnenrolled), &factor));
    let removed = app
        .db
        .write(move |tx| async move {
            let removed = unenroll(&tx, &tenant, now, &factor, is_raised, &teller).await?;
            if matches!(removed, Removed::Done) {
                audit::note(&tx, tenant.id, now, &unenrolled).await?;
            }
            Ok(removed)
        })
        .await?;
    app.jobs.wake();
    match removed {
        Removed::Done => Ok(Json(RemovedFactor { id })),
        Removed::Gone => Err(not_found()),
        Removed::LowSession => Err(insufficient(StatusCode::UNPROCESSABLE_ENTITY, "AAL2 required to unenroll verified factor")),
        Removed::SoleFactor => {
            let message = "Recovery codes cannot be the only verified factor. Please enroll another factor before unenrolling this one or delete \
                           your recovery codes.";
            Err(AuthError::unprocessable(AuthCode::MfaRecoveryCodesSoleFactor, message))
        }
    }
}

enum Removed {
    Done,
    Gone,
    LowSession,
    SoleFactor,
}

async fn unenroll(tx: &Tx, tenant: &Tenant, now: Timestamp, factor: &FactorRow, is_raised: bool, teller: &Teller) -> DbResult<Removed> {
    let Some(user) = sql::lock_user(tx, tenant.id, factor.user_id).await? else { return Ok(Removed::Gone) };
    let factors = sql::factors_of(tx, tenant.id, factor.user_id).await?;
    let Some(factor) = factors.iter().find(|known| known.id == factor.id) else { return Ok(Removed::Gone) };
    if factor.is_verified() {
        if !is_raised {
            return Ok(Removed::LowSession);
        }
        let has_recovery_codes = factors.iter().any(|other| other.kind() == FactorType::RecoveryCode);
        if has_recovery_codes && !is_left_with_a_factor(tenant, &factors, factor.id) {
            return Ok(Removed::SoleFactor);
        }
    }
    remove(tx, tenant.id, now, &user, factor, teller).await?;
    Ok(Removed::Done)
}

/// Removes a factor, what it raised falls, and its user is told of it.
pub(super) async fn remove(tx: &Tx, tenant: TenantId, now: Timestamp, user: &UserRow, factor: &FactorRow, teller: &Teller) -> DbResult<()> {
    lower_sessions(tx, tenant, factor).await?;
    if factor.is_verified() {
        teller.tell(tx, now, user, Notice::FactorRemoved(factor.into())).await?;
    }
    sql::delete_factor(tx, tenant, factor.id).await
}

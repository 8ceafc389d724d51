//! Second factors: what a user has besides what it signs in with, and how a session is raised to `aal2` by it.
//!
//! Rules: a secret is shown once, when it is made; a code is good once; a wrong one is counted, and too many lock the factor for a while;
//! whoever has a verified factor needs a raised session to change anything that signs it in. When a factor goes, the sessions that it
//! raised fall to `aal1` at once.
//!
//! Start with `enroll.rs`, `challenge.rs` and `verify.rs`, in the order a user meets them.

mod admin;
mod challenge;
mod enroll;
mod model;
mod recovery_codes;
mod remove;
mod totp;
mod verify;

use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub(super) use self::model::{ChallengeRow, FactorRow};
pub use self::model::{Factor, FactorStatus, FactorType};
pub(super) use self::totp::place as totp_place;
use super::{
    caller::{CurrentUser, SignedIn},
    error::{AuthCode, AuthError},
    request::path_id,
    sql,
};
use crate::{
    app::App,
    audit::Event,
    db::Conn,
    error::Result as DbResult,
    tenants::{Tenant, TenantId},
};

/// The routes of second factors.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(enroll::enroll_factor))
        .routes(routes!(remove::delete_factor))
        .routes(routes!(challenge::challenge_factor))
        .routes(routes!(verify::verify_factor))
        .routes(routes!(recovery_codes::get_recovery_codes, recovery_codes::create_recovery_codes, recovery_codes::delete_recovery_codes))
        .routes(routes!(recovery_codes::regenerate_recovery_codes))
        .routes(routes!(recovery_codes::verify_recovery_code))
        .routes(routes!(admin::list_factors_of_user))
        .routes(routes!(admin::update_factor_of_user, admin::delete_factor_of_user))
}

/// The level of a session that a factor has raised.
pub(super) const RAISED: &str = "aal2";

/// Seconds for which a challenge can be answered, and an enrolment be gone on with.
const CHALLENGE_SECONDS: i64 = 300;

/// Factors are for who has signed up.
pub(super) fn refuse_anonymous(user: &SignedIn) -> Result<(), AuthError> {
    if user.is_anonymous {
        return Err(AuthError::forbidden(AuthCode::NoAuthorization, "Anonymous user not allowed to perform these actions"));
    }
    Ok(())
}

/// Whether a user who has a verified factor did not use it in this session: it may not change what signs it in.
pub(super) async fn is_short_of_a_factor(conn: &Conn, tenant: TenantId, user: &SignedIn) -> DbResult<bool> {
    Ok(user.aal != RAISED && sql::has_verified_factor(conn, tenant, user.user_id).await?)
}

/// The refusal of a session that no factor has raised.
pub(super) fn insufficient(status: StatusCode, message: &'static str) -> AuthError {
    AuthError::new(status, AuthCode::InsufficientAal, message)
}

/// The factor of the signed-in user that the path names.
async fn load(app: &App, current: &CurrentUser, id: &str) -> Result<FactorRow, AuthError> {
    let id = path_id("factor_id", id)?;
    let found = sql::find_factor(&app.db.read().await?, current.tenant.id, current.user.user_id, id).await?;
    found.ok_or_else(not_found)
}

/// What the audit log says of a factor.
fn about(event: Event, factor: &FactorRow) -> Event {
    event.about(factor.user_id).with("factor_id", factor.id.to_string()).with("factor_type", factor.factor_type.clone())
}

/// The refusal of a factor that too many wrong codes have locked for so long.
fn too_many_failures(seconds: i64) -> AuthError {
    AuthError::too_many(AuthCode::OverRequestRateLimit, "Too many failed verification attempts, try again later", seconds)
}

fn not_found() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, AuthCode::MfaFactorNotFound, "Factor not found")
}

/// Refuses a kind of factor that the tenant has switched off.
fn check_can_verify(tenant: &Tenant, kind: FactorType) -> Result<(), AuthError> {
    if kind.can_verify(&tenant.settings.mfa) {
        return Ok(());
    }
    let (code, message) = match kind {
        FactorType::Totp => (AuthCode::MfaTotpVerifyNotEnabled, "MFA verification is disabled for TOTP"),
        FactorType::Phone => (AuthCode::MfaPhoneVerifyNotEnabled, "MFA verification is disabled for Phone"),
        FactorType::Webauthn => (AuthCode::MfaWebauthnVerifyNotEnabled, "MFA verification is disabled for WebAuthn"),
        FactorType::RecoveryCode => (AuthCode::MfaRecoveryCodesVerifyNotEnabled, "MFA verification is disabled for recovery codes"),
    };
    Err(AuthError::unprocessable(code, message))
}

/// Whether a user is left with a factor that it can use when one goes. Recovery codes alone are none: they run out.
fn is_left_with_a_factor(tenant: &Tenant, factors: &[FactorRow], gone: Uuid) -> bool {
    let counts = |factor: &FactorRow| factor.id != gone && factor.is_verified() && factor.kind() != FactorType::RecoveryCode;
    factors.iter().any(|factor| counts(factor) && factor.kind().can_verify(&tenant.settings.mfa))
}

//! Codes on paper, for who has lost the factor: ten at a time, each good once, shown once.
//!
//! The codes of a user are a factor of its own, which is there as soon as they are made. They are no first factor: who has only them is
//! soon without any.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    RAISED, about, check_can_verify,
    enroll::{Enrolled, check_name, enroll},
    insufficient, is_left_with_a_factor,
    model::{FactorRow, FactorType, VERIFIED},
    refuse_anonymous,
    remove::{RemovedFactor, remove},
    verify::{Raised, ask_claims, raise},
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    auth::{
        caller::{CurrentUser, SignedIn},
        caller_error::CallerError,
        error::{AuthCode, AuthError, AuthFailures},
        hooks::{self, FactorAttempt},
        limits::{self, Bucket},
        model::Session,
        notice::{Notice, Teller},
        request::{JsonBody, default_if_null},
        sql,
    },
    crypto::random,
    db::{Conn, Timestamp, Tx},
    error::Result as DbResult,
    tenants::{Tenant, TenantId},
};

/// How many codes are made at a time.
const COUNT: usize = 10;
/// Characters of a code, five bits each: no computer guesses 80.
const LENGTH: usize = 16;
/// Crockford's base32: nothing in it is mistaken for another on paper.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// What a user calls its codes if it says nothing.
const NAME: &str = "Recovery codes";

/// Wrong codes after which no code is taken for a while, and for how many seconds.
const MOST_FAILURES: i64 = 5;
const LOCK_SECONDS: i64 = 900;

/// How many recovery codes a user has.
#[derive(Serialize, ToSchema)]
pub(in crate::auth) struct RecoveryCodesStatus {
    /// The factor that they are.
    id: Uuid,
    /// Always `recovery_code`.
    #[serde(rename = "type")]
    factor_type: FactorType,
    /// How many were made.
    total: i64,
    /// How many are still good.
    remaining: i64,
}

/// New recovery codes.
#[derive(Serialize, ToSchema)]
pub(in crate::auth) struct RecoveryCodes {
    /// The factor that they are.
    id: Uuid,
    /// Always `recovery_code`.
    #[serde(rename = "type")]
    factor_type: FactorType,
    /// What the user calls them.
    friendly_name: String,
    /// How many there are.
    total: usize,
    /// The codes. They are never shown again.
    codes: Vec<String>,
}

/// What the codes are called.
#[derive(Deserialize, ToSchema)]
pub(in crate::auth) struct RecoveryCodesRequest {
    /// `Recovery codes` if nothing is said.
    #[serde(default, deserialize_with = "default_if_null")]
    friendly_name: String,
}

/// A recovery code.
#[derive(Deserialize, ToSchema)]
pub(in crate::auth) struct RecoveryCodeProof {
    /// The code; dashes, spaces and case don't matter.
    #[serde(default, deserialize_with = "default_if_null")]
    #[schema(example = "k4m9-x7qp-2ab8-ht3z")]
    code: String,
}

/// Tells how many recovery codes are left.
#[utoipa::path(get, path = "/auth/v1/factors/recovery-codes", tag = "auth",
    responses((status = 200, body = RecoveryCodesStatus, description = "How many there are"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn get_recovery_codes(State(app): State<App>, current: CurrentUser) -> Result<Json<RecoveryCodesStatus>, AuthError> {
    refuse_anonymous(&current.user)?;
    let conn = app.db.read().await?;
    let factor = find(&conn, current.tenant.id, current.user.user_id).await?.ok_or_else(none)?;
    let (total, remaining) = sql::count_recovery_codes(&conn, current.tenant.id, factor.id).await?;
    Ok(Json(RecoveryCodesStatus { id: factor.id, factor_type: FactorType::RecoveryCode, total, remaining }))
}

/// Makes a user's recovery codes.
#[utoipa::path(post, path = "/auth/v1/factors/recovery-codes", tag = "auth", request_body = Option<RecoveryCodesRequest>,
    responses((status = 200, body = RecoveryCodes, description = "The codes, shown this once"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn create_recovery_codes(
    State(app): State<App>,
    current: CurrentUser,
    JsonBody(asked): JsonBody<RecoveryCodesRequest>,
) -> Result<Json<RecoveryCodes>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::UpdateUser, &current.peer).await?;
    check_can_make(&current, "AAL2 required to generate recovery codes")?;
    check_name(&asked.friendly_name)?;
    let name = if asked.friendly_name.is_empty() { NAME.to_owned() } else { asked.friendly_name };
    let mut factor = FactorRow::new(current.user.user_id, FactorType::RecoveryCode, name, app.clock.now());
    VERIFIED.clone_into(&mut factor.status);
    let (codes, hashes) = make_codes(&app, current.tenant.id);
    let (tenant, row, teller) = (Arc::clone(&current.tenant), factor.clone(), Teller::of(&app, &current.tenant));
    let generated = about(Event::new(Action::RecoveryCodesGenerated), &factor);
    let made = app
        .db
        .write(move |tx| async move {
            let made = store(&tx, &tenant, &row, &hashes, &teller).await?;
            if matches!(made, Made::Enrolled(Enrolled::Done)) {
                audit::note(&tx, tenant.id, row.created_at, &generated).await?;
            }
            Ok(made)
        })
        .await?;
    app.jobs.wake();
    match made {
        Made::AlreadyThere => {
            let message = "Recovery codes are already enrolled for this user, use regenerate to rotate them";
            return Err(AuthError::unprocessable(AuthCode::MfaVerifiedFactorExists, message));
        }
        Made::SoleFactor => {
            let message = "At least one other verified factor is required to generate recovery codes";
            return Err(AuthError::unprocessable(AuthCode::MfaRecoveryCodesSoleFactor, message));
        }
        Made::Enrolled(enrolled) => enrolled.or_refuse(&factor.friendly_name)?,
    }
    Ok(Json(shown(factor, codes)))
}

/// Makes new recovery codes in the place of the old ones, which are good no more.
#[utoipa::path(post, path = "/auth/v1/factors/recovery-codes/regenerate", tag = "auth",
    responses((status = 200, body = RecoveryCodes, description = "The codes, shown this once"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn regenerate_recovery_codes(State(app): State<App>, current: CurrentUser) -> Result<Json<RecoveryCodes>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::UpdateUser, &current.peer).await?;
    check_can_make(&current, "AAL2 required to regenerate recovery codes")?;
    let (codes, hashes) = make_codes(&app, current.tenant.id);
    let (tenant, user, now) = (current.tenant.id, current.user.user_id, app.clock.now());
    let (generated, teller) = (Event::new(Action::RecoveryCodesGenerated), Teller::of(&app, &current.tenant));
    let replaced = app
        .db
        .write(move |tx| async move {
            let Some(user) = sql::lock_user(&tx, tenant, user).await? else { return Ok(None) };
            let Some(factor) = find(&tx, tenant, user.id).await? else { return Ok(None) };
            teller.tell(&tx, now, &user, Notice::RecoveryCodesMade).await?;
            sql::delete_recovery_codes(&tx, tenant, factor.id).await?;
            insert(&tx, tenant, factor.id, &hashes).await?;
            sql::forget_failures(&tx, tenant, factor.id).await?;
            audit::note(&tx, tenant, now, &about(generated, &factor)).await?;
            Ok(Some(factor))
        })
        .await?;
    app.jobs.wake();
    Ok(Json(shown(replaced.ok_or_else(none)?, codes)))
}

/// Uses a recovery code up, and raises the session by it.
#[utoipa::path(post, path = "/auth/v1/factors/recovery-codes/verify", tag = "auth", request_body = RecoveryCodeProof,
    responses((status = 200, body = Session, description = "The session, raised to `aal2`"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn verify_recovery_code(
    State(app): State<App>,
    current: CurrentUser,
    JsonBody(asked): JsonBody<RecoveryCodeProof>,
) -> Result<Json<Session>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::FactorVerify, &current.peer).await?;
    refuse_anonymous(&current.user)?;
    check_can_verify(&current.tenant, FactorType::RecoveryCode)?;
    let code = canonical(&asked.code);
    if code.is_empty() {
        return Err(AuthError::validation("Code needs to be non-empty"));
    }
    let now = app.clock.now();
    let (tenant, user, hash) = (current.tenant.id, current.user.clone(), hash(&app, current.tenant.id, &code));
    let attempted = Event::new(Action::VerificationAttempted).about(user.user_id).with("factor_type", FactorType::RecoveryCode.as_str());
    let judged = judge(&app, &current, now, &hash).await?;
    let shown = judged.as_ref().map(|(_, attempt)| *attempt);
    let mut claims = None;
    if let Some((factor, attempt)) = judged.filter(|(_, attempt)| attempt.is_valid) {
        // Nothing is used up yet: what a hook stops can be tried again.
        claims = match asked_before(&app, &current, now, &factor, attempt).await {
            Ok(claims) => claims,
            Err(error) => {
                audit::note_refusal(&app.db, tenant, now, attempted.with("success", false).with("reason", "hook")).await;
                return Err(error);
            }
        };
    }
    let outcome = app
        .db
        .write(move |tx| async move {
            let outcome = redeem(&tx, tenant, now, &user, &hash).await?;
            audit::note(&tx, tenant, now, &attempted.with("success", matches!(outcome, Redeemed::Raised(_)))).await?;
            Ok(outcome)
        })
        .await?;
    // A wrong one is counted whatever the hook says to it.
    if let Some(attempt) = shown.filter(|attempt| !attempt.is_valid) {
        hooks::factor_verified(&app, &current.tenant, attempt).await?;
    }
    match outcome {
        Redeemed::Raised(raised) => raised.answer(&app, &current, now, claims),
        Redeemed::Wrong => Err(AuthError::unprocessable(AuthCode::MfaVerificationFailed, "Invalid recovery code entered")),
        Redeemed::Locked(seconds) => {
            let message = "Too many failed verification attempts, try again later";
            Err(AuthError::too_many(AuthCode::MfaRecoveryCodesLocked, message, seconds))
        }
        Redeemed::SessionGone => Err(CallerError::SessionGone.into()),
    }
}

/// Asks the tenant's hooks about a code that is good: whether it may count, and what the tokens are to say that it earns.
async fn asked_before(
    app: &App,
    current: &CurrentUser,
    now: Timestamp,
    factor: &FactorRow,
    attempt: FactorAttempt<'_>,
) -> Result<Option<Value>, AuthError> {
    hooks::factor_verified(app, &current.tenant, attempt).await?;
    ask_claims(app, current, now, factor).await
}

/// What the tenant's hooks are told of a code that was shown. Of what is not looked at they are not told.
async fn judge(app: &App, current: &CurrentUser, now: Timestamp, hash: &[u8]) -> Result<Option<(FactorRow, FactorAttempt<'static>)>, AuthError> {
    let (tenant, user) = (&current.tenant, current.user.user_id);
    let hooks = &tenant.settings.hooks;
    if !hooks.mfa_verification_attempt.enabled && !hooks.custom_access_token.enabled {
        return Ok(None);
    }
    let conn = app.db.read().await?;
    let Some(factor) = find(&conn, tenant.id, user).await?.filter(|factor| factor.locked_for(now).is_none()) else { return Ok(None) };
    let is_valid = sql::is_recovery_code(&conn, tenant.id, factor.id, hash).await?;
    let attempt = FactorAttempt { user, factor: factor.id, factor_type: factor.kind().as_str(), is_valid };
    Ok(Some((factor, attempt)))
}

/// Gives up all recovery codes. The sessions that one of them raised fall to `aal1`.
#[utoipa::path(delete, path = "/auth/v1/factors/recovery-codes", tag = "auth",
    responses((status = 200, body = RemovedFactor, description = "They are gone"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn delete_recovery_codes(State(app): State<App>, current: CurrentUser) -> Result<Json<RemovedFactor>, AuthError> {
    refuse_anonymous(&current.user)?;
    if current.user.aal != RAISED {
        return Err(insufficient(StatusCode::FORBIDDEN, "AAL2 required to delete recovery codes"));
    }
    let (tenant, user, now) = (current.tenant.id, current.user.user_id, app.clock.now());
    let (unenrolled, teller) = (Event::new(Action::FactorUnenrolled), Teller::of(&app, &current.tenant));
    let removed = app
        .db
        .write(move |tx| async move {
            let Some(user) = sql::lock_user(&tx, tenant, user).await? else { return Ok(None) };
            let Some(factor) = find(&tx, tenant, user.id).await? else { return Ok(None) };
            remove(&tx, tenant, now, &user, &factor, &teller).await?;
            audit::note(&tx, tenant, now, &about(unenrolled, &factor)).await?;
            Ok(Some(factor.id))
        })
        .await?;
    app.jobs.wake();
    Ok(Json(RemovedFactor { id: removed.ok_or_else(none)? }))
}

fn check_can_make(current: &CurrentUser, message: &'static str) -> Result<(), AuthError> {
    refuse_anonymous(&current.user)?;
    if !current.tenant.settings.mfa.recovery_codes_enroll_enabled {
        return Err(AuthError::unprocessable(AuthCode::MfaRecoveryCodesEnrollNotEnabled, "MFA enroll is disabled for recovery codes"));
    }
    if current.user.aal != RAISED {
        return Err(insufficient(StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

async fn find(conn: &Conn, tenant: TenantId, user: Uuid) -> DbResult<Option<FactorRow>> {
    let factors = sql::factors_of(conn, tenant, user).await?;
    Ok(factors.into_iter().find(|factor| factor.kind() == FactorType::RecoveryCode))
}

fn none() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, AuthCode::MfaFactorNotFound, "The user has not enrolled recovery codes")
}

fn shown(factor: FactorRow, codes: Vec<String>) -> RecoveryCodes {
    RecoveryCodes { id: factor.id, factor_type: FactorType::RecoveryCode, friendly_name: factor.friendly_name, total: codes.len(), codes }
}

enum Made {
    Enrolled(Enrolled),
    AlreadyThere,
    SoleFactor,
}

async fn store(tx: &Tx, tenant: &Tenant, factor: &FactorRow, hashes: &[Vec<u8>], teller: &Teller) -> DbResult<Made> {
    let Some(user) = sql::lock_user(tx, tenant.id, factor.user_id).await? else { return Ok(Made::Enrolled(Enrolled::Gone)) };
    let factors = sql::factors_of(tx, tenant.id, factor.user_id).await?;
    if factors.iter().any(|other| other.kind() == FactorType::RecoveryCode) {
        return Ok(Made::AlreadyThere);
    }
    if !is_left_with_a_factor(tenant, &factors, factor.id) {
        return Ok(Made::SoleFactor);
    }
    let enrolled = enroll(tx, tenant.id, factor, tenant.settings.mfa.max_enrolled_factors, true).await?;
    if enrolled == Enrolled::Done {
        insert(tx, tenant.id, factor.id, hashes).await?;
        teller.tell(tx, factor.created_at, &user, Notice::RecoveryCodesMade).await?;
    }
    Ok(Made::Enrolled(enrolled))
}

async fn insert(tx: &Tx, tenant: TenantId, factor: Uuid, hashes: &[Vec<u8>]) -> DbResult<()> {
    for hash in hashes {
        sql::insert_recovery_code(tx, tenant, factor, hash).await?;
    }
    Ok(())
}

enum Redeemed {
    Raised(Box<Raised>),
    Wrong,
    /// For so many seconds.
    Locked(i64),
    SessionGone,
}

async fn redeem(tx: &Tx, tenant: TenantId, now: Timestamp, user: &SignedIn, hash: &[u8]) -> DbResult<Redeemed> {
    if sql::lock_user(tx, tenant, user.user_id).await?.is_none() {
        return Ok(Redeemed::SessionGone);
    }
    let Some(factor) = find(tx, tenant, user.user_id).await? else { return Ok(Redeemed::Wrong) };
    if let Some(seconds) = factor.locked_for(now) {
        return Ok(Redeemed::Locked(seconds));
    }
    if !sql::use_recovery_code(tx, tenant, now, factor.id, hash).await? {
        sql::note_failure(tx, tenant, factor.id, MOST_FAILURES, now.plus_seconds(LOCK_SECONDS)).await?;
        return Ok(Redeemed::Wrong);
    }
    sql::forget_failures(tx, tenant, factor.id).await?;
    Ok(match raise(tx, tenant, now, user, &factor).await? {
        Some(raised) => Redeemed::Raised(Box::new(raised)),
        None => Redeemed::SessionGone,
    })
}

/// New codes, as they are shown and as they are stored.
fn make_codes(app: &App, tenant: TenantId) -> (Vec<String>, Vec<Vec<u8>>) {
    let mut codes = BTreeSet::new();
    while codes.len() < COUNT {
        codes.insert(random::<LENGTH>().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).iter().collect::<String>());
    }
    let hashes = codes.iter().map(|code| hash(app, tenant, code)).collect();
    (codes.into_iter().collect(), hashes)
}

fn hash(app: &App, tenant: TenantId, code: &str) -> Vec<u8> {
    app.master_key.mac(&format!("recovery_codes/{}", tenant.number()), code.as_bytes()).to_vec()
}

/// A code as it is hashed, however it was written down: what is not in the alphabet and looks like something in it is meant as that.
fn canonical(code: &str) -> String {
    let told = code.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_lowercase);
    told.map(|c| match c {
        'o' => '0',
        'i' | 'l' => '1',
        c => c,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_write_it() {
        assert_eq!(canonical(" K4M9-x7qp 2ab8-HT3Z\n"), "k4m9x7qp2ab8ht3z");
        assert_eq!(canonical("OIL0"), "0110");
        assert_eq!(canonical(" - "), "");
    }
}

//! A factor is proved: the session is raised, and what was less sure of the user ends.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    RAISED, about,
    challenge::{elsewhere, open_challenge},
    check_can_verify, insufficient, is_short_of_a_factor, load,
    model::{ChallengeRow, FactorRow, FactorType, is_second_factor},
    not_found, refuse_anonymous, totp,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    auth::{
        caller::{CurrentUser, SignedIn},
        caller_error::CallerError,
        error::{AuthCode, AuthError, AuthFailures},
        model::{Session, SessionRow},
        request::JsonBody,
        session::{self, Client, Opened, Proof},
        sql,
        webauthn::{self, Ceremony},
    },
    db::{Json as DbJson, Timestamp, Tx},
    error::Result as DbResult,
    tenants::TenantId,
};

/// Wrong codes after which a factor is locked, and the seconds for which it is: a code has six digits, and three are good at any moment.
const MOST_FAILURES: i64 = 10;
const LOCK_SECONDS: i64 = 300;

/// The proof that was asked for.
#[derive(Deserialize, ToSchema)]
pub(in crate::auth) struct FactorProof {
    /// The challenge that is answered.
    #[serde(default, deserialize_with = "crate::auth::request::default_if_null")]
    challenge_id: Uuid,
    /// The code of the app or the phone.
    #[serde(default, deserialize_with = "crate::auth::request::default_if_null")]
    #[schema(example = "123456")]
    code: String,
    /// What the authenticator answered.
    #[serde(default)]
    webauthn: Option<WebauthnProof>,
}

/// What an authenticator answered.
#[derive(Deserialize, ToSchema)]
struct WebauthnProof {
    /// As in the challenge.
    #[serde(rename = "type")]
    #[schema(value_type = Ceremony)]
    ceremony: String,
    /// The browser's `PublicKeyCredential` as JSON.
    credential_response: Option<serde_json::Value>,
}

/// Verifies a factor, and with it the session.
#[utoipa::path(post, path = "/auth/v1/factors/{factor_id}/verify", tag = "auth", params(("factor_id" = Uuid, Path)), request_body = FactorProof,
    responses((status = 200, body = Session, description = "The session, raised to `aal2`"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn verify_factor(
    State(app): State<App>,
    current: CurrentUser,
    client: Client,
    Path(id): Path<String>,
    JsonBody(asked): JsonBody<FactorProof>,
) -> Result<Json<Session>, AuthError> {
    refuse_anonymous(&current.user)?;
    let factor = load(&app, &current, &id).await?;
    if asked.code.is_empty() && factor.kind() != FactorType::Webauthn {
        return Err(AuthError::validation("Code needs to be non-empty"));
    }
    check_can_verify(&current.tenant, factor.kind())?;
    let now = app.clock.now();
    let challenge = open_challenge(&app, &current, &client, now, &factor, asked.challenge_id).await?;
    if factor.is_locked(now) {
        let message = "Too many failed verification attempts, try again later";
        return Err(AuthError::new(StatusCode::TOO_MANY_REQUESTS, AuthCode::OverRequestRateLimit, message));
    }
    let proved = match factor.kind() {
        FactorType::Totp => totp::step_of(&app, current.tenant.id, now, &factor, &asked.code)?.map(Proved::Step),
        FactorType::Webauthn => Some(answered(&current, &factor, &challenge, asked.webauthn)?),
        FactorType::Phone | FactorType::RecoveryCode => return Err(AuthError::validation("factor_type needs to be totp, phone, or webauthn")),
    };
    let attempted = about(Event::new(Action::VerificationAttempted), &factor).with("success", proved.is_some());
    let tenant = current.tenant.id;
    let Some(proved) = proved else {
        app.db
            .write(move |tx| async move {
                sql::note_failure(&tx, tenant, factor.id, MOST_FAILURES, now.plus_seconds(LOCK_SECONDS)).await?;
                audit::note(&tx, tenant, now, &attempted).await
            })
            .await?;
        return Err(wrong_code());
    };
    let user = current.user.clone();
    let outcome = app
        .db
        .write(move |tx| async move {
            let outcome = prove(&tx, tenant, now, &user, &factor, challenge.id, proved).await?;
            if matches!(outcome, Outcome::Raised(_)) {
                audit::note(&tx, tenant, now, &attempted).await?;
            }
            Ok(outcome)
        })
        .await?;
    match outcome {
        Outcome::Raised(raised) => raised.answer(&app, &current, now).await,
        Outcome::TakenBefore => Err(wrong_code()),
        Outcome::AnsweredBefore => Err(elsewhere()),
        Outcome::FactorGone => Err(not_found()),
        Outcome::SessionGone => Err(CallerError::SessionGone.into()),
        Outcome::LowSession => Err(insufficient(StatusCode::FORBIDDEN, "AAL2 required to verify a new factor")),
    }
}

fn wrong_code() -> AuthError {
    AuthError::unprocessable(AuthCode::MfaVerificationFailed, "Invalid TOTP code entered")
}

/// What was proved outside of the transaction; whether it is still worth anything shows inside.
enum Proved {
    /// The code of this time step.
    Step(i64),
    /// The authenticator's answer, and its credential as it is from now on.
    Credential(DbJson),
}

fn answered(current: &CurrentUser, factor: &FactorRow, challenge: &ChallengeRow, given: Option<WebauthnProof>) -> Result<Proved, AuthError> {
    let given = given.ok_or_else(|| AuthError::validation("WebAuthn config required"))?;
    let ceremony = Ceremony::read(&given.ceremony).ok_or_else(|| AuthError::validation("WebAuthn type must be create or request"))?;
    let response = given.credential_response.ok_or_else(|| AuthError::validation("credential_response required"))?;
    let state = challenge.state.as_ref().ok_or_else(elsewhere)?;
    let party = webauthn::relying_party(&current.tenant);
    let failed = || AuthError::unprocessable(AuthCode::MfaVerificationFailed, "The authenticator's answer could not be verified");
    // What is asked depends on the factor alone, whatever the answer calls itself.
    let credential = match (&factor.credential, ceremony) {
        (None, Ceremony::Create) => webauthn::finish_registration(&party, state, response)?.ok_or_else(failed)?,
        (Some(stored), Ceremony::Request) => webauthn::finish_authentication(&party, state, response, stored)?.ok_or_else(failed)?,
        _ => return Err(failed()),
    };
    Ok(Proved::Credential(webauthn::stored(&credential)?))
}

enum Outcome {
    Raised(Box<Raised>),
    TakenBefore,
    AnsweredBefore,
    FactorGone,
    SessionGone,
    LowSession,
}

async fn prove(tx: &Tx, tenant: TenantId, now: Timestamp, user: &SignedIn, factor: &FactorRow, challenge: Uuid, proved: Proved) -> DbResult<Outcome> {
    // All proofs of a user take turns here.
    if sql::lock_user(tx, tenant, user.user_id).await?.is_none() {
        return Ok(Outcome::SessionGone);
    }
    let Some(factor) = sql::find_factor(tx, tenant, user.user_id, factor.id).await? else { return Ok(Outcome::FactorGone) };
    // Enrolled by a thief before the user had a factor, it would raise the thief's session past the one that the user has now.
    if !factor.is_verified() && is_short_of_a_factor(tx, tenant, user).await? {
        return Ok(Outcome::LowSession);
    }
    match sql::find_challenge(tx, tenant, factor.id, challenge).await? {
        Some(challenge) if challenge.verified_at.is_none() => {}
        _ => return Ok(Outcome::AnsweredBefore),
    }
    let credential = match proved {
        Proved::Step(step) if !sql::take_step(tx, tenant, factor.id, step).await? => return Ok(Outcome::TakenBefore),
        Proved::Step(_) => None,
        Proved::Credential(credential) => Some(credential),
    };
    sql::use_challenge(tx, tenant, now, challenge).await?;
    sql::set_verified(tx, tenant, now, factor.id, credential).await?;
    sql::delete_unverified_factors(tx, tenant, user.user_id, &factor.factor_type).await?;
    Ok(match raise(tx, tenant, now, user, &factor).await? {
        Some(raised) => Outcome::Raised(Box::new(raised)),
        None => Outcome::SessionGone,
    })
}

/// A session that a factor has raised, with all that its answer is made of.
pub(super) struct Raised {
    session: SessionRow,
    opened: Opened,
}

impl Raised {
    /// The session with a new pair of tokens.
    pub(super) async fn answer(self, app: &App, current: &CurrentUser, now: Timestamp) -> Result<Json<Session>, AuthError> {
        Ok(Json(session::answer(app, &current.tenant, now, &self.session, self.opened).await?))
    }
}

/// Raises the session of a user who has just used a factor. The user's sessions that no factor has raised end: one of them may be a thief's.
pub(super) async fn raise(tx: &Tx, tenant: TenantId, now: Timestamp, signed_in: &SignedIn, factor: &FactorRow) -> DbResult<Option<Raised>> {
    let Some(user) = sql::find_user(tx, tenant, signed_in.user_id).await? else { return Ok(None) };
    let Some(mut session) = sql::find_session(tx, tenant, signed_in.session_id).await? else { return Ok(None) };
    if user.deleted_at.is_some() || user.is_banned(now) {
        return Ok(None);
    }
    session.prove(&Proof::by(factor.kind().method()), now);
    RAISED.clone_into(&mut session.aal);
    let Some(counter) = sql::raise_session(tx, tenant, now, &session, factor.id).await? else { return Ok(None) };
    session = SessionRow { refresh_counter: counter, refresh_floor: counter, refreshed_at: Some(now), ..session };
    sql::delete_low_sessions(tx, tenant, user.id).await?;
    Ok(Some(Raised { session, opened: session::opened(tx, tenant, user).await? }))
}

/// Lets the sessions fall that a factor has raised: it is gone.
pub(super) async fn lower_sessions(tx: &Tx, tenant: TenantId, factor: &FactorRow) -> DbResult<()> {
    for (session, mut amr) in sql::sessions_raised_by(tx, tenant, factor.user_id, factor.id).await? {
        if let Some(entries) = amr.0.as_array_mut() {
            entries.retain(|entry| !entry["method"].as_str().is_some_and(is_second_factor));
        }
        sql::lower_session(tx, tenant, session, &amr).await?;
    }
    Ok(())
}

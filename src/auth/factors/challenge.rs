//! A factor is asked for a proof. What is asked is good for five minutes, once, and from where it was asked for.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    CHALLENGE_SECONDS, about, check_can_verify, load,
    model::{ChallengeRow, FactorRow, FactorType},
    not_found, refuse_anonymous,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    auth::{
        caller::CurrentUser,
        error::{AuthCode, AuthError, AuthFailures},
        limits::{self, Bucket},
        session::Client,
        sql,
        webauthn::{self, Ceremony},
    },
    db::{Json as DbJson, Timestamp},
    error::Result as DbResult,
};

/// What a factor is asked.
#[derive(Serialize, ToSchema)]
pub(in crate::auth) struct Challenge {
    /// Named when the proof is given.
    id: Uuid,
    /// What the factor is.
    #[serde(rename = "type")]
    factor_type: FactorType,
    /// Until when the proof can be given, in seconds since 1970.
    expires_at: i64,
    /// What the browser is to ask of the authenticator.
    #[serde(skip_serializing_if = "Option::is_none")]
    webauthn: Option<WebauthnChallenge>,
}

/// What the browser is to ask of an authenticator.
#[derive(Serialize, ToSchema)]
struct WebauthnChallenge {
    /// `create` for `navigator.credentials.create`, `request` for `navigator.credentials.get`.
    #[serde(rename = "type")]
    ceremony: Ceremony,
    /// What that is called with: `{publicKey: …}`.
    credential_options: serde_json::Value,
}

/// Asks a factor for a proof.
#[utoipa::path(post, path = "/auth/v1/factors/{factor_id}/challenge", tag = "auth", params(("factor_id" = Uuid, Path)),
    responses((status = 200, body = Challenge, description = "What is to be proved"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn challenge_factor(
    State(app): State<App>,
    current: CurrentUser,
    client: Client,
    Path(id): Path<String>,
) -> Result<Json<Challenge>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::FactorChallenge, &current.peer).await?;
    refuse_anonymous(&current.user)?;
    let factor = load(&app, &current, &id).await?;
    check_can_verify(&current.tenant, factor.kind())?;
    let now = app.clock.now();
    let mut challenge =
        ChallengeRow { id: Uuid::new_v4(), factor_id: factor.id, ip: client.ip, code_hash: None, state: None, created_at: now, verified_at: None };
    let mut shown = None;
    match factor.kind() {
        FactorType::Totp => {}
        FactorType::Webauthn => {
            let (asked, state) = ask_authenticator(&app, &current, &factor).await?;
            (shown, challenge.state) = (Some(asked), Some(state));
        }
        // There is none that could be verified yet.
        FactorType::Phone | FactorType::RecoveryCode => return Err(AuthError::validation("factor_type needs to be totp, phone, or webauthn")),
    }
    let (tenant, answer) = (current.tenant.id, challenge.clone());
    let stale = now.plus_seconds(-CHALLENGE_SECONDS);
    let created = about(Event::new(Action::ChallengeCreated), &factor);
    let is_noted = app
        .db
        .write(move |tx| async move {
            let is_noted = sql::insert_challenge(&tx, tenant, &challenge, stale).await?;
            if is_noted {
                audit::note(&tx, tenant, now, &created).await?;
            }
            Ok(is_noted)
        })
        .await?;
    if !is_noted {
        return Err(not_found());
    }
    let expires_at = now.plus_seconds(CHALLENGE_SECONDS).seconds();
    Ok(Json(Challenge { id: answer.id, factor_type: factor.kind(), expires_at, webauthn: shown }))
}

async fn ask_authenticator(app: &App, current: &CurrentUser, factor: &FactorRow) -> Result<(WebauthnChallenge, DbJson), AuthError> {
    let tenant = &current.tenant;
    let party = webauthn::relying_party(tenant);
    if let Some(credential) = &factor.credential {
        let (options, state) = webauthn::begin_authentication(&party, &[webauthn::credential(credential)?])?;
        return Ok((WebauthnChallenge { ceremony: Ceremony::Request, credential_options: options }, state));
    }
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, tenant.id, factor.user_id).await?.ok_or_else(AuthError::user_not_found)?;
    let others = sql::factors_of(&conn, tenant.id, user.id).await?;
    drop(conn);
    let known = others.iter().filter_map(|other| other.credential.as_ref()).map(webauthn::credential).collect::<DbResult<Vec<_>>>()?;
    let (options, state) = webauthn::begin_registration(&party, &user, &known, false)?;
    Ok((WebauthnChallenge { ceremony: Ceremony::Create, credential_options: options }, state))
}

/// What this factor was asked under this id, if it can still be answered from here.
pub(super) async fn open_challenge(
    app: &App,
    current: &CurrentUser,
    client: &Client,
    now: Timestamp,
    factor: &FactorRow,
    id: Uuid,
) -> Result<ChallengeRow, AuthError> {
    let found = sql::find_challenge(&app.db.read().await?, current.tenant.id, factor.id, id).await?;
    let challenge =
        found.ok_or_else(|| AuthError::unprocessable(AuthCode::MfaFactorNotFound, "MFA factor with the provided challenge ID not found"))?;
    if challenge.verified_at.is_some() || challenge.ip != client.ip {
        return Err(elsewhere());
    }
    if challenge.created_at.plus_seconds(CHALLENGE_SECONDS) <= now {
        let message = format!("MFA challenge {id} has expired, verify against another challenge or create a new challenge.");
        return Err(AuthError::unprocessable(AuthCode::MfaChallengeExpired, message));
    }
    Ok(challenge)
}

/// The refusal of an answer from elsewhere, or of a second one.
pub(super) fn elsewhere() -> AuthError {
    AuthError::unprocessable(AuthCode::MfaIpAddressMismatch, "Challenge and verify IP addresses mismatch.")
}

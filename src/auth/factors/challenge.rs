//! A factor is asked for a proof. What is asked is good for five minutes, once, and from where it was asked for.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    CHALLENGE_SECONDS, about, check_can_verify, load,
    model::{ChallengeRow, FactorRow, FactorType},
    not_found, refuse_anonymous, too_many_failures,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    auth::{
        ask::{Frequency, PHONE_FACTOR, TooSoon},
        caller::CurrentUser,
        error::{AuthCode, AuthError, AuthFailures},
        limits::{self, Bucket, CountedMessage},
        one_time_token::random_code,
        phone::Phone,
        request::JsonBody,
        session::Client,
        sms, sql,
        webauthn::{self, Ceremony},
    },
    crypto::{MasterKey, same},
    db::{Json as DbJson, Timestamp},
    error::Result as DbResult,
    jobs::{self, NewJob},
    tenants::{Tenant, TenantId},
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

/// How a factor is to be asked.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub(in crate::auth) struct ChallengeRequest {
    /// How a message is sent to a phone: `sms` or `whatsapp`.
    channel: Option<String>,
}

/// Asks a factor for a proof.
#[utoipa::path(post, path = "/auth/v1/factors/{factor_id}/challenge", tag = "auth", params(("factor_id" = Uuid, Path)),
    request_body = Option<ChallengeRequest>,
    responses((status = 200, body = Challenge, description = "What is to be proved"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn challenge_factor(
    State(app): State<App>,
    current: CurrentUser,
    client: Client,
    Path(id): Path<String>,
    JsonBody(asked): JsonBody<ChallengeRequest>,
) -> Result<Json<Challenge>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::FactorChallenge, &current.peer).await?;
    refuse_anonymous(&current.user)?;
    let factor = load(&app, &current, &id).await?;
    check_can_verify(&current.tenant, factor.kind())?;
    let now = app.clock.now();
    let mut challenge =
        ChallengeRow { id: Uuid::new_v4(), factor_id: factor.id, ip: client.ip, code_hash: None, state: None, created_at: now, verified_at: None };
    let (mut shown, mut message, mut sent) = (None, None, CountedMessage::default());
    match factor.kind() {
        FactorType::Totp => {}
        FactorType::Phone => {
            let written = write_message(&app, &current.tenant, now, &factor, &challenge, asked.channel.as_deref())?;
            if written.job.is_some() {
                sent = limits::message(&app, &current.tenant, factor.phone.as_deref().unwrap_or_default(), &current.peer).await?;
            }
            challenge.code_hash = Some(written.code_hash.clone());
            message = Some(written);
        }
        FactorType::Webauthn => {
            let (asked, state) = ask_authenticator(&app, &current, &factor).await?;
            (shown, challenge.state) = (Some(asked), Some(state));
        }
        FactorType::RecoveryCode => return Err(AuthError::validation("factor_type needs to be totp, phone, or webauthn")),
    }
    let (tenant, answer) = (current.tenant.id, challenge.clone());
    let stale = now.plus_seconds(-CHALLENGE_SECONDS);
    let created = about(Event::new(Action::ChallengeCreated), &factor);
    let asked = app
        .db
        .write(move |tx| async move {
            if let Some(message) = &message
                && let Some(wait) = message.frequency.note(&tx).await?
            {
                return Ok(Asked::TooSoon(wait));
            }
            if !sql::insert_challenge(&tx, tenant, &challenge, stale).await? {
                return Ok(Asked::Gone);
            }
            if let Some(job) = message.and_then(|message| message.job) {
                jobs::enqueue(&tx, now, &job).await?;
            }
            audit::note(&tx, tenant, now, &created).await?;
            Ok(Asked::Done)
        })
        .await?;
    app.jobs.wake();
    let refusal = match asked {
        Asked::Done => None,
        Asked::Gone => Some(not_found()),
        Asked::TooSoon(wait) => Some(wait.into()),
    };
    if let Some(refusal) = refusal {
        sent.take_back(&app).await?;
        return Err(refusal);
    }
    let expires_at = now.plus_seconds(CHALLENGE_SECONDS).seconds();
    Ok(Json(Challenge { id: answer.id, factor_type: factor.kind(), expires_at, webauthn: shown }))
}

enum Asked {
    Done,
    Gone,
    TooSoon(TooSoon),
}

/// A code on its way to a phone.
struct Message {
    code_hash: Vec<u8>,
    /// There is none for a number of tests.
    job: Option<NewJob>,
    /// How often the number gets one.
    frequency: Frequency,
}

fn write_message(
    app: &App,
    tenant: &Tenant,
    now: Timestamp,
    factor: &FactorRow,
    challenge: &ChallengeRow,
    channel: Option<&str>,
) -> Result<Message, AuthError> {
    // A code that can't be tried need not be paid for.
    if let Some(seconds) = factor.locked_for(now) {
        return Err(too_many_failures(seconds));
    }
    let phone: Phone = factor.phone.as_deref().unwrap_or_default().parse()?;
    let channel = sms::check_channel(tenant, &phone, channel)?;
    let test_code = tenant.settings.sms.test_code(phone.as_str());
    let code = test_code.map_or_else(|| random_code(tenant.settings.otp.code_length), str::to_owned);
    let expires_at = now.plus_seconds(CHALLENGE_SECONDS);
    let message = sms::Message { user: factor.user_id, digits: phone.as_str(), code: &code, kind: "mfa", expires_at };
    let job = if test_code.is_some() { None } else { Some(sms::prepare_message(app, tenant, &message, &channel)?) };
    let frequency = Frequency::of(app, tenant, now, PHONE_FACTOR, phone.as_str());
    Ok(Message { code_hash: code_hash(&app.master_key, tenant.id, challenge.id, &code), job, frequency })
}

/// The code of a challenge, as it is stored.
fn code_hash(key: &MasterKey, tenant: TenantId, challenge: Uuid, code: &str) -> Vec<u8> {
    key.mac(&format!("factor_challenges/{}/{challenge}", tenant.number()), code.as_bytes()).to_vec()
}

impl ChallengeRow {
    /// Whether this is the code that was sent.
    pub(super) fn has_code(&self, key: &MasterKey, tenant: TenantId, code: &str) -> bool {
        let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        self.code_hash.as_deref().is_some_and(|hash| same(hash, &code_hash(key, tenant, self.id, &code)))
    }
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

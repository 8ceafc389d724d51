//! A factor is proved: the session is raised, and what was less sure of the user ends.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    RAISED, about,
    challenge::{elsewhere, open_challenge},
    check_can_verify, insufficient, is_short_of_a_factor, load,
    model::{ChallengeRow, FactorRow, FactorType, is_second_factor},
    not_found, refuse_anonymous, too_many_failures, totp,
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
        model::{Session, SessionRow},
        notice::{Notice, Teller},
        request::{JsonBody, default_if_null},
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
    #[serde(default, deserialize_with = "default_if_null")]
    challenge_id: Uuid,
    /// The code of the app or the phone.
    #[serde(default, deserialize_with = "default_if_null")]
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
    limits::count(&app, &current.tenant, Bucket::FactorVerify, &current.peer).await?;
    refuse_anonymous(&current.user)?;
    let factor = load(&app, &current, &id).await?;
    if asked.code.is_empty() && factor.kind() != FactorType::Webauthn {
        return Err(AuthError::validation("Code needs to be non-empty"));
    }
    check_can_verify(&current.tenant, factor.kind())?;
    let now = app.clock.now();
    let challenge = open_challenge(&app, &current, &client, now, &factor, asked.challenge_id).await?;
    if let Some(seconds) = factor.locked_for(now) {
        return Err(too_many_failures(seconds));
    }
    let tenant = current.tenant.id;
    let proved = match factor.kind() {
        FactorType::Totp => totp::step_of(&app, tenant, now, &factor, &asked.code)?.map(Proved::Step),
        FactorType::Phone => challenge.has_code(&app.master_key, tenant, &asked.code).then_some(Proved::Code),
        FactorType::Webauthn => match answered(&current, &factor, &challenge, asked.webauthn) {
            // It is not guessed, so that the factor need not be locked.
            Err(error) if error.code() == AuthCode::MfaVerificationFailed => {
                note_refusal(&app, &current, &factor, "wrong").await;
                tell(&app, &current, &factor, false).await?;
                return Err(error);
            }
            proved => Some(proved?),
        },
        FactorType::RecoveryCode => return Err(AuthError::validation("factor_type needs to be totp, phone, or webauthn")),
    };
    let (kind, attempted) = (factor.kind(), about(Event::new(Action::VerificationAttempted), &factor));
    let is_valid = proved.is_some();
    let mut claims = None;
    if is_valid {
        // Nothing is used up yet: what a hook stops can be tried again.
        claims = match asked_before(&app, &current, now, &factor).await {
            Ok(claims) => claims,
            Err(error) => {
                note_refusal(&app, &current, &factor, "hook").await;
                return Err(error);
            }
        };
    }
    let (tried, user) = (factor.clone(), current.user.clone());
    let proving = Proving { tenant, now, user, factor, challenge: challenge.id, proved, teller: Teller::of(&app, &current.tenant) };
    let outcome = app
        .db
        .write(move |tx| async move {
            let outcome = proving.run(&tx).await?;
            audit::note(&tx, tenant, now, &attempted.with("success", matches!(outcome, Outcome::Raised(_)))).await?;
            Ok(outcome)
        })
        .await?;
    app.jobs.wake();
    if !is_valid {
        tell(&app, &current, &tried, false).await?;
    }
    match outcome {
        Outcome::Raised(raised) => raised.answer(&app, &current, now, claims),
        Outcome::Wrong | Outcome::TakenBefore => Err(wrong_code(kind)),
        Outcome::Locked(seconds) => Err(too_many_failures(seconds)),
        Outcome::AnsweredBefore => Err(elsewhere()),
        Outcome::FactorGone => Err(not_found()),
        Outcome::SessionGone => Err(CallerError::SessionGone.into()),
        Outcome::LowSession => Err(insufficient(StatusCode::FORBIDDEN, "AAL2 required to verify a new factor")),
    }
}

/// Asks the tenant's hooks about a proof that is good: whether it may count, and what the tokens are to say that it earns.
async fn asked_before(app: &App, current: &CurrentUser, now: Timestamp, factor: &FactorRow) -> Result<Option<Value>, AuthError> {
    tell(app, current, factor, true).await?;
    ask_claims(app, current, now, factor).await
}

/// Notes that a proof did not count which never came to the transaction.
async fn note_refusal(app: &App, current: &CurrentUser, factor: &FactorRow, reason: &'static str) {
    let refusal = about(Event::new(Action::VerificationAttempted), factor).with("success", false).with("reason", reason);
    audit::note_refusal(&app.db, current.tenant.id, app.clock.now(), refusal).await;
}

/// Tells the tenant's hook how it went, and asks whether to go on.
async fn tell(app: &App, current: &CurrentUser, factor: &FactorRow, is_valid: bool) -> Result<(), AuthError> {
    let attempt = FactorAttempt { user: factor.user_id, factor: factor.id, factor_type: factor.kind().as_str(), is_valid };
    hooks::factor_verified(app, &current.tenant, attempt).await
}

fn wrong_code(kind: FactorType) -> AuthError {
    let message = if kind == FactorType::Phone { "Invalid MFA Phone code entered" } else { "Invalid TOTP code entered" };
    AuthError::unprocessable(AuthCode::MfaVerificationFailed, message)
}

/// What was proved outside of the transaction; whether it is still worth anything shows inside.
enum Proved {
    /// The code of this time step.
    Step(i64),
    /// The code that the challenge sent.
    Code,
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
    Wrong,
    Locked(i64),
    TakenBefore,
    AnsweredBefore,
    FactorGone,
    SessionGone,
    LowSession,
}

/// What a transaction needs to raise a session.
struct Proving {
    tenant: TenantId,
    now: Timestamp,
    user: SignedIn,
    factor: FactorRow,
    challenge: Uuid,
    /// Nothing, if the code was wrong.
    proved: Option<Proved>,
    teller: Teller,
}

impl Proving {
    async fn run(self, tx: &Tx) -> DbResult<Outcome> {
        let (tenant, now, user) = (self.tenant, self.now, &self.user);
        // All proofs of a user take turns here.
        let Some(owner) = sql::lock_user(tx, tenant, user.user_id).await? else { return Ok(Outcome::SessionGone) };
        let Some(factor) = sql::find_factor(tx, tenant, user.user_id, self.factor.id).await? else { return Ok(Outcome::FactorGone) };
        // Right or wrong: who guesses many codes at once learns nothing from those that come too late.
        if let Some(seconds) = factor.locked_for(now) {
            return Ok(Outcome::Locked(seconds));
        }
        let Some(proved) = self.proved else {
            sql::note_failure(tx, tenant, factor.id, MOST_FAILURES, now.plus_seconds(LOCK_SECONDS)).await?;
            return Ok(Outcome::Wrong);
        };
        // The answer was judged by a credential, or by its absence, that another answer has changed since.
        if factor.credential != self.factor.credential {
            return Ok(Outcome::AnsweredBefore);
        }
        // Enrolled by a thief before the user had a factor, it would raise the thief's session past the one that the user has now.
        if !factor.is_verified() && is_short_of_a_factor(tx, tenant, user).await? {
            return Ok(Outcome::LowSession);
        }
        match sql::find_challenge(tx, tenant, factor.id, self.challenge).await? {
            Some(challenge) if challenge.verified_at.is_none() => {}
            _ => return Ok(Outcome::AnsweredBefore),
        }
        let credential = match proved {
            Proved::Step(step) if !sql::take_step(tx, tenant, factor.id, step).await? => return Ok(Outcome::TakenBefore),
            Proved::Step(_) | Proved::Code => None,
            Proved::Credential(credential) => Some(credential),
        };
        sql::use_challenge(tx, tenant, now, self.challenge).await?;
        sql::set_verified(tx, tenant, now, factor.id, credential).await?;
        sql::delete_unverified_factors(tx, tenant, user.user_id, &factor.factor_type).await?;
        if !factor.is_verified() {
            self.teller.tell(tx, now, &owner, Notice::FactorAdded((&factor).into())).await?;
        }
        Ok(match raise(tx, tenant, now, user, &factor).await? {
            Some(raised) => Outcome::Raised(Box::new(raised)),
            None => Outcome::SessionGone,
        })
    }
}

/// A session that a factor has raised, with all that its answer is made of.
pub(super) struct Raised {
    session: SessionRow,
    opened: Opened,
}

impl Raised {
    /// The session with a new pair of tokens, which say what was asked for before.
    pub(super) fn answer(self, app: &App, current: &CurrentUser, now: Timestamp, claims: Option<Value>) -> Result<Json<Session>, AuthError> {
        Ok(Json(session::tokens(app, &current.tenant, now, &self.session, self.opened, claims)?))
    }
}

/// What the tenant's hook has the token say that a factor is about to earn. Asked before the session is raised: the tokens that it has now
/// are good for nothing afterwards, and without new ones it would be lost.
pub(super) async fn ask_claims(app: &App, current: &CurrentUser, now: Timestamp, factor: &FactorRow) -> Result<Option<Value>, AuthError> {
    let (tenant, signed_in) = (&current.tenant, &current.user);
    if !tenant.settings.hooks.custom_access_token.enabled {
        return Ok(None);
    }
    let gone = || AuthError::from(CallerError::SessionGone);
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, tenant.id, signed_in.user_id).await?.ok_or_else(gone)?;
    let session = sql::find_session(&conn, tenant.id, signed_in.session_id).await?.ok_or_else(gone)?;
    let opened = session::opened(&conn, tenant.id, user).await?;
    drop(conn);
    let session = raised_by(session, factor, now);
    session::ask_claims(app, tenant, now, &session, &opened, session::newest_method(&session)).await
}

/// A session as a factor makes it.
fn raised_by(mut session: SessionRow, factor: &FactorRow, now: Timestamp) -> SessionRow {
    session.prove(&Proof::by(factor.kind().method()), now);
    RAISED.clone_into(&mut session.aal);
    session
}

/// Raises the session of a user who has just used a factor. The user's sessions that no factor has raised end: one of them may be a thief's.
pub(super) async fn raise(tx: &Tx, tenant: TenantId, now: Timestamp, signed_in: &SignedIn, factor: &FactorRow) -> DbResult<Option<Raised>> {
    let Some(user) = sql::find_user(tx, tenant, signed_in.user_id).await? else { return Ok(None) };
    let Some(session) = sql::find_session(tx, tenant, signed_in.session_id).await? else { return Ok(None) };
    if user.deleted_at.is_some() || user.is_banned(now) {
        return Ok(None);
    }
    let mut session = raised_by(session, factor, now);
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

//! Servers of the tenant's that are asked, or told, when something happens to users.
//!
//! A call is signed by Standard Webhooks and has five seconds, tries included. Who is asked decides: without an answer that can be used the
//! request fails, so that a hook that is down lets nothing through that it would have stopped. Who is told (a new user, a mail or text
//! message to be sent) is told by a job, in the transaction that calls for it, and again until it hears; under the same `webhook-id`, so
//! that it can know.
//!
//! Each hook is a function here, called by the flows; `call.rs` makes the call, `claims.rs` looks at what a hook makes of a token.

mod call;
mod claims;

use std::{borrow::Cow, net::IpAddr};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use self::call::{HookError, LONGEST_MESSAGE, call};
use super::{
    error::{AuthCode, AuthError},
    message,
    model::User,
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{TenantId, Timestamp, Tx},
    error::Result,
    http::current_client,
    jobs::{self, Job, JobError, NewJob},
    tenants::{Hook, Tenant},
};

/// Which hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    BeforeUserCreated,
    AfterUserCreated,
    CustomizeAccessToken,
    SendEmail,
    SendSms,
    PasswordVerification,
    MfaVerification,
}

impl Name {
    /// The hook, if the tenant has it called.
    fn enabled(self, tenant: &Tenant) -> Option<&Hook> {
        let hooks = &tenant.settings.hooks;
        let hook = match self {
            Self::BeforeUserCreated => &hooks.before_user_created,
            Self::AfterUserCreated => &hooks.after_user_created,
            Self::CustomizeAccessToken => &hooks.custom_access_token,
            Self::SendEmail => &hooks.send_email,
            Self::SendSms => &hooks.send_sms,
            Self::PasswordVerification => &hooks.password_verification_attempt,
            Self::MfaVerification => &hooks.mfa_verification_attempt,
        };
        Some(hook).filter(|hook| hook.enabled)
    }
}

/// What every call begins with.
fn with_metadata(app: &App, name: Name, id: Uuid, client: Option<IpAddr>, mut payload: Value) -> Value {
    let mut metadata = json!({ "uuid": id, "time": app.clock.now(), "name": name });
    if let Some(address) = client {
        metadata["ip_address"] = json!(address);
    }
    payload["metadata"] = metadata;
    payload
}

/// Asks a hook now. `None` when the tenant has none.
async fn ask<A: DeserializeOwned + Default>(app: &App, tenant: &Tenant, name: Name, payload: Value) -> Result<Option<A>, HookError> {
    let Some(hook) = name.enabled(tenant) else { return Ok(None) };
    let id = Uuid::new_v4();
    let answer = call(app, tenant.id, hook, id, &with_metadata(app, name, id, current_client(), payload)).await;
    if let Some(trouble) = answer.as_ref().err().and_then(HookError::trouble) {
        tracing::warn!(tenant = tenant.reference, ?name, call = %id, trouble, "a hook gave no answer that can be used");
    }
    answer.map(Some)
}

/// Tells a hook, as the job `id`. What it refuses is given up; what it does not hear is said again.
async fn tell(app: &App, tenant: &Tenant, name: Name, id: Uuid, payload: &Value) -> Result<(), JobError> {
    let Some(hook) = name.enabled(tenant) else { return Ok(()) };
    match call::<Value>(app, tenant.id, hook, id, payload).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_final() => Err(JobError::GiveUp(error.to_string())),
        Err(error) => Err(JobError::Retry(error.to_string())),
    }
}

/// An answer that says yes by saying nothing else.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Verdict {
    decision: String,
    message: String,
    should_logout_user: bool,
}

impl Verdict {
    fn is_rejection(&self) -> bool {
        self.decision == "reject"
    }

    fn message(self, otherwise: &'static str) -> Cow<'static, str> {
        if self.message.is_empty() { otherwise.into() } else { self.message.chars().take(LONGEST_MESSAGE).collect::<String>().into() }
    }
}

/// Asks whether this user may be made. To be called before its transaction.
pub(super) async fn before_user_created(app: &App, tenant: &Tenant, user: &User) -> Result<(), AuthError> {
    let decision: Option<Verdict> = ask(app, tenant, Name::BeforeUserCreated, json!({ "user": user })).await?;
    match decision.filter(Verdict::is_rejection) {
        Some(decision) => Err(AuthError::forbidden(AuthCode::Unknown, decision.message("This user can't be created."))),
        None => Ok(()),
    }
}

/// Who is told of users that are made. To be made where the request is known, which it is not inside a transaction.
#[derive(Clone)]
pub(super) struct NewUsers {
    app: App,
    tenant: TenantId,
    is_told: bool,
    client: Option<IpAddr>,
}

impl NewUsers {
    pub(super) fn of(app: &App, tenant: &Tenant) -> Self {
        let is_told = Name::AfterUserCreated.enabled(tenant).is_some();
        Self { app: app.clone(), tenant: tenant.id, is_told, client: current_client() }
    }

    fn job(&self, user: &User) -> Result<Option<NewJob>> {
        if !self.is_told {
            return Ok(None);
        }
        let payload = with_metadata(&self.app, Name::AfterUserCreated, Uuid::new_v4(), self.client, json!({ "user": user }));
        self.app.jobs.prepare(self.tenant, &UserCreated { payload }).map(Some)
    }

    /// Tells of a user, once the transaction is through that makes it.
    pub(super) async fn tell(&self, tx: &Tx, now: Timestamp, user: &User) -> Result<()> {
        jobs::enqueue_all(tx, now, self.job(user)?.as_slice()).await
    }
}

/// What tells that this user was made: a job for its transaction.
pub(super) fn after_user_created(app: &App, tenant: &Tenant, user: &User) -> Result<Option<NewJob>> {
    NewUsers::of(app, tenant).job(user)
}

/// Word of a new user.
#[derive(Serialize, Deserialize)]
pub(super) struct UserCreated {
    payload: Value,
}

impl Job for UserCreated {
    const KIND: &'static str = "hook_user_created";

    async fn run(self, app: &App, tenant: TenantId, id: Uuid) -> Result<(), JobError> {
        let tenant = message::active(app, tenant).await?;
        tell(app, &tenant, Name::AfterUserCreated, id, &self.payload).await
    }
}

/// Asks what an access token should say instead of `claims`. `None` without such a hook.
pub(super) async fn custom_access_token(
    app: &App,
    tenant: &Tenant,
    user: Uuid,
    method: &str,
    claims: impl FnOnce() -> Result<Value> + Send,
) -> Result<Option<Value>, AuthError> {
    if Name::CustomizeAccessToken.enabled(tenant).is_none() {
        return Ok(None);
    }
    let claims = claims()?;
    let payload = json!({ "user_id": user, "claims": claims, "authentication_method": method });
    let answer: Option<Value> = ask(app, tenant, Name::CustomizeAccessToken, payload).await?;
    let Some(answer) = answer else { return Ok(None) };
    claims::check(&claims, answer).map(Some).map_err(|why| HookError::Unfit(why).into())
}

/// Tells that a password of this user was compared, and asks whether to go on.
pub(super) async fn password_verified(app: &App, tenant: &Tenant, user: Uuid, is_valid: bool) -> Result<(), AuthError> {
    let asked = ask(app, tenant, Name::PasswordVerification, json!({ "user_id": user, "valid": is_valid })).await;
    let Some(decision) = rejection(asked, is_valid)? else { return Ok(()) };
    if decision.should_logout_user {
        end_sessions(app, tenant.id, user).await?;
    }
    let message = decision.message("Further password verification attempts will be rejected.");
    Err(AuthError::bad_request(AuthCode::InvalidCredentials, message))
}

/// A proof of a second factor that was looked at.
#[derive(Clone, Copy)]
pub(super) struct FactorAttempt<'a> {
    pub(super) user: Uuid,
    pub(super) factor: Uuid,
    pub(super) factor_type: &'a str,
    pub(super) is_valid: bool,
}

/// Tells that a second factor was looked at, and asks whether to go on. To be called before the proof counts.
pub(super) async fn factor_verified(app: &App, tenant: &Tenant, attempt: FactorAttempt<'_>) -> Result<(), AuthError> {
    let FactorAttempt { user, factor, factor_type, is_valid } = attempt;
    let payload = json!({ "user_id": user, "factor_id": factor, "factor_type": factor_type, "valid": is_valid });
    let asked = ask(app, tenant, Name::MfaVerification, payload).await;
    let Some(decision) = rejection(asked, is_valid)? else { return Ok(()) };
    end_sessions(app, tenant.id, user).await?;
    let message = decision.message("Further MFA verification attempts will be rejected.");
    Err(AuthError::forbidden(AuthCode::MfaVerificationRejected, message))
}

/// What a hook has against an attempt. What is refused anyhow is refused in the usual words when the hook gives no answer.
fn rejection(asked: Result<Option<Verdict>, HookError>, is_valid: bool) -> Result<Option<Verdict>, HookError> {
    match asked {
        Ok(verdict) => Ok(verdict.filter(Verdict::is_rejection)),
        Err(_) if !is_valid => Ok(None),
        Err(error) => Err(error),
    }
}

async fn end_sessions(app: &App, tenant: TenantId, user: Uuid) -> Result<()> {
    let (now, ended) = (app.clock.now(), Event::new(Action::TokenRevoked).about(user).with("reason", "hook"));
    app.db
        .write(move |tx| async move {
            sql::delete_sessions_of(&tx, tenant, user).await?;
            audit::note(&tx, tenant, now, &ended).await
        })
        .await
}

/// What a mail would say, for whoever sends it instead. Names and pairs are upstream's: of a change of address `token` and `token_hash_new`
/// go to the address that is, `token_new` and `token_hash` to the new one.
#[derive(Debug, Serialize)]
pub(super) struct EmailData<'a> {
    /// The code.
    pub(super) token: &'a str,
    /// What a link carries.
    pub(super) token_hash: &'a str,
    /// Where the link should lead in the end.
    pub(super) redirect_to: &'a str,
    /// `signup`, `recovery`, … as upstream names them.
    pub(super) email_action_type: &'static str,
    /// Where `/verify` is.
    pub(super) site_url: &'a str,
    /// The second code, when both addresses have to agree.
    pub(super) token_new: &'a str,
    /// What the second link carries.
    pub(super) token_hash_new: &'a str,
    /// The address before, where it changed.
    pub(super) old_email: &'a str,
    /// The number before, where it changed.
    pub(super) old_phone: &'a str,
    /// Who came or went by whom the user signs in.
    pub(super) provider: &'a str,
    /// Of what type the factor is that came or went.
    pub(super) factor_type: &'a str,
}

/// Whether the tenant's hook sends mails.
pub(super) fn sends_emails(tenant: &Tenant) -> bool {
    Name::SendEmail.enabled(tenant).is_some()
}

/// Has a mail sent by the tenant's hook, as the job `id`.
pub(super) async fn send_email(app: &App, tenant: &Tenant, id: Uuid, user: &User, data: &EmailData<'_>) -> Result<(), JobError> {
    let payload = with_metadata(app, Name::SendEmail, id, None, json!({ "user": user, "email_data": data }));
    tell(app, tenant, Name::SendEmail, id, &payload).await
}

/// Whether the tenant's hook sends text messages.
pub(super) fn sends_sms(tenant: &Tenant) -> bool {
    Name::SendSms.enabled(tenant).is_some()
}

/// Has a code sent to a phone by the tenant's hook, as the job `id`.
pub(super) async fn send_sms(app: &App, tenant: &Tenant, id: Uuid, user: &User, sms: &Value) -> Result<(), JobError> {
    let payload = with_metadata(app, Name::SendSms, id, None, json!({ "user": user, "sms": sms }));
    tell(app, tenant, Name::SendSms, id, &payload).await
}

//! A code by mail or phone, to show once more who it is before the password changes.

use axum::{Json, extract::State};

use super::{
    ask::{Frequency, REAUTHENTICATION, TooSoon, note_sent},
    caller::CurrentUser,
    error::{AuthCode, AuthError, AuthFailures},
    limits::{self, Bucket},
    link::Languages,
    message::{AuthMail, MailToken},
    model::{SessionRow, UserRow},
    one_time_token::{self, Purpose, Redeeming, Shown, Wanted},
    otp::Asking,
    phone::Phone,
    sms, sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    crypto::MasterKey,
    db::{Timestamp, Tx},
    error::Result as DbResult,
    jobs,
    tenants::{MailKind, Tenant},
};

/// Seconds after which a session is no proof any more of who holds it.
const RECENT: i64 = 24 * 3600;

/// Sends the user a code, for `nonce`.
#[utoipa::path(get, path = "/auth/v1/reauthenticate", tag = "auth",
    responses((status = 200, body = Asking, description = "It is on its way"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn reauthenticate(State(app): State<App>, current: CurrentUser, languages: Languages) -> Result<Json<Asking>, AuthError> {
    let (tenant, now) = (&current.tenant, app.clock.now());
    limits::count(&app, tenant, Bucket::Otp, &current.peer).await?;
    let user = sql::find_user(&app.db.read().await?, tenant.id, current.user.user_id).await?.ok_or_else(AuthError::user_not_found)?;
    let address = address_of(&user)?.to_owned();
    let wanted = Wanted { user: user.id, purpose: Purpose::Reauthentication, address: &address, new_address: None, challenge: None };
    let token = one_time_token::make(&app, tenant, now, wanted);
    let job = if user.email.is_some() {
        let mail = AuthMail { token: MailToken::of(&token), languages: languages.0, ..AuthMail::to_user(MailKind::Reauthentication, &user) };
        Some(app.jobs.prepare(tenant.id, &mail)?)
    } else {
        let channel = sms::check_channel(tenant, &address.parse::<Phone>()?, None)?;
        sms::prepare(&app, tenant, &token, &channel)?
    };
    let message_id = job.as_ref().filter(|_| user.email.is_none()).map(jobs::NewJob::id);
    let frequency = Frequency::of(&app, tenant, now, REAUTHENTICATION, &address);
    let sent = limits::message(&app, tenant, &address, &current.peer).await?;
    let (id, user_id) = (tenant.id, user.id);
    let requested = Event::new(Action::UserReauthenticateRequested).about(user.id);
    let refused: Option<TooSoon> = app
        .db
        .write(move |tx| async move {
            if let Some(wait) = frequency.note(&tx).await? {
                return Ok(Some(wait));
            }
            let Some(mut user) = sql::lock_user(&tx, id, user_id).await? else { return Ok(None) };
            note_sent(&mut user, now, &token);
            sql::update_user(&tx, id, &user).await?;
            token.store(&tx, id).await?;
            audit::note(&tx, id, now, &requested).await?;
            if let Some(job) = &job {
                jobs::enqueue(&tx, now, job).await?;
            }
            Ok(None)
        })
        .await?;
    app.jobs.wake();
    let Some(wait) = refused else { return Ok(Json(Asking { message_id })) };
    sent.take_back(&app).await?;
    Err(wait.into())
}

/// Where a code reaches the user.
fn address_of(user: &UserRow) -> Result<&str, AuthError> {
    match (&user.email, &user.phone) {
        (Some(_), _) if user.email_confirmed_at.is_none() => {
            Err(AuthError::unprocessable(AuthCode::EmailNotConfirmed, "Please verify your email first."))
        }
        (Some(email), _) => Ok(email),
        (None, Some(_)) if user.phone_confirmed_at.is_none() => {
            Err(AuthError::unprocessable(AuthCode::PhoneNotConfirmed, "Please verify your phone first."))
        }
        (None, Some(phone)) => Ok(phone),
        (None, None) => Err(AuthError::validation("Reauthentication requires the user to have an email or a phone number")),
    }
}

/// A code that has to be right before something is changed.
pub(super) struct Nonce {
    tenant: Redeeming,
    /// Where the code was sent.
    pub(super) address: String,
    shown: Shown,
}

impl Nonce {
    /// Uses the code up, if it is right. A wrong one is counted.
    pub(super) async fn is_right(&self, tx: &Tx, key: &MasterKey, now: Timestamp) -> DbResult<bool> {
        let token = one_time_token::redeem(tx, key, &self.tenant, now, &[Purpose::Reauthentication], &self.shown).await?;
        Ok(token.is_some())
    }
}

/// The code that another password needs; `None` where it needs none.
pub(super) fn nonce_needed(
    tenant: &Tenant,
    now: Timestamp,
    user: &UserRow,
    session: Option<&SessionRow>,
    nonce: Option<&str>,
) -> Result<Option<Nonce>, AuthError> {
    let is_recent = session.is_some_and(|session| now <= session.created_at.plus_seconds(RECENT));
    if !tenant.settings.password.require_reauthentication || is_recent {
        return Ok(None);
    }
    let nonce = nonce.ok_or_else(|| AuthError::bad_request(AuthCode::ReauthenticationNeeded, "Password update requires reauthentication"))?;
    let address = user.email.as_deref().or(user.phone.as_deref()).ok_or_else(wrong_nonce)?;
    Ok(Some(Nonce { tenant: Redeeming::of(tenant), address: address.to_owned(), shown: Shown::code(address, nonce) }))
}

pub(super) fn wrong_nonce() -> AuthError {
    AuthError::unprocessable(AuthCode::ReauthenticationNotValid, "Nonce has expired or is invalid")
}

/// Whether a session began with what a mail carried: who lost a password can't tell the present one.
pub(super) fn came_by_mail(session: &SessionRow) -> bool {
    let proofs = session.amr.0.as_array().into_iter().flatten();
    proofs.filter_map(|proof| proof["method"].as_str()).any(|method| matches!(method, "otp" | "recovery" | "magiclink" | "invite"))
}

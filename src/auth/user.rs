//! What a signed-in user sees and changes of itself.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    ask::{EMAIL_CHANGE, Frequency, PHONE_CHANGE, Pkce, TooSoon, email_change, note_sent},
    caller::{CurrentUser, SignedIn},
    contact::{set_email, set_phone},
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    factors::{insufficient, is_short_of_a_factor},
    limits::{self, Bucket, CountedMessage, Peer, Secret},
    link::Languages,
    message::AuthMail,
    model::{Metadata, User, UserRow, merge, own_words},
    notice::{Notice, Teller},
    one_time_token::{self, NewToken, Purpose, Wanted, revoke_all},
    password::{self, Owner, check_another, check_password},
    phone::Phone,
    reauthenticate::{self, Nonce},
    redirect::AskedRedirect,
    request::{JsonBody, check_user_metadata},
    session::shown_user,
    sms, sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event, Origin},
    db::{Timestamp, Tx},
    error::{ConstraintKind, Error, Result as DbResult},
    jobs::{self, NewJob},
    tenants::{Tenant, TenantId},
};

/// What a user wants to change of itself; what is left out stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct UserChanges {
    /// Another mail address. It counts once it is confirmed, at the old address, too, where the tenant has it so.
    email: Option<String>,
    /// Another phone number. It counts once it is confirmed.
    phone: Option<String>,
    /// Another password. Every other session of the user ends.
    password: Option<String>,
    /// The present password; checked if it comes along.
    current_password: Option<String>,
    /// The code of `GET /reauthenticate`, where another password needs one.
    nonce: Option<String>,
    /// How a message is sent: `sms` or `whatsapp`.
    channel: Option<String>,
    /// Merged into `user_metadata`; `null` takes a key away.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    data: Option<Metadata>,
    /// Refused: only an admin changes it.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    app_metadata: Option<Metadata>,
    /// The challenge of the PKCE flow, with its method.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
}

/// The signed-in user.
#[utoipa::path(get, path = "/auth/v1/user", tag = "auth",
    responses((status = 200, body = User, description = "The user"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn get_user(State(app): State<App>, current: CurrentUser) -> Result<Json<User>, AuthError> {
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, current.tenant.id, current.user.user_id).await?.ok_or_else(AuthError::user_not_found)?;
    Ok(Json(shown_user(&conn, current.tenant.id, user).await?))
}

/// Changes the signed-in user.
#[utoipa::path(put, path = "/auth/v1/user", tag = "auth", request_body = UserChanges,
    responses((status = 200, body = User, description = "The user as it is now"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn update_user(
    State(app): State<App>,
    current: CurrentUser,
    redirect: AskedRedirect,
    languages: Languages,
    JsonBody(asked): JsonBody<UserChanges>,
) -> Result<Json<User>, AuthError> {
    let tenant = &current.tenant;
    limits::count(&app, tenant, Bucket::UpdateUser, &current.peer).await?;
    let changes = Changes::check(tenant, asked)?;
    let now = app.clock.now();
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, tenant.id, current.user.user_id).await?.ok_or_else(AuthError::user_not_found)?;
    if changes.signs_in_otherwise(&user) && is_short_of_a_factor(&conn, tenant.id, &current.user).await? {
        return Err(insufficient(StatusCode::UNAUTHORIZED, "AAL2 session is required to update email or password when MFA is enabled."));
    }
    changes.check_free(&conn, tenant, &user).await?;
    let session = sql::find_session(&conn, tenant.id, current.user.session_id).await?;
    drop(conn);
    if user.is_anonymous && changes.password.is_some() && changes.email.is_none() && changes.phone.is_none() {
        let message = "Updating password of an anonymous user without an email or phone is not allowed";
        return Err(AuthError::unprocessable(AuthCode::ValidationFailed, message));
    }
    if let Some(password) = &changes.password {
        check_password(&app, tenant, password, changes.owner(&user)).await?;
    }
    let nonce = match &changes.password {
        Some(_) => reauthenticate::nonce_needed(tenant, now, &user, session.as_ref(), changes.nonce.as_deref())?,
        None => None,
    };
    let is_exempt = session.as_ref().is_some_and(reauthenticate::came_by_mail);
    let required = tenant.settings.password.require_current && !is_exempt;
    if let Some(password) = changes.current_password.as_deref().filter(|_| changes.password.is_some()) {
        check_current(&app, &current, &user, password).await?;
    }
    let is_current_missing = required && changes.current_password.is_none();
    let new_hash = change_password(&app, tenant, &user, changes.password.as_deref(), is_current_missing).await?;
    let redirect_to = redirect.decide(&app, tenant).to.to_string();
    let change = Change::prepare(&app, tenant, now, &user, changes, new_hash, nonce, &redirect_to, &languages.0)?;
    let guess = match &change.nonce {
        Some(nonce) => Some(limits::guess(&app, tenant, Secret::Code, &nonce.address, Some(user.id), &current.peer).await?),
        None => None,
    };
    let sent = match change.count_messages(&app, tenant, &current.peer).await {
        Ok(sent) => sent,
        Err(error) => {
            if let Some(guess) = guess {
                guess.withdraw(&app).await?;
            }
            return Err(error);
        }
    };
    let (id, signed_in) = (tenant.id, current.user);
    let key = std::sync::Arc::clone(&app.master_key);
    let outcome = app.db.write(move |tx| async move { change.apply(&tx, &key, id, now, &signed_in).await }).await;
    app.jobs.wake();
    if let Some(guess) = guess {
        match &outcome {
            Ok(Outcome::Changed(_)) => guess.ended(&app, true).await?,
            Ok(Outcome::WrongNonce) => guess.ended(&app, false).await?,
            // The code was not looked at, or it is as if it had not been.
            Ok(Outcome::Gone | Outcome::TooSoon(_)) | Err(_) => guess.withdraw(&app).await?,
        }
    }
    if !matches!(outcome, Ok(Outcome::Changed(_))) {
        sent.take_back(&app).await?;
    }
    match outcome {
        Err(Error::Constraint(constraint)) if constraint.kind == ConstraintKind::Unique => Err(AuthError::taken(&constraint)),
        Err(error) => Err(error.into()),
        Ok(Outcome::Changed(user)) => Ok(Json(*user)),
        Ok(Outcome::Gone) => Err(AuthError::user_not_found()),
        Ok(Outcome::TooSoon(wait)) => Err(wait.into()),
        Ok(Outcome::WrongNonce) => Err(reauthenticate::wrong_nonce()),
    }
}

/// Changes whose form is good.
struct Changes {
    email: Option<Email>,
    phone: Option<(Phone, String)>,
    password: Option<String>,
    current_password: Option<String>,
    nonce: Option<String>,
    data: Metadata,
    challenge: Pkce,
}

impl Changes {
    /// Whose password it will be.
    fn owner<'o>(&'o self, user: &'o UserRow) -> Owner<'o> {
        Owner::from(user).with(self.email.as_ref().map(Email::as_str), self.phone.as_ref().map(|(phone, _)| phone.as_str()))
    }

    /// Whether the user would sign in by something else than before.
    fn signs_in_otherwise(&self, user: &UserRow) -> bool {
        self.password.is_some()
            || self.email.as_ref().is_some_and(|email| user.email.as_deref() != Some(email.as_str()))
            || self.phone.as_ref().is_some_and(|(phone, _)| user.phone.as_deref() != Some(phone.as_str()))
    }

    fn check(tenant: &Tenant, asked: UserChanges) -> Result<Self, AuthError> {
        if asked.app_metadata.is_some() {
            return Err(AuthError::forbidden(AuthCode::NotAdmin, "Updating app_metadata requires admin privileges"));
        }
        let given = |field: Option<String>| field.filter(|text| !text.is_empty());
        let email = given(asked.email).map(|text| text.parse()).transpose()?;
        let phone = given(asked.phone).map(|text| check_phone(tenant, &text, asked.channel.as_deref())).transpose()?;
        let challenge = Pkce { code_challenge: asked.code_challenge, code_challenge_method: asked.code_challenge_method };
        challenge.read()?;
        Ok(Self {
            email,
            phone,
            password: asked.password,
            current_password: asked.current_password,
            nonce: given(asked.nonce),
            data: own_words(asked.data.unwrap_or_default()),
            challenge,
        })
    }

    /// Refuses an address or number that somebody else has.
    async fn check_free(&self, conn: &crate::db::Conn, tenant: &Tenant, user: &UserRow) -> Result<(), AuthError> {
        if let Some(email) = &self.email
            && sql::find_user_by_email(conn, tenant.id, email).await?.is_some_and(|other| other.id != user.id)
        {
            return Err(AuthError::email_exists());
        }
        if let Some((phone, _)) = &self.phone
            && sql::find_user_by_phone(conn, tenant.id, phone).await?.is_some_and(|other| other.id != user.id)
        {
            return Err(AuthError::phone_exists());
        }
        Ok(())
    }
}

fn check_phone(tenant: &Tenant, text: &str, channel: Option<&str>) -> Result<(Phone, String), AuthError> {
    if !tenant.settings.sign_up.phone {
        return Err(AuthError::bad_request(AuthCode::PhoneProviderDisabled, "Phone logins are disabled"));
    }
    let phone: Phone = text.parse()?;
    let channel = if tenant.settings.sms.autoconfirm { String::new() } else { sms::check_channel(tenant, &phone, channel)? };
    Ok((phone, channel))
}

/// Refuses a present password that is another one. Whoever has found the session open may guess at it.
async fn check_current(app: &App, current: &CurrentUser, user: &UserRow, password: &str) -> Result<(), AuthError> {
    let account = user.email.as_deref().or(user.phone.as_deref()).unwrap_or_default();
    let guess = limits::guess(app, &current.tenant, Secret::Password, account, Some(user.id), &current.peer).await?;
    let is_right = guess.at_password(app, password, user.encrypted_password.as_deref()).await?.ok;
    if is_right { Ok(()) } else { Err(AuthError::bad_request(AuthCode::CurrentPasswordInvalid, "Current password is incorrect")) }
}

/// The hash of the new password, if there is to be one.
async fn change_password(
    app: &App,
    tenant: &Tenant,
    user: &UserRow,
    new: Option<&str>,
    is_current_missing: bool,
) -> Result<Option<String>, AuthError> {
    let Some(new) = new else { return Ok(None) };
    let hash = user.encrypted_password.as_deref();
    if is_current_missing && hash.is_some() {
        return Err(AuthError::bad_request(AuthCode::CurrentPasswordRequired, "Current password required when setting new password."));
    }
    check_another(app, user, &password::past(app, tenant, user.id).await?, new).await?;
    Ok(Some(app.passwords.hash(new).await?))
}

/// What is to be written.
struct Change {
    data: Metadata,
    /// The hash that the present password was compared with.
    verified: Option<String>,
    encrypted_password: Option<String>,
    /// How many passwords before it are remembered.
    history: u32,
    nonce: Option<Nonce>,
    email: Option<NewAddress<Email>>,
    phone: Option<NewAddress<Phone>>,
    teller: Teller,
    origin: Origin,
}

/// Another address or number: one that counts at once, or one to be confirmed by what is sent.
enum NewAddress<A> {
    AtOnce(A),
    Confirm { address: A, tokens: Vec<NewToken>, jobs: Vec<NewJob>, frequency: Frequency },
}

enum Outcome {
    Changed(Box<User>),
    Gone,
    TooSoon(TooSoon),
    WrongNonce,
}

impl Change {
    #[expect(clippy::too_many_arguments, reason = "it is where all that was read and checked comes together")]
    fn prepare(
        app: &App,
        tenant: &Tenant,
        now: Timestamp,
        user: &UserRow,
        changes: Changes,
        encrypted_password: Option<String>,
        nonce: Option<Nonce>,
        redirect_to: &str,
        languages: &str,
    ) -> Result<Self, AuthError> {
        let challenge = changes.challenge.read()?;
        let email = changes.email.filter(|email| user.email.as_deref() != Some(email.as_str()));
        let email = match email {
            // Only who gives an address for the first time is taken at its word; everybody else shows that it is theirs.
            Some(email) if user.is_anonymous && tenant.settings.sign_up.email_autoconfirm => Some(NewAddress::AtOnce(email)),
            Some(email) => {
                let (mut tokens, mut jobs) = (Vec::new(), Vec::new());
                for (token, mail) in email_change(app, tenant, now, user, email.as_str(), challenge.as_ref()) {
                    let mail = AuthMail { redirect_to: redirect_to.to_owned(), languages: languages.to_owned(), ..mail };
                    jobs.push(app.jobs.prepare(tenant.id, &mail)?);
                    tokens.push(token);
                }
                let own = user.email.as_deref().unwrap_or(email.as_str());
                let frequency = Frequency::of(app, tenant, now, EMAIL_CHANGE, own);
                Some(NewAddress::Confirm { address: email, tokens, jobs, frequency })
            }
            None => None,
        };
        let phone = changes.phone.filter(|(phone, _)| user.phone.as_deref() != Some(phone.as_str()));
        let phone = match phone {
            Some((phone, _)) if tenant.settings.sms.autoconfirm => Some(NewAddress::AtOnce(phone)),
            Some((phone, channel)) => {
                let wanted = Wanted {
                    user: user.id,
                    purpose: Purpose::PhoneChange,
                    address: phone.as_str(),
                    new_address: Some(phone.as_str()),
                    challenge: None,
                };
                let token = one_time_token::make(app, tenant, now, wanted);
                let jobs = sms::prepare(app, tenant, &token, &channel)?.into_iter().collect();
                let own = user.phone.as_deref().unwrap_or(phone.as_str());
                let frequency = Frequency::of(app, tenant, now, PHONE_CHANGE, own);
                Some(NewAddress::Confirm { address: phone, tokens: vec![token], jobs, frequency })
            }
            None => None,
        };
        Ok(Self {
            data: changes.data,
            verified: user.encrypted_password.clone(),
            encrypted_password,
            history: tenant.settings.password.history,
            nonce,
            email,
            phone,
            teller: Teller::of(app, tenant),
            origin: Origin::here(),
        })
    }

    /// Counts what goes to the new address and number, and to the present address where that has to agree; or refuses it.
    async fn count_messages(&self, app: &App, tenant: &Tenant, peer: &Peer) -> Result<CountedMessage, AuthError> {
        let tokens = tokens_of(self.email.as_ref()).iter().chain(tokens_of(self.phone.as_ref()));
        let addresses: Vec<&str> = tokens.filter(|_| !peer.is_service()).map(|token| token.row.address.as_str()).collect();
        limits::messages_of_anybody(app, tenant, &addresses).await
    }

    async fn apply(self, tx: &Tx, key: &crate::crypto::MasterKey, tenant: TenantId, now: Timestamp, signed_in: &SignedIn) -> DbResult<Outcome> {
        let frequencies: Vec<&Frequency> = [frequency_of(self.email.as_ref()), frequency_of(self.phone.as_ref())].into_iter().flatten().collect();
        // Looked at before anything is written: who comes too early still has its code, and waits no longer for what was not sent.
        for frequency in &frequencies {
            if let Some(wait) = frequency.wait(tx).await? {
                return Ok(Outcome::TooSoon(wait));
            }
        }
        if let Some(nonce) = &self.nonce
            && !nonce.is_right(tx, key, now).await?
        {
            audit::note(tx, tenant, now, &Event::of(Action::UserReauthenticateFailed, self.origin).about(signed_in.user_id)).await?;
            return Ok(Outcome::WrongNonce);
        }
        let Some(mut user) = sql::lock_user(tx, tenant, signed_in.user_id).await? else { return Ok(Outcome::Gone) };
        let before = user.clone();
        for frequency in frequencies {
            if frequency.note(tx).await?.is_some() {
                return Err(Error::unavailable("the same was asked for at the same moment; try again"));
            }
        }
        if let Some(hash) = self.encrypted_password {
            if user.encrypted_password != self.verified {
                return Err(Error::unavailable("the password was changed at the same moment; try again"));
            }
            password::replace(tx, tenant, self.history, &mut user, hash).await?;
            // Whoever else is signed in, or waits for a link, may be the reason for the new password.
            sql::delete_other_sessions(tx, tenant, user.id, signed_in.session_id).await?;
            revoke_all(tx, tenant, &mut user).await?;
            if before.encrypted_password.is_some() {
                self.teller.tell(tx, now, &before, Notice::PasswordChanged).await?;
            }
            audit::note(tx, tenant, now, &Event::of(Action::UserUpdatedPassword, self.origin.clone()).about(user.id)).await?;
        }
        let modified = Event::of(Action::UserModified, self.origin).about(user.id);
        let modified = modified.with("email", self.email.is_some()).with("phone", self.phone.is_some()).with("data", !self.data.is_empty());
        merge(&mut user.user_metadata, self.data);
        // Merged, it can be larger than either part; refused here, nothing is written.
        check_user_metadata(&super::model::object(user.user_metadata.clone())).map_err(|error| Error::invalid("data", error.to_string()))?;
        // What counts at once ends all that waits (V6), before anything is sent that is to wait.
        if counts_at_once(self.email.as_ref()) || counts_at_once(self.phone.as_ref()) {
            revoke_all(tx, tenant, &mut user).await?;
        }
        let mut jobs = Vec::new();
        match self.email {
            Some(NewAddress::AtOnce(email)) => {
                set_email(tx, tenant, now, &mut user, &email, true).await?;
                user.email_is_unproved = true;
                user.is_anonymous = false;
            }
            Some(NewAddress::Confirm { address, tokens, jobs: mails, .. }) => {
                user.new_email = Some(address.into());
                user.email_change_agreed = None;
                sql::one_time_tokens::delete_for(tx, tenant, user.id, &[Purpose::EmailChangeCurrent, Purpose::EmailChangeNew]).await?;
                send(tx, tenant, now, &mut user, &tokens).await?;
                jobs.extend(mails);
            }
            None => {}
        }
        match self.phone {
            Some(NewAddress::AtOnce(phone)) => {
                set_phone(tx, tenant, now, &mut user, phone.as_str(), true).await?;
                user.is_anonymous = false;
                self.teller.tell(tx, now, &before, Notice::PhoneChanged { new: phone.into() }).await?;
            }
            Some(NewAddress::Confirm { address, tokens, jobs: messages, .. }) => {
                user.new_phone = Some(address.into());
                send(tx, tenant, now, &mut user, &tokens).await?;
                jobs.extend(messages);
            }
            None => {}
        }
        for job in &jobs {
            jobs::enqueue(tx, now, job).await?;
        }
        user.updated_at = now;
        sql::update_user(tx, tenant, &user).await?;
        audit::note(tx, tenant, now, &modified).await?;
        Ok(Outcome::Changed(Box::new(shown_user(tx, tenant, user).await?)))
    }
}

fn counts_at_once<A>(address: Option<&NewAddress<A>>) -> bool {
    matches!(address, Some(NewAddress::AtOnce(_)))
}

fn tokens_of<A>(address: Option<&NewAddress<A>>) -> &[NewToken] {
    match address {
        Some(NewAddress::Confirm { tokens, .. }) => tokens,
        _ => &[],
    }
}

fn frequency_of<A>(address: Option<&NewAddress<A>>) -> Option<&Frequency> {
    match address {
        Some(NewAddress::Confirm { frequency, .. }) => Some(frequency),
        _ => None,
    }
}

async fn send(tx: &Tx, tenant: TenantId, now: Timestamp, user: &mut UserRow, tokens: &[NewToken]) -> DbResult<()> {
    for token in tokens {
        note_sent(user, now, token);
        token.store(tx, tenant).await?;
    }
    Ok(())
}

//! What a mail would carry, handed to an admin who sends it in a way of its own.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    ask::{Newcomer, note_sent},
    caller::UserWriter,
    create_user::user_with_email,
    email::Email,
    error::{AuthError, AuthFailures},
    hooks, link,
    message::MailToken,
    model::{IdentityRow, Metadata, User, UserRow, merge},
    one_time_token::{self, NewToken, Purpose, Wanted},
    password::{Owner, check_password},
    redirect::{self, AskedRedirect},
    request::{JsonBody, check_user_metadata},
    session::shown_user,
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{Json as DbJson, Timestamp, Tx},
    error::Result as DbResult,
    jobs,
    tenants::TenantId,
};

/// Which link is wanted.
#[derive(Deserialize, ToSchema)]
pub(super) struct LinkRequest {
    /// `signup`, `invite`, `magiclink`, `recovery`, `email_change_current` or `email_change_new`.
    #[serde(rename = "type")]
    #[schema(example = "magiclink")]
    kind: Option<String>,
    /// The mail address that the user has, or will have.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// The address that the user is to have, for a change.
    new_email: Option<String>,
    /// The password of a new user, for `signup`.
    password: Option<String>,
    /// What a new user notes of itself.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    data: Option<Metadata>,
    /// Where the link goes on to.
    redirect_to: Option<String>,
}

/// A link, and what is in it.
#[derive(Serialize, ToSchema)]
pub(super) struct GeneratedLink {
    #[serde(flatten)]
    user: User,
    /// The link.
    action_link: String,
    /// The code, which does the same together with the address.
    email_otp: String,
    /// The token, for `POST /verify`.
    hashed_token: String,
    /// Its `type` there.
    verification_type: String,
    /// Where the link goes on to.
    redirect_to: String,
}

/// Makes a link without sending it. A sign-in link for somebody nobody knows becomes one to sign up.
#[utoipa::path(post, path = "/auth/v1/admin/generate_link", tag = "auth", request_body = LinkRequest,
    responses((status = 200, body = GeneratedLink, description = "The link, with its user"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn generate_link(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    redirect: AskedRedirect,
    JsonBody(asked): JsonBody<LinkRequest>,
) -> Result<Json<GeneratedLink>, AuthError> {
    let now = app.clock.now();
    let redirect = redirect.or_in_body(asked.redirect_to)?;
    let email: Email = asked.email.unwrap_or_default().parse()?;
    let data = asked.data.unwrap_or_default();
    check_user_metadata(&data)?;
    let conn = app.db.read().await?;
    let known = sql::find_user_by_email(&conn, tenant.id, &email).await?;
    let kind = asked.kind.unwrap_or_default();
    // A sign-in link for nobody is one to sign up, as on the wire.
    let is_newcomers = kind == "magiclink" && known.is_none();
    let (verification_type, purpose) = match kind.as_str() {
        "magiclink" if is_newcomers => ("signup", Purpose::Confirmation),
        "signup" => ("signup", Purpose::Confirmation),
        "invite" => ("invite", Purpose::Invite),
        "magiclink" => ("magiclink", Purpose::MagicLink),
        "recovery" => ("recovery", Purpose::Recovery),
        "email_change_current" if !tenant.settings.mail.secure_email_change => {
            return Err(AuthError::validation("Enable secure email change to generate link for current email"));
        }
        "email_change_current" => ("email_change_current", Purpose::EmailChangeCurrent),
        "email_change_new" => ("email_change_new", Purpose::EmailChangeNew),
        other => return Err(AuthError::validation(format!("Invalid email action link type requested: {other}"))),
    };
    let makes_user = matches!(purpose, Purpose::Confirmation | Purpose::Invite);
    if known.is_none() && !makes_user {
        return Err(AuthError::new(http::StatusCode::NOT_FOUND, super::error::AuthCode::UserNotFound, "User with this email not found"));
    }
    if makes_user && known.as_ref().is_some_and(|known| known.email_confirmed_at.is_some()) {
        return Err(AuthError::email_exists());
    }
    let is_change = matches!(purpose, Purpose::EmailChangeCurrent | Purpose::EmailChangeNew);
    let new_email: Option<Email> = if is_change { Some(asked.new_email.unwrap_or_default().parse()?) } else { None };
    if let Some(new) = &new_email
        && sql::find_user_by_email(&conn, tenant.id, new).await?.is_some()
    {
        return Err(AuthError::email_exists());
    }
    drop(conn);
    let encrypted_password = match asked.password.filter(|password| !password.is_empty()) {
        Some(password) if purpose == Purpose::Confirmation && known.is_none() => {
            check_password(&app, &tenant, &password, Owner { email: email.as_str(), phone: "", metadata: Some(&data) }).await?;
            Some(app.passwords.hash(&password).await?)
        }
        None if purpose == Purpose::Confirmation && known.is_none() && !is_newcomers => {
            return Err(AuthError::validation("Signup requires a valid password"));
        }
        _ => None,
    };
    let id = known.as_ref().map_or_else(Uuid::new_v4, |known| known.id);
    let identity = IdentityRow::of_email(id, email.as_str(), false, Metadata::new(), now);
    let newcomer = UserRow { encrypted_password, user_metadata: DbJson(Value::Object(data.clone())), ..user_with_email(id, &email, false, now) };
    let new = User::new(newcomer.clone(), vec![identity.clone()]);
    if makes_user && known.is_none() {
        hooks::before_user_created(&app, &tenant, &new).await?;
    }
    let told = hooks::after_user_created(&app, &tenant, &new)?;
    let address = match (&new_email, purpose) {
        (Some(new), Purpose::EmailChangeNew) => new.as_str(),
        _ => email.as_str(),
    };
    let new_address = new_email.as_ref().map(Email::as_str);
    let token = one_time_token::make(&app, &tenant, now, Wanted { user: id, purpose, address, new_address, challenge: None });
    let (code, hash, mail_token) = (token.code.clone(), token.hash.clone(), MailToken::of(&token));
    let newcomer = makes_user.then_some(Newcomer { user: newcomer, identity, told });
    let generated = Event::new(noted_as(purpose)).about(id).with("link", verification_type);
    let making = Making { newcomer, id, email: email.into(), new_email, data, token, generated };
    let tenant_id = tenant.id;
    let user = app.db.write(move |tx| async move { making.store(&tx, tenant_id, now).await }).await?.ok_or_else(AuthError::email_exists)?;
    app.jobs.wake();
    let redirect_to = redirect.decide(&app, &tenant).to.to_string();
    let site = redirect::site(&app, &tenant);
    let action_link = mail_token.map(|token| link::to_verify(&tenant, &site, &token, &redirect_to, false)).unwrap_or_default();
    let verification_type = verification_type.to_owned();
    Ok(Json(GeneratedLink { user, action_link, email_otp: code, hashed_token: hash, verification_type, redirect_to }))
}

/// As what the audit log knows a link.
fn noted_as(purpose: Purpose) -> Action {
    match purpose {
        Purpose::Invite => Action::UserInvited,
        Purpose::MagicLink | Purpose::Recovery => Action::UserRecoveryRequested,
        _ => Action::UserConfirmationRequested,
    }
}

/// What is to be stored for a link.
struct Making {
    /// Who becomes a user, if there is no such user yet.
    newcomer: Option<Newcomer>,
    id: Uuid,
    email: String,
    new_email: Option<Email>,
    data: Metadata,
    token: NewToken,
    generated: Event,
}

impl Making {
    /// `None` when the address went to somebody else meanwhile, or was confirmed.
    async fn store(self, tx: &Tx, tenant: TenantId, now: Timestamp) -> DbResult<Option<User>> {
        let makes_user = self.newcomer.is_some();
        let is_new = match &self.newcomer {
            Some(newcomer) if sql::insert_user(tx, tenant, &newcomer.user).await? => {
                sql::insert_identity(tx, tenant, &newcomer.identity).await?;
                jobs::enqueue_all(tx, now, newcomer.told.as_slice()).await?;
                true
            }
            _ => false,
        };
        let Some(mut user) = sql::lock_user(tx, tenant, self.id).await? else { return Ok(None) };
        if user.email.as_deref() != Some(&self.email) || makes_user && user.email_confirmed_at.is_some() {
            return Ok(None);
        }
        if makes_user && !is_new {
            merge(&mut user.user_metadata, self.data);
        }
        if let Some(new) = self.new_email.map(String::from)
            && user.new_email.as_ref() != Some(&new)
        {
            // What was asked for before is not what this link is for.
            sql::one_time_tokens::delete_for(tx, tenant, user.id, &[Purpose::EmailChangeCurrent, Purpose::EmailChangeNew]).await?;
            user.new_email = Some(new);
            user.email_change_agreed = None;
        }
        note_sent(&mut user, now, &self.token);
        user.updated_at = now;
        sql::update_user(tx, tenant, &user).await?;
        self.token.store(tx, tenant).await?;
        audit::note(tx, tenant, now, &self.generated.with("new", is_new)).await?;
        shown_user(tx, tenant, user).await.map(Some)
    }
}

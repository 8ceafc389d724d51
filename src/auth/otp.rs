//! Asks for a link or code to sign in with, without a password.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    ask::{Ask, Asked, Newcomer, Pkce},
    caller::Visitor,
    captcha::{self, MetaSecurity},
    create_user::{user_with_email, user_with_phone},
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    hooks,
    limits::{self, Bucket},
    link::Languages,
    model::{IdentityRow, Metadata, User, UserRow},
    phone::Phone,
    redirect::AskedRedirect,
    request::{JsonBody, check_user_metadata},
    sms, sql,
};
use crate::{app::App, db::Json as DbJson, tenants::Tenant};

/// Who wants to sign in without a password.
#[derive(Deserialize, ToSchema)]
pub(super) struct OtpRequest {
    /// The mail address.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// The phone number, with its country.
    phone: Option<String>,
    /// Whether somebody nobody knows becomes a user; yes, if nothing is said.
    create_user: Option<bool>,
    /// What a new user notes of itself.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    data: Option<Metadata>,
    /// How a message is sent: `sms` or `whatsapp`.
    channel: Option<String>,
    /// The challenge of the PKCE flow, with its method.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
    /// Proof that no program asks, where the tenant wants one.
    gotrue_meta_security: Option<MetaSecurity>,
}

/// That something is on its way, if there is anybody to send it to.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Asking {
    /// Names the message, where one is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_id: Option<Uuid>,
}

/// Asks for a link and a code by mail, or for a code by phone.
#[utoipa::path(post, path = "/auth/v1/otp", tag = "auth", request_body = OtpRequest,
    responses((status = 200, body = Asking, description = "It is on its way, if it may be"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn request_otp(
    State(app): State<App>,
    visitor: Visitor,
    redirect: AskedRedirect,
    languages: Languages,
    JsonBody(asked): JsonBody<OtpRequest>,
) -> Result<Json<Asking>, AuthError> {
    let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    limits::count(&app, &visitor.tenant, Bucket::Otp, &visitor.peer).await?;
    captcha::check(&app, &visitor.tenant, &visitor.peer, asked.gotrue_meta_security.as_ref()).await?;
    match (given(&asked.email), given(&asked.phone)) {
        (Some(_), Some(_)) => Err(AuthError::validation("Only an email address or phone number should be provided")),
        (None, None) => Err(AuthError::validation("One of email or phone must be set")),
        (Some(_), None) if given(&asked.channel).is_some() => Err(AuthError::validation("Channel should only be specified with Phone OTP")),
        (Some(email), None) => by_mail(&app, &visitor, &email, asked, &redirect, languages).await,
        (None, Some(phone)) => by_phone(&app, &visitor, &phone, asked).await,
    }
}

/// Asks for a link by mail: the old name of `/otp`.
#[utoipa::path(post, path = "/auth/v1/magiclink", tag = "auth", request_body = OtpRequest,
    responses((status = 200, body = Asking, description = "It is on its way, if it may be"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn request_magic_link(
    State(app): State<App>,
    visitor: Visitor,
    redirect: AskedRedirect,
    languages: Languages,
    JsonBody(asked): JsonBody<OtpRequest>,
) -> Result<Json<Asking>, AuthError> {
    limits::count(&app, &visitor.tenant, Bucket::MagicLink, &visitor.peer).await?;
    captcha::check(&app, &visitor.tenant, &visitor.peer, asked.gotrue_meta_security.as_ref()).await?;
    let email = asked.email.clone().unwrap_or_default();
    by_mail(&app, &visitor, &email, asked, &redirect, languages).await
}

async fn by_mail(
    app: &App,
    Visitor { tenant, peer }: &Visitor,
    email: &str,
    asked: OtpRequest,
    redirect: &AskedRedirect,
    languages: Languages,
) -> Result<Json<Asking>, AuthError> {
    if !tenant.settings.sign_up.email {
        return Err(AuthError::unprocessable(AuthCode::EmailProviderDisabled, "Email logins are disabled"));
    }
    let email: Email = email.parse()?;
    let challenge = Pkce { code_challenge: asked.code_challenge, code_challenge_method: asked.code_challenge_method };
    challenge.read()?;
    let known = sql::find_user_by_email(&app.db.read().await?, tenant.id, &email).await?;
    let may_join = may_join(tenant, known.is_some(), asked.create_user)?;
    let newcomer = newcomer(may_join, asked.data, |data| {
        let (now, id) = (app.clock.now(), Uuid::new_v4());
        (user_with_email(id, &email, false, now), IdentityRow::of_email(id, email.as_str(), false, data, now))
    })?;
    let newcomer = announced(app, tenant, newcomer, known.is_some()).await?;
    let redirect_to = redirect.decide(app, tenant).to.to_string();
    Ask::by_mail(Asked::SignIn, email, challenge, redirect_to, languages.0).submit_for(app, tenant, peer, newcomer).await?;
    Ok(Json(Asking::default()))
}

async fn by_phone(app: &App, Visitor { tenant, peer }: &Visitor, phone: &str, asked: OtpRequest) -> Result<Json<Asking>, AuthError> {
    if !tenant.settings.sign_up.phone {
        return Err(AuthError::bad_request(AuthCode::PhoneProviderDisabled, "Unsupported phone provider"));
    }
    let phone: Phone = phone.parse()?;
    let channel = sms::check_channel(tenant, &phone, asked.channel.as_deref())?;
    let known = sql::find_user_by_phone(&app.db.read().await?, tenant.id, &phone).await?;
    let may_join = may_join(tenant, known.is_some(), asked.create_user)?;
    let newcomer = newcomer(may_join, asked.data, |data| {
        let (now, id) = (app.clock.now(), Uuid::new_v4());
        (user_with_phone(id, &phone, false, now), IdentityRow::of_phone(id, phone.as_str(), false, data, now))
    })?;
    let newcomer = announced(app, tenant, newcomer, known.is_some()).await?;
    let ask = Ask::by_phone(Asked::SignIn, phone, channel);
    let message_id = ask.submit_for(app, tenant, peer, newcomer).await?;
    Ok(Json(Asking { message_id: Some(message_id) }))
}

/// Whether somebody nobody knows becomes a user. Who is unknown and may not become known is told so, unless the tenant keeps it to itself:
/// then it is counted as any other asking, and nothing is sent.
fn may_join(tenant: &Tenant, is_known: bool, create_user: Option<bool>) -> Result<bool, AuthError> {
    let sign_up = &tenant.settings.sign_up;
    match (is_known, create_user.unwrap_or(true)) {
        (true, create_user) => Ok(create_user && sign_up.enabled),
        (false, true) if sign_up.enabled => Ok(true),
        _ if !sign_up.tell_unknown => Ok(false),
        (false, true) => Err(AuthError::signup_disabled()),
        (false, false) => Err(AuthError::unprocessable(AuthCode::OtpDisabled, "Signups not allowed for otp")),
    }
}

/// Who becomes a user if nobody has the address: made ready for those who have, too, so that the time is one.
fn newcomer(
    may_join: bool,
    data: Option<Metadata>,
    make: impl FnOnce(Metadata) -> (UserRow, IdentityRow),
) -> Result<Option<(UserRow, IdentityRow)>, AuthError> {
    let data = data.unwrap_or_default();
    check_user_metadata(&data)?;
    if !may_join {
        return Ok(None);
    }
    let (user, identity) = make(data);
    let user_metadata = DbJson(Value::Object(super::model::object(identity.identity_data.clone())));
    Ok(Some((UserRow { user_metadata, ..user }, identity)))
}

/// A newcomer of whom the tenant's hooks know. Whose address is known already signs in, and is none that a hook could refuse. A tenant that
/// keeps to itself who is known has the hook asked about everybody, and what it refuses told to nobody: of them the unknown get no mail.
async fn announced(app: &App, tenant: &Tenant, newcomer: Option<(UserRow, IdentityRow)>, is_known: bool) -> Result<Option<Newcomer>, AuthError> {
    let Some((user, identity)) = newcomer else { return Ok(None) };
    let new = User::new(user.clone(), vec![identity.clone()]);
    if !tenant.settings.sign_up.tell_unknown {
        if hooks::before_user_created(app, tenant, &new).await.is_err() {
            return Ok(None);
        }
    } else if !is_known {
        hooks::before_user_created(app, tenant, &new).await?;
    }
    Ok(Some(Newcomer { user, identity, told: hooks::after_user_created(app, tenant, &new)? }))
}

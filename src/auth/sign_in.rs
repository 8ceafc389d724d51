//! `POST /token`: a password, or a refresh token, for a session.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::Visitor,
    captcha::{self, MetaSecurity},
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    flow_state, hooks,
    id_token_sign_in::{self, LinkingUser},
    limits::{self, Bucket, Peer, Secret},
    link::Languages,
    model::{Session, UserRow},
    notice::Teller,
    off,
    password::{Owner, weakness},
    phone::Phone,
    refresh,
    request::JsonBody,
    session::{self, Client, Proof},
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    crypto::Verified,
    error::Error,
    tenants::Tenant,
};

/// What is given for a session.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Grant {
    /// `password`, `refresh_token`, `pkce` or `id_token`.
    #[param(example = "password")]
    grant_type: Option<String>,
}

/// What each grant asks for: `email` or `phone` and `password`, `refresh_token`, `auth_code` and `code_verifier`, or `id_token`.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenRequest {
    /// The mail address, for `password`.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// The phone number, for `password`.
    phone: Option<String>,
    /// The password, for `password`.
    #[schema(example = "correct horse battery")]
    password: Option<String>,
    /// The refresh token, for `refresh_token`.
    refresh_token: Option<String>,
    /// The code that the user came back with, for `pkce`.
    auth_code: Option<String>,
    /// The verifier of the challenge that the flow began with, for `pkce`.
    code_verifier: Option<String>,
    /// What the app got from the provider, for `id_token`.
    pub(super) id_token: Option<String>,
    /// Who the provider is, for `id_token`.
    pub(super) provider: Option<String>,
    /// What the hash in the ID token is of.
    pub(super) nonce: Option<String>,
    /// What the provider gave beside the ID token.
    pub(super) access_token: Option<String>,
    /// What the provider calls the app, with `issuer` instead of `provider`.
    pub(super) client_id: Option<String>,
    /// Who made the ID token.
    pub(super) issuer: Option<String>,
    /// Whether the identity is to be added to the user whose token comes along.
    pub(super) link_identity: Option<bool>,
    /// Proof that no program asks, where the tenant wants one with a password.
    gotrue_meta_security: Option<MetaSecurity>,
}

/// Signs in, or goes on with a session.
#[utoipa::path(post, path = "/auth/v1/token", tag = "auth", params(Grant), request_body = TokenRequest,
    responses((status = 200, body = Session, description = "The session with a new pair of tokens"), AuthFailures),
    security(("apikey" = [])))]
pub(super) async fn create_token(
    State(app): State<App>,
    visitor: Visitor,
    client: Client,
    LinkingUser(linking): LinkingUser,
    languages: Languages,
    grant: Result<Query<Grant>, QueryRejection>,
    JsonBody(asked): JsonBody<TokenRequest>,
) -> Result<Json<Session>, AuthError> {
    let grant = grant.ok().and_then(|Query(grant)| grant.grant_type);
    let bucket = if grant.as_deref() == Some("refresh_token") { Bucket::Refresh } else { Bucket::Token };
    limits::count(&app, &visitor.tenant, bucket, &visitor.peer).await?;
    let session = match grant.as_deref() {
        Some("password") => {
            captcha::check(&app, &visitor.tenant, &visitor.peer, asked.gotrue_meta_security.as_ref()).await?;
            sign_in(&app, &visitor.tenant, &visitor.peer, asked, client).await?
        }
        Some("refresh_token") => {
            let text = asked.refresh_token.filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| AuthError::validation("refresh_token required"))?;
            refresh::exchange(&app, &visitor.tenant, &text, client).await?
        }
        Some("pkce") => {
            let (code, verifier) = (asked.auth_code.unwrap_or_default(), asked.code_verifier.unwrap_or_default());
            flow_state::exchange(&app, &visitor, &code, &verifier, client).await?
        }
        Some("id_token") => id_token_sign_in::sign_in(&app, &visitor.tenant, asked, linking, client, languages, &visitor.peer).await?,
        Some("web3") => return Err(off::web3_disabled()),
        _ => return Err(AuthError::bad_request(AuthCode::InvalidCredentials, "unsupported_grant_type")),
    };
    Ok(Json(session))
}

async fn sign_in(app: &App, tenant: &Tenant, peer: &Peer, asked: TokenRequest, client: Client) -> Result<Session, AuthError> {
    let settings = &tenant.settings.sign_up;
    let name = match (asked.email.filter(|text| !text.is_empty()), asked.phone.filter(|text| !text.is_empty())) {
        (Some(_), Some(_)) => return Err(AuthError::validation("Only an email address or phone number should be provided on login")),
        (None, Some(_)) if !settings.phone => return Err(AuthError::unprocessable(AuthCode::PhoneProviderDisabled, "Phone logins are disabled")),
        (Some(_), None) if !settings.email => return Err(AuthError::unprocessable(AuthCode::EmailProviderDisabled, "Email logins are disabled")),
        (None, None) => return Err(AuthError::validation("missing email or phone")),
        (Some(email), None) => Name::Email(email),
        (None, Some(phone)) => Name::Phone(phone),
    };
    let password = asked.password.unwrap_or_default();
    let (user, verified) = verify(app, tenant, peer, &name, &password).await?;
    if let Some(refusal) = name.unconfirmed(&user) {
        note_refusal(app, tenant, Some(user.id), refusal.code()).await;
        return Err(refusal);
    }
    let rehashed = if verified.needs_rehash { Some(app.passwords.hash(&password).await?) } else { None };
    let mut session = open(app, tenant, user, rehashed, client).await?;
    // It is only told, so nobody is kept out when it can't be found out.
    match weakness(app, tenant, &password, Owner::from(&session.user)).await {
        Ok(weak) => session.weak_password = weak,
        Err(error) => tracing::warn!(%error, "nothing could be told of how weak a password is"),
    }
    Ok(session)
}

/// By what a user signs in, as it was typed.
enum Name {
    Email(String),
    Phone(String),
}

impl Name {
    async fn find(&self, app: &App, tenant: &Tenant) -> Result<Option<UserRow>, AuthError> {
        let conn = app.db.read().await?;
        Ok(match self {
            Self::Email(email) => match email.parse::<Email>() {
                Ok(email) => sql::find_user_by_email(&conn, tenant.id, &email).await?,
                Err(_) => None,
            },
            Self::Phone(phone) => match phone.parse::<Phone>() {
                Ok(phone) => sql::find_user_by_phone(&conn, tenant.id, &phone).await?,
                Err(_) => None,
            },
        })
    }

    /// The one spelling by which guesses are counted.
    fn account(&self) -> String {
        match self {
            Self::Email(text) => text.parse::<Email>().map_or_else(|_| text.clone(), Into::into),
            Self::Phone(text) => text.parse::<Phone>().map_or_else(|_| text.clone(), Into::into),
        }
    }

    /// Why who gave the right password is not let in yet.
    fn unconfirmed(&self, user: &UserRow) -> Option<AuthError> {
        match self {
            Self::Email(_) if user.email_confirmed_at.is_none() => Some(AuthError::bad_request(AuthCode::EmailNotConfirmed, "Email not confirmed")),
            Self::Phone(_) if user.phone_confirmed_at.is_none() => Some(AuthError::bad_request(AuthCode::PhoneNotConfirmed, "Phone not confirmed")),
            _ => None,
        }
    }
}

/// The user whose password this is. Unknown address, no password and wrong password are one answer and take one time.
async fn verify(app: &App, tenant: &Tenant, peer: &Peer, name: &Name, password: &str) -> Result<(UserRow, Verified), AuthError> {
    let user = name.find(app, tenant).await?;
    let hash = user.as_ref().and_then(|user| user.encrypted_password.as_deref());
    let guess = limits::guess(app, tenant, Secret::Password, &name.account(), user.as_ref().map(|user| user.id), peer).await?;
    let verified = guess.at_password(app, password, hash).await?;
    if let Some(user) = &user {
        hooks::password_verified(app, tenant, user.id, verified.ok).await?;
    }
    match user {
        Some(user) if verified.ok => {
            if user.is_banned(app.clock.now()) {
                note_refusal(app, tenant, Some(user.id), AuthCode::UserBanned).await;
                return Err(AuthError::bad_request(AuthCode::UserBanned, "User is banned"));
            }
            Ok((user, verified))
        }
        // Known or not, the same is written, so that it takes the same time.
        user => {
            note_refusal(app, tenant, user.map(|user| user.id), AuthCode::InvalidCredentials).await;
            Err(AuthError::invalid_credentials())
        }
    }
}

async fn note_refusal(app: &App, tenant: &Tenant, user: Option<Uuid>, reason: AuthCode) {
    let refusal = Event::new(Action::LoginFailed).with("method", "password").with("reason", reason.as_str());
    let refusal = user.into_iter().fold(refusal, Event::about);
    audit::note_refusal(&app.db, tenant.id, app.clock.now(), refusal).await;
}

/// Opens a session, if the user and its password are still what was verified.
async fn open(app: &App, tenant: &Tenant, user: UserRow, rehashed: Option<String>, client: Client) -> Result<Session, AuthError> {
    let now = app.clock.now();
    let session = session::begin(app, tenant, now, user.id, &Proof::by("password"));
    let (id, row, teller) = (tenant.id, session.clone(), Teller::of(app, tenant));
    let opened = app
        .db
        .write(move |tx| async move {
            let verified = user.encrypted_password.as_deref().unwrap_or_default();
            if !sql::keep_password(&tx, id, user.id, verified, rehashed.as_deref()).await? {
                return Ok(None);
            }
            session::store(&tx, id, now, &row, &client, &teller).await
        })
        .await?;
    app.jobs.wake();
    // The account was changed between the check and now: who comes again is checked again.
    let opened = opened.ok_or_else(|| Error::unavailable("the account was changed while it signed in; try again"))?;
    session::answer(app, tenant, now, &session, opened).await
}

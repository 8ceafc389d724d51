//! Asks for a link to choose another password with. Whether anybody has the address is not told, neither by the answer nor by its time.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    ask::{Ask, Asked, Pkce},
    caller::Visitor,
    captcha::{self, MetaSecurity},
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    limits::{self, Bucket},
    link::Languages,
    otp::Asking,
    redirect::AskedRedirect,
    request::JsonBody,
};
use crate::app::App;

/// Who has lost a password.
#[derive(Deserialize, ToSchema)]
pub(super) struct Recovery {
    /// The mail address.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// The challenge of the PKCE flow, with its method.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
    /// Proof that no program asks, where the tenant wants one.
    gotrue_meta_security: Option<MetaSecurity>,
}

/// Asks for a link to choose another password with.
#[utoipa::path(post, path = "/auth/v1/recover", tag = "auth", request_body = Recovery,
    responses((status = 200, body = Asking, description = "It is on its way, if there is such a user"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn request_recovery(
    State(app): State<App>,
    visitor: Visitor,
    redirect: AskedRedirect,
    languages: Languages,
    JsonBody(asked): JsonBody<Recovery>,
) -> Result<Json<Asking>, AuthError> {
    let Visitor { tenant, peer } = &visitor;
    limits::count(&app, tenant, Bucket::Recover, peer).await?;
    captcha::check(&app, tenant, peer, asked.gotrue_meta_security.as_ref()).await?;
    if !tenant.settings.sign_up.email {
        return Err(AuthError::bad_request(AuthCode::EmailProviderDisabled, "Email logins are disabled"));
    }
    let given = asked.email.filter(|email| !email.is_empty());
    let email: Email = given.ok_or_else(|| AuthError::validation("Password recovery requires an email"))?.parse()?;
    let challenge = Pkce { code_challenge: asked.code_challenge, code_challenge_method: asked.code_challenge_method };
    challenge.read()?;
    let redirect_to = redirect.decide(&app, tenant).to.to_string();
    Ask::by_mail(Asked::Recovery, email, challenge, redirect_to, languages.0).submit(&app, tenant, peer).await?;
    Ok(Json(Asking::default()))
}

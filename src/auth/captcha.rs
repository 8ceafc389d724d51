//! Proof that somebody is no program: what the page got from hCaptcha or Turnstile is shown to them once more.

use http::{Request, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::{
    error::{AuthCode, AuthError},
    limits::Peer,
};
use crate::{app::App, error::Error, http::current_client, tenants::Tenant};

/// What comes along to show that no program asks.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub(super) struct MetaSecurity {
    /// What the page got from the provider.
    captcha_token: Option<String>,
}

/// What the provider says of a proof.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    success: bool,
    #[serde(default, rename = "error-codes")]
    errors: Vec<String>,
}

/// Refuses who can't show a proof, where the tenant asks for one. A server of the tenant's needs none.
pub(super) async fn check(app: &App, tenant: &Tenant, peer: &Peer, shown: Option<&MetaSecurity>) -> Result<(), AuthError> {
    let settings = &tenant.settings.captcha;
    if !settings.enabled || peer.is_service() {
        return Ok(());
    }
    let token = shown.and_then(|shown| shown.captcha_token.as_deref()).map_or("", str::trim);
    if token.is_empty() {
        return Err(refused("no captcha_token found"));
    }
    let secret = settings.secret.open(&app.master_key, tenant.id)?.ok_or_else(|| Error::internal("captcha is on and has no secret"))?;
    let verdict = ask(app, settings.verify_url(), secret.expose_secret(), token).await.map_err(|why| {
        tracing::warn!(tenant = tenant.reference, why, "a captcha can't be checked");
        AuthError::new(StatusCode::INTERNAL_SERVER_ERROR, AuthCode::UnexpectedFailure, "captcha verification process failed")
    })?;
    if verdict.success {
        return Ok(());
    }
    let plain = |code: &String| code.chars().take(64).filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect::<String>();
    Err(refused(&verdict.errors.iter().take(4).map(plain).collect::<Vec<_>>().join(", ")))
}

fn refused(why: &str) -> AuthError {
    AuthError::bad_request(AuthCode::CaptchaFailed, format!("captcha protection: request disallowed ({why})"))
}

async fn ask(app: &App, url: &str, secret: &str, token: &str) -> Result<Verdict, String> {
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(secret, token).into_bytes())
        .map_err(|error| error.to_string())?;
    let answer = app.outbound.send(request).await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("the provider answers {}", answer.status()));
    }
    serde_json::from_slice(answer.body()).map_err(|error| format!("the provider's answer can't be read: {error}"))
}

fn form(secret: &str, token: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("secret", secret).append_pair("response", token);
    if let Some(address) = current_client() {
        form.append_pair("remoteip", &address.to_string());
    }
    form.finish()
}

//! `POST /token?grant_type=id_token`: an app that has signed its user in with a provider by itself brings the proof.
//!
//! The token is judged by the keys, the issuer and the audience of the provider that the tenant has set up, whatever the token says (V5).

use axum::{extract::FromRequestParts, http::request::Parts};
use url::form_urlencoded;

use super::{
    authorize::{manual_linking_disabled, refuse_low},
    caller::{SignedIn, find_user},
    caller_error::CallerError,
    error::{AuthCode, AuthError},
    limits::Peer,
    link::Languages,
    linking::{self, Errand, Visit},
    model::Session,
    provider::{BadIdToken, Provider, shown},
    redirect,
    session::Client,
    sign_in::TokenRequest,
};
use crate::{
    app::App,
    crypto::{base64url, hex, same, sha256},
    tenants::Tenant,
};

/// Who is signed in, for those who ask: nobody else pays for the look.
pub(super) struct LinkingUser(pub(super) Option<Result<SignedIn, AuthError>>);

impl FromRequestParts<App> for LinkingUser {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        if !form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "grant_type" && value == "id_token") {
            return Ok(Self(None));
        }
        Ok(Self(Some(find_user(app, parts).await.map(|current| current.user).map_err(CallerError::for_auth))))
    }
}

/// Signs in with an ID token, or adds its identity to the user who is signed in.
pub(super) async fn sign_in(
    app: &App,
    tenant: &Tenant,
    asked: TokenRequest,
    signed_in: Option<Result<SignedIn, AuthError>>,
    client: Client,
    languages: Languages,
    peer: &Peer,
) -> Result<Session, AuthError> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let token = given(asked.id_token).ok_or_else(|| refused("id_token required"))?;
    let provider = match (given(asked.provider), given(asked.client_id).zip(given(asked.issuer))) {
        (Some(name), _) => find(app, tenant, &name).await?,
        (None, Some((_, issuer))) => find_by_issuer(app, tenant, &issuer).await?,
        (None, None) => return Err(refused("provider or client_id and issuer required")),
    };
    let (told, profile) = provider.profile_of_id_token(app, &token).await.map_err(|why| bad(&why))?;
    if !provider.skip_nonce_check {
        check_nonce(told["nonce"].as_str(), given(asked.nonce).as_deref())?;
    }
    check_access_token(told["at_hash"].as_str(), given(asked.access_token).as_deref())?;
    let errand = match signed_in {
        Some(user) if asked.link_identity == Some(true) => {
            if !tenant.settings.identities.manual_linking {
                return Err(manual_linking_disabled());
            }
            let user = user?;
            refuse_low(app, tenant, &user).await?;
            Errand::Link { user: user.user_id, session: user.session_id }
        }
        _ => Errand::SignIn,
    };
    let visit = Visit { profile: &profile, errand, redirect_to: redirect::site(app, tenant).to_string(), languages: languages.0, peer };
    linking::sign_in(app, tenant, &visit, "oauth", client).await
}

/// An answer of this grant, as OAuth spells it.
fn refused(why: impl Into<std::borrow::Cow<'static, str>>) -> AuthError {
    AuthError::bad_request(AuthCode::ValidationFailed, why).of_oauth("invalid request")
}

fn disabled(name: &str) -> AuthError {
    AuthError::bad_request(AuthCode::ProviderDisabled, format!("Provider (issuer \"{}\") is not enabled", shown(name)))
}

async fn find(app: &App, tenant: &Tenant, name: &str) -> Result<Provider, AuthError> {
    let provider = Provider::find(app, tenant, name).await.map_err(|error| if error.status().is_server_error() { error } else { disabled(name) })?;
    if provider.has_id_tokens() { Ok(provider) } else { Err(disabled(name)) }
}

/// As older apps ask: by the issuer, which has to be that of a provider that is set up.
async fn find_by_issuer(app: &App, tenant: &Tenant, issuer: &str) -> Result<Provider, AuthError> {
    for (name, _) in tenant.settings.providers.iter().filter(|(_, settings)| settings.enabled) {
        let provider = Provider::find(app, tenant, name).await?;
        if provider.has_id_tokens() && provider.is_issued_by(issuer) {
            return Ok(provider);
        }
    }
    Err(disabled(issuer))
}

fn bad(why: &BadIdToken) -> AuthError {
    tracing::info!(%why, "an ID token was refused");
    match why {
        BadIdToken::Audience(named) => {
            let named: Vec<String> = named.iter().take(5).map(|id| shown(id)).collect();
            refused(format!("Unacceptable audience in id_token: [{}]", named.join(" ")))
        }
        BadIdToken::NoSubject => refused("Missing sub claim in id_token"),
        BadIdToken::NoKeys => crate::error::Error::unavailable("the provider can't be asked for its keys; try again").into(),
        _ => refused("Bad ID token"),
    }
}

/// The token has the hash of what the app has: both or neither.
fn check_nonce(hashed: Option<&str>, nonce: Option<&str>) -> Result<(), AuthError> {
    match (hashed.filter(|hashed| !hashed.is_empty()), nonce) {
        (None, None) => Ok(()),
        (Some(hashed), Some(nonce)) if same(hashed.as_bytes(), hex(&sha256(nonce.as_bytes())).as_bytes()) => Ok(()),
        (Some(_), Some(_)) => Err(AuthError::bad_request(AuthCode::ValidationFailed, "Nonces mismatch").of_oauth("invalid nonce")),
        _ => Err(refused("Passed nonce and nonce in id_token should either both exist or not.")),
    }
}

/// An access token that comes along must be the one that the ID token was given with.
fn check_access_token(at_hash: Option<&str>, access_token: Option<&str>) -> Result<(), AuthError> {
    let (Some(at_hash), Some(access_token)) = (at_hash, access_token) else { return Ok(()) };
    let expected = base64url(&sha256(access_token.as_bytes())[..16]);
    if same(expected.as_bytes(), at_hash.as_bytes()) { Ok(()) } else { Err(refused("Bad ID token: its at_hash is not that of the access token")) }
}

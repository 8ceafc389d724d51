//! What this wire has and Basalt doesn't, or not yet: SAML, sign-in by wallet, and being a provider to others. It says so in the wire's
//! own words.

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    caller::{CurrentTenant, UserReader, Visitor},
    error::{AuthCode, AuthError},
};
use crate::app::App;

/// Where it would be. None of it is in the document, for nothing is there.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/auth/v1/sso", any(sso))
        .route("/auth/v1/sso/saml/{*rest}", any(saml))
        .route("/auth/v1/admin/sso/{*rest}", any(sso_of_admin))
        .route("/auth/v1/oauth/{*rest}", any(oauth_server))
        .route("/auth/v1/admin/oauth/{*rest}", any(oauth_server_of_admin))
        .route("/auth/v1/user/oauth/{*rest}", any(oauth_server_of_user))
        .route("/auth/v1/.well-known/oauth-authorization-server", any(oauth_server))
        .route("/.well-known/oauth-authorization-server", any(oauth_server))
        .route("/.well-known/oauth-authorization-server/{*rest}", any(oauth_server))
}

async fn sso(_: Visitor) -> AuthError {
    saml_disabled()
}

async fn sso_of_admin(_: UserReader) -> AuthError {
    saml_disabled()
}

async fn saml(_: CurrentTenant) -> AuthError {
    saml_disabled()
}

fn saml_disabled() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, AuthCode::SamlProviderDisabled, "SAML 2.0 is disabled")
}

async fn oauth_server() -> Response {
    oauth_server_disabled().into_response()
}

async fn oauth_server_of_user(_: Visitor) -> AuthError {
    oauth_server_disabled()
}

async fn oauth_server_of_admin(_: UserReader) -> AuthError {
    oauth_server_disabled()
}

fn oauth_server_disabled() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, AuthCode::FeatureDisabled, "OAuth 2.1 server is disabled")
}

/// The grant of who signs in by a wallet.
pub(super) fn web3_disabled() -> AuthError {
    AuthError::unprocessable(AuthCode::Web3ProviderDisabled, "Web3 provider is disabled")
}

//! What this room tells of itself: how it is, what it offers, and the keys that its tokens are checked with.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    caller::{CurrentTenant, Visitor},
    error::AuthFailures,
};

/// How sign-in is.
#[derive(Serialize, ToSchema)]
pub(super) struct AuthHealth {
    /// The version of Basalt.
    version: &'static str,
    /// `GoTrue`, the name that clients of this wire look for.
    name: &'static str,
    /// What this is.
    description: &'static str,
}

/// Says that sign-in is there.
#[utoipa::path(get, path = "/auth/v1/health", tag = "auth", responses((status = 200, body = AuthHealth, description = "It is")))]
pub(super) async fn get_auth_health() -> Json<AuthHealth> {
    Json(AuthHealth { version: concat!("v", env!("CARGO_PKG_VERSION")), name: "GoTrue", description: "Basalt, on the wire of Supabase Auth" })
}

/// What a tenant's sign-in offers.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub(super) struct AuthSettings {
    /// The ways to sign in.
    external: Providers,
    /// Strangers can't sign up.
    disable_signup: bool,
    /// A mail address counts as confirmed at once.
    mailer_autoconfirm: bool,
    /// A phone number counts as confirmed at once.
    phone_autoconfirm: bool,
    /// Who sends text messages.
    sms_provider: String,
    /// Whether there is sign-in by SAML.
    saml_enabled: bool,
    /// Whether the next SAML key is there.
    saml_private_key_next_configured: bool,
    /// Whether there are passkeys.
    passkeys_enabled: bool,
}

macro_rules! providers {
    ($($name:ident)+) => {
        /// The ways to sign in, and whether each is offered.
        #[derive(Default, Serialize, ToSchema)]
        pub(super) struct Providers { $($name: bool),+ }
    };
}

providers! {
    anonymous_users apple azure bitbucket discord facebook figma fly github gitlab google kakao keycloak linkedin linkedin_oidc notion slack
    slack_oidc snapchat spotify twitch twitter x vercel_marketplace workos zoom email phone
}

/// What the tenant's sign-in offers.
#[utoipa::path(get, path = "/auth/v1/settings", tag = "auth",
    responses((status = 200, body = AuthSettings, description = "What is offered"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn get_auth_settings(visitor: Visitor) -> Json<AuthSettings> {
    let settings = &visitor.tenant.settings;
    let sign_up = &settings.sign_up;
    Json(AuthSettings {
        external: Providers { email: sign_up.email, phone: sign_up.phone, anonymous_users: sign_up.anonymous, ..Providers::default() },
        disable_signup: !sign_up.enabled,
        mailer_autoconfirm: sign_up.email_autoconfirm,
        phone_autoconfirm: settings.sms.autoconfirm,
        sms_provider: settings.sms.provider.as_str().to_owned(),
        saml_enabled: false,
        saml_private_key_next_configured: false,
        passkeys_enabled: settings.mfa.passkeys_enabled,
    })
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(super) struct KeySet {
    /// The public keys.
    keys: Vec<serde_json::Value>,
}

/// The public keys that the tenant's access tokens are checked with.
#[utoipa::path(get, path = "/auth/v1/.well-known/jwks.json", tag = "auth",
    responses((status = 200, body = KeySet, description = "The keys"), AuthFailures))]
pub(super) async fn get_key_set(CurrentTenant(tenant): CurrentTenant) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=600")),
    ];
    (headers, tenant.keys.jwks().to_owned()).into_response()
}

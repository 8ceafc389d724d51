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

        impl Providers {
            /// Says that one is offered. One that this wire has no place for is left out.
            fn offer(&mut self, name: &str) {
                match name {
                    $(stringify!($name) => self.$name = true,)+
                    _ => {}
                }
            }
        }
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
    let mut external = Providers { email: sign_up.email, phone: sign_up.phone, anonymous_users: sign_up.anonymous, ..Providers::default() };
    settings.providers.iter().filter(|(_, provider)| provider.enabled).for_each(|(name, _)| external.offer(name));
    Json(AuthSettings {
        external,
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

/// What this server would say to apps of others (OpenID Connect Discovery 1.0). Its tokens can be checked by it; nobody can be sent here
/// to sign in for another app.
#[derive(Serialize, ToSchema)]
pub(super) struct OpenIdConfiguration {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: String,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 2],
    scopes_supported: [&'static str; 5],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    claims_supported: [&'static str; 7],
    code_challenge_methods_supported: [&'static str; 2],
}

/// The description that programs look for which check tokens.
#[utoipa::path(get, path = "/auth/v1/.well-known/openid-configuration", tag = "auth",
    responses((status = 200, body = OpenIdConfiguration, description = "The description"), AuthFailures))]
pub(super) async fn get_openid_configuration(CurrentTenant(tenant): CurrentTenant) -> Response {
    let issuer = &tenant.issuer;
    let configuration = OpenIdConfiguration {
        issuer: issuer.clone(),
        authorization_endpoint: format!("{issuer}/oauth/authorize"),
        token_endpoint: format!("{issuer}/oauth/token"),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        userinfo_endpoint: format!("{issuer}/oauth/userinfo"),
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["ES256", "RS256"],
        scopes_supported: ["openid", "profile", "email", "phone", "offline_access"],
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
        claims_supported: ["sub", "aud", "iss", "exp", "iat", "email", "phone"],
        code_challenge_methods_supported: ["S256", "plain"],
    };
    ([(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"))], Json(configuration)).into_response()
}

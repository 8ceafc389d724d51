//! Who is behind a request.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use moka::sync::Cache;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::sql;
use crate::{
    app::App,
    crypto::sha256,
    db::Timestamp,
    error::Error,
    http::{self, note_tenant},
    tenants::{self, KeyGrant, Refusal, Scopes, Tenant, TenantId, TokenError, TokenKind},
};

/// Who is behind a request, in which tenant. Having one means that key and token were checked, and are good at this moment.
pub struct Caller {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// Who it is.
    pub principal: Principal,
}

/// What a request turned out to be.
#[derive(Clone, Debug)]
pub enum Principal {
    /// Nobody in particular: a publishable key and no user.
    Anon,
    /// A signed-in user.
    User(SignedIn),
    /// A function key: can do what its scopes say and nothing else.
    Key(ScopedKey),
    /// A secret key without scopes: all of the tenant.
    Service,
}

/// A user with a live session.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The user.
    pub user_id: Uuid,
    /// The session that the token belongs to.
    pub session_id: Uuid,
    /// The user's mail address.
    pub email: Option<String>,
    /// How sure it is: `aal1`, or `aal2` after a second factor.
    pub aal: String,
    /// The roles that an admin gave the user, as of now.
    pub roles: Roles,
    /// The employee record that is linked to the user.
    pub employee_id: Option<Uuid>,
    /// Whether the user never gave an address or a password.
    pub is_anonymous: bool,
}

/// A function key in force.
#[derive(Clone, Debug)]
pub struct ScopedKey {
    /// The key.
    pub key_id: Uuid,
    /// What it may do.
    pub scopes: Scopes,
}

/// The roles of a user, from `app_metadata.roles`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<String>);

impl Roles {
    /// Reads the roles out of a user's `app_metadata`; anything but a list of texts is no role.
    pub fn of(app_metadata: &serde_json::Value) -> Self {
        let roles = app_metadata["roles"].as_array().into_iter().flatten();
        Self(roles.filter_map(|role| role.as_str().map(str::to_owned)).collect())
    }

    /// Whether the user has this role.
    pub fn has(&self, role: &str) -> bool {
        self.0.iter().any(|own| own == role)
    }

    /// The roles by name.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Tokens whose signature was found good, so that it is not checked again for every request. Only the signature is remembered: whether
/// session, user, tenant and key are alive is asked each time.
pub struct VerifiedTokens(Cache<(TenantId, [u8; 32]), Arc<AccessClaims>>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        // A replaced signing key is felt after this at the latest.
        Self(Cache::builder().max_capacity(50_000).time_to_live(Duration::from_secs(60)).build())
    }
}

/// What an access token, or a long-lived key in token form, says.
#[derive(Debug, Deserialize)]
pub(super) struct AccessClaims {
    exp: i64,
    role: String,
    iss: Option<String>,
    aud: Option<String>,
    sub: Option<String>,
    session_id: Option<Uuid>,
}

/// Why nobody is believed to be behind a request.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// There is neither key nor token.
    #[error("No API key found in request")]
    NoKey,
    /// Key, token, path and host do not agree, or the key is not known.
    #[error("{0}")]
    Refused(String),
    /// The token is not good.
    #[error("invalid JWT: {0}")]
    BadToken(TokenError),
    /// The session was ended.
    #[error("Session from session_id claim in JWT does not exist")]
    SessionGone,
    /// The user was deleted.
    #[error("User from sub claim in JWT does not exist")]
    UserGone,
    /// The user is banned.
    #[error("User is banned")]
    Banned,
    /// Our own fault.
    #[error(transparent)]
    Internal(#[from] Error),
}

impl FromRequestParts<App> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        find_caller(app, parts).await.map_err(|error| error.answer(parts))
    }
}

async fn find_caller(app: &App, parts: &Parts) -> Result<Caller, CallerError> {
    let resolved = resolve(app, parts).await?;
    let from_key = resolved.key.as_ref().map(|key| match &key.grant {
        KeyGrant::Publishable => Principal::Anon,
        KeyGrant::Service => Principal::Service,
        KeyGrant::Scoped(scopes) => Principal::Key(ScopedKey { key_id: key.id, scopes: scopes.clone() }),
    });
    let principal = match (resolved.token, from_key) {
        (Some(token), _) => principal_of_token(app, &resolved.tenant, &token).await?,
        (None, Some(principal)) => principal,
        (None, None) => return Err(CallerError::NoKey),
    };
    Ok(Caller { tenant: resolved.tenant, principal })
}

async fn resolve(app: &App, parts: &Parts) -> Result<tenants::Resolved, CallerError> {
    let resolved = tenants::resolve(app, parts).await.map_err(|refusal| match refusal {
        Refusal::Internal(error) => CallerError::Internal(error),
        Refusal::NoTenant => CallerError::NoKey,
        refusal => CallerError::Refused(refusal.to_string()),
    })?;
    note_tenant(parts, &resolved.tenant.reference);
    Ok(resolved)
}

async fn principal_of_token(app: &App, tenant: &Tenant, token: &str) -> Result<Principal, CallerError> {
    let now = app.clock.now();
    let claims = verified(app, tenant, token, now).map_err(CallerError::BadToken)?;
    match claims.role.as_str() {
        "anon" => Ok(Principal::Anon),
        "service_role" if claims.session_id.is_none() => Ok(Principal::Service),
        _ => signed_in(app, tenant, &claims, now).await.map(Principal::User),
    }
}

fn verified(app: &App, tenant: &Tenant, token: &str, now: Timestamp) -> Result<Arc<AccessClaims>, TokenError> {
    let entry = (tenant.id, sha256(token.as_bytes()));
    if let Some(claims) = app.verified_tokens.0.get(&entry) {
        return if now.seconds() < claims.exp { Ok(claims) } else { Err(TokenError::Expired) };
    }
    let claims: Arc<AccessClaims> = Arc::new(tenant.keys.verify(TokenKind::Access, token, now)?);
    app.verified_tokens.0.insert(entry, Arc::clone(&claims));
    Ok(claims)
}

async fn signed_in(app: &App, tenant: &Tenant, claims: &AccessClaims, now: Timestamp) -> Result<SignedIn, CallerError> {
    let invalid = || CallerError::BadToken(TokenError::Claims);
    let user_id = claims.sub.as_deref().and_then(|sub| sub.parse().ok()).ok_or_else(invalid)?;
    let session_id = claims.session_id.ok_or_else(invalid)?;
    if claims.aud.as_deref() != Some("authenticated") || claims.iss.as_deref() != Some(&tenant.issuer) {
        return Err(invalid());
    }
    let conn = app.db.read().await?;
    let live = sql::live_session(&conn, tenant.id, user_id, session_id).await?.ok_or(CallerError::UserGone)?;
    if live.banned_until.is_some_and(|end| now < end) {
        return Err(CallerError::Banned);
    }
    let aal = live.aal.ok_or(CallerError::SessionGone)?;
    let roles = Roles::of(&live.app_metadata.0);
    Ok(SignedIn { user_id, session_id, email: live.email, aal, roles, employee_id: live.employee_id, is_anonymous: live.is_anonymous })
}

impl CallerError {
    fn answer(self, parts: &Parts) -> Response {
        let path = parts.uri.path();
        if let Self::Internal(error) = self {
            return http::Problem::from(error).into_response();
        }
        let message = self.to_string();
        if path.starts_with("/rest/v1") {
            let code = if matches!(self, Self::NoKey) { "PGRST302" } else { "PGRST301" };
            let body = json!({ "code": code, "details": null, "hint": null, "message": message });
            return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
        }
        if path.starts_with("/storage/v1") {
            let body = json!({ "statusCode": "403", "error": "Unauthorized", "message": message, "code": "InvalidJWT" });
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
        let (status, code) = match self {
            Self::NoKey | Self::Refused(_) => (StatusCode::UNAUTHORIZED, "no_authorization"),
            Self::BadToken(_) => (StatusCode::FORBIDDEN, "bad_jwt"),
            Self::SessionGone => (StatusCode::FORBIDDEN, "session_not_found"),
            Self::UserGone => (StatusCode::FORBIDDEN, "user_not_found"),
            Self::Banned => (StatusCode::FORBIDDEN, "user_banned"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "unexpected_failure"),
        };
        (status, Json(json!({ "code": status.as_u16(), "error_code": code, "msg": message }))).into_response()
    }
}

/// The tenant of a request to a route that needs no key: health, key set, public files.
pub struct CurrentTenant(pub Arc<Tenant>);

impl FromRequestParts<App> for CurrentTenant {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let resolved = resolve(app, parts).await.map_err(|error| error.answer(parts))?;
        Ok(Self(resolved.tenant))
    }
}

//! Who is behind a request.
//!
//! A token's signature is checked once and remembered; that its session is alive, its user neither gone nor banned, and what roles and
//! employee record the user has, is asked for every request, in one look. So an end, a ban or a change of roles is felt at once.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, OriginalUri},
    response::Response,
};
use http::{header, request::Parts};
use moka::sync::Cache;
use serde::Deserialize;
use uuid::Uuid;

use super::{caller_error::CallerError, error::AuthError, limits::Peer, session_end::is_over, sql};
use crate::{
    app::App,
    crypto::sha256,
    db::Timestamp,
    http::{ActorKind, KeyIsOptional, Surface, note_actor, note_client, note_tenant, note_true_status},
    tenants::{self, Action, KeyGrant, KeyPrint, Refusal, Resolved, Scopes, Tenant, TenantId, TokenError, TokenKind},
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
    /// What an admin noted of the user, as of now.
    pub app_metadata: serde_json::Value,
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

/// Tokens whose signature was found good, so that it is not checked again for every request. The entry keeps which key made it and when
/// it ends; whether key, session, user and tenant are still alive is asked each time.
pub struct VerifiedTokens(Cache<(TenantId, [u8; 32]), Arc<VerifiedToken>>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(50_000).time_to_idle(Duration::from_mins(5)).build())
    }
}

struct VerifiedToken {
    key: KeyPrint,
    /// When it ends, in seconds since 1970; a long-lived key may have no end.
    expires_at: Option<i64>,
    claims: AccessClaims,
}

/// What an access token, or a long-lived key in token form, says.
#[derive(Debug, Deserialize)]
struct AccessClaims {
    role: String,
    #[serde(default, deserialize_with = "tenants::if_there")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "tenants::if_there")]
    aud: Option<String>,
    #[serde(default, deserialize_with = "tenants::if_there")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "tenants::if_there")]
    session_id: Option<Uuid>,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        find_caller(app, parts).await.map_err(|error| error.answer(surface_of(parts)))
    }
}

/// Where the request went, whatever router it has come through since.
fn surface_of(parts: &Parts) -> Surface {
    let whole = parts.extensions.get::<OriginalUri>();
    Surface::of(whole.map_or(parts.uri.path(), |uri| uri.path()))
}

async fn find_caller(app: &App, parts: &Parts) -> Result<Caller, CallerError> {
    find_caller_and_peer(app, parts).await.map(|(caller, _)| caller)
}

async fn find_caller_and_peer(app: &App, parts: &Parts) -> Result<(Caller, Peer), CallerError> {
    let Resolved { tenant, key, key_token, token } = resolve(app, parts).await?;
    let from_key = match (&key, &key_token) {
        (Some(key), _) => Some(principal_of_key(key)),
        (None, Some(text)) if token.as_ref() != Some(text) => Some(principal_of_token(app, &tenant, text).await?),
        (None, _) => None,
    };
    let peer = peer_of(parts, from_key.as_ref());
    let principal = match (token, from_key) {
        (Some(token), _) => principal_of_token(app, &tenant, &token).await?,
        (None, Some(principal)) => principal,
        (None, None) => return Err(CallerError::NoKey),
    };
    match &principal {
        Principal::Anon => {}
        Principal::User(user) => note_actor(ActorKind::User, Some(user.user_id)),
        Principal::Key(key) => note_actor(ActorKind::Key, Some(key.key_id)),
        Principal::Service => note_actor(ActorKind::Service, key.map(|key| key.id)),
    }
    Ok((Caller { tenant, principal }, peer))
}

/// Who is behind a request. Whom a server calls for is the client from now on.
fn peer_of(parts: &Parts, key: Option<&Principal>) -> Peer {
    let peer = Peer::of(parts, key);
    if let Some(address) = peer.forwarded() {
        note_client(address);
    }
    peer
}

async fn resolve(app: &App, parts: &Parts) -> Result<Resolved, CallerError> {
    let resolved = tenants::resolve(app, parts).await.map_err(|refusal| match refusal {
        Refusal::Internal(error) => CallerError::Internal(error),
        Refusal::NoTenant => CallerError::NoKey,
        refusal => CallerError::Refused(refusal.to_string()),
    })?;
    note_tenant(parts, &resolved.tenant.reference);
    if resolved.tenant.settings.storage.true_status {
        note_true_status();
    }
    Ok(resolved)
}

fn principal_of_key(key: &tenants::ApiKey) -> Principal {
    match &key.grant {
        KeyGrant::Publishable => Principal::Anon,
        KeyGrant::Service => Principal::Service,
        KeyGrant::Scoped(scopes) => Principal::Key(ScopedKey { key_id: key.id, scopes: scopes.clone() }),
    }
}

async fn principal_of_token(app: &App, tenant: &Tenant, token: &str) -> Result<Principal, CallerError> {
    let now = app.clock.now();
    let verified = verified(app, tenant, token, now)?;
    let claims = &verified.claims;
    // Without an end only a long-lived key is taken, and that only where the tenant has said so.
    if verified.expires_at.is_none() && (claims.session_id.is_some() || !tenant.settings.sessions.keys_without_expiry) {
        return Err(TokenError::Claims.into());
    }
    match (claims.role.as_str(), claims.session_id) {
        // What has a session is a user's, whatever else it says.
        ("anon", None) => Ok(Principal::Anon),
        ("service_role" | "supabase_admin", None) => Ok(Principal::Service),
        _ if verified.expires_at.is_none() => Err(CallerError::NoSubject),
        _ => signed_in(app, tenant, claims, now).await.map(Principal::User),
    }
}

fn verified(app: &App, tenant: &Tenant, token: &str, now: Timestamp) -> Result<Arc<VerifiedToken>, TokenError> {
    let entry = (tenant.id, sha256(token.as_bytes()));
    if let Some(known) = app.verified_tokens.0.get(&entry)
        && tenant.keys.is_in_force(known.key, now)
    {
        return if known.expires_at.is_none_or(|end| now.seconds() < end) { Ok(known) } else { Err(TokenError::Expired) };
    }
    let verified = tenant.keys.check(TokenKind::Access, token, now)?;
    let known = Arc::new(VerifiedToken { claims: verified.claims()?, expires_at: verified.expires_at, key: verified.key });
    app.verified_tokens.0.insert(entry, Arc::clone(&known));
    Ok(known)
}

async fn signed_in(app: &App, tenant: &Tenant, claims: &AccessClaims, now: Timestamp) -> Result<SignedIn, CallerError> {
    let invalid = || CallerError::BadToken(TokenError::Claims);
    let sub = claims.sub.as_deref().ok_or(CallerError::NoSubject)?;
    let user_id = sub.parse().map_err(|_| invalid())?;
    let session_id = claims.session_id.ok_or_else(invalid)?;
    let is_ours = |issuer: &str| issuer == tenant.issuer || tenant.settings.sessions.accepted_issuers.iter().any(|accepted| accepted == issuer);
    if claims.aud.as_deref() != Some("authenticated") || !claims.iss.as_deref().is_some_and(is_ours) {
        return Err(invalid());
    }
    let conn = app.db.read().await?;
    let live = sql::live_session(&conn, tenant.id, user_id, session_id).await?.ok_or(CallerError::UserGone)?;
    if live.banned_until.is_some_and(|end| now < end) {
        return Err(CallerError::Banned);
    }
    let (Some(aal), Some(created_at)) = (live.aal, live.created_at) else { return Err(CallerError::SessionGone) };
    let settings = &tenant.settings.sessions;
    let is_over = is_over(settings, now, created_at, live.not_after)
        || settings.single_per_user && sql::has_newer_session(&conn, tenant.id, user_id, session_id, created_at).await?;
    if is_over {
        return Err(CallerError::SessionGone);
    }
    let roles = Roles::of(&live.app_metadata.0);
    let (employee_id, is_anonymous, app_metadata) = (live.employee_id, live.is_anonymous, live.app_metadata.0);
    Ok(SignedIn { user_id, session_id, email: live.email, aal, roles, employee_id, is_anonymous, app_metadata })
}

/// The tenant of a request to a route that needs no key: health, key set, public files.
pub struct CurrentTenant(pub Arc<Tenant>);

impl FromRequestParts<App> for CurrentTenant {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let resolved = resolve(app, parts).await.map_err(|error| error.answer(surface_of(parts)))?;
        Ok(Self(resolved.tenant))
    }
}

/// Who is behind a request to a route that needs no key.
impl FromRequestParts<App> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts, None))
    }
}

/// Somebody who knows a key of the tenant and may be on the way in: a token that came along, perhaps an old one, is not asked.
pub(super) struct Visitor {
    pub(super) tenant: Arc<Tenant>,
    pub(super) peer: Peer,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        find_visitor(app, parts).await.map_err(|error| error.answer(surface_of(parts)))
    }
}

async fn find_visitor(app: &App, parts: &Parts) -> Result<Visitor, CallerError> {
    let resolved = resolve(app, parts).await?;
    let principal = match (&resolved.key, resolved.key_token.or(resolved.token)) {
        (Some(key), _) => principal_of_key(key),
        // A listener that asks for no key asks for no good token either; a good one may be a server's.
        (None, token) if parts.extensions.get::<KeyIsOptional>().is_some() => match token {
            Some(token) => principal_of_token(app, &resolved.tenant, &token).await.unwrap_or(Principal::Anon),
            None => Principal::Anon,
        },
        (None, token) => principal_of_token(app, &resolved.tenant, &token.ok_or(CallerError::NoKey)?).await?,
    };
    let peer = peer_of(parts, Some(&principal));
    Ok(Visitor { tenant: resolved.tenant, peer })
}

/// A signed-in user, for routes that nobody else can use.
pub(super) struct CurrentUser {
    pub(super) tenant: Arc<Tenant>,
    pub(super) user: SignedIn,
    pub(super) peer: Peer,
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        find_user(app, parts).await.map_err(|error| error.answer(Surface::Auth))
    }
}

pub(super) async fn find_user(app: &App, parts: &Parts) -> Result<CurrentUser, CallerError> {
    let (caller, peer) = find_caller_and_peer(app, parts).await?;
    match caller.principal {
        Principal::User(user) => Ok(CurrentUser { tenant: caller.tenant, user, peer }),
        // A key in the bearer's place names no user; without a bearer there is nothing to look at.
        _ if parts.headers.contains_key(header::AUTHORIZATION) => Err(CallerError::NoSubject),
        _ => Err(CallerError::NoBearer),
    }
}

/// Who may see the tenant's users: a secret key without scopes, or one with `users:read`.
pub(super) struct UserReader(pub(super) Arc<Tenant>);

/// Who may make, change and remove the tenant's users: a secret key without scopes, or one with `users:write`.
pub(super) struct UserWriter(pub(super) Arc<Tenant>);

/// The same, where it is counted what they do.
pub(super) struct CountedUserWriter {
    pub(super) tenant: Arc<Tenant>,
    pub(super) peer: Peer,
}

impl FromRequestParts<App> for UserReader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        find_admin(app, parts, "users", Action::Read).await.map(Self)
    }
}

impl FromRequestParts<App> for UserWriter {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        find_admin(app, parts, "users", Action::Write).await.map(Self)
    }
}

impl FromRequestParts<App> for CountedUserWriter {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let (tenant, peer) = find_counted_admin(app, parts, "users", Action::Write).await?;
        Ok(Self { tenant, peer })
    }
}

/// Who may read the tenant's audit log: a secret key without scopes, or one with `audit:read`.
pub(super) struct AuditReader(pub(super) Arc<Tenant>);

impl FromRequestParts<App> for AuditReader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        find_admin(app, parts, "audit", Action::Read).await.map(Self)
    }
}

async fn find_admin(app: &App, parts: &Parts, resource: &str, action: Action) -> Result<Arc<Tenant>, Response> {
    find_counted_admin(app, parts, resource, action).await.map(|(tenant, _)| tenant)
}

async fn find_counted_admin(app: &App, parts: &Parts, resource: &str, action: Action) -> Result<(Arc<Tenant>, Peer), Response> {
    let (caller, peer) = find_caller_and_peer(app, parts).await.map_err(|error| error.answer(surface_of(parts)))?;
    let may = match &caller.principal {
        Principal::Service => true,
        Principal::Key(key) => key.scopes.allow(resource, action),
        // A user with a role of the app is no admin of its users.
        Principal::Anon | Principal::User(_) => false,
    };
    if may { Ok((caller.tenant, peer)) } else { Err(axum::response::IntoResponse::into_response(AuthError::not_admin())) }
}

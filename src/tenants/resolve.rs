//! Whose request it is: path, host, key and token are asked in turn, and must not disagree.

use std::sync::Arc;

use axum::http::{HeaderMap, header, request::Parts};

use super::{
    directory::{Known, Name},
    key::{KeyKind, read_key},
    model::{ApiKey, Tenant},
    signing::{claimed_issuer, claims_all_rights},
};
use crate::{app::App, db::TenantId, error::Error, http::TenantInPath};

/// What a request says about where it belongs, before anybody is believed to be anyone.
pub struct Resolved {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The API key it came with.
    pub key: Option<Arc<ApiKey>>,
    /// A token in the place of the API key, as long-lived keys in token form are: still to be checked.
    pub key_token: Option<String>,
    /// A bearer token that is not an API key: still to be checked.
    pub token: Option<String>,
}

/// Why a request belongs to nobody. Always 401: nothing is told about which tenants there are.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Path, host, key and token name no tenant, and the installation has no default.
    #[error("No API key found in request")]
    NoTenant,
    /// The key is mistyped, unknown, revoked or expired.
    #[error("Invalid API key")]
    UnknownKey,
    /// Two of path, host, key and token name different tenants.
    #[error("The path, host, API key and token of the request belong to different tenants")]
    Disagreement,
    /// A secret key came in the URL.
    #[error("A secret key does not belong in a URL, where logs and histories keep it; send it in the apikey header, and make a new one")]
    SecretInUrl,
    /// The tenant is suspended.
    #[error("This tenant is suspended")]
    Suspended,
    /// Our own fault.
    #[error(transparent)]
    Internal(#[from] Error),
}

/// Finds the tenant of a request.
pub async fn resolve(app: &App, parts: &Parts) -> Result<Resolved, Refusal> {
    let now = app.clock.now();
    let mut found = Agreement::default();
    if let Some(TenantInPath(reference)) = parts.extensions.get() {
        found.add(app.tenants.find(Name::Reference(reference.clone())).await?.ok_or(Refusal::NoTenant)?)?;
    }
    if let Some(name) = tenant_of_host(app, parts) {
        match (app.tenants.find(name.clone()).await?, name) {
            (Some(id), _) => found.add(id)?,
            // Below the base domain every name is a tenant's, and who asks for one that is not there does not mean another.
            (None, Name::Reference(_)) => return Err(Refusal::NoTenant),
            (None, Name::Domain(_)) => {}
        }
    }
    let credentials = Credentials::read(parts)?;
    let key = match credentials.key {
        Some((KeyKind::Operator, _)) => return Err(Refusal::UnknownKey),
        Some((_, hash)) => Some(app.tenants.key(hash, now).await?.ok_or(Refusal::UnknownKey)?),
        None => None,
    };
    if let Some(key) = &key {
        found.add(key.tenant)?;
    }
    // A signed URL brings its token along, and often nothing else that names its tenant.
    let signed_url = token_of_signed_url(parts);
    for token in [&credentials.key_token, &credentials.token, &signed_url].into_iter().flatten() {
        // An issuer that is not ours names no tenant; its token can still be signed with a key that a tenant imported.
        if let Some(name) = claimed_issuer(token).and_then(|issuer| tenant_of_issuer(app, &issuer))
            && let Some(id) = app.tenants.find(name).await?
        {
            found.add(id)?;
        }
    }
    let id = match found.0 {
        Some(id) => id,
        None if app.config.default_tenant.is_empty() => return Err(Refusal::NoTenant),
        None => app.tenants.find(Name::Reference(app.config.default_tenant.clone())).await?.ok_or(Refusal::NoTenant)?,
    };
    match app.tenants.tenant(id).await? {
        Some(Known::Active(tenant)) => Ok(Resolved { tenant, key, key_token: credentials.key_token, token: credentials.token }),
        Some(Known::Suspended) => Err(Refusal::Suspended),
        None => Err(Refusal::NoTenant),
    }
}

/// The one tenant that everything in a request must mean.
#[derive(Default)]
struct Agreement(Option<TenantId>);

impl Agreement {
    fn add(&mut self, id: TenantId) -> Result<(), Refusal> {
        match self.0.replace(id) {
            Some(before) if before != id => Err(Refusal::Disagreement),
            _ => Ok(()),
        }
    }
}

/// The key and the token of a request. Stock clients send the key in both places when there is no user.
struct Credentials {
    key: Option<(KeyKind, [u8; 32])>,
    key_token: Option<String>,
    token: Option<String>,
}

impl Credentials {
    fn read(parts: &Parts) -> Result<Self, Refusal> {
        let api_key = match (one(&parts.headers, "apikey")?, api_key_in_query(parts)?) {
            (Some(header), Some(query)) if header != query => return Err(Refusal::Disagreement),
            (Some(header), _) => Some(header.to_owned()),
            (None, query) => query,
        };
        let bearer = one(&parts.headers, header::AUTHORIZATION.as_str())?.and_then(bearer);
        let as_token = |text: Option<&str>| text.filter(|text| !looks_like_key(text)).map(str::to_owned);
        let mut key = None;
        for text in [api_key.as_deref(), bearer].into_iter().flatten().filter(|text| looks_like_key(text)) {
            let read = read_key(text).ok_or(Refusal::UnknownKey)?;
            match key.replace(read) {
                Some(before) if before != read => return Err(Refusal::Disagreement),
                _ => {}
            }
        }
        Ok(Self { key, key_token: as_token(api_key.as_deref()), token: as_token(bearer) })
    }
}

/// A header that may be there once: two of it could mean one thing to a proxy and another to us.
pub(super) fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().map_err(|_| Refusal::UnknownKey)).transpose()?;
    if values.next().is_some() { Err(Refusal::Disagreement) } else { Ok(first.filter(|value| !value.is_empty())) }
}

pub(super) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// Where a browser can't set a header. What browsers may hold is publishable; a secret in a URL ends up in logs and histories.
fn api_key_in_query(parts: &Parts) -> Result<Option<String>, Refusal> {
    let Some(query) = parts.uri.query().filter(|query| query.contains("apikey=")) else { return Ok(None) };
    let mut keys = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "apikey").map(|(_, value)| value.into_owned());
    match (keys.next(), keys.next()) {
        (_, Some(_)) => Err(Refusal::Disagreement),
        (Some(key), None) if is_secret(&key) => Err(Refusal::SecretInUrl),
        (key, None) => Ok(key),
    }
}

fn is_secret(key: &str) -> bool {
    matches!(read_key(key), Some((KeyKind::Secret | KeyKind::Operator, _))) || claims_all_rights(key)
}

fn token_of_signed_url(parts: &Parts) -> Option<String> {
    let path = parts.uri.path();
    if path.starts_with("/storage/v1/upload/resumable/sign") {
        return parts.headers.get("x-signature").and_then(|token| token.to_str().ok()).map(str::to_owned);
    }
    let is_signed = ["/storage/v1/object/sign/", "/storage/v1/object/upload/sign/"].iter().any(|place| path.starts_with(place));
    let query = parts.uri.query().filter(|_| is_signed)?;
    url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token").map(|(_, value)| value.into_owned())
}

fn looks_like_key(text: &str) -> bool {
    text.starts_with("sb_") || text.starts_with("basalt_operator_")
}

/// The tenant that the `Host` names, where the installation gives tenants hosts.
fn tenant_of_host(app: &App, parts: &Parts) -> Option<Name> {
    // A request line with a host in it has to have the same as the header (`http/layers.rs`), and may be without the header.
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(header::HOST)?.to_str().ok()?,
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    // The dot that ends a full name in DNS changes nothing in what it names.
    let host = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if host == app.public_host || host.parse::<std::net::IpAddr>().is_ok() || host == "localhost" {
        return None;
    }
    let base = &app.config.base_domain;
    let label = (!base.is_empty()).then(|| host.strip_suffix(base.as_str())?.strip_suffix('.')).flatten();
    Some(label.map_or_else(|| Name::Domain(host.clone()), |label| Name::Reference(label.to_owned())))
}

fn tenant_of_issuer(app: &App, issuer: &str) -> Option<Name> {
    if let Some(reference) = app.tenants.reference_of_issuer(issuer) {
        return Some(Name::Reference(reference.to_owned()));
    }
    let domain = issuer.strip_prefix("https://")?.strip_suffix("/auth/v1")?;
    Some(Name::Domain(domain.to_owned()))
}

//! Links in mails. They are made of what is configured, never of what a request says of its host.

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use url::Url;

use super::message::MailToken;
use crate::{app::App, tenants::Tenant};

/// The link that uses a token up, as mails have it: to this server, or to the app where the tenant has it so.
pub(super) fn confirmation(tenant: &Tenant, site: &Url, token: &MailToken, redirect_to: &str) -> String {
    to_verify(tenant, site, token, redirect_to, !tenant.settings.mail.link_path.is_empty())
}

/// The link that uses a token up.
pub(super) fn to_verify(tenant: &Tenant, site: &Url, token: &MailToken, redirect_to: &str, is_to_app: bool) -> String {
    let path = &tenant.settings.mail.link_path;
    let (base, name) = if is_to_app {
        (format!("{}{path}", site.as_str().trim_end_matches('/')), "token_hash")
    } else {
        (format!("{}/verify", tenant.issuer), "token")
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair(name, &token.hash).append_pair("type", &token.wire_type);
    if !redirect_to.is_empty() {
        query.append_pair("redirect_to", redirect_to);
    }
    format!("{base}?{}", query.finish())
}

/// What a client says of its languages (`Accept-Language`).
pub(super) struct Languages(pub(super) String);

impl FromRequestParts<App> for Languages {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        let accepted = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self(accepted.chars().take(200).collect()))
    }
}

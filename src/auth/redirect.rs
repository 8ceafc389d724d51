//! Where a flow sends its user: what was asked for, if the tenant's settings allow it, else the app's own address. And how an outcome is
//! written into that address.
//!
//! What is allowed is decided in `tenants/settings/redirects.rs`. A refused address is never an error for the user, who is sent to the
//! app's own: the log says which rule refused it, and so does a header of the answer.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use url::{Url, form_urlencoded};

use super::{error::AuthError, model::Session};
use crate::{
    app::App,
    tenants::{Tenant, read_redirect},
};

/// The header that tells who develops an app why its address was not taken.
const REFUSED: HeaderName = HeaderName::from_static("x-basalt-redirect-refused");

/// Where a request asks its user to be sent: `redirect_to` as query parameter or header, else the page it came from.
pub(super) struct AskedRedirect {
    asked: Option<String>,
    referer: Option<String>,
}

impl FromRequestParts<App> for AskedRedirect {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, AuthError> {
        let query = parts.uri.query().unwrap_or_default();
        let mut in_query = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "redirect_to").map(|(_, value)| value.into_owned());
        let (first, second) = (in_query.next(), in_query.next());
        if second.is_some() || parts.headers.get_all("redirect_to").iter().nth(1).is_some() {
            return Err(said_twice());
        }
        let asked = first.or_else(|| text(&parts.headers, "redirect_to")).filter(|asked| !asked.is_empty());
        Ok(Self { asked, referer: text(&parts.headers, header::REFERER.as_str()) })
    }
}

fn said_twice() -> AuthError {
    AuthError::validation("redirect_to is there twice")
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

impl AskedRedirect {
    /// Only what is asked for in the place where a flow keeps it.
    pub(super) fn of(asked: Option<String>) -> Self {
        Self { asked: asked.filter(|asked| !asked.is_empty()), referer: None }
    }

    /// The same, or what the body of the request asks for. Refused when they are two.
    pub(super) fn or_in_body(self, asked: Option<String>) -> Result<Self, AuthError> {
        match (self.asked, asked.filter(|asked| !asked.is_empty())) {
            (Some(before), Some(asked)) if before != asked => Err(said_twice()),
            (before, asked) => Ok(Self { asked: before.or(asked), referer: self.referer }),
        }
    }

    /// Where the user will be sent.
    pub(super) fn decide(&self, app: &App, tenant: &Tenant) -> Redirect {
        let settings = &tenant.settings.redirects;
        let site = site(app, tenant);
        let judge = |text: &str| {
            let url = read_redirect(text)?;
            settings.judge(&site, &url).map(|()| url)
        };
        match (&self.asked, &self.referer) {
            (Some(asked), _) => match judge(asked) {
                Ok(to) => Redirect { to, refused: None },
                Err(why) => {
                    let asked = asked.split(['?', '#']).next().unwrap_or_default();
                    tracing::warn!(tenant = tenant.reference, asked, why, "a redirect was refused; its user goes to the site URL");
                    Redirect { to: site, refused: Some(why) }
                }
            },
            // Nobody asked for the page that a request came from: it is taken, or not.
            (None, Some(referer)) => Redirect { to: judge(referer).unwrap_or(site), refused: None },
            (None, None) => Redirect { to: site, refused: None },
        }
    }
}

/// The app's own address.
pub(super) fn site(app: &App, tenant: &Tenant) -> Url {
    tenant.settings.redirects.site(&app.config.public_url())
}

/// Where a user will be sent. As a part of an answer it tells why another place was refused.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    /// The address, without a fragment.
    pub(super) to: Url,
    refused: Option<&'static str>,
}

impl IntoResponseParts for Redirect {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if let Some(why) = self.refused {
            parts.headers_mut().insert(REFUSED, HeaderValue::from_static(why));
        }
        Ok(parts)
    }
}

/// The address with an outcome in its fragment, keys sorted, and `sb=`, by which clients know whose it is.
pub(super) fn with_fragment(to: &Url, outcome: &[(&str, &str)]) -> Url {
    let mut outcome = outcome.to_vec();
    outcome.push(("sb", ""));
    outcome.sort_unstable();
    let mut to = to.clone();
    to.set_fragment(Some(&form_urlencoded::Serializer::new(String::new()).extend_pairs(outcome).finish()));
    to
}

/// The address with an outcome added to its query, which is kept but for what the outcome names.
pub(super) fn with_query(to: &Url, outcome: &[(&str, &str)]) -> Url {
    let mut to = to.clone();
    let kept = to.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let is_other = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).all(|(name, _)| outcome.iter().all(|(own, _)| *own != name));
    let mut query = kept.filter(is_other).collect::<Vec<_>>().join("&");
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(outcome).finish());
    to.set_query(Some(&query));
    to
}

/// The address with a session in its fragment, and what else belongs to it.
pub(super) fn with_session(to: &Url, session: &Session, more: &[(&str, &str)]) -> Url {
    let (expires_in, expires_at) = (session.expires_in.to_string(), session.expires_at.to_string());
    let mut outcome = vec![
        ("access_token", session.access_token.as_str()),
        ("expires_at", &expires_at),
        ("expires_in", &expires_in),
        ("refresh_token", &session.refresh_token),
        ("token_type", &session.token_type),
    ];
    outcome.extend(session.provider_token.as_deref().map(|token| ("provider_token", token)));
    outcome.extend(session.provider_refresh_token.as_deref().map(|token| ("provider_refresh_token", token)));
    outcome.extend_from_slice(more);
    with_fragment(to, &outcome)
}

/// The address with an error in its fragment, and in its query too where the flow is one that reads it there.
pub(super) fn with_error(to: &Url, error: &AuthError, is_in_query: bool) -> Url {
    let mut outcome = vec![("error_code", error.code().as_str()), ("error_description", error.message())];
    outcome.extend(error.oauth_name().map(|name| ("error", name)));
    outcome.sort_unstable();
    let to = if is_in_query { with_query(to, &outcome) } else { to.clone() };
    with_fragment(&to, &outcome)
}

/// Sends the user on. What is in the address is for the app alone: no cache keeps it and no further request tells it.
pub(super) fn send_to(status: StatusCode, to: &Url) -> Response {
    let Ok(location) = HeaderValue::from_str(to.as_str()) else {
        return AuthError::validation("the address to go back to can't be sent").into_response();
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (status, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AuthCode;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn an_outcome_is_sorted_and_marked() {
        let to = with_fragment(&url("https://app.example.com/cb?a=1"), &[("type", "signup"), ("access_token", "x y")]);
        assert_eq!(to.as_str(), "https://app.example.com/cb?a=1#access_token=x+y&sb=&type=signup");
    }

    #[test]
    fn a_query_is_kept_but_for_what_is_said_anew() {
        let to = with_query(&url("https://app.example.com/cb?sb_flow_id=%20x&code=old&b"), &[("code", "new")]);
        assert_eq!(to.as_str(), "https://app.example.com/cb?sb_flow_id=%20x&b&code=new");
        assert_eq!(with_query(&url("my.app://cb"), &[("code", "1")]).as_str(), "my.app://cb?code=1");
    }

    #[test]
    fn an_error_is_named_as_oauth_names_it() {
        let to = url("https://app.example.com/cb?x=1");
        let error = AuthError::unprocessable(AuthCode::SignupDisabled, "Signups not allowed for this instance");
        assert_eq!(
            with_error(&to, &error, false).as_str(),
            "https://app.example.com/cb?x=1#error=access_denied&error_code=signup_disabled&error_description=Signups+not+allowed+for+this+instance&sb="
        );
        assert_eq!(
            with_error(&to, &AuthError::validation("no"), true).as_str(),
            "https://app.example.com/cb?x=1&error=invalid_request&error_code=validation_failed&error_description=no\
             #error=invalid_request&error_code=validation_failed&error_description=no&sb="
        );
    }
}

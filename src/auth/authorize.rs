//! A user sets out for a provider: to sign in, or to add the identity there to the one here.
//!
//! The way back is guarded by `state`, which is good once, and by a cookie, so that nobody's browser finishes what another began
//! (RFC 9700, 4.7). The browser keeps the cookie for the address that the provider sends it back to: who begins at another address of
//! this server is first sent to that one.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::{CurrentTenant, CurrentUser, SignedIn},
    error::{AuthCode, AuthError, AuthFailures},
    factors::{insufficient, is_short_of_a_factor},
    flow_state::{Challenge, FlowKind, FlowStateRow},
    limits::{self, Bucket, Peer},
    one_time_token::find_invitation,
    parameters::Parameters,
    provider::{FlowSecret, Provider},
    redirect::{self, AskedRedirect, Redirect},
    sql::flow_states,
};
use crate::{
    app::App,
    crypto::{base64url, hex, random, sha256},
    error::Error,
    tenants::Tenant,
};

/// Seconds that a user may spend at the provider.
const AWAY_SECONDS: i64 = 10 * 60;
/// A parameter that says that the browser was sent to the address of the way back already.
const AT_HOME: &str = "sb_home";

/// Where to, and back to where.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document is made of it; the handlers refuse what is there twice")]
pub(super) struct AuthorizeParameters {
    /// `google`, `github`, … or `custom:…`.
    #[param(example = "google")]
    provider: String,
    /// Where the user comes back to.
    redirect_to: Option<String>,
    /// What the provider is asked for besides the usual.
    scopes: Option<String>,
    /// The hash of a secret that the client keeps: it then gets a code instead of the session.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
    /// The `token` of an invitation's link, to accept it by way of the provider.
    invite_token: Option<String>,
}

/// Sends the user to a provider.
#[utoipa::path(get, path = "/auth/v1/authorize", tag = "auth", params(AuthorizeParameters),
    responses((status = 302, description = "To the provider"), AuthFailures))]
pub(super) async fn authorize_user(
    State(app): State<App>,
    CurrentTenant(tenant): CurrentTenant,
    peer: Peer,
    asked: AskedRedirect,
    parts: Parts,
) -> Result<Response, AuthError> {
    limits::count(&app, &tenant, Bucket::Provider, &peer).await?;
    let parameters = Parameters::of_query(&parts)?;
    if let Some(home) = way_home(&tenant, &parts, &parameters) {
        return Ok(redirect::send_to(StatusCode::FOUND, &home));
    }
    let departure = Departure::prepare(&app, &tenant, &parameters, asked, None).await?;
    Ok(departure.by_browser(&tenant))
}

/// The address of a provider.
#[derive(Serialize, ToSchema)]
pub(super) struct ProviderAddress {
    /// Where to go on.
    url: String,
}

/// How the user gets there.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document is made of it; the handlers refuse what is there twice")]
pub(super) struct LinkParameters {
    /// `true` for the address as JSON instead of a redirect.
    skip_http_redirect: Option<bool>,
}

/// Sends the signed-in user to a provider, to add the identity there to its own.
#[utoipa::path(get, path = "/auth/v1/user/identities/authorize", tag = "auth", params(AuthorizeParameters, LinkParameters),
    responses((status = 200, body = ProviderAddress, description = "The provider's address"), (status = 302, description = "To the provider"), AuthFailures),
    security(("apikey" = [], "user" = [])))]
pub(super) async fn link_identity(State(app): State<App>, current: CurrentUser, asked: AskedRedirect, parts: Parts) -> Result<Response, AuthError> {
    let tenant = &current.tenant;
    limits::count(&app, tenant, Bucket::Provider, &current.peer).await?;
    if !tenant.settings.identities.manual_linking {
        return Err(manual_linking_disabled());
    }
    refuse_low(&app, tenant, &current.user).await?;
    let parameters = Parameters::of_query(&parts)?;
    let skips = parameters.get("skip_http_redirect") == Some("true");
    let linking = Linking { user: current.user.user_id, session: current.user.session_id, is_fetched: skips };
    let departure = Departure::prepare(&app, tenant, &parameters, asked, Some(linking)).await?;
    if skips {
        return Ok((departure.back, Json(ProviderAddress { url: departure.to.into() })).into_response());
    }
    Ok(departure.by_browser(tenant))
}

pub(super) fn manual_linking_disabled() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, AuthCode::ManualLinkingDisabled, "Manual linking is disabled")
}

/// Whoever has a second factor uses it before anything changes that signs in without it (V29).
pub(super) async fn refuse_low(app: &App, tenant: &Tenant, user: &SignedIn) -> Result<(), AuthError> {
    if is_short_of_a_factor(&app.db.read().await?, tenant.id, user).await? {
        return Err(insufficient(StatusCode::FORBIDDEN, "AAL2 session is required to link or unlink identities when MFA is enabled."));
    }
    Ok(())
}

/// Who wants an identity more.
struct Linking {
    user: Uuid,
    session: Uuid,
    /// Whether the address is fetched by a script: it can't bring a cookie to the browser it will be opened in.
    is_fetched: bool,
}

/// A user about to leave.
struct Departure {
    to: Url,
    back: Redirect,
    /// Name and value.
    cookie: (String, String),
}

impl Departure {
    async fn prepare(app: &App, tenant: &Tenant, parameters: &Parameters, asked: AskedRedirect, linking: Option<Linking>) -> Result<Self, AuthError> {
        let provider = Provider::find(app, tenant, parameters.get("provider").unwrap_or_default()).await?;
        let challenge = Challenge::read(parameters.get("code_challenge"), parameters.get("code_challenge_method"))?;
        let back = asked.decide(app, tenant);
        let now = app.clock.now();
        let (state, browser, mut secret) = (Uuid::new_v4().to_string(), base64url(&random::<32>()), FlowSecret::new());
        if let Some(invitation) = parameters.get("invite_token").filter(|_| linking.is_none()) {
            let found = find_invitation(&app.db.read().await?, tenant.id, now, invitation).await?;
            found.ok_or_else(AuthError::invite_not_found)?;
            secret.invite_token = Some(invitation.to_owned());
        }
        let to = provider.authorize_url(&callback(tenant), &state, &secret, parameters.get("scopes"), parameters.all())?;
        let mut flow = FlowStateRow::new(FlowKind::Oauth, challenge.as_ref(), now, now.plus_seconds(AWAY_SECONDS));
        flow.provider = Some(provider.name);
        flow.state_hash = Some(sha256(state.as_bytes()).to_vec());
        flow.browser_hash = linking.as_ref().is_none_or(|linking| !linking.is_fetched).then(|| sha256(browser.as_bytes()).to_vec());
        flow.user_id = linking.as_ref().map(|linking| linking.user);
        flow.linking_session_id = linking.map(|linking| linking.session);
        flow.redirect_to = Some(back.to.to_string());
        flow.secret = Some(app.master_key.seal(&FlowStateRow::place(tenant.id, flow.id), &serde_json::to_vec(&secret).map_err(Error::from)?));
        let id = tenant.id;
        app.db.write(move |tx| async move { flow_states::insert(&tx, id, &flow).await }).await?;
        Ok(Self { to, back, cookie: (cookie_name(&state), browser) })
    }

    fn by_browser(self, tenant: &Tenant) -> Response {
        let (name, value) = &self.cookie;
        let cookie = set_cookie(tenant, name, value, AWAY_SECONDS);
        let response = redirect::send_to(StatusCode::FOUND, &self.to);
        (self.back, cookie.map(|cookie| [(header::SET_COOKIE, cookie)]), response).into_response()
    }
}

/// Where providers send users back to.
pub(super) fn callback(tenant: &Tenant) -> String {
    format!("{}/callback", tenant.issuer)
}

/// The cookie of a flow. Each flow has its own, so that two at a time do not disturb one another.
pub(super) fn cookie_name(state: &str) -> String {
    format!("sb-flow-{}", &hex(&sha256(state.as_bytes()))[..16])
}

/// Sets the cookie of a flow, or with no seconds removes it. A provider that sends its user back by a form needs `SameSite=None`.
pub(super) fn set_cookie(tenant: &Tenant, name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
    let callback = Url::parse(&callback(tenant)).ok()?;
    let site = if callback.scheme() == "https" { "SameSite=None; Secure" } else { "SameSite=Lax" };
    HeaderValue::from_str(&format!("{name}={value}; Path={}; Max-Age={seconds}; HttpOnly; {site}", callback.path())).ok()
}

/// What the browser has kept of a flow.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// The address of this very request at the host that the provider sends users back to, if it came to another. Once: a proxy may show us
/// another host than its clients see.
fn way_home(tenant: &Tenant, parts: &Parts, parameters: &Parameters) -> Option<Url> {
    let mut home = Url::parse(&format!("{}/authorize", tenant.issuer)).ok()?;
    let asked = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(header::HOST)?.to_str().ok()?,
    };
    let asked = Url::parse(&format!("{}://{asked}", home.scheme())).ok()?;
    if asked.host() == home.host() || parameters.get(AT_HOME).is_some() {
        return None;
    }
    let others = parameters.all().iter().filter(|(name, _)| name != "apikey");
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(others).append_pair(AT_HOME, "1").finish();
    home.set_query(Some(&query));
    Some(home)
}

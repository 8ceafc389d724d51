//! A user comes back from a provider, with a code for us.
//!
//! The flow is claimed before anybody is asked anything, so that an answer is used once (V14). What goes wrong before it is known whose
//! flow it is, ends at the app's own address; what goes wrong later, where the flow was to end.

use axum::{
    body::Body,
    extract::{FromRequestParts as _, Request, State},
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use url::Url;
use utoipa::IntoParams;

use super::{
    authorize::{callback, cookie, cookie_name, set_cookie},
    caller::CurrentTenant,
    error::{AuthCode, AuthError, AuthFailures},
    flow_state::{AuthCodeText, FlowStateRow, ProviderTokens},
    limits::{self, Bucket, Peer},
    link::Languages,
    linking::{self, CodeOf, Errand, Visit},
    parameters::Parameters,
    provider::{FlowSecret, Provider},
    redirect,
    session::Client,
    sql::flow_states as sql,
};
use crate::{
    app::App,
    crypto::{same, sha256},
    error::Error,
    http::body::read_bytes,
    tenants::Tenant,
};

/// Bytes of a form at most.
const LONGEST_FORM: usize = 64 * 1024;

/// What a provider sends its user back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document is made of it; the handlers refuse what is there twice")]
pub(super) struct CallbackParameters {
    /// What the flow began with.
    state: Option<String>,
    /// What the provider exchanges for its tokens.
    code: Option<String>,
    /// Why there is no code.
    error: Option<String>,
    /// The same for people.
    error_description: Option<String>,
    /// Who the provider is.
    iss: Option<String>,
}

/// Takes a user back from a provider, and sends it on to the app.
#[utoipa::path(get, path = "/auth/v1/callback", tag = "auth", params(CallbackParameters),
    responses((status = 302, description = "To the app, with a session or a code"), (status = 303, description = "To the app, with an error"), AuthFailures))]
pub(super) async fn finish_authorization(State(app): State<App>, peer: Peer, client: Client, request: Request) -> Response {
    answer(&app, &peer, client, request).await
}

/// Takes a user back from a provider that answers by a form.
#[utoipa::path(post, path = "/auth/v1/callback", tag = "auth", params(CallbackParameters),
    responses((status = 302, description = "To the app, with a session or a code"), (status = 303, description = "To the app, with an error"), AuthFailures))]
pub(super) async fn finish_authorization_by_form(State(app): State<App>, peer: Peer, client: Client, request: Request) -> Response {
    answer(&app, &peer, client, request).await
}

async fn answer(app: &App, peer: &Peer, client: Client, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let tenant = match CurrentTenant::from_request_parts(&mut parts, app).await {
        Ok(CurrentTenant(tenant)) => tenant,
        Err(refusal) => return refusal,
    };
    if let Err(error) = limits::count(app, &tenant, Bucket::Provider, peer).await {
        return error.into_response();
    }
    let parameters = match read(&parts, body).await {
        Ok(parameters) => parameters,
        Err(error) => return error.into_response(),
    };
    match arrive(app, &tenant, &parts, &parameters).await {
        Err(error) => redirect::send_to(StatusCode::SEE_OTHER, &redirect::with_error(&redirect::site(app, &tenant), &or_server_error(error), true)),
        Ok(arrival) => {
            let Ok(languages) = Languages::from_request_parts(&mut parts, app).await;
            let cookie = set_cookie(&tenant, &arrival.cookie, "", 0);
            let response = match arrival.go_on(app, &tenant, peer, &parameters, client, languages).await {
                Ok(to) => redirect::send_to(StatusCode::FOUND, &to),
                Err(error) => redirect::send_to(StatusCode::SEE_OTHER, &redirect::with_error(&arrival.back, &or_server_error(error), true)),
            };
            (cookie.map(|cookie| [(header::SET_COOKIE, cookie)]), response).into_response()
        }
    }
}

/// Whoever wrote the app expects a name in any case.
fn or_server_error(error: AuthError) -> AuthError {
    if error.oauth_name().is_some() { error } else { error.named("server_error") }
}

async fn read(parts: &Parts, body: Body) -> Result<Parameters, AuthError> {
    let form = if parts.method == Method::POST { read_bytes(body, LONGEST_FORM).await? } else { bytes::Bytes::new() };
    Parameters::of_both(parts, &form)
}

/// A user who has come back to a flow of this very browser.
struct Arrival {
    flow: FlowStateRow,
    secret: FlowSecret,
    back: Url,
    cookie: String,
}

async fn arrive(app: &App, tenant: &Tenant, parts: &Parts, parameters: &Parameters) -> Result<Arrival, AuthError> {
    let refuse = |code, why: &'static str| AuthError::bad_request(code, why);
    let state = parameters.get("state").ok_or_else(|| refuse(AuthCode::BadOauthCallback, "OAuth state parameter missing"))?;
    let unknown = || refuse(AuthCode::BadOauthState, "OAuth state not found or expired");
    let flow = sql::find_by_state(&app.db.read().await?, tenant.id, &sha256(state.as_bytes())).await?.ok_or_else(unknown)?;
    let now = app.clock.now();
    if flow.claimed_at.is_some() {
        return Err(refuse(AuthCode::FlowStateAlreadyUsed, "OAuth state was used already"));
    }
    if flow.expires_at <= now {
        return Err(unknown());
    }
    let cookie_name = cookie_name(state);
    if let Some(browser) = &flow.browser_hash {
        let kept = cookie(&parts.headers, &cookie_name).unwrap_or_default();
        if !same(browser, &sha256(kept.as_bytes())) {
            return Err(refuse(AuthCode::BadOauthState, "OAuth state belongs to another browser"));
        }
    }
    let (id, flow_id) = (tenant.id, flow.id);
    if !app.db.write(move |tx| async move { sql::claim(&tx, id, now, flow_id).await }).await? {
        return Err(refuse(AuthCode::FlowStateAlreadyUsed, "OAuth state was used already"));
    }
    let sealed = flow.secret.as_deref().unwrap_or_default();
    let secret = serde_json::from_slice(&app.master_key.open(&FlowStateRow::place(id, flow_id), sealed)?).map_err(Error::from)?;
    let back = flow.redirect_to.as_deref().and_then(|to| Url::parse(to).ok()).unwrap_or_else(|| redirect::site(app, tenant));
    Ok(Arrival { flow, secret, back, cookie: cookie_name })
}

impl Arrival {
    /// Where the user goes on to, with a session or a code.
    async fn go_on(
        &self,
        app: &App,
        tenant: &Tenant,
        peer: &Peer,
        parameters: &Parameters,
        client: Client,
        languages: Languages,
    ) -> Result<Url, AuthError> {
        let provider = Provider::find(app, tenant, self.flow.provider.as_deref().unwrap_or_default()).await?;
        if !provider.may_have_sent(parameters.get("iss")) {
            return Err(AuthError::bad_request(AuthCode::BadOauthCallback, "OAuth callback is from another provider"));
        }
        if let Some(error) = parameters.get("error") {
            return Err(refused_there(error, parameters.get("error_description").unwrap_or_default()));
        }
        let missing = || AuthError::bad_request(AuthCode::BadOauthCallback, "OAuth callback with missing authorization code missing");
        let code = parameters.get("code").ok_or_else(missing)?;
        let tokens = provider.exchange(app, &callback(tenant), code, &self.secret).await?;
        let profile = provider.profile(app, &tokens, &self.secret, parameters.get("user")).await?;
        let mut given = ProviderTokens { access_token: Some(tokens.access_token), refresh_token: tokens.refresh_token, to_link: None };
        let errand = match (self.flow.user_id.zip(self.flow.linking_session_id), &self.secret.invite_token) {
            (Some((user, session)), _) => Errand::Link { user, session },
            (None, Some(invitation)) => Errand::Accept { invitation: invitation.clone() },
            (None, None) => Errand::SignIn,
        };
        let visit = Visit { profile: &profile, errand, redirect_to: self.back.to_string(), languages: languages.0, peer };
        if self.flow.challenge.is_none() {
            let mut session = linking::sign_in(app, tenant, &visit, "oauth", client).await?;
            session.provider_token = given.access_token;
            session.provider_refresh_token = given.refresh_token;
            return Ok(redirect::with_session(&self.back, &session, &[]));
        }
        let code = AuthCodeText::new();
        let code_of = |given: &ProviderTokens| -> Result<CodeOf, AuthError> {
            let secret = serde_json::to_vec(given).map_err(Error::from)?;
            let secret = app.master_key.seal(&FlowStateRow::place(tenant.id, self.flow.id), &secret);
            Ok(CodeOf { flow: self.flow.id, code_hash: code.hash(), secret })
        };
        match &visit.errand {
            // Anybody's browser may have come, sent here by whoever asked: what they link waits for the app that asked to show so.
            Errand::Link { user, .. } if self.flow.browser_hash.is_none() => {
                given.to_link = Some(profile.clone());
                linking::issue_code_to_link(app, tenant, *user, &profile, code_of(&given)?).await?;
            }
            _ => linking::issue_code(app, tenant, &visit, code_of(&given)?).await?,
        }
        Ok(redirect::with_query(&self.back, &[("code", &code.text())]))
    }
}

/// What a provider says instead of a code. Its words are the app's to show, so they are cut to what can do no harm.
fn refused_there(error: &str, description: &str) -> AuthError {
    const KNOWN: [&str; 8] = [
        "access_denied",
        "consent_required",
        "interaction_required",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "temporarily_unavailable",
        "unauthorized_client",
    ];
    let name = KNOWN.into_iter().find(|known| *known == error).unwrap_or("server_error");
    let said: String = description.chars().filter(|c| !c.is_control()).take(200).collect();
    let message = if said.is_empty() { format!("The provider refused: {name}") } else { said };
    AuthError::bad_request(AuthCode::BadOauthCallback, message).named(name)
}

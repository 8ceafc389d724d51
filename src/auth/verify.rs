//! Uses up what a mail or a message carries: signs in, confirms, changes an address.
//!
//! `GET` is the link in a mail. Those who look at links before their reader does, use nothing up if they say who they are (`HEAD`, declared
//! prefetch), and a tenant may have a page shown with a button first. `POST` takes a hash or a code, from an app.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{Html, IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::{CurrentTenant, Visitor},
    contact::{confirm_email, confirm_phone, set_email, set_phone},
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    flow_state::{self, AuthCodeText},
    limits::{self, Bucket, Guess, Peer, Secret},
    linking::note_providers,
    model::{EMAIL_PROVIDER, IdentityRow, PHONE_PROVIDER, Session, SessionRow, UserRow},
    notice::{Notice, Teller},
    one_time_token::{self, Purpose, Redeeming, Shown, TokenRow, is_pkce, revoke_all_but},
    parameters::Parameters,
    phone::Phone,
    redirect::{self, AskedRedirect},
    request::{BODY_LIMIT, JsonBody},
    session::{self, Client, Opened, Proof},
    sql,
    take_over::{shut_out_first_factors, shut_out_others},
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    crypto::MasterKey,
    db::{Timestamp, Tx},
    error::{ConstraintKind, Error, Result as DbResult},
    http::body::read_bytes,
    mail::template::{Form, render},
    tenants::{Tenant, TenantId},
};

/// What a link in a mail has.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct LinkQuery {
    /// The token.
    #[param(value_type = Option<String>)]
    token: String,
    /// What it is for: `signup`, `invite`, `magiclink`, `recovery`, `email_change`, `email`.
    #[serde(rename = "type")]
    #[param(value_type = Option<String>)]
    kind: String,
    /// Where to go on to.
    #[param(value_type = Option<String>)]
    redirect_to: String,
}

/// The link in a mail: signs in, and goes on to the app.
#[utoipa::path(get, path = "/auth/v1/verify", tag = "auth", params(LinkQuery), responses(
    (status = 200, description = "A page with a button, where the tenant has one shown", content_type = "text/html"),
    (status = 303, description = "The app, with a session or a code or an error in the URL"), AuthFailures))]
pub(super) async fn follow_link(
    State(app): State<App>,
    CurrentTenant(tenant): CurrentTenant,
    peer: Peer,
    client: Client,
    method: Method,
    headers: HeaderMap,
    asked: Result<Query<LinkQuery>, QueryRejection>,
) -> Result<Response, AuthError> {
    let Query(link) = asked.map_err(|error| AuthError::validation(error.body_text()))?;
    link.check()?;
    if method == Method::HEAD {
        return Ok((no_trace(), StatusCode::OK).into_response());
    }
    if is_prefetch(&headers) {
        return Ok((no_trace(), StatusCode::TOO_EARLY).into_response());
    }
    limits::count(&app, &tenant, Bucket::Verify, &peer).await?;
    if tenant.settings.mail.confirm_page {
        return confirm_page(&app, &tenant, &link);
    }
    Ok(follow(&app, &tenant, client, &link).await)
}

/// The button of the page that a tenant may have shown before a link is used up.
#[utoipa::path(post, path = "/auth/v1/verify/confirm", tag = "auth",
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "`token`, `type`, `redirect_to`"),
    responses((status = 303, description = "The app, with a session or a code or an error in the URL"), AuthFailures))]
pub(super) async fn confirm_link(
    State(app): State<App>,
    CurrentTenant(tenant): CurrentTenant,
    peer: Peer,
    client: Client,
    body: axum::body::Body,
) -> Result<Response, AuthError> {
    limits::count(&app, &tenant, Bucket::Verify, &peer).await?;
    let body = read_bytes(body, BODY_LIMIT).await?;
    let form = Parameters::of_form(&body)?;
    let given = |name: &str| form.get(name).unwrap_or_default().to_owned();
    let link = LinkQuery { token: given("token"), kind: given("type"), redirect_to: given("redirect_to") };
    link.check()?;
    Ok(follow(&app, &tenant, client, &link).await)
}

impl LinkQuery {
    fn check(&self) -> Result<(), AuthError> {
        if self.token.is_empty() {
            return Err(AuthError::validation("Verify requires a token or a token hash"));
        }
        if self.kind.is_empty() {
            return Err(AuthError::validation("Verify requires a verification type"));
        }
        Ok(())
    }
}

/// Whether a browser says that nobody has followed the link yet.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let says =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.to_ascii_lowercase().contains("prefetch"));
    says("sec-purpose") || says("purpose") || says("x-moz")
}

fn no_trace() -> [(HeaderName, HeaderValue); 3] {
    [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::VARY, HeaderValue::from_static("Sec-Purpose, Purpose, X-Moz")),
    ]
}

/// Where there is a page before, in the languages of nobody: a mark and a button.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>Continue</title>
<style>body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f4f4f5;font:16px/24px system-ui,sans-serif;color:#27272a}
form{background:#fff;border:1px solid #e4e4e7;border-radius:12px;padding:32px;text-align:center;max-width:320px}
button{font:600 16px system-ui,sans-serif;padding:12px 24px;border:0;border-radius:8px;background:#18181b;color:#fff;cursor:pointer}</style></head>
<body><form method="post" action="{{ action }}">
<p>Press the button to continue to {{ place }}.</p>
<input type="hidden" name="token" value="{{ token }}"><input type="hidden" name="type" value="{{ type }}">
<input type="hidden" name="redirect_to" value="{{ redirect_to }}">
<button>Continue</button></form></body>
</html>
"#;

fn confirm_page(app: &App, tenant: &Tenant, link: &LinkQuery) -> Result<Response, AuthError> {
    // Where the button leads in the end; after an app's own scheme no host has to follow.
    let to = AskedRedirect::of(Some(link.redirect_to.clone())).decide(app, tenant).to;
    let place = to.host_str().filter(|_| matches!(to.scheme(), "http" | "https")).map_or_else(|| format!("{}:", to.scheme()), str::to_owned);
    let action = format!("{}/verify/confirm", tenant.issuer);
    let values = json!({ "action": action, "place": place, "token": link.token, "type": link.kind, "redirect_to": link.redirect_to });
    let page = render(PAGE, &values, Form::Html)?;
    // The form is not held to an origin: where it leads on to is the app's.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    Ok((no_trace(), [(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response())
}

/// Uses a link up and goes on to the app, whatever came of it.
async fn follow(app: &App, tenant: &Tenant, client: Client, link: &LinkQuery) -> Response {
    let redirect = AskedRedirect::of(Some(link.redirect_to.clone())).decide(app, tenant);
    let pkce = is_pkce(&link.token);
    let outcome = match Purpose::of_wire_type(&link.kind) {
        Some(purposes) if !purposes.iter().any(|purpose| purpose.is_by_phone()) => {
            use_up(app, tenant, client, purposes, &Shown::hash(&link.token), Way::Link).await
        }
        _ => Err(AuthError::validation("Invalid email verification type")),
    };
    let to = match outcome {
        Ok(Done::SignedIn(session)) => redirect::with_session(&redirect.to, &session, &[("type", &link.kind)]),
        Ok(Done::Code(code)) => redirect::with_query(&redirect.to, &[("code", &code.text())]),
        Ok(Done::HalfAgreed) => {
            let message = [("message", HALF_AGREED)];
            let to = if pkce { redirect::with_query(&redirect.to, &message) } else { redirect.to.clone() };
            redirect::with_fragment(&to, &message)
        }
        Err(error) => redirect::with_error(&redirect.to, &error.of_link(), pkce),
    };
    (redirect, redirect::send_to(StatusCode::SEE_OTHER, &to)).into_response()
}

/// What a client shows.
#[derive(Deserialize, ToSchema)]
pub(super) struct Verification {
    /// What it is for: `signup`, `invite`, `magiclink`, `recovery`, `email_change`, `email`, `sms`, `phone_change`.
    #[serde(rename = "type")]
    #[schema(example = "email")]
    kind: Option<String>,
    /// The code, together with the address that it was sent to.
    #[schema(example = "123456")]
    token: Option<String>,
    /// The hash out of a link, alone.
    token_hash: Option<String>,
    /// The mail address.
    email: Option<String>,
    /// The phone number.
    phone: Option<String>,
    /// Not with a hash.
    redirect_to: Option<String>,
}

/// A session; or word that the other address has to agree, too.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Verified {
    /// The user is signed in.
    Session(Box<Session>),
    /// One of two addresses has agreed to a change.
    HalfAgreed {
        /// What is still to be done.
        msg: &'static str,
        /// Always `200`.
        code: &'static str,
    },
}

/// What the first of two addresses is told.
const HALF_AGREED: &str = "Confirmation link accepted. Please proceed to confirm link sent to the other email";

/// Uses up a code, or the hash of a link.
#[utoipa::path(post, path = "/auth/v1/verify", tag = "auth", request_body = Verification,
    responses((status = 200, body = Verified, description = "The session"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn verify_token(
    State(app): State<App>,
    visitor: Visitor,
    client: Client,
    JsonBody(asked): JsonBody<Verification>,
) -> Result<Json<Verified>, AuthError> {
    let Visitor { tenant, peer } = &visitor;
    limits::count(&app, tenant, Bucket::Verify, peer).await?;
    let (purposes, shown) = asked.read()?;
    let done = match &shown {
        Shown::Hash(_) => use_up(&app, tenant, client, purposes, &shown, Way::App).await.map_err(AuthError::of_link)?,
        Shown::Code { address, .. } => {
            let guess = guess(&app, tenant, address, peer).await?;
            let outcome = use_up(&app, tenant, client, purposes, &shown, Way::App).await;
            match &outcome {
                // It was not looked at.
                Err(error) if error.status().is_server_error() => guess.withdraw(&app).await?,
                outcome => {
                    let is_wrong = outcome.as_ref().is_err_and(|error| error.code() == AuthCode::OtpExpired);
                    guess.ended(&app, !is_wrong).await?;
                }
            }
            outcome?
        }
    };
    Ok(Json(match done {
        Done::SignedIn(session) => Verified::Session(session),
        Done::HalfAgreed | Done::Code(_) => Verified::HalfAgreed { msg: HALF_AGREED, code: "200" },
    }))
}

/// Lets a code be tried that was sent to this address, or refuses it.
async fn guess(app: &App, tenant: &Tenant, address: &str, peer: &Peer) -> Result<Guess, AuthError> {
    let conn = app.db.read().await?;
    let user = match (address.parse::<Email>(), address.parse::<Phone>()) {
        (Ok(email), _) => sql::find_user_by_email(&conn, tenant.id, &email).await?,
        (_, Ok(phone)) => sql::find_user_by_phone(&conn, tenant.id, &phone).await?,
        _ => None,
    };
    drop(conn);
    limits::guess(app, tenant, Secret::Code, address, user.map(|user| user.id), peer).await
}

impl Verification {
    fn read(self) -> Result<(&'static [Purpose], Shown), AuthError> {
        let given = |field: Option<String>| field.filter(|text| !text.is_empty());
        let kind = given(self.kind).ok_or_else(|| AuthError::validation("Verify requires a verification type"))?;
        let purposes = Purpose::of_wire_type(&kind).ok_or_else(|| AuthError::validation("Unsupported verification type"))?;
        let by_phone = purposes.iter().any(|purpose| purpose.is_by_phone());
        let (email, phone) = (given(self.email), given(self.phone));
        let shown = match (given(self.token), given(self.token_hash)) {
            (None, Some(hash)) => {
                if email.is_some() || phone.is_some() || given(self.redirect_to).is_some() {
                    return Err(AuthError::validation("Only the token_hash and type should be provided"));
                }
                Shown::hash(&hash)
            }
            (Some(code), None) => match (email, phone) {
                (Some(email), None) if !by_phone => Shown::code(email.parse::<Email>()?, &code),
                (None, Some(phone)) if by_phone => Shown::code(phone.parse::<Phone>()?, &code),
                _ => return Err(AuthError::validation("Only an email address or phone number should be provided on verify")),
            },
            _ => return Err(AuthError::validation("Verify requires either a token or a token hash")),
        };
        Ok((purposes, shown))
    }
}

/// How a token came back: from a browser that followed its link, or from an app.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Link,
    App,
}

/// What came of a token.
enum Done {
    SignedIn(Box<Session>),
    /// The app gets the session for this code, if it is the app that asked.
    Code(AuthCodeText),
    HalfAgreed,
}

/// The same inside the transaction.
enum Stored {
    SignedIn(Box<Opened>),
    Code,
    HalfAgreed,
    Refused,
    Banned,
}

async fn use_up(app: &App, tenant: &Tenant, client: Client, purposes: &'static [Purpose], shown: &Shown, way: Way) -> Result<Done, AuthError> {
    let now = app.clock.now();
    let conn = app.db.read().await?;
    let peeked = one_time_token::peek(app, &conn, tenant.id, now, purposes, shown).await?;
    let user = match (&peeked, shown) {
        (Some(token), _) => sql::find_user(&conn, tenant.id, token.user_id).await?,
        // Whose code was guessed at, if anybody's.
        (None, Shown::Code { address, .. }) => sql::find_user_by_address(&conn, tenant.id, address).await?,
        (None, Shown::Hash(_)) => None,
    };
    drop(conn);
    // What needs a key is made before the transaction. For who is not known it serves nobody, and takes its time.
    let user_id = user.as_ref().map(|user| user.id);
    let is_banned = peeked.is_some() && user.as_ref().is_some_and(|user| user.is_banned(now));
    let session = session::begin(app, tenant, now, user_id.unwrap_or_else(Uuid::new_v4), &Proof::by("otp"));
    let using = Using {
        tenant: Redeeming::of(tenant),
        now,
        purposes,
        shown: shown.clone(),
        way,
        is_secure: tenant.settings.mail.secure_email_change,
        user_id,
        is_banned,
        session: session.clone(),
        client,
        code: AuthCodeText::new(),
        teller: Teller::of(app, tenant),
    };
    let key = std::sync::Arc::clone(&app.master_key);
    let (stored, code) = app.db.write(move |tx| async move { using.run(&tx, &key).await }).await.map_err(taken_meanwhile)?;
    app.jobs.wake();
    match stored {
        Stored::SignedIn(opened) => session::answer(app, tenant, now, &session, *opened).await.map(|session| Done::SignedIn(Box::new(session))),
        Stored::Code => Ok(Done::Code(code)),
        Stored::HalfAgreed => Ok(Done::HalfAgreed),
        Stored::Refused => Err(AuthError::otp_expired()),
        Stored::Banned => Err(AuthError::forbidden(AuthCode::UserBanned, "User is banned")),
    }
}

/// Somebody else may have got the address or number while its confirmation was on its way.
fn taken_meanwhile(error: Error) -> AuthError {
    match error {
        Error::Constraint(constraint) if constraint.kind == ConstraintKind::Unique => AuthError::taken(&constraint),
        error => error.into(),
    }
}

/// What a transaction needs to use a token up.
struct Using {
    tenant: Redeeming,
    now: Timestamp,
    purposes: &'static [Purpose],
    shown: Shown,
    way: Way,
    is_secure: bool,
    /// Whose token it seems to be.
    user_id: Option<Uuid>,
    /// Whether that user may not come in, whatever it shows. It may be let in again, and still has its token then.
    is_banned: bool,
    session: SessionRow,
    client: Client,
    code: AuthCodeText,
    teller: Teller,
}

impl Using {
    async fn run(self, tx: &Tx, key: &MasterKey) -> DbResult<(Stored, AuthCodeText)> {
        let stored = self.use_up(tx, key).await?;
        let refused = match stored {
            Stored::Refused => Some(AuthCode::OtpExpired),
            Stored::Banned => Some(AuthCode::UserBanned),
            Stored::SignedIn(_) | Stored::Code | Stored::HalfAgreed => None,
        };
        if let Some(reason) = refused {
            let refusal = Event::of(Action::LoginFailed, self.client.origin.clone()).with("method", "otp").with("reason", reason.as_str());
            let refusal = self.user_id.into_iter().fold(refusal, Event::about);
            audit::note(tx, self.tenant.id, self.now, &refusal).await?;
        }
        Ok((stored, self.code))
    }

    async fn use_up(&self, tx: &Tx, key: &MasterKey) -> DbResult<Stored> {
        if self.is_banned {
            return Ok(Stored::Banned);
        }
        let tenant = self.tenant.id;
        let Some(token) = one_time_token::redeem(tx, key, &self.tenant, self.now, self.purposes, &self.shown).await? else {
            return Ok(Stored::Refused);
        };
        let Some(user) = sql::lock_user(tx, tenant, token.user_id).await? else { return Ok(Stored::Refused) };
        // Another token came between the look and now, or the user is gone.
        if user.id != self.session.user_id || user.deleted_at.is_some() {
            return Ok(Stored::Refused);
        }
        if user.is_banned(self.now) {
            return Ok(Stored::Banned);
        }
        // The flow of the link, before everything that waits for the user is let go of.
        let has_code = self.way == Way::Link && flow_state::issue_code(tx, tenant, self.now, token.id, &self.code).await?;
        match self.apply(tx, user, &token).await? {
            Applied::Nothing => Ok(Stored::Refused),
            Applied::Half => Ok(Stored::HalfAgreed),
            Applied::All if has_code => Ok(Stored::Code),
            Applied::All => {
                let opened = session::store(tx, tenant, self.now, &self.session, &self.client, &self.teller).await?;
                Ok(opened.map_or(Stored::Refused, |opened| Stored::SignedIn(Box::new(opened))))
            }
        }
    }

    /// What a token does to its user.
    async fn apply(&self, tx: &Tx, mut user: UserRow, token: &TokenRow) -> DbResult<Applied> {
        let (tenant, now) = (self.tenant.id, self.now);
        let is_theirs = |own: &Option<String>| own.as_deref() == Some(token.address.as_str());
        let Some(purpose) = token.purpose() else { return Ok(Applied::Nothing) };
        let before = user.clone();
        match purpose {
            Purpose::Confirmation | Purpose::Invite | Purpose::MagicLink | Purpose::Recovery => {
                if !is_theirs(&user.email) {
                    return Ok(Applied::Nothing);
                }
                if user.email_confirmed_at.is_none() {
                    // Only the mail that the sign-up itself sent leaves what the sign-up said.
                    if purpose != Purpose::Confirmation && !is_known_by_number(tx, tenant, &user).await? {
                        shut_out_others(tx, tenant, &mut user, |identity| identity.provider == EMAIL_PROVIDER).await?;
                        let own: Email = token.address.parse().map_err(|_| Error::internal("a stored address is none"))?;
                        set_email(tx, tenant, now, &mut user, &own, true).await?;
                        note_providers(tx, tenant, &mut user).await?;
                        revoke_all_but(tx, tenant, &mut user, token).await?;
                    }
                    confirm_email(tx, tenant, now, &mut user).await?;
                    let done = if purpose == Purpose::Invite { Action::InviteAccepted } else { Action::UserConfirmed };
                    self.note(tx, &user, self.event(done).with("provider", EMAIL_PROVIDER)).await?;
                } else if purpose == Purpose::Recovery && user.email_is_unproved {
                    // Whoever signed up where addresses count without proof may have been somebody else. A second factor, if there is one,
                    // stays: nobody gets past it by way of a mail.
                    shut_out_first_factors(tx, tenant, &mut user, |identity| identity.provider == EMAIL_PROVIDER).await?;
                    user.email_is_unproved = false;
                    note_providers(tx, tenant, &mut user).await?;
                    revoke_all_but(tx, tenant, &mut user, token).await?;
                }
            }
            Purpose::EmailChangeCurrent | Purpose::EmailChangeNew => {
                let Some(new) = user.new_email.clone().filter(|new| token.new_address.as_ref() == Some(new)) else { return Ok(Applied::Nothing) };
                let half = if purpose == Purpose::EmailChangeNew { "new" } else { "current" };
                let has_other = user.email_change_agreed.as_deref().is_some_and(|agreed| agreed != half);
                if self.is_secure && user.email.is_some() && !has_other {
                    user.email_change_agreed = Some(half.to_owned());
                    user.updated_at = now;
                    sql::update_user(tx, tenant, &user).await?;
                    self.note(tx, &user, self.event(Action::UserModified).with("agreed_to_email", half)).await?;
                    return Ok(Applied::Half);
                }
                let new: Email = new.parse().map_err(|_| Error::internal("a stored address is none"))?;
                set_email(tx, tenant, now, &mut user, &new, true).await?;
                user.is_anonymous = false;
                self.note(tx, &user, self.event(Action::UserModified).with("changed", json!(["email"]))).await?;
                self.teller.tell(tx, now, &before, Notice::EmailChanged { new: new.into() }).await?;
            }
            Purpose::Sms | Purpose::SmsSignIn => {
                if !is_theirs(&user.phone) {
                    return Ok(Applied::Nothing);
                }
                if user.phone_confirmed_at.is_none() {
                    // As by mail.
                    if purpose == Purpose::SmsSignIn && user.email_confirmed_at.is_none() {
                        let (number, own) = (user.phone.clone(), |identity: &IdentityRow| identity.provider == PHONE_PROVIDER);
                        shut_out_others(tx, tenant, &mut user, own).await?;
                        user.phone = number;
                        note_providers(tx, tenant, &mut user).await?;
                        revoke_all_but(tx, tenant, &mut user, token).await?;
                    }
                    confirm_phone(tx, tenant, now, &mut user).await?;
                    self.note(tx, &user, self.event(Action::UserConfirmed).with("provider", PHONE_PROVIDER)).await?;
                }
            }
            Purpose::PhoneChange => {
                if !is_theirs(&user.new_phone) {
                    return Ok(Applied::Nothing);
                }
                set_phone(tx, tenant, now, &mut user, &token.address, true).await?;
                user.is_anonymous = false;
                self.note(tx, &user, self.event(Action::UserModified).with("changed", json!(["phone"]))).await?;
                self.teller.tell(tx, now, &before, Notice::PhoneChanged { new: token.address.clone() }).await?;
            }
            Purpose::Reauthentication => return Ok(Applied::Nothing),
        }
        clear_tokens(tx, tenant, &mut user, purpose, token).await?;
        user.updated_at = now;
        sql::update_user(tx, tenant, &user).await?;
        Ok(Applied::All)
    }

    fn event(&self, action: Action) -> Event {
        Event::of(action, self.client.origin.clone())
    }

    async fn note(&self, tx: &Tx, user: &UserRow, event: Event) -> DbResult<()> {
        audit::note(tx, self.tenant.id, self.now, &event.by_user(user.id).about(user.id)).await
    }
}

/// Whether a number that was proved says whose account it is. By way of a provider that vouches for no address anybody may have come, and
/// have added a number.
async fn is_known_by_number(tx: &Tx, tenant: TenantId, user: &UserRow) -> DbResult<bool> {
    let is_own = |identity: &IdentityRow| [EMAIL_PROVIDER, PHONE_PROVIDER].contains(&identity.provider.as_str());
    Ok(user.phone_confirmed_at.is_some() && sql::identities_of(tx, tenant, user.id).await?.iter().all(is_own))
}

/// What a token did.
enum Applied {
    Nothing,
    Half,
    All,
}

/// Lets go of all else that waits for the user; where the address is another one now, of what was asked for besides, too.
async fn clear_tokens(tx: &Tx, tenant: TenantId, user: &mut UserRow, purpose: Purpose, token: &TokenRow) -> DbResult<()> {
    match purpose {
        Purpose::EmailChangeCurrent | Purpose::EmailChangeNew | Purpose::PhoneChange => revoke_all_but(tx, tenant, user, token).await,
        _ => sql::one_time_tokens::delete_of(tx, tenant, token.user_id).await,
    }
}

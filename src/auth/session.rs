//! Sessions: how one begins, and the tokens it is shown by.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    error::AuthError,
    factors::FactorRow,
    hooks,
    limits::network_of,
    model::{IdentityRow, Metadata, Session, SessionRow, User, UserRow, object},
    notice::{Notice, Teller},
    refresh_token::RefreshToken,
    session_end::expiry,
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event, Origin},
    crypto::{random, sha256},
    db::{Conn, Json, Timestamp, Tx},
    error::Result,
    http::current_client,
    tenants::{Tenant, TenantId, TokenKind},
};

/// Where a session is used from, as far as it is told.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) user_agent: Option<String>,
    pub(super) ip: Option<String>,
    /// The request that uses it.
    pub(super) origin: Origin,
}

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: Uuid,
    aud: String,
    exp: i64,
    iat: i64,
    email: String,
    phone: String,
    app_metadata: Metadata,
    user_metadata: Metadata,
    role: String,
    aal: String,
    amr: serde_json::Value,
    session_id: Uuid,
    is_anonymous: bool,
}

/// How somebody proved to be a user: what `amr` says of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Proof {
    /// `password`, `otp`, `oauth`, … as upstream names them.
    pub(super) method: &'static str,
    /// Who vouched for the user, where somebody else did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
}

impl Proof {
    /// A proof that needs nobody else.
    pub(super) fn by(method: &'static str) -> Self {
        Self { method, provider: None }
    }
}

/// A user with what it signs in with, as it is once it has signed in.
pub(super) struct Opened {
    pub(super) user: UserRow,
    pub(super) identities: Vec<IdentityRow>,
    pub(super) factors: Vec<FactorRow>,
}

/// A user with all that is shown of it.
pub(super) async fn opened(conn: &Conn, tenant: TenantId, user: UserRow) -> Result<Opened> {
    let identities = sql::identities_of(conn, tenant, user.id).await?;
    let factors = sql::factors_of(conn, tenant, user.id).await?;
    Ok(Opened { user, identities, factors })
}

/// A user as it is shown, with all that is its own.
pub(super) async fn shown_user(conn: &Conn, tenant: TenantId, user: UserRow) -> Result<User> {
    let Opened { user, identities, factors } = opened(conn, tenant, user).await?;
    Ok(User::new(user, identities).with_factors(factors))
}

/// A new session of a user; still to be stored.
pub(super) fn begin(app: &App, tenant: &Tenant, now: Timestamp, user: Uuid, proof: &Proof) -> SessionRow {
    let id = Uuid::now_v7();
    SessionRow {
        id,
        user_id: user,
        refresh_key: app.master_key.seal(&place(tenant, id), &random::<32>()),
        refresh_counter: 0,
        aal: "aal1".to_owned(),
        amr: Json(json!([amr_entry(proof, now)])),
        created_at: now,
        refreshed_at: None,
        not_after: None,
        refresh_floor: 0,
    }
}

impl SessionRow {
    /// Notes one proof more. A method is named once, with the last time that it was used.
    pub(super) fn prove(&mut self, proof: &Proof, now: Timestamp) {
        let Some(entries) = self.amr.0.as_array_mut() else { return };
        entries.retain(|entry| entry["method"] != proof.method);
        entries.insert(0, amr_entry(proof, now));
    }
}

/// What `amr` says of one proof.
fn amr_entry(proof: &Proof, now: Timestamp) -> Value {
    let mut entry = json!(proof);
    entry["timestamp"] = json!(now.seconds());
    entry
}

/// Stores a new session and notes the sign-in, in the transaction that used up the proof. `None` when the user is gone or banned.
/// Every way in ends here, so that what holds for each new session holds for all.
pub(super) async fn store(
    tx: &Tx,
    tenant: TenantId,
    now: Timestamp,
    session: &SessionRow,
    client: &Client,
    teller: &Teller,
) -> Result<Option<Opened>> {
    let Some(user) = sql::lock_user(tx, tenant, session.user_id).await? else { return Ok(None) };
    if user.deleted_at.is_some() || user.is_banned(now) {
        return Ok(None);
    }
    sql::note_sign_in(tx, tenant, now, user.id).await?;
    sql::insert_session(tx, tenant, session, client).await?;
    audit::note(tx, tenant, now, &login(session, client)).await?;
    if let Some(network) = client.ip.as_deref().and_then(|ip| ip.parse().ok()).map(network_of) {
        sql::limits::note_network(tx, tenant, now, user.id, &network).await?;
    }
    if sql::messages::note_device(tx, tenant, now, user.id, &client.fingerprint()).await? {
        teller.tell(tx, now, &user, Notice::NewDevice { device: client.described() }).await?;
    }
    let user = UserRow { last_sign_in_at: Some(now), updated_at: now, ..user };
    opened(tx, tenant, user).await.map(Some)
}

/// What the audit log says of a new session.
fn login(session: &SessionRow, client: &Client) -> Event {
    let login = Event::of(Action::Login, client.origin.clone()).by_user(session.user_id).with("session_id", session.id.to_string());
    // The newest proof, as `amr` has it.
    let proof = &session.amr.0[0];
    ["method", "provider"].into_iter().filter(|name| proof[name].is_string()).fold(login, |login, name| login.with(name, proof[name].clone()))
}

/// The tokens of a new session, with its user. Not to be called inside a transaction: what goes into a token may be asked of others.
pub(super) async fn answer(app: &App, tenant: &Tenant, now: Timestamp, session: &SessionRow, opened: Opened) -> Result<Session, AuthError> {
    let answered = answer_to(app, tenant, now, session, opened, newest_method(session)).await;
    if answered.is_err() {
        // Nobody has its tokens.
        let (tenant, id) = (tenant.id, session.id);
        app.db.write(move |tx| async move { sql::delete_session(&tx, tenant, id).await }).await?;
    }
    answered
}

/// The newest proof of a session, as `amr` has it.
pub(super) fn newest_method(session: &SessionRow) -> &str {
    session.amr.0[0]["method"].as_str().unwrap_or_default()
}

/// The tokens of a session, for somebody who asked for them in this way.
pub(super) async fn answer_to(
    app: &App,
    tenant: &Tenant,
    now: Timestamp,
    session: &SessionRow,
    opened: Opened,
    method: &str,
) -> Result<Session, AuthError> {
    let custom = ask_claims(app, tenant, now, session, &opened, method).await?;
    tokens(app, tenant, now, session, opened, custom)
}

/// What the tenant's hook has an access token say. `None` without one.
pub(super) async fn ask_claims(
    app: &App,
    tenant: &Tenant,
    now: Timestamp,
    session: &SessionRow,
    opened: &Opened,
    method: &str,
) -> Result<Option<Value>, AuthError> {
    let claims = || Ok(serde_json::to_value(Claims::of(tenant, now, session, opened))?);
    hooks::custom_access_token(app, tenant, opened.user.id, method, claims).await
}

/// The tokens of a session; the access token says what the tenant's hook made of it, if there is one.
pub(super) fn tokens(
    app: &App,
    tenant: &Tenant,
    now: Timestamp,
    session: &SessionRow,
    opened: Opened,
    custom: Option<Value>,
) -> Result<Session, AuthError> {
    let key = refresh_key(app, tenant, session)?;
    let claims = Claims::of(tenant, now, session, &opened);
    let expires_at = claims.exp;
    let (access_token, expires_at) = match custom {
        Some(claims) => (tenant.keys.sign(TokenKind::Access, &claims)?, claims["exp"].as_i64().unwrap_or(expires_at)),
        None => (tenant.keys.sign(TokenKind::Access, &claims)?, expires_at),
    };
    Ok(Session {
        access_token,
        token_type: "bearer".to_owned(),
        expires_in: expires_at - now.seconds(),
        expires_at,
        refresh_token: RefreshToken::write(tenant.id, session.id, session.refresh_counter, &key),
        user: User::new(opened.user, opened.identities).with_factors(opened.factors),
        provider_token: None,
        provider_refresh_token: None,
        weak_password: None,
    })
}

impl Claims {
    fn of(tenant: &Tenant, now: Timestamp, session: &SessionRow, Opened { user, factors, .. }: &Opened) -> Self {
        Self {
            iss: tenant.issuer.clone(),
            sub: user.id,
            aud: user.aud.clone(),
            exp: expiry(&tenant.settings.sessions, now, session, factors.iter().any(FactorRow::is_verified)),
            iat: now.seconds(),
            email: user.email.clone().unwrap_or_default(),
            phone: user.phone.clone().unwrap_or_default(),
            app_metadata: object(user.app_metadata.clone()),
            user_metadata: object(user.user_metadata.clone()),
            role: user.role.clone(),
            aal: session.aal.clone(),
            amr: session.amr.0.clone(),
            session_id: session.id,
            is_anonymous: user.is_anonymous,
        }
    }
}

impl Client {
    /// By what a browser in a network is known again: without versions, which change every few weeks, and without the end of the address.
    fn fingerprint(&self) -> [u8; 32] {
        let browser: String = self.user_agent.iter().flat_map(|text| text.chars()).filter(|c| !c.is_ascii_digit() && *c != '.').collect();
        let network = match self.ip.as_deref().and_then(|ip| ip.parse().ok()) {
            Some(IpAddr::V4(address)) => address.octets()[..2].to_vec(),
            Some(IpAddr::V6(address)) => address.octets()[..4].to_vec(),
            None => Vec::new(),
        };
        sha256(&[browser.as_bytes(), b"\0", &network].concat())
    }

    /// As its user may know it.
    fn described(&self) -> String {
        let browser = self.user_agent.as_deref().unwrap_or("?");
        let browser: String = browser.chars().filter(|c| !c.is_control()).take(160).collect();
        self.ip.as_ref().map_or_else(|| browser.clone(), |ip| format!("{browser} ({ip})"))
    }
}

/// The key that a session's refresh tokens are made with. In the database it is sealed: whoever reads the database can't make a token.
pub(super) fn refresh_key(app: &App, tenant: &Tenant, session: &SessionRow) -> Result<Vec<u8>> {
    app.master_key.open(&place(tenant, session.id), &session.refresh_key)
}

/// A new key for the refresh tokens of a session that came from elsewhere.
pub(super) fn imported_session_key(app: &App, tenant: &Tenant, session: Uuid) -> Vec<u8> {
    app.master_key.seal(&place(tenant, session), &random::<32>())
}

fn place(tenant: &Tenant, session: Uuid) -> String {
    format!("sessions/{}/{session}", tenant.id.number())
}

impl FromRequestParts<App> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let ip = current_client().map(|address| address.to_string());
        Ok(Self { user_agent: user_agent.map(|text| text.chars().take(512).collect()), ip, origin: Origin::here() })
    }
}

//! Flows that leave this server and come back: a challenge that was given at the beginning (PKCE, RFC 7636), a code at the end, and what
//! belongs to them in between.
//!
//! A mail link's flow is bound to that link and lives as long as it. A code is a row's own, is stored hashed, ends after five minutes and
//! is exchanged once, by whoever knows the verifier of the challenge.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    caller::Visitor,
    error::{AuthCode, AuthError},
    linking::{self, Errand, Visit},
    model::{Session, SessionRow},
    notice::Teller,
    provider::Profile,
    session::{self, Client, Proof},
    sql::flow_states as sql,
};
use crate::{
    app::App,
    crypto::{base64url, same, sha256},
    db::{Timestamp, Tx},
    error::Result as DbResult,
    row_type,
    tenants::{Tenant, TenantId},
};

/// Seconds that a code is good for.
const CODE_SECONDS: i64 = 5 * 60;

/// What the client shows the hash of at the beginning and itself at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    text: String,
    method: ChallengeMethod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChallengeMethod {
    S256,
    Plain,
}

impl ChallengeMethod {
    fn as_str(self) -> &'static str {
        match self {
            Self::S256 => "s256",
            Self::Plain => "plain",
        }
    }
}

impl Challenge {
    /// Reads the pair: both or neither.
    pub(super) fn read(challenge: Option<&str>, method: Option<&str>) -> Result<Option<Self>, AuthError> {
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let (text, method) = match (given(challenge), given(method)) {
            (None, None) => return Ok(None),
            (Some(text), Some(method)) => (text, method),
            _ => return Err(AuthError::validation("PKCE flow requires code_challenge_method and code_challenge")),
        };
        if !(43..=128).contains(&text.len()) {
            return Err(AuthError::validation("code challenge has to be between 43 and 128 characters"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
            return Err(AuthError::validation("code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes"));
        }
        let method = match () {
            () if method.eq_ignore_ascii_case("s256") => ChallengeMethod::S256,
            () if method.eq_ignore_ascii_case("plain") => ChallengeMethod::Plain,
            () => return Err(AuthError::validation("code challenge method has to be s256 or plain")),
        };
        Ok(Some(Self { text, method }))
    }

    fn of(row: &FlowStateRow) -> Option<Self> {
        let method = match row.challenge_method.as_deref()? {
            "s256" => ChallengeMethod::S256,
            _ => ChallengeMethod::Plain,
        };
        Some(Self { text: row.challenge.clone()?, method })
    }

    fn is_met_by(&self, verifier: &str) -> bool {
        match self.method {
            ChallengeMethod::S256 => same(self.text.as_bytes(), base64url(&sha256(verifier.as_bytes())).as_bytes()),
            ChallengeMethod::Plain => same(self.text.as_bytes(), verifier.as_bytes()),
        }
    }
}

/// What a flow is for: what the session that it ends in says as `amr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlowKind {
    Oauth,
    Signup,
    Invite,
    Magiclink,
    Recovery,
    EmailChange,
}

impl FlowKind {
    const ALL: [Self; 6] = [Self::Oauth, Self::Signup, Self::Invite, Self::Magiclink, Self::Recovery, Self::EmailChange];

    /// The method as `amr` has it, by which a row knows it again.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Oauth => "oauth",
            Self::Signup => "email/signup",
            Self::Invite => "invite",
            Self::Magiclink => "magiclink",
            Self::Recovery => "recovery",
            Self::EmailChange => "email_change",
        }
    }

    fn of(row: &FlowStateRow) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.method() == row.method)
    }
}

row_type! {
    /// A flow as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct FlowStateRow {
        pub(super) id: Uuid,
        /// A [`FlowKind`].
        pub(super) method: String,
        /// Whose session it ends in, once that is known.
        pub(super) user_id: Option<Uuid>,
        /// The mail token that it began with.
        pub(super) mail_token_id: Option<Uuid>,
        pub(super) challenge: Option<String>,
        pub(super) challenge_method: Option<String>,
        /// SHA-256 of the code, once there is one.
        pub(super) code_hash: Option<Vec<u8>>,
        /// The provider that the user was sent to.
        pub(super) provider: Option<String>,
        /// SHA-256 of what the provider gives back.
        pub(super) state_hash: Option<Vec<u8>>,
        /// SHA-256 of what the user's browser keeps meanwhile.
        pub(super) browser_hash: Option<Vec<u8>>,
        /// When the user came back from the provider.
        pub(super) claimed_at: Option<Timestamp>,
        /// The session of the user who wants an identity more.
        pub(super) linking_session_id: Option<Uuid>,
        pub(super) redirect_to: Option<String>,
        /// Sealed: what the provider is shown when the user comes back, and what it gave then.
        pub(super) secret: Option<Vec<u8>>,
        pub(super) created_at: Timestamp,
        pub(super) expires_at: Timestamp,
    }
}

impl FlowStateRow {
    /// A flow that has just begun.
    pub(super) fn new(kind: FlowKind, challenge: Option<&Challenge>, now: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            id: Uuid::now_v7(),
            method: kind.method().to_owned(),
            user_id: None,
            mail_token_id: None,
            challenge: challenge.map(|challenge| challenge.text.clone()),
            challenge_method: challenge.map(|challenge| challenge.method.as_str().to_owned()),
            code_hash: None,
            provider: None,
            state_hash: None,
            browser_hash: None,
            claimed_at: None,
            linking_session_id: None,
            redirect_to: None,
            secret: None,
            created_at: now,
            expires_at,
        }
    }

    /// Where its secret is sealed for.
    pub(super) fn place(tenant: TenantId, id: Uuid) -> String {
        format!("flow_states/{}/{id}", tenant.number())
    }
}

/// A flow that a mail begins: stored with the token of that mail, and as long as it.
pub(super) fn of_mail(kind: FlowKind, challenge: &Challenge, user: Uuid, mail_token: Uuid, now: Timestamp, expires_at: Timestamp) -> FlowStateRow {
    FlowStateRow { user_id: Some(user), mail_token_id: Some(mail_token), ..FlowStateRow::new(kind, Some(challenge), now, expires_at) }
}

/// A code that a client exchanges for a session. It is shown once, in the URL of the app.
pub(super) struct AuthCodeText(Uuid);

impl AuthCodeText {
    pub(super) fn new() -> Self {
        Self(Uuid::new_v4())
    }

    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(self.text().as_bytes())
    }
}

/// Until when a code that is made now is good.
pub(super) fn code_ends(now: Timestamp) -> Timestamp {
    now.plus_seconds(CODE_SECONDS)
}

/// Gives the flow of a mail token its code, in the transaction that uses up the token. False when the token began no such flow: its
/// link is to be answered as one without a challenge.
pub(super) async fn issue_code(tx: &Tx, tenant: TenantId, now: Timestamp, mail_token: Uuid, code: &AuthCodeText) -> DbResult<bool> {
    sql::set_code_of_mail(tx, tenant, mail_token, &code.hash(), code_ends(now)).await
}

/// Ends every flow of a user: who changes password or address may do so because of one of them.
pub(super) async fn delete_all_of(tx: &Tx, tenant: TenantId, user: Uuid) -> DbResult<()> {
    sql::delete_of_user(tx, tenant, user).await
}

/// What a provider gave, kept until the app asks for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ProviderTokens {
    pub(super) access_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    /// Whom the user of a flow wants to be, too, once the app has shown that it is the one that asked.
    #[serde(default)]
    pub(super) to_link: Option<Profile>,
}

/// Exchanges a code for the session that its flow has earned.
pub(super) async fn exchange(app: &App, visitor: &Visitor, code: &str, verifier: &str, client: Client) -> Result<Session, AuthError> {
    let tenant = &visitor.tenant;
    if code.is_empty() || verifier.is_empty() {
        return Err(AuthError::validation("invalid request: both auth code and code verifier should be non-empty"));
    }
    let now = app.clock.now();
    let hash = sha256(code.as_bytes());
    let flow = sql::find_by_code(&app.db.read().await?, tenant.id, &hash).await?.ok_or_else(not_found)?;
    if flow.expires_at <= now {
        return Err(AuthError::unprocessable(AuthCode::FlowStateExpired, "invalid flow state, flow state has expired"));
    }
    // A flow without a challenge has no code; should one have, nothing meets it.
    if !Challenge::of(&flow).is_some_and(|challenge| challenge.is_met_by(verifier)) {
        return Err(AuthError::bad_request(AuthCode::BadCodeVerifier, "code challenge does not match previously saved code verifier"));
    }
    let (Some(user), Some(kind)) = (flow.user_id, FlowKind::of(&flow)) else { return Err(not_found()) };
    let tokens: ProviderTokens = match &flow.secret {
        Some(sealed) => {
            serde_json::from_slice(&app.master_key.open(&FlowStateRow::place(tenant.id, flow.id), sealed)?).map_err(crate::error::Error::from)?
        }
        None => ProviderTokens::default(),
    };
    let mut session = if let (Some(profile), Some(asking)) = (tokens.to_link, flow.linking_session_id) {
        let (id, flow_id) = (tenant.id, flow.id);
        if !app.db.write(move |tx| async move { sql::delete_by_code(&tx, id, flow_id, &hash).await }).await? {
            return Err(not_found());
        }
        let (errand, languages) = (Errand::Link { user, session: asking }, String::new());
        let redirect_to = flow.redirect_to.unwrap_or_default();
        let visit = Visit { profile: &profile, errand, redirect_to, languages, peer: &visitor.peer };
        linking::sign_in(app, tenant, &visit, kind.method(), client).await?
    } else {
        let proof = Proof { method: kind.method(), provider: flow.provider.clone() };
        let row = session::begin(app, tenant, now, user, &proof);
        open(app, tenant, now, &flow, hash, row, client).await?
    };
    session.provider_token = tokens.access_token;
    session.provider_refresh_token = tokens.refresh_token;
    Ok(session)
}

/// Uses the code up and stores the session, both or neither.
async fn open(
    app: &App,
    tenant: &Tenant,
    now: Timestamp,
    flow: &FlowStateRow,
    code_hash: [u8; 32],
    row: SessionRow,
    client: Client,
) -> Result<Session, AuthError> {
    let (id, flow_id, stored, teller) = (tenant.id, flow.id, row.clone(), Teller::of(app, tenant));
    let opened = app
        .db
        .write(move |tx| async move {
            if !sql::delete_by_code(&tx, id, flow_id, &code_hash).await? {
                return Ok(None);
            }
            session::store(&tx, id, now, &stored, &client, &teller).await.map(Some)
        })
        .await?;
    app.jobs.wake();
    let opened = opened.ok_or_else(not_found)?.ok_or_else(|| AuthError::forbidden(AuthCode::UserBanned, "User is banned"))?;
    session::answer(app, tenant, now, &row, opened).await
}

fn not_found() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, AuthCode::FlowStateNotFound, "invalid flow state, no valid flow state found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_a_whole_pair() {
        let good = "a".repeat(43);
        let read = |challenge: &str, method: &str| Challenge::read(Some(challenge), Some(method));
        assert!(Challenge::read(None, None).unwrap().is_none() && read("", "").unwrap().is_none());
        for method in ["s256", "S256", "plain", "PLAIN"] {
            assert!(read(&good, method).unwrap().is_some());
        }
        for (challenge, method) in [
            (good.as_str(), ""),
            ("", "s256"),
            (&good[1..], "s256"),
            (&"a".repeat(129), "s256"),
            (&format!("{good}+"), "s256"),
            (&format!("{good} "), "s256"),
            (&good, "s512"),
            (&good, "s256 "),
        ] {
            assert!(read(challenge, method).is_err(), "{challenge} {method}");
        }
    }

    #[test]
    fn a_challenge_is_met_by_its_verifier_alone() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let hashed = Challenge::read(Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), Some("S256")).unwrap().unwrap();
        assert!(hashed.is_met_by(verifier) && !hashed.is_met_by(&hashed.text) && !hashed.is_met_by(""));
        let plain = Challenge::read(Some(verifier), Some("plain")).unwrap().unwrap();
        assert!(plain.is_met_by(verifier) && !plain.is_met_by(&verifier[1..]));
    }
}

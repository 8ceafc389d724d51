//! Passkeys: who has one signs in with nothing else.
//!
//! A passkey is a first factor: the session that it opens is `aal1`, as that of a password is. Whoever has a second factor needs it to add
//! or remove one.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::{CurrentUser, UserReader, UserWriter, Visitor},
    captcha::{self, MetaSecurity},
    error::{AuthCode, AuthError, AuthFailures},
    factors::{insufficient, is_short_of_a_factor, refuse_anonymous},
    limits::{self, Bucket},
    model::Session,
    notice::{Notice, Teller},
    request::{JsonBody, default_if_null, path_id},
    session::{self, Client, Proof},
    sql, webauthn,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{Json as DbJson, Timestamp, Tx},
    error::Result as DbResult,
    row_type,
    tenants::{Tenant, TenantId},
};

/// The routes of passkeys.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(begin_passkey_registration))
        .routes(routes!(create_passkey))
        .routes(routes!(begin_passkey_sign_in))
        .routes(routes!(sign_in_by_passkey))
        .routes(routes!(list_passkeys))
        .routes(routes!(update_passkey, delete_passkey))
        .routes(routes!(list_passkeys_of_user))
        .routes(routes!(delete_passkey_of_user))
}

row_type! {
    /// A passkey as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct PasskeyRow {
        pub(super) id: Uuid,
        pub(super) user_id: Uuid,
        pub(super) friendly_name: String,
        pub(super) credential_id: Vec<u8>,
        pub(super) credential: DbJson,
        pub(super) created_at: Timestamp,
        pub(super) updated_at: Timestamp,
        pub(super) last_used_at: Option<Timestamp>,
    }
}

row_type! {
    /// What an authenticator was asked, as it is stored.
    pub(super) struct PasskeyChallengeRow {
        pub(super) id: Uuid,
        pub(super) user_id: Option<Uuid>,
        pub(super) state: DbJson,
        pub(super) expires_at: Timestamp,
    }
}

/// Seconds for which a challenge can be answered.
const CHALLENGE_SECONDS: i64 = 300;
/// Characters of a passkey's name at most.
const LONGEST_NAME: usize = 120;
/// What a passkey is called until its user calls it something.
const NAME: &str = "Passkey";

/// What an authenticator is asked.
#[derive(Serialize, ToSchema)]
pub(super) struct PasskeyChallenge {
    /// Named when the answer is given.
    challenge_id: Uuid,
    /// What the browser is to ask of the authenticator: `publicKey` of `navigator.credentials.create` or `get`.
    options: Value,
    /// Until when it can be answered, in seconds since 1970.
    expires_at: i64,
}

/// What an authenticator answered.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasskeyAnswer {
    /// The challenge that is answered.
    #[serde(default, deserialize_with = "default_if_null")]
    #[schema(format = Uuid)]
    challenge_id: String,
    /// The browser's `PublicKeyCredential` as JSON.
    #[serde(default)]
    credential: Option<Value>,
}

impl PasskeyAnswer {
    fn check(self) -> Result<(Uuid, Value), AuthError> {
        if self.challenge_id.is_empty() {
            return Err(AuthError::validation("challenge_id is required"));
        }
        let credential = self.credential.ok_or_else(|| AuthError::validation("credential is required"))?;
        let id = self.challenge_id.parse().map_err(|_| AuthError::validation("challenge_id must be a valid UUID"))?;
        Ok((id, credential))
    }
}

/// A passkey.
#[derive(Serialize, ToSchema)]
pub(super) struct Passkey {
    /// The passkey's id.
    id: Uuid,
    /// What the user calls it.
    friendly_name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl Passkey {
    fn new(row: PasskeyRow) -> Self {
        Self { id: row.id, friendly_name: row.friendly_name, created_at: row.created_at, last_used_at: row.last_used_at }
    }
}

/// Begins to add a passkey to the signed-in user.
#[utoipa::path(post, path = "/auth/v1/passkeys/registration/options", tag = "auth",
    responses((status = 200, body = PasskeyChallenge, description = "What the browser is to ask"), AuthFailures),
    security(("apikey" = [], "user" = [])))]
pub(super) async fn begin_passkey_registration(State(app): State<App>, current: CurrentUser) -> Result<Json<PasskeyChallenge>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::Passkey, &current.peer).await?;
    check_enabled(&current.tenant)?;
    refuse_anonymous(&current.user)?;
    check_can_manage(&app, &current).await?;
    let tenant = &current.tenant;
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, tenant.id, current.user.user_id).await?.ok_or_else(AuthError::user_not_found)?;
    let known = sql::passkeys_of(&conn, tenant.id, user.id).await?;
    drop(conn);
    if is_full(tenant, known.len()) {
        return Err(too_many());
    }
    let known = known.iter().map(|passkey| webauthn::credential(&passkey.credential)).collect::<DbResult<Vec<_>>>()?;
    let (options, state) = webauthn::begin_registration(&webauthn::relying_party(tenant), &user, &known, true)?;
    ask(&app, tenant, Some(user.id), options, state).await
}

/// Adds a passkey to the signed-in user.
#[utoipa::path(post, path = "/auth/v1/passkeys/registration/verify", tag = "auth", request_body = PasskeyAnswer,
    responses((status = 200, body = Passkey, description = "The passkey"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn create_passkey(
    State(app): State<App>,
    current: CurrentUser,
    JsonBody(asked): JsonBody<PasskeyAnswer>,
) -> Result<Json<Passkey>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::Passkey, &current.peer).await?;
    check_enabled(&current.tenant)?;
    refuse_anonymous(&current.user)?;
    check_can_manage(&app, &current).await?;
    let (id, response) = asked.check()?;
    let tenant = &current.tenant;
    let state = take(&app, tenant, Some(current.user.user_id), id).await?;
    let credential = webauthn::finish_registration(&webauthn::relying_party(tenant), &state, response)?.ok_or_else(unverified)?;
    let now = app.clock.now();
    let passkey = PasskeyRow {
        id: Uuid::now_v7(),
        user_id: current.user.user_id,
        friendly_name: NAME.to_owned(),
        credential_id: credential.id()?,
        credential: webauthn::stored(&credential)?,
        created_at: now,
        updated_at: now,
        last_used_at: None,
    };
    let (id, most, row, teller) = (tenant.id, tenant.settings.mfa.max_passkeys, passkey.clone(), Teller::of(&app, tenant));
    let created = about(Event::new(Action::PasskeyCreated), passkey.user_id, passkey.id);
    let added = app
        .db
        .write(move |tx| async move {
            let added = add(&tx, id, most, &row, &teller).await?;
            if matches!(added, Added::Done) {
                audit::note(&tx, id, now, &created).await?;
            }
            Ok(added)
        })
        .await?;
    app.jobs.wake();
    match added {
        Added::Done => Ok(Json(Passkey::new(passkey))),
        Added::TooMany => Err(too_many()),
        Added::Taken => Err(AuthError::unprocessable(AuthCode::WebauthnCredentialExists, "This credential is already registered")),
    }
}

enum Added {
    Done,
    TooMany,
    Taken,
}

async fn add(tx: &Tx, tenant: TenantId, most: u32, passkey: &PasskeyRow, teller: &Teller) -> DbResult<Added> {
    let user = sql::lock_user(tx, tenant, passkey.user_id).await?;
    let count = sql::passkeys_of(tx, tenant, passkey.user_id).await?.len();
    if count >= usize::try_from(most).unwrap_or(usize::MAX) {
        return Ok(Added::TooMany);
    }
    if !sql::insert_passkey(tx, tenant, passkey).await? {
        return Ok(Added::Taken);
    }
    if let Some(user) = user {
        teller.tell(tx, passkey.created_at, &user, Notice::PasskeyAdded { passkey: passkey.friendly_name.clone() }).await?;
    }
    Ok(Added::Done)
}

/// What comes along with the wish to sign in by passkey.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasskeySignIn {
    /// Proof that no program asks, where the tenant wants one.
    gotrue_meta_security: Option<MetaSecurity>,
}

/// Begins to sign in by passkey. Nobody is named: the passkey tells who it is.
#[utoipa::path(post, path = "/auth/v1/passkeys/authentication/options", tag = "auth", request_body = Option<PasskeySignIn>,
    responses((status = 200, body = PasskeyChallenge, description = "What the browser is to ask"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn begin_passkey_sign_in(
    State(app): State<App>,
    visitor: Visitor,
    JsonBody(asked): JsonBody<PasskeySignIn>,
) -> Result<Json<PasskeyChallenge>, AuthError> {
    let tenant = &visitor.tenant;
    limits::count(&app, tenant, Bucket::Passkey, &visitor.peer).await?;
    check_enabled(tenant)?;
    captcha::check(&app, tenant, &visitor.peer, asked.gotrue_meta_security.as_ref()).await?;
    let (options, state) = webauthn::begin_authentication(&webauthn::relying_party(tenant), &[])?;
    ask(&app, tenant, None, options, state).await
}

/// Signs in by passkey.
#[utoipa::path(post, path = "/auth/v1/passkeys/authentication/verify", tag = "auth", request_body = PasskeyAnswer,
    responses((status = 200, body = Session, description = "The session"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn sign_in_by_passkey(
    State(app): State<App>,
    visitor: Visitor,
    client: Client,
    JsonBody(asked): JsonBody<PasskeyAnswer>,
) -> Result<Json<Session>, AuthError> {
    limits::count(&app, &visitor.tenant, Bucket::Passkey, &visitor.peer).await?;
    let tenant = &visitor.tenant;
    check_enabled(tenant)?;
    let (id, response) = asked.check()?;
    let state = take(&app, tenant, None, id).await?;
    let (credential_id, handle) = webauthn::names(&response).ok_or_else(unverified)?;
    let conn = app.db.read().await?;
    let passkey = sql::find_passkey_by_credential(&conn, tenant.id, &credential_id).await?.ok_or_else(unverified)?;
    let user = sql::find_user(&conn, tenant.id, passkey.user_id).await?.ok_or_else(unverified)?;
    drop(conn);
    if handle != webauthn::handle(&user) {
        return Err(unverified());
    }
    let signed = webauthn::finish_authentication(&webauthn::relying_party(tenant), &state, response, &passkey.credential)?;
    let credential = webauthn::stored(&signed.ok_or_else(unverified)?)?;
    let now = app.clock.now();
    if user.email.is_some() && user.email_confirmed_at.is_none() {
        return Err(AuthError::forbidden(AuthCode::EmailNotConfirmed, "Email not confirmed"));
    }
    if user.is_banned(now) {
        return Err(AuthError::forbidden(AuthCode::UserBanned, "User is banned"));
    }
    let session = session::begin(&app, tenant, now, user.id, &Proof::by("passkey"));
    let (id, row, teller) = (tenant.id, session.clone(), Teller::of(&app, tenant));
    let opened = app
        .db
        .write(move |tx| async move {
            sql::lock_user(&tx, id, row.user_id).await?;
            // The count was compared with what was stored then: of two copies that sign at the same moment, one is let in.
            let stored = sql::find_passkey_by_credential(&tx, id, &passkey.credential_id).await?;
            let is_as_it_was = stored.is_some_and(|stored| stored.id == passkey.id && stored.credential == passkey.credential);
            if !is_as_it_was || !sql::note_passkey_use(&tx, id, now, passkey.id, &credential).await? {
                return Ok(None);
            }
            session::store(&tx, id, now, &row, &client, &teller).await
        })
        .await?;
    app.jobs.wake();
    Ok(Json(session::answer(&app, tenant, now, &session, opened.ok_or_else(unverified)?).await?))
}

/// Lists the passkeys of the signed-in user.
#[utoipa::path(get, path = "/auth/v1/passkeys", tag = "auth",
    responses((status = 200, body = Vec<Passkey>, description = "The passkeys, oldest first"), AuthFailures),
    security(("apikey" = [], "user" = [])))]
pub(super) async fn list_passkeys(State(app): State<App>, current: CurrentUser) -> Result<Json<Vec<Passkey>>, AuthError> {
    check_enabled(&current.tenant)?;
    list(&app, current.tenant.id, current.user.user_id).await
}

/// What a user changes of a passkey.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasskeyChanges {
    /// What the user calls it, 1 to 120 characters.
    #[serde(default, deserialize_with = "default_if_null")]
    #[schema(example = "Work laptop")]
    friendly_name: String,
}

/// Gives a passkey another name.
#[utoipa::path(patch, path = "/auth/v1/passkeys/{passkey_id}", tag = "auth", params(("passkey_id" = Uuid, Path)), request_body = PasskeyChanges,
    responses((status = 200, body = Passkey, description = "The passkey as it is now"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn update_passkey(
    State(app): State<App>,
    current: CurrentUser,
    Path(id): Path<String>,
    JsonBody(asked): JsonBody<PasskeyChanges>,
) -> Result<Json<Passkey>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::UpdateUser, &current.peer).await?;
    check_enabled(&current.tenant)?;
    let id = passkey_id(&id)?;
    match asked.friendly_name.chars().count() {
        0 => return Err(AuthError::validation("friendly_name is required")),
        1..=LONGEST_NAME => {}
        _ => return Err(AuthError::validation("friendly_name must be 120 characters or less")),
    }
    let (tenant, user, now) = (current.tenant.id, current.user.user_id, app.clock.now());
    let updated = about(Event::new(Action::PasskeyUpdated), user, id);
    let renamed = app
        .db
        .write(move |tx| async move {
            let renamed = sql::rename_passkey(&tx, tenant, now, user, id, &asked.friendly_name).await?;
            if renamed.is_some() {
                audit::note(&tx, tenant, now, &updated).await?;
            }
            Ok(renamed)
        })
        .await?;
    Ok(Json(Passkey::new(renamed.ok_or_else(not_found)?)))
}

/// Removes a passkey.
#[utoipa::path(delete, path = "/auth/v1/passkeys/{passkey_id}", tag = "auth", params(("passkey_id" = Uuid, Path)),
    responses((status = 204, description = "It is gone"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn delete_passkey(State(app): State<App>, current: CurrentUser, Path(id): Path<String>) -> Result<StatusCode, AuthError> {
    check_enabled(&current.tenant)?;
    check_can_manage(&app, &current).await?;
    remove(&app, &current.tenant, current.user.user_id, passkey_id(&id)?).await
}

/// Lists the passkeys of a user.
#[utoipa::path(get, path = "/auth/v1/admin/users/{user_id}/passkeys", tag = "auth", params(("user_id" = Uuid, Path)),
    responses((status = 200, body = Vec<Passkey>, description = "The passkeys, oldest first"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn list_passkeys_of_user(
    State(app): State<App>,
    UserReader(tenant): UserReader,
    Path(user): Path<String>,
) -> Result<Json<Vec<Passkey>>, AuthError> {
    let user = path_id("user_id", &user)?;
    sql::find_user(&app.db.read().await?, tenant.id, user).await?.ok_or_else(AuthError::user_not_found)?;
    list(&app, tenant.id, user).await
}

/// Removes a passkey of a user.
#[utoipa::path(delete, path = "/auth/v1/admin/users/{user_id}/passkeys/{passkey_id}", tag = "auth",
    params(("user_id" = Uuid, Path), ("passkey_id" = Uuid, Path)),
    responses((status = 204, description = "It is gone"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn delete_passkey_of_user(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path((user, id)): Path<(String, String)>,
) -> Result<StatusCode, AuthError> {
    let user = path_id("user_id", &user)?;
    sql::find_user(&app.db.read().await?, tenant.id, user).await?.ok_or_else(AuthError::user_not_found)?;
    remove(&app, &tenant, user, passkey_id(&id)?).await
}

fn check_enabled(tenant: &Tenant) -> Result<(), AuthError> {
    if tenant.settings.mfa.passkeys_enabled {
        return Ok(());
    }
    Err(AuthError::new(StatusCode::NOT_FOUND, AuthCode::PasskeyDisabled, "Passkeys are disabled"))
}

async fn check_can_manage(app: &App, current: &CurrentUser) -> Result<(), AuthError> {
    if is_short_of_a_factor(&app.db.read().await?, current.tenant.id, &current.user).await? {
        return Err(insufficient(StatusCode::FORBIDDEN, "AAL2 session is required to manage passkeys when MFA is enabled"));
    }
    Ok(())
}

fn is_full(tenant: &Tenant, count: usize) -> bool {
    count >= usize::try_from(tenant.settings.mfa.max_passkeys).unwrap_or(usize::MAX)
}

fn too_many() -> AuthError {
    AuthError::unprocessable(AuthCode::TooManyPasskeys, "Maximum number of passkeys reached")
}

/// One refusal for whatever is wrong with an answer: who guesses learns nothing.
fn unverified() -> AuthError {
    AuthError::bad_request(AuthCode::WebauthnVerificationFailed, "Credential verification failed")
}

fn not_found() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, AuthCode::ValidationFailed, "Passkey not found")
}

fn passkey_id(text: &str) -> Result<Uuid, AuthError> {
    path_id("passkey_id", text).map_err(|_| not_found())
}

async fn ask(app: &App, tenant: &Tenant, user: Option<Uuid>, mut options: Value, state: DbJson) -> Result<Json<PasskeyChallenge>, AuthError> {
    let (now, id) = (app.clock.now(), tenant.id);
    let challenge = PasskeyChallengeRow { id: Uuid::new_v4(), user_id: user, state, expires_at: now.plus_seconds(CHALLENGE_SECONDS) };
    let shown = PasskeyChallenge { challenge_id: challenge.id, options: options["publicKey"].take(), expires_at: challenge.expires_at.seconds() };
    app.db.write(move |tx| async move { sql::insert_passkey_challenge(&tx, id, now, &challenge).await }).await?;
    Ok(Json(shown))
}

/// Takes what was asked under this id. It is asked no more, whatever the answer is worth.
async fn take(app: &App, tenant: &Tenant, user: Option<Uuid>, id: Uuid) -> Result<DbJson, AuthError> {
    let tenant = tenant.id;
    let taken = app.db.write(move |tx| async move { sql::take_passkey_challenge(&tx, tenant, user, id).await }).await?;
    let challenge = taken.ok_or_else(|| AuthError::bad_request(AuthCode::WebauthnChallengeNotFound, "Challenge not found or already used"))?;
    if challenge.expires_at <= app.clock.now() {
        return Err(AuthError::bad_request(AuthCode::WebauthnChallengeExpired, "Challenge has expired"));
    }
    Ok(challenge.state)
}

/// What the audit log says of a passkey.
fn about(event: Event, user: Uuid, passkey: Uuid) -> Event {
    event.about(user).with("passkey_id", passkey.to_string())
}

async fn list(app: &App, tenant: TenantId, user: Uuid) -> Result<Json<Vec<Passkey>>, AuthError> {
    let passkeys = sql::passkeys_of(&app.db.read().await?, tenant, user).await?;
    Ok(Json(passkeys.into_iter().map(Passkey::new).collect()))
}

async fn remove(app: &App, tenant: &Tenant, user: Uuid, id: Uuid) -> Result<StatusCode, AuthError> {
    let (now, deleted) = (app.clock.now(), about(Event::new(Action::PasskeyDeleted), user, id));
    let (teller, tenant) = (Teller::of(app, tenant), tenant.id);
    let removed = app
        .db
        .write(move |tx| async move {
            let Some(user) = sql::lock_user(&tx, tenant, user).await? else { return Ok(false) };
            let Some(passkey) = sql::delete_passkey(&tx, tenant, user.id, id).await? else { return Ok(false) };
            teller.tell(&tx, now, &user, Notice::PasskeyRemoved { passkey }).await?;
            audit::note(&tx, tenant, now, &deleted).await?;
            Ok(true)
        })
        .await?;
    app.jobs.wake();
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(not_found()) }
}

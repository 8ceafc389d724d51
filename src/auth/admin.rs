//! What an admin does with the tenant's users.

use axum::{
    Json,
    extract::{OriginalUri, Path, Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    ban::Ban,
    caller::{UserReader, UserWriter},
    contact::{confirm_email, confirm_phone, set_email, set_phone},
    create_user::{NewPassword, NewUser, checked_role, create_user as make_user},
    email::Email,
    error::{AuthError, AuthFailures},
    model::{Metadata, User, UserRow, merge, object},
    notice::{Notice, Teller},
    one_time_token::revoke_all,
    password::{self, Owner, check_password},
    phone::Phone,
    request::{JsonBody, check_app_metadata, check_user_metadata, path_id},
    session::shown_user,
    sql::{self, UserPage},
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    crypto::Passwords,
    db::{Json as DbJson, Timestamp, Tx},
    error::{ConstraintKind, Error, Result as DbResult},
    tenants::{Tenant, TenantId},
};

/// What an admin says of a user; what is left out stays, or is as usual.
#[derive(Deserialize, ToSchema)]
pub(super) struct AdminUser {
    /// The user's id, for a new one.
    id: Option<Uuid>,
    /// The mail address. It counts at once, without a mail.
    email: Option<String>,
    /// The phone number. It counts at once, without a message.
    phone: Option<String>,
    /// The password. All sessions of the user end.
    password: Option<String>,
    /// A hash made elsewhere: `$2b$…` (bcrypt), `$argon2id$…`, `$argon2i$…`, `$scrypt$…`, `$fbscrypt$…` (Firebase) or `$pbkdf2-sha256$…`.
    password_hash: Option<String>,
    /// Whether the address counts as confirmed.
    email_confirm: Option<bool>,
    /// Whether the phone number counts as confirmed.
    phone_confirm: Option<bool>,
    /// Merged into what the user notes; `null` takes a key away.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    user_metadata: Option<Metadata>,
    /// Merged into what admins note (`roles`); `null` takes a key away.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    app_metadata: Option<Metadata>,
    /// What the user's tokens say as `role`.
    role: Option<String>,
    /// For how long the user is banned: `24h`, `1h30m`, or `none`.
    #[schema(example = "24h")]
    ban_duration: Option<String>,
}

/// Makes a user. No mail is sent.
#[utoipa::path(post, path = "/auth/v1/admin/users", tag = "auth", request_body = AdminUser,
    responses((status = 200, body = User, description = "The new user"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn create_user(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    JsonBody(asked): JsonBody<AdminUser>,
) -> Result<Json<User>, AuthError> {
    if asked.id.is_some_and(|id| id.is_nil() || id.is_max()) {
        return Err(AuthError::validation("the id of a user can be neither the nil nor the max UUID"));
    }
    let password = match (given(asked.password), given(asked.password_hash)) {
        (Some(_), Some(_)) => return Err(AuthError::validation("Only a password or a password hash should be provided")),
        (Some(password), None) => NewPassword::Plain(password),
        (None, Some(hash)) => NewPassword::Hashed(checked_hash(&hash)?),
        (None, None) => NewPassword::None,
    };
    let ban = given(asked.ban_duration).map(|duration| Ban::read(&duration, app.clock.now())).transpose()?;
    let new = NewUser {
        id: asked.id,
        email: asked.email.unwrap_or_default(),
        phone: asked.phone.unwrap_or_default(),
        password,
        email_confirm: asked.email_confirm.unwrap_or_default(),
        phone_confirm: asked.phone_confirm.unwrap_or_default(),
        user_metadata: asked.user_metadata.unwrap_or_default(),
        app_metadata: asked.app_metadata.unwrap_or_default(),
        role: given(asked.role),
        banned_until: ban.and_then(Ban::end),
    };
    make_user(&app, &tenant, new).await.map(Json)
}

/// Which users are shown. Empty parameters are as if they were not there: stock clients send them.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct UserListing {
    /// The page, from 1.
    #[param(value_type = Option<u32>, minimum = 1)]
    page: String,
    /// Users on a page, 1 to 1,000; 50 if nothing else is said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    per_page: String,
    /// Part of the mail address or of `user_metadata.full_name`.
    #[param(value_type = Option<String>)]
    filter: String,
    /// The whole mail address: shows who has it, however many users there are.
    #[param(value_type = Option<String>, example = "ada@example.com")]
    email: String,
    /// `created_at desc` (as usual) or `created_at asc`.
    #[param(value_type = Option<String>)]
    sort: String,
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub(super) struct UserList {
    /// The users.
    users: Vec<User>,
    /// Always `authenticated`.
    aud: &'static str,
}

/// Users on a page at most: each comes with its metadata and identities.
const MOST_PER_PAGE: i64 = 1000;

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Lists users, newest first.
#[utoipa::path(get, path = "/auth/v1/admin/users", tag = "auth", params(UserListing),
    responses((status = 200, body = UserList, description = "A page of users", headers(
        ("X-Total-Count" = i64, description = "How many users there are on all pages"),
        ("Link" = String, description = "The next and the last page"))), AuthFailures),
    security(("apikey" = [])))]
pub(super) async fn list_users(
    State(app): State<App>,
    UserReader(tenant): UserReader,
    OriginalUri(uri): OriginalUri,
    asked: Result<Query<UserListing>, QueryRejection>,
) -> Result<Response, AuthError> {
    let Query(asked) = asked.map_err(|error| AuthError::validation(error.body_text()))?;
    let page = number("page", &asked.page)?.unwrap_or(1);
    let per_page = number("per_page", &asked.per_page)?.unwrap_or(50).min(MOST_PER_PAGE);
    let pattern = pattern(&asked.filter);
    let pattern = pattern.as_deref();
    let shown = UserPage { pattern, newest_first: newest_first(&asked.sort)?, limit: per_page, offset: (page - 1).saturating_mul(per_page) };
    let conn = app.db.read().await?;
    let (total, rows) = if asked.email.is_empty() {
        (sql::count_users(&conn, tenant.id, pattern).await?, sql::page_of_users(&conn, tenant.id, &shown).await?)
    } else {
        let owner = sql::find_user_by_email(&conn, tenant.id, &asked.email.parse()?).await?;
        (i64::from(owner.is_some()), owner.into_iter().filter(|_| page == 1).collect())
    };
    let mut users = Vec::new();
    for user in rows {
        users.push(shown_user(&conn, tenant.id, user).await?);
    }
    drop(conn);
    Ok(dress_page(Json(UserList { users, aud: super::model::AUTHENTICATED }).into_response(), &uri, page, per_page, total))
}

/// Says how many there are on all pages, and where the next and the last page are.
pub(super) fn dress_page(mut page_of: Response, uri: &Uri, page: i64, per_page: i64, total: i64) -> Response {
    page_of.headers_mut().insert(TOTAL_COUNT, HeaderValue::from(total));
    if let Ok(links) = HeaderValue::from_str(&links(uri.path(), uri.query().unwrap_or_default(), page, per_page, total)) {
        page_of.headers_mut().insert(header::LINK, links);
    }
    page_of
}

/// Shows a user.
#[utoipa::path(get, path = "/auth/v1/admin/users/{user_id}", tag = "auth", params(("user_id" = Uuid, Path)),
    responses((status = 200, body = User, description = "The user"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn get_user_by_id(State(app): State<App>, UserReader(tenant): UserReader, Path(id): Path<String>) -> Result<Json<User>, AuthError> {
    let id = user_id(&id)?;
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, tenant.id, id).await?.ok_or_else(AuthError::user_not_found)?;
    Ok(Json(shown_user(&conn, tenant.id, user).await?))
}

/// Changes a user. What is said of roles, bans and passwords is felt at the user's next request.
#[utoipa::path(put, path = "/auth/v1/admin/users/{user_id}", tag = "auth", params(("user_id" = Uuid, Path)), request_body = AdminUser,
    responses((status = 200, body = User, description = "The user as it is now"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn update_user_by_id(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path(id): Path<String>,
    JsonBody(asked): JsonBody<AdminUser>,
) -> Result<Json<User>, AuthError> {
    let id = user_id(&id)?;
    let now = app.clock.now();
    // No work for a user who is not there.
    let known = sql::find_user(&app.db.read().await?, tenant.id, id).await?.ok_or_else(AuthError::user_not_found)?;
    let change = Change::check(&app, &tenant, &known, asked, now).await?;
    let (teller, tenant) = (Teller::of(&app, &tenant), tenant.id);
    let modified = Event::new(Action::UserModified).about(id).with("changed", json!(change.names()));
    let outcome = app
        .db
        .write(move |tx| async move {
            let user = apply(&tx, tenant, now, id, change, &teller).await?;
            if user.is_some() {
                audit::note(&tx, tenant, now, &modified).await?;
            }
            Ok(user)
        })
        .await;
    app.jobs.wake();
    match outcome {
        Err(Error::Constraint(constraint)) if constraint.kind == ConstraintKind::Unique => Err(AuthError::taken(&constraint)),
        Err(error) => Err(error.into()),
        Ok(user) => user.map(Json).ok_or_else(AuthError::user_not_found),
    }
}

/// How a user is deleted.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct UserDeletion {
    /// Leave the row as a trace, without anything that tells of the person; the user can't come back.
    should_soft_delete: Option<bool>,
}

/// Deletes a user with its sessions.
#[utoipa::path(delete, path = "/auth/v1/admin/users/{user_id}", tag = "auth", params(("user_id" = Uuid, Path)), request_body = Option<UserDeletion>,
    responses((status = 200, body = serde_json::Value, description = "It is gone"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn delete_user_by_id(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path(id): Path<String>,
    JsonBody(asked): JsonBody<UserDeletion>,
) -> Result<Json<Map<String, Value>>, AuthError> {
    let id = user_id(&id)?;
    let (tenant, now, is_soft) = (tenant.id, app.clock.now(), asked.should_soft_delete.unwrap_or_default());
    let event = Event::new(Action::UserDeleted).about(id).with("soft", is_soft);
    let deleted = app
        .db
        .write(move |tx| async move {
            let deleted = if is_soft { delete_softly(&tx, tenant, now, id).await? } else { sql::delete_user(&tx, tenant, id).await? };
            if deleted {
                audit::note(&tx, tenant, now, &event).await?;
            }
            Ok(deleted)
        })
        .await?;
    if deleted { Ok(Json(Map::new())) } else { Err(AuthError::user_not_found()) }
}

fn given(field: Option<String>) -> Option<String> {
    field.filter(|text| !text.is_empty())
}

fn checked_hash(hash: &str) -> Result<String, AuthError> {
    Passwords::take_over(hash).map_err(|error| AuthError::validation(error.to_string()))
}

fn user_id(text: &str) -> Result<Uuid, AuthError> {
    path_id("user_id", text)
}

pub(super) fn number(name: &str, text: &str) -> Result<Option<i64>, AuthError> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|&number| number >= 1);
    number.map(Some).ok_or_else(|| AuthError::validation(format!("Bad Pagination Parameters: {name} should be a number from 1, not \"{text}\"")))
}

fn newest_first(sort: &str) -> Result<bool, AuthError> {
    match sort {
        "" | "created_at" | "created_at desc" | "created_at.desc" => Ok(true),
        "created_at asc" | "created_at.asc" => Ok(false),
        other => Err(AuthError::validation(format!("Bad Sort Parameters: \"{other}\"; take \"created_at asc\" or \"created_at desc\""))),
    }
}

/// What `LIKE` looks for: the filter anywhere, its own wildcards meant as they are.
pub(super) fn pattern(filter: &str) -> Option<String> {
    if filter.is_empty() {
        return None;
    }
    let escaped = filter.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Some(format!("%{escaped}%"))
}

/// `<…?page=2&per_page=50>; rel="next", …`. Stock clients read the number after the first `=`: the page comes first.
fn links(path: &str, query: &str, page: i64, per_page: i64, total: i64) -> String {
    let others = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !matches!(&**name, "page" | "per_page" | "apikey"));
    let others = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(others).finish();
    let divider = if others.is_empty() { "" } else { "&" };
    let link = |page: i64, relation: &str| format!("<{path}?page={page}&per_page={per_page}{divider}{others}>; rel=\"{relation}\"");
    let last = (total + per_page - 1) / per_page;
    let next = (page < last).then(|| link(page + 1, "next"));
    next.into_iter().chain([link(last.max(1), "last")]).collect::<Vec<_>>().join(", ")
}

/// What is to be written of a user.
struct Change {
    email: Option<Email>,
    email_confirm: Option<bool>,
    phone: Option<Phone>,
    phone_confirm: Option<bool>,
    encrypted_password: Option<String>,
    /// How many passwords before it are remembered.
    history: u32,
    user_metadata: Metadata,
    app_metadata: Metadata,
    role: Option<String>,
    ban: Option<Ban>,
}

impl Change {
    async fn check(app: &App, tenant: &Tenant, known: &UserRow, asked: AdminUser, now: Timestamp) -> Result<Self, AuthError> {
        let email: Option<Email> = given(asked.email).map(|email| email.parse()).transpose()?;
        let phone: Option<Phone> = given(asked.phone).map(|phone| phone.parse()).transpose()?;
        let encrypted_password = match (given(asked.password), given(asked.password_hash)) {
            (Some(_), Some(_)) => return Err(AuthError::validation("Only a password or a password hash should be provided")),
            (Some(password), None) => {
                let owner = Owner::from(known).with(email.as_ref().map(Email::as_str), phone.as_ref().map(Phone::as_str));
                check_password(app, tenant, &password, owner).await?;
                Some(app.passwords.hash(&password).await?)
            }
            (None, Some(hash)) => Some(checked_hash(&hash)?),
            (None, None) => None,
        };
        let user_metadata = asked.user_metadata.unwrap_or_default();
        let app_metadata = asked.app_metadata.unwrap_or_default();
        check_user_metadata(&user_metadata)?;
        check_app_metadata(&app_metadata)?;
        Ok(Self {
            email,
            email_confirm: asked.email_confirm,
            phone,
            phone_confirm: asked.phone_confirm,
            encrypted_password,
            history: tenant.settings.password.history,
            user_metadata,
            app_metadata,
            role: given(asked.role).map(checked_role).transpose()?,
            ban: given(asked.ban_duration).map(|duration| Ban::read(&duration, now)).transpose()?,
        })
    }
}

impl Change {
    /// What is to be written, by name: for the audit log, which is told what was changed and not to what.
    fn names(&self) -> Vec<&'static str> {
        let named = [
            ("email", self.email.is_some()),
            ("email_confirm", self.email_confirm.is_some()),
            ("phone", self.phone.is_some()),
            ("phone_confirm", self.phone_confirm.is_some()),
            ("password", self.encrypted_password.is_some()),
            ("user_metadata", !self.user_metadata.is_empty()),
            ("app_metadata", !self.app_metadata.is_empty()),
            ("role", self.role.is_some()),
            ("ban", self.ban.is_some()),
        ];
        named.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
    }
}

async fn apply(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid, change: Change, teller: &Teller) -> DbResult<Option<User>> {
    let Some(mut user) = sql::lock_user(tx, tenant, id).await? else { return Ok(None) };
    let before = user.clone();
    if let Some(hash) = change.encrypted_password {
        if before.encrypted_password.is_some() {
            teller.tell(tx, now, &before, Notice::PasswordChanged).await?;
        }
        password::replace(tx, tenant, change.history, &mut user, hash).await?;
        sql::delete_sessions_of(tx, tenant, id).await?;
        revoke_all(tx, tenant, &mut user).await?;
    }
    if let Some(email) = change.email.filter(|email| user.email.as_deref() != Some(email.as_str())) {
        set_email(tx, tenant, now, &mut user, &email, change.email_confirm.unwrap_or(true)).await?;
        revoke_all(tx, tenant, &mut user).await?;
        teller.tell(tx, now, &before, Notice::EmailChanged { new: email.into() }).await?;
        user.is_anonymous = false;
    }
    if change.email_confirm == Some(true) && user.email.is_some() {
        user.email_is_unproved = false;
        if user.email_confirmed_at.is_none() {
            confirm_email(tx, tenant, now, &mut user).await?;
        }
    }
    if let Some(phone) = change.phone.filter(|phone| user.phone.as_deref() != Some(phone.as_str())) {
        set_phone(tx, tenant, now, &mut user, phone.as_str(), change.phone_confirm.unwrap_or(true)).await?;
        revoke_all(tx, tenant, &mut user).await?;
        teller.tell(tx, now, &before, Notice::PhoneChanged { new: phone.into() }).await?;
        user.is_anonymous = false;
    }
    if change.phone_confirm == Some(true) && user.phone.is_some() && user.phone_confirmed_at.is_none() {
        confirm_phone(tx, tenant, now, &mut user).await?;
    }
    merge(&mut user.user_metadata, change.user_metadata);
    merge(&mut user.app_metadata, change.app_metadata);
    check_merged(&user)?;
    user.role = change.role.unwrap_or(user.role);
    user.banned_until = change.ban.map_or(user.banned_until, Ban::end);
    user.updated_at = now;
    sql::update_user(tx, tenant, &user).await?;
    shown_user(tx, tenant, user).await.map(Some)
}

/// Merged, metadata can be larger than either part; refused here, nothing is written.
fn check_merged(user: &UserRow) -> DbResult<()> {
    check_user_metadata(&object(user.user_metadata.clone()))
        .and_then(|()| check_app_metadata(&object(user.app_metadata.clone())))
        .map_err(|error| Error::invalid("metadata", error.to_string()))
}

/// Leaves the row and its id, and nothing in it of the person.
async fn delete_softly(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid) -> DbResult<bool> {
    let Some(mut user) = sql::lock_user(tx, tenant, id).await? else { return Ok(false) };
    if user.deleted_at.is_some() {
        return Ok(true);
    }
    revoke_all(tx, tenant, &mut user).await?;
    let nobody = DbJson(json!({}));
    let trace = UserRow {
        email: None,
        phone: None,
        new_email: None,
        new_phone: None,
        encrypted_password: None,
        app_metadata: nobody.clone(),
        user_metadata: nobody,
        updated_at: now,
        deleted_at: Some(now),
        ..user
    };
    sql::update_user(tx, tenant, &trace).await?;
    sql::delete_identities_of(tx, tenant, id).await?;
    sql::delete_factors_of(tx, tenant, id).await?;
    sql::delete_passkeys_of(tx, tenant, id).await?;
    sql::delete_sessions_of(tx, tenant, id).await?;
    sql::past_passwords::keep(tx, tenant, id, 0).await?;
    sql::messages::forget_devices_of(tx, tenant, id).await?;
    sql::limits::forget_networks_of(tx, tenant, id).await?;
    Ok(true)
}

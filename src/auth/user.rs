//! What a signed-in user sees and changes of itself.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    caller::{CurrentUser, SignedIn},
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    factors::{insufficient, is_short_of_a_factor},
    model::{EMAIL_PROVIDER, Metadata, User, UserRow, email_claims, merge},
    request::{JsonBody, check_password, check_user_metadata},
    session::shown_user,
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event, Origin},
    db::{Timestamp, Tx},
    error::{ConstraintKind, Error, Result as DbResult},
    tenants::{Tenant, TenantId},
};

/// What a user wants to change of itself; what is left out stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct UserChanges {
    /// Another mail address.
    email: Option<String>,
    /// A phone number; phone numbers are not kept.
    phone: Option<String>,
    /// Another password. Every other session of the user ends.
    password: Option<String>,
    /// The present password; checked if it comes along.
    current_password: Option<String>,
    /// Merged into `user_metadata`; `null` takes a key away.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    data: Option<Metadata>,
    /// Refused: only an admin changes it.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    app_metadata: Option<Metadata>,
}

/// The signed-in user.
#[utoipa::path(get, path = "/auth/v1/user", tag = "auth",
    responses((status = 200, body = User, description = "The user"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn get_user(State(app): State<App>, current: CurrentUser) -> Result<Json<User>, AuthError> {
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, current.tenant.id, current.user.user_id).await?.ok_or_else(AuthError::user_not_found)?;
    Ok(Json(shown_user(&conn, current.tenant.id, user).await?))
}

/// Changes the signed-in user.
#[utoipa::path(put, path = "/auth/v1/user", tag = "auth", request_body = UserChanges,
    responses((status = 200, body = User, description = "The user as it is now"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn update_user(
    State(app): State<App>,
    current: CurrentUser,
    JsonBody(asked): JsonBody<UserChanges>,
) -> Result<Json<User>, AuthError> {
    let tenant = &current.tenant;
    let changes = Changes::check(tenant, asked)?;
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, tenant.id, current.user.user_id).await?.ok_or_else(AuthError::user_not_found)?;
    if changes.signs_in_otherwise(&user) && is_short_of_a_factor(&conn, tenant.id, &current.user).await? {
        return Err(insufficient(StatusCode::UNAUTHORIZED, "AAL2 session is required to update email or password when MFA is enabled."));
    }
    drop(conn);
    let verified = user.encrypted_password.clone();
    let encrypted_password = change_password(&app, &user, changes.password, changes.current_password).await?;
    let change = Change {
        email: changes.email.filter(|email| user.email.as_deref() != Some(email.as_str())),
        is_confirmed: tenant.settings.sign_up.email_autoconfirm,
        data: changes.data,
        verified,
        encrypted_password,
        origin: Origin::here(),
    };
    let (id, signed_in, now) = (tenant.id, current.user, app.clock.now());
    let outcome = app.db.write(move |tx| async move { apply(&tx, id, now, &signed_in, change).await }).await;
    match outcome {
        Err(Error::Constraint(constraint)) if constraint.kind == ConstraintKind::Unique => Err(AuthError::email_exists()),
        Err(error) => Err(error.into()),
        Ok(Outcome::Changed(user)) => Ok(Json(*user)),
        Ok(Outcome::Gone) => Err(AuthError::user_not_found()),
        Ok(Outcome::Overtaken) => Err(AuthError::from(Error::unavailable("the password was changed at the same moment; try again"))),
    }
}

/// Changes whose form is good.
struct Changes {
    email: Option<Email>,
    password: Option<String>,
    current_password: Option<String>,
    data: Metadata,
}

impl Changes {
    /// Whether the user would sign in by something else than before.
    fn signs_in_otherwise(&self, user: &UserRow) -> bool {
        self.password.is_some() || self.email.as_ref().is_some_and(|email| user.email.as_deref() != Some(email.as_str()))
    }

    fn check(tenant: &Tenant, asked: UserChanges) -> Result<Self, AuthError> {
        if asked.app_metadata.is_some() {
            return Err(AuthError::forbidden(AuthCode::NotAdmin, "Updating app_metadata requires admin privileges"));
        }
        if asked.phone.is_some_and(|phone| !phone.is_empty()) {
            return Err(AuthError::bad_request(AuthCode::PhoneProviderDisabled, "Phone numbers are not kept here"));
        }
        let email = asked.email.filter(|text| !text.is_empty()).map(|text| text.parse()).transpose()?;
        if let Some(password) = &asked.password {
            check_password(tenant, password)?;
        }
        Ok(Self { email, password: asked.password, current_password: asked.current_password, data: asked.data.unwrap_or_default() })
    }
}

/// The hash of the new password, if there is to be one.
async fn change_password(app: &App, user: &UserRow, new: Option<String>, current: Option<String>) -> Result<Option<String>, AuthError> {
    let Some(new) = new else { return Ok(None) };
    let hash = user.encrypted_password.as_deref();
    if let Some(current) = current
        && !app.passwords.verify(&current, hash).await?.ok
    {
        return Err(AuthError::bad_request(AuthCode::CurrentPasswordInvalid, "Current password is incorrect"));
    }
    if hash.is_some() && app.passwords.verify(&new, hash).await?.ok {
        return Err(AuthError::unprocessable(AuthCode::SamePassword, "New password should be different from the old password."));
    }
    Ok(Some(app.passwords.hash(&new).await?))
}

/// What is to be written.
struct Change {
    email: Option<Email>,
    is_confirmed: bool,
    data: Metadata,
    /// The hash that the present password was compared with.
    verified: Option<String>,
    encrypted_password: Option<String>,
    origin: Origin,
}

enum Outcome {
    Changed(Box<User>),
    Gone,
    Overtaken,
}

async fn apply(tx: &Tx, tenant: TenantId, now: Timestamp, signed_in: &SignedIn, change: Change) -> DbResult<Outcome> {
    let Some(mut user) = sql::lock_user(tx, tenant, signed_in.user_id).await? else { return Ok(Outcome::Gone) };
    if let Some(hash) = change.encrypted_password {
        if user.encrypted_password != change.verified {
            return Ok(Outcome::Overtaken);
        }
        user.encrypted_password = Some(hash);
        // Whoever else is signed in may be the reason for the new password.
        sql::delete_other_sessions(tx, tenant, user.id, signed_in.session_id).await?;
        audit::note(tx, tenant, now, &Event::of(Action::UserUpdatedPassword, change.origin.clone()).about(user.id)).await?;
    }
    let modified = Event::of(Action::UserModified, change.origin).about(user.id);
    let modified = modified.with("email", change.email.is_some()).with("data", !change.data.is_empty());
    merge(&mut user.user_metadata, change.data);
    // Merged, it can be larger than either part; refused here, nothing is written.
    check_user_metadata(&super::model::object(user.user_metadata.clone())).map_err(|error| Error::invalid("data", error.to_string()))?;
    match change.email {
        Some(email) if change.is_confirmed => set_email(tx, tenant, now, &mut user, &email, true).await?,
        Some(email) => user.new_email = Some(email.into()),
        None => {}
    }
    user.updated_at = now;
    sql::update_user(tx, tenant, &user).await?;
    audit::note(tx, tenant, now, &modified).await?;
    Ok(Outcome::Changed(Box::new(shown_user(tx, tenant, user).await?)))
}

/// Gives a user another address, and its identity with it. The row itself is still to be written.
pub(super) async fn set_email(tx: &Tx, tenant: TenantId, now: Timestamp, user: &mut UserRow, email: &Email, is_confirmed: bool) -> DbResult<()> {
    user.email = Some(email.as_str().to_owned());
    user.new_email = None;
    user.email_confirmed_at = if is_confirmed { Some(now) } else { user.email_confirmed_at };
    let claims = email_claims(user.id, email.as_str(), is_confirmed);
    let mut identities = sql::identities_of(tx, tenant, user.id).await?;
    if let Some(identity) = identities.iter_mut().find(|identity| identity.provider == EMAIL_PROVIDER) {
        merge(&mut identity.identity_data, claims.clone());
        identity.email = Some(email.as_str().to_owned());
        identity.updated_at = now;
        sql::update_identity(tx, tenant, identity).await?;
    } else {
        let identity = super::model::IdentityRow::of_email(user.id, email.as_str(), is_confirmed, Metadata::new(), now);
        sql::insert_identity(tx, tenant, &identity).await?;
    }
    // Only what a user who signed up has there already: an admin's user may have none of it.
    if let Value::Object(metadata) = &mut user.user_metadata.0 {
        for (key, value) in claims {
            if metadata.contains_key(&key) {
                metadata.insert(key, value);
            }
        }
        if is_confirmed {
            metadata.insert("email_verified".to_owned(), json!(true));
        }
    }
    Ok(())
}

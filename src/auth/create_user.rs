//! Makes a user, for whoever may: an admin, the operator at the command line, and a stranger who signs up.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    email::Email,
    error::AuthError,
    model::{AUTHENTICATED, EMAIL_PROVIDER, IdentityRow, Metadata, User, UserRow, merge},
    request::{check_app_metadata, check_user_metadata},
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{Json, Timestamp},
    tenants::{Tenant, TenantId},
};

/// A user to be made.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// The user's id, where it is not for us to choose.
    pub id: Option<Uuid>,
    /// The mail address, as it was typed.
    pub email: String,
    /// How the user proves who it is; without, it can't sign in by password.
    pub password: NewPassword,
    /// Whether the address counts as confirmed.
    pub email_confirm: bool,
    /// What the user notes.
    pub user_metadata: Metadata,
    /// What admins note: `roles`, above all.
    pub app_metadata: Metadata,
    /// What the user's tokens say as `role`; `authenticated` if nothing else.
    pub role: Option<String>,
    /// Until when the user can't sign in.
    pub banned_until: Option<Timestamp>,
}

/// The password of a user to be made.
#[derive(Clone, Default)]
pub enum NewPassword {
    /// There is none.
    #[default]
    None,
    /// As it is typed; it is hashed here.
    Plain(String),
    /// A hash made elsewhere.
    Hashed(String),
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Makes a user. No mail is sent, and how strong the password is, is the maker's business.
pub async fn create_user(app: &App, tenant: &Tenant, new: NewUser) -> Result<User, AuthError> {
    let email: Email = new.email.parse()?;
    check_user_metadata(&new.user_metadata)?;
    check_app_metadata(&new.app_metadata)?;
    let role = new.role.map_or_else(|| Ok(AUTHENTICATED.to_owned()), checked_role)?;
    let encrypted_password = match new.password {
        NewPassword::None => None,
        NewPassword::Plain(password) => Some(app.passwords.hash(&password).await?),
        NewPassword::Hashed(hash) => Some(hash),
    };
    let now = app.clock.now();
    let id = new.id.unwrap_or_else(Uuid::new_v4);
    let mut user = user_with_email(id, &email, new.email_confirm, now);
    user.role = role;
    user.encrypted_password = encrypted_password;
    user.banned_until = new.banned_until;
    merge(&mut user.app_metadata, new.app_metadata);
    let mut user_metadata = new.user_metadata;
    if new.email_confirm {
        user_metadata.insert("email_verified".to_owned(), json!(true));
    }
    user.user_metadata = Json(Value::Object(user_metadata));
    let identity = IdentityRow::of_email(id, email.as_str(), new.email_confirm, Metadata::new(), now);
    let tenant = tenant.id;
    let event = Event::new(Action::UserSignedUp).about(id).with("provider", EMAIL_PROVIDER);
    let made = app
        .db
        .write(move |tx| async move {
            let made = insert(&tx, tenant, user, identity).await?;
            if made.is_some() {
                audit::note(&tx, tenant, now, &event).await?;
            }
            Ok(made)
        })
        .await?;
    made.ok_or_else(AuthError::email_exists)
}

/// Stores a user with what it signs in with; `None` when the id or the address is taken.
async fn insert(tx: &crate::db::Tx, tenant: TenantId, user: UserRow, identity: IdentityRow) -> crate::error::Result<Option<User>> {
    if !sql::insert_user(tx, tenant, &user).await? {
        return Ok(None);
    }
    sql::insert_identity(tx, tenant, &identity).await?;
    Ok(Some(User::new(user, vec![identity])))
}

/// A user who has a mail address and nothing else yet.
pub(super) fn user_with_email(id: Uuid, email: &Email, is_confirmed: bool, now: Timestamp) -> UserRow {
    UserRow {
        id,
        aud: AUTHENTICATED.to_owned(),
        role: AUTHENTICATED.to_owned(),
        email: Some(email.as_str().to_owned()),
        phone: None,
        encrypted_password: None,
        email_confirmed_at: is_confirmed.then_some(now),
        phone_confirmed_at: None,
        invited_at: None,
        confirmation_sent_at: None,
        recovery_sent_at: None,
        new_email: None,
        email_change_sent_at: None,
        last_sign_in_at: None,
        app_metadata: Json(json!({ "provider": EMAIL_PROVIDER, "providers": [EMAIL_PROVIDER] })),
        user_metadata: Json(json!({})),
        is_anonymous: false,
        banned_until: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}

/// Roles that name keys: a user who had one in its token would look like one.
const KEY_ROLES: [&str; 3] = ["anon", "service_role", "supabase_admin"];

/// What a user's tokens may say as `role`.
pub(super) fn checked_role(role: String) -> Result<String, AuthError> {
    let is_plain = (1..=63).contains(&role.len()) && role.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !is_plain || KEY_ROLES.contains(&role.as_str()) {
        return Err(AuthError::validation(format!("\"{role}\" can't be the role of a user; app_metadata.roles holds what a user may do")));
    }
    Ok(role)
}

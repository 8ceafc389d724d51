//! Makes a user, for whoever may: an admin, the operator at the command line, and a stranger who signs up.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    email::Email,
    error::AuthError,
    hooks,
    model::{AUTHENTICATED, EMAIL_PROVIDER, IdentityRow, Metadata, PHONE_PROVIDER, User, UserRow, merge},
    phone::Phone,
    request::{check_app_metadata, check_user_metadata},
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{Json, Timestamp},
    jobs,
    tenants::{Tenant, TenantId},
};

/// A user to be made.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// The user's id, where it is not for us to choose.
    pub id: Option<Uuid>,
    /// The mail address, as it was typed; empty for who has a phone number alone.
    pub email: String,
    /// The phone number, as it was typed; empty for who has a mail address alone.
    pub phone: String,
    /// How the user proves who it is; without, it can't sign in by password.
    pub password: NewPassword,
    /// Whether the address counts as confirmed.
    pub email_confirm: bool,
    /// Whether the phone number counts as confirmed.
    pub phone_confirm: bool,
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
    let email: Option<Email> = Some(new.email).filter(|text| !text.is_empty()).map(|text| text.parse()).transpose()?;
    let phone: Option<Phone> = Some(new.phone).filter(|text| !text.is_empty()).map(|text| text.parse()).transpose()?;
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
    let (mut user, identities) = contacts(id, email.as_ref(), phone.as_ref(), (new.email_confirm, new.phone_confirm), now)?;
    user.role = role;
    user.encrypted_password = encrypted_password;
    user.banned_until = new.banned_until;
    merge(&mut user.app_metadata, new.app_metadata);
    let mut user_metadata = new.user_metadata;
    if user.email_confirmed_at.is_some() {
        user_metadata.insert("email_verified".to_owned(), json!(true));
    }
    user.user_metadata = Json(Value::Object(user_metadata));
    let told = hooks::after_user_created(app, tenant, &User::new(user.clone(), identities.clone()))?;
    let tenant = tenant.id;
    let (has_email, by_phone) = (email.is_some(), phone.clone());
    let event = Event::new(Action::UserSignedUp).about(id).with("provider", if has_email { EMAIL_PROVIDER } else { PHONE_PROVIDER });
    let made = app
        .db
        .write(move |tx| async move {
            let made = insert(&tx, tenant, user, identities).await?;
            if made.is_some() {
                audit::note(&tx, tenant, now, &event).await?;
                jobs::enqueue_all(&tx, now, told.as_slice()).await?;
            }
            Ok(made)
        })
        .await?;
    app.jobs.wake();
    if let Some(made) = made {
        return Ok(made);
    }
    let is_number_taken = match &by_phone {
        Some(phone) => sql::find_user_by_phone(&app.db.read().await?, tenant, phone).await?.is_some(),
        None => false,
    };
    Err(if is_number_taken || !has_email { AuthError::phone_exists() } else { AuthError::email_exists() })
}

/// A user with an address, a number or both, and what it signs in with.
fn contacts(
    id: Uuid,
    email: Option<&Email>,
    phone: Option<&Phone>,
    (email_confirm, phone_confirm): (bool, bool),
    now: Timestamp,
) -> Result<(UserRow, Vec<IdentityRow>), AuthError> {
    let of_email = |email: &Email| IdentityRow::of_email(id, email.as_str(), email_confirm, Metadata::new(), now);
    let of_phone = |phone: &Phone| IdentityRow::of_phone(id, phone.as_str(), phone_confirm, Metadata::new(), now);
    match (email, phone) {
        (Some(email), None) => Ok((user_with_email(id, email, email_confirm, now), vec![of_email(email)])),
        (None, Some(phone)) => Ok((user_with_phone(id, phone, phone_confirm, now), vec![of_phone(phone)])),
        (Some(email), Some(phone)) => {
            let user = user_with_email(id, email, email_confirm, now);
            let app_metadata = Json(json!({ "provider": EMAIL_PROVIDER, "providers": [EMAIL_PROVIDER, PHONE_PROVIDER] }));
            let phone_confirmed_at = phone_confirm.then_some(now);
            let user = UserRow { phone: Some(phone.as_str().to_owned()), phone_confirmed_at, app_metadata, ..user };
            Ok((user, vec![of_email(email), of_phone(phone)]))
        }
        (None, None) => Err(AuthError::validation("Cannot create a user without either an email or phone")),
    }
}

/// Stores a user with what it signs in with; `None` when the id or the address is taken.
async fn insert(tx: &crate::db::Tx, tenant: TenantId, user: UserRow, identities: Vec<IdentityRow>) -> crate::error::Result<Option<User>> {
    if !sql::insert_user(tx, tenant, &user).await? {
        return Ok(None);
    }
    for identity in &identities {
        sql::insert_identity(tx, tenant, identity).await?;
    }
    Ok(Some(User::new(user, identities)))
}

/// A user who has a mail address and nothing else yet.
pub(super) fn user_with_email(id: Uuid, email: &Email, is_confirmed: bool, now: Timestamp) -> UserRow {
    UserRow {
        email: Some(email.as_str().to_owned()),
        email_confirmed_at: is_confirmed.then_some(now),
        app_metadata: Json(json!({ "provider": EMAIL_PROVIDER, "providers": [EMAIL_PROVIDER] })),
        ..blank_user(id, now)
    }
}

/// A user who has a phone number and nothing else yet.
pub(super) fn user_with_phone(id: Uuid, phone: &Phone, is_confirmed: bool, now: Timestamp) -> UserRow {
    UserRow {
        phone: Some(phone.as_str().to_owned()),
        phone_confirmed_at: is_confirmed.then_some(now),
        app_metadata: Json(json!({ "provider": PHONE_PROVIDER, "providers": [PHONE_PROVIDER] })),
        ..blank_user(id, now)
    }
}

/// A user of whom nothing is known.
pub(super) fn blank_user(id: Uuid, now: Timestamp) -> UserRow {
    UserRow {
        id,
        aud: AUTHENTICATED.to_owned(),
        role: AUTHENTICATED.to_owned(),
        email: None,
        phone: None,
        encrypted_password: None,
        email_confirmed_at: None,
        email_is_unproved: false,
        phone_confirmed_at: None,
        invited_at: None,
        confirmation_sent_at: None,
        recovery_sent_at: None,
        new_email: None,
        email_change_sent_at: None,
        email_change_agreed: None,
        new_phone: None,
        phone_change_sent_at: None,
        reauthentication_sent_at: None,
        last_sign_in_at: None,
        app_metadata: Json(json!({})),
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

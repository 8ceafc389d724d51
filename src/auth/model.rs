//! Users, their identities and sessions, as this room keeps them and as the wire shows them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    error::WeakPassword,
    factors::{Factor, FactorRow},
};
use crate::{
    db::{Json, Timestamp},
    row_type,
};

/// A JSON object: what metadata is.
pub type Metadata = Map<String, Value>;

/// Whose tokens these are, for programs that ask: every user of a tenant.
pub(super) const AUTHENTICATED: &str = "authenticated";

/// The identity of who signs in by mail address.
pub(super) const EMAIL_PROVIDER: &str = "email";

/// The identity of who signs in by phone number.
pub(super) const PHONE_PROVIDER: &str = "phone";

row_type! {
    /// A user as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct UserRow {
        pub(super) id: Uuid,
        pub(super) aud: String,
        pub(super) role: String,
        pub(super) email: Option<String>,
        pub(super) phone: Option<String>,
        pub(super) encrypted_password: Option<String>,
        pub(super) email_confirmed_at: Option<Timestamp>,
        /// Whether the address counts as confirmed because the tenant asks nobody for proof.
        pub(super) email_is_unproved: bool,
        pub(super) phone_confirmed_at: Option<Timestamp>,
        pub(super) invited_at: Option<Timestamp>,
        pub(super) confirmation_sent_at: Option<Timestamp>,
        pub(super) recovery_sent_at: Option<Timestamp>,
        pub(super) new_email: Option<String>,
        pub(super) email_change_sent_at: Option<Timestamp>,
        /// Which half of a change of address was agreed to: `current` or `new`.
        pub(super) email_change_agreed: Option<String>,
        pub(super) new_phone: Option<String>,
        pub(super) phone_change_sent_at: Option<Timestamp>,
        pub(super) reauthentication_sent_at: Option<Timestamp>,
        pub(super) last_sign_in_at: Option<Timestamp>,
        pub(super) app_metadata: Json,
        pub(super) user_metadata: Json,
        pub(super) is_anonymous: bool,
        pub(super) banned_until: Option<Timestamp>,
        pub(super) created_at: Timestamp,
        pub(super) updated_at: Timestamp,
        pub(super) deleted_at: Option<Timestamp>,
    }
}

row_type! {
    /// An identity as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct IdentityRow {
        pub(super) id: Uuid,
        pub(super) user_id: Uuid,
        pub(super) provider: String,
        pub(super) provider_id: String,
        pub(super) identity_data: Json,
        pub(super) email: Option<String>,
        pub(super) last_sign_in_at: Option<Timestamp>,
        pub(super) created_at: Timestamp,
        pub(super) updated_at: Timestamp,
    }
}

row_type! {
    /// A session as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct SessionRow {
        pub(super) id: Uuid,
        pub(super) user_id: Uuid,
        pub(super) refresh_key: Vec<u8>,
        pub(super) refresh_counter: i64,
        pub(super) aal: String,
        pub(super) amr: Json,
        pub(super) created_at: Timestamp,
        pub(super) refreshed_at: Option<Timestamp>,
        pub(super) not_after: Option<Timestamp>,
        pub(super) refresh_floor: i64,
    }
}

impl UserRow {
    pub(super) fn is_banned(&self, now: Timestamp) -> bool {
        self.banned_until.is_some_and(|end| now < end)
    }
}

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// Always `authenticated`.
    #[schema(example = "authenticated")]
    pub aud: String,
    /// What the user's tokens say as `role`.
    #[schema(example = "authenticated")]
    pub role: String,
    /// The mail address in lower case; empty when there is none.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// When the mail address was confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub email_confirmed_at: Option<Timestamp>,
    /// When the user was invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub invited_at: Option<Timestamp>,
    /// The phone number; empty when there is none.
    pub phone: String,
    /// When the phone number was confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub phone_confirmed_at: Option<Timestamp>,
    /// When the last mail went out that asks to confirm the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirmation_sent_at: Option<Timestamp>,
    /// When address or number was confirmed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirmed_at: Option<Timestamp>,
    /// When the last mail went out that lets set a new password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recovery_sent_at: Option<Timestamp>,
    /// The address that shall take the place of `email` once it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_email: Option<String>,
    /// When the mails went out that ask to confirm the new address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub email_change_sent_at: Option<Timestamp>,
    /// The phone number that is still to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_phone: Option<String>,
    /// When the last message went out that asks to confirm another number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub phone_change_sent_at: Option<Timestamp>,
    /// When the last code went out that shows once more who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reauthentication_sent_at: Option<Timestamp>,
    /// When the user signed in last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_sign_in_at: Option<Timestamp>,
    /// What admins note: `provider`, `providers`, and `roles`, which rights are drawn from.
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    pub app_metadata: Metadata,
    /// What the user notes.
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    pub user_metadata: Metadata,
    /// The user's second factors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub factors: Vec<Factor>,
    /// What the user signs in with.
    pub identities: Vec<Identity>,
    /// When the user was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When the user was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Until when the user can't sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub banned_until: Option<Timestamp>,
    /// When the user was deleted, if a trace was to be left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
    /// Whether the user never gave an address or a password.
    pub is_anonymous: bool,
}

/// What a user signs in with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// The identity's id.
    pub identity_id: Uuid,
    /// What the provider calls the user.
    pub id: String,
    /// Whose it is.
    pub user_id: Uuid,
    /// What the provider tells of the user.
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    pub identity_data: Metadata,
    /// `email`, or who else vouches for the user.
    #[schema(example = "email")]
    pub provider: String,
    /// When it was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_sign_in_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The mail address that the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A signed-in user with its tokens.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Shown with every request, as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    pub token_type: String,
    /// Seconds for which the access token is good.
    #[schema(example = 3600)]
    pub expires_in: i64,
    /// When the access token ends, in seconds since 1970.
    pub expires_at: i64,
    /// Exchanged for the next pair of tokens; good once.
    pub refresh_token: String,
    /// Who has signed in.
    pub user: User,
    /// What the provider gave that the user came by, to be shown to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_token: Option<String>,
    /// What the provider gave to ask it for another such token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_refresh_token: Option<String>,
    /// There when the password is right, but weaker than is asked for today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weak_password: Option<WeakPassword>,
}

impl User {
    pub(super) fn new(row: UserRow, identities: Vec<IdentityRow>) -> Self {
        let confirmed_at = match (row.email_confirmed_at, row.phone_confirmed_at) {
            (Some(email), Some(phone)) => Some(email.min(phone)),
            (email, phone) => email.or(phone),
        };
        Self {
            id: row.id,
            aud: row.aud,
            role: row.role,
            email: row.email.unwrap_or_default(),
            email_confirmed_at: row.email_confirmed_at,
            invited_at: row.invited_at,
            phone: row.phone.unwrap_or_default(),
            phone_confirmed_at: row.phone_confirmed_at,
            confirmation_sent_at: row.confirmation_sent_at,
            confirmed_at,
            recovery_sent_at: row.recovery_sent_at,
            new_email: row.new_email,
            email_change_sent_at: row.email_change_sent_at,
            new_phone: row.new_phone,
            phone_change_sent_at: row.phone_change_sent_at,
            reauthentication_sent_at: row.reauthentication_sent_at,
            last_sign_in_at: row.last_sign_in_at,
            app_metadata: object(row.app_metadata),
            user_metadata: object(row.user_metadata),
            factors: Vec::new(),
            identities: identities.into_iter().map(Identity::new).collect(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            banned_until: row.banned_until,
            deleted_at: row.deleted_at,
            is_anonymous: row.is_anonymous,
        }
    }

    /// The same user with its second factors.
    pub(super) fn with_factors(self, factors: Vec<FactorRow>) -> Self {
        Self { factors: factors.into_iter().map(Factor::new).collect(), ..self }
    }
}

impl Identity {
    fn new(row: IdentityRow) -> Self {
        Self {
            identity_id: row.id,
            id: row.provider_id,
            user_id: row.user_id,
            identity_data: object(row.identity_data),
            provider: row.provider,
            last_sign_in_at: row.last_sign_in_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            email: row.email,
        }
    }
}

impl IdentityRow {
    /// What a user with a mail address signs in with.
    pub(super) fn of_email(user: Uuid, email: &str, is_confirmed: bool, signup: Metadata, now: Timestamp) -> Self {
        let mut identity_data = signup;
        identity_data.extend(email_claims(user, email, is_confirmed));
        Self {
            id: Uuid::now_v7(),
            user_id: user,
            provider: EMAIL_PROVIDER.to_owned(),
            provider_id: user.to_string(),
            identity_data: Json(Value::Object(identity_data)),
            email: Some(email.to_owned()),
            last_sign_in_at: Some(now),
            created_at: now,
            updated_at: now,
        }
    }
}

impl IdentityRow {
    /// What a user with a phone number signs in with.
    pub(super) fn of_phone(user: Uuid, phone: &str, is_confirmed: bool, signup: Metadata, now: Timestamp) -> Self {
        let mut identity_data = signup;
        identity_data.extend(phone_claims(user, phone, is_confirmed));
        Self {
            id: Uuid::new_v4(),
            user_id: user,
            provider: PHONE_PROVIDER.to_owned(),
            provider_id: user.to_string(),
            identity_data: Json(Value::Object(identity_data)),
            email: None,
            last_sign_in_at: Some(now),
            created_at: now,
            updated_at: now,
        }
    }
}

/// What an identity by phone number says of itself.
pub(super) fn phone_claims(user: Uuid, phone: &str, is_confirmed: bool) -> Metadata {
    [
        ("sub".to_owned(), json!(user)),
        ("phone".to_owned(), json!(phone)),
        ("email_verified".to_owned(), json!(false)),
        ("phone_verified".to_owned(), json!(is_confirmed)),
    ]
    .into_iter()
    .collect()
}

/// What an identity by mail address says of itself, which a user who signs up has as its metadata, too.
pub(super) fn email_claims(user: Uuid, email: &str, is_confirmed: bool) -> Metadata {
    [
        ("sub".to_owned(), json!(user)),
        ("email".to_owned(), json!(email)),
        ("email_verified".to_owned(), json!(is_confirmed)),
        ("phone_verified".to_owned(), json!(false)),
    ]
    .into_iter()
    .collect()
}

/// Metadata as an object; the database holds nothing else.
pub(super) fn object(json: Json) -> Metadata {
    match json.0 {
        Value::Object(map) => map,
        _ => Metadata::new(),
    }
}

/// What a user may note itself: whether an address or number is its own is for others to say.
pub(super) fn own_words(mut metadata: Metadata) -> Metadata {
    for claim in ["email_verified", "phone_verified"] {
        metadata.shift_remove(claim);
    }
    metadata
}

/// Takes over what `changes` names; `null` takes a key away.
pub(super) fn merge(metadata: &mut Json, changes: Metadata) {
    let mut merged = object(std::mem::take(metadata));
    for (key, value) in changes {
        if value.is_null() {
            merged.shift_remove(&key);
        } else {
            merged.insert(key, value);
        }
    }
    *metadata = Json(Value::Object(merged));
}

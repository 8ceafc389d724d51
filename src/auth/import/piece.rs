//! What a record becomes here, whichever product it came from.

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    app::App,
    auth::{
        factors::totp_place,
        model::{EMAIL_PROVIDER, Metadata},
    },
    db::Timestamp,
    tenants::TenantId,
};

/// The provider of who signs in by phone number.
const PHONE_PROVIDER: &str = "phone";

/// One thing to be stored.
pub(super) enum Piece {
    User(Box<Incoming>),
    Identity(IncomingIdentity),
    Factor(IncomingFactor),
    Password(IncomingPassword),
    Session(IncomingSession),
    Token(IncomingToken),
}

/// Files are read once for each of these, since what belongs to a user may stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pass {
    Users,
    Belongings,
    Tokens,
}

impl Piece {
    pub(super) fn pass(&self) -> Pass {
        match self {
            Self::User(_) => Pass::Users,
            Self::Identity(_) | Self::Factor(_) | Self::Password(_) | Self::Session(_) => Pass::Belongings,
            Self::Token(_) => Pass::Tokens,
        }
    }
}

/// A user with what came in the same record.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::auth) struct Incoming {
    pub(in crate::auth) id: Uuid,
    /// The id is made of the one it had, which was no UUID.
    pub(in crate::auth) is_id_derived: bool,
    pub(in crate::auth) email: Option<String>,
    pub(in crate::auth) email_confirmed_at: Option<Timestamp>,
    pub(in crate::auth) phone: Option<String>,
    pub(in crate::auth) phone_confirmed_at: Option<Timestamp>,
    /// Whether the record is there for the password, and another one may tell more of the user.
    pub(in crate::auth) is_of_hashes: bool,
    /// The hash of the password, as the product spells it.
    pub(in crate::auth) password_hash: Option<String>,
    /// Why a password that was there can't be used.
    pub(in crate::auth) password_problem: Option<String>,
    pub(in crate::auth) role: Option<String>,
    pub(in crate::auth) app_metadata: Metadata,
    pub(in crate::auth) user_metadata: Metadata,
    pub(in crate::auth) banned_until: Option<Timestamp>,
    pub(in crate::auth) is_anonymous: bool,
    pub(in crate::auth) is_sso_user: bool,
    pub(in crate::auth) invited_at: Option<Timestamp>,
    pub(in crate::auth) last_sign_in_at: Option<Timestamp>,
    pub(in crate::auth) created_at: Option<Timestamp>,
    pub(in crate::auth) identities: Vec<IncomingIdentity>,
    pub(in crate::auth) factors: Vec<IncomingFactor>,
}

/// A way to sign in.
#[derive(Debug)]
pub(in crate::auth) struct IncomingIdentity {
    pub(in crate::auth) id: Uuid,
    pub(in crate::auth) user: Uuid,
    pub(in crate::auth) provider: String,
    pub(in crate::auth) subject: String,
    pub(in crate::auth) claims: Metadata,
    pub(in crate::auth) email: Option<String>,
    pub(in crate::auth) last_sign_in_at: Option<Timestamp>,
    pub(in crate::auth) created_at: Option<Timestamp>,
}

/// A secret for one-time codes of an app (TOTP).
pub(in crate::auth) struct IncomingFactor {
    pub(in crate::auth) id: Uuid,
    pub(in crate::auth) user: Uuid,
    pub(in crate::auth) name: String,
    /// Sealed before it is stored.
    pub(in crate::auth) secret: Vec<u8>,
    pub(in crate::auth) is_verified: bool,
    pub(in crate::auth) created_at: Option<Timestamp>,
}

impl IncomingFactor {
    /// Seals the secret, so that it can be stored.
    pub(super) fn seal(&mut self, app: &App, tenant: TenantId) {
        self.secret = app.master_key.seal(&totp_place(tenant, self.id), &self.secret);
    }
}

impl std::fmt::Debug for IncomingFactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingFactor").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The hash of a password whose user stands in another file.
pub(super) struct IncomingPassword {
    pub(super) user: Uuid,
    pub(super) hash: String,
}

/// A session that goes on.
pub(in crate::auth) struct IncomingSession {
    pub(in crate::auth) id: Uuid,
    pub(in crate::auth) user: Uuid,
    pub(in crate::auth) aal: String,
    pub(in crate::auth) created_at: Option<Timestamp>,
    pub(in crate::auth) refreshed_at: Option<Timestamp>,
    pub(in crate::auth) not_after: Option<Timestamp>,
    pub(in crate::auth) user_agent: Option<String>,
    pub(in crate::auth) ip: Option<String>,
}

/// A refresh token in force.
pub(super) struct IncomingToken {
    pub(super) session: Uuid,
    pub(super) text: String,
}

impl Incoming {
    /// Gives the user the ways to sign in that its address, number and password are, and notes all of them where apps look.
    pub(super) fn complete(&mut self, now: Timestamp) {
        let known: Vec<String> = match self.app_metadata.get("providers").and_then(Value::as_array) {
            Some(providers) => providers.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            None => self.identities.iter().map(|identity| identity.provider.clone()).collect(),
        };
        let signs_in_by = |name: &str| known.is_empty() || self.password_hash.is_some() || known.iter().any(|provider| provider == name);
        let by_email = self.email.clone().filter(|_| signs_in_by(EMAIL_PROVIDER));
        let by_phone = self.phone.clone().filter(|_| signs_in_by(PHONE_PROVIDER));
        for (provider, contact) in [(EMAIL_PROVIDER, by_email), (PHONE_PROVIDER, by_phone)] {
            let Some(contact) = contact.filter(|_| !self.identities.iter().any(|identity| identity.provider == provider)) else { continue };
            let claims = json!({
                "sub": self.id, provider: contact,
                "email_verified": self.email_confirmed_at.is_some(), "phone_verified": self.phone_confirmed_at.is_some(),
            });
            self.identities.push(IncomingIdentity {
                id: derived_id("identity", &format!("{}/{provider}", self.id)),
                user: self.id,
                provider: provider.to_owned(),
                subject: self.id.to_string(),
                claims: claims.as_object().cloned().unwrap_or_default(),
                email: (provider == EMAIL_PROVIDER).then_some(contact),
                last_sign_in_at: self.last_sign_in_at,
                created_at: self.created_at.or(Some(now)),
            });
        }
        let mut providers = known;
        for identity in &self.identities {
            if !providers.contains(&identity.provider) {
                providers.push(identity.provider.clone());
            }
        }
        if let Some(first) = providers.first() {
            self.app_metadata.entry("provider").or_insert_with(|| json!(first));
            self.app_metadata.insert("providers".to_owned(), json!(providers));
        }
        if self.email_confirmed_at.is_some() {
            self.user_metadata.insert("email_verified".to_owned(), json!(true));
        }
    }

    /// Notes of the user what there is.
    pub(super) fn note(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.user_metadata.entry(name).or_insert(Value::String(value));
        }
    }
}

impl IncomingIdentity {
    /// What another provider knows the user by.
    pub(super) fn new(user: Uuid, provider: &str, subject: &str, email: Option<String>, mut claims: Map<String, Value>) -> Self {
        claims.entry("sub").or_insert_with(|| json!(subject));
        claims.entry("provider_id").or_insert_with(|| json!(subject));
        if let Some(email) = &email {
            claims.entry("email").or_insert_with(|| json!(email));
        }
        Self {
            id: derived_id("identity", &format!("{provider}/{subject}")),
            user,
            provider: provider.to_owned(),
            subject: subject.to_owned(),
            claims,
            email,
            last_sign_in_at: None,
            created_at: None,
        }
    }
}

/// An id for what had none that could be kept: the same for the same thing, however often it is imported (UUID version 5).
pub(super) fn derived_id(kind: &str, name: &str) -> Uuid {
    // Basalt's own namespace for imports.
    const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_53f0_8a0e_4c55_9f0e_2d3c_7b7a_11e5);
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(NAMESPACE.as_bytes());
    context.update(kind.as_bytes());
    context.update(b"/");
    context.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&context.finish().as_ref()[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

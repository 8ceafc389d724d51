//! The audit log: what happened in a tenant, who did it, and from where.
//!
//! An [`Event`] is made before the transaction, where the request is known, and [`note`]d inside it: what was rolled back is not in the log, and
//! what is not in the log did not happen. Entries are never changed. They hold ids, not addresses: a name is looked up when the log is read, so
//! that an erased user leaves none. What is read, and in which shape, the rooms say.
//!
//! A room that does something worth a line adds its [`Action`] here.

mod sql;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::sql::{Entry, delete_rows_of, entries};
use crate::{
    db::{Db, TenantId, Timestamp, Tx},
    error::Result,
    http::{Actor, ActorKind, current_actor, current_client, current_request},
};

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $name:ident $text:literal $kind:literal),+ $(,)?) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[doc = $doc])* $name),+
        }

        impl Action {
            /// Its name in the log: upstream's, where upstream has one.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }

            /// What kind of event it is, as upstream divides them.
            pub fn log_type(self) -> &'static str {
                match self {
                    $(Self::$name => $kind),+
                }
            }
        }
    };
}

actions! {
    /// A session began.
    Login "login" "account",
    /// Somebody was not let in; `reason` says why.
    LoginFailed "login_failed" "account",
    /// Sessions were ended by their user.
    Logout "logout" "account",
    /// Who was invited came.
    InviteAccepted "invite_accepted" "account",
    /// A user was made.
    UserSignedUp "user_signedup" "team",
    /// A user was invited.
    UserInvited "user_invited" "team",
    /// A user was deleted.
    UserDeleted "user_deleted" "team",
    /// Something of a user was changed.
    UserModified "user_modified" "user",
    /// Somebody asked for a link or code that signs in.
    UserRecoveryRequested "user_recovery_requested" "user",
    /// A user asked to prove once more who it is.
    UserReauthenticateRequested "user_reauthenticate_requested" "user",
    /// A mail or message went out that confirms an address.
    UserConfirmationRequested "user_confirmation_requested" "user",
    /// A user has shown that an address or number is its own.
    UserConfirmed "user_confirmed" "user",
    /// A user who is signed in could not prove once more who it is.
    UserReauthenticateFailed "user_reauthenticate_failed" "user",
    /// Somebody signed up with an address that has an account.
    UserRepeatedSignUp "user_repeated_signup" "user",
    /// A user has another password.
    UserUpdatedPassword "user_updated_password" "user",
    /// A session was ended by somebody or something else than signing out; `reason` says why.
    TokenRevoked "token_revoked" "token",
    /// A factor was begun.
    FactorInProgress "factor_in_progress" "factor",
    /// A user gave up a factor.
    FactorUnenrolled "factor_unenrolled" "factor",
    /// A factor was asked for.
    ChallengeCreated "challenge_created" "factor",
    /// A factor's proof was looked at; `success` says how it went.
    VerificationAttempted "verification_attempted" "factor",
    /// An admin took a factor away.
    FactorDeleted "factor_deleted" "factor",
    /// An admin changed a factor.
    FactorUpdated "factor_updated" "factor",
    /// Codes for who loses its factors were made.
    RecoveryCodesGenerated "recovery_codes_generated" "factor",
    /// A user has one more way to sign in.
    IdentityLinked "identity_linked" "user",
    /// A user has one way less to sign in.
    IdentityUnlinked "identity_unlinked" "user",
    /// A passkey was made.
    PasskeyCreated "passkey_created" "user",
    /// A passkey was changed.
    PasskeyUpdated "passkey_updated" "user",
    /// A passkey was taken away.
    PasskeyDeleted "passkey_deleted" "user",
    /// Users came from a file.
    UsersImported "users_imported" "team",
    /// The tenant was made.
    TenantCreated "tenant_created" "tenant",
    /// The tenant's name, domain, status or settings were changed; `changed` names them.
    TenantModified "tenant_modified" "tenant",
    /// The tenant was deleted, and its log with it but for this.
    TenantDeleted "tenant_deleted" "tenant",
    /// An API key was made.
    KeyCreated "key_created" "tenant",
    /// An API key was ended.
    KeyRevoked "key_revoked" "tenant",
    /// A signing key was made or taken over.
    SigningKeyAdded "signing_key_added" "tenant",
    /// A signing key was taken away.
    SigningKeyRemoved "signing_key_removed" "tenant",
    /// An identity provider was made, changed or taken away.
    ProviderModified "provider_modified" "tenant",
}

/// Where something comes from: who asked, from which address, in which request. Known where the request is answered, not inside a transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Origin {
    actor: Actor,
    ip: Option<String>,
    request: Option<String>,
}

impl Origin {
    /// The request being answered; outside of any, the process itself.
    pub fn here() -> Self {
        Self {
            actor: current_actor().unwrap_or(Actor { kind: ActorKind::System, id: None }),
            ip: current_client().map(|address| address.to_string()),
            request: current_request(),
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    action: Action,
    origin: Origin,
    subject: Option<Uuid>,
    traits: Map<String, Value>,
}

impl Event {
    /// Something that the request being answered does. To be made outside of transactions.
    pub fn new(action: Action) -> Self {
        Self::of(action, Origin::here())
    }

    /// Something that comes from there.
    pub fn of(action: Action, origin: Origin) -> Self {
        Self { action, origin, subject: None, traits: Map::new() }
    }

    /// This user did it, who showed only now who it is.
    #[must_use]
    pub fn by_user(mut self, user: Uuid) -> Self {
        self.origin.actor = Actor { kind: ActorKind::User, id: Some(user) };
        self
    }

    /// It happened to this user.
    #[must_use]
    pub fn about(mut self, user: Uuid) -> Self {
        self.subject = Some(user);
        self
    }

    /// One thing more to know of it. No secret, no address.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.traits.insert(name.to_owned(), value.into());
        self
    }
}

/// Writes an event into the log, in the transaction that makes it true.
pub async fn note(tx: &Tx, tenant: TenantId, now: Timestamp, event: &Event) -> Result<()> {
    sql::insert(tx, tenant, now, event).await
}

/// Writes an event into the log that comes with no other change: a refusal. If that fails, the refusal stands all the same.
pub async fn note_refusal(db: &Db, tenant: TenantId, now: Timestamp, event: Event) {
    let action = event.action.as_str();
    if let Err(error) = db.write(move |tx| async move { note(&tx, tenant, now, &event).await }).await {
        tracing::warn!(%error, action, "a refusal could not be written into the audit log");
    }
}

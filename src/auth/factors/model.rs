//! Factors as this room keeps them and as the wire shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    db::{Json, Timestamp},
    row_type,
    tenants::MfaSettings,
};

row_type! {
    /// A factor as it is stored.
    #[derive(Clone, Debug)]
    pub(in crate::auth) struct FactorRow {
        pub(in crate::auth) id: Uuid,
        pub(in crate::auth) user_id: Uuid,
        pub(in crate::auth) friendly_name: String,
        pub(in crate::auth) factor_type: String,
        pub(in crate::auth) status: String,
        pub(in crate::auth) phone: Option<String>,
        pub(in crate::auth) secret: Option<Vec<u8>>,
        pub(in crate::auth) credential: Option<Json>,
        pub(in crate::auth) failures: i64,
        pub(in crate::auth) locked_until: Option<Timestamp>,
        pub(in crate::auth) last_challenged_at: Option<Timestamp>,
        pub(in crate::auth) created_at: Timestamp,
        pub(in crate::auth) updated_at: Timestamp,
    }
}

row_type! {
    /// What a factor was asked, as it is stored.
    #[derive(Clone, Debug)]
    pub(in crate::auth) struct ChallengeRow {
        pub(in crate::auth) id: Uuid,
        pub(in crate::auth) factor_id: Uuid,
        pub(in crate::auth) ip: Option<String>,
        pub(in crate::auth) code_hash: Option<Vec<u8>>,
        pub(in crate::auth) state: Option<Json>,
        pub(in crate::auth) created_at: Timestamp,
        pub(in crate::auth) verified_at: Option<Timestamp>,
    }
}

/// What a factor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactorType {
    /// Codes of an authenticator app, from a shared secret and the time (RFC 6238).
    Totp,
    /// Codes that are sent to a phone.
    Phone,
    /// A security key or a device that signs (`WebAuthn`).
    Webauthn,
    /// Codes on paper, each good once.
    RecoveryCode,
}

impl FactorType {
    /// The word in the database.
    pub(in crate::auth) fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Phone => "phone",
            Self::Webauthn => "webauthn",
            Self::RecoveryCode => "recovery_code",
        }
    }

    /// What `amr` says of a session that was raised by such a factor.
    pub(in crate::auth) fn method(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Phone => "mfa/phone",
            Self::Webauthn => "mfa/webauthn",
            Self::RecoveryCode => "mfa/recovery_code",
        }
    }

    /// Whether the tenant lets such a factor be used.
    pub(super) fn can_verify(self, settings: &MfaSettings) -> bool {
        match self {
            Self::Totp => settings.totp_verify_enabled,
            Self::Phone => settings.phone_verify_enabled,
            Self::Webauthn => settings.webauthn_verify_enabled,
            Self::RecoveryCode => settings.recovery_codes_verify_enabled,
        }
    }
}

/// Whether `amr` names a second factor by this method.
pub(in crate::auth) fn is_second_factor(method: &str) -> bool {
    [FactorType::Totp, FactorType::Phone, FactorType::Webauthn, FactorType::RecoveryCode].iter().any(|factor| factor.method() == method)
}

impl FactorRow {
    /// A new factor; its secret, number or credential is still to be set.
    pub(super) fn new(user: Uuid, kind: FactorType, friendly_name: String, now: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4(),
            user_id: user,
            friendly_name,
            factor_type: kind.as_str().to_owned(),
            status: UNVERIFIED.to_owned(),
            phone: None,
            secret: None,
            credential: None,
            failures: 0,
            locked_until: None,
            last_challenged_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// What it is.
    pub(in crate::auth) fn kind(&self) -> FactorType {
        match self.factor_type.as_str() {
            "totp" => FactorType::Totp,
            "phone" => FactorType::Phone,
            "webauthn" => FactorType::Webauthn,
            // The database holds nothing else.
            _ => FactorType::RecoveryCode,
        }
    }

    /// Whether it was proved to be the user's.
    pub(in crate::auth) fn is_verified(&self) -> bool {
        self.status == VERIFIED
    }

    /// For how many seconds no code is taken: too many wrong ones were tried of late.
    pub(super) fn locked_for(&self, now: Timestamp) -> Option<i64> {
        let left = self.locked_until?.micros() - now.micros();
        (left > 0).then(|| (left + 999_999) / 1_000_000)
    }
}

pub(in crate::auth) const VERIFIED: &str = "verified";
const UNVERIFIED: &str = "unverified";

/// Whether a factor was proved to be the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FactorStatus {
    /// It is still to be proved; it can't raise a session.
    Unverified,
    /// It is proved.
    Verified,
}

/// A second factor. What it is verified with is never shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Factor {
    /// The factor's id.
    pub id: Uuid,
    /// When it was enrolled.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Whether it was proved to be the user's.
    pub status: FactorStatus,
    /// What the user calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub friendly_name: String,
    /// What it is.
    pub factor_type: FactorType,
    /// The number of a phone factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// When it was challenged last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_challenged_at: Option<Timestamp>,
}

impl Factor {
    pub(in crate::auth) fn new(row: FactorRow) -> Self {
        Self {
            id: row.id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            status: if row.is_verified() { FactorStatus::Verified } else { FactorStatus::Unverified },
            factor_type: row.kind(),
            friendly_name: row.friendly_name,
            phone: row.phone,
            last_challenged_at: row.last_challenged_at,
        }
    }
}

//! Second factors and passkeys.

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::in_range;
use crate::error::{Error, Result};

/// Second factors and passkeys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each kind of factor is switched by itself")]
pub struct MfaSettings {
    /// Whether users may enrol an authenticator app.
    pub totp_enroll_enabled: bool,
    /// Whether codes of an authenticator app are taken.
    pub totp_verify_enabled: bool,
    /// Whether users may enrol a phone.
    pub phone_enroll_enabled: bool,
    /// Whether codes sent to a phone are taken.
    pub phone_verify_enabled: bool,
    /// Whether users may enrol a security key.
    pub webauthn_enroll_enabled: bool,
    /// Whether security keys are taken.
    pub webauthn_verify_enabled: bool,
    /// Whether users with a factor may make recovery codes.
    pub recovery_codes_enroll_enabled: bool,
    /// Whether recovery codes are taken.
    pub recovery_codes_verify_enabled: bool,
    /// Factors of a user at most, 0 to 100.
    pub max_enrolled_factors: u32,
    /// Whether users may sign in by passkey.
    pub passkeys_enabled: bool,
    /// Passkeys of a user at most, 1 to 100.
    pub max_passkeys: u32,
    /// The domain that passkeys and security keys are bound to: the app's, or one above it. Empty: the host of the site. Who changes it
    /// makes those that are there useless.
    pub rp_id: String,
    /// The app's name as authenticators show it. Empty: `rp_id`.
    pub rp_name: String,
    /// Where the app is served from: `https://app.example.com`. Empty: the site.
    pub origins: Vec<String>,
}

impl Default for MfaSettings {
    fn default() -> Self {
        Self {
            totp_enroll_enabled: true,
            totp_verify_enabled: true,
            phone_enroll_enabled: false,
            phone_verify_enabled: false,
            webauthn_enroll_enabled: false,
            webauthn_verify_enabled: false,
            recovery_codes_enroll_enabled: true,
            recovery_codes_verify_enabled: true,
            max_enrolled_factors: 10,
            passkeys_enabled: false,
            max_passkeys: 10,
            rp_id: String::new(),
            rp_name: String::new(),
            origins: Vec::new(),
        }
    }
}

impl MfaSettings {
    pub(super) fn check(&self) -> Result<()> {
        in_range("mfa.max_enrolled_factors", self.max_enrolled_factors, 0, 100)?;
        in_range("mfa.max_passkeys", self.max_passkeys, 1, 100)?;
        if !self.rp_id.is_empty() && url::Host::parse(&self.rp_id).map(|host| host.to_string()).as_deref() != Ok(self.rp_id.as_str()) {
            return Err(Error::invalid("mfa.rp_id", format!("\"{}\" is no domain in lower case; take one such as example.com", self.rp_id)));
        }
        self.origins.iter().try_for_each(|origin| check_origin(origin))
    }
}

fn check_origin(origin: &str) -> Result<()> {
    // Apps of Android name themselves by a hash.
    let is_app = origin.strip_prefix("android:apk-key-hash:").is_some_and(|hash| !hash.is_empty());
    let is_site = Url::parse(origin).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == origin);
    if is_app || is_site {
        return Ok(());
    }
    Err(Error::invalid("mfa.origins", format!("\"{origin}\" is no origin; take one such as https://app.example.com, without a path")))
}

//! Who is asked, or told, when something happens to users.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SecretSetting;
use crate::{
    crypto::from_base64,
    error::{Error, Result},
};

/// Somebody's server that is called at one point of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hook {
    /// Whether it is called.
    pub enabled: bool,
    /// Where; https, or http where the installation allows it (`outbound.allow`).
    pub url: String,
    /// What calls are signed with (Standard Webhooks): `v1,whsec_…`, or several separated by `|` while one takes the place of another.
    pub secrets: SecretSetting,
}

/// Who is asked, or told, when something happens to users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HookSettings {
    /// Asked before a user is made, except by an admin or from a file. Without an answer there is none. With `sign_up.tell_unknown=false` it
    /// is asked about everybody who asks for a code, and who is refused is not told: only that no mail comes.
    pub before_user_created: Hook,
    /// Told after a user was made, except from a file; tried again until it is heard.
    pub after_user_created: Hook,
    /// Asked for what an access token says. Without an answer there is no token.
    pub custom_access_token: Hook,
    /// Sends mails in this installation's place; tried again until it is heard. No limit of mails holds.
    /// `email_action_type` is Supabase's, or for what Supabase does not send: `account_exists_notification`, `new_device_notification`,
    /// `mfa_recovery_codes_made_notification`, `passkey_added_notification`, `passkey_removed_notification`.
    pub send_email: Hook,
    /// Sends text messages in the provider's place; tried again until it is heard. No limit of messages holds.
    pub send_sms: Hook,
    /// Asked after a password of a known user was compared. Without an answer nobody signs in. The time of its call tells who is known.
    pub password_verification_attempt: Hook,
    /// Asked after a code of a second factor was compared. Without an answer it does not count.
    pub mfa_verification_attempt: Hook,
}

impl HookSettings {
    pub(super) fn check(&self) -> Result<()> {
        self.named().into_iter().try_for_each(|(name, hook)| hook.check(name))
    }

    /// All of them, by the name of the setting.
    pub(super) fn named(&self) -> [(&'static str, &Hook); 7] {
        [
            ("hooks.before_user_created", &self.before_user_created),
            ("hooks.after_user_created", &self.after_user_created),
            ("hooks.custom_access_token", &self.custom_access_token),
            ("hooks.send_email", &self.send_email),
            ("hooks.send_sms", &self.send_sms),
            ("hooks.password_verification_attempt", &self.password_verification_attempt),
            ("hooks.mfa_verification_attempt", &self.mfa_verification_attempt),
        ]
    }

    pub(super) fn secrets(&mut self) -> [&mut SecretSetting; 7] {
        [
            &mut self.before_user_created.secrets,
            &mut self.after_user_created.secrets,
            &mut self.custom_access_token.secrets,
            &mut self.send_email.secrets,
            &mut self.send_sms.secrets,
            &mut self.password_verification_attempt.secrets,
            &mut self.mfa_verification_attempt.secrets,
        ]
    }
}

/// The keys of a hook: `v1,whsec_BASE64`, several separated by `|`. `None` if it is anything else.
pub fn webhook_keys(text: &str) -> Option<Vec<Vec<u8>>> {
    let key = |secret: &str| {
        let secret = secret.trim();
        let encoded = secret.strip_prefix("v1,").unwrap_or(secret).strip_prefix("whsec_")?;
        from_base64(encoded).filter(|key| (24..=64).contains(&key.len()))
    };
    text.split('|').map(key).collect()
}

impl Hook {
    fn check(&self, name: &'static str) -> Result<()> {
        let is_odd = self.secrets.plain().is_some_and(|text| webhook_keys(text).is_none());
        if is_odd || self.enabled && !self.secrets.is_set() {
            return Err(Error::invalid(name, "a hook's calls must be signed: set secrets to v1,whsec_ and 24 to 64 random bytes in base64"));
        }
        if !self.enabled && self.url.is_empty() {
            return Ok(());
        }
        super::check_url(name, &self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_standard_webhooks_write_them() {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(webhook_keys(&format!("v1,{key}")).unwrap()[0].len(), 24);
        assert_eq!(webhook_keys(&format!("v1,{key} | {key}")).unwrap().len(), 2);
        for wrong in ["", "v1,whsec_", "v1,whsec_!", "v1,whsec_YWFh", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &format!("{key}|")] {
            assert_eq!(webhook_keys(wrong), None, "{wrong}");
        }
    }
}

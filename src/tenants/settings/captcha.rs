//! Proof that somebody is no program.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SecretSetting;
use crate::error::{Error, Result};

/// Proof that somebody is no program, asked of whoever signs up, signs in or makes mails be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptchaSettings {
    /// Whether it is asked for.
    pub enabled: bool,
    /// Who says whether a proof is good.
    pub provider: CaptchaProvider,
    /// The tenant's secret at the provider.
    pub secret: SecretSetting,
    /// Where the provider is asked; empty for its own address.
    pub verify_url: String,
}

/// Who says whether a proof is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptchaProvider {
    /// hCaptcha.
    #[default]
    Hcaptcha,
    /// Cloudflare Turnstile.
    Turnstile,
}

impl CaptchaSettings {
    /// Where the provider is asked.
    pub fn verify_url(&self) -> &str {
        match (self.verify_url.as_str(), self.provider) {
            ("", CaptchaProvider::Hcaptcha) => "https://api.hcaptcha.com/siteverify",
            ("", CaptchaProvider::Turnstile) => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
            (url, _) => url,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !self.verify_url.is_empty() {
            super::check_url("captcha.verify_url", &self.verify_url)?;
        }
        if self.enabled && !self.secret.is_set() {
            return Err(Error::invalid("captcha.secret", "is needed to ask the provider; it is on the provider's page of your site"));
        }
        Ok(())
    }
}

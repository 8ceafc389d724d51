//! Text messages to users: who sends them, and the codes in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{SecretSetting, in_range};
use crate::{
    error::{Error, Result},
    mail::template::{self, Form},
};

/// Text messages to users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmsSettings {
    /// Who sends them.
    pub provider: SmsProvider,
    /// Where the provider is asked: the address that a webhook is sent to. Empty with `twilio`: Twilio's own; another one takes what Twilio takes.
    pub url: String,
    /// The account, with `twilio`.
    pub account_sid: String,
    /// The account's token with `twilio`; what a webhook brings along as its bearer token.
    pub auth_token: SecretSetting,
    /// The number, the name or the messaging service (`MG…`) that messages come from.
    pub from: String,
    /// What a message says. It can name `code`.
    pub template: String,
    /// Seconds that a code is good, 30 to 3,600.
    pub code_seconds: u32,
    /// Seconds between two messages to one number, 0 to 3,600.
    pub resend_seconds: u32,
    /// Whether a new user's phone number counts as confirmed at once.
    pub autoconfirm: bool,
    /// Codes of numbers that no message is sent to: `{"+491512345678": "123456"}`. For tests; whoever knows one signs in.
    pub test_codes: BTreeMap<String, String>,
}

impl Default for SmsSettings {
    fn default() -> Self {
        Self {
            provider: SmsProvider::None,
            url: String::new(),
            account_sid: String::new(),
            auth_token: SecretSetting::default(),
            from: String::new(),
            template: "Your code is {{ code }}".to_owned(),
            code_seconds: 60,
            resend_seconds: 60,
            autoconfirm: false,
            test_codes: BTreeMap::new(),
        }
    }
}

/// Who sends text messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmsProvider {
    /// Nobody.
    #[default]
    None,
    /// An address of the tenant's, which gets `{to, text, channel}` as JSON.
    Webhook,
    /// Twilio, or who takes what Twilio takes.
    Twilio,
}

impl SmsProvider {
    /// The word in settings, and on the wire; empty for nobody.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Webhook => "webhook",
            Self::Twilio => "twilio",
        }
    }
}

impl SmsSettings {
    /// The code that this number always has, if it is one for tests.
    pub fn test_code(&self, digits: &str) -> Option<&str> {
        let code = self.test_codes.iter().find(|(number, _)| number.trim_start_matches('+') == digits);
        code.map(|(_, code)| code.as_str())
    }

    pub(super) fn check(&self) -> Result<()> {
        in_range("sms.code_seconds", self.code_seconds, 30, 3_600)?;
        in_range("sms.resend_seconds", self.resend_seconds, 0, 3_600)?;
        let url = (!self.url.is_empty()).then(|| url::Url::parse(&self.url));
        match url {
            Some(Ok(url)) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            None if self.provider != SmsProvider::Webhook => {}
            _ => return Err(Error::invalid("sms.url", format!("\"{}\" should be an http or https address", self.url))),
        }
        let is_account = !self.account_sid.is_empty() && self.account_sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if self.provider == SmsProvider::Twilio && !(is_account && self.auth_token.is_set() && !self.from.is_empty()) {
            return Err(Error::invalid("sms.provider", "twilio needs sms.account_sid (letters and digits), sms.auth_token and sms.from"));
        }
        template::check(&self.template, &json!({ "code": "123456" }), Form::Text).map_err(|error| match error {
            Error::Invalid { why, .. } => Error::invalid("sms.template", why),
            error => error,
        })?;
        for (number, code) in &self.test_codes {
            let digits = number.trim_start_matches('+');
            let is_number = (2..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number || !(6..=10).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Error::invalid(
                    "sms.test_codes",
                    format!("\"{number}\" should be a number as +491512345678, and its code 6 to 10 digits"),
                ));
            }
        }
        Ok(())
    }
}

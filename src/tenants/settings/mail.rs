//! Mails to users: who they come from, what they say, and what their links and codes are good for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::in_range;
use crate::{
    error::{Error, Result},
    mail::{
        self,
        template::{self, Form},
    },
};

/// Mails to users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// Who mails come from: an address, with a name or without. Empty: who the installation says.
    pub from: String,
    /// The language of who has not said one.
    pub default_locale: String,
    /// The tenant's own texts, by kind and language (`templates.recovery.de`); what it does not have is as it comes with Basalt.
    #[schema(value_type = HashMap<String, HashMap<String, MailTemplate>>)]
    pub templates: BTreeMap<MailKind, BTreeMap<String, MailTemplate>>,
    /// Where links lead: a path of the app (`/auth/confirm`), which gets `token_hash` and `type` and gives them to `POST /verify`. Such links
    /// survive whoever looks at them before their reader does. Empty: to `GET /verify`, which signs in and goes on to the app.
    pub link_path: String,
    /// Whether `GET /verify` shows a page with a button first, so that only who presses it uses the link up.
    pub confirm_page: bool,
    /// Whether a change of address has to be agreed to at the old address as well.
    pub secure_email_change: bool,
    /// Seconds between two mails of a kind to one address, 0 to 3,600.
    pub resend_seconds: u32,
    /// What users are told of without having asked.
    pub notices: NoticeSettings,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            from: String::new(),
            default_locale: "en".to_owned(),
            templates: BTreeMap::new(),
            link_path: String::new(),
            confirm_page: false,
            secure_email_change: true,
            resend_seconds: 60,
            notices: NoticeSettings::default(),
        }
    }
}

/// What users are told of without having asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is chosen by itself")]
pub struct NoticeSettings {
    /// Somebody tried to sign up with the address of an account.
    pub account_exists: bool,
    /// The password is another one.
    pub password_changed: bool,
    /// The mail address is another one; told to the old one.
    pub email_changed: bool,
    /// The phone number is another one.
    pub phone_changed: bool,
    /// Somebody signed in from a browser and network not seen before.
    pub new_device: bool,
    /// A second factor came or went.
    pub factors: bool,
    /// Recovery codes were made.
    pub recovery_codes: bool,
    /// A passkey came or went.
    pub passkeys: bool,
    /// A provider by which the user signs in came or went.
    pub identities: bool,
}

impl Default for NoticeSettings {
    fn default() -> Self {
        Self {
            account_exists: true,
            password_changed: true,
            email_changed: true,
            phone_changed: true,
            new_device: true,
            factors: true,
            recovery_codes: true,
            passkeys: true,
            identities: true,
        }
    }
}

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// Confirm the address of a new account.
    Confirmation,
    /// Come in: somebody made an account for you.
    Invite,
    /// Sign in without a password.
    MagicLink,
    /// Choose a new password.
    Recovery,
    /// Confirm the new address.
    EmailChange,
    /// Agree, at the old address, to the new one.
    EmailChangeCurrent,
    /// A code before something that matters.
    Reauthentication,
    /// You have an account already.
    AccountExists,
    /// The password is another one.
    PasswordChanged,
    /// The mail address is another one.
    EmailChanged,
    /// The phone number is another one.
    PhoneChanged,
    /// A sign-in from somewhere new.
    NewDevice,
    /// A second factor came.
    FactorAdded,
    /// A second factor went.
    FactorRemoved,
    /// There are new recovery codes.
    RecoveryCodesMade,
    /// A passkey came.
    PasskeyAdded,
    /// A passkey went.
    PasskeyRemoved,
    /// A provider by which the user signs in came.
    IdentityLinked,
    /// A provider by which the user signed in went.
    IdentityUnlinked,
}

/// The text of a mail. What is empty is as it comes with Basalt.
///
/// Each part can name `confirmation_url`, `token` (the code), `token_hash`, `type`, `site_url`, `redirect_to`, `email`, `new_email`, `phone`,
/// `new_phone`, `data` (the user's metadata), `device`, `factor`, `passkey` and `provider`, as `{{ token }}`; in HTML they are escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MailTemplate {
    /// The subject.
    pub subject: String,
    /// What is read where HTML is shown.
    pub html: String,
    /// What is read elsewhere.
    pub text: String,
}

/// Bytes of one part of a template at most.
const LONGEST_PART: usize = 64 * 1024;

impl MailSettings {
    pub(super) fn check(&self) -> Result<()> {
        in_range("mail.resend_seconds", self.resend_seconds, 0, 3_600)?;
        if !self.from.is_empty() && !mail::is_sender(&self.from) {
            return Err(Error::invalid(
                "mail.from",
                format!("\"{}\" is no mail address; take name@example.com or Name <name@example.com>", self.from),
            ));
        }
        check_locale("mail.default_locale", &self.default_locale)?;
        if !self.link_path.is_empty() && !is_path(&self.link_path) {
            return Err(Error::invalid("mail.link_path", format!("\"{}\" should be a path of the app, as /auth/confirm", self.link_path)));
        }
        let templates = self.templates.iter().flat_map(|(kind, locales)| locales.iter().map(move |(locale, template)| (kind, locale, template)));
        for (kind, locale, template) in templates {
            let name = format!("mail.templates.{}.{locale}", serde_json::to_value(kind)?.as_str().unwrap_or_default());
            check_locale(&name, locale)?;
            template.check(&name)?;
        }
        Ok(())
    }
}

impl MailTemplate {
    fn check(&self, name: &str) -> Result<()> {
        for (part, source, form) in [("subject", &self.subject, Form::Line), ("html", &self.html, Form::Html), ("text", &self.text, Form::Text)] {
            let name = format!("{name}.{part}");
            if source.len() > LONGEST_PART {
                return Err(Error::invalid(name, format!("it has {} bytes; it can have {LONGEST_PART}", source.len())));
            }
            template::check(source, &sample(), form).map_err(|error| match error {
                Error::Invalid { why, .. } => Error::invalid(name, why),
                error => error,
            })?;
        }
        Ok(())
    }
}

/// One of everything that a template can name.
fn sample() -> Value {
    json!({
        "confirmation_url": "https://example.com/auth/v1/verify?token=0&type=signup", "token": "123456", "token_hash": "0", "type": "signup",
        "site_url": "https://example.com", "redirect_to": "https://example.com", "email": "ada@example.com", "new_email": "new@example.com",
        "phone": "+491512345678", "new_phone": "+491512345679", "data": { "name": "Ada" }, "device": "Firefox", "factor": "TOTP",
        "passkey": "Laptop", "provider": "google",
    })
}

fn check_locale(name: &str, locale: &str) -> Result<()> {
    let is_locale = locale.len() <= 20 && locale.split('-').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if is_locale { Ok(()) } else { Err(Error::invalid(name.to_owned(), format!("\"{locale}\" is no language; take de, pt-BR, zh"))) }
}

/// A path from the root, without anything that would make it more than one.
fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    text.starts_with('/') && !text.starts_with("//") && text.bytes().all(is_plain) && !text.split('/').any(|part| part == "..")
}

/// Codes, and how long they and links are good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtpSettings {
    /// Digits of a code, 6 to 10.
    pub code_length: u32,
    /// Wrong codes after which a code is burnt, 1 to 20. The link of the same mail goes on.
    pub attempts: u32,
    /// Seconds that what a mail carries is good, 60 to 604,800.
    pub email_seconds: u32,
    /// Seconds that an invitation is good, 3,600 to 2,592,000.
    pub invite_seconds: u32,
}

impl Default for OtpSettings {
    fn default() -> Self {
        Self { code_length: 6, attempts: 5, email_seconds: 3_600, invite_seconds: 604_800 }
    }
}

impl OtpSettings {
    pub(super) fn check(&self) -> Result<()> {
        in_range("otp.code_length", self.code_length, 6, 10)?;
        in_range("otp.attempts", self.attempts, 1, 20)?;
        in_range("otp.email_seconds", self.email_seconds, 60, 604_800)?;
        in_range("otp.invite_seconds", self.invite_seconds, 3_600, 2_592_000)
    }
}

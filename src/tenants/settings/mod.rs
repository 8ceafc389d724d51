//! What a tenant can choose, in groups: a file each where a group has rules of its own.
//!
//! A group is a struct with `Default`, `check` (refuses what is out of range, by the setting's name) and, if it has secrets, a line in
//! [`TenantSettings::secrets`]. A secret that has no line there can't be stored: the first try says so.

mod captcha;
mod hooks;
mod limits;
mod mail;
mod mfa;
mod password;
mod providers;
mod records;
mod redirects;
mod secret;
mod sms;
mod storage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use self::{
    captcha::{CaptchaProvider, CaptchaSettings},
    hooks::{Hook, HookSettings, webhook_keys},
    limits::{LimitSettings, Rate},
    mail::{MailKind, MailTemplate, NoticeSettings},
    mfa::MfaSettings,
    password::{CharacterKind, PasswordRules, PwnedCheck},
    providers::{IdentitySettings, PROVIDERS, ProviderSettings},
    records::{FieldGroup, RecordAction, RecordRule, RecordSettings, RowCondition, RowOperator, RowScope, claim_of, custom_validator},
    redirects::{RedirectSettings, read_redirect},
    secret::SecretSetting,
    sms::SmsProvider,
    storage::{Ownership, RuleAction, Sealed, StorageRule, StorageSettings, storage_presets},
};
use self::{
    mail::{MailSettings, OtpSettings},
    sms::SmsSettings,
};
use crate::{
    crypto::MasterKey,
    db::TenantId,
    error::{Error, Result},
};

/// What a tenant can choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantSettings {
    /// Who may become a user.
    pub sign_up: SignUpSettings,
    /// What a password must be.
    pub password: PasswordRules,
    /// How long sessions and tokens are good.
    pub sessions: SessionSettings,
    /// Where a user may be sent back to.
    pub redirects: RedirectSettings,
    /// Codes, and how long they and links are good.
    pub otp: OtpSettings,
    /// Mails to users.
    pub mail: MailSettings,
    /// Text messages to users.
    pub sms: SmsSettings,
    /// Second factors and passkeys.
    pub mfa: MfaSettings,
    /// Who else may vouch for users, by name: `google`, `github`, …
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Which identities a user may have.
    pub identities: IdentitySettings,
    /// How often what may be asked for.
    pub limits: LimitSettings,
    /// Proof that somebody is no program.
    pub captcha: CaptchaSettings,
    /// Who is asked, or told, when something happens to users.
    pub hooks: HookSettings,
    /// What may be asked of records.
    pub records: RecordSettings,
    /// Who may see which files.
    pub storage: StorageSettings,
}

/// Who may become a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is chosen by itself")]
pub struct SignUpSettings {
    /// Whether strangers may sign up.
    pub enabled: bool,
    /// Whether a new user's email counts as confirmed at once. It is not proved by that: who comes later by a provider that vouches for the
    /// address, or resets the password by mail, gets the account, without the password, sessions, passkeys and phone number that were there
    /// before.
    pub email_autoconfirm: bool,
    /// Whether users sign up and in by mail address.
    pub email: bool,
    /// Whether users sign up and in by phone number.
    pub phone: bool,
    /// Whether there are users without address and password.
    pub anonymous: bool,
    /// Whether who signs up with the address of an account is told so. Else the answer is that of a new account, and its owner gets a mail.
    pub tell_existing: bool,
    /// Whether who asks for a code, and for no new account, is told that nobody has the address. Else the answer is that of a known one.
    pub tell_unknown: bool,
}

impl Default for SignUpSettings {
    fn default() -> Self {
        Self { enabled: true, email_autoconfirm: true, email: true, phone: false, anonymous: false, tell_existing: false, tell_unknown: true }
    }
}

/// Seconds of ten years.
const LONGEST_SESSION: u32 = 315_360_000;

/// How long sessions and tokens are good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionSettings {
    /// Seconds that an access token lives, 60 to 86,400.
    pub access_token_seconds: u32,
    /// Seconds within which a refresh token may be used again and gives the same answer, 0 to 3,600.
    pub refresh_reuse_seconds: u32,
    /// Seconds after which a session ends, however much it is used; 0 for never.
    pub timebox_seconds: u32,
    /// Seconds without a refresh after which a session ends; 0 for never. More than an access token lives.
    pub inactivity_seconds: u32,
    /// Seconds after which a session ends whose user has a second factor and did not use it; 0 for never.
    pub low_aal_seconds: u32,
    /// Whether a sign-in ends the sessions that the user had before.
    pub single_per_user: bool,
    /// Issuers of access tokens that are believed besides the tenant's own, for sessions that came from elsewhere: at most 10.
    pub accepted_issuers: Vec<String>,
    /// Whether long-lived keys in token form (`role` = `anon` or `service_role`) may be without an end.
    pub keys_without_expiry: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            access_token_seconds: 3600,
            refresh_reuse_seconds: 10,
            timebox_seconds: 0,
            inactivity_seconds: 0,
            low_aal_seconds: 0,
            single_per_user: false,
            accepted_issuers: Vec::new(),
            keys_without_expiry: false,
        }
    }
}

impl SessionSettings {
    fn check(&self) -> Result<()> {
        in_range("sessions.access_token_seconds", self.access_token_seconds, 60, 86_400)?;
        in_range("sessions.refresh_reuse_seconds", self.refresh_reuse_seconds, 0, 3_600)?;
        for (name, seconds) in [
            ("sessions.timebox_seconds", self.timebox_seconds),
            ("sessions.inactivity_seconds", self.inactivity_seconds),
            ("sessions.low_aal_seconds", self.low_aal_seconds),
        ] {
            in_range(name, seconds, 0, LONGEST_SESSION)?;
        }
        // A session is seen to be used when it is refreshed, and nobody refreshes a token that is still good.
        if self.inactivity_seconds != 0 && self.inactivity_seconds <= self.access_token_seconds {
            let why =
                format!("{} should be more than sessions.access_token_seconds, which is {}", self.inactivity_seconds, self.access_token_seconds);
            return Err(Error::invalid("sessions.inactivity_seconds", why));
        }
        if self.accepted_issuers.len() > 10 || self.accepted_issuers.iter().any(|issuer| issuer.is_empty() || issuer.len() > 512) {
            return Err(Error::invalid("sessions.accepted_issuers", "take at most 10 issuers of at most 512 characters"));
        }
        Ok(())
    }
}

impl TenantSettings {
    /// Refuses what is out of range, by the setting's name.
    pub fn check(&self) -> Result<()> {
        self.password.check()?;
        self.sessions.check()?;
        self.redirects.check()?;
        self.otp.check()?;
        self.mail.check()?;
        self.sms.check()?;
        self.mfa.check()?;
        providers::check(&self.providers)?;
        self.records.check()?;
        self.storage.check()?;
        self.limits.check()?;
        self.captcha.check()?;
        self.hooks.check()
    }

    /// Where others are called, by the name of the setting; empty where it is not set.
    pub(super) fn called(&self) -> Vec<(String, &str)> {
        let providers = self.providers.iter().map(|(name, provider)| (format!("providers.{name}.url"), provider.url.as_str()));
        let hooks = self.hooks.named().map(|(name, hook)| (format!("{name}.url"), hook.url.as_str()));
        let others = [("captcha.verify_url".to_owned(), self.captcha.verify_url.as_str()), ("sms.url".to_owned(), self.sms.url.as_str())];
        providers.chain(hooks).chain(others).collect()
    }

    /// Every secret there is, wherever it stands.
    fn secrets(&mut self) -> Vec<&mut SecretSetting> {
        let providers = self.providers.values_mut().map(|provider| &mut provider.secret);
        providers.chain([&mut self.sms.auth_token, &mut self.captcha.secret]).chain(self.hooks.secrets()).collect()
    }

    /// As they are stored: checked, secrets sealed.
    pub(super) fn stored(mut self, key: &MasterKey, tenant: TenantId) -> Result<Value> {
        self.check()?;
        for secret in self.secrets() {
            secret.seal(key, tenant)?;
        }
        Ok(serde_json::to_value(self)?)
    }

    /// As they are shown: that a secret is there, and not what it is.
    #[must_use]
    pub fn shown(mut self) -> Self {
        for secret in self.secrets() {
            secret.hide();
        }
        self
    }

    /// These settings with some of them changed, as RFC 7396 merges: what is not named stays, `null` is the default again.
    pub(super) fn changed(stored: Value, mut changes: Map<String, Value>) -> Result<Self> {
        drop_unchanged_secrets(&mut changes);
        // Whole: who changes a part of a group that is newer than the tenant changes it from its defaults.
        let mut settings = serde_json::to_value(serde_json::from_value::<Self>(stored)?)?;
        merge(&mut settings, Value::Object(changes), Some(&serde_json::to_value(Self::default())?));
        serde_path_to_error::deserialize(settings).map_err(|error| {
            let name = error.path().to_string();
            Error::invalid(if name == "." { "settings".to_owned() } else { name }, error.into_inner().to_string())
        })
    }
}

/// Who sends back what was shown does not mean to change a secret.
fn drop_unchanged_secrets(changes: &mut Map<String, Value>) {
    changes.retain(|_, value| match value {
        Value::Object(inner) => {
            drop_unchanged_secrets(inner);
            true
        }
        value => *value != secret::SET,
    });
}

fn merge(target: &mut Value, change: Value, default: Option<&Value>) {
    let Value::Object(change) = change else {
        *target = change;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in change {
        let default = default.and_then(|default| default.get(&name));
        match (value, default) {
            (Value::Null, Some(default)) => drop(target.insert(name, default.clone())),
            (Value::Null, None) => drop(target.shift_remove(&name)),
            // What a schema no longer says should not stay in it.
            (value, _) if name == "custom_schema" => drop(target.insert(name, value)),
            (value, default) => merge(target.entry(name).or_insert(Value::Null), value, default),
        }
    }
}

/// Refuses a number out of its range.
fn in_range(name: &'static str, value: u32, least: u32, most: u32) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(name, format!("{value} is out of range; take {least} to {most}")))
}

/// Refuses what is no address of a server.
fn check_url(name: &'static str, text: &str) -> Result<()> {
    let is_good = url::Url::parse(text)
        .is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host() && url.username().is_empty() && url.password().is_none());
    if is_good {
        Ok(())
    } else {
        Err(Error::invalid(name, format!("\"{text}\" should be an address without a user in it, as https://hooks.example.com/auth")))
    }
}

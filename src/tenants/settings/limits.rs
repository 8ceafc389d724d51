//! How often what may be asked for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::in_range;
use crate::error::{Error, Result};

/// So often within so long, and so often at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How often within `seconds`, 1 to 1,000,000.
    pub most: u32,
    /// Within how many seconds, 1 to 86,400.
    pub seconds: u32,
    /// How often at once by who was quiet before, 1 to 1,000,000.
    pub burst: u32,
}

/// How often one network (an IPv4 address, a /64 of IPv6) may ask for what, and how many messages go out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Whether these limits hold. That guesses at one account are slowed down holds without them, too.
    pub enabled: bool,
    /// Sign-ins by password, code of a provider, and so on (`POST /token`, except refreshes).
    pub token: Rate,
    /// Refreshes.
    pub refresh: Rate,
    /// Sign-ups with an address.
    pub sign_up: Rate,
    /// Anonymous sign-ups.
    pub anonymous: Rate,
    /// One-time codes asked for.
    pub otp: Rate,
    /// The same by its old name.
    pub magic_link: Rate,
    /// New passwords asked for.
    pub recover: Rate,
    /// Mails asked for once more.
    pub resend: Rate,
    /// Codes and links shown.
    pub verify: Rate,
    /// Changes that users make of themselves.
    pub update_user: Rate,
    /// Challenges of second factors.
    pub factor_challenge: Rate,
    /// Answers to them.
    pub factor_verify: Rate,
    /// Challenges for passkeys, and answers to them.
    pub passkey: Rate,
    /// Ways to a provider and back.
    pub provider: Rate,
    /// Mails that strangers make the tenant send. None are counted where a hook sends them.
    pub emails: Rate,
    /// Mails to one address.
    pub emails_to_one: Rate,
    /// Text messages that strangers make the tenant send. None are counted where a hook sends them.
    pub sms: Rate,
    /// Text messages to one number.
    pub sms_to_one: Rate,
}

const fn rate(most: u32, seconds: u32, burst: u32) -> Rate {
    Rate { most, seconds, burst }
}

impl Default for LimitSettings {
    fn default() -> Self {
        let usual = rate(30, 300, 30);
        Self {
            enabled: true,
            token: rate(150, 300, 30),
            refresh: rate(3000, 300, 600),
            sign_up: usual,
            anonymous: rate(30, 3600, 30),
            otp: usual,
            magic_link: usual,
            recover: usual,
            resend: usual,
            verify: usual,
            update_user: usual,
            factor_challenge: rate(15, 60, 30),
            factor_verify: rate(15, 60, 30),
            passkey: usual,
            provider: rate(150, 300, 30),
            emails: rate(1000, 3600, 1000),
            emails_to_one: rate(20, 3600, 10),
            sms: rate(30, 3600, 30),
            sms_to_one: rate(10, 3600, 5),
        }
    }
}

impl LimitSettings {
    pub(super) fn check(&self) -> Result<()> {
        self.token.check("limits.token")?;
        self.refresh.check("limits.refresh")?;
        self.sign_up.check("limits.sign_up")?;
        self.anonymous.check("limits.anonymous")?;
        self.otp.check("limits.otp")?;
        self.magic_link.check("limits.magic_link")?;
        self.recover.check("limits.recover")?;
        self.resend.check("limits.resend")?;
        self.verify.check("limits.verify")?;
        self.update_user.check("limits.update_user")?;
        self.factor_challenge.check("limits.factor_challenge")?;
        self.factor_verify.check("limits.factor_verify")?;
        self.passkey.check("limits.passkey")?;
        self.provider.check("limits.provider")?;
        self.emails.check("limits.emails")?;
        self.emails_to_one.check("limits.emails_to_one")?;
        self.sms.check("limits.sms")?;
        self.sms_to_one.check("limits.sms_to_one")
    }
}

impl Rate {
    fn check(self, name: &'static str) -> Result<()> {
        in_range(name, self.most, 1, 1_000_000)?;
        in_range(name, self.seconds, 1, 86_400)?;
        in_range(name, self.burst, 1, 1_000_000)?;
        // What takes longer to be whole again is not remembered for so long.
        if u64::from(self.burst) * u64::from(self.seconds) > 86_400 * u64::from(self.most) {
            let why = format!("a burst of {} takes more than a day to be whole again, at {} in {} seconds", self.burst, self.most, self.seconds);
            return Err(Error::invalid(name, why));
        }
        Ok(())
    }
}

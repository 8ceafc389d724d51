//! How often who may ask for what.
//!
//! Requests are counted by the network they come from ([`count`]), messages by the address they go to ([`message`]), and guesses by the
//! account whose secret is guessed ([`guess`]). What is counted, and when there is room again, says `gcra.rs`; who is behind a request,
//! `peer.rs`; guesses are in `guess.rs`.
//!
//! Rules: nothing that a client can choose is a key, so no header and no spelling makes a second client of the first. Whether an account
//! exists changes no answer. On PostgreSQL all nodes count together; on SQLite there is one node, and it counts in memory.

mod gcra;
mod guess;
mod peer;

pub use self::gcra::Limits;
use self::gcra::{Key, Span, Taken};
pub(super) use self::{
    guess::{Guess, Secret, guess},
    peer::{Peer, network_of},
};
use super::error::{AuthCode, AuthError};
use crate::{
    app::App,
    error::{Error, Result},
    tenants::{LimitSettings, Rate, Tenant},
};

/// What is asked for. Each has a count of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bucket {
    /// A session for a secret.
    Token,
    /// The next pair of tokens.
    Refresh,
    /// A new user with an address.
    SignUp,
    /// A new user without one.
    Anonymous,
    /// A one-time code.
    Otp,
    /// The same by its old name.
    MagicLink,
    /// A new password.
    Recover,
    /// A mail once more.
    Resend,
    /// A code or link is shown.
    Verify,
    /// A user changes itself.
    UpdateUser,
    /// A challenge of a second factor.
    FactorChallenge,
    /// An answer to it.
    FactorVerify,
    /// A challenge for a passkey, or an answer to it.
    Passkey,
    /// The way to a provider, or back.
    Provider,
}

impl Bucket {
    fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Refresh => "refresh",
            Self::SignUp => "sign_up",
            Self::Anonymous => "anonymous",
            Self::Otp => "otp",
            Self::MagicLink => "magic_link",
            Self::Recover => "recover",
            Self::Resend => "resend",
            Self::Verify => "verify",
            Self::UpdateUser => "update_user",
            Self::FactorChallenge => "factor_challenge",
            Self::FactorVerify => "factor_verify",
            Self::Passkey => "passkey",
            Self::Provider => "provider",
        }
    }

    fn rate(self, limits: &LimitSettings) -> Rate {
        match self {
            Self::Token => limits.token,
            Self::Refresh => limits.refresh,
            Self::SignUp => limits.sign_up,
            Self::Anonymous => limits.anonymous,
            Self::Otp => limits.otp,
            Self::MagicLink => limits.magic_link,
            Self::Recover => limits.recover,
            Self::Resend => limits.resend,
            Self::Verify => limits.verify,
            Self::UpdateUser => limits.update_user,
            Self::FactorChallenge => limits.factor_challenge,
            Self::FactorVerify => limits.factor_verify,
            Self::Passkey => limits.passkey,
            Self::Provider => limits.provider,
        }
    }
}

/// Counts a request of this network, or refuses it.
pub(super) async fn count(app: &App, tenant: &Tenant, bucket: Bucket, peer: &Peer) -> Result<(), AuthError> {
    let limits = &tenant.settings.limits;
    let Some(network) = peer.network().filter(|_| limits.enabled) else { return Ok(()) };
    // Refreshes are many, and each is worth little to whoever makes too many.
    let span = if bucket == Bucket::Refresh { Span::Node } else { Span::All };
    let key = Key::new(app, tenant.id, bucket.name(), network);
    match gcra::take(app, &key, bucket.rate(limits), span).await? {
        Taken::Yes => Ok(()),
        // A stock client throws its session away at 429.
        Taken::NotBefore(seconds) if bucket == Bucket::Refresh => {
            let error = AuthError::from(Error::unavailable("too many refreshes from this network; try again later"));
            Err(error.retry_after(seconds))
        }
        Taken::NotBefore(seconds) => Err(too_many_requests(seconds)),
    }
}

/// A message that is counted, and on its way unless something else stands against it.
#[derive(Default)]
pub(super) struct CountedMessage(Vec<(Key, Rate)>);

impl CountedMessage {
    /// It is not sent after all.
    pub(super) async fn take_back(self, app: &App) -> Result<()> {
        for (key, rate) in self.0 {
            gcra::give_back(app, key, rate).await?;
        }
        Ok(())
    }
}

/// Counts a mail or text message to this address, or refuses it; called whether or not the address has an account, so that the answer
/// does not tell. Who calls with a secret key may send as many as it likes, and where a hook sends them, their number is its business.
pub(super) async fn message(app: &App, tenant: &Tenant, to: &str, peer: &Peer) -> Result<CountedMessage, AuthError> {
    if peer.is_service() { Ok(CountedMessage::default()) } else { message_of_anybody(app, tenant, to).await }
}

/// The same to several addresses, all of them or none; of who is known not to call with a secret key.
pub(super) async fn messages_of_anybody(app: &App, tenant: &Tenant, to: &[&str]) -> Result<CountedMessage, AuthError> {
    let mut counted = CountedMessage::default();
    for address in to {
        match message_of_anybody(app, tenant, address).await {
            Ok(mut one) => counted.0.append(&mut one.0),
            Err(error) => {
                counted.take_back(app).await?;
                return Err(error);
            }
        }
    }
    Ok(counted)
}

async fn message_of_anybody(app: &App, tenant: &Tenant, to: &str) -> Result<CountedMessage, AuthError> {
    let Message { name, code, whole, one, is_free } = Message::to(tenant, to);
    if !tenant.settings.limits.enabled || is_free {
        return Ok(CountedMessage::default());
    }
    let whole = (Key::new(app, tenant.id, name, ""), whole);
    let one = (Key::new(app, tenant.id, name, to), one);
    let refuse = |whose: &str, rate: Rate, seconds: i64| {
        let text = format!("{name} rate limit exceeded: {whose} can have {} in {} seconds", rate.most, rate.seconds);
        Err(AuthError::too_many(code, text, seconds))
    };
    // Who waits for one of the two is not told to wait for the other afterwards.
    if let Taken::NotBefore(seconds) = gcra::take(app, &one.0, one.1, Span::Returnable).await? {
        return refuse("one address", one.1, seconds.max(gcra::wait(app, &whole.0, whole.1).await?));
    }
    if let Taken::NotBefore(seconds) = gcra::take(app, &whole.0, whole.1, Span::Returnable).await? {
        let rate = whole.1;
        CountedMessage(vec![one]).take_back(app).await?;
        return refuse("all addresses together", rate, seconds);
    }
    Ok(CountedMessage(vec![one, whole]))
}

/// How messages of a kind are limited.
struct Message {
    name: &'static str,
    code: AuthCode,
    whole: Rate,
    one: Rate,
    /// Whether somebody else counts them, or none is sent.
    is_free: bool,
}

impl Message {
    fn to(tenant: &Tenant, address: &str) -> Self {
        let (limits, hooks) = (&tenant.settings.limits, &tenant.settings.hooks);
        if address.contains('@') {
            let (whole, one, is_free) = (limits.emails, limits.emails_to_one, hooks.send_email.enabled);
            return Self { name: "email", code: AuthCode::OverEmailSendRateLimit, whole, one, is_free };
        }
        let is_free = hooks.send_sms.enabled || tenant.settings.sms.test_code(address).is_some();
        Self { name: "SMS", code: AuthCode::OverSmsSendRateLimit, whole: limits.sms, one: limits.sms_to_one, is_free }
    }
}

fn too_many_requests(seconds: i64) -> AuthError {
    AuthError::too_many(AuthCode::OverRequestRateLimit, "Request rate limit reached", seconds)
}

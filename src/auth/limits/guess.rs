//! Guesses at one account's secret are slowed down, without giving a stranger the means to lock its owner out.
//!
//! Two counts. One is of (account, network): from the fifth failure on each makes the next wait longer, up to five minutes. The other is
//! of the account alone and wider: so many guesses an hour from all networks together from which its user has never come in. A stranger who
//! uses that up shuts out strangers; the user comes in from where it came in before. An address without an account is counted alike.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use uuid::Uuid;

use super::{
    super::{
        error::AuthError,
        sql::limits::{self as sql, WrongGuesses},
    },
    Peer,
    gcra::{self, Key, MOST_KEPT, Span, Taken},
    too_many_requests,
};
use crate::{
    app::App,
    crypto::Verified,
    db::Dialect,
    error::Result,
    tenants::{Rate, Tenant},
};

/// Failures that cost nothing: people mistype.
const FREE: i64 = 5;
/// The longest wait between two guesses of one network.
const LONGEST: i64 = 300;
/// How long failures are remembered.
const MEMORY: i64 = 3600;
/// Guesses of all unknown networks together: never more than a hundred within an hour, half of them at once.
const OF_STRANGERS: Rate = Rate { most: 50, seconds: 3600, burst: 50 };

/// What is guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Secret {
    /// A password.
    Password,
    /// A one-time code of a mail or text message.
    Code,
}

impl Secret {
    fn name(self) -> &'static str {
        match self {
            Self::Password => "guess_password",
            Self::Code => "guess_code",
        }
    }
}

/// Failures by account and network, where there is one node.
pub(super) struct Guesses(Cache<Key, Arc<Mutex<WrongGuesses>>>);

impl Default for Guesses {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_KEPT).time_to_idle(Duration::from_hours(2)).build())
    }
}

impl WrongGuesses {
    /// Lets a guess through, or says how many microseconds it is too early. Once each costs a wait, they come one at a time.
    fn admit(&mut self, now: i64) -> Result<(), i64> {
        if now - self.last_at > MEMORY * 1_000_000 {
            *self = Self::default();
        }
        // The clock may have been set back.
        self.blocked_until = self.blocked_until.min(now + LONGEST * 1_000_000);
        if now < self.blocked_until {
            return Err(self.blocked_until - now);
        }
        if self.failures >= FREE {
            self.blocked_until = now + wait_after(self.failures);
            self.last_at = now;
        }
        Ok(())
    }

    fn add(&mut self, now: i64) {
        self.failures = self.failures.saturating_add(1);
        self.last_at = now;
        self.blocked_until = now + wait_after(self.failures);
    }
}

/// Microseconds to wait after so many failures: 1, 2, 4 seconds and so on from the fifth.
fn wait_after(failures: i64) -> i64 {
    match failures - FREE {
        ..0 => 0,
        beyond @ 0..=8 => (1 << beyond) * 1_000_000,
        _ => LONGEST * 1_000_000,
    }
}

/// A guess that is under way: whoever made it says how it ended.
#[must_use = "a guess of which is not told how it ended costs nothing"]
pub(in crate::auth) struct Guess(Option<Counted>);

struct Counted {
    failures: Key,
    /// Whether anything is to be forgiven, as far as that is known.
    has_failures: bool,
    /// What it took of the strangers' count.
    stranger: Option<Key>,
}

/// Lets a guess at a secret of `account` (a mail address or a phone number) be made, or refuses it. `user` is whose it is, if it is
/// anybody's: where it came in from before counts as known.
pub(in crate::auth) async fn guess(
    app: &App,
    tenant: &Tenant,
    secret: Secret,
    account: &str,
    user: Option<Uuid>,
    peer: &Peer,
) -> Result<Guess, AuthError> {
    let Some(network) = peer.network() else { return Ok(Guess(None)) };
    let key = Key::new(app, tenant.id, secret.name(), &format!("{network} {account}"));
    // The same question for who is nobody, so that it takes the same time.
    let conn = app.db.read().await?;
    let is_known = sql::is_known_network(&conn, tenant.id, user.unwrap_or_default(), network).await?;
    let has_failures = app.db.dialect() == Dialect::Sqlite || sql::wrong_guesses(&conn, key.place()).await?.is_some();
    drop(conn);
    if has_failures {
        let now = app.clock.now().micros();
        if let Err(early) = change(app, &key, move |failures| failures.admit(now)).await? {
            return Err(too_many_requests(gcra::seconds(early)));
        }
    }
    let counted = Counted { failures: key, has_failures, stranger: None };
    if is_known {
        return Ok(Guess(Some(counted)));
    }
    let strangers = Key::new(app, tenant.id, secret.name(), account);
    match gcra::take(app, &strangers, OF_STRANGERS, Span::Returnable).await? {
        Taken::Yes => Ok(Guess(Some(Counted { stranger: Some(strangers), ..counted }))),
        Taken::NotBefore(seconds) => Err(too_many_requests(seconds)),
    }
}

/// Changes what is known of a network's failures; of all nodes that do it at once, one after the other.
async fn change<T: Send + 'static>(app: &App, key: &Key, change: impl FnOnce(&mut WrongGuesses) -> T + Send + 'static) -> Result<T> {
    if app.db.dialect() == Dialect::Sqlite {
        let failures = app.limits.guesses.0.get_with(key.clone(), Arc::default);
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        return Ok(change(&mut failures));
    }
    let key = key.clone();
    app.db
        .write(move |tx| async move {
            let mut failures = sql::lock_wrong_guesses(&tx, key.place()).await?;
            let outcome = change(&mut failures);
            sql::set_wrong_guesses(&tx, key.place(), failures).await?;
            Ok(outcome)
        })
        .await
}

impl Guess {
    /// The guess at a password: it is compared, and whether it was right is noted.
    pub(in crate::auth) async fn at_password(self, app: &App, password: &str, hash: Option<&str>) -> Result<Verified> {
        match app.passwords.verify(password, hash).await {
            Ok(verified) => {
                self.ended(app, verified.ok).await?;
                Ok(verified)
            }
            // It was not looked at.
            Err(error) => {
                self.withdraw(app).await?;
                Err(error)
            }
        }
    }

    /// Whether it was right. If so, what this network got wrong before is forgiven.
    pub(in crate::auth) async fn ended(self, app: &App, is_right: bool) -> Result<()> {
        let Some(counted) = &self.0 else { return Ok(()) };
        if !is_right {
            let now = app.clock.now().micros();
            return change(app, &counted.failures, move |failures| failures.add(now)).await;
        }
        if app.db.dialect() == Dialect::Sqlite {
            app.limits.guesses.0.invalidate(&counted.failures);
        } else if counted.has_failures {
            let failures = counted.failures.clone();
            app.db.write(move |tx| async move { sql::delete_wrong_guesses(&tx, failures.place()).await }).await?;
        }
        self.withdraw(app).await
    }

    /// It was not made after all.
    pub(in crate::auth) async fn withdraw(self, app: &App) -> Result<()> {
        match self.0.and_then(|counted| counted.stranger) {
            Some(strangers) => gcra::give_back(app, strangers, OF_STRANGERS).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_makes_few_guesses_an_hour() {
        let (mut failures, mut now, mut made) = (WrongGuesses::default(), 0, 0);
        while now < 3600 * 1_000_000 {
            match failures.admit(now) {
                Ok(()) => {
                    failures.add(now);
                    made += 1;
                }
                Err(early) => now += early,
            }
        }
        assert_eq!(made, 24);
        assert_eq!([4, 5, 6, 13, 14, 99].map(wait_after), [0, 1, 2, 256, 300, 300].map(|seconds: i64| seconds * 1_000_000));
    }
}

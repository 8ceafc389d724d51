//! The counting itself: the generic cell rate algorithm, which needs one number for each count.
//!
//! The number is when the count will be empty again. Every request moves it on by the time that one request takes at the rate; a request
//! is refused when it would lie further ahead than a whole burst takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;

use super::{
    super::sql::limits::{self as sql, Place},
    guess::Guesses,
};
use crate::{
    app::App,
    crypto::base64url,
    db::{Dialect, TenantId},
    error::Result,
    tenants::Rate,
};

/// Counts kept at most. Above it those that are used least are forgotten.
pub(super) const MOST_KEPT: u64 = 500_000;

/// What was counted of late.
pub struct Limits {
    /// When each count is empty again, in microseconds since 1970. On PostgreSQL, what this node knows of it.
    counts: Cache<Key, Arc<AtomicI64>>,
    pub(super) guesses: Guesses,
}

/// What is counted of whom, in which tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: TenantId,
    bucket: &'static str,
    /// A keyed digest: neither networks nor addresses are kept in plain.
    subject: String,
}

impl Key {
    pub(super) fn new(app: &App, tenant: TenantId, bucket: &'static str, subject: &str) -> Self {
        let digest = app.master_key.mac(&format!("rate_limits/{}", tenant.number()), subject.as_bytes());
        Self { tenant, bucket, subject: base64url(&digest[..16]) }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { tenant: self.tenant, bucket: self.bucket, subject: &self.subject }
    }
}

impl Default for Limits {
    fn default() -> Self {
        // No burst takes longer to be whole again: a setting that would is refused.
        let counts = Cache::builder().max_capacity(MOST_KEPT).time_to_idle(Duration::from_hours(25)).build();
        Self { counts, guesses: Guesses::default() }
    }
}

/// Whose requests make one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// Those of one node.
    Node,
    /// Those of all nodes.
    All,
    /// Those of all nodes, and they are given back at times: what a node remembers may be too much.
    Returnable,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was counted.
    Yes,
    /// It was not; there is room again in so many seconds.
    NotBefore(i64),
}

/// A rate in microseconds: what one takes, and how far ahead the count may lie.
#[derive(Clone, Copy)]
struct Pace {
    each: i64,
    ahead: i64,
}

impl From<Rate> for Pace {
    fn from(rate: Rate) -> Self {
        let each = (i64::from(rate.seconds) * 1_000_000 / i64::from(rate.most.max(1))).max(1);
        Self { each, ahead: each * i64::from(rate.burst.max(1)) }
    }
}

impl Pace {
    /// As far as a count lies ahead at most. What lies further was counted at another rate, or before the clock was set back.
    fn end(self, now: i64) -> i64 {
        now + self.ahead
    }

    /// The count with one more in it, or how many microseconds too early it is.
    fn next(self, arrival: i64, now: i64) -> Result<i64, i64> {
        let next = arrival.clamp(now, self.end(now)) + self.each;
        let early = next - self.ahead - now;
        if early > 0 { Err(early) } else { Ok(next) }
    }
}

/// Counts one more, if there is room.
pub(super) async fn take(app: &App, key: &Key, rate: Rate, span: Span) -> Result<Taken> {
    let count = app.limits.count_of(key);
    let now = app.clock.now().micros();
    let pace = Pace::from(rate);
    if span == Span::Node || app.db.dialect() == Dialect::Sqlite {
        return Ok(take_here(&count, pace, now));
    }
    // What only grows is never less than this node remembers: if that is too much already, the database need not be asked.
    let remembered = count.load(Ordering::Relaxed);
    if span == Span::All
        && remembered <= pace.end(now)
        && let Err(early) = pace.next(remembered, now)
    {
        return Ok(Taken::NotBefore(seconds(early)));
    }
    let counted = key.clone();
    let (arrival, is_counted) = app
        .db
        .write(move |tx| async move {
            if let Some(arrival) = sql::take(&tx, counted.place(), now, pace.each, pace.ahead).await? {
                return Ok((arrival, true));
            }
            Ok((sql::bound(&tx, counted.place(), pace.end(now)).await?.unwrap_or_default(), false))
        })
        .await?;
    count.store(arrival, Ordering::Relaxed);
    Ok(match pace.next(arrival, now) {
        _ if is_counted => Taken::Yes,
        Err(early) => Taken::NotBefore(seconds(early)),
        // One was given back in between.
        Ok(_) => Taken::NotBefore(1),
    })
}

/// In how many seconds there is room, without taking it; 0 for now.
pub(super) async fn wait(app: &App, key: &Key, rate: Rate) -> Result<i64> {
    let arrival = match app.db.dialect() {
        Dialect::Sqlite => app.limits.count_of(key).load(Ordering::Relaxed),
        Dialect::Postgres => sql::arrival(&app.db.read().await?, key.place()).await?.unwrap_or_default(),
    };
    Ok(Pace::from(rate).next(arrival, app.clock.now().micros()).map_or_else(seconds, |_| 0))
}

/// Gives back what was taken: it turned out not to count.
pub(super) async fn give_back(app: &App, key: Key, rate: Rate) -> Result<()> {
    let each = Pace::from(rate).each;
    app.limits.count_of(&key).fetch_sub(each, Ordering::Relaxed);
    match app.db.dialect() {
        Dialect::Sqlite => Ok(()),
        Dialect::Postgres => app.db.write(move |tx| async move { sql::give_back(&tx, key.place(), each).await }).await,
    }
}

fn take_here(count: &AtomicI64, pace: Pace, now: i64) -> Taken {
    let mut taken = Taken::Yes;
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |arrival| {
        let (next, outcome) = match pace.next(arrival, now) {
            Ok(next) => (next, Taken::Yes),
            Err(early) => (arrival.min(pace.end(now)), Taken::NotBefore(seconds(early))),
        };
        taken = outcome;
        Some(next)
    });
    taken
}

/// Whole seconds, rounded up: who comes back after them finds room.
pub(super) fn seconds(microseconds: i64) -> i64 {
    (microseconds + 999_999) / 1_000_000
}

impl Limits {
    fn count_of(&self, key: &Key) -> Arc<AtomicI64> {
        match self.counts.get(key) {
            Some(count) => count,
            None => self.counts.get_with(key.clone(), Arc::default),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let (count, pace) = (AtomicI64::default(), Pace::from(Rate { most: 30, seconds: 300, burst: 5 }));
        let mut now = 1_000 * SECOND;
        for _ in 0..5 {
            assert_eq!(take_here(&count, pace, now), Taken::Yes);
        }
        assert_eq!(take_here(&count, pace, now), Taken::NotBefore(10));
        now += 9 * SECOND;
        assert_eq!(take_here(&count, pace, now), Taken::NotBefore(1));
        now += SECOND;
        assert_eq!(take_here(&count, pace, now), Taken::Yes);
        assert_eq!(take_here(&count, pace, now), Taken::NotBefore(10));
    }

    #[test]
    fn who_was_counted_at_another_rate_or_by_another_clock_waits_no_longer() {
        let (count, now) = (AtomicI64::new(9_000 * SECOND), 1_000 * SECOND);
        let pace = Pace::from(Rate { most: 1, seconds: 10, burst: 3 });
        assert_eq!(take_here(&count, pace, now), Taken::NotBefore(10));
        assert_eq!(take_here(&count, pace, now + 10 * SECOND), Taken::Yes);
        assert_eq!(take_here(&count, pace, now + 10 * SECOND), Taken::NotBefore(10));
    }

    proptest! {
        #[test]
        fn never_more_than_a_burst_and_the_rate(most in 1u32..50, seconds in 1u32..600, burst in 1u32..20, steps in prop::collection::vec(0i64..30 * SECOND, 1..200)) {
            let (count, pace) = (AtomicI64::default(), Pace::from(Rate { most, seconds, burst }));
            let (mut now, mut taken) = (0, Vec::new());
            for step in steps {
                now += step;
                match take_here(&count, pace, now) {
                    Taken::Yes => taken.push(now),
                    // What is said of when there is room is true.
                    Taken::NotBefore(wait) => prop_assert_ne!(take_here(&AtomicI64::new(count.load(Ordering::Relaxed)), pace, now + wait * SECOND), Taken::NotBefore(wait)),
                }
            }
            for (index, first) in taken.iter().enumerate() {
                for (more, last) in taken[index..].iter().enumerate() {
                    let room = i64::from(burst) + (last - first) / pace.each + 1;
                    prop_assert!(i64::try_from(more).unwrap() < room, "{} within {}", more + 1, last - first);
                }
            }
        }
    }
}

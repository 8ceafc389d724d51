//! Counts that all nodes share, and the networks that users came in from.

use uuid::Uuid;

use crate::{
    db::{Conn, TenantId, Timestamp, Tx},
    error::Result,
    row_type,
};

/// What is counted: of a tenant, a thing, and a digest of who does it.
#[derive(Clone, Copy)]
pub(in crate::auth) struct Place<'p> {
    pub(in crate::auth) tenant: TenantId,
    pub(in crate::auth) bucket: &'static str,
    pub(in crate::auth) subject: &'p str,
}

/// Moves a count on by `each` microseconds, unless it would then lie more than `ahead` beyond `now`. `None` when it would.
pub(in crate::auth) async fn take(tx: &Tx, place: Place<'_>, now: i64, each: i64, ahead: i64) -> Result<Option<i64>> {
    let taken: Option<(i64,)> = tx
        .query(
            "INSERT INTO rate_limits (tenant_id, bucket, subject, arrival) VALUES ($1, $2, $3, CAST($4 AS bigint) + CAST($5 AS bigint)) \
             ON CONFLICT (tenant_id, bucket, subject) DO UPDATE SET \
             arrival = CASE WHEN rate_limits.arrival > $4 THEN rate_limits.arrival ELSE $4 END + $5 \
             WHERE rate_limits.arrival + $5 <= CAST($4 AS bigint) + CAST($6 AS bigint) RETURNING arrival",
        )
        .bind(place.tenant)
        .bind(place.bucket)
        .bind(place.subject)
        .bind(now)
        .bind(each)
        .bind(ahead)
        .fetch_optional()
        .await?;
    Ok(taken.map(|(arrival,)| arrival))
}

/// Where a count stands.
pub(in crate::auth) async fn arrival(conn: &Conn, place: Place<'_>) -> Result<Option<i64>> {
    let found: Option<(i64,)> = conn
        .query("SELECT arrival FROM rate_limits WHERE tenant_id = $1 AND bucket = $2 AND subject = $3")
        .bind(place.tenant)
        .bind(place.bucket)
        .bind(place.subject)
        .fetch_optional()
        .await?;
    Ok(found.map(|(arrival,)| arrival))
}

/// Brings a count back that lies further ahead than it may, and tells where it stands.
pub(in crate::auth) async fn bound(tx: &Tx, place: Place<'_>, end: i64) -> Result<Option<i64>> {
    tx.query("UPDATE rate_limits SET arrival = $4 WHERE tenant_id = $1 AND bucket = $2 AND subject = $3 AND arrival > $4")
        .bind(place.tenant)
        .bind(place.bucket)
        .bind(place.subject)
        .bind(end)
        .execute()
        .await?;
    arrival(tx, place).await
}

/// Takes back what moved a count on.
pub(in crate::auth) async fn give_back(tx: &Tx, place: Place<'_>, each: i64) -> Result<()> {
    tx.query("UPDATE rate_limits SET arrival = arrival - $4 WHERE tenant_id = $1 AND bucket = $2 AND subject = $3")
        .bind(place.tenant)
        .bind(place.bucket)
        .bind(place.subject)
        .bind(each)
        .execute()
        .await?;
    Ok(())
}

row_type! {
    /// How often a network guessed wrong at an account. Times are in microseconds since 1970.
    #[derive(Clone, Copy, Debug, Default)]
    pub(in crate::auth) struct WrongGuesses {
        pub(in crate::auth) failures: i64,
        pub(in crate::auth) last_at: i64,
        pub(in crate::auth) blocked_until: i64,
    }
}

/// How often it was guessed wrong; `None` for who never did, or has come in since.
pub(in crate::auth) async fn wrong_guesses(conn: &Conn, place: Place<'_>) -> Result<Option<WrongGuesses>> {
    conn.query("SELECT failures, last_at, blocked_until FROM wrong_guesses WHERE tenant_id = $1 AND secret = $2 AND subject = $3")
        .bind(place.tenant)
        .bind(place.bucket)
        .bind(place.subject)
        .fetch_optional()
        .await
}

/// The same for who changes it: others wait until that is done.
pub(in crate::auth) async fn lock_wrong_guesses(tx: &Tx, place: Place<'_>) -> Result<WrongGuesses> {
    let locked: Option<WrongGuesses> = tx
        .query(
            "INSERT INTO wrong_guesses (tenant_id, secret, subject, failures, last_at, blocked_until) VALUES ($1, $2, $3, 0, 0, 0) \
             ON CONFLICT (tenant_id, secret, subject) DO UPDATE SET failures = wrong_guesses.failures \
             RETURNING failures, last_at, blocked_until",
        )
        .bind(place.tenant)
        .bind(place.bucket)
        .bind(place.subject)
        .fetch_optional()
        .await?;
    Ok(locked.unwrap_or_default())
}

/// Writes down how often it was guessed wrong.
pub(in crate::auth) async fn set_wrong_guesses(tx: &Tx, place: Place<'_>, guesses: WrongGuesses) -> Result<()> {
    tx.query("UPDATE wrong_guesses SET failures = $4, last_at = $5, blocked_until = $6 WHERE tenant_id = $1 AND secret = $2 AND subject = $3")
        .bind(place.tenant)
        .bind(place.bucket)
        .bind(place.subject)
        .bind(guesses.failures)
        .bind(guesses.last_at)
        .bind(guesses.blocked_until)
        .execute()
        .await?;
    Ok(())
}

/// Forgives what was guessed wrong.
pub(in crate::auth) async fn delete_wrong_guesses(tx: &Tx, place: Place<'_>) -> Result<()> {
    tx.query("DELETE FROM wrong_guesses WHERE tenant_id = $1 AND secret = $2 AND subject = $3")
        .bind(place.tenant)
        .bind(place.bucket)
        .bind(place.subject)
        .execute()
        .await?;
    Ok(())
}

/// Removes what is counted, in all tenants, and makes no difference since a moment, in microseconds since 1970.
pub(in crate::auth) async fn forget_counts(tx: &Tx, before: i64) -> Result<()> {
    tx.query("DELETE FROM rate_limits WHERE arrival < $1").bind(before).execute().await?;
    tx.query("DELETE FROM wrong_guesses WHERE last_at < $1").bind(before).execute().await?;
    Ok(())
}

/// Removes what was counted of a deleted tenant.
pub(in crate::auth) async fn delete_counts_of(conn: &Conn, tenant: TenantId) -> Result<()> {
    conn.query("DELETE FROM rate_limits WHERE tenant_id = $1").bind(tenant).execute().await?;
    conn.query("DELETE FROM wrong_guesses WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

/// Whether the user came in from this network before.
pub(in crate::auth) async fn is_known_network(conn: &Conn, tenant: TenantId, user: Uuid, network: &str) -> Result<bool> {
    let known: Option<(Uuid,)> = conn
        .query("SELECT user_id FROM user_networks WHERE tenant_id = $1 AND user_id = $2 AND network = $3")
        .bind(tenant)
        .bind(user)
        .bind(network)
        .fetch_optional()
        .await?;
    Ok(known.is_some())
}

/// Notes that the user came in from this network, once a day at most.
pub(in crate::auth) async fn note_network(tx: &Tx, tenant: TenantId, now: Timestamp, user: Uuid, network: &str) -> Result<()> {
    tx.query(
        "INSERT INTO user_networks (tenant_id, user_id, network, seen_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant_id, user_id, network) DO UPDATE SET seen_at = $4 WHERE user_networks.seen_at < $5",
    )
    .bind(tenant)
    .bind(user)
    .bind(network)
    .bind(now)
    .bind(now.plus_seconds(-24 * 3600))
    .execute()
    .await?;
    Ok(())
}

/// Forgets where a user came from.
pub(in crate::auth) async fn forget_networks_of(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM user_networks WHERE tenant_id = $1 AND user_id = $2").bind(tenant).bind(user).execute().await?;
    Ok(())
}

/// Forgets networks that their users have not come from since then, in all tenants.
pub(in crate::auth) async fn forget_networks_before(tx: &Tx, moment: Timestamp) -> Result<()> {
    tx.query("DELETE FROM user_networks WHERE seen_at < $1").bind(moment).execute().await?;
    Ok(())
}

//! Every statement about second factors.

use uuid::Uuid;

use crate::{
    auth::{
        factors::{ChallengeRow, FactorRow},
        model::SessionRow,
    },
    db::{Conn, Json, Timestamp, Tx},
    error::Result,
    tenants::TenantId,
};

/// The factors of a user, oldest first.
pub(in crate::auth) async fn factors_of(conn: &Conn, tenant: TenantId, user: Uuid) -> Result<Vec<FactorRow>> {
    conn.query(
        "SELECT id, user_id, friendly_name, factor_type, status, phone, secret, credential, failures, locked_until, \
         last_challenged_at, created_at, updated_at FROM factors WHERE tenant_id = $1 AND user_id = $2 ORDER BY created_at, id",
    )
    .bind(tenant)
    .bind(user)
    .fetch_all()
    .await
}

/// A factor, if it is this user's.
pub(in crate::auth) async fn find_factor(conn: &Conn, tenant: TenantId, user: Uuid, id: Uuid) -> Result<Option<FactorRow>> {
    conn.query(
        "SELECT id, user_id, friendly_name, factor_type, status, phone, secret, credential, failures, locked_until, \
         last_challenged_at, created_at, updated_at FROM factors WHERE tenant_id = $1 AND user_id = $2 AND id = $3",
    )
    .bind(tenant)
    .bind(user)
    .bind(id)
    .fetch_optional()
    .await
}

/// Whether a user has a factor that raises its sessions.
pub(in crate::auth) async fn has_verified_factor(conn: &Conn, tenant: TenantId, user: Uuid) -> Result<bool> {
    let found: Option<(Uuid,)> = conn
        .query("SELECT id FROM factors WHERE tenant_id = $1 AND user_id = $2 AND status = 'verified' LIMIT 1")
        .bind(tenant)
        .bind(user)
        .fetch_optional()
        .await?;
    Ok(found.is_some())
}

/// Adds a factor; false when the user calls another so.
pub(in crate::auth) async fn insert_factor(tx: &Tx, tenant: TenantId, factor: &FactorRow) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO factors (tenant_id, id, user_id, friendly_name, factor_type, status, phone, secret, failures, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(factor.id)
        .bind(factor.user_id)
        .bind(&factor.friendly_name)
        .bind(&factor.factor_type)
        .bind(&factor.status)
        .bind(factor.phone.as_deref())
        .bind(factor.secret.clone())
        .bind(factor.failures)
        .bind(factor.created_at)
        .bind(factor.updated_at)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Removes what a user began to enrol before `stale` and did not go on with: it would hold its name for ever.
pub(in crate::auth) async fn delete_stale_factors(tx: &Tx, tenant: TenantId, user: Uuid, stale: Timestamp) -> Result<()> {
    tx.query(
        "DELETE FROM factors WHERE tenant_id = $1 AND user_id = $2 AND status = 'unverified' AND created_at < $3 \
         AND (last_challenged_at IS NULL OR last_challenged_at < $3)",
    )
    .bind(tenant)
    .bind(user)
    .bind(stale)
    .execute()
    .await?;
    Ok(())
}

/// Removes the factors of one type that a user never proved.
pub(in crate::auth) async fn delete_unverified_factors(tx: &Tx, tenant: TenantId, user: Uuid, factor_type: &str) -> Result<()> {
    tx.query("DELETE FROM factors WHERE tenant_id = $1 AND user_id = $2 AND status = 'unverified' AND factor_type = $3")
        .bind(tenant)
        .bind(user)
        .bind(factor_type)
        .execute()
        .await?;
    Ok(())
}

pub(in crate::auth) async fn delete_factor(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<()> {
    tx.query("DELETE FROM factors WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).execute().await?;
    Ok(())
}

/// Removes all factors of a user, whose sessions are to end with them.
pub(in crate::auth) async fn delete_factors_of(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM factors WHERE tenant_id = $1 AND user_id = $2").bind(tenant).bind(user).execute().await?;
    Ok(())
}

/// Gives a factor another name or number.
pub(in crate::auth) async fn update_factor(tx: &Tx, tenant: TenantId, factor: &FactorRow) -> Result<()> {
    tx.query("UPDATE factors SET friendly_name = $3, phone = $4, updated_at = $5 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(factor.id)
        .bind(&factor.friendly_name)
        .bind(factor.phone.as_deref())
        .bind(factor.updated_at)
        .execute()
        .await?;
    Ok(())
}

/// Notes that a factor was proved, with the credential that it has from now on.
pub(in crate::auth) async fn set_verified(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid, credential: Option<Json>) -> Result<()> {
    tx.query(
        "UPDATE factors SET status = 'verified', credential = coalesce($4, credential), failures = 0, locked_until = NULL, updated_at = $3 \
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(id)
    .bind(now)
    .bind(credential)
    .execute()
    .await?;
    Ok(())
}

/// Takes the code of a time step; false when one of it, or of a later one, was taken already.
pub(in crate::auth) async fn take_step(tx: &Tx, tenant: TenantId, id: Uuid, step: i64) -> Result<bool> {
    let taken = tx
        .query("UPDATE factors SET last_step = $3 WHERE tenant_id = $1 AND id = $2 AND (last_step IS NULL OR last_step < $3)")
        .bind(tenant)
        .bind(id)
        .bind(step)
        .execute()
        .await?;
    Ok(taken == 1)
}

/// Counts a wrong code; from `most` on the factor is locked until `locked_until`, and the count begins again.
pub(in crate::auth) async fn note_failure(tx: &Tx, tenant: TenantId, id: Uuid, most: i64, locked_until: Timestamp) -> Result<()> {
    tx.query(
        "UPDATE factors SET locked_until = CASE WHEN failures + 1 >= $3 THEN $4 ELSE locked_until END, \
         failures = CASE WHEN failures + 1 >= $3 THEN 0 ELSE failures + 1 END WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(id)
    .bind(most)
    .bind(locked_until)
    .execute()
    .await?;
    Ok(())
}

/// Forgets the wrong codes, after a right one.
pub(in crate::auth) async fn forget_failures(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<()> {
    tx.query("UPDATE factors SET failures = 0, locked_until = NULL WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).execute().await?;
    Ok(())
}

/// Notes what a factor is asked, and forgets what it was asked before `stale`. False when the factor is gone.
pub(in crate::auth) async fn insert_challenge(tx: &Tx, tenant: TenantId, challenge: &ChallengeRow, stale: Timestamp) -> Result<bool> {
    let challenged = tx
        .query("UPDATE factors SET last_challenged_at = $3 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(challenge.factor_id)
        .bind(challenge.created_at)
        .execute()
        .await?;
    if challenged == 0 {
        return Ok(false);
    }
    tx.query("DELETE FROM factor_challenges WHERE tenant_id = $1 AND factor_id = $2 AND created_at < $3")
        .bind(tenant)
        .bind(challenge.factor_id)
        .bind(stale)
        .execute()
        .await?;
    tx.query("INSERT INTO factor_challenges (tenant_id, id, factor_id, ip, code_hash, state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(tenant)
        .bind(challenge.id)
        .bind(challenge.factor_id)
        .bind(challenge.ip.as_deref())
        .bind(challenge.code_hash.clone())
        .bind(challenge.state.clone())
        .bind(challenge.created_at)
        .execute()
        .await?;
    Ok(true)
}

/// Forgets what a factor was asked.
pub(in crate::auth) async fn delete_challenges(tx: &Tx, tenant: TenantId, factor: Uuid) -> Result<()> {
    tx.query("DELETE FROM factor_challenges WHERE tenant_id = $1 AND factor_id = $2").bind(tenant).bind(factor).execute().await?;
    Ok(())
}

/// Forgets what factors of all tenants were asked before a moment.
pub(in crate::auth) async fn delete_challenges_before(tx: &Tx, moment: Timestamp) -> Result<()> {
    tx.query("DELETE FROM factor_challenges WHERE created_at < $1").bind(moment).execute().await?;
    Ok(())
}

/// What this factor was asked under this id.
pub(in crate::auth) async fn find_challenge(conn: &Conn, tenant: TenantId, factor: Uuid, id: Uuid) -> Result<Option<ChallengeRow>> {
    conn.query(
        "SELECT id, factor_id, ip, code_hash, state, created_at, verified_at FROM factor_challenges \
         WHERE tenant_id = $1 AND factor_id = $2 AND id = $3",
    )
    .bind(tenant)
    .bind(factor)
    .bind(id)
    .fetch_optional()
    .await
}

/// Uses a challenge up; false when somebody else did.
pub(in crate::auth) async fn use_challenge(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid) -> Result<bool> {
    let used = tx
        .query("UPDATE factor_challenges SET verified_at = $3 WHERE tenant_id = $1 AND id = $2 AND verified_at IS NULL")
        .bind(tenant)
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(used == 1)
}

/// Adds a recovery code, hashed.
pub(in crate::auth) async fn insert_recovery_code(tx: &Tx, tenant: TenantId, factor: Uuid, hash: &[u8]) -> Result<()> {
    tx.query("INSERT INTO recovery_codes (tenant_id, factor_id, code_hash) VALUES ($1, $2, $3)")
        .bind(tenant)
        .bind(factor)
        .bind(hash)
        .execute()
        .await?;
    Ok(())
}

pub(in crate::auth) async fn delete_recovery_codes(tx: &Tx, tenant: TenantId, factor: Uuid) -> Result<()> {
    tx.query("DELETE FROM recovery_codes WHERE tenant_id = $1 AND factor_id = $2").bind(tenant).bind(factor).execute().await?;
    Ok(())
}

/// Uses a recovery code up; false when there is no such code, or not any more.
pub(in crate::auth) async fn use_recovery_code(tx: &Tx, tenant: TenantId, now: Timestamp, factor: Uuid, hash: &[u8]) -> Result<bool> {
    let used = tx
        .query("UPDATE recovery_codes SET used_at = $4 WHERE tenant_id = $1 AND factor_id = $2 AND code_hash = $3 AND used_at IS NULL")
        .bind(tenant)
        .bind(factor)
        .bind(hash)
        .bind(now)
        .execute()
        .await?;
    Ok(used == 1)
}

/// Whether there is such a recovery code, and it is still good.
pub(in crate::auth) async fn is_recovery_code(conn: &Conn, tenant: TenantId, factor: Uuid, hash: &[u8]) -> Result<bool> {
    let found: Option<(Uuid,)> = conn
        .query("SELECT factor_id FROM recovery_codes WHERE tenant_id = $1 AND factor_id = $2 AND code_hash = $3 AND used_at IS NULL")
        .bind(tenant)
        .bind(factor)
        .bind(hash)
        .fetch_optional()
        .await?;
    Ok(found.is_some())
}

/// How many recovery codes there are, and how many of them are still good.
pub(in crate::auth) async fn count_recovery_codes(conn: &Conn, tenant: TenantId, factor: Uuid) -> Result<(i64, i64)> {
    conn.query("SELECT count(*), count(*) - count(used_at) FROM recovery_codes WHERE tenant_id = $1 AND factor_id = $2")
        .bind(tenant)
        .bind(factor)
        .fetch_one()
        .await
}

/// Raises a session to `aal2`. Its refresh tokens so far are passed over by two, and the floor tells that none of them shows what comes now.
/// `None` when the session was ended.
pub(in crate::auth) async fn raise_session(tx: &Tx, tenant: TenantId, now: Timestamp, session: &SessionRow, factor: Uuid) -> Result<Option<i64>> {
    let raised: Option<(i64,)> = tx
        .query(
            "UPDATE sessions SET aal = 'aal2', amr = $4, factor_id = $5, refreshed_at = $3, refresh_counter = refresh_counter + 2, \
             refresh_floor = refresh_counter + 2 WHERE tenant_id = $1 AND id = $2 RETURNING refresh_counter",
        )
        .bind(tenant)
        .bind(session.id)
        .bind(now)
        .bind(&session.amr)
        .bind(factor)
        .fetch_optional()
        .await?;
    Ok(raised.map(|(counter,)| counter))
}

/// Ends the sessions of a user that no factor has raised.
pub(in crate::auth) async fn delete_low_sessions(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND aal = 'aal1'").bind(tenant).bind(user).execute().await?;
    Ok(())
}

/// The sessions that a factor has raised, with how their users signed in.
pub(in crate::auth) async fn sessions_raised_by(tx: &Tx, tenant: TenantId, user: Uuid, factor: Uuid) -> Result<Vec<(Uuid, Json)>> {
    tx.query("SELECT id, amr FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND factor_id = $3")
        .bind(tenant)
        .bind(user)
        .bind(factor)
        .fetch_all()
        .await
}

/// Lets a session fall to `aal1`.
pub(in crate::auth) async fn lower_session(tx: &Tx, tenant: TenantId, id: Uuid, amr: &Json) -> Result<()> {
    tx.query("UPDATE sessions SET aal = 'aal1', amr = $3, factor_id = NULL WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(id)
        .bind(amr)
        .execute()
        .await?;
    Ok(())
}

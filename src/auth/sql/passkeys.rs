//! Every statement about passkeys.

use uuid::Uuid;

use crate::{
    auth::passkeys::{PasskeyChallengeRow, PasskeyRow},
    db::{Conn, Json, Timestamp, Tx},
    error::Result,
    tenants::TenantId,
};

/// The passkeys of a user, oldest first.
pub(in crate::auth) async fn passkeys_of(conn: &Conn, tenant: TenantId, user: Uuid) -> Result<Vec<PasskeyRow>> {
    conn.query(
        "SELECT id, user_id, friendly_name, credential_id, credential, created_at, updated_at, last_used_at FROM passkeys \
         WHERE tenant_id = $1 AND user_id = $2 ORDER BY created_at, id",
    )
    .bind(tenant)
    .bind(user)
    .fetch_all()
    .await
}

/// The passkey that authenticators call so.
pub(in crate::auth) async fn find_passkey_by_credential(conn: &Conn, tenant: TenantId, credential: &[u8]) -> Result<Option<PasskeyRow>> {
    conn.query(
        "SELECT id, user_id, friendly_name, credential_id, credential, created_at, updated_at, last_used_at FROM passkeys \
         WHERE tenant_id = $1 AND credential_id = $2",
    )
    .bind(tenant)
    .bind(credential)
    .fetch_optional()
    .await
}

/// Adds a passkey; false when the credential is somebody's already.
pub(in crate::auth) async fn insert_passkey(tx: &Tx, tenant: TenantId, passkey: &PasskeyRow) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO passkeys (tenant_id, id, user_id, friendly_name, credential_id, credential, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(passkey.id)
        .bind(passkey.user_id)
        .bind(&passkey.friendly_name)
        .bind(passkey.credential_id.as_slice())
        .bind(&passkey.credential)
        .bind(passkey.created_at)
        .bind(passkey.updated_at)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Gives a user's passkey another name; `None` when it is not there.
pub(in crate::auth) async fn rename_passkey(
    tx: &Tx,
    tenant: TenantId,
    now: Timestamp,
    user: Uuid,
    id: Uuid,
    friendly_name: &str,
) -> Result<Option<PasskeyRow>> {
    tx.query(
        "UPDATE passkeys SET friendly_name = $4, updated_at = $5 WHERE tenant_id = $1 AND user_id = $2 AND id = $3 \
         RETURNING id, user_id, friendly_name, credential_id, credential, created_at, updated_at, last_used_at",
    )
    .bind(tenant)
    .bind(user)
    .bind(id)
    .bind(friendly_name)
    .bind(now)
    .fetch_optional()
    .await
}

/// Notes that a passkey has signed, with its counter as it is now; false when it is gone.
pub(in crate::auth) async fn note_passkey_use(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid, credential: &Json) -> Result<bool> {
    let noted = tx
        .query("UPDATE passkeys SET credential = $3, last_used_at = $4 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(id)
        .bind(credential)
        .bind(now)
        .execute()
        .await?;
    Ok(noted == 1)
}

/// Removes a user's passkey, and tells what it was called; `None` when it is not there.
pub(in crate::auth) async fn delete_passkey(tx: &Tx, tenant: TenantId, user: Uuid, id: Uuid) -> Result<Option<String>> {
    let deleted: Option<(String,)> = tx
        .query("DELETE FROM passkeys WHERE tenant_id = $1 AND user_id = $2 AND id = $3 RETURNING friendly_name")
        .bind(tenant)
        .bind(user)
        .bind(id)
        .fetch_optional()
        .await?;
    Ok(deleted.map(|(name,)| name))
}

/// Removes all passkeys of a user.
pub(in crate::auth) async fn delete_passkeys_of(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM passkeys WHERE tenant_id = $1 AND user_id = $2").bind(tenant).bind(user).execute().await?;
    Ok(())
}

/// Forgets what authenticators of all tenants were too late to answer at a moment.
pub(in crate::auth) async fn delete_passkey_challenges_before(tx: &Tx, moment: Timestamp) -> Result<()> {
    tx.query("DELETE FROM passkey_challenges WHERE expires_at < $1").bind(moment).execute().await?;
    Ok(())
}

/// Notes what an authenticator is asked, and forgets what is too late to be answered.
pub(in crate::auth) async fn insert_passkey_challenge(tx: &Tx, tenant: TenantId, now: Timestamp, challenge: &PasskeyChallengeRow) -> Result<()> {
    // Kept for a while after their end: who is too late is told so.
    tx.query("DELETE FROM passkey_challenges WHERE tenant_id = $1 AND expires_at < $2").bind(tenant).bind(now.plus_seconds(-600)).execute().await?;
    tx.query("INSERT INTO passkey_challenges (tenant_id, id, user_id, state, expires_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(tenant)
        .bind(challenge.id)
        .bind(challenge.user_id)
        .bind(&challenge.state)
        .bind(challenge.expires_at)
        .execute()
        .await?;
    Ok(())
}

/// Takes a challenge of a user, or one of nobody in particular: it is gone then, whatever the answer is worth.
pub(in crate::auth) async fn take_passkey_challenge(tx: &Tx, tenant: TenantId, user: Option<Uuid>, id: Uuid) -> Result<Option<PasskeyChallengeRow>> {
    tx.query(
        "DELETE FROM passkey_challenges WHERE tenant_id = $1 AND id = $2 AND coalesce(user_id, $4) = coalesce($3, $4) \
         RETURNING id, user_id, state, expires_at",
    )
    .bind(tenant)
    .bind(id)
    .bind(user)
    .bind(Uuid::nil())
    .fetch_optional()
    .await
}

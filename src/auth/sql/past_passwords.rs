//! Every statement about passwords that users had before.

use uuid::Uuid;

use crate::{
    db::{Conn, Tx},
    error::Result,
    tenants::TenantId,
};

/// The hashes of a user's last passwords before the present one, newest first.
pub(in crate::auth) async fn list(conn: &Conn, tenant: TenantId, user: Uuid, most: u32) -> Result<Vec<String>> {
    let found: Vec<(String,)> = conn
        .query("SELECT hash FROM past_passwords WHERE tenant_id = $1 AND user_id = $2 ORDER BY number DESC LIMIT $3")
        .bind(tenant)
        .bind(user)
        .bind(i64::from(most))
        .fetch_all()
        .await?;
    Ok(found.into_iter().map(|(hash,)| hash).collect())
}

/// Adds the hash of the password that was the present one until now. The user's row must be locked.
pub(in crate::auth) async fn add(tx: &Tx, tenant: TenantId, user: Uuid, hash: &str) -> Result<()> {
    tx.query(
        "INSERT INTO past_passwords (tenant_id, user_id, number, hash) \
         SELECT $1, $2, coalesce(max(number), 0) + 1, $3 FROM past_passwords WHERE tenant_id = $1 AND user_id = $2",
    )
    .bind(tenant)
    .bind(user)
    .bind(hash)
    .execute()
    .await?;
    Ok(())
}

/// Removes all but the newest.
pub(in crate::auth) async fn keep(tx: &Tx, tenant: TenantId, user: Uuid, most: u32) -> Result<()> {
    tx.query(
        "DELETE FROM past_passwords WHERE tenant_id = $1 AND user_id = $2 \
         AND number <= (SELECT max(number) FROM past_passwords WHERE tenant_id = $1 AND user_id = $2) - $3",
    )
    .bind(tenant)
    .bind(user)
    .bind(i64::from(most))
    .execute()
    .await?;
    Ok(())
}

//! Every statement about tokens that are good once.

use uuid::Uuid;

use crate::{
    auth::one_time_token::{Purpose, TokenRow},
    db::{Conn, Timestamp, Tx},
    error::Result,
    tenants::TenantId,
};

/// Up to two purposes as two values: a statement has a fixed number of places.
fn both(purposes: &[Purpose]) -> (&'static str, &'static str) {
    let first = purposes.first().map_or("", |purpose| purpose.as_str());
    (first, purposes.get(1).map_or(first, |purpose| purpose.as_str()))
}

/// Stores a token in the place of the user's last one for this purpose.
pub(in crate::auth) async fn replace(tx: &Tx, tenant: TenantId, token: &TokenRow) -> Result<()> {
    tx.query("DELETE FROM one_time_tokens WHERE tenant_id = $1 AND user_id = $2 AND purpose = $3")
        .bind(tenant)
        .bind(token.user_id)
        .bind(&token.purpose)
        .execute()
        .await?;
    tx.query(
        "INSERT INTO one_time_tokens (tenant_id, id, user_id, purpose, token_hash, address, new_address, failures, \
         created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(tenant)
    .bind(token.id)
    .bind(token.user_id)
    .bind(&token.purpose)
    .bind(token.token_hash.as_slice())
    .bind(&token.address)
    .bind(token.new_address.as_deref())
    .bind(0)
    .bind(token.created_at)
    .bind(token.expires_at)
    .execute()
    .await?;
    Ok(())
}

/// The token with this digest.
pub(in crate::auth) async fn find(conn: &Conn, tenant: TenantId, now: Timestamp, hash: &[u8], purposes: &[Purpose]) -> Result<Option<TokenRow>> {
    let (first, second) = both(purposes);
    conn.query(
        "SELECT id, user_id, purpose, token_hash, address, new_address, created_at, expires_at \
         FROM one_time_tokens WHERE tenant_id = $1 AND token_hash = $2 AND purpose IN ($3, $4) AND expires_at > $5",
    )
    .bind(tenant)
    .bind(hash)
    .bind(first)
    .bind(second)
    .bind(now)
    .fetch_optional()
    .await
}

/// The tokens that were sent to an address.
pub(in crate::auth) async fn find_at(conn: &Conn, tenant: TenantId, now: Timestamp, address: &str, purposes: &[Purpose]) -> Result<Vec<TokenRow>> {
    let (first, second) = both(purposes);
    conn.query(
        "SELECT id, user_id, purpose, token_hash, address, new_address, created_at, expires_at \
         FROM one_time_tokens WHERE tenant_id = $1 AND address = $2 AND purpose IN ($3, $4) AND expires_at > $5",
    )
    .bind(tenant)
    .bind(address)
    .bind(first)
    .bind(second)
    .bind(now)
    .fetch_all()
    .await
}

/// Removes the token with this digest and hands it over: of two who ask for it, one gets it.
pub(in crate::auth) async fn take(tx: &Tx, tenant: TenantId, now: Timestamp, hash: &[u8], purposes: &[Purpose]) -> Result<Option<TokenRow>> {
    let (first, second) = both(purposes);
    tx.query(
        "DELETE FROM one_time_tokens WHERE tenant_id = $1 AND token_hash = $2 AND purpose IN ($3, $4) AND expires_at > $5 \
         RETURNING id, user_id, purpose, token_hash, address, new_address, created_at, expires_at",
    )
    .bind(tenant)
    .bind(hash)
    .bind(first)
    .bind(second)
    .bind(now)
    .fetch_optional()
    .await
}

/// Counts an attempt at the codes that were sent to an address, and hands those over that are not burnt. Counted before they are compared,
/// so that those who guess at the same moment are counted too.
pub(in crate::auth) async fn count_attempt(
    tx: &Tx,
    tenant: TenantId,
    now: Timestamp,
    address: &str,
    purposes: &[Purpose],
    most: u32,
) -> Result<Vec<TokenRow>> {
    let (first, second) = both(purposes);
    tx.query(
        "UPDATE one_time_tokens SET failures = failures + 1 \
         WHERE tenant_id = $1 AND address = $2 AND purpose IN ($3, $4) AND expires_at > $5 AND failures < $6 \
         RETURNING id, user_id, purpose, token_hash, address, new_address, created_at, expires_at",
    )
    .bind(tenant)
    .bind(address)
    .bind(first)
    .bind(second)
    .bind(now)
    .bind(most)
    .fetch_all()
    .await
}

/// Removes one token.
pub(in crate::auth) async fn delete(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<()> {
    tx.query("DELETE FROM one_time_tokens WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).execute().await?;
    Ok(())
}

/// Removes the tokens of a user that are for one of these.
pub(in crate::auth) async fn delete_for(tx: &Tx, tenant: TenantId, user: Uuid, purposes: &[Purpose]) -> Result<()> {
    let (first, second) = both(purposes);
    tx.query("DELETE FROM one_time_tokens WHERE tenant_id = $1 AND user_id = $2 AND purpose IN ($3, $4)")
        .bind(tenant)
        .bind(user)
        .bind(first)
        .bind(second)
        .execute()
        .await?;
    Ok(())
}

/// Removes every token of a user.
pub(in crate::auth) async fn delete_of(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM one_time_tokens WHERE tenant_id = $1 AND user_id = $2").bind(tenant).bind(user).execute().await?;
    Ok(())
}

/// Removes the tokens of all tenants that are over.
pub(in crate::auth) async fn delete_expired(tx: &Tx, now: Timestamp) -> Result<()> {
    tx.query("DELETE FROM one_time_tokens WHERE expires_at <= $1").bind(now).execute().await?;
    Ok(())
}

//! Statements about a tenant's own providers.

use crate::{
    auth::provider::custom::CustomProviderRow,
    db::{Conn, Tx},
    error::Result,
    tenants::TenantId,
};

pub(in crate::auth) async fn list(conn: &Conn, tenant: TenantId, most: i64) -> Result<Vec<CustomProviderRow>> {
    conn.query(
        "SELECT id, identifier, definition, client_secret, discovery, created_at, updated_at FROM custom_providers \
         WHERE tenant_id = $1 ORDER BY identifier LIMIT $2",
    )
    .bind(tenant)
    .bind(most)
    .fetch_all()
    .await
}

pub(in crate::auth) async fn find(conn: &Conn, tenant: TenantId, identifier: &str) -> Result<Option<CustomProviderRow>> {
    conn.query(
        "SELECT id, identifier, definition, client_secret, discovery, created_at, updated_at FROM custom_providers \
         WHERE tenant_id = $1 AND identifier = $2",
    )
    .bind(tenant)
    .bind(identifier)
    .fetch_optional()
    .await
}

pub(in crate::auth) async fn count(conn: &Conn, tenant: TenantId) -> Result<i64> {
    let (count,) = conn.query("SELECT count(*) FROM custom_providers WHERE tenant_id = $1").bind(tenant).fetch_one::<(i64,)>().await?;
    Ok(count)
}

/// Adds a provider; false when its name is taken.
pub(in crate::auth) async fn insert(tx: &Tx, tenant: TenantId, provider: &CustomProviderRow) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO custom_providers (tenant_id, id, identifier, definition, client_secret, discovery, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(provider.id)
        .bind(&provider.identifier)
        .bind(&provider.definition)
        .bind(provider.client_secret.clone())
        .bind(provider.discovery.clone())
        .bind(provider.created_at)
        .bind(provider.updated_at)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Writes what can change of a provider; false when it is gone.
pub(in crate::auth) async fn update(tx: &Tx, tenant: TenantId, provider: &CustomProviderRow) -> Result<bool> {
    let updated = tx
        .query("UPDATE custom_providers SET definition = $3, client_secret = $4, discovery = $5, updated_at = $6 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(provider.id)
        .bind(&provider.definition)
        .bind(provider.client_secret.clone())
        .bind(provider.discovery.clone())
        .bind(provider.updated_at)
        .execute()
        .await?;
    Ok(updated == 1)
}

pub(in crate::auth) async fn delete(tx: &Tx, tenant: TenantId, identifier: &str) -> Result<bool> {
    let deleted = tx.query("DELETE FROM custom_providers WHERE tenant_id = $1 AND identifier = $2").bind(tenant).bind(identifier).execute().await?;
    Ok(deleted == 1)
}

//! Statements about identities of other providers.

use uuid::Uuid;

use crate::{
    auth::model::IdentityRow,
    db::{Conn, Tx},
    error::Result,
    tenants::TenantId,
};

/// The identity that a provider knows by this name.
pub(in crate::auth) async fn find(conn: &Conn, tenant: TenantId, provider: &str, subject: &str) -> Result<Option<IdentityRow>> {
    conn.query(
        "SELECT id, user_id, provider, provider_id, identity_data, email, last_sign_in_at, created_at, updated_at FROM identities \
         WHERE tenant_id = $1 AND provider = $2 AND provider_id = $3",
    )
    .bind(tenant)
    .bind(provider)
    .bind(subject)
    .fetch_optional()
    .await
}

/// Writes what the provider tells now.
pub(in crate::auth) async fn note_sign_in(tx: &Tx, tenant: TenantId, identity: &IdentityRow) -> Result<()> {
    tx.query("UPDATE identities SET identity_data = $3, email = $4, last_sign_in_at = $5, updated_at = $6 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(identity.id)
        .bind(&identity.identity_data)
        .bind(identity.email.as_deref())
        .bind(identity.last_sign_in_at)
        .bind(identity.updated_at)
        .execute()
        .await?;
    Ok(())
}

pub(in crate::auth) async fn delete(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<()> {
    tx.query("DELETE FROM identities WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).execute().await?;
    Ok(())
}

/// Removes all identities by a provider.
pub(in crate::auth) async fn delete_by(tx: &Tx, tenant: TenantId, provider: &str) -> Result<()> {
    tx.query("DELETE FROM identities WHERE tenant_id = $1 AND provider = $2").bind(tenant).bind(provider).execute().await?;
    Ok(())
}

/// Says that a user is nobody in particular no longer.
pub(in crate::auth) async fn set_known(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("UPDATE users SET is_anonymous = $3 WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(user).bind(false).execute().await?;
    Ok(())
}

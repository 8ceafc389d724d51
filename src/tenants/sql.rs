//! Every statement about tenants and their keys.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    db::{Conn, Json, TenantId, Timestamp, Tx},
    error::Result,
    row_type,
};

row_type! {
    /// A tenant as an operator sees it.
    #[derive(Debug, Clone)]
    pub struct TenantRow {
        /// Its name in the database.
        pub id: TenantId,
        /// Its name outside.
        pub reference: String,
        /// A name for people.
        pub name: String,
        /// `active`, `suspended` or `deleted`.
        pub status: String,
        /// A domain of its own.
        pub domain: Option<String>,
        /// What it has chosen.
        pub settings: Json,
        /// When it was made.
        pub created_at: Timestamp,
    }
}

row_type! {
    /// An API key as a list shows it: never the key itself.
    #[derive(Debug, Clone, Serialize, ToSchema)]
    pub struct KeyRow {
        /// The key's id.
        pub id: Uuid,
        /// `publishable` or `secret`.
        pub kind: String,
        /// What its maker called it.
        pub name: String,
        /// Its first letters.
        pub hint: String,
        /// Its scopes, divided by blanks; empty for a publishable key and for one that opens all of the tenant.
        pub scopes: String,
        /// When it was made.
        #[schema(value_type = String, format = DateTime)]
        pub created_at: Timestamp,
        /// When it ends, if it does.
        #[schema(value_type = Option<String>, format = DateTime)]
        pub expires_at: Option<Timestamp>,
        /// When it was revoked, if it was.
        #[schema(value_type = Option<String>, format = DateTime)]
        pub revoked_at: Option<Timestamp>,
    }
}

row_type! {
    /// A key as a request needs it.
    pub(super) struct KnownKey {
        pub(super) id: Uuid,
        pub(super) tenant: TenantId,
        pub(super) kind: String,
        pub(super) scopes: String,
        pub(super) expires_at: Option<Timestamp>,
    }
}

row_type! {
    /// A signing key, its secret still sealed.
    pub(super) struct StoredSigningKey {
        pub(super) tenant: TenantId,
        pub(super) id: String,
        pub(super) algorithm: String,
        pub(super) status: String,
        pub(super) secret: Option<Vec<u8>>,
        pub(super) public_jwk: Option<Json>,
        pub(super) retires_at: Option<Timestamp>,
    }
}

row_type! {
    /// A signing key as a list shows it.
    #[derive(Debug, Clone, Serialize, ToSchema)]
    pub struct SigningKeyRow {
        /// The `kid` in the header of the tokens it signs.
        pub kid: String,
        /// `ES256`, `RS256` or `HS256`.
        pub algorithm: String,
        /// `current`: signs; `previous`: only checks.
        pub status: String,
        /// Whether its secret part is here.
        pub can_sign: bool,
        /// When it was made or taken over.
        #[schema(value_type = String, format = DateTime)]
        pub created_at: Timestamp,
        /// When it ends, if it does.
        #[schema(value_type = Option<String>, format = DateTime)]
        pub retires_at: Option<Timestamp>,
    }
}

pub(super) async fn find_tenant(conn: &Conn, id: TenantId) -> Result<Option<TenantRow>> {
    conn.query("SELECT id, reference, name, status, domain, settings, created_at FROM tenants WHERE id = $1").bind(id).fetch_optional().await
}

pub(super) async fn find_tenant_by_reference(conn: &Conn, reference: &str) -> Result<Option<TenantRow>> {
    conn.query("SELECT id, reference, name, status, domain, settings, created_at FROM tenants WHERE reference = $1")
        .bind(reference)
        .fetch_optional()
        .await
}

/// The same for who will change it, or what belongs to it: until then nobody else does.
pub(super) async fn lock_tenant_by_reference(tx: &Tx, reference: &str) -> Result<Option<TenantRow>> {
    // SQLite has one writer, and no word for it.
    tx.query(tx.pick(
        "SELECT id, reference, name, status, domain, settings, created_at FROM tenants WHERE reference = $1",
        "SELECT id, reference, name, status, domain, settings, created_at FROM tenants WHERE reference = $1 FOR UPDATE",
    ))
    .bind(reference)
    .fetch_optional()
    .await
}

pub(super) async fn find_tenant_by_domain(conn: &Conn, domain: &str) -> Result<Option<TenantRow>> {
    conn.query("SELECT id, reference, name, status, domain, settings, created_at FROM tenants WHERE domain = $1").bind(domain).fetch_optional().await
}

/// Tenants that are not deleted, by reference, after `after`.
pub(super) async fn page_of_tenants(conn: &Conn, after: &str, limit: i64) -> Result<Vec<TenantRow>> {
    conn.query(
        "SELECT id, reference, name, status, domain, settings, created_at FROM tenants \
         WHERE reference > $1 AND status <> 'deleted' ORDER BY reference LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all()
    .await
}

/// Adds a tenant; `None` when the reference or domain was ever taken.
pub(super) async fn insert_tenant(
    tx: &Tx,
    now: Timestamp,
    reference: &str,
    name: &str,
    domain: Option<&str>,
    settings: &serde_json::Value,
) -> Result<Option<TenantId>> {
    let added: Option<(TenantId,)> = tx
        .query(
            "INSERT INTO tenants (reference, name, status, domain, settings, created_at, updated_at) \
             VALUES ($1, $2, 'active', $3, $4, $5, $5) ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(reference)
        .bind(name)
        .bind(domain)
        .bind(settings)
        .bind(now)
        .fetch_optional()
        .await?;
    Ok(added.map(|(id,)| id))
}

pub(super) async fn update_tenant(
    tx: &Tx,
    id: TenantId,
    now: Timestamp,
    name: &str,
    status: &str,
    domain: Option<&str>,
    settings: &serde_json::Value,
) -> Result<()> {
    tx.query("UPDATE tenants SET name = $2, status = $3, domain = $4, settings = $5, updated_at = $6 WHERE id = $1")
        .bind(id)
        .bind(name)
        .bind(status)
        .bind(domain)
        .bind(settings)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// An API key to be stored.
pub(super) struct NewKeyRow<'k> {
    pub(super) id: Uuid,
    pub(super) kind: &'k str,
    pub(super) name: &'k str,
    pub(super) hint: &'k str,
    pub(super) hash: &'k [u8; 32],
    pub(super) scopes: &'k str,
    pub(super) expires_at: Option<Timestamp>,
}

pub(super) async fn insert_key(tx: &Tx, tenant: TenantId, now: Timestamp, key: &NewKeyRow<'_>) -> Result<()> {
    tx.query(
        "INSERT INTO api_keys (tenant_id, id, kind, name, hint, hash, scopes, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant)
    .bind(key.id)
    .bind(key.kind)
    .bind(key.name)
    .bind(key.hint)
    .bind(key.hash.as_slice())
    .bind(key.scopes)
    .bind(now)
    .bind(key.expires_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn keys_of(conn: &Conn, tenant: TenantId) -> Result<Vec<KeyRow>> {
    conn.query("SELECT id, kind, name, hint, scopes, created_at, expires_at, revoked_at FROM api_keys WHERE tenant_id = $1 ORDER BY id")
        .bind(tenant)
        .fetch_all()
        .await
}

pub(super) async fn find_key(conn: &Conn, hash: &[u8; 32]) -> Result<Option<KnownKey>> {
    conn.query("SELECT id, tenant_id, kind, scopes, expires_at FROM api_keys WHERE hash = $1 AND revoked_at IS NULL")
        .bind(hash.as_slice())
        .fetch_optional()
        .await
}

/// Revokes a key; false when the tenant has no such key in force.
pub(super) async fn revoke_key(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid) -> Result<bool> {
    let revoked = tx
        .query("UPDATE api_keys SET revoked_at = $3 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL")
        .bind(tenant)
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(revoked == 1)
}

pub(super) async fn signing_keys_of(conn: &Conn, tenant: TenantId) -> Result<Vec<StoredSigningKey>> {
    conn.query(
        "SELECT tenant_id, id, algorithm, status, secret, public_jwk, retires_at FROM signing_keys WHERE tenant_id = $1 ORDER BY created_at, id",
    )
    .bind(tenant)
    .fetch_all()
    .await
}

/// The same without what is secret.
pub(super) async fn shown_signing_keys_of(conn: &Conn, tenant: TenantId) -> Result<Vec<SigningKeyRow>> {
    conn.query(
        "SELECT id, algorithm, status, secret IS NOT NULL, created_at, retires_at FROM signing_keys WHERE tenant_id = $1 ORDER BY created_at, id",
    )
    .bind(tenant)
    .fetch_all()
    .await
}

/// Removes a signing key.
pub(super) async fn delete_signing_key(tx: &Tx, tenant: TenantId, id: &str) -> Result<()> {
    tx.query("DELETE FROM signing_keys WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).execute().await?;
    Ok(())
}

/// Makes the current signing key a previous one that verifies until `retires_at`.
pub(super) async fn retire_current_signing_key(tx: &Tx, tenant: TenantId, retires_at: Timestamp) -> Result<()> {
    tx.query("UPDATE signing_keys SET status = 'previous', retires_at = $2 WHERE tenant_id = $1 AND status = 'current'")
        .bind(tenant)
        .bind(retires_at)
        .execute()
        .await?;
    Ok(())
}

/// A signing key to be stored.
pub(super) struct NewSigningKeyRow<'k> {
    pub(super) id: &'k str,
    pub(super) algorithm: &'k str,
    pub(super) status: &'k str,
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) public_jwk: Option<Json>,
}

/// The place and the text of some sealed secret, if there is one.
pub(super) async fn any_sealed_secret(conn: &Conn) -> Result<Option<(String, Vec<u8>)>> {
    let found: Option<(TenantId, String, Vec<u8>)> =
        conn.query("SELECT tenant_id, id, secret FROM signing_keys WHERE secret IS NOT NULL ORDER BY tenant_id, id LIMIT 1").fetch_optional().await?;
    Ok(found.map(|(tenant, id, sealed)| (signing_key_place(tenant, &id), sealed)))
}

/// Where a signing key's secret is sealed for.
pub(super) fn signing_key_place(tenant: TenantId, id: &str) -> String {
    format!("signing_keys/{}/{id}", tenant.number())
}

/// Adds a signing key; false when the tenant has one of that id.
pub(super) async fn insert_signing_key(tx: &Tx, tenant: TenantId, now: Timestamp, key: NewSigningKeyRow<'_>) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO signing_keys (tenant_id, id, algorithm, status, secret, public_jwk, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(key.id)
        .bind(key.algorithm)
        .bind(key.status)
        .bind(key.sealed)
        .bind(key.public_jwk)
        .bind(now)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Removes a deleted tenant's keys, so that none of them opens anything again.
pub(super) async fn delete_keys_of(tx: &Tx, tenant: TenantId) -> Result<()> {
    tx.query("DELETE FROM api_keys WHERE tenant_id = $1").bind(tenant).execute().await?;
    tx.query("DELETE FROM signing_keys WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

row_type! {
    /// An operator key as a list shows it: never the key itself.
    #[derive(Debug, Clone)]
    pub struct OperatorKeyRow {
        /// The key's id.
        pub id: Uuid,
        /// Its first letters.
        pub hint: String,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it was revoked, if it was.
        pub revoked_at: Option<Timestamp>,
    }
}

pub(super) async fn operator_keys(conn: &Conn) -> Result<Vec<OperatorKeyRow>> {
    conn.query("SELECT id, hint, created_at, revoked_at FROM operator_keys ORDER BY id").fetch_all().await
}

/// Revokes an operator key; false when there is no such key in force.
pub(super) async fn revoke_operator_key(tx: &Tx, now: Timestamp, id: Uuid) -> Result<bool> {
    let revoked = tx.query("UPDATE operator_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL").bind(id).bind(now).execute().await?;
    Ok(revoked == 1)
}

pub(super) async fn insert_operator_key(tx: &Tx, now: Timestamp, id: Uuid, hint: &str, hash: &[u8; 32]) -> Result<()> {
    tx.query("INSERT INTO operator_keys (id, hint, hash, created_at) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(hint)
        .bind(hash.as_slice())
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn find_operator_key(conn: &Conn, hash: &[u8; 32]) -> Result<Option<Uuid>> {
    let found: Option<(Uuid,)> =
        conn.query("SELECT id FROM operator_keys WHERE hash = $1 AND revoked_at IS NULL").bind(hash.as_slice()).fetch_optional().await?;
    Ok(found.map(|(id,)| id))
}

//! Answers that were given to writes with an `Idempotency-Key`.

use serde_json::Value as Json;

use crate::{
    db::{self, Conn, Timestamp, Tx},
    error::Result,
    row_type,
    tenants::TenantId,
};

row_type! {
    /// An answer that was given.
    pub(in crate::records) struct Given {
        /// SHA-256 of what was asked.
        pub request: Vec<u8>,
        /// The status.
        pub status: Option<i64>,
        /// The headers, by name.
        pub headers: Option<db::Json>,
        /// The body, sealed.
        pub body: Option<Vec<u8>>,
    }
}

/// Takes the key for a request; false when it is taken. Whoever asks for it at the same time waits until this transaction has ended.
pub(in crate::records) async fn claim(tx: &Tx, tenant: TenantId, now: Timestamp, (principal, key): (&str, &str), request: &[u8]) -> Result<bool> {
    let sql = "INSERT INTO record_answers (tenant_id, principal, idempotency_key, request, created_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (tenant_id, principal, idempotency_key) DO NOTHING";
    Ok(tx.query(sql).bind(tenant).bind(principal).bind(key).bind(request.to_vec()).bind(now).execute().await? > 0)
}

/// The answer that was given for the key.
pub(in crate::records) async fn find(conn: &Conn, tenant: TenantId, (principal, key): (&str, &str)) -> Result<Option<Given>> {
    conn.query("SELECT request, status, headers, body FROM record_answers WHERE tenant_id = $1 AND principal = $2 AND idempotency_key = $3")
        .bind(tenant)
        .bind(principal)
        .bind(key)
        .fetch_optional()
        .await
}

/// Keeps the answer that will be given for the key.
pub(in crate::records) async fn keep(
    tx: &Tx,
    tenant: TenantId,
    (principal, key): (&str, &str),
    (status, headers, body): (i64, Json, Vec<u8>),
) -> Result<()> {
    tx.query("UPDATE record_answers SET status = $4, headers = $5, body = $6 WHERE tenant_id = $1 AND principal = $2 AND idempotency_key = $3")
        .bind(tenant)
        .bind(principal)
        .bind(key)
        .bind(status)
        .bind(headers)
        .bind(body)
        .execute()
        .await
        .map(drop)
}

/// Frees the key if what was answered for it is older.
pub(in crate::records) async fn free(tx: &Tx, tenant: TenantId, (principal, key): (&str, &str), before: Timestamp) -> Result<()> {
    tx.query("DELETE FROM record_answers WHERE tenant_id = $1 AND principal = $2 AND idempotency_key = $3 AND created_at <= $4")
        .bind(tenant)
        .bind(principal)
        .bind(key)
        .bind(before)
        .execute()
        .await
        .map(drop)
}

/// Forgets every tenant's answers that are older.
pub(in crate::records) async fn forget_before(tx: &Tx, before: Timestamp) -> Result<()> {
    tx.query("DELETE FROM record_answers WHERE created_at <= $1").bind(before).execute().await.map(drop)
}

//! The audit log, with the names of those who did something as they are now.

use uuid::Uuid;

use crate::{
    db::{Conn, Json, Timestamp},
    error::Result,
    row_type,
    tenants::TenantId,
};

row_type! {
    /// An entry, and what its actor is called today.
    pub(in crate::auth) struct NamedEntry {
        pub(in crate::auth) id: Uuid,
        pub(in crate::auth) created_at: Timestamp,
        pub(in crate::auth) actor_kind: String,
        pub(in crate::auth) actor_id: Option<Uuid>,
        pub(in crate::auth) action: String,
        pub(in crate::auth) log_type: String,
        pub(in crate::auth) subject_id: Option<Uuid>,
        pub(in crate::auth) ip: Option<String>,
        pub(in crate::auth) request_id: Option<String>,
        pub(in crate::auth) traits: Json,
        pub(in crate::auth) email: Option<String>,
        pub(in crate::auth) phone: Option<String>,
        pub(in crate::auth) full_name: Option<String>,
        pub(in crate::auth) is_sso_user: Option<bool>,
    }
}

/// Which entries are asked for: patterns for `LIKE` in lower case, their wildcards escaped by `\`.
#[derive(Default)]
pub(in crate::auth) struct AuditFilter {
    pub(in crate::auth) author: Option<String>,
    pub(in crate::auth) action: Option<String>,
    pub(in crate::auth) log_type: Option<String>,
}

/// A page of the log, newest first.
pub(in crate::auth) async fn page_of_audit(conn: &Conn, tenant: TenantId, filter: &AuditFilter, limit: i64, offset: i64) -> Result<Vec<NamedEntry>> {
    conn.query(
        "SELECT a.id, a.created_at, a.actor_kind, a.actor_id, a.action, a.log_type, a.subject_id, a.ip, a.request_id, a.traits, \
         u.email, u.phone, CAST(u.user_metadata ->> 'full_name' AS text), u.is_sso_user \
         FROM audit_log a LEFT JOIN users u ON u.tenant_id = a.tenant_id AND u.id = a.actor_id WHERE a.tenant_id = $1 \
         AND (CAST($2 AS text) IS NULL OR a.action LIKE $2 ESCAPE '\\') AND (CAST($3 AS text) IS NULL OR a.log_type LIKE $3 ESCAPE '\\') \
         AND (CAST($4 AS text) IS NULL OR u.email LIKE $4 ESCAPE '\\' OR u.phone LIKE $4 ESCAPE '\\' \
         OR lower(u.user_metadata ->> 'full_name') LIKE $4 ESCAPE '\\' OR (a.actor_kind <> 'user' AND a.actor_kind LIKE $4 ESCAPE '\\')) \
         ORDER BY a.id DESC LIMIT $5 OFFSET $6",
    )
    .bind(tenant)
    .bind(filter.action.as_deref())
    .bind(filter.log_type.as_deref())
    .bind(filter.author.as_deref())
    .bind(limit)
    .bind(offset)
    .heavy()
    .fetch_all()
    .await
}

/// How many entries there are on all pages together.
pub(in crate::auth) async fn count_audit(conn: &Conn, tenant: TenantId, filter: &AuditFilter) -> Result<i64> {
    let (count,) = conn
        .query(
            "SELECT count(*) FROM audit_log a LEFT JOIN users u ON u.tenant_id = a.tenant_id AND u.id = a.actor_id WHERE a.tenant_id = $1 \
             AND (CAST($2 AS text) IS NULL OR a.action LIKE $2 ESCAPE '\\') AND (CAST($3 AS text) IS NULL OR a.log_type LIKE $3 ESCAPE '\\') \
             AND (CAST($4 AS text) IS NULL OR u.email LIKE $4 ESCAPE '\\' OR u.phone LIKE $4 ESCAPE '\\' \
             OR lower(u.user_metadata ->> 'full_name') LIKE $4 ESCAPE '\\' OR (a.actor_kind <> 'user' AND a.actor_kind LIKE $4 ESCAPE '\\'))",
        )
        .bind(tenant)
        .bind(filter.action.as_deref())
        .bind(filter.log_type.as_deref())
        .bind(filter.author.as_deref())
        .heavy()
        .fetch_one::<(i64,)>()
        .await?;
    Ok(count)
}

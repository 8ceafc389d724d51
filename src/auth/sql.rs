//! Every statement about users and sessions.

use uuid::Uuid;

use crate::{
    db::{Conn, Json, Timestamp},
    error::Result,
    row_type,
    tenants::TenantId,
};

row_type! {
    /// Who is behind a session, as of now.
    pub(super) struct LiveSession {
        pub(super) email: Option<String>,
        pub(super) app_metadata: Json,
        pub(super) banned_until: Option<Timestamp>,
        pub(super) aal: Option<String>,
        pub(super) is_anonymous: bool,
        pub(super) employee_id: Option<Uuid>,
    }
}

/// The user, whether the session is alive (`aal` is there), and the employee record, in one look.
pub(super) async fn live_session(conn: &Conn, tenant: TenantId, user: Uuid, session: Uuid) -> Result<Option<LiveSession>> {
    conn.query(
        "SELECT u.email, u.app_metadata, u.banned_until, s.aal, u.is_anonymous, e.id FROM users u \
         LEFT JOIN sessions s ON s.tenant_id = u.tenant_id AND s.id = $3 AND s.user_id = u.id \
         LEFT JOIN employees e ON e.tenant_id = u.tenant_id AND e.user_id = u.id \
         WHERE u.tenant_id = $1 AND u.id = $2 AND u.deleted_at IS NULL",
    )
    .bind(tenant)
    .bind(user)
    .bind(session)
    .fetch_optional()
    .await
}

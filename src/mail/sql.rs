//! The table of mails that were kept.

use uuid::Uuid;

use crate::{
    db::{Conn, TenantId, Timestamp, Tx},
    error::Result,
    row_type,
};

row_type! {
    pub(super) struct MailRow {
        pub(super) id: Uuid,
        pub(super) content: Vec<u8>,
        pub(super) created_at: Timestamp,
    }
}

/// Keeps a mail, once, and lets go of the oldest above `most`.
pub(super) async fn insert_mail(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid, to: &str, content: &[u8], most: i64) -> Result<()> {
    tx.query("INSERT INTO inbox_mails (tenant_id, id, recipient, content, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
        .bind(tenant)
        .bind(id)
        .bind(to)
        .bind(content)
        .bind(now)
        .execute()
        .await?;
    tx.query(
        "DELETE FROM inbox_mails WHERE tenant_id = $1 AND id <= \
         (SELECT id FROM inbox_mails WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
    )
    .bind(tenant)
    .bind(most)
    .execute()
    .await?;
    Ok(())
}

/// Mails, newest first: their ids sort by time.
pub(super) async fn mails(conn: &Conn, tenant: TenantId, to: Option<&str>, most: i64) -> Result<Vec<MailRow>> {
    let query = match to {
        Some(to) => conn
            .query("SELECT id, content, created_at FROM inbox_mails WHERE tenant_id = $1 AND recipient = $2 ORDER BY id DESC LIMIT $3")
            .bind(tenant)
            .bind(to),
        None => conn.query("SELECT id, content, created_at FROM inbox_mails WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2").bind(tenant),
    };
    query.bind(most).fetch_all().await
}

/// Removes the mails of a deleted tenant.
pub async fn delete_rows_of(tx: &Tx, tenant: TenantId) -> Result<()> {
    tx.query("DELETE FROM inbox_mails WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

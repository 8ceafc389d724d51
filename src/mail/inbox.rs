//! Mails that go nowhere: kept for whoever develops an app to read.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Mail, sql};
use crate::{app::App, db::TenantId, db::Timestamp, error::Result};

/// Mails kept for each tenant at most; older ones go.
const MOST_KEPT: i64 = 200;

/// A mail that was kept instead of sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InboxMail {
    /// The mail.
    pub id: Uuid,
    /// The address it would have gone to.
    pub to: String,
    /// Who it says it comes from, if not the installation.
    pub from: Option<String>,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// When it would have been sent.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

pub(super) async fn keep(app: &App, tenant: TenantId, id: Uuid, mail: &Mail) -> Result<()> {
    let content = app.master_key.seal(&place(tenant, id), &serde_json::to_vec(mail)?);
    let (now, to) = (app.clock.now(), mail.to.clone());
    app.db.write(move |tx| async move { sql::insert_mail(&tx, tenant, now, id, &to, &content, MOST_KEPT).await }).await
}

/// The newest mails of a tenant's inbox, those to one address or all.
pub async fn read_inbox(app: &App, tenant: TenantId, to: Option<&str>, most: i64) -> Result<Vec<InboxMail>> {
    let rows = sql::mails(&app.db.read().await?, tenant, to, most).await?;
    let opened = rows.into_iter().map(|row| {
        let mail: Mail = serde_json::from_slice(&app.master_key.open(&place(tenant, row.id), &row.content)?)?;
        let Mail { to, from, subject, text, html } = mail;
        Ok(InboxMail { id: row.id, to, from, subject, text, html, created_at: row.created_at })
    });
    opened.collect()
}

fn place(tenant: TenantId, id: Uuid) -> String {
    format!("inbox_mails/{}/{id}", tenant.number())
}

//! Mails: what one is, and where it goes. Written by the rooms, sent as jobs, never inside a request.
//!
//! With `mail.smtp_host` set they go there. Without, nothing leaves the machine: a mail is kept in its tenant's inbox, where whoever develops an
//! app reads it (`/admin/v1/inbox`).

mod inbox;
mod smtp;
mod sql;
pub mod template;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::smtp::Smtp;
pub use self::{
    inbox::{InboxMail, read_inbox},
    sql::delete_rows_of,
};
use crate::{
    app::App,
    config,
    db::TenantId,
    error::Result,
    jobs::{Job, JobError},
};

/// A mail, as it is to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mail {
    /// The address it goes to.
    pub to: String,
    /// Who it says it comes from: an address, with a name or without. None means what the installation says (`mail.from`).
    pub from: Option<String>,
    /// The subject, one line.
    pub subject: String,
    /// What is read where HTML is not shown.
    pub text: String,
    /// What is read elsewhere.
    pub html: String,
}

impl Job for Mail {
    const KIND: &'static str = "mail";

    async fn run(self, app: &App, tenant: TenantId, id: Uuid) -> Result<(), JobError> {
        match &app.mailer {
            Mailer::Inbox => Ok(inbox::keep(app, tenant, id, &self).await?),
            Mailer::Smtp(smtp) => smtp.send(id, self).await,
        }
    }
}

/// Whether this can stand in a mail as who sends it: an address, with a name or without.
pub fn is_sender(text: &str) -> bool {
    text.parse::<lettre::message::Mailbox>().is_ok()
}

/// Where mails go.
pub enum Mailer {
    /// Into the tenant's inbox.
    Inbox,
    /// To a mail server.
    Smtp(Box<Smtp>),
}

impl Mailer {
    /// What the settings say.
    pub fn open(config: &config::Mail) -> Result<Self> {
        if config.smtp_host.is_empty() { Ok(Self::Inbox) } else { Smtp::open(config).map(|smtp| Self::Smtp(Box::new(smtp))) }
    }
}

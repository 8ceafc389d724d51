//! A mail server, by SMTP.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::authentication::Credentials,
};
use uuid::Uuid;

use super::Mail;
use crate::{
    config::{self, SmtpEncryption},
    error::{Error, Result},
    jobs::JobError,
};

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mail server.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// What the ids of mails end in.
    domain: String,
}

impl Smtp {
    pub(super) fn open(config: &config::Mail) -> Result<Self> {
        let host = &config.smtp_host;
        let refuse = |error: lettre::transport::smtp::Error| Error::invalid("mail.smtp_host", format!("\"{host}\" can't be used: {error}"));
        let builder = match config.smtp_encryption {
            SmtpEncryption::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host).map_err(refuse)?,
            SmtpEncryption::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(refuse)?,
            SmtpEncryption::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host),
        };
        let builder = if config.smtp_port == 0 { builder } else { builder.port(config.smtp_port) };
        let builder = builder.timeout(Some(PATIENCE));
        let transport = if config.smtp_username.is_empty() {
            builder.build()
        } else {
            builder.credentials(Credentials::new(config.smtp_username.clone(), config.smtp_password.clone())).build()
        };
        let from: Mailbox = config.from.parse().map_err(|_| Error::invalid("mail.from", format!("\"{}\" is no mail address", config.from)))?;
        let domain = from.email.domain().to_owned();
        Ok(Self { transport, from, domain })
    }

    /// Sends a mail. What the server refuses for good is given up; everything else is tried again.
    pub(super) async fn send(&self, id: Uuid, mail: Mail) -> Result<(), JobError> {
        let message = self.write(id, mail).map_err(|why| JobError::GiveUp(format!("the mail can't be written: {why}")))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(JobError::GiveUp(format!("the mail server refused it: {error}"))),
            Err(error) => Err(JobError::Retry(format!("the mail server did not take it: {error}"))),
        }
    }

    fn write(&self, id: Uuid, mail: Mail) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
        let from = match &mail.from {
            Some(from) => from.parse()?,
            None => self.from.clone(),
        };
        let message = Message::builder()
            .from(from)
            .to(mail.to.parse()?)
            .subject(mail.subject)
            // The same at each attempt, so that a mail that was sent twice is seen once.
            .message_id(Some(format!("<{id}@{}>", self.domain)))
            .multipart(MultiPart::alternative_plain_html(mail.text, mail.html))?;
        Ok(message)
    }
}

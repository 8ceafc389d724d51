//! A mail server, by SMTP.

use std::{fs, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use tokio::time::timeout;
use uuid::Uuid;

use super::Mail;
use crate::{
    config::{self, SmtpEncryption},
    error::{Error, Result},
    jobs::JobError,
};

/// A mail server.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// What the ids of mails end in.
    domain: String,
    /// How long a mail may take.
    patience: Duration,
}

impl Smtp {
    pub(super) fn open(config: &config::Mail) -> Result<Self> {
        let (tls, port) = match config.smtp_encryption {
            SmtpEncryption::Starttls => (Tls::Required(tls_parameters(config)?), SUBMISSION_PORT),
            SmtpEncryption::Tls => (Tls::Wrapper(tls_parameters(config)?), SUBMISSIONS_PORT),
            SmtpEncryption::None => (Tls::None, SMTP_PORT),
        };
        let port = if config.smtp_port == 0 { port } else { config.smtp_port };
        let patience = Duration::from_secs(config.smtp_timeout_seconds);
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.smtp_host).tls(tls).port(port).timeout(Some(patience));
        let transport = if config.smtp_username.is_empty() {
            builder.build()
        } else {
            builder.credentials(Credentials::new(config.smtp_username.clone(), config.smtp_password.clone())).build()
        };
        let from: Mailbox = config.from.parse().map_err(|_| Error::invalid("mail.from", format!("\"{}\" is no mail address", config.from)))?;
        let domain = from.email.domain().to_owned();
        Ok(Self { transport, from, domain, patience })
    }

    /// Sends a mail. What the server refuses for good is given up; everything else is tried again.
    pub(super) async fn send(&self, id: Uuid, mail: Mail) -> Result<(), JobError> {
        let message = self.write(id, mail).map_err(|why| JobError::GiveUp(format!("the mail can't be written: {why}")))?;
        // The transport bounds no more than how long it takes to connect.
        match timeout(self.patience, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if is_about_the_mail(&error) => Err(JobError::GiveUp(format!("the mail server refused it: {}", shown(&error)))),
            Ok(Err(error)) => Err(JobError::Retry(format!("the mail server did not take it: {}", shown(&error)))),
            Err(_) => Err(JobError::Retry(format!("the mail server took longer than {} seconds", self.patience.as_secs()))),
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

/// Whether a server refuses this mail for good. That it does not know us (53x) is for the operator to mend, and no reason to give mails up.
fn is_about_the_mail(error: &lettre::transport::smtp::Error) -> bool {
    error.is_permanent() && !error.status().is_some_and(|code| matches!(u16::from(code), 530..=539))
}

/// What a server says, without the addresses in it: it goes into the log.
fn shown(error: &lettre::transport::smtp::Error) -> String {
    let text = error.to_string();
    let words = text.split_whitespace().map(|word| if word.contains('@') { "[address]" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

fn tls_parameters(config: &config::Mail) -> Result<TlsParameters> {
    let host = &config.smtp_host;
    let builder = TlsParameters::builder(host.clone());
    let builder = match ca_certificate(config)? {
        Some(certificate) => builder.add_root_certificate(certificate),
        None => builder,
    };
    builder.build_rustls().map_err(|error| Error::invalid("mail.smtp_host", format!("\"{host}\" can't be used: {error}")))
}

fn ca_certificate(config: &config::Mail) -> Result<Option<Certificate>> {
    let path = &config.smtp_ca_file;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let refuse = |why: &str| Error::invalid("mail.smtp_ca_file", format!("{} {why}", path.display()));
    let pem = fs::read_to_string(path).map_err(|error| refuse(&format!("can't be read: {error}")))?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(refuse("holds no certificate; it should be PEM"));
    }
    Certificate::from_pem(pem.as_bytes()).map(Some).map_err(|_| refuse("holds what is no certificate"))
}

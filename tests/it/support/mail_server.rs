//! A mail server of somebody else's, on a socket of this machine, that does as it is told.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use basalt::crypto::base64;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

/// How the server speaks.
#[derive(Default)]
pub(crate) struct Speech {
    /// Whom it lets in, as name and password. Nobody needs to sign in if it is none.
    pub(crate) credentials: Option<(&'static str, &'static str)>,
    /// Whether it offers TLS, with a certificate for `localhost` that it made itself.
    pub(crate) starttls: bool,
}

/// A mail as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReceivedMail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Head and body.
    pub(crate) content: String,
}

/// A mail server.
pub(crate) struct MailServer {
    port: u16,
    certificate: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    speech: Speech,
    received: Mutex<Vec<ReceivedMail>>,
    /// What was said to it before TLS began.
    heard_in_clear: Mutex<Vec<String>>,
    /// What it says to a command instead of what is usual, once each.
    answers: Mutex<HashMap<&'static str, Vec<&'static str>>>,
}

impl MailServer {
    pub(crate) async fn new(speech: Speech) -> Self {
        Self::at(0, speech).await
    }

    /// A server at a port where there was none.
    pub(crate) async fn at(port: u16, speech: Speech) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (acceptor, certificate) = tls();
        let shared = Arc::new(Shared { speech, ..Shared::default() });
        let served = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&served)));
            }
        });
        Self { port, certificate, shared, serving }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its certificate, as a file has it.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Has the next command of this name answered with `line`; with nothing at all, if that is empty.
    pub(crate) fn answer(&self, command: &'static str, line: &'static str) {
        self.shared.answers.lock().unwrap().entry(command).or_default().push(line);
    }

    /// The mails that came since the last look.
    pub(crate) fn received(&self) -> Vec<ReceivedMail> {
        std::mem::take(&mut self.shared.received.lock().unwrap())
    }

    /// The commands that anybody on the way could have read.
    pub(crate) fn heard_in_clear(&self) -> Vec<String> {
        self.shared.heard_in_clear.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn tls() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 localhost").await?;
    if converse(&mut stream, &shared, false).await? == Next::Tls {
        let mut stream = BufReader::new(acceptor.accept(stream.into_inner()).await?);
        converse(&mut stream, &shared, true).await?;
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Next {
    Tls,
    End,
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, shared: &Shared, is_tls: bool) -> io::Result<Next> {
    let mut mail = ReceivedMail::default();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(Next::End);
        }
        let line = line.trim_end();
        if !is_tls {
            shared.heard_in_clear.lock().unwrap().push(line.to_owned());
        }
        let command = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let told = shared.answers.lock().unwrap().get_mut(command.as_str()).and_then(Vec::pop);
        match (told, command.as_str()) {
            (Some(""), _) => std::future::pending().await,
            (Some(told), _) => say(stream, told).await?,
            (None, "EHLO") => {
                let offers = [(shared.speech.starttls && !is_tls, "STARTTLS"), (shared.speech.credentials.is_some(), "AUTH PLAIN")];
                for (_, offer) in offers.iter().filter(|(is_offered, _)| *is_offered) {
                    say(stream, &format!("250-{offer}")).await?;
                }
                say(stream, "250 SMTPUTF8").await?;
            }
            (None, "STARTTLS") => {
                say(stream, "220 go on").await?;
                return Ok(Next::Tls);
            }
            (None, "AUTH") => {
                let is_right = shared
                    .speech
                    .credentials
                    .is_some_and(|(name, password)| line == format!("AUTH PLAIN {}", base64(format!("\0{name}\0{password}").as_bytes())));
                say(stream, if is_right { "235 welcome" } else { "535 5.7.8 who are you" }).await?;
            }
            (None, "MAIL") => {
                mail = ReceivedMail { from: address(line), ..ReceivedMail::default() };
                say(stream, "250 good").await?;
            }
            (None, "RCPT") => {
                mail.to.push(address(line));
                say(stream, "250 good").await?;
            }
            (None, "DATA") => {
                say(stream, "354 tell").await?;
                mail.content = read_content(stream).await?;
                let told = shared.answers.lock().unwrap().get_mut(".").and_then(Vec::pop);
                if told.is_none() {
                    shared.received.lock().unwrap().push(std::mem::take(&mut mail));
                }
                say(stream, told.unwrap_or("250 taken")).await?;
            }
            (None, "QUIT") => {
                say(stream, "221 bye").await?;
                return Ok(Next::End);
            }
            (None, _) => say(stream, "250 good").await?,
        }
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

async fn read_content<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut content = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(content);
        }
        content.push_str(&line);
    }
}

/// What stands between the angle brackets.
fn address(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or_else(String::new, |(address, _)| address.to_owned())
}

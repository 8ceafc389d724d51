//! Calls to others: hooks, providers, CAPTCHA, text messages. Everything that leaves this process over HTTP leaves here, except the
//! object store's own client.
//!
//! Where a call goes is often chosen by somebody who should not reach what this machine reaches. So names are resolved here, the
//! connection goes to the very addresses that were checked, redirects are not followed, and no proxy of the environment is asked. Time
//! and size of an answer are bounded. Refused, closed, silent: all are one error, so that nobody maps a network by asking.
//!
//! Start with [`Outbound::send`]; which addresses may be called says `address.rs`.

mod address;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use url::{Host, Url};

use self::address::is_public;
use crate::{config, http::Network};

/// How long a call may take, and how large its answer may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the first look at the name to the last byte.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub answer: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { time: Duration::from_secs(5), answer: 1024 * 1024 }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// It may not be called, does not listen, broke off or took too long. Which of them is only in the log.
    #[error("it can't be reached, or took too long to answer")]
    Unreachable,
    /// The answer is larger than it may be.
    #[error("it answered with more than {0} bytes")]
    TooLarge(usize),
}

/// The one client.
pub struct Outbound {
    allowed: Arc<[Network]>,
    /// For https: public addresses and those that are allowed.
    protected: OnceLock<Client>,
    /// For http, which anybody on the way can read: only addresses that are allowed.
    plain: OnceLock<Client>,
}

impl Outbound {
    /// A client that may call what the settings allow.
    pub fn new(config: &config::Outbound) -> Self {
        Self { allowed: config.allow.clone().into(), protected: OnceLock::new(), plain: OnceLock::new() }
    }

    /// Sends a request within the usual bounds.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Bytes>, OutboundError> {
        self.send_within(request, Bounds::default()).await
    }

    /// Sends a request within bounds of its own.
    pub async fn send_within(&self, request: http::Request<Vec<u8>>, bounds: Bounds) -> Result<http::Response<Bytes>, OutboundError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let outcome = match tokio::time::timeout(bounds.time, self.call(request, bounds.answer)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Unreachable(format!("no answer within {:?}", bounds.time))),
        };
        outcome.map_err(|failure| match failure {
            Failure::TooLarge => OutboundError::TooLarge(bounds.answer),
            Failure::Unreachable(why) => {
                tracing::info!(host, why, "a call out failed");
                OutboundError::Unreachable
            }
        })
    }

    async fn call(&self, request: http::Request<Vec<u8>>, most: usize) -> Result<http::Response<Bytes>, Failure> {
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let client = self.client_for(request.url())?;
        let mut answer = client.execute(request).await.map_err(unreachable)?;
        let mut body = BytesMut::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + part.len() > most {
                return Err(Failure::TooLarge);
            }
            body.extend_from_slice(&part);
        }
        let mut response = http::Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }

    /// Why an address would never be called, as far as that can be seen without looking its name up; with the cure.
    pub fn why_never(&self, url: &Url) -> Option<String> {
        let guard = self.guard_for(url.scheme())?;
        let (is_callable, is_public) = match url.host()? {
            Host::Ipv4(address) => (guard.lets(address.into()), is_public(address.into())),
            Host::Ipv6(address) => (guard.lets(address.into()), is_public(address.into())),
            Host::Domain(name) if name.trim_end_matches('.') == "localhost" => {
                (guard.lets(Ipv4Addr::LOCALHOST.into()) || guard.lets(Ipv6Addr::LOCALHOST.into()), false)
            }
            Host::Domain(_) => (guard.is_public_allowed || !self.allowed.is_empty(), true),
        };
        let why = if is_public { "would be called without TLS" } else { "is not on the public internet" };
        (!is_callable).then(|| {
            let place = url.host_str().unwrap_or_default();
            format!("{place} {why}: allow its address in outbound.allow of the installation, and start it again, or nobody calls it")
        })
    }

    /// What may be called by a scheme, if anything.
    fn guard_for(&self, scheme: &str) -> Option<Guard> {
        match scheme {
            "https" => Some(Guard { allowed: Arc::clone(&self.allowed), is_public_allowed: true }),
            "http" => Some(Guard { allowed: Arc::clone(&self.allowed), is_public_allowed: false }),
            _ => None,
        }
    }

    /// The client for a URL, after a look at the address in it. A name is looked up, and its addresses looked at, when it connects.
    fn client_for(&self, url: &Url) -> Result<&Client, Failure> {
        let refuse = |why: &str| Err(Failure::Unreachable(why.to_owned()));
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("the URL names a user");
        }
        let Some(guard) = self.guard_for(url.scheme()) else { return refuse("neither https nor http") };
        // The URL's parser has made one spelling of decimal, octal and other forms of an address.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) => None,
            None => return refuse("the URL has no host"),
        };
        if address.is_some_and(|address| !guard.lets(address)) {
            return refuse("the address may not be called");
        }
        let cell = if guard.is_public_allowed { &self.protected } else { &self.plain };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = builder(guard).build().map_err(unreachable)?;
        Ok(cell.get_or_init(|| client))
    }
}

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);

fn builder(guard: Guard) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .http1_only()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(8)
        .user_agent(concat!("basalt/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(guard)
}

/// What went wrong, with what the log should say.
enum Failure {
    Unreachable(String),
    TooLarge,
}

fn unreachable(error: reqwest::Error) -> Failure {
    // The URL can have a secret in it.
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    Failure::Unreachable(text)
}

/// Says which addresses may be called, and looks names up so that no other is.
#[derive(Clone)]
struct Guard {
    allowed: Arc<[Network]>,
    is_public_allowed: bool,
}

impl Guard {
    fn lets(&self, address: std::net::IpAddr) -> bool {
        (self.is_public_allowed && is_public(address)) || self.allowed.iter().any(|network| network.contains(address))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good: Vec<SocketAddr> = found.filter(|address| guard.lets(address.ip())).collect();
            if good.is_empty() {
                return Err("the name leads to no address that may be called".into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

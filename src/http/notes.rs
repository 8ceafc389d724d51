//! What is known of the request being answered, for the log, the metrics and error answers. It travels beside the request, so that it
//! can be read and added to wherever its answer is made.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use axum::extract::MatchedPath;
use http::{Extensions, HeaderMap, HeaderValue, Request, header::HeaderName, request::Parts};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    peer::PeerAddress,
    surface::{API_VERSION, Surface},
};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    pub(super) static NOTES: Arc<Notes>;
}

/// The notes of one request.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) id: RequestId,
    pub(super) surface: Surface,
    wants_text_codes: bool,
    wants_true_status: OnceLock<()>,
    /// The client's address, where the request came through a socket.
    client: Option<IpAddr>,
    /// Whom a server that may say so calls for.
    forwarded: OnceLock<IpAddr>,
    tenant: OnceLock<Box<str>>,
    route: OnceLock<MatchedPath>,
    actor: OnceLock<Actor>,
}

impl Notes {
    pub(super) fn new<B>(request: &Request<B>, surface: Surface) -> Arc<Self> {
        let headers = request.headers();
        let id = RequestId::of(headers);
        let client = request.extensions().get::<PeerAddress>().map(|peer| peer.client);
        // Dates in this spelling sort as text.
        let is_new = |version: &HeaderValue| version.len() == 10 && version.as_bytes() >= b"2024-01-01".as_slice();
        let wants_text_codes = surface == Surface::Auth && headers.get(API_VERSION).is_some_and(is_new);
        let (wants_true_status, forwarded, tenant, route, actor) = Default::default();
        Arc::new(Self { id, surface, wants_text_codes, wants_true_status, client, forwarded, tenant, route, actor })
    }

    pub(super) fn tenant(&self) -> &str {
        self.tenant.get().map_or("", |tenant| tenant)
    }

    /// The route as it is declared, which holds no value of the request; where nobody noted it, its surface.
    pub(super) fn route(&self) -> &str {
        let otherwise = if self.surface == Surface::Other { "/" } else { self.surface.prefix() };
        self.route.get().map_or(otherwise, MatchedPath::as_str)
    }
}

/// Names one request, in the log and in answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own, if it is one; else a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        headers.get(REQUEST_ID).filter(|id| is_request_id(id)).cloned().map_or_else(Self::new, Self)
    }

    fn new() -> Self {
        let mut text = Uuid::encode_buffer();
        let text = Uuid::now_v7().hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).expect("a UUID is letters, digits and hyphens"))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_request_id(id: &HeaderValue) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=64).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
}

/// The id of the request being answered; a new one outside of any (a job, a command).
pub fn request_id() -> RequestId {
    NOTES.try_with(|notes| notes.id.clone()).unwrap_or_else(|_| RequestId::new())
}

/// The id of the request being answered, for a log line; `None` outside of any.
pub fn current_request() -> Option<String> {
    NOTES.try_with(|notes| notes.id.to_string()).ok()
}

/// Who a request turned out to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// Which user or which key.
    pub id: Option<Uuid>,
}

/// What can be behind a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActorKind {
    /// Somebody unknown, or known by a publishable key only.
    Anonymous,
    /// A signed-in user.
    User,
    /// A function key.
    Key,
    /// A secret key without scopes, or a token in its place.
    Service,
    /// An operator key.
    Operator,
    /// Nobody: a command or a job of this process.
    System,
}

impl ActorKind {
    /// Its name in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User => "user",
            Self::Key => "key",
            Self::Service => "service_role",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }
}

/// Notes who the request being answered turned out to come from.
pub fn note_actor(kind: ActorKind, id: Option<Uuid>) {
    let _ = NOTES.try_with(|notes| notes.actor.set(Actor { kind, id }));
}

/// Who the request being answered comes from, as far as it is known; `None` outside of any.
pub fn current_actor() -> Option<Actor> {
    NOTES.try_with(|notes| notes.actor.get().copied().unwrap_or(Actor { kind: ActorKind::Anonymous, id: None })).ok()
}

/// The client's address of the request being answered.
pub fn current_client() -> Option<IpAddr> {
    NOTES.try_with(|notes| notes.forwarded.get().copied().or(notes.client)).ok().flatten()
}

/// Notes whom a server, which may say so, calls for: the client's address from now on.
pub fn note_client(address: IpAddr) {
    let _ = NOTES.try_with(|notes| notes.forwarded.set(address));
}

/// Whether the caller asked auth for errors in the form of 2024-01-01.
pub fn wants_text_codes() -> bool {
    NOTES.try_with(|notes| notes.wants_text_codes).unwrap_or_default()
}

/// Notes that the tenant of the request being answered wants storage to say in the status what it says in the body.
pub fn note_true_status() {
    let _ = NOTES.try_with(|notes| notes.wants_true_status.set(()));
}

/// Whether errors of storage have the HTTP status that they tell.
pub fn wants_true_status() -> bool {
    NOTES.try_with(|notes| notes.wants_true_status.get().is_some()).unwrap_or_default()
}

/// Notes the tenant that was found for the request being answered, and its route.
pub fn note_tenant(parts: &Parts, reference: &str) {
    let _ = NOTES.try_with(|notes| notes.tenant.set(reference.into()));
    note_route(&parts.extensions);
}

/// Notes the route of the request being answered. Only what runs behind the routes can know it.
pub fn note_route(extensions: &Extensions) {
    if let Some(route) = extensions.get::<MatchedPath>() {
        let _ = NOTES.try_with(|notes| notes.route.set(route.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_only_if_it_is_harmless() {
        let id_of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(value).unwrap());
            RequestId::of(&headers).to_string()
        };
        assert_eq!(id_of("a-b_c.9"), "a-b_c.9");
        for wrong in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert!(Uuid::parse_str(&id_of(wrong)).is_ok(), "{wrong:?}");
        }
    }
}

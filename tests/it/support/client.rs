//! Somebody who calls.

use std::str::FromStr as _;

use axum::body::Body;
use basalt::http::{Front, PeerAddress};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

/// A caller with its headers.
#[derive(Clone)]
pub(crate) struct Client {
    front: Front,
    headers: HeaderMap,
    address: Option<PeerAddress>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(super) fn new(front: Front) -> Self {
        Self { front, headers: HeaderMap::new(), address: None }
    }

    /// The same caller with a header more, or another value of it.
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_str(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    /// The same caller with a header once more.
    #[must_use]
    pub(crate) fn also(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::from_str(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    /// The same caller at this address, as if it had come through a socket.
    #[must_use]
    pub(crate) fn at(mut self, address: &str) -> Self {
        let connection = std::net::SocketAddr::new(address.parse().unwrap(), 40_000);
        self.address = Some(PeerAddress::resolve(connection, &self.headers, &[]));
        self
    }

    /// The same caller with this API key.
    #[must_use]
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("apikey", key)
    }

    /// The same caller with this access token.
    #[must_use]
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn head(&self, path: &str) -> Reply {
        self.send(Method::HEAD, path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.json(Method::POST, path, &body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.json(Method::PUT, path, &body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.json(Method::PATCH, path, &body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    /// A request with a JSON body.
    pub(crate) async fn json(&self, method: Method, path: &str, body: &Value) -> Reply {
        self.clone().header("content-type", "application/json").send(method, path, Body::from(body.to_string())).await
    }

    /// Any request.
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1").body(body.into()).unwrap();
        request.headers_mut().extend(self.headers.clone());
        if let Some(address) = self.address {
            request.extensions_mut().insert(address);
        }
        let (parts, body) = self.front.answer(request).await.into_parts();
        Reply { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

impl Reply {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

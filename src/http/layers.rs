//! The one thing that stands around every handler. It does the work of eight stock layers for a fraction of their price: request id,
//! tenant prefix, cross-origin answers, load shedding, time-out, panics, security headers, the log line, the figures.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::{
    cors,
    leftover::Leftover,
    metrics::metrics,
    notes::{NOTES, Notes, REQUEST_ID},
    prefix::{Mount, strip_tenant},
    surface::{Surface, SurfaceError},
};
use crate::config;

/// The whole of Basalt as a service: the routes and what stands around them.
#[derive(Clone, Debug)]
pub struct Front {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    router: Router,
    stopping: CancellationToken,
    request_timeout: Duration,
    max_in_flight: usize,
    in_flight: AtomicUsize,
    mount: Option<Mount>,
}

impl Front {
    /// Puts the layers around `router`. Once `stopping` is cancelled, each answer ends its connection.
    pub fn new(router: Router, config: &config::Http, stopping: CancellationToken) -> Self {
        Self::mounted(router, config, stopping, None)
    }

    /// The same for requests that all belong to one tenant.
    pub fn mounted(router: Router, config: &config::Http, stopping: CancellationToken, mount: Option<Mount>) -> Self {
        let shared = Shared {
            router,
            stopping,
            request_timeout: config.request_timeout(),
            max_in_flight: config.max_in_flight,
            in_flight: AtomicUsize::new(0),
            mount,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Answers one request.
    pub async fn answer(&self, mut request: Request<Body>) -> Response {
        let began = Instant::now();
        match &self.shared.mount {
            Some(mount) => mount.enter(&mut request),
            None => strip_tenant(&mut request),
        }
        let surface = Surface::of(request.uri().path());
        let notes = Notes::new(&request, surface);
        let method = request.method().clone();
        let origin = request.headers().get(header::ORIGIN).cloned();

        let leftover = Leftover::watch(&mut request);
        let mut response = NOTES.scope(Arc::clone(&notes), self.dispatch(surface, request)).await;
        if let Some(leftover) = leftover
            && !leftover.clear().await
        {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.dress(&notes, origin, response.headers_mut());

        let took = began.elapsed();
        metrics().answered(surface, response.status(), took);
        log(&notes, &method, response.status(), took);
        response
    }

    async fn dispatch(&self, surface: Surface, request: Request<Body>) -> Response {
        if cors::is_preflight(&request) {
            return cors::preflight(request.headers());
        }
        if has_two_authorities(&request) {
            return SurfaceError::bad_request(surface, "the request line and the Host header name different hosts").into_response();
        }
        let (method, path) = (request.method(), request.uri().path());
        if surface.is_transfer(method, path) {
            return self.call(surface, request, None).await;
        }
        let _place = match self.take_place() {
            Some(place) => Some(place),
            // Who asks how we are must get an answer above all when there is much to do.
            None if surface == Surface::Other => None,
            None => return SurfaceError::overloaded(surface).into_response(),
        };
        self.call(surface, request, Some(self.shared.request_timeout)).await
    }

    async fn call(&self, surface: Surface, request: Request<Body>, limit: Option<Duration>) -> Response {
        let answer = AssertUnwindSafe(self.shared.router.clone().call(request)).catch_unwind();
        let outcome = match limit {
            None => answer.await,
            Some(limit) => match tokio::time::timeout(limit, answer).await {
                Ok(outcome) => outcome,
                Err(_) => return SurfaceError::too_slow(surface).into_response(),
            },
        };
        match outcome {
            Ok(Ok(response)) => response,
            Err(_) => SurfaceError::internal(surface).into_response(),
        }
    }

    fn take_place(&self) -> Option<Place<'_>> {
        let in_flight = &self.shared.in_flight;
        if in_flight.fetch_add(1, Ordering::Relaxed) >= self.shared.max_in_flight {
            in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        metrics().in_flight.increment(1);
        Some(Place { in_flight })
    }

    /// The headers that every answer has.
    fn dress(&self, notes: &Notes, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, notes.id.header());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if !headers.contains_key(header::CACHE_CONTROL) && is_json(headers) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        cors::allow(notes.surface, origin, headers);
        if self.shared.stopping.is_cancelled() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// A request's place among those being answered.
struct Place<'a> {
    in_flight: &'a AtomicUsize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        metrics().in_flight.decrement(1);
    }
}

impl tower_service::Service<Request<Body>> for Front {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.answer(request).await) })
    }
}

/// `GET http://one/ HTTP/1.1` with `Host: other` names two hosts, hence perhaps two tenants.
fn has_two_authorities(request: &Request<Body>) -> bool {
    let Some(authority) = request.uri().authority() else { return false };
    request.headers().get(header::HOST).is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"application/json") || kind.starts_with(b"application/problem+json") || kind.starts_with(b"application/vnd.pgrst")
    })
}

/// One line a request. It names the route as declared, never what the client put into path, query, headers or body.
fn log(notes: &Notes, method: &Method, status: StatusCode, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let status = status.as_u16();
    let (request, tenant, route) = (notes.id.as_str(), notes.tenant(), notes.route());
    tracing::info!(target: "basalt::access", request, tenant, status, micros, "{method} {route}");
}

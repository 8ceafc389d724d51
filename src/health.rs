//! How the process is, for whoever looks after it: `/health`, `/ready`, `/metrics`.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{Extensions, HeaderMap, HeaderValue, Request, StatusCode, header};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    http::{PeerAddress, Problem, metrics::metrics, note_route},
};

/// A database that needs longer to answer nothing is not ready to answer anything.
const PATIENCE: Duration = Duration::from_secs(2);

/// The three routes; none needs a key.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_health)).routes(routes!(get_ready)).routes(routes!(get_metrics))
}

/// How the process is.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `alive`, or `ready`.
    #[schema(example = "alive")]
    status: &'static str,
    /// Of the program.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

impl Health {
    fn new(status: &'static str) -> Json<Self> {
        Json(Self { status, version: env!("CARGO_PKG_VERSION") })
    }
}

/// Whether the process is alive. It asks nothing else, so that trouble elsewhere gets no process restarted.
#[utoipa::path(get, path = "/health", tag = "server", security(()), responses((status = 200, body = Health)))]
async fn get_health(extensions: Extensions) -> Json<Health> {
    note_route(&extensions);
    Health::new("alive")
}

/// Whether requests should be sent here: the database answers, and the process is not about to stop.
#[utoipa::path(get, path = "/ready", tag = "server", security(()), responses(
    (status = 200, body = Health), (status = 503, body = Problem, content_type = "application/problem+json")))]
async fn get_ready(State(app): State<App>, extensions: Extensions) -> Result<Json<Health>, Problem> {
    note_route(&extensions);
    let not_ready = |why: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
    if app.stopping.is_cancelled() {
        return Err(not_ready("the server is stopping"));
    }
    match timeout(PATIENCE, app.db.ping()).await {
        Ok(Ok(())) => Ok(Health::new("ready")),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database can't be asked");
            Err(not_ready("the database can't be asked"))
        }
        Err(_) => Err(not_ready("the database does not answer")),
    }
}

/// What was counted, for Prometheus. Answers this machine only, unless `metrics.token` is set: then whoever shows it.
#[utoipa::path(get, path = "/metrics", tag = "server", security((), ("metrics" = [])), responses(
    (status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem, content_type = "application/problem+json")))]
async fn get_metrics(State(app): State<App>, request: Request<Body>) -> Response {
    note_route(request.extensions());
    let peer = request.extensions().get::<PeerAddress>().copied();
    let config = &app.config.metrics;
    let may_see = if config.token.is_empty() { is_local(peer, request.headers()) } else { shows(&config.token, request.headers()) };
    if !config.enabled || !may_see {
        return Problem::new(StatusCode::NOT_FOUND, "there is nothing here").into_response();
    }
    let mut response = Response::new(Body::from(metrics().render()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// From this machine, and not on behalf of somebody else: a proxy on this machine is told by what it adds.
fn is_local(peer: Option<PeerAddress>, headers: &HeaderMap) -> bool {
    let is_forwarded = ["x-forwarded-for", "forwarded", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name));
    !is_forwarded && peer.is_some_and(|peer| peer.connection.ip().to_canonical().is_loopback())
}

fn shows(token: &str, headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    shown.is_some_and(|shown| verify_slices_are_equal(shown, token.as_bytes()).is_ok())
}

//! What every answer has, whoever made it.

use axum::{Router, body::Body};
use basalt::{config::Config, http::Front};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::routes;

async fn send_to(router: Router, change: impl FnOnce(&mut basalt::config::Http), request: http::request::Builder) -> Response<Body> {
    let mut config = Config::default().http;
    change(&mut config);
    let front = Front::new(router, &config, CancellationToken::new());
    front.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn send(request: http::request::Builder) -> Response<Body> {
    send_to(routes(), |_| {}, request).await
}

async fn text_of(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_request_id_is_echoed_or_made() {
    let response = send(Request::get("/hello").header("x-request-id", "order-7")).await;
    assert_eq!(text(response.headers(), "x-request-id"), "order-7");
    let response = send(Request::get("/hello").header("x-request-id", "two words")).await;
    assert!(uuid::Uuid::parse_str(text(response.headers(), "x-request-id")).is_ok());
}

#[tokio::test]
async fn answers_are_not_sniffed_and_json_is_not_kept() {
    let response = send(Request::get("/rest/v1/rows")).await;
    assert_eq!(text(response.headers(), "x-content-type-options"), "nosniff");
    assert_eq!(text(response.headers(), "cache-control"), "no-store");
    assert_eq!(text(send(Request::get("/hello")).await.headers(), "cache-control"), "");
}

#[tokio::test]
async fn the_tenant_in_the_path_is_taken_off_before_routing() {
    assert_eq!(send(Request::get("/t/acme/hello")).await.status(), StatusCode::OK);
    assert_eq!(send(Request::get("/t/acme/t/acme/hello")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_preflight_is_answered_for_every_surface() {
    for path in ["/auth/v1/token", "/rest/v1/employees", "/t/acme/storage/v1/object/b/k"] {
        let request = Request::options(path)
            .header("origin", "https://app.example")
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,apikey,tus-resumable");
        let response = send(request).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{path}");
        assert_eq!(text(response.headers(), "access-control-allow-headers"), "authorization,apikey,tus-resumable");
        assert!(text(response.headers(), "access-control-allow-methods").contains("PATCH"));
        assert_eq!(text(response.headers(), "access-control-max-age"), "86400");
    }
}

#[tokio::test]
async fn any_origin_may_read_answers_and_their_headers() {
    let response = send(Request::get("/rest/v1/rows").header("origin", "https://app.example")).await;
    assert_eq!(text(response.headers(), "access-control-allow-origin"), "*");
    let exposed = text(response.headers(), "access-control-expose-headers").to_ascii_lowercase();
    for name in ["x-total-count", "link", "x-supabase-api-version", "content-range", "location", "etag", "upload-offset", "tus-resumable"] {
        assert!(exposed.contains(name), "{name}");
    }
    let response = send(Request::get("/auth/v1/panic").header("origin", "https://app.example")).await;
    assert_eq!(text(response.headers(), "access-control-allow-origin"), "https://app.example");
    assert_eq!(text(response.headers(), "access-control-allow-credentials"), "true");
    assert_eq!(text(response.headers(), "vary"), "Origin");
    assert_eq!(text(send(Request::get("/rest/v1/rows")).await.headers(), "access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_panic_is_answered_in_the_shape_of_its_surface() {
    let body = async |request: http::request::Builder| {
        let response = send(request.header("x-request-id", "r1")).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        text_of(response).await
    };
    insta::assert_snapshot!(body(Request::get("/panic")).await, @r#"{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"something went wrong on our side","request_id":"r1"}"#);
    insta::assert_snapshot!(body(Request::get("/rest/v1/panic")).await, @r#"{"code":"XX000","details":null,"hint":"Look for request r1 in the server's log","message":"something went wrong on our side"}"#);
    insta::assert_snapshot!(body(Request::get("/storage/v1/panic")).await, @r#"{"statusCode":"500","error":"InternalError","message":"something went wrong on our side","code":"InternalError"}"#);
    insta::assert_snapshot!(body(Request::get("/auth/v1/panic")).await, @r#"{"code":500,"error_code":"unexpected_failure","msg":"something went wrong on our side","error_id":"r1"}"#);
    let new = Request::get("/auth/v1/panic").header("x-supabase-api-version", "2024-01-01");
    insta::assert_snapshot!(body(new).await, @r#"{"code":"unexpected_failure","message":"something went wrong on our side"}"#);
}

#[tokio::test]
async fn what_takes_too_long_is_ended() {
    let response = send_to(routes(), |http| http.request_timeout_seconds = 1, Request::get("/rest/v1/slow").header("x-request-id", "r1")).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    insta::assert_snapshot!(text_of(response).await, @r#"{"code":"PGRST003","details":null,"hint":"Look for request r1 in the server's log","message":"the request took too long and was ended"}"#);
}

#[tokio::test]
async fn more_than_can_be_done_at_once_is_told_to_come_back() {
    let mut config = Config::default().http;
    (config.max_in_flight, config.request_timeout_seconds) = (1, 1);
    let front = Front::new(routes(), &config, CancellationToken::new());
    let get = |path| front.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
    let (held, (turned_away, health)) = tokio::join!(biased; get("/rest/v1/slow"), async { (get("/rest/v1/rows").await, get("/hello").await) });
    assert_eq!(held.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    let turned_away = turned_away.unwrap();
    assert_eq!(turned_away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(turned_away.headers(), "retry-after"), "1");
    assert_eq!(health.unwrap().status(), StatusCode::OK);
    assert_eq!(get("/rest/v1/rows").await.unwrap().status(), StatusCode::OK);
}

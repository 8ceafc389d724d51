//! How the process says how it is.

use basalt::http::PeerAddress;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::support::TestApp;

#[tokio::test]
async fn alive_and_ready_until_it_stops() {
    let test = TestApp::new().await;
    assert_eq!(test.nobody().get("/health").await.json()["status"], "alive");
    assert_eq!(test.nobody().get("/ready").await.json()["status"], "ready");

    test.app.stopping.cancel();

    assert_eq!(test.nobody().get("/health").await.status, 200);
    let reply = test.nobody().get("/ready").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["detail"], "the server is stopping");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!(reply.headers["retry-after"], "1");
}

/// Asks for `/metrics` from this address with these headers.
async fn metrics(test: &TestApp, peer: Option<&str>, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let mut request = Request::get("/metrics");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(axum::body::Body::empty()).unwrap();
    if let Some(peer) = peer {
        let connection = peer.parse().unwrap();
        request.extensions_mut().insert(PeerAddress::resolve(connection, &http::HeaderMap::new(), &[]));
    }
    let response = basalt::server::service(test.app.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// V26
#[tokio::test]
async fn metrics_are_for_this_machine_alone_unless_there_is_a_token() {
    let test = TestApp::new().await;
    test.nobody().get("/health").await;
    let (status, figures) = metrics(&test, Some("127.0.0.1:1"), &[]).await;
    assert_eq!(status, 200);
    assert!(figures.contains(r#"basalt_http_requests_total{room="other",status="2xx"}"#), "{figures}");
    assert!(figures.contains(r#"basalt_http_request_seconds_bucket{room="other",le="0.001"}"#), "{figures}");
    let from_elsewhere: [(_, &[(&str, &str)]); 4] = [
        (None, &[]),
        (Some("10.0.0.1:1"), &[]),
        (Some("127.0.0.1:1"), &[("x-forwarded-for", "127.0.0.1")]),
        (Some("127.0.0.1:1"), &[("via", "1.1 x")]),
    ];
    for (peer, headers) in from_elsewhere {
        assert_eq!(metrics(&test, peer, headers).await.0, 404, "{peer:?} {headers:?}");
    }

    let test = TestApp::with(|config| config.metrics.token = "a token of some length".to_owned()).await;
    let shown = [("authorization", "Bearer a token of some length")];
    assert_eq!(metrics(&test, Some("10.0.0.1:1"), &shown).await.0, 200);
    assert_eq!(metrics(&test, Some("127.0.0.1:1"), &[("authorization", "Bearer a token of some lengtH")]).await.0, 404);
    assert_eq!(metrics(&test, Some("127.0.0.1:1"), &[]).await.0, 404);

    let test = TestApp::with(|config| config.metrics.enabled = false).await;
    assert_eq!(metrics(&test, Some("127.0.0.1:1"), &[]).await.0, 404);
}

//! Calls to others: where they may go, and how long and large they may be.

use std::time::Duration;

use axum::body::Body;
use basalt::outbound::{Bounds, OutboundError};
use bytes::Bytes;
use http::{Request, Response};

use crate::support::{StandIn, TestApp};

fn get(url: &str) -> Request<Vec<u8>> {
    Request::get(url).body(Vec::new()).unwrap()
}

async fn echo() -> StandIn {
    StandIn::new(|request| Response::builder().header("x-path", request.uri().path()).body(Body::from(request.body().clone())).unwrap()).await
}

/// An app whose settings allow calls to this machine.
async fn allowing() -> TestApp {
    TestApp::with(|config| config.outbound.allow = vec!["127.0.0.0/8".parse().unwrap()]).await
}

#[tokio::test]
async fn a_call_brings_status_headers_and_body() {
    let (app, server) = (allowing().await, echo().await);
    let request = Request::post(server.url("/there")).header("x-mine", "1").body(b"hello".to_vec()).unwrap();
    let answer = app.app.outbound.send(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body()), (200, &Bytes::from("hello")));
    assert_eq!(answer.headers()["x-path"], "/there");
    let asked = &server.asked()[0];
    assert_eq!((asked.method().as_str(), &asked.headers()["x-mine"]), ("POST", &"1".parse().unwrap()));
    let by_name = app.app.outbound.send(get(&format!("http://localhost:{}/", server.port()))).await;
    assert_eq!(by_name.unwrap().status(), 200);
}

/// V54
#[tokio::test]
async fn what_is_not_public_is_not_called() {
    let (app, server) = (TestApp::new().await, echo().await);
    let port = server.port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.0.2",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "localhost",
        "LOCALHOST.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "224.0.0.1",
        "255.255.255.255",
        "1.1.1.1@127.0.0.1",
        "user:pass@localhost",
    ];
    for host in hosts {
        for scheme in ["http", "https"] {
            let Ok(request) = Request::get(format!("{scheme}://{host}:{port}/")).body(Vec::new()) else { continue };
            let refused = app.app.outbound.send(request).await.unwrap_err();
            assert_eq!(refused, OutboundError::Unreachable, "{scheme}://{host}");
        }
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn without_protection_only_what_is_allowed_is_called() {
    let app = allowing().await;
    for url in ["http://1.1.1.1/", "ftp://127.0.0.1/", "http://10.0.0.1/", "https://10.0.0.1/"] {
        assert_eq!(app.app.outbound.send(get(url)).await.unwrap_err(), OutboundError::Unreachable, "{url}");
    }
}

/// V54
#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (app, inner) = (allowing().await, echo().await);
    let target = inner.url("/secret");
    let server = StandIn::new(move |_| Response::builder().status(302).header("location", &target).body(Body::empty()).unwrap()).await;
    assert_eq!(app.app.outbound.send(get(&server.url("/"))).await.unwrap().status(), 302);
    assert!(inner.asked().is_empty());
}

/// V54
#[tokio::test]
async fn refused_closed_and_silent_are_one_error() {
    let app = allowing().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let bounds = Bounds { time: Duration::from_millis(100), ..Bounds::default() };
    for url in [format!("http://{}/", silent.local_addr().unwrap()), format!("http://{closed}/"), "http://10.0.0.1/".to_owned()] {
        let error = app.app.outbound.send_within(get(&url), bounds).await.unwrap_err();
        assert_eq!(error.to_string(), "it can't be reached, or took too long to answer", "{url}");
    }
}

#[tokio::test]
async fn an_answer_has_a_size() {
    let app = allowing().await;
    let server = StandIn::new(|_| Response::new(Body::from(vec![b'x'; 1000]))).await;
    let within = |answer| Bounds { answer, ..Bounds::default() };
    assert_eq!(app.app.outbound.send_within(get(&server.url("/")), within(999)).await.unwrap_err(), OutboundError::TooLarge(999));
    assert_eq!(app.app.outbound.send_within(get(&server.url("/")), within(1000)).await.unwrap().body().len(), 1000);
}

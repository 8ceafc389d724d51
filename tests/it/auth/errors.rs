use http::Method;
use serde_json::json;

use super::{SIGN_IN, assert_refused};
use crate::support::TestApp;

#[tokio::test]
async fn an_error_has_the_spelling_that_is_asked_for() {
    let app = TestApp::new().await;
    let asked = json!({ "email": "ada@example.com", "password": "wrong" });
    let message = "Invalid login credentials";
    for version in ["", "2023-12-31", "tomorrow", "9999"] {
        let reply = app.anonymous().header("x-supabase-api-version", version).post(SIGN_IN, asked.clone()).await;
        assert_eq!(reply.json(), json!({ "code": 400, "error_code": "invalid_credentials", "msg": message }), "{version}");
        assert_eq!(reply.header("x-supabase-api-version"), "");
    }
    for version in ["2024-01-01", "2025-06-30"] {
        let reply = app.anonymous().header("x-supabase-api-version", version).post(SIGN_IN, asked.clone()).await;
        assert_eq!(reply.json(), json!({ "code": "invalid_credentials", "message": message }), "{version}");
        assert_eq!((reply.header("x-supabase-api-version"), reply.header("x-sb-error-code")), ("2024-01-01", "invalid_credentials"));
    }
    let reply = app.anonymous().header("x-supabase-api-version", "2024-01-01").bearer("nonsense").get("/auth/v1/user").await;
    let message = "invalid JWT: unable to parse or verify signature, token is malformed";
    assert_eq!((reply.status.as_u16(), reply.json()), (403, json!({ "code": "bad_jwt", "message": message })));
    let reply = app.nobody().header("x-supabase-api-version", "2024-01-01").get("/auth/v1/settings").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (401, &json!("no_authorization")));
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_so() {
    let app = TestApp::new().await;
    for body in ["{", "\"x\"", "{\"email\":}", "[]", "email=a", "\u{feff}{}", "{\"email\":\"a\",\"email\":\"b\"}"] {
        let reply = app.anonymous().send(Method::POST, SIGN_IN, body.to_owned()).await;
        assert_refused(&reply, 400, "bad_json");
    }
    let deep = format!("{{\"data\":{}", "[".repeat(100_000));
    assert_refused(&app.anonymous().send(Method::POST, "/auth/v1/signup", deep).await, 400, "bad_json");
}

#[tokio::test]
async fn a_body_has_a_megabyte_at_most() {
    let app = TestApp::new().await;
    let body = json!({ "email": "ada@example.com", "password": "x".repeat(1024 * 1024) });
    assert_refused(&app.anonymous().post(SIGN_IN, body).await, 413, "request_entity_too_large");
}

#[tokio::test]
async fn what_is_not_there_is_told_so() {
    let app = TestApp::new().await;
    assert_eq!(app.anonymous().get("/auth/v1/nothing").await.status, 404);
    assert_eq!(app.anonymous().get("/auth/v1/signup").await.status, 405);
    assert_eq!(app.anonymous().delete("/auth/v1/token").await.status, 405);
}

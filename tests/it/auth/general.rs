use serde_json::json;

use super::{assert_refused, set};
use crate::support::TestApp;

#[tokio::test]
async fn sign_in_says_how_it_is() {
    let app = TestApp::new().await;
    let reply = app.nobody().get("/auth/v1/health").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["name"], "GoTrue");
}

#[tokio::test]
async fn settings_tell_what_is_offered() {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false, "enabled": false } })).await;
    assert_refused(&app.nobody().get("/auth/v1/settings").await, 401, "no_authorization");
    let settings = app.anonymous().get("/auth/v1/settings").await.json();
    assert_eq!((&settings["disable_signup"], &settings["mailer_autoconfirm"]), (&json!(true), &json!(false)));
    let offered: Vec<_> = settings["external"].as_object().unwrap().iter().filter(|(_, offered)| **offered == json!(true)).collect();
    assert_eq!(offered, [(&"email".to_owned(), &json!(true))]);
}

#[tokio::test]
async fn the_key_set_is_public_and_each_tenants_own() {
    let app = TestApp::new().await;
    let reply = app.nobody().get("/t/default/auth/v1/.well-known/jwks.json").await;
    assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (200, "public, max-age=600"));
    let key = reply.json()["keys"][0].clone();
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
    assert!(key.get("d").is_none() && key.get("k").is_none());
    let other = app.nobody().get("/t/other/auth/v1/.well-known/jwks.json").await.json();
    assert_ne!(other["keys"][0]["kid"], key["kid"]);
    assert_eq!(app.nobody().get("/t/nobody/auth/v1/.well-known/jwks.json").await.status, 401);
}

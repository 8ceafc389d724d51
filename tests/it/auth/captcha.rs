//! Proof that somebody is no program.

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::{SIGN_IN, assert_refused, set};
use crate::support::{PASSWORD, Reply, StandIn, TestApp};

/// A provider that finds the proof `good` good.
async fn provider() -> StandIn {
    StandIn::new(|request| {
        let asked: Vec<(String, String)> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let given = |name: &str| asked.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value);
        let verdict = match (given("secret"), given("response")) {
            ("s3cret", "good") => json!({ "success": true, "hostname": "app.example" }),
            ("s3cret", "broken") => return Response::builder().status(500).body(Body::empty()).unwrap(),
            _ => json!({ "success": false, "error-codes": ["invalid-input-response", "<b>"] }),
        };
        Response::new(Body::from(verdict.to_string()))
    })
    .await
}

async fn with_provider(provider: &StandIn) -> TestApp {
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let captcha = json!({ "enabled": true, "provider": "turnstile", "secret": "s3cret", "verify_url": provider.url("/siteverify") });
    set(&app, json!({ "captcha": captcha })).await;
    app
}

async fn sign_up(app: &TestApp, security: Value) -> Reply {
    let asked = json!({ "email": "ada@example.com", "password": PASSWORD, "gotrue_meta_security": security });
    app.anonymous().at("203.0.113.9").post("/auth/v1/signup", asked).await
}

#[tokio::test]
async fn who_shows_no_good_proof_is_refused() {
    let provider = provider().await;
    let app = with_provider(&provider).await;
    for none in [json!({}), json!({ "captcha_token": "" }), json!({ "captcha_token": null }), Value::Null] {
        let reply = sign_up(&app, none).await;
        assert_refused(&reply, 400, "captcha_failed");
        assert_eq!(reply.json()["msg"], "captcha protection: request disallowed (no captcha_token found)");
    }
    assert!(provider.asked().is_empty());
    let reply = sign_up(&app, json!({ "captcha_token": "bad" })).await;
    assert_refused(&reply, 400, "captcha_failed");
    assert_eq!(reply.json()["msg"], "captcha protection: request disallowed (invalid-input-response, b)");
    assert_refused(&sign_up(&app, json!({ "captcha_token": "broken" })).await, 500, "unexpected_failure");
    provider.asked();
    assert_eq!(sign_up(&app, json!({ "captcha_token": "good" })).await.status, 200);
    let asked = provider.asked().remove(0);
    assert_eq!(asked.body(), "secret=s3cret&response=good&remoteip=203.0.113.9");
    assert_eq!(asked.headers()["content-type"], "application/x-www-form-urlencoded");
}

#[tokio::test]
async fn a_password_needs_a_proof_and_a_refresh_or_a_server_does_not() {
    let provider = provider().await;
    let app = with_provider(&provider).await;
    let session = sign_up(&app, json!({ "captcha_token": "good" })).await.json();
    let mut asked = json!({ "email": "ada@example.com", "password": PASSWORD });
    assert_refused(&app.anonymous().post(SIGN_IN, asked.clone()).await, 400, "captcha_failed");
    assert_eq!(app.service().post(SIGN_IN, asked.clone()).await.status, 200);
    asked["gotrue_meta_security"] = json!({ "captcha_token": "good" });
    assert_eq!(app.anonymous().post(SIGN_IN, asked).await.status, 200);
    assert_eq!(super::refresh(&app, &session["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn a_captcha_needs_its_secret() {
    let app = TestApp::new().await;
    let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "captcha": { "enabled": true } } })).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let settings = json!({ "settings": { "captcha": { "enabled": true, "secret": "s3cret" } } });
    let reply = app.operator().patch("/admin/v1/tenants/default", settings).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["settings"]["captcha"]["secret"]), (200, &json!("[set]")));
}

#[tokio::test]
async fn a_proof_is_asked_for_wherever_a_program_could_make_trouble() {
    let provider = provider().await;
    let app = with_provider(&provider).await;
    set(&app, json!({ "sign_up": { "anonymous": true, "phone": true }, "mfa": { "passkeys_enabled": true } })).await;
    for (path, mut body) in [
        ("/auth/v1/signup", json!({ "email": "ada@example.com", "password": PASSWORD })),
        ("/auth/v1/signup", json!({ "phone": "+491511111111", "password": PASSWORD })),
        ("/auth/v1/signup", json!({})),
        ("/auth/v1/otp", json!({ "email": "ada@example.com" })),
        ("/auth/v1/otp", json!({ "phone": "+491511111111" })),
        ("/auth/v1/magiclink", json!({ "email": "bob@example.com" })),
        ("/auth/v1/recover", json!({ "email": "carol@example.com" })),
        ("/auth/v1/resend", json!({ "type": "signup", "email": "carol@example.com" })),
        ("/auth/v1/passkeys/authentication/options", json!({})),
        (SIGN_IN, json!({ "email": "ada@example.com", "password": PASSWORD })),
    ] {
        assert_refused(&app.anonymous().post(path, body.clone()).await, 400, "captcha_failed");
        body["gotrue_meta_security"] = json!({ "captcha_token": "bad" });
        assert_refused(&app.anonymous().post(path, body.clone()).await, 400, "captcha_failed");
        body["gotrue_meta_security"] = json!({ "captcha_token": "good" });
        let reply = app.anonymous().post(path, body.clone()).await;
        assert!(!reply.text().contains("captcha_failed"), "{path}: {}", reply.text());
        body.as_object_mut().unwrap().remove("gotrue_meta_security");
        assert!(!app.service().post(path, body.clone()).await.text().contains("captcha_failed"), "{path}");
        // A function that may see no users is no admin of theirs.
        assert_refused(&app.function("employees:read").await.post(path, body).await, 400, "captcha_failed");
    }
    for (path, body) in [
        ("/auth/v1/token?grant_type=pkce", json!({ "auth_code": "x", "code_verifier": "x" })),
        ("/auth/v1/token?grant_type=id_token", json!({ "provider": "google", "id_token": "x" })),
        ("/auth/v1/verify", json!({ "type": "email", "email": "ada@example.com", "token": "123456" })),
    ] {
        assert!(!app.anonymous().post(path, body).await.text().contains("captcha_failed"), "{path}");
    }
}

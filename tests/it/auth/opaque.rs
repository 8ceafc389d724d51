//! Secrets that are no tokens: each is good whole or not at all.

use http::Method;
use serde_json::json;

use super::{
    assert_refused, factors,
    mails::newest,
    providers::{PKCE, Visit, ada, come_back, query, visit, with_challenge, with_provider},
};
use crate::support::TestApp;

/// Everything that is nearly a secret: cut at each length, longer, in another case, padded, with one letter changed.
fn nearly(secret: &str) -> Vec<String> {
    let mut near: Vec<String> = (1..secret.len()).map(|length| secret[..length].to_owned()).collect();
    near.extend((1..secret.len()).map(|start| secret[start..].to_owned()));
    near.extend([format!("{secret}0"), format!("{secret}="), format!("{secret}{secret}"), format!("0{secret}"), format!("{secret}%00")]);
    let flipped: String = secret.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect();
    near.extend([secret.to_uppercase(), secret.to_lowercase(), flipped]);
    for place in (0..secret.len()).step_by(5).chain([secret.len() - 1]) {
        let mut changed = secret.to_owned().into_bytes();
        changed[place] = if changed[place] == b'7' { b'8' } else { b'7' };
        near.push(String::from_utf8(changed).unwrap());
    }
    near.retain(|near| near != secret);
    near
}

/// V25: API keys, in each of the places where one can stand.
#[tokio::test]
async fn a_key_that_is_nearly_right_opens_nothing() {
    let app = TestApp::new().await;
    for key in [&app.default.secret_key, &app.default.publishable_key] {
        for near in nearly(key) {
            assert_eq!(app.nobody().key(&near).get("/auth/v1/settings").await.status.as_u16() / 100, 4, "{near}");
            assert_eq!(app.nobody().key(&near).get("/auth/v1/admin/users").await.status.as_u16() / 100, 4, "{near}");
            assert_eq!(app.nobody().bearer(&near).get("/auth/v1/settings").await.status.as_u16() / 100, 4, "{near}");
            let reply = app.nobody().get(&format!("/auth/v1/settings?apikey={near}")).await;
            assert_eq!(reply.status.as_u16() / 100, 4, "{near}");
        }
    }
    assert_eq!(app.service().get("/auth/v1/admin/users").await.status, 200);
}

/// V25: the operator's.
#[tokio::test]
async fn an_operators_key_that_is_nearly_right_opens_nothing() {
    let app = TestApp::new().await;
    let (_, key) = basalt::tenants::create_operator_key(&app.app).await.unwrap();
    let at = "/admin/v1/tenants";
    assert_eq!(app.nobody().bearer(key.reveal()).get(at).await.status, 200);
    for near in nearly(key.reveal()) {
        assert_eq!(app.nobody().bearer(&near).get(at).await.status, 401, "{near}");
    }
    assert_eq!(app.nobody().get(&format!("{at}?apikey={}", key.reveal())).await.status, 401);
}

/// V10, V25: what a mail carries, and the code at the end of a flow.
#[tokio::test]
async fn what_a_mail_carries_is_good_whole() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    assert_eq!(app.anonymous().post("/auth/v1/recover", json!({ "email": "ada@example.com" })).await.status, 200);
    let mail = newest(&app, "ada@example.com").await;
    let hash = mail.parameter("token");
    for near in nearly(&hash).into_iter().chain(nearly(&mail.code)) {
        let reply = super::mails::verify_hash(&app.anonymous(), "recovery", &near).await;
        assert_refused(&reply, 403, "otp_expired");
    }
    assert_eq!(super::mails::verify_hash(&app.anonymous(), "recovery", &hash).await.status, 200);
}

/// V14, V25: state and code of a flow by way of a provider.
#[tokio::test]
async fn state_and_code_of_a_flow_are_good_whole() {
    let (app, provider) = with_provider().await;
    let by_code = Visit { query: with_challenge(), ..visit(&app, &provider) };
    let (location, cookie) = by_code.depart().await;
    let back = provider.consent(&location, ada());
    let (code, state) = back.split_once("&state=").unwrap();
    for near in nearly(state) {
        let reply = come_back(&app, &cookie, &format!("{code}&state={near}")).await;
        assert_eq!(reply.status, 303, "{near}");
        assert!(reply.header("location").contains("error="), "{near}");
    }
    let code = query(&come_back(&app, &cookie, &back).await)["code"].clone();
    let exchange = async |code: &str| {
        let asked = json!({ "auth_code": code, "code_verifier": "a-verifier-that-is-long-enough-for-everybody-0123" });
        app.anonymous().post(PKCE, asked).await
    };
    for near in nearly(&code) {
        assert_refused(&exchange(&near).await, 404, "flow_state_not_found");
    }
    for near in nearly("a-verifier-that-is-long-enough-for-everybody-0123") {
        let reply = app.anonymous().post(PKCE, json!({ "auth_code": code, "code_verifier": near })).await;
        assert_refused(&reply, 400, "bad_code_verifier");
    }
    assert_eq!(exchange(&code).await.status, 200);
}

/// V25: a recovery code. (Five that are wrong lock them.)
#[tokio::test]
async fn a_recovery_code_is_good_whole() {
    let app = TestApp::new().await;
    let (_, _, session) = factors::user_with_factor(&app, "ada@example.com").await;
    let client = super::holder(&app, &session);
    let made = client.post("/auth/v1/factors/recovery-codes", json!({})).await.json();
    let code = made["codes"][0].as_str().unwrap();
    for near in [&code[..15], &code[1..], &format!("{code}0"), &format!("{code}{code}")] {
        let reply = client.post("/auth/v1/factors/recovery-codes/verify", json!({ "code": near })).await;
        assert_refused(&reply, 422, "mfa_verification_failed");
    }
    assert_eq!(client.post("/auth/v1/factors/recovery-codes/verify", json!({ "code": code })).await.status, 200);
}

/// V25, V48: the token of a signed URL.
#[tokio::test]
async fn a_signed_url_is_good_whole() {
    let app = TestApp::new().await;
    let service = app.service();
    assert_eq!(service.post("/storage/v1/bucket", json!({ "name": "files" })).await.status, 200);
    assert_eq!(service.send(Method::POST, "/storage/v1/object/files/a", "hello").await.status, 200);
    let url = service.post("/storage/v1/object/sign/files/a", json!({ "expiresIn": 60 })).await.json()["signedURL"].clone();
    let (path, token) = url.as_str().unwrap().split_once("token=").unwrap();
    for near in nearly(token) {
        let reply = app.nobody().get(&format!("/t/default/storage/v1{path}token={near}")).await;
        assert_eq!(reply.status, 400, "{near}");
    }
    assert_eq!(app.nobody().get(&format!("/storage/v1{path}token={token}")).await.text(), "hello");
}

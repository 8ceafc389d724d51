//! What users are told of without having asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    SIGN_IN, factors,
    factors::{raise, user_with_factor},
    holder,
    passkeys::{Authenticator, settings},
    providers::{ada, come_back, with_provider},
    set, sign_in,
};
use crate::support::{Client, PASSWORD, TestApp};

const ADA: &str = "ada@example.com";
const CODES: &str = "/auth/v1/factors/recovery-codes";

/// The subjects of the mails to an address, oldest first.
async fn subjects(app: &TestApp, to: &str) -> Vec<String> {
    let mut mails = app.mails(to).await;
    mails.reverse();
    mails.iter().map(|mail| mail["subject"].as_str().unwrap().to_owned()).collect()
}

async fn newest_text(app: &TestApp, to: &str) -> String {
    app.mails(to).await[0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_is_told_when_a_second_factor_comes_or_goes() {
    let app = TestApp::new().await;
    let client = app.user(ADA, &[]).await.client;
    let totp = factors::enroll(&client, "My <b>phone</b>").await;
    assert!(subjects(&app, ADA).await.is_empty(), "it counts for nothing yet");
    let session = raise(&app, &client, &totp).await;
    assert_eq!(subjects(&app, ADA).await, ["A second factor was added"]);
    let mail = app.mails(ADA).await[0].clone();
    assert!(mail["text"].as_str().unwrap().contains("My <b>phone</b>") && !mail["html"].as_str().unwrap().contains("<b>"), "{mail}");
    let client = holder(&app, &session);
    assert_eq!(client.post(CODES, json!({})).await.status, 200);
    assert_eq!(client.post(&format!("{CODES}/regenerate"), json!({})).await.status, 200);
    assert_eq!(client.delete(CODES).await.status, 200);
    assert_eq!(client.delete(&format!("/auth/v1/factors/{}", totp.id)).await.status, 200);
    let told = subjects(&app, ADA).await;
    assert_eq!(
        told[1..],
        ["New recovery codes were made", "New recovery codes were made", "A second factor was removed", "A second factor was removed"]
    );
    // No code is in the mail, and who proves a factor once more is told nothing.
    assert!(newest_text(&app, ADA).await.contains("My <b>phone</b>"));
}

#[tokio::test]
async fn a_user_is_told_what_an_admin_takes_away() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let (user, totp, session) = user_with_factor(&app, ADA).await;
    let passkey = Authenticator::new().register(&holder(&app, &session)).await.json();
    let path = format!("/auth/v1/admin/users/{}", user.id);
    assert_eq!(app.service().delete(&format!("{path}/passkeys/{}", passkey["id"].as_str().unwrap())).await.status, 204);
    assert_eq!(app.service().delete(&format!("{path}/factors/{}", totp.id)).await.status, 200);
    let told = subjects(&app, ADA).await;
    assert_eq!(told[1..], ["A passkey was added", "A passkey was removed", "A second factor was removed"]);
    // What was never proved is nobody's business.
    let client = holder(&app, &sign_in(&app, ADA).await);
    let abandoned = factors::enroll(&client, "x").await;
    assert_eq!(client.delete(&format!("/auth/v1/factors/{}", abandoned.id)).await.status, 200);
    assert_eq!(subjects(&app, ADA).await.len(), told.len());
}

#[tokio::test]
async fn a_user_is_told_of_its_passkeys_by_their_names() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let client = app.user(ADA, &[]).await.client;
    let key = Authenticator::new();
    let passkey = key.register(&client).await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/auth/v1/passkeys/{passkey}");
    assert_eq!(client.patch(&path, json!({ "friendly_name": "Work laptop" })).await.status, 200);
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(client.delete(&path).await.status, 404);
    assert_eq!(subjects(&app, ADA).await, ["A passkey was added", "A passkey was removed"]);
    assert!(newest_text(&app, ADA).await.contains("Work laptop"));
}

const LINK: &str = "/auth/v1/user/identities/authorize?provider=keycloak&skip_http_redirect=true";

#[tokio::test]
async fn a_user_is_told_by_what_it_can_be_signed_in() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "identities": { "manual_linking": true } })).await;
    let bob = app.user("bob@example.com", &[]).await;
    let url = bob.client.get(LINK).await.json()["url"].as_str().unwrap().to_owned();
    assert_eq!(come_back(&app, "", &provider.consent(&url, ada())).await.status, 302);
    assert_eq!(subjects(&app, "bob@example.com").await, ["A way to sign in was added"]);
    assert!(newest_text(&app, "bob@example.com").await.contains("keycloak"));
    let user = bob.client.get("/auth/v1/user").await.json();
    let of = |name: &str| {
        let all = user["identities"].as_array().unwrap();
        all.iter().find(|identity| identity["provider"] == name).unwrap()["identity_id"].as_str().unwrap().to_owned()
    };
    // The address goes with it, and is told of that, not the one that comes.
    assert_eq!(bob.client.delete(&format!("/auth/v1/user/identities/{}", of("email"))).await.status, 200);
    assert_eq!(subjects(&app, "bob@example.com").await, ["A way to sign in was added", "A way to sign in was removed"]);
    assert!(subjects(&app, ADA).await.is_empty());
}

#[tokio::test]
async fn who_is_joined_by_its_address_is_told() {
    let (app, provider) = with_provider().await;
    app.user(ADA, &[]).await;
    assert_eq!(super::providers::visit(&app, &provider).go(ada()).await.status, 302);
    assert!(subjects(&app, ADA).await.contains(&"A way to sign in was added".to_owned()));
}

async fn sign_in_from(app: &TestApp, browser: &str) -> Client {
    let client = app.anonymous().header("user-agent", browser);
    let reply = client.post(SIGN_IN, json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    client.bearer(reply.json()["access_token"].as_str().unwrap())
}

#[tokio::test]
async fn a_sign_in_from_somewhere_new_is_told_once() {
    let app = TestApp::new().await;
    app.user(ADA, &[]).await;
    assert!(subjects(&app, ADA).await.is_empty(), "the first place is the user's own");
    let many = (0..10).map(|_| sign_in_from(&app, "Mozilla/5.0 <b>Firefox</b>/131.0"));
    futures_util::future::join_all(many).await;
    assert_eq!(subjects(&app, ADA).await, ["New sign-in"]);
    assert!(newest_text(&app, ADA).await.contains("Mozilla/5.0 <b>Firefox</b>/131.0"));
    assert!(!app.mails(ADA).await[0]["html"].as_str().unwrap().contains("<b>"));
    // Another version is no other browser.
    sign_in_from(&app, "Mozilla/5.0 <b>Firefox</b>/132.0").await;
    assert_eq!(subjects(&app, ADA).await.len(), 1);
    // Forgotten after more than a year without.
    app.app.clock.advance(Duration::from_hours(401 * 24));
    basalt::auth::keep_swept(app.app.clone()).await.unwrap();
    sign_in_from(&app, "Safari").await;
    sign_in_from(&app, "Mozilla/5.0 <b>Firefox</b>/132.0").await;
    assert_eq!(subjects(&app, ADA).await.len(), 2);
}

#[tokio::test]
async fn each_notice_can_be_switched_off() {
    let app = TestApp::new().await;
    set(&app, settings()).await;
    let off =
        ["account_exists", "password_changed", "email_changed", "phone_changed", "new_device", "factors", "recovery_codes", "passkeys", "identities"];
    let off: Value = off.iter().map(|name| ((*name).to_owned(), json!(false))).collect::<serde_json::Map<_, _>>().into();
    set(&app, json!({ "mail": { "notices": off, "secure_email_change": false } })).await;
    let (user, totp, session) = user_with_factor(&app, ADA).await;
    let client = holder(&app, &session);
    assert_eq!(client.post(CODES, json!({})).await.status, 200);
    let passkey = Authenticator::new().register(&client).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(client.delete(&format!("/auth/v1/passkeys/{passkey}")).await.status, 204);
    assert_eq!(client.put("/auth/v1/user", json!({ "password": "another password" })).await.status, 200);
    let path = format!("/auth/v1/admin/users/{}", user.id);
    assert_eq!(app.service().put(&path, json!({ "password": PASSWORD, "phone": "+4915112345678" })).await.status, 200);
    assert_eq!(app.service().delete(&format!("{path}/factors/{}", totp.id)).await.status, 200);
    sign_in_from(&app, "Another").await;
    assert_eq!(app.service().put(&path, json!({ "email": "lovelace@example.com" })).await.status, 200);
    assert!(subjects(&app, ADA).await.is_empty());
}

#[tokio::test]
async fn nobody_is_told_at_an_address_that_may_be_anothers() {
    let app = TestApp::new().await;
    let made = app.service().post("/auth/v1/admin/users", json!({ "email": ADA, "password": PASSWORD })).await.json();
    let path = format!("/auth/v1/admin/users/{}", made["id"].as_str().unwrap());
    assert_eq!(app.service().put(&path, json!({ "password": "another password" })).await.status, 200);
    assert!(subjects(&app, ADA).await.is_empty());
    // An admin who gives a user an address, and does not vouch for it, leaves it unconfirmed.
    assert_eq!(app.service().put(&path, json!({ "email_confirm": true })).await.status, 200);
    let changed = app.service().put(&path, json!({ "email": "lovelace@example.com", "email_confirm": false })).await.json();
    assert_eq!((&changed["email"], changed.get("email_confirmed_at")), (&json!("lovelace@example.com"), None), "{changed}");
    assert_eq!(subjects(&app, ADA).await, ["Your mail address was changed"]);
    assert_eq!(app.service().put(&path, json!({ "password": PASSWORD })).await.status, 200);
    assert!(subjects(&app, "lovelace@example.com").await.is_empty());
}

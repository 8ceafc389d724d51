//! What was mailed before something changed.

use std::time::Duration;

use serde_json::json;

use super::{
    assert_refused, factors, holder,
    mails::{Carried, follow, fragment, newest, verify, verify_hash},
    proved,
    providers::{ada, visit, with_provider},
    set, sign_in,
};
use crate::support::{Client, PASSWORD, TestApp};

const ADA: &str = "ada@example.com";
const USER: &str = "/auth/v1/user";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What waits for a user: a mail of each kind, and a code that an app has not yet exchanged.
struct Waiting {
    mails: Vec<(&'static str, &'static str, Carried)>,
    auth_code: String,
}

async fn waiting(app: &TestApp, client: &Client) -> Waiting {
    let asked = json!({ "email": ADA, "code_challenge": CHALLENGE, "code_challenge_method": "s256" });
    assert_eq!(app.anonymous().post("/auth/v1/otp", asked).await.status, 200);
    let location = follow(app, &newest(app, ADA).await).await.header("location").to_owned();
    let auth_code = super::mails::parameter(&location, "code");
    app.app.clock.advance(Duration::from_secs(61));
    let mut mails = Vec::new();
    assert_eq!(app.anonymous().post("/auth/v1/recover", json!({ "email": ADA })).await.status, 200);
    mails.push(("recovery", ADA, newest(app, ADA).await));
    assert_eq!(app.anonymous().post("/auth/v1/otp", json!({ "email": ADA })).await.status, 200);
    mails.push(("magiclink", ADA, newest(app, ADA).await));
    assert_eq!(client.put(USER, json!({ "email": "new@example.com" })).await.status, 200);
    mails.push(("email_change", "new@example.com", newest(app, "new@example.com").await));
    mails.push(("email_change", ADA, newest(app, ADA).await));
    Waiting { mails, auth_code }
}

/// V6: by hash, code, link and auth code alike.
async fn assert_dead(app: &TestApp, waiting: &Waiting, why: &str) {
    for (kind, address, mail) in &waiting.mails {
        let by_hash = verify_hash(&app.anonymous(), kind, &mail.parameter("token")).await;
        assert_eq!((by_hash.status.as_u16(), by_hash.header("x-sb-error-code")), (403, "otp_expired"), "{why}: {kind}");
        let by_code = verify(&app.anonymous(), kind, address, &mail.code).await;
        assert_eq!((by_code.status.as_u16(), by_code.header("x-sb-error-code")), (403, "otp_expired"), "{why}: {kind}");
        assert_eq!(fragment(follow(app, mail).await.header("location"))["error_code"], "otp_expired", "{why}: {kind}");
    }
    let asked = json!({ "auth_code": waiting.auth_code, "code_verifier": VERIFIER });
    let reply = app.anonymous().post("/auth/v1/token?grant_type=pkce", asked).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-sb-error-code")), (404, "flow_state_not_found"), "{why}");
}

/// V6: whatever an admin changes of how a user signs in.
#[tokio::test]
async fn what_waits_for_a_user_dies_when_an_admin_changes_it() {
    for (why, method, body) in [
        ("another address", "PUT", json!({ "email": "b@example.com" })),
        ("another address, unconfirmed", "PUT", json!({ "email": "b@example.com", "email_confirm": false })),
        ("another number", "PUT", json!({ "phone": "+4930123456" })),
        ("another password", "PUT", json!({ "password": "another long password" })),
        ("a hash", "PUT", json!({ "password_hash": "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie" })),
        ("deletion", "DELETE", json!({})),
        ("soft deletion", "DELETE", json!({ "should_soft_delete": true })),
    ] {
        let app = TestApp::new().await;
        let user = app.user(ADA, &[]).await;
        let waiting = waiting(&app, &user.client).await;
        let at = format!("/auth/v1/admin/users/{}", user.id);
        let reply = app.service().json(method.parse().unwrap(), &at, &body).await;
        assert_eq!(reply.status, 200, "{why}: {}", reply.text());
        assert_dead(&app, &waiting, why).await;
    }
}

/// V6: and what the user changes itself.
#[tokio::test]
async fn what_waits_for_a_user_dies_when_it_changes_itself() {
    for change in ["password", "address by both", "address by the new one"] {
        let app = TestApp::new().await;
        let user = app.user(ADA, &[]).await;
        if change == "address by the new one" {
            set(&app, json!({ "mail": { "secure_email_change": false } })).await;
        }
        let mut waiting = waiting(&app, &user.client).await;
        match change {
            "password" => assert_eq!(user.client.put(USER, json!({ "password": "another long password" })).await.status, 200),
            "address by both" => {
                for (kind, address, mail) in waiting.mails.drain(2..) {
                    assert_eq!(verify(&app.anonymous(), kind, address, &mail.code).await.status, 200);
                }
            }
            _ => {
                let (kind, address, mail) = waiting.mails.remove(2);
                waiting.mails.truncate(2);
                assert_eq!(verify(&app.anonymous(), kind, address, &mail.code).await.status, 200);
            }
        }
        assert_dead(&app, &waiting, change).await;
    }
}

/// V6: an identity that goes takes its address along, and what was mailed there.
#[tokio::test]
async fn what_was_mailed_dies_with_the_identity() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "identities": { "manual_linking": true }, "mail": { "secure_email_change": false } })).await;
    let user = app.user(ADA, &[]).await;
    let mut claims = ada();
    claims["email"] = json!("elsewhere@example.com");
    let token = provider.id_token(&provider.url("/realms/main"), &claims);
    let body = json!({ "provider": "keycloak", "id_token": token, "link_identity": true });
    let session = user.client.post("/auth/v1/token?grant_type=id_token", body).await.json();
    let client = holder(&app, &session);
    let waiting = waiting(&app, &client).await;
    let identity = user.session["user"]["identities"][0]["identity_id"].as_str().unwrap();
    assert_eq!(client.delete(&format!("/auth/v1/user/identities/{identity}")).await.status, 200);
    assert_eq!(client.get(USER).await.json()["email"], "elsewhere@example.com");
    assert_dead(&app, &waiting, "unlinked").await;
    assert!(client.get(USER).await.json().get("new_email").is_none());
    drop(visit(&app, &provider));
}

/// V6: an invitation, when the address that was invited is another's.
#[tokio::test]
async fn an_invitation_dies_with_its_address() {
    let app = TestApp::new().await;
    let invited = app.service().post("/auth/v1/invite", json!({ "email": ADA })).await.json();
    let mail = newest(&app, ADA).await;
    let at = format!("/auth/v1/admin/users/{}", invited["id"].as_str().unwrap());
    assert_eq!(app.service().put(&at, json!({ "email": "b@example.com", "email_confirm": false })).await.status, 200);
    assert_refused(&verify_hash(&app.anonymous(), "invite", &mail.parameter("token")).await, 403, "otp_expired");
    assert_refused(&verify(&app.anonymous(), "invite", ADA, &mail.code).await, 403, "otp_expired");
}

/// V6, V22: a reset ends what was open, whoever is asked to do it and whatever the request says of devices.
#[tokio::test]
async fn a_reset_by_mail_ends_every_other_session() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    proved(&app, &user.id).await;
    let thief = sign_in(&app, ADA).await;
    assert_eq!(app.anonymous().post("/auth/v1/recover", json!({ "email": ADA })).await.status, 200);
    let session = verify(&app.anonymous(), "recovery", ADA, &newest(&app, ADA).await.code).await.json();
    let owner = holder(&app, &session);
    for client in [&user.client, &holder(&app, &thief)] {
        assert_eq!(client.get(USER).await.status, 200, "a link alone ends nobody's session");
    }
    assert_eq!(owner.put(USER, json!({ "password": "another long password", "deviceId": "x", "session_id": "x" })).await.status, 200);
    for (client, session) in [(&user.client, &user.session), (&holder(&app, &thief), &thief)] {
        assert_refused(&client.get(USER).await, 403, "session_not_found");
        assert_refused(&super::refresh(&app, &session["refresh_token"]).await, 400, "refresh_token_not_found");
    }
    assert_eq!(owner.get(USER).await.status, 200);
    assert_eq!(factors::claims(&session)["aal"], "aal1");
    assert_refused(&app.anonymous().post(super::SIGN_IN, json!({ "email": ADA, "password": PASSWORD })).await, 400, "invalid_credentials");
}

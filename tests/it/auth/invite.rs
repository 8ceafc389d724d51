//! What an admin begins and its user ends.

use serde_json::{Value, json};

use super::{
    SIGN_IN, assert_refused, holder,
    mails::{follow, fragment, newest, verify, verify_hash, wrong},
    set,
};
use crate::support::{PASSWORD, TestApp};

const INVITE: &str = "/auth/v1/invite";
const LINK: &str = "/auth/v1/admin/generate_link";
const ADA: &str = "ada@example.com";

/// V10
#[tokio::test]
async fn who_is_invited_takes_the_account_over_once() {
    let app = TestApp::new().await;
    let reply = app.service().post(INVITE, json!({ "email": ADA, "data": { "team": "red" } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let user = reply.json();
    assert!(user["invited_at"].is_string() && user.get("email_confirmed_at").is_none(), "{user}");
    assert_eq!(user["user_metadata"], json!({ "team": "red" }));
    let mail = newest(&app, ADA).await;
    assert_eq!((mail.mail["subject"].as_str(), &*mail.parameter("type")), (Some("You are invited"), "invite"));
    // V10: every character of it counts, and so do address and tenant.
    let hash = mail.parameter("token");
    for place in [0, 20, 55] {
        let mut other: Vec<char> = hash.chars().collect();
        other[place] = if other[place] == '0' { '1' } else { '0' };
        assert_refused(&verify_hash(&app.anonymous(), "invite", &other.iter().collect::<String>()).await, 403, "otp_expired");
    }
    assert_refused(&verify(&app.anonymous(), "invite", "eve@example.com", &mail.code).await, 403, "otp_expired");
    assert_refused(&verify(&app.anonymous(), "invite", ADA, &wrong(&mail.code)).await, 403, "otp_expired");
    assert_refused(&verify_hash(&app.nobody().key(&app.other.publishable_key), "invite", &hash).await, 403, "otp_expired");
    // An invitation waits longer than a link that was asked for.
    app.app.clock.advance(std::time::Duration::from_hours(48));
    let session = fragment(follow(&app, &mail).await.header("location"));
    let client = app.anonymous().bearer(&session["access_token"]);
    assert_eq!(client.put("/auth/v1/user", json!({ "password": PASSWORD })).await.status, 200);
    assert_eq!(app.anonymous().post(SIGN_IN, json!({ "email": ADA, "password": PASSWORD })).await.status, 200);
    assert_refused(&verify_hash(&app.anonymous(), "invite", &hash).await, 403, "otp_expired");
    assert_refused(&app.service().post(INVITE, json!({ "email": ADA })).await, 422, "email_exists");
    assert_refused(&client.post(INVITE, json!({ "email": "bob@example.com" })).await, 403, "not_admin");
}

/// V2
#[tokio::test]
async fn an_invitation_leaves_no_strangers_password() {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    let asked = json!({ "email": ADA, "password": PASSWORD });
    assert_eq!(app.anonymous().post("/auth/v1/signup", asked.clone()).await.status, 200);
    assert_eq!(app.service().post(INVITE, json!({ "email": ADA })).await.status, 200);
    let code = app.mails(ADA).await.into_iter().find(|mail| mail["subject"] == "You are invited").unwrap();
    assert_eq!(follow(&app, &super::mails::read(code)).await.status, 303);
    assert_refused(&app.anonymous().post(SIGN_IN, asked).await, 400, "invalid_credentials");
}

#[tokio::test]
async fn every_generated_link_works_by_hash_code_and_url() {
    let app = TestApp::new().await;
    let mut number = 0;
    for kind in ["signup", "invite", "magiclink", "recovery", "email_change_new"] {
        for way in ["hash", "code", "url"] {
            number += 1;
            let email = format!("user{number}@example.com");
            let new = format!("new{number}@example.com");
            if !matches!(kind, "signup" | "invite") {
                app.user(&email, &[]).await;
            }
            set(&app, json!({ "mail": { "secure_email_change": false } })).await;
            let asked = json!({ "type": kind, "email": email, "new_email": new, "password": PASSWORD });
            let reply = app.service().post(LINK, asked).await;
            assert_eq!(reply.status, 200, "{kind}: {}", reply.text());
            let link = reply.json();
            assert_eq!((&link["verification_type"], &link["email"]), (&json!(kind), &json!(email)));
            let text = |name: &str| link[name].as_str().unwrap().to_owned();
            let address = if kind == "email_change_new" { &new } else { &email };
            let user: Value = match way {
                "hash" => verify_hash(&app.anonymous(), kind, &text("hashed_token")).await.json()["user"].clone(),
                "code" => verify(&app.anonymous(), kind, address, &text("email_otp")).await.json()["user"].clone(),
                _ => {
                    let url = text("action_link");
                    let reply = app.nobody().get(&url[url.find("/t/").unwrap()..]).await;
                    let session = fragment(reply.header("location"));
                    app.anonymous().bearer(&session["access_token"]).get("/auth/v1/user").await.json()
                }
            };
            assert_eq!((&user["email"], user["email_confirmed_at"].is_string()), (&json!(address), true), "{kind} by {way}: {user}");
            assert_eq!(app.mails(&email).await.iter().filter(|mail| mail["text"].as_str().unwrap().contains("/verify?")).count(), 0);
        }
    }
}

#[tokio::test]
async fn both_halves_of_a_change_can_be_generated() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    let generate = async |kind: &str| {
        let reply = app.service().post(LINK, json!({ "type": kind, "email": ADA, "new_email": "b@example.com" })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["hashed_token"].as_str().unwrap().to_owned()
    };
    let (current, new) = (generate("email_change_current").await, generate("email_change_new").await);
    assert_eq!(verify_hash(&app.anonymous(), "email_change", &current).await.json()["code"], "200");
    assert_eq!(verify_hash(&app.anonymous(), "email_change", &new).await.json()["user"]["email"], "b@example.com");
    assert_eq!(user.client.get("/auth/v1/user").await.json()["email"], "b@example.com");
}

#[tokio::test]
async fn a_link_that_can_not_be_is_refused() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    for (asked, status, code) in [
        (json!({ "type": "recovery", "email": "nobody@example.com" }), 404, "user_not_found"),
        (json!({ "type": "signup", "email": ADA, "password": PASSWORD }), 422, "email_exists"),
        (json!({ "type": "invite", "email": ADA }), 422, "email_exists"),
        (json!({ "type": "signup", "email": "new@example.com" }), 400, "validation_failed"),
        (json!({ "type": "email_change_new", "email": ADA, "new_email": ADA }), 422, "email_exists"),
        (json!({ "type": "email_change_new", "email": ADA }), 400, "validation_failed"),
        (json!({ "type": "nonsense", "email": ADA }), 400, "validation_failed"),
    ] {
        assert_refused(&app.service().post(LINK, asked).await, status, code);
    }
    assert_refused(&user.client.post(LINK, json!({ "type": "recovery", "email": ADA })).await, 403, "not_admin");
    let link = app.service().post(LINK, json!({ "type": "magiclink", "email": "new@example.com" })).await.json();
    assert_eq!(link["verification_type"], "signup");
    let session = verify(&app.anonymous(), "signup", "new@example.com", link["email_otp"].as_str().unwrap()).await.json();
    assert_eq!(holder(&app, &session).get("/auth/v1/user").await.status, 200);
}

//! Users who have a phone number.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    SIGN_IN, assert_refused, holder,
    mails::{newest, wrong},
    set,
    sms::{NUMBER, code, messages, with_webhook},
};
use crate::support::{Client, PASSWORD, Reply, TestApp};

const SIGN_UP: &str = "/auth/v1/signup";
const OTP: &str = "/auth/v1/otp";
const RESEND: &str = "/auth/v1/resend";
const USER: &str = "/auth/v1/user";
const DIGITS: &str = "4915112345678";
const OTHER: &str = "+33612345678";
const NONE: [Value; 0] = [];

async fn verify(client: &Client, kind: &str, phone: &str, code: &str) -> Reply {
    client.post("/auth/v1/verify", json!({ "type": kind, "phone": phone, "token": code })).await
}

fn minute(app: &TestApp) {
    app.app.clock.advance(Duration::from_secs(61));
}

async fn ask(app: &TestApp, path: &str, body: Value) {
    let reply = app.anonymous().post(path, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn sign_in(app: &TestApp) -> Reply {
    app.anonymous().post(SIGN_IN, json!({ "phone": NUMBER, "password": PASSWORD })).await
}

/// The session of a user who has signed up by phone.
async fn signed_up(app: &TestApp, server: &crate::support::StandIn) -> Value {
    ask(app, SIGN_UP, json!({ "phone": NUMBER, "password": PASSWORD })).await;
    verify(&app.anonymous(), "sms", NUMBER, &code(app, server).await).await.json()
}

#[tokio::test]
async fn a_number_signs_up_and_is_confirmed_by_its_code() {
    let (app, server) = with_webhook().await;
    let asked = json!({ "phone": "+49 151 1234 5678", "password": PASSWORD, "data": { "name": "Ada" } });
    let reply = app.anonymous().post(SIGN_UP, asked.clone()).await;
    let user = reply.json();
    assert_eq!((reply.status.as_u16(), &user["phone"], &user["email"]), (200, &json!(DIGITS), &json!("")));
    assert!(user.get("phone_confirmed_at").is_none() && user["confirmation_sent_at"].is_string(), "{user}");
    assert_eq!((&user["identities"][0]["provider"], &user["user_metadata"]["name"]), (&json!("phone"), &json!("Ada")));
    assert_refused(&sign_in(&app).await, 400, "phone_not_confirmed");
    let first = code(&app, &server).await;
    let anonymous = app.anonymous();
    for (kind, phone, code) in [("sms", OTHER, &first), ("phone_change", NUMBER, &first), ("sms", NUMBER, &wrong(&first))] {
        assert_refused(&verify(&anonymous, kind, phone, code).await, 403, "otp_expired");
    }
    let other = app.nobody().key(&app.other.publishable_key);
    assert_refused(&verify(&other, "sms", NUMBER, &first).await, 403, "otp_expired");
    let session = verify(&anonymous, "sms", NUMBER, &first).await.json();
    let user = holder(&app, &session).get(USER).await.json();
    assert!(user["phone_confirmed_at"].is_string(), "{user}");
    assert_eq!((&user["identities"][0]["identity_data"]["phone_verified"], &user["phone"]), (&json!(true), &json!(DIGITS)));
    assert_refused(&verify(&anonymous, "sms", NUMBER, &first).await, 403, "otp_expired");
    assert_eq!(sign_in(&app).await.status, 200);
    // Who signs up with it again gets the answer of a new one, and no message goes out that the tenant pays for.
    minute(&app);
    let again = app.anonymous().post(SIGN_UP, asked).await;
    assert_eq!((again.status.as_u16(), &again.json()["identities"]), (200, &json!([])));
    assert_eq!(messages(&app, &server).await, NONE);
    let pkce = json!({ "phone": OTHER, "password": PASSWORD, "code_challenge": "x".repeat(43), "code_challenge_method": "s256" });
    assert_refused(&app.anonymous().post(SIGN_UP, pkce).await, 400, "validation_failed");
}

#[tokio::test]
async fn a_code_by_message_signs_in() {
    let (app, server) = with_webhook().await;
    assert_refused(&app.anonymous().post(OTP, json!({ "phone": NUMBER, "create_user": false })).await, 422, "otp_disabled");
    let reply = app.anonymous().post(OTP, json!({ "phone": NUMBER, "data": { "name": "Ada" } })).await;
    assert!(reply.json()["message_id"].is_string(), "{}", reply.text());
    let session = verify(&app.anonymous(), "sms", NUMBER, &code(&app, &server).await).await.json();
    assert_eq!((&session["user"]["phone"], &session["user"]["user_metadata"]["name"]), (&json!(DIGITS), &json!("Ada")));
    assert_eq!(super::factors::claims(&session)["amr"][0]["method"], "otp");
    // Known, and not too often.
    let again = app.anonymous().post(OTP, json!({ "phone": NUMBER })).await;
    assert_refused(&again, 429, "over_sms_send_rate_limit");
    assert_eq!(again.header("retry-after"), "60");
    minute(&app);
    ask(&app, OTP, json!({ "phone": NUMBER, "create_user": false })).await;
    let late = code(&app, &server).await;
    minute(&app);
    assert_refused(&verify(&app.anonymous(), "sms", NUMBER, &late).await, 403, "otp_expired");
    ask(&app, OTP, json!({ "phone": NUMBER })).await;
    let burnt = code(&app, &server).await;
    for _ in 0..5 {
        assert_refused(&verify(&app.anonymous(), "sms", NUMBER, &wrong(&burnt)).await, 403, "otp_expired");
    }
    assert_refused(&verify(&app.anonymous(), "sms", NUMBER, &burnt).await, 403, "otp_expired");
}

// V13
#[tokio::test]
async fn a_code_is_redeemed_once_by_however_many() {
    let (app, server) = with_webhook().await;
    set(&app, json!({ "otp": { "attempts": 20 } })).await;
    ask(&app, OTP, json!({ "phone": NUMBER })).await;
    let code = code(&app, &server).await;
    let many = (0..20).map(|_| {
        let (anonymous, code) = (app.anonymous(), code.clone());
        async move { verify(&anonymous, "sms", NUMBER, &code).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(many).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
}

// V2
#[tokio::test]
async fn who_comes_in_by_a_code_inherits_no_strangers_password() {
    let (app, server) = with_webhook().await;
    ask(&app, SIGN_UP, json!({ "phone": NUMBER, "password": PASSWORD })).await;
    messages(&app, &server).await;
    ask(&app, OTP, json!({ "phone": NUMBER })).await;
    assert_eq!(verify(&app.anonymous(), "sms", NUMBER, &code(&app, &server).await).await.status, 200);
    assert_refused(&sign_in(&app).await, 400, "invalid_credentials");
    // Once it is the owner's, a code leaves the password alone.
    let session = app.anonymous().post(OTP, json!({ "phone": OTHER })).await;
    assert_eq!(session.status, 200);
    let session = verify(&app.anonymous(), "sms", OTHER, &code(&app, &server).await).await.json();
    assert_eq!(holder(&app, &session).put(USER, json!({ "password": PASSWORD })).await.status, 200);
    minute(&app);
    ask(&app, OTP, json!({ "phone": OTHER })).await;
    assert_eq!(verify(&app.anonymous(), "sms", OTHER, &code(&app, &server).await).await.status, 200);
    assert_eq!(app.anonymous().post(SIGN_IN, json!({ "phone": OTHER, "password": PASSWORD })).await.status, 200);
}

#[tokio::test]
async fn a_confirmation_is_sent_again_and_leaves_the_password() {
    let (app, server) = with_webhook().await;
    ask(&app, SIGN_UP, json!({ "phone": NUMBER, "password": PASSWORD })).await;
    let lost = code(&app, &server).await;
    assert_refused(&app.anonymous().post(RESEND, json!({ "type": "sms", "phone": NUMBER })).await, 429, "over_sms_send_rate_limit");
    minute(&app);
    let reply = app.anonymous().post(RESEND, json!({ "type": "sms", "phone": NUMBER })).await;
    assert!(reply.json()["message_id"].is_string(), "{}", reply.text());
    let second = code(&app, &server).await;
    if lost != second {
        assert_refused(&verify(&app.anonymous(), "sms", NUMBER, &lost).await, 403, "otp_expired");
    }
    assert_eq!(verify(&app.anonymous(), "sms", NUMBER, &second).await.status, 200);
    assert_eq!(sign_in(&app).await.status, 200);
    // Whoever is unknown, or has confirmed, is answered alike and gets nothing.
    for phone in [NUMBER, OTHER] {
        minute(&app);
        let reply = app.anonymous().post(RESEND, json!({ "type": "sms", "phone": phone })).await;
        assert!(reply.json()["message_id"].is_string(), "{}", reply.text());
        assert_eq!(messages(&app, &server).await, NONE);
    }
    for (asked, code) in [
        (json!({ "type": "sms" }), "validation_failed"),
        (json!({ "type": "nonsense", "phone": NUMBER }), "validation_failed"),
        (json!({ "type": "sms", "phone": NUMBER, "email": "a@example.com" }), "validation_failed"),
    ] {
        assert_refused(&app.anonymous().post(RESEND, asked).await, 400, code);
    }
}

#[tokio::test]
async fn a_number_is_changed_by_a_code_that_goes_to_the_new_one() {
    let (app, server) = with_webhook().await;
    let session = signed_up(&app, &server).await;
    let client = holder(&app, &session);
    let path = format!("/auth/v1/admin/users/{}", session["user"]["id"].as_str().unwrap());
    assert_eq!(app.service().put(&path, json!({ "email": "ada@example.com" })).await.status, 200);
    app.user("bob@example.com", &[]).await;
    minute(&app);
    // V6: what the old number was sent is dead once there is another.
    ask(&app, OTP, json!({ "phone": NUMBER })).await;
    let old = code(&app, &server).await;
    let reply = client.put(USER, json!({ "phone": OTHER, "phone_confirmed_at": "2020-01-01T00:00:00Z" })).await;
    let shown = reply.json();
    assert_eq!((reply.status.as_u16(), &shown["phone"], &shown["new_phone"]), (200, &json!(DIGITS), &json!("33612345678")), "{shown}");
    assert!(shown["phone_change_sent_at"].is_string());
    let first = code(&app, &server).await;
    assert_refused(&client.put(USER, json!({ "phone": OTHER })).await, 429, "over_sms_send_rate_limit");
    minute(&app);
    ask(&app, RESEND, json!({ "type": "phone_change", "phone": NUMBER })).await;
    let sent = messages(&app, &server).await;
    assert_eq!(sent[0]["to"], OTHER);
    let second = sent[0]["text"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    for (kind, phone) in [("sms", OTHER), ("phone_change", NUMBER)] {
        assert_refused(&verify(&app.anonymous(), kind, phone, &second).await, 403, "otp_expired");
    }
    if first != second {
        assert_refused(&verify(&app.anonymous(), "phone_change", OTHER, &first).await, 403, "otp_expired");
    }
    let done = verify(&app.anonymous(), "phone_change", OTHER, &second).await;
    assert_eq!((done.status.as_u16(), &done.json()["user"]["phone"]), (200, &json!("33612345678")), "{}", done.text());
    let shown = client.get(USER).await.json();
    assert!(shown.get("new_phone").is_none() && shown["phone_confirmed_at"].is_string(), "{shown}");
    assert_refused(&verify(&app.anonymous(), "sms", NUMBER, &old).await, 403, "otp_expired");
    let word = newest(&app, "ada@example.com").await;
    assert_eq!(word.mail["subject"], "Your phone number was changed");
    assert!(word.mail["text"].as_str().unwrap().contains(OTHER), "{}", word.mail);
    // The old number is free, the new one is not.
    minute(&app);
    ask(&app, SIGN_UP, json!({ "phone": NUMBER, "password": PASSWORD })).await;
    let newcomer = verify(&app.anonymous(), "sms", NUMBER, &code(&app, &server).await).await.json();
    assert_ne!(newcomer["user"]["id"], session["user"]["id"]);
    assert_refused(&holder(&app, &newcomer).put(USER, json!({ "phone": OTHER })).await, 422, "phone_exists");
}

#[tokio::test]
async fn a_number_that_counts_at_once_ends_what_waits() {
    let (app, server) = with_webhook().await;
    let session = signed_up(&app, &server).await;
    minute(&app);
    ask(&app, OTP, json!({ "phone": NUMBER })).await;
    let old = code(&app, &server).await;
    set(&app, json!({ "sms": { "autoconfirm": true } })).await;
    let changed = holder(&app, &session).put(USER, json!({ "phone": OTHER })).await.json();
    assert_eq!((&changed["phone"], changed.get("new_phone")), (&json!("33612345678"), None));
    // V6
    assert_refused(&verify(&app.anonymous(), "sms", NUMBER, &old).await, 403, "otp_expired");
    let reply = app.anonymous().post(SIGN_UP, json!({ "phone": NUMBER, "password": PASSWORD })).await;
    assert!(reply.json()["access_token"].is_string(), "{}", reply.text());
    assert_refused(&app.anonymous().post(SIGN_UP, json!({ "phone": NUMBER, "password": PASSWORD })).await, 422, "user_already_exists");
    assert_eq!(messages(&app, &server).await, NONE);
}

#[tokio::test]
async fn nobody_in_particular_becomes_somebody_by_a_number() {
    let (app, server) = with_webhook().await;
    set(&app, json!({ "sign_up": { "anonymous": true } })).await;
    let session = app.anonymous().post(SIGN_UP, json!({})).await.json();
    assert_eq!(holder(&app, &session).put(USER, json!({ "phone": NUMBER })).await.status, 200);
    let done = verify(&app.anonymous(), "phone_change", NUMBER, &code(&app, &server).await).await.json();
    assert_eq!((&done["user"]["id"], &done["user"]["is_anonymous"]), (&session["user"]["id"], &json!(false)));
    assert_eq!(done["user"]["app_metadata"]["providers"], json!(["phone"]));
}

#[tokio::test]
async fn numbers_of_tests_have_their_code_and_get_no_message() {
    let (app, server) = with_webhook().await;
    set(&app, json!({ "sms": { "test_codes": { NUMBER: "424242" } } })).await;
    ask(&app, OTP, json!({ "phone": NUMBER })).await;
    assert_refused(&verify(&app.anonymous(), "sms", NUMBER, "424242").await, 403, "otp_expired");
    assert_eq!(messages(&app, &server).await, NONE);
    assert_refused(&app.anonymous().post(OTP, json!({ "phone": NUMBER })).await, 429, "over_sms_send_rate_limit");
    assert_eq!(verify(&app.anonymous(), "sms", NUMBER, "424242").await.status, 200);
    assert_refused(&verify(&app.anonymous(), "sms", NUMBER, "424242").await, 403, "otp_expired");
    // Where nobody sends messages, it is they alone who get in.
    set(&app, json!({ "sms": { "provider": "none" } })).await;
    minute(&app);
    ask(&app, OTP, json!({ "phone": NUMBER })).await;
    assert_refused(&app.anonymous().post(OTP, json!({ "phone": OTHER })).await, 422, "sms_send_failed");
}

#[tokio::test]
async fn who_has_no_mail_address_shows_by_phone_who_it_is() {
    let (app, server) = with_webhook().await;
    set(&app, json!({ "password": { "require_reauthentication": true }, "sessions": { "access_token_seconds": 86400 } })).await;
    let session = signed_up(&app, &server).await;
    app.app.clock.advance(Duration::from_secs(86_390));
    let session = super::refresh(&app, &session["refresh_token"]).await.json();
    let client = holder(&app, &session);
    app.app.clock.advance(Duration::from_secs(20));
    let change = |nonce: &str| json!({ "password": "password of the second day", "nonce": nonce });
    assert_refused(&client.put(USER, json!({ "password": "password of the second day" })).await, 400, "reauthentication_needed");
    let reply = client.get("/auth/v1/reauthenticate").await;
    assert!(reply.json()["message_id"].is_string(), "{}", reply.text());
    let nonce = code(&app, &server).await;
    assert_refused(&client.put(USER, change(&wrong(&nonce))).await, 422, "reauthentication_not_valid");
    assert_refused(&verify(&app.anonymous(), "sms", NUMBER, &nonce).await, 403, "otp_expired");
    assert_eq!(client.put(USER, change(&nonce)).await.status, 200);
}

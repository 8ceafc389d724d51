//! A phone as second factor.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    assert_refused,
    factors::claims,
    holder,
    mails::wrong,
    set, sign_in,
    sms::{NUMBER, code, messages, with_webhook},
};
use crate::support::{Client, Reply, StandIn, TestApp};

const FACTORS: &str = "/auth/v1/factors";
const ADA: &str = "ada@example.com";
const OTHER: &str = "+33612345678";
const NONE: [Value; 0] = [];

async fn with_phones() -> (TestApp, StandIn) {
    let (app, server) = with_webhook().await;
    set(&app, json!({ "mfa": { "phone_enroll_enabled": true, "phone_verify_enabled": true } })).await;
    (app, server)
}

async fn enroll(client: &Client, phone: &str, name: &str) -> Reply {
    client.post(FACTORS, json!({ "factor_type": "phone", "phone": phone, "friendly_name": name })).await
}

async fn challenge(client: &Client, factor: &str) -> Reply {
    client.post(&format!("{FACTORS}/{factor}/challenge"), json!({ "channel": "sms" })).await
}

async fn verify(client: &Client, factor: &str, challenge: &Value, code: &str) -> Reply {
    client.post(&format!("{FACTORS}/{factor}/verify"), json!({ "challenge_id": challenge, "code": code })).await
}

fn id(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn minute(app: &TestApp) {
    app.app.clock.advance(Duration::from_secs(61));
}

/// The session of a user whose phone has raised it, and the factor.
async fn raised(app: &TestApp, server: &StandIn) -> (Value, String) {
    let client = app.user(ADA, &[]).await.client;
    let factor = id(&enroll(&client, NUMBER, "mobile").await);
    let asked = challenge(&client, &factor).await.json();
    let reply = verify(&client, &factor, &asked["id"], &code(app, server).await).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    minute(app);
    (reply.json(), factor)
}

#[tokio::test]
async fn a_code_on_the_phone_raises_the_session() {
    let (app, server) = with_phones().await;
    let user = app.user(ADA, &[]).await;
    let enrolled = enroll(&user.client, "+49 151 1234 5678", "mobile").await;
    let body = enrolled.json();
    assert_eq!(body, json!({ "id": body["id"], "type": "phone", "friendly_name": "mobile", "phone": "+49 151 1234 5678" }));
    let factor = id(&enrolled);
    let shown = user.client.get("/auth/v1/user").await.json()["factors"][0].clone();
    assert_eq!((&shown["factor_type"], &shown["status"], &shown["phone"]), (&json!("phone"), &json!("unverified"), &json!("4915112345678")));
    assert_eq!(messages(&app, &server).await, NONE, "nothing is sent before it is asked for");
    let asked = challenge(&user.client, &factor).await.json();
    assert_eq!((&asked["type"], &asked["expires_at"]), (&json!("phone"), &json!(app.app.clock.now().seconds() + 300)));
    let sent = messages(&app, &server).await;
    assert_eq!((sent.len(), &sent[0]["to"]), (1, &json!(NUMBER)));
    let code = sent[0]["text"].as_str().unwrap().rsplit(' ').next().unwrap();
    let refused = verify(&user.client, &factor, &asked["id"], &wrong(code)).await;
    assert_refused(&refused, 422, "mfa_verification_failed");
    assert_eq!(refused.json()["msg"], "Invalid MFA Phone code entered");
    assert_refused(&verify(&user.client, &factor, &asked["id"], "").await, 400, "validation_failed");
    let session = verify(&user.client, &factor, &asked["id"], &format!(" {} {}", &code[..3], &code[3..])).await.json();
    let told = claims(&session);
    assert_eq!((&told["aal"], &told["amr"][0]["method"], &told["amr"][1]["method"]), (&json!("aal2"), &json!("mfa/phone"), &json!("password")));
    assert_eq!(session["user"]["factors"][0]["status"], "verified");
    assert_refused(&verify(&user.client, &factor, &asked["id"], code).await, 422, "mfa_ip_address_mismatch");
    // It counts from now on.
    minute(&app);
    let low = holder(&app, &sign_in(&app, ADA).await);
    assert_refused(&enroll(&low, OTHER, "thief's").await, 403, "insufficient_aal");
}

// V31
#[tokio::test]
async fn a_code_on_the_phone_is_good_once_for_its_challenge_alone() {
    let (app, server) = with_phones().await;
    let (session, factor) = raised(&app, &server).await;
    let client = holder(&app, &session);
    let first = challenge(&client, &factor).await.json()["id"].clone();
    let first_code = code(&app, &server).await;
    minute(&app);
    let second = challenge(&client, &factor).await.json()["id"].clone();
    let second_code = code(&app, &server).await;
    if first_code != second_code {
        assert_refused(&verify(&client, &factor, &second, &first_code).await, 422, "mfa_verification_failed");
    }
    let many = (0..50).map(|_| {
        let (client, factor, second, code) = (client.clone(), factor.clone(), second.clone(), second_code.clone());
        async move { verify(&client, &factor, &second, &code).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(many).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
    app.app.clock.advance(Duration::from_mins(5));
    assert_refused(&verify(&client, &factor, &first, &first_code).await, 422, "mfa_challenge_expired");
}

#[tokio::test]
async fn guesses_lock_the_phone_and_buy_no_messages() {
    let (app, server) = with_phones().await;
    let (_, factor) = raised(&app, &server).await;
    let client = holder(&app, &sign_in(&app, ADA).await);
    let asked = challenge(&client, &factor).await.json()["id"].clone();
    assert_refused(&challenge(&client, &factor).await, 429, "over_sms_send_rate_limit");
    let right = code(&app, &server).await;
    let guesses = (0..30).map(|_| {
        let (client, factor, asked, code) = (client.clone(), factor.clone(), asked.clone(), wrong(&right));
        async move { verify(&client, &factor, &asked, &code).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(guesses).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 422).count(), 10, "{statuses:?}");
    assert_refused(&verify(&client, &factor, &asked, &right).await, 429, "over_request_rate_limit");
    minute(&app);
    assert_refused(&challenge(&client, &factor).await, 429, "over_request_rate_limit");
    assert_eq!(messages(&app, &server).await, NONE);
    app.app.clock.advance(Duration::from_mins(5));
    let asked = challenge(&client, &factor).await.json()["id"].clone();
    assert_eq!(verify(&client, &factor, &asked, &code(&app, &server).await).await.status, 200);
}

#[tokio::test]
async fn what_is_no_phone_of_the_users_is_refused() {
    let (app, server) = with_phones().await;
    let user = app.user("eve@example.com", &[]).await;
    for phone in ["", "0151", "no number"] {
        assert_refused(&enroll(&user.client, phone, "x").await, 400, "validation_failed");
    }
    // Begun again, it is the same one; proved, there is no second.
    let abandoned = id(&enroll(&user.client, NUMBER, "mobile").await);
    let factor = id(&enroll(&user.client, NUMBER, "mobile").await);
    assert_refused(&challenge(&user.client, &abandoned).await, 404, "mfa_factor_not_found");
    assert_refused(&enroll(&user.client, OTHER, "mobile").await, 422, "mfa_factor_name_conflict");
    let pigeon = user.client.post(&format!("{FACTORS}/{factor}/challenge"), json!({ "channel": "pigeon" })).await;
    assert_refused(&pigeon, 400, "validation_failed");
    let asked = challenge(&user.client, &factor).await.json()["id"].clone();
    let session = verify(&user.client, &factor, &asked, &code(&app, &server).await).await.json();
    assert_refused(&enroll(&holder(&app, &session), NUMBER, "again").await, 422, "mfa_verified_factor_exists");
    minute(&app);
    let (ada, theirs) = raised(&app, &server).await;
    assert_refused(&challenge(&user.client, &theirs).await, 404, "mfa_factor_not_found");
    set(&app, json!({ "sms": { "provider": "none" } })).await;
    assert_refused(&challenge(&holder(&app, &ada), &theirs).await, 422, "sms_send_failed");
    set(&app, json!({ "mfa": { "phone_enroll_enabled": false, "phone_verify_enabled": false } })).await;
    assert_refused(&challenge(&holder(&app, &ada), &theirs).await, 422, "mfa_phone_verify_not_enabled");
    assert_refused(&enroll(&holder(&app, &ada), OTHER, "b").await, 422, "mfa_phone_enroll_not_enabled");
}

#[tokio::test]
async fn an_admin_gives_a_phone_another_number() {
    let (app, server) = with_phones().await;
    let (session, factor) = raised(&app, &server).await;
    let client = holder(&app, &session);
    let asked = challenge(&client, &factor).await.json()["id"].clone();
    let old = code(&app, &server).await;
    let path = format!("/auth/v1/admin/users/{}/factors/{factor}", session["user"]["id"].as_str().unwrap());
    assert_refused(&app.service().put(&path, json!({ "phone": "0151" })).await, 400, "validation_failed");
    let changed = app.service().put(&path, json!({ "phone": OTHER })).await.json();
    assert_eq!((&changed["phone"], &changed["friendly_name"]), (&json!("33612345678"), &json!("mobile")));
    assert_refused(&verify(&client, &factor, &asked, &old).await, 422, "mfa_factor_not_found");
    let asked = challenge(&client, &factor).await.json()["id"].clone();
    let sent = messages(&app, &server).await;
    assert_eq!(sent[0]["to"], OTHER);
    let code = sent[0]["text"].as_str().unwrap().rsplit(' ').next().unwrap();
    assert_eq!(verify(&client, &factor, &asked, code).await.status, 200);
    // Other factors have no number.
    let totp = super::factors::enroll(&client, "app").await;
    let path = format!("/auth/v1/admin/users/{}/factors/{}", session["user"]["id"].as_str().unwrap(), totp.id);
    let reply = app.service().put(&path, json!({ "phone": OTHER })).await;
    assert_eq!((reply.status.as_u16(), reply.json().get("phone")), (200, None), "{}", reply.text());
}

#[tokio::test]
async fn a_phone_of_tests_has_its_code_and_no_code_is_stored_in_plain() {
    let (app, server) = with_phones().await;
    set(&app, json!({ "sms": { "test_codes": { NUMBER: "424242" } } })).await;
    let client = app.user(ADA, &[]).await.client;
    let factor = id(&enroll(&client, NUMBER, "").await);
    let asked = challenge(&client, &factor).await.json()["id"].clone();
    assert_eq!(messages(&app, &server).await, NONE);
    let stored: Vec<(Vec<u8>,)> = app.app.db.read().await.unwrap().query("SELECT code_hash FROM factor_challenges").fetch_all().await.unwrap();
    assert!(stored.iter().all(|(hash,)| hash.len() == 32 && !hash.windows(6).any(|part| part == b"424242")));
    let session = verify(&client, &factor, &asked, "424242").await.json();
    // Given up, what it raised falls.
    let client = holder(&app, &session);
    assert_eq!(client.delete(&format!("{FACTORS}/{factor}")).await.status, 200);
    assert_eq!(claims(&super::refresh(&app, &session["refresh_token"]).await.json())["aal"], "aal1");
}

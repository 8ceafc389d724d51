use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{assert_refused, holder, refresh, set, sign_in};
use crate::support::{Client, Reply, TestApp, TestUser};

const FACTORS: &str = "/auth/v1/factors";
const CODES: &str = "/auth/v1/factors/recovery-codes";

/// An authenticator app that was set up.
pub(super) struct Totp {
    pub(super) id: String,
    secret: String,
}

impl Totp {
    /// The code of this moment, which the app may show for half a minute.
    pub(super) fn code(&self, app: &TestApp) -> String {
        let secret = totp_rs::Secret::try_from_base32(&self.secret).unwrap();
        let now = u64::try_from(app.app.clock.now().seconds()).unwrap();
        totp_rs::Builder::new().with_secret(secret).build().unwrap().generate(now).to_string()
    }

    /// A code that is wrong now and was not right a moment ago.
    fn wrong_code(&self, app: &TestApp) -> String {
        let right = self.code(app);
        let digit = if right.starts_with('5') { '6' } else { '5' };
        format!("{digit}{}", &right[1..])
    }
}

pub(super) async fn enroll(client: &Client, name: &str) -> Totp {
    let reply = client.post(FACTORS, json!({ "factor_type": "totp", "friendly_name": name })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json();
    Totp { id: body["id"].as_str().unwrap().to_owned(), secret: body["totp"]["secret"].as_str().unwrap().to_owned() }
}

async fn challenge(client: &Client, factor: &str) -> Value {
    let reply = client.post(&format!("{FACTORS}/{factor}/challenge"), json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["id"].clone()
}

async fn verify(client: &Client, factor: &str, challenge: &Value, code: &str) -> Reply {
    client.post(&format!("{FACTORS}/{factor}/verify"), json!({ "challenge_id": challenge, "code": code })).await
}

/// Challenges a factor and verifies it: what a sign-in with two factors ends with.
pub(super) async fn raise(app: &TestApp, client: &Client, totp: &Totp) -> Value {
    let asked = challenge(client, &totp.id).await;
    let reply = verify(client, &totp.id, &asked, &totp.code(app)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// A user with a verified factor, and its raised session.
pub(super) async fn user_with_factor(app: &TestApp, email: &str) -> (TestUser, Totp, Value) {
    let user = app.user(email, &[]).await;
    let totp = enroll(&user.client, "phone").await;
    let session = raise(app, &user.client, &totp).await;
    next_step(app);
    (user, totp, session)
}

/// On to the next code.
pub(super) fn next_step(app: &TestApp) {
    app.app.clock.advance(Duration::from_secs(30));
}

/// What an access token says.
pub(super) fn claims(session: &Value) -> Value {
    let token = session["access_token"].as_str().unwrap();
    let payload = basalt::crypto::from_base64url(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn methods(session: &Value) -> Vec<String> {
    claims(session)["amr"].as_array().unwrap().iter().map(|entry| entry["method"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_totp_factor_raises_the_session() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let reply = user.client.post(FACTORS, json!({ "factor_type": "totp", "friendly_name": "phone" })).await;
    let enrolled = reply.json();
    assert_eq!((reply.status.as_u16(), &enrolled["type"], &enrolled["friendly_name"]), (200, &json!("totp"), &json!("phone")));
    let (uri, picture) = (enrolled["totp"]["uri"].as_str().unwrap(), enrolled["totp"]["qr_code"].as_str().unwrap());
    assert!(uri.starts_with("otpauth://totp/127.0.0.1:ada%40example.com?secret=") && uri.contains("&issuer=127.0.0.1"), "{uri}");
    assert!(picture.contains("<svg") && !picture.contains('#'), "a # would end the data URL that clients make: {picture}");
    let totp = Totp { id: enrolled["id"].as_str().unwrap().to_owned(), secret: enrolled["totp"]["secret"].as_str().unwrap().to_owned() };

    let before = user.client.get("/auth/v1/user").await.json();
    assert_eq!(before["factors"][0]["status"], "unverified", "{before}");
    let reply = user.client.post(&format!("{FACTORS}/{}/challenge", totp.id), json!({})).await;
    let asked = reply.json();
    assert_eq!((reply.status.as_u16(), &asked["type"]), (200, &json!("totp")));
    assert_eq!(asked["expires_at"], app.app.clock.now().seconds() + 300);
    next_step(&app);
    let reply = verify(&user.client, &totp.id, &asked["id"], &totp.code(&app)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let session = reply.json();
    assert_eq!((&claims(&session)["aal"], methods(&session)), (&json!("aal2"), vec!["totp".to_owned(), "password".to_owned()]));
    assert_eq!(claims(&session)["session_id"], claims(&user.session)["session_id"]);
    assert_eq!(session["user"]["factors"][0]["status"], "verified");
    let shown = holder(&app, &session).get("/auth/v1/user").await.json();
    let factor = &shown["factors"][0];
    assert_eq!((&factor["id"], &factor["factor_type"], &factor["friendly_name"]), (&json!(totp.id), &json!("totp"), &json!("phone")));
    assert!(factor["last_challenged_at"].is_string() && factor["created_at"].is_string(), "{factor}");

    let next = refresh(&app, &session["refresh_token"]).await.json();
    assert_eq!((&claims(&next)["aal"], methods(&next)), (&json!("aal2"), vec!["totp".to_owned(), "password".to_owned()]));
    let again = sign_in(&app, "ada@example.com").await;
    assert_eq!((&claims(&again)["aal"], methods(&again)), (&json!("aal1"), vec!["password".to_owned()]));
}

#[tokio::test]
async fn null_is_as_if_nothing_was_said() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    // As supabase-py asks.
    let reply = user.client.post(FACTORS, json!({ "factor_type": "totp", "friendly_name": null, "issuer": null })).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["friendly_name"]), (200, &json!("")), "{}", reply.text());
    assert_refused(&user.client.post(FACTORS, json!({ "factor_type": null })).await, 400, "validation_failed");
    let totp = Totp { id: reply.json()["id"].as_str().unwrap().to_owned(), secret: reply.json()["totp"]["secret"].as_str().unwrap().to_owned() };
    let path = format!("{FACTORS}/{}", totp.id);
    let asked = user.client.post(&format!("{path}/challenge"), json!({ "channel": null })).await.json();
    let proof = json!({ "challenge_id": asked["id"], "code": totp.code(&app), "webauthn": null });
    assert_eq!(user.client.post(&format!("{path}/verify"), proof).await.status, 200);
}

/// V31
#[tokio::test]
async fn fifty_verifications_by_one_code_are_one() {
    let app = TestApp::new().await;
    let (user, totp, session) = user_with_factor(&app, "ada@example.com").await;
    let client = holder(&app, &session);
    let mut asked = Vec::new();
    for _ in 0..50 {
        asked.push(challenge(&client, &totp.id).await);
    }
    let code = totp.code(&app);
    let many = asked.iter().map(|asked| {
        let (client, id, asked, code) = (client.clone(), totp.id.clone(), asked.clone(), code.clone());
        tokio::spawn(async move { verify(&client, &id, &asked, &code).await })
    });
    let replies: Vec<_> = futures_util::future::join_all(many).await.into_iter().map(Result::unwrap).collect();
    let good: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(good.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_refused(reply, 422, "mfa_verification_failed");
    }
    // Nor by a session of its own, nor by the code of the step before.
    let other = holder(&app, &sign_in(&app, "ada@example.com").await);
    let asked = challenge(&other, &totp.id).await;
    assert_refused(&verify(&other, &totp.id, &asked, &code).await, 422, "mfa_verification_failed");
    next_step(&app);
    assert_refused(&verify(&other, &totp.id, &asked, &code).await, 422, "mfa_verification_failed");
    assert_eq!(verify(&other, &totp.id, &asked, &totp.code(&app)).await.status, 200);
    drop(user);
}

/// V31
#[tokio::test]
async fn a_secret_is_shown_once() {
    let app = TestApp::new().await;
    let (user, totp, session) = user_with_factor(&app, "ada@example.com").await;
    let client = holder(&app, &session);
    let codes = client.post(CODES, json!({})).await.json();
    let code = codes["codes"][0].as_str().unwrap();
    let admin = format!("/auth/v1/admin/users/{}", user.id);
    let refreshed = refresh(&app, &session["refresh_token"]).await;
    let client = holder(&app, &refreshed.json());
    for reply in [
        refreshed,
        client.get("/auth/v1/user").await,
        client.put("/auth/v1/user", json!({ "data": { "a": 1 } })).await,
        client.get(CODES).await,
        client.post(&format!("{FACTORS}/{}/challenge", totp.id), json!({})).await,
        app.service().get(&admin).await,
        app.service().get(&format!("{admin}/factors")).await,
        app.service().put(&format!("{admin}/factors/{}", totp.id), json!({ "friendly_name": "other" })).await,
        app.service().delete(&format!("{admin}/factors/{}", totp.id)).await,
    ] {
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(!reply.text().contains(&totp.secret) && !reply.text().contains(code) && !reply.text().contains("secret"), "{}", reply.text());
    }
}

/// V22
#[tokio::test]
async fn a_verification_ends_what_is_less_sure() {
    let app = TestApp::new().await;
    let (_, totp, raised) = user_with_factor(&app, "ada@example.com").await;
    let thief = sign_in(&app, "ada@example.com").await;
    let session = sign_in(&app, "ada@example.com").await;
    let client = holder(&app, &session);
    let again = raise(&app, &client, &totp).await;
    // V22
    assert_refused(&holder(&app, &thief).get("/auth/v1/user").await, 403, "session_not_found");
    assert_refused(&refresh(&app, &thief["refresh_token"]).await, 400, "refresh_token_not_found");
    for session in [&raised, &again] {
        assert_eq!(holder(&app, session).get("/auth/v1/user").await.status, 200);
    }
}

/// V29
#[tokio::test]
async fn a_refresh_token_from_before_shows_no_raised_session() {
    let app = TestApp::new().await;
    for wait in [0, 11] {
        let email = format!("ada{wait}@example.com");
        let user = app.user(&email, &[]).await;
        let first = refresh(&app, &user.session["refresh_token"]).await.json();
        let client = holder(&app, &first);
        let totp = enroll(&client, "").await;
        let raised = raise(&app, &client, &totp).await;
        app.app.clock.advance(Duration::from_secs(wait));
        for old in [&first, &user.session] {
            let reply = refresh(&app, &old["refresh_token"]).await;
            assert_eq!(reply.status, 400, "{}", reply.text());
        }
        // Who is a moment late harms nobody; who comes later has the token of somebody else.
        let status = if wait == 0 { 200 } else { 400 };
        assert_eq!(refresh(&app, &raised["refresh_token"]).await.status, status, "after {wait} seconds");
    }
}

#[tokio::test]
async fn a_challenge_is_answered_once_in_time() {
    let app = TestApp::new().await;
    let (_, totp, session) = user_with_factor(&app, "ada@example.com").await;
    let client = holder(&app, &session);
    let asked = challenge(&client, &totp.id).await;
    assert_refused(&verify(&client, &totp.id, &asked, "").await, 400, "validation_failed");
    assert_refused(&verify(&client, &totp.id, &asked, &totp.wrong_code(&app)).await, 422, "mfa_verification_failed");
    assert_refused(&verify(&client, &totp.id, &asked, "12345").await, 422, "mfa_verification_failed");
    assert_eq!(verify(&client, &totp.id, &asked, &totp.code(&app)).await.status, 200);
    next_step(&app);
    assert_refused(&verify(&client, &totp.id, &asked, &totp.code(&app)).await, 422, "mfa_ip_address_mismatch");
    let late = challenge(&client, &totp.id).await;
    app.app.clock.advance(Duration::from_mins(5));
    assert_refused(&verify(&client, &totp.id, &late, &totp.code(&app)).await, 422, "mfa_challenge_expired");
    let unknown = json!("00000000-0000-4000-8000-000000000000");
    assert_refused(&verify(&client, &totp.id, &unknown, &totp.code(&app)).await, 422, "mfa_factor_not_found");
}

/// V31
#[tokio::test]
async fn wrong_codes_lock_the_factor_for_a_while() {
    let app = TestApp::new().await;
    let (_, totp, _) = user_with_factor(&app, "ada@example.com").await;
    let client = holder(&app, &sign_in(&app, "ada@example.com").await);
    let asked = challenge(&client, &totp.id).await;
    for _ in 0..10 {
        assert_refused(&verify(&client, &totp.id, &asked, &totp.wrong_code(&app)).await, 422, "mfa_verification_failed");
    }
    assert_refused(&verify(&client, &totp.id, &asked, &totp.code(&app)).await, 429, "over_request_rate_limit");
    app.app.clock.advance(Duration::from_secs(301));
    raise(&app, &client, &totp).await;
}

/// V33
#[tokio::test]
async fn a_factor_is_its_users_alone() {
    let app = TestApp::new().await;
    let (_, totp, _) = user_with_factor(&app, "ada@example.com").await;
    let eve = app.user("eve@example.com", &[]).await;
    let asked = json!("00000000-0000-4000-8000-000000000000");
    assert_refused(&eve.client.post(&format!("{FACTORS}/{}/challenge", totp.id), json!({})).await, 404, "mfa_factor_not_found");
    assert_refused(&verify(&eve.client, &totp.id, &asked, "123456").await, 404, "mfa_factor_not_found");
    assert_refused(&eve.client.delete(&format!("{FACTORS}/{}", totp.id)).await, 404, "mfa_factor_not_found");
    assert_refused(&eve.client.delete(&format!("{FACTORS}/nonsense")).await, 404, "validation_failed");
}

#[tokio::test]
async fn what_can_not_be_enrolled_is_refused() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let ask = async |body: Value| user.client.post(FACTORS, body).await;
    assert_refused(&ask(json!({ "factor_type": "hat" })).await, 400, "validation_failed");
    assert_refused(&ask(json!({ "factor_type": "phone", "phone": "+4930123456" })).await, 422, "mfa_phone_enroll_not_enabled");
    assert_refused(&ask(json!({ "factor_type": "webauthn" })).await, 422, "mfa_webauthn_enroll_not_enabled");
    assert_refused(&ask(json!({ "factor_type": "totp", "friendly_name": "x".repeat(121) })).await, 400, "validation_failed");
    assert_eq!(ask(json!({ "factor_type": "totp" })).await.status, 200);
    assert_refused(&ask(json!({ "factor_type": "totp" })).await, 422, "mfa_factor_name_conflict");
    set(&app, json!({ "mfa": { "max_enrolled_factors": 2 } })).await;
    assert_eq!(ask(json!({ "factor_type": "totp", "friendly_name": "b", "issuer": "A: B & C" })).await.status, 200);
    assert_refused(&ask(json!({ "factor_type": "totp", "friendly_name": "c" })).await, 422, "too_many_enrolled_mfa_factors");
    // What nobody went on with makes room.
    app.app.clock.advance(Duration::from_secs(301));
    assert_eq!(ask(json!({ "factor_type": "totp" })).await.status, 200);
    set(&app, json!({ "mfa": { "totp_enroll_enabled": false, "totp_verify_enabled": false } })).await;
    assert_refused(&ask(json!({ "factor_type": "totp", "friendly_name": "d" })).await, 422, "mfa_totp_enroll_not_enabled");
    let factor = user.client.get("/auth/v1/user").await.json()["factors"][0]["id"].as_str().unwrap().to_owned();
    assert_refused(&user.client.post(&format!("{FACTORS}/{factor}/challenge"), json!({})).await, 422, "mfa_totp_verify_not_enabled");
}

#[tokio::test]
async fn fifty_enrolments_at_once_keep_to_the_limit() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let many = (0..50).map(|n| {
        let client = user.client.clone();
        tokio::spawn(async move { client.post(FACTORS, json!({ "factor_type": "totp", "friendly_name": format!("f{}", n / 2) })).await })
    });
    let replies = futures_util::future::join_all(many).await;
    assert_eq!(replies.into_iter().filter(|reply| reply.as_ref().unwrap().status == 200).count(), 10);
}

/// Every route that needs the second factor of who has one, as who did not use it in this session is answered.
pub(super) async fn refused_without_the_factor(client: &Client, factor: &str, session: &str) {
    let id = "00000000-0000-4000-8000-000000000000";
    let refusals = [
        (Method::POST, FACTORS.to_owned(), json!({ "factor_type": "totp", "friendly_name": "mine" }), 403),
        (Method::DELETE, format!("{FACTORS}/{factor}"), json!({}), 422),
        (Method::POST, CODES.to_owned(), json!({}), 403),
        (Method::POST, format!("{CODES}/regenerate"), json!({}), 403),
        (Method::DELETE, CODES.to_owned(), json!({}), 403),
        (Method::PUT, "/auth/v1/user".to_owned(), json!({ "password": "another long password" }), 401),
        (Method::PUT, "/auth/v1/user".to_owned(), json!({ "email": "eve@example.com" }), 401),
        (Method::POST, "/auth/v1/passkeys/registration/options".to_owned(), json!({}), 403),
        (Method::POST, "/auth/v1/passkeys/registration/verify".to_owned(), json!({ "challenge_id": id, "credential": {} }), 403),
        (Method::DELETE, format!("/auth/v1/passkeys/{id}"), json!({}), 403),
        (Method::GET, "/auth/v1/user/sessions".to_owned(), json!({}), 403),
        (Method::DELETE, format!("/auth/v1/user/sessions/{session}"), json!({}), 403),
    ];
    for (method, path, body, status) in refusals {
        let reply = client.json(method.clone(), &path, &body).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-sb-error-code")), (status, "insufficient_aal"), "{method} {path}: {}", reply.text());
    }
}

/// V29, V30
#[tokio::test]
async fn no_way_in_passes_the_second_factor() {
    let app = TestApp::new().await;
    set(&app, super::passkeys::settings()).await;
    let (user, totp, raised) = user_with_factor(&app, "ada@example.com").await;
    let key = super::passkeys::Authenticator::new();
    let passkey = key.register(&holder(&app, &raised)).await;
    assert_eq!(passkey.status, 200, "{}", passkey.text());
    let other = claims(&raised)["session_id"].as_str().unwrap().to_owned();

    let by_password = sign_in(&app, "ada@example.com").await;
    let by_refresh = refresh(&app, &by_password["refresh_token"]).await.json();
    let by_passkey = key.sign_in(&app.anonymous()).await.json();
    for session in [by_password, by_refresh, by_passkey] {
        assert_eq!(claims(&session)["aal"], "aal1");
        refused_without_the_factor(&holder(&app, &session), &totp.id, &other).await;
    }
    // What does not sign the user in can be changed.
    let client = holder(&app, &sign_in(&app, "ada@example.com").await);
    assert_eq!(client.put("/auth/v1/user", json!({ "data": { "colour": "red" } })).await.status, 200);
    // The operator's key, and an admin's word, are no way in.
    assert_eq!(app.service().get(&format!("/auth/v1/admin/users/{}/factors", user.id)).await.json().as_array().unwrap().len(), 1);
    // And with the factor all of it opens.
    let raised = holder(&app, &raise(&app, &client, &totp).await);
    assert_eq!(raised.get("/auth/v1/user/sessions").await.status, 200);
    assert_eq!(raised.post(CODES, json!({})).await.status, 200);
    assert_eq!(raised.put("/auth/v1/user", json!({ "password": "another long password" })).await.status, 200);
}

/// V29
#[tokio::test]
async fn a_factor_that_a_thief_began_to_enrol_raises_nothing_later() {
    let app = TestApp::new().await;
    set(&app, super::passkeys::settings()).await;
    let owner = app.user("ada@example.com", &[]).await;
    let thief = holder(&app, &sign_in(&app, "ada@example.com").await);
    let reply = thief.post(FACTORS, json!({ "factor_type": "webauthn", "friendly_name": "thief's" })).await;
    let theirs = reply.json()["id"].as_str().unwrap().to_owned();
    let totp = enroll(&owner.client, "owner's").await;
    raise(&app, &owner.client, &totp).await;
    let thief = holder(&app, &sign_in(&app, "ada@example.com").await);
    let key = super::passkeys::Authenticator::new();
    assert_refused(&key.verify_factor(&thief, &theirs).await, 403, "insufficient_aal");
}

/// V30
#[tokio::test]
async fn what_a_factor_raised_falls_with_it() {
    for by_admin in [false, true] {
        let app = TestApp::new().await;
        let (user, totp, session) = user_with_factor(&app, "ada@example.com").await;
        let client = holder(&app, &session);
        let reply = if by_admin {
            app.service().delete(&format!("/auth/v1/admin/users/{}/factors/{}", user.id, totp.id)).await
        } else {
            client.delete(&format!("{FACTORS}/{}", totp.id)).await
        };
        assert_eq!((reply.status.as_u16(), &reply.json()["id"]), (200, &json!(totp.id)));
        let next = refresh(&app, &session["refresh_token"]).await.json();
        assert_eq!((&claims(&next)["aal"], methods(&next)), (&json!("aal1"), vec!["password".to_owned()]));
        // The token that still says otherwise is not believed.
        assert_refused(&client.post(CODES, json!({})).await, 403, "insufficient_aal");
        assert_eq!(client.get("/auth/v1/user").await.json()["factors"], Value::Null);
        assert_eq!(client.put("/auth/v1/user", json!({ "password": "another long password" })).await.status, 200);
    }
}

/// V31
#[tokio::test]
async fn recovery_codes_are_good_once_each() {
    let app = TestApp::new().await;
    let (_, totp, session) = user_with_factor(&app, "ada@example.com").await;
    let client = holder(&app, &session);
    assert_refused(&client.get(CODES).await, 404, "mfa_factor_not_found");
    let reply = client.post(CODES, json!({})).await;
    let made = reply.json();
    let described = (reply.status.as_u16(), &made["type"], &made["friendly_name"], &made["total"]);
    assert_eq!(described, (200, &json!("recovery_code"), &json!("Recovery codes"), &json!(10)));
    let codes: Vec<&str> = made["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert!(codes.iter().all(|code| code.len() == 16 && code.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())), "{codes:?}");
    assert_refused(&client.post(CODES, json!({})).await, 422, "mfa_verified_factor_exists");

    let lost = holder(&app, &sign_in(&app, "ada@example.com").await);
    let redeem = async |client: &Client, code: &str| client.post(&format!("{CODES}/verify"), json!({ "code": code })).await;
    let written = format!("{}-{} {}", &codes[0][..4], codes[0][4..9].to_uppercase(), &codes[0][9..]);
    let reply = redeem(&lost, &written).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        (&claims(&reply.json())["aal"], methods(&reply.json())),
        (&json!("aal2"), vec!["mfa/recovery_code".to_owned(), "password".to_owned()])
    );
    let client = holder(&app, &reply.json());
    assert_refused(&redeem(&client, codes[0]).await, 422, "mfa_verification_failed");
    assert_refused(&redeem(&client, "").await, 400, "validation_failed");
    let status = client.get(CODES).await.json();
    assert_eq!((&status["total"], &status["remaining"], &status["codes"]), (&json!(10), &json!(9), &Value::Null));

    // V31
    let many = (0..50).map(|_| {
        let (client, code) = (client.clone(), codes[1].to_owned());
        tokio::spawn(async move { client.post(&format!("{CODES}/verify"), json!({ "code": code })).await })
    });
    let replies = futures_util::future::join_all(many).await;
    assert_eq!(replies.iter().filter(|reply| reply.as_ref().unwrap().status == 200).count(), 1);
    // Those who came after were counted, as if they had guessed.
    assert_refused(&redeem(&client, codes[2]).await, 429, "mfa_recovery_codes_locked");
    app.app.clock.advance(Duration::from_mins(16));
    let reply = redeem(&client, codes[2]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());

    let client = holder(&app, &reply.json());
    let fresh = client.post(&format!("{CODES}/regenerate"), json!({})).await.json();
    assert_eq!((fresh["codes"].as_array().unwrap().len(), &fresh["id"]), (10, &made["id"]));
    assert_refused(&redeem(&client, codes[3]).await, 422, "mfa_verification_failed");
    assert_eq!(redeem(&client, fresh["codes"][0].as_str().unwrap()).await.status, 200);

    // They are no first factor.
    assert_refused(&client.delete(&format!("{FACTORS}/{}", totp.id)).await, 422, "mfa_recovery_codes_sole_factor");
    assert_refused(&client.delete(&format!("{FACTORS}/{}", made["id"].as_str().unwrap())).await, 422, "validation_failed");
    assert_refused(&client.post(&format!("{FACTORS}/{}/challenge", made["id"].as_str().unwrap()), json!({})).await, 400, "validation_failed");
    let reply = client.delete(CODES).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["id"]), (200, &made["id"]));
    // The session stood by a recovery code.
    assert_refused(&client.post(CODES, json!({})).await, 403, "insufficient_aal");
}

#[tokio::test]
async fn wrong_recovery_codes_lock_them() {
    let app = TestApp::new().await;
    let (user, _, session) = user_with_factor(&app, "ada@example.com").await;
    let client = holder(&app, &session);
    let reply = client.post(&format!("{CODES}/verify"), json!({ "code": "aaaa-bbbb" })).await;
    assert_refused(&reply, 422, "mfa_verification_failed");
    let made = client.post(CODES, json!({ "friendly_name": "paper" })).await.json();
    for _ in 0..5 {
        let reply = client.post(&format!("{CODES}/verify"), json!({ "code": "aaaabbbbccccdddd" })).await;
        assert_refused(&reply, 422, "mfa_verification_failed");
    }
    let right = json!({ "code": made["codes"][0] });
    assert_refused(&client.post(&format!("{CODES}/verify"), right.clone()).await, 429, "mfa_recovery_codes_locked");
    // Who is raised already makes new ones and is not locked out.
    let fresh = client.post(&format!("{CODES}/regenerate"), json!({})).await.json();
    assert_eq!(client.post(&format!("{CODES}/verify"), json!({ "code": fresh["codes"][0] })).await.status, 200);
    let factors = app.service().get(&format!("/auth/v1/admin/users/{}/factors", user.id)).await.json();
    assert_eq!(factors[1]["friendly_name"], "paper", "{factors}");
    set(&app, json!({ "mfa": { "recovery_codes_enroll_enabled": false, "recovery_codes_verify_enabled": false } })).await;
    assert_refused(&client.post(CODES, json!({})).await, 422, "mfa_recovery_codes_enroll_not_enabled");
    assert_refused(&client.post(&format!("{CODES}/verify"), right).await, 422, "mfa_recovery_codes_verify_not_enabled");
}

#[tokio::test]
async fn an_admin_sees_and_renames_factors() {
    let app = TestApp::new().await;
    let (user, totp, _) = user_with_factor(&app, "ada@example.com").await;
    let at = format!("/auth/v1/admin/users/{}/factors", user.id);
    let listed = app.service().get(&at).await.json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &json!(totp.id)));
    let renamed = app.service().put(&format!("{at}/{}", totp.id), json!({ "friendly_name": "old phone" })).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json()["friendly_name"]), (200, &json!("old phone")));
    assert_refused(&app.service().get("/auth/v1/admin/users/nonsense/factors").await, 404, "validation_failed");
    let stranger = "00000000-0000-4000-8000-000000000000";
    assert_refused(&app.service().get(&format!("/auth/v1/admin/users/{stranger}/factors")).await, 404, "user_not_found");
    assert_refused(&app.service().delete(&format!("{at}/{stranger}")).await, 404, "mfa_factor_not_found");
    let other = format!("/auth/v1/admin/users/{}/factors/{}", app.user("bob@example.com", &[]).await.id, totp.id);
    assert_refused(&app.service().delete(&other).await, 404, "mfa_factor_not_found");
    assert_refused(&app.function("users:read").await.delete(&format!("{at}/{}", totp.id)).await, 403, "not_admin");
    assert_eq!(app.function("users:read").await.get(&at).await.status, 200);
}

#[tokio::test]
async fn a_soft_deleted_user_keeps_no_factor() {
    let app = TestApp::new().await;
    let (user, _, session) = user_with_factor(&app, "ada@example.com").await;
    let at = format!("/auth/v1/admin/users/{}", user.id);
    assert_eq!(app.service().json(Method::DELETE, &at, &json!({ "should_soft_delete": true })).await.status, 200);
    assert_eq!(app.service().get(&format!("{at}/factors")).await.json(), json!([]));
    assert_refused(&refresh(&app, &session["refresh_token"]).await, 400, "refresh_token_not_found");
}

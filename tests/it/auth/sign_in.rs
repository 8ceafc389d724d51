use std::time::Duration;

use serde_json::json;

use super::{REFRESH, SIGN_IN, assert_refused, set, sign_in};
use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn unknown_user_and_wrong_password_are_one_answer() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    let without = app.service().post("/auth/v1/admin/users", json!({ "email": "no@example.com", "email_confirm": true })).await;
    assert_eq!(without.status, 200, "{}", without.text());
    let mut answers = Vec::new();
    for (email, password) in [
        ("ada@example.com", "wrong password"),
        ("ada@example.com", ""),
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("no@example.com", PASSWORD),
        ("no@example.com", ""),
    ] {
        let reply = app.anonymous().post(SIGN_IN, json!({ "email": email, "password": password })).await;
        assert_refused(&reply, 400, "invalid_credentials");
        answers.push(reply.json());
    }
    assert_eq!(answers[0]["msg"], "Invalid login credentials");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn a_sign_in_is_noted_and_makes_a_session_of_its_own() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    app.app.clock.advance(Duration::from_mins(1));
    let session = sign_in(&app, "ADA@Example.com").await;
    assert_eq!(session["user"]["last_sign_in_at"], app.app.clock.now().to_string());
    assert_ne!(session["refresh_token"], user.session["refresh_token"]);
    assert!(session.get("weak_password").is_none());
    let shown = user.client.get("/auth/v1/user").await.json();
    assert_eq!(shown, session["user"]);
}

#[tokio::test]
async fn a_password_that_is_too_weak_today_still_works_and_is_told() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    set(&app, json!({ "password": { "min_length": 40 } })).await;
    let session = sign_in(&app, "ada@example.com").await;
    assert_eq!(session["weak_password"], json!({ "message": "Password should be at least 40 characters.", "reasons": ["length"] }));
}

#[tokio::test]
async fn a_banned_user_learns_of_it_only_with_the_right_password() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    app.service().put(&format!("/auth/v1/admin/users/{}", user.id), json!({ "ban_duration": "24h" })).await;
    let ask = async |password: &str| app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": password })).await;
    assert_refused(&ask("wrong password").await, 400, "invalid_credentials");
    assert_refused(&ask(PASSWORD).await, 400, "user_banned");
    assert_refused(&app.anonymous().post(REFRESH, json!({ "refresh_token": user.session["refresh_token"] })).await, 400, "user_banned");
    app.app.clock.advance(Duration::from_hours(24));
    assert_eq!(ask(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn what_is_no_grant_is_refused() {
    let app = TestApp::new().await;
    for query in ["", "?grant_type=", "?grant_type=implicit", "?grant_type=password&grant_type=password"] {
        let reply = app.anonymous().post(&format!("/auth/v1/token{query}"), json!({ "email": "a@b.de", "password": PASSWORD })).await;
        assert_refused(&reply, 400, "invalid_credentials");
        assert_eq!(reply.json()["msg"], "unsupported_grant_type");
    }
    for (asked, status, code) in [
        (json!({}), 400, "validation_failed"),
        (json!({ "password": PASSWORD }), 400, "validation_failed"),
        (json!({ "email": "a@b.de", "phone": "+49123", "password": PASSWORD }), 400, "validation_failed"),
        (json!({ "phone": "+49123", "password": PASSWORD }), 422, "phone_provider_disabled"),
        (json!([]), 400, "bad_json"),
    ] {
        assert_refused(&app.anonymous().post(SIGN_IN, asked).await, status, code);
    }
}

#[tokio::test]
async fn a_hash_of_other_costs_is_renewed_at_sign_in() {
    let app = TestApp::new().await;
    // "correct horse battery", hashed with other costs than those of today.
    let other = basalt::crypto::Passwords::new(&basalt::crypto::PasswordSettings { memory_kib: 32, passes: 3, ..Default::default() }).unwrap();
    let hash = other.hash("correct horse battery").await.unwrap();
    let asked = json!({ "email": "ada@example.com", "password_hash": hash, "email_confirm": true });
    let reply = app.service().post("/auth/v1/admin/users", asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let ask = async || app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": "correct horse battery" })).await.status;
    let stored = async || {
        let conn = app.app.db.read().await.unwrap();
        conn.query("SELECT encrypted_password FROM users").fetch_one::<(String,)>().await.unwrap().0
    };
    assert_eq!(stored().await, hash);
    assert_eq!(ask().await, 200);
    assert!(stored().await.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
    assert_eq!(ask().await, 200);
}

#[tokio::test]
async fn a_storm_of_sign_ins_is_told_to_come_back() {
    let app = TestApp::with(|config| {
        // Slow enough that the second comes while the first is hashed.
        config.auth.argon2_memory_kib = 19_456;
        config.auth.hash_threads = 1;
        config.auth.hash_queue = 1;
    })
    .await;
    let many = (0..12).map(|_| {
        let anonymous = app.anonymous();
        async move { anonymous.post(SIGN_IN, json!({ "email": "ada@example.com", "password": PASSWORD })).await }
    });
    let replies = futures_util::future::join_all(many).await;
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert!(!refused.is_empty() && refused.len() < 12, "{} of 12 were refused", refused.len());
    for reply in refused {
        assert_eq!(reply.header("retry-after"), "1");
        assert_refused(reply, 503, "unexpected_failure");
    }
}

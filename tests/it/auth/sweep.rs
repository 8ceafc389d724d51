//! What is over is let go of, and what is not is left alone.

use std::time::Duration;

use basalt::auth::keep_swept;
use serde_json::{Value, json};

use super::{assert_refused, factors::user_with_factor, holder, refresh, set, sign_in};
use crate::support::TestApp;

const ADA: &str = "ada@example.com";

async fn sweep(app: &TestApp) {
    keep_swept(app.app.clone()).await.unwrap();
}

fn hours(app: &TestApp, hours: u64) {
    app.app.clock.advance(Duration::from_hours(hours));
}

/// What a client is told of an ended session: why it ended, and later that there is none.
async fn assert_ends(app: &TestApp, session: &Value) {
    sweep(app).await;
    assert_refused(&refresh(app, &session["refresh_token"]).await, 400, "session_expired");
    hours(app, 25);
    sweep(app).await;
    assert_refused(&refresh(app, &session["refresh_token"]).await, 400, "refresh_token_not_found");
}

#[tokio::test]
async fn sessions_go_whose_time_is_over() {
    let app = TestApp::new().await;
    let eve = app.user_of(&app.other, "eve@example.org", &[]).await;
    set(&app, json!({ "sessions": { "timebox_seconds": 7200 } })).await;
    let session = app.user(ADA, &[]).await.session;
    hours(&app, 1);
    sweep(&app).await;
    let session = refresh(&app, &session["refresh_token"]).await.json();
    hours(&app, 1);
    assert_ends(&app, &session).await;
    // Another tenant has it otherwise.
    let reply = app.nobody().key(&app.other.publishable_key).post(super::REFRESH, json!({ "refresh_token": eve.session["refresh_token"] })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn sessions_go_that_nobody_uses() {
    let app = TestApp::new().await;
    set(&app, json!({ "sessions": { "inactivity_seconds": 7200 } })).await;
    let mut used = app.user(ADA, &[]).await.session;
    let unused = sign_in(&app, ADA).await;
    hours(&app, 1);
    used = refresh(&app, &used["refresh_token"]).await.json();
    hours(&app, 1);
    used = refresh(&app, &used["refresh_token"]).await.json();
    assert_ends(&app, &unused).await;
    assert_refused(&refresh(&app, &used["refresh_token"]).await, 400, "session_expired");
}

#[tokio::test]
async fn sessions_go_that_lack_the_second_factor_or_were_followed_by_another() {
    let app = TestApp::new().await;
    let (_, _, raised) = user_with_factor(&app, ADA).await;
    set(&app, json!({ "sessions": { "low_aal_seconds": 600 } })).await;
    let low = sign_in(&app, ADA).await;
    hours(&app, 1);
    assert_ends(&app, &low).await;
    assert_eq!(refresh(&app, &raised["refresh_token"]).await.status, 200);

    let bob = app.user("bob@example.com", &[]).await;
    hours(&app, 1);
    let later = sign_in(&app, "bob@example.com").await;
    set(&app, json!({ "sessions": { "single_per_user": true } })).await;
    assert_ends(&app, &bob.session).await;
    assert_eq!(refresh(&app, &later["refresh_token"]).await.status, 200);
}

async fn count(app: &TestApp, table: &'static str) -> i64 {
    let (count,): (i64,) = app.app.db.read().await.unwrap().query(table).fetch_one().await.unwrap();
    count
}

#[tokio::test]
async fn tokens_flows_and_challenges_go_that_are_over() {
    let (app, _provider) = super::providers::with_provider().await;
    set(&app, super::passkeys::settings()).await;
    let client = app.user(ADA, &[]).await.client;
    let totp = super::factors::enroll(&client, "app").await;
    assert_eq!(client.post(&format!("/auth/v1/factors/{}/challenge", totp.id), json!({})).await.status, 200);
    assert_eq!(app.anonymous().post("/auth/v1/recover", json!({ "email": ADA })).await.status, 200);
    app.run_jobs().await;
    assert_eq!(app.nobody().get("/auth/v1/authorize?provider=keycloak").await.status, 302);
    assert_eq!(app.anonymous().post("/auth/v1/passkeys/authentication/options", json!({})).await.status, 200);
    let tables = [
        "SELECT count(*) FROM one_time_tokens",
        "SELECT count(*) FROM flow_states",
        "SELECT count(*) FROM factor_challenges",
        "SELECT count(*) FROM passkey_challenges",
        "SELECT count(*) FROM message_requests",
    ];
    sweep(&app).await;
    for table in tables {
        assert_eq!(count(&app, table).await, 1, "{table}");
    }
    hours(&app, 25);
    sweep(&app).await;
    for table in tables {
        assert_eq!(count(&app, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_banned_users_refresh_token_is_not_used_up() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    let path = format!("/auth/v1/admin/users/{}", user.id);
    assert_eq!(app.service().put(&path, json!({ "ban_duration": "24h" })).await.status, 200);
    for _ in 0..2 {
        assert_refused(&refresh(&app, &user.session["refresh_token"]).await, 400, "user_banned");
        app.app.clock.advance(Duration::from_mins(1));
    }
    let sessions = app.service().get(&format!("{path}/sessions")).await.json();
    assert_eq!(sessions[0]["refreshed_at"], Value::Null, "{sessions}");
    assert_eq!(app.service().put(&path, json!({ "ban_duration": "none" })).await.status, 200);
    let session = refresh(&app, &user.session["refresh_token"]).await;
    assert_eq!(session.status, 200, "{}", session.text());
    assert_eq!(holder(&app, &session.json()).get("/auth/v1/user").await.status, 200);
}

use std::time::Duration;

use serde_json::{Value, json};

use super::{REFRESH, assert_refused, holder, refresh, set};
use crate::support::TestApp;

async fn child(app: &TestApp, token: &Value) -> Value {
    let reply = refresh(app, token).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Long enough after the last refresh that nobody is merely late.
fn wait(app: &TestApp) {
    app.app.clock.advance(Duration::from_secs(11));
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_pair() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    wait(&app);
    let next = child(&app, &user.session["refresh_token"]).await;
    assert_ne!(next["refresh_token"], user.session["refresh_token"]);
    assert_eq!(next["user"]["id"], user.id.as_str());
    assert_eq!(next["expires_at"], app.app.clock.now().seconds() + 3600);
    assert_eq!(holder(&app, &next).get("/auth/v1/user").await.status, 200);
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
}

/// V20
#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let first = child(&app, &user.session["refresh_token"]).await;
    for _ in 0..3 {
        app.app.clock.advance(Duration::from_hours(24));
        assert_eq!(child(&app, &user.session["refresh_token"]).await["refresh_token"], first["refresh_token"]);
    }
    let second = child(&app, &first["refresh_token"]).await;
    assert_eq!(child(&app, &first["refresh_token"]).await["refresh_token"], second["refresh_token"]);
}

#[tokio::test]
async fn who_goes_away_before_the_answer_gets_the_same_child_later() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let token = user.session["refresh_token"].clone();
    // Dropped while the commit is under way, as a connection that breaks: what was handed in still happens.
    let asked = refresh(&app, &token);
    let _ = tokio::time::timeout(Duration::ZERO, asked).await;
    let first = child(&app, &token).await;
    let second = child(&app, &first["refresh_token"]).await;
    assert_eq!(child(&app, &first["refresh_token"]).await["refresh_token"], second["refresh_token"]);
}

/// V20, 2b.5
#[tokio::test]
async fn fifty_refreshes_at_once_are_one_chain() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let mut token = user.session["refresh_token"].clone();
    for _ in 0..5 {
        let many = (0..50).map(|_| {
            let (anonymous, asked) = (app.anonymous(), json!({ "refresh_token": token }));
            tokio::spawn(async move { anonymous.post(REFRESH, asked).await })
        });
        let replies: Vec<_> = futures_util::future::join_all(many).await.into_iter().map(Result::unwrap).collect();
        assert!(replies.iter().all(|reply| reply.status == 200), "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
        let next = replies[0].json()["refresh_token"].clone();
        assert!(replies.iter().all(|reply| reply.json()["refresh_token"] == next));
        assert_ne!(next, token);
        token = next;
        wait(&app);
    }
    child(&app, &token).await;
}

/// V20, 2b.5
#[tokio::test]
async fn an_old_token_ends_the_session() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let other = super::sign_in(&app, "ada@example.com").await;
    let first = child(&app, &user.session["refresh_token"]).await;
    let second = child(&app, &first["refresh_token"]).await;
    wait(&app);
    assert_refused(&refresh(&app, &user.session["refresh_token"]).await, 400, "refresh_token_already_used");
    for token in [&user.session, &first, &second] {
        assert_refused(&refresh(&app, &token["refresh_token"]).await, 400, "refresh_token_not_found");
    }
    assert_refused(&holder(&app, &second).get("/auth/v1/user").await, 403, "session_not_found");
    assert_eq!(holder(&app, &other).get("/auth/v1/user").await.status, 200);
}

#[tokio::test]
async fn how_late_a_client_may_be_is_the_tenants_choice() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let first = child(&app, &user.session["refresh_token"]).await;
    let second = child(&app, &first["refresh_token"]).await;
    assert_eq!(child(&app, &user.session["refresh_token"]).await["refresh_token"], second["refresh_token"]);
    set(&app, json!({ "sessions": { "refresh_reuse_seconds": 0 } })).await;
    assert_refused(&refresh(&app, &user.session["refresh_token"]).await, 400, "refresh_token_already_used");
}

/// V25
#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let token = user.session["refresh_token"].as_str().unwrap().to_owned();
    assert_refused(&app.anonymous().post(REFRESH, json!({})).await, 400, "validation_failed");
    for length in 1..token.len() {
        assert_refused(&refresh(&app, &json!(token[..length])).await, 400, "validation_failed");
    }
    for wrong in [format!("{token}A"), format!("{token}="), format!(" {token}"), "x".repeat(5000), user.session["access_token"].to_string()] {
        assert_refused(&refresh(&app, &json!(wrong)).await, 400, "validation_failed");
    }
    let mut changed = token.clone().into_bytes();
    changed[30] = if changed[30] == b'A' { b'B' } else { b'A' };
    assert_refused(&refresh(&app, &json!(String::from_utf8(changed).unwrap())).await, 400, "refresh_token_not_found");
    let other = app.nobody().key(&app.other.publishable_key);
    assert_refused(&other.post(REFRESH, json!({ "refresh_token": token })).await, 400, "refresh_token_not_found");
    assert_eq!(refresh(&app, &json!(token)).await.status, 200);
}

#[tokio::test]
async fn an_expired_bearer_is_no_hindrance() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    app.app.clock.advance(Duration::from_hours(2));
    assert_refused(&user.client.get("/auth/v1/user").await, 403, "bad_jwt");
    let reply = user.client.post(REFRESH, json!({ "refresh_token": user.session["refresh_token"] })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

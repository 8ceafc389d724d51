use std::time::Duration;

use serde_json::json;

use super::{assert_refused, holder, refresh, sign_in};
use crate::support::{Client, Reply, TestApp, TestUser};

#[tokio::test]
async fn signing_out_ends_the_sessions_it_names() {
    for (scope, this, others) in [("", false, false), ("?scope=global", false, false), ("?scope=local", false, true), ("?scope=others", true, false)]
    {
        let app = TestApp::new().await;
        let user = app.user("ada@example.com", &[]).await;
        let other = sign_in(&app, "ada@example.com").await;
        let bystander = app.user("bob@example.com", &[]).await;
        let reply = user.client.send(http::Method::POST, &format!("/auth/v1/logout{scope}"), "").await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (204, ""), "{scope}");
        for (session, lives) in [(&user.session, this), (&other, others)] {
            let status = if lives { 200 } else { 403 };
            assert_eq!(holder(&app, session).get("/auth/v1/user").await.status, status, "{scope}");
            let status = if lives { 200 } else { 400 };
            assert_eq!(refresh(&app, &session["refresh_token"]).await.status, status, "{scope}");
        }
        assert_eq!(bystander.client.get("/auth/v1/user").await.status, 200);
    }
}

#[tokio::test]
async fn an_unknown_scope_ends_nothing() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    for scope in ["everything", "", "GLOBAL"] {
        assert_refused(&user.client.post(&format!("/auth/v1/logout?scope={scope}"), json!({})).await, 400, "validation_failed");
    }
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
}

/// Asks every surface, and tells what each thinks of who is asking.
async fn everywhere(client: &Client) -> [String; 3] {
    let auth = client.get("/auth/v1/user").await;
    let storage = client.get("/storage/v1/bucket").await;
    let records = client.get("/rest/v1/departments").await;
    let told = |reply: &Reply, name: &str| format!("{} {}", reply.status.as_u16(), reply.json()[name].as_str().unwrap_or_default());
    [told(&auth, "error_code"), told(&storage, "statusCode"), told(&records, "code")]
}

/// V23
#[tokio::test]
async fn an_end_is_felt_at_once_on_every_surface() {
    let app = TestApp::new().await;
    let at = |user: &TestUser| format!("/auth/v1/admin/users/{}", user.id);
    let user = app.user("ada@example.com", &["hr"]).await;
    assert_eq!(everywhere(&user.client).await, ["200 ", "200 ", "200 "]);

    app.service().put(&at(&user), json!({ "ban_duration": "1h" })).await;
    assert_eq!(everywhere(&user.client).await, ["403 user_banned", "400 403", "401 PGRST303"]);
    app.service().put(&at(&user), json!({ "ban_duration": "none" })).await;
    assert_eq!(everywhere(&user.client).await, ["200 ", "200 ", "200 "]);

    assert_eq!(user.client.post("/auth/v1/logout", json!({})).await.status, 204);
    assert_eq!(everywhere(&user.client).await, ["403 session_not_found", "400 403", "401 PGRST303"]);
    assert_refused(&user.client.post("/auth/v1/logout", json!({})).await, 403, "session_not_found");
    assert_refused(&user.client.get("/auth/v1/admin/users").await, 403, "session_not_found");

    let again = sign_in(&app, "ada@example.com").await;
    let client = holder(&app, &again);
    assert_eq!(everywhere(&client).await, ["200 ", "200 ", "200 "]);
    app.service().delete(&at(&user)).await;
    assert_eq!(everywhere(&client).await, ["403 user_not_found", "400 403", "401 PGRST303"]);
}

#[tokio::test]
async fn a_bad_token_is_told_in_each_surfaces_words() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    assert_eq!(everywhere(&app.anonymous().bearer("nonsense")).await, ["403 bad_jwt", "400 403", "401 PGRST301"]);
    assert_eq!(everywhere(&app.nobody()).await, ["401 no_authorization", "400 403", "401 PGRST302"]);
    let mut cut = app.default.publishable_key.clone();
    cut.pop();
    assert_eq!(everywhere(&app.nobody().key(&cut)).await, ["401 no_authorization", "400 403", "401 PGRST301"]);
    app.app.clock.advance(Duration::from_hours(2));
    assert_eq!(everywhere(&user.client).await, ["403 bad_jwt", "400 403", "401 PGRST303"]);
    let records = user.client.get("/rest/v1/departments").await;
    assert_eq!((&records.json()["message"], records.header("www-authenticate")), (&json!("JWT expired"), "Bearer error=\"invalid_token\""));
}

/// V9, V24
#[tokio::test]
async fn a_change_of_roles_is_felt_at_once() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let give = async |roles: serde_json::Value| {
        let reply = app.service().put(&format!("/auth/v1/admin/users/{}", user.id), json!({ "app_metadata": { "roles": roles } })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let pay = async || user.client.get("/rest/v1/compensations").await;
    let without = pay().await;
    give(json!(["payroll"])).await;
    let with = pay().await;
    give(json!(null)).await;
    let after = pay().await;
    assert_eq!((without.status.as_u16(), with.status.as_u16()), (403, 200), "{}", with.text());
    assert_eq!((without.status, without.text()), (after.status, after.text()));
}

use serde_json::json;

use super::{assert_refused, holder, refresh, sign_in};
use crate::support::TestApp;

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

#[tokio::test]
async fn who_signed_out_is_refused_on_every_surface() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    assert_eq!(user.client.post("/auth/v1/logout", json!({})).await.status, 204);
    assert_refused(&user.client.get("/auth/v1/user").await, 403, "session_not_found");
    assert_refused(&user.client.post("/auth/v1/logout", json!({})).await, 403, "session_not_found");
    assert_refused(&user.client.get("/auth/v1/admin/users").await, 403, "session_not_found");
}

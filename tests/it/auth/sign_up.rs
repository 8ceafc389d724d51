use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_stranger_signs_up_and_is_signed_in() {
    let app = TestApp::new().await;
    let user = app.user("Ada@Example.com", &["hr"]).await;
    let reply = user.client.get("/auth/v1/user").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = reply.json();
    assert_eq!(shown["email"], "ada@example.com");
    assert_eq!(shown["app_metadata"]["roles"], json!(["hr"]));
    let reply =
        app.anonymous().post("/auth/v1/token?grant_type=password", json!({"email": "ada@example.com", "password": crate::support::PASSWORD})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = app.anonymous().post("/auth/v1/token?grant_type=refresh_token", json!({"refresh_token": reply.json()["refresh_token"]})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

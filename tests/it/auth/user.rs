use serde_json::json;

use super::{SIGN_IN, assert_refused, holder, refresh, sign_in};
use crate::support::{PASSWORD, TestApp};

const USER: &str = "/auth/v1/user";

#[tokio::test]
async fn what_a_user_notes_is_merged() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    user.client.put(USER, json!({ "data": { "a": 1, "b": { "c": 2 } } })).await;
    let reply = user.client.put(USER, json!({ "data": { "a": null, "b": { "d": 3 } } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let noted = &reply.json()["user_metadata"];
    assert!(noted.get("a").is_none());
    assert_eq!((&noted["b"], &noted["email"]), (&json!({ "d": 3 }), &json!("ada@example.com")));
    assert_refused(&user.client.put(USER, json!({ "data": { "a": "x".repeat(9000) } })).await, 400, "validation_failed");
    let half = json!({ "data": { "x": "x".repeat(5000) } });
    assert_eq!(user.client.put(USER, half).await.status, 200);
    assert_refused(&user.client.put(USER, json!({ "data": { "y": "y".repeat(5000) } })).await, 400, "validation_failed");
}

/// V7, V27
#[tokio::test]
async fn a_user_gives_itself_no_role() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    assert_refused(&user.client.put(USER, json!({ "app_metadata": { "roles": ["admin"] } })).await, 403, "not_admin");
    let reply = user.client.put(USER, json!({ "data": { "roles": ["admin"] }, "role": "service_role", "email_confirmed_at": "x" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = reply.json();
    assert_eq!((&shown["role"], shown["app_metadata"].get("roles")), (&json!("authenticated"), None));
    assert_refused(&user.client.get("/auth/v1/admin/users").await, 403, "not_admin");
}

/// V22
#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let other = sign_in(&app, "ada@example.com").await;
    for (asked, status, code) in [
        (json!({ "password": PASSWORD }), 422, "same_password"),
        (json!({ "password": "short" }), 422, "weak_password"),
        (json!({ "password": "" }), 400, "validation_failed"),
        (json!({ "password": "another password", "current_password": "wrong password" }), 400, "current_password_invalid"),
    ] {
        assert_refused(&user.client.put(USER, asked).await, status, code);
    }
    assert_eq!(holder(&app, &other).get(USER).await.status, 200);
    let reply = user.client.put(USER, json!({ "password": "another password", "current_password": PASSWORD })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(user.client.get(USER).await.status, 200);
    assert_refused(&holder(&app, &other).get(USER).await, 403, "session_not_found");
    assert_refused(&refresh(&app, &other["refresh_token"]).await, 400, "refresh_token_not_found");
    assert_eq!(refresh(&app, &user.session["refresh_token"]).await.status, 200);
    let ask = async |password: &str| app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": password })).await;
    assert_refused(&ask(PASSWORD).await, 400, "invalid_credentials");
    assert_eq!(ask("another password").await.status, 200);
}

#[tokio::test]
async fn only_a_user_is_one() {
    let app = TestApp::new().await;
    let key = app.default.publishable_key.clone();
    assert_refused(&app.nobody().get(USER).await, 401, "no_authorization");
    assert_refused(&app.anonymous().get(USER).await, 401, "no_authorization");
    assert_refused(&app.service().get(USER).await, 401, "no_authorization");
    assert_refused(&app.anonymous().bearer(&key).get(USER).await, 403, "bad_jwt");
    assert_refused(&app.service().bearer(&app.default.secret_key).get(USER).await, 403, "bad_jwt");
    assert_refused(&app.anonymous().bearer(&app.default.secret_key).get(USER).await, 401, "no_authorization");
    assert_refused(&app.anonymous().bearer("nonsense").get(USER).await, 403, "bad_jwt");
    assert_refused(&app.anonymous().header("authorization", "Basic abc").get(USER).await, 403, "bad_jwt");
}

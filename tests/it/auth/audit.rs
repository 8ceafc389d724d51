//! The audit log: what is in it, who may read it, and what is not in it.

use http::Method;
use serde_json::{Value, json};

use super::{SIGN_IN, assert_refused, refresh, sign_in};
use crate::support::{PASSWORD, TestApp};

const AUDIT: &str = "/auth/v1/admin/audit";

async fn entries(app: &TestApp, query: &str) -> Vec<Value> {
    let reply = app.service().get(&format!("{AUDIT}{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().as_array().unwrap().clone()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["payload"]["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_a_user_does_is_noted_once_in_upstreams_shape() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let reply =
        app.anonymous().header("x-request-id", "try-1").post(SIGN_IN, json!({ "email": "ada@example.com", "password": "wrong password" })).await;
    assert_refused(&reply, 400, "invalid_credentials");
    app.anonymous().post(SIGN_IN, json!({ "email": "nobody@example.com", "password": PASSWORD })).await;
    sign_in(&app, "ada@example.com").await;
    assert_eq!(user.client.put("/auth/v1/user", json!({ "password": "another password", "data": { "full_name": "Ada L" } })).await.status, 200);
    assert_eq!(user.client.post("/auth/v1/logout?scope=local", json!({})).await.status, 204);

    let found = entries(&app, "").await;
    let expected = ["logout", "user_modified", "user_updated_password", "login", "login_failed", "login_failed", "login", "user_signedup"];
    assert_eq!(actions(&found)[..expected.len()], expected);
    let login = &found[3];
    assert!(login["id"].is_string() && login["created_at"].is_string());
    assert_eq!(login["ip_address"], "");
    let payload = &login["payload"];
    assert_eq!((&payload["actor_id"], &payload["actor_username"]), (&json!(user.id), &json!("ada@example.com")));
    assert_eq!((&payload["actor_name"], &payload["actor_via_sso"], &payload["log_type"]), (&json!("Ada L"), &json!(false), &json!("account")));
    assert_eq!(payload["traits"]["method"], "password");
    let [unknown, wrong] = [&found[4]["payload"], &found[5]["payload"]];
    assert_eq!((&wrong["traits"]["reason"], &wrong["traits"]["user_id"]), (&json!("invalid_credentials"), &json!(user.id)));
    assert_eq!((&wrong["actor_username"], &wrong["request_id"]), (&json!("anonymous"), &json!("try-1")));
    assert_eq!((&unknown["traits"]["user_id"], &unknown["actor_id"]), (&Value::Null, &json!(uuid::Uuid::nil())));
}

#[tokio::test]
async fn the_log_is_searched_and_read_by_pages() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    app.user("bob_x@example.com", &["hr"]).await;
    assert_eq!(actions(&entries(&app, "?query=action:LOGIN").await), ["login", "login"]);
    assert_eq!(entries(&app, "?query=author:bob_x").await.len(), 2);
    assert_eq!(entries(&app, "?query=author:bo%25").await.len(), 0, "a wildcard is a letter");
    assert_eq!(actions(&entries(&app, "?query=author:service").await), ["user_modified"]);
    assert_eq!(actions(&entries(&app, "?query=type:team").await), ["user_signedup", "user_signedup"]);
    let reply = app.service().get(&format!("{AUDIT}?page=2&per_page=2&query=type:account")).await;
    assert_eq!((reply.json(), reply.header("x-total-count")), (json!([]), "2"));
    let reply = app.service().get(&format!("{AUDIT}?page=1&per_page=1&query=type:account")).await;
    let at = "/auth/v1/admin/audit?page=2&per_page=1&query=type%3Aaccount";
    assert_eq!(reply.header("link"), format!("<{at}>; rel=\"next\", <{at}>; rel=\"last\""));
    for wrong in ["?query=who:x", "?query=author", "?page=0"] {
        assert_refused(&app.service().get(&format!("{AUDIT}{wrong}")).await, 400, "validation_failed");
    }
}

#[tokio::test]
async fn only_who_may_reads_the_log_of_its_own_tenant() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["owner", "admin"]).await;
    assert_eq!(app.function("audit:read").await.get(AUDIT).await.status, 200);
    for client in [&app.function("users:read,users:write").await, &user.client, &app.anonymous()] {
        assert_refused(&client.get(AUDIT).await, 403, "not_admin");
    }
    let theirs = app.other_service().get(AUDIT).await.json();
    assert!(theirs.as_array().unwrap().iter().all(|entry| entry["payload"]["actor_id"] != user.id), "{theirs}");
    assert!(!theirs.to_string().contains("login"));
}

#[tokio::test]
async fn what_admins_and_operators_do_is_noted_with_who_they_are() {
    let app = TestApp::new().await;
    let made = app.service().post("/auth/v1/admin/users", json!({ "email": "ada@example.com", "password": PASSWORD })).await.json();
    let path = format!("/auth/v1/admin/users/{}", made["id"].as_str().unwrap());
    let writer = app.function("users:write").await;
    assert_eq!(writer.put(&path, json!({ "ban_duration": "1h", "user_metadata": { "canary": "777123" } })).await.status, 200);
    assert_eq!(writer.send(Method::DELETE, &path, "").await.status, 200);
    let operator = app.operator();
    assert_eq!(operator.patch("/admin/v1/tenants/default", json!({ "settings": { "sign_up": { "enabled": false } } })).await.status, 200);
    let key = operator.post("/admin/v1/tenants/default/keys", json!({ "kind": "secret", "scopes": ["pay:read"] })).await.json();
    assert_eq!(operator.delete(&format!("/admin/v1/tenants/default/keys/{}", key["id"].as_str().unwrap())).await.status, 204);
    assert_eq!(operator.post("/admin/v1/tenants/default/signing-keys/rotate", json!({})).await.status, 201);

    let reply = operator.get("/admin/v1/tenants/default/audit?limit=7").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let list = reply.json();
    let found: Vec<(&str, &str)> =
        list["entries"].as_array().unwrap().iter().map(|entry| (entry["action"].as_str().unwrap(), entry["actor_kind"].as_str().unwrap())).collect();
    assert_eq!(
        found,
        [
            ("signing_key_added", "operator"),
            ("key_revoked", "operator"),
            ("key_created", "operator"),
            ("tenant_modified", "operator"),
            ("user_deleted", "key"),
            ("user_modified", "key"),
            // The test's own function key, made by the process.
            ("key_created", "system"),
        ]
    );
    assert_eq!(list["entries"][3]["traits"], json!({ "changed": ["settings.sign_up.enabled"] }));
    assert_eq!(list["entries"][5]["traits"], json!({ "changed": ["user_metadata", "ban"] }));
    assert_eq!(list["entries"][5]["subject_id"], made["id"]);
    assert!(list["entries"][0]["actor_id"].is_string() && list["entries"][5]["actor_id"].is_string());
    let next = list["next"].as_str().unwrap();
    let rest = operator.get(&format!("/admin/v1/tenants/default/audit?before={next}")).await.json();
    assert_eq!(rest["entries"][0]["action"], "user_signedup");
    assert_eq!(rest["entries"][0]["actor_kind"], "service_role");
    let only = operator.get("/admin/v1/tenants/default/audit?action=key_revoked").await.json();
    assert_eq!(only["entries"].as_array().unwrap().len(), 1);
    assert_eq!(operator.get("/admin/v1/tenants/default/audit?limit=0").await.status, 422);
    assert_eq!(operator.get("/admin/v1/tenants/nobody/audit").await.status, 404);
    // No secret, no address, no value that was set.
    let secret = key["key"].as_str().unwrap();
    for canary in ["777123", "ada@example.com", secret, PASSWORD] {
        assert!(!list.to_string().contains(canary) && !rest.to_string().contains(canary), "{canary}");
    }
}

/// V20
#[tokio::test]
async fn a_stolen_refresh_token_leaves_its_mark() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let first = user.session["refresh_token"].clone();
    let second = refresh(&app, &first).await.json()["refresh_token"].clone();
    refresh(&app, &second).await;
    app.app.clock.advance(std::time::Duration::from_mins(1));
    assert_refused(&refresh(&app, &first).await, 400, "refresh_token_already_used");
    let found = entries(&app, "?query=action:token").await;
    assert_eq!(actions(&found), ["token_revoked"]);
    assert_eq!(found[0]["payload"]["traits"]["user_id"], user.id);
}

#[tokio::test]
async fn an_erased_user_leaves_no_address_in_the_log() {
    let app = TestApp::new().await;
    let user = app.user("canary@example.com", &[]).await;
    let path = format!("/auth/v1/admin/users/{}", user.id);
    assert!(app.service().get(AUDIT).await.text().contains("canary@example.com"));
    assert_eq!(app.service().json(Method::DELETE, &path, &json!({ "should_soft_delete": true })).await.status, 200);
    let log = app.service().get(AUDIT).await.text();
    assert!(!log.contains("canary@example.com") && log.contains(&user.id), "{log}");
    assert_eq!(app.service().delete(&path).await.status, 200);
    assert!(!app.service().get(AUDIT).await.text().contains("canary"));
}

#[tokio::test]
async fn entries_are_never_changed_and_go_with_their_tenant() {
    let app = TestApp::new().await;
    app.user_of(&app.other, "eve@example.org", &[]).await;
    let change = app.app.db.write(|tx| async move { tx.query("UPDATE audit_log SET action = 'x'").execute().await }).await;
    assert!(change.is_err());
    assert_eq!(app.operator().delete("/admin/v1/tenants/other").await.status, 204);
    let left = app.operator().get("/admin/v1/tenants/other/audit").await.json();
    assert_eq!(left["entries"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!(left["entries"][0]["action"], "tenant_deleted");
}

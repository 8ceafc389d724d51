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

/// Entries of one kind, newest first, as what is told of them.
async fn told(app: &TestApp, action: &str) -> Vec<Value> {
    entries(app, &format!("?query=action:{action}")).await.into_iter().map(|entry| entry["payload"].clone()).collect()
}

#[tokio::test]
async fn what_goes_by_mail_is_noted_with_who_asked_and_without_what_was_sent() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    super::proved(&app, &user.id).await;
    let client = app.anonymous().header("x-request-id", "mail-1");
    for path in ["/auth/v1/otp", "/auth/v1/recover"] {
        for email in ["ada@example.com", "nobody@example.com"] {
            let reply = client.post(path, json!({ "email": email, "create_user": false })).await;
            assert!(reply.status == 200 || reply.status == 422, "{}", reply.text());
            app.run_jobs().await;
        }
    }
    let requested = told(&app, "user_recovery_requested").await;
    let traits: Vec<&Value> = requested.iter().map(|payload| &payload["traits"]).collect();
    assert_eq!(
        traits,
        [
            &json!({ "asked": "recovery", "sent": false }),
            &json!({ "asked": "recovery", "sent": true, "user_id": user.id }),
            &json!({ "asked": "sign_in", "sent": true, "user_id": user.id }),
        ]
    );
    assert!(requested.iter().all(|payload| payload["request_id"] == "mail-1" && payload["actor_username"] == "anonymous"), "{requested:?}");
    // A wrong code, then the right one.
    let mail = super::mails::newest(&app, "ada@example.com").await;
    let wrong = super::mails::wrong(&mail.code);
    assert_refused(&super::mails::verify(&client, "recovery", "ada@example.com", &wrong).await, 403, "otp_expired");
    let failed = told(&app, "login_failed").await;
    assert_eq!(failed[0]["traits"], json!({ "method": "otp", "reason": "otp_expired", "user_id": user.id }));
    assert_eq!(super::mails::verify(&client, "recovery", "ada@example.com", &mail.code).await.status, 200);
    let login = &told(&app, "login").await[0];
    assert_eq!((&login["traits"]["method"], &login["actor_id"], &login["request_id"]), (&json!("otp"), &json!(user.id), &json!("mail-1")));
    // Another address, agreed to at both.
    assert_eq!(user.client.put("/auth/v1/user", json!({ "email": "new@example.com" })).await.status, 200);
    let (old, new) = (super::mails::newest(&app, "ada@example.com").await, super::mails::newest(&app, "new@example.com").await);
    for mail in [&old, &new] {
        assert_eq!(super::mails::follow(&app, mail).await.status, 303);
    }
    let modified = told(&app, "user_modified").await;
    assert_eq!(modified[0]["traits"], json!({ "changed": ["email"], "user_id": user.id }));
    assert_eq!(modified[1]["traits"], json!({ "agreed_to_email": "current", "user_id": user.id }));
    assert_eq!(user.client.get("/auth/v1/reauthenticate").await.status, 200);
    assert_eq!(told(&app, "user_reauthenticate_requested").await[0]["actor_id"], user.id);
    // No code, no hash, no address.
    let log = app.operator().get("/admin/v1/tenants/default/audit?limit=1000").await.text();
    let secrets = [&mail, &old, &new].map(|mail| [mail.code.clone(), mail.parameter("token")]).concat();
    for canary in secrets.iter().map(String::as_str).chain(["example.com"]) {
        assert!(!log.contains(&format!("{canary}\"")) && !log.contains(&format!("@{canary}")), "{canary}: {log}");
    }
}

#[tokio::test]
async fn what_an_admin_sends_and_its_user_takes_up_is_noted() {
    let app = TestApp::new().await;
    super::set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    let invited = app.service().post("/auth/v1/invite", json!({ "email": "ada@example.com" })).await.json();
    let mail = super::mails::newest(&app, "ada@example.com").await;
    assert_eq!(super::mails::follow(&app, &mail).await.status, 303);
    let sent = &told(&app, "user_invited").await[0];
    assert_eq!((&sent["traits"]["user_id"], &sent["actor_username"]), (&invited["id"], &json!("service_role")));
    assert_eq!(told(&app, "invite_accepted").await[0]["actor_id"], invited["id"]);
    let link = json!({ "type": "recovery", "email": "ada@example.com" });
    assert_eq!(app.function("users:write").await.post("/auth/v1/admin/generate_link", link).await.status, 200);
    let generated = &told(&app, "user_recovery_requested").await[0];
    assert_eq!((&generated["traits"]["link"], &generated["actor_username"]), (&json!("recovery"), &json!("key")));
    // Who signs up, and confirms.
    assert_eq!(app.anonymous().post("/auth/v1/signup", json!({ "email": "bob@example.com", "password": PASSWORD })).await.status, 200);
    let mail = super::mails::newest(&app, "bob@example.com").await;
    assert_eq!(told(&app, "user_confirmation_requested").await[0]["traits"]["sent"], true);
    let session = super::mails::verify(&app.anonymous(), "signup", "bob@example.com", &mail.code).await.json();
    let confirmed = &told(&app, "user_confirmed").await[0];
    assert_eq!((&confirmed["actor_id"], &confirmed["traits"]["provider"]), (&session["user"]["id"], &json!("email")));
    // A newcomer by a code.
    assert_eq!(app.anonymous().post("/auth/v1/otp", json!({ "email": "carol@example.com" })).await.status, 200);
    assert_eq!(told(&app, "user_signedup").await[0]["traits"]["provider"], "email");
}

#[tokio::test]
async fn a_wrong_nonce_leaves_its_mark() {
    let app = TestApp::new().await;
    super::set(&app, json!({ "password": { "require_reauthentication": true }, "sessions": { "access_token_seconds": 86400 } })).await;
    let user = app.user("ada@example.com", &[]).await;
    app.app.clock.advance(std::time::Duration::from_secs(86_390));
    let session = refresh(&app, &user.session["refresh_token"]).await.json();
    app.app.clock.advance(std::time::Duration::from_secs(20));
    let change = json!({ "password": "another password", "nonce": "123456" });
    assert_refused(&super::holder(&app, &session).put("/auth/v1/user", change).await, 422, "reauthentication_not_valid");
    assert_eq!(told(&app, "user_reauthenticate_failed").await[0]["actor_id"], user.id);
}

/// Word to who has an account already is a mail that was sent.
#[tokio::test]
async fn word_of_an_attempt_is_noted_as_sent() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    super::set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    assert_eq!(app.anonymous().post("/auth/v1/signup", json!({ "email": "ada@example.com", "password": PASSWORD })).await.status, 200);
    assert_eq!(app.mails("ada@example.com").await.len(), 1);
    let requested = told(&app, "user_confirmation_requested").await;
    assert_eq!(requested[0]["traits"], json!({ "asked": "confirmation", "sent": true, "user_id": user.id }));
}

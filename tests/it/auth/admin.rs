use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{SIGN_IN, assert_refused, holder, refresh, sign_in};
use crate::support::{Client, PASSWORD, TestApp};

const USERS: &str = "/auth/v1/admin/users";

fn path(id: &Value) -> String {
    format!("{USERS}/{}", id.as_str().unwrap())
}

async fn made(admin: &Client, asked: Value) -> Value {
    let reply = admin.post(USERS, asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[tokio::test]
async fn an_admin_makes_a_user() {
    let app = TestApp::new().await;
    let asked = json!({
        "email": "Ada@Example.com", "password": "1", "email_confirm": true, "user_metadata": { "full_name": "Ada" },
        "app_metadata": { "roles": ["hr"] }, "id": "00000000-0000-4000-8000-000000000001",
    });
    let user = made(&app.service(), asked.clone()).await;
    assert_eq!(user["id"], "00000000-0000-4000-8000-000000000001");
    assert_eq!(user["app_metadata"], json!({ "provider": "email", "providers": ["email"], "roles": ["hr"] }));
    assert_eq!(user["user_metadata"], json!({ "full_name": "Ada", "email_verified": true }));
    assert_eq!(user["identities"].as_array().unwrap().len(), 1);
    assert_eq!(app.service().get(&path(&user["id"])).await.json(), user);
    let reply = app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": "1" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_refused(&app.service().post(USERS, asked).await, 422, "email_exists");
    let unconfirmed = made(&app.service(), json!({ "email": "bob@example.com", "password": PASSWORD })).await;
    assert!(unconfirmed.get("email_confirmed_at").is_none());
    let reply = app.anonymous().post(SIGN_IN, json!({ "email": "bob@example.com", "password": PASSWORD })).await;
    assert_refused(&reply, 400, "email_not_confirmed");
}

#[tokio::test]
async fn what_an_admin_says_must_make_sense() {
    let app = TestApp::new().await;
    let user = made(&app.service(), json!({ "email": "bob@example.com" })).await;
    for asked in [
        json!({}),
        json!({ "email": "" }),
        json!({ "email": "nonsense" }),
        json!({ "email": "a@b.de", "ban_duration": "forever" }),
        json!({ "email": "a@b.de", "role": "service_role" }),
        json!({ "email": "a@b.de", "role": "a b" }),
        json!({ "email": "a@b.de", "id": "00000000-0000-0000-0000-000000000000" }),
        json!({ "email": "a@b.de", "password_hash": "$2a$10$abc" }),
        json!({ "email": "a@b.de", "password_hash": "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }),
        json!({ "email": "a@b.de", "password": "x", "password_hash": "y" }),
        json!({ "email": "a@b.de", "app_metadata": { "x": "x".repeat(3000) } }),
    ] {
        assert_refused(&app.service().post(USERS, asked.clone()).await, 400, "validation_failed");
        if asked.get("email").is_some_and(|email| email != "") && asked.get("id").is_none() {
            assert_refused(&app.service().put(&path(&user["id"]), asked).await, 400, "validation_failed");
        }
    }
    assert_refused(&app.service().post(USERS, json!({ "email": "a@b.de", "id": "x" })).await, 400, "bad_json");
    assert_refused(&app.service().post(USERS, json!({ "phone": "04912345" })).await, 400, "validation_failed");
    assert_eq!(app.service().get(&path(&user["id"])).await.json(), user);
    assert_eq!(app.service().get(USERS).await.header("x-total-count"), "1");
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    let app = TestApp::new().await;
    for number in 0..7 {
        app.app.clock.advance(Duration::from_secs(1));
        made(&app.service(), json!({ "email": format!("u{number}@example.com"), "user_metadata": { "full_name": format!("Näme {number}%") } })).await;
    }
    let emails = async |query: &str| {
        let reply = app.service().get(&format!("{USERS}{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let users = reply.json()["users"].as_array().unwrap().clone();
        let emails = users.iter().map(|user| user["email"].as_str().unwrap()[..2].to_owned()).collect::<Vec<_>>().join(" ");
        (emails, reply.header("x-total-count").to_owned(), reply.header("link").to_owned())
    };
    let (all, total, link) = emails("?page=&per_page=").await;
    assert_eq!((all.as_str(), total.as_str()), ("u6 u5 u4 u3 u2 u1 u0", "7"));
    assert_eq!(link, r#"</auth/v1/admin/users?page=1&per_page=50>; rel="last""#);
    let (first, total, link) = emails("?page=1&per_page=3").await;
    assert_eq!((first.as_str(), total.as_str()), ("u6 u5 u4", "7"));
    assert_eq!(link, r#"</auth/v1/admin/users?page=2&per_page=3>; rel="next", </auth/v1/admin/users?page=3&per_page=3>; rel="last""#);
    assert_eq!(emails("?page=3&per_page=3").await.0, "u0");
    assert_eq!(emails("?page=4&per_page=3").await.0, "");
    assert_eq!(emails("?sort=created_at%20asc&per_page=2").await.0, "u0 u1");
    assert_eq!(emails("?filter=U3@").await.0, "u3");
    assert_eq!(emails("?filter=me%203").await.0, "u3");
    assert_eq!(emails("?filter=3%25").await.0, "u3");
    assert_eq!(emails("?filter=%25").await.1, "7");
    assert_eq!(
        emails("?filter=u_").await,
        (String::new(), "0".to_owned(), r#"</auth/v1/admin/users?page=1&per_page=50&filter=u_>; rel="last""#.to_owned())
    );
    // By the whole address it is that user or nobody, whatever others call themselves.
    let link = |name: &str| format!(r#"</auth/v1/admin/users?page=1&per_page=50&email={name}%40example.com>; rel="last""#);
    let impostor = json!({ "email": "v0@example.com", "user_metadata": { "full_name": "u3@example.com" } });
    made(&app.service(), impostor).await;
    assert_eq!(emails("?email=U3@example.com").await, ("u3".to_owned(), "1".to_owned(), link("U3")));
    assert_eq!(emails("?email=U3@example.com&page=2").await.0, "");
    assert_eq!(emails("?email=nobody@example.com").await, (String::new(), "0".to_owned(), link("nobody")));
    for wrong in ["?page=0", "?page=x", "?per_page=-1", "?sort=email", "?page=1&page=2", "?email=u3"] {
        assert_refused(&app.service().get(&format!("{USERS}{wrong}")).await, 400, "validation_failed");
    }
    assert_eq!(app.other_service().get(USERS).await.json()["users"], json!([]));
}

#[tokio::test]
async fn an_admin_changes_a_user() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    app.user("bob@example.com", &[]).await;
    let at = path(&json!(user.id));
    let changed =
        app.service().put(&at, json!({ "app_metadata": { "roles": null, "a": 1 }, "user_metadata": { "b": 2 }, "role": "staff" })).await.json();
    assert_eq!(changed["app_metadata"], json!({ "provider": "email", "providers": ["email"], "a": 1 }));
    assert_eq!((&changed["user_metadata"]["b"], &changed["role"]), (&json!(2), &json!("staff")));
    assert_refused(&app.service().put(&at, json!({ "email": "bob@example.com" })).await, 422, "email_exists");
    let changed = app.service().put(&at, json!({ "email": "Lovelace@example.com" })).await.json();
    assert_eq!((&changed["email"], &changed["identities"][0]["email"]), (&json!("lovelace@example.com"), &json!("lovelace@example.com")));
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    let reply = app.service().put(&at, json!({ "password": "another password" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_refused(&user.client.get("/auth/v1/user").await, 403, "session_not_found");
    assert_refused(&refresh(&app, &user.session["refresh_token"]).await, 400, "refresh_token_not_found");
    let reply = app.anonymous().post(SIGN_IN, json!({ "email": "lovelace@example.com", "password": "another password" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// V23
#[tokio::test]
async fn a_ban_is_felt_at_once_and_ends_in_time() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let at = path(&json!(user.id));
    let banned = app.service().put(&at, json!({ "ban_duration": "1h30m" })).await.json();
    assert_eq!(banned["banned_until"], app.app.clock.now().plus_seconds(5400).to_string());
    assert_refused(&user.client.get("/auth/v1/user").await, 403, "user_banned");
    app.service().put(&at, json!({ "ban_duration": "none" })).await;
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    app.service().put(&at, json!({ "ban_duration": "10m" })).await;
    assert_refused(&user.client.get("/auth/v1/user").await, 403, "user_banned");
    app.app.clock.advance(Duration::from_mins(10));
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
}

/// V23
#[tokio::test]
async fn a_deleted_user_is_gone_at_once() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let at = path(&json!(user.id));
    let reply = app.service().delete(&at).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (200, json!({})));
    assert_refused(&user.client.get("/auth/v1/user").await, 403, "user_not_found");
    assert_refused(&refresh(&app, &user.session["refresh_token"]).await, 400, "refresh_token_not_found");
    assert_refused(&app.service().get(&at).await, 404, "user_not_found");
    assert_refused(&app.service().delete(&at).await, 404, "user_not_found");
    assert_refused(&app.service().put(&at, json!({ "role": "x" })).await, 404, "user_not_found");
    let again = app.user("ada@example.com", &[]).await;
    assert_ne!(again.id, user.id);
}

#[tokio::test]
async fn a_soft_delete_leaves_a_trace_without_the_person() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    let at = path(&json!(user.id));
    let reply = app.anonymous().at("203.0.113.9").post(SIGN_IN, json!({ "email": "ada@example.com", "password": PASSWORD })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for _ in 0..2 {
        let reply = app.service().json(Method::DELETE, &at, &json!({ "should_soft_delete": true })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let trace = app.service().get(&at).await.json();
    assert!(trace["deleted_at"].is_string());
    let (networks,): (i64,) = app.app.db.read().await.unwrap().query("SELECT COUNT(*) FROM user_networks").fetch_one().await.unwrap();
    assert_eq!(networks, 0, "where it came from is forgotten");
    assert_eq!(
        [&trace["email"], &trace["identities"], &trace["user_metadata"], &trace["app_metadata"]],
        [&json!(""), &json!([]), &json!({}), &json!({})]
    );
    assert_refused(&user.client.get("/auth/v1/user").await, 403, "user_not_found");
    assert_refused(&refresh(&app, &user.session["refresh_token"]).await, 400, "refresh_token_not_found");
    let reply = app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": PASSWORD })).await;
    assert_refused(&reply, 400, "invalid_credentials");
    assert_ne!(app.user("ada@example.com", &[]).await.id, user.id);
    sign_in(&app, "ada@example.com").await;
}

/// V32, V33
#[tokio::test]
async fn only_who_may_reaches_the_users() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["owner", "admin", "hr"]).await;
    let at = path(&json!(user.id));
    let reader = app.function("users:read").await;
    let writer = app.function("users:read,users:write").await;
    let neither = app.function("employees:read,employees:write").await;
    assert_eq!(reader.get(USERS).await.status, 200);
    assert_eq!(reader.get(&at).await.status, 200);
    assert_eq!(writer.put(&at, json!({ "user_metadata": { "a": 1 } })).await.status, 200);
    for reply in [
        reader.post(USERS, json!({ "email": "x@example.com" })).await,
        reader.put(&at, json!({})).await,
        reader.delete(&at).await,
        neither.get(USERS).await,
        neither.delete(&at).await,
        user.client.get(USERS).await,
        user.client.delete(&at).await,
        app.anonymous().get(&at).await,
        app.anonymous().post(USERS, json!({ "email": "x@example.com" })).await,
    ] {
        assert_refused(&reply, 403, "not_admin");
    }
    assert_refused(&app.nobody().get(USERS).await, 401, "no_authorization");
    assert_refused(&app.other_service().get(&at).await, 404, "user_not_found");
    assert_refused(&app.other_service().put(&at, json!({ "role": "x" })).await, 404, "user_not_found");
    assert_refused(&app.other_service().delete(&at).await, 404, "user_not_found");
    assert_eq!(holder(&app, &user.session).get("/auth/v1/user").await.status, 200);
}

#[tokio::test]
async fn an_id_that_is_none_is_told_so() {
    let app = TestApp::new().await;
    for id in ["x", "1", "00000000000040008000000000000001", "%00", "a'b"] {
        assert_refused(&app.service().get(&format!("{USERS}/{id}")).await, 404, "validation_failed");
    }
}

#[tokio::test]
async fn a_new_password_is_judged_by_the_new_address() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let at = path(&json!(user.id));
    let change = json!({ "email": "xylophonist@example.com", "password": "xylophonist" });
    assert_refused(&app.service().put(&at, change).await, 422, "weak_password");
    let change = json!({ "email": "xylophonist@example.com", "password": "a quiet morning lake" });
    assert_eq!(app.service().put(&at, change).await.status, 200);
}

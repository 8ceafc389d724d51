//! Ids of others: in paths, queries, bodies and headers, of another user, of another tenant, of what is no longer there.

use http::Method;
use serde_json::{Value, json};

use super::{
    assert_refused, factors, holder,
    mails::{newest, verify_hash},
    passkeys::Authenticator,
    providers::{Visit, add_custom, user_of, visit, with_provider},
    refresh, set, sign_in,
};
use crate::support::{Client, IdentityProvider, PASSWORD, TestApp, TestUser};

const ADA: &str = "ada@example.com";

/// A user with one of everything that has an id, and those ids by the name they have in a path.
async fn with_everything(app: &TestApp) -> (TestUser, Client, Vec<(&'static str, String)>) {
    set(app, super::passkeys::settings()).await;
    set(app, json!({ "identities": { "manual_linking": true } })).await;
    let (user, totp, raised) = factors::user_with_factor(app, ADA).await;
    let client = holder(app, &raised);
    let passkey = Authenticator::new().register(&client).await.json();
    let session = factors::claims(&raised)["session_id"].as_str().unwrap().to_owned();
    let identity = user.session["user"]["identities"][0]["identity_id"].as_str().unwrap().to_owned();
    let ids = vec![
        ("{user_id}", user.id.clone()),
        ("{factor_id}", totp.id.clone()),
        ("{session_id}", session),
        ("{passkey_id}", passkey["id"].as_str().unwrap().to_owned()),
        ("{identity_id}", identity),
        ("{identifier}", "custom:acme".to_owned()),
    ];
    (user, client, ids)
}

/// Every route of sign-in that has an id in its path, with these ids in it.
fn routes(ids: &[(&'static str, String)]) -> Vec<(Method, String, String)> {
    let document = serde_json::to_value(basalt::router::document()).unwrap();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/auth/v1/") || !path.contains('{') {
            continue;
        }
        let filled = ids.iter().fold(path.clone(), |path, (name, id)| path.replace(name, id));
        assert!(!filled.contains('{'), "{path} has an id of a kind that is not known here");
        for method in ["get", "post", "put", "patch", "delete"] {
            if operations.get(method).is_some() {
                found.push((method.to_uppercase().parse().unwrap(), path.clone(), filled.clone()));
            }
        }
    }
    assert!(found.len() > 15, "the routes are no longer found");
    found
}

/// All of what an admin sees of a user.
async fn all_of(app: &TestApp, id: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for what in ["", "/factors", "/passkeys", "/sessions"] {
        all.push(app.service().get(&format!("/auth/v1/admin/users/{id}{what}")).await.json());
    }
    all
}

/// V32, V33: whatever names an id of one user or tenant means nothing to another, on every route that has one.
#[tokio::test]
async fn an_id_of_one_is_nothing_to_another() {
    let (app, provider) = with_provider().await;
    let (user, client, ids) = with_everything(&app).await;
    add_custom(&app, "custom:acme", &provider.url("/idp")).await;
    let eve = app.user("eve@example.com", &["owner", "admin", "hr"]).await;
    let stranger = app.user_of(&app.other, "mallory@example.com", &["owner", "admin"]).await;
    let before = all_of(&app, &user.id).await;
    let body = json!({
        "friendly_name": "stolen", "email": "stolen@example.com", "code": "123456", "challenge_id": "00000000-0000-4000-8000-000000000001",
        "password": "a stolen long password", "name": "stolen",
    });
    let bodies = [json!({}), body];
    for (method, path, filled) in routes(&ids) {
        for body in &bodies {
            for (who, other) in [
                ("another tenant's key", app.other_service()),
                ("another tenant's user", stranger.client.clone()),
                ("another user", eve.client.clone()),
            ] {
                let reply = other.json(method.clone(), &filled, body).await;
                assert!(matches!(reply.status.as_u16(), 400 | 401 | 403 | 404 | 422), "{method} {path} by {who}: {} {}", reply.status, reply.text());
                assert!(!reply.text().contains(ADA), "{method} {path} by {who}: {}", reply.text());
            }
        }
    }
    assert_eq!(all_of(&app, &user.id).await, before);
    assert_eq!(client.get("/auth/v1/user").await.status, 200);
    assert_eq!(app.service().get("/auth/v1/admin/custom-providers/custom:acme").await.json()["name"], "custom:acme");
}

/// V32: nor in a query, a body or a header beside one's own token.
#[tokio::test]
async fn who_asks_is_who_the_token_says() {
    let app = TestApp::new().await;
    let ada = app.user(ADA, &["owner"]).await;
    let eve = app.user("eve@example.com", &[]).await;
    let before = all_of(&app, &ada.id).await;
    let query = format!("user_id={0}&id={0}&sub={0}&uid={0}&tenant=other&tenant_id=2&email={ADA}", ada.id);
    let names = ["x-user-id", "x-tenant", "x-tenant-id", "x-basalt-tenant", "x-forwarded-user", "x-original-user", "x-role", "x-supabase-role"];
    let client =
        names.iter().fold(eve.client.clone(), |client, name| client.header(name, if name.contains("role") { "service_role" } else { &ada.id }));
    let body =
        json!({ "user_id": ada.id, "id": ada.id, "sub": ada.id, "user": { "id": ada.id }, "tenant": "other", "data": { "seen": 1 }, "scopes": "*" });
    assert_eq!(client.get(&format!("/auth/v1/user?{query}")).await.json()["id"], eve.id.as_str());
    assert_eq!(client.put(&format!("/auth/v1/user?{query}"), body.clone()).await.json()["id"], eve.id.as_str());
    let sessions = client.get(&format!("/auth/v1/user/sessions?{query}")).await.json();
    assert_eq!(sessions.as_array().unwrap().len(), 1);
    for path in ["/auth/v1/admin/users", "/auth/v1/admin/audit", "/auth/v1/admin/custom-providers"] {
        assert_refused(&client.get(&format!("{path}?{query}")).await, 403, "not_admin");
    }
    // Keys are the operator's to make, whatever is said of who wants one.
    for maker in [&client, &app.service(), &app.function("users:read users:write").await, &app.anonymous(), &app.nobody()] {
        for tenant in ["default", "other"] {
            for (method, path) in [
                (Method::POST, "keys"),
                (Method::GET, "keys"),
                (Method::DELETE, "keys/00000000-0000-4000-8000-000000000001"),
                (Method::POST, "signing-keys/rotate"),
            ] {
                let asked = json!({ "kind": "secret", "name": "mine", "user_id": ada.id, "tenant": tenant, "scopes": ["pay:read"] });
                let reply = maker.json(method.clone(), &format!("/admin/v1/tenants/{tenant}/{path}?{query}"), &asked).await;
                assert_eq!(reply.status, 401, "{method} {path}: {}", reply.text());
            }
        }
    }
    assert_eq!(client.post(&format!("/auth/v1/logout?scope=global&{query}"), body).await.status, 204);
    assert_eq!(all_of(&app, &ada.id).await, before);
    assert_eq!(ada.client.get("/auth/v1/user").await.status, 200);
}

/// V32: a key says what it may do; nothing beside it can say more.
#[tokio::test]
async fn a_key_has_the_scopes_that_it_was_made_with() {
    let app = TestApp::new().await;
    let reader = app.function("users:read").await;
    let pushy = ["x-scopes", "x-scope", "x-role"].iter().fold(reader, |client, name| client.header(name, "users:write"));
    assert_eq!(pushy.get("/auth/v1/admin/users").await.status, 200);
    for path in ["/auth/v1/admin/users", "/auth/v1/admin/users?scopes=users:write", "/auth/v1/admin/users?scope=users:write&role=service_role"] {
        let asked = json!({ "email": "x@example.com", "scopes": ["users:write"], "scope": "users:write", "role": "service_role" });
        assert_refused(&pushy.post(path, asked).await, 403, "not_admin");
    }
    for (path, body) in [
        ("/auth/v1/invite", json!({ "email": "x@example.com" })),
        ("/auth/v1/admin/generate_link", json!({ "type": "invite", "email": "x@example.com" })),
    ] {
        assert_refused(&pushy.post(path, body).await, 403, "not_admin");
    }
    assert_eq!(pushy.get("/auth/v1/admin/users").await.header("x-total-count"), "0");
}

/// V34: who comes again with the address of a deleted user is somebody new.
#[tokio::test]
async fn who_comes_after_a_deleted_user_inherits_nothing() {
    for (soft, same_id) in [(false, false), (true, false), (false, true)] {
        let app = TestApp::new().await;
        let (user, client, ids) = with_everything(&app).await;
        assert_eq!(
            app.service().put(&format!("/auth/v1/admin/users/{}", user.id), json!({ "app_metadata": { "roles": ["owner"] } })).await.status,
            200
        );
        assert_eq!(app.anonymous().post("/auth/v1/recover", json!({ "email": ADA })).await.status, 200);
        let mail = newest(&app, ADA).await;
        let at = format!("/auth/v1/admin/users/{}", user.id);
        assert_eq!(app.service().json(Method::DELETE, &at, &json!({ "should_soft_delete": soft })).await.status, 200);
        let mut asked = json!({ "email": ADA, "password": PASSWORD, "email_confirm": true });
        if same_id {
            // Only an admin can say which id a user has.
            asked["id"] = json!(user.id);
        }
        let made = app.service().post("/auth/v1/admin/users", asked).await;
        assert_eq!(made.status, 200, "{}", made.text());
        let made = made.json();
        assert_eq!(made["id"] == user.id.as_str(), same_id);
        assert_eq!(made["app_metadata"], json!({ "provider": "email", "providers": ["email"] }));
        let code = if same_id { "session_not_found" } else { "user_not_found" };
        assert_refused(&client.get("/auth/v1/user").await, 403, code);
        assert_refused(&refresh(&app, &user.session["refresh_token"]).await, 400, "refresh_token_not_found");
        assert_refused(&verify_hash(&app.anonymous(), "recovery", &mail.parameter("token")).await, 403, "otp_expired");
        let now = all_of(&app, made["id"].as_str().unwrap()).await;
        assert_eq!((&now[1], &now[2], &now[3]), (&json!([]), &json!([]), &json!([])), "factors, passkeys, sessions");
        let session = sign_in(&app, ADA).await;
        assert_eq!(factors::claims(&session)["app_metadata"]["roles"], Value::Null);
        for (name, id) in &ids {
            assert!(*name == "{user_id}" || !session.to_string().contains(id.as_str()), "{name}");
        }
    }
}

/// V34: nobody but an admin chooses an id.
#[tokio::test]
async fn who_signs_up_chooses_no_id() {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "anonymous": true } })).await;
    let id = "00000000-0000-4000-8000-000000000001";
    let asked = json!({ "id": id, "user_id": id, "sub": id, "email": ADA, "password": PASSWORD, "data": { "id": id, "sub": id } });
    assert_ne!(app.anonymous().post("/auth/v1/signup", asked).await.json()["user"]["id"], id);
    assert_ne!(app.anonymous().post("/auth/v1/signup", json!({ "id": id, "data": { "sub": id } })).await.json()["user"]["id"], id);
    let ada = app.service().get(&format!("/auth/v1/admin/users/{id}")).await;
    assert_refused(&ada, 404, "user_not_found");
}

/// V34: another provider of the same name calls other people by the same ids.
#[tokio::test]
async fn a_provider_inherits_no_identities_from_the_last_of_its_name() {
    let (app, first) = with_provider().await;
    add_custom(&app, "custom:acme", &first.url("/idp")).await;
    let user =
        user_of(&app, &Visit { name: "custom:acme", ..visit(&app, &first) }.go(json!({ "sub": "1", "email": ADA, "email_verified": true })).await)
            .await;
    assert_eq!(app.service().delete("/auth/v1/admin/custom-providers/custom:acme").await.status, 204);
    let second = IdentityProvider::new(&app.app.clock).await;
    add_custom(&app, "custom:acme", &second.url("/idp")).await;
    let by_second = Visit { name: "custom:acme", provider: &second, ..visit(&app, &first) };
    let other = user_of(&app, &by_second.go(json!({ "sub": "1", "email": "eve@example.com", "email_verified": true })).await).await;
    assert_ne!(other["id"], user["id"]);
    assert_eq!(other["email"], "eve@example.com");
    // Who has proved her address comes back by it.
    let again = user_of(&app, &by_second.go(json!({ "sub": "2", "email": ADA, "email_verified": true })).await).await;
    assert_eq!(again["id"], user["id"]);
}

/// V35: a connection that served one tenant shows nothing of it to the next.
#[tokio::test]
async fn one_connection_serves_one_tenant_after_the_other() {
    let app = TestApp::with(|config| config.database.max_connections = 1).await;
    app.user(ADA, &[]).await;
    app.user_of(&app.other, "eve@example.org", &[]).await;
    assert_eq!(app.service().post("/rest/v1/departments", json!({ "code": "d", "name": "D" })).await.status, 201);
    for _ in 0..20 {
        let ours = app.service().get("/auth/v1/admin/users").await.text();
        let theirs = app.other_service().get("/auth/v1/admin/users").await.text();
        assert!(ours.contains(ADA) && !ours.contains("eve@") && theirs.contains("eve@") && !theirs.contains(ADA));
        assert_eq!(app.other_service().get("/rest/v1/departments").await.json(), json!([]));
        assert_eq!(app.service().get("/rest/v1/departments").await.json().as_array().unwrap().len(), 1);
        assert_eq!(app.nobody().get("/rest/v1/departments").await.status, 401, "and to nobody nothing");
    }
    // One address, one code: unique in a tenant, and no answer tells of another's.
    app.user_of(&app.other, ADA, &[]).await;
    assert_eq!(app.other_service().post("/rest/v1/departments", json!({ "code": "d", "name": "D" })).await.status, 201);
}

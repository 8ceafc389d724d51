//! Every route of the document, asked by everybody who should not be answered.

use basalt::router::document;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestApp, TestUser};

/// Routes that need no key: what they tell is public, or a token in the URL is checked in its place.
const OPEN: &[&str] = &[
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/auth/v1/health",
    "/auth/v1/.well-known/jwks.json",
    "/auth/v1/verify/confirm",
    "/auth/v1/.well-known/openid-configuration",
    // Browsers come here, with a state that is checked.
    "/auth/v1/authorize",
    "/auth/v1/callback",
    "/storage/v1/status",
    "/storage/v1/version",
];

struct Route {
    method: Method,
    path: String,
    filled: String,
}

/// Every route of the document, with values in its path that name nothing.
fn routes() -> Vec<Route> {
    let document = serde_json::to_value(document()).unwrap();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["get", "head", "post", "put", "patch", "delete"] {
            if operations.get(method).is_some() {
                routes.push(Route { method: method.to_uppercase().parse().unwrap(), path: path.clone(), filled: filled(path) });
            }
        }
    }
    routes
}

fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{ref}" => "default",
        "{bucket}" | "{key}" => "thing",
        part if part.starts_with('{') => "00000000-0000-7000-8000-000000000000",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn is_open(route: &Route) -> bool {
    let path = route.path.as_str();
    OPEN.contains(&path)
        // The link in a mail; what an app posts there needs a key.
        || path == "/auth/v1/verify" && route.method == Method::GET
        || path.starts_with("/storage/v1/object/public/")
        || path.starts_with("/storage/v1/object/info/public/")
        || path.starts_with("/storage/v1/object/sign/")
        || path.starts_with("/storage/v1/render/image/public/")
        || path.starts_with("/storage/v1/render/image/sign/")
        || path.starts_with("/storage/v1/object/upload/sign/") && route.method == Method::PUT
}

async fn ask(client: &Client, route: &Route, prefix: &str) -> (u16, Value) {
    let path = format!("{prefix}{}", route.filled);
    let reply = match route.method {
        Method::GET | Method::HEAD | Method::DELETE => client.send(route.method.clone(), &path, "").await,
        _ => client.json(route.method.clone(), &path, &json!({})).await,
    };
    let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    (reply.status.as_u16(), body)
}

/// Whether an answer refuses who is asking, in the words of the surface: storage says 400 and means what is in the body.
fn refuses(path: &str, status: u16, body: &Value) -> bool {
    let told = body["statusCode"].as_str().and_then(|status| status.parse().ok());
    match told {
        Some(told) if path.starts_with("/storage/v1") => matches!(told, 401 | 403),
        // The answer to HEAD has no body.
        None if path.starts_with("/storage/v1") => matches!(status, 400 | 401 | 403),
        _ => matches!(status, 401 | 403),
    }
}

async fn all_refuse(client: &Client, prefix: &str, who: &str, skip: impl Fn(&Route) -> bool) {
    let mut wrong = Vec::new();
    let mut asked = 0;
    for route in routes() {
        if is_open(&route) || skip(&route) {
            continue;
        }
        asked += 1;
        let (status, body) = ask(client, &route, prefix).await;
        if !refuses(&route.path, status, &body) {
            wrong.push(format!("{} {} answers {who} with {status} {body}", route.method, route.path));
        }
    }
    assert!(asked > 10, "the routes are no longer found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// V26
#[tokio::test]
async fn nobody_is_answered_anywhere() {
    let app = TestApp::new().await;
    // Files of public buckets are also read at the address of all files.
    let may_be_public = |route: &Route| route.method == Method::GET && route.path == "/storage/v1/object/{bucket}/{key}";
    all_refuse(&app.nobody(), "", "no key", may_be_public).await;
}

/// V33
#[tokio::test]
async fn a_foreign_tenants_keys_and_users_are_refused_everywhere() {
    let app = TestApp::new().await;
    let user = app.user_of(&app.other, "eve@example.org", &["owner", "admin", "hr", "payroll"]).await;
    for client in [app.other_service(), app.nobody().key(&app.other.publishable_key), user.client] {
        all_refuse(&client, "/t/default", "a foreign tenant", |_| false).await;
    }
}

/// V25
#[tokio::test]
async fn a_key_that_does_not_exist_opens_nothing() {
    let app = TestApp::new().await;
    let mut key = app.default.secret_key.clone();
    key.truncate(key.len() - 1);
    all_refuse(&app.nobody().key(&key), "", "a cut key", |_| false).await;
    all_refuse(&app.nobody().bearer("a.b.c"), "", "a token that is none", |_| false).await;
}

/// What a publishable key is for: becoming a user.
fn is_for_everybody(path: &str) -> bool {
    [
        "/auth/v1/signup",
        "/auth/v1/token",
        "/auth/v1/settings",
        "/auth/v1/otp",
        "/auth/v1/magiclink",
        "/auth/v1/recover",
        "/auth/v1/resend",
        "/auth/v1/verify",
    ]
    .contains(&path)
        || path.starts_with("/auth/v1/passkeys/authentication/")
}

#[tokio::test]
async fn a_publishable_key_opens_only_what_everybody_needs() {
    let app = TestApp::new().await;
    // Storage answers that there is no such thing, which is what it says of everything that may not be seen.
    all_refuse(&app.anonymous(), "", "a publishable key", |route| is_for_everybody(&route.path) || route.path.starts_with("/storage/v1")).await;
}

/// V32
#[tokio::test]
async fn a_function_key_without_the_scope_opens_nothing() {
    let app = TestApp::new().await;
    let function = app.function("storage.elsewhere:read").await;
    all_refuse(&function, "", "a function key without the scope", |route| is_for_everybody(&route.path) || route.path.starts_with("/storage/v1"))
        .await;
}

#[tokio::test]
async fn a_user_without_roles_opens_no_admin_route() {
    let app = TestApp::new().await;
    let user = app.user("ann@example.org", &[]).await;
    all_refuse(&user.client, "", "a user", |route| !route.path.contains("/admin/")).await;
}

/// What opened something before and may not any more, felt by the very next request.
struct Ended {
    what: &'static str,
    /// Routes that ask for no user, and a key that is good all the same.
    keeps_key: bool,
}

/// A user with every role, of whom `end` takes something away.
async fn all_refuse_after(ended: Ended, end: impl AsyncFnOnce(&TestApp, &TestUser)) {
    let app = TestApp::new().await;
    let user = app.user("ann@example.org", &["owner", "admin", "hr", "payroll", "manager"]).await;
    assert_eq!(user.client.get("/rest/v1/employees").await.status, 200);
    assert_eq!(user.client.get("/storage/v1/bucket").await.status, 200);
    end(&app, &user).await;
    all_refuse(&user.client, "", ended.what, |route| ended.keeps_key && is_for_everybody(&route.path)).await;
    let token = user.session["refresh_token"].clone();
    let reply = app.anonymous().post("/auth/v1/token?grant_type=refresh_token", json!({ "refresh_token": token })).await;
    assert!(matches!(reply.status.as_u16(), 400 | 401), "{}: {}", ended.what, reply.text());
}

fn of_user(user: &TestUser) -> String {
    format!("/auth/v1/admin/users/{}", user.id)
}

/// V23, V24: banned, deleted, signed out: every route refuses at once.
#[tokio::test]
async fn who_is_out_is_out_everywhere() {
    let ended = |what| Ended { what, keeps_key: true };
    for (what, method, body) in [
        ("a banned user", Method::PUT, json!({ "ban_duration": "1h" })),
        ("a user with another password", Method::PUT, json!({ "password": "another long password" })),
        ("a deleted user", Method::DELETE, json!({})),
        ("a softly deleted user", Method::DELETE, json!({ "should_soft_delete": true })),
    ] {
        all_refuse_after(ended(what), async |app, user| {
            assert_eq!(app.service().json(method, &of_user(user), &body).await.status, 200);
        })
        .await;
    }
    all_refuse_after(ended("a user whom an admin signed out"), async |app, user| {
        assert_eq!(app.service().delete(&format!("{}/sessions", of_user(user))).await.status, 204);
    })
    .await;
    for scope in ["global", "local"] {
        all_refuse_after(ended("a user who signed out"), async |_, user| {
            assert_eq!(user.client.post(&format!("/auth/v1/logout?scope={scope}"), json!({})).await.status, 204);
        })
        .await;
    }
    all_refuse_after(ended("a user whose old refresh token was used again"), async |app, user| {
        let refresh = async |token: &Value| app.anonymous().post("/auth/v1/token?grant_type=refresh_token", json!({ "refresh_token": token })).await;
        let first = refresh(&user.session["refresh_token"]).await.json();
        refresh(&first["refresh_token"]).await;
        app.app.clock.advance(std::time::Duration::from_secs(11));
        assert_eq!(refresh(&user.session["refresh_token"]).await.status, 400);
    })
    .await;
}

/// V23, V24: a tenant that is suspended or gone, and a key that is revoked or over.
#[tokio::test]
async fn what_is_taken_from_a_tenant_is_felt_everywhere() {
    let at = "/admin/v1/tenants/default";
    let ended = |what| Ended { what, keeps_key: false };
    all_refuse_after(ended("a user of a suspended tenant"), async |app, _| {
        assert_eq!(app.operator().patch(at, json!({ "status": "suspended" })).await.status, 200);
        all_refuse(&app.service(), "", "a key of a suspended tenant", |_| false).await;
        all_refuse(&app.anonymous(), "", "a publishable key of a suspended tenant", |_| false).await;
    })
    .await;
    all_refuse_after(ended("a user of a tenant that is gone"), async |app, _| {
        assert_eq!(app.operator().delete(at).await.status, 204);
        all_refuse(&app.service(), "", "a key of a tenant that is gone", |_| false).await;
    })
    .await;
    let app = TestApp::new().await;
    for (kind, scopes) in [("secret", json!([])), ("secret", json!(["users:read", "employees:read"])), ("publishable", json!([]))] {
        let made = app.operator().post(&format!("{at}/keys"), json!({ "kind": kind, "scopes": scopes })).await.json();
        let client = app.nobody().key(made["key"].as_str().unwrap());
        assert_eq!(client.get("/auth/v1/settings").await.status, 200);
        assert_eq!(app.operator().delete(&format!("{at}/keys/{}", made["id"].as_str().unwrap())).await.status, 204);
        all_refuse(&client, "", "a revoked key", |_| false).await;
    }
    let end = app.app.clock.now().plus_seconds(60);
    let made = app.operator().post(&format!("{at}/keys"), json!({ "kind": "secret", "expires_at": end })).await.json();
    let client = app.nobody().key(made["key"].as_str().unwrap());
    assert_eq!(client.get("/auth/v1/admin/users").await.status, 200);
    app.app.clock.advance(std::time::Duration::from_mins(1));
    all_refuse(&client, "", "a key that is over", |_| false).await;
}

/// V9, V24: a role is felt when it goes, before and after a refresh, and no token gives it back.
#[tokio::test]
async fn a_role_that_is_taken_away_is_not_refreshed() {
    let app = TestApp::new().await;
    let user = app.user("ann@example.org", &["hr"]).await;
    assert_eq!(app.service().post("/rest/v1/departments", json!({ "code": "d", "name": "D", "cost_center": "c" })).await.status, 201);
    let sees = async |client: &Client| client.get("/rest/v1/departments?select=code,cost_center").await.status.as_u16();
    assert_eq!(sees(&user.client).await, 200);
    for (roles, status) in
        [(json!(null), 403), (json!(["hr"]), 200), (json!([]), 403), (json!("hr"), 403), (json!({ "hr": true }), 403), (json!(["HR"]), 403)]
    {
        assert_eq!(app.service().put(&of_user(&user), json!({ "app_metadata": { "roles": roles } })).await.status, 200);
        assert_eq!(sees(&user.client).await, status, "{roles}");
        let next =
            app.anonymous().post("/auth/v1/token?grant_type=refresh_token", json!({ "refresh_token": user.session["refresh_token"] })).await.json();
        let claims = next["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&basalt::crypto::from_base64url(claims).unwrap()).unwrap();
        assert_eq!(claims["app_metadata"]["roles"], roles);
        assert_eq!(sees(&app.anonymous().bearer(next["access_token"].as_str().unwrap())).await, status, "{roles}, refreshed");
    }
}

/// V26: what is open to nobody in particular tells nothing of tenants, users, keys and settings.
#[tokio::test]
async fn what_is_open_tells_no_secret() {
    let app = TestApp::new().await;
    app.user("canary-user@example.org", &[]).await;
    let name = json!({ "ref": "canary-tenant", "name": "Canary" });
    assert_eq!(app.operator().post("/admin/v1/tenants", name).await.status, 201);
    let secret = "a canary-secret of at least thirty-two bytes";
    let key = basalt::tenants::SigningKeyImport::Hs256Secret(secret.to_owned());
    basalt::tenants::import_signing_keys(&app.app, "default", &key, false).await.unwrap();
    let hidden = [
        secret,
        "canary",
        &app.default.secret_key,
        &app.default.publishable_key,
        &app.other.secret_key,
        "argon2_",
        "master_key",
        "database_url",
        "\"d\"",
    ];
    let mut paths: Vec<String> = routes().into_iter().map(|route| route.filled).collect();
    let guessed = [
        "/",
        "/admin",
        "/admin/v1",
        "/admin/v1/",
        "/config",
        "/live",
        "/debug",
        "/debug/pprof/",
        "/env",
        "/actuator",
        "/actuator/env",
        "/metrics/",
        "/rest/v1",
        "/rest/v1/",
        "/auth/v1",
        "/auth/v1/",
        "/auth/v1/config",
        "/storage/v1",
        "/storage/v1/",
        "/server-status",
        "/.env",
        "/docs",
        "/docs/",
        "/admin/v1/config",
        "/admin/v1/settings",
        "/admin/v1/keys",
        "/rest/v1/rpc/",
        "/graphql/v1",
        "/realtime/v1",
        "/functions/v1",
        "/../config",
        "//admin/v1/tenants",
        "/admin/v1/%2e%2e/metrics",
        "/Admin/v1/tenants",
        "/ADMIN/V1/TENANTS",
        "/admin/v1/tenants/",
        "/t/default/admin/v1/tenants",
        "/t/default/metrics",
    ];
    paths.extend(guessed.map(str::to_owned));
    for path in &paths {
        for client in [app.nobody(), app.nobody().header("x-forwarded-for", "127.0.0.1").header("x-real-ip", "127.0.0.1"), app.anonymous()] {
            let reply = client.get(path).await;
            let text = format!("{:?} {}", reply.headers, reply.text());
            for word in hidden {
                assert!(!text.contains(word) || path == "/openapi.json" && word == "\"d\"", "{path} tells {word}");
            }
            assert!(reply.status.as_u16() < 500, "{path}: {}", reply.text());
            if path.to_ascii_lowercase().contains("admin") || path.contains("/metrics") {
                assert_ne!(reply.status, 200, "{path}");
            }
        }
    }
}

/// V33: however a path is written, it names one tenant, and the key has to be of that one.
#[tokio::test]
async fn a_path_names_one_tenant_however_it_is_written() {
    let app = TestApp::new().await;
    app.user_of(&app.other, "canary@example.org", &[]).await;
    let paths = [
        "/t/other/auth/v1/admin/users",
        "/t/default/t/other/auth/v1/admin/users",
        "/t/other/t/default/auth/v1/admin/users",
        "/t/default/../other/auth/v1/admin/users",
        "/t/other/../default/auth/v1/admin/users",
        "/t/other%2f..%2fdefault/auth/v1/admin/users",
        "/t/%6fther/auth/v1/admin/users",
        "/t/OTHER/auth/v1/admin/users",
        "/t/other%00/auth/v1/admin/users",
        "/t//other/auth/v1/admin/users",
        "//t/other/auth/v1/admin/users",
        "/T/other/auth/v1/admin/users",
        "/t/other/auth/v1/admin/users/",
        "/t/other/auth/v1/./admin/users",
        "/auth/v1/admin/users;t=other",
        "/auth/v1/admin/users/../users",
    ];
    for path in paths {
        for client in [app.service(), app.anonymous(), app.nobody()] {
            let reply = client.get(path).await;
            assert!(matches!(reply.status.as_u16(), 400 | 401 | 403 | 404), "{path}: {} {}", reply.status, reply.text());
            assert!(!reply.text().contains("canary"), "{path}");
        }
    }
    for query in ["tenant=other", "ref=other", "t=other", "tenant_id=2"] {
        let reply = app.service().header("x-tenant", "other").header("x-basalt-tenant", "other").get(&format!("/auth/v1/admin/users?{query}")).await;
        assert!(reply.status == 200 && !reply.text().contains("canary"), "{query}");
    }
}

/// V37: what a method may not do, no header makes it do.
#[tokio::test]
async fn a_request_is_made_by_its_own_method() {
    let app = TestApp::new().await;
    let user = app.user("ann@example.org", &[]).await;
    let at = of_user(&user);
    let reader = app.function("users:read").await;
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        for method in ["DELETE", "PUT"] {
            assert_eq!(reader.clone().header(name, method).get(&at).await.json()["id"], user.id.as_str());
            let reply = reader.clone().header(name, method).post(&format!("{at}?_method={method}"), json!({ "_method": method, "role": "x" })).await;
            assert!(reply.status.is_client_error(), "{name}: {}", reply.text());
        }
    }
    assert_eq!(app.service().get(&at).await.json()["role"], "authenticated");
}

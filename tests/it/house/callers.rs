//! Every route of the document, asked by everybody who should not be answered.

use basalt::router::document;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestApp};

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

#[tokio::test]
async fn nobody_is_answered_anywhere() {
    let app = TestApp::new().await;
    // Files of public buckets are also read at the address of all files.
    let may_be_public = |route: &Route| route.method == Method::GET && route.path == "/storage/v1/object/{bucket}/{key}";
    all_refuse(&app.nobody(), "", "no key", may_be_public).await;
}

#[tokio::test]
async fn a_foreign_tenants_keys_and_users_are_refused_everywhere() {
    let app = TestApp::new().await;
    let user = app.user_of(&app.other, "eve@example.org", &["owner", "admin", "hr", "payroll"]).await;
    for client in [app.other_service(), app.nobody().key(&app.other.publishable_key), user.client] {
        all_refuse(&client, "/t/default", "a foreign tenant", |_| false).await;
    }
}

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

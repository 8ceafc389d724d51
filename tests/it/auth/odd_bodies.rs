//! Bodies and parameters of odd types, texts that a database can't hold, and very long ones: whatever comes, it is never our fault.

use http::Method;
use serde_json::{Value, json};

use super::{factors, holder, passkeys::Authenticator, set};
use crate::support::{Client, PASSWORD, TestApp};

/// What no field is meant to be.
fn odd_values() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("a\u{0}b"),
        json!("a\u{0}b@example.com"),
        json!("\u{202e}\u{feff}\u{10ffff}"),
        json!("a\r\nBcc: eve@example.com"),
        json!("'; DROP TABLE users; --"),
        json!("x".repeat(10_000)),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("ffffffff-ffff-ffff-ffff-ffffffffffff"),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(1e300),
        json!(true),
        json!([]),
        json!(["a\u{0}"]),
        json!({}),
        json!({ "a\u{0}": "b\u{0}" }),
        json!({ "\u{0}": { "b": ["\u{0}"] } }),
        deep,
    ]
}

/// Routes of sign-in that take a body, with the names that it can have.
fn routes() -> Vec<(Method, String, Vec<String>)> {
    let document = serde_json::to_value(basalt::router::document()).unwrap();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/auth/v1/") {
            continue;
        }
        for method in ["post", "put", "patch", "delete"] {
            let Some(operation) = operations.get(method) else { continue };
            let mut names = Vec::new();
            collect(&document, &operation["requestBody"], &mut names);
            // Names of odd bodies that the document tells as one.
            if path.contains("custom-providers") {
                let more =
                    ["name", "client_id", "scopes", "issuer", "authorization_url", "token_url", "userinfo_url", "attribute_mapping", "provider_type"];
                names.extend(more.map(str::to_owned));
            }
            found.push((method.to_uppercase().parse().unwrap(), path.clone(), names));
        }
    }
    assert!(found.len() > 25, "the routes are no longer found");
    found
}

fn collect(document: &Value, schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                collect(document, document.pointer(reference.trim_start_matches('#')).unwrap(), names);
            }
            if let Some(properties) = map.get("properties").and_then(Value::as_object) {
                names.extend(properties.keys().cloned());
            }
            map.iter().filter(|(name, _)| *name != "properties").for_each(|(_, value)| collect(document, value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(document, item, names)),
        _ => {}
    }
}

/// A body that a route would take, so that each odd field is met behind the others' checks.
fn good(path: &str, number: usize) -> Value {
    let email = format!("u{number}@example.com");
    match path {
        "/auth/v1/signup" | "/auth/v1/admin/users" => json!({ "email": email, "password": PASSWORD }),
        "/auth/v1/otp" | "/auth/v1/magiclink" | "/auth/v1/recover" | "/auth/v1/invite" => json!({ "email": email }),
        "/auth/v1/resend" => json!({ "type": "signup", "email": email }),
        "/auth/v1/admin/generate_link" => json!({ "type": "signup", "email": email, "password": PASSWORD }),
        "/auth/v1/verify" => json!({ "type": "email", "email": email, "token": "123456" }),
        "/auth/v1/factors" => json!({ "factor_type": "totp", "friendly_name": email }),
        "/auth/v1/admin/custom-providers" => json!({
            "provider_type": "oauth2", "identifier": format!("custom:p{number}"), "name": "P", "client_id": "c", "client_secret": "s",
            "authorization_url": "https://a.example/", "token_url": "https://a.example/", "userinfo_url": "https://a.example/",
        }),
        _ if path.ends_with("/verify") => json!({ "challenge_id": "00000000-0000-4000-8000-000000000001", "code": "123456", "credential": {} }),
        _ => json!({ "friendly_name": "n" }),
    }
}

/// V42, V43: every field of every route, and the path besides.
#[tokio::test]
async fn no_odd_body_is_our_fault() {
    let app = TestApp::new().await;
    set(&app, super::passkeys::settings()).await;
    set(&app, json!({ "sign_up": { "anonymous": true, "phone": true }, "identities": { "manual_linking": true }, "mail": { "resend_seconds": 0 } }))
        .await;
    let (user, totp, raised) = factors::user_with_factor(&app, "ada@example.com").await;
    let client = holder(&app, &raised);
    let passkey = Authenticator::new().register(&client).await.json();
    let ids = [
        ("{user_id}", user.id.as_str()),
        ("{factor_id}", &totp.id),
        ("{passkey_id}", passkey["id"].as_str().unwrap()),
        ("{identifier}", "custom:p0"),
    ];
    let service = app.service();
    let mut number = 0;
    for (method, path, names) in routes() {
        if method == Method::DELETE || path.ends_with("/logout") {
            continue;
        }
        let filled = ids.iter().fold(path.clone(), |path, (name, id)| path.replace(name, id));
        let who: &Client = if path.contains("/admin/") || path.ends_with("/invite") { &service } else { &client };
        let paths = match path.as_str() {
            "/auth/v1/token" => ["password", "refresh_token", "pkce", "id_token"].map(|grant| format!("{filled}?grant_type={grant}")).to_vec(),
            _ => vec![filled],
        };
        for (filled, name) in paths.iter().flat_map(|filled| names.iter().map(move |name| (filled, name))) {
            for value in odd_values() {
                number += 1;
                let mut body = good(&path, number);
                body[name] = value.clone();
                let reply = who.json(method.clone(), filled, &body).await;
                assert!(
                    reply.status.as_u16() < 500,
                    "{method} {filled} {name} = {}: {} {}",
                    &value.to_string()[..value.to_string().len().min(60)],
                    reply.status,
                    reply.text()
                );
            }
        }
        for body in [
            "",
            "null",
            "[]",
            "7",
            "\"x\"",
            "{",
            "{\"a\":",
            "\u{feff}{}",
            "{\"\\ud800\":1}",
            "{\"email\":\"\\ud800\"}",
            &"[".repeat(100_000),
            &"{\"a\":".repeat(10_000),
        ] {
            let reply = who.clone().header("content-type", "application/json").send(method.clone(), &paths[0], body.to_owned()).await;
            assert!(reply.status.as_u16() < 500, "{method} {path} {}: {} {}", &body[..body.len().min(40)], reply.status, reply.text());
        }
    }
    assert!(number > 1_000, "{number}");
}

/// V43, V44: and every parameter of a path or a query.
#[tokio::test]
async fn no_odd_parameter_is_our_fault() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let odd = [
        "",
        "%00",
        "a%00b",
        "%ff",
        "%",
        "%zz",
        "'",
        "0",
        "-1",
        "1.5",
        "NaN",
        "Infinity",
        "2147483648",
        "9007199254740992",
        "9223372036854775808",
        "1e309",
        "%F0%9F%92%A5",
        "00000000-0000-0000-0000-000000000000",
        "..",
        "%2e%2e",
        "%2f",
    ];
    let long = "x".repeat(4000);
    for value in odd.into_iter().chain([long.as_str()]) {
        for (client, path) in [
            (&app.service(), format!("/auth/v1/admin/users?page={value}")),
            (&app.service(), format!("/auth/v1/admin/users?per_page={value}")),
            (&app.service(), format!("/auth/v1/admin/users?filter={value}")),
            (&app.service(), format!("/auth/v1/admin/users?sort={value}")),
            (&app.service(), format!("/auth/v1/admin/users/{value}")),
            (&app.service(), format!("/auth/v1/admin/users/{value}/factors")),
            (&app.service(), format!("/auth/v1/admin/users/{}/factors/{value}", user.id)),
            (&app.service(), format!("/auth/v1/admin/custom-providers/{value}")),
            (&app.service(), format!("/auth/v1/admin/audit?query={value}")),
            (&app.service(), format!("/auth/v1/admin/audit?query=author:{value}&page={value}")),
            (&user.client, format!("/auth/v1/user/identities/authorize?provider={value}")),
            (&app.nobody(), format!("/auth/v1/authorize?provider={value}&redirect_to={value}&scopes={value}")),
            (&app.nobody(), format!("/auth/v1/callback?state={value}&code={value}&error={value}")),
            (&app.nobody(), format!("/auth/v1/verify?token={value}&type={value}&redirect_to={value}")),
            (&app.nobody(), format!("/auth/v1/verify?token={value}&type=signup")),
            (&app.operator(), format!("/admin/v1/tenants/{value}")),
            (&app.operator(), format!("/admin/v1/tenants?after={value}")),
            (&app.operator(), format!("/admin/v1/inbox?to={value}&tenant={value}")),
            (&app.operator(), format!("/admin/v1/tenants/default/audit?action={value}&author={value}&before={value}")),
        ] {
            let reply = client.get(&path).await;
            assert!(reply.status.as_u16() < 500, "{path}: {} {}", reply.status, reply.text());
        }
        for name in ["user-agent", "accept-language", "redirect_to", "referer", "x-request-id", "cookie", "content-type"] {
            let body = json!({ "email": "ada@example.com", "password": PASSWORD });
            let reply = app.anonymous().header(name, value).post(super::SIGN_IN, body).await;
            assert!(reply.status.as_u16() < 500, "{name}: {value}: {}", reply.text());
        }
    }
}

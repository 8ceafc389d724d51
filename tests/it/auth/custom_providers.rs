//! The providers that a tenant sets up of its own.

use serde_json::json;

use super::{
    assert_refused,
    providers::{Visit, add_custom, user_of, visit, with_provider},
};
use crate::support::{CLIENT_ID, CLIENT_SECRET, IdentityProvider, TestApp};

const CUSTOM: &str = "/auth/v1/admin/custom-providers";

#[tokio::test]
async fn an_admin_sets_up_a_provider_and_users_sign_in_by_it() {
    let (app, _) = with_provider().await;
    let provider = IdentityProvider::new(&app.app.clock).await;
    add_custom(&app, "custom:acme", &provider.url("/idp")).await;
    let shown = app.service().get(&format!("{CUSTOM}/custom:acme")).await.json();
    assert_eq!((&shown["identifier"], &shown["provider_type"], &shown["enabled"]), (&json!("custom:acme"), &json!("oidc"), &json!(true)));
    assert_eq!(shown["discovery_document"]["jwks_uri"], provider.url("/idp/oidc/keys"));
    assert!(!shown.to_string().contains(CLIENT_SECRET) && shown.get("client_secret").is_none());
    assert_eq!(app.service().get(CUSTOM).await.json()["providers"].as_array().unwrap().len(), 1);
    let by_acme = Visit { name: "custom:acme", ..visit(&app, &provider) };
    let claims = json!({ "sub": "7", "email": "ada@example.com", "email_verified": true, "department": "engines" });
    let user = user_of(&app, &by_acme.go(claims.clone()).await).await;
    assert_eq!((&user["identities"][0]["provider"], &user["user_metadata"]["department"]), (&json!("custom:acme"), &json!(null)));
    let change = json!({ "custom_claims_allowlist": ["department"], "attribute_mapping": { "email": "mail", "sub": "ids.own" } });
    let reply = app.service().put(&format!("{CUSTOM}/custom:acme"), change).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let claims = json!({ "sub": "8", "ids": { "own": "7" }, "mail": "ada@example.com", "email_verified": true, "department": "engines" });
    let again = user_of(&app, &by_acme.go(claims).await).await;
    assert_eq!((&again["id"], &again["user_metadata"]["department"]), (&user["id"], &json!("engines")));
    assert_eq!(app.service().put(&format!("{CUSTOM}/custom:acme"), json!({ "enabled": false })).await.status, 200);
    assert_refused(&app.nobody().get("/auth/v1/authorize?provider=custom:acme").await, 400, "validation_failed");
    assert_eq!(app.service().delete(&format!("{CUSTOM}/custom:acme")).await.status, 204);
    assert_refused(&app.service().delete(&format!("{CUSTOM}/custom:acme")).await, 404, "custom_provider_not_found");
    assert_refused(&app.service().get(&format!("{CUSTOM}/custom:acme")).await, 404, "custom_provider_not_found");
}

#[tokio::test]
async fn a_provider_may_speak_oauth_alone() {
    let (app, provider) = with_provider().await;
    let body = json!({
        "provider_type": "oauth2", "identifier": "custom:plain", "name": "Plain", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "authorization_url": provider.url("/plain/authorize"), "token_url": provider.url("/plain/token"), "userinfo_url": provider.url("/plain/me"),
        "scopes": ["profile"], "authorization_params": { "audience": "api" },
    });
    assert_eq!(app.service().post(CUSTOM, body).await.status, 201);
    let visit = Visit { name: "custom:plain", ..visit(&app, &provider) };
    let (location, _) = visit.depart().await;
    assert!(location.contains("audience=api") && location.contains("scope=profile") && !location.contains("nonce="), "{location}");
    let user = user_of(&app, &visit.go(json!({ "id": 12, "email": "ada@example.com" })).await).await;
    assert_eq!((&user["identities"][0]["id"], &user["email"]), (&json!("12"), &json!("ada@example.com")));
    assert!(user.get("email_confirmed_at").is_none());
}

#[tokio::test]
async fn what_can_not_be_a_provider_is_refused() {
    let (app, provider) = with_provider().await;
    let good = json!({
        "provider_type": "oidc", "identifier": "custom:a", "name": "A", "client_id": "a", "client_secret": "b", "issuer": provider.url("/idp"),
    });
    for (name, value) in [
        ("identifier", json!("google")),
        ("identifier", json!("custom:")),
        ("identifier", json!("custom:A B")),
        ("name", json!("")),
        ("client_id", json!("")),
        ("client_secret", json!("")),
        ("issuer", json!("not an address")),
        ("issuer", json!("file:///etc/passwd")),
        ("issuer", json!(provider.url("/idp/"))),
        ("issuer", json!("http://127.0.0.2:1/idp")),
        ("issuer", json!("http://169.254.169.254/latest")),
        ("provider_type", json!("saml")),
        ("scopes", json!("openid")),
        ("attribute_mapping", json!({ "role": "x" })),
        ("authorization_params", json!({ "redirect_uri": "https://evil.example" })),
        ("nonsense", json!(1)),
    ] {
        let mut body = good.clone();
        body[name] = value.clone();
        let reply = app.service().post(CUSTOM, body).await;
        assert_refused(&reply, 400, "validation_failed");
    }
    assert_eq!(app.service().post(CUSTOM, good.clone()).await.status, 201);
    assert_refused(&app.service().post(CUSTOM, good).await, 409, "conflict");
    for change in [json!({ "identifier": "custom:b" }), json!({ "provider_type": "oauth2" }), json!({ "issuer": provider.url("/idp/") })] {
        assert_refused(&app.service().put(&format!("{CUSTOM}/custom:a"), change).await, 400, "validation_failed");
    }
    for client in [app.anonymous(), app.user("ann@example.com", &["owner"]).await.client] {
        assert_refused(&client.get(CUSTOM).await, 403, "not_admin");
    }
    assert_eq!(app.other_service().get(CUSTOM).await.json()["providers"], json!([]), "another tenant has its own");
}

/// V54
#[tokio::test]
async fn a_provider_out_of_reach_is_not_set_up() {
    let app = TestApp::new().await;
    let provider = IdentityProvider::new(&app.app.clock).await;
    let body = json!({
        "provider_type": "oidc", "identifier": "custom:a", "name": "A", "client_id": "a", "client_secret": "b", "issuer": provider.url("/idp"),
    });
    // V54: nothing tells an address that may not be called from one where nobody listens.
    let refused = app.service().post(CUSTOM, body.clone()).await;
    let mut silent = body;
    silent["issuer"] = json!("https://127.0.0.1:1/idp");
    assert_eq!(refused.text(), app.service().post(CUSTOM, silent).await.text());
    assert!(provider.asked().is_empty());
}

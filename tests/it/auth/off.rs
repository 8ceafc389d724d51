use http::Method;
use serde_json::json;

use super::assert_refused;
use crate::support::TestApp;

#[tokio::test]
async fn what_is_off_says_so_in_the_words_of_the_wire() {
    let app = TestApp::new().await;
    let reply = app.anonymous().send(Method::POST, "/auth/v1/sso", "no json".to_owned()).await;
    assert_refused(&reply, 404, "saml_provider_disabled");
    assert_eq!(reply.json()["msg"], "SAML 2.0 is disabled");
    assert_eq!(app.nobody().post("/auth/v1/sso", json!({})).await.status, 401);
    for (method, path) in [(Method::GET, "/auth/v1/sso/saml/metadata"), (Method::POST, "/auth/v1/sso/saml/acs")] {
        assert_refused(&app.nobody().send(method, path, "").await, 404, "saml_provider_disabled");
    }
    let reply = app.anonymous().post("/auth/v1/token?grant_type=web3", json!({})).await;
    assert_refused(&reply, 422, "web3_provider_disabled");
    assert_eq!(reply.json()["msg"], "Web3 provider is disabled");
    for path in ["/auth/v1/oauth/authorize", "/auth/v1/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server"] {
        assert_refused(&app.nobody().get(path).await, 404, "feature_disabled");
    }
    assert_refused(&app.nobody().post("/auth/v1/oauth/token", json!({})).await, 404, "feature_disabled");
    assert_refused(&app.service().get("/auth/v1/admin/oauth/clients").await, 404, "feature_disabled");
    assert_refused(&app.service().get("/auth/v1/admin/sso/providers").await, 404, "saml_provider_disabled");
    assert_refused(&app.anonymous().get("/auth/v1/user/oauth/grants").await, 404, "feature_disabled");
    for path in ["/auth/v1/admin/oauth/clients", "/auth/v1/admin/sso/providers"] {
        assert_eq!(app.nobody().get(path).await.status, 401);
        assert_refused(&app.anonymous().get(path).await, 403, "not_admin");
    }
}

#[tokio::test]
async fn who_checks_tokens_finds_out_how() {
    let app = TestApp::new().await;
    let configuration = app.nobody().get("/t/other/auth/v1/.well-known/openid-configuration").await;
    assert_eq!(configuration.header("cache-control"), "public, max-age=600");
    let configuration = configuration.json();
    let issuer = "http://127.0.0.1:8787/t/other/auth/v1";
    assert_eq!((&configuration["issuer"], &configuration["jwks_uri"]), (&json!(issuer), &json!(format!("{issuer}/.well-known/jwks.json"))));
}

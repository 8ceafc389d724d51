//! Apps that sign their users in with a provider by themselves.

use basalt::crypto::{base64url, hex, sha256};
use serde_json::{Value, json};

use super::{
    assert_refused,
    providers::{ada, with_provider},
    set,
};
use crate::support::{CLIENT_ID, IdentityProvider, Reply, TestApp};

const GRANT: &str = "/auth/v1/token?grant_type=id_token";

async fn grant(app: &TestApp, body: Value) -> Reply {
    app.anonymous().post(GRANT, body).await
}

#[track_caller]
fn assert_bad(reply: &Reply, error: &str, description: &str) {
    let body = reply.json();
    assert_eq!((reply.status.as_u16(), body["error"].as_str()), (400, Some(error)), "{body}");
    assert!(body["error_description"].as_str().unwrap().starts_with(description), "{body}");
}

fn of_keycloak(provider: &IdentityProvider, claims: &Value) -> Value {
    json!({ "provider": "keycloak", "id_token": provider.id_token(&provider.url("/realms/main"), claims) })
}

#[tokio::test]
async fn an_id_token_signs_its_user_in() {
    let (app, provider) = with_provider().await;
    let reply = grant(&app, of_keycloak(&provider, &ada())).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let session = reply.json();
    assert_eq!((&session["user"]["email"], &session["user"]["app_metadata"]["provider"]), (&json!("ada@example.com"), &json!("keycloak")));
    // As older apps ask.
    let body = json!({ "client_id": CLIENT_ID, "issuer": provider.url("/realms/main"), "id_token": provider.id_token(&provider.url("/realms/main"), &ada()) });
    assert_eq!(grant(&app, body).await.json()["user"]["id"], session["user"]["id"]);
}

#[tokio::test]
async fn what_is_missing_is_told() {
    let (app, provider) = with_provider().await;
    let token = provider.id_token(&provider.url("/realms/main"), &ada());
    assert_bad(&grant(&app, json!({ "provider": "keycloak" })).await, "invalid request", "id_token required");
    assert_bad(&grant(&app, json!({ "id_token": token })).await, "invalid request", "provider or client_id and issuer required");
    for body in [
        json!({ "provider": "google", "id_token": token }),
        json!({ "provider": "nobody", "id_token": token }),
        json!({ "provider": "custom:none", "id_token": token }),
        json!({ "client_id": "x", "issuer": "https://evil.example", "id_token": token }),
    ] {
        assert_refused(&grant(&app, body).await, 400, "provider_disabled");
    }
}

/// 2b.7
#[tokio::test]
async fn a_nonce_is_on_both_sides_or_on_none() {
    let (app, provider) = with_provider().await;
    let hashed = hex(&sha256(b"raw nonce"));
    let with = |claims: Value, nonce: Option<&str>| {
        let mut body = of_keycloak(&provider, &claims);
        if let Some(nonce) = nonce {
            body["nonce"] = json!(nonce);
        }
        body
    };
    let mut claims = ada();
    assert_bad(&grant(&app, with(claims.clone(), Some("raw nonce"))).await, "invalid request", "Passed nonce and nonce in id_token");
    claims["nonce"] = json!(hashed);
    assert_bad(&grant(&app, with(claims.clone(), None)).await, "invalid request", "Passed nonce and nonce in id_token");
    assert_bad(&grant(&app, with(claims.clone(), Some("another"))).await, "invalid nonce", "Nonces mismatch");
    assert_bad(&grant(&app, with(claims.clone(), Some(&hashed))).await, "invalid nonce", "Nonces mismatch");
    assert_eq!(grant(&app, with(claims.clone(), Some("raw nonce"))).await.status, 200);
    set(&app, json!({ "providers": { "keycloak": { "skip_nonce_check": true } } })).await;
    assert_eq!(grant(&app, with(claims, None)).await.status, 200);
}

#[tokio::test]
async fn an_access_token_must_be_the_id_tokens() {
    let (app, provider) = with_provider().await;
    let mut claims = ada();
    claims["at_hash"] = json!(base64url(&sha256(b"at")[..16]));
    let mut body = of_keycloak(&provider, &claims);
    body["access_token"] = json!("another");
    assert_bad(&grant(&app, body.clone()).await, "invalid request", "Bad ID token");
    body["access_token"] = json!("at");
    assert_eq!(grant(&app, body).await.status, 200);
}

/// V5, and the list of RFC 8725.
/// 2c.1, 2c.2, 2c.4, 2c.5, 2c.7, 2c.8, 2c.11
#[tokio::test]
async fn a_token_of_somebody_else_is_not_taken() {
    let (app, provider) = with_provider().await;
    let own = provider.url("/realms/main");
    let evil = IdentityProvider::new(&app.app.clock).await;
    let ask = async |token: String| grant(&app, json!({ "provider": "keycloak", "id_token": token })).await;
    // Another issuer with good keys of its own, whatever it calls itself.
    for issuer in [evil.url("/realms/main"), own.clone()] {
        assert_bad(&ask(evil.id_token(&issuer, &ada())).await, "invalid request", "Bad ID token");
    }
    let variants = [
        format!("{own}/"),
        own.replace("main", "Main"),
        own.replace("http:", "HTTP:"),
        own.replace("http:", "https:"),
        own.replace("127.0.0.1", "localhost"),
        format!("{own}?x"),
        own.replace("/realms", ":80/realms"),
        provider.url("/realms/other"),
        String::new(),
    ];
    for issuer in variants {
        assert_bad(&ask(provider.id_token(&issuer, &ada())).await, "invalid request", "Bad ID token");
    }
    for audience in [json!("another"), json!([CLIENT_ID, "another"]), json!(""), json!([])] {
        let mut claims = ada();
        claims["aud"] = audience;
        assert_bad(&ask(provider.id_token(&own, &claims)).await, "invalid request", "Unacceptable audience in id_token");
    }
    let now = app.app.clock.now().seconds();
    for (name, value) in [
        ("exp", json!(now - 60)),
        ("exp", json!(null)),
        ("exp", json!("9999999999")),
        ("exp", json!(1e300)),
        ("nbf", json!(now + 60)),
        ("iss", json!(null)),
        ("iss", json!([own])),
        ("aud", json!(null)),
        ("aud", json!({})),
    ] {
        let mut claims = ada();
        claims[name] = value;
        assert_bad(&ask(provider.id_token(&own, &claims)).await, "invalid request", "Bad ID token");
    }
    let mut claims = ada();
    claims.as_object_mut().unwrap().remove("sub");
    assert_bad(&ask(provider.id_token(&own, &claims)).await, "invalid request", "Missing sub claim");
    // Bent tokens.
    let good = provider.id_token(&own, &ada());
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let with_head = |head: Value| format!("{}.{claims}.{signature}", base64url(head.to_string().as_bytes()));
    let zero = base64url(&[0; 64]);
    for token in [
        with_head(json!({ "alg": "none" })),
        with_head(json!({ "alg": "None", "kid": "one" })),
        with_head(json!({ "alg": "HS256", "kid": "one" })),
        with_head(json!({ "alg": "RS256", "kid": "one" })),
        with_head(json!({ "alg": "ES384", "kid": "one" })),
        with_head(json!({ "alg": "ES256", "kid": "../one" })),
        with_head(json!({ "alg": "ES256", "kid": "one", "crit": ["x"] })),
        with_head(json!({ "alg": "ES256", "jku": evil.url("/keys"), "jwk": {} })),
        format!("{head}.{claims}."),
        format!("{head}.{claims}.{zero}"),
        format!("{head}.{claims}.{}", &signature[..signature.len() - 4]),
        format!("{head}.{claims}"),
        format!("{good}.x"),
        format!("{head}.{claims}x.{signature}"),
        "x".repeat(20_000),
        "a.b.c".to_owned(),
    ] {
        assert_bad(&ask(token.clone()).await, "invalid request", "Bad ID token");
    }
    assert!(evil.asked().is_empty(), "no key is fetched from where a token says");
    assert_eq!(ask(good).await.status, 200);
}

/// V5: Microsoft has an issuer for each directory.
#[tokio::test]
async fn a_directory_vouches_for_its_own() {
    let (app, provider) = with_provider().await;
    let (ours, theirs) = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222");
    let azure = async |url: String| set(&app, json!({ "providers": { "azure": { "enabled": true, "client_id": CLIENT_ID, "url": url } } })).await;
    let ask = async |issuer_of: &str, tid: Value| {
        let claims = json!({ "sub": "s", "email": "ada@example.com", "tid": tid, "xms_edov": true });
        let token = provider.id_token(&provider.url(&format!("/{issuer_of}/v2.0")), &claims);
        grant(&app, json!({ "provider": "azure", "id_token": token })).await
    };
    azure(provider.url(&format!("/{ours}"))).await;
    assert_bad(&ask(theirs, json!(theirs)).await, "invalid request", "Bad ID token");
    assert_bad(&ask(theirs, json!(ours)).await, "invalid request", "Bad ID token");
    assert_bad(&ask(ours, json!(theirs)).await, "invalid request", "Bad ID token");
    assert_bad(&ask(ours, json!(null)).await, "invalid request", "Bad ID token");
    assert_eq!(ask(ours, json!(ours)).await.status, 200);
    azure(provider.url("/common")).await;
    assert_eq!(ask(theirs, json!(theirs)).await.status, 200);
    assert_bad(&ask("common", json!("common")).await, "invalid request", "Bad ID token");
    azure(provider.url("/consumers")).await;
    assert_bad(&ask(theirs, json!(theirs)).await, "invalid request", "Bad ID token");
}

#[tokio::test]
async fn an_identity_can_be_linked_by_its_token() {
    let (app, provider) = with_provider().await;
    let bob = app.user("bob@example.com", &[]).await;
    let mut body = of_keycloak(&provider, &ada());
    body["link_identity"] = json!(true);
    assert_refused(&bob.client.post(GRANT, body.clone()).await, 404, "manual_linking_disabled");
    set(&app, json!({ "identities": { "manual_linking": true } })).await;
    assert_eq!(grant(&app, body.clone()).await.status, 401, "nobody is signed in");
    let session = bob.client.post(GRANT, body).await.json();
    assert_eq!((&session["user"]["id"], &session["user"]["app_metadata"]["providers"]), (&json!(bob.id), &json!(["email", "keycloak"])));
}

/// V17, V19, 2c.6: what the provider's keys sign besides, for the same app, and claims that are there twice.
#[tokio::test]
async fn another_token_of_the_provider_is_no_id_token() {
    let (app, provider) = with_provider().await;
    let now = app.app.clock.now().seconds();
    let claims = json!({ "iss": provider.url("/realms/main"), "aud": CLIENT_ID, "iat": now, "exp": now + 600, "sub": "u-1", "email": "ada@example.com", "email_verified": true });
    let ask = async |token: String| grant(&app, json!({ "provider": "keycloak", "id_token": token })).await;
    for typ in ["at+jwt", "application/at+jwt", "logout+jwt", "secevent+jwt", "refresh+jwt", "dpop+jwt", "url+jwt", "Bearer", ""] {
        assert_bad(&ask(provider.token_of(&json!(typ), &claims.to_string())).await, "invalid request", "Bad ID token");
    }
    for typ in [json!(7), json!(["JWT"]), json!({})] {
        assert_bad(&ask(provider.token_of(&typ, &claims.to_string())).await, "invalid request", "Bad ID token");
    }
    let text = claims.to_string();
    for name in ["iss", "aud", "exp", "iat"] {
        let twice = format!("{},\"{name}\":{}}}", &text[..text.len() - 1], claims[name]);
        assert_bad(&ask(provider.token_of(&json!("JWT"), &twice)).await, "invalid request", "Bad ID token");
    }
    for (name, value) in [
        ("exp", json!([now + 600])),
        ("exp", json!(true)),
        ("iat", json!("1")),
        ("nbf", json!({})),
        ("aud", json!([[CLIENT_ID]])),
        ("azp", json!([CLIENT_ID])),
    ] {
        let mut changed = claims.clone();
        changed[name] = value;
        assert_bad(&ask(provider.token_of(&json!("JWT"), &changed.to_string())).await, "invalid request", "Bad ID token");
    }
    let users = app.service().get("/auth/v1/admin/users").await;
    assert_eq!(users.header("x-total-count"), "0");
    for typ in [json!("JWT"), json!("jwt"), json!(null)] {
        assert_eq!(ask(provider.token_of(&typ, &text)).await.status, 200, "{typ}");
    }
}

/// 2b.7: who asks to link is linked, or refused, however the grant is spelt.
#[tokio::test]
async fn a_wish_to_link_is_not_taken_for_a_sign_in() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "identities": { "manual_linking": true } })).await;
    let bob = app.user("bob@example.com", &[]).await;
    let mut body = of_keycloak(&provider, &ada());
    body["link_identity"] = json!(true);
    for path in [GRANT, "/auth/v1/token?grant_type=id%5Ftoken", "/auth/v1/token?grant%5Ftype=%69d_token"] {
        assert_eq!(app.anonymous().post(path, body.clone()).await.status, 401, "{path}");
    }
    let session = bob.client.post("/auth/v1/token?grant_type=id%5Ftoken", body).await.json();
    assert_eq!(session["user"]["id"], bob.id.as_str());
    assert_eq!(app.service().get("/auth/v1/admin/users").await.header("x-total-count"), "1");
}

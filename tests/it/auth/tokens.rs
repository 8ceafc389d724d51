//! Access tokens: what they say, and every way of forging one (RFC 8725).

use std::time::Duration;

use aws_lc_rs::hmac;
use basalt::tenants::{self, SigningKeyImport, TokenKind};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{assert_refused, holder, sign_in};
use crate::support::{Client, TENANT, TestApp};

const USER: &str = "/auth/v1/user";
const SECRET: &str = "a secret of at least thirty-two bytes";

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn text(session: &Value) -> String {
    session["access_token"].as_str().unwrap().to_owned()
}

/// A token with this header, made with a secret.
fn hmac_token(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token that the tenant's own key signed.
async fn own_token(app: &TestApp, kind: TokenKind, claims: &Value) -> String {
    app.app.tenants.active(TENANT).await.unwrap().keys.sign(kind, claims).unwrap()
}

async fn import_secret(app: &TestApp) -> String {
    tenants::import_signing_keys(&app.app, TENANT, &SigningKeyImport::Hs256Secret(SECRET.to_owned()), false).await.unwrap().remove(0)
}

async fn refused_as_bad(app: &TestApp, token: &str) {
    let client: Client = app.anonymous().bearer(token);
    assert_refused(&client.get(USER).await, 403, "bad_jwt");
    assert_refused(&client.get("/auth/v1/admin/users").await, 403, "bad_jwt");
}

/// 2c.7
#[tokio::test]
async fn an_access_token_says_what_clients_read() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    let session = sign_in(&app, "ada@example.com").await;
    let token = text(&session);
    let keys = app.nobody().get("/auth/v1/.well-known/jwks.json").await.json();
    assert_eq!(part(&token, 0), json!({ "alg": "ES256", "kid": keys["keys"][0]["kid"], "typ": "JWT" }));
    let mut claims = part(&token, 1);
    let now = app.app.clock.now().seconds();
    assert!(claims["session_id"].as_str().is_some_and(|id| id.len() == 36));
    claims["session_id"] = json!(null);
    assert_eq!(
        claims,
        json!({
            "iss": "http://127.0.0.1:8787/t/default/auth/v1", "sub": user.id, "aud": "authenticated", "exp": now + 3600, "iat": now,
            "email": "ada@example.com", "phone": "", "app_metadata": { "provider": "email", "providers": ["email"], "roles": ["hr"] },
            "user_metadata": session["user"]["user_metadata"], "role": "authenticated", "aal": "aal1",
            "amr": [{ "method": "password", "timestamp": now }], "session_id": null, "is_anonymous": false,
        })
    );
}

/// V28
#[tokio::test]
async fn a_token_ends_in_time() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    app.app.clock.advance(Duration::from_secs(3599));
    assert_eq!(user.client.get(USER).await.status, 200);
    app.app.clock.advance(Duration::from_secs(12));
    refused_as_bad(&app, &text(&user.session)).await;
}

/// V17, V25, 2c.11, 2c.12
#[tokio::test]
async fn a_cut_or_changed_token_is_refused() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let token = text(&user.session);
    let parts: Vec<_> = token.split('.').collect();
    for length in (1..token.len()).step_by(7).chain(token.len() - 8..token.len()) {
        refused_as_bad(&app, &token[..length]).await;
    }
    let zero = URL_SAFE_NO_PAD.encode([0; 64]);
    for wrong in [
        format!("{token}A"),
        format!("{token}="),
        format!("{token}.x"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{zero}", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], encode(&json!({ "sub": user.id })), parts[2]),
        format!("{}.{}.{}", encode(&json!({ "alg": "ES256" })), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(70_000)),
        token.replace('.', ".\u{a0}").replace('\u{a0}', " "),
    ] {
        refused_as_bad(&app, &wrong).await;
    }
    assert_eq!(user.client.get(USER).await.status, 200);
}

/// V17, 2c.1, 2c.2, 2c.3
#[tokio::test]
async fn the_algorithm_is_the_keys_and_not_the_tokens() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let claims = part(&text(&user.session), 1);
    let jwk = app.nobody().get("/auth/v1/.well-known/jwks.json").await.json()["keys"][0].clone();
    let kid = jwk["kid"].clone();
    for alg in [json!("none"), json!("None"), json!("NONE"), json!(""), json!(null), json!(["ES256"]), json!("HS256"), json!("ES384"), json!("EdDSA")]
    {
        let header = json!({ "alg": alg, "kid": kid, "typ": "JWT" });
        refused_as_bad(&app, &format!("{}.{}.", encode(&header), encode(&claims))).await;
        let signature = text(&user.session).rsplit_once('.').unwrap().1.to_owned();
        refused_as_bad(&app, &format!("{}.{}.{signature}", encode(&header), encode(&claims))).await;
    }
    refused_as_bad(&app, &format!("{}.{}.", encode(&json!({ "kid": kid })), encode(&claims))).await;
    // The public key as a secret.
    let point = [URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap(), URL_SAFE_NO_PAD.decode(jwk["y"].as_str().unwrap()).unwrap()].concat();
    for secret in
        [jwk.to_string().into_bytes(), point.clone(), [vec![4], point].concat(), jwk["x"].to_string().into_bytes(), b"secret".to_vec(), vec![0]]
    {
        for header in [json!({ "alg": "HS256", "kid": kid, "typ": "JWT" }), json!({ "alg": "HS256", "typ": "JWT" })] {
            refused_as_bad(&app, &hmac_token(&header, &claims, &secret)).await;
        }
    }
}

/// V17, 2c.4, 2c.5, 2c.6, 2c.8
#[tokio::test]
async fn a_header_can_name_a_key_and_nothing_else() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let claims = part(&text(&user.session), 1);
    let kid = import_secret(&app).await;
    let asked = async |header: Value| app.anonymous().bearer(&hmac_token(&header, &claims, SECRET.as_bytes())).get(USER).await;
    for good in [json!({ "alg": "HS256", "kid": kid, "typ": "JWT" }), json!({ "alg": "HS256", "kid": kid }), json!({ "alg": "HS256", "typ": "JWT" })]
    {
        assert_eq!(asked(good.clone()).await.status, 200, "{good}");
    }
    let other = app.nobody().get("/t/other/auth/v1/.well-known/jwks.json").await.json()["keys"][0]["kid"].clone();
    // A name that nobody here has leads nowhere: the secret is tried, as upstream does for its old tokens, and must have signed it.
    for name in [json!(""), json!("unknown"), json!("../../etc/passwd"), json!("' OR 1=1 --"), json!("http://x"), json!("k".repeat(10_000)), other] {
        let header = json!({ "alg": "HS256", "kid": name, "typ": "JWT" });
        assert_eq!(asked(header.clone()).await.status, 200, "{name}");
        refused_as_bad(&app, &hmac_token(&header, &claims, b"another secret of thirty-two bytes or more")).await;
        assert_refused(&asked(json!({ "alg": "ES256", "kid": name, "typ": "JWT" })).await, 403, "bad_jwt");
    }
    let own = app.nobody().get("/auth/v1/.well-known/jwks.json").await.json()["keys"][0]["kid"].clone();
    for name in [json!(7), own] {
        assert_refused(&asked(json!({ "alg": "HS256", "kid": name, "typ": "JWT" })).await, 403, "bad_jwt");
    }
    for bad in [
        json!({ "alg": "HS256", "kid": kid, "typ": "url+jwt" }),
        json!({ "alg": "HS256", "kid": kid, "typ": "refresh" }),
        json!({ "alg": "HS256", "kid": kid, "crit": ["b64"], "b64": false }),
        json!({ "alg": "HS256", "kid": kid, "crit": [] }),
        json!({ "alg": "ES256", "kid": kid }),
        json!({ "alg": "HS512", "kid": kid }),
    ] {
        assert_refused(&asked(bad).await, 403, "bad_jwt");
    }
    // A key that came along is not looked at.
    let own = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode("x".repeat(32)) });
    for name in ["jwk", "jku", "x5u", "x5c"] {
        let header = json!({ "alg": "HS256", "kid": kid, name: own });
        let token = hmac_token(&header, &claims, "x".repeat(32).as_bytes());
        assert_refused(&app.anonymous().bearer(&token).get(USER).await, 403, "bad_jwt");
    }
}

/// V18, V19, 2c.7
#[tokio::test]
async fn every_claim_that_counts_must_be_there_and_right() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let claims = part(&text(&user.session), 1);
    let with = async |name: &str, value: Option<Value>| {
        let mut changed = claims.clone();
        match value {
            Some(value) => changed[name] = value,
            None => drop(changed.as_object_mut().unwrap().remove(name)),
        }
        let token = own_token(&app, TokenKind::Access, &changed).await;
        app.anonymous().bearer(&token).get(USER).await
    };
    assert_eq!(with("extra", Some(json!(1))).await.status, 200);
    for name in ["exp", "iss", "aud", "sub", "role", "session_id"] {
        assert_refused(&with(name, None).await, 403, "bad_jwt");
        for wrong in [json!(null), json!([]), json!({}), json!(true), json!(1e300), json!(-1), json!("x"), json!([claims[name]])] {
            // Whatever a role says, what has a session is its user's.
            if name == "role" && wrong == json!("x") {
                continue;
            }
            let reply = with(name, Some(wrong.clone())).await;
            assert!(reply.status == 403 || reply.status == 401, "{name} = {wrong}: {}", reply.text());
        }
    }
    let now = app.app.clock.now().seconds();
    assert_refused(&with("exp", Some(json!(now - 11))).await, 403, "bad_jwt");
    assert_refused(&with("exp", Some(json!((now + 60).to_string()))).await, 403, "bad_jwt");
    assert_refused(&with("iat", Some(json!(now + 60))).await, 403, "bad_jwt");
    assert_refused(&with("nbf", Some(json!(now + 60))).await, 403, "bad_jwt");
    for wrong in ["http://127.0.0.1:8787/t/default/auth/v1/", "http://127.0.0.1:8787/t/DEFAULT/auth/v1", "supabase"] {
        assert_refused(&with("iss", Some(json!(wrong))).await, 403, "bad_jwt");
    }
    assert_eq!(with("iss", Some(json!("http://127.0.0.1:8787/t/other/auth/v1"))).await.status, 401);
    for wrong in ["anon", "Authenticated", ""] {
        assert_refused(&with("aud", Some(json!(wrong))).await, 403, "bad_jwt");
    }
    let nobody = "00000000-0000-4000-8000-000000000001";
    assert_refused(&with("sub", Some(json!(nobody))).await, 403, "user_not_found");
    assert_refused(&with("session_id", Some(json!(nobody))).await, 403, "session_not_found");
    let bob = app.user("bob@example.com", &[]).await;
    assert_refused(&with("sub", Some(json!(bob.id))).await, 403, "session_not_found");
}

/// V17, V9
#[tokio::test]
async fn what_a_token_says_of_roles_counts_for_nothing() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let mut claims = part(&text(&user.session), 1);
    claims["app_metadata"] = json!({ "roles": ["admin", "owner"] });
    for role in ["service_role", "supabase_admin", "anon", "authenticated"] {
        claims["role"] = json!(role);
        let client = app.anonymous().bearer(&own_token(&app, TokenKind::Access, &claims).await);
        assert_refused(&client.get("/auth/v1/admin/users").await, 403, "not_admin");
    }
}

/// V17, 2c.6
#[tokio::test]
async fn a_token_of_one_kind_is_good_for_nothing_else() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let claims = part(&text(&user.session), 1);
    refused_as_bad(&app, &own_token(&app, TokenKind::StorageUrl, &claims).await).await;
    refused_as_bad(&app, user.session["refresh_token"].as_str().unwrap()).await;
}

/// V26, V33, 2b.10
#[tokio::test]
async fn a_token_and_a_key_belong_to_one_tenant() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let token = text(&user.session);
    let bare = app.nobody().bearer(&token);
    assert_eq!(bare.get(USER).await.status, 200);
    assert_eq!(bare.get("/t/default/auth/v1/user").await.status, 200);
    for reply in [
        app.nobody().key(&app.other.publishable_key).bearer(&token).get(USER).await,
        app.nobody().key(&app.other.secret_key).bearer(&token).get(USER).await,
        bare.get("/t/other/auth/v1/user").await,
        app.anonymous().get("/t/other/auth/v1/settings").await,
        app.anonymous().bearer(&app.other.secret_key).get(USER).await,
        app.nobody().bearer(&app.other.secret_key).get("/t/default/auth/v1/admin/users").await,
    ] {
        assert_eq!(reply.status, 401, "{}", reply.text());
    }
    // The other tenant's key, signing what the first tenant's would.
    let claims = part(&token, 1);
    let forged = app.app.tenants.active("other").await.unwrap().keys.sign(TokenKind::Access, &claims).unwrap();
    refused_as_bad(&app, &forged).await;
}

/// V18
#[tokio::test]
async fn long_lived_keys_in_token_form_are_taken() {
    let app = TestApp::new().await;
    let kid = import_secret(&app).await;
    let now = app.app.clock.now().seconds();
    let key = |role: &str| {
        let claims = json!({ "role": role, "iss": "supabase", "iat": now, "exp": now + 1_000_000 });
        hmac_token(&json!({ "alg": "HS256", "typ": "JWT" }), &claims, SECRET.as_bytes())
    };
    let (anon, service) = (key("anon"), key("service_role"));
    for client in [app.nobody().key(&anon), app.nobody().key(&anon).bearer(&anon), app.nobody().bearer(&anon)] {
        assert_eq!(client.get("/auth/v1/settings").await.status, 200);
        assert_refused(&client.get("/auth/v1/admin/users").await, 403, "not_admin");
    }
    assert_refused(&app.nobody().key(&anon).bearer(&anon).get(USER).await, 403, "bad_jwt");
    for client in [app.nobody().key(&service), app.nobody().key(&service).bearer(&service), app.nobody().bearer(&service)] {
        assert_eq!(client.get("/auth/v1/admin/users").await.status, 200);
    }
    // The bearer says who it is; the key only which tenant.
    let user = app.user("ada@example.com", &[]).await;
    let both = app.nobody().key(&service).bearer(&text(&user.session));
    assert_eq!(both.get(USER).await.status, 200);
    assert_refused(&both.get("/auth/v1/admin/users").await, 403, "not_admin");
    // A key that is none is refused, whatever comes beside it.
    let forged = hmac_token(&json!({ "alg": "HS256", "kid": kid }), &json!({ "role": "anon", "exp": now + 1000 }), b"another secret");
    let beside = holder(&app, &user.session).key(&forged);
    assert_refused(&beside.get(USER).await, 403, "bad_jwt");
    assert_refused(&app.nobody().key(&forged).get("/auth/v1/settings").await, 403, "bad_jwt");
    app.app.clock.advance(Duration::from_secs(1_000_100));
    assert_refused(&app.nobody().key(&anon).get("/auth/v1/settings").await, 403, "bad_jwt");
}

/// V24, 2c.13
#[tokio::test]
async fn two_signing_keys_live_until_the_old_one_retires() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    tenants::rotate_signing_key(&app.app, TENANT).await.unwrap();
    let session = sign_in(&app, "ada@example.com").await;
    assert_ne!(part(&text(&session), 0)["kid"], part(&text(&user.session), 0)["kid"]);
    assert_eq!(user.client.get(USER).await.status, 200);
    assert_eq!(holder(&app, &session).get(USER).await.status, 200);
    let keys = app.nobody().get("/auth/v1/.well-known/jwks.json").await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
}

/// V12
#[tokio::test]
async fn two_credentials_of_one_kind_are_refused() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let basic = app.anonymous().header("authorization", &format!("bearer {}", text(&user.session)));
    assert_eq!(basic.get(USER).await.status, 200, "the scheme's case does not matter");
    let listed = app.anonymous().header("authorization", &format!("Bearer {0}, Bearer {0}", text(&user.session)));
    assert_refused(&listed.get(USER).await, 403, "bad_jwt");
    let in_query = app.anonymous().get(&format!("{USER}?access_token={}", text(&user.session))).await;
    assert_refused(&in_query, 401, "no_authorization");
}

//! Every way in, for a user who has a second factor.

use serde_json::{Value, json};

use super::{
    assert_refused, factors, holder,
    mails::{follow, fragment, newest, parameter, verify, verify_hash},
    providers::{PKCE, Visit, ada, query, visit, with_challenge, with_provider},
    refresh, set, sign_in,
};
use crate::support::TestApp;

const ADA: &str = "ada@example.com";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn mailed(app: &TestApp, path: &str, more: &Value) -> super::mails::Carried {
    app.app.clock.advance(std::time::Duration::from_secs(61));
    let mut asked = more.clone();
    asked["email"] = json!(ADA);
    let reply = app.anonymous().post(&format!("/auth/v1/{path}"), asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    newest(app, ADA).await
}

/// V29: none of them is worth two.
#[tokio::test]
async fn no_way_in_is_worth_a_second_factor() {
    let (app, provider) = with_provider().await;
    set(&app, super::passkeys::settings()).await;
    let (user, totp, raised) = factors::user_with_factor(&app, ADA).await;
    let other = factors::claims(&raised)["session_id"].as_str().unwrap().to_owned();
    // The address is proved, so that a provider finds her.
    let at = format!("/auth/v1/admin/users/{}", user.id);
    for email in ["b@example.com", ADA] {
        assert_eq!(app.service().put(&at, json!({ "email": email })).await.status, 200);
    }
    let challenge = json!({ "code_challenge": CHALLENGE, "code_challenge_method": "s256" });
    let exchange =
        async |code: &str, verifier: &str| app.anonymous().post(PKCE, json!({ "auth_code": code, "code_verifier": verifier })).await.json();

    let mut ways: Vec<(&str, Value)> = vec![("password", sign_in(&app, ADA).await)];
    ways.push(("refresh", refresh(&app, &ways[0].1["refresh_token"]).await.json()));
    for (way, path) in [("magiclink", "otp"), ("magiclink", "magiclink"), ("recovery", "recover")] {
        let mail = mailed(&app, path, &json!({})).await;
        ways.push((path, verify(&app.anonymous(), way, ADA, &mail.code).await.json()));
        let mail = mailed(&app, path, &json!({})).await;
        ways.push((path, verify_hash(&app.anonymous(), way, &mail.parameter("token")).await.json()));
        let mail = mailed(&app, path, &json!({})).await;
        let told = fragment(follow(&app, &mail).await.header("location"));
        ways.push((path, json!({ "access_token": told["access_token"], "refresh_token": told["refresh_token"] })));
        let mail = mailed(&app, path, &challenge).await;
        let code = parameter(follow(&app, &mail).await.header("location"), "code");
        ways.push((path, exchange(&code, VERIFIER).await));
    }
    for kind in ["magiclink", "recovery"] {
        let link = app.service().post("/auth/v1/admin/generate_link", json!({ "type": kind, "email": ADA })).await.json();
        ways.push((kind, verify_hash(&app.anonymous(), kind, link["hashed_token"].as_str().unwrap()).await.json()));
    }
    let told = fragment(visit(&app, &provider).go(ada()).await.header("location"));
    ways.push(("oauth", json!({ "access_token": told["access_token"], "refresh_token": told["refresh_token"] })));
    let by_code = Visit { query: with_challenge(), ..visit(&app, &provider) };
    let code = query(&by_code.go(ada()).await)["code"].clone();
    ways.push(("oauth with a code", exchange(&code, "a-verifier-that-is-long-enough-for-everybody-0123").await));
    let body = json!({ "provider": "keycloak", "id_token": provider.id_token(&provider.url("/realms/main"), &ada()) });
    ways.push(("id_token", app.anonymous().post("/auth/v1/token?grant_type=id_token", body).await.json()));

    for (way, session) in &ways {
        let claims = factors::claims(session);
        assert_eq!((&claims["aal"], &claims["sub"]), (&json!("aal1"), &json!(user.id)), "{way}");
        let client = holder(&app, session);
        factors::refused_without_the_factor(&client, &totp.id, &other).await;
        // What it says of itself when it is refreshed is no more.
        let next = refresh(&app, &session["refresh_token"]).await.json();
        assert_eq!(factors::claims(&next)["aal"], "aal1", "{way}");
    }
    // And each can be raised, which ends all that were not.
    let (_, last) = ways.last().unwrap();
    let raised = factors::raise(&app, &holder(&app, last), &totp).await;
    assert_eq!(factors::claims(&raised)["aal"], "aal2");
    for (way, session) in &ways[..ways.len() - 1] {
        assert_refused(&holder(&app, session).get("/auth/v1/user").await, 403, "session_not_found");
        assert_ne!(refresh(&app, &session["refresh_token"]).await.status, 200, "{way}");
    }
}

/// V29: a key of the tenant is no user, and has no factor to use.
#[tokio::test]
async fn a_key_is_no_way_past_the_factor() {
    let app = TestApp::new().await;
    let (_, totp, _) = factors::user_with_factor(&app, ADA).await;
    for client in [app.service(), app.function("users:read users:write").await, app.anonymous()] {
        for path in ["/auth/v1/user", "/auth/v1/user/sessions", "/auth/v1/factors/recovery-codes", "/auth/v1/reauthenticate"] {
            assert_refused(&client.get(path).await, 401, "no_authorization");
        }
        let path = format!("/auth/v1/factors/{}", totp.id);
        assert_refused(&client.delete(&path).await, 401, "no_authorization");
        assert_refused(&client.post(&format!("{path}/challenge"), json!({})).await, 401, "no_authorization");
    }
}

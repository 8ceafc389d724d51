//! Signing in by way of another provider.

use std::{collections::HashMap, time::Duration};

use basalt::crypto::{base64url, sha256};
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::{assert_refused, set, set_url_of_old};
use crate::support::{CLIENT_ID, CLIENT_SECRET, Fault, IdentityProvider, Reply, TestApp};

pub(super) const APP: &str = "https://app.example.com/cb";
pub(super) const VERIFIER: &str = "a-verifier-that-is-long-enough-for-everybody-0123";
pub(super) const PKCE: &str = "/auth/v1/token?grant_type=pkce";

/// An app that may call this machine, and a provider on it: Keycloak, as far as the app can see.
pub(super) async fn with_provider() -> (TestApp, IdentityProvider) {
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.1".parse().unwrap()]).await;
    let provider = IdentityProvider::new(&app.app.clock).await;
    set(
        &app,
        json!({
            "redirects": { "site_url": "https://www.example.com", "allowed": [APP, "https://*.preview.example.com/**"] },
            "providers": { "keycloak": { "enabled": true, "client_id": CLIENT_ID, "secret": CLIENT_SECRET, "url": provider.url("/realms/main") } },
        }),
    )
    .await;
    (app, provider)
}

/// A visit of somebody whom the provider knows by these claims.
pub(super) struct Visit<'v> {
    pub(super) app: &'v TestApp,
    pub(super) provider: &'v IdentityProvider,
    pub(super) name: &'v str,
    pub(super) query: String,
}

impl Visit<'_> {
    /// Sets out. Where the user is sent, and the cookie that it keeps.
    pub(super) async fn depart(&self) -> (String, String) {
        let reply = self.app.nobody().get(&format!("/auth/v1/authorize?provider={}&{}", self.name, self.query)).await;
        assert_eq!(reply.status, 302, "{}", reply.text());
        (reply.header("location").to_owned(), cookie(&reply))
    }

    /// Goes there and comes back.
    pub(super) async fn go(&self, claims: Value) -> Reply {
        let (location, cookie) = self.depart().await;
        let query = self.provider.consent(&location, claims);
        come_back(self.app, &cookie, &query).await
    }
}

pub(super) fn visit<'v>(app: &'v TestApp, provider: &'v IdentityProvider) -> Visit<'v> {
    Visit { app, provider, name: "keycloak", query: format!("redirect_to={APP}") }
}

pub(super) fn with_challenge() -> String {
    format!("redirect_to={APP}%3Fsb_flow_id%3D7&code_challenge={}&code_challenge_method=s256", base64url(&sha256(VERIFIER.as_bytes())))
}

pub(super) async fn come_back(app: &TestApp, cookie: &str, query: &str) -> Reply {
    app.nobody().header("cookie", cookie).get(&format!("/t/default/auth/v1/callback?{query}")).await
}

/// The cookie that an answer sets, as it is sent back.
pub(super) fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// What is told in the fragment of the address that an answer sends to.
pub(super) fn fragment(reply: &Reply) -> HashMap<String, String> {
    let url = Url::parse(reply.header("location")).unwrap_or_else(|_| panic!("{} {}", reply.status, reply.text()));
    url::form_urlencoded::parse(url.fragment().unwrap_or_default().as_bytes()).into_owned().collect()
}

pub(super) fn query(reply: &Reply) -> HashMap<String, String> {
    Url::parse(reply.header("location")).unwrap().query_pairs().into_owned().collect()
}

pub(super) fn place(reply: &Reply) -> String {
    reply.header("location").split(['?', '#']).next().unwrap().to_owned()
}

/// The user of a session in a fragment, as it sees itself.
pub(super) async fn user_of(app: &TestApp, reply: &Reply) -> Value {
    let told = fragment(reply);
    let token = told.get("access_token").unwrap_or_else(|| panic!("no session: {told:?}"));
    app.anonymous().bearer(token).get("/auth/v1/user").await.json()
}

#[track_caller]
pub(super) fn assert_sent_away(reply: &Reply, to: &str, error: &str, code: &str) {
    assert_eq!(reply.status, 303, "{}", reply.text());
    let told = fragment(reply);
    assert_eq!((place(reply).as_str(), told["error"].as_str(), told["error_code"].as_str(), told["sb"].as_str()), (to, error, code, ""), "{told:?}");
    assert_eq!(query(reply)["error_code"], code);
    assert!(!told.contains_key("access_token"));
}

pub(super) fn ada() -> Value {
    json!({ "sub": "u-1", "email": "Ada@Example.com", "email_verified": true, "name": "Ada Lovelace", "picture": "https://pictures.example.com/ada" })
}

/// 2b.8
#[tokio::test]
async fn a_stranger_signs_in_and_comes_again() {
    let (app, provider) = with_provider().await;
    let reply = visit(&app, &provider).go(ada()).await;
    assert_eq!((reply.status.as_u16(), place(&reply).as_str()), (302, APP), "{}", reply.header("location"));
    // RFC 9700 2b 8: what is in the address is for the app alone.
    assert_eq!((reply.header("referrer-policy"), reply.header("cache-control")), ("no-referrer", "no-store"));
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    let told = fragment(&reply);
    let mut names: Vec<_> = told.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = ["access_token", "expires_at", "expires_in", "provider_refresh_token", "provider_token", "refresh_token", "sb", "token_type"];
    assert_eq!(names, expected);
    let order: Vec<_> = reply.header("location").split_once('#').unwrap().1.split('&').map(|pair| pair.split('=').next().unwrap()).collect();
    assert_eq!(order, expected, "keys are sorted");
    let user = user_of(&app, &reply).await;
    assert_eq!((&user["email"], &user["app_metadata"]["provider"]), (&json!("ada@example.com"), &json!("keycloak")));
    assert!(user["email_confirmed_at"].is_string());
    let metadata = &user["user_metadata"];
    assert_eq!((&metadata["full_name"], &metadata["avatar_url"]), (&json!("Ada Lovelace"), &json!("https://pictures.example.com/ada")));
    let identity = &user["identities"][0];
    assert_eq!((&identity["provider"], &identity["id"], &identity["email"]), (&json!("keycloak"), &json!("u-1"), &json!("ada@example.com")));
    assert_eq!(identity["identity_data"]["iss"], provider.url("/realms/main"));
    // What the token says of how it was earned.
    let claims = told["access_token"].split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&basalt::crypto::from_base64url(claims).unwrap()).unwrap();
    assert_eq!((&claims["amr"][0]["method"], &claims["amr"][0]["provider"]), (&json!("oauth"), &json!("keycloak")));
    let again = visit(&app, &provider).go(ada()).await;
    assert_eq!(user_of(&app, &again).await["id"], user["id"]);
}

/// V16, 2b.2
#[tokio::test]
async fn what_leaves_for_the_provider_is_ours_to_say() {
    let (app, provider) = with_provider().await;
    // V16
    let hostile = "login_hint=eve%40example.com&client_id=evil&redirect_uri=https%3A%2F%2Fevil.example&response_type=token&state=x&nonce=y\
                   &response_mode=fragment&request_uri=z&id_token_hint=w&prompt=consent&scopes=groups%20email&apikey=k&whatever=1";
    let visit = Visit { query: format!("redirect_to={APP}&{}", hostile.replace("&apikey=k", "")), ..visit(&app, &provider) };
    let (location, cookie) = visit.depart().await;
    let asked: Vec<(String, String)> = Url::parse(&location).unwrap().query_pairs().into_owned().collect();
    let names: Vec<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt"];
    assert_eq!(names, expected);
    let asked: HashMap<_, _> = asked.into_iter().collect();
    assert_eq!(
        (asked["client_id"].as_str(), asked["response_type"].as_str(), asked["scope"].as_str()),
        (CLIENT_ID, "code", "openid email profile groups")
    );
    assert_eq!(asked["redirect_uri"], "http://127.0.0.1:8787/t/default/auth/v1/callback");
    assert!(asked["state"] != "x" && asked["nonce"] != "y");
    assert!(cookie.starts_with("sb-flow-"));
    assert!(location.starts_with(&provider.url("/realms/main/protocol/openid-connect/auth?")));
}

#[tokio::test]
async fn a_flow_begins_where_it_will_end() {
    let (app, _provider) = with_provider().await;
    let reply = app.nobody().header("host", "localhost:8787").get("/t/default/auth/v1/authorize?provider=keycloak&scopes=a%20b").await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("location"), "http://127.0.0.1:8787/t/default/auth/v1/authorize?provider=keycloak&scopes=a+b&sb_home=1");
    // A proxy may show another host than clients see: once is enough.
    let reply = app.nobody().header("host", "inside:8787").get("/t/default/auth/v1/authorize?provider=keycloak&sb_home=1").await;
    assert!(reply.header("location").contains("/protocol/openid-connect/auth?"), "{}", reply.header("location"));
}

/// V12
#[tokio::test]
async fn what_is_said_twice_is_refused() {
    let (app, provider) = with_provider().await;
    // V12
    let twice = [
        "provider=keycloak&provider=google",
        "provider=keycloak&redirect_to=https://a.example&redirect_to=https://b.example",
        "provider=keycloak&scopes=a&scopes=b",
        "provider=keycloak&prompt=none&prompt=login",
    ];
    for query in twice {
        assert_refused(&app.nobody().get(&format!("/auth/v1/authorize?{query}")).await, 400, "validation_failed");
    }
    let (location, cookie) = visit(&app, &provider).depart().await;
    let query = provider.consent(&location, ada());
    for extra in ["code=other", "state=other", "iss=a&iss=b"] {
        assert_refused(&come_back(&app, &cookie, &format!("{query}&{extra}")).await, 400, "validation_failed");
    }
    let form = app.nobody().header("cookie", &cookie).header("content-type", "application/x-www-form-urlencoded");
    let reply = form.send(Method::POST, &format!("/t/default/auth/v1/callback?{query}"), "code=other".to_owned()).await;
    assert_refused(&reply, 400, "validation_failed");
    assert_eq!(come_back(&app, &cookie, &query).await.status, 302, "none of this used the flow up");
}

#[tokio::test]
async fn a_provider_may_answer_by_a_form() {
    let (app, provider) = with_provider().await;
    let (location, cookie) = visit(&app, &provider).depart().await;
    let mut claims = ada();
    claims.as_object_mut().unwrap().remove("name");
    let mut form = provider.consent(&location, claims);
    form.push_str("&user=%7B%22name%22%3A%7B%22firstName%22%3A%22Ada%22%2C%22lastName%22%3A%22King%22%7D%7D");
    let client = app.nobody().header("cookie", &cookie).header("content-type", "application/x-www-form-urlencoded");
    let reply = client.send(Method::POST, "/t/default/auth/v1/callback", form).await;
    assert_eq!(user_of(&app, &reply).await["user_metadata"]["name"], "Ada King");
}

/// 2b.3
#[tokio::test]
async fn unknown_providers_and_halves_of_challenges_are_refused() {
    let (app, _provider) = with_provider().await;
    for query in ["", "provider=", "provider=nobody", "provider=google", "provider=custom:none", "provider=email"] {
        let reply = app.nobody().get(&format!("/auth/v1/authorize?{query}")).await;
        assert_refused(&reply, 400, "validation_failed");
        assert!(reply.json()["msg"].as_str().unwrap().starts_with("Unsupported provider"), "{}", reply.text());
    }
    let good = "a".repeat(43);
    for half in [format!("code_challenge={good}"), "code_challenge_method=s256".to_owned(), format!("code_challenge={good}&code_challenge_method=s1")]
    {
        let reply = app.nobody().get(&format!("/auth/v1/authorize?provider=keycloak&{half}")).await;
        assert_refused(&reply, 400, "validation_failed");
    }
}

#[tokio::test]
async fn settings_tell_which_providers_are_offered() {
    let (app, _provider) = with_provider().await;
    let external = app.anonymous().get("/auth/v1/settings").await.json()["external"].clone();
    assert_eq!((&external["keycloak"], &external["google"], &external["email"]), (&json!(true), &json!(false), &json!(true)));
}

/// V11: the corpus itself is beside the rules; here is that the flow keeps to them.
/// 2b.1, 2b.9
#[tokio::test]
async fn a_place_that_is_not_allowed_is_told_and_not_gone_to() {
    let (app, provider) = with_provider().await;
    for (asked, to) in [
        ("https://evil.example/cb", "https://www.example.com/"),
        ("https://www.example.com@evil.example/", "https://www.example.com/"),
        ("https://pr-1.preview.example.com/deep/page", "https://pr-1.preview.example.com/deep/page"),
        ("https://evil.example/.preview.example.com/x", "https://www.example.com/"),
        ("javascript:alert(1)", "https://www.example.com/"),
        ("", "https://www.example.com/"),
    ] {
        let asked: String = url::form_urlencoded::byte_serialize(asked.as_bytes()).collect();
        let path = format!("/auth/v1/authorize?provider=keycloak&redirect_to={asked}");
        let reply = app.nobody().get(&path).await;
        let is_refused = !reply.header("x-basalt-redirect-refused").is_empty();
        assert_eq!(is_refused, to == "https://www.example.com/" && !asked.is_empty(), "{asked}");
        let query = provider.consent(reply.header("location"), ada());
        let reply = come_back(&app, &cookie(&reply), &query).await;
        assert_eq!(place(&reply), to);
        assert!(fragment(&reply).contains_key("access_token"));
    }
    // The header, and the page that a request comes from.
    for (header, value, to) in [
        ("redirect_to", APP, APP),
        ("redirect_to", "https://evil.example/", "https://www.example.com/"),
        ("referer", "https://www.example.com/login", "https://www.example.com/login"),
        ("referer", "https://evil.example/login", "https://www.example.com/"),
    ] {
        let reply = app.nobody().header(header, value).get("/auth/v1/authorize?provider=keycloak").await;
        let query = provider.consent(reply.header("location"), ada());
        assert_eq!(place(&come_back(&app, &cookie(&reply), &query).await), to);
    }
}

/// V14, 2b.7
#[tokio::test]
async fn a_state_is_good_once_in_its_browser_and_in_time() {
    let (app, provider) = with_provider().await;
    let site = "https://www.example.com/";
    // V14
    let (location, cookie) = visit(&app, &provider).depart().await;
    let query = provider.consent(&location, ada());
    assert_sent_away(&come_back(&app, "", &query).await, site, "invalid_request", "bad_oauth_state");
    assert_sent_away(&come_back(&app, &cookie.replace('=', "=x"), &query).await, site, "invalid_request", "bad_oauth_state");
    let (_, others) = visit(&app, &provider).depart().await;
    assert_sent_away(&come_back(&app, &others, &query).await, site, "invalid_request", "bad_oauth_state");
    // Another tenant's is none.
    let reply = app.nobody().header("cookie", &cookie).get(&format!("/t/other/auth/v1/callback?{query}")).await;
    assert_eq!((reply.status.as_u16(), fragment(&reply)["error_code"].as_str()), (303, "bad_oauth_state"));
    assert_eq!(come_back(&app, &cookie, &query).await.status, 302, "none of this used the flow up");
    assert_sent_away(&come_back(&app, &cookie, &query).await, site, "invalid_request", "flow_state_already_used");
    for query in ["code=x", "code=x&state=", "code=x&state=nonsense", "code=x&state=00000000-0000-4000-8000-000000000000"] {
        let reply = come_back(&app, &cookie, query).await;
        assert!(reply.status == 303 && place(&reply) == site, "{query}");
    }
    let (location, cookie) = visit(&app, &provider).depart().await;
    let query = provider.consent(&location, ada());
    app.app.clock.advance(Duration::from_secs(601));
    assert_sent_away(&come_back(&app, &cookie, &query).await, site, "invalid_request", "bad_oauth_state");
}

/// V14
#[tokio::test]
async fn of_many_who_come_back_at_once_one_is_let_in() {
    let (app, provider) = with_provider().await;
    let (location, cookie) = visit(&app, &provider).depart().await;
    let query = provider.consent(&location, ada());
    let replies = join_all((0..20).map(|_| come_back(&app, &cookie, &query))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 302).count(), 1);
}

/// V13, 2b.3, 2b.4
#[tokio::test]
async fn a_code_is_exchanged_by_who_knows_the_verifier() {
    let (app, provider) = with_provider().await;
    let visit = Visit { query: with_challenge(), ..visit(&app, &provider) };
    let reply = visit.go(ada()).await;
    assert_eq!((reply.status.as_u16(), place(&reply).as_str(), fragment(&reply).len()), (302, APP, 0));
    let told = query(&reply);
    // What the client added to find its flow again comes back untouched.
    assert_eq!((told.len(), told["sb_flow_id"].as_str()), (2, "7"));
    let exchange = async |code: &str, verifier: &str| app.anonymous().post(PKCE, json!({ "auth_code": code, "code_verifier": verifier })).await;
    let code = told["code"].as_str();
    assert!(uuid::Uuid::parse_str(code).is_ok());
    // V13: each thing wrong alone.
    assert_refused(&exchange(code, &VERIFIER.replace('a', "b")).await, 400, "bad_code_verifier");
    assert_refused(&exchange("00000000-0000-4000-8000-000000000000", VERIFIER).await, 404, "flow_state_not_found");
    assert_refused(&exchange("", VERIFIER).await, 400, "validation_failed");
    assert_refused(&exchange(code, "").await, 400, "validation_failed");
    let other = app.nobody().key(&app.other.publishable_key).post(PKCE, json!({ "auth_code": code, "code_verifier": VERIFIER })).await;
    assert_refused(&other, 404, "flow_state_not_found");
    let session = exchange(code, VERIFIER).await;
    assert_eq!(session.status, 200, "{}", session.text());
    let session = session.json();
    assert_eq!((&session["user"]["email"], &session["provider_refresh_token"]), (&json!("ada@example.com"), &json!("rt")));
    assert!(session["provider_token"].as_str().unwrap().starts_with("at-"));
    assert_refused(&exchange(code, VERIFIER).await, 404, "flow_state_not_found");
    // Late.
    let code = query(&visit.go(ada()).await)["code"].clone();
    app.app.clock.advance(Duration::from_secs(301));
    assert_refused(&exchange(&code, VERIFIER).await, 422, "flow_state_expired");
}

/// V13, 2b.4
#[tokio::test]
async fn of_many_who_exchange_a_code_at_once_one_gets_a_session() {
    let (app, provider) = with_provider().await;
    let visit = Visit { query: with_challenge(), ..visit(&app, &provider) };
    let code = query(&visit.go(ada()).await)["code"].clone();
    // V13
    let anonymous = app.anonymous();
    let replies = join_all((0..50).map(|_| anonymous.post(PKCE, json!({ "auth_code": code, "code_verifier": VERIFIER })))).await;
    let (good, bad): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!(good.len(), 1);
    for reply in bad {
        assert_refused(reply, 404, "flow_state_not_found");
    }
}

#[tokio::test]
async fn a_banned_user_is_not_let_in() {
    let (app, provider) = with_provider().await;
    let user = user_of(&app, &visit(&app, &provider).go(ada()).await).await;
    let path = format!("/auth/v1/admin/users/{}", user["id"].as_str().unwrap());
    assert_eq!(app.service().put(&path, json!({ "ban_duration": "1h" })).await.status, 200);
    assert_sent_away(&visit(&app, &provider).go(ada()).await, APP, "access_denied", "user_banned");
}

#[tokio::test]
async fn who_refuses_at_the_provider_comes_back_with_an_error() {
    let (app, provider) = with_provider().await;
    for (error, shown) in [("access_denied", "access_denied"), ("made_up", "server_error")] {
        let (location, cookie) = visit(&app, &provider).depart().await;
        let state = Url::parse(&location).unwrap().query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let reply = come_back(&app, &cookie, &format!("state={state}&error={error}&error_description=The+user+said+no")).await;
        assert_sent_away(&reply, APP, shown, "bad_oauth_callback");
        assert_eq!(fragment(&reply)["error_description"], "The user said no");
    }
}

/// V5, 2b.7
#[tokio::test]
async fn a_provider_that_misbehaves_vouches_for_nobody() {
    let (app, provider) = with_provider().await;
    for fault in [Fault::Refuses, Fault::Huge, Fault::Slow, Fault::NoIdToken, Fault::Unsigned, Fault::UnknownKey, Fault::Garbled] {
        provider.set_fault(fault);
        let reply = visit(&app, &provider).go(ada()).await;
        assert_sent_away(&reply, APP, "server_error", "unexpected_failure");
        assert!(!reply.header("location").contains("words+of+the+provider"), "{fault:?}");
    }
    provider.set_fault(Fault::None);
    let now = app.app.clock.now().seconds();
    let hour = 3600;
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(provider.url("/realms/main/"))),
        ("iss", json!(provider.url("/realms/Main"))),
        ("aud", json!("another-app")),
        ("aud", json!(["another-app", "a third"])),
        ("aud", json!([CLIENT_ID, "another-app"])),
        ("aud", json!([])),
        ("azp", json!("another-app")),
        ("nonce", json!("of another flow")),
        ("exp", json!(now - hour)),
        ("exp", json!("soon")),
        ("nbf", json!(now + hour)),
        ("iat", json!(now + hour)),
        ("sub", json!("")),
        ("sub", json!({})),
    ] {
        let mut claims = ada();
        claims[name] = value.clone();
        let reply = visit(&app, &provider).go(claims).await;
        assert_sent_away(&reply, APP, "server_error", "unexpected_failure");
    }
    let users = app.service().get("/auth/v1/admin/users").await.json();
    assert_eq!(users["users"], json!([]), "nobody was made");
    assert_eq!(visit(&app, &provider).go(ada()).await.status, 302);
}

#[tokio::test]
async fn a_provider_may_change_its_keys() {
    let (app, provider) = with_provider().await;
    assert_eq!(visit(&app, &provider).go(ada()).await.status, 302);
    provider.asked();
    assert_eq!(visit(&app, &provider).go(ada()).await.status, 302);
    let fetched = |asked: Vec<http::Request<bytes::Bytes>>| asked.iter().filter(|request| request.uri().path().ends_with("/certs")).count();
    assert_eq!(fetched(provider.asked()), 0, "the keys are kept");
    provider.rotate_key("two");
    app.app.clock.advance(Duration::from_secs(11));
    assert_eq!(visit(&app, &provider).go(ada()).await.status, 302);
    assert_eq!(fetched(provider.asked()), 1);
    // Tokens that nobody signed make no traffic.
    provider.set_fault(Fault::UnknownKey);
    for _ in 0..3 {
        assert_eq!(visit(&app, &provider).go(ada()).await.status, 303);
    }
    assert_eq!(fetched(provider.asked()), 0);
}

/// A provider without ID tokens: GitHub, on a machine of one's own.
async fn set_github(app: &TestApp, provider: &IdentityProvider) {
    set(app, json!({ "providers": { "github": { "enabled": true, "client_id": CLIENT_ID, "secret": CLIENT_SECRET, "url": provider.url("") } } }))
        .await;
}

#[tokio::test]
async fn an_address_is_taken_from_where_the_provider_keeps_it() {
    let (app, provider) = with_provider().await;
    set_github(&app, &provider).await;
    provider.set_emails(json!([
        { "email": "spam@example.com", "primary": false, "verified": false },
        { "email": "ada@example.com", "primary": true, "verified": true },
    ]));
    let github = Visit { name: "github", ..visit(&app, &provider) };
    let claims = json!({ "id": 583_231, "login": "ada", "name": null, "avatar_url": "https://a.example/1", "email": "public@example.com" });
    let user = user_of(&app, &github.go(claims).await).await;
    assert_eq!((&user["email"], &user["identities"][0]["id"]), (&json!("ada@example.com"), &json!("583231")));
    assert_eq!((&user["user_metadata"]["user_name"], &user["user_metadata"]["name"]), (&json!("ada"), &json!("ada")));
    assert!(user["email_confirmed_at"].is_string());
}

/// A caller as the admin of the tenant's providers.
pub(super) async fn add_custom(app: &TestApp, identifier: &str, issuer: &str) {
    let body = json!({
        "provider_type": "oidc", "identifier": identifier, "name": identifier, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "issuer": issuer,
    });
    let reply = app.service().post("/auth/v1/admin/custom-providers", body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

/// RFC 9700 2b 6
/// 2b.6
#[tokio::test]
async fn two_providers_are_not_mixed_up() {
    let (app, honest) = with_provider().await;
    let evil = IdentityProvider::new(&app.app.clock).await;
    add_custom(&app, "custom:honest", &honest.url("/named")).await;
    add_custom(&app, "custom:evil", &evil.url("/named")).await;
    let visit = Visit { name: "custom:honest", ..visit(&app, &honest) };
    let (location, cookie) = visit.depart().await;
    let query = honest.consent(&location, ada());
    assert_sent_away(&come_back(&app, &cookie, &format!("{query}&iss={}", evil.url("/named"))).await, APP, "invalid_request", "bad_oauth_callback");
    // Who says that it names itself must.
    let (location, cookie) = visit.depart().await;
    let query = honest.consent(&location, ada());
    assert_sent_away(&come_back(&app, &cookie, &query).await, APP, "invalid_request", "bad_oauth_callback");
    let (location, cookie) = visit.depart().await;
    let query = honest.consent(&location, ada());
    let reply = come_back(&app, &cookie, &format!("{query}&iss={}", honest.url("/named"))).await;
    assert_eq!(user_of(&app, &reply).await["app_metadata"]["provider"], "custom:honest");
    // The one's user is not the other's, whatever it calls it.
    let visit = Visit { name: "custom:evil", provider: &evil, ..visit };
    let (location, cookie) = visit.depart().await;
    let mut stranger = ada();
    stranger["email"] = json!("eve@example.com");
    let query = evil.consent(&location, stranger);
    let reply = come_back(&app, &cookie, &format!("{query}&iss={}", evil.url("/named"))).await;
    assert_eq!(user_of(&app, &reply).await["email"], "eve@example.com");
}

#[tokio::test]
async fn what_may_not_be_called_is_not() {
    let (app, provider) = with_provider().await;
    let closed = TestApp::new().await;
    let keycloak = json!({ "enabled": true, "client_id": CLIENT_ID, "secret": CLIENT_SECRET, "url": "https://id.example.com/realms/main" });
    set(&closed, json!({ "providers": { "keycloak": keycloak } })).await;
    set_url_of_old(&closed, "/providers/keycloak/url", &provider.url("/realms/main")).await;
    let reply = Visit { app: &closed, provider: &provider, name: "keycloak", query: String::new() }.go(ada()).await;
    assert_eq!(fragment(&reply)["error_code"], "unexpected_failure");
    assert!(provider.asked().is_empty());
    drop(app);
}

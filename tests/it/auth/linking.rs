//! Whose user somebody becomes who comes by way of a provider.

use serde_json::{Value, json};

use super::{
    SIGN_IN, assert_refused,
    providers::{
        APP, PKCE, VERIFIER, Visit, ada, add_custom, assert_sent_away, come_back, fragment, place, query, user_of, visit, with_challenge,
        with_provider,
    },
    refresh, set,
};
use crate::support::{IdentityProvider, PASSWORD, Reply, TestApp};

const EMAIL: &str = "ada@example.com";

/// Who signs up here before, and doesn't confirm the address.
async fn seed_unconfirmed(app: &TestApp) {
    set(app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    let body = json!({ "email": EMAIL, "password": PASSWORD, "data": { "role": "planted", "sub": "planted" } });
    assert_eq!(app.anonymous().post("/auth/v1/signup", body).await.status, 200);
}

async fn users(app: &TestApp) -> Vec<Value> {
    app.service().get("/auth/v1/admin/users").await.json()["users"].as_array().unwrap().clone()
}

async fn sign_in_by_password(app: &TestApp) -> Reply {
    app.anonymous().post(SIGN_IN, json!({ "email": EMAIL, "password": PASSWORD })).await
}

/// V2
#[tokio::test]
async fn who_took_an_address_first_loses_it_to_its_owner() {
    let (app, provider) = with_provider().await;
    seed_unconfirmed(&app).await;
    let planted = users(&app).await[0]["id"].clone();
    let reply = visit(&app, &provider).go(ada()).await;
    let user = user_of(&app, &reply).await;
    assert_eq!(user["id"], planted, "one account");
    assert_eq!((users(&app).await.len(), user["identities"].as_array().unwrap().len()), (1, 1));
    assert_eq!((&user["identities"][0]["provider"], &user["app_metadata"]["providers"]), (&json!("keycloak"), &json!(["keycloak"])));
    assert!(user["email_confirmed_at"].is_string());
    assert_eq!((&user["user_metadata"]["role"], &user["user_metadata"]["sub"]), (&json!(null), &json!("u-1")), "nothing planted is left");
    assert_refused(&sign_in_by_password(&app).await, 400, "invalid_credentials");
}

/// V2: a session and a pending code that were there before are dead, too.
#[tokio::test]
async fn what_was_opened_before_the_owner_came_is_closed() {
    let (app, provider) = with_provider().await;
    let eve = app.user(EMAIL, &[]).await;
    let id = eve.id.clone();
    // As if the address had not been confirmed yet.
    let unconfirmed = async || {
        let id: uuid::Uuid = id.parse().unwrap();
        app.app
            .db
            .write(move |tx| async move { tx.query("UPDATE users SET email_confirmed_at = NULL WHERE id = $1").bind(id).execute().await })
            .await
            .unwrap();
    };
    unconfirmed().await;
    assert_eq!(eve.client.get("/auth/v1/user").await.status, 200);
    let user = user_of(&app, &visit(&app, &provider).go(ada()).await).await;
    assert_eq!(user["id"], eve.id);
    assert_refused(&eve.client.get("/auth/v1/user").await, 403, "session_not_found");
    assert_refused(&refresh(&app, &eve.session["refresh_token"]).await, 400, "refresh_token_not_found");
    assert_refused(&sign_in_by_password(&app).await, 400, "invalid_credentials");
}

/// V3
#[tokio::test]
async fn an_address_seeded_by_one_provider_does_not_open_the_owners_account() {
    let (app, honest) = with_provider().await;
    let lax = IdentityProvider::new(&app.app.clock).await;
    add_custom(&app, "custom:lax", &lax.url("/idp")).await;
    let eve = json!({ "sub": "eve", "email": EMAIL });
    let by_lax = Visit { name: "custom:lax", provider: &lax, ..visit(&app, &honest) };
    let seeded = by_lax.go(eve.clone()).await;
    let seeded_user = user_of(&app, &seeded).await;
    assert!(seeded_user.get("email_confirmed_at").is_none(), "{seeded_user}");
    let eves_token = fragment(&seeded)["access_token"].clone();
    // The owner comes with proof: one account, hers.
    let user = user_of(&app, &visit(&app, &honest).go(ada()).await).await;
    assert_eq!((user["identities"].as_array().unwrap().len(), &user["identities"][0]["provider"]), (1, &json!("keycloak")));
    assert_refused(&app.anonymous().bearer(&eves_token).get("/auth/v1/user").await, 403, "session_not_found");
    // Eve comes again, and is somebody else, without the address.
    let again = user_of(&app, &by_lax.go(eve).await).await;
    assert_ne!(again["id"], user["id"]);
    assert_eq!(again["email"], "");
    assert_eq!(user_of(&app, &visit(&app, &honest).go(ada()).await).await["id"], user["id"], "she is not locked out");
}

/// V4
#[tokio::test]
async fn an_address_that_is_not_vouched_for_proves_nothing() {
    let (app, provider) = with_provider().await;
    let owner = app.user(EMAIL, &[]).await;
    for (index, word) in [None, Some(json!(false)), Some(json!("false")), Some(json!(null)), Some(json!(0)), Some(json!(1)), Some(json!("yes"))]
        .into_iter()
        .enumerate()
    {
        let mut claims = json!({ "sub": format!("eve-{index}"), "email": EMAIL });
        if let Some(word) = word {
            claims["email_verified"] = word;
        }
        let user = user_of(&app, &visit(&app, &provider).go(claims).await).await;
        assert_ne!(user["id"], owner.id);
        assert_eq!((&user["email"], &user["user_metadata"]["email_verified"]), (&json!(""), &json!(false)));
        assert!(user.get("email_confirmed_at").is_none());
    }
    let user = user_of(&app, &visit(&app, &provider).go(json!({ "sub": "b", "email": "bob@example.com" })).await).await;
    assert_eq!(user["email"], "bob@example.com");
    assert!(user.get("email_confirmed_at").is_none(), "never verified");
}

#[tokio::test]
async fn where_addresses_are_confirmed_an_unverified_one_waits() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    for _ in 0..2 {
        let reply = visit(&app, &provider).go(json!({ "sub": "b", "email": "bob@example.com" })).await;
        assert_sent_away(&reply, APP, "access_denied", "provider_email_needs_verification");
    }
    assert_eq!(users(&app).await.len(), 1);
    // One mail in a minute asks whether the address is theirs; who says so comes in.
    assert_eq!(app.mails("bob@example.com").await.len(), 1);
    let mail = super::mails::newest(&app, "bob@example.com").await;
    assert_eq!((mail.mail["subject"].as_str(), &*mail.parameter("type")), (Some("Confirm your mail address"), "signup"));
    assert_eq!(mail.parameter("redirect_to"), APP);
    app.app.clock.advance(std::time::Duration::from_secs(61));
    visit(&app, &provider).go(json!({ "sub": "b", "email": "bob@example.com" })).await;
    let mail = super::mails::newest(&app, "bob@example.com").await;
    assert_eq!(app.mails("bob@example.com").await.len(), 2);
    assert_eq!(place(&super::mails::follow(&app, &mail).await), APP);
    let user = user_of(&app, &visit(&app, &provider).go(json!({ "sub": "b", "email": "bob@example.com" })).await).await;
    assert!(user["email_confirmed_at"].is_string() && user["identities"][0]["provider"] == "keycloak", "{user}");
    // An address that has an account is answered alike, and that account is left alone.
    let body = json!({ "email": EMAIL, "password": PASSWORD, "email_confirm": true });
    assert_eq!(app.service().post("/auth/v1/admin/users", body).await.status, 200);
    let reply = visit(&app, &provider).go(json!({ "sub": "eve", "email": EMAIL })).await;
    assert_sent_away(&reply, APP, "access_denied", "provider_email_needs_verification");
    assert_eq!((users(&app).await.len(), sign_in_by_password(&app).await.status.as_u16()), (2, 200));
    let mails = app.mails(EMAIL).await;
    assert_eq!((mails.len(), &mails[0]["subject"]), (1, &json!("You already have an account")));
}

// V2, V3
#[tokio::test]
async fn who_comes_in_by_a_link_inherits_no_strangers_provider() {
    for way in ["/auth/v1/otp", "/auth/v1/recover"] {
        let (app, provider) = with_provider().await;
        set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
        let eve = json!({ "sub": "eve", "email": EMAIL });
        assert_sent_away(&visit(&app, &provider).go(eve.clone()).await, APP, "access_denied", "provider_email_needs_verification");
        app.run_jobs().await;
        app.app.clock.advance(std::time::Duration::from_secs(61));
        assert_eq!(app.anonymous().post(way, json!({ "email": EMAIL })).await.status, 200);
        let mail = super::mails::newest(&app, EMAIL).await;
        assert_eq!(super::mails::follow(&app, &mail).await.status, 303);
        let owner = users(&app).await[0].clone();
        assert!(owner["email_confirmed_at"].is_string(), "{owner}");
        let identities: Vec<&Value> = owner["identities"].as_array().unwrap().iter().map(|identity| &identity["provider"]).collect();
        assert_eq!((identities, &owner["app_metadata"]["providers"]), (vec![&json!("email")], &json!(["email"])), "{owner}");
        let reply = visit(&app, &provider).go(eve).await;
        assert_sent_away(&reply, APP, "access_denied", "provider_email_needs_verification");
    }
}

/// What somebody is invited by, as its link has it.
async fn invite(app: &TestApp, email: &str) -> String {
    let reply = app.service().post("/auth/v1/invite", json!({ "email": email, "data": { "team": "red" } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    super::mails::newest(app, email).await.parameter("token")
}

#[tokio::test]
async fn an_invitation_is_accepted_by_way_of_a_provider() {
    for has_challenge in [false, true] {
        let (app, provider) = with_provider().await;
        set(&app, json!({ "sign_up": { "enabled": false, "email_autoconfirm": false } })).await;
        let token = invite(&app, EMAIL).await;
        let asked = if has_challenge { with_challenge() } else { format!("redirect_to={APP}") };
        let invited = Visit { query: format!("{asked}&invite_token={token}"), ..visit(&app, &provider) };
        // The provider has to know the address that was invited, and word of another one uses nothing up.
        let other = invited.go(json!({ "sub": "x", "email": "eve@example.com", "email_verified": true })).await;
        assert_eq!(fragment(&other)["error_description"], "Invited email does not match emails from external provider");
        assert_eq!(fragment(&other)["error"], "invalid_request");
        // The invitation shows whose address it is, so the provider need not.
        let reply = invited.go(json!({ "sub": "u-1", "email": EMAIL })).await;
        assert_eq!(reply.status, 302, "{}", reply.text());
        assert_eq!(query(&reply).contains_key("code"), has_challenge);
        let user = users(&app).await[0].clone();
        assert!(user["email_confirmed_at"].is_string(), "{user}");
        assert_eq!((&user["user_metadata"]["team"], &user["app_metadata"]["providers"]), (&json!("red"), &json!(["email", "keycloak"])));
        // V10: once.
        let path = format!("/auth/v1/authorize?provider=keycloak&invite_token={token}");
        assert_refused(&app.nobody().get(&path).await, 404, "invite_not_found");
        assert_refused(&super::mails::verify_hash(&app.anonymous(), "invite", &token).await, 403, "otp_expired");
        assert_eq!(user_of(&app, &visit(&app, &provider).go(ada()).await).await["id"], user["id"]);
    }
}

// V10
#[tokio::test]
async fn an_invitation_that_is_none_leads_nowhere() {
    let (app, provider) = with_provider().await;
    let token = invite(&app, EMAIL).await;
    for wrong in [token.replace(|c: char| c.is_ascii_digit(), "0"), token[1..].to_owned(), "nonsense".to_owned()] {
        let reply = app.nobody().get(&format!("/auth/v1/authorize?provider=keycloak&invite_token={wrong}")).await;
        assert_refused(&reply, 404, "invite_not_found");
    }
    // Another kind of link is no invitation.
    app.user("bob@example.com", &[]).await;
    assert_eq!(app.anonymous().post("/auth/v1/recover", json!({ "email": "bob@example.com" })).await.status, 200);
    let recovery = super::mails::newest(&app, "bob@example.com").await.parameter("token");
    let reply = app.nobody().get(&format!("/auth/v1/authorize?provider=keycloak&invite_token={recovery}")).await;
    assert_refused(&reply, 404, "invite_not_found");
    // Two who set out with it: one arrives.
    let invited = Visit { query: format!("redirect_to={APP}&invite_token={token}"), ..visit(&app, &provider) };
    let ((first, one), (second, two)) = futures_util::future::join(invited.depart(), invited.depart()).await;
    let (first, second) = (provider.consent(&first, ada()), provider.consent(&second, ada()));
    let (first, second) = futures_util::future::join(come_back(&app, &one, &first), come_back(&app, &two, &second)).await;
    let codes: Vec<String> = [&first, &second].iter().filter_map(|reply| fragment(reply).remove("error_code")).collect();
    assert_eq!(codes, ["invite_not_found"]);
}

#[tokio::test]
async fn an_invitation_that_is_accepted_leaves_no_strangers_password() {
    let (app, provider) = with_provider().await;
    seed_unconfirmed(&app).await;
    app.run_jobs().await;
    let token = invite(&app, EMAIL).await;
    let invited = Visit { query: format!("redirect_to={APP}&invite_token={token}"), ..visit(&app, &provider) };
    assert_eq!(invited.go(ada()).await.status, 302);
    assert_refused(&sign_in_by_password(&app).await, 400, "invalid_credentials");
}

#[tokio::test]
async fn a_verified_address_joins_the_user_who_confirmed_it() {
    let (app, provider) = with_provider().await;
    let owner = json!({ "email": EMAIL, "password": PASSWORD, "email_confirm": true, "app_metadata": { "roles": ["hr"] } });
    let owner = app.service().post("/auth/v1/admin/users", owner).await.json();
    let client = super::holder(&app, &super::sign_in(&app, EMAIL).await);
    let change = json!({ "data": { "name": "Countess", "theme": "dark" } });
    assert_eq!(client.put("/auth/v1/user", change).await.status, 200);
    let user = user_of(&app, &visit(&app, &provider).go(ada()).await).await;
    assert_eq!(user["id"], owner["id"]);
    assert_eq!(client.get("/auth/v1/user").await.status, 200);
    let app_metadata = &user["app_metadata"];
    assert_eq!((&app_metadata["provider"], &app_metadata["providers"]), (&json!("email"), &json!(["email", "keycloak"])));
    assert_eq!(app_metadata["roles"], json!(["hr"]));
    // Only what is missing is taken over.
    let metadata = &user["user_metadata"];
    assert_eq!((&metadata["name"], &metadata["theme"], &metadata["full_name"]), (&json!("Countess"), &json!("dark"), &json!("Ada Lovelace")));
    assert_eq!(sign_in_by_password(&app).await.status, 200, "the password is still good");
    set(&app, json!({ "providers": { "keycloak": { "overwrite_metadata": true } } })).await;
    let user = user_of(&app, &visit(&app, &provider).go(ada()).await).await;
    assert_eq!((&user["user_metadata"]["name"], &user["user_metadata"]["theme"]), (&json!("Ada Lovelace"), &json!("dark")));
}

#[tokio::test]
async fn strangers_are_refused_where_nobody_may_sign_up() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "sign_up": { "enabled": false } })).await;
    assert_sent_away(&visit(&app, &provider).go(ada()).await, APP, "access_denied", "signup_disabled");
    let body = json!({ "email": EMAIL, "email_confirm": true });
    assert_eq!(app.service().post("/auth/v1/admin/users", body).await.status, 200);
    assert_eq!(visit(&app, &provider).go(ada()).await.status, 302, "who has an account is no stranger");
}

#[tokio::test]
async fn a_user_without_an_address_is_taken_where_the_tenant_wants_it() {
    let (app, provider) = with_provider().await;
    let nobody = json!({ "sub": "n", "email": "no address" });
    let reply = visit(&app, &provider).go(nobody.clone()).await;
    assert_eq!(fragment(&reply)["error_code"], "email_address_not_provided");
    set(&app, json!({ "providers": { "keycloak": { "email_optional": true } } })).await;
    let user = user_of(&app, &visit(&app, &provider).go(nobody).await).await;
    assert_eq!((&user["email"], &user["identities"][0]["id"]), (&json!(""), &json!("n")));
}

#[tokio::test]
async fn first_visits_at_the_same_moment_make_one_user() {
    let (app, provider) = with_provider().await;
    let both = visit(&app, &provider);
    let ((first, one), (second, two)) = futures_util::future::join(both.depart(), both.depart()).await;
    let (first, second) = (provider.consent(&first, ada()), provider.consent(&second, ada()));
    let (first, second) = futures_util::future::join(come_back(&app, &one, &first), come_back(&app, &two, &second)).await;
    assert_eq!(user_of(&app, &first).await["id"], user_of(&app, &second).await["id"]);
    assert_eq!(users(&app).await.len(), 1);
}

const LINK: &str = "/auth/v1/user/identities/authorize?provider=keycloak&skip_http_redirect=true&redirect_to=https://app.example.com/cb";

async fn link(app: &TestApp, provider: &IdentityProvider, user: &crate::support::Client, claims: Value) -> Reply {
    let reply = user.get(LINK).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let query = provider.consent(reply.json()["url"].as_str().unwrap(), claims);
    come_back(app, "", &query).await
}

#[tokio::test]
async fn a_user_links_and_unlinks_identities_where_the_tenant_wants_it() {
    let (app, provider) = with_provider().await;
    let bob = app.user("bob@example.com", &[]).await;
    assert_refused(&bob.client.get(LINK).await, 404, "manual_linking_disabled");
    let path = format!("/auth/v1/user/identities/{}", bob.session["user"]["identities"][0]["identity_id"].as_str().unwrap());
    assert_refused(&bob.client.delete(&path).await, 404, "manual_linking_disabled");
    set(&app, json!({ "identities": { "manual_linking": true } })).await;
    assert_refused(&bob.client.delete(&path).await, 422, "single_identity_not_deletable");
    let user = user_of(&app, &link(&app, &provider, &bob.client, ada()).await).await;
    assert_eq!((&user["id"], &user["email"]), (&json!(bob.id), &json!("bob@example.com")));
    assert_eq!(user["app_metadata"]["providers"], json!(["email", "keycloak"]));
    // Once is enough, and what is one's is not another's.
    let again = link(&app, &provider, &bob.client, ada()).await;
    assert_eq!((place(&again), fragment(&again)["error_code"].as_str()), (APP.to_owned(), "identity_already_exists"));
    let carol = app.user("carol@example.com", &[]).await;
    let reply = link(&app, &provider, &carol.client, ada()).await;
    assert_eq!(fragment(&reply)["error_description"], "Identity is already linked to another user");
    // The mail address as a way in goes, and its password; the address of the other identity takes its place.
    let id = |user: &Value, provider: &str| {
        let all = user["identities"].as_array().unwrap();
        all.iter().find(|identity| identity["provider"] == provider).unwrap()["identity_id"].as_str().unwrap().to_owned()
    };
    assert_refused(&carol.client.delete(&format!("/auth/v1/user/identities/{}", id(&user, "keycloak"))).await, 422, "single_identity_not_deletable");
    for nothing in ["00000000-0000-4000-8000-000000000000", "nonsense"] {
        let reply = bob.client.delete(&format!("/auth/v1/user/identities/{nothing}")).await;
        assert!(reply.status == 422 || reply.status == 404, "{}", reply.text());
    }
    assert_eq!(bob.client.delete(&format!("/auth/v1/user/identities/{}", id(&user, "email"))).await.status, 200);
    let user = bob.client.get("/auth/v1/user").await.json();
    assert_eq!((&user["email"], &user["app_metadata"]["providers"]), (&json!(EMAIL), &json!(["keycloak"])));
    let reply = app.anonymous().post(SIGN_IN, json!({ "email": EMAIL, "password": PASSWORD })).await;
    assert_refused(&reply, 400, "invalid_credentials");
    assert_refused(&bob.client.delete(&format!("/auth/v1/user/identities/{}", id(&user, "keycloak"))).await, 422, "single_identity_not_deletable");
}

#[tokio::test]
async fn an_identity_is_not_linked_to_who_has_left() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "identities": { "manual_linking": true } })).await;
    let bob = app.user("bob@example.com", &[]).await;
    let reply = bob.client.get(LINK).await;
    let query = provider.consent(reply.json()["url"].as_str().unwrap(), ada());
    assert_eq!(bob.client.post("/auth/v1/logout", json!({})).await.status, 204);
    assert_sent_away(&come_back(&app, "", &query).await, APP, "access_denied", "session_not_found");
}

#[tokio::test]
async fn an_identity_can_be_linked_with_a_code() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "identities": { "manual_linking": true } })).await;
    let bob = app.user("bob@example.com", &[]).await;
    let path = format!("/auth/v1/user/identities/authorize?provider=keycloak&{}", with_challenge());
    let reply = bob.client.get(&path).await;
    assert_eq!(reply.status, 302, "a browser is sent on");
    let back = provider.consent(reply.header("location"), ada());
    let reply = come_back(&app, &super::providers::cookie(&reply), &back).await;
    assert!(query(&reply).contains_key("code"));
    assert_eq!(bob.client.get("/auth/v1/user").await.json()["app_metadata"]["providers"], json!(["email", "keycloak"]));
}

/// V29
#[tokio::test]
async fn identities_stay_as_they_are_until_the_second_factor_is_used() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "identities": { "manual_linking": true } })).await;
    let (user, _, raised) = super::factors::user_with_factor(&app, "bob@example.com").await;
    let low = super::holder(&app, &super::sign_in(&app, "bob@example.com").await);
    let identity = user.session["user"]["identities"][0]["identity_id"].as_str().unwrap();
    assert_refused(&low.get(LINK).await, 403, "insufficient_aal");
    assert_refused(&low.delete(&format!("/auth/v1/user/identities/{identity}")).await, 403, "insufficient_aal");
    let token = provider.id_token(&provider.url("/realms/main"), &ada());
    let body = json!({ "provider": "keycloak", "id_token": token, "link_identity": true });
    assert_refused(&low.post("/auth/v1/token?grant_type=id_token", body).await, 403, "insufficient_aal");
    let reply = link(&app, &provider, &super::holder(&app, &raised), ada()).await;
    assert_eq!(user_of(&app, &reply).await["app_metadata"]["providers"], json!(["email", "keycloak"]));
    // By way of a provider nobody gets past it either.
    let token = fragment(&visit(&app, &provider).go(ada()).await)["access_token"].clone();
    assert_refused(&app.anonymous().bearer(&token).get(LINK).await, 403, "insufficient_aal");
}

/// Whoever makes a provider say another's address makes mails go there: they are counted as any others are.
#[tokio::test]
async fn mails_that_a_providers_word_makes_due_are_counted() {
    let (app, provider) = with_provider().await;
    let limits = json!({ "emails_to_one": { "most": 1, "seconds": 3600, "burst": 2 } });
    set(&app, json!({ "sign_up": { "email_autoconfirm": false }, "limits": limits })).await;
    let bob = json!({ "sub": "b", "email": "bob@example.com" });
    // What was asked for just before is not sent, and not counted.
    for mails in [1, 1, 2] {
        assert_sent_away(&visit(&app, &provider).go(bob.clone()).await, APP, "access_denied", "provider_email_needs_verification");
        assert_eq!(app.mails("bob@example.com").await.len(), mails);
        app.app.clock.advance(std::time::Duration::from_secs(31));
    }
    app.app.clock.advance(std::time::Duration::from_secs(31));
    assert_sent_away(&visit(&app, &provider).go(bob.clone()).await, APP, "server_error", "over_email_send_rate_limit");
    assert_eq!(app.mails("bob@example.com").await.len(), 2);
    // Who needs no mail comes in, however many were sent.
    let mail = super::mails::newest(&app, "bob@example.com").await;
    assert_eq!(place(&super::mails::follow(&app, &mail).await), APP);
    assert_eq!(user_of(&app, &visit(&app, &provider).go(bob).await).await["email"], "bob@example.com");
}

/// RFC 9700, 4.7: an address that a script fetched may be opened in anybody's browser. What is consented to there is linked by the app that
/// asked, and by no other.
#[tokio::test]
async fn what_a_script_asked_to_link_is_linked_by_who_knows_the_verifier() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "identities": { "manual_linking": true } })).await;
    let eve = app.user("eve@example.com", &[]).await;
    let path = format!("/auth/v1/user/identities/authorize?provider=keycloak&skip_http_redirect=true&{}", with_challenge());
    let providers = async || eve.client.get("/auth/v1/user").await.json()["app_metadata"]["providers"].clone();
    let code = async || {
        let back = provider.consent(eve.client.get(&path).await.json()["url"].as_str().unwrap(), ada());
        query(&come_back(&app, "", &back).await)["code"].clone()
    };
    let exchange = async |code: &str, verifier: &str| app.anonymous().post(PKCE, json!({ "auth_code": code, "code_verifier": verifier })).await;
    let first = code().await;
    assert_eq!(providers().await, json!(["email"]), "the browser that came back may be another's");
    assert_refused(&exchange(&first, &"x".repeat(43)).await, 400, "bad_code_verifier");
    assert_eq!(providers().await, json!(["email"]));
    let session = exchange(&first, VERIFIER).await.json();
    assert_eq!((&session["user"]["id"], &session["user"]["app_metadata"]["providers"]), (&json!(eve.id), &json!(["email", "keycloak"])), "{session}");
    assert!(session["provider_token"].is_string());
    assert_refused(&exchange(&first, VERIFIER).await, 404, "flow_state_not_found");
    // What can't be linked is told where it always was.
    let back = provider.consent(eve.client.get(&path).await.json()["url"].as_str().unwrap(), ada());
    assert_sent_away(&come_back(&app, "", &back).await, APP, "server_error", "identity_already_exists");
    // Who signed out meanwhile does not want it any more.
    let bob = app.user("bob@example.com", &[]).await;
    let mut carol = ada();
    carol["sub"] = json!("u-2");
    let back = provider.consent(bob.client.get(&path).await.json()["url"].as_str().unwrap(), carol);
    let code = query(&come_back(&app, "", &back).await)["code"].clone();
    assert_eq!(bob.client.post("/auth/v1/logout", json!({})).await.status, 204);
    assert_refused(&exchange(&code, VERIFIER).await, 403, "session_not_found");
}

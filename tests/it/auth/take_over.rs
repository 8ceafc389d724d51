//! Somebody makes an account under an address that is not theirs, and waits for its owner.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    SIGN_IN, assert_refused, factors, holder,
    mails::{follow, fragment, newest, verify},
    passkeys::Authenticator,
    providers::{APP, VERIFIER, Visit, ada, add_custom, assert_sent_away, query, user_of, visit, with_challenge, with_provider},
    refresh, set,
};
use crate::support::{IdentityProvider, PASSWORD, TestApp};

const EMAIL: &str = "ada@example.com";
const OTP: &str = "/auth/v1/otp";
const SIGN_UP: &str = "/auth/v1/signup";
const NUMBER: &str = "+4930123456";
const DIGITS: &str = "4930123456";

async fn password_opens(app: &TestApp, password: &str) -> bool {
    app.anonymous().post(SIGN_IN, json!({ "email": EMAIL, "password": password })).await.status == 200
}

/// V2: where addresses count as confirmed at once, nobody has proved one by signing up.
#[tokio::test]
async fn an_address_that_nobody_proved_is_its_owners_all_the_same() {
    let (app, provider) = with_provider().await;
    set(&app, super::passkeys::settings()).await;
    let eve = app.user(EMAIL, &[]).await;
    let key = Authenticator::new();
    assert_eq!(key.register(&eve.client).await.status, 200);
    assert_eq!(eve.client.put("/auth/v1/user", json!({ "email": "eve@example.com" })).await.status, 200);
    let pending = newest(&app, "eve@example.com").await;
    let reset = {
        assert_eq!(app.anonymous().post("/auth/v1/recover", json!({ "email": EMAIL })).await.status, 200);
        newest(&app, EMAIL).await
    };
    let user = user_of(&app, &visit(&app, &provider).go(ada()).await).await;
    assert_eq!(user["id"], eve.id, "one account");
    assert_eq!((user["identities"].as_array().unwrap().len(), &user["identities"][0]["provider"]), (1, &json!("keycloak")));
    assert!(user.get("new_email").is_none(), "{user}");
    assert_refused(&eve.client.get("/auth/v1/user").await, 403, "session_not_found");
    assert_refused(&refresh(&app, &eve.session["refresh_token"]).await, 400, "refresh_token_not_found");
    assert!(!password_opens(&app, PASSWORD).await);
    assert_refused(&key.sign_in(&app.anonymous()).await, 400, "webauthn_verification_failed");
    assert_refused(&verify(&app.anonymous(), "email_change", "eve@example.com", &pending.code).await, 403, "otp_expired");
    assert_refused(&verify(&app.anonymous(), "recovery", EMAIL, &reset.code).await, 403, "otp_expired");
    assert_eq!(user_of(&app, &visit(&app, &provider).go(ada()).await).await["id"], user["id"], "she is not locked out");
}

/// V2, V3: an anonymous user who is taken at its word has proved nothing either.
#[tokio::test]
async fn an_address_that_an_anonymous_user_gave_itself_is_its_owners() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "sign_up": { "anonymous": true } })).await;
    let eve = app.anonymous().post(SIGN_UP, json!({})).await.json();
    let client = holder(&app, &eve);
    assert_eq!(client.put("/auth/v1/user", json!({ "email": EMAIL, "password": PASSWORD })).await.json()["email"], EMAIL);
    assert!(password_opens(&app, PASSWORD).await);
    let user = user_of(&app, &visit(&app, &provider).go(ada()).await).await;
    assert_eq!(user["identities"].as_array().unwrap().len(), 1);
    assert_refused(&client.get("/auth/v1/user").await, 403, "session_not_found");
    assert!(!password_opens(&app, PASSWORD).await);
}

/// V2: whoever has proved the address, or whom an admin vouches for, keeps all of it.
#[tokio::test]
async fn an_address_that_was_proved_keeps_its_password() {
    let (app, provider) = with_provider().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    assert_eq!(app.anonymous().post(SIGN_UP, json!({ "email": EMAIL, "password": PASSWORD })).await.status, 200);
    assert_eq!(follow(&app, &newest(&app, EMAIL).await).await.status, 303);
    let user = user_of(&app, &visit(&app, &provider).go(ada()).await).await;
    assert_eq!(user["app_metadata"]["providers"], json!(["email", "keycloak"]));
    assert!(password_opens(&app, PASSWORD).await);
    // An admin's word is proof, too.
    let (app, provider) = with_provider().await;
    let user = app.user(EMAIL, &[]).await;
    assert_eq!(app.service().put(&format!("/auth/v1/admin/users/{}", user.id), json!({ "email_confirm": true })).await.status, 200);
    assert_eq!(user_of(&app, &visit(&app, &provider).go(ada()).await).await["id"], user.id.as_str());
    assert!(password_opens(&app, PASSWORD).await);
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
}

/// V2, V29: a second factor is not passed by way of a provider, whoever enrolled it.
#[tokio::test]
async fn an_owner_by_way_of_a_provider_still_needs_the_second_factor() {
    let (app, provider) = with_provider().await;
    set(&app, super::passkeys::settings()).await;
    let (_, totp, raised) = factors::user_with_factor(&app, EMAIL).await;
    let other = factors::claims(&raised)["session_id"].as_str().unwrap().to_owned();
    let token = fragment(visit(&app, &provider).go(ada()).await.header("location"))["access_token"].clone();
    let client = app.anonymous().bearer(&token);
    assert_eq!(client.get("/auth/v1/user").await.json()["factors"][0]["id"], totp.id);
    factors::refused_without_the_factor(&client, &totp.id, &other).await;
    // With it, she is herself.
    assert_eq!(factors::claims(&factors::raise(&app, &client, &totp).await)["aal"], "aal2");
}

/// V3: seeded by a provider that vouches for nothing, and then the owner comes by a link of a mail.
#[tokio::test]
async fn a_link_by_mail_shuts_out_who_came_by_a_lax_provider() {
    for autoconfirm in [true, false] {
        let (app, honest) = with_provider().await;
        set(&app, super::passkeys::settings()).await;
        set(&app, json!({ "sign_up": { "email_autoconfirm": autoconfirm } })).await;
        let lax = IdentityProvider::new(&app.app.clock).await;
        add_custom(&app, "custom:lax", &lax.url("/idp")).await;
        let claims = json!({ "sub": "eve", "email": EMAIL });
        let by_lax = Visit { name: "custom:lax", provider: &lax, ..visit(&app, &honest) };
        let seeded = by_lax.go(claims.clone()).await;
        let key = Authenticator::new();
        let eve = fragment(seeded.header("location")).get("access_token").map(|token| app.anonymous().bearer(token));
        assert_eq!(eve.is_some(), autoconfirm);
        if let Some(eve) = &eve {
            assert_eq!(key.register(eve).await.status, 200);
            let totp = factors::enroll(eve, "eve's").await;
            factors::raise(&app, eve, &totp).await;
            assert_eq!(eve.get("/auth/v1/user").await.status, 200);
        }
        // Where addresses are confirmed a mail has gone out to this one already, which is not the one that its owner asks for.
        app.run_jobs().await;
        app.app.clock.advance(std::time::Duration::from_secs(61));
        assert_eq!(app.anonymous().post(OTP, json!({ "email": EMAIL })).await.status, 200);
        let mail = newest(&app, EMAIL).await;
        assert_eq!(mail.parameter("type"), "magiclink", "no confirmation of what somebody else has begun");
        let owner = app.anonymous().bearer(&fragment(follow(&app, &mail).await.header("location"))["access_token"]);
        let user = owner.get("/auth/v1/user").await.json();
        assert_eq!((user["identities"].as_array().unwrap().len(), &user["identities"][0]["provider"]), (1, &json!("email")), "{user}");
        assert_eq!((&user["app_metadata"]["providers"], &user["factors"]), (&json!(["email"]), &Value::Null), "{user}");
        if let Some(eve) = &eve {
            assert_refused(&eve.get("/auth/v1/user").await, 403, "session_not_found");
            assert_refused(&key.sign_in(&app.anonymous()).await, 400, "webauthn_verification_failed");
        }
        let again = by_lax.go(claims).await;
        if autoconfirm {
            assert_ne!(user_of(&app, &again).await["id"], user["id"]);
        } else {
            assert_sent_away(&again, APP, "access_denied", "provider_email_needs_verification");
        }
        assert_eq!(owner.get("/auth/v1/user").await.status, 200);
    }
}

/// V2: a recovery by mail is proof of an address that counted without.
#[tokio::test]
async fn a_recovery_shuts_out_who_signed_up_without_proof() {
    let app = TestApp::new().await;
    set(&app, super::passkeys::settings()).await;
    let eve = app.user(EMAIL, &[]).await;
    let key = Authenticator::new();
    assert_eq!(key.register(&eve.client).await.status, 200);
    let recover = async || {
        assert_eq!(app.anonymous().post("/auth/v1/recover", json!({ "email": EMAIL })).await.status, 200);
        let link = follow(&app, &newest(&app, EMAIL).await).await;
        app.anonymous().bearer(&fragment(link.header("location"))["access_token"])
    };
    let owner = recover().await;
    assert_eq!(owner.get("/auth/v1/user").await.json()["id"], eve.id.as_str());
    assert_refused(&eve.client.get("/auth/v1/user").await, 403, "session_not_found");
    assert_refused(&key.sign_in(&app.anonymous()).await, 400, "webauthn_verification_failed");
    assert!(!password_opens(&app, PASSWORD).await);
    // From now on it is the owner's, who loses nothing by the next one.
    assert_eq!(owner.put("/auth/v1/user", json!({ "password": "another long password" })).await.status, 200);
    app.app.clock.advance(Duration::from_secs(61));
    recover().await;
    assert!(password_opens(&app, "another long password").await);
    assert_eq!(owner.get("/auth/v1/user").await.status, 200);
}

/// V3: neither a number of its own nor a code that waits helps who came by a provider that vouches for nothing.
#[tokio::test]
async fn nothing_that_waits_outlives_the_owners_link() {
    let (app, honest) = with_provider().await;
    set(&app, json!({ "sign_up": { "phone": true }, "sms": { "test_codes": { NUMBER: "123456" } } })).await;
    let lax = IdentityProvider::new(&app.app.clock).await;
    add_custom(&app, "custom:lax", &lax.url("/idp")).await;
    let by_lax = Visit { name: "custom:lax", provider: &lax, ..visit(&app, &honest) };
    let claims = json!({ "sub": "eve", "email": EMAIL });
    let eve = app.anonymous().bearer(&fragment(by_lax.go(claims.clone()).await.header("location"))["access_token"]);
    assert_eq!(eve.put("/auth/v1/user", json!({ "phone": NUMBER })).await.status, 200);
    let proof = json!({ "type": "phone_change", "phone": NUMBER, "token": "123456" });
    assert_eq!(app.anonymous().post("/auth/v1/verify", proof).await.status, 200);
    let waiting = query(&Visit { query: with_challenge(), ..by_lax }.go(claims).await)["code"].clone();

    assert_eq!(app.anonymous().post(OTP, json!({ "email": EMAIL })).await.status, 200);
    let link = follow(&app, &newest(&app, EMAIL).await).await;
    let owner = app.anonymous().bearer(&fragment(link.header("location"))["access_token"]).get("/auth/v1/user").await.json();
    assert_eq!((&owner["phone"], &owner["app_metadata"]["providers"]), (&json!(""), &json!(["email"])), "{owner}");
    let exchange = json!({ "auth_code": waiting, "code_verifier": VERIFIER });
    assert_refused(&app.anonymous().post("/auth/v1/token?grant_type=pkce", exchange).await, 404, "flow_state_not_found");
    let by_number = app.anonymous().post(OTP, json!({ "phone": NUMBER, "create_user": false })).await;
    assert_refused(&by_number, 422, "otp_disabled");
}

/// V2, by phone: the code that signs in leaves nothing of who was first; the code of the sign-up itself leaves its password.
#[tokio::test]
async fn a_number_is_its_owners_whoever_signed_up_with_it() {
    let app = TestApp::new().await;
    let codes = json!({ NUMBER: "123456" });
    set(&app, json!({ "sign_up": { "phone": true }, "sms": { "test_codes": codes, "provider": "webhook", "url": "https://sms.example.com" } })).await;
    let sign_up = json!({ "phone": NUMBER, "password": PASSWORD });
    let by_password = async || app.anonymous().post(SIGN_IN, sign_up.clone()).await.status.as_u16();
    let by_code = async || app.anonymous().post("/auth/v1/verify", json!({ "type": "sms", "phone": NUMBER, "token": "123456" })).await;
    assert_eq!(app.anonymous().post(SIGN_UP, sign_up.clone()).await.status, 200);
    app.run_jobs().await;
    app.app.clock.advance(Duration::from_secs(61));
    assert_eq!(app.anonymous().post(OTP, json!({ "phone": NUMBER })).await.status, 200);
    app.run_jobs().await;
    let session = by_code().await;
    assert_eq!((session.status.as_u16(), &session.json()["user"]["phone"]), (200, &json!(DIGITS)), "{}", session.text());
    assert_eq!(by_password().await, 400);
    // Who signs up and shows the code that this sent keeps the password.
    let id = session.json()["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.service().delete(&format!("/auth/v1/admin/users/{id}")).await.status, 200);
    app.app.clock.advance(Duration::from_secs(61));
    assert_eq!(app.anonymous().post(SIGN_UP, sign_up.clone()).await.status, 200);
    app.run_jobs().await;
    assert_eq!(by_code().await.status, 200);
    assert_eq!(by_password().await, 200);
}

/// V2: two who sign up with one address, each with a password. Whoever has the mailbox chooses anew.
#[tokio::test]
async fn of_two_passwords_for_one_unconfirmed_address_none_is_taken() {
    for same in [true, false] {
        let app = TestApp::new().await;
        set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
        let mine = if same { PASSWORD } else { "the owner's own password" };
        assert_eq!(app.anonymous().post(SIGN_UP, json!({ "email": EMAIL, "password": PASSWORD })).await.status, 200);
        app.run_jobs().await;
        app.app.clock.advance(Duration::from_secs(61));
        assert_eq!(app.anonymous().post(SIGN_UP, json!({ "email": EMAIL, "password": mine })).await.status, 200);
        let session = fragment(follow(&app, &newest(&app, EMAIL).await).await.header("location"));
        assert_eq!(app.anonymous().bearer(&session["access_token"]).get("/auth/v1/user").await.json()["email"], EMAIL);
        assert_eq!(password_opens(&app, PASSWORD).await, same);
        assert!(same || !password_opens(&app, mine).await, "nobody knows whose it was");
    }
}

/// V40 for sign-up: what is noted of an account shows nobody who only knows its address.
#[tokio::test]
async fn signing_up_again_shows_nothing_of_the_account() {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    let noted = json!({
        "email": EMAIL, "password": PASSWORD, "user_metadata": { "canary": "777123" }, "app_metadata": { "roles": ["payroll"], "canary": "777124" },
        "ban_duration": "777125h",
    });
    let made = app.service().post("/auth/v1/admin/users", noted).await.json();
    let reply = app.anonymous().post(SIGN_UP, json!({ "email": EMAIL, "password": "another password", "data": { "name": "Eve" } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = reply.json();
    assert!(!reply.text().contains("77712") && !reply.text().contains("roles") && !reply.text().contains("banned"), "{shown}");
    assert_eq!((&shown["id"], &shown["user_metadata"]["name"], &shown["user_metadata"]["sub"]), (&made["id"], &json!("Eve"), &made["id"]));
    let identity = &shown["identities"][0];
    assert_eq!((&identity["user_id"], &identity["identity_data"]["sub"]), (&made["id"], &made["id"]));
    // And nothing was written but that there are two passwords now.
    let after = app.service().get(&format!("/auth/v1/admin/users/{}", made["id"].as_str().unwrap())).await.json();
    assert_eq!((&after["user_metadata"], &after["app_metadata"]), (&made["user_metadata"], &made["app_metadata"]));
}

/// V4: an address that an admin does not call confirmed is not, though the one before was.
#[tokio::test]
async fn another_address_is_not_confirmed_because_the_last_one_was() {
    let app = TestApp::new().await;
    let user = app.user("bob@example.com", &[]).await;
    let at = format!("/auth/v1/admin/users/{}", user.id);
    let changed = app.service().put(&at, json!({ "email": EMAIL, "email_confirm": false, "phone": NUMBER, "phone_confirm": false })).await.json();
    assert_eq!((&changed["email"], &changed["email_confirmed_at"], &changed["phone_confirmed_at"]), (&json!(EMAIL), &Value::Null, &Value::Null));
    assert_eq!(changed["identities"][0]["identity_data"]["email_verified"], false);
    assert_refused(&app.anonymous().post(SIGN_IN, json!({ "email": EMAIL, "password": PASSWORD })).await, 400, "email_not_confirmed");
    assert!(app.service().put(&at, json!({ "email_confirm": true })).await.json()["email_confirmed_at"].is_string());
}

/// V29: an identity that was given up is no way in any more.
#[tokio::test]
async fn a_number_goes_with_its_identity() {
    let app = TestApp::new().await;
    let settings = json!({ "sign_up": { "phone": true }, "sms": { "test_codes": { NUMBER: "123456" } }, "identities": { "manual_linking": true } });
    set(&app, settings).await;
    let made = json!({ "email": EMAIL, "phone": NUMBER, "password": PASSWORD, "email_confirm": true, "phone_confirm": true });
    let user = app.service().post("/auth/v1/admin/users", made).await.json();
    let identity = user["identities"].as_array().unwrap().iter().find(|identity| identity["provider"] == "phone").unwrap();
    let client = holder(&app, &super::sign_in(&app, EMAIL).await);
    let path = format!("/auth/v1/user/identities/{}", identity["identity_id"].as_str().unwrap());
    assert_eq!(client.delete(&path).await.status, 200);
    let shown = client.get("/auth/v1/user").await.json();
    assert_eq!((&shown["phone"], &shown["email"], &shown["phone_confirmed_at"]), (&json!(""), &json!(EMAIL), &Value::Null));
    assert_refused(&app.anonymous().post(SIGN_IN, json!({ "phone": NUMBER, "password": PASSWORD })).await, 400, "invalid_credentials");
    let asked = json!({ "phone": NUMBER, "create_user": false });
    assert_refused(&app.anonymous().post(OTP, asked).await, 422, "otp_disabled");
}

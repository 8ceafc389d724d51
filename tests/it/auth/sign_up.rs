use serde_json::json;
use unicode_normalization::UnicodeNormalization as _;

use super::{SIGN_IN, assert_refused, holder, set};
use crate::support::{PASSWORD, TestApp};

const SIGN_UP: &str = "/auth/v1/signup";

#[tokio::test]
async fn a_stranger_signs_up_and_is_signed_in() {
    let app = TestApp::new().await;
    let asked = json!({ "email": "Ada@Example.com", "password": PASSWORD, "data": { "full_name": "Ada", "sub": "mine" } });
    let reply = app.anonymous().post(SIGN_UP, asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let session = reply.json();
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("bearer"), &json!(3600)));
    let mut user = session["user"].clone();
    let id = user["id"].as_str().unwrap().to_owned();
    let now = app.app.clock.now().to_string();
    assert_eq!(session["expires_at"], app.app.clock.now().seconds() + 3600);
    assert!(user["identities"][0]["identity_id"].is_string());
    user["identities"][0]["identity_id"] = json!(null);
    let claims = json!({ "full_name": "Ada", "sub": id, "email": "ada@example.com", "email_verified": true, "phone_verified": false });
    assert_eq!(
        user,
        json!({
            "id": id, "aud": "authenticated", "role": "authenticated", "email": "ada@example.com", "phone": "",
            "email_confirmed_at": now, "confirmed_at": now, "last_sign_in_at": now, "created_at": now, "updated_at": now,
            "app_metadata": { "provider": "email", "providers": ["email"] }, "user_metadata": claims, "is_anonymous": false,
            "identities": [{
                "identity_id": null, "id": id, "user_id": id, "identity_data": claims, "provider": "email", "email": "ada@example.com",
                "last_sign_in_at": now, "created_at": now, "updated_at": now,
            }],
        })
    );
    assert_eq!(holder(&app, &session).get("/auth/v1/user").await.json(), session["user"]);
}

#[tokio::test]
async fn an_address_has_one_account_in_each_tenant() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    let asked = json!({ "email": "ADA@example.com", "password": PASSWORD });
    assert_refused(&app.anonymous().post(SIGN_UP, asked.clone()).await, 422, "user_already_exists");
    app.user_of(&app.other, "ada@example.com", &[]).await;
    let many = (0..8).map(|_| {
        let (anonymous, asked) = (app.anonymous(), json!({ "email": "bob@example.com", "password": PASSWORD }));
        async move { anonymous.post(SIGN_UP, asked).await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(many).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 422).count(), 7, "{statuses:?}");
}

#[tokio::test]
async fn what_can_not_be_used_is_refused_with_its_reason() {
    let app = TestApp::new().await;
    let anonymous = app.anonymous();
    let password = json!(PASSWORD);
    for (asked, status, code) in [
        (json!({}), 422, "anonymous_provider_disabled"),
        (json!({ "data": { "a": 1 } }), 422, "anonymous_provider_disabled"),
        (json!({ "phone": "+4912345", "password": password }), 400, "phone_provider_disabled"),
        (json!({ "email": "ada@example.com" }), 400, "validation_failed"),
        (json!({ "email": "ada@example.com", "password": "" }), 400, "validation_failed"),
        (json!({ "email": "ada", "password": password }), 400, "validation_failed"),
        (json!({ "email": " ada@example.com", "password": password }), 400, "validation_failed"),
        (json!({ "email": "ada@example.com", "password": "1234567" }), 422, "weak_password"),
        (json!({ "email": "ada@example.com", "password": "x".repeat(129) }), 400, "validation_failed"),
        (json!({ "email": "ada@example.com", "password": password, "data": { "a": ["b\u{0}"] } }), 400, "validation_failed"),
        (json!({ "email": "ada@example.com", "password": password, "data": { "a": "x".repeat(9000) } }), 400, "validation_failed"),
        (json!({ "email": "ada@example.com", "password": password, "data": [] }), 400, "bad_json"),
        (json!({ "email": 5, "password": password }), 400, "bad_json"),
    ] {
        let reply = anonymous.post(SIGN_UP, asked.clone()).await;
        assert_refused(&reply, status, code);
    }
    let reply = anonymous.post(SIGN_UP, json!({ "email": "ada@example.com", "password": "1234567" })).await;
    assert_eq!(
        reply.json(),
        json!({ "code": 422, "error_code": "weak_password", "msg": "Password should be at least 8 characters.", "weak_password": { "reasons": ["length"] } })
    );
    let reply = app.service().get("/auth/v1/admin/users").await;
    assert_eq!(reply.json()["users"], json!([]));
}

#[tokio::test]
async fn a_password_has_up_to_128_characters_and_all_of_them_count() {
    let app = TestApp::new().await;
    // 128 characters, 173 bytes: bcrypt would have looked at the first 72 of them.
    let long: String = "é è ê ë à â äçñòôöøù quiet lake at dawn ".chars().cycle().take(128).collect();
    assert!(long.len() > 160, "{}", long.len());
    let reply = app.anonymous().post(SIGN_UP, json!({ "email": "ada@example.com", "password": long })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let cut: String = long.chars().take(127).collect();
    let other_end = format!("{cut}x");
    for wrong in [cut, other_end] {
        assert_refused(&app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": wrong })).await, 400, "invalid_credentials");
    }
    let decomposed: String = long.nfd().collect();
    assert!(decomposed.len() > long.len());
    let reply = app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": decomposed })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let longer = json!({ "email": "bob@example.com", "password": format!("{long}x") });
    assert_refused(&app.anonymous().post(SIGN_UP, longer).await, 400, "validation_failed");
    // And the other way round: chosen in parts, typed as one.
    assert_eq!(app.anonymous().post(SIGN_UP, json!({ "email": "bob@example.com", "password": decomposed })).await.status, 200);
    assert_eq!(app.anonymous().post(SIGN_IN, json!({ "email": "bob@example.com", "password": long })).await.status, 200);
}

#[tokio::test]
async fn a_tenant_can_be_closed_to_strangers() {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "enabled": false } })).await;
    let asked = json!({ "email": "ada@example.com", "password": PASSWORD });
    assert_refused(&app.anonymous().post(SIGN_UP, asked.clone()).await, 422, "signup_disabled");
    assert_eq!(app.service().post("/auth/v1/admin/users", asked).await.status, 200);
}

#[tokio::test]
async fn where_addresses_are_confirmed_nobody_learns_who_has_an_account() {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    let asked = json!({ "email": "ada@example.com", "password": PASSWORD, "data": { "full_name": "Ada" } });
    let first = app.anonymous().post(SIGN_UP, asked.clone()).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let first = first.json();
    assert!(first.get("access_token").is_none() && first.get("email_confirmed_at").is_none(), "{first}");
    assert_eq!((&first["email"], first["identities"].as_array().unwrap().len()), (&json!("ada@example.com"), 1));
    assert_refused(&app.anonymous().post(SIGN_IN, asked.clone()).await, 400, "email_not_confirmed");

    app.app.clock.advance(std::time::Duration::from_mins(1));
    let mut again = app.anonymous().post(SIGN_UP, asked.clone()).await.json();
    assert_ne!(again["confirmation_sent_at"], first["confirmation_sent_at"]);
    again["confirmation_sent_at"] = first["confirmation_sent_at"].clone();
    assert_eq!(again, first);
    assert_refused(&app.anonymous().post(SIGN_IN, asked.clone()).await, 400, "email_not_confirmed");

    let id = first["id"].as_str().unwrap();
    let confirmed = app.service().put(&format!("/auth/v1/admin/users/{id}"), json!({ "email_confirm": true })).await.json();
    assert!(confirmed["email_confirmed_at"].is_string(), "{confirmed}");
    assert_eq!(app.anonymous().post(SIGN_IN, asked.clone()).await.status, 200);
    app.app.clock.advance(std::time::Duration::from_mins(1));
    let fake = app.anonymous().post(SIGN_UP, asked).await;
    assert_eq!(fake.status, 200, "{}", fake.text());
    let fake = fake.json();
    assert_ne!(fake["id"], first["id"]);
    assert_eq!((&fake["identities"], &fake["user_metadata"]["full_name"]), (&json!([]), &json!("Ada")));
    assert_eq!(fake["user_metadata"]["sub"], fake["id"]);
    let fields = |user: &serde_json::Value| user.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&fake), fields(&first));
    assert_eq!(app.service().get("/auth/v1/admin/users").await.header("x-total-count"), "1");
}

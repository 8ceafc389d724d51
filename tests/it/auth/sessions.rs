use std::time::Duration;

use serde_json::{Value, json};

use super::{
    assert_refused,
    factors::{claims, user_with_factor},
    holder, refresh, set, sign_in,
};
use crate::support::{Client, TestApp};

const OWN: &str = "/auth/v1/user/sessions";

fn id(session: &Value) -> String {
    claims(session)["session_id"].as_str().unwrap().to_owned()
}

/// What a refused refresh says.
async fn told(app: &TestApp, session: &Value) -> String {
    let reply = refresh(app, &session["refresh_token"]).await;
    assert_refused(&reply, 400, "session_expired");
    reply.json()["msg"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_sees_and_ends_its_sessions() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    app.app.clock.advance(Duration::from_mins(1));
    let phone = app.anonymous().header("user-agent", "Phone/1.0");
    let body = json!({ "email": "ada@example.com", "password": crate::support::PASSWORD });
    let other = phone.post(super::SIGN_IN, body).await.json();
    let reply = user.client.get(OWN).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let listed = reply.json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!((&listed[0]["id"], &listed[0]["current"], &listed[0]["user_agent"]), (&json!(id(&other)), &json!(false), &json!("Phone/1.0")));
    assert_eq!((&listed[1]["id"], &listed[1]["current"], &listed[1]["aal"]), (&json!(id(&user.session)), &json!(true), &json!("aal1")));
    assert!(listed[0]["created_at"].is_string() && listed[0]["refreshed_at"].is_null(), "{listed}");
    assert!(!reply.text().contains("key") && !reply.text().contains("amr"), "{}", reply.text());

    let eve = app.user("eve@example.com", &[]).await;
    assert_refused(&eve.client.delete(&format!("{OWN}/{}", id(&other))).await, 404, "session_not_found");
    assert_refused(&eve.client.delete(&format!("{OWN}/nonsense")).await, 404, "validation_failed");
    assert_eq!(user.client.delete(&format!("{OWN}/{}", id(&other))).await.status, 204);
    assert_refused(&holder(&app, &other).get("/auth/v1/user").await, 403, "session_not_found");
    assert_refused(&refresh(&app, &other["refresh_token"]).await, 400, "refresh_token_not_found");
    assert_eq!(user.client.delete(&format!("{OWN}/{}", id(&user.session))).await.status, 204);
    assert_refused(&user.client.get(OWN).await, 403, "session_not_found");
}

#[tokio::test]
async fn an_admin_sees_and_ends_sessions() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let other = sign_in(&app, "ada@example.com").await;
    let third = sign_in(&app, "ada@example.com").await;
    let at = format!("/auth/v1/admin/users/{}/sessions", user.id);
    let listed = app.service().get(&at).await.json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["current"]), (3, &Value::Null));
    assert_eq!(app.function("users:read").await.get(&at).await.status, 200);
    assert_refused(&app.function("users:read").await.delete(&at).await, 403, "not_admin");
    assert_eq!(app.service().delete(&format!("{at}/{}", id(&other))).await.status, 204);
    assert_refused(&app.service().delete(&format!("{at}/{}", id(&other))).await, 404, "session_not_found");
    assert_refused(&holder(&app, &other).get("/auth/v1/user").await, 403, "session_not_found");
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    assert_eq!(app.service().delete(&at).await.status, 204);
    for session in [&user.session, &third] {
        assert_refused(&holder(&app, session).get("/auth/v1/user").await, 403, "session_not_found");
    }
    let nobody = "/auth/v1/admin/users/00000000-0000-4000-8000-000000000000/sessions";
    assert_refused(&app.service().get(nobody).await, 404, "user_not_found");
}

/// 2b.5
#[tokio::test]
async fn a_session_ends_with_its_timebox() {
    let app = TestApp::new().await;
    set(&app, json!({ "sessions": { "timebox_seconds": 7200 } })).await;
    let user = app.user("ada@example.com", &[]).await;
    let start = app.app.clock.now().seconds();
    app.app.clock.advance(Duration::from_mins(90));
    let last = refresh(&app, &user.session["refresh_token"]).await.json();
    // No token outlives its session.
    assert_eq!((&last["expires_at"], &last["expires_in"], &claims(&last)["exp"]), (&json!(start + 7200), &json!(1800), &json!(start + 7200)));
    app.app.clock.advance(Duration::from_mins(30));
    assert_eq!(told(&app, &last).await, "Invalid Refresh Token: Session Expired");
    assert_refused(&holder(&app, &last).get("/auth/v1/user").await, 403, "session_not_found");
    app.app.clock.advance(Duration::from_mins(1));
    assert_refused(&holder(&app, &last).get("/auth/v1/user").await, 403, "bad_jwt");

    // A shorter one is felt by tokens that were given out before.
    let session = sign_in(&app, "ada@example.com").await;
    app.app.clock.advance(Duration::from_mins(10));
    assert_eq!(holder(&app, &session).get("/auth/v1/user").await.status, 200);
    set(&app, json!({ "sessions": { "timebox_seconds": 300 } })).await;
    assert_refused(&holder(&app, &session).get("/auth/v1/user").await, 403, "session_not_found");
}

/// 2b.5
#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let app = TestApp::new().await;
    set(&app, json!({ "sessions": { "access_token_seconds": 300, "inactivity_seconds": 1800 } })).await;
    let user = app.user("ada@example.com", &[]).await;
    let mut token = user.session["refresh_token"].clone();
    for _ in 0..4 {
        app.app.clock.advance(Duration::from_mins(29));
        let reply = refresh(&app, &token).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        token = reply.json()["refresh_token"].clone();
    }
    app.app.clock.advance(Duration::from_mins(30));
    let session = json!({ "refresh_token": token });
    assert_eq!(told(&app, &session).await, "Invalid Refresh Token: Session Expired (Inactivity)");
    let wrong = json!({ "settings": { "sessions": { "inactivity_seconds": 300 } } });
    assert_eq!(app.operator().patch("/admin/v1/tenants/default", wrong).await.status, 422);
}

#[tokio::test]
async fn a_newer_sign_in_ends_the_session() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    app.app.clock.advance(Duration::from_secs(1));
    let newer = sign_in(&app, "ada@example.com").await;
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    set(&app, json!({ "sessions": { "single_per_user": true } })).await;
    for path in ["/auth/v1/user", "/rest/v1/departments", "/storage/v1/bucket"] {
        assert_ne!(user.client.get(path).await.status, 200, "{path}");
        assert_eq!(holder(&app, &newer).get(path).await.status, 200, "{path}");
    }
    assert_eq!(told(&app, &user.session).await, "Invalid Refresh Token: Session Expired (Revoked by Newer Login)");
    let newer = refresh(&app, &newer["refresh_token"]).await.json();
    let newest = sign_in(&app, "ada@example.com").await;
    assert_refused(&holder(&app, &newer).get("/auth/v1/user").await, 403, "session_not_found");
    let listed = holder(&app, &newest).get(OWN).await.json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["current"]), (1, &json!(true)));
    // Who is signed in elsewhere as another is left alone.
    app.user("bob@example.com", &[]).await;
    assert_eq!(holder(&app, &newest).get("/auth/v1/user").await.status, 200);
}

#[tokio::test]
async fn a_session_without_the_second_factor_ends_soon() {
    let app = TestApp::new().await;
    set(&app, json!({ "sessions": { "low_aal_seconds": 900 } })).await;
    let (_, _, raised) = user_with_factor(&app, "ada@example.com").await;
    let plain = app.user("bob@example.com", &[]).await;
    let low = sign_in(&app, "ada@example.com").await;
    assert_eq!((&low["expires_in"], &raised["expires_in"], &plain.session["expires_in"]), (&json!(900), &json!(3600), &json!(3600)));
    app.app.clock.advance(Duration::from_mins(15));
    assert_eq!(told(&app, &low).await, "Invalid Refresh Token: Session Expired (Low AAL: User Needs MFA Verification)");
    app.app.clock.advance(Duration::from_mins(1));
    assert_refused(&holder(&app, &low).get("/auth/v1/user").await, 403, "bad_jwt");
    for session in [&raised, &plain.session] {
        assert_eq!(refresh(&app, &session["refresh_token"]).await.status, 200);
    }
}

/// Routes of every surface that a signed-in user with a role can use.
const EVERYWHERE: [&str; 7] = [
    "/auth/v1/user",
    "/auth/v1/user/sessions",
    "/auth/v1/factors/recovery-codes",
    "/rest/v1/departments",
    "/rest/v1/employees",
    "/storage/v1/bucket",
    "/storage/v1/bucket/nothing",
];

/// The statuses of all these routes.
async fn everywhere(client: &Client) -> Vec<u16> {
    let mut statuses = Vec::new();
    for path in EVERYWHERE {
        statuses.push(client.get(path).await.status.as_u16());
    }
    statuses
}

/// V22, V23, V24
#[tokio::test]
async fn whatever_ends_access_ends_it_on_every_surface() {
    let ends = [
        ("a ban", "PUT", json!({ "ban_duration": "1h" }), true),
        ("another password by an admin", "PUT", json!({ "password": "another long password" }), true),
        ("deletion", "DELETE", json!({}), true),
        ("soft deletion", "DELETE", json!({ "should_soft_delete": true }), true),
        ("the end of all sessions", "DELETE sessions", json!({}), true),
        ("another name", "PUT", json!({ "user_metadata": { "name": "Ada" } }), false),
    ];
    for (what, how, body, is_end) in ends {
        let app = TestApp::new().await;
        let user = app.user("ada@example.com", &["hr"]).await;
        let other = sign_in(&app, "ada@example.com").await;
        let bystander = app.user("bob@example.com", &["hr"]).await;
        let before = everywhere(&user.client).await;
        assert_eq!(before, [200, 200, 404, 200, 200, 200, before[6]], "{what}");
        let at = format!("/auth/v1/admin/users/{}", user.id);
        let reply = match how {
            "PUT" => app.service().put(&at, body).await,
            "DELETE" => app.service().json(http::Method::DELETE, &at, &body).await,
            _ => app.service().delete(&format!("{at}/sessions")).await,
        };
        assert!(reply.status.is_success(), "{what}: {}", reply.text());
        for client in [&user.client, &holder(&app, &other)] {
            let after = everywhere(client).await;
            if is_end {
                assert_eq!(after, [403, 403, 403, 401, 401, 400, 400], "{what}");
            } else {
                assert_eq!(after, before, "{what}");
            }
        }
        for session in [&user.session, &other] {
            assert_eq!(refresh(&app, &session["refresh_token"]).await.status == 200, !is_end, "{what}");
        }
        assert_eq!(everywhere(&bystander.client).await, before, "{what}");
    }
}

/// V22
#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    let other = sign_in(&app, "ada@example.com").await;
    assert_eq!(user.client.put("/auth/v1/user", json!({ "password": "another long password" })).await.status, 200);
    assert_eq!(everywhere(&holder(&app, &other)).await, [403, 403, 403, 401, 401, 400, 400]);
    assert_refused(&refresh(&app, &other["refresh_token"]).await, 400, "refresh_token_not_found");
    assert_eq!(refresh(&app, &user.session["refresh_token"]).await.status, 200);
}

/// V23, V24
#[tokio::test]
async fn a_suspended_tenant_serves_nobody() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    let set = async |status: &str| {
        let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "status": status })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let before = everywhere(&user.client).await;
    set("suspended").await;
    assert!(everywhere(&user.client).await.iter().all(|status| matches!(status, 400 | 401 | 403)), "{:?}", everywhere(&user.client).await);
    assert_ne!(refresh(&app, &user.session["refresh_token"]).await.status, 200);
    set("active").await;
    assert_eq!(everywhere(&user.client).await, before);
}

/// V25
#[tokio::test]
async fn a_token_is_good_whole_or_not_at_all() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let token = user.session["access_token"].as_str().unwrap();
    for length in 1..token.len() {
        let reply = app.anonymous().bearer(&token[..length]).get("/auth/v1/user").await;
        assert_refused(&reply, 403, "bad_jwt");
    }
    for changed in
        [format!("{token}A"), format!("{token}="), format!("{token}."), token.to_lowercase(), token.to_uppercase(), format!("{token}{token}")]
    {
        assert_refused(&app.anonymous().bearer(&changed).get("/auth/v1/user").await, 403, "bad_jwt");
    }
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
}

/// V21
#[tokio::test]
async fn what_was_ended_stays_ended_after_a_restart() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let ended = sign_in(&app, "ada@example.com").await;
    assert_eq!(user.client.delete(&format!("{OWN}/{}", id(&ended))).await.status, 204);
    let first = refresh(&app, &user.session["refresh_token"]).await.json();
    let second = refresh(&app, &first["refresh_token"]).await.json();
    app.app.clock.advance(Duration::from_mins(1));
    // Nothing of the first process is asked any more, as after a `kill -9`.
    let again = app.restarted().await;
    let show = async |session: &Value| again.post(super::REFRESH, json!({ "refresh_token": session["refresh_token"] })).await;
    assert_refused(&show(&ended).await, 400, "refresh_token_not_found");
    let bearer = |session: &Value| again.clone().bearer(session["access_token"].as_str().unwrap());
    assert_refused(&bearer(&ended).get("/auth/v1/user").await, 403, "session_not_found");
    assert_eq!(bearer(&second).get("/auth/v1/user").await.status, 200);
    assert_refused(&show(&user.session).await, 400, "refresh_token_already_used");
    assert_refused(&show(&second).await, 400, "refresh_token_not_found");
}

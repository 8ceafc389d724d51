//! Fields that are the server's own: whoever sends them changes nothing.

use http::Method;
use serde_json::{Value, json};

use super::{factors, holder, passkeys::Authenticator, set};
use crate::support::{Client, PASSWORD, TestApp};

/// What falsy values and odd types may slip past a check.
fn empty_values() -> [Value; 6] {
    [json!(null), json!(""), json!(0), json!(false), json!([]), json!({})]
}

/// Every field of a user that only the server, or an admin, writes, with a value that would be worth something.
fn of_a_user() -> Vec<(&'static str, Value)> {
    let moment = || json!("2001-01-01T00:00:00Z");
    vec![
        ("id", json!("00000000-0000-4000-8000-000000000001")),
        ("user_id", json!("00000000-0000-4000-8000-000000000001")),
        ("sub", json!("00000000-0000-4000-8000-000000000001")),
        ("tenant", json!("other")),
        ("tenant_id", json!(2)),
        ("aud", json!("admin")),
        ("role", json!("service_role")),
        ("roles", json!(["owner"])),
        ("is_super_admin", json!(true)),
        ("is_sso_user", json!(true)),
        ("is_anonymous", json!(true)),
        ("app_metadata", json!({ "roles": ["owner"] })),
        ("raw_app_meta_data", json!({ "roles": ["owner"] })),
        ("user_metadata", json!({ "email_verified": true })),
        ("raw_user_meta_data", json!({ "email_verified": true })),
        ("email_verified", json!(true)),
        ("email_confirm", json!(true)),
        ("email_confirmed_at", moment()),
        ("email_is_unproved", json!(false)),
        ("phone_verified", json!(true)),
        ("phone_confirm", json!(true)),
        ("phone_confirmed_at", moment()),
        ("confirmed_at", moment()),
        ("verified", json!(true)),
        ("new_email", json!("eve@example.com")),
        ("email_change", json!("eve@example.com")),
        ("email_change_agreed", json!("new")),
        ("email_change_confirm_status", json!(1)),
        ("new_phone", json!("4930123456")),
        ("encrypted_password", json!("$2a$10$abcdefghijklmnopqrstuv")),
        ("password_hash", json!("$2a$10$abcdefghijklmnopqrstuv")),
        ("ban_duration", json!("none")),
        ("banned_until", moment()),
        ("invited_at", moment()),
        ("confirmation_sent_at", moment()),
        ("recovery_sent_at", moment()),
        ("last_sign_in_at", moment()),
        ("created_at", moment()),
        ("updated_at", moment()),
        ("deleted_at", moment()),
        ("identities", json!([{ "provider": "google", "id": "1" }])),
        ("factors", json!([])),
        ("aal", json!("aal2")),
        ("amr", json!([{ "method": "totp" }])),
        ("session_id", json!("00000000-0000-4000-8000-000000000001")),
    ]
}

/// A user as an admin sees it, without what a change or a sign-in moves.
async fn seen(app: &TestApp, id: &str) -> Value {
    let mut user = app.service().get(&format!("/auth/v1/admin/users/{id}")).await.json();
    for moved in ["updated_at", "last_sign_in_at"] {
        user.as_object_mut().unwrap().remove(moved);
    }
    user
}

async fn claims_of(app: &TestApp, client: &Client) -> (Value, Value) {
    let sessions = client.get("/auth/v1/user/sessions").await.json();
    let session = super::sign_in(app, "ada@example.com").await;
    let claims = factors::claims(&session);
    (sessions[0]["aal"].clone(), json!([claims["role"], claims["aal"], claims["aud"], claims["app_metadata"], claims["sub"]]))
}

/// V7, V27: a user says them of itself.
#[tokio::test]
async fn a_user_can_not_write_what_is_the_servers() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &["hr"]).await;
    let (before, claims) = (seen(&app, &user.id).await, claims_of(&app, &user.client).await);
    for (name, value) in of_a_user() {
        for value in [value].into_iter().chain(empty_values()) {
            let reply = user.client.put("/auth/v1/user", json!({ name: value, "data": { "harmless": 1 } })).await;
            assert!(reply.status == 200 || reply.status == 400 || reply.status == 403, "{name} = {value}: {}", reply.text());
            let mut after = seen(&app, &user.id).await;
            after["user_metadata"].as_object_mut().unwrap().remove("harmless");
            assert_eq!(after, before, "{name} = {value}");
        }
    }
    assert_eq!(claims_of(&app, &user.client).await, claims);
}

/// V7: nor that an address is its own, in what it notes of itself.
#[tokio::test]
async fn a_user_does_not_vouch_for_its_own_address() {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false, "anonymous": true } })).await;
    let planted = json!({ "email_verified": true, "phone_verified": true, "sub": "planted", "email": "planted@example.com", "name": "Eve" });
    let made = app.anonymous().post("/auth/v1/signup", json!({ "email": "eve@example.com", "password": PASSWORD, "data": planted })).await.json();
    let metadata = &made["user_metadata"];
    assert_eq!((&metadata["email_verified"], &metadata["phone_verified"], &metadata["name"]), (&json!(false), &json!(false), &json!("Eve")));
    assert_eq!((&metadata["sub"], &metadata["email"]), (&made["id"], &json!("eve@example.com")));
    let nobody = app.anonymous().post("/auth/v1/signup", json!({ "data": planted })).await.json();
    assert_eq!((&nobody["user"]["user_metadata"]["email_verified"], &nobody["user"]["user_metadata"]["name"]), (&Value::Null, &json!("Eve")));
    let client = holder(&app, &nobody);
    for value in [json!(true), json!("true"), json!(1)].into_iter().chain(empty_values()) {
        let changed = client.put("/auth/v1/user", json!({ "data": { "email_verified": value, "phone_verified": value } })).await;
        assert_eq!((changed.status.as_u16(), &changed.json()["user_metadata"]["email_verified"]), (200, &Value::Null), "{}", changed.text());
    }
    // Who asks for a code and becomes a user, too.
    assert_eq!(app.anonymous().post("/auth/v1/otp", json!({ "email": "bob@example.com", "data": planted })).await.status, 200);
    let users = app.service().get("/auth/v1/admin/users?filter=bob").await.json();
    assert_eq!(users["users"][0]["user_metadata"]["email_verified"], false);
}

/// V27: whoever signs up says them of the new user.
#[tokio::test]
async fn a_stranger_signs_up_as_nobody_in_particular() {
    let app = TestApp::new().await;
    let plain = app.user("plain@example.com", &[]).await;
    let shape = |user: &Value| {
        let mut user = user.clone();
        for own in ["id", "email", "identities", "user_metadata", "created_at", "updated_at", "email_confirmed_at", "confirmed_at", "last_sign_in_at"]
        {
            user[own] = Value::Null;
        }
        user
    };
    let expected = shape(&plain.session["user"]);
    for (number, (name, value)) in of_a_user().into_iter().enumerate() {
        for (index, value) in [value].into_iter().chain(empty_values()).enumerate() {
            let asked = json!({ "email": format!("u{number}.{index}@example.com"), "password": PASSWORD, name: value });
            let reply = app.anonymous().post("/auth/v1/signup", asked).await;
            assert!(reply.status == 200 || reply.status == 400, "{name} = {value}: {}", reply.text());
            if reply.status == 200 {
                let user = &reply.json()["user"];
                assert_eq!(shape(user), expected, "{name} = {value}");
                assert_ne!(user["id"], "00000000-0000-4000-8000-000000000001");
                assert_ne!(user["created_at"], "2001-01-01T00:00:00Z");
            }
        }
    }
    assert_eq!(app.other_service().get("/auth/v1/admin/users").await.header("x-total-count"), "0");
}

/// V27, V32: factors and passkeys belong to who makes them, and are proved by nothing that is said.
#[tokio::test]
async fn a_factor_is_made_for_who_asks_and_is_not_verified_by_saying_so() {
    let app = TestApp::new().await;
    set(&app, super::passkeys::settings()).await;
    let (ada, eve) = (app.user("ada@example.com", &[]).await, app.user("eve@example.com", &[]).await);
    let fields = [
        ("id", json!("00000000-0000-4000-8000-000000000001")),
        ("user_id", json!(ada.id)),
        ("user", json!({ "id": ada.id })),
        ("tenant_id", json!(2)),
        ("status", json!("verified")),
        ("secret", json!("JBSWY3DPEHPK3PXP")),
        ("credential", json!({ "id": "x" })),
        ("failures", json!(-1000)),
        ("locked_until", json!("2001-01-01T00:00:00Z")),
        ("aal", json!("aal2")),
    ];
    for (name, value) in fields.clone() {
        for value in [value].into_iter().chain(empty_values()) {
            let asked = json!({ "factor_type": "totp", "friendly_name": "f", name: value });
            let reply = eve.client.clone().header("x-user-id", &ada.id).post(&format!("/auth/v1/factors?user_id={}", ada.id), asked).await;
            assert!(reply.status == 200 || reply.status == 400, "{name} = {value}: {}", reply.text());
            let factors = app.service().get(&format!("/auth/v1/admin/users/{}/factors", eve.id)).await.json();
            for factor in factors.as_array().unwrap() {
                assert_eq!(factor["status"], "unverified", "{name} = {value}");
                assert_ne!(factor["id"], "00000000-0000-4000-8000-000000000001");
                let path = format!("/auth/v1/factors/{}", factor["id"].as_str().unwrap());
                assert_eq!(eve.client.delete(&path).await.status, 200);
            }
            assert_eq!(factors.as_array().unwrap().len(), usize::from(reply.status == 200), "{name} = {value}");
        }
    }
    assert_eq!(app.service().get(&format!("/auth/v1/admin/users/{}/factors", ada.id)).await.json(), json!([]));
    let passkey = Authenticator::new().register(&eve.client).await.json();
    let path = format!("/auth/v1/passkeys/{}", passkey["id"].as_str().unwrap());
    for (name, value) in fields {
        for value in [value].into_iter().chain(empty_values()) {
            let reply = eve.client.patch(&path, json!({ "friendly_name": "p", name: value })).await;
            assert_eq!((reply.status.as_u16(), &reply.json()["id"]), (200, &passkey["id"]), "{name} = {value}: {}", reply.text());
        }
    }
    assert_eq!(app.service().get(&format!("/auth/v1/admin/users/{}/passkeys", ada.id)).await.json(), json!([]));
    let own = app.service().get(&format!("/auth/v1/admin/users/{}/passkeys", eve.id)).await.json();
    assert_eq!((own.as_array().unwrap().len(), &own[0]["created_at"]), (1, &passkey["created_at"]));
}

/// V27, V37: of a record, by every way of writing one: alone, in a list, by an upsert, by a change.
#[tokio::test]
async fn a_record_is_written_without_what_is_the_servers() {
    let app = TestApp::new().await;
    let hr = app.user("hr@example.com", &["hr"]).await.client.header("prefer", "return=representation");
    let merging = hr.clone().header("prefer", "return=representation,resolution=merge-duplicates");
    let good = hr.post("/rest/v1/employees", json!({ "employee_number": "1", "display_name": "Ada" })).await;
    assert_eq!(good.status, 201, "{}", good.text());
    let made = good.json()[0]["created_at"].clone();
    let moment = json!("2001-01-01T00:00:00Z");
    for (name, value) in [("tenant_id", json!(2)), ("tenant", json!("other")), ("created_at", moment.clone()), ("updated_at", moment)] {
        for value in [value].into_iter().chain(empty_values()) {
            let new = json!({ "employee_number": "2", "display_name": "Bob", name: value });
            let list = json!([new, { "employee_number": "3", "display_name": "Cy", name: value }]);
            let known = json!([{ "employee_number": "1", "display_name": "Ada", name: value }]);
            for (client, method, path, body) in [
                (&hr, Method::POST, "/rest/v1/employees", new),
                (&hr, Method::POST, "/rest/v1/employees", list),
                (&merging, Method::POST, "/rest/v1/employees?on_conflict=employee_number", known),
                (&hr, Method::PATCH, "/rest/v1/employees?employee_number=eq.1", json!({ name: value })),
            ] {
                let reply = client.json(method.clone(), path, &body).await;
                // What the server writes anyhow it writes itself; what there is not is an error.
                assert!(reply.status.is_client_error() || name.ends_with("_at"), "{method} {path} {body}: {}", reply.text());
                for row in reply.json().as_array().into_iter().flatten() {
                    let is_first = row["employee_number"] == "1";
                    assert_eq!(is_first, row["created_at"] == made && is_first, "{method} {body}: {row}");
                    assert!(!row["created_at"].as_str().unwrap().starts_with("2001") && !row["updated_at"].as_str().unwrap().starts_with("2001"));
                }
                assert!(app.service().delete("/rest/v1/employees?employee_number=in.(2,3)").await.status.is_success());
            }
        }
    }
    assert_eq!(app.other_service().get("/rest/v1/employees").await.json(), json!([]));
}

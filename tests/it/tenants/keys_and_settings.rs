//! Signing keys, and settings by their own route.

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn settings_have_a_route_of_their_own() {
    let app = TestApp::new().await;
    let at = "/admin/v1/tenants/default/settings";
    let operator = app.operator();
    let shown = operator.get(at).await.json();
    assert_eq!(shown, operator.get("/admin/v1/tenants/default").await.json()["settings"]);
    let changed = operator.patch(at, json!({ "sign_up": { "enabled": false } })).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["sign_up"]["enabled"]), (200, &json!(false)));
    assert_eq!(operator.patch(at, json!({ "sign_up": null })).await.json(), shown);
    for (wrong, status) in [(json!({ "nothing": {} }), 422), (json!({ "password": { "min_length": 3 } }), 422), (json!([]), 400)] {
        assert_eq!(operator.patch(at, wrong.clone()).await.status, status, "{wrong}");
    }
    assert_eq!(app.service().get(at).await.status, 401);
    assert_eq!(operator.get("/admin/v1/tenants/nobody/settings").await.status, 404);
    let hook = json!({ "enabled": true, "url": "https://hooks.example.com", "secrets": "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" });
    let changed = operator.patch(at, json!({ "hooks": { "send_sms": hook }, "limits": { "enabled": false } })).await.json();
    assert_eq!((&changed["hooks"]["send_sms"]["secrets"], &changed["limits"]["enabled"]), (&json!("[set]"), &json!(false)));
    // What was shown can be given back, and changes nothing.
    assert_eq!(operator.patch(at, changed.clone()).await.json(), changed);
    let log = operator.get("/admin/v1/tenants/default/audit?action=tenant_modified").await.json();
    assert_eq!(log["entries"][1]["traits"], json!({ "changed": ["settings.hooks.send_sms", "settings.limits.enabled"] }));
    assert!(!log.to_string().contains("whsec_"));
    assert_eq!(log["entries"][3]["traits"], json!({ "changed": ["settings.sign_up.enabled"] }));
}

#[tokio::test]
async fn signing_keys_are_listed_and_taken_away() {
    let app = TestApp::new().await;
    let at = "/admin/v1/tenants/default/signing-keys";
    let operator = app.operator();
    let user = app.user("ada@example.com", &[]).await;
    let first = operator.get(at).await.json();
    let kid = first[0]["kid"].as_str().unwrap().to_owned();
    assert_eq!((&first[0]["status"], &first[0]["algorithm"], &first[0]["can_sign"]), (&json!("current"), &json!("ES256"), &json!(true)));
    assert!(!first.to_string().contains("secret"));
    assert_eq!(operator.delete(&format!("{at}/{kid}")).await.status, 409, "it signs");
    assert_eq!(operator.post(&format!("{at}/rotate"), json!({})).await.status, 201);
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    assert_eq!(operator.delete(&format!("/admin/v1/tenants/other/signing-keys/{kid}")).await.status, 404);
    assert_eq!(operator.delete(&format!("{at}/{kid}")).await.status, 204);
    assert_eq!(operator.delete(&format!("{at}/{kid}")).await.status, 404);
    assert_eq!(user.client.get("/auth/v1/user").await.status, 403, "what it signed is believed no longer");
    assert_eq!(operator.get(at).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_listener_serves_one_tenant_at_its_root_and_asks_for_no_key() {
    let app = TestApp::new().await;
    let listener = |root_mount, require_key| basalt::config::Listener {
        listen: "127.0.0.1:9999".parse().unwrap(),
        tenant: "other".to_owned(),
        root_mount,
        require_key,
    };
    let open = app.mounted(&listener(true, false));
    assert_eq!(open.get("/health").await.json()["name"], "GoTrue");
    assert_eq!(open.get("/settings").await.status, 200);
    let made = open.post("/signup", json!({ "email": "eve@example.com", "password": "a long enough password" })).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let user = open.clone().bearer(made.json()["access_token"].as_str().unwrap());
    assert_eq!(user.get("/user").await.json()["email"], "eve@example.com");
    assert_eq!(open.get("/user").await.status, 401);
    assert_eq!(open.get("/admin/users").await.status, 401, "nobody is no admin");
    assert_eq!(open.get("/admin/v1/tenants").await.status, 404, "there is nothing but sign-in");
    assert_eq!(app.other_service().get("/auth/v1/admin/users").await.header("x-total-count"), "1");
    // Whoever names another tenant is refused.
    assert_eq!(open.clone().key(&app.default.publishable_key).get("/settings").await.status, 401);
    let strict = app.mounted(&listener(false, true));
    assert_eq!(strict.get("/auth/v1/settings").await.status, 401);
    assert_eq!(strict.key(&app.other.publishable_key).get("/auth/v1/settings").await.status, 200);
}

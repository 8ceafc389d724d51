//! What storage says of itself, what it purges, and how it says what went wrong.

use http::Method;
use serde_json::json;

use super::{app, get, put, put_ok, refusal};
use crate::support::Client;

#[tokio::test]
async fn a_tenant_can_have_the_true_status_of_errors() {
    let app = app().await;
    put_ok(&app.service(), "files/a", "a").await;
    let settings = json!({ "settings": { "storage": { "true_status": true } } });
    assert_eq!(app.operator().patch("/admin/v1/tenants/default", settings).await.status, 200);
    app.app.clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(refusal(&get(&app.service(), "files/b").await), "404 404 not_found NoSuchKey: Object not found");
    assert_eq!(app.service().head("/storage/v1/object/files/b").await.status, 404);
    assert_eq!(get(&app.nobody(), "public/files/a").await.status, 404);
    assert_eq!(refusal(&put(&app.service(), "files/a", "b").await), "409 409 Duplicate KeyAlreadyExists: The resource already exists");
    assert_eq!(put(&app.anonymous(), "files/c", "b").await.status, 403);
    assert_eq!(refusal(&put(&app.service(), "files/a%23b", "b").await), "400 400 InvalidKey InvalidKey: Invalid key: a#b");
    let token = app.anonymous().bearer("a.b.c");
    assert_eq!(refusal(&get(&token, "files/a").await), "403 403 Unauthorized InvalidJWT: invalid JWT: token is malformed");
    // It is this tenant's choice alone.
    assert_eq!(get(&app.other_service(), "files/b").await.status, 400);
}

#[tokio::test]
async fn storage_is_well() {
    let app = app().await;
    assert_eq!(app.anonymous().get("/storage/v1/health").await.json(), json!({ "healthy": true }));
    let nobody = refusal(&app.nobody().get("/storage/v1/health").await);
    assert_eq!(nobody, "400 403 Unauthorized InvalidJWT: headers must have required property 'authorization'");
    assert_eq!(app.nobody().get("/storage/v1/status").await.status, 200);
}

#[tokio::test]
async fn only_a_secret_key_purges() {
    let app = app().await;
    let admin = app.user("admin@example.org", &["admin", "owner"]).await.client;
    for path in ["", "/files", "/files/folder/a.png", "/files/a.png?transformations=true"] {
        let purge = async |client: &Client| client.send(Method::DELETE, &format!("/storage/v1/cdn{path}"), "").await;
        assert_eq!(purge(&app.service()).await.json(), json!({ "message": "success" }), "{path}");
        for client in [&admin, &app.anonymous(), &app.function("storage.files:write").await] {
            assert_eq!(refusal(&purge(client).await), "403 403 Unauthorized AccessDenied: Access denied: Invalid role");
        }
    }
    let nowhere = app.service().delete("/storage/v1/cdn/nowhere").await;
    assert_eq!(refusal(&nowhere), "400 404 Bucket not found NoSuchBucket: Bucket not found");
}

use http::Method;
use insta::assert_snapshot;
use serde_json::json;

use super::{app, make_bucket, put_ok, refusal};
use crate::support::TestApp;

#[tokio::test]
async fn a_bucket_is_made_read_changed_and_removed() {
    let app = TestApp::new().await;
    let service = app.service();
    let new = json!({ "id": "docs", "name": "docs", "public": false, "file_size_limit": "1.5MB", "allowed_mime_types": ["image/*", "text/plain"] });
    let reply = service.post("/storage/v1/bucket", new).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (200, json!({ "name": "docs" })));

    let read = service.get("/storage/v1/bucket/docs").await.json();
    assert_eq!(read["file_size_limit"], 1_500_000);
    assert_eq!(read["allowed_mime_types"], json!(["image/*", "text/plain"]));
    assert_eq!((&read["id"], &read["name"], &read["owner"], &read["public"]), (&json!("docs"), &json!("docs"), &json!(""), &json!(false)));
    assert!(read["created_at"].as_str().unwrap().ends_with('Z') && read.get("type").is_none(), "{read}");

    let change = service.put("/storage/v1/bucket/docs", json!({ "public": true, "file_size_limit": null })).await;
    assert_eq!(change.json(), json!({ "message": "Successfully updated" }));
    let read = service.get("/storage/v1/bucket/docs").await.json();
    assert_eq!((&read["public"], &read["file_size_limit"]), (&json!(true), &json!(null)));
    assert_eq!(read["allowed_mime_types"], json!(["image/*", "text/plain"]), "what was not named stays");

    // Clients send an empty body, and call it JSON.
    let reply = service.clone().header("content-type", "application/json").send(Method::DELETE, "/storage/v1/bucket/docs", "").await;
    assert_eq!(reply.json(), json!({ "message": "Successfully deleted" }));
    assert_snapshot!(refusal(&service.get("/storage/v1/bucket/docs").await), @"400 404 Bucket not found NoSuchBucket: Bucket not found");
}

#[tokio::test]
async fn a_bucket_that_cannot_be_is_refused() {
    let app = app().await;
    let service = app.service();
    let make = async |bucket| refusal(&service.post("/storage/v1/bucket", bucket).await);
    assert_snapshot!(make(json!({ "name": "files" })).await, @"400 409 Duplicate BucketAlreadyExists: The resource already exists");
    assert_snapshot!(make(json!({ "name": "a/b" })).await, @"400 400 Invalid Input InvalidBucketName: Bucket name invalid");
    assert_snapshot!(make(json!({})).await, @"400 400 Error InvalidRequest: body must have required property 'name'");
    assert_snapshot!(make(json!({ "name": "x", "file_size_limit": "6TB" })).await, @"400 413 Payload too large EntityTooLarge: The object exceeded the maximum allowed size");
    assert_snapshot!(make(json!({ "name": "x", "file_size_limit": "many" })).await, @r#"400 400 Error InvalidRequest: "many" is no size; write a number of bytes, or a text like "20MB" at line 1 column 37"#);
    assert_snapshot!(make(json!({ "name": "x", "allowed_mime_types": ["*/*"] })).await, @r#"400 400 Error InvalidRequest: "*/*" is no type; write TYPE/SUBTYPE, TYPE/* or * at line 1 column 40"#);
    assert_snapshot!(make(json!({ "name": "x", "type": "ANALYTICS" })).await, @"400 400 Error InvalidRequest: only buckets of the type STANDARD are served");
    assert_snapshot!(make(json!({ "name": "slips", "public": true })).await, @r#"400 403 Unauthorized AccessDenied: the bucket "slips" is sealed by the tenant's settings and can't be public"#);
    assert_snapshot!(refusal(&service.put("/storage/v1/bucket/files", json!({})).await), @"400 400 Error InvalidRequest: body must have at least one of public, file_size_limit, allowed_mime_types, quota_bytes, versioning, lifecycle");
    assert_eq!(service.get("/storage/v1/bucket/x").await.status, 400);
}

#[tokio::test]
async fn buckets_are_listed_searched_and_sorted() {
    let app = app().await;
    let service = app.service();
    app.app.clock.advance(std::time::Duration::from_secs(1));
    make_bucket(&service, json!({ "name": "Later files" })).await;
    let names = async |query: &str| {
        let rows = service.get(&format!("/storage/v1/bucket{query}")).await.json();
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["Later files", "files", "open"]);
    assert_eq!(names("?sortColumn=created_at&sortOrder=desc&limit=1").await, ["Later files"]);
    assert_eq!(names("?search=FILE&offset=1").await, ["files"]);
    for wrong in ["sortOrder=up", "sortColumn=size", "limit=-1", "offset=x"] {
        let reply = service.get(&format!("/storage/v1/bucket?{wrong}")).await;
        assert_eq!(reply.json()["code"], "InvalidRequest", "{wrong}");
    }
    let kind = async |client: &crate::support::Client| client.get("/storage/v1/bucket").await.json()[0].get("type").cloned();
    assert_eq!(kind(&service).await, Some(json!("STANDARD")));
    assert_eq!(kind(&service.clone().header("x-client-info", "supabase-py/supabase_auth v2.18.0")).await, Some(json!("STANDARD")));
    assert_eq!(kind(&service.clone().header("x-client-info", "supabase-py/2.17.3")).await, None);
    assert_eq!(kind(&service.clone().header("user-agent", "storage3/0.12.0 python-httpx")).await, None);
}

#[tokio::test]
async fn only_an_empty_bucket_is_removed() {
    let app = app().await;
    let service = app.service();
    put_ok(&service, "files/a.txt", "a").await;
    put_ok(&service, "files/b/c.txt", "c").await;
    assert_snapshot!(refusal(&service.delete("/storage/v1/bucket/files").await), @"400 409 ResourceNotEmpty ResourceNotEmpty: The bucket you tried to delete is not empty");
    let emptied = service.clone().header("content-type", "application/json").send(Method::POST, "/storage/v1/bucket/files/empty", "").await;
    assert_eq!(emptied.json(), json!({ "message": "Empty bucket has been queued. Completion may take up to an hour." }));
    assert_eq!(service.delete("/storage/v1/bucket/files").await.status, 200);
}

#[tokio::test]
async fn who_may_not_manage_buckets_does_not_see_them() {
    let app = app().await;
    let user = app.user("ann@example.org", &[]).await.client;
    for client in [app.anonymous(), user, app.function("storage.other:read storage.other:write").await] {
        assert_eq!(client.get("/storage/v1/bucket").await.json(), json!([]));
        assert_eq!(refusal(&client.get("/storage/v1/bucket/files").await), "400 404 Bucket not found NoSuchBucket: Bucket not found");
        assert_eq!(
            refusal(&client.put("/storage/v1/bucket/files", json!({ "public": true })).await),
            "400 404 Bucket not found NoSuchBucket: Bucket not found"
        );
        assert_eq!(refusal(&client.delete("/storage/v1/bucket/files").await), "400 404 Bucket not found NoSuchBucket: Bucket not found");
        assert_eq!(
            refusal(&client.post("/storage/v1/bucket/files/empty", json!({})).await),
            "403 403 Unauthorized AccessDenied: Access denied: Invalid role"
        );
        assert_eq!(
            refusal(&client.post("/storage/v1/bucket", json!({ "name": "mine" })).await),
            "400 403 Unauthorized AccessDenied: new row violates row-level security policy"
        );
    }
    let function = app.function("storage.files:read").await;
    assert_eq!(function.get("/storage/v1/bucket").await.json()[0]["id"], "files");
    assert_snapshot!(refusal(&function.delete("/storage/v1/bucket/files").await), @"400 403 Unauthorized AccessDenied: Access denied");
}

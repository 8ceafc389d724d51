//! How much there may be, by every door that makes objects.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use http::Method;
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{app, get, make_bucket, put, put_ok, refusal};
use crate::support::{Client, Reply, TestApp};

async fn set_storage(app: &TestApp, settings: Value) {
    let reply = app.operator().patch("/admin/v1/tenants/default/settings", json!({ "storage": settings })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// What is counted, and that it is what there is.
async fn usage(app: &TestApp) -> Value {
    let usage = app.operator().get("/admin/v1/tenants/default/storage").await.json();
    let sums: (i64, Option<i64>) = app
        .app
        .db
        .read()
        .await
        .unwrap()
        .query("SELECT count(*), CAST(sum(size) AS bigint) FROM objects WHERE tenant_id = $1")
        .bind(1)
        .fetch_one()
        .await
        .unwrap();
    assert_eq!((usage["objects"].as_i64(), usage["bytes"].as_i64()), (Some(sums.0), Some(sums.1.unwrap_or_default())), "{usage}");
    for part in ["buckets", "users"] {
        let sum: i64 = usage[part].as_array().unwrap().iter().map(|one| one["bytes"].as_i64().unwrap()).sum();
        assert_eq!(usage["bytes"], sum, "{usage}");
    }
    usage
}

/// Uploads in one request of the resumable kind.
async fn put_resumable(client: &Client, bucket: &str, name: &str, text: &str) -> Reply {
    let told = format!("bucketName {},objectName {}", STANDARD.encode(bucket), STANDARD.encode(name));
    let client = client.clone().header("tus-resumable", "1.0.0").header("upload-metadata", &told);
    let client = client.header("upload-length", &text.len().to_string()).header("content-type", "application/offset+octet-stream");
    client.send(Method::POST, "/storage/v1/upload/resumable", text.to_owned()).await
}

#[tokio::test]
async fn uploads_side_by_side_pass_no_quota() {
    let app = app().await;
    let service = app.service();
    make_bucket(&service, json!({ "name": "box", "quota_bytes": 1050 })).await;
    let text = "x".repeat(100);
    put_ok(&service, "files/other", &text).await;
    let uploads = join_all((0..12).map(|n| {
        let (service, text) = (&service, &text);
        async move {
            let reply = put(service, &format!("box/raw{n}"), text).await;
            if reply.status != 200 {
                assert_eq!(reply.json()["code"], "QuotaExceeded", "{}", reply.text());
            }
            reply.status == 200
        }
    }));
    let resumable = join_all((0..12).map(|n| {
        let (service, text) = (&service, &text);
        async move {
            let reply = put_resumable(service, "box", &format!("tus{n}"), text).await;
            if reply.status != 201 {
                assert_eq!(reply.status, 413, "{}", reply.text());
            }
            reply.status == 201
        }
    }));
    let copies = join_all((0..12).map(|n| {
        let service = &service;
        async move {
            let asked = json!({ "bucketId": "files", "sourceKey": "other", "destinationBucket": "box", "destinationKey": format!("copy{n}") });
            let reply = service.post("/storage/v1/object/copy", asked).await;
            if reply.status != 200 {
                assert_eq!(reply.json()["code"], "QuotaExceeded", "{}", reply.text());
            }
            reply.status == 200
        }
    }));
    let (uploads, resumable, copies) = tokio::join!(uploads, resumable, copies);
    let made = [uploads, resumable, copies].concat().into_iter().filter(|made| *made).count();
    assert_eq!(made, 10);
    let told = usage(&app).await;
    assert_eq!(told["buckets"][0], json!({ "id": "box", "bytes": 1000, "objects": 10, "quota_bytes": 1050 }));
    assert_eq!(told["users"], json!([{ "id": null, "bytes": 1100, "objects": 11 }]));

    assert_snapshot!(refusal(&put(&service, "box/more", &text).await), @"400 413 QuotaExceeded QuotaExceeded: the bucket's files may have 1050 bytes together and have 1000: there is no room for 100 more");
    assert_eq!(put(&service, "box/less", &text[..50]).await.status, 200);
    // What is removed makes room.
    service.json(Method::DELETE, "/storage/v1/object/box", &json!({ "prefixes": ["less", "raw0", "tus0", "copy0"] })).await;
    assert_eq!(service.post("/storage/v1/bucket/box/empty", json!({})).await.status, 200);
    assert_eq!(usage(&app).await["bytes"], 100);
    assert_eq!(put(&service, "box/more", &"x".repeat(1050)).await.status, 200);
    assert_eq!(service.delete("/storage/v1/object/box/more").await.status, 200);
    assert_eq!(service.delete("/storage/v1/bucket/box").await.status, 200);
    assert_eq!(usage(&app).await["buckets"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_takes_the_place_of_a_file_needs_only_what_is_more() {
    let app = app().await;
    let service = app.service();
    set_storage(&app, json!({ "quota_bytes": 100 })).await;
    put_ok(&service, "files/a", &"x".repeat(90)).await;
    let upserting = service.clone().header("x-upsert", "true");
    put_ok(&upserting, "files/a", &"y".repeat(100)).await;
    assert_snapshot!(refusal(&put(&upserting, "files/a", &"z".repeat(101)).await), @"400 413 QuotaExceeded QuotaExceeded: the tenant's files may have 100 bytes together and have 100: there is no room for 1 more");
    assert_eq!(get(&service, "files/a").await.text(), "y".repeat(100));
    assert_eq!(usage(&app).await["bytes"], 100);
    // A limit below what there is stands in the way of nothing but more.
    set_storage(&app, json!({ "quota_bytes": 10 })).await;
    put_ok(&upserting, "files/a", &"z".repeat(50)).await;
    assert_eq!(put(&service, "files/b", "b").await.json()["code"], "QuotaExceeded");
    assert_eq!(put_resumable(&service, "files", "b", "b").await.status, 413);
    let moved =
        service.post("/storage/v1/object/move", json!({ "bucketId": "files", "sourceKey": "a", "destinationBucket": "open", "destinationKey": "a" }));
    assert_eq!(moved.await.status, 200);
    let told = usage(&app).await;
    assert_eq!(told["buckets"][0], json!({ "id": "open", "bytes": 50, "objects": 1, "quota_bytes": null }));
    // Others have room of their own.
    assert_eq!(app.other_service().post("/storage/v1/bucket", json!({ "name": "files" })).await.status, 200);
    put_ok(&app.other_service(), "files/b", "b").await;
    set_storage(&app, json!({ "quota_bytes": null })).await;
    put_ok(&service, "files/b", "b").await;
}

#[tokio::test]
async fn a_user_has_a_limit_and_keys_have_none() {
    let app = app().await;
    set_storage(&app, json!({ "user_quota_bytes": 10 })).await;
    let (ann, bob) = (app.user("ann@example.org", &[]).await, app.user("bob@example.org", &[]).await);
    put_ok(&ann.client, &format!("files/{}/a", ann.id), "12345678").await;
    let more = put(&ann.client, &format!("files/{}/b", ann.id), "12345").await;
    assert_snapshot!(refusal(&more), @"400 413 QuotaExceeded QuotaExceeded: the user's files may have 10 bytes together and have 8: there is no room for 5 more");
    put_ok(&bob.client, &format!("files/{}/a", bob.id), "1234567890").await;
    put_ok(&app.service(), "files/all", "more than ten bytes").await;
    // A key that is nobody's leaves the object with its owner, whose it counts as.
    put_ok(&app.service().header("x-upsert", "true"), &format!("files/{}/a", ann.id), "123").await;
    let told = usage(&app).await;
    let of = |id: Value| told["users"].as_array().unwrap().iter().find(|user| user["id"] == id).unwrap()["bytes"].clone();
    assert_eq!((of(json!(ann.id)), of(json!(bob.id)), of(Value::Null)), (json!(3), json!(10), json!(19)));
    put_ok(&ann.client, &format!("files/{}/b", ann.id), "1234567").await;
}

#[tokio::test]
async fn a_bucket_takes_what_moves_in_while_there_is_room() {
    let app = app().await;
    let service = app.service();
    make_bucket(&service, json!({ "name": "box" })).await;
    let limit = service.put("/storage/v1/bucket/box", json!({ "quota_bytes": "0.02kB" })).await;
    assert_eq!(limit.status, 200, "{}", limit.text());
    assert_eq!(service.get("/storage/v1/bucket/box").await.json()["quota_bytes"], 20);
    for name in ["a", "b", "c"] {
        put_ok(&service, &format!("files/in/{name}"), "12345678").await;
    }
    let asked = json!({ "bucketId": "files", "sourcePrefix": "in", "destinationBucket": "box", "destinationPrefix": "" });
    let task = service.post("/storage/v1/object/move-prefix", asked).await.json();
    assert_eq!((&task["status"], &task["done"], &task["skipped"]), (&json!("done"), &json!(2), &json!(1)));
    let asked = json!({ "bucketId": "files", "sourceKey": "in/c", "destinationBucket": "box", "destinationKey": "c" });
    let moved = service.post("/storage/v1/object/move", asked).await;
    assert_snapshot!(refusal(&moved), @"400 413 QuotaExceeded QuotaExceeded: the bucket's files may have 20 bytes together and have 16: there is no room for 8 more");
    let told = usage(&app).await;
    assert_eq!((&told["buckets"][0]["id"], &told["buckets"][0]["bytes"]), (&json!("box"), &json!(16)));
    assert_eq!(service.put("/storage/v1/bucket/box", json!({ "quota_bytes": null })).await.status, 200);
    assert_eq!(service.get("/storage/v1/bucket/box").await.json().get("quota_bytes"), None);
}

#[tokio::test]
async fn only_the_operator_is_told_how_much_there_is() {
    let app = app().await;
    assert_eq!(app.service().get("/admin/v1/tenants/default/storage").await.status, 401);
    assert_eq!(app.operator().get("/admin/v1/tenants/nobody/storage").await.status, 404);
    assert_eq!(app.operator().get("/admin/v1/tenants/other/storage").await.json(), json!({ "bytes": 0, "objects": 0, "buckets": [], "users": [] }));
}

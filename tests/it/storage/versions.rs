//! What objects were before, and what is removed by itself.

use std::time::Duration;

use basalt::storage::{apply_lifecycles, sweep};
use http::Method;
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{app, get, make_bucket, put, put_ok, refusal};
use crate::support::{Client, TestApp};

async fn kept() -> TestApp {
    let app = app().await;
    make_bucket(&app.service(), json!({ "name": "kept", "versioning": true })).await;
    app
}

/// Replaces an object, some time later.
async fn replace(app: &TestApp, path: &str, text: &str) {
    app.app.clock.advance(Duration::from_secs(10));
    put_ok(&app.service().header("x-upsert", "true"), path, text).await;
}

async fn versions(client: &Client, path: &str) -> Vec<Value> {
    let reply = client.get(&format!("/storage/v1/version/{path}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().as_array().unwrap().clone()
}

/// The texts that an object has had, the last first.
async fn texts(client: &Client, path: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for version in versions(client, path).await {
        let read = get(client, &format!("authenticated/{path}?version={}", version["version"].as_str().unwrap())).await;
        assert_eq!((read.status.as_u16(), read.header("etag")), (200, version["etag"].as_str().unwrap()));
        texts.push(read.text());
    }
    texts
}

async fn restore(client: &Client, path: &str, asked: Value) -> crate::support::Reply {
    client.post(&format!("/storage/v1/version/{path}"), asked).await
}

async fn sweep_all(app: &TestApp) {
    app.app.clock.advance(Duration::from_mins(5));
    sweep(&app.app).await.unwrap();
}

#[tokio::test]
async fn what_was_replaced_or_removed_comes_back() {
    let app = kept().await;
    let service = app.service();
    put_ok(&service, "kept/a", "one").await;
    replace(&app, "kept/a", "two").await;
    replace(&app, "kept/a", "three").await;
    sweep_all(&app).await;
    assert_eq!(texts(&service, "kept/a").await, ["two", "one"]);
    assert_eq!(get(&service, "kept/a").await.text(), "three");

    let first = versions(&service, "kept/a").await[1]["version"].clone();
    assert_eq!(restore(&service, "kept/a", json!({ "version": first })).await.status, 200);
    assert_eq!(
        (get(&service, "kept/a").await.text(), texts(&service, "kept/a").await),
        ("one".to_owned(), vec!["three".to_owned(), "two".to_owned()])
    );

    app.app.clock.advance(Duration::from_secs(1));
    assert_eq!(service.delete("/storage/v1/object/kept/a").await.status, 200);
    assert_eq!(get(&service, "kept/a").await.json()["code"], "NoSuchKey");
    sweep_all(&app).await;
    let removed = service.get("/storage/v1/version/kept").await.json();
    assert_eq!((removed.as_array().unwrap().len(), &removed[0]["name"], &removed[0]["removed"]), (1, &json!("a"), &json!(true)));
    let back = restore(&service, "kept/a", json!({})).await;
    assert_eq!((back.status.as_u16(), &back.json()["Key"]), (200, &json!("kept/a")), "{}", back.text());
    assert_eq!(get(&service, "kept/a").await.text(), "one");
    assert_eq!(service.get("/storage/v1/version/kept").await.json(), json!([]));
    let again = restore(&service, "kept/a", json!({ "version": first })).await;
    assert_snapshot!(refusal(&again), @"400 404 not_found NoSuchKey: there is no such version");

    // Everything is counted once.
    let told = app.operator().get("/admin/v1/tenants/default/storage").await.json();
    assert_eq!((&told["bytes"], &told["objects"]), (&json!(11), &json!(3)));
    let last = versions(&service, "kept/a").await[0]["version"].clone();
    let purge = format!("/storage/v1/version/kept/a?version={}", last.as_str().unwrap());
    assert_eq!(service.delete(&purge).await.status, 200);
    assert_eq!(service.delete(&purge).await.json()["code"], "NoSuchKey");
    assert_eq!(app.operator().get("/admin/v1/tenants/default/storage").await.json()["bytes"], 6);
}

#[tokio::test]
async fn a_bucket_that_keeps_nothing_keeps_nothing() {
    let app = kept().await;
    let service = app.service();
    put_ok(&service, "files/a", "one").await;
    replace(&app, "files/a", "two").await;
    assert_eq!(versions(&service, "files/a").await, Vec::<Value>::new());
    assert_eq!(service.put("/storage/v1/bucket/files", json!({ "versioning": true })).await.status, 200);
    assert_eq!(service.get("/storage/v1/bucket/files").await.json()["versioning"], true);
    replace(&app, "files/a", "three").await;
    assert_eq!(service.put("/storage/v1/bucket/files", json!({ "versioning": false })).await.status, 200);
    replace(&app, "files/a", "four").await;
    assert_eq!(texts(&service, "files/a").await, ["two"], "what is kept stays");
    // Old versions of a bucket go with it.
    assert_eq!(service.delete("/storage/v1/object/files/a").await.status, 200);
    assert_eq!(service.delete("/storage/v1/bucket/files").await.status, 200);
    let told = app.operator().get("/admin/v1/tenants/default/storage").await.json();
    assert_eq!((&told["bytes"], &told["objects"], &told["users"]), (&json!(0), &json!(0), &json!([])));
    sweep_all(&app).await;
    let left: (i64,) = app.app.db.read().await.unwrap().query("SELECT count(*) FROM loose_blobs").fetch_one().await.unwrap();
    assert_eq!(left.0, 0);
}

#[tokio::test]
async fn signed_urls_do_not_come_back_with_the_object() {
    let app = kept().await;
    let service = app.service();
    put_ok(&service, "kept/a", "one").await;
    let signed = service.post("/storage/v1/object/sign/kept/a", json!({ "expiresIn": 1000 })).await.json();
    let url = format!("/storage/v1{}", signed["signedURL"].as_str().unwrap());
    assert_eq!(app.nobody().get(&url).await.text(), "one");
    assert_eq!(service.delete("/storage/v1/object/kept/a").await.status, 200);
    assert_eq!(restore(&service, "kept/a", json!({})).await.status, 200);
    assert_eq!(app.nobody().get(&url).await.json()["code"], "NoSuchKey");
}

#[tokio::test]
async fn versions_are_for_those_who_may_have_the_object() {
    let app = kept().await;
    let service = app.service();
    let (ann, bob) = (app.user("ann@example.org", &[]).await, app.user("bob@example.org", &[]).await);
    let path = format!("kept/{}/a", ann.id);
    put_ok(&ann.client, &path, "hers").await;
    put_ok(&ann.client.clone().header("x-upsert", "true"), &path, "hers too").await;
    assert_eq!(texts(&ann.client, &path).await, ["hers"]);
    let version = versions(&ann.client, &path).await[0]["version"].as_str().unwrap().to_owned();
    let one = format!("authenticated/{path}?version={version}");
    assert_eq!(get(&ann.client, &one).await.text(), "hers");
    let purge = format!("/storage/v1/version/{path}?version={version}");
    for stranger in [&bob.client, &app.anonymous()] {
        assert_ne!(get(stranger, &one).await.text(), "hers");
        assert_ne!(restore(stranger, &path, json!({ "version": version })).await.status, 200);
        assert_ne!(stranger.delete(&purge).await.status, 200);
        let listed = stranger.get(&format!("/storage/v1/version/{path}")).await.json();
        assert!(listed == json!([]) || listed["code"] == "AccessDenied", "{listed}");
    }
    assert_eq!(ann.client.delete(&format!("/storage/v1/object/{path}")).await.status, 200);
    assert_eq!(bob.client.get("/storage/v1/version/kept").await.json(), json!([]));
    let removed = ann.client.get(&format!("/storage/v1/version/kept?prefix={}/", ann.id)).await.json();
    assert_eq!(removed[0]["name"], format!("{}/a", ann.id));
    assert_eq!(restore(&ann.client, &path, json!({})).await.status, 200);
    assert_eq!(get(&ann.client, &path).await.text(), "hers too");
    assert_eq!(get(&service, &path).await.text(), "hers too");
}

#[tokio::test]
async fn versions_count_for_quotas() {
    let app = app().await;
    let service = app.service();
    make_bucket(&service, json!({ "name": "kept", "versioning": true, "quota_bytes": 10 })).await;
    put_ok(&service, "kept/a", "1234").await;
    replace(&app, "kept/a", "5678").await;
    let more = put(&service.clone().header("x-upsert", "true"), "kept/a", "9abc").await;
    assert_eq!(more.json()["code"], "QuotaExceeded", "{}", more.text());
    // To bring one back needs no room.
    assert_eq!(restore(&service, "kept/a", json!({})).await.status, 200);
    assert_eq!(get(&service, "kept/a").await.text(), "1234");
}

#[tokio::test]
async fn what_grows_old_is_removed_by_itself() {
    let app = app().await;
    let service = app.service();
    let lifecycle = json!({ "expire": [{ "prefix": "tmp/", "days": 3 }], "keep_versions": 2, "keep_version_days": 30 });
    make_bucket(&service, json!({ "name": "kept", "versioning": true, "lifecycle": lifecycle })).await;
    assert_eq!(service.get("/storage/v1/bucket/kept").await.json()["lifecycle"], lifecycle);
    make_bucket(&service, json!({ "name": "plain", "lifecycle": { "expire": [{ "days": 1 }] } })).await;
    put_ok(&service, "kept/tmp/a", "a").await;
    put_ok(&service, "kept/tmpx", "stays").await;
    put_ok(&service, "plain/a", "a").await;
    for text in ["1", "2", "3", "4", "5"] {
        replace(&app, "kept/many", text).await;
    }
    assert_eq!(apply_lifecycles(&app.app).await.unwrap(), 2, "versions beyond the second");
    assert_eq!(texts(&service, "kept/many").await, ["4", "3"]);
    app.app.clock.advance(Duration::from_hours(25));
    assert_eq!(apply_lifecycles(&app.app).await.unwrap(), 1);
    assert_eq!(get(&service, "plain/a").await.json()["code"], "NoSuchKey");
    app.app.clock.advance(Duration::from_hours(36));
    replace(&app, "kept/tmp/new", "new").await;
    app.app.clock.advance(Duration::from_hours(12));
    assert_eq!(apply_lifecycles(&app.app).await.unwrap(), 1);
    assert_eq!(get(&service, "kept/tmp/a").await.json()["code"], "NoSuchKey");
    assert_eq!((get(&service, "kept/tmp/new").await.text(), get(&service, "kept/tmpx").await.text()), ("new".to_owned(), "stays".to_owned()));
    assert_eq!(texts(&service, "kept/tmp/a").await, ["a"], "it can still be brought back");
    app.app.clock.advance(Duration::from_hours(31 * 24));
    // tmp/new becomes a version, three old ones go.
    assert_eq!(apply_lifecycles(&app.app).await.unwrap(), 4);
    assert_eq!(versions(&service, "kept/many").await, Vec::<Value>::new());
    let told = app.operator().get("/admin/v1/tenants/default/storage").await.json();
    assert_eq!((&told["bytes"], &told["objects"]), (&json!(9), &json!(3)), "{told}");
    sweep_all(&app).await;
    assert_eq!(get(&service, "kept/many").await.text(), "5");
}

#[tokio::test]
async fn a_lifecycle_that_can_not_be_meant_is_refused() {
    let app = app().await;
    for (lifecycle, said) in [
        (json!({ "expire": [{ "days": 0 }] }), "body/lifecycle/expire/days must be 1 to 36525"),
        (json!({ "expire": [{ "prefix": "../a", "days": 1 }] }), "Invalid key"),
        (json!({ "keep_version_days": 0 }), "body/lifecycle/keep_version_days must be 1 to 36525"),
        (json!({ "keep_versions": -1 }), "keep_versions"),
        (json!({ "expire": [{ "days": 1.5 }] }), "expire"),
        (json!({ "delete": 3 }), "delete"),
    ] {
        let reply = app.service().json(Method::PUT, "/storage/v1/bucket/files", &json!({ "lifecycle": lifecycle })).await;
        assert_eq!(reply.status, 400, "{lifecycle}");
        assert!(reply.json()["message"].as_str().unwrap().contains(said) || said.len() < 15, "{lifecycle}: {}", reply.text());
    }
    assert_eq!(app.service().get("/storage/v1/bucket/files").await.json().get("lifecycle"), None);
}

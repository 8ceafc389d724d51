use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{app, get, make_bucket, put, put_ok, refusal};
use crate::support::{Client, TestApp, TestUser};

const REFUSED_ROW: &str = "400 403 Unauthorized AccessDenied: new row violates row-level security policy";
const NO_OBJECT: &str = "400 404 not_found NoSuchKey: Object not found";
const DENIED: &str = "400 403 Unauthorized AccessDenied: Access denied";

async fn sign(client: &Client, path: &str) -> crate::support::Reply {
    client.post(&format!("/storage/v1/object/sign/{path}"), json!({ "expiresIn": 60 })).await
}

async fn list(client: &Client, bucket: &str, prefix: &str) -> Vec<String> {
    let rows = client.post(&format!("/storage/v1/object/list/{bucket}"), json!({ "prefix": prefix })).await.json();
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// Nothing of an object shows, and nothing can be done to it, by any door.
async fn has_no_part_in(client: &Client, bucket: &str, name: &str) {
    let path = format!("{bucket}/{name}");
    for door in ["", "authenticated/", "info/", "info/authenticated/"] {
        assert_eq!(refusal(&get(client, &format!("{door}{path}")).await), NO_OBJECT, "{door}");
    }
    assert_eq!(client.head(&format!("/storage/v1/object/{path}")).await.status, 400);
    assert_eq!(refusal(&get(client, &format!("public/{path}")).await), "400 404 Bucket not found NoSuchBucket: Bucket not found");
    assert_eq!(refusal(&sign(client, &path).await), NO_OBJECT);
    let signed = client.post(&format!("/storage/v1/object/sign/{bucket}"), json!({ "expiresIn": 60, "paths": [name] })).await.json();
    assert_eq!(signed[0]["signedURL"], Value::Null);
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    assert_eq!(list(client, bucket, folder).await, [""; 0]);
    assert_eq!(list(client, bucket, "").await, [""; 0]);
    let upserting = client.clone().header("x-upsert", "true");
    assert_eq!(refusal(&put(&upserting, &path, "mine").await), REFUSED_ROW);
    assert_eq!(refusal(&put(client, &path, "mine").await), REFUSED_ROW);
    let removed = client.json(Method::DELETE, &format!("/storage/v1/object/{bucket}"), &json!({ "prefixes": [name] })).await;
    assert_eq!(removed.json(), json!([]));
    let one = refusal(&client.delete(&format!("/storage/v1/object/{path}")).await);
    assert!(one == NO_OBJECT || one == DENIED, "{one}");
    for how in ["move", "copy"] {
        let request = json!({ "bucketId": bucket, "sourceKey": name, "destinationBucket": "open", "destinationKey": "stolen" });
        assert_eq!(refusal(&client.post(&format!("/storage/v1/object/{how}"), request).await), NO_OBJECT, "{how}");
    }
}

/// V37
#[tokio::test]
async fn strangers_have_no_part_in_a_private_file() {
    let app = app().await;
    put_ok(&app.service(), "files/a/b", "secret").await;
    let user = app.user("ann@example.org", &[]).await;
    for client in [app.anonymous(), user.client, app.function("storage.open:read storage.open:write employees:read").await] {
        has_no_part_in(&client, "files", "a/b").await;
    }
    assert_eq!(get(&app.service(), "files/a/b").await.text(), "secret");
    assert_eq!(list(&app.service(), "open", "").await, [""; 0]);
}

#[tokio::test]
async fn a_user_owns_what_it_uploads_below_its_own_folder() {
    let app = app().await;
    let TestUser { id, client: ann, .. } = app.user("ann@example.org", &[]).await;
    let bob = app.user("bob@example.org", &[]).await.client;
    let mine = format!("files/{id}/photos/me.png");
    put_ok(&ann, &mine, "me").await;
    assert_eq!(get(&app.service(), &format!("info/{mine}")).await.json()["size"], 2);
    assert_eq!(get(&ann, &mine).await.text(), "me");
    assert_eq!(list(&ann, "files", "").await, [id.as_str()]);
    assert_eq!(list(&ann, "files", &format!("{id}/photos")).await, ["me.png"]);
    let url = sign(&ann, &mine).await.json()["signedURL"].as_str().unwrap().to_owned();
    assert_eq!(app.nobody().get(&format!("/storage/v1{url}")).await.text(), "me");
    assert_eq!(put(&ann.clone().header("x-upsert", "true"), &mine, "us").await.status, 200);

    assert_eq!(put(&app.service().header("x-upsert", "true"), &mine, "changed by a server").await.status, 200);
    assert_eq!(get(&ann, &mine).await.text(), "changed by a server");

    has_no_part_in(&bob, "files", &format!("{id}/photos/me.png")).await;
    for path in
        [format!("files/{id}x/a"), format!("files/x/{id}/a"), format!("files/{id}"), format!("files/{}/a", id.to_uppercase()), "files/a".to_owned()]
    {
        assert_eq!(refusal(&put(&ann, &path, "x").await), REFUSED_ROW, "{path}");
    }
    // What somebody else put there is not its own.
    put_ok(&app.service(), &format!("files/{id}/given"), "given").await;
    assert_eq!(refusal(&get(&ann, &format!("files/{id}/given")).await), NO_OBJECT);
    assert_eq!(refusal(&put(&ann.clone().header("x-upsert", "true"), &format!("files/{id}/given"), "x").await), REFUSED_ROW);

    let moved = json!({ "bucketId": "files", "sourceKey": format!("{id}/photos/me.png"), "destinationKey": format!("{id}/me.png") });
    assert_eq!(ann.post("/storage/v1/object/move", moved).await.status, 200);
    let away = json!({ "bucketId": "files", "sourceKey": format!("{id}/me.png"), "destinationKey": "me.png" });
    assert_eq!(refusal(&ann.post("/storage/v1/object/move", away.clone()).await), REFUSED_ROW);
    assert_eq!(refusal(&ann.post("/storage/v1/object/copy", away).await), REFUSED_ROW);
    assert_eq!(ann.delete(&format!("/storage/v1/object/files/{id}/me.png")).await.status, 200);
}

#[tokio::test]
async fn a_function_key_can_do_what_its_scopes_say_in_the_bucket_they_name() {
    let app = app().await;
    make_bucket(&app.service(), json!({ "name": "slips" })).await;
    make_bucket(&app.service(), json!({ "name": "slips2" })).await;
    put_ok(&app.service(), "slips/old", "old").await;

    let writer = app.function("storage.slips:write").await;
    put_ok(&writer, "slips/2000-01/1.pdf", "one").await;
    put_ok(&writer.clone().header("x-upsert", "true"), "slips/2000-01/1.pdf", "one again").await;
    assert_eq!(refusal(&get(&writer, "slips/2000-01/1.pdf").await), NO_OBJECT);
    assert_eq!(list(&writer, "slips", "").await, [""; 0]);
    assert_eq!(refusal(&sign(&writer, "slips/old").await), NO_OBJECT);
    assert_eq!(refusal(&put(&writer, "slips2/a", "x").await), REFUSED_ROW);
    assert_eq!(refusal(&put(&writer, "files/a", "x").await), REFUSED_ROW);
    assert_eq!(writer.delete("/storage/v1/object/slips/2000-01/1.pdf").await.status, 200);

    let reader = app.function("storage.slips:read").await;
    assert_eq!(get(&reader, "slips/old").await.text(), "old");
    assert_eq!(list(&reader, "slips", "").await, ["old"]);
    assert_eq!(sign(&reader, "slips/old").await.status, 200);
    assert_eq!(refusal(&put(&reader, "slips/new", "x").await), REFUSED_ROW);
    assert_eq!(refusal(&reader.delete("/storage/v1/object/slips/old").await), DENIED);
    assert_eq!(list(&reader, "slips2", "").await, [""; 0]);
}

/// Links a user of the default tenant to a new employee.
async fn link(app: &TestApp, user: &TestUser, number: &'static str) -> Uuid {
    let (id, user_id, now) = (Uuid::new_v4(), user.id.parse::<Uuid>().unwrap(), app.app.clock.now());
    let insert = move |tx: basalt::db::Tx| async move {
        tx.query(
            "INSERT INTO employees (tenant_id, id, employee_number, user_id, display_name, name_sort, created_at, updated_at)
             VALUES (1, $1, $2, $3, $2, $2, $4, $4)",
        )
        .bind(id)
        .bind(number)
        .bind(user_id)
        .bind(now)
        .execute()
        .await
    };
    app.app.db.write(insert).await.unwrap();
    id
}

#[tokio::test]
async fn an_employee_opens_its_own_slips_and_nobody_elses() {
    let app = app().await;
    let service = app.service();
    make_bucket(&service, json!({ "name": "slips" })).await;
    let (ann, bob) = (app.user("ann@example.org", &[]).await, app.user("bob@example.org", &[]).await);
    let (ann_id, bob_id) = (link(&app, &ann, "1").await, link(&app, &bob, "2").await);
    for id in [ann_id, bob_id] {
        put_ok(&service, &format!("slips/{id}/2000-01.pdf"), &id.to_string()).await;
    }
    let own = format!("slips/{ann_id}/2000-01.pdf");
    assert_eq!(get(&ann.client, &own).await.text(), ann_id.to_string());
    assert_eq!(list(&ann.client, "slips", "").await, [ann_id.to_string()]);
    let url = sign(&ann.client, &own).await.json()["signedURL"].as_str().unwrap().to_owned();
    assert_eq!(app.nobody().get(&format!("/storage/v1{url}")).await.text(), ann_id.to_string());
    assert_eq!(refusal(&put(&ann.client.clone().header("x-upsert", "true"), &own, "more").await), REFUSED_ROW);
    assert_eq!(refusal(&ann.client.delete(&format!("/storage/v1/object/{own}")).await), DENIED);
    assert_eq!(refusal(&put(&ann.client, &format!("slips/{}/mine", ann.id), "x").await), REFUSED_ROW);
    assert_eq!(refusal(&get(&ann.client, &format!("slips/{bob_id}/2000-01.pdf")).await), NO_OBJECT);
    assert_eq!(refusal(&sign(&ann.client, &format!("slips/{bob_id}/2000-01.pdf")).await), NO_OBJECT);
    assert_eq!(list(&ann.client, "slips", &bob_id.to_string()).await, [""; 0]);
}

/// V37
#[tokio::test]
async fn an_admin_manages_everything_but_what_is_sealed() {
    let app = app().await;
    make_bucket(&app.service(), json!({ "name": "slips" })).await;
    put_ok(&app.service(), "files/a", "a").await;
    put_ok(&app.service(), "slips/b", "pay").await;
    let admin = app.user("admin@example.org", &["admin"]).await.client;
    make_bucket(&admin, json!({ "name": "made" })).await;
    assert_eq!(admin.get("/storage/v1/bucket/made").await.json()["name"], "made");
    assert_eq!(get(&admin, "files/a").await.text(), "a");
    assert_eq!(list(&admin, "files", "").await, ["a"]);
    put_ok(&admin, "made/x", "x").await;
    assert_eq!(admin.post("/storage/v1/bucket/made/empty", json!({})).await.status, 200);
    assert_eq!(admin.delete("/storage/v1/bucket/made").await.status, 200);

    has_no_part_in(&admin, "slips", "b").await;
    assert_eq!(refusal(&admin.put("/storage/v1/bucket/slips", json!({ "public": true })).await), DENIED);
    assert_eq!(refusal(&admin.delete("/storage/v1/bucket/slips").await), DENIED);
    assert_eq!(admin.post("/storage/v1/bucket/slips/empty", json!({})).await.status, 403);

    let payroll = app.user("payroll@example.org", &["hr", "payroll"]).await.client;
    assert_eq!(get(&payroll, "slips/b").await.text(), "pay");
    has_no_part_in(&payroll, "files", "a").await;
    let owner = app.user("owner@example.org", &["owner"]).await.client;
    assert_eq!(get(&owner, "slips/b").await.text(), "pay");
    assert_eq!(refusal(&put(&owner, "slips/c", "x").await), REFUSED_ROW);
    let hr = app.user("hr@example.org", &["hr", "manager"]).await.client;
    has_no_part_in(&hr, "slips", "b").await;
}

#[tokio::test]
async fn a_sealed_bucket_is_never_public() {
    let app = app().await;
    make_bucket(&app.service(), json!({ "name": "slips" })).await;
    put_ok(&app.service(), "slips/a", "pay").await;
    let reply = app.service().put("/storage/v1/bucket/slips", json!({ "public": true })).await;
    assert_eq!(reply.json()["code"], "AccessDenied");
    // A bucket that was public before it was sealed.
    put_ok(&app.service(), "open/a", "pay").await;
    let settings = json!({ "settings": { "storage": { "sealed_buckets": ["open"] } } });
    assert_eq!(app.operator().patch("/admin/v1/tenants/default", settings).await.status, 200);
    app.app.clock.advance(std::time::Duration::from_secs(5));
    for path in ["public/open/a", "open/a", "info/public/open/a"] {
        let reply = get(&app.nobody(), path).await;
        assert!(reply.status.is_client_error(), "{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_public_bucket_is_open_to_read_and_only_that() {
    let app = app().await;
    put_ok(&app.service(), "open/a", "hello").await;
    let user = app.user("ann@example.org", &[]).await.client;
    for client in [app.nobody(), app.anonymous(), user.clone()] {
        assert_eq!(get(&client, "public/open/a").await.text(), "hello");
        assert_eq!(get(&client, "open/a").await.text(), "hello");
    }
    for client in [app.anonymous(), user] {
        assert_eq!(list(&client, "open", "").await, [""; 0]);
        assert_eq!(refusal(&put(&client, "open/b", "x").await), REFUSED_ROW);
        assert_eq!(refusal(&put(&client.clone().header("x-upsert", "true"), "open/a", "x").await), REFUSED_ROW);
        assert!(client.delete("/storage/v1/object/open/a").await.status.is_client_error());
        assert_eq!(refusal(&sign(&client, "open/a").await), NO_OBJECT, "the URL would outlive the bucket's being public");
    }
}

/// V33, V37
#[tokio::test]
async fn a_tenant_sees_nothing_of_another() {
    let app = app().await;
    put_ok(&app.service(), "files/a", "ours").await;
    put_ok(&app.service(), "open/a", "ours").await;
    let other = app.other_service();
    assert_eq!(other.get("/storage/v1/bucket").await.json(), json!([]));
    assert_eq!(refusal(&get(&other, "files/a").await), "400 404 Bucket not found NoSuchBucket: Bucket not found");
    assert_eq!(refusal(&get(&other, "public/open/a").await), "400 404 Bucket not found NoSuchBucket: Bucket not found");
    assert_eq!(list(&other, "files", "").await, [""; 0]);
    make_bucket(&other, json!({ "name": "files" })).await;
    has_nothing(&other).await;
    put_ok(&other, "files/a", "theirs").await;
    assert_eq!(get(&app.service(), "files/a").await.text(), "ours");
    assert_eq!(get(&other, "files/a").await.text(), "theirs");
    assert_eq!(other.post("/storage/v1/bucket/files/empty", json!({})).await.status, 200);
    assert_eq!(get(&app.service(), "files/a").await.text(), "ours");
    let admin = app.user_of(&app.other, "eve@example.org", &["owner", "admin", "payroll"]).await.client;
    assert_eq!(list(&admin, "files", "").await, [""; 0]);
}

async fn has_nothing(other: &Client) {
    assert_eq!(list(other, "files", "").await, [""; 0]);
    assert_eq!(refusal(&get(other, "files/a").await), NO_OBJECT);
    let removed = other.json(Method::DELETE, "/storage/v1/object/files", &json!({ "prefixes": ["a"] })).await;
    assert_eq!(removed.json(), json!([]));
    let copied = json!({ "bucketId": "files", "sourceKey": "a", "destinationKey": "b" });
    assert_eq!(refusal(&other.post("/storage/v1/object/copy", copied).await), NO_OBJECT);
}

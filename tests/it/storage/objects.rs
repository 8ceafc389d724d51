use http::Method;
use serde_json::{Value, json};

use super::{app, get, make_bucket, put_ok, refusal};
use crate::support::{Client, Reply};

async fn remove(client: &Client, names: Value) -> Reply {
    client.json(Method::DELETE, "/storage/v1/object/files", &json!({ "prefixes": names })).await
}

async fn go(client: &Client, how: &str, from: &str, to: &str) -> Reply {
    client.post(&format!("/storage/v1/object/{how}"), json!({ "bucketId": "files", "sourceKey": from, "destinationKey": to })).await
}

#[tokio::test]
async fn objects_are_removed_by_their_whole_names() {
    let app = app().await;
    let service = app.service();
    for name in ["a/1", "a/2", "b"] {
        put_ok(&service, &format!("files/{name}"), "x").await;
    }
    let removed = remove(&service, json!(["a/1", "a", "nothing", "b"])).await.json();
    let names: Vec<_> = removed.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(
        {
            let mut names = names.clone();
            names.sort_unstable();
            names
        },
        ["a/1", "b"]
    );
    assert_eq!((&removed[0]["bucket_id"], &removed[0]["metadata"]["size"]), (&json!("files"), &json!(1)));
    assert_eq!(get(&service, "files/a/2").await.text(), "x");

    let reply = service.delete("/storage/v1/object/files/a/2").await;
    assert_eq!(reply.json(), json!({ "message": "Successfully deleted" }));
    assert_eq!(refusal(&service.delete("/storage/v1/object/files/a/2").await), "400 404 not_found NoSuchKey: Object not found");
    assert_eq!(refusal(&remove(&service, json!([])).await), "400 400 Error InvalidRequest: body/prefixes must have 1 to 1000 items");
    assert_eq!(remove(&service, json!(vec!["x"; 1000])).await.json(), json!([]));
    assert_eq!(remove(&service, json!(vec!["x"; 1001])).await.status, 400);
}

#[tokio::test]
async fn an_object_moves_with_its_bytes_and_its_id() {
    let app = app().await;
    let service = app.service();
    let id = put_ok(&service, "files/a", "moving").await["Id"].clone();
    assert_eq!(go(&service, "move", "a", "b/c").await.json(), json!({ "message": "Successfully moved" }));
    assert_eq!(get(&service, "files/b/c").await.text(), "moving");
    assert_eq!(get(&service, "info/files/b/c").await.json()["id"], id);
    assert_eq!(refusal(&get(&service, "files/a").await), "400 404 not_found NoSuchKey: Object not found");

    put_ok(&service, "files/taken", "x").await;
    assert_eq!(refusal(&go(&service, "move", "b/c", "taken").await), "400 409 Duplicate KeyAlreadyExists: The resource already exists");
    assert_eq!(refusal(&go(&service, "move", "nothing", "x").await), "400 404 not_found NoSuchKey: Object not found");
    let elsewhere = json!({ "bucketId": "files", "sourceKey": "b/c", "destinationBucket": "nowhere", "destinationKey": "x" });
    assert_eq!(refusal(&service.post("/storage/v1/object/move", elsewhere).await), "400 404 Bucket not found NoSuchBucket: Bucket not found");
    let open = json!({ "bucketId": "files", "sourceKey": "b/c", "destinationBucket": "open", "destinationKey": "x" });
    assert_eq!(service.post("/storage/v1/object/move", open).await.status, 200);
    assert_eq!(get(&app.nobody(), "public/open/x").await.text(), "moving");
}

#[tokio::test]
async fn a_copy_lives_by_itself() {
    let app = app().await;
    let service = app.service();
    put_ok(&service.clone().header("x-metadata", "eyJhIjoxfQ=="), "files/a", "one").await;
    let copied = go(&service, "copy", "a", "b").await.json();
    assert_eq!((&copied["Key"], &copied["name"], &copied["user_metadata"]), (&json!("files/b"), &json!("b"), &json!({ "a": 1 })));
    assert_eq!(service.send(Method::PUT, "/storage/v1/object/files/a", "two").await.status, 200);
    assert_eq!(get(&service, "files/b").await.text(), "one");
    assert_eq!(get(&service, "files/b").await.header("content-type"), "text/plain");
    service.delete("/storage/v1/object/files/a").await;
    app.app.clock.advance(std::time::Duration::from_hours(1));
    basalt::storage::sweep(&app.app).await.unwrap();
    assert_eq!(get(&service, "files/b").await.text(), "one");

    put_ok(&service, "files/c", "three").await;
    assert_eq!(refusal(&go(&service, "copy", "c", "b").await), "400 409 Duplicate KeyAlreadyExists: The resource already exists");
    assert_eq!(go(&service.clone().header("x-upsert", "true"), "copy", "c", "b").await.status, 200);
    assert_eq!(get(&service, "files/b").await.text(), "three");
    assert_eq!(refusal(&go(&service, "copy", "nothing", "x").await), "400 404 not_found NoSuchKey: Object not found");
    let changed = json!({ "bucketId": "files", "sourceKey": "c", "destinationKey": "d", "copyMetadata": false,
        "metadata": { "mimetype": "text/csv", "cacheControl": "max-age=5" } });
    let copied = service.post("/storage/v1/object/copy", changed).await.json();
    assert_eq!(copied["metadata"]["mimetype"], "text/csv");
    assert_eq!((&copied["metadata"]["cacheControl"], &copied["user_metadata"]), (&json!("max-age=5"), &json!(null)));
}

#[tokio::test]
async fn a_bucket_takes_by_move_and_copy_only_what_it_takes() {
    let app = app().await;
    let service = app.service();
    make_bucket(&service, json!({ "name": "small", "file_size_limit": 3 })).await;
    make_bucket(&service, json!({ "name": "images", "allowed_mime_types": ["image/*"] })).await;
    put_ok(&service, "files/a", "four").await;
    for how in ["move", "copy"] {
        let to = async |bucket: &str| {
            let request = json!({ "bucketId": "files", "sourceKey": "a", "destinationBucket": bucket, "destinationKey": "a" });
            refusal(&service.post(&format!("/storage/v1/object/{how}"), request).await)
        };
        assert_eq!(to("small").await, "400 413 Payload too large EntityTooLarge: The object exceeded the maximum allowed size");
        assert_eq!(to("images").await, "400 415 invalid_mime_type InvalidMimeType: mime type text/plain is not supported");
    }
}

#[tokio::test]
async fn bodies_that_are_none_are_refused_in_the_shape_of_the_wire() {
    let app = app().await;
    let client = app.service().header("content-type", "application/json");
    for path in ["bucket", "object/move", "object/copy", "object/list/files", "object/sign/files", "object/sign/files/a"] {
        for (body, code) in [("{", "400"), ("[]", "400"), ("null", "400"), ("{\"prefix\":1,\"name\":1,\"bucketId\":1,\"expiresIn\":\"x\"}", "400")] {
            let reply = client.send(Method::POST, &format!("/storage/v1/{path}"), body).await;
            let told = refusal(&reply);
            assert!(told.starts_with(&format!("400 {code} Error InvalidRequest: ")), "{path} {body}: {told}");
        }
        let large = client.send(Method::POST, &format!("/storage/v1/{path}"), " ".repeat(1_048_577)).await;
        assert_eq!(large.json()["statusCode"], "413", "{path}");
        let typed = app.service().header("content-type", "text/csv").send(Method::POST, &format!("/storage/v1/{path}"), "a,b").await;
        assert_eq!(typed.json()["statusCode"], "415", "{path}");
    }
}

#[tokio::test]
async fn a_bucket_may_be_called_public() {
    let app = app().await;
    let service = app.service();
    make_bucket(&service, json!({ "name": "public", "public": true })).await;
    for path in ["public/a.txt", "public/folder/b.txt", "public/deep/er/c.txt"] {
        assert_eq!(put_ok(&service, path, path).await["Key"], path);
        assert_eq!(service.send(Method::PUT, &format!("/storage/v1/object/{path}"), path).await.json()["Key"], path);
        assert_eq!(get(&app.nobody(), &format!("public/{path}")).await.text(), path);
        assert_eq!(get(&service, &format!("authenticated/{path}")).await.text(), path);
    }
    assert!(app.anonymous().delete("/storage/v1/object/public/folder/b.txt").await.status.is_client_error());
    assert_eq!(service.delete("/storage/v1/object/public/folder/b.txt").await.status, 200);
    assert_eq!(get(&app.nobody(), "public/public/folder/b.txt").await.status, 400);
}

//! URLs to upload by: each is good for one object of one bucket of one tenant, for a while, and only to upload it.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::{app, get, make_bucket, put_ok, refusal};
use crate::support::{Client, Reply};

async fn sign(client: &Client, path: &str) -> Reply {
    client.post(&format!("/storage/v1/object/upload/sign/{path}"), json!({})).await
}

async fn token(client: &Client, path: &str) -> String {
    let reply = sign(client, path).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["token"].as_str().unwrap().to_owned()
}

async fn upload(client: &Client, path: &str, token: &str, text: &'static str) -> Reply {
    client.send(Method::PUT, &format!("/storage/v1/object/upload/sign/{path}?token={token}"), text).await
}

#[tokio::test]
async fn whoever_has_the_url_uploads_the_object_as_who_made_it() {
    let app = app().await;
    let ann = app.user("ann@example.org", &[]).await;
    let path = format!("files/{}/a.txt", ann.id);
    let reply = sign(&ann.client, &path).await.json();
    let (url, token) = (reply["url"].as_str().unwrap(), reply["token"].as_str().unwrap());
    assert_eq!(url, format!("/object/upload/sign/{path}?token={token}"));

    let typed = app.nobody().header("content-type", "text/css").header("cache-control", "max-age=60").header("x-metadata", "eyJhIjoxfQ==");
    let uploaded = typed.send(Method::PUT, &format!("/storage/v1{url}"), "hello").await;
    assert_eq!((uploaded.status.as_u16(), &uploaded.json()["Key"]), (200, &json!(path)));
    let read = get(&ann.client, &path).await;
    assert_eq!((read.text().as_str(), read.header("content-type")), ("hello", "text/css"));
    let info = get(&ann.client, &format!("info/{path}")).await.json();
    assert_eq!((&info["metadata"], &info["cache_control"]), (&json!({ "a": 1 }), &json!("max-age=60")));
    let rows = ann.client.json(Method::DELETE, "/storage/v1/object/files", &json!({ "prefixes": [format!("{}/a.txt", ann.id)] })).await.json();
    assert_eq!(rows[0]["owner_id"], json!(ann.id), "it is its maker's");
}

#[tokio::test]
async fn a_name_is_taken_once_unless_the_url_says_otherwise() {
    let app = app().await;
    let service = app.service();
    let once = token(&service, "files/a").await;
    assert_eq!(upload(&app.nobody(), "files/a", &once, "one").await.status, 200);
    let again = upload(&app.nobody(), "files/a", &once, "two").await;
    assert_eq!(refusal(&again), "400 409 Duplicate KeyAlreadyExists: The resource already exists");
    let insisting = upload(&app.nobody().header("x-upsert", "true"), "files/a", &once, "two").await;
    assert_eq!(refusal(&insisting), "400 409 Duplicate KeyAlreadyExists: The resource already exists");
    assert_eq!(refusal(&sign(&service, "files/a").await), "400 409 Duplicate KeyAlreadyExists: The resource already exists");
    let upserting = token(&service.clone().header("x-upsert", "true"), "files/a").await;
    assert_eq!(upload(&app.nobody(), "files/a", &upserting, "three").await.status, 200);
    assert_eq!(get(&service, "files/a").await.text(), "three");
}

#[tokio::test]
async fn an_upsert_reaches_no_further_than_its_maker() {
    let app = app().await;
    let ann = app.user("ann@example.org", &[]).await;
    let path = format!("files/{}/a", ann.id);
    let upserting = token(&ann.client.clone().header("x-upsert", "true"), &path).await;
    // Between the URL and its use somebody else takes the name.
    put_ok(&app.service(), &path, "given").await;
    assert_eq!(
        refusal(&upload(&app.nobody(), &path, &upserting, "mine").await),
        "400 403 Unauthorized AccessDenied: new row violates row-level security policy"
    );
    assert_eq!(get(&app.service(), &path).await.text(), "given");
}

#[tokio::test]
async fn who_may_not_upload_makes_no_url() {
    let app = app().await;
    let user = app.user("ann@example.org", &[]).await.client;
    for client in [app.anonymous(), user, app.function("storage.files:read").await, app.function("storage.open:write").await] {
        assert_eq!(refusal(&sign(&client, "files/a").await), "400 403 Unauthorized AccessDenied: new row violates row-level security policy");
    }
    assert_eq!(refusal(&sign(&app.service(), "nowhere/a").await), "400 404 Bucket not found NoSuchBucket: Bucket not found");
    let function = app.function("storage.files:write").await;
    let token = token(&function, "files/a").await;
    assert_eq!(upload(&app.nobody(), "files/a", &token, "x").await.status, 200);
}

#[tokio::test]
async fn the_square_of_tokens_and_what_they_are_not_for() {
    let app = app().await;
    let (service, other) = (app.service(), app.other_service());
    make_bucket(&other, json!({ "name": "files" })).await;
    for path in ["files/there", "open/there"] {
        put_ok(&service, path, "there").await;
    }
    let up = token(&service, "files/a").await;
    let signed = service.post("/storage/v1/object/sign/files/there", json!({ "expiresIn": 60 })).await.json();
    let down = signed["signedURL"].as_str().unwrap().split_once("token=").unwrap().1.to_owned();

    // Another key, another bucket, another spelling.
    for path in ["files/b", "files/a/b", "files/A", "open/a", "files/there"] {
        assert_eq!(upload(&app.nobody(), path, &up, "x").await.json()["code"], "InvalidSignature", "{path}");
    }
    // A token to read does not write, and one to write does not read.
    for path in ["files/there", "files/a"] {
        assert_eq!(upload(&app.nobody(), path, &down, "x").await.json()["code"], "InvalidJWT", "{path}");
        assert_eq!(get(&app.nobody(), &format!("sign/{path}?token={up}")).await.json()["code"], "InvalidJWT", "{path}");
    }
    // Another method, and another door.
    for method in [Method::GET, Method::POST, Method::DELETE, Method::PATCH] {
        let reply = app.nobody().send(method.clone(), &format!("/storage/v1/object/upload/sign/files/a?token={up}"), "x").await;
        assert!(reply.status.is_client_error(), "{method}");
    }
    for (method, door) in [(Method::POST, ""), (Method::PUT, ""), (Method::PUT, "sign/"), (Method::DELETE, ""), (Method::GET, "authenticated/")] {
        for client in [app.nobody(), app.anonymous().bearer(&up), app.nobody().bearer(&up)] {
            let reply = client.send(method.clone(), &format!("/storage/v1/object/{door}files/a?token={up}"), "x").await;
            assert!(reply.status.is_client_error(), "{method} {door}");
        }
    }
    // Another tenant, by its path and by its key.
    let foreign = format!("/t/other/storage/v1/object/upload/sign/files/a?token={up}");
    assert!(app.nobody().send(Method::PUT, &foreign, "x").await.status.is_client_error());
    assert!(upload(&other, "files/a", &up, "x").await.status.is_client_error());
    // Forged, of another kind, none.
    let user = app.user("ann@example.org", &["owner"]).await;
    let access = user.session["access_token"].as_str().unwrap();
    for wrong in [access, &format!("{}x", &up[..up.len() - 1]), "", "x.y.z"] {
        assert_eq!(upload(&app.nobody(), "files/a", wrong, "x").await.json()["code"], "InvalidJWT", "{wrong}");
    }
    let none = app.nobody().send(Method::PUT, "/storage/v1/object/upload/sign/files/a", "x").await;
    assert_eq!(refusal(&none), "400 400 Error InvalidRequest: querystring must have required property 'token'");

    // Nothing came of all this; and its time is over in the end.
    let listed = service.post("/storage/v1/object/list/files", json!({ "prefix": "" })).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(get(&service, "files/there").await.text(), "there");
    assert_eq!(other.post("/storage/v1/object/list/files", json!({ "prefix": "" })).await.json(), json!([]));
    app.app.clock.advance(Duration::from_secs(2 * 3600 + 20));
    assert_eq!(refusal(&upload(&app.nobody(), "files/a", &up, "x").await), "400 400 InvalidJWT InvalidJWT: token is expired");
}

#[tokio::test]
async fn a_url_ends_with_its_bucket() {
    let app = app().await;
    let service = app.service();
    let up = token(&service, "files/a").await;
    assert_eq!(service.delete("/storage/v1/bucket/files").await.status, 200);
    assert_eq!(refusal(&upload(&app.nobody(), "files/a", &up, "x").await), "400 400 InvalidSignature InvalidSignature: Invalid signature");
    app.app.clock.advance(Duration::from_secs(1));
    make_bucket(&service, json!({ "name": "files" })).await;
    assert_eq!(refusal(&upload(&app.nobody(), "files/a", &up, "x").await), "400 400 InvalidSignature InvalidSignature: Invalid signature");
}

#[tokio::test]
async fn limits_of_the_bucket_hold_for_a_url() {
    let app = app().await;
    make_bucket(&app.service(), json!({ "name": "small", "file_size_limit": 3, "allowed_mime_types": ["text/*"] })).await;
    let up = token(&app.service(), "small/a").await;
    let text = app.nobody().header("content-type", "text/plain");
    assert_eq!(upload(&text, "small/a", &up, "four").await.json()["code"], "EntityTooLarge");
    assert_eq!(upload(&app.nobody().header("content-type", "image/png"), "small/a", &up, "x").await.json()["code"], "InvalidMimeType");
    assert_eq!(upload(&text, "small/a", &up, "abc").await.status, 200);
}

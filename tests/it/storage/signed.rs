use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{app, get, put_ok, refusal};
use crate::support::Client;

async fn sign(client: &Client, path: &str, seconds: i64) -> String {
    let reply = client.post(&format!("/storage/v1/object/sign/{path}"), json!({ "expiresIn": seconds })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["signedURL"].as_str().unwrap().to_owned()
}

async fn open(client: &Client, url: &str) -> crate::support::Reply {
    client.get(&format!("/storage/v1{url}")).await
}

#[tokio::test]
async fn a_signed_url_opens_its_object_for_a_while() {
    let app = app().await;
    put_ok(&app.service(), "files/a/b.txt", "hello").await;
    let url = sign(&app.service(), "files/a/b.txt", 60).await;
    assert!(url.starts_with("/object/sign/files/a/b.txt?token="));
    let read = open(&app.nobody(), &url).await;
    assert_eq!(read.text(), "hello");
    assert_eq!(read.header("cache-control"), "private");
    assert!(read.header("expires").ends_with(" GMT"));
    let saved = open(&app.nobody(), &format!("{url}&download=mine.txt")).await;
    assert!(saved.header("content-disposition").starts_with("attachment; filename=mine.txt;"));
    assert_eq!(open(&app.nobody().header("range", "bytes=1-2"), &url).await.text(), "el");
    assert_eq!(app.nobody().head(&format!("/storage/v1{url}")).await.header("content-length"), "5");
    // Whoever brings a key of its own reads by the URL all the same.
    assert_eq!(open(&app.anonymous(), &url).await.text(), "hello");

    app.app.clock.advance(Duration::from_secs(59));
    assert_eq!(open(&app.nobody(), &url).await.status, 200);
    app.app.clock.advance(Duration::from_secs(20));
    assert_eq!(refusal(&open(&app.nobody(), &url).await), "400 400 InvalidJWT InvalidJWT: token is expired");
}

/// V17, 2c.6
#[tokio::test]
async fn a_signed_url_opens_nothing_else() {
    let app = app().await;
    let service = app.service();
    for path in ["files/a", "files/b", "open/a"] {
        put_ok(&service, path, "hello").await;
    }
    let url = sign(&service, "files/a", 60).await;
    let token = url.split_once("token=").unwrap().1;
    for path in ["files/b", "open/a", "files/a/b", "files/A", "authenticated/a"] {
        let reply = get(&app.nobody(), &format!("sign/{path}?token={token}")).await;
        assert_eq!(reply.json()["code"], "InvalidSignature", "{path}");
    }
    // Another method, and another door.
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let reply = app.nobody().send(method.clone(), &format!("/storage/v1{url}"), "x").await;
        assert!(reply.status.is_client_error(), "{method}");
    }
    for path in ["files/a", "authenticated/files/a", "info/files/a", "public/files/a"] {
        assert!(get(&app.nobody(), &format!("{path}?token={token}")).await.status.is_client_error(), "{path}");
    }
    for path in ["files/a", "authenticated/files/a"] {
        assert!(get(&app.nobody().bearer(token), path).await.status.is_client_error(), "{path} as a bearer");
        let reply = app.anonymous().bearer(token).post("/storage/v1/object/list/files", json!({ "prefix": "" })).await;
        assert!(reply.status.is_client_error());
    }
    // A token of another kind, a changed one, and none.
    let user = app.user("ann@example.org", &["owner"]).await;
    let access = user.session["access_token"].as_str().unwrap();
    let forged = format!("{}x", &token[..token.len() - 1]);
    for wrong in [access, &forged, "", "x.y.z"] {
        let reply = get(&app.nobody(), &format!("sign/files/a?token={wrong}")).await;
        assert_eq!(reply.json()["code"], "InvalidJWT", "{wrong}");
    }
    assert_eq!(refusal(&get(&app.nobody(), "sign/files/a").await), "400 400 Error InvalidRequest: querystring must have required property 'token'");
    assert_eq!(get(&service, "files/a").await.text(), "hello");
}

/// V34
#[tokio::test]
async fn a_signed_url_ends_with_its_object() {
    let app = app().await;
    let service = app.service();
    put_ok(&service, "files/a", "old").await;
    let url = sign(&service, "files/a", 600).await;
    service.send(Method::PUT, "/storage/v1/object/files/a", "changed").await;
    assert_eq!(open(&app.nobody(), &url).await.text(), "changed", "an object that was replaced is the same object");
    service.delete("/storage/v1/object/files/a").await;
    assert_eq!(open(&app.nobody(), &url).await.status, 400);
    put_ok(&service, "files/a", "new").await;
    assert_eq!(refusal(&open(&app.nobody(), &url).await), "400 404 not_found NoSuchKey: Object not found");
}

#[tokio::test]
async fn a_signed_url_is_of_its_tenant() {
    let app = app().await;
    let other = app.other_service();
    super::make_bucket(&other, json!({ "name": "files" })).await;
    put_ok(&app.service(), "files/a", "ours").await;
    put_ok(&other, "files/a", "theirs").await;
    let (ours, theirs) = (sign(&app.service(), "files/a", 60).await, sign(&other, "files/a", 60).await);
    // The token tells the tenant where nothing else does.
    assert_eq!(open(&app.nobody(), &ours).await.text(), "ours");
    assert_eq!(open(&app.nobody(), &theirs).await.text(), "theirs");
    assert_eq!(app.nobody().get(&format!("/t/other/storage/v1{theirs}")).await.text(), "theirs");
    assert!(app.nobody().get(&format!("/t/other/storage/v1{ours}")).await.status.is_client_error());
    assert!(open(&other, &ours).await.status.is_client_error());
}

#[tokio::test]
async fn a_signed_url_outlives_a_new_key_and_ends_with_its_own() {
    let app = app().await;
    put_ok(&app.service(), "files/a", "hello").await;
    let down = sign(&app.service(), "files/a", 600).await;
    let up = app.service().post("/storage/v1/object/upload/sign/files/b", json!({})).await.json();
    let up = format!("/storage/v1{}", up["url"].as_str().unwrap());
    let keys = "/admin/v1/tenants/default/signing-keys";
    let old = app.operator().get(keys).await.json()[0]["kid"].as_str().unwrap().to_owned();
    assert_eq!(app.operator().post(&format!("{keys}/rotate"), json!({})).await.status, 201);
    app.app.clock.advance(Duration::from_secs(5));
    assert_eq!(open(&app.nobody(), &down).await.text(), "hello");
    assert_eq!(app.nobody().send(Method::PUT, &up, "x").await.status, 200);

    assert_eq!(app.operator().delete(&format!("{keys}/{old}")).await.status, 204);
    app.app.clock.advance(Duration::from_secs(5));
    assert_eq!(open(&app.nobody(), &down).await.json()["code"], "InvalidJWT");
    assert_eq!(app.nobody().send(Method::PUT, &up, "x").await.json()["code"], "InvalidJWT");
}

#[tokio::test]
async fn many_are_signed_at_once_and_the_missing_are_named() {
    let app = app().await;
    let service = app.service();
    put_ok(&service, "files/a", "hello").await;
    let reply = service.post("/storage/v1/object/sign/files", json!({ "expiresIn": 60, "paths": ["a", "nothing"] })).await.json();
    assert_eq!(open(&app.nobody(), reply[0]["signedURL"].as_str().unwrap()).await.text(), "hello");
    assert_eq!((&reply[0]["path"], &reply[0]["error"]), (&json!("a"), &Value::Null));
    let missing = json!({ "path": "nothing", "signedURL": null, "error": "Either the object does not exist or you do not have access to it" });
    assert_eq!(reply[1], missing);
    for seconds in [0, -1, i64::MAX] {
        let reply = service.post("/storage/v1/object/sign/files/a", json!({ "expiresIn": seconds })).await;
        assert_eq!(refusal(&reply), "400 400 Error InvalidRequest: body/expiresIn must be 1 to 316224000");
    }
    let reply = service.post("/storage/v1/object/sign/files/nothing", json!({ "expiresIn": 60 })).await;
    assert_eq!(refusal(&reply), "400 404 not_found NoSuchKey: Object not found");
}

//! Storage, through the door.

mod buckets;
mod check;
mod download;
mod full;
mod images;
mod keys;
mod listing;
mod objects;
mod pages;
mod quota;
mod resumable;
mod rights;
mod rules;
mod signed;
mod signed_upload;
mod status;
mod sweep;
mod tasks;
mod types;
mod upload;
mod versions;

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp};

/// An app with a private bucket `files` and a public one `open`.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    make_bucket(&app.service(), json!({ "name": "files" })).await;
    make_bucket(&app.service(), json!({ "name": "open", "public": true })).await;
    app
}

async fn make_bucket(client: &Client, bucket: Value) {
    let reply = client.post("/storage/v1/bucket", bucket).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Uploads text, raw.
async fn put(client: &Client, path: &str, text: &str) -> Reply {
    let client = client.clone().header("content-type", "text/plain");
    client.send(Method::POST, &format!("/storage/v1/object/{path}"), Body::from(text.to_owned())).await
}

/// Uploads text that must be taken.
async fn put_ok(client: &Client, path: &str, text: &str) -> Value {
    let reply = put(client, path, text).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn get(client: &Client, path: &str) -> Reply {
    client.get(&format!("/storage/v1/object/{path}")).await
}

/// What a refusal says, in one line; its four strings are checked on the way.
fn refusal(reply: &Reply) -> String {
    let body = reply.json();
    let part = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {body}")).to_owned();
    // A denial says what is missing, besides; see rules.rs.
    assert_eq!(body.as_object().unwrap().keys().filter(|key| *key != "hint").count(), 4, "{body}");
    format!("{} {} {} {}: {}", reply.status.as_u16(), part("statusCode"), part("error"), part("code"), part("message"))
}

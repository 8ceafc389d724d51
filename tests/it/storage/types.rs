//! Files that are not what they are said to be.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use insta::assert_snapshot;
use serde_json::json;

use super::{app, get, make_bucket, refusal};
use crate::support::{Client, Reply, TestApp};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01";
const PAGE: &[u8] = b"<!doctype html><script>alert(1)</script>";

async fn upload(client: &Client, path: &str, kind: &str, bytes: &[u8]) -> Reply {
    client.clone().header("content-type", kind).send(Method::POST, &format!("/storage/v1/object/{path}"), bytes.to_vec()).await
}

async fn with_images() -> TestApp {
    let app = app().await;
    make_bucket(&app.service(), json!({ "name": "images", "allowed_mime_types": ["image/png", "application/vnd.oasis.opendocument.text"] })).await;
    app
}

#[tokio::test]
async fn a_bucket_looks_at_the_bytes_as_well() {
    let app = with_images().await;
    let service = app.service();
    let page = upload(&service, "images/page.png", "image/png", PAGE).await;
    assert_snapshot!(refusal(&page), @"400 415 invalid_mime_type InvalidMimeType: mime type text/html is not supported: that is what the file's bytes are, declared as image/png");
    let text = upload(&service, "images/text.png", "image/png", b"no picture").await;
    assert_snapshot!(refusal(&text), @"400 415 invalid_mime_type InvalidMimeType: the file's bytes are not of the mime type image/png, as which it was declared");
    for (n, hidden) in
        [&b"\xef\xbb\xbf <svg onload=x>"[..], b"\n<HTML>", b"<?xml version='1.0'?><svg/>", b"%PDF-1.7", b"MZ\x90\0", b"PK\x03\x04"].iter().enumerate()
    {
        let reply = upload(&service, &format!("images/{n}"), "image/png", hidden).await;
        assert_eq!(reply.json()["code"], "InvalidMimeType", "{n}: {}", reply.text());
        assert_eq!(get(&service, &format!("images/{n}")).await.json()["code"], "NoSuchKey");
    }
    assert_eq!(upload(&service, "images/a.png", "image/png", PNG).await.status, 200);
    assert_eq!(upload(&service, "images/a.odt", "application/vnd.oasis.opendocument.text", b"PK\x03\x04and the rest").await.status, 200);
    assert_eq!(upload(&service, "images/empty.png", "image/png", b"").await.status, 200);
    // Stock clients' own tests do that, and it harms nobody.
    assert_eq!(upload(&service, "images/b.png", "image/png", JPEG).await.status, 200);
    assert_eq!(get(&service, "images/b.png").await.header("content-type"), "image/png");
    // Where all types are taken, nothing is looked at.
    assert_eq!(upload(&service, "files/page.png", "image/png", PAGE).await.status, 200);
}

#[tokio::test]
async fn no_way_in_leads_around_it() {
    let app = with_images().await;
    let service = app.service();
    assert_eq!(upload(&service, "files/in/page.png", "image/png", PAGE).await.status, 200);
    assert_eq!(upload(&service, "files/in/text", "text/plain", b"text").await.status, 200);
    let way = |from: &str| json!({ "bucketId": "files", "sourceKey": from, "destinationBucket": "images", "destinationKey": "x" });
    for door in ["copy", "move"] {
        for from in ["in/page.png", "in/text"] {
            let reply = service.post(&format!("/storage/v1/object/{door}"), way(from)).await;
            assert_eq!(reply.json()["code"], "InvalidMimeType", "{door} {from}: {}", reply.text());
        }
    }
    // What a copy says it is counts, too.
    let mut said = way("in/text");
    said["metadata"] = json!({ "mimetype": "image/png" });
    assert_eq!(service.post("/storage/v1/object/copy", said).await.json()["code"], "InvalidMimeType");
    let within = json!({ "bucketId": "images", "sourceKey": "a.png", "destinationKey": "b", "metadata": { "mimetype": "text/html" } });
    assert_eq!(upload(&service, "images/a.png", "image/png", PNG).await.status, 200);
    assert_eq!(service.post("/storage/v1/object/copy", within).await.json()["code"], "InvalidMimeType");

    let asked = json!({ "bucketId": "files", "sourcePrefix": "in", "destinationBucket": "images", "destinationPrefix": "in" });
    let task = service.post("/storage/v1/object/move-prefix", asked).await.json();
    assert_eq!((&task["done"], &task["skipped"]), (&json!(0), &json!(2)));

    let told = format!("bucketName {},objectName {},contentType {}", STANDARD.encode("images"), STANDARD.encode("x"), STANDARD.encode("image/png"));
    let resumable = service.clone().header("tus-resumable", "1.0.0").header("upload-metadata", &told);
    let begun = resumable.clone().header("upload-length", &PAGE.len().to_string()).send(Method::POST, "/storage/v1/upload/resumable", "").await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    let place = begun.header("location").parse::<url::Url>().unwrap().path().to_owned();
    let append = async |offset: usize, bytes: &[u8]| {
        let client = service.clone().header("tus-resumable", "1.0.0").header("upload-offset", &offset.to_string());
        client.header("content-type", "application/offset+octet-stream").send(Method::PATCH, &place, bytes.to_vec()).await
    };
    assert_eq!(append(0, &PAGE[..5]).await.status, 204);
    let last = append(5, &PAGE[5..]).await;
    assert_eq!((last.status.as_u16(), last.text().contains("text/html")), (415, true), "{}", last.text());
    assert_eq!(get(&service, "images/x").await.json()["code"], "NoSuchKey");

    let (kind, body) = (
        "multipart/form-data; boundary=edge",
        "--edge\r\nContent-Disposition: form-data; name=\"\"; filename=\"x\"\r\nContent-Type: image/png\r\n\r\n<html>\r\n--edge--\r\n",
    );
    assert_eq!(upload(&service, "images/x", kind, body.as_bytes()).await.json()["code"], "InvalidMimeType");
    let signed = service.post("/storage/v1/object/upload/sign/images/x", json!({})).await.json();
    let by_url = format!("/storage/v1{}", signed["url"].as_str().unwrap());
    let reply = app.nobody().header("content-type", "image/png").send(Method::PUT, &by_url, PAGE).await;
    assert_eq!(reply.json()["code"], "InvalidMimeType", "{}", reply.text());
}

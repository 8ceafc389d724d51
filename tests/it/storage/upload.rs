use std::fmt::Write as _;

use axum::body::Body;
use base64::Engine as _;
use bytes::Bytes;
use http::Method;
use insta::assert_snapshot;
use serde_json::json;

use super::{app, get, make_bucket, put, put_ok, refusal};
use crate::support::{Client, Reply};

async fn upload(client: &Client, method: Method, path: &str, body: impl Into<Body>) -> Reply {
    client.send(method, &format!("/storage/v1/object/{path}"), body).await
}

/// A body whose length is not told.
fn chunked(pieces: Vec<Bytes>) -> Body {
    Body::from_stream(futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
}

fn form(parts: &[(&str, &str)]) -> (String, String) {
    let mut text = String::new();
    for (head, body) in parts {
        write!(text, "--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n").unwrap();
    }
    ("multipart/form-data; boundary=edge".to_owned(), text + "--edge--\r\n")
}

#[tokio::test]
async fn what_is_uploaded_comes_back() {
    let app = app().await;
    let service = app.service();
    for (name, size) in [("empty", 0), ("small", 10), ("edge", 65536), ("more", 65537), ("large", 3_000_000)] {
        let whole: Bytes = (0..size).map(|n| u8::try_from(n % 253).unwrap()).collect::<Vec<_>>().into();
        let reply = upload(&service, Method::POST, &format!("files/sizes/{name}"), whole.clone()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["Key"], format!("files/sizes/{name}"));
        assert!(uuid::Uuid::parse_str(reply.json()["Id"].as_str().unwrap()).is_ok());
        let read = get(&service, &format!("files/sizes/{name}")).await;
        assert_eq!((read.status.as_u16(), read.header("content-length")), (200, size.to_string().as_str()));
        assert!(read.body == whole, "{name}");

        let pieces = whole.chunks(10_000).map(Bytes::copy_from_slice).collect();
        let reply = upload(&service, Method::PUT, &format!("files/sizes/{name}"), chunked(pieces)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(get(&service, &format!("files/sizes/{name}")).await.body == whole, "{name} in pieces");
    }
}

#[tokio::test]
async fn headers_become_attributes() {
    let app = app().await;
    let metadata = base64::engine::general_purpose::STANDARD.encode(r#"{"colour":"blau"}"#);
    let client = app
        .service()
        .header("content-type", "text/css; charset=utf-8")
        .header("cache-control", "max-age=60")
        .header("x-metadata", &metadata)
        .header("x-robots-tag", "noindex");
    assert_eq!(upload(&client, Method::POST, "open/a.css", "a {}").await.status, 200);
    let read = get(&app.service(), "public/open/a.css").await;
    assert_eq!(read.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(read.header("cache-control"), "max-age=60");
    assert_eq!(read.header("x-robots-tag"), "noindex");
    let info = get(&app.service(), "info/open/a.css").await.json();
    assert_eq!(info["metadata"], json!({ "colour": "blau" }));

    let wrong = upload(&app.service().header("x-metadata", "!"), Method::POST, "open/b", "").await;
    assert_snapshot!(refusal(&wrong), @"400 400 Error InvalidRequest: x-metadata should be a JSON object in base64");
}

#[tokio::test]
async fn a_form_counts_up_to_its_file() {
    let app = app().await;
    let service = app.service();
    let send =
        async |path: &str, (kind, body): (String, String)| upload(&service.clone().header("content-type", &kind), Method::POST, path, body).await;
    let fields = [
        ("name=\"cacheControl\"", "60"),
        ("name=\"metadata\"", "{\"a\":1}"),
        ("name=\"\"; filename=\"blob\"\r\nContent-Type: text/plain", "the file"),
        ("name=\"metadata\"", "{\"a\":2}"),
        ("name=\"other\"; filename=\"second\"", "another file"),
    ];
    let reply = send("open/form", form(&fields)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let read = get(&service, "public/open/form").await;
    assert_eq!((read.text().as_str(), read.header("content-type"), read.header("cache-control")), ("the file", "text/plain", "max-age=60"));
    assert_eq!(get(&service, "info/open/form").await.json()["metadata"], json!({ "a": 1 }));

    // A type in a field of its own wins over that of the part, when it comes first.
    let fields = [("name=\"contentType\"", "image/png"), ("name=\"file\"; filename=\"x\"\r\nContent-Type: text/plain", "x")];
    assert_eq!(send("open/typed", form(&fields)).await.status, 200);
    assert_eq!(get(&service, "public/open/typed").await.header("content-type"), "image/png");

    assert_snapshot!(refusal(&send("open/none", form(&[("name=\"metadata\"", "{}")])).await), @"400 400 MissingPart MissingPart: the form has no file");
    assert_snapshot!(refusal(&send("open/bad", form(&[("name=\"metadata\"", "[]")])).await), @"400 400 Error InvalidRequest: the metadata should be a JSON object");
    let many = vec![("name=\"x\"", "y"); 12];
    assert_snapshot!(refusal(&send("open/many", form(&many)).await), @"400 400 Error InvalidRequest: the form has too many fields before its file");
    let (kind, body) = form(&[("name=\"file\"; filename=\"x\"", "cut off")]);
    let cut = body.split_once("off").unwrap().0.to_owned();
    assert_snapshot!(refusal(&send("open/cut", (kind, cut)).await), @r#"400 400 Error InvalidRequest: the form can't be read: field "file" received with incomplete data"#);
    for name in ["none", "bad", "many", "cut"] {
        assert_eq!(get(&service, &format!("public/open/{name}")).await.status, 400, "{name}");
    }
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let app = app().await;
    let service = app.service();
    let first = put_ok(&service, "files/a", "one").await;
    assert_snapshot!(refusal(&put(&service, "files/a", "two").await), @"400 409 Duplicate KeyAlreadyExists: The resource already exists");
    let etag = get(&service, "files/a").await.header("etag").to_owned();
    assert_eq!(put_ok(&service.clone().header("x-upsert", "true"), "files/a", "two").await["Id"], first["Id"]);
    assert_eq!(get(&service, "files/a").await.text(), "two");
    assert_ne!(get(&service, "files/a").await.header("etag"), etag);
    assert_eq!(upload(&service, Method::PUT, "files/a", "three").await.status, 200);
    assert_eq!(get(&service, "files/a").await.text(), "three");
    assert_eq!(upload(&service, Method::PUT, "files/new", "new").await.status, 200);
}

#[tokio::test]
async fn of_uploads_that_meet_one_wins() {
    let app = app().await;
    let service = app.service();
    for round in 0..3 {
        let path = format!("files/race{round}");
        let texts: Vec<String> = (0..12).map(|n| format!("text {n}")).collect();
        let uploads = texts.iter().map(|text| put(&service, &path, text));
        let replies = futures_util::future::join_all(uploads).await;
        let winners: Vec<_> = replies.iter().zip(&texts).filter(|(reply, _)| reply.status == 200).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(&get(&service, &path).await.text(), winners[0].1);
        for loser in replies.iter().filter(|reply| reply.status != 200) {
            assert_eq!(refusal(loser), "400 409 Duplicate KeyAlreadyExists: The resource already exists");
        }

        let upserting = service.clone().header("x-upsert", "true");
        let replies = futures_util::future::join_all(texts.iter().map(|text| put(&upserting, &path, text))).await;
        assert!(replies.iter().all(|reply| reply.status == 200));
        assert!(texts.contains(&get(&service, &path).await.text()));
    }
}

#[tokio::test]
async fn limits_of_size_and_type_hold() {
    let app = app().await;
    let service = app.service();
    make_bucket(&service, json!({ "name": "small", "file_size_limit": 100, "allowed_mime_types": ["text/*"] })).await;
    let text = service.clone().header("content-type", "text/plain; charset=utf-8");
    assert_eq!(upload(&text, Method::POST, "small/fits", "x".repeat(100)).await.status, 200);
    let told = upload(&text.clone().header("content-length", "101"), Method::POST, "small/told", "x".repeat(101)).await;
    assert_snapshot!(refusal(&told), @"400 413 Payload too large EntityTooLarge: The object exceeded the maximum allowed size");
    let counted = upload(&text, Method::POST, "small/counted", chunked(vec![Bytes::from_static(&[b'x'; 60]); 2])).await;
    assert_snapshot!(refusal(&counted), @"400 413 Payload too large EntityTooLarge: The object exceeded the maximum allowed size");
    let (kind, body) = form(&[("name=\"\"; filename=\"x\"\r\nContent-Type: text/plain", &"x".repeat(101))]);
    let in_form = upload(&service.clone().header("content-type", &kind), Method::POST, "small/form", body).await;
    assert_snapshot!(refusal(&in_form), @"400 413 Payload too large EntityTooLarge: The object exceeded the maximum allowed size");
    let typed = upload(&service.clone().header("content-type", "image/png"), Method::POST, "small/typed", "x").await;
    assert_snapshot!(refusal(&typed), @"400 415 invalid_mime_type InvalidMimeType: mime type image/png is not supported");
    for name in ["told", "counted", "form", "typed"] {
        assert_eq!(refusal(&get(&service, &format!("small/{name}")).await), "400 404 not_found NoSuchKey: Object not found");
    }
    // Studio's way of making a folder.
    assert_eq!(
        upload(&service.clone().header("content-type", "image/png"), Method::POST, "small/new/.emptyFolderPlaceholder", "x").await.status,
        200
    );
    assert_eq!(get(&service, "small/new/.emptyFolderPlaceholder").await.text(), "");
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let app = app().await;
    let pieces = vec![Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("gone"))];
    let reply = upload(&app.service(), Method::POST, "files/half", Body::from_stream(futures_util::stream::iter(pieces))).await;
    assert_snapshot!(refusal(&reply), @"400 400 Error InvalidRequest: the body ended before its end");
    assert_eq!(get(&app.service(), "files/half").await.status, 400);
}

#[tokio::test]
async fn many_slow_uploads_leave_the_database_free() {
    let app = app().await;
    let service = app.service();
    let uploads: Vec<_> = (0..50)
        .map(|n| {
            let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
            let pieces = futures_util::stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|piece| (piece, receiver)));
            let client = service.clone();
            let uploading = async move { upload(&client, Method::POST, &format!("files/slow{n}"), Body::from_stream(pieces)).await };
            (sender, tokio::spawn(uploading))
        })
        .collect();
    for (sender, _) in &uploads {
        sender.send(Ok(Bytes::from_static(b"be"))).await.unwrap();
    }
    let under_way = async || {
        let conn = app.app.db.read().await.unwrap();
        conn.query("SELECT count(*) FROM loose_blobs WHERE state = 'uploading'").fetch_one::<(i64,)>().await.unwrap().0
    };
    while under_way().await < 50 {
        tokio::task::yield_now().await;
    }
    put_ok(&service, "files/quick", "quick").await;
    assert_eq!(get(&service, "files/quick").await.text(), "quick");
    for (sender, uploading) in uploads {
        sender.send(Ok(Bytes::from_static(b"gun"))).await.unwrap();
        drop(sender);
        assert_eq!(uploading.await.unwrap().status, 200);
    }
    assert_eq!(get(&service, "files/slow49").await.text(), "begun");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_takes_nothing() {
    let app = app().await;
    assert_snapshot!(refusal(&put(&app.service(), "nowhere/a", "a").await), @"400 404 Bucket not found NoSuchBucket: Bucket not found");
}

#[tokio::test]
async fn what_the_client_says_of_the_bytes_is_checked() {
    let app = app().await;
    let engine = base64::engine::general_purpose::STANDARD;
    let sha256 = engine.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"hello"));
    let sha512 = engine.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, b"hello"));
    let (md5, upserting) = ("XUFAKrxLKna5cZ2REBfFkg==", app.service().header("x-upsert", "true"));
    for (header, value) in [
        ("content-digest", format!("sha-256=:{sha256}:")),
        ("repr-digest", format!("md5=:{md5}:, sha-512=:{sha512}:, sha-256=:{sha256}:")),
        ("content-md5", md5.to_owned()),
    ] {
        let client = upserting.clone().header(header, &value);
        assert_eq!(upload(&client, Method::POST, "files/a", "hello").await.status, 200, "{header}");
        assert_eq!(upload(&client, Method::POST, "files/a", chunked(vec![Bytes::from_static(b"he"), Bytes::from_static(b"llo")])).await.status, 200);
        let reply = upload(&client, Method::POST, "files/a", "Hello").await;
        assert_eq!(refusal(&reply), format!("400 400 BadDigest BadDigest: the bytes are not those that {header} tells of"));
        assert_eq!(upload(&client, Method::POST, "files/b", "x".repeat(100_000)).await.json()["code"], "BadDigest");
        let (kind, form) = form(&[("name=\"\"; filename=\"x\"", "hello")]);
        assert_eq!(upload(&client.clone().header("content-type", &kind), Method::POST, "files/b", form).await.json()["code"], "InvalidRequest");
    }
    assert_eq!(get(&app.service(), "files/a").await.text(), "hello");
    assert_eq!(get(&app.service(), "files/b").await.json()["code"], "NoSuchKey");
    for (header, value) in [("content-digest", "sha-256=abc"), ("content-digest", "crc32c=:aaaa:"), ("repr-digest", ""), ("content-md5", "abc")] {
        let reply = upload(&upserting.clone().header(header, value), Method::POST, "files/a", "hello").await;
        assert_eq!(reply.json()["code"], "InvalidRequest", "{header}: {value}");
    }
}

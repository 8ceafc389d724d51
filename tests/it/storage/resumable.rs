//! Uploads in many requests: TUS 1.0.0 as its clients speak it, and as they break off.

use std::time::Duration;

use axum::body::Body;
use basalt::storage::sweep;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::sync::mpsc;

use super::{app, get, make_bucket, put_ok};
use crate::support::{Client, Reply, TestApp};

const UPLOADS: &str = "/storage/v1/upload/resumable";

/// A client that speaks TUS.
fn tus(client: &Client) -> Client {
    client.clone().header("tus-resumable", "1.0.0")
}

fn told(bucket: &str, object: &str) -> String {
    let of = |text: &str| STANDARD.encode(text);
    format!("bucketName {},objectName {},contentType {}", of(bucket), of(object), of("text/plain"))
}

async fn create_at(client: &Client, place: &str, path: &str, length: Option<usize>) -> Reply {
    let (bucket, object) = path.split_once('/').unwrap();
    let client = tus(client).header("upload-metadata", &told(bucket, object));
    let client = match length {
        Some(length) => client.header("upload-length", &length.to_string()),
        None => client.header("upload-defer-length", "1"),
    };
    client.send(Method::POST, place, "").await
}

/// Begins an upload, and answers its place on this server.
async fn create(client: &Client, path: &str, length: usize) -> String {
    let reply = create_at(client, UPLOADS, path, Some(length)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    place(&reply)
}

fn place(reply: &Reply) -> String {
    let location = url::Url::parse(reply.header("location")).unwrap();
    location.path().strip_prefix("/t/default").unwrap().to_owned()
}

async fn patch(client: &Client, place: &str, offset: usize, body: impl Into<Body>) -> Reply {
    let client = tus(client).header("upload-offset", &offset.to_string()).header("content-type", "application/offset+octet-stream");
    client.send(Method::PATCH, place, body).await
}

async fn offset(client: &Client, place: &str) -> String {
    let reply = tus(client).head(place).await;
    assert_eq!(reply.status, 200);
    reply.header("upload-offset").to_owned()
}

fn said(reply: &Reply) -> String {
    assert_eq!(reply.header("tus-resumable"), "1.0.0");
    assert!(reply.header("content-type").starts_with("text/plain"), "{:?}", reply.headers);
    format!("{} {}", reply.status.as_u16(), reply.text())
}

fn bytes(size: usize) -> Bytes {
    (0..size).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect::<Vec<_>>().into()
}

async fn loose(app: &TestApp) -> Vec<(uuid::Uuid, String)> {
    app.app.db.read().await.unwrap().query("SELECT blob_id, state FROM loose_blobs ORDER BY since").fetch_all().await.unwrap()
}

/// A body of which the test sends piece by piece.
fn fed() -> (mpsc::Sender<Result<Bytes, std::io::Error>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = futures_util::stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|piece| (piece, receiver)));
    (sender, Body::from_stream(pieces))
}

#[tokio::test]
async fn a_server_says_what_it_can() {
    let app = app().await;
    for place in [UPLOADS, "/storage/v1/upload/resumable/", "/storage/v1/upload/resumable/sign"] {
        let reply = app.nobody().send(Method::OPTIONS, place, "").await;
        assert_eq!((reply.status.as_u16(), reply.header("tus-version"), reply.header("tus-resumable")), (204, "1.0.0", "1.0.0"));
        let extensions = "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum";
        assert_eq!(reply.header("tus-extension"), extensions);
        assert_eq!((reply.header("tus-max-size"), reply.header("tus-checksum-algorithm")), ("5368709120", "sha1,sha256,sha384,sha512"));
    }
}

#[tokio::test]
async fn chunks_of_any_size_become_one_object() {
    let app = app().await;
    let service = app.service();
    for (round, sizes) in [vec![10_000], vec![1, 1, 1, 9997], vec![3000, 0, 6999, 1], vec![100; 100]].into_iter().enumerate() {
        let (path, whole) = (format!("files/round{round}/a.txt"), bytes(10_000));
        let place = create(&service, &path, whole.len()).await;
        let mut at = 0;
        for size in sizes {
            assert_eq!(get(&service, &path).await.status, 400, "nothing partial is visible");
            let reply = patch(&service, &place, at, whole.slice(at..at + size)).await;
            at += size;
            assert_eq!((reply.status.as_u16(), reply.header("upload-offset")), (204, at.to_string().as_str()), "{}", reply.text());
            assert_eq!(reply.header("tus-complete"), if at == 10_000 { "1" } else { "" });
            assert_eq!(reply.header("upload-expires").is_empty(), at == 10_000);
            assert_eq!(offset(&service, &place).await, at.to_string());
        }
        let read = get(&service, &path).await;
        assert!(read.body == whole, "round {round}");
        assert_eq!(read.header("content-type"), "text/plain");
        // Asked again after a lost answer: it is whole.
        let head = tus(&service).head(&place).await;
        assert_eq!((head.header("upload-offset"), head.header("upload-length"), head.header("tus-complete")), ("10000", "10000", "1"));
        assert_eq!(said(&patch(&service, &place, 10_000, "more").await), "409 Upload-Offset is not where the upload is; ask for it with HEAD");
    }
    app.app.clock.advance(Duration::from_mins(2));
    sweep(&app.app).await.unwrap();
    assert_eq!(loose(&app).await, []);
    let parts: Vec<(i64,)> = app.app.db.read().await.unwrap().query("SELECT start FROM upload_parts").fetch_all().await.unwrap();
    assert_eq!(parts, []);
}

#[tokio::test]
async fn an_upload_has_its_attributes_and_its_place_from_the_settings() {
    let app = TestApp::with(|config| config.public_url = "https://files.example.org/".to_owned()).await;
    make_bucket(&app.service(), json!({ "name": "files" })).await;
    let told = format!(
        "{},cacheControl {},metadata {},extra",
        told("files", "h\u{e9}llo/\u{674e}.txt"),
        STANDARD.encode("3600"),
        STANDARD.encode(r#"{"colour":"blau"}"#)
    );
    let client = tus(&app.service()).header("upload-metadata", &told).header("upload-length", "5");
    let lied = client.header("x-forwarded-host", "evil.example").header("x-forwarded-proto", "gopher").header("x-forwarded-prefix", "/evil");
    let reply = lied.send(Method::POST, UPLOADS, "").await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let location = reply.header("location").to_owned();
    assert!(location.starts_with("https://files.example.org/t/default/storage/v1/upload/resumable/"), "{location}");
    assert!(reply.header("upload-expires").ends_with(" GMT"));

    let place = place(&reply);
    let head = tus(&app.service()).head(&place).await;
    assert_eq!((head.header("upload-metadata"), head.header("cache-control")), (told.as_str(), "no-store"));
    // The whole place works as well as the short one.
    assert_eq!(patch(&app.service(), &format!("/t/default{place}"), 0, "hello").await.status, 204);
    let info = get(&app.service(), "info/files/h%C3%A9llo/%E6%9D%8E.txt").await.json();
    assert_eq!((&info["cache_control"], &info["metadata"], &info["size"]), (&json!("max-age=3600"), &json!({ "colour": "blau" }), &json!(5)));
    let sum = aws_sha256(b"hello");
    assert_eq!(info["etag"].as_str().unwrap().trim_matches('"'), &sum[..32]);
}

fn aws_sha256(bytes: &[u8]) -> String {
    basalt::crypto::hex(&basalt::crypto::sha256(bytes))
}

#[tokio::test]
async fn bytes_may_come_with_the_beginning_and_the_length_at_the_end() {
    let app = app().await;
    let service = app.service();
    let with_body = |client: Client, path: &str| {
        let (bucket, object) = path.split_once('/').unwrap();
        tus(&client).header("upload-metadata", &told(bucket, object)).header("content-type", "application/offset+octet-stream")
    };
    // All of it at once.
    let whole = with_body(service.clone(), "files/whole").header("upload-length", "5").send(Method::POST, UPLOADS, "hello").await;
    assert_eq!((whole.status.as_u16(), whole.header("upload-offset"), whole.header("tus-complete")), (201, "5", "1"));
    assert_eq!(get(&service, "files/whole").await.text(), "hello");
    // A part, and the rest.
    let part = with_body(service.clone(), "files/part").header("upload-length", "5").send(Method::POST, UPLOADS, "he").await;
    assert_eq!((part.status.as_u16(), part.header("upload-offset")), (201, "2"));
    assert_eq!(patch(&service, &place(&part), 2, "llo").await.status, 204);
    assert_eq!(get(&service, "files/part").await.text(), "hello");
    // Nothing at all.
    let empty = create_at(&service, UPLOADS, "files/empty", Some(0)).await;
    assert_eq!((empty.status.as_u16(), empty.header("upload-offset")), (201, "0"));
    assert_eq!(get(&service, "files/empty").await.header("content-length"), "0");

    // How long it will be is said with the last bytes, or after them.
    for (name, at_last) in [("with", "lo"), ("after", "")] {
        let reply = create_at(&service, UPLOADS, &format!("files/{name}"), None).await;
        let place = place(&reply);
        assert_eq!(tus(&service).head(&place).await.header("upload-defer-length"), "1");
        let before = "hello".strip_suffix(at_last).unwrap();
        assert_eq!(patch(&service, &place, 0, before).await.status, 204);
        let telling = service.clone().header("upload-length", "5");
        if at_last.is_empty() {
            let less = patch(&service.clone().header("upload-length", "4"), &place, 5, "").await;
            assert_eq!(said(&less), "400 Upload-Length can't be less than the 5 bytes that are here");
        }
        let last = patch(&telling, &place, before.len(), at_last).await;
        assert_eq!((last.status.as_u16(), last.header("tus-complete")), (204, "1"), "{name}: {}", last.text());
        assert_eq!(get(&service, &format!("files/{name}")).await.text(), "hello");
    }
    // Said once, it stays.
    let reply = create_at(&service, UPLOADS, "files/once", None).await;
    let once = place(&reply);
    assert_eq!(patch(&service.clone().header("upload-length", "9"), &once, 0, "abc").await.status, 204);
    assert_eq!(tus(&service).head(&once).await.header("upload-length"), "9");
    assert_eq!(said(&patch(&service.clone().header("upload-length", "8"), &once, 3, "d").await), "400 Upload-Length was 9 before");
}

#[tokio::test]
async fn a_large_body_becomes_durable_while_it_comes() {
    let app = app().await;
    let service = app.service();
    let whole = bytes(40 << 20);
    let place = create(&service, "files/large", whole.len()).await;
    let (sender, body) = fed();
    let (client, at) = (service.clone(), place.clone());
    let uploading = tokio::spawn(async move { patch(&client, &at, 0, body).await });
    sender.send(Ok(whole.slice(..20 << 20))).await.unwrap();
    while offset(&service, &place).await != (16 << 20).to_string() {
        tokio::task::yield_now().await;
    }
    sender.send(Ok(whole.slice(20 << 20..33 << 20))).await.unwrap();
    sender.send(Err(std::io::Error::other("gone"))).await.unwrap();
    assert_eq!(said(&uploading.await.unwrap()), "400 The body ended before its end");
    assert_eq!(offset(&service, &place).await, (33 << 20).to_string(), "what came before the end is kept");
    let reply = patch(&app.restarted().await.key(&app.default.secret_key), &place, 33 << 20, whole.slice(33 << 20..)).await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert!(get(&service, "files/large").await.body == whole);
}

#[tokio::test]
async fn a_body_may_break_off_anywhere() {
    let app = app().await;
    let service = app.service();
    let whole = bytes(50_000);
    let place = create(&service, "files/broken", whole.len()).await;
    // Where it breaks is as good as random, and the same in every run.
    let (mut at, mut seed) = (0, 7_usize);
    while at < whole.len() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = (seed >> 33) % 5000;
        let end = whole.len().min(at + size);
        let mut pieces: Vec<Result<Bytes, std::io::Error>> =
            whole.slice(at..end).chunks(700).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        pieces.push(Err(std::io::Error::other("gone")));
        let reply = patch(&service, &place, at, Body::from_stream(futures_util::stream::iter(pieces))).await;
        assert!(reply.status == 400 || end == whole.len(), "{}", reply.status);
        at = offset(&service, &place).await.parse().unwrap();
        assert_eq!(at, end, "every byte that came");
    }
    assert!(get(&service, "files/broken").await.body == whole);
}

#[tokio::test]
async fn of_two_writers_at_one_offset_only_one_counts() {
    let app = app().await;
    let service = app.service();
    let place = create(&service, "files/race", 8).await;
    let (first, body) = fed();
    let (client, at) = (service.clone(), place.clone());
    let slow = tokio::spawn(async move { patch(&client, &at, 0, body).await });
    while leases(&app).await == 0 {
        tokio::task::yield_now().await;
    }
    let locked = patch(&service, &place, 0, "bbbbbbbb").await;
    assert_eq!(said(&locked), "423 Another request is writing to the upload; try again in some seconds");
    assert_eq!(locked.header("retry-after"), "3");

    // Of the first there is no news any more: the second takes over, and the first has lost, whatever it still sends.
    app.app.clock.advance(Duration::from_secs(7));
    assert_eq!(patch(&service, &place, 0, "bbbb").await.status, 204);
    first.send(Ok(Bytes::from_static(b"aaaaaaaa"))).await.unwrap();
    drop(first);
    assert_eq!(said(&slow.await.unwrap()), "409 Another request has taken the upload over; ask for its offset with HEAD");
    assert_eq!(offset(&service, &place).await, "4");
    assert_eq!(said(&patch(&service, &place, 0, "cccc").await), "409 Upload-Offset is not where the upload is; ask for it with HEAD");
    assert_eq!(patch(&service, &place, 4, "dddd").await.status, 204);
    assert_eq!(get(&service, "files/race").await.text(), "bbbbdddd");
    app.app.clock.advance(Duration::from_mins(2));
    sweep(&app.app).await.unwrap();
    assert_eq!(loose(&app).await, [], "nothing of the loser is left");
}

async fn leases(app: &TestApp) -> i64 {
    let (count,) =
        app.app.db.read().await.unwrap().query("SELECT count(*) FROM uploads WHERE lease IS NOT NULL").fetch_one::<(i64,)>().await.unwrap();
    count
}

#[tokio::test]
async fn writers_that_meet_never_mix() {
    let app = app().await;
    let service = app.service();
    for round in 0..4 {
        let place = create(&service, &format!("files/meet{round}"), 3000).await;
        let texts: Vec<String> = ["a", "b", "c", "d", "e", "f"].iter().map(|letter| letter.repeat(3000)).collect();
        let replies = futures_util::future::join_all(texts.iter().map(|text| patch(&service, &place, 0, text.clone()))).await;
        let winners: Vec<_> = replies.iter().zip(&texts).filter(|(reply, _)| reply.status == 204).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert!(replies.iter().all(|reply| [204, 409, 423].contains(&reply.status.as_u16())), "{replies:?}");
        assert_eq!(&get(&service, &format!("files/meet{round}")).await.text(), winners[0].1);
    }
}

#[tokio::test]
async fn a_checksum_decides_whether_bytes_count() {
    let app = app().await;
    let service = app.service();
    let place = create(&service, "files/sum", 10).await;
    let sum = |algorithm: &str, digest: &[u8]| service.clone().header("upload-checksum", &format!("{algorithm} {}", STANDARD.encode(digest)));
    let sha256 = basalt::crypto::sha256(b"hello");
    assert_eq!(said(&patch(&sum("sha256", &sha256), &place, 0, "hellO").await), "460 Checksum Mismatch");
    assert_eq!(offset(&service, &place).await, "0");
    let broken = vec![Ok(Bytes::from_static(b"hel")), Err(std::io::Error::other("gone"))];
    assert_eq!(patch(&sum("sha256", &sha256), &place, 0, Body::from_stream(futures_util::stream::iter(broken))).await.status, 400);
    assert_eq!(offset(&service, &place).await, "0", "what can't be checked does not count");
    assert_eq!(patch(&sum("sha256", &sha256), &place, 0, "hello").await.status, 204);
    // The SHA-1 of "world".
    let sha1 = [0x7c, 0x21, 0x14, 0x33, 0xf0, 0x20, 0x71, 0x59, 0x77, 0x41, 0xe6, 0xff, 0x5a, 0x8e, 0xa3, 0x47, 0x89, 0xab, 0xbf, 0x43];
    assert_eq!(said(&patch(&sum("sha1", &sha1), &place, 5, "wOrld").await), "460 Checksum Mismatch");
    assert_eq!(get(&service, "files/sum").await.status, 400);
    assert_eq!(patch(&sum("sha1", &sha1), &place, 5, "world").await.status, 204);
    assert_eq!(get(&service, "files/sum").await.text(), "helloworld");
    let other = create(&service, "files/other", 5).await;
    for wrong in ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha256", "sha256 !", "sha256 aGk="] {
        let reply = patch(&service.clone().header("upload-checksum", wrong), &other, 0, "hello").await;
        assert_eq!(said(&reply), "400 Upload-Checksum should be one of sha1,sha256,sha384,sha512, a blank, and the digest in base64", "{wrong}");
    }
    app.app.clock.advance(Duration::from_mins(2));
    sweep(&app.app).await.unwrap();
    assert_eq!(loose(&app).await, []);
}

#[tokio::test]
async fn an_upload_is_there_for_who_began_it_and_secret_keys() {
    let app = app().await;
    let (ann, bob) = (app.user("ann@example.org", &["admin"]).await, app.user("bob@example.org", &["admin", "owner", "payroll"]).await);
    let place = create(&ann.client, "files/anns", 5).await;
    assert_eq!(patch(&ann.client, &place, 0, "he").await.status, 204);
    let function = app.function("storage.files:write storage.files:read").await;
    for (who, client) in
        [("another user", &bob.client), ("a key", &function), ("no user", &app.anonymous()), ("a foreign tenant", &app.other_service())]
    {
        assert_eq!(tus(client).head(&place).await.status, 404, "{who}");
        assert_eq!(said(&patch(client, &place, 2, "xxx").await), "404 The upload is not there", "{who}");
        assert_eq!(said(&tus(client).delete(&place).await), "404 The upload is not there", "{who}");
        let overriding = tus(client).header("x-http-method-override", "DELETE");
        assert_eq!(said(&overriding.send(Method::POST, &place, "").await), "404 The upload is not there", "{who}");
    }
    for path in [format!("/t/other{place}"), place.clone()] {
        assert!(matches!(tus(&app.nobody()).head(&path).await.status.as_u16(), 400 | 401 | 403), "{path}");
    }
    // By the door for signed URLs nobody comes to it either.
    let (_, id) = place.rsplit_once('/').unwrap();
    let signed = app.service().post("/storage/v1/object/upload/sign/files/anns", json!({})).await.json();
    let by_url = app.nobody().header("x-signature", signed["token"].as_str().unwrap());
    assert_eq!(tus(&by_url).head(&format!("{UPLOADS}/sign/{id}")).await.status, 404);
    assert_eq!(offset(&app.service(), &place).await, "2");

    // Who has lost the right goes on no more; who has signed out neither.
    let roles = app.service().put(&format!("/auth/v1/admin/users/{}", ann.id), json!({ "app_metadata": { "roles": [] } })).await;
    assert_eq!(roles.status, 200);
    assert_eq!(said(&patch(&ann.client, &place, 2, "llo").await), "403 new row violates row-level security policy (missing permission: insert)");
    assert_eq!(app.anonymous().bearer(ann.session["access_token"].as_str().unwrap()).post("/auth/v1/logout", json!({})).await.status, 204);
    let gone = tus(&ann.client).head(&place).await;
    assert_eq!(gone.status, 403);
    assert_eq!(get(&app.service(), "files/anns").await.status, 400);
}

#[tokio::test]
async fn the_token_of_a_signed_url_uploads_its_object_in_parts() {
    let app = app().await;
    let ann = app.user("ann@example.org", &[]).await;
    let path = format!("files/{}/a.txt", ann.id);
    let signed = ann.client.post(&format!("/storage/v1/object/upload/sign/{path}"), json!({})).await.json();
    let by_url = app.nobody().header("x-signature", signed["token"].as_str().unwrap());
    let created = create_at(&by_url, &format!("{UPLOADS}/sign"), &path, Some(5)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let place = place(&created);
    assert!(place.starts_with("/storage/v1/upload/resumable/sign/"), "{place}");
    assert_eq!(patch(&by_url, &place, 0, "he").await.status, 204);
    assert_eq!(offset(&by_url, &place).await, "2");

    let other_key = ann.client.post(&format!("/storage/v1/object/upload/sign/{path}x"), json!({})).await.json();
    let other = app.nobody().header("x-signature", other_key["token"].as_str().unwrap());
    assert_eq!(tus(&other).head(&place).await.status, 404);
    assert_eq!(patch(&other, &place, 2, "xxx").await.status, 404);
    assert_eq!(create_at(&other, &format!("{UPLOADS}/sign"), &path, Some(5)).await.status, 400);
    put_ok(&app.service(), "files/there", "x").await;
    let down = app.service().post("/storage/v1/object/sign/files/there", json!({ "expiresIn": 60 })).await.json();
    let down = down["signedURL"].as_str().unwrap().split_once("token=").unwrap().1.to_owned();
    for wrong in [down.as_str(), "x.y.z", ""] {
        let reply = create_at(&app.nobody().header("x-signature", wrong), &format!("{UPLOADS}/sign"), &path, Some(5)).await;
        assert_eq!(reply.status, 400, "{wrong}");
    }
    assert_eq!(create_at(&app.nobody(), &format!("{UPLOADS}/sign"), &path, Some(5)).await.status, 400);
    assert_eq!(create_at(&by_url, UPLOADS, &path, Some(5)).await.status, 403, "it is no key");

    assert_eq!(patch(&by_url, &place, 2, "llo").await.status, 204);
    assert_eq!(get(&ann.client, &path).await.text(), "hello");
    let again = create_at(&by_url, &format!("{UPLOADS}/sign"), &path, Some(5)).await;
    assert_eq!(said(&again), "409 The resource already exists");
}

#[tokio::test]
async fn a_name_is_taken_once_by_whoever_finishes_first() {
    let app = app().await;
    let service = app.service();
    let (first, second) = (create(&service, "files/a", 3).await, create(&service, "files/a", 3).await);
    assert_eq!(patch(&service, &second, 0, "tw").await.status, 204);
    assert_eq!(patch(&service, &first, 0, "one").await.status, 204);
    assert_eq!(said(&patch(&service, &second, 2, "o").await), "409 The resource already exists");
    assert_eq!(said(&create_at(&service, UPLOADS, "files/a", Some(3)).await), "409 The resource already exists");
    assert_eq!(get(&service, "files/a").await.text(), "one");
    let upserting = create(&service.clone().header("x-upsert", "true"), "files/a", 3).await;
    assert_eq!(patch(&service, &upserting, 0, "two").await.status, 204);
    assert_eq!(get(&service, "files/a").await.text(), "two");
}

#[tokio::test]
async fn an_upload_that_is_given_up_or_forgotten_leaves_nothing() {
    let app = app().await;
    let service = app.service();
    let place = create(&service, "files/a", 10).await;
    assert_eq!(patch(&service, &place, 0, "hello").await.status, 204);
    let removed = tus(&service).delete(&place).await;
    assert_eq!((removed.status.as_u16(), removed.header("tus-resumable")), (204, "1.0.0"));
    assert_eq!(tus(&service).head(&place).await.status, 404);
    assert_eq!(loose(&app).await.len(), 1);

    let whole = create(&service, "files/whole", 1).await;
    assert_eq!(patch(&service, &whole, 0, "x").await.status, 204);
    assert_eq!(said(&tus(&service).delete(&whole).await), "400 The upload is whole; remove the object that it became");

    let forgotten = create(&service, "files/b", 10).await;
    app.app.clock.advance(Duration::from_hours(20));
    assert_eq!(patch(&service, &forgotten, 0, "hello").await.status, 204);
    app.app.clock.advance(Duration::from_hours(20));
    assert_eq!(offset(&service, &forgotten).await, "5", "it lives from its last bytes on");
    app.app.clock.advance(Duration::from_hours(4));
    let reply = patch(&service, &forgotten, 5, "world").await;
    assert_eq!(said(&reply), "410 The time of the upload is over");
    assert_eq!(tus(&service).head(&forgotten).await.status, 410);
    app.app.clock.advance(Duration::from_hours(2));
    sweep(&app.app).await.unwrap();
    assert_eq!(tus(&service).head(&forgotten).await.status, 404);
    app.app.clock.advance(Duration::from_mins(2));
    sweep(&app.app).await.unwrap();
    assert_eq!(loose(&app).await, []);
    assert_eq!(get(&service, "files/whole").await.text(), "x");
    let (rows,) = app.app.db.read().await.unwrap().query("SELECT count(*) FROM uploads").fetch_one::<(i64,)>().await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_true_status() {
    let app = app().await;
    let service = app.service();
    make_bucket(&service, json!({ "name": "small", "file_size_limit": 10, "allowed_mime_types": ["image/*"] })).await;
    let place = create(&service, "files/a", 5).await;
    for version in ["0.2.2", ""] {
        let old = service.clone().header("tus-resumable", version).header("upload-length", "1").header("upload-metadata", &told("files", "x"));
        let reply = old.send(Method::POST, UPLOADS, "").await;
        assert_eq!((said(&reply).as_str(), reply.header("tus-version")), ("412 Tus-Resumable Required: 1.0.0", "1.0.0"));
        assert_eq!(service.clone().header("tus-resumable", version).head(&place).await.status, 412);
    }
    let begin = async |headers: &[(&str, &str)]| {
        let client = headers.iter().fold(tus(&service), |client, (name, value)| client.header(name, value));
        said(&client.send(Method::POST, UPLOADS, "").await)
    };
    let good = told("files", "x");
    assert_eq!(begin(&[("upload-metadata", &good)]).await, "400 One of Upload-Length and Upload-Defer-Length: 1 should be there");
    assert_eq!(begin(&[("upload-metadata", &good), ("upload-length", "-1")]).await, "400 upload-length should be a number of bytes");
    assert_eq!(begin(&[("upload-length", "1")]).await, "400 Upload-Metadata should have bucketName and objectName");
    assert_eq!(
        begin(&[("upload-length", "1"), ("upload-metadata", "bucketName !")]).await,
        "400 Upload-Metadata: bucketName should be text in base64"
    );
    assert_eq!(
        begin(&[("upload-concat", "partial"), ("upload-length", "1"), ("upload-metadata", &good)]).await,
        "501 Uploads can't be put together of others: send parts one after the other"
    );
    assert_eq!(begin(&[("upload-length", "5368709121"), ("upload-metadata", &good)]).await, "413 Maximum size exceeded");
    assert_eq!(begin(&[("upload-length", "1"), ("upload-metadata", &told("nowhere", "x"))]).await, "404 Bucket not found");
    assert_eq!(begin(&[("upload-length", "1"), ("upload-metadata", &told("small", "x"))]).await, "415 mime type text/plain is not supported");
    for key in ["../x", "a//b", "/a", "a/", ".", "a\\b", "a#b", "a\u{0}b", ""] {
        let told = begin(&[("upload-length", "1"), ("upload-metadata", &told("files", key))]).await;
        assert!(told.starts_with("400 Invalid key: "), "{key:?}: {told}");
    }
    let untyped = format!("bucketName {},objectName {}", STANDARD.encode("small"), STANDARD.encode("x"));
    assert_eq!(
        begin(&[("upload-length", "1"), ("upload-metadata", &untyped)]).await,
        "415 mime type application/octet-stream is not supported",
        "no type is one, too"
    );
    assert_eq!(
        said(&create_at(&app.anonymous(), UPLOADS, "files/x", Some(1)).await),
        "403 new row violates row-level security policy (missing permission: insert)"
    );

    let typed = tus(&service).header("upload-offset", "0").header("content-type", "text/plain").send(Method::PATCH, &place, "hello").await;
    assert_eq!(said(&typed), "415 Content-Type should be application/offset+octet-stream");
    let nowhere = tus(&service).header("content-type", "application/offset+octet-stream").send(Method::PATCH, &place, "hello").await;
    assert_eq!(said(&nowhere), "400 Upload-Offset should be there");
    assert_eq!(said(&patch(&service, &place, 1, "hello").await), "409 Upload-Offset is not where the upload is; ask for it with HEAD");
    assert_eq!(said(&patch(&service, &place, 0, "hello!").await), "413 Maximum size exceeded");
    let counted = Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("hello"), Ok("!")]));
    assert_eq!(said(&patch(&service, &place, 0, counted).await), "413 Maximum size exceeded");
    assert_eq!(offset(&service, &place).await, "0");
    for id in ["x", "00000000-0000-7000-8000-000000000000"] {
        assert_eq!(said(&patch(&service, &format!("{UPLOADS}/{id}"), 0, "x").await), "404 The upload is not there");
    }
    let untold = tus(&service).send(Method::POST, &place, "").await;
    assert_eq!(said(&untold), "400 X-HTTP-Method-Override should be PATCH, HEAD or DELETE");
    let patching = tus(&service).header("x-http-method-override", "PATCH").header("upload-offset", "0");
    let patched = patching.header("content-type", "application/offset+octet-stream").send(Method::POST, &place, "hello").await;
    assert_eq!((patched.status.as_u16(), patched.header("upload-offset")), (204, "5"));

    // A limit that nobody told is counted; and a bucket may go.
    let open = service.clone();
    make_bucket(&open, json!({ "name": "tiny", "file_size_limit": 3 })).await;
    let reply = create_at(&open, UPLOADS, "tiny/x", None).await;
    assert_eq!(said(&patch(&open, &self::place(&reply), 0, "four").await), "413 Maximum size exceeded");
    assert_eq!(open.delete("/storage/v1/bucket/tiny").await.status, 200);
    assert_eq!(said(&patch(&open, &self::place(&reply), 0, "abc").await), "404 Bucket not found");
}

#[tokio::test]
async fn a_tenant_that_is_erased_takes_its_uploads_along() {
    let app = app().await;
    let other = app.other_service();
    make_bucket(&other, json!({ "name": "files" })).await;
    let reply = create_at(&other, UPLOADS, "files/a", Some(10)).await;
    let place = url::Url::parse(reply.header("location")).unwrap().path().to_owned();
    assert_eq!(patch(&other, &place, 0, "hello").await.status, 204);
    assert_eq!(app.operator().delete("/admin/v1/tenants/other").await.status, 204);
    app.app.clock.advance(Duration::from_mins(2));
    assert_eq!(sweep(&app.app).await.unwrap(), 1);
    let (rows,) = app.app.db.read().await.unwrap().query("SELECT count(*) FROM uploads").fetch_one::<(i64,)>().await.unwrap();
    assert_eq!(rows, 0);
}

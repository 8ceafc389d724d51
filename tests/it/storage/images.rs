//! Pictures in other sizes and formats.

use std::{io::Cursor, time::Duration};

use basalt::storage::sweep;
use futures_util::future::join_all;
use http::Method;
use image::{DynamicImage, ImageFormat, ImageReader, Rgb, RgbImage};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{app, get, refusal};
use crate::support::{Client, Reply, TestApp};

/// A picture whose left half is red and whose right half is blue.
fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([220, 10, 10]) } else { Rgb([10, 10, 220]) });
    let mut bytes = Vec::new();
    DynamicImage::from(picture).write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

async fn upload(client: &Client, path: &str, kind: &str, bytes: Vec<u8>) {
    let reply = client.clone().header("content-type", kind).send(Method::POST, &format!("/storage/v1/object/{path}"), bytes).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn render(client: &Client, path: &str) -> Reply {
    client.get(&format!("/storage/v1/render/image/{path}")).await
}

/// What came is a picture of this kind; its size.
fn size(reply: &Reply, kind: &str) -> (u32, u32) {
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, kind), "{}", reply.text());
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    let reader = ImageReader::new(Cursor::new(&reply.body)).with_guessed_format().unwrap();
    assert_eq!(reader.format().unwrap().to_mime_type(), kind);
    reader.into_dimensions().unwrap()
}

async fn with_pictures() -> TestApp {
    let app = app().await;
    let service = app.service();
    upload(&service, "open/a.png", "image/png", picture(400, 200, ImageFormat::Png)).await;
    upload(&service, "open/a.jpg", "image/jpeg", picture(400, 200, ImageFormat::Jpeg)).await;
    upload(&service, "files/a.png", "image/png", picture(400, 200, ImageFormat::Png)).await;
    app
}

#[tokio::test]
async fn pictures_come_in_the_size_that_is_asked_for() {
    let app = with_pictures().await;
    let nobody = app.anonymous();
    for (query, told, to) in [
        ("", "", (400, 200)),
        ("?width=100", "width:100,resizing_type:fill", (100, 50)),
        ("?height=100&width=100", "height:100,width:100,resizing_type:fill", (100, 100)),
        ("?height=100&width=100&resize=contain&quality=60", "height:100,width:100,resizing_type:fit,quality:60", (100, 50)),
        ("?height=100&width=300&resize=fill", "height:100,width:300,resizing_type:force", (300, 100)),
        ("?width=90000&resize=contain", "width:2500,resizing_type:fit", (400, 200)),
    ] {
        let reply = render(&nobody, &format!("public/open/a.png{query}")).await;
        assert_eq!(size(&reply, "image/png"), to, "{query}");
        assert_eq!(reply.header("x-transformations"), told);
        assert_eq!(size(&render(&nobody, &format!("public/open/a.jpg{query}")).await, "image/jpeg"), to, "{query}");
    }
    // Stock clients declare bytes to be text when nobody says what they are.
    upload(&app.service(), "open/text", "text/plain;charset=UTF-8", picture(400, 200, ImageFormat::Jpeg)).await;
    assert_eq!(size(&render(&nobody, "public/open/text?width=100").await, "image/jpeg"), (100, 50));
    // What is cut off is on the other side.
    for (gravity, red) in [("we", true), ("ea", false)] {
        let reply = render(&nobody, &format!("public/open/a.png?width=100&height=100&gravity={gravity}")).await;
        let pixel = *image::load_from_memory(&reply.body).unwrap().into_rgb8().get_pixel(50, 50);
        assert_eq!(pixel[0] > pixel[2], red, "{pixel:?}");
    }
}

#[tokio::test]
async fn clients_that_accept_webp_have_it_unless_they_say_otherwise() {
    let app = with_pictures().await;
    let browser = app.anonymous().header("accept", "image/avif,image/webp,image/*;q=0.8");
    let reply = render(&browser, "public/open/a.jpg?width=100").await;
    assert_eq!((size(&reply, "image/webp"), reply.header("vary").contains("accept")), ((100, 50), true));
    assert_eq!(size(&render(&browser, "public/open/a.jpg?width=100&format=origin").await, "image/jpeg"), (100, 50));
    assert_eq!(size(&render(&app.anonymous(), "public/open/a.jpg?width=100").await, "image/jpeg"), (100, 50));
    assert_eq!(size(&render(&app.anonymous().header("accept", "image/webp;q=0"), "public/open/a.jpg").await, "image/jpeg"), (400, 200));
    let asked = render(&app.anonymous(), "public/open/a.jpg?width=100&format=webp").await;
    assert_eq!((size(&asked, "image/webp"), asked.header("x-transformations")), ((100, 50), "width:100,resizing_type:fill,format:webp"));
}

#[tokio::test]
async fn who_may_not_read_a_file_gets_no_picture_of_it() {
    let app = with_pictures().await;
    assert_eq!(render(&app.anonymous(), "public/files/a.png?width=10").await.json()["code"], "NoSuchBucket");
    assert_eq!(render(&app.anonymous(), "authenticated/files/a.png?width=10").await.json()["code"], "NoSuchKey");
    let ann = app.user("ann@example.org", &[]).await;
    assert_eq!(render(&ann.client, "authenticated/files/a.png?width=10").await.json()["code"], "NoSuchKey");
    assert_eq!(size(&render(&app.service(), "authenticated/files/a.png?width=10").await, "image/png"), (10, 5));
    // Also not when it was made before.
    assert_eq!(render(&ann.client, "authenticated/files/a.png?width=10").await.json()["code"], "NoSuchKey");
    assert_eq!(render(&app.other_service(), "authenticated/files/a.png?width=10").await.json()["code"], "NoSuchBucket");
}

async fn sign(client: &Client, path: &str, asked: Value) -> String {
    let reply = client.post(&format!("/storage/v1/object/sign/{path}"), asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["signedURL"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_signed_url_says_what_is_made_and_opens_nothing_else() {
    let app = with_pictures().await;
    let service = app.service();
    let url = sign(&service, "files/a.png", json!({ "expiresIn": 60, "transform": { "width": 20, "height": 20, "quality": 60 } })).await;
    let (door, token) = url.split_once('?').unwrap();
    assert_eq!(door, "/render/image/sign/files/a.png");
    let read = async |path: &str| app.nobody().get(&format!("/storage/v1{path}")).await;
    let reply = read(&url).await;
    assert_eq!((size(&reply, "image/png"), reply.header("x-transformations")), ((20, 20), "height:20,width:20,resizing_type:fill,quality:60"));
    // What the URL's query says besides does not count.
    assert_eq!(size(&read(&format!("{url}&width=300&resize=fill")).await, "image/png"), (20, 20));
    assert_eq!(read(&format!("/object/sign/files/a.png?{token}")).await.json()["code"], "InvalidSignature");
    assert_eq!(read(&format!("/render/image/sign/open/a.png?{token}")).await.json()["code"], "InvalidSignature");
    let plain = sign(&service, "files/a.png", json!({ "expiresIn": 60, "transform": {} })).await;
    assert!(plain.starts_with("/object/sign/files/a.png?"), "{plain}");
    let token = plain.split_once('?').unwrap().1;
    assert_eq!(read(&format!("/render/image/sign/files/a.png?{token}")).await.json()["code"], "InvalidSignature");
    app.app.clock.advance(Duration::from_secs(80));
    assert_eq!(read(&url).await.json()["code"], "InvalidJWT");
    let wrong = service.post("/storage/v1/object/sign/files/a.png", json!({ "expiresIn": 60, "transform": { "width": -1 } })).await;
    assert_snapshot!(refusal(&wrong), @"400 400 Error InvalidRequest: width must be 1 or more");
}

/// A PNG whose head says this, without the pixels.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = picture(2, 2, ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0_u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }))
}

/// V51
#[tokio::test]
async fn what_is_no_picture_or_too_large_a_one_is_refused() {
    let app = with_pictures().await;
    let service = app.service();
    let gif = [b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;".to_vec()].concat();
    let bmp = [b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\xff\xff\0\0\xff\xff\0\0\x01\0\x20\0".to_vec(), vec![0; 64]].concat();
    let tiff = b"II*\0\x08\0\0\0\x05\0\0\x01\x04\0\x01\0\0\0\xff\xff\0\0\x01\x01\x04\0\x01\0\0\0\xff\xff\0\0\x02\x01\x03\0\x01\0\0\0\x08\0\0\0\x03\x01\x03\0\x01\0\0\0\x01\0\0\0\x06\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
    let huge = [bomb(20_000, 20_000), bomb(65_535, 65_535), bomb(1_000_000, 1), gif, bmp, tiff];
    for (n, bytes) in huge.into_iter().enumerate() {
        upload(&service, &format!("open/bomb{n}"), "image/png", bytes).await;
        let reply = render(&service, &format!("public/open/bomb{n}?width=10")).await;
        assert_eq!(refusal(&reply), "400 400 Error InvalidRequest: The source image is invalid or unsupported for rendering", "{n}");
    }
    for (name, kind, bytes) in
        [("empty", "image/png", &b""[..]), ("text", "image/jpeg", b"hello"), ("heic", "image/heic", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1")]
    {
        upload(&service, &format!("open/{name}"), kind, bytes.to_vec()).await;
        let reply = render(&service, &format!("public/open/{name}")).await;
        assert_eq!(refusal(&reply), "400 400 Error InvalidRequest: The source image is invalid or unsupported for rendering", "{name}");
    }
    upload(&service, "open/cut.png", "image/png", picture(400, 200, ImageFormat::Png)[..60].to_vec()).await;
    assert_eq!(render(&service, "public/open/cut.png").await.status, 400);
    upload(&service, "open/text.txt", "text/plain", b"hello".to_vec()).await;
    assert_snapshot!(refusal(&render(&service, "public/open/text.txt?width=10").await), @"400 400 Error InvalidRequest: The source image is invalid or unsupported for rendering");
    assert_snapshot!(refusal(&render(&service, "public/open/a.png?width=-1").await), @"400 400 Error InvalidRequest: width must be 1 or more");
    for wrong in [
        "width=0",
        "height=1.5",
        "height=NaN",
        "width=1e309",
        "quality=5",
        "resize=crop",
        "format=exe",
        "gravity=up",
        "width=",
        "quality=9999999999999999999999",
    ] {
        assert_eq!(render(&service, &format!("public/open/a.png?{wrong}")).await.json()["code"], "InvalidRequest", "{wrong}");
    }
}

#[tokio::test]
async fn a_source_that_is_larger_than_allowed_is_refused_by_its_size() {
    let app = TestApp::with(|config| (config.images.max_source_bytes, config.images.max_pixels) = (100_000, 5000)).await;
    let service = app.service();
    super::make_bucket(&service, json!({ "name": "open", "public": true })).await;
    upload(&service, "open/large", "image/png", vec![7; 100_001]).await;
    assert_snapshot!(refusal(&render(&service, "public/open/large").await), @"400 400 Error InvalidRequest: The source image is larger than the 100000 bytes that are rendered");
    for (name, width, status) in [("fits", 50, 200), ("more", 51, 400)] {
        upload(&service, &format!("open/{name}"), "image/png", picture(width, 100, ImageFormat::Png)).await;
        assert_eq!(render(&service, &format!("public/open/{name}?width=5")).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn svg_passes_as_it_is_in_its_cage() {
    let app = app().await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    upload(&app.service(), "open/a.svg", "image/svg+xml", svg.to_vec()).await;
    let reply = render(&app.anonymous(), "public/open/a.svg?width=100").await;
    assert_eq!((reply.status.as_u16(), &reply.body[..], reply.header("content-type")), (200, &svg[..], "image/svg+xml"));
    assert!(reply.header("content-security-policy").contains("sandbox"), "{:?}", reply.headers);
}

/// A JPEG that says how the camera was held.
fn turned(orientation: u8) -> Vec<u8> {
    let jpeg = picture(64, 32, ImageFormat::Jpeg);
    let tiff = [&b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0], &[0; 4]].concat();
    let length = u16::try_from(tiff.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &tiff, &jpeg[2..]].concat()
}

#[tokio::test]
async fn a_picture_stands_as_its_camera_was_held() {
    let app = app().await;
    // 6: turned by a quarter to the right, so that what was at the left is at the top.
    for (orientation, to, first_is_red) in [(1, (32, 16), true), (3, (32, 16), false), (6, (16, 32), true), (8, (16, 32), false)] {
        let path = format!("open/{orientation}.jpg");
        upload(&app.service(), &path, "image/jpeg", turned(orientation)).await;
        let reply = render(&app.anonymous(), &format!("public/{path}?width={}", to.0)).await;
        assert_eq!(size(&reply, "image/jpeg"), to, "{orientation}");
        let pixel = *image::load_from_memory(&reply.body).unwrap().into_rgb8().get_pixel(2, 2);
        assert_eq!(pixel[0] > pixel[2], first_is_red, "{orientation}: {pixel:?}");
    }
}

#[tokio::test]
async fn a_picture_is_made_once_and_never_old() {
    let app = with_pictures().await;
    let service = app.service();
    let first = render(&service, "public/open/a.png?width=40").await;
    // Found where it was kept, although its source is out of reach.
    let version: uuid::Uuid = get(&service, "info/open/a.png").await.json()["version"].as_str().unwrap().parse().unwrap();
    let cached = app.app.config.data_dir.join("cache/images");
    assert_eq!(files(&cached), 1);
    app.app.blobs.delete(vec![version.into()]).await.unwrap();
    assert_eq!(render(&service, "public/open/a.png?width=40").await.body, first.body);
    assert_eq!(render(&service, "public/open/a.png?width=41").await.json()["code"], "NoSuchKey");
    let unchanged = service.clone().header("if-none-match", first.header("etag"));
    assert_eq!(render(&unchanged, "public/open/a.png?width=40").await.status, 304);
    // A purge forgets it.
    assert_eq!(service.delete("/storage/v1/cdn/open/a.png?transformations=true").await.status, 200);
    assert_eq!(files(&cached), 0);
    upload(&service.clone().header("x-upsert", "true"), "open/a.png", "image/png", picture(100, 100, ImageFormat::Png)).await;
    assert_eq!(size(&render(&service, "public/open/a.png?width=40").await, "image/png"), (40, 40));
    assert_eq!(files(&cached), 1);
    // It goes with its source.
    assert_eq!(service.delete("/storage/v1/object/open/a.png").await.status, 200);
    app.app.clock.advance(Duration::from_mins(5));
    sweep(&app.app).await.unwrap();
    assert_eq!(files(&cached), 0);
    assert_eq!(render(&service, "public/open/a.png?width=40").await.json()["code"], "NoSuchKey");
}

fn files(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn of_too_many_at_once_some_are_told_to_come_back() {
    let app = TestApp::with(|config| (config.images.threads, config.images.cache_bytes) = (1, 0)).await;
    let service = app.service();
    super::make_bucket(&service, json!({ "name": "open", "public": true })).await;
    upload(&service, "open/a.png", "image/png", picture(300, 300, ImageFormat::Png)).await;
    let asked = join_all((1..=60).map(|width| {
        let service = &service;
        async move { render(service, &format!("public/open/a.png?width={width}")).await }
    }))
    .await;
    let made = asked.iter().filter(|reply| reply.status == 200).count();
    assert!(made >= 33, "those that may wait are served: {made}");
    for reply in asked.iter().filter(|reply| reply.status != 200) {
        assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (503, &json!("SlowDown")));
    }
    assert_eq!(render(&service, "public/open/a.png?width=5").await.status, 200, "there is room again");
}

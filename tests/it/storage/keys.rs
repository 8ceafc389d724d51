use http::Method;
use serde_json::json;

use super::{app, get, put, refusal};

/// Keys that could lead out of their place, or be taken for others, as they stand in a URL.
const REFUSED: &[&str] = &[
    "..%2f..%2fetc%2fpasswd",
    "a/..%2fb",
    "a/%2e%2e/b",
    "%2e",
    "a//b",
    "%2fa",
    "a%2f",
    "a/",
    "a%5cb",
    "..%5c..%5cb",
    "a%00b",
    "a%0ab",
    "a%0d%0ax-injected:%201",
    "a%7fb",
    "a%23b",
    "a%25b",
    "a%7cb",
    "a%22b",
    "a%3cscript%3e",
    "a%7e",
    "%e2%80%aetxt.exe",
    "a%ff",
    "a%c0%ae%c0%ae%2fb",
    "a%ed%a0%80",
];

#[tokio::test]
async fn a_key_that_could_mean_another_is_refused_everywhere() {
    let app = app().await;
    let service = app.service();
    let long = "x".repeat(1025);
    for key in REFUSED.iter().copied().chain([long.as_str()]) {
        for (method, prefix) in [
            (Method::POST, ""),
            (Method::PUT, ""),
            (Method::DELETE, ""),
            (Method::GET, ""),
            (Method::GET, "authenticated/"),
            (Method::GET, "info/"),
            (Method::GET, "info/authenticated/"),
            (Method::POST, "sign/"),
            (Method::POST, "upload/sign/"),
            (Method::PUT, "upload/sign/"),
        ] {
            let client = service.clone().header("content-type", "application/json");
            let reply = client.send(method.clone(), &format!("/storage/v1/object/{prefix}files/{key}"), "{\"expiresIn\":1}").await;
            let told = reply.json()["code"].as_str().unwrap_or_default().to_owned();
            assert!(reply.status.is_client_error() && told == "InvalidKey", "{method} {prefix} {key}: {} {}", reply.status, reply.text());
        }
        let public = get(&app.nobody(), &format!("public/open/{key}")).await;
        assert_eq!(public.json()["code"], "InvalidKey", "{key}");
    }
    let there = service.post("/storage/v1/object/list/files", json!({ "prefix": "" })).await;
    assert_eq!(there.json(), json!([]));
}

#[tokio::test]
async fn a_key_in_a_body_is_held_to_the_same() {
    let app = app().await;
    let service = app.service();
    put(&service, "files/a", "a").await;
    for key in ["../a", "a//b", "/a", "a/", ".", "a\u{0}b", "a\\b", "a#b", ""] {
        for path in ["move", "copy"] {
            for (from, to) in [("a", key), (key, "b")] {
                let reply = service
                    .post(&format!("/storage/v1/object/{path}"), json!({ "bucketId": "files", "sourceKey": from, "destinationKey": to }))
                    .await;
                assert_eq!(reply.json()["code"], "InvalidKey", "{path} {from:?} {to:?}");
            }
        }
        let signed = service.post("/storage/v1/object/sign/files", json!({ "expiresIn": 9, "paths": [key] })).await.json();
        assert_eq!(signed[0]["signedURL"], json!(null));
        let removed = service.json(Method::DELETE, "/storage/v1/object/files", &json!({ "prefixes": [key] })).await;
        assert_eq!(removed.json(), json!([]));
        let listed = service.post("/storage/v1/object/list/files", json!({ "prefix": key.replace('\0', ""), "search": key.replace('\0', "") })).await;
        assert_eq!(listed.status, 200);
    }
    assert_eq!(get(&service, "files/a").await.text(), "a");
}

#[tokio::test]
async fn names_of_every_writing_are_kept_apart() {
    let app = app().await;
    let service = app.service();
    let keys = [
        "h%C3%A9llo/%E6%9D%8E%E5%A8%9C.pdf",
        "HE%CC%81LLO/%E6%9D%8E%E5%A8%9C.pdf",
        "%F0%9F%98%80",
        "a%20b%2Bc%26d%3De%40f%3Bg%3Ah%2Ci%3Fj%21k%2Al%27m%28n%29",
        "a+b",
        "a%20b",
        "...",
        "_",
        "%25".trim_start_matches("%25"),
    ];
    for (n, key) in keys.into_iter().filter(|key| !key.is_empty()).enumerate() {
        assert_eq!(put(&service, &format!("files/{key}"), &n.to_string()).await.status, 200, "{key}");
    }
    for (n, key) in keys.into_iter().filter(|key| !key.is_empty()).enumerate() {
        assert_eq!(get(&service, &format!("files/{key}")).await.text(), n.to_string(), "{key}");
    }
}

#[tokio::test]
async fn two_spellings_of_a_text_are_one_key() {
    let app = app().await;
    let service = app.service();
    // The same letters, whole and put together of two characters each.
    let (whole, parts) = ("h%C3%A9llo/%C3%BC.pdf", "he%CC%81llo/u%CC%88.pdf");
    let made = put(&service, &format!("files/{parts}"), "hello").await.json();
    assert_eq!(made["Key"], "files/h\u{e9}llo/\u{fc}.pdf");
    for key in [whole, parts] {
        assert_eq!(get(&service, &format!("files/{key}")).await.text(), "hello", "{key}");
        assert_eq!(put(&service, &format!("files/{key}"), "again").await.json()["code"], "KeyAlreadyExists", "{key}");
        let signed = service.post(&format!("/storage/v1/object/sign/files/{key}"), json!({ "expiresIn": 60 })).await.json();
        let token = signed["signedURL"].as_str().unwrap().split_once("token=").unwrap().1.to_owned();
        assert_eq!(get(&app.nobody(), &format!("sign/files/{parts}?token={token}")).await.text(), "hello", "{key}");
    }
    let spelled = "he\u{301}llo/u\u{308}.pdf";
    let signed = service.post("/storage/v1/object/sign/files", json!({ "expiresIn": 9, "paths": [spelled] })).await.json();
    assert_eq!(signed[0]["path"], spelled);
    assert!(signed[0]["signedURL"].is_string(), "{signed}");
    let listed = service.post("/storage/v1/object/list/files", json!({ "prefix": "he\u{301}llo", "search": "u\u{308}" })).await.json();
    assert_eq!(listed[0]["name"], "\u{fc}.pdf");
    // The Greek question mark is a semicolon, and the Greek accent the refused back quote.
    assert_eq!(put(&service, "files/a%CD%BE", "x").await.json()["Key"], "files/a;");
    assert_eq!(refusal(&put(&service, "files/a%E1%BF%AF", "x").await), "400 400 InvalidKey InvalidKey: Invalid key: a\u{1fef}");
    let removed = service.json(Method::DELETE, "/storage/v1/object/files", &json!({ "prefixes": [spelled] })).await.json();
    assert_eq!(removed[0]["name"], "h\u{e9}llo/\u{fc}.pdf");
}

#[tokio::test]
async fn a_bucket_in_the_path_is_a_name() {
    let app = app().await;
    for bucket in ["..", "%2e%2e", "a%2fb", "files%2f..", "%00"] {
        let reply = get(&app.service(), &format!("{bucket}/a")).await;
        assert!(reply.status.is_client_error(), "{bucket}");
        assert!(!reply.text().contains("passwd"));
    }
    assert_eq!(refusal(&get(&app.service(), "a%2fb/c").await), "400 400 Invalid Input InvalidBucketName: Bucket name invalid");
}

//! A server whose files lie in an object store.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{Place, Server, words};

/// A server that speaks S3, as far as it is needed here, on a port of its own.
async fn s3_server(root: &Path) -> String {
    let mut service = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    service.set_auth(s3s::auth::SimpleAuth::from_single("key", "secret"));
    let service = service.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service.clone()));
        }
    });
    endpoint
}

#[tokio::test(flavor = "multi_thread")]
async fn files_lie_in_the_object_store_and_outlive_the_process() {
    let place = Place::new().await;
    let store = tempfile::tempdir().unwrap();
    std::fs::create_dir(store.path().join("files")).unwrap();
    let endpoint = s3_server(store.path()).await;
    let serve = || {
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0", "--blobs", "s3://files/basalt"]);
        command.env("BASALT_BLOBS_S3__ENDPOINT", &endpoint).env("BASALT_BLOBS_S3__ALLOW_HTTP", "true");
        command.env("BASALT_BLOBS_S3__ACCESS_KEY_ID", "key").env("BASALT_BLOBS_S3__SECRET_ACCESS_KEY", "secret");
        Server::start(command, place.path(&format!("log-{}", uuid::Uuid::now_v7())))
    };
    // The first start shows the keys; the server after it is the one that is used, and it is killed.
    let (shown, _) = serve().await.stop().await;
    let key = words(&shown, "sb_secret_")[0].to_owned();
    let http = reqwest::Client::new();
    let whole: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();

    let server = serve().await;
    let post = |path: &str| http.post(format!("{}{path}", server.url)).header("apikey", &key);
    assert_eq!(post("/storage/v1/bucket").json(&json!({ "name": "plans" })).send().await.unwrap().status(), 200);
    assert_eq!(post("/storage/v1/object/plans/a/b.bin").body(whole.clone()).send().await.unwrap().status(), 200);
    // A resumable upload, its parts in the store as well; the server is killed in the middle of it.
    let told = format!("bucketName {},objectName {}", STANDARD.encode("plans"), STANDARD.encode("parts.bin"));
    let begun = post("/storage/v1/upload/resumable").header("tus-resumable", "1.0.0").header("upload-metadata", told);
    let begun = begun.header("upload-length", whole.len()).send().await.unwrap();
    assert_eq!(begun.status(), 201);
    let upload = begun.headers()["location"].to_str().unwrap().parse::<url::Url>().unwrap().path().to_owned();
    let send = |server: &Server, offset: usize, end: usize| {
        let request = http.patch(format!("{}{upload}", server.url)).header("apikey", &key).header("tus-resumable", "1.0.0");
        let request = request.header("upload-offset", offset).header("content-type", "application/offset+octet-stream");
        request.body(whole[offset..end].to_vec()).send()
    };
    for (offset, end) in [(0, 100_000), (100_000, 100_001)] {
        assert_eq!(send(&server, offset, end).await.unwrap().status(), 204);
    }
    drop(server);
    assert!(!place.path("basalt-data/blobs").exists(), "no file lies on this machine");

    let server = serve().await;
    assert_eq!(send(&server, 100_001, whole.len()).await.unwrap().status(), 204);
    let get = |path: &str| http.get(format!("{}/storage/v1/object/{path}", server.url)).header("apikey", &key);
    let reply = get("plans/a/b.bin").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(reply.bytes().await.unwrap() == whole);
    assert!(get("plans/parts.bin").send().await.unwrap().bytes().await.unwrap() == whole);
    let part = get("plans/a/b.bin").header("range", "bytes=200000-200009").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert!(part.bytes().await.unwrap() == whole[200_000..200_010]);
    let removed = http.delete(format!("{}/storage/v1/object/plans/a/b.bin", server.url)).header("apikey", &key).send().await.unwrap();
    assert_eq!(removed.status(), 200);
    assert_eq!(get("plans/a/b.bin").send().await.unwrap().status(), 400);
    server.stop().await;
}

//! Looking after the files from the command line, and a disk that takes no more.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Place, Server, files, words};

/// Starts an installation, and answers its secret key.
async fn begun(place: &Place) -> String {
    let (shown, _) = place.serve().await.stop().await;
    words(&shown, "sb_secret_")[0].to_owned()
}

async fn put(server: &Server, key: &str, path: &str, bytes: Vec<u8>) -> (u16, Value) {
    let reply = reqwest::Client::new().post(format!("{}/storage/v1/{path}", server.url)).header("apikey", key).body(bytes);
    let reply = reply.header("content-type", if path == "bucket" { "application/json" } else { "text/plain" }).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

async fn get(server: &Server, key: &str, path: &str) -> bytes::Bytes {
    reqwest::Client::new().get(format!("{}/storage/v1/object/{path}", server.url)).header("apikey", key).send().await.unwrap().bytes().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_checked_and_mended_while_a_server_runs() {
    let place = Place::new().await;
    let key = begun(&place).await;
    let server = place.serve().await;
    assert_eq!(put(&server, &key, "bucket", json!({ "name": "plans" }).to_string().into_bytes()).await.0, 200);
    for name in ["a", "b"] {
        assert_eq!(put(&server, &key, &format!("object/plans/{name}"), b"12345".to_vec()).await.0, 200);
    }
    let said = place.say(&["storage", "check", "--deep"]).await;
    assert_eq!(said.trim(), "2 objects and 0 versions, 10 bytes in 2 blobs: 0 problems");

    std::fs::remove_file(&files(&place.path("basalt-data/blobs"))[0]).unwrap();
    let found = place.run(&["storage", "check", "--json"]).await;
    assert!(!found.status.success());
    assert!(String::from_utf8_lossy(&found.stderr).contains("1 things are wrong; --repair mends them"), "{found:?}");
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!((&report["objects"], &report["blobs"], &report["bytes"]), (&json!(2), &json!(1), &json!(5)));
    let problem = &report["problems"][0];
    assert_eq!((&problem["kind"], &problem["tenant"], &problem["repaired"]), (&json!("missing_bytes"), &json!("default"), &json!(false)));

    let said = place.say(&["storage", "check", "--repair"]).await;
    assert!(said.contains("there should be 5 bytes and there are none (mended)"), "{said}");
    assert!(place.say(&["storage", "check"]).await.contains("1 objects and 0 versions, 5 bytes in 1 blobs: 0 problems"));
    server.stop().await;
}

/// A limit on the size of a file stands for a disk that is full: the write fails half-way in the same way.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_is_told_and_everything_else_goes_on() {
    let place = Place::new().await;
    let key = begun(&place).await;
    // Blocks have 512 bytes or 1,024, as the shell likes: 16 or 32 MiB.
    let script = format!("trap '' XFSZ; ulimit -f 32768; exec {} serve --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_basalt"));
    let mut limited = std::process::Command::new("/bin/sh");
    limited.env_clear().current_dir(place.directory.path()).args(["-c", &script]).stdin(std::process::Stdio::null());
    limited.envs(place.database.iter().map(|url| ("BASALT_DATABASE_URL", url)));
    let server = Server::start(limited, place.path("log-limited")).await;
    assert_eq!(put(&server, &key, "bucket", json!({ "name": "plans" }).to_string().into_bytes()).await.0, 200);
    assert_eq!(put(&server, &key, "object/plans/small", b"small".to_vec()).await.0, 200);
    let (status, said) = put(&server, &key, "object/plans/large", vec![7; 40 << 20]).await;
    assert_eq!((status, &said["code"], &said["message"]), (503, &json!("SlowDown"), &json!("the disk of the files is full")));
    assert_eq!(get(&server, &key, "plans/small").await, "small");
    assert_eq!(put(&server, &key, "object/plans/other", b"other".to_vec()).await.0, 200);

    let told = format!("bucketName {},objectName {}", STANDARD.encode("plans"), STANDARD.encode("parts"));
    let resumable = reqwest::Client::new().post(format!("{}/storage/v1/upload/resumable", server.url)).header("apikey", &key);
    let resumable = resumable.header("tus-resumable", "1.0.0").header("upload-metadata", told).header("upload-length", 40 << 20);
    let resumable = resumable.header("content-type", "application/offset+octet-stream").body(vec![7; 40 << 20]).send().await.unwrap();
    assert_eq!(resumable.status(), 503);
    assert!(files(&place.path("basalt-data/blobs/staging")).is_empty(), "nothing half-written stays");
    server.stop().await;
    let report = place.run(&["storage", "check", "--deep", "--json"]).await;
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stdout));
}

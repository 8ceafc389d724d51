//! Resumable uploads over a wire that breaks, to a server that is killed.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Place, Server, words};

const UPLOADS: &str = "/storage/v1/upload/resumable";

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

struct Uploader<'p> {
    place: &'p Place,
    key: String,
    server: Option<Server>,
    upload: String,
    http: reqwest::Client,
}

impl Uploader<'_> {
    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Kills the server in the middle of whatever it does, and starts it again.
    async fn kill(&mut self) {
        drop(self.server.take());
        self.server = Some(self.place.serve().await);
        self.http = reqwest::Client::new();
    }

    async fn begin(&mut self, object: &str, length: usize) {
        let metadata = format!("bucketName {},objectName {}", STANDARD.encode("plans"), STANDARD.encode(object));
        let request = self.http.post(format!("{}{UPLOADS}", self.server().url)).header("apikey", &self.key).header("tus-resumable", "1.0.0");
        let reply = request.header("upload-metadata", metadata).header("upload-length", length).send().await.unwrap();
        assert_eq!(reply.status(), 201);
        let location = reply.headers()["location"].to_str().unwrap();
        // The place, which outlives the address that this process has.
        location.parse::<url::Url>().unwrap().path().clone_into(&mut self.upload);
    }

    async fn offset(&self) -> usize {
        let request = self.http.head(format!("{}{}", self.server().url, self.upload)).header("apikey", &self.key).header("tus-resumable", "1.0.0");
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
    }

    /// Says that all the rest is coming, sends some of it, and hangs up or waits for the answer.
    async fn send(&self, whole: &[u8], offset: usize, sent: usize) -> Option<String> {
        let address = self.server().url.strip_prefix("http://").unwrap();
        let mut wire = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "PATCH {} HTTP/1.1\r\nHost: {address}\r\napikey: {}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n\
             Content-Type: application/offset+octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.upload,
            self.key,
            whole.len() - offset
        );
        wire.write_all(head.as_bytes()).await.unwrap();
        // Who is refused may not be listened to.
        let written = wire.write_all(&whole[offset..offset + sent]).await;
        if offset + sent < whole.len() || written.is_err() {
            return None;
        }
        let mut answer = String::new();
        wire.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).map(str::to_owned)
    }

    /// The offset once it no longer changes: what a broken connection brought is being made durable after it broke.
    async fn settled(&self) -> usize {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        let mut before = self.offset().await;
        loop {
            look.tick().await;
            look.tick().await;
            match self.offset().await {
                same if same == before => return same,
                other => before = other,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_broken_connections_and_killed_servers() {
    let place = Place::new().await;
    let (server, key) = with_bucket(&place).await;
    let mut uploader = Uploader { server: Some(server), place: &place, key, upload: String::new(), http: reqwest::Client::new() };

    let whole: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n.wrapping_mul(31) % 251).unwrap()).collect();
    uploader.begin("large.bin", whole.len()).await;
    let mut numbers = Numbers(20);
    let (mut durable, mut breaks, mut kills) = (0, 0, 0);
    while durable < whole.len() {
        let left = whole.len() - durable;
        let sent = if breaks < 20 { numbers.below(left.min(200_000)) } else { left };
        let answer = uploader.send(&whole, durable, sent).await;
        if breaks % 6 == 5 && kills <= breaks / 6 {
            uploader.kill().await;
            kills += 1;
        }
        let now = uploader.settled().await;
        assert!(now >= durable, "what was durable at {durable} is gone: {now}");
        // The lease of a killed writer has to run out; until then nothing is taken.
        breaks += usize::from(now > durable);
        durable = now;
        assert!(answer.is_none_or(|status| ["204", "409", "423"].contains(&status.as_str())));
    }
    assert!(kills >= 3 && breaks >= 20, "{kills} of {breaks}");
    let read = uploader.http.get(format!("{}/storage/v1/object/plans/large.bin", uploader.server().url)).header("apikey", &uploader.key);
    assert!(read.send().await.unwrap().bytes().await.unwrap() == whole);
    uploader.server.take().unwrap().stop().await;
}

/// A place with a bucket `plans`, a server, and its secret key.
async fn with_bucket(place: &Place) -> (Server, String) {
    let (shown, _) = place.serve().await.stop().await;
    let key = words(&shown, "sb_secret_")[0].to_owned();
    let server = place.serve().await;
    let made = reqwest::Client::new().post(format!("{}/storage/v1/bucket", server.url)).header("apikey", &key);
    assert_eq!(made.json(&json!({ "name": "plans" })).send().await.unwrap().status(), 200);
    (server, key)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_passes_through_little_memory() {
    const SIZE: usize = 400 << 20;
    let place = Place::new().await;
    let (server, key) = with_bucket(&place).await;
    let http = reqwest::Client::new();
    let pieces = vec![bytes::Bytes::from(vec![7; 1 << 20]); SIZE >> 20];
    let body = || reqwest::Body::wrap_stream(futures_util::stream::iter(pieces.clone().into_iter().map(Ok::<_, std::io::Error>)));

    let before = server.forget_peak();
    let posted = http.post(format!("{}/storage/v1/object/plans/raw", server.url)).header("apikey", &key).body(body()).send().await.unwrap();
    assert_eq!(posted.status(), 200);
    server.has_grown_little(before, "an upload");

    let before = server.forget_peak();
    let told = format!("bucketName {},objectName {}", STANDARD.encode("plans"), STANDARD.encode("resumable"));
    let resumable = http.post(format!("{}{UPLOADS}", server.url)).header("apikey", &key).header("tus-resumable", "1.0.0");
    let resumable = resumable.header("upload-metadata", told).header("upload-length", SIZE).header("content-type", "application/offset+octet-stream");
    assert_eq!(resumable.body(body()).send().await.unwrap().status(), 201);
    server.has_grown_little(before, "a resumable upload");

    for name in ["raw", "resumable"] {
        let before = server.forget_peak();
        let mut read = http.get(format!("{}/storage/v1/object/plans/{name}", server.url)).header("apikey", &key).send().await.unwrap();
        let mut size = 0;
        while let Some(piece) = read.chunk().await.unwrap() {
            assert!(piece.iter().all(|byte| *byte == 7));
            size += piece.len();
        }
        assert_eq!(size, SIZE);
        server.has_grown_little(before, "a download");
    }
    server.stop().await;
}

#[cfg(target_os = "linux")]
impl Server {
    /// Forgets how much memory the process has had at most, and answers how much it has, in KiB.
    fn forget_peak(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
        self.memory("VmRSS:")
    }

    fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn has_grown_little(&self, before: u64, by: &str) {
        let grown = self.memory("VmHWM:").saturating_sub(before);
        assert!(grown <= 32 * 1024, "{by} took {grown} KiB");
    }
}

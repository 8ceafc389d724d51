//! Bytes and rows that do not fit together.

use basalt::{
    blobs::BlobId,
    storage::{CheckOptions, CheckReport, ProblemKind, check},
};
use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::{app, get, make_bucket, put_ok};
use crate::support::TestApp;

const LOOK: CheckOptions = CheckOptions { deep: false, repair: false, offline: true };
const DEEP: CheckOptions = CheckOptions { deep: true, ..LOOK };
const MEND: CheckOptions = CheckOptions { deep: true, repair: true, offline: true };

async fn run(app: &TestApp, options: CheckOptions) -> CheckReport {
    check(&app.app, options).await.unwrap()
}

fn kinds(report: &CheckReport) -> Vec<ProblemKind> {
    report.problems.iter().map(|problem| problem.kind).collect()
}

async fn blob_of(app: &TestApp, path: &str) -> BlobId {
    get(&app.service(), &format!("info/{path}")).await.json()["version"].as_str().unwrap().parse::<Uuid>().unwrap().into()
}

async fn write(app: &TestApp, blob: BlobId, bytes: &'static [u8]) {
    app.app.blobs.delete(vec![blob]).await.unwrap();
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(bytes))]);
    app.app.blobs.put(blob, body, u64::MAX, async { Ok(()) }).await.unwrap();
}

async fn with_files() -> TestApp {
    let app = app().await;
    make_bucket(&app.service(), json!({ "name": "kept", "versioning": true })).await;
    for path in ["files/whole", "files/lost", "files/short", "files/other", "kept/a", "open/gone"] {
        put_ok(&app.service(), path, "12345").await;
    }
    put_ok(&app.service().header("x-upsert", "true"), "kept/a", "now").await;
    app.service().delete("/storage/v1/object/open/gone").await;
    app
}

#[tokio::test]
async fn what_fits_together_is_left_alone() {
    let app = with_files().await;
    for options in [LOOK, DEEP, MEND] {
        let report = run(&app, options).await;
        assert_eq!(kinds(&report), []);
        assert_eq!((report.objects, report.versions, report.blobs, report.bytes), (5, 1, 7, 33));
    }
    assert_eq!(get(&app.service(), "files/whole").await.text(), "12345");
}

#[tokio::test]
async fn what_is_wrong_is_told_and_mended() {
    let app = with_files().await;
    let service = app.service();
    let stray = BlobId::random();
    write(&app, stray, b"nobody's").await;
    let lost = blob_of(&app, "files/lost").await;
    app.app.blobs.delete(vec![lost]).await.unwrap();
    write(&app, blob_of(&app, "files/short").await, b"123").await;
    write(&app, blob_of(&app, "files/other").await, b"54321").await;
    let version: Uuid = service.get("/storage/v1/version/kept/a").await.json()[0]["version"].as_str().unwrap().parse().unwrap();
    app.app.blobs.delete(vec![version.into()]).await.unwrap();

    let all = [ProblemKind::MissingBytes, ProblemKind::WrongHash, ProblemKind::WrongSize, ProblemKind::MissingBytes, ProblemKind::StrayBytes];
    let shallow: Vec<ProblemKind> = all.into_iter().filter(|kind| *kind != ProblemKind::WrongHash).collect();
    assert_eq!(kinds(&run(&app, LOOK).await), shallow, "by sizes alone");
    let found = run(&app, DEEP).await;
    assert_eq!((kinds(&found), found.left()), (all.to_vec(), 5));
    let told: Vec<_> = found.problems.iter().map(|problem| (problem.name.clone().unwrap_or_default(), problem.detail.clone())).collect();
    assert_eq!(told[0], ("files/lost".to_owned(), "there should be 5 bytes and there are none".to_owned()));
    assert_eq!(told[2], ("files/short".to_owned(), "there should be 5 bytes and there are 3".to_owned()));
    assert_eq!((told[3].0.as_str(), found.problems[3].tenant.as_deref()), ("kept/a", Some("default")));
    assert_eq!((found.problems[4].blob, told[4].1.as_str()), (Some(stray.uuid()), "8 bytes belong to nothing"));
    // New bytes may be about to get their row, while a server runs.
    assert_eq!(kinds(&run(&app, CheckOptions { offline: false, ..LOOK }).await), shallow[..3]);
    assert_eq!(get(&service, "files/lost").await.json()["error"], "Not found", "looking changes nothing");

    let mended = run(&app, MEND).await;
    assert_eq!((kinds(&mended), mended.left()), (all.to_vec(), 0));
    assert_eq!(kinds(&run(&app, DEEP).await), []);
    assert_eq!(get(&service, "files/lost").await.json()["error"], "not_found");
    assert_eq!((get(&service, "files/short").await.text(), get(&service, "files/other").await.text()), ("123".to_owned(), "54321".to_owned()));
    assert_eq!(service.get("/storage/v1/version/kept/a").await.json(), json!([]));
    assert_eq!((get(&service, "files/whole").await.text(), get(&service, "kept/a").await.text()), ("12345".to_owned(), "now".to_owned()));
    assert_eq!(app.app.blobs.size(stray).await.unwrap(), None);
    let told = app.operator().get("/admin/v1/tenants/default/storage").await.json();
    assert_eq!((&told["bytes"], &told["objects"]), (&json!(16), &json!(4)));
}

#[tokio::test]
async fn what_is_counted_wrongly_is_counted_again() {
    let app = with_files().await;
    let wrong =
        |tx: basalt::db::Tx| async move { tx.query("UPDATE storage_usage SET bytes = bytes + 1000 WHERE tenant_id = $1").bind(1).execute().await };
    app.app.db.write(wrong).await.unwrap();
    let found = run(&app, LOOK).await;
    assert_eq!((kinds(&found), found.left()), (vec![ProblemKind::WrongCount], 1));
    assert_eq!(run(&app, MEND).await.left(), 0);
    assert_eq!(kinds(&run(&app, LOOK).await), []);
    assert_eq!(app.operator().get("/admin/v1/tenants/default/storage").await.json()["bytes"], 28);
}

#[tokio::test]
async fn an_upload_whose_part_is_lost_ends() {
    let app = app().await;
    let told = "bucketName ZmlsZXM=,objectName eA==";
    let client = app.service().header("tus-resumable", "1.0.0").header("upload-metadata", told).header("upload-length", "10");
    let begun =
        client.header("content-type", "application/offset+octet-stream").send(http::Method::POST, "/storage/v1/upload/resumable", "12345").await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    assert_eq!(kinds(&run(&app, DEEP).await), []);
    let (part,): (Uuid,) = app.app.db.read().await.unwrap().query("SELECT blob_id FROM upload_parts").fetch_one().await.unwrap();
    app.app.blobs.delete(vec![part.into()]).await.unwrap();
    assert_eq!(kinds(&run(&app, LOOK).await), [ProblemKind::MissingBytes]);
    assert_eq!(run(&app, MEND).await.left(), 0);
    let place = begun.header("location").parse::<url::Url>().unwrap().path().to_owned();
    assert_eq!(app.service().header("tus-resumable", "1.0.0").head(&place).await.status, 404);
    assert_eq!(kinds(&run(&app, LOOK).await), []);
}

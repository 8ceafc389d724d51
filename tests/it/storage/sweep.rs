use std::{path::Path, task::Poll, time::Duration};

use axum::body::Body;
use basalt::{blobs::BlobId, storage::sweep};
use bytes::Bytes;
use http::Method;
use uuid::Uuid;

use super::{app, get, put, put_ok};
use crate::support::TestApp;

async fn loose(app: &TestApp) -> Vec<(Uuid, String)> {
    app.app.db.read().await.unwrap().query("SELECT blob_id, state FROM loose_blobs ORDER BY since").fetch_all().await.unwrap()
}

async fn blob_of(app: &TestApp, path: &str) -> BlobId {
    get(&app.service(), &format!("info/{path}")).await.json()["version"].as_str().unwrap().parse::<Uuid>().unwrap().into()
}

async fn has_bytes(app: &TestApp, blob: BlobId) -> bool {
    app.app.blobs.read(blob, 0..1).await.unwrap().is_some()
}

#[tokio::test]
async fn bytes_that_no_object_names_are_removed_after_a_while() {
    let app = app().await;
    put_ok(&app.service(), "files/a", "one").await;
    put_ok(&app.service(), "files/b", "kept").await;
    let replaced = blob_of(&app, "files/a").await;
    put_ok(&app.service().header("x-upsert", "true"), "files/a", "two").await;
    let removed = blob_of(&app, "files/a").await;
    app.service().delete("/storage/v1/object/files/a").await;
    assert_eq!(sweep(&app.app).await.unwrap(), 0, "who has just read the row may still open the bytes");
    assert!(has_bytes(&app, replaced).await && has_bytes(&app, removed).await);

    app.app.clock.advance(Duration::from_mins(2));
    assert_eq!(sweep(&app.app).await.unwrap(), 2);
    assert!(!has_bytes(&app, replaced).await && !has_bytes(&app, removed).await);
    assert_eq!(loose(&app).await, []);
    assert_eq!(get(&app.service(), "files/b").await.text(), "kept");
}

#[tokio::test]
async fn what_a_failed_upload_left_is_removed() {
    let app = app().await;
    put_ok(&app.service(), "files/a", "one").await;
    let broken = vec![Ok(Bytes::from(vec![0; 200_000])), Err(std::io::Error::other("gone"))];
    let body = Body::from_stream(futures_util::stream::iter(broken));
    assert_eq!(app.service().send(Method::POST, "/storage/v1/object/files/b", body).await.status, 400);
    // Refused before any byte was taken: there is no note.
    assert_eq!(put(&app.service(), "files/a", "two").await.status, 400);
    let left = loose(&app).await;
    assert_eq!(left.len(), 1);
    app.app.clock.advance(Duration::from_mins(2));
    sweep(&app.app).await.unwrap();
    assert_eq!(loose(&app).await, []);
    assert!(!has_bytes(&app, left[0].0.into()).await);
}

#[tokio::test]
async fn what_a_crash_left_is_removed_once_no_upload_can_be_under_way() {
    let app = app().await;
    let blob = BlobId::random();
    // As it is when the process ends between the bytes and the row.
    let (id, now) = (blob.uuid(), app.app.clock.now());
    let insert = move |tx: basalt::db::Tx| async move {
        tx.query("INSERT INTO loose_blobs (tenant_id, blob_id, state, since) VALUES (1, $1, 'uploading', $2)").bind(id).bind(now).execute().await
    };
    app.app.db.write(insert).await.unwrap();
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"left"))]);
    app.app.blobs.put(blob, body, 10, async { Ok(()) }).await.unwrap();

    app.app.clock.advance(Duration::from_hours(23));
    assert_eq!(sweep(&app.app).await.unwrap(), 0, "the upload may still be under way");
    assert!(has_bytes(&app, blob).await);
    app.app.clock.advance(Duration::from_hours(2));
    assert_eq!(sweep(&app.app).await.unwrap(), 1);
    assert!(!has_bytes(&app, blob).await);
}

/// Lets a future run for a number of polls only, and then drops it, as when a client goes away.
async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut polls = 0;
    std::future::poll_fn(|cx| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

fn files_below(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn an_upload_dropped_at_any_step_is_whole_or_leaves_nothing() {
    let app = app().await;
    let mut finished = 0;
    for size in [10, 300_000] {
        for polls in 0..24 {
            let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![7; size]))]);
            let path = format!("/storage/v1/object/files/{size}/{polls}");
            let client = app.service();
            let reply = poll_times(client.send(Method::POST, &path, Body::from_stream(body)), polls).await;
            finished += usize::from(reply.is_some_and(|reply| reply.status == 200));
        }
    }
    assert!(finished > 0, "some had enough time");
    app.app.clock.advance(Duration::from_hours(25));
    let mut files = 0;
    // What was handed to the database and to the disk runs on to its end.
    for _ in 0..10_000 {
        app.app.clock.advance(Duration::from_hours(25));
        sweep(&app.app).await.unwrap();
        files = files_below(&app.app.config.data_dir.join("blobs"));
        let rows: Vec<(Uuid,)> = app.app.db.read().await.unwrap().query("SELECT blob_id FROM objects").fetch_all().await.unwrap();
        for (blob,) in &rows {
            assert!(has_bytes(&app, (*blob).into()).await, "an object without bytes");
        }
        if files == rows.len() && loose(&app).await.is_empty() {
            assert!(rows.len() >= finished);
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{files} files, {:?}", loose(&app).await);
}

#[tokio::test]
async fn an_upload_that_took_too_long_does_not_become_an_object() {
    let app = app().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = Body::from_stream(futures_util::stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|item| (item, receiver))));
    let client = app.service();
    let upload = tokio::spawn(async move { client.send(Method::POST, "/storage/v1/object/files/slow", body).await });
    sender.send(Ok(Bytes::from_static(b"a"))).await.unwrap();
    while loose(&app).await.is_empty() {
        tokio::task::yield_now().await;
    }
    app.app.clock.advance(Duration::from_hours(25));
    sweep(&app.app).await.unwrap();
    drop(sender);
    let reply = upload.await.unwrap();
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(get(&app.service(), "files/slow").await.status, 400);
    app.app.clock.advance(Duration::from_mins(2));
    sweep(&app.app).await.unwrap();
    assert_eq!(loose(&app).await, [], "its bytes are not forgotten");
}

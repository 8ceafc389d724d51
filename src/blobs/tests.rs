//! One contract, every place.

use futures_util::{TryStreamExt, stream};

use super::*;
use crate::config::BlobsS3;

type Chunks = Vec<std::result::Result<Bytes, &'static str>>;

fn bytes(size: usize) -> Bytes {
    (0..size).map(|n| u8::try_from(n * 31 % 251).unwrap_or_default()).collect::<Vec<_>>().into()
}

fn chunks(whole: &Bytes, size: usize) -> Chunks {
    whole.chunks(size.max(1)).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect()
}

fn noted() -> impl Future<Output = Result<()>> {
    std::future::ready(Ok(()))
}

async fn content(blobs: &Blobs, id: BlobId, range: Range<u64>) -> Option<Vec<u8>> {
    let reader = blobs.read(id, range).await.unwrap()?;
    Some(
        reader
            .try_fold(Vec::new(), |mut all, piece| async move {
                all.extend_from_slice(&piece);
                Ok(all)
            })
            .await
            .unwrap(),
    )
}

async fn keeps_the_contract(blobs: &Blobs) {
    for size in [0, 1, 1000, SMALL, SMALL + 1, 300_000, 3_000_000, 8 << 20, (8 << 20) + 1, 20_000_000] {
        let (id, whole) = (BlobId::random(), bytes(size));
        let stored = blobs.put(id, stream::iter(chunks(&whole, 70_001)), size as u64, noted()).await.unwrap();
        assert_eq!(stored.size, size as u64);
        assert_eq!(stored.sha256, *aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &whole).as_ref());
        assert!(content(blobs, id, 0..size as u64).await.unwrap() == whole, "{size} bytes come back");
        let (from, to) = (size / 3, size - size / 5);
        assert!(content(blobs, id, from as u64..to as u64).await.unwrap() == whole[from..to], "a range of {size} bytes");
    }
    copies_and_deletes(blobs).await;
    leaves_nothing_of_what_failed(blobs).await;
}

async fn copies_and_deletes(blobs: &Blobs) {
    let (id, copy, whole) = (BlobId::random(), BlobId::random(), bytes(100_000));
    let stored = blobs.put(id, stream::iter(chunks(&whole, 4096)), u64::MAX, noted()).await.unwrap();
    let shelf = id.uuid().as_bytes()[0];
    let listed = blobs.list(shelf).await.unwrap().into_iter().find(|listed| listed.id == id).unwrap();
    assert_eq!((listed.size, blobs.size(id).await.unwrap()), (100_000, Some(100_000)));
    assert!(blobs.list(shelf.wrapping_add(1)).await.unwrap().iter().all(|listed| listed.id != id));
    assert_eq!(blobs.inspect(id).await.unwrap(), Some(stored));
    assert_eq!((blobs.size(BlobId::random()).await.unwrap(), blobs.inspect(BlobId::random()).await.unwrap()), (None, None));
    assert!(blobs.copy(id, copy).await.unwrap());
    assert!(!blobs.copy(BlobId::random(), BlobId::random()).await.unwrap(), "nothing to copy");
    blobs.delete(vec![id, BlobId::random()]).await.unwrap();
    assert_eq!(content(blobs, id, 0..10).await, None);
    assert_eq!(content(blobs, id, 0..0).await, None);
    assert!(content(blobs, copy, 0..100_000).await.unwrap() == whole, "a copy outlives the original");
    blobs.delete(vec![copy, copy]).await.unwrap();
    assert_eq!(content(blobs, copy, 0..100_000).await, None);
}

async fn leaves_nothing_of_what_failed(blobs: &Blobs) {
    for size in [10, 200_000, 10_000_000] {
        let (id, whole) = (BlobId::random(), bytes(size));
        let outcome = blobs.put(id, stream::iter(chunks(&whole, 50_000)), size as u64 - 1, noted()).await;
        assert!(matches!(outcome, Err(PutError::TooLarge)));
        assert_eq!(content(blobs, id, 0..1).await, None);

        let mut broken = chunks(&whole, 50_000);
        broken.push(Err("gone"));
        let outcome = blobs.put(id, stream::iter(broken), u64::MAX, noted()).await;
        assert!(matches!(outcome, Err(PutError::Body("gone"))));
        assert_eq!(content(blobs, id, 0..1).await, None);

        let outcome = blobs.put(id, stream::iter(chunks(&whole, 50_000)), u64::MAX, async { Err(Error::unavailable("no")) }).await;
        assert!(matches!(outcome, Err(PutError::Store(Error::Unavailable(_)))));
        assert_eq!(content(blobs, id, 0..1).await, None);
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    keeps_the_contract(&Blobs::memory()).await;
}

/// A server that speaks S3, as far as it is needed here, on a port of its own.
async fn s3_server(root: &std::path::Path) -> BlobsS3 {
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
    BlobsS3 {
        endpoint,
        region: "us-east-1".to_owned(),
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
        allow_http: true,
        path_style: true,
    }
}

#[tokio::test]
async fn s3_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("bucket")).unwrap();
    let settings = s3_server(directory.path()).await;
    let remote = Remote::s3("bucket", "some/prefix".to_owned(), &settings).unwrap();
    keeps_the_contract(&Blobs { place: Place::Remote(remote) }).await;
}

#[test]
fn a_directory_keeps_the_contract_and_no_staging_files() {
    let directory = tempfile::tempdir().unwrap();
    // Dropping the runtime waits for what still runs on its blocking pool.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { keeps_the_contract(&Blobs::in_directory(directory.path().into()).await.unwrap()).await });
    drop(runtime);
    assert_eq!(std::fs::read_dir(directory.path().join("staging")).unwrap().count(), 0);
}

#[tokio::test]
async fn uploads_to_a_directory_run_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::in_directory(directory.path().into()).await.unwrap();
    let puts = (0..64).map(|n| {
        let blobs = blobs.clone();
        async move {
            let (id, whole) = (BlobId::random(), bytes(n * 1000));
            blobs.put(id, stream::iter(chunks(&whole, 1000)), u64::MAX, noted()).await.unwrap();
            content(&blobs, id, 0..n as u64 * 1000).await.unwrap() == whole
        }
    });
    assert!(futures_util::future::join_all(puts).await.into_iter().all(|same| same));
}

#[tokio::test]
async fn sweeping_the_staging_directory_spares_what_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::in_directory(directory.path().into()).await.unwrap();
    let left = directory.path().join("staging/left");
    std::fs::write(&left, b"x").unwrap();
    blobs.sweep_staging(Duration::from_hours(1)).await.unwrap();
    assert!(left.exists());
    blobs.sweep_staging(Duration::ZERO).await.unwrap();
    assert!(!left.exists());
}

//! Blobs in an object store.
//!
//! A small body is one put. A larger one goes in parts of equal size (some stores insist on that), two on their way while the next
//! comes in. What an interrupted process leaves of a multipart upload only the store can see: give the bucket a lifecycle rule for it.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::{GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, aws::AmazonS3Builder, memory::InMemory, path::Path};
use tokio::task::JoinSet;

use super::{BlobId, BlobReader, Counted, Hasher, Listed, PutError, SMALL, Source, Stored, shelf_name};
use crate::{
    config::BlobsS3,
    error::{Error, Result},
};

/// The size of a part.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at a time.
const PARTS_UNDER_WAY: usize = 2;

#[derive(Clone)]
pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

impl Remote {
    pub(super) fn s3(bucket: &str, prefix: String, settings: &BlobsS3) -> Result<Self> {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_region(&settings.region)
            .with_allow_http(settings.allow_http)
            .with_virtual_hosted_style_request(!settings.path_style)
            // Bulk deletes are where S3's imitations differ most.
            .with_disable_bulk_delete(true);
        if !settings.endpoint.is_empty() {
            builder = builder.with_endpoint(&settings.endpoint);
        }
        if !settings.access_key_id.is_empty() {
            builder = builder.with_access_key_id(&settings.access_key_id).with_secret_access_key(&settings.secret_access_key);
        }
        let store = builder.build().map_err(|error| Error::invalid("blobs_s3", error.to_string()))?;
        Ok(Self { store: Arc::new(store), prefix })
    }

    pub(super) fn memory() -> Self {
        Self { store: Arc::new(InMemory::new()), prefix: String::new() }
    }

    fn path(&self, id: BlobId) -> Path {
        Path::from(format!("{}/{}", self.prefix, id.path()))
    }

    pub(super) async fn put<S, E, F>(&self, id: BlobId, mut body: Counted<S>, ready: F) -> Result<Stored, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        F: Future<Output = Result<()>> + Send,
    {
        let mut parts = Parts { hasher: Hasher::new(), left_over: None };
        let first = parts.next(&mut body).await?;
        ready.await?;
        let path = self.path(id);
        if parts.left_over.is_none() {
            self.store.put(&path, first).await.map_err(Error::internal)?;
            return Ok(parts.hasher.finish());
        }
        let upload = self.store.put_multipart(&path).await.map_err(Error::internal)?;
        let mut upload = AbortOnDrop { upload: Some(upload), under_way: JoinSet::new() };
        upload.send(first).await?;
        while parts.left_over.is_some() {
            upload.send(parts.next(&mut body).await?).await?;
        }
        upload.complete().await?;
        Ok(parts.hasher.finish())
    }

    pub(super) async fn read(&self, id: BlobId, range: Range<u64>) -> Result<Option<BlobReader>> {
        let size = range.end.saturating_sub(range.start);
        // A range of no bytes can't be asked for.
        let options = if size == 0 { GetOptions::new().with_head(true) } else { GetOptions::new().with_range(Some(range)) };
        let found = match self.store.get_opts(&self.path(id), options).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::internal(error)),
        };
        let source = match size {
            0 => Source::Whole(Some(Bytes::new())),
            size if size <= SMALL as u64 => Source::Whole(Some(found.bytes().await.map_err(Error::internal)?)),
            _ => Source::Remote(found.into_stream()),
        };
        Ok(Some(BlobReader(source)))
    }

    pub(super) async fn copy(&self, from: BlobId, to: BlobId) -> Result<bool> {
        match self.store.copy(&self.path(from), &self.path(to)).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::internal(error)),
        }
    }

    pub(super) async fn size(&self, id: BlobId) -> Result<Option<u64>> {
        match self.store.head(&self.path(id)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::internal(error)),
        }
    }

    pub(super) async fn list(&self, first: u8) -> Result<Vec<Listed>> {
        let prefix = Path::from(format!("{}/{}", self.prefix, shelf_name(first)));
        let mut objects = self.store.list(Some(&prefix));
        let mut found = Vec::new();
        while let Some(meta) = objects.try_next().await.map_err(Error::internal)? {
            if let Some(id) = meta.location.filename().and_then(BlobId::of_name) {
                let age = std::time::SystemTime::from(meta.last_modified).elapsed().ok();
                found.push(Listed { id, size: meta.size, age });
            }
        }
        Ok(found)
    }

    pub(super) async fn delete(&self, ids: Vec<BlobId>) -> Result<()> {
        let paths = futures_util::stream::iter(ids.into_iter().map(|id| Ok(self.path(id))).collect::<Vec<_>>()).boxed();
        let mut deleted = self.store.delete_stream(paths);
        loop {
            match deleted.try_next().await {
                Ok(Some(_)) | Err(object_store::Error::NotFound { .. }) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(Error::internal(error)),
            }
        }
    }
}

/// Cuts a body into parts of one size, hashing on the way.
struct Parts {
    hasher: Hasher,
    /// What came in beyond the last part; there is always some unless the body has ended.
    left_over: Option<Bytes>,
}

impl Parts {
    async fn next<S, E>(&mut self, body: &mut Counted<S>) -> Result<PutPayload, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let (mut chunks, mut size) = (Vec::new(), 0);
        loop {
            let chunk = match self.left_over.take() {
                Some(chunk) => Some(chunk),
                None => body.next().await?,
            };
            let Some(mut chunk) = chunk.filter(|chunk| !chunk.is_empty()) else { break };
            if size == PART {
                self.left_over = Some(chunk);
                break;
            }
            if chunk.len() > PART - size {
                self.left_over = Some(chunk.split_off(PART - size));
            }
            self.hasher.update(&chunk);
            size += chunk.len();
            chunks.push(chunk);
        }
        Ok(chunks.into_iter().collect())
    }
}

/// A multipart upload that is given up when it does not come to its end.
struct AbortOnDrop {
    upload: Option<Box<dyn MultipartUpload>>,
    under_way: JoinSet<object_store::Result<()>>,
}

impl AbortOnDrop {
    async fn send(&mut self, part: PutPayload) -> Result<()> {
        while self.under_way.len() >= PARTS_UNDER_WAY {
            self.finish_one().await?;
        }
        let upload = self.upload.as_mut().expect("an upload ends once");
        self.under_way.spawn(upload.put_part(part));
        Ok(())
    }

    async fn complete(mut self) -> Result<()> {
        while !self.under_way.is_empty() {
            self.finish_one().await?;
        }
        let upload = self.upload.as_mut().expect("an upload ends once");
        upload.complete().await.map_err(Error::internal)?;
        self.upload = None;
        Ok(())
    }

    async fn finish_one(&mut self) -> Result<()> {
        match self.under_way.join_next().await {
            Some(part) => part?.map_err(Error::internal),
            None => Ok(()),
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            tokio::spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "a multipart upload could not be given up; the store's lifecycle rule must remove it");
                }
            });
        }
    }
}

//! An upload becomes an object.
//!
//! Its parts are joined to one blob, which is hashed on the way. Only then one transaction makes the row and moves the offset to the end: who
//! asks for the offset and finds the upload whole can read the object.

use std::vec::IntoIter;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use super::{
    append::{Writer, keep},
    error::TusError,
};
use crate::{
    app::App,
    blobs::{BlobId, BlobReader, Stored},
    db::{Timestamp, Tx},
    error::Error,
    storage::{
        error::StorageError,
        model::ContentType,
        quota::Quotas,
        sql::{
            self,
            uploads::{self, Lease, Part},
        },
        upload::{self, Attributes, NewRow, abandon, give_up, note},
    },
};

impl Writer {
    /// Makes the object of all that came, with what is held as its last part.
    pub(super) async fn finish(&mut self) -> Result<(), TusError> {
        let mut parts = uploads::parts(&self.app.db.read().await?, self.lease.tenant, self.lease.upload).await?;
        let (blob, stored) = if let ([], [(part, stored)]) = (parts.as_slice(), self.held.as_slice()) {
            // What came in one piece is the object as it is.
            let whole = (BlobId::from(part.blob), stored.clone());
            self.held.clear();
            whole
        } else {
            parts.extend(self.held.iter().map(|(part, _)| *part));
            self.join(parts).await?
        };
        let made = self.make_object(blob, stored).await;
        if made.is_err() {
            abandon(&self.app, self.lease.tenant, blob).await;
        }
        made
    }

    /// One blob of all parts.
    async fn join(&self, parts: Vec<Part>) -> Result<(BlobId, Stored), TusError> {
        let (blob, tenant) = (BlobId::random(), self.lease.tenant);
        let body = joined(self.app.clone(), self.lease, parts);
        match self.app.blobs.put(blob, body, u64::MAX, note(&self.app, tenant, blob)).await {
            Ok(stored) => Ok((blob, stored)),
            Err(error) => {
                give_up(&self.app, tenant, blob).await;
                Err(error.into())
            }
        }
    }

    async fn make_object(&mut self, blob: BlobId, stored: Stored) -> Result<(), TusError> {
        let (now, upload, until) = (self.app.clock.now(), &self.way.upload, self.until());
        let attributes = Attributes {
            content_type: ContentType::read(Some(&upload.content_type)),
            cache_control: upload.cache_control.clone(),
            robots_tag: None,
            user_metadata: upload.user_metadata.clone(),
        };
        let object = upload::new_object(now, &self.way.key, self.way.rights.owner.clone(), (blob, stored), attributes)?;
        let lease = self.lease;
        let quotas = Quotas::of(&self.app, lease.tenant).await?;
        let size = object.size;
        let row = NewRow { bucket: upload.bucket_id.clone(), object, rights: self.way.rights.clone(), upsert: upload.upsert, quotas };
        let held: Vec<Part> = self.held.iter().map(|(part, _)| *part).collect();
        let make = move |tx: Tx| async move {
            if !uploads::keep_lease(&tx, lease, until).await? {
                return Ok(Err(TusError::lost_lease()));
            }
            if let Err(refusal) = upload::write_row(&tx, lease.tenant, now, &row).await? {
                return Ok(Err(refusal.into()));
            }
            for part in held {
                sql::discard_blob(&tx, lease.tenant, now, part.blob).await?;
            }
            uploads::finish(&tx, now, lease, size).await?;
            Ok(Ok(()))
        };
        self.app.db.write(make).await.map_err(StorageError::or_no_bucket)??;
        self.held.clear();
        Ok(())
    }
}

/// The bytes of parts, one after the other, with news of the writer between them.
fn joined(app: App, lease: Lease, parts: Vec<Part>) -> impl Stream<Item = Result<Bytes, TusError>> + Send {
    let joining = Joining { told: app.clock.now(), app, lease, parts: parts.into_iter(), reader: None };
    stream::try_unfold(joining, async |mut joining| Ok(joining.next().await?.map(|piece| (piece, joining))))
}

struct Joining {
    app: App,
    lease: Lease,
    parts: IntoIter<Part>,
    reader: Option<BlobReader>,
    /// When there was news the last time.
    told: Timestamp,
}

/// How often there is news while parts are joined.
const NEWS_EVERY_SECONDS: i64 = 2;

impl Joining {
    async fn next(&mut self) -> Result<Option<Bytes>, TusError> {
        loop {
            if let Some(reader) = &mut self.reader
                && let Some(piece) = reader.next().await
            {
                return Ok(Some(piece.map_err(Error::from)?));
            }
            let Some(part) = self.parts.next() else { return Ok(None) };
            let now = self.app.clock.now();
            if now >= self.told.plus_seconds(NEWS_EVERY_SECONDS) {
                keep(&self.app, self.lease).await?;
                self.told = now;
            }
            let size = u64::try_from(part.size).unwrap_or_default();
            let reader = self.app.blobs.read(BlobId::from(part.blob), 0..size).await?;
            self.reader = Some(reader.ok_or_else(|| Error::internal(format!("the bytes of a part are missing: {}", part.blob)))?);
        }
    }
}

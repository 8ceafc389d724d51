//! More bytes of an upload.
//!
//! The work runs on a task of its own: when the client goes away, what has come is made durable all the same, and an upload that is whole
//! becomes its object.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use uuid::Uuid;

use super::{
    checksum::Checksum,
    error::TusError,
    incoming::{End, Incoming},
    request::{UploadId, Uploader, describe, has_bytes, number},
};
use crate::{
    app::App,
    blobs::{BlobId, Stored},
    db::{Timestamp, Tx},
    error::Error,
    storage::{
        error::StorageError,
        model::{Bucket, ObjectKey},
        rules::{Content, Rights},
        sql::{
            self,
            uploads::{self, Lease, Part, Upload},
        },
        upload::{admit, give_up, note, raw},
    },
    tenants::TenantId,
};

/// How long an upload may wait for more bytes.
pub(super) const LIFE_SECONDS: i64 = 24 * 3600;
/// How long a writer is believed in without news. It gives news with every segment, and stock clients try again for nine seconds. That
/// bytes do not mix never depends on it.
const LEASE_SECONDS: i64 = 4;

/// Adds bytes to a resumable upload. With the last of them it becomes an object.
#[utoipa::path(patch, path = "/storage/v1/upload/resumable/{id}", tag = "storage",
    params(("id" = Uuid, Path, description = "The upload"), ("tus-resumable" = String, Header, description = "1.0.0"),
        ("upload-offset" = i64, Header, description = "How many bytes the upload has"),
        ("upload-length" = Option<i64>, Header, description = "How many it will have, where that was put off"),
        ("upload-checksum" = Option<String>, Header, description = "The digest of the body: sha256 and base64")),
    request_body(content((Vec<u8> = "application/offset+octet-stream"))), security(("apikey" = []), ("user" = [])), responses(
    (status = 204, headers(("upload-offset" = i64, description = "How many bytes the upload has now"))),
    (status = 404, content_type = "text/plain", body = String), (status = 409, content_type = "text/plain", body = String),
    (status = 423, content_type = "text/plain", body = String)))]
pub(in crate::storage) async fn append_to_upload(
    uploader: Uploader,
    State(app): State<App>,
    UploadId(id): UploadId,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, TusError> {
    let (tenant, upload) = (uploader.tenant.id, uploader.find(&app, id).await?);
    if !has_bytes(&headers) {
        return Err(TusError::new(415, "Content-Type should be application/offset+octet-stream"));
    }
    let offset = number(&headers, "upload-offset")?.ok_or_else(|| TusError::bad_request("Upload-Offset should be there"))?;
    if upload.finished_at.is_some() || offset != upload.received {
        return Err(TusError::wrong_offset());
    }
    let key = ObjectKey::read(&upload.name)?;
    let bucket = sql::find_bucket(&app.db.read().await?, tenant, &upload.bucket_id).await?.ok_or_else(StorageError::no_bucket)?;
    let rights = uploader.rights(&bucket, &key)?;
    let content = Content { kind: &upload.content_type, size: None, user_metadata: upload.user_metadata.as_ref().map(|json| &json.0) };
    admit(&app, tenant, &bucket.id, &rights.new_subject(key.as_str(), Some(content)), &rights, upload.upsert).await?;
    let most = most_bytes(&bucket, &app);
    let length = length(&upload, number(&headers, "upload-length")?, most)?;
    let left = length.unwrap_or(most).saturating_sub(offset);
    if number(&headers, "content-length")?.is_some_and(|announced| announced > left) {
        return Err(TusError::too_large());
    }
    let incoming = Incoming::new(raw(body), u64::try_from(left).unwrap_or_default(), Checksum::read(&headers)?);
    let written = write(app, Way { tenant, upload, key, rights, length }, incoming).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    describe(response.headers_mut(), Some(written.offset), written.expires_at, written.is_complete);
    Ok(response)
}

/// The most bytes of an upload to a bucket.
pub(super) fn most_bytes(bucket: &Bucket, app: &App) -> i64 {
    i64::try_from(bucket.size_limit(app.config.storage.max_upload_bytes)).unwrap_or(i64::MAX)
}

/// How long the upload will be, as far as that was said by now; it can be said once.
fn length(upload: &Upload, said: Option<i64>, most: i64) -> Result<Option<i64>, TusError> {
    match (upload.length, said) {
        (Some(known), Some(said)) if known != said => Err(TusError::bad_request(format!("Upload-Length was {known} before"))),
        (None, Some(said)) if said < upload.received => {
            Err(TusError::bad_request(format!("Upload-Length can't be less than the {} bytes that are here", upload.received)))
        }
        (None, Some(said)) if said > most => Err(TusError::too_large()),
        (known, said) => Ok(known.or(said)),
    }
}

/// An upload that may be written to.
pub(super) struct Way {
    pub(super) tenant: TenantId,
    pub(super) upload: Upload,
    pub(super) key: ObjectKey,
    pub(super) rights: Rights,
    /// How many bytes there will be, if that is known.
    pub(super) length: Option<i64>,
}

/// Where an upload is after a write.
pub(super) struct Written {
    pub(super) offset: i64,
    pub(super) expires_at: Timestamp,
    pub(super) is_complete: bool,
}

/// Writes a body to an upload, to the end of what comes.
pub(super) async fn write(app: App, way: Way, incoming: Incoming) -> Result<Written, TusError> {
    let lease = Lease { tenant: way.tenant, upload: way.upload.id, id: Uuid::new_v4(), received: way.upload.received };
    let writer = Writer { app, end: way.upload.received, way, lease, held: Vec::new(), is_free: false };
    tokio::spawn(writer.take_all(incoming)).await.map_err(Error::from)?
}

/// Who has the lease of an upload.
pub(super) struct Writer {
    pub(super) app: App,
    pub(super) way: Way,
    pub(super) lease: Lease,
    /// Where the upload would be with the parts held.
    end: i64,
    /// Parts that are durable and not yet in the row: the last, and those whose checksum is still to be seen.
    pub(super) held: Vec<(Part, Stored)>,
    /// Whether the lease was given back.
    is_free: bool,
}

impl Writer {
    async fn take_all(mut self, mut incoming: Incoming) -> Result<Written, TusError> {
        self.take_lease().await?;
        let outcome = self.take_segments(&mut incoming).await;
        if outcome.is_err() || !self.is_free {
            self.leave().await;
        }
        outcome
    }

    async fn take_lease(&self) -> Result<(), TusError> {
        let (lease, now, until) = (self.lease, self.app.clock.now(), self.until());
        if self.app.db.write(move |tx| async move { uploads::take_lease(&tx, now, lease, until).await }).await? {
            return Ok(());
        }
        match uploads::find(&self.app.db.read().await?, lease.tenant, lease.upload).await? {
            None => Err(TusError::not_found()),
            Some(upload) if upload.finished_at.is_some() || upload.received != lease.received => Err(TusError::wrong_offset()),
            Some(_) => Err(TusError::locked()),
        }
    }

    async fn take_segments(&mut self, incoming: &mut Incoming) -> Result<Written, TusError> {
        while incoming.has_more().await {
            let (part, stored) = self.store(incoming).await?;
            self.end += part.size;
            self.held.push((part, stored));
            if Some(self.end) == self.way.length || incoming.has_checksum() {
                self.keep_lease().await?;
            } else {
                self.add_held(incoming.end().is_some()).await?;
            }
        }
        match incoming.end() {
            Some(End::TooLong) => return Err(TusError::too_large()),
            Some(End::BrokenOff) if incoming.has_checksum() => return Err(broken_off()),
            _ => {}
        }
        if !incoming.is_right() {
            return Err(TusError::new(460, "Checksum Mismatch"));
        }
        let is_complete = Some(self.end) == self.way.length;
        if is_complete {
            self.finish().await?;
            self.is_free = true;
        } else if !self.held.is_empty() {
            self.add_held(true).await?;
        } else if incoming.end() == Some(End::BrokenOff) {
            return Err(broken_off());
        }
        Ok(Written { offset: self.end, expires_at: self.expires_at(), is_complete })
    }

    /// Makes the next segment durable.
    async fn store(&self, incoming: &mut Incoming) -> Result<(Part, Stored), TusError> {
        let (blob, tenant) = (BlobId::random(), self.lease.tenant);
        match self.app.blobs.put(blob, incoming.segment(), u64::MAX, note(&self.app, tenant, blob)).await {
            Ok(stored) => {
                let size = i64::try_from(stored.size).map_err(Error::internal)?;
                Ok((Part { start: self.end, size, blob: blob.uuid() }, stored))
            }
            Err(error) => {
                give_up(&self.app, tenant, blob).await;
                Err(error.into())
            }
        }
    }

    /// Moves the offset over the parts held; after the last of them the lease is free.
    async fn add_held(&mut self, is_last: bool) -> Result<(), TusError> {
        let parts: Vec<Part> = self.held.iter().map(|(part, _)| *part).collect();
        let until = if is_last { self.app.clock.now() } else { self.until() };
        let (lease, length, expires_at) = (self.lease, self.way.length, self.expires_at());
        let add = move |tx: Tx| async move {
            for part in parts {
                if !uploads::add_part(&tx, lease, part, length, until, expires_at).await? {
                    return Ok(false);
                }
                if !sql::finish_upload(&tx, lease.tenant, part.blob).await? {
                    return Err(Error::unavailable("the bytes took too long and were given up; send them again"));
                }
            }
            Ok(true)
        };
        if !self.app.db.write(add).await? {
            return Err(TusError::lost_lease());
        }
        self.held.clear();
        self.lease.received = self.end;
        self.is_free = is_last;
        Ok(())
    }

    /// Gives news, and learns whether somebody else has taken over.
    pub(super) async fn keep_lease(&self) -> Result<(), TusError> {
        keep(&self.app, self.lease).await
    }

    pub(super) fn until(&self) -> Timestamp {
        self.app.clock.now().plus_seconds(LEASE_SECONDS)
    }

    fn expires_at(&self) -> Timestamp {
        self.app.clock.now().plus_seconds(LIFE_SECONDS)
    }

    /// Leaves the upload to others, and what is held to the sweeper.
    async fn leave(&mut self) {
        let (lease, now) = (self.lease, self.app.clock.now());
        let held = std::mem::take(&mut self.held);
        let give_back = move |tx: Tx| async move {
            for (part, _) in held {
                sql::abandon_upload(&tx, lease.tenant, now, part.blob).await?;
            }
            uploads::leave(&tx, lease).await
        };
        if let Err(error) = self.app.db.write(give_back).await {
            tracing::warn!(%error, "what a write to an upload leaves is left to be found when its time is over");
        }
    }
}

/// Gives news of who has a lease.
pub(super) async fn keep(app: &App, lease: Lease) -> Result<(), TusError> {
    let until = app.clock.now().plus_seconds(LEASE_SECONDS);
    let kept = app.db.write(move |tx| async move { uploads::keep_lease(&tx, lease, until).await }).await?;
    if kept { Ok(()) } else { Err(TusError::lost_lease()) }
}

fn broken_off() -> TusError {
    TusError::bad_request("The body ended before its end")
}

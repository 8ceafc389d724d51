//! Bytes, kept under opaque ids: on the local disk, or in an object store.
//!
//! A blob is written once and never changed. What it is called, what type it has and who may read it is written in the database; here
//! is only its content. [`Blobs::put`] answers when the bytes are durable; whether they count is decided by a row that names their id.
//! A blob without a row is litter, which the owner of the rows removes: it must note the id before the bytes may stay (`ready`).
//!
//! Start with [`Blobs`]; `local.rs` and `remote.rs` are the two kinds of place.

mod local;
mod remote;
mod sniff;

use std::{
    borrow::Cow,
    fmt,
    ops::Range,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use uuid::Uuid;

use self::{
    local::{FileReader, Local},
    remote::Remote,
};
use crate::{
    config::{BlobLocation, Config},
    error::{Error, Result},
};

/// What is read whole in one piece, and written in one go.
const SMALL: usize = 64 * 1024;
/// The first bytes, by which the type of a file is known: archives have theirs behind the name of their first file or two.
const HEAD: usize = 4 * 1024;

/// Names the bytes of one blob. Random, so that ids spread evenly over directories and partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(Uuid);

impl BlobId {
    /// An id that was never used.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id as a database keeps it.
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// The blob's place below the root: `ab/ab01…`. One level of 256 directories holds millions of files on every file system we
    /// run on, and each new directory costs a commit of its own.
    fn path(self) -> String {
        let name = self.0.simple().to_string();
        format!("{}/{name}", &name[..2])
    }

    /// The id of the blob that is kept under this name, without its directory.
    fn of_name(name: &str) -> Option<Self> {
        Uuid::try_parse(name).ok().filter(|uuid| uuid.simple().to_string() == name).map(Self)
    }
}

/// How many shelves there are: directories, in which blobs lie by the first byte of their id.
pub const SHELVES: std::ops::RangeInclusive<u8> = 0..=u8::MAX;

fn shelf_name(first: u8) -> String {
    format!("{first:02x}")
}

/// A blob that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: BlobId,
    /// How many bytes it has.
    pub size: u64,
    /// How long it has been there, where that is known.
    pub age: Option<Duration>,
}

impl From<Uuid> for BlobId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number of bytes.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// The media type that the first of them look like, where they look like something.
    pub kind: Option<Cow<'static, str>>,
}

/// Why a blob was not written. Nothing of it is left, except what a crash may leave behind.
#[derive(Debug)]
pub enum PutError<E> {
    /// The body is larger than the limit.
    TooLarge,
    /// The body broke off or could not be read.
    Body(E),
    /// The store, or the note that has to come before the bytes, failed.
    Store(Error),
}

impl<E> From<Error> for PutError<E> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<E> From<std::io::Error> for PutError<E> {
    fn from(error: std::io::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A place for blobs. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Local(Local),
    Remote(Remote),
}

impl Blobs {
    /// Opens the place that the settings name, making a local directory when it is not there.
    pub async fn open(config: &Config) -> Result<Self> {
        let place = match config.blob_location() {
            BlobLocation::Directory(directory) => return Self::in_directory(directory).await,
            BlobLocation::S3 { bucket, prefix } => Place::Remote(Remote::s3(&bucket, prefix, &config.blobs_s3)?),
        };
        Ok(Self { place })
    }

    /// A place in a directory of this machine.
    pub async fn in_directory(directory: PathBuf) -> Result<Self> {
        Ok(Self { place: Place::Local(Local::open(directory).await?) })
    }

    /// A place in memory, for tests.
    pub fn memory() -> Self {
        Self { place: Place::Remote(Remote::memory()) }
    }

    /// Writes the whole of `body` under `id` and answers when it is durable.
    ///
    /// `ready` notes the id where it is found after a crash. It runs beside the first bytes where that saves time; the blob gets its
    /// place only after it succeeded.
    pub async fn put<S, E, F>(&self, id: BlobId, body: S, limit: u64, ready: F) -> Result<Stored, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Send,
        F: Future<Output = Result<()>> + Send,
    {
        let body = Counted { body: Box::pin(body), left: limit };
        match &self.place {
            Place::Local(local) => local.put(id, body, ready).await,
            Place::Remote(remote) => remote.put(id, body, ready).await,
        }
    }

    /// The bytes of `range`, which must lie within the blob; `None` when there is no such blob.
    pub async fn read(&self, id: BlobId, range: Range<u64>) -> Result<Option<BlobReader>> {
        match &self.place {
            Place::Local(local) => local.read(id, range),
            Place::Remote(remote) => remote.read(id, range).await,
        }
    }

    /// Gives the content of `from` a second id; false when there is no such blob. Answers when it is durable.
    pub async fn copy(&self, from: BlobId, to: BlobId) -> Result<bool> {
        match &self.place {
            Place::Local(local) => local.copy(from, to).await,
            Place::Remote(remote) => remote.copy(from, to).await,
        }
    }

    /// Removes blobs, for good once this answers; ids without a blob are passed over.
    pub async fn delete(&self, ids: Vec<BlobId>) -> Result<()> {
        match &self.place {
            Place::Local(local) => local.delete(ids).await,
            Place::Remote(remote) => remote.delete(ids).await,
        }
    }

    /// How many bytes a blob has; `None` when there is no such blob.
    pub async fn size(&self, id: BlobId) -> Result<Option<u64>> {
        match &self.place {
            Place::Local(local) => local.size(id).await,
            Place::Remote(remote) => remote.size(id).await,
        }
    }

    /// The blobs on one of the [`SHELVES`].
    pub async fn list(&self, first: u8) -> Result<Vec<Listed>> {
        match &self.place {
            Place::Local(local) => local.list(first).await,
            Place::Remote(remote) => remote.list(first).await,
        }
    }

    /// Reads a blob to its end, for what it is now; `None` when there is no such blob.
    pub async fn inspect(&self, id: BlobId) -> Result<Option<Stored>> {
        let Some(size) = self.size(id).await? else { return Ok(None) };
        let Some(mut reader) = self.read(id, 0..size).await? else { return Ok(None) };
        let mut hasher = Hasher::new();
        while let Some(piece) = reader.next().await {
            hasher.update(&piece?);
        }
        Ok(Some(hasher.finish()))
    }

    /// Removes what interrupted uploads left in the staging directory, when it is older than `age`.
    pub async fn sweep_staging(&self, age: Duration) -> Result<()> {
        match &self.place {
            Place::Local(local) => local.sweep_staging(age).await,
            Place::Remote(_) => Ok(()),
        }
    }
}

/// The bytes of a blob on their way out.
pub struct BlobReader(Source);

enum Source {
    Whole(Option<Bytes>),
    File(FileReader),
    Remote(BoxStream<'static, object_store::Result<Bytes>>),
}

impl BlobReader {
    /// All of it, when it is here already.
    pub fn into_whole(self) -> Result<Bytes, Self> {
        match self.0 {
            Source::Whole(Some(bytes)) => Ok(bytes),
            source => Err(Self(source)),
        }
    }
}

impl Stream for BlobReader {
    type Item = std::io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.get_mut().0 {
            Source::Whole(bytes) => Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty()).map(Ok)),
            Source::File(file) => file.poll_next_unpin(cx),
            Source::Remote(stream) => stream.poll_next_unpin(cx).map_err(std::io::Error::other),
        }
    }
}

/// A body that may not grow past its limit.
struct Counted<S> {
    body: Pin<Box<S>>,
    left: u64,
}

impl<S, E> Counted<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    async fn next(&mut self) -> Result<Option<Bytes>, PutError<E>> {
        let Some(chunk) = self.body.next().await else { return Ok(None) };
        let chunk = chunk.map_err(PutError::Body)?;
        self.left = self.left.checked_sub(chunk.len() as u64).ok_or(PutError::TooLarge)?;
        Ok(Some(chunk))
    }

    /// Chunks of at least `enough` bytes together, fewer at the end; and whether this was the end.
    async fn gather(&mut self, enough: usize) -> Result<(Vec<Bytes>, bool), PutError<E>> {
        let (mut chunks, mut size) = (Vec::new(), 0);
        while size < enough {
            let Some(chunk) = self.next().await? else { return Ok((chunks, true)) };
            size += chunk.len();
            chunks.push(chunk);
        }
        Ok((chunks, false))
    }
}

/// SHA-256, length and likely type of what passes by.
struct Hasher {
    context: aws_lc_rs::digest::Context,
    size: u64,
    head: Vec<u8>,
}

impl Hasher {
    fn new() -> Self {
        Self { context: aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256), size: 0, head: Vec::new() }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.size += bytes.len() as u64;
        let wanted = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
    }

    fn finish(self) -> Stored {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.context.finish().as_ref());
        Stored { size: self.size, sha256, kind: sniff::kind(&self.head).map(Cow::Borrowed) }
    }
}

#[cfg(test)]
mod tests;

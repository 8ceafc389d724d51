//! Blobs on the local disk.
//!
//! A body is written to a file in `staging/`, hashed on the way, synced, then renamed into its place and the directory synced. The
//! syncs of many uploads run side by side on the blocking pool, where the file system joins them into few commits.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use super::{BlobId, BlobReader, Counted, Hasher, Listed, PutError, SMALL, Source, Stored, shelf_name};
use crate::error::{Error, Result};

/// What is handed to the blocking pool at a time while a large body comes in.
const BATCH: usize = 1024 * 1024;
/// The pieces in which a large blob is read.
const PIECE: u64 = 256 * 1024;

#[derive(Clone)]
pub(super) struct Local(Arc<Directory>);

struct Directory {
    root: PathBuf,
    staging: PathBuf,
    /// The directories known to be there, by their two letters.
    made: Mutex<HashSet<String>>,
}

impl Local {
    pub(super) async fn open(root: PathBuf) -> Result<Self> {
        let staging = root.join("staging");
        let made = staging.clone();
        spawn_blocking(move || fs::create_dir_all(made)).await??;
        Ok(Self(Arc::new(Directory { root, staging, made: Mutex::default() })))
    }

    pub(super) async fn put<S, E, F>(&self, id: BlobId, body: Counted<S>, ready: F) -> Result<Stored, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        F: Future<Output = Result<()>> + Send,
    {
        let ready = ready.map(|result| result.map_err(PutError::Store));
        let (staged, ()) = tokio::try_join!(self.stage(body), ready)?;
        let directory = Arc::clone(&self.0);
        Ok(blocking(move || directory.publish(staged, id)).await?)
    }

    /// Writes the body to a staging file and syncs it.
    async fn stage<S, E>(&self, mut body: Counted<S>) -> Result<Staged, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
    {
        let (first, mut ended) = body.gather(SMALL + 1).await?;
        let directory = Arc::clone(&self.0);
        if ended {
            return Ok(blocking(move || directory.create()?.write(&first)?.finish()).await?);
        }
        // While one batch is written, the next comes in.
        let mut writing = spawn_blocking(move || directory.create()?.write(&first));
        while !ended {
            let (batch, last) = body.gather(BATCH).await?;
            let writer = joined(writing.await)?;
            writing = spawn_blocking(move || writer.write(&batch));
            ended = last;
        }
        let writer = joined(writing.await)?;
        Ok(blocking(move || writer.finish()).await?)
    }

    pub(super) fn read(&self, id: BlobId, range: Range<u64>) -> Result<Option<BlobReader>> {
        let file = match File::open(self.0.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut reader = FileReader { file: Arc::new(file), next: range.start, end: range.end, reading: None };
        let size = range.end.saturating_sub(range.start);
        if size > SMALL as u64 {
            return Ok(Some(BlobReader(Source::File(reader))));
        }
        // One short read costs less in place than the way to another thread, unless the disk has to be asked.
        let whole = match reader.read_now(size) {
            Some(bytes) if bytes.len() as u64 == size => bytes,
            _ => return Ok(Some(BlobReader(Source::File(reader)))),
        };
        Ok(Some(BlobReader(Source::Whole(Some(whole)))))
    }

    pub(super) async fn copy(&self, from: BlobId, to: BlobId) -> Result<bool> {
        let directory = Arc::clone(&self.0);
        blocking(move || directory.copy(from, to)).await
    }

    pub(super) async fn delete(&self, ids: Vec<BlobId>) -> Result<()> {
        let directory = Arc::clone(&self.0);
        blocking(move || directory.delete(&ids)).await
    }

    pub(super) async fn size(&self, id: BlobId) -> Result<Option<u64>> {
        let path = self.0.path(id);
        blocking(move || match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    pub(super) async fn list(&self, first: u8) -> Result<Vec<Listed>> {
        let directory = self.0.root.join(shelf_name(first));
        blocking(move || list(&directory)).await
    }

    pub(super) async fn sweep_staging(&self, age: Duration) -> Result<()> {
        let staging = self.0.staging.clone();
        blocking(move || sweep(&staging, age)).await
    }
}

impl Directory {
    fn path(&self, id: BlobId) -> PathBuf {
        self.root.join(id.path())
    }

    /// A new file in the staging directory.
    fn create(&self) -> io::Result<Writer> {
        let path = self.staging.join(Uuid::new_v4().simple().to_string());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok(Writer { file, hasher: Hasher::new(), temporary: Temporary(Some(path)) })
    }

    /// Moves a synced file into its place, for good.
    fn publish(&self, mut staged: Staged, id: BlobId) -> io::Result<Stored> {
        let parent = self.parent(id)?;
        let path = staged.temporary.0.as_ref().expect("a staged file is published once");
        fs::rename(path, self.path(id))?;
        staged.temporary.0 = None;
        File::open(parent)?.sync_all()?;
        Ok(staged.stored)
    }

    /// The directory of a blob, made when it is not there.
    fn parent(&self, id: BlobId) -> io::Result<PathBuf> {
        let name = id.path()[..2].to_owned();
        let path = self.root.join(&name);
        if !self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(&name) {
            fs::create_dir_all(&path)?;
            File::open(&self.root)?.sync_all()?;
            self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        }
        Ok(path)
    }

    /// By a hard link, as blobs never change; by copying where the file system has none.
    fn copy(&self, from: BlobId, to: BlobId) -> io::Result<bool> {
        let parent = self.parent(to)?;
        let (from, target) = (self.path(from), self.path(to));
        match fs::hard_link(&from, &target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(_) => {
                let mut writer = self.create()?;
                io::copy(&mut File::open(&from)?, &mut writer.file)?;
                self.publish(writer.finish()?, to)?;
            }
        }
        File::open(parent)?.sync_all()?;
        Ok(true)
    }

    fn delete(&self, ids: &[BlobId]) -> io::Result<()> {
        let mut touched = HashSet::new();
        for &id in ids {
            match fs::remove_file(self.path(id)) {
                Ok(()) => touched.insert(id.path()[..2].to_owned()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
        }
        for name in touched {
            File::open(self.root.join(name))?.sync_all()?;
        }
        Ok(())
    }
}

/// A staging file while it is written.
struct Writer {
    file: File,
    hasher: Hasher,
    temporary: Temporary,
}

impl Writer {
    fn write(mut self, chunks: &[Bytes]) -> io::Result<Self> {
        for chunk in chunks {
            self.hasher.update(chunk);
            self.file.write_all(chunk)?;
        }
        Ok(self)
    }

    fn finish(self) -> io::Result<Staged> {
        self.file.sync_all()?;
        Ok(Staged { stored: self.hasher.finish(), temporary: self.temporary })
    }
}

/// A staging file that is complete and synced.
struct Staged {
    stored: Stored,
    temporary: Temporary,
}

/// A file that goes away unless it was renamed. It travels with the work on it, so it also goes when the upload is given up meanwhile.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // What can't be removed now is swept later.
            let _ = fs::remove_file(path);
        }
    }
}

fn sweep(staging: &Path, age: Duration) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let entry = entry?;
        let old = entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|since| since >= age));
        if old {
            // An upload may have finished in this moment.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// A large blob, read piece by piece.
pub(super) struct FileReader {
    file: Arc<File>,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl FileReader {
    /// Reads at most `size` bytes if they are in memory already; this never waits for the disk.
    #[cfg(target_os = "linux")]
    fn read_now(&mut self, size: u64) -> Option<Bytes> {
        use rustix::io::{ReadWriteFlags, preadv2};

        let mut piece = vec![0; usize::try_from(size).ok()?];
        let read = preadv2(&self.file, &mut [io::IoSliceMut::new(&mut piece)], self.next, ReadWriteFlags::NOWAIT).ok()?;
        if read == 0 && size > 0 {
            return None;
        }
        piece.truncate(read);
        Some(Bytes::from(piece))
    }

    #[cfg(not(target_os = "linux"))]
    fn read_now(&mut self, _: u64) -> Option<Bytes> {
        None
    }

    fn read_later(&self, size: u64) -> JoinHandle<io::Result<Vec<u8>>> {
        let (file, offset) = (Arc::clone(&self.file), self.next);
        spawn_blocking(move || read_at(&file, offset, size))
    }
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut piece, offset)?;
    Ok(piece)
}

#[cfg(not(unix))]
fn read_at(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek};

    let mut file = file.try_clone()?;
    let mut piece = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(&mut piece)?;
    Ok(piece)
}

impl Stream for FileReader {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let size = self.end.saturating_sub(self.next).min(PIECE);
        if size == 0 {
            return Poll::Ready(None);
        }
        if self.reading.is_none() {
            if let Some(piece) = self.read_now(size) {
                self.next += piece.len() as u64;
                return Poll::Ready(Some(Ok(piece)));
            }
            self.reading = Some(self.read_later(size));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let result = ready!(reading.poll_unpin(cx)).unwrap_or_else(|error| Err(io::Error::other(error)));
        self.reading = None;
        match result {
            Ok(piece) => {
                self.next += piece.len() as u64;
                Poll::Ready(Some(Ok(Bytes::from(piece))))
            }
            Err(error) => {
                self.end = self.next;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    joined(spawn_blocking(work).await)
}

fn joined<T>(result: Result<io::Result<T>, tokio::task::JoinError>) -> Result<T> {
    result.map_err(Error::from)?.map_err(told)
}

/// A disk that is full is nobody's fault here, and may have room again soon: the client is told.
fn told(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            tracing::error!(%error, "the disk of the files takes no more");
            Error::unavailable("the disk of the files is full")
        }
        _ => error.into(),
    }
}

/// The blobs in one of the directories.
fn list(directory: &Path) -> io::Result<Vec<Listed>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(BlobId::of_name) else { continue };
        match entry.metadata() {
            Ok(metadata) => found.push(Listed { id, size: metadata.len(), age: metadata.modified().ok().and_then(|at| at.elapsed().ok()) }),
            // Swept since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

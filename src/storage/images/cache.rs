//! Pictures that were made, in a directory of this node.
//!
//! A file is named by the version of its source and by what was done to it, so it is never old and may be removed at any time. What can't be
//! read or written is made again: nobody fails for want of the cache.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::picture::{Made, MadeFormat};
use crate::{blobs::BlobId, crypto::hex};

pub(super) struct Cache {
    root: PathBuf,
    /// The most bytes that it keeps; none is no cache.
    most: u64,
}

/// The name of what was made of a blob.
pub(super) struct Key {
    blob: Uuid,
    done: String,
}

impl Key {
    /// `done` says all that makes a difference.
    pub(super) fn new(blob: Uuid, done: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, done.as_bytes());
        Self { blob, done: hex(&digest.as_ref()[..16]) }
    }

    fn path(&self, root: &Path, format: MadeFormat) -> PathBuf {
        shelf(root, self.blob).join(format!("{}-{}.{}", self.blob.simple(), self.done, format.ending()))
    }
}

fn shelf(root: &Path, blob: Uuid) -> PathBuf {
    root.join(format!("{:02x}", blob.as_bytes()[0]))
}

impl Cache {
    pub(super) fn new(root: PathBuf, most: u64) -> Self {
        Self { root, most }
    }

    pub(super) async fn find(&self, key: Key) -> Option<Made> {
        let root = self.root.clone();
        let read = move || MadeFormat::ALL.into_iter().find_map(|format| fs::read(key.path(&root, format)).ok().map(|bytes| Made { format, bytes }));
        spawn_blocking(read).await.ok()?
    }

    pub(super) async fn keep(&self, key: Key, made: Made) {
        if self.most == 0 {
            return;
        }
        let root = self.root.clone();
        let outcome = spawn_blocking(move || write(&key.path(&root, made.format), &made.bytes)).await;
        if let Ok(Err(error)) = outcome {
            tracing::warn!(%error, "a picture that was made could not be kept");
        }
    }

    /// Removes what was made of these blobs.
    pub(super) async fn forget(&self, blobs: Vec<BlobId>) {
        let root = self.root.clone();
        let remove = move || {
            for blob in blobs {
                let beginning = blob.uuid().simple().to_string();
                let entries = fs::read_dir(shelf(&root, blob.uuid())).into_iter().flatten().flatten();
                for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&beginning)) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        };
        let _ = spawn_blocking(remove).await;
    }

    /// Removes the oldest while there is more than there may be.
    pub(super) async fn tidy(&self) {
        let (root, most) = (self.root.clone(), self.most);
        let _ = spawn_blocking(move || tidy(&root, most)).await;
    }
}

/// Under its name a file is whole.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let unfinished = path.with_extension(format!("{}.part", Uuid::new_v4().simple()));
    let written = fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn tidy(root: &Path, most: u64) {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for shelf in fs::read_dir(root).into_iter().flatten().flatten() {
        for entry in fs::read_dir(shelf.path()).into_iter().flatten().flatten() {
            if let Ok(metadata) = entry.metadata() {
                files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len(), entry.path()));
            }
        }
    }
    files.sort_unstable();
    let mut size: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, bytes, path) in files {
        if size <= most {
            return;
        }
        if fs::remove_file(path).is_ok() {
            size -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(size: usize) -> Made {
        Made { format: MadeFormat::Png, bytes: vec![1; size] }
    }

    #[tokio::test]
    async fn what_was_made_is_found_until_it_is_forgotten_or_too_much() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().join("images"), 250);
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        cache.keep(Key::new(one, "a"), made(100)).await;
        cache.keep(Key::new(one, "b"), made(101)).await;
        cache.keep(Key::new(other, "a"), made(102)).await;
        assert_eq!(cache.find(Key::new(one, "a")).await.unwrap().bytes.len(), 100);
        assert!(cache.find(Key::new(one, "c")).await.is_none());
        cache.tidy().await;
        let mut left = 0;
        for (blob, done) in [(one, "a"), (one, "b"), (other, "a")] {
            left += usize::from(cache.find(Key::new(blob, done)).await.is_some());
        }
        assert_eq!(left, 2);
        cache.keep(Key::new(other, "a"), made(102)).await;
        cache.forget(vec![BlobId::from(one)]).await;
        assert!(cache.find(Key::new(one, "a")).await.is_none() && cache.find(Key::new(one, "b")).await.is_none());
        assert!(cache.find(Key::new(other, "a")).await.is_some());
    }
}

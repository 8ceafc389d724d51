//! A body as something that can be read on a thread of its own: straight from the network, or from a file that it was put in first.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek as _, Write as _},
    path::Path,
};

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Pieces of a body on their way to who reads it.
const WAITING: usize = 4;

/// A body as it arrives. Reading it blocks.
pub(super) struct Arriving {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Arriving {
    /// The body, fetched by a task of its own that ends with whoever reads.
    pub(super) fn new(mut body: Body) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            while let Some(frame) = body.frame().await {
                let piece = match frame.map(http_body::Frame::into_data) {
                    Ok(Ok(piece)) => Ok(piece),
                    Ok(Err(_)) => continue,
                    Err(_) => Err(io::Error::other("the body ended before its end")),
                };
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Self { pieces, piece: Bytes::new() }
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Puts all of a text into a file that has no name any more, so that nothing is left of it whatever happens. Blocks.
pub(super) fn set_aside(mut text: impl Read, directory: &Path) -> io::Result<File> {
    let path = directory.join(format!("load-{}", Uuid::now_v7()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    std::fs::remove_file(&path)?;
    io::copy(&mut text, &mut file)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

//! The body of a request, cut into segments.

use std::{convert::Infallible, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::checksum::Checksum;
use crate::storage::error::StorageError;

/// The most bytes of a segment: as many are lost at most when the process dies, and sent once more.
const SEGMENT: u64 = 16 * 1024 * 1024;
/// As long does a segment wait for more bytes, so that what comes slowly becomes durable, too, and there is news of who sends it.
const LONGEST: Duration = Duration::from_secs(2);

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    BrokenOff,
    /// There is more than there may be.
    TooLong,
}

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, StorageError>> + Send>>;

/// A body on its way in.
pub(super) struct Incoming {
    body: Body,
    /// How many bytes may still come.
    left: u64,
    /// What came and belongs to the next segment; never empty.
    next: Option<Bytes>,
    end: Option<End>,
    checksum: Option<Checksum>,
}

impl Incoming {
    pub(super) fn new(body: impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static, left: u64, checksum: Option<Checksum>) -> Self {
        Self { body: Box::pin(body), left, next: None, end: None, checksum }
    }

    /// Waits until there are bytes for another segment; false when there are none any more.
    pub(super) async fn has_more(&mut self) -> bool {
        while self.next.is_none() && self.end.is_none() {
            let chunk = self.body.next().await;
            self.take(chunk);
        }
        self.next.is_some()
    }

    /// How the body ended, if it did.
    pub(super) fn end(&self) -> Option<End> {
        self.end.filter(|_| self.next.is_none())
    }

    pub(super) fn has_checksum(&self) -> bool {
        self.checksum.is_some()
    }

    /// Whether the bytes are those that were meant, as far as that was said.
    pub(super) fn is_right(&mut self) -> bool {
        self.checksum.take().is_none_or(Checksum::holds)
    }

    /// The next segment.
    pub(super) fn segment(&mut self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + '_ {
        let until = Instant::now() + LONGEST;
        stream::unfold((self, SEGMENT, until), async |(incoming, room, until)| {
            let chunk = incoming.next_chunk(room, until).await?;
            let room = room - chunk.len() as u64;
            Some((Ok(chunk), (incoming, room, until)))
        })
    }

    async fn next_chunk(&mut self, room: u64, until: Instant) -> Option<Bytes> {
        if room == 0 {
            return None;
        }
        while self.next.is_none() && self.end.is_none() {
            // Only the waiting is given up: what comes later is the next segment's.
            let chunk = timeout_at(until, self.body.next()).await.ok()?;
            self.take(chunk);
        }
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut chunk = self.next.take()?;
        if chunk.len() > room {
            self.next = Some(chunk.split_off(room));
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&chunk);
        }
        Some(chunk)
    }

    fn take(&mut self, chunk: Option<Result<Bytes, StorageError>>) {
        match chunk {
            None => self.end = Some(End::Whole),
            Some(Err(_)) => self.end = Some(End::BrokenOff),
            Some(Ok(chunk)) if chunk.is_empty() => {}
            Some(Ok(chunk)) => match self.left.checked_sub(chunk.len() as u64) {
                None => self.end = Some(End::TooLong),
                Some(left) => (self.left, self.next) = (left, Some(chunk)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: Vec<Result<usize, ()>>) -> impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static {
        let chunks = chunks.into_iter().map(|chunk| chunk.map(|size| Bytes::from(vec![7; size])).map_err(|()| StorageError::invalid("gone")));
        stream::iter(chunks.collect::<Vec<_>>())
    }

    async fn segments(mut incoming: Incoming) -> (Vec<u64>, Option<End>) {
        let mut sizes = Vec::new();
        while incoming.has_more().await {
            let size = incoming.segment().map(|chunk| chunk.unwrap_or_default().len() as u64).fold(0, async |sum, size| sum + size).await;
            sizes.push(size);
        }
        (sizes, incoming.end())
    }

    #[tokio::test]
    async fn a_body_is_cut_whatever_its_chunks() {
        let more = usize::try_from(SEGMENT).unwrap() + 5;
        for (chunks, sizes, end) in [
            (vec![], vec![], End::Whole),
            (vec![Ok(0), Ok(3), Ok(0), Ok(4)], vec![7], End::Whole),
            (vec![Ok(3), Err(())], vec![3], End::BrokenOff),
            (vec![Err(())], vec![], End::BrokenOff),
            (vec![Ok(more), Ok(5)], vec![SEGMENT, 10], End::Whole),
            (vec![Ok(more - 5)], vec![SEGMENT], End::Whole),
        ] {
            assert_eq!(segments(Incoming::new(body(chunks), u64::MAX, None)).await, (sizes, Some(end)));
        }
        assert_eq!(segments(Incoming::new(body(vec![Ok(3), Ok(4)]), 6, None)).await, (vec![3], Some(End::TooLong)));
        assert_eq!(segments(Incoming::new(body(vec![Ok(3), Ok(3)]), 6, None)).await, (vec![6], Some(End::Whole)));
    }
}

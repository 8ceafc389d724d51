//! A connection as hyper sees it: bytes whose framing is clear, from a client that keeps moving.
//!
//! hyper bounds the time between requests; what happens inside one is bounded here, where the bytes pass: a head must be whole in time,
//! and a body, in either direction, must neither stand still for long nor trickle.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::framing::{Framing, Phase};
use crate::config;

/// How patient a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Bytes of a request's head at most.
    max_head: usize,
    /// From the first byte of a head (or the connection's opening) to its last.
    head: Duration,
    /// How long a body may stand still.
    stall: Duration,
    /// The slowest body, in bytes a second; 0 takes any.
    min_rate: u64,
}

/// A body may keep us waiting this long before its rate counts.
const GRACE: Duration = Duration::from_secs(10);

/// How long a client that is still sending is listened to after an answer that ended the connection. Closing at once would reset the
/// connection, and the client would lose the answer that tells it why.
const LINGER: Duration = Duration::from_secs(2);

impl Patience {
    pub(crate) fn of(config: &config::Http) -> Self {
        Self {
            max_head: config.max_header_bytes,
            head: Duration::from_secs(config.header_timeout_seconds),
            stall: Duration::from_secs(config.transfer_stall_seconds),
            min_rate: config.transfer_min_bytes_per_second,
        }
    }

    /// When a transfer that began to wait at `since` has waited too long.
    fn deadline(&self, since: Instant, pace: &Pace) -> Instant {
        let earned = pace.bytes.checked_div(self.min_rate).map(|seconds| GRACE + Duration::from_secs(seconds));
        let allowed = earned.map_or(self.stall, |earned| earned.saturating_sub(pace.waited).min(self.stall));
        since + allowed
    }
}

/// How far a transfer got, and how long it kept us waiting.
#[derive(Default)]
struct Pace {
    bytes: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    fn wait(&mut self) -> Instant {
        *self.waiting_since.get_or_insert_with(Instant::now)
    }

    /// Whether `deadline` has passed; if not, the task is woken when it does.
    fn is_over(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx).is_ready()
    }
}

/// The connection.
pub(crate) struct Wire<S> {
    stream: S,
    framing: Framing,
    patience: Patience,
    /// When the head that is being read began: at the opening of the connection, or with its first byte.
    head_began: Option<Instant>,
    /// What is left of the bytes given in place of refused ones; after them the connection is at its end.
    instead: Option<&'static [u8]>,
    reading: Pace,
    writing: Pace,
    linger_until: Option<Instant>,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, patience: Patience) -> Self {
        Self {
            stream,
            framing: Framing::new(patience.max_head),
            patience,
            head_began: Some(Instant::now()),
            instead: None,
            reading: Pace::default(),
            writing: Pace::default(),
            linger_until: None,
        }
    }

    /// Notes what came; replaces it from the byte on that must not be read.
    fn arrived(&mut self, before: usize, buf: &mut ReadBuf<'_>) {
        let new = &buf.filled()[before..];
        self.reading.moved(new.len());
        if let Err(refused) = self.framing.check(new) {
            buf.set_filled(before + refused.at);
            self.instead = Some(refused.instead);
            self.give_instead(buf);
        }
        match self.framing.phase() {
            Phase::Idle => (self.head_began, self.reading.bytes, self.reading.waited) = (None, 0, Duration::ZERO),
            Phase::Head => self.head_began = self.head_began.or_else(|| Some(Instant::now())),
            Phase::Body => self.head_began = None,
        }
    }

    fn give_instead(&mut self, buf: &mut ReadBuf<'_>) {
        if let Some(instead) = &mut self.instead {
            let (now, later) = instead.split_at(instead.len().min(buf.remaining()));
            buf.put_slice(now);
            *instead = later;
        }
    }

    fn read_is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let since = self.reading.wait();
        let deadline = match (self.framing.phase(), self.head_began) {
            (Phase::Body, _) => self.patience.deadline(since, &self.reading),
            (_, Some(began)) => began + self.patience.head,
            // Between requests hyper's own time-out rules.
            (_, None) => return false,
        };
        self.reading.is_over(deadline, cx)
    }

    fn written(&mut self, result: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => self.writing.moved(bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let since = self.writing.wait();
                if self.writing.is_over(self.patience.deadline(since, &self.writing), cx) {
                    return Poll::Ready(Err(overdue("the client takes the answer too slowly")));
                }
            }
        }
        result
    }
}

fn overdue(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.instead.is_some() {
            wire.give_instead(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut wire.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                wire.arrived(before, buf);
                Poll::Ready(Ok(()))
            }
            Poll::Pending if wire.read_is_overdue(cx) => Poll::Ready(Err(overdue("the client sends too slowly"))),
            other => other,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let result = Pin::new(&mut wire.stream).poll_write(cx, buf);
        wire.written(result, cx)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let result = Pin::new(&mut wire.stream).poll_write_vectored(cx, bufs);
        wire.written(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(Pin::new(&mut wire.stream).poll_shutdown(cx))?;
        if wire.instead.is_none() && wire.framing.phase() != Phase::Body {
            return Poll::Ready(Ok(()));
        }
        wire.linger(cx).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Drops what the client still sends, until it has understood or its time is over.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.linger_until.get_or_insert_with(|| Instant::now() + LINGER);
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && Instant::now() < deadline => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.writing.is_over(deadline, cx) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_may_wait_for_its_stall_or_for_what_its_bytes_earned_whichever_is_less() {
        let patience = Patience { max_head: 0, head: Duration::ZERO, stall: Duration::from_secs(30), min_rate: 512 };
        let allowed = |patience: &Patience, bytes, waited| {
            let since = Instant::now();
            let pace = Pace { bytes, waited: Duration::from_secs(waited), ..Pace::default() };
            (patience.deadline(since, &pace) - since).as_secs()
        };
        assert_eq!(allowed(&patience, 0, 0), 10, "the grace");
        assert_eq!(allowed(&patience, 512 * 5, 0), 15, "and a second for each 512 bytes");
        assert_eq!(allowed(&patience, 512 * 5, 12), 3, "less what was waited before");
        assert_eq!(allowed(&patience, 512 * 5, 20), 0, "a trickle has no more to wait");
        assert_eq!(allowed(&patience, 512 * 1000, 0), 30, "but never longer than a stall");
        assert_eq!(allowed(&Patience { min_rate: 0, ..patience }, 0, 500), 30, "any rate will do");
    }
}

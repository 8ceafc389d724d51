//! What a handler left unread of a request's body.
//!
//! Who refuses a request does so without reading its body. hyper then closes the connection without having said so in the answer, and a
//! client that sends head and body apart meets a connection that breaks: before the answer has come, or under its next request. So what
//! is left of a body is read and thrown away while that is little, and else the answer says that the connection ends with it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{Request, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

/// As much is thrown away for the sake of the connection. The largest JSON body fits.
const LITTLE: u64 = 2 * 1024 * 1024;

/// As long is waited for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a body goes that is dropped before its end.
#[derive(Debug)]
pub(super) struct Leftover {
    place: Arc<Mutex<Option<Body>>>,
    /// The client has not begun to send the body and won't, now that it has an answer.
    unsent: bool,
}

impl Leftover {
    /// Watches over the body of a request, if it has one.
    pub(super) fn watch(request: &mut Request<Body>) -> Option<Self> {
        if request.body().is_end_stream() {
            return None;
        }
        let place = Arc::default();
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(Watched { body: Some(body), place: Arc::clone(&place) });
        Some(Self { place, unsent: request.headers().contains_key(header::EXPECT) })
    }

    /// Reads the rest, if there is one. Says whether the connection can be used again.
    pub(super) async fn clear(self) -> bool {
        let left = self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        match left {
            None => true,
            Some(_) if self.unsent => false,
            Some(body) => tokio::time::timeout(PATIENCE, read_away(body)).await.unwrap_or(false),
        }
    }
}

async fn read_away(mut body: Body) -> bool {
    let mut left = LITTLE;
    while body.size_hint().lower() <= left {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len) as u64) {
                Some(rest) => left = rest,
                None => return false,
            },
        }
    }
    false
}

/// Hands itself over when it is dropped before its end.
struct Watched {
    /// `None` once it has ended.
    body: Option<Body>,
    place: Arc<Mutex<Option<Body>>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

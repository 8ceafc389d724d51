//! Reading a request's body into memory, never more of it than was said.

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than it may be.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// How many bytes it may have.
        limit: usize,
    },
    /// It is not JSON, or not of the shape that is asked for.
    #[error("{0}")]
    BadJson(String),
    /// It says itself that it is something else.
    #[error("the body should be application/json, not {0}")]
    WrongType(String),
    /// It ended before its end.
    #[error("the body ended before its end")]
    Interrupted,
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::WrongType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BodyError::BadJson(_) | BodyError::Interrupted => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

/// Reads the whole body, up to `limit` bytes.
pub async fn read_bytes(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let too_large = || BodyError::TooLarge { limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut whole = Bytes::new();
    let mut pieces = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| BodyError::Interrupted)?.into_data() else { continue };
        if whole.len() + pieces.len() + piece.len() > limit {
            return Err(too_large());
        }
        // Nearly every body comes in one piece, which then needs no copy.
        if whole.is_empty() && pieces.is_empty() {
            whole = piece;
        } else {
            pieces.extend_from_slice(&std::mem::take(&mut whole));
            pieces.extend_from_slice(&piece);
        }
    }
    Ok(if pieces.is_empty() { whole } else { pieces.freeze() })
}

/// Reads the body as JSON, up to `limit` bytes. An empty body is read as an empty object, as the wires' own servers do.
pub async fn read_json<T: DeserializeOwned>(request: Request<Body>, limit: usize) -> Result<T, BodyError> {
    let (parts, body) = request.into_parts();
    let bytes = read_bytes(body, limit).await?;
    parse_json(&parts.headers, &bytes)
}

/// Parses a body that was read already; see [`read_json`].
pub fn parse_json<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, BodyError> {
    let text = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(text).map_err(|error| match other_type(headers) {
        // `curl -d '{…}'` calls JSON a form: what parses is taken, and the type is blamed only for what doesn't.
        Some(other) if error.is_syntax() => BodyError::WrongType(other.to_owned()),
        _ => BodyError::BadJson(error.to_string()),
    })
}

/// The body's type, if it says one other than JSON.
fn other_type(headers: &HeaderMap) -> Option<&str> {
    let essence = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
    let is_json = essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json");
    (!is_json).then_some(essence)
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn pieces(pieces: &[&'static str]) -> Body {
        let frames: Vec<_> = pieces.iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_whatever_its_pieces() {
        for body in [&["abcdef"][..], &["abc", "def"], &["a", "bc", "", "def"]] {
            assert_eq!(read_bytes(pieces(body), 6).await.unwrap(), "abcdef");
            assert_eq!(read_bytes(pieces(body), 5).await, Err(BodyError::TooLarge { limit: 5 }));
        }
        assert_eq!(read_bytes(Body::from("abcdef"), 5).await, Err(BodyError::TooLarge { limit: 5 }));
    }

    #[tokio::test]
    async fn json_is_judged_by_its_content_first() {
        let read = async |kind: Option<&str>, text: &'static str| {
            let mut request = Request::new(Body::from(text));
            if let Some(kind) = kind {
                request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
            }
            read_json::<serde_json::Map<String, serde_json::Value>>(request, 100).await.map(|map| map.len()).map_err(|e| e.to_string())
        };
        assert_eq!(read(None, "").await, Ok(0));
        assert_eq!(read(Some("application/x-www-form-urlencoded"), r#"{"a":1}"#).await, Ok(1));
        assert_eq!(read(Some("text/csv; charset=utf-8"), "a,b").await.unwrap_err(), "the body should be application/json, not text/csv");
        assert_eq!(read(Some("application/json; charset=utf-8"), "{").await.unwrap_err(), "EOF while parsing an object at line 1 column 1");
        assert_eq!(read(None, "[]").await.unwrap_err(), "invalid type: sequence, expected a map at line 1 column 0");
    }
}

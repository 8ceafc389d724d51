//! What the client says that the bytes of a request are: `Content-Digest` and `Repr-Digest` (RFC 9530), `Content-MD5`.
//!
//! They are digested as they pass, and what turns out to be something else ends as a body that broke off does: nothing of it stays.

use aws_lc_rs::digest::{Context, SHA256, SHA512};
use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use md5::{Digest as _, Md5};

use super::error::{Code, StorageError};
use crate::crypto::same;

/// A digest in the making, and what it should become.
struct Digest {
    state: State,
    wanted: Vec<u8>,
    header: &'static str,
}

enum State {
    Sha(Context),
    Md5(Md5),
}

/// All that a request tells of its bytes.
pub(super) struct Digests(Vec<Digest>);

impl Digests {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, StorageError> {
        let mut digests = Vec::new();
        for header in ["content-digest", "repr-digest"] {
            let told: Vec<&str> = headers.get_all(header).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).collect();
            let known = told.iter().filter_map(|member| read_member(header, member).transpose()).collect::<Result<Vec<_>, _>>()?;
            if known.is_empty() && headers.contains_key(header) {
                return Err(StorageError::invalid(format!("{header} should have a sha-256 or a sha-512")));
            }
            digests.extend(known);
        }
        if let Some(value) = headers.get("content-md5") {
            let wanted = value.to_str().ok().and_then(|text| STANDARD.decode(text.trim()).ok()).filter(|wanted| wanted.len() == 16);
            let wanted = wanted.ok_or_else(|| StorageError::invalid("content-md5 should be an MD5 in base64"))?;
            digests.push(Digest { state: State::Md5(Md5::new()), wanted, header: "content-md5" });
        }
        Ok(Self(digests))
    }

    /// Whether nothing was told.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same bytes, and an error at their end when they are others than was told.
    pub(super) fn watch<S>(self, body: S) -> impl Stream<Item = Result<Bytes, StorageError>> + Send
    where
        S: Stream<Item = Result<Bytes, StorageError>> + Send,
    {
        stream::try_unfold((Box::pin(body), Some(self)), async |(mut body, mut digests)| {
            let Some(watched) = &mut digests else { return Ok(None) };
            let Some(chunk) = body.next().await.transpose()? else {
                digests.take().map_or(Ok(()), Self::check)?;
                return Ok(None);
            };
            watched.update(&chunk);
            Ok(Some((chunk, (body, digests))))
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        for digest in &mut self.0 {
            match &mut digest.state {
                State::Sha(context) => context.update(bytes),
                State::Md5(context) => context.update(bytes),
            }
        }
    }

    fn check(self) -> Result<(), StorageError> {
        for Digest { state, wanted, header } in self.0 {
            let holds = match state {
                State::Sha(context) => same(context.finish().as_ref(), &wanted),
                State::Md5(context) => same(context.finalize().as_slice(), &wanted),
            };
            if !holds {
                return Err(StorageError::new(Code::BadDigest, format!("the bytes are not those that {header} tells of")));
            }
        }
        Ok(())
    }
}

/// `sha-256=:BASE64:`; none for an algorithm that is not known.
fn read_member(header: &'static str, member: &str) -> Result<Option<Digest>, StorageError> {
    let (name, value) = member.trim().split_once('=').unwrap_or_default();
    let algorithm = match name.to_ascii_lowercase().as_str() {
        "sha-256" => &SHA256,
        "sha-512" => &SHA512,
        _ => return Ok(None),
    };
    let value = value.strip_prefix(':').and_then(|value| value.strip_suffix(':'));
    let wanted = value.and_then(|value| STANDARD.decode(value).ok()).filter(|wanted| wanted.len() == algorithm.output_len());
    let wanted = wanted.ok_or_else(|| StorageError::invalid(format!("{header} should be like {name}=:BASE64:")))?;
    Ok(Some(Digest { state: State::Sha(Context::new(algorithm)), wanted, header }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(sha-256|sha-512|md5)?=?:?[A-Za-z0-9+/=]{0,60}:?(, ?sha-256=::)?") {
            let mut headers = HeaderMap::new();
            headers.insert("content-digest", text.parse().unwrap());
            headers.insert("content-md5", text.parse().unwrap());
            let _ = Digests::read(&headers);
        }
    }
}

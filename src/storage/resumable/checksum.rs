//! `Upload-Checksum`: the digest that the bytes of one request must have.

use aws_lc_rs::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use axum::http::HeaderMap;
use base64::Engine as _;

use super::{error::TusError, request::text};
use crate::crypto::same;

/// The algorithms, as `Tus-Checksum-Algorithm` lists them. TUS asks for SHA-1 of every server.
pub(super) const ALGORITHMS: &str = "sha1,sha256,sha384,sha512";

/// A digest in the making, and what it should become.
pub(super) struct Checksum {
    context: Context,
    wanted: Vec<u8>,
}

impl Checksum {
    /// Reads the header, if it is there.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, TusError> {
        if !headers.contains_key("upload-checksum") {
            return Ok(None);
        }
        let wrong = || TusError::bad_request(format!("Upload-Checksum should be one of {ALGORITHMS}, a blank, and the digest in base64"));
        let (name, digest) = text(headers, "upload-checksum").and_then(|text| text.split_once(' ')).ok_or_else(wrong)?;
        let algorithm: &'static Algorithm = match name.to_ascii_lowercase().as_str() {
            "sha1" => &SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => &SHA256,
            "sha384" => &SHA384,
            "sha512" => &SHA512,
            _ => return Err(wrong()),
        };
        let wanted = base64::engine::general_purpose::STANDARD.decode(digest.trim()).map_err(|_| wrong())?;
        if wanted.len() == algorithm.output_len() { Ok(Some(Self { context: Context::new(algorithm), wanted })) } else { Err(wrong()) }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// Whether the bytes are those that were meant.
    pub(super) fn holds(self) -> bool {
        same(self.context.finish().as_ref(), &self.wanted)
    }
}

//! Whether a file is what it is said to be.
//!
//! A bucket that takes only some types takes a file whose declared type is one of them and whose first bytes do not say otherwise. They are
//! for checking alone: what a file is served as is what its uploader declared.

use super::{
    error::{Code, StorageError},
    model::{Bucket, ContentType, MimePattern, Object, essence},
};

/// Types that are known by their first bytes, whatever else is in the file.
const MARKED: [&str; 10] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/avif",
    "application/pdf",
    "application/zip",
    "application/gzip",
];

impl Bucket {
    /// Whether it takes an object that lies in another.
    pub(super) fn takes_object(&self, object: &Object) -> Result<(), StorageError> {
        self.takes_bytes(&ContentType::read(Some(&object.content_type)), object.found_type.as_deref(), object.size)
    }

    /// Whether it takes a file of this type, whose `size` bytes look like `found`.
    pub(super) fn takes_bytes(&self, kind: &ContentType, found: Option<&str>, size: i64) -> Result<(), StorageError> {
        self.takes(kind)?;
        let patterns = self.mime_patterns();
        if patterns.is_empty() || size == 0 {
            return Ok(());
        }
        let declared = essence(kind.as_str()).to_ascii_lowercase();
        match found {
            Some(found) if is_allowed(found, &patterns) || is_form_of(found, &declared) => Ok(()),
            Some(found) => Err(wrong(format!("mime type {found} is not supported: that is what the file's bytes are, declared as {declared}"))),
            None if MARKED.contains(&declared.as_str()) => {
                Err(wrong(format!("the file's bytes are not of the mime type {declared}, as which it was declared")))
            }
            None => Ok(()),
        }
    }
}

fn wrong(message: String) -> StorageError {
    StorageError::new(Code::InvalidMimeType, message)
}

fn is_allowed(found: &str, patterns: &[MimePattern]) -> bool {
    ContentType::read(Some(found)).is_allowed_by(patterns)
}

/// Whether a file of the declared type may well look like what was found: documents are archives or XML inside, and one picture is as good as
/// another. That stock clients declare a JPEG to be a PNG happens.
fn is_form_of(found: &str, declared: &str) -> bool {
    let (found_kind, found_form) = found.split_once('/').unwrap_or_default();
    let (kind, form) = declared.split_once('/').unwrap_or_default();
    let is_xml = |form: &str| form == "xml" || form.ends_with("+xml");
    match (found_kind, found_form) {
        _ if declared == "application/octet-stream" || declared == found => true,
        ("text" | "application", "xml") => is_xml(form),
        ("image", form) if is_xml(form) => false,
        ("image", _) => kind == "image" && !is_xml(form),
        ("audio" | "video", _) => matches!(kind, "audio" | "video"),
        ("font", _) => kind == "font" || form.starts_with("font-") || form.starts_with("x-font-"),
        ("application", "zip" | "gzip" | "x-ole-storage") => kind == "application",
        ("text", "x-shellscript") => kind == "text" && form != "html",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_taken_for_what_is_inside_them_and_pages_for_nothing_else() {
        for (found, declared) in [
            ("image/jpeg", "image/png"),
            ("application/zip", "application/vnd.oasis.opendocument.text"),
            ("text/xml", "image/svg+xml"),
            ("text/xml", "application/rss+xml"),
            ("video/mp4", "audio/mp4"),
            ("text/html", "application/octet-stream"),
            ("text/x-shellscript", "text/plain"),
        ] {
            assert!(is_form_of(found, declared), "{found} as {declared}");
        }
        for (found, declared) in [
            ("text/html", "image/png"),
            ("text/html", "text/plain"),
            ("image/svg+xml", "image/png"),
            ("text/xml", "image/png"),
            ("application/zip", "image/png"),
            ("application/pdf", "application/zip"),
            ("image/png", "image/svg+xml"),
            ("application/vnd.microsoft.portable-executable", "application/pdf"),
        ] {
            assert!(!is_form_of(found, declared), "{found} as {declared}");
        }
    }
}

//! What the first bytes of a file look like.

/// The media type of a file that begins like this, if it is one that shows.
pub(super) fn kind(head: &[u8]) -> Option<&'static str> {
    infer::get(head).map(|found| found.mime_type()).or_else(|| unmarked(head))
}

/// What may come after other bytes, and so has no mark at a place of its own.
fn unmarked(head: &[u8]) -> Option<&'static str> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if head.get(..head.len().min(1024)).is_some_and(|start| memchr::memmem::find(start, b"%PDF-").is_some()) {
        return Some("application/pdf");
    }
    if begins(text, b"<svg") {
        return Some("image/svg+xml");
    }
    if begins(text, b"<?xml") {
        return Some("text/xml");
    }
    [&b"<!doctype html"[..], b"<html", b"<head", b"<body", b"<script", b"<iframe"].iter().any(|start| begins(text, start)).then_some("text/html")
}

fn begins(text: &[u8], with: &[u8]) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (head, wanted) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"%PDF-1.7", Some("application/pdf")),
            (b"junk\n%PDF-1.7", Some("application/pdf")),
            (b"\xef\xbb\xbf <SVG onload=x>", Some("image/svg+xml")),
            (b"<?xml version='1.0'?><svg/>", Some("text/xml")),
            (b"  <!DOCTYPE html><p>", Some("text/html")),
            (b"\xef\xbb\xbf<html>", Some("text/html")),
            (b"<script>", Some("text/html")),
            (b"hello", None),
            (b"", None),
        ] {
            assert_eq!(kind(head), wanted, "{:?}", String::from_utf8_lossy(head));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(head in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = kind(&head);
        }
    }
}

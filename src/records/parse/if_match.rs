//! The `If-Match` header.

use crate::records::error::{RestError, RestResult};

/// Entity tags in one header, at the most.
const TAGS: usize = 100;

/// Which state a row must be in for a write to go ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// `*`: there must be one.
    Any,
    /// It must have one of these versions. A tag that is no version of ours fits none.
    Versions(Vec<i64>),
}

impl IfMatch {
    /// Reads every `If-Match` header of a request. A `W/` that a proxy put before a tag is passed over: a version is exact.
    pub(crate) fn parse<'h>(headers: impl Iterator<Item = &'h str>) -> RestResult<Option<Self>> {
        let text = headers.collect::<Vec<_>>().join(",");
        if text.trim().is_empty() {
            return Ok(None);
        }
        if text.trim() == "*" {
            return Ok(Some(Self::Any));
        }
        let mut versions = Vec::new();
        let mut rest = text.trim();
        let wrong = || RestError::parse("If-Match header", &text, 0, "expecting * or a list of quoted tags: \"7\"");
        let mut count = 0;
        while !rest.is_empty() {
            let opaque = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"').ok_or_else(wrong)?;
            let (tag, after) = opaque.split_once('"').ok_or_else(wrong)?;
            versions.extend(tag.parse::<i64>().ok());
            count += 1;
            rest = after.trim_start();
            if !rest.is_empty() {
                rest = rest.strip_prefix(',').ok_or_else(wrong)?.trim_start_matches([',', ' ', '\t']);
            }
            if count > TAGS {
                return Err(wrong());
            }
        }
        Ok(Some(Self::Versions(versions)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> RestResult<Option<IfMatch>> {
        IfMatch::parse([text].into_iter())
    }

    #[test]
    fn tags_are_read() {
        assert_eq!(parse("").unwrap(), None);
        assert_eq!(parse(" * ").unwrap(), Some(IfMatch::Any));
        assert_eq!(parse("\"7\"").unwrap(), Some(IfMatch::Versions(vec![7])));
        assert_eq!(parse("W/\"7\", \"abc\",\"8\" ,").unwrap(), Some(IfMatch::Versions(vec![7, 8])));
        for wrong in ["7", "\"7", "\"7\" \"8\"", "*, \"7\""] {
            assert_eq!(parse(wrong).unwrap_err().code, "PGRST100", "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[W/\"*, 0-9a-z]{0,30}|\\PC{0,30}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_spelled_is_read_back(versions in prop::collection::vec(any::<i64>(), 1..5)) {
            let text = versions.iter().map(|version| format!("\"{version}\"")).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(parse(&text).unwrap(), Some(IfMatch::Versions(versions)));
        }
    }
}

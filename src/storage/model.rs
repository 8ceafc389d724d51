//! Buckets and objects, and the checked words they are named and limited by.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value as JsonValue;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{Code, StorageError};
use crate::{
    crypto::hex,
    db::{Json, Timestamp},
    row_type,
};

/// The most bytes of an object's key.
const LONGEST_KEY: usize = 1024;

/// The key of an object: `folder/name.txt`.
///
/// One text, one object. Where Unicode has two spellings of a text, both are the same key: it is kept in the normal form C, so that a name
/// which a Mac spelled finds what a phone uploaded. Nothing else is changed, and what a file system, a browser or a proxy could take for
/// another key is refused: empty, `.` and `..` segments, controls, and ``\ ^ ` | { } [ ] < > # % " ~``.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ObjectKey(String);

impl ObjectKey {
    pub(super) fn read(text: &str) -> Result<Self, StorageError> {
        // Some characters become others, also such as are refused: what counts is what they become.
        let key = canonical(text);
        let segments_are_plain = || key.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        if !key.is_empty() && key.len() <= LONGEST_KEY && !key.contains(is_refused) && segments_are_plain() {
            Ok(Self(key.into_owned()))
        } else {
            Err(StorageError::new(Code::InvalidKey, format!("Invalid key: {text}")))
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What Studio uploads to make a folder be there.
    pub(super) fn is_folder_placeholder(&self) -> bool {
        is_placeholder(&self.0)
    }
}

/// Whether a key is that of what makes a folder be there; see [`ObjectKey::is_folder_placeholder`].
pub(super) fn is_placeholder(key: &str) -> bool {
    key.rsplit('/').next() == Some(".emptyFolderPlaceholder")
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The spelling of a text that keys are kept in.
fn canonical(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// What the keys begin with that are asked for. It is compared only, so nearly any text will do.
pub(super) fn beginning(field: &str, text: &str) -> Result<String, StorageError> {
    // PostgreSQL has no such text.
    if text.contains('\0') {
        return Err(StorageError::invalid(format!("body/{field} can't hold U+0000")));
    }
    Ok(canonical(text).into_owned())
}

/// Controls, what turns the direction of text or breaks its lines, and what has a meaning in URLs, markup and shells.
fn is_refused(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\\' | '^' | '`' | '|' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '%' | '"' | '~')
}

/// The name of a bucket, which is also its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BucketName(String);

impl BucketName {
    pub(super) fn read(text: &str) -> Result<Self, StorageError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_!.*'() &$=@;:+,?-".contains(c);
        let fits = (1..=100).contains(&text.len()) && text.chars().all(is_allowed) && text.trim() == text;
        if fits && !matches!(text, "." | "..") && !text.ends_with("--table-s3") {
            Ok(Self(text.to_owned()))
        } else {
            Err(StorageError::new(Code::InvalidBucketName, "Bucket name invalid"))
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How large a file may be: bytes, or text like `"20MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "20MB")]
pub(super) struct SizeLimit(pub(super) i64);

impl SizeLimit {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let exponent: u32 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "kb" => 3,
            "mb" => 6,
            "gb" => 9,
            "tb" => 12,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 12 {
            return None;
        }
        let scale = 10_i128.pow(exponent);
        let whole = whole.parse::<i64>().ok().map(i128::from)?.checked_mul(scale)?;
        let fraction =
            if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? * scale / 10_i128.pow(u32::try_from(fraction.len()).ok()?) };
        i64::try_from(whole + fraction).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for SizeLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = JsonValue::deserialize(deserializer)?;
        let size = match &value {
            JsonValue::Number(number) => number.as_i64().filter(|size| *size >= 0).map(Self),
            JsonValue::String(text) => Self::read(text),
            _ => None,
        };
        size.ok_or_else(|| de::Error::custom(format!("{value} is no size; write a number of bytes, or a text like \"20MB\"")))
    }
}

/// One entry of the types that a bucket takes: `image/png`, `image/*` or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = String, example = "image/*")]
pub(super) struct MimePattern(String);

impl<'de> Deserialize<'de> for MimePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| de::Error::custom(format!("\"{text}\" is no type; write TYPE/SUBTYPE, TYPE/* or *")))
    }
}

impl MimePattern {
    pub(super) fn read(text: &str) -> Option<Self> {
        let fits = match text.split_once('/') {
            Some((kind, subtype)) => is_token(kind) && is_token(subtype) && kind != "*",
            None => text == "*",
        };
        fits.then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn fits(&self, essence: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => essence.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
            None => self.0.eq_ignore_ascii_case(essence),
        }
    }
}

/// The media type of a file, checked: `text/plain; charset=utf-8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContentType(String);

impl ContentType {
    const UNKNOWN: &'static str = "application/octet-stream";

    /// What is no media type is taken for unknown bytes.
    pub(super) fn read(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default().trim();
        let printable = text.len() <= 255 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let is_type = essence(text).split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
        Self(if printable && is_type { text } else { Self::UNKNOWN }.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_allowed_by(&self, patterns: &[MimePattern]) -> bool {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.fits(essence(&self.0)))
    }
}

/// A media type without its parameters.
pub(super) fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// RFC 9110, 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

row_type! {
    /// A bucket as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct Bucket {
        pub(super) id: String,
        pub(super) public: bool,
        pub(super) file_size_limit: Option<i64>,
        pub(super) allowed_mime_types: Option<Json>,
        pub(super) owner_id: Option<String>,
        pub(super) created_at: Timestamp,
        pub(super) updated_at: Timestamp,
        /// The most bytes of all its files.
        pub(super) quota_bytes: Option<i64>,
        /// Whether what its objects were is kept.
        pub(super) versioning: bool,
        /// What is removed by itself; see [`super::lifecycle::Lifecycle`].
        pub(super) lifecycle: Option<Json>,
    }
}

impl Bucket {
    /// The types that it takes; none means all.
    pub(super) fn mime_patterns(&self) -> Vec<MimePattern> {
        let stored = self.allowed_mime_types.as_ref().map(|json| json.0.clone()).unwrap_or_default();
        serde_json::from_value(stored).unwrap_or_default()
    }

    /// The most bytes of a file, where the installation allows `most`.
    pub(super) fn size_limit(&self, most: u64) -> u64 {
        self.file_size_limit.and_then(|limit| u64::try_from(limit).ok()).map_or(most, |limit| limit.min(most))
    }

    pub(super) fn takes(&self, kind: &ContentType) -> Result<(), StorageError> {
        if kind.is_allowed_by(&self.mime_patterns()) { Ok(()) } else { Err(StorageError::wrong_type(kind.as_str())) }
    }
}

row_type! {
    /// An object as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct Object {
        pub(super) name: String,
        pub(super) id: Uuid,
        pub(super) blob_id: Uuid,
        pub(super) owner_id: Option<String>,
        pub(super) size: i64,
        pub(super) sha256: Vec<u8>,
        pub(super) content_type: String,
        pub(super) cache_control: String,
        pub(super) robots_tag: Option<String>,
        pub(super) user_metadata: Option<Json>,
        pub(super) created_at: Timestamp,
        pub(super) updated_at: Timestamp,
        /// What its first bytes look like, where they look like something.
        pub(super) found_type: Option<String>,
    }
}

impl Object {
    /// The strong entity tag: half of the content's SHA-256.
    pub(super) fn etag(&self) -> String {
        format!("\"{}\"", hex(self.sha256.get(..16).unwrap_or_default()))
    }

    pub(super) fn length(&self) -> u64 {
        u64::try_from(self.size).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_that_could_be_taken_for_others_are_refused() {
        for key in ["a", "a/b.txt", "héllo/李娜.pdf", "a b+c&d=e@f;g:h,i?j!k*l'(m)$n", "...", ".hidden", "a/..b/c", "ünï/😀.png", "-", "C:x"] {
            assert!(ObjectKey::read(key).is_ok(), "{key:?}");
        }
        let long = "x".repeat(1025);
        let refused = [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "../a",
            "a/..",
            "a\\b",
            "..\\a",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            "a%2fb",
            "a#b",
            "a|b",
            "a^b",
            "a`b",
            "a{b}",
            "a[b]",
            "a<b>",
            "a\"b",
            "a~b",
            "~",
            "a\u{202e}txt.exe",
            "a\u{2028}b",
            "\u{feff}a",
            &long,
        ];
        for key in refused {
            assert!(ObjectKey::read(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn bucket_names_are_those_of_the_wire() {
        for name in ["a", "A_b", "slips", "my bucket", "x.y:z", &"n".repeat(100)] {
            assert!(BucketName::read(name).is_ok(), "{name:?}");
        }
        for name in ["", " a", "a ", "a/b", ".", "..", "ü", "a%b", "x--table-s3", &"n".repeat(101)] {
            assert!(BucketName::read(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn sizes_are_decimal() {
        let read = |text: &str| SizeLimit::read(text).map(|size| size.0);
        assert_eq!(read("20MB"), Some(20_000_000));
        assert_eq!(read("1.5 gb"), Some(1_500_000_000));
        assert_eq!(read("1kb"), Some(1000));
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("0.0005kb"), Some(0));
        for wrong in ["", "MB", "-1MB", "1.MB", ".5MB", "1.2.3MB", "20MiB", "1e3", "99999999999999999999gb", "9223372036854775807kb"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        assert!(serde_json::from_str::<SizeLimit>("-1").is_err());
        assert!(serde_json::from_str::<SizeLimit>("1.5").is_err());
        assert_eq!(serde_json::from_str::<SizeLimit>("12").unwrap(), SizeLimit(12));
    }

    #[test]
    fn types_fit_their_patterns_without_parameters() {
        let pattern = |text: &str| serde_json::from_value::<MimePattern>(text.into());
        let plain = ContentType::read(Some("text/plain;charset=UTF-8"));
        assert!(plain.is_allowed_by(&[pattern("text/plain").unwrap()]));
        assert!(plain.is_allowed_by(&[pattern("image/png").unwrap(), pattern("text/*").unwrap()]));
        assert!(plain.is_allowed_by(&[pattern("*").unwrap()]));
        assert!(plain.is_allowed_by(&[]));
        assert!(!plain.is_allowed_by(&[pattern("text/html").unwrap()]));
        assert!(!ContentType::read(Some("textual/plain")).is_allowed_by(&[pattern("text/*").unwrap()]));
        for wrong in ["", "text", "*/*", "text/", "a b/c"] {
            assert!(pattern(wrong).is_err(), "{wrong:?}");
        }
        for unknown in [None, Some(""), Some("text"), Some("text/"), Some("/html"), Some("te xt/html"), Some("text/html\u{e9}")] {
            assert_eq!(ContentType::read(unknown).as_str(), "application/octet-stream", "{unknown:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_kept_in_one_spelling(text in "\\PC{0,40}|[a-z/e\u{301}\u{212b}\u{1fef}\u{37e}]{0,12}") {
            if let Ok(key) = ObjectKey::read(&text) {
                prop_assert_eq!(key.as_str(), text.nfc().collect::<String>());
                prop_assert!(std::path::Path::new(key.as_str()).components().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert!(!key.as_str().contains(is_refused));
                prop_assert_eq!(ObjectKey::read(key.as_str()).unwrap(), ObjectKey::read(&text.nfd().collect::<String>()).unwrap());
            }
        }

        #[test]
        fn reading_a_size_never_panics(text in "[0-9.]{0,30} ?[a-zA-Z]{0,3}") {
            if let Some(size) = SizeLimit::read(&text) {
                prop_assert!(size.0 >= 0);
            }
        }
    }
}

//! The text of an API key: what it is, 128 random bits, and a checksum that tells a mistyped key from a revoked one.

use secrecy::{ExposeSecret as _, SecretString};

use crate::crypto::{base64url, random, same, sha256};

/// What a key's first letters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `sb_publishable_…`, the spelling that stock clients know.
    Publishable,
    /// `sb_secret_…`.
    Secret,
    /// `basalt_operator_…`.
    Operator,
}

impl KeyKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Publishable => "sb_publishable_",
            Self::Secret => "sb_secret_",
            Self::Operator => "basalt_operator_",
        }
    }

    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publishable => "publishable",
            Self::Secret => "secret",
            Self::Operator => "operator",
        }
    }
}

/// A key just made: its text is shown once and kept nowhere.
pub struct NewKey {
    /// The whole key.
    pub text: SecretString,
    /// What is stored.
    pub hash: [u8; 32],
    /// Its first letters, to tell keys apart in a list.
    pub hint: String,
}

/// Makes a key.
pub(super) fn make_key(kind: KeyKind) -> NewKey {
    let secret = base64url(&random::<18>());
    let body = format!("{}{secret}", kind.prefix());
    let text = format!("{body}_{}", checksum(&body));
    NewKey { hash: sha256(text.as_bytes()), hint: body[..kind.prefix().len() + 4].to_owned(), text: text.into() }
}

impl NewKey {
    /// The text, to be shown once.
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }
}

/// The kind and hash of a text that has the form of a key; `None` when it has not, so that no look-up is wasted on it.
pub fn read_key(text: &str) -> Option<(KeyKind, [u8; 32])> {
    let kind = [KeyKind::Publishable, KeyKind::Secret, KeyKind::Operator].into_iter().find(|kind| text.starts_with(kind.prefix()))?;
    let (body, sum) = text.rsplit_once('_')?;
    (text.len() < 128 && same(checksum(body).as_bytes(), sum.as_bytes())).then(|| (kind, sha256(text.as_bytes())))
}

fn checksum(body: &str) -> String {
    // Base64url has "_": hexadecimal keeps the last "_" of a key the one before its checksum.
    crate::crypto::hex(&sha256(body.as_bytes())[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_again_and_a_mistyped_one_is_not() {
        for kind in [KeyKind::Publishable, KeyKind::Secret, KeyKind::Operator] {
            let key = make_key(kind);
            assert_eq!(read_key(key.reveal()), Some((kind, key.hash)));
            let mut wrong = key.reveal().to_owned();
            wrong.replace_range(20..21, if &wrong[20..21] == "A" { "B" } else { "A" });
            assert_eq!(read_key(&wrong), None);
            assert_eq!(read_key(&key.reveal()[..key.reveal().len() - 1]), None);
        }
    }
}

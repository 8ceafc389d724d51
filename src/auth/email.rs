//! Mail addresses, checked and in the one spelling in which they are compared.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use super::error::AuthError;

/// A mail address in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl TryFrom<String> for Email {
    type Error = AuthError;

    fn try_from(text: String) -> Result<Self, AuthError> {
        text.parse()
    }
}

impl FromStr for Email {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, AuthError> {
        if text.is_empty() {
            return Err(AuthError::validation("An email address is required"));
        }
        let text = text.nfc().collect::<String>().to_lowercase();
        if !is_address(&text) {
            return Err(AuthError::validation("Unable to validate email address: invalid format"));
        }
        Ok(Self(text))
    }
}

/// What can go into an envelope as it stands (RFC 5321, 4.1.2, without quoted parts and address literals, which nobody means).
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_word = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() && c.is_alphanumeric();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| is_word(c) || c == '-') && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_atom = |atom: &str| !atom.is_empty() && atom.chars().all(|c| is_word(c) || "!#$%&'*+-/=?^_`{|}~".contains(c));
    text.len() <= 255 && (1..=64).contains(&local.len()) && local.split('.').all(is_atom) && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_taken_as_it_will_be_mailed() {
        for good in ["ada@example.com", "A.B+c@Sub.Example.org", "o'neil@x-y.de", "root@localhost", "名@例え.jp"] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "x".repeat(65));
        for bad in [
            "ada",
            "@example.com",
            "ada@",
            " ada@example.com",
            "ada@example.com ",
            "a b@example.com",
            "a@b@c.de",
            "a..b@c.de",
            "a@-b.de",
            "a@b\n.de",
            "<a@b.de>",
            &long,
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn the_spelling_is_final(text in "[a-zA-Z0-9.+À-ž\\u{300}\\u{307}ΆΣς]{1,20}@[a-zA-Z0-9À-žİ]{1,20}\\.[a-z]{2}") {
            if let Ok(email) = text.parse::<Email>() {
                prop_assert_eq!(email.as_str().parse::<Email>().unwrap(), email);
            }
        }
    }
}

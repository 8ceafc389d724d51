//! What a provider tells of a user, in one form whoever tells it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::auth::{email::Email, model::Metadata};

/// Bytes of one value at most: a picture in a URL of its own is no address of one.
const LONGEST: usize = 1024;

/// How a provider says that a mail address is the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verified<P> {
    /// It never does.
    Never,
    /// By a claim that is true, or the text of it, as Apple spells it.
    Claim(P),
    /// By a number that is 1, or the text of it.
    Number(P),
    /// By the moment at which it was confirmed.
    Moment(P),
    /// By telling the address at all: the field is defined so.
    ByField,
}

impl<P: AsRef<str>> Verified<P> {
    pub(super) fn holds(&self, told: &Value) -> bool {
        let value = |pointer: &P| told.pointer(pointer.as_ref()).cloned().unwrap_or_default();
        match self {
            Self::Never => false,
            Self::Claim(pointer) => is_true(&value(pointer)),
            Self::Number(pointer) => value(pointer) == json!(1) || value(pointer) == json!("1") || is_true(&value(pointer)),
            Self::Moment(pointer) => value(pointer).as_str().is_some_and(|moment| !moment.is_empty()),
            Self::ByField => true,
        }
    }
}

fn is_true(value: &Value) -> bool {
    *value == json!(true) || *value == json!("true")
}

/// A user of a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::auth) struct Profile {
    /// Who tells it.
    pub(in crate::auth) provider: String,
    /// What the provider calls the user, once and for all.
    pub(in crate::auth) subject: String,
    /// The mail address, if one is told that can be one.
    pub(in crate::auth) email: Option<Email>,
    /// Whether the provider says that the address is the user's.
    pub(in crate::auth) is_verified: bool,
    /// What the identity keeps.
    pub(in crate::auth) claims: Metadata,
    /// Whether it does without a mail address.
    pub(in crate::auth) email_optional: bool,
    /// Whether what is told now takes the place of what the user's metadata have.
    pub(in crate::auth) overwrite_metadata: bool,
}

/// A field of the answer: a JSON pointer, or a text with pointers in braces, none of which may lead nowhere.
pub(super) fn field(told: &Value, place: &str) -> Option<String> {
    if place.starts_with('/') {
        return text(told.pointer(place)?);
    }
    let mut filled = String::new();
    let mut rest = place;
    while let Some((before, after)) = rest.split_once('{') {
        let (pointer, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&text(told.pointer(pointer)?)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text.len() <= LONGEST && !text.contains('\0')).then_some(text)
}

/// What an identity keeps of a user, under the names that apps of this wire look for.
pub(super) fn claims(subject: &str, issuer: Option<&str>, email: Option<&Email>, is_verified: bool, found: &[(String, String)]) -> Metadata {
    let mut claims = Metadata::new();
    let mut add = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    if let Some(issuer) = issuer {
        add("iss", json!(issuer));
    }
    add("sub", json!(subject));
    add("provider_id", json!(subject));
    for (name, value) in found {
        match name.as_str() {
            "name" => {
                add("name", json!(value));
                add("full_name", json!(value));
            }
            "picture" => {
                add("picture", json!(value));
                add("avatar_url", json!(value));
            }
            "user_name" => {
                add("user_name", json!(value));
                add("preferred_username", json!(value));
            }
            name => add(name, json!(value)),
        }
    }
    if let Some(email) = email {
        add("email", json!(email.as_str()));
    }
    add("email_verified", json!(is_verified));
    add("phone_verified", json!(false));
    claims
}

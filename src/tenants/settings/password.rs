//! What a password must be, and what it must not.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::in_range;
use crate::error::{Error, Result};

/// Words of a tenant at most, and characters of each: fewer than four stand in too many good passwords.
const MOST_WORDS: usize = 100;
const WORD_LENGTHS: std::ops::RangeInclusive<usize> = 4..=64;

/// What a password must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordRules {
    /// The fewest characters, 6 to 128.
    pub min_length: u32,
    /// Kinds of characters of each of which there must be one.
    pub required_characters: BTreeSet<CharacterKind>,
    /// Whether what is guessed first is refused: common and breached passwords (a list of 100,000, and the operator's own), and what is
    /// little more than the name of the app, the tenant or the user.
    pub refuse_common: bool,
    /// More words that a password may not be little more than, as the names of the app are: at most 100, of 4 to 64 characters.
    pub words: Vec<String>,
    /// Whether Have I Been Pwned is asked about a password, when it is chosen and at each sign-in; it is told the first five digits of a hash.
    pub pwned: PwnedCheck,
    /// How many passwords before the present one may not come back, 0 to 10.
    pub history: u32,
    /// Whether a new password needs the present one, except from who came by a link or code of a mail.
    pub require_current: bool,
    /// Whether a new password in a session older than a day needs a code (`GET /reauthenticate`).
    pub require_reauthentication: bool,
}

/// A kind of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CharacterKind {
    /// A small letter of any script that has them.
    Lower,
    /// A capital letter of any script that has them.
    Upper,
    /// Any letter.
    Letter,
    /// A digit.
    Digit,
    /// What is neither letter nor digit; a blank, too.
    Symbol,
}

/// Whether somebody else is asked for breached passwords, and what holds when there is no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PwnedCheck {
    /// Nobody is asked.
    #[default]
    Off,
    /// Without an answer the password is taken.
    FailOpen,
    /// Without an answer no password can be chosen. Who has one can still sign in.
    FailClosed,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self {
            min_length: 8,
            required_characters: BTreeSet::new(),
            refuse_common: true,
            words: Vec::new(),
            pwned: PwnedCheck::Off,
            history: 0,
            require_current: false,
            require_reauthentication: false,
        }
    }
}

impl PasswordRules {
    pub(super) fn check(&self) -> Result<()> {
        in_range("password.min_length", self.min_length, 6, 128)?;
        in_range("password.history", self.history, 0, 10)?;
        if self.words.len() > MOST_WORDS {
            return Err(Error::invalid("password.words", format!("there are {} words; there can be {MOST_WORDS}", self.words.len())));
        }
        match self.words.iter().find(|word| !WORD_LENGTHS.contains(&word.chars().count())) {
            Some(word) => Err(Error::invalid("password.words", format!("\"{word}\" should have 4 to 64 characters"))),
            None => Ok(()),
        }
    }
}

impl CharacterKind {
    /// Whether a character is of this kind.
    pub fn includes(self, character: char) -> bool {
        match self {
            Self::Lower => character.is_lowercase(),
            Self::Upper => character.is_uppercase(),
            Self::Letter => character.is_alphabetic(),
            Self::Digit => character.is_numeric(),
            Self::Symbol => !character.is_alphanumeric(),
        }
    }

    /// As a message calls it.
    pub fn described(self) -> &'static str {
        match self {
            Self::Lower => "a small letter",
            Self::Upper => "a capital letter",
            Self::Letter => "a letter",
            Self::Digit => "a digit",
            Self::Symbol => "a symbol",
        }
    }
}

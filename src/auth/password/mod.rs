//! What a password must be before it is taken, and what is said of one that was taken once.
//!
//! A tenant's rules are in its settings. Length and kinds of characters are looked at first; what passes them is looked for among what is
//! guessed first: a list of 100,000 common passwords (the crate `passwords`), names (`words.rs`), the operator's lists (`list/`), and,
//! where the tenant wants it, Have I Been Pwned (`pwned.rs`). At sign-in the same is only told.

mod list;
mod pwned;
mod words;

use aws_lc_rs::digest;
use passwords::analyzer::is_common_password;
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

pub use self::list::{ListReport, PasswordLists, build_password_list};
use self::words::{folded, made_of, words_of};
use super::{
    error::{AuthCode, AuthError, WeakPassword, WeakPasswordReason},
    model::{Metadata, User, UserRow},
    redirect, sql,
};
use crate::{
    app::App,
    db::Tx,
    error::{Error, Result as DbResult},
    tenants::{PasswordRules, PwnedCheck, Tenant, TenantId},
};

/// Characters of a password at most.
const LONGEST: usize = 128;
/// Different characters that a password has at least: "aaaaaaaaaaaa" is long, and guessed all the same.
const LEAST_DIFFERENT: usize = 5;
/// Digits and signs that make no other password of a common one when they come after it.
const LONGEST_TAIL: usize = 4;

/// Whose password it is, as far as that is known: it should not be made of that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owner<'o> {
    /// The mail address, or nothing.
    pub email: &'o str,
    /// The digits of the phone number, or nothing.
    pub phone: &'o str,
    /// What the user notes: its name, perhaps.
    pub metadata: Option<&'o Metadata>,
}

impl<'o> From<&'o UserRow> for Owner<'o> {
    fn from(user: &'o UserRow) -> Self {
        Self {
            email: user.email.as_deref().unwrap_or_default(),
            phone: user.phone.as_deref().unwrap_or_default(),
            metadata: user.user_metadata.0.as_object(),
        }
    }
}

impl<'o> From<&'o User> for Owner<'o> {
    fn from(user: &'o User) -> Self {
        Self { email: &user.email, phone: &user.phone, metadata: Some(&user.user_metadata) }
    }
}

impl<'o> Owner<'o> {
    /// The same user with this address and number, where there is another one to come.
    pub(super) fn with(self, email: Option<&'o str>, phone: Option<&'o str>) -> Self {
        Self { email: email.unwrap_or(self.email), phone: phone.unwrap_or(self.phone), ..self }
    }
}

/// Refuses a password that can't be one, or that the tenant finds too weak. Not to be called inside a transaction: others may be asked.
pub async fn check_password(app: &App, tenant: &Tenant, password: &str, owner: Owner<'_>) -> Result<(), AuthError> {
    if password.is_empty() {
        return Err(AuthError::validation("A password is required"));
    }
    if password.nfc().count() > LONGEST {
        return Err(AuthError::validation(format!("Password cannot be longer than {LONGEST} characters")));
    }
    match weakness(app, tenant, password, owner).await? {
        Some(weak) => Err(AuthError::weak_password(weak)),
        None => Ok(()),
    }
}

/// Why a password is too weak, if it is.
pub(super) async fn weakness(app: &App, tenant: &Tenant, password: &str, owner: Owner<'_>) -> DbResult<Option<WeakPassword>> {
    let rules = &tenant.settings.password;
    let password: String = password.nfc().collect();
    if let Some(weak) = weakness_of_form(rules, &password) {
        return Ok(Some(weak));
    }
    let weak = |message: String| Some(WeakPassword { message: Some(message), reasons: vec![WeakPasswordReason::Pwned] });
    let known = || weak("Password is known to be weak and easy to guess, please choose a different one.".to_owned());
    if rules.refuse_common {
        let words = words_of(&tenant.reference, &redirect::site(app, tenant), &rules.words, &owner);
        if let Some(word) = made_of(&password, &words) {
            return Ok(weak(format!("Password is little more than \"{word}\", which is guessed first; please choose a different one.")));
        }
        if is_common(&password) || app.password_lists.contain(&password).await? {
            return Ok(known());
        }
    }
    if rules.pwned == PwnedCheck::Off {
        return Ok(None);
    }
    match pwned::is_pwned(app, &password).await {
        Ok(is_pwned) => Ok(if is_pwned { known() } else { None }),
        Err(error) => {
            tracing::warn!(%error, "a password could not be compared with those of Have I Been Pwned");
            if rules.pwned == PwnedCheck::FailOpen {
                return Ok(None);
            }
            Err(Error::unavailable("the password could not be compared with those that were seen in breaches; try again in a second"))
        }
    }
}

/// What can be told by its looks.
fn weakness_of_form(rules: &PasswordRules, password: &str) -> Option<WeakPassword> {
    let mut messages = Vec::new();
    let mut reasons = Vec::new();
    if password.chars().count() < usize::try_from(rules.min_length).unwrap_or(usize::MAX) {
        reasons.push(WeakPasswordReason::Length);
        messages.push(format!("Password should be at least {} characters.", rules.min_length));
    }
    if rules.required_characters.iter().any(|kind| !password.chars().any(|character| kind.includes(character))) {
        let kinds: Vec<&str> = rules.required_characters.iter().map(|kind| kind.described()).collect();
        reasons.push(WeakPasswordReason::Characters);
        messages.push(format!("Password should contain at least one of each: {}.", kinds.join(", ")));
    }
    (!reasons.is_empty()).then(|| WeakPassword { message: Some(messages.join(" ")), reasons })
}

/// Whether a password is a common one, whatever its capitals are, also with a few digits or signs after it.
fn is_common(password: &str) -> bool {
    let folded = folded(password);
    let mut different: Vec<char> = folded.chars().collect();
    different.sort_unstable();
    different.dedup();
    let bare = folded.trim_end_matches(|character: char| !character.is_alphabetic());
    let has_short_tail = folded.chars().count() - bare.chars().count() <= LONGEST_TAIL;
    different.len() < LEAST_DIFFERENT || is_common_password(password) || is_common_password(&folded) || has_short_tail && is_common_password(bare)
}

/// Refuses a password that the user has, or had not long ago. `past` are the hashes of those before the present one.
pub(super) async fn check_another(app: &App, user: &UserRow, past: &[String], password: &str) -> Result<(), AuthError> {
    let same = |message: String| Err(AuthError::unprocessable(AuthCode::SamePassword, message));
    if let Some(hash) = user.encrypted_password.as_deref()
        && app.passwords.verify(password, Some(hash)).await?.ok
    {
        return same("New password should be different from the old password.".to_owned());
    }
    for hash in past {
        if app.passwords.verify(password, Some(hash)).await?.ok {
            return same(format!("New password should be different from the last {} passwords.", past.len() + 1));
        }
    }
    Ok(())
}

/// Gives a user, whose row is locked, another password, and remembers the one before if the tenant wants that.
pub(super) async fn replace(tx: &Tx, tenant: TenantId, history: u32, user: &mut UserRow, hash: String) -> DbResult<()> {
    if let Some(before) = user.encrypted_password.replace(hash)
        && history > 0
    {
        sql::past_passwords::add(tx, tenant, user.id, &before).await?;
    }
    sql::past_passwords::keep(tx, tenant, user.id, history).await
}

/// The hashes of the passwords that may not come back.
pub(super) async fn past(app: &App, tenant: &Tenant, user: Uuid) -> DbResult<Vec<String>> {
    match tenant.settings.password.history {
        0 => Ok(Vec::new()),
        most => sql::past_passwords::list(&app.db.read().await?, tenant.id, user, most).await,
    }
}

/// By what lists of breached passwords know one.
fn sha1(password: &str) -> [u8; 20] {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    hash.as_ref().try_into().expect("SHA-1 has 20 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::CharacterKind;

    #[test]
    fn what_many_have_chosen_is_common() {
        for common in [
            "password",
            "Password1",
            "P@ssw0rd",
            "12345678",
            "qwertyuiop",
            "iloveyou!!",
            "DRAGONFLY2024",
            "aaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabc",
            "ｐａｓｓｗｏｒｄ",
        ] {
            assert!(is_common(common), "{common}");
        }
        for fine in ["correct horse battery", "a long enough password", "password of the first day", "xkqjwvzp", "dragonfly82736", "李娜的密码是秘密"]
        {
            assert!(!is_common(fine), "{fine}");
        }
    }

    #[test]
    fn kinds_of_characters_are_those_of_any_script() {
        use CharacterKind::{Digit, Letter, Lower, Symbol, Upper};
        let rules = PasswordRules { required_characters: [Lower, Upper, Letter, Digit, Symbol].into(), ..PasswordRules::default() };
        let reasons = |password: &str| weakness_of_form(&rules, password).map(|weak| weak.reasons);
        assert_eq!(reasons("Äéß 7 words"), None);
        assert_eq!(reasons("Жуковский ٣"), None);
        for missing in ["ÄÉ 7 WORDS", "äé 7 words", "Äé words words", "Äé7wordswords"] {
            assert_eq!(reasons(missing), Some(vec![WeakPasswordReason::Characters]), "{missing}");
        }
        assert_eq!(reasons("aé"), Some(vec![WeakPasswordReason::Length, WeakPasswordReason::Characters]));
    }
}

//! Names that are guessed first: of the app, of its company, of the user itself.

use unicode_normalization::UnicodeNormalization as _;
use url::{Host, Url};

use super::Owner;

/// Characters that make a word: fewer stand in too many good passwords.
const SHORTEST: usize = 4;
/// Letters and digits that a password should have besides such words.
const LEAST_BESIDES: usize = 6;
/// Characters of a name that are looked at.
const LONGEST_NAME: usize = 200;

/// What apps call the parts of a name among the things that a user notes.
const NAMES: [&str; 10] =
    ["full_name", "name", "first_name", "last_name", "given_name", "family_name", "nickname", "username", "user_name", "preferred_username"];

/// One spelling of what looks alike: without capitals, and without the other forms that Unicode has of a letter.
pub(super) fn folded(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase()
}

/// The word that a password is little more than, if it is.
pub(super) fn made_of<'w>(password: &str, words: &'w [String]) -> Option<&'w str> {
    let mut rest = folded(password);
    let mut found = None;
    for word in words {
        if rest.contains(word.as_str()) {
            found = found.or(Some(word.as_str()));
            rest = rest.replace(word.as_str(), " ");
        }
    }
    let besides = rest.chars().filter(|character| character.is_alphanumeric()).count();
    found.filter(|_| besides < LEAST_BESIDES)
}

/// What a password should not be made of, longest first.
pub(super) fn words_of<'t>(reference: &str, site: &Url, own: impl IntoIterator<Item = &'t String>, owner: &Owner<'_>) -> Vec<String> {
    let mut words = vec!["basalt".to_owned(), folded(reference)];
    words.extend(parts_of(reference));
    if let Some(Host::Domain(host)) = site.host() {
        // Its last label is the same for half of the world.
        words.extend(host.rsplit('.').skip(1).map(str::to_owned));
    }
    words.extend(own.into_iter().map(|word| folded(word)));
    words.extend([folded(owner.email), owner.phone.to_owned()]);
    let (local, domain) = owner.email.split_once('@').unwrap_or_default();
    words.push(folded(local));
    words.extend(parts_of(local));
    words.extend(domain.rsplit('.').skip(1).map(folded));
    for name in NAMES {
        let name = owner.metadata.and_then(|metadata| metadata.get(name)?.as_str()).unwrap_or_default();
        words.extend(parts_of(&name.chars().take(LONGEST_NAME).collect::<String>()));
    }
    words.retain(|word| word.chars().count() >= SHORTEST);
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words
}

fn parts_of(text: &str) -> impl Iterator<Item = String> {
    let parts: Vec<String> = folded(text).split(|character: char| !character.is_alphanumeric()).map(str::to_owned).collect();
    parts.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn words() -> Vec<String> {
        let metadata = json!({ "full_name": "Ada Lovelace", "age": 5 });
        let owner = Owner { email: "ada.byron@engines.example", phone: "4917012345", metadata: metadata.as_object() };
        words_of("acme-corp", &Url::parse("https://portal.widgets.example/x").unwrap(), [&"Wolpertinger".to_owned()], &owner)
    }

    #[test]
    fn a_name_with_little_besides_is_found() {
        let words = words();
        for (password, word) in [
            ("ada.byron@engines.example", "ada.byron@engines.example"),
            ("Lovelace1815", "lovelace"),
            ("ＬＯＶＥＬＡＣＥ!!!!", "lovelace"),
            ("acme-corp2026", "acme-corp"),
            ("Acme2026!", "acme"),
            ("basaltbasalt", "basalt"),
            ("WIDGETS.widgets.1", "widgets"),
            ("engines-byron-99", "engines"),
            ("wolpertinger!1", "wolpertinger"),
            ("+4917012345", "4917012345"),
        ] {
            assert_eq!(made_of(password, &words), Some(word), "{password}");
        }
        for good in ["lovelace rides a horse", "correct horse battery", "example1", "ada12345", "acme k7Qxw2"] {
            assert_eq!(made_of(good, &words), None, "{good}");
        }
    }

    proptest! {
        #[test]
        fn any_password_and_any_names_are_looked_at(password in ".{0,140}", email in ".{0,40}", name in ".{0,300}", word in ".{4,64}") {
            let metadata = json!({ "name": name });
            let owner = Owner { email: &email, phone: "", metadata: metadata.as_object() };
            let words = words_of("acme", &Url::parse("http://127.0.0.1").unwrap(), [&word], &owner);
            made_of(&password, &words);
        }
    }
}

//! Text as the search sees it: no case, no accents, no width; Chinese, Japanese and Korean by the character.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Folds case, accents and compatibility forms. `Łukasz Sørensen` is `lukasz sorensen`.
pub(super) fn fold(text: &str) -> String {
    let plain = text.nfkd().filter(|&c| !is_combining_mark(c)).nfc();
    let mut folded = String::with_capacity(text.len());
    for character in plain.flat_map(char::to_lowercase) {
        match letters(character) {
            Some(letters) => folded.push_str(letters),
            None if is_combining_mark(character) => {}
            None => folded.push(character),
        }
    }
    folded
}

/// Letters that Unicode does not take apart but people type so.
fn letters(character: char) -> Option<&'static str> {
    Some(match character {
        'ø' => "o",
        'ł' => "l",
        'ß' | 'ẞ' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'đ' | 'ð' | 'ɖ' => "d",
        'þ' => "th",
        'ı' | 'ɨ' => "i",
        'ħ' => "h",
        'ŋ' => "ng",
        'ŧ' => "t",
        'ə' => "e",
        'ƒ' => "f",
        'ĸ' => "k",
        'ʻ' | 'ʼ' | '’' | '\'' | '`' => "",
        _ => return None,
    })
}

/// Characters in a term, at the most.
const LONGEST: usize = 60;

/// A piece of folded text without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run<'t> {
    /// Letters and digits.
    Word(&'t str),
    /// Chinese, Japanese or Korean characters.
    Ideographs(&'t str),
}

/// The runs of folded text; everything else parts them.
pub(super) fn runs(folded: &str) -> Vec<Run<'_>> {
    let mut found = Vec::new();
    let mut rest = folded;
    while let Some(first) = rest.chars().next() {
        let of_kind: fn(char) -> bool = if is_ideograph(first) {
            is_ideograph
        } else if is_letter(first) {
            is_letter
        } else {
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let end = rest.find(|c| !of_kind(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        found.push(if is_ideograph(first) { Run::Ideographs(run) } else { Run::Word(run) });
        rest = after;
    }
    found
}

/// Folded text with single spaces between its runs, as names are compared.
pub(super) fn squeezed(folded: &str) -> String {
    let runs: Vec<&str> = runs(folded)
        .into_iter()
        .map(|run| match run {
            Run::Word(text) | Run::Ideographs(text) => text,
        })
        .collect();
    runs.join(" ")
}

fn is_letter(character: char) -> bool {
    character.is_alphanumeric() && !is_ideograph(character)
}

/// Characters of scripts that are written without spaces.
pub(super) fn is_ideograph(character: char) -> bool {
    // Some of these blocks have marks among their letters.
    character.is_alphanumeric()
        && matches!(u32::from(character), 0x3005..=0x3007 | 0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
}

/// What of a term is kept and looked for: PostgreSQL refuses longer words, and nobody types them.
pub(super) fn clip(term: &str) -> &str {
    term.char_indices().nth(LONGEST).map_or(term, |(end, _)| &term[..end])
}

/// The terms of a run of ideographs: each character, and each two that stand together.
pub(super) fn ideograph_terms(run: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
    let singles = starts.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>();
    let pairs = starts.windows(3).map(|three| (three[0], three[2])).collect::<Vec<_>>();
    singles.into_iter().chain(pairs).map(|(from, to)| &run[from..to])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_folded() {
        assert_eq!(fold("José GARCÍA"), "jose garcia");
        assert_eq!(fold("Łukasz Sørensen Weiß O'Neil"), "lukasz sorensen weiss oneil");
        assert_eq!(fold("ＡＢＣ １２"), "abc 12");
        assert_eq!(fold("김민수"), "김민수");
        assert_eq!(squeezed(&fold("  Li-Na   李娜 ")), "li na 李娜");
    }

    #[test]
    fn ideographs_go_by_ones_and_twos() {
        assert_eq!(ideograph_terms("欧阳娜").collect::<Vec<_>>(), ["欧", "阳", "娜", "欧阳", "阳娜"]);
        assert_eq!(runs("li李娜 na"), [Run::Word("li"), Run::Ideographs("李娜"), Run::Word("na")]);
    }
}

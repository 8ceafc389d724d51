//! Words that are nearly the same: one letter too many, too few, another one, or two that changed places.
//!
//! A word is kept with its variants, which are what is left of it when letters are missing. Two words within so many errors of each other
//! share a variant that lacks no more letters than that, so looking for the few variants of a word finds every word near it.

use std::collections::BTreeSet;

/// Letters that a word must have for an error to be forgiven, and for two.
const ONE: usize = 4;
const TWO: usize = 8;
/// Letters at the beginning of a word that its variants are made of.
const BEGINNING: usize = 8;

/// How many errors are forgiven in a word that was typed.
pub(super) fn forgiven(word: &str) -> usize {
    match word.chars().count() {
        ..ONE => 0,
        ONE..TWO => 1,
        _ => 2,
    }
}

/// Whether a word is one that may be typed wrong: letters alone, and not too few.
pub(super) fn is_word(word: &str) -> bool {
    word.chars().count() + 1 >= ONE && word.chars().all(char::is_alphabetic)
}

/// What is left of a word when up to as many letters are missing as errors are forgiven in it; the word's beginning itself is one.
pub(crate) fn variants(word: &str) -> BTreeSet<String> {
    let beginning: String = word.chars().take(BEGINNING).collect();
    let mut all = BTreeSet::from([beginning]);
    let mut last: Vec<String> = all.iter().cloned().collect();
    for _ in 0..forgiven(word) {
        last = last.iter().flat_map(|from| shorter(from)).filter(|variant| all.insert(variant.clone())).collect();
    }
    all
}

fn shorter(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    (0..letters.len()).map(|gone| letters.iter().enumerate().filter(|(place, _)| *place != gone).map(|(_, letter)| letter).collect()).collect()
}

/// How many errors lie between two words. Letters that change places count as one.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other_letter) in other.iter().enumerate() {
            let mut fewest = (last[column] + usize::from(letter != other_letter)).min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && *letter == other[column - 1] && one[row - 1] == *other_letter {
                fewest = fewest.min(before[column - 1] + 1);
            }
            next.push(fewest);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

/// The name that this one may have been meant for.
pub(in crate::records) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let length = name.chars().count();
    // Nobody means a name by one that is far longer, and comparing it would take long.
    if length > 100 {
        return None;
    }
    let near = names.map(|other| (distance(name, other), other)).filter(|(distance, _)| *distance <= (length / 3).max(1));
    near.min().map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_are_counted() {
        for (one, other, errors) in
            [("", "", 0), ("jose", "jose", 0), ("jose", "jsoe", 1), ("jose", "joe", 1), ("garcia", "garzja", 2), ("abc", "", 3)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (errors, errors), "{one} {other}");
        }
        assert_eq!(nearest("employes", ["departments", "employees"].into_iter()), Some("employees"));
        assert_eq!(nearest("payroll", ["departments", "employees"].into_iter()), None);
    }

    proptest! {
        #[test]
        fn words_that_are_near_share_a_variant(word in "[a-dé]{3,14}", edits in prop::collection::vec((0_usize..4, any::<prop::sample::Index>(), "[a-dé]"), 0..3)) {
            let mut typed: Vec<char> = word.chars().collect();
            for (kind, place, letter) in edits {
                let (at, letter) = (place.index(typed.len().max(1)), letter.chars().next().unwrap());
                match kind {
                    0 => typed.insert(at.min(typed.len()), letter),
                    1 if typed.len() > 1 => drop(typed.remove(at)),
                    2 if at + 1 < typed.len() => typed.swap(at, at + 1),
                    _ if at < typed.len() => typed[at] = letter,
                    _ => {}
                }
            }
            let typed: String = typed.into_iter().collect();
            if distance(&word, &typed) <= forgiven(&typed) {
                prop_assert!(!variants(&word).is_disjoint(&variants(&typed)), "{word} {typed}");
            }
        }
    }
}

//! What the search keeps of an employee.

use std::collections::BTreeSet;

use pinyin::ToPinyinMulti as _;

use super::{
    fold::{Run, clip, fold, ideograph_terms, is_ideograph, runs, squeezed},
    typo::is_word,
};

/// The form of entries. Those of another form are written anew: whoever changes what an entry holds counts on.
pub(crate) const FORM: i64 = 1;

/// Terms kept of one employee, at the most: a name of fifty characters has fewer.
const TERMS: usize = 500;
/// Characters in what names are sorted and found by, at the most: an index takes no longer ones.
pub(super) const KEY: usize = 255;
/// Ways to read one name, at the most: a name of three characters with three readings each has 27.
const READINGS: usize = 16;

/// The fields of an employee that the search knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names<'e> {
    pub employee_number: &'e str,
    pub display_name: &'e str,
    pub given_name: Option<&'e str>,
    pub family_name: Option<&'e str>,
    pub middle_name: Option<&'e str>,
    pub preferred_name: Option<&'e str>,
    pub name_phonetic: Option<&'e str>,
    pub work_email: Option<&'e str>,
}

/// A row of `employee_search`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The employee number, folded.
    pub number: String,
    /// The whole address, folded.
    pub email: Option<String>,
    /// The name as displayed, folded.
    pub name: String,
    /// The family name first, folded.
    pub family_first: String,
    /// The initials, each way to read them between spaces.
    pub initials: String,
    /// How the name is said, in one word, where that is not how it is written.
    pub sound: String,
    /// The words that may be typed wrong.
    pub words: BTreeSet<String>,
    /// Every term, led by the tenant.
    pub terms: Vec<String>,
}

impl Entry {
    /// What the search keeps of this employee of the tenant with that number.
    pub(crate) fn of(tenant: i64, names: &Names<'_>) -> Self {
        let mut terms = BTreeSet::new();
        let mut initials = BTreeSet::new();
        let mut words = BTreeSet::new();
        let parts = [Some(names.display_name), names.given_name, names.family_name, names.middle_name, names.preferred_name, names.name_phonetic];
        for part in parts.into_iter().flatten() {
            let folded = fold(part);
            add_name(&folded, &mut terms);
            words.extend(runs(&folded).into_iter().filter_map(|run| if let Run::Word(word) = run { Some(word.to_owned()) } else { None }));
        }
        for whole in [Some(names.display_name), names.name_phonetic].into_iter().flatten() {
            let folded = fold(whole);
            let mut readings = BTreeSet::new();
            add_readings(&folded, &mut readings, &mut initials);
            if folded.chars().any(is_ideograph) {
                words.extend(readings.iter().cloned());
            }
            terms.append(&mut readings);
        }
        words.retain(|word| is_word(word) && clip(word) == word);
        let number = squeezed(&fold(names.employee_number));
        add_name(&number, &mut terms);
        terms.insert(number.replace(' ', ""));
        let email = names.work_email.map(fold);
        if let Some(email) = &email {
            add_name(email.split('@').next().unwrap_or_default(), &mut terms);
            terms.insert(squeezed(email).replace(' ', ""));
        }
        terms.remove("");
        let lead = tenant.to_string();
        let kept =
            terms.iter().take(TERMS).map(|term| format!("{lead}x{}", clip(term))).chain(initials.iter().map(|term| format!("{lead}i{}", clip(term))));
        let family = format!("{} {}", names.family_name.unwrap_or_default(), names.given_name.unwrap_or_default());
        let key = |text: &str| text.chars().take(KEY).collect::<String>();
        Self {
            number: key(&number),
            email: email.as_deref().map(key),
            name: key(&squeezed(&fold(names.display_name))),
            family_first: key(&squeezed(&fold(&family))),
            sound: key(&names.name_phonetic.map(|said| squeezed(&fold(said)).replace(' ', "")).unwrap_or_default()),
            words,
            terms: kept.collect(),
            initials: initials.iter().fold(String::from(" "), |all, one| all + one + " "),
        }
    }
}

fn add_name(folded: &str, terms: &mut BTreeSet<String>) {
    let mut joined = String::new();
    for run in runs(folded) {
        match run {
            Run::Word(word) => {
                terms.insert(word.to_owned());
                joined.push_str(word);
            }
            Run::Ideographs(run) => terms.extend(ideograph_terms(run).map(str::to_owned)),
        }
    }
    terms.insert(joined);
}

/// Adds how a whole name is said: Chinese by its syllables, apart and joined, and the initials of any name.
fn add_readings(folded: &str, terms: &mut BTreeSet<String>, initials: &mut BTreeSet<String>) {
    let mut joined = vec![String::new()];
    let mut letters = vec![String::new()];
    for run in runs(folded) {
        match run {
            Run::Word(word) => {
                multiply(&mut joined, &[word.to_owned()]);
                multiply(&mut letters, &[word.chars().take(1).collect()]);
            }
            Run::Ideographs(run) => {
                for character in run.chars() {
                    let readings = readings(character);
                    if readings.is_empty() {
                        continue;
                    }
                    terms.extend(readings.iter().cloned());
                    multiply(&mut joined, &readings);
                    let mut firsts: Vec<String> = readings.iter().map(|reading| reading.chars().take(1).collect()).collect();
                    firsts.dedup();
                    multiply(&mut letters, &firsts);
                }
            }
        }
    }
    terms.extend(joined);
    initials.extend(letters.into_iter().filter(|letters| letters.chars().count() > 1));
}

fn multiply(all: &mut Vec<String>, endings: &[String]) {
    let longer = all.iter().flat_map(|start| endings.iter().map(move |end| format!("{start}{end}"))).take(READINGS).collect();
    *all = longer;
}

/// How a character may be said, without tones; `lü` also as it is typed, `lv`.
fn readings(character: char) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for reading in character.to_pinyin_multi().into_iter().flatten() {
        let plain = reading.plain();
        let typed = plain.replace('ü', "v");
        for spelling in [fold(plain), fold(&typed)] {
            if !found.contains(&spelling) {
                found.push(spelling);
            }
        }
    }
    found
}

/// The whole name when only its parts were given: the family name first and without a gap where that is the custom.
pub(crate) fn display_name(given: Option<&str>, family: Option<&str>) -> Option<String> {
    match (given.map(str::trim).filter(|name| !name.is_empty()), family.map(str::trim).filter(|name| !name.is_empty())) {
        (Some(given), Some(family)) if family.chars().all(is_ideograph) && given.chars().all(is_ideograph) => Some(format!("{family}{given}")),
        (Some(given), Some(family)) => Some(format!("{given} {family}")),
        (given, family) => given.or(family).map(str::to_owned),
    }
}

/// How a Chinese name is said; nothing for other names.
pub(crate) fn name_phonetic(display_name: &str) -> Option<String> {
    if !display_name.chars().any(is_ideograph) {
        return None;
    }
    let syllables: Vec<String> = display_name
        .chars()
        .filter_map(|character| character.to_pinyin_multi())
        .filter_map(|readings| readings.into_iter().next())
        .map(|reading| capitalised(reading.plain()))
        .collect();
    (!syllables.is_empty()).then(|| syllables.join(" "))
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// What names are sorted by: the family name first, as it is said.
pub(crate) fn name_sort(given: Option<&str>, family: Option<&str>, display_name: &str) -> String {
    let whole = match (given, family) {
        (Some(given), Some(family)) => format!("{family} {given}"),
        _ => display_name.to_owned(),
    };
    let said = if whole.chars().any(is_ideograph) { name_phonetic(&whole).unwrap_or(whole) } else { whole };
    squeezed(&fold(&said)).chars().take(KEY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(display_name: &str) -> Entry {
        let names = Names { employee_number: "E-1001", display_name, work_email: Some("Na.Li@Example.com"), ..Names::default() };
        Entry::of(7, &names)
    }

    #[test]
    fn a_chinese_name_is_kept_in_every_way_it_is_asked_for() {
        let entry = terms("李娜");
        for term in ["7x李", "7x娜", "7x李娜", "7xli", "7xna", "7xlina", "7iln", "7xe1001", "7x1001", "7xnaliexamplecom", "7xnali"] {
            assert!(entry.terms.iter().any(|own| own == term), "{term} in {:?}", entry.terms);
        }
        assert_eq!(entry.name, "李娜");
        // 娜 is read in two ways; "na" is too short to be typed wrong.
        assert!(entry.words.iter().eq(["lina", "linuo", "nuo"]), "{:?}", entry.words);
        assert!(entry.initials.contains(" ln "));
    }

    #[test]
    fn names_are_made_of_their_parts() {
        assert_eq!(display_name(Some("娜"), Some("李")).as_deref(), Some("李娜"));
        assert_eq!(display_name(Some("José"), Some("García")).as_deref(), Some("José García"));
        assert_eq!(display_name(None, Some(" ")), None);
        assert_eq!(name_phonetic("李娜").as_deref(), Some("Li Na"));
        assert_eq!(name_sort(Some("José"), Some("García"), "x"), "garcia jose");
        assert_eq!(name_sort(None, None, "李娜"), "li na");
    }
}

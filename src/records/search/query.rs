//! What is searched for: words, `or`, `-`, quotes, and PostgreSQL's own operators, all turned into terms of ours.
//!
//! Nothing a user writes reaches `MATCH` or `to_tsquery`: only folded letters and digits do, led by the tenant's number.

use super::{
    entry::KEY,
    fold::{Run, clip, fold, ideograph_terms, runs, squeezed},
    typo::{distance, forgiven, is_word},
};
use crate::records::{
    error::{RestError, RestResult},
    parse::FtsKind,
};

/// Terms in one search, at the most.
const TERMS: usize = 32;
/// How deep parentheses may nest.
const DEPTH: usize = 8;
/// Words that one word may be taken for, at the most.
const CORRECTIONS: usize = 20;

/// A search, ready to be spelled for an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// What must be found; holds no [`Fts::Not`].
    pub fts: Fts,
    /// All that was asked, folded: what ranks a name that is equal to it or begins with it.
    pub whole: String,
    /// The same when it may be an address, dots and all.
    pub whole_address: String,
    /// The tenant's number, which leads every term.
    pub lead: String,
    /// Whether typing errors are forgiven.
    pub forgiving: bool,
}

/// Terms and how they belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fts {
    /// A term; or, when the flag is set, any term that begins with it.
    Term(String, bool),
    /// Initials.
    Initials(String),
    /// All of them.
    And(Vec<Fts>),
    /// Any of them.
    Or(Vec<Fts>),
    /// Not this.
    Not(Box<Fts>),
}

impl Terms {
    /// A search among the employees of the tenant with that number.
    pub(crate) fn new(tenant: i64, fts: Fts, text: &str, kind: FtsKind) -> Self {
        let folded = fold(text);
        let key = |text: &str| text.chars().take(KEY).collect::<String>();
        let (whole, whole_address) = (key(&squeezed(&folded)), key(folded.trim()));
        Self { fts, whole, whole_address, lead: tenant.to_string(), forgiving: kind == FtsKind::Web }
    }

    /// Whether names that go on after what was asked are meant, too.
    pub(crate) fn is_open_ended(&self) -> bool {
        self.fts.is_open_ended()
    }

    /// The one word that was asked for, if it is one.
    pub(crate) fn only_word(&self) -> Option<&str> {
        (!self.whole.contains(' ')).then_some(self.whole.as_str())
    }

    /// The same with words alone, and the initials that it may mean besides.
    pub(crate) fn apart_from_initials(&self) -> (Fts, Option<Fts>) {
        match &self.fts {
            Fts::Or(of) if matches!(&of[..], [Fts::Term(..), Fts::Initials(_)]) => (of[0].clone(), Some(of[1].clone())),
            other => (other.clone(), None),
        }
    }

    /// The words that may have been typed wrong; none unless words are all that was asked for.
    pub(crate) fn doubtful(&self) -> Vec<&str> {
        let words = if self.forgiving { self.fts.words() } else { None };
        words.unwrap_or_default().into_iter().map(|(word, _)| word).filter(|word| is_word(word) && forgiven(word) > 0).collect()
    }

    /// What may have been meant with so many errors in a word, of the words that there are.
    pub(crate) fn corrected(&self, errors: usize, known: &[String]) -> Option<Fts> {
        let words = self.fts.words()?;
        let of = words.into_iter().map(|(word, open_ended)| {
            let mut near: Vec<(usize, &String)> = known
                .iter()
                .map(|other| (distance(word, other), other))
                .filter(|(distance, _)| (1..=errors.min(forgiven(word))).contains(distance))
                .collect();
            near.sort();
            near.truncate(CORRECTIONS);
            let own = Fts::Term(word.to_owned(), open_ended);
            if near.is_empty() {
                own
            } else {
                Fts::Or([own].into_iter().chain(near.into_iter().map(|(_, other)| Fts::Term(other.clone(), false))).collect())
            }
        });
        Fts::all(of.collect())
    }
}

impl Fts {
    /// Whether nothing in it is negated.
    pub(crate) fn is_positive(&self) -> bool {
        match self {
            Self::Term(..) | Self::Initials(_) => true,
            Self::And(of) | Self::Or(of) => of.iter().all(Self::is_positive),
            Self::Not(_) => false,
        }
    }

    /// Terms that must all be found, each with whether it is open-ended; none if it is more than that.
    fn words(&self) -> Option<Vec<(&str, bool)>> {
        match self {
            Self::Term(word, open_ended) => Some(vec![(word, *open_ended)]),
            Self::Or(of) if matches!(&of[..], [Self::Term(..), Self::Initials(_)]) => of[0].words(),
            Self::And(of) => of.iter().map(Self::words).collect::<Option<Vec<_>>>().map(|of| of.concat()),
            _ => None,
        }
    }

    fn is_open_ended(&self) -> bool {
        match self {
            Self::Term(_, open_ended) => *open_ended,
            Self::Initials(_) | Self::Not(_) => false,
            Self::And(of) => of.last().is_some_and(Self::is_open_ended),
            Self::Or(of) => of.iter().any(Self::is_open_ended),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Term(..) | Self::Initials(_) => 1,
            Self::And(of) | Self::Or(of) => of.iter().map(Self::count).sum(),
            Self::Not(of) => of.count(),
        }
    }

    fn all(mut of: Vec<Self>) -> Option<Self> {
        if of.len() > 1 { Some(Self::And(of)) } else { of.pop() }
    }
}

/// Reads what was asked; nothing when there is no letter in it.
pub(crate) fn parse(kind: FtsKind, config: Option<&str>, text: &str) -> RestResult<Option<Fts>> {
    if let Some(other) = config.filter(|config| !matches!(*config, "" | "simple" | "english")) {
        return Err(RestError::new("22023", format!("text search configuration \"{other}\" does not exist")).hint("Use \"simple\"."));
    }
    let found = match kind {
        FtsKind::Plain | FtsKind::Phrase => plain(text, true),
        FtsKind::Web => web(text),
        FtsKind::Operators => operators(text)?,
    };
    if found.as_ref().is_some_and(|fts| fts.count() > TERMS) {
        return Err(RestError::new("54000", format!("a search may have at most {TERMS} terms")).hint("Search for fewer words."));
    }
    Ok(found)
}

/// Every word must be found; the last may go on.
fn plain(text: &str, open_ended: bool) -> Option<Fts> {
    let folded = fold(text);
    if folded.contains('@') && !folded.trim().contains(char::is_whitespace) {
        let joined = squeezed(&folded).replace(' ', "");
        return (!joined.is_empty()).then_some(Fts::Term(clip(&joined).to_owned(), open_ended));
    }
    let runs = runs(&folded);
    let count = runs.len();
    let mut terms = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        match run {
            Run::Word(word) => terms.push(word_term(word, open_ended && index + 1 == count, count == 1)),
            Run::Ideographs(run) => terms.extend(run_terms(run)),
        }
    }
    Fts::all(terms)
}

/// A word alone may also be initials.
fn word_term(word: &str, open_ended: bool, alone: bool) -> Fts {
    let term = Fts::Term(clip(word).to_owned(), open_ended);
    if alone && (2..=4).contains(&word.chars().count()) { Fts::Or(vec![term, Fts::Initials(word.to_owned())]) } else { term }
}

/// One character by itself; more by each two that stand together, which comes near to a phrase.
fn run_terms(run: &str) -> Vec<Fts> {
    let several = run.chars().nth(1).is_some();
    ideograph_terms(run).filter(|term| !several || term.chars().nth(1).is_some()).map(|term| Fts::Term(term.to_owned(), false)).collect()
}

/// As search engines read it: words, `"phrases"`, `or`, `-not`.
fn web(text: &str) -> Option<Fts> {
    let mut either = Vec::new();
    let mut all = Vec::new();
    let words = web_words(text);
    let count = words.len();
    for (index, (negated, quoted, word)) in words.into_iter().enumerate() {
        if !quoted && !negated && word.eq_ignore_ascii_case("or") {
            either.extend(Fts::all(std::mem::take(&mut all)));
            continue;
        }
        let alone = count == 1;
        let Some(found) = plain(&word, !quoted && index + 1 == count) else { continue };
        let found = if alone { found } else { without_initials(found) };
        all.push(if negated { Fts::Not(Box::new(found)) } else { found });
    }
    either.extend(Fts::all(all));
    if either.len() > 1 { Some(Fts::Or(either)) } else { either.pop() }
}

/// Of several words none is taken for initials.
fn without_initials(fts: Fts) -> Fts {
    match fts {
        Fts::Or(mut of) if of.len() == 2 && matches!(of[1], Fts::Initials(_)) => of.swap_remove(0),
        other => other,
    }
}

fn web_words(text: &str) -> Vec<(bool, bool, String)> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let negated = rest.starts_with('-');
        rest = rest.strip_prefix('-').unwrap_or(rest);
        let (word, quoted, after) = if let Some(inside) = rest.strip_prefix('"') {
            inside.split_once('"').map_or((inside, true, ""), |(word, after)| (word, true, after))
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len());
            (&rest[..end], false, &rest[end..])
        };
        words.push((negated, quoted, word.to_owned()));
        rest = after.trim_start();
    }
    words
}

/// PostgreSQL's operators: `&`, `|`, `!`, `<->`, parentheses, `:*`. There are no positions, so `<->` is `&`.
fn operators(text: &str) -> RestResult<Option<Fts>> {
    let mut reader = Operators { text, at: 0 };
    let found = reader.either(0)?;
    if reader.rest().is_empty() { Ok(found) } else { Err(reader.wrong()) }
}

struct Operators<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Operators<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn eat(&mut self, word: &str) -> bool {
        let rest = self.rest().trim_start();
        let found = rest.starts_with(word);
        if found {
            self.at = self.text.len() - rest.len() + word.len();
        }
        found
    }

    fn wrong(&self) -> RestError {
        RestError::new("42601", format!("syntax error in tsquery: \"{}\"", self.text))
    }

    fn either(&mut self, depth: usize) -> RestResult<Option<Fts>> {
        let mut either: Vec<Fts> = self.all(depth)?.into_iter().collect();
        while self.eat("|") {
            either.extend(self.all(depth)?);
        }
        Ok(if either.len() > 1 { Some(Fts::Or(either)) } else { either.pop() })
    }

    fn all(&mut self, depth: usize) -> RestResult<Option<Fts>> {
        let mut all: Vec<Fts> = self.one(depth)?.into_iter().collect();
        while self.eat("&") || self.eat("<->") {
            all.extend(self.one(depth)?);
        }
        Ok(Fts::all(all))
    }

    fn one(&mut self, depth: usize) -> RestResult<Option<Fts>> {
        if depth > DEPTH {
            return Err(self.wrong());
        }
        if self.eat("!") {
            return Ok(self.one(depth + 1)?.map(|fts| Fts::Not(Box::new(fts))));
        }
        if self.eat("(") {
            let inside = self.either(depth + 1)?;
            return if self.eat(")") { Ok(inside) } else { Err(self.wrong()) };
        }
        let word = self.word()?;
        Ok(plain(&word, self.eat(":*")).map(without_initials))
    }

    fn word(&mut self) -> RestResult<String> {
        let rest = self.rest().trim_start();
        let start = self.text.len() - rest.len();
        if let Some(inside) = rest.strip_prefix('\'') {
            let end = inside.find('\'').ok_or_else(|| self.wrong())?;
            self.at = start + end + 2;
            return Ok(inside[..end].to_owned());
        }
        let end = rest.find(|c: char| c.is_whitespace() || "&|!()<:'".contains(c)).unwrap_or(rest.len());
        self.at = start + end;
        if end == 0 { Err(self.wrong()) } else { Ok(rest[..end].to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn term(text: &str, open_ended: bool) -> Fts {
        Fts::Term(text.into(), open_ended)
    }

    #[test]
    fn words_are_read() {
        assert_eq!(plain("José Gar", true), Some(Fts::And(vec![term("jose", false), term("gar", true)])));
        assert_eq!(plain("李娜", true), Some(term("李娜", false)));
        assert_eq!(plain("娜", true), Some(term("娜", false)));
        assert_eq!(plain("ln", true), Some(Fts::Or(vec![term("ln", true), Fts::Initials("ln".into())])));
        assert_eq!(plain("Na.Li@Example.com", true), Some(term("naliexamplecom", true)));
        assert_eq!(plain(" ,; ", true), None);
    }

    #[test]
    fn webs_are_read() {
        let both = Fts::And(vec![term("ana", false), Fts::Not(Box::new(term("smith", false)))]);
        assert_eq!(web("ana -\"smith\" or 李"), Some(Fts::Or(vec![both, term("李", false)])));
    }

    #[test]
    fn operators_are_read() {
        let found = operators("(ana | bo:*) & !'x'").unwrap().unwrap();
        let either = Fts::Or(vec![term("ana", false), term("bo", true)]);
        assert_eq!(found, Fts::And(vec![either, Fts::Not(Box::new(term("x", false)))]));
        assert_eq!(operators("ana &").unwrap_err().code, "42601");
        assert_eq!(operators(&"(".repeat(100_000)).unwrap_err().code, "42601");
    }

    #[test]
    fn what_may_have_been_meant_is_found() {
        let asked = Terms::new(7, web("Jose Garzia").unwrap(), "Jose Garzia", FtsKind::Web);
        assert_eq!(asked.doubtful(), ["jose", "garzia"]);
        let known = ["garcia".to_owned(), "garza".to_owned(), "grazie".to_owned()];
        let near = Fts::Or(vec![term("garzia", true), term("garcia", false), term("garza", false)]);
        assert_eq!(asked.corrected(1, &known), Some(Fts::And(vec![term("jose", false), near])));
        let exact = Terms::new(7, operators("garzia").unwrap().unwrap(), "garzia", FtsKind::Operators);
        assert!(exact.doubtful().is_empty() && !exact.is_open_ended());
    }

    proptest! {
        #[test]
        fn only_letters_and_digits_come_out(text in "\\PC{0,40}") {
            fn check(fts: &Fts) {
                match fts {
                    Fts::Term(text, _) | Fts::Initials(text) => assert!(!text.is_empty() && text.chars().all(char::is_alphanumeric), "{text:?}"),
                    Fts::And(of) | Fts::Or(of) => of.iter().for_each(check),
                    Fts::Not(of) => check(of),
                }
            }
            for kind in [FtsKind::Plain, FtsKind::Web, FtsKind::Operators, FtsKind::Phrase] {
                if let Ok(Some(fts)) = parse(kind, None, &text) {
                    check(&fts);
                }
            }
        }
    }
}

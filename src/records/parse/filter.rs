//! The grammar of conditions: `column=op.value`, and the trees of `and` and `or`.

use super::{FILTER_DEPTH, FILTER_NODES, Field, cursor::Cursor};
use crate::records::error::{RestError, RestResult};

/// A condition as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// A column against a value.
    Compare {
        /// The column.
        field: Field,
        /// Whether `not.` stood before it.
        negated: bool,
        /// How they are compared.
        operator: Operator,
        /// Whether any or all of the values must fit.
        quantifier: Option<Quantifier>,
        /// The value.
        operand: Operand,
    },
    /// All of them hold.
    All {
        /// Whether `not.` stood before it.
        negated: bool,
        /// The conditions.
        of: Vec<Condition>,
    },
    /// At least one of them holds.
    Any {
        /// Whether `not.` stood before it.
        negated: bool,
        /// The conditions.
        of: Vec<Condition>,
    },
}

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
    Like,
    Ilike,
    Match,
    Imatch,
    In,
    Is,
    IsDistinct,
    Contains,
    ContainedIn,
    Overlaps,
    Fts(FtsKind),
    /// `sl`, `sr`, `nxl`, `nxr`, `adj`: for ranges, which no column is.
    Range,
}

/// Which language a search is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FtsKind {
    /// `fts`: PostgreSQL's `&`, `|`, `!`, `<->`, `:*`.
    Operators,
    /// `plfts`: words, all of them.
    Plain,
    /// `phfts`: words, one after the other.
    Phrase,
    /// `wfts`: as search engines read it.
    Web,
}

/// How many of the values must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantifier {
    /// One is enough.
    Any,
    /// Every one.
    All,
}

/// What a column is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    /// One value.
    Text(String),
    /// Several.
    List(Vec<String>),
    /// A search, and the text configuration it asked for.
    Search(String, Option<String>),
}

impl Condition {
    /// A column against a value, the plain case.
    #[cfg(test)]
    pub(super) fn compare(field: Field, negated: bool, operator: Operator, operand: Operand) -> Self {
        Self::Compare { field, negated, operator, quantifier: None, operand }
    }
}

/// Reads the key of a parameter: names on the way to an embedded resource, then the column.
pub(super) fn key(text: &str) -> RestResult<(Vec<String>, Field)> {
    let mut cursor = Cursor::new("filter", text);
    let mut path = Vec::new();
    loop {
        let field = cursor.field()?;
        if !field.path.is_empty() || !cursor.eat('.') {
            cursor.end()?;
            return Ok((path, field));
        }
        path.push(field.name);
        if path.len() > super::EMBED_DEPTH + 1 {
            return Err(cursor.too_much("resources may be embedded at most 6 deep"));
        }
    }
}

/// Reads the value of a column's parameter; it takes the whole rest of the text.
pub(super) fn condition(field: Field, text: &str, nodes: &mut usize) -> RestResult<Condition> {
    let mut cursor = Cursor::new("filter", text);
    count(&cursor, nodes)?;
    comparison(&mut cursor, field, Place::Parameter)
}

/// Reads the value of `and` or `or`.
pub(super) fn tree(word: &str, negated: bool, text: &str, nodes: &mut usize) -> RestResult<Condition> {
    let mut cursor = Cursor::new("logic tree", text);
    let condition = branch(&mut cursor, word, negated, nodes, 1)?;
    cursor.end()?;
    Ok(condition)
}

/// Where a value stands: it ends with the parameter, or with the next `,` or `)` of a tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Parameter,
    Tree,
}

fn count(cursor: &Cursor<'_>, nodes: &mut usize) -> RestResult<()> {
    *nodes += 1;
    if *nodes > FILTER_NODES { Err(cursor.too_much("at most 200 conditions may be given")) } else { Ok(()) }
}

fn branch(cursor: &mut Cursor<'_>, word: &str, negated: bool, nodes: &mut usize, depth: usize) -> RestResult<Condition> {
    count(cursor, nodes)?;
    if depth > FILTER_DEPTH {
        return Err(cursor.too_much("conditions may nest at most 8 deep"));
    }
    cursor.expect('(')?;
    let mut of = Vec::new();
    loop {
        cursor.take_while(char::is_whitespace);
        of.push(leaf(cursor, nodes, depth)?);
        cursor.take_while(char::is_whitespace);
        if !cursor.eat(',') {
            break;
        }
    }
    cursor.expect(')')?;
    Ok(if word == "or" { Condition::Any { negated, of } } else { Condition::All { negated, of } })
}

fn leaf(cursor: &mut Cursor<'_>, nodes: &mut usize, depth: usize) -> RestResult<Condition> {
    for (start, word, negated) in [("and(", "and", false), ("or(", "or", false), ("not.and(", "and", true), ("not.or(", "or", true)] {
        if cursor.rest().starts_with(start) {
            cursor.eat_word(&start[..start.len() - 1]);
            return branch(cursor, word, negated, nodes, depth + 1);
        }
    }
    count(cursor, nodes)?;
    let field = cursor.field()?;
    cursor.expect('.')?;
    comparison(cursor, field, Place::Tree)
}

fn comparison(cursor: &mut Cursor<'_>, field: Field, place: Place) -> RestResult<Condition> {
    let negated = cursor.eat_word("not.");
    let before = Cursor::new("filter", cursor.rest());
    let word = cursor.take_while(|c| c.is_ascii_alphabetic());
    let Some(operator) = operator(word) else {
        return Err(before.unexpected("operator (eq, gt, ...)"));
    };
    let argument = argument(cursor)?;
    cursor.expect('.')?;
    let quantifier = match argument.as_deref() {
        Some("any") if quantifiable(operator) => Some(Quantifier::Any),
        Some("all") if quantifiable(operator) => Some(Quantifier::All),
        Some(_) if !matches!(operator, Operator::Fts(_)) => return Err(before.unexpected("operator (eq, gt, ...)")),
        _ => None,
    };
    let operand = match operator {
        Operator::In => Operand::List(list(cursor, ('(', ')'))?),
        _ if quantifier.is_some() => Operand::List(list(cursor, ('{', '}'))?),
        Operator::Is => Operand::Text(truth(&value(cursor, place)?, &before)?),
        Operator::Fts(_) => Operand::Search(value(cursor, place)?, argument),
        _ => Operand::Text(value(cursor, place)?),
    };
    if place == Place::Parameter {
        cursor.end()?;
    }
    Ok(Condition::Compare { field, negated, operator, quantifier, operand })
}

fn operator(word: &str) -> Option<Operator> {
    Some(match word {
        "eq" => Operator::Eq,
        "neq" => Operator::Neq,
        "gt" => Operator::Gt,
        "gte" => Operator::Gte,
        "lt" => Operator::Lt,
        "lte" => Operator::Lte,
        "like" => Operator::Like,
        "ilike" => Operator::Ilike,
        "match" => Operator::Match,
        "imatch" => Operator::Imatch,
        "in" => Operator::In,
        "is" => Operator::Is,
        "isdistinct" => Operator::IsDistinct,
        "cs" => Operator::Contains,
        "cd" => Operator::ContainedIn,
        "ov" => Operator::Overlaps,
        "fts" => Operator::Fts(FtsKind::Operators),
        "plfts" => Operator::Fts(FtsKind::Plain),
        "phfts" => Operator::Fts(FtsKind::Phrase),
        "wfts" => Operator::Fts(FtsKind::Web),
        "sl" | "sr" | "nxl" | "nxr" | "adj" => Operator::Range,
        _ => return None,
    })
}

fn quantifiable(operator: Operator) -> bool {
    use Operator::{Eq, Gt, Gte, Ilike, Imatch, Like, Lt, Lte, Match};
    matches!(operator, Eq | Like | Ilike | Gt | Gte | Lt | Lte | Match | Imatch)
}

/// What stands in parentheses after an operator.
fn argument(cursor: &mut Cursor<'_>) -> RestResult<Option<String>> {
    if !cursor.eat('(') {
        return Ok(None);
    }
    let argument = cursor.take_while(|c| c.is_alphanumeric() || c == '_').to_owned();
    cursor.expect(')')?;
    Ok(Some(argument))
}

fn truth(text: &str, at: &Cursor<'_>) -> RestResult<String> {
    let text = text.to_ascii_lowercase();
    if matches!(text.as_str(), "null" | "not_null" | "true" | "false" | "unknown") {
        return Ok(text);
    }
    Err(RestError::parse("filter", at.rest(), 3, "expecting \"null\", \"not_null\", \"true\", \"false\" or \"unknown\""))
}

fn value(cursor: &mut Cursor<'_>, place: Place) -> RestResult<String> {
    if place == Place::Parameter {
        return Ok(cursor.take_while(|_| true).to_owned());
    }
    match cursor.peek() {
        Some('"') => {
            let text = cursor.quoted()?;
            if matches!(cursor.peek(), Some(',' | ')')) { Ok(text) } else { Err(cursor.unexpected("\",\" or \")\"")) }
        }
        // An array or a flat object: its commas are its own.
        Some('{') => {
            let inner = cursor.take_while(|c| c != '}').to_owned();
            cursor.expect('}')?;
            Ok(inner + "}")
        }
        _ => Ok(cursor.take_while(|c| !matches!(c, ',' | ')')).to_owned()),
    }
}

/// `(a,"b,c",d)`. A quote that does not end at a comma was meant as it stands: stock clients do not escape.
fn list(cursor: &mut Cursor<'_>, (open, close): (char, char)) -> RestResult<Vec<String>> {
    cursor.expect(open)?;
    let mut items = Vec::new();
    if cursor.eat(close) {
        return Ok(items);
    }
    loop {
        items.push(list_item(cursor, close)?);
        if !cursor.eat(',') {
            break;
        }
    }
    cursor.expect(close)?;
    Ok(items)
}

fn list_item(cursor: &mut Cursor<'_>, close: char) -> RestResult<String> {
    if cursor.peek() == Some('"') {
        let mut ahead = Cursor::new("filter", cursor.rest());
        if let Ok(text) = ahead.quoted()
            && ahead.peek().is_some_and(|next| next == ',' || next == close)
        {
            return cursor.quoted().map(|_| text);
        }
    }
    Ok(cursor.take_while(|c| c != ',' && c != close).to_owned())
}

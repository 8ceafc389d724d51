//! Conditions: what was written, against the columns in sight.

use super::{Level, Resolver, parse_value, read::Embedded, value::type_name};
use crate::{
    db::{self, Type, Value},
    records::{
        error::{RestError, RestResult},
        parse::{Condition, Field, FtsKind, Operand, Operator, Quantifier},
        plan::{Comparison, Expr, Scalar},
        search::{self, Fts, Terms},
    },
};

/// The name that stands for the search instead of a column.
pub(super) const SEARCH: &str = "search";
/// Characters in a pattern, at the most.
const PATTERN: usize = 1000;

/// What conditions of one level may speak of.
pub(super) struct Sight<'s> {
    pub(super) level: &'s Level,
    pub(super) embeds: &'s [Embedded],
}

impl Resolver<'_> {
    pub(super) fn condition(&self, sight: &Sight<'_>, condition: &Condition, found: &mut Option<Terms>) -> RestResult<Expr> {
        let (negated, of) = match condition {
            Condition::Compare { field, negated, operator, quantifier, operand } => {
                return Ok(self.compare(sight, field, (*operator, *quantifier), operand, found)?.negated(*negated));
            }
            Condition::All { negated, of } | Condition::Any { negated, of } => (*negated, of),
        };
        let of = of.iter().map(|condition| self.condition(sight, condition, found)).collect::<RestResult<Vec<_>>>()?;
        let all = matches!(condition, Condition::All { .. });
        Ok((if all { Expr::And(of) } else { Expr::Or(of) }).negated(negated))
    }

    fn compare(
        &self,
        sight: &Sight<'_>,
        field: &Field,
        (operator, quantifier): (Operator, Option<Quantifier>),
        operand: &Operand,
        found: &mut Option<Terms>,
    ) -> RestResult<Expr> {
        if let Some(embedded) = sight.embeds.iter().find(|embedded| field.path.is_empty() && embedded.is_called(&field.name)) {
            return on_embed(embedded, operator, operand);
        }
        if let Operand::Search(text, config) = operand {
            return self.search(sight.level, field, operator, (text, config.as_deref()), found);
        }
        let scalar = sight.level.field(self, field)?;
        if scalar.column.sealed {
            return self.sealed_filter(&sight.level.table, &scalar, operator, quantifier, operand);
        }
        match (operand, quantifier) {
            (Operand::List(texts), Some(quantifier)) => {
                let each = texts.iter().map(|text| comparison(&scalar, operator, text)).collect::<RestResult<Vec<_>>>()?;
                Ok(if quantifier == Quantifier::Any { Expr::Or(each) } else { Expr::And(each) })
            }
            (Operand::List(texts), None) => {
                let values = texts.iter().map(|text| typed(&scalar, text)).collect::<RestResult<Vec<_>>>()?;
                Ok(Expr::In(scalar, values))
            }
            (Operand::Text(text), _) => comparison(&scalar, operator, text),
            (Operand::Search(..), _) => Ok(Expr::Never),
        }
    }

    /// `search` looks among the names; any other column is searched for by `ilike`.
    fn search(
        &self,
        level: &Level,
        field: &Field,
        operator: Operator,
        (text, config): (&str, Option<&str>),
        found: &mut Option<Terms>,
    ) -> RestResult<Expr> {
        if field.name != SEARCH || !level.table.searchable || !field.path.is_empty() {
            level.field(self, field)?;
            return Err(RestError::new("PGRST127", format!("Full-text search on the column '{}' is not implemented", field.name))
                .hint("Search names by search=wfts.…, other text by ilike."));
        }
        let Operator::Fts(kind) = operator else { return Ok(Expr::Never) };
        self.terms(level, kind, config, text, found)
    }

    /// The name search. It looks at directory fields, so who may not see those may not search.
    pub(super) fn terms(&self, level: &Level, kind: FtsKind, config: Option<&str>, text: &str, found: &mut Option<Terms>) -> RestResult<Expr> {
        level.scalar(self, "display_name")?;
        let Some(fts) = search::parse(kind, config, text)? else { return Ok(Expr::Never) };
        if fts.is_positive() {
            found.get_or_insert_with(|| Terms::new(self.tenant, fts.clone(), text, kind));
        }
        Ok(self.find(fts, text, kind))
    }

    /// What is negated is left to SQL, because an index can only tell what is there.
    fn find(&self, fts: Fts, text: &str, kind: FtsKind) -> Expr {
        match fts {
            fts if fts.is_positive() => Expr::Found(Terms::new(self.tenant, fts, text, kind)),
            Fts::And(of) => Expr::And(of.into_iter().map(|fts| self.find(fts, text, kind)).collect()),
            Fts::Or(of) => Expr::Or(of.into_iter().map(|fts| self.find(fts, text, kind)).collect()),
            Fts::Not(of) => Expr::Not(Box::new(self.find(*of, text, kind))),
            Fts::Term(..) | Fts::Initials(_) => Expr::Never,
        }
    }
}

fn on_embed(embedded: &Embedded, operator: Operator, operand: &Operand) -> RestResult<Expr> {
    let exists = || Expr::Exists(Box::new(embedded.embed.clone()));
    match (operator, operand) {
        (Operator::Is, Operand::Text(word)) if word == "null" => Ok(Expr::Not(Box::new(exists()))),
        (Operator::Is, Operand::Text(word)) if word == "not_null" => Ok(exists()),
        _ => Err(RestError::new("PGRST120", "Bad operator on the embedded resource")
            .details("Only is null or not is null filters are allowed on embedded resources")),
    }
}

fn comparison(scalar: &Scalar, operator: Operator, text: &str) -> RestResult<Expr> {
    let compare = |comparison| typed(scalar, text).map(|value| Expr::Compare(scalar.clone(), comparison, value));
    match operator {
        Operator::Eq => compare(Comparison::Equal),
        Operator::Neq => compare(Comparison::NotEqual),
        Operator::Gt => compare(Comparison::Greater),
        Operator::Gte => compare(Comparison::GreaterOrEqual),
        Operator::Lt => compare(Comparison::Less),
        Operator::Lte => compare(Comparison::LessOrEqual),
        Operator::IsDistinct => compare(Comparison::DistinctFrom),
        Operator::Is => is(scalar, text),
        Operator::Like => like(scalar, text, "~~", false),
        Operator::Ilike => like(scalar, text, "~~*", true),
        Operator::Contains => Ok(Expr::Contains(scalar.clone(), json(scalar, text, "@>")?)),
        Operator::In => Ok(Expr::In(scalar.clone(), vec![typed(scalar, text)?])),
        Operator::Match => matches(scalar, text, "~", false),
        Operator::Imatch => matches(scalar, text, "~*", true),
        Operator::ContainedIn => Ok(Expr::ContainedIn(scalar.clone(), json(scalar, text, "<@")?)),
        // Arrays and ranges can overlap, and no column is one.
        Operator::Overlaps => Err(no_operator(scalar, "&&")),
        Operator::Range => Err(not_offered("range")),
        Operator::Fts(_) => Err(not_offered("fts")),
    }
}

fn not_offered(what: &str) -> RestError {
    RestError::new("PGRST127", "Feature not implemented").details(format!("The {what} operators are not offered"))
}

fn typed(scalar: &Scalar, text: &str) -> RestResult<Value> {
    parse_value(scalar.kind(), text)
}

pub(super) fn is(scalar: &Scalar, word: &str) -> RestResult<Expr> {
    let is_null = Expr::IsNull(scalar.clone());
    match word {
        "null" => return Ok(is_null),
        "not_null" => return Ok(Expr::Not(Box::new(is_null))),
        _ => {}
    }
    if scalar.kind() != Type::Bool {
        let kind = type_name(scalar.kind());
        return Err(RestError::new("42804", format!("argument of IS {} must be type boolean, not type {kind}", word.to_ascii_uppercase())));
    }
    Ok(match word {
        "unknown" => is_null,
        word => Expr::IsTruth(scalar.clone(), word == "true"),
    })
}

/// `*` means `%` on the wire; both engines then get the same pattern.
fn like(scalar: &Scalar, text: &str, spelled: &str, fold: bool) -> RestResult<Expr> {
    if scalar.kind() != Type::Text {
        return Err(no_operator(scalar, spelled));
    }
    check_pattern(text)?;
    let pattern = text.replace('*', "%");
    let escapes = pattern.len() - pattern.trim_end_matches('\\').len();
    if escapes % 2 == 1 {
        return Err(RestError::new("22025", "LIKE pattern must not end with escape character"));
    }
    Ok(Expr::Like(scalar.clone(), pattern, fold))
}

/// A pattern that both engines read alike and that no engine takes long for.
fn matches(scalar: &Scalar, text: &str, spelled: &str, fold: bool) -> RestResult<Expr> {
    if scalar.kind() != Type::Text {
        return Err(no_operator(scalar, spelled));
    }
    check_pattern(text)?;
    if let Err(why) = db::pattern(text, fold) {
        return Err(RestError::new("2201B", "invalid regular expression").details(why));
    }
    Ok(Expr::Matches(scalar.clone(), text.to_owned(), fold))
}

fn json(scalar: &Scalar, text: &str, spelled: &str) -> RestResult<String> {
    if scalar.kind() != Type::Json {
        return Err(no_operator(scalar, spelled));
    }
    match parse_value(Type::Json, text)? {
        Value::Json(text) => Ok(text),
        _ => Ok("null".to_owned()),
    }
}

fn no_operator(scalar: &Scalar, spelled: &str) -> RestError {
    RestError::new("42883", format!("operator does not exist: {} {spelled} unknown", type_name(scalar.kind())))
        .hint("No operator matches the given name and argument types. You might need to add explicit type casts.")
}

fn check_pattern(text: &str) -> RestResult<()> {
    if text.chars().count() > PATTERN {
        return Err(RestError::new("22023", format!("a pattern may have at most {PATTERN} characters")));
    }
    if text.contains('\0') {
        return Err(RestError::new("22021", "invalid byte sequence for encoding \"UTF8\": 0x00"));
    }
    Ok(())
}

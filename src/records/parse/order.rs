//! The grammar of `order`.

use super::{Field, ORDER_TERMS, cursor::Cursor};
use crate::records::error::RestResult;

/// One term of `order`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OrderTerm {
    /// The embedded resource whose column it is.
    pub relation: Option<String>,
    /// The column.
    pub field: Field,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Where nulls come, when it was said.
    pub nulls_first: Option<bool>,
}

/// Reads an `order`.
pub(super) fn parse(text: &str) -> RestResult<Vec<OrderTerm>> {
    let mut cursor = Cursor::new("order", text);
    let mut terms = Vec::new();
    if text.is_empty() {
        return Ok(terms);
    }
    loop {
        terms.push(term(&mut cursor)?);
        if terms.len() > ORDER_TERMS {
            return Err(cursor.too_much("at most 8 terms may order rows"));
        }
        if !cursor.eat(',') {
            cursor.end()?;
            return Ok(terms);
        }
    }
}

fn term(cursor: &mut Cursor<'_>) -> RestResult<OrderTerm> {
    let mut field = cursor.field()?;
    let mut relation = None;
    if field.path.is_empty() && cursor.eat('(') {
        relation = Some(field.name);
        field = cursor.field()?;
        cursor.expect(')')?;
    }
    let (mut descending, mut nulls_first) = (false, None);
    while cursor.eat('.') {
        match cursor.take_while(|c| c.is_ascii_alphabetic()) {
            "asc" => descending = false,
            "desc" => descending = true,
            "nullsfirst" => nulls_first = Some(true),
            "nullslast" => nulls_first = Some(false),
            _ => return Err(cursor.unexpected("\"asc\", \"desc\", \"nullsfirst\" or \"nullslast\"")),
        }
    }
    Ok(OrderTerm { relation, field, descending, nulls_first })
}

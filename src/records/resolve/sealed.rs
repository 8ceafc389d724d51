//! Numbers that are masked: sealed when they are written, found by their hash, never compared in another way.

use std::sync::Arc;

use super::{Resolver, filter::is};
use crate::{
    crypto::{base64url, from_base64url, hex},
    db::{Type, Value},
    records::{
        catalog::{Column, Table},
        error::{RestError, RestResult},
        execute::Context,
        parse::{Operand, Operator, Quantifier},
        plan::{Comparison, Expr, Scalar},
    },
};

/// What stands for the digits that are not shown.
const MASK: &str = "****";
/// Characters of a number, at the most.
const LONGEST: usize = 100;

impl Resolver<'_> {
    /// A number is found whole or not at all.
    pub(super) fn sealed_filter(
        &self,
        table: &Table,
        scalar: &Scalar,
        operator: Operator,
        quantifier: Option<Quantifier>,
        operand: &Operand,
    ) -> RestResult<Expr> {
        let Some((_, hash)) = table.beside(&scalar.column) else { return Err(only_equal(&scalar.column)) };
        let hashed = Scalar { mask: scalar.mask.clone(), ..Scalar::column(hash) };
        let one = |text: &str| Value::Text(self.number_hash(table, &scalar.column, text));
        match (operator, operand, quantifier) {
            (Operator::Eq, Operand::Text(text), None) => Ok(Expr::Compare(hashed, Comparison::Equal, one(text))),
            (Operator::In, Operand::List(texts), None) => Ok(Expr::In(hashed, texts.iter().map(|text| one(text)).collect())),
            (Operator::Is, Operand::Text(word), None) => is(scalar, word),
            _ => Err(only_equal(&scalar.column)),
        }
    }

    fn number_hash(&self, table: &Table, column: &Column, number: &str) -> String {
        hex(&self.key.mac(&place(self.tenant, &table.name, &column.name), plain(number).as_bytes()))
    }

    /// Whether a value is what was shown in the number's place, and is to change nothing.
    pub(super) fn is_mask(column: &Column, value: &Value) -> bool {
        column.sealed && matches!(value, Value::Text(text) if text.starts_with(MASK))
    }

    /// What is written for a number: its mask, the number sealed, and its hash.
    pub(super) fn seal(&self, table: &Table, column: &Column, value: &Value) -> RestResult<[Value; 3]> {
        let Value::Text(number) = value else { return Ok([(); 3].map(|()| Value::Null(Type::Text))) };
        if Self::is_mask(column, value) {
            return Err(RestError::new("22023", format!("the value of {} is masked", column.name)).hint("Send the number itself, or leave it out."));
        }
        let number = number.trim();
        let length = number.chars().count();
        if length > LONGEST {
            return Err(RestError::new("22001", format!("value too long for type character varying({LONGEST})")));
        }
        if plain(number).is_empty() || (column.name == "iban" && !is_iban(&plain(number))) {
            let message = format!("new row for relation \"{0}\" violates check constraint \"{0}_{1}_check\"", table.name, column.name);
            return Err(RestError::new("23514", message).details("The number can't be one: look for a digit that is wrong."));
        }
        let sealed = self.key.seal(&place(self.tenant, &table.name, &column.name), number.as_bytes());
        Ok([Value::Text(masked(number)), Value::Text(base64url(&sealed)), Value::Text(self.number_hash(table, column, number))])
    }

    /// The columns that are written for those that were given.
    pub(super) fn with_sealed(table: &Table, given: Vec<Arc<Column>>) -> Vec<Arc<Column>> {
        let beside = |column: &Arc<Column>| {
            let both = if column.sealed { table.beside(column) } else { None };
            both.map(|(sealed, hash)| [Arc::clone(sealed), Arc::clone(hash)])
        };
        let more: Vec<Arc<Column>> = given.iter().filter_map(beside).flatten().filter(|column| !given.contains(column)).collect();
        given.into_iter().chain(more).collect()
    }
}

/// Opens what was sealed.
pub(in crate::records) fn open(context: &Context, table: &Table, column: &Column, sealed: &str) -> RestResult<String> {
    let bytes = from_base64url(sealed).unwrap_or_default();
    let number = context.key.open(&place(context.tenant.number(), &table.name, &column.name), &bytes)?;
    Ok(String::from_utf8_lossy(&number).into_owned())
}

/// What is sealed for one tenant and column does not open for another.
fn place(tenant: i64, table: &str, column: &str) -> String {
    format!("records/{tenant}/{table}/{column}")
}

/// A number without what people put between its digits.
fn plain(number: &str) -> String {
    number.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// The last four characters are shown where that leaves enough to guess.
fn masked(number: &str) -> String {
    let plain: Vec<char> = plain(number).chars().collect();
    let shown = match plain.len() {
        0..6 => 0,
        6..8 => 2,
        _ => 4,
    };
    MASK.chars().chain(plain[plain.len() - shown..].iter().copied()).collect()
}

/// ISO 13616: the remainder of all of it, letters as numbers, by 97 is 1.
fn is_iban(plain: &str) -> bool {
    if !plain.is_ascii() || !(15..=34).contains(&plain.len()) {
        return false;
    }
    let (head, rest) = plain.split_at(4);
    let digit = |c: char| c.to_digit(36).unwrap_or_default();
    let fold = |sum: u32, c: char| if digit(c) > 9 { (sum * 100 + digit(c)) % 97 } else { (sum * 10 + digit(c)) % 97 };
    rest.chars().chain(head.chars()).fold(0, fold) == 1
}

/// Passes what is no masked number on: order and sums would tell of what is masked.
pub(super) fn not_sealed(scalar: Scalar) -> RestResult<Scalar> {
    if scalar.column.sealed { Err(only_equal(&scalar.column)) } else { Ok(scalar) }
}

fn only_equal(column: &Column) -> RestError {
    RestError::new("0A000", format!("the column {} is masked and can only be compared by eq and in", column.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_digits_are_shown() {
        for (number, shown) in
            [("DE89 3704 0044 0532 0130 00", "****3000"), ("123-45-6789", "****6789"), ("123456", "****56"), ("12345", "****"), ("", "****")]
        {
            assert_eq!(masked(number), shown);
        }
    }

    #[test]
    fn a_wrong_digit_is_seen() {
        assert!(is_iban("DE89370400440532013000") && is_iban("GB82WEST12345698765432"));
        assert!(!is_iban("DE88370400440532013000") && !is_iban("DE89") && !is_iban("DÉ89370400440532013000"));
    }
}

//! Paging by key: the page that follows a row, however deep it is, costs what the first one does.
//!
//! The order is ended by the primary key, and a cursor holds what a row has for each of its terms. It is signed for one tenant, table,
//! order and filter, so that it leads nowhere else and nobody can make one up. What it holds are values that its reader may order by.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{
    error::{RestError, RestResult},
    plan::{Comparison, Expr, Order, OrderBy, Scalar},
    resolve::Cell,
};
use crate::{
    crypto::{MasterKey, base64url, from_base64url, same},
    db::Value,
};

/// Bytes of a cursor's signature.
const SIGNATURE: usize = 16;

/// How the rows of a read follow each other.
#[derive(Clone)]
pub(super) struct Keyset {
    /// What the rows are ordered by, the primary key at last.
    terms: Vec<Order>,
    /// What cursors are signed for.
    place: String,
    key: Arc<MasterKey>,
}

impl std::fmt::Debug for Keyset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyset").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl Keyset {
    /// Rows in this order, if they can be paged by it.
    pub(super) fn new(terms: Vec<Order>, place: String, key: Arc<MasterKey>) -> RestResult<Self> {
        let pages = |order: &Order| matches!(&order.by, OrderBy::Value(by) if by.kind() != crate::db::Type::Json);
        if !terms.iter().all(pages) {
            return Err(RestError::new("PGRST127", "Feature not implemented")
                .details("Only rows that are ordered by columns of their own can be paged by a cursor")
                .hint("Give an order, or page by limit and offset."));
        }
        Ok(Self { terms, place, key })
    }

    /// The values of a row that its cursor holds.
    pub(super) fn scalars(&self) -> impl Iterator<Item = &Scalar> {
        self.terms.iter().filter_map(|order| if let OrderBy::Value(by) = &order.by { Some(by) } else { None })
    }

    /// The cursor of a row with these values, a JSON array.
    pub(super) fn cursor(&self, values: &str) -> String {
        let mac = self.key.mac(&self.place, values.as_bytes());
        base64url(&[&mac[..SIGNATURE], values.as_bytes()].concat())
    }

    /// The rows after a cursor.
    pub(super) fn after_cursor(&self, cursor: &str) -> RestResult<Expr> {
        let foreign = || {
            RestError::new("PGRST100", "the cursor does not belong to this request")
                .hint("Keep filters and order while you page, or begin again without a cursor.")
        };
        let bytes = from_base64url(cursor).ok_or_else(foreign)?;
        let (signature, values) = bytes.split_at_checked(SIGNATURE).ok_or_else(foreign)?;
        if !same(&self.key.mac(&self.place, values)[..SIGNATURE], signature) {
            return Err(foreign());
        }
        self.after(std::str::from_utf8(values).map_err(|_| foreign())?)
    }

    /// The rows after one with these values.
    pub(super) fn after(&self, values: &str) -> RestResult<Expr> {
        let values: Vec<Json> = serde_json::from_str(values).map_err(crate::error::Error::from)?;
        let typed = self.scalars().zip(values).map(|(scalar, value)| Cell::Json(as_said(value, scalar)).typed(scalar.kind()));
        let values = typed.collect::<RestResult<Vec<_>>>()?;
        let terms: Vec<(&Scalar, &Order, Value)> =
            self.scalars().zip(&self.terms).zip(values).map(|((scalar, order), value)| (scalar, order, value)).collect();
        let descending = terms.first().is_some_and(|(_, order, _)| order.descending);
        let is_plain = |(scalar, order, value): &(&Scalar, &Order, Value)| {
            order.descending == descending && !may_be_null(scalar) && !matches!(value, Value::Null(_))
        };
        if terms.iter().all(is_plain) {
            let row = terms.into_iter().map(|(scalar, _, value)| (scalar.clone(), value)).collect();
            return Ok(Expr::Row(row, if descending { Comparison::Less } else { Comparison::Greater }));
        }
        Ok(lexically_after(&terms))
    }
}

/// SQLite says 1 and 0 for truth.
fn as_said(value: Json, scalar: &Scalar) -> Json {
    match (scalar.kind(), value.as_i64()) {
        (crate::db::Type::Bool, Some(number)) => Json::Bool(number != 0),
        _ => value,
    }
}

fn may_be_null(scalar: &Scalar) -> bool {
    scalar.column.nullable || scalar.mask.is_some() || !scalar.path.is_empty()
}

/// Some first terms are equal and the next is behind. What bounds the first term alone is said once more, because that leads to an index.
fn lexically_after(terms: &[(&Scalar, &Order, Value)]) -> Expr {
    let mut either = Vec::new();
    let mut equal = Expr::Always;
    for (scalar, order, value) in terms {
        either.push(equal.clone().and(behind(scalar, order, value)));
        equal = equal.and(equals(scalar, value));
    }
    let bound = match terms.first() {
        Some((scalar, order, value)) => Expr::Or(vec![behind(scalar, order, value), equals(scalar, value)]),
        None => Expr::Always,
    };
    bound.and(Expr::Or(either))
}

fn equals(scalar: &Scalar, value: &Value) -> Expr {
    match value {
        Value::Null(_) => Expr::IsNull(scalar.clone()),
        value => Expr::Compare(scalar.clone(), Comparison::Equal, value.clone()),
    }
}

fn behind(scalar: &Scalar, order: &Order, value: &Value) -> Expr {
    let is_null = || Expr::IsNull(scalar.clone());
    match (value, order.nulls_first) {
        (Value::Null(_), true) => Expr::Not(Box::new(is_null())),
        (Value::Null(_), false) => Expr::Never,
        (value, nulls_first) => {
            let comparison = if order.descending { Comparison::Less } else { Comparison::Greater };
            let beyond = Expr::Compare(scalar.clone(), comparison, value.clone());
            if !nulls_first && may_be_null(scalar) { Expr::Or(vec![beyond, is_null()]) } else { beyond }
        }
    }
}

/// The form in which stock clients must write it, `a > x or (a = x and b > y)`, as what it means: PostgreSQL finds no index for it as it
/// stands.
pub(super) fn rewritten(condition: Expr) -> Expr {
    let Expr::Or(either) = &condition else { return condition };
    let Some(terms) = row_of(&branches(either)).filter(|terms| terms.len() > 1) else { return condition };
    let (first, comparison, value) = terms[0];
    let is_up = |comparison: Comparison| matches!(comparison, Comparison::Greater | Comparison::GreaterOrEqual);
    let last = terms[terms.len() - 1].1;
    if terms.iter().all(|(_, own, _)| is_up(*own) == is_up(comparison)) {
        let row = terms.iter().map(|(scalar, _, value)| ((*scalar).clone(), (*value).clone())).collect();
        return Expr::Row(row, last);
    }
    let bound = if is_up(comparison) { Comparison::GreaterOrEqual } else { Comparison::LessOrEqual };
    Expr::Compare(first.clone(), bound, value.clone()).and(condition)
}

/// A term: a value of the row, how it is compared, with what.
type Term<'e> = (&'e Scalar, Comparison, &'e Value);
/// What must hold together.
type Branch<'e> = Vec<&'e Expr>;

fn branches(either: &[Expr]) -> Vec<Branch<'_>> {
    let each = either.iter().map(|expr| if let Expr::And(all) = expr { all.iter().collect() } else { vec![expr] });
    each.collect()
}

/// Reads `a > x`, or `a > x` beside branches that all say `a = x` and go on with the terms after it, one inside the other or side by side.
fn row_of<'e>(either: &[Branch<'e>]) -> Option<Vec<Term<'e>>> {
    let (first, rest) = either.split_first()?;
    let [Expr::Compare(scalar, comparison, value)] = first[..] else { return None };
    let fits = match comparison {
        Comparison::Greater | Comparison::Less => true,
        Comparison::GreaterOrEqual | Comparison::LessOrEqual => rest.is_empty(),
        _ => false,
    };
    if !fits || scalar.kind() == crate::db::Type::Json {
        return None;
    }
    let mut terms = vec![(scalar, *comparison, value)];
    if rest.is_empty() {
        return Some(terms);
    }
    let is_equality = |expr: &&Expr| matches!(expr, Expr::Compare(own, Comparison::Equal, same) if own.is_same(scalar) && same == value);
    let without_it = |branch: &Branch<'e>| {
        let mut rest = branch.clone();
        rest.remove(branch.iter().position(is_equality)?);
        Some(rest)
    };
    let behind = rest.iter().map(without_it).collect::<Option<Vec<_>>>()?;
    terms.extend(match &behind[..] {
        [only] => match only[..] {
            [Expr::Or(inner)] => row_of(&branches(inner))?,
            _ => row_of(&behind)?,
        },
        _ => row_of(&behind)?,
    });
    Some(terms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{db::Type, records::catalog::Catalog};

    fn scalar(name: &str) -> Scalar {
        Scalar::column(Catalog::built_in().table("employees").unwrap().column(name).unwrap())
    }

    fn compare(name: &str, comparison: Comparison, text: &str) -> Expr {
        Expr::Compare(scalar(name), comparison, Value::Text(text.into()))
    }

    fn keyset(terms: &[(&str, bool, bool)]) -> Keyset {
        let order = |&(name, descending, nulls_first): &(&str, bool, bool)| Order { by: OrderBy::Value(scalar(name)), descending, nulls_first };
        Keyset::new(terms.iter().map(order).collect(), "place".into(), Arc::new(MasterKey::new(&[7; 32]))).unwrap()
    }

    #[test]
    fn the_form_of_stock_clients_is_understood() {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less};
        let names = |expr: &Expr| match expr {
            Expr::Row(terms, comparison) => (terms.iter().map(|(scalar, _)| scalar.column.name.clone()).collect::<Vec<_>>(), *comparison),
            other => panic!("{other:?}"),
        };
        let two =
            |last| Expr::Or(vec![compare("status", Greater, "x"), Expr::And(vec![compare("status", Equal, "x"), compare("name_sort", last, "y")])]);
        assert_eq!(names(&rewritten(two(Greater))), (vec!["status".into(), "name_sort".into()], Greater));
        assert_eq!(names(&rewritten(two(GreaterOrEqual))).1, GreaterOrEqual);
        let nested = Expr::Or(vec![compare("job_title", Greater, "a"), Expr::And(vec![two(Greater), compare("job_title", Equal, "a")])]);
        assert_eq!(names(&rewritten(nested)).0, ["job_title", "status", "name_sort"]);
        let flat = Expr::Or(vec![
            compare("job_title", Less, "a"),
            Expr::And(vec![compare("job_title", Equal, "a"), compare("status", Less, "x")]),
            Expr::And(vec![compare("job_title", Equal, "a"), compare("status", Equal, "x"), compare("name_sort", Less, "y")]),
        ]);
        assert_eq!(names(&rewritten(flat)), (vec!["job_title".into(), "status".into(), "name_sort".into()], Less));
        // Mixed directions keep their form and gain a bound; what is no keyset stays as it is.
        assert!(matches!(rewritten(two(Less)), Expr::And(all) if matches!(all[0], Expr::Compare(_, GreaterOrEqual, _))));
        let other =
            Expr::Or(vec![compare("status", Greater, "x"), Expr::And(vec![compare("status", Equal, "z"), compare("name_sort", Greater, "y")])]);
        assert!(matches!(rewritten(other), Expr::Or(_)));
        assert!(matches!(rewritten(Expr::Or(vec![compare("status", Greater, "x"), compare("name_sort", Greater, "y")])), Expr::Or(_)));
    }

    #[test]
    fn a_cursor_leads_where_it_was_made_for_and_nowhere_else() {
        let own = keyset(&[("name_sort", false, false), ("employee_number", false, false)]);
        let cursor = own.cursor(r#"["a","1"]"#);
        assert!(matches!(own.after_cursor(&cursor).unwrap(), Expr::Row(terms, Comparison::Greater) if terms.len() == 2));
        let elsewhere = Keyset { place: "other".into(), ..own.clone() };
        assert_eq!(elsewhere.after_cursor(&cursor).unwrap_err().code, "PGRST100");
        assert_eq!(own.after_cursor("").unwrap_err().code, "PGRST100");
        assert!(matches!(keyset(&[("hired_on", true, true), ("employee_number", false, false)]).after(r#"[null,"1"]"#).unwrap(), Expr::And(_)));
        assert_eq!(scalar("custom").kind(), Type::Json);
    }

    proptest! {
        #[test]
        fn no_cursor_makes_it_panic(text in "\\PC{0,60}|[A-Za-z0-9_-]{0,60}") {
            prop_assert!(keyset(&[("name_sort", false, false)]).after_cursor(&text).is_err());
        }
    }
}

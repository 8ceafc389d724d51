//! From what was said to what is to be done: names found in the catalog, values typed, rights made part of the conditions.
//!
//! All of authorisation is here. A column is read through [`Level::scalar`] alone, which gives it the mask of its group: where a row is in
//! sight but the column is not (a colleague's day of hire), the column is null for output, filter and order alike, so that none of them
//! tells more than another. A column that is never in sight is refused, in the same words as one that does not exist.

mod filter;
mod read;
mod relation;
mod sealed;
mod value;
mod write;

use std::sync::Arc;

use super::{
    catalog::{Catalog, Column, Table},
    error::{RestError, RestResult},
    parse::Field,
    plan::{Cast, Comparison, Embed, Expr, Join, Read, Scalar},
    rights::{Access, Action, Asker, Bound, Rows, Scope},
    search,
};
use crate::{
    crypto::MasterKey,
    db::{Timestamp, Type, Value},
    tenants::{RowCondition, RowOperator, claim_of},
};

pub(super) use self::read::bad_range;
pub(super) use self::sealed::open;
pub(super) use self::value::{Cell, parse_value};
pub(super) use self::write::{Body, Upsert, default_value, has_key, names_one_row};

/// Turns requests of one asker into plans.
pub(super) struct Resolver<'r> {
    /// The tables there are.
    pub catalog: &'r Catalog,
    /// Who asks.
    pub asker: &'r Asker,
    /// The tenant's number, which leads every search term.
    pub tenant: i64,
    /// The present moment.
    pub now: Timestamp,
    /// Whether the tenant lets rows be put together.
    pub aggregates: bool,
    /// What signs cursors, and seals numbers.
    pub key: &'r Arc<MasterKey>,
    /// What the field `custom` of employees has to be.
    pub custom_schema: Option<&'r serde_json::Value>,
    /// Rows in one answer at most: the setting `records.max_rows`.
    pub max_rows: i64,
}

/// A table in the sight of an asker.
struct Level {
    table: Arc<Table>,
    access: Access,
    /// The rows in sight.
    base: Rows,
}

impl Resolver<'_> {
    /// The table, if the asker may do anything at all with it.
    pub(super) fn table(&self, name: &str) -> RestResult<Arc<Table>> {
        if self.asker.is_anonymous() {
            return Err(self.denied_table(name));
        }
        self.catalog.table(name).cloned().ok_or_else(|| {
            let error = RestError::new("PGRST205", format!("Could not find the table 'public.{name}' in the schema cache"));
            match search::nearest(name, self.catalog.tables().iter().map(|table| table.name.as_str())) {
                Some(near) => error.hint(format!("Perhaps you meant the table 'public.{near}'")),
                None => error,
            }
        })
    }

    /// A column of a table as the asker sees it.
    pub(super) fn scalar(&self, table: &Arc<Table>, name: &str) -> RestResult<Scalar> {
        self.level(table)?.scalar(self, name)
    }

    /// Whether the asker may see anything of the table at all.
    pub(super) fn may_read(&self, table: &Arc<Table>) -> RestResult<()> {
        self.level(table).map(drop)
    }

    fn denied_table(&self, name: &str) -> RestError {
        RestError::denied(self.asker.is_anonymous(), format!("permission denied for table {name}"))
    }

    /// The table for reading.
    fn level(&self, table: &Arc<Table>) -> RestResult<Level> {
        let access = self.asker.access(table);
        let base = match access.seen(table) {
            // Only columns of other groups are open: the rows in which any of them is.
            Rows::None => access.any(Action::Read),
            rows => rows,
        };
        if base == Rows::None {
            return Err(self.denied_table(&table.name));
        }
        Ok(Level { table: Arc::clone(table), access, base })
    }

    /// The condition that a row is within these bounds.
    pub(super) fn within(&self, table: &Table, rows: &Rows) -> Expr {
        match rows {
            Rows::All => Expr::Always,
            Rows::None => Expr::Never,
            Rows::In(bounds) => {
                let mut any: Vec<Expr> = bounds.iter().map(|bound| self.bound(table, bound)).collect();
                if any.len() == 1 { any.remove(0) } else { Expr::Or(any) }
            }
        }
    }

    fn bound(&self, table: &Table, bound: &Bound) -> Expr {
        let scope = self.scope(table, bound.scope);
        match &bound.when {
            None => scope,
            Some(condition) => scope.and(self.stated(table, condition, false).unwrap_or(Expr::Never)),
        }
    }

    fn scope(&self, table: &Table, scope: Scope) -> Expr {
        if scope == Scope::All {
            return Expr::Always;
        }
        if let Some((column, whole)) = &table.part_of {
            return self.of_other(table, column, whole, |whole| self.scope(whole, scope));
        }
        let (Some(me), Some(owner)) = (self.asker.employee(), table.owner.as_ref().and_then(|owner| table.column(owner))) else {
            return Expr::Never;
        };
        let own = || Expr::Compare(Scalar::column(owner), Comparison::Equal, Value::Uuid(me));
        let status = |word: &str| match table.column("status") {
            Some(status) => Expr::Compare(Scalar::column(status), Comparison::Equal, Value::Text(word.to_owned())),
            None => Expr::Never,
        };
        match scope {
            Scope::All => Expr::Always,
            Scope::Own => own(),
            Scope::OwnFinal => Expr::And(vec![own(), status("final")]),
            Scope::Active => Expr::Or(vec![status("active"), own()]),
            Scope::Reports => Expr::ReportsTo(Arc::clone(owner), me),
        }
    }

    /// The condition on the row of another table that a column of this one names.
    fn of_other(&self, table: &Table, column: &str, other: &str, condition: impl FnOnce(&Table) -> Expr) -> Expr {
        let (Some(outer), Some(other)) = (table.column(column), self.catalog.table(other)) else { return Expr::Never };
        let Some(inner) = other.primary_key.first().and_then(|key| other.column(key)) else { return Expr::Never };
        let join = Join { outer: Scalar::column(outer), inner: Scalar::column(inner), through: None };
        let read = Read::rows(other, condition(other));
        Expr::Exists(Box::new(Embed { one: true, join, read }))
    }

    /// A condition of a rule. What it says of columns that are not there, or of what is not known of the asker, does not hold, and neither
    /// does its opposite: then this is nothing.
    fn stated(&self, table: &Table, condition: &RowCondition, negated: bool) -> Option<Expr> {
        Some(match condition {
            RowCondition::All { all } => Expr::And(all.iter().map(|one| self.stated(table, one, negated)).collect::<Option<_>>()?),
            RowCondition::Any { any } if negated => Expr::Or(any.iter().map(|one| self.stated(table, one, negated)).collect::<Option<_>>()?),
            // One way that is closed closes no other.
            RowCondition::Any { any } => Expr::Or(any.iter().filter_map(|one| self.stated(table, one, negated)).collect()),
            RowCondition::Not { not } => Expr::Not(Box::new(self.stated(table, not, true)?)),
            RowCondition::Employee { employee } => self.of_employee(table, employee, negated)?,
            RowCondition::Compare { column, op, value } => self.comparison(table, column, *op, value)?,
        })
    }

    fn of_employee(&self, table: &Table, condition: &RowCondition, negated: bool) -> Option<Expr> {
        if table.name == "employees" {
            return self.stated(table, condition, negated);
        }
        let employees = self.catalog.table("employees")?;
        if let Some((column, whole)) = &table.part_of {
            let inner = self.of_employee(self.catalog.table(whole)?, condition, negated)?;
            return Some(self.of_other(table, column, whole, |_| inner));
        }
        let inner = self.stated(employees, condition, negated)?;
        Some(self.of_other(table, table.owner.as_ref()?, "employees", |_| inner))
    }

    fn comparison(&self, table: &Table, column: &str, op: RowOperator, value: &serde_json::Value) -> Option<Expr> {
        let column = table.column(column).filter(|column| !column.hidden && !column.sealed)?;
        let scalar = Scalar::column(column);
        let value = match claim_of(value) {
            Some(claim) => self.asker.claim(claim)?,
            None => value.clone(),
        };
        let typed = |value: serde_json::Value| Cell::Json(value).typed(column.kind).ok().filter(|value| !matches!(value, Value::Null(_)));
        let compare = |comparison| Some(Expr::Compare(scalar.clone(), comparison, typed(value.clone())?));
        match op {
            RowOperator::IsNull => Some(Expr::IsNull(scalar)),
            RowOperator::In => {
                let values = value.as_array()?.iter().cloned().map(typed).collect::<Option<Vec<_>>>()?;
                Some(Expr::In(scalar, values))
            }
            RowOperator::Eq => compare(Comparison::Equal),
            RowOperator::Neq => compare(Comparison::NotEqual),
            RowOperator::Gt => compare(Comparison::Greater),
            RowOperator::Gte => compare(Comparison::GreaterOrEqual),
            RowOperator::Lt => compare(Comparison::Less),
            RowOperator::Lte => compare(Comparison::LessOrEqual),
        }
    }

    /// The refusal of a column: the same for one that does not exist, unless the asker may see everything anyway.
    fn no_column(&self, table: &Table, access: &Access, name: &str) -> RestError {
        if access.is_everything() {
            return RestError::new("42703", format!("column {}.{name} does not exist", table.name));
        }
        let message = format!("permission denied for column {}.{name}", table.name);
        RestError::denied(self.asker.is_anonymous(), message).hint("The column does not exist, or you may not use it here.")
    }
}

impl Level {
    /// The columns that `*` stands for.
    fn columns(&self) -> impl Iterator<Item = &Arc<Column>> {
        self.table.shown().filter(|column| self.access.column(Action::Read, column) != Rows::None)
    }

    /// A column as the asker sees it.
    fn scalar(&self, resolver: &Resolver<'_>, name: &str) -> RestResult<Scalar> {
        let refused = || resolver.no_column(&self.table, &self.access, name);
        let column = self.table.column(name).filter(|column| !column.hidden).ok_or_else(refused)?;
        let mask = match self.access.column(Action::Read, column) {
            Rows::None => return Err(refused()),
            Rows::All => None,
            rows @ Rows::In(_) if rows == self.base => None,
            rows @ Rows::In(_) => Some(Arc::new(resolver.within(&self.table, &rows))),
        };
        Ok(Scalar { mask, ..Scalar::column(column) })
    }

    /// A column, and what is in its JSON.
    fn field(&self, resolver: &Resolver<'_>, field: &Field) -> RestResult<Scalar> {
        let scalar = self.scalar(resolver, &field.name)?;
        Ok(Scalar { path: field.path.clone(), as_text: field.as_text, ..scalar })
    }
}

/// The cast of that name, if it is one that is offered for the value.
fn cast(scalar: &Scalar, name: &str) -> RestResult<Option<Cast>> {
    let kind = scalar.kind();
    match (name.to_ascii_lowercase().as_str(), kind) {
        ("text" | "varchar" | "character varying", _) => Ok(Some(Cast::Text)),
        ("date", Type::Timestamp) => Ok(Some(Cast::Date)),
        ("date", Type::Date)
        | ("bigint" | "int8" | "integer" | "int" | "int4", Type::I64)
        | ("uuid", Type::Uuid)
        | ("json" | "jsonb", Type::Json)
        | ("boolean" | "bool", Type::Bool)
        | ("timestamptz", Type::Timestamp) => Ok(None),
        ("date" | "bigint" | "int8" | "integer" | "int" | "int4" | "uuid" | "json" | "jsonb" | "boolean" | "bool" | "timestamptz", _) => {
            Err(RestError::new("42846", format!("cannot cast type {} to {name}", value::type_name(kind))))
        }
        _ => Err(RestError::new("42704", format!("type \"{name}\" does not exist"))),
    }
}

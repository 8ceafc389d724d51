//! What is to be written: columns and values checked, defaults filled in, rights turned into conditions.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use super::{Cell, Resolver};
use crate::{
    db::{Timestamp, Value},
    records::{
        catalog::{Column, Default, Table},
        error::{RestError, RestResult},
        execute::Reveal,
        parse::{Condition, IfMatch, Missing, Operand, Operator, QueryString, Resolution},
        plan::{self, Comparison, Conflict, Delete, Expr, Guard, Insert, OnConflict, Scalar, Update},
        rights::{Access, Action, Rows},
        search,
    },
    tenants::custom_validator,
};

/// Characters in the text of a key, at the most.
const LONGEST_KEY: usize = 255;
/// Characters in any other text, at the most.
const LONGEST_TEXT: usize = 10_000;

/// Rows as a body has them.
#[derive(Clone, Debug, std::default::Default, PartialEq)]
pub(crate) struct Body {
    /// The keys, in the order they were first met.
    pub keys: Vec<String>,
    /// The rows; a key that a row lacks is nothing.
    pub rows: Vec<Vec<Option<Cell>>>,
}

/// What an insert does with rows that are there already, as it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Upsert {
    /// What is done.
    pub resolution: Option<Resolution>,
    /// What a key that a row lacks stands for.
    pub missing: Missing,
}

/// Values for columns, and the rows in which all of them may be changed.
type Changes = (Vec<(Arc<Column>, Value)>, Expr);

/// Whether a body with these keys names each of its rows.
pub(crate) fn has_key(table: &Table, query: &QueryString, keys: &[String]) -> bool {
    let key = query.on_conflict.as_ref().filter(|columns| !columns.is_empty()).unwrap_or(&table.primary_key);
    key.iter().all(|column| keys.contains(column))
}

/// Whether the filters name one row by a key.
pub(crate) fn names_one_row(table: &Table, query: &QueryString) -> bool {
    let named: Vec<&str> = query.filters.iter().filter_map(|filter| if filter.path.is_empty() { equals(&filter.what) } else { None }).collect();
    let has = |key: &[String]| key.iter().all(|column| named.contains(&column.as_str()));
    has(&table.primary_key) || table.uniques.iter().any(|unique| has(&unique.columns))
}

impl Resolver<'_> {
    /// What a POST is to make.
    pub(crate) fn insert(&self, table: &Arc<Table>, query: &QueryString, body: Body, upsert: Upsert) -> RestResult<Insert> {
        let access = self.asker.access(table);
        let row = access.row(Action::Insert, table);
        if table.read_only || row == Rows::None {
            return Err(self.denied_table(&table.name));
        }
        let given = self.given_columns(table, &access, Action::Insert, &body.keys)?;
        let mut check = self.within(table, &row);
        for (_, column) in &given {
            check = check.and(self.within(table, &access.column(Action::Insert, column)));
        }
        let columns = Self::with_sealed(table, filled_columns(table, &given));
        let custom = self.custom(table)?;
        let new_row = |row| {
            let row = self.new_row(table, &columns, &given, row, upsert.missing)?;
            check_custom(custom.as_ref(), &columns, &row)?;
            Ok(row)
        };
        let rows = body.rows.into_iter().map(new_row).collect::<RestResult<Vec<_>>>()?;
        let conflict = upsert.resolution.map(|resolution| self.conflict(table, &access, query, &given, resolution)).transpose()?;
        if let Some(Conflict { columns: key, then: OnConflict::Update(..) }) = &conflict {
            refuse_repeats(key, &columns, &rows)?;
        }
        Ok(Insert { table: Arc::clone(table), columns, rows, conflict, check })
    }

    /// What a PUT is to make or change: the one row that its filters name.
    pub(crate) fn put(&self, table: &Arc<Table>, query: &QueryString, body: Body, missing: Missing) -> RestResult<Insert> {
        if self.asker.access(table).row(Action::Insert, table) == Rows::None {
            return Err(self.denied_table(&table.name));
        }
        if !query.limits.is_empty() || !query.offsets.is_empty() {
            return Err(RestError::new("PGRST114", "limit/offset querystring parameters are not allowed for PUT"));
        }
        let named: Vec<(&str, &str)> = query
            .filters
            .iter()
            .filter_map(|filter| {
                let name = equals(&filter.what).filter(|_| filter.path.is_empty())?;
                if let Condition::Compare { operand: Operand::Text(text), .. } = &filter.what { Some((name, text.as_str())) } else { None }
            })
            .collect();
        let is_key = named.len() == query.filters.len()
            && named.len() == table.primary_key.len()
            && table.primary_key.iter().all(|own| named.iter().any(|(name, _)| name == own));
        if !is_key {
            return Err(RestError::new("PGRST105", "Filters must include all and only primary key columns with 'eq' operators"));
        }
        let fits = |row: &Vec<Option<Cell>>| {
            named.iter().all(|(name, text)| {
                let cell = body.keys.iter().position(|key| key == name).and_then(|place| row.get(place).cloned().flatten());
                let kind = table.column(name).map_or(crate::db::Type::Text, |column| column.kind);
                let wanted = super::parse_value(kind, text);
                matches!((cell.map(|cell| cell.typed(kind)), wanted), (Some(Ok(own)), Ok(wanted)) if own == wanted)
            })
        };
        if body.rows.len() != 1 || !body.rows.iter().all(fits) {
            return Err(RestError::new("PGRST115", "Payload values do not match URL in primary key column(s)"));
        }
        let query = QueryString { on_conflict: None, ..query.clone() };
        self.insert(table, &query, body, Upsert { resolution: Some(Resolution::Merge), missing })
    }

    /// What a PATCH is to change.
    pub(crate) fn update(&self, table: &Arc<Table>, query: &QueryString, body: Body, if_match: Option<IfMatch>) -> RestResult<Update> {
        let access = self.updatable(table)?;
        if !has_filter(query) {
            return Err(unfiltered("UPDATE"));
        }
        let given = self.given_columns(table, &access, Action::Update, &body.keys)?;
        let (filter, guard) = self.guarded_target(table, query, if_match)?;
        let row = body.rows.into_iter().next().unwrap_or_default();
        let (set, allowed) = self.changes(table, &access, &given, row)?;
        Ok(Update { table: Arc::clone(table), set, filter, allowed, guard })
    }

    /// What a PATCH of many rows is to change: each names its row by the key, and may say which version it changes.
    pub(crate) fn update_each(&self, table: &Arc<Table>, query: &QueryString, body: Body) -> RestResult<Vec<Update>> {
        let access = self.updatable(table)?;
        let key = query.on_conflict.clone().filter(|columns| !columns.is_empty()).unwrap_or_else(|| table.primary_key.clone());
        if !table.is_key(&key.iter().map(String::as_str).collect::<Vec<_>>()) {
            return Err(no_such_key());
        }
        let place = |name: &str| body.keys.iter().position(|own| own == name);
        let key_places = key.iter().map(|name| place(name).ok_or_else(|| without_key(name))).collect::<RestResult<Vec<_>>>()?;
        let version_place = place("version");
        let keys: Vec<String> = body.keys.iter().map(|name| if key.contains(name) { String::new() } else { name.clone() }).collect();
        let given = self.given_columns(table, &access, Action::Update, &keys)?;
        let base = self.target(table, query)?;
        let (version, level) = (self.version(table).ok(), self.level(table)?);
        let mut updates = Vec::with_capacity(body.rows.len());
        let mut met = HashSet::new();
        for mut row in body.rows {
            let (mut filter, mut named) = (base.clone(), Vec::new());
            for (name, &place) in key.iter().zip(&key_places) {
                let scalar = level.scalar(self, name)?;
                let cell = row.get_mut(place).and_then(Option::take).ok_or_else(|| without_key(name))?;
                let value = cell.typed(scalar.column.kind)?;
                named.push(super::super::render::as_json(&value).to_string());
                filter = filter.and(Expr::Compare(scalar, Comparison::Equal, value));
            }
            let named = format!("({})=({})", key.join(", "), named.join(", ").replace('"', ""));
            if !met.insert(named.clone()) {
                return Err(RestError::new("21000", "UPDATE command cannot affect row a second time").details(format!("Key {named} is there twice.")));
            }
            let versions = match version_place.and_then(|place| row.get_mut(place)).and_then(Option::take) {
                Some(cell) => match cell.typed(crate::db::Type::I64)? {
                    Value::I64(version) => Some(vec![version]),
                    _ => None,
                },
                None => None,
            };
            if versions.is_some() {
                self.version(table)?;
            }
            let (set, allowed) = self.changes(table, &access, &given, row)?;
            let guard = Guard { version: version.clone(), versions, must_exist: Some(plan::Missing::Key(named)) };
            updates.push(Update { table: Arc::clone(table), set, filter, allowed, guard });
        }
        Ok(updates)
    }

    /// Whether the asker may make any row of the table.
    pub(crate) fn may_make_any(&self, table: &Arc<Table>) -> RestResult<()> {
        if self.asker.access(table).row(Action::Insert, table) == Rows::All { Ok(()) } else { Err(self.denied_table(&table.name)) }
    }

    /// Numbers to be shown whole.
    pub(crate) fn reveal(&self, table: &Arc<Table>, column: &str, ids: &[Uuid], reason: String) -> RestResult<Reveal> {
        let level = self.level(table)?;
        let column = level.scalar(self, column)?.column;
        if !column.sealed {
            return Err(RestError::new("22023", format!("the column {} is not masked", column.name)));
        }
        let rows = level.access.column(Action::Reveal, &column);
        if rows == Rows::None {
            return Err(self.denied_table(&table.name));
        }
        let key = table.primary_key.first().and_then(|key| table.column(key));
        let named = key.map_or(Expr::Never, |key| Expr::Touched(Arc::clone(key), super::super::sql::id_list(ids)));
        let filter = self.within(table, &level.base).and(named);
        Ok(Reveal { table: Arc::clone(table), column, filter, allowed: self.within(table, &rows), reason })
    }

    fn updatable(&self, table: &Arc<Table>) -> RestResult<Access> {
        let access = self.asker.access(table);
        if table.read_only || access.any(Action::Update) == Rows::None {
            return Err(self.denied_table(&table.name));
        }
        Ok(access)
    }

    /// What checks the fields of a tenant's own, where the table has them.
    fn custom(&self, table: &Table) -> RestResult<Option<jsonschema::Validator>> {
        let schema = self.custom_schema.filter(|_| table.name == "employees");
        Ok(schema.map(custom_validator).transpose()?)
    }

    /// The values that a row is given, and the rows in which all of them may be changed.
    fn changes(&self, table: &Arc<Table>, access: &Access, given: &[(usize, Arc<Column>)], mut row: Vec<Option<Cell>>) -> RestResult<Changes> {
        let mut allowed = Expr::Always;
        let mut set = Vec::new();
        let custom = if given.iter().any(|(_, column)| column.name == CUSTOM) { self.custom(table)? } else { None };
        for (index, column) in given {
            let Some(cell) = row.get_mut(*index).and_then(Option::take) else { continue };
            let mut value = cell.typed(column.kind)?;
            // Who sends back what was shown does not mean to change it.
            if Self::is_mask(column, &value) {
                continue;
            }
            check_length(table, column, &value)?;
            check_custom(custom.as_ref(), std::slice::from_ref(column), std::slice::from_ref(&value))?;
            if matches!(value, Value::Null(_)) && !column.nullable {
                return Err(null_refused(table, column));
            }
            fold_address(table, column, &mut value);
            allowed = allowed.and(self.within(table, &access.column(Action::Update, column)));
            if let (true, Some((sealed, hash))) = (column.sealed, table.beside(column)) {
                set.extend([column, sealed, hash].into_iter().map(Arc::clone).zip(self.seal(table, column, &value)?));
                continue;
            }
            set.push((Arc::clone(column), value));
        }
        Ok((set, allowed))
    }

    /// What a DELETE is to remove.
    pub(crate) fn delete(&self, table: &Arc<Table>, query: &QueryString, if_match: Option<IfMatch>) -> RestResult<Delete> {
        let access = self.asker.access(table);
        let rows = access.row(Action::Delete, table);
        if table.read_only || rows == Rows::None {
            return Err(self.denied_table(&table.name));
        }
        if !has_filter(query) {
            return Err(unfiltered("DELETE"));
        }
        let (filter, guard) = self.guarded_target(table, query, if_match)?;
        Ok(Delete { table: Arc::clone(table), filter, allowed: self.within(table, &rows), guard })
    }

    /// The version of a row as the asker sees it.
    pub(crate) fn version(&self, table: &Arc<Table>) -> RestResult<Scalar> {
        self.scalar(table, "version")
    }

    /// The rows that a write names and what must be so before: `If-Match`, or `version=eq.N` beside filters that name one row. Elsewhere
    /// that is a filter like any other.
    fn guarded_target(&self, table: &Arc<Table>, query: &QueryString, if_match: Option<IfMatch>) -> RestResult<(Expr, Guard)> {
        let mut guard = Guard { version: self.version(table).ok(), ..Guard::default() };
        if let Some(if_match) = if_match {
            guard.version = Some(self.version(table)?);
            guard.must_exist = Some(plan::Missing::Precondition);
            guard.versions = match if_match {
                IfMatch::Any => None,
                IfMatch::Versions(versions) => Some(versions),
            };
        }
        let mut query = query.clone();
        if guard.versions.is_none() && names_one_row(table, &query) {
            let place = query.filters.iter().position(|filter| filter.path.is_empty() && equals(&filter.what) == Some("version"));
            if let Some(Condition::Compare { operand: Operand::Text(text), .. }) = place.map(|place| query.filters.remove(place).what) {
                guard.version = Some(self.version(table)?);
                guard.versions = match super::parse_value(crate::db::Type::I64, &text)? {
                    Value::I64(version) => Some(vec![version]),
                    _ => None,
                };
            }
        }
        Ok((self.target(table, &query)?, guard))
    }

    /// The columns that a body names, with their places in it. What the server keeps itself is passed over, so that a row that was read
    /// can be sent back whole.
    fn given_columns(&self, table: &Table, access: &Access, action: Action, keys: &[String]) -> RestResult<Vec<(usize, Arc<Column>)>> {
        let mut given = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            // The name of a key that was read already.
            if key.is_empty() {
                continue;
            }
            let Some(column) = table.column(key).filter(|column| !column.hidden) else {
                return Err(if access.is_everything() { unknown_key(table, key) } else { self.no_column(table, access, key) });
            };
            if access.column(action, column) == Rows::None {
                // Said of a kept column that can be seen it is no secret, and no attempt to write it either.
                if column.kept_by_server() && access.column(Action::Read, column) != Rows::None {
                    continue;
                }
                return Err(self.no_column(table, access, key));
            }
            if !column.kept_by_server() && !given.iter().any(|(_, earlier): &(usize, Arc<Column>)| earlier.name == column.name) {
                given.push((index, Arc::clone(column)));
            }
        }
        Ok(given)
    }

    /// A row with a value for every column.
    fn new_row(
        &self,
        table: &Table,
        columns: &[Arc<Column>],
        given: &[(usize, Arc<Column>)],
        mut cells: Vec<Option<Cell>>,
        missing: Missing,
    ) -> RestResult<Vec<Value>> {
        let mut row = Vec::with_capacity(columns.len());
        for column in columns {
            let place = given.iter().find(|(_, own)| own.name == column.name).map(|(index, _)| *index);
            let value = match place.map(|index| cells.get_mut(index).and_then(Option::take)) {
                Some(Some(cell)) => {
                    let value = cell.typed(column.kind)?;
                    check_length(table, column, &value)?;
                    value
                }
                Some(None) if missing == Missing::Null => Value::Null(column.kind),
                _ => default_value(column, self.now),
            };
            row.push(value);
        }
        if table.name == "employees" {
            complete_names(columns, &mut row);
        }
        for (place, column) in columns.iter().enumerate().filter(|(_, column)| column.sealed) {
            let values = self.seal(table, column, &row[place])?;
            let Some((sealed, hash)) = table.beside(column) else { continue };
            for (column, value) in [column, sealed, hash].into_iter().zip(values) {
                if let Some(place) = columns.iter().position(|own| own == column) {
                    row[place] = value;
                }
            }
        }
        for (column, value) in columns.iter().zip(&mut row) {
            if matches!(value, Value::Null(_)) && !column.nullable {
                return Err(null_refused(table, column));
            }
            fold_address(table, column, value);
        }
        Ok(row)
    }

    fn conflict(
        &self,
        table: &Arc<Table>,
        access: &Access,
        query: &QueryString,
        given: &[(usize, Arc<Column>)],
        resolution: Resolution,
    ) -> RestResult<Conflict> {
        let columns = query.on_conflict.clone().filter(|columns| !columns.is_empty()).unwrap_or_else(|| table.primary_key.clone());
        for name in &columns {
            let readable = table.column(name).is_some_and(|column| access.column(Action::Read, column) != Rows::None);
            if !readable {
                return Err(self.no_column(table, access, name));
            }
        }
        if !table.is_key(&columns.iter().map(String::as_str).collect::<Vec<_>>()) {
            return Err(no_such_key());
        }
        if resolution == Resolution::Ignore {
            return Ok(Conflict { columns, then: OnConflict::Ignore });
        }
        let set: Vec<Arc<Column>> = given.iter().map(|(_, column)| Arc::clone(column)).filter(|column| !columns.contains(&column.name)).collect();
        let mut allowed = self.within(table, &self.level(table)?.base);
        for column in &set {
            match access.column(Action::Update, column) {
                Rows::None => return Err(self.no_column(table, access, &column.name)),
                rows => allowed = allowed.and(self.within(table, &rows)),
            }
        }
        Ok(Conflict { columns, then: OnConflict::Update(Self::with_sealed(table, set), Box::new(allowed)) })
    }
}

/// What a column holds in a new row that does not say.
pub(crate) fn default_value(column: &Column, now: Timestamp) -> Value {
    match column.default {
        Default::Null | Default::Derived | Default::Kept => Value::Null(column.kind),
        Default::NewId => Value::Uuid(Uuid::now_v7()),
        Default::Now => Value::Timestamp(now),
        Default::Version => Value::I64(1),
        Default::Text(text) => Value::Text(text.to_owned()),
        Default::Number(number) => Value::I64(number),
        Default::Truth(truth) => Value::Bool(truth),
        Default::Json(json) => Value::Json(json.to_owned()),
    }
}

/// The columns that a new row is given: those said, and those that hold something when nothing is said.
fn filled_columns(table: &Table, given: &[(usize, Arc<Column>)]) -> Vec<Arc<Column>> {
    let is_filled =
        |column: &&Arc<Column>| column.default != Default::Null || !column.nullable || given.iter().any(|(_, own)| own.name == column.name);
    table.columns.iter().filter(is_filled).cloned().collect()
}

/// What an employee's name lacks is made of what is there.
fn complete_names(columns: &[Arc<Column>], row: &mut [Value]) {
    let place: HashMap<&str, usize> = columns.iter().enumerate().map(|(index, column)| (column.name.as_str(), index)).collect();
    let text = |row: &[Value], name: &str| match place.get(name).map(|&index| &row[index]) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let fill = |row: &mut [Value], name: &str, value: Option<String>| {
        if let (Some(&index), Some(value)) = (place.get(name), value)
            && matches!(row[index], Value::Null(_))
        {
            row[index] = Value::Text(value);
        }
    };
    let (given, family) = (text(row, "given_name"), text(row, "family_name"));
    fill(row, "display_name", search::display_name(given.as_deref(), family.as_deref()));
    if let Some(shown) = text(row, "display_name") {
        fill(row, "name_phonetic", search::name_phonetic(&shown));
        fill(row, "name_sort", Some(search::name_sort(given.as_deref(), family.as_deref(), &shown)));
    }
}

/// Addresses at work, and names of a directory, are kept in lower case, so that one address is one key.
fn fold_address(table: &Table, column: &Column, value: &mut Value) {
    if let Value::Text(text) = value
        && table.name == "employees"
        && matches!(column.name.as_str(), "work_email" | "user_name")
    {
        *text = text.trim().to_lowercase();
    }
}

/// PostgreSQL's indexes take no longer texts, and what a field of a record holds is not longer either.
fn check_length(table: &Table, column: &Column, value: &Value) -> RestResult<()> {
    let Value::Text(text) = value else { return Ok(()) };
    let is_key = table.uniques.iter().any(|unique| unique.columns.contains(&column.name)) || column.name == "name_sort";
    let most = if is_key { LONGEST_KEY } else { LONGEST_TEXT };
    if text.len() > most && text.chars().count() > most {
        return Err(RestError::new("22001", format!("value too long for type character varying({most})")));
    }
    Ok(())
}

/// The field that is the tenant's own.
const CUSTOM: &str = "custom";

/// The fields of a tenant's own must be what its schema says.
fn check_custom(validator: Option<&jsonschema::Validator>, columns: &[Arc<Column>], row: &[Value]) -> RestResult<()> {
    let Some(validator) = validator else { return Ok(()) };
    let Some((_, Value::Json(text))) = columns.iter().zip(row).find(|(column, _)| column.name == CUSTOM) else { return Ok(()) };
    let value = serde_json::from_str(text).unwrap_or_default();
    let Some(error) = validator.iter_errors(&value).next() else { return Ok(()) };
    let place = error.instance_path().to_string();
    Err(RestError::new("23514", "new row for relation \"employees\" violates check constraint \"employees_custom_check\"")
        .details(format!("custom{place}: {error}")))
}

fn has_filter(query: &QueryString) -> bool {
    query.filters.iter().any(|filter| filter.path.is_empty())
}

fn unfiltered(verb: &str) -> RestError {
    RestError::new("21000", format!("{verb} requires a WHERE clause"))
}

fn no_such_key() -> RestError {
    RestError::new("42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification")
}

fn without_key(name: &str) -> RestError {
    RestError::new("PGRST102", format!("Every row should have the key \"{name}\""))
        .hint("Name another key by on_conflict, or filter and send one object.")
}

/// The column that a condition compares with one value by `eq`.
fn equals(condition: &Condition) -> Option<&str> {
    match condition {
        Condition::Compare { field, negated: false, operator: Operator::Eq, quantifier: None, .. } if field.path.is_empty() => Some(&field.name),
        _ => None,
    }
}

fn unknown_key(table: &Table, key: &str) -> RestError {
    RestError::new("PGRST204", format!("Could not find the '{key}' column of '{}' in the schema cache", table.name))
}

fn null_refused(table: &Table, column: &Column) -> RestError {
    let message = format!("null value in column \"{}\" of relation \"{}\" violates not-null constraint", column.name, table.name);
    RestError::new("23502", message)
}

/// PostgreSQL refuses to change one row twice in one statement; SQLite would take the last.
fn refuse_repeats(key: &[String], columns: &[Arc<Column>], rows: &[Vec<Value>]) -> RestResult<()> {
    let places: Vec<usize> = key.iter().filter_map(|name| columns.iter().position(|column| column.name == *name)).collect();
    let mut met = HashSet::new();
    for row in rows {
        let key: Vec<String> = places.iter().map(|&place| format!("{:?}", row[place])).collect();
        if !met.insert(key) {
            return Err(RestError::new("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time")
                .hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Type;

    #[test]
    fn an_empty_cell_keeps_its_type() {
        assert_eq!(Cell::Text(None).typed(Type::Date).unwrap(), Value::Null(Type::Date));
    }
}

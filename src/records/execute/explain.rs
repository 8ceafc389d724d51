//! What the database refused, in PostgreSQL's words.

use std::sync::Arc;

use serde_json::Value as Json;
use uuid::Uuid;

use super::{
    super::{
        catalog::{Catalog, Table},
        error::RestError,
        plan::{Delete, Insert, Update},
        render, sql,
    },
    GOING,
};
use crate::{
    db::{Conn, Dialect, Value},
    error::{Constraint, ConstraintKind, Error, Result},
    tenants::TenantId,
};

/// The table and its plans, for who reads a refusal.
pub(super) enum Attempt<'p> {
    /// Rows were to be made.
    Insert(&'p Insert),
    /// Rows were to be changed.
    Update(&'p Update),
    /// Rows were to be removed.
    Delete(&'p Delete, &'p [Uuid]),
}

/// Puts a refusal of the database into PostgreSQL's words. SQLite says less than PostgreSQL, so there what it refused is looked for; the
/// failed statement is undone and the transaction still stands.
pub(super) async fn explain(tx: &Conn, tenant: TenantId, error: Error, attempt: Attempt<'_>) -> RestError {
    let Error::Constraint(broken) = error else { return error.into() };
    let table = match &attempt {
        Attempt::Insert(plan) => &plan.table,
        Attempt::Update(plan) => &plan.table,
        Attempt::Delete(plan, _) => &plan.table,
    };
    if tx.dialect() == Dialect::Postgres {
        return (*broken).into();
    }
    let explained = match broken.kind {
        ConstraintKind::Unique => unique(tx, tenant, table, &broken, &attempt).await,
        ConstraintKind::ForeignKey => reference(tx, tenant, table, &broken, &attempt).await,
        ConstraintKind::Check => Ok(check(table, &broken)),
        _ => Ok(RestError::from(*broken)),
    };
    explained.unwrap_or_else(RestError::from)
}

fn check(table: &Table, broken: &Constraint) -> RestError {
    let name = broken.name.clone().unwrap_or_default();
    RestError::new("23514", format!("new row for relation \"{}\" violates check constraint \"{name}\"", table.name))
}

async fn unique(tx: &Conn, tenant: TenantId, table: &Table, broken: &Constraint, attempt: &Attempt<'_>) -> Result<RestError> {
    let columns: Vec<String> = broken.columns.iter().filter(|column| *column != "tenant_id").cloned().collect();
    let name = table.key_name(&columns).unwrap_or_else(|| format!("{}_key", table.name));
    let error = RestError::new("23505", format!("duplicate key value violates unique constraint \"{name}\""));
    let mut met: Vec<Vec<String>> = Vec::new();
    for row in attempted(attempt, &columns) {
        let spelled: Vec<String> = row.iter().map(|value| shown(value)).collect();
        let pairs: Vec<(&str, &Value)> = columns.iter().map(String::as_str).zip(row).collect();
        if met.contains(&spelled) || sql::has_row(tx, tenant, &table.name, &pairs).await? {
            return Ok(error.details(format!("Key ({})=({}) already exists.", columns.join(", "), spelled.join(", "))));
        }
        met.push(spelled);
    }
    Ok(error)
}

/// The values of these columns that were to be written, row by row; nothing when they were not all said.
fn attempted<'p>(attempt: &Attempt<'p>, columns: &[String]) -> Vec<Vec<&'p Value>> {
    match attempt {
        Attempt::Insert(plan) => {
            let places: Option<Vec<usize>> = columns.iter().map(|name| plan.columns.iter().position(|column| column.name == *name)).collect();
            let Some(places) = places else { return Vec::new() };
            plan.rows.iter().map(|row| places.iter().map(|&place| &row[place]).collect()).collect()
        }
        Attempt::Update(plan) => {
            let find = |name: &String| plan.set.iter().find(|(column, _)| column.name == *name).map(|(_, value)| value);
            columns.iter().map(find).collect::<Option<Vec<_>>>().into_iter().collect()
        }
        Attempt::Delete(..) => Vec::new(),
    }
}

fn shown(value: &Value) -> String {
    match render::as_json(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

async fn reference(tx: &Conn, tenant: TenantId, table: &Arc<Table>, broken: &Constraint, attempt: &Attempt<'_>) -> Result<RestError> {
    if let Attempt::Delete(_, ids) = attempt {
        return still_referenced(tx, tenant, table, ids).await;
    }
    for key in &table.foreign_keys {
        let values = attempted(attempt, std::slice::from_ref(&key.column));
        let ids: Vec<Uuid> = values.into_iter().flatten().filter_map(|value| if let Value::Uuid(id) = value { Some(*id) } else { None }).collect();
        // Rows of one statement may refer to each other.
        let own = if key.target == table.name { attempted(attempt, &table.primary_key) } else { Vec::new() };
        let strangers: Vec<Uuid> = ids.into_iter().filter(|id| !own.iter().any(|row| row[..] == [&Value::Uuid(*id)])).collect();
        if let Some(missing) = sql::first_missing(tx, tenant, &key.target, &strangers).await? {
            let message = format!("insert or update on table \"{}\" violates foreign key constraint \"{}\"", table.name, key.name);
            return Ok(
                RestError::new("23503", message).details(format!("Key ({})=({missing}) is not present in table \"{}\".", key.column, key.target))
            );
        }
    }
    Ok(RestError::from(broken.clone()))
}

async fn still_referenced(tx: &Conn, tenant: TenantId, table: &Arc<Table>, ids: &[Uuid]) -> Result<RestError> {
    for (from, key) in Catalog::built_in().references_to(&table.name) {
        // What belongs to the row goes with it.
        if from.primary_key == [key.column.clone()] || GOING.contains(&from.name.as_str()) || from.name == "employee_group_members" {
            continue;
        }
        if let Some(id) = sql::first_referenced(tx, tenant, &from.name, &key.column, ids).await? {
            let message =
                format!("update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"", table.name, key.name, from.name);
            let details = format!("Key ({})=({id}) is still referenced from table \"{}\".", key.target_column, from.name);
            return Ok(RestError::new("23503", message).details(details));
        }
    }
    Ok(RestError::new("23503", format!("update or delete on table \"{}\" violates a foreign key constraint", table.name)))
}

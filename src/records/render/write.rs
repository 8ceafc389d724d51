//! What changes rows.

use serde_json::Value as Json;

use super::{
    Alias, Renderer,
    expr::{as_json, postgres_type},
};
use crate::{
    db::{Dialect, SqlBuf, Timestamp, Type, Value},
    records::{
        catalog::{Column, Table},
        plan::{Conflict, Expr, Insert, OnConflict, Scalar, Update},
    },
    tenants::TenantId,
};

/// The statement that makes rows and answers of each its key, its version, which is 1 for a new one, and what it is now, as JSON. One row is bound value by value; many come as one JSON array, so that the statement's text does not
/// depend on how many there are.
pub(crate) fn insert(dialect: Dialect, tenant: TenantId, now: Timestamp, plan: &Insert) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    let alias = renderer.alias();
    renderer.buf.push("INSERT INTO ").push_ident(&plan.table.name).push(" AS ");
    renderer.name(alias);
    renderer.buf.push(" (tenant_id");
    for column in &plan.columns {
        renderer.buf.push(", ").push_ident(&column.name);
    }
    renderer.buf.push(") ");
    match &plan.rows[..] {
        [row] => renderer.values(row),
        rows => renderer.recordset(plan, rows),
    }
    if let Some(conflict) = &plan.conflict {
        renderer.on_conflict(alias, conflict, now);
    }
    renderer.returning(&plan.table);
    renderer.buf
}

/// The statement that changes the rows with these keys, a JSON array, and answers what [`insert`] does.
pub(crate) fn update(dialect: Dialect, tenant: TenantId, now: Timestamp, plan: &Update, ids: &str) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    let alias = renderer.alias();
    renderer.buf.push("UPDATE ").push_ident(&plan.table.name).push(" AS ");
    renderer.name(alias);
    renderer.buf.push(" SET ");
    for (column, value) in &plan.set {
        renderer.buf.push_ident(&column.name).push(" = ").push_value(value.clone()).push(", ");
    }
    renderer.touch(alias, now);
    renderer.buf.push(" WHERE ");
    renderer.of_tenant(alias);
    renderer.buf.push(" AND ");
    renderer.column(alias, key(&plan.table));
    renderer.listed(Type::Uuid, ids);
    renderer.returning(&plan.table);
    renderer.buf
}

/// The statement that finds the rows that a write is about to touch: key, version, whether it may be written, the version as the asker sees
/// it, and what it is, as JSON. PostgreSQL holds them until the write is done, and waits for them in one order; SQLite has one writer.
pub(crate) fn select_targets(dialect: Dialect, tenant: TenantId, table: &Table, filter: &Expr, allowed: &Expr, version: Option<&Scalar>) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    let alias = renderer.alias();
    renderer.buf.push("SELECT ");
    renderer.column(alias, key(table));
    renderer.buf.push(", ");
    renderer.column(alias, "version");
    renderer.buf.push(", coalesce(");
    renderer.expr(alias, allowed);
    renderer.buf.push(", FALSE), ");
    match version {
        Some(version) => renderer.scalar(alias, version),
        None => drop(renderer.buf.pick("NULL", "NULL::bigint")),
    }
    renderer.buf.push(", ");
    renderer.whole(table);
    renderer.tenants_rows(&table.name, alias);
    renderer.buf.push(" AND ");
    renderer.expr(alias, filter);
    renderer.buf.push(" ORDER BY ");
    renderer.column(alias, key(table));
    renderer.buf.pick("", " FOR UPDATE");
    renderer.buf
}

/// The statement that removes the rows with these keys, a JSON array.
pub(crate) fn delete(dialect: Dialect, tenant: TenantId, table: &Table, ids: &str) -> SqlBuf {
    let mut renderer = Renderer::new(dialect, tenant);
    renderer.buf.push("DELETE FROM ").push_ident(&table.name).push(" WHERE tenant_id = ").push_value(tenant).push(" AND ").push_ident(key(table));
    renderer.listed(Type::Uuid, ids);
    renderer.buf
}

/// Every table has a key of one column.
fn key(table: &Table) -> &str {
    table.primary_key.first().map_or("id", String::as_str)
}

impl Renderer {
    fn values(&mut self, row: &[Value]) {
        self.buf.push("VALUES (").push_value(self.tenant);
        for value in row {
            self.buf.push(", ").push_value(value.clone());
        }
        self.buf.push(")");
    }

    fn recordset(&mut self, plan: &Insert, rows: &[Vec<Value>]) {
        let rows = Json::Array(rows.iter().map(|row| row.iter().map(as_json).collect()).collect()).to_string();
        self.buf.push("SELECT ").push_value(self.tenant);
        self.buf.pick("", "::bigint");
        for (index, column) in (0_i64..).zip(&plan.columns) {
            self.buf.pick(", e.value ->> ", ", (e.v ->> ").push_number(index);
            if !self.is_sqlite() {
                self.buf.push(")::").push(postgres_type(column.kind));
            }
        }
        if self.is_sqlite() {
            // Without WHERE the ON of ON CONFLICT would be read as a join's.
            self.buf.push(" FROM json_each(").push_value(rows).push(") AS e WHERE TRUE");
        } else {
            self.buf.push(" FROM jsonb_array_elements(").push_value(Value::Json(rows)).push(") AS e (v)");
        }
    }

    fn on_conflict(&mut self, alias: Alias, conflict: &Conflict, now: Timestamp) {
        self.buf.push(" ON CONFLICT");
        if !conflict.columns.is_empty() {
            self.buf.push(" (tenant_id");
            for column in &conflict.columns {
                self.buf.push(", ").push_ident(column);
            }
            self.buf.push(")");
        }
        match &conflict.then {
            OnConflict::Ignore => drop(self.buf.push(" DO NOTHING")),
            OnConflict::Update(columns, allowed) => {
                self.buf.push(" DO UPDATE SET ");
                for column in columns {
                    self.set_excluded(column);
                }
                self.touch(alias, now);
                self.buf.push(" WHERE ");
                self.expr(alias, allowed);
            }
        }
    }

    fn set_excluded(&mut self, column: &Column) {
        self.buf.push_ident(&column.name).push(" = excluded.").push_ident(&column.name).push(", ");
    }

    fn touch(&mut self, alias: Alias, now: Timestamp) {
        self.buf.push("version = ");
        self.column(alias, "version");
        self.buf.push(" + 1, updated_at = ").push_value(now);
    }

    fn returning(&mut self, table: &Table) {
        self.buf.push(" RETURNING ").push_ident(key(table)).push(", version, ");
        self.whole(table);
    }

    /// All of the row at hand as one JSON text, whoever may see it.
    fn whole(&mut self, table: &Table) {
        self.buf.pick("json_object(", "(SELECT row_to_json(x)::text FROM (SELECT ");
        for (index, column) in table.columns.iter().enumerate() {
            self.buf.push(if index == 0 { "" } else { ", " });
            if !self.is_sqlite() {
                self.buf.push_ident(&column.name);
                continue;
            }
            self.buf.push_literal(&column.name);
            match column.kind {
                Type::Json => self.buf.push(", json(").push_ident(&column.name).push(")"),
                Type::Bool => self.buf.push(", CASE ").push_ident(&column.name).push(" WHEN 1 THEN json('true') WHEN 0 THEN json('false') END"),
                _ => self.buf.push(", ").push_ident(&column.name),
            };
        }
        self.buf.pick(")", ") AS x)");
    }
}

//! What was changed: who, when, what it was before and what it is now, written with the change itself.
//!
//! Fields of all groups but directory, work and system are kept as keyed hashes, which tell whether a value is the same as another of this field in
//! this row and nothing else. Each group has its own table, with the rights of the group. An import writes no history: what it makes was
//! not there before, and the files say where it came from.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{
    catalog::{Column, Group, Table},
    execute::Context,
    sql::changes,
};
use crate::{
    crypto::{MasterKey, hex},
    db::Tx,
    error::Result,
    http::{ActorKind, current_actor, current_request},
    tenants::TenantId,
};

/// A row, by its columns.
pub(super) type Row = Map<String, Json>;

/// A row that was made, changed or removed.
pub(super) struct Change {
    /// Its key.
    pub id: Uuid,
    /// What it was.
    pub old: Option<Row>,
    /// What it is.
    pub new: Option<Row>,
}

impl Change {
    /// A value that the row has now, as text.
    pub(super) fn now(&self, column: &str) -> Option<&str> {
        self.new.as_ref()?.get(column)?.as_str()
    }

    /// A value that the row had, as text.
    pub(super) fn before(&self, column: &str) -> Option<&str> {
        self.old.as_ref()?.get(column)?.as_str()
    }

    /// The columns whose values are others now, without those that change with every write.
    pub(super) fn columns<'t>(&self, table: &'t Table) -> impl Iterator<Item = &'t str> {
        let value = |row: &Option<Row>, name: &str| row.as_ref().and_then(|row| row.get(name)).cloned().unwrap_or_default();
        // What is masked may look the same and be another number.
        let differs = |column: &&'t Arc<Column>| {
            let hash = table.beside(column).filter(|_| column.sealed).map_or(&column.name, |(_, hash)| &hash.name);
            value(&self.old, hash) != value(&self.new, hash)
        };
        let names = table.shown().filter(|column| !column.kept_by_server()).filter(differs).map(|column| column.name.as_str());
        names.collect::<Vec<_>>().into_iter()
    }
}

/// Who changes something, in which request.
#[derive(Clone)]
pub(super) struct Author {
    kind: &'static str,
    id: Option<Uuid>,
    request: Option<String>,
}

impl Author {
    /// The user, if it is one.
    pub(super) fn user(&self) -> Option<Uuid> {
        self.id.filter(|_| self.kind == ActorKind::User.as_str())
    }

    /// Who the request being answered comes from. To be asked outside of transactions.
    pub(super) fn here() -> Self {
        let actor = current_actor();
        Self { kind: actor.map_or("system", |actor| actor.kind.as_str()), id: actor.and_then(|actor| actor.id), request: current_request() }
    }
}

/// Writes changes down, in the transaction that makes them.
pub(super) async fn note(tx: &Tx, context: &Context, table: &Table, done: &[Change]) -> Result<()> {
    let Some(author) = &context.author else { return Ok(()) };
    let mut entries = Vec::with_capacity(done.len());
    for change in done {
        let action = match (&change.old, &change.new) {
            (None, _) => "insert",
            (Some(_), Some(_)) => "update",
            (Some(_), None) => "delete",
        };
        let values = values(&context.key, context.tenant, table, change);
        if !values.is_empty() {
            entries.push(json!([
                Uuid::now_v7(),
                table.name,
                change.id,
                action,
                author.kind,
                author.id,
                author.request,
                Json::Object(values).to_string()
            ]));
        }
    }
    if entries.is_empty() {
        return Ok(());
    }
    changes::insert(tx, context.tenant, context.now, kept_in(table.group), &Json::Array(entries)).await
}

/// Writes down that numbers were shown whole, of which rows, and why.
pub(super) async fn note_revealed(tx: &Tx, context: &Context, table: &Table, column: &str, rows: &[Uuid], reason: &str) -> Result<()> {
    let author = context.author.clone().unwrap_or_else(Author::here);
    let why = json!({ column: { "reason": reason } }).to_string();
    let entry = |id: &Uuid| json!([Uuid::now_v7(), table.name, id, "reveal", author.kind, author.id, author.request, why]);
    let entries: Vec<Json> = rows.iter().map(entry).collect();
    changes::insert(tx, context.tenant, context.now, kept_in(table.group), &Json::Array(entries)).await
}

/// The table that keeps the changes of a group.
fn kept_in(group: Group) -> &'static str {
    match group {
        Group::Directory | Group::Work | Group::System => "changes",
        Group::Personal => "personal_changes",
        Group::Identity => "identity_changes",
        Group::Special => "special_changes",
        Group::Pay => "pay_changes",
    }
}

fn values(key: &Arc<MasterKey>, tenant: TenantId, table: &Table, change: &Change) -> Map<String, Json> {
    let mut changed = Map::new();
    for name in change.columns(table) {
        let column = table.column(name);
        let is_open = |column: &Arc<Column>| matches!(column.group, Group::Directory | Group::Work | Group::System);
        let is_secret = !column.is_some_and(is_open);
        let hash = column.filter(|column| column.sealed).and_then(|column| table.beside(column)).map(|(_, hash)| hash.name.as_str());
        let shown = |row: &Option<Row>| {
            let value = row.as_ref()?.get(hash.unwrap_or(name)).filter(|value| !value.is_null())?;
            if !is_secret {
                return Some(value.clone());
            }
            let place = format!("changes/{}/{}/{}/{name}", tenant.number(), table.name, change.id);
            Some(Json::from(hex(&key.mac(&place, value.to_string().as_bytes())[..16])))
        };
        let mut pair = Map::new();
        for (word, row) in [("old", &change.old), ("new", &change.new)] {
            if row.is_some() {
                pair.insert(word.to_owned(), shown(row).unwrap_or_default());
            }
        }
        changed.insert(name.to_owned(), Json::Object(pair));
    }
    changed
}

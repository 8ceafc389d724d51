//! What tables there are: columns, types, keys, relations, and which group of fields each column is in.
//!
//! The planner, the document and the rights are all drawn from here, so that a new resource is a declaration in [`built_in`] and a
//! migration. It is a value: tables that a tenant declares will be added to it from rows.

mod built_in;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use crate::db::Type;

pub use crate::tenants::FieldGroup as Group;

/// Every table that `/rest/v1` serves.
#[derive(Debug, Default)]
pub struct Catalog {
    tables: Vec<Arc<Table>>,
    by_name: HashMap<String, usize>,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name, in the database and on the wire.
    pub name: String,
    /// One sentence for the document.
    pub about: String,
    /// Its columns, without `tenant_id`.
    pub columns: Vec<Arc<Column>>,
    /// Its primary key, without `tenant_id`.
    pub primary_key: Vec<String>,
    /// Its other keys.
    pub uniques: Vec<Key>,
    /// Its references.
    pub foreign_keys: Vec<Arc<ForeignKey>>,
    /// The column that names the employee whose row it is.
    pub owner: Option<String>,
    /// Whether the name search looks here.
    pub searchable: bool,
    /// The group that its existence belongs to: who may make and delete rows.
    pub group: Group,
    /// Whether the server alone writes it.
    pub read_only: bool,
    /// Where its rows belong to rows of another table, whose employee is theirs: the column that refers, and the table.
    pub part_of: Option<(String, String)>,
}

/// A column.
#[derive(Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Type,
    /// Who may see it.
    pub group: Group,
    /// Whether it may be empty.
    pub nullable: bool,
    /// What it holds when nothing is said.
    pub default: Default,
    /// The words it may hold, when they are few.
    pub words: Vec<String>,
    /// One sentence for the document.
    pub about: String,
    /// Whether it holds a number that is masked here, and lies sealed in the column `…_sealed` and as a keyed hash in `…_hash`.
    pub sealed: bool,
    /// Whether it is there for the server alone.
    pub hidden: bool,
}

/// What a column holds when a new row does not say.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// Nothing.
    Null,
    /// A new id, sorted by time.
    NewId,
    /// The present moment; a client can't set it.
    Now,
    /// One, and one more with every change; a client can't set it.
    Version,
    /// A text.
    Text(&'static str),
    /// A number.
    Number(i64),
    /// A truth value.
    Truth(bool),
    /// A JSON text.
    Json(&'static str),
    /// Made by the server out of the row's other columns.
    Derived,
    /// Nothing, until the server writes it; a client can't set it.
    Kept,
}

/// A unique key.
#[derive(Debug)]
pub struct Key {
    /// The constraint's name.
    pub name: String,
    /// Its columns, without `tenant_id`.
    pub columns: Vec<String>,
}

/// A reference to another table.
#[derive(Debug)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// The table that refers.
    pub table: String,
    /// The column that refers.
    pub column: String,
    /// The table referred to.
    pub target: String,
    /// The column referred to.
    pub target_column: String,
    /// Whether the target's bare name means this reference. Of several to one table only the plainest is; the others go by their column
    /// or by a hint.
    pub plain: bool,
}

impl Catalog {
    /// The tables that every tenant has.
    pub fn built_in() -> &'static Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::of(built_in::tables())));
        &BUILT_IN
    }

    fn of(tables: Vec<Table>) -> Self {
        let by_name = tables.iter().enumerate().map(|(index, table)| (table.name.clone(), index)).collect();
        Self { tables: tables.into_iter().map(Arc::new).collect(), by_name }
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.by_name.get(name).map(|&index| &self.tables[index])
    }

    /// All tables.
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// Every reference to `target`.
    pub fn references_to<'c>(&'c self, target: &'c str) -> impl Iterator<Item = (&'c Arc<Table>, &'c Arc<ForeignKey>)> {
        let of = move |table: &'c Arc<Table>| table.foreign_keys.iter().filter(move |key| key.target == target).map(move |key| (table, key));
        self.tables.iter().flat_map(of)
    }
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Arc<Column>> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that there are for anybody but the server.
    pub fn shown(&self) -> impl Iterator<Item = &Arc<Column>> {
        self.columns.iter().filter(|column| !column.hidden)
    }

    /// What lies sealed beside a column: the number, and its hash.
    pub fn beside(&self, column: &Column) -> Option<(&Arc<Column>, &Arc<Column>)> {
        Some((self.column(&format!("{}_sealed", column.name))?, self.column(&format!("{}_hash", column.name))?))
    }

    /// Whether these columns name at most one row.
    pub fn is_key(&self, columns: &[&str]) -> bool {
        let same = |key: &[String]| key.len() == columns.len() && key.iter().all(|column| columns.contains(&column.as_str()));
        same(&self.primary_key) || self.uniques.iter().any(|unique| same(&unique.columns))
    }

    /// The name of the key constraint over these columns.
    pub fn key_name(&self, columns: &[String]) -> Option<String> {
        if columns == self.primary_key {
            return Some(format!("{}_pkey", self.name));
        }
        self.uniques.iter().find(|unique| unique.columns == columns).map(|unique| unique.name.clone())
    }
}

impl Column {
    /// Whether the server alone writes it; what a client says of it is passed over.
    pub fn kept_by_server(&self) -> bool {
        matches!(self.default, Default::Now | Default::Version | Default::Kept)
    }
}

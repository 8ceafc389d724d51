//! Which relation an embedded resource means.

use std::sync::Arc;

use serde_json::json;

use super::Resolver;
use crate::records::{
    catalog::{ForeignKey, Table},
    error::{RestError, RestResult},
};

/// A relation between two tables, seen from the outer one.
#[derive(Clone)]
pub(super) struct Relation {
    /// The inner table.
    pub(super) table: Arc<Table>,
    /// The outer table's column.
    pub(super) outer: String,
    /// The inner table's column.
    pub(super) inner: String,
    /// Whether there is at most one inner row.
    pub(super) one: bool,
    /// The reference it rests on.
    key: Arc<ForeignKey>,
    /// Whether the outer table is the one that refers.
    refers: bool,
}

impl Resolver<'_> {
    /// The relation of `outer` that `name`, and `hint` if there is one, mean.
    pub(super) fn relation(&self, outer: &Arc<Table>, name: &str, hint: Option<&str>) -> RestResult<Relation> {
        let mut found: Vec<Relation> = self.relations(outer).filter(|relation| relation.is_called(name)).collect();
        match hint {
            Some(hint) => found.retain(|relation| relation.fits(hint)),
            // Of several references to one table the plain one is meant, and a table's own name means those who refer to the row.
            None if found.len() > 1 => {
                if found.iter().any(|relation| relation.key.plain) {
                    found.retain(|relation| relation.key.plain);
                }
                if found.len() > 1 && found.iter().all(|relation| relation.key.table == relation.key.target) {
                    found.retain(|relation| !relation.refers);
                }
            }
            None => {}
        }
        if found.len() > 1 {
            return Err(ambiguous(outer, name, &found));
        }
        found.pop().ok_or_else(|| none(outer, name, hint))
    }

    fn relations<'c>(&'c self, outer: &'c Arc<Table>) -> impl Iterator<Item = Relation> + 'c {
        let to_one = outer.foreign_keys.iter().filter_map(|key| {
            let table = Arc::clone(self.catalog.table(&key.target)?);
            Some(Relation { table, outer: key.column.clone(), inner: key.target_column.clone(), one: true, key: Arc::clone(key), refers: true })
        });
        let back = self.catalog.references_to(&outer.name).map(|(table, key)| Relation {
            table: Arc::clone(table),
            outer: key.target_column.clone(),
            inner: key.column.clone(),
            one: table.is_key(&[&key.column]),
            key: Arc::clone(key),
            refers: false,
        });
        to_one.chain(back)
    }
}

impl Relation {
    /// By the table's name, the constraint's, or the column that refers.
    fn is_called(&self, name: &str) -> bool {
        self.table.name == name || self.key.name == name || (self.refers && self.key.column == name)
    }

    fn fits(&self, hint: &str) -> bool {
        self.key.name == hint || self.key.column == hint || self.inner == hint
    }

    fn cardinality(&self) -> &'static str {
        match (self.refers, self.one) {
            (true, _) => "many-to-one",
            (false, true) => "one-to-one",
            (false, false) => "one-to-many",
        }
    }
}

fn none(outer: &Table, name: &str, hint: Option<&str>) -> RestError {
    let hinted = hint.map_or_else(String::new, |hint| format!(" using the hint '{hint}'"));
    RestError::new("PGRST200", format!("Could not find a relationship between '{}' and '{name}' in the schema cache", outer.name)).details(format!(
        "Searched for a foreign key relationship between '{}' and '{name}'{hinted} in the schema 'public', but no matches were found.",
        outer.name
    ))
}

fn ambiguous(outer: &Table, name: &str, found: &[Relation]) -> RestError {
    let message = format!("Could not embed because more than one relationship was found for '{}' and '{name}'", outer.name);
    let mut error = RestError::new("PGRST201", message);
    let detail = |relation: &Relation| {
        json!({
            "cardinality": relation.cardinality(),
            "embedding": format!("{} with {}", outer.name, relation.table.name),
            "relationship": format!("{} using {}({}) and {}({})", relation.key.name, outer.name, relation.outer, relation.table.name, relation.inner),
        })
    };
    error.details = Some(found.iter().map(detail).collect());
    let ways: Vec<String> = found.iter().map(|relation| format!("'{}!{}'", relation.table.name, relation.key.name)).collect();
    error.hint(format!("Try changing '{name}' to one of the following: {}. Find the desired relationship in the 'details' key.", ways.join(", ")))
}

//! Which relation an embedded resource means.

use std::sync::Arc;

use serde_json::json;

use super::Resolver;
use crate::records::{
    catalog::{ForeignKey, Table},
    error::{RestError, RestResult},
    search::nearest,
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
    /// What lies between the two, where neither refers to the other.
    pub(super) junction: Option<Junction>,
    /// The reference it rests on; of a junction, the one to the inner table.
    key: Arc<ForeignKey>,
    /// Whether the outer table is the one that refers.
    refers: bool,
}

/// A table whose rows each refer to a row of either side.
#[derive(Clone)]
pub(super) struct Junction {
    /// The table.
    pub(super) table: Arc<Table>,
    /// Its reference to the outer table.
    pub(super) outer: Arc<ForeignKey>,
    /// Its reference to the inner table.
    pub(super) inner: Arc<ForeignKey>,
}

impl Resolver<'_> {
    /// The relation of `outer` that `name`, and `hint` if there is one, mean.
    pub(super) fn relation(&self, outer: &Arc<Table>, name: &str, hint: Option<&str>) -> RestResult<Relation> {
        let mut found: Vec<Relation> =
            self.relations(outer).chain(self.junctions(outer, |table| &table.primary_key[..])).filter(|relation| relation.fits(name, hint)).collect();
        if found.is_empty() {
            // PostgREST wants both references in the primary key. A unique key of both says as much, where nothing else is meant.
            let uniques =
                self.junctions(outer, |table| table.uniques.iter().find(|key| key.columns.len() > 1).map_or(&[][..], |key| &key.columns[..]));
            found = uniques.filter(|relation| relation.fits(name, hint)).collect();
        }
        // Of several references to one table the plain one is meant, and a table's own name means those who refer to the row.
        if hint.is_none() && found.len() > 1 {
            if found.iter().any(Relation::is_plain) {
                found.retain(Relation::is_plain);
            }
            if found.len() > 1 && found.iter().all(|relation| relation.key.table == relation.key.target) {
                found.retain(|relation| !relation.refers);
            }
        }
        if found.len() > 1 {
            return Err(ambiguous(outer, name, &found));
        }
        found.pop().ok_or_else(|| self.none(outer, name, hint))
    }

    fn relations<'c>(&'c self, outer: &'c Arc<Table>) -> impl Iterator<Item = Relation> + 'c {
        let to_one = outer.foreign_keys.iter().filter_map(|key| {
            let table = Arc::clone(self.catalog.table(&key.target)?);
            let (outer, inner) = (key.column.clone(), key.target_column.clone());
            Some(Relation { table, outer, inner, one: true, junction: None, key: Arc::clone(key), refers: true })
        });
        let back = self.catalog.references_to(&outer.name).map(|(table, key)| Relation {
            table: Arc::clone(table),
            outer: key.target_column.clone(),
            inner: key.column.clone(),
            one: table.is_key(&[&key.column]),
            junction: None,
            key: Arc::clone(key),
            refers: false,
        });
        to_one.chain(back)
    }

    /// Relations through tables with two references that are both part of a key.
    fn junctions<'c>(&'c self, outer: &'c Arc<Table>, key: impl Fn(&'c Table) -> &'c [String] + 'c) -> impl Iterator<Item = Relation> + 'c {
        let through = move |(table, own): (&'c Arc<Table>, &'c Arc<ForeignKey>)| {
            let part_of_key = key(table);
            let others = table.foreign_keys.iter().filter(move |other| other.column != own.column);
            others.filter(move |other| [&own.column, &other.column].iter().all(|column| part_of_key.contains(column))).filter_map(move |other| {
                Some(Relation {
                    table: Arc::clone(self.catalog.table(&other.target)?),
                    outer: own.target_column.clone(),
                    inner: other.target_column.clone(),
                    one: false,
                    junction: Some(Junction { table: Arc::clone(table), outer: Arc::clone(own), inner: Arc::clone(other) }),
                    key: Arc::clone(other),
                    refers: false,
                })
            })
        };
        self.catalog.references_to(&outer.name).flat_map(through)
    }

    fn none(&self, outer: &Arc<Table>, name: &str, hint: Option<&str>) -> RestError {
        let hinted = hint.map_or_else(String::new, |hint| format!(" using the hint '{hint}'"));
        let details = format!(
            "Searched for a foreign key relationship between '{}' and '{name}'{hinted} in the schema 'public', but no matches were found.",
            outer.name
        );
        let error = RestError::new("PGRST200", format!("Could not find a relationship between '{}' and '{name}' in the schema cache", outer.name))
            .details(details);
        let related: Vec<String> = self.relations(outer).map(|relation| relation.table.name.clone()).collect();
        match nearest(name, related.iter().map(String::as_str).filter(|related| *related != name)) {
            Some(near) => error.hint(format!("Perhaps you meant '{near}' instead of '{name}'.")),
            None => error,
        }
    }
}

impl Relation {
    fn is_plain(&self) -> bool {
        self.junction.is_none() && self.key.plain
    }

    fn fits(&self, name: &str, hint: Option<&str>) -> bool {
        self.is_called(name) && hint.is_none_or(|hint| self.is_hinted(hint))
    }

    /// By the table's name, the constraint's, or the column that refers.
    fn is_called(&self, name: &str) -> bool {
        self.table.name == name || (self.junction.is_none() && (self.key.name == name || (self.refers && self.key.column == name)))
    }

    fn is_hinted(&self, hint: &str) -> bool {
        match &self.junction {
            Some(junction) => junction.table.name == hint || junction.inner.name == hint || junction.outer.name == hint,
            None => self.key.name == hint || self.key.column == hint || self.inner == hint,
        }
    }

    fn cardinality(&self) -> &'static str {
        match (&self.junction, self.refers, self.one) {
            (Some(_), ..) => "many-to-many",
            (None, true, _) => "many-to-one",
            (None, false, true) => "one-to-one",
            (None, false, false) => "one-to-many",
        }
    }

    fn described(&self, outer: &Table) -> String {
        match &self.junction {
            Some(Junction { table, outer, inner }) => {
                format!("{} using {}({}) and {}({})", table.name, outer.name, outer.column, inner.name, inner.column)
            }
            None => format!("{} using {}({}) and {}({})", self.key.name, outer.name, self.outer, self.table.name, self.inner),
        }
    }

    /// What tells it from others between the same tables.
    fn hint(&self) -> &str {
        self.junction.as_ref().map_or(&self.key.name, |junction| &junction.table.name)
    }
}

fn ambiguous(outer: &Table, name: &str, found: &[Relation]) -> RestError {
    let message = format!("Could not embed because more than one relationship was found for '{}' and '{name}'", outer.name);
    let mut error = RestError::new("PGRST201", message);
    let detail = |relation: &Relation| {
        json!({
            "cardinality": relation.cardinality(),
            "embedding": format!("{} with {}", outer.name, relation.table.name),
            "relationship": relation.described(outer),
        })
    };
    error.details = Some(found.iter().map(detail).collect());
    let ways: Vec<String> = found.iter().map(|relation| format!("'{}!{}'", relation.table.name, relation.hint())).collect();
    error.hint(format!("Try changing '{name}' to one of the following: {}. Find the desired relationship in the 'details' key.", ways.join(", ")))
}

//! Rows on their way out, the same for both engines.

use sqlx::{Row as _, postgres::PgRow};

use super::value::Column;
use crate::error::{Error, Result};

/// One row of an answer; lives only while it is read.
pub enum Row<'r> {
    /// A row of SQLite.
    Sqlite(&'r rusqlite::Row<'r>),
    /// A row of PostgreSQL.
    Postgres(&'r PgRow),
}

impl Row<'_> {
    /// The column at `index`, from 0.
    pub fn get<T: Column>(&self, index: usize) -> Result<T> {
        match self {
            Self::Sqlite(row) => T::from_sqlite(row.get_ref(index).map_err(Error::internal)?),
            Self::Postgres(row) => T::from_postgres(row, index),
        }
    }

    /// How many columns the row has.
    pub fn width(&self) -> usize {
        match self {
            Self::Sqlite(row) => row.as_ref().column_count(),
            Self::Postgres(row) => row.len(),
        }
    }
}

/// What can be read from a row, column by column in the order of the statement.
pub trait FromRow: Sized {
    /// Reads the row.
    fn from_row(row: &Row<'_>) -> Result<Self>;
}

macro_rules! from_row_for_tuples {
    ($($($name:ident $index:tt),+;)+) => {
        $(impl<$($name: Column),+> FromRow for ($($name,)+) {
            fn from_row(row: &Row<'_>) -> Result<Self> {
                Ok(($(row.get::<$name>($index)?,)+))
            }
        })+
    };
}

from_row_for_tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
}

/// Declares a struct that is read from a row, its fields in the order of the statement's columns.
#[macro_export]
macro_rules! row_type {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type),+ }

        impl $crate::db::FromRow for $name {
            fn from_row(row: &$crate::db::Row<'_>) -> $crate::error::Result<Self> {
                let mut next = 0..;
                let mut index = || next.next().expect("counting has no end");
                Ok(Self { $($field: row.get::<$type>(index())?),+ })
            }
        }
    };
}

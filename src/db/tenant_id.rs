//! Whose rows these are: the first column of every key of a tenant's table.

use super::value::{Column, Type, Value};
use crate::error::Result;

/// Names a tenant in the database. Outside, a tenant is named by its `reference`. One comes from a row and from nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(i64);

impl TenantId {
    /// The number itself, for places that name a tenant outside the database.
    pub fn number(self) -> i64 {
        self.0
    }

    /// A tenant of no database, for a fuzzer.
    #[cfg(fuzzing)]
    pub(crate) fn made_up(number: i64) -> Self {
        Self(number)
    }

    #[cfg(test)]
    pub(crate) fn for_test(number: i64) -> Self {
        Self(number)
    }
}

impl From<TenantId> for Value {
    fn from(id: TenantId) -> Self {
        Self::I64(id.0)
    }
}

impl Column for TenantId {
    const TYPE: Type = Type::I64;

    fn from_sqlite(value: rusqlite::types::ValueRef<'_>) -> Result<Self> {
        i64::from_sqlite(value).map(Self)
    }

    fn from_postgres(row: &sqlx::postgres::PgRow, index: usize) -> Result<Self> {
        i64::from_postgres(row, index).map(Self)
    }
}

//! A statement with its values, run on whichever engine the connection has.

use std::{borrow::Cow, sync::Arc};

use super::{
    Conn, Engine,
    postgres::PgConn,
    row::{FromRow, Row},
    sql_buf::SqlBuf,
    sqlite::SqliteConn,
    value::Value,
};
use crate::error::{Error, Result};

/// A statement on its way to the database.
#[must_use = "a query does nothing until it is executed or fetched"]
pub struct Query<'c> {
    conn: &'c Conn,
    sql: Cow<'static, str>,
    values: Vec<Value>,
    heavy: bool,
}

impl<'c> Query<'c> {
    pub(super) fn new(conn: &'c Conn, sql: &'static str) -> Self {
        Self { conn, sql: Cow::Borrowed(sql), values: Vec::new(), heavy: false }
    }

    pub(super) fn built(conn: &'c Conn, buf: SqlBuf) -> Self {
        let (sql, values) = buf.into_parts();
        Self { conn, sql: Cow::Owned(sql), values, heavy: false }
    }

    /// Gives the next placeholder its value: the first call fills `$1`.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Says that this statement may take milliseconds: SQLite runs it on a reader thread at once.
    pub fn heavy(mut self) -> Self {
        self.heavy = true;
        self
    }

    /// Runs the statement and tells how many rows it touched.
    pub async fn execute(self) -> Result<u64> {
        match &self.conn.engine {
            Engine::Sqlite(conn) => conn.execute(&self.sql, &self.values),
            Engine::Postgres(conn) => conn.execute(&self.sql, &self.values).await,
        }
    }

    /// All rows.
    pub async fn fetch_all<T: FromRow + Send + 'static>(self) -> Result<Vec<T>> {
        self.collect(usize::MAX).await
    }

    /// The first row, if there is one.
    pub async fn fetch_optional<T: FromRow + Send + 'static>(self) -> Result<Option<T>> {
        Ok(self.collect(1).await?.pop())
    }

    /// The first row; none is an internal error.
    pub async fn fetch_one<T: FromRow + Send + 'static>(self) -> Result<T> {
        self.fetch_optional().await?.ok_or_else(|| Error::internal("a statement that always has a row had none"))
    }

    async fn collect<T: FromRow + Send + 'static>(self, most: usize) -> Result<Vec<T>> {
        match &self.conn.engine {
            Engine::Sqlite(conn) => collect_sqlite(conn, self.sql, self.values, most, self.heavy).await,
            Engine::Postgres(conn) => collect_postgres(conn, &self.sql, &self.values, most).await,
        }
    }
}

/// In place while it is quick; what runs past the short limit is run again on a thread that may block.
async fn collect_sqlite<T: FromRow + Send + 'static>(
    conn: &Arc<SqliteConn>,
    sql: Cow<'static, str>,
    values: Vec<Value>,
    most: usize,
    heavy: bool,
) -> Result<Vec<T>> {
    if conn.may_block() {
        return conn.collect(&sql, &values, most, |row| T::from_row(&Row::Sqlite(row)));
    }
    if !heavy && let Some(rows) = conn.collect_quickly(&sql, &values, most, |row| T::from_row(&Row::Sqlite(row)))? {
        return Ok(rows);
    }
    let conn = Arc::clone(conn);
    tokio::task::spawn_blocking(move || conn.collect(&sql, &values, most, |row| T::from_row(&Row::Sqlite(row)))).await?
}

async fn collect_postgres<T: FromRow>(conn: &PgConn, sql: &str, values: &[Value], most: usize) -> Result<Vec<T>> {
    let rows = conn.fetch(sql, values, most).await?;
    rows.iter().map(|row| T::from_row(&Row::Postgres(row))).collect()
}

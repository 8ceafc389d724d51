//! PostgreSQL, through sqlx's pool.
//!
//! Transactions are begun and ended here by plain statements, never by `sqlx::Acquire::begin`: a cancelled `begin()` leaves an open
//! transaction on the pooled connection (sqlx up to 0.9.0), and later writes are acknowledged and lost. A connection whose transaction
//! did not end is closed instead of going back.
//!
//! PostgreSQL answers COMMIT with success although it rolls back, when a statement of the transaction had failed. So a failure is
//! remembered, and a write that went on after one is not acknowledged.
//!
//! Outside of [`Postgres::write`] every connection is read-only, as those of SQLite are.

use std::{future::Future, str::FromStr, sync::Arc, time::Duration};

use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor, PgConnection, PgPool,
    pool::PoolConnection,
    postgres::{PgArguments, PgConnectOptions, PgDatabaseError, PgPoolOptions, PgRow},
};
use tokio::{sync::Mutex, time::timeout};

use super::{Conn, Engine, Settings, Tx, busy, migrate, value::Value};
use crate::error::{Constraint, ConstraintKind, Error, Result};

/// A PostgreSQL database.
pub(super) struct Postgres {
    pool: PgPool,
    statement_timeout: Duration,
}

fn options(url: &str, settings: &Settings) -> Result<PgConnectOptions> {
    let millis = settings.statement_timeout.as_millis().to_string();
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::invalid("database_url", error.to_string()))?;
    Ok(options.application_name("basalt").statement_cache_capacity(256).options([
        ("TimeZone", "UTC"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", &millis),
        ("idle_in_transaction_session_timeout", "30000"),
    ]))
}

/// A connection apart from the pool, which would hide why there is none.
async fn first_connection(options: &PgConnectOptions, settings: &Settings) -> Result<PgConnection> {
    let first = timeout(settings.acquire_timeout, PgConnection::connect_with(options)).await;
    first.map_err(|_| cannot_use(options, "it does not answer"))?.map_err(|error| cannot_use(options, &words_of(&error)))
}

impl Postgres {
    pub(super) async fn open(url: &str, settings: &Settings) -> Result<Self> {
        let options = options(url, settings)?;
        let mut first = first_connection(&options, settings).await?;
        if first.server_version_num().is_some_and(|version| version < OLDEST) {
            return Err(cannot_use(&options, "it is too old; take PostgreSQL 15 or newer"));
        }
        migrate::postgres(&mut first).await?;
        let _ = first.close().await;
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self { pool, statement_timeout: settings.statement_timeout })
    }

    pub(super) async fn is_there(url: &str, settings: &Settings) -> Result<bool> {
        let mut first = first_connection(&options(url, settings)?, settings).await?;
        let is_there = migrate::is_begun_on_postgres(&mut first).await;
        let _ = first.close().await;
        is_there
    }

    pub(super) async fn connection(&self) -> Result<PgConn> {
        let connection = self.pool.acquire().await.map_err(translate)?;
        let slot = Slot { connection: Some(connection), in_transaction: false, failed: false, gave_up: false };
        Ok(PgConn { slot: Mutex::new(slot), statement_timeout: self.statement_timeout })
    }

    pub(super) async fn write<T, F, Fut>(&self, operation: F) -> Result<T>
    where
        F: FnOnce(Tx) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let conn = self.connection().await?;
        conn.begin().await?;
        let conn = Arc::new(Conn { engine: Engine::Postgres(conn) });
        let result = operation(Tx(Arc::clone(&conn))).await;
        let Engine::Postgres(pg) = &conn.engine else {
            return Err(Error::internal("a transaction of PostgreSQL changed its engine"));
        };
        pg.end(result.is_ok()).await.and(result)
    }

    pub(super) async fn close(&self) {
        // It waits for connections in use, and a server that has vanished holds them long.
        let _ = timeout(LONGEST_CLOSE, self.pool.close()).await;
    }
}

/// What is still in use after so long is dropped with the process.
const LONGEST_CLOSE: Duration = Duration::from_secs(2);

/// PostgreSQL 15, as the server counts.
const OLDEST: u32 = 150_000;

fn cannot_use(options: &PgConnectOptions, why: &str) -> Error {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    let (host, port) = (options.get_host(), options.get_port());
    Error::invalid("database_url", format!("PostgreSQL at {host}:{port}, database \"{database}\", can't be used: {why}"))
}

fn words_of(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(refusal) => refusal.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// One connection out of the pool.
pub(super) struct PgConn {
    slot: Mutex<Slot>,
    statement_timeout: Duration,
}

struct Slot {
    connection: Option<PoolConnection<sqlx::Postgres>>,
    in_transaction: bool,
    /// A statement failed.
    failed: bool,
    /// A statement was not waited for to its end.
    gave_up: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if (self.in_transaction || self.gave_up)
            && let Some(mut connection) = self.connection.take()
        {
            connection.close_on_drop();
        }
    }
}

impl PgConn {
    pub(super) async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64> {
        let mut slot = self.slot.lock().await;
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(sql, values)?);
        let done = self.within(query.execute(slot.connection()?)).await;
        Ok(slot.note(done)?.rows_affected())
    }

    pub(super) async fn fetch(&self, sql: &str, values: &[Value], most: usize) -> Result<Vec<PgRow>> {
        let mut slot = self.slot.lock().await;
        // A rule that is checked at the end of a statement refuses it after its rows were sent.
        let to_its_end = slot.in_transaction;
        let query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(sql, values)?);
        let mut rows = query.fetch(slot.connection()?);
        let read = async {
            let mut found = Vec::new();
            while let Some(row) = rows.try_next().await? {
                if found.len() < most {
                    found.push(row);
                }
                if found.len() == most && !to_its_end {
                    break;
                }
            }
            Ok(found)
        };
        let found = self.within(read).await;
        drop(rows);
        slot.note(found)
    }

    async fn begin(&self) -> Result<()> {
        let mut slot = self.slot.lock().await;
        slot.in_transaction = true;
        self.within(slot.connection()?.execute("BEGIN READ WRITE")).await?;
        Ok(())
    }

    async fn end(&self, keep: bool) -> Result<()> {
        let mut slot = self.slot.lock().await;
        let lost = keep && slot.failed;
        let how = if keep && !lost { "COMMIT" } else { "ROLLBACK" };
        self.within(slot.connection()?.execute(how)).await?;
        slot.in_transaction = false;
        if lost { Err(Error::internal("a write went on after one of its statements had failed, and was rolled back")) } else { Ok(()) }
    }

    /// A limit of our own around the server's: a peer that has vanished answers nothing at all.
    async fn within<T>(&self, run: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        let limit = self.statement_timeout + Duration::from_secs(1);
        timeout(limit, run).await.map_err(|_| Error::Timeout)?.map_err(translate)
    }
}

impl Slot {
    fn connection(&mut self) -> Result<&mut sqlx::PgConnection> {
        self.connection.as_deref_mut().ok_or_else(|| Error::internal("the connection is only taken when this is dropped"))
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.failed |= result.is_err();
        // Going back to the pool would wait for its end, and a server that has vanished never says it.
        self.gave_up |= matches!(result, Err(Error::Timeout));
        result
    }
}

/// The values in PostgreSQL's form; too many for the statement are refused, as SQLite's side does. (Too few are refused by the server.)
fn arguments(sql: &str, values: &[Value]) -> Result<PgArguments> {
    let last = format!("${}", values.len());
    if !values.is_empty() && !sql.contains(&last) {
        return Err(Error::internal(format!("a statement was given {} values and has no {last}", values.len())));
    }
    let mut arguments = PgArguments::default();
    for value in values {
        value.add_to(&mut arguments)?;
    }
    Ok(arguments)
}

/// PostgreSQL's words for a broken rule, in the terms both engines share.
pub(super) fn translate(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::PoolTimedOut => {
            tracing::warn!("no connection to the database was free, or could be made, in time");
            busy()
        }
        sqlx::Error::PoolClosed => busy(),
        sqlx::Error::Io(_) => {
            tracing::warn!(%error, "the database can't be reached");
            Error::unavailable("the database can't be reached")
        }
        sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
            Some(refusal) => translate_refusal(refusal).unwrap_or_else(|| Error::internal(error)),
            None => Error::internal(error),
        },
        _ => Error::internal(error),
    }
}

fn translate_refusal(refusal: &PgDatabaseError) -> Option<Error> {
    let code = refusal.code();
    let kind = match code {
        "57014" => return Some(Error::Timeout),
        "53100" => return Some(Error::unavailable("the disk of the database is full")),
        "57P01" | "57P02" | "57P03" | "53300" => return Some(Error::unavailable("the database is starting, stopping or full")),
        "40001" | "40P01" => return Some(Error::unavailable("others change the same rows at this moment; try again")),
        "23505" => ConstraintKind::Unique,
        "23503" => ConstraintKind::ForeignKey,
        "23502" => ConstraintKind::NotNull,
        "23514" => ConstraintKind::Check,
        "23P01" => ConstraintKind::Exclusion,
        code if code.starts_with("22") => ConstraintKind::Data(code.as_bytes().try_into().ok()?),
        _ => return None,
    };
    Some(Error::Constraint(Box::new(Constraint {
        kind,
        table: refusal.table().map(str::to_owned),
        columns: refusal.column().map(str::to_owned).into_iter().collect(),
        name: refusal.constraint().map(str::to_owned),
        detail: refusal.detail().map(str::to_owned),
        message: refusal.message().to_owned(),
    })))
}

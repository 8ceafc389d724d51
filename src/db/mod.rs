//! One small layer over two engines: SQLite run in place by `rusqlite`, PostgreSQL through `sqlx`.
//!
//! [`Db::read`] gives a connection for reading, [`Db::write`] runs an operation in one transaction. What `write` answered is on disk,
//! and once handed in it runs to its end, whether or not the caller still waits. One SQL text serves both engines; where texts must
//! differ, [`Conn::pick`] chooses and a comment says why.
//!
//! Start with [`Db`], then `query.rs`; `sqlite.rs` and `postgres.rs` are below that line.

mod functions;
mod glob;
mod migrate;
mod postgres;
mod query;
mod row;
mod sql_buf;
mod sqlite;
mod tenant_id;
mod value;

use std::{fmt, future::Future, ops::Deref, path::PathBuf, sync::Arc, time::Duration};

pub use self::{
    functions::pattern,
    glob::{ANY, DEEP, glob_matches, glob_regex},
    migrate::MIGRATIONS,
    query::Query,
    row::{FromRow, Row},
    sql_buf::SqlBuf,
    tenant_id::TenantId,
    value::{Column, Json, Timestamp, Type, Value},
};
use self::{
    postgres::{PgConn, Postgres},
    sqlite::{Sqlite, SqliteConn},
};
use crate::error::{Error, Result};

/// Which SQL is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite 3.51.3 or newer.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
}

/// Where the database is and how much of it may be used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The place.
    pub location: Location,
    /// PostgreSQL connections, or SQLite read connections, at the most.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is told to come back.
    pub acquire_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
}

/// Where the database is.
#[derive(Clone)]
pub enum Location {
    /// A SQLite file, made when it is not there.
    Sqlite(PathBuf),
    /// A `postgres://` URL.
    Postgres(String),
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            // The URL may hold a password.
            Self::Postgres(_) => f.write_str("Postgres(…)"),
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

impl Db {
    /// Opens the database and brings its schema up to date.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let backend = match &settings.location {
            Location::Sqlite(path) => {
                let (path, settings) = (path.clone(), settings.clone());
                let place = path.display().to_string();
                let sqlite = tokio::task::spawn_blocking(move || Sqlite::open(&path, &settings)).await?;
                Backend::Sqlite(Arc::new(sqlite.map_err(|error| cannot_use(&place, error))?))
            }
            Location::Postgres(url) => {
                let postgres = Postgres::open(url, settings).await;
                Backend::Postgres(Arc::new(postgres.map_err(|error| cannot_use("this database", error))?))
            }
        };
        Ok(Self { backend })
    }

    /// Whether there is such a database, with anything of ours in it. Makes none.
    pub async fn is_there(settings: &Settings) -> Result<bool> {
        match &settings.location {
            Location::Sqlite(path) => Ok(path.exists()),
            Location::Postgres(url) => Postgres::is_there(url, settings).await,
        }
    }

    /// Which SQL this database speaks.
    pub fn dialect(&self) -> Dialect {
        match self.backend {
            Backend::Sqlite(_) => Dialect::Sqlite,
            Backend::Postgres(_) => Dialect::Postgres,
        }
    }

    /// A connection for reading: one snapshot on SQLite, one connection on PostgreSQL.
    pub async fn read(&self) -> Result<Conn> {
        let engine = match &self.backend {
            Backend::Sqlite(sqlite) => Engine::Sqlite(sqlite.reader().await?),
            Backend::Postgres(postgres) => Engine::Postgres(postgres.connection().await?),
        };
        Ok(Conn { engine })
    }

    /// Runs `operation` in one transaction and commits it when it returns `Ok`.
    ///
    /// Inside it only queries of the transaction may be awaited: on SQLite the operation runs on the one writer thread, together with
    /// what else waits, and anything else that would wait is an error. It goes on to its end when the caller is dropped.
    pub async fn write<T, F, Fut>(&self, operation: F) -> Result<T>
    where
        F: FnOnce(Tx) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(operation).await,
            Backend::Postgres(postgres) => {
                let postgres = Arc::clone(postgres);
                tokio::spawn(async move { postgres.write(operation).await }).await?
            }
        }
    }

    /// Asks the database something that needs its schema, to learn whether it answers.
    pub async fn ping(&self) -> Result<()> {
        self.read().await?.query("SELECT count(*) FROM schema_migrations").fetch_one::<(i64,)>().await.map(drop)
    }

    /// Does what is left to do before the process ends: the writer finishes what waits, connections are closed.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(sqlite) => {
                let sqlite = Arc::clone(sqlite);
                // The writer may have a group to finish; that blocks.
                let _ = tokio::task::spawn_blocking(move || sqlite.close()).await;
            }
            Backend::Postgres(postgres) => postgres.close().await,
        }
    }
}

/// A connection, for as long as it is held.
pub struct Conn {
    engine: Engine,
}

enum Engine {
    Sqlite(Arc<SqliteConn>),
    Postgres(PgConn),
}

impl Conn {
    /// A statement written in the program.
    pub fn query(&self, sql: &'static str) -> Query<'_> {
        Query::new(self, sql)
    }

    /// A statement built at run time.
    pub fn query_built(&self, sql: SqlBuf) -> Query<'_> {
        Query::built(self, sql)
    }

    /// Chooses between two spellings where one can't serve both engines. Say why beside the call.
    pub fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self.dialect() {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        }
    }

    /// Which SQL this connection speaks.
    pub fn dialect(&self) -> Dialect {
        match self.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }
}

/// A transaction that may write. It commits when the operation that owns it returns `Ok`.
pub struct Tx(Arc<Conn>);

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.0
    }
}

/// What goes wrong while opening is for the operator to mend, by whatever name it has inside.
fn cannot_use(place: &str, error: Error) -> Error {
    match error {
        Error::Internal(why) => Error::invalid("database_url", format!("{place} can't be used: {why}")),
        error => error,
    }
}

/// The refusal when more waits for the database than it can take.
fn busy() -> Error {
    Error::unavailable("the database has more to do than it can take; try again in a second")
}

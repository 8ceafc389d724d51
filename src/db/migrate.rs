//! Brings a schema up to date: twin files, one number and name for both engines, applied once and never changed after.

use aws_lc_rs::digest;
use sqlx::{Executor, PgConnection, Row as _};

use super::postgres::translate;
use crate::error::{Error, Result};

/// One step of the schema, in both spellings.
pub struct Migration {
    /// The file's name without its ending: `0001_tenants`.
    pub name: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
    /// For PostgreSQL.
    pub postgres: &'static str,
}

macro_rules! migrations {
    ($($name:literal),+ $(,)?) => {
        /// Every migration, in order.
        pub const MIGRATIONS: &[Migration] = &[$(Migration {
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        }),+];
    };
}

migrations![
    "0001_tenants",
    "0002_auth",
    "0003_records",
    "0004_storage",
    "0005_jobs",
    "0006_one_time_tokens",
    "0007_flow_states",
    "0008_factors",
    "0009_limits",
    "0010_audit",
    "0011_imported_tokens",
    "0012_providers",
    "0013_past_passwords",
    "0018_unproved_addresses",
    "0020_storage_tasks",
    "0021_uploads",
    "0030_record_answers",
    "0031_changes",
    "0032_deleted_employees",
    "0033_replaced_payslips",
    "0043_employee_model",
    "0044_directory",
    "0050_storage_usage",
    "0051_object_versions",
    "0056_search_ranks",
    "0057_department_pages",
];

/// Processes that start together take turns by this key of `pg_advisory_lock`.
const LOCK_KEY: i64 = 0x6261_7361_6c74;

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, checksum text NOT NULL)";

pub(super) fn sqlite(connection: &mut rusqlite::Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(Error::internal)?;
    transaction.execute_batch(CREATE_TABLE).map_err(Error::internal)?;
    let applied = {
        let mut statement = transaction.prepare("SELECT name, checksum FROM schema_migrations ORDER BY name").map_err(Error::internal)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(Error::internal)?;
        rows.collect::<rusqlite::Result<Vec<(String, String)>>>().map_err(Error::internal)?
    };
    for migration in pending(&applied, |migration| migration.sqlite)? {
        transaction.execute_batch(migration.sqlite).map_err(Error::internal)?;
        transaction
            .execute("INSERT INTO schema_migrations (name, checksum) VALUES (?1, ?2)", (migration.name, checksum(migration.sqlite)))
            .map_err(Error::internal)?;
    }
    transaction.commit().map_err(Error::internal)
}

pub(super) async fn postgres(connection: &mut PgConnection) -> Result<()> {
    // The lock and what it guards end together with the transaction, whatever happens to this process.
    connection.execute("BEGIN READ WRITE").await.map_err(translate)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK_KEY).execute(&mut *connection).await.map_err(translate)?;
    let result = apply_postgres(connection).await;
    connection.execute(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await.map_err(translate)?;
    result
}

/// Whether any migration was ever applied.
pub(super) async fn is_begun_on_postgres(connection: &mut PgConnection) -> Result<bool> {
    let row = connection.fetch_one("SELECT to_regclass('schema_migrations') IS NOT NULL").await.map_err(translate)?;
    Ok(row.get(0))
}

async fn apply_postgres(connection: &mut PgConnection) -> Result<()> {
    connection.execute(CREATE_TABLE).await.map_err(translate)?;
    let rows = connection.fetch_all("SELECT name, checksum FROM schema_migrations ORDER BY name").await.map_err(translate)?;
    let applied = rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(String, String)>>();
    for migration in pending(&applied, |migration| migration.postgres)? {
        connection.execute(migration.postgres).await.map_err(translate)?;
        sqlx::query("INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)")
            .bind(migration.name)
            .bind(checksum(migration.postgres))
            .execute(&mut *connection)
            .await
            .map_err(translate)?;
    }
    Ok(())
}

/// What is still to be done; a database that knows other files than this program is refused.
fn pending(applied: &[(String, String)], text: fn(&Migration) -> &'static str) -> Result<&'static [Migration]> {
    for (index, (name, sum)) in applied.iter().enumerate() {
        match MIGRATIONS.get(index) {
            Some(known) if known.name == name && checksum(text(known)) == *sum => {}
            Some(known) if known.name == name => {
                return Err(Error::internal(format!(
                    "migration {name} was changed after it was applied; run the version of basalt that made this database"
                )));
            }
            _ => return Err(Error::internal(format!("the database knows migration {name}, this version of basalt does not; run a newer basalt"))),
        }
    }
    Ok(&MIGRATIONS[applied.len()..])
}

fn checksum(text: &str) -> String {
    use std::fmt::Write as _;
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

//! The table of jobs.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::NewJob;
use crate::{
    db::{Conn, TenantId, Timestamp, Tx},
    error::Result,
    row_type,
};

/// How long a job may take before another worker begins it again. Longer than any job is let run.
pub(super) const LEASE: Duration = Duration::from_mins(3);

row_type! {
    /// A job that this worker has begun.
    pub(super) struct Begun {
        pub(super) tenant: TenantId,
        pub(super) id: Uuid,
        pub(super) kind: String,
        pub(super) payload: Vec<u8>,
        pub(super) attempts: i64,
    }
}

row_type! {
    /// A job that was given up.
    #[derive(Debug, Serialize, ToSchema)]
    pub struct FailedJob {
        /// The job.
        pub id: Uuid,
        /// What it was to do.
        pub kind: String,
        /// How often it was tried.
        pub attempts: i64,
        /// What went wrong the last time.
        pub last_error: Option<String>,
        /// When it was asked for.
        #[schema(value_type = String, format = DateTime)]
        pub created_at: Timestamp,
        /// When it was given up.
        #[schema(value_type = Option<String>, format = DateTime)]
        pub failed_at: Option<Timestamp>,
    }
}

/// Adds a job to what the transaction does.
pub async fn enqueue(tx: &Tx, now: Timestamp, job: &NewJob) -> Result<()> {
    tx.query("INSERT INTO jobs (tenant_id, id, kind, payload, attempts, run_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $6)")
        .bind(job.tenant)
        .bind(job.id)
        .bind(job.kind)
        .bind(job.payload.as_slice())
        .bind(0)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Adds several jobs, or one that there may be.
pub async fn enqueue_all(tx: &Tx, now: Timestamp, jobs: &[NewJob]) -> Result<()> {
    for job in jobs {
        enqueue(tx, now, job).await?;
    }
    Ok(())
}

/// Whether anything is due: asked by reading, so that an idle worker writes nothing.
pub(super) async fn is_any_due(conn: &Conn, now: Timestamp) -> Result<bool> {
    let due: Option<(i64,)> =
        conn.query("SELECT attempts FROM jobs WHERE failed_at IS NULL AND run_at <= $1 LIMIT 1").bind(now).fetch_optional().await?;
    Ok(due.is_some())
}

/// Begins what is due, the oldest first. Of several workers each gets others: SQLite has one writer, PostgreSQL skips what is locked.
pub(super) async fn begin_due(tx: &Tx, now: Timestamp, most: i64) -> Result<Vec<Begun>> {
    let sql = tx.pick(
        "UPDATE jobs SET attempts = attempts + 1, run_at = $2 WHERE (tenant_id, id) IN \
         (SELECT tenant_id, id FROM jobs WHERE failed_at IS NULL AND run_at <= $1 ORDER BY run_at, id LIMIT $3) \
         RETURNING tenant_id, id, kind, payload, attempts",
        "UPDATE jobs SET attempts = attempts + 1, run_at = $2 WHERE (tenant_id, id) IN \
         (SELECT tenant_id, id FROM jobs WHERE failed_at IS NULL AND run_at <= $1 ORDER BY run_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) \
         RETURNING tenant_id, id, kind, payload, attempts",
    );
    let lease = i64::try_from(LEASE.as_secs()).unwrap_or(i64::MAX);
    tx.query(sql).bind(now).bind(now.plus_seconds(lease)).bind(most).fetch_all().await
}

/// Removes a job that was done, unless it was begun again by somebody else.
pub(super) async fn finish(tx: &Tx, job: &Begun) -> Result<()> {
    tx.query("DELETE FROM jobs WHERE tenant_id = $1 AND id = $2 AND attempts = $3")
        .bind(job.tenant)
        .bind(job.id)
        .bind(job.attempts)
        .execute()
        .await?;
    Ok(())
}

/// Puts a job off, with what went wrong.
pub(super) async fn put_off(tx: &Tx, job: &Begun, until: Timestamp, error: &str) -> Result<()> {
    tx.query("UPDATE jobs SET run_at = $4, last_error = $5 WHERE tenant_id = $1 AND id = $2 AND attempts = $3")
        .bind(job.tenant)
        .bind(job.id)
        .bind(job.attempts)
        .bind(until)
        .bind(error)
        .execute()
        .await?;
    Ok(())
}

/// Gives a job back that was begun and not done, as if it had not been begun.
pub(super) async fn hand_back(tx: &Tx, job: &Begun, now: Timestamp) -> Result<()> {
    tx.query("UPDATE jobs SET run_at = $4, attempts = attempts - 1 WHERE tenant_id = $1 AND id = $2 AND attempts = $3")
        .bind(job.tenant)
        .bind(job.id)
        .bind(job.attempts)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Gives a job up. It stays to be seen.
pub(super) async fn give_up(tx: &Tx, job: &Begun, now: Timestamp, error: &str) -> Result<()> {
    tx.query("UPDATE jobs SET failed_at = $4, last_error = $5 WHERE tenant_id = $1 AND id = $2 AND attempts = $3")
        .bind(job.tenant)
        .bind(job.id)
        .bind(job.attempts)
        .bind(now)
        .bind(error)
        .execute()
        .await?;
    Ok(())
}

/// A tenant's jobs that were given up, newest first.
pub async fn failed_jobs(conn: &Conn, tenant: TenantId, most: i64) -> Result<Vec<FailedJob>> {
    conn.query(
        "SELECT id, kind, attempts, last_error, created_at, failed_at FROM jobs WHERE tenant_id = $1 AND failed_at IS NOT NULL \
         ORDER BY failed_at DESC, id DESC LIMIT $2",
    )
    .bind(tenant)
    .bind(most)
    .fetch_all()
    .await
}

/// Has a job that was given up tried again; false when there is none.
pub async fn retry_failed(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid) -> Result<bool> {
    let retried = tx
        .query("UPDATE jobs SET failed_at = NULL, attempts = 0, run_at = $3 WHERE tenant_id = $1 AND id = $2 AND failed_at IS NOT NULL")
        .bind(tenant)
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(retried == 1)
}

/// Removes the jobs of a deleted tenant.
pub async fn delete_rows_of(tx: &Tx, tenant: TenantId) -> Result<()> {
    tx.query("DELETE FROM jobs WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}

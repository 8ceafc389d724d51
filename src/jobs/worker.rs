//! What does the jobs: one loop for each node, some jobs at a time.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    task::JoinSet,
    time::{interval, sleep, timeout},
};

use super::{
    JobError, Periodic, Registry, place,
    queue::{self, Begun},
};
use crate::{app::App, error::Result};

/// Jobs that one node does at the same time.
const AT_A_TIME: usize = 8;
/// How long one job may take.
const LONGEST: Duration = Duration::from_mins(1);
/// How long work waits at most of which nobody told: another node's, or put off until now.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait after each failure, in seconds; after the last the job is given up. Half a day in all.
const PATIENCE: [i64; 8] = [5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600];

/// Does jobs, and what is to be done now and then, until the process is to stop. What is under way then is finished or handed back.
pub async fn work(app: App, registry: Arc<Registry>) {
    let mut periodic: JoinSet<()> = registry.periodic.iter().map(|periodic| repeat(app.clone(), *periodic)).collect();
    while !app.stopping.is_cancelled() {
        match run_due(&app, &registry).await {
            Ok(0) => {
                tokio::select! {
                    () = app.stopping.cancelled() => {}
                    () = app.jobs.woken.notified() => {}
                    () = sleep(POLL) => {}
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "jobs can't be done; trying again in a second");
                sleep(POLL).await;
            }
        }
    }
    while periodic.join_next().await.is_some() {}
}

async fn repeat(app: App, periodic: Periodic) {
    let mut next = interval(periodic.every);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = next.tick() => {}
        }
        if let Err(error) = (periodic.run)(app.clone()).await {
            tracing::warn!(%error, what = periodic.name, "what is done now and then could not be done; trying again next time");
        }
    }
}

/// Does what is due at this moment, and tells how many jobs there were. A test calls it in the worker's place.
pub async fn run_due(app: &App, registry: &Registry) -> Result<usize> {
    let now = app.clock.now();
    if !queue::is_any_due(&app.db.read().await?, now).await? {
        return Ok(0);
    }
    let most = i64::try_from(AT_A_TIME).unwrap_or(i64::MAX);
    let begun = app.db.write(move |tx| async move { queue::begin_due(&tx, now, most).await }).await?;
    let count = begun.len();
    let all = begun.into_iter().map(|job| run_one(app, registry, job));
    for done in futures_util::future::join_all(all).await {
        done?;
    }
    Ok(count)
}

async fn run_one(app: &App, registry: &Registry, job: Begun) -> Result<()> {
    let outcome = tokio::select! {
        outcome = attempt(app, registry, &job) => Some(outcome),
        () = app.stopping.cancelled().then(|()| sleep(STOPPING)) => None,
    };
    let now = app.clock.now();
    let Some(outcome) = outcome else {
        return app.db.write(move |tx| async move { queue::hand_back(&tx, &job, now).await }).await;
    };
    let (kind, id, attempts) = (job.kind.clone(), job.id, job.attempts);
    match outcome {
        Ok(()) => app.db.write(move |tx| async move { queue::finish(&tx, &job).await }).await,
        Err(error) => match (error, patience(attempts)) {
            (JobError::Retry(why), Some(seconds)) => {
                tracing::warn!(kind, job = %id, attempts, why, again_in_seconds = seconds, "a job failed");
                let until = now.plus_seconds(seconds);
                app.db.write(move |tx| async move { queue::put_off(&tx, &job, until, &why).await }).await
            }
            (JobError::Retry(why) | JobError::GiveUp(why), _) => {
                tracing::error!(kind, job = %id, attempts, why, "a job was given up; see /admin/v1/tenants/{{ref}}/jobs");
                app.db.write(move |tx| async move { queue::give_up(&tx, &job, now, &why).await }).await
            }
        },
    }
}

/// How long a job under way is let finish when the process is to stop.
const STOPPING: Duration = Duration::from_secs(10);

fn patience(attempts: i64) -> Option<i64> {
    usize::try_from(attempts - 1).ok().and_then(|failures| PATIENCE.get(failures)).copied()
}

async fn attempt(app: &App, registry: &Registry, job: &Begun) -> Result<(), JobError> {
    let run = registry.jobs.get(job.kind.as_str()).ok_or_else(|| JobError::Retry(format!("this version of basalt knows no job \"{}\"", job.kind)))?;
    let payload = app.master_key.open(&place(job.tenant, job.id), &job.payload)?;
    // On a task of its own: a panic is this job's failure and nobody else's.
    let running = tokio::spawn(timeout(LONGEST, run(app.clone(), job.tenant, job.id, payload)));
    match running.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(JobError::Retry(format!("it took longer than {} seconds", LONGEST.as_secs()))),
        Err(panic) => Err(JobError::Retry(format!("it broke: {panic}"))),
    }
}
